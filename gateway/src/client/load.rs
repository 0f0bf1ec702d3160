//! Load shedding: the order of service when a worker has more work than its processor, or its memory, allows.
//!
//! A worker runs ready tasks in order of readiness. With more of them than it can run, a pass holder's request
//! stands behind every poll that became readable before it. So each worker measures its **run-queue delay**, from
//! readiness to service, and holds it near `TARGET`: a connection without a pass that has bytes to read is
//! *deferred*, and each tick releases as many deferred connections as the budget allows. Connections of pass
//! holders are never deferred. The rest of the crowd is served in this order: newcomers, who take a number; then polls,
//! which are stretched while they wait long (`Load::stretch`). New connections are accepted at a quarter
//! of the budget; the others wait in the kernel's backlog.
//!
//! ```text
//! delay > TARGET, half of it own work  budget = 0.7 x min(budget, served), at least LEAST
//! else, while over capacity            budget = budget + 1/8 budget + 1
//! calm again                           after CALM_AFTER ticks with nothing deferred
//!
//! served    requests of connections without a pass in the last tick
//! own work  processor time of this thread meanwhile: a delay caused by another process is not the crowd's
//! ```
//!
//! A connection with many requests at once is served one of them at a time (`InFlight::take_turn`);
//! one of HTTP/2 is charged for all streams that it began. An overdraft in a tick is deducted from the next.
//!
//! A connection of HTTP/2 is also deferred while too many bytes of answers are held for slow readers
//! (`Full`), until others' are gone.
//!
//! Source: additive-increase control of concurrency on the delay at the bottleneck (as in `CoDel`, RFC 8289: the
//! sojourn time of a queue, not its length). To defer is to read nothing, parse nothing and write nothing.
//!
//! A deferred request is not refused: it is read later, and a called ticket keeps its turn meanwhile. The time that a
//! connection is deferred is not idle time of its client.
//!
//! Out of scope: the meaning of a request, and limits of the shop ([`crate::upstream`]).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::client::connection::{Connection, Turn};
use crate::telemetry::{PROCESS, catalogue};

/// Run-queue delay above which a worker defers connections without a pass: well above what other processes cause.
const TARGET: Duration = Duration::from_millis(20);
/// Requests without a pass served each tick, at the least.
const LEAST: u32 = 4;
/// Ticks with nothing deferred after which a worker is calm again: half a second.
const CALM_AFTER: u32 = 20;
/// Ticks of waiting for service above which polls are stretched.
const LONG: u32 = 20;
/// Polls are never stretched by more than this.
const STRETCH_MOST: f64 = 16.0;

/// Whether the bytes of answers held for slow readers exceed the worker's bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full(pub(crate) bool);

/// The time of a task in the run queue.
#[derive(Debug, Clone, Copy, Default)]
struct Sojourn {
    delay: Duration,
    /// Processor time of this thread meanwhile.
    worked: Duration,
}

impl Sojourn {
    fn is_long(self) -> bool {
        self.delay > TARGET && self.worked > TARGET / 2
    }
}

/// Measurement of the run queue, by a probe task in it.
#[derive(Debug, Default)]
struct RunQueue {
    /// Since when the probe stands there, and the processor time of this thread before.
    stands: Cell<Option<(Instant, Duration)>>,
    /// The probe standing there was already long, and that was reported.
    told: Cell<bool>,
    /// The last result, until it is reported.
    last: Cell<Option<Sojourn>>,
    /// Puts the probe into the queue.
    ready: Notify,
}

impl RunQueue {
    /// The probe task, again and again.
    async fn stand(self: Rc<Self>) {
        loop {
            self.ready.notified().await;
            let sojourn = self.sojourn();
            self.stands.set(None);
            self.last.set(sojourn.filter(|_| !self.told.take()));
        }
    }

    fn measure(&self) {
        if self.stands.get().is_none() {
            self.stands.set(Some((Instant::now(), machine::thread_time())));
            self.ready.notify_one();
        }
    }

    fn sojourn(&self) -> Option<Sojourn> {
        let (since, before) = self.stands.get()?;
        Some(Sojourn { delay: since.elapsed(), worked: machine::thread_time().saturating_sub(before) })
    }

    /// An unreported result: once for each probe, and at once for one that has stood there for long.
    fn news(&self) -> Option<Sojourn> {
        if let Some(sojourn) = self.last.take() {
            return Some(sojourn);
        }
        let long = self.sojourn().filter(|sojourn| sojourn.is_long() && !self.told.get());
        self.told.set(self.told.get() || long.is_some());
        long
    }
}

/// The load of one worker.
#[derive(Debug)]
pub(crate) struct Load {
    /// Requests without a pass per tick.
    budget: Cell<u32>,
    /// The rest of it in this tick; below 0 after an overdraft.
    left: Cell<i64>,
    /// The connection in service was released: its first request is paid for.
    paid: Cell<bool>,
    served: Cell<u32>,
    calm_for: Cell<u32>,
    stretch: Cell<f64>,
    deferrals: Cell<u64>,
    /// It was over capacity since the last report, be it for less than a second.
    was_over: Cell<bool>,
    told: Cell<bool>,
    last_delay: Cell<Duration>,
    queue: Rc<RunQueue>,
    /// Deferred connections without any request before, and the others.
    newcomers: RefCell<VecDeque<Weak<Connection>>>,
    others: RefCell<VecDeque<Weak<Connection>>>,
    released: Notify,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            budget: Cell::new(u32::MAX),
            left: Cell::new(u32::MAX.into()),
            paid: Cell::default(),
            served: Cell::default(),
            calm_for: Cell::default(),
            stretch: Cell::new(1.0),
            deferrals: Cell::default(),
            was_over: Cell::default(),
            told: Cell::default(),
            last_delay: Cell::default(),
            queue: Rc::default(),
            newcomers: RefCell::default(),
            others: RefCell::default(),
            released: Notify::new(),
        }
    }
}

impl Load {
    /// Whether connections without a pass are deferred because the processor is too slow.
    pub(crate) fn is_over(&self) -> bool {
        self.budget.get() != u32::MAX
    }

    /// The factor on poll intervals: 1 in calm.
    pub(crate) fn stretch(&self) -> f64 {
        self.stretch.get()
    }

    /// Reports the state to metrics and log, and forgets deferred connections that are gone: until then they keep their
    /// memory. Must be called once a second.
    pub(crate) fn report(&self) {
        for queue in [&self.newcomers, &self.others] {
            queue.borrow_mut().retain(|connection| connection.strong_count() > 0);
        }
        PROCESS.counter(&catalogue::CONNECTIONS_DEFERRED, &[]).increment(self.deferrals.take());
        if self.was_over.take() && !self.told.replace(true) {
            let delay_ms = self.last_delay.get().as_millis() as u64;
            tracing::warn!(
                delay_ms,
                "more to do than the processor can: pass holders go first, other connections are served as time is left"
            );
        }
        if !self.is_over() && self.told.replace(false) {
            tracing::info!("the processor has time for all connections again");
        }
    }

    /// Whether this connection, which has no pass and has bytes to read, must wait for its release.
    pub(crate) fn defers(&self, connection: &Rc<Connection>, full: Full) -> bool {
        match connection.turn() {
            Turn::Deferred => return true,
            _ if full.0 => {}
            Turn::Released => {
                connection.set_turn(Turn::Free);
                self.paid.set(true);
                return false;
            }
            Turn::Free if !self.is_over() || (self.left.get() > 0 && self.deferred() == 0) => return false,
            Turn::Free => {}
        }
        connection.set_turn(Turn::Deferred);
        self.deferrals.set(self.deferrals.get() + 1);
        let queue = if connection.has_asked() { &self.others } else { &self.newcomers };
        queue.borrow_mut().push_back(Rc::downgrade(connection));
        true
    }

    /// Charges a connection without a pass for `requests` requests, or for a read without a whole one.
    pub(crate) fn charge(&self, requests: u32) {
        let cost = requests.max(1);
        self.served.set(self.served.get().saturating_add(cost));
        let due = cost - u32::from(self.paid.take());
        self.left.set(self.left.get() - i64::from(due));
    }

    /// Waits until one more connection may be accepted.
    pub(crate) async fn accepts(&self) {
        while self.is_over() && self.left.get() <= 0 {
            self.released.notified().await;
        }
        self.left.set(self.left.get() - 1);
    }

    /// The probe task in the run queue: runs beside the served connections.
    pub(crate) fn stand(&self) -> impl Future<Output = ()> + 'static {
        self.queue.clone().stand()
    }

    /// Adapts the budget to the measurement, and releases as many connections as it allows: none while too much is held
    /// for those released before. Starts the next measurement, if any connection could be deferred. Must be
    /// called every tick.
    pub(crate) fn tick(&self, full: Full) {
        let before = self.is_over();
        if self.adapt() > LEAST || before {
            self.queue.measure();
        }
        let budget = i64::from(self.budget.get());
        self.left.set(self.left.get().min(0) + budget);
        if !full.0 && self.deferred() > 0 {
            // New connections have a share even while others wait: their client may hold a pass.
            let most = self.left.get() - budget / 4;
            let newcomers = Self::release(&self.newcomers, most * 3 / 4);
            let others = Self::release(&self.others, most - newcomers);
            let more = Self::release(&self.newcomers, most - newcomers - others);
            self.left.set(self.left.get() - newcomers - others - more);
        }
        if self.is_over() {
            self.spread_polls(self.deferred());
        }
        if before || self.is_over() {
            self.released.notify_waiters();
        }
    }

    fn deferred(&self) -> usize {
        self.newcomers.borrow().len() + self.others.borrow().len()
    }

    /// At most `most` of them; returns how many.
    fn release(queue: &RefCell<VecDeque<Weak<Connection>>>, most: i64) -> i64 {
        let mut released = 0;
        while released < most
            && let Some(connection) = queue.borrow_mut().pop_front()
        {
            // A connection that is over costs nothing.
            if let Some(connection) = connection.upgrade() {
                connection.release();
                released += 1;
            }
        }
        released
    }

    /// Returns how many requests were served.
    fn adapt(&self) -> u32 {
        let served = self.served.take();
        let news = self.queue.news();
        if let Some(sojourn) = news {
            self.last_delay.set(sojourn.delay);
        }
        if news.is_some_and(Sojourn::is_long) {
            self.was_over.set(true);
            let most = self.budget.get().min(served);
            self.budget.set((u64::from(most) * 7 / 10).max(LEAST.into()) as u32);
            self.calm_for.set(0);
        } else if self.is_over() && !self.queue.told.get() {
            let calm = if self.deferred() == 0 { self.calm_for.get() + 1 } else { 0 };
            self.calm_for.set(calm);
            let budget = self.budget.get();
            self.budget.set(if calm > CALM_AFTER { u32::MAX } else { (budget + budget / 8 + 1).min(u32::MAX - 1) });
            if calm > CALM_AFTER {
                self.stretch.set(1.0);
            }
        }
        served
    }

    /// Lengthens poll intervals while the deferred wait for long.
    fn spread_polls(&self, deferred: usize) {
        let ticks = deferred as u64 / u64::from(self.budget.get());
        let factor = if ticks > u64::from(LONG) { 1.05 } else { 0.99 };
        self.stretch.set((self.stretch.get() * factor).clamp(1.0, STRETCH_MOST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::visitor::Peer;

    const ROOM: Full = Full(false);

    fn crowd(size: usize) -> Vec<Rc<Connection>> {
        let peer = || Peer::new([127, 0, 0, 1].into(), &[]);
        (0..size).map(|_| Connection::new(peer(), false, Rc::default(), None)).collect()
    }

    fn serves(load: &Load, connection: &Rc<Connection>) -> bool {
        let served = !load.defers(connection, ROOM);
        if served {
            load.charge(1);
        }
        served
    }

    /// Every connection has bytes to read; returns how many are served.
    fn round(load: &Load, crowd: &[Rc<Connection>]) -> usize {
        crowd.iter().filter(|connection| serves(load, connection)).count()
    }

    /// The delay is this thread's own work.
    fn tick(load: &Load, delay: Duration) {
        load.queue.last.set(Some(Sojourn { delay, worked: delay }));
        load.tick(ROOM);
    }

    #[test]
    fn in_calm_nobody_is_deferred_and_a_short_delay_changes_nothing() {
        let (load, crowd) = (Load::default(), crowd(1_000));
        for _ in 0..10 {
            tick(&load, TARGET);
            assert_eq!(round(&load, &crowd), 1_000);
        }
        assert!(!load.is_over() && load.deferred() == 0);
    }

    #[test]
    fn a_delay_that_other_processes_make_changes_nothing() {
        let (load, crowd) = (Load::default(), crowd(1_000));
        round(&load, &crowd);
        load.queue.last.set(Some(Sojourn { delay: TARGET * 10, worked: TARGET / 4 }));
        load.tick(ROOM);
        assert!(!load.is_over());
    }

    #[test]
    fn while_the_delay_is_long_fewer_are_served_each_tick_down_to_a_few() {
        let (load, crowd) = (Load::default(), crowd(1_000));
        let mut served = vec![round(&load, &crowd)];
        for _ in 0..30 {
            tick(&load, TARGET * 10);
            served.push(round(&load, &crowd));
        }
        let down = served.iter().position(|&served| served <= LEAST as usize).expect("it comes down");
        assert!(served[..down].is_sorted_by(|before, after| before > after), "{served:?}");
        assert!(served[down..].iter().all(|&n| n > 0 && n <= LEAST as usize), "{served:?}");
        assert!(load.stretch() >= 1.0);
    }

    #[test]
    fn the_deferred_are_served_in_their_order_and_none_is_forgotten() {
        let (load, crowd) = (Load::default(), crowd(200));
        round(&load, &crowd);
        tick(&load, TARGET * 10);
        let mut order = Vec::new();
        let mut served = vec![0; crowd.len()];
        for _ in 0..400 {
            for (index, connection) in crowd.iter().enumerate() {
                if connection.turn() != Turn::Deferred && served[index] < 3 && serves(&load, connection) {
                    served[index] += 1;
                    order.push(index);
                }
            }
            tick(&load, TARGET);
        }
        assert!(served.iter().all(|&times| times == 3), "{served:?}");
        assert!(!load.is_over(), "calm again");
        assert_eq!(load.deferred(), 0);
    }

    #[test]
    fn of_the_deferred_those_who_never_asked_go_first_and_leave_some_to_the_others() {
        let (load, crowd) = (Load::default(), crowd(400));
        let (asked, new) = crowd.split_at(200);
        for connection in asked {
            drop(crate::client::connection::InFlight::begin(connection, http::Version::HTTP_11, true));
        }
        round(&load, &crowd);
        tick(&load, TARGET * 10);
        load.left.set(0);
        assert_eq!(round(&load, &crowd), 0);
        load.budget.set(100);
        tick(&load, TARGET);
        let released = |some: &[Rc<Connection>]| some.iter().filter(|c| c.turn() == Turn::Released).count();
        assert!(released(asked) > 10 && released(new) > 2 * released(asked), "{} {}", released(new), released(asked));
    }

    #[test]
    fn who_was_served_many_requests_at_once_owes_them() {
        let (load, crowd) = (Load::default(), crowd(100));
        round(&load, &crowd);
        tick(&load, TARGET * 10);
        load.charge(1_000);
        for _ in 0..5 {
            tick(&load, TARGET);
            assert_eq!(round(&load, &crowd), 0);
        }
        assert!(
            (0..100).any(|_| {
                tick(&load, TARGET);
                round(&load, &crowd) > 0
            }),
            "until they are paid"
        );
    }

    #[test]
    fn while_too_much_is_held_everybody_is_deferred_also_who_was_released() {
        let (load, crowd) = (Load::default(), crowd(3));
        assert!(crowd.iter().all(|connection| load.defers(connection, Full(true))));
        load.tick(Full(true));
        assert!(crowd.iter().all(|connection| connection.turn() == Turn::Deferred));
        load.tick(ROOM);
        assert!(load.defers(&crowd[0], Full(true)) && serves(&load, &crowd[1]));
        load.tick(ROOM);
        assert!(serves(&load, &crowd[0]));
    }

    #[test]
    fn polls_are_stretched_while_the_deferred_wait_long_and_not_beyond_a_bound() {
        let (load, crowd) = (Load::default(), crowd(5_000));
        round(&load, &crowd);
        for _ in 0..400 {
            tick(&load, TARGET * 10);
            round(&load, &crowd);
        }
        assert!((STRETCH_MOST * 0.9..=STRETCH_MOST).contains(&load.stretch()), "{}", load.stretch());
    }

    #[test]
    fn connections_that_are_over_take_no_place_of_others() {
        let (load, crowd) = (Load::default(), crowd(100));
        round(&load, &crowd);
        tick(&load, TARGET * 10);
        round(&load, &crowd);
        assert!(load.deferred() > 0);
        drop(crowd);
        (0..3).for_each(|_| tick(&load, TARGET));
        assert_eq!(load.deferred(), 0);
    }

    #[test]
    fn the_deferred_who_are_gone_are_forgotten_though_nobody_is_released() {
        let (load, mut crowd) = (Load::default(), crowd(100));
        assert!(crowd.iter().all(|connection| load.defers(connection, Full(true))));
        crowd.truncate(10);
        load.tick(Full(true));
        load.report();
        assert_eq!(load.deferred(), 10);
    }

    #[tokio::test]
    async fn a_task_that_stands_in_the_run_queue_for_long_is_told_before_it_runs_and_once() {
        let local = tokio::task::LocalSet::new();
        let work = |time: Duration| {
            let until = machine::thread_time() + time;
            while machine::thread_time() < until {}
        };
        local
            .run_until(async {
                let queue = Rc::<RunQueue>::default();
                tokio::task::spawn_local(queue.clone().stand());
                tokio::task::yield_now().await;
                queue.measure();
                assert!(queue.news().is_none());
                work(TARGET * 2);
                assert!(queue.news().is_some_and(Sojourn::is_long));
                queue.measure();
                assert!(queue.news().is_none() && queue.told.get());
                tokio::task::yield_now().await;
                assert!(queue.news().is_none() && !queue.told.get());
                queue.measure();
                tokio::task::yield_now().await;
                assert!(queue.news().is_some_and(|sojourn| sojourn.worked < TARGET * 2));
            })
            .await;
    }
}
