//! Redis stands still, forgets, or is replaced.

use std::thread::sleep;
use std::time::Duration;

use super::crowd::Plan;
use super::stand::{CLOSED, LARGE, Launch, Recovers, Rules, Stand, larger_crowd, launch_crowd};
use super::{A_WHILE, nothing_is_lost};
use crate::common::fault::Faulty;
use crate::common::redis::RedisServer;

/// Redis stands still for a while, and goes on where it was.
pub(crate) fn stalled(rules: Rules, crowd: &Plan) -> Launch {
    let redis = RedisServer::start();
    Stand::of(rules, 3, redis.address).launch(crowd, |_| {
        redis.signal("STOP");
        sleep(A_WHILE);
        let recovers = Recovers::now(None);
        redis.signal("CONT");
        recovers
    })
}

#[test]
fn redis_stalled_for_five_seconds_loses_nobody() {
    nothing_is_lost("Redis stalled for 5 s", &launch_crowd(), |crowd| stalled(CLOSED, crowd));
}

/// Redis forgets everything at once.
pub(crate) fn flushed(rules: Rules, crowd: &Plan) -> Launch {
    let redis = RedisServer::start();
    Stand::of(rules, 3, redis.address).launch(crowd, |_| {
        let recovers = Recovers::now(None);
        assert_eq!(redis.command("FLUSHALL"), "+OK");
        recovers
    })
}

#[test]
fn redis_that_forgets_everything_loses_nobody() {
    nothing_is_lost("`FLUSHALL`", &launch_crowd(), |crowd| flushed(CLOSED, crowd));
}

#[test]
#[ignore = "a larger crowd, which benches/losses sends"]
fn redis_that_forgets_everything_loses_nobody_of_a_larger_crowd() {
    nothing_is_lost("`FLUSHALL`, a larger crowd", &larger_crowd(), |crowd| flushed(LARGE, crowd));
}

/// Redis is killed, and is there again after this time, without its data.
pub(crate) fn started_empty(rules: Rules, after: Duration, crowd: &Plan) -> Launch {
    let mut redis = RedisServer::start();
    Stand::of(rules, 3, redis.address).launch(crowd, |_| {
        redis.kill();
        sleep(after);
        let recovers = Recovers::now(None);
        redis.restart();
        recovers
    })
}

#[test]
fn redis_killed_and_started_empty_loses_nobody() {
    let loss = "`kill -9` of Redis, started empty 1 s later";
    nothing_is_lost(loss, &launch_crowd(), |crowd| started_empty(CLOSED, Duration::from_secs(1), crowd));
}

/// The address of Redis leads to another server, and then to the first one again, which knows nothing of what was
/// given meanwhile and is the same process as before.
pub(crate) fn there_and_back(rules: Rules, crowd: &Plan) -> Launch {
    let (first, second) = (RedisServer::start(), RedisServer::start());
    let way = Faulty::to(first.address);
    Stand::of(rules, 3, way.address).launch(crowd, |_| {
        way.turn_to(second.address);
        sleep(A_WHILE);
        let recovers = Recovers::now(None);
        way.turn_to(first.address);
        recovers
    })
}

#[test]
fn another_redis_and_the_old_one_back_with_old_data_lose_nobody() {
    let loss = "Redis replaced by an empty one for 5 s, then back with its old data";
    nothing_is_lost(loss, &launch_crowd(), |crowd| there_and_back(CLOSED, crowd));
}
