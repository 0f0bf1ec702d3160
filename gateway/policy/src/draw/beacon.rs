//! A public random number: a round of drand that nobody knows before it is due.
//!
//! A round is a BLS signature (BLS12-381, 48 bytes) over its number, by a key of which a score of organisations hold a share
//! each. There is one valid signature for each round, so it does not matter who brings it.

use aws_lc_rs::digest;
use blst::BLST_ERROR;
use blst::min_sig::{PublicKey, Signature};
use serde::Deserialize;

use super::hex::{Hash, Hex};
use crate::Millis;

/// How points of the curve are made of messages: the scheme `bls-unchained-g1-rfc9380`.
pub const DST: &[u8] = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_";
/// The only scheme that is understood.
const SCHEME: &str = "bls-unchained-g1-rfc9380";

/// The signature of a round.
pub type RoundSignature = Hex<48>;

/// A chain of drand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beacon {
    /// Its name: a hash of everything else.
    pub chain: Hash,
    /// BLS key, a point of G2.
    public_key: Hex<96>,
    /// When round 1 was due.
    genesis: Millis,
    /// Time from round to round, at least 1.
    period: Millis,
}

/// Why a signature is not that of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// The chain's key is no point of the curve.
    #[error("the beacon's key is not a BLS key")]
    Key,
    /// The 48 bytes are no point of the curve.
    #[error("it is no BLS signature at all")]
    NoPoint,
    /// Of another round, of another chain, or forged.
    #[error("it is not the beacon's signature of this round: of another round, of another chain, or forged")]
    Wrong,
}

/// A description of a chain as drand's servers give it at `/info`.
#[derive(Debug, Clone, Deserialize)]
pub struct Info {
    public_key: Hex<96>,
    /// Seconds.
    period: u32,
    /// Seconds since the Unix epoch.
    genesis_time: u64,
    hash: Hash,
    #[serde(rename = "groupHash")]
    group_hash: Hash,
    #[serde(rename = "schemeID")]
    scheme: String,
    metadata: Metadata,
}

#[derive(Debug, Clone, Deserialize)]
struct Metadata {
    #[serde(rename = "beaconID")]
    beacon_id: String,
}

/// Why a description is not one of a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadChain {
    /// Signatures of another kind.
    #[error("its scheme is {0}, only {SCHEME} is understood")]
    Scheme(String),
    /// The hash is not that of the rest.
    #[error("its hash is not that of what it says: that is {0}")]
    Hash(Hash),
    /// No time from round to round, or rounds beyond all time.
    #[error("its period or genesis_time is out of range")]
    Time,
}

const QUICKNET_KEY: [u8; 96] = [
    0x83, 0xcf, 0x0f, 0x28, 0x96, 0xad, 0xee, 0x7e, 0xb8, 0xb5, 0xf0, 0x1f, 0xca, 0xd3, 0x91, 0x22, 0x12, 0xc4, 0x37,
    0xe0, 0x07, 0x3e, 0x91, 0x1f, 0xb9, 0x00, 0x22, 0xd3, 0xe7, 0x60, 0x18, 0x3c, 0x8c, 0x4b, 0x45, 0x0b, 0x6a, 0x0a,
    0x6c, 0x3a, 0xc6, 0xa5, 0x77, 0x6a, 0x2d, 0x10, 0x64, 0x51, 0x0d, 0x1f, 0xec, 0x75, 0x8c, 0x92, 0x1c, 0xc2, 0x2b,
    0x0e, 0x17, 0xe6, 0x3a, 0xaf, 0x4b, 0xcb, 0x5e, 0xd6, 0x63, 0x04, 0xde, 0x9c, 0xf8, 0x09, 0xbd, 0x27, 0x4c, 0xa7,
    0x3b, 0xab, 0x4a, 0xf5, 0xa6, 0xe9, 0xc7, 0x6a, 0x4b, 0xc0, 0x9e, 0x76, 0xea, 0xe8, 0x99, 0x1e, 0xf5, 0xec, 0xe4,
    0x5a,
];
const QUICKNET_CHAIN: [u8; 32] = [
    0x52, 0xdb, 0x9b, 0xa7, 0x0e, 0x0c, 0xc0, 0xf6, 0xea, 0xf7, 0x80, 0x3d, 0xd0, 0x74, 0x47, 0xa1, 0xf5, 0x47, 0x77,
    0x35, 0xfd, 0x3f, 0x66, 0x17, 0x92, 0xba, 0x94, 0x60, 0x0c, 0x84, 0xe9, 0x71,
];

impl Beacon {
    /// The chain `quicknet` of the League of Entropy: a round every 3 s since August 2023.
    pub const QUICKNET: Self =
        Self { chain: Hex(QUICKNET_CHAIN), public_key: Hex(QUICKNET_KEY), genesis: 1_692_803_367_000, period: 3_000 };

    /// The chain that is described, if its name is the hash of the description (as drand computes it).
    pub fn of(info: &Info) -> Result<Self, BadChain> {
        if info.scheme != SCHEME {
            return Err(BadChain::Scheme(info.scheme.clone()));
        }
        // Far from where adding rounds to it would overflow.
        if info.period == 0 || info.genesis_time > u64::MAX / 1_000_000 {
            return Err(BadChain::Time);
        }
        let hash = info.computed_hash();
        if hash != info.hash {
            return Err(BadChain::Hash(hash));
        }
        let (genesis, period) = (info.genesis_time * 1_000, u64::from(info.period) * 1_000);
        Ok(Self { chain: hash, public_key: info.public_key, genesis, period })
    }

    /// When a round is due; `None` beyond all time, and for round 0, which there is not.
    pub fn due(&self, round: u64) -> Option<Millis> {
        self.genesis.checked_add(round.checked_sub(1)?.checked_mul(self.period)?)
    }

    /// The first round that is due at `time` or later.
    pub fn first_from(&self, time: Millis) -> u64 {
        1 + time.saturating_sub(self.genesis).div_ceil(self.period)
    }

    /// Whether this is the signature of that round.
    pub fn check(&self, round: u64, signature: &RoundSignature) -> Result<(), BadSignature> {
        let key = PublicKey::key_validate(&self.public_key.0).map_err(|_| BadSignature::Key)?;
        let point = Signature::uncompress(&signature.0).map_err(|_| BadSignature::NoPoint)?;
        match point.verify(true, &message(round).0, DST, &[], &key, false) {
            BLST_ERROR::BLST_SUCCESS => Ok(()),
            _ => Err(BadSignature::Wrong),
        }
    }
}

impl Info {
    fn computed_hash(&self) -> Hash {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&self.period.to_be_bytes());
        hash.update(&self.genesis_time.to_be_bytes());
        hash.update(&self.public_key.0);
        hash.update(&self.group_hash.0);
        if !["", "default"].contains(&self.metadata.beacon_id.as_str()) {
            hash.update(self.metadata.beacon_id.as_bytes());
        }
        hash_of(hash)
    }
}

/// What the beacon signs: the hash of the round's number.
pub fn message(round: u64) -> Hash {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&round.to_be_bytes());
    hash_of(hash)
}

fn hash_of(context: digest::Context) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    Hex(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_due_one_period_after_another() {
        let beacon = Beacon::QUICKNET;
        let genesis = 1_692_803_367_000;
        assert_eq!([beacon.due(0), beacon.due(1), beacon.due(2)], [None, Some(genesis), Some(genesis + 3_000)]);
        // https://api.drand.sh says of round 1000 that it was made at 1692806364.
        assert_eq!(beacon.due(1_000), Some(1_692_806_364_000));
        assert_eq!(beacon.due(u64::MAX), None);
        for (time, round) in [(0, 1), (genesis, 1), (genesis + 1, 2), (genesis + 3_000, 2), (genesis + 3_001, 3)] {
            assert_eq!(beacon.first_from(time), round, "{time}");
        }
        assert!(beacon.first_from(Millis::MAX) > 1);
    }
}
