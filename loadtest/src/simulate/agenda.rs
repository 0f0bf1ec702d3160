//! The agenda in virtual time: a calendar queue with a page for each millisecond.
//!
//! A million people who poll are tens of millions of entries, most of them far ahead: a page costs an append, a heap
//! would cost a walk through memory.

use evidence::Micros;

use crate::population::{Agenda, Turn};

/// Microseconds on a page.
const PAGE: Micros = 1_000;

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A visitor arrives or acts.
    Turn(Turn),
    /// The gateway may have something to do.
    Gateway,
}

/// Everything that is to come until the end.
#[derive(Debug)]
pub(super) struct Calendar {
    end: Micros,
    /// By millisecond. Those before the present one are empty.
    pages: Vec<Vec<(Micros, Event)>>,
    present: usize,
    /// The present page, the next event last.
    open: Vec<(Micros, Event)>,
    is_sorted: bool,
}

impl Agenda for Calendar {
    fn plan(&mut self, due: Micros, turn: Turn) {
        self.plan_event(due, Event::Turn(turn));
    }
}

impl Calendar {
    /// Nothing happens from `end` on.
    pub(super) fn until(end: Micros) -> Self {
        Self { end, pages: Vec::new(), present: 0, open: Vec::new(), is_sorted: true }
    }

    /// Adds an event at this instant; one in the past happens next.
    pub(super) fn plan_event(&mut self, at: Micros, event: Event) {
        if at >= self.end {
            return;
        }
        let page = usize::try_from(at / PAGE).unwrap_or(0);
        if page <= self.present {
            self.open.push((at, event));
            self.is_sorted = false;
            return;
        }
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, Vec::new);
        }
        self.pages[page].push((at, event));
    }

    /// The next event, and when it happens.
    pub(super) fn next(&mut self) -> Option<(Micros, Event)> {
        while self.open.is_empty() {
            self.present += 1;
            self.open = std::mem::take(self.pages.get_mut(self.present)?);
            self.is_sorted = false;
        }
        if !std::mem::replace(&mut self.is_sorted, true) {
            self.open.sort_unstable_by(|a, b| b.cmp(a));
        }
        self.open.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_happen_in_order_also_those_that_are_planned_on_the_way() {
        let mut agenda = Calendar::until(900_001);
        for (at, who) in [(5_400, 1), (2, 2), (5_300, 3), (900_000, 4), (900_001, 5), (Micros::MAX, 6)] {
            agenda.plan(at, Turn::Visitor(who));
        }
        assert_eq!(agenda.next(), Some((2, Event::Turn(Turn::Visitor(2)))));
        assert_eq!(agenda.next(), Some((5_300, Event::Turn(Turn::Visitor(3)))));
        agenda.plan_event(5_350, Event::Gateway);
        agenda.plan(6_000, Turn::Newcomer);
        let rest: Vec<_> = std::iter::from_fn(|| agenda.next()).map(|(at, _)| at).collect();
        assert_eq!(rest, [5_350, 5_400, 6_000, 900_000]);
    }
}
