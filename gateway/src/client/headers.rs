//! The headers that may cross the gateway, in both directions.
//!
//! A request arrives at the upstream as if the gateway had sent it: without hop-by-hop headers, without
//! Weir's cookies, without an untrusted claim about address, host or path, and without a name that a
//! shop could take for another. An answer arrives at the shopper without the commands for
//! the gateway.
//!
//! Out of scope: the identity of a caller ([`crate::client::visitor`]), bodies, and the seal of `Weir-Signature`.

mod names;
mod trailers;

use std::rc::Rc;

use http::header::{
    AGE, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, COOKIE, EXPIRES, Entry, FORWARDED, HOST, HeaderName,
    SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, Version, request};
use hyper::upgrade::OnUpgrade;
use policy::line::segment::place_of;
use policy::ticket::Token;

use self::names::{is_about_the_way, is_hop_by_hop, is_misleading, is_plain};
pub use self::trailers::Trailers;
use crate::client::visitor::{self, Host, Peer, cookies};

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static WEIR_ROOM: HeaderName = HeaderName::from_static("weir-room");
static WEIR_PASS_ID: HeaderName = HeaderName::from_static("weir-pass-id");
static WEIR_PASS_EXPIRES: HeaderName = HeaderName::from_static("weir-pass-expires");
static WEIR_SIGNATURE: HeaderName = HeaderName::from_static("weir-signature");
static WEIR_COMMAND: HeaderName = HeaderName::from_static("weir-command");
static WEIR_STOCK: HeaderName = HeaderName::from_static("weir-stock");
/// What a server of the shop reports of its load (ORCA): as text or JSON, and as protobuf.
static LOAD: HeaderName = HeaderName::from_static("endpoint-load-metrics");
static LOAD_BINARY: HeaderName = HeaderName::from_static("endpoint-load-metrics-bin");

/// Headers that some cache would obey before `Cache-Control`, and those that mark an answer as stored.
static OF_CACHES: [HeaderName; 8] = [
    AGE,
    EXPIRES,
    HeaderName::from_static("cdn-cache-control"),
    HeaderName::from_static("cloudflare-cdn-cache-control"),
    HeaderName::from_static("vercel-cdn-cache-control"),
    HeaderName::from_static("surrogate-control"),
    HeaderName::from_static("edge-control"),
    HeaderName::from_static("x-accel-expires"),
];

/// The gateway's own headers for a request to the upstream. Values are ready to send.
#[derive(Debug)]
pub struct UpstreamHeaders<'a> {
    /// The peer of the connection.
    pub peer: &'a Peer,
    /// Whether the visitor speaks TLS.
    pub tls: bool,
    /// The requested host.
    pub host: &'a Host,
    /// `X-Request-Id`.
    pub request_id: HeaderValue,
    /// The pass, if there is one.
    pub pass: Option<Rc<PassHeaders>>,
    /// A preflight without a pass: only the headers of a browser's preflight pass.
    pub preflight: bool,
}

/// The headers that name a pass to the upstream, and prove that it was seen here.
#[derive(Debug, PartialEq, Eq)]
pub struct PassHeaders {
    /// `Weir-Room`.
    pub room: HeaderValue,
    /// `Weir-Pass-Id`, see [`pass_id`].
    pub pass_id: HeaderValue,
    /// `Weir-Pass-Expires`, see [`pass_expires`].
    pub expires: HeaderValue,
    /// `Weir-Signature`.
    pub signature: Option<HeaderValue>,
}

impl PassHeaders {
    /// Adds them. Names that begin with `weir-` were removed before.
    fn add_to(&self, headers: &mut HeaderMap) {
        headers.append(&WEIR_ROOM, self.room.clone());
        headers.append(&WEIR_PASS_ID, self.pass_id.clone());
        headers.append(&WEIR_PASS_EXPIRES, self.expires.clone());
        if let Some(signature) = &self.signature {
            headers.append(&WEIR_SIGNATURE, signature.clone());
        }
    }
}

/// Facts of a head that was rewritten for the upstream.
#[derive(Debug, Default)]
pub struct Ready {
    /// The trailers that may follow the body.
    pub trailers: Trailers,
    /// Number of removed headers whose names a shop could read as others.
    pub ambiguous: u64,
    /// Whether an untrusted peer sent forwarding headers.
    pub unbelieved: bool,
}

/// The name of a pass for the upstream: `segment.number`.
pub fn pass_id(pass: &Token) -> HeaderValue {
    let mut id = Vec::with_capacity(32);
    let (segment, number) = place_of(pass.number);
    // `write!` would double the cost, which every admitted request pays.
    let mut digits = itoa::Buffer::new();
    id.extend_from_slice(digits.format(segment).as_bytes());
    id.push(b'.');
    id.extend_from_slice(digits.format(number).as_bytes());
    HeaderValue::try_from(id).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The end of a pass, in whole seconds since 1970: an Integer of RFC 9651, which every language reads. A time and not a
/// remainder, because it stays the same for the text of a pass: written once for each connection, without a clock.
pub fn pass_expires(pass: &Token) -> HeaderValue {
    HeaderValue::from(pass.expires / 1_000)
}

/// Rewrites the head of a request for an upstream by HTTP/1.1.
pub fn to_upstream(parts: &mut request::Parts, onward: &UpstreamHeaders<'_>) -> Ready {
    let believed = onward.peer.trusted;
    let (mut cookies, mut ambiguous, mut unbelieved) = (Cookies::None, 0, false);
    let doomed = Doomed::of(&parts.headers, |name, value| {
        if name == "cookie" {
            cookies.look_at(value);
        }
        let plain = is_plain(name);
        ambiguous += u64::from(!plain);
        let tells = is_about_the_way(name) && !believed;
        unbelieved |= tells;
        !plain || tells || is_misleading(name) || (onward.preflight && !belongs_to_a_preflight(name, believed))
    });
    let upgrade = if doomed.contains(&UPGRADE) { switch(parts, onward) } else { None };
    let trailers = if doomed.contains(&TRAILER) { announced(parts) } else { Trailers::default() };
    to_origin_form(parts, onward.host);
    let headers = &mut parts.headers;
    let wants_trailers = doomed.contains(&TE) && names(headers, &TE, b"trailers");
    doomed.remove_from(headers);
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    match cookies {
        Cookies::None => {}
        Cookies::Ours => drop(headers.remove(COOKIE)),
        Cookies::Others => remove_own_cookies(headers),
    }
    set_way(headers, onward);
    if let Some(pass) = &onward.pass {
        pass.add_to(headers);
    }
    if let Some(protocol) = upgrade {
        headers.insert(UPGRADE, protocol);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    Ready { trailers, ambiguous, unbelieved }
}

fn belongs_to_a_preflight(name: &str, believed: bool) -> bool {
    if believed { !names::betrays_a_preflight(name) } else { names::is_of_preflights(name) }
}

/// The protocol to which the request may switch. Without one, an upstream that switches all the same
/// has no peer to switch to.
fn switch(parts: &mut request::Parts, onward: &UpstreamHeaders<'_>) -> Option<HeaderValue> {
    let protocol = visitor::upgrade(parts).filter(|_| !onward.preflight).cloned();
    if protocol.is_none() {
        parts.extensions.remove::<OnUpgrade>();
    }
    protocol
}

/// The trailers that may follow the body: none after a body of declared length, except in HTTP/2.
fn announced(parts: &request::Parts) -> Trailers {
    let possible = parts.version == Version::HTTP_2 || parts.headers.contains_key(TRANSFER_ENCODING);
    if possible { Trailers::announced_by(&parts.headers) } else { Trailers::default() }
}

/// What a shop says to the gateway in the head of an answer.
#[derive(Debug, Default)]
pub struct ShopWords {
    /// The lines of `Weir-Command`.
    pub commands: Vec<HeaderValue>,
    /// The lines of `Weir-Stock`.
    pub stock: Vec<HeaderValue>,
    /// The lines of `endpoint-load-metrics`.
    pub load: Vec<HeaderValue>,
}

impl ShopWords {
    fn of(headers: &HeaderMap) -> Self {
        let lines = |name| headers.get_all(name).iter().cloned().collect();
        let mut load: Vec<_> = lines(&LOAD);
        if headers.contains_key(&LOAD_BINARY) {
            load.push(HeaderValue::from_static("BIN"));
        }
        Self { commands: lines(&WEIR_COMMAND), stock: lines(&WEIR_STOCK), load }
    }
}

/// Rewrites the head of an upstream's answer for the shopper. Returns what it says to the gateway, if it does.
pub fn to_shopper<B>(response: &mut Response<B>) -> Option<Box<ShopWords>> {
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    let upgrade = if switches { headers.get(UPGRADE).cloned() } else { None };
    let mut sets_cookies = false;
    let mut doomed = Doomed::of(headers, |name, _| {
        sets_cookies |= name == "set-cookie";
        name.starts_with("weir-") || name.starts_with("endpoint-load-metrics")
    });
    // hyper sends the trailers of an answer only if its head announces them.
    doomed.names.retain(|name| name != TRAILER);
    let speaks = doomed.names.iter().any(|name| [&WEIR_COMMAND, &WEIR_STOCK, &LOAD, &LOAD_BINARY].contains(&name));
    let words = speaks.then(|| Box::new(ShopWords::of(headers)));
    doomed.remove_from(headers);
    if sets_cookies && headers.get_all(SET_COOKIE).iter().any(|cookie| is_own(cookie.as_bytes().trim_ascii_start())) {
        remove_set_cookies(headers);
    }
    // No `Via`: in answers a gateway may leave it out (RFC 9110, section 7.6.3), and shoppers have no use for it.
    if let Some(protocol) = upgrade {
        headers.insert(UPGRADE, protocol);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    words
}

/// Keeps an answer with a cookie of Weir out of every cache, whatever the shop said: a stored
/// pass would reach every client of the cache. `Vary` may stay: an answer that is not stored needs no key.
pub fn make_private(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    for name in &OF_CACHES {
        headers.remove(name);
    }
}

/// `http://shop/x` and `:authority` become a path and a Host header.
fn to_origin_form(parts: &mut request::Parts, host: &Host) {
    parts.version = Version::HTTP_11;
    if parts.uri.authority().is_some() {
        parts.headers.insert(HOST, host.sent.clone());
        parts.uri = parts.uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from);
    }
}

/// The headers of a head that go no further: hop-by-hop ones, those that `Connection` names,
/// and those that the caller condemns.
struct Doomed {
    /// Most heads have none.
    names: Vec<HeaderName>,
    /// Many have this one; the names in it are resolved as it is removed.
    connection: bool,
}

impl Doomed {
    /// One pass over all names; each is shown to `condemned`.
    fn of(headers: &HeaderMap, mut condemned: impl FnMut(&str, &HeaderValue) -> bool) -> Self {
        let mut doomed = Self { names: Vec::new(), connection: false };
        // A loop costs a third of what `filter` and `cloned` do.
        for (name, value) in headers {
            let text = name.as_str();
            doomed.connection |= text == "connection";
            if condemned(text, value) | is_hop_by_hop(text) {
                doomed.names.push(name.clone());
            }
        }
        doomed
    }

    fn contains(&self, name: &HeaderName) -> bool {
        self.names.contains(name)
    }

    fn remove_from(mut self, headers: &mut HeaderMap) {
        if self.connection {
            self.remove_connection(headers);
        }
        if self.contains(&TRANSFER_ENCODING) {
            // A length beside a transfer coding is not believed.
            headers.remove(CONTENT_LENGTH);
        }
        for name in self.names {
            headers.remove(name);
        }
    }

    /// Condemns the headers that `Connection` names, except those that the gateway relies on.
    fn remove_connection(&mut self, headers: &mut HeaderMap) {
        const USUAL: [&[u8]; 3] = [b"keep-alive", b"close", b"upgrade"];
        let Entry::Occupied(connection) = headers.entry(CONNECTION) else { return };
        for line in connection.remove_entry_mult().1 {
            if USUAL.contains(&line.as_bytes()) {
                continue;
            }
            let unusual = list(&line).filter(|token| !USUAL.iter().any(|word| token.eq_ignore_ascii_case(word)));
            let names = unusual.filter_map(|token| HeaderName::from_bytes(token).ok());
            self.names.extend(names.filter(|name| !is_relied_on(name)));
        }
    }
}

/// Whether a list has this item.
fn names(headers: &HeaderMap, name: &HeaderName, item: &[u8]) -> bool {
    headers.get_all(name).iter().any(|line| list(line).any(|named| named.eq_ignore_ascii_case(item)))
}

fn is_relied_on(name: &HeaderName) -> bool {
    let exact = [HOST, COOKIE, SET_COOKIE, CONTENT_LENGTH, TRANSFER_ENCODING, AUTHORIZATION, CACHE_CONTROL, VIA];
    exact.contains(name) || is_about_the_way(name.as_str()) || name.as_str().starts_with("weir-")
}

/// The items of a list.
fn list(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// The cookies of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cookies {
    None,
    /// One line with Weir's alone, as from shoppers without a session at the shop: removed as a whole.
    Ours,
    /// Others, too, or several lines.
    Others,
}

impl Cookies {
    fn look_at(&mut self, line: &HeaderValue) {
        let ours = *self == Self::None && cookies(line).all(is_own);
        *self = if ours { Self::Ours } else { Self::Others };
    }
}

/// Whether a cookie, as `name=value`, is one of Weir's.
fn is_own(cookie: &[u8]) -> bool {
    cookie.strip_prefix(b"__Host-").unwrap_or(cookie).starts_with(b"weir_")
}

/// Joins the cookies into one line, without Weir's own. One line without any of them is not touched.
fn remove_own_cookies(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(COOKIE).iter();
    let Some(first) = lines.next() else { return };
    let several = lines.next().is_some();
    if !several && !cookies(first).any(is_own) {
        return;
    }
    let mut kept = Vec::new();
    keep_foreign(first, &mut kept);
    if several {
        headers.get_all(COOKIE).iter().skip(1).for_each(|line| keep_foreign(line, &mut kept));
    }
    replace(headers, COOKIE, kept);
}

/// Version 1 cookies (RFC 2965, Java's `CookieManager`) have attributes behind them: those of ours go too.
fn keep_foreign(line: &HeaderValue, kept: &mut Vec<u8>) {
    let mut of_ours = false;
    let foreign = |cookie: &&[u8]| {
        of_ours = is_own(cookie) || (of_ours && cookie.starts_with(b"$"));
        !of_ours && !cookie.is_empty()
    };
    for cookie in cookies(line).filter(foreign) {
        if kept.is_empty() {
            kept.reserve(line.len());
        } else {
            kept.extend_from_slice(b"; ");
        }
        kept.extend_from_slice(cookie);
    }
}

fn remove_set_cookies(headers: &mut HeaderMap) {
    let foreign =
        headers.get_all(SET_COOKIE).iter().filter(|cookie| !is_own(cookie.as_bytes().trim_ascii_start())).cloned();
    let foreign: Vec<HeaderValue> = foreign.collect();
    headers.remove(SET_COOKIE);
    for cookie in foreign {
        headers.append(SET_COOKIE, cookie);
    }
}

/// Sets the forwarding headers for the upstream.
fn set_way(headers: &mut HeaderMap, onward: &UpstreamHeaders<'_>) {
    let (peer, host, tls) = (onward.peer, onward.host, onward.tls);
    if peer.trusted {
        append_to_list(headers, &X_FORWARDED_FOR, peer.text.clone());
        append_to_list(headers, &FORWARDED, host.forwarded(peer, tls));
        headers.remove(&X_FORWARDED_PROTO);
        headers.remove(&X_FORWARDED_HOST);
    } else {
        headers.append(&X_FORWARDED_FOR, peer.text.clone());
        headers.append(FORWARDED, host.forwarded(peer, tls));
    }
    // None of these names is left, and to append is cheaper than to insert.
    headers.append(&X_FORWARDED_PROTO, HeaderValue::from_static(if tls { "https" } else { "http" }));
    headers.append(&X_FORWARDED_HOST, host.sent.clone());
    headers.append(&X_REQUEST_ID, onward.request_id.clone());
    headers.append(VIA, HeaderValue::from_static("1.1 weir"));
}

/// Adds an item to a list of one line or several, and makes it one line.
fn append_to_list(headers: &mut HeaderMap, name: &HeaderName, item: HeaderValue) {
    match headers.entry(name) {
        Entry::Vacant(vacant) => drop(vacant.insert(item)),
        Entry::Occupied(lines) => {
            let lines = lines.iter().chain([&item]).map(HeaderValue::as_bytes);
            let all = lines.collect::<Vec<_>>().join(&b", "[..]);
            replace(headers, name.clone(), all);
        }
    }
}

/// One line with this value; none if it is empty.
fn replace(headers: &mut HeaderMap, name: HeaderName, value: Vec<u8>) {
    match HeaderValue::try_from(value) {
        Ok(value) if !value.is_empty() => drop(headers.insert(name, value)),
        _ => drop(headers.remove(name)),
    }
}

#[cfg(test)]
mod tests;
