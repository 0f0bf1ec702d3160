//! Headers of the PROXY protocol: counted, and told of where the operator has something to mend.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::Counter;

use super::{PROCESS, catalogue, is_private};
use crate::proxy_header::{Told, Wrong};

/// The log tells of one thing once in so many seconds.
const TOLD_EVERY: u64 = 60;

/// Something that the log tells at most once a minute.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    /// Seconds since the start before which it is not told again.
    quiet_until: AtomicU64,
}

impl Seldom {
    /// Whether it is to be told now.
    pub(super) fn is_due(&self, since_start: Duration) -> bool {
        let now = since_start.as_secs();
        let due = |until: u64| (now >= until).then_some(now + TOLD_EVERY);
        self.quiet_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).is_ok()
    }
}

const RESULTS: [&str; 7] = ["client", "own", "untrusted", "missing", "malformed", "too_long", "cut"];

/// What came of connections to the addresses of `listen.proxy_protocol`.
#[derive(Debug)]
pub struct ProxyHeaders {
    counters: [Counter; RESULTS.len()],
    told: Seldom,
}

impl Default for ProxyHeaders {
    fn default() -> Self {
        let counters = RESULTS.map(|result| PROCESS.counter(&catalogue::PROXY_HEADERS, &[result]));
        Self { counters, told: Seldom::default() }
    }
}

impl ProxyHeaders {
    /// Counts what a trusted proxy told. Connections that end before they say anything are the checks of some balancers.
    pub fn note(&self, told: Result<Told, Wrong>, proxy: IpAddr, since_start: Duration) {
        let result = match told {
            Ok(Told::Client { .. }) => 0,
            Ok(Told::Own) => 1,
            Err(Wrong::Missing) => 3,
            Err(Wrong::Malformed) => 4,
            Err(Wrong::TooLong) => 5,
            Err(Wrong::Cut) => 6,
        };
        self.counters[result].increment(1);
        if matches!(told, Err(Wrong::Missing | Wrong::Malformed | Wrong::TooLong)) && self.told.is_due(since_start) {
            let (proxy, result) = (proxy.to_string(), RESULTS[result]);
            tracing::warn!(
                proxy,
                result,
                "connection closed: no PROXY header on an address of listen.proxy_protocol; let the proxy send one, or take the \
                 address out of the list"
            );
        }
    }

    /// Counts a connection of somebody who is not believed.
    pub fn untrusted(&self, peer: IpAddr, since_start: Duration) {
        self.counters[2].increment(1);
        if self.told.is_due(since_start) {
            let peer = if is_private(peer) { peer.to_string() } else { "a public address".to_owned() };
            tracing::warn!(
                peer,
                "connection closed: a peer that is not in listen.trusted_proxies on an address of listen.proxy_protocol; if it is \
                 the balancer, name it there"
            );
        }
    }
}
