//! The evidence of attacks.

use std::collections::BTreeMap;

use launch_model::attack::Kind;
use serde::{Deserialize, Serialize};

use crate::time::Micros;

/// The evidence of one attack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attacked {
    /// Its kind.
    pub kind: Kind,
    /// When it began and ended.
    pub from: Micros,
    /// When it ended.
    pub until: Micros,
    /// Connections opened.
    pub opened: u64,
    /// The most at once.
    pub most: u64,
    /// Connections that were refused, or closed by the other side before the attack was done with them.
    pub cut: u64,
    /// Connections that failed for want of ports or file descriptors on this side.
    pub local_failures: u64,
    /// Requests begun.
    pub requests: u64,
    /// Answers by their status.
    pub answers: BTreeMap<u16, u64>,
}
