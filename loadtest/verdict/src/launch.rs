//! Facts that several checks share, read once off the evidence: who was granted a pass when, and by how
//! much the clocks differ.
//!
//! ```text
//! granted = end of the first pass of a number - session_duration          (store time, to the millisecond)
//! store - ours   lies between  issued - (answer had come)  and  issued + 1 ms - (visit was due)
//! shop - ours    lies between  answered there - answer had come here  and  arrived there - due here
//! ```
//!
//! Both are Cristian's bounds (Probabilistic clock synchronization, 1989) over all requests of the run: what is sealed or served lies
//! between a request and its answer. Times of another clock are only used where that much error cannot
//! matter; the limits are judged in store time alone.
//!
//! Out of scope: judgement.

use std::collections::HashMap;

use evidence::shop::Entry;
use evidence::{Evidence, GatewaySample, Micros, RequestRecord, Visit};
use launch_model::persona::Persona;
use launch_model::scenario::Scenario;
use launch_model::token::{Kind, Token};

use crate::windows::Limit;

/// A pass, once for each number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Place in the line.
    pub(crate) number: u64,
    /// Store time at which it was granted, in milliseconds since 1970.
    pub(crate) at: i64,
    /// Store time at which its ticket was given; that of the grant if there was none.
    pub(crate) joined: i64,
    /// Store time at which it ends, renewals included.
    pub(crate) ends: i64,
    /// Who was seen with it first, as an index of the visits.
    pub(crate) visit: usize,
}

/// Another clock's lead over ours, in microseconds: between these two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ahead {
    /// At least so much.
    pub(crate) low: i64,
    /// At most so much.
    pub(crate) high: i64,
}

impl Ahead {
    /// Of two lists of bounds; `None` if one of them is empty.
    fn between(lows: impl Iterator<Item = i64>, highs: impl Iterator<Item = i64>) -> Option<Self> {
        Some(Self { low: lows.max()?, high: highs.min()? })
    }

    /// The middle.
    pub(crate) fn best(self) -> i64 {
        self.low + (self.high - self.low) / 2
    }

    /// How far the middle may be off. Clocks that drift apart in the run may leave nothing between the bounds.
    pub(crate) fn error(self) -> i64 {
        (self.high - self.low).abs() / 2
    }
}

/// A launch, read once.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// The scenario.
    pub(crate) scenario: &'a Scenario,
    /// The evidence.
    pub(crate) evidence: &'a Evidence,
    /// Every number that was granted a pass, in order of grants.
    pub(crate) grants: Vec<Grant>,
    /// Index in `grants` by number.
    by_number: HashMap<u64, usize>,
    /// By how much the store's clock is ahead; `None` if no cookie was seen.
    pub(crate) store_ahead: Option<Ahead>,
    /// By how much the shop's clock is ahead; `None` if its log cannot be joined.
    pub(crate) shop_ahead: Option<Ahead>,
    /// The shoppers' requests, by request id.
    pub(crate) asked: HashMap<&'a str, &'a RequestRecord>,
}

impl<'a> Launch<'a> {
    /// Reads it.
    pub(crate) fn of(scenario: &'a Scenario, evidence: &'a Evidence) -> Self {
        let session = i64::try_from(scenario.room.session_duration.0.as_millis()).unwrap_or(i64::MAX);
        let grants = grants(evidence, session);
        let by_number = grants.iter().enumerate().map(|(place, grant)| (grant.number, place)).collect();
        let asked = evidence.visits.iter().flat_map(|visit| &visit.asked);
        let asked = asked.map(|asked| (asked.id.as_str(), asked)).collect();
        let mut launch =
            Self { scenario, evidence, grants, by_number, store_ahead: store_ahead(evidence), shop_ahead: None, asked };
        launch.shop_ahead = launch.shop_ahead();
        launch
    }

    /// Store time at which the event of the room starts, in milliseconds since 1970: the run was begun so long before it.
    pub(crate) fn event_start(&self) -> Option<i64> {
        let after = self.scenario.room.event_start?.0.as_micros();
        Some((self.evidence.start_unix_us + i64::try_from(after).ok()?).div_euclid(1_000))
    }

    /// New shoppers that the room promises.
    pub(crate) fn limit(&self) -> Limit {
        Limit { rate: self.scenario.room.rate(), burst: self.scenario.room.burst() }
    }

    /// When gateways were found to be set to fewer new shoppers than before.
    pub(crate) fn cuts(&self) -> Vec<Micros> {
        let mut set = HashMap::new();
        let looks = self.evidence.gateways.iter();
        let cut = |look: &&GatewaySample| {
            let before = set.insert(look.gateway, look.new_users_per_minute);
            before.is_some_and(|before| look.new_users_per_minute < before)
        };
        looks.filter(cut).map(|look| look.at).collect()
    }

    /// New shoppers per second that may be expected at this store time: those that the room promises, or after a cut less.
    pub(crate) fn rate_at(&self, store_ms: i64) -> f64 {
        let set = |look: &GatewaySample| look.new_users_per_minute;
        let mut looks = self.evidence.gateways.iter();
        let first = looks.clone().next().map(set);
        let last = looks.rfind(|look| look.store_time_ms.cast_signed() <= store_ms).map(set);
        let left = first.zip(last).map_or(1.0, |(first, last)| (last / first).min(1.0));
        self.limit().rate * left
    }

    /// The pass of this number.
    pub(crate) fn grant_of(&self, number: u64) -> Option<&Grant> {
        self.by_number.get(&number).map(|&place| &self.grants[place])
    }

    /// The pass that a request at the shop came with.
    pub(crate) fn grant_at_shop(&self, entry: &Entry) -> Option<&Grant> {
        self.grant_of(number_of(entry.pass_id.as_deref()?)?)
    }

    /// An instant of ours as store time, in milliseconds.
    pub(crate) fn store_time(&self, at: Micros) -> Option<i64> {
        Some((self.evidence.start_unix_us + at + self.store_ahead?.best()).div_euclid(1000))
    }

    /// A store time as seconds since the start.
    pub(crate) fn since_start(&self, store_ms: i64) -> f64 {
        let ahead = self.store_ahead.map_or(0, Ahead::best);
        (store_ms * 1000 - ahead - self.evidence.start_unix_us) as f64 / 1e6
    }

    /// Requests of shoppers and what the shop logged of them, by request id.
    pub(crate) fn joined(&self) -> impl Iterator<Item = (&'a RequestRecord, &'a Entry)> + '_ {
        let entries = self.evidence.shop.iter();
        entries.filter_map(|entry| Some((*self.asked.get(entry.request_id.as_deref()?)?, entry)))
    }

    /// Gateways that gave a token.
    pub(crate) fn gateways(&self) -> usize {
        let held = self.evidence.visits.iter().flat_map(|visit| &visit.held);
        held.map(|held| held.target).max().map_or(1, |last| usize::from(last) + 1)
    }

    /// The visitor behind an index of [`Grant`].
    pub(crate) fn visit(&self, grant: &Grant) -> &'a Visit {
        &self.evidence.visits[grant.visit]
    }

    fn shop_ahead(&self) -> Option<Ahead> {
        let start = self.evidence.start_unix_us;
        let answered = self.joined().filter(|(asked, _)| asked.status.is_some());
        let lows = answered.map(|(asked, entry)| entry.answered_us - start - asked.answered);
        Ahead::between(lows, self.joined().map(|(asked, entry)| entry.arrived_us - start - asked.due))
    }
}

fn store_ahead(evidence: &Evidence) -> Option<Ahead> {
    let start = evidence.start_unix_us;
    let sealed = |token: Token| token.issued_ms.cast_signed() * 1000;
    let held = evidence.visits.iter().flat_map(|visit| &visit.held);
    let firsts = evidence.visits.iter().filter_map(|visit| Some((visit.due, visit.held.first()?)));
    Ahead::between(
        held.map(|held| sealed(held.token) - start - held.at),
        firsts.map(|(due, held)| sealed(held.token) + 1000 - start - due),
    )
}

/// In order of grants, and of numbers where they were granted at once. Visitors who collect tokens of another room too are left
/// out: a token does not tell in clear which room it is for.
fn grants(evidence: &Evidence, session: i64) -> Vec<Grant> {
    let mut grants = HashMap::<u64, Grant>::new();
    let visits = evidence.visits.iter().enumerate().filter(|(_, visit)| visit.persona != Persona::OtherRoom);
    let held = visits.flat_map(|(place, visit)| visit.held.iter().map(move |held| (place, held.token)));
    for (visit, token) in held.clone().filter(|(_, token)| token.kind == Kind::Pass) {
        let (ends, number) = (token.expires_ms.cast_signed(), token.number);
        let at = ends - session;
        let grant = grants.entry(number).or_insert(Grant { number, at, joined: at, ends, visit });
        grant.at = grant.at.min(at);
        grant.joined = grant.joined.min(at);
        grant.ends = grant.ends.max(ends);
    }
    for (_, token) in held.filter(|(_, token)| token.kind == Kind::Ticket) {
        if let Some(grant) = grants.get_mut(&token.number) {
            grant.joined = grant.joined.min(token.issued_ms.cast_signed());
        }
    }
    let mut grants: Vec<Grant> = grants.into_values().collect();
    grants.sort_unstable_by_key(|grant| (grant.at, grant.number));
    grants
}

/// The number behind `Weir-Pass-Id`: `segment.number`.
fn number_of(pass_id: &str) -> Option<u64> {
    let (segment, number) = pass_id.split_once('.')?;
    let base = segment.parse::<u64>().ok()?.checked_mul(policy::line::segment::SPAN)?;
    base.checked_add(number.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Made, SESSION, START_MS};

    #[test]
    fn the_first_pass_of_a_number_tells_when_it_was_granted() {
        let mut made = Made::new();
        let visit = made.shopper(7, 0, 4_000);
        let renewed = Token { expires_ms: visit.held[1].token.expires_ms + 40_000, ..visit.held[1].token };
        visit.held.push(evidence::Held { token: renewed, ..visit.held[1] });
        let launch = made.launch();
        let grant = *launch.grant_of(7).unwrap();
        assert_eq!((grant.at - START_MS, grant.joined - START_MS), (4_000, 0));
        assert_eq!(grant.ends, grant.at + SESSION + 40_000);
        assert_eq!(launch.grants, [grant]);
    }

    #[test]
    fn clocks_are_compared_by_requests_and_their_answers() {
        let mut made = Made::new();
        made.store_ahead_ms = 3_600_000;
        made.shop_ahead_ms = -2_000;
        made.shopper(1, 0, 1_000);
        made.shopper(2, 10, 1_100);
        let launch = made.launch();
        let near = |ahead: Ahead, ms: i64| (ahead.best() - ms * 1000).abs() <= ahead.error() && ahead.error() < 20_000;
        assert!(near(launch.store_ahead.unwrap(), 3_600_000), "{:?}", launch.store_ahead);
        assert!(near(launch.shop_ahead.unwrap(), -2_000), "{:?}", launch.shop_ahead);
        assert!((launch.since_start(launch.grants[0].at) - 1.0).abs() < 0.02);
    }

    #[test]
    fn a_pass_id_is_a_segment_and_a_place() {
        assert_eq!(number_of("3.7"), Some(3 * (1 << 25) + 7));
        for wrong in ["", "3", "3.", "x.1", "99999999999999999999.1", "18446744073709551615.1"] {
            assert_eq!(number_of(wrong), None, "{wrong}");
        }
    }
}
