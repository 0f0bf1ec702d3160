//! What holders of passes did at the gates of a room: what the rate follows (`ops::steering`).

use std::sync::atomic::{AtomicU64, Ordering};

use policy::Millis;

use crate::settings::config::RouteClass;

/// The requests of a room's passes that went through gates of one class, so far.
#[derive(Debug, Default)]
pub struct StageFlow {
    entered: AtomicU64,
    delays: AtomicU64,
    delivered: AtomicU64,
}

/// The same at one moment. Each only grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageCounts {
    /// Requests that went on to the shop.
    pub entered: u64,
    /// Sum of the times since their passes were given, in milliseconds.
    pub delays: u64,
    /// Requests that the shop answered without an error of its own.
    pub delivered: u64,
}

impl StageFlow {
    /// A request went on to the shop, so long after its pass was given.
    pub fn entered(&self, since_pass: Millis) {
        self.entered.fetch_add(1, Ordering::Relaxed);
        self.delays.fetch_add(since_pass, Ordering::Relaxed);
    }

    /// The shop has answered one.
    pub fn delivered(&self) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts so far.
    pub fn counts(&self) -> StageCounts {
        let [entered, delays, delivered] =
            [&self.entered, &self.delays, &self.delivered].map(|count| count.load(Ordering::Relaxed));
        StageCounts { entered, delays, delivered }
    }
}

/// The flows of a room, by class.
#[derive(Debug, Default)]
pub(super) struct Stages([StageFlow; 2]);

impl Stages {
    pub(super) fn of(&self, class: RouteClass) -> &StageFlow {
        &self.0[class as usize]
    }
}
