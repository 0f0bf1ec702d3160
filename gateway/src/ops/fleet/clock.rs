//! The store's clock, as the exchanges with it tell: it decides when events begin and end.
//!
//! Each exchange has read it at some moment between the question and the answer. Two of them bound how far it may have gone meanwhile by
//! this machine's monotonic clock; a clock that has gone [`JUMP`] more or less than that was set, or is another server's.
//!
//! Out of scope: what a line makes of it. The time of a line never goes back ([`policy::line::View`]).

use std::time::{Duration, Instant};

use policy::Millis;

/// More than clocks drift apart or a server stands still between two exchanges.
const JUMP: Duration = Duration::from_secs(2);

/// One look at the store's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) asked: Instant,
    pub(super) answered: Instant,
    /// What it showed, in milliseconds since 1970.
    pub(super) showed: Millis,
}

impl Look {
    /// The time of the store now.
    pub(super) fn now(&self) -> Millis {
        self.showed + self.answered.elapsed().as_millis() as u64
    }

    /// By how many milliseconds the clock has jumped since an earlier look, at least; below 0: back.
    pub(super) fn jump_since(&self, earlier: &Self) -> Option<i64> {
        let jump = JUMP.as_millis() as i64;
        let went = self.showed.cast_signed() - earlier.showed.cast_signed();
        let most = self.answered.saturating_duration_since(earlier.asked).as_millis() as i64;
        let least = self.asked.saturating_duration_since(earlier.answered).as_millis() as i64;
        match went {
            _ if went > most + jump => Some(went - most),
            _ if went < least - jump => Some(went - least),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(begin: Instant, asked: u64, answered: u64, showed: Millis) -> Look {
        let at = |ms| begin + Duration::from_millis(ms);
        Look { asked: at(asked), answered: at(answered), showed }
    }

    #[test]
    fn a_clock_that_was_set_has_jumped_and_one_that_answers_late_has_not() {
        let begin = Instant::now();
        let first = look(begin, 0, 10, 1_000_000);
        let jump = |asked, answered, showed| look(begin, asked, answered, showed).jump_since(&first);
        assert_eq!(jump(1_000, 1_010, 1_001_000), None);
        assert_eq!(jump(1_000, 1_010, 1_003_000), None, "a little ahead");
        assert_eq!(jump(1_000, 1_010, 1_004_010), Some(3_000));
        assert_eq!(jump(1_000, 1_010, 4_601_010), Some(3_600_000));
        assert_eq!(jump(1_000, 1_010, 998_000), Some(-2_990));
        // The answer took a minute: it may have been read at its begin or at its end.
        assert_eq!(jump(1_000, 61_000, 1_001_000), None);
        assert_eq!(jump(1_000, 61_000, 1_061_000), None);
        assert_eq!(jump(1_000, 61_000, 1_070_000), Some(9_000));
    }
}
