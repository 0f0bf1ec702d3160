//! What a proof proves.
//!
//! Out of scope: when anybody saw a record. A file alone shows that the order follows from what was published; that it was
//! published in time is known to those who kept a record since (`docs/design/draw.md`).

use super::beacon::{Beacon, RoundSignature};
use super::freeze;
use super::history::History;
use super::proof::{Proof, Round};
use super::record::Frozen;
use super::refusal::{Refusal, Why};
use crate::Millis;
use crate::permutation::Permutation;

/// A proof that holds together.
#[derive(Debug, Clone)]
pub struct Verified {
    /// What its records tell.
    pub history: History,
    /// What it proves.
    pub verdict: Verdict,
}

/// What a proof proves.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// The order follows from a public number that came after the freeze.
    Proved(Drawn),
    /// The order follows from `K` alone, which the operator knew.
    CommitOnly(Drawn),
    /// No draw took place.
    Void(Voided),
    /// Not yet.
    Pending(Pending),
}

/// What a draw waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pending {
    /// The freeze, at this time or later.
    Freeze(Millis),
    /// A public number.
    Round {
        /// Of this round.
        round: u64,
        /// Due at this time.
        due: Millis,
    },
}

/// An order.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// Those of the freeze first. The last may wait for their public number.
    pub groups: Vec<Group>,
}

/// Numbers that are drawn among themselves.
#[derive(Debug, Clone)]
pub struct Group {
    /// When they were frozen.
    pub time: Millis,
    /// What was frozen.
    pub frozen: Frozen,
    /// Their order; `None` until the public number is there.
    pub order: Option<Permutation>,
}

/// A draw that was declared void.
#[derive(Debug, Clone)]
pub struct Voided {
    /// When.
    pub time: Millis,
    /// The words of the operator.
    pub reason: String,
    /// Whether the order could be known by then: the public number was due, or there was no beacon.
    pub after_outcome: bool,
    /// The draw that would have been, if it can be known.
    pub would_be: Option<Drawn>,
}

/// The place of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Drawn, from 0.
    Drawn(u64),
    /// Behind those who were drawn, in the order of arrival.
    Arrival(u64),
    /// Waits for a public number.
    Unknown,
}

impl Drawn {
    /// The place of a number.
    pub fn place(&self, number: u64) -> Place {
        let within = |group: &&Group| number.checked_sub(group.frozen.first).is_some_and(|at| at < group.frozen.count);
        let Some(group) = self.groups.iter().find(within) else { return Place::Arrival(number) };
        let drawn = group.order.and_then(|order| order.place(number - group.frozen.first));
        drawn.map_or(Place::Unknown, |place| Place::Drawn(group.frozen.first + place))
    }

    /// Whether every place is given, and none twice. More than `most` places are not gone through.
    pub fn is_complete(&self, most: u64) -> bool {
        self.count() > most || self.groups.iter().filter_map(|group| group.order).all(|order| order.is_complete())
    }

    /// How many were drawn, or wait for it.
    pub fn count(&self) -> u64 {
        self.groups.iter().map(|group| group.frozen.count).sum()
    }
}

/// Holds a proof against the rules. `beacons` are the chains that count as public.
pub fn verify(proof: &Proof, beacons: &[Beacon]) -> Result<Verified, Refusal> {
    let history = History::read(&proof.records, beacons)?;
    check_rounds(&history, &proof.rounds).map_err(Why::of_all)?;
    let verdict = verdict(&history, &proof.rounds);
    Ok(Verified { history, verdict })
}

fn check_rounds(history: &History, rounds: &[Round]) -> Result<(), Why> {
    for (index, &Round { round, signature }) in rounds.iter().enumerate() {
        let asked = history.frozen.iter().any(|(_, frozen)| frozen.round == round);
        let twice = rounds.iter().take(index).any(|before| before.round == round);
        let Some(beacon) = history.beacon.filter(|_| asked && !twice) else { return Err(Why::OtherRound(round)) };
        beacon.check(round, &signature).map_err(|why| Why::RoundSignature { round, why })?;
    }
    Ok(())
}

fn verdict(history: &History, rounds: &[Round]) -> Verdict {
    let drawn = drawn(history, rounds);
    let known = drawn.groups.first().is_some_and(|group| group.order.is_some());
    if let Some((time, void)) = &history.void {
        return Verdict::Void(Voided {
            time: *time,
            reason: void.reason.clone(),
            after_outcome: outcome_was_out(history, *time),
            would_be: known.then_some(drawn),
        });
    }
    match (&history.beacon, drawn.groups.first()) {
        (_, None) => Verdict::Pending(Pending::Freeze(history.times.freeze)),
        (None, Some(_)) => Verdict::CommitOnly(drawn),
        (Some(_), Some(_)) if known => Verdict::Proved(drawn),
        (Some(beacon), Some(group)) => {
            let round = group.frozen.round;
            Verdict::Pending(Pending::Round { round, due: beacon.due(round).unwrap_or(Millis::MAX) })
        }
    }
}

fn drawn(history: &History, rounds: &[Round]) -> Drawn {
    let groups = history.frozen.iter().map(|(time, frozen)| Group {
        time: *time,
        order: order(history, frozen, rounds),
        frozen: frozen.clone(),
    });
    Drawn { groups: groups.collect() }
}

fn order(history: &History, frozen: &Frozen, rounds: &[Round]) -> Option<Permutation> {
    let signature: Option<&RoundSignature> = match history.beacon {
        None => None,
        Some(_) => Some(&rounds.iter().find(|round| round.round == frozen.round)?.signature),
    };
    Some(Permutation::new(freeze::seed(&history.opened, frozen, signature).0, frozen.count))
}

fn outcome_was_out(history: &History, time: Millis) -> bool {
    let Some(beacon) = history.beacon else { return true };
    history.frozen.first().and_then(|(_, frozen)| beacon.due(frozen.round)).is_some_and(|due| due <= time)
}
