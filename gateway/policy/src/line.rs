//! The line: `next`, `serving`, and every transition between two states of a room.
//!
//! A store is a place that keeps a [`Line`] and runs [`Line::apply`] on it, one [`Batch`] after the
//! other. The pointer `serving` carries fairness; the token bucket at the claim carries safety: a
//! claim costs one token and one seat, so no error of the pointer can admit too many.
//!
//! - `repair`: a store that lost writes ([`crate::segment`]: the number space, cut by time)
//! - `claims`: claims, passes, places given up; `unconfirmed`: passes that never came back; `numbers`: one bit a number;
//!   `arrivals`: newcomers who came back
//! - `rounds`: newcomers whose order is drawn
//! - `rest`: a shop that rests, and a line that stands meanwhile; `visits`: requests that only look, without a number
//! - `caps`: what keeps the rate below the operator's; `stock`: what is left to sell; `let_in`: shoppers let in before their time
//! - [`crate::lease`]: loans to gateways, reserved here while they may spend them
//! - `batch`, `persist`: input and stored form ([`crate::view`]: output); `memory`: a gateway's memory of a line
//!
//! Invariants ([`Line::check_invariants`]): counters only grow, a granted number was called, a live
//! pass was granted, `bucket <= burst`, and below 0 only by what was let in, and live passes never exceed `total_active_users`.
//!
//! Out of scope: where the state is kept, who asks, and what time it is. Arithmetic is on
//! integers below 2^53 and on f64 with `+ - x /`, so that a store's script can repeat it exactly.

mod arrivals;
mod batch;
mod caps;
mod claims;
mod let_in;
mod memory;
mod numbers;
mod persist;
mod repair;
mod rest;
mod rounds;
mod stock;
mod unconfirmed;
mod visits;

use std::collections::{BTreeMap, VecDeque};

use crate::Millis;
use crate::lease::{LeaseTable, Reserved};
use crate::pacer::{Pacer, Supply};
use crate::pass::Passes;
use crate::room::Rules;
use crate::segment::base_at;
use arrivals::Arrivals;
use caps::Caps;
use let_in::LettingIn;
use repair::{Clock, LostSeats, Settling};
use rest::Rest;
use stock::Inventory;
use unconfirmed::Unconfirmed;

pub use crate::segment::{self, Segment, Segments};
pub use crate::ticket::{Adopt, Adopted, FIRST_ROUND, Round};
pub use crate::view::View;
pub use batch::{Arrival, BadEntry, Batch, Grant, HighWater, Outcome, Restore, Revoked, Stamp};
pub use let_in::Credit;
pub use memory::Memory;
pub use numbers::{Chunk, Numbers};
pub use persist::{Change, Counters};
pub use rounds::Place;

/// Time since the last transition counts for at most this much: a clock that jumps cannot call the
/// whole line.
const MAX_ELAPSED: Millis = 1_000;
/// A claimant of another gateway keeps its precedence this long after that gateway last named it.
const CLAIMANT_KEPT: Millis = 300;
/// A claimant who was let go without a token counts as present until the next poll is overdue.
const CLAIMANT_COUNTS: Millis = 2_000;
/// Records of numbered provisional tickets, one for each cut-off of a gateway: ten gateways may be cut off fifty times
/// in the day that a ticket lives. Beyond, the oldest is forgotten.
pub(crate) const MOST_ADOPTED: usize = 512;
/// The bucket of a standing line holds one token and this many seconds of rate: what a tick brings,
/// and the part of a token that the tick before could not give.
const STANDING_BURST: f64 = 0.1;

/// The holder of a called ticket who has no token yet.
#[derive(Debug, Clone, Copy)]
struct Claimant {
    gateway: u32,
    seen: Millis,
    /// Waits at this moment at its gateway, as far as known.
    here: bool,
}

/// The places shown for called shoppers who have not entered ([`crate::outlook`]).
#[derive(Debug, Clone, Copy, Default)]
struct Places {
    /// Places as last shown; infinite while no shopper waits.
    told: f64,
    /// Tickets called since.
    called: f64,
    /// Places by which all have moved up, not yet reported to the pacer.
    moved: f64,
}

impl Places {
    const NONE: Self = Self { told: f64::INFINITY, called: 0.0, moved: 0.0 };
}

/// Every shopper enters: limits are only reported, and the room is open.
fn unlimited(rules: &Rules) -> bool {
    rules.open && !rules.enforced
}

/// The state of a room.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// All but `memory`, which the pacer knows.
    counters: Counters,
    /// Fraction of a ticket that the pointer still has to move: less than one.
    carry: f64,
    /// Tokens that a claim may take; below 0: what was let in before its time.
    bucket: f64,
    /// Tokens that a visit may take.
    visits: f64,
    /// New shoppers per second, as last set.
    rate: f64,
    pacer: Pacer,
    places: Places,
    claimants: BTreeMap<u64, Claimant>,
    claimed: Numbers,
    passes: Passes,
    /// When renewed passes were first given, while `max_session` may bind them.
    admitted: Passes,
    unconfirmed: Unconfirmed,
    revoked: VecDeque<Revoked>,
    revocations_forgotten: u64,
    /// Freed seats, not yet reported to the pacer.
    freed: u64,
    adopted: Vec<Adopted>,
    arrivals: Arrivals,
    leases: LeaseTable,
    clock: Clock,
    settling: Settling,
    lost_seats: LostSeats,
    rest: Rest,
    round: Round,
    /// What had gathered when the store lost writes, until the end of the transition that notices.
    lost_round: Round,
    /// Numbers that no shopper has got.
    skipped: u64,
    caps: Caps,
    inventory: Inventory,
    letting_in: LettingIn,
    changes: Vec<Change>,
}

impl Line {
    /// An empty line, begun now. Its bucket starts empty: a restart grants no burst.
    pub fn new(at: impl Into<Stamp>) -> Self {
        let at = at.into();
        let segments = Segment::at(base_at(at.now)).into();
        let counters = Counters { segments, now: at.now, lost: at.now, ..Counters::default() };
        let (leases, clock, letting_in) = (LeaseTable::begun(), Clock::of(at), LettingIn::begun(at.now));
        Self { counters, rate: f64::INFINITY, places: Places::NONE, leases, clock, letting_in, ..Self::default() }
    }

    /// Runs the line up to now and answers a batch: the only way in which a line changes.
    pub fn apply(&mut self, rules: &Rules, batch: &Batch, at: impl Into<Stamp>) -> Outcome {
        let at = at.into();
        let rules = rules.at(self.clock.tell_utc(at, batch.seen.utc));
        let now = self.repair(rules, &batch.seen, at);
        let open = self.is_open(rules, &batch.stock, now);
        let rules = &Rules { open, ..self.capped(rules, &batch.caps, now) };
        self.leases.hears(batch.gateway, batch.lease, batch.seen.now);
        self.advance(rules, now, batch.shop_rests);
        if !batch.shop_rests {
            self.take_order(rules);
        }
        let rules = &self.eased(rules);
        self.restore(&batch.restore);
        for &number in &batch.confirmed {
            self.confirm(number);
        }
        for &number in &batch.releases {
            self.release(number);
        }
        for &number in &batch.ends {
            self.end_pass(rules, number);
        }
        let renewed = self.renew_all(rules, &batch.renewals);
        self.draw_lost(rules, batch);
        self.draw(rules, batch);
        // A gateway that has not heard of the round that gathers takes its places for lost ones.
        if let Some(adopt) = batch.adopt.filter(|adopt| !self.round.gathers(adopt.incarnation)) {
            self.adopt(rules, adopt, batch.seed);
        }
        let mut grants = self.claim(rules, batch);
        let spare = self.spare(rules);
        let fresh = self.fresh(&batch.arrivals, spare);
        let arrived = fresh.len() as u64;
        let joined_if_called = batch.joins_if_called.min(spare.saturating_sub(arrived));
        let newcomers = arrived + joined_if_called + batch.joins;
        let gathers = newcomers > 0 && self.gathers(rules);
        let first_given = if gathers { self.gather(newcomers) } else { self.take(rules, newcomers) };
        let round = if gathers { self.round.id } else { 0 };
        self.trade(&fresh, round, first_given);
        if !batch.shop_rests && !gathers {
            let open = self.counters.segments.open;
            (first_given..=open.next.min(open.serving)).for_each(|number| self.names(number, batch.gateway));
        }
        self.grant(rules, batch.gateway, &mut grants);
        let visits = if batch.shop_rests { 0 } else { self.visit(rules, batch.visits) };
        let revoked = self.revoked_since(batch);
        let revocations_seen = self.revocations_forgotten + self.revoked.len() as u64;
        let lease = rules.lends.then(|| self.leases.lend(batch.gateway, rules, self.unseated(rules), now));
        let arrivals = batch.arrivals.iter().map(|arrival| self.arrivals.place(arrival.id)).collect();
        self.tell_places();
        self.keep_credit();
        let (view, first) = (self.view(), first_given + arrived);
        Outcome {
            view,
            arrivals,
            round,
            first,
            joined_if_called,
            visits,
            grants,
            renewed,
            revoked,
            revocations_seen,
            lease,
        }
    }

    /// Numbers that could be given and granted now.
    fn spare(&self, rules: &Rules) -> u64 {
        if unlimited(rules) {
            return u64::MAX;
        }
        let open = &self.counters.segments.open;
        // No newcomer passes by a round.
        let called = if self.round.waiting() > 0 { 0 } else { open.serving.saturating_sub(open.next) };
        called.min(self.places(rules).saturating_sub(self.claimants.len() as u64))
    }

    /// Gives `numbers` numbers; returns the first.
    fn take(&mut self, rules: &Rules, numbers: u64) -> u64 {
        self.widen(numbers);
        let open = &mut self.counters.segments.open;
        let first = open.next + 1;
        open.next += numbers;
        if unlimited(rules) {
            for segment in self.counters.segments.iter_mut() {
                segment.serving = segment.serving.max(segment.next);
            }
        }
        self.expect_speed(rules);
        first
    }

    /// A line that has just formed shows a speed once the share of called shoppers who come is known.
    fn expect_speed(&mut self, rules: &Rules) {
        if self.rest.easing == 0 && self.counters.segments.waiting() > 0 {
            self.pacer.begin(rules.rate);
        }
    }

    /// Numbers provisional tickets, once: after a lost answer a gateway asks again, perhaps
    /// with more of them. Those of a round get an order that the seed decides.
    fn adopt(&mut self, rules: &Rules, Adopt { incarnation, first, count }: Adopt, seed: u64) {
        let known = self.adopted.iter().map(|known| known.adopt).filter(|known| known.incarnation == incarnation);
        let from = known.map(|known| known.first + known.count).fold(first, u64::max);
        let count = (first + count).saturating_sub(from);
        if count == 0 {
            return;
        }
        let base = self.take(rules, count);
        let seed = (incarnation >= FIRST_ROUND && count > 1).then_some(seed);
        self.keep_adopted(Adopted { adopt: Adopt { incarnation, first: from, count }, base, seed });
    }

    fn keep_adopted(&mut self, adopted: Adopted) {
        self.adopted.push(adopted);
        self.changes.push(Change::Adopted(adopted));
        let over = self.adopted.len().saturating_sub(MOST_ADOPTED);
        self.changes.extend(self.adopted.drain(..over).map(Change::AdoptionOver));
    }

    /// Free seats, lent or not, if the room counts seats.
    fn unseated(&self, rules: &Rules) -> Option<u64> {
        let seats = rules.total_active_users.filter(|_| rules.enforced)?;
        Some(seats.saturating_sub(self.taken()))
    }

    /// Free seats that are not lent, plus those that passes which never came back would lose.
    fn free(&self, rules: &Rules) -> Option<u64> {
        let seats = rules.total_active_users.filter(|_| rules.enforced)?;
        let taken = self.taken().saturating_add(self.leases.seats());
        Some(seats.saturating_add(self.loose_seats()).saturating_sub(taken))
    }

    fn stands(&self) -> bool {
        self.counters.segments.waiting() > 0 || self.round.waiting() > 0 || !self.claimants.is_empty()
    }

    /// Time passes: passes end, and unless the shop rests the line lives on.
    fn advance(&mut self, rules: &Rules, now: Millis, shop_rests: bool) {
        let elapsed = (now - self.counters.now).min(MAX_ELAPSED);
        self.counters.now = now;
        self.claimants.retain(|_, claimant| {
            claimant.here &= now < claimant.seen + CLAIMANT_KEPT;
            now < claimant.seen + CLAIMANT_COUNTS
        });
        self.end_passes(rules);
        self.end_arrivals();
        self.resolve(elapsed);
        self.pacer.freed(std::mem::take(&mut self.freed), self.taken(), elapsed);
        let given = self.leases.advance(elapsed, self.unseated(rules));
        self.lost_seats.lose(given, now.saturating_add(rules.session));
        if shop_rests {
            self.rest.idles(elapsed);
            // A lower rate counts meanwhile.
            if rules.rate < self.rate {
                self.pacer.rate_changed(self.rate, rules.rate);
                self.rate = rules.rate;
            }
            (self.bucket, self.visits) = (self.bucket.min(rules.burst), self.visits.min(rules.burst));
            return;
        }
        let (lived, stood) = self.rest.lives(elapsed);
        if stood {
            (self.bucket, self.visits) = (self.bucket.min(0.0), 0.0);
            self.pacer.end();
        }
        self.live(&self.eased(rules), lived);
    }

    /// The rules at the rate in use at this moment.
    fn eased(&self, rules: &Rules) -> Rules {
        let ease = self.rest.ease();
        Rules { rate: rules.rate * ease, visits: rules.visits * ease, ..rules.clone() }
    }

    /// The line lives through some time: claim windows end, the bucket fills, the pointer moves.
    fn live(&mut self, rules: &Rules, lived: Millis) {
        let now = self.counters.now;
        let awake = now.saturating_sub(self.rest.stood);
        self.pacer.settle(awake, lived, rules.rate);
        self.pacer.rate_changed(self.rate, rules.rate);
        self.expect_speed(rules);
        while let Some((from, to)) = self.pacer.window_ended(awake, rules.claim_window) {
            self.counters.no_shows += (to - from) - self.claimed.count(from, to);
        }
        let aside = self.leases.aside(now, rules.rate);
        if rules.open {
            self.fill(rules, lived, aside);
            self.fill_visits(rules, lived);
            if self.lives_on_credit(rules, lived) {
                // Places move up at once, and then not at all: neither is a speed.
                self.places.moved = 0.0;
            } else {
                self.call(rules, lived, aside);
            }
        } else {
            (self.bucket, self.visits) = (self.bucket.min(0.0), 0.0);
            self.letting_in.end();
            if rules.gathers {
                self.skip_lead();
            }
        }
        self.rate = rules.rate;
    }

    /// Skips the numbers that a calm line has called in advance: who comes next waits, at the first place and not among as many as
    /// a burst that all are next.
    fn skip_lead(&mut self) {
        let calm = self.counters.segments.waiting() == 0;
        let open = &mut self.counters.segments.open;
        let lead = open.serving.saturating_sub(open.next);
        if calm && lead > 0 && open.serving < open.base + segment::SPAN {
            open.next += lead;
            self.skipped += lead;
            self.changes.push(Change::Skipped(self.skipped));
        }
    }

    /// A revocation outlives its pass: a form that comes late must not go through with it.
    fn end_passes(&mut self, rules: &Rules) {
        let now = self.counters.now;
        let over = |revoked: &mut Revoked| revoked.expires.saturating_add(rules.form_grace) <= now;
        while let Some(over) = self.revoked.pop_front_if(over) {
            self.revocations_forgotten += 1;
            self.changes.push(match over {
                Revoked { number, expires, evicted: true } => Change::EvictionOver(number, expires),
                Revoked { number, .. } => Change::Revoked(number, None),
            });
        }
        while let Some((number, _)) = self.passes.pop_until(now) {
            self.confirm(number);
            self.changes.push(Change::Active(number, None));
            self.freed += 1;
        }
        self.loosen();
    }

    /// The rate may have changed at any moment since the last transition: the lower one counts.
    fn fill(&mut self, rules: &Rules, elapsed: Millis, aside: Reserved) {
        let room = if self.stands() { rules.burst.min(1.0 + STANDING_BURST * rules.rate) } else { rules.burst };
        let room = room.min(rules.burst - aside.hold).max(0.0);
        let rate = (self.rate.min(rules.rate) - aside.share).max(0.0);
        self.bucket = (self.bucket + rate * elapsed as f64 / 1000.0).min(room);
    }

    /// Moves `serving`: at the pacer's speed while people wait, else ahead of `next` by the burst.
    fn call(&mut self, rules: &Rules, elapsed: Millis, aside: Reserved) {
        let free = self.free(rules);
        let seconds = elapsed as f64 / 1000.0;
        if self.counters.segments.waiting() > 0 {
            let rate = (rules.rate - aside.share).max(0.0);
            let supply = Supply { rate, claimants: self.claimants.len() as u64, free };
            self.carry += self.pacer.speed(&supply, seconds) * seconds;
            let most = self.whole_carry();
            self.pacer.moved(std::mem::take(&mut self.places.moved), elapsed);
            self.places.called += self.move_by(most) as f64;
        } else {
            self.pacer.end();
            self.carry += rules.rate * seconds;
            let most = self.whole_carry();
            let spare = (rules.burst.floor() as u64).min(free.unwrap_or(u64::MAX));
            let open = &mut self.counters.segments.open;
            open.serving = (open.serving + most).min(open.next.saturating_add(spare)).max(open.serving);
        }
    }

    /// Calls up to `most` waiting tickets, the earliest segment first; returns how many.
    fn move_by(&mut self, most: u64) -> u64 {
        let mut left = most;
        for segment in self.counters.segments.iter_mut() {
            let from = segment.serving;
            segment.serving += segment.waiting().min(left);
            left -= segment.serving - from;
            self.pacer.calls(from, segment.serving);
        }
        most - left
    }

    fn whole_carry(&mut self) -> u64 {
        let whole = self.carry.floor();
        self.carry -= whole;
        whole as u64
    }

    /// Places move up by the calls since the last transition, less the called places still shown. Of a line that has lost
    /// writes the shown places are unknown, but not below zero.
    fn tell_places(&mut self) {
        let Places { told, called, moved } = self.places;
        let now = self.told();
        self.places = match self.counters.segments.waiting() {
            0 => Places::NONE,
            _ if self.is_unsure() => Places { told: 0.0, called: 0.0, moved: moved + called },
            _ if told.is_finite() => Places { told: now, called: 0.0, moved: moved + told + called - now },
            _ => Places { told: now, ..Places::NONE },
        };
    }

    /// Places of called shoppers who have not entered, as they may be shown: more only by calls, so that no position grows.
    fn told(&self) -> f64 {
        self.pacer.entering(self.claimants.len() as u64).min(self.places.told + self.places.called)
    }

    /// A copy of what gateways may know.
    pub fn view(&self) -> View {
        let c = &self.counters;
        let (rate, capped_by) = self.caps.in_force();
        View {
            segments: c.segments.clone(),
            forgotten: c.forgotten,
            lost: c.lost,
            unsure: self.is_unsure(),
            now: c.now,
            utc: self.clock.utc(),
            rate,
            capped_by,
            stock: self.stock(c.now),
            speed: self.pacer.mean_speed(),
            show_share: self.pacer.show_share(),
            settled: self.pacer.is_settled(),
            bound: self.pacer.bound(),
            stay: self.pacer.mean_stay(self.taken()),
            claimants: self.claimants.len() as u64,
            entering: self.pacer.entering(self.claimants.len() as u64) as u64,
            told: self.told() as u64,
            owed: self.owed(),
            active: self.taken(),
            granted: c.granted,
            no_shows: c.no_shows,
            over_limit: c.over_limit,
            second_passes: c.second_passes,
            gateways: self.leases.holders(),
            adopted: self.adopted.clone(),
            round: self.round,
            skipped: self.skipped,
        }
    }

    /// Panics where the line contradicts itself; for tests after each step.
    ///
    /// # Panics
    /// If an invariant of this module does not hold.
    pub fn check_invariants(&self, rules: &Rules) {
        assert!(self.bucket.is_finite() && self.bucket <= rules.burst.max(1.0), "bucket {}", self.bucket);
        assert!(self.visits >= 0.0 && self.visits <= rules.burst.max(1.0), "visits {}", self.visits);
        assert!((0.0..1.0).contains(&self.carry), "carry {}", self.carry);
        let segments = &self.counters.segments;
        for (number, _) in self.passes.iter().filter(|&(number, _)| segments.of(number).is_some()) {
            assert!(self.claimed.has(number), "{number} has a pass and no claim");
            assert!(segments.is_called(number), "{number} has a pass and was not called");
        }
        for number in self.unconfirmed.numbers() {
            assert!(self.passes.expiry(number).is_some(), "{number} is unconfirmed and has no pass");
        }
        for &number in self.claimants.keys() {
            assert!(!self.claimed.has(number), "{number} claims twice");
        }
        let bases: Vec<u64> = segments.iter().map(|segment| segment.base).collect();
        assert!(bases.is_sorted_by(|a, b| a < b) && bases.len() <= segment::MOST, "segments {bases:?}");
        for segment in segments.iter() {
            assert!(segment.next - segment.base < segment::SPAN && segment.serving >= segment.base, "{segment:?}");
        }
    }
}

#[cfg(test)]
mod tests;
