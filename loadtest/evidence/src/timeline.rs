//! A crowd's counts, second by second and so far.

use serde::{Deserialize, Serialize};

use crate::stats::Latencies;
use crate::time::Micros;

/// A crowd's counts in one second. Latencies count from the instant that a request was due.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Visitors who arrived.
    pub arrived: u64,
    /// Visitors in the line at its end.
    pub waiting: u64,
    /// Visitors inside at its end.
    pub inside: u64,
    /// Visitors who entered.
    pub entered: u64,
    /// Orders that were paid.
    pub bought: u64,
    /// Requests sent.
    pub requests: u64,
    /// Answers 5xx, or none.
    pub failed: u64,
    /// Pages of those inside: latencies in microseconds with their counts.
    pub inside_latency: Latencies,
    /// Answers to those outside: latencies in microseconds with their counts.
    pub outside_latency: Latencies,
    /// How late requests were sent: microseconds with their counts.
    pub lag: Latencies,
}

impl Second {
    /// Adds the counts of other senders in the same second.
    pub fn add(&mut self, other: &Self) {
        self.arrived += other.arrived;
        self.waiting += other.waiting;
        self.inside += other.inside;
        self.entered += other.entered;
        self.bought += other.bought;
        self.requests += other.requests;
        self.failed += other.failed;
        self.inside_latency.add(&other.inside_latency);
        self.outside_latency.add(&other.outside_latency);
        self.lag.add(&other.lag);
    }
}

/// The progress of a run, for a live view.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Since the start.
    pub elapsed: Micros,
    /// Visitors who arrived so far.
    pub arrived: u64,
    /// In the line now.
    pub waiting: u64,
    /// Inside now.
    pub inside: u64,
    /// Entered so far.
    pub entered: u64,
    /// Orders paid so far.
    pub bought: u64,
    /// Visits of people who were let in and got no order.
    pub order_failed: u64,
    /// Visits that have ended.
    pub ended: u64,
    /// Requests sent so far.
    pub requests: u64,
    /// Answers 5xx, or none, so far.
    pub failed: u64,
    /// p99 of pages of those inside over the last second, in microseconds; 0 if there were none.
    pub inside_p99: Micros,
    /// p99 of how late requests were sent over the last second, in microseconds.
    pub lag_p99: Micros,
}

impl Progress {
    /// Joins two crowds: counts are added up, of latencies the worse one is told.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            elapsed: self.elapsed.max(other.elapsed),
            arrived: self.arrived + other.arrived,
            waiting: self.waiting + other.waiting,
            inside: self.inside + other.inside,
            entered: self.entered + other.entered,
            bought: self.bought + other.bought,
            order_failed: self.order_failed + other.order_failed,
            ended: self.ended + other.ended,
            requests: self.requests + other.requests,
            failed: self.failed + other.failed,
            inside_p99: self.inside_p99.max(other.inside_p99),
            lag_p99: self.lag_p99.max(other.lag_p99),
        }
    }
}
