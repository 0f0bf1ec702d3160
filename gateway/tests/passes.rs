//! What a pass is worth over time: those who are active stay in, and whose pass does not count any more come back to
//! what their number is worth. Over real sockets, on the real binary.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::line::pass_id_of;
use common::{Answer, FETCH, JSON, ROOMY, Shop, Weir, config, until, until_true};

const SESSION: Duration = Duration::from_secs(5);

/// A gateway with a room in which passes live for five seconds, before a shop that answers at once.
fn short(more: &str) -> (Shop, Weir) {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, &format!("{ROOMY}session_duration = \"5s\"\n{more}")));
    until_true("the room is open", || weir.get("/launch/item", &[JSON]).is_shop());
    (shop, weir)
}

/// A shopper with one cookie.
struct Shopper<'a> {
    weir: &'a Weir,
    cookie: String,
    cookies: BTreeSet<String>,
}

impl<'a> Shopper<'a> {
    /// Somebody who gets in.
    fn enters(weir: &'a Weir) -> Self {
        let entered = until("somebody gets in", || Some(weir.get("/launch/item", &[JSON])).filter(Answer::is_shop));
        let cookie = entered.cookie().unwrap();
        Self { weir, cookie: cookie.clone(), cookies: BTreeSet::from([cookie]) }
    }

    fn asks(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let cookie = self.cookie.clone();
        let headers: Vec<(&str, &str)> = headers.iter().copied().chain([("Cookie", &*cookie)]).collect();
        let answer = self.weir.send(method, path, &headers, "");
        if let Some(cookie) = answer.cookie() {
            self.cookies.insert(cookie.clone());
            self.cookie = cookie;
        }
        answer
    }

    /// The pass by which the shop knows this shopper.
    fn pass_id(&mut self) -> Option<String> {
        pass_id_of(&self.asks("GET", "/launch/headers", &[JSON]))
    }
}

#[test]
fn who_asks_every_half_second_stays_in_though_the_shop_answers_at_once() {
    let (_shop, weir) = short("");
    let mut shopper = Shopper::enters(&weir);
    let id = shopper.pass_id();
    let (taken, started) = (weir.room()["next"].as_u64(), Instant::now());
    while started.elapsed() < 4 * SESSION {
        sleep(Duration::from_millis(500));
        // Nothing but a pass opens this: it takes no number.
        let answer = shopper.asks("GET", "/launch/a.css", &[FETCH]);
        assert_eq!(answer.status, 200, "thrown out after {:?}", started.elapsed());
    }
    assert_eq!((shopper.pass_id(), weir.room()["next"].as_u64()), (id, taken), "the same pass, and no other number");
    let most = 2 * started.elapsed().as_secs() / SESSION.as_secs() + 2;
    let renewals = shopper.cookies.len() as u64 - 1;
    assert!((4..=most).contains(&renewals), "{renewals} renewals in {:?}", started.elapsed());
    assert!(weir.metric(r#"weir_room_passes_remembered{room="launch",what="renewed"}"#) <= 1.0);
}

#[test]
fn without_renewal_a_pass_ends_however_active_its_holder_is() {
    let (_shop, weir) = short("disable_session_renewal = true\n");
    let mut shopper = Shopper::enters(&weir);
    until_true("it ends", || shopper.asks("GET", "/launch/a.css", &[FETCH]).status == 429);
    assert_eq!(shopper.cookies.len(), 1, "no answer moved its end");
}

#[test]
fn an_expired_text_of_a_pass_that_was_renewed_is_worth_the_pass_and_takes_no_number() {
    let (shop, weir) = short("");
    let mut shopper = Shopper::enters(&weir);
    let (first, id) = (shopper.cookie.clone(), shopper.pass_id());
    let expired = || weir.get("/launch/a.css", &[FETCH, ("Cookie", &first)]).status == 429;
    // Another tab stays active: its cookie never reaches this one.
    until_true("the first text expires while the pass lives", || {
        sleep(Duration::from_millis(300));
        assert_eq!(shopper.asks("GET", "/launch/a.css", &[FETCH]).status, 200);
        expired()
    });
    let taken = weir.room()["next"].as_u64();
    let back = weir.get("/launch/headers", &[JSON, ("Cookie", &first)]);
    assert!(pass_id_of(&back) == id && back.cookie().is_some(), "the same pass, in a text that counts: {back:?}");
    let form = weir.send("POST", "/launch/order", &[("Cookie", &first)], "card=1");
    assert!(form.is_shop(), "a form whose pass lives goes through: {form:?}");
    assert_eq!(weir.room()["next"].as_u64(), taken);

    assert_eq!(shopper.asks("GET", "/launch/revoke", &[]).status, 200);
    let seen = shop.seen().len();
    for _ in 0..20 {
        let form = weir.send("POST", "/launch/order", &[("Cookie", &first)], "card=1");
        assert_eq!(form.status, 429, "{form:?}");
    }
    assert_eq!(shop.seen().len(), seen, "a pass that was given back stays dead");
    let anew = until("they come in anew", || {
        Some(weir.get("/launch/headers", &[JSON, ("Cookie", &first)])).filter(|answer| pass_id_of(answer).is_some())
    });
    assert_ne!(pass_id_of(&anew), id);
}

#[test]
fn a_dead_pass_that_is_shown_with_every_request_is_asked_of_the_line_once_in_a_while() {
    let (_shop, weir) = short("disable_session_renewal = true\n");
    let shopper = Shopper::enters(&weir);
    let post = || weir.send("POST", "/launch/order", &[("Cookie", &shopper.cookie)], "card=1").status;
    until_true("it ends", || post() == 429);
    let remembered = || weir.metric(r#"weir_room_passes_remembered{room="launch",what="spent"}"#);
    until_true("the line has said so", || remembered() >= 1.0);
    assert!((0..20).all(|_| post() == 429));
    assert!(remembered() <= 1.0);
}

#[test]
fn seats_that_were_never_shown_again_go_to_who_is_here_and_who_comes_back_sits_down_next() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, &format!("{ROOMY}total_active_users = 3\n")));
    let hoarded: Vec<Shopper<'_>> = (0..3).map(|_| Shopper::enters(&weir)).collect();
    let waiting = weir.get("/launch/item", &[JSON]);
    let mut shopper = Shopper { cookie: waiting.cookie().unwrap(), weir: &weir, cookies: BTreeSet::new() };
    let started = Instant::now();
    while shopper.pass_id().is_none() {
        assert!(started.elapsed() < Duration::from_secs(90), "no seat after {:?}", started.elapsed());
        sleep(Duration::from_millis(500));
    }
    assert!(started.elapsed() >= Duration::from_secs(20), "who reads a page keeps the seat for half a minute");
    assert_eq!(weir.room()["active_users"], 3);
    let told: Vec<bool> = (0..3).map(|_| shopper.asks("GET", "/launch/a.css", &[FETCH]).cookie().is_some()).collect();
    assert_eq!(told, [true, false, false], "one answer takes the mark out of the cookie");

    // The oldest has lost its seat: it takes the place of the next that never came back.
    let mut reader = hoarded.into_iter().next().unwrap();
    let stale = reader.asks("GET", "/launch/a.css", &[FETCH]);
    assert_eq!(stale.status, 429, "{stale:?}");
    assert!(reader.pass_id().is_some(), "before the line, for the next seat");
    assert_eq!(weir.room()["active_users"], 3);
    assert_eq!(reader.asks("GET", "/launch/a.css", &[FETCH]).status, 200);
    assert!(weir.metric(r#"weir_room_evictions_total{room="launch"}"#) >= 2.0);
    assert!(weir.metric(r#"weir_tokens_ignored_total{room="launch",reason="evicted"}"#) >= 1.0);
}
