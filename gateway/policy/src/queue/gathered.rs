//! Operations since the last batch, and the part of a batch that is kept until its answer.

use std::collections::VecDeque;

use super::op::Admission;
use crate::Millis;
use crate::line::{Arrival, Memory};
use crate::room::Rules;
use crate::ticket::Token;

/// Passes that came back, reported per batch; the rest go into the next one.
const CONFIRMED: usize = 2_048;

/// Callers without a number.
#[derive(Debug)]
pub(super) struct Newcomers<R> {
    pub(super) arrivals: Vec<(Arrival, R)>,
    pub(super) joins_if_called: Vec<R>,
    pub(super) joins: Vec<R>,
    pub(super) visits: Vec<R>,
}

impl<R> Default for Newcomers<R> {
    fn default() -> Self {
        Self { arrivals: Vec::new(), joins_if_called: Vec::new(), joins: Vec::new(), visits: Vec::new() }
    }
}

impl<R> Newcomers<R> {
    pub(super) fn is_empty(&self) -> bool {
        [self.arrivals.len(), self.joins_if_called.len(), self.joins.len(), self.visits.len()] == [0; 4]
    }

    pub(super) fn retain(&mut self, keeps: impl Fn(&R) -> bool) {
        self.arrivals.retain(|(_, reply)| keeps(reply));
        self.joins_if_called.retain(&keeps);
        self.joins.retain(&keeps);
        self.visits.retain(keeps);
    }

    /// No shopper is let in: callers who want a number only if it is called get none.
    pub(super) fn refuse_if_called(&mut self, replies: &mut Vec<(R, Admission)>) {
        let arrivals = self.arrivals.extract_if(.., |(arrival, _)| arrival.if_called).map(|(_, reply)| reply);
        replies.extend(arrivals.chain(self.joins_if_called.drain(..)).map(|reply| (reply, Admission::Full)));
    }

    /// The store did not answer.
    pub(super) fn turn_away(&mut self, replies: &mut Vec<(R, Admission)>) {
        let arrivals = self.arrivals.drain(..);
        replies.extend(arrivals.map(|(arrival, reply)| (reply, Admission::unanswered(arrival.if_called))));
        replies.extend(self.joins_if_called.drain(..).map(|reply| (reply, Admission::unanswered(true))));
        let others = self.joins.drain(..).chain(self.visits.drain(..));
        replies.extend(others.map(|reply| (reply, Admission::unanswered(false))));
    }
}

/// Reports on passes and tickets, for which no caller waits.
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// Passes to extend. Sent once: the next request with the pass asks again.
    pub(super) renewals: Vec<(u64, Millis)>,
    /// Passes that came back, until the line has the report.
    confirmed: VecDeque<u64>,
    /// Numbers to give back, until the line has the report. A repeated report does no harm.
    releases: Vec<u64>,
    /// Numbers whose passes operators end, until the line has the report.
    ends: Vec<u64>,
    /// Tokens that the memory takes in first, with the batch that reports them: an answer to an earlier one does not cover them.
    returned: Vec<Token>,
    shown: Vec<Token>,
}

impl Reports {
    /// Whether the line has every report, but for evidence.
    pub(super) fn is_empty(&self) -> bool {
        let numbers = self.releases.is_empty() && self.ends.is_empty() && self.returned.is_empty();
        numbers && self.renewals.is_empty() && self.confirmed.is_empty()
    }

    /// Whether there is evidence to report.
    pub(super) fn has_evidence(&self) -> bool {
        !self.shown.is_empty()
    }

    pub(super) fn confirm(&mut self, number: u64) {
        self.confirmed.push_back(number);
    }

    pub(super) fn release(&mut self, token: Token) {
        self.returned.push(token);
    }

    pub(super) fn end(&mut self, number: u64) {
        self.ends.push(number);
    }

    /// The passes that operators end.
    pub(super) fn ends(&self) -> &[u64] {
        &self.ends
    }

    pub(super) fn show(&mut self, token: Token) {
        self.shown.push(token);
    }

    /// The reports for a batch; the memory takes them in first.
    pub(super) fn recall(&mut self, memory: &mut Memory) -> (Vec<u64>, Vec<u64>) {
        self.shown.drain(..).for_each(|token| memory.shown(&token));
        for token in self.returned.drain(..) {
            memory.returned(&token);
            self.releases.push(token.number);
        }
        (self.confirmed.iter().take(CONFIRMED).copied().collect(), self.releases.clone())
    }

    /// The line has taken in `confirmed` passes that came back, and all releases and the first `ends` ends of its batch. Returns the
    /// numbers that it has ended.
    pub(super) fn told(&mut self, confirmed: usize, ends: usize) -> Vec<u64> {
        self.confirmed.drain(..confirmed);
        self.releases.drain(..).chain(self.ends.drain(..ends)).collect()
    }
}

/// The part of a batch that is kept until its answer.
#[derive(Debug)]
pub(super) struct InFlight<R> {
    pub(super) newcomers: Newcomers<R>,
    pub(super) renewals: Vec<(u64, Millis)>,
    /// Number of passes that it reported as back, and that it ends.
    pub(super) confirmed: usize,
    pub(super) ends: usize,
    /// Whether it asked or reported anything.
    pub(super) asks: bool,
    /// The rules sent to the line.
    pub(super) rules: Rules,
    pub(super) shop_rests: bool,
}
