//! Permits of an upstream, and who gets the next one that becomes free.
//!
//! While permits are free, taking one is one load and one compare-and-swap. When none is, requests stand
//! in two lines, holders of a pass before the rest, each in order of arrival, and a permit that becomes
//! free is handed to the first of them: a newcomer cannot snatch it. The lock is touched only then.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policy::limit::Limiter;
use tokio::sync::oneshot;

use super::Patience;

/// The permits of one upstream, across workers and reloads.
#[derive(Debug, Default)]
pub(super) struct Permits {
    limiter: Limiter,
    /// What `Limit::permits` said last.
    limit: AtomicUsize,
    /// How many stand in `lines`, readable without the lock.
    waiting: AtomicUsize,
    lines: Mutex<Lines>,
}

/// The right to one request in work; given back when dropped.
#[derive(Debug)]
pub(super) struct Permit(Arc<Permits>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.limiter.release();
        // Pairs with the fence in `acquire`: either that request finds this permit free, or it is seen here.
        fence(Ordering::SeqCst);
        if self.0.waiting.load(Ordering::Relaxed) > 0 {
            self.0.hand_out();
        }
    }
}

impl Permits {
    pub(super) fn set_limit(self: &Arc<Self>, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
        self.hand_out();
    }

    pub(super) fn in_flight(&self) -> usize {
        self.limiter.in_flight()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A permit, waited for if need be; `None` if there was none in time.
    pub(super) async fn acquire(self: &Arc<Self>, who: Patience, max_wait: Duration) -> Option<Permit> {
        if self.waiting.load(Ordering::Relaxed) == 0
            && let Some(permit) = self.try_acquire()
        {
            return Some(permit);
        }
        let (sender, permit) = oneshot::channel();
        {
            let mut lines = self.lines();
            lines.push(who, sender);
            self.waiting.store(lines.len(), Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
        self.hand_out();
        // A permit that arrives while this gives up is dropped with the channel, and so given back.
        tokio::time::timeout(max_wait, permit).await.ok()?.ok()
    }

    fn try_acquire(self: &Arc<Self>) -> Option<Permit> {
        self.limiter.try_acquire(self.limit.load(Ordering::Relaxed)).then(|| Permit(self.clone()))
    }

    /// Gives the free permits to those who wait.
    fn hand_out(self: &Arc<Self>) {
        // Declared before the lock, so dropped after it: dropping a permit may take the lock again.
        let mut spare = None;
        let mut lines = self.lines();
        while lines.prune() {
            let Some(permit) = spare.take().or_else(|| self.try_acquire()) else { break };
            spare = match lines.pop() {
                Some(waiter) => waiter.send(permit).err(),
                None => Some(permit),
            };
        }
        self.waiting.store(lines.len(), Ordering::Relaxed);
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those who wait. Who gave up stays until it is at the front: all of a line wait equally long.
#[derive(Debug, Default)]
struct Lines {
    pass: VecDeque<oneshot::Sender<Permit>>,
    anonymous: VecDeque<oneshot::Sender<Permit>>,
}

impl Lines {
    fn push(&mut self, who: Patience, waiter: oneshot::Sender<Permit>) {
        match who {
            Patience::Pass => self.pass.push_back(waiter),
            Patience::Anonymous => self.anonymous.push_back(waiter),
        }
    }

    /// Drops those at the front who gave up; true if somebody is left.
    fn prune(&mut self) -> bool {
        for line in [&mut self.pass, &mut self.anonymous] {
            while line.pop_front_if(|waiter| waiter.is_closed()).is_some() {}
        }
        self.len() > 0
    }

    fn pop(&mut self) -> Option<oneshot::Sender<Permit>> {
        self.pass.pop_front().or_else(|| self.anonymous.pop_front())
    }

    fn len(&self) -> usize {
        self.pass.len() + self.anonymous.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn permits(limit: usize) -> Arc<Permits> {
        let permits = Arc::new(Permits::default());
        permits.set_limit(limit);
        permits
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_comes_before_anonymous_traffic_and_each_in_order() {
        let permits = permits(1);
        let held = permits.acquire(Patience::Anonymous, LONG).await;
        let (log, mut order) = tokio::sync::mpsc::unbounded_channel();
        for (name, who) in
            [("a1", Patience::Anonymous), ("a2", Patience::Anonymous), ("p1", Patience::Pass), ("p2", Patience::Pass)]
        {
            let (permits, log) = (permits.clone(), log.clone());
            tokio::spawn(async move {
                let permit = permits.acquire(who, LONG).await;
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
    async fn who_gives_up_costs_no_permit() {
        let permits = permits(1);
        let held = permits.acquire(Patience::Pass, LONG).await;
        assert!(permits.acquire(Patience::Pass, Duration::from_millis(5)).await.is_none());
        let gone = tokio::spawn({
            let permits = permits.clone();
            async move { permits.acquire(Patience::Pass, LONG).await }
        });
        tokio::task::yield_now().await;
        gone.abort();
        let _ = gone.await;
        drop(held);
        assert_eq!(permits.in_flight(), 0);
        assert!(permits.acquire(Patience::Anonymous, Duration::ZERO).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_raised_limit_is_used_by_those_who_wait() {
        let permits = permits(0);
        let waiter = tokio::spawn({
            let permits = permits.clone();
            async move { permits.acquire(Patience::Anonymous, LONG).await }
        });
        tokio::task::yield_now().await;
        permits.set_limit(1);
        assert!(matches!(waiter.await, Ok(Some(_))));
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
                            let who = if (worker + round) % 2 == 0 { Patience::Pass } else { Patience::Anonymous };
                            let one = permits.acquire(who, LONG);
                            let two = permits.acquire(who, Duration::from_micros(50));
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
