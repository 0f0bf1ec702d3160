//! One client's share of a resource common to all.
//!
//! A client is the holder of a pass, or an address. Clients are in memory only while they hold or wait for
//! a share, so there are never more of them than requests in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::quota::Client;

/// The shares of all clients.
#[derive(Debug, Default)]
pub(super) struct Shares {
    of: DashMap<Client, Arc<Semaphore>>,
    waiting: AtomicUsize,
}

impl Shares {
    /// One more of this client's share of `most`, in order of arrival.
    pub(super) async fn take(self: &Arc<Self>, client: Client, most: usize) -> Share {
        let semaphore = self.of.entry(client).or_insert_with(|| Arc::new(Semaphore::new(most))).clone();
        let mut share = Share { shares: self.clone(), client, permit: None };
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // Never closed, so always some.
        share.permit = semaphore.acquire_owned().await.ok();
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        share
    }

    /// Waiting requests.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Clients that hold or wait for a share.
    #[cfg(test)]
    pub(super) fn clients(&self) -> usize {
        self.of.len()
    }
}

/// One of a client's share; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    shares: Arc<Shares>,
    client: Client,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.permit.take().is_none() {
            self.shares.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        self.shares.of.remove_if(&self.client, |_, semaphore| Arc::strong_count(semaphore) == 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_waits_for_its_own_and_is_forgotten_with_its_last() {
        let shares = Arc::new(Shares::default());
        let (one, other) = (Client::Address(1), Client::Address(2));
        let held = shares.take(one, 1).await;
        assert!(tokio::time::timeout(Duration::from_secs(1), shares.take(one, 1)).await.is_err());
        let others = shares.take(other, 1).await;
        drop(held);
        let held = shares.take(one, 1).await;
        assert_eq!(shares.clients(), 2);
        drop((held, others));
        assert_eq!(shares.clients(), 0);
    }
}
