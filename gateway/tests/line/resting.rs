//! A shop that dies and comes back under a line: meanwhile nothing is spent, and no shopper loses a turn.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::line::{self, last_tickets, pass_id, tickets};
use crate::common::redis::RedisServer;
use crate::common::{Answer, JSON, PAGE, Shop, Weir, answering, config, free_address, ok, until, until_true};
use serde_json::Value;

/// A shop in a process of its own.
const PROGRAM: &str = r#"
import http.server, sys
class Shop(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        head = f"{self.requestline}\r\n{self.headers}"
        body = (head if self.path.endswith("headers") else "welcome to the shop").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Shop)
print("open", flush=True)
server.serve_forever()
"#;

struct ShopProcess {
    address: SocketAddr,
    process: Child,
}

impl ShopProcess {
    fn start(address: SocketAddr) -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", PROGRAM, &address.port().to_string()]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said.trim(), "open");
        Self { address, process }
    }

    fn kill(mut self) -> SocketAddr {
        self.end();
        self.address
    }

    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for ShopProcess {
    fn drop(&mut self) {
        self.end();
    }
}

/// As a shop with an error of its own.
fn failure() -> Vec<u8> {
    b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_vec()
}

/// Ten enter in a second, and seats are counted.
fn room() -> String {
    line::room(600) + "total_active_users = 1000\n"
}

/// A shopper inside: their cookie.
fn inside(weir: &Weir) -> String {
    until("somebody is inside", || {
        let answer = weir.get("/launch/item", &[JSON]);
        answer.is_shop().then(|| answer.cookie().unwrap())
    })
}

/// The line's counters, and how far it is.
fn spent(weir: &Weir) -> [Value; 4] {
    let room = weir.room();
    ["admitted", "active_users", "no_shows", "serving"].map(|what| room[what].clone())
}

/// The gateway learns from the requests of a shopper inside that the shop is gone.
fn notices(weir: &Weir, inside: &str) {
    assert_eq!(weir.get("/launch/item", &[PAGE, ("Cookie", inside)]).status, 502);
    until_true("the line stands", || weir.room()["shop_rests"] == true);
}

fn is_told_to_wait(answer: &Answer) {
    assert!(answer.is_line() && answer.waiting()["shopResting"] == true, "{answer:?}");
    assert_eq!(answer.waiting()["waitTimeKnown"], false);
}

#[test]
fn a_line_stands_while_its_shop_is_dead_and_goes_on_slowly_when_it_is_back() {
    let shop = ShopProcess::start(free_address());
    let weir = Weir::start(&config(shop.address, &room()));
    let holder = inside(&weir);
    let waiting = tickets(&[&weir], 12);
    let gone = shop.kill();
    notices(&weir, &holder);
    let before = spent(&weir);
    // Some of them are called by now.
    for (number, cookie) in &waiting {
        let answer = weir.get("/launch/item", &[JSON, ("Cookie", cookie)]);
        is_told_to_wait(&answer);
        assert_eq!(answer.ticket(), *number);
    }
    let last = weir.room()["next"].as_u64().unwrap();
    let newcomers: Vec<Answer> = (0..20).map(|_| weir.get("/launch/item", &[JSON])).collect();
    newcomers.iter().for_each(is_told_to_wait);
    assert_eq!(weir.room()["next"], last + 20, "each of them has a place");
    for (language, says) in [("ko", "숨을 고르고"), ("en", "catching its breath")] {
        let page = weir.get("/launch/item", &[PAGE, ("Accept-Language", language), ("Cookie", &waiting[0].1)]);
        assert!(page.body.contains(says) && page.body.contains("data-state=\"resting\""), "{page:?}");
    }
    assert_eq!(weir.get("/.weir/status/launch", &[]).json()["resting"], true);
    let began = weir.room()["store_time_ms"].as_u64().unwrap();
    until_true("it stood for a while", || weir.room()["store_time_ms"].as_u64().unwrap() > began + 2_500);
    assert_eq!(spent(&weir), before, "no token, no seat, and nobody was called in vain");
    assert_eq!(weir.metric(r#"weir_room_shop_rests{room="launch"}"#), 1.0);

    let back = weir.room()["store_time_ms"].as_u64().unwrap();
    let _shop = ShopProcess::start(gone);
    let admitted = |room: &Value| room["admitted"].as_u64().unwrap();
    let given = admitted(&weir.room());
    until("the first ones are in, at an eighth of the rate", || {
        let claims: Vec<bool> = std::thread::scope(|scope| {
            let ask = |cookie| weir.get("/launch/item", &[JSON, ("Cookie", cookie)]).is_shop();
            let tabs: Vec<_> = waiting.iter().map(|(_, cookie)| scope.spawn(move || ask(cookie))).collect();
            tabs.into_iter().map(|tab| tab.join().unwrap()).collect()
        });
        let room = weir.room();
        let seconds = (room["store_time_ms"].as_u64().unwrap() - back) as f64 / 1e3;
        let new = (admitted(&room) - given) as f64;
        assert!(seconds > 5.0 || new <= 1.25 * seconds + 2.0, "{new} in {seconds} s");
        claims.contains(&true).then_some(())
    });
    assert_eq!(weir.room()["shop_rests"], false);
    pass_id(&weir, &waiting[0].1);
    weir.is_well();
}

#[test]
fn on_one_store_the_line_stands_only_where_no_gateway_reaches_the_shop() {
    let (redis, shop, other) = (RedisServer::start(), ShopProcess::start(free_address()), Shop::open());
    let (a, b) =
        (line::gateway(redis.address, shop.address, &room()), line::gateway(redis.address, other.address, &room()));
    let holder = inside(&a);
    let waiting = tickets(&[&a, &b], 10);
    let gone = shop.kill();
    notices(&a, &holder);
    let given = a.metric(r#"weir_requests_total{room="launch",verdict="claim"}"#);
    let newcomers: Vec<Answer> = (0..5).map(|_| a.get("/launch/item", &[JSON])).collect();
    newcomers.iter().for_each(is_told_to_wait);
    // The other one goes on, for shoppers too who came to the one that is cut off.
    let all = waiting.iter().map(|(_, cookie)| cookie.clone());
    for cookie in all.chain(newcomers.iter().map(|answer| answer.cookie().unwrap())) {
        pass_id(&b, &cookie);
    }
    let enters = a.metric(r#"weir_requests_total{room="launch",verdict="claim"}"#);
    assert!((enters - given).abs() < 0.5, "the one that is cut off let nobody in");
    assert_eq!((a.room()["shop_rests"].as_bool(), b.room()["shop_rests"].as_bool()), (Some(true), Some(false)));

    // Both are cut off.
    drop(b);
    let c = line::gateway(redis.address, gone, &room());
    let shop = ShopProcess::start(gone);
    until_true("a line that stood nowhere goes on where the shop is back", || a.room()["shop_rests"] == false);
    let (holder, other) = (inside(&a), inside(&c));
    let waiting = last_tickets(&[&a, &c], 6);
    let gone = shop.kill();
    notices(&a, &holder);
    notices(&c, &other);
    let newcomers: Vec<Answer> = [&a, &c].map(|weir| weir.get("/launch/item", &[JSON])).into();
    newcomers.iter().for_each(is_told_to_wait);
    // With their joins both have told the line; what it was until then, a copy of it may show a little later.
    let before = until("both know where it stands", || Some(spent(&a)).filter(|at| *at == spent(&c)));
    let began = a.room()["store_time_ms"].as_u64().unwrap();
    until_true("it stood for a while", || a.room()["store_time_ms"].as_u64().unwrap() > began + 2_000);
    assert_eq!(spent(&a), before);
    assert_eq!(spent(&c), before);
    let _shop = ShopProcess::start(gone);
    pass_id(&c, &waiting[0].1);
    assert!(spent(&c) != before);
    for weir in [&a, &c] {
        weir.is_well();
    }
}

#[test]
fn a_shop_that_fails_whoever_asks_does_not_stop_the_line() {
    let asked: &'static AtomicUsize = Box::leak(Box::new(AtomicUsize::new(0)));
    // Ten errors in a row, then ten that are no answer at all.
    let shop = answering(|_| {
        let n = asked.fetch_add(1, Ordering::Relaxed);
        if (n / 10).is_multiple_of(2) { failure() } else { b"\0garbage\r\n\r\n".to_vec() }
    });
    let weir = Weir::start(&config(shop, &line::room(600)));
    let waiting = {
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let tabs: Vec<_> = (0..30).map(|_| scope.spawn(|| weir.get("/launch/item", &[JSON]))).collect();
            tabs.into_iter().map(|tab| tab.join().unwrap()).collect()
        });
        answers.into_iter().filter(Answer::is_line).collect::<Vec<_>>()
    };
    assert!(waiting.len() > 10, "a line has formed");
    for answer in &waiting {
        let cookie = answer.cookie().unwrap();
        until_true("they get to the shop, such as it is", || {
            weir.get("/launch/item", &[JSON, ("Cookie", &cookie)]).status >= 500
        });
        assert_eq!(weir.room()["shop_rests"], false);
    }
    assert!(asked.load(Ordering::Relaxed) >= 25, "so many were sent there");
}

#[test]
fn a_health_check_that_fails_makes_the_line_stand() {
    let ill: &'static AtomicUsize = Box::leak(Box::new(AtomicUsize::new(0)));
    let shop = answering(|head| {
        let fails = head.contains("/healthz") && ill.load(Ordering::Relaxed) == 1;
        if fails { failure() } else { ok("welcome to the shop") }
    });
    let checks = "[upstream.health]\npath = \"/healthz\"\ninterval = \"100ms\"\ntimeout = \"100ms\"\n[[route]]";
    let weir = Weir::start(&config(shop, &room()).replacen("[[route]]", checks, 1));
    inside(&weir);
    ill.store(1, Ordering::Relaxed);
    until_true("the line stands", || weir.room()["shop_rests"] == true);
    let before = spent(&weir);
    is_told_to_wait(&weir.get("/launch/item", &[JSON]));
    assert_eq!(spent(&weir)[0], before[0]);
    ill.store(0, Ordering::Relaxed);
    until_true("it goes on", || weir.room()["shop_rests"] == false);
    inside(&weir);
}
