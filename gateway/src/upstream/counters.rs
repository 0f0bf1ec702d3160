//! The counters of an upstream.

use std::sync::atomic::AtomicU64;

/// Events so far, for telemetry. Each only grows.
#[derive(Debug, Default)]
pub struct Counters {
    /// Heads of answers passed on.
    pub answered: AtomicU64,
    /// Requests that the upstream failed.
    pub failed: AtomicU64,
    /// Requests that found no permit in time.
    pub busy: AtomicU64,
    /// Requests for another protocol that found no room.
    pub upgrades_refused: AtomicU64,
    /// Times that this machine had no resources left to connect.
    pub exhausted: AtomicU64,
    /// Requests ended because their client sent them too slowly.
    pub slow_uploads: AtomicU64,
    /// Answers ended because their client took them too slowly.
    pub slow_downloads: AtomicU64,
    /// Requests sent again after an attempt that sent nothing.
    pub retried: AtomicU64,
    /// Requests refused by a server that were not sent again, since too many were.
    pub not_retried: AtomicU64,
    /// Requests whose client, or the patience of the proxy before it, was gone before the head of the answer.
    pub abandoned: AtomicU64,
    /// Connections opened.
    pub connected: AtomicU64,
    /// Times a server was taken out of use for its failures.
    pub ejected: AtomicU64,
}
