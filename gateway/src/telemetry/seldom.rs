//! What the log tells at most once a minute, however often it happens.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The log tells of one thing once in so many seconds.
const TOLD_EVERY: u64 = 60;

/// Something that the log tells at most once a minute.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    /// Seconds since the start before which it is not told again.
    quiet_until: AtomicU64,
}

impl Seldom {
    /// Whether it is to be told now.
    pub(crate) fn is_due(&self, since_start: Duration) -> bool {
        let now = since_start.as_secs();
        let due = |until: u64| (now >= until).then_some(now + TOLD_EVERY);
        self.quiet_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).is_ok()
    }
}
