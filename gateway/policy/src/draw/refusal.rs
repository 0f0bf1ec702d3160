//! Why a file proves nothing.

use super::beacon::BadSignature;
use super::hex::Hash;
use super::record::{MAX_GROUPS, MAX_NAME, MAX_REASON, MAX_RECORDS};
use crate::Millis;

/// What is wrong, and in which record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{why}", .record.map_or_else(String::new, |record| format!("record {record}: ")))]
pub struct Refusal {
    /// Index of the record, from 0.
    pub record: Option<usize>,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Nothing to check.
    #[error("there are no records")]
    NoRecords,
    /// More than a draw has.
    #[error("there are more than {MAX_RECORDS} records")]
    TooManyRecords,
    /// The first says what the draw is.
    #[error("the first record must say what is drawn, and name no record before it")]
    NotOpened,
    /// Another one further on.
    #[error("the draw is opened a second time")]
    OpenedTwice,
    /// The chain is broken.
    #[error(
        "it does not name the record before it: one of them was changed, removed, added or moved, or two histories were mixed"
    )]
    Previous,
    /// The signature does not fit.
    #[error(
        "its signature is not by the key that was published when the draw was opened: it was changed, or another signed it"
    )]
    Signature,
    /// Time runs backwards.
    #[error("it is of {0} ms before the record before it")]
    Time(Millis),
    /// Numbers are never taken back.
    #[error("{told} numbers, where {before} had been given before")]
    Fewer {
        /// What it says.
        told: u64,
        /// What was said before.
        before: u64,
    },
    /// A name or reason out of bounds.
    #[error("a name has 1 to {MAX_NAME} bytes, a reason at most {MAX_REASON}")]
    Text,
    /// A chain of the operator's own proves nothing.
    #[error("its beacon {0} is not a public one that this program knows")]
    Beacon(Hash),
    /// Starts before it freezes, or is moved into the past.
    #[error("its times do not follow one another: now, freeze, start")]
    Times,
    /// The operator knows `K`, so the moment of the freeze decides the order.
    #[error("the freeze was moved forward: without a beacon that chooses the order")]
    MovedForward,
    /// Nothing moves after the freeze.
    #[error("it moves the freeze, which has been")]
    MovedAfterFreeze,
    /// Before the published time.
    #[error("frozen {0} ms before the published time")]
    TooEarly(Millis),
    /// A second freeze, or one that begins elsewhere.
    #[error(
        "it freezes the numbers from {told} on, where those up to {frozen} are frozen already: a frozen count is final"
    )]
    FrozenTwice {
        /// Where it begins.
        told: u64,
        /// What is frozen.
        frozen: u64,
    },
    /// More numbers than a draw can have.
    #[error("{0} numbers are more than a draw can have")]
    TooMany(u64),
    /// A freeze upon a freeze.
    #[error("there are more than {MAX_GROUPS} freezes")]
    TooManyGroups,
    /// The latest clock is not the latest.
    #[error("its latest clock is before its own time")]
    Clock,
    /// Not the round that follows from the clocks.
    #[error("it names the public number of round {told}, the rule leads to round {due}")]
    Round {
        /// What it says.
        told: u64,
        /// What the rule says.
        due: u64,
    },
    /// `K` does not open `C`.
    #[error("its K does not open the commitment: it was changed, or is of another event")]
    Commitment,
    /// A void draw is over.
    #[error("it comes after the draw was declared void")]
    AfterVoid,
    /// A signature that is not that of the round.
    #[error("the public number of round {round}: {why}")]
    RoundSignature {
        /// The round.
        round: u64,
        /// Why not.
        why: BadSignature,
    },
    /// A signature that no freeze asks for.
    #[error("there is a public number of round {0}, which this draw does not use, or it is there twice")]
    OtherRound(u64),
}

impl Why {
    /// Of that record.
    pub fn of(self, record: usize) -> Refusal {
        Refusal { record: Some(record), why: self }
    }

    /// Of no record alone.
    pub fn of_all(self) -> Refusal {
        Refusal { record: None, why: self }
    }
}
