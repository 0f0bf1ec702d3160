//! People and cheats at a server that records all requests and checks nothing: what the crowd says it sent is what
//! arrived, from where it says, and when it was late it says so.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use demo_shop::pages;
use evidence::stats::Quantiles;
use evidence::{End, Evidence, Visit};
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use launch_model::arrivals::{Arrivals, Phase, Spacing};
use launch_model::persona::Persona;
use launch_model::scenario::Scenario;
use launch_model::token::{Kind, Token};
use loadtest::crowd::{self, Part, Sending, Watch};
use loadtest::wire::Target;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time;
use tokio_util::sync::CancellationToken;

/// A request that came.
#[derive(Debug, Clone)]
struct Came {
    path: String,
    headers: HeaderMap,
    peer: SocketAddr,
    proxy: Vec<u8>,
}

impl Came {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A server's behaviour.
#[derive(Debug, Clone, Copy, Default)]
struct Manner {
    /// Polls of each visitor before they are let in.
    waits: usize,
    /// Bytes before each connection.
    prefix: usize,
    /// Bytes of a page.
    page: usize,
}

type Arrived = Arc<Mutex<Vec<Came>>>;

/// Serves every client after as many polls as its behaviour says; a ticket becomes a pass.
fn open(manner: Manner) -> (SocketAddr, Arrived) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener: TcpListener = socket.listen(4_096).unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arrived::default();
    let keeps = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, peer)) = listener.accept().await {
            let seen = Arc::clone(&keeps);
            tokio::spawn(async move {
                let mut proxy = vec![0; manner.prefix];
                stream.read_exact(&mut proxy).await?;
                let service = service_fn(move |request: Request<Incoming>| {
                    let answer = answer(&request, manner, &seen, (peer, proxy.clone()));
                    async move { Ok::<_, Infallible>(answer) }
                });
                let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                served.await.map_err(std::io::Error::other)
            });
        }
    });
    (address, seen)
}

fn token(kind: u8, number: u64) -> String {
    let mut bytes = [7; 70];
    bytes[0] = kind;
    bytes[18..26].copy_from_slice(&number.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn answer(
    request: &Request<Incoming>,
    manner: Manner,
    seen: &Arrived,
    (peer, proxy): (SocketAddr, Vec<u8>),
) -> Response<Full<Bytes>> {
    let (path, headers) = (request.uri().path().to_owned(), request.headers().clone());
    let mut seen = seen.lock().unwrap();
    seen.push(Came { path: path.clone(), headers, peer, proxy });
    let count = seen.len() as u64;
    let cookie = request.headers().get("cookie").map_or("", |value| value.to_str().unwrap());
    let held = cookie.split("; ").find_map(|pair| Token::read(pair.split_once('=')?.1));
    // Each answer from the line hands out a new ticket, whose number counts how often it was told.
    let told = held.map_or(0, |token| token.number as usize);
    let response = Response::builder();
    if path == "/launch/payment" {
        return response.header("set-cookie", "weir_launch=; Max-Age=0").body(pages::receipt(count).into()).unwrap();
    }
    if path == "/launch/order" {
        return response.body(pages::order(count).into()).unwrap();
    }
    let is_pass = held.is_some_and(|token| token.kind == Kind::Pass);
    let (kind, number) = if told < manner.waits && !is_pass { (1, told + 1) } else { (2, told) };
    let response = response.header("set-cookie", format!("weir_launch={}; Path=/", token(kind, number as u64)));
    if kind == 1 {
        return response.header("retry-after", "0").body("<html>wait".into()).unwrap();
    }
    response.body(Bytes::from(pages::item() + &" ".repeat(manner.page)).into()).unwrap()
}

fn scenario(more: &str) -> Scenario {
    let text = format!(
        "name = 'test'\nseed = 3\nclosing = '4s'\ngrace = '12s'\narrivals = []\n{more}\n\
         [room]\nnew_users_per_minute = 60\nsession_duration = '1s'\n\
         [habits]\nthink = ['10ms', '30ms']\nbears = ['1s', '2s']\naway = ['200ms', '400ms']\n"
    );
    toml::from_str(&text).unwrap()
}

async fn send(to: SocketAddr, scenario: Scenario, phase: Phase, part: Part) -> Evidence {
    let arrivals = Arrivals::new([phase], Spacing::Poisson, scenario.seed);
    let targets = vec![Target::plain(to, "shop.test")];
    let sending = Sending { scenario: Arc::new(scenario), arrivals, targets, part, start: time::Instant::now() };
    crowd::send(sending, Watch::default(), CancellationToken::new()).await
}

fn ids(seen: &Arrived) -> HashMap<String, Came> {
    let seen = seen.lock().unwrap();
    let ids: HashMap<_, _> = seen.iter().map(|came| (came.header("x-request-id").to_owned(), came.clone())).collect();
    assert_eq!(ids.len(), seen.len(), "every request has an id of its own");
    ids
}

async fn one(persona: &str, manner: Manner) -> (Vec<Visit>, HashMap<String, Came>) {
    let (address, seen) = open(manner);
    let shoppers = scenario(&format!("shoppers = {{ {persona} = 1 }}"));
    let evidence = send(address, shoppers, Phase::flat(20.0, Duration::from_millis(500)), Part::ALL).await;
    assert!(evidence.visits.len() > 3);
    (evidence.visits, ids(&seen))
}

/// What the attacks of these people showed for a cookie; every one of them arrived.
fn shown(visits: &[Visit], came: &HashMap<String, Came>) -> Vec<String> {
    let attacks = visits.iter().flat_map(|visit| visit.asked.iter().filter(|asked| asked.attack));
    attacks.map(|asked| came[&asked.id].header("cookie").to_owned()).collect()
}

const LINE: Manner = Manner { waits: 3, prefix: 0, page: 0 };
const NO_LINE: Manner = Manner { waits: 0, prefix: 0, page: 0 };

#[tokio::test]
async fn forged_and_altered_tokens_arrive_as_cookies_of_the_room() {
    for persona in ["forges", "alters"] {
        let (visits, came) = one(persona, LINE).await;
        let shown = shown(&visits, &came);
        assert!(shown.len() >= 14 * visits.len(), "{persona}: {}", shown.len());
        assert!(shown.iter().all(|cookie| cookie.starts_with("weir_launch=")), "{persona}: {shown:?}");
        let tickets: HashSet<_> = (0..5).map(|number| format!("weir_launch={}", token(1, number))).collect();
        assert!(shown.iter().all(|cookie| !tickets.contains(cookie)), "{persona}: nothing that was given");
    }
}

#[tokio::test]
async fn who_skips_the_line_sends_many_spellings_and_no_cookie_at_first() {
    let (visits, came) = one("skips_line", LINE).await;
    let first = |visit: &Visit| visit.asked.iter().filter(|asked| asked.attack).take(10).cloned().collect::<Vec<_>>();
    for asked in visits.iter().flat_map(first) {
        assert_eq!(came[&asked.id].header("cookie"), "", "{asked:?}");
    }
    let paths: HashSet<_> = came.values().map(|came| came.path.as_str()).collect();
    for path in ["/launch/order", "/launch//order", "/launch/%6frder", "/x/../launch/order", "/launch/./order"] {
        assert!(paths.contains(path), "{path} of {paths:?}");
    }
}

#[tokio::test]
async fn a_pass_comes_again_after_it_was_given_back_or_has_ended() {
    for persona in ["replays", "expired"] {
        let (visits, came) = one(persona, NO_LINE).await;
        let shown = shown(&visits, &came);
        assert_eq!(shown.len(), 2 * visits.len(), "{persona}");
        assert!(shown.iter().all(|cookie| *cookie == format!("weir_launch={}", token(2, 0))), "{persona}: {shown:?}");
        for visit in &visits {
            let entered = visit.entered.unwrap();
            let attacks = visit.asked.iter().filter(|asked| asked.attack);
            assert!(attacks.clone().all(|asked| asked.answered - entered > 3_000_000), "{persona}: {visit:?}");
        }
    }
}

#[tokio::test]
async fn accomplices_show_the_same_pass_from_other_addresses() {
    let (visits, came) = one("shares", NO_LINE).await;
    for visit in &visits {
        let peers: HashSet<_> = visit.asked.iter().map(|asked| came[&asked.id].peer.ip()).collect();
        assert_eq!((peers.len(), visit.end), (9, End::Looked));
        assert!(visit.asked.iter().all(|asked| !asked.attack));
    }
}

#[tokio::test]
async fn a_proxy_header_names_each_visitor_before_anything_else() {
    let (address, seen) = open(Manner { prefix: 28, ..NO_LINE });
    let wire = scenario("[wire]\naddress = 'proxy_protocol'");
    let evidence = send(address, wire, Phase::flat(20.0, Duration::from_secs(1)), Part::ALL).await;
    assert!(evidence.visits.iter().all(|visit| visit.end == End::Bought));
    let seen = seen.lock().unwrap();
    let sources: HashSet<_> = seen.iter().map(|came| came.proxy[16..20].to_vec()).collect();
    assert_eq!(sources.len(), evidence.visits.len());
    assert!(seen.iter().all(|came| came.proxy.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x12")));
}

#[tokio::test]
async fn a_slow_reader_takes_their_time_and_reads_it_all() {
    let (address, _) = open(Manner { page: 60_000, ..NO_LINE });
    let phase = Phase::flat(8.0, Duration::from_secs(1));
    let evidence = send(address, scenario("shoppers = { slow_reader = 1 }"), phase, Part::ALL).await;
    for visit in &evidence.visits {
        assert_eq!(visit.end, End::Bought);
        assert!(visit.entered.unwrap() - visit.due > 500_000, "a long page in small pieces: {visit:?}");
    }
}

#[tokio::test]
async fn the_same_seed_sends_the_same_people_at_the_same_instants_in_whatever_parts() {
    let (address, _) = open(LINE);
    let everybody: Vec<_> = Persona::ALL.iter().map(|p| serde_json::to_string(p).unwrap() + " = 1").collect();
    let text = format!("shoppers = {{ {} }}", everybody.join(", "));
    let phase = Phase::flat(60.0, Duration::from_millis(700));
    let people = async |part| {
        let evidence = send(address, scenario(&text), phase, part).await;
        evidence.visits.iter().map(|visit| (visit.index, visit.persona, visit.due)).collect::<Vec<_>>()
    };
    let (all, again) = tokio::join!(people(Part::ALL), people(Part::ALL));
    assert_eq!(all, again);
    let (even, odd) = tokio::join!(people(Part { index: 0, of: 2 }), people(Part { index: 1, of: 2 }));
    let mut both = [even, odd].concat();
    both.sort_unstable();
    assert_eq!(both, all);
}

#[tokio::test]
async fn a_generator_that_was_held_up_says_so_and_counts_latency_from_when_it_should_have_asked() {
    let (address, _) = open(NO_LINE);
    tokio::spawn(async {
        time::sleep(Duration::from_millis(300)).await;
        // Nothing else runs on this thread meanwhile.
        std::thread::sleep(Duration::from_millis(600));
    });
    let evidence = send(address, scenario(""), Phase::flat(50.0, Duration::from_millis(1_500)), Part::ALL).await;
    let lag = Quantiles::of(evidence.timeline.iter().map(|second| &second.lag));
    assert!(lag.max_ms > 500.0, "{lag:?}");
    let outside = Quantiles::of(evidence.timeline.iter().map(|second| &second.outside_latency));
    assert!(outside.max_ms > 500.0, "{outside:?}");
    let late = |visit: &&Visit| visit.entered.unwrap() - visit.due > 300_000;
    assert!(evidence.visits.iter().filter(late).count() > 10, "those who were due meanwhile");
    assert_eq!(evidence.generators[0].dropped_arrivals, 0, "late, but sent");
}

#[tokio::test]
async fn a_crowd_that_is_stopped_tells_what_it_saw_and_whom_it_did_not_send() {
    let (address, _) = open(Manner { waits: 1_000, ..NO_LINE });
    let stop = CancellationToken::new();
    let arrivals = Arrivals::new([Phase::flat(50.0, Duration::from_secs(3))], Spacing::Even, 1);
    let targets = vec![Target::plain(address, "shop.test")];
    let sending =
        Sending { scenario: Arc::new(scenario("")), arrivals, targets, part: Part::ALL, start: time::Instant::now() };
    let watch = Watch::default();
    let sent = tokio::spawn(crowd::send(sending, watch.clone(), stop.clone()));
    while watch.progress().waiting < 20 {
        time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    let evidence = sent.await.unwrap();
    assert!(evidence.visits.len() < 150 && evidence.visits.iter().all(|visit| visit.end == End::Outside));
    let progress = watch.progress();
    assert_eq!((progress.waiting, progress.ended), (0, evidence.visits.len() as u64));
}
