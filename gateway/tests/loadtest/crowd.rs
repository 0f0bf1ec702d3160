//! The crowd of the load test at a real gateway: people of all habits, cheats of all kinds, and every protocol.
//!
//! Out of scope: judgement over a launch, which is the load test's own. Here it is shown that the crowd's records
//! are what happened, and that no attack gets through.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::common::{JSON, Weir, answering, config, of, until, until_true};
use demo_shop::pages;
use evidence::{End, Evidence, GatewaySample, Page, RequestRecord, Visit};
use launch_model::arrivals::{Arrivals, Phase, Spacing};
use launch_model::persona::Persona;
use launch_model::scenario::Scenario;
use launch_model::token::Kind;
use loadtest::crowd::{self, Part, Sending, Watch};
use loadtest::wire::{Target, Tls, Trust};
use tokio_util::sync::CancellationToken;
use verdict::{Check, Outcome, judge};

/// A shop that remembers the head of each request.
fn shop() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let remembers = Arc::clone(&seen);
    let address = answering(move |head| {
        let order = {
            let mut seen = remembers.lock().unwrap();
            seen.push(head.to_owned());
            seen.len() as u64
        };
        let (command, page) = match head.split(' ').nth(1).unwrap_or_default() {
            "/launch/order" => ("", pages::order(order)),
            "/launch/payment" => ("Weir-Command: revoke\r\n", pages::receipt(order)),
            _ => ("", pages::item()),
        };
        format!("HTTP/1.1 200 OK\r\n{command}Content-Length: {}\r\n\r\n{page}", page.len()).into_bytes()
    });
    (address, seen)
}

/// Of a gateway that trusts this machine, with a room for the launch and another one.
fn configuration(shop: SocketAddr, per_minute: u32) -> String {
    let room = |name: &str, per_minute: u32| {
        format!(
            "[[room]]\nname = \"{name}\"\nhost = \"*\"\npath = \"/{name}\"\nnew_users_per_minute = {per_minute}\nvisits_per_minute = 0\n\
             burst = 1\nsession_duration = \"6s\"\ndisable_session_renewal = true\n\
             enabled_origin_commands = [\"revoke\"]\npoll = {{ min = \"1s\", max = \"2s\", budget = 10000 }}\n"
        )
    };
    let rooms = room("launch", per_minute) + &room("other", 60_000);
    let trusting = "workers = 2\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    config(shop, &rooms).replace("workers = 2\n", trusting)
}

fn gateway(shop: SocketAddr, per_minute: u32) -> Weir {
    Weir::start(&configuration(shop, per_minute))
}

fn scenario(more: &str) -> Scenario {
    let text = format!(
        "name = 'test'\nseed = 11\nclosing = '40s'\ngrace = '12s'\narrivals = []\n{more}\n\
         [room]\nnew_users_per_minute = 1200\nsession_duration = '6s'\nother = '/other/item'\n\
         [habits]\nthink = ['50ms', '150ms']\nagain = ['100ms', '300ms']\nbears = ['1s', '2s']\naway = ['2s', '4s']\n"
    );
    toml::from_str(&text).unwrap()
}

/// Sends the crowd that arrives in this phase.
fn send(targets: Vec<Target>, scenario: Scenario, phase: Phase) -> Evidence {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let arrivals = Arrivals::new([phase], Spacing::Even, scenario.seed);
        let start = tokio::time::Instant::now();
        let sending = Sending { scenario: Arc::new(scenario), arrivals, targets, part: Part::ALL, start };
        crowd::send(sending, Watch::default(), CancellationToken::new()).await
    })
}

fn by(evidence: &Evidence, persona: Persona) -> impl Iterator<Item = &Visit> {
    evidence.visits.iter().filter(move |visit| visit.persona == persona)
}

fn numbers(visit: &Visit) -> HashSet<u64> {
    visit.held.iter().map(|held| held.token.number).collect()
}

#[test]
fn people_of_all_habits_are_written_down_as_they_were_and_no_attack_reaches_the_shop() {
    let (shop, seen) = shop();
    let weir = gateway(shop, 1_200);
    let all: Vec<_> = Persona::ALL.iter().map(|persona| serde_json::to_string(persona).unwrap() + " = 1").collect();
    let scenario = scenario(&format!("shoppers = {{ {} }}", all.join(", ")));
    let phase = Phase::flat(60.0, Duration::from_secs(4));
    let evidence = send(vec![Target::plain(weir.http, "shop.test")], scenario, phase);
    weir.is_well();

    let seen: HashMap<String, String> =
        seen.lock().unwrap().iter().map(|head| (of(head, "x-request-id").unwrap().to_owned(), head.clone())).collect();
    let attacks = |visit: &Visit| visit.asked.iter().filter(|asked| asked.attack).count();
    for visit in &evidence.visits {
        // A client that skips the line sends forms with a ticket; in so short a line it may be called meanwhile, and is traded
        // then. And a form that comes with an earlier pass takes a number, which may bring a pass at once.
        let passes = || visit.held.iter().filter(|held| held.token.kind == Kind::Pass);
        let in_turn = |asked: &RequestRecord, head: &String| {
            let turn = match visit.persona {
                Persona::SkipsLine => passes().next().is_some(),
                Persona::Replays | Persona::Expired => passes().skip(1).any(|held| held.at == asked.answered),
                _ => false,
            };
            turn && of(head, "weir-pass-id").is_some()
        };
        // A client that waits for the end of its pass sends one form then, which is within `form_grace`.
        let in_grace = |asked: &RequestRecord, head: &String| {
            visit.persona == Persona::Expired && asked.page == Page::Order && of(head, "weir-pass-id").is_some()
        };
        let allowed = |asked: &RequestRecord, head: &String| in_turn(asked, head) || in_grace(asked, head);
        let got_through =
            |asked: &&RequestRecord| asked.attack && seen.get(&asked.id).is_some_and(|head| !allowed(asked, head));
        let got_through: Vec<&RequestRecord> = visit.asked.iter().filter(got_through).collect();
        assert!(got_through.is_empty(), "{:?}: {got_through:?}", visit.persona);
        let served = |asked: &&RequestRecord| !asked.attack && asked.status == Some(200) && asked.page != Page::Other;
        for asked in visit.asked.iter().filter(served) {
            assert!(seen.contains_key(&asked.id), "{:?}: the shop served {asked:?}", visit.persona);
        }
        assert_eq!((visit.positions_grown, visit.errors_outside, visit.unanswered_outside), (0, 0, 0), "{visit:?}");
        assert!(!visit.thrown_out, "{visit:?}");
    }
    for persona in Persona::ALL {
        assert!(by(&evidence, persona).count() > 3, "{persona:?}");
    }
    for persona in
        [Persona::Forges, Persona::Alters, Persona::Replays, Persona::Expired, Persona::OtherRoom, Persona::SkipsLine]
    {
        assert!(by(&evidence, persona).map(attacks).sum::<usize>() > 5, "{persona:?} attacks");
    }
    for honest in Persona::ALL.into_iter().filter(|persona| !persona.is_adversary()) {
        assert_eq!(by(&evidence, honest).map(attacks).sum::<usize>(), 0, "{honest:?}");
    }
    for buyer in [
        Persona::Patient,
        Persona::SecondTab,
        Persona::RefreshSpammer,
        Persona::ChangesAddress,
        Persona::SlowReader,
        Persona::LateReturner,
    ] {
        for visit in by(&evidence, buyer) {
            assert_eq!((visit.end, numbers(visit).len()), (End::Bought, 1), "one place, one order: {visit:?}");
            assert_eq!(visit.held.last().unwrap().token.kind, Kind::Pass, "{visit:?}");
        }
    }
    let ends = |persona, end| by(&evidence, persona).filter(|visit| visit.end == end).count();
    assert!(ends(Persona::NoShow, End::NoShow) > 0 && ends(Persona::Impatient, End::LostPatience) > 0);
    assert!(
        by(&evidence, Persona::LosesCookies).any(|visit| numbers(visit).len() == 2),
        "who loses a place gets another"
    );
    assert!(by(&evidence, Persona::Shares).any(|visit| visit.asked.len() > 8), "a pass that is shared is a pass");
    assert!(evidence.visits.iter().any(|visit| visit.first_wait.is_some() && visit.positions.is_some()));

    let addresses = |visit: &Visit| -> HashSet<String> {
        visit.asked.iter().filter_map(|asked| Some(of(seen.get(&asked.id)?, "x-forwarded-for")?.to_owned())).collect()
    };
    assert!(by(&evidence, Persona::Shares).any(|visit| addresses(visit).len() > 8), "accomplices are elsewhere");
    let expired: Vec<&RequestRecord> =
        by(&evidence, Persona::Expired).flat_map(|visit| &visit.asked).filter(|asked| asked.attack).collect();
    let (forms, fetches): (Vec<_>, Vec<_>) = expired.into_iter().partition(|asked| asked.page == Page::Order);
    assert!(!fetches.is_empty() && fetches.iter().all(|asked| asked.status == Some(429)), "an old pass is none");
    assert!(forms.iter().any(|asked| asked.status == Some(200)), "but a form is not lost");
}

/// A launch over this wire, with TLS or without, at a gateway that trusts this machine and lets every shopper in: the
/// heads that its shop saw.
fn everybody_buys(wire: &str, trust: Option<fn(&Path) -> Trust>) -> Vec<String> {
    let (shop, seen) = shop();
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).unwrap();
    let certificate = dir.path().join("a.pem");
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(dir.path().join("a.key"), made.signing_key.serialize_pem()).unwrap();
    let text = configuration(shop, 60_000).replace("admin =", "https = \"127.0.0.1:0\"\nadmin =");
    std::fs::write(dir.path().join("weir.toml"), text + "[[tls]]\ncertificate = \"a.pem\"\nkey = \"a.key\"\n").unwrap();
    let weir = Weir::start_in(dir);
    let target = match trust.map(|trust| Tls::new(&trust(&certificate)).unwrap()) {
        None => Target::plain(weir.http, "shop.test"),
        tls => Target { address: weir.https.unwrap(), authority: "shop.test".into(), tls, beside: false },
    };
    let evidence = send(vec![target], scenario(&format!("[wire]\n{wire}")), Phase::flat(40.0, Duration::from_secs(1)));
    weir.is_well();
    assert_eq!(evidence.visits.len(), 40);
    assert!(evidence.visits.iter().all(|visit| visit.end == End::Bought), "{wire}: {:?}", evidence.visits);
    let generator = &evidence.generators[0];
    assert_eq!((generator.dropped_arrivals, generator.local_failures), (0, 0));
    seen.lock().unwrap().clone()
}

fn addresses(heads: &[String]) -> usize {
    let address = |head: &String| of(head, "x-forwarded-for").unwrap().to_owned();
    heads.iter().map(address).collect::<HashSet<_>>().len()
}

#[test]
fn a_crowd_comes_over_http_1_from_addresses_of_its_own() {
    let heads = everybody_buys("connections = 'own'\naddresses = 25", None);
    assert_eq!((heads.len(), addresses(&heads)), (120, 25));
}

#[test]
fn a_crowd_comes_over_a_few_shared_connections_and_is_told_apart_by_forwarded_for() {
    for protocol in ["http1", "http2"] {
        let wire = format!("protocol = '{protocol}'\nconnections = {{ shared = 2 }}\naddress = 'forwarded_for'");
        let heads = everybody_buys(&wire, None);
        assert_eq!((heads.len(), addresses(&heads)), (120, 40), "{protocol}");
        assert!(heads.iter().all(|head| of(head, "x-forwarded-for").unwrap().starts_with("198.18.")));
    }
}

#[test]
fn a_crowd_comes_over_tls_with_a_new_connection_for_each_request() {
    let heads = everybody_buys("connections = 'new'", Some(|_| Trust::Anything));
    assert_eq!(heads.len(), 120);
    assert!(heads.iter().all(|head| of(head, "x-forwarded-proto") == Some("https")));
}

#[test]
fn a_crowd_comes_over_http_2_and_tls_and_believes_the_authority_that_it_was_told() {
    let heads = everybody_buys("protocol = 'http2'", Some(|file| Trust::File(file.to_owned())));
    assert_eq!(heads.len(), 120);
}

#[test]
fn a_gateway_that_is_gone_is_passed_over_and_the_others_are_asked() {
    let (shop, seen) = shop();
    let weir = gateway(shop, 60_000);
    let targets = [crate::common::nobody(), weir.http].map(|address| Target::plain(address, "shop.test"));
    let evidence = send(targets.into(), scenario(""), Phase::flat(40.0, Duration::from_secs(1)));
    assert!(evidence.visits.iter().all(|visit| visit.end == End::Bought && visit.unanswered_outside == 0));
    assert!(evidence.visits.iter().flat_map(|visit| &visit.held).all(|held| held.target == 1));
    assert_eq!(seen.lock().unwrap().len(), 120);
}

/// A room of so many a minute, in which every shopper finds a seat and none gives theirs back for a while.
fn room_with_seats(shop: SocketAddr, per_minute: u32) -> String {
    let room = format!(
        "[[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch\"\nnew_users_per_minute = {per_minute}\n\
         total_active_users = 500\n"
    );
    config(shop, &room)
}

/// Patient people who look around in it for longer than the line stands, which is left alone after `closing` seconds.
fn patient(per_minute: u32, closing: u32) -> Scenario {
    let text = format!(
        "name = 'patient'\nseed = 7\nclosing = '{closing}s'\ngrace = '1s'\narrivals = []\n\
         [room]\nnew_users_per_minute = {per_minute}\ntotal_active_users = 500\n[habits]\nthink = ['30s', '40s']\n"
    );
    toml::from_str(&text).unwrap()
}

fn check(checks: &[Check], id: &str) -> Check {
    checks.iter().find(|check| check.id == id).unwrap().clone()
}

#[test]
fn in_a_room_whose_seats_do_not_bind_people_enter_inside_the_first_range_that_they_are_told() {
    let (shop, _) = shop();
    let weir = Weir::start(&room_with_seats(shop, 300));
    let scenario = patient(300, 20);
    let arrivals = Phase::flat(12.0, Duration::from_secs(8));
    let evidence = send(vec![Target::plain(weir.http, "shop.test")], scenario.clone(), arrivals);
    weir.is_well();
    let told = evidence.visits.iter().filter(|visit| visit.first_wait.is_some_and(|told| told.high > 6.0)).count();
    let checks = judge(&scenario, &evidence);
    for id in ["wait-inside", "wait-honest", "positions-grown"] {
        assert_eq!(check(&checks, id).outcome, Outcome::Held, "{:?}", check(&checks, id));
    }
    assert!(told > 40, "{told} were told to wait");
}

#[test]
fn after_a_cut_of_the_rate_the_wait_that_is_told_grows_places_move_and_the_ranges_of_before_are_listed_apart() {
    let (shop, _) = shop();
    let weir = Weir::start(&room_with_seats(shop, 600));
    let scenario = patient(600, 18);
    let (evidence, looks) = std::thread::scope(|scope| {
        let (started, target) = (Instant::now(), Target::plain(weir.http, "shop.test"));
        let crowd = scope.spawn(|| send(vec![target], scenario.clone(), Phase::flat(30.0, Duration::from_secs(4))));
        let looks = cut(&weir, &room_with_seats(shop, 60), || sample(&weir, started));
        (crowd.join().unwrap(), looks)
    });
    weir.is_well();
    let checks = judge(&scenario, &Evidence { gateways: looks, ..evidence });
    let apart = check(&checks, "wait-cut");
    assert_eq!(apart.outcome, Outcome::Broken, "{apart:?}");
    assert!(apart.measured >= Some(10.0) && apart.detail.starts_with("The rate was cut"), "{apart:?}");
    assert!(check(&checks, "wait-inside").measured < Some(0.9), "they count like others: {checks:#?}");
    assert_eq!(check(&checks, "positions-grown").outcome, Outcome::Held, "{checks:#?}");
}

/// A shopper in the line when its rate is cut to a tenth, and the gateway's reports meanwhile.
fn cut(weir: &Weir, less: &str, look: impl Fn() -> GatewaySample) -> Vec<GatewaySample> {
    let mut looks = vec![look()];
    until_true("a wait is known", || !weir.get("/.weir/status/launch", &[]).json()["wait"].is_null());
    let polls = || weir.metric(r#"weir_requests_total{room="launch",verdict="wait"}"#);
    let enough = polls() + 30.0;
    until_true("they are told theirs", || polls() >= enough);
    let cookie = weir.get("/launch/item", &[JSON]).cookie().unwrap();
    let ask = || weir.get("/launch/item", &[JSON, ("Cookie", &cookie)]).waiting();
    let number = |told: &serde_json::Value, key: &str| told[key].as_u64().unwrap();
    // As many seconds as places, by the rate of after the cut, is more than any shopper is told before.
    let is_long = |told: &serde_json::Value| Some(told["waitHighSeconds"].as_u64()? >= number(told, "position"));
    assert_eq!(is_long(&ask()), Some(false));
    looks.push(look());
    std::fs::write(weir.config_file(), less).unwrap();
    let at_the_cut =
        until("the gateway has heard of it", || Some(look()).filter(|look| look.new_users_per_minute < 600.0));
    looks.push(at_the_cut);
    let grown = until("the wait grows", || Some(ask()).filter(|told| is_long(told) == Some(true)));
    let entered = look().admitted - at_the_cut.admitted;
    assert!(entered <= 4, "{entered} entered before it was told");

    // A place moves up as people enter, or the answer says why it does not.
    let first = number(&grown, "position");
    let (mut place, mut moved_at) = (first, look().admitted);
    until_true("the place moves up by six", || {
        let told = ask();
        let (now, admitted) = (number(&told, "position"), look().admitted);
        if now < place || !told["reason"].is_null() {
            (place, moved_at) = (now, admitted);
        }
        assert!(admitted <= moved_at + 6, "{} entered and {place} stood still: {told}", admitted - moved_at);
        place + 6 <= first
    });
    looks.push(look());
    looks
}

/// The gateway's report on the room.
fn sample(weir: &Weir, started: Instant) -> GatewaySample {
    let (at, room) = (started.elapsed().as_micros() as i64, weir.room());
    let number = |key: &str| room[key].as_u64().unwrap();
    GatewaySample {
        at,
        gateway: 0,
        store_time_ms: number("store_time_ms"),
        admitted: number("admitted"),
        waiting: number("waiting"),
        active_users: number("active_users"),
        new_users_per_minute: room["new_users_per_minute"].as_f64().unwrap(),
        store_away: false,
        limits_given_up: false,
    }
}
