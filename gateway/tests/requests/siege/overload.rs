//! More requests than the gateway's processor can answer.

use std::io::{BufReader, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::common::{CLOSED, Kept, Shop};

/// Connections of the crowd: so many that one request of each is far more than the gateway may be late. Each sends some at
/// once, and reads the answers: to answer them is so much more work than to send them that the gateway is the slower one on
/// any machine.
const CROWD: usize = 800;
const AT_ONCE: usize = 10;
/// Fields of each request: they cost who reads them more than who sends them.
const FIELDS: usize = 60;

/// A request without a pass, with more to read than to send.
fn poll() -> String {
    let fields = (0..FIELDS).map(|n| format!("X-Field-{n}: {n}\r\n")).collect::<Vec<_>>().concat();
    format!("GET /.weir/status/launch HTTP/1.1\r\nHost: shop.example\r\n{fields}\r\n")
}

/// Ends the crowd with the test, also where that fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends requests over so many connections, until it is told to stop. Returns the number of answers of each connection.
fn flood(to: SocketAddr, stop: &AtomicBool) -> Vec<u64> {
    let mut connections: Vec<_> = (0..CROWD).map(|_| (Kept(BufReader::new(connect_from(3, to))), 0)).collect();
    let text = poll().repeat(AT_ONCE);
    while !stop.load(Ordering::Relaxed) {
        for (connection, _) in &mut connections {
            connection.0.get_mut().write_all(text.as_bytes()).unwrap();
        }
        for (connection, answers) in &mut connections {
            for _ in 0..AT_ONCE {
                assert!(connection.answer().is_some(), "a deferred request is not refused");
                *answers += 1;
            }
        }
    }
    connections.into_iter().map(|(_, answers)| answers).collect()
}

#[test]
fn while_a_crowd_wants_more_than_the_processor_can_holders_are_served_and_the_crowd_is_deferred_in_turn() {
    let shop = Shop::open();
    let text = config(shop.address, ROOMY).replace("workers = 2", "workers = 1");
    let weir = Weir::start(&text);
    until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= 100);
    let pass = pass(&weir);
    let (stop, deferred) = (AtomicBool::new(false), AtomicU64::new(0));
    let answers = std::thread::scope(|scope| {
        let crowd = scope.spawn(|| flood(weir.http, &stop));
        let ends = Ends(&stop);
        let mut holder = Kept::open(weir.http);
        until_true("connections without a pass are deferred", || {
            let answer = holder.get("/launch/item", &[("Cookie", &pass)]);
            assert!(answer.is_shop(), "a pass holder beside the crowd: {answer:?}");
            deferred.store(weir.metric("weir_connections_deferred_total") as u64, Ordering::Relaxed);
            deferred.load(Ordering::Relaxed) > 0
        });
        for _ in 0..50 {
            assert!(holder.get("/launch/item", &[("Cookie", &pass)]).is_shop());
        }
        drop(ends);
        crowd.join().unwrap()
    });
    assert!(answers.iter().all(|&answers| answers > 0), "each has its turn: {answers:?}");
    until_true("the log says so, and that it is over", || weir.log().contains("has time for all connections again"));
    weir.is_well();
}

#[test]
fn a_ticket_whose_poll_is_deferred_keeps_its_place() {
    let shop = Shop::open();
    let text = config(shop.address, CLOSED).replace("workers = 2", "workers = 1");
    let weir = Weir::start(&text);
    let waiting = weir.get("/launch/item", &[JSON]);
    let (ticket, cookie) = (waiting.ticket(), waiting.cookie().unwrap());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let crowd = scope.spawn(|| flood(weir.http, &stop));
        let ends = Ends(&stop);
        until_true("connections are deferred", || weir.metric("weir_connections_deferred_total") > 0.0);
        let again = weir.get("/launch/item", &[JSON, ("Cookie", &cookie)]);
        assert_eq!(again.ticket(), ticket, "{again:?}");
        drop(ends);
        crowd.join().unwrap();
    });
    weir.is_well();
}
