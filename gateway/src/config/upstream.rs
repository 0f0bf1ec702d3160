//! The shop behind Weir: its servers, and what they can take.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::time::Duration;

use http::uri::Authority;
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use super::problem::Diagnostic;
use super::table::section;
use super::units::{Size, hours, mins, ms, secs};
use super::value::{Choice, Scalar, text, with_port};
use crate::tls::client::{ClientTlsFiles, server_name};

section! {
    /// `[[upstream]]`: servers that answer for one another, and what they can take together.
    UpstreamConfig {
        /// Name that routes and rooms refer to: a-z, 0-9 and "-".
        name: String = must(is_name).required(),
        /// Servers, each `host:port`, spoken to in clear HTTP, or `https://host:port`.
        servers: Vec<ShopServer> = filled().required(),
        /// HTTP that they are spoken to: "1.1"; "2", in clear without asking first (h2c); or "auto", what an `https` server
        /// chooses (ALPN), and 1.1 in clear. `WebSocket`s go over 1.1 in any case.
        http_version: HttpVersion = or(HttpVersion::One),
        /// Requests at once on one connection of HTTP/2; fewer if the server takes fewer. Then another one is opened.
        max_streams: usize = between(1, 10_000).or(100),
        /// TLS to those servers that are written with `https`.
        tls: Option<UpstreamTlsConfig> = optional(),
        /// How often the names of servers are looked up; one that cannot be leads where it led.
        resolve_every: Duration = between(secs(1), hours(24)).or(secs(30)),
        /// Requests that all servers together work on at once.
        max_in_flight: usize = between(1, 1_000_000).or(200),
        /// Of these, kept for requests with a pass.
        pass_reserve: Option<usize> = optional(),
        /// Of these, held by one pass once a quarter is in use; further ones wait.
        max_in_flight_per_pass: Option<usize> = optional(),
        /// The same for one address without a pass (IPv6: one network of 48 bits).
        max_in_flight_per_address: Option<usize> = optional(),
        /// `WebSocket`s and other upgraded connections open at once; more are answered 503. They hold no request's place.
        max_upgraded: usize = between(0, 1_000_000).or(2_000),
        /// Of these, by one pass, or by one address without one.
        max_upgraded_per_client: Option<usize> = optional(),
        /// An upgraded connection on which no byte moves either way is ended after this.
        upgraded_idle_timeout: Duration = between(secs(1), hours(24)).or(secs(60)),
        /// How much of a request's body is gathered before the request takes its place in flight.
        request_buffer: Size = between(Size(0), Size(16 << 20)).or(Size(64 << 10)),
        /// How much of an answer is held in memory when its client does not take it, so that the server need not wait.
        response_buffer: Size = between(Size(0), Size(16 << 20)).or(Size(64 << 10)),
        /// How much each worker holds in memory of all these; over that, clients are waited for in flight.
        max_buffered: Size = between(Size(0), Size(64 << 30)).or(Size(32 << 20)),
        /// How long a client that is slow to send or to take a body is waited for, in all...
        pace_grace: Duration = between(secs(1), hours(1)).or(secs(10)),
        /// ...and longer by a second for so much that it sent of a request. "0B" asks for nothing.
        min_upload_rate: Size = between(Size(0), Size(1 << 30)).or(Size(4 << 10)),
        /// The same for what it took of an answer over `response_buffer`.
        min_download_rate: Size = between(Size(0), Size(1 << 30)).or(Size(4 << 10)),
        /// Headers of an answer; more is an error of the server's.
        max_response_headers: usize = between(8, 10_000).or(256),
        /// How long a request without a pass waits for its turn over that limit.
        max_wait: Duration = between(secs(0), mins(1)).or(ms(250)),
        /// How long a request with a pass waits for its turn over that limit.
        pass_max_wait: Duration = between(secs(0), mins(1)).or(secs(5)),
        /// How long connecting to a server may take.
        connect_timeout: Duration = between(ms(10), mins(5)).or(secs(2)),
        /// How long a server may take to begin its answer.
        response_timeout: Duration = between(ms(10), hours(1)).or(secs(30)),
        /// How long an unused connection is kept; below the servers' own, or they close it first.
        idle_timeout: Duration = between(ms(100), hours(1)).or(ms(1_500)),
        /// Unused connections kept by each worker for each server.
        max_idle: usize = between(0, 100_000).or(64),
        /// Active checks of each server; without it only `eject_after` watches.
        health: Option<HealthConfig> = optional(),
        /// Failures in a row after which a server gets no requests for a while.
        eject_after: u32 = between(1, 1_000).or(5),
        /// How long that is.
        eject_for: Duration = between(ms(100), hours(1)).or(secs(5)),
    }
}

section! {
    /// TLS to the servers of the shop.
    UpstreamTlsConfig {
        /// Authorities that sign the servers' certificates, PEM; without it those of the system.
        ca_file: Option<PathBuf> = optional(),
        /// Name that the servers are asked for (SNI) and their certificates are for. Default: host of each server.
        server_name: Option<String> = must(is_server_name).optional(),
        /// Certificate that Weir shows to the servers, PEM; needs `key`.
        certificate: Option<PathBuf> = optional(),
        /// Private key of that certificate, PEM.
        key: Option<PathBuf> = optional(),
    }
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

section! {
    /// How each server is asked if it is well.
    HealthConfig {
        /// Path that answers 2xx or 3xx when the server is well.
        path: String = must(is_absolute).required(),
        /// Time between two checks.
        interval: Duration = between(ms(100), hours(1)).or(secs(2)),
        /// How long a check may take.
        timeout: Duration = between(ms(10), mins(5)).or(secs(1)),
        /// Failed checks in a row after which a server gets no requests.
        unhealthy_after: u32 = between(1, 1_000).or(3),
        /// Passed checks in a row after which it gets requests again.
        healthy_after: u32 = between(1, 1_000).or(2),
    }
}

/// Which HTTP servers are spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersion {
    /// 1.1.
    One,
    /// Over TLS what the server chooses, in clear 1.1.
    Auto,
    /// 2.
    Two,
}

impl Choice for HttpVersion {
    const NAMES: &'static [(&'static str, Self)] = &[("1.1", Self::One), ("auto", Self::Auto), ("2", Self::Two)];
}

/// A server of the shop.
#[derive(Debug, Clone, PartialEq, Eq)]
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

impl Scalar for ShopServer {
    fn parse(value: &DeValue<'_>) -> Result<Self, Diagnostic> {
        let text = text(value, "a server")?;
        let encrypted = text.strip_prefix("https://");
        let server = encrypted.or(text.strip_prefix("http://")).unwrap_or(text);
        let fix = "write \"host:port\" or \"https://host:port\", such as \"127.0.0.1:9000\"";
        let wrong = || Diagnostic::new(format!("{text:?} is not a server with a port"), fix);
        Ok(Self { tls: encrypted.is_some(), authority: with_port(server).ok_or_else(wrong)? })
    }

    fn schema() -> Json {
        json!({ "type": "string" })
    }

    fn show(&self) -> Json {
        json!(self.to_string())
    }
}

fn is_server_name(name: &String) -> Result<(), Diagnostic> {
    let wrong = || {
        Diagnostic::new(
            format!("{name:?} is no name of a server"),
            "write a domain or an address, without scheme and port",
        )
    };
    server_name(name).map(drop).ok_or_else(wrong)
}

/// A name that fits into a metric's label, a path and a cookie.
pub(super) fn is_name(name: &String) -> Result<(), Diagnostic> {
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let good = (1..=32).contains(&name.len()) && name.bytes().all(fits);
    let wrong = || Diagnostic::new(format!("{name:?} is not a name"), "write 1 to 32 of a-z, 0-9 and \"-\"");
    good.then_some(()).ok_or_else(wrong)
}

/// A path that a request line can carry.
fn is_absolute(path: &String) -> Result<(), Diagnostic> {
    let good = path.starts_with('/') && path.parse::<http::uri::PathAndQuery>().is_ok();
    good.then_some(()).ok_or_else(|| Diagnostic::new(format!("{path:?} is not a path"), "write it from \"/\" on"))
}
