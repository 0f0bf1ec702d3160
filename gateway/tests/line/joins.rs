//! Newcomers, and how many of them one address may be: no shopper is refused a place for the others behind their address,
//! and a script that keeps no cookie takes none beyond the quota.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::process::Command;
use std::time::Instant;

use crate::common::line::gateway;
use crate::common::redis::RedisServer;
use crate::common::{Answer, CLOSED, JSON, PAGE, ROOMY, Shop, Weir, config, until, until_true};
use policy::seal::{RoomId, Sealer};
use policy::ticket::Token;

/// Quotas wide enough to bound nothing, as in the other tests.
const WIDE: &str = "requests_per_second = 100000
request_burst = 100000
joins_per_second = 100000
join_burst = 100000
";

/// A gateway with these lines in its `[quota]`, and a shop behind it.
fn with_quota(quota: &str, rooms: &str) -> (Shop, Weir) {
    let shop = Shop::open();
    let written = config(shop.address, rooms);
    assert!(written.contains(WIDE));
    let weir = Weir::start(&written.replace(WIDE, quota));
    (shop, weir)
}

/// One direct join a second, five at once.
const TIGHT: &str = "joins_per_second = 1\njoin_burst = 5\n";

/// A closed room in which every newcomer is asked to confirm.
fn confirmed() -> String {
    format!("{CLOSED}join = \"confirmed\"\n")
}

fn asks_to_confirm(answer: &Answer) -> bool {
    answer.waiting()["confirm"] == true
}

/// A client with a cookie jar that asks until it has a place; its number.
fn place(weir: &Weir) -> u64 {
    let first = weir.get("/launch/item", &[JSON]);
    assert!(first.is_line(), "{first:?}");
    if !asks_to_confirm(&first) {
        return first.ticket();
    }
    come_back(weir, &first).ticket()
}

fn come_back(weir: &Weir, first: &Answer) -> Answer {
    weir.get("/launch/item", &[JSON, ("Cookie", &first.cookie().unwrap())])
}

/// So many at one moment.
fn at_once<T: Send>(people: usize, act: impl Fn() -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..people).map(|_| scope.spawn(&act)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn five_hundred_people_behind_one_address_all_get_places_in_the_order_in_which_they_came() {
    let (_shop, weir) = with_quota("", CLOSED);
    let waves: Vec<Vec<u64>> = (0..20).map(|_| at_once(25, || place(&weir))).collect();
    let mut all = waves.concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 500, "each has a number of their own");
    for pair in waves.windows(2) {
        assert!(
            pair[0].iter().max() < pair[1].iter().min(),
            "nobody is overtaken by who came after they had come back"
        );
    }
    let asked = weir.metric(r#"weir_requests_total{room="launch",verdict="confirm"}"#);
    assert!(asked > 100.0, "most were asked to confirm: {asked}");
}

#[test]
fn a_script_without_cookies_takes_no_place_beyond_the_quota_and_costs_the_line_nothing() {
    let (_shop, weir) = with_quota(TIGHT, CLOSED);
    let started = Instant::now();
    let answers: Vec<Answer> = (0..300).map(|_| weir.get("/launch/item", &[JSON])).collect();
    let most = 5 + started.elapsed().as_secs() + 1;
    assert!(answers.iter().all(Answer::is_line), "it is told to come back");
    let places = answers.iter().filter(|answer| !asks_to_confirm(answer)).count() as u64;
    assert!(places <= most, "{places} places in {:?}", started.elapsed());
    assert_eq!(weir.metric(r#"weir_room_tickets_total{room="launch"}"#) as u64, places);
}

#[test]
fn ten_people_behind_one_address_browse_the_shop_as_they_like() {
    let (_shop, weir) = with_quota("", &format!("{CLOSED}bypass = [\"/launch/assets/*\"]\n"));
    let refused: usize = at_once(10, || {
        let paths = ["/", "/a.css", "/launch/assets/logo.svg"].into_iter().cycle().take(61);
        paths.filter(|path| weir.get(path, &[PAGE]).status == 429).count()
    })
    .into_iter()
    .sum();
    assert_eq!(refused, 0, "of 610 requests");
}

#[test]
fn over_the_quota_the_page_comes_back_by_itself_and_the_json_says_when() {
    let (_shop, weir) = with_quota("", &confirmed().replace("join =", "queueing_status_code = 202\njoin ="));
    let page = weir.get("/launch/item", &[PAGE]);
    assert_eq!((page.status, page.header("refresh"), page.header("retry-after")), (202, Some("1"), Some("1")));
    assert!(
        page.body.contains("http-equiv=\"refresh\" content=\"1\"") && page.body.contains("data-state=\"arriving\"")
    );
    assert!(page.header("set-cookie").unwrap().contains("Max-Age=60;"), "{page:?}");
    let json = weir.get("/launch/item", &[JSON]);
    assert_eq!((json.status, json.header("retry-after"), json.header("refresh")), (202, Some("1"), None));
    let waiting = json.waiting();
    assert_eq!((&waiting["confirm"], &waiting["pollAfterSeconds"]), (&true.into(), &1.0.into()));
    assert!(waiting["ticket"].is_null() && waiting["position"].is_null());
    assert_eq!(json.header("cache-control"), Some("no-store"));
    assert_eq!(weir.room()["next"], 0, "nobody has a number");
}

#[test]
fn two_tabs_with_one_arrival_and_an_answer_that_was_lost_are_one_number() {
    let (_shop, weir) = with_quota("", &confirmed());
    let first = weir.get("/launch/item", &[JSON]);
    let mut numbers: Vec<u64> = at_once(8, || come_back(&weir, &first).ticket());
    numbers.push(come_back(&weir, &first).ticket());
    numbers.dedup();
    assert_eq!(numbers.len(), 1, "{numbers:?}");
    assert_eq!(weir.room()["next"], 1);
}

#[test]
fn a_confirmed_newcomer_whose_number_is_called_at_once_enters_with_the_same_request() {
    let (_shop, weir) = with_quota("", &format!("{ROOMY}join = \"confirmed\"\n"));
    let inside = until("the room has saved up a burst", || {
        let first = weir.get("/launch/item", &[PAGE]);
        let second = weir.get("/launch/item", &[PAGE, ("Cookie", &first.cookie().unwrap())]);
        second.is_shop().then_some((first, second))
    });
    let again = weir.get("/launch/headers", &[PAGE, ("Cookie", &inside.0.cookie().unwrap())]);
    assert!(again.body.to_lowercase().contains("weir-pass-id"), "the arrival shown again is the same pass: {again:?}");
    assert_eq!(again.cookie().map(|cookie| cookie.len()), inside.1.cookie().map(|cookie| cookie.len()));
    assert_eq!(weir.room()["admitted"], 1, "one number, one pass");
}

#[test]
fn an_arrival_of_another_room_of_another_time_or_that_was_forged_is_worth_nothing() {
    let (_shop, weir) = with_quota("", &format!("{}{}", confirmed(), confirmed().replace("launch", "other")));
    let secret = std::fs::read_to_string(weir.dir.path().join("weir.secret")).unwrap();
    let sealer = Sealer::new(secret.trim().as_bytes()).unwrap();
    let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let sealed = |room: &str, at: u64| format!("weir_launch={}", sealer.seal(RoomId::of(room), &Token::arrival(7, at)));
    let other = weir.get("/other/item", &[JSON]).cookie().unwrap().replace("weir_other", "weir_launch");
    let mut forged = weir.get("/launch/item", &[JSON]).cookie().unwrap();
    forged.replace_range(30..31, if &forged[30..31] == "A" { "B" } else { "A" });
    for (cookie, reason) in [
        (other, "foreign"),
        (sealed("other", now()), "foreign"),
        (forged, "forged"),
        (sealed("launch", now() - 61_000), "expired"),
        (sealed("launch", now() + 3_600_000), "expired"),
    ] {
        let answer = weir.get("/launch/item", &[JSON, ("Cookie", &cookie)]);
        assert!(asks_to_confirm(&answer), "{reason}: {answer:?}");
        let counted = format!(r#"weir_tokens_ignored_total{{room="launch",reason="{reason}"}}"#);
        assert!(weir.metric(&counted) >= 1.0, "{counted}");
    }
    assert_eq!(weir.room()["next"], 0);
    let good = weir.get("/launch/item", &[JSON, ("Cookie", &sealed("launch", now()))]);
    assert!(good.number().is_some(), "the secret was the right one: {good:?}");
}

#[test]
fn an_arrival_reads_nothing_of_the_room_but_a_place() {
    let (shop, weir) = with_quota("", &confirmed());
    let arrival = weir.get("/launch/item", &[JSON]).cookie().unwrap();
    for (method, accept) in [("GET", "image/*"), ("HEAD", "text/html"), ("POST", "text/html"), ("OPTIONS", "*/*")] {
        let answer = weir.send(method, "/launch/item", &[("Accept", accept), ("Cookie", &arrival)], "");
        assert_eq!(answer.status, 429, "{method} {answer:?}");
    }
    assert_eq!((shop.seen().len(), weir.room()["next"].as_u64()), (0, Some(0)));
}

#[test]
fn confirmed_places_have_a_generous_quota_and_whoever_is_over_it_waits_a_moment() {
    let (_shop, weir) = with_quota("confirmed_joins_per_second = 1\nconfirmed_join_burst = 3\n", &confirmed());
    let firsts: Vec<Answer> = (0..8).map(|_| weir.get("/launch/item", &[JSON])).collect();
    let seconds: Vec<Answer> = firsts.iter().map(|first| come_back(&weir, first)).collect();
    let refused: Vec<_> = firsts.iter().zip(&seconds).filter(|(_, second)| second.told() == Some("too-fast")).collect();
    assert!(!refused.is_empty() && refused.len() <= 5, "{seconds:?}");
    assert!(refused.iter().all(|(_, second)| second.header("retry-after").is_some()));
    until_true("the same arrival has a place a moment later", || come_back(&weir, refused[0].0).is_line());
}

#[test]
fn whoever_enters_a_room_that_only_counts_is_never_asked_to_confirm() {
    let room = format!("{ROOMY}queueing_method = \"passthrough\"\njoin = \"confirmed\"\n");
    let (_shop, weir) = with_quota(TIGHT, &room);
    assert!((0..40).all(|_| weir.get("/launch/item", &[PAGE]).is_shop()));
}

#[test]
fn a_room_that_rejects_gives_an_arrival_a_number_only_if_that_is_called() {
    let rejects = "[[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch\"\nqueueing_method = \"reject\"\n\
                   join = \"confirmed\"\nnew_users_per_minute = 60000\ntotal_active_users = 1\n";
    let (_shop, weir) = with_quota("", rejects);
    let comes = || weir.get("/launch/item", &[JSON]);
    until("the one that may enter is in", || Some(come_back(&weir, &comes())).filter(Answer::is_shop));
    let first = comes();
    let (second, third) = (come_back(&weir, &first), come_back(&weir, &first));
    assert_eq!((first.status, second.status, third.status), (429, 503, 503));
    assert_eq!(weir.room()["next"], 1);
}

#[test]
fn a_room_that_rejects_and_lets_nobody_in_asks_nobody_to_confirm() {
    let (_shop, weir) = with_quota("", &format!("{}queueing_method = \"reject\"\n", confirmed()));
    assert_eq!((weir.get("/launch/item", &[JSON]).status, &weir.room()["next"]), (503, &0.into()));
}

#[test]
fn an_arrival_that_is_shown_after_a_kill_has_the_number_that_it_had() {
    let (_shop, weir) = with_quota("", &confirmed());
    let first = weir.get("/launch/item", &[JSON]);
    let number = come_back(&weir, &first).ticket();
    let weir = Weir::start_in(weir.kill());
    assert_eq!(come_back(&weir, &first).ticket(), number);
}

#[test]
fn an_arrival_is_good_once_for_all_gateways_of_a_line_and_keeps_a_place_while_the_store_is_away() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let gateways = [0, 1].map(|_| gateway(redis.address, shop.address, &confirmed()));
    let first = gateways[0].get("/launch/item", &[JSON]);
    let numbers = [1, 0, 1].map(|at: usize| come_back(&gateways[at], &first).ticket());
    assert_eq!(numbers, [numbers[0]; 3]);
    drop(redis);
    until_true("the store is away", || gateways[1].room()["store_away"] == true);
    let late = gateways[1].get("/launch/item", &[JSON]);
    assert!(asks_to_confirm(&late), "{late:?}");
    let kept = come_back(&gateways[1], &late);
    assert!(kept.number().is_none() && !asks_to_confirm(&kept) && kept.cookie().is_some(), "{kept:?}");
}

#[test]
fn curl_with_a_cookie_jar_has_a_place_at_the_second_call() {
    let (_shop, weir) = with_quota("", &confirmed());
    let jar = weir.dir.path().join("jar");
    let call = || {
        let url = format!("http://{}/launch/item", weir.http);
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-H", "Accept: application/json", "-c"]).arg(&jar).arg("-b").arg(&jar).arg(url);
        let said: serde_json::Value = serde_json::from_slice(&curl.output().unwrap().stdout).unwrap();
        said["cfWaitingRoom"].clone()
    };
    let (first, second, third) = (call(), call(), call());
    assert_eq!((&first["confirm"], &first["ticket"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!((&second["ticket"], &third["ticket"]), (&1.into(), &1.into()), "{second} {third}");
}

#[test]
fn a_balancer_that_is_not_trusted_is_named_in_the_log_once_and_counted() {
    for (rooms, path) in [(confirmed(), "/launch/item"), (ROOMY.to_owned(), "/launch/item"), (String::new(), "/")] {
        let (_shop, weir) = with_quota("", &rooms);
        for n in 0..20 {
            let header = if n % 2 == 0 { ("X-Forwarded-For", "192.0.2.7") } else { ("Forwarded", "for=192.0.2.7") };
            weir.get(path, &[PAGE, header]);
        }
        assert!((weir.metric("weir_untrusted_forwarded_total") - 20.0).abs() < 0.5, "{path}");
        let log = until("the log tells", || Some(weir.log()).filter(|log| log.contains("trusted_proxies")));
        let told: Vec<&str> = log.lines().filter(|line| line.contains("trusted_proxies")).collect();
        assert!(told.len() == 1 && told[0].contains("127.0.0.1") && !log.contains("192.0.2.7"), "{told:?}");
    }
    let shop = Shop::open();
    let trusting =
        config(shop.address, &confirmed()).replace("[listen]\n", "[listen]\ntrusted_proxies = [\"127.0.0.1/32\"]\n");
    let weir = Weir::start(&trusting);
    weir.get("/launch/item", &[PAGE, ("X-Forwarded-For", "192.0.2.7")]);
    assert!(weir.metric("weir_untrusted_forwarded_total") < 0.5);
}
