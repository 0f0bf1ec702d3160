//! The launch's visitors: what a request says of itself, and who is new.
//!
//! A new shopper is a `Weir-Pass-Id` that the shop has not seen, or, without Weir in front, a request without
//! the shop's own cookie.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use evidence::stats::{Busiest, locked};
use http::{HeaderMap, header};
use launch_model::attack;

use crate::pages;

/// New shoppers are counted in sliding windows of this length.
const WINDOW: Duration = Duration::from_secs(1);
/// The longest name of a request, pass or room that is logged, in bytes.
const LONGEST_NAME: usize = 128;

/// The headers of a request that count here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visit {
    pub(crate) request_id: Option<String>,
    pub(crate) pass_id: Option<String>,
    pub(crate) room: Option<String>,
    /// The value of the shop's cookie.
    pub(crate) session: Option<String>,
    /// `Idempotency-Key`, without its quotes.
    pub(crate) idempotency_key: Option<String>,
}

impl Visit {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self {
            request_id: name(headers, attack::ID_HEADER).or_else(|| name(headers, "x-request-id")),
            pass_id: name(headers, "weir-pass-id"),
            room: name(headers, "weir-room"),
            session: session(headers),
            idempotency_key: name(headers, "idempotency-key").map(|key| key.trim_matches('"').to_owned()),
        }
    }
}

fn name(headers: &HeaderMap, header: &str) -> Option<String> {
    let value = headers.get(header)?.as_bytes();
    Some(String::from_utf8_lossy(&value[..value.len().min(LONGEST_NAME)]).into_owned())
}

/// A cookie that the shop cannot have set counts as none.
fn session(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut cookies = lines.flat_map(|line| line.split("; "));
    let session = cookies.find_map(|cookie| cookie.strip_prefix("shop="))?;
    pages::is_key(session).then(|| session.to_owned())
}

/// All visitors so far.
#[derive(Debug)]
pub(crate) struct Visitors(Mutex<Session>);

#[derive(Debug)]
struct Session {
    passes: HashSet<String>,
    new: u64,
    busiest: Busiest,
}

impl Visitors {
    pub(crate) fn nobody() -> Self {
        Self(Mutex::new(Session { passes: HashSet::new(), new: 0, busiest: Busiest::within(WINDOW) }))
    }

    /// Counts a visit; `true` for a new visitor.
    pub(crate) fn note(&self, visit: &Visit, now: Instant) -> bool {
        let mut seen = locked(&self.0);
        let new = match &visit.pass_id {
            Some(pass) => !seen.passes.contains(pass) && seen.passes.insert(pass.clone()),
            None => visit.session.is_none(),
        };
        if new {
            seen.new += 1;
            seen.busiest.record(now);
        }
        new
    }

    /// The number of new shoppers, and the most of them in any second.
    pub(crate) fn new_and_busiest(&self) -> (u64, usize) {
        let seen = locked(&self.0);
        (seen.new, seen.busiest.most())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(headers: &[(&'static str, &str)]) -> Visit {
        let headers = headers.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap()));
        Visit::of(&headers.collect())
    }

    #[test]
    fn a_pass_is_new_once_and_without_a_pass_the_cookie_tells() {
        let visitors = Visitors::nobody();
        let now = Instant::now();
        let inside = visit(&[("weir-pass-id", "p1"), ("weir-room", "launch"), ("x-request-id", "r1")]);
        assert_eq!((inside.room.as_deref(), inside.request_id.as_deref()), (Some("launch"), Some("r1")));
        assert!(visitors.note(&inside, now) && !visitors.note(&inside, now));
        assert!(visitors.note(&visit(&[("weir-pass-id", "p2"), ("cookie", "shop=ab")]), now), "another pass");
        assert!(visitors.note(&visit(&[]), now) && visitors.note(&visit(&[]), now));
        assert!(!visitors.note(&visit(&[("cookie", "x=1; shop=ab")]), now));
        assert_eq!(visitors.new_and_busiest(), (4, 4));
    }

    #[test]
    fn an_idempotency_key_is_read_with_and_without_its_quotes() {
        for sent in ["\"8e03-b2\"", "8e03-b2"] {
            assert_eq!(visit(&[("idempotency-key", sent)]).idempotency_key.as_deref(), Some("8e03-b2"));
        }
    }

    #[test]
    fn what_the_shop_did_not_set_is_no_session_and_long_names_are_cut() {
        let long = "x".repeat(500);
        let odd = visit(&[("cookie", "shop=<script>"), ("x-request-id", &long)]);
        assert_eq!((odd.session, odd.request_id.map(|id| id.len())), (None, Some(LONGEST_NAME)));
    }

    #[test]
    fn an_attack_is_known_by_its_own_id_whatever_a_gateway_calls_the_request() {
        let attack = visit(&[("x-request-id", "the gateway's"), (attack::ID_HEADER, "attack-1-2-3")]);
        assert_eq!(attack.request_id.as_deref(), Some("attack-1-2-3"));
    }
}
