//! The other gateways, and how long each has been silent.
//!
//! The store repeats the last heartbeat of a gateway for some seconds, and then leaves it out. A gateway counts as heard when the
//! number of its heartbeat changes, so that one that is cut off, or this one, grows silent at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Told;

/// Other gateways that are remembered: those that were heard last.
pub(crate) const MOST: usize = 31;
/// A gateway that was silent for this long is forgotten.
const FORGOTTEN: Duration = Duration::from_hours(1);

/// The other gateways.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peers(Vec<Peer>);

/// Another gateway.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// What it told.
    pub told: Arc<Told>,
    /// When.
    pub heard: Instant,
}

impl Peers {
    /// The store's answer, without this gateway.
    pub(crate) fn hear(&mut self, told: impl IntoIterator<Item = Told>, now: Instant) {
        for told in told {
            let known = self.0.iter_mut().find(|peer| peer.told.gateway.run == told.gateway.run);
            match known {
                Some(peer) if told.beat != 0 && peer.told.beat == told.beat => {}
                Some(peer) => *peer = Peer { told: Arc::new(told), heard: now },
                None => {
                    // It was started again.
                    self.0.retain(|peer| !peer.is_before(&told));
                    self.0.push(Peer { told: Arc::new(told), heard: now });
                }
            }
        }
        self.0.retain(|peer| now.saturating_duration_since(peer.heard) < FORGOTTEN);
        self.0.sort_by_key(|peer| std::cmp::Reverse(peer.heard));
        self.0.truncate(MOST);
    }

    /// All of them, those heard last first.
    pub(crate) fn all(&self) -> &[Peer] {
        &self.0
    }
}

impl Peer {
    fn is_before(&self, told: &Told) -> bool {
        let (one, two) = (&self.told.gateway, &told.gateway);
        one.name == two.name && one.started_ms < two.started_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(run: &str, name: &str, started: u64, beat: u64) -> Told {
        let text = serde_json::json!({
            "name": name, "run": run, "weir": "0", "started_ms": started, "addresses": [], "admin": "", "rooms_version": 0,
            "refused": null, "keys": [], "store_away": false, "requests_per_second": 0, "joins_per_second": 0,
            "admissions_per_second": 0, "connections": 0, "in_flight": 0, "beat": beat,
        });
        serde_json::from_value(text).expect("it is a report")
    }

    fn silent(peers: &Peers, now: Instant) -> Vec<(String, u64)> {
        let silent = |peer: &Peer| (peer.told.gateway.run.clone(), (now - peer.heard).as_secs());
        peers.all().iter().map(silent).collect()
    }

    fn seconds(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_gateway_is_heard_when_it_says_something_new_and_not_when_the_store_repeats_it() {
        let (mut peers, start) = (Peers::default(), Instant::now());
        peers.hear([told("a", "one", 1, 7), told("b", "two", 1, 1)], start);
        peers.hear([told("a", "one", 1, 8), told("b", "two", 1, 1)], seconds(start, 3));
        peers.hear([], seconds(start, 10));
        assert_eq!(silent(&peers, seconds(start, 10)), [("a".to_owned(), 7), ("b".to_owned(), 10)]);
        peers.hear([], seconds(start, 3_601));
        assert_eq!(silent(&peers, seconds(start, 3_601)), [("a".to_owned(), 3_598)], "after an hour it is forgotten");
    }

    #[test]
    fn one_of_an_earlier_version_counts_no_heartbeats_and_is_heard_as_long_as_the_store_tells_of_it() {
        let (mut peers, start) = (Peers::default(), Instant::now());
        peers.hear([told("a", "one", 1, 0)], start);
        peers.hear([told("a", "one", 1, 0)], seconds(start, 2));
        assert_eq!(silent(&peers, seconds(start, 2)), [("a".to_owned(), 0)]);
    }

    #[test]
    fn a_gateway_that_was_started_again_is_one_and_there_are_no_more_than_so_many() {
        let (mut peers, start) = (Peers::default(), Instant::now());
        peers.hear([told("a", "one", 1, 1), told("b", "two", 1, 1)], start);
        peers.hear([told("c", "one", 2, 1)], seconds(start, 1));
        assert_eq!(silent(&peers, seconds(start, 1)), [("c".to_owned(), 0), ("b".to_owned(), 1)]);
        peers.hear((0..100).map(|n| told(&n.to_string(), &n.to_string(), 1, 1)), seconds(start, 2));
        assert_eq!(peers.all().len(), MOST);
    }
}
