//! Requests whose body comes slowly, or not at all.

use std::io::Write;

use super::*;
use crate::common::{Shop, answering, ok};

/// So many requests that begin like this.
fn begin(weir: &Weir, count: usize, text: &[u8]) -> Vec<TcpStream> {
    let open = |_| {
        let mut stream = TcpStream::connect(weir.http).unwrap();
        stream.write_all(text).unwrap();
        stream
    };
    (0..count).map(open).collect()
}

#[test]
fn a_form_that_is_sent_byte_by_byte_holds_nothing_of_the_shop() {
    let shop = Shop::open();
    let weir = gateway(shop.address, "max_in_flight = 8\npass_max_wait = \"100ms\"");
    let pass = pass(&weir);
    let form = b"POST /contact HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 1000\r\n\r\n";
    let preflight = "OPTIONS /launch/item HTTP/1.1\r\nHost: shop.example\r\nOrigin: https://a.example\r\n\
        Access-Control-Request-Method: POST\r\nContent-Length: 1000\r\n\r\n";
    let mut slow = begin(&weir, 24, form);
    slow.extend(begin(&weir, 24, preflight.as_bytes()));
    for _ in 0..10 {
        for stream in &mut slow {
            // A preflight may be refused for its body.
            let _ = stream.write_all(b"x");
        }
        holder_is_served(&weir, &pass);
        assert!(anybody(&weir).is_shop());
    }
    assert!(!shop.seen().iter().any(|head| head.contains("/contact")), "{:?}", shop.seen());
    slow[0].write_all(&[b'x'; 990]).unwrap();
    until_true("a form that is whole is sent on", || shop.seen().iter().any(|head| head.contains("/contact")));
    weir.is_well();
}

#[test]
fn a_long_upload_that_stands_still_is_ended_and_leaves_the_reserve_until_then() {
    let shop = Shop::open();
    let weir = gateway(
        shop.address,
        "max_in_flight = 8\nmax_in_flight_per_address = 8\npass_max_wait = \"100ms\"\npace_grace = \"2s\"",
    );
    let pass = pass(&weir);
    let mut long = b"POST /contact HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 10000000\r\n\r\n".to_vec();
    long.extend(vec![b'x'; 70_000]);
    let chunked = b"POST /contact HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n";
    let mut slow = begin(&weir, 12, &long);
    slow.extend(begin(&weir, 12, chunked));
    until_true("they hold what they may", || weir.metric(IN_FLIGHT) == 6.0);
    for _ in 0..5 {
        holder_is_served(&weir, &pass);
    }
    until_true("they are ended", || counted(&weir, "slow_upload") >= 6.0);
    drop(slow);
    until_true("all is free", || weir.metric(IN_FLIGHT) == 0.0 && weir.metric("weir_buffered_bytes") == 0.0);
    assert!(anybody(&weir).is_shop());
    weir.is_well();
}

#[test]
fn an_upload_that_is_only_steady_is_not_ended() {
    let shop = answering(|head| ok(crate::common::of(head, "content-length").unwrap_or("none")));
    let weir = gateway(shop, "pace_grace = \"1s\"\nmin_upload_rate = \"1KiB\"");
    let mut steady = crate::common::Kept::open(weir.http);
    steady.send(b"POST /photo HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 100000\r\n\r\n");
    for _ in 0..40 {
        std::thread::sleep(std::time::Duration::from_millis(60));
        steady.send([b'x'; 2_500]);
    }
    assert_eq!(steady.answer().unwrap().body, "100000");
    assert_eq!(counted(&weir, "slow_upload"), 0.0);
}
