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
mod stand;
mod table;

use std::thread::sleep;
use std::time::Duration;

use clock::Clock;

use common::fault::Fault;
use common::redis::RedisServer;
use stand::{RULES, Recovers, Stand};

const A_WHILE: Duration = Duration::from_secs(5);

fn three() -> Stand {
    Stand::of(3, RedisServer::start())
}

/// Every promise of a launch that met this loss.
fn nothing_is_lost(loss: &str, launch: (account::Account, Recovers)) {
    let (account, recovers) = launch;
    let recovery = account.recovery(recovers.since, recovers.gateway);
    table::row(loss, &account, recovery);
    assert_eq!(account.places_lost, 0, "places lost");
    assert_eq!(account.numbers_twice, 0, "numbers given twice");
    assert_eq!(account.overshoot, 0.0, "passes beyond the limit");
    assert_eq!(account.positions_grown, 0, "positions that grew");
    assert_eq!(account.errors, 0, "answers 5xx");
    assert!(recovery.is_some(), "somebody enters afterwards");
    assert!(account.moved > 100, "tickets are served at every gateway: {}", account.moved);
}

#[test]
fn a_launch_without_a_loss_loses_nothing() {
    nothing_is_lost("nothing", three().launch(|_| Recovers::now(None)));
}

#[test]
fn a_gateway_killed_in_mid_launch_loses_nobody() {
    let killed = |stand: &mut Stand| {
        let dir = stand.gateways[2].take().unwrap().kill();
        drop(dir);
        Recovers::now(None)
    };
    nothing_is_lost("`kill -9` of a gateway", three().launch(killed));
}

#[test]
fn redis_stalled_for_five_seconds_loses_nobody() {
    let stalled = |stand: &mut Stand| {
        stand.redis.signal("STOP");
        sleep(A_WHILE);
        let recovers = Recovers::now(None);
        stand.redis.signal("CONT");
        recovers
    };
    nothing_is_lost("Redis stalled for 5 s", three().launch(stalled));
}

#[test]
fn a_gateway_cut_off_from_redis_loses_nobody() {
    let cut = |stand: &mut Stand| {
        stand.ways[2].set(Fault::Cut);
        sleep(A_WHILE);
        assert_eq!(stand.gateway(2).room()["store_away"], true);
        let recovers = Recovers::now(Some(2));
        stand.ways[2].set(Fault::None);
        recovers
    };
    nothing_is_lost("one gateway cut off from Redis for 5 s", three().launch(cut));
}

/// A launch in which the wall clock of one gateway jumps.
fn clock_jumps(by: &str, seconds: i64) -> (account::Account, Recovers) {
    let clock = Clock::new();
    let mut stand = Stand::of(2, RedisServer::start());
    stand.add(RULES, clock.weir());
    stand.launch(|stand| {
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
