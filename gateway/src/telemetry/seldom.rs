//! Events that are logged at most once a minute, however frequent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Interval between log lines of one event, in seconds.
const TOLD_EVERY: u64 = 60;

/// An event that is logged at most once a minute.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    /// Seconds since the start before which it is not logged again.
    quiet_until: AtomicU64,
}

impl Seldom {
    /// Whether to log it now.
    pub(crate) fn is_due(&self, since_start: Duration) -> bool {
        let now = since_start.as_secs();
        let due = |until: u64| (now >= until).then_some(now + TOLD_EVERY);
        self.quiet_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).is_ok()
    }
}
