//! Waiting for what comes sooner or later.

use std::time::{Duration, Instant};

/// Longer than anything takes that works.
pub(crate) const AGES: Duration = Duration::from_mins(1);

/// Waits for what comes sooner or later.
pub(crate) async fn until<T>(what: &str, mut done: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = done().await {
            return found;
        }
        assert!(start.elapsed() < AGES, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
