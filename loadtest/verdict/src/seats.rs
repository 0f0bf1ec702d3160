//! Promise 1: never more than `total_active_users` passes alive at once.
//!
//! ```text
//! a pass lives    from its grant to its end: the last expiry seen in a cookie, or the receipt, which gives the seat back;
//!                 without a later request with it, at least 30 s
//! alive at t    = #grants at or before t - #ends at or before t            all in store time
//! receipt       = answered at the shop - (shortest time from a grant to the shop)
//! ```
//!
//! The shortest time from grant to shop is at least the difference of the two clocks, so a receipt is never dated later than it
//! was: no life is counted too long, and what is found beyond the bound was beyond it. The count may be too low by those
//! was: no life is counted too long, and what is found beyond the bound was beyond it. The count may be too low by the shoppers
//!
//! Out of scope: seats that are given back in another way (a Leave button): no visitor of the crowd presses it.

use std::collections::HashMap;

use evidence::Page;
use evidence::shop::Outcome;
use launch_model::persona::Persona;

use crate::check::Check;
use crate::launch::{Grant, Launch};

/// A pass that has never come back holds its seat for so long at least, in milliseconds.
const NEVER_BACK: i64 = 30_000;

pub(crate) fn checks(launch: &Launch<'_>) -> Vec<Check> {
    let recounted = Check::new("seats", "Passes alive at once, recounted").promise(1).unit("passes");
    let told =
        Check::new("seats-counters", "Passes alive at once, by the gateways' own count").promise(1).unit("passes");
    let Some(seats) = launch.scenario.room.total_active_users else {
        let unbound = "The room sets no bound.";
        return vec![recounted.detail(unbound), told.detail(unbound)];
    };
    vec![recount(launch, recounted, seats), counted(launch, told, seats)]
}

fn recount(launch: &Launch<'_>, check: Check, seats: u64) -> Check {
    if launch.grants.is_empty() {
        return check.detail("No pass was seen in any cookie.");
    }
    let lives = Lives::of(launch);
    let (most, at) = lives.most();
    let detail = format!(
        "The most were alive {:.3} s into the run; {} of {} seats were given back by a receipt, the others by expiry.",
        launch.since_start(at),
        lives.receipts,
        launch.grants.len(),
    );
    check.at_most(most as f64, seats as f64).detail(detail)
}

fn counted(launch: &Launch<'_>, check: Check, seats: u64) -> Check {
    let looks = &launch.evidence.gateways;
    match looks.iter().map(|look| look.active_users).max() {
        Some(most) => check.at_most(most as f64, seats as f64).detail(format!("The most in {} looks.", looks.len())),
        None => check.detail("No gateway told its counters."),
    }
}

/// When passes began and ended, in store time: both sorted.
#[derive(Debug)]
pub(crate) struct Lives {
    begins: Vec<i64>,
    ends: Vec<i64>,
    receipts: usize,
}

impl Lives {
    pub(crate) fn of(launch: &Launch<'_>) -> Self {
        let receipts = receipts(launch);
        let mut begins: Vec<i64> = launch.grants.iter().map(|grant| grant.at).collect();
        let ended = |grant: &Grant| match receipts.get(&grant.number) {
            Some(&receipt) => grant.ends.min(receipt),
            None if launch.visit(grant).persona == Persona::HoardsSeats => grant.ends.min(grant.at + NEVER_BACK),
            None => grant.ends,
        };
        let mut ends: Vec<i64> = launch.grants.iter().map(ended).collect();
        begins.sort_unstable();
        ends.sort_unstable();
        Self { begins, ends, receipts: receipts.len() }
    }

    /// How many are alive at this store time.
    pub(crate) fn alive(&self, at: i64) -> usize {
        let until = |times: &[i64]| times.partition_point(|&time| time <= at);
        until(&self.begins).saturating_sub(until(&self.ends))
    }

    /// The most alive at once, and when.
    fn most(&self) -> (usize, i64) {
        let alive = self.begins.iter().map(|&begin| (self.alive(begin), begin));
        alive.max_by_key(|&(alive, begin)| (alive, -begin)).unwrap_or((0, 0))
    }
}

/// Store time of the first receipt of each number.
fn receipts(launch: &Launch<'_>) -> HashMap<u64, i64> {
    let of_grants = |entry| Some((entry, launch.grant_at_shop(entry)?));
    let entries = launch.evidence.shop.iter().filter_map(of_grants);
    let Some(way) = entries.clone().map(|(entry, grant)| entry.arrived_us - grant.at * 1000).min() else {
        return HashMap::new();
    };
    let paid = entries.filter(|(entry, _)| entry.page == Page::Payment && entry.outcome != Outcome::Failed);
    paid.fold(HashMap::new(), |mut receipts, (entry, grant)| {
        let at = (entry.answered_us - way).div_euclid(1000);
        let first = receipts.entry(grant.number).or_insert(at);
        *first = at.min(*first);
        receipts
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome as Held;
    use crate::fixture::{Made, SESSION};

    #[test]
    fn a_seat_is_taken_until_the_receipt() {
        let mut made = Made::line_of(50);
        assert_eq!(made.check("seats").outcome, Held::Unknown, "no bound");
        // A shopper comes each 100 ms and stays for about 160 ms.
        made.scenario.room.total_active_users = Some(2);
        let check = made.check("seats");
        assert_eq!((check.outcome, check.measured), (Held::Held, Some(2.0)), "{check:?}");
        made.scenario.room.total_active_users = Some(1);
        assert_eq!(made.check("seats").outcome, Held::Broken);
    }

    #[test]
    fn without_a_receipt_a_seat_is_taken_until_the_pass_ends() {
        let mut made = Made::line_of(50);
        made.scenario.room.total_active_users = Some(49);
        made.evidence.shop.retain(|entry| entry.page != Page::Payment);
        assert_eq!(made.check("seats").measured, Some(50.0));
        made.shopper(60, 0, SESSION + 5_100);
        assert_eq!(made.check("seats").measured, Some(50.0), "the others had ended");
    }

    #[test]
    fn a_pass_that_never_came_back_holds_its_seat_for_half_a_minute_at_least() {
        let mut made = Made::line_of(50);
        made.evidence.shop.retain(|entry| entry.page != Page::Payment);
        made.evidence.visits.iter_mut().for_each(|visit| visit.persona = Persona::HoardsSeats);
        made.scenario.room.total_active_users = Some(50);
        made.shopper(60, 0, 36_000);
        assert_eq!(made.check("seats").measured, Some(50.0), "others may sit there by then");
        made.shopper(61, 0, 29_000);
        assert_eq!(made.check("seats").measured, Some(51.0), "and not before");
    }

    #[test]
    fn a_shop_whose_clock_is_wrong_frees_no_seat_early_or_late() {
        let mut made = Made::new();
        made.shop_ahead_ms = 3_600_000;
        for n in 0..20 {
            made.shopper(n + 1, 0, n.cast_signed() * 100);
        }
        made.scenario.room.total_active_users = Some(2);
        let check = made.check("seats");
        assert_eq!((check.outcome, check.measured), (Held::Held, Some(2.0)), "{check:?}");
    }
}
