//! Several tabs, the way back, and the WebSocket of a product's page.

use super::journey::{is_thanked, send_the_address, to_the_address, to_the_payment, write_the_address};
use super::testbed::{Arrangement, BOOK, Testbed, browser, until_true};

#[test]
#[ignore = "needs a shop: make real-shop"]
fn two_tabs_share_a_place_a_pass_and_a_basket_and_one_hears_what_the_other_buys() {
    let testbed = Testbed::closed(Arrangement::Tls, "");
    let browser = browser();
    let first = browser.this_tab();
    browser.go(&testbed.address(BOOK));
    let second = browser.tab();
    browser.look_at(&second);
    browser.go(&testbed.address(BOOK));
    for tab in [&first, &second] {
        browser.look_at(tab);
        until_true("a place is shown", || browser.text("position") == "1");
    }
    testbed.open_doors();
    for tab in [&first, &second] {
        browser.look_at(tab);
        until_true("they are inside", || browser.text("left") == "300");
    }
    let room = testbed.weir.room();
    assert_eq!((&room["active_users"], &room["admitted"]), (&1.into(), &1.into()), "{room}");
    to_the_address(&browser, &testbed);
    write_the_address(&browser);
    send_the_address(&browser);
    to_the_payment(&browser);
    browser.click("#pay");
    is_thanked(&browser);
    browser.look_at(&first);
    until_true("the other tab hears of it", || browser.text("left") == "299");
    browser.go(&testbed.address("/accounts/orders/"));
    until_true("and is logged in", || {
        browser.source().contains("Order history") && browser.source().contains("₩24,500")
    });
    assert_eq!(testbed.weir.room()["admitted"], 1);
}

#[test]
#[ignore = "needs a shop: make real-shop"]
fn the_way_back_leads_to_the_shop_and_not_into_the_line_and_nothing_is_ordered_twice() {
    let testbed = Testbed::closed(Arrangement::Tls, "");
    let browser = browser();
    browser.go(&testbed.address("/static/oscar/favicon.ico"));
    browser.go(&testbed.address(BOOK));
    until_true("a place is shown", || browser.text("position") == "1");
    testbed.open_doors();
    until_true("they are inside", || browser.text("left") == "300");
    browser.back();
    until_true("before the line there was the picture", || browser.url().ends_with("favicon.ico"));
    browser.run("history.forward()");
    until_true("they are inside as before", || browser.text("left") == "300");

    to_the_address(&browser, &testbed);
    browser.back();
    browser.back();
    until_true("back at the book", || browser.text("left") == "300");
    browser.go(&testbed.address("/checkout/"));
    write_the_address(&browser);
    send_the_address(&browser);
    to_the_payment(&browser);
    browser.click("#pay");
    is_thanked(&browser);
    browser.back();
    until_true("the payment again", || browser.url().contains("//pay.test"));
    browser.click("#pay");
    is_thanked(&browser);
    assert_eq!((testbed.shop.orders(), &testbed.weir.room()["next"]), ("1".to_owned(), &1.into()));
}

#[test]
#[ignore = "needs a shop: make real-shop"]
fn the_stock_is_told_to_those_inside_by_a_websocket_and_to_nobody_else() {
    for way in [Arrangement::Tls, Arrangement::Nginx, Arrangement::Clear] {
        let testbed = Testbed::closed(way, "session_duration = \"5s\"\nupgrades_end_with_pass = true\n");
        let browser = browser();
        browser.go(&testbed.address(BOOK));
        until_true("a place is shown", || browser.text("position") == "1");
        let asks = "return await new Promise(done => {
             const stock = new WebSocket(`${location.origin.replace('http', 'ws')}/ws/stock/3`);
             stock.onmessage = ({ data }) => done(data); stock.onerror = () => done('refused') })";
        assert_eq!(browser.run(asks), "refused", "{way:?}");
        assert!(!testbed.shop.log().contains("WebSocket"), "{}", testbed.shop.log());
        testbed.open_doors();
        until_true("they are inside", || browser.text("left") == "300");
        browser.run(
            "window.stock = new WebSocket(`${location.origin.replace('http', 'ws')}/ws/stock/3`);
             window.told = 0; stock.onmessage = () => told++; stock.onclose = () => window.ended = told",
        );
        until_true("it tells by itself", || browser.run("return told").as_u64() > Some(2));
        browser.run("stock.send('?')");
        until_true("it ends with the pass", || browser.run("return window.ended").as_u64() > Some(2));
    }
}
