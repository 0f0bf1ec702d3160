//! The capacity of this machine: file descriptors for the bounds of the configuration, and the kernel's limits.
//!
//! At the start the limit of descriptors is raised as far as this process may. If the bounds of the configuration still
//! do not fit, fewer connections are accepted: some descriptors are always reserved for the shop, or a gateway with too
//! many visitors would answer 502 to holders of a pass.
//!
//! In service, a thread of its own reads once a second the limits that end a launch in silence ([`machine`]):
//! metrics show them, and the log says once, with the remedy, that one is near its end or has been reached.
//!
//! Out of scope: how they are read ([`machine`]).

use std::time::{Duration, Instant};

use machine::{Level, Usage};

use crate::request::listener::BACKLOG;
use crate::settings::config::Config;
use crate::telemetry::{PROCESS, catalogue};

/// Descriptors for everything but shoppers and the shop: log, store, operators, runtimes.
const OTHERS: u64 = 192;
/// Descriptors of each worker beside its sockets.
const OF_A_WORKER: u64 = 8;
/// Interval between readings of the limits...
const LOOK: Duration = Duration::from_secs(1);
/// ...and of the more expensive ones, in readings.
const RARELY: u32 = 10;
/// A lasting problem is logged again after this time.
const AGAIN: Duration = Duration::from_mins(1);
/// A limit that was near its end is logged again only if less than this share was in use in between.
const CALM: f64 = 0.7;

/// Descriptors that the bounds of a configuration may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Connections of shoppers.
    pub connections: u64,
    /// Connections to the shop.
    pub upstreams: u64,
    /// Everything else.
    pub others: u64,
}

impl Needs {
    /// The needs of a configuration.
    pub fn of(config: &Config) -> Self {
        let workers = config.listen.workers as u64;
        let addresses = (config.listen.http.len() + config.listen.https.len()) as u64;
        let upstream = |upstream: &crate::settings::config::UpstreamConfig| {
            let kept = upstream.servers.len() as u64 * workers * upstream.max_idle.min(upstream.max_in_flight) as u64;
            upstream.max_in_flight as u64 + kept
        };
        Self {
            connections: config.listen.max_connections as u64,
            upstreams: config.upstreams.iter().map(upstream).sum(),
            others: OTHERS + workers * (addresses + OF_A_WORKER),
        }
    }

    /// Their sum.
    pub fn all(self) -> u64 {
        self.connections + self.upstreams + self.others
    }

    /// Connections of shoppers that fit. The shop's connections come first, with up to half of what is left after the others.
    pub fn connections_within(self, limit: u64) -> u64 {
        let left = limit.saturating_sub(self.others);
        (left - self.upstreams.min(left / 2)).clamp(1, self.connections.max(1))
    }

    /// The problem and its remedy, if they do not fit.
    pub fn shortage(self, limit: u64) -> Option<String> {
        let Self { connections, upstreams, others } = self;
        let (all, within) = (self.all(), self.connections_within(limit));
        (all > limit).then(|| {
            format!(
                "{limit} file descriptors are allowed, and {all} may be needed (listen.max_connections {connections}, \
                 {upstreams} connections to the shop, {others} others): at most {within} connections are accepted; \
                 set LimitNOFILE={all} in the unit, ulimit -Hn {all}, or a smaller listen.max_connections"
            )
        })
    }
}

/// The shortage of this machine for a configuration, if it is started with the limits of this process.
pub fn shortage(config: &Config) -> Option<String> {
    Needs::of(config).shortage(machine::descriptor_hard_limit())
}

/// Makes the bound of connections fit into the descriptors of this process, and logs it if it did not.
pub fn fit(config: &mut Config) {
    let (needs, limit) = (Needs::of(config), machine::raise_descriptors());
    if let Some(shortage) = needs.shortage(limit) {
        tracing::error!("{shortage}");
        config.listen.max_connections = usize::try_from(needs.connections_within(limit)).unwrap_or(usize::MAX);
    }
}

/// Watches the kernel's limits as long as the process runs, on a thread of its own.
pub fn watch() {
    let look = || {
        let mut watch = CapacityWatcher::new();
        for round in 0_u32.. {
            watch.sample(round.is_multiple_of(RARELY));
            std::thread::sleep(LOOK);
        }
    };
    if let Err(error) = std::thread::Builder::new().name("capacity".to_owned()).spawn(look) {
        tracing::warn!(%error, "the kernel's limits are not watched");
    }
}

/// All watched limits.
struct CapacityWatcher {
    descriptors: Limit,
    conntrack: Limit,
    ports: Limit,
    overflows: Loss,
    dropped: Loss,
}

impl CapacityWatcher {
    fn new() -> Self {
        if let Some(backlog) = machine::listen_backlog().filter(|&backlog| backlog < BACKLOG.unsigned_abs().into()) {
            tracing::warn!(
                backlog,
                "few new connections may wait to be accepted, and a crowd that comes at once is cut off: \
                 sysctl net.core.somaxconn={BACKLOG}"
            );
        }
        Self {
            descriptors: Limit::new("descriptors", "raise LimitNOFILE or ulimit -n"),
            conntrack: Limit::new(
                "conntrack",
                "the kernel drops new connections when it is full: sysctl net.netfilter.nf_conntrack_max, or notrack \
                 rules for these ports",
            ),
            ports: Limit::new(
                "ephemeral_ports",
                "connections to one address need a port each, for a minute after their end too: more servers or \
                 addresses, a longer upstream.idle_timeout, sysctl net.ipv4.ip_local_port_range",
            ),
            overflows: Loss::new(
                "connections found a full listening queue: more workers or gateways, sysctl net.core.somaxconn",
            ),
            dropped: Loss::new("packets were dropped for want of room in the connection tracking table"),
        }
    }

    fn sample(&mut self, rarely: bool) {
        self.descriptors.note(machine::descriptors());
        self.conntrack.note(machine::conntrack());
        if rarely {
            let busiest = machine::busiest_destination();
            self.ports.note(busiest.map(|destination| destination.ports));
        }
        if let Some(losses) = machine::listen_losses() {
            PROCESS.counter(&catalogue::LISTEN_OVERFLOWS, &[]).absolute(losses.overflows);
            PROCESS.counter(&catalogue::LISTEN_DROPS, &[]).absolute(losses.drops);
            self.overflows.note(losses.overflows);
        }
        if let Some(drops) = machine::conntrack_drops() {
            PROCESS.counter(&catalogue::CONNTRACK_DROPS, &[]).absolute(drops);
            self.dropped.note(drops);
        }
    }
}

/// A limit of the kernel, and its last logged level.
struct Limit {
    name: &'static str,
    fix: &'static str,
    said: Level,
}

impl Limit {
    fn new(name: &'static str, fix: &'static str) -> Self {
        Self { name, fix, said: Level::Calm }
    }

    fn note(&mut self, usage: Option<Usage>) {
        let Some(usage) = usage else { return };
        let (Usage { used, limit }, name, fix) = (usage, self.name, self.fix);
        PROCESS.gauge(&catalogue::MACHINE_USED, &[name]).set(used as f64);
        PROCESS.gauge(&catalogue::MACHINE_LIMIT, &[name]).set(limit as f64);
        match self.news(usage) {
            Some(Level::Near) => tracing::warn!(limit_of = name, used, limit, "a limit of this machine is near: {fix}"),
            Some(Level::Reached) => {
                tracing::error!(limit_of = name, used, limit, "a limit of this machine is reached: {fix}");
            }
            _ => {}
        }
    }

    /// The level, if it is due to be logged.
    fn news(&mut self, usage: Usage) -> Option<Level> {
        let level = usage.level();
        if (usage.used as f64) < CALM * usage.limit as f64 {
            self.said = Level::Calm;
        }
        (level > self.said).then(|| {
            self.said = level;
            level
        })
    }
}

/// A count of losses, and when it was last logged.
struct Loss {
    what: &'static str,
    told: Option<Instant>,
    seen: Option<u64>,
}

impl Loss {
    fn new(what: &'static str) -> Self {
        Self { what, told: None, seen: None }
    }

    fn note(&mut self, count: u64) {
        let what = self.what;
        if let Some(lost) = self.news(count, Instant::now()) {
            tracing::warn!(lost, "{what}");
        }
    }

    /// The count to log: losses since the last log line, at most once per `AGAIN`. Losses before the first
    /// reading are not ours.
    fn news(&mut self, count: u64, now: Instant) -> Option<u64> {
        let seen = *self.seen.get_or_insert(count);
        let due = self.told.is_none_or(|at| now.duration_since(at) >= AGAIN);
        if count <= seen || !due {
            return None;
        }
        (self.seen, self.told) = (Some(count), Some(now));
        Some(count - seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: Needs = Needs { connections: 50_000, upstreams: 328, others: 200 };

    #[test]
    fn the_way_to_the_shop_has_its_descriptors_before_visitors_have_theirs() {
        assert_eq!(NEEDS.connections_within(1_000_000), 50_000);
        assert_eq!(NEEDS.connections_within(1_024), 1_024 - 200 - 328);
        assert_eq!(NEEDS.connections_within(500), 150, "half of what is left where it is not enough for both");
        assert_eq!(NEEDS.connections_within(100), 1);
    }

    #[test]
    fn a_limit_that_does_not_fit_is_told_with_its_numbers_and_the_way_out() {
        assert_eq!(NEEDS.shortage(NEEDS.all()), None);
        let told = NEEDS.shortage(1_024).unwrap_or_default();
        for word in ["1024 file", "50528", "at most 496 connections", "LimitNOFILE=50528", "max_connections"] {
            assert!(told.contains(word), "{word} is not in {told}");
        }
    }

    #[test]
    fn a_limit_is_told_of_when_it_gets_worse_and_again_after_a_calm() {
        let mut limit = Limit::new("descriptors", "more");
        let mut news = |used| limit.news(Usage { used, limit: 100 });
        assert_eq!(
            [50, 85, 90, 99, 100, 85, 75, 99].map(&mut news),
            [None, Some(Level::Near), None, Some(Level::Reached), None, None, None, None]
        );
        assert_eq!([60, 85].map(&mut news), [None, Some(Level::Near)]);
    }

    #[test]
    fn losses_are_told_once_a_minute_and_none_is_forgotten() {
        let (mut loss, start) = (Loss::new("lost"), Instant::now());
        let mut news = |count, seconds| loss.news(count, start + Duration::from_secs(seconds));
        assert_eq!(
            [news(1_000, 0), news(1_000, 1), news(1_005, 2), news(1_007, 3), news(1_010, 61)],
            [None, None, Some(5), None, None]
        );
        assert_eq!([news(1_010, 62), news(1_010, 200)], [Some(5), None]);
    }
}
