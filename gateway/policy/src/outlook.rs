//! The outlook for a shopper: a place, a wait, and why a place may stand still.
//!
//! ```text
//! place = tickets until the call + places of called shoppers who have not entered
//! wait  = place / speed at which places move up, as a range
//! ```
//!
//! Called shoppers enter before all who wait. So a place moves up as people enter, or turn out to be absent,
//! and not as they are called: a call moves its ticket from the one term into the other.
//!
//! Out of scope: when to ask again ([`crate::pacer::PollTable`]).

use std::time::Duration;

/// A program gets no position from a copy that was requested longer ago: another gateway may have given it a smaller one, a
/// poll ago at the earliest. So none comes from a lease, which moves its copy on otherwise than the line moves. A page keeps
/// the least position that it got. (The arrival time of a copy tells nothing: on the way it may have waited for as long as a
/// busy machine lets it.)
pub const FRESH: Duration = Duration::from_millis(800);

/// Below this speed, in places per second, a line counts as standing still: a place moves up in hours, if ever.
const STILL: f64 = 1e-4;

/// A wait in seconds, as a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// Few enter sooner.
    pub low: u64,
    /// Most have entered by then; at most `2 x low + 30`.
    pub high: u64,
}

/// Why places move up slower than the room's rate allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standstill {
    /// No seat is free: the line moves as people leave.
    Full,
    /// Shoppers called earlier have come back, and go first.
    Returning,
    /// The shop, or what stands behind it, takes fewer for now.
    Capped,
}

impl Standstill {
    /// Every reason; `ALL[reason as usize]` is the reason.
    pub const ALL: [Self; 3] = [Self::Full, Self::Returning, Self::Capped];

    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Returning => "returning",
            Self::Capped => "capped",
        }
    }
}

/// The common terms of every wait in a line.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outlook {
    /// Places of called shoppers who have not entered.
    pub entering: u64,
    /// Places that move up per second; 0 while unknown.
    pub speed: f64,
    /// New shoppers per second that the room lets in.
    pub rate: f64,
}

impl Outlook {
    /// The wait with `ahead` tickets until the call, the own one included; `None` while the line stands still.
    ///
    /// The share of no-shows further back is unknown, so places may turn out to move slower (down to
    /// `rate`, where every holder shows up) or faster than they do now.
    pub fn wait(&self, ahead: u64) -> Option<Wait> {
        let Self { entering, speed, rate } = *self;
        if speed < STILL {
            return None;
        }
        let place = ahead.saturating_add(entering) as f64;
        let expected = place / speed;
        let slowest = if rate > 0.0 && rate < speed { place / rate } else { expected * 1.2 };
        let high = slowest.min(expected * 1.5) + 5.0;
        let low = ((high - 30.0) / 2.0).max(0.0);
        Some(Wait { low: low.floor() as u64, high: high.ceil() as u64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_honest() {
        for ahead in [0, 1, 50, 10_000, 3_000_000] {
            for (speed, rate) in [(1.0, 1.0), (16.0, 10.0), (160.0, 50.0)] {
                for entering in [0, 7, 300] {
                    let outlook = Outlook { entering, speed, rate };
                    let Some(wait) = outlook.wait(ahead) else { panic!("it moves") };
                    assert!(wait.low <= wait.high && wait.high <= 2 * wait.low + 33, "{wait:?}");
                    assert_eq!(Some(wait), Outlook { entering: 0, ..outlook }.wait(ahead + entering));
                }
            }
        }
        assert_eq!(Outlook { entering: 3, speed: 0.0, rate: 10.0 }.wait(10), None);
    }
}
