//! Connections: how many one client and all may hold, which one is closed for another, and what each costs in memory.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::float_cmp, reason = "metrics are counts; tests")]

mod common;

use std::io::{BufReader, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use common::{CLOSED, JSON, Kept, ROOMY, Shop, Weir, config, until_true};
use socket2::{Domain, Socket, Type};

const CLIENT_FULL: &str = r#"weir_connections_evicted_total{reason="max_connections_per_client"}"#;
const FULL: &str = r#"weir_connections_evicted_total{reason="max_connections"}"#;

/// A gateway with these lines in `[listen]`, and this room.
fn listening(lines: &str, room: &str) -> (Shop, Weir) {
    let shop = Shop::open();
    let text = config(shop.address, room).replace("workers = 2", &format!("workers = 2\n{lines}"));
    let weir = Weir::start(&text);
    (shop, weir)
}

/// A connection from 127.0.0.`client`.
fn from(client: u8, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, client), 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// The same, with one status request answered on it: it costs nothing, and is charged to nobody.
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

/// The cookie of somebody who is inside.
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
    let (_shop, weir) = listening("max_connections = 40\nheader_timeout = \"30s\"", CLOSED);
    let silent: Vec<Kept> = (0..20).map(|_| Kept(BufReader::new(from(1, weir.http)))).collect();
    let waiting: Vec<Kept> = (0..20).map(|n| asked(10 + n, weir.http)).collect();
    // Who has just come may be about to ask.
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
    busy.iter_mut().for_each(|kept| kept.send("GET /hang HTTP/1.1\r\nHost: shop.example\r\n\r\n"));
    until_true("all are busy", || weir.metric(r#"weir_upstream_in_flight{upstream="shop"}"#) == 4.0);
    assert!(Kept(BufReader::new(from(9, weir.http))).ended());
    assert_eq!(weir.metric("weir_connections_refused_total"), 1.0);
    assert!(busy.iter_mut().all(|kept| kept.answer().unwrap().status == 504), "their requests are answered");
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
