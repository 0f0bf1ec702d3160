//! What stands behind the line is shielded: launches in virtual time at three gateways, one of which hears the shop.

use std::collections::VecDeque;

use policy::Millis;
use policy::cap::{Cap, CapKind, CapSource};
use policy::shield::feed_forward::{FeedForward, Second};
use policy::stock::StockLevel;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use crate::sim::crowd::Habit;
use crate::sim::{Plan, Upset, World, crowd_between, per_second};

const SEEDS: u64 = 20;
const RATE: f64 = 50.0;
/// The shop speaks at this instant, in mid-launch.
const SAYS: Millis = 15_000;
/// Its word is in force at every gateway by then.
const KNOWN: Millis = 1_000;

/// A line of two minutes, where four in ten stay away, and what happens in it.
fn launch(seed: u64, mut upsets: Vec<(Millis, Upset)>) -> World {
    let mut rng = SmallRng::seed_from_u64(seed);
    let crowd =
        crowd_between(
            &mut rng,
            8_000,
            (1_000, 6_000),
            |rng, _| {
                if rng.random_bool(0.4) { Habit::Absent } else { Habit::Told }
            },
        );
    // Of half of the launches the store loses everything while the word holds.
    if seed % 2 == 1 {
        upsets.push((SAYS + 4_000, Upset::Flush));
    }
    let plan = Plan { crowd, upsets, gateways: 3, sticky: seed % 4 < 2, ..Plan::calm(seed, per_second(RATE)) };
    let world = World::run(plan);
    for (index, person) in world.crowd.iter().enumerate() {
        assert!(world.watch.satisfied(index as u32) || !person.must_enter(), "seed {seed}: {index} was never let in");
    }
    world
}

fn entered(world: &World, from: Millis, to: Millis) -> usize {
    world.watch.grants.iter().filter(|&&at| from <= at && at < to).count()
}

#[test]
fn the_rate_follows_the_word_of_the_shop_and_comes_back_by_a_tenth_a_second() {
    for seed in 0..SEEDS {
        let share = 0.2 + 0.03 * seed as f64;
        let cap = Cap { source: CapSource::new(CapKind::Shop, 1), rate: RATE * share, ttl: 20_000 };
        let world = launch(seed, vec![(SAYS, Upset::Cap(seed as u32 % 3, cap))]);
        let (from, to) = (SAYS + KNOWN, SAYS + 20_000);
        let (seconds, held) = ((to - from) as f64 / 1e3, entered(&world, from, to) as f64);
        assert!(held <= cap.rate * seconds + cap.rate.max(1.0), "seed {seed}: {held} at {}/s", cap.rate);
        // A store that has lost everything lets no shopper in for a while.
        let lost = if seed % 2 == 1 { 3.0 } else { 0.0 };
        assert!(held >= 0.95 * cap.rate * (seconds - lost), "seed {seed}: only {held} at {}/s", cap.rate);
        let rises = (1.0 - share) * 10.0;
        let risen = to + (rises * 1e3) as Millis;
        let expected = RATE * (share + 1.0) / 2.0 * rises;
        let rising = entered(&world, to, risen) as f64;
        assert!((rising / expected - 1.0).abs() < 0.15, "seed {seed}: {rising} of {expected} while it rises");
        let whole = entered(&world, risen, risen + 10_000) as f64;
        assert!(whole >= 0.95 * 10.0 * RATE, "seed {seed}: {whole} in ten seconds after it");
        assert!(world.watch.overshoot <= 1e-6, "seed {seed}: {}", world.watch.overshoot);
    }
}

#[test]
fn sold_out_lets_no_shopper_in_at_any_gateway_and_a_restock_lets_in_all() {
    for seed in 0..SEEDS {
        let level = |left, sku| StockLevel { sku, left, held: 0, sure: false, age: 0 };
        let upsets = vec![
            (5_000, Upset::Stock(1, level(500, 1))),
            (6_000, Upset::Stock(2, level(0, 2))),
            (SAYS, Upset::Stock(seed as u32 % 3, level(0, 1))),
            (SAYS + 12_000, Upset::Stock(2 - seed as u32 % 3, level(9_999, 2))),
        ];
        let world = launch(seed, upsets);
        assert!(entered(&world, SAYS - 5_000, SAYS) > 200, "seed {seed}: one product of two is left");
        assert_eq!(entered(&world, SAYS + KNOWN, SAYS + 12_000), 0, "seed {seed}");
        assert!(entered(&world, SAYS + 14_000, SAYS + 24_000) as f64 > 0.9 * 10.0 * RATE, "seed {seed}");
    }
}

/// An order stage behind its gate: a pool of connections that works on so many orders at once, each for so long.
struct Plant {
    rng: SmallRng,
    /// Orders on their way, by the step in which they come: when their passes were given, in seconds.
    coming: Vec<Vec<f64>>,
    step: usize,
    waiting: VecDeque<f64>,
    /// When each order in work is done.
    in_work: Vec<f64>,
    granted: u64,
    carry: f64,
    now: f64,
    /// Seconds from a pass to its order: at the least, and on top of that in the mean.
    delay: [f64; 2],
}

/// The gate lets in as many as the pool has connections at best.
const GATE: usize = 20;
/// Seconds of work of an order.
const WORK: f64 = 0.4;
/// Orders of a shopper.
const ORDERS: f64 = 0.6;
/// Seconds of a step.
const TICK: f64 = 0.1;
/// From a pass to its order: 40 s in the mean, or 3 s.
const SLOWLY: [f64; 2] = [10.0, 30.0];
const AT_ONCE: [f64; 2] = [1.0, 2.0];

/// The state of the database at a second: connections of its pool, and seconds that an order takes on top.
type Database = fn(f64) -> (f64, f64);

impl Plant {
    fn new(seed: u64, delay: [f64; 2]) -> Self {
        Self {
            rng: SmallRng::seed_from_u64(seed),
            // Longer than a launch and the longest delay.
            coming: vec![Vec::new(); 10_000],
            step: 0,
            waiting: VecDeque::new(),
            in_work: Vec::new(),
            granted: 0,
            carry: 0.0,
            now: 0.0,
            delay,
        }
    }

    /// A second at this rate of new shoppers. Returns what the gate saw.
    fn second(&mut self, rate: f64, database: Database) -> Second {
        let (mut seen, mut full) = (Second::default(), true);
        for _ in 0..(1.0 / TICK) as usize {
            self.step += 1;
            self.now = self.step as f64 * TICK;
            self.carry += rate * TICK;
            while self.carry >= 1.0 {
                self.carry -= 1.0;
                self.granted += 1;
                if self.rng.random_bool(ORDERS) {
                    // Some come much later than the mean.
                    let delay = self.delay[0] - self.delay[1] * self.rng.random_range(0.02_f64..1.0).ln();
                    self.coming[self.step + (delay / TICK) as usize].push(self.now);
                }
            }
            let now = self.now;
            for given in std::mem::take(&mut self.coming[self.step]) {
                seen.came += 1;
                seen.delays += now - given;
                self.waiting.push_back(given);
            }
            let (pool, more) = database(now);
            let before = self.in_work.len();
            self.in_work.retain(|&done| done > now);
            seen.delivered += (before - self.in_work.len()) as u64;
            while self.in_work.len() < GATE && self.waiting.pop_front().is_some() {
                // More at once than connections: each waits for one.
                let slow = ((self.in_work.len() + 1) as f64 / pool).max(1.0);
                self.in_work.push(now + WORK * slow * self.rng.random_range(0.8..1.2) + more);
            }
            full &= !self.waiting.is_empty();
            seen.occupancy += TICK * self.in_work.len() as f64 / GATE as f64;
        }
        Second { waiting: self.waiting.len() as u64, full, granted: self.granted, ..seen }
    }
}

/// Ten minutes of a launch.
struct Run {
    /// The rate and the orders delivered, second by second.
    rates: Vec<f64>,
    delivered: Vec<f64>,
    /// The longest line at the gate.
    longest: usize,
}

impl Run {
    /// Orders delivered in these seconds, as a share of what another run delivered in them.
    fn used(&self, other: &Self, seconds: std::ops::Range<usize>) -> f64 {
        mean(&self.delivered[seconds.clone()]) / mean(&other.delivered[seconds])
    }
}

/// A launch whose ceiling is 1.5 times too high, with the controller, and the same without: then the gate is full all the time, and
/// what it delivers is all that the database can.
fn steer(seed: u64, database: Database) -> [Run; 2] {
    steer_after(seed, SLOWLY, database)
}

/// The same with orders so long after their passes.
fn steer_after(seed: u64, delay: [f64; 2], database: Database) -> [Run; 2] {
    let ceiling = 1.5 * GATE as f64 / WORK / ORDERS;
    [true, false].map(|steered| {
        let (mut plant, mut law, mut rate) = (Plant::new(seed, delay), FeedForward::default(), ceiling);
        let mut run = Run { rates: Vec::new(), delivered: Vec::new(), longest: 0 };
        for _ in 0..600 {
            let second = plant.second(rate, database);
            let cap = law.tick(&second, ceiling).filter(|_| steered);
            rate = cap.unwrap_or(ceiling);
            assert!((0.0..=ceiling).contains(&rate));
            run.rates.push(rate);
            run.delivered.push(second.delivered as f64);
            run.longest = run.longest.max(plant.waiting.len());
        }
        run
    })
}

fn mean(of: &[f64]) -> f64 {
    of.iter().sum::<f64>() / of.len() as f64
}

fn deviation(of: &[f64]) -> f64 {
    let mean = mean(of);
    (of.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / of.len() as f64).sqrt() / mean
}

#[test]
fn the_order_stage_is_used_and_the_rate_is_calm() {
    for seed in 0..SEEDS {
        let [run, full] = steer(seed, |_| (20.0, 0.0));
        let (used, swing) = (run.used(&full, 120..600), deviation(&run.rates[200..]));
        println!("calm, seed {seed}: {used:.3} used, deviation {swing:.3}, {} waited ({})", run.longest, full.longest);
        assert!(used >= 0.95 && swing <= 0.08, "seed {seed}: {used}, {swing}");
        assert!(run.longest * 10 < full.longest, "seed {seed}: {} of {} waited", run.longest, full.longest);
    }
}

#[test]
fn it_follows_a_pool_that_is_halved_and_whole_again() {
    for seed in 0..SEEDS {
        let [run, full] = steer(seed, |now| (if (200.0..350.0).contains(&now) { 10.0 } else { 20.0 }, 0.0));
        // Orders come a delay after their shoppers were let in: no controller fills that gap.
        let (halved, back) = (run.used(&full, 200..350), run.used(&full, 450..600));
        let at_once = run.used(&full, 370..450);
        println!("halved, seed {seed}: {halved:.3} used, {at_once:.3} and {back:.3} after it, {} waited", run.longest);
        assert!(halved >= 0.9 && back >= 0.9, "seed {seed}: {halved} {back}");
    }
}

#[test]
fn latency_that_load_does_not_cause_does_not_collapse_it() {
    for seed in 0..SEEDS {
        let [run, full] = steer(seed, |now| (20.0, if now > 200.0 { 0.12 } else { 0.0 }));
        let used = run.used(&full, 200..600);
        println!("slower, seed {seed}: {used:.3} used, {} waited", run.longest);
        assert!(used >= 0.9, "seed {seed}: {used}");
    }
}

#[test]
fn a_lock_of_a_minute_ends_and_the_shop_is_used_again() {
    for seed in 0..SEEDS {
        // Orders that begin under the lock wait for its end.
        let [run, full] = steer(seed, |now| (20.0, if (200.0..260.0).contains(&now) { 260.0 - now } else { 0.0 }));
        let back = run.used(&full, 280..600);
        println!("locked, seed {seed}: {back:.3} after it, {} waited", run.longest);
        assert!(back >= 0.9, "seed {seed}: {back}");
    }
}

#[test]
fn a_stage_at_a_tenth_for_a_minute_is_used_again_within_twenty_seconds() {
    for seed in 0..SEEDS {
        let [run, full] =
            steer_after(seed, AT_ONCE, |now| (if (200.0..260.0).contains(&now) { 2.0 } else { 20.0 }, 0.0));
        let (within, back) = (run.used(&full, 280..290), run.used(&full, 290..600));
        println!("stalled, seed {seed}: {within:.3} used 20 s after it, {back:.3} later, {} waited", run.longest);
        assert!(within >= 0.8 && back >= 0.95, "seed {seed}: {within} {back}");
    }
}
