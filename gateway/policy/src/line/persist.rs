//! The stored form of a line, and its restoration.

use super::batch::{Revoked, Stamp};
use super::let_in::{Credit, LettingIn, MINUTE};
use super::repair::Clock;
use super::rounds::Place;
use super::{Line, Places};
use crate::Millis;
use crate::pacer::Pacer;
use crate::segment::Segments;
use crate::ticket::{Adopted, Round};

/// A change in a line besides its counters, for a store that writes differences.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// This number was claimed or given up.
    Claimed(u64),
    /// The pass of this number and its end; `None`: it has ended.
    Active(u64, Option<Millis>),
    /// The pass of this number was renewed; when it was first given; `None`: forget it.
    Admitted(u64, Option<Millis>),
    /// The pass of this number was given back; when to forget that.
    Revoked(u64, Option<Millis>),
    /// The pass of this number was given at this time, and has not come back; `None`: it has, or it has ended.
    Unconfirmed(u64, Option<Millis>),
    /// The pass of this number has lost its seat; when it would have ended. The number is not claimed any more.
    Evicted(u64, Millis),
    /// That pass would have ended by now: forget that it was evicted.
    EvictionOver(u64, Millis),
    /// Provisional tickets were numbered.
    Adopted(Adopted),
    /// There are too many such records: forget this one.
    AdoptionOver(Adopted),
    /// This arrival got a place; the place, and when to forget it.
    Arrived(u64, Option<(Place, Millis)>),
    /// The round that gathers, or the last one.
    Round(Round),
    /// So many numbers were given to no shopper, in all.
    Skipped(u64),
    /// The claims of the segment with this base are not needed any more.
    Forgotten(u64),
    /// A cap of this source: its rate, and its end; `None`: forget it.
    Cap(u64, Option<(f64, Millis)>),
    /// The stock of this product: items left, items in checkout, and since when.
    Stock(u32, u64, u64, Millis),
    /// Who may be let in before their time, and what is owed for those who were.
    Credit(Credit),
}

/// The counters of a line: what a store must keep, besides the [`Change`]s, to continue after a restart.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Counters {
    /// Tickets handed out and called.
    pub segments: Segments,
    /// Segments below this base were forgotten, except those listed.
    pub forgotten: u64,
    /// Store time of the beginning, or of the last loss.
    pub lost: Millis,
    /// Store time of the last transition.
    pub now: Millis,
    /// Passes given so far.
    pub granted: u64,
    /// Tickets whose claim window ended without a claim.
    pub no_shows: u64,
    /// Passes given beyond limits that are only reported.
    pub over_limit: u64,
    /// Passes given for tickets that had one already, on the two sides of a cut.
    pub second_passes: u64,
    /// The pacer's memory of no-shows.
    pub memory: (f64, f64),
}

impl Line {
    /// A line from its stored form, continued now by the same server.
    pub fn restored(kept: Counters, at: impl Into<Stamp>, changes: impl IntoIterator<Item = Change>) -> Self {
        let at = at.into();
        let (begun, rested) = (kept.lost, at.now >= kept.now.saturating_add(MINUTE));
        let mut line = Self {
            clock: Clock::of(Stamp { now: at.now.max(kept.now), ..at }),
            counters: Counters { now: at.now.max(kept.now), ..kept },
            rate: f64::INFINITY,
            // The shown places are unknown, but not below zero.
            places: Places { told: 0.0, ..Places::NONE },
            pacer: Pacer::remembering(kept.memory),
            letting_in: LettingIn::begun(begun),
            ..Self::default()
        };
        for change in changes {
            line.replay(change);
        }
        if rested {
            // As long as the rate takes to pay it back.
            line.bucket = 0.0;
        }
        line.inventory.begin_counting(line.counters.granted);
        line
    }

    fn replay(&mut self, change: Change) {
        match change {
            Change::Claimed(number) => {
                self.claimed.add(number);
            }
            Change::Active(number, Some(expires)) => self.passes.set(number, expires),
            Change::Active(number, None) => drop(self.passes.remove(number)),
            Change::Admitted(number, Some(admitted)) => self.admitted.set(number, admitted),
            Change::Admitted(number, None) => drop(self.admitted.remove(number)),
            Change::Revoked(number, Some(expires)) => {
                self.revoked.push_back(Revoked { number, expires, evicted: false });
            }
            Change::Revoked(number, None) => self.revoked.retain(|known| known.evicted || known.number != number),
            Change::Unconfirmed(number, Some(given)) => self.unconfirmed.add(number, given),
            Change::Unconfirmed(number, None) => drop(self.unconfirmed.remove(number)),
            Change::Evicted(number, expires) => {
                self.claimed.remove(number);
                self.revoked.push_back(Revoked { number, expires, evicted: true });
            }
            Change::EvictionOver(number, expires) => {
                let over = Revoked { number, expires, evicted: true };
                self.revoked.retain(|&known| known != over);
            }
            Change::Adopted(adopted) => self.adopted.push(adopted),
            Change::AdoptionOver(over) => self.adopted.retain(|&known| known != over),
            Change::Arrived(id, Some((place, until))) => self.arrivals.set(id, place, until),
            Change::Arrived(..) => {}
            Change::Round(round) => self.round = round,
            Change::Skipped(skipped) => self.skipped = skipped,
            Change::Forgotten(base) => self.claimed.forget(base),
            Change::Cap(source, Some((rate, until))) => self.caps.set(source, rate, until),
            Change::Cap(source, None) => self.caps.remove(source),
            Change::Stock(sku, left, held, since) => self.inventory.set(sku, left, held, since),
            Change::Credit(credit) => self.owe(credit),
        }
    }

    /// The counters to keep.
    pub fn counters(&self) -> Counters {
        Counters { memory: self.pacer.memory(), ..self.counters.clone() }
    }

    /// What changed besides the counters since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }
}
