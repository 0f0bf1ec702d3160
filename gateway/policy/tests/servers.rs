//! Requests before three servers in virtual time, of which one slows: each goes to the less loaded of two drawn at random.

use policy::servers::response_time::ResponseTime;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

const SERVERS: usize = 3;
const MINUTE: u32 = 60_000;

#[derive(Debug, Default, Clone, Copy)]
struct Server {
    answers: ResponseTime,
    in_work: usize,
}

/// Requests of a span to each server, and the mean time of all in milliseconds.
#[derive(Debug, Default)]
struct Span {
    to: [u32; SERVERS],
    millis: u64,
}

impl Span {
    fn share(&self, server: usize) -> f64 {
        f64::from(self.to[server]) / f64::from(self.to.iter().sum::<u32>().max(1))
    }

    fn mean(&self) -> f64 {
        self.millis as f64 / f64::from(self.to.iter().sum::<u32>().max(1))
    }
}

/// Three minutes of 300 requests a second, of 20 to 80 ms each and one in fifty of a second. In the second minute the first
/// server does `to_it` with what it gets. Returns each minute.
fn play(seed: u64, by_time: bool, to_it: impl Fn(u32) -> (u32, bool)) -> [Span; 3] {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut servers = [Server::default(); SERVERS];
    let mut minutes: [Span; 3] = Default::default();
    let mut ends = BinaryHeap::new();
    let mut number = 0u64;
    for now in 0..3 * MINUTE {
        while let Some(&Reverse((at, _, server, took, failed))) = ends.peek()
            && at <= now
        {
            ends.pop();
            let Server { answers, in_work } = &mut servers[server];
            *in_work -= 1;
            let took = Duration::from_millis(u64::from(took));
            *answers = if failed { answers.failed(took, now) } else { answers.answered(took, now) };
        }
        if !random.random_bool(0.3) {
            continue;
        }
        let first = random.random_range(0..SERVERS);
        let second = (first + random.random_range(1..SERVERS)) % SERVERS;
        let (a, b) = (servers[first], servers[second]);
        let is_b = if by_time {
            b.answers.is_less_loaded(b.in_work, (a.answers, a.in_work), now)
        } else {
            b.in_work < a.in_work
        };
        let chosen = if is_b { second } else { first };
        let usual = if random.random_ratio(1, 50) { 1_000 } else { random.random_range(20..80) };
        let minute = now / MINUTE;
        let (took, failed) = if minute == 1 && chosen == 0 { to_it(usual) } else { (usual, false) };
        servers[chosen].in_work += 1;
        number += 1;
        ends.push(Reverse((now + took, number, chosen, took, failed)));
        let span = &mut minutes[minute as usize];
        span.to[chosen] += 1;
        span.millis += u64::from(took);
    }
    minutes
}

#[test]
fn a_server_that_slows_is_used_less_and_then_again() {
    for seed in 0..20 {
        let slows = |usual| (usual + 500, false);
        let [calm, slow, after] = play(seed, true, slows);
        for server in 0..SERVERS {
            assert!((0.25..0.42).contains(&calm.share(server)), "seed {seed}: {calm:?}");
            assert!((0.2..0.45).contains(&after.share(server)), "seed {seed}: {after:?}");
        }
        assert!(slow.share(0) < 0.05, "seed {seed}: {slow:?}");
        // By requests in work alone it gets more, and all wait for it.
        let [_, without, _] = play(seed, false, slows);
        assert!(slow.share(0) < 0.6 * without.share(0), "seed {seed}: {slow:?}, {without:?}");
        assert!(slow.mean() < 0.8 * without.mean(), "seed {seed}: {} ms, {} ms", slow.mean(), without.mean());
    }
}

#[test]
fn a_server_that_fails_at_once_does_not_draw_the_requests() {
    for seed in 0..20 {
        let fails = |_| (1, true);
        let [_, broken, after] = play(seed, true, fails);
        assert!(broken.share(0) < 0.2, "seed {seed}: {broken:?}");
        assert!(after.share(0) > 0.15, "seed {seed}: {after:?}");
        let [_, without, _] = play(seed, false, fails);
        assert!(without.share(0) > 0.5, "seed {seed}: {without:?}");
    }
}
