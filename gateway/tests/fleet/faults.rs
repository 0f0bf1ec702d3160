//! Redis late, stalled, reset, cut off and gone: what shoppers see of it, and how the line goes on. Faults are
//! made on the way of one gateway by a proxy of our own.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::fault::{Fault, Faulty};
use crate::common::line::{gateway, number, pass_id, room, tickets};
use crate::common::redis::RedisServer;
use crate::common::{JSON, Shop, Weir, server, until, until_true};
use policy::line::segment::SPAN;

#[test]
fn the_proxy_does_to_a_connection_what_it_is_told() {
    let echo = server(|mut stream| drop(std::io::copy(&mut stream.try_clone().unwrap(), &mut stream)));
    let way = Faulty::to(echo);
    let open = || {
        let stream = TcpStream::connect(way.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    };
    // What comes back of a byte, and how late.
    let said = |mut stream: &TcpStream| {
        let _ = stream.write_all(b"x");
        let (began, mut heard) = (Instant::now(), [0]);
        (stream.read(&mut heard).map(|read| heard[..read].to_vec()), began.elapsed())
    };
    let hears_nothing = |stream: &TcpStream| {
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert_eq!(said(stream).0.unwrap_err().kind(), ErrorKind::WouldBlock);
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    };
    let kept = open();
    assert_eq!(said(&kept).0.unwrap(), b"x");
    way.set(Fault::Late(Duration::from_millis(50)));
    let (heard, after) = said(&kept);
    assert!(heard.unwrap() == b"x" && after >= Duration::from_millis(100), "both ways: {after:?}");
    way.set(Fault::Stalled);
    hears_nothing(&kept);
    way.set(Fault::None);
    assert_eq!((&kept).read(&mut [0]).unwrap(), 1, "it was only kept");
    way.set(Fault::Cut);
    hears_nothing(&kept);
    hears_nothing(&open());
    way.set(Fault::None);
    assert!(matches!(said(&kept).0.as_deref(), Ok([]) | Err(_)), "what was lost does not come");
    let reset = open();
    assert_eq!(said(&reset).0.unwrap(), b"x");
    way.set(Fault::Reset);
    assert_eq!((&reset).read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    way.set(Fault::None);
    assert_eq!(said(&open()).0.unwrap(), b"x");
}

const OK: &str = "weir_store_calls_total{result=\"ok\"}";
const FAILED: &str = "weir_store_calls_total{result=\"failed\"}";
const KEPT: &str = "weir_room_places_kept_total{room=\"launch\"}";
const OPEN: &str = "weir_fail_open_total{room=\"launch\"}";

/// The cookie of a shopper who is let in at once.
fn insider(weir: &Weir) -> String {
    until("somebody is inside", || {
        let answer = weir.get("/launch/item", &[JSON]);
        answer.is_shop().then(|| answer.cookie().unwrap())
    })
}

fn is_in(weir: &Weir, pass: &str) -> bool {
    weir.get("/launch/item", &[JSON, ("Cookie", pass)]).is_shop()
}

fn away(weir: &Weir) -> bool {
    weir.room()["store_away"] == true
}

/// One of two gateways has this fault on its way to Redis, for at least so long.
fn only_one_gateway_suffers(fault: Fault, length: Duration) {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let (way, room) = (Faulty::to(redis.address), room(600));
    let (hurt, sound) = (gateway(way.address, shop.address, &room), gateway(redis.address, shop.address, &room));
    let pass = insider(&hurt);
    let mut waiting = tickets(&[&hurt, &sound], 10);
    let (last_number, last) = waiting.pop().unwrap();

    let began = Instant::now();
    way.set(fault);
    until_true("the gateway has noticed", || away(&hurt));
    let answered = hurt.metric(OK);
    let mut kept = Vec::new();
    while kept.len() < 4 || began.elapsed() < length {
        assert!(is_in(&hurt, &pass), "a pass needs no store");
        assert_eq!(hurt.get("/launch/item", &[JSON, ("Cookie", &last)]).ticket(), last_number, "the place is kept");
        let arrival = hurt.get("/launch/item", &[JSON]);
        assert!(arrival.is_line() && arrival.waiting()["ticket"].is_null(), "{arrival:?}");
        kept.push(arrival.cookie().unwrap());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(hurt.metric(OK), answered, "none of this was a call that the store answered");
    assert_eq!(hurt.metric(KEPT), kept.len() as f64);
    pass_id(&sound, &sound.get("/launch/item", &[JSON]).cookie().unwrap());
    assert!(!away(&sound) && sound.metric(FAILED) == 0.0);

    let (over, failed) = (Instant::now(), hurt.metric(FAILED));
    way.set(Fault::None);
    until_true("the gateway is back", || !away(&hurt));
    println!("{fault:?}: back after {:?}", over.elapsed());
    // A call that was under way may still fail, and what had been sent on a dead connection.
    assert!(hurt.metric(FAILED) - failed <= 2.0, "back with the next call");
    let mut numbers: Vec<u64> = kept.iter().map(|cookie| number(&sound, cookie)).collect();
    assert!(numbers.is_sorted(), "in order of arrival: {numbers:?}");
    numbers.extend(waiting.iter().map(|(number, _)| *number));
    assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), numbers.len(), "no number twice: {numbers:?}");
    let cookies: Vec<&String> = kept.iter().take(3).chain([&last]).collect();
    let ids: HashSet<String> = cookies.iter().map(|cookie| pass_id(&hurt, cookie)).collect();
    assert_eq!(ids.len(), 4, "everybody came in, each with a pass of their own");
    hurt.is_well();
    sound.is_well();
}

#[test]
fn redis_that_stalls_for_five_seconds_at_one_gateway_costs_nobody_a_place() {
    only_one_gateway_suffers(Fault::Stalled, Duration::from_secs(5));
}

#[test]
fn redis_cut_off_from_one_gateway_costs_nobody_a_place() {
    only_one_gateway_suffers(Fault::Cut, Duration::from_secs(2));
}

#[test]
fn connections_that_are_reset_at_one_gateway_cost_nobody_a_place() {
    only_one_gateway_suffers(Fault::Reset, Duration::from_secs(2));
}

#[test]
fn redis_fifty_milliseconds_away_only_takes_its_time() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let (way, room) = (Faulty::to(redis.address), room(300));
    let weir = gateway(way.address, shop.address, &room);
    way.set(Fault::Late(Duration::from_millis(50)));
    let pass = insider(&weir);
    let waiting = tickets(&[&weir], 5);
    let ids: HashSet<String> = waiting.iter().map(|(_, cookie)| pass_id(&weir, cookie)).collect();
    assert_eq!(ids.len(), 5);
    assert!(is_in(&weir, &pass));
    assert!(weir.metric(FAILED) == 0.0 && weir.metric(KEPT) == 0.0 && !away(&weir));
}

/// A copy of the line is as old as the question for it. An answer that was on its way for long looks new when it is read, and a
/// shopper may have been told a smaller position by another gateway meanwhile.
#[test]
fn a_program_is_told_no_position_that_was_long_on_its_way() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let way = Faulty::to(redis.address);
    let weir = gateway(way.address, shop.address, &room(60));
    let (_, cookie) = tickets(&[&weir], 30).pop().unwrap();
    let position = || weir.get("/launch/item", &[JSON, ("Cookie", &cookie)]).waiting()["position"].clone();
    until_true("it is told while Redis is near", || position().is_u64());
    way.set(Fault::Late(Duration::from_millis(425)));
    // The answer to an earlier question has arrived, and is old.
    sleep(Duration::from_secs(2));
    for _ in 0..25 {
        assert!(position().is_null());
        sleep(Duration::from_millis(80));
    }
    way.set(Fault::None);
    until_true("and again", || position().is_u64());
}

#[test]
fn with_redis_gone_a_closed_room_keeps_places_and_counts_them() {
    let (mut redis, shop) = (RedisServer::durable(), Shop::open());
    let weir = gateway(redis.address, shop.address, &room(300));
    let pass = insider(&weir);
    redis.kill();
    until_true("it has noticed", || away(&weir));
    let kept: Vec<String> = (0..5).map(|_| weir.get("/launch/item", &[JSON]).cookie().unwrap()).collect();
    assert!(is_in(&weir, &pass));
    assert_eq!((weir.metric(KEPT), weir.metric(OPEN)), (5.0, 0.0));
    assert_eq!(weir.metric("weir_room_store_away{room=\"launch\"}"), 1.0);

    redis.restart();
    let (back, failed) = (Instant::now(), weir.metric(FAILED));
    until_true("it is back", || !away(&weir));
    println!("back {:?} after Redis answered again", back.elapsed());
    assert!(weir.metric(FAILED) - failed <= 1.0, "back with the next call");
    let numbers: Vec<u64> = kept.iter().skip(1).map(|cookie| number(&weir, cookie)).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
}

#[test]
fn with_redis_gone_an_open_room_lets_everybody_in_and_counts_them() {
    let (mut redis, shop) = (RedisServer::durable(), Shop::open());
    let weir = gateway(redis.address, shop.address, &(room(300) + "fail_mode = \"open\"\n"));
    let pass = insider(&weir);
    let waiting = tickets(&[&weir], 5);
    redis.kill();
    until_true("it has noticed", || away(&weir));
    for cookie in [None, None, Some(&pass), Some(&waiting[4].1)] {
        let shown = cookie.map(|cookie| ("Cookie", cookie.as_str()));
        let headers: Vec<_> = [JSON].into_iter().chain(shown).collect();
        assert!(weir.get("/launch/item", &headers).is_shop(), "{cookie:?}");
    }
    assert_eq!((weir.metric(OPEN), weir.metric(KEPT)), (3.0, 0.0), "who has a pass enters by it");

    redis.restart();
    until_true("it is back", || !away(&weir));
    let (place, cookie) = &waiting[4];
    let seen = weir.get("/launch/item", &[JSON, ("Cookie", cookie)]);
    assert!(seen.is_shop() || seen.ticket() == *place, "the line goes on where it stood: {seen:?}");
    assert_eq!(weir.metric(OPEN), 3.0);
}

#[test]
fn places_kept_by_a_gateway_that_died_are_numbered_in_order_where_they_are_shown() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let (way, room) = (Faulty::to(redis.address), room(300));
    let (dying, other) = (gateway(way.address, shop.address, &room), gateway(redis.address, shop.address, &room));
    let waiting = tickets(&[&dying, &other], 5);
    way.set(Fault::Cut);
    until_true("it has noticed", || away(&dying));
    let kept: Vec<String> = (0..6).map(|_| dying.get("/launch/item", &[JSON]).cookie().unwrap()).collect();
    dying.kill();

    // The last one comes first, and does not get ahead of the others by that.
    let arrival = number(&other, &other.get("/launch/item", &[JSON]).cookie().unwrap());
    let last = number(&other, &kept[5]);
    let numbers: Vec<u64> = kept.iter().map(|cookie| number(&other, cookie)).collect();
    assert_eq!(numbers, (last - 5..=last).collect::<Vec<_>>());
    assert!(numbers[0] > arrival && waiting.iter().all(|(number, _)| *number < arrival), "{numbers:?} {arrival}");
    other.is_well();
}

#[test]
fn places_kept_before_redis_was_ever_there_are_numbered_in_order() {
    let (mut redis, shop) = (RedisServer::start(), Shop::open());
    redis.kill();
    let weir = gateway(redis.address, shop.address, &room(60));
    let kept: Vec<String> = (0..4).map(|_| weir.get("/launch/item", &[JSON]).cookie().unwrap()).collect();
    redis.restart();
    until_true("it is there", || !away(&weir));
    let numbers: Vec<u64> = kept.iter().map(|cookie| number(&weir, cookie)).collect();
    assert_eq!(numbers.iter().map(|number| number % SPAN).collect::<Vec<_>>(), [1, 2, 3, 4]);
}

#[test]
fn redis_that_stands_still_for_five_seconds_gives_no_number_twice() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let room = room(600);
    let (a, b) = (gateway(redis.address, shop.address, &room), gateway(redis.address, shop.address, &room));
    let pass = insider(&a);
    let waiting = tickets(&[&a, &b], 10);
    redis.signal("STOP");
    let began = Instant::now();
    until_true("both have noticed", || away(&a) && away(&b));
    let mut kept = [(&a, Vec::new()), (&b, Vec::new())];
    while kept[1].1.len() < 3 || began.elapsed() < Duration::from_secs(5) {
        for (weir, cookies) in &mut kept {
            assert!(is_in(weir, &pass), "a pass needs no store");
            cookies.push(weir.get("/launch/item", &[JSON]).cookie().unwrap());
        }
        std::thread::sleep(Duration::from_millis(300));
    }

    // Earlier calls are worked off now, though no caller waits for their answers any more.
    redis.signal("CONT");
    let back = Instant::now();
    until_true("both are back", || !away(&a) && !away(&b));
    println!("both back {:?} after Redis moved on", back.elapsed());
    let mut numbers: Vec<u64> = waiting.iter().map(|(number, _)| *number).collect();
    for (_, cookies) in &kept {
        let own: Vec<u64> = cookies.iter().map(|cookie| number(&b, cookie)).collect();
        assert!(own.is_sorted(), "in order of arrival: {own:?}");
        numbers.extend(own);
    }
    assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), numbers.len(), "no number twice: {numbers:?}");
    a.is_well();
    b.is_well();
}
