//! What is asked of a line at one moment, and its answer.

use super::numbers::Chunk;
use crate::Millis;
use crate::lease::{Held, Lease};
use crate::segment::Segment;
use crate::ticket::{Adopt, Adopted};
use crate::view::View;

/// Everything that one gateway asks of one line at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Which gateway asks; its earlier claimants are replaced by the ones below.
    pub gateway: u32,
    /// It reaches no server of the shop: it names nobody, and the line does not live through its time.
    pub shop_rests: bool,
    /// What it remembers of the line, against a store that lost writes.
    pub seen: Seen,
    /// What it gives back to a store that lost writes.
    pub restore: Restore,
    /// What it says of its lease, if it has one.
    pub lease: Option<Held>,
    /// Places kept while the store was away: they are numbered first.
    pub adopt: Option<Adopt>,
    /// Newcomers who came back with an arrival: they are numbered before those without.
    pub arrivals: Vec<Arrival>,
    /// Newcomers without one.
    pub joins: u64,
    /// Newcomers that want a number only if it is already called (`reject`): they come first.
    pub joins_if_called: u64,
    /// Those who only look, without a number: let in if nobody waits.
    pub visits: u64,
    /// Called tickets whose holders are here, in any order.
    pub claims: Vec<u64>,
    /// Passes to extend: number, and when each was given as far as its token tells.
    pub renewals: Vec<(u64, Millis)>,
    /// Passes whose holders came back with them.
    pub confirmed: Vec<u64>,
    /// Passes and tickets to end at once.
    pub releases: Vec<u64>,
    /// How many revocations of this line the gateway knows already.
    pub revocations_seen: u64,
}

/// An arrival that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its id: good for one number.
    pub id: u64,
    /// It wants a number only if that is already called.
    pub if_called: bool,
}

/// The most that a gateway has seen of a line, in answers of its store and in sealed tokens.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// The base of the segment that was open in the last answer; `None`: there was none yet.
    pub opened: Option<u64>,
    /// The furthest that each segment was seen, in order.
    pub segments: Vec<Segment>,
    /// Passes given, as last answered.
    pub granted: u64,
    /// Seats taken, as last answered.
    pub active: u64,
    /// Store time of the last answer.
    pub now: Millis,
    /// Gateways that hold leases, as last answered.
    pub gateways: u64,
    /// Provisional tickets that have their numbers.
    pub adopted: Vec<Adopted>,
}

/// What a gateway knows of claims and passes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restore {
    /// Passes that live: number and end.
    pub passes: Vec<(u64, Millis)>,
    /// Passes that were given back: number and end.
    pub revoked: Vec<(u64, Millis)>,
    /// Passes that were given under a lease and that the line was not told of: number and end.
    pub lent: Vec<(u64, Millis)>,
    /// Numbers that were claimed.
    pub claimed: Vec<Chunk>,
    /// There is more of what it knew when it noticed the loss.
    pub more: bool,
}

/// When a store does something, and which store it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Its clock.
    pub now: Millis,
    /// Which server. Another one than before may not have what was written last.
    pub server: u64,
}

/// The time of a store that is always the same.
impl From<Millis> for Stamp {
    fn from(now: Millis) -> Self {
        Self { now, server: 0 }
    }
}

/// The answer to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// A pass. A repeated claim gets the same one.
    Pass {
        /// Its end.
        expires: Millis,
        /// When it was given, however often it was renewed since.
        admitted: Millis,
    },
    /// Not called, or called and without a token or a seat so far: ask again.
    NotYet,
    /// Its pass was used up or given back: the ticket is worth nothing.
    Spent,
}

/// A pass that was taken away before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// Its number.
    pub number: u64,
    /// When it would have ended.
    pub expires: Millis,
    /// It has only lost its seat, because it never came back: its number claims again. A later pass of it ends later.
    pub evicted: bool,
}

/// The answer to a [`Batch`].
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The line after it.
    pub view: View,
    /// The number of each arrival, in their order; `None`: turned away. One that was shown before has the same again.
    pub arrivals: Vec<Option<u64>>,
    /// Numbers given to `joins_if_called`, then `joins`: the first of them...
    pub first: u64,
    /// ...how many of `joins_if_called` were given one (the rest are turned away)...
    pub joined_if_called: u64,
    /// Visits that were let in; the others are turned away.
    pub visits: u64,
    /// Grants for the claims and for new numbers that were called at once. A number that is not
    /// here waits.
    pub grants: Vec<(u64, Grant)>,
    /// New end of each renewed pass; `None` if it had ended.
    pub renewed: Vec<(u64, Option<Millis>)>,
    /// Passes taken away before their end that the gateway did not know of.
    pub revoked: Vec<Revoked>,
    /// How many revocations it knows with these.
    pub revocations_seen: u64,
    /// What the gateway may spend if it hears nothing more, if the room lends.
    pub lease: Option<Lease>,
}
