//! Timers for the threads that serve shoppers.
//!
//! A runtime with timers checks them each time that it has waited for a socket: some 300 instructions, twice for a
//! forwarded request. A worker needs one seldom (to wait for a permit or a new connection), so its runtime has
//! none: the control thread's keeps them, and wakes the worker. Elsewhere, and in tests, these are tokio's own.
//!
//! Out of scope: deadlines by the clock of the sweep, as nearly all here are ([`crate::request::listener`]).

use std::cell::OnceCell;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::time::{Sleep, Timeout};

thread_local! {
    static KEEPER: OnceCell<Handle> = const { OnceCell::new() };
}

/// That runtime keeps the timers of this thread, and has to outlive it.
pub(crate) fn are_kept_by(runtime: Handle) {
    KEEPER.with(|keeper| drop(keeper.set(runtime)));
}

/// As [`tokio::time::sleep`].
pub(crate) fn sleep(span: Duration) -> Sleep {
    made(|| tokio::time::sleep(span))
}

/// As [`tokio::time::timeout`].
pub(crate) fn timeout<F: Future>(span: Duration, future: F) -> Timeout<F> {
    made(|| tokio::time::timeout(span, future))
}

/// A timer belongs to the runtime in whose context it is made.
fn made<T>(make: impl FnOnce() -> T) -> T {
    KEEPER.with(|keeper| {
        let _inside = keeper.get().map(Handle::enter);
        make()
    })
}

/// The same timers, for hyper.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForHyper;

struct Slept(Pin<Box<Sleep>>);

impl Future for Slept {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl hyper::rt::Sleep for Slept {}

impl hyper::rt::Timer for ForHyper {
    fn sleep(&self, span: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Slept(Box::pin(sleep(span))))
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep(at.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Code that runs on the control thread, or in another process.
    const HAVE_TIMERS: [&str; 17] = [
        "ops/admin/connection.rs",
        "ops/fleet.rs",
        "ops/fleet/arrival.rs",
        "lib.rs",
        "ops/operator.rs",
        "ops/operator/compare.rs",
        "in_force/plan.rs",
        "ops/reload.rs",
        "line/rooms.rs",
        "line/rooms/committer.rs",
        "line/store/redis.rs",
        "client/timer.rs",
        "shield/postgres.rs",
        "shield/prometheus.rs",
        "upstream/health.rs",
        "ops/live.rs",
        "ops/steering.rs",
    ];

    #[test]
    fn whatever_runs_on_a_worker_takes_its_timers_from_here() {
        let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut folders = vec![sources.clone()];
        let mut looked = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).expect("a source");
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                let name = path.strip_prefix(&sources).expect("below").to_string_lossy().into_owned();
                assert!(
                    !code.contains("tokio::time") || HAVE_TIMERS.contains(&&*name),
                    "{name} has a timer of its own"
                );
                looked += 1;
            }
        }
        assert!(looked > 50);
    }

    #[test]
    fn a_thread_without_timers_of_its_own_is_woken_by_those_of_another() {
        let keeper =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().expect("threads");
        let handle = keeper.handle().clone();
        let worker = std::thread::spawn(move || {
            are_kept_by(handle);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
            runtime.block_on(async {
                sleep(Duration::from_millis(1)).await;
                timeout(Duration::from_millis(1), std::future::pending::<()>()).await.is_err()
            })
        });
        assert!(worker.join().expect("it does not panic"));
    }
}
