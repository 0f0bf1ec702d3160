//! Displayed waits against actual ones.
//!
//! No shopper is remembered one by one, only samples of numbers with the wait shown when they were given. The wait shown to a
//! shopper who enters is that of the sample before: it stood beside that number in the line. A gateway counts the shoppers
//! who enter through it, whichever gave them their number; without a sample near the number the wait counts as unknown.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::{Counter, Histogram};
use policy::Millis;
use policy::outlook::Wait;
use policy::ticket::Token;

use super::{Series, catalogue};

/// Bound on samples.
const MOST: usize = 1_024;
/// Samples kept before the numbers that enter now: people come late.
const LATE: usize = 64;

/// Longest time between two samples...
const SPACING: Millis = 5_000;
/// ...and the longest time after a sample for which it stands.
const NEAR: Millis = 60_000;

/// The actual wait against the displayed range, with the name in metrics.
const ENTERED: [&str; 4] = ["before", "within", "after", "unknown"];

/// Displayed and actual waits of a line.
#[derive(Debug)]
pub struct Waits {
    shown: Mutex<Samples>,
    /// The number of the next sample, and its latest time: before both nothing is locked.
    next: AtomicU64,
    due: AtomicU64,
    real: Histogram,
    error: Histogram,
    against: [Counter; ENTERED.len()],
}

#[derive(Debug)]
struct Samples {
    /// By number.
    numbers: Vec<ShownWait>,
    /// Numbers from one sample to the next.
    step: u64,
    /// The highest that has entered.
    entered: u64,
}

/// A sample: the wait shown with a number.
#[derive(Debug, Clone, Copy)]
struct ShownWait {
    number: u64,
    wait: Option<Wait>,
    at: Millis,
}

impl Samples {
    /// Makes room: keeps only some samples before the numbers that enter now, and of the others every second one if they are
    /// many. A line that has become shorter is sampled as closely as before.
    fn make_room(&mut self) {
        let entering = self.numbers.partition_point(|shown| shown.number <= self.entered);
        self.numbers.drain(..entering.saturating_sub(LATE));
        match self.numbers.len() {
            many if many > MOST / 2 => {
                let mut keep = false;
                self.numbers.retain(|_| {
                    keep = !keep;
                    keep
                });
                self.step = self.step.saturating_mul(2);
            }
            few if few < MOST / 4 => self.step = (self.step / 2).max(1),
            _ => {}
        }
    }
}

impl Waits {
    /// The waits of this room's line, counted in these series.
    pub fn of(room: &str, series: &Series) -> Self {
        let shown = Mutex::new(Samples { numbers: Vec::new(), step: 1, entered: 0 });
        let real = series.histogram(&catalogue::ROOM_WAIT, &[room]);
        let error = series.histogram(&catalogue::ROOM_WAIT_ERROR, &[room]);
        let against = ENTERED.map(|entered| series.counter(&catalogue::ROOM_SHOWN_WAITS, &[room, entered]));
        Self { shown, next: AtomicU64::new(0), due: AtomicU64::new(0), real, error, against }
    }

    /// A newcomer got this number, and was shown this wait.
    pub fn shown(&self, number: u64, wait: Option<Wait>, at: Millis) {
        if number < self.next.load(Ordering::Relaxed) && at < self.due.load(Ordering::Relaxed) {
            return;
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.numbers.last().is_some_and(|last| last.number >= number) {
            return;
        }
        shown.numbers.push(ShownWait { number, wait, at });
        if shown.numbers.len() == MOST {
            shown.make_room();
        }
        self.next.store(number.saturating_add(shown.step), Ordering::Relaxed);
        self.due.store(at.saturating_add(SPACING), Ordering::Relaxed);
    }

    /// The holder of this ticket has entered.
    pub fn entered(&self, ticket: &Token, now: Millis) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.entered = shown.entered.max(ticket.number);
        let after = shown.numbers.partition_point(|shown| shown.number <= ticket.number);
        let neighbour = after.checked_sub(1).and_then(|at| shown.numbers.get(at)).copied();
        // A ticket is sealed anew now and then; its number was given before that of the next sample.
        let given = shown.numbers.get(after).map_or(ticket.issued, |next| next.at.min(ticket.issued));
        drop(shown);
        let wait = Duration::from_millis(now.saturating_sub(given));
        self.real.record(wait);
        let near = |neighbour: &ShownWait| given.saturating_sub(neighbour.at) <= NEAR;
        let Some(shown) = neighbour.filter(near).and_then(|neighbour| neighbour.wait) else {
            return self.against[3].increment(1);
        };
        let (low, high) = (Duration::from_secs(shown.low), Duration::from_secs(shown.high));
        let against = match wait {
            early if early < low => 0,
            late if late > high => 2,
            _ => 1,
        };
        self.against[against].increment(1);
        self.error.record(low.saturating_sub(wait) + wait.saturating_sub(high));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Page;
    use super::*;

    const RANGE: Option<Wait> = Some(Wait { low: 10, high: 50 });

    /// The waits of a line, and a reader of their counts: before, within, after and unknown.
    fn waits() -> (Waits, impl Fn() -> [u64; 4]) {
        let series = Series::default();
        let waits = Waits::of("launch", &series);
        let counts = move || {
            let mut page = Page::default();
            page.series(&series);
            let text: String = page.pieces().collect();
            ENTERED.map(|entered| {
                let mut lines = text.lines().filter(|line| line.contains(&format!("entered=\"{entered}\"")));
                lines.find_map(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(u64::MAX)
            })
        };
        (waits, counts)
    }

    #[test]
    fn who_enters_is_held_against_what_their_neighbour_was_shown() {
        let (waits, counts) = waits();
        waits.entered(&Token::ticket(4, 0), 1_000);
        waits.shown(5, RANGE, 0);
        waits.shown(9, None, 100);
        for (number, after) in [(5, 9_000), (6, 10_000), (7, 50_000), (8, 50_001), (9, 50_000)] {
            waits.entered(&Token::ticket(number, 0), after);
        }
        assert_eq!(counts(), [1, 2, 1, 2]);
    }

    #[test]
    fn an_error_is_the_distance_from_the_range_and_needs_one() {
        let series = Series::default();
        let waits = Waits::of("launch", &series);
        waits.shown(5, RANGE, 0);
        for after in [7_000, 10_000, 50_000, 54_500] {
            waits.entered(&Token::ticket(5, 0), after);
        }
        waits.shown(9, None, 100);
        waits.entered(&Token::ticket(9, 100), 90_000);
        let errors = series.durations(&catalogue::ROOM_WAIT_ERROR, &["launch"]);
        assert_eq!((errors.count(), errors.seconds()), (4, 3.0 + 4.5));
    }

    #[test]
    fn a_ticket_that_was_sealed_anew_is_as_old_as_its_number() {
        let (waits, counts) = waits();
        waits.shown(5, RANGE, 1_000);
        waits.shown(6, RANGE, 2_000);
        waits.entered(&Token::ticket(5, 3_600_000), 3_602_000);
        assert_eq!(counts(), [0, 0, 1, 0], "an hour, not two seconds");
    }

    #[test]
    fn a_line_of_another_day_tells_nothing_of_this_one() {
        let (waits, counts) = waits();
        (0..50_000).for_each(|number| waits.shown(number, RANGE, 0));
        waits.entered(&Token::ticket(50_010, 86_400_000), 86_420_000);
        assert_eq!(counts(), [0, 0, 0, 1]);
        waits.shown(50_011, RANGE, 86_400_000);
        waits.entered(&Token::ticket(50_012, 86_401_000), 86_421_000);
        assert_eq!(counts(), [0, 1, 0, 1], "its first number is remembered at once");
    }

    #[test]
    fn a_long_line_is_remembered_in_part_and_a_short_one_after_it_closely() {
        let (waits, counts) = waits();
        let number = |n| waits.shown(n, RANGE, 0);
        (0..100_000).for_each(number);
        assert!(waits.shown.lock().is_ok_and(|shown| shown.numbers.len() <= MOST && shown.step > 64));
        for n in 0..100_000 {
            waits.entered(&Token::ticket(n, 0), 20_000);
        }
        assert_eq!(counts(), [0, 100_000, 0, 0]);
        let mut next = 100_000;
        for _ in 0..40_000 {
            number(next);
            waits.entered(&Token::ticket(next, 0), 20_000);
            next += 10;
        }
        assert!(waits.shown.lock().is_ok_and(|shown| shown.step <= 10));
    }
}
