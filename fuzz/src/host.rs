//! The host of a request: one name, whatever its spelling, and nothing in it that a header could be cut with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use gateway::client::visitor::{Host, Peer};
use policy::scope::{NormalPath, Pattern, Table, bare_host};

/// The bytes as a `Host` header, and as the host of a pattern.
pub fn host(bytes: &[u8]) {
    if let Ok(host) = Host::of(bytes) {
        a_host_has_one_bare_name(&host);
        a_host_is_safe_in_a_header(&host);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        a_pattern_covers_its_own_name(text);
    }
}

fn a_host_has_one_bare_name(host: &Host) {
    let bare = host.bare.as_str();
    let usual = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.:[]".contains(&byte);
    assert!(!bare.is_empty() && bare.bytes().all(usual), "{bare:?}");
    assert!(!bare.starts_with('.') && !bare.ends_with('.'), "{bare:?}");
    assert_eq!(bare.contains(':'), bare.starts_with('['), "a port is no part of {bare:?}");
    assert_eq!(bare_host(bare), bare, "the bare name of a bare name");
    for spelling in [bare.to_ascii_uppercase(), format!("{bare}:8443"), format!("{}:1", bare.to_ascii_uppercase())] {
        let same = Host::of(spelling.as_bytes()).expect("a host in another spelling");
        assert_eq!(same.bare, bare, "{spelling}");
    }
}

fn a_host_is_safe_in_a_header(host: &Host) {
    let peers = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].map(|at| Peer::new(at, &[]));
    let quoted = host.sent.as_bytes().contains(&b':');
    for peer in &peers {
        for tls in [false, true] {
            let element = host.forwarded(peer, tls);
            let element = element.to_str().expect("visible ASCII");
            assert_eq!(element.split(';').count(), 3, "{element}");
            assert!(!element.contains([',', ' ', '\\']), "{element}");
            assert_eq!(element.contains("host=\""), quoted, "{element}");
        }
    }
}

fn a_pattern_covers_its_own_name(text: &str) {
    let Ok(pattern) = Pattern::parse(text, "/") else { return };
    let table = Table::new(vec![(pattern, ())]);
    let found = |host: &str| table.find(&bare_host(host), &NormalPath::of("/x")).is_some();
    match text.strip_prefix("*.") {
        _ if text == "*" => assert!(found("any.example")),
        Some(base) => assert!(found(&format!("a.{base}")) && found(&format!("a.b.{base}")), "{text:?}"),
        None => assert!(found(text) && found(&text.to_ascii_uppercase()), "{text:?}"),
    }
}
