//! Statistics: latencies and the busiest window.
//!
//! Locks here are held for tens of nanoseconds and never across an await.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest latency that is told apart, in microseconds.
const LONGEST_MICROS: u64 = 120_000_000;

/// The content of a mutex, also after a panic of another holder: counters have no broken state.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Latencies as (microseconds, how many), ascending, to three digits: histograms that add up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latencies(pub Vec<(u64, u64)>);

impl Latencies {
    /// Those of others too.
    pub fn add(&mut self, other: &Self) {
        self.0.extend(&other.0);
        self.0.sort_unstable();
        self.0.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0 };
            same
        });
    }
}

/// A summary of a set of latencies, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Quantiles {
    /// How many there were; the rest is 0 if none.
    pub count: u64,
    /// Median.
    pub p50_ms: f64,
    /// 99 of 100 are shorter.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Quantiles {
    /// Of histograms that were kept apart, as of seconds, or of processes.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a Latencies>) -> Self {
        let mut sums = BTreeMap::<u64, u64>::new();
        for &(micros, count) in parts.into_iter().flat_map(|part| &part.0) {
            *sums.entry(micros).or_default() += count;
        }
        let count: u64 = sums.values().sum();
        let ms = |micros: Option<u64>| micros.unwrap_or(0) as f64 / 1000.0;
        Self {
            count,
            p50_ms: ms(ranked(&sums, count.div_ceil(2))),
            p99_ms: ms(ranked(&sums, (count * 99).div_ceil(100))),
            max_ms: ms(sums.keys().next_back().copied()),
        }
    }
}

/// The value of this rank, counted from 1.
fn ranked(sums: &BTreeMap<u64, u64>, rank: u64) -> Option<u64> {
    let mut seen = 0;
    let reaches = |&(_, count): &(&u64, &u64)| {
        seen += count;
        seen >= rank
    };
    sums.iter().find(reaches).map(|(&value, _)| value)
}

/// Latencies: of the whole run, and since the last reading.
#[derive(Debug)]
pub struct Latency(Mutex<[Histogram<u64>; 2]>);

impl Default for Latency {
    fn default() -> Self {
        Self(Mutex::new([histogram(), histogram()]))
    }
}

impl Latency {
    /// Adds one latency.
    pub fn record(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(LONGEST_MICROS);
        for histogram in locked(&self.0).iter_mut() {
            histogram.saturating_record(micros.max(1));
        }
    }

    /// Of the whole run.
    pub fn total(&self) -> Quantiles {
        quantiles(&locked(&self.0)[0])
    }

    /// Since this was last called.
    pub fn take_recent(&self) -> Quantiles {
        let recent = &mut locked(&self.0)[1];
        let seen = quantiles(recent);
        recent.reset();
        seen
    }
}

#[expect(clippy::expect_used, reason = "the bounds are constants, and valid")]
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_MICROS, 3).expect("valid bounds")
}

fn quantiles(histogram: &Histogram<u64>) -> Quantiles {
    let ms = |micros: u64| micros as f64 / 1000.0;
    Quantiles {
        count: histogram.len(),
        p50_ms: ms(histogram.value_at_quantile(0.5)),
        p99_ms: ms(histogram.value_at_quantile(0.99)),
        max_ms: ms(histogram.max()),
    }
}

/// The most events in any sliding window of one length.
#[derive(Debug)]
pub struct Busiest {
    window: Duration,
    recent: VecDeque<Instant>,
    most: usize,
}

impl Busiest {
    /// Nothing seen yet.
    pub fn within(window: Duration) -> Self {
        Self { window, recent: VecDeque::new(), most: 0 }
    }

    /// One event. `now` must not run backwards.
    pub fn record(&mut self, now: Instant) {
        while self.recent.pop_front_if(|&mut at| now.duration_since(at) >= self.window).is_some() {}
        self.recent.push_back(now);
        self.most = self.most.max(self.recent.len());
    }

    /// The most events that fell into one window.
    pub fn most(&self) -> usize {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_window_slides() {
        let start = Instant::now();
        let mut busiest = Busiest::within(Duration::from_secs(1));
        for ms in [0, 900, 950, 1000, 1100, 5000, 5001] {
            busiest.record(start + Duration::from_millis(ms));
        }
        assert_eq!(busiest.most(), 4, "900, 950, 1000 and 1100 lie across a full second");
    }

    #[test]
    fn histograms_add_up() {
        let parts = [Latencies(vec![(1_000, 50), (2_000, 49)]), Latencies(vec![(2_000, 1)]), Latencies::default()];
        let sum = Quantiles::of(&parts);
        assert_eq!(sum, Quantiles { count: 100, p50_ms: 1.0, p99_ms: 2.0, max_ms: 2.0 });
        assert_eq!(Quantiles::of([]), Quantiles::default());
    }

    #[test]
    fn recent_latencies_are_seen_once_and_stay_in_the_total() {
        let latency = Latency::default();
        latency.record(Duration::from_millis(10));
        assert_eq!(latency.take_recent().count, 1);
        assert_eq!(latency.take_recent(), Quantiles::default());
        latency.record(Duration::from_hours(1));
        let total = latency.total();
        assert_eq!(total.count, 2);
        assert!((total.p50_ms - 10.0).abs() < 0.1 && total.max_ms < 121_000.0, "{total:?}");
    }
}
