//! What the gateway tells of itself in numbers: every metric once, in the [`catalogue`].
//!
//! What requests count are handles made when a room or server is made; what seldom happens to the process is counted by name; what
//! a snapshot shows (waiting, active, in flight) and what is set is read when an operator scrapes. [`Page`] puts it into words.
//!
//! It knows nothing of what it measures: a module that counts brings its own handles, and `admin` reads what is read at a scrape.
//!
//! Out of scope: tokens, cookies, bodies and addresses; and the access line.

pub mod catalogue;
mod durations;
pub mod meters;
mod page;
mod seldom;
mod waits;

use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::Counter;

use self::catalogue::{Kind, Metric};
pub use self::durations::Durations;
pub use self::meters::{Disposition, JoinRefusal, RequestMeters, RequestVerdict, StoreMeters, reason};
pub use self::page::{Page, Series};
pub(crate) use self::seldom::Seldom;
pub use self::waits::Waits;

/// What belongs to no room or server.
pub static PROCESS: LazyLock<Series> = LazyLock::new(Series::default);

/// Of these, what needs no label and may not have happened yet.
const FROM_THE_START: [&Metric; 9] = [
    &catalogue::AUDIT_LINES,
    &catalogue::CONNECTIONS_REFUSED,
    &catalogue::CONNECTIONS_DEFERRED,
    &catalogue::UNREADABLE,
    &catalogue::AMBIGUOUS_HEADERS,
    &catalogue::BUFFERED,
    &catalogue::FILES_STALLED,
    &catalogue::KEYS_FOREIGN,
    &catalogue::OTHER_KEYS,
];
/// What is reloaded.
const RELOADED: [&str; 5] = ["configuration", "certificates", "keys", "rooms", "pages"];
/// Why connections are closed for others.
const EVICTED_FOR: [&str; 3] = ["max_connections", "max_connections_per_client", "answer_buffer"];

/// Counts begin; what has not happened yet is told as 0 from the first scrape on.
pub fn start() {
    // The counter of the processor is compared with the system's clock once, for some milliseconds: before the first request.
    let _ = quanta::Clock::new();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    PROCESS.gauge(&catalogue::START_TIME, &[]).set(now);
    PROCESS.gauge(&catalogue::BUILD_INFO, &[env!("CARGO_PKG_VERSION")]).set(1);
    for metric in FROM_THE_START {
        match metric.kind {
            Kind::Counter => PROCESS.counter(metric, &[]).increment(0),
            _ => PROCESS.gauge(metric, &[]).set(0),
        }
    }
    for what in RELOADED {
        for result in ["ok", "refused"] {
            PROCESS.counter(&catalogue::RELOADS, &[what, result]).increment(0);
        }
        PROCESS.gauge(&catalogue::RELOAD_OK, &[what]).set(1);
    }
    for action in policy::action::ACTIONS {
        PROCESS.counter(&catalogue::ACTIONS, &[action]).increment(0);
    }
    for reason in EVICTED_FOR {
        PROCESS.counter(&catalogue::CONNECTIONS_EVICTED, &[reason]).increment(0);
    }
}

/// Requests of peers that say for whom they ask and are not in `listen.trusted_proxies`: a balancer that is missing there
/// makes one client of all its visitors.
#[derive(Debug)]
pub struct Unbelieved {
    requests: Counter,
    told: Seldom,
}

impl Default for Unbelieved {
    fn default() -> Self {
        Self { requests: PROCESS.counter(&catalogue::UNTRUSTED_FORWARDED, &[]), told: Seldom::default() }
    }
}

impl Unbelieved {
    /// Counts a request. A private address is named: it is no shopper's, and the operator has to know which it is.
    pub fn note(&self, peer: IpAddr, since_start: Duration) {
        self.requests.increment(1);
        if self.told.is_due(since_start) {
            let peer = if is_private(peer) { peer.to_string() } else { "a public address".to_owned() };
            tracing::warn!(
                peer,
                "X-Forwarded-For of a peer that is not in listen.trusted_proxies: if it is a balancer or CDN, name it there, or all \
                 its visitors are one client"
            );
        }
    }
}

/// Whether an address is no shopper's, so that it may be named.
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Counts a reload of the configuration, the certificates, the keys or the rooms.
pub fn reload(what: &'static str, ok: bool) {
    PROCESS.counter(&catalogue::RELOADS, &[what, if ok { "ok" } else { "refused" }]).increment(1);
    PROCESS.gauge(&catalogue::RELOAD_OK, &[what]).set(u8::from(ok));
}
