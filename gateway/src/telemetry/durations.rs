//! Durations by bucket, as read at one moment from a histogram.

/// Durations by bucket.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Durations {
    /// Upper bounds of the buckets, in seconds.
    pub(super) bounds: &'static [f64],
    /// Counts of each bucket alone; one more for durations above all bounds.
    pub(super) counts: Vec<u64>,
    /// Their sum, in seconds.
    pub(super) seconds: f64,
}

impl Durations {
    /// How many they are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum, in seconds.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Adds others with the same bounds.
    pub fn add(&mut self, others: &Self) {
        if self.counts.is_empty() {
            *self = others.clone();
            return;
        }
        self.counts.iter_mut().zip(&others.counts).for_each(|(count, other)| *count += other);
        self.seconds += others.seconds;
    }

    /// Those that came after an earlier reading. A histogram that began anew counts from 0.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let earlier = |at: usize| before.counts.get(at).copied().unwrap_or(0);
        let counts = self.counts.iter().enumerate().map(|(at, count)| count.saturating_sub(earlier(at))).collect();
        Self { bounds: self.bounds, counts, seconds: (self.seconds - before.seconds).max(0.0) }
    }

    /// The duration that this share of them does not exceed, in seconds: on a straight line within its bucket, as Prometheus's
    /// `histogram_quantile` has it. Above all bounds it is the last of them. `None`: there are no durations.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = self.count() as f64 * share;
        let (mut below, mut from) = (0.0, 0.0);
        for (count, bound) in self.counts.iter().map(|count| *count as f64).zip(self.bounds) {
            if count > 0.0 && below + count >= rank {
                return Some(from + (bound - from) * (rank - below) / count);
            }
            (below, from) = (below + count, *bound);
        }
        (self.count() > 0).then_some(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durations(counts: [u64; 4], seconds: f64) -> Durations {
        Durations { bounds: &[0.1, 0.5, 1.0], counts: counts.to_vec(), seconds }
    }

    #[test]
    fn a_quantile_lies_within_the_bucket_of_its_rank() {
        let close = |counts, share, expected: f64| {
            let found = durations(counts, 0.0).quantile(share);
            assert!(found.is_some_and(|found| (found - expected).abs() < 1e-9), "{counts:?}: {found:?}");
        };
        close([10, 0, 0, 0], 0.5, 0.05);
        close([90, 10, 0, 0], 0.95, 0.3);
        close([0, 0, 100, 0], 0.95, 0.975);
        close([1, 0, 0, 99], 0.95, 1.0);
        assert_eq!(durations([0; 4], 0.0).quantile(0.95), None);
        assert_eq!(Durations::default().quantile(0.95), None);
    }

    #[test]
    fn what_came_since_is_what_was_not_there_before() {
        let (mut sum, before) = (durations([3, 1, 0, 2], 4.0), durations([1, 1, 0, 0], 1.5));
        assert_eq!(sum.since(&before), durations([2, 0, 0, 2], 2.5));
        assert_eq!(before.since(&sum), durations([0; 4], 0.0), "it began anew");
        assert_eq!(sum.since(&Durations::default()), sum, "nothing was known");
        sum.add(&before);
        assert_eq!((sum.count(), sum.seconds()), (8, 5.5));
    }
}
