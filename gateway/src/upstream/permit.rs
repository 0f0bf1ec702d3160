//! Permits of an upstream, and the order in which freed ones are given.
//!
//! While permits are free, taking one is two loads and one compare-and-swap. When none is, requests stand
//! in lines: payments, orders and other requests of holders of a pass, then returns from a payment, then the rest, each in
//! order of arrival, and a freed permit goes to the first of them: a newcomer cannot take it. Only then is the lock used.
//!
//! Returns hold at most a small part of the permits, for any client can make one. Anonymous traffic leaves a reserve to holders
//! of a pass, and no client holds more than its share. Shares are counted only while permits run short: calm needs no map.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::gate::Passage;
use super::limiter::{Bounds, Class, Limiter};
use super::share::{Share, Shares};
use super::{Caller, Priority};
use crate::client::timer;
use crate::quota::Client;

/// The bounds on permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    /// In use at once.
    pub(super) limit: usize,
    /// Of these, kept for holders of a pass.
    pub(super) reserve: usize,
    /// Held at once by returns from a payment, outside the reserve.
    pub(super) returns: usize,
    /// Held at once by one pass...
    pub(super) per_pass: usize,
    /// ...and by one address without one...
    pub(super) per_address: usize,
    /// ...counting those that were taken while at least this many were in use.
    pub(super) scarce_from: usize,
}

impl Rules {
    fn bounds(&self) -> Bounds {
        Bounds { all: self.limit, open: self.limit.saturating_sub(self.reserve) }
    }
}

/// The rules in force, each readable without a lock.
#[derive(Debug, Default)]
struct InForce {
    limit: AtomicUsize,
    open: AtomicUsize,
    returns: AtomicUsize,
    per_pass: AtomicUsize,
    per_address: AtomicUsize,
    scarce_from: AtomicUsize,
}

/// The permits of one upstream, across workers and reloads.
#[derive(Debug, Default)]
pub(super) struct Permits {
    limiter: Limiter,
    /// Permits of returns, counted once more.
    returns: Limiter,
    /// Permits of payments and of orders, counted once more.
    classed: [AtomicUsize; 2],
    rules: InForce,
    shares: Arc<Shares>,
    /// Requests in `lines`, readable without the lock...
    waiting: AtomicUsize,
    /// ...and how many of them hold a pass.
    waiting_passes: AtomicUsize,
    lines: Mutex<Lines>,
}

/// In-flight guard: the right to one request in work; given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    permits: Arc<Permits>,
    who: Priority,
    /// Boxed: there is none in calm.
    share: Option<Box<Share>>,
    /// What was taken before it, and is given back after it.
    within: Option<Box<Within>>,
}

/// The room's permit, if the room has a limit of its own, and the slot at the gate of the route, if that has one.
type Within = (Option<Permit>, Option<Passage>);

impl Permit {
    /// The same, with the room's permit, which is given back after it.
    pub(super) fn within(mut self, of_room: Option<Self>) -> Self {
        self.within = of_room.map(|permit| Box::new((Some(permit), None)));
        self
    }

    /// The same, with the slot at the gate of its route, which is given back last.
    pub(super) fn through(mut self, passage: Passage) -> Self {
        self.within.get_or_insert_default().1 = Some(passage);
        self
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let permits = &self.permits;
        permits.limiter.release(class(self.who));
        if self.who == Priority::Return {
            permits.returns.release(Class::Open);
        }
        if let Some(classed) = permits.classed(self.who) {
            classed.fetch_sub(1, Ordering::Relaxed);
        }
        // Pairs with the fence in `next`: either that request finds this permit free, or this code sees it waiting.
        fence(Ordering::SeqCst);
        if permits.waiting.load(Ordering::Relaxed) > 0 {
            permits.hand_out();
        }
    }
}

impl Permits {
    pub(super) fn set_rules(self: &Arc<Self>, rules: Rules) {
        let Bounds { all, open } = rules.bounds();
        let of = &self.rules;
        for (now, new) in [
            (&of.limit, all),
            (&of.open, open),
            (&of.returns, rules.returns),
            (&of.per_pass, rules.per_pass),
            (&of.per_address, rules.per_address),
            (&of.scarce_from, rules.scarce_from),
        ] {
            now.store(new, Ordering::Relaxed);
        }
        self.hand_out();
    }

    pub(super) fn in_flight(&self) -> usize {
        self.limiter.in_flight()
    }

    pub(super) fn used_by(&self, who: Priority) -> usize {
        let returns = self.returns.in_flight();
        let [payments, orders] = [0, 1].map(|class| self.classed[class].load(Ordering::Relaxed));
        match who {
            Priority::Payment => payments,
            Priority::Order => orders,
            Priority::Pass => self.limiter.used_by(Class::Reserved).saturating_sub(payments + orders),
            Priority::Return => returns,
            Priority::Anonymous => self.limiter.used_by(Class::Open).saturating_sub(returns),
        }
    }

    /// The counter of a class of requests with a pass.
    fn classed(&self, who: Priority) -> Option<&AtomicUsize> {
        match who {
            Priority::Payment => Some(&self.classed[0]),
            Priority::Order => Some(&self.classed[1]),
            Priority::Pass | Priority::Return | Priority::Anonymous => None,
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed) + self.shares.waiting()
    }

    /// A permit, with a wait of up to `max_wait`; `None` if there was none in time.
    pub(super) async fn acquire(self: &Arc<Self>, caller: Caller<'_>, max_wait: Duration) -> Option<Permit> {
        match self.acquire_in_calm(caller.who) {
            Some(permit) => Some(permit),
            None => timer::timeout(max_wait, self.next_in_share(caller)).await.ok()?,
        }
    }

    /// A permit, however long the wait.
    pub(super) async fn acquire_in_turn(self: &Arc<Self>, caller: Caller<'_>) -> Option<Permit> {
        match self.acquire_in_calm(caller.who) {
            Some(permit) => Some(permit),
            None => self.next_in_share(caller).await,
        }
    }

    /// A permit, if permits are not scarce: shares do not count then.
    pub(super) fn acquire_in_calm(self: &Arc<Self>, who: Priority) -> Option<Permit> {
        let scarce = self.in_flight() >= self.rules.scarce_from.load(Ordering::Relaxed);
        if scarce { None } else { self.try_next(who) }
    }

    /// A permit of the client's own share.
    async fn next_in_share(self: &Arc<Self>, Caller { who, client, .. }: Caller<'_>) -> Option<Permit> {
        let share = self.shares.take(client, self.share_of(client)).await;
        let mut permit = match self.try_next(who) {
            Some(permit) => permit,
            None => self.next(who).await?,
        };
        permit.share = Some(Box::new(share));
        Some(permit)
    }

    fn share_of(&self, client: Client) -> usize {
        match client {
            Client::Place(..) => self.rules.per_pass.load(Ordering::Relaxed),
            _ => self.rules.per_address.load(Ordering::Relaxed),
        }
    }

    /// A permit, unless another request is before this one in the line.
    fn try_next(self: &Arc<Self>, who: Priority) -> Option<Permit> {
        let before = match who {
            // Who has a class stands before the others in the lines.
            Priority::Payment | Priority::Order | Priority::Pass => &self.waiting_passes,
            Priority::Return | Priority::Anonymous => &self.waiting,
        };
        if before.load(Ordering::Relaxed) == 0 { self.try_acquire(who) } else { None }
    }

    async fn next(self: &Arc<Self>, who: Priority) -> Option<Permit> {
        let (sender, permit) = oneshot::channel();
        {
            let mut lines = self.lines();
            lines.of(who).push_back(sender);
            self.count(&lines);
        }
        fence(Ordering::SeqCst);
        self.hand_out();
        // A permit that arrives while this gives up is dropped with the channel, and so given back.
        permit.await.ok()
    }

    fn try_acquire(self: &Arc<Self>, who: Priority) -> Option<Permit> {
        if who == Priority::Return {
            let most = self.rules.returns.load(Ordering::Relaxed);
            if !self.returns.try_acquire(Class::Open, Bounds { all: most, open: most }) {
                return None;
            }
        }
        let (all, open) = (self.rules.limit.load(Ordering::Relaxed), self.rules.open.load(Ordering::Relaxed));
        if self.limiter.try_acquire(class(who), Bounds { all, open }) {
            if let Some(classed) = self.classed(who) {
                classed.fetch_add(1, Ordering::Relaxed);
            }
            return Some(Permit { permits: self.clone(), who, share: None, within: None });
        }
        if who == Priority::Return {
            self.returns.release(Class::Open);
        }
        None
    }

    /// Gives the free permits to waiting requests.
    fn hand_out(self: &Arc<Self>) {
        while let Some((waiter, permit)) = self.next_waiter() {
            // Outside the lock: an unwanted permit is dropped, and so handed out again.
            drop(waiter.send(permit));
        }
    }

    /// The first waiting request with a permit for it.
    fn next_waiter(self: &Arc<Self>) -> Option<(oneshot::Sender<Permit>, Permit)> {
        let mut lines = self.lines();
        lines.prune();
        let next = Priority::ALL.into_iter().find_map(|who| {
            lines.of(who).front()?;
            let permit = self.try_acquire(who)?;
            Some((lines.of(who).pop_front()?, permit))
        });
        self.count(&lines);
        next
    }

    fn count(&self, lines: &Lines) {
        let passes = lines.payments.len() + lines.orders.len() + lines.pass.len();
        self.waiting.store(passes + lines.returns.len() + lines.anonymous.len(), Ordering::Relaxed);
        self.waiting_passes.store(passes, Ordering::Relaxed);
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn class(who: Priority) -> Class {
    match who {
        Priority::Payment | Priority::Order | Priority::Pass => Class::Reserved,
        Priority::Return | Priority::Anonymous => Class::Open,
    }
}

/// Waiting requests. One that gave up stays until it is at the front: all of a line wait equally long.
#[derive(Debug, Default)]
struct Lines {
    payments: VecDeque<oneshot::Sender<Permit>>,
    orders: VecDeque<oneshot::Sender<Permit>>,
    pass: VecDeque<oneshot::Sender<Permit>>,
    returns: VecDeque<oneshot::Sender<Permit>>,
    anonymous: VecDeque<oneshot::Sender<Permit>>,
}

impl Lines {
    fn of(&mut self, who: Priority) -> &mut VecDeque<oneshot::Sender<Permit>> {
        match who {
            Priority::Payment => &mut self.payments,
            Priority::Order => &mut self.orders,
            Priority::Pass => &mut self.pass,
            Priority::Return => &mut self.returns,
            Priority::Anonymous => &mut self.anonymous,
        }
    }

    /// Drops requests at the front that gave up.
    fn prune(&mut self) {
        for who in Priority::ALL {
            let line = self.of(who);
            while line.pop_front_if(|waiter| waiter.is_closed()).is_some() {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn permits(limit: usize) -> Arc<Permits> {
        let permits = Arc::new(Permits::default());
        permits.set_rules(rules(limit));
        permits
    }

    fn rules(limit: usize) -> Rules {
        Rules { limit, reserve: 0, returns: 100, per_pass: 100, per_address: 100, scarce_from: 0 }
    }

    /// A client of its own, or the one of this number.
    fn caller(who: Priority, number: u64) -> Caller<'static> {
        Caller { who, client: Client::Address(number), part: None, gate: None, deadline: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_comes_before_anonymous_traffic_and_each_in_order() {
        let permits = permits(1);
        let held = permits.acquire(caller(Priority::Anonymous, 1), LONG).await;
        let (log, mut order) = tokio::sync::mpsc::unbounded_channel();
        for (name, who) in
            [("a1", Priority::Anonymous), ("a2", Priority::Anonymous), ("p1", Priority::Pass), ("p2", Priority::Pass)]
        {
            let (permits, log) = (permits.clone(), log.clone());
            tokio::spawn(async move {
                let permit = permits.acquire(caller(who, 1), LONG).await;
                assert!(permit.is_some());
                assert!(log.send(name).is_ok());
            });
            tokio::task::yield_now().await;
        }
        drop((held, log));
        let mut got = Vec::new();
        while let Some(name) = order.recv().await {
            got.push(name);
        }
        assert_eq!(got, ["p1", "p2", "a1", "a2"]);
        assert_eq!(permits.in_flight(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn payments_come_before_orders_before_whoever_looks_around_before_returns() {
        let permits = permits(1);
        let held = permits.acquire(caller(Priority::Pass, 1), LONG).await;
        let (log, mut order) = tokio::sync::mpsc::unbounded_channel();
        for who in Priority::ALL.into_iter().rev() {
            let (permits, log) = (permits.clone(), log.clone());
            tokio::spawn(async move {
                let permit = permits.acquire(caller(who, 1), LONG).await;
                assert!(permit.is_some() && permits.used_by(who) == 1 && log.send(who).is_ok());
            });
            tokio::task::yield_now().await;
        }
        assert_eq!((permits.waiting(), permits.used_by(Priority::Pass)), (5, 1));
        drop((held, log));
        let mut got = Vec::new();
        while let Some(who) = order.recv().await {
            got.push(who);
        }
        assert_eq!(got, Priority::ALL);
        assert_eq!(Priority::ALL.map(|who| permits.used_by(who)), [0; 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_costs_no_permit() {
        let permits = permits(1);
        let held = permits.acquire(caller(Priority::Pass, 1), LONG).await;
        assert!(permits.acquire(caller(Priority::Pass, 1), Duration::from_millis(5)).await.is_none());
        let gone = tokio::spawn({
            let permits = permits.clone();
            async move { permits.acquire(caller(Priority::Pass, 1), LONG).await }
        });
        tokio::task::yield_now().await;
        gone.abort();
        let _ = gone.await;
        drop(held);
        assert_eq!(permits.in_flight(), 0);
        assert!(permits.acquire(caller(Priority::Anonymous, 1), Duration::ZERO).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_raised_limit_is_used_by_those_who_wait() {
        let permits = permits(0);
        let waiter = tokio::spawn({
            let permits = permits.clone();
            async move { permits.acquire(caller(Priority::Anonymous, 1), LONG).await }
        });
        tokio::task::yield_now().await;
        permits.set_rules(rules(1));
        assert!(matches!(waiter.await, Ok(Some(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn anonymous_traffic_that_holds_and_waits_does_not_keep_a_pass_from_the_reserve() {
        let permits = permits(4);
        permits.set_rules(Rules { reserve: 1, ..rules(4) });
        let mut held = Vec::new();
        for client in 0..3 {
            held.extend(permits.acquire(caller(Priority::Anonymous, client), Duration::ZERO).await);
        }
        assert_eq!(held.len(), 3);
        let waits = tokio::spawn({
            let permits = permits.clone();
            async move { permits.acquire(caller(Priority::Anonymous, 3), LONG).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(permits.waiting(), 1);
        let pass = permits.acquire(caller(Priority::Pass, 4), Duration::ZERO).await;
        assert!(pass.is_some());
        assert_eq!((permits.used_by(Priority::Anonymous), permits.used_by(Priority::Pass)), (3, 1));
        drop(held.pop());
        assert!(matches!(waits.await, Ok(Some(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn returns_hold_their_part_at_most_and_stand_before_anonymous_traffic() {
        let permits = permits(8);
        permits.set_rules(Rules { reserve: 2, returns: 2, ..rules(8) });
        let mut held = Vec::new();
        for client in 0..6 {
            held.extend(permits.acquire(caller(Priority::Return, client), Duration::from_millis(5)).await);
        }
        assert_eq!((held.len(), permits.used_by(Priority::Return)), (2, 2));
        for client in 10..20 {
            held.extend(permits.acquire(caller(Priority::Anonymous, client), Duration::from_millis(5)).await);
        }
        assert_eq!(
            (held.len(), permits.used_by(Priority::Anonymous)),
            (6, 4),
            "others take what is left, not the reserve"
        );
        let (log, mut order) = tokio::sync::mpsc::unbounded_channel();
        for (name, who) in [("anonymous", Priority::Anonymous), ("return", Priority::Return)] {
            let (permits, log) = (permits.clone(), log.clone());
            tokio::spawn(async move {
                let permit = permits.acquire(caller(who, 30), LONG).await;
                assert!(permit.is_some() && log.send(name).is_ok());
                tokio::time::sleep(Duration::from_secs(1)).await;
            });
            tokio::task::yield_now().await;
        }
        assert_eq!(permits.used_by(Priority::Pass), 0);
        let pass = permits.acquire(caller(Priority::Pass, 40), Duration::ZERO).await;
        assert!(pass.is_some(), "a pass has the reserve");
        drop((pass, held, log));
        assert_eq!((order.recv().await, order.recv().await), (Some("return"), Some("anonymous")));
        assert_eq!(order.recv().await, None);
        assert_eq!((permits.in_flight(), permits.used_by(Priority::Return)), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn one_client_that_takes_all_it_can_leaves_some_to_the_others() {
        let permits = permits(8);
        permits.set_rules(Rules { per_address: 4, scarce_from: 2, ..rules(8) });
        let mut held = Vec::new();
        for _ in 0..20 {
            held.extend(permits.acquire(caller(Priority::Anonymous, 1), Duration::from_millis(5)).await);
        }
        assert_eq!(held.len(), 6, "two while there were plenty, and its share of four");
        let other = permits.acquire(caller(Priority::Anonymous, 2), Duration::ZERO).await;
        assert!(other.is_some());
        drop((held, other));
        assert_eq!((permits.in_flight(), permits.shares.clients(), permits.waiting()), (0, 0, 0));
    }

    #[test]
    fn no_permit_is_lost_or_made_under_contention() {
        let permits = permits(3);
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let permits = permits.clone();
                scope.spawn(move || {
                    let builder = tokio::runtime::Builder::new_current_thread().enable_time().build();
                    let Ok(runtime) = builder else { panic!("no runtime") };
                    runtime.block_on(async {
                        for round in 0..500 {
                            let who = if (worker + round) % 2 == 0 { Priority::Pass } else { Priority::Anonymous };
                            let one = permits.acquire(caller(who, 1), LONG);
                            let two = permits.acquire(caller(who, 1), Duration::from_micros(50));
                            let (one, two) = tokio::join!(async { drop(one.await) }, two);
                            assert!(permits.in_flight() <= 3);
                            drop((one, two));
                        }
                    });
                });
            }
        });
        assert_eq!(permits.in_flight(), 0);
        assert_eq!(permits.waiting.load(Ordering::Relaxed), 0);
    }
}
