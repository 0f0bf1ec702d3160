//! The gateway's side of a line: gathers calls to a room, sends them in batches, answers the callers, and goes on by a lease
//! without its store.
//!
//! A [`RoomQueue`] does no I/O. Its driver has a mailbox, a timer and a store:
//!
//! ```text
//! take(op)                              a caller asks
//! next_wakeup() -> batch()              the timer: the call to the store
//!     answer(outcome) | unreachable()   its result
//! on_lease()                            each LEASE_STEP while no answer is there
//! ```
//!
//! The gateway drives one for each of its rooms; the launches in `tests` and `loadtest simulate` drive the same type in virtual
//! time. `R` is the handle of a caller's reply; each answer is appended to `replies`.
//!
//! - `op`: the operations, and the answers to callers
//! - `gathered`: the content of the next batch
//! - `held`: callers with a number, held for their turn
//! - `schedule`: when the next batch is due
//! - `words`: what the shop said at this gateway
//!
//! At most one batch is in flight, and its content is kept apart from the next: its callers get the store's answer,
//! whatever is taken, or changes, until that comes.
//!
//! Time is that of a monotonic clock of the gateway, from any origin. Out of scope: which rooms share a call, and what the
//! request path reads of a room.

mod gathered;
mod held;
mod op;
mod schedule;
mod words;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use crate::Millis;
use crate::dormancy;
use crate::lease::{self, HeldLease};
use crate::line::{Adopt, Batch, Grant, Memory, Outcome, Place, Restore, Revoked, Segments, View};
use crate::room::Rules;
use gathered::{InFlight, Newcomers, Reports};
use held::HeldCallers;
use schedule::{BUSY_TICK, Schedule};
use words::Words;

pub use op::{Admission, Op};
pub use schedule::{GATHER, LEASE_STEP, back_off};

/// A newcomer whose turn comes within this many seconds is held, not sent to the page.
const SOON: f64 = 0.5;
/// How far behind the store's the clock here may be.
const CLOCKS: Millis = 1_000;
/// A line that rules of a time have opened is looked at often for so long: until its pointer is under way.
const OPENING: Millis = 500;
/// Interval at which ended passes and claims are forgotten, in milliseconds.
const TIDY: Millis = 1_000;

/// A call to the store for one room.
#[derive(Debug)]
pub struct Call {
    /// What the line may let through.
    pub rules: Rules,
    /// The batch for the line. A driver sets its seed, where rounds are drawn.
    pub batch: Batch,
}

/// The content of a store's answer beside admissions. The line itself is [`RoomQueue::view`].
#[derive(Debug)]
pub struct Answered {
    /// The store has lost writes since the last answer. A driver that remembers passes that came back takes their
    /// [`Op::Confirm`]s again: a lost confirmation must not cost a seat.
    pub lost: bool,
    /// New end of each renewed pass; `None` if it had ended.
    pub renewed: Vec<(u64, Option<Millis>)>,
    /// Passes taken away, as far as new to this gateway.
    pub revoked: Vec<Revoked>,
    /// It is time to forget ended passes.
    pub tidies: bool,
}

/// One room's queue at one gateway.
#[derive(Debug)]
pub struct RoomQueue<R> {
    /// The id of this gateway, or of this incarnation of it, in the line.
    gateway: u32,
    rules: Rules,
    /// No server of the shop can be reached: no shopper is let in, and no request is held for a token.
    shop_rests: bool,
    /// This is the last batch: the lease is given back.
    leaves: bool,
    newcomers: Newcomers<R>,
    reports: Reports,
    words: Words,
    held: HeldCallers<R>,
    in_flight: Option<InFlight<R>>,
    /// Places kept here while the store was away, and how many of them have numbers.
    places_kept: u64,
    adopted: u64,
    /// Places kept by other runs, still without numbers: the last sequence of each.
    orphans: BTreeMap<u32, u64>,
    memory: Memory,
    lending: HeldLease,
    /// The line for the request path: as last answered, or moved on by the lease since; and when that answer came.
    view: Option<View>,
    heard: Duration,
    /// The line as last answered, and its speed.
    answered: (Segments, f64),
    /// The store has not answered the last call, or none yet.
    away: bool,
    revocations_seen: u64,
    tidied: Millis,
    schedule: Schedule,
}

impl<R> RoomQueue<R> {
    /// A room before the first call to the store. `gateway` differs for each gateway and each of its starts.
    pub fn new(gateway: u32, rules: Rules, now: Duration) -> Self {
        Self {
            gateway,
            rules,
            shop_rests: false,
            leaves: false,
            newcomers: Newcomers::default(),
            reports: Reports::default(),
            words: Words::default(),
            held: HeldCallers::default(),
            in_flight: None,
            places_kept: 0,
            adopted: 0,
            orphans: BTreeMap::new(),
            memory: Memory::default(),
            lending: HeldLease::default(),
            view: None,
            heard: now,
            answered: Default::default(),
            away: true,
            revocations_seen: 0,
            tidied: 0,
            schedule: Schedule::new(now),
        }
    }

    /// Takes in an operation. Returns whether other gateways should learn of it soon: it is the first here for a while.
    pub fn take(&mut self, op: Op<R>, now: Duration) -> bool {
        let news = !self.stirs(now);
        self.schedule.ask(now);
        match op {
            Op::Join { if_called: true, reply } => self.newcomers.joins_if_called.push(reply),
            Op::Join { if_called: false, reply } => self.newcomers.joins.push(reply),
            Op::Arrive { arrival, reply } => self.newcomers.arrivals.push((arrival, reply)),
            Op::Visit { reply } => self.newcomers.visits.push(reply),
            Op::Claim { number, reply } => self.held.hold(number, reply, now),
            Op::Renew { number, admitted } => self.reports.renewals.push((number, admitted)),
            Op::Confirm { number } => self.reports.confirm(number),
            Op::Release { token } => self.reports.release(token),
            Op::End { number } => self.reports.end(number),
            Op::Shown { token } => self.reports.show(token),
            Op::Cap { cap } => self.words.hear_cap(cap, now),
            Op::Stock { level } => self.words.hear_stock(level, now),
            Op::Adopt { incarnation, last } => {
                let known = self.orphans.entry(incarnation).or_default();
                *known = last.max(*known);
            }
        }
        news
    }

    /// The room's rules from now on.
    pub fn set_rules(&mut self, rules: &Rules, now: Duration) {
        if self.rules != *rules {
            self.rules = rules.clone();
            self.wake(now);
        }
    }

    /// Sets whether the room's shop rests from now on. Returns whether that is news.
    pub fn set_shop_rests(&mut self, rests: bool, now: Duration) -> bool {
        let news = std::mem::replace(&mut self.shop_rests, rests) != rests;
        if news {
            self.wake(now);
        }
        news
    }

    /// `kept` places have been kept here while the store was away, each a provisional ticket of this gateway's incarnation.
    pub fn set_places_kept(&mut self, kept: u64, now: Duration) {
        self.places_kept = kept;
        if self.keeps_places() {
            self.wake(now);
        }
    }

    /// The batches from now on are the last: they give the lease back.
    pub fn leave(&mut self) {
        self.leaves = true;
    }

    /// Due now, if not before.
    pub fn wake(&mut self, now: Duration) {
        self.schedule.wake(now);
    }

    /// Another gateway reports activity in the room.
    pub fn follow(&mut self, now: Duration) {
        self.schedule.follow(now);
    }

    /// Removes callers who hung up, unless their batch is in flight.
    pub fn retain(&mut self, keeps: impl Fn(&R) -> bool) {
        self.newcomers.retain(&keeps);
        self.held.retain(keeps);
    }

    /// When the next [`Self::batch`] is due.
    pub fn next_wakeup(&self) -> Duration {
        self.schedule.due()
    }

    /// The line for the request path; `None` before the first answer.
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// Store time, as far as known here: `None` before the first answer.
    pub fn store_time(&self, now: Duration) -> Option<Millis> {
        Some(self.view.as_ref()?.now + now.saturating_sub(self.heard).as_millis() as Millis)
    }

    /// The store's time of day, as far as known here: `None` before the first answer.
    pub fn utc(&self, now: Duration) -> Option<Millis> {
        Some(self.view.as_ref()?.utc + now.saturating_sub(self.heard).as_millis() as Millis)
    }

    /// The rules that hold by now, as far as known here.
    fn in_force(&self, now: Duration) -> &Rules {
        self.rules.at(self.utc(now).unwrap_or(0))
    }

    /// Whether a line that was open at the last answer may still be. Another event's beginning is the store's to say; an end of the
    /// open time counts a second early, by which the clock here may lag.
    fn stays_open(&self, now: Duration) -> bool {
        let heard = self.view.as_ref().map_or(0, |view| view.utc);
        self.rules.stays_open(heard, self.utc(now).unwrap_or(0) + CLOCKS)
    }

    /// Whether the store has not answered the last call, or none yet.
    pub fn is_away(&self) -> bool {
        self.away
    }

    /// Whether no caller waits for an answer, and the line has every report.
    pub fn is_idle(&self) -> bool {
        self.newcomers.is_empty() && self.reports.is_empty() && self.held.is_empty() && self.in_flight.is_none()
    }

    /// Whether a caller waits for the store's answer on the room, or people wait in its line.
    pub fn is_urgent(&self) -> bool {
        self.asks() || self.schedule.dormancy.next() == Some(dormancy::TICK) || self.away
    }

    /// Whether the room is idle, here and at every other gateway.
    pub fn is_dormant(&self, now: Duration) -> bool {
        self.schedule.dormancy.next().is_none() && !self.asks() && !self.schedule.follows(now)
    }

    /// Whether other gateways should poll the room too.
    pub fn stirs(&self, now: Duration) -> bool {
        self.schedule.stirs(now)
    }

    /// Store time of the last activity in the room; 0: none since this gateway polls it.
    pub fn stirred(&self) -> Millis {
        self.schedule.dormancy.stirred()
    }

    /// Whether this gateway holds a lease of the room.
    pub fn holds_lease(&self) -> bool {
        self.lending.holds()
    }

    /// Whether the room lives on its lease now, or will if no answer comes: then [`Self::on_lease`] is due each [`LEASE_STEP`].
    pub fn may_live_on_lease(&self, now: Duration) -> bool {
        self.lending.holds() && self.lending.may_be_on(self.time(now)) && self.stays_open(now)
    }

    /// Whether the room lives on its lease now.
    pub fn lives_on_lease(&self, now: Duration) -> bool {
        self.lending.holds() && self.lending.is_on(self.time(now)) && self.stays_open(now)
    }

    /// Whether a round may be drawn: then the next batch needs a seed.
    pub fn draws(&self) -> bool {
        self.view.as_ref().is_none_or(|view| view.round.id > 0)
            || self.rules.round.is_some()
            || self.rules.scheduled.iter().any(|scheduled| scheduled.rules.round.is_some())
    }

    /// Passes in memory against a loss: live ones, and those that ended within the last second.
    pub fn remembered(&self) -> usize {
        self.memory.remembered()
    }

    fn time(&self, now: Duration) -> Millis {
        self.store_time(now).unwrap_or(0)
    }

    /// Whether there is anything to ask of the line or report to it.
    fn asks(&self) -> bool {
        !self.is_idle()
            || self.reports.has_evidence()
            || self.words.has_news()
            || self.memory.has_more()
            || self.lending.has_more()
            || !self.orphans.is_empty()
            || self.keeps_places()
    }

    /// Whether kept places are still without numbers.
    fn keeps_places(&self) -> bool {
        self.places_kept > self.adopted
    }

    /// The call to make to the store now, due or not. Its result comes by [`Self::answer`] or [`Self::unreachable`]; `None`: the
    /// one before has no result yet.
    pub fn batch(&mut self, now: Duration, replies: &mut Vec<(R, Admission)>) -> Option<Call> {
        if self.in_flight.is_some() {
            return None;
        }
        self.refuse_where_shop_rests(replies);
        let asks = self.asks();
        let lends = !self.leaves && (asks || self.schedule.dormancy.lends());
        let (confirmed, releases) = self.reports.recall(&mut self.memory);
        let (seen, restore) = self.memory.recall();
        let (caps, stock) = self.words.recall(now);
        let (held, lent) = self.lending.recall();
        let names = !self.shop_rests && !self.lending.is_on(self.time(now));
        let adopt = self.adopt();
        let newcomers = std::mem::take(&mut self.newcomers);
        let renewals = std::mem::take(&mut self.reports.renewals);
        let batch = Batch {
            gateway: self.gateway,
            shop_rests: self.shop_rests,
            seen,
            restore: told_once(restore, lent),
            lease: held.filter(|_| lends),
            caps,
            stock,
            adopt,
            arrivals: newcomers.arrivals.iter().map(|(arrival, _)| *arrival).collect(),
            joins: newcomers.joins.len() as u64,
            joins_if_called: newcomers.joins_if_called.len() as u64,
            visits: newcomers.visits.len() as u64,
            claims: self.held.numbers().filter(|_| names).collect(),
            renewals: renewals.clone(),
            confirmed,
            releases,
            ends: self.reports.ends().to_vec(),
            revocations_seen: self.revocations_seen,
            seed: 0,
        };
        let mut rules = self.rules.near(self.utc(now));
        let (confirmed, ends, shop_rests) = (batch.confirmed.len(), batch.ends.len(), self.shop_rests);
        self.in_flight =
            Some(InFlight { newcomers, renewals, confirmed, ends, asks, rules: rules.clone(), shop_rests });
        rules.lends &= lends;
        rules.scheduled.iter_mut().for_each(|scheduled| scheduled.rules.lends &= lends);
        Some(Call { rules, batch })
    }

    /// A room that rejects is full while its shop rests.
    fn refuse_where_shop_rests(&mut self, replies: &mut Vec<(R, Admission)>) {
        if self.shop_rests {
            self.newcomers.refuse_if_called(replies);
        }
    }

    /// Places to number, one incarnation at a time: those kept here, then those that other gateways kept. If numbering fails, the
    /// holder of the ticket makes the request again.
    fn adopt(&mut self) -> Option<Adopt> {
        if self.keeps_places() {
            let (first, count) = (self.adopted + 1, self.places_kept - self.adopted);
            return Some(Adopt { incarnation: self.gateway, first, count });
        }
        self.orphans.pop_first().map(|(incarnation, last)| Adopt { incarnation, first: 1, count: last })
    }

    /// Hands out the store's answer to the batch in flight. `None`: there is none.
    pub fn answer(&mut self, outcome: Outcome, now: Duration, replies: &mut Vec<(R, Admission)>) -> Option<Answered> {
        let flight = self.in_flight.take()?;
        let ended = self.reports.told(flight.confirmed, flight.ends);
        let lost = self.memory.note(&ended, &outcome);
        self.words.told(now);
        if lost {
            self.words.lost();
        }
        let Outcome { view, arrivals, round, first, joined_if_called, visits, grants, renewed, revoked, .. } = outcome;
        self.lending.note(outcome.lease, view.now);
        self.schedule.dormancy.note(&view, flight.rules.at(view.utc), flight.asks, flight.shop_rests);
        self.revocations_seen = outcome.revocations_seen;
        self.see(view, now);
        let grants: HashMap<u64, Grant> = grants.into_iter().collect();
        self.held.answer(&grants, now, self.shop_rests, replies);
        let numbered = Numbered { arrivals, round, first, joined_if_called, visits };
        self.seat(flight.newcomers, numbered, &grants, now, replies);
        let tidies = self.tidies();
        self.schedule.answered(now, !self.newcomers.is_empty(), self.asks());
        self.wake_for_change(now);
        Some(Answered { lost, renewed, revoked, tidies })
    }

    /// Due when other rules hold, although nobody asks. Where these have opened a line that stands, due often at first: its pointer begins to
    /// move, and each gateway is to let the first of its shoppers in as soon as the others do.
    fn wake_for_change(&mut self, now: Duration) {
        let utc = self.view.as_ref().map_or(0, |view| view.utc);
        if let Some(change) = self.rules.next_change(utc) {
            self.schedule.wake(now + Duration::from_millis(change - utc));
        }
        let just_opened = |since: Millis| utc < since + OPENING && self.rules.at(utc).open;
        if self.schedule.dormancy.stands() && self.rules.last_change(utc).is_some_and(just_opened) {
            self.schedule.wake(now + BUSY_TICK);
        }
    }

    /// Takes in the line of an answer.
    fn see(&mut self, view: View, now: Duration) {
        self.answered = (view.segments.clone(), lease::speed(&view, self.rules.at(view.utc)));
        self.adopted = adopted_of(&view, self.gateway).unwrap_or(self.adopted);
        (self.view, self.heard, self.away) = (Some(view), now, false);
    }

    fn tidies(&mut self) -> bool {
        let Some(view) = self.view.as_ref().filter(|view| view.now >= self.tidied + TIDY) else { return false };
        self.tidied = view.now;
        self.memory.tidy(view);
        true
    }

    /// Newcomers get their places, or none: in at once, soon, or in line.
    fn seat(
        &mut self,
        newcomers: Newcomers<R>,
        numbered: Numbered,
        grants: &HashMap<u64, Grant>,
        now: Duration,
        replies: &mut Vec<(R, Admission)>,
    ) {
        let utc = self.view.as_ref().map_or(0, |view| view.utc);
        let (held, rules) = (&mut self.held, self.rules.at(utc));
        let line = self.view.as_ref().filter(|line| line.is_open(rules) && !self.shop_rests);
        let is_soon = |line: &View, number| (line.segments.ahead_of(number) as f64) < SOON * line.pace(rules);
        let mut enter =
            |number: u64, reply: R, replies: &mut Vec<(R, Admission)>| match Admission::of(number, grants.get(&number))
            {
                Some(admission) => replies.push((reply, admission)),
                None if line.is_some_and(|line| is_soon(line, number)) => held.hold(number, reply, now),
                None => replies.push((reply, Admission::Ticket(number))),
            };
        for ((_, reply), place) in newcomers.arrivals.into_iter().zip(numbered.arrivals) {
            match place {
                Some(Place::Number(number)) => enter(number, reply, replies),
                Some(Place::InRound { round, sequence }) => {
                    replies.push((reply, Admission::InRound { round, sequence }));
                }
                None => replies.push((reply, Admission::Full)),
            }
        }
        let mut if_called = newcomers.joins_if_called.into_iter();
        let joins = if_called.by_ref().take(numbered.joined_if_called as usize).chain(newcomers.joins);
        for (reply, at) in joins.zip(numbered.first..) {
            match numbered.round {
                0 => enter(at, reply, replies),
                round => replies.push((reply, Admission::InRound { round, sequence: at })),
            }
        }
        replies.extend(if_called.map(|reply| (reply, Admission::Full)));
        let looks = |at| if at < numbered.visits { Admission::Visit } else { Admission::Full };
        replies.extend(newcomers.visits.into_iter().zip(0..).map(|(reply, at)| (reply, looks(at))));
    }

    /// The store did not answer, this room or another of the call, and gets no call until `retry_at`. Nothing of the batch in
    /// flight is certain: repeatable reports are sent again, and callers without a number are turned away. Returns the numbers of
    /// renewals that will get no result. [`Self::on_lease`] is due at once.
    pub fn unreachable(&mut self, now: Duration, retry_at: Duration, replies: &mut Vec<(R, Admission)>) -> Vec<u64> {
        self.away = true;
        self.schedule.pause(now, retry_at);
        let mut renewals = std::mem::take(&mut self.reports.renewals);
        if let Some(mut flight) = self.in_flight.take() {
            flight.newcomers.turn_away(replies);
            renewals.append(&mut flight.renewals);
        }
        self.newcomers.turn_away(replies);
        if !self.may_live_on_lease(now) {
            self.held.let_go(replies);
        }
        renewals.into_iter().map(|(number, _)| number).collect()
    }

    /// Moves the line on as far as the lease allows, and answers claims. Returns the given passes, by number and end;
    /// `None`: the room does not live on its lease.
    pub fn on_lease(&mut self, now: Duration, replies: &mut Vec<(R, Admission)>) -> Option<Vec<(u64, Millis)>> {
        if !self.lives_on_lease(now) {
            return None;
        }
        self.refuse_where_shop_rests(replies);
        let time = self.time(now);
        let (segments, speed) = &self.answered;
        let called = self.lending.called(segments, *speed, time);
        let (mut grants, mut claimants) = (HashMap::new(), Vec::new());
        for number in self.held.numbers().filter(|&number| !self.shop_rests && called.is_called(number)) {
            match self.memory.standing_of(self.in_force(now), number, time) {
                Some(grant) => drop(grants.insert(number, grant)),
                None => claimants.push(number),
            }
        }
        let rules = self.in_force(now).clone();
        let open = self.view.as_ref().is_some_and(|view| view.is_open(&rules));
        let granted = if open { self.lending.grant(&rules, claimants, time) } else { Vec::new() };
        self.memory.lent(&granted, &called);
        let pass = |&(number, expires): &(u64, Millis)| (number, Grant::Pass { expires, admitted: time });
        grants.extend(granted.iter().map(pass));
        self.held.answer(&grants, now, self.shop_rests, replies);
        if let Some(view) = &mut self.view {
            view.segments = called;
        }
        Some(granted)
    }
}

/// The places of newcomers, as in an [`Outcome`].
struct Numbered {
    arrivals: Vec<Option<Place>>,
    round: u32,
    first: u64,
    joined_if_called: u64,
    visits: u64,
}

/// The memory to give back, with the passes given under a lease. Such a pass goes only into that list: if the line knew the
/// pass already, it would not count it as given.
fn told_once(mut restore: Restore, lent: Vec<(u64, Millis)>) -> Restore {
    if !lent.is_empty() && !restore.passes.is_empty() {
        let given: HashSet<&(u64, Millis)> = lent.iter().collect();
        restore.passes.retain(|pass| !given.contains(pass));
    }
    Restore { lent, ..restore }
}

/// Last numbered sequence of the provisional tickets of this incarnation.
fn adopted_of(view: &View, incarnation: u32) -> Option<u64> {
    let of_run = view.adopted.iter().filter(|adopted| adopted.adopt.incarnation == incarnation);
    of_run.map(|adopted| adopted.adopt.first + adopted.adopt.count - 1).max()
}

#[cfg(test)]
mod tests;
