//! The content of the live view at one moment.

use std::time::Duration;

use evidence::{GatewaySample, Progress};

/// One moment of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct LiveFrame<'a> {
    pub(super) title: &'a str,
    pub(super) length: Duration,
    /// New shoppers per second that the room promises.
    pub(super) rate: f64,
    pub(super) now: &'a Progress,
    pub(super) history: &'a [Progress],
    pub(super) gateway: Option<&'a GatewaySample>,
}
