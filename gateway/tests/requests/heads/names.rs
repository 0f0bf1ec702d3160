//! Names that a shop would take for those of Weir or of a proxy.

use super::behind;
use super::h2::{self, After};
use crate::common::{CLOSED, ROOMY, raw, until_true};

#[test]
fn a_name_that_a_shop_may_read_as_another_does_not_reach_it() {
    let (shop, weir) = behind(CLOSED);
    let names = [
        "Weir_Pass_Id",
        "weir_pass-id",
        "Weir_Room",
        "Weir_Signature",
        "Weir_Pass_Expires",
        "Weir-Pass_Expires",
        "Weir.Pass.Id",
        "X_Forwarded_For",
        "X_Forwarded-Proto",
        "content_length",
        "transfer_encoding",
        "X_Original_Url",
        "Weir~Pass~Id",
        "Weir'Pass",
        "Weir|Pass",
        "Weir+Pass",
        "Weir$Pass",
        "_",
    ];
    for (n, name) in names.iter().enumerate() {
        assert!(weir.get(&format!("/one/{n}"), &[(name, "7"), ("X-Fine", "1")]).is_shop(), "{name}");
        let lower = name.to_lowercase();
        let two =
            h2::request(weir.http, "GET", &format!("/two/{n}"), &[(&lower, "7"), ("x-fine", "1")], After::Nothing);
        assert_eq!(two, 200, "{name}");
    }
    let received = shop.received();
    assert_eq!(received.len(), 2 * names.len());
    for request in &received {
        assert_eq!(request.all("x-fine"), ["1"], "{request:?}");
    }
    // It takes no name of other bytes than letters, digits and "-" for a request at all.
    shop.received_nothing_malformed();
    assert_eq!(weir.metric("weir_request_headers_ambiguous_total"), 2.0 * names.len() as f64);
    weir.is_well();
}

#[test]
fn nothing_that_a_stranger_says_of_the_way_reaches_the_shop() {
    let (shop, weir) = behind(CLOSED);
    let names = [
        "Proxy",
        "X-Original-URI",
        "X-Original-URL",
        "X-Original-Method",
        "X-Original-Host",
        "X-Rewrite-URL",
        "X-Forwarded-Uri",
        "X-Forwarded-Prefix",
        "X-Forwarded-Port",
        "X-Forwarded-Server",
        "X-Forwarded-Scheme",
        "X-Forwarded-Ssl",
        "X-Forwarded",
        "X-Real-IP",
        "X-Client-IP",
        "Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "Fastly-Client-IP",
        "X-Cluster-Client-IP",
        "Front-End-Https",
        "X-Url-Scheme",
        "Weir-Pass-Id",
        "Weir-Pass-Expires",
        "Weir-Room",
        "Weir-Signature",
    ];
    let lies: Vec<_> = names.iter().map(|name| (*name, "lie")).collect();
    assert!(weir.get("/all", &lies).is_shop());
    let received = shop.one("/all");
    assert!(!received.head.contains("lie"), "{}", received.head);
    assert_eq!(received.all("x-forwarded-for"), ["127.0.0.1"]);
}

#[test]
fn a_pass_id_in_disguise_does_not_stand_beside_the_true_one() {
    let (shop, weir) = behind(ROOMY);
    until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= 10);
    let disguises =
        "Weir_Pass_Id: 1.1\r\nWeir-Pass-Id: 1.2\r\nweir.pass.id: 1.3\r\nWeir-Pass-Expires: 9\r\nWeir_Pass_Expires: 9";
    let ask = "GET /launch/in HTTP/1.1\r\nHost: shop.example\r\nAccept: text/html\r\nConnection: close";
    assert!(raw(weir.http, format!("{ask}\r\n{disguises}\r\n\r\n").as_bytes()).is_shop());
    let received = shop.one("/launch/in");
    let ids = received.all("weir-pass-id");
    assert!(ids.len() == 1 && !["1.1", "1.2", "1.3"].contains(&ids[0]), "{received:?}");
    let ends = received.all("weir-pass-expires");
    assert!(ends.len() == 1 && ends[0] != "9", "{received:?}");
    shop.received_nothing_malformed();
}
