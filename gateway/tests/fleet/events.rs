//! An event at several gateways on one Redis: it starts by the clock of the store, whatever a gateway's own clock says and whatever
//! fails in its pre-queue and at its start.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::common::events::{event, written};
use crate::common::line::{gateway, gateway_with, shared_store};
use crate::common::redis::RedisServer;
use crate::common::redis::sentinel::{PASSWORD, Watched};
use crate::common::{Answer, JSON, Shop, Weir, config, until, until_true};
use crate::losses::clock::Clock;

/// As long as no test runs.
const LONG: i64 = 3_600_000;
/// Life of a pass.
const SESSION: u64 = 300_000;
/// Long enough for three gateways to start and for people to come.
const SOON: i64 = 12_000;

fn room(keys: &str) -> String {
    let room =
        "[[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch\"\nnew_users_per_minute = 6000\nburst = 1\n";
    format!("{room}{keys}{}", event(SOON, LONG, ""))
}

fn start_of(room: &str) -> u64 {
    written(room, "event_start_time")
}

/// The clock of this machine, which is that of every Redis here.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

fn comes(weir: &Weir, cookie: Option<&str>) -> Answer {
    match cookie {
        Some(cookie) => weir.get("/launch/item", &[JSON, ("Cookie", cookie)]),
        None => weir.get("/launch/item", &[JSON]),
    }
}

/// So many people at each gateway, who all have a number before the start.
fn wait_at(gateways: &[&Weir], each: usize) -> Vec<(usize, u64, String)> {
    let come = |n: usize| {
        let answer = comes(gateways[n % gateways.len()], None);
        assert!(answer.is_line() && answer.waiting()["isEventPrequeueing"] == true, "{answer:?}");
        (n % gateways.len(), answer.ticket(), answer.cookie().unwrap())
    };
    (0..each * gateways.len()).map(come).collect()
}

/// All of them ask at their gateway until they are in.
fn all_enter(gateways: &[&Weir], people: &[(usize, u64, String)]) {
    std::thread::scope(|scope| {
        for (at, number, cookie) in people {
            scope
                .spawn(move || until_true(&format!("{number} is in"), || comes(gateways[*at], Some(cookie)).is_shop()));
        }
    });
}

/// Numbers and times at which their passes were given, by the clock of the store, as the store recorded them.
fn given(url: &str) -> Vec<(u64, u64)> {
    let mut redis = redis::Client::open(url).unwrap().get_connection().unwrap();
    let query = redis::cmd("ZRANGE").arg("weir:{launch}:2:active").arg(0).arg(-1).arg("WITHSCORES").to_owned();
    let passes: Vec<(u64, f64)> = query.query(&mut redis).unwrap();
    passes.into_iter().map(|(number, ends)| (number, ends as u64 - SESSION)).collect()
}

/// Everybody has a pass, and nobody got it before the start. One that was given by a lease is recorded a moment later.
fn nobody_before(start: u64, url: &str, people: &[(usize, u64, String)]) {
    let given = until("every pass is recorded", || {
        let given = given(url);
        people.iter().all(|(_, number, _)| given.iter().any(|(known, _)| known == number)).then_some(given)
    });
    for (number, at) in given {
        assert!(at >= start, "{number} at {at}, the start is at {start}");
    }
}

#[test]
fn an_event_starts_at_three_gateways_by_the_clock_of_the_store_and_by_no_other() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let room = room("");
    let clock = Clock::new();
    clock.set("+1h");
    let wrong = {
        let dir = tempfile::tempdir().unwrap();
        let store = shared_store(dir.path(), &format!("url = \"{}\"\n", redis.url()));
        std::fs::write(dir.path().join("weir.toml"), config(shop.address, &room) + &store).unwrap();
        let mut command = clock.weir();
        command.arg("serve").arg("--config").arg(dir.path().join("weir.toml"));
        Weir::spawn(dir, command)
    };
    let (a, b) = (gateway(redis.address, shop.address, &room), gateway(redis.address, shop.address, &room));
    let gateways = [&a, &b, &wrong];
    let people = wait_at(&gateways, 3);
    assert!(shop.seen().is_empty() && now() < start_of(&room), "all are in the pre-queue");
    all_enter(&gateways, &people);
    nobody_before(start_of(&room), &redis.url(), &people);
    for weir in gateways {
        weir.is_well();
    }
}

#[test]
fn a_clock_of_the_store_that_jumps_is_told_starts_what_it_passes_and_starts_nothing_twice() {
    let (clock, shop) = (Clock::new(), Shop::open());
    let redis = clock.redis();
    let half_an_hour = 1_800_000;
    let event = event(half_an_hour, LONG + half_an_hour, "");
    let room = format!(
        "[[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch\"\nnew_users_per_minute = 6000\nburst = 1\n{event}"
    );
    let (a, b) = (gateway(redis.address, shop.address, &room), gateway(redis.address, shop.address, &room));
    let gateways = [&a, &b];
    let people = wait_at(&gateways, 3);
    let jumps = |direction: &str| {
        let name = format!("weir_store_clock_jumps_total{{direction=\"{direction}\"}}");
        gateways.map(|weir| weir.metric(&name))
    };
    assert!(shop.seen().is_empty() && jumps("ahead") == [0.0; 2] && jumps("back") == [0.0; 2]);

    clock.set("+1h");
    all_enter(&gateways, &people);
    until_true("both tell that the clock has jumped", || jumps("ahead") == [1.0; 2]);
    assert!(a.log().contains("the clock of the store has jumped"), "{}", a.log());

    // Before the start again, by that clock: the event has started all the same.
    clock.set("+10m");
    until_true("both tell that it has jumped back", || jumps("back") == [1.0; 2]);
    for (at, number, cookie) in &people {
        assert!(comes(gateways[*at], Some(cookie)).is_shop(), "{number} stays inside");
    }
    let waiting = until("a newcomer of a moment in which nobody is called waits", || {
        let newcomer = comes(&a, None);
        newcomer.is_line().then_some(newcomer)
    });
    assert_eq!(waiting.waiting()["isEventPrequeueing"], false, "{waiting:?}");

    // A clock that goes on from where it was lets people in again.
    clock.set("+1h");
    until_true("who waited meanwhile is in", || comes(&b, Some(&waiting.cookie().unwrap())).is_shop());
    until_true("both tell of that jump, too", || jumps("ahead") == [2.0; 2]);
    for weir in &gateways {
        weir.is_well();
    }
}

#[test]
fn an_event_whose_start_passes_without_the_store_lets_nobody_in_and_starts_when_the_store_is_back() {
    for fail_mode in ["open", "static"] {
        let (mut redis, shop) = (RedisServer::durable(), Shop::open());
        let room = room(&format!("fail_mode = \"{fail_mode}\"\n"));
        let (a, b) = (gateway(redis.address, shop.address, &room), gateway(redis.address, shop.address, &room));
        let people = wait_at(&[&a, &b], 3);
        redis.kill();
        until_true("both have noticed", || [&a, &b].iter().all(|weir| weir.room()["store_away"] == true));
        // One that is started without a store knows no time at all.
        let fresh = gateway(redis.address, shop.address, &room);
        let mut kept = Vec::new();
        while now() < start_of(&room) + 1_500 {
            for weir in [&a, &b, &fresh] {
                let newcomer = comes(weir, None);
                assert!(newcomer.is_line() && newcomer.number().is_none(), "a place is kept: {newcomer:?}");
                kept = vec![newcomer.cookie().unwrap()];
            }
            for (_, number, cookie) in &people {
                assert!(!comes(&a, Some(cookie)).is_shop() && !comes(&b, Some(cookie)).is_shop(), "{number} is in");
            }
            sleep(Duration::from_millis(100));
        }
        assert!(shop.seen().is_empty(), "the shop has seen nobody");
        redis.restart();
        all_enter(&[&a, &b], &people);
        nobody_before(start_of(&room), &redis.url(), &people);
        until_true("who came meanwhile enters too", || kept.iter().all(|cookie| comes(&fresh, Some(cookie)).is_shop()));
    }
}

#[test]
fn a_store_that_is_started_empty_in_the_pre_queue_loses_no_place_and_lets_nobody_in_early() {
    let (mut redis, shop) = (RedisServer::start(), Shop::open());
    let room = room("fail_mode = \"open\"\n");
    let (a, b) = (gateway(redis.address, shop.address, &room), gateway(redis.address, shop.address, &room));
    let people = wait_at(&[&a, &b], 3);
    redis.kill();
    redis.restart();
    until_true("both are back", || [&a, &b].iter().all(|weir| weir.room()["store_away"] == false));
    let last = people.iter().map(|(_, number, _)| *number).max().unwrap();
    let newcomer = until("a newcomer has a number", || comes(&a, None).number());
    assert!(newcomer > last, "{newcomer} stands behind {last}");
    for (_, number, cookie) in &people {
        let answer = comes(&b, Some(cookie));
        assert!(answer.is_shop() || answer.ticket() == *number, "{number} lost the place: {answer:?}");
    }
    all_enter(&[&a, &b], &people);
    nobody_before(start_of(&room), &redis.url(), &people);
}

#[test]
fn a_failover_in_the_pre_queue_lets_nobody_in_early_and_the_event_starts_on_the_other_server() {
    let (mut watched, shop) = (Watched::start(String::new), Shop::open());
    let room = room("fail_mode = \"static\"\n");
    let known = watched.known();
    let (a, b) = (gateway_with(&known, shop.address, &room), gateway_with(&known, shop.address, &room));
    let people = wait_at(&[&a, &b], 3);
    let before = watched.master().address;
    watched.master().kill();
    until_true("the sentinel has found another master", || watched.master().address != before);
    all_enter(&[&a, &b], &people);
    let SocketAddr::V4(master) = watched.master().spoken_to() else { panic!("an IPv4 address") };
    nobody_before(start_of(&room), &format!("redis://:{PASSWORD}@{master}"), &people);
}

/// So many people, one after the other at any of the gateways: none has a number yet.
fn gather_at(gateways: &[&Weir], people: usize) -> Vec<(usize, String)> {
    let come = |n: usize| {
        let answer = comes(gateways[n % gateways.len()], None);
        assert!(answer.is_line() && answer.number().is_none(), "{answer:?}");
        let waiting = answer.waiting();
        assert!(waiting["isRandomQueue"] == true && waiting["position"].is_null(), "{waiting}");
        (n % gateways.len(), answer.cookie().unwrap())
    };
    (0..people).map(come).collect()
}

/// Their numbers once they are drawn, with the cookie that has them.
fn drawn(gateways: &[&Weir], people: &[(usize, String)]) -> Vec<(usize, u64, String)> {
    let number = |(at, cookie): &(usize, String)| {
        let answer = until("the order is drawn", || {
            let answer = comes(gateways[*at], Some(cookie));
            answer.number().is_some().then_some(answer)
        });
        (*at, answer.ticket(), answer.cookie().unwrap_or(cookie.clone()))
    };
    people.iter().map(number).collect()
}

fn numbers(people: &[(usize, u64, String)]) -> Vec<u64> {
    people.iter().map(|(_, number, _)| *number).collect()
}

const RANDOM: &str = "queueing_method = \"random\"\nrandom_round = \"5s\"\n";

#[test]
fn who_comes_to_any_of_three_gateways_in_the_same_round_stands_in_an_order_that_is_drawn_for_all() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let room = room(RANDOM);
    let gateways = [(); 3].map(|()| gateway(redis.address, shop.address, &room));
    let gateways = gateways.each_ref();
    let people = gather_at(&gateways, 30);
    let page = gateways[0].get("/launch/item", &[crate::common::PAGE, ("Cookie", &people[0].1)]);
    assert!(page.body.contains("data-state=\"before\"") && !page.body.contains("id=\"position\""), "no place is told");
    let people = drawn(&gateways, &people);
    let given = numbers(&people);
    let mut sorted = given.clone();
    sorted.sort_unstable();
    assert!(sorted.windows(2).all(|pair| pair[1] == pair[0] + 1), "each number once: {sorted:?}");
    assert_ne!(given, sorted, "not the order of arrival");
    all_enter(&gateways, &people);
    nobody_before(start_of(&room), &redis.url(), &people);
}

#[test]
fn a_store_that_is_started_empty_takes_back_what_was_drawn_and_draws_what_was_not() {
    let (mut redis, shop) = (RedisServer::start(), Shop::open());
    let room = room(RANDOM);
    let (a, b) = (gateway(redis.address, shop.address, &room), gateway(redis.address, shop.address, &room));
    let gateways = [&a, &b];
    let first = drawn(&gateways, &gather_at(&gateways, 6));
    let second = gather_at(&gateways, 6);
    redis.kill();
    redis.restart();
    until_true("both are back", || gateways.iter().all(|weir| weir.room()["store_away"] == false));
    let again: Vec<(usize, String)> = first.iter().map(|(at, _, cookie)| (*at, cookie.clone())).collect();
    let all: Vec<_> = drawn(&gateways, &again).into_iter().chain(drawn(&gateways, &second)).collect();
    assert_eq!(numbers(&all[..6]), numbers(&first), "what was drawn stays");
    let mut sorted = numbers(&all);
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), 12, "no number twice");
    assert!(numbers(&all[6..]).iter().all(|number| numbers(&first).iter().all(|before| before < number)));
    all_enter(&gateways, &all);
    nobody_before(start_of(&room), &redis.url(), &all);
}
