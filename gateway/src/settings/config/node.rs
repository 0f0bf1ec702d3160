//! What belongs to the gateway itself: its name, its store, its quotas and its log.

use std::path::PathBuf;

use http::uri::Authority;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml_diagnostics::{Diagnostic, default_is};
use tracing::Level;

use super::redis::{LoginConfig, StoreTlsConfig};
use super::value::{AsText as _, FileName, LogLevel, Server};

/// `[node]`: this gateway among others.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NodeConfig {
    /// Its name in `/api/gateways`. Default: name of the host and port of `listen.admin`.
    #[schemars(extend("format" = "node_name"))]
    pub name: Option<String>,
}

/// `[metrics]`: what the operator's listener tells under `/metrics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Whether rooms are told of in which nothing has happened for ten minutes.
    pub idle_rooms: bool,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { idle_rooms: true }
    }
}

/// `[store]`: where places in a line are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Which store.
    pub kind: StoreKind,
    /// File of the embedded store, made on first start.
    #[serde(with = "FileName")]
    pub path: PathBuf,
    /// Address of a stand-alone Redis or Valkey 7, for kind = "redis".
    #[schemars(extend("format" = "redis_url"))]
    pub url: Option<String>,
    /// Sentinels to ask for the server instead, each "host:port"; needs `master`.
    #[serde(with = "Server")]
    #[schemars(with = "Vec<Server>")]
    pub sentinels: Vec<Authority>,
    /// What the sentinels call the server.
    pub master: Option<String>,
    /// Servers of a Cluster instead, each "host:port"; those that are not listed are found.
    #[serde(with = "Server")]
    #[schemars(with = "Vec<Server>")]
    pub cluster: Vec<Authority>,
    /// Who Weir is to Redis.
    pub login: LoginConfig,
    /// Who Weir is to the sentinels.
    pub sentinel_login: LoginConfig,
    /// TLS to Redis and to its sentinels.
    pub tls: Option<StoreTlsConfig>,
    /// File of the secret that seals tickets and passes, one key a line: the first seals, all open. With the
    /// embedded store it is made on first start (mode 0600); gateways that share a line need the same one.
    /// The variable `WEIR_SECRET` goes before it.
    #[serde(with = "FileName")]
    #[schemars(transform = default_is("`path` with the ending .secret"))]
    pub secret_file: PathBuf,
    /// File of the audit: every line of what operators did that this gateway saw, made with the first of them. At 16 MiB it is put
    /// aside, with ".1" behind its name.
    #[serde(with = "FileName")]
    #[schemars(transform = default_is("`path` with the ending .audit"))]
    pub audit_file: PathBuf,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            kind: StoreKind::Embedded,
            path: PathBuf::from("weir.redb"),
            url: None,
            sentinels: Vec::new(),
            master: None,
            cluster: Vec::new(),
            login: LoginConfig::default(),
            sentinel_login: LoginConfig::default(),
            tls: None,
            secret_file: PathBuf::new(),
            audit_file: PathBuf::new(),
        }
    }
}

/// `[quota]`: what one client may ask of a room. A client is the holder of a place, or an address (IPv6: a /64, and
/// its /48 with 16 times as much). Traffic of no room, `bypass` paths and answers that cost nothing are not charged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QuotaConfig {
    /// Requests per second of each holder of a place or pass, and of each address that shows tokens with a broken seal.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_second: u32,
    /// The same, at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub request_burst: u32,
    /// New places in a line per second of each address. Over it nobody is refused: newcomers confirm first, by
    /// coming back with the cookie of the answer, which a browser does by itself.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub joins_per_second: u32,
    /// New places at once of each address.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub join_burst: u32,
    /// Confirmed new places per second of each address: hundreds may share one.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub confirmed_joins_per_second: u32,
    /// Confirmed new places at once of each address.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub confirmed_join_burst: u32,
    /// Returns from a payment without a pass, to a room's `return_paths`, per second of each address.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub returns_per_second: u32,
    /// The same, at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub return_burst: u32,
    /// Clients remembered one by one; more share their quotas.
    #[schemars(range(min = 1_000, max = 100_000_000))]
    pub max_clients: usize,
}

impl Default for QuotaConfig {
    fn default() -> Self {
        Self {
            requests_per_second: 50,
            request_burst: 200,
            joins_per_second: 10,
            join_burst: 100,
            confirmed_joins_per_second: 100,
            confirmed_join_burst: 1_000,
            returns_per_second: 5,
            return_burst: 50,
            max_clients: 200_000,
        }
    }
}

/// `[log]`: what is written: events to standard error, access lines to standard output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Form of a line.
    pub format: LogFormat,
    /// Least important lines that are written.
    #[serde(with = "LogLevel")]
    pub level: Level,
    /// One line for each request, on standard output.
    pub access: bool,
    /// How access lines name the shopper: "truncated" by the network (/24, of IPv6 /48), "full" by the address, "hash" by a
    /// word that follows from address and secret, or "none".
    pub client: LogClient,
    /// Access lines hold the query of the path.
    pub query: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Json, level: Level::INFO, access: true, client: LogClient::Truncated, query: false }
    }
}

/// Which store keeps the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// In this process, durable in a file.
    Embedded,
    /// In Redis or Valkey, shared by several gateways.
    Redis,
}

pub(super) fn is_node_name(name: &str) -> Result<(), Diagnostic> {
    let fits = |c: u8| c.is_ascii_alphanumeric() || b".:-_".contains(&c);
    let good = (1..=64).contains(&name.len()) && name.bytes().all(fits);
    let wrong = || Diagnostic::new(format!("{name:?} is not a name"), "write 1 to 64 of A-Z, a-z, 0-9 and \".:-_\"");
    good.then_some(()).ok_or_else(wrong)
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For machines.
    Json,
    /// For people.
    Text,
}

/// How an access line names the shopper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
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
