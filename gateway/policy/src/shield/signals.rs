//! A guard over the rate of a line, from signals of how full the shop is.
//!
//! ```text
//! full        the highest fresh signal: 1.0 is what the operator calls full
//! full > 1    R = min(R, admitted) x 0.92, above 1.5 x 0.70;   then two ticks without a cut
//! full < 0.8  and at least 0.8 R admitted:  R = R x (1 + g x clamp(2 (1 - full), 0.2, 1)),
//!             g = min(15 %, 0.5 % x 2^(ticks since the last cut / 6)); at the ceiling nothing is capped
//! ```
//!
//! **Insensitivity.** Four cuts in a row after which the signal is above 0.8 of what it was: load is not the cause, and more cuts
//! would only end at the floor. Then `R` is 0.9 of the rate at the first of them, for a minute, and for another one while the signal
//! is still about the same. Below 0.8 that is over at once.
//!
//! **No signal and an idle shop are different.** Without a fresh one nothing is capped: a monitor that has died must not close a
//! shop, and its last value ends by itself.
//!
//! This is a guard: it acts on what it sees a minute after the cause. What sizes the rate is [`super::feed_forward`].
//!
//! Source: additive increase and multiplicative decrease with slow start, as in TCP; the guard against windup as in Netflix's
//! concurrency limits (a limit that is not used does not grow).

/// A tick is a second.
const HOLD: u32 = 2;
/// Above this the deeper cut is made.
const DEEP: f64 = 1.5;
const CUT: f64 = 0.92;
const DEEP_CUT: f64 = 0.70;
/// Below this the rate grows, if so much of it is used.
const ROOM: f64 = 0.8;
const USED: f64 = 0.8;
/// The first step of growth, the largest, and the ticks in which it doubles.
const FIRST_STEP: f64 = 0.005;
const LARGEST_STEP: f64 = 0.15;
const DOUBLES_IN: f64 = 6.0;
/// Cuts in a row that have to help, how much of the signal is no help, and what follows.
const CUTS: u32 = 4;
const NO_HELP: f64 = 0.8;
const BACK_TO: f64 = 0.9;
const FROZEN: u32 = 60;

/// The figures of a tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// The highest fresh signal.
    pub full: f64,
    /// New shoppers let in during the tick, per second.
    pub admitted: f64,
}

/// What the guard has to say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Advice {
    /// No more than this, in new shoppers per second.
    Cap(f64),
    /// The same, and cuts do not help: load does not cause what the signal shows.
    NotCausedByLoad(f64),
}

impl Advice {
    /// The rate.
    pub fn rate(self) -> f64 {
        let (Self::Cap(rate) | Self::NotCausedByLoad(rate)) = self;
        rate
    }
}

/// The guard of one room at one gateway.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// `None`: nothing is capped.
    rate: Option<f64>,
    /// Ticks until the next cut may be made.
    hold: u32,
    /// Ticks since the last cut.
    calm: u32,
    /// Cuts in a row, and the rate and the signal before the first.
    cuts: u32,
    first: (f64, f64),
    /// Ticks for which the rate stays as it is.
    frozen: u32,
}

impl Guard {
    /// A second is over. `None`: nothing is capped.
    pub fn tick(&mut self, reading: Option<Reading>, ceiling: f64) -> Option<Advice> {
        let Some(Reading { full, admitted }) = reading.filter(|reading| reading.full.is_finite()) else {
            *self = Self::default();
            return None;
        };
        if self.frozen > 0 && full < ROOM {
            // Whatever it was, it is over.
            (self.frozen, self.calm) = (0, 0);
        }
        if self.frozen > 0 {
            let same = full > NO_HELP * self.first.1 && full < DEEP * self.first.1;
            self.frozen = if self.frozen == 1 && same { FROZEN } else { self.frozen - 1 };
            return self.rate.map(Advice::NotCausedByLoad);
        }
        self.hold = self.hold.saturating_sub(1);
        self.calm += 1;
        if full > 1.0 {
            self.cut(full, admitted, ceiling);
        } else {
            self.cuts = 0;
            if full < ROOM {
                self.grow(full, admitted, ceiling);
            }
        }
        let frozen = self.frozen > 0;
        self.rate.map(|rate| if frozen { Advice::NotCausedByLoad(rate) } else { Advice::Cap(rate) })
    }

    fn cut(&mut self, full: f64, admitted: f64, ceiling: f64) {
        if self.hold > 0 {
            return;
        }
        let rate = self.rate.unwrap_or(ceiling);
        if self.cuts >= CUTS && full > NO_HELP * self.first.1 {
            self.rate = Some(BACK_TO * self.first.0);
            (self.cuts, self.frozen) = (0, FROZEN);
            return;
        }
        if self.cuts == 0 {
            self.first = (rate, full);
        }
        let factor = if full > DEEP { DEEP_CUT } else { CUT };
        // What was not used does not count: the rate would come down for minutes without an effect.
        let used = if admitted > 0.0 { rate.min(admitted) } else { rate };
        self.rate = Some(used * factor);
        (self.cuts, self.hold, self.calm) = (self.cuts + 1, HOLD, 0);
    }

    fn grow(&mut self, full: f64, admitted: f64, ceiling: f64) {
        let Some(rate) = self.rate.filter(|rate| admitted >= USED * rate) else { return };
        let step = (FIRST_STEP * (f64::from(self.calm) / DOUBLES_IN).exp2()).min(LARGEST_STEP);
        let grown = rate * (1.0 + step * (2.0 * (1.0 - full)).clamp(0.2, 1.0));
        self.rate = (grown < ceiling).then_some(grown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CEILING: f64 = 100.0;

    fn tick(guard: &mut Guard, full: f64, admitted: f64) -> Option<Advice> {
        guard.tick(Some(Reading { full, admitted }), CEILING)
    }

    #[test]
    fn a_full_shop_is_relieved_step_by_step_and_one_with_room_gets_more() {
        let mut guard = Guard::default();
        assert_eq!(tick(&mut guard, 0.5, 90.0), None, "nothing to say");
        assert_eq!(tick(&mut guard, 1.1, 100.0), Some(Advice::Cap(92.0)));
        assert_eq!(tick(&mut guard, 1.1, 92.0), Some(Advice::Cap(92.0)), "one cut in two ticks");
        assert_eq!(tick(&mut guard, 1.6, 92.0), Some(Advice::Cap(92.0 * 0.70)));
        assert_eq!(tick(&mut guard, 0.9, 64.0), Some(Advice::Cap(92.0 * 0.70)), "neither full nor with room");
        let mut ticks = 0;
        while tick(&mut guard, 0.4, 200.0).is_some() {
            ticks += 1;
            assert!(ticks < 120, "it never comes back");
        }
        assert!(ticks > 10, "at once");
    }

    #[test]
    fn what_load_does_not_cause_does_not_end_at_the_floor() {
        let (mut guard, mut rate, mut least) = (Guard::default(), CEILING, CEILING);
        let mut named = false;
        for _ in 0..600 {
            let advice = tick(&mut guard, 1.2, rate);
            rate = advice.map_or(CEILING, Advice::rate);
            least = least.min(rate);
            named |= matches!(advice, Some(Advice::NotCausedByLoad(_)));
        }
        assert!(named && least > 0.6 * CEILING && rate >= 0.9 * CEILING, "{least} {rate}");
    }

    #[test]
    fn a_rate_that_was_held_rises_as_soon_as_the_shop_has_room() {
        let (mut guard, mut rate) = (Guard::default(), CEILING);
        while !matches!(tick(&mut guard, 1.2, rate), Some(Advice::NotCausedByLoad(_))) {
            rate = guard.rate.unwrap_or(CEILING);
        }
        let held = guard.rate;
        tick(&mut guard, 0.9, CEILING);
        assert!(guard.rate == held && guard.frozen > 0, "neither full nor with room");
        tick(&mut guard, 0.5, CEILING);
        assert!(guard.rate > held && guard.frozen == 0, "{guard:?}");
    }

    #[test]
    fn without_a_fresh_signal_nothing_is_capped() {
        let mut guard = Guard::default();
        assert!(tick(&mut guard, 1.2, 100.0).is_some());
        assert_eq!(guard.tick(None, CEILING), None);
        assert_eq!(guard.tick(Some(Reading { full: f64::NAN, admitted: 1.0 }), CEILING), None);
    }

    #[test]
    fn a_rate_that_is_not_used_does_not_grow() {
        let mut guard = Guard::default();
        let capped = tick(&mut guard, 1.2, 50.0);
        assert_eq!(capped, Some(Advice::Cap(46.0)), "from what was let in, not from the ceiling");
        for _ in 0..60 {
            assert_eq!(tick(&mut guard, 0.1, 10.0), capped);
        }
    }
}
