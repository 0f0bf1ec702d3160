//! The logs of this process, each written by a thread of its own: access lines on standard output ([`access`]), events on
//! standard error.
//!
//! No attack may turn into log volume, and no slow reader of the log may delay the gateway:
//!
//! - Libraries log from `ERROR` on; from the configured level on if that is `debug` or `trace`.
//! - One place in the code writes at most [`LINES`] events a second; access lines are one for each request and not bounded here.
//! - Lines wait in a queue for the writer (`stream`); lines beyond it are lost.
//! - The end of the process waits for the writers at most [`FLUSH`].
//!
//! Losses of both kinds are counted, and reported as an event once a second.

pub(crate) mod access;
mod stream;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use tracing::callsite::Identifier;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use self::stream::Lost;
use crate::settings::config::{LogConfig, LogFormat};
use crate::telemetry::{PROCESS, catalogue};

/// Lines that one place in the code may write in a second.
pub(crate) const LINES: u32 = 100;
/// How long the end of the process waits for unwritten lines.
pub(crate) const FLUSH: Duration = Duration::from_secs(2);
/// Targets of our own crates begin with one of these.
const OURS: [&str; 3] = ["gateway", "weir", "policy"];

/// The running logs. Dropping this writes the rest, as far as readers take it.
#[derive(Debug)]
pub(crate) struct Log {
    writers: Option<[WorkerGuard; 2]>,
    /// The loss counters.
    pub losses: Arc<Losses>,
}

/// Lines that were not written.
#[derive(Debug)]
pub(crate) struct Losses {
    limiter: Arc<Limiter>,
    events: Lost,
    access: Lost,
    /// Losses of both queues, as last reported.
    told: [AtomicU64; 2],
}

/// Starts the logs.
///
/// # Errors
/// If there is no descriptor for them.
pub(crate) fn start(config: &LogConfig) -> io::Result<Log> {
    let (out, events, of_events) = stream::begin(own(io::stderr().as_fd())?, "events");
    let (lines, access, of_access) = stream::begin(own(io::stdout().as_fd())?, "access");
    access::start(lines, config.format);
    let limiter = Arc::new(Limiter::new(config.level));
    subscribe(config.format, out, limiter.clone());
    let losses = Arc::new(Losses { limiter, events, access, told: Default::default() });
    Ok(Log { writers: Some([of_events, of_access]), losses })
}

fn subscribe(format: LogFormat, out: NonBlocking, limiter: Arc<Limiter>) {
    let registry = tracing_subscriber::registry().with(Gate(limiter));
    let lines = tracing_subscriber::fmt::layer().with_writer(out);
    match format {
        LogFormat::Json => registry.with(lines.json()).init(),
        LogFormat::Text => registry.with(lines).init(),
    }
}

/// A stream without the lock of `std`: a blocked writer must not delay `print!` at the end.
fn own(standard: BorrowedFd<'_>) -> io::Result<File> {
    Ok(File::from(standard.try_clone_to_owned()?))
}

impl Drop for Log {
    fn drop(&mut self) {
        let Some(writers) = self.writers.take() else { return };
        let (done, ended) = channel();
        // The guards wait for their threads, and print if that takes long: both may never end without a reader.
        let flush = move || {
            drop(writers);
            let _ = done.send(());
        };
        if std::thread::Builder::new().name("log-flush".to_owned()).spawn(flush).is_ok() {
            let _ = ended.recv_timeout(FLUSH);
        }
    }
}

impl Losses {
    /// Lines over the rate of their place so far.
    fn over_rate(&self) -> u64 {
        self.limiter.dropped.load(Ordering::Relaxed)
    }

    /// Events lost for lack of a reader so far.
    fn events_lost(&self) -> u64 {
        self.events.lines()
    }

    /// Access lines lost for lack of a reader so far.
    fn access_lost(&self) -> u64 {
        self.access.lines()
    }

    /// Logs the losses since the last call, and sets their totals in the metrics.
    pub(crate) fn tell(&self) {
        self.count();
        for (place, lines) in self.limiter.news() {
            tracing::warn!(place, lines, "log lines left out: over {LINES} a second from one place");
        }
        let streams = [("events", self.events_lost()), ("access", self.access_lost())];
        for ((stream, lost), told) in streams.into_iter().zip(&self.told) {
            let lines = lost - told.swap(lost, Ordering::Relaxed).min(lost);
            if lines > 0 {
                tracing::warn!(stream, lines, "log lines lost: the reader of the log is too slow");
            }
        }
    }

    fn count(&self) {
        let lost = [
            (["events", "rate"], self.over_rate()),
            (["events", "queue"], self.events_lost()),
            (["access", "queue"], self.access_lost()),
        ];
        for (labels, lines) in lost {
            PROCESS.counter(&catalogue::LOG_DROPPED, &labels).absolute(lines);
        }
    }
}

/// The filter of events.
#[derive(Debug)]
struct Limiter {
    level: Level,
    /// Level of libraries.
    theirs: Level,
    began: Instant,
    places: DashMap<Identifier, Place>,
    dropped: AtomicU64,
}

/// The lines of one place in the code.
#[derive(Debug)]
struct Place {
    name: String,
    second: u64,
    lines: u32,
    /// Dropped and not reported yet.
    dropped: u64,
}

impl Limiter {
    fn new(level: Level) -> Self {
        let theirs = if level > Level::INFO { level } else { Level::ERROR };
        Self { level, theirs, began: Instant::now(), places: DashMap::new(), dropped: AtomicU64::new(0) }
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let ours = OURS.iter().any(|name| metadata.target().starts_with(name));
        *metadata.level() <= if ours { self.level } else { self.theirs }
    }

    /// Whether this place may write another line at this second.
    fn admits(&self, metadata: &Metadata<'_>, second: u64) -> bool {
        let new = || Place { name: place(metadata), second, lines: 0, dropped: 0 };
        let mut place = self.places.entry(metadata.callsite()).or_insert_with(new);
        if place.second != second {
            (place.second, place.lines) = (second, 0);
        }
        place.lines = place.lines.saturating_add(1);
        let admitted = place.lines <= LINES;
        if !admitted {
            place.dropped += 1;
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// Lines left out since the last call, by place. Gathered first: the report itself calls this limiter.
    fn news(&self) -> Vec<(String, u64)> {
        let dropped = self.places.iter_mut().filter(|place| place.dropped > 0);
        dropped.map(|mut place| (place.name.clone(), std::mem::take(&mut place.dropped))).collect()
    }
}

/// The name of a place: its module and line.
fn place(metadata: &Metadata<'_>) -> String {
    let module = metadata.module_path().unwrap_or(metadata.target());
    metadata.line().map_or_else(|| module.to_owned(), |line| format!("{module}:{line}"))
}

/// The limiter as a layer.
struct Gate(Arc<Limiter>);

impl<S: Subscriber> Layer<S> for Gate {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.0.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.0.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.0.level))
    }

    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.0.admits(event.metadata(), self.0.began.elapsed().as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `events` under a limiter of this level; returns the lines let through and dropped.
    fn under(level: Level, events: impl FnOnce()) -> (u64, u64) {
        let limiter = Arc::new(Limiter::new(level));
        let passed = Arc::new(AtomicU64::new(0));
        let subscriber = tracing_subscriber::registry().with(Gate(limiter.clone())).with(Count(passed.clone()));
        tracing::subscriber::with_default(subscriber, events);
        (passed.load(Ordering::Relaxed), limiter.dropped.load(Ordering::Relaxed))
    }

    struct Count(Arc<AtomicU64>);

    impl<S: Subscriber> Layer<S> for Count {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_library_is_heard_from_error_on_and_our_own_from_the_level_on() {
        let events = || {
            tracing::warn!(target: "h2::proto", "a frame that nobody asked for");
            tracing::error!(target: "h2::proto", "broken");
            tracing::info!("ours");
            tracing::debug!("ours");
        };
        assert_eq!(under(Level::INFO, events), (2, 0));
        assert_eq!(under(Level::ERROR, events), (1, 0));
        assert_eq!(under(Level::DEBUG, events), (4, 0));
    }

    #[test]
    fn a_place_that_writes_without_end_is_cut_off_and_others_are_not() {
        let events = || {
            for _ in 0..5_000 {
                tracing::error!(target: "h2::proto", "broken");
            }
            tracing::info!("ours");
        };
        let (passed, dropped) = under(Level::INFO, events);
        assert_eq!(passed + dropped, 5_001);
        assert!(passed > u64::from(LINES) && dropped > 3_000, "{dropped} of 5000 dropped");
    }

    #[test]
    fn what_was_left_out_is_told_once_and_each_second_begins_anew() {
        let limiter = Arc::new(Limiter::new(Level::INFO));
        let subscriber = tracing_subscriber::registry().with(Gate(limiter.clone()));
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..5_000 {
                tracing::error!("again");
            }
        });
        let news = limiter.news();
        assert!(news.len() == 1 && news[0].0.contains("log::tests"), "{news:?}");
        assert_eq!(news[0].1, limiter.dropped.load(Ordering::Relaxed));
        assert!(limiter.news().is_empty());
    }
}
