//! Claims, passes, and places that are given up.

use super::batch::{Batch, Grant, Revoked};
use super::persist::Change;
use super::{Claimant, Line, unlimited};
use crate::Millis;
use crate::room::Rules;

impl Line {
    pub(super) fn is_given_and_called(&self, number: u64) -> bool {
        let segments = &self.counters.segments;
        segments.of(number).is_some_and(|segment| number <= segment.next.min(segment.serving))
    }

    /// Answers the claims that need no token, and makes claimants of the others. An arrival that was traded before claims
    /// its number.
    pub(super) fn claim(&mut self, rules: &Rules, batch: &Batch) -> Vec<(u64, Grant)> {
        for claimant in self.claimants.values_mut() {
            claimant.here &= claimant.gateway != batch.gateway;
        }
        let mut grants = Vec::with_capacity(batch.claims.len());
        let again: Vec<u64> = self.numbers_of(&batch.arrivals).collect();
        for &number in batch.claims.iter().chain(&again) {
            match self.standing_of(rules, number) {
                Some(grant) => grants.push((number, grant)),
                None if batch.shop_rests => grants.push((number, Grant::NotYet)),
                None => self.names(number, batch.gateway),
            }
        }
        grants
    }

    /// The holder of a called ticket is here.
    pub(super) fn names(&mut self, number: u64, gateway: u32) {
        let claimant = Claimant { gateway, seen: self.counters.now, here: true };
        if self.claimants.insert(number, claimant).is_none() {
            self.pacer.shows(number);
        }
    }

    /// The answer to a claim that needs no token, or `None` for a claimant.
    fn standing_of(&self, rules: &Rules, number: u64) -> Option<Grant> {
        if !self.is_given_and_called(number) {
            return Some(Grant::NotYet);
        }
        if !self.claimed.has(number) {
            return None;
        }
        if self.settling.is_on() {
            // Its pass may have been given back, and a gateway still has to report that.
            return Some(Grant::NotYet);
        }
        let pass = |expires| Grant::Pass { expires, admitted: self.admitted_at(rules, number, expires) };
        Some(self.passes.expiry(number).map_or(Grant::Spent, pass))
    }

    /// When a pass with this end was given. Without a renewal the end alone tells.
    fn admitted_at(&self, rules: &Rules, number: u64, expires: Millis) -> Millis {
        let renewed = rules.max_session.and_then(|_| self.admitted.expiry(number));
        renewed.unwrap_or(expires.saturating_sub(rules.session)).min(self.counters.now)
    }

    /// Passes that the bucket and the seats allow now.
    pub(super) fn places(&self, rules: &Rules) -> u64 {
        let tokens = match () {
            () if unlimited(rules) => u64::MAX,
            () if self.settling.is_on() => 0,
            () => self.tokens().saturating_add(if rules.open { self.letting_in.left } else { 0 }),
        };
        tokens.min(self.free(rules).unwrap_or(u64::MAX))
    }

    /// Tokens in the bucket.
    pub(super) fn tokens(&self) -> u64 {
        self.bucket.max(0.0).floor() as u64
    }

    /// Gives the free tokens to the lowest claimants who are here. A token for another
    /// gateway's claimant is left for it.
    pub(super) fn grant(&mut self, rules: &Rules, gateway: u32, grants: &mut Vec<(u64, Grant)>) {
        let places = self.places(rules);
        let expires = self.counters.now + rules.session;
        let here = self.claimants.iter().filter(|(_, claimant)| claimant.here);
        let ranked = (0..).zip(here).filter(|(_, (_, claimant))| claimant.gateway == gateway);
        let answers: Vec<(u64, bool)> = ranked.map(|(rank, (&number, _))| (number, rank < places)).collect();
        self.free_seats(rules, answers.iter().filter(|(_, granted)| *granted).count() as u64);
        for (number, granted) in answers {
            if !granted {
                grants.push((number, Grant::NotYet));
                continue;
            }
            self.claimants.remove(&number);
            self.spend(rules);
            self.mark_claimed(number);
            self.seat(number, expires);
            self.expect_back(rules, number);
            self.counters.granted += 1;
            grants.push((number, Grant::Pass { expires, admitted: self.counters.now }));
        }
    }

    fn spend(&mut self, rules: &Rules) {
        if rules.enforced {
            if self.bucket < 1.0 {
                self.letting_in.spend();
            }
            self.bucket -= 1.0;
            return;
        }
        let seats = rules.total_active_users.is_some_and(|seats| self.taken() >= seats);
        self.counters.over_limit += u64::from(self.bucket < 1.0 || seats);
        self.bucket = (self.bucket - 1.0).max(self.bucket.min(0.0));
    }

    /// Extends passes, each at most to `max_session` after it was given; returns their new ends.
    pub(super) fn renew_all(&mut self, rules: &Rules, renewals: &[(u64, Millis)]) -> Vec<(u64, Option<Millis>)> {
        if !renewals.is_empty() {
            self.forget_admissions(rules);
        }
        renewals.iter().map(|&(number, admitted)| (number, self.renew(rules, number, admitted))).collect()
    }

    fn renew(&mut self, rules: &Rules, number: u64, admitted: Millis) -> Option<Millis> {
        let ends = self.passes.expiry(number)?;
        let latest = self.latest_end(rules, number, admitted);
        // A shorter `max_session` takes nothing from a pass that was given before.
        let expires = (self.counters.now + rules.session).min(latest.max(ends));
        self.confirm(number);
        self.seat(number, expires);
        Some(expires)
    }

    /// A repeated claim shows no token that says when its pass was given. So the line keeps the earliest time
    /// that it got for each renewed pass.
    fn latest_end(&mut self, rules: &Rules, number: u64, told: Millis) -> Millis {
        if rules.max_session.is_none() {
            return Millis::MAX;
        }
        let known = self.admitted.expiry(number);
        let admitted = known.unwrap_or(Millis::MAX).min(told).min(self.counters.now);
        if known != Some(admitted) {
            self.admitted.set(number, admitted);
            self.changes.push(Change::Admitted(number, Some(admitted)));
        }
        rules.latest_end(admitted)
    }

    /// Forgets passes that are over by now even with every renewal.
    fn forget_admissions(&mut self, rules: &Rules) {
        let before = self.counters.now.saturating_sub(rules.max_session.unwrap_or(0));
        while let Some((number, _)) = self.admitted.pop_until(before) {
            self.changes.push(Change::Admitted(number, None));
        }
    }

    pub(super) fn seat(&mut self, number: u64, expires: Millis) {
        self.passes.set(number, expires);
        self.changes.push(Change::Active(number, Some(expires)));
    }

    /// Ends a pass, or gives up an unclaimed place.
    pub(super) fn release(&mut self, number: u64) {
        let ends = self.passes.remove(number);
        if ends.is_none() && !self.counters.segments.has(number) {
            return;
        }
        self.mark_claimed(number);
        self.claimants.remove(&number);
        if let Some(expires) = ends {
            self.freed += 1;
            self.confirm(number);
            self.changes.push(Change::Active(number, None));
            self.revoke(number, expires);
        }
    }

    /// Ends a pass by the word of an operator. One that the line does not know, as of a gateway that lives on its lease, is void when
    /// that tells of it: it ends a session from now at the latest.
    pub(super) fn end_pass(&mut self, rules: &Rules, number: u64) {
        let revoked = |revoked: &Revoked| revoked.number == number && !revoked.evicted;
        let known = self.passes.expiry(number).is_some() || self.revoked.iter().any(revoked);
        self.release(number);
        if !known && self.is_given_and_called(number) {
            self.revoke(number, self.counters.now + rules.session);
        }
    }

    pub(super) fn revoke(&mut self, number: u64, expires: Millis) {
        self.revoked.push_back(Revoked { number, expires, evicted: false });
        self.changes.push(Change::Revoked(number, Some(expires)));
    }

    /// Notes a claim, unless its segment was forgotten.
    pub(super) fn mark_claimed(&mut self, number: u64) {
        if self.counters.segments.of(number).is_some() && self.claimed.add(number) {
            self.changes.push(Change::Claimed(number));
        }
    }

    /// Revocations new to a gateway. Their count restarts where the store lost some: then it gets all.
    pub(super) fn revoked_since(&self, batch: &Batch) -> Vec<Revoked> {
        let elder = batch.seen.opened.is_some_and(|opened| opened < self.counters.segments.open.base);
        let seen = if elder { 0 } else { batch.revocations_seen };
        let skip = seen.saturating_sub(self.revocations_forgotten) as usize;
        self.revoked.iter().skip(skip).copied().collect()
    }
}
