//! Rooms by version, and gateways that know each other: what operators do, with real gateways.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::common::redis::RedisServer;
use crate::common::{CLOSED, JSON, Shop, Weir, config, request, until, until_true, weir};
use gateway::line::store::redis::Redis;
use gateway::line::store::registry::{Change, InForce, Registry as _, Switched};
use serde_json::Value as Json;

/// A gateway of those that share this Redis and one secret.
fn gateway(redis: &RedisServer, name: &str, text: &str) -> Weir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("shared.secret"), "one secret for all the gateways of a line").unwrap();
    let store = format!(
        "[store]\nkind = \"redis\"\nurl = \"{}\"\nsecret_file = \"shared.secret\"\n[node]\nname = \"{name}\"\n",
        redis.url()
    );
    std::fs::write(dir.path().join("weir.toml"), text.to_owned() + &store).unwrap();
    Weir::start_in(dir)
}

/// Runs `weir` as an operator of this gateway does.
fn operator(to: &Weir, arguments: &[&str]) -> (i32, String) {
    let admin = to.admin.to_string();
    weir(&[arguments, &["--admin", &admin]].concat(), to.dir.path())
}

/// Writes rooms into a file beside the gateway's, and applies it.
fn apply(to: &Weir, rooms: &str) -> (i32, String) {
    std::fs::write(to.dir.path().join("rooms.toml"), rooms).unwrap();
    operator(to, &["apply", "rooms.toml"])
}

fn api(admin: SocketAddr, path: &str) -> Json {
    let answer = request(admin, "GET", path, &[], "");
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

fn rate(weir: &Weir) -> f64 {
    weir.room()["new_users_per_minute"].as_f64().unwrap()
}

#[test]
fn rooms_are_applied_on_every_gateway_and_those_in_line_keep_their_place() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let text = config(shop.address, CLOSED);
    let gateways = ["a", "b", "c"].map(|name| gateway(&redis, name, &text));
    let ticket = gateways[0].get("/launch/item", &[JSON]);
    let cookie = ticket.cookie().unwrap();

    // Only the difference, then the change.
    let faster = CLOSED.replace("= 600", "= 1200");
    std::fs::write(gateways[0].dir.path().join("rooms.toml"), &faster).unwrap();
    let (code, told) = operator(&gateways[0], &["apply", "rooms.toml", "--dry-run"]);
    assert!(code == 0 && told.contains("new_users_per_minute: 600 -> 1200"), "{told}");
    assert!(told.contains("nothing was changed") && rate(&gateways[0]) == 600.0, "{told}");
    let (code, told) = operator(&gateways[0], &["apply", "rooms.toml"]);
    assert!(code == 0 && told.contains("version 1 is in force on 3 gateway(s)"), "{told}");
    for weir in &gateways {
        assert_eq!((rate(weir), weir.metric("weir_rooms_version")), (1200.0, 1.0));
        let again = weir.get("/launch/item", &[JSON, ("Cookie", &cookie)]);
        assert_eq!(again.ticket(), ticket.ticket(), "the place stays");
    }
    let (code, told) = operator(&gateways[0], &["apply", "rooms.toml"]);
    assert!(code == 0 && told.contains("no difference") && told.contains("nothing to do"), "{told}");

    // A new room, at another gateway; a gateway that starts later; back again.
    let two = format!("{faster}{}", CLOSED.replace("launch", "drop"));
    let (code, told) = apply(&gateways[1], &two);
    assert!(code == 0 && told.contains("room \"drop\": added") && told.contains("version 2"), "{told}");
    assert_eq!(gateways[2].get("/drop/item", &[JSON]).waiting()["inWaitingRoom"], true);
    let late = gateway(&redis, "d", &text);
    assert_eq!(rate(&late), 1200.0, "it begins with the rooms of the store");
    let (code, told) = operator(&late, &["rollback"]);
    assert!(code == 0 && told.contains("room \"drop\": removed") && told.contains("version 1 is in force"), "{told}");
    assert!(gateways[2].get("/drop/item", &[JSON]).is_shop(), "there is no such room any more");
    let (_, told) = operator(&gateways[0], &["versions"]);
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines.len() == 3 && lines[1].contains("in force") && lines[2].contains("launch, drop"), "{told}");
    assert_eq!(operator(&gateways[0], &["versions", "2"]), (0, format!("format = 2\n{two}")));
    let (code, told) = operator(&gateways[0], &["rollback", "--to", "0"]);
    assert!(code == 0 && told.contains("1200 -> 600"), "{told}");
    until_true("the rooms of the file are in force", || gateways.iter().all(|weir| rate(weir) == 600.0));
    let again = gateways[2].get("/launch/item", &[JSON, ("Cookie", &cookie)]);
    assert_eq!(again.ticket(), ticket.ticket());
    gateways.iter().for_each(Weir::is_well);
}

/// Keeps a text as a Weir did that wrote no format.
fn keep_as_before(redis: &RedisServer, text: &str) {
    let registry = Redis::at(&redis.url()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let kept = runtime.block_on(registry.switch(InForce::default(), Change::Add(text.into()))).unwrap();
    assert_eq!(kept, Switched::Now(InForce { switch: 1, number: 1 }));
}

#[test]
fn a_version_kept_when_a_path_meant_itself_alone_is_refused_and_can_be_replaced() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    keep_as_before(&redis, &CLOSED.replace("\"/launch\"", "\"/launch/item\""));
    let weir = gateway(&redis, "a", &config(shop.address, CLOSED));
    until_true("it is refused", || {
        weir.log().contains("rooms refused") && weir.log().contains("was kept as the path alone")
    });
    assert_eq!(weir.get("/launch/other", &[JSON]).waiting()["inWaitingRoom"], true, "the rooms of the file stay");
    assert_eq!(api(weir.admin, "/api/gateways")[0]["refused"]["version"], 1);

    let (code, told) = apply(&weir, CLOSED);
    assert!(code == 1 && told.contains("--from 1"), "{told}");
    let (code, told) = operator(&weir, &["apply", "rooms.toml", "--from", "1"]);
    assert!(code == 0 && told.contains("version 2 is in force on 1 gateway(s)"), "{told}");
    let (code, told) = operator(&weir, &["rollback", "--to", "1"]);
    assert!(code == 1 && told.contains("version 1 of the rooms:") && told.contains("apply the rooms again"), "{told}");
    assert!(operator(&weir, &["versions", "2"]).1.starts_with("format = 2\n"));
}

#[test]
fn a_version_kept_before_that_means_the_same_today_is_taken() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    keep_as_before(&redis, &CLOSED.replace("\"/launch\"", "\"/launch/*\"").replace("= 600", "= 1200"));
    let weir = gateway(&redis, "a", &config(shop.address, CLOSED));
    assert_eq!(rate(&weir), 1200.0);
}

#[test]
fn wrong_rooms_are_refused_with_their_lines_and_an_overtaken_change_is_told() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, CLOSED));
    let (code, told) = apply(&weir, &CLOSED.replace("new_users_per_minute", "new_user_per_minute"));
    assert!(code == 1 && told.contains(":6:1: room \"launch\"") && told.contains("did you mean"), "{told}");
    let (code, told) = apply(&weir, "");
    assert!(code == 1 && told.contains("room: is missing"), "{told}");
    let (code, told) = apply(&weir, &format!("{CLOSED}custom_page_html = \"none.html\"\n"));
    assert!(code == 1 && told.contains("none.html"), "{told}");
    assert_eq!(operator(&weir, &["versions"]).1.lines().count(), 1, "nothing was kept");

    assert_eq!(apply(&weir, &CLOSED.replace("600", "700")).0, 0);
    let (code, told) = operator(&weir, &["apply", "rooms.toml", "--from", "0"]);
    assert!(code == 1 && told.contains("version 1 is in force by now"), "{told}");
    let (code, told) = operator(&weir, &["rollback", "--to", "9"]);
    assert!(code == 1 && told.contains("no version 9"), "{told}");
    let (code, told) = as_a_browser(&weir);
    assert!(code == 403 && rate(&weir) == 700.0, "{told}");

    // The rooms of the file stand by, whatever becomes of them.
    let changed = std::fs::read_to_string(weir.config_file()).unwrap().replace("= 600", "= 1600");
    std::fs::write(weir.config_file(), changed).unwrap();
    until_true("it is said", || weir.log().contains("tables of the file stand by"));
    assert_eq!(rate(&weir), 700.0);

    // The rooms outlive the process.
    let weir = Weir::start_in(weir.kill());
    assert_eq!(rate(&weir), 700.0);
    let (code, told) = operator(&weir, &["rollback"]);
    assert!(code == 0 && told.contains("version 0 is in force on 1 gateway(s)"), "{told}");
    assert_eq!(rate(&weir), 1600.0);
    assert!(!weir.log().contains("panicked"));
}

/// Requests that a page in an operator's browser could send.
fn as_a_browser(weir: &Weir) -> (u16, String) {
    let headers = [("Origin", "http://evil.example"), ("Content-Type", "text/plain")];
    let answer = request(weir.admin, "POST", "/api/versions", &headers, &CLOSED.replace("600", "60000"));
    (answer.status, answer.body)
}

#[test]
fn what_is_no_change_at_all_is_refused_and_changes_nothing() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, CLOSED));
    let long = "#".repeat(2 << 20);
    for (method, path, body, status) in [
        ("POST", "/api/versions", long.as_str(), 413),
        ("POST", "/api/versions?from=x", CLOSED, 400),
        ("POST", "/api/versions?dry_run=perhaps", CLOSED, 400),
        ("POST", "/api/versions", "\0[[room]\n", 422),
        ("POST", "/api/versions?from=7", &CLOSED.replace("= 600", "= 700"), 409),
        ("PUT", "/api/versions", CLOSED, 405),
        ("PUT", "/api/versions/in-force?to=-1", "", 400),
        ("PUT", "/api/versions/in-force?to=18446744073709551615", "", 404),
        ("GET", "/api/versions/0", "", 404),
        ("GET", "/api/versions/x", "", 400),
    ] {
        let answer = request(weir.admin, method, path, &[], body);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
    }
    let bytes =
        b"POST /api/versions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\n\xff\xfe";
    assert_eq!(crate::common::raw(weir.admin, bytes).status, 400);
    let versions = api(weir.admin, "/api/versions");
    assert!(versions["in_force"] == 0 && versions["versions"].as_array().unwrap().is_empty(), "{versions}");
    weir.is_well();
}

#[test]
fn of_two_operators_who_apply_at_once_one_is_told() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let text = config(shop.address, CLOSED);
    let (a, b) = (gateway(&redis, "a", &text), gateway(&redis, "b", &text));
    for round in 1..=4 {
        let from = (round - 1).to_string();
        let made: Vec<(i32, String)> = std::thread::scope(|scope| {
            let both = [(&a, 70 + round), (&b, 80 + round)].map(|(weir, rate)| {
                let rooms = CLOSED.replace("= 600", &format!("= {rate}"));
                std::fs::write(weir.dir.path().join("rooms.toml"), rooms).unwrap();
                let from = &from;
                scope.spawn(move || operator(weir, &["apply", "rooms.toml", "--from", from]))
            });
            both.map(|operator| operator.join().unwrap()).into()
        });
        let (good, bad): (Vec<_>, Vec<_>) = made.iter().partition(|(code, _)| *code == 0);
        assert!(good.len() == 1 && bad[0].1.contains("in force by now"), "{made:?}");
        until_true("both have the same rooms", || rate(&a) == rate(&b));
    }
}

#[test]
fn a_gateway_that_cannot_take_a_version_keeps_its_rooms_and_says_so_until_its_file_is_mended() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let text = config(shop.address, CLOSED);
    let more = text.clone() + &format!("[[upstream]]\nname = \"second\"\nservers = \"{}\"\n", shop.address);
    let (able, unable) = (gateway(&redis, "able", &more), gateway(&redis, "unable", &text));
    let rooms = CLOSED.replace("= 600", "= 900") + "upstream = \"second\"\n";
    let (code, told) = apply(&able, &rooms);
    assert!(code == 1 && told.contains("unable is on version 0") && told.contains("no upstream \"second\""), "{told}");
    assert_eq!((rate(&able), rate(&unable)), (900.0, 600.0));
    let member = api(able.admin, "/api/gateways")[1].clone();
    assert_eq!((&member["name"], &member["refused"]["version"]), (&"unable".into(), &1.into()), "{member}");
    assert_eq!((unable.metric("weir_rooms_version"), unable.metric("weir_rooms_version_wanted")), (0.0, 1.0));
    assert_eq!(unable.metric(r#"weir_reloads_total{what="rooms",result="refused"}"#), 1.0, "it is told once");
    until_true("the log says it", || unable.log().contains("rooms refused"));
    let (code, told) = apply(&unable, CLOSED);
    assert!(code == 1 && told.contains("ask another"), "it does not know what it would change: {told}");

    // A file that goes with neither changes nothing; one that goes with the version brings it.
    let file = std::fs::read_to_string(unable.config_file()).unwrap();
    let upstream = more.strip_prefix(&text).unwrap();
    std::fs::write(unable.config_file(), file + upstream).unwrap();
    until_true("the version is taken after all", || rate(&unable) == 900.0);
    assert_eq!(api(unable.admin, "/api/gateways")[1]["refused"], Json::Null);
    let file = std::fs::read_to_string(unable.config_file()).unwrap();
    std::fs::write(unable.config_file(), file.replace(upstream, "")).unwrap();
    let refused = r#"weir_reloads_total{what="configuration",result="refused"}"#;
    until_true("the file is refused", || unable.metric(refused) > 0.0);
    assert_eq!(rate(&unable), 900.0);
    until_true("the log says it", || unable.log().contains("version 1 of the rooms:"));
}

#[test]
fn a_store_that_forgot_the_rooms_gets_them_back() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let text = config(shop.address, CLOSED);
    let (a, b) = (gateway(&redis, "a", &text), gateway(&redis, "b", &text));
    apply(&a, &CLOSED.replace("= 600", "= 700"));
    assert_eq!(apply(&b, &CLOSED.replace("= 600", "= 800")).0, 0);
    assert_eq!(redis.command("FLUSHALL"), "+OK");
    until_true("they are given back", || api(a.admin, "/api/versions")["versions"][0]["number"] == 2);
    assert_eq!((rate(&a), rate(&b)), (800.0, 800.0));
    let late = gateway(&redis, "c", &text);
    assert_eq!(rate(&late), 800.0);
    let (code, told) = apply(&a, &CLOSED.replace("= 600", "= 900"));
    assert!(code == 0 && told.contains("version 3 is in force on 3 gateway(s)"), "no number is given twice: {told}");
}

#[test]
fn gateways_know_each_other_and_forget_who_has_gone() {
    let (mut redis, shop) = (RedisServer::start(), Shop::open());
    let text = config(shop.address, CLOSED);
    let (a, b) = (gateway(&redis, "a", &text), gateway(&redis, "b", &text));
    let share = |members: &Json, at: usize| members[at]["share"].as_f64();
    let seen = until("both are seen with their load", || {
        for weir in [&a, &a, &a, &b] {
            weir.get("/launch/item", &[JSON]);
        }
        let members = api(b.admin, "/api/gateways");
        let loaded = |member: &Json| member["requests_per_second"].as_f64() > Some(0.0);
        let all = members.as_array().unwrap();
        let known = all.len() == 2 && all.iter().all(loaded) && share(&members, 1) > Some(0.0);
        (known && share(&members, 0) > share(&members, 1)).then_some(members)
    });
    let whole = share(&seen, 0).unwrap() + share(&seen, 1).unwrap();
    assert!((whole - 1.0).abs() < 1e-9, "{seen}");
    insta::assert_json_snapshot!("gateways", without_what_differs(&seen));
    assert_eq!(seen[0]["admin"], a.admin.to_string());

    let gone = Instant::now();
    drop(a.kill());
    until_true("who has gone is forgotten", || api(b.admin, "/api/gateways").as_array().unwrap().len() == 1);
    assert!(gone.elapsed() > Duration::from_secs(3), "not at the first silence");
    redis.kill();
    until_true("who is alone says that the store is away", || api(b.admin, "/api/gateways")[0]["store_away"] == true);
}

/// The part that is the same in every run.
fn without_what_differs(members: &Json) -> Json {
    let mut members = members.clone();
    for member in members.as_array_mut().unwrap() {
        for (key, value) in member.as_object_mut().unwrap() {
            let differs = key.ends_with("_per_second")
                || ["run", "admin", "started_ms", "connections", "share"].contains(&key.as_str());
            if differs {
                *value = format!("[a {}]", if value.is_string() { "text" } else { "number" }).into();
            }
        }
        member["addresses"][0] = "[a text]".into();
    }
    members
}

#[test]
fn a_gateway_that_is_alone_lists_itself() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, CLOSED));
    let members = api(weir.admin, "/api/gateways");
    assert_eq!(members.as_array().unwrap().len(), 1);
    let port = weir.admin.port().to_string();
    assert!(members[0]["name"].as_str().unwrap().ends_with(&port), "host and port: {members}");
    assert_eq!(members[0]["rooms_version"], 0);
}

#[test]
fn an_operator_is_asked_for_the_token_and_finds_both_in_the_configuration() {
    let shop = Shop::open();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "a token of an operator\n").unwrap();
    std::fs::write(dir.path().join("rooms.toml"), CLOSED.replace("= 600", "= 700")).unwrap();
    let text = config(shop.address, CLOSED).replace("workers = 2", "workers = 2\nadmin_token_file = \"token\"");
    std::fs::write(dir.path().join("weir.toml"), &text).unwrap();
    let weir = Weir::start_in(dir);
    let (code, told) = operator(&weir, &["apply", "rooms.toml"]);
    assert!(code == 1 && told.contains("an operator's token is needed"), "{told}");
    let admin = format!("admin = \"{}\"", weir.admin);
    std::fs::write(weir.dir.path().join("known.toml"), text.replace("admin = \"127.0.0.1:0\"", &admin)).unwrap();
    let (code, told) = crate::common::weir(&["apply", "rooms.toml", "--config", "known.toml"], weir.dir.path());
    assert!(code == 0 && told.contains("600 -> 700") && told.contains("version 1 is in force"), "{told}");
    let (code, told) = operator(&weir, &["versions", "--token-file", "token"]);
    assert!(code == 0 && told.contains("launch"), "{told}");
    let (code, told) = crate::common::weir(&["versions", "--admin", "127.0.0.1:1"], weir.dir.path());
    assert!(code == 1 && told.contains("127.0.0.1:1") && told.lines().count() == 1, "{told}");
}

#[test]
fn a_new_room_knows_its_line_before_its_first_shopper_comes() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, CLOSED));
    for name in ["one", "two", "three", "four"] {
        let room = CLOSED.replace("launch", name) + "fail_mode = \"open\"\n";
        let path = format!("/{name}/item");
        let applied = std::sync::atomic::AtomicBool::new(false);
        let answers: Vec<crate::common::Answer> = std::thread::scope(|scope| {
            let asks = scope.spawn(|| {
                let mut kept = crate::common::Kept::open(weir.http);
                let mut answers = Vec::new();
                while !applied.load(std::sync::atomic::Ordering::Relaxed) {
                    answers.push(kept.get(&path, &[JSON]));
                }
                answers.push(kept.get(&path, &[JSON]));
                answers
            });
            let (code, told) = apply(&weir, &room);
            applied.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(code, 0, "{told}");
            asks.join().unwrap()
        });
        assert!(!answers.last().unwrap().is_shop());
        let first = answers.iter().position(|answer| !answer.is_shop()).unwrap();
        assert!(answers[first..].iter().all(|answer| answer.ticket() > 0));
    }
    let failed_open = |name| weir.metric(&format!("weir_fail_open_total{{room=\"{name}\"}}"));
    assert_eq!(["one", "two", "three", "four"].map(failed_open), [0.0; 4], "nobody slipped in");
}

/// A room that goes and comes back in one process, with provisional tickets that the store has numbered.
#[test]
fn a_room_that_comes_back_by_a_rollback_goes_on_where_it_was() {
    let (mut redis, shop) = (RedisServer::durable(), Shop::open());
    let weir = gateway(&redis, "a", &config(shop.address, CLOSED));
    let first = weir.get("/launch/item", &[JSON]);
    redis.kill();
    until_true("the store is missed", || weir.room()["store_away"] == true);
    let kept: Vec<String> = (0..3).map(|_| weir.get("/launch/item", &[JSON]).cookie().unwrap()).collect();
    redis.restart();
    let number = |cookie: &String| weir.get("/launch/item", &[JSON, ("Cookie", cookie)]).number();
    let numbers = until("they are numbered", || kept.iter().map(number).collect::<Option<Vec<_>>>());

    let (code, told) = apply(&weir, &CLOSED.replace("launch", "drop"));
    assert_eq!(code, 0, "{told}");
    until_true("the room is gone", || weir.get("/launch/item", &[JSON]).is_shop());
    std::thread::sleep(Duration::from_millis(300));
    let (code, told) = operator(&weir, &["rollback"]);
    assert_eq!(code, 0, "{told}");
    until_true("the room is back", || weir.room()["store_away"] == false);
    let next = weir.get("/launch/item", &[JSON]).ticket();
    assert_eq!(kept.iter().map(number).collect::<Option<Vec<_>>>(), Some(numbers.clone()));
    assert_eq!(next, numbers.iter().max().unwrap() + 1, "no number was given for nobody: {numbers:?}");
    assert_eq!(number(&first.cookie().unwrap()), Some(first.ticket()));
    weir.is_well();
}
