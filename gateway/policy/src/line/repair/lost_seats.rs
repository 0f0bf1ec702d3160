//! Seats that were taken before a loss, by passes unknown to the line.

use crate::Millis;

/// More seats than there can be.
const ALL: u64 = 1 << 53;

/// Seats that count as taken for a session.
#[derive(Debug, Clone, Default)]
pub(in crate::line) struct LostSeats {
    /// Seats taken when the loss was noticed, as far as remembered.
    remembered: u64,
    /// Those of them without a known pass.
    missing: u64,
    /// Store time until which they count.
    until: Millis,
}

impl LostSeats {
    /// How many are missing.
    pub(in crate::line) fn missing(&self) -> u64 {
        self.missing
    }

    /// A loss is noticed; the line still knows of `taken` taken seats.
    pub(super) fn begin(&mut self, taken: u64) {
        self.remembered = taken;
    }

    /// A new segment was opened without a loss: the line knows all that gateways remember.
    pub(super) fn expect_none(&mut self) {
        self.remembered = ALL;
    }

    /// A gateway remembers `taken` taken seats.
    pub(super) fn remember(&mut self, taken: u64, until: Millis) {
        self.lose(taken.saturating_sub(self.remembered), until);
        self.remembered = self.remembered.max(taken);
    }

    /// `seats` seats may be taken by passes of which the line will get no report.
    pub(in crate::line) fn lose(&mut self, seats: u64, until: Millis) {
        if seats > 0 {
            self.missing += seats;
            self.until = until;
        }
    }

    /// The pass of one of them came back.
    pub(super) fn find_one(&mut self) {
        self.missing = self.missing.saturating_sub(1);
    }

    pub(super) fn advance(&mut self, now: Millis) {
        if now >= self.until {
            self.missing = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_beyond_what_is_known_is_missing_for_a_session() {
        let mut seats = LostSeats::default();
        seats.begin(4);
        seats.remember(10, 500);
        seats.remember(7, 600);
        assert_eq!(seats.missing(), 6, "the second gateway knows no more than the first");
        seats.remember(11, 700);
        seats.find_one();
        seats.advance(699);
        assert_eq!(seats.missing(), 6);
        seats.advance(700);
        assert_eq!(seats.missing(), 0);

        seats.expect_none();
        seats.remember(1_000_000, 900);
        assert_eq!(seats.missing(), 0, "nothing was lost");
        seats.lose(0, 900);
        seats.lose(3, 800);
        seats.advance(799);
        assert_eq!(seats.missing(), 3);
    }
}
