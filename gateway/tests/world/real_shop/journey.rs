//! From the waiting page to the order.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use super::forms::sends_too_late;
use super::testbed::{Arrangement, BOOK, Testbed, browser, until_true};
use crate::common::JSON;
use crate::common::browser::Browser;

/// Opens the book, puts it into the basket and goes to the address form of the checkout, by way of the login.
pub(crate) fn to_the_address(browser: &Browser, testbed: &Testbed) {
    // Loaded to its end, pictures and all: what moves while it loads is missed by a click.
    browser.go(&testbed.address(BOOK));
    browser.click("#add_to_basket_form button");
    until_true("it is in the basket", || browser.source().contains("has been added to your basket"));
    browser.go(&testbed.address("/checkout/"));
    browser.fill("[name=login-username]", "kim@example.com");
    browser.fill("[name=login-password]", "waiting-1");
    browser.click("[name=login_submit]");
    until_true("they are logged in", || browser.source().contains("id=\"new_shipping_address\""));
}

pub(crate) fn write_the_address(browser: &Browser) {
    let fields = [
        ("first_name", "Min-ji"),
        ("last_name", "Kim & \"Söhne\""),
        ("line1", "1 Weir <Street>"),
        ("line4", "Seoul"),
        ("postcode", "04524"),
        ("notes", "3ème étage ✓ + 1 %20"),
    ];
    for (name, value) in fields {
        browser.fill(&format!("[name={name}]"), value);
    }
}

pub(crate) fn send_the_address(browser: &Browser) {
    browser.click("#new_shipping_address button");
}

/// From the address to the page of the payment.
pub(crate) fn to_the_payment(browser: &Browser) {
    browser.click("#view_preview");
    until_true("the preview comes", || browser.source().contains("1 Weir &lt;Street&gt;"));
    browser.click("#place-order");
    until_true("they are to pay", || browser.url().contains("//pay.test"));
}

pub(crate) fn is_thanked(browser: &Browser) {
    until_true("they are thanked", || browser.source().contains("your order number is"));
    let page = browser.source();
    assert!(browser.url().ends_with("/checkout/thank-you/") && page.contains("1 Weir &lt;Street&gt;"), "{page}");
}

/// All of it from the place in the line; `seen` is told of each station.
fn buys(testbed: &Testbed, browser: &Browser, mut seen: impl FnMut(&str)) {
    until_true("they are inside, and hear of the stock", || browser.text("left") == "300");
    seen("inside");
    to_the_address(browser, testbed);
    write_the_address(browser);
    seen("address");
    send_the_address(browser);
    until_true("it goes on", || browser.url().ends_with("/checkout/payment-details/"));
    to_the_payment(browser);
    seen("payment");
    browser.click("#pay");
    is_thanked(browser);
    seen("thanked");
    assert_eq!(testbed.shop.orders(), "1");
    let address = testbed.shop.ask("select last_name, line1, notes from order_shippingaddress");
    assert_eq!(address, "Kim & \"Söhne\" 1 Weir <Street> 3ème étage ✓ + 1 %20");
    assert_eq!(testbed.counted("needs_pass"), 0.0, "nothing was refused");
}

#[test]
#[ignore = "needs a shop: make real-shop"]
fn a_shopper_waits_enters_orders_and_comes_back_from_the_payment_of_another_site() {
    for (way, without_a_pass) in [(Arrangement::Tls, 0.0), (Arrangement::Nginx, 0.0), (Arrangement::Clear, 1.0)] {
        let testbed = Testbed::closed(way, "");
        let browser = browser();
        browser.go(&testbed.address(BOOK));
        until_true("a place is shown", || browser.text("position") == "1");
        testbed.open_doors();
        buys(&testbed, &browser, |_| ());
        assert_eq!(testbed.counted("return"), without_a_pass, "{way:?}");
        let room = testbed.weir.room();
        assert_eq!((&room["next"], &room["admitted"]), (&1.into(), &1.into()), "one place for all of it: {room}");
    }
}

#[test]
#[ignore = "needs a shop: make pictures-shop"]
fn pictures_of_the_journey() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/pictures");
    fs::create_dir_all(&place).unwrap();
    for (device, width, height) in [("desk", 1280, 900), ("phone", 390, 844)] {
        let browser = browser();
        browser.screen(width, height);
        let numbers = Cell::new(1);
        let seen = |station: &str| {
            let number = numbers.replace(numbers.get() + 1);
            fs::write(place.join(format!("{device}-{number}-{station}.png")), browser.picture()).unwrap();
        };

        let testbed = Testbed::closed(Arrangement::Tls, "burst = 1\n");
        for _ in 0..60 {
            testbed.weir.get(BOOK, &[JSON, ("Host", "shop.test")]);
        }
        browser.go(&testbed.address(BOOK));
        until_true("a place is shown", || browser.text("position") == "61");
        seen("closed");
        testbed.rewrite("= 600", "= 30");
        testbed.open_doors();
        until_true("the line moves", || browser.text("position").parse().is_ok_and(|place: u64| place < 61));
        seen("line");
        buys(&testbed, &browser, seen);

        let testbed = Testbed::new(Arrangement::Tls, "session_duration = \"12s\"\nform_grace = \"0s\"\n");
        sends_too_late(&testbed, &browser);
        seen("held");
        testbed.open_doors();
        until_true("the shop takes it", || browser.url().ends_with("/checkout/payment-details/"));
        seen("taken");
    }
}
