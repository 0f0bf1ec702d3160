//! The verdict over a launch: what was promised, what was measured, and whether it held.
//!
//! Every check is a pure function from [`Evidence`] and [`Scenario`] to [`Check`]s. A check that has nothing to
//! look at says [`Outcome::Unknown`]; it never holds by default.
//!
//! | subject | what is asked |
//! |---|---|
//! | `limits`, `seats` | promise 1: new shoppers in every window, passes at once |
//! | `usage` | promise 2: the rate is used while people wait |
//! | [`order`] | promise 3: the order of grants is that of tickets |
//! | `places`, `active` | promise 4: a place is kept, a number is given once, those who are active stay in |
//! | `intruders`, `late` | promise 5: nobody reaches the shop without a right; forms that came after the end of their pass |
//! | [`waits`] | promise 6: the wait that was shown is the wait that was had |
//! | `pages`, `errors`, `orders` | promise 7 and the objectives of those inside |
//! | `served` | whether anybody got what they came for, and at which step of a journey people were stopped |
//! | [`siege`] | pass holders beside attacks, and whether an attack found a way in |
//! | `joined`, `generator` | whether the three sides tell of the same launch, and whether this side kept up |
//!
//! What is absent: the gateway's own code and its secret. Weir's tokens can be read by anybody ([`crate::token`]), and
//! a gateway that lies in them is found out by the shop's log.

mod active;
mod check;
mod errors;
mod generator;
mod intruders;
mod joined;
mod late;
mod launch;
mod limits;
pub mod order;
mod orders;
mod pages;
mod places;
mod seats;
mod served;
pub mod siege;
mod usage;
pub mod waits;
mod windows;

#[cfg(test)]
mod made;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::Evidence;
use crate::scenario::Scenario;

pub use launch::{Ahead, Grant, Launch};

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every promise and objective held: exit code 0.
    Held,
    /// A promise or an objective was broken: exit code 1.
    Broken,
    /// The run tells nothing, because the generator itself failed: exit code 2.
    Invalid,
}

/// How one check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As promised.
    Held,
    /// Not as promised.
    Broken,
    /// There was nothing to look at; `detail` says why.
    Unknown,
    /// The generator was at fault: the run is invalid.
    Invalid,
}

/// One line of the verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Its name for programs: `limit-1s`.
    pub id: String,
    /// Number of the promise in the model, 1 to 8; `None` for an objective of the run or the generator.
    pub promise: Option<u8>,
    /// What is asked, for people.
    pub title: String,
    /// How it came out.
    pub outcome: Outcome,
    /// What was measured, in `unit`.
    pub measured: Option<f64>,
    /// What it was held against, in `unit`.
    pub allowed: Option<f64>,
    /// Unit of both: `shoppers`, `ms`, `share`, ...
    pub unit: String,
    /// How it was measured, or whom it found: one or two sentences.
    pub detail: String,
}

/// Judges a launch.
pub fn judge(scenario: &Scenario, evidence: &Evidence) -> Vec<Check> {
    let launch = Launch::of(scenario, evidence);
    let subjects: [fn(&Launch<'_>) -> Vec<Check>; 16] = [
        limits::checks,
        seats::checks,
        usage::checks,
        order::checks,
        places::checks,
        active::checks,
        intruders::checks,
        late::checks,
        waits::checks,
        errors::checks,
        pages::checks,
        orders::checks,
        served::checks,
        siege::checks,
        joined::checks,
        generator::checks,
    ];
    subjects.iter().flat_map(|checks| checks(&launch)).collect()
}

impl Verdict {
    /// Of all checks. The generator's own fault outweighs what it seems to have found.
    pub fn of(checks: &[Check]) -> Self {
        let any = |outcome| checks.iter().any(|check| check.outcome == outcome);
        match () {
            () if any(Outcome::Invalid) => Self::Invalid,
            () if any(Outcome::Broken) => Self::Broken,
            () => Self::Held,
        }
    }

    /// Exit code of a run.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Held => 0,
            Self::Broken => 1,
            Self::Invalid => 2,
        }
    }
}
