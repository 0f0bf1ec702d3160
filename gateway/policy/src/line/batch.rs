//! A batch of calls to a line, and its outcome.
//!
//! Both can be sent to a store's script and back (serde). A batch carries a ticket's number as text: a script names members of
//! its sets by texts, and its doubles hold integers only below 2^53. [`Adopted`] and [`Revoked`] are the texts that a
//! script keeps lists of.

use serde::{Deserialize, Serialize, Serializer};

use super::numbers::Chunk;
use super::rounds::Place;
use crate::Millis;
use crate::cap::Cap;
use crate::lease::{Lease, LeaseReport};
use crate::segment::Segment;
use crate::stock::StockLevel;
use crate::ticket::{Adopt, Adopted, Round};
use crate::view::View;

/// All calls of one gateway to one line at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Batch {
    /// The gateway; the claims below replace its earlier claimants.
    pub gateway: u32,
    /// It reaches no server of the shop: it names no claimants, and the line does not live through its time.
    pub shop_rests: bool,
    /// Its high-water mark of the line, against a store that lost writes.
    pub seen: HighWater,
    /// Its part in the recovery of a store that lost writes.
    pub restore: Restore,
    /// Its report of its lease, if it has one.
    pub lease: Option<LeaseReport>,
    /// Caps on the rate that the gateway has learned of.
    pub caps: Vec<Cap>,
    /// The stock of products that the gateway has learned of.
    pub stock: Vec<StockLevel>,
    /// Places kept while the store was away: numbered first.
    pub adopt: Option<Adopt>,
    /// Newcomers who came back with an arrival: numbered before those without.
    pub arrivals: Vec<Arrival>,
    /// Newcomers without one.
    pub joins: u64,
    /// Newcomers that want a number only if it is already called (`reject`): they come first.
    pub joins_if_called: u64,
    /// Requests that only look, without a number: let in if no shopper waits.
    pub visits: u64,
    /// Called tickets whose holders are here, in any order.
    #[serde(serialize_with = "texts")]
    pub claims: Vec<u64>,
    /// Passes to extend: number, and when each was given according to its token.
    #[serde(serialize_with = "texts_and_times")]
    pub renewals: Vec<(u64, Millis)>,
    /// Passes whose holders came back with them.
    #[serde(serialize_with = "texts")]
    pub confirmed: Vec<u64>,
    /// Passes and tickets to end at once.
    #[serde(serialize_with = "texts")]
    pub releases: Vec<u64>,
    /// Passes that operators end, also such that the line does not know.
    #[serde(serialize_with = "texts")]
    pub ends: Vec<u64>,
    /// How many revocations of this line the gateway knows already.
    pub revocations_seen: u64,
    /// What decides the order of a round that is drawn in this transition: no shopper can know it before.
    #[serde(serialize_with = "text")]
    pub seed: u64,
}

/// An arrival that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Arrival {
    /// Its id: good for one number.
    #[serde(serialize_with = "text")]
    pub id: u64,
    /// It wants a number only if that is already called.
    pub if_called: bool,
}

/// The high-water mark of a gateway: the most it has seen of a line, in answers of its store and in sealed tokens.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct HighWater {
    /// The base of the open segment in the last answer; `None`: no answer yet.
    pub opened: Option<u64>,
    /// The high-water mark of each segment, in order.
    pub segments: Vec<Segment>,
    /// Passes given, as last answered.
    pub granted: u64,
    /// Seats taken, as last answered.
    pub active: u64,
    /// Store time of the last answer.
    pub now: Millis,
    /// The time of day in the last answer.
    pub utc: Millis,
    /// Gateways that hold leases, as last answered.
    pub gateways: u64,
    /// Tokens that the line owed for shoppers let in before their time, as last answered.
    pub owed: u64,
    /// Provisional tickets with their numbers.
    pub adopted: Vec<Adopted>,
    /// The round, as last answered.
    pub round: Round,
}

/// A gateway's knowledge of claims and passes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Restore {
    /// Passes that live: number and end.
    #[serde(serialize_with = "texts_and_times")]
    pub passes: Vec<(u64, Millis)>,
    /// Revoked passes: number and end.
    #[serde(serialize_with = "texts_and_times")]
    pub revoked: Vec<(u64, Millis)>,
    /// Passes given under a lease and unknown to the line: number and end.
    #[serde(serialize_with = "texts_and_times")]
    pub lent: Vec<(u64, Millis)>,
    /// Claimed numbers.
    pub claimed: Vec<Chunk>,
    /// Whether more is to come of what it knew when it noticed the loss.
    pub more: bool,
}

/// The time and identity of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Its clock.
    pub now: Millis,
    /// Its server. Another one than before may lack the last writes.
    pub server: u64,
}

/// The time of a store whose server never changes.
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
    /// Not called, or called and without a token or a seat so far: claim again.
    NotYet,
    /// Its pass was used up or given back: the ticket is void.
    Spent,
}

/// A pass taken away before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Revoked {
    /// Its number.
    pub number: u64,
    /// When it would have ended.
    pub expires: Millis,
    /// It only lost its seat, because it never came back: its number claims again. A later pass of that number ends later.
    pub evicted: bool,
}

/// The answer to a [`Batch`].
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The line after it.
    pub view: View,
    /// The place of each arrival, in their order; `None`: turned away. One that was shown before gets the same again.
    pub arrivals: Vec<Option<Place>>,
    /// The round in which newcomers of this batch got their places; 0: they got numbers.
    pub round: u32,
    /// Numbers, or sequences in the round, given to `joins_if_called`, then `joins`: the first of them...
    pub first: u64,
    /// ...how many of `joins_if_called` were given one (the rest are turned away)...
    pub joined_if_called: u64,
    /// Visits let in; the others are turned away.
    pub visits: u64,
    /// Grants for the claims and for new numbers that were called at once. A number that is not
    /// here waits.
    pub grants: Vec<(u64, Grant)>,
    /// New end of each renewed pass; `None` if it had ended.
    pub renewed: Vec<(u64, Option<Millis>)>,
    /// Passes taken away before their end, as far as new to the gateway.
    pub revoked: Vec<Revoked>,
    /// How many revocations the gateway knows with these.
    pub revocations_seen: u64,
    /// The gateway's budget if no further answer comes, if the room lends.
    pub lease: Option<Lease>,
}

/// `incarnation first count base`, and the seed if there is one.
impl From<Adopted> for String {
    fn from(Adopted { adopt: Adopt { incarnation, first, count }, base, seed }: Adopted) -> Self {
        let seed = seed.map_or(String::new(), |seed| format!(" {seed}"));
        format!("{incarnation} {first} {count} {base}{seed}")
    }
}

impl TryFrom<String> for Adopted {
    type Error = BadEntry;

    fn try_from(text: String) -> Result<Self, BadEntry> {
        let drawn = numbers_in(&text)
            .map(|[incarnation, first, count, base, seed]| ([incarnation, first, count, base], Some(seed)));
        let (numbers, seed) = drawn.or_else(|| Some((numbers_in(&text)?, None))).ok_or(BadEntry)?;
        let [incarnation, first, count, base] = numbers;
        let adopt = Adopt { incarnation: incarnation.try_into().map_err(|_| BadEntry)?, first, count };
        Ok(Self { adopt, base, seed })
    }
}

/// `number expires`, and a third word if it was evicted.
impl TryFrom<String> for Revoked {
    type Error = BadEntry;

    fn try_from(text: String) -> Result<Self, BadEntry> {
        let given_back = numbers_in(&text).map(|[number, expires]| Self { number, expires, evicted: false });
        let evicted = || numbers_in(&text).map(|[number, expires, _]| Self { number, expires, evicted: true });
        given_back.or_else(evicted).ok_or(BadEntry)
    }
}

/// A malformed entry in a script's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an entry of a list in the store is not one of this version")]
pub struct BadEntry;

fn numbers_in<const N: usize>(text: &str) -> Option<[u64; N]> {
    let numbers: Vec<u64> = text.split(' ').map(|word| word.parse().ok()).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn text<S: Serializer>(number: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(number)
}

fn texts<S: Serializer>(numbers: &[u64], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(numbers.iter().map(u64::to_string))
}

fn texts_and_times<S: Serializer>(passes: &[(u64, Millis)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(passes.iter().map(|(number, time)| (number.to_string(), time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_a_scripts_lists_are_read_or_refused() {
        for seed in [None, Some(0), Some(u64::MAX)] {
            let adopted = Adopted { adopt: Adopt { incarnation: 7, first: 1, count: 12 }, base: 1 << 30, seed };
            assert_eq!(Adopted::try_from(String::from(adopted)), Ok(adopted));
        }
        let revoked = |evicted| Revoked { number: 5, expires: 90, evicted };
        assert_eq!(Revoked::try_from("5 90".to_owned()), Ok(revoked(false)));
        assert_eq!(Revoked::try_from("5 90 1".to_owned()), Ok(revoked(true)));
        for wrong in ["", "5", "5 90 1 1", "5  90", "-5 90", "5 90.5", "5 99999999999999999999"] {
            assert_eq!(Revoked::try_from(wrong.to_owned()), Err(BadEntry), "{wrong:?}");
        }
        for wrong in ["", "7 1 12", "4294967296 1 12 9", "7 1 12 9 9 9"] {
            assert_eq!(Adopted::try_from(wrong.to_owned()), Err(BadEntry), "{wrong:?}");
        }
    }
}
