//! The store of a launch: the line, what was committed of it, copies that lag behind, and a clock that may jump.

use std::collections::VecDeque;

use policy::Millis;
use policy::line::{Batch, Change, Counters, Line, Outcome, Stamp};
use policy::room::Rules;

/// A line and its journal: what a restart finds is exactly what was confirmed.
#[derive(Debug)]
pub struct Store {
    pub line: Line,
    kept: Counters,
    journal: Vec<Change>,
    offset: i64,
    origin: Millis,
    pub away_until: Millis,
    /// Which server it is.
    server: u64,
    /// How often it was another one, or started again.
    pub era: u64,
    /// States that a replica may have: copies of the last seconds, with the length of the journal.
    copies: VecDeque<(Millis, Line, usize)>,
    replicated: bool,
}

/// A copy is taken this often...
const COPY_EACH: Millis = 150;
/// ...and so many are kept.
const COPIES: usize = 14;

impl Store {
    /// A store; copies of it are kept if one may take over.
    pub fn new(origin: Millis, replicated: bool) -> Self {
        let line = Line::new(Stamp { now: origin, server: 1 });
        let kept = line.counters();
        Self {
            line,
            kept,
            journal: Vec::new(),
            offset: 0,
            origin,
            away_until: 0,
            server: 1,
            era: 0,
            copies: VecDeque::new(),
            replicated,
        }
    }

    /// The store's clock at a virtual instant.
    pub fn clock(&self, now: Millis) -> Millis {
        (self.origin + now).saturating_add_signed(self.offset)
    }

    fn stamp(&self, now: Millis) -> Stamp {
        Stamp { now: self.clock(now), server: self.server }
    }

    pub fn jump(&mut self, by: i64) {
        self.offset += by;
    }

    /// Applies a batch and commits it.
    pub fn apply(&mut self, rules: &Rules, batch: &Batch, now: Millis) -> Outcome {
        let outcome = self.line.apply(rules, batch, self.stamp(now));
        self.line.check_invariants(rules);
        self.kept = self.line.counters();
        self.journal.extend(self.line.take_changes());
        if self.replicated && self.copies.back().is_none_or(|(taken, ..)| now >= taken + COPY_EACH) {
            self.copies.push_back((now, self.line.clone(), self.journal.len()));
            if self.copies.len() > COPIES {
                self.copies.pop_front();
            }
        }
        outcome
    }

    /// Applies a batch that the process does not live to commit: its answer is never sent.
    pub fn apply_and_die(&mut self, rules: &Rules, batch: &Batch, now: Millis) {
        drop(self.line.apply(rules, batch, self.stamp(now)));
    }

    /// Continues from what was committed. The store lives in the process: both are back at once.
    pub fn restart(&mut self, now: Millis) {
        self.away_until = now;
        self.era += 1;
        self.line = Line::restored(self.kept.clone(), self.stamp(now), self.journal.iter().copied());
    }

    /// Another server takes over, with what it had so long ago.
    pub fn lose(&mut self, now: Millis, back: Millis) {
        let Some(at) = self.copies.iter().rposition(|(taken, ..)| taken + back <= now) else {
            return self.flush(now);
        };
        let (_, line, journal) = self.copies[at].clone();
        self.server += 1;
        self.continue_from(line, journal);
    }

    /// Whether it knows that a pass was given for this number.
    pub fn knows_pass_of(&self, number: u64) -> bool {
        self.journal.iter().any(|change| matches!(change, Change::Active(known, Some(_)) if *known == number))
    }

    /// Whether it knows that the pass of this number lost its seat.
    pub fn took_seat_of(&self, number: u64) -> bool {
        self.journal.iter().any(|change| matches!(change, Change::Evicted(known, _) if *known == number))
    }

    /// Everything is gone.
    pub fn flush(&mut self, now: Millis) {
        self.continue_from(Line::new(self.stamp(now)), 0);
    }

    fn continue_from(&mut self, line: Line, journal: usize) {
        self.era += 1;
        self.kept = line.counters();
        self.line = line;
        self.journal.truncate(journal);
        self.copies.clear();
    }
}
