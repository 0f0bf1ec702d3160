//! Many rooms: a dormant one costs nothing, and is there as ever when something happens.
//!
//! Counted are the commands of a real Redis, also those inside scripts. Nothing is asserted of times.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::common::redis::RedisServer;
use crate::common::{JSON, Shop, Weir, config, line, request, until, until_true, weir};

/// Rooms named `r0`, `r1`, .. on hosts and paths of their own.
fn rooms(count: usize) -> String {
    let room = |n| {
        format!(
            "[[room]]\nname = \"r{n}\"\nhost = \"*\"\npath = \"/r{n}\"\nnew_users_per_minute = 6000\nvisits_per_minute = 0\n"
        )
    };
    (0..count).map(room).collect()
}

fn status(weir: &Weir, room: &str) -> serde_json::Value {
    serde_json::from_str(&request(weir.admin, "GET", &format!("/api/rooms/{room}/status"), &[], "").body).unwrap()
}

/// How often Redis has run these.
fn calls<const N: usize>(redis: &RedisServer, commands: [&str; N]) -> [u64; N] {
    let info = redis.command("INFO commandstats");
    let of = |command: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")))?;
        line.split(',').next()?.parse().ok()
    };
    commands.map(|command| of(command).unwrap_or(0))
}

/// All commands that Redis has run.
fn all_calls(redis: &RedisServer) -> u64 {
    let info = redis.command("INFO commandstats");
    let counts = info.lines().filter_map(|line| line.split_once(":calls=")?.1.split(',').next()?.parse::<u64>().ok());
    counts.sum()
}

/// When a room's line last lived, in the time of the store.
fn lived(redis: &RedisServer, room: &str) -> String {
    redis.command(&format!("HGET weir:{{{room}}}:line now"))
}

const ROOMS: usize = 300;

/// Measured while Redis answers within its second: on a busy machine it may not, and then every room is looked at.
fn while_redis_answers<T>(weir: &Weir, mut measure: impl FnMut() -> T) -> T {
    for _ in 0..6 {
        until_true("nothing happens anywhere", || weir.metric("weir_rooms_dormant") == ROOMS as f64);
        let failed = weir.metric("weir_store_calls_total{result=\"failed\"}");
        let measured = measure();
        if weir.metric("weir_store_calls_total{result=\"failed\"}") == failed {
            return measured;
        }
    }
    panic!("Redis does not answer:\n{}", weir.log());
}

#[test]
fn rooms_in_which_nothing_happens_cost_no_command_and_busy_ones_only_their_own() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let weir = line::gateway(redis.address, shop.address, &rooms(ROOMS));

    // Idle. HMGET is run once for each look at a room, and EVALSHA is all that gateways send.
    let [looks, sent, commands] = while_redis_answers(&weir, || {
        let count = || {
            let [looks, sent] = calls(&redis, ["hmget", "evalsha"]);
            [looks, sent, all_calls(&redis)]
        };
        let before = count();
        std::thread::sleep(Duration::from_secs(2));
        let after = count();
        [0, 1, 2].map(|i| after[i] - before[i])
    });
    assert_eq!(looks, 0, "no room is looked at");
    assert!(sent > 0 && commands <= 10 * (sent + 1), "{commands} commands in {sent} calls");

    // Ten are busy: a shopper comes to each of them again and again.
    let lives = || (10..ROOMS).map(|n| lived(&redis, &format!("r{n}"))).collect::<Vec<_>>();
    let (idle, left, asked, looks, elapsed) = while_redis_answers(&weir, || {
        let (idle, [before], begin) = (lives(), calls(&redis, ["hmget"]), Instant::now());
        let mut asked = 0;
        for _ in 0..8 {
            for n in 0..10 {
                asked += u64::from(weir.get(&format!("/r{n}/item"), &[JSON]).is_shop());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let ([after], elapsed) = (calls(&redis, ["hmget"]), begin.elapsed().as_millis() as u64);
        (idle, lives(), asked, after - before, elapsed)
    });
    assert_eq!(asked, 80, "everybody is let in");
    // One for each request, and ten a second for each busy room.
    assert!(looks >= asked && looks <= asked + 10 * (elapsed / 100 + 2), "{looks} for {asked} in {elapsed} ms");
    assert_eq!(left, idle, "the others are left alone");
    assert!(!weir.log().contains("panicked"), "{}", weir.log());
}

/// Two gateways in front of one shop, in both of which the room is dormant.
struct Fleet {
    redis: RedisServer,
    a: Weir,
    b: Weir,
    _shop: Shop,
}

impl Fleet {
    fn start(redis: RedisServer, room: &str) -> Self {
        let shop = Shop::open();
        let gateway = |shop: SocketAddr| line::gateway(redis.address, shop, room);
        let (a, b) = (gateway(shop.address), gateway(shop.address));
        let fleet = Self { redis, a, b, _shop: shop };
        fleet.fall_asleep();
        fleet
    }

    fn fall_asleep(&self) {
        let dormant = |weir: &Weir| weir.room()["dormant"] == true;
        until_true("nothing happens at either gateway", || dormant(&self.a) && dormant(&self.b));
    }
}

#[test]
fn what_happens_at_one_gateway_is_seen_by_the_other_though_both_had_left_the_room_alone() {
    let fleet = Fleet::start(RedisServer::start(), &line::room(600));
    let (a, b) = (&fleet.a, &fleet.b);
    // A pass of the one is given back at the other, and refused at the first.
    let answer = a.get("/launch/item", &[JSON]);
    assert!(answer.is_shop(), "a room that was left alone lets people in at once: {answer:?}");
    let pass = answer.cookie().unwrap();
    until_true("the other gateway knows of the pass", || b.room()["admitted"] == 1 && b.room()["active_users"] == 1);
    assert_eq!(b.get("/launch/revoke", &[("Cookie", &pass)]).status, 200);
    let refused = || a.get("/launch/a.css", &[crate::common::FETCH, ("Cookie", &pass)]).status == 429;
    until_true("the first gateway knows that it was given back", refused);
    fleet.fall_asleep();

    // A line of one gateway stands at the other.
    let waiting = line::last_tickets(&[a], 6);
    until_true("the line stands at the other gateway", || b.room()["waiting"].as_u64() > Some(0));
    for (number, cookie) in &waiting {
        let answer = b.get("/launch/item", &[JSON, ("Cookie", cookie)]);
        assert!(answer.is_shop() || answer.ticket() == *number, "{answer:?}");
    }
    let behind = b.get("/launch/item", &[JSON]);
    assert!(behind.is_shop() || behind.ticket() > waiting[5].0, "{behind:?} after {waiting:?}");
    for weir in [a, b] {
        weir.is_well();
    }
}

#[test]
fn a_store_that_is_emptied_is_noticed_in_rooms_that_were_left_alone() {
    let fleet = Fleet::start(RedisServer::start(), &line::room(600));
    let ticket = |weir: &Weir| until("somebody is in", || weir.get("/launch/item", &[JSON]).cookie());
    let pass = ticket(&fleet.a);
    assert_eq!(fleet.b.get("/launch/revoke", &[("Cookie", &pass)]).status, 200);
    fleet.fall_asleep();
    let given = fleet.a.room()["next"].as_u64().unwrap();

    assert_eq!(fleet.redis.command("FLUSHALL"), "+OK");
    let noticed = |weir: &Weir| weir.room()["earlier_segments"] == 1;
    until_true("both have noticed that all is lost", || noticed(&fleet.a) && noticed(&fleet.b));
    assert_eq!(fleet.b.room()["admitted"].as_u64(), Some(given), "and what they knew is given back");
    fleet.a.is_well();
    fleet.b.is_well();
}

#[test]
fn a_store_that_goes_away_is_noticed_in_rooms_that_were_left_alone_and_so_is_its_return() {
    let mut fleet = Fleet::start(RedisServer::durable(), &line::room(600));
    fleet.redis.kill();
    let away = |weir: &Weir| weir.room()["store_away"] == true;
    until_true("both have noticed that the store is gone", || away(&fleet.a) && away(&fleet.b));
    let kept = fleet.b.get("/launch/item", &[JSON]);
    assert!(kept.waiting()["ticket"].is_null(), "a place is kept: {kept:?}");
    fleet.redis.restart();
    until_true("both are back", || !away(&fleet.a) && !away(&fleet.b));
    let cookie = kept.cookie().unwrap();
    line::pass_id(&fleet.a, &cookie);
    fleet.a.is_well();
    fleet.b.is_well();
}

#[test]
fn a_change_of_the_rooms_reaches_those_that_are_left_alone_and_so_does_a_shop_that_is_gone() {
    let fleet = Fleet::start(RedisServer::start(), &line::room(600));
    let text = line::room(600) + "queue_all = true\n";
    std::fs::write(fleet.a.dir.path().join("rooms.toml"), text).unwrap();
    let admin = fleet.a.admin.to_string();
    let (code, told) = weir(&["apply", "rooms.toml", "--admin", &admin], fleet.a.dir.path());
    assert_eq!(code, 0, "{told}");
    let closed = |weir: &Weir| weir.room()["status"] == "queueing";
    until_true("nobody is let in at either gateway", || closed(&fleet.a) && closed(&fleet.b));
    let (one, other) = (fleet.a.get("/launch/item", &[JSON]), fleet.b.get("/launch/item", &[JSON]));
    assert_eq!(other.ticket(), one.ticket() + 1, "they stand in one line");
    until_true("both know who waits", || {
        let waiting = |weir: &Weir| weir.room()["waiting"].as_u64();
        waiting(&fleet.a) > Some(0) && waiting(&fleet.a) == waiting(&fleet.b)
    });

    // Opened again, they enter.
    let (code, told) = weir(&["rollback", "--to", "0", "--undo", "--admin", &admin], fleet.a.dir.path());
    assert_eq!(code, 0, "{told}");
    for (weir, answer) in [(&fleet.b, one), (&fleet.a, other)] {
        line::pass_id(weir, &answer.cookie().unwrap());
    }
}

#[test]
fn a_seat_that_ends_while_nobody_asks_is_free_at_every_gateway() {
    let fleet = Fleet::start(RedisServer::start(), &line::room(600));
    let one_seat = line::room(600) + "total_active_users = 1\nsession_duration = \"5s\"\n";
    std::fs::write(fleet.a.dir.path().join("rooms.toml"), one_seat).unwrap();
    let admin = fleet.a.admin.to_string();
    let (code, told) = weir(&["apply", "rooms.toml", "--admin", &admin], fleet.a.dir.path());
    assert_eq!(code, 0, "{told}");
    let pass = until("somebody sits", || {
        let answer = fleet.a.get("/launch/item", &[JSON]);
        if answer.is_shop() { answer.cookie() } else { None }
    });
    until_true("the seat is taken at both", || fleet.b.room()["active_users"] == 1);
    until_true("the seat is free at both", || [&fleet.a, &fleet.b].iter().all(|weir| weir.room()["active_users"] == 0));
    let next = until("somebody else sits", || {
        let answer = fleet.b.get("/launch/item", &[JSON]);
        if answer.is_shop() { answer.cookie() } else { None }
    });
    assert_ne!(next, pass);
}

#[test]
fn a_shop_that_is_gone_is_noticed_in_a_room_that_was_left_alone() {
    let shop = crate::common::nobody();
    let gone = line::room(600);
    let weir = Weir::start(&config(shop, &gone));
    until_true("nothing happens", || weir.room()["dormant"] == true);
    // The first request finds the room empty.
    until_true("the line stands", || {
        weir.get("/launch/item", &[JSON]);
        weir.room()["shop_rests"] == true
    });
    let waits = weir.get("/launch/item", &[JSON]);
    assert!(waits.is_line(), "newcomers wait: {waits:?}");
}

#[test]
fn with_the_embedded_store_idle_rooms_cost_no_call_either() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, &rooms(100)));
    until_true("nothing happens anywhere", || weir.metric("weir_rooms_dormant") == 100.0);
    let calls = || weir.metric("weir_store_calls_total{result=\"ok\"}");
    let before = calls();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(calls(), before);
    assert!(weir.get("/r7/item", &[JSON]).is_shop());
    assert!(calls() > before && status(&weir, "r7")["admitted"] == 1 && status(&weir, "r8")["dormant"] == true);
}

#[test]
fn metrics_are_of_one_room_where_that_is_asked_and_leave_out_idle_rooms_where_that_is_set() {
    let shop = Shop::open();
    let text = format!("{}[metrics]\nidle_rooms = false\n", config(shop.address, &rooms(20)));
    let weir = Weir::start(&text);
    until_true("nothing happens anywhere", || weir.metric("weir_rooms_dormant") == 20.0);
    let told = |query: &str| request(weir.admin, "GET", &format!("/metrics{query}"), &[], "");
    assert!(!told("").body.contains("room=\"r"), "nothing has ever happened in any room");
    assert!(weir.get("/r7/item", &[JSON]).is_shop());
    let busy = told("").body;
    assert!(busy.contains("weir_room_admitted_total{room=\"r7\"} 1") && !busy.contains("room=\"r8\""), "{busy}");
    assert!(busy.contains("weir_connections "), "what is of no room is told");
    let one = told("?room=r8").body;
    let samples: Vec<&str> = one.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(!samples.is_empty() && samples.iter().all(|line| line.contains("room=\"r8\"")), "{one}");
    assert_eq!(told("?room=nobody").status, 404);
}
