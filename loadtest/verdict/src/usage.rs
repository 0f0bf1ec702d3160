//! Promise 2: with people waiting, the rate is used.
//!
//! ```text
//! used = grants in the seconds that count / sum of the rate in force over these seconds
//! ```
//!
//! A second counts if at its begin and its end so many people waited that the rate could be used: people who poll as
//! told and were let in later, or still stood there at the end, at least 2.5 s of rate of them (a called shopper comes with
//! the next poll, within so long). The first 5 s of the line, or of an event, are left out: the gateway learns how many come. In a room
//! with seats those seconds are left out in which every seat was taken: then seats are the bound, not the rate.
//!
//! Grants come in ticks of 100 ms, so the objective is asked for less one tick.
//!
//! Out of scope: whether too many came (`limits`).

use evidence::Visit;
use launch_model::token::Kind;

use crate::check::Check;
use crate::launch::Launch;
use crate::seats::Lives;

/// Seconds of rate that must wait.
const ENOUGH: f64 = 2.5;
/// Milliseconds at the begin of a line that are left out.
const SETTLING: i64 = 5_000;
/// Seconds that must count.
const LEAST: usize = 3;
/// Seconds between two moments at which passes are granted.
const TICK: f64 = 0.1;

pub(crate) fn checks(launch: &Launch<'_>) -> Vec<Check> {
    let check = Check::new("use-of-rate", "Share of the rate that is used while people wait").promise(2).unit("share");
    let seconds = seconds(launch);
    if seconds.len() < LEAST {
        let wanted = (ENOUGH * launch.limit().rate).ceil();
        return vec![check.detail(format!(
            "Only {} s could be looked at: {wanted} people who poll as told must wait, and the first 5 s do not count.",
            seconds.len()
        ))];
    }
    let allowed: f64 = seconds.iter().map(|&from| launch.rate_at(from + 1_000)).sum();
    let granted: usize = seconds.iter().map(|&from| granted_within(launch, from)).sum();
    let objective = launch.scenario.objectives.use_of_rate - TICK / seconds.len() as f64;
    let detail = format!("{granted} of {allowed:.0} in {} s in which enough people waited.", seconds.len());
    vec![check.at_least(granted as f64 / allowed, objective).detail(detail)]
}

fn granted_within(launch: &Launch<'_>, from: i64) -> usize {
    let before = |at: i64| launch.grants.partition_point(|grant| grant.at < at);
    before(from + 1_000) - before(from)
}

/// The begins of the seconds that count, in store time.
fn seconds(launch: &Launch<'_>) -> Vec<i64> {
    let waiting = Waiting::of(launch);
    let enough = (ENOUGH * launch.limit().rate).ceil().max(1.0) as usize;
    let Some(begin) = waiting.joined.get(enough - 1).copied() else { return Vec::new() };
    let end = waiting.gone.last().copied().unwrap_or(begin);
    let from = launch.event_start().map_or(begin, |start| start.max(begin)) + SETTLING;
    let seats = launch.scenario.room.total_active_users.map(|seats| (Lives::of(launch), seats as usize));
    let free = |from: i64| {
        seats.as_ref().is_none_or(|(lives, seats)| (0..10).all(|tenth| lives.alive(from + tenth * 100) < *seats))
    };
    let holds = |&from: &i64| [from, from + 1_000].iter().all(|&at| waiting.at(at) >= enough) && free(from);
    (from..end).step_by(1_000).filter(holds).collect()
}

/// When shoppers who would enter joined the line and left it, in store time: both sorted.
struct Waiting {
    joined: Vec<i64>,
    gone: Vec<i64>,
}

impl Waiting {
    fn of(launch: &Launch<'_>) -> Self {
        let visits = launch.evidence.visits.iter().filter(|visit| visit.persona.polls_as_told());
        let waits = visits.filter_map(|visit| wait(launch, visit));
        let (mut joined, mut gone): (Vec<_>, Vec<_>) = waits.unzip();
        joined.sort_unstable();
        gone.sort_unstable();
        Self { joined, gone }
    }

    /// How many wait at this store time.
    fn at(&self, at: i64) -> usize {
        let until = |times: &[i64]| times.partition_point(|&time| time <= at);
        until(&self.joined).saturating_sub(until(&self.gone))
    }
}

/// From the first ticket to the grant, or to the end of the visit.
fn wait(launch: &Launch<'_>, visit: &Visit) -> Option<(i64, i64)> {
    let ticket = visit.held.iter().map(|held| held.token).find(|token| token.kind != Kind::Pass)?;
    let granted = visit.held.iter().find_map(|held| launch.grant_of(held.token.number)).map(|grant| grant.at);
    Some((ticket.issued_ms.cast_signed(), granted.or_else(|| launch.store_time(visit.left))?))
}

#[cfg(test)]
mod tests {
    use launch_model::persona::Persona;

    use crate::check::Outcome;
    use crate::fixture::Made;

    /// All shoppers come at once, and one is let in after each pause of so many milliseconds.
    fn line(pause: i64) -> Made {
        let mut made = Made::new();
        for n in 0..150 {
            made.shopper(n + 1, 0, n.cast_signed() * pause + 100);
        }
        made
    }

    #[test]
    fn a_rate_that_is_used_in_full_holds() {
        let check = line(100).check("use-of-rate");
        assert_eq!((check.outcome, check.measured), (Outcome::Held, Some(1.0)), "{check:?}");
    }

    #[test]
    fn half_of_the_rate_is_not_enough_though_nobody_is_let_in_too_soon() {
        let made = line(200);
        let check = made.check("use-of-rate");
        assert_eq!((check.outcome, check.measured), (Outcome::Broken, Some(0.5)), "{check:?}");
        assert_eq!(made.check("limit-any").outcome, Outcome::Held);
    }

    #[test]
    fn those_who_would_not_come_do_not_count_as_waiting() {
        let mut made = line(200);
        for visit in &mut made.evidence.visits {
            visit.persona = Persona::LateReturner;
        }
        assert_eq!(made.check("use-of-rate").outcome, Outcome::Unknown);
        assert_eq!(Made::line_of(10).check("use-of-rate").outcome, Outcome::Unknown, "too few");
    }

    #[test]
    fn those_who_stand_there_in_vain_count() {
        let mut made = Made::new();
        for n in 0..60 {
            made.outside(n + 1, 0);
        }
        assert_eq!(made.check("use-of-rate").measured, Some(0.0));
    }

    #[test]
    fn where_seats_are_the_bound_the_rate_is_not_asked_for() {
        let mut made = line(200);
        made.evidence.shop.clear();
        made.scenario.room.total_active_users = Some(1);
        assert_eq!(made.check("use-of-rate").outcome, Outcome::Unknown);
    }
}
