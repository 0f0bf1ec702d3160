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
