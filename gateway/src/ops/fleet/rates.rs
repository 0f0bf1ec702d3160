//! Counts of a gateway as rates.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::in_force::shared::Shared;

/// Rates are measured over at least this long.
const MEASURE: Duration = Duration::from_secs(1);

/// Requests, joins and admissions since the start.
type Counts = [u64; 3];

/// The latest rates.
pub(super) struct Rates {
    since: Instant,
    counts: Counts,
    per_second: [f64; 3],
}

impl Rates {
    pub(super) fn of(shared: &Shared) -> Self {
        Self { since: Instant::now(), counts: counts(shared), per_second: [0.0; 3] }
    }

    /// Requests, joins and admissions per second, rounded to a tenth.
    pub(super) fn now(&mut self, shared: &Shared) -> [f64; 3] {
        let elapsed = self.since.elapsed();
        if elapsed >= MEASURE {
            let (before, counts) = (self.counts, counts(shared));
            // A removed room took its counts with it.
            let grown = |at: usize| counts[at].saturating_sub(before[at]) as f64;
            let tenths = |at: usize| (grown(at) / elapsed.as_secs_f64() * 10.0).round() / 10.0;
            *self = Self { since: Instant::now(), counts, per_second: [tenths(0), tenths(1), tenths(2)] };
        }
        self.per_second
    }
}

fn counts(shared: &Shared) -> Counts {
    let mut counts = [shared.requests.load(Ordering::Relaxed), 0, 0];
    for room in shared.rooms.all().values() {
        let [joined, admitted] = room.served();
        counts[1] += joined;
        counts[2] += admitted;
    }
    counts
}
