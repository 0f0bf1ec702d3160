//! The published document of a draw.

use serde::{Deserialize, Serialize};

use super::beacon::RoundSignature;
use super::record::Record;

/// Largest document, in bytes: 20,000 records take 6 MB.
pub const MAX_PROOF: usize = 8 << 20;
/// What the document calls itself.
const FORMAT: &str = "weir-draw";
/// The version of the document, of its records and of the seed.
const VERSION: u64 = 2;

/// All that a sceptic needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    format: String,
    version: u64,
    /// The records, oldest first.
    pub records: Vec<Record>,
    /// Public numbers that are out: one for each freeze.
    pub rounds: Vec<Round>,
}

/// A round of the beacon. It proves itself, so no record has to sign it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Round {
    /// Its number.
    pub round: u64,
    /// Its signature.
    pub signature: RoundSignature,
}

/// Why a text is no proof.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// Not read at all.
    #[error("it is larger than {} MiB, which no draw needs", MAX_PROOF >> 20)]
    TooLarge,
    /// Another document.
    #[error("it does not say \"format\": \"{FORMAT}\": it is not the proof of a draw")]
    Format,
    /// A version of before or of later.
    #[error("it is of version {0}, this program checks version {VERSION}: use the program of that time")]
    Version(u64),
    /// Cut off, altered by hand, or something else.
    #[error("it is not such a document")]
    Json(#[from] serde_json::Error),
}

/// What every version says.
#[derive(Deserialize)]
struct Kind {
    format: Option<String>,
    version: Option<u64>,
}

impl Proof {
    /// Of these records and public numbers.
    pub fn new(records: Vec<Record>, rounds: Vec<Round>) -> Self {
        Self { format: FORMAT.to_owned(), version: VERSION, records, rounds }
    }

    /// Reads a document. A text that is larger than [`MAX_PROOF`] is not looked at.
    pub fn read(text: &[u8]) -> Result<Self, Unread> {
        if text.len() > MAX_PROOF {
            return Err(Unread::TooLarge);
        }
        let kind: Kind = serde_json::from_slice(text)?;
        if kind.format.as_deref() != Some(FORMAT) {
            return Err(Unread::Format);
        }
        match kind.version {
            Some(VERSION) => Ok(serde_json::from_slice(text)?),
            other => Err(Unread::Version(other.unwrap_or_default())),
        }
    }
}
