//! No waiting shopper sees an error.
//!
//! ```text
//! errors-waiting   answers 5xx to honest people outside      = 0
//! unanswered       their requests that had no answer at all  = 0
//! ```
//!
//! Out of scope: errors of those inside, which are the shop's; they are reported here, and judged by the orders that
//! come of it (`orders`).

use evidence::{RequestRecord, Visit};

use crate::check::{Check, first_of};
use crate::launch::Launch;

pub(crate) fn checks(launch: &Launch<'_>) -> Vec<Check> {
    let visits = || launch.evidence.visits.iter().filter(|visit| !visit.persona.is_adversary());
    let check = |id: &str, title: &str| Check::new(id, title).unit("answers");
    let (errors, unanswered) = (
        check("errors-waiting", "Answers 5xx to people outside"),
        check("unanswered", "Requests of people outside that had no answer"),
    );
    if visits().all(|visit| visit.requests == 0) {
        return [errors, unanswered].map(|check| check.detail("Nobody asked anything.")).into();
    }
    let judged = |check: Check, of: fn(&Visit) -> u32, more: String| {
        let found: Vec<u64> = visits().filter(|visit| of(visit) > 0).map(|visit| visit.index).collect();
        let count: u64 = visits().map(|visit| u64::from(of(visit))).sum();
        let asked: u64 = visits().map(|visit| u64::from(visit.requests)).sum();
        let detail = format!("Of {asked} requests of honest people.{more}{}", first_of(&found));
        check.none(count as usize).detail(detail)
    };
    vec![
        judged(errors, |visit| visit.errors_outside, inside(launch)).promise(4),
        judged(unanswered, |visit| visit.unanswered_outside, String::new()),
    ]
}

/// Errors of shoppers inside.
fn inside(launch: &Launch<'_>) -> String {
    let asked = launch.evidence.visits.iter().flat_map(|visit| &visit.asked).filter(|asked| !asked.attack);
    let count = |is: fn(&RequestRecord) -> bool| asked.clone().filter(|asked| is(asked)).count();
    let errors = count(|asked| asked.status.is_some_and(|status| status >= 500));
    let silent = count(|asked| asked.status.is_none());
    let shop = launch.evidence.shop.iter().filter(|entry| entry.status >= 500).count();
    format!(
        " With a pass: {errors} answers 5xx, {silent} requests without an answer. The shop itself gave {shop} answers 5xx."
    )
}

#[cfg(test)]
mod tests {
    use launch_model::persona::Persona;

    use crate::check::Outcome;
    use crate::fixture::Made;

    #[test]
    fn an_error_to_somebody_who_waits_is_found() {
        let mut made = Made::line_of(10);
        assert_eq!(made.check("errors-waiting").outcome, Outcome::Held);
        made.evidence.visits[2].errors_outside = 2;
        let check = made.check("errors-waiting");
        assert_eq!((check.outcome, check.measured), (Outcome::Broken, Some(2.0)));
        assert!(check.detail.contains("visitor 2"), "{check:?}");
        made.evidence.visits[2].persona = Persona::Forges;
        assert_eq!(made.check("errors-waiting").outcome, Outcome::Held, "an adversary gets what it gets");
    }

    #[test]
    fn silence_and_errors_inside_are_told_apart() {
        let mut made = Made::line_of(10);
        made.evidence.visits[2].unanswered_outside = 1;
        made.evidence.visits[3].asked[1].status = Some(503);
        assert_eq!(made.check("unanswered").outcome, Outcome::Broken);
        let check = made.check("errors-waiting");
        assert!(check.outcome == Outcome::Held && check.detail.contains("1 answers 5xx, 0 requests"), "{check:?}");
        assert_eq!(Made::new().check("unanswered").outcome, Outcome::Unknown);
    }
}
