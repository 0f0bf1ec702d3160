//! What the gateway tells of itself in numbers: every metric once, in the [`catalogue`].
//!
//! What requests count are handles made when a room or server is made ([`meters`]); what a snapshot shows (waiting, active, in
//! flight) and what is set is read when somebody scrapes. [`Page`] puts it into words.
//!
//! What is absent: tokens, cookies, bodies and addresses; and the access line ([`crate::log::access`]).

pub mod catalogue;
pub mod meters;
mod page;
mod proxy_headers;
mod waits;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use machine::{ListenLosses, Usage};

pub use self::meters::{Disposition, Mark, RoomMeters, ServerMeters, StoreMeters, reason};
use self::page::Labelled;
pub use self::page::Page;
pub use self::proxy_headers::ProxyHeaders;
use self::proxy_headers::Seldom;
pub use self::waits::Waits;
use crate::log::Losses;
use crate::rooms::LiveRoom;
use crate::site::SiteRoom;
use crate::upstream::{Part, Upstream};

static CONNECTIONS_REFUSED: AtomicU64 = AtomicU64::new(0);
static CONNECTIONS_EVICTED: Labelled = Labelled::new();
static CONNECTIONS_DEFERRED: AtomicU64 = AtomicU64::new(0);
static UNREADABLE: AtomicU64 = AtomicU64::new(0);
static AMBIGUOUS_HEADERS: AtomicU64 = AtomicU64::new(0);
static BUFFERED: AtomicI64 = AtomicI64::new(0);
static RELOADS: Labelled = Labelled::new();
static RELOAD_OK: Labelled = Labelled::new();
static ROOM_LOSSES: Labelled = Labelled::new();
static LEASE_GRANTS: Labelled = Labelled::new();
static ROOM_EVICTIONS: Labelled = Labelled::new();
static FILES_STALLED: AtomicBool = AtomicBool::new(false);
static KEYS_FOREIGN: AtomicBool = AtomicBool::new(false);
static OTHER_KEYS: AtomicU64 = AtomicU64::new(0);
static MACHINE_USED: Labelled = Labelled::new();
static MACHINE_LIMIT: Labelled = Labelled::new();
static LISTEN_LOSSES: Mutex<Option<ListenLosses>> = Mutex::new(None);
static CONNTRACK_DROPS: Mutex<Option<u64>> = Mutex::new(None);
static LOG_DROPPED: Labelled = Labelled::new();
static STARTED: LazyLock<f64> =
    LazyLock::new(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());

/// What is reloaded.
const RELOADED: [&str; 4] = ["configuration", "certificates", "keys", "rooms"];
/// Why connections are closed for others.
const EVICTED_FOR: [&str; 3] = ["max_connections", "max_connections_per_client", "answer_buffer"];

/// Counts begin; what has not happened yet is told as 0 from the first scrape on.
pub fn start() {
    LazyLock::force(&STARTED);
    for what in RELOADED {
        RELOADS.add(&[what, "ok"], 0);
        RELOADS.add(&[what, "refused"], 0);
        RELOAD_OK.set(&[what], 1);
    }
    for reason in EVICTED_FOR {
        CONNECTIONS_EVICTED.add(&[reason], 0);
    }
}

/// Counts connections turned away at the limit.
pub fn connection_refused() {
    CONNECTIONS_REFUSED.fetch_add(1, Ordering::Relaxed);
}

/// Counts requests whose head could not be read: not HTTP, too long, or of two lengths.
pub fn unreadable() {
    UNREADABLE.fetch_add(1, Ordering::Relaxed);
}

/// Counts connections closed for others, and the bound that was the reason.
pub fn connections_evicted(reason: &'static str, count: usize) {
    if count > 0 {
        CONNECTIONS_EVICTED.add(&[reason], count as u64);
    }
}

/// Counts headers that were not passed on because a shop could read their names as others.
pub fn ambiguous_headers(count: u64) {
    AMBIGUOUS_HEADERS.fetch_add(count, Ordering::Relaxed);
}

/// So many times a connection without a pass had to wait for its worker.
pub fn deferrals(more: u64) {
    CONNECTIONS_DEFERRED.fetch_add(more, Ordering::Relaxed);
}

/// Says by how many bytes more a worker holds bodies in memory.
pub fn buffered(more: f64) {
    BUFFERED.fetch_add(more as i64, Ordering::Relaxed);
}

/// Requests of peers that say for whom they ask and are not in `listen.trusted_proxies`: a balancer that is missing there
/// makes one client of all its visitors.
#[derive(Debug, Default)]
pub struct Unbelieved {
    requests: AtomicU64,
    told: Seldom,
}

impl Unbelieved {
    /// Counts a request. A private address is named: it is no shopper's, and the operator has to know which it is.
    pub fn note(&self, peer: IpAddr, since_start: Duration) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if self.told.is_due(since_start) {
            let peer = if is_private(peer) { peer.to_string() } else { "a public address".to_owned() };
            tracing::warn!(
                peer,
                "X-Forwarded-For of a peer that is not in listen.trusted_proxies: if it is a balancer or CDN, name it there, or all \
                 its visitors are one client"
            );
        }
    }

    /// Tells of them.
    pub fn write(&self, page: &mut Page) {
        page.count(&catalogue::UNTRUSTED_FORWARDED, &[], &self.requests);
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
    RELOADS.add(&[what, if ok { "ok" } else { "refused" }], 1);
    RELOAD_OK.set(&[what], u64::from(ok));
}

/// Counts a loss of writes that was noticed in the store.
pub fn loss(room: &str) {
    ROOM_LOSSES.add(&[room], 1);
}

/// Counts passes that a gateway gave under its lease, while the store was away.
pub fn lease_grants(room: &str, passes: u64) {
    LEASE_GRANTS.add(&[room], passes);
}

/// Counts passes that lost their seats because they never came back, as this gateway hears of them.
pub fn evictions(room: &str, passes: u64) {
    if passes > 0 {
        ROOM_EVICTIONS.add(&[room], passes);
    }
}

/// Says how many log lines of the streams were not written, and why.
pub fn log_losses(losses: &Losses) {
    let lost = [
        (["events", "rate"], losses.over_rate()),
        (["events", "queue"], losses.events_lost()),
        (["access", "queue"], losses.access_lost()),
    ];
    for (labels, lines) in lost {
        LOG_DROPPED.set(&labels, lines);
    }
}

/// Says whether this gateway has no key in common with the others, and how many of them have none of its keys.
pub fn keys_foreign(foreign: bool, others: usize) {
    KEYS_FOREIGN.store(foreign, Ordering::Relaxed);
    OTHER_KEYS.store(others as u64, Ordering::Relaxed);
}

/// Says how much of a limit of the kernel is in use.
pub fn machine(name: &'static str, usage: Usage) {
    MACHINE_USED.set(&[name], usage.used);
    MACHINE_LIMIT.set(&[name], usage.limit);
}

/// Says what full listening queues have cost on this machine.
pub fn listen_losses(losses: ListenLosses) {
    *LISTEN_LOSSES.lock().unwrap_or_else(PoisonError::into_inner) = Some(losses);
}

/// Says how many packets a full connection tracking table has cost on this machine.
pub fn conntrack_drops(packets: u64) {
    *CONNTRACK_DROPS.lock().unwrap_or_else(PoisonError::into_inner) = Some(packets);
}

/// Says whether files are being read for longer than they should.
pub fn files_stalled(stalled: bool) {
    FILES_STALLED.store(stalled, Ordering::Relaxed);
}

/// What the process and the machine have told so far; of rooms those that are to be told.
pub fn process(page: &mut Page, tell_room: impl Fn(&str) -> bool) {
    page.add(&catalogue::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1);
    page.add(&catalogue::START_TIME, &[], *STARTED);
    page.add(&catalogue::CPU_SECONDS, &[], machine::process_time().as_secs_f64());
    if let Some(bytes) = machine::resident_memory() {
        page.add(&catalogue::RESIDENT_BYTES, &[], bytes);
    }
    if let Some(Usage { used, limit }) = machine::descriptors() {
        page.add(&catalogue::OPEN_FDS, &[], used);
        page.add(&catalogue::MAX_FDS, &[], limit);
    }
    page.count(&catalogue::UNREADABLE, &[], &UNREADABLE);
    page.count(&catalogue::AMBIGUOUS_HEADERS, &[], &AMBIGUOUS_HEADERS);
    page.count(&catalogue::CONNECTIONS_REFUSED, &[], &CONNECTIONS_REFUSED);
    page.count(&catalogue::CONNECTIONS_DEFERRED, &[], &CONNECTIONS_DEFERRED);
    page.add(&catalogue::BUFFERED, &[], BUFFERED.load(Ordering::Relaxed).max(0));
    page.flag(&catalogue::FILES_STALLED, &[], FILES_STALLED.load(Ordering::Relaxed));
    page.flag(&catalogue::KEYS_FOREIGN, &[], KEYS_FOREIGN.load(Ordering::Relaxed));
    page.count(&catalogue::OTHER_KEYS, &[], &OTHER_KEYS);
    for (counts, metric) in [
        (&CONNECTIONS_EVICTED, catalogue::CONNECTIONS_EVICTED),
        (&RELOADS, catalogue::RELOADS),
        (&RELOAD_OK, catalogue::RELOAD_OK),
        (&LOG_DROPPED, catalogue::LOG_DROPPED),
        (&MACHINE_USED, catalogue::MACHINE_USED),
        (&MACHINE_LIMIT, catalogue::MACHINE_LIMIT),
    ] {
        counts.write(page, &metric, |_| true);
    }
    for (counts, metric) in [
        (&ROOM_LOSSES, catalogue::ROOM_LOSSES),
        (&LEASE_GRANTS, catalogue::LEASE_GRANTS),
        (&ROOM_EVICTIONS, catalogue::ROOM_EVICTIONS),
    ] {
        counts.write(page, &metric, &tell_room);
    }
    if let Some(losses) = *LISTEN_LOSSES.lock().unwrap_or_else(PoisonError::into_inner) {
        page.add(&catalogue::LISTEN_OVERFLOWS, &[], losses.overflows);
        page.add(&catalogue::LISTEN_DROPS, &[], losses.drops);
    }
    if let Some(packets) = *CONNTRACK_DROPS.lock().unwrap_or_else(PoisonError::into_inner) {
        page.add(&catalogue::CONNTRACK_DROPS, &[], packets);
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

/// Says what a room's line shows: its snapshot, and what it was set to.
pub fn room(page: &mut Page, room: &LiveRoom) {
    let (snapshot, terms) = (room.snapshot(), room.terms());
    let labels: &[&str] = &[&room.name];
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
    room.waits().write(page, &room.name);
    for (what, passes) in room.remembered() {
        page.add(&catalogue::ROOM_REMEMBERED, &[&room.name, what], passes);
    }
    let Some(view) = &snapshot.view else { return };
    if let Some(wait) = snapshot.answers.newcomers_wait() {
        page.add(&catalogue::ROOM_SHOWN_WAIT, &[&room.name, "low"], wait.low);
        page.add(&catalogue::ROOM_SHOWN_WAIT, &[&room.name, "high"], wait.high);
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

/// Says what a room's requests came to, and what they hold of the shop.
pub fn site_room(page: &mut Page, name: &str, room: &SiteRoom) {
    room.meters.write(page, name);
    page.flag(&catalogue::ROOM_QUEUE_ALL, &[name], room.config.queue_all);
    if let Some(part) = &room.part {
        of_the_shop(page, name, part);
        if let Some(limit) = room.config.max_in_flight {
            page.add(&catalogue::ROOM_IN_FLIGHT_LIMIT, &[name], limit);
        }
    }
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
    page.add(&catalogue::UPSTREAM_RESERVE, &[name], settings.pass_reserve);
    for (who, class) in meters::TRAFFIC {
        page.add(&catalogue::UPSTREAM_PERMITS, &[name, class], upstream.in_flight_of(who));
    }
    page.add(&catalogue::UPSTREAM_UPGRADED, &[name], upstream.upgraded());
    page.add(&catalogue::UPSTREAM_UPGRADED_LIMIT, &[name], settings.max_upgraded);
    page.add(&catalogue::UPSTREAM_WAITING, &[name], upstream.waiting());
    for server in upstream.servers() {
        let labels = [name, server.address()];
        server.meters().write(page, name, server.address());
        page.flag(&catalogue::UPSTREAM_USABLE, &labels, server.is_usable());
        if let Some(resolved) = server.is_resolved() {
            page.flag(&catalogue::UPSTREAM_RESOLVED, &labels, resolved);
        }
        for (failure, count) in server.tls_failures().into_iter().flatten() {
            page.add(&catalogue::UPSTREAM_TLS_FAILURES, &[name, server.address(), failure.name()], count);
        }
    }
}
