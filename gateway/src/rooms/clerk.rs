//! The clerk: gathers what is asked, calls the store, hands out the answers.
//!
//! Each desk says when its room is looked at again ([`policy::dormancy`]); what is asked of a room makes it due at once. So a
//! call is of the rooms that are due, and of so many at most that nobody waits long for it. Rooms in which nothing
//! happens are in no call. What other gateways do with them is asked once for all: every gateway says in which rooms
//! something happens ([`Store::listen`]), and all of them look at those as long as that is said.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use policy::dormancy;
use tokio::sync::mpsc;
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::{LiveRoom, Mailbox, Op, Rooms};
use crate::store::{Heard, Store};
use crate::telemetry::StoreMeters;

/// What no request tells of is looked for this often.
const LOOK: Duration = Duration::from_millis(dormancy::TICK);
/// Other gateways are listened to this often...
const LISTEN: Duration = Duration::from_millis(250);
/// ...and told of what begins here so soon after that.
const TELL: Duration = Duration::from_millis(50);
/// A lease is lived on in steps of this length.
const LEASE_STEP: Duration = Duration::from_millis(20);
/// What is asked is gathered for this long before it is committed.
const GATHER: Duration = Duration::from_millis(4);
/// Pause after the store failed...
const BACK_OFF: Duration = Duration::from_millis(400);
/// ...and up to so many milliseconds more, another number at each gateway and each time: they lost the store
/// at one moment and must not come back at one.
const SPREAD: u32 = 200;
/// Operations in one batch of a room; the rest go into the next.
const BATCH: usize = 20_000;
/// Rooms in one call: whoever is at the door of one waits for all of them.
const ROOMS: usize = 64;

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
    let mut clerk = Clerk::new(rooms, store, meters);
    let mut failures = 0;
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep_until(clerk.next().into()) => {}
            Some((room, op)) = mail.recv() => {
                clerk.take(room, op);
                sleep(GATHER).await;
            }
        }
        clerk.gather(&mut mail);
        if !clerk.turn(&mut mail).await {
            failures += 1;
            let pause = sleep(back_off(clerk.rooms.run, failures));
            clerk.meanwhile(&mut mail, pause).await;
        }
    }
    clerk.gather(&mut mail);
    clerk.leave(&mut mail).await;
}

/// The pause after a failure; `run` is random.
fn back_off(run: u32, failures: u32) -> Duration {
    BACK_OFF + Duration::from_millis(u64::from(run.rotate_left(failures.wrapping_mul(7)) % SPREAD))
}

struct Clerk {
    rooms: Arc<Rooms>,
    /// The live rooms, as the desks are.
    live: Arc<HashMap<Arc<str>, Arc<LiveRoom>>>,
    store: Arc<dyn Store>,
    meters: StoreMeters,
    desks: HashMap<Arc<str>, Desk>,
    /// What came while a call was under way: it is not part of that.
    late: Vec<(Arc<LiveRoom>, Op)>,
    /// This is the last call: leases are given back.
    leaves: bool,
    looks: Instant,
    listens: Instant,
    heard: Heard,
}

impl Clerk {
    fn new(rooms: Arc<Rooms>, store: Arc<dyn Store>, meters: StoreMeters) -> Self {
        let now = Instant::now();
        Self {
            rooms,
            live: Arc::default(),
            store,
            meters,
            desks: HashMap::new(),
            late: Vec::new(),
            leaves: false,
            looks: now,
            listens: now,
            heard: Heard::default(),
        }
    }

    /// When there is something to do again.
    fn next(&self) -> Instant {
        self.desks.values().map(Desk::due).fold(self.looks.min(self.listens), Instant::min)
    }

    fn take(&mut self, room: Arc<LiveRoom>, op: Op) {
        let run = self.rooms.run;
        let news = self.desks.entry(room.name.clone()).or_insert_with(|| Desk::new(room, run)).take(op);
        if news {
            self.listens = self.listens.min(Instant::now() + TELL);
        }
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
        let now = Instant::now();
        if now >= self.looks {
            self.looks = now + LOOK;
            self.look(now);
        }
    }

    /// Has a desk for each live room, and sees what is different there.
    fn look(&mut self, now: Instant) {
        let (live, run) = (self.rooms.all(), self.rooms.run);
        if !Arc::ptr_eq(&live, &self.live) {
            for room in live.values() {
                self.desks.entry(room.name.clone()).or_insert_with(|| Desk::new(room.clone(), run));
            }
            self.live = live;
        }
        self.desks.retain(|name, desk| {
            desk.look(now);
            !desk.is_idle() || self.live.contains_key(name)
        });
    }

    /// Commits what is due, and listens to other gateways when it is time. Answers whether the store did.
    async fn turn(&mut self, mail: &mut Mail) -> bool {
        let due = self.due(Instant::now());
        if !due.is_empty() && !self.commit(due, mail).await {
            return false;
        }
        self.listens > Instant::now() || self.listen(mail).await
    }

    /// The rooms of the next call: first those for which somebody waits.
    fn due(&self, now: Instant) -> Vec<Arc<str>> {
        let due = self.desks.iter().filter(|(_, desk)| desk.due() <= now);
        let mut due: Vec<_> = due.map(|(name, desk)| (Reverse(desk.is_urgent()), desk.due(), name)).collect();
        due.sort_unstable();
        due.into_iter().take(ROOMS).map(|(.., name)| name.clone()).collect()
    }

    /// One store call for these rooms. Answers whether the store did.
    async fn commit(&mut self, rooms: Vec<Arc<str>>, mail: &mut Mail) -> bool {
        let leaves = self.leaves;
        let works = rooms.iter().filter_map(|room| Some(self.desks.get_mut(room)?.work(leaves))).collect();
        let (started, store) = (Instant::now(), self.store.clone());
        let result = self.meanwhile(mail, store.commit(works)).await;
        self.meters.call(started.elapsed(), result.is_ok());
        match result {
            Ok(outcomes) => {
                for (room, outcome) in rooms.iter().zip(outcomes) {
                    if let Some(desk) = self.desks.get_mut(room) {
                        desk.hand_out(outcome, started);
                    }
                }
                true
            }
            Err(error) => self.fails(&error),
        }
    }

    /// Tells other gateways of the rooms in which something happens here, and hears the same of them. A store that is another
    /// one than before, or empty, may have lost what it was told of any room.
    async fn listen(&mut self, mail: &mut Mail) -> bool {
        let now = Instant::now();
        let stirs = self.desks.iter().filter(|(_, desk)| desk.stirs(now)).map(|(name, _)| name.clone()).collect();
        let (before, store) = (self.heard.clone(), self.store.clone());
        let heard = match self.meanwhile(mail, store.listen(stirs, before.now)).await {
            Ok(heard) => heard,
            Err(error) => return self.fails(&error),
        };
        let now = Instant::now();
        self.listens = now + LISTEN;
        if !before.era.is_empty() && before.era != heard.era {
            tracing::warn!("the store was started again, or is another one: every room is looked at");
            self.desks.values_mut().for_each(|desk| desk.wake(now));
        }
        for room in &heard.stirring {
            if let Some(desk) = self.desks.get_mut(&**room).filter(|desk| !desk.stirs(now)) {
                desk.follow(now);
            }
        }
        self.heard = Heard { stirring: Vec::new(), ..heard };
        true
    }

    /// Nobody hears of any room: each of them follows its `fail_mode`.
    fn fails(&mut self, error: &crate::store::StoreError) -> bool {
        tracing::error!(%error, "the store does not answer; rooms follow their fail_mode");
        self.desks.values_mut().for_each(Desk::store_away);
        false
    }

    /// The last calls: what was asked, and leases given back.
    async fn leave(&mut self, mail: &mut Mail) {
        self.leaves = true;
        let last = self.desks.iter().filter(|(_, desk)| !desk.is_idle() || desk.holds_lease());
        let last: Vec<Arc<str>> = last.map(|(name, _)| name.clone()).collect();
        for rooms in last.chunks(ROOMS) {
            if !self.commit(rooms.to_vec(), mail).await {
                return;
            }
        }
    }

    /// Waits, and lets lines move on by their leases while the store does not answer.
    async fn meanwhile<T>(&mut self, mail: &mut Mail, waited_for: impl Future<Output = T>) -> T {
        let mut waited_for = pin!(waited_for);
        loop {
            tokio::select! {
                done = &mut waited_for => return done,
                () = sleep(LEASE_STEP), if self.desks.values().any(Desk::may_live_on_lease) => self.lend(mail),
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
