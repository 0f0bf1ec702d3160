//! The third party that takes payments: slow, and with so many at once.
//!
//! It is a service of others, as a card processor is: it charges once for each key that it is shown, whatever the shop
//! thinks, and it counts the orders that it charged twice. A shop that shows it a new key for each request finds that out.
//!
//! Out of scope: cards that are declined, and refunds.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use evidence::shop::Stage;
use evidence::stats::locked;
use launch_model::scenario;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

use crate::pace::Pace;
use crate::pool::Pool;
use crate::sale::Failure;

/// What the third party takes, and how fast.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// Payments that it works on at once.
    pub pool: usize,
    /// How long it works on one, in the mean.
    pub latency: Duration,
    /// How long a payment waits for its turn. What waited longer was not charged.
    pub patience: Duration,
}

impl From<&scenario::Payment> for Tuning {
    fn from(payment: &scenario::Payment) -> Self {
        Self { pool: payment.pool, latency: payment.latency.0, patience: payment.patience.0 }
    }
}

impl Tuning {
    /// Payments a second at most; infinite if it answers at once.
    pub(crate) fn capacity(&self) -> f64 {
        self.pool as f64 / self.latency.as_secs_f64()
    }

    /// How long a payment may take at most, its wait included.
    pub(crate) fn longest(&self) -> Duration {
        self.patience + self.latency.mul_f64(LUCK[1])
    }
}

/// The shortest and the longest time of a payment, in mean ones.
const LUCK: [f64; 2] = [0.8, 1.2];

/// The third party.
#[derive(Debug)]
pub(crate) struct ThirdParty {
    tuning: Tuning,
    pool: Pool,
    pace: Pace<1>,
    random: Mutex<StdRng>,
    charged: Mutex<Charged>,
}

#[derive(Debug, Default)]
struct Charged {
    keys: HashSet<String>,
    /// How often each order was charged.
    orders: HashMap<u64, u32>,
    twice: u64,
}

impl ThirdParty {
    pub(crate) fn new(tuning: Tuning) -> Self {
        Self {
            tuning,
            pool: Pool::of(tuning.pool),
            pace: Pace::unknown(),
            random: Mutex::new(StdRng::seed_from_u64(1)),
            charged: Mutex::default(),
        }
    }

    pub(crate) fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    /// Charges for an order, once for each key; `false` for a key that it has charged before.
    pub(crate) async fn charge(&self, order: u64, key: String) -> Result<bool, Failure> {
        let slot = self.pool.slot(usize::MAX, self.tuning.patience).await;
        let _slot = slot.map_err(|_| Failure::Payment)?;
        let time = self.tuning.latency.mul_f64(locked(&self.random).random_range(LUCK[0]..LUCK[1]));
        sleep(time).await;
        self.pace.note(0, time);
        Ok(locked(&self.charged).charge(order, key))
    }

    /// Changes how many payments it works on at once.
    pub(crate) fn resize(&self, pool: usize) {
        self.pool.resize(pool);
    }

    /// Orders that it charged more than once.
    pub(crate) fn charged_twice(&self) -> u64 {
        locked(&self.charged).twice
    }

    pub(crate) fn stage(&self) -> Stage {
        let pool = self.pool.size();
        let (in_work, waiting) = (self.pool.in_work(), self.pool.waiting());
        Stage { pool, in_work, waiting, delivers: self.pace.delivers(pool) }
    }
}

impl Charged {
    fn charge(&mut self, order: u64, key: String) -> bool {
        if !self.keys.insert(key) {
            return false;
        }
        let times = self.orders.entry(order).or_default();
        *times += 1;
        self.twice += u64::from(*times == 2);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinSet;
    use tokio::time::Instant;

    use super::*;

    const TUNING: Tuning = Tuning { pool: 2, latency: Duration::from_secs(1), patience: Duration::from_secs(3) };

    #[tokio::test]
    async fn a_key_is_charged_once_and_an_order_with_two_keys_twice() {
        let third = ThirdParty::new(Tuning { latency: Duration::ZERO, ..TUNING });
        let charge = |order, key: &str| third.charge(order, key.to_owned());
        assert!(charge(1, "a").await.unwrap() && !charge(1, "a").await.unwrap());
        assert_eq!(third.charged_twice(), 0);
        assert!(charge(1, "b").await.unwrap() && charge(1, "c").await.unwrap() && charge(2, "d").await.unwrap());
        assert_eq!(third.charged_twice(), 1, "an order, however often");
    }

    #[tokio::test(start_paused = true)]
    async fn it_works_on_so_many_at_once_and_what_waits_too_long_is_not_charged() {
        let third = Arc::new(ThirdParty::new(TUNING));
        let start = Instant::now();
        let mut payments = JoinSet::new();
        for order in 0..12 {
            let third = Arc::clone(&third);
            payments.spawn(async move { third.charge(order, order.to_string()).await.is_ok() });
        }
        let done = payments.join_all().await.into_iter().filter(|done| *done).count();
        assert!((6..=10).contains(&done), "two a second for the patience, and those under way: {done}");
        assert!(start.elapsed() <= TUNING.longest(), "{:?}", start.elapsed());
        assert_eq!((third.stage().in_work, third.stage().waiting), (0, 0));
        third.resize(1);
        for order in 20..30 {
            third.charge(order, order.to_string()).await.unwrap();
        }
        assert!((0.7..1.4).contains(&third.stage().delivers), "one at once, a second each: {:?}", third.stage());
    }
}
