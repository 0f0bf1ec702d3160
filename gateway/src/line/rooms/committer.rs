//! The committer: gathers operations, calls the store, hands out the answers.
//!
//! Each room's queue says when it is due ([`policy::queue`]); an operation makes its room due at once. A call covers the due
//! rooms, up to a number that keeps the wait for it short. Idle rooms are in no call; one call serves them all: every gateway
//! reports its active rooms ([`Store::listen`]), and all gateways poll those as long as the report holds.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use policy::dormancy;
use policy::queue::{GATHER, LEASE_STEP, back_off};
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::driver::{Replies, RoomDriver};
use super::{LiveRoom, Mailbox, Op, Rooms};
use crate::line::store::{Heard, Store};
use crate::telemetry::StoreMeters;

/// Interval of checks for changes that come without a request.
const LOOK: Duration = Duration::from_millis(dormancy::TICK);
/// Interval between calls for other gateways' activity...
const LISTEN: Duration = Duration::from_millis(250);
/// ...and after the start of an activity here.
const TELL: Duration = Duration::from_millis(50);
/// Operations taken in before a call, and during it; the rest go into the next.
const BATCH: usize = 20_000;
/// Rooms in one call: a caller of one waits for all of them.
const ROOMS: usize = 64;

type Mail = mpsc::Receiver<(Arc<LiveRoom>, Op)>;

/// Runs until cancelled, then commits the remaining operations and ends.
pub async fn run(
    rooms: Arc<Rooms>,
    mailbox: Mailbox,
    store: Arc<dyn Store>,
    meters: StoreMeters,
    stop: CancellationToken,
) {
    let Mailbox(mut mail) = mailbox;
    let mut committer = Committer::new(rooms, store, meters);
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => {}
            () = committer.sleep_until(committer.next()) => {}
            Some((room, op)) = mail.recv() => {
                committer.take(room, op);
                sleep(GATHER).await;
            }
        }
        committer.gather(&mut mail);
        if !committer.turn(&mut mail).await {
            let pause = committer.sleep_until(committer.retry_at);
            committer.meanwhile(&mut mail, pause).await;
        }
    }
    committer.gather(&mut mail);
    committer.leave(&mut mail).await;
}

struct Committer {
    rooms: Arc<Rooms>,
    /// The live rooms at the last refresh.
    live: Arc<HashMap<Arc<str>, Arc<LiveRoom>>>,
    store: Arc<dyn Store>,
    meters: StoreMeters,
    drivers: HashMap<Arc<str>, RoomDriver>,
    /// Answers, until they are sent.
    replies: Replies,
    /// Whether this is the last call: leases are given back.
    leaves: bool,
    /// The origin of the rooms' clock.
    began: Instant,
    looks: Duration,
    listens: Duration,
    heard: Heard,
    /// Failures of the store in a row, and when it is called again.
    failures: u32,
    retry_at: Duration,
}

impl Committer {
    fn new(rooms: Arc<Rooms>, store: Arc<dyn Store>, meters: StoreMeters) -> Self {
        Self {
            rooms,
            live: Arc::default(),
            store,
            meters,
            drivers: HashMap::new(),
            replies: Replies::new(),
            leaves: false,
            began: Instant::now(),
            looks: Duration::ZERO,
            listens: Duration::ZERO,
            heard: Heard::default(),
            failures: 0,
            retry_at: Duration::ZERO,
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn sleep_until(&self, then: Duration) -> Sleep {
        sleep_until((self.began + then).into())
    }

    /// When there is work again.
    fn next(&self) -> Duration {
        let rooms = self.drivers.values().map(|driver| driver.queue().next_wakeup());
        rooms.fold(self.looks.min(self.listens), Duration::min)
    }

    fn take(&mut self, room: Arc<LiveRoom>, op: Op) {
        let (incarnation, now) = (self.rooms.incarnation, self.now());
        let news = self
            .drivers
            .entry(room.name.clone())
            .or_insert_with(|| RoomDriver::new(room, incarnation, now))
            .take(op, now);
        if news {
            self.listens = self.listens.min(now + TELL);
        }
    }

    fn gather(&mut self, mail: &mut Mail) {
        for _ in 0..BATCH {
            match mail.try_recv() {
                Ok((room, op)) => self.take(room, op),
                Err(_) => break,
            }
        }
        let now = self.now();
        if now >= self.looks {
            self.looks = now + LOOK;
            self.refresh(now);
        }
    }

    /// Creates a driver for each live room, and takes in changes.
    fn refresh(&mut self, now: Duration) {
        let (live, incarnation) = (self.rooms.all(), self.rooms.incarnation);
        if !Arc::ptr_eq(&live, &self.live) {
            for room in live.values() {
                self.drivers
                    .entry(room.name.clone())
                    .or_insert_with(|| RoomDriver::new(room.clone(), incarnation, now));
            }
            self.live = live;
        }
        self.drivers.retain(|name, driver| {
            driver.refresh(now);
            !driver.queue().is_idle() || self.live.contains_key(name)
        });
    }

    /// Commits due rooms, and listens to other gateways when it is time. Returns whether the store answered.
    async fn turn(&mut self, mail: &mut Mail) -> bool {
        let due = self.due(self.now());
        if !due.is_empty() && !self.commit(due, mail).await {
            return false;
        }
        self.listens > self.now() || self.listen(mail).await
    }

    /// The rooms of the next call: first those with waiting callers. Operations that are still gathering go along.
    fn due(&self, now: Duration) -> Vec<Arc<str>> {
        let rooms = self.drivers.iter().map(|(name, driver)| (name, driver.queue()));
        let due = rooms.filter(|(_, queue)| queue.next_wakeup() <= now + GATHER);
        let mut due: Vec<_> =
            due.map(|(name, queue)| (Reverse(queue.is_urgent()), queue.next_wakeup(), name)).collect();
        due.sort_unstable();
        due.into_iter().take(ROOMS).map(|(.., name)| name.clone()).collect()
    }

    /// One store call for these rooms. Returns whether the store answered.
    async fn commit(&mut self, mut rooms: Vec<Arc<str>>, mail: &mut Mail) -> bool {
        let (now, mut works) = (self.now(), Vec::with_capacity(rooms.len()));
        rooms.retain(|room| {
            let driver = self.drivers.get_mut(room);
            let work = driver.and_then(|driver| driver.work(self.leaves, now, &mut self.replies));
            let is_asked = work.is_some();
            works.extend(work);
            is_asked
        });
        let (started, store) = (Instant::now(), self.store.clone());
        let result = self.meanwhile(mail, store.commit(works)).await;
        self.meters.call(started.elapsed(), result.is_ok());
        let now = self.now();
        match result {
            Ok(outcomes) => {
                for (room, outcome) in rooms.iter().zip(outcomes) {
                    if let Some(driver) = self.drivers.get_mut(room) {
                        driver.hand_out(outcome, started, now, &mut self.replies);
                    }
                }
                true
            }
            Err(error) => self.fails(&error),
        }
    }

    /// Reports the rooms active here, and gets those of other gateways. A store with another identity than before, or empty, may
    /// have lost all reports of a room.
    async fn listen(&mut self, mail: &mut Mail) -> bool {
        let now = self.now();
        let stirs = self.drivers.iter().filter(|(_, driver)| driver.queue().stirs(now));
        let stirs = stirs.map(|(name, _)| name.clone()).collect();
        let (before, store) = (self.heard.clone(), self.store.clone());
        let heard = match self.meanwhile(mail, store.listen(stirs, before.now)).await {
            Ok(heard) => heard,
            Err(error) => return self.fails(&error),
        };
        let now = self.now();
        self.listens = now + LISTEN;
        if !before.era.is_empty() && before.era != heard.era {
            tracing::warn!("the store was started again, or is another one: every room is looked at");
            self.drivers.values_mut().for_each(|driver| driver.wake(now));
        }
        for room in &heard.stirring {
            if let Some(driver) = self.drivers.get_mut(&**room).filter(|driver| !driver.queue().stirs(now)) {
                driver.follow(now);
            }
        }
        self.heard = Heard { stirring: Vec::new(), ..heard };
        true
    }

    /// No room gets an answer: each of them follows its `fail_mode`.
    fn fails(&mut self, error: &crate::line::store::StoreError) -> bool {
        tracing::error!(%error, "the store does not answer; rooms follow their fail_mode");
        self.failures += 1;
        let now = self.now();
        self.retry_at = now + back_off(self.rooms.incarnation, self.failures);
        for driver in self.drivers.values_mut() {
            driver.store_away(now, self.retry_at, &mut self.replies);
        }
        false
    }

    /// The last calls: remaining operations, and leases given back.
    async fn leave(&mut self, mail: &mut Mail) {
        self.leaves = true;
        let last = self.drivers.iter().filter(|(_, driver)| !driver.queue().is_idle() || driver.queue().holds_lease());
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
        let mut left = BATCH;
        loop {
            tokio::select! {
                done = &mut waited_for => return done,
                () = sleep(LEASE_STEP), if self.may_live_on_leases() => self.lend(mail, &mut left),
            }
        }
    }

    fn may_live_on_leases(&self) -> bool {
        let now = self.now();
        self.drivers.values().any(|driver| driver.queue().may_live_on_lease(now))
    }

    /// The lease answers claims; of all other operations, which must wait for the store, only a bounded number is taken in.
    fn lend(&mut self, mail: &mut Mail, left: &mut usize) {
        while *left > 0
            && let Ok((room, op)) = mail.try_recv()
        {
            *left -= usize::from(!matches!(op, Op::Claim { .. }));
            self.take(room, op);
        }
        let now = self.now();
        for driver in self.drivers.values_mut() {
            driver.lend(now, &mut self.replies);
        }
    }
}
