//! The agenda: one heap of due times for all visitors. A waiting visitor costs an entry, not a sleeping task.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use evidence::Micros;

use crate::population::{Agenda, Turn};

/// Everything to come, the earliest on top.
#[derive(Debug, Default)]
pub(super) struct Heap(BinaryHeap<Reverse<(Micros, Turn)>>);

impl Agenda for Heap {
    fn plan(&mut self, due: Micros, turn: Turn) {
        self.0.push(Reverse((due, turn)));
    }
}

impl Heap {
    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Micros> {
        self.0.peek().map(|&Reverse((due, _))| due)
    }

    /// The next one, if it is due by `now`.
    pub(super) fn take(&mut self, now: Micros) -> Option<(Micros, Turn)> {
        self.next().filter(|&due| due <= now)?;
        self.0.pop().map(|Reverse(entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_due_first_comes_first_and_nobody_comes_too_early() {
        let mut agenda = Heap::default();
        for (due, turn) in [(30, Turn::Visitor(1)), (10, Turn::Visitor(2)), (20, Turn::Newcomer)] {
            agenda.plan(due, turn);
        }
        assert_eq!(agenda.next(), Some(10));
        assert_eq!(agenda.take(9), None);
        let taken: Vec<_> = std::iter::from_fn(|| agenda.take(25)).collect();
        assert_eq!(taken, [(10, Turn::Visitor(2)), (20, Turn::Newcomer)]);
        assert_eq!(agenda.next(), Some(30));
    }
}
