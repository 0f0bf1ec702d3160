//! What a request says of who asks, without its body.
//!
//! Out of scope: whether it is true (`access`).

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method, header};

use super::connection::Peer;
use crate::settings::config::AdminConfig;

/// The cookie of a session: over TLS, and in clear on this machine.
pub(super) const COOKIES: [&str; 2] = ["__Host-weir_console", "weir_console"];
/// Cookies of that name that are tried.
const TRIED: usize = 4;
/// Characters of an unknown text in the audit.
const TOLD: usize = 64;
/// Headers by which a proxy says that it stands between.
const FORWARDED: [&str; 3] = ["forwarded", "x-forwarded-for", "x-real-ip"];
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// What is shown.
#[derive(Debug, Clone)]
pub(super) enum Shown {
    /// A name, by a trusted proxy.
    Named(String),
    /// The same by somebody else: in words for the audit.
    Spoofed(String),
    /// A token.
    Token(Vec<u8>),
    /// Cookies that may be a session; perhaps none.
    Cookies(Vec<String>),
}

/// A request, without its body.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub(super) struct Asked {
    /// Whether it names this listener.
    pub(super) is_named: bool,
    pub(super) shown: Shown,
    /// Whether it is more than a look.
    pub(super) changes: bool,
    /// Whether a browser says where it comes from.
    pub(super) has_origin: bool,
    /// Whether a browser says that it comes from a page of this listener.
    pub(super) is_own_page: bool,
    /// The other end, if it is this machine and says of nobody behind it.
    pub(super) is_local: bool,
    pub(super) peer: Peer,
    /// Method and path.
    pub(super) call: String,
}

impl Asked {
    /// Of a request to the listener of these names.
    pub(super) fn of(request: &Request, hosts: &[String], admin: &AdminConfig) -> Self {
        let (method, path, headers) = (request.method(), request.uri().path(), request.headers());
        let peer = request.extensions().get::<Peer>().copied().unwrap_or_default();
        let is_forwarded = FORWARDED.iter().any(|name| headers.contains_key(*name));
        let is_local = peer.address.is_some_and(|address| address.to_canonical().is_loopback()) && !is_forwarded;
        Self {
            is_named: names(request, hosts),
            shown: shown(headers, peer, is_local, admin),
            changes: !matches!(*method, Method::GET | Method::HEAD),
            has_origin: headers.contains_key(header::ORIGIN),
            is_own_page: is_own_page(headers, peer),
            is_local,
            peer,
            call: format!("{method} {path}"),
        }
    }

    /// Whether a session may be begun and shown on this connection: the cookie of another one would go over a network in clear.
    pub(super) fn keeps_sessions(&self) -> bool {
        self.peer.encrypted || self.is_local
    }

    /// Whether a log-in may come from where it comes: a page of ours, or a program.
    pub(super) fn may_log_in_from_there(&self) -> bool {
        self.is_own_page || !self.has_origin
    }
}

/// Whether the request names this listener. One without a `Host` comes from no browser.
fn names(request: &Request, hosts: &[String]) -> bool {
    let written = request.headers().get(header::HOST).map(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let host = match (request.uri().authority(), &written) {
        (Some(authority), _) | (None, Some(Some(authority))) => authority.host(),
        (None, Some(None)) => return false,
        (None, None) => return true,
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let named = |name: &str| host.eq_ignore_ascii_case(name);
    bare.parse::<IpAddr>().is_ok() || named("localhost") || hosts.iter().any(|name| named(name))
}

fn shown(headers: &HeaderMap, peer: Peer, is_local: bool, admin: &AdminConfig) -> Shown {
    let header = admin.trusted_identity_header.as_deref().filter(|name| headers.contains_key(*name));
    if let Some(header) = header {
        let said = only(headers, header);
        let trusted = |address: IpAddr| admin.trusted_identity_proxies.iter().any(|net| net.contains(&address));
        return match (peer.address.map(|address| address.to_canonical()), said) {
            (Some(address), Some(name)) if trusted(address) => Shown::Named(name),
            (address, said) => {
                let name = said.map(|name| name.chars().take(TOLD).collect::<String>());
                let address = address.map(|address| address.to_string()).unwrap_or_default();
                Shown::Spoofed(format!("{address} names {:?}", name.unwrap_or_default()))
            }
        };
    }
    let token = headers.get(header::AUTHORIZATION).and_then(|v| v.as_bytes().strip_prefix(b"Bearer "));
    match token {
        Some(token) => Shown::Token(token.to_vec()),
        None => Shown::Cookies(cookies(headers, peer, is_local)),
    }
}

/// The text of a header, if it is one and no more.
fn only(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().filter(|_| values.next().is_none())?;
    Some(first.to_str().ok()?.trim().to_owned())
}

/// The name of the cookie on this connection.
pub(super) fn cookie_name(encrypted: bool) -> &'static str {
    let [over_tls, in_clear] = COOKIES;
    if encrypted { over_tls } else { in_clear }
}

fn cookies(headers: &HeaderMap, peer: Peer, is_local: bool) -> Vec<String> {
    if !peer.encrypted && !is_local {
        return Vec::new();
    }
    let wanted = cookie_name(peer.encrypted);
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let all = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    all.filter(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned()).take(TRIED).collect()
}

/// Whether a browser says that the page which asks is one of this listener.
fn is_own_page(headers: &HeaderMap, peer: Peer) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    match text(header::ORIGIN) {
        Some(origin) => {
            let Some((scheme, authority)) = origin.split_once("://") else { return false };
            let scheme_fits = scheme == "https" || (scheme == "http" && !peer.encrypted);
            scheme_fits && text(header::HOST).is_some_and(|host| host.eq_ignore_ascii_case(authority))
        }
        None => {
            !headers.contains_key(header::ORIGIN)
                && headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "same-origin")
        }
    }
}
