//! One client, and all of the shop.

use std::io::Write;

use super::*;
use crate::common::{head, ok, server};

/// A shop that never answers below `/hang`.
fn hanging() -> SocketAddr {
    server(|mut stream| {
        let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
        while let Some(head) = head(&mut reader) {
            if !head.contains("/hang") {
                stream.write_all(&ok("welcome to the shop")).unwrap();
            }
        }
    })
}

fn ask(weir: &Weir, host: u8, count: usize, path: &str, cookie: &str) -> Vec<TcpStream> {
    let text = format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\nCookie: {cookie}\r\n\r\n");
    let asked = |_| {
        let mut stream = connect_from(host, weir.http);
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    (0..count).map(asked).collect()
}

#[test]
fn one_address_that_asks_for_all_of_the_shop_leaves_some_to_others_and_to_passes() {
    let weir = gateway(
        hanging(),
        "max_in_flight = 16\nmax_in_flight_per_address = 6\nmax_wait = \"200ms\"\npass_max_wait = \"200ms\"",
    );
    let pass = pass(&weir);
    let _held = ask(&weir, 2, 40, "/hang", "");
    until_true("it holds what was plenty and its share", || weir.metric(IN_FLIGHT) >= 10.0);
    until_true("the others are refused", || counted(&weir, "busy") >= 29.0);
    holder_is_served(&weir, &pass);
    assert!(anybody(&weir).is_shop());
    // Two workers may both have seen the last that was plenty.
    let held = weir.metric(r#"weir_upstream_permits{upstream="shop",class="anonymous"}"#);
    assert!((10.0..=11.0).contains(&held), "{held}");
    weir.is_well();
}

#[test]
fn all_addresses_together_leave_the_reserve_to_passes() {
    let weir = gateway(hanging(), "max_in_flight = 16\nmax_wait = \"200ms\"\npass_max_wait = \"200ms\"");
    let pass = pass(&weir);
    let _held: Vec<_> = (2..22).map(|host| ask(&weir, host, 2, "/hang", "")).collect();
    until_true("they hold all but the reserve", || weir.metric(IN_FLIGHT) == 12.0);
    for _ in 0..5 {
        holder_is_served(&weir, &pass);
    }
    weir.is_well();
}

#[test]
fn one_pass_that_asks_for_all_of_the_shop_leaves_some_to_other_passes() {
    let weir = gateway(hanging(), "max_in_flight = 20\npass_max_wait = \"200ms\"");
    let (greedy, other) = (pass(&weir), pass(&weir));
    let _held = ask(&weir, 1, 40, "/launch/hang", &greedy);
    until_true("it holds what was plenty and its share", || weir.metric(IN_FLIGHT) >= 13.0);
    holder_is_served(&weir, &other);
    weir.is_well();
}
