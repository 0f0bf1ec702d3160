//! Load shedding: who is served first when a worker has more to do than its processor can.
//!
//! A worker runs ready tasks in order of readiness. With more of them than it can run, a pass holder's request
//! stands behind every poll that became readable before it. So each worker measures its **run-queue delay**, from
//! readiness to service, and holds it near `TARGET`: a connection without a pass that has something to read is
//! *deferred*, and so many deferred connections are released each tick as the budget allows. Connections of pass
//! holders are never deferred. New connections are accepted at the same budget; the rest wait in the kernel's
//! backlog. While the deferred wait long, everybody who waits in line is told to ask less often (`Load::stretch`).
//!
//! ```text
//! delay > TARGET and served > LEAST    budget = 0.7 x min(budget, served), at least LEAST
//! else, while over capacity            budget = budget + 1/8 budget + 1
//! calm again                           after CALM_AFTER ticks with nothing deferred
//!
//! served    connections without a pass that were served in the last tick
//! ```
//!
//! Source: additive-increase control of concurrency on the delay at the bottleneck (as in `CoDel`, RFC 8289: the
//! sojourn time of a queue, not its length). To defer is to read nothing, parse nothing and write nothing.
//!
//! A deferred request is not refused: it is read later, and a called ticket keeps its turn meanwhile. The time that a
//! connection is deferred is not idle time of its client.
//!
//! Out of scope: what a request means, and limits of the shop ([`crate::upstream`]).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::connection::Connection;
use crate::telemetry;

/// Run-queue delay above which a worker defers connections without a pass: well above what other processes cause.
const TARGET: Duration = Duration::from_millis(20);
/// Connections without a pass served each tick, at the least. With no more of them than this a long delay is not their
/// doing: another process has the processor.
const LEAST: u32 = 32;
/// Ticks with nothing deferred after which a worker is calm again: half a second.
const CALM_AFTER: u32 = 20;
/// Ticks of waiting for service above which polls are stretched.
const LONG: u32 = 20;
/// Polls are never stretched by more than this.
const STRETCH_MOST: f64 = 16.0;

/// What a connection without a pass may do at this moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Not deferred.
    #[default]
    Free,
    /// Waits for its release.
    Deferred,
    /// Released: to be served once.
    Released,
}

/// The load of one worker.
#[derive(Debug)]
pub(crate) struct Load {
    budget: Cell<u32>,
    left: Cell<u32>,
    served: Cell<u32>,
    calm_for: Cell<u32>,
    stretch: Cell<f64>,
    deferrals: Cell<u64>,
    /// It was over capacity since that was told last, be it for less than a second.
    was_over: Cell<bool>,
    told: Cell<bool>,
    delay: Rc<Cell<Duration>>,
    deferred: RefCell<VecDeque<Weak<Connection>>>,
    released: Notify,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            budget: Cell::new(u32::MAX),
            left: Cell::new(u32::MAX),
            served: Cell::default(),
            calm_for: Cell::default(),
            stretch: Cell::new(1.0),
            deferrals: Cell::default(),
            was_over: Cell::default(),
            told: Cell::default(),
            delay: Rc::default(),
            deferred: RefCell::default(),
            released: Notify::new(),
        }
    }
}

impl Load {
    /// Whether connections without a pass are deferred at all.
    pub(crate) fn is_over(&self) -> bool {
        self.budget.get() != u32::MAX
    }

    /// The factor by which polls should be stretched: 1 in calm.
    pub(crate) fn stretch(&self) -> f64 {
        self.stretch.get()
    }

    /// Tells metrics and log how it stands. To be called once a second.
    pub(crate) fn report(&self) {
        telemetry::deferrals(self.deferrals.take());
        if self.was_over.take() && !self.told.replace(true) {
            let delay_ms = self.delay.get().as_millis() as u64;
            tracing::warn!(
                delay_ms,
                "more to do than the processor can: pass holders go first, other connections are served as time is left"
            );
        }
        if !self.is_over() && self.told.replace(false) {
            tracing::info!("the processor has time for all connections again");
        }
    }

    /// Whether this connection, which has no pass and something to read, has to wait for its release.
    pub(crate) fn defers(&self, connection: &Rc<Connection>) -> bool {
        match connection.turn() {
            Turn::Deferred => return true,
            Turn::Released => connection.set_turn(Turn::Free),
            Turn::Free if !self.is_over() => {}
            Turn::Free if self.left.get() > 0 && self.deferred.borrow().is_empty() => {
                self.left.set(self.left.get() - 1);
            }
            Turn::Free => {
                connection.set_turn(Turn::Deferred);
                self.deferrals.set(self.deferrals.get() + 1);
                self.deferred.borrow_mut().push_back(Rc::downgrade(connection));
                return true;
            }
        }
        self.served.set(self.served.get().saturating_add(1));
        false
    }

    /// Waits until one more connection may be accepted.
    pub(crate) async fn accepts(&self) {
        while self.is_over() && self.left.get() == 0 {
            self.released.notified().await;
        }
        if self.is_over() {
            self.left.set(self.left.get() - 1);
        }
    }

    /// Starts a measurement of the delay: must run where tasks can be spawned locally.
    pub(crate) fn probe(&self) {
        let (delay, ready) = (self.delay.clone(), Instant::now());
        tokio::task::spawn_local(async move { delay.set(ready.elapsed()) });
    }

    /// Adapts the budget to the last measurement, and releases as many connections as it allows. To be called every
    /// tick.
    pub(crate) fn tick(&self) {
        self.adapt();
        let budget = self.budget.get();
        let mut left = budget;
        let mut deferred = self.deferred.borrow_mut();
        while left > 0
            && let Some(connection) = deferred.pop_front()
        {
            // One that is over meanwhile costs nothing.
            if let Some(connection) = connection.upgrade() {
                connection.release();
                left -= 1;
            }
        }
        // New connections have a share also while others wait: their holder's pass is not known yet.
        self.left.set(left.max(budget / 4).max(1));
        if self.is_over() {
            self.spread_polls(deferred.len());
        }
        drop(deferred);
        self.released.notify_waiters();
    }

    fn adapt(&self) {
        let (delay, served) = (self.delay.get(), self.served.take());
        if delay > TARGET && served > LEAST {
            self.was_over.set(true);
            let most = self.budget.get().min(served);
            self.budget.set((u64::from(most) * 7 / 10).max(LEAST.into()) as u32);
            self.calm_for.set(0);
        } else if self.is_over() {
            let calm = if self.deferred.borrow().is_empty() { self.calm_for.get() + 1 } else { 0 };
            self.calm_for.set(calm);
            let budget = self.budget.get();
            self.budget.set(if calm > CALM_AFTER { u32::MAX } else { (budget + budget / 8 + 1).min(u32::MAX - 1) });
            if calm > CALM_AFTER {
                self.stretch.set(1.0);
            }
        }
    }

    /// Longer pauses between polls while the deferred wait for long.
    fn spread_polls(&self, deferred: usize) {
        let ticks = deferred as u64 / u64::from(self.budget.get());
        let factor = if ticks > u64::from(LONG) { 1.05 } else { 0.99 };
        self.stretch.set((self.stretch.get() * factor).clamp(1.0, STRETCH_MOST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::visitor::Peer;

    fn crowd(size: usize) -> Vec<Rc<Connection>> {
        let peer = || Peer::new([127, 0, 0, 1].into(), &[]);
        (0..size).map(|_| Connection::new(peer(), false, Rc::default(), None)).collect()
    }

    /// Everyone has something to read; how many are served.
    fn round(load: &Load, crowd: &[Rc<Connection>]) -> usize {
        crowd.iter().filter(|connection| !load.defers(connection)).count()
    }

    fn tick(load: &Load, delay: Duration) {
        load.delay.set(delay);
        load.tick();
    }

    #[test]
    fn in_calm_nobody_is_deferred_and_a_short_delay_changes_nothing() {
        let (load, crowd) = (Load::default(), crowd(1_000));
        for _ in 0..10 {
            tick(&load, TARGET);
            assert_eq!(round(&load, &crowd), 1_000);
        }
        assert!(!load.is_over() && load.deferred.borrow().is_empty());
    }

    #[test]
    fn while_the_delay_is_long_fewer_are_served_each_tick_down_to_a_few() {
        let (load, crowd) = (Load::default(), crowd(1_000));
        let mut served = vec![round(&load, &crowd)];
        for _ in 0..30 {
            tick(&load, TARGET * 10);
            served.push(round(&load, &crowd));
        }
        let few = |served: &usize| *served <= LEAST as usize * 5 / 4;
        let down = served.iter().position(few).expect("it comes down");
        assert!(served[..down].is_sorted_by(|before, after| before > after), "{served:?}");
        assert!(served[down..].iter().all(few) && served.iter().all(|&n| n >= LEAST as usize), "{served:?}");
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
                if connection.turn() != Turn::Deferred && served[index] < 3 && !load.defers(connection) {
                    served[index] += 1;
                    order.push(index);
                }
            }
            tick(&load, TARGET);
        }
        assert!(served.iter().all(|&times| times == 3), "{served:?}");
        assert!(!load.is_over(), "calm again");
        assert!(load.deferred.borrow().is_empty());
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
        assert!(!load.deferred.borrow().is_empty());
        drop(crowd);
        tick(&load, TARGET);
        assert!(load.deferred.borrow().is_empty());
    }
}
