//! A crowd's live counters, second by second: written by its sender, read by any thread.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use evidence::stats::locked;
use evidence::{End, Latencies, Micros, Progress, Second, micros};
use launch_model::visit::Place;
use tokio::time::Instant;

const SECOND: Micros = 1_000_000;

/// A read handle on a crowd while it is sent. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<Mutex<Journal>>);

#[derive(Debug, Default)]
struct Journal {
    start: Option<Instant>,
    so_far: Progress,
    /// Most visitors at once.
    most: u64,
    seconds: Vec<Draft>,
}

/// The current second.
#[derive(Debug, Default)]
struct Draft {
    second: Second,
    inside: Tally,
    outside: Tally,
    lag: Tally,
}

/// Microseconds to three digits, with their counts.
type Tally = BTreeMap<u64, u64>;

/// The result of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) at: Micros,
    /// From due to answered, if there was an answer, in microseconds.
    pub(crate) latency: Option<Micros>,
    /// No answer, or a 5xx.
    pub(crate) failed: bool,
    /// Where the visitor stands; `None` for a request of an attack, whose latency counts for no visitor.
    pub(crate) place: Option<Place>,
}

impl Watch {
    /// Progress so far.
    pub fn progress(&self) -> Progress {
        let board = locked(&self.0);
        let elapsed = board.start.map_or(0, micros_since);
        let last = usize::try_from(elapsed / SECOND - 1).ok().and_then(|second| board.seconds.get(second));
        let p99 = |of: fn(&Draft) -> &Tally| last.map_or(0, |draft| quantile(of(draft), 0.99));
        Progress { elapsed, inside_p99: p99(|draft| &draft.inside), lag_p99: p99(|draft| &draft.lag), ..board.so_far }
    }

    pub(crate) fn begin(&self, start: Instant) {
        locked(&self.0).start = Some(start);
    }

    pub(crate) fn arrived(&self, at: Micros) {
        self.note(at, |second, so_far| {
            second.arrived += 1;
            so_far.arrived += 1;
        });
        let mut board = locked(&self.0);
        board.most = board.most.max(board.so_far.arrived - board.so_far.ended);
    }

    /// A request was sent `lag` microseconds after it was due.
    pub(crate) fn sent(&self, at: Micros, lag: Micros) {
        let mut board = locked(&self.0);
        let draft = board.at(at);
        draft.second.requests += 1;
        count(&mut draft.lag, lag);
        board.so_far.requests += 1;
    }

    pub(crate) fn answered(&self, outcome: Outcome) {
        let mut board = locked(&self.0);
        let draft = board.at(outcome.at);
        let tally = match outcome.place {
            Some(Place::Inside) => Some(&mut draft.inside),
            Some(_) => Some(&mut draft.outside),
            None => None,
        };
        if let (Some(tally), Some(latency)) = (tally, outcome.latency) {
            count(tally, latency);
        }
        draft.second.failed += u64::from(outcome.failed);
        board.so_far.failed += u64::from(outcome.failed);
    }

    /// A visitor moved from one place to another, or left.
    pub(crate) fn moved(&self, at: Micros, from: Place, to: Option<Place>) {
        self.note(at, |second, so_far| {
            match from {
                Place::Door => {}
                Place::Line => so_far.waiting -= 1,
                Place::Inside => so_far.inside -= 1,
            }
            match to {
                None | Some(Place::Door) => {}
                Some(Place::Line) => so_far.waiting += 1,
                Some(Place::Inside) => so_far.inside += 1,
            }
            let entered = u64::from(from != Place::Inside && to == Some(Place::Inside));
            second.entered += entered;
            so_far.entered += entered;
        });
    }

    pub(crate) fn ended(&self, at: Micros, end: End) {
        self.note(at, |second, so_far| {
            so_far.ended += 1;
            so_far.order_failed += u64::from(end == End::OrderFailed);
            second.bought += u64::from(end == End::Bought);
            so_far.bought += u64::from(end == End::Bought);
        });
    }

    /// All seconds, and the most visitors at once.
    pub(crate) fn timeline(&self) -> (Vec<Second>, u64) {
        let board = &mut *locked(&self.0);
        let seconds = board.seconds.iter().map(|draft| Second {
            inside_latency: latencies(&draft.inside),
            outside_latency: latencies(&draft.outside),
            lag: latencies(&draft.lag),
            ..draft.second.clone()
        });
        (seconds.collect(), board.most)
    }

    fn note(&self, at: Micros, write: impl FnOnce(&mut Second, &mut Progress)) {
        let board = &mut *locked(&self.0);
        board.at(at);
        let place = board.place(at);
        write(&mut board.seconds[place].second, &mut board.so_far);
        let Progress { waiting, inside, .. } = board.so_far;
        if let Some(last) = board.seconds.last_mut() {
            (last.second.waiting, last.second.inside) = (waiting, inside);
        }
    }
}

impl Journal {
    fn place(&self, at: Micros) -> usize {
        usize::try_from(at / SECOND).unwrap_or(0).min(self.seconds.len().saturating_sub(1))
    }

    /// The second of this instant. Seconds in which nothing happened are as the one before left it.
    fn at(&mut self, at: Micros) -> &mut Draft {
        let Progress { waiting, inside, .. } = self.so_far;
        let wanted = usize::try_from(at / SECOND).unwrap_or(0) + 1;
        let quiet = || Draft { second: Second { waiting, inside, ..Second::default() }, ..Draft::default() };
        if wanted > self.seconds.len() {
            self.seconds.resize_with(wanted, quiet);
        }
        &mut self.seconds[wanted - 1]
    }
}

/// Microseconds from `start` to now, below 0 before it.
pub(crate) fn micros_since(start: Instant) -> Micros {
    let now = Instant::now();
    if now >= start { micros(now - start) } else { -micros(start - now) }
}

fn count(tally: &mut Tally, micros: Micros) {
    *tally.entry(three_digits(u64::try_from(micros).unwrap_or(0))).or_default() += 1;
}

fn three_digits(value: u64) -> u64 {
    let mut scale = 1;
    while value / scale >= 1_000 {
        scale *= 10;
    }
    value / scale * scale
}

fn latencies(tally: &Tally) -> Latencies {
    Latencies(tally.iter().map(|(&micros, &count)| (micros, count)).collect())
}

/// The value that this share reaches at most; 0 if there is none.
fn quantile(tally: &Tally, share: f64) -> Micros {
    let all: u64 = tally.values().sum();
    let mut left = (all as f64 * share).ceil() as u64;
    for (&micros, &count) in tally {
        if left <= count {
            return Micros::try_from(micros).unwrap_or(Micros::MAX);
        }
        left -= count;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_without_events_is_as_the_one_before_left_it() {
        let watch = Watch::default();
        watch.arrived(100_000);
        watch.moved(200_000, Place::Door, Some(Place::Line));
        watch.moved(3_500_000, Place::Line, Some(Place::Inside));
        watch.ended(4_100_000, End::Bought);
        watch.moved(4_100_000, Place::Inside, None);
        let (seconds, most) = watch.timeline();
        let seen: Vec<_> = seconds.iter().map(|s| [s.waiting, s.inside, s.entered, s.bought]).collect();
        assert_eq!(seen, [[1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]]);
        assert_eq!((most, seconds[0].arrived), (1, 1));
    }

    #[test]
    fn latencies_are_kept_to_three_digits_and_by_place() {
        let watch = Watch::default();
        let outcome = |place, latency| Outcome { at: 0, latency: Some(latency), failed: false, place };
        for (place, latency) in
            [(Some(Place::Inside), 12_345), (Some(Place::Inside), 12_399), (Some(Place::Line), 999), (None, 5)]
        {
            watch.answered(outcome(place, latency));
        }
        watch.answered(Outcome { at: 0, latency: None, failed: true, place: Some(Place::Door) });
        watch.sent(1_000_000, 1_234);
        let (seconds, _) = watch.timeline();
        assert_eq!(seconds[0].inside_latency, Latencies(vec![(12_300, 2)]));
        assert_eq!(seconds[0].outside_latency, Latencies(vec![(999, 1)]));
        assert_eq!((seconds[0].failed, &seconds[1].lag), (1, &Latencies(vec![(1_230, 1)])));
    }

    #[test]
    fn a_quantile_is_reached_by_its_share() {
        let tally: Tally = [(10, 98), (20, 1), (30, 1)].into();
        assert_eq!([0.5, 0.98, 0.99, 1.0].map(|share| quantile(&tally, share)), [10, 10, 20, 30]);
        assert_eq!(quantile(&Tally::new(), 0.99), 0);
    }
}
