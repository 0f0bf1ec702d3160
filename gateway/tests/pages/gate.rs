//! The page at the gate of orders in a real browser: it shows the place, sends the form by itself when the turn has come, and once.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use crate::common::browser::Browser;
use crate::common::orders::Orders;
use crate::common::{JSON, ROOMY, Weir, config, request, until, until_true};

const ORDERS: &str =
    "[[route]]\nhost = \"*\"\npath = \"/launch/order\"\nclass = \"order\"\nmax_in_flight = 1\nmax_wait = \"50ms\"\n";

fn gateway(shop: &Orders) -> Weir {
    let text = config(shop.open(), &format!("{ROOMY}\n{ORDERS}"));
    Weir::start(&text.replace("response_timeout = \"2s\"", "response_timeout = \"60s\""))
}

/// An order of another shopper is in work.
fn somebody_orders(weir: &Weir, shop: &Orders) {
    let inside =
        until("somebody gets in", || Some(weir.get("/launch/item", &[JSON])).filter(crate::common::Answer::is_shop));
    let (to, pass) = (weir.http, inside.cookie().unwrap());
    std::thread::spawn(move || request(to, "POST", "/launch/order", &[JSON, ("Cookie", &pass)], "another"));
    until_true("the shop works on it", || shop.in_work().0 == 1);
}

/// Fills in the form on the shop's page, and sends it.
fn orders(browser: &Browser, weir: &Weir) {
    until_true("they are at the form", || {
        browser.go(&format!("http://{}/launch/checkout", weir.http));
        browser.source().contains("Checkout")
    });
    browser.fill("[name=name]", "Kim \"<b>&");
    browser.fill("[name=memo]", "a\nb");
    browser.click("button");
    until_true("the form comes back", || browser.source().contains("id=\"held\""));
}

fn pictures(browser: &Browser, name: &str) {
    let Ok(folder) = std::env::var("WEIR_PICTURES") else { return };
    for (screen, (width, height)) in [("desk", (1280, 800)), ("phone", (390, 844))] {
        browser.screen(width, height);
        std::fs::write(format!("{folder}/{name}-{screen}.png"), browser.picture()).expect("the folder is there");
    }
}

/// As the browser shows what the shop got.
const SENT: &str = "thank you: name=Kim+%22%3Cb%3E%26&amp;memo=a%0D%0Ab";

#[test]
fn with_javascript_the_form_is_sent_by_itself_at_its_turn_and_once() {
    let shop = Orders::default();
    let weir = gateway(&shop);
    somebody_orders(&weir, &shop);
    let browser = Browser::open(true);
    orders(&browser, &weir);
    assert_eq!((browser.text("position"), shop.bodies().len()), ("0".to_owned(), 1));
    assert_eq!(browser.text("how"), "Keep this page open: the form is sent by itself when it is your turn.");
    pictures(&browser, "gate-form");
    shop.answer(2);
    until_true("it is sent by itself", || browser.source().contains(SENT));
    let sent = || shop.bodies().iter().filter(|body| body.starts_with("name=Kim")).count();
    assert_eq!(sent(), 1);
    // Whatever the browser does with the page before: it is sent no second time.
    shop.answer(5);
    browser.back();
    browser.run("await new Promise(next => setTimeout(next, 1500)); return 0");
    assert_eq!(sent(), 1);
}

#[test]
fn without_javascript_the_button_sends_it_again() {
    let shop = Orders::default();
    let weir = gateway(&shop);
    somebody_orders(&weir, &shop);
    let browser = Browser::open(false);
    orders(&browser, &weir);
    assert!(browser.source().contains("press the button now and then"));
    let held = || weir.metric("weir_route_requests_total{route=\"*/launch/order\",class=\"order\",result=\"held\"}");
    assert_eq!(held(), 1.0);
    browser.click("#held button");
    until_true("too early", || held() == 2.0 && browser.source().contains("id=\"held\""));
    assert_eq!(shop.bodies().len(), 1);
    shop.answer(2);
    until_true("the other one is done", || shop.in_work().0 == 0);
    browser.click("#held button");
    until_true("it is sent", || browser.source().contains(SENT));
    assert_eq!(shop.bodies().len(), 2);
}

#[test]
fn a_page_over_the_limit_loads_at_its_turn_and_one_in_doubt_tells_where_to_look() {
    let shop = Orders::default();
    let weir = gateway(&shop);
    somebody_orders(&weir, &shop);
    let browser = Browser::open(true);
    until_true("they wait at the gate", || {
        browser.go(&format!("http://{}/launch/order", weir.http));
        browser.text("position") == "0"
    });
    pictures(&browser, "gate-page");
    shop.answer(2);
    until_true("it loads by itself", || browser.source().contains("thank you"));
    until_true("they are at the form", || {
        browser.go(&format!("http://{}/launch/checkout", weir.http));
        browser.source().contains("Checkout")
    });
    browser
        .act("document.querySelector('form').action = '/launch/order/reset'; document.querySelector('form').submit()");
    until_true("it is in doubt", || browser.source().contains("Look at your orders first"));
    pictures(&browser, "in-doubt");
}
