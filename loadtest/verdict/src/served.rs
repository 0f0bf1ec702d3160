//! Whether any visitor got what they came for, and at which step of a journey people were stopped.
//!
//! ```text
//! anybody-served  honest visitors who bought, found everything sold or saw their journey to its end  >= 1, else the run is invalid
//! journey-steps   visits that ended at a step that failed / visits that were let in                 <= 1 - objectives.orders
//! ```
//!
//! A launch in which no visitor is served tells nothing, however well the line held: the journey is wrong, or the shop is.
//!
//! Out of scope: how many were served (`orders`).

use std::collections::BTreeMap;

use evidence::{End, Stumble, Visit};
use launch_model::persona::Persona;
use launch_model::scenario::Journey;

use crate::check::{Check, share};
use crate::launch::Launch;

/// Kinds of failures that are named.
const NAMED: usize = 3;

pub(crate) fn checks(launch: &Launch<'_>) -> Vec<Check> {
    let steps = launch.scenario.journey.as_ref().map(|journey| steps(launch, journey));
    [anybody(launch)].into_iter().chain(steps).collect()
}

/// Visitors who came for something. A no-show goes at the sight of a line.
fn comers<'a>(launch: &Launch<'a>) -> impl Iterator<Item = &'a Visit> {
    let comes = |visit: &&Visit| !visit.persona.is_adversary() && visit.persona != Persona::NoShow;
    launch.evidence.visits.iter().filter(comes)
}

fn anybody(launch: &Launch<'_>) -> Check {
    let check = Check::new("anybody-served", "Visitors who got what they came for").unit("visitors");
    let came = comers(launch).count();
    if came == 0 {
        return check.detail("Nobody came who wanted anything.");
    }
    let is_served = |visit: &&Visit| matches!(visit.end, End::Bought | End::SoldOut | End::Looked);
    let served = comers(launch).filter(is_served).count();
    let why = match (served, &launch.scenario.journey) {
        (1.., _) => String::new(),
        (0, Some(journey)) if !failures(launch).is_empty() => format!(" {}", named(launch, journey)),
        (0, _) => format!(" {}", ends(launch)),
    };
    check.at_least(served as f64, 1.0).detail(format!("Of {came} who came for something.{why}")).or_invalid()
}

/// How visits ended, where no step says why.
fn ends(launch: &Launch<'_>) -> String {
    let mut ends = BTreeMap::<End, usize>::new();
    comers(launch).for_each(|visit| *ends.entry(visit.end).or_default() += 1);
    let told = |(end, count): (&End, &usize)| {
        let name = serde_json::to_value(end).ok().and_then(|name| name.as_str().map(|name| name.replace('_', " ")));
        format!("{count} ended as {:?}", name.unwrap_or_default())
    };
    let told: Vec<String> = ends.iter().map(told).collect();
    format!(
        "{}: see room.path and the pages of the shop, and whether anybody was let in before closing.",
        told.join(", ")
    )
}

fn steps(launch: &Launch<'_>, journey: &Journey) -> Check {
    let check = Check::new("journey-steps", "Visits that ended at a step that failed").unit("share");
    let inside: Vec<&Visit> = comers(launch).filter(|visit| visit.entered.is_some()).collect();
    if inside.is_empty() {
        return check.detail("Nobody was let in.");
    }
    let stopped = inside.iter().filter(|visit| visit.end == End::OrderFailed).count();
    let detail = format!("{stopped} of {} who were let in. {}", inside.len(), named(launch, journey));
    check.at_most(share(stopped, inside.len()), 1.0 - launch.scenario.objectives.orders).detail(detail)
}

/// How often each step failed for each reason, most often first.
fn failures<'a>(launch: &Launch<'a>) -> Vec<(&'a Stumble, usize)> {
    let mut counts = BTreeMap::<&Stumble, usize>::new();
    launch
        .evidence
        .visits
        .iter()
        .flat_map(|visit| &visit.stumbles)
        .for_each(|stumble| *counts.entry(stumble).or_default() += 1);
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

fn named(launch: &Launch<'_>, journey: &Journey) -> String {
    let failures = failures(launch);
    let told = |(stumble, times): &(&Stumble, usize)| {
        let step = journey.steps.get(usize::from(stumble.step))?;
        let (number, why, mend) = (stumble.step + 1, stumble.why.told(), stumble.why.mend(step));
        Some(format!("Step {number}, {}, failed {times} times: {why}; {mend}.", step.title()))
    };
    let told: Vec<String> = failures.iter().take(NAMED).filter_map(told).collect();
    if told.is_empty() { "No step failed.".into() } else { told.join(" ") }
}

#[cfg(test)]
mod tests {
    use evidence::{End, Stumble, Why};

    use crate::check::{Outcome, Verdict};
    use crate::fixture::Made;
    use crate::judge;

    fn with_a_journey(made: &mut Made) {
        let text = "[[step]]\nurl = '/item'\ntake.csrf = { css = '[name=csrf]' }\n[[step]]\nurl = '/order'\nform = { csrf = '${csrf}' }\n";
        made.scenario.journey = Some(toml::from_str(text).unwrap());
    }

    fn fails(made: &mut Made, visit: usize, why: Why) {
        let visit = &mut made.evidence.visits[visit];
        visit.end = End::OrderFailed;
        visit.stumbles.push(Stumble { step: 1, why });
    }

    #[test]
    fn a_launch_in_which_nobody_gets_anything_is_invalid_and_says_why() {
        let mut made = Made::line_of(20);
        assert_eq!(made.check("anybody-served").outcome, Outcome::Held);
        made.evidence.visits.iter_mut().for_each(|visit| visit.end = End::OrderFailed);
        let check = made.check("anybody-served");
        assert_eq!(check.outcome, Outcome::Invalid);
        assert!(check.detail.contains("20 ended as \"order failed\""), "{check:?}");
        assert_eq!(Verdict::of(&judge(&made.scenario, &made.evidence)), Verdict::Invalid);
    }

    #[test]
    fn a_step_that_fails_is_named_with_what_to_mend() {
        let mut made = Made::line_of(20);
        with_a_journey(&mut made);
        assert_eq!(made.check("journey-steps").outcome, Outcome::Held);
        fails(&mut made, 3, Why::Status(403));
        let check = made.check("journey-steps");
        assert_eq!((check.outcome, check.measured), (Outcome::Broken, Some(0.05)));
        assert!(
            check.detail.contains("Step 2, POST /order, failed 1 times: status 403; a form without its CSRF"),
            "{check:?}"
        );
        for visit in 0..20 {
            fails(&mut made, visit, Why::Elsewhere("/item".into()));
        }
        let check = made.check("anybody-served");
        assert!(check.outcome == Outcome::Invalid && check.detail.contains("ended at /item"), "{check:?}");
    }
}
