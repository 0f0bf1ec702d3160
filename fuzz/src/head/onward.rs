//! A head on its way to the shop, and an answer on its way back.

use std::rc::Rc;

use gateway::client::headers::{PassHeaders, UpstreamHeaders, to_shopper, to_upstream};
use gateway::client::visitor::{Host, Peer};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};

/// Headers of one connection: none may pass but as the gateway writes them.
const OF_THE_CONNECTION: [&str; 9] = [
    "transfer-encoding",
    "trailer",
    "expect",
    "keep-alive",
    "http2-settings",
    "proxy",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
];
/// What the gateway alone tells the shop of a stranger's way, in one line.
const OF_THE_WAY: [&str; 5] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "x-request-id"];
/// What no stranger may tell.
const OF_PROXIES: [&str; 8] = [
    "x-real-ip",
    "true-client-ip",
    "x-original-url",
    "x-rewrite-url",
    "x-forwarded-port",
    "cf-connecting-ip",
    "x-forwarded-prefix",
    "ssl-client-cert",
];
/// What makes a preflight more than a question.
const OF_PERSONS: [&str; 4] = ["cookie", "authorization", "x-http-method-override", "x-method-override"];

pub(super) fn nothing_but_the_request_reaches_the_shop(parts: &Parts, host: &Host) {
    for (trusted, peer) in [(false, super::stranger()), (true, super::proxy())] {
        for preflight in [false, true] {
            let told = forwarded(parts, &peer, host, preflight);
            names_and_framing_are_beyond_doubt(&told);
            nothing_of_this_connection_passes(&told.headers);
            weir_speaks_for_itself(&told.headers);
            assert!(!trusted || ends_with_the_peer(&told.headers, &peer), "the last hop is missing");
            if !trusted {
                each_has(&told.headers, &OF_THE_WAY, 1);
                each_has(&told.headers, &OF_PROXIES, 0);
            }
            if preflight {
                each_has(&told.headers, &OF_PERSONS, 0);
            }
        }
    }
}

/// The head that the shop gets.
fn forwarded(parts: &Parts, peer: &Peer, host: &Host, preflight: bool) -> Parts {
    let value = HeaderValue::from_static;
    let ours = || value("ours");
    let pass = PassHeaders { room: ours(), pass_id: ours(), expires: ours(), signature: Some(ours()) };
    let onward =
        UpstreamHeaders { peer, tls: true, host, request_id: value("id-1"), pass: Some(Rc::new(pass)), preflight };
    let mut parts = parts.clone();
    let odd = parts.headers.iter().filter(|(name, _)| !is_plain(name)).count();
    let ready = to_upstream(&mut parts, &onward);
    assert_eq!(ready.ambiguous, odd as u64, "lines that were taken out");
    parts
}

fn names_and_framing_are_beyond_doubt(told: &Parts) {
    assert_eq!(told.version, Version::HTTP_11);
    assert!(told.uri.authority().is_none(), "{}", told.uri);
    assert!(told.headers.keys().all(is_plain), "{:?}", told.headers);
    assert_eq!(count(&told.headers, "host"), 1);
    let lengths: Vec<&[u8]> = told.headers.get_all("content-length").iter().map(HeaderValue::as_bytes).collect();
    let canonical = |length: &[u8]| length == b"0" || length.first().is_some_and(|&digit| digit != b'0');
    let digits = |length: &[u8]| length.iter().all(u8::is_ascii_digit);
    assert!(lengths.len() <= 1 && lengths.iter().all(|length| canonical(length) && digits(length)), "{lengths:?}");
}

fn nothing_of_this_connection_passes(headers: &HeaderMap) {
    each_has(headers, &OF_THE_CONNECTION, 0);
    assert!(headers.get_all("te").iter().all(|te| te == "trailers") && count(headers, "te") <= 1);
    let upgrades = count(headers, "upgrade");
    assert!(upgrades <= 1 && count(headers, "connection") == upgrades, "{headers:?}");
    assert!(headers.get("connection").is_none_or(|connection| connection == "upgrade"));
}

fn weir_speaks_for_itself(headers: &HeaderMap) {
    let ours = headers.iter().filter(|(name, _)| name.as_str().starts_with("weir-"));
    let ours: Vec<_> = ours.map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    assert_eq!(ours.len(), 4, "{ours:?}");
    assert!(ours.iter().all(|(_, value)| *value == b"ours"), "{ours:?}");
    let cookies = headers.get_all("cookie").iter().flat_map(|line| line.as_bytes().split(|&byte| byte == b';'));
    assert!(!cookies.map(<[u8]>::trim_ascii).any(is_own), "{headers:?}");
}

fn ends_with_the_peer(headers: &HeaderMap, peer: &Peer) -> bool {
    let mut lines = headers.get_all("x-forwarded-for").iter();
    let last = lines.next_back().is_some_and(|line| line.as_bytes().ends_with(peer.text.as_bytes()));
    last && count(headers, "x-forwarded-proto") == 1 && count(headers, "x-forwarded-host") == 1
}

/// The same headers as those of an answer.
pub(super) fn an_answer_keeps_its_commands_here(headers: &HeaderMap) {
    for status in [StatusCode::OK, StatusCode::SWITCHING_PROTOCOLS] {
        let mut answer = Response::new(());
        *answer.status_mut() = status;
        *answer.headers_mut() = headers.clone();
        let words = to_shopper(&mut answer);
        let told = answer.headers();
        let speaks = ["weir-command", "weir-stock", "endpoint-load-metrics", "endpoint-load-metrics-bin"]
            .iter()
            .any(|name| headers.contains_key(*name));
        assert_eq!(words.is_some(), speaks, "what the shop says is heard, and nothing else");
        let kept = |name: &str| name.starts_with("weir-") || name.starts_with("endpoint-load-metrics");
        assert!(!told.keys().any(|name| kept(name.as_str())), "{told:?}");
        let mut set = told.get_all("set-cookie").iter().map(|cookie| cookie.as_bytes().trim_ascii());
        assert!(!set.any(is_own), "{told:?}");
        assert_eq!(count(told, "transfer-encoding"), 0);
        assert!(status == StatusCode::SWITCHING_PROTOCOLS || count(told, "upgrade") + count(told, "connection") == 0);
    }
}

fn is_plain(name: &HeaderName) -> bool {
    name.as_str().bytes().all(|byte| byte == b'-' || byte.is_ascii_alphanumeric())
}

fn is_own(cookie: &[u8]) -> bool {
    [&b"weir_"[..], b"__Host-weir_"].iter().any(|ours| cookie.starts_with(ours))
}

/// Each of these names has so many lines.
fn each_has(headers: &HeaderMap, names: &[&str], lines: usize) {
    for name in names {
        assert_eq!(count(headers, name), lines, "{name}");
    }
}

fn count(headers: &HeaderMap, name: &str) -> usize {
    headers.get_all(name).iter().count()
}
