//! The head of a request, read for the identity and the intent of its sender.
//!
//! Pure functions over headers. No header of a shopper is trusted: an address counts only as far
//! as trusted proxies vouch for it, a cookie only with a valid seal, and of two readings the one
//! that gives less away is taken.
//!
//! Out of scope: sockets, quotas, rooms; and the verdict on the visitor (`policy::admit`).

mod head;
mod host;
mod ids;
mod intent;
mod proxies;

use http::header::{CONTENT_TYPE, COOKIE, HeaderName, ORIGIN};
use http::{HeaderMap, HeaderValue};
use memchr::memchr;
use policy::admit::Credential;
use policy::seal::Rejected;
use policy::ticket::{Kind, Token};

pub use head::Head;
pub use host::{BadHost, Host, sent_host};
pub use ids::RequestIds;
pub use intent::{intent, is_submitted, upgrade};
pub use proxies::{Peer, client_address, is_tls, request_id, tells_of_others};

/// Cookies of one name that are tried; the rest is ignored.
const MAX_COOKIES: usize = 4;

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The token of an app that keeps no cookies, both ways.
pub static WEIR_TOKEN: HeaderName = HeaderName::from_static("weir-token");

/// The texts between these separators, without surrounding space.
fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let all = rest?;
        let end = memchr(separator, all);
        rest = end.map(|at| &all[at + 1..]);
        Some(all[..end.unwrap_or(all.len())].trim_ascii())
    })
}

/// A preference in a header: the greater the better, and of equals the first. A refused item is left out.
type Weight = (u16, std::cmp::Reverse<usize>);

/// The names in a list such as `text/html, text/plain;q=0.7`, with their weights.
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

/// A written weight, from 0 to 1; an invalid number refuses.
fn thousandths(weight: &[u8]) -> u16 {
    let weight = std::str::from_utf8(weight.trim_ascii()).ok().and_then(|weight| weight.parse::<f32>().ok());
    (weight.unwrap_or(0.0).clamp(0.0, 1.0) * 1000.0) as u16
}

/// Whether a visitor who sends this `Accept-Encoding` takes gzip.
pub fn takes_gzip(accept: &HeaderValue) -> bool {
    let codings = || split(accept.as_bytes(), b',');
    let named =
        |name: &[u8]| codings().any(|coding| split(coding, b';').next().is_some_and(|n| n.eq_ignore_ascii_case(name)));
    let takes = |name: &[u8]| weighted_items(codings()).any(|(coding, _)| coding.eq_ignore_ascii_case(name));
    takes(b"gzip") || takes(b"x-gzip") || takes(b"*") && !named(b"gzip")
}

/// The token in the header of an app, empty if it has none yet; `None` for a client with a token in a cookie. A browser's
/// script must neither read nor show one: it can forge neither of the two headers by which browsers identify scripts.
pub fn token_in_header<'a>(head: &Head<'a>) -> Option<&'a [u8]> {
    let value = head.token.first.filter(|_| !head.token.several)?;
    let script = [&ORIGIN, &SEC_FETCH_SITE].iter().any(|name| head.parts.headers.contains_key(*name));
    (!script).then(|| value.as_bytes().trim_ascii())
}

/// The cookies of one line, as `name=value`.
pub(crate) fn cookies(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    split(line.as_bytes(), b';')
}

/// A token that came in a cookie of this name without TLS, over TLS: any party on the network path could have set it. A ticket
/// is worth no more than a place that any client can take; a pass does not count from there.
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

/// The token in the visitor's cookie of this name. A shopper may hold several of one name,
/// of another path or domain, in an unknown order: the first that `open` takes counts.
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

/// Whether a request that changes state comes from a page of the same host, as far as the browser
/// tells. Programs do not tell, and are allowed.
pub fn is_same_origin(headers: &HeaderMap, tls: bool, host: &str) -> bool {
    let mut sites = headers.get_all(&SEC_FETCH_SITE).iter().peekable();
    if sites.peek().is_some() {
        return sites.all(|site| site == "same-origin" || site == "none");
    }
    headers.get_all(ORIGIN).iter().all(|origin| origin.to_str().is_ok_and(|origin| is_origin(origin, tls, host)))
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
