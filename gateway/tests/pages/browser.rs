//! The waiting page in a real browser (Debian's Chromium and its driver), with JavaScript and without.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use gateway::ui::Language;
use policy::outlook::Wait;
use serde_json::json;

use crate::common::browser::Browser;
use crate::common::events::event;
use crate::common::line::gateway;
use crate::common::redis::RedisServer;
use crate::common::{CLOSED, JSON, PAGE, Shop, Weir, config, request, until, until_true};

/// A room in which no shopper is let in before [`open`]; then its line moves by up to five people a second, if they do not
/// come back. Asked for every second, a place is seen to fall however long that takes.
fn room() -> String {
    CLOSED.replace("= 600", "= 60\nburst = 1\npoll.max = \"1s\"")
}

fn go(browser: &Browser, weir: &Weir) {
    browser.go(&format!("http://{}/launch/item", weir.http));
}

/// So many people who do not come back.
fn crowd(weir: &Weir, people: usize) {
    std::thread::scope(|scope| (0..people).for_each(|_| drop(scope.spawn(|| weir.get("/launch/item", &[JSON])))));
}

#[test]
fn whoever_is_asked_to_confirm_lands_in_the_line_by_itself_with_javascript_and_without() {
    for javascript in [true, false] {
        let browser = Browser::open(javascript);
        let shop = Shop::open();
        let weir = Weir::start(&config(shop.address, &format!("{}join = \"confirmed\"\n", room())));
        go(&browser, &weir);
        let place: u64 = until("a place is shown", || browser.text("position").parse().ok());
        assert_eq!((place, weir.room()["next"].as_u64()), (1, Some(1)));
        let asked = weir.metric(r#"weir_requests_total{room="launch",verdict="confirm"}"#);
        assert!((asked - 1.0).abs() < 0.5, "asked {asked} times");
    }
}

/// A closed room with a line of twenty.
fn line() -> (Shop, Weir) {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, &room()));
    crowd(&weir, 20);
    (shop, weir)
}

/// From now on people are let in. The browser has been seen in the line by then, however long it took to start.
fn open(weir: &Weir) {
    let file = weir.config_file();
    let closed = std::fs::read_to_string(&file).unwrap();
    std::fs::write(file, closed.replace("queue_all = true\n", "")).unwrap();
}

#[test]
fn the_button_of_a_place_by_code_leads_to_the_room_with_javascript_and_without() {
    for javascript in [true, false] {
        let browser = Browser::open(javascript);
        let (_shop, weir) = line();
        let url = "/api/rooms/launch/actions/give-place";
        let typed = [("Content-Type", "application/json")];
        let given = request(weir.admin, "POST", url, &typed, "{\"why\": \"a test\"}").json()["place"].clone();
        browser.go(&format!("http://{}{}", weir.http, given["path"].as_str().unwrap()));
        assert!(browser.source().contains("A place is kept for you"), "{}", browser.source());
        browser.click("button");
        until_true("the page of the room is there", || browser.url() == format!("http://{}/launch", weir.http));
        assert!(!browser.source().contains("A place is kept for you"));
        open(&weir);
        until_true("they are inside", || browser.source().contains("welcome to the shop"));
    }
}

/// Numbers, units and their plurals, by what a page in that language gives its script.
#[test]
fn script_and_page_say_the_same_in_every_language() {
    let script = include_str!("../../../queue-ui/page.js");
    let (_, words) = script.split_once("  const counted =").expect("its words");
    let (words, _) = words.split_once("  // Tells `queue.js`").expect("their end");
    let waits = [
        (0, 0),
        (0, 7),
        (23, 41),
        (50, 120),
        (90, 180),
        (260, 400),
        (60, 660),
        (1_200, 1_260),
        (7_300, 14_000),
        (40_000, 80_000),
    ];
    let (browser, (_shop, weir)) = (Browser::open(true), line());
    go(&browser, &weir);
    for language in Language::ALL {
        let html = weir.get("/launch/item", &[PAGE, ("Accept-Language", language.tag())]).body;
        let told = waits.map(|(low, high)| language.wait(Some(Wait { low, high })));
        let shown = browser.run(&format!(
            "const data = new DOMParser().parseFromString({}, 'text/html').getElementById('weir').dataset, lang = {}, {{ ceil, floor }} = Math;
             const counted ={words} return {}.map(([low, high]) => words(low, high));",
            json!(html),
            json!(language.tag()),
            json!(waits)
        ));
        assert_eq!(shown, json!(told), "{language:?}");
    }
}

#[test]
fn with_javascript_the_page_counts_down_by_itself_and_enters_when_it_is_their_turn() {
    let browser = Browser::open(true);
    let (shop, weir) = line();
    go(&browser, &weir);
    let first: u64 = until("a place is shown", || browser.text("position").parse().ok());
    let of_when = "const at = document.getElementById('updated'); return [at.parentElement.innerText, at.dateTime]";
    let told = browser.run(of_when);
    assert!(told[0].as_str().unwrap().starts_with("as of "), "the number carries its time: {told}");
    until_true("it is true of a later time", || browser.run(of_when)[1].as_str() > told[1].as_str());
    let mut last = first;
    open(&weir);
    until_true("they are inside", || {
        let page = browser.source();
        last = browser.text("position").parse().map_or(last, |now: u64| {
            assert!(now <= last, "the position grew from {last} to {now}");
            now
        });
        page.contains("welcome to the shop")
    });
    assert!(last < first, "the page did not count down");
    assert!(weir.metric(r#"weir_requests_total{room="",verdict="own"}"#) >= 1.0, "it asked for the status document");
    let theirs = |head: &&String| head.starts_with("GET /launch/item") && head.contains("Chrome");
    assert_eq!(shop.seen().iter().filter(theirs).count(), 1);
}

#[test]
fn a_pause_and_what_operators_say_of_it_are_shown_within_a_poll_and_go_again() {
    let browser = Browser::open(true);
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, &room().replace("queue_all = true\n", "").replace("= 60\n", "= 1\n")));
    let act = |action: &str, body: &str| {
        let path = format!("/api/rooms/launch/actions/{action}");
        let answer = request(weir.admin, "POST", &path, &[("Content-Type", "application/json")], body);
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    crowd(&weir, 5);
    go(&browser, &weir);
    until_true("a place is shown", || browser.text("position").parse::<u64>().is_ok());
    let shown = |id: &str| {
        let text = "const e = document.getElementById('ID'); return e.hidden ? '' : e.textContent".replace("ID", id);
        browser.run(&text).as_str().unwrap().to_owned()
    };
    assert_eq!((shown("note"), shown("message")), (String::new(), String::new()));
    act("message", r#"{ "why": "a test", "message": { "en": "3 < 5: back at noon", "ko": "3 < 5: back at noon" } }"#);
    act("pause", r#"{ "why": "a test" }"#);
    until_true("the message is shown", || shown("message") == "3 < 5: back at noon");
    until_true("and that the line stands", || !shown("note").is_empty());
    act("message", r#"{ "why": "a test", "message": {} }"#);
    act("resume", r#"{ "why": "a test" }"#);
    until_true("it is as before", || shown("note").is_empty() && shown("message").is_empty());
    assert_eq!(shop.seen().iter().filter(|head| head.contains("Chrome") && head.contains("/launch/item")).count(), 0);
}

#[test]
fn with_javascript_the_page_goes_on_counting_down_when_redis_has_lost_everything() {
    let browser = Browser::open(true);
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let weir = gateway(redis.address, shop.address, &room());
    crowd(&weir, 10);
    go(&browser, &weir);
    let mut last: u64 = until("a place is shown", || browser.text("position").parse().ok());
    assert_eq!(redis.command("FLUSHALL"), "+OK");
    crowd(&weir, 10);
    open(&weir);
    until_true("they are inside", || {
        last = browser.text("position").parse().map_or(last, |now: u64| {
            assert!(now <= last, "the position grew from {last} to {now}");
            now
        });
        browser.source().contains("welcome to the shop")
    });
    assert_eq!(weir.room()["earlier_segments"], 1, "there was a loss");
}

/// Fills in a form on a page of the shop, and sends it when the pass has ended and the room is closed.
fn sends_a_form_too_late(browser: &Browser, weir: &Weir, fields: &str) {
    let closed = || std::fs::read_to_string(weir.config_file()).unwrap();
    until_true("they are inside", || {
        go(browser, weir);
        browser.source().contains("welcome to the shop")
    });
    let form = format!(
        "document.body.innerHTML = '<form method=post action=/launch/echo>{fields}</form>'; \
         document.querySelector('[name=name]').value = 'Kim \"<b>&'"
    );
    browser.act(&form);
    std::fs::write(weir.config_file(), closed().replace("session_duration", "queue_all = true\nsession_duration"))
        .unwrap();
    until_true("the pass ends", || weir.room()["active_users"] == 0);
    browser.act("document.querySelector('form').submit()");
    until_true("the form comes back", || browser.source().contains("id=\"held\""));
}

#[test]
fn a_form_that_was_filled_in_for_too_long_comes_back_and_is_sent_when_it_is_their_turn() {
    let browser = Browser::open(true);
    let shop = Shop::open();
    let room = room()
        .replace("queue_all = true", "session_duration = \"5s\"\nform_grace = \"0s\"\ndisable_session_renewal = true");
    let weir = Weir::start(&config(shop.address, &room));
    sends_a_form_too_late(
        &browser,
        &weir,
        "<input name=name><textarea name=memo>a\\nb</textarea><input name=name value=2>",
    );
    assert!(!shop.seen().iter().any(|head| head.starts_with("POST")));
    assert_eq!(browser.text("how"), "Keep this page open: the form is sent by itself when it is your turn.");
    open(&weir);
    // `&` and `<` as the browser shows the body that the shop got.
    let sent = "name=Kim+%22%3Cb%3E%26&amp;memo=a%0D%0Ab&amp;name=2";
    until_true("it is sent by itself", || browser.source().contains(sent));
    assert_eq!(shop.seen().iter().filter(|head| head.starts_with("POST /launch/echo")).count(), 1);
}

/// The text of the bar on a page of the shop; empty if there is none.
fn bar(browser: &Browser) -> String {
    let said = browser.run("return document.getElementById('weir-pass')?.shadowRoot.textContent || ''");
    said.as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_pass_is_renewed_while_a_form_is_filled_in_and_its_end_is_told_to_who_does_nothing() {
    let browser = Browser::open(true);
    let shop = Shop::open();
    let room = "session_duration = \"6s\"\nsession_script = true";
    let weir = Weir::start(&config(shop.address, &CLOSED.replace("queue_all = true", room)));
    until_true("they are at the form", || {
        browser.go(&format!("http://{}/launch/checkout", weir.http));
        browser.source().contains("Checkout")
    });
    browser.act(
        "window.told = []; for (const what of ['expiring', 'renewed', 'expired']) \
         document.addEventListener('weir:pass-' + what, e => told.push(what + (e.detail.renewable ? '!' : '')))",
    );
    let told = || browser.run("return told.join(' ')").as_str().unwrap_or_default().to_owned();
    // Once: what is typed after the renewal was asked for would bring another.
    browser.fill("[name=name]", "k");
    until_true("it is renewed for who types", || told().contains("renewed"));
    assert_eq!((told().as_str(), bar(&browser).as_str()), ("renewed", ""), "they are not bothered");
    until_true("who does nothing is warned", || bar(&browser).contains("Your time in the shop ends soon."));
    assert!(bar(&browser).contains("0:0") && bar(&browser).contains("Stay in the shop"), "{}", bar(&browser));
    if let Ok(folder) = std::env::var("WEIR_PICTURES") {
        std::fs::write(format!("{folder}/pass-expiring.png"), browser.picture()).expect("the folder is there");
    }
    browser.act("document.getElementById('weir-pass').shadowRoot.querySelector('button').click()");
    until_true("the button renews", || told().ends_with("expiring! renewed"));
    assert_eq!(bar(&browser), "");
    until_true("an idle page is not renewed, and is told", || told().ends_with("expiring! renewed expiring! expired"));
    until_true("it says so", || bar(&browser).contains("has ended"));
    until_true("the seat is free", || weir.room()["active_users"] == 0);
    let asked = shop.seen().iter().filter(|head| head.starts_with("GET /launch/checkout")).count();
    assert_eq!((asked, browser.url().ends_with("/launch/checkout")), (1, true), "the page is as it was");
}

#[test]
fn without_javascript_the_page_shows_the_place_and_comes_back_by_itself_until_they_are_inside() {
    let browser = Browser::open(false);
    let (_shop, weir) = line();
    go(&browser, &weir);
    let first: u64 = until("a place is shown", || browser.text("position").parse().ok());
    assert!(first > 0 && browser.source().contains("/.weir/leave/launch"));
    open(&weir);
    until_true("they are inside", || browser.source().contains("welcome to the shop"));
    assert!((weir.metric(r#"weir_requests_total{room="",verdict="own"}"#)).abs() < 0.5, "no script ran");
}

/// A program tells the stock.
fn stock(weir: &Weir, left: u64) {
    let (json, body) = (("Content-Type", "application/json"), format!(r#"{{"sku":"shoe","left":{left}}}"#));
    assert_eq!(request(weir.admin, "PUT", "/api/rooms/launch/stock", &[json], &body).status, 200);
}

#[test]
fn the_page_says_by_itself_that_all_is_sold_and_goes_on_after_a_restock() {
    let browser = Browser::open(true);
    let (_shop, weir) = line();
    go(&browser, &weir);
    let place: u64 = until("a place is shown", || browser.text("position").parse().ok());
    let heading = || browser.run("return document.querySelector('h1').textContent").as_str().unwrap().to_owned();
    let title = heading();
    stock(&weir, 3);
    open(&weir);
    until_true("it may not last so far back", || browser.text("stock").contains("before your turn"));
    stock(&weir, 0);
    until_true("it says so by itself", || heading() == "Sold out" && browser.text("note").contains("has been sold"));
    assert!(browser.text("position").parse::<u64>().unwrap() <= place, "the place is kept");
    assert_eq!(browser.run("return document.getElementById('wait').hidden"), true);
    stock(&weir, 100);
    let inside = || browser.source().contains("welcome to the shop");
    until_true("the line goes on", || inside() || heading() == title);
    until_true("they are inside", inside);
}

#[test]
fn before_the_start_the_page_counts_down_by_itself_and_lets_them_in_with_javascript_and_without() {
    for javascript in [true, false] {
        let (browser, shop) = (Browser::open(javascript), Shop::open());
        let room = "[[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch\"\nnew_users_per_minute = 6000\npoll.max = \"1s\"\n";
        let weir = Weir::start(&config(shop.address, &(room.to_owned() + &event(15_000, 3_600_000, ""))));
        go(&browser, &weir);
        let left = || {
            let text = browser.text("countdown");
            let (minutes, seconds) = text.split_once(':')?;
            Some(minutes.parse::<u64>().ok()? * 60 + seconds.parse::<u64>().ok()?)
        };
        let first = until("the time is told", left);
        assert!(first <= 15, "{first}");
        until_true("it counts down", || left().is_none_or(|now| now < first));
        until_true("they are inside", || browser.source().contains("welcome to the shop"));
        let at_start = weir.metric(r#"weir_requests_total{room="launch",verdict="claim"}"#);
        assert!((at_start - 1.0).abs() < 0.5, "by the ticket that they took before: {at_start}");
    }
}
