//! Metrics that are read at a scrape: from snapshots, settings and the counters of others.
//!
//! Out of scope: metrics that are counted as events happen ([`crate::telemetry`]).

use std::path::Path;
use std::time::Instant;

use machine::Usage;
use policy::action::State;
use policy::cap::CapKind;
use policy::stock::StockState;

use crate::client::seats::Seats;
use crate::in_force::shared::Shared;
use crate::in_force::site::{Site, SiteRoom};
use crate::line::rooms::LiveRoom;
use crate::telemetry::{PROCESS, Page, catalogue};
use crate::upstream::{Part, RouteGate, TRAFFIC, Upstream};

/// Writes the metrics of everything in force.
pub(super) fn observe(shared: &Shared, page: &mut Page) {
    let site = shared.site.load();
    process(page);
    page.flag(&catalogue::READY, &[], shared.is_ready());
    connections(page, &shared.seats, site.config.listen.max_connections);
    page.add(&catalogue::QUOTA_CLIENTS, &[], site.quotas.clients());
    let dormant = site.by_name.values().filter(|room| room.live.is_dormant()).count();
    page.add(&catalogue::ROOMS_DORMANT, &[], dormant);
    let idle_too = site.config.metrics.idle_rooms;
    let told = site.by_name.values().filter(|room| idle_too || !room.live.is_idle());
    told.for_each(|room| self::room(page, room));
    page.series(site.outside.series());
    site.upstreams.values().for_each(|upstream| self::upstream(page, upstream));
    site.gates.values().for_each(|gate| self::gate(page, gate));
    certificates(shared, &site, page);
}

/// When certificates run out: those shown to shoppers, and those shown to the shop.
fn certificates(shared: &Shared, site: &Site, page: &mut Page) {
    let mut tell = |shown_to: &str, file: &Path, end: i64| {
        page.add(&catalogue::CERTIFICATE_END, &[shown_to, &file.to_string_lossy()], end);
    };
    for (file, end) in shared.certificates().flat_map(|certificates| certificates.ends()) {
        tell("shoppers", &file, end);
    }
    for written in &site.config.upstreams {
        let file = written.tls.as_ref().and_then(|tls| tls.certificate.as_deref());
        let tls = site.upstreams.get(&written.name).and_then(|upstream| upstream.tls());
        if let (Some(file), Some(end)) = (file, tls.and_then(|tls| tls.not_after)) {
            tell("shop", file, end);
        }
    }
}

/// Counters of the process and the machine.
fn process(page: &mut Page) {
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

/// Writes how many connections are open, by class as of the last second, their bound, and the bytes that they hold.
fn connections(page: &mut Page, seats: &Seats, limit: usize) {
    page.add(&catalogue::CONNECTIONS, &[], seats.open());
    page.add(&catalogue::CONNECTIONS_LIMIT, &[], limit);
    for (class, open) in seats.by_class() {
        page.add(&catalogue::CONNECTIONS_BY_CLASS, &[class], open);
    }
    page.add(&catalogue::ANSWER_BUFFER, &[], seats.untaken());
}

/// Writes the state of a room's line, the counts of its requests, and its part of the shop.
pub(super) fn room(page: &mut Page, room: &SiteRoom) {
    let name = &room.config.name;
    line(page, name, &room.live);
    page.flag(&catalogue::ROOM_QUEUE_ALL, &[name], room.config.queue_all);
    for signal in room.signals.iter().flat_map(|signals| signals.status(Instant::now())) {
        let labels: &[&str] = &[name, &signal.name];
        let fresh = signal.is_fresh();
        page.flag(&catalogue::ROOM_SIGNAL_FRESH, labels, fresh);
        if let Some(full) = signal.full.filter(|_| fresh) {
            page.add(&catalogue::ROOM_SIGNAL_FULL, labels, full);
        }
    }
    if let Some(part) = &room.part {
        of_the_shop(page, name, part);
        if let Some(limit) = room.config.max_in_flight {
            page.add(&catalogue::ROOM_IN_FLIGHT_LIMIT, &[name], limit);
        }
    }
}

/// Writes its snapshot and settings.
fn line(page: &mut Page, name: &str, room: &LiveRoom) {
    let (snapshot, terms) = (room.snapshot(), room.settings());
    let labels: &[&str] = &[name];
    let in_force = terms.in_force(&snapshot, Instant::now());
    let rules = &in_force.rules;
    page.add(&catalogue::ROOM_RATE_LIMIT, labels, rules.rate);
    page.add(&catalogue::ROOM_BURST_LIMIT, labels, rules.burst);
    if let Some(limit) = rules.total_active_users {
        page.add(&catalogue::ROOM_ACTIVE_LIMIT, labels, limit);
    }
    let left = snapshot.view.as_ref().map_or(1, |view| view.waiting() + view.claimants + view.entering);
    for state in State::ALL {
        page.flag(&catalogue::ROOM_STATE, &[name, state.name()], terms.state.with_left(left) == state);
    }
    page.flag(&catalogue::ROOM_SUSPENDED, labels, in_force.suspended);
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
    page.add(&catalogue::ROOM_RATE, labels, view.rate(rules));
    for kind in CapKind::ALL {
        page.flag(&catalogue::ROOM_CAPPED, &[name, kind.name()], view.capped_by == Some(kind));
    }
    if let Some(stock) = &view.stock {
        page.add(&catalogue::ROOM_STOCK_LEFT, labels, stock.left);
        page.add(&catalogue::ROOM_STOCK_HELD, labels, stock.held);
        for state in StockState::ALL {
            page.flag(&catalogue::ROOM_STOCK_STATE, &[name, state.name()], stock.state == state);
        }
    }
    page.add(&catalogue::ROOM_ACTIVE, labels, view.active);
    page.add(&catalogue::ROOM_CLAIMANTS, labels, view.claimants);
    page.add(&catalogue::ROOM_OWED, labels, view.owed);
    page.add(&catalogue::ROOM_PLACES_GIVEN, labels, view.segments.given_by_operators());
    page.add(&catalogue::ROOM_SPEED, labels, view.speed);
    page.add(&catalogue::ROOM_SHOW_SHARE, labels, view.show_share);
    page.add(&catalogue::ROOM_SEGMENTS, labels, view.segments.earlier() + 1);
    page.add(&catalogue::ROOM_TICKETS, labels, view.given());
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

/// Writes the state of an upstream.
fn upstream(page: &mut Page, upstream: &Upstream) {
    let (settings, counters) = (upstream.settings(), upstream.counters());
    let name = settings.name.as_str();
    for (result, count) in [
        ("answered", &counters.answered),
        ("failed", &counters.failed),
        ("busy", &counters.busy),
        ("retried", &counters.retried),
        ("not_retried", &counters.not_retried),
        ("abandoned", &counters.abandoned),
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
    for (who, class) in TRAFFIC {
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

/// Writes the state of the gate of a route.
fn gate(page: &mut Page, gate: &RouteGate) {
    let (settings, counters, gauges) = (gate.settings(), gate.counters(), gate.gauges());
    let labels = [settings.route.as_str(), settings.class.name()];
    page.add(&catalogue::ROUTE_IN_FLIGHT, &labels, gauges.in_flight);
    if let Some(limit) = settings.max_in_flight {
        page.add(&catalogue::ROUTE_IN_FLIGHT_LIMIT, &labels, limit);
    }
    page.add(&catalogue::ROUTE_WAITING, &labels, gauges.waiting);
    for (result, count) in [
        ("passed", &counters.passed),
        ("held", &counters.held),
        ("busy", &counters.busy),
        ("in_doubt", &counters.in_doubt),
    ] {
        page.count(&catalogue::ROUTE_REQUESTS, &[labels[0], labels[1], result], count);
    }
    page.add(&catalogue::ROUTE_GIVEN_UP, &labels, gauges.given_up);
    page.add(&catalogue::ROUTE_MISSED, &labels, gauges.missed);
}
