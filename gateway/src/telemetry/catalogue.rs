//! Every metric: its name, kind, unit, labels and help. `docs/metrics.md` is this list, and a test holds them together.

use std::fmt::Write as _;

use metrics::{Key, Label};

/// How a value changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, from 0 at the start of the process.
    Counter,
    /// A present value.
    Gauge,
    /// Numbers of values up to each bound.
    Histogram,
}

impl Kind {
    /// As in the exposition format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How it changes.
    pub kind: Kind,
    /// Its unit.
    pub unit: &'static str,
    /// Its labels, in the order in which their values are given.
    pub labels: &'static [&'static str],
    help: &'static str,
}

impl Metric {
    /// Its help text.
    pub fn help(&self) -> &'static str {
        self.help.trim_start()
    }

    /// One of its series, by the values of its labels in their order.
    pub fn key(&self, values: &[&str]) -> Key {
        debug_assert_eq!(values.len(), self.labels.len(), "{}", self.name);
        let labels = self.labels.iter().zip(values).map(|(&name, &value)| Label::new(name, value.to_owned()));
        Key::from_parts(self.name, labels.collect::<Vec<_>>())
    }
}

macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $id:ident: $kind:ident $name:literal in $unit:literal [$($label:literal),*];)+) => {
        $(
            $(#[doc = $help])+
            pub const $id: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                unit: $unit,
                labels: &[$($label),*],
                help: concat!($($help),+),
            };
        )+
        /// All of them, in their order on the page.
        pub const ALL: &[Metric] = &[$($id),+];
    };
}

metrics! {
    /// Always 1; which build this is.
    BUILD_INFO: Gauge "weir_build_info" in "info" ["version"];
    /// Actions of operators that were done here, by action.
    ACTIONS: Counter "weir_actions_total" in "actions" ["action"];
    /// Number of the last line of the audit that this gateway saw.
    AUDIT_LINES: Gauge "weir_audit_lines" in "lines" [];
    /// Whether new shoppers should be sent to this gateway, as `/readyz` says it.
    READY: Gauge "weir_ready" in "boolean" [];
    /// File descriptors that are open.
    OPEN_FDS: Gauge "process_open_fds" in "descriptors" [];
    /// File descriptors that may be open.
    MAX_FDS: Gauge "process_max_fds" in "descriptors" [];
    /// Time of the processor that was used, in user and system mode.
    CPU_SECONDS: Counter "process_cpu_seconds_total" in "seconds" [];
    /// Memory that is resident.
    RESIDENT_BYTES: Gauge "process_resident_memory_bytes" in "bytes" [];
    /// When the process started, since 1970.
    START_TIME: Gauge "process_start_time_seconds" in "seconds" [];

    /// Requests by room (empty: of no room) and verdict: what was decided about them.
    REQUESTS: Counter "weir_requests_total" in "requests" ["room", "verdict"];
    /// Answers by room, what became of the request in one word, and class of the status that the shopper saw.
    RESPONSES: Counter "weir_responses_total" in "answers" ["room", "disposition", "status"];
    /// From the head of a request to the head of its answer, by what became of the request.
    REQUEST_SECONDS: Histogram "weir_request_seconds" in "seconds" ["disposition"];
    /// Newcomers who asked for a place and got none, and why. Other requests that were turned away are in `weir_requests_total` alone.
    JOINS_REFUSED: Counter "weir_joins_refused_total" in "users" ["room", "reason"];
    /// Questions that shoppers opened on the page of answers: what else they might have asked a help desk.
    ANSWERS_OPENED: Counter "weir_answers_opened_total" in "requests" ["room", "question"];
    /// Requests that were to go on to the shop and got no answer of it, by the reason that the access line has too.
    UNANSWERED: Counter "weir_requests_unanswered_total" in "requests" ["room", "reason"];
    /// Tokens that were shown and did not count, and why.
    TOKENS_IGNORED: Counter "weir_tokens_ignored_total" in "tokens" ["room", "reason"];
    /// Requests let through because the store was away and the room fails open.
    FAIL_OPEN: Counter "weir_fail_open_total" in "requests" ["room"];
    /// Requests whose head could not be read: not HTTP, too long, or of two lengths.
    UNREADABLE: Counter "weir_requests_unreadable_total" in "requests" [];
    /// Headers that were not passed on because a shop could read their names as others.
    AMBIGUOUS_HEADERS: Counter "weir_request_headers_ambiguous_total" in "headers" [];
    /// Requests of peers that say for whom they ask and are not in `listen.trusted_proxies`.
    UNTRUSTED_FORWARDED: Counter "weir_untrusted_forwarded_total" in "requests" [];
    /// Connections to addresses of `listen.proxy_protocol`, by what came of their header.
    PROXY_HEADERS: Counter "weir_proxy_headers_total" in "connections" ["result"];

    /// Connections of shoppers that are open.
    CONNECTIONS: Gauge "weir_connections" in "connections" [];
    /// Those, by class, as of the last second.
    CONNECTIONS_BY_CLASS: Gauge "weir_connections_by_class" in "connections" ["class"];
    /// Connections that there may be; fewer than configured where descriptors lack.
    CONNECTIONS_LIMIT: Gauge "weir_connections_limit" in "connections" [];
    /// Connections turned away because none could be closed for them.
    CONNECTIONS_REFUSED: Counter "weir_connections_refused_total" in "connections" [];
    /// Connections closed for others, by the bound that was the reason.
    CONNECTIONS_EVICTED: Counter "weir_connections_evicted_total" in "connections" ["reason"];
    /// Times that a connection without a pass had to wait for its worker, which had more to do than it could.
    CONNECTIONS_DEFERRED: Counter "weir_connections_deferred_total" in "times" [];
    /// Bytes of answers that were made and not taken, as of the last second.
    ANSWER_BUFFER: Gauge "weir_answer_buffer_bytes" in "bytes" [];
    /// Bytes of bodies that workers hold in memory.
    BUFFERED: Gauge "weir_buffered_bytes" in "bytes" [];
    /// Clients that the quotas remember.
    QUOTA_CLIENTS: Gauge "weir_quota_clients" in "clients" [];

    /// Tickets handed out and not called.
    ROOM_WAITING: Gauge "weir_room_waiting_tickets" in "tickets" ["room"];
    /// Passes that live.
    ROOM_ACTIVE: Gauge "weir_room_active_users" in "users" ["room"];
    /// Passes that may live at once (`total_active_users`); absent without that bound.
    ROOM_ACTIVE_LIMIT: Gauge "weir_room_active_users_limit" in "users" ["room"];
    /// New shoppers that may enter in a second (`new_users_per_minute` / 60).
    ROOM_RATE_LIMIT: Gauge "weir_room_admissions_limit_per_second" in "users per second" ["room"];
    /// New shoppers that may enter in a second at this moment: less than the limit while the shop, or what stands behind it, takes fewer.
    ROOM_RATE: Gauge "weir_room_admissions_allowed_per_second" in "users per second" ["room"];
    /// Whether a source of this kind keeps the room below its limit.
    ROOM_CAPPED: Gauge "weir_room_capped" in "boolean" ["room", "by"];
    /// How full the shop is by this signal, 1 being what the operator calls full; absent without a fresh value.
    ROOM_SIGNAL_FULL: Gauge "weir_room_signal_full" in "of full" ["room", "signal"];
    /// Whether this signal has a fresh value.
    ROOM_SIGNAL_FRESH: Gauge "weir_room_signal_fresh" in "boolean" ["room", "signal"];
    /// What the shop told in its answers (revoke, rate, stock, load), and whether it is in force.
    SHOP_WORDS: Counter "weir_shop_words_total" in "words" ["room", "word", "result"];
    /// Items that can still be ordered, over all products; absent while the shop does not tell.
    ROOM_STOCK_LEFT: Gauge "weir_room_stock_left" in "items" ["room"];
    /// Items in orders that are not paid yet, over all products; absent while the shop does not tell.
    ROOM_STOCK_HELD: Gauge "weir_room_stock_held" in "items" ["room"];
    /// Whether the stock is in this state; absent while the shop does not tell.
    ROOM_STOCK_STATE: Gauge "weir_room_stock_state" in "boolean" ["room", "state"];
    /// New shoppers that a calm room may let in at once (burst).
    ROOM_BURST_LIMIT: Gauge "weir_room_burst_limit" in "users" ["room"];
    /// Whether the room is in this state, by what an arriving visitor gets.
    ROOM_STATE: Gauge "weir_room_state" in "boolean" ["room", "state"];
    /// Whether all newcomers wait and nobody is let in (`queue_all`).
    ROOM_QUEUE_ALL: Gauge "weir_room_queue_all" in "boolean" ["room"];
    /// Whether newcomers are refused and the line stands (suspended).
    ROOM_SUSPENDED: Gauge "weir_room_suspended" in "boolean" ["room"];
    /// Whether the store fails to answer for the room.
    ROOM_STORE_AWAY: Gauge "weir_room_store_away" in "boolean" ["room"];
    /// Whether this gateway lives on its lease meanwhile.
    ROOM_ON_LEASE: Gauge "weir_room_on_lease" in "boolean" ["room"];
    /// Whether this gateway reaches no server of the room's upstream, and lets nobody in from the line.
    ROOM_SHOP_RESTS: Gauge "weir_room_shop_rests" in "boolean" ["room"];
    /// Called shoppers who wait for a token or a seat.
    ROOM_CLAIMANTS: Gauge "weir_room_claimants" in "users" ["room"];
    /// Tokens that the rate has yet to pay for shoppers let in before their time (`weir let-in`).
    ROOM_OWED: Gauge "weir_room_owed" in "users" ["room"];
    /// Places that operators gave by code (`weir give-place`).
    ROOM_PLACES_GIVEN: Counter "weir_room_places_given_total" in "places" ["room"];
    /// Speed of the line.
    ROOM_SPEED: Gauge "weir_room_speed_tickets_per_second" in "tickets per second" ["room"];
    /// Share of called tickets whose holders come.
    ROOM_SHOW_SHARE: Gauge "weir_room_show_share_ratio" in "ratio" ["room"];
    /// Wait that a newcomer is shown now: the ends of the range; absent while none is told.
    ROOM_SHOWN_WAIT: Gauge "weir_room_shown_wait_seconds" in "seconds" ["room", "bound"];
    /// Wait of those who entered from the line through this gateway, from their number to their pass.
    ROOM_WAIT: Histogram "weir_room_wait_seconds" in "seconds" ["room"];
    /// Those who entered from the line, by their wait against the range that was shown with their number.
    ROOM_SHOWN_WAITS: Counter "weir_room_shown_waits_total" in "users" ["room", "entered"];
    /// How far the wait of those who entered from the line lay outside the range that was shown with their number; 0 within it.
    ROOM_WAIT_ERROR: Histogram "weir_room_wait_error_seconds" in "seconds" ["room"];
    /// Rooms in which nothing happens: the store is not asked for them.
    ROOMS_DORMANT: Gauge "weir_rooms_dormant" in "rooms" [];
    /// Segments of the line: one more for each loss of writes that is remembered.
    ROOM_SEGMENTS: Gauge "weir_room_segments" in "segments" ["room"];
    /// Passes that are remembered, and for what.
    ROOM_REMEMBERED: Gauge "weir_room_passes_remembered" in "passes" ["room", "what"];
    /// Places kept while the store was away.
    ROOM_PLACES_KEPT: Counter "weir_room_places_kept_total" in "places" ["room"];
    /// Tickets handed out, over all gateways.
    ROOM_TICKETS: Counter "weir_room_tickets_total" in "tickets" ["room"];
    /// Tickets called, over all gateways.
    ROOM_CALLED: Counter "weir_room_called_total" in "tickets" ["room"];
    /// Passes given, over all gateways.
    ROOM_ADMITTED: Counter "weir_room_admitted_total" in "passes" ["room"];
    /// Tickets whose claim window ended without a claim, over all gateways.
    ROOM_NO_SHOWS: Counter "weir_room_no_shows_total" in "tickets" ["room"];
    /// Passes given beyond limits that are only reported (passthrough), over all gateways.
    ROOM_OVER_LIMIT: Counter "weir_room_over_limit_total" in "passes" ["room"];
    /// Passes given for tickets that had one already, on the two sides of a cut, over all gateways.
    ROOM_SECOND_PASSES: Counter "weir_room_second_passes_total" in "passes" ["room"];
    /// Losses of writes that were noticed in the store.
    ROOM_LOSSES: Counter "weir_room_losses_total" in "losses" ["room"];
    /// Passes that this gateway gave under its lease, while the store was away.
    LEASE_GRANTS: Counter "weir_lease_grants_total" in "passes" ["room"];
    /// Passes that lost their seats because they never came back.
    ROOM_EVICTIONS: Counter "weir_room_evictions_total" in "passes" ["room"];
    /// Requests of the room in work, where it has a limit of its own.
    ROOM_IN_FLIGHT: Gauge "weir_room_in_flight" in "requests" ["room"];
    /// Requests of the room that may be in work at once (`max_in_flight`); absent without that limit.
    ROOM_IN_FLIGHT_LIMIT: Gauge "weir_room_in_flight_limit" in "requests" ["room"];
    /// Requests that wait for the room's turn.
    ROOM_WAITING_REQUESTS: Gauge "weir_room_waiting_requests" in "requests" ["room"];
    /// Requests whose turn in the room's limit did not come in time.
    ROOM_BUSY: Counter "weir_room_busy_total" in "requests" ["room"];

    /// From the request on its way to a server to the head of its answer, by class of traffic.
    UPSTREAM_LATENCY: Histogram "weir_upstream_response_seconds" in "seconds" ["upstream", "server", "class"];
    /// Answers of a server by class of traffic and of status.
    UPSTREAM_RESPONSES: Counter "weir_upstream_responses_total" in "answers" ["upstream", "server", "class", "status"];
    /// Failures of a server: requests and attempts to connect that came to no answer.
    UPSTREAM_FAILURES: Counter "weir_upstream_failures_total" in "failures" ["upstream", "server", "reason"];
    /// Whether neither health checks nor requests found fault with the server.
    UPSTREAM_USABLE: Gauge "weir_upstream_server_usable" in "boolean" ["upstream", "server"];
    /// Whether the name of the server could be looked up last time; absent if it has none.
    UPSTREAM_RESOLVED: Gauge "weir_upstream_server_resolved" in "boolean" ["upstream", "server"];
    /// Failures of TLS with the server.
    UPSTREAM_TLS_FAILURES: Counter "weir_upstream_tls_failures_total" in "failures" ["upstream", "server", "reason"];
    /// Failures of HTTP/2 with the server.
    UPSTREAM_HTTP2_FAILURES: Counter "weir_upstream_http2_failures_total" in "failures" ["upstream", "server", "reason"];
    /// Requests by what came of them at the upstream.
    UPSTREAM_REQUESTS: Counter "weir_upstream_requests_total" in "requests" ["upstream", "result"];
    /// Connections opened to its servers.
    UPSTREAM_CONNECTIONS: Counter "weir_upstream_connections_total" in "connections" ["upstream"];
    /// Times that a server was taken out of use for its failures.
    UPSTREAM_EJECTIONS: Counter "weir_upstream_ejections_total" in "times" ["upstream"];
    /// Requests in work.
    UPSTREAM_IN_FLIGHT: Gauge "weir_upstream_in_flight" in "requests" ["upstream"];
    /// Requests that may be in work at once (`max_in_flight`).
    UPSTREAM_IN_FLIGHT_LIMIT: Gauge "weir_upstream_in_flight_limit" in "requests" ["upstream"];
    /// Of these, kept for holders of a pass (`pass_reserve`).
    UPSTREAM_RESERVE: Gauge "weir_upstream_pass_reserve" in "requests" ["upstream"];
    /// Requests in work by class of traffic.
    UPSTREAM_PERMITS: Gauge "weir_upstream_permits" in "requests" ["upstream", "class"];
    /// Requests that wait for their turn; who gave up may still be counted.
    UPSTREAM_WAITING: Gauge "weir_upstream_waiting_requests" in "requests" ["upstream"];
    /// Upgraded connections (`WebSockets`) that are open.
    UPSTREAM_UPGRADED: Gauge "weir_upstream_upgraded_connections" in "connections" ["upstream"];
    /// Upgraded connections that may be open (`max_upgraded`).
    UPSTREAM_UPGRADED_LIMIT: Gauge "weir_upstream_upgraded_limit" in "connections" ["upstream"];

    /// Requests in work of a route with a class.
    ROUTE_IN_FLIGHT: Gauge "weir_route_in_flight" in "requests" ["route", "class"];
    /// Requests of the route that may be in work at once (`max_in_flight`); absent without that limit.
    ROUTE_IN_FLIGHT_LIMIT: Gauge "weir_route_in_flight_limit" in "requests" ["route", "class"];
    /// Passes with a place in the line of the route.
    ROUTE_WAITING: Gauge "weir_route_waiting_passes" in "passes" ["route", "class"];
    /// Requests of the route by what came of them: on to the shop, held with a place, turned away without one, in doubt after all.
    ROUTE_REQUESTS: Counter "weir_route_requests_total" in "requests" ["route", "class", "result"];
    /// Places in the line of the route that nobody asked for any more.
    ROUTE_GIVEN_UP: Counter "weir_route_places_given_up_total" in "places" ["route", "class"];
    /// Turns in the line of the route that were told and not used.
    ROUTE_MISSED: Counter "weir_route_turns_missed_total" in "turns" ["route", "class"];

    /// Jumps of the store's clock by more than 2 s, ahead or back: events begin and end by it.
    STORE_CLOCK_JUMPS: Counter "weir_store_clock_jumps_total" in "jumps" ["direction"];
    /// Calls of the store.
    STORE_CALLS: Counter "weir_store_calls_total" in "calls" ["result"];
    /// How long they took.
    STORE_SECONDS: Histogram "weir_store_call_seconds" in "seconds" [];
    /// The version of the rooms that is in force here; 0 are those of the file.
    ROOMS_VERSION: Gauge "weir_rooms_version" in "version" [];
    /// The version that the store says is in force.
    ROOMS_VERSION_WANTED: Gauge "weir_rooms_version_wanted" in "version" [];
    /// Gateways on the store that were heard of lately, this one included.
    GATEWAYS: Gauge "weir_gateways" in "gateways" [];
    /// Whether this gateway has no key in common with the others.
    KEYS_FOREIGN: Gauge "weir_keys_foreign" in "boolean" [];
    /// Gateways that have none of its keys.
    OTHER_KEYS: Gauge "weir_gateways_with_other_keys" in "gateways" [];

    /// Reloads, of what and with which result.
    RELOADS: Counter "weir_reloads_total" in "reloads" ["what", "result"];
    /// Whether the last reload was taken; 1 before the first.
    RELOAD_OK: Gauge "weir_last_reload_ok" in "boolean" ["what"];
    /// Whether configuration, certificates or keys are being read for longer than they should.
    FILES_STALLED: Gauge "weir_files_stalled" in "boolean" [];
    /// When a certificate runs out, since 1970: of those that are shown to shoppers, and to the shop.
    CERTIFICATE_END: Gauge "weir_certificate_not_after_timestamp_seconds" in "seconds" ["shown_to", "file"];
    /// Log lines that were not written: of the stream of events or of access lines, over the rate of one place in the code or for want of a reader.
    LOG_DROPPED: Counter "weir_log_dropped_total" in "lines" ["stream", "why"];
    /// How much of a limit of the kernel is in use; absent where the kernel does not tell.
    MACHINE_USED: Gauge "weir_machine_used" in "of the limit" ["limit"];
    /// How much there may be.
    MACHINE_LIMIT: Gauge "weir_machine_limit" in "of the limit" ["limit"];
    /// Connections that found a full listening queue, on this machine since it started.
    LISTEN_OVERFLOWS: Counter "weir_machine_listen_overflows_total" in "connections" [];
    /// Those, and others that were dropped on their way into it.
    LISTEN_DROPS: Counter "weir_machine_listen_drops_total" in "connections" [];
    /// Packets that a full connection tracking table has cost, on this machine since it started.
    CONNTRACK_DROPS: Counter "weir_machine_conntrack_drops_total" in "packets" [];
}

/// The list as it stands in the documents.
pub fn table() -> String {
    let mut text = String::from("| metric | kind | unit | labels | what it says |\n|---|---|---|---|---|\n");
    for metric in ALL {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, unit, help) = (metric.name, metric.kind.name(), metric.unit, metric.help());
        // Writing to a String does not fail.
        let _ = writeln!(text, "| `{name}` | {kind} | {unit} | {} | {help} |", labels.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_is_given_once_and_ends_with_its_unit() {
        let names: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len());
        for metric in ALL {
            let Metric { name, kind, unit, .. } = *metric;
            assert_eq!(kind == Kind::Counter, name.ends_with("_total"), "{name}");
            let bare = name.trim_end_matches("_total");
            match unit {
                "seconds" | "bytes" | "ratio" => assert!(bare.ends_with(&format!("_{unit}")), "{name} in {unit}"),
                _ => assert!(!["_seconds", "_bytes"].iter().any(|end| bare.ends_with(end)), "{name} in {unit}"),
            }
            assert!(metric.help().ends_with('.') && !metric.help().contains('|'), "{name}: {}", metric.help());
        }
    }
}
