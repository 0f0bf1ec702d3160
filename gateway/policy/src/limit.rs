//! How many requests an upstream works on at once.
//!
//! Two parts on purpose: a [`Limit`] says how many, and learns from [`Outcome`]s; a [`Limiter`]
//! gives out and takes back permits. A limit that follows latency fits in without touching the
//! limiter. What is absent: waiting for a permit, which needs a runtime.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How a request that held a permit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answered.
    Success,
    /// Says nothing of the upstream: the client went away.
    Ignore,
    /// Timed out, refused, or failed by the upstream.
    Dropped,
}

/// How many permits there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Always as many.
    Fixed(usize),
}

impl Limit {
    /// The number now.
    pub fn permits(self) -> usize {
        match self {
            Self::Fixed(permits) => permits,
        }
    }

    /// Learns from a request.
    pub fn learn(&mut self, _outcome: Outcome) {
        match self {
            Self::Fixed(_) => {}
        }
    }
}

/// Counts permits in use. Shared by all threads, without a lock.
#[derive(Debug, Default)]
pub struct Limiter {
    in_flight: AtomicUsize,
}

impl Limiter {
    /// Takes a permit if fewer than `limit` are in use.
    pub fn try_acquire(&self, limit: usize) -> bool {
        let take = |used: usize| (used < limit).then_some(used + 1);
        self.in_flight.fetch_update(Ordering::AcqRel, Ordering::Relaxed, take).is_ok()
    }

    /// Gives a permit back.
    pub fn release(&self) {
        let give = |used: usize| used.checked_sub(1);
        let _ = self.in_flight.fetch_update(Ordering::AcqRel, Ordering::Relaxed, give);
    }

    /// Permits in use.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_permits_than_the_limit() {
        let limiter = Limiter::default();
        let limit = Limit::Fixed(2).permits();
        assert!(limiter.try_acquire(limit) && limiter.try_acquire(limit));
        assert!(!limiter.try_acquire(limit));
        limiter.release();
        assert!(limiter.try_acquire(limit));
        assert_eq!(limiter.in_flight(), 2);
    }
}
