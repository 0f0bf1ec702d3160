//! The gate of a class of paths, such as those of orders: how many of their requests are in work, and who goes next.
//!
//! Over its limit passes stand in a short line, the one that was given first in front. A free slot goes to the first who is
//! *here*: a form that is held is let in, and a poll that is open is invited to send its form. The others keep their places for
//! [`KEPT`] and are in front again when they ask: so a closed tab costs no slot, and a lost place costs no one their turn. A pass
//! that has a slot already, or left an invitation unused, stands behind those that do not.
//!
//! An invited form takes a way to the browser and back, in which its slot would stand empty. So a few more are invited than there
//! are slots: one more each time that a slot has to wait for a form, and one fewer each time that a form had to wait for a slot
//! for longer than [`PATIENCE`]. An invitation is kept: no later pass takes a slot that one who is invited is on the way to.
//!
//! With several gateways a form may come to another one than invited it ([`Gate::welcome`]): it is invited there too, once, and in
//! return one who was invited there and has not come is let go, since their form goes elsewhere as likely.
//!
//! Requests without a pass have no place: they take what passes leave. Time is in milliseconds of any clock that only goes on.
//!
//! Invariants ([`Gate::check_invariants`]): slots in use and slots that were just given stay within the limit, except for what
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
/// How long an invited form may take to come, and how long it is held then: 5 s each.
pub const INVITED: Millis = 5_000;
/// How long an invited form should wait for a slot at most: half a second.
pub const PATIENCE: Millis = 500;
/// A holder who was here within the last 2 s is still on the way: pages ask again after a second at most.
const RECENT: Millis = 2_000;
/// How often places that have ended are looked for: every 250 ms.
const SWEEP: Millis = 250;
/// One slot in so many is kept for passes.
const RESERVE: usize = 4;
/// So many times the slots are invited beyond them at most: enough for orders that take a quarter of the way to a browser.
const EXTRA: usize = 4;

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

/// What a caller is here with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A request, which takes a slot.
    Form,
    /// A poll, which takes an invitation.
    Poll,
}

/// Why a caller is no longer here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// The form has a slot.
    Entered,
    /// The poll was told to go, and the form is on its way.
    Told,
    /// The caller was told to wait, or left.
    Waits,
}

/// What a place has a right to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Nothing,
    /// To send its form, which has to come until then.
    Invited(Millis),
    /// The slot that is free for its form, which is here.
    Granted,
}

/// A place in the line.
#[derive(Debug, Clone, Copy)]
struct Place {
    holder: Holder,
    /// Its open requests and polls.
    forms: usize,
    polls: usize,
    /// When one of them last came or left.
    seen: Millis,
    /// When the first of its forms came.
    since: Millis,
    claim: Claim,
    /// An earlier invitation was left unused.
    missed: bool,
}

impl Place {
    fn is_here(&self) -> bool {
        self.forms + self.polls > 0
    }

    fn is_ready(&self) -> bool {
        self.is_here() && self.claim == Claim::Nothing
    }

    fn is_invited(&self) -> bool {
        matches!(self.claim, Claim::Invited(_))
    }
}

/// Places of each kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    /// A slot is theirs.
    granted: usize,
    /// Their forms are on the way, or here...
    invited: usize,
    /// ...and of these, here.
    arrived: usize,
    /// Here, and without a claim...
    ready: usize,
    /// ...and of these, with polls alone.
    polling: usize,
}

impl Counts {
    fn add(&mut self, place: &Place) {
        self.granted += usize::from(place.claim == Claim::Granted);
        self.invited += usize::from(place.is_invited());
        self.arrived += usize::from(place.is_invited() && place.forms > 0);
        self.ready += usize::from(place.is_ready());
        self.polling += usize::from(place.is_ready() && place.forms == 0);
    }

    fn remove(&mut self, place: &Place) {
        let mut one = Self::default();
        one.add(place);
        self.granted -= one.granted;
        self.invited -= one.invited;
        self.arrived -= one.arrived;
        self.ready -= one.ready;
        self.polling -= one.polling;
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
    counts: Counts,
    /// Invitations beyond free slots.
    extra: usize,
    /// Those whose invitation was used within the last [`INVITED`], here or by a form that another gateway invited: no more than the
    /// slots give requests in that time.
    used: BTreeMap<Holder, Millis>,
    sweep_at: Millis,
    /// Places whose holders are here, or were just now, at the last look.
    standing: usize,
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

    /// Of these, those whose holders were here within the last 2 s, or are on the way: the others have closed their pages, or have gone
    /// on at another gateway. As of the last look, a quarter of a second ago at most.
    pub fn standing(&self) -> usize {
        self.standing
    }

    /// Places so far that ended because their holders no longer asked.
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Invitations so far that were not used.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// The form of a pass that another gateway has just invited: it is invited here too, once.
    pub fn welcome(&mut self, holder: Holder, now: Millis) {
        self.expire(now);
        let spent = self.used.contains_key(&holder) || self.slots.contains_key(&holder);
        let claimed = self.place(holder).is_some_and(|place| place.claim != Claim::Nothing);
        if spent || claimed || !self.take_place(holder, now) {
            return;
        }
        let until = |place: &Place| if let Claim::Invited(until) = place.claim { Some(until) } else { None };
        let away = self.line.iter().enumerate().filter(|(_, place)| place.forms == 0);
        let elsewhere = away.filter_map(|(at, place)| Some((until(place)?, at))).min();
        self.change(elsewhere.map(|(_, at)| at), |place| place.claim = Claim::Nothing);
        let at = self.find(holder).ok();
        self.change(at, |place| (place.claim, place.missed) = (Claim::Invited(now + INVITED), false));
    }

    /// Takes a slot for a request: the one that was granted to its pass, one that it was invited to, or a free one that no one
    /// who is here or invited waits for.
    pub fn enter(&mut self, holder: Holder, now: Millis) -> bool {
        self.expire(now);
        let at = self.find(holder).ok();
        let place = at.and_then(|at| self.line.get(at)).copied();
        let may = match place.map_or(Claim::Nothing, |place| place.claim) {
            Claim::Granted => true,
            Claim::Invited(_) => self.free() > 0,
            Claim::Nothing => self.free() > self.counts.invited && self.counts.ready == 0,
        };
        if !may {
            // Whoever sends the form after all, though late, stands where they stood.
            self.change(at, |place| place.missed = false);
            return false;
        }
        let waited = place.filter(|place| place.forms > 0).map_or(0, |place| now.saturating_sub(place.since));
        if place.is_some_and(|place| place.claim != Claim::Nothing) {
            self.extra = self.extra.saturating_sub(usize::from(waited > PATIENCE));
            self.used.insert(holder, now + INVITED);
        }
        self.change(at, |place| (place.claim, place.missed) = (Claim::Nothing, false));
        self.remove_if(at, |place| !place.is_here());
        self.in_flight += 1;
        *self.slots.entry(holder).or_default() += 1;
        true
    }

    /// Takes a slot for a request without a pass, if passes leave one: never of the quarter that is kept for them.
    pub fn enter_other(&mut self, now: Millis) -> bool {
        self.expire(now);
        let free = self.free() > self.counts.invited && self.counts.ready == 0;
        let may = free && self.others < self.limit - self.limit / RESERVE;
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
        let Counts { invited, arrived, ready, polling, .. } = self.counts;
        if arrived == 0 && ready == polling && invited + polling > 0 {
            // It stands empty until a form comes.
            self.extra = (self.extra + 1).min(self.limit.saturating_mul(EXTRA));
        }
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

    /// A caller with this pass is here from now on, with a place. In a full line the latest pass gives way to an earlier one;
    /// false: this is the latest, and has no place.
    pub fn arrive(&mut self, holder: Holder, caller: Caller, now: Millis) -> bool {
        self.expire(now);
        if !self.take_place(holder, now) {
            return false;
        }
        self.change(self.find(holder).ok(), |place| {
            place.seen = now;
            match caller {
                Caller::Poll => place.polls += 1,
                Caller::Form => {
                    place.since = if place.forms == 0 { now } else { place.since };
                    place.forms += 1;
                }
            }
        });
        true
    }

    /// Makes a place for it, if it has none; false: the line is full of earlier passes.
    fn take_place(&mut self, holder: Holder, now: Millis) -> bool {
        match self.find(holder) {
            Ok(_) => {}
            Err(at) if self.line.len() < MOST || self.drop_latest_after(holder) => {
                let (forms, polls, claim, missed) = (0, 0, Claim::Nothing, false);
                self.line.insert(at, Place { holder, forms, polls, seen: now, since: now, claim, missed });
            }
            Err(_) => return false,
        }
        true
    }

    /// One that arrived is no longer here.
    pub fn depart(&mut self, holder: Holder, caller: Caller, why: Departure, now: Millis) {
        let Ok(at) = self.find(holder) else { return };
        self.change(Some(at), |place| {
            let open = if caller == Caller::Form { &mut place.forms } else { &mut place.polls };
            *open = open.saturating_sub(1);
            place.seen = now;
            let unused = place.claim == Claim::Granted && place.forms == 0;
            // No one is left to use it.
            let left = why == Departure::Waits && !place.is_here();
            if unused || left {
                place.claim = Claim::Nothing;
            }
        });
        self.remove_if(Some(at), |place| why == Departure::Entered && !place.is_here());
    }

    /// Gives a slot, or an invitation, to the next who is here, and returns who that is. To be asked after everything that
    /// happens, until there is nothing more to give.
    pub fn call(&mut self, now: Millis) -> Option<Holder> {
        self.expire(now);
        let (free, Counts { invited, arrived, ready, polling, .. }) = (self.free(), self.counts);
        let (at, claim) = if free > 0 && arrived > 0 {
            (self.line.iter().position(|place| place.is_invited() && place.forms > 0), Claim::Granted)
        } else if free > invited && ready > 0 {
            let at = self.first(|_| true);
            let form = at.and_then(|at| self.line.get(at)).is_some_and(|place| place.forms > 0);
            (at, if form { Claim::Granted } else { Claim::Invited(now + INVITED) })
        } else if invited < free + self.extra && polling > 0 {
            (self.first(|place| place.forms == 0), Claim::Invited(now + INVITED))
        } else {
            return None;
        };
        self.change(at, |place| place.claim = claim);
        at.and_then(|at| self.line.get(at)).map(|place| place.holder)
    }

    /// Whether a slot is free for a form of this pass.
    pub fn is_granted(&self, holder: Holder) -> bool {
        self.place(holder).is_some_and(|place| place.claim == Claim::Granted)
    }

    /// Whether this pass may send its form.
    pub fn is_invited(&self, holder: Holder) -> bool {
        self.place(holder).is_some_and(Place::is_invited)
    }

    /// Places of earlier passes.
    pub fn ahead(&self, holder: Holder) -> usize {
        self.find(holder).unwrap_or_else(|at| at)
    }

    fn free(&self) -> usize {
        self.limit.saturating_sub(self.in_flight + self.counts.granted)
    }

    /// The first who is ready, of these; those who have a slot, or left an invitation unused, come behind the others.
    fn first(&self, of: impl Fn(&Place) -> bool) -> Option<usize> {
        let first = |may: &dyn Fn(&Place) -> bool| {
            self.line.iter().position(|place| place.is_ready() && of(place) && may(place))
        };
        let fair = first(&|place| !place.missed && !self.slots.contains_key(&place.holder));
        fair.or_else(|| first(&|place| !place.missed)).or_else(|| first(&|_| true))
    }

    fn find(&self, holder: Holder) -> Result<usize, usize> {
        self.line.binary_search_by_key(&holder, |place| place.holder)
    }

    fn place(&self, holder: Holder) -> Option<&Place> {
        self.find(holder).ok().and_then(|at| self.line.get(at))
    }

    /// Changes a place, and what is counted of all places.
    fn change(&mut self, at: Option<usize>, change: impl FnOnce(&mut Place)) {
        let Some(place) = at.and_then(|at| self.line.get_mut(at)) else { return };
        self.counts.remove(place);
        change(place);
        self.counts.add(place);
    }

    fn remove_if(&mut self, at: Option<usize>, ended: impl FnOnce(&Place) -> bool) {
        let Some(at) = at.filter(|&at| self.line.get(at).is_some_and(ended)) else { return };
        if let Some(place) = self.line.remove(at) {
            self.counts.remove(&place);
        }
    }

    /// Ends the place of the latest pass, if that is later than this one and has no claim.
    fn drop_latest_after(&mut self, holder: Holder) -> bool {
        let gives_way = |place: &Place| place.holder > holder && place.claim == Claim::Nothing;
        let before = self.line.len();
        self.remove_if(before.checked_sub(1), gives_way);
        self.line.len() < before
    }

    /// Ends what has run out: invitations, and places of holders who no longer ask.
    fn expire(&mut self, now: Millis) {
        if now < self.sweep_at {
            return;
        }
        self.sweep_at = now + SWEEP;
        self.used.retain(|_, until| *until > now);
        let (mut counts, mut missed, mut standing) = (Counts::default(), 0, 0);
        let before = self.line.len();
        self.line.retain_mut(|place| {
            if place.forms == 0
                && let Claim::Invited(until) = place.claim
                && until <= now
            {
                (place.claim, place.missed) = (Claim::Nothing, true);
                missed += 1;
            }
            let counts_anyway = place.is_here() || place.claim != Claim::Nothing;
            let kept = counts_anyway || now < place.seen + KEPT;
            if kept {
                counts.add(place);
                standing += usize::from(counts_anyway || now < place.seen + RECENT);
            }
            kept
        });
        (self.counts, self.standing) = (counts, standing);
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
        let mut counts = Counts::default();
        self.line.iter().for_each(|place| counts.add(place));
        assert_eq!(self.counts, counts);
        assert!(
            self.line.iter().all(|place| place.claim != Claim::Granted || place.forms > 0),
            "a slot stands by a form"
        );
        assert_eq!(self.in_flight, self.others + self.slots.values().sum::<usize>());
        assert!(self.slots.values().all(|&slots| slots > 0));
    }
}

#[cfg(test)]
mod tests;
