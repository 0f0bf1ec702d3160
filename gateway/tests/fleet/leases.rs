//! A room with `fail_mode = "static"` whose gateways are cut off from Redis: each goes on at its share of the rate, and
//! together they let in no more than the room may.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashSet;
use std::time::Instant;

use crate::common::fault::{Fault, Faulty};
use crate::common::line::{gateway, last_tickets, pass_id};
use crate::common::redis::RedisServer;
use crate::common::{JSON, Shop, Weir, until_true};

/// Twenty a second.
const RATE: f64 = 20.0;
const BURST: f64 = 20.0;
const ROOM: &str = "[[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch\"\nnew_users_per_minute = 1200\n\
                    burst = 20\nfail_mode = \"static\"\n";
const GRANTED: &str = "weir_lease_grants_total{room=\"launch\"}";

fn on_lease(weir: &Weir) -> bool {
    weir.room()["on_lease"] == true
}

fn away(weir: &Weir) -> bool {
    weir.room()["store_away"] == true
}

/// Tokens that the gateway's lease may have brought since then, with what its bucket holds.
fn share_since(began: Instant, gateways: f64) -> f64 {
    let share = RATE / gateways;
    share * began.elapsed().as_secs_f64() + 1.0 + 0.1 * share
}

/// The ids of these shoppers' passes, all of whom come in at this gateway.
fn all_come_in(weir: &Weir, waiting: &[(u64, String)]) -> Vec<String> {
    waiting.iter().map(|(_, cookie)| pass_id(weir, cookie)).collect()
}

fn admitted(weir: &Weir) -> u64 {
    weir.room()["admitted"].as_u64().unwrap()
}

#[test]
fn whoever_is_cut_off_with_one_gateway_of_three_enters_by_its_lease_and_all_are_counted() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let way = Faulty::to(redis.address);
    let began = Instant::now();
    let cut = gateway(way.address, shop.address, ROOM);
    let (a, b) = (gateway(redis.address, shop.address, ROOM), gateway(redis.address, shop.address, ROOM));
    let waiting = last_tickets(&[&cut, &a, &b], 24);

    let cut_off = Instant::now();
    way.set(Fault::Cut);
    until_true("the gateway lives on its lease", || on_lease(&cut));
    until_true("the log says it", || cut.log().contains("moves on by this gateway's lease"));
    assert_eq!(cut.metric("weir_room_on_lease{room=\"launch\"}"), 1.0);
    let newcomer = cut.get("/launch/item", &[JSON]);
    assert!(newcomer.waiting()["ticket"].is_null(), "a newcomer's place is kept: {newcomer:?}");
    let (here, there) = waiting.split_at(12);
    let mut ids = all_come_in(&cut, here);
    let most = share_since(cut_off, 3.0);
    let granted = cut.metric(GRANTED);
    assert!(granted >= 1.0 && granted <= most, "{granted} by a lease that may bring {most}");
    ids.extend(all_come_in(&a, there));
    assert!(!away(&a) && !away(&b) && a.metric(GRANTED) + b.metric(GRANTED) == 0.0);
    assert_eq!(all_come_in(&cut, &here[..3]), ids[..3], "a second claim gets the same pass");

    way.set(Fault::None);
    until_true("the gateway is back", || !away(&cut) && !on_lease(&cut));
    until_true("all that it gave is counted", || {
        admitted(&a) == admitted(&cut) && a.room()["active_users"] == a.room()["admitted"]
    });
    let most = RATE * began.elapsed().as_secs_f64() + BURST;
    assert!((admitted(&a) as f64) <= most, "{} of {most}", admitted(&a));
    assert_eq!(a.room()["second_passes"], 0);
    assert_eq!(a.metric("weir_room_losses_total{room=\"launch\"}"), 0.0, "a pointer that moved on is no loss");
    assert_eq!(all_come_in(&b, here), ids[..12], "the passes that it gave are known at the others");
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 24, "everybody came in, each with a pass of their own");
    pass_id(&a, &newcomer.cookie().unwrap());
}

#[test]
fn tickets_claimed_on_both_sides_of_a_cut_have_two_passes_and_all_are_counted() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let way = Faulty::to(redis.address);
    let began = Instant::now();
    let (cut, other) = (gateway(way.address, shop.address, ROOM), gateway(redis.address, shop.address, ROOM));
    let waiting = last_tickets(&[&cut, &other], 12);
    until_true("both know who is in", || admitted(&cut) == admitted(&other));
    let before = admitted(&other);

    way.set(Fault::Cut);
    until_true("the gateway lives on its lease", || on_lease(&cut));
    assert_eq!(all_come_in(&cut, &waiting), all_come_in(&other, &waiting), "nobody on either side knows of the other");
    assert_eq!(admitted(&other), before + 12);
    way.set(Fault::None);
    until_true("both know of all the passes", || {
        [&cut, &other].iter().all(|weir| admitted(weir) == before + 24 && weir.room()["second_passes"] == 12)
    });
    assert_eq!(other.room()["active_users"], before + 12, "a shopper sits on one seat");
    let most = RATE * began.elapsed().as_secs_f64() + BURST;
    assert!((before + 24) as f64 <= most, "each has cost a token: {before} and 24 of {most}");
}

#[test]
fn with_redis_gone_every_gateway_lets_in_its_share_and_redis_may_come_back_empty() {
    let (mut redis, shop) = (RedisServer::start(), Shop::open());
    let began = Instant::now();
    let all = [0; 3].map(|_| gateway(redis.address, shop.address, ROOM));
    let waiting = last_tickets(&[&all[0], &all[1], &all[2]], 24);

    let gone = Instant::now();
    redis.kill();
    until_true("all live on their leases", || all.iter().all(on_lease));
    let mut ids: Vec<String> = Vec::new();
    for (weir, part) in all.iter().zip(waiting.chunks(8)) {
        ids.extend(all_come_in(weir, part));
    }
    for weir in &all {
        let (granted, most) = (weir.metric(GRANTED), share_since(gone, 3.0));
        assert!(granted <= most, "{granted} by a lease that may bring {most}");
    }
    assert!(all.iter().map(|weir| weir.metric(GRANTED)).sum::<f64>() >= 1.0);

    redis.restart();
    until_true("all are back", || !all.iter().any(|weir| away(weir) || on_lease(weir)));
    let (ticket, newcomer) = last_tickets(&[&all[0], &all[1]], 1).swap_remove(0);
    assert!(waiting.iter().all(|(before, _)| *before < ticket), "no number twice: {ticket} after {waiting:?}");
    ids.push(pass_id(&all[2], &newcomer));
    for (weir, part) in all.iter().rev().zip(waiting.chunks(8)) {
        ids.extend(all_come_in(weir, part));
    }
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 25, "nobody has two passes: {ids:?}");
    let most = RATE * began.elapsed().as_secs_f64() + BURST;
    let seen = all.iter().map(admitted).max().unwrap();
    assert!((seen as f64) <= most, "{seen} of {most}");
    all.iter().for_each(Weir::is_well);
}
