//! An attack's own counters.

use std::io;
use std::sync::{Arc, Mutex};

use evidence::stats::locked;
use evidence::{Attacked, Micros};
use launch_model::attack::Kind;
use launch_model::visit::Lost;

use crate::wire::lost;

/// The counters of one attack.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Debug, Default, Clone)]
struct Counts {
    open: u64,
    most: u64,
    opened: u64,
    cut: u64,
    local: u64,
    requests: u64,
    answers: std::collections::BTreeMap<u16, u64>,
}

/// Counts one open connection, by a guard.
#[derive(Debug)]
pub(super) struct Open(Arc<Tally>);

impl Drop for Open {
    fn drop(&mut self) {
        locked(&self.0.0).open -= 1;
    }
}

impl Tally {
    pub(super) fn open(self: &Arc<Self>) -> Open {
        let mut counts = locked(&self.0);
        counts.opened += 1;
        counts.open += 1;
        counts.most = counts.most.max(counts.open);
        Open(Arc::clone(self))
    }

    pub(super) fn asked(&self) {
        locked(&self.0).requests += 1;
    }

    pub(super) fn answered(&self, status: u16) {
        *locked(&self.0).answers.entry(status).or_default() += 1;
    }

    /// A connection ended early, or was never opened.
    pub(super) fn cut(&self, error: &io::Error) {
        let local = lost(error) == Lost::Local;
        let mut counts = locked(&self.0);
        counts.local += u64::from(local);
        counts.cut += u64::from(!local);
    }

    pub(super) fn tell(&self, kind: Kind, from: Micros, until: Micros) -> Attacked {
        let Counts { most, opened, cut, local, requests, answers, .. } = locked(&self.0).clone();
        Attacked { kind, from, until, opened, most, cut, local_failures: local, requests, answers }
    }
}
