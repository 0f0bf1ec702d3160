//! The cookie of a room, as other programs than browsers keep it, and for how long it is kept.

use super::behind;
use crate::common::{CLOSED, JSON, PAGE, ROOMY, until_true};

#[test]
fn a_place_that_comes_back_in_quotes_is_kept() {
    let (_shop, weir) = behind(CLOSED);
    let first = weir.get("/launch/item", &[JSON]);
    let (name, value) = first.cookie().unwrap().split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())).unwrap();
    for line in [
        format!("{name}=\"{value}\""),
        format!("$Version=\"1\"; {name}=\"{value}\";$Path=\"/\""),
        format!("$Version=1; other=\"x\";$Path=\"/\"; {name}=\"{value}\";$Path=\"/\";$Domain=\"shop.example\""),
    ] {
        let again = weir.get("/launch/item", &[JSON, ("Cookie", &line)]);
        assert_eq!(again.ticket(), first.ticket(), "{line}");
    }
    assert_eq!(weir.metric(r#"weir_requests_total{room="launch",verdict="queued"}"#), 1.0);
    weir.is_well();
}

#[test]
fn a_pass_in_quotes_enters_and_the_shop_sees_the_other_cookies_alone() {
    let (shop, weir) = behind(ROOMY);
    until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= 10);
    let pass = weir.get("/launch/item", &[JSON]).cookie().unwrap();
    let quoted = pass.replacen('=', "=\"", 1) + "\";$Path=\"/\"";
    let line = format!("$Version=\"1\"; {quoted}; basket=\"7\";$Path=\"/\"");
    assert!(weir.get("/launch/quoted", &[("Cookie", &line)]).is_shop());
    assert_eq!(shop.one("/launch/quoted").all("cookie"), ["$Version=\"1\"; basket=\"7\"; $Path=\"/\""]);
}

#[test]
fn the_cookie_of_a_pass_lives_as_long_as_the_pass_and_for_a_day_at_least() {
    for (session, seconds) in [("72h", 72 * 3600), ("5m", 24 * 3600)] {
        let (_shop, weir) = behind(&format!("{ROOMY}session_duration = \"{session}\"\n"));
        until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= 10);
        let answer = weir.get("/launch/item", &[PAGE]);
        assert!(answer.is_shop(), "{answer:?}");
        let cookie = answer.header("set-cookie").unwrap();
        let age: u64 = cookie.split("Max-Age=").nth(1).unwrap().split(';').next().unwrap().parse().unwrap();
        // The end of a pass is told on the clock of the store, a copy of which may be a moment old.
        assert!((seconds..seconds + 60).contains(&(age + 5)) || age == seconds, "{session}: {cookie}");
    }
    let (_shop, weir) = behind(CLOSED);
    let ticket = weir.get("/launch/item", &[PAGE]);
    assert!(ticket.header("set-cookie").unwrap().contains("Max-Age=86400;"), "{ticket:?}");
}
