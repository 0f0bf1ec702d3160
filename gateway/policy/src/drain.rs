//! The drain: how fast `serving` moves while a line stands, and what a shopper is told about it.
//!
//! Some called tickets never show up, so the pointer must run ahead of the admissions it causes,
//! and those who do show up come up to one poll later. The law keeps a small standing group of
//! claimants, so that no token is ever left unused and nobody who was called waits long:
//!
//! ```text
//! speed = rate / h x (1 + 0.6 x clamp(2 x (target - q) x 0.4 / target, -0.9, 1))
//! ```
//!
//! `h` is the share of called tickets whose holders came within [`SHOW_WITHIN`], a mean over the
//! latest cohorts weighted by their size; `q` is the claimants without a token, in seconds of
//! rate; `target` is 0.4 s, and never less than 1.5 claimants. The pointer stands while `h x`
//! (called and not yet come) exceeds what the room can take in the near future.
//!
//! What is absent: the token bucket that makes admissions safe ([`crate::line`]). An error here
//! wastes capacity or makes a called shopper wait; it cannot admit too many.

use std::collections::{BTreeSet, VecDeque};

use crate::Millis;

/// Holders of called tickets who come later than this count as absent for the share `h`.
pub const SHOW_WITHIN: Millis = 2_600;
/// Called tickets are counted in cohorts of at least this length.
const COHORT: Millis = 200;
/// Cohorts past [`SHOW_WITHIN`] are kept in steps of this length until the claim window ends.
const SETTLED_STEP: Millis = 5_000;
/// The pointer stands while the expected claimants exceed this many seconds of rate.
const AHEAD: f64 = 2.5;
/// Claimants that should be waiting for a token, in seconds of rate.
const STANDING: f64 = 0.4;
/// `h` before anybody was called.
const SHOW_AT_FIRST: f64 = 0.9;
/// `h` forgets cohorts over this many seconds of called tickets.
const SHOW_MEMORY: f64 = 3.0;
/// The shown speed is a mean over about this many seconds.
const SPEED_MEMORY: f64 = 10.0;

/// Tickets called together: the numbers `from < n <= to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cohort {
    from: u64,
    to: u64,
    at: Millis,
    shown: u64,
}

impl Cohort {
    fn called(&self) -> u64 {
        self.to - self.from
    }
}

/// What the room can take at this moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Supply {
    /// New shoppers per second.
    pub rate: f64,
    /// Claimants without a token.
    pub claimants: u64,
    /// Seats that are free, if the room counts seats.
    pub free: Option<u64>,
}

/// What the last calls brought: the memory of the law.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drain {
    called: f64,
    shown: f64,
    recent: VecDeque<Cohort>,
    settled: VecDeque<(u64, Millis)>,
    present: BTreeSet<u64>,
    speed: f64,
    freed: f64,
}

impl Drain {
    /// A drain that remembers this share of shoppers who come, as told by [`Self::memory`].
    pub fn remembering((called, shown): (f64, f64)) -> Self {
        Self { called, shown, ..Self::default() }
    }

    /// The weights behind `h`: tickets called, and those whose holders came.
    pub fn memory(&self) -> (f64, f64) {
        (self.called, self.shown)
    }

    /// The share of called tickets whose holders come, 0.02 to 1.
    pub fn show_share(&self) -> f64 {
        let prior = 4.0;
        ((self.shown + prior * SHOW_AT_FIRST) / (self.called + prior)).clamp(0.02, 1.0)
    }

    /// Called tickets, younger than [`SHOW_WITHIN`], whose holders have not come yet.
    pub fn outstanding(&self) -> u64 {
        self.recent.iter().map(|c| c.called() - c.shown).sum()
    }

    /// Mean speed of `serving` over the last seconds, in tickets per second.
    pub fn mean_speed(&self) -> f64 {
        self.speed
    }

    /// Speed at which `serving` should move now, in tickets per second.
    pub fn speed(&self, supply: &Supply) -> f64 {
        let h = self.show_share();
        let expected = h * self.outstanding() as f64;
        let coming = expected + supply.claimants as f64;
        let rate = match supply.free {
            Some(free) if coming + supply.rate > free as f64 => supply.rate.min(self.freed),
            _ => supply.rate,
        };
        let room = match supply.free {
            Some(free) => (AHEAD * supply.rate).min(free as f64 + AHEAD * rate - supply.claimants as f64),
            None => AHEAD * supply.rate,
        };
        if expected > room || supply.free.is_some_and(|free| free == 0 && rate <= 0.0) {
            return 0.0;
        }
        let base = rate.max(f64::MIN_POSITIVE);
        let target = STANDING.max(1.5 / base);
        let q = supply.claimants as f64 / base;
        let pull = (2.0 * (target - q) * STANDING / target).clamp(-0.9, 1.0);
        rate / h * (1.0 + 0.6 * pull)
    }

    /// Records that the pointer moved from `from` to `to` in the `elapsed` milliseconds before `now`.
    pub fn moved(&mut self, from: u64, to: u64, now: Millis, elapsed: Millis) {
        let seconds = elapsed as f64 / 1000.0;
        if seconds > 0.0 {
            let weight = seconds / (seconds + SPEED_MEMORY);
            self.speed += weight * ((to - from) as f64 / seconds - self.speed);
        }
        if to == from {
            return;
        }
        match self.recent.back_mut() {
            Some(last) if now < last.at + COHORT && last.to == from => last.to = to,
            _ => self.recent.push_back(Cohort { from, to, at: now, shown: 0 }),
        }
    }

    /// Records that a line has just formed and will move at about `speed` tickets per second.
    pub fn begin(&mut self, speed: f64) {
        self.speed = speed;
    }

    /// Records that seats became free in the `elapsed` milliseconds before now.
    pub fn freed(&mut self, seats: u64, elapsed: Millis) {
        let seconds = elapsed as f64 / 1000.0;
        if seconds > 0.0 {
            let weight = seconds / (seconds + SPEED_MEMORY);
            self.freed += weight * (seats as f64 / seconds - self.freed);
        }
    }

    /// Records that the holder of a called ticket came. Twice is once.
    pub fn shows(&mut self, number: u64) {
        let Some(cohort) = self.recent.iter_mut().find(|c| c.from < number && number <= c.to) else {
            return;
        };
        if self.present.insert(number) {
            cohort.shown += 1;
        }
    }

    /// Folds the cohorts that are old enough at `now` into the share `h`.
    pub fn settle(&mut self, now: Millis, rate: f64) {
        while let Some(cohort) = self.recent.front().copied() {
            if now < cohort.at + SHOW_WITHIN {
                break;
            }
            self.recent.pop_front();
            let size = cohort.called() as f64;
            let memory = (SHOW_MEMORY * rate / self.show_share()).max(30.0);
            let keep = memory / (memory + size);
            self.called = self.called * keep + size;
            self.shown = self.shown * keep + cohort.shown as f64;
            self.present = self.present.split_off(&(cohort.to + 1));
            match self.settled.back_mut() {
                Some((to, at)) if cohort.at < *at + SETTLED_STEP => *to = cohort.to,
                _ => self.settled.push_back((cohort.to, cohort.at)),
            }
        }
    }

    /// The highest number whose claim window of `window` has ended, if that is news.
    pub fn window_ended(&mut self, now: Millis, window: Millis) -> Option<u64> {
        let mut ended = None;
        while let Some(&(to, at)) = self.settled.front() {
            if now < at + SETTLED_STEP + window {
                break;
            }
            self.settled.pop_front();
            ended = Some(to);
        }
        ended
    }
}

/// A wait in seconds, told as a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// Few enter sooner.
    pub low: u64,
    /// Most have entered by then; at most `2 x low + 30`.
    pub high: u64,
}

/// The wait for `position` at `speed` tickets per second; `None` while the line stands still.
///
/// The share of no-shows further back is unknown, so the pointer may turn out slower (down to
/// `rate`, where everybody shows up) or faster than it is now.
pub fn wait(position: u64, speed: f64, rate: f64) -> Option<Wait> {
    if speed <= 0.0 {
        return None;
    }
    let expected = position as f64 / speed;
    let slowest = if rate > 0.0 && rate < speed { position as f64 / rate } else { expected * 1.2 };
    let high = slowest.min(expected * 1.5) + 5.0;
    let low = (expected * 0.75).max((high - 30.0) / 2.0);
    Some(Wait { low: low.floor() as u64, high: high.ceil() as u64 })
}

/// When a shopper should ask again: sooner near the front, and stretched so that all polls
/// together stay inside a budget. Load then grows with the logarithm of the crowd.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PollTable {
    /// Shortest interval, in seconds.
    pub min: f64,
    /// Longest interval, in seconds, before stretching.
    pub max: f64,
    /// Interval as a share of the wait that is left.
    pub share: f64,
    /// Factor on every interval.
    pub stretch: f64,
}

impl PollTable {
    /// One poll a second at the front, one a minute at the back.
    pub const CALM: Self = Self { min: 1.0, max: 60.0, share: 0.3, stretch: 1.0 };

    /// This table, stretched so that `waiting` shoppers in a line of `speed` tickets per second
    /// send at most `budget` polls per second.
    #[must_use]
    pub fn within(self, budget: f64, waiting: u64, speed: f64) -> Self {
        let stretch = (self.polls_per_second(waiting, speed) / budget).max(1.0);
        Self { stretch, ..self }
    }

    /// Polls per second of `waiting` shoppers: the integral of `1 / interval` along the line.
    fn polls_per_second(&self, waiting: u64, speed: f64) -> f64 {
        let waiting = waiting as f64;
        if speed <= 0.0 {
            return waiting / self.max;
        }
        let near = (speed * self.min / self.share).min(waiting);
        let far = (speed * self.max / self.share).min(waiting);
        let middle = if near > 0.0 { speed / self.share * (far / near).ln() } else { 0.0 };
        near / self.min + middle.max(0.0) + (waiting - far).max(0.0) / self.max
    }

    /// Seconds until the next poll of somebody with this wait (`None`: unknown), before jitter.
    pub fn interval(&self, wait: Option<f64>) -> f64 {
        let wait = wait.unwrap_or(f64::INFINITY);
        (wait * self.share).clamp(self.min, self.max) * self.stretch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVEN: Supply = Supply { rate: 100.0, claimants: 40, free: None };

    #[test]
    fn with_the_standing_group_at_its_target_the_pointer_moves_at_rate_over_h() {
        let drain = Drain::default();
        assert!((drain.speed(&EVEN) - 100.0 / 0.9).abs() < 1e-9);
        assert!(drain.speed(&Supply { claimants: 0, ..EVEN }) > 120.0);
        assert!(drain.speed(&Supply { claimants: 400, ..EVEN }) < 60.0);
    }

    #[test]
    fn no_shows_make_the_pointer_faster() {
        let mut drain = Drain::default();
        drain.moved(0, 1_000, 0, 1_000);
        (1..=300).for_each(|n| drain.shows(n));
        (1..=300).for_each(|n| drain.shows(n));
        drain.settle(SHOW_WITHIN, 100.0);
        assert!((drain.show_share() - 0.3).abs() < 0.01, "{}", drain.show_share());
    }

    #[test]
    fn the_pointer_stands_while_enough_people_are_on_their_way() {
        let mut drain = Drain::default();
        drain.moved(0, 300, 0, 1_000);
        assert!(drain.speed(&EVEN) <= 0.0);
        drain.settle(SHOW_WITHIN, 100.0);
        assert!(drain.speed(&EVEN) > 0.0);
    }

    #[test]
    fn without_a_free_seat_the_pointer_stands() {
        let drain = Drain::default();
        assert!(drain.speed(&Supply { free: Some(0), claimants: 0, ..EVEN }) <= 0.0);
    }

    #[test]
    fn a_range_is_honest() {
        for position in [0, 1, 50, 10_000, 3_000_000] {
            for (speed, rate) in [(1.0, 1.0), (16.0, 10.0), (160.0, 50.0)] {
                let wait = wait(position, speed, rate).expect("it moves");
                assert!(wait.low <= wait.high && wait.high <= 2 * wait.low + 33, "{wait:?}");
            }
        }
        assert_eq!(wait(10, 0.0, 10.0), None);
    }

    #[test]
    fn polls_stay_inside_the_budget_and_grow_with_the_logarithm_of_the_crowd() {
        let table = PollTable::CALM;
        let small = table.polls_per_second(10_000, 100.0);
        let large = table.polls_per_second(20_000, 100.0);
        assert!(large - small < 300.0, "{small} {large}");
        let tight = table.within(500.0, 1_000_000, 100.0);
        let stretched = PollTable { stretch: 1.0, ..tight }.polls_per_second(1_000_000, 100.0) / tight.stretch;
        assert!(stretched <= 500.1, "{stretched}");
    }
}
