//! The time after a loss in which claims and places may still come back.

use crate::Millis;

/// Nothing is granted for this long after a loss, at least...
const SETTLE: Millis = 1_000;
/// ...of which a step counts for at most this much: while the store is away, no gateway can give anything back.
const STEP: Millis = 100;
/// Longest gap between the batches of a gateway that gives back too much for one.
const MORE: Millis = 300;
/// No wait or position is shown for this long after a loss, and after the last news of an earlier segment: a gateway that
/// comes back late may know that the line had come further. A room that lends knows how many gateways have yet to report.
const UNSURE: Millis = 5_000;

/// Timers of a recovery.
#[derive(Debug, Clone, Default)]
pub(in crate::line) struct Settling {
    /// Nothing is granted for this long.
    left: Millis,
    /// No wait is shown before this store time.
    sure: Millis,
}

impl Settling {
    /// A loss, or people of an earlier line, were found.
    pub(super) fn begin(&mut self, now: Millis) {
        self.left = SETTLE;
        self.hear_news(now);
    }

    /// The line had come further than was known.
    pub(super) fn hear_news(&mut self, now: Millis) {
        self.sure = self.sure.max(now.saturating_add(UNSURE));
    }

    /// A gateway has more to give back than fits into its batch.
    pub(super) fn expect_more(&mut self) {
        if self.is_on() {
            self.left = self.left.max(MORE);
        }
    }

    pub(super) fn advance(&mut self, elapsed: Millis) {
        self.left = self.left.saturating_sub(elapsed.min(STEP));
    }

    /// Whether claims may still come back.
    pub(in crate::line) fn is_on(&self) -> bool {
        self.left > 0
    }

    /// Whether places ahead may still come back.
    pub(super) fn is_unsure(&self, now: Millis) -> bool {
        now < self.sure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_a_second_of_steps_and_longer_while_more_is_to_come() {
        let mut settling = Settling::default();
        settling.expect_more();
        assert!(!settling.is_on() && !settling.is_unsure(0), "nothing was lost");
        settling.begin(10_000);
        for step in 0..10 {
            assert!(settling.is_on(), "step {step}");
            settling.advance(60_000);
        }
        assert!(!settling.is_on());
        settling.begin(20_000);
        (0..9).for_each(|_| settling.advance(100));
        settling.expect_more();
        (0..2).for_each(|_| settling.advance(100));
        assert!(settling.is_on());
        settling.advance(100);
        assert!(!settling.is_on());
        assert!(settling.is_unsure(24_999) && !settling.is_unsure(25_000));
        settling.hear_news(21_000);
        assert!(settling.is_unsure(25_999) && !settling.is_unsure(26_000) && !settling.is_on());
    }
}
