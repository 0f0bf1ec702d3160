//! The registry: what gateways share besides lines. Who is there, and which rooms are in force.
//!
//! The rooms are kept as versions: texts that are written once and never changed. Which of them is in
//! force is one small value beside them, so that a change of all rooms is one write. Every switch has
//! a number that only grows: whoever remembers a higher one than the store can give back what it lost.
//!
//! Out of scope: what a text means ([`crate::config`]), and when anybody asks (`fleet`).

use std::sync::Arc;
use std::time::Duration;

use policy::Millis;

use super::Answer;

/// A gateway that was silent for so long is forgotten.
pub const SILENCE: Duration = Duration::from_secs(5);
/// Versions that are kept; the one in force and the one before it always are.
pub const KEPT: usize = 20;

/// Which version of the rooms is in force. Number 0 stands for the `[[room]]` tables of each gateway's own file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct InForce {
    /// How many switches there have been.
    pub switch: u64,
    /// The version that the last one was to.
    pub number: u64,
}

/// Rooms as they were applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The number of the switch that it came with: no other version ever has it.
    pub number: u64,
    /// When, in the time of the store.
    pub made: Millis,
    /// `[[room]]` tables, in TOML.
    pub text: Arc<str>,
}

impl Version {
    /// How problems of its text name it.
    pub fn name(&self) -> String {
        format!("version {} of the rooms", self.number)
    }
}

/// What a gateway tells.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// Which process it is.
    pub run: u32,
    /// What it says of itself.
    pub text: String,
    /// What it knows to be in force: only another version is sent in full.
    pub knows: InForce,
}

/// What a gateway hears.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeartbeatReply {
    /// What is in force.
    pub in_force: InForce,
    /// The version in force, if the gateway does not know of that switch and it is not number 0.
    pub version: Option<Version>,
    /// What every gateway that was not silent for [`SILENCE`] says of itself, this one included.
    pub gateways: Vec<String>,
}

/// A change of what is in force.
#[derive(Debug, Clone)]
pub enum Change {
    /// To a new version of this text.
    Add(Arc<str>),
    /// To a version that is kept, or to 0.
    To(u64),
    /// Gives back what the store has lost.
    Restore(InForce, Option<Version>),
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switched {
    /// This is in force now.
    Now(InForce),
    /// Something else had come in force meanwhile: nothing was changed.
    Other(InForce),
    /// No such version is kept: nothing was changed.
    Unknown,
}

/// What gateways share besides lines.
pub trait Registry: Send + Sync {
    /// Tells the others of this gateway, and hears of them and of the rooms in force.
    fn exchange(&self, heartbeat: Heartbeat) -> Answer<'_, HeartbeatReply>;

    /// Every version that is kept, the oldest first.
    fn versions(&self) -> Answer<'_, Vec<Version>>;

    /// Changes what is in force, if `from` still is. It is all one write.
    fn switch(&self, from: InForce, change: Change) -> Answer<'_, Switched>;
}

/// The numbers to forget, of all that are kept. `needed` are the version in force and the one before it.
pub(super) fn superfluous(mut kept: Vec<u64>, needed: [u64; 2]) -> Vec<u64> {
    kept.sort_unstable();
    let excess = kept.len().saturating_sub(KEPT);
    kept.into_iter().filter(|number| !needed.contains(number)).take(excess).collect()
}
