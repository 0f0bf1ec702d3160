//! Who is in the crowd: honest people of several habits, and people who try to cheat.
//!
//! Only names and shares are here. What each one does is said by [`crate::shopper`] and
//! [`crate::adversary`].

use std::collections::BTreeMap;

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shopper::luck;

/// Keeps the choice of a persona apart from the luck of the person.
const SALT: u64 = 0xca57;

/// A kind of visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Persona {
    /// Waits as told, then buys.
    Patient,
    /// Leaves when the wait has lasted longer than they bear.
    Impatient,
    /// Sees the line and never comes back.
    NoShow,
    /// Opens the page in a second tab, which has the same cookies, and goes on in both.
    SecondTab,
    /// Loads the whole page again and again instead of waiting for the next poll.
    RefreshSpammer,
    /// Is away when called, and comes back later.
    LateReturner,
    /// Loses all cookies while waiting, and begins anew.
    LosesCookies,
    /// Changes address while waiting, as a phone that leaves the house.
    ChangesAddress,
    /// Reads answers slowly, a little at a time.
    SlowReader,
    /// Makes up tokens.
    Forges,
    /// Alters a token that they were given.
    Alters,
    /// Uses a pass again that was given back.
    Replays,
    /// Gives their pass to others at other addresses.
    Shares,
    /// Uses a pass after its end; where a pass outlives the run, one that looks as if it had ended.
    Expired,
    /// Uses a pass of another room, or one that looks like it.
    OtherRoom,
    /// Asks for inner pages (order, payment, other spellings of the path) without a pass.
    SkipsLine,
    /// Polls many times a second, whatever they are told.
    IgnoresHints,
}

impl Persona {
    /// All of them, honest ones first.
    pub const ALL: [Self; 17] = [
        Self::Patient,
        Self::Impatient,
        Self::NoShow,
        Self::SecondTab,
        Self::RefreshSpammer,
        Self::LateReturner,
        Self::LosesCookies,
        Self::ChangesAddress,
        Self::SlowReader,
        Self::Forges,
        Self::Alters,
        Self::Replays,
        Self::Shares,
        Self::Expired,
        Self::OtherRoom,
        Self::SkipsLine,
        Self::IgnoresHints,
    ];

    /// Whether they try to get what is not theirs. Promises about places and waits are made to the others.
    pub fn is_adversary(self) -> bool {
        self >= Self::Forges
    }

    /// Whether promise 3 and 6 are made to them: they keep their cookies, ask when told, and stay.
    pub fn polls_as_told(self) -> bool {
        matches!(self, Self::Patient | Self::SecondTab | Self::ChangesAddress | Self::SlowReader)
    }
}

/// Who comes: chooses a persona for each visitor, by weights.
#[derive(Debug, Clone)]
pub struct Cast {
    /// Each persona with the sum of all weights up to its own.
    upto: Vec<(Persona, f64)>,
}

impl Cast {
    /// From weights; what is below nothing counts as nothing. If nothing is left, all are patient.
    pub fn new(weights: &BTreeMap<Persona, f64>) -> Self {
        let mut sum = 0.0;
        let upto =
            weights.iter().filter(|(_, weight)| weight.is_finite() && **weight > 0.0).map(|(&persona, weight)| {
                sum += weight;
                (persona, sum)
            });
        let mut upto: Vec<_> = upto.collect();
        if upto.is_empty() {
            upto.push((Persona::Patient, 1.0));
        }
        Self { upto }
    }

    /// Who visitor number `index` of the crowd of this seed is: the same in every run.
    pub fn of(&self, seed: u64, index: u64) -> Persona {
        let [.., (last, sum)] = *self.upto else { return Persona::Patient };
        let place = luck(seed ^ SALT, index).random_range(0.0..sum);
        self.upto.iter().find(|(_, upto)| place < *upto).map_or(last, |&(persona, _)| persona)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personas_come_by_their_weights_and_the_same_in_every_run() {
        let weights = BTreeMap::from([(Persona::Patient, 6.0), (Persona::NoShow, 4.0), (Persona::Forges, 0.0)]);
        let cast = Cast::new(&weights);
        let all: Vec<_> = (0..10_000).map(|index| cast.of(7, index)).collect();
        assert_eq!(all, (0..10_000).map(|index| cast.of(7, index)).collect::<Vec<_>>());
        let no_shows = all.iter().filter(|&&persona| persona == Persona::NoShow).count();
        assert!((3_850..4_150).contains(&no_shows), "{no_shows}");
        assert!(!all.contains(&Persona::Forges));
        assert_eq!(Cast::new(&BTreeMap::new()).of(7, 1), Persona::Patient);
    }

    #[test]
    fn honest_people_come_first_and_nobody_is_left_out() {
        assert!(Persona::ALL.is_sorted());
        assert_eq!(Persona::ALL.iter().filter(|persona| persona.is_adversary()).count(), 8);
        assert!(Persona::ALL.iter().all(|persona| !(persona.is_adversary() && persona.polls_as_told())));
    }
}
