//! Headers of the PROXY protocol: counted, and logged if the operator has something to fix.

use std::net::IpAddr;
use std::time::Duration;

use metrics::Counter;

use super::{HeaderError, ProxyHeader};
use crate::telemetry::{PROCESS, Seldom, catalogue, is_private};

const RESULTS: [&str; 7] = ["client", "own", "untrusted", "missing", "malformed", "too_long", "cut"];

/// Results of connections to the addresses of `listen.proxy_protocol`.
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
    /// Counts the header of a trusted proxy. Connections that end before any byte are the checks of some balancers.
    pub fn note(&self, told: Result<ProxyHeader, HeaderError>, proxy: IpAddr, since_start: Duration) {
        let result = match told {
            Ok(ProxyHeader::Client { .. }) => 0,
            Ok(ProxyHeader::Own) => 1,
            Err(HeaderError::Missing) => 3,
            Err(HeaderError::Malformed) => 4,
            Err(HeaderError::TooLong) => 5,
            Err(HeaderError::Cut) => 6,
        };
        self.counters[result].increment(1);
        if matches!(told, Err(HeaderError::Missing | HeaderError::Malformed | HeaderError::TooLong))
            && self.told.is_due(since_start)
        {
            let (proxy, result) = (proxy.to_string(), RESULTS[result]);
            tracing::warn!(
                proxy,
                result,
                "connection closed: no PROXY header on an address of listen.proxy_protocol; let the proxy send one, or take the \
                 address out of the list"
            );
        }
    }

    /// Counts a connection of an untrusted peer.
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
