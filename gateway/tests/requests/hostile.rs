//! What goes wrong on purpose, on either side of the gateway: a clear answer, a counter, never a panic.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::float_cmp, clippy::format_collect, reason = "metrics are counts; tests")]

use std::io::ErrorKind::ConnectionReset;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use crate::common::h2::{CONTINUATION, END, GOAWAY, HEADERS, PING, PREFACE, RESET, SETTINGS, frame, literal};
use crate::common::{
    CLOSED, FETCH, JSON, Kept, PAGE, ROOMY, Shop, Weir, answering, config, head, nobody, of, ok, raw, request, server,
    until_true,
};

fn behind(room: &str) -> (Shop, Weir) {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, room));
    (shop, weir)
}

/// A configuration with this line in `[listen]`.
fn listening(config: &str, line: &str) -> String {
    config.replace("workers = 2", &format!("workers = 2\n{line}"))
}

/// A configuration with this line in `[[upstream]]`.
fn upstream(config: &str, line: &str) -> String {
    config.replace("response_timeout = \"2s\"", &format!("response_timeout = \"2s\"\n{line}"))
}

// A hostile client.

#[test]
fn a_request_of_doubtful_length_is_refused_and_counted() {
    let (shop, weir) = behind(CLOSED);
    let fields = [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 5x",
        "Content-Length:",
        "Content-Length: 99999999999999999999999",
        "Content-Length : 5",
        "Content-Length: 5\r\n folded: x",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding : chunked",
        "X: a\0b",
    ];
    for field in fields {
        let text = format!("POST /echo HTTP/1.1\r\nHost: shop.example\r\n{field}\r\n\r\n0\r\n\r\n");
        let answer = raw(weir.http, text.as_bytes());
        assert_eq!(answer.status, 400, "{field:?}: {answer:?}");
    }
    let old = "POST /echo HTTP/1.0\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(raw(weir.http, old.as_bytes()).status, 400);
    assert!(shop.seen().is_empty(), "{:?}", shop.seen());
    until_true("all are counted", || weir.metric("weir_requests_unreadable_total") >= fields.len() as f64);
    weir.is_well();
}

#[test]
fn of_two_ways_to_tell_the_length_only_one_reaches_the_shop() {
    let (shop, weir) = behind(CLOSED);
    for fields in ["Content-Length: 4\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 4"]
    {
        let text = format!("POST /echo HTTP/1.1\r\nHost: shop.example\r\n{fields}\r\nConnection: close\r\n\r\n");
        let answer = raw(weir.http, (text + "5\r\nhello\r\n0\r\n\r\n").as_bytes());
        assert!(answer.status == 400 || answer.body == "hello", "{answer:?}");
    }
    for head in shop.seen() {
        assert!(of(&head, "transfer-encoding").is_none() || of(&head, "content-length").is_none(), "{head}");
    }
    weir.is_well();
}

#[test]
fn a_body_that_breaks_off_or_is_not_chunked_ends_that_request_alone() {
    let (_shop, weir) = behind(CLOSED);
    for body in ["zz\r\nhello\r\n", "5;\x01\r\nhel", "ffffffffffffffffff\r\n", "5\r\nhelloXX0\r\n\r\n"] {
        let text = format!("POST /echo HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let mut stream = TcpStream::connect(weir.http).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let status = crate::common::parse(&answer).status;
        assert!(status == 0 || status == 400 || status == 408, "{body:?}: {}", String::from_utf8_lossy(&answer));
    }
    until_true("every permit is back", || weir.metric(r#"weir_upstream_in_flight{upstream="shop"}"#) == 0.0);
    assert!(weir.get("/", &[]).is_shop());
    weir.is_well();
}

#[test]
fn exactly_one_host_is_needed() {
    let (shop, weir) = behind(CLOSED);
    for hosts in [
        "",
        "Host: a.example\r\nHost: b.example\r\n",
        "Host: a.example\r\nHost: a.example\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
    ] {
        let answer = raw(weir.http, format!("GET / HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n").as_bytes());
        assert_eq!(answer.status, 400, "{hosts:?}: {answer:?}");
    }
    assert!(shop.seen().is_empty(), "{:?}", shop.seen());
    assert!(weir.metric(r#"weir_requests_total{room="",verdict="bad_request"}"#) >= 1.0);
    weir.is_well();
}

#[test]
fn ten_thousand_headers_or_one_of_a_megabyte_are_refused() {
    let (shop, weir) = behind(CLOSED);
    let many: String = (0..10_000).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let long = format!("X: {}\r\n", "x".repeat(1 << 20));
    let target = format!("/{}", "x".repeat(1 << 20));
    for (path, headers) in [("/", &*many), ("/", &*long), (&*target, "")] {
        let text = format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n{headers}\r\n");
        let status = raw(weir.http, text.as_bytes()).status;
        assert!([431, 414].contains(&status), "{status}");
    }
    assert!(shop.seen().is_empty());
    until_true("all are counted", || weir.metric("weir_requests_unreadable_total") >= 3.0);
    weir.is_well();
}

#[test]
fn the_body_of_a_get_is_never_taken_for_the_next_request() {
    let (shop, weir) = behind(CLOSED);
    let inner = "GET /smuggled HTTP/1.1\r\nHost: shop.example\r\n\r\n";
    for path in ["/launch/item", "/echo"] {
        let mut client = Kept::open(weir.http);
        let length = inner.len();
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: shop.example\r\nAccept: application/json\r\nContent-Length: {length}\r\n\r\n{inner}"
        ));
        let answer = client.answer().unwrap();
        assert!(answer.is_line() || answer.body == inner, "{answer:?}");
        client.0.get_mut().write_all(b"GET /after HTTP/1.1\r\nHost: shop.example\r\n\r\n").unwrap();
        assert!(client.answer().is_none_or(|answer| answer.is_shop()));
    }
    assert!(shop.seen().iter().all(|head| !head.contains("smuggled")), "{:?}", shop.seen());
    weir.is_well();
}

#[test]
fn a_cookie_of_eight_kilobytes_is_worth_nothing_and_harms_nobody() {
    let (_shop, weir) = behind(CLOSED);
    let cookies = [
        format!("weir_launch={}", "A".repeat(8_192)),
        format!("weir_launch={}", "\u{7f}%00;=".repeat(1_000)),
        format!("{}weir_launch=x", "a=b; ".repeat(1_600)),
    ];
    for cookie in &cookies {
        let answer = weir.get("/launch/item", &[JSON, ("Cookie", cookie)]);
        assert!(answer.is_line() && answer.ticket() > 0 || answer.status == 400, "{answer:?}");
    }
    assert!(weir.metric(r#"weir_tokens_ignored_total{room="launch",reason="malformed"}"#) >= 1.0);
    weir.is_well();
}

#[test]
fn who_never_finishes_a_head_is_closed() {
    let shop = Shop::open();
    let text = listening(&config(shop.address, CLOSED), "header_timeout = \"1s\"\nwaiting_idle_timeout = \"1s\"");
    let weir = Weir::start(&text);
    let mut slow: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(weir.http).unwrap()).collect();
    for (n, stream) in slow.iter_mut().enumerate() {
        if n % 5 != 0 {
            stream.write_all(b"GET /launch/item HTTP/1.1\r\nHost: shop.example\r\nX-Slow: ").unwrap();
        }
        stream.set_nonblocking(true).unwrap();
    }
    until_true("all are closed", || {
        for stream in &mut slow {
            let _ = stream.write(b"x");
        }
        slow.retain_mut(
            |stream| matches!(stream.read(&mut [0; 64]), Err(e) if e.kind() == std::io::ErrorKind::WouldBlock),
        );
        slow.is_empty()
    });
    until_true("their places are free", || weir.metric("weir_connections") == 0.0);
    weir.is_well();
}

#[test]
fn who_idles_after_an_answer_or_stops_in_a_second_head_is_closed() {
    let shop = Shop::open();
    let weir = Weir::start(&listening(&config(shop.address, CLOSED), "waiting_idle_timeout = \"1s\""));
    let mut idle = Kept::open(weir.http);
    assert!(idle.get("/launch/item", &[PAGE]).is_line());
    let mut stopped = Kept::open(weir.http);
    assert!(stopped.get("/launch/item", &[PAGE]).is_line());
    stopped.send("GET /launch/item HTTP/1.1\r\nHost: sh");
    assert!(idle.ended() && stopped.ended());
    weir.is_well();
}

#[test]
fn a_body_that_stops_coming_gives_its_permit_back() {
    let shop = Shop::open();
    let weir = Weir::start(&upstream(&config(shop.address, CLOSED), "max_in_flight = 1\npace_grace = \"1s\""));
    let mut client = Kept::open(weir.http);
    client.send("POST /echo HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 100\r\n\r\nonly this");
    assert_eq!(client.answer().unwrap().status, 408);
    assert!(weir.get("/", &[]).is_shop());
    weir.is_well();
}

#[test]
fn connections_over_the_limit_take_the_place_of_silent_ones_and_are_counted() {
    let shop = Shop::open();
    let weir = Weir::start(&listening(&config(shop.address, CLOSED), "max_connections = 20"));
    let held: Vec<_> = (0..20).map(|_| TcpStream::connect(weir.http).unwrap()).collect();
    until_true("all are held", || weir.metric("weir_connections") == 20.0);
    for _ in 0..30 {
        assert!(Kept::open(weir.http).get("/launch/item", &[PAGE]).is_line());
    }
    until_true("all are counted", || weir.metric(r#"weir_connections_evicted_total{reason="max_connections"}"#) >= 1.0);
    drop(held);
    until_true("there is room again", || weir.metric("weir_connections") == 0.0);
    weir.is_well();
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let (_shop, weir) = behind(CLOSED);
    let answer = raw(weir.http, b"GET / HTTP/1.0\r\nHost: shop.example\r\n\r\n");
    assert!(answer.is_shop() && answer.header("transfer-encoding").is_none(), "{answer:?}");
    let answer = raw(weir.http, b"GET /drip HTTP/1.0\r\nHost: shop.example\r\n\r\n");
    assert!(answer.body == "onetwothree" && answer.header("transfer-encoding").is_none(), "{answer:?}");
    let answer = raw(weir.http, b"GET /launch/item HTTP/1.0\r\nHost: shop.example\r\nAccept: text/html\r\n\r\n");
    assert!(answer.is_line());
    weir.is_well();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (_shop, weir) = behind(CLOSED);
    let mut client = Kept::open(weir.http);
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\nAccept: application/json\r\n\r\n");
    client.send(one("/slow") + &one("/launch/item") + &one("/drip") + &one("/launch/other") + &one("/"));
    let bodies: Vec<String> = (0..5).map(|_| client.answer().unwrap().body).collect();
    assert_eq!((&*bodies[0], &*bodies[2], &*bodies[4]), ("slow", "onetwothree", "welcome to the shop"));
    assert!(bodies[1].contains("inWaitingRoom") && bodies[3].contains("inWaitingRoom"), "{bodies:?}");
    weir.is_well();
}

#[test]
fn first_bytes_that_are_not_http_end_the_connection_alone() {
    let (shop, weir) = behind(CLOSED);
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let starts: [&[u8]; 9] = [
        &hello,
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\r\n\r\n",
        b"\xff\xfe\xfd HTTP/1.1\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET  /two  spaces HTTP/1.1\r\nHost: a\r\n\r\n",
        b"get / http/1.1\r\nhost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    ];
    for bytes in starts {
        let status = raw(weir.http, bytes).status;
        assert!(status == 400 || status == 0, "{status} for {bytes:?}");
    }
    // A seeded stream of noise, in many sizes.
    let mut x: u64 = 0x9e37_79b9_7f4a_7c15;
    for round in 0..100 {
        let noise: Vec<u8> = (0..round * 7 + 30)
            .map(|_| {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                x as u8
            })
            .chain(*b"\r\n\r\n")
            .collect();
        raw(weir.http, &noise);
    }
    assert!(shop.seen().is_empty(), "{:?}", shop.seen());
    weir.is_well();
}

// HTTP/2, by hand: a library would be too polite.

/// The headers of a GET, and more in HPACK.
fn get(path: &str, more: &[u8]) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04, path.len() as u8];
    block.extend(path.as_bytes());
    block.extend([0x01, 12]);
    block.extend(b"shop.example");
    block.extend(more);
    block
}

fn opening() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

/// Sends these bytes, and reads frames until the answer to a ping behind them, or the end: kind and stream of each.
fn frames(to: SocketAddr, bytes: Vec<u8>) -> Vec<(u8, u32)> {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let _ = writer.write_all(&[bytes, frame(PING, 0, 0, b"the last")].concat());
    });
    let mut found = Vec::new();
    let mut head = [0; 9];
    while stream.read_exact(&mut head).is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        if stream.read_exact(&mut payload).is_err() || (head[3] == PING && payload == b"the last") {
            break;
        }
        found.push((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]])));
    }
    drop(stream);
    sender.join().unwrap();
    found
}

/// A connection on which these bytes were sent, each in a packet of its own.
fn one_by_one(to: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    for byte in bytes {
        stream.write_all(&[*byte]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    stream
}

#[test]
fn first_bytes_that_come_one_by_one_still_tell_the_protocol() {
    let (_shop, weir) = behind(CLOSED);
    for method in ["GET", "POST", "PRIx", "PRI"] {
        let text = format!("{method} / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 0\r\n\r\n");
        let mut begin = [0; 9];
        one_by_one(weir.http, text.as_bytes()).read_exact(&mut begin).unwrap();
        assert_eq!(&begin, b"HTTP/1.1 ", "{method}");
    }
    let mut head = [0; 9];
    one_by_one(weir.http, &opening()).read_exact(&mut head).unwrap();
    assert_eq!(head[3], SETTINGS);
    weir.is_well();
}

#[test]
fn who_stops_in_the_first_bytes_of_http_2_is_closed() {
    let shop = Shop::open();
    let weir = Weir::start(&listening(&config(shop.address, CLOSED), "header_timeout = \"1s\""));
    let mut stopped = one_by_one(weir.http, &PREFACE[..7]);
    // Closed with unread bytes, it may be reset.
    let end = stopped.read(&mut [0; 64]).or_else(|e| if e.kind() == ConnectionReset { Ok(0) } else { Err(e) });
    assert_eq!(end.unwrap(), 0);
    weir.is_well();
}

#[test]
fn rapid_resets_do_not_reach_the_shop_in_numbers_nor_keep_permits() {
    let (shop, weir) = behind(CLOSED);
    let mut bytes = opening();
    for n in 0..10_000_u32 {
        bytes.extend(frame(HEADERS, END, n * 2 + 1, &get("/slow", &[])));
        bytes.extend(frame(RESET, 0, n * 2 + 1, &8_u32.to_be_bytes()));
    }
    let found = frames(weir.http, bytes);
    assert!(found.iter().any(|&(kind, _)| kind == GOAWAY), "such a client is sent away: {found:?}");
    until_true("every permit is back", || weir.metric(r#"weir_upstream_in_flight{upstream="shop"}"#) == 0.0);
    assert!(shop.seen().len() < 1_000, "{} reached the shop", shop.seen().len());
    assert!(weir.get("/", &[]).is_shop());
    weir.is_well();
}

#[test]
fn a_thousand_streams_at_once_are_bounded() {
    let (shop, weir) = behind(CLOSED);
    let mut bytes = opening();
    for n in 0..1_000_u32 {
        bytes.extend(frame(HEADERS, END, n * 2 + 1, &get("/slow", &[])));
    }
    frames(weir.http, bytes);
    until_true("every permit is back", || weir.metric(r#"weir_upstream_in_flight{upstream="shop"}"#) == 0.0);
    assert!(shop.seen().len() <= 300, "{} reached the shop", shop.seen().len());
    weir.is_well();
}

#[test]
fn an_endless_header_block_costs_no_memory() {
    let (shop, weir) = behind(CLOSED);
    weir.is_well();
    let before = weir.resident();
    let filler: Vec<u8> = (0..100).flat_map(|_| literal("x-filler", &"x".repeat(120))).collect();
    let mut bytes = opening();
    bytes.extend(frame(HEADERS, 1, 1, &get("/", &[])));
    for _ in 0..2_000 {
        bytes.extend(frame(CONTINUATION, 0, 1, &filler));
    }
    frames(weir.http, bytes);
    let grown = weir.peak() - before;
    assert!(grown < 16 << 10, "grew by {grown} KiB");
    assert!(shop.seen().is_empty());
    weir.is_well();
}

#[test]
fn http_2_requests_that_no_client_would_send_are_refused() {
    let (shop, weir) = behind(CLOSED);
    let bad = [
        get("/upper", &literal("Upper", "x")),
        get("/connection", &literal("connection", "close")),
        get("/coding", &literal("transfer-encoding", "chunked")),
        get("/length", &literal("content-length", "5")),
        get("/hosts", &literal("host", "other.example")),
        vec![0x82, 0x86, 0x84],
        vec![0x82],
        vec![0xff, 0xff, 0xff, 0xff, 0xff],
        get("no-slash", &[]),
    ];
    for block in bad {
        frames(weir.http, [opening(), frame(HEADERS, END, 1, &block)].concat());
    }
    // Data for no stream, a window of nothing, frames that are too large, settings of the wrong size.
    for bytes in [
        frame(0, 1, 1, b"data"),
        frame(8, 0, 0, &[0; 4]),
        frame(0, 0, 1, &vec![0; 20_000]),
        frame(SETTINGS, 0, 0, &[0; 5]),
        frame(PING, 0, 0, &[0; 3]),
        frame(HEADERS, END, 2, &get("/", &[])),
        frame(HEADERS, END, 0, &get("/", &[])),
    ] {
        frames(weir.http, [opening(), bytes].concat());
    }
    // A Host beside `:authority` does not count: room, route and shop all go by the same one.
    let heads = shop.seen();
    let harmless = |head: &String| head.starts_with("GET /hosts ") && of(head, "host") == Some("shop.example");
    assert!(heads.iter().all(harmless), "{heads:?}");
    assert!(!heads.concat().contains("other.example"), "{heads:?}");
    weir.is_well();
}

// A hostile or broken upstream.

#[test]
fn each_failure_of_the_upstream_has_its_answer_and_the_next_request_works() {
    let (_shop, weir) = behind(CLOSED);
    for (path, status) in [("/hang", 504), ("/reset", 502), ("/garbage", 502)] {
        for (method, accept) in [("GET", PAGE), ("POST", JSON), ("GET", ("Accept", "*/*"))] {
            let answer = weir.send(method, path, &[accept], "");
            assert_eq!(answer.status, status, "{method} {path} {answer:?}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
        }
        assert!(weir.get("/", &[]).is_shop());
    }
    assert_eq!(weir.metric(r#"weir_upstream_requests_total{upstream="shop",result="failed"}"#), 9.0);
    weir.is_well();
}

#[test]
fn answers_that_are_not_http_or_not_whole_are_never_passed_on_as_good() {
    let shop = answering(|head| {
        let lines: String = (0..10_000).map(|n| format!("X-{n}: {n}\r\n")).collect();
        match head.split(' ').nth(1).unwrap() {
            "/lengths" => b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_vec(),
            "/status" => b"HTTP/1.1 9999 Odd\r\n\r\n".to_vec(),
            "/version" => b"HTTP/3.7 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
            "/many" => format!("HTTP/1.1 200 OK\r\n{lines}\r\n").into_bytes(),
            "/long" => format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(2 << 20)).into_bytes(),
            "/switch" => b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n".to_vec(),
            "/chunks" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n".to_vec(),
            "/more" => [ok("first"), ok("poison")].concat(),
            _ => ok("welcome to the shop"),
        }
    });
    let weir = Weir::start(&config(shop, CLOSED));
    for path in ["/lengths", "/status", "/version", "/many", "/long", "/switch"] {
        assert_eq!(weir.get(path, &[]).status, 502, "{path}");
        assert!(weir.get("/", &[]).is_shop());
    }
    let mut cut = Vec::new();
    let mut stream = TcpStream::connect(weir.http).unwrap();
    stream.write_all(b"GET /chunks HTTP/1.1\r\nHost: shop.example\r\n\r\n").unwrap();
    let _ = stream.read_to_end(&mut cut);
    assert!(!cut.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&cut));
    for _ in 0..10 {
        assert_eq!(weir.get("/more", &[]).body, "first");
        assert!(weir.get("/", &[]).is_shop(), "an answer that nobody asked for was given to somebody");
    }
    weir.is_well();
}

#[test]
fn with_a_dead_upstream_the_waiting_never_see_an_error_and_holders_of_a_pass_a_clear_one() {
    let weir = Weir::start(&config(nobody(), ROOMY));
    until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= 100);
    let inside = weir.get("/launch/item", &[JSON]);
    assert_eq!(inside.status, 502, "{inside:?}");
    let pass = inside.cookie().unwrap();
    assert_eq!(weir.get("/launch/item", &[PAGE, ("Cookie", &pass)]).status, 502);
    assert_eq!(weir.get("/", &[]).status, 502);

    let weir = Weir::start(&config(nobody(), CLOSED));
    let mut cookies = Vec::new();
    for accept in [PAGE, JSON] {
        let answer = weir.get("/launch/item", &[accept]);
        assert!(answer.is_line(), "{answer:?}");
        cookies.push(answer.cookie().unwrap());
    }
    for cookie in &cookies {
        for accept in [PAGE, JSON] {
            assert!(weir.get("/launch/item", &[accept, ("Cookie", cookie)]).is_line());
        }
        assert!(weir.get("/launch/a.css", &[FETCH, ("Cookie", cookie)]).is_line());
    }
    weir.is_well();
}

/// A shop that finishes one request for each word sent to it.
fn gated() -> (SocketAddr, Sender<()>, Arc<Mutex<Vec<String>>>) {
    let (open, gate) = channel();
    let gate: Arc<Mutex<Receiver<()>>> = Arc::new(Mutex::new(gate));
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = seen.clone();
    let address = server(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(head) = head(&mut reader) {
            let path = head.split(' ').nth(1).unwrap().to_owned();
            told.lock().unwrap().push(path.clone());
            if path.contains("gated") && gate.lock().unwrap().recv().is_err() {
                return;
            }
            if stream.write_all(&ok("welcome to the shop")).is_err() {
                return;
            }
        }
    });
    (address, open, seen)
}

#[test]
fn a_busy_upstream_is_a_503_that_says_when_and_a_pass_comes_before_the_rest() {
    let (shop, open, seen) = gated();
    let busy = upstream(&config(shop, ROOMY), "max_in_flight = 1\nmax_wait = \"20ms\"\npass_max_wait = \"20ms\"");
    let weir = Weir::start(&busy);
    until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= 100);
    let pass = weir.get("/launch/item", &[JSON]).cookie().unwrap();
    let at = weir.http;
    let ask = move |path: &'static str, cookie: String| {
        std::thread::spawn(move || request(at, "GET", path, &[("Cookie", &cookie)], ""))
    };
    let first = ask("/gated/1", String::new());
    until_true("it is in work", || seen.lock().unwrap().contains(&"/gated/1".to_owned()));
    let refused = weir.get("/", &[PAGE]);
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert!(weir.metric(r#"weir_upstream_requests_total{upstream="shop",result="busy"}"#) >= 1.0);
    assert_eq!(weir.get("/.weir/status/launch", &[]).status, 200);

    // Both wait for longer now, and the one without a pass was there before.
    std::fs::write(weir.config_file(), busy.replace("20ms", "10s")).unwrap();
    weir.signal("HUP");
    until_true("it is in force", || weir.metric(r#"weir_reloads_total{what="configuration",result="ok"}"#) >= 1.0);
    let waiting = || weir.metric(r#"weir_upstream_waiting_requests{upstream="shop"}"#);
    let anonymous = ask("/gated/anonymous", String::new());
    until_true("it waits", || waiting() == 1.0);
    let holder = ask("/launch/gated/holder", pass);
    until_true("both wait", || waiting() == 2.0);
    for _ in 0..3 {
        open.send(()).unwrap();
    }
    for answer in [first, anonymous, holder] {
        assert!(answer.join().unwrap().is_shop());
    }
    let order = seen.lock().unwrap().clone();
    let place = |path: &str| order.iter().position(|seen| seen == path).unwrap();
    assert!(place("/launch/gated/holder") < place("/gated/anonymous"), "{order:?}");
    weir.is_well();
}

#[test]
fn clients_that_do_not_read_their_answer_cannot_keep_the_shop_to_themselves() {
    let shop = answering(|head| match head.split(' ').nth(1).unwrap() {
        "/big" => ok(&"x".repeat(64 << 20)),
        _ => ok("welcome to the shop"),
    });
    let text = listening(&upstream(&config(shop, CLOSED), "max_in_flight = 3"), "idle_timeout = \"1s\"");
    let weir = Weir::start(&text);
    // One that does not read at all, one that reads and stops, and one whose HTTP/2 window stays shut.
    let mut lazy: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(weir.http).unwrap()).collect();
    let ask = b"GET /big HTTP/1.1\r\nHost: shop.example\r\n\r\n";
    lazy[0].write_all(ask).unwrap();
    lazy[1].write_all(ask).unwrap();
    lazy[1].read_exact(&mut vec![0; 1 << 16]).unwrap();
    let shut = [PREFACE, &frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]), &frame(HEADERS, END, 1, &get("/big", &[]))];
    lazy[2].write_all(&shut.concat()).unwrap();
    let in_flight = || weir.metric(r#"weir_upstream_in_flight{upstream="shop"}"#);
    until_true("all permits are taken", || in_flight() == 3.0);
    until_true("all permits are back", || in_flight() == 0.0);
    assert!(weir.get("/", &[]).is_shop());
    weir.is_well();
}

#[test]
fn who_reads_slowly_or_waits_for_a_slow_shop_is_not_taken_for_lazy() {
    let shop = server(|mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(head) = head(&mut reader) {
            if head.contains("/empty") {
                stream.write_all(&ok("")).unwrap();
                continue;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf").unwrap();
            // Longer than an idle connection is kept.
            std::thread::sleep(std::time::Duration::from_millis(3_500));
            stream.write_all(b"half").unwrap();
        }
    });
    let weir = Weir::start(&listening(&config(shop, CLOSED), "idle_timeout = \"1s\"\nwaiting_idle_timeout = \"1s\""));
    let mut client = Kept::open(weir.http);
    assert_eq!(client.get("/empty", &[]).status, 200);
    assert_eq!(client.get("/slow", &[]).body, "halfhalf");
    weir.is_well();
}
