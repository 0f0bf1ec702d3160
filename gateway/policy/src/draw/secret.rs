//! What only the gateways know before the freeze.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

use super::fields::Fields;
use super::hex::{Hash, Hex};
use super::record::{Opened, Record, Signature};
use crate::Millis;

/// `C`: the hash of `K`, bound to one event of one room. It tells nothing of `K`, and no other `K` opens it.
pub fn commitment(room: &str, event: &str, k: &Hash) -> Hash {
    Fields::of("weir/commit").text(room).text(event).bytes(&k.0).hash()
}

/// `K` and the signing key of one draw, the same on every gateway that has the secret.
///
/// When the pre-queue opened is part of both: an event that is deleted and made anew under its old id has another `K`, since
/// the first one is published when its draw is dropped.
pub struct Secret {
    /// Mixed into the seed. Published with the freeze.
    pub k: Hash,
    signer: Ed25519KeyPair,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}

impl Secret {
    /// Of an event whose pre-queue opened at `opened`. `None` if the library takes no such key, which 32 bytes always are.
    pub fn derive(gateways: &[u8], room: &str, event: &str, opened: Millis) -> Option<Self> {
        let about = Fields::of("weir/draw").text(room).text(event).number(opened).hash();
        let master = hmac::Key::new(hmac::HMAC_SHA256, gateways);
        let derived = |label: &str| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&master, label.as_bytes()).as_ref());
            hmac::sign(&key, &about.0)
        };
        let mut k = [0; 32];
        k.copy_from_slice(derived("weir/1/draw").as_ref());
        let signer = Ed25519KeyPair::from_seed_unchecked(derived("weir/1/draw-key").as_ref()).ok()?;
        Some(Self { k: Hex(k), signer })
    }

    /// Of a draw that was opened with one of these secrets: keys of the gateways rotate while people wait.
    pub fn of_draw<'s>(secrets: impl IntoIterator<Item = &'s [u8]>, opened: &Opened, time: Millis) -> Option<Self> {
        let derive = |secret| Self::derive(secret, &opened.room, &opened.event, time);
        secrets.into_iter().filter_map(derive).find(|secret| secret.public_key() == opened.public_key)
    }

    /// The Ed25519 key that checks its signatures.
    pub fn public_key(&self) -> Hash {
        let mut key = [0; 32];
        key.copy_from_slice(self.signer.public_key().as_ref());
        Hex(key)
    }

    /// The same record, signed. `None` if the library does not sign, which has no reason to happen.
    pub fn sign(&self, record: Record) -> Option<Record> {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.signer.try_sign(&record.hash().0).ok()?.as_ref());
        Some(Record { signature: Signature::from(signature), ..record })
    }
}
