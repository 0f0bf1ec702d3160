//! Where a body ends: said once, and to the shop as to the gateway.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use super::behind;
use super::h2::{self, After};
use crate::common::{CLOSED, Kept, raw};

#[test]
fn the_body_of_a_get_or_head_reaches_the_shop() {
    let (shop, weir) = behind(CLOSED);
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        let head = |path: &str| format!("{method} {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n");
        let chunked = format!("/{method}/chunked");
        let text = head(&chunked) + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        assert_eq!(raw(weir.http, text.as_bytes()).status, 200, "{method}");
        let length = format!("/{method}/length");
        let text = head(&length) + "Content-Length: 5\r\n\r\nhello";
        assert_eq!(raw(weir.http, text.as_bytes()).status, 200, "{method}");
        let (data, told) = (format!("/{method}/data"), format!("/{method}/told"));
        assert_eq!(h2::request(weir.http, method, &data, &[], After::Body("hello")), 200, "{method}");
        let five = [("content-length", "5")];
        assert_eq!(h2::request(weir.http, method, &told, &five, After::Body("hello")), 200, "{method}");
        for path in [chunked, length, data, told] {
            assert_eq!(shop.one(&path).body, b"hello", "{path}");
        }
        let bare = format!("/{method}/bare");
        assert_eq!(raw(weir.http, (head(&bare) + "\r\n").as_bytes()).status, 200);
        let received = shop.one(&bare);
        assert!(
            received.all("transfer-encoding").is_empty() && received.all("content-length").is_empty(),
            "{received:?}"
        );
    }
    shop.received_nothing_malformed();
    weir.is_well();
}

#[test]
fn a_length_that_two_servers_may_read_as_two_is_refused_and_ends_the_connection() {
    let (shop, weir) = behind(CLOSED);
    for length in ["010", "00", "0000005", "+5", "1_0", "5 5", "5, 5", "5,5", "0x5", "5;", "٥"] {
        let mut client = Kept::open(weir.http);
        client.send(format!("POST /bad HTTP/1.1\r\nHost: shop.example\r\nContent-Length: {length}\r\n\r\nhello12345"));
        assert_eq!(client.answer().map(|answer| answer.status), Some(400), "{length:?}");
        // What comes behind it is no request.
        assert!(client.ended(), "{length:?}");
        let two = h2::request(weir.http, "POST", "/bad", &[("content-length", length)], After::Body("hello"));
        assert!(two == 400 || two == 0, "{length:?}: {two}");
    }
    for twice in [["5", "6"], ["6", "5"], ["5", "05"], ["5", "5"]] {
        let headers = twice.map(|length| ("content-length", length));
        let two = h2::request(weir.http, "POST", "/bad", &headers, After::Body("hello"));
        assert!(two == 400 || two == 0, "{twice:?}: {two}");
    }
    assert!(shop.received().is_empty(), "{:?}", shop.received());
    weir.is_well();
}

/// Pieces that published attacks put between the head and the body of a request, and whether any of it may be
/// forwarded at all. `{}` stands for nothing: each is written out.
const FIELDS: [&str; 62] = [
    // Two lengths, or one in two readings.
    "Content-Length: 5\r\nContent-Length: 6",
    "Content-Length: 6\r\nContent-Length: 5",
    "Content-Length: 5\r\nContent-Length: 5",
    "Content-Length: 5\r\nContent-Length: 05",
    "Content-Length: 5, 5",
    "Content-Length: 5, 6",
    "Content-Length: 05",
    "Content-Length: +5",
    "Content-Length: -5",
    "Content-Length: 5_0",
    "Content-Length: 0x5",
    "Content-Length: 5 ",
    "Content-Length:  5",
    "Content-Length:\t5",
    "Content-Length: 5\x0b",
    "Content-Length: \x0c5",
    "Content-Length: 5 5",
    "Content-Length: 5\r",
    "Content-Length: 18446744073709551621",
    "Content-Length: 5.0",
    "Content-Length:",
    "Content-Length : 5",
    "Content-Length\t: 5",
    " Content-Length: 5",
    "Content_Length: 5",
    "Content-Length\x00: 5",
    "Content-Length: 5\x00",
    "Content-Length: 5\r\n folded",
    "Content-Length:\r\n 5",
    // A length and a coding.
    "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 5",
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
    "Content-Length: 5\r\nTransfer-Encoding: identity",
    "Content-Length: 5\r\nTransfer-Encoding : chunked",
    "Content-Length: 5\r\nTransfer_Encoding: chunked",
    "Content-Length: 5\nTransfer-Encoding: chunked",
    "Content-Length: 5\rTransfer-Encoding: chunked",
    "Content-Length: 5\r\nX: a\r\n Transfer-Encoding: chunked",
    "Content-Length: 5\r\nX:a\rTransfer-Encoding: chunked",
    "Content-Length: 5\r\nX:a\0Transfer-Encoding: chunked",
    "Connection: Content-Length\r\nContent-Length: 5",
    "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
    // Codings that some servers take for chunked.
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunkedx",
    "Transfer-Encoding: \x0bchunked",
    "Transfer-Encoding: chunked\x0b",
    "Transfer-Encoding: 'chunked'",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding:chunked",
    "Transfer-Encoding:\tChunked\t",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding\t: chunked",
    "Transfer-Encoding: chunk",
    "Transfer-Encoding:",
    "Expect: 100-continue\r\nContent-Length: 5",
];

/// Bodies of which one is five bytes by its length and others end in a request of their own.
const BODIES: [&str; 12] = [
    "hello",
    "5\r\nhello\r\n0\r\n\r\n",
    "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: shop.example\r\n\r\n",
    "5;ext=\"a\r\n\"\r\nhello\r\n0\r\n\r\n",
    "5;a\nhello\n0\n\n",
    "05\r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "5 \r\nhello\r\n0\r\n\r\n",
    "5\r\nhelloXX0\r\n\r\n",
    "FFFFFFFFFFFFFFFF5\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\r\nContent-Length: 9\r\nWeir-Pass-Id: 1.1\r\n\r\n",
];

/// Sends it, says that no more comes, and waits until the gateway is done with it.
fn send(to: std::net::SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn of_the_published_ways_to_hide_a_request_in_a_body_nothing_malformed_is_forwarded() {
    let (shop, weir) = behind(CLOSED);
    for version in ["1.1", "1.0"] {
        for (n, field) in FIELDS.iter().enumerate() {
            for (m, body) in BODIES.iter().enumerate().filter(|(m, _)| version == "1.1" || *m < 3) {
                let method = if (n + m) % 2 == 0 { "POST" } else { "GET" };
                let head =
                    format!("{method} /case/{n}/{m} HTTP/{version}\r\nHost: shop.example\r\nConnection: close\r\n");
                send(weir.http, format!("{head}{field}\r\n\r\n{body}").as_bytes());
            }
        }
    }
    shop.received_nothing_malformed();
    for request in shop.received() {
        assert!(request.path().starts_with("/case/"), "a request that nobody sent: {request:#?}");
        assert!(request.trailers.is_empty(), "{request:#?}");
        let body = String::from_utf8_lossy(&request.body);
        assert!(body.is_empty() || request.body.len() == 5, "{request:#?}");
    }
    // What is beyond doubt does pass: the table would say nothing otherwise.
    for (n, field) in FIELDS.iter().enumerate() {
        let fine = ["Content-Length:  5", "Transfer-Encoding:chunked", "Expect: 100-continue\r\nContent-Length: 5"];
        if fine.contains(field) {
            assert!(shop.received().iter().any(|r| r.path().starts_with(&format!("/case/{n}/"))), "{field:?}");
        }
    }
    weir.is_well();
}

#[test]
fn request_lines_and_names_that_are_none_reach_no_shop() {
    let (shop, weir) = behind(CLOSED);
    let heads: [&str; 25] = [
        "GET * HTTP/1.1\r\nHost: shop.example",
        "POST * HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 0",
        "GET http://shop.example/bad HTTP/1.1",
        "GET http://shop.example/bad HTTP/1.1\r\nHost: other.example",
        "GET http://shop.example/bad HTTP/1.1\r\nHost: shop.example, other.example",
        "GET http://shop.example/bad HTTP/1.1\r\nHost: shop.example/x",
        "GET http://shop.example/bad HTTP/1.1\r\nHost:",
        "GET http://shop.example/bad HTTP/1.1\r\nHost: shop.example\r\nHost: shop.example",
        "GET http://a@shop.example/bad HTTP/1.1\r\nHost: shop.example",
        "GET http:///bad HTTP/1.1\r\nHost: shop.example",
        "CONNECT shop.example:80 HTTP/1.1\r\nHost: shop.example",
        "GET /bad HTTP/1.1\r\nHost: shop.example\r\nX : a",
        "GET /bad HTTP/1.1\r\nHost: shop.example\r\n X: a",
        "GET /bad HTTP/1.1\r\n Host: shop.example\r\nHost: shop.example",
        "GET /bad HTTP/1.1\r\nHost: shop.example\r\nX\r\n",
        "GET /bad HTTP/1.1\r\nHost: shop.example\r\n: a",
        "GET /bad HTTP/1.1\r\nHost: shop.example\r\nX: a\rb",
        "GET /bad HTTP/1.1\r\nHost: shop.example\r\nX: a\0b",
        "GET /bad HTTP/1.1\r\nHost: shop.example\r\nX\u{e9}: a",
        "GET /bad HTTP/1.1\r\nHost: shop.example\r\nX(a): a",
        "GET /bad  HTTP/1.1\r\nHost: shop.example",
        "GET\t/bad HTTP/1.1\r\nHost: shop.example",
        "GET /bad HTTP/1.1 \r\nHost: shop.example",
        "GET /bad HTTP/2.0\r\nHost: shop.example",
        "GET /bad\r\nHost: shop.example",
    ];
    for head in heads {
        send(weir.http, format!("{head}\r\n\r\n").as_bytes());
    }
    // HTTP/2 has no lines, but a shop behind HTTP/1 has.
    let folded = [
        ("x", "a\r\ntransfer-encoding: chunked"),
        ("x", "a\nweir-pass-id: 1.1"),
        ("x", "a\0b"),
        ("x: a\r\nweir-pass-id", "1.1"),
        ("x:y", "a"),
        ("transfer-encoding", "chunked"),
        ("connection", "x"),
        ("X-Upper", "a"),
        ("host", "other.example"),
        ("host", ""),
    ];
    for header in folded {
        h2::request(weir.http, "GET", "/bad", &[header], After::Nothing);
    }
    for (method, path) in
        [("GET /x HTTP/1.1\r\nX:", "/bad"), ("GET", "/bad HTTP/1.1\r\nX: a"), ("GET", "/bad bad"), ("GET", "*")]
    {
        h2::request(weir.http, method, path, &[], After::Nothing);
    }
    assert!(shop.received().is_empty(), "{:#?}", shop.received());
    weir.is_well();
}

#[test]
fn the_absolute_form_and_the_form_of_all_paths_reach_the_shop_as_they_are_meant() {
    let (shop, weir) = behind(CLOSED);
    for target in ["http://shop.example/absolute", "http://SHOP.example:80/absolute"] {
        let text = format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
        assert_eq!(raw(weir.http, text.as_bytes()).status, 200, "{target}");
    }
    let all = b"OPTIONS * HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
    assert_eq!(raw(weir.http, all).status, 200);
    let same = [("host", "shop.example")];
    assert_eq!(h2::request(weir.http, "GET", "/absolute", &same, After::Nothing), 200);
    let seen: Vec<String> = shop.received().iter().map(|request| request.path().to_owned()).collect();
    assert_eq!(seen, ["/absolute", "/absolute", "*", "/absolute"]);
    assert!(shop.received().iter().all(|request| request.all("host").len() == 1), "{:#?}", shop.received());
    shop.received_nothing_malformed();
}
