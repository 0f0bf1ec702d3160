//! The shop behind Weir: its servers, and what they can take.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use http::uri::Authority;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml_diagnostics::{Diagnostic, between};

use super::units::{Size, ms, secs};
use super::value::{AsText as _, FileName, Time, with_port};
use crate::settings::tls::client::{ClientTlsFiles, server_name};

/// `[[upstream]]`: servers that answer for one another, and what they can take together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "servers"]))]
pub struct UpstreamConfig {
    /// Name that routes and rooms refer to: a-z, 0-9 and "-".
    #[schemars(extend("format" = "name"))]
    pub name: String,
    /// Servers, each `host:port`, spoken to in clear HTTP, or `https://host:port`.
    #[schemars(length(min = 1))]
    pub servers: Vec<ShopServer>,
    /// HTTP that they are spoken to: "1.1"; "2", in clear without asking first (h2c); or "auto", what an `https` server
    /// chooses (ALPN), and 1.1 in clear. `WebSocket`s go over 1.1 in any case.
    pub http_version: HttpVersion,
    /// Requests at once on one connection of HTTP/2; fewer if the server takes fewer. Then another one is opened.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_streams: usize,
    /// TLS to those servers that are written with `https`.
    pub tls: Option<UpstreamTlsConfig>,
    /// How often the names of servers are looked up; one that cannot be leads where it led.
    #[serde(with = "Time")]
    #[schemars(transform = between("1s", "1d"))]
    pub resolve_every: Duration,
    /// Requests that all servers together work on at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_in_flight: usize,
    /// Of these, kept for requests with a pass.
    pub pass_reserve: Option<usize>,
    /// Of these, held by one pass once a quarter is in use; further ones wait.
    pub max_in_flight_per_pass: Option<usize>,
    /// The same for one address without a pass (IPv6: one network of 48 bits).
    pub max_in_flight_per_address: Option<usize>,
    /// `WebSocket`s and other upgraded connections open at once; more are answered 503. They hold no request's place.
    #[schemars(range(max = 1_000_000))]
    pub max_upgraded: usize,
    /// Of these, by one pass, or by one address without one.
    pub max_upgraded_per_client: Option<usize>,
    /// An upgraded connection on which no byte moves either way is ended after this.
    #[serde(with = "Time")]
    #[schemars(transform = between("1s", "1d"))]
    pub upgraded_idle_timeout: Duration,
    /// How much of a request's body is gathered before the request takes its place in flight.
    #[schemars(transform = between("0KiB", "16MiB"))]
    pub request_buffer: Size,
    /// How much of an answer is held in memory when its client does not take it, so that the server need not wait.
    #[schemars(transform = between("0KiB", "16MiB"))]
    pub response_buffer: Size,
    /// How much each worker holds in memory of all these; over that, clients are waited for in flight.
    #[schemars(transform = between("0KiB", "64GiB"))]
    pub max_buffered: Size,
    /// How long a client that is slow to send or to take a body is waited for, in all...
    #[serde(with = "Time")]
    #[schemars(transform = between("1s", "1h"))]
    pub pace_grace: Duration,
    /// ...and longer by a second for so much that it sent of a request. "0B" asks for nothing.
    #[schemars(transform = between("0KiB", "1GiB"))]
    pub min_upload_rate: Size,
    /// The same for what it took of an answer over `response_buffer`.
    #[schemars(transform = between("0KiB", "1GiB"))]
    pub min_download_rate: Size,
    /// Headers of an answer; more is an error of the server's.
    #[schemars(range(min = 8, max = 10_000))]
    pub max_response_headers: usize,
    /// How long a request without a pass waits for its turn over that limit.
    #[serde(with = "Time")]
    #[schemars(transform = between("0s", "1m"))]
    pub max_wait: Duration,
    /// How long a request with a pass waits for its turn over that limit.
    #[serde(with = "Time")]
    #[schemars(transform = between("0s", "1m"))]
    pub pass_max_wait: Duration,
    /// How long connecting to a server may take.
    #[serde(with = "Time")]
    #[schemars(transform = between("10ms", "5m"))]
    pub connect_timeout: Duration,
    /// How long a server may take to begin its answer.
    #[serde(with = "Time")]
    #[schemars(transform = between("10ms", "1h"))]
    pub response_timeout: Duration,
    /// Name of a header that tells a server how long its answer is waited for, in milliseconds: such as
    /// "x-envoy-expected-rq-timeout-ms". From a trusted proxy in front it says how long that one waits.
    #[schemars(extend("format" = "timeout_header"))]
    pub timeout_header: Option<String>,
    /// Requests that may be sent again because a server refused them (`REFUSED_STREAM`), for each request: 0 to 1. Ten in ten
    /// seconds may be in any case.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub retry_budget: f64,
    /// How long an unused connection is kept; below the servers' own, or they close it first.
    #[serde(with = "Time")]
    #[schemars(transform = between("100ms", "1h"))]
    pub idle_timeout: Duration,
    /// Unused connections kept by each worker for each server.
    #[schemars(range(max = 100_000))]
    pub max_idle: usize,
    /// Active checks of each server; without it only `eject_after` watches.
    pub health: Option<HealthConfig>,
    /// Failures in a row after which a server gets no requests for a while.
    #[schemars(range(min = 1, max = 1_000))]
    pub eject_after: u32,
    /// How long that is.
    #[serde(with = "Time")]
    #[schemars(transform = between("100ms", "1h"))]
    pub eject_for: Duration,
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            servers: Vec::new(),
            http_version: HttpVersion::One,
            max_streams: 100,
            tls: None,
            resolve_every: secs(30),
            max_in_flight: 200,
            pass_reserve: None,
            max_in_flight_per_pass: None,
            max_in_flight_per_address: None,
            max_upgraded: 2_000,
            max_upgraded_per_client: None,
            upgraded_idle_timeout: secs(60),
            request_buffer: Size(64 << 10),
            response_buffer: Size(64 << 10),
            max_buffered: Size(32 << 20),
            pace_grace: secs(10),
            min_upload_rate: Size(4 << 10),
            min_download_rate: Size(4 << 10),
            max_response_headers: 256,
            max_wait: ms(250),
            pass_max_wait: secs(5),
            connect_timeout: secs(2),
            response_timeout: secs(30),
            timeout_header: None,
            retry_budget: 0.2,
            idle_timeout: ms(1_500),
            max_idle: 64,
            health: None,
            eject_after: 5,
            eject_for: secs(5),
        }
    }
}

/// TLS to the servers of the shop.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamTlsConfig {
    /// Authorities that sign the servers' certificates, PEM; without it those of the system.
    #[serde(with = "FileName")]
    pub ca_file: Option<PathBuf>,
    /// Name that the servers are asked for (SNI) and their certificates are for. Default: host of each server.
    #[schemars(extend("format" = "server_name"))]
    pub server_name: Option<String>,
    /// Certificate that Weir shows to the servers, PEM; needs `key`.
    #[serde(with = "FileName")]
    pub certificate: Option<PathBuf>,
    /// Private key of that certificate, PEM.
    #[serde(with = "FileName")]
    pub key: Option<PathBuf>,
}

impl UpstreamTlsConfig {
    /// What TLS to the servers is set up from.
    pub fn files(&self) -> ClientTlsFiles<'_> {
        ClientTlsFiles {
            ca_file: self.ca_file.as_deref(),
            certificate: self.certificate.as_deref(),
            key: self.key.as_deref(),
            server_name: self.server_name.as_deref(),
        }
    }
}

/// How each server is asked if it is well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["path"]))]
pub struct HealthConfig {
    /// Path that answers 2xx or 3xx when the server is well.
    #[schemars(extend("format" = "absolute_path"))]
    pub path: String,
    /// Time between two checks.
    #[serde(with = "Time")]
    #[schemars(transform = between("100ms", "1h"))]
    pub interval: Duration,
    /// How long a check may take.
    #[serde(with = "Time")]
    #[schemars(transform = between("10ms", "5m"))]
    pub timeout: Duration,
    /// Failed checks in a row after which a server gets no requests.
    #[schemars(range(min = 1, max = 1_000))]
    pub unhealthy_after: u32,
    /// Passed checks in a row after which it gets requests again.
    #[schemars(range(min = 1, max = 1_000))]
    pub healthy_after: u32,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self { path: String::new(), interval: secs(2), timeout: secs(1), unhealthy_after: 3, healthy_after: 2 }
    }
}

/// Which HTTP servers are spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HttpVersion {
    /// 1.1.
    #[serde(rename = "1.1")]
    One,
    /// Over TLS what the server chooses, in clear 1.1.
    #[serde(rename = "auto")]
    Auto,
    /// 2.
    #[serde(rename = "2")]
    Two,
}

/// A server of the shop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "shop_server"))]
pub struct ShopServer {
    /// Whether it is spoken to over TLS.
    pub tls: bool,
    /// Its host and port.
    pub authority: Authority,
}

impl Display for ShopServer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.tls { "https://" } else { "" }, self.authority)
    }
}

impl TryFrom<String> for ShopServer {
    type Error = Diagnostic;

    fn try_from(text: String) -> Result<Self, Diagnostic> {
        let encrypted = text.strip_prefix("https://");
        let server = encrypted.or(text.strip_prefix("http://")).unwrap_or(&text);
        let fix = "write \"host:port\" or \"https://host:port\", such as \"127.0.0.1:9000\"";
        let wrong = || Diagnostic::new(format!("{text:?} is not a server with a port"), fix);
        Ok(Self { tls: encrypted.is_some(), authority: with_port(server).ok_or_else(wrong)? })
    }
}

impl From<ShopServer> for String {
    fn from(server: ShopServer) -> Self {
        server.to_string()
    }
}

/// A header that may say how long an answer is waited for.
pub(super) fn is_timeout_header(name: &str) -> Result<(), Diagnostic> {
    is_free_header(name, "write a name of your own, such as \"x-request-timeout-ms\"")
}

/// A header that may name an operator.
pub(super) fn is_identity_header(name: &str) -> Result<(), Diagnostic> {
    is_free_header(name, "write the name that the proxy sends, such as \"X-Forwarded-User\"")
}

/// No name that has another meaning to HTTP, a shop or Weir.
fn is_free_header(name: &str, how: &str) -> Result<(), Diagnostic> {
    const OF_HTTP: [&str; 12] = [
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let wrong = |what| Diagnostic::new(what, how);
    let plain = name.bytes().all(|byte| byte == b'-' || byte.is_ascii_alphanumeric());
    let parsed = name.parse::<HeaderName>().ok().filter(|_| plain);
    let parsed = parsed.ok_or_else(|| wrong(format!("{name:?} is no name of a header")))?;
    let taken = OF_HTTP.contains(&parsed.as_str()) || parsed.as_str().starts_with("weir-");
    if taken { Err(wrong(format!("{name:?} has a meaning of its own"))) } else { Ok(()) }
}

pub(super) fn is_server_name(name: &str) -> Result<(), Diagnostic> {
    let wrong = || {
        Diagnostic::new(
            format!("{name:?} is no name of a server"),
            "write a domain or an address, without scheme and port",
        )
    };
    server_name(name).map(drop).ok_or_else(wrong)
}

/// A name that fits into a metric's label, a path and a cookie.
pub(super) fn is_name(name: &str) -> Result<(), Diagnostic> {
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let good = (1..=32).contains(&name.len()) && name.bytes().all(fits);
    let wrong = || Diagnostic::new(format!("{name:?} is not a name"), "write 1 to 32 of a-z, 0-9 and \"-\"");
    good.then_some(()).ok_or_else(wrong)
}

/// A path that a request line can carry.
pub(super) fn is_absolute(path: &str) -> Result<(), Diagnostic> {
    let good = path.starts_with('/') && path.parse::<http::uri::PathAndQuery>().is_ok();
    good.then_some(()).ok_or_else(|| Diagnostic::new(format!("{path:?} is not a path"), "write it from \"/\" on"))
}
