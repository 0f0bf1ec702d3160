//! The kind of a request, as far as its headers tell.
//!
//! The relevant headers are gathered in one pass: to look a name up costs more than to compare it with a few.

use http::header::{ACCEPT, ACCESS_CONTROL_REQUEST_METHOD, CONNECTION, HOST, HeaderName, REFERER, UPGRADE};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Version};
use policy::admit::Intent;
use policy::scope::bare_host;

use super::head::Lines;
use super::{Head, SEC_FETCH_SITE, is_origin, sent_host, split, weighted_items};

static SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// The headers that distinguish kinds.
struct Signs<'a> {
    headers: &'a HeaderMap,
    accept: Lines<'a>,
    connection: Lines<'a>,
    destination: Lines<'a>,
    mode: Lines<'a>,
    origin: Lines<'a>,
    site: Lines<'a>,
    upgrade: Lines<'a>,
    /// The browser says that no person sees the page yet.
    prefetch: bool,
}

/// The kind of a request. Only pages, JSON and programs may take a number, and no request that another site makes
/// behind its own page; `json` tells whether the room answers in JSON at all.
pub fn intent(parts: &Parts, json: bool) -> Intent {
    let signs = Signs::of(&parts.headers);
    match parts.method {
        Method::OPTIONS if signs.is_preflight() => Intent::Preflight,
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE if !signs.is_hidden() => Intent::Form,
        Method::GET | Method::HEAD if signs.switches() => Intent::Other,
        Method::GET if !signs.prefetch && !signs.is_hidden() => signs.asked_for(parts, json),
        Method::GET | Method::HEAD => Intent::Read,
        _ => Intent::Other,
    }
}

/// The protocol to which a request asks to switch, if that may be forwarded: never one that would carry
/// requests past every room.
pub fn upgrade(parts: &Parts) -> Option<&HeaderValue> {
    let signs = Signs::of(&parts.headers);
    let protocol = signs.upgrade.first.filter(|_| parts.version == Version::HTTP_11 && signs.names_upgrade())?;
    let single = !signs.upgrade.several && !protocol.as_bytes().contains(&b',');
    (single && !carries_requests(protocol.as_bytes())).then_some(protocol)
}

/// Whether a form is sent by a page of this very origin, and its answer will be shown as a page. Unlike in
/// [`super::is_same_origin`], silence is no proof: the answer is a page of the shop that sends the same fields.
pub fn is_submitted(head: &Head<'_>, tls: bool) -> bool {
    let signs = Signs::of(&head.parts.headers);
    let shown = match signs.mode.first {
        Some(mode) => mode == "navigate",
        None => signs.asked_for(head.parts, false) == Intent::Page,
    };
    head.parts.method == Method::POST && shown && signs.are_of_this_origin(head, tls)
}

impl<'a> Signs<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let none = Lines::default();
        let [mut accept, mut connection, mut destination, mut mode, mut origin, mut site, mut upgrade] = [none; 7];
        let mut prefetch = false;
        for (name, value) in headers {
            match name.as_str() {
                "accept" => accept.add(value),
                "connection" => connection.add(value),
                "sec-fetch-dest" => destination.add(value),
                "sec-fetch-mode" => mode.add(value),
                "origin" => origin.add(value),
                "sec-fetch-site" => site.add(value),
                "upgrade" => upgrade.add(value),
                "purpose" | "sec-purpose" | "x-moz" => prefetch |= begins_with(value.as_bytes(), b"prefetch"),
                _ => {}
            }
        }
        Self { headers, accept, connection, destination, mode, origin, site, upgrade, prefetch }
    }

    fn is_preflight(&self) -> bool {
        self.origin.first.is_some() && self.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// Whether another site may have made the request unseen by its visitor: in a frame, or by a script or picture of that
    /// site. Cookies with `SameSite=None` travel on these too, and one page elsewhere could use up a visitor's place. Browsers
    /// send `Sec-Fetch-Site` whenever they send `Sec-Fetch-Mode`; programs send neither, or the mode alone. A navigation that a
    /// service worker passes on is of the destination `empty`, which no frame is.
    fn is_hidden(&self) -> bool {
        if self.mode.first.is_some_and(|mode| mode == "navigate") {
            let mut destinations = self.destination.each(&SEC_FETCH_DEST, self.headers);
            return destinations.any(|destination| destination != "document" && destination != "empty");
        }
        self.site.each(&SEC_FETCH_SITE, self.headers).any(|site| site == "cross-site")
    }

    fn asked_for(&self, parts: &Parts, json: bool) -> Intent {
        let mode = self.mode.first;
        if mode.is_some_and(|mode| mode == "navigate") {
            return Intent::Page;
        }
        let (mut html, mut as_json) = (None, None);
        for (name, weight) in weighted_items(self.accepted()) {
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
        } else if self.are_of_a_program(parts) {
            Intent::Program
        } else {
            Intent::Read
        }
    }

    fn accepted(&self) -> impl Iterator<Item = &'a [u8]> {
        self.accept.each(&ACCEPT, self.headers).flat_map(|line| split(line.as_bytes(), b','))
    }

    /// Whether a request without a wanted form of answer is that of a program, and not of something on a page: browsers identify
    /// their pages in `Sec-Fetch-Site`, over TLS, and else in `Referer`. (Node's `fetch` sends a `Sec-Fetch-Mode` alone.)
    fn are_of_a_program(&self, parts: &Parts) -> bool {
        let of_a_browser = [self.site, self.destination, self.origin].iter().any(|lines| lines.first.is_some());
        let any_kind = |item: &[u8]| split(item, b';').next() == Some(b"*/*");
        !of_a_browser && self.accepted().all(any_kind) && !is_of_the_same_site(parts)
    }

    /// Whether a client asks to switch to another protocol. Programs that offer HTTP/2 or TLS with every request
    /// (Java's client, `curl --http2`, Apache's client) are content to be ignored (RFC 9110, section 7.8).
    fn switches(&self) -> bool {
        let lines = self.upgrade.each(&UPGRADE, self.headers);
        let mut asked = lines.flat_map(|line| split(line.as_bytes(), b','));
        self.names_upgrade() && asked.any(|protocol| !protocol.is_empty() && !carries_requests(protocol))
    }

    fn names_upgrade(&self) -> bool {
        let lines = self.connection.each(&CONNECTION, self.headers);
        lines.flat_map(|line| split(line.as_bytes(), b',')).any(|token| token.eq_ignore_ascii_case(b"upgrade"))
    }

    fn are_of_this_origin(&self, head: &Head<'_>, tls: bool) -> bool {
        if let Some(site) = self.site.first {
            return site == "same-origin" && !self.site.several;
        }
        let host = sent_host(head).map(String::from_utf8_lossy).unwrap_or_default();
        let origin = self.origin.first.filter(|_| !self.origin.several).and_then(|origin| origin.to_str().ok());
        origin.is_some_and(|origin| is_origin(origin, tls, &host))
    }
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

/// HTTP of any version, also below TLS.
fn carries_requests(protocol: &[u8]) -> bool {
    [&b"h2"[..], b"h3", b"http", b"tls", b"spdy"].into_iter().any(|name| begins_with(protocol, name))
}

fn begins_with(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}
