//! Fields after the body.

use super::behind;
use super::h2::{self, After};
use crate::common::{CLOSED, raw};

const SENT: [(&str, &str); 9] = [
    ("x-checksum", "abc"),
    ("weir-pass-id", "1.1"),
    ("weir_room", "launch"),
    ("x-forwarded-for", "6.6.6.6"),
    ("content-length", "7"),
    ("host", "evil.example"),
    ("cookie", "login=1"),
    ("x-unannounced", "1"),
    ("proxy", "http://evil.example"),
];
const ANNOUNCED: &str = "X-Checksum, Weir-Pass-Id, weir_room, X-Forwarded-For, Content-Length, Host, Cookie, Proxy";

#[test]
fn trailers_of_http_1_pass_by_the_rules_of_headers() {
    let (shop, weir) = behind(CLOSED);
    let trailers = SENT.map(|(name, value)| format!("{name}: {value}\r\n")).concat();
    for method in ["POST", "GET"] {
        let path = format!("/one/{method}");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: {ANNOUNCED}\r\n"
        );
        assert!(raw(weir.http, format!("{head}\r\n5\r\nhello\r\n0\r\n{trailers}\r\n").as_bytes()).is_shop());
        let received = shop.one(&path);
        assert_eq!(received.trailers, ["x-checksum: abc"], "{received:?}");
        assert_eq!((received.body.as_slice(), received.all("trailer")), (&b"hello"[..], vec!["x-checksum"]));
    }
    shop.received_nothing_malformed();
    weir.is_well();
}

#[test]
fn trailers_of_http_2_pass_by_the_same_rules_whether_or_not_a_length_was_told() {
    let (shop, weir) = behind(CLOSED);
    let lengths: [&[(&str, &str)]; 2] = [&[], &[("content-length", "5")]];
    for (n, length) in lengths.into_iter().enumerate() {
        let path = format!("/two/{n}");
        let headers = [&[("trailer", ANNOUNCED)], length].concat();
        // HTTP/2 itself refuses fields of one connection and a length that is not that of the body.
        let sent: Vec<_> = SENT.into_iter().filter(|(name, _)| *name != "content-length").collect();
        assert_eq!(h2::request(weir.http, "POST", &path, &headers, After::Trailers("hello", &sent)), 200);
        let received = shop.one(&path);
        assert_eq!(received.trailers, ["x-checksum: abc"], "{received:?}");
        assert_eq!((received.body.as_slice(), received.all("content-length").len()), (&b"hello"[..], 0));
    }
    shop.received_nothing_malformed();
    weir.is_well();
}

#[test]
fn a_body_whose_trailers_were_not_announced_ends_whole() {
    let (shop, weir) = behind(CLOSED);
    let head = "POST /none HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(raw(weir.http, format!("{head}5\r\nhello\r\n0\r\nX-Late: 1\r\n\r\n").as_bytes()).is_shop());
    assert_eq!(h2::request(weir.http, "POST", "/late", &[], After::Trailers("hello", &[("x-late", "1")])), 200);
    let told = [("content-length", "5")];
    assert_eq!(h2::request(weir.http, "POST", "/told", &told, After::Trailers("hello", &[("x-late", "1")])), 200);
    for path in ["/none", "/late", "/told"] {
        let received = shop.one(path);
        assert!(received.trailers.is_empty() && received.body == b"hello", "{received:?}");
    }
    shop.received_nothing_malformed();
}
