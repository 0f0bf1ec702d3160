//! Promise 3: the order of admission is the order of tickets, and overtaking is bounded.
//!
//! ```text
//! tau          1 - 4 D / (n (n - 1)),  D = pairs in which the higher number was granted first; equal times are in order
//! overtaking   of a shopper with number L:     grant of L - max(ticket of L in hand, first grant of any number above L)
//! in order     tau is at least 1 - 2 x (share of pairs granted no further apart than the overtaking that is allowed)
//! ```
//!
//! Only shoppers who poll as told are compared, on both sides, and only with one number each. A shopper who stands outside
//! at the end counts as granted then: a forgotten one is overtaken by all behind. A called shopper learns
//! of the call with the next poll, so overtaking by the time between two polls is no fault: the objective holds that much, and
//! the third line is what then follows for tau.
//!
//! Out of scope: shoppers whose turn came while they were away; they claim when they return.

use evidence::{End, Visit};
use launch_model::token::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::{Check, first_of, share};
use crate::launch::Launch;
use crate::windows::tau;

/// Overtaking by less than this, in milliseconds, is not counted in the share: two gateways take turns at the store.
pub(crate) const NOTICEABLE: i64 = 1_000;

/// A shopper in the order, in store time.
#[derive(Debug, Clone, Copy)]
struct Claimed {
    number: u64,
    in_hand: i64,
    granted: i64,
    entered: bool,
    index: u64,
}

/// A shopper who entered.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// Place among the shoppers who entered, by ticket.
    pub place: u64,
    /// Seconds since the start, at which the pass was granted.
    pub at: f64,
    /// Seconds since the start, at which the ticket was given.
    pub joined: f64,
}

pub(crate) fn checks(launch: &Launch<'_>) -> Vec<Check> {
    let standings = standings(launch);
    vec![of_order(launch, &standings), of_overtaking(launch, &standings)]
}

/// A sample of the shoppers who entered, in order of tickets, evenly spread: for the picture of fairness.
pub(crate) fn entries(launch: &Launch<'_>, most: usize) -> Vec<Entry> {
    let mut grants = launch.grants.clone();
    grants.sort_unstable_by_key(|grant| grant.number);
    let apart = grants.len().div_ceil(most.max(1)).max(1);
    let sample = (1..).zip(&grants).step_by(apart);
    let seconds = |store_ms| launch.since_start(store_ms);
    sample.map(|(place, grant)| Entry { place, at: seconds(grant.at), joined: seconds(grant.joined) }).collect()
}

/// By number.
fn standings(launch: &Launch<'_>) -> Vec<Claimed> {
    let visits = launch.evidence.visits.iter().filter(|visit| visit.persona.polls_as_told());
    let mut standings: Vec<Claimed> = visits.filter_map(|visit| standing(launch, visit)).collect();
    standings.sort_unstable_by_key(|standing| standing.number);
    standings
}

fn standing(launch: &Launch<'_>, visit: &Visit) -> Option<Claimed> {
    let mut held = visit.held.iter().filter(|held| held.token.kind != Kind::Provisional);
    let first = held.next()?;
    let number = first.token.number;
    if held.any(|held| held.token.number != number) {
        return None;
    }
    let in_hand = launch.store_time(first.at)?;
    let granted = launch.grant_of(number).map(|grant| grant.at);
    let entered = granted.is_some();
    let granted = granted.or_else(|| launch.store_time(visit.left).filter(|_| visit.end == End::Outside))?;
    Some(Claimed { number, in_hand, granted, entered, index: visit.index })
}

/// The order of those who had their ticket in hand before this store time, at which an event starts.
pub(crate) fn of_those_before(launch: &Launch<'_>, start: i64) -> Check {
    let before: Vec<Claimed> = standings(launch).into_iter().filter(|standing| standing.in_hand < start).collect();
    let check = Check::new("event-order", "Order of grants against order of tickets in the pre-queue (Kendall's tau)");
    in_order(check.unit("tau"), launch, &before)
}

fn of_order(launch: &Launch<'_>, standings: &[Claimed]) -> Check {
    let check = Check::new("order", "Order of grants against order of tickets (Kendall's tau)").promise(3).unit("tau");
    in_order(check, launch, standings)
}

fn in_order(check: Check, launch: &Launch<'_>, standings: &[Claimed]) -> Check {
    let times: Vec<i64> =
        standings.iter().filter(|standing| standing.entered).map(|standing| standing.granted).collect();
    if times.len() < 2 {
        return check.detail("Fewer than two people who poll as told were let in.");
    }
    let near = share_of_pairs_within(&times, overtaking_allowed(launch));
    let detail = format!(
        "{} people who poll as told; {:.1} % of their pairs were granted within {} of each other, where order is a matter of polls.",
        times.len(),
        near * 100.0,
        launch.scenario.objectives.overtaking,
    );
    check.at_least(tau(&times), 1.0 - 2.0 * near).detail(detail)
}

fn overtaking_allowed(launch: &Launch<'_>) -> i64 {
    launch.scenario.objectives.overtaking.0.as_millis() as i64
}

/// Share of pairs that lie no further apart than this.
fn share_of_pairs_within(times: &[i64], length: i64) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    let mut first = 0;
    let mut near = 0;
    for (last, &at) in times.iter().enumerate() {
        while at - times[first] > length {
            first += 1;
        }
        near += last - first;
    }
    share(2 * near, times.len() * (times.len() - 1))
}

fn of_overtaking(launch: &Launch<'_>, standings: &[Claimed]) -> Check {
    let check = Check::new("overtaking", "Longest overtaking by somebody with a higher number").promise(3).unit("s");
    if standings.len() < 2 {
        return check.detail("Fewer than two people who poll as told had a number.");
    }
    let overtaken = overtaken(standings);
    let allowed = overtaking_allowed(launch);
    let count = |beyond: i64| overtaken.iter().filter(|&&(_, by)| by > beyond).count();
    let found: Vec<u64> = overtaken.iter().filter(|&&(_, by)| by > allowed).map(|&(index, _)| index).collect();
    let detail = format!(
        "{:.2} % of {} people were overtaken by more than a second, {:.2} % at all.{}",
        share(count(NOTICEABLE), standings.len()) * 100.0,
        standings.len(),
        share(count(0), standings.len()) * 100.0,
        first_of(&found),
    );
    let longest = overtaken.iter().map(|&(_, by)| by).max().unwrap_or(0);
    check.at_most(longest as f64 / 1e3, allowed as f64 / 1e3).detail(detail)
}

/// The overtaken shoppers, and by how many milliseconds; from the highest number down.
fn overtaken(standings: &[Claimed]) -> Vec<(u64, i64)> {
    let mut first_above = i64::MAX;
    let mut overtaken = Vec::new();
    for standing in standings.iter().rev() {
        let by = standing.granted.saturating_sub(standing.in_hand.max(first_above));
        if by > 0 {
            overtaken.push((standing.index, by));
        }
        if standing.entered {
            first_above = first_above.min(standing.granted);
        }
    }
    overtaken
}

#[cfg(test)]
mod tests {
    use launch_model::persona::Persona;

    use super::*;
    use crate::check::Outcome;
    use crate::fixture::Made;

    #[test]
    fn a_line_in_order_has_a_tau_of_one_and_nobody_is_overtaken() {
        let made = Made::line_of(200);
        let (order, overtaking) = (made.check("order"), made.check("overtaking"));
        assert_eq!((order.outcome, order.measured), (Outcome::Held, Some(1.0)), "{order:?}");
        assert_eq!((overtaking.outcome, overtaking.measured), (Outcome::Held, Some(0.0)), "{overtaking:?}");
    }

    #[test]
    fn a_line_that_is_served_from_its_end_is_not_fair() {
        let mut made = Made::new();
        for n in 0..200 {
            made.shopper(n + 1, n.cast_signed(), (200 - n.cast_signed()) * 100);
        }
        let (order, overtaking) = (made.check("order"), made.check("overtaking"));
        assert_eq!((order.outcome, order.measured), (Outcome::Broken, Some(-1.0)), "{order:?}");
        assert!(overtaking.outcome == Outcome::Broken && overtaking.measured.unwrap() > 19.0, "{overtaking:?}");
    }

    #[test]
    fn somebody_who_is_forgotten_is_overtaken_by_all_behind() {
        let mut made = Made::line_of(200);
        made.outside(0, 0);
        let overtaking = made.check("overtaking");
        assert_eq!(overtaking.outcome, Outcome::Broken);
        assert!(overtaking.detail.contains("visitor 200"), "{overtaking:?}");
        made.evidence.visits.last_mut().unwrap().persona = Persona::NoShow;
        assert_eq!(made.check("overtaking").outcome, Outcome::Held, "who is not there cannot be overtaken");
    }

    #[test]
    fn a_poll_that_comes_later_is_no_fault_and_a_ticket_on_its_way_is_not_there_yet() {
        let mut made = Made::line_of(100);
        made.shopper(0, 0, 2_500);
        let overtaking = made.check("overtaking");
        assert_eq!((overtaking.outcome, overtaking.measured), (Outcome::Held, Some(2.4)), "{overtaking:?}");
        let mut made = Made::line_of(100);
        made.shopper(0, 0, 8_000).held[0].at = 7_000_000;
        assert!((made.check("overtaking").measured.unwrap() - 1.0).abs() < 0.1);
    }

    #[test]
    fn the_picture_is_a_sample_in_order_of_tickets() {
        let made = Made::line_of(100);
        let entries = entries(&made.launch(), 10);
        assert_eq!(entries.len(), 10);
        assert!(entries.is_sorted_by_key(|entry| entry.place) && entries[1].place == 11);
        assert!((entries[1].at - 1.1).abs() < 0.02 && (entries[1].joined - 0.1).abs() < 0.02, "{:?}", entries[1]);
    }
}
