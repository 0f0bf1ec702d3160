//! The stages of a purchase in virtual time: pools whose requests wait in order, and the gates before them.
//!
//! ```text
//! start of a request = the first instant from which it needs a slot, and at which fewer are taken than there are
//! ```
//!
//! Out of scope: requests that are on their way when a pool changes. They end as they began.

use std::collections::VecDeque;
use std::time::Duration;

use evidence::shop::Stage as Seen;
use evidence::{Micros, micros};
use launch_model::scenario::{Fault, Stage};

/// A pool that is served in order.
#[derive(Debug)]
pub(super) struct Pool {
    whole: usize,
    /// How long a purchase holds a slot.
    holds: Duration,
    /// What share of the pool is left from when until when.
    faults: Vec<(Micros, Micros, f64)>,
    /// From when until when slots are taken; the begin may lie ahead.
    taken: Vec<(Micros, Micros)>,
}

impl Pool {
    pub(super) fn of(stage: Stage, whole: usize, holds: Duration, faults: &[Fault]) -> Self {
        let mine = faults.iter().filter(|fault| fault.stage == stage);
        let faults = mine.map(|fault| (micros(fault.from.0), micros(fault.until()), fault.share)).collect();
        Self { whole, holds, faults, taken: Vec::new() }
    }

    /// Its size at this instant; at least one, so that requests have an end.
    fn size(&self, at: Micros) -> usize {
        let share =
            self.faults.iter().find(|(from, until, _)| (*from..*until).contains(&at)).map_or(1.0, |fault| fault.2);
        ((self.whole as f64 * share).round() as usize).max(1)
    }

    /// A request that comes now and needs a slot from `at` on for so long: when it ends.
    pub(super) fn work(&mut self, now: Micros, at: Micros, holds: Micros) -> Micros {
        self.taken.retain(|(_, until)| *until > now);
        let begin = self.free_from(at);
        self.taken.push((begin, begin + holds));
        begin + holds
    }

    /// The first instant from `at` on at which a slot is free.
    fn free_from(&self, at: Micros) -> Micros {
        let mut taken = self.taken.iter().filter(|(from, until)| (*from..*until).contains(&at)).count();
        if taken < self.size(at) {
            return at;
        }
        let begins = self.taken.iter().map(|(from, _)| (*from, true));
        let mut turns: Vec<_> = self.taken.iter().map(|(_, until)| (*until, false)).chain(begins).collect();
        turns.retain(|(turn, _)| *turn > at);
        turns.sort_unstable();
        for here in turns.chunk_by(|a, b| a.0 == b.0) {
            // Ends come first, so the count is never below 0.
            taken = here.iter().fold(taken, |taken, (_, begins)| if *begins { taken + 1 } else { taken - 1 });
            if taken < self.size(here[0].0) {
                return here[0].0;
            }
        }
        // After the last end nothing is taken, so this is for the compiler alone.
        at
    }

    /// What it would say of itself at this instant, its queue apart.
    pub(super) fn seen(&self, at: Micros) -> Seen {
        let (pool, holds) = (self.size(at), self.holds.as_secs_f64());
        Seen { pool, delivers: if holds > 0.0 { pool as f64 / holds } else { 0.0 }, ..Seen::default() }
    }
}

/// Forms of one kind: so many may be in flight, and the others wait about in the order in which they came first.
///
/// This is a model: the gate of the gateway itself is tried over sockets.
#[derive(Debug)]
pub(super) struct Gate {
    most: usize,
    ends: Vec<Micros>,
    line: VecDeque<u32>,
}

/// Those in front are so many times as many as may be in flight: enough that one of them asks when a place is free.
const FRONT: usize = 4;
/// After how long a form in front is sent again, and one behind.
const AGAIN: [Micros; 2] = [1_000_000, 3_000_000];

impl Gate {
    pub(super) fn of(most: usize) -> Self {
        Self { most, ends: Vec::new(), line: VecDeque::new() }
    }

    /// Asks for a visitor's form: after how long it is to be sent again, or `None` if it may go on.
    pub(super) fn ask(&mut self, who: u32, now: Micros) -> Option<Micros> {
        self.ends.retain(|end| *end > now);
        let free = self.most.saturating_sub(self.ends.len());
        let known = self.line.iter().position(|waiting| *waiting == who);
        let in_front = known.unwrap_or(self.line.len()) < FRONT * self.most;
        match known {
            _ if free > 0 && in_front => {
                if let Some(place) = known {
                    self.line.remove(place);
                }
                return None;
            }
            Some(_) => {}
            None => self.line.push_back(who),
        }
        Some(if in_front { AGAIN[0] } else { AGAIN[1] })
    }

    /// A form is in flight until then.
    pub(super) fn passes(&mut self, until: Micros) {
        self.ends.push(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    #[test]
    fn a_pool_serves_so_many_at_once_and_a_tenth_of_it_ten_times_as_slowly() {
        let fault =
            Fault { stage: Stage::Payment, share: 0.1, from: "10s".parse().unwrap(), r#for: "10s".parse().unwrap() };
        let mut pool = Pool::of(Stage::Payment, 10, Duration::from_secs(1), &[fault]);
        let ends = |pool: &mut Pool, at: Micros, count| (0..count).map(|_| pool.work(at, at, SECOND)).max();
        assert_eq!(ends(&mut pool, 0, 20), Some(2 * SECOND));
        assert_eq!(ends(&mut pool, 10 * SECOND, 5), Some(15 * SECOND));
        assert_eq!(ends(&mut pool, 30 * SECOND, 10), Some(31 * SECOND));
        assert_eq!([0, 12 * SECOND].map(|at| pool.seen(at).delivers), [10.0, 1.0]);
    }

    #[test]
    fn what_needs_a_slot_later_keeps_nobody_out_now() {
        let mut pool = Pool::of(Stage::Order, 1, Duration::from_secs(1), &[]);
        assert_eq!(pool.work(0, 5 * SECOND, SECOND), 6 * SECOND);
        assert_eq!(pool.work(0, 0, SECOND), SECOND);
        assert_eq!(pool.work(0, 0, SECOND), 2 * SECOND);
        assert_eq!(pool.work(0, 5 * SECOND, SECOND), 7 * SECOND);
    }

    #[test]
    fn a_gate_lets_so_many_through_at_once_and_those_in_front_first() {
        let mut gate = Gate::of(1);
        assert_eq!(gate.ask(0, 0), None);
        gate.passes(SECOND);
        let told: Vec<_> = (1..=6).map(|who| gate.ask(who, 0)).collect();
        assert_eq!(told, [[Some(AGAIN[0]); 4].as_slice(), &[Some(AGAIN[1]); 2]].concat());
        assert_eq!(gate.ask(5, SECOND), Some(AGAIN[1]), "a place is free, but four are before it");
        assert_eq!(gate.ask(2, SECOND), None);
        gate.passes(3 * SECOND);
        assert_eq!(gate.ask(5, 2 * SECOND), Some(AGAIN[0]), "it is in front now, and has to wait");
        assert_eq!(gate.ask(5, 3 * SECOND), None);
    }
}
