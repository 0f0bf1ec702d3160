//! One signal: its latest value, where each gets it, and why there is none.

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use policy::shield::governor::full;

use super::latencies::Latencies;
use crate::settings::config::{SignalConfig, SignalKind};
use crate::telemetry::Seldom;

/// How long a question may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(2);
/// A value that comes with the shop's answers is fresh for so long.
const FRESH: Duration = Duration::from_secs(5);
/// So many times as long a value is shown, as an old one.
const SHOWN: u32 = 12;
/// Servers of the shop in memory. Reports of others are left out: that many stand behind no room.
const MOST_SERVERS: usize = 256;
/// Shards of the servers.
const PARTS: usize = 4;

/// A value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// 1.0 is full.
    pub(super) full: f64,
    /// When it was so.
    pub(super) at: Instant,
}

/// One signal of a room.
#[derive(Debug)]
pub(super) struct Signal {
    pub(super) config: SignalConfig,
    /// The latest value; of "orca" that of each server.
    latest: DashMap<u32, Measured>,
    latencies: Latencies,
    /// Why the last question or report told nothing.
    problem: Mutex<Option<String>>,
    told: Seldom,
    since: Instant,
}

impl Signal {
    pub(super) fn new(config: SignalConfig) -> Self {
        Self {
            config,
            latest: DashMap::with_shard_amount(PARTS),
            latencies: Latencies::default(),
            problem: Mutex::default(),
            told: Seldom::default(),
            since: Instant::now(),
        }
    }

    /// Takes in a value of some age, of this server or else of 0. Returns whether it measures anything.
    pub(super) fn measured(&self, room: &str, server: u32, value: f64, age: Duration) -> bool {
        let full = match full(value, self.config.full_at) {
            Ok(full) => full,
            Err(lie) => {
                self.failed(room, &lie);
                return false;
            }
        };
        let Some(at) = Instant::now().checked_sub(age).filter(|_| age <= self.fresh_for()) else {
            self.failed(room, &format_args!("a value that is {} s old", age.as_secs()));
            return false;
        };
        if self.latest.len() < MOST_SERVERS || self.latest.contains_key(&server) {
            self.latest.insert(server, Measured { full, at });
        }
        self.problem().take();
        true
    }

    /// Remembers why there is no value, and logs it once a minute. The last one holds until it is too old.
    pub(super) fn failed(&self, room: &str, why: &dyn Display) {
        let why = why.to_string();
        if self.told.is_due(self.since.elapsed()) {
            tracing::warn!(
                room,
                signal = self.config.name,
                "a signal tells nothing, and nothing is capped by it: {why}"
            );
        }
        *self.problem() = Some(why);
    }

    /// Counts an answer of the shop.
    pub(super) fn took(&self, took: Duration) {
        if self.config.kind == SignalKind::Latency {
            self.latencies.count(took);
        }
    }

    /// A second is over: how full the shop is, if that is known.
    pub(super) fn second(&self, room: &str, now: Instant) -> Option<f64> {
        if self.config.kind == SignalKind::Latency
            && let Some(p95) = self.latencies.second()
        {
            self.measured(room, 0, p95, Duration::ZERO);
        }
        let fresh_for = self.fresh_for();
        let highest = self.highest(now);
        self.latest.retain(|_, measured| now.saturating_duration_since(measured.at) <= fresh_for * SHOWN);
        highest.filter(|highest| self.is_fresh(highest, now)).map(|highest| highest.full)
    }

    /// The highest of what is fresh, or else the latest.
    pub(super) fn highest(&self, now: Instant) -> Option<Measured> {
        let all = self.latest.iter().map(|entry| *entry.value());
        all.max_by(|a, b| match (self.is_fresh(a, now), self.is_fresh(b, now)) {
            (true, true) => a.full.total_cmp(&b.full),
            _ => a.at.cmp(&b.at),
        })
    }

    /// Whether a value may be acted on.
    pub(super) fn is_fresh(&self, measured: &Measured, now: Instant) -> bool {
        now.saturating_duration_since(measured.at) <= self.fresh_for()
    }

    /// How long that is: one question may fail.
    fn fresh_for(&self) -> Duration {
        match self.config.kind {
            SignalKind::Orca | SignalKind::Latency => FRESH,
            SignalKind::Prometheus | SignalKind::Postgres => 2 * self.config.interval + DEADLINE,
        }
    }

    /// Why there is no new value.
    pub(super) fn problem(&self) -> MutexGuard<'_, Option<String>> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
