//! The head of a request, read for who is asking and what for.
//!
//! Pure functions over headers. Whatever a shopper writes is doubted: an address counts only as far
//! as trusted proxies vouch for it, a cookie only if its seal is whole, and of two readings the one
//! that gives less away is taken.
//!
//! What is absent: sockets, quotas, rooms; and what to do with the visitor, which is `policy::admit`.

mod head;
mod host;
mod proxies;

use http::header::{
    ACCEPT, ACCEPT_LANGUAGE, ACCESS_CONTROL_REQUEST_METHOD, CONNECTION, CONTENT_TYPE, COOKIE, HeaderName, ORIGIN,
    UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Version};
use memchr::memchr;
use policy::admit::{Credential, Intent};
use policy::seal::Rejected;
use policy::ticket::{Kind, Token};

pub use head::Head;
pub use host::{BadHost, Host, sent_host};
pub use proxies::{Peer, client_address, is_tls, request_id, tells_of_others};

/// Cookies of one name that are tried before the rest is ignored.
const MAX_COOKIES: usize = 4;

static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
static SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// What kind of request it is. Only pages and JSON may take a number, and nothing that another site asks for behind its
/// own page; `json` tells whether the room answers in JSON at all.
pub fn intent(parts: &Parts, json: bool) -> Intent {
    let headers = &parts.headers;
    if parts.method == Method::OPTIONS {
        let preflight = headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        return if preflight { Intent::Preflight } else { Intent::Other };
    }
    if [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(&parts.method) {
        return if is_hidden(headers) { Intent::Other } else { Intent::Form };
    }
    if parts.method != Method::GET {
        return Intent::Other;
    }
    let intent = asked_for(headers, json);
    let condemned = || is_prefetch(headers) || switches(headers) || is_hidden(headers);
    if intent != Intent::Other && condemned() { Intent::Other } else { intent }
}

/// Whether another site may have asked for it without anybody seeing it: in a frame, or by a script or picture of that
/// site. Cookies with `SameSite=None` travel on these too, and one page elsewhere could use up a visitor's place. Browsers
/// send `Sec-Fetch-Site` whenever they send `Sec-Fetch-Mode`; programs send neither. A navigation that a service worker
/// passes on is of the destination `empty`, which no frame is.
fn is_hidden(headers: &HeaderMap) -> bool {
    if headers.get(&SEC_FETCH_MODE).is_some_and(|mode| mode == "navigate") {
        return headers.get_all(&SEC_FETCH_DEST).iter().any(|dest| dest != "document" && dest != "empty");
    }
    headers.get_all(&SEC_FETCH_SITE).iter().any(|site| site == "cross-site")
}

fn asked_for(headers: &HeaderMap, json: bool) -> Intent {
    let mode = headers.get(&SEC_FETCH_MODE);
    if mode.is_some_and(|mode| mode == "navigate") {
        return Intent::Page;
    }
    let (mut html, mut as_json) = (None, None);
    for (name, weight) in weighted(headers, &ACCEPT) {
        if name.eq_ignore_ascii_case(b"text/html") {
            html = html.max(Some(weight));
        } else if name.eq_ignore_ascii_case(b"application/json") {
            as_json = as_json.max(Some(weight));
        }
    }
    if json && as_json > html {
        Intent::Json
    } else if mode.is_none() && html.is_some() {
        Intent::Page
    } else {
        Intent::Other
    }
}

/// Whether the browser says that nobody looks at the page yet. One pass is cheaper than three look-ups.
fn is_prefetch(headers: &HeaderMap) -> bool {
    let tells = |name: &&HeaderName| matches!(name.as_str(), "purpose" | "sec-purpose" | "x-moz");
    let says = |value: &HeaderValue| value.as_bytes().to_ascii_lowercase().starts_with(b"prefetch");
    headers.keys().filter(tells).any(|name| headers.get_all(name).iter().any(says))
}

/// The protocol that a request asks to go on with, if that may be forwarded: never one that would carry
/// requests past every room.
pub fn upgrade(parts: &Parts) -> Option<&HeaderValue> {
    let mut asked = parts.headers.get_all(UPGRADE).iter();
    let protocol = asked.next().filter(|_| parts.version == Version::HTTP_11 && names_upgrade(&parts.headers))?;
    let single = asked.next().is_none() && !protocol.as_bytes().contains(&b',');
    (single && !carries_requests(protocol.as_bytes())).then_some(protocol)
}

/// Whether somebody asks to go on with another protocol. Programs that offer HTTP/2 or TLS with every request
/// (Java's client, `curl --http2`, Apache's client) are content to be ignored (RFC 9110, section 7.8).
fn switches(headers: &HeaderMap) -> bool {
    let mut asked = items(headers, &UPGRADE);
    names_upgrade(headers) && asked.any(|protocol| !protocol.is_empty() && !carries_requests(protocol))
}

/// HTTP of any version, also below TLS.
fn carries_requests(protocol: &[u8]) -> bool {
    let is = |name: &[u8]| protocol.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    [&b"h2"[..], b"h3", b"http", b"tls", b"spdy"].into_iter().any(is)
}

fn names_upgrade(headers: &HeaderMap) -> bool {
    items(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case(b"upgrade"))
}

/// The items of a list, over all its lines.
fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(name).iter().flat_map(|line| split(line.as_bytes(), b','))
}

/// What stands between these separators, without the space around it.
fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let all = rest?;
        let end = memchr(separator, all);
        rest = end.map(|at| &all[at + 1..]);
        Some(all[..end.unwrap_or(all.len())].trim_ascii())
    })
}

/// What a header prefers: the more the greater, and of equals the first. What it refuses is left out.
type Weight = (u16, std::cmp::Reverse<usize>);

/// The names in a list such as `ko-KR, en;q=0.7`, with their weights.
fn weighted<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = (&'a [u8], Weight)> {
    weighted_items(items(headers, name))
}

fn weighted_items<'a>(items: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = (&'a [u8], Weight)> {
    items.enumerate().filter_map(|(at, item)| {
        let mut parameters = split(item, b';');
        let name = parameters.next()?;
        let q = parameters.find_map(|parameter| match parameter {
            [b'q' | b'Q', rest @ ..] => rest.trim_ascii_start().strip_prefix(b"="),
            _ => None,
        });
        let thousandths = q.map_or(1000, thousandths);
        (thousandths > 0).then_some((name, (thousandths, std::cmp::Reverse(at))))
    })
}

/// A weight as it is written, from 0 to 1; what is no number refuses.
fn thousandths(weight: &[u8]) -> u16 {
    let weight = std::str::from_utf8(weight.trim_ascii()).ok().and_then(|weight| weight.parse::<f32>().ok());
    (weight.unwrap_or(0.0).clamp(0.0, 1.0) * 1000.0) as u16
}

/// The offered language that the visitor likes best, by primary subtag; else the default.
pub fn language<L: Copy>(headers: &HeaderMap, offered: &[(&str, L)], default: L) -> L {
    let known = |name: &[u8]| {
        let primary = split(name, b'-').next()?;
        let of = |tag: &str| tag.as_bytes().eq_ignore_ascii_case(primary);
        let found = offered.iter().find(|(tag, _)| of(tag)).map(|&(_, language)| language);
        found.or_else(|| (primary == b"*").then_some(default))
    };
    let liked = weighted(headers, &ACCEPT_LANGUAGE).filter_map(|(name, weight)| Some((weight, known(name)?)));
    liked.max_by_key(|&(weight, _)| weight).map_or(default, |(_, language)| language)
}

/// Whether a visitor who sends this `Accept-Encoding` takes gzip.
pub fn takes_gzip(accept: &HeaderValue) -> bool {
    let codings = || split(accept.as_bytes(), b',');
    let named =
        |name: &[u8]| codings().any(|coding| split(coding, b';').next().is_some_and(|n| n.eq_ignore_ascii_case(name)));
    let takes = |name: &[u8]| weighted_items(codings()).any(|(coding, _)| coding.eq_ignore_ascii_case(name));
    takes(b"gzip") || takes(b"x-gzip") || takes(b"*") && !named(b"gzip")
}

/// The cookies of one line, as `name=value`.
pub(crate) fn cookies(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    split(line.as_bytes(), b';')
}

/// A token that came in a cookie of this name without TLS, over TLS: anybody on the way could have put it there. A ticket
/// is worth no more than a place that anybody can take; a pass is not taken from there.
pub fn credential_in_clear(
    head: &Head<'_>,
    cookie: &str,
    open: impl Fn(&[u8]) -> Result<Token, Rejected>,
) -> Credential {
    match credential(head, cookie, open) {
        Credential::Sealed(token) if token.kind == Kind::Pass => Credential::None,
        credential => credential,
    }
}

/// The token that a visitor shows in the cookie of this name. A shopper may hold several of one name,
/// of another path or domain, and cannot tell which comes first: the first that `open` takes counts.
pub fn credential(head: &Head<'_>, cookie: &str, open: impl Fn(&[u8]) -> Result<Token, Rejected>) -> Credential {
    let (mut bad, mut tries) = (None, 0..MAX_COOKIES);
    for line in head.cookie.each(&COOKIE, &head.parts.headers) {
        for value in cookies(line).filter_map(|pair| value_of(pair, cookie)) {
            match tries.next().map(|_| open(value)) {
                Some(Ok(token)) => return Credential::Sealed(token),
                Some(Err(reason)) => drop(bad.get_or_insert(reason)),
                None => break,
            }
        }
    }
    bad.map_or(Credential::None, Credential::Bad)
}

/// The value of a cookie of this name; Java's `CookieManager` puts it in quotes, as RFC 2965 had it.
fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
    let quoted = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    Some(quoted.unwrap_or(value))
}

/// Whether a request that changes something comes from a page of the same host, as far as the browser
/// tells. Programs tell nothing, and are allowed.
pub fn is_same_origin(headers: &HeaderMap, tls: bool, host: &str) -> bool {
    let mut sites = headers.get_all(&SEC_FETCH_SITE).iter().peekable();
    if sites.peek().is_some() {
        return sites.all(|site| site == "same-origin" || site == "none");
    }
    headers.get_all(ORIGIN).iter().all(|origin| origin.to_str().is_ok_and(|origin| is_origin(origin, tls, host)))
}

/// Whether a form is sent by a page of this very origin, and its answer will be shown as a page. Unlike in [`is_same_origin`],
/// silence is no proof: what comes of it is a page of the shop that sends the same fields.
pub fn is_submitted(head: &Head<'_>, tls: bool) -> bool {
    let headers = &head.parts.headers;
    let shown = match headers.get(&SEC_FETCH_MODE) {
        Some(mode) => mode == "navigate",
        None => asked_for(headers, false) == Intent::Page,
    };
    head.parts.method == Method::POST && shown && is_of_this_origin(head, tls)
}

fn is_of_this_origin(head: &Head<'_>, tls: bool) -> bool {
    let headers = &head.parts.headers;
    let mut sites = headers.get_all(&SEC_FETCH_SITE).iter();
    if let Some(site) = sites.next() {
        return site == "same-origin" && sites.next().is_none();
    }
    let host = sent_host(head).map(String::from_utf8_lossy).unwrap_or_default();
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin = origins.next().and_then(|origin| origin.to_str().ok()).filter(|_| origins.next().is_none());
    origin.is_some_and(|origin| is_origin(origin, tls, &host))
}

/// Whether the body is JSON, as far as its head tells.
pub fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// Whether an origin is that of a host, with its port, over TLS or not.
pub fn is_origin(origin: &str, tls: bool, host: &str) -> bool {
    let (scheme, port) = if tls { ("https://", ":443") } else { ("http://", ":80") };
    let bare = |authority: &'_ str| authority.strip_suffix(port).unwrap_or(authority).len();
    let Some(of_page) = origin.strip_prefix(scheme) else { return false };
    of_page[..bare(of_page)].eq_ignore_ascii_case(&host[..bare(host)])
}

#[cfg(test)]
mod tests;
