//! Hosts and paths as they are written, and where their requests go.
//!
//! Patterns stay text here; matching requests to them is `policy::scope`'s.

use std::fmt;
use std::net::Ipv6Addr;
use std::time::Duration;

use policy::scope::{BadPattern, Literal, Pattern};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml_diagnostics::{Diagnostic, between};

use super::value::{AsText as _, Time};

/// `[[route]]`: hosts and paths that one upstream answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["host"]))]
pub struct RouteConfig {
    /// Host: exact, "*.example.com" or "*".
    #[schemars(extend("format" = "host"))]
    pub host: String,
    /// Path, with everything below it; "/" is all of the host.
    #[schemars(extend("format" = "path"))]
    pub path: String,
    /// The path alone, without what is below it.
    pub exact: bool,
    /// Name of the upstream that answers. No default: that of the room around the route, or the only one.
    pub upstream: Option<String>,
    /// What is done there, "order" or "payment". Requests with a pass go to the shop before all others then: payments, orders,
    /// the rest. No default: as any other request.
    pub class: Option<RouteClass>,
    /// Requests of the class that the shop works on at once, within `max_in_flight` of the upstream; over it passes wait in
    /// order of their age. Needs `class`. No default: all that the upstream takes.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_in_flight: Option<usize>,
    /// How long a request over that limit is held before it is answered with its place. No default: `max_wait` of the upstream.
    #[serde(with = "Time")]
    #[schemars(transform = between("0s", "1m"))]
    pub max_wait: Option<Duration>,
}

/// What requests of a route do, where that decides who goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Hash)]
#[serde(rename_all = "lowercase")]
pub enum RouteClass {
    /// They order.
    Order,
    /// They pay.
    Payment,
}

impl RouteClass {
    /// As in the file, in metrics and in the operator's API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Payment => "payment",
        }
    }
}

impl Default for RouteConfig {
    fn default() -> Self {
        let (upstream, class, max_in_flight, max_wait) = Default::default();
        Self { host: String::new(), path: "/".to_owned(), exact: false, upstream, class, max_in_flight, max_wait }
    }
}

/// One more host and path that a room protects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["host"]))]
pub struct ScopeConfig {
    /// Host: exact, "*.example.com" or "*".
    #[schemars(extend("format" = "host"))]
    pub host: String,
    /// Path, with everything below it; "/" is all of the host.
    #[schemars(extend("format" = "path"))]
    pub path: String,
    /// The path alone, without what is below it.
    pub exact: bool,
}

impl Default for ScopeConfig {
    fn default() -> Self {
        Self { host: String::new(), path: "/".to_owned(), exact: false }
    }
}

impl RouteConfig {
    /// What it takes.
    pub fn scope(&self) -> Scope<'_> {
        Scope { host: &self.host, path: &self.path, exact: self.exact }
    }

    /// Its gate, in words, if it has a class.
    pub fn gate(&self) -> Option<String> {
        let what = match self.class? {
            RouteClass::Order => "orders",
            RouteClass::Payment => "payments",
        };
        let limit = self.max_in_flight.map_or_else(|| "before the rest".to_owned(), |limit| format!("{limit} at once"));
        Some(format!("{}: {what}, {limit}", self.scope()))
    }

    /// Its name in metrics and in the operator's API: host and path as they are written.
    pub fn name(&self) -> String {
        let Self { host, path, exact, .. } = self;
        format!("{host}{path}{}", if *exact { " (exact)" } else { "" })
    }
}

impl ScopeConfig {
    /// What it adds.
    pub fn scope(&self) -> Scope<'_> {
        Scope { host: &self.host, path: &self.path, exact: self.exact }
    }
}

/// A host and a path as they are written, the path without `/*` or a slash at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope<'c> {
    /// A name, `*.name` or `*`.
    pub host: &'c str,
    /// The path.
    pub path: &'c str,
    /// Without what is below the path.
    pub exact: bool,
}

/// What it covers, in words.
impl fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, path, exact } = *self;
        match (host, path, exact) {
            ("*", "/", false) => write!(f, "everything on every host"),
            ("*", _, false) => write!(f, "{path} and everything below it on every host"),
            ("*", _, true) => write!(f, "{path} alone on every host"),
            (_, "/", false) => write!(f, "everything on {host}"),
            (_, _, false) => write!(f, "{host}{path} and everything below it"),
            (_, _, true) => write!(f, "{host}{path} alone"),
        }
    }
}

impl Scope<'_> {
    /// What it matches.
    pub fn pattern(&self) -> Result<Pattern, BadPattern> {
        if self.exact { Pattern::exact(self.host, self.path) } else { Pattern::parse(self.host, self.path) }
    }

    /// Equal for two scopes that match the same.
    pub(super) fn key(&self) -> String {
        let exact = if self.exact { " (exact)" } else { "" };
        format!("{}{}{exact}", self.host.to_ascii_lowercase(), self.path.to_ascii_lowercase())
    }

    /// Whether its path covers that one.
    pub(super) fn covers(&self, path: &str) -> bool {
        if self.exact { self.path == path } else { below(self.path, path) }
    }

    /// Whether it covers all that the other covers.
    pub(super) fn holds(&self, other: &Self) -> bool {
        let below = self.host.strip_prefix('*').is_some_and(|end| other.host.ends_with(end));
        let hosts = below || self.host.eq_ignore_ascii_case(other.host);
        hosts && self.covers(other.path) && (!self.exact || other.exact)
    }

    /// Whether some request can match both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let one_way = |a: &str, b: &str| a.strip_prefix('*').is_some_and(|end| b.ends_with(end));
        let (a, b) = (self.host, other.host);
        let hosts = a.eq_ignore_ascii_case(b) || one_way(a, b) || one_way(b, a);
        hosts && (self.covers(other.path) || other.covers(self.path))
    }
}

/// A host that can be matched.
pub(super) fn is_host(host: &str) -> Result<(), Diagnostic> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name = host.strip_prefix("*.").unwrap_or(host);
    let dotted = name.split('.').all(|label| !label.is_empty() && label.chars().all(plain));
    let v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if host == "*" || dotted || v6.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()) {
        return Ok(());
    }
    let fix = "write a name without scheme, port or path, \"*.example.com\" or \"*\"";
    Err(Diagnostic::new(format!("{host:?} is not a host"), fix))
}

/// A path that can be matched and is not Weir's own.
pub(super) fn is_path(path: &str) -> Result<(), Diagnostic> {
    let fix = "write \"/launch\" for the path and everything below it, or \"/\"";
    usable(path, Pattern::parse("*", path).err(), fix)
}

/// A path that may load for everyone.
pub(super) fn is_literal(path: &str) -> Result<(), Diagnostic> {
    let fix = "write \"/logo.svg\" for the path alone, or \"/images/*\" for everything below it";
    usable(path, Literal::parse(path).err(), fix)
}

fn usable(path: &str, bad: Option<BadPattern>, fix: &str) -> Result<(), Diagnostic> {
    let unseen = |c: char| c.is_whitespace() || c.is_control();
    if let Some(bad) = bad {
        return Err(Diagnostic::new(format!("{path:?} is not a path: {bad}"), fix));
    }
    if path.contains(unseen) {
        return Err(Diagnostic::new(format!("{path:?} is not a path: there is a space in it"), fix));
    }
    if below("/.weir", &bare(path).to_ascii_lowercase()) {
        return Err(Diagnostic::new("\"/.weir/\" is answered by Weir itself", "write a path of the shop"));
    }
    Ok(())
}

/// A path without `/*` or a slash at its end.
pub(super) fn bare(path: &str) -> &str {
    let base = path.strip_suffix("/*").or_else(|| path.strip_suffix('/')).unwrap_or(path);
    if base.is_empty() { "/" } else { base }
}

/// One spelling for each path that is read; what an exact path with a star means is asked.
pub(super) fn tidy(path: &mut String, exact: bool) {
    if !(exact && path.ends_with('*')) {
        *path = bare(path).to_owned();
    }
}

/// Whether a path is this one or below it, by segments.
fn below(base: &str, path: &str) -> bool {
    base == "/" || path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_without_anything_around_them() {
        for good in ["shop.example.com", "*.example.com", "*", "localhost", "127.0.0.1", "[::1]", "a_b.example"] {
            assert!(is_host(good).is_ok(), "{good}");
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
            assert!(is_host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_star_stands_only_at_the_end_of_a_path() {
        for good in ["/", "/*", "/launch", "/launch/", "/launch/*", "/a/b/*", "/출시", "/%EC%B6%9C"] {
            assert!(is_path(good).is_ok() && is_literal(good).is_ok(), "{good}");
        }
        let own = ["/.weir", "/.weir/*", "/.Weir/status/a"];
        let twisted = ["/a//b", "//", "//*", "/a/../b", "/a;b", "/a\\b", "/%2541", "/a."];
        for bad in
            ["", "launch", "*", "/x*", "/*/x", "/x/*/*", "/x?y", "/x#y", "/x y"].iter().chain(&own).chain(&twisted)
        {
            assert!(is_path(bad).is_err() && is_literal(bad).is_err(), "{bad}");
        }
    }

    fn scope(host: &'static str, path: &'static str) -> Scope<'static> {
        Scope { host, path, exact: false }
    }

    #[test]
    fn what_is_covered_is_told_in_words() {
        let exact = |scope| Scope { exact: true, ..scope };
        for (scope, words) in [
            (scope("*", "/"), "everything on every host"),
            (scope("*", "/launch"), "/launch and everything below it on every host"),
            (scope("a.b", "/"), "everything on a.b"),
            (scope("*.a.b", "/launch"), "*.a.b/launch and everything below it"),
            (exact(scope("a.b", "/")), "a.b/ alone"),
            (exact(scope("*", "/launch")), "/launch alone on every host"),
        ] {
            assert_eq!(scope.to_string(), words);
        }
    }

    #[test]
    fn a_scope_holds_what_lies_in_it_as_a_whole() {
        let exact = |scope| Scope { exact: true, ..scope };
        assert!(
            scope("*", "/").holds(&scope("a.b", "/order"))
                && scope("A.b", "/launch").holds(&scope("a.b", "/launch/order"))
        );
        assert!(exact(scope("a.b", "/order")).holds(&exact(scope("a.b", "/order"))));
        assert!(
            !scope("a.b", "/order").holds(&scope("*", "/order")) && !scope("a.b", "/order").holds(&scope("a.b", "/"))
        );
        assert!(!exact(scope("a.b", "/order")).holds(&scope("a.b", "/order")));
    }

    #[test]
    fn scopes_meet_when_one_request_can_be_of_both() {
        let exact = |scope| Scope { exact: true, ..scope };
        assert!(scope("shop.example.com", "/launch").meets(&scope("*", "/")));
        assert!(exact(scope("*.example.com", "/launch/now")).meets(&scope("SHOP.example.com", "/launch")));
        assert!(exact(scope("a.b", "/launch")).meets(&scope("a.b", "/launch")));
        assert!(!exact(scope("a.b", "/launch")).meets(&exact(scope("a.b", "/launch/x"))));
        assert!(!scope("a.b", "/launcher").meets(&scope("a.b", "/launch")));
        assert!(!scope("a.b", "/").meets(&scope("b.b", "/")));
    }
}
