//! The gateways' reports.

use serde::{Deserialize, Serialize};

use crate::time::Micros;

/// A gateway's report on the room.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GatewaySample {
    /// When it was asked.
    pub at: Micros,
    /// Which gateway, as an index of the run's admin addresses.
    pub gateway: u16,
    /// Store time of its copy, in milliseconds since 1970.
    pub store_time_ms: u64,
    /// Passes given so far.
    pub admitted: u64,
    /// Tickets handed out and not called.
    pub waiting: u64,
    /// Passes that live.
    pub active_users: u64,
    /// New shoppers per minute that it lets in: as it is set to, or less while the shop takes less.
    pub new_users_per_minute: f64,
    /// Whether the store is out of its reach.
    pub store_away: bool,
    /// Whether the limits are given up at this moment.
    pub limits_given_up: bool,
}

/// Memory of a gateway of the testbed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// The instant of the sample.
    pub at: Micros,
    /// Which gateway.
    pub gateway: u16,
    /// Resident, in bytes.
    pub bytes: u64,
}
