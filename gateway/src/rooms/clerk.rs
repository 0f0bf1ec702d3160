//! The clerk: gathers what is asked, calls the store, hands out the answers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use policy::line::{Adopt, Batch, Grant, Memory, Outcome, View};
use policy::{Millis, drain};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Entry, LiveRoom, Mailbox, Op, Rooms, Snapshot, Terms};
use crate::store::{Store, Work};
use crate::telemetry::{self, StoreMeters};
use crate::ui;

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
    let mut clerk = Clerk { rooms, store, meters, desks: HashMap::new() };
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
        if !clerk.commit().await {
            failures += 1;
            sleep(back_off(clerk.rooms.run, failures)).await;
        }
    }
    clerk.gather(&mut mail);
    clerk.commit().await;
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
}

impl Clerk {
    fn tick(&self) -> Duration {
        if self.desks.values().all(|desk| desk.held.is_empty() && !desk.memory.has_more()) { TICK } else { BUSY_TICK }
    }

    fn take(&mut self, room: Arc<LiveRoom>, op: Op) {
        let run = self.rooms.run;
        self.desks.entry(room.name.clone()).or_insert_with(|| Desk::new(room, run)).take(op);
    }

    fn gather(&mut self, mail: &mut Mail) {
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
    async fn commit(&mut self) -> bool {
        let mut desks: Vec<&mut Desk> = self.desks.values_mut().collect();
        let works = desks.iter_mut().map(|desk| desk.work()).collect();
        let started = Instant::now();
        let result = self.store.commit(works).await;
        self.meters.call(started.elapsed(), result.is_ok());
        match result {
            Ok(outcomes) => {
                desks.into_iter().zip(outcomes).for_each(|(desk, outcome)| desk.hand_out(outcome));
                true
            }
            Err(error) => {
                tracing::error!(%error, "the store does not answer; rooms follow their fail_mode");
                desks.into_iter().for_each(Desk::store_away);
                false
            }
        }
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
    joins: Vec<oneshot::Sender<Entry>>,
    joins_if_called: Vec<oneshot::Sender<Entry>>,
    held: BTreeMap<u64, Vec<Held>>,
    renewals: Vec<(u64, oneshot::Sender<Option<Millis>>)>,
    releases: Vec<u64>,
    memory: Memory,
    /// Places kept by other runs, to be numbered: the last of each.
    orphans: BTreeMap<u32, u64>,
    adopted: u64,
    revocations_seen: u64,
    tidied: Millis,
    turn: u32,
}

impl Desk {
    fn new(room: Arc<LiveRoom>, run: u32) -> Self {
        Self {
            room,
            run,
            joins: Vec::new(),
            joins_if_called: Vec::new(),
            held: BTreeMap::new(),
            renewals: Vec::new(),
            releases: Vec::new(),
            memory: Memory::default(),
            orphans: BTreeMap::new(),
            adopted: 0,
            revocations_seen: 0,
            tidied: 0,
            turn: 0,
        }
    }

    fn is_idle(&self) -> bool {
        self.joins.is_empty() && self.joins_if_called.is_empty() && self.held.is_empty() && self.releases.is_empty()
    }

    fn take(&mut self, op: Op) {
        match op {
            Op::Join { if_called: true, reply } => self.joins_if_called.push(reply),
            Op::Join { if_called: false, reply } => self.joins.push(reply),
            Op::Claim { number, reply } => self.hold(number, reply),
            Op::Renew { number, reply } => self.renewals.push((number, reply)),
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

    /// The batch of this moment. Those who hung up are left out.
    fn work(&mut self) -> Work {
        self.joins.retain(|reply| !reply.is_closed());
        self.joins_if_called.retain(|reply| !reply.is_closed());
        self.held.retain(|_, held| {
            held.retain(|h| !h.reply.is_closed());
            !held.is_empty()
        });
        let (seen, restore) = self.memory.recall();
        let batch = Batch {
            gateway: self.run,
            seen,
            restore,
            adopt: self.adopt(),
            joins: self.joins.len() as u64,
            joins_if_called: self.joins_if_called.len() as u64,
            claims: self.held.keys().copied().collect(),
            renewals: self.renewals.iter().map(|(number, _)| *number).collect(),
            releases: self.releases.clone(),
            revocations_seen: self.revocations_seen,
        };
        Work { room: self.room.name.clone(), rules: self.room.terms.load().room.rules.clone(), batch }
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

    fn hand_out(&mut self, outcome: Outcome) {
        if self.memory.note(&self.releases, &outcome) {
            tracing::warn!(room = %self.room.name, "the store has lost writes; what this gateway knows is given back");
            self.room.testified.clear();
            telemetry::loss(&self.room.name);
        }
        let Outcome { view, first, joined_if_called, grants, renewed, revoked, revocations_seen } = outcome;
        self.releases.clear();
        self.revocations_seen = revocations_seen;
        self.adopted = adopted_of(&view, self.run).unwrap_or(self.adopted);
        // A room that was removed and came back begins to count where it had stopped.
        self.room.provisional.fetch_max(self.adopted, Ordering::Relaxed);
        for (number, until) in revoked {
            self.room.revoke(number, until);
        }
        for ((_, reply), (_, end)) in self.renewals.drain(..).zip(renewed) {
            let _ = reply.send(end);
        }

        let grants: HashMap<u64, Grant> = grants.into_iter().collect();
        self.hand_out_held(&grants);
        let mut number = first;
        for reply in std::mem::take(&mut self.joins_if_called) {
            if number < first + joined_if_called {
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
        if view.now >= self.tidied + TIDY {
            self.tidied = view.now;
            self.room.forget_revoked(view.now);
            self.memory.tidy(&view);
        }
        publish(&self.room, Some(view), false);
    }

    fn hand_out_held(&mut self, grants: &HashMap<u64, Grant>) {
        let now = Instant::now();
        let answered = |number: u64, held: &Held| match grants.get(&number) {
            Some(&Grant::Pass(end)) => Some(Entry::Pass(number, end)),
            Some(Grant::Spent) => Some(Entry::Spent),
            _ if held.until <= now => Some(Entry::Ticket(number)),
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
        let pace = drain::pace(view.speed, terms.room.rules.rate);
        let soon = terms.room.rules.open && ahead < SOON * pace;
        let entry = match grants.get(&number) {
            Some(&Grant::Pass(end)) => Entry::Pass(number, end),
            _ if soon => return self.hold(number, reply),
            _ => Entry::Ticket(number),
        };
        let _ = reply.send(entry);
    }

    /// Nothing of the last batch may be relied on. Releases are kept for the next; they are idempotent.
    fn store_away(&mut self) {
        let held = std::mem::take(&mut self.held).into_values().flatten().map(|held| held.reply);
        for reply in self.joins.drain(..).chain(self.joins_if_called.drain(..)).chain(held) {
            let _ = reply.send(Entry::Away);
        }
        self.renewals.clear();
        let view = self.room.snapshot.load().view.clone();
        publish(&self.room, view, true);
    }
}

/// Up to which sequence this run's provisional tickets are numbered.
fn adopted_of(view: &View, run: u32) -> Option<u64> {
    let of_run = view.adopted.iter().filter(|adopted| adopted.adopt.run == run);
    of_run.map(|adopted| adopted.adopt.first + adopted.adopt.count - 1).max()
}

/// A room before the store's first answer.
pub(super) fn unseen(name: &str, terms: &Terms) -> Snapshot {
    picture(name, terms, None, Instant::now(), true)
}

fn publish(room: &LiveRoom, view: Option<View>, away: bool) {
    let at = if away { room.snapshot.load().at } else { Instant::now() };
    room.snapshot.store(Arc::new(picture(&room.name, &room.terms.load(), view, at, away)));
}

fn picture(name: &str, terms: &Terms, view: Option<View>, at: Instant, away: bool) -> Snapshot {
    let room = &terms.room;
    let unknown = View::default();
    let line = view.as_ref().unwrap_or(&unknown);
    let pace = drain::pace(line.speed, room.rules.rate);
    let poll = terms.polls.within(terms.poll_budget, line.waiting(), pace);
    let state = ui::State::of(room, line);
    let answers = ui::Snapshot::new(&ui::Facts { name, room, line, poll, state, away });
    Snapshot { view, at, away, state, answers }
}
