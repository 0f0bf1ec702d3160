//! What a pass is worth over time: those who are active stay in, and whose pass does not count any more come back to
//! what their number is worth. Over real sockets, on the real binary.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::line::pass_id_of;
use common::{Answer, JSON, ROOMY, Shop, Weir, config, until, until_true};

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
        let answer = shopper.asks("GET", "/launch/a.css", &[]);
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
    until_true("it ends", || shopper.asks("GET", "/launch/a.css", &[]).status == 429);
    assert_eq!(shopper.cookies.len(), 1, "no answer moved its end");
}
