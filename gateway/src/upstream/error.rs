//! Failures between a permit and the head of an answer.
//!
//! Facts, not answers: one table elsewhere decides which status a shopper sees.

use std::io;
use std::time::Duration;

use super::http2::{Http2Failure, NotSpoken};
use crate::settings::tls::client::TlsFailure;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No permit became free in time.
    #[error("all permits are in use")]
    Busy {
        /// A sensible time to come back.
        retry_after: Duration,
    },
    /// No permit of the request's room became free in time.
    #[error("all permits of the room are in use")]
    RoomBusy {
        /// A sensible time to come back.
        retry_after: Duration,
    },
    /// The route of the request has all in work that it may have; the place of its pass there is kept.
    #[error("all of the route's requests are in work")]
    Held {
        /// Places of earlier passes.
        ahead: usize,
        /// A sensible time to come back.
        retry_after: Duration,
    },
    /// The same for a request without a pass, which has no place.
    #[error("all of the route's requests are in work")]
    RouteBusy {
        /// A sensible time to come back.
        retry_after: Duration,
    },
    /// All upgraded connections are in use.
    #[error("all upgraded connections are in use")]
    UpgradesFull,
    /// The upstream has no server.
    #[error("no server is configured")]
    NoServer,
    /// No server accepted a connection; this is the last one tried.
    #[error("cannot connect to {server}")]
    Connect {
        /// `host:port`.
        server: String,
        /// Why.
        source: io::Error,
    },
    /// A server accepted the connection, and TLS with it failed; this is the last one tried.
    #[error("no TLS with {server}: {source}")]
    Tls {
        /// `host:port`.
        server: String,
        /// The failure.
        failure: TlsFailure,
        /// Its own words.
        source: io::Error,
    },
    /// A server accepted the connection, and HTTP/2 with it failed.
    #[error("{why}")]
    Http2 {
        /// The failure.
        failure: Http2Failure,
        /// Its own words.
        why: String,
    },
    /// The request asks for another protocol, which takes HTTP/1.1, and the server takes only HTTP/2.
    #[error("no other protocol with a server of HTTP/2: {0}")]
    NoUpgrade(String),
    /// This machine has no descriptor, port or memory left for a connection: no fault of the server's.
    #[error("no descriptor or port left to connect to {server}")]
    Exhausted {
        /// `host:port`.
        server: String,
        /// Why.
        source: io::Error,
    },
    /// The idle connection was closed before the request was sent on it.
    #[error("connection closed before the request was sent")]
    Unsent(#[source] hyper::Error),
    /// Sent, and no head of an answer in time.
    #[error("no answer in time")]
    Timeout,
    /// No answer in the time that the proxy in front gave the request.
    #[error("no answer in the time that the proxy in front waits")]
    Late,
    /// The connection broke before the head of an answer.
    #[error("connection broken before the answer")]
    Reset(#[source] hyper::Error),
    /// The answer is not HTTP/1.
    #[error("answer is not HTTP")]
    Garbage(#[source] hyper::Error),
    /// The head of the answer exceeds the bound on headers or bytes.
    #[error("head of the answer is too large")]
    HeadTooLarge(#[source] Option<hyper::Error>),
    /// 101, unrequested.
    #[error("switched protocols unasked")]
    NotAskedToSwitch,
    /// The shopper broke off while sending the body.
    #[error("shopper broke off the request")]
    ClientGone(#[source] hyper::Error),
    /// The shopper stopped sending the body.
    #[error("shopper sent nothing of the request in time")]
    ClientSlow,
}

/// Whether an error of `connect` is about this machine: EMFILE, ENFILE, ENOBUFS, ENOMEM or EADDRNOTAVAIL.
pub(super) fn is_local(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(24 | 23 | 105 | 12 | 99))
}

impl UpstreamError {
    /// Why there is no connection to this server.
    pub(super) fn connecting(server: String, source: io::Error) -> Self {
        if NotSpoken::is(&source) {
            return Self::Http2 { failure: Http2Failure::NotSpoken, why: format!("{server} speaks {source}") };
        }
        match TlsFailure::of(&source) {
            _ if is_local(&source) => Self::Exhausted { server, source },
            Some(failure) => Self::Tls { server, failure, source },
            None => Self::Connect { server, source },
        }
    }

    /// Whether it is the server's fault: not a lack of room here, and not the client's.
    pub(super) fn is_the_servers(&self) -> bool {
        match self {
            Self::Busy { .. }
            | Self::RoomBusy { .. }
            | Self::Held { .. }
            | Self::RouteBusy { .. }
            | Self::UpgradesFull
            | Self::NoServer
            | Self::NoUpgrade(_)
            | Self::Exhausted { .. }
            | Self::Unsent(_)
            | Self::Late
            | Self::ClientGone(_)
            | Self::ClientSlow => false,
            Self::Connect { .. }
            | Self::Tls { .. }
            | Self::Http2 { .. }
            | Self::Timeout
            | Self::Reset(_)
            | Self::Garbage(_)
            | Self::HeadTooLarge(_)
            | Self::NotAskedToSwitch => true,
        }
    }
}
