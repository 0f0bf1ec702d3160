//! Who takes a number, what a ticket and a pass are worth, and what reaches the shop: over real
//! sockets, on the real binary.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::common::{CLOSED, FETCH, JSON, PAGE, ROOMY, Shop, Weir, config, raw, until, until_true};

const NAVIGATE: (&str, &str) = ("Sec-Fetch-Mode", "navigate");

fn closed() -> (Shop, Weir) {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, CLOSED));
    (shop, weir)
}

fn roomy() -> (Shop, Weir) {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, ROOMY));
    until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= 100);
    (shop, weir)
}

/// A pass, as a cookie.
fn pass(weir: &Weir) -> String {
    let answer = weir.get("/launch/item", &[JSON]);
    assert!(answer.is_shop(), "{answer:?}");
    answer.cookie().unwrap()
}

#[test]
fn a_page_and_json_take_a_number_and_nothing_else_does() {
    let (shop, weir) = closed();
    let taken = |weir: &Weir| weir.room()["next"].as_u64().unwrap();
    assert!(weir.get("/launch/item", &[PAGE]).is_line());
    assert!(weir.get("/launch/item", &[NAVIGATE, ("Accept", "*/*")]).is_line());
    assert!(weir.get("/launch/item", &[JSON]).is_line());
    assert_eq!(taken(&weir), 3);

    let others: &[(&str, &[(&str, &str)])] = &[
        ("GET", &[("Accept", "image/avif,image/webp,*/*")]),
        ("GET", &[FETCH, ("Sec-Fetch-Mode", "cors"), ("Accept", "*/*")]),
        ("GET", &[PAGE, ("Sec-Purpose", "prefetch;prerender")]),
        ("GET", &[PAGE, ("Purpose", "prefetch")]),
        ("HEAD", &[PAGE]),
        ("POST", &[PAGE]),
        ("PUT", &[JSON]),
        ("GET", &[PAGE, ("Connection", "upgrade"), ("Upgrade", "websocket")]),
    ];
    for (method, headers) in others {
        let answer = weir.send(method, "/launch/item", headers, "");
        assert_eq!(answer.status, 429, "{method} {headers:?} {answer:?}");
        assert!(answer.header("retry-after").is_some() && answer.cookie().is_none(), "{answer:?}");
        assert!(answer.body.len() < 300, "a short body: {answer:?}");
    }
    assert_eq!(taken(&weir), 3);
    assert!(shop.seen().is_empty());
}

#[test]
fn a_preflight_reaches_the_shop_without_a_place() {
    let (shop, weir) = closed();
    let headers = [("Origin", "https://shop.example"), ("Access-Control-Request-Method", "POST")];
    assert!(weir.send("OPTIONS", "/launch/item", &headers, "").is_shop());
    assert_eq!(shop.seen().len(), 1);
    assert_eq!(weir.room()["next"], 0);
}

#[test]
fn the_body_of_a_queued_post_is_not_read_first() {
    let (_shop, weir) = closed();
    let head = "POST /launch/order HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 1000000000\r\n\r\n";
    assert_eq!(raw(weir.http, head.as_bytes()).status, 429);
    let expecting = head.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(raw(weir.http, expecting.as_bytes()).status, 429);
}

#[test]
fn a_refresh_and_a_second_tab_keep_the_place() {
    let (_shop, weir) = closed();
    let first = weir.get("/launch/item", &[JSON]);
    let cookie = first.cookie().unwrap();
    for _ in 0..3 {
        let again = weir.get("/launch/other", &[JSON, ("Cookie", &cookie)]);
        assert_eq!(again.ticket(), first.ticket());
        let positions = [&again, &first].map(|answer| answer.waiting()["position"].as_u64().unwrap_or(1));
        assert!(positions[0] <= positions[1], "{positions:?}");
    }
    assert_eq!(weir.room()["next"], 1);
}

#[test]
fn waiting_answers_say_when_to_ask_again_and_are_not_stored() {
    let (_shop, weir) = closed();
    for accept in [PAGE, JSON] {
        let answer = weir.get("/launch/item", &[accept]);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
        let cookie = answer.header("set-cookie").unwrap().to_owned();
        assert!(cookie.starts_with("weir_launch="), "{cookie}");
        assert!(
            cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/"),
            "{cookie}"
        );
        assert!(!cookie.contains("Secure"), "{cookie}");
    }
    let json = weir.get("/launch/item", &[JSON]).waiting();
    for field in [
        "inWaitingRoom",
        "waitTimeKnown",
        "waitTime",
        "queueIsFull",
        "refreshIntervalSeconds",
        "queueingMethod",
        "position",
        "waitLowSeconds",
        "waitHighSeconds",
        "pollAfterSeconds",
    ] {
        assert!(!json[field].is_null() || field.starts_with("wait"), "{field} is missing in {json}");
    }
    assert_eq!(json["inWaitingRoom"], true);
}

#[test]
fn the_status_code_of_waiting_is_the_rooms() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, &format!("{CLOSED}queueing_status_code = 202\n")));
    assert_eq!(weir.get("/launch/item", &[PAGE]).status, 202);
}

#[test]
fn the_page_speaks_the_shoppers_language() {
    let (_shop, weir) = closed();
    let korean = weir.get("/launch/item", &[PAGE, ("Accept-Language", "ko-KR,ko;q=0.9,en;q=0.5")]);
    let english = weir.get("/launch/item", &[PAGE, ("Accept-Language", "en-GB")]);
    assert!(korean.body.contains("lang=\"ko\"") && english.body.contains("lang=\"en\""));
    assert!(korean.body.contains("http-equiv=\"refresh\""), "works without JavaScript");
    assert!(korean.header("content-security-policy").is_some());
}

#[test]
fn the_status_document_is_short_cacheable_and_the_same_for_everybody() {
    let (_shop, weir) = closed();
    let cookie = weir.get("/launch/item", &[JSON]).cookie().unwrap();
    let status = weir.get("/.weir/status/launch", &[("Cookie", &cookie)]);
    assert_eq!(status.status, 200);
    assert!(status.body.len() < 400, "{} bytes", status.body.len());
    assert_eq!(status.header("cache-control"), Some("public, max-age=1"));
    assert!(status.cookie().is_none());
    assert_eq!(status.json()["state"], "queueing");
    assert_eq!(weir.get("/.weir/status/nothing", &[]).status, 404);
}

#[test]
fn no_spelling_of_a_protected_path_slips_past_the_room() {
    let (shop, weir) = closed();
    for path in [
        "/launch",
        "/launch/",
        "//launch/item",
        "/LAUNCH/item",
        "/%6caunch/item",
        "/%256caunch/item",
        "/x/../launch/item",
        "/./launch/item",
        "/launch;v=1/item",
        "/launch%2fitem",
        "/x/%2e%2e/launch/item",
        "/\\launch\\item",
        "/launch/item?x=/y",
    ] {
        let answer = weir.get(path, &[PAGE]);
        assert!(answer.cookie().is_some_and(|c| c.starts_with("weir_launch=")), "{path} slipped past: {answer:?}");
    }
    let absolute = raw(weir.http, b"GET http://shop.example/launch/item HTTP/1.1\r\nHost: shop.example\r\nAccept: text/html\r\nConnection: close\r\n\r\n");
    assert!(absolute.cookie().is_some(), "{absolute:?}");
    assert!(shop.seen().is_empty());
    assert!(weir.get("/elsewhere", &[PAGE]).is_shop());
}

#[test]
fn a_calm_room_lets_in_at_once_and_the_pass_reaches_the_shop_again_and_again() {
    let (shop, weir) = roomy();
    let pass = pass(&weir);
    let cookie = format!("basket=7; {pass}; theme=dark");
    for (method, path) in
        [("GET", "/launch/a.css"), ("POST", "/launch/echo"), ("HEAD", "/launch/item"), ("GET", "/launch/item")]
    {
        let answer = weir.send(method, path, &[("Cookie", &cookie)], "");
        assert_eq!(answer.status, 200, "{method} {path} {answer:?}");
        assert!(answer.cookie().is_none(), "a pass in its first half is not renewed");
    }
    assert_eq!(weir.room()["admitted"], 1);
    let head = weir.get("/launch/headers", &[("Cookie", &cookie)]).body.to_lowercase();
    assert!(!head.contains("weir_launch"), "Weir's cookie went on: {head}");
    assert!(head.contains("cookie: basket=7; theme=dark"), "{head}");
    for field in ["weir-room: launch", "weir-pass-id: ", "weir-signature: ", "x-request-id: ", "via: "] {
        assert!(head.contains(field), "{field} is missing: {head}");
    }
    assert!(head.contains("x-forwarded-for: 127.0.0.1"), "{head}");
    assert!(shop.seen().len() >= 5);
}

#[test]
fn an_answer_that_sets_a_cookie_is_private_whatever_the_shop_said() {
    let (_shop, weir) = roomy();
    let first = weir.get("/launch/cached", &[PAGE]);
    assert!(first.cookie().is_some());
    assert_eq!(first.header("cache-control"), Some("private, no-store"));
    assert!(first.header("expires").is_none());
    let later = weir.get("/launch/cached", &[PAGE, ("Cookie", &first.cookie().unwrap())]);
    assert_eq!(later.header("cache-control"), Some("public, max-age=600"));
}

/// A ticket whose holder has their pass.
fn claimed() -> (Shop, Weir, String) {
    let shop = Shop::open();
    let room = CLOSED.replace("queue_all = true", "burst = 1").replace("= 600", "= 60");
    let weir = Weir::start(&config(shop.address, &room));
    let waiting = until("somebody waits", || Some(weir.get("/launch/item", &[JSON])).filter(|a| !a.is_shop()));
    let ticket = waiting.cookie().unwrap();
    until_true("the ticket is called", || weir.get("/launch/item", &[JSON, ("Cookie", &ticket)]).is_shop());
    (shop, weir, ticket)
}

#[test]
fn a_form_enters_with_a_ticket_that_a_second_tab_has_put_in_the_place_of_the_pass() {
    let (_shop, weir, ticket) = claimed();
    let seats = weir.room()["active_users"].clone();
    let order = weir.send("POST", "/launch/order", &[("Cookie", &ticket)], "a=b");
    assert!(order.is_shop() && order.cookie().is_some_and(|pass| pass != ticket), "{order:?}");
    assert_eq!(weir.room()["active_users"], seats, "with the pass that they have");
    assert_eq!(weir.get("/launch/a.css", &[FETCH, ("Cookie", &ticket)]).status, 429, "nobody looks at what is fetched");
}

#[test]
fn a_second_claim_returns_the_same_pass_and_takes_no_second_seat() {
    let (_shop, weir, last) = claimed();
    let seats = weir.room()["active_users"].clone();
    let tabs: Vec<_> = std::thread::scope(|scope| {
        let tab = || weir.get("/launch/headers", &[JSON, ("Cookie", &last)]);
        let tabs: Vec<_> = (0..8).map(|_| scope.spawn(tab)).collect();
        tabs.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let id = |answer: &crate::common::Answer| {
        answer.body.lines().find_map(|l| l.to_lowercase().strip_prefix("weir-pass-id: ").map(str::to_owned))
    };
    assert!(tabs.iter().all(|tab| id(tab).is_some() && id(tab) == id(&tabs[0])), "{tabs:?}");
    assert_eq!(weir.room()["active_users"], seats);
}

#[test]
fn the_shop_frees_a_seat_with_a_header_that_the_shopper_never_sees() {
    let (_shop, weir) = roomy();
    let pass = pass(&weir);
    let answer = weir.get("/launch/revoke", &[("Cookie", &pass)]);
    assert!(answer.status == 200 && answer.header("weir-command").is_none(), "{answer:?}");
    until_true("the seat is free", || weir.room()["active_users"] == 0);
    until_true("the pass is worth nothing", || weir.get("/launch/a.css", &[FETCH, ("Cookie", &pass)]).status == 429);
    assert!(weir.metric(r#"weir_tokens_ignored_total{room="launch",reason="revoked"}"#) >= 1.0);
}

#[test]
fn leaving_gives_up_the_place_and_only_the_shops_own_pages_can_ask_for_it() {
    let (_shop, weir) = roomy();
    let pass = pass(&weir);
    let foreign = [("Cookie", &*pass), ("Origin", "https://evil.example"), PAGE];
    assert_eq!(weir.send("POST", "/.weir/leave/launch", &foreign, "").status, 403);
    let foreign = [("Cookie", &*pass), ("Sec-Fetch-Site", "cross-site"), PAGE];
    assert_eq!(weir.send("POST", "/.weir/leave/launch", &foreign, "").status, 403);
    assert_eq!(weir.get("/.weir/leave/launch", &[("Cookie", &pass)]).status, 405);
    assert_eq!(weir.room()["active_users"], 1);
    let own = [("Cookie", &*pass), ("Origin", "http://shop.example"), PAGE];
    let left = weir.send("POST", "/.weir/leave/launch", &own, "");
    assert_eq!(left.status, 200);
    assert_eq!(left.cookie().as_deref(), Some("weir_launch="));
    until_true("the seat is free", || weir.room()["active_users"] == 0);
}

#[test]
fn forged_altered_and_foreign_tokens_reach_nobody_and_are_counted() {
    let shop = Shop::open();
    let other = CLOSED.replace("launch", "other").replace("queue_all = true", "burst = 100");
    let weir = Weir::start(&config(shop.address, &format!("{CLOSED}{other}")));
    until_true("the other room is open", || weir.get("/other/item", &[JSON]).is_shop());
    let foreign = weir.get("/other/item", &[JSON]).cookie().unwrap().replace("weir_other", "weir_launch");
    let own = weir.get("/launch/item", &[JSON]).cookie().unwrap();
    let shop_before = shop.seen().len();
    let flip = |c: char| if c == 'A' { 'B' } else { 'A' };
    let mut altered = own.clone();
    let last = altered.pop().unwrap();
    let before_last = altered.pop().unwrap();
    altered.extend([flip(before_last), last]);
    let cut = own[..own.len() - 9].to_owned();
    let huge = format!("weir_launch={}", "A".repeat(8_192));
    let noise = "weir_launch=%00%ff!!".to_owned();
    for (cookie, reason) in
        [(foreign, "foreign"), (altered, "forged"), (cut, "malformed"), (huge, "malformed"), (noise, "malformed")]
    {
        let name = format!(r#"weir_tokens_ignored_total{{room="launch",reason="{reason}"}}"#);
        let counted = weir.metric(&name);
        let asset = weir.get("/launch/a.css", &[FETCH, ("Cookie", &cookie)]);
        assert_eq!(asset.status, 429, "{reason}: {asset:?}");
        assert!((weir.metric(&name) - counted - 1.0).abs() < 0.1, "{reason} is not counted");
        let page = weir.get("/launch/item", &[PAGE, ("Cookie", &cookie)]);
        assert!(page.is_line() && page.cookie().is_some(), "they wait like anybody new: {page:?}");
    }
    assert_eq!(shop.seen().len(), shop_before);
}

#[test]
fn a_ticket_is_no_pass() {
    let (shop, weir) = closed();
    let ticket = weir.get("/launch/item", &[JSON]).cookie().unwrap();
    assert_eq!(weir.get("/launch/a.css", &[FETCH, ("Cookie", &ticket)]).status, 429);
    assert_eq!(weir.send("POST", "/launch/order", &[("Cookie", &ticket)], "a=b").status, 429);
    assert!(shop.seen().is_empty());
}

#[test]
fn an_expired_pass_is_worth_nothing() {
    let shop = Shop::open();
    let room = format!("{ROOMY}session_duration = \"5s\"\ndisable_session_renewal = true\n");
    let weir = Weir::start(&config(shop.address, &room));
    until_true("the room is open", || weir.get("/launch/item", &[JSON]).is_shop());
    let pass = pass(&weir);
    assert_eq!(weir.get("/launch/a.css", &[FETCH, ("Cookie", &pass)]).status, 200);
    until_true("the pass has expired", || weir.get("/launch/a.css", &[FETCH, ("Cookie", &pass)]).status == 429);
    assert!(weir.metric(r#"weir_tokens_ignored_total{room="launch",reason="expired"}"#) >= 1.0);
}

#[test]
fn a_pass_past_its_half_is_renewed_on_the_way() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, &format!("{ROOMY}session_duration = \"5s\"\n")));
    until_true("the room is open", || weir.get("/launch/item", &[JSON]).is_shop());
    let first = pass(&weir);
    let mut renewed = None;
    until_true("it is renewed", || {
        renewed = weir.get("/launch/slow", &[("Cookie", &first)]).cookie();
        renewed.is_some()
    });
    let renewed = renewed.unwrap();
    assert_ne!(renewed, first);
    until_true("the first text has expired", || weir.get("/launch/a.css", &[FETCH, ("Cookie", &first)]).status == 429);
    assert_eq!(weir.get("/launch/a.css", &[FETCH, ("Cookie", &renewed)]).status, 200);
}

#[test]
fn of_several_cookies_of_one_name_the_valid_one_counts() {
    let (_shop, weir) = roomy();
    let pass = pass(&weir);
    let several = format!("weir_launch=junk; weir_launch=; {pass}; x=y");
    assert_eq!(weir.get("/launch/a.css", &[FETCH, ("Cookie", &several)]).status, 200);
    let lines = [("Cookie", "weir_launch=junk"), ("Cookie", &*pass)];
    assert_eq!(weir.get("/launch/a.css", &lines).status, 200);
    let fifth = format!("{} {pass}", "weir_launch=junk;".repeat(4));
    assert_eq!(weir.get("/launch/a.css", &[FETCH, ("Cookie", &fifth)]).status, 429, "at most four are tried");
}

#[test]
fn reject_turns_away_what_is_over_the_limits_without_a_number() {
    let shop = Shop::open();
    let room = CLOSED.replace("queue_all = true", "queueing_method = \"reject\"\nburst = 2");
    let weir = Weir::start(&config(shop.address, &room.replace("= 600", "= 6")));
    let answers: Vec<_> = (0..10).map(|_| weir.get("/launch/item", &[JSON])).collect();
    let full = answers.iter().find(|a| a.status == 503).unwrap();
    assert!(full.header("retry-after").is_some() && full.cookie().is_none(), "{full:?}");
    let entered = answers.iter().filter(|a| a.is_shop()).count() as u64;
    assert_eq!(weir.room()["next"], entered, "nobody has a number who did not enter");
    assert_eq!(weir.get("/launch/item", &[PAGE]).status, 503);
}

#[test]
fn passthrough_lets_everyone_in_and_only_reports() {
    let shop = Shop::open();
    let room = CLOSED.replace("queue_all = true", "queueing_method = \"passthrough\"\ntotal_active_users = 2");
    let weir = Weir::start(&config(shop.address, &room.replace("= 600", "= 1")));
    for _ in 0..20 {
        assert!(weir.get("/launch/item", &[PAGE]).is_shop());
    }
    assert_eq!(weir.get("/launch/a.css", &[]).status, 200);
    let status = weir.room();
    assert_eq!(status["admitted"], 20);
    assert!(status["over_limit"].as_u64().unwrap() >= 18, "{status}");
}

#[test]
fn total_active_users_holds_exactly_and_a_freed_seat_is_given_on() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, &format!("{ROOMY}total_active_users = 3\n")));
    let mut inside = Vec::new();
    until_true("three are inside", || {
        let answer = weir.get("/launch/item", &[JSON]);
        inside.extend(answer.is_shop().then(|| answer.cookie().unwrap()));
        inside.len() == 3
    });
    let waiting = weir.get("/launch/item", &[JSON]);
    assert_eq!(waiting.waiting()["inWaitingRoom"], true);
    assert_eq!(weir.room()["active_users"], 3);
    weir.get("/launch/revoke", &[("Cookie", &inside[0])]);
    let ticket = waiting.cookie().unwrap();
    let mut cookie = ticket;
    until_true("the seat is given on", || {
        let answer = weir.get("/launch/item", &[JSON, ("Cookie", &cookie)]);
        cookie = answer.cookie().unwrap_or(cookie.clone());
        answer.is_shop()
    });
    assert_eq!(weir.room()["active_users"], 3);
}

#[test]
fn a_suspended_room_refuses_newcomers_keeps_places_and_serves_its_passes() {
    let (_shop, weir) = roomy();
    let pass = pass(&weir);
    let suspended = std::fs::read_to_string(weir.config_file()).unwrap() + "suspended = true\n";
    std::fs::write(weir.config_file(), suspended).unwrap();
    until_true("it is suspended", || weir.get("/launch/item", &[PAGE]).status == 503);
    let refused = weir.get("/launch/item", &[PAGE]);
    assert!(refused.header("retry-after").is_some() && refused.cookie().is_none());
    assert!(weir.get("/launch/item", &[PAGE, ("Cookie", &pass)]).is_shop());
    until_true("the status says so", || weir.get("/.weir/status/launch", &[]).json()["state"] == "suspended");
}

#[test]
fn bypass_paths_load_for_everyone_and_only_in_exactly_that_spelling() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, &format!("{CLOSED}bypass = [\"/launch/assets/*\"]\n")));
    assert!(weir.get("/launch/assets/logo.svg", &[]).is_shop());
    for path in ["/launch/assets/../item", "/launch/assets/%2e%2e/item", "/launch/assets//x", "/launch/assets/..;/item"]
    {
        assert_eq!(weir.get(path, &[]).status, 429, "{path}");
    }
    assert!(weir.metric(r#"weir_requests_total{room="launch",verdict="bypass"}"#) >= 1.0);
}

#[test]
fn a_client_over_its_quota_is_told_and_holders_of_a_pass_are_not_their_neighbours() {
    let shop = Shop::open();
    let tight = config(shop.address, ROOMY)
        .replace("requests_per_second = 100000", "requests_per_second = 1")
        .replace("request_burst = 100000", "request_burst = 30");
    let weir = Weir::start(&tight);
    let mut cookie = None;
    until_true("somebody is inside", || {
        let answer = weir.get("/launch/item", &[JSON]);
        cookie = answer.is_shop().then(|| answer.cookie().unwrap());
        cookie.is_some()
    });
    let cookie = cookie.unwrap();
    let over = |cookie: &str| {
        let asked = || weir.get("/launch/item", &[PAGE, ("Cookie", cookie)]);
        (0..60).map(|_| asked()).find(|answer| answer.told() == Some("too-fast")).expect("the quota is used")
    };
    let forged = over(&cookie.replace('=', "=A"));
    assert!(forged.header("retry-after").is_some());
    assert!(weir.metric(r#"weir_requests_total{room="launch",verdict="too_fast"}"#) >= 1.0);
    assert!(weir.get("/launch/item", &[PAGE, ("Cookie", &cookie)]).is_shop(), "a pass has a quota of its own");
    assert!(weir.get("/launch/item", &[PAGE]).is_shop(), "whoever shows nothing is not charged for it");
    over(&cookie);
}

#[test]
fn places_have_a_quota_of_their_own_per_address() {
    let shop = Shop::open();
    let tight = config(shop.address, CLOSED)
        .replace("joins_per_second = 100000", "joins_per_second = 1")
        .replace("join_burst = 100000", "join_burst = 3");
    let weir = Weir::start(&tight);
    let asked = (0..10).filter(|_| weir.get("/launch/item", &[PAGE]).header("refresh").is_some()).count();
    assert!(asked >= 3, "over it newcomers confirm first: {asked}");
    assert!(weir.room()["next"].as_u64().unwrap() < 8);
}

#[test]
fn a_path_that_can_be_read_as_two_rooms_is_refused_so_that_one_pass_opens_one_room() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, &format!("{ROOMY}{}", ROOMY.replace("launch", "other"))));
    until_true("the room is open", || weir.get("/launch/item", &[JSON]).is_shop());
    let pass = pass(&weir);
    let before = shop.seen().len();
    let answer = weir.get("/launch/../other/item", &[PAGE, ("Cookie", &pass)]);
    assert_eq!((answer.status, shop.seen().len()), (400, before), "{answer:?}");
}
