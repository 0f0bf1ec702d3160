//! Connections: how many one client and all may hold, which one is closed for another, and what each costs in memory.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::float_cmp, reason = "metrics are counts; tests")]

use std::io::{BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::common::h2::{END, HEADERS, PREFACE, SETTINGS, frame, literal};
use crate::common::program::connect_from as from;
use crate::common::{CLOSED, JSON, Kept, ROOMY, Shop, Weir, answering, config, ok, until_true};

const CLIENT_FULL: &str = r#"weir_connections_evicted_total{reason="max_connections_per_client"}"#;
const FULL: &str = r#"weir_connections_evicted_total{reason="max_connections"}"#;

/// A gateway with these lines in `[listen]`, and this room.
fn listening(lines: &str, room: &str) -> (Shop, Weir) {
    let shop = Shop::open();
    let text = config(shop.address, room).replace("workers = 2", &format!("workers = 2\n{lines}"));
    let weir = Weir::start(&text);
    (shop, weir)
}

/// A connection from 127.0.0.`client`, with one status request answered on it: it costs nothing, and is charged to no client.
fn asked(client: u8, to: SocketAddr) -> Kept {
    let mut kept = Kept(BufReader::new(from(client, to)));
    assert_eq!(kept.get("/.weir/status/launch", &[]).status, 200);
    kept
}

fn is_open(kept: &Kept) -> bool {
    let stream = kept.0.get_ref();
    stream.set_nonblocking(true).unwrap();
    let open = matches!(stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
    open
}

fn open(all: &[Kept]) -> usize {
    all.iter().filter(|kept| is_open(kept)).count()
}

/// The cookie of a shopper who is inside.
fn pass(weir: &Weir) -> String {
    until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= 100);
    let answer = weir.get("/launch/item", &[JSON]);
    assert!(answer.is_shop(), "{answer:?}");
    answer.cookie().unwrap()
}

#[test]
fn one_address_that_takes_all_connections_shuts_no_pass_holder_out() {
    let (_shop, weir) = listening("max_connections = 60", ROOMY);
    let pass = pass(&weir);
    let shown = [JSON, ("Cookie", &*pass)];
    let mut idle: Vec<Kept> = (0..5).map(|_| Kept(BufReader::new(from(3, weir.http)))).collect();
    assert!(idle.iter_mut().all(|kept| kept.get("/launch/item", &shown).is_shop()));
    let hoard: Vec<Kept> = (0..100).map(|_| asked(1, weir.http)).collect();
    until_true("the bound holds", || weir.metric("weir_connections") <= 60.0);
    let held = open(&hoard);
    assert!((30..=55).contains(&held), "{held}");
    for _ in 0..10 {
        assert!(Kept(BufReader::new(from(2, weir.http))).get("/launch/item", &shown).is_shop());
    }
    assert!(idle.iter_mut().all(|kept| kept.get("/launch/item", &shown).is_shop()), "holders keep their connections");
    assert!(weir.metric(FULL) >= 40.0);
    assert_eq!(weir.metric("weir_connections_refused_total"), 0.0);
    weir.is_well();
}

#[test]
fn a_client_at_its_bound_loses_its_own_connection_and_nobody_elses() {
    let (_shop, weir) = listening("max_connections_per_client = 20", CLOSED);
    let other = asked(2, weir.http);
    let hoard: Vec<Kept> = (0..50).map(|_| asked(1, weir.http)).collect();
    until_true("the bound holds", || open(&hoard) == 20);
    assert!(is_open(&other) && is_open(hoard.last().unwrap()));
    assert_eq!(weir.metric(CLIENT_FULL), 30.0);
    assert_eq!(weir.metric(FULL), 0.0);
    until_true("they are counted by class", || weir.metric(r#"weir_connections_by_class{class="waiting"}"#) == 21.0);
    weir.is_well();
}

#[test]
fn connections_that_never_ask_are_closed_before_those_that_did() {
    let shop = Shop::open();
    let lines = "workers = 1\nmax_connections = 40\nheader_timeout = \"30s\"";
    let weir = Weir::start(&config(shop.address, CLOSED).replace("workers = 2", lines));
    let silent: Vec<Kept> = (0..20).map(|_| Kept(BufReader::new(from(1, weir.http)))).collect();
    let waiting: Vec<Kept> = (0..20).map(|n| asked(10 + n, weir.http)).collect();
    // A fresh connection may be about to ask.
    std::thread::sleep(Duration::from_secs(3));
    let more: Vec<Kept> = (0..10).map(|n| asked(40 + n, weir.http)).collect();
    until_true("the bound holds", || open(&silent) == 10);
    assert_eq!((open(&waiting), open(&more)), (20, 10));
    weir.is_well();
}

#[test]
fn a_connection_is_refused_where_none_can_be_closed() {
    let (_shop, weir) = listening("max_connections = 4", CLOSED);
    let mut busy: Vec<Kept> = (0..4).map(|n| Kept(BufReader::new(from(1 + n, weir.http)))).collect();
    for kept in &mut busy {
        kept.send("GET /hang HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    }
    until_true("all are busy", || weir.metric(r#"weir_upstream_in_flight{upstream="shop"}"#) == 4.0);
    assert!(Kept(BufReader::new(from(9, weir.http))).ended());
    assert_eq!(weir.metric("weir_connections_refused_total"), 1.0);
    assert!(busy.iter_mut().all(|kept| kept.answer().unwrap().status == 504), "their requests are answered");
    drop(busy);
    until_true("their connections are gone", || weir.metric("weir_connections") == 0.0);
    weir.is_well();
}

#[test]
fn the_connections_of_a_trusted_proxy_are_the_worlds() {
    let lines = "max_connections_per_client = 5\ntrusted_proxies = [\"127.0.0.9/32\"]";
    let (_shop, weir) = listening(lines, CLOSED);
    let proxy: Vec<Kept> = (0..30).map(|_| asked(9, weir.http)).collect();
    assert_eq!(open(&proxy), 30);
    assert_eq!(weir.metric(CLIENT_FULL), 0.0);
    weir.is_well();
}

#[test]
fn five_hundred_people_behind_one_address_have_six_connections_each() {
    let (_shop, weir) = listening("", CLOSED);
    let people: Vec<Kept> = (0..3_000).map(|_| asked(1, weir.http)).collect();
    assert_eq!(weir.metric(CLIENT_FULL) + weir.metric("weir_connections_refused_total"), 0.0);
    assert!(is_open(people.last().unwrap()));
    weir.is_well();
}

#[test]
fn a_handshake_that_stops_is_no_reason_to_refuse_anybody() {
    let (_shop, weir) = listening("max_connections = 10", CLOSED);
    let stopped: Vec<TcpStream> = (0..10).map(|_| from(1, weir.http)).collect();
    until_true("all are held", || weir.metric("weir_connections") == 10.0);
    let late = asked(2, weir.http);
    assert!(is_open(&late));
    let stopped: Vec<Kept> = stopped.into_iter().map(|stream| Kept(BufReader::new(stream))).collect();
    until_true("one of them is closed", || open(&stopped) == 9);
    weir.is_well();
}

// HTTP/2 by hand, with the window of every stream shut.

/// So many streams that ask for this path with these headers, behind a window of nothing.
fn shut(path: &str, headers: &[(&str, &str)], streams: u32) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04, path.len() as u8];
    block.extend(path.as_bytes());
    block.extend([0x01, 12]);
    block.extend(b"shop.example");
    for (name, value) in headers {
        assert!(value.len() < 127);
        block.extend(literal(name, value));
    }
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
    for n in 0..streams {
        bytes.extend(frame(HEADERS, END, n * 2 + 1, &block));
    }
    bytes
}

const ACCEPT_IMAGE: (&str, &str) = ("accept", "image/png");
const IN_FLIGHT: &str = r#"weir_upstream_in_flight{upstream="shop"}"#;

/// A gateway with these lines in `[listen]` and this other change to its configuration.
fn changed(shop: SocketAddr, lines: &str, from: &str, to: &str) -> Weir {
    let text = config(shop, ROOMY).replace("workers = 2", &format!("workers = 2\n{lines}"));
    assert!(text.contains(from));
    Weir::start(&text.replace(from, to))
}

#[test]
fn refusals_behind_closed_windows_are_one_page_and_end_by_pace() {
    let shop = Shop::open();
    let weir = changed(shop.address, "idle_timeout = \"3s\"", "", "");
    weir.is_well();
    let before = weir.resident();
    let held: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = from(1, weir.http);
            stream.write_all(&shut("/launch/picture", &[ACCEPT_IMAGE], 100)).unwrap();
            stream
        })
        .collect();
    let refused = || weir.metric(r#"weir_requests_total{room="launch",verdict="needs_pass"}"#);
    until_true("those that are worked on are answered", || refused() >= 3_190.0);
    let each = weir.resident().saturating_sub(before) / 100;
    // Without optimisation the tasks alone are half of it.
    assert!(each < 512, "{each} KiB each");
    assert!(refused() <= 3_200.0, "without a pass few streams are worked on: {}", refused());
    until_true("who takes nothing is closed", || weir.metric("weir_connections") == 0.0);
    drop(held);
    weir.is_well();
}

#[test]
fn a_pass_brings_more_streams() {
    let shop = Shop::open();
    let lines = "response_timeout = \"20s\"\nmax_in_flight_per_pass = 200";
    let weir = changed(shop.address, "", "response_timeout = \"2s\"", lines);
    let pass = pass(&weir);
    let mut stranger = from(1, weir.http);
    stranger.write_all(&shut("/hang", &[], 100)).unwrap();
    until_true("the stranger's are worked on", || weir.metric(IN_FLIGHT) == 32.0);
    let mut holder = from(2, weir.http);
    holder.write_all(&shut("/launch/hang", &[("cookie", &pass)], 100)).unwrap();
    until_true("all of the holder's are worked on", || weir.metric(IN_FLIGHT) == 132.0);
    weir.is_well();
}

#[test]
fn what_a_closed_window_makes_the_shop_send_is_bounded() {
    let shop = answering(|_| ok(&"x".repeat(2 << 20)));
    let weir = changed(shop, "", "response_timeout = \"2s\"", "max_in_flight = 1000");
    weir.is_well();
    // What gathers the metrics keeps what it once took, and so does what runs once a second: a calm gateway has had both.
    let (mut before, mut since) = (weir.resident(), Instant::now());
    until_true("a calm gateway takes no more memory", || {
        weir.metric(IN_FLIGHT);
        let now = weir.resident();
        if now > before {
            (before, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_secs(2)
    });
    let mut held = from(1, weir.http);
    held.write_all(&shut("/big", &[], 100)).unwrap();
    until_true("they are worked on", || weir.metric(IN_FLIGHT) == 32.0);
    until_true("they are counted", || weir.metric("weir_answer_buffer_bytes") >= 100_000.0);
    let untaken = weir.metric("weir_answer_buffer_bytes");
    assert!(untaken <= 384_000.0, "{untaken}");
    let grown = weir.resident().saturating_sub(before);
    // Without optimisation; 200 MiB would fit behind the windows of the shop.
    assert!(grown < 12 << 10, "{grown} KiB");
    weir.is_well();
}

#[test]
fn when_all_answers_together_are_too_much_those_that_nobody_takes_are_closed() {
    let shop = answering(|_| ok(&"x".repeat(2 << 20)));
    let weir = changed(shop, "answer_buffer = \"2MiB\"", "response_timeout = \"2s\"", "max_in_flight = 1000");
    let held: Vec<TcpStream> = (0..40)
        .map(|n| {
            let mut stream = from(1 + n, weir.http);
            stream.write_all(&shut("/big", &[], 10)).unwrap();
            stream
        })
        .collect();
    let evicted = r#"weir_connections_evicted_total{reason="answer_buffer"}"#;
    until_true("some are closed", || weir.metric(evicted) >= 1.0);
    until_true("the bound holds", || weir.metric("weir_answer_buffer_bytes") <= 2_200_000.0);
    drop(held);
    weir.is_well();
}

#[test]
fn streams_that_nobody_takes_the_short_answers_of_count_with_what_they_hold_themselves() {
    let (_shop, weir) = listening("answer_buffer = \"2MiB\"", CLOSED);
    let held: Vec<TcpStream> = (0..40)
        .map(|n| {
            let mut stream = from(1 + n, weir.http);
            stream.write_all(&shut("/.weir/status/launch", &[], 100)).unwrap();
            stream
        })
        .collect();
    let evicted = r#"weir_connections_evicted_total{reason="answer_buffer"}"#;
    // 4,000 answers of less than 300 bytes would fit; 4,000 streams of 2 KiB do not.
    until_true("most of them are closed", || weir.metric(evicted) >= 25.0);
    drop(held);
    weir.is_well();
}

#[test]
fn headers_of_http_2_are_counted_too() {
    let (shop, weir) = listening("", CLOSED);
    let many: Vec<(&str, &str)> = (0..300).map(|_| ("a", "")).collect();
    let mut stream = from(1, weir.http);
    stream.write_all(&shut("/", &many, 10)).unwrap();
    let refused = r#"weir_requests_total{room="",verdict="bad_request"}"#;
    until_true("they are refused", || weir.metric(refused) == 10.0);
    assert!(shop.seen().is_empty());
    weir.is_well();
}

#[test]
fn requests_sent_ahead_wait_for_who_reads_no_answers() {
    const REQUESTS: usize = 30_000;
    let (_shop, weir) = listening("", CLOSED);
    weir.is_well();
    // What the first requests allocate once and for all does not count.
    for _ in 0..10 {
        let mut first = from(1, weir.http);
        first.write_all(&b"GET /.weir/status/launch HTTP/1.1\r\nHost: shop.example\r\n\r\n".repeat(200)).unwrap();
        first
            .write_all(b"GET /.weir/status/launch HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n")
            .unwrap();
        first.read_to_end(&mut Vec::new()).unwrap();
    }
    let before = weir.resident();
    let mut reader = from(1, weir.http);
    let mut writer = reader.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let all = b"GET /.weir/status/launch HTTP/1.1\r\nHost: shop.example\r\n\r\n".repeat(REQUESTS - 1);
        writer.write_all(&all).unwrap();
        let last = "GET /.weir/status/launch HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
        writer.write_all(last.as_bytes()).unwrap();
    });
    std::thread::sleep(Duration::from_secs(2));
    let grown = weir.peak().saturating_sub(before);
    // All of the answers would be 20 MB.
    assert!(grown < 4 << 10, "{grown} KiB");
    let mut all = Vec::new();
    reader.read_to_end(&mut all).unwrap();
    sender.join().unwrap();
    assert_eq!(String::from_utf8_lossy(&all).matches("HTTP/1.1 200").count(), REQUESTS);
    weir.is_well();
}

#[test]
fn slow_readers_of_large_answers_hold_a_bounded_part_each() {
    let shop = answering(|_| ok(&"x".repeat(400 << 10)));
    let weir = changed(shop, "", "response_timeout = \"2s\"", "max_in_flight = 1000\nmax_in_flight_per_address = 1000");
    let slow = |many: usize| -> Vec<TcpStream> {
        let before = weir.metric(IN_FLIGHT);
        let readers = (0..many)
            .map(|_| {
                let mut stream = from(1, weir.http);
                socket2::SockRef::from(&stream).set_recv_buffer_size(32 << 10).unwrap();
                stream.write_all(b"GET /big HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n").unwrap();
                stream
            })
            .collect();
        until_true("all are under way", || weir.metric(IN_FLIGHT) == before + many as f64);
        // After the sweep that moves unread answers into memory.
        std::thread::sleep(Duration::from_millis(2500));
        readers
    };
    // What the first ones make the process hold serves all: buffers of the shop's connections, pages of the allocator.
    let mut held = slow(50);
    let before = weir.resident();
    held.extend(slow(150));
    let each = weir.resident().saturating_sub(before) / 150;
    assert!(each < 320, "{each} KiB each");
    let counted = weir.metric("weir_buffered_bytes") / 200.0;
    assert!(counted > 0.0 && counted <= f64::from((64 + 32 + 1) << 10), "{counted} bytes each");
    let mut all = Vec::new();
    held[0].read_to_end(&mut all).unwrap();
    assert!(all.len() > 400 << 10, "the answer is whole: {}", all.len());
    weir.is_well();
}

#[test]
fn an_idle_kept_connection_holds_little_and_goes_on() {
    let (_shop, weir) = listening("waiting_idle_timeout = \"60s\"\nmax_connections_per_client = 10000", CLOSED);
    weir.is_well();
    let before = weir.resident();
    let mut idle = Vec::new();
    // What the first ones give back serves the next ones: the allocator keeps some of it.
    for _ in 0..5 {
        idle.extend((0..1_000).map(|_| asked(1, weir.http)));
        std::thread::sleep(Duration::from_secs(4));
    }
    let each = weir.resident().saturating_sub(before) * 1024 / 5_000;
    assert!(each < 12 << 10, "{each} bytes each");
    for kept in &mut idle {
        assert_eq!(kept.get("/.weir/status/launch", &[]).status, 200);
    }
    // A head that comes in two parts, with a rest between them; and two at once.
    std::thread::sleep(Duration::from_secs(3));
    let ask = "GET /.weir/status/launch HTTP/1.1\r\nHost: shop.example\r\n\r\n";
    idle[0].send(&ask[..20]);
    idle[1].send(ask.repeat(2) + &ask[..30]);
    std::thread::sleep(Duration::from_secs(4));
    idle[0].send(&ask[20..]);
    idle[1].send(&ask[30..]);
    assert_eq!(idle[0].answer().unwrap().status, 200);
    for _ in 0..3 {
        assert_eq!(idle[1].answer().unwrap().status, 200);
    }
    weir.is_well();
}
