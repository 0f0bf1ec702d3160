//! Answers that are not taken.

use std::io::{BufReader, Write};
use std::time::Duration;

use super::http2::closed_windows;
use super::*;
use crate::common::{Kept, answering, head, ok, server};

#[test]
fn an_answer_that_is_not_taken_holds_nothing_of_the_shop() {
    // Small and whole, or in two parts: the second comes when no client asks for it.
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

/// Three interim answers, of which one looks like an answer with a body.
fn interim() -> Vec<u8> {
    let hints =
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nSet-Cookie: a=b\r\nContent-Length: 9\r\n\r\n";
    format!("{hints}HTTP/1.1 102 Processing\r\n\r\n{hints}").into_bytes()
}

#[test]
fn early_hints_do_not_disturb_the_answer() {
    let shop = answering(|head| {
        let body = if head.starts_with("HEAD") { "" } else { "welcome to the shop" };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{body}");
        [interim(), b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), answer.into_bytes()].concat()
    });
    let weir = gateway(shop, "");
    let pass = pass(&weir);
    let mut client = Kept::open(weir.http);
    for path in ["/", "/launch/item"].into_iter().cycle().take(6) {
        let answer = client.get(path, &[("Cookie", &pass)]);
        assert!(answer.is_shop() && answer.header("link").is_none(), "{answer:?}");
        let form = request(weir.http, "POST", path, &[("Cookie", &pass)], "pair=1");
        assert!(form.is_shop(), "{form:?}");
        let head = request(weir.http, "HEAD", path, &[("Cookie", &pass)], "");
        assert_eq!((head.status, head.header("content-length")), (200, Some("19")), "{head:?}");
    }
    assert!(client.get("/", &[]).is_shop(), "the next answer on the connection is the next answer");
    assert_eq!(counted(&weir, "failed"), 0.0);
    weir.is_well();
}

/// Interim answers for ever, whether now and then or as fast as they are taken: an answer that does not come.
#[test]
fn interim_answers_extend_no_deadline_and_keep_nobody_from_being_served() {
    let shop = server(|mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(head) = head(&mut reader) {
            let (many, pause) = if head.contains("/flood") { (100, 0) } else { (1, 50) };
            if head.contains("/forever") || head.contains("/flood") {
                while stream.write_all(&interim().repeat(many)).is_ok() {
                    std::thread::sleep(Duration::from_millis(pause));
                }
                return;
            }
            if stream.write_all(&ok("welcome to the shop")).is_err() {
                return;
            }
        }
    });
    let one_worker = config(shop, ROOMY).replace("workers = 2", "workers = 1").replace("\"2s\"", "\"1s\"");
    let weir = Weir::start(&one_worker);
    std::thread::scope(|scope| {
        let vain: Vec<_> = ["/forever", "/flood"]
            .iter()
            .map(|path| scope.spawn(|| request(weir.http, "GET", path, &[], "").status))
            .collect();
        for _ in 0..20 {
            assert!(anybody(&weir).is_shop());
        }
        assert_eq!(vain.into_iter().map(|vain| vain.join().unwrap()).collect::<Vec<_>>(), [504, 504]);
    });
    until_true("the shop is left alone", || weir.metric(IN_FLIGHT) == 0.0);
    weir.is_well();
}
