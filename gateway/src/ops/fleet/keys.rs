//! Whether this gateway has a key in common with the others on its store.
//!
//! Tokens of a gateway with another secret are void at the others: their holders are newcomers there, and take a
//! number at every change of gateway. So a gateway that shares no key with the members is foreign: not
//! ready, and no part of the line. Gateways know each other's keys by name ([`crate::settings::secret::name`]), which is a keyed hash.
//!
//! The order of the exchanges in the store, and no clock, decides which gateway was first: a gateway judges itself by
//! the others of its first exchange, and again when its own keys have changed. Members do not judge themselves by
//! later gateways.
//!
//! Out of scope: the exchange itself ([`super`]).

use std::time::{Duration, Instant};

pub(crate) use crate::in_force::shared::{KeyStanding, KeyState};
use crate::line::store::registry::SILENCE;

/// A foreign gateway becomes the fleet itself after this long without a member. A store that has just lost its
/// list of gateways has it again much sooner.
const ALONE: Duration = Duration::from_secs(2 * SILENCE.as_secs());

/// Another gateway, as far as keys go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer<'p> {
    pub(super) keys: &'p [String],
    pub(super) state: KeyState,
}

impl Peer<'_> {
    pub(super) fn shares(self, keys: &[String]) -> bool {
        self.keys.iter().any(|key| keys.contains(key))
    }
}

/// The judgement of a gateway on its own keys.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// Its own keys at the last exchange.
    own: Vec<String>,
    alone: Option<Instant>,
}

impl Judge {
    /// The state of this gateway after an exchange that returned these others.
    pub(super) fn state(&mut self, before: KeyState, own: &[String], others: &[Peer<'_>], now: Instant) -> KeyState {
        let changed = before != KeyState::Unknown && self.own != own;
        self.own = own.to_vec();
        let any = |state| others.iter().any(|peer| peer.state == state);
        let shared = others.iter().any(|peer| peer.state == KeyState::Shared && peer.shares(own));
        if any(KeyState::Shared) {
            self.alone = None;
            return match before {
                _ if shared => KeyState::Shared,
                KeyState::Shared if !changed => KeyState::Shared,
                _ => KeyState::Foreign,
            };
        }
        let alone = *self.alone.get_or_insert(now);
        match before {
            // Other new gateways came first: their next exchange tells their state.
            KeyState::Unknown if any(KeyState::Unknown) => KeyState::Unknown,
            KeyState::Foreign if now.duration_since(alone) < ALONE => KeyState::Foreign,
            _ => KeyState::Shared,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KeyState::{Foreign, Shared, Unknown};
    use super::*;

    struct Gateway {
        judge: Judge,
        state: KeyState,
        keys: Vec<String>,
        now: Instant,
    }

    fn keys(names: &str) -> Vec<String> {
        names.split(' ').map(str::to_owned).collect()
    }

    impl Gateway {
        fn with(names: &str) -> Self {
            Self { judge: Judge::default(), state: Unknown, keys: keys(names), now: Instant::now() }
        }

        fn hears(&mut self, others: &[(&str, KeyState)]) -> KeyState {
            let lists: Vec<_> = others.iter().map(|(names, state)| (keys(names), *state)).collect();
            let peers: Vec<_> = lists.iter().map(|(keys, state)| Peer { keys, state: *state }).collect();
            self.now += Duration::from_millis(500);
            self.state = self.judge.state(self.state, &self.keys, &peers, self.now);
            self.state
        }
    }

    #[test]
    fn the_first_is_the_fleet_and_whoever_comes_with_other_keys_is_foreign() {
        let (mut first, mut second) = (Gateway::with("a"), Gateway::with("b"));
        assert_eq!(first.hears(&[]), Shared);
        assert_eq!(second.hears(&[("a", Shared)]), Foreign);
        assert_eq!(first.hears(&[("b", Foreign)]), Shared);
        assert_eq!(first.hears(&[("b", Shared), ("b", Shared)]), Shared, "a member does not yield to a majority");
        let mut third = Gateway::with("b");
        assert_eq!(third.hears(&[("a", Shared), ("b", Foreign), ("b", Unknown)]), Foreign, "not by its own kind");
    }

    #[test]
    fn of_two_who_come_at_once_the_second_waits_for_what_the_first_is_found_to_be() {
        let mut second = Gateway::with("b");
        assert_eq!(second.hears(&[("a", Unknown)]), Unknown);
        assert_eq!(second.hears(&[("a", Shared)]), Foreign);
    }

    #[test]
    fn one_shared_key_is_enough_at_every_step_of_a_rotation() {
        let mut gateway = Gateway::with("old");
        assert_eq!(gateway.hears(&[("old", Shared)]), Shared);
        for (own, others) in [("old new", "old"), ("new old", "old new"), ("new", "new old"), ("new", "new")] {
            gateway.keys = keys(own);
            assert_eq!(gateway.hears(&[(others, Shared)]), Shared, "{own} beside {others}");
        }
        gateway.keys = keys("other");
        assert_eq!(gateway.hears(&[("new", Shared)]), Foreign, "its own change makes it foreign");
        gateway.keys = keys("new");
        assert_eq!(gateway.hears(&[("new", Shared)]), Shared, "and the file mends it");
    }

    #[test]
    fn a_foreign_gateway_is_the_fleet_only_when_no_member_is_heard_for_long() {
        let mut gateway = Gateway::with("b");
        gateway.hears(&[("a", Shared)]);
        for _ in 0..10 {
            assert_eq!(gateway.hears(&[]), Foreign, "a store that lost its list has it again soon");
        }
        assert_eq!(gateway.hears(&[("a", Shared)]), Foreign);
        let became = (0..40).find(|_| gateway.hears(&[]) == Shared);
        assert!(became.is_some_and(|rounds| rounds >= 19), "{became:?}");
    }
}
