//! Two gateways and one line: whatever a shopper does at one counts at the other, and without Redis
//! nobody loses anything.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::line::{self, pass_id, room, tickets};
use common::redis::RedisServer;
use common::{JSON, Shop, Weir, config, until, until_true, weir};

/// A gateway of those that share this Redis.
fn gateway(redis: &RedisServer, shop: SocketAddr, room: &str) -> Weir {
    line::gateway(redis.address, shop, room)
}

#[test]
fn a_ticket_taken_at_one_gateway_is_served_at_the_other_and_so_is_the_pass() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let room = room(300);
    let (a, b) = (gateway(&redis, shop.address, &room), gateway(&redis, shop.address, &room));
    let (number, cookie) = tickets(&[&a], 1).swap_remove(0);
    let seen = b.get("/launch/item", &[JSON, ("Cookie", &cookie)]);
    assert!(seen.is_shop() || seen.ticket() == number, "{number}: {seen:?}");
    let others = tickets(&[&b], 1);
    assert!(others[0].0 > number, "one line: {others:?} after {number}");

    let entered = until("the ticket is served at the other", || {
        let answer = b.get("/launch/item", &[JSON, ("Cookie", &cookie)]);
        answer.is_shop().then_some(answer)
    });
    let pass = entered.cookie().unwrap_or(cookie);
    assert!(a.get("/launch/item", &[JSON, ("Cookie", &pass)]).is_shop(), "a pass is a pass everywhere");
    a.get("/launch/revoke", &[("Cookie", &pass)]);
    let refused = || b.get("/launch/a.css", &[("Cookie", &pass)]).status == 429;
    until_true("the pass given back at one is worth nothing at the other", refused);
}

#[test]
fn a_ticket_claimed_at_both_gateways_at_once_gives_one_pass() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let room = room(600);
    let (a, b) = (gateway(&redis, shop.address, &room), gateway(&redis, shop.address, &room));
    let tickets = tickets(&[&a, &b], 8);
    let at_once = shop.seen().len() as u64;
    let pairs: Vec<(String, String)> = std::thread::scope(|scope| {
        let both = |(_, cookie): &(u64, String)| {
            let (a, b, at_a, at_b) = (&a, &b, cookie.clone(), cookie.clone());
            (scope.spawn(move || pass_id(a, &at_a)), scope.spawn(move || pass_id(b, &at_b)))
        };
        let tabs: Vec<_> = tickets.iter().map(both).collect();
        tabs.into_iter().map(|(a, b)| (a.join().unwrap(), b.join().unwrap())).collect()
    });
    let ids: HashSet<&String> = pairs.iter().map(|(id, _)| id).collect();
    assert!(pairs.iter().all(|(a, b)| a == b) && ids.len() == 8, "{pairs:?}");
    until_true("each was counted once, and both gateways know", || {
        [&a, &b].iter().all(|weir| weir.room()["admitted"].as_u64() == Some(at_once + 8))
    });
}

#[test]
fn without_redis_passes_go_on_and_arrivals_keep_their_place_and_then_the_line_goes_on() {
    let (mut redis, shop) = (RedisServer::durable(), Shop::open());
    let room = room(300);
    let (a, b) = (gateway(&redis, shop.address, &room), gateway(&redis, shop.address, &room));
    let inside = until("somebody is inside", || {
        let answer = a.get("/launch/item", &[JSON]);
        answer.is_shop().then(|| answer.cookie().unwrap())
    });
    let waiting = tickets(&[&a, &b], 6);
    let last = a.room()["next"].as_u64().unwrap();

    redis.kill();
    until_true("both have noticed", || a.room()["store_away"] == true && b.room()["store_away"] == true);
    let mut kept = Vec::new();
    for weir in [&a, &b, &a, &b] {
        assert!(weir.get("/launch/item", &[JSON, ("Cookie", &inside)]).is_shop(), "a pass needs no store");
        let arrival = weir.get("/launch/item", &[JSON]);
        assert!(arrival.status == 200 && arrival.waiting()["ticket"].is_null(), "a place is kept: {arrival:?}");
        kept.push(arrival.cookie().unwrap());
    }
    let (number, cookie) = &waiting[5];
    assert_eq!(b.get("/launch/item", &[JSON, ("Cookie", cookie)]).ticket(), *number, "the line stands");

    redis.restart();
    let back = Instant::now();
    until_true("both are back", || a.room()["store_away"] == false && b.room()["store_away"] == false);
    assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
    let mut numbers: HashMap<u64, &String> = waiting.iter().map(|(number, cookie)| (*number, cookie)).collect();
    for cookie in &kept {
        // Numbered at the gateway that kept the place, known at both.
        let number = until("the place has a number", || {
            b.get("/launch/item", &[JSON, ("Cookie", cookie)]).waiting()["ticket"].as_u64()
        });
        assert!(number > last && numbers.insert(number, cookie).is_none(), "{number} of {numbers:?}");
    }
    assert!(a.get("/launch/item", &[JSON, ("Cookie", &inside)]).is_shop());
    let ids: HashSet<String> = numbers.values().map(|cookie| pass_id(&a, cookie)).collect();
    assert_eq!(ids.len(), numbers.len(), "everybody came in, each with a pass of their own");
    for weir in [&a, &b] {
        weir.is_well();
    }
}

#[test]
fn a_gateway_begins_without_redis_and_joins_the_line_when_it_comes() {
    let (mut redis, shop) = (RedisServer::durable(), Shop::open());
    redis.kill();
    let weir = gateway(&redis, shop.address, &room(600));
    let arrival = weir.get("/launch/item", &[JSON]);
    assert!(arrival.waiting()["ticket"].is_null(), "{arrival:?}");
    assert!(weir.log().contains("the store in Redis"), "the log says what is wrong: {}", weir.log());
    redis.restart();
    pass_id(&weir, &arrival.cookie().unwrap());
}

#[test]
fn no_gateway_makes_up_a_secret_that_others_must_share() {
    let dir = tempfile::tempdir().unwrap();
    let store = "[store]\nkind = \"redis\"\nurl = \"redis://127.0.0.1:1\"\nsecret_file = \"shared.secret\"\n";
    std::fs::write(dir.path().join("weir.toml"), config(common::nobody(), &room(600)) + store).unwrap();
    let (code, told) = weir(&["serve", "--config", "weir.toml"], dir.path());
    assert!(code != 0 && told.contains("shared.secret") && told.contains("is not made"), "{told}");
    assert!(!dir.path().join("shared.secret").exists());
}
