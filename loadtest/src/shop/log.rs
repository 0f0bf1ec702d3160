//! The shop's log: one entry for each request of the launch, to be joined with what shoppers and gateways saw.

use serde::{Deserialize, Serialize};

use crate::evidence::Page;

/// One request, as the shop saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place in the log, counted from 1 without gaps.
    pub seq: u64,
    /// Unix time at which it arrived, in microseconds.
    pub arrived_us: i64,
    /// Unix time at which it was answered, in microseconds.
    pub answered_us: i64,
    /// `X-Request-Id`.
    #[serde(default)]
    pub request_id: Option<String>,
    /// `Weir-Pass-Id`: `segment.number`.
    #[serde(default)]
    pub pass_id: Option<String>,
    /// `Weir-Room`.
    #[serde(default)]
    pub room: Option<String>,
    /// What was asked for.
    pub page: Page,
    /// Status of the answer.
    pub status: u16,
    /// What became of it.
    pub outcome: Outcome,
    /// Number of the order, of order and payment.
    #[serde(default)]
    pub order: Option<u64>,
    /// Whether this pass, or without one this visitor, came for the first time.
    pub new: bool,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Served.
    Ok,
    /// Nothing left to sell.
    SoldOut,
    /// Not served.
    Failed,
}
