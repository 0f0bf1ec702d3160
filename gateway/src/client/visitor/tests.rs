use std::net::IpAddr;

use http::Request;
use http::request::Parts;
use ipnet::IpNet;
use policy::admit::Intent;
use policy::seal::{Rejected, RoomId, Sealer};
use policy::ticket::Token;
use proptest::prelude::*;

use super::*;

const COOKIE_NAME: &str = "__Host-weir_launch";

fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

fn get(headers: &[(&str, &str)]) -> Parts {
    request("GET", "/", headers)
}

fn trusted() -> Vec<IpNet> {
    ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().expect("a net")).to_vec()
}

fn peer(address: &str) -> Peer {
    Peer::new(address.parse().expect("an address"), &trusted())
}

fn client(from: &str, headers: &[(&str, &str)]) -> String {
    client_address(&peer(from), &get(headers).headers, &trusted()).to_string()
}

#[test]
fn a_stranger_is_not_believed_about_its_address() {
    assert_eq!(client("192.0.2.1", &[("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=1.1.1.1")]), "192.0.2.1");
    assert_eq!(peer("::ffff:192.0.2.1").text, "192.0.2.1");
}

#[test]
fn the_address_is_the_last_that_no_trusted_proxy_has() {
    assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "6.6.6.6, 1.1.1.1, 10.0.0.2")]), "1.1.1.1");
    assert_eq!(client("::ffff:10.0.0.1", &[("x-forwarded-for", "::ffff:1.1.1.1")]), "1.1.1.1");
    assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "10.0.0.3, 10.0.0.2")]), "10.0.0.3");
    assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
}

#[test]
fn several_lines_of_addresses_are_one_list() {
    let lines = [("x-forwarded-for", "6.6.6.6, 1.1.1.1"), ("x-forwarded-for", "10.0.0.2")];
    assert_eq!(client("10.0.0.1", &lines), "1.1.1.1");
}

#[test]
fn garbage_ends_the_search_at_the_last_believable_address() {
    assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "1.1.1.1, unknown, 10.0.0.2")]), "10.0.0.2");
    assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "1.1.1.1,")]), "10.0.0.1");
    assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "1.1.1.1:x")]), "10.0.0.1");
    assert_eq!(client("10.0.0.1", &[("forwarded", "for=_hidden, proto=https")]), "10.0.0.1");
}

#[test]
fn an_address_may_have_a_port_brackets_and_quotes() {
    assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "1.1.1.1:4711")]), "1.1.1.1");
    assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "[2001:db8::1]:80, fd00::2")]), "2001:db8::1");
    assert_eq!(
        client("10.0.0.1", &[("forwarded", r#"for=6.6.6.6, proto=https;For="[2001:db8::1]:80""#)]),
        "2001:db8::1"
    );
}

#[test]
fn a_quote_left_open_hides_nothing() {
    assert_eq!(client("10.0.0.1", &[("forwarded", r#"for="6.6.6.6, for=1.1.1.1"#)]), "1.1.1.1");
}

#[test]
fn forwarded_counts_only_without_x_forwarded_for() {
    assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=6.6.6.6")]), "1.1.1.1");
}

#[test]
fn tls_is_what_the_connection_or_a_trusted_proxy_says() {
    let tls = |from, over_tls, headers: &[_]| is_tls(over_tls, &peer(from), &get(headers).headers);
    assert!(!tls("192.0.2.1", false, &[("x-forwarded-proto", "https")]));
    assert!(tls("192.0.2.1", true, &[("x-forwarded-proto", "http")]));
    assert!(tls("10.0.0.1", false, &[("x-forwarded-proto", "HTTPS")]));
    assert!(!tls("10.0.0.1", true, &[("x-forwarded-proto", "https, http")]));
    assert!(tls("10.0.0.1", false, &[("forwarded", "for=1.1.1.1;proto=https")]));
    assert!(tls("10.0.0.1", true, &[]));
}

#[test]
fn the_request_id_of_a_trusted_peer_is_kept_if_it_is_harmless() {
    let long = "x".repeat(129);
    for (from, given, kept) in [
        ("10.0.0.1", "a.B_c-1", true),
        ("192.0.2.1", "a.B_c-1", false),
        ("10.0.0.1", "a b", false),
        ("10.0.0.1", "", false),
        ("10.0.0.1", long.as_str(), false),
        ("10.0.0.1", &long[1..], true),
    ] {
        let headers = get(&[("x-request-id", given)]).headers;
        let id = request_id(&peer(from), &headers, || HeaderValue::from_static("fresh"));
        assert_eq!(id, if kept { given } else { "fresh" });
    }
}

fn host(parts: &Parts) -> Result<String, BadHost> {
    let host = Host::of(sent_host(&Head::of(parts))?)?;
    Ok(String::from_utf8_lossy(host.sent.as_bytes()).into_owned())
}

#[test]
fn the_host_is_in_the_request_line_or_in_one_header() {
    assert_eq!(host(&get(&[("host", "Shop.example.com:8080")])), Ok("Shop.example.com:8080".to_owned()));
    assert_eq!(host(&request("GET", "http://a.example/x", &[("host", "A.example:80")])), Ok("a.example".to_owned()));
    assert_eq!(host(&request("GET", "http://a.example/x", &[("host", "b.example")])), Err(BadHost::Two));
    assert_eq!(host(&request("GET", "http://a.example/x", &[])), Err(BadHost::Missing));
    let mut http2 = request("GET", "http://a.example/x", &[]);
    http2.version = http::Version::HTTP_2;
    assert_eq!(host(&http2), Ok("a.example".to_owned()));
    assert_eq!(host(&get(&[("host", "[::1]:80")])), Ok("[::1]:80".to_owned()));
    assert_eq!(host(&get(&[])), Err(BadHost::Missing));
    assert_eq!(host(&get(&[("host", "a"), ("host", "a")])), Err(BadHost::Several));
}

#[test]
fn what_is_no_host_is_refused() {
    for bad in ["", ":80", "a/b", "a b", "a:b", "a:80:90", "a@b", "a,b", "[::1", "[x]", "[::1]x", ".a", "a\u{e9}"] {
        let parts = get(&[("host", bad)]);
        assert_eq!(host(&parts), Err(BadHost::Malformed), "{bad:?}");
    }
    assert_eq!(host(&request("GET", "http://user@a.example/", &[("host", "user@a.example")])), Err(BadHost::Malformed));
}

#[test]
fn a_navigation_is_a_page() {
    assert_eq!(intent(&get(&[("sec-fetch-mode", "navigate")]), true), Intent::Page);
    assert_eq!(intent(&get(&[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")]), true), Intent::Page);
    assert_eq!(intent(&get(&[("accept", "Text/HTML")]), false), Intent::Page);
}

#[test]
fn what_a_page_loads_is_no_page() {
    assert_eq!(intent(&get(&[("sec-fetch-mode", "no-cors"), ("accept", "text/html")]), true), Intent::Read);
    assert_eq!(intent(&get(&[("accept", "image/avif,*/*")]), true), Intent::Read);
    assert_eq!(intent(&get(&[("accept", "text/html;q=0")]), true), Intent::Read);
}

#[test]
fn who_names_no_form_of_answer_is_a_program_unless_a_browser_tells_otherwise() {
    let (any, host) = (("accept", "*/*"), ("host", "www.shop.example:8080"));
    let of = |headers: &[(&str, &str)]| intent(&get(headers), true);
    for program in [
        &[][..],
        &[any],
        &[("accept", "*/*;q=0.8, */*")],
        // As Node's fetch.
        &[any, ("accept-language", "*"), ("sec-fetch-mode", "cors")],
        &[any, host, ("referer", "https://search.example/?q=shop")],
        &[any, ("range", "bytes=0-10")],
    ] {
        assert_eq!(of(program), Intent::Program, "{program:?}");
    }
    for page in [
        "http://www.shop.example:8080/",
        "https://shop.example",
        "http://SHOP.example/a#b",
        "http://u@a.shop.example?x",
    ] {
        assert_eq!(of(&[any, host, ("referer", page)]), Intent::Read, "{page}");
    }
    for browser in [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-dest", "empty"),
        ("origin", "https://app.example"),
        ("accept", "image/png"),
    ] {
        assert_eq!(of(&[any, browser]), Intent::Read, "{browser:?}");
    }
    let named = request("GET", "http://shop.example/x", &[("referer", "http://shop.example/")]);
    assert_eq!(intent(&named, true), Intent::Read);
}

#[test]
fn a_token_in_a_header_is_that_of_an_app_and_never_of_a_script() {
    let token = |headers: &[(&str, &str)]| {
        token_in_header(&Head::of(&get(headers))).map(|text| String::from_utf8_lossy(text).into_owned())
    };
    let app = ("weir-token", "abc");
    assert_eq!(token(&[app]).as_deref(), Some("abc"));
    assert_eq!(token(&[("weir-token", " ")]).as_deref(), Some(""));
    for more in [app, ("origin", "https://shop.example"), ("sec-fetch-site", "same-origin")] {
        assert_eq!(token(&[app, more]), None, "{more:?}");
    }
    assert_eq!(token(&[("cookie", "weir_launch=abc")]), None);
}

#[test]
fn who_prefers_json_gets_json_where_the_room_has_it() {
    let axios = get(&[("accept", "application/json, text/plain, */*"), ("sec-fetch-mode", "cors")]);
    assert_eq!(intent(&axios, true), Intent::Json);
    assert_eq!(intent(&axios, false), Intent::Read);
    let both = |accept| intent(&get(&[("accept", accept)]), true);
    assert_eq!(both("text/html;q=0.5, application/json"), Intent::Json);
    assert_eq!(both("application/json, text/html"), Intent::Json);
    assert_eq!(both("text/html, application/json"), Intent::Page);
    assert_eq!(both("application/json;q=0, text/html;q=0.1"), Intent::Page);
}

#[test]
fn only_a_get_that_somebody_waits_for_takes_a_number() {
    let page = ("sec-fetch-mode", "navigate");
    let (site, dest) = (|site| ("sec-fetch-site", site), |dest| ("sec-fetch-dest", dest));
    for dest in ["document", "empty"].map(dest) {
        assert_eq!(intent(&get(&[page, dest, site("cross-site")]), true), Intent::Page, "a link, or a service worker");
    }
    for framed in ["iframe", "frame", "embed", "object"].map(dest) {
        assert_eq!(intent(&get(&[page, framed, site("same-origin")]), true), Intent::Read, "{framed:?}");
    }
    let json = [("accept", "application/json"), ("sec-fetch-mode", "cors"), dest("empty")];
    for (from, asks) in [("same-origin", Intent::Json), ("same-site", Intent::Json), ("cross-site", Intent::Read)] {
        assert_eq!(intent(&get(&[&json[..], &[site(from)]].concat()), true), asks, "{from}");
    }
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        assert_eq!(intent(&request(method, "/", &[page]), true), Intent::Form, "{method}");
    }
    assert_eq!(intent(&request("HEAD", "/", &[page]), true), Intent::Read);
    for method in ["CONNECT", "OPTIONS", "PROPFIND"] {
        let uri = if method == "CONNECT" { "a:443" } else { "/" };
        assert_eq!(intent(&request(method, uri, &[page]), true), Intent::Other, "{method}");
    }
    let prefetches = [("purpose", "prefetch"), ("sec-purpose", "Prefetch;prerender"), ("x-moz", "prefetch")];
    for prefetch in prefetches {
        assert_eq!(intent(&get(&[page, prefetch]), true), Intent::Read, "{prefetch:?}");
    }
    let asks = |upgrade| intent(&get(&[page, ("connection", "keep-alive, Upgrade"), ("upgrade", upgrade)]), true);
    assert_eq!(["websocket", "h2c, websocket", "x"].map(asks), [Intent::Other; 3]);
}

#[test]
fn an_offer_of_http_2_or_tls_is_ignored() {
    let page = ("accept", "text/html");
    for offer in ["h2c", "H2C", "h2", "TLS/1.2", "HTTP/2.0", "h2c, TLS/1.0", ""] {
        let java =
            [page, ("connection", "Upgrade, HTTP2-Settings"), ("upgrade", offer), ("http2-settings", "AAEAAEAA")];
        assert_eq!(intent(&get(&java), true), Intent::Page, "{offer}");
    }
    assert_eq!(intent(&get(&[page, ("connection", "upgrade")]), true), Intent::Page);
    assert_eq!(intent(&get(&[page, ("upgrade", "websocket")]), true), Intent::Page);
}

#[test]
fn a_length_is_one_decimal_number_and_a_coding_is_chunked() {
    let framed = |lines: &[_]| Head::of(&get(lines)).is_framed();
    let length = |text| framed(&[("content-length", text)]);
    for good in ["0", "10", "9007199254740993"] {
        assert!(length(good), "{good}");
    }
    for bad in ["", "010", "00", "+10", "-1", "1_0", " 10", "10 ", "10, 10", "0x10", "1e3", "10;", "1.0", "\u{661}"] {
        let line = HeaderValue::from_bytes(bad.as_bytes()).expect("a value");
        let mut parts = get(&[]);
        parts.headers.append("content-length", line);
        assert!(!Head::of(&parts).is_framed(), "{bad}");
    }
    assert!(!framed(&[("content-length", "10"), ("content-length", "10")]));
    assert!(framed(&[("transfer-encoding", "chunked")]) && framed(&[("transfer-encoding", "Chunked")]));
    for bad in ["gzip, chunked", "chunked, chunked", "identity", "xchunked", "chunked;q=1", "\"chunked\"", ""] {
        assert!(!framed(&[("transfer-encoding", bad)]), "{bad}");
    }
    assert!(!framed(&[("transfer-encoding", "identity"), ("transfer-encoding", "chunked")]));
}

#[test]
fn a_preflight_names_its_origin_and_method() {
    let (origin, method) = (("origin", "https://a"), ("access-control-request-method", "PUT"));
    assert_eq!(intent(&request("OPTIONS", "/", &[origin, method]), true), Intent::Preflight);
    assert_eq!(intent(&request("OPTIONS", "/", &[origin]), true), Intent::Other);
    assert_eq!(intent(&request("OPTIONS", "/", &[method]), true), Intent::Other);
}

#[test]
fn a_websocket_may_be_forwarded_and_h2c_never() {
    let asked = |protocol, connection| upgrade(&get(&[("upgrade", protocol), ("connection", connection)])).is_some();
    assert!(asked("websocket", "Upgrade") && asked("websocket", "keep-alive, upgrade"));
    assert!(
        !asked("h2c", "Upgrade, HTTP2-Settings") && !asked("websocket, h2c", "upgrade") && !asked("H2C", "upgrade")
    );
    assert!(!asked("TLS/1.2", "upgrade") && !asked("HTTP/2.0", "upgrade") && !asked("SPDY/3", "upgrade"));
    assert!(!asked("websocket", "close"));
    assert!(upgrade(&get(&[("connection", "upgrade")])).is_none());
}

fn sealer() -> Sealer {
    Sealer::new(&[7; 32]).expect("long enough")
}

fn open(text: &[u8]) -> Result<Token, Rejected> {
    sealer().open(RoomId::of("launch"), text)
}

fn shown(cookies: &[&str]) -> Credential {
    let lines: Vec<_> = cookies.iter().map(|line| ("cookie", *line)).collect();
    credential(&Head::of(&get(&lines)), COOKIE_NAME, open)
}

fn sealed(number: u64) -> (Token, String) {
    let token = Token::ticket(number, 1_000);
    (token, format!("{COOKIE_NAME}={}", sealer().seal(RoomId::of("launch"), &token)))
}

#[test]
fn without_a_cookie_of_the_name_there_is_no_credential() {
    assert_eq!(shown(&[]), Credential::None);
    assert_eq!(
        shown(&["a=1; weir_launch=x; __Host-weir_launch2=x; x__Host-weir_launch=x; __Host-weir_launch"]),
        Credential::None
    );
}

#[test]
fn the_first_whole_seal_among_four_cookies_counts() {
    let (token, text) = sealed(7);
    let bad = format!("{COOKIE_NAME}=bad");
    assert_eq!(shown(&[&format!("a=1; {text};b=2")]), Credential::Sealed(token));
    assert_eq!(shown(&[&bad, &format!("{bad};{bad}; {text}")]), Credential::Sealed(token));
    assert_eq!(shown(&[&bad, &bad, &bad, &bad, &text]), Credential::Bad(Rejected::Malformed));
}

#[test]
fn a_value_in_quotes_counts() {
    let (token, text) = sealed(7);
    let quoted = text.replacen('=', "=\"", 1) + "\"";
    for line in
        [quoted.clone(), format!("$Version=\"1\"; {quoted};$Path=\"/\";$Domain=\"a\""), format!("a=\"1\"; {quoted}")]
    {
        assert_eq!(shown(&[&line]), Credential::Sealed(token), "{line}");
    }
    assert_eq!(shown(&[&quoted[..quoted.len() - 1]]), Credential::Bad(Rejected::Malformed));
    assert_eq!(shown(&[&format!("{COOKIE_NAME}=\"")]), Credential::Bad(Rejected::Malformed));
}

#[test]
fn the_first_reason_tells_why_no_cookie_counts() {
    let (_, text) = sealed(7);
    let forged = format!("{}{}", &text[..text.len() - 10], "A".repeat(10));
    assert_eq!(shown(&[&forged, &format!("{COOKIE_NAME}=")]), Credential::Bad(Rejected::Forged));
    let stranger = Sealer::new(&[7; 32]).expect("long enough").seal(RoomId::of("other"), &sealed(1).0);
    assert_eq!(shown(&[&format!("{COOKIE_NAME}={stranger}")]), Credential::Bad(Rejected::Foreign));
}

#[test]
fn a_cookie_of_eight_kilobytes_is_malformed() {
    assert_eq!(shown(&[&format!("{COOKIE_NAME}={}", "A".repeat(8192))]), Credential::Bad(Rejected::Malformed));
}

#[test]
fn a_page_of_another_host_changes_nothing() {
    let allowed = |headers: &[_]| is_same_origin(&get(headers).headers, true, "shop.example.com");
    assert!(allowed(&[]));
    assert!(allowed(&[("sec-fetch-site", "same-origin")]) && allowed(&[("sec-fetch-site", "none")]));
    assert!(!allowed(&[("sec-fetch-site", "cross-site"), ("origin", "https://shop.example.com")]));
    assert!(!allowed(&[("sec-fetch-site", "same-site")]));
    assert!(!allowed(&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")]));
    assert!(
        allowed(&[("origin", "https://SHOP.example.com")]) && allowed(&[("origin", "https://shop.example.com:443")])
    );
    for other in
        ["null", "", "http://shop.example.com", "https://shop.example.com:8443", "https://shop.example.com.evil"]
    {
        assert!(!allowed(&[("origin", other)]), "{other}");
    }
    assert!(is_same_origin(&get(&[("origin", "http://a:8080")]).headers, false, "a:8080"));
}

proptest! {
    #[test]
    fn no_header_makes_it_panic(
        names in prop::collection::vec(prop::sample::select(vec![
            "host", "cookie", "accept", "accept-language", "x-forwarded-for", "forwarded", "x-forwarded-proto", "origin",
            "connection", "upgrade", "sec-fetch-mode", "sec-fetch-site", "purpose", "x-request-id",
        ]), 0..12),
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut parts = get(&[]);
        for (name, value) in names.iter().zip(bytes.chunks(33)) {
            let Ok(value) = HeaderValue::from_bytes(value) else { continue };
            parts.headers.append(*name, value);
        }
        let peer = peer("10.0.0.1");
        let headers = &parts.headers;
        let _: IpAddr = client_address(&peer, headers, &trusted());
        is_tls(true, &peer, headers);
        request_id(&peer, headers, || HeaderValue::from_static("x"));
        let _ = host(&parts);
        intent(&parts, true);
        upgrade(&parts);
        credential(&Head::of(&parts), COOKIE_NAME, open);
        is_same_origin(headers, false, "a");
    }
}
