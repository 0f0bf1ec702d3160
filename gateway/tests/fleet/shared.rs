//! Two gateways and one line: whatever a shopper does at one counts at the other, and without Redis
//! no shopper loses anything.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::common::line::{self, last_tickets, pass_id, room, tickets};
use crate::common::redis::RedisServer;
use crate::common::{FETCH, JSON, Shop, Weir, config, until, until_true, weir};
use policy::line::segment::{SPAN, base_at};

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
    let refused = || b.get("/launch/a.css", &[FETCH, ("Cookie", &pass)]).status == 429;
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
    let last = waiting[0].0 / SPAN * SPAN + a.room()["next"].as_u64().unwrap();

    redis.kill();
    until_true("both have noticed", || a.room()["store_away"] == true && b.room()["store_away"] == true);
    let mut kept = Vec::new();
    for weir in [&a, &b, &a, &b] {
        assert!(weir.get("/launch/item", &[JSON, ("Cookie", &inside)]).is_shop(), "a pass needs no store");
        let arrival = weir.get("/launch/item", &[JSON]);
        assert!(arrival.is_line() && arrival.waiting()["ticket"].is_null(), "a place is kept: {arrival:?}");
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
        let number = until("the place has a number", || b.get("/launch/item", &[JSON, ("Cookie", cookie)]).number());
        assert!(number > last && numbers.insert(number, cookie).is_none(), "{number} of {numbers:?}");
    }
    assert!(a.get("/launch/item", &[JSON, ("Cookie", &inside)]).is_shop());
    let ids: HashSet<String> = numbers.values().map(|cookie| pass_id(&a, cookie)).collect();
    assert_eq!(ids.len(), numbers.len(), "everybody came in, each with a pass of their own");
    for weir in [&a, &b] {
        weir.is_well();
    }
}

fn unit_of_now() -> u64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    base_at(wall) / SPAN
}

/// After a loss: all shoppers of before stand where they stood, newcomers behind them, no number twice, and all come in.
fn nobody_is_lost(gateways: &[&Weir], before: &[(u64, String)]) {
    for (was, cookie) in before {
        for weir in gateways {
            let answer = weir.get("/launch/item", &[JSON, ("Cookie", cookie)]);
            assert!(answer.is_shop() || answer.ticket() == *was, "{was} lost their place: {answer:?}");
        }
    }
    let after = last_tickets(gateways, 6);
    let last = before.iter().map(|(number, _)| *number).max().unwrap();
    assert!(after.iter().all(|(number, _)| *number > last), "newcomers stand behind {last}: {after:?}");
    let all: HashSet<u64> = before.iter().chain(&after).map(|(number, _)| *number).collect();
    assert_eq!(all.len(), before.len() + after.len(), "no number is given twice");
    let ids: HashSet<String> = before.iter().chain(&after).map(|(_, cookie)| pass_id(gateways[0], cookie)).collect();
    assert_eq!(ids.len(), all.len(), "everybody came in, each with a pass of their own");
}

/// A shopper who has claimed a ticket: the cookie of it, and the id of the pass.
fn claimed(weir: &Weir) -> (String, String) {
    let (_, ticket) = tickets(&[weir], 1).swap_remove(0);
    let id = pass_id(weir, &ticket);
    (ticket, id)
}

#[test]
fn flushall_in_mid_line_costs_nobody_their_place_and_repeats_no_claim() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let room = room(600);
    let (a, b) = (gateway(&redis, shop.address, &room), gateway(&redis, shop.address, &room));
    let (ticket, id) = claimed(&a);
    let waiting = last_tickets(&[&a, &b], 6);
    until_true("both know how many are in", || a.room()["admitted"] == b.room()["admitted"]);
    let before = a.room();
    assert_eq!(redis.command("FLUSHALL"), "+OK");
    let noticed = |weir: &Weir| weir.room()["earlier_segments"] == 1;
    until_true("both have noticed", || noticed(&a) && noticed(&b));
    for weir in [&a, &b] {
        assert!(weir.metric(r#"weir_room_losses_total{room="launch"}"#) >= 1.0);
        until_true("the log says it", || weir.log().contains("the store has lost writes"));
    }
    nobody_is_lost(&[&a, &b], &waiting);
    let admitted = |room: &serde_json::Value| room["admitted"].as_u64().unwrap();
    until_true("nobody claims any more", || a.room()["claimants"] == 0);
    let known = admitted(&a.room());
    assert!(known >= admitted(&before) + waiting.len() as u64, "{known} after {before}");
    assert_eq!(pass_id(&b, &ticket), id, "a claim from before gives the same pass at the other gateway");
    assert_eq!(admitted(&b.room()), known, "and is not counted again");
}

#[test]
fn seats_of_which_nobody_knows_after_a_loss_count_as_taken_for_a_session() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let room = room(600) + "total_active_users = 3\nsession_duration = \"6s\"\n";
    let (dies, lives) = (gateway(&redis, shop.address, &room), gateway(&redis, shop.address, &room));
    for _ in 0..3 {
        until_true("somebody is inside", || dies.get("/launch/item", &[JSON]).is_shop());
    }
    until_true("both know that it is full", || lives.room()["active_users"] == 3);
    let waits = lives.get("/launch/item", &[JSON]).cookie().unwrap();

    let before = Instant::now();
    dies.kill();
    assert_eq!(redis.command("FLUSHALL"), "+OK");
    until_true("the loss is noticed", || lives.room()["earlier_segments"] == 1);
    assert_eq!(lives.room()["active_users"], 3, "the passes were known to the other one alone");
    pass_id(&lives, &waits);
    assert!(before.elapsed() >= Duration::from_secs(6), "somebody else may have sat there: {:?}", before.elapsed());
}

#[test]
fn redis_killed_and_started_empty_costs_nobody_their_place() {
    let (mut redis, shop) = (RedisServer::start(), Shop::open());
    let room = room(600);
    let (a, b) = (gateway(&redis, shop.address, &room), gateway(&redis, shop.address, &room));
    let waiting = last_tickets(&[&a, &b], 6);
    redis.kill();
    until_true("both have noticed", || a.room()["store_away"] == true && b.room()["store_away"] == true);
    let kept = a.get("/launch/item", &[JSON]);
    assert!(kept.waiting()["ticket"].is_null(), "a place is kept: {kept:?}");
    redis.restart();
    until_true("both are back", || a.room()["store_away"] == false && b.room()["store_away"] == false);
    let number = until("the place has a number", || {
        a.get("/launch/item", &[JSON, ("Cookie", &kept.cookie().unwrap())]).number()
    });
    assert!(waiting.iter().all(|(before, _)| *before < number), "{number} stands behind {waiting:?}");
    nobody_is_lost(&[&a, &b], &waiting);
}

#[test]
fn redis_that_comes_back_from_an_old_file_gives_no_number_twice() {
    let (mut redis, shop) = (RedisServer::start(), Shop::open());
    let room = room(600);
    let (a, b) = (gateway(&redis, shop.address, &room), gateway(&redis, shop.address, &room));
    let mut waiting = last_tickets(&[&a], 6);
    assert_eq!(redis.command("SAVE"), "+OK");
    waiting.extend(last_tickets(&[&a, &b], 6));
    redis.kill();
    redis.restart();
    until_true("both have noticed", || [&a, &b].iter().all(|weir| weir.room()["earlier_segments"] == 1));
    nobody_is_lost(&[&a, &b], &waiting);
}

#[test]
fn when_redis_and_every_gateway_are_gone_the_cookies_of_shoppers_build_the_line_again() {
    let (mut redis, shop) = (RedisServer::start(), Shop::open());
    let old = gateway(&redis, shop.address, &room(600));
    let inside = until("somebody is inside", || {
        let answer = old.get("/launch/item", &[JSON]);
        answer.is_shop().then(|| answer.cookie().unwrap())
    });
    let waiting = last_tickets(&[&old], 6);
    // A line that begins within the same four seconds as the one before could not tell their numbers apart.
    until_true("another segment could be opened", || unit_of_now() > old.room()["segment"].as_u64().unwrap());
    drop(old.kill());
    redis.kill();
    redis.restart();

    // One enters in ten seconds: the line still stands when they come back.
    let weir = gateway(&redis, shop.address, &room(6));
    let newcomer = until("the line has begun", || {
        let answer = weir.get("/launch/item", &[JSON]);
        answer.number().is_some().then_some(answer)
    });
    assert!(weir.get("/launch/item", &[JSON, ("Cookie", &inside)]).is_shop(), "a pass is worth what it was");
    for (was, cookie) in &waiting {
        assert_eq!(weir.get("/launch/item", &[JSON, ("Cookie", cookie)]).ticket(), *was);
    }
    until_true("the old line stands before the new one", || weir.room()["earlier_segments"] == 1);
    until_true("it is known who is inside", || weir.room()["active_users"].as_u64() >= Some(1));
    let (last, new) = (waiting[5].0 % SPAN, newcomer.ticket() % SPAN);
    let position = until("positions can be told again", || {
        weir.get("/launch/item", &[JSON, ("Cookie", &newcomer.cookie().unwrap())]).waiting()["position"].as_u64()
    });
    assert!(position > new && position <= last + new, "{position} with {last} before");
    weir.is_well();
}

#[test]
fn a_gateway_begins_without_redis_and_joins_the_line_when_it_comes() {
    let (mut redis, shop) = (RedisServer::durable(), Shop::open());
    redis.kill();
    let weir = gateway(&redis, shop.address, &room(600));
    let arrival = weir.get("/launch/item", &[JSON]);
    assert!(arrival.waiting()["ticket"].is_null(), "{arrival:?}");
    until_true("the log says it", || weir.log().contains("the store in Redis"));
    redis.restart();
    pass_id(&weir, &arrival.cookie().unwrap());
}

#[test]
fn no_gateway_makes_up_a_secret_that_others_must_share() {
    let dir = tempfile::tempdir().unwrap();
    let store = "[store]\nkind = \"redis\"\nurl = \"redis://127.0.0.1:1\"\nsecret_file = \"shared.secret\"\n";
    std::fs::write(dir.path().join("weir.toml"), config(crate::common::nobody(), &room(600)) + store).unwrap();
    let (code, told) = weir(&["serve", "--config", "weir.toml"], dir.path());
    assert!(code != 0 && told.contains("shared.secret") && told.contains("is not made"), "{told}");
    assert!(!dir.path().join("shared.secret").exists());
}
