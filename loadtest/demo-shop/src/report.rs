//! The shop's own counters, beside its inventory's account.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use evidence::shop::Report;

#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) paid: AtomicU64,
    pub(crate) pages_ok: AtomicU64,
    pub(crate) pages_failed: AtomicU64,
    pub(crate) orders_failed: AtomicU64,
    pub(crate) sold_out: AtomicU64,
    pub(crate) repeats: AtomicU64,
    pub(crate) by_weir: AtomicU64,
    pub(crate) key_repeats: AtomicU64,
    pub(crate) key_duplicates: AtomicU64,
    in_flight: AtomicUsize,
    peak_in_flight: AtomicUsize,
}

impl Counted {
    /// The counters in a report; the rest of it is empty.
    pub(crate) fn report(&self) -> Report {
        Report {
            orders_ok: self.paid.load(Relaxed),
            orders_failed: self.orders_failed.load(Relaxed),
            pages_ok: self.pages_ok.load(Relaxed),
            pages_failed: self.pages_failed.load(Relaxed),
            sold_out: self.sold_out.load(Relaxed),
            repeats: self.repeats.load(Relaxed),
            by_weir: self.by_weir.load(Relaxed),
            key_repeats: self.key_repeats.load(Relaxed),
            key_duplicates: self.key_duplicates.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            peak_in_flight: self.peak_in_flight.load(Relaxed),
            ..Report::default()
        }
    }
}

/// Counts one request, by a guard.
pub(crate) struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    pub(crate) fn one_of(counted: &'a Counted) -> Self {
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
