//! The verdict over a launch: what was promised, what was measured, and whether it held.
//!
//! Every check is a pure function from [`Evidence`] and [`Scenario`] to [`Check`]s. A check that has nothing to
//! look at says [`Outcome::Unknown`]; it never holds by default.
//!
//! | subject | what is asked |
//! |---|---|
//! | `limits`, `seats` | promise 1: new shoppers in every window, passes at once |
//! | `usage` | promise 2: the rate is used while people wait |
//! | `event` | nobody enters before an event starts, and then who came first enters first |
//! | `rounds` | where an order is drawn: it is, and nobody is overtaken but within a round |
//! | `order` | promise 3: the order of grants is that of tickets |
//! | `places`, `active` | promise 4: a place is kept, a number is given once, active shoppers stay in |
//! | `intruders`, `late` | promise 5: no client reaches the shop without a right; forms that came after the end of their pass |
//! | `waits` | promise 6: the wait that was shown is the wait that was had |
//! | `pages`, `errors`, `orders` | promise 7 and the objectives of those inside |
//! | `served` | whether any visitor got what they came for, and at which step of a journey people were stopped |
//! | `purchase` | where it has stages: pages that led nowhere, what was paid or sold twice, and goodput while a stage is slow |
//! | `siege` | pass holders beside attacks, and whether an attack found a way in |
//! | `joined`, `generator` | whether the three sides tell of the same launch, and whether this side kept up |
//!
//! ```text
//! policy <-- launch-model <-- evidence <-- verdict: reports <-- checks
//! ```
//!
//! Out of scope: the crowd and its sender; the gateway's own code and its secret. Any client can read Weir's
//! tokens ([`launch_model::token`]), and a gateway that lies in them is found out by the shop's log.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail"))]

mod active;
mod check;
mod errors;
mod event;
mod generator;
mod intruders;
mod joined;
mod late;
mod launch;
mod limits;
mod order;
mod orders;
mod pages;
mod places;
mod purchase;
pub mod report;
mod rounds;
mod seats;
mod served;
mod siege;
mod usage;
mod waits;
mod windows;

#[cfg(test)]
mod fixture;

use evidence::Evidence;
use launch_model::scenario::Scenario;

pub use check::{Check, Outcome, Verdict};
use launch::Launch;

/// Judges a launch.
pub fn judge(scenario: &Scenario, evidence: &Evidence) -> Vec<Check> {
    let launch = Launch::of(scenario, evidence);
    let subjects: [fn(&Launch<'_>) -> Vec<Check>; 19] = [
        limits::checks,
        seats::checks,
        usage::checks,
        order::checks,
        event::checks,
        rounds::checks,
        places::checks,
        active::checks,
        intruders::checks,
        late::checks,
        waits::checks,
        errors::checks,
        pages::checks,
        orders::checks,
        served::checks,
        purchase::checks,
        siege::checks,
        joined::checks,
        generator::checks,
    ];
    subjects.iter().flat_map(|checks| checks(&launch)).collect()
}
