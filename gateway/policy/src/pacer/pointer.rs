//! The control law of the pacer: how fast `serving` moves, and which share of called shoppers comes.
//!
//! Some called tickets never show up, so the pointer must run ahead of the admissions it causes,
//! and the holders of the others come up to one poll later. The law is that of a shop that orders goods
//! with a delivery time: count the goods on the shelf and on their way, and order the missing ones.
//!
//! ```text
//! on the shelf   q = claimants without a token
//! on its way     e = sum over cohorts of (called - shown) x h (1 - F) / (1 - h F)
//! wanted         w = r x (d + standing),   standing = 0.16 s + 6 / (r + 1 per second)
//! speed            = (r + (w - q - e) / 0.4 s) / h,   between 0 and b x rate
//! ```
//!
//! The bound `b` is 5. While fewer come than such a pointer can find, as where a line is stuffed with tickets
//! without claimants, it grows by an eighth a second towards `2 / h`, at most 50, and shrinks as it grew.
//! If no holder comes at all, that is taken for an outage of the shoppers, not for stuffing: then it stays.
//!
//! `h` is the share of called tickets whose holders come within [`SHOW_WITHIN`], `F` the share of
//! those that have come at the age of a cohort, `d` their mean delay: all three are measured, and
//! forgotten over a few seconds of called tickets. `r` is the rate, or what the seats allow:
//! `min(rate, flow of freed seats + free seats / (d + standing at the rate))`. So with no seat free the pointer
//! moves only as seats are freed, and while there are enough free seats as if there were no bound. A late returner is
//! on the shelf when it comes, and slows the pointer by itself. The ages of cohorts count time that the line has lived
//! through: in a pause no holder can come.
//!
//! Regimes: at 10 shoppers a second and more, 0.99 of the rate is used with up to 70 % of no-shows, and
//! 0.975 while their share jumps from 10 to 70 to 30 %. With 95 % of no-shows from the start, 0.9 is used after
//! 30 s. Below 10 a second chance leaves 0.9 to 0.99. Of called shoppers who poll at the given times, 99 % have their
//! pass within 2 s of their claim.
//!
//! Source: base-stock control with a measured delivery time; `tests/promises.rs` and
//! `tests/simulation.rs` run it against a simulated crowd and assert these figures.

use std::collections::{BTreeSet, VecDeque};

use super::wait::{Called, FreedSeats, MEASURED_AFTER, PlaceSpeed};
use crate::Millis;

/// Holders of called tickets who come later than this count as absent for the share `h`.
pub const SHOW_WITHIN: Millis = COHORT * AGES as Millis;
/// Called tickets are counted in cohorts of at least this length.
const COHORT: Millis = 200;
/// Ages of a cohort, in steps of its length.
const AGES: usize = 13;
/// Shows expected at each of the first ages, before any were seen: a poll a second.
const CAME_AT_FIRST: [f64; 6] = [4.0; 6];
/// Cohorts past [`SHOW_WITHIN`] are kept in steps of this length until the claim window ends.
const SETTLED_STEP: Millis = 5_000;
/// A lack of claimants is made up for within this many seconds.
const MAKE_UP: f64 = 0.4;

/// A share before it is measured.
struct Guess {
    share: f64,
    /// Its weight, in tickets.
    tickets: f64,
}

/// `h` before the first call.
const SHOW_AT_FIRST: Guess = Guess { share: 0.9, tickets: 4.0 };
/// `h` is never taken for less: an outage of all shoppers cannot call the whole line.
const SHOW_AT_LEAST: f64 = 0.02;
/// `h` forgets cohorts over this many seconds of called tickets, and over this many more tickets.
const SHOW_MEMORY: Called = Called { seconds: 0.5, tickets: 30.0 };
/// The pointer moves at most this many times the rate, and more only as the bound grows. No poll is put off
/// beyond the call at that speed ([`View::pace`](crate::view::View::pace)): else a faster pointer
/// would find fewer people, move faster still, and run away.
pub(crate) const FASTEST: f64 = 5.0;
/// The bound never grows beyond this many times the rate...
const FASTEST_EVER: f64 = 50.0;
/// ...and e-fold in this many seconds: by then shoppers with a poll time from a slower pointer have polled.
const BOUND_GROWS: f64 = 8.0;
/// The target of the bound, in multiples of the speed that would just do.
const BOUND_MARGIN: f64 = 2.0;

/// Tickets called together: the numbers `from < n <= to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cohort {
    from: u64,
    to: u64,
    /// Time that the line has lived through since.
    age: Millis,
    /// Holders who came.
    shown: u64,
}

impl Cohort {
    fn called(&self) -> f64 {
        (self.to - self.from) as f64
    }

    fn holds(&self, number: u64) -> bool {
        self.from < number && number <= self.to
    }
}

/// Tickets past [`SHOW_WITHIN`], until their claim window ends: the numbers `from < n <= to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Settled {
    from: u64,
    to: u64,
    /// When the first of them reached that age.
    at: Millis,
}

/// Capacity of the room at this moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Supply {
    /// New shoppers per second.
    pub rate: f64,
    /// Claimants without a token.
    pub claimants: u64,
    /// Seats that are free, if the room counts seats.
    pub free: Option<u64>,
}

/// The results of the last calls: the memory of the law.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pacer {
    /// Tickets old enough to count for `h`, each weighing less the more were called since.
    called: f64,
    /// Of these, the tickets whose holders came, by the same weights.
    shown: f64,
    /// How many of these holders came at each age, in steps of [`COHORT`], by the same weights.
    came: [f64; AGES],
    /// Calls within [`SHOW_WITHIN`], in order of time.
    recent: VecDeque<Cohort>,
    /// Earlier calls, in order of time.
    settled: VecDeque<Settled>,
    /// Numbers of `recent` whose holders came.
    present: BTreeSet<u64>,
    /// The present bound of the speed, in multiples of the rate; below [`FASTEST`] it counts as that.
    bound: f64,
    place_speed: PlaceSpeed,
    freed_seats: FreedSeats,
}

impl Pacer {
    /// A pacer that remembers this share of shoppers who come, from [`Self::memory`].
    pub fn remembering((called, shown): (f64, f64)) -> Self {
        Self { called, shown, ..Self::default() }
    }

    /// The weights behind `h`: tickets called, and those whose holders came.
    pub fn memory(&self) -> (f64, f64) {
        (self.called, self.shown)
    }

    /// The share of called tickets whose holders come, 0.02 to 1.
    pub fn show_share(&self) -> f64 {
        self.share_by(&self.curve())
    }

    fn share_by(&self, curve: &Curve) -> f64 {
        let (called, shown) = self.evidence(curve);
        let Guess { share, tickets } = SHOW_AT_FIRST;
        ((shown + tickets * share) / (called + tickets)).clamp(SHOW_AT_LEAST, 1.0)
    }

    /// Called tickets whose holders would have come by now, and how many have.
    fn evidence(&self, curve: &Curve) -> (f64, f64) {
        let (mut called, mut shown) = (self.called, self.shown);
        for cohort in &self.recent {
            called += cohort.called() * curve.come_by(cohort.age);
            shown += cohort.shown as f64;
        }
        (called, shown)
    }

    fn curve(&self) -> Curve {
        let mut came = self.came;
        for (count, guess) in came.iter_mut().zip(CAME_AT_FIRST) {
            *count += guess;
        }
        let total: f64 = came.iter().sum();
        let mut curve = Curve { by: [0.0; AGES + 1], delay: 0.0 };
        for (age, count) in came.iter().enumerate() {
            let share = count / total;
            curve.by[age + 1] = curve.by[age] + share;
            curve.delay += share * (age as f64 + 0.5) * COHORT as f64 / 1000.0;
        }
        curve
    }

    /// Holders of called tickets who are still expected.
    fn expected(&self, h: f64, curve: &Curve) -> f64 {
        let still = |cohort: &Cohort| {
            let f = curve.come_by(cohort.age);
            (cohort.called() - cohort.shown as f64) * h * (1.0 - f) / (1.0 - h * f).max(0.01)
        };
        self.recent.iter().map(still).sum()
    }

    /// Places of called shoppers who have not entered: the claimants and the expected holders. Each stands for
    /// `1 / h` tickets, as a place further back does.
    pub fn entering(&self, claimants: u64) -> f64 {
        let curve = self.curve();
        let h = self.share_by(&curve);
        // Rounding may expect slightly less than zero holders.
        ((claimants as f64 + self.expected(h, &curve)) / h).floor().max(0.0)
    }

    /// Mean speed at which places move up over the last seconds, in tickets per second; 0 while unknown.
    pub fn mean_speed(&self) -> f64 {
        self.place_speed.known()
    }

    /// Whether the speed has been known for long enough to be stable.
    pub fn is_settled(&self) -> bool {
        self.place_speed.is_settled()
    }

    /// How long a seat is taken, in seconds, a mean over the people who left last; 0 until as many have left as
    /// the `taken` who are inside: the others might stay longer.
    pub fn mean_stay(&self, taken: u64) -> f64 {
        self.freed_seats.mean_stay(taken)
    }

    /// The bound of the speed of `serving` that may be needed soon, in multiples of the rate.
    pub fn bound(&self) -> f64 {
        bound_for(self.show_share())
    }

    /// The present bound of the speed, moved towards what a share `h` of shows needs, over the next `seconds`.
    fn adapt_bound(&mut self, h: f64, seconds: f64) -> f64 {
        let (bound, wanted) = (self.bound.max(FASTEST), bound_for(h));
        let somebody_comes = self.recent.iter().any(|cohort| cohort.shown > 0);
        let step = bound * seconds / BOUND_GROWS;
        self.bound = match () {
            () if wanted < bound => (bound - step).max(wanted),
            () if somebody_comes => (bound + step).min(wanted),
            () => bound,
        };
        self.bound
    }

    /// Speed at which `serving` should move over the next `seconds`, in tickets per second.
    pub fn speed(&mut self, supply: &Supply, seconds: f64) -> f64 {
        let curve = self.curve();
        let h = self.share_by(&curve);
        let bound = self.adapt_bound(h, seconds);
        if bound * h < 1.0 && self.mean_speed() <= 0.0 {
            // The bound limits the speed, and grows: the line will be faster than any measurement now.
            self.end();
        }
        let ahead = |rate| curve.delay + standing(rate);
        let by_seats = |free| self.freed_seats.per_second().min(supply.rate) + free as f64 / ahead(supply.rate);
        let rate = supply.free.map_or(supply.rate, |free| supply.rate.min(by_seats(free)));
        let ahead = ahead(rate);
        let lack = rate * ahead - supply.claimants as f64 - self.expected(h, &curve);
        ((rate + lack / MAKE_UP.max(seconds)) / h).clamp(0.0, bound * supply.rate)
    }

    /// Records that all places moved up by `places` in the last `elapsed` milliseconds.
    pub fn moved(&mut self, places: f64, elapsed: Millis) {
        self.place_speed.moved(places, elapsed);
    }

    /// Records that the room lets in another number of shoppers per second from now on: the speed of the line follows, unless
    /// the seats bind.
    pub fn rate_changed(&mut self, before: f64, rate: f64) {
        // `show_share` costs more than this comparison.
        if rate.total_cmp(&before).is_ne() {
            let h = self.show_share();
            self.place_speed.rate_changed(before, rate, h);
        }
    }

    /// Records that the numbers `from < n <= to` were called.
    pub fn calls(&mut self, from: u64, to: u64) {
        if to == from {
            return;
        }
        match self.recent.back_mut() {
            Some(last) if last.age < COHORT && last.to == from => last.to = to,
            _ => self.recent.push_back(Cohort { from, to, age: 0, shown: 0 }),
        }
    }

    /// Records that a line stands which will let in `rate` shoppers per second: its speed is measured once enough tickets
    /// were called to estimate `h`.
    pub fn begin(&mut self, rate: f64) {
        if self.place_speed.is_measured() {
            return;
        }
        let curve = self.curve();
        if self.evidence(&curve).0 >= MEASURED_AFTER.seconds * rate + MEASURED_AFTER.tickets {
            self.place_speed.begin(rate, self.share_by(&curve));
        }
    }

    /// Records that the line has dissolved.
    pub fn end(&mut self) {
        self.place_speed.end();
    }

    /// Records that `seats` seats became free in the last `elapsed` milliseconds, and `taken` are taken.
    pub fn freed(&mut self, seats: u64, taken: u64, elapsed: Millis) {
        self.freed_seats.freed(seats, taken, elapsed);
    }

    /// Records that the holder of a called ticket came. Idempotent.
    pub fn shows(&mut self, number: u64) {
        // A recovered place may stand ahead of the last calls: cohorts are not always in order of number.
        let Some(cohort) = self.recent.iter_mut().rev().find(|cohort| cohort.holds(number)) else {
            return;
        };
        if self.present.insert(number) {
            cohort.shown += 1;
            self.came[(cohort.age / COHORT) as usize] += 1.0;
        }
    }

    /// Lets cohorts grow older by `elapsed`, and folds those that are old enough into the share `h`.
    pub fn settle(&mut self, now: Millis, elapsed: Millis, rate: f64) {
        for cohort in &mut self.recent {
            cohort.age += elapsed;
        }
        while let Some(cohort) = self.recent.pop_front_if(|cohort| cohort.age >= SHOW_WITHIN) {
            let Called { seconds, tickets } = SHOW_MEMORY;
            let memory = seconds * rate / self.show_share() + tickets;
            let keep = memory / (memory + cohort.called());
            self.called = self.called * keep + cohort.called();
            self.shown = self.shown * keep + cohort.shown as f64;
            for count in &mut self.came {
                *count *= keep;
            }
            self.forget_present(&cohort);
            match self.settled.back_mut() {
                Some(last) if last.to == cohort.from && now < last.at + SETTLED_STEP => last.to = cohort.to,
                _ => self.settled.push_back(Settled { from: cohort.from, to: cohort.to, at: now }),
            }
        }
    }

    fn forget_present(&mut self, cohort: &Cohort) {
        let mut from_here = self.present.split_off(&(cohort.from + 1));
        self.present.append(&mut from_here.split_off(&(cohort.to + 1)));
    }

    /// Numbers `from < n <= to` whose claim window of `window` has ended; each once.
    pub fn window_ended(&mut self, now: Millis, window: Millis) -> Option<(u64, u64)> {
        let left = SETTLED_STEP + window.saturating_sub(SHOW_WITHIN);
        let ended = self.settled.pop_front_if(|settled| now >= settled.at + left)?;
        Some((ended.from, ended.to))
    }
}

/// The delays between a call and the show of its holder.
struct Curve {
    /// Share that has come at the beginning of each age.
    by: [f64; AGES + 1],
    /// Their mean delay in seconds.
    delay: f64,
}

impl Curve {
    fn come_by(&self, age: Millis) -> f64 {
        let step = ((age / COHORT) as usize).min(AGES - 1);
        let part = (age as f64 / COHORT as f64 - step as f64).min(1.0);
        self.by[step] + part * (self.by[step + 1] - self.by[step])
    }
}

/// The bound of the speed that a share `h` of shows needs, in multiples of the rate.
fn bound_for(h: f64) -> f64 {
    (BOUND_MARGIN / h).clamp(FASTEST, FASTEST_EVER)
}

/// Claimants that should be waiting for a token, in seconds of rate: chance weighs more at low rates.
fn standing(rate: f64) -> f64 {
    0.16 + 6.0 / (rate + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVEN: Supply = Supply { rate: 100.0, claimants: 40, free: None };
    const TICK: f64 = 0.1;

    #[test]
    fn with_the_standing_group_at_its_target_the_pointer_moves_at_rate_over_h() {
        let mut pacer = Pacer::default();
        let wanted = Supply { claimants: 82, ..EVEN };
        assert!((pacer.speed(&wanted, TICK) - 100.0 / 0.9).abs() < 1.0, "{}", pacer.speed(&wanted, TICK));
        assert!(pacer.speed(&Supply { claimants: 0, ..EVEN }, TICK) > 200.0);
        assert!(pacer.speed(&Supply { claimants: 400, ..EVEN }, TICK) <= 0.0);
    }

    #[test]
    fn no_shows_make_the_pointer_faster() {
        let mut pacer = Pacer::default();
        pacer.calls(0, 1_000);
        (1..=300).for_each(|n| pacer.shows(n));
        (1..=300).for_each(|n| pacer.shows(n));
        pacer.settle(0, SHOW_WITHIN, 100.0);
        assert!((pacer.show_share() - 0.3).abs() < 0.01, "{}", pacer.show_share());
    }

    #[test]
    fn the_pointer_stands_while_enough_people_are_on_their_way() {
        let mut pacer = Pacer::default();
        pacer.calls(0, 300);
        assert!(pacer.speed(&EVEN, TICK) <= 0.0);
        pacer.settle(0, SHOW_WITHIN, 100.0);
        assert!(pacer.speed(&EVEN, TICK) > 0.0);
    }

    #[test]
    fn without_a_free_seat_the_pointer_moves_only_as_seats_are_freed() {
        let mut pacer = Pacer::default();
        let full = Supply { free: Some(0), claimants: 0, ..EVEN };
        assert!(pacer.speed(&full, TICK) <= 0.0);
        pacer.freed(10, 0, 1_000);
        assert!(pacer.speed(&full, TICK) > 0.0, "somebody will be there when the next seat is freed");
    }
}
