//! stub
use http::HeaderMap;
use http::request::Parts;
use policy::admit::{Credential, Intent};
use policy::seal::{RoomId, Sealer};
use std::net::IpAddr;
pub fn is_trusted(p: IpAddr, t: &[ipnet::IpNet]) -> bool {
    t.iter().any(|n| n.contains(&p))
}
pub fn client_address(p: IpAddr, _: &HeaderMap, _: &[ipnet::IpNet]) -> IpAddr {
    p
}
pub fn is_tls(_: &HeaderMap) -> bool {
    false
}
pub fn host(parts: &Parts) -> Result<&str, ()> {
    parts.uri.host().or_else(|| parts.headers.get("host").and_then(|h| h.to_str().ok())).ok_or(())
}
pub fn same_origin(_: &Parts, _: bool) -> bool {
    true
}
pub fn credential(h: &HeaderMap, name: &str, s: &Sealer, r: RoomId) -> Credential {
    for c in h.get_all("cookie") {
        for p in c.to_str().unwrap_or("").split(';') {
            if let Some((n, v)) = p.trim().split_once('=') {
                if n == name {
                    return match s.open(r, v.as_bytes()) {
                        Ok(t) => Credential::Sealed(t),
                        Err(e) => Credential::Bad(e),
                    };
                }
            }
        }
    }
    Credential::None
}
pub fn intent(p: &Parts, json: bool) -> Intent {
    let a = p.headers.get("accept").and_then(|a| a.to_str().ok()).unwrap_or("");
    if p.method != http::Method::GET {
        return Intent::Other;
    }
    if a.contains("text/html") {
        Intent::Page
    } else if json && a.contains("application/json") {
        Intent::Json
    } else {
        Intent::Other
    }
}
