//! What a launch loses when something is lost: three gateways on one Redis, a crowd in mid-line, and then a
//! gateway, the store, the way between them or a clock goes. The answer has to be: nothing.
//!
//! `benches/losses` prints the table of all of them.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::float_cmp, reason = "an overshoot is none or some")]

mod account;
mod clock;
#[path = "../common/mod.rs"]
mod common;
mod crowd;
mod network;
mod stand;
mod table;

use std::thread::sleep;
use std::time::Duration;

use account::Account;
use clock::Clock;
use common::fault::{Fault, Faulty};
use common::redis::RedisServer;
use common::redis::sentinel::Watched;
use common::until_true;
use loadtest::arrivals::Phase;
use network::Network;
use stand::{RULES, Recovers, Rules, Stand, launch_crowd, url};

/// How long a fault lasts that ends by itself.
const A_WHILE: Duration = Duration::from_secs(5);

/// Every promise of a launch that met this loss.
fn nothing_is_lost(loss: &str, launch: (Account, Recovers)) {
    let (account, recovers) = launch;
    let recovery = account.recovery(recovers.since, recovers.gateway);
    table::row(loss, &account, recovery);
    assert_eq!(account.places_lost, 0, "places lost");
    assert_eq!(account.numbers_twice, 0, "numbers given twice");
    assert_eq!(account.second_passes, 0, "people with two passes");
    assert_eq!(account.overshoot, 0.0, "passes beyond the limit");
    assert_eq!(account.positions_grown, 0, "positions that grew");
    assert_eq!(account.errors, 0, "answers 5xx");
    assert!(recovery.is_some(), "somebody enters afterwards");
    assert!(account.moved > 100, "tickets are served at every gateway: {}", account.moved);
    assert!(account.claimed_twice > 20, "and claimed at two at once: {}", account.claimed_twice);
}

#[test]
fn a_launch_without_a_loss_loses_nothing() {
    let redis = RedisServer::start();
    let stand = Stand::of(3, redis.address);
    nothing_is_lost("nothing", stand.launch(&launch_crowd(), |_| Recovers::now(None)));
}

#[test]
fn a_gateway_killed_in_mid_launch_loses_nobody() {
    let redis = RedisServer::start();
    let killed = |stand: &mut Stand| {
        stand.kill(2);
        Recovers::now(None)
    };
    nothing_is_lost("`kill -9` of a gateway", Stand::of(3, redis.address).launch(&launch_crowd(), killed));
}

#[test]
fn redis_stalled_for_five_seconds_loses_nobody() {
    let redis = RedisServer::start();
    let stalled = |_: &mut Stand| {
        redis.signal("STOP");
        sleep(A_WHILE);
        let recovers = Recovers::now(None);
        redis.signal("CONT");
        recovers
    };
    nothing_is_lost("Redis stalled for 5 s", Stand::of(3, redis.address).launch(&launch_crowd(), stalled));
}

#[test]
fn a_gateway_cut_off_from_redis_loses_nobody() {
    let redis = RedisServer::start();
    let way = Faulty::to(redis.address);
    let mut stand = Stand::of(2, redis.address);
    stand.add(way.address);
    let cut = |stand: &mut Stand| {
        way.set(Fault::Cut);
        sleep(A_WHILE);
        assert_eq!(stand.gateway(2).room()["store_away"], true);
        let recovers = Recovers::now(Some(2));
        way.set(Fault::None);
        recovers
    };
    nothing_is_lost("one gateway cut off for 5 s, by a proxy", stand.launch(&launch_crowd(), cut));
}

#[test]
fn a_gateway_whose_cable_to_redis_is_pulled_loses_nobody() {
    if !network::inside("a_gateway_whose_cable_to_redis_is_pulled_loses_nobody") {
        return;
    }
    let network = Network::start(2);
    let mut stand = Stand::of(2, Network::redis(0));
    stand.add(Network::redis(1));
    let pulled = |stand: &mut Stand| {
        network.plug(1, false);
        sleep(A_WHILE);
        assert_eq!(stand.gateway(2).room()["store_away"], true);
        let recovers = Recovers::now(Some(2));
        network.plug(1, true);
        recovers
    };
    nothing_is_lost("one gateway cut off for 5 s, by a pulled cable", stand.launch(&launch_crowd(), pulled));
}

/// A launch in which the wall clock of one gateway jumps.
fn clock_jumps(by: &str, seconds: i64) -> (Account, Recovers) {
    let (redis, clock) = (RedisServer::start(), Clock::new());
    let mut stand = Stand::of(2, redis.address);
    stand.add_by(clock.weir(), &url(redis.address));
    stand.launch(&launch_crowd(), |stand| {
        clock.set(by);
        let recovers = Recovers::now(Some(2));
        clock::shows(stand.gateway(2), seconds);
        recovers
    })
}

#[test]
fn a_gateway_whose_clock_jumps_on_by_an_hour_loses_nobody() {
    nothing_is_lost("clock of a gateway +1 h", clock_jumps("+1h", 3_600));
}

#[test]
fn a_gateway_whose_clock_jumps_back_by_an_hour_loses_nobody() {
    nothing_is_lost("clock of a gateway -1 h", clock_jumps("-1h", -3_600));
}

#[test]
fn redis_that_forgets_everything_loses_nobody() {
    let redis = RedisServer::start();
    let flushed = |_: &mut Stand| {
        let recovers = Recovers::now(None);
        assert_eq!(redis.command("FLUSHALL"), "+OK");
        recovers
    };
    nothing_is_lost("`FLUSHALL`", Stand::of(3, redis.address).launch(&launch_crowd(), flushed));
}

#[test]
fn redis_killed_and_started_empty_loses_nobody() {
    let mut redis = RedisServer::start();
    let stand = Stand::of(3, redis.address);
    let restarted = |_: &mut Stand| {
        redis.kill();
        sleep(Duration::from_secs(1));
        let recovers = Recovers::now(None);
        redis.restart();
        recovers
    };
    nothing_is_lost("`kill -9` of Redis, started empty 1 s later", stand.launch(&launch_crowd(), restarted));
}

#[test]
fn a_failover_to_a_replica_that_lags_loses_nobody() {
    let mut watched = Watched::start(String::new);
    let mut stand = Stand::empty(RULES);
    for _ in 0..3 {
        stand.add_by(std::process::Command::new(common::WEIR), &watched.known());
    }
    let failed_over = |_: &mut Stand| {
        watched.replicas_stand_still();
        sleep(Duration::from_secs(2));
        let recovers = Recovers::now(None);
        let before = watched.master().address;
        watched.master().kill();
        until_true("the sentinel has found another master", || watched.master().address != before);
        recovers
    };
    let launch = stand.launch(&launch_crowd(), failed_over);
    nothing_is_lost("failover by Sentinel to a replica 2 s behind", launch);
}

/// Four gateways in a launch without a loss: the limits hold, and this share of the rate is used.
fn four_gateways(rules: Rules) -> f64 {
    let redis = RedisServer::start();
    let mut stand = Stand::empty(rules);
    for _ in 0..4 {
        stand.add(redis.address);
    }
    let mut crowd = launch_crowd();
    crowd.arrivals =
        vec![Phase { from: 500.0, to: 500.0, seconds: 3.0 }, Phase { from: 200.0, to: 200.0, seconds: 12.0 }];
    let (account, _) = stand.launch(&crowd, |_| Recovers::now(None));
    for window in [100, 1_000, 10_000] {
        let (most, limit) = (account.most_within(window), rules.rate * window as f64 / 1e3 + rules.burst);
        table::window(4, window, most, limit);
        assert!(most as f64 <= limit, "{most} passes within {window} ms");
    }
    assert_eq!(account.overshoot, 0.0, "in the worst window of any length");
    assert_eq!((account.places_lost, account.numbers_twice, account.errors), (0, 0, 0));
    let used = account.used(rules, 15.0);
    table::used(4, used);
    used
}

#[test]
fn four_gateways_use_the_rate_and_never_exceed_it_in_any_window() {
    let rules = Rules { rate: 100.0, ..RULES };
    // A machine that is busy with something else uses less: then once more.
    let used = (0..3).map(|_| four_gateways(rules)).find(|&used| used >= 0.97);
    assert!(used.is_some(), "less than 97 % of the rate was used, three times");
}
