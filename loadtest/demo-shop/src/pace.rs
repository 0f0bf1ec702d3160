//! How many purchases a stage delivers: from the size of its pool, and from how long a purchase holds a slot of it.
//!
//! ```text
//! delivers a second = slots / (sum over the pages of a purchase of the mean time that each holds a slot)
//! ```
//!
//! This is the utilization law (Denning and Buzen, The Operational Analysis of Queueing Network Models, 1978) at a
//! utilization of 1. It needs no overload to be known, and it follows the size of the pool at once.
//!
//! Out of scope: the wait for a slot, which says how full the stage is and not how fast.

use std::sync::Mutex;
use std::time::Duration;

use evidence::stats::locked;

/// The least weight of the latest time in a mean: about the last forty count.
const LATEST: f64 = 0.05;
/// Times of each page without which nothing is known.
const ENOUGH: u32 = 10;

/// Mean times that the pages of a purchase hold a slot.
#[derive(Debug)]
pub(crate) struct Pace<const PAGES: usize>(Mutex<[Mean; PAGES]>);

#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    seconds: f64,
    seen: u32,
}

impl<const PAGES: usize> Pace<PAGES> {
    /// Nothing seen yet.
    pub(crate) fn unknown() -> Self {
        Self(Mutex::new([Mean::default(); PAGES]))
    }

    /// A page of this kind held a slot for so long.
    pub(crate) fn note(&self, page: usize, held: Duration) {
        if let Some(mean) = locked(&self.0).get_mut(page) {
            mean.seen = mean.seen.saturating_add(1);
            let weight = LATEST.max(1.0 / f64::from(mean.seen));
            mean.seconds += weight * (held.as_secs_f64() - mean.seconds);
        }
    }

    /// Purchases a second that so many slots deliver; 0 until it is known.
    pub(crate) fn delivers(&self, slots: usize) -> f64 {
        let means = locked(&self.0);
        let seconds: f64 = means.iter().map(|mean| mean.seconds).sum();
        let known = means.iter().all(|mean| mean.seen >= ENOUGH) && seconds > 0.0;
        if known { slots as f64 / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_delivers_what_its_slots_and_its_times_allow() {
        let pace = Pace::<2>::unknown();
        let note = |page, ms, times| (0..times).for_each(|_| pace.note(page, Duration::from_millis(ms)));
        note(0, 100, ENOUGH);
        assert_eq!(pace.delivers(20), 0.0, "of the other page nothing is known");
        note(1, 300, ENOUGH);
        assert!((pace.delivers(20) - 50.0).abs() < 1e-9, "{}", pace.delivers(20));
        assert!((pace.delivers(10) - 25.0).abs() < 1e-9);
        note(1, 900, 200);
        assert!((pace.delivers(20) - 20.0).abs() < 0.1, "a stage that got slower: {}", pace.delivers(20));
    }
}
