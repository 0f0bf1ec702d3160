//! The store of a launch: the line, what was committed of it, and a clock that may jump.

use policy::Millis;
use policy::line::{Batch, Change, Counters, Line, Outcome};
use policy::room::Rules;
use policy::ticket::LineId;

/// A line and its journal: what a restart finds is exactly what was confirmed.
#[derive(Debug)]
pub struct Store {
    pub line: Line,
    kept: Counters,
    journal: Vec<Change>,
    offset: i64,
    origin: Millis,
    pub away_until: Millis,
}

impl Store {
    pub fn new(origin: Millis) -> Self {
        let line = Line::new(LineId { epoch: 7, generation: 1 }, origin);
        Self { kept: line.counters(), line, journal: Vec::new(), offset: 0, origin, away_until: 0 }
    }

    /// The store's clock at a virtual instant.
    pub fn clock(&self, now: Millis) -> Millis {
        (self.origin + now).saturating_add_signed(self.offset)
    }

    pub fn jump(&mut self, by: i64) {
        self.offset += by;
    }

    /// Applies a batch and commits it.
    pub fn apply(&mut self, rules: &Rules, batch: &Batch, now: Millis) -> Outcome {
        let outcome = self.line.apply(rules, batch, self.clock(now));
        self.line.check_invariants(rules);
        self.kept = self.line.counters();
        self.journal.extend(self.line.take_changes());
        outcome
    }

    /// Applies a batch that the process does not live to commit: nobody hears of it.
    pub fn apply_and_die(&mut self, rules: &Rules, batch: &Batch, now: Millis) {
        drop(self.line.apply(rules, batch, self.clock(now)));
    }

    /// Continues from what was committed. The store lives in the process: both are back at once.
    pub fn restart(&mut self, now: Millis) {
        self.away_until = now;
        self.line = Line::restored(self.kept, self.clock(now), self.journal.iter().copied());
    }
}
