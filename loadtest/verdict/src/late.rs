//! Forms after the end of their pass: a column of its own, for they are no new shoppers and take no seat.
//!
//! ```text
//! late    forms at the shop that were sent after the end of the pass that they came with, and within form_grace of it
//! of one  the most of them with one pass     <= 3 x gateways, each of which counts its own
//! too late  the same after form_grace        = 0
//! ```
//!
//! Lateness is the least that the clocks leave possible. `form_grace` is what Weir takes by default.
//!
//! Out of scope: requests that are no forms. They need a pass that lives (`intruders`).

use std::collections::HashMap;

use evidence::{Page, RequestRecord};

use crate::check::Check;
use crate::launch::{Ahead, Launch};

/// Milliseconds after the end of a pass in which a form goes through: `form_grace`.
const GRACE: i64 = 120_000;
/// Forms that go through after the end of one pass, at each gateway.
const MOST: usize = 3;

/// A form that reached the shop after the end of its pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LateForm<'a> {
    /// Its request id.
    pub(crate) id: &'a str,
    number: u64,
    /// Milliseconds since the end of the pass, at least.
    after: i64,
}

impl LateForm<'_> {
    /// Whether it came soon enough to go through.
    pub(crate) fn in_time(&self) -> bool {
        self.after < GRACE
    }
}

/// Whether a request sends a form.
pub(crate) fn is_form(asked: &RequestRecord) -> bool {
    matches!(asked.page, Page::Order | Page::Payment)
}

/// All of them.
pub(crate) fn forms<'a>(launch: &'a Launch<'_>) -> impl Iterator<Item = LateForm<'a>> {
    // Half a millisecond and more is lost where times are rounded.
    let error = launch.store_ahead.map_or(0, Ahead::error).div_euclid(1000) + 2;
    launch.joined().filter_map(move |(asked, entry)| {
        let grant = launch.grant_at_shop(entry)?;
        let after = launch.store_time(asked.due)? - error - grant.ends;
        (is_form(asked) && after > 0).then_some(LateForm { id: &asked.id, number: grant.number, after })
    })
}

pub(crate) fn checks(launch: &Launch<'_>) -> Vec<Check> {
    let late: Vec<LateForm<'_>> = forms(launch).collect();
    vec![of_one_pass(launch, &late), too_late(launch, &late)]
}

fn of_one_pass(launch: &Launch<'_>, late: &[LateForm<'_>]) -> Check {
    let check = Check::new("late-forms", "Forms of one pass after its end, at most").promise(5).unit("requests");
    if launch.store_ahead.is_none() || launch.shop_ahead.is_none() {
        return check.detail(UNKNOWN);
    }
    let mut by_pass = HashMap::<u64, usize>::new();
    for form in late {
        *by_pass.entry(form.number).or_default() += 1;
    }
    let most = by_pass.values().max().copied().unwrap_or(0);
    let detail = format!(
        "{} forms with {} passes: begun inside and sent after the end. {MOST} may go through at each of {} gateways.",
        late.len(),
        by_pass.len(),
        launch.gateways(),
    );
    check.at_most(most as f64, (MOST * launch.gateways()) as f64).detail(detail)
}

fn too_late(launch: &Launch<'_>, late: &[LateForm<'_>]) -> Check {
    let check = Check::new("forms-too-late", "Forms that went through after form_grace").promise(5).unit("requests");
    if launch.store_ahead.is_none() || launch.shop_ahead.is_none() {
        return check.detail(UNKNOWN);
    }
    let after = late.iter().map(|form| form.after).max();
    let latest =
        after.map_or("None was late.".to_owned(), |ms| format!("The latest came {:.1} s after.", ms as f64 / 1e3));
    check.none(late.iter().filter(|form| !form.in_time()).count()).detail(latest)
}

const UNKNOWN: &str = "No cookie, or no request id, tells which pass of whom the shop saw.";

#[cfg(test)]
mod tests {
    use launch_model::persona::Persona;

    use super::*;
    use crate::check::Outcome;
    use crate::fixture::{Made, SESSION};

    /// A visitor whose pass is granted after 1 s, and who sends forms so many milliseconds after its end.
    fn sends(after: &[i64]) -> Made {
        let mut made = Made::line_of(5);
        made.shopper(90, 500, 1_000);
        for ms in after {
            made.visits_shop(90, Page::Order, 1_000 + SESSION + ms);
        }
        made
    }

    #[test]
    fn three_forms_may_be_late_with_a_pass_and_none_later_than_the_grace() {
        for (after, late, too_late) in [
            (&[][..], Outcome::Held, Outcome::Held),
            (&[-1_000, 1_000, 2_000, 3_000], Outcome::Held, Outcome::Held),
            (&[1_000, 2_000, 3_000, 4_000], Outcome::Broken, Outcome::Held),
            (&[1_000, GRACE + 1_000], Outcome::Held, Outcome::Broken),
        ] {
            let made = sends(after);
            let found = ["late-forms", "forms-too-late"].map(|id| made.check(id).outcome);
            assert_eq!(found, [late, too_late], "{after:?}");
        }
        let mut made = sends(&[1_000]);
        made.evidence.shop.iter_mut().for_each(|entry| entry.request_id = None);
        assert_eq!(made.check("late-forms").outcome, Outcome::Unknown);
    }

    #[test]
    fn who_outlives_a_pass_may_send_a_late_form_and_nothing_else() {
        let attack = |page, after| {
            let mut made = sends(&[]);
            made.visits_shop(90, page, 1_000 + SESSION + after);
            let visit = made.evidence.visits.last_mut().unwrap();
            visit.persona = Persona::Expired;
            visit.asked.last_mut().unwrap().attack = true;
            made
        };
        assert_eq!(attack(Page::Order, 3_000).check("attacks-at-shop").outcome, Outcome::Held);
        assert_eq!(attack(Page::Item, 3_000).check("attacks-at-shop").outcome, Outcome::Broken, "no form");
        assert_eq!(attack(Page::Order, GRACE + 1_000).check("attacks-at-shop").outcome, Outcome::Broken, "too late");
        let mut replayed = attack(Page::Order, 3_000);
        replayed.evidence.visits.last_mut().unwrap().persona = Persona::Replays;
        assert_eq!(replayed.check("attacks-at-shop").outcome, Outcome::Broken, "that pass was taken away");
    }
}
