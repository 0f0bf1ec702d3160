//! One room's own limit on requests at the shop, within that of the upstream.
//!
//! A request takes the room's permit before it asks for the upstream's, so that the room's requests in flight and in wait
//! do not affect other traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::permit::{Permits, Rules};
use super::{RETURNS, SCARCE};

/// A room's settings for its requests in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartSettings {
    /// Requests at once.
    pub max_in_flight: usize,
    /// Of these, kept for holders of a pass.
    pub pass_reserve: usize,
    /// Of these, held by one pass while they are scarce...
    pub max_in_flight_per_pass: usize,
    /// ...and by one address without a pass.
    pub max_in_flight_per_address: usize,
    /// How long a request waits for its turn, at the room and at the upstream together; by default the upstream's.
    pub max_wait: Option<Duration>,
}

/// The part of a room, shared by all workers and kept across reloads.
#[derive(Debug)]
pub struct Part {
    pub(super) permits: Arc<Permits>,
    pub(super) max_wait: Option<Duration>,
    busy: Arc<AtomicU64>,
}

impl Part {
    /// A part with these settings, and the requests in flight of the one that it replaces.
    pub fn new(settings: PartSettings, replaced: Option<&Self>) -> Self {
        let (permits, busy) = replaced.map_or_else(Default::default, |old| (old.permits.clone(), old.busy.clone()));
        let limit = settings.max_in_flight;
        permits.set_rules(Rules {
            limit,
            reserve: settings.pass_reserve,
            returns: (limit / RETURNS).max(1),
            per_pass: settings.max_in_flight_per_pass,
            per_address: settings.max_in_flight_per_address,
            scarce_from: limit / SCARCE,
        });
        Self { permits, max_wait: settings.max_wait, busy }
    }

    /// Requests of the room in work now, or waiting for the upstream.
    pub fn in_flight(&self) -> usize {
        self.permits.in_flight()
    }

    /// Requests that wait for the room's turn now.
    pub fn waiting(&self) -> usize {
        self.permits.waiting()
    }

    /// Requests whose turn did not come in time.
    pub fn busy(&self) -> u64 {
        self.busy.load(Ordering::Relaxed)
    }

    pub(super) fn was_busy(&self) {
        self.busy.fetch_add(1, Ordering::Relaxed);
    }
}
