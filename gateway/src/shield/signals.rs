//! The signals of a room, and the guard that acts by them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderValue;
use policy::Millis;
use policy::cap::{Cap, CapKind, CapSource};
use policy::shield::governor::{Governor, Ruling};
use policy::shield::orca;
use policy::shield::signals::Advice;
use serde::Serialize;

use super::signal::Signal;
use crate::line::rooms::LiveRoom;
use crate::settings::config::{SignalConfig, SignalKind};
use crate::telemetry::Seldom;

/// How long a cap holds that is not said again: it is, each second.
const TTL: Millis = 3_000;

/// The signals of a room.
#[derive(Debug)]
pub(crate) struct RoomSignals {
    written: Vec<SignalConfig>,
    pub(super) signals: Vec<Arc<Signal>>,
    acting: Mutex<Acting>,
    told: Seldom,
    since: Instant,
}

/// The guard, and what it did last.
#[derive(Debug, Default)]
struct Acting {
    governor: Governor,
    /// Passes that the line had given at the last tick, and when that was.
    granted: Option<(u64, Instant)>,
    ruling: Option<Ruling>,
    capped: Option<CapKind>,
}

/// A signal, in the status of its room.
#[derive(Debug, Serialize)]
pub(crate) struct SignalStatus {
    /// `orca`, `prometheus`, `postgres` or `latency`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// How full the shop is by its last value, 1 being what the operator calls full; `null`: there is none.
    pub full: Option<f64>,
    /// How old that is, in milliseconds.
    pub age_ms: Option<Millis>,
    /// `absent`: no value; `old`: one that does not count any more; `fresh`; `binds`: and the rate is lower by it;
    /// `not_caused_by_load`: the same, and a lower rate does not help.
    pub state: &'static str,
    /// Why there is no new value.
    pub problem: Option<String>,
}

impl SignalStatus {
    /// Whether its value counts.
    pub(crate) fn is_fresh(&self) -> bool {
        !["absent", "old"].contains(&self.state)
    }
}

impl RoomSignals {
    /// Signals without a value.
    pub(crate) fn of(written: &[SignalConfig]) -> Self {
        Self {
            written: written.to_vec(),
            signals: written.iter().map(|signal| Arc::new(Signal::new(signal.clone()))).collect(),
            acting: Mutex::default(),
            told: Seldom::default(),
            since: Instant::now(),
        }
    }

    /// Whether this is what was written.
    pub(crate) fn are(&self, written: &[SignalConfig]) -> bool {
        self.written == written
    }

    /// Takes in what a server of the shop reports of its load. Returns whether some signal could read it, or none reads any.
    pub(crate) fn reported(&self, room: &str, server: u32, report: &[HeaderValue]) -> bool {
        let mut readers = self.signals.iter().filter(|signal| signal.config.kind == SignalKind::Orca);
        readers.all(|signal| {
            let values = report.iter().map(|line| orca::value(line.as_bytes(), signal.config.metric()));
            match values.reduce(Result::or) {
                Some(Ok(value)) => signal.measured(room, server, value, Duration::ZERO),
                Some(Err(bad)) => {
                    signal.failed(room, &bad);
                    false
                }
                None => true,
            }
        })
    }

    /// Counts an answer to a request with a pass: the time until its head.
    pub(crate) fn took(&self, took: Duration) {
        self.signals.iter().for_each(|signal| signal.took(took));
    }

    /// The signals at this moment.
    pub(crate) fn status(&self, now: Instant) -> Vec<SignalStatus> {
        let ruling = self.acting.lock().unwrap_or_else(PoisonError::into_inner).ruling;
        let tell = |(place, signal): (usize, &Arc<Signal>)| {
            let last = signal.highest(now);
            let state = match last.map(|last| signal.is_fresh(&last, now)) {
                None => "absent",
                Some(false) => "old",
                Some(true) => match ruling.filter(|ruling| ruling.by == place).map(|ruling| ruling.advice) {
                    None => "fresh",
                    Some(Advice::Cap(_)) => "binds",
                    Some(Advice::NotCausedByLoad(_)) => "not_caused_by_load",
                },
            };
            SignalStatus {
                kind: signal.config.kind.name(),
                name: signal.config.name.clone(),
                full: last.map(|last| (last.full * 1_000.0).round() / 1_000.0),
                age_ms: last.map(|last| now.saturating_duration_since(last.at).as_millis() as Millis),
                state,
                problem: signal.problem().clone(),
            }
        };
        self.signals.iter().enumerate().map(tell).collect()
    }

    /// A second is over: tells the room's line what the guard of this gateway, of this id, has to say.
    pub(super) fn second(&self, live: &Arc<LiveRoom>, id: u32) {
        let (now, room) = (Instant::now(), live.title());
        let signals: Vec<_> = self.signals.iter().map(|signal| signal.second(&room, now)).collect();
        let Some(granted) = live.snapshot().view.as_ref().map(|view| view.granted) else { return };
        let ceiling = live.settings().in_force(&live.snapshot(), now).rules.rate;
        let acting = &mut *self.acting.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, at) = acting.granted.replace((granted, now)).unwrap_or((granted, now));
        let seconds = now.saturating_duration_since(at).as_secs_f64().max(0.1);
        let admitted = granted.saturating_sub(before) as f64 / seconds;
        acting.ruling = acting.governor.tick(&signals, admitted, ceiling);
        let bound = acting.ruling.and_then(|ruling| Some((self.signals.get(ruling.by)?, ruling.advice)));
        let kind = bound.map(|(signal, _)| signal.config.kind.cap());
        // A full mailbox drops it: a cap is said again in a second, and ends by itself.
        if let Some(ended) = acting.capped.filter(|&capped| Some(capped) != kind) {
            live.set_cap(Cap { source: CapSource::new(ended, id), rate: 0.0, ttl: 0 });
        }
        if let Some((signal, advice)) = bound {
            live.set_cap(Cap { source: CapSource::new(signal.config.kind.cap(), id), rate: advice.rate(), ttl: TTL });
            if matches!(advice, Advice::NotCausedByLoad(_)) && self.told.is_due(self.since.elapsed()) {
                let signal = &signal.config.name;
                tracing::warn!(%room, signal, "the signal stays high though fewer are let in: load is not the cause, so the rate stays");
            }
        }
        acting.capped = kind;
    }
}
