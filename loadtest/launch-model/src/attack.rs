//! Attacks that a crowd can make: actors beside the people of a launch.
//!
//! | kind | what it does | its aim |
//! |---|---|---|
//! | slow body | forms without a cookie, one byte each five seconds, to a page of no room | requests in flight at the shop |
//! | slow preflight | the same by CORS preflights into the room | the same, past the room |
//! | slow reader | asks for a large page, or many small ones, and hardly reads | requests in flight, memory |
//! | zero window | HTTP/2 streams that take nothing | the same, with hundreds of streams a connection |
//! | idle hoarder | connections with a status request each seven seconds | connections |
//! | upgrade hoarder | silent `WebSockets` | connections and requests in flight that never end |
//! | twisted path | spellings that some server may read as the room's page, and costly ones | a way in; processor time |
//! | preflight | CORS preflights with a form, `Weir-Room` and `Weir-Pass-Id` of its own | a way in |
//! | line stuffer | takes places and never claims: half of them poll, half never come back | the line's rate |
//! | seat hoarder | enters without cookies and never comes back | seats |
//! | return path | returns from a payment that was never made | requests in flight at the shop, past the room |
//! | poll flood | asks for the status of the room, dozens at once on each connection | the gateway's processor |
//!
//! Out of scope: how they are made, and their results.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::span::Span;

/// The prefix of an attack's request id.
pub const ID: &str = "attack-";
/// The header with the id: a gateway renames the requests of untrusted clients, and attackers are not trusted.
pub const ID_HEADER: &str = "x-loadtest-id";
/// The `Weir-Pass-Id` that an attack makes up.
pub const FORGED_PASS: &str = "0.999999999999";
/// So long before an attack, and once it is calm again after it, the holders of passes are measured.
pub const CALM: Duration = Duration::from_secs(5);
/// Within so long after the end of an attack it is to be calm again.
pub const RECOVERY: Duration = Duration::from_secs(5);
/// A kind of attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Forms without a cookie, one byte each five seconds, to a page of no room.
    SlowBody,
    /// The same by CORS preflights into the room.
    SlowPreflight,
    /// Asks for a large page, or many small ones, and hardly reads.
    SlowReader,
    /// Streams of HTTP/2 with a window of 0: their answers can never be sent.
    ZeroWindow,
    /// Connections with a status request each seven seconds.
    IdleHoarder,
    /// Silent `WebSockets`.
    UpgradeHoarder,
    /// Spellings of a path that somebody may read as the room's page, and costly ones.
    TwistedPath,
    /// CORS preflights with a form and the gateway's own headers.
    Preflight,
    /// Takes places in the line and never claims: half of them poll, half never come back.
    LineStuffer,
    /// Enters without cookies and never comes back.
    SeatHoarder,
    /// Comes back from a payment that nobody made.
    ReturnPath,
    /// Asks for the status of the room, dozens at once on each connection.
    PollFlood,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::SlowBody,
        Self::SlowPreflight,
        Self::SlowReader,
        Self::ZeroWindow,
        Self::IdleHoarder,
        Self::UpgradeHoarder,
        Self::TwistedPath,
        Self::Preflight,
        Self::LineStuffer,
        Self::SeatHoarder,
        Self::ReturnPath,
        Self::PollFlood,
    ];

    /// Its name as people read it: `slow body`.
    pub fn name(self) -> &'static str {
        match self {
            Self::SlowBody => "slow body",
            Self::SlowPreflight => "slow preflight",
            Self::SlowReader => "slow reader",
            Self::ZeroWindow => "zero window",
            Self::IdleHoarder => "idle hoarder",
            Self::UpgradeHoarder => "upgrade hoarder",
            Self::TwistedPath => "twisted path",
            Self::Preflight => "preflight",
            Self::LineStuffer => "line stuffer",
            Self::SeatHoarder => "seat hoarder",
            Self::ReturnPath => "return path",
            Self::PollFlood => "poll flood",
        }
    }
}

/// An attack as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attack {
    /// What it does.
    pub kind: Kind,
    /// Connections at once.
    #[serde(default = "default_connections")]
    #[schemars(range(min = 1, max = 50_000))]
    pub connections: u32,
    /// Addresses of 127/8 that they come from, for a target on loopback.
    #[serde(default = "default_addresses")]
    #[schemars(range(min = 1, max = 60_000))]
    pub addresses: u32,
    /// Connections opened, or requests sent where connections are kept, per second of all together.
    #[serde(default = "default_rate")]
    #[schemars(range(min = 1.0, max = 1_000_000.0))]
    pub rate: f64,
    /// When it begins, counted from the start.
    pub from: Span,
    /// Its length.
    pub r#for: Span,
}

fn default_connections() -> u32 {
    200
}

fn default_addresses() -> u32 {
    1
}

fn default_rate() -> f64 {
    200.0
}

impl Attack {
    /// When it ends, counted from the start.
    pub fn until(&self) -> Duration {
        self.from.0 + self.r#for.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_as_it_is_written() {
        for kind in Kind::ALL {
            let written = serde_json::to_value(kind).unwrap();
            assert_eq!(written.as_str().unwrap().replace('_', " "), kind.name());
        }
        assert!(Kind::ALL.is_sorted());
    }
}
