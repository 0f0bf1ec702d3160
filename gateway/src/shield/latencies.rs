//! How long the shop took for its latest answers, counted by all workers.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use policy::shield::latency::{CLASSES, class, quantile};

/// Few answers are gathered for so many seconds.
const LONGEST: u32 = 5;
const P95: f64 = 0.95;

/// Answers since the last reading.
#[derive(Debug)]
pub(super) struct Latencies {
    counts: [AtomicU32; CLASSES],
    /// Seconds for which they were gathered.
    seconds: AtomicU32,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| AtomicU32::new(0)), seconds: AtomicU32::new(0) }
    }
}

impl Latencies {
    pub(super) fn count(&self, took: Duration) {
        if let Some(count) = self.counts.get(class(took)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A second is over: the 95th percentile in seconds. `None`: too few answers, which are kept for a while.
    pub(super) fn second(&self) -> Option<f64> {
        let counts = self.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        let p95 = quantile(&counts, P95);
        let seconds = self.seconds.fetch_add(1, Ordering::Relaxed) + 1;
        if p95.is_some() || seconds >= LONGEST {
            // What was counted since stays for the next second.
            for (count, read) in self.counts.iter().zip(counts) {
                count.fetch_sub(read, Ordering::Relaxed);
            }
            self.seconds.store(0, Ordering::Relaxed);
        }
        p95
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_answers_are_gathered_and_forgotten_after_a_while() {
        let latencies = Latencies::default();
        let answers = |number| (0..number).for_each(|_| latencies.count(Duration::from_millis(100)));
        answers(6);
        assert_eq!(latencies.second(), None);
        answers(6);
        assert!(latencies.second().is_some_and(|p95| (0.1..0.106).contains(&p95)));
        answers(9);
        assert!((0..5).all(|_| latencies.second().is_none()));
        answers(9);
        assert_eq!(latencies.second(), None, "those of five seconds ago do not count");
    }
}
