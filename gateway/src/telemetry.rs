//! Every metric name and log field, once.
//!
//! Counters of the request path are handles made when a room or upstream is made; what can be read
//! from a snapshot (waiting, active, in flight) is read when somebody scrapes.
//!
//! What is absent: tokens, cookies, bodies and full addresses, in metrics and in logs.

mod proxy_headers;

use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use machine::{ListenLosses, Usage};
use metrics::{Counter, Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use policy::admit::Ignored;

pub use self::proxy_headers::ProxyHeaders;
use self::proxy_headers::Seldom;
use crate::log::{ACCESS, Losses};
use crate::rooms::LiveRoom;
use crate::upstream::{Part, Patience, Upstream};

/// What became of a request, in metrics and in the access line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Mark {
    /// Forwarded with a pass.
    Enter,
    /// Forwarded: a form whose pass had just ended.
    Late,
    /// A called ticket became a pass.
    Claim,
    /// A newcomer got a pass at once.
    Join,
    /// A newcomer got a place in the line.
    Queued,
    /// A newcomer was asked to confirm.
    Confirm,
    /// Somebody in the line was told their place.
    Wait,
    /// Forwarded without a pass: passthrough, or the store is away and the room fails open.
    Open,
    /// Forwarded: somebody who only looks at a calm room, without a number.
    Visit,
    /// Forwarded: a CORS preflight, which carries no pass.
    Preflight,
    /// Forwarded: somebody who returns from a payment without a pass.
    Return,
    /// A preflight over the room's rate of them.
    PreflightsOver,
    /// Forwarded: a path that loads for everyone.
    Bypass,
    /// Forwarded: traffic of no room.
    NoRoom,
    /// The room is suspended.
    Suspended,
    /// The room is full and rejects.
    Full,
    /// No place can come of the request, and there is no pass.
    NeedsPass,
    /// Over the client's quota.
    TooFast,
    /// Answered by the gateway itself, under `/.weir/`.
    Own,
    /// No upstream serves this host and path.
    NoRoute,
    /// Sent to the same address over TLS.
    Redirect,
    /// Not a request that can be answered.
    BadRequest,
}

const MARKS: [&str; 22] = [
    "enter",
    "late",
    "claim",
    "join",
    "queued",
    "confirm",
    "wait",
    "open",
    "visit",
    "preflight",
    "return",
    "preflights_over",
    "bypass",
    "no_room",
    "suspended",
    "full",
    "needs_pass",
    "too_fast",
    "own",
    "no_route",
    "redirect",
    "bad_request",
];

impl Mark {
    /// As in metrics and logs.
    pub fn name(self) -> &'static str {
        MARKS[self as usize]
    }
}

/// Why a shown token did not count, in metrics and in the access line.
pub fn reason(ignored: Ignored) -> &'static str {
    match ignored {
        Ignored::Malformed => "malformed",
        Ignored::Forged => "forged",
        Ignored::Foreign => "foreign",
        Ignored::Expired => "expired",
        Ignored::OldLine => "old_line",
        Ignored::Revoked => "revoked",
        Ignored::Evicted => "evicted",
    }
}

/// Counters of one room, or of the traffic of none.
#[derive(Clone)]
pub struct RoomMeters {
    marks: [Counter; MARKS.len()],
    ignored: [Counter; 7],
    fail_open: Counter,
}

impl std::fmt::Debug for RoomMeters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RoomMeters")
    }
}

impl RoomMeters {
    /// The counters of the room of this name.
    pub fn of(room: &str) -> Self {
        let room = room.to_owned();
        Self {
            marks: MARKS.map(|mark| counter!("weir_requests_total", "room" => room.clone(), "verdict" => mark)),
            ignored: [
                Ignored::Malformed,
                Ignored::Forged,
                Ignored::Foreign,
                Ignored::Expired,
                Ignored::OldLine,
                Ignored::Revoked,
                Ignored::Evicted,
            ]
            .map(|i| counter!("weir_tokens_ignored_total", "room" => room.clone(), "reason" => reason(i))),
            fail_open: counter!("weir_fail_open_total", "room" => room.clone()),
        }
    }

    /// Counts a request.
    pub fn mark(&self, mark: Mark) {
        self.marks[mark as usize].increment(1);
    }

    /// Counts a token that did not count.
    pub fn ignored(&self, ignored: Ignored) {
        self.ignored[ignored as usize].increment(1);
    }

    /// Counts a request let through because the store is away.
    pub fn failed_open(&self) {
        self.fail_open.increment(1);
    }
}

/// Counters of the store.
pub struct StoreMeters {
    ok: Counter,
    failed: Counter,
    seconds: Histogram,
}

impl StoreMeters {
    /// The counters.
    pub fn new() -> Self {
        Self {
            ok: counter!("weir_store_calls_total", "result" => "ok"),
            failed: counter!("weir_store_calls_total", "result" => "failed"),
            seconds: histogram!("weir_store_call_seconds"),
        }
    }

    /// Counts a call.
    pub fn call(&self, took: Duration, ok: bool) {
        self.seconds.record(took.as_secs_f64());
        if ok { &self.ok } else { &self.failed }.increment(1);
    }
}

impl Default for StoreMeters {
    fn default() -> Self {
        Self::new()
    }
}

/// Counts connections turned away at the limit.
pub fn connection_refused() {
    counter!("weir_connections_refused_total").increment(1);
}

/// Counts requests whose head could not be read: not HTTP, too long, or of two lengths.
pub fn unreadable() {
    counter!("weir_requests_unreadable_total").increment(1);
}

/// Counts connections closed for others, and the bound that was the reason.
pub fn connections_evicted(reason: &'static str, count: usize) {
    counter!("weir_connections_evicted_total", "reason" => reason).increment(count as u64);
}

/// Counts headers that were not passed on because a shop could read their names as others.
pub fn ambiguous_headers(count: u64) {
    counter!("weir_request_headers_ambiguous_total").increment(count);
}

/// Says how many connections are open, and of which class as of the last second.
pub fn connections(open: usize, classes: [(&'static str, usize); 3]) {
    gauge!("weir_connections").set(open as f64);
    for (class, open) in classes {
        gauge!("weir_connections_by_class", "class" => class).set(open as f64);
    }
}

/// So many times a connection without a pass had to wait for its worker.
pub fn deferrals(more: u64) {
    counter!("weir_connections_deferred_total").increment(more);
}

/// Says by how many bytes more a worker holds bodies in memory.
pub fn buffered(more: f64) {
    gauge!("weir_buffered_bytes").increment(more);
}

/// Says how many bytes of answers were made and not taken, as of the last second.
pub fn answer_buffer(bytes: usize) {
    gauge!("weir_answer_buffer_bytes").set(bytes as f64);
}

/// Says how many clients the quotas remember.
pub fn quota_clients(clients: usize) {
    gauge!("weir_quota_clients").set(clients as f64);
}

/// Requests of peers that say for whom they ask and are not in `listen.trusted_proxies`: a balancer that is missing there
/// makes one client of all its visitors.
pub struct Unbelieved {
    requests: Counter,
    told: Seldom,
}

impl std::fmt::Debug for Unbelieved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unbelieved")
    }
}

impl Unbelieved {
    /// The counter.
    pub fn new() -> Self {
        Self { requests: counter!("weir_untrusted_forwarded_total"), told: Seldom::default() }
    }

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

impl Default for Unbelieved {
    fn default() -> Self {
        Self::new()
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
    counter!("weir_reloads_total", "what" => what, "result" => if ok { "ok" } else { "refused" }).increment(1);
}

/// Counts a loss of writes that was noticed in the store.
pub fn loss(room: &str) {
    counter!("weir_room_losses_total", "room" => room.to_owned()).increment(1);
}

/// Counts passes that a gateway gave under its lease, while the store was away.
pub fn lease_grants(room: &str, passes: u64) {
    counter!("weir_lease_grants_total", "room" => room.to_owned()).increment(passes);
}

/// Counts passes that lost their seats because they never came back, as this gateway hears of them.
pub fn evictions(room: &str, passes: u64) {
    if passes > 0 {
        counter!("weir_room_evictions_total", "room" => room.to_owned()).increment(passes);
    }
}

/// Says which version of the rooms is in force here, and which in the store.
pub fn rooms_version(here: u64, store: u64) {
    gauge!("weir_rooms_version").set(here as f64);
    gauge!("weir_rooms_version_wanted").set(store as f64);
}

/// Says in how many rooms nothing happens.
pub fn rooms_dormant(rooms: usize) {
    gauge!("weir_rooms_dormant").set(rooms as f64);
}

/// Says what a room's snapshot shows.
pub fn room(room: &LiveRoom) {
    let snapshot = room.snapshot();
    let labels = [("room", room.title().to_string())];
    gauge!("weir_room_store_away", &labels).set(f64::from(u8::from(snapshot.away)));
    gauge!("weir_room_shop_rests", &labels).set(f64::from(u8::from(snapshot.shop_rests)));
    gauge!("weir_room_on_lease", &labels).set(f64::from(u8::from(snapshot.on_lease)));
    gauge!("weir_room_waiting_tickets", &labels).set(snapshot.waiting() as f64);
    counter!("weir_room_places_kept_total", &labels).absolute(room.places_kept());
    for (what, passes) in room.remembered() {
        let labels = [("room", room.title().to_string()), ("what", what.to_owned())];
        gauge!("weir_room_passes_remembered", &labels).set(passes as f64);
    }
    let Some(view) = &snapshot.view else { return };
    gauge!("weir_room_active_users", &labels).set(view.active as f64);
    gauge!("weir_room_claimants", &labels).set(view.claimants as f64);
    gauge!("weir_room_speed_tickets_per_second", &labels).set(view.speed);
    gauge!("weir_room_show_share_ratio", &labels).set(view.show_share);
    gauge!("weir_room_segments", &labels).set((view.segments.before.len() + 1) as f64);
    counter!("weir_room_tickets_total", &labels).absolute(view.segments.given());
    counter!("weir_room_called_total", &labels).absolute(view.segments.called());
    counter!("weir_room_admitted_total", &labels).absolute(view.granted);
    counter!("weir_room_no_shows_total", &labels).absolute(view.no_shows);
    counter!("weir_room_over_limit_total", &labels).absolute(view.over_limit);
    counter!("weir_room_second_passes_total", &labels).absolute(view.second_passes);
}

/// Says what a room holds of the shop, under its own limit.
pub fn part(room: &str, part: &Part) {
    let labels = [("room", room.to_owned())];
    gauge!("weir_room_in_flight", &labels).set(part.in_flight() as f64);
    gauge!("weir_room_waiting_requests", &labels).set(part.waiting() as f64);
    counter!("weir_room_busy_total", &labels).absolute(part.busy());
}

/// Says how an upstream is doing.
pub fn upstream(upstream: &Upstream) {
    let name = upstream.settings().name.clone();
    let counters = upstream.counters();
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
        let labels = [("upstream", name.clone()), ("result", result.to_owned())];
        counter!("weir_upstream_requests_total", &labels).absolute(count.load(Ordering::Relaxed));
    }
    let labels = [("upstream", name.clone())];
    counter!("weir_upstream_connections_total", &labels).absolute(counters.connected.load(Ordering::Relaxed));
    counter!("weir_upstream_ejections_total", &labels).absolute(counters.ejected.load(Ordering::Relaxed));
    gauge!("weir_upstream_in_flight", &labels).set(upstream.in_flight() as f64);
    for (class, who) in [("pass", Patience::Pass), ("return", Patience::Return), ("anonymous", Patience::Anonymous)] {
        let labels = [("upstream", name.clone()), ("class", class.to_owned())];
        gauge!("weir_upstream_permits", &labels).set(upstream.in_flight_of(who) as f64);
    }
    gauge!("weir_upstream_upgraded_connections", &labels).set(upstream.upgraded() as f64);
    gauge!("weir_upstream_waiting_requests", &labels).set(upstream.waiting() as f64);
    for server in upstream.servers() {
        let labels = [("upstream", name.clone()), ("server", server.address().to_owned())];
        gauge!("weir_upstream_server_usable", &labels).set(f64::from(u8::from(server.is_usable())));
        if let Some(resolved) = server.is_resolved() {
            gauge!("weir_upstream_server_resolved", &labels).set(f64::from(u8::from(resolved)));
        }
        for (failure, count) in server.tls_failures().into_iter().flatten() {
            let labels = [&labels[..], &[("reason", failure.name().to_owned())]].concat();
            counter!("weir_upstream_tls_failures_total", &labels).absolute(count);
        }
        for (failure, count) in server.http2_failures().into_iter().flatten() {
            let labels = [&labels[..], &[("reason", failure.name().to_owned())]].concat();
            counter!("weir_upstream_http2_failures_total", &labels).absolute(count);
        }
    }
}

/// Says how many log lines were not written, and why.
pub fn log_losses(losses: &Losses) {
    for (why, lines) in [("rate", losses.over_rate()), ("queue", losses.queue_full())] {
        counter!("weir_log_dropped_total", "why" => why).absolute(lines);
    }
}

/// Says whether this gateway has no key in common with the others, and how many of them have none of its keys.
pub fn keys_foreign(foreign: bool, others: usize) {
    gauge!("weir_keys_foreign").set(f64::from(u8::from(foreign)));
    gauge!("weir_gateways_with_other_keys").set(others as f64);
}

/// Says how much of a limit of the kernel is in use.
pub fn machine(name: &'static str, usage: Usage) {
    gauge!("weir_machine_used", "limit" => name).set(usage.used as f64);
    gauge!("weir_machine_limit", "limit" => name).set(usage.limit as f64);
}

/// Says what full listening queues have cost on this machine.
pub fn listen_losses(losses: ListenLosses) {
    counter!("weir_machine_listen_overflows_total").absolute(losses.overflows);
    counter!("weir_machine_listen_drops_total").absolute(losses.drops);
}

/// Says how many packets a full connection tracking table has cost on this machine.
pub fn conntrack_drops(packets: u64) {
    counter!("weir_machine_conntrack_drops_total").absolute(packets);
}

/// Says whether files are being read for longer than they should.
pub fn files_stalled(stalled: bool) {
    gauge!("weir_files_stalled").set(f64::from(u8::from(stalled)));
}

/// Starts collecting metrics for this process; the handle renders them.
pub fn metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
    HANDLE
        .get_or_init(|| {
            let seconds = Matcher::Suffix("_seconds".to_owned());
            let builder = PrometheusBuilder::new();
            let builder =
                builder.set_buckets_for_metric(seconds, &buckets).unwrap_or_else(|_| PrometheusBuilder::new());
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another recorder collects the metrics of this process");
            }
            handle
        })
        .clone()
}

/// Fields of an access line.
#[derive(Debug)]
pub struct Access<'a> {
    /// The room, if any.
    pub room: &'a str,
    /// What became of the request.
    pub verdict: Mark,
    /// Why a shown token did not count, or what failed.
    pub reason: &'a str,
    /// Status of the answer.
    pub status: u16,
    /// The upstream, if it was asked.
    pub upstream: &'a str,
    /// Until the head of the answer was ready.
    pub duration: Duration,
    /// Id of the request, as the upstream saw it.
    pub request_id: &'a str,
}

/// Writes the access line of a request.
pub fn access(line: &Access<'_>) {
    tracing::info!(
        target: ACCESS,
        room = line.room,
        verdict = line.verdict.name(),
        reason = line.reason,
        status = line.status,
        upstream = line.upstream,
        duration_ms = line.duration.as_secs_f64() * 1000.0,
        request_id = line.request_id,
    );
}
