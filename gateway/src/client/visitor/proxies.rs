//! Forwarding headers of proxies, and how far they are trusted.
//!
//! `X-Forwarded-For` is read before `Forwarded`, which only counts without it: a trusted proxy has to
//! set or remove the one that it does not write.

use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HeaderName};
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest accepted request id.
const MAX_REQUEST_ID: usize = 128;

/// The peer of a connection. Made once for all its requests.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address; an IPv4 address in IPv6 form is written as IPv4.
    pub address: IpAddr,
    /// Whether its forwarding headers are trusted.
    pub trusted: bool,
    /// The address as text.
    pub text: HeaderValue,
}

impl Peer {
    /// The peer at this address.
    pub fn new(address: IpAddr, trusted: &[IpNet]) -> Self {
        let address = address.to_canonical();
        let text = HeaderValue::try_from(address.to_string()).unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        Self { address, trusted: is_trusted(address, trusted), text }
    }
}

/// Whether a peer claims to speak for another client.
pub fn tells_of_others(headers: &HeaderMap) -> bool {
    headers.contains_key(&X_FORWARDED_FOR) || headers.contains_key(FORWARDED)
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// The address of the visitor: from right to left the first that is not a trusted proxy. An
/// invalid address ends the search at the last trusted proxy.
pub fn client_address(peer: &Peer, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    if !peer.trusted {
        return peer.address;
    }
    if headers.contains_key(&X_FORWARDED_FOR) {
        return walk(peer.address, from_right(headers, &X_FORWARDED_FOR).map(address), trusted);
    }
    let named = |element| parameter(element, "for").and_then(address);
    walk(peer.address, from_right(headers, &FORWARDED).map(named), trusted)
}

fn walk(peer: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>, trusted: &[IpNet]) -> IpAddr {
    let mut believed = peer;
    for hop in hops {
        let Some(address) = hop else { break };
        believed = address;
        if !is_trusted(address, trusted) {
            break;
        }
    }
    believed
}

/// The elements of a list, the last first; several lines are one list. A comma inside quotes splits as
/// well, so that no quote left open by a visitor swallows what a proxy wrote after it.
fn from_right<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().rev();
    lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(',')).map(str::trim)
}

/// A parameter of an element of `Forwarded`.
fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let parameters = element.split(';').filter_map(|parameter| parameter.split_once('='));
    let mut values = parameters.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim());
    values.next().map(|value| value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value))
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse().map(|socket: SocketAddr| socket.ip()).ok();
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address = text.parse().ok().or_else(with_port).or_else(in_brackets);
    address.as_ref().map(IpAddr::to_canonical)
}

/// Whether the visitor speaks TLS, to us or to the trusted proxy before us.
pub fn is_tls(over_tls: bool, peer: &Peer, headers: &HeaderMap) -> bool {
    if !peer.trusted {
        return over_tls;
    }
    let last = from_right(headers, &X_FORWARDED_PROTO).next();
    let proto = last.or_else(|| parameter(from_right(headers, &FORWARDED).next()?, "proto"));
    proto.map_or(over_tls, |proto| proto.eq_ignore_ascii_case("https"))
}

/// The id of a request: that of a trusted peer, else a fresh one.
pub fn request_id(peer: &Peer, headers: &HeaderMap, fresh: impl FnOnce() -> HeaderValue) -> HeaderValue {
    let given = if peer.trusted { headers.get(&X_REQUEST_ID) } else { None };
    given.filter(|id| is_request_id(id.as_bytes())).cloned().unwrap_or_else(fresh)
}

fn is_request_id(id: &[u8]) -> bool {
    let usual = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_REQUEST_ID).contains(&id.len()) && id.iter().all(usual)
}
