//! What is asked of one room: gathered, made a batch of, answered, and when the room is looked at again.
//!
//! What is absent: when the store is called, which is the clerk's to say.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use policy::Millis;
use policy::dormancy::{self, Dormancy};
use policy::lease::{self, Lending};
use policy::line::{Adopt, Arrival, Batch, Grant, Memory, Outcome, Restore, Segments, View};
use policy::room::Rules;
use tokio::sync::oneshot;

use super::picture::{Reach, publish};
use super::{Entry, LiveRoom, Op, Terms};
use crate::store::Work;
use crate::telemetry::catalogue;

/// Time moves a line at least this often while requests are held for a token: a bucket of 0.1 s must not overflow.
const BUSY_TICK: Duration = Duration::from_millis(20);
/// A room in which nothing happens is looked at this often for all that: whatever was missed, it ends.
const DORMANT: Duration = Duration::from_mins(30);
/// Another gateway's word that something happens in a room holds for so long.
const FOLLOW: Duration = Duration::from_millis(500);
/// A request is held for its turn this long, and up to [`HOLD_SPREAD`] longer, in so many steps.
const HOLD: Duration = Duration::from_millis(1_900);
const HOLD_SPREAD: Duration = Duration::from_millis(600);
const HOLD_STEPS: u32 = 7;
/// An arrival whose turn comes within this many seconds is held, not sent to the page.
const SOON: f64 = 0.5;
/// Revocations whose pass would have ended are forgotten this often, in milliseconds.
const TIDY: Millis = 1_000;
/// Passes that came back, told at once; the rest go into the next batch.
const CONFIRMED: usize = 2_048;

/// Somebody whose request is held.
struct Held {
    until: Instant,
    reply: oneshot::Sender<Entry>,
}

/// What is asked of one room.
pub(super) struct Desk {
    room: Arc<LiveRoom>,
    run: u32,
    /// When the room is looked at again.
    due: Instant,
    /// When something was last asked here, and until when another gateway's word holds.
    asked: Option<Instant>,
    followed: Option<Instant>,
    /// Something is asked in the batch under way.
    asks: bool,
    dormancy: Dormancy,
    /// The terms that the line has heard of.
    terms: Arc<Terms>,
    arrivals: Vec<(Arrival, oneshot::Sender<Entry>)>,
    joins: Vec<oneshot::Sender<Entry>>,
    joins_if_called: Vec<oneshot::Sender<Entry>>,
    visits: Vec<oneshot::Sender<Entry>>,
    held: BTreeMap<u64, Vec<Held>>,
    renewals: Vec<(u64, Millis)>,
    confirmed: VecDeque<u64>,
    releases: Vec<u64>,
    memory: Memory,
    lending: Lending,
    /// The line as last answered, and its speed.
    answered: (Segments, f64),
    /// Places kept by other runs, to be numbered: the last of each.
    orphans: BTreeMap<u32, u64>,
    adopted: u64,
    revocations_seen: u64,
    tidied: Millis,
    turn: u32,
    /// The shop rests: nobody is let in, and nobody is held for a token.
    rests: bool,
}

impl Desk {
    pub(super) fn new(room: Arc<LiveRoom>, run: u32) -> Self {
        Self {
            due: Instant::now(),
            asked: None,
            followed: None,
            asks: false,
            dormancy: Dormancy::default(),
            terms: room.terms(),
            room,
            run,
            arrivals: Vec::new(),
            joins: Vec::new(),
            joins_if_called: Vec::new(),
            visits: Vec::new(),
            held: BTreeMap::new(),
            renewals: Vec::new(),
            confirmed: VecDeque::new(),
            releases: Vec::new(),
            memory: Memory::default(),
            lending: Lending::default(),
            answered: Default::default(),
            orphans: BTreeMap::new(),
            adopted: 0,
            revocations_seen: 0,
            tidied: 0,
            turn: 0,
            rests: false,
        }
    }

    /// Whether nobody waits for an answer.
    pub(super) fn is_idle(&self) -> bool {
        let newcomers = [self.arrivals.len(), self.joins.len(), self.joins_if_called.len(), self.visits.len()];
        newcomers == [0; 4]
            && self.held.is_empty()
            && self.renewals.is_empty()
            && self.confirmed.is_empty()
            && self.releases.is_empty()
    }

    /// Whether there is anything to be told to the line, or asked of it.
    fn asks(&self) -> bool {
        !self.is_idle()
            || self.memory.has_more()
            || self.lending.has_more()
            || !self.orphans.is_empty()
            || self.keeps_places()
    }

    /// Whether places were kept that have no numbers.
    fn keeps_places(&self) -> bool {
        self.room.places_kept() > self.adopted
    }

    /// When the room is looked at again.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Whether somebody waits for what the store says of it, or people wait in its line.
    pub(super) fn is_urgent(&self) -> bool {
        self.asks() || self.dormancy.next() == Some(dormancy::TICK) || self.room.snapshot.load().away
    }

    /// Whether other gateways are to look at it too.
    pub(super) fn stirs(&self, now: Instant) -> bool {
        let lately = |asked: Instant| now < asked + Duration::from_millis(dormancy::AWAKE);
        self.dormancy.stands() || self.asked.is_some_and(lately)
    }

    /// Whether this gateway holds a lease of the room.
    pub(super) fn holds_lease(&self) -> bool {
        self.lending.holds()
    }

    /// Looks at the room now, if it would not be looked at soon.
    pub(super) fn wake(&mut self, now: Instant) {
        self.due = self.due.min(now);
    }

    /// Another gateway says that something happens in the room.
    pub(super) fn follow(&mut self, now: Instant) {
        let known = self.followed.replace(now + FOLLOW).is_some_and(|until| until > now);
        self.room.dormant.store(false, Ordering::Relaxed);
        self.due = self.due.min(if known { now + Duration::from_millis(dormancy::TICK) } else { now });
    }

    /// Wakes the room if anything is different that no request told of.
    pub(super) fn look(&mut self, now: Instant) {
        let other_terms = !Arc::ptr_eq(&self.terms, &self.room.terms.load());
        if other_terms || self.rests != self.room.shop_rests() || self.keeps_places() {
            self.wake(now);
        }
    }

    fn follows(&self) -> bool {
        self.followed.is_some_and(|until| until > Instant::now())
    }

    fn is_dormant(&self) -> bool {
        self.dormancy.next().is_none() && !self.asks() && !self.follows()
    }

    /// When the room is looked at again after an answer.
    fn next(&self) -> Duration {
        match self.dormancy.next() {
            _ if self.asks() => BUSY_TICK,
            _ if self.follows() => Duration::from_millis(dormancy::TICK),
            Some(millis) => Duration::from_millis(millis),
            None => DORMANT,
        }
    }

    /// Takes in what is asked. Answers whether other gateways are to hear of it soon.
    pub(super) fn take(&mut self, op: Op) -> bool {
        let now = Instant::now();
        let news = !self.stirs(now);
        self.room.dormant.store(false, Ordering::Relaxed);
        (self.asked, self.due) = (Some(now), self.due.min(now));
        self.note(op);
        news
    }

    fn note(&mut self, op: Op) {
        match op {
            Op::Join { if_called: true, reply } => self.joins_if_called.push(reply),
            Op::Join { if_called: false, reply } => self.joins.push(reply),
            Op::Visit { reply } => self.visits.push(reply),
            Op::Arrive { arrival, reply } => self.arrivals.push((arrival, reply)),
            Op::Claim { number, reply } => self.hold(number, reply),
            Op::Renew { number, admitted } => self.renewals.push((number, admitted)),
            Op::Confirm { number } => self.confirmed.push_back(number),
            Op::Release { token } => {
                self.memory.returned(&token);
                self.releases.push(token.number);
            }
            Op::Shown { token } => self.memory.shown(&token),
            Op::Adopt { run, last } => {
                let known = self.orphans.entry(run).or_default();
                *known = last.max(*known);
            }
        }
    }

    fn hold(&mut self, number: u64, reply: oneshot::Sender<Entry>) {
        // Those who came together must not all leave together, and come back together.
        self.turn = (self.turn + 1) % HOLD_STEPS;
        let until = Instant::now() + HOLD + HOLD_SPREAD * self.turn / HOLD_STEPS;
        self.held.entry(number).or_default().push(Held { until, reply });
    }

    /// The batch of this moment. Those who hung up are left out, and those whose claims the lease answers meanwhile.
    pub(super) fn work(&mut self, leaves: bool) -> Work {
        self.look_at_shop();
        self.asks = self.asks();
        self.terms = self.room.terms();
        self.arrivals.retain(|(_, reply)| !reply.is_closed());
        self.joins.retain(|reply| !reply.is_closed());
        self.joins_if_called.retain(|reply| !reply.is_closed());
        self.visits.retain(|reply| !reply.is_closed());
        self.held.retain(|_, held| {
            held.retain(|h| !h.reply.is_closed());
            !held.is_empty()
        });
        let (seen, restore) = self.memory.recall();
        let (held, lent) = self.lending.recall();
        let lends = !leaves && (self.asks || self.dormancy.lends());
        let on_lease = self.lending.is_on(self.time());
        let claims = self.held.keys().filter(|_| !on_lease && !self.rests).copied().collect();
        let batch = Batch {
            gateway: self.run,
            shop_rests: self.rests,
            seen,
            restore: Restore { lent, ..restore },
            lease: held.filter(|_| lends),
            adopt: self.adopt(),
            arrivals: self.arrivals.iter().map(|(arrival, _)| *arrival).collect(),
            joins: self.joins.len() as u64,
            joins_if_called: self.joins_if_called.len() as u64,
            visits: self.visits.len() as u64,
            claims,
            renewals: self.renewals.clone(),
            confirmed: self.confirmed.iter().take(CONFIRMED).copied().collect(),
            releases: self.releases.clone(),
            revocations_seen: self.revocations_seen,
        };
        let rules = self.terms.room.rules.clone();
        let rules = Rules { lends: rules.lends && lends, ..rules };
        Work { room: self.room.name.clone(), rules, batch }
    }

    /// Sees whether the shop rests. Then a room where nobody waits is full.
    fn look_at_shop(&mut self) {
        let rests = self.room.shop_rests();
        if rests != self.rests {
            let what = if rests { "no server of the shop can be reached: the line stands" } else { "the line goes on" };
            tracing::warn!(room = %self.room.title(), "{what}");
        }
        self.rests = rests;
        if rests {
            let arrivals = self.arrivals.extract_if(.., |(arrival, _)| arrival.if_called).map(|(_, reply)| reply);
            for reply in arrivals.chain(self.joins_if_called.drain(..)) {
                let _ = reply.send(Entry::Full);
            }
        }
    }

    /// Places to be numbered, one run at a time: those kept here, then those that other gateways kept. What fails
    /// to be numbered is asked for again by whoever holds it.
    fn adopt(&mut self) -> Option<Adopt> {
        let kept = self.room.places_kept();
        if kept > self.adopted {
            return Some(Adopt { run: self.run, first: self.adopted + 1, count: kept - self.adopted });
        }
        self.orphans.pop_first().map(|(run, last)| Adopt { run, first: 1, count: last })
    }

    /// Hands out what the store answered, who was asked at this moment.
    pub(super) fn hand_out(&mut self, outcome: Outcome, asked: Instant) {
        let told = self.confirmed.len().min(CONFIRMED);
        if self.memory.note(&self.releases, &outcome) {
            tracing::warn!(room = %self.room.title(), "the store has lost writes; what this gateway knows is given back");
            self.room.testified.clear();
            // Who came back must not lose a seat because that was lost.
            self.confirmed.extend(self.room.confirmed.iter().map(|told| *told.key()));
            self.room.meters().happened(&catalogue::ROOM_LOSSES, 1);
        }
        let Outcome { mut view, arrivals, first, grants, revoked, .. } = outcome;
        if let Some(before) = &self.room.snapshot.load().view {
            view.follow(before);
        }
        self.lending.note(outcome.lease, view.now);
        self.dormancy.note(&view, &self.terms.room.rules, self.asks, self.rests);
        self.answered = (view.segments.clone(), lease::speed(&view, &self.room.terms.load().room.rules));
        self.releases.clear();
        self.confirmed.drain(..told);
        self.revocations_seen = outcome.revocations_seen;
        self.adopted = adopted_of(&view, self.run).unwrap_or(self.adopted);
        let evicted = revoked.iter().filter(|revoked| revoked.evicted).count() as u64;
        if evicted > 0 {
            self.room.meters().happened(&catalogue::ROOM_EVICTIONS, evicted);
        }
        for revoked in revoked {
            self.room.revoke(revoked);
        }
        self.renewals.clear();
        for (number, end) in outcome.renewed {
            self.room.renewals.end(number, view.now, end);
        }

        let grants: HashMap<u64, Grant> = grants.into_iter().collect();
        self.hand_out_held(&grants);
        for ((_, reply), number) in std::mem::take(&mut self.arrivals).into_iter().zip(arrivals) {
            match number {
                Some(number) => self.enter(number, reply, &grants, &view),
                None => drop(reply.send(Entry::Full)),
            }
        }
        let mut number = first;
        for reply in std::mem::take(&mut self.joins_if_called) {
            if number < first + outcome.joined_if_called {
                self.enter(number, reply, &grants, &view);
                number += 1;
            } else {
                let _ = reply.send(Entry::Full);
            }
        }
        for reply in std::mem::take(&mut self.joins) {
            self.enter(number, reply, &grants, &view);
            number += 1;
        }
        for (reply, at) in self.visits.drain(..).zip(0..) {
            let _ = reply.send(if at < outcome.visits { Entry::Visit } else { Entry::Full });
        }
        if view.now >= self.tidied + TIDY {
            self.tidied = view.now;
            self.room.forget_revoked(view.now);
            self.memory.tidy(&view);
        }
        publish(&self.room, Some(view), Reach::Here { asked });
        self.due = Instant::now() + self.next();
        self.room.stirred.store(self.dormancy.stirred(), Ordering::Relaxed);
        self.room.dormant.store(self.is_dormant(), Ordering::Relaxed);
    }

    fn hand_out_held(&mut self, grants: &HashMap<u64, Grant>) {
        let now = Instant::now();
        let answered = |number: u64, held: &Held| match grants.get(&number) {
            Some(&Grant::Pass { expires, admitted }) => Some(Entry::Pass { number, expires, admitted }),
            Some(Grant::Spent) => Some(Entry::Spent),
            _ if held.until <= now || self.rests => Some(Entry::Ticket(number)),
            _ => None,
        };
        self.held.retain(|&number, waiting| {
            let (done, still) = std::mem::take(waiting).into_iter().partition(|h| answered(number, h).is_some());
            *waiting = still;
            for held in done {
                if let Some(entry) = answered(number, &held) {
                    let _ = held.reply.send(entry);
                }
            }
            !waiting.is_empty()
        });
    }

    /// A new number: in at once, soon, or in line.
    fn enter(&mut self, number: u64, reply: oneshot::Sender<Entry>, grants: &HashMap<u64, Grant>, view: &View) {
        let ahead = view.segments.ahead_of(number) as f64;
        let terms = self.room.terms.load();
        let rules = &terms.room.rules;
        let soon = rules.open && !self.rests && ahead < SOON * view.pace(rules);
        let entry = match grants.get(&number) {
            Some(&Grant::Pass { expires, admitted }) => Entry::Pass { number, expires, admitted },
            Some(Grant::Spent) => Entry::Spent,
            _ if soon => return self.hold(number, reply),
            _ => Entry::Ticket(number),
        };
        let _ = reply.send(entry);
    }

    /// Nothing of the last batch may be relied on. Releases are kept for the next; they are idempotent.
    pub(super) fn store_away(&mut self) {
        self.due = Instant::now();
        let before = self.room.snapshot.load_full();
        if self.is_idle() && before.away && !before.on_lease && before.waiting() == 0 {
            return;
        }
        let arrivals = self.arrivals.drain(..).map(|(_, reply)| reply);
        let joins = self.joins.drain(..).chain(self.joins_if_called.drain(..));
        for reply in arrivals.chain(joins).chain(self.visits.drain(..)) {
            let _ = reply.send(Entry::Away);
        }
        self.renewals.drain(..).for_each(|(number, _)| self.room.renewals.fail(number));
        if self.lending.is_on(self.time()) {
            return self.lend();
        }
        if !self.may_live_on_lease() {
            for held in std::mem::take(&mut self.held).into_values().flatten() {
                let _ = held.reply.send(Entry::Away);
            }
        }
        publish(&self.room, before.view.clone(), Reach::Away);
    }

    /// Store time, as far as this gateway knows.
    fn time(&self) -> Millis {
        self.room.snapshot.load().store_time(Instant::now())
    }

    pub(super) fn may_live_on_lease(&self) -> bool {
        self.lending.holds() && self.lending.may_be_on(self.time())
    }

    /// Moves the line on as far as the lease allows, and answers claims.
    pub(super) fn lend(&mut self) {
        if !self.lending.holds() {
            return;
        }
        let (now, snapshot) = (self.time(), self.room.snapshot.load_full());
        if !self.lending.is_on(now) {
            return;
        }
        self.look_at_shop();
        let (segments, speed) = &self.answered;
        let called = self.lending.called(segments, *speed, now);
        let terms = self.room.terms.load();
        let rules = &terms.room.rules;
        let claims = || self.held.keys().copied().filter(|&number| called.is_called(number) && !self.rests);
        let known = claims().filter_map(|number| Some((number, self.memory.standing_of(rules, number, now)?)));
        let mut grants: HashMap<u64, Grant> = known.collect();
        let claimants: Vec<u64> = claims().filter(|number| !grants.contains_key(number)).collect();
        let granted = self.lending.grant(rules, claimants, now);
        self.memory.lent(&granted, &called);
        if !granted.is_empty() {
            self.room.meters().happened(&catalogue::LEASE_GRANTS, granted.len() as u64);
        }
        grants.extend(granted.into_iter().map(|(number, expires)| (number, Grant::Pass { expires, admitted: now })));
        self.hand_out_held(&grants);
        if !snapshot.on_lease {
            tracing::warn!(room = %self.room.title(), "the store does not answer; the line moves on by this gateway's lease");
        }
        let view = snapshot.view.clone().map(|view| View { segments: called, ..view });
        publish(&self.room, view, Reach::OnLease);
    }
}

/// Up to which sequence this run's provisional tickets are numbered.
fn adopted_of(view: &View, run: u32) -> Option<u64> {
    let of_run = view.adopted.iter().filter(|adopted| adopted.adopt.run == run);
    of_run.map(|adopted| adopted.adopt.first + adopted.adopt.count - 1).max()
}
