//! What the shop counts itself, beside what its books say.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use super::books::Account;
use crate::stats::Quantiles;

/// What the shop counted, for `/shop/stats`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Orders per second that the shop can take when nobody waits; 0 where only a run can tell.
    pub capacity: f64,
    /// Orders that were paid.
    pub orders_ok: u64,
    /// Order and payment requests that failed.
    pub orders_failed: u64,
    /// Launch pages that were served.
    pub pages_ok: u64,
    /// Launch pages that failed.
    pub pages_failed: u64,
    /// Of the pages served, those that said that nothing is left.
    pub sold_out: u64,
    /// Orders and payments that were sent again, and got the first one's answer.
    pub repeats: u64,
    /// Requests that came with Weir's headers.
    pub by_weir: u64,
    /// Shoppers who came for the first time.
    pub new_shoppers: u64,
    /// The most of them in any second.
    pub busiest_second: usize,
    /// Launch pages in work now.
    pub in_flight: usize,
    /// The most that were in work at once.
    pub peak_in_flight: usize,
    /// Requests that wait for the database now.
    pub waiting_for_slot: usize,
    /// Time from a launch request to its page, of those that were served. A refusal is quick and
    /// tells nothing.
    pub latency: Quantiles,
    /// Entries that the log keeps in memory no more.
    pub log_dropped: u64,
    /// Why the database failed last, for the operator.
    pub last_failure: Option<String>,
    /// What its books say; `None` while the database is away, and where nobody asked it.
    pub account: Option<Account>,
}

#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) paid: AtomicU64,
    pub(super) pages_ok: AtomicU64,
    pub(super) pages_failed: AtomicU64,
    pub(super) orders_failed: AtomicU64,
    pub(super) sold_out: AtomicU64,
    pub(super) repeats: AtomicU64,
    pub(super) by_weir: AtomicU64,
    in_flight: AtomicUsize,
    peak_in_flight: AtomicUsize,
}

impl Counted {
    /// The counters in a report; the rest of it is empty.
    pub(super) fn report(&self) -> Report {
        Report {
            orders_ok: self.paid.load(Relaxed),
            orders_failed: self.orders_failed.load(Relaxed),
            pages_ok: self.pages_ok.load(Relaxed),
            pages_failed: self.pages_failed.load(Relaxed),
            sold_out: self.sold_out.load(Relaxed),
            repeats: self.repeats.load(Relaxed),
            by_weir: self.by_weir.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            peak_in_flight: self.peak_in_flight.load(Relaxed),
            ..Report::default()
        }
    }
}

/// Counts one request for as long as it lives.
pub(super) struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    pub(super) fn one_of(counted: &'a Counted) -> Self {
        let now = counted.in_flight.fetch_add(1, Relaxed) + 1;
        counted.peak_in_flight.fetch_max(now, Relaxed);
        Self(&counted.in_flight)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
