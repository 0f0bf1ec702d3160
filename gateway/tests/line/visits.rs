//! Every client but a browser: one that looks at a calm room, one that waits in a line, a balancer's health check.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::Command;
use std::time::Instant;

use crate::common::line::gateway;
use crate::common::redis::RedisServer;
use crate::common::{Answer, JSON, PAGE, Shop, Weir, config, raw, until, until_true};

/// As `curl` asks, and most libraries.
const ANY: (&str, &str) = ("Accept", "*/*");

/// A room with so much in a minute, and these lines.
fn room(per_minute: u32, more: &str) -> String {
    format!(
        "[[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch\"\nnew_users_per_minute = {per_minute}\n\
         {more}\n"
    )
}

fn behind(room: &str) -> (Shop, Weir) {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, room));
    (shop, weir)
}

/// A room that has saved up its burst: so many may look at once.
fn calm() -> (Shop, Weir) {
    let (shop, weir) = behind(&room(6_000, ""));
    until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= 100);
    (shop, weir)
}

/// A room with a line of this many tickets, which lets in `per_minute` when it opens.
fn line(per_minute: u32, tickets: usize) -> (Shop, Weir) {
    let (shop, weir) = behind(&room(per_minute, "queue_all = true\npoll.max = \"1s\""));
    (0..tickets).for_each(|_| drop(weir.get("/launch/item", &[JSON])));
    (shop, weir)
}

fn opens(weir: &Weir) {
    let closed = std::fs::read_to_string(weir.config_file()).unwrap();
    std::fs::write(weir.config_file(), closed.replace("queue_all = true\n", "")).unwrap();
}

fn verdicts(weir: &Weir, verdict: &str) -> f64 {
    weir.metric(&format!(r#"weir_requests_total{{room="launch",verdict="{verdict}"}}"#))
}

#[test]
fn a_calm_room_is_open_to_whoever_only_looks_and_costs_them_no_number() {
    let (shop, weir) = calm();
    let cors = [("Origin", "https://app.example"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Site", "cross-site")];
    let lookers: &[(&str, &[(&str, &str)])] = &[
        ("GET", &[ANY, ("User-Agent", "curl/7.88.1")]),
        ("GET", &[]),
        ("HEAD", &[]),
        ("HEAD", &[PAGE]),
        ("GET", &[ANY, ("User-Agent", "facebookexternalhit/1.1; kakaotalk-scrap/1.0")]),
        ("GET", &[("Accept", "image/avif,image/webp,*/*")]),
        ("GET", &cors),
        ("GET", &[PAGE, ("Sec-Purpose", "prefetch;prerender")]),
        ("GET", &[ANY, ("Range", "bytes=0-3"), ("Referer", "https://search.example/")]),
    ];
    for (method, headers) in lookers {
        let answer = weir.send(method, "/launch/item", headers, "");
        assert!(answer.status == 200 && (*method == "HEAD" || answer.is_shop()), "{method} {headers:?} {answer:?}");
        let seen = shop.seen().pop().unwrap().to_lowercase();
        assert!(!seen.contains("weir-pass-id"), "{seen}");
    }
    let room = weir.room();
    assert_eq!((&room["next"], &room["active_users"], &room["admitted"]), (&0.into(), &0.into(), &0.into()));
    assert_eq!(verdicts(&weir, "visit"), lookers.len() as f64);
    for (method, headers) in [
        ("POST", &[PAGE][..]),
        ("PUT", &[ANY]),
        ("PROPFIND", &[ANY]),
        ("GET", &[PAGE, ("Connection", "upgrade"), ("Upgrade", "websocket")]),
    ] {
        assert_eq!(weir.send(method, "/launch/item", headers, "").status, 429, "{method} {headers:?}");
    }
    assert!(weir.get("/launch/item", &[PAGE]).is_shop() && weir.get("/launch/item", &[JSON]).is_shop());
    assert_eq!(weir.room()["next"], 2, "pages and JSON take numbers as ever");
}

#[test]
fn a_visitor_that_comes_back_with_its_cookie_is_a_shopper_and_no_cache_keeps_that_cookie() {
    let (_shop, weir) = calm();
    let looked = weir.get("/launch/cached", &[ANY]);
    assert_eq!((looked.status, looked.header("cache-control")), (200, Some("private, no-store")), "{looked:?}");
    let entered = weir.get("/launch/item", &[ANY, ("Cookie", &looked.cookie().unwrap())]);
    assert!(entered.is_shop(), "{entered:?}");
    let inside = weir.get("/launch/headers", &[ANY, ("Cookie", &entered.cookie().unwrap())]);
    assert!(inside.body.to_lowercase().contains("weir-pass-id"), "{inside:?}");
    assert_eq!((weir.room()["next"].as_u64(), weir.room()["active_users"].as_u64()), (Some(1), Some(1)));
    for (method, headers) in [("HEAD", &[][..]), ("GET", &[ANY, ("Sec-Fetch-Site", "same-origin")])] {
        let looked = weir.send(method, "/launch/cached", headers, "");
        assert_eq!((looked.status, looked.cookie()), (200, None), "what a page fetches touches no cookie: {looked:?}");
        assert_eq!(looked.header("cache-control"), Some("public, max-age=600"));
    }
}

#[test]
fn visits_keep_to_a_fifth_of_the_rate_and_shoppers_find_the_rest() {
    let (_shop, weir) = behind(&room(600, "burst = 10"));
    until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= 10);
    // The bucket of visits is full by now: it is filled with the other, and smaller.
    let started = Instant::now();
    let answers: Vec<Answer> = (0..60).map(|_| weir.send("HEAD", "/launch/item", &[], "")).collect();
    let looked = answers.iter().filter(|answer| answer.status == 200).count() as f64;
    let most = 2.0 + 2.0 * started.elapsed().as_secs_f64();
    assert!((1.0..=most).contains(&looked), "{looked} of at most {most}");
    let turned = answers.iter().find(|answer| answer.status == 429).unwrap();
    assert!(turned.header("retry-after").is_some() && turned.cookie().is_none(), "{turned:?}");
    assert!((0..4).all(|_| weir.get("/launch/item", &[PAGE]).is_shop()), "four of five tokens are for shoppers");
    assert_eq!(verdicts(&weir, "visit"), looked);
}

#[test]
fn gateways_of_one_store_spend_from_one_bucket_of_visits() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let gateways = [0, 1].map(|_| gateway(redis.address, shop.address, &room(60, "burst = 5")));
    let look = |weir: &Weir| weir.send("HEAD", "/launch/item", &[], "").status == 200;
    until_true("the first visit", || look(&gateways[0]));
    let started = Instant::now();
    let looked: usize = std::thread::scope(|scope| {
        let asks = |weir| scope.spawn(move || (0..40).filter(|_| look(weir)).count());
        gateways.each_ref().map(asks).into_iter().map(|asks| asks.join().unwrap()).sum()
    });
    let most = 1.0 + 0.2 * started.elapsed().as_secs_f64();
    assert!(looked as f64 <= most, "{looked} of at most {most}");
    until_true("the other gateway has its turn too", || look(&gateways[1]));
}

#[test]
fn nobody_looks_while_people_wait_while_no_seat_is_free_and_where_it_is_not_wanted() {
    for (rules, shoppers) in [("queue_all = true", 1), ("total_active_users = 1", 1), ("visits_per_minute = 0", 0)] {
        let (shop, weir) = behind(&room(60_000, rules));
        until_true("there is a line", || weir.get("/.weir/status/launch", &[]).status == 200);
        (0..shoppers).for_each(|_| drop(weir.get("/launch/item", &[JSON])));
        until_true("the gateway has heard of them", || {
            (weir.room()["waiting"].as_u64().unwrap() + weir.room()["active_users"].as_u64().unwrap()) >= shoppers
        });
        let entered = shop.seen().len();
        assert_eq!(weir.send("HEAD", "/launch/item", &[], "").status, 429, "{rules}");
        let asked = weir.get("/launch/item", &[ANY]);
        assert_eq!((asked.status, asked.header("retry-after")), (429, Some("1")), "{rules} {asked:?}");
        assert!(asked.body.contains("There is a line") && asked.cookie().is_some(), "{rules} {asked:?}");
        assert_eq!((shop.seen().len(), verdicts(&weir, "visit")), (entered, 0.0), "{rules}");
    }
    let (_shop, weir) = behind(&room(60_000, "suspended = true"));
    assert_eq!(weir.get("/launch/item", &[ANY]).status, 503);
}

#[test]
fn a_program_with_a_cookie_jar_confirms_waits_enters_and_stays() {
    let (_shop, weir) = line(6_000, 3);
    let first = weir.get("/launch/item", &[ANY]);
    assert_eq!(weir.room()["next"], 3, "the first answer is no place");
    let second = weir.get("/launch/item", &[ANY, ("Cookie", &first.cookie().unwrap())]);
    assert!(second.status == 429 && second.body.starts_with("You are in line, place 4"), "{second:?}");
    let ticket = second.cookie().unwrap();
    let third = weir.get("/launch/item", &[ANY, ("Cookie", &ticket)]);
    assert!(third.body.starts_with("You are in line, place 4") && third.header("retry-after").is_some(), "{third:?}");
    assert_eq!(weir.room()["next"], 4);
    opens(&weir);
    let entered = until("they are inside", || {
        Some(weir.get("/launch/item", &[ANY, ("Cookie", &ticket)])).filter(Answer::is_shop)
    });
    let pass = entered.cookie().unwrap();
    assert!((0..5).all(|_| weir.get("/launch/item", &[ANY, ("Cookie", &pass)]).is_shop()));
}

#[test]
fn an_app_keeps_its_place_by_a_token_in_a_header_and_the_shop_never_sees_it() {
    let (shop, weir) = line(6_000, 2);
    let ask = |token: &str| weir.get("/launch/headers", &[ANY, ("Weir-Token", token)]);
    let token = |answer: &Answer| answer.header("weir-token").unwrap().to_owned();
    let first = ask("");
    assert_eq!((first.waiting()["confirm"].as_bool(), first.cookie()), (Some(true), None), "{first:?}");
    assert_eq!(first.status, 429);
    let second = ask(&token(&first));
    // A copy of the line that was long on its way tells none.
    let position = second.waiting()["position"].as_u64();
    assert!(position.is_none_or(|position| position == 3) && second.cookie().is_none(), "{second:?}");
    let ticket = token(&second);
    let third = ask(&ticket);
    assert_eq!((third.ticket(), third.header("weir-token")), (second.ticket(), None), "it stays the same");
    let elsewhere = weir.get("/launch/item", &[JSON, ("Cookie", &format!("weir_launch={ticket}"))]);
    assert_eq!(elsewhere.ticket(), second.ticket(), "it is the same token as in a cookie");
    opens(&weir);
    let entered = until("the app is inside", || Some(ask(&ticket)).filter(|answer| answer.status == 200));
    assert_eq!((entered.cookie(), entered.header("cache-control")), (None, Some("private, no-store")));
    let inside = ask(&token(&entered));
    assert!(inside.body.to_lowercase().contains("weir-pass-id"), "{inside:?}");
    assert!(shop.seen().iter().all(|head| !head.to_lowercase().contains("weir-token")));
    let revoked = weir.get("/launch/revoke", &[ANY, ("Weir-Token", &token(&entered))]);
    assert_eq!((revoked.header("weir-token"), revoked.cookie()), (Some(""), None), "{revoked:?}");
}

#[test]
fn the_script_in_the_documents_waits_with_curl_and_enters() {
    let (_shop, weir) = line(6_000, 1);
    let documents = include_str!("../../../docs/clients.md");
    let script = documents
        .split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .find(|s| s.contains("Weir-Token"));
    let (dir, url) = (tempfile::tempdir().unwrap(), format!("http://{}/launch/item", weir.http));
    let mut curl =
        Command::new("bash").args(["-euc", script.unwrap()]).env("url", url).current_dir(dir.path()).spawn().unwrap();
    until_true("it has a place", || weir.room()["next"] == 2);
    opens(&weir);
    until_true("it ends", || curl.try_wait().unwrap().is_some_and(|ended| ended.success()));
    assert_eq!(std::fs::read_to_string(dir.path().join("page")).unwrap(), "welcome to the shop");
}

#[test]
fn an_app_that_leaves_gives_up_its_place() {
    let (_shop, weir) = line(60, 0);
    let ask = |token: &str| weir.get("/launch/item", &[JSON, ("Weir-Token", token)]);
    let joined = ask("");
    assert_eq!(joined.waiting()["ticket"], 1, "who asks for JSON has a place at once: {joined:?}");
    let token = joined.header("weir-token").unwrap();
    let left = weir.send("POST", "/.weir/leave/launch", &[("Weir-Token", token)], "");
    assert_eq!((left.status, left.header("weir-token"), left.cookie()), (200, Some(""), None), "{left:?}");
}

#[test]
fn a_script_of_a_page_is_given_no_token_to_read() {
    let (_shop, weir) = line(60, 1);
    let scripts = [
        ("Origin", "https://shop.example"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Site", "none"),
    ];
    for script in scripts {
        let answer = weir.get("/launch/item", &[JSON, ("Weir-Token", ""), script]);
        assert!(answer.header("weir-token").is_none() && answer.cookie().is_some(), "{script:?} {answer:?}");
        let ticket = answer.cookie().unwrap().split_once('=').unwrap().1.to_owned();
        let shown = weir.get("/launch/item", &[JSON, ("Weir-Token", &ticket), script]);
        assert_ne!(shown.ticket(), answer.ticket(), "nor does it count: {shown:?}");
    }
    let (one, two) = (("Weir-Token", "a"), ("Weir-Token", "b"));
    let twice = weir.get("/launch/item", &[JSON, one, two]);
    assert!(twice.header("weir-token").is_none() && twice.cookie().is_some(), "{twice:?}");
    // What is in a cookie never comes out in a header.
    let cookie = weir.get("/launch/item", &[JSON]).cookie().unwrap();
    let mixed = weir.get("/launch/item", &[JSON, ("Cookie", &cookie), ("Weir-Token", "")]);
    assert!(!cookie.contains(mixed.header("weir-token").unwrap()), "{mixed:?}");
    let forged = weir.get("/launch/item", &[JSON, ("Weir-Token", "AAAA")]);
    assert!(forged.header("weir-token").is_some_and(|token| token.len() > 50), "{forged:?}");
}

#[test]
fn whoever_has_a_place_is_told_that_and_never_to_take_one() {
    let (_shop, weir) = line(6_000, 1);
    let ticket = weir.get("/launch/item", &[JSON]).cookie().unwrap();
    let ways: &[(&str, &[(&str, &str)])] = &[
        ("GET", &[("Accept", "image/*")]),
        ("GET", &[ANY, ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors")]),
        ("GET", &[PAGE, ("Purpose", "prefetch")]),
        ("POST", &[ANY]),
        ("PROPFIND", &[ANY]),
    ];
    let told = |wanted: &str| {
        for (method, headers) in ways {
            let ask = || weir.send(method, "/launch/item", &[*headers, &[("Cookie", &ticket)]].concat(), "");
            let answer = until("a position is told", || Some(ask()).filter(|answer| answer.body.starts_with(wanted)));
            assert!(answer.is_line(), "{method} {headers:?} {answer:?}");
            assert!(answer.header("retry-after").is_some(), "{method} {answer:?}");
        }
    };
    told("You are in line, place 2");
    let ask = || weir.send("POST", "/launch/item", &[JSON, ("Cookie", &ticket)], "");
    let json = until("a position is told", || Some(ask()).filter(|json| json.waiting()["position"].is_u64()));
    assert_eq!((json.status, json.waiting()["position"].as_u64()), (429, Some(2)), "{json:?}");
    assert_eq!((json.told(), &json.json()["waitingPage"]), (Some("waiting"), &"/launch".into()), "{json:?}");
    let page = weir.send("POST", "/launch/item", &[PAGE, ("Cookie", &ticket)], "");
    assert!(
        page.is_line() && page.body.contains("전송되지 않았습니다"),
        "a person reads what became of the form: {page:?}"
    );
    let head = weir.send("HEAD", "/launch/item", &[("Cookie", &ticket)], "");
    assert_eq!((head.status, &*head.body), (429, ""));
    assert_eq!(verdicts(&weir, "needs_pass"), 0.0);
}

#[test]
fn an_old_balancer_that_checks_by_http_1_0_hears_of_the_gateway_and_not_of_the_line() {
    let (shop, weir) = line(60, 3);
    for check in
        ["OPTIONS / HTTP/1.0\r\n\r\n", "GET /launch/item HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nUser-Agent: x\r\n\r\n"]
    {
        let answer = raw(weir.http, check.as_bytes());
        assert_eq!((answer.status, &*answer.body), (200, "ok\n"), "{check:?} {answer:?}");
    }
    assert_eq!(raw(weir.http, b"HEAD / HTTP/1.0\r\n\r\n").status, 200);
    assert_eq!(raw(weir.http, b"POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n").status, 405);
    assert_eq!(raw(weir.http, b"GET / HTTP/1.1\r\n\r\n").status, 400, "HTTP/1.1 has a Host");
    assert_eq!(weir.get("/.weir/health", &[]).body, "ok\n");
    assert!(shop.seen().is_empty());

    let (_shop, weir) = calm();
    let old = raw(weir.http, b"GET /launch/item HTTP/1.0\r\nHost: shop.example\r\nAccept: */*\r\n\r\n");
    assert!(old.is_shop(), "with a Host it is a client like any: {old:?}");
    let chunked = raw(weir.http, b"GET /launch/drip HTTP/1.0\r\nHost: shop.example\r\n\r\n");
    assert_eq!((chunked.header("transfer-encoding"), &*chunked.body), (None, "onetwothree"), "{chunked:?}");
}

#[test]
fn a_gateway_that_is_about_to_end_says_so_to_its_balancer() {
    let shop = Shop::open();
    let written = config(shop.address, &room(60, ""));
    let weir = Weir::start(&written.replace("[listen]\n", "[listen]\nshutdown_delay = \"5s\"\n"));
    assert_eq!(weir.get("/.weir/health", &[]).status, 200);
    weir.signal("TERM");
    until_true("it is not ready", || weir.get("/.weir/health", &[]).status == 503);
    assert_eq!(raw(weir.http, b"GET / HTTP/1.0\r\n\r\n").status, 503);
    assert!(weir.get("/", &[]).is_shop(), "and still serves who comes");
}
