//! A pool of slots: so many requests are worked on at once, others wait in order. Its size can be changed while it works.
//!
//! Out of scope: the work itself ([`crate::database`], [`crate::payment`]).

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evidence::stats::locked;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Why a request was not worked on, or not to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The queue for a slot is full.
    Full,
    /// No slot within the patience of the pool.
    NoSlot,
    /// Ran too long and was cancelled.
    Cancelled,
}

/// A pool of slots, and the queue for them.
#[derive(Debug)]
pub struct Pool {
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    in_work: AtomicUsize,
    size: Mutex<Size>,
}

#[derive(Debug)]
struct Size {
    slots: usize,
    /// Slots in use that go when their work is done.
    surplus: usize,
}

/// A slot in use. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    shared: Arc<Shared>,
}

impl Pool {
    /// So many slots, all free.
    pub(crate) fn of(slots: usize) -> Self {
        let size = Mutex::new(Size { slots, surplus: 0 });
        Self {
            slots: Arc::new(Semaphore::new(slots)),
            waiting: AtomicUsize::new(0),
            shared: Arc::new(Shared { in_work: AtomicUsize::new(0), size }),
        }
    }

    /// How many requests it works on at once.
    pub fn size(&self) -> usize {
        locked(&self.shared.size).slots
    }

    /// Requests that it works on now; for a while more than its size after it was made smaller.
    pub fn in_work(&self) -> usize {
        self.shared.in_work.load(Relaxed)
    }

    /// Requests that wait for a slot now.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Changes its size. What it works on is done to its end.
    pub fn resize(&self, slots: usize) {
        let mut size = locked(&self.shared.size);
        if let Some(more) = slots.checked_sub(size.slots) {
            let stay = more.min(size.surplus);
            size.surplus -= stay;
            self.slots.add_permits(more - stay);
        } else {
            let fewer = size.slots - slots;
            size.surplus += fewer - self.slots.forget_permits(fewer);
        }
        size.slots = slots;
    }

    /// Waits for a slot, but not where so many wait already, and not for longer than `patience`.
    pub(crate) async fn slot(&self, most_waiting: usize, patience: Duration) -> Result<Slot, Refusal> {
        if let Ok(permit) = Arc::clone(&self.slots).try_acquire_owned() {
            return Ok(self.in_use(permit));
        }
        if self.waiting() >= most_waiting {
            return Err(Refusal::Full);
        }
        let _waiter = Waiter::among(&self.waiting);
        let permit = timeout(patience, Arc::clone(&self.slots).acquire_owned()).await;
        permit.ok().and_then(Result::ok).map(|permit| self.in_use(permit)).ok_or(Refusal::NoSlot)
    }

    fn in_use(&self, permit: OwnedSemaphorePermit) -> Slot {
        self.shared.in_work.fetch_add(1, Relaxed);
        Slot { permit: Some(permit), shared: Arc::clone(&self.shared) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.in_work.fetch_sub(1, Relaxed);
        let mut size = locked(&self.shared.size);
        if size.surplus > 0 {
            size.surplus -= 1;
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        }
    }
}

/// Counts one waiter, by a guard, however its wait ends.
struct Waiter<'a>(&'a AtomicUsize);

impl<'a> Waiter<'a> {
    fn among(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn free(pool: &Pool) -> Result<Slot, Refusal> {
        pool.slot(0, Duration::ZERO).await
    }

    #[tokio::test]
    async fn a_smaller_pool_takes_no_more_than_its_size_once_its_work_is_done() {
        let pool = Pool::of(3);
        let (first, second) = (free(&pool).await.unwrap(), free(&pool).await.unwrap());
        pool.resize(1);
        assert_eq!((pool.size(), pool.in_work()), (1, 2), "what it works on goes on");
        drop(first);
        assert_eq!(free(&pool).await.unwrap_err(), Refusal::Full, "one is one");
        drop(second);
        let third = free(&pool).await.unwrap();
        assert!(free(&pool).await.is_err());
        drop(third);
        assert_eq!(pool.in_work(), 0);
    }

    #[tokio::test]
    async fn a_pool_that_grows_again_while_its_slots_are_in_use_has_its_size_and_no_more() {
        let pool = Pool::of(4);
        let mut slots = Vec::new();
        for _ in 0..4 {
            slots.push(free(&pool).await.unwrap());
        }
        pool.resize(1);
        pool.resize(3);
        slots.clear();
        for _ in 0..3 {
            slots.push(free(&pool).await.unwrap());
        }
        assert!(free(&pool).await.is_err());
        pool.resize(5);
        assert!(free(&pool).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_a_slot_or_with_the_patience() {
        let pool = Arc::new(Pool::of(1));
        let held = free(&pool).await.unwrap();
        let late = pool.slot(1, Duration::from_secs(2)).await;
        assert_eq!((late.unwrap_err(), pool.waiting()), (Refusal::NoSlot, 0));
        let waiter = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.slot(1, Duration::from_secs(2)).await.is_ok() }
        });
        tokio::task::yield_now().await;
        assert_eq!((pool.waiting(), free(&pool).await.is_err()), (1, true));
        drop(held);
        assert!(waiter.await.unwrap());
    }
}
