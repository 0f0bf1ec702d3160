//! What belongs to the gateway itself: its name, its store, its quotas and its log.

use std::path::PathBuf;

use http::uri::Authority;
use tracing::Level;

use super::problem::Diagnostic;
use super::redis::{self, LoginConfig, StoreTlsConfig};
use super::table::section;
use super::value::Choice;

section! {
    /// `[node]`: this gateway among others.
    NodeConfig {
        /// Its name in `/api/gateways`. Default: name of the host and port of `listen.admin`.
        name: Option<String> = must(is_node_name).optional(),
    }
}

section! {
    /// `[metrics]`: what the operator's listener tells under `/metrics`.
    MetricsConfig {
        /// Whether rooms are told of in which nothing has happened for ten minutes.
        idle_rooms: bool = or(true),
    }
}

section! {
    /// `[store]`: where places in a line are kept.
    StoreConfig {
        /// Which store.
        kind: StoreKind = or(StoreKind::Embedded),
        /// File of the embedded store, made on first start.
        path: PathBuf = or(PathBuf::from("weir.redb")),
        /// Address of a stand-alone Redis or Valkey 7, for kind = "redis".
        url: Option<String> = must(redis::is_url).optional(),
        /// Sentinels to ask for the server instead, each "host:port"; needs `master`.
        sentinels: Vec<Authority> = or(Vec::new()),
        /// What the sentinels call the server.
        master: Option<String> = optional(),
        /// Servers of a Cluster instead, each "host:port"; those that are not listed are found.
        cluster: Vec<Authority> = or(Vec::new()),
        /// Who Weir is to Redis.
        login: LoginConfig = or_blank(),
        /// Who Weir is to the sentinels.
        sentinel_login: LoginConfig = or_blank(),
        /// TLS to Redis and to its sentinels.
        tls: Option<StoreTlsConfig> = optional(),
        /// File of the secret that seals tickets and passes, one key a line: the first seals, all open. With the
        /// embedded store it is made on first start (mode 0600); gateways that share a line need the same one.
        /// The variable `WEIR_SECRET` goes before it.
        secret_file: PathBuf = or_from("`path` with the ending .secret", path.with_extension("secret")),
    }
}

section! {
    /// `[quota]`: what one client may ask of a room. A client is the holder of a place, or an address (IPv6: a /64, and
    /// its /48 with 16 times as much). Traffic of no room, `bypass` paths and answers that cost nothing are not charged.
    QuotaConfig {
        /// Requests per second of each holder of a place or pass, and of each address that shows tokens with a broken seal.
        requests_per_second: u32 = between(1, 1_000_000).or(50),
        /// The same, at once.
        request_burst: u32 = between(1, 1_000_000).or(200),
        /// New places in a line per second of each address. Over it nobody is refused: newcomers confirm first, by
        /// coming back with the cookie of the answer, which a browser does by itself.
        joins_per_second: u32 = between(1, 1_000_000).or(10),
        /// New places at once of each address.
        join_burst: u32 = between(1, 1_000_000).or(100),
        /// Confirmed new places per second of each address: hundreds may share one.
        confirmed_joins_per_second: u32 = between(1, 1_000_000).or(100),
        /// Confirmed new places at once of each address.
        confirmed_join_burst: u32 = between(1, 1_000_000).or(1_000),
        /// Returns from a payment without a pass, to a room's `return_paths`, per second of each address.
        returns_per_second: u32 = between(1, 1_000_000).or(5),
        /// The same, at once.
        return_burst: u32 = between(1, 1_000_000).or(50),
        /// Clients remembered one by one; more share their quotas.
        max_clients: usize = between(1_000, 100_000_000).or(200_000),
    }
}

section! {
    /// `[log]`: what is written: events to standard error, access lines to standard output.
    LogConfig {
        /// Form of a line.
        format: LogFormat = or(LogFormat::Json),
        /// Least important lines that are written.
        level: Level = or(Level::INFO),
        /// One line for each request, on standard output.
        access: bool = or(true),
        /// How access lines name the shopper: "truncated" by the network (/24, of IPv6 /48), "full" by the address, "hash" by a
        /// word that follows from address and secret, or "none".
        client: LogClient = or(LogClient::Truncated),
        /// Access lines hold the query of the path.
        query: bool = or(false),
    }
}

/// Which store keeps the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// In this process, durable in a file.
    Embedded,
    /// In Redis or Valkey, shared by several gateways.
    Redis,
}

fn is_node_name(name: &String) -> Result<(), Diagnostic> {
    let fits = |c: u8| c.is_ascii_alphanumeric() || b".:-_".contains(&c);
    let good = (1..=64).contains(&name.len()) && name.bytes().all(fits);
    let wrong = || Diagnostic::new(format!("{name:?} is not a name"), "write 1 to 64 of A-Z, a-z, 0-9 and \".:-_\"");
    good.then_some(()).ok_or_else(wrong)
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For machines.
    Json,
    /// For people.
    Text,
}

/// How an access line names the shopper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogClient {
    /// By the network.
    Truncated,
    /// By the address.
    Full,
    /// By a word that stands for the address.
    Hash,
    /// Not at all.
    None,
}

impl Choice for LogClient {
    const NAMES: &'static [(&'static str, Self)] =
        &[("truncated", Self::Truncated), ("full", Self::Full), ("hash", Self::Hash), ("none", Self::None)];
}

impl Choice for StoreKind {
    const NAMES: &'static [(&'static str, Self)] = &[("embedded", Self::Embedded), ("redis", Self::Redis)];
}

impl Choice for LogFormat {
    const NAMES: &'static [(&'static str, Self)] = &[("json", Self::Json), ("text", Self::Text)];
}

impl Choice for Level {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("error", Self::ERROR),
        ("warn", Self::WARN),
        ("info", Self::INFO),
        ("debug", Self::DEBUG),
        ("trace", Self::TRACE),
    ];
}
