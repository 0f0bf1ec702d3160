//! What operators do to three gateways at once: who waits is let in before the time, an event is started, a pass ends, and the same
//! action that comes to two gateways is one.
#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value as Json, json};

use crate::common::events::{event, in_ms};
use crate::common::fault::{Fault, Faulty};
use crate::common::line::{gateway, gateway_with, pass_id, room, tickets};
use crate::common::redis::RedisServer;
use crate::common::{Answer, FETCH, JSON, Shop, Weir, request, until, until_true, weir};

fn act(to: &Weir, action: &str, body: &Json) -> Answer {
    let url = format!("/api/rooms/launch/actions/{action}");
    request(to.admin, "POST", &url, &[("Content-Type", "application/json")], &body.to_string())
}

fn done(to: &Weir, action: &str, body: &Json) -> Json {
    let answer = act(to, action, body);
    assert_eq!(answer.status, 200, "{action}: {answer:?}");
    answer.json()
}

fn refused(to: &Weir, action: &str, body: &Json, status: u16) -> String {
    let answer = act(to, action, body);
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (status, Some("application/problem+json")),
        "{answer:?}"
    );
    answer.json()["detail"].as_str().unwrap().to_owned()
}

fn lines(of: &Weir) -> Vec<Json> {
    let answer = request(of.admin, "GET", "/api/audit", &[], "");
    answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn all_know_each_other(gateways: &[&Weir]) {
    let known = |weir: &Weir| request(weir.admin, "GET", "/api/gateways", &[], "").json().as_array().unwrap().len();
    until_true("all know each other", || gateways.iter().all(|weir| known(weir) == gateways.len()));
}

fn three(redis: &RedisServer, shop: &Shop, room: &str) -> [Weir; 3] {
    let gateways = [(); 3].map(|()| gateway(redis.address, shop.address, room));
    all_know_each_other(&gateways.each_ref());
    gateways
}

fn comes(weir: &Weir, cookie: &str) -> Answer {
    weir.get("/launch/item", &[JSON, ("Cookie", cookie)])
}

/// Both calls leave at one moment, each to its gateway.
fn at_once(gateways: [&Weir; 2], action: &str, body: &Json) -> [Answer; 2] {
    std::thread::scope(|scope| {
        let call = |weir| scope.spawn(move || act(weir, action, body));
        gateways.map(call).map(|call| call.join().unwrap())
    })
}

#[test]
fn who_waits_is_let_in_once_by_two_gateways_at_once_and_not_again_after_a_loss() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    // Nobody enters by the rate while the test runs.
    let gateways = three(&redis, &shop, &room(60));
    let [a, b, c] = gateways.each_ref();
    let people = tickets(&[a, b, c], 40);
    until_true("they wait", || a.room()["waiting"].as_u64() > Some(35));
    assert!(
        refused(a, "let-in", &json!({ "why": "a test", "shoppers": 61 }), 422).contains("a minute of the rate is 60")
    );
    assert!(refused(a, "let-in", &json!({ "why": "a test", "shoppers": 0 }), 422).contains("0 shoppers"));

    let order = json!({ "why": "they waited long", "shoppers": 30, "id": "let-30" });
    let both = at_once([a, b], "let-in", &order);
    let versions = both.each_ref().map(|answer| answer.json()["version"].clone());
    assert!(both.iter().all(|answer| answer.status == 200) && versions[0] == versions[1], "{both:?}");
    assert_eq!(
        both[0].json()["changes"].as_array().map_or(0, Vec::len)
            + both[1].json()["changes"].as_array().map_or(0, Vec::len),
        1
    );
    let (front, before) = (people[..25].to_vec(), a.room()["admitted"].as_u64().unwrap());
    std::thread::scope(|scope| {
        for (at, (number, cookie)) in front.iter().enumerate() {
            let weir = [a, b, c][at % 3];
            scope.spawn(move || until_true(&format!("{number} is in"), || comes(weir, cookie).is_shop()));
        }
    });
    let owed = until("the line owes", || a.room()["owed"].as_u64().filter(|owed| *owed > 5));
    let admitted = a.room()["admitted"].as_u64().unwrap();
    assert!(owed <= 30 && admitted >= before, "{owed} of 30");
    let let_in = lines(a).into_iter().filter(|line| line["action"] == "let-in" && line["refused"] == Json::Null);
    assert_eq!(let_in.map(|line| line["with"].clone()).collect::<Vec<_>>(), ["30"], "it is marked once");

    // A store that has lost everything gets the rooms back, and gives nothing again.
    assert_eq!(redis.command("FLUSHALL"), "+OK");
    until_true("the rooms are given back", || {
        request(c.admin, "GET", "/api/versions", &[], "").json()["versions"][0]["number"] == versions[0]
    });
    until_true("the line is there", || c.room()["earlier_segments"].as_u64() > Some(0));
    assert!(c.room()["owed"].as_u64() <= Some(owed), "{}", c.room());
    for weir in &gateways {
        weir.is_well();
    }
}

#[test]
fn an_event_is_started_now_on_three_gateways_and_no_way_back_starts_it_again() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let hours = 3_600_000;
    let text = room(6_000)
        + &event(hours, 2 * hours, "")
        + &format!(
            "[[room.event]]\nname = \"later\"\nevent_start_time = \"{}\"\nevent_end_time = \"{}\"\n",
            in_ms(10 * hours),
            in_ms(11 * hours)
        );
    let gateways = three(&redis, &shop, &text);
    let [a, b, c] = gateways.each_ref();
    let first = json!({ "why": "a version to go back to", "to": 5_900 });
    assert_eq!(done(a, "rate", &first)["version"], 1);
    let people: Vec<(usize, String)> = (0..9)
        .map(|n| {
            let answer = gateways[n % 3].get("/launch/item", &[JSON]);
            assert!(answer.is_line() && answer.waiting()["isEventPrequeueing"] == true, "{answer:?}");
            (n % 3, answer.cookie().unwrap())
        })
        .collect();
    let ends = b.room()["next_event_start_time"].clone();
    assert!(ends.is_string() && shop.seen().is_empty(), "nobody enters before the start");

    assert!(refused(b, "start-event", &json!({ "why": "a test" }), 422).contains("the name of the room is typed"));
    let named = |event: &str| json!({ "why": "a test", "confirm": "launch", "event": event });
    assert!(refused(b, "start-event", &named("dorp"), 422).contains("no event \"dorp\""));
    let order = json!({ "why": "all is ready", "confirm": "launch", "id": "start" });
    let both = at_once([b, c], "start-event", &order);
    assert!(both.iter().all(|answer| answer.status == 200 && answer.json()["version"] == 2), "{both:?}");
    std::thread::scope(|scope| {
        for (at, cookie) in &people {
            let weir = &gateways[*at];
            scope.spawn(move || until_true("it has started here", || comes(weir, cookie).is_shop()));
        }
    });
    until_true("all say so", || {
        gateways.iter().all(|weir| weir.room()["event_id"] == "drop" && weir.room()["event_prequeueing"] == false)
    });
    assert!(refused(a, "start-event", &named("drop"), 409).contains("runs already"));
    assert!(
        refused(a, "start-event", &json!({ "why": "a test", "confirm": "launch" }), 422)
            .contains("no event of the room")
    );

    // The end stays; no way back starts it again, not even around a version in which it does not take place.
    let kept = request(a.admin, "GET", "/api/versions/2", &[], "").body;
    let end = |text: &str| text.lines().find(|line| line.starts_with("event_end_time")).unwrap().to_owned();
    assert_eq!(end(&kept), end(&text));
    let operator = |arguments: &[&str]| {
        let admin = a.admin.to_string();
        weir(&[arguments, &["--admin", &admin]].concat(), a.dir.path())
    };
    let (code, said) = operator(&["rollback", "--to", "1"]);
    assert!(code == 1 && said.contains("an event starts once"), "{said}");
    let without = kept.replacen("[[room.event]]\n", "[[room.event]]\nsuspended = true\n", 1);
    std::fs::write(a.dir.path().join("rooms.toml"), without).unwrap();
    assert_eq!(operator(&["apply", "rooms.toml"]).0, 0);
    for to in ["1", "0"] {
        let (code, said) = operator(&["rollback", "--to", to]);
        assert!(code == 1 && said.contains("was started at") && said.contains("an event starts once"), "{to}: {said}");
    }
    for weir in &gateways {
        weir.is_well();
    }
}

#[test]
fn a_revoked_pass_ends_at_every_gateway_and_its_seat_is_free_once() {
    let (redis, shop) = (RedisServer::durable(), Shop::open());
    let text = room(600) + "total_active_users = 2\n";
    let [a, b, c] = three(&redis, &shop, &text);
    let enter = |weir: &Weir| {
        until("somebody is in", || Some(weir.get("/launch/item", &[JSON])).filter(Answer::is_shop)).cookie().unwrap()
    };
    let (one, two) = (enter(&a), enter(&b));
    let ids = [pass_id(&c, &one), pass_id(&a, &two)];
    assert_ne!(ids[0], ids[1]);
    let inside = |weir: &Weir, cookie: &str| weir.get("/launch/a.css", &[FETCH, ("Cookie", cookie)]).is_shop();
    for (pass, status, told) in [("x", 422, "no id of a pass"), ("1.1", 422, "was given to nobody"), ("", 422, "no id")]
    {
        assert!(refused(&b, "revoke", &json!({ "why": "a test", "pass": pass }), status).contains(told));
    }

    let order = json!({ "why": "it was sold on", "pass": ids[0], "id": "revoke-1" });
    let both = at_once([&b, &c], "revoke", &order);
    for answer in &both {
        let told = answer.json();
        assert_eq!((answer.status, &told["version"], &told["from"]), (200, &json!(0), &json!(0)), "{answer:?}");
        let says = told["gateways"].as_array().unwrap();
        assert!(says.len() == 3 && says.iter().all(|told| told["in_force_after"].is_number()), "{told}");
    }
    // Each has said so before the answer came.
    assert!([&a, &b, &c].iter().all(|weir| !inside(weir, &one) && inside(weir, &two)));
    until_true("the seat is free", || a.room()["active_users"] == 1);
    let line = lines(&a).into_iter().filter(|line| line["action"] == "revoke" && line["refused"] == Json::Null);
    assert_eq!(
        line.map(|line| line["with"].clone()).collect::<Vec<_>>(),
        [json!(ids[0])],
        "one line, without a version"
    );
    let third = enter(&c);
    until_true("the third has it", || a.room()["active_users"] == 2);

    // A restart of a gateway, and of the store, changes nothing of it.
    let a = Weir::start_in(a.kill());
    assert!(!inside(&a, &one) && inside(&a, &two));
    assert_eq!(redis.command("FLUSHALL"), "+OK");
    until_true("the line is given back", || {
        b.room()["earlier_segments"].as_u64() > Some(0) && b.room()["active_users"] == 2
    });
    assert!([&a, &b, &c].iter().all(|weir| !inside(weir, &one) && inside(weir, &two) && inside(weir, &third)));
    let admin = b.admin.to_string();
    // The process that was killed is named too, for as long as it might be cut off.
    let (_, said) = weir(&["revoke", "launch", &ids[1], "--why", "a test", "--admin", &admin], b.dir.path());
    assert!(said.contains("revoked in room \"launch\"") && said.matches(": in force after").count() == 3, "{said}");
    assert!(!inside(&c, &two));
    for weir in [a, b, c] {
        weir.is_well();
    }
}

#[test]
fn places_by_code_are_given_apart_by_three_gateways_and_outlive_the_store_and_a_gateway() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let [a, b, c] = three(&redis, &shop, &room(600));
    let why = |id: &str| json!({ "why": "their order failed", "id": id });
    // The same action at two gateways is one place; two actions at one moment are two.
    let both = at_once([&a, &b], "give-place", &why("one")).map(|answer| answer.json());
    assert!(both[0]["place"]["code"].is_string() && both[0]["place"] == both[1]["place"], "{both:?}");
    let says = both[0]["gateways"].as_array().unwrap();
    assert!(says.len() == 3 && says.iter().all(|told| told["in_force_after"].is_number()), "{both:?}");
    assert_eq!((&both[0]["version"], &both[0]["from"]), (&json!(0), &json!(0)));
    let more: Vec<Json> = std::thread::scope(|scope| {
        let give = |(at, weir): (usize, _)| scope.spawn(move || done(weir, "give-place", &why(&format!("more-{at}"))));
        let all: Vec<_> = [&a, &b, &c].into_iter().enumerate().map(give).collect();
        all.into_iter().map(|call| call.join().unwrap()["place"].clone()).collect()
    });
    let mut ids: Vec<&str> =
        more.iter().chain([&both[0]["place"]]).map(|place| place["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4, "{more:?}");

    let take = |weir: &Weir, place: &Json| {
        let taken = weir.send("POST", place["path"].as_str().unwrap(), &[JSON], "");
        assert_eq!(taken.status, 200, "{taken:?}");
        taken.cookie().unwrap()
    };
    let enters = |weir: &Weir, place: &Json| pass_id(weir, &take(weir, place));
    // One code in two hands, at two gateways.
    assert_eq!(enters(&a, &more[0]), more[0]["id"]);
    assert_eq!(enters(&c, &more[0]), more[0]["id"], "the same pass");
    let admitted = |weir: &Weir| weir.room()["admitted"].as_u64().unwrap();
    until_true("one has entered by two", || admitted(&b) == 1);

    // The store loses everything, and the gateway that gave a place is gone.
    let [_, place, third] = &more[..] else { panic!("three") };
    let dir = b.kill();
    assert_eq!(redis.command("FLUSHALL"), "+OK");
    until_true("the line is given back", || {
        c.room()["lost_ms"].as_u64() == a.room()["lost_ms"].as_u64() && c.room()["active_users"] == 1
    });
    assert_eq!(enters(&c, place), place["id"]);
    assert_eq!(enters(&a, &more[0]), more[0]["id"], "still the same pass");
    let b = Weir::start_in(dir);
    assert_eq!(enters(&b, third), third["id"]);
    until_true("three have entered", || admitted(&a) == 3);
    let next = done(&b, "give-place", &why("after"));
    assert!(!ids.contains(&next["place"]["id"].as_str().unwrap()), "no number is given twice: {next}");
    until_true("all count them", || a.metric("weir_room_places_given_total{room=\"launch\"}") == 5.0);
    for weir in [a, b, c] {
        weir.is_well();
    }
}

#[test]
fn of_three_gateways_one_that_is_cut_off_is_told_of_and_the_others_have_it() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let text = room(60).replace("burst = 1", "burst = 60") + "fail_mode = \"static\"\n";
    let link = Faulty::to(redis.spoken_to());
    let [a, b] = [(); 2].map(|()| gateway(redis.address, shop.address, &text));
    let c = gateway_with(&format!("url = \"redis://{}\"\n", link.address), shop.address, &text);
    all_know_each_other(&[&a, &b, &c]);
    link.set(Fault::Cut);
    for action in ["pause", "revoke"] {
        let mut body = json!({ "why": "a test" });
        if action == "revoke" {
            body["pass"] = json!(id_of_a_place(&a));
        }
        let told = done(&a, action, &body);
        let says = told["gateways"].as_array().unwrap();
        let there = says.iter().filter(|told| told["in_force_after"].is_number()).count();
        let silent: Vec<&Json> = says.iter().filter(|told| told["in_force_after"].is_null()).collect();
        assert!(says.len() == 3 && there == 2 && silent.len() == 1, "{told}");
        assert!(silent[0]["says"].as_str().unwrap().starts_with("not heard: "), "{told}");
        if action == "pause" {
            assert!(silent[0]["may_let_in"].as_u64().is_some_and(|most| most <= 33) && silent[0]["until"].is_string());
        }
    }
    link.set(Fault::None);
    until_true("it hears of it", || c.room()["state"] == "paused");
    for weir in [a, b, c] {
        weir.is_well();
    }
}

/// The id of a place that a newcomer takes in a room that lets nobody in.
fn id_of_a_place(weir: &Weir) -> String {
    let number = until("a newcomer has a number", || weir.get("/launch/item", &[JSON]).number());
    format!("{}.{}", number >> 25, number % (1 << 25))
}

#[test]
fn a_gateway_without_a_word_of_the_store_does_nothing_and_says_so() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let link = Faulty::to(redis.spoken_to());
    link.set(Fault::Cut);
    let store = format!("url = \"redis://{}\"\n", link.address);
    let weir = gateway_with(&store, shop.address, &room(60));
    let told = refused(&weir, "pause", &json!({ "why": "a test" }), 503);
    assert!(told.contains("the store has not answered yet"), "{told}");
    link.set(Fault::None);
    until_true("it is done once the store answers", || act(&weir, "pause", &json!({ "why": "a test" })).status == 200);
    weir.is_well();
}

#[test]
fn a_stop_ends_the_passes_of_a_line_whose_time_is_ahead_after_a_loss() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let text = room(600) + "session_duration = \"3h\"\n";
    let (a, b) = (gateway(redis.address, shop.address, &text), gateway(redis.address, shop.address, &text));
    let pass =
        until("somebody is in", || Some(a.get("/launch/item", &[JSON])).filter(Answer::is_shop)).cookie().unwrap();
    let inside = |weir: &Weir, cookie: &str| weir.get("/launch/a.css", &[FETCH, ("Cookie", cookie)]).is_shop();
    // The line goes on an hour ahead of the clock of its store, as after a failover to a server whose clock is behind.
    let ahead = 3_600_000;
    for field in ["skew", "now"] {
        redis.command(&format!("HINCRBY weir:{{launch}}:2:line {field} {ahead}"));
    }
    let line_time = |weir: &Weir| weir.room()["store_time_ms"].as_u64().unwrap();
    let before = line_time(&a);
    until_true("both know its time", || [&a, &b].iter().all(|weir| line_time(weir) > before + ahead / 2));
    let later =
        until("another one is in", || Some(b.get("/launch/item", &[JSON])).filter(Answer::is_shop)).cookie().unwrap();
    let reason = json!({ "why": "a test", "confirm": "launch" });
    done(&a, "stop", &reason);
    done(&a, "reopen", &reason);
    for weir in [&a, &b] {
        until_true("it is open again", || weir.room()["state"] == "running");
        assert!(!inside(weir, &pass) && !inside(weir, &later), "both passes were ended, that of the time ahead too");
    }
    let anew = until("who comes anew is in", || Some(b.get("/launch/item", &[JSON])).filter(Answer::is_shop));
    assert!(inside(&a, &anew.cookie().unwrap()));
    for weir in [a, b] {
        weir.is_well();
    }
}
