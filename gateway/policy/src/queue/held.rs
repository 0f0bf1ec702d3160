//! Callers with a number, whose requests are held for their turn.
//!
//! Every batch names each held caller until the pass is granted or the time is up.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::op::Admission;
use crate::line::Grant;

/// A request is held for its turn this long, and up to [`HOLD_SPREAD`] longer, in so many steps.
const HOLD: Duration = Duration::from_millis(1_900);
const HOLD_SPREAD: Duration = Duration::from_millis(600);
const HOLD_STEPS: u32 = 7;

/// By number.
#[derive(Debug)]
pub(super) struct HeldCallers<R> {
    callers: BTreeMap<u64, Vec<(Duration, R)>>,
    turn: u32,
}

impl<R> Default for HeldCallers<R> {
    fn default() -> Self {
        Self { callers: BTreeMap::new(), turn: 0 }
    }
}

impl<R> HeldCallers<R> {
    pub(super) fn is_empty(&self) -> bool {
        self.callers.is_empty()
    }

    /// The numbers, lowest first.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.callers.keys().copied()
    }

    pub(super) fn hold(&mut self, number: u64, reply: R, now: Duration) {
        // Callers who came together must not all leave together, and come back together.
        self.turn = (self.turn + 1) % HOLD_STEPS;
        let until = now + HOLD + HOLD_SPREAD * self.turn / HOLD_STEPS;
        self.callers.entry(number).or_default().push((until, reply));
    }

    pub(super) fn retain(&mut self, keeps: impl Fn(&R) -> bool) {
        self.callers.retain(|_, callers| {
            callers.retain(|(_, reply)| keeps(reply));
            !callers.is_empty()
        });
    }

    /// Answers callers with a pass, and those whose time is up: all of these if the shop rests.
    pub(super) fn answer(
        &mut self,
        grants: &HashMap<u64, Grant>,
        now: Duration,
        shop_rests: bool,
        replies: &mut Vec<(R, Admission)>,
    ) {
        self.callers.retain(|&number, callers| {
            let granted = Admission::of(number, grants.get(&number));
            let answered = callers.extract_if(.., |(until, _)| granted.is_some() || shop_rests || *until <= now);
            replies.extend(answered.map(|(_, reply)| (reply, granted.unwrap_or(Admission::Ticket(number)))));
            !callers.is_empty()
        });
    }

    /// The store did not answer, and no lease replaces it: the numbers keep their worth.
    pub(super) fn let_go(&mut self, replies: &mut Vec<(R, Admission)>) {
        let callers = std::mem::take(&mut self.callers).into_iter();
        let callers = callers.flat_map(|(number, callers)| callers.into_iter().map(move |(_, reply)| (number, reply)));
        replies.extend(callers.map(|(number, reply)| (reply, Admission::Ticket(number))));
    }
}
