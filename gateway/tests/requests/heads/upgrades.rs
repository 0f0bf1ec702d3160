//! Offers of another protocol.

use std::process::Command;

use super::behind;
use crate::common::{CLOSED, Kept, PAGE, ROOMY, until_true};

#[test]
fn a_page_that_is_asked_for_with_an_offer_of_http_2_or_tls_is_a_page() {
    let (_shop, weir) = behind(CLOSED);
    let settings = ("HTTP2-Settings", "AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA");
    for (connection, upgrade) in [
        ("Upgrade, HTTP2-Settings", "h2c"),
        ("upgrade", "H2C"),
        ("Upgrade", "TLS/1.2"),
        ("Upgrade", "HTTP/2.0, TLS/1.3"),
    ] {
        let mut client = Kept::open(weir.http);
        let answer = client.get("/launch/item", &[PAGE, ("Connection", connection), ("Upgrade", upgrade), settings]);
        assert!(answer.is_line(), "{upgrade}: {answer:?}");
        assert!(answer.cookie().is_some(), "{answer:?}");
        // The connection stays what it was.
        assert!(client.get("/launch/item", &[PAGE]).is_line());
    }
    let mut client = Kept::open(weir.http);
    assert!(client.get("/launch/item", &[PAGE, ("Connection", "upgrade")]).is_line());
    let websocket = [PAGE, ("Connection", "Upgrade"), ("Upgrade", "websocket")];
    assert_eq!(client.get("/launch/item", &websocket).told(), Some("needs-pass"));
    weir.is_well();
}

#[test]
fn an_offer_that_would_carry_requests_past_the_room_never_reaches_the_shop() {
    let (shop, weir) = behind(CLOSED);
    for (n, upgrade) in ["h2c", "TLS/1.2", "HTTP/2.0", "websocket, h2c"].into_iter().enumerate() {
        let path = format!("/free/{n}");
        let mut client = Kept::open(weir.http);
        assert!(client.get(&path, &[("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", upgrade)]).is_shop());
        let received = shop.one(&path);
        assert!(received.all("upgrade").is_empty() && received.all("http2-settings").is_empty(), "{received:?}");
    }
    shop.received_nothing_malformed();
}

#[test]
fn a_shop_that_switches_unasked_is_a_bad_gateway_even_if_h2c_was_offered() {
    let shop = crate::common::answering(|_| {
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n".to_vec()
    });
    let weir = crate::common::Weir::start(&crate::common::config(shop, CLOSED));
    let offer = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c")];
    assert_eq!(weir.get("/", &offer).status, 502);
    weir.is_well();
}

#[test]
fn curl_that_offers_http_2_waits_and_enters_as_any_other() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("skipped: there is no curl here");
        return;
    }
    for (room, shop) in [(CLOSED, false), (ROOMY, true)] {
        let (_shop, weir) = behind(room);
        if shop {
            until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= 10);
        }
        let url = format!("http://{}/launch/item", weir.http);
        let output = Command::new("curl")
            .args(["--silent", "--http2", "--max-time", "20", "--header", "Accept: text/html"])
            .args(["--write-out", "\n%{http_code}", &url])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let status = if shop { "\n200" } else { "\n429" };
        assert!(text.ends_with(status) && text.contains("welcome to the shop") == shop, "{text}");
    }
}
