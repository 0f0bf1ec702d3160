//! The line: `next`, `serving`, and every transition between two states of a room.
//!
//! A store is a place that keeps a [`Line`] and runs [`Line::apply`] on it, one [`Batch`] after the
//! other. The pointer `serving` carries fairness; the token bucket at the claim carries safety: a
//! claim costs one token and one seat, so no error of the pointer can admit too many.
//!
//! Invariants ([`Line::check_invariants`]): counters only grow, a granted number was called, a live
//! pass was granted, `0 <= bucket <= burst`, and live passes never exceed `total_active_users`.
//!
//! What is absent: where the state is kept, who asks, and what time it is. Arithmetic is on
//! integers below 2^53 and on f64 with `+ - x /`, so that a store's script can repeat it exactly.

mod bits;

use std::collections::{BTreeMap, VecDeque};

use crate::Millis;
use crate::drain::{Drain, Supply};
use crate::pass::Passes;
use crate::room::Rules;
use crate::ticket::LineId;
use bits::Bits;

/// Time since the last transition counts for at most this much: a clock that jumps cannot call the
/// whole line.
const MAX_ELAPSED: Millis = 1_000;
/// A claimant of another gateway keeps its precedence this long after that gateway last named it.
const CLAIMANT_KEPT: Millis = 300;
/// A claimant who was let go without a token counts as present until the next poll is overdue.
const CLAIMANT_COUNTS: Millis = 2_000;
/// The bucket of a standing line holds one token and this many seconds of rate: what a tick brings,
/// and the part of a token that the tick before could not give.
const STANDING_BURST: f64 = 0.1;

/// Everything that one gateway asks of one line at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Which gateway asks; its earlier claimants are replaced by the ones below.
    pub gateway: u32,
    /// Places kept while the store was away: they are numbered first.
    pub adopt: Option<Adopt>,
    /// New arrivals.
    pub joins: u64,
    /// Arrivals that want a number only if it is already called (`reject`): they come first.
    pub joins_if_called: u64,
    /// Called tickets whose holders are here, in any order.
    pub claims: Vec<u64>,
    /// Passes to extend.
    pub renewals: Vec<u64>,
    /// Passes and tickets to end at once.
    pub releases: Vec<u64>,
    /// How many revocations of this line the gateway knows already.
    pub revocations_seen: u64,
}

/// Provisional tickets of one run of a gateway: `count` from sequence `first` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adopt {
    /// The run that gave them out.
    pub run: u32,
    /// First sequence number.
    pub first: u64,
    /// How many.
    pub count: u64,
}

/// Provisional tickets that have their numbers: sequence `first + i` is number `base + i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adopted {
    /// Which provisional tickets.
    pub adopt: Adopt,
    /// Number of the first.
    pub base: u64,
}

/// The answer to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// A pass, until then. A repeated claim gets the same one.
    Pass(Millis),
    /// Not called, or called and without a token or a seat so far: ask again.
    NotYet,
    /// Its pass was used up or given back: the ticket is worth nothing.
    Spent,
}

/// The answer to a [`Batch`].
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The line after it.
    pub view: View,
    /// Numbers given to `joins_if_called`, then `joins`: the first of them...
    pub first: u64,
    /// ...how many of `joins_if_called` were given one (the rest are turned away)...
    pub joined_if_called: u64,
    /// Grants for the claims and for new numbers that were called at once. A number that is not
    /// here waits.
    pub grants: Vec<(u64, Grant)>,
    /// New end of each renewed pass; `None` if it had ended.
    pub renewed: Vec<(u64, Option<Millis>)>,
    /// Passes given back before their end that the gateway did not know of: (number, end).
    pub revoked: Vec<(u64, Millis)>,
    /// How many revocations it knows with these.
    pub revocations_seen: u64,
}

/// What a gateway may know of a line: a copy that can only be stale.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// Which run of the line.
    pub id: LineId,
    /// Tickets handed out.
    pub next: u64,
    /// Tickets called.
    pub serving: u64,
    /// Store time of this copy.
    pub now: Millis,
    /// Speed of `serving` in tickets per second, a mean over the last seconds.
    pub speed: f64,
    /// Share of called tickets whose holders come.
    pub show_share: f64,
    /// Claimants without a token.
    pub claimants: u64,
    /// Passes that live.
    pub active: u64,
    /// Passes given so far.
    pub granted: u64,
    /// Tickets whose claim window ended without a claim so far.
    pub no_shows: u64,
    /// Passes given beyond the limits, where limits are only reported.
    pub over_limit: u64,
    /// Provisional tickets that have their numbers.
    pub adopted: Vec<Adopted>,
}

impl View {
    /// Tickets handed out and not called.
    pub fn waiting(&self) -> u64 {
        self.next.saturating_sub(self.serving)
    }

    /// The speed by which a wait may be told, 0 if nobody can know it: where seats hold the line back, it
    /// moves as seats are freed, and that depends on shoppers who have not decided yet.
    pub fn known_speed(&self, rules: &Rules) -> f64 {
        let free = rules.total_active_users.map(|seats| seats.saturating_sub(self.active));
        let held_back = free.is_some_and(|free| self.waiting() as f64 * self.show_share > free as f64);
        if held_back { 0.0 } else { self.speed }
    }
}

/// What changed in a line besides its counters, for a store that writes differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// This number was claimed or given up.
    Claimed(u64),
    /// The pass of this number ends then; `None`: it has ended.
    Active(u64, Option<Millis>),
    /// The pass of this number was given back; forget it then.
    Revoked(u64, Option<Millis>),
    /// Provisional tickets were numbered.
    Adopted(Adopted),
}

/// The counters of a line: what a store must keep, besides the [`Change`]s, to continue after a loss.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counters {
    /// Which run of the line.
    pub id: LineId,
    /// Tickets handed out.
    pub next: u64,
    /// Tickets called.
    pub serving: u64,
    /// Store time of the last transition.
    pub now: Millis,
    /// Passes given so far.
    pub granted: u64,
    /// Tickets whose claim window ended without a claim.
    pub no_shows: u64,
    /// Passes given beyond limits that are only reported.
    pub over_limit: u64,
    /// What the drain remembers of no-shows.
    pub memory: (f64, f64),
}

/// The holder of a called ticket who has no token yet.
#[derive(Debug, Clone, Copy)]
struct Claimant {
    gateway: u32,
    seen: Millis,
    /// Waits at this moment at its gateway, as far as known.
    here: bool,
}

/// Everyone enters: limits are only reported, and the room is open.
fn unlimited(rules: &Rules) -> bool {
    rules.open && !rules.enforced
}

/// The state of a room.
#[derive(Debug, Clone, Default)]
pub struct Line {
    counters: Counters,
    carry: f64,
    bucket: f64,
    rate: f64,
    drain: Drain,
    claimants: BTreeMap<u64, Claimant>,
    claimed: Bits,
    windows_ended: u64,
    passes: Passes,
    revoked: VecDeque<(u64, Millis)>,
    revocations_forgotten: u64,
    freed: u64,
    adopted: Vec<Adopted>,
    changes: Vec<Change>,
}

impl Line {
    /// An empty line, begun at `now`. Its bucket starts empty: a restart grants no burst.
    pub fn new(id: LineId, now: Millis) -> Self {
        Self::restored(Counters { id, now, ..Counters::default() }, now, [])
    }

    /// A line as a store kept it, continued at `now`.
    pub fn restored(kept: Counters, now: Millis, changes: impl IntoIterator<Item = Change>) -> Self {
        let mut line = Self {
            counters: Counters { now: now.max(kept.now), ..kept },
            rate: f64::INFINITY,
            drain: Drain::remembering(kept.memory),
            windows_ended: kept.serving,
            ..Self::default()
        };
        for change in changes {
            line.replay(change);
        }
        line
    }

    fn replay(&mut self, change: Change) {
        match change {
            Change::Claimed(number) => self.claimed.set(number),
            Change::Active(number, Some(expires)) => self.passes.set(number, expires),
            Change::Active(number, None) => drop(self.passes.remove(number)),
            Change::Revoked(number, Some(expires)) => self.revoked.push_back((number, expires)),
            Change::Revoked(number, None) => self.revoked.retain(|&(n, _)| n != number),
            Change::Adopted(adopted) => self.adopted.push(adopted),
        }
    }

    /// Runs the line up to `now` and answers a batch: the only way in which a line changes.
    pub fn apply(&mut self, rules: &Rules, batch: &Batch, now: Millis) -> Outcome {
        self.advance(rules, now);
        for &number in &batch.releases {
            self.release(number);
        }
        let renewed = batch.renewals.iter().map(|&n| (n, self.renew(rules, n))).collect();
        if let Some(adopt) = batch.adopt {
            self.adopt(rules, adopt);
        }
        let mut grants = self.claim(batch);
        let first = self.counters.next + 1;
        let joined_if_called = batch.joins_if_called.min(self.spare(rules));
        self.take(rules, joined_if_called + batch.joins);
        let called = first..=self.counters.next.min(self.counters.serving);
        called.for_each(|number| self.names(number, batch.gateway));
        self.grant(rules, batch.gateway, &mut grants);
        let revoked = self.revoked_since(batch.revocations_seen);
        let revocations_seen = self.revocations_forgotten + self.revoked.len() as u64;
        Outcome { view: self.view(), first, joined_if_called, grants, renewed, revoked, revocations_seen }
    }

    fn revoked_since(&self, seen: u64) -> Vec<(u64, Millis)> {
        let skip = seen.saturating_sub(self.revocations_forgotten) as usize;
        self.revoked.iter().skip(skip).copied().collect()
    }

    /// Numbers that could be given and granted at this moment.
    fn spare(&self, rules: &Rules) -> u64 {
        if unlimited(rules) {
            return u64::MAX;
        }
        let called = self.counters.serving.saturating_sub(self.counters.next);
        let places = (self.bucket.floor() as u64).min(self.free(rules).unwrap_or(u64::MAX));
        called.min(places.saturating_sub(self.claimants.len() as u64))
    }

    fn take(&mut self, rules: &Rules, numbers: u64) {
        self.counters.next += numbers;
        if unlimited(rules) {
            self.counters.serving = self.counters.serving.max(self.counters.next);
        }
        self.expect_speed(rules);
    }

    /// A line that has just formed shows a speed as soon as it is known how many come.
    fn expect_speed(&mut self, rules: &Rules) {
        if self.counters.next > self.counters.serving && self.drain.mean_speed() <= 0.0 {
            self.drain.begin(rules.rate);
        }
    }

    /// Numbers provisional tickets, once: an answer that was lost makes a gateway ask again, perhaps
    /// with more of them.
    fn adopt(&mut self, rules: &Rules, Adopt { run, first, count }: Adopt) {
        let known = self.adopted.iter().map(|known| known.adopt).filter(|known| known.run == run);
        let from = known.map(|known| known.first + known.count).fold(first, u64::max);
        let count = (first + count).saturating_sub(from);
        if count == 0 {
            return;
        }
        let adopted = Adopted { adopt: Adopt { run, first: from, count }, base: self.counters.next + 1 };
        self.take(rules, count);
        self.adopted.push(adopted);
        self.changes.push(Change::Adopted(adopted));
    }

    /// Seats that nobody sits on, if the room counts seats.
    fn free(&self, rules: &Rules) -> Option<u64> {
        let seats = rules.total_active_users.filter(|_| rules.enforced)?;
        Some(seats.saturating_sub(self.passes.len()))
    }

    fn stands(&self) -> bool {
        self.counters.next > self.counters.serving || !self.claimants.is_empty()
    }

    /// Time passes: passes end, the bucket fills, the pointer moves.
    fn advance(&mut self, rules: &Rules, now: Millis) {
        let now = now.max(self.counters.now);
        let elapsed = (now - self.counters.now).min(MAX_ELAPSED);
        self.counters.now = now;
        self.claimants.retain(|_, claimant| {
            claimant.here &= now < claimant.seen + CLAIMANT_KEPT;
            now < claimant.seen + CLAIMANT_COUNTS
        });
        self.end_passes();
        self.drain.freed(std::mem::take(&mut self.freed), elapsed);
        self.drain.settle(now, elapsed, rules.rate);
        self.expect_speed(rules);
        if let Some(to) = self.drain.window_ended(now, rules.claim_window) {
            let from = self.windows_ended.min(to);
            self.counters.no_shows += (to - from) - self.claimed.count(from, to);
            self.windows_ended = to;
        }
        if rules.open {
            self.fill(rules, elapsed);
            self.call(rules, elapsed);
        } else {
            self.bucket = 0.0;
        }
        self.rate = rules.rate;
        self.counters.memory = self.drain.memory();
    }

    fn end_passes(&mut self) {
        let now = self.counters.now;
        while let Some((number, _)) = self.revoked.pop_front_if(|&mut (_, expires)| expires <= now) {
            self.revocations_forgotten += 1;
            self.changes.push(Change::Revoked(number, None));
        }
        while let Some(number) = self.passes.pop_expired(now) {
            self.changes.push(Change::Active(number, None));
            self.freed += 1;
        }
    }

    /// The rate may have changed at any moment since the last transition: the lower one counts.
    fn fill(&mut self, rules: &Rules, elapsed: Millis) {
        let room = if self.stands() { rules.burst.min(1.0 + STANDING_BURST * rules.rate) } else { rules.burst };
        let rate = self.rate.min(rules.rate);
        self.bucket = (self.bucket + rate * elapsed as f64 / 1000.0).min(room);
    }

    /// Moves `serving`: at the drain's speed while people wait, else ahead of `next` by the burst.
    fn call(&mut self, rules: &Rules, elapsed: Millis) {
        let free = self.free(rules);
        let before = self.counters.serving;
        let seconds = elapsed as f64 / 1000.0;
        if self.counters.next > before {
            let supply = Supply { rate: rules.rate, claimants: self.claimants.len() as u64, free };
            self.carry += self.drain.speed(&supply, seconds) * seconds;
            self.counters.serving = (before + self.whole_carry()).min(self.counters.next);
            self.drain.moved(before, self.counters.serving, elapsed);
        } else {
            self.drain.end();
            self.carry += rules.rate * seconds;
            let spare = (rules.burst.floor() as u64).min(free.unwrap_or(u64::MAX));
            self.counters.serving = (before + self.whole_carry()).min(self.counters.next + spare).max(before);
        }
    }

    fn whole_carry(&mut self) -> u64 {
        let whole = self.carry.floor();
        self.carry -= whole;
        whole as u64
    }

    fn renew(&mut self, rules: &Rules, number: u64) -> Option<Millis> {
        self.passes.expiry(number)?;
        let expires = self.counters.now + rules.session;
        self.seat(number, expires);
        Some(expires)
    }

    fn seat(&mut self, number: u64, expires: Millis) {
        self.passes.set(number, expires);
        self.changes.push(Change::Active(number, Some(expires)));
    }

    /// Ends a pass, or gives up a place that was not claimed.
    fn release(&mut self, number: u64) {
        if number == 0 || number > self.counters.next {
            return;
        }
        self.mark_claimed(number);
        self.claimants.remove(&number);
        if let Some(expires) = self.passes.remove(number) {
            self.freed += 1;
            self.revoked.push_back((number, expires));
            self.changes.push(Change::Active(number, None));
            self.changes.push(Change::Revoked(number, Some(expires)));
        }
    }

    fn mark_claimed(&mut self, number: u64) {
        if !self.claimed.get(number) {
            self.claimed.set(number);
            self.changes.push(Change::Claimed(number));
        }
    }

    /// Answers the claims that need no token, and makes claimants of the others.
    fn claim(&mut self, batch: &Batch) -> Vec<(u64, Grant)> {
        for claimant in self.claimants.values_mut() {
            claimant.here &= claimant.gateway != batch.gateway;
        }
        let mut grants = Vec::with_capacity(batch.claims.len());
        for &number in &batch.claims {
            match self.standing_of(number) {
                Some(grant) => grants.push((number, grant)),
                None => self.names(number, batch.gateway),
            }
        }
        grants
    }

    /// The holder of a called ticket is here.
    fn names(&mut self, number: u64, gateway: u32) {
        let claimant = Claimant { gateway, seen: self.counters.now, here: true };
        if self.claimants.insert(number, claimant).is_none() {
            self.drain.shows(number);
        }
    }

    /// The answer to a claim that needs no token, or `None` for a claimant.
    fn standing_of(&self, number: u64) -> Option<Grant> {
        if number == 0 || number > self.counters.serving.min(self.counters.next) {
            return Some(Grant::NotYet);
        }
        if !self.claimed.get(number) {
            return None;
        }
        Some(self.passes.expiry(number).map_or(Grant::Spent, Grant::Pass))
    }

    /// Gives the free tokens to the lowest claimants who are here. A token that falls to another
    /// gateway's claimant is left for it.
    fn grant(&mut self, rules: &Rules, gateway: u32, grants: &mut Vec<(u64, Grant)>) {
        let tokens = if unlimited(rules) { u64::MAX } else { self.bucket.floor() as u64 };
        let places = tokens.min(self.free(rules).unwrap_or(u64::MAX));
        let expires = self.counters.now + rules.session;
        let here = self.claimants.iter().filter(|(_, claimant)| claimant.here);
        let ranked = (0..).zip(here).filter(|(_, (_, claimant))| claimant.gateway == gateway);
        let answers: Vec<(u64, bool)> = ranked.map(|(rank, (&number, _))| (number, rank < places)).collect();
        for (number, granted) in answers {
            if !granted {
                grants.push((number, Grant::NotYet));
                continue;
            }
            self.claimants.remove(&number);
            self.spend(rules);
            self.mark_claimed(number);
            self.seat(number, expires);
            self.counters.granted += 1;
            grants.push((number, Grant::Pass(expires)));
        }
    }

    fn spend(&mut self, rules: &Rules) {
        if rules.enforced {
            self.bucket -= 1.0;
            return;
        }
        let seats = rules.total_active_users.is_some_and(|seats| self.passes.len() >= seats);
        self.counters.over_limit += u64::from(self.bucket < 1.0 || seats);
        self.bucket = (self.bucket - 1.0).max(0.0);
    }

    /// A copy of what gateways may know.
    pub fn view(&self) -> View {
        let c = &self.counters;
        View {
            id: c.id,
            next: c.next,
            serving: c.serving,
            now: c.now,
            speed: self.drain.mean_speed(),
            show_share: self.drain.show_share(),
            claimants: self.claimants.len() as u64,
            active: self.passes.len(),
            granted: c.granted,
            no_shows: c.no_shows,
            over_limit: c.over_limit,
            adopted: self.adopted.clone(),
        }
    }

    /// The counters to keep.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What changed besides the counters since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Panics where the line contradicts itself; for tests after each step.
    ///
    /// # Panics
    /// If an invariant of this module does not hold.
    pub fn check_invariants(&self, rules: &Rules) {
        assert!(self.bucket >= 0.0 && self.bucket <= rules.burst.max(1.0), "bucket {}", self.bucket);
        assert!((0.0..1.0).contains(&self.carry), "carry {}", self.carry);
        for (number, _) in self.passes.iter() {
            assert!(self.claimed.get(number), "{number} has a pass and no claim");
            assert!(number <= self.counters.serving, "{number} has a pass and was not called");
        }
        for &number in self.claimants.keys() {
            assert!(!self.claimed.get(number), "{number} claims twice");
        }
    }
}

#[cfg(test)]
mod tests;
