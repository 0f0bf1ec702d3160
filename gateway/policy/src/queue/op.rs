//! The operations on a room at a gateway, and the answers to their callers.

use crate::Millis;
use crate::cap::Cap;
use crate::line::{Arrival, Grant};
use crate::stock::StockLevel;
use crate::ticket::Token;

/// An operation on a line. `R` is the handle for the reply to its caller.
#[derive(Debug)]
pub enum Op<R> {
    /// Take a number, and claim it if it is called at once or very soon.
    Join {
        /// Only if it is called already (`reject`).
        if_called: bool,
        /// The caller.
        reply: R,
    },
    /// Trade an arrival for its number, and claim that as a join does.
    Arrive {
        /// The arrival.
        arrival: Arrival,
        /// The caller.
        reply: R,
    },
    /// Look, without a number.
    Visit {
        /// The caller.
        reply: R,
    },
    /// Trade a called ticket for a pass.
    Claim {
        /// Its number.
        number: u64,
        /// The caller.
        reply: R,
    },
    /// Extend a pass.
    Renew {
        /// Its number.
        number: u64,
        /// When it was given, according to its token.
        admitted: Millis,
    },
    /// The holder of a pass came back with it.
    Confirm {
        /// Its number.
        number: u64,
    },
    /// End a pass, or give up a place.
    Release {
        /// The pass or ticket.
        token: Token,
    },
    /// End the pass of this number, by the word of an operator.
    End {
        /// Its number.
        number: u64,
    },
    /// A token that may be unknown to the line.
    Shown {
        /// The pass or ticket.
        token: Token,
    },
    /// Something behind the line takes no more than this.
    Cap {
        /// The cap.
        cap: Cap,
    },
    /// The stock of a product.
    Stock {
        /// Its level.
        level: StockLevel,
    },
    /// Number the provisional tickets of a gateway's incarnation, which may be dead.
    Adopt {
        /// The incarnation.
        incarnation: u32,
        /// The highest sequence shown.
        last: u64,
    },
}

/// The answer to a caller who wants in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// A pass.
    Pass {
        /// Its place.
        number: u64,
        /// Its end.
        expires: Millis,
        /// When it was given, however often it was renewed since.
        admitted: Millis,
    },
    /// A place in the line.
    Ticket(u64),
    /// A place in a round that is not drawn.
    InRound {
        /// The round's id.
        round: u32,
        /// Its sequence.
        sequence: u64,
    },
    /// The room is full and has no place to wait.
    Full,
    /// The ticket was used up.
    Spent,
    /// No number, but one visit.
    Visit,
    /// The store did not answer. A ticket stays worth what it was.
    Away,
}

impl Admission {
    /// The answer to a newcomer without a word from the store. A number wanted only if it is called is wanted now:
    /// a room that rejects keeps no place.
    pub fn unanswered(if_called: bool) -> Self {
        if if_called { Self::Full } else { Self::Away }
    }

    /// A grant as an answer to the holder of this number; `None`: ask again.
    pub(super) fn of(number: u64, grant: Option<&Grant>) -> Option<Self> {
        match grant? {
            &Grant::Pass { expires, admitted } => Some(Self::Pass { number, expires, admitted }),
            Grant::Spent => Some(Self::Spent),
            Grant::NotYet => None,
        }
    }
}
