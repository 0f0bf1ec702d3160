//! What the gateway tells of itself in numbers: every metric once, in the [`catalogue`].
//!
//! What requests count are handles made when a room or server is made ([`meters`]); what seldom happens to the process is counted by
//! name; what a snapshot shows (waiting, active, in flight) and what is set is read when somebody scrapes. [`Page`] puts it into
//! words.
//!
//! What is absent: tokens, cookies, bodies and addresses; and the access line ([`crate::log::access`]).

pub mod catalogue;
pub mod meters;
mod page;
mod proxy_headers;
mod waits;

use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use machine::Usage;
use metrics::Counter;

use self::catalogue::{Kind, Metric};
pub use self::meters::{Disposition, Mark, RoomMeters, ServerMeters, StoreMeters, reason};
pub use self::page::{Page, Series};
pub use self::proxy_headers::ProxyHeaders;
use self::proxy_headers::Seldom;
pub use self::waits::Waits;
use crate::log::Losses;
use crate::rooms::LiveRoom;
use crate::site::SiteRoom;
use crate::upstream::{Part, Upstream};

/// What belongs to no room or server.
pub static PROCESS: LazyLock<Series> = LazyLock::new(Series::default);

/// Of these, what needs no label and may not have happened yet.
const FROM_THE_START: [&Metric; 8] = [
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
    // The counter of the processor is compared with the system's clock once, for some milliseconds: before anybody waits.
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

fn is_private(address: IpAddr) -> bool {
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

/// Says how many log lines of the streams were not written, and why.
pub fn log_losses(losses: &Losses) {
    let lost = [
        (["events", "rate"], losses.over_rate()),
        (["events", "queue"], losses.events_lost()),
        (["access", "queue"], losses.access_lost()),
    ];
    for (labels, lines) in lost {
        PROCESS.counter(&catalogue::LOG_DROPPED, &labels).absolute(lines);
    }
}

/// What the process and the machine have told so far.
pub fn process(page: &mut Page) {
    page.series(&PROCESS);
    page.add(&catalogue::CPU_SECONDS, &[], machine::process_time().as_secs_f64());
    if let Some(bytes) = machine::resident_memory() {
        page.add(&catalogue::RESIDENT_BYTES, &[], bytes);
    }
    if let Some(Usage { used, limit }) = machine::descriptors() {
        page.add(&catalogue::OPEN_FDS, &[], used);
        page.add(&catalogue::MAX_FDS, &[], limit);
    }
}

/// Says how many connections are open, of which class as of the last second, and how many there may be.
pub fn connections(page: &mut Page, open: usize, classes: [(&'static str, usize); 3], limit: usize) {
    page.add(&catalogue::CONNECTIONS, &[], open);
    page.add(&catalogue::CONNECTIONS_LIMIT, &[], limit);
    for (class, open) in classes {
        page.add(&catalogue::CONNECTIONS_BY_CLASS, &[class], open);
    }
}

/// Says what a room's line shows, what its requests came to, and what they hold of the shop.
pub fn room(page: &mut Page, room: &SiteRoom) {
    let name = &room.config.name;
    line(page, name, &room.live);
    page.flag(&catalogue::ROOM_QUEUE_ALL, &[name], room.config.queue_all);
    if let Some(part) = &room.part {
        of_the_shop(page, name, part);
        if let Some(limit) = room.config.max_in_flight {
            page.add(&catalogue::ROOM_IN_FLIGHT_LIMIT, &[name], limit);
        }
    }
}

/// Its snapshot, and what it was set to.
fn line(page: &mut Page, name: &str, room: &LiveRoom) {
    let (snapshot, terms) = (room.snapshot(), room.terms());
    let labels: &[&str] = &[name];
    let rules = &terms.room.rules;
    page.add(&catalogue::ROOM_RATE_LIMIT, labels, rules.rate);
    page.add(&catalogue::ROOM_BURST_LIMIT, labels, rules.burst);
    if let Some(limit) = rules.total_active_users {
        page.add(&catalogue::ROOM_ACTIVE_LIMIT, labels, limit);
    }
    page.flag(&catalogue::ROOM_SUSPENDED, labels, terms.room.suspended);
    page.flag(&catalogue::ROOM_STORE_AWAY, labels, snapshot.away);
    page.flag(&catalogue::ROOM_SHOP_RESTS, labels, snapshot.shop_rests);
    page.flag(&catalogue::ROOM_ON_LEASE, labels, snapshot.on_lease);
    page.add(&catalogue::ROOM_WAITING, labels, snapshot.waiting());
    page.add(&catalogue::ROOM_PLACES_KEPT, labels, room.places_kept());
    page.series_of_room(room.meters().series(), name);
    for (what, passes) in room.remembered() {
        page.add(&catalogue::ROOM_REMEMBERED, &[name, what], passes);
    }
    let Some(view) = &snapshot.view else { return };
    if let Some(wait) = snapshot.answers.newcomers_wait() {
        page.add(&catalogue::ROOM_SHOWN_WAIT, &[name, "low"], wait.low);
        page.add(&catalogue::ROOM_SHOWN_WAIT, &[name, "high"], wait.high);
    }
    page.add(&catalogue::ROOM_ACTIVE, labels, view.active);
    page.add(&catalogue::ROOM_CLAIMANTS, labels, view.claimants);
    page.add(&catalogue::ROOM_SPEED, labels, view.speed);
    page.add(&catalogue::ROOM_SHOW_SHARE, labels, view.show_share);
    page.add(&catalogue::ROOM_SEGMENTS, labels, view.segments.before.len() + 1);
    page.add(&catalogue::ROOM_TICKETS, labels, view.segments.given());
    page.add(&catalogue::ROOM_CALLED, labels, view.segments.called());
    page.add(&catalogue::ROOM_ADMITTED, labels, view.granted);
    page.add(&catalogue::ROOM_NO_SHOWS, labels, view.no_shows);
    page.add(&catalogue::ROOM_OVER_LIMIT, labels, view.over_limit);
    page.add(&catalogue::ROOM_SECOND_PASSES, labels, view.second_passes);
}

fn of_the_shop(page: &mut Page, room: &str, part: &Part) {
    page.add(&catalogue::ROOM_IN_FLIGHT, &[room], part.in_flight());
    page.add(&catalogue::ROOM_WAITING_REQUESTS, &[room], part.waiting());
    page.add(&catalogue::ROOM_BUSY, &[room], part.busy());
}

/// Says how an upstream is doing.
pub fn upstream(page: &mut Page, upstream: &Upstream) {
    let (settings, counters) = (upstream.settings(), upstream.counters());
    let name = settings.name.as_str();
    for (result, count) in [
        ("answered", &counters.answered),
        ("failed", &counters.failed),
        ("busy", &counters.busy),
        ("retried", &counters.retried),
        ("upgrade_refused", &counters.upgrades_refused),
        ("exhausted", &counters.exhausted),
        ("slow_upload", &counters.slow_uploads),
        ("slow_download", &counters.slow_downloads),
    ] {
        page.count(&catalogue::UPSTREAM_REQUESTS, &[name, result], count);
    }
    page.count(&catalogue::UPSTREAM_CONNECTIONS, &[name], &counters.connected);
    page.count(&catalogue::UPSTREAM_EJECTIONS, &[name], &counters.ejected);
    page.add(&catalogue::UPSTREAM_IN_FLIGHT, &[name], upstream.in_flight());
    page.add(&catalogue::UPSTREAM_IN_FLIGHT_LIMIT, &[name], settings.max_in_flight);
    page.add(&catalogue::UPSTREAM_RESERVE, &[name], settings.pass_reserve.unwrap_or_default());
    for (who, class) in meters::TRAFFIC {
        page.add(&catalogue::UPSTREAM_PERMITS, &[name, class], upstream.in_flight_of(who));
    }
    page.add(&catalogue::UPSTREAM_UPGRADED, &[name], upstream.upgraded());
    page.add(&catalogue::UPSTREAM_UPGRADED_LIMIT, &[name], settings.max_upgraded);
    page.add(&catalogue::UPSTREAM_WAITING, &[name], upstream.waiting());
    for server in upstream.servers() {
        let labels = [name, server.address()];
        page.series(server.meters().series());
        page.flag(&catalogue::UPSTREAM_USABLE, &labels, server.is_usable());
        if let Some(resolved) = server.is_resolved() {
            page.flag(&catalogue::UPSTREAM_RESOLVED, &labels, resolved);
        }
        for (failure, count) in server.tls_failures().into_iter().flatten() {
            page.add(&catalogue::UPSTREAM_TLS_FAILURES, &[name, server.address(), failure.name()], count);
        }
        for (failure, count) in server.http2_failures().into_iter().flatten() {
            page.add(&catalogue::UPSTREAM_HTTP2_FAILURES, &[name, server.address(), failure.name()], count);
        }
    }
}
