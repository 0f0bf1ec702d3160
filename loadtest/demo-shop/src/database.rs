//! A model of the shop's database: slots, a queue for them, and its collapse under overload.
//!
//! ```text
//! time in a slot = service time x weight of the page x (1 + contention x (waiting / slots)^2)
//! ```
//!
//! Within capacity this is a fast database, and a short burst passes. Overrun, it collapses as real ones do: everything that
//! runs is slowed by everything that waits; what runs past the statement time-out is cancelled, and
//! its slot is busy with the rollback for a while; what waits past the patience of the pool is
//! refused; and where too many wait already, a request is refused at once. Abandoned work still
//! takes its slot to the end. So goodput falls far below capacity.
//!
//! Out of scope: data. Orders are numbers ([`super`]).

use std::sync::Mutex;
use std::time::Duration;

use evidence::stats::locked;
use launch_model::scenario;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

use crate::pool::{Pool, Refusal, Slot};

/// What a page takes at least in the sum of what can be done, in seconds.
pub const LEAST_TIME: f64 = 1e-6;

/// The database's capacity, and how it fails.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// Queries that run at the same time.
    pub slots: usize,
    /// Time in a slot of a page of weight 1, when no query waits.
    pub service_time: Duration,
    /// How much slower everything gets with one waiter per slot; grows with their square.
    pub contention: f64,
    /// Waiters per slot beyond which requests are refused at once.
    pub waiters_per_slot: usize,
    /// How long a request waits for a slot.
    pub patience: Duration,
    /// How long a query may run.
    pub statement_timeout: Duration,
    /// How long the slot of a cancelled query stays busy.
    pub recovery: Duration,
}

/// Slots and service time are those of a scenario that names none.
impl Default for Tuning {
    fn default() -> Self {
        let scenario::Shop { slots, service_time, .. } = scenario::Shop::default();
        Self {
            slots,
            service_time: service_time.0,
            contention: 0.05,
            waiters_per_slot: 10,
            patience: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(1),
            recovery: Duration::from_secs(1),
        }
    }
}

impl Tuning {
    /// Units of weight per second that the slots can do when no query waits.
    pub fn capacity(&self) -> f64 {
        self.slots as f64 / self.service_time.as_secs_f64().max(LEAST_TIME)
    }
}

/// The slots and the queue for them.
#[derive(Debug)]
pub struct Database {
    tuning: Tuning,
    pool: Pool,
    random: Mutex<StdRng>,
}

impl Database {
    /// All slots free.
    pub fn new(tuning: Tuning) -> Self {
        let pool = Pool::of(tuning.slots);
        Self { tuning, pool, random: Mutex::new(StdRng::seed_from_u64(0)) }
    }

    /// Its slots.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Does the work of a page of this weight, and tells the time that it held a slot.
    pub async fn run(&self, weight: f64) -> Result<Duration, Refusal> {
        let most_waiting = self.pool.size() * self.tuning.waiters_per_slot;
        let slot = self.pool.slot(most_waiting, self.tuning.patience).await?;
        let time = self.time_in_slot(weight);
        // A task of its own: the query goes on when the client has gone away.
        let query = tokio::spawn(query(slot, time, self.tuning.clone()));
        query.await.unwrap_or(Err(Refusal::Cancelled)).map(|()| time)
    }

    fn time_in_slot(&self, weight: f64) -> Duration {
        let crowd = self.pool.waiting() as f64 / self.pool.size().max(1) as f64;
        let crowding = 1.0 + self.tuning.contention * crowd * crowd;
        let luck = locked(&self.random).random_range(0.8..1.2);
        self.tuning.service_time.mul_f64(weight * crowding * luck)
    }
}

async fn query(slot: Slot, time: Duration, tuning: Tuning) -> Result<(), Refusal> {
    if time <= tuning.statement_timeout {
        if !time.is_zero() {
            sleep(time).await;
        }
        return Ok(());
    }
    sleep(tuning.statement_timeout).await;
    tokio::spawn(async move {
        sleep(tuning.recovery).await;
        drop(slot);
    });
    Err(Refusal::Cancelled)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use launch_model::arrivals::{Arrivals, Phase, Spacing};
    use tokio::time::Instant;

    use super::*;

    const SECONDS: u64 = 30;

    /// Pages of weight 1 that came within a run at this share of capacity, and those that did not.
    /// Time is paused: the run takes no time.
    async fn run_at(share: f64) -> (f64, usize) {
        let database = Arc::new(Database::new(Tuning::default()));
        let capacity = Tuning::default().capacity();
        let phase = Phase::flat(share * capacity, Duration::from_secs(SECONDS));
        let start = Instant::now();
        let mut pages = tokio::task::JoinSet::new();
        for at in Arrivals::new([phase], Spacing::Poisson, 1) {
            tokio::time::sleep_until(start + at).await;
            let database = Arc::clone(&database);
            pages.spawn(async move { database.run(1.0).await });
        }
        let answers = pages.join_all().await;
        let good = answers.iter().filter(|answer| answer.is_ok()).count();
        (good as f64 / SECONDS as f64 / capacity, answers.len() - good)
    }

    #[tokio::test(start_paused = true)]
    async fn within_capacity_nothing_fails() {
        let (goodput, failed) = run_at(0.75).await;
        assert_eq!(failed, 0);
        assert!((goodput - 0.75).abs() < 0.05, "{goodput}");
    }

    #[tokio::test(start_paused = true)]
    async fn overrun_its_goodput_falls_well_below_its_capacity() {
        let (goodput, failed) = run_at(5.0).await;
        assert!(goodput < 0.4, "{goodput}");
        assert!(failed > 1000, "{failed}");
    }

    #[tokio::test(start_paused = true)]
    async fn under_a_full_line_the_heavy_pages_are_cancelled_and_their_slots_stay_busy() {
        let tuning = Tuning { slots: 1, contention: 1.0, ..Tuning::default() };
        let database = Arc::new(Database::new(tuning));
        let first = tokio::spawn({
            let database = Arc::clone(&database);
            async move { database.run(3.0).await }
        });
        tokio::task::yield_now().await;
        let mut others = tokio::task::JoinSet::new();
        for _ in 0..11 {
            let database = Arc::clone(&database);
            others.spawn(async move { database.run(3.0).await });
        }
        assert!(first.await.expect("no panic").is_ok());
        let others = others.join_all().await;
        let count = |refusal| others.iter().filter(|answer| **answer == Err(refusal)).count();
        assert_eq!(count(Refusal::Full), 1, "ten may wait");
        assert_eq!(count(Refusal::Cancelled), 1, "the next one is slowed by nine waiters");
        assert_eq!(count(Refusal::NoSlot), 9, "a second to the time-out and one of rollback: {others:?}");
    }
}
