//! The clerk: gathers what is asked, calls the store, hands out the answers.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use policy::Millis;
use policy::lease::{self, Lending};
use policy::line::{Adopt, Arrival, Batch, Grant, Memory, Outcome, Restore, Segments, View};
use policy::room::Rules;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::picture::{Reach, publish};
use super::{Entry, LiveRoom, Mailbox, Op, Rooms};
use crate::store::{Store, Work};
use crate::telemetry::{StoreMeters, catalogue};

/// Time moves a line at least this often...
const TICK: Duration = Duration::from_millis(100);
/// ...and this often while requests are held for a token: a bucket of 0.1 s must not overflow.
const BUSY_TICK: Duration = Duration::from_millis(20);
/// What is asked is gathered for this long before it is committed.
const GATHER: Duration = Duration::from_millis(4);
/// Pause after the store failed...
const BACK_OFF: Duration = Duration::from_millis(400);
/// ...and up to so many milliseconds more, another number at each gateway and each time: they lost the store
/// at one moment and must not come back at one.
const SPREAD: u32 = 200;
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
/// Operations in one batch of a room; the rest go into the next.
const BATCH: usize = 20_000;

type Mail = mpsc::Receiver<(Arc<LiveRoom>, Op)>;

/// Runs until cancelled, then commits what was asked and ends.
pub async fn run(
    rooms: Arc<Rooms>,
    mailbox: Mailbox,
    store: Arc<dyn Store>,
    meters: StoreMeters,
    stop: CancellationToken,
) {
    let Mailbox(mut mail) = mailbox;
    let mut clerk = Clerk { rooms, store, meters, desks: HashMap::new(), late: Vec::new(), leaves: false };
    let mut failures = 0;
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(clerk.tick()) => {}
            Some((room, op)) = mail.recv() => {
                clerk.take(room, op);
                sleep(GATHER).await;
            }
        }
        clerk.gather(&mut mail);
        if !clerk.commit(&mut mail).await {
            failures += 1;
            let pause = sleep(back_off(clerk.rooms.run, failures));
            clerk.meanwhile(&mut mail, pause).await;
        }
    }
    clerk.leaves = true;
    clerk.gather(&mut mail);
    clerk.commit(&mut mail).await;
}

/// The pause after a failure; `run` is random.
fn back_off(run: u32, failures: u32) -> Duration {
    BACK_OFF + Duration::from_millis(u64::from(run.rotate_left(failures.wrapping_mul(7)) % SPREAD))
}

struct Clerk {
    rooms: Arc<Rooms>,
    store: Arc<dyn Store>,
    meters: StoreMeters,
    desks: HashMap<Arc<str>, Desk>,
    /// What came while a call was under way: it is not part of that.
    late: Vec<(Arc<LiveRoom>, Op)>,
    /// This is the last call: leases are given back.
    leaves: bool,
}

impl Clerk {
    fn tick(&self) -> Duration {
        let is_calm = |desk: &Desk| desk.held.is_empty() && desk.confirmed.is_empty() && !desk.memory.has_more();
        if self.desks.values().all(is_calm) { TICK } else { BUSY_TICK }
    }

    fn take(&mut self, room: Arc<LiveRoom>, op: Op) {
        let run = self.rooms.run;
        self.desks.entry(room.name.clone()).or_insert_with(|| Desk::new(room, run)).take(op);
    }

    fn gather(&mut self, mail: &mut Mail) {
        for (room, op) in std::mem::take(&mut self.late) {
            self.take(room, op);
        }
        for _ in 0..BATCH {
            match mail.try_recv() {
                Ok((room, op)) => self.take(room, op),
                Err(_) => break,
            }
        }
        let live = self.rooms.all();
        for room in live.values() {
            let run = self.rooms.run;
            self.desks.entry(room.name.clone()).or_insert_with(|| Desk::new(room.clone(), run));
        }
        self.desks.retain(|name, desk| live.contains_key(name) || !desk.is_idle());
    }

    /// One store call for all rooms. Answers whether the store did.
    async fn commit(&mut self, mail: &mut Mail) -> bool {
        let leaves = self.leaves;
        let works = self.desks.values_mut().map(|desk| desk.work(leaves)).collect();
        let (started, store) = (Instant::now(), self.store.clone());
        let result = self.meanwhile(mail, store.commit(works)).await;
        self.meters.call(started.elapsed(), result.is_ok());
        let desks: Vec<&mut Desk> = self.desks.values_mut().collect();
        match result {
            Ok(outcomes) => {
                desks.into_iter().zip(outcomes).for_each(|(desk, outcome)| desk.hand_out(outcome, started));
                true
            }
            Err(error) => {
                tracing::error!(%error, "the store does not answer; rooms follow their fail_mode");
                desks.into_iter().for_each(Desk::store_away);
                false
            }
        }
    }

    /// Waits, and lets lines move on by their leases while the store does not answer.
    async fn meanwhile<T>(&mut self, mail: &mut Mail, waited_for: impl Future<Output = T>) -> T {
        let mut waited_for = pin!(waited_for);
        loop {
            tokio::select! {
                done = &mut waited_for => return done,
                () = sleep(BUSY_TICK), if self.desks.values().any(Desk::may_live_on_lease) => self.lend(mail),
            }
        }
    }

    /// Claims are answered by the lease; everything else must wait for the store.
    fn lend(&mut self, mail: &mut Mail) {
        while self.late.len() < BATCH
            && let Ok((room, op)) = mail.try_recv()
        {
            match op {
                Op::Claim { .. } => self.take(room, op),
                op => self.late.push((room, op)),
            }
        }
        self.desks.values_mut().for_each(Desk::lend);
    }
}

/// Somebody whose request is held.
struct Held {
    until: Instant,
    reply: oneshot::Sender<Entry>,
}

/// What is asked of one room.
struct Desk {
    room: Arc<LiveRoom>,
    run: u32,
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
    fn new(room: Arc<LiveRoom>, run: u32) -> Self {
        Self {
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

    fn is_idle(&self) -> bool {
        let newcomers = [self.arrivals.len(), self.joins.len(), self.joins_if_called.len(), self.visits.len()];
        newcomers == [0; 4]
            && self.held.is_empty()
            && self.renewals.is_empty()
            && self.confirmed.is_empty()
            && self.releases.is_empty()
    }

    fn take(&mut self, op: Op) {
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
    fn work(&mut self, leaves: bool) -> Work {
        self.look_at_shop();
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
        let on_lease = self.lending.is_on(self.time());
        let claims = self.held.keys().filter(|_| !on_lease && !self.rests).copied().collect();
        let batch = Batch {
            gateway: self.run,
            shop_rests: self.rests,
            seen,
            restore: Restore { lent, ..restore },
            lease: held.filter(|_| !leaves),
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
        let rules = self.room.terms.load().room.rules.clone();
        let rules = Rules { lends: rules.lends && !leaves, ..rules };
        Work { room: self.room.name.clone(), rules, batch }
    }

    /// Sees whether the shop rests. Then a room where nobody waits is full.
    fn look_at_shop(&mut self) {
        let rests = self.room.shop_rests();
        if rests != self.rests {
            let what = if rests { "no server of the shop can be reached: the line stands" } else { "the line goes on" };
            tracing::warn!(room = %self.room.name, "{what}");
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
    fn hand_out(&mut self, outcome: Outcome, asked: Instant) {
        let told = self.confirmed.len().min(CONFIRMED);
        if self.memory.note(&self.releases, &outcome) {
            tracing::warn!(room = %self.room.name, "the store has lost writes; what this gateway knows is given back");
            self.room.testified.clear();
            // Who came back must not lose a seat because that was lost.
            self.confirmed.extend(self.room.confirmed.iter().map(|told| *told.key()));
            self.room.series().counter(&catalogue::ROOM_LOSSES, &[&self.room.name]).increment(1);
        }
        let Outcome { mut view, arrivals, first, grants, revoked, .. } = outcome;
        if let Some(before) = &self.room.snapshot.load().view {
            view.follow(before);
        }
        self.lending.note(outcome.lease, view.now);
        self.answered = (view.segments.clone(), lease::speed(&view, &self.room.terms.load().room.rules));
        self.releases.clear();
        self.confirmed.drain(..told);
        self.revocations_seen = outcome.revocations_seen;
        self.adopted = adopted_of(&view, self.run).unwrap_or(self.adopted);
        let evicted = revoked.iter().filter(|revoked| revoked.evicted).count() as u64;
        if evicted > 0 {
            self.room.series().counter(&catalogue::ROOM_EVICTIONS, &[&self.room.name]).increment(evicted);
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
    }

    fn hand_out_held(&mut self, grants: &HashMap<u64, Grant>) {
        let now = Instant::now();
        let answered = |number: u64, held: &Held| match grants.get(&number) {
            Some(&Grant::Pass(end)) => Some(Entry::Pass(number, end)),
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
            Some(&Grant::Pass(end)) => Entry::Pass(number, end),
            Some(Grant::Spent) => Entry::Spent,
            _ if soon => return self.hold(number, reply),
            _ => Entry::Ticket(number),
        };
        let _ = reply.send(entry);
    }

    /// Nothing of the last batch may be relied on. Releases are kept for the next; they are idempotent.
    fn store_away(&mut self) {
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
        let view = self.room.snapshot.load().view.clone();
        publish(&self.room, view, Reach::Away);
    }

    /// Store time, as far as this gateway knows.
    fn time(&self) -> Millis {
        self.room.snapshot.load().store_time(Instant::now())
    }

    fn may_live_on_lease(&self) -> bool {
        self.lending.may_be_on(self.time())
    }

    /// Moves the line on as far as the lease allows, and answers claims.
    fn lend(&mut self) {
        let (now, snapshot) = (self.time(), self.room.snapshot.load_full());
        if !self.lending.is_on(now) {
            return;
        }
        self.look_at_shop();
        let (segments, speed) = &self.answered;
        let called = self.lending.called(segments, *speed, now);
        let claims = || self.held.keys().copied().filter(|&number| called.is_called(number) && !self.rests);
        let known = claims().filter_map(|number| Some((number, self.memory.standing_of(number, now)?)));
        let mut grants: HashMap<u64, Grant> = known.collect();
        let claimants: Vec<u64> = claims().filter(|number| !grants.contains_key(number)).collect();
        let granted = self.lending.grant(&self.room.terms.load().room.rules, claimants, now);
        self.memory.lent(&granted, &called);
        self.room.series().counter(&catalogue::LEASE_GRANTS, &[&self.room.name]).increment(granted.len() as u64);
        grants.extend(granted.into_iter().map(|(number, expires)| (number, Grant::Pass(expires))));
        self.hand_out_held(&grants);
        if !snapshot.on_lease {
            tracing::warn!(room = %self.room.name, "the store does not answer; the line moves on by this gateway's lease");
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
