//! The words of a shop: how many new shoppers it takes, and what is left to sell. In headers of its answers, and by the API.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::common::line::{self, last_tickets, pass_id, tickets};
use crate::common::redis::RedisServer;
use crate::common::speaker::Speaker;
use crate::common::{Answer, JSON, PAGE, Weir, config, request, until_true};

/// Ten enter in a second.
fn room(commands: &str) -> String {
    line::room(600) + &format!("enabled_origin_commands = [{commands}]\n")
}

/// A shopper inside: their cookie.
fn inside(weir: &Weir) -> String {
    let mut cookie = None;
    until_true("somebody is inside", || {
        let answer = weir.get("/launch/item", &[JSON]);
        cookie = answer.cookie().filter(|_| answer.is_shop());
        cookie.is_some()
    });
    cookie.unwrap()
}

/// A request of the shopper inside, whose answer has the shop's words.
fn ask(weir: &Weir, cookie: &str) -> Answer {
    let answer = weir.get("/launch/item", &[JSON, ("Cookie", cookie)]);
    assert!(answer.is_shop(), "{answer:?}");
    assert!(answer.header("weir-command").is_none() && answer.header("weir-stock").is_none(), "{answer:?}");
    answer
}

fn allowed(weir: &Weir) -> f64 {
    weir.room()["allowed_per_minute"].as_f64().unwrap()
}

fn put(weir: &Weir, what: &str, body: &str) -> Answer {
    let headers = [("Content-Type", "application/json")];
    request(weir.admin, "PUT", &format!("/api/rooms/launch/{what}"), &headers, body)
}

#[test]
fn a_rate_in_a_header_slows_the_room_says_why_and_ends() {
    let shop = Speaker::default();
    let weir = Weir::start(&config(shop.open(), &room("\"rate\"")));
    let holder = inside(&weir);
    assert_eq!((allowed(&weir), weir.room()["capped_by"].is_null()), (600.0, true));
    shop.says("Weir-Command: rate=60/m; ttl=60s");
    ask(&weir, &holder);
    until_true("the room is slowed", || allowed(&weir) == 60.0 && weir.room()["capped_by"] == "shop");
    assert_eq!(weir.room()["new_users_per_minute"], 600.0, "the operator's own");
    assert_eq!(weir.metric(r#"weir_room_admissions_allowed_per_second{room="launch"}"#), 1.0);
    assert_eq!(weir.metric(r#"weir_room_capped{room="launch",by="shop"}"#), 1.0);
    let heard = weir.metric(r#"weir_shop_words_total{room="launch",word="rate",result="obeyed"}"#);
    assert!(heard >= 1.0, "{heard}");
    let (_, waiting) = last_tickets(&[&weir], 1).swap_remove(0);
    until_true("the document names the reason", || weir.get("/.weir/status/launch", &[]).json()["reason"] == "capped");
    for (language, says) in [("ko", "조금씩만 입장을"), ("en", "takes fewer people")] {
        let page = weir.get("/launch/item", &[PAGE, ("Accept-Language", language), ("Cookie", &waiting)]);
        assert!(page.body.contains(says), "{page:?}");
    }
    shop.says("Weir-Command: rate=120/m; ttl=1s");
    ask(&weir, &holder);
    until_true("the shop takes more", || allowed(&weir) >= 120.0);
    shop.says("");
    let mut risen = Vec::new();
    until_true("its word has ended, and the rate is the room's own again", || {
        risen.push(allowed(&weir));
        risen.last() == Some(&600.0)
    });
    assert!(risen.is_sorted() && risen.iter().any(|&rate| rate > 130.0 && rate < 590.0), "in steps: {risen:?}");
    assert!(weir.room()["capped_by"].is_null());
    weir.is_well();
}

#[test]
fn lies_and_words_of_shoppers_change_nothing_and_the_log_says_it_once() {
    let shop = Speaker::default();
    let weir = Weir::start(&config(shop.open(), &room("\"rate\", \"stock\"")));
    let holder = inside(&weir);
    let lies = ["rate=NaN/m", "rate=-1/m", "rate=inf/s", "rate=1e9/s", "rate=480", "rate=1/m; ttl=never", "stop"];
    for lie in lies {
        shop.says(&format!("Weir-Command: {lie}\nWeir-Stock: sku=shoe; left=-1, left=0, sku=\u{e9}; left=0"));
        (0..3).for_each(|_| drop(ask(&weir, &holder)));
    }
    shop.says("");
    let told = [("Weir-Command", "rate=1/m"), ("Weir-Stock", "sku=shoe; left=0"), ("Cookie", holder.as_str()), JSON];
    let seen = weir.get("/launch/item", &told);
    assert!(seen.is_shop() && !seen.body.to_lowercase().contains("weir-command"), "not even passed on: {seen:?}");
    ask(&weir, &holder);
    until_true("they are counted", || {
        weir.metric(r#"weir_shop_words_total{room="launch",word="stock",result="invalid"}"#) == 63.0
    });
    let invalid = weir.metric(r#"weir_shop_words_total{room="launch",word="command",result="invalid"}"#);
    assert_eq!(invalid, 18.0, "all but the one that only exaggerates");
    assert_eq!((allowed(&weir), weir.room()["stock"].is_null()), (600.0, true));
    assert_eq!(weir.log().matches("cannot be read").count(), 1, "{}", weir.log());
    weir.is_well();
}

#[test]
fn a_word_that_the_room_does_not_name_is_not_obeyed() {
    let shop = Speaker::default();
    let weir = Weir::start(&config(shop.open(), &room("\"revoke\"")));
    let holder = inside(&weir);
    shop.says("Weir-Command: rate=1/m\nWeir-Stock: sku=shoe; left=0");
    ask(&weir, &holder);
    until_true("it is counted", || {
        weir.metric(r#"weir_shop_words_total{room="launch",word="stock",result="disabled"}"#) == 1.0
    });
    assert_eq!((allowed(&weir), weir.room()["stock"].is_null()), (600.0, true));
    until_true("the log tells what to do", || weir.log().contains("enabled_origin_commands"));
    shop.says("Weir-Command: revoke, rate=1/m");
    assert!(weir.get("/launch/item", &[JSON, ("Cookie", &holder)]).is_shop());
    until_true("the pass has ended", || !weir.get("/launch/a.css", &[("Cookie", &holder)]).is_shop());
}

#[test]
fn the_floor_holds_whatever_the_shop_says() {
    let shop = Speaker::default();
    let weir = Weir::start(&config(shop.open(), &(room("\"rate\"") + "min_new_users_per_minute = 120\n")));
    let holder = inside(&weir);
    shop.says("Weir-Command: rate=0/m; ttl=60s");
    ask(&weir, &holder);
    until_true("the room is slowed", || allowed(&weir) == 120.0);
}

#[test]
fn a_program_says_a_rate_by_the_api_and_takes_it_back() {
    let shop = Speaker::default();
    let weir = Weir::start(&config(shop.open(), &room("")));
    let answer = put(&weir, "rate", r#"{"rate":"90/m","ttl":"1h"}"#);
    assert_eq!((answer.status, answer.json()["per_minute"].as_f64()), (200, Some(90.0)), "{answer:?}");
    until_true("the room is slowed", || allowed(&weir) == 90.0 && weir.room()["capped_by"] == "api");
    for (body, says) in [
        (r#"{"rate":"fast"}"#, "480/m"),
        (r#"{"rate":"-3/m"}"#, "480/m"),
        (r#"{"rate":"3/m","ttl":"soon"}"#, "30s"),
        (r#"{"rate":"3/m","ttl":"0s"}"#, "DELETE"),
        (r#"{"rate":"3/m","ttl":"25h"}"#, "24h"),
        (r#"{"rates":"3/m"}"#, "rates"),
        ("rate=3", "JSON"),
    ] {
        let refused = put(&weir, "rate", body);
        let told = refused.json()["detail"].is_string() && refused.body.contains(says);
        assert!((400..=422).contains(&refused.status) && told, "{body}: {refused:?}");
    }
    let json = ("Content-Type", "application/json");
    let page = [json, ("Origin", "https://evil.example")];
    let refused = request(weir.admin, "PUT", "/api/rooms/launch/rate", &page, r#"{"rate":"3/m"}"#);
    assert_eq!(refused.status, 403, "no page in an operator's browser may: {refused:?}");
    assert_eq!(request(weir.admin, "PUT", "/api/rooms/lunch/rate", &[json], r#"{"rate":"3/m"}"#).status, 404);
    assert_eq!(allowed(&weir), 90.0);
    // It outlives the gateway that it was said to.
    let weir = Weir::start_in(weir.kill());
    until_true("it is known", || weir.room()["allowed_per_minute"].as_f64() == Some(90.0));
    assert_eq!(request(weir.admin, "DELETE", "/api/rooms/launch/rate", &[], "").status, 200);
    until_true("the rate is the room's own again", || allowed(&weir) == 600.0);
    weir.is_well();
}

#[test]
fn sold_out_is_told_to_all_who_wait_and_a_restock_calls_on_in_order() {
    let shop = Speaker::default();
    let weir = Weir::start(&config(shop.open(), &room("\"stock\"")));
    let holder = inside(&weir);
    let waiting = tickets(&[&weir], 8);
    shop.says("Weir-Stock: sku=shoe-270; left=5; held=1");
    ask(&weir, &holder);
    until_true("the stock is known", || weir.room()["stock"]["state"] == "available");
    until_true("those far behind learn that it may not last", || {
        let (_, last) = waiting.last().unwrap();
        let page = weir.get("/launch/item", &[PAGE, ("Accept-Language", "en"), ("Cookie", last)]);
        page.body.contains("before your turn") || page.is_shop()
    });
    shop.says("Weir-Stock: sku=shoe-270; left=0; held=3");
    ask(&weir, &holder);
    until_true("the last items are in checkout", || weir.room()["stock"]["state"] == "in_checkout");
    let admitted = weir.room()["admitted"].clone();
    let (number, cookie) = last_tickets(&[&weir], 1).swap_remove(0);
    let page = weir.get("/launch/item", &[PAGE, ("Accept-Language", "en"), ("Cookie", &cookie)]);
    assert!(page.body.contains("data-state=\"last_items\"") && page.body.contains("in checkout"), "{page:?}");

    shop.says("Weir-Stock: sku=shoe-270; left=0");
    ask(&weir, &holder);
    until_true("one server's zero only pauses", || weir.room()["stock"]["state"] == "paused");
    until_true("it closes when no other says otherwise", || weir.room()["stock"]["state"] == "sold_out");
    let document = weir.get("/.weir/status/launch", &[]).json();
    assert_eq!(document["stock"][0], "sold_out");
    assert_eq!((&document["poll"]["min"], &document["poll"]["max"]), (&5.0.into(), &60.0.into()));
    for (language, says) in [("ko", "모두 판매되었습니다"), ("en", "Everything has been sold")] {
        let page = weir.get("/launch/item", &[PAGE, ("Accept-Language", language), ("Cookie", &cookie)]);
        assert!(page.body.contains(says) && page.body.contains("data-state=\"sold_out\""), "{page:?}");
    }
    let told = weir.get("/launch/item", &[JSON, ("Cookie", &cookie)]);
    assert!(told.is_line() && told.ticket() == number, "the place is kept: {told:?}");
    assert_eq!((&told.waiting()["stockState"], &told.waiting()["waitTimeKnown"]), (&"sold_out".into(), &false.into()));
    assert!(weir.get("/launch/item", &[JSON]).is_line(), "a newcomer has a place");
    ask(&weir, &holder);
    assert_eq!(weir.room()["admitted"], admitted, "nobody is let in");
    assert_eq!(weir.metric(r#"weir_room_stock_state{room="launch",state="sold_out"}"#), 1.0);

    shop.says("Weir-Stock: sku=shoe-270; left=40");
    ask(&weir, &holder);
    until_true("the line goes on", || weir.room()["stock"]["state"] == "available");
    let ids: Vec<String> = std::thread::scope(|scope| {
        let tabs: Vec<_> = waiting.iter().map(|(_, cookie)| scope.spawn(|| pass_id(&weir, cookie))).collect();
        tabs.into_iter().map(|tab| tab.join().unwrap()).collect()
    });
    assert_eq!(ids.len(), waiting.len());
    weir.is_well();
}

#[test]
fn a_stock_by_the_api_closes_at_once_and_outlives_the_gateway() {
    let shop = Speaker::default();
    let weir = Weir::start(&config(shop.open(), &room("")));
    let answer = put(&weir, "stock", r#"{"sku":"shoe-270","left":0}"#);
    assert_eq!(answer.status, 200, "{answer:?}");
    until_true("it is sold out", || weir.room()["stock"]["state"] == "sold_out");
    for (body, says) in
        [(r#"{"sku":"","left":1}"#, "sku=shoe-270"), (r#"{"sku":"a","left":-1}"#, "left"), (r#"{"sku":"a"}"#, "left")]
    {
        let refused = put(&weir, "stock", body);
        assert!((400..=422).contains(&refused.status) && refused.body.contains(says), "{body}: {refused:?}");
    }
    let weir = Weir::start_in(weir.kill());
    until_true("it still is", || weir.room()["stock"]["state"] == "sold_out");
    assert!(weir.get("/launch/item", &[JSON]).is_line());
    put(&weir, "stock", r#"{"sku":"shoe-270","left":3}"#);
    until_true("a shopper is in", || weir.get("/launch/item", &[JSON]).is_shop());
}

#[test]
fn one_gateway_hears_it_and_all_obey_also_after_the_store_has_lost_everything() {
    let (redis, shop) = (RedisServer::start(), Speaker::default());
    let (address, room) = (shop.open(), room("\"rate\", \"stock\""));
    let fleet: Vec<Weir> = (0..3).map(|_| line::gateway(redis.address, address, &room)).collect();
    let holder = inside(&fleet[0]);
    let all = |what: &str, holds: &dyn Fn(&Weir) -> bool| until_true(what, || fleet.iter().all(holds));
    shop.says("Weir-Command: rate=120/m; ttl=5m");
    ask(&fleet[0], &holder);
    all("each gateway is slowed", &|weir| allowed(weir) == 120.0);
    assert_eq!(put(&fleet[1], "rate", r#"{"rate":"60/m","ttl":"1h"}"#).status, 200);
    all("the lowest word counts", &|weir| allowed(weir) == 60.0 && weir.room()["capped_by"] == "api");
    put(&fleet[2], "stock", r#"{"sku":"shoe","left":0}"#);
    all("each gateway is sold out", &|weir| weir.get("/.weir/status/launch", &[]).json()["stock"][0] == "sold_out");

    let lost = fleet[0].room()["lost_ms"].clone();
    redis.command("FLUSHALL");
    all("the loss is noticed", &|weir| weir.room()["lost_ms"] != lost);
    all("each word is back", &|weir| {
        allowed(weir) == 60.0 && weir.get("/.weir/status/launch", &[]).json()["stock"][0] == "sold_out"
    });
    put(&fleet[0], "stock", r#"{"sku":"shoe","left":9}"#);
    all("a restock is known to all", &|weir| weir.room()["stock"]["state"] == "available");
    request(fleet[2].admin, "DELETE", "/api/rooms/launch/rate", &[], "");
    all("what is left is the shop's own word", &|weir| allowed(weir) == 120.0 && weir.room()["capped_by"] == "shop");
    fleet.iter().for_each(Weir::is_well);
}
