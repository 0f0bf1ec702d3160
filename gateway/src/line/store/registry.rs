//! The registry: state shared by gateways besides lines. The live gateways, the rooms in force, and the audit.
//!
//! The rooms are kept as versions: texts that are written once and never changed. Which of them is in
//! force is one small value beside them, so that a change of all rooms is one write. Every switch has
//! a number that only grows: a gateway with a higher one than the store can give back what it lost.
//!
//! The audit is a chain of lines ([`policy::audit`]). A change and its line are one write, and a line is written only behind the
//! one that it names: who has not seen the last one is told so, and says it again behind that.
//!
//! Out of scope: the meaning of a text ([`crate::settings::config`]), and when exchanges happen (`fleet`).

use std::sync::Arc;
use std::time::Duration;

use policy::Millis;
use policy::audit::{Head, Line};

use super::Answer;

/// A gateway that was silent for this long is forgotten.
pub const SILENCE: Duration = Duration::from_secs(5);
/// Number of stored versions; the one in force and the one before it always are among them.
pub const KEPT: usize = 20;

/// Number of stored lines of the audit; gateways keep more.
pub const KEPT_LINES: usize = 10_000;
/// Lines of the audit in one answer.
pub const PAGE_OF_LINES: usize = 500;

/// The version of the rooms in force. Number 0 stands for the `[[room]]` tables of each gateway's own file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct InForce {
    /// Number of switches so far.
    pub switch: u64,
    /// The version of the last switch.
    pub number: u64,
}

/// Rooms as they were applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The number of the switch that made it: no other version ever has it.
    pub number: u64,
    /// When, in the time of the store.
    pub made: Millis,
    /// `[[room]]` tables, in TOML.
    pub text: Arc<str>,
}

impl Version {
    /// Its name in the problems of its text.
    pub fn name(&self) -> String {
        format!("version {} of the rooms", self.number)
    }
}

/// The message of a gateway.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// Its process.
    pub incarnation: u32,
    /// Its report of itself.
    pub text: String,
    /// The version in force that it knows: only another one is sent in full.
    pub knows: InForce,
}

/// The reply to a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeartbeatReply {
    /// The version in force.
    pub in_force: InForce,
    /// Its content, if the gateway does not know of that switch and it is not number 0.
    pub version: Option<Version>,
    /// The reports of all gateways heard within [`SILENCE`], this one included.
    pub gateways: Vec<String>,
    /// The last line of the audit.
    pub audit: Head,
    /// The time of the store.
    pub now: Millis,
}

/// A change of the version in force.
#[derive(Debug, Clone)]
pub enum Change {
    /// To a new version of this text.
    Add(Arc<str>),
    /// To a stored version, or to 0.
    To(u64),
    /// Gives back a version that the store has lost.
    Restore(InForce, Option<Version>),
    /// Changes nothing, whatever is in force: for a line of the audit alone.
    Nothing,
}

/// A line of the audit, and the head that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The last line so far.
    pub behind: Head,
    /// The next one.
    pub line: Line,
}

/// The result of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Switched {
    /// This is in force now.
    Now(InForce),
    /// Another version had come in force meanwhile: nothing was changed.
    Other(InForce),
    /// No such version is stored: nothing was changed.
    Unknown,
    /// The audit has another last line: nothing was changed.
    Behind(Head),
}

/// The port to state shared by gateways besides lines.
pub trait Registry: Send + Sync {
    /// Reports this gateway, and returns the others and the rooms in force.
    fn exchange(&self, heartbeat: Heartbeat) -> Answer<'_, HeartbeatReply>;

    /// Every stored version, oldest first.
    fn versions(&self) -> Answer<'_, Vec<Version>>;

    /// Changes the version in force, if `from` still is, and writes the line of the audit that says so. Atomic.
    fn record(&self, from: InForce, change: Change, link: Option<Link>) -> Answer<'_, Switched>;

    /// The same without a line.
    fn switch(&self, from: InForce, change: Change) -> Answer<'_, Switched> {
        self.record(from, change, None)
    }

    /// Lines of the audit from this number on, oldest first, at most [`PAGE_OF_LINES`].
    fn audit(&self, from: u64) -> Answer<'_, Vec<String>>;
}

/// The numbers to forget among `kept`. `needed` are the version in force and the one before it.
pub(super) fn superfluous(mut kept: Vec<u64>, needed: [u64; 2]) -> Vec<u64> {
    kept.sort_unstable();
    let excess = kept.len().saturating_sub(KEPT);
    kept.into_iter().filter(|number| !needed.contains(number)).take(excess).collect()
}
