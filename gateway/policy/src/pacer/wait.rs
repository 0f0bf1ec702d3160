//! The terms of a wait: how fast places move up, and how long a seat is taken.
//!
//! Means that forget, so that they follow a line whose shoppers change. Source of the stay: Little's law.

use std::cmp::Ordering;

use super::SHOW_WITHIN;
use crate::Millis;

/// An amount of calls while a line stands.
pub(super) struct Called {
    /// Seconds of the rate...
    pub(super) seconds: f64,
    /// ...and tickets on top.
    pub(super) tickets: f64,
}

/// The speed is measured after this amount was called, and had time to come. A line in which every holder shows up remembers
/// no more than 3 s and 30 tickets.
pub(super) const MEASURED_AFTER: Called = Called { seconds: 2.0, tickets: 20.0 };
/// The speed is known after so many turns of measurement plus the delay of the latest called holders, both times the share of
/// no-shows: the fewer come, the more chance weighs.
const KNOWN_AFTER_TURNS: f64 = 60.0;
/// The displayed speed is a mean over about this many seconds, and over fewer while the line is young.
const SPEED_MEMORY: f64 = 15.0;
/// Seconds of a known speed after which it counts as settled.
const SETTLED_AFTER: f64 = 10.0;
/// The flow of freed seats is a mean over about this many seconds.
const FLOW_MEMORY: f64 = 5.0;
/// The mean stay forgets over this many turns of all taken seats...
const STAY_MEMORY_TURNS: f64 = 2.0;
/// ...and over this many more people.
const STAY_MEMORY_PEOPLE: f64 = 20.0;

/// Mean speed at which places move up over the last seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PlaceSpeed {
    /// In tickets per second; 0 while it is not measured.
    mean: f64,
    /// For how many seconds it was measured.
    known_for: f64,
    /// For how many seconds it must be measured before it counts as known.
    known_after: f64,
}

impl PlaceSpeed {
    /// In tickets per second; 0 while unknown.
    pub(super) fn known(&self) -> f64 {
        if self.known_for >= self.known_after { self.mean } else { 0.0 }
    }

    /// Whether it is being measured.
    pub(super) fn is_measured(&self) -> bool {
        self.mean > 0.0
    }

    /// Whether it has been known for long enough to be stable.
    pub(super) fn is_settled(&self) -> bool {
        self.known() > 0.0 && self.known_for >= SETTLED_AFTER
    }

    /// Starts the measurement in a line that lets in `rate` shoppers per second, of which a share `h` comes.
    pub(super) fn begin(&mut self, rate: f64, h: f64) {
        let seconds = MEASURED_AFTER.seconds;
        (self.mean, self.known_for) = (rate / h, seconds);
        self.known_after = seconds + (1.0 - h) * (KNOWN_AFTER_TURNS / rate + SHOW_WITHIN as f64 / 1000.0);
    }

    /// The line has dissolved.
    pub(super) fn end(&mut self) {
        self.mean = 0.0;
    }

    /// All places moved up by `places` in the last `elapsed` milliseconds.
    pub(super) fn moved(&mut self, places: f64, elapsed: Millis) {
        if self.is_measured() {
            self.known_for += elapsed as f64 / 1000.0;
            let memory = self.known_for.min(SPEED_MEMORY.max(self.known_after));
            self.mean = mean(self.mean, places, elapsed, memory);
        }
    }

    /// The room lets in another number of shoppers per second from now on, of which a share `h` comes.
    pub(super) fn rate_changed(&mut self, before: f64, rate: f64, h: f64) {
        self.mean = match rate.total_cmp(&before) {
            Ordering::Equal => return,
            // A new measurement starts, as long as the new rate requires.
            _ if self.known() <= 0.0 => 0.0,
            Ordering::Less => self.mean.min(rate / h),
            Ordering::Greater => self.mean * rate / before,
        };
    }
}

/// The flow of freed seats.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct FreedSeats {
    /// Seats per second, a mean over the last seconds.
    per_second: f64,
    /// People who left, each weighing less the more have left since.
    left: f64,
    /// For how long all seats were taken meanwhile, in seats times seconds, by the same weights.
    seat_seconds: f64,
}

impl FreedSeats {
    /// Seats per second.
    pub(super) fn per_second(&self) -> f64 {
        self.per_second
    }

    /// How long a seat is taken, in seconds, a mean over the people who left last; 0 until as many have left as
    /// the `taken` who are inside: the others might stay longer.
    pub(super) fn mean_stay(&self, taken: u64) -> f64 {
        if self.left > 0.0 && self.left >= taken as f64 { self.seat_seconds / self.left } else { 0.0 }
    }

    /// `seats` seats became free in the last `elapsed` milliseconds, and `taken` are taken.
    pub(super) fn freed(&mut self, seats: u64, taken: u64, elapsed: Millis) {
        self.per_second = mean(self.per_second, seats as f64, elapsed, FLOW_MEMORY);
        let memory = STAY_MEMORY_TURNS * taken as f64 + STAY_MEMORY_PEOPLE;
        let keep = memory / (memory + seats as f64);
        self.left = self.left * keep + seats as f64;
        self.seat_seconds = self.seat_seconds * keep + taken as f64 * elapsed as f64 / 1000.0;
    }
}

/// A mean per second that forgets over `memory` seconds, after `events` in `elapsed` milliseconds.
fn mean(before: f64, events: f64, elapsed: Millis, memory: f64) -> f64 {
    let seconds = elapsed as f64 / 1000.0;
    before + (events - before * seconds) / (seconds + memory)
}
