//! Shoppers whom an operator lets in now, on the tokens of the time to come.
//!
//! ```text
//! owed           =  credit (not used yet) + debt (the bucket below zero)  <=  a minute of the rate
//! window of T    <=  rate x T + burst + shoppers let in
//! ```
//!
//! A let-in is credit: a claim that finds no token takes one of it, and the bucket goes below zero. The rate pays that back before
//! anybody else gets a token, so nobody is let in twice as fast in the end: the front of the line goes first, and the line stands
//! until the debt is paid. Seats are counted as ever.
//!
//! An order is known by its time ([`LetIn::at`]), and only a later one than the last counts: sent again, from another gateway, or
//! with an older version of the rooms, it does nothing. A line that begins, or that has lost writes, takes no order from before:
//! that may have been done. Credit that nobody uses lapses after a minute.
//! Of an order that comes while there is some left, what was left keeps its own end; that of several has the earliest.
//!
//! The pointer calls as many as the credit is for, and again for those who did not come. Those calls teach the pacer nothing: who
//! stands further back asks seldom, and comes late.
//!
//! Out of scope: which orders are given ([`crate::action`]).

use super::Line;
use super::persist::Change;
use crate::Millis;
use crate::room::{LetIn, Rules};

/// An order counts, and its credit lasts, for this long: the rate pays it back in that time.
pub(super) const MINUTE: Millis = 60_000;
/// Time in which called shoppers come: the longest usual interval between two polls, and some.
const ROUND: Millis = 10_000;
/// The pointer moves again when the debt is down to so many seconds of rate: by then called shoppers are there.
const CALL_AHEAD: f64 = 1.0;

/// What is kept of it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Credit {
    /// When the last order that was taken was given, by the time of day; no earlier one counts.
    pub ordered: Millis,
    /// Shoppers who may still enter on it, or on an earlier one.
    pub left: u64,
    /// When it was taken, in the time of the line.
    pub since: Millis,
    /// Those of `left` who may on an earlier one.
    pub earlier: u64,
    /// When that was taken.
    pub earlier_since: Millis,
    /// Tokens that the rate has to pay back.
    pub debt: f64,
}

/// The credit of a line.
#[derive(Debug, Clone, Default)]
pub(super) struct LettingIn {
    pub(super) ordered: Millis,
    pub(super) left: u64,
    since: Millis,
    earlier: u64,
    earlier_since: Millis,
    /// As last told to a store that writes differences.
    told: Credit,
}

impl LettingIn {
    /// No order from before this time of day counts.
    pub(super) fn begun(utc: Millis) -> Self {
        Self { ordered: utc, told: Credit { ordered: utc, ..Credit::default() }, ..Self::default() }
    }

    /// A loss: what was ordered before may have been done.
    pub(super) fn lose(&mut self, utc: Millis) {
        self.ordered = self.ordered.max(utc);
        self.end();
    }

    /// Nobody enters on it any more.
    pub(super) fn end(&mut self) {
        (self.left, self.earlier) = (0, 0);
    }

    /// A shopper enters on it: on the earlier order first, which ends sooner.
    pub(super) fn spend(&mut self) {
        self.left = self.left.saturating_sub(1);
        self.earlier = self.earlier.saturating_sub(1);
    }

    /// So many more may enter from now on.
    fn add(&mut self, shoppers: u64, now: Millis) {
        if self.earlier == 0 {
            self.earlier_since = self.since;
        }
        self.earlier = self.left;
        (self.left, self.since) = (self.left + shoppers, now);
    }

    /// What has lasted for a minute ends.
    fn lapse(&mut self, now: Millis) {
        let is_over = |since: Millis| now.saturating_sub(since) >= MINUTE;
        if is_over(self.earlier_since) {
            self.left -= self.earlier;
            self.earlier = 0;
        }
        if is_over(self.since) {
            self.end();
        }
    }
}

impl Line {
    /// Goes on with the credit and the debt of before.
    pub(super) fn owe(&mut self, kept: Credit) {
        let Credit { ordered, left, since, earlier, earlier_since, debt } = kept;
        self.letting_in = LettingIn { ordered, left, since, earlier, earlier_since, told: kept };
        self.bucket = -debt;
    }

    /// Tokens that are promised or spent before their time.
    pub(super) fn owed(&self) -> u64 {
        (self.letting_in.left as f64 + self.debt()).ceil() as u64
    }

    fn debt(&self) -> f64 {
        (-self.bucket).max(0.0)
    }

    /// Takes an order, once. `rules` are those of the whole rate, also while the line begins slowly.
    pub(super) fn take_order(&mut self, rules: &Rules) {
        let utc = self.clock.utc();
        let (now, ordered) = (self.counters.now, self.letting_in.ordered);
        let counts = |order: &LetIn| order.at > ordered && utc < order.at.saturating_add(MINUTE);
        let Some(order) = rules.let_in.filter(counts).filter(|_| rules.open && rules.enforced) else { return };
        let people = self.counters.segments.waiting() + self.claimants.len() as u64;
        let minute = (rules.rate * MINUTE as f64 / 1_000.0).floor() as u64;
        let shoppers = order.shoppers.min(people).min(minute.saturating_sub(self.owed()));
        self.letting_in.ordered = order.at;
        self.letting_in.add(shoppers, now);
        self.call_on_credit();
    }

    /// Ends what has lapsed, and calls again for those who did not come. Returns whether the pointer does nothing else: the line has a
    /// debt to pay.
    pub(super) fn lives_on_credit(&mut self, rules: &Rules, lived: Millis) -> bool {
        let age = self.counters.now.saturating_sub(self.letting_in.since);
        self.letting_in.lapse(self.counters.now);
        if self.letting_in.left > 0 && age / ROUND > age.saturating_sub(lived) / ROUND {
            self.call_on_credit();
        }
        self.debt() > CALL_AHEAD * rules.rate
    }

    fn call_on_credit(&mut self) {
        let missing = self.letting_in.left.saturating_sub(self.claimants.len() as u64);
        let tickets = (missing as f64 / self.pacer.show_share()).ceil() as u64;
        let segments = &mut self.counters.segments;
        let called = segments.moved_by(tickets);
        self.places.called += (called.called() - segments.called()) as f64;
        *segments = called;
    }

    /// What has changed of it, for a store that writes differences.
    pub(super) fn keep_credit(&mut self) {
        let LettingIn { ordered, left, since, earlier, earlier_since, told } = self.letting_in.clone();
        let credit = Credit { ordered, left, since, earlier, earlier_since, debt: self.debt() };
        if credit != told {
            self.letting_in.told = credit;
            self.changes.push(Change::Credit(credit));
        }
    }
}

#[cfg(test)]
mod tests;
