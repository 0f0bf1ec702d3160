//! A line stuffed with tickets that are never claimed.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::common::{Answer, CLOSED, JSON, Kept, Shop, Weir, config, request};

/// Shoppers a second that the room takes.
const RATE: f64 = 10.0;
/// Tickets, of which one in twenty is honest.
const TICKETS: usize = 6_400;
const ONE_IN: usize = 20;
/// So many take tickets at a time: fewer would be slower than the pointer, and no line would form.
const HANDS: usize = 160;
/// So many fake ones are polled for, each of so many stuffers for their part.
const POLLING: usize = 400;
const STUFFERS: usize = 8;
/// A stuffer with a shorter poll interval is called soon: that poll would claim.
const SOON: Duration = Duration::from_secs(2);
/// The use of the rate is counted over so long, and it has to be reached by then.
const WINDOW: Duration = Duration::from_secs(6);
const BY: Duration = Duration::from_mins(1);

fn item(to: SocketAddr, cookie: &str) -> Answer {
    request(to, "GET", "/launch/item", &[JSON, ("Cookie", cookie)], "")
}

fn after(answer: &Answer) -> Duration {
    Duration::from_secs_f64(answer.waiting()["pollAfterSeconds"].as_f64().unwrap())
}

/// The cookies of the clients that got a place, by turns of the hands that took them.
fn take_tickets(weir: &Weir) -> Vec<String> {
    let hand = || {
        let mut connection = Kept::open(weir.http);
        let answers = (0..TICKETS / HANDS).map(|_| connection.get("/launch/item", &[JSON]));
        answers.filter(|answer| !answer.is_shop()).filter_map(|answer| answer.cookie()).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let hands: Vec<_> = (0..HANDS).map(|_| scope.spawn(hand)).collect();
        hands.into_iter().flat_map(|hand| hand.join().unwrap()).collect()
    })
}

/// A shopper who polls as told until they are inside.
fn waits(to: SocketAddr, cookie: &str, inside: &AtomicU64, over: &AtomicBool) {
    loop {
        let answer = item(to, cookie);
        if answer.is_shop() {
            inside.fetch_add(1, Ordering::SeqCst);
            return;
        }
        let due = Instant::now() + after(&answer);
        while Instant::now() < due {
            if over.load(Ordering::SeqCst) {
                return;
            }
            std::thread::sleep(Duration::from_millis(200).min(due.saturating_duration_since(Instant::now())));
        }
    }
}

/// Polls for all of these as told, and for none of them when that would claim. One that was called at once is used up.
fn stuffs(to: SocketAddr, cookies: &[String], over: &AtomicBool) {
    let mut due: VecDeque<_> = cookies.iter().map(|cookie| (Instant::now(), cookie)).collect();
    while let Some(&(at, cookie)) = due.front().filter(|_| !over.load(Ordering::SeqCst)) {
        if at > Instant::now() {
            std::thread::sleep(Duration::from_millis(50));
            continue;
        }
        due.pop_front();
        let waits = Some(item(to, cookie)).filter(|answer| !answer.is_shop()).map(|answer| after(&answer));
        due.extend(waits.filter(|after| *after >= SOON).map(|after| (Instant::now() + after, cookie)));
    }
}

/// Until, over a while, nine tenths of what the room may give out go to honest shoppers.
fn is_used(inside: &AtomicU64) {
    let begun = Instant::now();
    let mut looks = VecDeque::new();
    loop {
        let (now, entered) = (Instant::now(), inside.load(Ordering::SeqCst));
        looks.push_back((now, entered));
        while looks.get(1).is_some_and(|(at, _)| now - *at >= WINDOW) {
            looks.pop_front();
        }
        let (from, before) = looks[0];
        let tokens = RATE * (now - from).as_secs_f64();
        if now - from >= WINDOW && (entered - before) as f64 >= 0.9 * tokens {
            return;
        }
        assert!(begun.elapsed() < BY, "{} of {tokens:.0} in the last seconds, {entered} in all", entered - before);
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// A pointer that is bound to five times the rate finds a quarter of the shoppers that the room could take.
#[test]
fn with_19_of_20_tickets_fake_nine_tenths_of_the_rate_come_to_be_used() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, &CLOSED.replace("queue_all = true", "")));
    let tickets = take_tickets(&weir);
    let (honest, fake): (Vec<_>, Vec<_>) = tickets.into_iter().enumerate().partition(|(n, _)| n % ONE_IN == 7);
    let polling: Vec<String> = fake.into_iter().map(|(_, cookie)| cookie).step_by(TICKETS / POLLING).collect();
    let (inside, over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for (_, cookie) in &honest {
            scope.spawn(|| waits(weir.http, cookie, &inside, &over));
        }
        for some in polling.chunks(POLLING / STUFFERS) {
            scope.spawn(|| stuffs(weir.http, some, &over));
        }
        let used = std::panic::catch_unwind(|| is_used(&inside));
        over.store(true, Ordering::SeqCst);
        used.unwrap();
    });
    weir.is_well();
}
