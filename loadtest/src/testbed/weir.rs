//! Weir as a child process: its configuration file, its start, its end.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::bail;
use launch_model::scenario::{self, Room, Word};
use launch_model::span::Span;
use loadtest::gates::widths;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::child::{self, Child};

/// A pre-queue, and an event, in milliseconds: each is longer than what of it a launch takes.
const PREQUEUE: i64 = 3_600_000;
const DAY: i64 = 86_400_000;

/// The settings of a Weir.
pub(crate) struct Settings<'a> {
    /// The shoppers' listener; port 0 takes a free one.
    pub(crate) http: SocketAddr,
    /// The operator's listener.
    pub(crate) admin: SocketAddr,
    pub(crate) shop: SocketAddr,
    pub(crate) room: &'a Room,
    /// Requests that this gateway may have in flight at the shop.
    pub(crate) max_in_flight: usize,
    pub(crate) shield: Shield,
    pub(crate) store: &'a Store,
    /// Whether all shoppers come from one address, so that no quota can tell them apart.
    pub(crate) one_address: bool,
    /// When the event of the room starts, in milliseconds since 1970.
    pub(crate) event_start_ms: Option<i64>,
}

/// How the gateway shields the stages of a purchase. The default is not at all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shield {
    /// What the shop may ask for in its answers, beside `revoke`.
    pub(crate) commands: Vec<&'static str>,
    /// Classes of forms that have a gate, each with how many may be in flight.
    pub(crate) gates: Vec<(&'static str, usize)>,
}

impl Shield {
    /// What a scenario asks of each of so many gateways. Where a purchase has stages, orders and payments have gates.
    pub(crate) fn of(shop: &scenario::Shop, gateways: usize) -> Self {
        let command = |word: &Word| match word {
            Word::Orca => None,
            Word::Rate => Some("rate"),
            Word::Stock => Some("stock"),
        };
        let gates = ["order", "payment"].into_iter().zip(widths(shop)).filter(|_| shop.has_stages());
        Self {
            commands: shop.tells.iter().filter_map(command).collect(),
            gates: gates.map(|(class, width)| (class, width.div_ceil(gateways))).collect(),
        }
    }

    /// The commands that a room obeys.
    fn obeyed(&self) -> String {
        let commands: Vec<String> = ["revoke"].iter().chain(&self.commands).map(|word| quoted(word)).collect();
        format!("[{}]", commands.join(", "))
    }

    /// The routes of the forms beside this page.
    fn routes(&self, page: &str) -> String {
        let folder = folder_of(page);
        let route = |(class, in_flight): &(&str, usize)| {
            let path = quoted(&format!("{folder}/{class}"));
            format!(
                "[[route]]\nhost = \"*\"\npath = {path}\nupstream = \"shop\"\nclass = \"{class}\"\n\
                 max_in_flight = {in_flight}\n\n"
            )
        };
        self.gates.iter().map(route).collect()
    }
}

/// The store of the line.
pub(crate) enum Store {
    /// In the gateway's own file.
    Own,
    /// In a Redis that several gateways share, with the secret that they share.
    Redis { url: String, secret: String },
}

const NO_QUOTA: &str = "
[quota]
requests_per_second = 100000
request_burst = 100000
joins_per_second = 100000
join_burst = 100000
";

impl Settings<'_> {
    /// The configuration file. The addresses that shoppers come from are trusted as a proxy's: so request ids of the
    /// crowd are kept, and its `X-Forwarded-For` is believed. Those of attacks (`wire::attacker`) are not.
    fn text(&self, folder: &Path) -> String {
        let Self { http, admin, shop, max_in_flight, .. } = self;
        let quota = if self.one_address { NO_QUOTA } else { "" };
        format!(
            r#"[listen]
http = "{http}"
admin = "{admin}"
trusted_proxies = ["127.0.0.0/9"]
shutdown_timeout = "2s"

[store]
{store}{quota}
[log]
format = "json"
level = "info"
access = false

[[upstream]]
name = "shop"
servers = ["{shop}"]
max_in_flight = {max_in_flight}

[[route]]
host = "*"
path = "/"
upstream = "shop"

{gates}{other}{room}"#,
            store = self.store.text(folder),
            other = self.room.other.as_deref().map(other_room).unwrap_or_default(),
            gates = self.shield.routes(&self.room.path),
            room = room_text(self.room, &self.shield) + &self.event_start_ms.map(event).unwrap_or_default(),
        )
    }
}

impl Store {
    fn text(&self, folder: &Path) -> String {
        match self {
            Self::Own => {
                format!("kind = \"embedded\"\npath = {}\n", quoted(&folder.join("weir.redb").to_string_lossy()))
            }
            Self::Redis { url, .. } => format!("kind = \"redis\"\nurl = {}\n", quoted(url)),
        }
    }
}

/// The rest of a page's routes.
fn around(page: &str) -> String {
    let folder = folder_of(page);
    quoted(if folder.is_empty() { "/" } else { folder })
}

/// Where a page and its neighbours lie.
fn folder_of(page: &str) -> &str {
    page.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A room without a line, where people get a pass that is worth nothing at the launch.
fn other_room(page: &str) -> String {
    let path = around(page);
    format!(
        "[[room]]\nname = \"other\"\nhost = \"*\"\npath = {path}\nupstream = \"shop\"\nnew_users_per_minute = 60000\n\n"
    )
}

/// Without visits: a client that reaches a page of the launch without a pass has slipped in, by the verdict.
fn room_text(room: &Room, shield: &Shield) -> String {
    let optional = |key: &str, value: Option<String>| value.map_or(String::new(), |value| format!("{key} = {value}\n"));
    format!(
        r#"[[room]]
name = {name}
host = "*"
path = {path}
upstream = "shop"
new_users_per_minute = {rate}
return_paths = {back}
visits_per_minute = 0
{seats}{burst}{order}session_duration = "{session}"
default_template_language = "en-US"
enabled_origin_commands = {commands}
poll = {{ min = "1s", max = "30s", budget = 1000 }}
cookie_attributes = {{ samesite = "lax" }}
"#,
        name = quoted(&room.name),
        path = around(&room.path),
        back = quoted(&back_to(&room.path)),
        rate = room.new_users_per_minute,
        seats = optional("total_active_users", room.total_active_users.map(|seats| seats.to_string())),
        burst = optional("burst", room.burst.map(|burst| burst.to_string())),
        order = room.random_round.map_or_else(String::new, drawn),
        session = room.session_duration,
        commands = shield.obeyed(),
    )
}

/// An order that is drawn for those who come within this time.
fn drawn(round: Span) -> String {
    format!("queueing_method = \"random\"\nrandom_round = \"{round}\"\n")
}

/// An event that starts at this time, and outlasts the launch.
fn event(start_ms: i64) -> String {
    let written = |ms: i64| {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000);
        at.ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
    };
    let [prequeue, start, end] = [start_ms - PREQUEUE, start_ms, start_ms + DAY].map(written);
    format!(
        "\n[[room.event]]\nname = \"launch\"\nprequeue_start_time = \"{prequeue}\"\nevent_start_time = \"{start}\"\n\
         event_end_time = \"{end}\"\n"
    )
}

/// The return address of payment pages, beside a page.
fn back_to(page: &str) -> String {
    format!("{}/return", folder_of(page))
}

/// A string of the configuration, whatever its characters.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A running Weir.
pub(crate) struct Weir {
    child: Child,
    /// The shoppers' listener.
    pub(crate) http: SocketAddr,
    /// The operator's listener.
    pub(crate) admin: SocketAddr,
}

impl Weir {
    /// The program at `path`, or the one beside this program.
    pub(crate) fn find(path: Option<&Path>) -> anyhow::Result<PathBuf> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => std::env::current_exe()?.with_file_name(format!("weir{}", std::env::consts::EXE_SUFFIX)),
        };
        if !path.is_file() {
            bail!(
                "there is no weir program at {}: build it with `cargo build --release`, or name it with --weir",
                path.display()
            );
        }
        Ok(path)
    }

    /// Starts Weir by this command (of [`child`]) and waits until it is ready.
    pub(crate) async fn start(mut command: Command, settings: &Settings<'_>) -> anyhow::Result<Self> {
        let folder = child::folder()?;
        let config = folder.path().join("weir.toml");
        fs::write(&config, settings.text(folder.path()))?;
        command.args(["serve", "--config"]).arg(&config).env_remove("WEIR_SECRET");
        if let Store::Redis { secret, .. } = settings.store {
            command.env("WEIR_SECRET", secret);
        }
        let mut child = Child::start("Weir", command, folder)?;
        let (http, admin) = child.says(serving).await?;
        let mut weir = Self { child, http, admin };
        while !weir.is_ready().await {
            weir.check()?;
            sleep(Duration::from_millis(50)).await;
        }
        Ok(weir)
    }

    /// The address at which a browser logs in to the console, once.
    pub(crate) fn console_link(&self) -> Option<String> {
        self.child.log().lines().find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            Some(line["fields"]["link"].as_str()?.to_owned())
        })
    }

    /// An error if Weir has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        self.child.check()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Asks Weir to stop, and kills it if it does not.
    pub(crate) async fn stop(self) {
        self.child.stop().await;
    }

    /// Whether `/readyz` answers 200.
    async fn is_ready(&self) -> bool {
        let ask = async {
            let mut stream = TcpStream::connect(self.admin).await?;
            stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
            let mut head = [0; 12];
            stream.read_exact(&mut head).await?;
            std::io::Result::Ok(head == *b"HTTP/1.1 200")
        };
        matches!(timeout(Duration::from_secs(1), ask).await, Ok(Ok(true)))
    }
}

/// The addresses in the line that says that Weir serves.
fn serving(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").filter(|fields| fields["message"] == "serving")?;
    let addresses = fields["addresses"].as_str()?.trim_matches(['[', ']']);
    Some((addresses.split(", ").next()?.parse().ok()?, fields["admin"].as_str()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_says_what_the_scenario_promises() {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let room = Room {
            name: "launch".into(),
            path: "/launch/item".into(),
            new_users_per_minute: 90.5,
            burst: None,
            total_active_users: Some(20),
            session_duration: "90s".parse().unwrap(),
            event_start: None,
            random_round: None,
            other: Some("/other/item".into()),
        };
        let (store, folder) = (Store::Own, Path::new("/tmp/a \"b\"\\c\n"));
        let settings = |one_address| Settings {
            http: nowhere,
            admin: nowhere,
            shop: nowhere,
            room: &room,
            max_in_flight: 4,
            shield: Shield::default(),
            store: &store,
            one_address,
            event_start_ms: one_address.then_some(1_800_000_000_123),
        };
        let read: toml::Table = toml::from_str(&settings(false).text(folder)).unwrap();
        assert_eq!(read["store"]["path"].as_str(), Some("/tmp/a \"b\"\\c\n/weir.redb"));
        assert_eq!(read["room"][0]["path"].as_str(), Some("/other"));
        let room = &read["room"][1];
        assert_eq!(room["path"].as_str(), Some("/launch"));
        assert_eq!(room["new_users_per_minute"].as_float(), Some(90.5));
        assert_eq!(room["total_active_users"].as_integer(), Some(20));
        assert_eq!(room["session_duration"].as_str(), Some("90s"));
        assert!(room.get("burst").is_none() && read.get("quota").is_none());
        assert!(settings(true).text(folder).contains("joins_per_second = 100000\n"));
        assert_eq!(
            (read["route"].as_array().map(Vec::len), &room["enabled_origin_commands"]),
            (Some(1), &commands(&["revoke"]))
        );

        let with_event: toml::Table = toml::from_str(&settings(true).text(folder)).unwrap();
        assert!(read["room"][1].get("event").is_none());
        let event = &with_event["room"][1]["event"][0];
        assert_eq!(event["event_start_time"].as_str(), Some("2027-01-15T08:00:00.123Z"));

        let with_rounds = Room { random_round: "10s".parse().ok(), ..settings(false).room.clone() };
        let with_rounds = Settings { room: &with_rounds, ..settings(false) };
        let drawn: toml::Table = toml::from_str(&with_rounds.text(folder)).unwrap();
        let key = |room: &toml::Value, key: &str| room.get(key).and_then(|value| value.as_str().map(str::to_owned));
        let order = |room| (key(room, "queueing_method"), key(room, "random_round"));
        assert_eq!(order(&drawn["room"][1]), (Some("random".into()), Some("10s".into())));
        assert_eq!(order(&read["room"][1]), (None, None));

        let mut settings = settings(false);
        let shop = r#"tells = ["orca", "rate", "stock"]
            slots = 21
            payment = { pool = 10 }"#;
        settings.shield = Shield::of(&toml::from_str(shop).unwrap(), 2);
        let read: toml::Table = toml::from_str(&settings.text(folder)).unwrap();
        let gate = |index: usize| {
            let route = &read["route"][index];
            (route["path"].as_str(), route["class"].as_str(), route["max_in_flight"].as_integer())
        };
        assert_eq!(gate(1), (Some("/launch/order"), Some("order"), Some(4)));
        assert_eq!(gate(2), (Some("/launch/payment"), Some("payment"), Some(5)));
        assert_eq!(read["room"][1]["enabled_origin_commands"], commands(&["revoke", "rate", "stock"]));
    }

    fn commands(words: &[&str]) -> toml::Value {
        toml::Value::from(words.to_vec())
    }

    #[test]
    fn the_addresses_are_those_of_the_line_that_says_serving() {
        let line = r#"{"level":"INFO","fields":{"message":"serving","addresses":"[127.0.0.1:81, [::1]:82]","admin":"127.0.0.1:83"}}"#;
        assert_eq!(serving(line), Some(("127.0.0.1:81".parse().unwrap(), "127.0.0.1:83".parse().unwrap())));
        for other in ["", "{}", r#"{"fields":{"message":"reloaded"}}"#, r#"{"fields":{"message":"serving"}}"#] {
            assert_eq!(serving(other), None, "{other}");
        }
    }
}
