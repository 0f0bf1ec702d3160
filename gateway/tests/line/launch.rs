//! A small launch over real sockets: the rate is used and never exceeded, and the crowd costs those
//! inside nothing.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::float_cmp, reason = "metrics are counts")]

use std::collections::HashSet;
use std::io::{BufReader, Write as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::common::{CLOSED, JSON, ROOMY, Weir, config, head, of, ok, server, until_true};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const STORE_CALLS: &str = r#"weir_store_calls_total{result="ok"}"#;

/// A shop that remembers when each shopper came for the first time.
fn shop() -> (SocketAddr, Arc<Mutex<Vec<Instant>>>) {
    let came: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let known: Arc<Mutex<HashSet<String>>> = Arc::default();
    let arrivals = came.clone();
    let address = server(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(head) = head(&mut reader) {
            if let Some(shopper) = of(&head, "x-shopper") {
                let mut arrivals = arrivals.lock().unwrap();
                if known.lock().unwrap().insert(shopper.to_owned()) {
                    arrivals.push(Instant::now());
                }
            }
            if stream.write_all(&ok("welcome to the shop")).is_err() {
                return;
            }
        }
    });
    (address, came)
}

/// Runs a crowd on this thread.
fn crowd<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The answer to a shopper.
struct QueueInfo {
    inside: bool,
    cookie: Option<String>,
    again: Duration,
}

/// Whether it is an answer of the shop, or of the line.
fn is_well<B>(answer: &http::Response<B>) -> bool {
    answer.headers().get("weir-status").map_or(answer.status() == 200, |told| told == "waiting")
}

/// Shoppers who share HTTP/2 connections.
#[derive(Clone)]
struct Door(Vec<http2::SendRequest<Empty<Bytes>>>);

impl Door {
    async fn open(to: SocketAddr) -> Self {
        let mut connections = Vec::new();
        for _ in 0..8 {
            let stream = TcpStream::connect(to).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            connections.push(sender);
        }
        Self(connections)
    }

    async fn ask(&mut self, shopper: usize, cookie: Option<&str>) -> QueueInfo {
        let mut request = Request::get("http://shop.example/launch/item")
            .header(header::ACCEPT, "application/json")
            .header("x-shopper", shopper);
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let count = self.0.len();
        let sender = &mut self.0[shopper % count];
        sender.ready().await.unwrap();
        let answer = sender.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
        assert!(is_well(&answer), "{answer:?}");
        let text =
            |name| answer.headers().get(name).map(|value: &http::HeaderValue| value.to_str().unwrap().to_owned());
        let cookie = text(header::SET_COOKIE).map(|set| set.split(';').next().unwrap().to_owned());
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let told: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let again = told.map_or(0.0, |told| told["cfWaitingRoom"]["pollAfterSeconds"].as_f64().unwrap());
        QueueInfo { inside: body == "welcome to the shop", cookie, again: Duration::from_secs_f64(again) }
    }
}

/// Joins, and asks again when told to; one who does not come stops after the first answer.
async fn shopper(mut door: Door, number: usize, comes: bool) {
    let mut cookie: Option<String> = None;
    loop {
        let told = door.ask(number, cookie.as_deref()).await;
        if told.inside || !comes {
            return;
        }
        cookie = told.cookie.or(cookie);
        sleep(told.again).await;
    }
}

/// The line at one moment: store time in seconds, passes given, people waiting, and when it was told.
#[derive(Clone, Copy, Debug)]
struct Sample {
    store_time: f64,
    admitted: f64,
    waiting: f64,
    told: Instant,
}

fn sample(weir: &Weir) -> Sample {
    let room = weir.room();
    let number = |field: &str| room[field].as_f64().unwrap();
    let (store_time, admitted, waiting) = (number("store_time_ms") / 1e3, number("admitted"), number("waiting"));
    Sample { store_time, admitted, waiting, told: Instant::now() }
}

/// Samples of a launch of `rate` per second, once its line stands, for `seconds` of store time.
fn launch(rate: f64, no_shows: usize, shoppers: usize, seconds: f64) -> (Vec<Sample>, Vec<Instant>) {
    let (address, came) = shop();
    let room = "[[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch\"\nburst = 10\n";
    let weir = Weir::start(&config(address, &format!("{room}new_users_per_minute = {}\n", rate * 60.0)));
    let at = weir.http;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let people = std::thread::spawn(move || {
        crowd(async {
            let door = Door::open(at).await;
            let mut all = JoinSet::new();
            for number in 0..shoppers {
                // Spread evenly, and the same in every run.
                all.spawn(shopper(door.clone(), number, number * 37 % 100 >= no_shows));
            }
            let _ = stopped.await;
            // A crowd that goes home has met no error.
            while let Some(done) = all.try_join_next() {
                done.unwrap();
            }
        });
    });
    until_true("a line stands", || sample(&weir).waiting > 500.0);
    let begin = sample(&weir).store_time;
    let mut samples = Vec::new();
    while samples.last().is_none_or(|last: &Sample| last.store_time < begin + seconds) {
        samples.push(sample(&weir));
        std::thread::sleep(Duration::from_millis(50));
    }
    stop.send(()).unwrap();
    people.join().unwrap();
    weir.is_well();
    let came = came.lock().unwrap().clone();
    (samples, came)
}

/// The share of the rate that was used after the first seconds.
fn used(rate: f64, samples: &[Sample]) -> f64 {
    let warm = samples.iter().find(|sample| sample.store_time > samples[0].store_time + 5.0).unwrap();
    let last = samples.last().unwrap();
    assert!(last.waiting > 0.0, "the line ran dry: a larger crowd is needed");
    (last.admitted - warm.admitted) / (rate * (last.store_time - warm.store_time))
}

/// By how much the limit was exceeded in the worst window, by the store's own count and time.
fn overshoot(rate: f64, burst: f64, samples: &[Sample]) -> f64 {
    let excess = |a: &Sample, b: &Sample| b.admitted - a.admitted - rate * (b.store_time - a.store_time) - burst;
    let windows = samples.iter().enumerate().flat_map(|(n, a)| samples[n..].iter().map(move |b| excess(a, b)));
    windows.fold(f64::MIN, f64::max)
}

/// The same by what the shop saw. Shoppers come there later than they are let in, by a delay that
/// varies: so a window begins when the store had given no more passes than shoppers had come before.
fn overshoot_at_the_shop(rate: f64, burst: f64, samples: &[Sample], came: &[Instant]) -> f64 {
    let origin = samples[0].told;
    let since = |moment: Instant| moment.saturating_duration_since(origin).as_secs_f64();
    // Store time of the test's clock: of the sample that was told with the least delay.
    let offset = samples.iter().map(|s| s.store_time - since(s.told)).fold(f64::MIN, f64::max);
    let excess = |(n, m): (usize, usize)| {
        let begin = samples.iter().rev().find(|s| s.admitted <= n as f64)?.store_time;
        Some((m + 1 - n) as f64 - rate * (since(came[m]) + offset - begin) - burst)
    };
    let seen = came.iter().position(|&moment| moment > origin).unwrap()..came.len();
    let windows = seen.clone().flat_map(|n| (n..seen.end).map(move |m| (n, m)));
    windows.filter_map(excess).fold(f64::MIN, f64::max)
}

fn check(no_shows: usize, shoppers: usize, at_least: f64) {
    let (rate, burst) = (100.0, 10.0);
    let (samples, came) = launch(rate, no_shows, shoppers, 15.0);
    let used = used(rate, &samples);
    let (store, shop) = (overshoot(rate, burst, &samples), overshoot_at_the_shop(rate, burst, &samples, &came));
    println!("{no_shows} % no-shows: {used:.3} of the rate used; worst window {store:.1} (store), {shop:.1} (shop)");
    assert!(store <= 0.0, "the store gave {store} too many in some window");
    // Two are 20 ms between the clocks.
    assert!(shop <= 2.0, "the shop saw {shop} too many in some window");
    assert!(used >= at_least, "only {used:.3} of the rate was used");
}

#[test]
fn with_two_of_five_absent_the_rate_is_used_and_never_exceeded() {
    check(40, 3_500, 0.97);
}

#[test]
fn with_seven_of_ten_absent_the_rate_is_used_and_never_exceeded() {
    check(70, 7_500, 0.93);
}

/// A shopper with a connection of their own who asks again and again, until told to stop.
async fn poll(at: SocketAddr, polls: Arc<AtomicU64>, stop: CancellationToken) {
    let stream = TcpStream::connect(at).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut cookie = String::new();
    loop {
        let request = Request::get("/launch/item")
            .header(header::HOST, "shop.example")
            .header(header::ACCEPT, "application/json")
            .header(header::COOKIE, &cookie);
        sender.ready().await.unwrap();
        let answer = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        assert!(is_well(&answer), "never an error for the waiting: {answer:?}");
        if let Some(set) = answer.headers().get(header::SET_COOKIE) {
            set.to_str().unwrap().split(';').next().unwrap().clone_into(&mut cookie);
        }
        answer.into_body().collect().await.unwrap();
        polls.fetch_add(1, Ordering::Relaxed);
        tokio::select! { () = stop.cancelled() => return, () = sleep(Duration::from_millis(500)) => {} }
    }
}

#[test]
fn while_a_crowd_polls_those_inside_are_served_without_the_store_and_none_is_refused() {
    let (address, _) = shop();
    let text = |room| config(address, room).replace("workers = 2", "workers = 2\nwaiting_idle_timeout = \"60s\"");
    let weir = Weir::start(&text(ROOMY));
    until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= 100);
    let passes: Vec<String> = (0..20).map(|_| weir.get("/launch/item", &[JSON]).cookie().unwrap()).collect();
    std::fs::write(weir.config_file(), text(CLOSED)).unwrap();
    until_true("nobody else enters", || weir.room()["new_users_per_minute"] == 600);

    let (stop, polls) = (CancellationToken::new(), Arc::<AtomicU64>::default());
    let (at, stopped, counted) = (weir.http, stop.clone(), polls.clone());
    let people = std::thread::spawn(move || {
        crowd(async move {
            let mut all = JoinSet::new();
            for _ in 0..2_000 {
                all.spawn(poll(at, counted.clone(), stopped.clone()));
            }
            all.join_all().await;
        });
    });
    until_true("all of them wait", || weir.metric(r#"weir_requests_total{room="launch",verdict="queued"}"#) == 2_000.0);

    let before = (weir.metric(STORE_CALLS), sample(&weir), polls.load(Ordering::Relaxed));
    let polled = || polls.load(Ordering::Relaxed) - before.2;
    let mut requests = 0;
    while requests < 2_000 || polled() < 6_000 {
        let answer = weir.get("/launch/item", &[JSON, ("Cookie", &passes[requests % passes.len()])]);
        assert!(answer.is_shop(), "{answer:?}");
        requests += 1;
    }
    let (after, polled) = ((weir.metric(STORE_CALLS), sample(&weir)), polled());
    stop.cancel();
    people.join().unwrap();
    let calls = after.0 - before.0;
    let ticks = (after.1.store_time - before.1.store_time) * 10.0;
    println!("{requests} requests of those inside, {polled} polls, {calls} store calls in {ticks:.0} ticks");
    assert_eq!(weir.metric(r#"weir_requests_total{room="launch",verdict="enter"}"#), requests as f64);
    assert_eq!(weir.metric(r#"weir_requests_total{room="launch",verdict="queued"}"#), 2_000.0);
    assert_eq!(weir.metric(r#"weir_upstream_requests_total{upstream="shop",result="busy"}"#), 0.0);
    assert!(calls <= ticks + 2.0, "{calls} store calls in {ticks} ticks");
    weir.is_well();
}

#[test]
fn a_storm_of_joins_is_few_store_calls() {
    let (address, _) = shop();
    let weir = Weir::start(&config(address, CLOSED));
    let before = (weir.metric(STORE_CALLS), sample(&weir));
    let joins = 5_000;
    crowd(async {
        let door = Door::open(weir.http).await;
        let mut all = JoinSet::new();
        for number in 0..joins {
            all.spawn(shopper(door.clone(), number, false));
        }
        all.join_all().await;
    });
    let after = (weir.metric(STORE_CALLS), sample(&weir));
    assert_eq!(weir.room()["next"], joins);
    let calls = after.0 - before.0;
    println!("{joins} joins, {calls} store calls");
    assert!(calls * 10.0 <= joins as f64, "{calls} store calls for {joins} joins");
    weir.is_well();
}
