//! A crowd's order, its progress, and its results.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use evidence::stats::locked;
use evidence::{Evidence, Progress};
use launch_model::scenario::Scenario;

use crate::worker::Site;

/// The order: what to send, and when.
pub(crate) struct Crowd {
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) sites: Vec<Site>,
    /// The start by this machine's clock, in microseconds since 1970.
    pub(crate) start_unix_us: i64,
}

/// The results.
pub(crate) struct Sent {
    pub(crate) evidence: Evidence,
    /// Lost parts of the crowd, and why.
    pub(crate) lost: Vec<String>,
}

/// The progress of each part. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct ProgressBoard(Arc<Mutex<BTreeMap<u32, Progress>>>);

impl ProgressBoard {
    pub(crate) fn set(&self, part: u32, progress: Progress) {
        locked(&self.0).insert(part, progress);
    }

    /// All parts together.
    pub(crate) fn all(&self) -> Progress {
        locked(&self.0).values().copied().reduce(Progress::with).unwrap_or_default()
    }
}
