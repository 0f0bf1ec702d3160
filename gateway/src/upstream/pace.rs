//! The least pace at which a client must move a body while it holds a permit of the shop.
//!
//! Only the time spent waiting for the client counts: a slow shop is no fault of the client's. Each byte
//! that it moves pays for its time at the least rate, but not in advance:
//!
//! ```text
//! debt  <-  max(debt - moved / rate, 0) + waited        too slow  <=>  debt > grace
//! ```
//!
//! So a body of any size has its whole time, a byte now and then does not buy more of it, and bytes moved at once (into
//! the buffers of the kernel, say) are no credit for a pause of minutes.

use std::cell::Cell;
use std::time::Duration;

use super::deadline::ticks;

/// The least pace of a client, in ticks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LeastPace {
    grace: u64,
    bytes_per_tick: u64,
}

impl LeastPace {
    /// `bytes_per_second` after a grace; 0 sets no least pace.
    pub(super) fn new(grace: Duration, bytes_per_second: usize) -> Self {
        let per_second = ticks(Duration::from_secs(1)).max(1);
        let bytes_per_tick = (bytes_per_second as u64).div_ceil(per_second);
        Self { grace: ticks(grace), bytes_per_tick }
    }
}

/// The progress of a client with one body.
#[derive(Debug, Default)]
pub(super) struct Pace {
    moved: Cell<u64>,
    debt: Cell<u64>,
}

impl Pace {
    /// `bytes` bytes moved.
    pub(super) fn moved(&self, bytes: usize) {
        self.moved.set(self.moved.get() + bytes as u64);
    }

    /// The client was waited for during `ticks` ticks. Returns whether that is too long by now.
    pub(super) fn waited(&self, ticks: u64, least: LeastPace) -> bool {
        if least.bytes_per_tick == 0 {
            return false;
        }
        let moved = self.moved.get();
        self.moved.set(moved % least.bytes_per_tick);
        self.debt.set(self.debt.get().saturating_sub(moved / least.bytes_per_tick) + ticks);
        self.debt.get() > least.grace
    }

    /// Starts again without debt.
    pub(super) fn reset(&self) {
        self.moved.set(0);
        self.debt.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_in_a_while_buys_no_time_and_a_steady_body_has_all_it_needs() {
        let least = LeastPace::new(Duration::from_secs(10), 4096);
        let second = ticks(Duration::from_secs(1));
        let slow = Pace::default();
        let ended = (1..1_000).find(|_| {
            slow.moved(1);
            slow.waited(second, least)
        });
        assert_eq!(ended, Some(11));
        let paused = Pace::default();
        paused.moved(1 << 30);
        assert_eq!((1..1_000).find(|_| paused.waited(second, least)), Some(11));
        let steady = Pace::default();
        assert!(!(1..10_000).any(|_| {
            steady.moved(4200);
            steady.waited(second, least)
        }));
    }

    #[test]
    fn a_rate_of_zero_asks_for_nothing() {
        let pace = Pace::default();
        assert!(!pace.waited(u64::MAX / 2, LeastPace::new(Duration::ZERO, 0)));
    }
}
