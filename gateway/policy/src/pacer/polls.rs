//! When a waiting shopper should poll again.

use super::FASTEST;

/// Polls per second that any line may cause...
const LEAST_BUDGET: f64 = 2_000.0;
/// ...and for each new shopper per second.
const POLLS_PER_SHOPPER: f64 = 16.0;

/// The speed that spreads polls: the line's, or one that it may soon reach with this bound
/// ([`Pacer::bound`](super::Pacer::bound)). A line that stands still, or has no known speed, may begin to move at any moment.
pub fn pace(speed: f64, bound: f64, rate: f64) -> f64 {
    speed.max(bound.max(FASTEST) / 3.0 * rate)
}

/// Default of the polls per second that a line may cause. With less for each new shopper per second, called
/// shoppers poll too late to use the rate.
pub fn budget_for(rate: f64) -> f64 {
    (POLLS_PER_SHOPPER * rate).max(LEAST_BUDGET)
}

/// When a shopper should poll again: sooner near the front, and stretched so that all polls
/// together stay inside a budget. Load then grows with the logarithm of the crowd.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PollTable {
    /// Shortest interval, in seconds.
    pub min: f64,
    /// Longest interval, in seconds, before stretching.
    pub max: f64,
    /// Interval as a share of the remaining wait.
    pub share: f64,
    /// Factor on every interval.
    pub stretch: f64,
}

impl PollTable {
    /// One poll a second at the front, and with jitter one in less than ten seconds at the back: the bound on the age of a
    /// displayed place.
    pub const CALM: Self = Self { min: 1.0, max: 8.0, share: 0.3, stretch: 1.0 };
    /// The longest intervals, and the largest share of the wait, that a budget may lead to. Less than
    /// the whole wait even with jitter: no poll is put off beyond the call.
    const SPARING: Self = Self { min: 60.0, max: 600.0, share: 0.8, stretch: 1.0 };

    /// This table, changed so that `waiting` shoppers in a line of this [`pace`] send at most `budget`
    /// polls per second: first at the back, then in the middle, and at the front only if it must be,
    /// because the pacer counts on called shoppers to come soon. So a budget of less than 15
    /// polls for each shopper let in costs use of the rate.
    #[must_use]
    pub fn within(self, budget: f64, waiting: u64, pace: f64) -> Self {
        let mut table = self;
        let over = |table: &Self| table.polls_per_second(waiting, pace) > budget;
        while over(&table) && table.max < Self::SPARING.max {
            table.max *= 1.25;
        }
        while over(&table) && table.share < Self::SPARING.share {
            table.share = (table.share * 1.1).min(Self::SPARING.share);
        }
        while over(&table) && table.min < Self::SPARING.min {
            table.min *= 1.25;
        }
        let stretch = (table.polls_per_second(waiting, pace) / budget).max(1.0);
        Self { stretch, ..table }
    }

    /// Polls per second of `waiting` shoppers: the integral of `1 / interval` along the line.
    pub fn polls_per_second(&self, waiting: u64, pace: f64) -> f64 {
        let waiting = waiting as f64;
        if pace <= 0.0 {
            return waiting / self.max;
        }
        let near = (pace * self.min / self.share).min(waiting);
        let far = (pace * self.max / self.share).min(waiting);
        let middle = if near > 0.0 { pace / self.share * (far / near).ln() } else { 0.0 };
        near / self.min + middle.max(0.0) + (waiting - far).max(0.0) / self.max
    }

    /// Seconds until the next poll from this position in a line of this [`pace`], before jitter.
    pub fn after(&self, position: u64, pace: f64) -> f64 {
        self.interval((pace > 0.0).then(|| position as f64 / pace))
    }

    /// Seconds until the next poll of a shopper with this wait (`None`: unknown), before jitter.
    pub fn interval(&self, wait: Option<f64>) -> f64 {
        let wait = wait.unwrap_or(f64::INFINITY);
        (wait * self.share).clamp(self.min, self.max) * self.stretch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_stay_inside_the_budget_and_grow_with_the_logarithm_of_the_crowd() {
        let table = PollTable { max: 60.0, ..PollTable::CALM };
        let small = table.polls_per_second(10_000, 100.0);
        let large = table.polls_per_second(20_000, 100.0);
        assert!(large - small < 300.0, "{small} {large}");
        for (waiting, budget) in [(10_000, 1_000.0), (1_000_000, 3_000.0), (1_000_000, 500.0), (1_000_000, 50.0)] {
            let tight = table.within(budget, waiting, 100.0);
            let polls = PollTable { stretch: 1.0, ..tight }.polls_per_second(waiting, 100.0) / tight.stretch;
            assert!(polls <= budget + 0.1, "{polls} of {budget}: {tight:?}");
            assert_eq!(tight.min > 1.0, budget < 1_000.0, "the front pays last: {tight:?}");
        }
    }
}
