//! Upgraded connections: many, silent, and left behind.

use std::io::Write;
use std::net::Shutdown;

use super::*;
use crate::common::{Kept, head, of, ok, server};

const UPGRADED: &str = r#"weir_upstream_upgraded_connections{upstream="shop"}"#;

/// A shop that echoes on upgraded connections, and never closes one.
fn echoing() -> SocketAddr {
    server(|mut stream| {
        let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
        while let Some(head) = head(&mut reader) {
            if of(&head, "upgrade").is_none() {
                if head.contains("/launch/thanks") {
                    let end = "HTTP/1.1 200 OK\r\nWeir-Command: revoke\r\nContent-Length: 9\r\n\r\nthank you";
                    stream.write_all(end.as_bytes()).unwrap();
                    continue;
                }
                stream.write_all(&ok("welcome to the shop")).unwrap();
                continue;
            }
            let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
            stream.write_all(head.as_bytes()).unwrap();
            let _ = std::io::copy(&mut reader, &mut stream);
            // The shopper has gone; this shop stays until it is left.
            std::thread::sleep(std::time::Duration::from_mins(1));
        }
    })
}

/// The answer to a request for another protocol, and what it came on.
fn upgrade(weir: &Weir, path: &str, cookie: &str) -> (Kept, String) {
    let mut client = Kept::open(weir.http);
    client.send(format!(
        "GET {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nCookie: {cookie}\r\n\r\n"
    ));
    let head = head(&mut client.0).unwrap();
    (client, head)
}

#[test]
fn silent_websockets_hold_no_request_of_the_shop_and_stay_counted_as_connections() {
    let weir = gateway(echoing(), "max_in_flight = 8\npass_max_wait = \"100ms\"");
    let pass = pass(&weir);
    let mut open: Vec<Kept> = (0..30)
        .map(|n| {
            let (client, head) = upgrade(&weir, "/live", "");
            assert!(head.starts_with("HTTP/1.1 101"), "{n}: {head}");
            client
        })
        .collect();
    assert_eq!((weir.metric(UPGRADED), weir.metric(IN_FLIGHT)), (30.0, 0.0));
    assert!(weir.metric("weir_connections") >= 30.0);
    holder_is_served(&weir, &pass);
    assert!(anybody(&weir).is_shop());
    open[0].send("hello");
    let mut back = [0; 5];
    std::io::Read::read_exact(&mut open[0].0, &mut back).unwrap();
    assert_eq!(&back, b"hello");

    // The end of one side ends it, though the other stays.
    for client in &open {
        client.0.get_ref().shutdown(Shutdown::Write).unwrap();
    }
    until_true("all are ended", || weir.metric(UPGRADED) == 0.0 && weir.metric("weir_connections") == 0.0);
    weir.is_well();
}

#[test]
fn websockets_have_a_bound_of_their_own_with_a_reserve_for_passes() {
    let weir = gateway(echoing(), "max_in_flight = 8\nmax_upgraded = 8\nmax_upgraded_per_client = 8");
    let pass = pass(&weir);
    let open: Vec<_> = (0..10).map(|_| upgrade(&weir, "/live", "")).collect();
    let (good, full): (Vec<_>, Vec<_>) = open.iter().partition(|(_, head)| head.starts_with("HTTP/1.1 101"));
    assert_eq!(good.len(), 6);
    assert!(full.iter().all(|(_, head)| head.starts_with("HTTP/1.1 503")));
    assert_eq!(counted(&weir, "upgrade_refused"), 4.0);
    let (_client, head) = upgrade(&weir, "/launch/live", &pass);
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(anybody(&weir).is_shop());
}

#[test]
fn one_client_has_a_share_of_the_websockets() {
    let weir = gateway(echoing(), "max_upgraded = 8\nmax_upgraded_per_client = 2");
    let open: Vec<_> = (0..4).map(|_| upgrade(&weir, "/live", "")).collect();
    assert_eq!(open.iter().filter(|(_, head)| head.starts_with("HTTP/1.1 101")).count(), 2);
    let mut other = connect_from(2, weir.http);
    other
        .write_all(b"GET /live HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .unwrap();
    let head = head(&mut std::io::BufReader::new(&other)).unwrap();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
}

#[test]
fn a_silent_websocket_is_ended_in_time_and_one_that_talks_is_not() {
    let weir = gateway(echoing(), "upgraded_idle_timeout = \"1s\"");
    let (mut silent, _) = upgrade(&weir, "/live", "");
    let (mut talks, _) = upgrade(&weir, "/live", "");
    for _ in 0..10 {
        talks.send("x");
        std::io::Read::read_exact(&mut talks.0, &mut [0]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert!(silent.ended());
    assert_eq!(weir.metric(UPGRADED), 1.0);
}

#[test]
fn an_open_websocket_does_not_keep_the_gateway_from_ending() {
    let mut weir = gateway(echoing(), "");
    let (mut client, head) = upgrade(&weir, "/live", "");
    assert!(head.starts_with("HTTP/1.1 101"));
    weir.signal("TERM");
    assert_eq!(weir.wait(), 0);
    assert!(client.ended());
}

/// A room whose passes are short, and take their `WebSocket`s along.
fn gateway_of_short_passes() -> Weir {
    let room = format!("{ROOMY}session_duration = \"5s\"\nupgrades_end_with_pass = true\n");
    let weir = Weir::start(&config(echoing(), &room));
    until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= 100);
    weir
}

/// Whether a side hears an echo.
fn talks(client: &mut Kept) -> bool {
    let mut back = [0];
    let sent = client.0.get_mut().write_all(b"x");
    sent.is_ok() && std::io::Read::read(&mut client.0, &mut back).is_ok_and(|read| read == 1)
}

/// Waits for a clean end, not a reset.
fn ends_in_order(client: &mut Kept) {
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut client.0, &mut rest).unwrap();
    assert_eq!(rest, b"");
}

#[test]
fn a_websocket_ends_with_its_pass_where_the_room_says_so() {
    let weir = gateway_of_short_passes();
    let (short, mut long) = (pass(&weir), pass(&weir));
    let (mut ended, head) = upgrade(&weir, "/launch/live", &short);
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let (mut open, _) = upgrade(&weir, "/launch/live", &long);
    let (mut free, _) = upgrade(&weir, "/live", &short);
    // Other requests renew the second pass while the first one runs out.
    let watch = std::thread::spawn(move || ends_in_order(&mut ended));
    until_true("the other one ends", || {
        let answer = weir.get("/launch/item", &[("Cookie", &long)]);
        assert!(answer.is_shop(), "{answer:?}");
        long = answer.cookie().unwrap_or_else(|| long.clone());
        std::thread::sleep(std::time::Duration::from_millis(200));
        watch.is_finished()
    });
    watch.join().unwrap();
    assert!(talks(&mut open) && talks(&mut free), "one whose pass lives, and one that no pass opened");
    until_true("nothing is left of it", || weir.metric(UPGRADED) == 2.0);
    ends_in_order(&mut open);
}

#[test]
fn a_websocket_ends_when_its_pass_is_revoked_or_left() {
    let weir = gateway_of_short_passes();
    let (left, revoked) = (pass(&weir), pass(&weir));
    let (mut first, _) = upgrade(&weir, "/launch/live", &left);
    let (mut second, _) = upgrade(&weir, "/launch/live", &revoked);
    assert!(talks(&mut first) && talks(&mut second));
    let from = std::time::Instant::now();
    assert_eq!(
        weir.send("POST", "/.weir/leave/launch", &[("Cookie", &*left), ("Origin", "http://shop.example")], "").status,
        200
    );
    assert!(weir.get("/launch/thanks", &[("Cookie", &revoked)]).body.contains("thank you"));
    ends_in_order(&mut first);
    ends_in_order(&mut second);
    assert!(from.elapsed() < std::time::Duration::from_secs(5), "not because they ran out");
    weir.is_well();
}
