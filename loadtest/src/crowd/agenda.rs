//! What is to be done when. One heap for everybody: somebody who waits costs an entry, not a sleeping task.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use evidence::Micros;

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    /// The next visitor arrives.
    Newcomer,
    /// This visitor acts.
    Visitor(usize),
}

/// Everything that is to come, the first on top.
#[derive(Debug, Default)]
pub(super) struct Agenda(BinaryHeap<Reverse<(Micros, Who)>>);

impl Agenda {
    /// Somebody has to do something then.
    pub(super) fn plan(&mut self, due: Micros, who: Who) {
        self.0.push(Reverse((due, who)));
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Micros> {
        self.0.peek().map(|&Reverse((due, _))| due)
    }

    /// The next one, if it is due by `now`.
    pub(super) fn take(&mut self, now: Micros) -> Option<(Micros, Who)> {
        self.next().filter(|&due| due <= now)?;
        self.0.pop().map(|Reverse(entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_due_first_comes_first_and_nobody_comes_too_early() {
        let mut agenda = Agenda::default();
        for (due, who) in [(30, Who::Visitor(1)), (10, Who::Visitor(2)), (20, Who::Newcomer)] {
            agenda.plan(due, who);
        }
        assert_eq!(agenda.next(), Some(10));
        assert_eq!(agenda.take(9), None);
        let taken: Vec<_> = std::iter::from_fn(|| agenda.take(25)).collect();
        assert_eq!(taken, [(10, Who::Visitor(2)), (20, Who::Newcomer)]);
        assert_eq!(agenda.next(), Some(30));
    }
}
