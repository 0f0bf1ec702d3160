//! Connections that a whole crowd shares: for crowds larger than the ports of a machine.
//!
//! Over HTTP/1.1 a request has a connection to itself, and waits while all are in use. Over HTTP/2 each
//! carries several requests at once. Waiting for one is the generator's own delay ([`Pool::seat`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use evidence::stats::locked;
use launch_model::scenario::Protocol;
use launch_model::visit::Lost;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use super::connection::Connection;

/// Concurrent requests of one HTTP/2 connection: the usual limit of servers.
const STREAMS: usize = 100;

/// Shared connections to one target.
#[derive(Debug)]
pub(super) struct Pool {
    gate: Arc<Semaphore>,
    /// HTTP/1.1: the idle ones.
    idle: std::sync::Mutex<Vec<Connection>>,
    /// HTTP/2: all of them, opened when first needed.
    shared: Vec<Mutex<Option<Connection>>>,
    next: AtomicUsize,
}

/// The right to send a request now.
#[derive(Debug)]
pub(crate) struct PoolSlot(
    #[expect(dead_code, reason = "held, and given back by going away")] Option<OwnedSemaphorePermit>,
);

impl PoolSlot {
    /// Where connections are not shared.
    pub(super) const FREE: Self = Self(None);
}

impl Pool {
    pub(super) fn new(connections: u32, protocol: Protocol) -> Self {
        let connections = connections.max(1) as usize;
        let (seats, shared) = match protocol {
            Protocol::Http1 => (connections, 0),
            Protocol::Http2 => (connections * STREAMS, connections),
        };
        Self {
            gate: Arc::new(Semaphore::new(seats.min(Semaphore::MAX_PERMITS))),
            idle: std::sync::Mutex::default(),
            shared: (0..shared).map(|_| Mutex::new(None)).collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// Waits until a request may be sent.
    pub(super) async fn seat(&self) -> PoolSlot {
        PoolSlot(Arc::clone(&self.gate).acquire_owned().await.ok())
    }

    /// A connection, or a new one.
    pub(super) async fn take(&self, open: impl Future<Output = Result<Connection, Lost>>) -> Result<Connection, Lost> {
        if self.shared.is_empty() {
            let idle = locked(&self.idle).pop();
            return if let Some(idle) = idle { Ok(idle) } else { open.await };
        }
        let place = self.next.fetch_add(1, Relaxed) % self.shared.len();
        let mut shared = self.shared[place].lock().await;
        if let Some(connection) = shared.as_ref().and_then(Connection::share) {
            return Ok(connection);
        }
        let fresh = open.await?;
        let connection = fresh.share().ok_or(Lost::Broken)?;
        *shared = Some(fresh);
        Ok(connection)
    }

    /// Gives back a connection that still works.
    pub(super) fn give_back(&self, connection: Connection) {
        if self.shared.is_empty() {
            locked(&self.idle).push(connection);
        }
    }
}
