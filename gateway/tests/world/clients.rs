//! Clients with their usual settings, none of which knows Weir: each looks at a calm room, waits in a line, enters and stays.
//! What each of them sees is the table in `docs/clients-table.md`.
//!
//! A client is a program of a few lines (`clients/`) that asks for each URL that it reads, with the settings that its library
//! comes with and the cookie jar that people use with it, and prints the status and the first line of the answer.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::common::browser::Browser;
use crate::common::{JSON, Shop, Weir, config, free_address, until, until_true};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/world/clients/");

/// The answer to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    /// The shop's page.
    Shop,
    /// A line, in which it has no place yet.
    Asked,
    /// A place in the line.
    Place(u64),
}

/// A program that asks for each line that it is given.
struct Program {
    child: Child,
    ask: ChildStdin,
    told: BufReader<ChildStdout>,
}

enum Client {
    Program(Program),
    Browser(Browser),
}

/// A kind of client: its name, and how to start one.
struct Kind {
    name: &'static str,
    start: Box<dyn Fn() -> Client + Sync>,
}

impl Kind {
    fn program(name: &'static str, command: &str, file: &str) -> Self {
        let (command, file) = (command.to_owned(), format!("{FOLDER}{file}"));
        let start = move || {
            let mut child =
                Command::new(&command).arg(&file).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let (ask, told) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
            Client::Program(Program { child, ask, told })
        };
        Self { name, start: Box::new(start) }
    }

    fn chromium() -> Self {
        Self { name: "Chromium", start: Box::new(|| Client::Browser(Browser::open(true))) }
    }
}

/// The text above the table's rows.
const LEGEND: &str = "\
Each client comes with the settings that it is installed with and the cookie jar that people use with it; `fetch` has none, so its
program sends the cookie back itself. It asks for `/launch/item`, with no header of its own for Weir.

| step | what happens |
|---|---|
| calm | nobody waits; the programs take no number, the browser takes one |
| a line | other clients, whose first request meets a line of two |
| waiting | each request after that, while nobody is let in |
| called | the line moves: the same request, until it is let in |
| inside | each request after that |
| expired | the first request after the end of the time inside, when a line stands again |
| and again | the request after that |

| seen | status | body |
|---|---|---|
| the shop | 200 | the shop's page |
| come back | 429 | `There is a line. Ask again within a minute, with the cookie of this answer, to take a place in it.` |
| a place | 429 | `You are in line, place 3. Ask again in 1 s.` |
| a place, as a page | 429 | the waiting page, which asks again by itself |

";

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Client {
    /// Asks for the page. A browser shows what it has until it has something else.
    fn ask(&mut self, url: &str) -> Reply {
        match self {
            Self::Program(program) => program.ask(url),
            Self::Browser(browser) => {
                browser.go(url);
                until("the browser shows something", || shown(browser))
            }
        }
    }

    /// Does as a waiting client does: asks again, which the page in a browser does by itself.
    fn again(&mut self, url: &str) -> Reply {
        match self {
            Self::Program(program) => program.ask(url),
            Self::Browser(browser) => until("the browser shows something", || shown(browser)),
        }
    }
}

impl Program {
    fn ask(&mut self, url: &str) -> Reply {
        writeln!(self.ask, "{url}").unwrap();
        let mut line = String::new();
        self.told.read_line(&mut line).unwrap();
        let (status, text) = line.trim_end().split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        let place = text.strip_prefix("You are in line, place ").map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse().unwrap()
        });
        match (status, place) {
            ("200", None) if text == "welcome to the shop" => Reply::Shop,
            ("429", Some(place)) => Reply::Place(place),
            ("429", None) if text.starts_with("There is a line") => Reply::Asked,
            ("429", None) if text.starts_with("Your turn has come") || text.starts_with("You are at the front") => {
                Reply::Place(0)
            }
            _ => panic!("{line:?}"),
        }
    }
}

/// Its text in the table.
fn words(client: &Client, seen: Reply) -> &'static str {
    match (seen, client) {
        (Reply::Shop, _) => "the shop",
        (Reply::Asked, _) => "come back",
        (Reply::Place(_), Client::Program(_)) => "a place",
        (Reply::Place(_), Client::Browser(_)) => "a place, as a page",
    }
}

fn shown(browser: &Browser) -> Option<Reply> {
    let page = browser.source();
    match browser.text("position").parse() {
        Ok(place) => Some(Reply::Place(place)),
        Err(_) => page.contains("welcome to the shop").then_some(Reply::Shop),
    }
}

/// A step, and what it was to each client, in words.
type Column = (&'static str, Vec<&'static str>);

/// A room that lets in many, and to which no holder comes back after eight seconds inside.
const ROOM: &str = "
[[room]]
name = \"launch\"
host = \"*\"
path = \"/launch\"
new_users_per_minute = 6000
session_duration = \"8s\"
disable_session_renewal = true
poll.max = \"1s\"
";

const CLOSED: &str = "queue_all = true\n";

struct Stand {
    _shop: Shop,
    weir: Weir,
    url: String,
}

impl Stand {
    /// A calm room.
    fn calm() -> Self {
        let stand = Self::with(ROOM);
        until_true("the room has saved up its burst", || stand.weir.room()["serving"].as_u64().unwrap() >= 100);
        stand
    }

    /// A room that lets no shopper in, with a line of two.
    fn closed() -> Self {
        let stand = Self::with(&format!("{ROOM}{CLOSED}"));
        (0..2).for_each(|_| drop(stand.weir.get("/launch/item", &[JSON])));
        stand
    }

    fn with(room: &str) -> Self {
        let shop = Shop::open();
        let weir = Weir::start(&config(shop.address, room));
        // A name, as shops have one: some jars take no cookies from addresses.
        let url = format!("http://localhost:{}/launch/item", weir.http.port());
        Self { _shop: shop, weir, url }
    }

    /// Closes the room, or opens it for the waiting.
    fn set_open(&self, open: bool) {
        let file = self.weir.config_file();
        let written = std::fs::read_to_string(&file).unwrap();
        let other = if open { written.replace(CLOSED, "") } else { written + CLOSED };
        std::fs::write(&file, other).unwrap();
        let is_open = || self.weir.get("/.weir/status/launch", &[]).json()["open"] == open;
        until_true("the room has heard of it", is_open);
    }
}

/// One client of each kind, and a column of the table for each step that they have taken.
struct Crowd {
    clients: Vec<Client>,
    url: String,
}

impl Crowd {
    fn new(kinds: &[Kind], stand: &Stand) -> Self {
        Self { clients: each(kinds.iter().collect(), |kind| (kind.start)()), url: stand.url.clone() }
    }

    /// All of them at once; what it was to each, in words.
    fn see(&mut self, step: &'static str, act: fn(&mut Client, &str) -> Reply) -> Column {
        let url = &self.url;
        let seen = |client: &mut Client| {
            let seen = act(client, url);
            words(client, seen)
        };
        (step, each(self.clients.iter_mut().collect(), seen))
    }
}

/// All of them, one step after the other.
fn journey(kinds: &[Kind]) -> Vec<Column> {
    let calm = Stand::calm();
    let mut crowd = Crowd::new(kinds, &calm);
    let looked = crowd.see("calm", |client, url| {
        let seen = client.ask(url);
        assert_eq!(seen, Reply::Shop);
        seen
    });
    let browsers = crowd.clients.iter().filter(|client| matches!(client, Client::Browser(_))).count() as u64;
    assert_eq!(calm.weir.room()["next"].as_u64(), Some(browsers), "who only looks takes no number");

    // Others, who know nothing of the calm: the line is the first that they see.
    let stand = Stand::closed();
    let mut crowd = Crowd::new(kinds, &stand);
    let came = crowd.see("a line", |client, url| {
        let seen = client.ask(url);
        assert_ne!(seen, Reply::Shop, "the room is closed");
        seen
    });
    let waited = crowd.see("waiting", |client, url| {
        let Reply::Place(place) = client.again(url) else { panic!("no place") };
        let Reply::Place(later) = client.again(url) else { panic!("no place") };
        assert!(place >= 3 && later <= place, "{place}, then {later}");
        Reply::Place(later)
    });
    stand.set_open(true);
    let entered = crowd.see("called", |client, url| {
        until("they are inside", || Some(client.again(url)).filter(|seen| *seen == Reply::Shop))
    });
    let stayed = crowd.see("inside", |client, url| {
        assert!((0..3).all(|_| client.ask(url) == Reply::Shop));
        Reply::Shop
    });
    assert_eq!(stand.weir.room()["next"].as_u64(), Some(2 + kinds.len() as u64), "each has taken one number");

    stand.set_open(false);
    let ended = crowd.see("expired", |client, url| {
        until("the pass ends", || Some(client.ask(url)).filter(|seen| *seen != Reply::Shop))
    });
    let again = crowd.see("and again", |client, url| {
        let seen = client.again(url);
        assert!(matches!(seen, Reply::Place(_)), "{seen:?}");
        seen
    });
    vec![looked, came, waited, entered, stayed, ended, again]
}

/// Does this with each of them at once.
fn each<T: Send, U: Send>(all: Vec<T>, act: impl Fn(T) -> U + Sync) -> Vec<U> {
    let act = &act;
    std::thread::scope(|scope| {
        let tasks: Vec<_> = all.into_iter().map(|one| scope.spawn(move || act(one))).collect();
        tasks.into_iter().map(|task| task.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

fn table(kinds: &[Kind], columns: &[Column]) -> String {
    let row = |first: &str, cell: &dyn Fn(&Column) -> &'static str| {
        let cells: Vec<&str> = columns.iter().map(cell).collect();
        format!("| {first} | {} |\n", cells.join(" | "))
    };
    let rows = kinds.iter().enumerate().map(|(at, kind)| row(kind.name, &|(_, words)| words[at]));
    let head = row("client", &|(step, _)| *step) + "|---|" + &"---|".repeat(columns.len()) + "\n";
    head + &rows.collect::<String>()
}

/// Those that are there wherever the tests run.
fn few() -> Vec<Kind> {
    vec![
        Kind::program("curl", "bash", "curl.sh"),
        Kind::program("wget", "bash", "wget.sh"),
        Kind::program("Node `fetch`", "node", "fetch.mjs"),
        Kind::program("Python `urllib`", "python3", "with_urllib.py"),
    ]
}

#[test]
fn curl_wget_node_and_python_wait_enter_and_stay() {
    let kinds = few();
    println!("{}", table(&kinds, &journey(&kinds)));
}

#[test]
#[ignore = "needs Java, Chromium and Python packages: make clients"]
fn clients_of_eight_kinds_wait_enter_and_stay_as_the_table_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let made = Command::new(root.join("deploy/venv")).arg(FOLDER).stderr(Stdio::inherit()).output().unwrap();
    let python = String::from_utf8(made.stdout).unwrap();
    assert!(made.status.success(), "the virtual environment of the clients");
    let of_python = |name, file| Kind::program(name, python.trim(), file);
    let mut kinds = few();
    kinds.extend([
        of_python("Python `requests`", "with_requests.py"),
        of_python("Python `httpx`", "with_httpx.py"),
        of_python("Python `aiohttp`", "with_aiohttp.py"),
        Kind::program("Java `HttpClient`, `CookieManager`", "java", "Http.java"),
        Kind::chromium(),
    ]);
    let seen = table(&kinds, &journey(&kinds));
    println!("{seen}");
    let head = "<!-- make clients writes this: what each client saw in gateway/tests/world/clients.rs -->\n\n";
    let (written, file) = (format!("{head}{LEGEND}{seen}"), root.join("docs/clients-table.md"));
    match std::env::var_os("WEIR_CLIENTS_TABLE").map(PathBuf::from) {
        Some(file) => std::fs::write(file, written).unwrap(),
        None => assert_eq!(std::fs::read_to_string(file).unwrap(), written, "make clients writes it anew"),
    }
}

#[test]
#[ignore = "needs HAProxy: make clients"]
fn haproxy_finds_weir_well_by_its_oldest_check_while_a_line_stands() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, &ROOM.replace("[[room]]", "[[room]]\nqueue_all = true")));
    let (dir, front) = (tempfile::tempdir().unwrap(), free_address());
    let text = format!(
        "defaults\nmode http\ntimeout connect 5s\ntimeout client 5s\ntimeout server 5s\nlisten front\nbind {front}\n\
         option httpchk\nserver weir {} check inter 200ms rise 1 fall 1\n",
        weir.http
    );
    let file = dir.path().join("haproxy.cfg");
    std::fs::write(&file, text).unwrap();
    let mut haproxy = Command::new("haproxy").arg("-db").arg("-f").arg(&file).spawn().unwrap();
    let checks = || weir.metric(r#"weir_requests_total{room="",verdict="own"}"#);
    until_true("it has checked some times", || checks() >= 5.0);
    let seen = crate::common::request(front, "GET", "/launch/item", &[JSON], "");
    haproxy.kill().unwrap();
    haproxy.wait().unwrap();
    assert_eq!((seen.status, seen.waiting()["ticket"].as_u64()), (429, Some(1)), "its server is up: {seen:?}");
}

/// Shoppers of Locust, with `deploy/locust/weir.py`.
#[test]
#[ignore = "needs Locust: make locust"]
fn users_of_locust_wait_in_the_line_and_nothing_of_it_is_a_failure() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = root.join("deploy/locust");
    assert!(std::fs::read_to_string(folder.join("weir.py")).unwrap().lines().count() <= 40);
    let made = Command::new(root.join("deploy/venv")).arg(&folder).stderr(Stdio::inherit()).output().unwrap();
    assert!(made.status.success(), "the virtual environment of Locust");
    let shop = Shop::open();
    let room = "[[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch\"\nupstream = \"shop\"\nnew_users_per_minute = 120\nburst = 1\npoll.min = \"1s\"\n";
    let weir = Weir::start(&config(shop.address, room));
    let locust = Command::new(String::from_utf8(made.stdout).unwrap().trim())
        .args(["-m", "locust", "--headless", "--json", "-u", "8", "-r", "8", "-t", "90s", "-f"])
        .arg(format!("{FOLDER}locustfile.py"))
        .args(["--host", &format!("http://{}", weir.http)])
        .env("PYTHONPATH", &folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&locust.stderr);
    assert!(locust.status.success(), "{said}");
    let told: Vec<serde_json::Value> = serde_json::from_slice(&locust.stdout).unwrap();
    println!("{told:#?}");
    let counted = |method: &str, name: &str| {
        let entry = told.iter().find(|entry| entry["method"] == method && entry["name"] == name);
        entry.map_or(0, |entry| entry["num_requests"].as_u64().unwrap())
    };
    assert!(told.iter().all(|entry| entry["num_failures"] == 0), "{told:#?}");
    assert_eq!(counted("POST", "/launch/order"), 8, "{told:#?}");
    assert!(counted("GET", "/launch/item") >= 4 && counted("GET", "in line") >= 3, "{told:#?}");
    let waits = counted("LINE", "/launch/item") + counted("LINE", "/launch/order");
    assert!((3..=8).contains(&waits), "{waits}: {told:#?}");
    let room = weir.room();
    assert_eq!((&room["next"], &room["admitted"]), (&8.into(), &8.into()), "a number each: {room}");
}
