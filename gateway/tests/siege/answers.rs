//! Answers that are not taken.

use std::io::{BufReader, Write};
use std::time::Duration;

use super::*;
use crate::common::{Kept, answering, head, ok, server};
use crate::http2::closed_windows;

#[test]
fn an_answer_that_is_not_taken_holds_nothing_of_the_shop() {
    // Small and whole, or in two parts: the second comes when nobody asks for it.
    let shop = server(|mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(head) = head(&mut reader) {
            if head.contains("/parts") {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n").unwrap();
                stream.write_all(&vec![b'x'; 20_000]).unwrap();
                std::thread::sleep(Duration::from_millis(50));
                stream.write_all(&vec![b'x'; 20_000]).unwrap();
            } else {
                stream.write_all(&ok("welcome to the shop")).unwrap();
            }
        }
    });
    let weir = gateway(shop, "max_in_flight = 8\npass_max_wait = \"100ms\"\npace_grace = \"1m\"");
    let (greedy, pass) = (pass(&weir), pass(&weir));
    let shut = [
        closed_windows(weir.http, 40, "/small", ""),
        closed_windows(weir.http, 40, "/launch/small", &greedy),
        closed_windows(weir.http, 5, "/parts", ""),
    ];
    let asked = || counted(&weir, "answered") + counted(&weir, "busy");
    until_true("all were asked", || asked() >= 20.0);
    until_true("all is given back", || weir.metric(IN_FLIGHT) == 0.0);
    until_true("the answers are held", || weir.metric("weir_buffered_bytes") >= 40_000.0);
    holder_is_served(&weir, &pass);
    assert!(anybody(&weir).is_shop());
    drop(shut);
    until_true("nothing is held", || weir.metric("weir_buffered_bytes") == 0.0);
    weir.is_well();
}

#[test]
fn a_large_answer_that_is_not_taken_is_ended_and_leaves_the_reserve_until_then() {
    let shop = answering(|head| match head.split(' ').nth(1).unwrap() {
        "/big" => ok(&"x".repeat(8 << 20)),
        _ => ok("welcome to the shop"),
    });
    let weir = gateway(shop, "max_in_flight = 8\npass_max_wait = \"100ms\"\npace_grace = \"2s\"");
    let pass = pass(&weir);
    let _shut = closed_windows(weir.http, 3, "/big", "");
    let mut silent: Vec<_> = (0..10).map(|_| TcpStream::connect(weir.http).unwrap()).collect();
    for stream in &mut silent {
        stream.write_all(b"GET /big HTTP/1.1\r\nHost: shop.example\r\n\r\n").unwrap();
    }
    until_true("they hold what they may", || weir.metric(IN_FLIGHT) >= 4.0);
    for _ in 0..5 {
        holder_is_served(&weir, &pass);
    }
    until_true("they are ended", || counted(&weir, "slow_download") >= 4.0);
    until_true("all is free", || weir.metric(IN_FLIGHT) == 0.0 && weir.metric("weir_buffered_bytes") == 0.0);
    weir.is_well();
}

#[test]
fn an_answer_of_two_hundred_headers_passes_and_one_of_more_than_the_bound_has_a_reason() {
    let lines = |count: usize| (0..count).map(|n| format!("X-{n}: {n}\r\n")).collect::<Vec<_>>().concat();
    let shop = answering(move |head| {
        let count = if head.contains("/many") { 200 } else { 300 };
        format!("HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\nhi", lines(count)).into_bytes()
    });
    let weir = gateway(shop, "");
    let many = weir.get("/many", &[]);
    assert_eq!((many.status, many.header("x-199")), (200, Some("199")), "{many:?}");
    assert_eq!(weir.get("/more", &[]).status, 502);
    until_true("the reason is told", || weir.log().contains("upstream_head_too_large"));
}

#[test]
fn early_hints_do_not_disturb_the_answer() {
    let shop = answering(|_| {
        let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n".to_vec();
        [hints.clone(), b"HTTP/1.1 102 Processing\r\n\r\n".to_vec(), hints, ok("welcome to the shop")].concat()
    });
    let weir = gateway(shop, "");
    let mut client = Kept::open(weir.http);
    for _ in 0..5 {
        assert!(client.get("/", &[]).is_shop());
    }
    assert_eq!(counted(&weir, "failed"), 0.0);
}
