//! The harness of the whole gateway: the real binary as a child process, a shop of a few
//! lines, and a client that sends exactly the bytes that it is told to.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc, reason = "tests")]
#![allow(unreachable_pub, missing_docs, reason = "a module of each test file")]

pub mod browser;
pub mod events;
pub mod fault;
pub mod h2;
pub mod line;
pub mod live;
pub mod orders;
pub mod postgres;
pub mod program;
pub mod redis;
pub mod speaker;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use policy::line::segment::SPAN;

/// The binary under test.
pub const WEIR: &str = env!("CARGO_BIN_EXE_weir");
/// A browser's navigation.
pub const PAGE: (&str, &str) = ("Accept", "text/html,*/*;q=0.8");
/// A program's request.
pub const JSON: (&str, &str) = ("Accept", "application/json");
/// A browser's fetch from a page of the shop.
pub const FETCH: (&str, &str) = ("Sec-Fetch-Site", "same-origin");

/// A running gateway in a directory of its own; killed when dropped.
pub struct Weir {
    pub dir: tempfile::TempDir,
    pub http: SocketAddr,
    pub https: Option<SocketAddr>,
    pub admin: SocketAddr,
    child: Child,
    log: Arc<Mutex<String>>,
    access: Arc<Mutex<String>>,
}

/// Configuration of a gateway in front of `shop`, with these rooms.
pub fn config(shop: SocketAddr, rooms: &str) -> String {
    format!(
        r#"
[listen]
http = "127.0.0.1:0"
admin = "127.0.0.1:0"
workers = 2
[quota]
requests_per_second = 100000
request_burst = 100000
joins_per_second = 100000
join_burst = 100000
[[upstream]]
name = "shop"
servers = ["{shop}"]
response_timeout = "2s"
[[route]]
host = "*"
path = "/"
upstream = "shop"
{rooms}
"#
    )
}

/// A room named `launch` on `/launch/*` that lets no shopper in.
pub const CLOSED: &str = r#"
[[room]]
name = "launch"
host = "*"
path = "/launch"
new_users_per_minute = 600
queue_all = true
"#;

/// A room named `launch` on `/launch/*` that lets every shopper in at once, but no request without a pass.
pub const ROOMY: &str = r#"
[[room]]
name = "launch"
host = "*"
path = "/launch"
new_users_per_minute = 60000
visits_per_minute = 0
"#;

impl Weir {
    /// Starts one with this configuration.
    pub fn start(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("weir.toml"), config).unwrap();
        Self::start_in(dir)
    }

    /// Starts one in a directory that has a configuration, and perhaps a store.
    pub fn start_in(dir: tempfile::TempDir) -> Self {
        let mut command = Command::new(WEIR);
        command.arg("serve").arg("--config").arg(dir.path().join("weir.toml"));
        Self::spawn(dir, command)
    }

    /// Starts one by a command of the caller's.
    pub fn spawn(dir: tempfile::TempDir, mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (log, access): (Arc<Mutex<String>>, Arc<Mutex<String>>) = Default::default();
        keep(BufReader::new(child.stdout.take().unwrap()), vec![log.clone(), access.clone()]);
        let mut events = BufReader::new(child.stderr.take().unwrap());
        let (addresses, admin) = loop {
            let mut line = String::new();
            assert!(events.read_line(&mut line).unwrap() > 0, "ended before it served:\n{}", log.lock().unwrap());
            log.lock().unwrap().push_str(&line);
            if let Some(found) = serving(&line) {
                break found;
            }
        };
        keep(events, vec![log.clone()]);
        Self { dir, http: addresses[0], https: addresses.get(1).copied(), admin, child, log, access }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn config_file(&self) -> PathBuf {
        self.dir.path().join("weir.toml")
    }

    /// Its access lines so far.
    pub fn access(&self) -> String {
        self.access.lock().unwrap().clone()
    }

    /// The access line of the request of this path, when it is written.
    pub fn access_of(&self, path: &str) -> serde_json::Value {
        until("its line is written", || {
            let log = self.access();
            let mut lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            lines.find(|line| line["path"] == path)
        })
    }

    /// All that it logged so far: events and access lines.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Ends it without a warning; the directory stays for the next.
    pub fn kill(mut self) -> tempfile::TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until it ended by itself.
    pub fn wait(&mut self) -> i32 {
        until("it ends", || self.child.try_wait().unwrap()).code().unwrap_or(-1)
    }

    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        request(self.http, "GET", path, headers, "")
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        request(self.http, method, path, headers, body)
    }

    /// The metric of this exact name and labels, 0 if it is not there.
    pub fn metric(&self, name: &str) -> f64 {
        let text = request(self.admin, "GET", "/metrics", &[], "").body;
        let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    /// The operator's view of room `launch`.
    pub fn room(&self) -> serde_json::Value {
        serde_json::from_str(&request(self.admin, "GET", "/api/rooms/launch/status", &[], "").body).unwrap()
    }

    /// Resident memory in KiB.
    pub fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most that was ever resident, in KiB.
    pub fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, which: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(which)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// It still answers, and nothing in it has panicked.
    pub fn is_well(&self) {
        for _ in 0..4 {
            assert_eq!(self.get("/.weir/status/launch", &[]).status, 200);
        }
        assert!(!self.log().contains("panicked"), "{}", self.log());
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Adds what is printed to the logs.
fn keep(out: impl BufRead + Send + 'static, logs: Vec<Arc<Mutex<String>>>) {
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            for log in &logs {
                let mut log = log.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        }
    });
}

/// Addresses in the log line that says that it serves.
fn serving(line: &str) -> Option<(Vec<SocketAddr>, SocketAddr)> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = &line["fields"];
    if fields["message"] != "serving" {
        return None;
    }
    let addresses = fields["addresses"].as_str()?.trim_matches(['[', ']']);
    let addresses = addresses.split(", ").map(|a| a.parse().unwrap()).collect();
    Some((addresses, fields["admin"].as_str()?.parse().unwrap()))
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// `name=value` of the cookie that it sets.
    pub fn cookie(&self) -> Option<String> {
        Some(self.header("set-cookie")?.split(';').next()?.to_owned())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The waiting JSON.
    pub fn waiting(&self) -> serde_json::Value {
        self.json()["cfWaitingRoom"].clone()
    }

    /// Number of the ticket in the waiting JSON, in all segments of the line.
    pub fn ticket(&self) -> u64 {
        self.number().unwrap_or_else(|| panic!("no ticket: {self:?}"))
    }

    /// The same; `None` while the ticket has no number.
    pub fn number(&self) -> Option<u64> {
        let waiting = self.waiting();
        Some(waiting["segment"].as_u64()? * SPAN + waiting["ticket"].as_u64()?)
    }

    /// Weir's verdict for programs; `None` for an answer of the shop.
    pub fn told(&self) -> Option<&str> {
        self.header("weir-status")
    }

    /// Whether it is an answer of the line, as by default.
    pub fn is_line(&self) -> bool {
        self.status == 429 && self.told() == Some("waiting")
    }

    /// Whether the shop answered.
    pub fn is_shop(&self) -> bool {
        self.status == 200 && self.body.contains("welcome to the shop")
    }
}

/// One request on a connection of its own.
pub fn request(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        // The operator's listener is asked by its own name.
        let operators = ["/api/", "/metrics", "/readyz", "/healthz"].iter().any(|page| path.starts_with(page));
        text += if operators { "Host: localhost\r\n" } else { "Host: shop.example\r\n" };
    }
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    if !body.is_empty() {
        text.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
    }
    raw(to, (text + "\r\n" + body).as_bytes())
}

/// Sends these bytes, and reads until the other end closes.
pub fn raw(to: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let _ = stream.write_all(bytes);
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    parse(&all)
}

/// The answer in these bytes.
pub fn parse(bytes: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let mut answer = Answer { status, head: head.to_owned(), body: body.to_owned() };
    if answer.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        answer.body = unchunked(body);
    }
    answer
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || after.len() < size {
            break;
        }
        body += &after[..size];
        rest = after[size..].trim_start_matches("\r\n");
    }
    body
}

/// A connection that is kept between requests.
pub struct Kept(pub BufReader<TcpStream>);

impl Kept {
    pub fn open(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(BufReader::new(stream))
    }

    pub fn send(&mut self, text: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(text.as_ref()).unwrap();
    }

    /// The same; the other end may have closed.
    pub fn try_send(&mut self, text: &str) {
        let _ = self.0.get_mut().write_all(text.as_bytes());
    }

    /// Asks for a path.
    pub fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let headers: String = headers.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
        self.send(format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n{headers}\r\n"));
        self.answer().unwrap()
    }

    /// The next answer; `None` if the other end closed.
    pub fn answer(&mut self) -> Option<Answer> {
        let head = head(&mut self.0)?;
        let mut body = Vec::new();
        if of(&head, "transfer-encoding").is_some() {
            while let Some(chunk) = chunk(&mut self.0).filter(|chunk| !chunk.is_empty()) {
                body.extend(chunk);
            }
        } else {
            body = vec![0; of(&head, "content-length").and_then(|l| l.parse().ok()).unwrap_or(0)];
            self.0.read_exact(&mut body).ok()?;
        }
        let head = head.trim_end().to_owned();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// Whether the other end has closed.
    pub fn ended(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0) | Err(_))
    }
}

/// The next head on a connection, `None` if it ended.
pub fn head(reader: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).ok().filter(|&read| read > 0)?;
    }
    Some(head)
}

/// The next chunk of a body, empty at its end (trailers are left); `None` if the connection ended.
pub fn chunk(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut size = String::new();
    reader.read_line(&mut size).ok().filter(|&read| read > 0)?;
    let mut chunk = vec![0; usize::from_str_radix(size.trim(), 16).ok()?];
    if !chunk.is_empty() {
        reader.read_exact(&mut chunk).ok()?;
    }
    reader.read_line(&mut String::new()).ok()?;
    Some(chunk)
}

/// A header of a head.
pub fn of<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// An answer of a shop.
pub fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A server that gives each connection to `serve`, on a thread of its own.
pub fn server(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

/// A server that answers each request by its head.
pub fn answering(answer: impl Fn(&str) -> Vec<u8> + Clone + Send + 'static) -> SocketAddr {
    server(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(head) = head(&mut reader) {
            let mut body = vec![0; of(&head, "content-length").and_then(|l| l.parse().ok()).unwrap_or(0)];
            if reader.read_exact(&mut body).is_err() || stream.write_all(&answer(&head)).is_err() {
                return;
            }
        }
    })
}

/// An address without a listener, as long as this process lives: its port is taken, and no server of another test gets it.
pub fn nobody() -> SocketAddr {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    std::mem::forget(socket);
    address
}

/// An address for a server that is told where to listen.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A shop: remembers the requests that reached it, and answers by path.
pub struct Shop {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    open: Arc<AtomicUsize>,
}

impl Shop {
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shop = Self { address: listener.local_addr().unwrap(), seen: Arc::default(), open: Arc::default() };
        let (seen, open) = (shop.seen.clone(), shop.open.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, open) = (seen.clone(), open.clone());
                std::thread::spawn(move || {
                    open.fetch_add(1, Ordering::SeqCst);
                    serve(&stream, &seen);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        shop
    }

    /// Heads of the requests that reached it.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

fn serve(stream: &TcpStream, seen: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while reader.read_line(&mut head).is_ok_and(|read| read > 0) && !head.ends_with("\r\n\r\n") {}
        if !head.ends_with("\r\n\r\n") {
            return;
        }
        let headers: HashMap<String, String> = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let mut body = vec![0; headers.get("content-length").and_then(|l| l.parse().ok()).unwrap_or(0)];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        if headers.contains_key("transfer-encoding") {
            while let Some(more) = chunk(&mut reader).filter(|chunk| !chunk.is_empty()) {
                body.extend(more);
            }
        }
        seen.lock().unwrap().push(head.clone());
        let path = head.split(' ').nth(1).unwrap().to_owned();
        if answer(stream, &path, &head, &body).is_err() {
            return;
        }
    }
}

/// A page with a form, under a policy that allows nothing inline.
const CHECKOUT: &str = "<!doctype html><html lang=en><title>Checkout</title><script src=/.weir/pass.js data-room=launch data-warn=2 async></script>\
    <h1>Checkout</h1><form method=post action=/launch/echo><input name=name><button>Pay</button></form></html>";
const STRICT: &str = "Content-Security-Policy: default-src 'self'\r\n";

fn answer(mut stream: &TcpStream, path: &str, head: &str, body: &[u8]) -> std::io::Result<()> {
    let closed = || std::io::Error::other("closed");
    let plain = |extra: &str, body: &str| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{extra}\r\n{body}", body.len()).into_bytes()
    };
    match path.rsplit('/').next().unwrap_or("") {
        "headers" => stream.write_all(&plain("", head)),
        "checkout" => stream.write_all(&plain(&format!("Content-Type: text/html\r\n{STRICT}"), CHECKOUT)),
        "echo" => stream.write_all(&plain("", &String::from_utf8_lossy(body))),
        "revoke" => stream.write_all(&plain("Weir-Command: revoke\r\n", "thank you")),
        "cached" => stream
            .write_all(&plain("Cache-Control: public, max-age=600\r\nExpires: Thu, 01 Jan 2099 00:00:00 GMT\r\n", "x")),
        "hang" => {
            std::thread::sleep(Duration::from_secs(20));
            Err(closed())
        }
        "reset" => Err(closed()),
        "garbage" => {
            stream.write_all(b"\x00\xff not HTTP at all\r\n\r\n")?;
            Err(closed())
        }
        "slow" => {
            std::thread::sleep(Duration::from_millis(300));
            stream.write_all(&plain("", "slow"))
        }
        "drip" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for word in ["one", "two", "three"] {
                stream.write_all(format!("{:x}\r\n{word}\r\n", word.len()).as_bytes())?;
                std::thread::sleep(Duration::from_millis(200));
            }
            stream.write_all(b"0\r\n\r\n")
        }
        _ => stream.write_all(&plain("", "welcome to the shop")),
    }
}

/// Waits until there is something. The half minute is for a machine that is busy with other tests: no promise rests on it.
pub fn until<T>(what: &str, mut there: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = there() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A shopper who waits until it is their turn, on one connection.
pub fn enters_in_turn(weir: &Weir) {
    let mut kept = Kept::open(weir.http);
    let mut answer = kept.get("/launch/item", &[JSON]);
    let cookie = answer.cookie().unwrap();
    until_true("it is their turn", || {
        let ready = answer.is_shop();
        if !ready {
            answer = kept.get("/launch/item", &[JSON, ("Cookie", &cookie)]);
        }
        ready
    });
}

/// Waits until this holds.
pub fn until_true(what: &str, mut holds: impl FnMut() -> bool) {
    until(what, || holds().then_some(()));
}

/// Runs `weir` with arguments; its exit code and all that it printed.
pub fn weir(arguments: &[&str], dir: &Path) -> (i32, String) {
    let output = Command::new(WEIR).args(arguments).current_dir(dir).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), text)
}
