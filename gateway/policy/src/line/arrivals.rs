//! Arrivals that came back, and the place given for each.
//!
//! A caller asked to confirm brings back an id, good for one number: shown again, by a second tab or after a lost answer, it
//! gets the same number. The line keeps it for as long as an arrival may be shown; after that its seal has ended.
//!
//! Out of scope: the seal and the end of an arrival ([`crate::admit`]), and memory across a store that lost writes: an arrival
//! traded in the minute before then gets a second number.

use std::collections::{HashMap, HashSet, VecDeque};

use super::Line;
use super::batch::Arrival;
use super::persist::Change;
use super::rounds::Place;
use crate::Millis;
use crate::ticket::ARRIVAL_LIFE;

/// Arrivals remembered at once; past that the oldest is forgotten. The same bound stands in `line.lua`.
const MOST: usize = 1 << 18;

/// Places of arrivals, and when they are forgotten.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrivals {
    places: HashMap<u64, Place>,
    /// The end of each, in order of arrival.
    ends: VecDeque<(Millis, u64)>,
}

impl Arrivals {
    pub(super) fn set(&mut self, id: u64, place: Place, until: Millis) {
        self.places.insert(id, place);
        self.ends.push_back((until, id));
    }

    pub(super) fn place(&self, id: u64) -> Option<Place> {
        self.places.get(&id).copied()
    }

    /// Removes an arrival that has ended, or that is over the bound.
    fn pop(&mut self, now: Millis) -> Option<u64> {
        let over = self.ends.len() > MOST;
        let (_, id) = self.ends.pop_front_if(|&mut (until, _)| over || until <= now)?;
        self.places.remove(&id);
        Some(id)
    }
}

impl Line {
    /// The numbers of those traded before.
    pub(super) fn numbers_of<'a>(&'a self, arrivals: &'a [Arrival]) -> impl Iterator<Item = u64> + 'a {
        arrivals.iter().filter_map(|arrival| match self.arrivals.place(arrival.id)? {
            Place::Number(number) => Some(number),
            Place::InRound { .. } => None,
        })
    }

    /// The ids that get a number now, once each. `spare`: numbers that could be granted now.
    pub(super) fn fresh(&self, arrivals: &[Arrival], spare: u64) -> Vec<u64> {
        let (mut fresh, mut seen) = (Vec::new(), HashSet::new());
        for &Arrival { id, if_called } in arrivals {
            let fits = !if_called || (fresh.len() as u64) < spare;
            if fits && self.arrivals.place(id).is_none() && seen.insert(id) {
                fresh.push(id);
            }
        }
        fresh
    }

    /// Gives these the numbers from `first` on, or those sequences of a round.
    pub(super) fn trade(&mut self, fresh: &[u64], round: u32, first: u64) {
        let until = self.counters.now + ARRIVAL_LIFE;
        for (&id, at) in fresh.iter().zip(first..) {
            let place = if round == 0 { Place::Number(at) } else { Place::InRound { round, sequence: at } };
            self.arrivals.set(id, place, until);
            self.changes.push(Change::Arrived(id, Some((place, until))));
        }
    }

    /// Forgets arrivals that have ended.
    pub(super) fn end_arrivals(&mut self) {
        while let Some(id) = self.arrivals.pop(self.counters.now) {
            self.changes.push(Change::Arrived(id, None));
        }
    }
}
