//! Gateways of two formats on one Redis: the second finds the first, says so, and stays away.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::common::line::{self, room};
use crate::common::redis::RedisServer;
use crate::common::{JSON, Shop, Weir, request, until, until_true};

fn readiness(weir: &Weir) -> (u16, String) {
    let answer = request(weir.admin, "GET", "/readyz", &[], "");
    (answer.status, answer.body)
}

#[test]
fn a_gateway_that_finds_another_format_says_so_and_touches_nothing_until_that_is_gone() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    // The key that a gateway of format 1 leaves there when it first tells of itself.
    let theirs = "weir:rooms:{versions}:gateways";
    assert_eq!(redis.command(&format!("HSET {theirs} 0000002a 1")), ":1");
    let weir = line::gateway(redis.address, shop.address, &room(600));
    let (status, told) = readiness(&weir);
    assert!(status == 503 && told.contains("format"), "{status} {told}");
    let arrival = weir.get("/launch/item", &[JSON]);
    assert!(arrival.is_line() && arrival.waiting()["ticket"].is_null(), "a place is kept: {arrival:?}");
    until_true("it has asked again", || weir.log().contains("rooms follow their fail_mode"));
    let log = weir.log();
    let says = ["in format 1", "keeps format 2", "finish the launch with the version that wrote it", theirs];
    assert!(says.iter().all(|part| log.contains(part)), "{log}");
    assert_eq!(log.matches("in format 1").count(), 1, "once: {log}");
    assert_eq!((redis.command("DBSIZE"), redis.command(&format!("HLEN {theirs}"))), (":1".to_owned(), ":1".to_owned()));

    assert_eq!(redis.command(&format!("DEL {theirs}")), ":1");
    until_true("it is ready", || readiness(&weir).0 == 200);
    let cookie = arrival.cookie().unwrap();
    until("the place has a number, or its holder is in", || {
        let answer = weir.get("/launch/item", &[JSON, ("Cookie", &cookie)]);
        (answer.is_shop() || answer.number().is_some()).then_some(())
    });
    weir.is_well();
}

#[test]
fn a_gateway_stays_away_when_the_store_was_emptied_and_another_format_came_first() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let weir = line::gateway(redis.address, shop.address, &room(600));
    assert_eq!(readiness(&weir).0, 200);
    assert_eq!(redis.command("MULTI"), "+OK");
    redis.command("FLUSHALL");
    redis.command("SET weir:rooms:{versions}:gateways 3");
    until_true("it is told", || readiness(&weir).0 == 503 && weir.log().contains("in format 3"));
    until_true("its rooms stand", || weir.room()["store_away"] == true);
}
