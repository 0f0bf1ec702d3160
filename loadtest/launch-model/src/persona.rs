//! The kinds of people in the crowd: honest ones of several habits, and people who try to cheat.
//!
//! Only names and shares are here. `shopper` and `adversary` say what each one does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Takes a place, polls as told, and goes before their turn: so the line looks longer than it is.
    StuffsLine,
    /// Takes a pass and never comes back with it: a client without cookies.
    HoardsSeats,
}

impl Persona {
    /// All of them, honest ones first.
    pub const ALL: [Self; 19] = [
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
        Self::StuffsLine,
        Self::HoardsSeats,
    ];

    /// The names as they are written, each with what it stands for.
    pub(crate) fn schema_kinds() -> Vec<(String, String)> {
        let schema = schemars::schema_for!(Self);
        let text = |kind: &serde_json::Value, key: &str| kind[key].as_str().unwrap_or_default().to_owned();
        let kinds = schema.get("oneOf").and_then(serde_json::Value::as_array);
        kinds.into_iter().flatten().map(|kind| (text(kind, "const"), text(kind, "description"))).collect()
    }

    /// Its name as it is written: `no_show`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Impatient => "impatient",
            Self::NoShow => "no_show",
            Self::SecondTab => "second_tab",
            Self::RefreshSpammer => "refresh_spammer",
            Self::LateReturner => "late_returner",
            Self::LosesCookies => "loses_cookies",
            Self::ChangesAddress => "changes_address",
            Self::SlowReader => "slow_reader",
            Self::Forges => "forges",
            Self::Alters => "alters",
            Self::Replays => "replays",
            Self::Shares => "shares",
            Self::Expired => "expired",
            Self::OtherRoom => "other_room",
            Self::SkipsLine => "skips_line",
            Self::IgnoresHints => "ignores_hints",
            Self::StuffsLine => "stuffs_line",
            Self::HoardsSeats => "hoards_seats",
        }
    }

    /// Whether they try to get what is not theirs. Promises about places and waits are made to the others.
    pub fn is_adversary(self) -> bool {
        self >= Self::Forges
    }

    /// Whether they are after what others get, not after a page of the shop. They have a share in no launch but those that
    /// are about them: it would be another launch.
    pub fn is_spoiler(self) -> bool {
        matches!(self, Self::StuffsLine | Self::HoardsSeats)
    }

    /// Whether promise 3 and 6 are made to them: they keep their cookies, ask when told, and stay.
    pub fn polls_as_told(self) -> bool {
        matches!(self, Self::Patient | Self::SecondTab | Self::ChangesAddress | Self::SlowReader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_they_are_written() {
        let names: Vec<_> = Persona::schema_kinds().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, Persona::ALL.map(Persona::name));
    }

    #[test]
    fn honest_people_come_first_and_nobody_is_left_out() {
        assert!(Persona::ALL.is_sorted());
        assert_eq!(Persona::ALL.iter().filter(|persona| persona.is_adversary()).count(), 10);
        assert!(Persona::ALL.iter().all(|persona| !(persona.is_adversary() && persona.polls_as_told())));
    }
}
