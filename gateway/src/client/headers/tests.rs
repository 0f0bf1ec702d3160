use http::Request;
use policy::line::segment::SPAN;
use proptest::prelude::*;

use super::*;

fn peer(trusted: bool) -> Peer {
    let nets = if trusted { vec!["192.0.2.0/24".parse().expect("a net")] } else { Vec::new() };
    Peer::new("192.0.2.1".parse().expect("an address"), &nets)
}

fn request(uri: &str, headers: &[(&str, &str)]) -> request::Parts {
    let mut request = Request::builder().uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

fn host(sent: &str) -> Host {
    Host::of(sent.as_bytes()).expect("a host")
}

fn onward<'a>(peer: &'a Peer, host: &'a Host) -> UpstreamHeaders<'a> {
    let request_id = HeaderValue::from_static("id-1");
    UpstreamHeaders { peer, tls: true, host, request_id, pass: None, preflight: false }
}

fn forwarded_by(trusted: bool, headers: &[(&str, &str)]) -> HeaderMap {
    let mut parts = request("/", headers);
    parts.headers.entry(HOST).or_insert(HeaderValue::from_static("shop.example.com"));
    to_upstream(&mut parts, &onward(&peer(trusted), &host("shop.example.com")));
    parts.headers
}

/// The values of this header at the upstream, sent by a stranger.
fn reach(headers: &[(&str, &str)], name: &str) -> Vec<String> {
    lines(&forwarded_by(false, headers), name)
}

fn lines(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

/// What reaches the shopper, and the commands.
fn answer(headers: &[(&str, &str)]) -> (HeaderMap, Vec<String>) {
    let mut response = Response::builder();
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    let mut response = response.body(()).expect("a response");
    let words =
        to_shopper(&mut response).map(|words| [words.commands, words.stock, words.load].concat()).unwrap_or_default();
    let words = words.iter().map(|word| String::from_utf8_lossy(word.as_bytes()).into_owned());
    (response.into_parts().0.headers, words.collect())
}

#[test]
fn headers_of_one_connection_go_no_further() {
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "upgrade",
        "transfer-encoding",
        "expect",
        "http2-settings",
    ] {
        assert!(reach(&[(name, "x")], name).is_empty(), "{name}");
    }
    assert_eq!(reach(&[("accept", "*/*"), ("authorization", "x")], "authorization"), ["x"]);
}

#[test]
fn what_connection_names_goes_no_further() {
    let named = [("connection", "close, X-Mine"), ("connection", "x-other"), ("x-mine", "1"), ("x-other", "2")];
    assert!(reach(&named, "x-mine").is_empty() && reach(&named, "x-other").is_empty());
}

#[test]
fn connection_cannot_name_what_the_gateway_relies_on() {
    for name in
        ["host", "cookie", "content-length", "authorization", "via", "x-forwarded-for", "forwarded", "x-request-id"]
    {
        let headers = forwarded_by(true, &[("connection", name), (name, "7")]);
        assert!(headers.contains_key(name), "{name}");
        assert!(name == "x-request-id" || headers[name].as_bytes().starts_with(b"7"), "{name}");
    }
    let mut parts = request("/", &[("connection", "weir-room, weir-pass-id, weir-pass-expires, weir-signature")]);
    let value = || HeaderValue::from_static("x");
    let pass = PassHeaders { room: value(), pass_id: value(), expires: value(), signature: Some(value()) };
    to_upstream(
        &mut parts,
        &UpstreamHeaders { pass: Some(Rc::new(pass)), ..onward(&peer(false), &host("shop.example.com")) },
    );
    for name in [&WEIR_ROOM, &WEIR_PASS_ID, &WEIR_PASS_EXPIRES, &WEIR_SIGNATURE] {
        assert_eq!(parts.headers[name], "x");
    }
}

#[test]
fn trailers_stay_welcome() {
    assert_eq!(reach(&[("te", "gzip, Trailers"), ("connection", "TE")], "te"), ["trailers"]);
}

#[test]
fn a_length_beside_a_transfer_coding_is_not_believed() {
    let both = [("transfer-encoding", "chunked"), ("content-length", "5")];
    assert!(reach(&both, "content-length").is_empty() && reach(&both, "transfer-encoding").is_empty());
    assert_eq!(reach(&[("content-length", "5")], "content-length"), ["5"]);
}

#[test]
fn an_upgrade_passes_only_where_it_is_forwarded() {
    let mut parts = request("/", &[("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "k")]);
    to_upstream(&mut parts, &onward(&peer(false), &host("shop.example.com")));
    assert_eq!(parts.headers[UPGRADE], "websocket");
    assert_eq!(parts.headers[CONNECTION], "upgrade");
    assert_eq!(parts.headers["sec-websocket-key"], "k");
    for protocol in ["h2c", "TLS/1.2", "HTTP/2.0"] {
        let mut parts = request("/", &[("connection", "Upgrade, HTTP2-Settings"), ("upgrade", protocol)]);
        to_upstream(&mut parts, &onward(&peer(false), &host("shop.example.com")));
        assert!(!parts.headers.contains_key(UPGRADE) && !parts.headers.contains_key(CONNECTION), "{protocol}");
    }
}

#[test]
fn split_cookies_become_one_line() {
    assert_eq!(reach(&[("cookie", "a=1"), ("cookie", "b=2;c=3")], "cookie"), ["a=1; b=2; c=3"]);
}

#[test]
fn cookies_of_weir_stay_here() {
    let ours = ["weir_launch=x", "__Host-weir_launch=x", "weir_a=1; __Host-weir_b=2;weir_=3", "a=1; weir_x =y"];
    for line in &ours[..3] {
        assert!(reach(&[("cookie", line)], "cookie").is_empty(), "{line}");
    }
    assert_eq!(reach(&[("cookie", ours[3])], "cookie"), ["a=1"]);
    assert_eq!(reach(&[("cookie", "a=1;weir_x=y;  b=2; ")], "cookie"), ["a=1; b=2"]);
    assert_eq!(reach(&[("cookie", "weir_x=y"), ("cookie", "b=2")], "cookie"), ["b=2"]);
}

#[test]
fn a_line_of_the_shops_own_cookies_is_not_touched() {
    for line in ["a=1;b=2 ;; c", "xweir_a=1", "a=weir_b", "WEIR_a=1", "a=\"x; y\""] {
        assert_eq!(reach(&[("cookie", line)], "cookie"), [line]);
    }
}

#[test]
fn nobody_else_speaks_with_the_voice_of_weir() {
    for name in ["weir-room", "weir-pass-id", "weir-pass-expires", "weir-signature", "weir-anything"] {
        assert!(reach(&[(name, "x")], name).is_empty(), "{name}");
        assert!(lines(&forwarded_by(true, &[(name, "x")]), name).is_empty(), "{name}");
    }
}

#[test]
fn a_header_names_no_other_path_than_the_room_was_found_by() {
    for name in [
        "x-original-url",
        "x-original-uri",
        "x-rewrite-url",
        "x-forwarded-uri",
        "x-forwarded-path",
        "x-original-method",
    ] {
        assert!(lines(&forwarded_by(true, &[(name, "/launch")]), name).is_empty(), "{name}");
    }
}

#[test]
fn names_that_a_shop_may_read_as_others_go_no_further_and_are_counted() {
    let ambiguous = [
        "weir_pass_id",
        "weir-pass_expires",
        "x_forwarded_for",
        "content_length",
        "weir.room",
        "a~b",
        "a'b",
        "a`",
        "!",
        "a|b",
    ];
    for name in ambiguous {
        for trusted in [true, false] {
            assert!(!forwarded_by(trusted, &[(name, "x")]).contains_key(name), "{name}");
        }
        let mut parts = request("/", &[(name, "x"), ("x-fine-2", "x")]);
        let ready = to_upstream(&mut parts, &onward(&peer(false), &host("shop.example.com")));
        assert_eq!((ready.ambiguous, parts.headers.contains_key("x-fine-2")), (1, true), "{name}");
    }
}

#[test]
fn what_only_a_proxy_can_know_is_believed_from_a_trusted_one_alone() {
    for name in [
        "x-forwarded-prefix",
        "x-forwarded-port",
        "x-forwarded-server",
        "x-forwarded-scheme",
        "x-forwarded-ssl",
        "x-forwarded",
        "x-real-ip",
        "x-client-ip",
        "client-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "cf-visitor",
        "fastly-client-ip",
        "x-cluster-client-ip",
        "wl-proxy-client-ip",
        "proxy-client-ip",
        "remote-addr",
        "x-host",
        "front-end-https",
        "x-url-scheme",
        "x-scheme",
        "x-original-host",
        "x-original-forwarded-for",
        "x-azure-clientip",
        "ssl-client-verify",
        "x-ssl-client-verify",
        "x-sendfile-type",
        "x-accel-mapping",
    ] {
        assert!(reach(&[(name, "x")], name).is_empty(), "{name}");
        assert_eq!(lines(&forwarded_by(true, &[(name, "x")]), name), ["x"], "{name}");
    }
    for name in
        ["x-requested-with", "x-csrf-token", "x-http-method-override", "content-type", "range", "sec-fetch-site"]
    {
        assert_eq!(reach(&[(name, "x")], name), ["x"], "{name}");
    }
    for trusted in [true, false] {
        assert!(lines(&forwarded_by(trusted, &[("proxy", "http://evil")]), "proxy").is_empty());
    }
}

#[test]
fn a_preflight_passes_with_what_a_browser_sends_alone() {
    let usual = [
        ("origin", "https://a"),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "x"),
        ("accept", "*/*"),
        ("user-agent", "x"),
        ("sec-fetch-mode", "cors"),
        ("referer", "https://a/"),
    ];
    let unusual = [
        ("x-http-method-override", "POST"),
        ("x-http-method", "POST"),
        ("x-method-override", "POST"),
        ("cookie", "a=1"),
        ("authorization", "x"),
        ("content-type", "x"),
        ("x-token", "x"),
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
    ];
    for (trusted, kept) in [(false, ["x-token"; 0].as_slice()), (true, &["content-type", "x-token"])] {
        let mut parts = request("/", &[&usual[..], &unusual].concat());
        parts.headers.insert(HOST, HeaderValue::from_static("shop.example.com"));
        let peer = peer(trusted);
        let host = host("shop.example.com");
        to_upstream(&mut parts, &UpstreamHeaders { preflight: true, ..onward(&peer, &host) });
        for (name, value) in usual {
            assert_eq!(parts.headers[name], value);
        }
        assert!(parts.headers.contains_key("host") && parts.headers.contains_key("x-forwarded-for"));
        for (name, _) in unusual {
            assert_eq!(parts.headers.contains_key(name), kept.contains(&name), "{name} {trusted}");
        }
    }
}

#[test]
fn trailers_are_announced_by_name_and_never_speak_for_weir_or_the_framing() {
    let announce = [
        ("transfer-encoding", "chunked"),
        ("trailer", "X-Checksum, Content-Digest, Weir-Pass-Id, weir_room, X-Forwarded-For, Content-Length, Host"),
        ("trailer", "cookie, grpc-status, transfer-encoding, trailer, if-match, content-type, x-original-url"),
    ];
    let ready = |headers: &[_]| {
        let mut parts = request("/", headers);
        let ready = to_upstream(&mut parts, &onward(&peer(true), &host("shop.example.com")));
        assert!(!parts.headers.contains_key(TRAILER));
        ready.trailers
    };
    let trailers = ready(&announce);
    let mut head = HeaderMap::new();
    trailers.announce(&mut head);
    assert_eq!(lines(&head, "trailer"), ["x-checksum, content-digest, grpc-status"]);
    let mut sent = HeaderMap::new();
    for name in ["x-checksum", "weir-pass-id", "x-unannounced", "host"] {
        sent.append(name, HeaderValue::from_static("x"));
    }
    trailers.filter(&mut sent);
    assert_eq!((sent.len(), sent.contains_key("x-checksum")), (1, true));
    assert!(ready(&announce[1..]).is_empty(), "there is nowhere to put them");
}

#[test]
fn the_attributes_of_a_version_1_cookie_of_weir_stay_with_it() {
    let line = r#"$Version="1"; weir_launch="x";$Path="/";$Domain="a"; b="2";$Path="/""#;
    assert_eq!(reach(&[("cookie", line)], "cookie"), [r#"$Version="1"; b="2"; $Path="/""#]);
}

#[test]
fn what_a_stranger_says_of_the_way_is_replaced() {
    let lies = [
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "ftp"),
        ("x-forwarded-host", "evil"),
        ("x-real-ip", "6.6.6.6"),
        ("forwarded", "for=6.6.6.6"),
        ("x-forwarded-port", "1"),
        ("x-request-id", "theirs"),
        ("via", "1.0 old"),
    ];
    assert_eq!(reach(&lies, "x-forwarded-for"), ["192.0.2.1"]);
    assert_eq!(reach(&lies, "x-forwarded-proto"), ["https"]);
    assert_eq!(reach(&lies, "x-forwarded-host"), ["shop.example.com"]);
    assert_eq!(reach(&lies, "forwarded"), ["for=192.0.2.1;host=shop.example.com;proto=https"]);
    assert!(reach(&lies, "x-real-ip").is_empty() && reach(&lies, "x-forwarded-port").is_empty());
    assert_eq!(reach(&lies, "x-request-id"), ["id-1"]);
    assert_eq!(reach(&lies, "via"), ["1.0 old", "1.1 weir"]);
}

#[test]
fn what_a_trusted_proxy_says_of_the_way_is_continued() {
    let said = [
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-for", "10.0.0.1"),
        ("forwarded", "for=1.1.1.1"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-host", "evil"),
    ];
    let headers = forwarded_by(true, &said);
    assert_eq!(lines(&headers, "x-forwarded-for"), ["1.1.1.1, 10.0.0.1, 192.0.2.1"]);
    assert_eq!(lines(&headers, "forwarded"), ["for=1.1.1.1, for=192.0.2.1;host=shop.example.com;proto=https"]);
    assert_eq!(lines(&headers, "x-forwarded-port"), ["443"]);
    assert_eq!(lines(&headers, "x-forwarded-host"), ["shop.example.com"]);
}

#[test]
fn an_address_of_version_six_and_a_port_are_quoted() {
    let peer = Peer::new("2001:db8::1".parse().expect("an address"), &[]);
    let mut parts = request("/", &[("host", "a:8080")]);
    to_upstream(&mut parts, &UpstreamHeaders { tls: false, ..onward(&peer, &host("a:8080")) });
    assert_eq!(parts.headers[FORWARDED], r#"for="[2001:db8::1]";host="a:8080";proto=http"#);
    assert_eq!(parts.headers["x-forwarded-for"], "2001:db8::1");
}

#[test]
fn the_absolute_form_becomes_a_path_and_a_host() {
    let mut parts = request("http://shop.example.com:81/a?b=c", &[("host", "evil")]);
    parts.version = Version::HTTP_2;
    to_upstream(&mut parts, &onward(&peer(false), &host("shop.example.com:81")));
    assert_eq!(parts.uri, "/a?b=c");
    assert!(parts.uri.authority().is_none() && parts.uri.scheme().is_none());
    assert_eq!(lines(&parts.headers, "host"), ["shop.example.com:81"]);
    assert_eq!(parts.version, Version::HTTP_11);
}

#[test]
fn a_pass_is_named_by_its_segment_and_number() {
    assert_eq!(pass_id(&Token::pass(3 * SPAN + 42, 0, 1)), "3.42");
    assert_eq!(pass_id(&Token::pass(u64::MAX, 0, 1)), "549755813887.33554431");
}

#[test]
fn an_answer_loses_what_was_of_its_connection() {
    let (headers, _) = answer(&[
        ("connection", "x-mine"),
        ("x-mine", "1"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("proxy-authenticate", "Basic"),
        ("content-type", "text/html"),
        ("via", "1.1 shop"),
    ]);
    let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-type", "via"]);
    assert_eq!(lines(&headers, "via"), ["1.1 shop"], "the shop's own stays");
}

#[test]
fn a_switch_of_protocols_reaches_the_shopper() {
    let switch = Response::builder().status(101).header("upgrade", "websocket").header("connection", "Upgrade");
    let mut response = switch.body(()).expect("a response");
    to_shopper(&mut response);
    assert_eq!(response.headers()[UPGRADE], "websocket");
    assert_eq!(response.headers()[CONNECTION], "upgrade");
}

#[test]
fn commands_of_the_upstream_are_heard_and_taken_out() {
    for (name, value) in [
        ("weir-command", "revoke"),
        ("Weir-Command", "rate=1/m"),
        ("weir-stock", "sku=a; left=0"),
        ("endpoint-load-metrics", "TEXT cpu_utilization=0.5"),
        ("endpoint-load-metrics-bin", "BIN"),
    ] {
        let (headers, words) = answer(&[(name, value), ("weir-room", "x"), ("content-type", "text/html")]);
        assert_eq!(words, [value], "{name}");
        assert_eq!(headers.len(), 1, "{headers:?}");
    }
    assert!(answer(&[("weir-room", "x"), ("connection", "close")]).1.is_empty());
    assert!(answer(&[]).1.is_empty());
}

#[test]
fn the_upstream_sets_no_cookie_of_weir() {
    let (headers, _) = answer(&[
        ("set-cookie", "a=1"),
        ("set-cookie", "weir_x=1"),
        ("set-cookie", " __Host-weir_x=1"),
        ("set-cookie", "b=2"),
    ]);
    assert_eq!(lines(&headers, "set-cookie"), ["a=1", "b=2"]);
}

#[test]
fn an_answer_with_a_cookie_of_weir_is_stored_by_no_cache() {
    let mut headers = HeaderMap::new();
    for name in &OF_CACHES {
        headers.insert(name, HeaderValue::from_static("max-age=600"));
    }
    headers.append(CACHE_CONTROL, HeaderValue::from_static("public"));
    headers.append(CACHE_CONTROL, HeaderValue::from_static("s-maxage=600"));
    headers.insert("vary", HeaderValue::from_static("accept"));
    make_private(&mut headers);
    assert_eq!(lines(&headers, "cache-control"), ["private, no-store"]);
    assert_eq!(headers.len(), 2);
}

proptest! {
    #[test]
    fn no_header_makes_it_panic(
        names in prop::collection::vec(prop::sample::select(vec![
            "host", "cookie", "connection", "te", "transfer-encoding", "content-length", "upgrade", "x-forwarded-for",
            "forwarded", "via", "weir-command", "set-cookie", "x-mine", "cache-control", "trailer", "x_mine",
        ]), 0..16),
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        trusted in any::<bool>(),
    ) {
        let mut given = HeaderMap::new();
        for (name, value) in names.iter().zip(bytes.chunks(25)) {
            let Ok(value) = HeaderValue::from_bytes(value) else { continue };
            given.append(*name, value);
        }
        let mut parts = request("/", &[]);
        parts.headers = given.clone();
        to_upstream(&mut parts, &onward(&peer(trusted), &host("shop.example.com")));
        prop_assert!(!parts.headers.contains_key(TRANSFER_ENCODING));
        let mut response = Response::new(());
        *response.headers_mut() = given;
        to_shopper(&mut response);
        make_private(response.headers_mut());
        prop_assert!(!response.headers().contains_key(&WEIR_COMMAND));
    }

    #[test]
    fn no_cookie_of_weir_reaches_the_upstream(line in "([ ;=a]|weir_|__Host-){0,12}") {
        let kept = reach(&[("cookie", &line)], "cookie");
        for cookie in kept.iter().flat_map(|line| line.split(';')).map(str::trim) {
            prop_assert!(!cookie.starts_with("weir_") && !cookie.starts_with("__Host-weir_"), "{line:?}: {kept:?}");
        }
    }
}
