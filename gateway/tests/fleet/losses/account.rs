//! The judgement over a launch, from what its shoppers held: the test knows the secret and opens every cookie.
//!
//! A pass tells to the millisecond when the store granted it: its end less `session_duration`. So overshoot
//! is that of the line itself, whatever the network did on the way.

use std::collections::{HashMap, HashSet};

use policy::Millis;
use policy::ticket::{Kind, Token};

use super::crowd::{Held, Visit};
use super::stand::Rules;

/// Milliseconds by which somebody may be overtaken without a draw: gateways take turns at the store, and at two of them who is first is a
/// matter of batches.
const TURNS: Millis = 1_000;

/// A pass: when it was granted, and which gateway handed it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Grant {
    pub(crate) at: Millis,
    pub(crate) gateway: usize,
}

/// The result of a launch.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) shoppers: usize,
    pub(crate) entered: usize,
    /// People whose number changed, who were thrown out, or who came back and never got in.
    pub(crate) places_lost: usize,
    /// Numbers that two people held.
    pub(crate) numbers_twice: usize,
    /// People who claimed their ticket at two gateways at once.
    pub(crate) claimed_twice: usize,
    /// People who got two passes for one ticket.
    pub(crate) second_passes: usize,
    /// People whose position grew.
    pub(crate) positions_grown: usize,
    /// Passes beyond `rate x T + burst` in the worst window of any length T.
    pub(crate) overshoot: f64,
    /// Passes that were granted before the start of the event.
    pub(crate) too_early: usize,
    /// People behind somebody who came later than the room may draw them ahead.
    pub(crate) overtaken: usize,
    /// The most milliseconds by which somebody ahead of a shopper had come later.
    pub(crate) longest_overtaking: Millis,
    pub(crate) errors: usize,
    pub(crate) unanswered: usize,
    /// People whose pass came from another gateway than their ticket.
    pub(crate) moved: usize,
    /// In order of time.
    pub(crate) grants: Vec<Grant>,
}

impl Account {
    pub(crate) fn of(visits: &[Visit], rules: Rules) -> Self {
        let count = |holds: fn(&Visit) -> bool| visits.iter().filter(|visit| holds(visit)).count();
        let grant = |pass: Held| Grant { at: pass.token.expires - rules.session, gateway: pass.gateway };
        let mut grants: Vec<Grant> = visits.iter().flat_map(passes).map(grant).collect();
        grants.sort();
        let overtakings = overtakings(visits);
        Self {
            shoppers: visits.len(),
            entered: count(|visit| visit.entered),
            places_lost: count(has_lost_their_place),
            numbers_twice: numbers_twice(visits),
            claimed_twice: count(|visit| visit.both_in),
            second_passes: count(|visit| passes(visit).len() > 1),
            positions_grown: count(|visit| visit.position_grew),
            overshoot: overshoot(&grants, rules),
            too_early: grants.iter().filter(|grant| grant.at < rules.start).count(),
            overtaken: overtakings.iter().filter(|&&by| by > rules.round + TURNS).count(),
            longest_overtaking: overtakings.into_iter().max().unwrap_or(0),
            errors: visits.iter().map(|visit| visit.errors).sum(),
            unanswered: visits.iter().map(|visit| visit.unanswered).sum(),
            moved: count(|visit| first(visit, Kind::Ticket) != first(visit, Kind::Pass)),
            grants,
        }
    }

    /// Seconds from this moment to the next pass, of this gateway if one is named; `None` if there was none.
    pub(crate) fn recovery(&self, since: Millis, gateway: Option<usize>) -> Option<f64> {
        let next = |grant: &&Grant| grant.at >= since && gateway.is_none_or(|gateway| gateway == grant.gateway);
        Some((self.grants.iter().find(next)?.at - since) as f64 / 1e3)
    }

    /// The longest time without a pass in seconds, but for the last tenth of them: there the line runs out.
    pub(crate) fn longest_pause(&self) -> f64 {
        let full = &self.grants[..self.grants.len() * 9 / 10];
        full.windows(2).map(|pair| pair[1].at - pair[0].at).max().unwrap_or(0) as f64 / 1e3
    }

    /// The share of the rate that was used from five seconds after the first pass on, for this many seconds.
    pub(crate) fn used(&self, rules: Rules, seconds: f64) -> f64 {
        let from = self.grants[0].at + 5_000;
        let within = from..from + (seconds * 1e3) as Millis;
        let last = self.grants.last().unwrap().at;
        assert!(last > within.end + 1_000, "the line ran dry: a larger crowd is needed");
        self.grants.iter().filter(|grant| within.contains(&grant.at)).count() as f64 / (rules.rate * seconds)
    }

    /// The most passes in any window of this length.
    pub(crate) fn most_within(&self, window: Millis) -> usize {
        let within = |n: usize| self.grants[n..].iter().take_while(move |grant| grant.at < self.grants[n].at + window);
        (0..self.grants.len()).map(|n| within(n).count()).max().unwrap_or(0)
    }
}

/// The gateway that first gave them one of these; only for shoppers who had a ticket and a pass.
fn first(visit: &Visit, kind: Kind) -> Option<usize> {
    let both = [Kind::Ticket, Kind::Pass].map(|kind| visit.held.iter().find(|held| held.token.kind == kind));
    let held: &Held = both[usize::from(kind == Kind::Pass)]?;
    both[0].and(both[1]).map(|_| held.gateway)
}

/// Every pass that they got. One that was given again has the same end: no shopper stays long enough for a renewal.
fn passes(visit: &Visit) -> Vec<Held> {
    let mut passes = Vec::<Held>::new();
    for held in visit.held.iter().filter(|held| held.token.kind == Kind::Pass) {
        if passes.iter().all(|known| known.token.expires != held.token.expires) {
            passes.push(*held);
        }
    }
    passes
}

/// The numbers that a shopper held. A provisional ticket has none yet.
fn numbers(visit: &Visit) -> HashSet<u64> {
    let tokens = visit.held.iter().map(|held| held.token);
    tokens.filter(|token: &Token| token.kind != Kind::Provisional).map(|token| token.number).collect()
}

/// For each shopper with a number, by how many milliseconds somebody with a lower number had come later. Shoppers came when the first
/// thing that they held was sealed, by the clock of the store: a place in a round is sealed before its order is drawn.
fn overtakings(visits: &[Visit]) -> Vec<Millis> {
    let came = |visit: &Visit| Some((numbers(visit).into_iter().min()?, visit.held.first()?.token.issued));
    let mut line: Vec<(u64, Millis)> = visits.iter().filter_map(came).collect();
    line.sort_unstable();
    let behind = |last: &mut Millis, (_, came): (u64, Millis)| {
        *last = came.max(*last);
        Some(*last - came)
    };
    line.into_iter().scan(0, behind).collect()
}

fn has_lost_their_place(visit: &Visit) -> bool {
    numbers(visit).len() > 1 || visit.thrown_out || (visit.shows && !visit.entered)
}

fn numbers_twice(visits: &[Visit]) -> usize {
    let mut holders = HashMap::<u64, usize>::new();
    for number in visits.iter().flat_map(numbers) {
        *holders.entry(number).or_default() += 1;
    }
    holders.values().filter(|&&holders| holders > 1).count()
}

fn overshoot(grants: &[Grant], rules: Rules) -> f64 {
    // In thousandths, or a sum of decimals would be a little more than none.
    let excess = |(n, m): (usize, usize)| {
        let milliseconds = (grants[m].at - grants[n].at) as f64;
        ((m + 1 - n) as f64 - rules.burst) * 1e3 - rules.rate * milliseconds
    };
    let windows = (0..grants.len()).flat_map(|n| (n..grants.len()).map(move |m| (n, m)));
    windows.map(excess).fold(0.0, f64::max) / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { rate: 10.0, burst: 2.0, session: 60_000, fail_mode: "closed", start: 0, round: 0 };

    fn token(kind: Kind, number: u64, granted: Millis) -> Held {
        let token = Token { kind, incarnation: 0, number, issued: 0, expires: granted + RULES.session, admitted: 0 };
        Held { token, gateway: 0 }
    }

    fn visit(held: Vec<Held>, entered: bool) -> Visit {
        Visit { shows: true, held, entered, ..Visit::default() }
    }

    #[test]
    fn a_fault_in_a_launch_shows_in_its_account() {
        let sound = || visit(vec![token(Kind::Ticket, 1, 0), token(Kind::Pass, 1, 1_000)], true);
        let account = |visits: &[Visit]| Account::of(visits, RULES);
        let fine = account(&[sound()]);
        assert_eq!((fine.places_lost, fine.numbers_twice, fine.overshoot, fine.entered), (0, 0, 0.0, 1));
        let renumbered = visit(vec![token(Kind::Ticket, 2, 0), token(Kind::Pass, 3, 1_000)], true);
        assert_eq!(account(&[renumbered]).places_lost, 1);
        assert_eq!(account(&[visit(vec![token(Kind::Ticket, 2, 0)], false)]).places_lost, 1, "never got in");
        assert_eq!(account(&[Visit { thrown_out: true, ..sound() }]).places_lost, 1);
        assert_eq!(account(&[sound(), sound()]).numbers_twice, 1);
        let held = vec![token(Kind::Pass, 1, 0), token(Kind::Pass, 1, 500)];
        let twice = account(&[visit(held, true)]);
        assert_eq!((twice.second_passes, twice.grants.len()), (1, 2), "each is a grant");
        let early = Account::of(&[sound()], Rules { start: 1_001, ..RULES });
        assert_eq!(early.too_early, 1, "granted a millisecond before the start");
        assert_eq!(account(&[Visit { position_grew: true, ..sound() }]).positions_grown, 1);
    }

    #[test]
    fn who_stands_behind_a_later_one_is_overtaken_unless_a_round_may_have_drawn_them_so() {
        let came = |number: u64, issued: Millis| {
            let ticket = token(Kind::Ticket, number, 0);
            let place = Token { kind: Kind::Provisional, number: 7, issued, ..ticket.token };
            let number = Held { token: Token { issued: 60_000, ..ticket.token }, ..ticket };
            visit(vec![Held { token: place, ..ticket }, number], true)
        };
        let overtaken = |visits: &[Visit], round: Millis| {
            let account = Account::of(visits, Rules { round, ..RULES });
            (account.overtaken, account.longest_overtaking)
        };
        assert_eq!(overtaken(&[came(1, 1_000), came(2, 2_000), came(3, 3_000)], 0), (0, 0));
        let drawn = [came(3, 1_000), came(2, 4_000), came(1, 5_500)];
        assert_eq!(overtaken(&drawn, 5_000), (0, 4_500));
        assert_eq!(overtaken(&drawn, 0), (2, 4_500));
        assert_eq!(overtaken(&drawn, 3_000), (1, 4_500), "one of them by more than a round");
    }

    #[test]
    fn overshoot_is_found_in_the_worst_window_of_any_length() {
        let at = |times: &[Millis]| {
            let visits: Vec<Visit> =
                times.iter().zip(1..).map(|(&at, n)| visit(vec![token(Kind::Pass, n, at)], true)).collect();
            Account::of(&visits, RULES)
        };
        assert_eq!(at(&[0, 0, 100, 200, 300]).overshoot, 0.0);
        assert_eq!(at(&[0, 1_000, 1_000, 1_000, 2_000]).overshoot, 1.0);
        assert_eq!(at(&[0, 50, 100, 150, 200]).overshoot, 1.0);
        assert_eq!(at(&[0, 50, 100, 150, 200]).most_within(100), 2);
        assert_eq!(at(&[0, 2_500, 2_600]).recovery(1_000, None), Some(1.5));
        assert_eq!(at(&[0]).recovery(1_000, None), None);
    }
}
