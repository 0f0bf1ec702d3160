//! Passes that have never come back: the first to lose their seats when seats are short.
//!
//! A client without cookies takes a seat for a whole session and never shows its pass. So, where a room counts seats, a
//! pass is unconfirmed until a gateway says that its holder came back with it, or asks to renew it. One that stays so
//! for [`GRACE`] is loose: its seat counts as free, and when a claimant takes that seat the pass is **evicted**, the
//! oldest first, and never more than are taken at that moment.
//!
//! An evicted pass travels to the gateways as a revocation does, but its number counts as never claimed:
//! its holder is a claimant again, stands before the line by that low number, and costs a token and a seat.
//!
//! Bound: one entry for each live pass not shown yet. Out of scope: leases. Loose seats are not lent, and
//! a pass given under a lease, or given back after a loss, counts as confirmed.

use super::Line;
use super::batch::Revoked;
use super::persist::Change;
use crate::Millis;
use crate::pass::Passes;
use crate::room::Rules;

/// A pass that has not come back for this long may lose its seat.
pub(super) const GRACE: Millis = 30_000;

/// Passes that have not come back, by the time at which they were given.
#[derive(Debug, Clone, Default)]
pub(super) struct Unconfirmed {
    young: Passes,
    loose: Passes,
}

impl Unconfirmed {
    pub(super) fn add(&mut self, number: u64, given: Millis) {
        self.young.set(number, given);
    }

    /// Returns whether it was one.
    pub(super) fn remove(&mut self, number: u64) -> bool {
        self.young.remove(number).or_else(|| self.loose.remove(number)).is_some()
    }

    /// Time passes: some become loose.
    fn settle(&mut self, now: Millis) {
        while let Some((number, given)) = self.young.pop_until(now.saturating_sub(GRACE)) {
            self.loose.set(number, given);
        }
    }

    fn oldest_loose(&self) -> Option<u64> {
        self.loose.first().map(|(number, _)| number)
    }

    /// All numbers.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.young.iter().chain(self.loose.iter()).map(|(number, _)| number)
    }
}

impl Line {
    pub(super) fn loosen(&mut self) {
        self.unconfirmed.settle(self.counters.now);
    }

    /// Number of seats whose passes are loose.
    pub(super) fn loose_seats(&self) -> u64 {
        self.unconfirmed.loose.len()
    }

    /// A pass was given, and its holder has not shown it yet.
    pub(super) fn expect_back(&mut self, rules: &Rules, number: u64) {
        if rules.enforced && rules.total_active_users.is_some() {
            let now = self.counters.now;
            self.unconfirmed.add(number, now);
            self.changes.push(Change::Unconfirmed(number, Some(now)));
        }
    }

    /// The pass of this number came back, or has ended.
    pub(super) fn confirm(&mut self, number: u64) {
        if self.unconfirmed.remove(number) {
            self.changes.push(Change::Unconfirmed(number, None));
        }
    }

    /// `passes` passes are about to be given: evicts loose ones where no seat is free.
    pub(super) fn free_seats(&mut self, rules: &Rules, passes: u64) {
        let Some(seats) = rules.total_active_users.filter(|_| rules.enforced && passes > 0) else { return };
        let short = (self.taken() + passes).saturating_add(self.leases.seats()).saturating_sub(seats);
        for _ in 0..short {
            let Some(number) = self.unconfirmed.oldest_loose() else { return };
            self.evict(number);
        }
    }

    fn evict(&mut self, number: u64) {
        self.confirm(number);
        let Some(expires) = self.passes.remove(number) else { return };
        self.freed += 1;
        self.claimed.remove(number);
        self.revoked.push_back(Revoked { number, expires, evicted: true });
        self.changes.extend([Change::Active(number, None), Change::Evicted(number, expires)]);
    }
}

#[cfg(test)]
mod tests;
