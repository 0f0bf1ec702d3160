//! Where connections arrive, and what each may take.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::table::section;
use super::units::{Size, hours, mins, ms, secs};

section! {
    /// `[listen]`: where connections arrive, and what each may take.
    ListenConfig {
        /// Addresses for HTTP/1.1 and HTTP/2 in clear.
        http: Vec<SocketAddr> = or(vec![local(8080)]),
        /// Addresses for TLS; needs a `tls` section.
        https: Vec<SocketAddr> = or(Vec::new()),
        /// Who comes without TLS is sent to the same address over TLS, on its usual port (308). Answers under `/.weir/` are not.
        redirect_to_https: bool = or(false),
        /// For so long browsers come over TLS alone, by `Strict-Transport-Security` in answers over TLS; "0s" takes it back. What
        /// the shop says of it stays. No default: nothing is said.
        hsts: Option<Duration> = between(secs(0), hours(24 * 730)).optional(),
        /// Browsers hold that for all names below the host as well.
        hsts_include_subdomains: bool = or(false),
        /// Those of these addresses where each connection begins with a PROXY header, version 1 or 2, of a proxy in `trusted_proxies`;
        /// on `https` before TLS. Whoever it names is the client.
        proxy_protocol: Vec<SocketAddr> = or(Vec::new()),
        /// Address of the operator's API, health and metrics; outside loopback it needs `admin_token_file`.
        admin: SocketAddr = or(local(9090)),
        /// File with the token that the operator's API asks for.
        admin_token_file: Option<PathBuf> = optional(),
        /// Names by which the operator's API is asked without a token, beside addresses and localhost.
        admin_hosts: Vec<String> = or(Vec::new()),
        /// Threads that serve shoppers.
        workers: usize = between(1, 1_024).or_from("one for each core", cores()),
        /// Connections open at once. For one more, the longest idle without a pass is closed.
        max_connections: usize = between(1, 10_000_000).or(50_000),
        /// The same for one client, an IPv4 address or an IPv6 /64; a /48 has 16 times as many, a trusted proxy no bound.
        max_connections_per_client: usize = between(1, 10_000_000).or(4_000),
        /// How long an unused connection of a pass holder is kept, and one on which an answer is not taken.
        idle_timeout: Duration = between(secs(1), hours(1)).or(secs(75)),
        /// How long an unused connection of anybody else is kept.
        waiting_idle_timeout: Duration = between(secs(1), hours(1)).or(secs(10)),
        /// How long sending the head of a request may take.
        header_timeout: Duration = between(ms(100), mins(10)).or(secs(10)),
        /// Streams at once of a connection of HTTP/2.
        max_streams: u32 = between(1, 10_000).or(128),
        /// How many of them are worked on before a pass was shown on it; the others wait for their turn.
        max_streams_without_pass: u32 = between(1, 10_000).or(32),
        /// Bytes of answers that a connection of HTTP/2 has not taken; more is not asked of the upstream. A trusted proxy has no bound.
        answer_buffer_per_connection: Size = between(Size(16 << 10), Size(1 << 30)).or(Size(256 << 10)),
        /// The same for all connections, and 2 KiB for each stream. Above it those that take nothing are closed, pass holders last.
        answer_buffer: Size = between(Size(1 << 20), Size(1 << 40)).or(Size(256 << 20)),
        /// Headers of a request.
        max_headers: usize = between(8, 10_000).or(100),
        /// Size of the head of a request.
        max_header_size: Size = between(Size(8 << 10), Size(1 << 20)).or(Size(64 << 10)),
        /// Proxies whose X-Forwarded-For, X-Forwarded-Proto and Forwarded are believed, and PROXY headers.
        trusted_proxies: Vec<IpNet> = or(Vec::new()),
        /// How long readiness fails before new connections are refused.
        shutdown_delay: Duration = between(secs(0), mins(10)).or(secs(0)),
        /// How long open requests may take to end after that.
        shutdown_timeout: Duration = between(secs(0), hours(1)).or(secs(30)),
    }
}

section! {
    /// `[[tls]]`: a certificate, used for the names that it holds.
    TlsConfig {
        /// Certificate and its chain, PEM.
        certificate: PathBuf = required(),
        /// Private key, PEM.
        key: PathBuf = required(),
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(1_024)
}
