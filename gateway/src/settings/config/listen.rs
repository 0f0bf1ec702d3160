//! Where connections arrive, and what each may take.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml_diagnostics::{between, default_is};

use super::units::{Size, secs};
use super::value::{Address, AsText as _, FileName, Network, Time};

/// `[listen]`: where connections arrive, and what each may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListenConfig {
    /// Addresses for HTTP/1.1 and HTTP/2 in clear.
    #[schemars(with = "Vec<Address>")]
    pub http: Vec<SocketAddr>,
    /// Addresses for TLS; needs a `tls` section.
    #[schemars(with = "Vec<Address>")]
    pub https: Vec<SocketAddr>,
    /// Who comes without TLS is sent to the same address over TLS, on its usual port (308). Answers under `/.weir/` are not.
    pub redirect_to_https: bool,
    /// For so long browsers come over TLS alone, by `Strict-Transport-Security` in answers over TLS; "0s" takes it back. What
    /// the shop says of it stays. No default: nothing is said.
    #[serde(with = "Time")]
    #[schemars(transform = between("0s", "730d"))]
    pub hsts: Option<Duration>,
    /// Browsers hold that for all names below the host as well.
    pub hsts_include_subdomains: bool,
    /// Those of these addresses where each connection begins with a PROXY header, version 1 or 2, of a proxy in `trusted_proxies`;
    /// on `https` before TLS. Whoever it names is the client.
    #[schemars(with = "Vec<Address>")]
    pub proxy_protocol: Vec<SocketAddr>,
    /// Address of the operator's API, health and metrics; outside loopback it needs `admin_token_file`.
    #[schemars(with = "Address")]
    pub admin: SocketAddr,
    /// File with the token that the operator's API asks for.
    #[serde(with = "FileName")]
    pub admin_token_file: Option<PathBuf>,
    /// File of operators with a name and a role (`weir operators add`); each shows a token of their own. It is read again when it
    /// changes, and made with the first of them.
    #[serde(with = "FileName")]
    pub admin_operators_file: Option<PathBuf>,
    /// Names by which the operator's API is asked, beside addresses and localhost.
    pub admin_hosts: Vec<String>,
    /// Threads that serve shoppers.
    #[schemars(range(min = 1, max = 1_024), transform = default_is("one for each core"))]
    pub workers: usize,
    /// Connections open at once. For one more, the longest idle without a pass is closed.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_connections: usize,
    /// The same for one client, an IPv4 address or an IPv6 /64; a /48 has 16 times as many, a trusted proxy no bound.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_connections_per_client: usize,
    /// How long an unused connection of a pass holder is kept, and one on which an answer is not taken.
    #[serde(with = "Time")]
    #[schemars(transform = between("1s", "1h"))]
    pub idle_timeout: Duration,
    /// How long an unused connection of anybody else is kept.
    #[serde(with = "Time")]
    #[schemars(transform = between("1s", "1h"))]
    pub waiting_idle_timeout: Duration,
    /// How long sending the head of a request may take.
    #[serde(with = "Time")]
    #[schemars(transform = between("100ms", "10m"))]
    pub header_timeout: Duration,
    /// Streams at once of a connection of HTTP/2.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_streams: u32,
    /// How many of them are worked on before a pass was shown on it; the others wait for their turn.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_streams_without_pass: u32,
    /// Bytes of answers that a connection of HTTP/2 has not taken; more is not asked of the upstream. A trusted proxy has no bound.
    #[schemars(transform = between("16KiB", "1GiB"))]
    pub answer_buffer_per_connection: Size,
    /// The same for all connections, and 2 KiB for each stream. Above it those that take nothing are closed, pass holders last.
    #[schemars(transform = between("1MiB", "1024GiB"))]
    pub answer_buffer: Size,
    /// Headers of a request.
    #[schemars(range(min = 8, max = 10_000))]
    pub max_headers: usize,
    /// Size of the head of a request.
    #[schemars(transform = between("8KiB", "1MiB"))]
    pub max_header_size: Size,
    /// Proxies whose X-Forwarded-For, X-Forwarded-Proto and Forwarded are believed, and PROXY headers.
    #[serde(with = "Network")]
    #[schemars(with = "Vec<Network>")]
    pub trusted_proxies: Vec<IpNet>,
    /// How long readiness fails before new connections are refused.
    #[serde(with = "Time")]
    #[schemars(transform = between("0s", "10m"))]
    pub shutdown_delay: Duration,
    /// How long open requests may take to end after that.
    #[serde(with = "Time")]
    #[schemars(transform = between("0s", "1h"))]
    pub shutdown_timeout: Duration,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            http: vec![local(8080)],
            https: Vec::new(),
            redirect_to_https: false,
            hsts: None,
            hsts_include_subdomains: false,
            proxy_protocol: Vec::new(),
            admin: local(9090),
            admin_token_file: None,
            admin_operators_file: None,
            admin_hosts: Vec::new(),
            workers: cores(),
            max_connections: 50_000,
            max_connections_per_client: 4_000,
            idle_timeout: secs(75),
            waiting_idle_timeout: secs(10),
            header_timeout: secs(10),
            max_streams: 128,
            max_streams_without_pass: 32,
            answer_buffer_per_connection: Size(256 << 10),
            answer_buffer: Size(256 << 20),
            max_headers: 100,
            max_header_size: Size(64 << 10),
            trusted_proxies: Vec::new(),
            shutdown_delay: secs(0),
            shutdown_timeout: secs(30),
        }
    }
}

/// `[[tls]]`: a certificate, used for the names that it holds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["certificate", "key"]))]
pub struct TlsConfig {
    /// Certificate and its chain, PEM.
    #[serde(with = "FileName")]
    pub certificate: PathBuf,
    /// Private key, PEM.
    #[serde(with = "FileName")]
    pub key: PathBuf,
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(1_024)
}
