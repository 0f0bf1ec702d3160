//! What is published while people wait: signed records, of which each names the one before.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use super::fields::Fields;
use super::hex::{Hash, Hex};
use crate::Millis;

/// Longest name of a room or event, in bytes.
pub const MAX_NAME: usize = 256;
/// Longest reason for a void draw, in bytes: 280 characters of any language.
pub const MAX_REASON: usize = 1_120;
/// Most records of a draw.
pub const MAX_RECORDS: usize = 20_000;
/// Most freezes: one, and one for each time that the store comes back with shoppers who had joined in time.
pub const MAX_GROUPS: usize = 64;
/// Time from one count to the next, in a pre-queue of up to 27 hours.
const EVERY: Millis = 10_000;

/// The time from one count to the next, in a pre-queue of this length: 10 s, or longer where those would be too many records.
pub fn interval(prequeue: Millis) -> Millis {
    // Half of them: a start may be put off.
    EVERY.max(prequeue / (MAX_RECORDS as Millis / 2))
}

/// A signed statement of the gateways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Hash of the record before; zeros in the first.
    pub previous: Hash,
    /// Store time.
    pub time: Millis,
    /// What it states.
    pub body: Body,
    /// Ed25519 over [`Record::hash`].
    pub signature: Signature,
}

/// An Ed25519 signature.
pub type Signature = Hex<64>;

impl From<[u8; 64]> for Signature {
    fn from(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }
}

/// What a record states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Body {
    /// The first: before any join.
    Opened(Opened),
    /// Every ten seconds.
    Counted {
        /// Numbers given so far.
        next: u64,
    },
    /// Other times than those published before.
    Moved(Times),
    /// The count and the round are final.
    Frozen(Frozen),
    /// The last: no draw takes place, the order of arrival holds.
    Void(Void),
}

/// What is fixed before the first join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opened {
    /// Name of the room.
    pub room: String,
    /// Id of the event.
    pub event: String,
    /// What the order will hang on.
    pub method: Method,
    /// `C`: see [`super::secret::commitment`].
    pub commitment: Hash,
    /// Ed25519 key of all records.
    pub public_key: Hash,
    /// When the count is frozen, and when the event starts.
    pub times: Times,
    /// Hash of the last record of the draw before in this room; zeros if there was none. A draw that was dropped, to try
    /// again, stays known by it.
    pub after: Hash,
}

/// What the order hangs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Method {
    /// `K` and a public random number that exists only after the freeze.
    Beacon {
        /// Hash of drand's chain, which says its key, start and period.
        chain: Hash,
    },
    /// `K` alone, which the operator knows: it binds nobody who has the secret.
    CommitOnly,
}

/// When the count is frozen, and when the event starts. Store time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// No freeze before this.
    pub freeze: Millis,
    /// Admission begins.
    pub start: Millis,
}

/// Numbers that are drawn among themselves. The first are all that were given before the freeze; further ones are of shoppers who
/// joined in time while the store was away, and were numbered later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frozen {
    /// The lowest number; 0 for those of the freeze.
    pub first: u64,
    /// `M`: how many.
    pub count: u64,
    /// The latest of the store's clock and of every gateway's at the freeze.
    pub latest_clock: Millis,
    /// `R`: see [`super::freeze::round`]. 0 without a beacon.
    pub round: u64,
    /// `K`. It is no secret from here on: so nobody can keep it back when its holder dislikes the order.
    pub k: Hash,
    /// How many of the numbers the 20 networks hold that have most of them. Only the gateways know, nobody can check it.
    pub largest_networks: u64,
}

/// Why no draw takes place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Void {
    /// The words of the operator.
    pub reason: String,
    /// `K`.
    pub k: Hash,
}

impl Record {
    /// A record that is not signed yet.
    pub fn unsigned(previous: Hash, time: Millis, body: Body) -> Self {
        Self { previous, time, body, signature: Hex([0; 64]) }
    }

    /// Hash of everything but the signature: what is signed, and what the next record names.
    pub fn hash(&self) -> Hash {
        let fields = Fields::of("weir/record/2").bytes(&self.previous.0).number(self.time);
        self.body.put(fields).hash()
    }

    /// Whether this key signed it.
    pub fn is_signed_by(&self, key: &Hash) -> bool {
        UnparsedPublicKey::new(&ED25519, &key.0).verify(&self.hash().0, &self.signature.0).is_ok()
    }
}

impl Body {
    fn put(&self, fields: Fields) -> Fields {
        match self {
            Self::Opened(opened) => opened.put(fields.text("opened")),
            Self::Counted { next } => fields.text("counted").number(*next),
            Self::Moved(times) => times.put(fields.text("moved")),
            Self::Frozen(frozen) => frozen.put(fields.text("frozen")),
            Self::Void(void) => fields.text("void").text(&void.reason).bytes(&void.k.0),
        }
    }
}

impl Opened {
    fn put(&self, fields: Fields) -> Fields {
        let fields = fields.text(&self.room).text(&self.event);
        let fields = match &self.method {
            Method::Beacon { chain } => fields.text("beacon").bytes(&chain.0),
            Method::CommitOnly => fields.text("commit_only").bytes(&[]),
        };
        let fields = fields.bytes(&self.commitment.0).bytes(&self.public_key.0);
        self.times.put(fields).bytes(&self.after.0)
    }
}

impl Times {
    fn put(self, fields: Fields) -> Fields {
        fields.number(self.freeze).number(self.start)
    }
}

impl Frozen {
    fn put(&self, fields: Fields) -> Fields {
        let fields = fields.number(self.first).number(self.count).number(self.latest_clock).number(self.round);
        fields.bytes(&self.k.0).number(self.largest_networks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pre_queue_of_any_length_fits() {
        const HOUR: Millis = 60 * 60 * 1_000;
        assert_eq!(interval(0), 10_000);
        assert_eq!(interval(24 * HOUR), 10_000);
        for days in [2, 7, 30] {
            assert!(days * 24 * HOUR / interval(days * 24 * HOUR) <= MAX_RECORDS as Millis / 2, "{days} days");
        }
    }
}
