//! The gate of a class of paths, such as those of orders: how many of their requests are in work, and who goes next.
//!
//! Over its limit passes stand in a short line, the one that was given first in front. A free slot goes to the first who is
//! *here*, with a request that is held or a poll that is open, and is set aside until the form comes. The others keep their
//! places for [`KEPT`] and are in front again when they ask: so a closed tab costs no slot, and a lost place costs no one
//! their turn. A pass that has a slot already, or left one unused, stands behind those that do not.
//!
//! Requests without a pass have no place: they take what passes leave. Time is in milliseconds of any clock that only goes on.
//!
//! Invariants ([`Gate::check_invariants`]): slots in use and slots set aside stay within the limit, except for what
//! [`Gate::enter_beyond`] let in and what was in work when the limit was lowered.
//!
//! Out of scope: who has a pass (`admit`), how a caller is held and woken, and what is sent to the shop.

mod keys;

use std::collections::{BTreeMap, VecDeque};

pub use keys::{Form, Keys};

use crate::Millis;
use crate::seal::RoomId;
use crate::ticket::Token;

/// Places in the line of one gate.
pub const MOST: usize = 10_000;
/// How long a place is kept after its holder was last here: 10 s.
pub const KEPT: Millis = 10_000;
/// How long a slot is set aside for a pass that was called: 5 s.
pub const SET_ASIDE: Millis = 5_000;
/// How often places that have ended are looked for: every 250 ms.
const SWEEP: Millis = 250;
/// One slot in so many is kept for passes.
const RESERVE: usize = 4;

/// The holder of a pass. In order of the time at which passes were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// Store time at which the pass was given, however often it was renewed since.
    pub given: Millis,
    /// Its room.
    pub room: RoomId,
    /// Its number there.
    pub number: u64,
}

impl Holder {
    /// The holder of this pass of this room.
    pub fn of(room: RoomId, pass: &Token) -> Self {
        Self { given: pass.admitted, room, number: pass.number }
    }
}

/// Why a caller is no longer here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// The request has a slot.
    Entered,
    /// The poll was told to go, and the form is on its way.
    Told,
    /// The caller was told to wait, or left.
    Waits,
}

/// A place in the line.
#[derive(Debug, Clone, Copy)]
struct Place {
    holder: Holder,
    /// Its open requests and polls.
    here: usize,
    /// When one of them last came or left.
    seen: Millis,
    /// A slot is set aside for it until then.
    called: Option<Millis>,
    /// An earlier slot was left unused.
    missed: bool,
}

impl Place {
    fn is_ready(&self) -> bool {
        self.here > 0 && self.called.is_none()
    }
}

/// The gate.
#[derive(Debug, Default)]
pub struct Gate {
    limit: usize,
    in_flight: usize,
    /// Of these, without a pass.
    others: usize,
    /// The rest, by pass.
    slots: BTreeMap<Holder, usize>,
    /// In order of passes.
    line: VecDeque<Place>,
    /// Places with a slot set aside.
    called: usize,
    /// Places that a free slot can go to.
    ready: usize,
    sweep_at: Millis,
    given_up: u64,
    missed: u64,
}

impl Gate {
    /// Sets how many requests may be in work at once. Those over a lower limit go on.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Requests in work.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Passes with a place in the line.
    pub fn waiting(&self) -> usize {
        self.line.len()
    }

    /// Places so far that ended because their holders no longer asked.
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Slots so far that were set aside and not used.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Takes a slot for a request: the one that was set aside for its pass, or a free one that no one who is here waits for.
    pub fn enter(&mut self, holder: Holder, now: Millis) -> bool {
        self.expire(now);
        let place = self.find(holder).ok();
        let called = place.and_then(|at| self.line.get(at)).is_some_and(|place| place.called.is_some());
        if !called && (self.free() == 0 || self.ready > 0) {
            // Whoever sends the form after all, though late, stands where they stood.
            self.change(place, |place| place.missed = false);
            return false;
        }
        self.change(place, |place| (place.called, place.missed) = (None, false));
        self.remove_if(place, |place| place.here == 0);
        self.in_flight += 1;
        *self.slots.entry(holder).or_default() += 1;
        true
    }

    /// Takes a slot for a request without a pass, if passes leave one: never of the quarter that is kept for them.
    pub fn enter_other(&mut self, now: Millis) -> bool {
        self.expire(now);
        let may = self.free() > 0 && self.ready == 0 && self.others < self.limit - self.limit / RESERVE;
        if may {
            self.enter_beyond(None);
        }
        may
    }

    /// Takes a slot whether one is free or not, for a request that must not wait.
    pub fn enter_beyond(&mut self, holder: Option<Holder>) {
        self.in_flight += 1;
        match holder {
            Some(holder) => *self.slots.entry(holder).or_default() += 1,
            None => self.others += 1,
        }
    }

    /// Gives a slot back.
    pub fn leave(&mut self, holder: Option<Holder>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Some(holder) = holder else {
            self.others = self.others.saturating_sub(1);
            return;
        };
        if let Some(slots) = self.slots.get_mut(&holder) {
            *slots -= 1;
            if *slots == 0 {
                self.slots.remove(&holder);
            }
        }
    }

    /// A request or poll of this pass is here from now on, with a place. In a full line the latest pass gives way to an
    /// earlier one; false: this is the latest, and has no place.
    pub fn arrive(&mut self, holder: Holder, now: Millis) -> bool {
        self.expire(now);
        let at = match self.find(holder) {
            Ok(at) => at,
            Err(at) if self.line.len() < MOST || self.drop_latest_after(holder) => {
                self.line.insert(at, Place { holder, here: 0, seen: now, called: None, missed: false });
                at
            }
            Err(_) => return false,
        };
        self.change(Some(at), |place| (place.here, place.seen) = (place.here + 1, now));
        true
    }

    /// One that arrived is no longer here.
    pub fn depart(&mut self, holder: Holder, why: Departure, now: Millis) {
        let Ok(at) = self.find(holder) else { return };
        self.change(Some(at), |place| {
            (place.here, place.seen) = (place.here.saturating_sub(1), now);
            if why == Departure::Waits && place.here == 0 {
                // No one is left to use the slot.
                place.called = None;
            }
        });
        self.remove_if(Some(at), |place| why == Departure::Entered && place.here == 0);
    }

    /// Sets a free slot aside for the next who is here, and returns who that is.
    pub fn call(&mut self, now: Millis) -> Option<Holder> {
        self.expire(now);
        if self.free() == 0 || self.ready == 0 {
            return None;
        }
        let first = |may: &dyn Fn(&Place) -> bool| self.line.iter().position(|place| place.is_ready() && may(place));
        let fair = first(&|place| !place.missed && !self.slots.contains_key(&place.holder));
        let at = fair.or_else(|| first(&|place| !place.missed)).or_else(|| first(&|_| true));
        self.change(at, |place| place.called = Some(now + SET_ASIDE));
        at.and_then(|at| self.line.get(at)).map(|place| place.holder)
    }

    /// Whether a slot is set aside for this pass.
    pub fn is_called(&self, holder: Holder) -> bool {
        let place = self.find(holder).ok().and_then(|at| self.line.get(at));
        place.is_some_and(|place| place.called.is_some())
    }

    /// Places of earlier passes.
    pub fn ahead(&self, holder: Holder) -> usize {
        self.find(holder).unwrap_or_else(|at| at)
    }

    fn free(&self) -> usize {
        self.limit.saturating_sub(self.in_flight + self.called)
    }

    fn find(&self, holder: Holder) -> Result<usize, usize> {
        self.line.binary_search_by_key(&holder, |place| place.holder)
    }

    /// Changes a place, and what is counted of all places.
    fn change(&mut self, at: Option<usize>, change: impl FnOnce(&mut Place)) {
        let Some(place) = at.and_then(|at| self.line.get_mut(at)) else { return };
        let before = (usize::from(place.called.is_some()), usize::from(place.is_ready()));
        change(place);
        let after = (usize::from(place.called.is_some()), usize::from(place.is_ready()));
        self.called = self.called + after.0 - before.0;
        self.ready = self.ready + after.1 - before.1;
    }

    fn remove_if(&mut self, at: Option<usize>, ended: impl FnOnce(&Place) -> bool) {
        let Some(at) = at.filter(|&at| self.line.get(at).is_some_and(ended)) else { return };
        self.change(Some(at), |place| (place.here, place.called) = (0, None));
        self.line.remove(at);
    }

    /// Ends the place of the latest pass, if that is later than this one and has no slot set aside.
    fn drop_latest_after(&mut self, holder: Holder) -> bool {
        let last = self.line.len().checked_sub(1);
        let latest = last.and_then(|at| self.line.get(at)).copied();
        let gives_way = latest.is_some_and(|latest| latest.holder > holder && latest.called.is_none());
        if gives_way {
            self.remove_if(last, |_| true);
        }
        gives_way
    }

    /// Ends what has run out: slots that were set aside, and places of holders who no longer ask.
    fn expire(&mut self, now: Millis) {
        if now < self.sweep_at {
            return;
        }
        self.sweep_at = now + SWEEP;
        let (mut called, mut ready, mut missed) = (0, 0, 0);
        let before = self.line.len();
        self.line.retain_mut(|place| {
            if place.called.is_some_and(|until| until <= now) {
                (place.called, place.missed) = (None, true);
                missed += 1;
            }
            let kept = place.here > 0 || place.called.is_some() || now < place.seen + KEPT;
            called += usize::from(kept && place.called.is_some());
            ready += usize::from(kept && place.is_ready());
            kept
        });
        (self.called, self.ready) = (called, ready);
        self.missed += missed;
        self.given_up += (before - self.line.len()) as u64;
    }

    /// Panics where the gate contradicts itself; for tests after each step.
    ///
    /// # Panics
    /// If an invariant of this module does not hold.
    pub fn check_invariants(&self) {
        assert!(self.line.len() <= MOST);
        assert!(
            self.line.iter().zip(self.line.iter().skip(1)).all(|(a, b)| a.holder < b.holder),
            "in order, each once"
        );
        assert_eq!(self.called, self.line.iter().filter(|place| place.called.is_some()).count());
        assert_eq!(self.ready, self.line.iter().filter(|place| place.is_ready()).count());
        assert_eq!(self.in_flight, self.others + self.slots.values().sum::<usize>());
        assert!(self.slots.values().all(|&slots| slots > 0));
    }
}

#[cfg(test)]
mod tests;
