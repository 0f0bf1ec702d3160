//! The host that a request is for.
//!
//! A browser names the same host in every request of a connection, so the values derived from it are
//! computed once for a connection and shared by its requests ([`crate::client::connection_cache`]).

use std::cell::OnceCell;
use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderValue, Version};
use policy::scope::bare_host;

use super::{Head, Peer};

/// Why the host of a request is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHost {
    /// Neither in the request line nor in a header.
    #[error("no host")]
    Missing,
    /// More than one Host header.
    #[error("more than one Host header")]
    Several,
    /// The request line or `:authority` names one, the Host header another.
    #[error("two hosts")]
    Two,
    /// Not a name or address with an optional port.
    #[error("not a host")]
    Malformed,
}

/// A host, with the values derived from it.
#[derive(Debug)]
pub struct Host {
    /// As it was sent, with its port.
    pub sent: HeaderValue,
    /// Without port and trailing dot, in lower case.
    pub bare: String,
    /// [`Host::forwarded`] without and with TLS.
    forwarded: [OnceCell<HeaderValue>; 2],
}

impl Host {
    /// The host of this name.
    ///
    /// # Errors
    /// If it is not a name or address with an optional port.
    pub fn of(sent: &[u8]) -> Result<Self, BadHost> {
        let text = std::str::from_utf8(sent).ok().filter(|text| is_host(text)).ok_or(BadHost::Malformed)?;
        let value = HeaderValue::from_str(text).map_err(|_| BadHost::Malformed)?;
        Ok(Self { sent: value, bare: bare_host(text).into_owned(), forwarded: Default::default() })
    }

    /// `for=192.0.2.1;host=shop.example.com;proto=https`, for requests of one peer.
    pub fn forwarded(&self, peer: &Peer, tls: bool) -> HeaderValue {
        self.forwarded[usize::from(tls)].get_or_init(|| self.element(peer, tls)).clone()
    }

    fn element(&self, peer: &Peer, tls: bool) -> HeaderValue {
        let client = match peer.address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("\"[{address}]\""),
        };
        let host = self.sent.to_str().unwrap_or_default();
        let quote = if host.contains(':') { "\"" } else { "" };
        let proto = if tls { "https" } else { "http" };
        let element = format!("for={client};host={quote}{host}{quote};proto={proto}");
        HeaderValue::try_from(element).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// The host that a request names, unread: `:authority`, the absolute form, or the one Host header, in
/// this order. A proxy before Weir may have routed by the header, so it has to name the same host, and HTTP/1.1
/// requires it (RFC 9112 3.2).
///
/// # Errors
/// If there is none, or more than one.
pub fn sent_host<'a>(head: &Head<'a>) -> Result<&'a [u8], BadHost> {
    if head.host.several {
        return Err(BadHost::Several);
    }
    match (head.parts.uri.authority(), head.host.first) {
        (Some(_), None) if head.parts.version == Version::HTTP_11 => Err(BadHost::Missing),
        (Some(authority), Some(header)) if !is_same(authority, header) => Err(BadHost::Two),
        (Some(authority), _) => Ok(authority.as_str().as_bytes()),
        (None, Some(header)) => Ok(header.as_bytes()),
        (None, None) => Err(BadHost::Missing),
    }
}

fn is_same(authority: &Authority, header: &HeaderValue) -> bool {
    header.to_str().is_ok_and(|header| bare_host(header) == bare_host(authority.as_str()))
}

fn is_host(host: &str) -> bool {
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_domain = |name: &str| name.bytes().all(in_name) && !name.is_empty() && !name.starts_with('.');
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let is_address = |address: &str| address.parse::<std::net::Ipv6Addr>().is_ok();
    if is_domain(host) {
        return true;
    }
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            is_address(address) && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
        }
        None => host.split_once(':').is_some_and(|(name, port)| is_domain(name) && is_port(port)),
    }
}
