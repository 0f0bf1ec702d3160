//! The worth of a pass over time: active shoppers stay in, and holders of a pass that no longer counts come back to
//! their number's worth. Over real sockets, on the real binary.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use policy::seal::{RoomId, Sealer};
use policy::ticket::Token;

use crate::common::line::{gateway, pass_id_of};
use crate::common::redis::RedisServer;
use crate::common::{Answer, FETCH, JSON, PAGE, ROOMY, Shop, Weir, config, until, until_true};

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
    /// A shopper who gets in.
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

/// When a pass was given and when it ends, as its text says.
fn times(cookie: &str) -> [u64; 2] {
    let token = URL_SAFE_NO_PAD.decode(cookie.split_once('=').unwrap().1).unwrap();
    [10..16, 32..38].map(|field| token[field].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}

#[test]
fn the_shop_is_told_when_a_pass_ends_also_when_a_form_comes_late() {
    let (shop, weir) = short("");
    let mut shopper = Shopper::enters(&weir);
    let told = |head: &str| {
        let lines: Vec<u64> = head
            .lines()
            .filter_map(|line| line.to_lowercase().strip_prefix("weir-pass-expires: ").map(|end| end.parse().unwrap()))
            .collect();
        assert_eq!(lines.len(), 1, "{head}");
        lines[0]
    };
    let ends = |cookie: &str| times(cookie)[1] / 1_000;
    let mut seen = BTreeSet::new();
    until_true("it is renewed", || {
        let shown = shopper.cookie.clone();
        let answer = shopper.asks("GET", "/launch/headers", &[("Weir-Pass-Expires", "1"), ("Weir_Pass_Expires", "2")]);
        assert_eq!(told(&answer.body), ends(&shown));
        seen.insert(ends(&shown));
        sleep(Duration::from_millis(300));
        seen.len() > 1
    });
    let last = shopper.cookie.clone();
    // The text ends, or the pass that was renewed meanwhile.
    until_true("it ends", || weir.room()["active_users"] == 0);
    let late = weir.send("POST", "/launch/headers", &[("Cookie", &last)], "name=Kim");
    assert_eq!(told(&late.body), ends(&last), "the shop can see that it is late");
    assert!(!shop.seen()[0].to_lowercase().contains("weir-pass-expires: 1\r"));
}

/// A room in which passes are renewed up to so many milliseconds after they were given.
const BOUNDED: &str = "session_duration = \"8s\"\nmax_session = \"16s\"\n";
const LONGEST: u64 = 16_000;

/// The called ticket whose pass this is.
fn ticket_of(weir: &Weir, pass: &str) -> String {
    let dir = weir.dir.path();
    let secret = std::fs::read_to_string(dir.join("shared.secret"))
        .or_else(|_| std::fs::read_to_string(dir.join("weir.secret")));
    let (sealer, launch) = (Sealer::new(secret.unwrap().trim().as_bytes()).unwrap(), RoomId::of("launch"));
    let (name, text) = pass.split_once('=').unwrap();
    let pass = sealer.open(launch, text.as_bytes()).unwrap();
    format!("{name}={}", sealer.seal(launch, &Token::ticket(pass.number, pass.admitted)))
}

/// A shopper who is active at these gateways in turn, until the pass ends.
fn stays_as_long_as_may_be(weirs: &mut [Weir], shop: &Shop, restarts: bool) {
    let first = until("somebody gets in", || Some(weirs[0].get("/launch/item", &[JSON])).filter(Answer::is_shop));
    let mut cookie = first.cookie().unwrap();
    let ([given, _], mut ends) = (times(&cookie), BTreeSet::from([times(&cookie)[1]]));
    let ticket = ticket_of(&weirs[0], &cookie);
    let (mut turn, mut claimed_again) = (0, None);
    until_true("it ends, however active they are", || {
        turn += 1;
        if restarts && turn == 8 {
            let dir = std::mem::replace(&mut weirs[0], Weir::start(&config(shop.address, ""))).kill();
            weirs[0] = Weir::start_in(dir);
        }
        let weir = &weirs[turn % weirs.len()];
        let answer = weir.get("/launch/a.css", &[FETCH, ("Cookie", &cookie)]);
        cookie = answer.cookie().unwrap_or_else(|| cookie.clone());
        assert_eq!(times(&cookie)[0], given, "every text of it says when it was given");
        ends.insert(times(&cookie)[1]);
        let pass = weir.get("/launch/item", &[JSON, ("Cookie", &ticket)]).cookie();
        // After the end the ticket is worth what none is: a pass of another number.
        if let Some(pass) = pass.filter(|pass| times(pass)[0] < given + LONGEST) {
            let told = times(&pass)[0];
            assert!(told.abs_diff(given) < 1_000, "who shows the ticket again is told {told} instead of {given}");
            claimed_again = Some(pass);
        }
        sleep(Duration::from_millis(400));
        answer.status == 429
    });
    let claimed_again = claimed_again.unwrap();
    assert_eq!(times(&claimed_again)[1], given + LONGEST, "claimed again after the last renewal");
    assert!(ends.len() > 2 && ends.last() == Some(&(given + LONGEST)), "given at {given}, ends {ends:?}");

    let posts = || shop.seen().iter().filter(|head| head.starts_with("POST")).count();
    for weir in &*weirs {
        for pass in [&cookie, &claimed_again] {
            assert_eq!(
                weir.send("POST", "/launch/order", &[("Cookie", pass)], "card=1").status,
                429,
                "no form is late"
            );
        }
    }
    assert_eq!(posts(), 0);
    let (weir, taken) = (&weirs[0], || weirs[0].room()["next"].as_u64().unwrap());
    let before = taken();
    let anew = weir.get("/launch/headers", &[JSON, ("Cookie", &cookie)]);
    assert!(taken() > before && anew.cookie().is_some_and(|new| new != cookie), "they queue again: {anew:?}");
}

#[test]
fn a_pass_is_renewed_up_to_max_session_by_any_gateway_and_after_a_restart_and_then_its_holder_queues_again() {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let shop = Shop::open();
            let weir = Weir::start(&config(shop.address, &format!("{ROOMY}{BOUNDED}")));
            stays_as_long_as_may_be(&mut [weir], &shop, true);
        });
        scope.spawn(|| {
            let (shop, redis) = (Shop::open(), RedisServer::start());
            let weirs = [(); 2].map(|()| gateway(redis.address, shop.address, &format!("{ROOMY}{BOUNDED}")));
            stays_as_long_as_may_be(&mut { weirs }, &shop, false);
        });
    });
}

#[test]
fn the_script_of_a_room_tells_when_a_pass_ends_and_renews_it_as_any_request_does() {
    let other = ROOMY.replace("\"launch\"", "\"other\"").replace("/launch", "/other");
    let (_shop, weir) = short(&format!("session_script = true\n{other}"));
    let script = weir.get("/.weir/pass.js", &[]);
    assert!(script.status == 200 && script.body.contains("weir:pass-"), "{script:?}");
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert!(
        script.header("cache-control").unwrap().contains("max-age=")
            && script.header("vary") == Some("Accept-Encoding")
    );
    let packed = weir.get("/.weir/pass.js", &[("Accept-Encoding", "gzip, br")]);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let length = |answer: &Answer| answer.header("content-length").unwrap().parse::<usize>().unwrap();
    assert!(2 * length(&packed) < length(&script) && length(&packed) < 2_400, "{} bytes", length(&packed));
    assert_eq!(weir.send("POST", "/.weir/pass.js", &[], "").status, 405);

    let tells = |cookie: &str| weir.get("/.weir/pass/launch", &[("Cookie", cookie), ("Accept-Language", "ko")]);
    let nobody = tells("a=b");
    assert_eq!((nobody.json()["seconds"].as_u64(), nobody.json()["renew"].is_null()), (Some(0), true), "{nobody:?}");
    let shopper = Shopper::enters(&weir);
    let told = tells(&shopper.cookie);
    assert!((1..=5).contains(&told.json()["seconds"].as_u64().unwrap()) && told.json()["lang"] == "ko", "{told:?}");
    assert!(told.json()["renew"].as_u64().unwrap() <= 3 && told.header("cache-control") == Some("no-store"));
    assert!(told.json()["text"]["ended"].as_str().unwrap().contains("시간이 끝났습니다") && told.cookie().is_none());

    let renews = |cookie: &str, more: &[(&str, &str)]| {
        let headers: Vec<_> = [("Cookie", cookie)].iter().chain(more).copied().collect();
        weir.send("POST", "/.weir/pass/launch", &headers, "")
    };
    assert!(renews(&shopper.cookie, &[]).cookie().is_none(), "not in the first half");
    until_true("the first half is over", || tells(&shopper.cookie).json()["renew"] == 0);
    for foreign in [("Sec-Fetch-Site", "cross-site"), ("Origin", "http://evil.example")] {
        assert_eq!(renews(&shopper.cookie, &[foreign]).status, 403, "{foreign:?}");
    }
    assert!(tells(&shopper.cookie).cookie().is_none(), "to ask renews nothing");
    let renewed = renews(&shopper.cookie, &[("Sec-Fetch-Site", "same-origin")]);
    let later = renewed.cookie().unwrap();
    let ([given, before], [same, after]) = (times(&shopper.cookie), times(&later));
    assert!(after > before && given == same && renewed.json()["renew"].as_u64() >= Some(2), "{renewed:?}");
    assert_eq!(tells(&shopper.cookie).cookie(), Some(later.clone()), "who shows the older text is told");
    until_true("whoever only asks is out in the end", || tells(&later).json()["seconds"] == 0);
    assert_eq!(weir.get("/launch/a.css", &[("Cookie", &later)]).status, 429);
    assert_eq!(renews(&later, &[]).json()["seconds"], 0, "what has ended is not renewed");

    let left = Shopper::enters(&weir);
    assert_eq!(weir.send("POST", "/.weir/leave/launch", &[("Cookie", &left.cookie)], "").status, 200);
    until_true("a pass that was given back has ended", || tells(&left.cookie).json()["seconds"] == 0);
    let other = weir.get("/.weir/pass/other", &[PAGE]);
    assert_eq!(other.status, 404, "a room that did not ask for it: {other:?}");
}

#[test]
fn without_the_setting_there_is_no_script() {
    let (_shop, weir) = short("");
    for path in ["/.weir/pass.js", "/.weir/pass/launch"] {
        assert_eq!(weir.get(path, &[]).status, 404, "{path}");
    }
}
