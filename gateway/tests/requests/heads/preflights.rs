//! CORS preflights: the only question without a pass that a room lets through.

use super::behind;
use super::h2::{self, After};
use crate::common;
use crate::common::{Answer, CLOSED, ROOMY, Weir, raw, until_true};

const ASKS: [(&str, &str); 2] = [("origin", "https://app.example"), ("access-control-request-method", "POST")];

fn preflight(weir: &Weir, path: &str, more: &[(&str, &str)]) -> Answer {
    weir.send("OPTIONS", path, &[&ASKS[..], more].concat(), "")
}

fn passed(weir: &Weir, verdict: &str) -> f64 {
    weir.metric(&format!(r#"weir_requests_total{{room="launch",verdict="{verdict}"}}"#))
}

#[test]
fn a_preflight_passes_a_closed_room_bare() {
    let (shop, weir) = behind(CLOSED);
    let more = [
        ("X-HTTP-Method-Override", "POST"),
        ("X-HTTP-Method", "POST"),
        ("X-Method-Override", "POST"),
        ("Cookie", "login=1"),
        ("Authorization", "Bearer x"),
        ("X-Api-Key", "x"),
        ("Weir-Room", "launch"),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Access-Control-Request-Headers", "x-api-key"),
        ("Referer", "https://app.example/"),
    ];
    assert!(preflight(&weir, "/launch/api", &more).is_shop());
    let received = shop.one("/launch/api");
    for name in ["origin", "access-control-request-method", "access-control-request-headers", "referer"] {
        assert_eq!(received.all(name).len(), 1, "{received:?}");
    }
    for (name, _) in &more[..9] {
        assert!(received.all(name).is_empty(), "{name}: {received:?}");
    }
    assert!(received.all("weir-pass-id").is_empty() && received.body.is_empty(), "{received:?}");
    assert_eq!(passed(&weir, "preflight"), 1.0);
    weir.is_well();
}

#[test]
fn a_preflight_with_a_body_is_refused() {
    let (shop, weir) = behind(CLOSED);
    let head = "OPTIONS /launch/api HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\nOrigin: https://app.example\r\n\
                Access-Control-Request-Method: POST\r\n";
    for framing in ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"] {
        let answer = raw(weir.http, format!("{head}{framing}").as_bytes());
        assert_eq!((answer.status, &*answer.body), (400, "A preflight has no body.\n"), "{answer:?}");
    }
    for (more, body) in [(&[][..], "hello"), (&[("content-length", "5")], "hello"), (&[], "")] {
        let status = h2::request(weir.http, "OPTIONS", "/launch/api", &[&ASKS, more].concat(), After::Body(body));
        assert_eq!(status, 400, "{more:?}");
    }
    assert!(shop.received().is_empty(), "{:?}", shop.received());
    let empty = raw(weir.http, format!("{head}Content-Length: 0\r\n\r\n").as_bytes());
    assert!(empty.is_shop(), "{empty:?}");
    assert_eq!(h2::request(weir.http, "OPTIONS", "/launch/api", &ASKS, After::Nothing), 200);
    weir.is_well();
}

#[test]
fn preflights_have_a_rate_of_their_own() {
    let (shop, weir) = behind(&format!("{CLOSED}preflights_per_second = 1\n"));
    let answers: Vec<u16> = (0..40).map(|_| preflight(&weir, "/launch/api", &[]).status).collect();
    let (through, over) =
        (answers.iter().filter(|s| **s == 200).count(), answers.iter().filter(|s| **s == 429).count());
    // Two at once, and one for each second that this took.
    assert!(through >= 2 && over > through && through + over == 40, "{answers:?}");
    assert_eq!(shop.received().len(), through);
    assert_eq!((passed(&weir, "preflight"), passed(&weir, "preflights_over")), (through as f64, over as f64));
    let refused =
        common::until("one is refused", || Some(preflight(&weir, "/launch/api", &[])).filter(|a| a.status == 429));
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1, "{refused:?}");
    // Others are not charged for it.
    assert!(weir.get("/", &[]).is_shop());
    assert!(weir.get("/launch/item", &[common::PAGE]).is_line());
}

#[test]
fn one_address_cannot_use_up_the_preflights_of_all() {
    let (shop, weir) = behind(&format!("{CLOSED}preflights_per_second = 20\n"));
    let asks = |host: u8| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&std::net::SocketAddr::from(([127, 0, 0, host], 0)).into()).unwrap();
        socket.connect(&weir.http.into()).unwrap();
        let mut stream = std::net::TcpStream::from(socket);
        let head = "OPTIONS /launch/api HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\
                    Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n\r\n";
        std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
        answer.starts_with("HTTP/1.1 200")
    };
    let mut flood = 0;
    while asks(1) {
        flood += 1;
        assert!(flood < 1_000, "one address has no bound");
    }
    for other in 2..5 {
        assert!(asks(other), "address {other} is shut out by one that let {flood} pass");
    }
    assert_eq!(shop.received().len(), flood + 3);
}

#[test]
fn no_preflight_passes_a_suspended_room() {
    let (shop, weir) = behind(&format!("{CLOSED}suspended = true\n"));
    assert_eq!(preflight(&weir, "/launch/api", &[]).status, 503);
    assert!(shop.received().is_empty(), "{:?}", shop.received());
}

#[test]
fn a_preflight_with_a_pass_is_told_of_it_and_one_without_is_not() {
    let (shop, weir) = behind(ROOMY);
    until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= 10);
    let pass = weir.get("/launch/item", &[common::PAGE]).cookie().unwrap();
    assert!(preflight(&weir, "/launch/with", &[("Cookie", &pass)]).is_shop());
    assert!(preflight(&weir, "/launch/without", &[]).is_shop());
    let (with, without) = (shop.one("/launch/with"), shop.one("/launch/without"));
    assert_eq!((with.all("weir-room"), with.all("weir-pass-id").len()), (vec!["launch"], 1));
    assert!(without.all("weir-room").is_empty() && without.all("weir-pass-id").is_empty(), "{without:?}");
}

#[test]
fn preflights_of_no_room_are_the_shops_business() {
    let (shop, weir) = behind(CLOSED);
    let answer = weir.send("OPTIONS", "/free/api", &[&ASKS[..], &[("X-Api-Key", "x")]].concat(), "hello");
    assert!(answer.is_shop());
    assert_eq!(
        (shop.one("/free/api").body.as_slice(), shop.one("/free/api").all("x-api-key")),
        (&b"hello"[..], vec!["x"])
    );
}
