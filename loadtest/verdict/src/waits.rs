//! Promise 6: the wait is shown as an honest range, and the position never grows.
//!
//! ```text
//! had      = first page of the shop - answer that first showed a range
//! inside   low <= had <= high
//! error    |(low + high) / 2 - had| / had                    relative; of a wait under 1 s to 1 s
//! honest   high <= 2 x low + 33 s                            a wide range is no promise
//! ```
//!
//! Judged for shoppers who poll as told. One who stands outside at the end counts as outside the range if its upper end is
//! over, and not at all if it is not.
//!
//! A range that was told before the rate was cut is held against the wait like any other, and if it was not kept it is listed
//! apart too (`wait-cut`): a cut of the rate breaks it. Where the shop says what it takes, the cut is the shop's, and the count is
//! told but not judged.
//!
//! Out of scope: waits without a shown range.

use evidence::{End, Visit};
use launch_model::persona::Persona;
use launch_model::scenario::Word;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::{Check, first_of, share};
use crate::launch::Launch;

/// A range may be this many seconds wide beyond twice its lower end: 30, and what is lost where the lower end is rounded
/// down to a whole second and the upper one up.
const WIDTH: f64 = 33.0;

/// A wait as it was shown first, and as it was had, in seconds.
#[derive(Debug, Clone, Copy)]
struct ToldWait {
    low: f64,
    high: f64,
    had: f64,
}

impl ToldWait {
    fn is_inside(&self) -> bool {
        self.low <= self.had && self.had <= self.high
    }

    fn error(&self) -> f64 {
        (f64::midpoint(self.low, self.high) - self.had).abs() / self.had.max(1.0)
    }
}

/// Waits of a tenth of the shoppers, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Wait {
    /// How many shoppers.
    pub shoppers: u64,
    /// Their mean of the lower end that they were shown first.
    pub low: f64,
    /// Their mean of the upper end that they were shown first.
    pub high: f64,
    /// Their mean of what was left of the wait from then on.
    pub had: f64,
    /// Median of how far the middle of the range was off, relative to the wait had.
    pub error: f64,
    /// Share of them who entered inside the range, 0 to 1.
    pub inside: f64,
}

pub(crate) fn checks(launch: &Launch<'_>) -> Vec<Check> {
    vec![inside(launch), cut(launch), grown(launch), honest(launch)]
}

/// First shown waits against what was had, one for each decile of the wait had.
pub(crate) fn deciles(visits: &[Visit]) -> Vec<Wait> {
    let mut told: Vec<ToldWait> = visits.iter().filter_map(told_and_had).collect();
    told.sort_by(|a, b| a.had.total_cmp(&b.had));
    let bounds = |decile: usize| decile * told.len() / 10..(decile + 1) * told.len() / 10;
    (0..10).map(|decile| &told[bounds(decile)]).filter(|decile| !decile.is_empty()).map(of_decile).collect()
}

fn of_decile(told: &[ToldWait]) -> Wait {
    let mean = |of: fn(&ToldWait) -> f64| told.iter().map(of).sum::<f64>() / told.len() as f64;
    let mut errors: Vec<f64> = told.iter().map(ToldWait::error).collect();
    errors.sort_by(f64::total_cmp);
    Wait {
        shoppers: told.len() as u64,
        low: mean(|told| told.low),
        high: mean(|told| told.high),
        had: mean(|told| told.had),
        error: errors[errors.len() / 2],
        inside: share(told.iter().filter(|told| told.is_inside()).count(), told.len()),
    }
}

/// Shoppers who came in.
fn told_and_had(visit: &Visit) -> Option<ToldWait> {
    let (shown, entered) = (visit.first_wait.filter(|_| visit.persona.polls_as_told())?, visit.entered?);
    Some(ToldWait { low: shown.low, high: shown.high, had: (entered - shown.at) as f64 / 1e6 })
}

/// Whether they stand outside though the range that they were shown is over.
fn waits_in_vain(visit: &Visit) -> bool {
    let over = |shown: evidence::ShownWait| (visit.left - shown.at) as f64 / 1e6 > shown.high;
    visit.end == End::Outside && visit.persona.polls_as_told() && visit.first_wait.is_some_and(over)
}

fn inside(launch: &Launch<'_>) -> Check {
    let check = Check::new("wait-inside", "Share of shoppers who entered inside the first range that they were shown");
    let check = check.promise(6).unit("share");
    let visits = &launch.evidence.visits;
    let told: Vec<ToldWait> = visits.iter().filter_map(told_and_had).collect();
    let in_vain = visits.iter().filter(|visit| waits_in_vain(visit)).count();
    let all = told.len() + in_vain;
    if all == 0 {
        return check.detail("Nobody who polls as told was shown a range and then entered.");
    }
    let inside = told.iter().filter(|told| told.is_inside()).count();
    let sooner = told.iter().filter(|told| told.had < told.low).count();
    let worst = deciles(visits).iter().map(|wait| wait.error).fold(0.0, f64::max);
    let detail = format!(
        "Of {all}: {sooner} entered sooner, {} later or not at all. In the worst decile of waits the middle of the range was off by {:.0} % of the wait.",
        all - inside - sooner,
        worst * 100.0,
    );
    check.at_least(share(inside, all), launch.scenario.objectives.inside_first_range).detail(detail)
}

fn cut(launch: &Launch<'_>) -> Check {
    let check =
        Check::new("wait-cut", "Ranges told before the rate was cut that were not kept").promise(6).unit("visitors");
    let cuts = launch.cuts();
    let (Some(first), Some(last)) = (cuts.iter().min(), cuts.iter().max()) else {
        return check.detail("No gateway was seen to cut the rate.");
    };
    let waits_through = |visit: &&Visit| {
        let until = visit.entered.unwrap_or(visit.left);
        visit.first_wait.is_some_and(|shown| cuts.iter().any(|&cut| shown.at < cut && cut < until))
    };
    let waited: Vec<&Visit> = launch.evidence.visits.iter().filter(waits_through).collect();
    let outside = |visit: &&&Visit| told_and_had(visit).is_some_and(|told| !told.is_inside()) || waits_in_vain(visit);
    let found: Vec<u64> = waited.iter().filter(outside).map(|visit| visit.index).collect();
    let when = format!("The rate was cut {:.0} s into the run, last {:.0} s.", *first as f64 / 1e6, *last as f64 / 1e6);
    if launch.scenario.shop.tells.contains(&Word::Rate) {
        let count = found.len();
        return check.detail(format!("{when} By the shop itself: {count} of {} who waited then.", waited.len()));
    }
    check.none(found.len()).detail(format!("{when} Of {} who waited then.{}", waited.len(), first_of(&found)))
}

fn grown(launch: &Launch<'_>) -> Check {
    let check = Check::new("positions-grown", "Visitors whose position grew").promise(6).unit("visitors");
    let honest = |visit: &&Visit| !visit.persona.is_adversary() && visit.persona != Persona::LosesCookies;
    let shown: Vec<&Visit> =
        launch.evidence.visits.iter().filter(honest).filter(|visit| visit.positions.is_some()).collect();
    if shown.is_empty() {
        return check.detail("Nobody was shown a position.");
    }
    let grew = |visit: &&&Visit| visit.positions_grown > 0 || visit.positions.is_some_and(|[first, last]| last > first);
    let found: Vec<u64> = shown.iter().filter(grew).map(|visit| visit.index).collect();
    check.none(found.len()).detail(format!(
        "Of {} who were shown one and kept their cookies.{}",
        shown.len(),
        first_of(&found)
    ))
}

fn honest(launch: &Launch<'_>) -> Check {
    let check = Check::new("wait-honest", "Ranges that are too wide to be a promise").promise(6).unit("visitors");
    let shown: Vec<_> =
        launch.evidence.visits.iter().filter_map(|visit| Some((visit.index, visit.first_wait?))).collect();
    if shown.is_empty() {
        return check.detail("Nobody was shown a wait.");
    }
    let wide = shown.iter().filter(|(_, wait)| wait.high > 2.0 * wait.low + WIDTH || wait.high < wait.low);
    let found: Vec<u64> = wide.map(|&(index, _)| index).collect();
    let detail = format!(
        "Of {} first ranges; the upper end may be twice the lower one and {WIDTH} s.{}",
        shown.len(),
        first_of(&found)
    );
    check.none(found.len()).detail(detail)
}

#[cfg(test)]
mod tests {
    use evidence::{GatewaySample, ShownWait};

    use super::*;
    use crate::check::Outcome;
    use crate::fixture::Made;

    #[test]
    fn deciles_are_of_the_wait_that_was_had() {
        let made = Made::line_of(95);
        let waits = deciles(&made.evidence.visits);
        assert_eq!(waits.len(), 10);
        assert_eq!(waits.iter().map(|wait| wait.shoppers).sum::<u64>(), 95);
        assert!(waits.is_sorted_by(|a, b| a.had < b.had));
        assert!(waits.iter().all(|wait| wait.inside == 1.0 && wait.error < 1.0), "{waits:?}");
        assert_eq!(deciles(&Made::line_of(3).evidence.visits).len(), 3);
        assert!(deciles(&[]).is_empty());
    }

    #[test]
    fn eight_of_ten_must_enter_inside_their_range() {
        let mut made = Made::line_of(100);
        assert_eq!(made.check("wait-inside").measured, Some(1.0));
        for visit in &mut made.evidence.visits[..20] {
            visit.first_wait.as_mut().unwrap().low = 60.0;
        }
        assert_eq!(made.check("wait-inside").outcome, Outcome::Held);
        made.evidence.visits[20].first_wait = Some(ShownWait { at: 0, low: 0.0, high: 0.5 });
        let check = made.check("wait-inside");
        assert_eq!((check.outcome, check.measured), (Outcome::Broken, Some(0.79)), "{check:?}");
    }

    #[test]
    fn who_waits_in_vain_counts_once_the_range_is_over() {
        let mut made = Made::line_of(10);
        for (number, high) in [(900, 30.0), (901, 90.0)] {
            made.outside(number, 0).first_wait = Some(ShownWait { at: 0, low: 20.0, high });
        }
        assert_eq!(made.check("wait-inside").measured, Some(10.0 / 11.0));
    }

    #[test]
    fn ranges_that_a_cut_of_the_rate_broke_are_listed_apart_and_count_like_others() {
        let mut made = Made::line_of(10);
        let look = |at, new_users_per_minute| GatewaySample {
            at,
            gateway: 0,
            store_time_ms: 0,
            admitted: 0,
            waiting: 0,
            active_users: 0,
            new_users_per_minute,
            store_away: false,
            limits_given_up: false,
        };
        made.evidence.gateways = vec![look(0, 600.0), look(90_000_000, 600.0)];
        assert_eq!(made.check("wait-cut").outcome, Outcome::Unknown);
        let visit = &mut made.evidence.visits[9];
        let told = ShownWait { at: visit.entered.unwrap() - 3_000_000, low: 0.0, high: 1.0 };
        visit.first_wait = Some(told);
        made.evidence.gateways = vec![look(0, 600.0), look(told.at + 1_000_000, 60.0), look(90_000_000, 600.0)];
        let check = made.check("wait-cut");
        assert_eq!((check.outcome, check.measured), (Outcome::Broken, Some(1.0)), "{check:?}");
        assert_eq!(made.check("wait-inside").measured, Some(0.9));
        made.scenario.shop.tells = vec![Word::Rate];
        let check = made.check("wait-cut");
        assert!(check.outcome == Outcome::Unknown && check.detail.contains("By the shop itself: 1 of"), "{check:?}");
        made.scenario.shop.tells.clear();
        made.evidence.gateways[1].at = told.at - 1_000_000;
        assert_eq!(made.check("wait-cut").measured, Some(0.0), "they were told by the lower rate");
    }

    #[test]
    fn a_position_that_grew_is_found() {
        let mut made = Made::line_of(10);
        assert_eq!(made.check("positions-grown").outcome, Outcome::Held);
        made.evidence.visits[3].positions_grown = 2;
        made.evidence.visits[4].positions = Some([4, 5]);
        assert_eq!(made.check("positions-grown").measured, Some(2.0));
    }

    #[test]
    fn a_range_that_promises_nothing_is_found() {
        let mut made = Made::line_of(10);
        assert_eq!(made.check("wait-honest").outcome, Outcome::Held);
        made.evidence.visits[3].first_wait = Some(ShownWait { at: 0, low: 10.0, high: 53.1 });
        assert_eq!(made.check("wait-honest").measured, Some(1.0));
    }
}
