//! Rounds: newcomers of a room with `queueing_method = "random"`, until a draw decides their order.
//!
//! ```text
//! called | waiting: numbers, as ever     | the open round: places without numbers
//!        ^ serving                  next ^ drawn at the end of the round: behind all before, in the order of a seed
//! ```
//!
//! While people wait a newcomer gets a place in the open round instead of a number, as a provisional ticket whose incarnation is the
//! round's id. The draw numbers the round as places kept without a store are numbered ([`Adopted`](super::Adopted)), but in an order that
//! a seed decides. So pointer, claims and passes know nothing of rounds, and nobody is overtaken but within a round.
//!
//! A round ends
//!
//! - when it has lasted as long as the rules say, or the rules draw no more;
//! - when an open line is about to run dry: the shop shall not stand idle while a round gathers people;
//! - before places are numbered that gateways kept while the store was away: those came later.
//!
//! A line of less than [`SHORT`] gathers nobody: who could enter in a moment would wait for a draw instead.
//!
//! A store that lost writes may not know how many a round had gathered. So its round is over, gateways bring the ones they know
//! ([`HighWater`](super::HighWater)), each is drawn by itself, and a later one has another id: far beyond the last one that the gateway knows, and
//! beyond what the time says. For of the last ones it may not have heard, and rounds that end early let ids run ahead of the time.
//!
//! Out of scope: where a seed comes from. Each batch has one, and the one that is there at the draw decides.

use super::batch::Batch;
use super::persist::Change;
use super::{Adopt, Line};
use crate::Millis;
use crate::room::Rules;
use crate::segment::{ORIGIN, UNIT};
use crate::ticket::{FIRST_ROUND, Round};

/// A line that the rate clears in fewer seconds stays in the order of arrival...
const SHORT: f64 = 10.0;
/// ...and one with less than this, in seconds, gets the round that gathers, though that is not over.
const DRY: f64 = 1.0;
/// But a round lasts for this long.
const LEAST: Millis = UNIT;
/// The id of a round is the time of its beginning in this unit, which is much shorter than a round: ids do not run ahead of the time for long.
const ID_UNIT: Millis = 500;
/// Ids that are left out after a loss: more rounds than begin until every gateway has heard of one.
const LEFT_OUT: u32 = 16;

/// What a newcomer gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A number.
    Number(u64),
    /// A place in a round that is not drawn.
    InRound {
        /// The round's id.
        round: u32,
        /// Its sequence.
        sequence: u64,
    },
}

/// The id of a round that begins at this time.
fn id_at(time: Millis) -> u32 {
    FIRST_ROUND.saturating_add((time.saturating_sub(ORIGIN) / ID_UNIT) as u32)
}

impl Line {
    /// Whether a newcomer gets a place in a round.
    pub(super) fn gathers(&self, rules: &Rules) -> bool {
        let stands = || self.counters.segments.waiting() as f64 >= SHORT * rules.rate;
        rules.round.is_some() && (self.round.waiting() > 0 || !rules.open || stands())
    }

    /// Gives `places` places in the round; returns the sequence of the first.
    pub(super) fn gather(&mut self, places: u64) -> u64 {
        if self.round.waiting() == 0 {
            let now = self.counters.now;
            self.round = Round { id: id_at(now).max(self.round.id + 1), began: now, ..Round::default() };
        }
        let first = self.round.gathered + 1;
        self.round.gathered += places;
        self.changes.push(Change::Round(self.round));
        first
    }

    /// Numbers the round, if it is over.
    pub(super) fn draw(&mut self, rules: &Rules, batch: &Batch) {
        let lasted = self.counters.now.saturating_sub(self.round.began);
        let is_over = rules.round.is_none_or(|round| lasted >= round);
        let dry = rules.open && lasted >= LEAST && (self.counters.segments.waiting() as f64) < DRY * rules.rate;
        let later = batch.adopt.is_some_and(|adopt| adopt.incarnation < FIRST_ROUND);
        if self.round.waiting() > 0 && (is_over || dry || later) {
            self.number(rules, self.round, batch.seed);
            self.round.drawn = self.round.gathered;
            self.changes.push(Change::Round(self.round));
        }
    }

    /// The store has lost writes: the round ends, and any later one has another id than those that it may have forgotten. `known`: the last one
    /// of which the gateway knows.
    pub(super) fn lose_round(&mut self, known: u32) {
        let id = self.round.id.max(known).max(id_at(self.counters.now)).saturating_add(LEFT_OUT);
        self.lost_round = std::mem::replace(&mut self.round, Round { id, ..Round::default() });
        self.changes.push(Change::Round(self.round));
    }

    /// Numbers what was gathered before a loss, as far as this line and the gateway know.
    pub(super) fn draw_lost(&mut self, rules: &Rules, batch: &Batch) {
        let lost = std::mem::take(&mut self.lost_round);
        self.number(rules, lost, batch.seed);
        let is_behind = batch.seen.opened.is_some_and(|opened| opened < self.counters.segments.open.base);
        if is_behind && !self.round.gathers(batch.seen.round.id) {
            self.number(rules, batch.seen.round, batch.seed);
        }
    }

    /// Numbers those places of a round that have no number.
    fn number(&mut self, rules: &Rules, round: Round, seed: u64) {
        if round.gathered > 0 {
            self.adopt(rules, Adopt { incarnation: round.id, first: 1, count: round.gathered }, seed);
        }
    }
}

#[cfg(test)]
mod tests;
