//! Hosts and paths as they are written, and where their requests go.
//!
//! Patterns stay text here; matching requests to them is `policy::scope`'s.

use std::net::Ipv6Addr;

use super::problem::Wrong;
use super::table::section;

section! {
    /// `[[route]]`: hosts and paths that one upstream answers.
    RouteConfig {
        /// Host: exact, "*.example.com" or "*".
        host: String = must(is_host).required(),
        /// Path: exact, "/x/*" for everything below it, or "/*".
        path: String = must(is_path).or("/*".to_owned()),
        /// Name of the upstream that answers.
        upstream: String = required(),
    }
}

section! {
    /// One more host and path that a room protects.
    ScopeConfig {
        /// Host: exact, "*.example.com" or "*".
        host: String = must(is_host).required(),
        /// Path: exact, "/x/*" for everything below it, or "/*".
        path: String = must(is_path).or("/*".to_owned()),
    }
}

/// A host that can be matched.
pub(super) fn is_host(host: &String) -> Result<(), Wrong> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name = host.strip_prefix("*.").unwrap_or(host);
    let dotted = name.split('.').all(|label| !label.is_empty() && label.chars().all(plain));
    let v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if host == "*" || dotted || v6.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()) {
        return Ok(());
    }
    let fix = "write a name without scheme, port or path, \"*.example.com\" or \"*\"";
    Err(Wrong::new(format!("{host:?} is not a host"), fix))
}

/// A path that can be matched and is not Weir's own.
pub(super) fn is_path(path: &String) -> Result<(), Wrong> {
    let root = path.strip_suffix("/*").unwrap_or(path);
    let foreign = |c: char| matches!(c, '*' | '?' | '#') || c.is_whitespace() || c.is_control();
    if !path.starts_with('/') || root.contains(foreign) {
        let fix = "write \"/exact\", \"/below/*\" or \"/*\", without a query";
        return Err(Wrong::new(format!("{path:?} is not a path"), fix));
    }
    if below("/.weir/*", &root.to_ascii_lowercase()) {
        return Err(Wrong::new("\"/.weir/\" is answered by Weir itself", "write a path of the shop"));
    }
    Ok(())
}

/// Whether some request can match both.
pub(super) fn meet(a: (&str, &str), b: (&str, &str)) -> bool {
    let one_way = |a: &str, b: &str| a.strip_prefix('*').is_some_and(|end| b.ends_with(end));
    let hosts = a.0.eq_ignore_ascii_case(b.0) || one_way(a.0, b.0) || one_way(b.0, a.0);
    hosts && (below(a.1, b.1) || below(b.1, a.1))
}

/// Whether `path` lies in what `scope` stands for.
pub(super) fn below(scope: &str, path: &str) -> bool {
    match scope.strip_suffix("/*") {
        Some(root) => path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        None => scope == path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_without_anything_around_them() {
        for good in ["shop.example.com", "*.example.com", "*", "localhost", "127.0.0.1", "[::1]", "a_b.example"] {
            assert!(is_host(&good.into()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "https://shop",
            "shop:80",
            "shop/x",
            "*.",
            "a..b",
            "a.*",
            "*x.com",
            "**",
            "::1",
            "*.[::1]",
            "shop example",
        ] {
            assert!(is_host(&bad.into()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_star_stands_only_at_the_end_of_a_path() {
        for good in ["/", "/*", "/launch", "/launch/*", "/a/b/*"] {
            assert!(is_path(&good.into()).is_ok(), "{good}");
        }
        for bad in ["", "launch", "*", "/x*", "/*/x", "/x/*/*", "/x?y", "/x#y", "/x y", "/.weir/*", "/.weir/status/a"] {
            assert!(is_path(&bad.into()).is_err(), "{bad}");
        }
    }

    #[test]
    fn scopes_meet_when_one_request_can_be_of_both() {
        assert!(meet(("shop.example.com", "/launch/*"), ("*", "/*")));
        assert!(meet(("*.example.com", "/launch/now"), ("SHOP.example.com", "/launch/*")));
        assert!(meet(("a.b", "/launch"), ("a.b", "/launch/*")));
        assert!(!meet(("a.b", "/launcher"), ("a.b", "/launch/*")));
        assert!(!meet(("a.b", "/*"), ("b.b", "/*")));
    }
}
