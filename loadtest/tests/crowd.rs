//! The crowd over real sockets: against the shop, and against a tiny waiting room.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use demo_shop::database::Tuning;
use demo_shop::inventory::Inventory;
use demo_shop::log::Log;
use demo_shop::model::Model;
use demo_shop::{Shop, Terms, pages, payment};
use evidence::{End, Evidence, Page};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use launch_model::arrivals::{Arrivals, Phase, Spacing};
use launch_model::scenario::Scenario;
use loadtest::crowd::{self, Part, Sending, Watch};
use loadtest::wire::Target;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time;
use tokio_util::sync::CancellationToken;

const POLL: Duration = Duration::from_millis(200);

/// A waiting room in forty lines: a number in a cookie, called at `rate` per second.
struct Room {
    opened: Instant,
    rate: f64,
    next: AtomicU64,
    not_before: Mutex<Vec<Option<Instant>>>,
    too_early: AtomicU64,
    broken: AtomicU64,
}

impl Room {
    fn open(rate: f64) -> (Arc<Self>, SocketAddr) {
        let room = Arc::new(Self {
            opened: Instant::now(),
            rate,
            next: AtomicU64::new(0),
            not_before: Mutex::default(),
            too_early: AtomicU64::new(0),
            broken: AtomicU64::new(0),
        });
        let (listener, address) = listen();
        let serving = Arc::clone(&room);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let room = Arc::clone(&serving);
                let service = service_fn(move |request| {
                    let answer = room.answer(&request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        (room, address)
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let cookie = request.headers().get("cookie").and_then(|c| c.to_str().ok()).unwrap_or_default();
        let number = cookie.strip_prefix("weir_launch=").and_then(|n| n.parse::<u64>().ok());
        let json = request.headers()["accept"] == "application/json";
        if request.method() == Method::POST {
            // Only for visitors who were called; orders are numbered by tickets.
            let page = match (number, request.uri().path()) {
                (Some(number), "/launch/order") if self.is_called(number) => pages::order(number),
                (Some(number), "/launch/payment") if self.is_called(number) => pages::receipt(number),
                _ => {
                    self.broken.fetch_add(1, Relaxed);
                    String::new()
                }
            };
            return Response::new(page.into());
        }
        let number = number.unwrap_or_else(|| {
            self.broken.fetch_add(u64::from(json), Relaxed);
            let mut known = self.not_before.lock().unwrap();
            known.push(None);
            self.next.fetch_add(1, Relaxed)
        });
        self.note(number);
        let response = Response::builder().header("set-cookie", format!("weir_launch={number}; Path=/; HttpOnly"));
        if self.is_called(number) {
            return response.body(pages::item().into()).unwrap();
        }
        let body = if json {
            r#"{"cfWaitingRoom":{"inWaitingRoom":true,"pollAfterSeconds":0.2}}"#
        } else {
            "<html>please wait</html>"
        };
        response.header("retry-after", if json { "1" } else { "0" }).body(body.into()).unwrap()
    }

    fn is_called(&self, number: u64) -> bool {
        number as f64 <= self.opened.elapsed().as_secs_f64() * self.rate
    }

    /// Counts polls that come sooner than they were told to. The first page says "at once".
    fn note(&self, number: u64) {
        let now = Instant::now();
        let not_before = &mut self.not_before.lock().unwrap()[number as usize];
        self.too_early.fetch_add(u64::from(not_before.is_some_and(|then| now < then)), Relaxed);
        *not_before = Some(if not_before.is_some() { now + POLL } else { now });
    }
}

/// A busy machine accepts late: the usual line for connections is too short for a whole crowd.
fn listen() -> (TcpListener, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(4_096).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A crowd of hurried people.
fn scenario(closing: &str, shoppers: &str) -> Scenario {
    let text = format!(
        "name = 'test'\nseed = 5\nclosing = '{closing}'\ngrace = '2s'\narrivals = []\nshoppers = {{ {shoppers} }}\n\
         [room]\nnew_users_per_minute = 60\n\
         [habits]\nthink = ['20ms', '50ms']\nagain = ['20ms', '50ms']\npatience = '5s'\n"
    );
    toml::from_str(&text).unwrap()
}

async fn send(to: SocketAddr, scenario: Scenario, phase: Phase) -> Evidence {
    let arrivals = Arrivals::new([phase], Spacing::Poisson, scenario.seed);
    let targets = vec![Target::plain(to, to.to_string())];
    let sending =
        Sending { scenario: Arc::new(scenario), arrivals, targets, part: Part::ALL, start: time::Instant::now() };
    let watch = Watch::default();
    let evidence = crowd::send(sending, watch.clone(), CancellationToken::new()).await;
    let progress = watch.progress();
    let all = evidence.visits.len() as u64;
    assert_eq!((progress.arrived, progress.ended, progress.waiting, progress.inside), (all, all, 0, 0));
    assert_eq!((evidence.generators[0].dropped_arrivals, evidence.generators[0].local_failures), (0, 0));
    evidence
}

fn ended(evidence: &Evidence, end: End) -> usize {
    evidence.visits.iter().filter(|visit| visit.end == end).count()
}

#[tokio::test]
async fn a_crowd_waits_as_told_and_buys_when_it_is_let_in() {
    let (room, address) = Room::open(100.0);
    let phase = Phase::flat(1000.0, Duration::from_millis(200));
    let seen = send(address, scenario("10s", "patient = 0.8, no_show = 0.2"), phase).await;
    let (all, bought) = (seen.visits.len(), ended(&seen, End::Bought));
    assert!(ended(&seen, End::NoShow) > 20, "a fifth leaves at the sight of the line");
    assert_eq!(bought, all - ended(&seen, End::NoShow), "everybody else buys");
    assert!(seen.visits.iter().all(|visit| visit.entered.is_some() == (visit.end == End::Bought)));
    assert!(seen.visits.iter().all(|visit| visit.errors_outside + visit.unanswered_outside == 0));
    assert_eq!(room.next.load(Relaxed), all as u64, "nobody takes two numbers");
    assert_eq!((room.too_early.load(Relaxed), room.broken.load(Relaxed)), (0, 0));
    let of_second = |count: fn(&evidence::Second) -> u64| seen.timeline.iter().map(count).sum::<u64>();
    assert_eq!(of_second(|second| second.arrived), all as u64);
    assert_eq!(of_second(|second| second.bought), bought as u64);
    assert_eq!(of_second(|second| second.entered), bought as u64);
    assert_eq!(of_second(|second| second.failed), 0);
    let requests: u64 = seen.visits.iter().map(|visit| u64::from(visit.requests)).sum();
    assert_eq!(of_second(|second| second.requests), requests);
    assert!(requests > 5 * bought as u64, "they poll");
}

/// A shop behind a gate: each form goes through when it comes for the third time, and is told to wait before; its page asks
/// for its turn, and for the second time it has come.
fn open_gate() -> (Arc<Mutex<HashMap<String, u64>>>, SocketAddr) {
    let (listener, address) = listen();
    let forms = Arc::new(Mutex::new(HashMap::new()));
    let seen = Arc::clone(&forms);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            let service = service_fn(move |request| {
                let seen = Arc::clone(&seen);
                async move { Ok::<_, Infallible>(at_gate(request, &seen).await) }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (forms, address)
}

async fn at_gate(request: Request<Incoming>, seen: &Mutex<HashMap<String, u64>>) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let form = request.into_body().collect().await.unwrap().to_bytes();
    let html = Response::builder().header("content-type", "text/html");
    if let Some(at) = path.strip_prefix("/.weir/gate/launch") {
        let mut seen = seen.lock().unwrap();
        let asked = seen.entry(format!("turn {at}")).or_default();
        *asked += 1;
        let go = asked.is_multiple_of(2);
        return Response::new(format!(r#"{{"go":{go},"ahead":3,"pollAfterSeconds":0.1}}"#).into());
    }
    if form.is_empty() {
        return html.body(pages::item().into()).unwrap();
    }
    let (times, number) = {
        let mut seen = seen.lock().unwrap();
        let number = seen.len() as u64 + 1;
        let times = seen.entry(format!("{path} {}", String::from_utf8_lossy(&form))).or_default();
        *times += 1;
        (*times, number)
    };
    if times < 3 {
        // The first time a page that asks for the turn, then one that does not.
        let says = if times == 1 { "held" } else { "busy" };
        let wait = html.status(429).header("retry-after", "0").header("weir-status", says);
        return wait.body(r#"<main id="weir" data-room="launch">your form waits"#.into()).unwrap();
    }
    html.body(if path == "/launch/order" { pages::order(number) } else { pages::receipt(number) }.into()).unwrap()
}

#[tokio::test]
async fn a_form_that_is_told_to_wait_is_sent_again_as_it_was_until_it_goes_through() {
    let (forms, address) = open_gate();
    let mut scenario = scenario("5s", "patient = 1");
    scenario.habits.resends = true;
    let seen = send(address, scenario, Phase::flat(100.0, Duration::from_millis(200))).await;
    assert!(ended(&seen, End::Bought) > 5 && ended(&seen, End::Bought) == seen.visits.len());
    let forms = forms.lock().unwrap();
    let (turns, forms): (Vec<_>, Vec<_>) = forms.iter().partition(|(what, _)| what.starts_with("turn"));
    assert_eq!(forms.len(), 2 * seen.visits.len(), "an order and a payment of each, by its key");
    assert!(forms.iter().all(|(_, times)| **times == 3), "{forms:?}");
    let paths: HashSet<&str> = turns.iter().map(|(what, _)| what.as_str()).collect();
    assert_eq!(paths, HashSet::from(["turn /launch/order", "turn /launch/payment"]));
    assert!(turns.iter().all(|(_, asked)| **asked >= seen.visits.len() as u64), "{turns:?}");
    let asked: Vec<_> = seen.visits.iter().flat_map(|visit| &visit.asked).collect();
    assert_eq!(asked.iter().filter(|asked| asked.status == Some(429)).count(), 4 * seen.visits.len());
    assert!(asked.iter().all(|asked| !asked.white) && seen.visits.iter().all(|visit| !visit.thrown_out));
}

#[tokio::test]
async fn a_payment_service_that_stalls_is_seen_as_white_pages_where_nothing_stands_before_the_shop() {
    let tuning = Tuning { service_time: Duration::from_millis(1), ..Tuning::default() };
    let terms = Terms {
        payment: Some(payment::Tuning {
            pool: 1,
            latency: Duration::from_millis(300),
            patience: Duration::from_millis(600),
        }),
        ..Terms::default()
    };
    let shop = Shop::on_terms(terms, Inventory::Model(Model::new(tuning, 1_000)), Log::default());
    let (listener, address) = listen();
    tokio::spawn(Arc::clone(&shop).serve(listener, CancellationToken::new()));
    let seen = send(address, scenario("3s", "patient = 1"), Phase::flat(200.0, Duration::from_millis(200))).await;
    let white = seen.visits.iter().flat_map(|visit| &visit.asked).filter(|asked| asked.white);
    assert!(white.clone().count() > 10 && white.clone().all(|asked| asked.page == Page::Payment));
    assert!(ended(&seen, End::OrderFailed) > 5 && ended(&seen, End::Bought) > 0);
    assert_eq!(shop.report().charged_twice, 0);
}

#[tokio::test]
async fn at_closing_time_the_line_is_left_where_it_stands() {
    let (_room, address) = Room::open(20.0);
    let phase = Phase::flat(1000.0, Duration::from_millis(200));
    let seen = send(address, scenario("1s", "patient = 1"), phase).await;
    assert!(ended(&seen, End::Outside) > 50 && ended(&seen, End::Bought) > 5);
    assert_eq!(ended(&seen, End::Unfinished), 0, "those inside finish");
}

#[tokio::test]
async fn within_capacity_the_shop_serves_everybody_over_real_sockets() {
    let (shop, address) = open_shop(Tuning { service_time: Duration::from_millis(10), ..Tuning::default() });
    let phase = Phase::flat(shop.capacity() * 0.3, Duration::from_secs(1));
    let seen = send(address, scenario("2s", "patient = 1"), phase).await;
    let all = seen.visits.len() as u64;
    assert!(all > 50);
    assert_eq!(ended(&seen, End::Bought) as u64, all);
    let report = shop.report();
    assert_eq!((report.orders_ok, report.orders_failed, report.pages_failed), (all, 0, 0));
    assert_eq!(report.new_shoppers, all, "the shop's cookie tells people from requests");
    assert_eq!((report.by_weir, report.in_flight), (0, 0));
    assert_eq!(report.latency.count, all * 3);
}

#[tokio::test]
async fn overrun_the_shop_sells_far_less_than_it_could() {
    let tuning = Tuning {
        slots: 4,
        service_time: Duration::from_millis(25),
        patience: Duration::from_millis(300),
        statement_timeout: Duration::from_millis(200),
        recovery: Duration::from_millis(200),
        ..Tuning::default()
    };
    let (shop, address) = open_shop(tuning);
    let phase = Phase::flat(shop.capacity() * 20.0, Duration::from_secs(2));
    let seen = send(address, scenario("4s", "patient = 1"), phase).await;
    let could = shop.capacity() * 2.0;
    assert!(ended(&seen, End::Bought) as f64 <= could / 2.0, "{} of {could}", ended(&seen, End::Bought));
    // On a slow machine more of them still knock when the doors close.
    let not_let_in = ended(&seen, End::TurnedAway) + ended(&seen, End::Outside);
    assert!(ended(&seen, End::OrderFailed) > 0 && not_let_in > seen.visits.len() / 2);
    assert!(shop.report().orders_failed > 0);
}

#[tokio::test]
async fn a_shop_that_is_not_there_turns_everybody_away() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let phase = Phase::flat(100.0, Duration::from_millis(200));
    let seen = send(nobody, scenario("5s", "patient = 1"), phase).await;
    assert_eq!(ended(&seen, End::TurnedAway), seen.visits.len());
    assert!(seen.visits.iter().all(|visit| visit.unanswered_outside == 3), "each tries three times");
}

fn open_shop(tuning: Tuning) -> (Arc<Shop>, SocketAddr) {
    let (listener, address) = listen();
    let shop = Shop::new(tuning);
    tokio::spawn(Arc::clone(&shop).serve(listener, CancellationToken::new()));
    (shop, address)
}
