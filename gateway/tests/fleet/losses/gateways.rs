//! A gateway is killed, cut off from Redis, or has the wrong time.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::clock::{self, Clock};
use super::crowd::Plan;
use super::network::{self, Network};
use super::stand::{CLOSED, Launch, Recovers, Rules, Stand, launch_crowd, url};
use super::{A_WHILE, nothing_is_lost};
use crate::common::fault::{Fault, Faulty};
use crate::common::redis::RedisServer;
use crate::common::{JSON, until, until_true};

#[test]
fn a_launch_without_a_loss_loses_nothing() {
    nothing_is_lost("nothing", &launch_crowd(), |crowd| {
        let redis = RedisServer::start();
        Stand::of(CLOSED, 3, redis.address).launch(crowd, |_| Recovers::now(None))
    });
}

#[test]
fn a_gateway_killed_in_mid_launch_loses_nobody() {
    nothing_is_lost("`kill -9` of a gateway", &launch_crowd(), |crowd| {
        let redis = RedisServer::start();
        let killed = |stand: &mut Stand| {
            stand.kill(2);
            Recovers::now(None)
        };
        Stand::of(CLOSED, 3, redis.address).launch(crowd, killed)
    });
}

/// Redis goes, then a gateway goes, then this Redis comes back as it does.
pub(crate) fn killed_while_redis_is_away(rules: Rules, mut redis: RedisServer, crowd: &Plan) -> Launch {
    let stand = Stand::of(rules, 3, redis.address);
    stand.launch(crowd, |stand| {
        redis.kill();
        sleep(A_WHILE / 2);
        stand.kill(2);
        sleep(A_WHILE / 2);
        let recovers = Recovers::now(None);
        redis.restart();
        recovers
    })
}

#[test]
fn a_gateway_killed_while_redis_is_away_loses_nobody() {
    let loss = "`kill -9` of a gateway while Redis is away for 5 s";
    nothing_is_lost(loss, &launch_crowd(), |crowd| killed_while_redis_is_away(CLOSED, RedisServer::durable(), crowd));
}

#[test]
fn a_gateway_killed_while_redis_is_away_and_redis_that_comes_back_empty_lose_nobody() {
    let loss = "`kill -9` of a gateway while Redis is away for 5 s, started empty";
    nothing_is_lost(loss, &launch_crowd(), |crowd| killed_while_redis_is_away(CLOSED, RedisServer::start(), crowd));
}

/// The third gateway loses its way to Redis for a while.
pub(crate) fn cut_off(rules: Rules, crowd: &Plan) -> Launch {
    let redis = RedisServer::start();
    let way = Faulty::to(redis.address);
    let mut stand = Stand::of(rules, 2, redis.address);
    stand.add(way.address);
    stand.launch(crowd, |stand| {
        way.set(Fault::Cut);
        sleep(A_WHILE);
        assert_eq!(stand.gateway(2).room()["store_away"], true);
        let recovers = Recovers::now(Some(2));
        way.set(Fault::None);
        recovers
    })
}

#[test]
fn a_gateway_cut_off_from_redis_loses_nobody() {
    let loss = "one gateway cut off for 5 s, by a proxy";
    nothing_is_lost(loss, &launch_crowd(), |crowd| cut_off(CLOSED, crowd));
}

/// The third gateway's cable to Redis is pulled for a while.
pub(crate) fn cable_pulled(rules: Rules, crowd: &Plan) -> Launch {
    let network = Network::start(2);
    let mut stand = Stand::of(rules, 2, Network::redis(0));
    stand.add(Network::redis(1));
    stand.launch(crowd, |stand| {
        network.plug(1, false);
        sleep(A_WHILE);
        assert_eq!(stand.gateway(2).room()["store_away"], true);
        let recovers = Recovers::now(Some(2));
        network.plug(1, true);
        recovers
    })
}

#[test]
fn a_gateway_whose_cable_to_redis_is_pulled_loses_nobody() {
    if network::inside("gateways::a_gateway_whose_cable_to_redis_is_pulled_loses_nobody") {
        let loss = "one gateway cut off for 5 s, by a pulled cable";
        nothing_is_lost(loss, &launch_crowd(), |crowd| cable_pulled(CLOSED, crowd));
    }
}

/// The wall clock of one gateway jumps.
fn clock_jumps(by: &str, seconds: i64, crowd: &Plan) -> Launch {
    let (redis, clock) = (RedisServer::start(), Clock::new());
    let mut stand = Stand::of(CLOSED, 2, redis.address);
    stand.add_by(clock.weir(), &url(redis.address));
    stand.launch(crowd, |stand| {
        clock.set(by);
        let recovers = Recovers::now(Some(2));
        clock::shows(stand.gateway(2), seconds);
        recovers
    })
}

#[test]
fn a_gateway_whose_clock_jumps_on_by_an_hour_loses_nobody() {
    nothing_is_lost("clock of a gateway +1 h", &launch_crowd(), |crowd| clock_jumps("+1h", 3_600, crowd));
}

#[test]
fn a_gateway_whose_clock_jumps_back_by_an_hour_loses_nobody() {
    nothing_is_lost("clock of a gateway -1 h", &launch_crowd(), |crowd| clock_jumps("-1h", -3_600, crowd));
}

#[test]
fn a_pass_lives_as_long_as_the_store_says_whatever_the_clock_of_a_gateway_says() {
    const SESSION: u64 = 5_000;
    let (redis, ahead, behind) = (RedisServer::start(), Clock::new(), Clock::new());
    let mut stand = Stand::of(Rules { session: SESSION, ..CLOSED }, 1, redis.address);
    stand.add_by(ahead.weir(), &url(redis.address));
    stand.add_by(behind.weir(), &url(redis.address));
    ahead.set("+1h");
    behind.set("-1h");
    clock::shows(stand.gateway(1), 3_600);
    clock::shows(stand.gateway(2), -3_600);

    // A line that has just begun lets no shopper in at once.
    let mut pass = String::new();
    let before = until("they are let in", || {
        let (before, answer) = (Instant::now(), stand.gateway(0).get("/launch/item", &[JSON, ("Cookie", &pass)]));
        pass = answer.cookie().unwrap_or(std::mem::take(&mut pass));
        answer.is_shop().then_some(before)
    });
    // Anything but a page: with that no shopper takes a new number, and before half of its life nothing renews a pass.
    let is_in = |gateway: usize| stand.gateway(gateway).get("/launch/a.css", &[("Cookie", &pass)]).is_shop();
    assert!(is_in(0) && is_in(1), "it has not ended where it is an hour later");
    until_true("it has ended where it is an hour earlier", || !is_in(2));
    assert!(before.elapsed() >= Duration::from_millis(SESSION), "not before its time: {:?}", before.elapsed());
    until_true("and everywhere", || !is_in(0) && !is_in(1));
}
