//! The audit: who did what, when and why, as lines that each name the hash of the line before.
//!
//! ```text
//! {"number":12,"at":"...","who":"kim","action":"pause",...,"prev":"<hash of line 11>","hash":"<hash of this line without it>"}
//! ```
//!
//! So a line that was changed, taken out or put in does not fit. The last lines can be cut without a trace in the file itself:
//! the head (number and hash of the last line) is in the log and in the status, and an outside copy of it proves the cut.
//!
//! A store that loses writes, or all it has, begins another branch: at an earlier line, or at none. The first gateway that
//! notices writes a line that names the head that was lost (`lost`), so that both branches are known: a *fork*.
//!
//! Out of scope: where lines are kept, and who may read them.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// Hex digits of a hash.
const HEX: usize = 64;
/// What stands between a line without its hash and the hash.
const MARK: &str = ",\"hash\":\"";
/// What stands after it.
const END: &str = "\"}";

/// The last line of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Head {
    /// Its number, from 1; 0: there is none.
    pub number: u64,
    /// Its SHA-256, in hex.
    pub hash: String,
}

impl Default for Head {
    /// Of a chain without lines.
    fn default() -> Self {
        Self { number: 0, hash: "0".repeat(HEX) }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.hash)
    }
}

impl FromStr for Head {
    type Err = BadHead;

    fn from_str(text: &str) -> Result<Self, BadHead> {
        let (number, hash) = text.split_once(' ').ok_or(BadHead)?;
        let number = number.parse().map_err(|_| BadHead)?;
        if is_hash(hash) { Ok(Self { number, hash: hash.to_owned() }) } else { Err(BadHead) }
    }
}

/// A text that is no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a head is a number and 64 hex digits")]
pub struct BadHead;

fn is_hash(text: &str) -> bool {
    text.len() == HEX && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// What is written down, in the order of its line.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Entry {
    /// From 1, without a gap.
    #[serde(default)]
    pub number: u64,
    /// When, by the clock of the store.
    pub at: String,
    /// The gateway that wrote it.
    pub gateway: String,
    /// Who did it.
    pub who: String,
    /// What: an action, `apply`, `rollback`, `fork`.
    pub action: String,
    /// The room that it was done to; `None`: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// What it was done with, such as `+10%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
    /// Why, in the words of who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The one-time id of the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The version of the rooms that was in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The version that it put in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Of a fork: the head that the store does not have any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Head>,
    /// The hash of the line before.
    #[serde(default)]
    pub prev: String,
}

/// A line of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// As it is kept, without its end of line.
    pub text: String,
    /// The head of a chain that ends with it.
    pub head: Head,
}

impl Entry {
    /// The line of this entry behind that head.
    pub fn behind(self, head: &Head) -> Line {
        let entry = Self { number: head.number + 1, prev: head.hash.clone(), ..self };
        // Plain data in memory: it cannot fail.
        let whole = serde_json::to_string(&entry).unwrap_or_default();
        let body = whole.strip_suffix('}').unwrap_or_default();
        let hash = hash_of(body);
        Line { text: format!("{body}{MARK}{hash}{END}"), head: Head { number: entry.number, hash } }
    }

    /// What a line says, and the head of a chain that ends with it; `None`: it was changed, or is no line.
    pub fn read(line: &str) -> Option<(Self, Head)> {
        let (body, hash) = line.strip_suffix(END)?.split_at_checked(line.len().checked_sub(END.len() + HEX)?)?;
        let body = body.strip_suffix(MARK)?;
        if hash_of(body) != hash {
            return None;
        }
        let entry: Self = serde_json::from_str(&format!("{body}}}")).ok()?;
        let head = Head { number: entry.number, hash: hash.to_owned() };
        Some((entry, head))
    }
}

fn hash_of(body: &str) -> String {
    hex(digest(&SHA256, body.as_bytes()).as_ref())
}

/// Bytes as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a whole chain says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Lines.
    pub lines: usize,
    /// Number of the first; more than 1: older ones are elsewhere.
    pub first: u64,
    /// The last line.
    pub head: Head,
    /// Where the store went on from an earlier line, or from none.
    pub forks: Vec<Fork>,
}

/// Two branches of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// The line of the file, from 1, that says so.
    pub line: usize,
    /// The last line that both have, by its number; 0: none.
    pub after: u64,
    /// The end of the branch that the store lost.
    pub lost: Head,
}

/// The first thing that is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A line does not have the hash that it says.
    #[error("line {0} was changed: its hash is that of another text")]
    Changed(usize),
    /// A line does not follow any line before it.
    #[error(
        "line {line} does not follow the line before it: number {number} after {after}; lines are missing, or were put in"
    )]
    Gap {
        /// The line, from 1.
        line: usize,
        /// The number that it says.
        number: u64,
        /// The number before it.
        after: u64,
    },
    /// A branch that no line explains.
    #[error("line {0} begins another branch, and no line after it says that the store lost the branch before")]
    Branch(usize),
    /// The head is not there.
    #[error(
        "the line with the head {head} is not there: the file ends with number {number}, its end was cut or it is another chain"
    )]
    Cut {
        /// The head that was asked for.
        head: String,
        /// The last number that is there.
        number: u64,
    },
}

/// Checks the lines of a chain, and that `head`, a hash from an outside copy, is among them.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify<'l>(lines: impl IntoIterator<Item = &'l str>, head: Option<&str>) -> Result<Verified, Broken> {
    let mut chain = Chain::default();
    for (at, line) in lines.into_iter().enumerate() {
        chain.take(at + 1, line)?;
    }
    if let Some(branch) = chain.unexplained.first() {
        return Err(Broken::Branch(branch.line));
    }
    match head.map(str::trim) {
        Some(head) if !chain.known.contains_key(head) => {
            Err(Broken::Cut { head: head.to_owned(), number: chain.verified.head.number })
        }
        _ => Ok(chain.verified),
    }
}

/// The lines so far.
#[derive(Default)]
struct Chain {
    verified: Verified,
    /// Their numbers, by hash.
    known: HashMap<String, u64>,
    /// Branches whose reason was not told yet.
    unexplained: Vec<Fork>,
}

impl Chain {
    fn take(&mut self, line: usize, text: &str) -> Result<(), Broken> {
        let (entry, head) = Entry::read(text).ok_or(Broken::Changed(line))?;
        let tip = &self.verified.head;
        let after = entry.number.wrapping_sub(1);
        if self.verified.lines == 0 {
            self.verified.first = entry.number;
        } else if (after, &entry.prev) != (tip.number, &tip.hash) {
            let parent = Head { number: after, hash: entry.prev.clone() };
            if parent != Head::default() && self.known.get(&parent.hash) != Some(&parent.number) {
                return Err(Broken::Gap { line, number: entry.number, after: tip.number });
            }
            self.unexplained.push(Fork { line, after, lost: tip.clone() });
        }
        if let Some(lost) = &entry.lost
            && let Some(at) = self.unexplained.iter().position(|fork| fork.lost == *lost)
        {
            self.verified.forks.push(Fork { line, ..self.unexplained.remove(at) });
        }
        self.known.insert(head.hash.clone(), head.number);
        self.verified.lines += 1;
        self.verified.head = head;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
