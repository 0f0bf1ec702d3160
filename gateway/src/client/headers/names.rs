//! The meaning of header names.
//!
//! A server believes some headers because only a proxy can have written them, and most of them were never
//! standardized. The lists here follow one rule: a header about the client's address, or the host, scheme,
//! port or TLS of its connection is *about the way* and counts from a trusted proxy alone; a header with another
//! path or method than the request line never counts, because the room was found by the request line.
//!
//! Names are in lower case, as the `http` crate keeps them, and matched first by their first letter: this runs
//! for every header of every request.

/// Whether a name has letters, digits and "-" alone. CGI, WSGI, Rack and PHP write "-" as "_" and some
/// write every other byte so too: `weir_pass_id` would be read as `Weir-Pass-Id`.
pub(super) fn is_plain(name: &str) -> bool {
    const PLAIN: [bool; 256] = {
        let mut plain = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            plain[byte] = byte == b'-' as usize || (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        plain
    };
    name.bytes().all(|byte| PLAIN[usize::from(byte)])
}

/// Hop-by-hop, as `Connection` is. Trailers are announced anew.
pub(super) fn is_hop_by_hop(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b't') => matches!(name, "te" | "transfer-encoding" | "trailer"),
        Some(b'u') => name == "upgrade",
        Some(b'e') => name == "expect",
        Some(b'k') => name == "keep-alive",
        Some(b'h') => name == "http2-settings",
        Some(b'p') => matches!(name, "proxy-authenticate" | "proxy-authorization" | "proxy-connection"),
        _ => false,
    }
}

/// About the way of a request: believed from a trusted proxy only.
pub(super) fn is_about_the_way(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'c') => name.starts_with("cf-") || name.starts_with("cloudfront-") || name == "client-ip",
        Some(b'f') => matches!(name, "forwarded" | "front-end-https" | "fastly-client-ip" | "fly-client-ip"),
        Some(b'p') => name == "proxy-client-ip",
        Some(b'r') => matches!(name, "remote-addr" | "remote-host"),
        Some(b's') => name.starts_with("ssl-"),
        Some(b't') => name == "true-client-ip",
        Some(b'w') => name == "wl-proxy-client-ip",
        Some(b'x') => is_unofficially_about_the_way(name),
        _ => false,
    }
}

fn is_unofficially_about_the_way(name: &str) -> bool {
    const FAMILIES: [&str; 8] = [
        "x-forwarded",
        "x-original-",
        "x-ssl-",
        "x-arr-",
        "x-azure-",
        "x-envoy-",
        "x-appengine-",
        // From a server that sends files by itself: Rack believes these two.
        "x-accel-",
    ];
    const ALONE: [&str; 15] = [
        "x-client-ip",
        "x-cluster-client-ip",
        "x-host",
        "x-http-host-override",
        "x-https",
        "x-originating-ip",
        "x-proxyuser-ip",
        "x-real-ip",
        "x-real-port",
        "x-remote-addr",
        "x-remote-ip",
        "x-scheme",
        "x-sendfile-type",
        "x-server-name",
        "x-url-scheme",
    ];
    FAMILIES.iter().any(|family| name.starts_with(family)) || ALONE.contains(&name)
}

/// Headers that speak for Weir, name another path or method than the request line, or
/// become the variable `HTTP_PROXY` of a script ("httpoxy"). (The id of a request was read before, and is set anew.)
pub(super) fn is_misleading(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'w') => name.starts_with("weir-"),
        Some(b'p') => name == "proxy",
        Some(b'x') => name == "x-request-id" || names_a_target(name),
        _ => false,
    }
}

fn names_a_target(name: &str) -> bool {
    let of_proxies = ["x-original-", "x-forwarded-", "x-rewrite-", "x-override-"];
    let what = of_proxies.iter().find_map(|prefix| name.strip_prefix(prefix));
    what.is_some_and(|what| matches!(what, "url" | "uri" | "path" | "method"))
}

/// The headers of a browser's preflight: no credentials, and nothing that a script chose (the Fetch
/// standard, "CORS-preflight fetch").
pub(super) fn is_of_preflights(name: &str) -> bool {
    const ALONE: [&str; 9] =
        ["cache-control", "connection", "dnt", "host", "origin", "pragma", "referer", "user-agent", "via"];
    ["accept", "access-control-request-", "sec-"].iter().any(|family| name.starts_with(family)) || ALONE.contains(&name)
}

/// Headers that prove that a preflight is another request: one of a person, or one of another method. Proxies add headers
/// of many names to forwarded requests, but not these.
pub(super) fn betrays_a_preflight(name: &str) -> bool {
    let overrides = name.contains("method") && !name.starts_with("access-control-request-");
    overrides || name == "cookie" || name == "authorization"
}

/// Whether a field may come after the body (RFC 9110, section 6.5.1): no framing, routing,
/// identity, content format or request condition.
pub(super) fn may_trail(name: &str) -> bool {
    const NEVER: [&str; 17] = [
        "age",
        "authorization",
        "cache-control",
        "connection",
        "cookie",
        "date",
        "expires",
        "host",
        "location",
        "max-forwards",
        "origin",
        "pragma",
        "range",
        "referer",
        "set-cookie",
        "vary",
        "via",
    ];
    const FAMILIES: [&str; 5] = ["accept", "access-control-", "if-", "proxy-", "sec-"];
    let digest = matches!(name, "content-digest" | "content-md5");
    let condemned = NEVER.contains(&name)
        || FAMILIES.iter().any(|family| name.starts_with(family))
        || (name.starts_with("content-") && !digest);
    is_plain(name) && !condemned && !is_hop_by_hop(name) && !is_about_the_way(name) && !is_misleading(name)
}
