//! An event: nobody enters before it starts, and then the order is that of tickets.
//!
//! ```text
//! early        passes granted before the start, in store time                          = 0
//! pre-queue    order of grants against order of tickets (Kendall's tau) of those who held their ticket
//!              before the start, less what is a matter of polls: see `order`
//! ```
//!
//! Out of scope: how soon after the start the first one enters (`usage`), and tickets of later ones (`order`).

use crate::check::{Check, first_of};
use crate::launch::{Grant, Launch};
use crate::order;

pub(crate) fn checks(launch: &Launch<'_>) -> Vec<Check> {
    let Some(start) = launch.event_start() else { return Vec::new() };
    vec![early(launch, start), order::of_those_before(launch, start)]
}

fn early(launch: &Launch<'_>, start: i64) -> Check {
    let check = Check::new("event-early", "Passes granted before the event started").unit("shoppers");
    if launch.grants.is_empty() {
        return check.detail("Nobody was let in.");
    }
    let early: Vec<&Grant> = launch.grants.iter().filter(|grant| grant.at < start).collect();
    let visits: Vec<u64> = early.iter().map(|grant| launch.evidence.visits[grant.visit].index).collect();
    let first = launch.grants.first().map_or(0.0, |grant| (grant.at - start) as f64 / 1e3);
    let waited = launch.grants.iter().filter(|grant| grant.joined < start).count();
    let detail = format!(
        "The first was granted {first:+.2} s from the start; {waited} of those let in had taken a place before it.{}",
        first_of(&visits)
    );
    check.none(early.len()).detail(detail)
}

#[cfg(test)]
mod tests {
    use crate::check::Outcome;
    use crate::fixture::Made;
    use crate::judge;

    /// Shoppers who come every 10 ms and enter every 100 ms, the first one at the start, 5 s after the begin of the launch.
    fn event() -> Made {
        let mut made = Made::new();
        for n in 0..200 {
            made.shopper(n + 1, n.cast_signed() * 10, 5_000 + n.cast_signed() * 100);
        }
        made.scenario.room.event_start = "5s".parse().ok();
        made
    }

    #[test]
    fn an_event_that_nobody_enters_early_and_all_in_order_holds() {
        let made = event();
        let (early, order) = (made.check("event-early"), made.check("event-order"));
        assert_eq!((early.outcome, early.measured), (Outcome::Held, Some(0.0)), "{early:?}");
        assert_eq!((order.outcome, order.measured), (Outcome::Held, Some(1.0)), "{order:?}");
        assert!(early.detail.contains("200 of those"), "{early:?}");
    }

    #[test]
    fn one_who_enters_a_moment_before_the_start_is_found() {
        let mut made = event();
        made.shopper(300, 100, 4_990);
        let early = made.check("event-early");
        assert_eq!((early.outcome, early.measured), (Outcome::Broken, Some(1.0)), "{early:?}");
        assert!(early.detail.contains("visitor 200"), "{early:?}");
    }

    #[test]
    fn a_pre_queue_that_is_served_from_its_end_is_found() {
        let mut made = Made::new();
        for n in 0..200 {
            made.shopper(n + 1, n.cast_signed() * 10, 5_000 + (200 - n.cast_signed()) * 100);
        }
        made.scenario.room.event_start = "5s".parse().ok();
        assert_eq!(made.check("event-order").outcome, Outcome::Broken);
        made.scenario.room.event_start = None;
        assert!(
            judge(&made.scenario, &made.evidence).iter().all(|check| check.id != "event-early"),
            "there is no event"
        );
    }
}
