//! Losses that a room with `fail_mode = "static"` meets: gateways without Redis go on by their leases, and the limits
//! hold on both sides together.

use std::thread::sleep;

use super::crowd::Plan;
use super::nothing_is_lost;
use super::stand::{LENDING, Launch, Recovers, Stand, launch_crowd};
use super::{A_WHILE, gateways, network, redis};
use crate::common::fault::{Fault, Faulty};
use crate::common::redis::RedisServer;

/// The gateways that were without Redis have let people in.
fn leases_were_used(launches: &[Launch]) {
    for launch in launches {
        assert!(launch.by_lease >= 1.0, "nobody entered by a lease, seed {}", launch.seed);
    }
}

#[test]
fn a_gateway_cut_off_that_goes_on_by_its_lease_loses_nobody() {
    let loss = "one gateway cut off for 5 s, by a proxy; `static`";
    leases_were_used(&nothing_is_lost(loss, &launch_crowd(), |crowd| gateways::cut_off(LENDING, crowd)));
}

#[test]
fn a_gateway_whose_cable_is_pulled_and_that_goes_on_by_its_lease_loses_nobody() {
    if network::inside("lending::a_gateway_whose_cable_is_pulled_and_that_goes_on_by_its_lease_loses_nobody") {
        let loss = "one gateway cut off for 5 s, by a pulled cable; `static`";
        leases_were_used(&nothing_is_lost(loss, &launch_crowd(), |crowd| gateways::cable_pulled(LENDING, crowd)));
    }
}

#[test]
fn redis_stalled_for_five_seconds_in_which_leases_are_used_loses_nobody() {
    let loss = "Redis stalled for 5 s; `static`";
    leases_were_used(&nothing_is_lost(loss, &launch_crowd(), |crowd| redis::stalled(LENDING, crowd)));
}

#[test]
fn redis_started_empty_after_leases_were_used_loses_nobody() {
    let loss = "`kill -9` of Redis, started empty 5 s later; `static`";
    leases_were_used(&nothing_is_lost(loss, &launch_crowd(), |crowd| redis::started_empty(LENDING, A_WHILE, crowd)));
}

/// Redis comes back empty while the third gateway is cut off and spends a lease of which only the others have heard.
fn started_empty_behind_a_cut(crowd: &Plan) -> Launch {
    let mut redis = RedisServer::start();
    let way = Faulty::to(redis.address);
    let mut stand = Stand::of(LENDING, 2, redis.address);
    stand.add(way.address);
    stand.launch(crowd, |_| {
        way.set(Fault::Cut);
        sleep(A_WHILE / 4);
        redis.kill();
        redis.restart();
        sleep(A_WHILE);
        let recovers = Recovers::now(Some(2));
        way.set(Fault::None);
        recovers
    })
}

#[test]
fn redis_started_empty_while_a_gateway_is_cut_off_leaves_its_lease_to_it_and_loses_nobody() {
    let loss = "one gateway cut off for 6 s, `kill -9` of Redis meanwhile, started empty at once; `static`";
    leases_were_used(&nothing_is_lost(loss, &launch_crowd(), started_empty_behind_a_cut));
}

#[test]
fn redis_that_forgets_what_it_has_lent_loses_nobody() {
    nothing_is_lost("`FLUSHALL`; `static`", &launch_crowd(), |crowd| redis::flushed(LENDING, crowd));
}

#[test]
fn a_gateway_that_dies_with_its_lease_while_redis_is_away_loses_nobody() {
    let loss = "`kill -9` of a gateway while Redis is away for 5 s, started empty; `static`";
    leases_were_used(&nothing_is_lost(loss, &launch_crowd(), |crowd| {
        gateways::killed_while_redis_is_away(LENDING, RedisServer::start(), crowd)
    }));
}

#[test]
fn another_redis_and_the_old_one_back_with_old_leases_lose_nobody() {
    let loss = "Redis replaced by an empty one for 5 s, then back with its old data; `static`";
    nothing_is_lost(loss, &launch_crowd(), |crowd| redis::there_and_back(LENDING, crowd));
}
