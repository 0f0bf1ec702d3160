//! The number space of a room, cut by time into segments.
//!
//! ```text
//! number = base + n,   base = unit x 2^25,   unit = 4 s since 2026-01-01,   1 <= n < 2^25
//! ```
//!
//! A line numbers its tickets in one segment. When its store has lost writes, the given numbers are unknown:
//! a new segment is opened, further on in time, and every later number stands behind all earlier ones.
//! So a number is never given twice, and the order of numbers is the order of arrival across
//! losses. Late evidence of an earlier segment is still of use: it raises the counters of that segment.
//!
//! Numbers stay below 2^53 until 2060, so that a script's doubles hold them exactly.
//!
//! One segment is none of the line's own: the places that operators give by code have their numbers in [`GIVEN`], before every line.
//! All of them are called, so nobody waits in it, and it is never forgotten: a code is good once, whatever else a line forgets.
//!
//! Out of scope: when a segment is opened ([`crate::line`]).

use serde::{Deserialize, Serialize};

use crate::Millis;

/// 2026-01-01T00:00:00Z, where units begin.
pub const ORIGIN: Millis = 1_767_225_600_000;
/// Length of a unit.
pub(crate) const UNIT: Millis = 4_000;
const BITS: u32 = 25;
/// Numbers of a segment, and the distance between two bases.
pub const SPAN: u64 = 1 << BITS;
/// Segments that a line keeps apart. A ninth takes the place of the oldest without waiters.
pub const MOST: usize = 8;
/// The base of the segment of places that operators give: an hour after the origin, when there was no line.
pub const GIVEN: u64 = 1_024 << BITS;

/// The base of a segment opened at this time.
pub fn base_at(time: Millis) -> u64 {
    (time.saturating_sub(ORIGIN) / UNIT) << BITS
}

/// The base of the segment of this number.
pub fn base_of(number: u64) -> u64 {
    number >> BITS << BITS
}

/// A number in its form for people: the unit of its segment, and the place within.
pub fn place_of(number: u64) -> (u64, u64) {
    (number >> BITS, number % SPAN)
}

/// One stretch of the number space: `base < given <= next`, `base < called <= serving`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its numbers begin after this one.
    pub base: u64,
    /// The last number given.
    pub next: u64,
    /// The last number called. May lead `next` in a calm line.
    pub serving: u64,
}

impl Segment {
    /// A segment without numbers.
    pub fn at(base: u64) -> Self {
        Self { base, next: base, serving: base }
    }

    /// The evidence in a ticket of this number. One that an operator gave is called.
    pub fn proved_by_ticket(number: u64) -> Self {
        let base = base_of(number);
        if base == GIVEN { Self::proved_by_pass(number) } else { Self { next: number, ..Self::at(base) } }
    }

    /// The evidence in a pass of this number.
    pub fn proved_by_pass(number: u64) -> Self {
        Self { next: number, serving: number, ..Self::at(base_of(number)) }
    }

    /// Numbers given and not called.
    pub fn waiting(&self) -> u64 {
        self.next.saturating_sub(self.serving)
    }

    /// Whether no number of it was given, as far as known.
    pub fn is_empty(&self) -> bool {
        self.next == self.base
    }

    /// Whether it may be forgotten for a later one.
    fn is_done(&self) -> bool {
        self.waiting() == 0 && self.base != GIVEN
    }

    fn holds(&self, number: u64) -> bool {
        self.base < number && number - self.base < SPAN
    }

    /// Takes the higher counters of both; returns whether that was news.
    pub(crate) fn learn(&mut self, known: &Self) -> bool {
        let news = known.next > self.next || known.serving > self.serving;
        self.next = self.next.max(known.next);
        self.serving = self.serving.max(known.serving);
        news
    }
}

/// The segments of a line in order: the open one, in which numbers are given, and those before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Segments {
    /// Earlier ones, oldest first; mostly none.
    pub before: Vec<Segment>,
    /// The one in which numbers are given.
    pub open: Segment,
}

impl From<Segment> for Segments {
    fn from(open: Segment) -> Self {
        Self { before: Vec::new(), open }
    }
}

impl Segments {
    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Segment> {
        self.before.iter().chain([&self.open])
    }

    /// The segment of this number, if it is known.
    pub fn of(&self, number: u64) -> Option<&Segment> {
        if self.open.holds(number) {
            return Some(&self.open);
        }
        self.before.iter().rev().find(|segment| segment.holds(number))
    }

    /// Whether this number was given, as far as known.
    pub fn has(&self, number: u64) -> bool {
        self.of(number).is_some_and(|segment| number <= segment.next)
    }

    /// Whether this number is called.
    pub fn is_called(&self, number: u64) -> bool {
        self.of(number).is_some_and(|segment| number <= segment.serving)
    }

    /// Numbers given and not called.
    pub fn waiting(&self) -> u64 {
        self.iter().map(Segment::waiting).sum()
    }

    /// Numbers that must be called until this one is, itself included; 0: it is called.
    pub fn ahead_of(&self, number: u64) -> u64 {
        let base = base_of(number);
        let own = match self.of(number) {
            Some(segment) if number <= segment.serving => return 0,
            Some(segment) => number - segment.serving,
            None => number - base,
        };
        own + self.iter().filter(|segment| segment.base < base).map(Segment::waiting).sum::<u64>()
    }

    /// How many segments the line had before the open one.
    pub fn earlier(&self) -> usize {
        self.before.iter().filter(|segment| segment.base != GIVEN).count()
    }

    /// How many places operators gave.
    pub fn given_by_operators(&self) -> u64 {
        self.before.iter().find(|segment| segment.base == GIVEN).map_or(0, |given| given.next - given.base)
    }

    /// Numbers given, in all segments.
    pub fn given(&self) -> u64 {
        self.iter().map(|segment| segment.next - segment.base).sum()
    }

    /// Numbers called, in all segments.
    pub fn called(&self) -> u64 {
        self.iter().map(|segment| segment.serving - segment.base).sum()
    }

    /// The segments once `most` waiting tickets are called, the earliest first.
    #[must_use]
    pub fn moved_by(&self, most: u64) -> Self {
        let (mut moved, mut left) = (self.clone(), most);
        for segment in moved.iter_mut() {
            let called = segment.waiting().min(left);
            segment.serving += called;
            left -= called;
        }
        moved
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Segment> {
        self.before.iter_mut().chain([&mut self.open])
    }

    /// Opens a segment; the one that was open stands before it, if a number of it was given.
    pub(crate) fn open(&mut self, segment: Segment) {
        let last = std::mem::replace(&mut self.open, segment);
        if !last.is_empty() {
            self.before.push(last);
        }
    }

    /// Puts an earlier segment in its place.
    pub(crate) fn insert(&mut self, segment: Segment) {
        let at = self.before.partition_point(|other| other.base < segment.base);
        self.before.insert(at, segment);
    }

    fn is_full(&self) -> bool {
        self.before.len() + 1 >= MOST
    }

    /// Whether there is, or can be made, room for one more.
    pub(crate) fn has_room(&self) -> bool {
        !self.is_full() || self.before.iter().any(Segment::is_done)
    }

    /// Forgets the oldest without waiters, if room for one more is needed; returns its base.
    pub(crate) fn make_room(&mut self) -> Option<u64> {
        let done = self.before.iter().position(Segment::is_done)?;
        self.is_full().then(|| self.before.remove(done).base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: u64 = 5 * SPAN;
    const B: u64 = 9 * SPAN;

    fn two() -> Segments {
        let before = vec![Segment { base: A, next: A + 100, serving: A + 60 }];
        Segments { before, open: Segment { base: B, next: B + 10, serving: B + 2 } }
    }

    #[test]
    fn a_number_tells_when_its_segment_was_opened() {
        let at = ORIGIN + 5 * UNIT + 3;
        assert_eq!((base_at(at), base_of(A + 7), place_of(A + 7)), (A, A, (5, 7)));
        assert_eq!(base_at(ORIGIN - 1), 0);
        assert!(base_at(ORIGIN + 30 * 365 * 86_400_000) < 1 << 53);
    }

    #[test]
    fn whoever_stands_in_a_later_segment_waits_for_the_earlier_ones() {
        let segments = two();
        assert_eq!((segments.waiting(), segments.given(), segments.called()), (48, 110, 62));
        let ahead = [A + 60, A + 61, A + 100, B + 2, B + 3, B + 10].map(|n| segments.ahead_of(n));
        assert_eq!(ahead, [0, 1, 40, 0, 41, 48]);
    }

    #[test]
    fn a_number_of_an_unknown_segment_is_not_called_and_stands_behind_the_earlier_ones() {
        let segments = two();
        for number in [0, A, B, 7 * SPAN + 3, 10 * SPAN + 3, A - 1, u64::MAX] {
            assert!(!segments.is_called(number) && !segments.has(number), "{number}");
        }
        assert_eq!(segments.ahead_of(7 * SPAN + 3), 43);
        assert_eq!(segments.ahead_of(10 * SPAN + 3), 51);
        assert!(segments.has(A + 100) && !segments.has(A + 101));
    }

    #[test]
    fn a_ninth_segment_takes_the_place_of_the_oldest_in_which_nobody_waits() {
        let mut segments = Segments::from(Segment { base: A, next: A + 1, serving: A });
        for unit in 6..13 {
            assert_eq!((segments.has_room(), segments.make_room()), (true, None));
            let base = unit * SPAN;
            segments.open(Segment { base, next: base + 1, serving: base + u64::from(unit > 7) });
        }
        assert_eq!((segments.has_room(), segments.make_room()), (true, Some(8 * SPAN)));
        segments.open(Segment::at(20 * SPAN));
        segments.before.iter_mut().for_each(|segment| segment.serving = segment.base);
        assert_eq!((segments.has_room(), segments.make_room()), (false, None));
    }
}
