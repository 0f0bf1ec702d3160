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
    ACCEPT, ACCEPT_LANGUAGE, ACCESS_CONTROL_REQUEST_METHOD, CONNECTION, CONTENT_TYPE, COOKIE, HOST, HeaderName, ORIGIN,
    REFERER, UPGRADE,
};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Version};
use memchr::memchr;
use policy::admit::{Credential, Intent};
use policy::scope::bare_host;
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
/// The token of an app that keeps no cookies, both ways.
pub static WEIR_TOKEN: HeaderName = HeaderName::from_static("weir-token");

/// What kind of request it is. Only pages, JSON and programs may take a number, and nothing that another site asks for
/// behind its own page; `json` tells whether the room answers in JSON at all.
pub fn intent(parts: &Parts, json: bool) -> Intent {
    let headers = &parts.headers;
    if parts.method == Method::OPTIONS {
        let preflight = headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        return if preflight { Intent::Preflight } else { Intent::Other };
    }
    if [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(&parts.method) {
        return if is_hidden(headers) { Intent::Other } else { Intent::Form };
    }
    if ![Method::GET, Method::HEAD].contains(&parts.method) || switches(headers) {
        return Intent::Other;
    }
    let read = || parts.method == Method::HEAD || is_prefetch(headers) || is_hidden(headers);
    if read() { Intent::Read } else { asked_for(parts, json) }
}

/// Whether another site may have asked for it without anybody seeing it: in a frame, or by a script or picture of that
/// site. Cookies with `SameSite=None` travel on these too, and one page elsewhere could use up a visitor's place. Browsers
/// send `Sec-Fetch-Site` whenever they send `Sec-Fetch-Mode`; programs send neither, or the mode alone. A navigation that a
/// service worker passes on is of the destination `empty`, which no frame is.
fn is_hidden(headers: &HeaderMap) -> bool {
    if headers.get(&SEC_FETCH_MODE).is_some_and(|mode| mode == "navigate") {
        return headers.get_all(&SEC_FETCH_DEST).iter().any(|dest| dest != "document" && dest != "empty");
    }
    headers.get_all(&SEC_FETCH_SITE).iter().any(|site| site == "cross-site")
}

fn asked_for(parts: &Parts, json: bool) -> Intent {
    let headers = &parts.headers;
    let mode = headers.get(&SEC_FETCH_MODE);
    if mode.is_some_and(|mode| mode == "navigate") {
        return Intent::Page;
    }
    let (mut html, mut as_json) = (None, None);
    for (name, weight) in weighted(headers, &ACCEPT) {
        if name.eq_ignore_ascii_case("text/html") {
            html = html.max(Some(weight));
        } else if name.eq_ignore_ascii_case("application/json") {
            as_json = as_json.max(Some(weight));
        }
    }
    if json && as_json > html {
        Intent::Json
    } else if mode.is_none() && html.is_some() {
        Intent::Page
    } else if is_program(parts) {
        Intent::Program
    } else {
        Intent::Read
    }
}

/// Whether a request that names no form of answer is that of a program, and not of something on a page: browsers tell
/// of their pages in `Sec-Fetch-Site`, over TLS, and else in `Referer`. (Node's `fetch` sends a `Sec-Fetch-Mode` alone.)
fn is_program(parts: &Parts) -> bool {
    let headers = &parts.headers;
    let of_a_browser = [&SEC_FETCH_SITE, &SEC_FETCH_DEST, &ORIGIN].iter().any(|name| headers.contains_key(*name));
    let kind = |item: &[u8]| item.split(|&byte| byte == b';').next().is_some_and(|kind| kind.trim_ascii() == b"*/*");
    !of_a_browser && items(headers, &ACCEPT).all(kind) && !is_of_the_same_site(parts)
}

/// Whether a page of the site made the request, as far as `Referer` tells. Two hosts count as one site if the last two parts
/// of their names are the same: of `a.co.kr` and `b.co.kr` that is too much, which costs them no more than a place.
fn is_of_the_same_site(parts: &Parts) -> bool {
    let site = |authority: &str| {
        let host = bare_host(authority.rsplit('@').next().unwrap_or(authority)).into_owned();
        let from = host.rmatch_indices('.').nth(1).map_or(0, |(at, _)| at + 1);
        host[from..].to_owned()
    };
    let text = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let page = text(REFERER).and_then(|page| page.split_once("://")?.1.split(['/', '?', '#']).next());
    let asked = parts.uri.authority().map(Authority::as_str).or_else(|| text(HOST));
    page.is_some_and(|page| asked.is_none_or(|asked| site(page) == site(asked)))
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
    let lines = headers.get_all(name).iter();
    lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
}

/// What a header prefers: the more the greater, and of equals the first. What it refuses is left out.
type Weight = (u16, std::cmp::Reverse<usize>);

/// The names in a list such as `ko-KR, en;q=0.7`, with their weights.
fn weighted<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = (&'a str, Weight)> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    weighted_items(lines.flat_map(|line| line.split(',')).enumerate())
}

fn weighted_items<'a>(items: impl Iterator<Item = (usize, &'a str)>) -> impl Iterator<Item = (&'a str, Weight)> {
    items.filter_map(|(at, item)| {
        let mut parameters = item.split(';').map(str::trim);
        let name = parameters.next()?;
        let q = parameters.find_map(|parameter| parameter.strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('='));
        let thousandths = q.map_or(1000.0, |q| q.trim().parse::<f32>().unwrap_or(0.0).clamp(0.0, 1.0) * 1000.0) as u16;
        (thousandths > 0).then_some((name, (thousandths, std::cmp::Reverse(at))))
    })
}

/// The offered language that the visitor likes best, by primary subtag; else the default.
pub fn language<L: Copy>(headers: &HeaderMap, offered: &[(&str, L)], default: L) -> L {
    let known = |name: &str| {
        let primary = name.split('-').next()?;
        let found = offered.iter().find(|(tag, _)| tag.eq_ignore_ascii_case(primary)).map(|&(_, language)| language);
        found.or_else(|| (primary == "*").then_some(default))
    };
    let liked = weighted(headers, &ACCEPT_LANGUAGE).filter_map(|(name, weight)| Some((weight, known(name)?)));
    liked.max_by_key(|&(weight, _)| weight).map_or(default, |(_, language)| language)
}

/// Whether a visitor who sends this `Accept-Encoding` takes gzip.
pub fn takes_gzip(accept: &HeaderValue) -> bool {
    let Ok(accept) = accept.to_str() else { return false };
    let codings = || weighted_items(accept.split(',').enumerate());
    let named = |name: &str| {
        accept.split(',').any(|item| item.split(';').next().is_some_and(|n| n.trim().eq_ignore_ascii_case(name)))
    };
    let takes = |name: &str| codings().any(|(coding, _)| coding.eq_ignore_ascii_case(name));
    takes("gzip") || takes("x-gzip") || takes("*") && !named("gzip")
}

/// The token in the header of an app, empty if it has none yet; `None` of whoever shows a token in a cookie. A browser's
/// script must neither read nor show one: it can forge neither of the two headers by which browsers tell of scripts.
pub fn token_in_header<'a>(head: &Head<'a>) -> Option<&'a [u8]> {
    let value = head.token.first.filter(|_| !head.token.several)?;
    let script = [&ORIGIN, &SEC_FETCH_SITE].iter().any(|name| head.parts.headers.contains_key(*name));
    (!script).then(|| value.as_bytes().trim_ascii())
}

/// The cookies of one line, as `name=value`.
pub(crate) fn cookies(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line.as_bytes());
    let next = move || {
        let all = rest?;
        let end = memchr(b';', all);
        rest = end.map(|at| &all[at + 1..]);
        Some(all[..end.unwrap_or(all.len())].trim_ascii())
    };
    std::iter::from_fn(next)
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
        None => asked_for(head.parts, false) == Intent::Page,
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
