//! A pass that ends while its holder types, pays or looks for a photo.

use std::fs;
use std::process::Command;

use super::journey::{is_thanked, send_the_address, to_the_address, to_the_payment, write_the_address};
use super::testbed::{Arrangement, Testbed, browser, until_true, without_javascript};
use crate::common::browser::Browser;

const SHORT: &str = "session_duration = \"12s\"\n";

#[test]
#[ignore = "needs a shop: make real-shop"]
fn an_address_whose_pass_has_ended_goes_through_and_the_order_is_finished() {
    let testbed = Testbed::new(Arrangement::Tls, SHORT);
    let browser = browser();
    to_the_address(&browser, &testbed);
    write_the_address(&browser);
    testbed.passes_end();
    send_the_address(&browser);
    until_true("the shop goes on", || browser.url().ends_with("/checkout/payment-details/"));
    assert!(testbed.counted("late") >= 1.0);
    to_the_payment(&browser);
    browser.click("#pay");
    is_thanked(&browser);
    assert_eq!(testbed.shop.orders(), "1");
}

/// Goes to the address form and sends it when the pass has ended and the room is closed.
pub(crate) fn sends_too_late(testbed: &Testbed, browser: &Browser) {
    to_the_address(browser, testbed);
    write_the_address(browser);
    testbed.close_doors();
    testbed.passes_end();
    send_the_address(browser);
    until_true("they wait with it", || browser.text("position") == "1");
}

#[test]
#[ignore = "needs a shop: make real-shop"]
fn an_address_whose_time_is_over_waits_with_its_sender_and_is_sent_in_their_turn() {
    for way in [Arrangement::Tls, Arrangement::Nginx, Arrangement::Clear] {
        let testbed = Testbed::new(way, &format!("{SHORT}form_grace = \"0s\"\n"));
        let browser = browser();
        sends_too_late(&testbed, &browser);
        let sessions = || testbed.shop.ask("select count(*) from django_session");
        let before = sessions();
        let page = browser.source();
        assert!(page.contains("name=\"csrfmiddlewaretoken\"") && page.contains("1 Weir &lt;Street&gt;"), "{page}");
        assert!(!page.contains("id=\"lost\""), "{page}");
        testbed.open_doors();
        until_true("the shop takes it", || browser.url().ends_with("/checkout/payment-details/"));
        assert_eq!(sessions(), before, "they are logged in as before");
        to_the_payment(&browser);
    }
}

#[test]
#[ignore = "needs a shop: make real-shop"]
fn without_javascript_a_button_sends_the_address_in_their_turn() {
    let testbed = Testbed::new(Arrangement::Tls, &format!("{SHORT}form_grace = \"0s\"\n"));
    let browser = without_javascript();
    sends_too_late(&testbed, &browser);
    browser.click("#held button");
    until_true("they wait with it", || browser.text("position") == "1");
    testbed.open_doors();
    until_true("the shop takes it", || {
        if browser.source().contains("id=\"held\"") {
            browser.click("#held button");
        }
        browser.url().ends_with("/checkout/payment-details/")
    });
    to_the_payment(&browser);
}

#[test]
#[ignore = "needs a shop: make real-shop"]
fn whoever_pays_for_longer_than_the_pass_lives_has_ordered_and_waits_for_the_thanks_alone() {
    for way in [Arrangement::Tls, Arrangement::Clear] {
        let testbed = Testbed::new(way, SHORT);
        let browser = browser();
        to_the_address(&browser, &testbed);
        write_the_address(&browser);
        send_the_address(&browser);
        to_the_payment(&browser);
        testbed.close_doors();
        testbed.passes_end();
        browser.click("#pay");
        until_true("they wait for the thanks", || browser.text("position") == "1");
        assert_eq!(testbed.shop.orders(), "1", "what was paid is ordered");
        assert!(browser.url().ends_with("/checkout/thank-you/"), "{}", browser.url());
        testbed.open_doors();
        is_thanked(&browser);
        assert_eq!(testbed.shop.orders(), "1");
    }
}

#[test]
#[ignore = "needs a shop: make real-shop"]
fn a_photo_arrives_whole_and_one_whose_pass_has_ended_is_sent_again_by_the_browser() {
    for way in [Arrangement::Tls, Arrangement::Nginx] {
        let testbed = Testbed::new(way, &format!("{SHORT}form_grace = \"0s\"\n"));
        let browser = browser();
        to_the_address(&browser, &testbed);
        let photo = testbed.weir.dir.path().join("photo.jpg");
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        fs::write(&photo, bytes).unwrap();
        let sum = Command::new("sha256sum").arg(&photo).output().unwrap().stdout;
        let sum = String::from_utf8(sum).unwrap()[..64].to_owned();

        browser.go(&testbed.address("/photo/"));
        browser.fill("[name=photo]", photo.to_str().unwrap());
        browser.click("form[enctype] button");
        until_true("it is there", || browser.text("digest") == sum);

        browser.go(&testbed.address("/photo/"));
        browser.fill("[name=photo]", photo.to_str().unwrap());
        testbed.close_doors();
        testbed.passes_end();
        browser.click("form[enctype] button");
        until_true("they wait", || browser.text("position") == "1");
        assert!(browser.source().contains("id=\"lost\""), "the page says what to do: {}", browser.source());
        testbed.open_doors();
        until_true("it was sent again", || {
            browser.run("location.reload()");
            browser.text("digest") == sum
        });
    }
}
