//! The address of one server: where its name leads now, and a connection there, over TLS or not.
//!
//! Out of scope: when a name is looked up ([`super::health`]), and the requests.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use http::uri::{Authority, Scheme};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::http2::{Http2Failure, NotSpoken};
use crate::settings::config::HttpVersion;
use crate::settings::tls::client::{ClientTls, HTTP1, HTTP2, TlsFailure, server_name};

/// A server's address, and how to connect to it.
pub(super) struct ServerAddress {
    /// `host:port`.
    pub(super) address: String,
    /// The host, if it is a name, and the port.
    name: Option<(String, u16)>,
    /// The addresses of the name at the last look-up; empty before.
    known: ArcSwap<Vec<SocketAddr>>,
    /// Whether the last look-up succeeded.
    resolved: AtomicBool,
    /// How often a look-up dropped an address.
    moves: AtomicU64,
    version: HttpVersion,
    tls: Option<Encryption>,
    /// Counts of failures of HTTP/2.
    http2_failures: [AtomicU64; Http2Failure::ALL.len()],
}

struct Encryption {
    /// For requests that need HTTP/1.1.
    http1: TlsConnector,
    /// For requests.
    any: TlsConnector,
    name: Option<ServerName<'static>>,
    /// Counts of failures.
    failures: [AtomicU64; TlsFailure::ALL.len()],
}

impl std::fmt::Debug for ServerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerAddress")
            .field("address", &self.address)
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

/// The change after a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    Nothing,
    /// The name leads elsewhere.
    Moved,
    /// The look-up fails now.
    Lost,
    /// The look-up succeeds again.
    Found,
}

impl ServerAddress {
    /// To `host:port`, or `https://host:port`.
    pub(super) fn new(written: &str, tls: Option<&ClientTls>, version: HttpVersion) -> Self {
        let encrypted = written.strip_prefix("https://");
        let address = encrypted.unwrap_or(written).to_owned();
        let authority = address.parse::<Authority>().ok();
        let host = authority.as_ref().map_or("", |authority| authority.host().trim_matches(['[', ']'])).to_owned();
        let port = authority.as_ref().and_then(Authority::port_u16).unwrap_or_default();
        let tls = encrypted.and(tls).map(|tls| Encryption {
            http1: TlsConnector::from(tls.config.clone()),
            any: TlsConnector::from(match version {
                HttpVersion::One => tls.config.clone(),
                HttpVersion::Auto => tls.offering(&[HTTP2, HTTP1]),
                HttpVersion::Two => tls.offering(&[HTTP2]),
            }),
            name: tls.name.clone().or_else(|| server_name(&host)),
            failures: Default::default(),
        });
        let literal = host.parse::<IpAddr>().ok();
        Self {
            address,
            name: if literal.is_some() { None } else { Some((host, port)) },
            known: ArcSwap::from_pointee(literal.map(|ip| SocketAddr::new(ip, port)).into_iter().collect()),
            resolved: AtomicBool::new(true),
            moves: AtomicU64::new(0),
            version,
            tls,
            http2_failures: Default::default(),
        }
    }

    /// The name and port, if it is no address.
    pub(super) fn name(&self) -> Option<(&str, u16)> {
        self.name.as_ref().map(|(host, port)| (host.as_str(), *port))
    }

    /// Whether the last look-up of its name succeeded.
    pub(super) fn is_resolved(&self) -> bool {
        self.resolved.load(Ordering::Relaxed)
    }

    /// Grows when open connections may lead to an address that the name has left.
    pub(super) fn moves(&self) -> u64 {
        self.moves.load(Ordering::Relaxed)
    }

    /// Notes the result of a look-up; an empty one changes no address.
    pub(super) fn learn(&self, found: Vec<SocketAddr>) -> Lookup {
        if found.is_empty() {
            let was = self.resolved.swap(false, Ordering::Relaxed);
            return if was { Lookup::Lost } else { Lookup::Nothing };
        }
        let before = self.known.load();
        let (lost, gained) =
            (before.iter().any(|old| !found.contains(old)), found.iter().any(|new| !before.contains(new)));
        let first = before.is_empty();
        if lost || gained {
            self.known.store(Arc::new(found));
        }
        if lost {
            self.moves.fetch_add(1, Ordering::Relaxed);
        }
        match self.resolved.swap(true, Ordering::Relaxed) {
            false => Lookup::Found,
            true if (lost || gained) && !first => Lookup::Moved,
            true => Lookup::Nothing,
        }
    }

    /// Counts of failures of TLS; `None` if the server is used in clear.
    pub(super) fn tls_failures(&self) -> Option<[(TlsFailure, u64); TlsFailure::ALL.len()]> {
        let failures = &self.tls.as_ref()?.failures;
        Some(TlsFailure::ALL.map(|failure| (failure, failures[failure as usize].load(Ordering::Relaxed))))
    }

    /// Whether requests may go by HTTP/2.
    pub(super) fn may_speak_http2(&self) -> bool {
        match self.version {
            HttpVersion::One => false,
            HttpVersion::Auto => self.tls.is_some(),
            HttpVersion::Two => true,
        }
    }

    /// Counts of failures of HTTP/2; `None` if it is not used.
    pub(super) fn http2_failures(&self) -> Option<[(Http2Failure, u64); Http2Failure::ALL.len()]> {
        let count = |failure| (failure, self.http2_failures[failure as usize].load(Ordering::Relaxed));
        self.may_speak_http2().then(|| Http2Failure::ALL.map(count))
    }

    pub(super) fn met(&self, failure: Http2Failure) {
        self.http2_failures[failure as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A new connection, and whether HTTP/2 is to be spoken on it; `http1`: it must not.
    pub(super) async fn connect(&self, http1: bool) -> io::Result<(Wire, bool)> {
        let known = self.known.load_full();
        let stream = match known.as_slice() {
            [] => TcpStream::connect(&self.address).await?,
            known => TcpStream::connect(known).await?,
        };
        stream.set_nodelay(true)?;
        let only_http2 = self.version == HttpVersion::Two && !http1;
        let Some(tls) = &self.tls else { return Ok((Wire::Plain(stream), only_http2)) };
        let name = tls.name.clone().ok_or_else(|| io::Error::other("no certificate can be for this host"))?;
        let connector = if http1 { &tls.http1 } else { &tls.any };
        let shaken = connector.connect(name, stream).await;
        if let Some(failure) = shaken.as_ref().err().and_then(TlsFailure::of) {
            tls.failures[failure as usize].fetch_add(1, Ordering::Relaxed);
        }
        let stream = Box::new(shaken?);
        let http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
        if only_http2 && !http2 {
            return Err(NotSpoken::told("it does not offer h2 (ALPN)"));
        }
        Ok((Wire::Tls(stream), http2))
    }
}

/// A connection to a server. Over TLS boxed: most are not, and need not be as large.
#[derive(Debug)]
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// The scheme of requests over it.
    pub(super) fn scheme(&self) -> Scheme {
        match self {
            Self::Plain(_) => Scheme::HTTP,
            Self::Tls(_) => Scheme::HTTPS,
        }
    }

    /// The socket itself.
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 80))
    }

    #[test]
    fn a_name_that_cannot_be_looked_up_leads_where_it_led() {
        let way = ServerAddress::new("shop.internal:80", None, HttpVersion::One);
        assert_eq!(way.name(), Some(("shop.internal", 80)));
        assert_eq!((way.learn(vec![at(1)]), way.moves()), (Lookup::Nothing, 0));
        assert_eq!((way.learn(Vec::new()), way.learn(Vec::new())), (Lookup::Lost, Lookup::Nothing));
        assert!(!way.is_resolved() && *way.known.load_full() == [at(1)]);
        assert_eq!((way.learn(vec![at(1)]), way.moves()), (Lookup::Found, 0));
        assert_eq!((way.learn(vec![at(2), at(1)]), way.moves()), (Lookup::Moved, 0), "nothing is lost");
        assert_eq!((way.learn(vec![at(1), at(2)]), way.moves()), (Lookup::Nothing, 0), "in another order");
        assert_eq!((way.learn(vec![at(2)]), way.moves()), (Lookup::Moved, 1));
    }

    #[test]
    fn an_address_is_no_name() {
        for written in ["127.0.0.1:80", "[::1]:80", "https://127.0.0.1:443"] {
            let way = ServerAddress::new(written, None, HttpVersion::One);
            assert!(way.name().is_none() && way.known.load().len() == 1, "{written}");
        }
    }
}
