//! The offset of another machine's clock from this one's.
//!
//! A ping leaves at `sent`, its answer comes at `heard`, and the other end read its clock somewhere in between: its offset
//! is `read - (sent + heard) / 2`, wrong by half the round trip at most. Of several rounds the quickest counts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// A ping and its answer, in microseconds since 1970 by the clock of the machine that read it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    pub(super) sent: i64,
    pub(super) read: i64,
    pub(super) heard: i64,
}

/// The other clock less this one, in microseconds, and the bound of its error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Offset {
    pub(crate) us: i64,
    pub(crate) wrong_by_us: i64,
}

impl Offset {
    /// From the quickest of these rounds; `None` without rounds.
    pub(super) fn of(rounds: &[Round]) -> Option<Self> {
        let quickest = rounds.iter().min_by_key(|round| round.trip())?;
        let middle = quickest.sent.saturating_add(quickest.trip() / 2);
        Some(Self { us: quickest.read.saturating_sub(middle), wrong_by_us: quickest.trip() / 2 + quickest.trip() % 2 })
    }
}

impl Round {
    /// Its length. A clock that was set back meanwhile makes the round worth nothing.
    fn trip(self) -> i64 {
        let trip = self.heard.saturating_sub(self.sent);
        if trip < 0 { i64::MAX } else { trip }
    }
}

/// This machine's clock, in microseconds since 1970.
pub(crate) fn unix_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// The instant at which this machine's clock shows, or showed, this time.
pub(crate) fn instant_of(unix_us: i64) -> Instant {
    let (now, ahead) = (Instant::now(), unix_us.saturating_sub(self::unix_us()));
    let length = Duration::from_micros(ahead.unsigned_abs());
    let instant = if ahead < 0 { now.checked_sub(length) } else { now.checked_add(length) };
    instant.unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickest_round_tells_the_offset_and_how_far_it_may_be_wrong() {
        // The other clock is 5,000 ahead; the way there takes `there`, the way back `back`.
        let round = |sent, there, back| Round { sent, read: sent + there + 5_000, heard: sent + there + back };
        let even = [round(0, 900, 100), round(2_000, 50, 50), round(4_000, 10, 700)];
        assert_eq!(Offset::of(&even), Some(Offset { us: 5_000, wrong_by_us: 50 }));
        for (there, back) in [(0, 80), (80, 0), (33, 48)] {
            let offset = Offset::of(&[round(7, there, back)]).unwrap();
            assert!((offset.us - 5_000).abs() <= offset.wrong_by_us, "{offset:?}");
        }
        assert_eq!(Offset::of(&[]), None);
    }

    #[test]
    fn a_round_in_which_the_clock_was_set_back_is_not_believed() {
        let set_back = Round { sent: 1_000, read: 9, heard: 10 };
        let good = Round { sent: 0, read: 70, heard: 100 };
        assert_eq!(Offset::of(&[set_back, good]), Some(Offset { us: 20, wrong_by_us: 50 }));
        let absurd = Round { sent: i64::MIN, read: i64::MAX, heard: i64::MAX };
        assert!(Offset::of(&[absurd]).is_some(), "and no sum overflows");
    }

    #[test]
    fn an_instant_is_where_the_clock_says() {
        let ahead = instant_of(unix_us() + 60_000_000).duration_since(Instant::now());
        assert!(ahead > Duration::from_secs(50) && ahead <= Duration::from_mins(1), "{ahead:?}");
        let _ = [instant_of(i64::MAX), instant_of(i64::MIN), instant_of(0)];
    }
}
