//! Which requests belong to a room, or go to an upstream.
//!
//! A [`Pattern`] names hosts and paths; a [`Table`] finds the most specific pattern of a request. The
//! guarantee is one-sided: no spelling that a usual server could map to a protected path slips past,
//! and matching too much is accepted. Where matching too much is the danger (paths outside every
//! room) a [`Literal`] is the question to ask.
//!
//! Out of scope: methods, queries, headers; and the meaning of a request that matches nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::iter::successors;
use std::net::Ipv6Addr;

mod path;

pub use path::NormalPath;

/// A host and a path, each exact or with all that lies below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    host: Reach<String>,
    path: Reach<Vec<u8>>,
}

/// A path in one spelling, or with all that is plainly spelled below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    base: String,
    below: bool,
}

/// `base`, and the depth from there. All hosts are below the empty host, all paths below the empty path.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reach<K> {
    base: K,
    below: bool,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// Not a name, `*.name` or `*`.
    #[error("a host is a name, \"*.\" and a name, or \"*\"")]
    Host,
    /// Does not begin with a slash.
    #[error("a path begins with \"/\"")]
    Relative,
    /// A star somewhere else than at the end.
    #[error("\"*\" in a path stands at its end, as \"/*\"")]
    Star,
    /// Servers would disagree about the pattern itself.
    #[error("a path is written plainly: no \"//\", \"..\", \"\\\", \";\", \"?\" or \"#\", encoded at most once")]
    Twisted,
}

impl Pattern {
    /// A path and everything below it, by segments: `/x` covers `/x/y` and not `/xy`. A `/*` at its end says
    /// the same. Hosts: a name, `*.name` (any depth below it, not itself) or `*`. Case, a port, a trailing dot
    /// of the host and a trailing slash do not count.
    pub fn parse(host: &str, path: &str) -> Result<Self, BadPattern> {
        let (base, _) = without_star(path)?;
        Ok(Self { host: parse_host(host)?, path: Reach { base: parse_path(base)?, below: true } })
    }

    /// A path and nothing below it.
    pub fn exact(host: &str, path: &str) -> Result<Self, BadPattern> {
        Ok(Self { host: parse_host(host)?, path: Reach { base: parse_path(path)?, below: false } })
    }
}

impl Literal {
    /// One path, or a path and all below it if it ends in `/*`.
    pub fn parse(path: &str) -> Result<Self, BadPattern> {
        let (base, below) = without_star(path)?;
        parse_path(base)?;
        let base = if below && base == "/" { "" } else { base };
        Ok(Self { base: base.to_owned(), below })
    }

    /// Whether a path, as it was sent, is spelled like this, case included. The part under a `/*` must be
    /// plain: nothing encoded, no dot segments, nothing that servers might read differently.
    ///
    /// ```
    /// let images = policy::scope::Literal::parse("/images/*")?;
    /// assert!(images.matches("/images/Logo.svg"));
    /// assert!(!images.matches("/images/../checkout"));
    /// # Ok::<(), policy::scope::BadPattern>(())
    /// ```
    pub fn matches(&self, raw_path: &str) -> bool {
        match raw_path.strip_prefix(self.base.as_str()) {
            Some("") => true,
            Some(rest) => self.below && rest.starts_with('/') && path::is_plain(rest.as_bytes(), path::ASCII),
            None => false,
        }
    }
}

fn parse_host(written: &str) -> Result<Reach<String>, BadPattern> {
    let (base, below) = match written.strip_prefix("*.") {
        Some(base) => (base, true),
        None if written == "*" => return Ok(Reach { base: String::new(), below: true }),
        None => (written, false),
    };
    let base = bare_host(base);
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte);
    let below_an_address = below && base.starts_with('[');
    let no_address = base.starts_with('[') && address_of(&base).is_none();
    if no_address
        || base.is_empty()
        || base.starts_with('.')
        || base.contains("..")
        || below_an_address
        || !base.bytes().all(usual)
    {
        return Err(BadPattern::Host);
    }
    Ok(Reach { base: base.into_owned(), below })
}

/// The path before a `/*`, and whether there is one.
fn without_star(path: &str) -> Result<(&str, bool), BadPattern> {
    match path.strip_suffix("/*") {
        Some("") => Ok(("/", true)),
        Some(base) if base.ends_with('/') => Err(BadPattern::Twisted),
        Some(base) => Ok((base, true)),
        None => Ok((path, false)),
    }
}

/// The root is the empty path, as all others are without a slash at their end.
fn parse_path(written: &str) -> Result<Vec<u8>, BadPattern> {
    if !written.starts_with('/') {
        return Err(BadPattern::Relative);
    }
    let base = written.strip_suffix('/').unwrap_or(written);
    if base.contains('*') {
        return Err(BadPattern::Star);
    }
    path::as_written(base).filter(|plain| !plain.ends_with(b"/")).ok_or(BadPattern::Twisted)
}

/// A host without port and trailing dot, in lower case; an IPv6 address in the one spelling of RFC 5952.
///
/// ```
/// use policy::scope::bare_host;
/// assert_eq!(bare_host("[0:0::0001]:8080"), bare_host("[::1]"));
/// ```
pub fn bare_host(host: &str) -> Cow<'_, str> {
    if let Some(address) = address_of(host) {
        return Cow::Owned(format!("[{address}]"));
    }
    let end = if host.starts_with('[') {
        host.find(']').map(|bracket| bracket + 1)
    } else {
        host.bytes().position(|byte| byte == b':')
    };
    let name = host[..end.unwrap_or(host.len())].trim_end_matches('.');
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(name.to_ascii_lowercase());
    }
    Cow::Borrowed(name)
}

/// The IPv6 address in brackets that a host begins with.
fn address_of(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.split_once(']')?.0.parse().ok()
}

/// Values by pattern; the most specific pattern of a request wins. An exact host goes before one below
/// a name, a longer name before a shorter, and only then an exact path before a longer before a shorter.
#[derive(Debug, Clone)]
pub struct Table<T> {
    hosts: BTreeMap<String, At<Paths<T>>>,
}

/// The values of a base itself, and of all below it.
#[derive(Debug, Clone, Default)]
struct At<V> {
    exact: V,
    below: V,
}

/// The patterns of one host.
#[derive(Debug, Clone)]
struct Paths<T> {
    by_base: BTreeMap<Vec<u8>, At<Option<T>>>,
    /// Length of the longest base: a bound for look-ups.
    longest: usize,
}

/// How specific the path of a pattern is.
type Rank = (bool, usize);

impl<T> Default for Paths<T> {
    fn default() -> Self {
        Self { by_base: BTreeMap::new(), longest: 0 }
    }
}

impl<T> Table<T> {
    /// Of two equal patterns the first counts.
    pub fn new(entries: Vec<(Pattern, T)>) -> Self {
        let mut hosts: BTreeMap<String, At<Paths<T>>> = BTreeMap::new();
        for (Pattern { host, path, .. }, value) in entries {
            let at = hosts.entry(host.base).or_default();
            let paths = if host.below { &mut at.below } else { &mut at.exact };
            paths.longest = paths.longest.max(path.base.len());
            let at = paths.by_base.entry(path.base).or_insert(At { exact: None, below: None });
            let slot = if path.below { &mut at.below } else { &mut at.exact };
            slot.get_or_insert(value);
        }
        Self { hosts }
    }

    /// The value of the most specific pattern that any reading of the path matches. The host is
    /// [bare](bare_host), here and below.
    pub fn find(&self, host: &str, path: &NormalPath<'_>) -> Option<&T> {
        self.of_host(host)
            .find_map(|paths| {
                let ranked = |(rank, _): &(Rank, &T)| *rank;
                if path.is_any() {
                    return paths.all().max_by_key(ranked);
                }
                path.readings().filter_map(|reading| paths.find(reading)).max_by_key(ranked)
            })
            .map(|(_, value)| value)
    }

    /// Whether two readings of the path find different values, so that a caller who may enter one could
    /// reach the other. Never true of a plain path; the answer to such a request is 400.
    pub fn is_ambiguous(&self, host: &str, path: &NormalPath<'_>) -> bool
    where
        T: PartialEq,
    {
        if path.is_plain() {
            return false;
        }
        let best = |reading| self.of_host(host).find_map(|paths| paths.find(reading));
        let mut found = path.readings().filter_map(best).map(|(_, value)| value);
        path.is_any() || found.next().is_some_and(|first| found.any(|other| other != first))
    }

    /// The patterns of a host, the most specific first.
    fn of_host<'s, 'h>(&'s self, host: &'h str) -> impl Iterator<Item = &'s Paths<T>> + use<'s, 'h, T> {
        let exact = self.hosts.get(host).map(|at| &at.exact);
        let parents = successors(Some(host).filter(|host| !host.is_empty()), |host| {
            host.split_once('.').map(|(_, parent)| parent)
        });
        let below = parents.skip(1).chain([""]).filter_map(|parent| self.hosts.get(parent)).map(|at| &at.below);
        exact.into_iter().chain(below)
    }
}

impl<T> Paths<T> {
    fn find(&self, path: &[u8]) -> Option<(Rank, &T)> {
        let parents = successors(Some(path), |path| Some(&path[..path.iter().rposition(|&byte| byte == b'/')?]));
        parents.filter(|base| base.len() <= self.longest).find_map(|base| {
            let at = self.by_base.get(base)?;
            let exact = at.exact.as_ref().filter(|_| base.len() == path.len());
            let below = || at.below.as_ref().map(|value| ((false, base.len()), value));
            exact.map(|value| ((true, base.len()), value)).or_else(below)
        })
    }

    fn all(&self) -> impl Iterator<Item = (Rank, &T)> {
        self.by_base.iter().flat_map(|(base, at)| {
            let exact = at.exact.as_ref().map(|value| ((true, base.len()), value));
            let below = at.below.as_ref().map(|value| ((false, base.len()), value));
            exact.into_iter().chain(below)
        })
    }
}
