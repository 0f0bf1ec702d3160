//! A shop that rests: how a line stands while no server of the shop can be used, and how it goes on.
//!
//! A gateway that reaches no server says so with each batch ([`Batch::shop_rests`](super::Batch)): it names no claimants, and
//! the line does not live through that time. So a gateway that alone is cut off from the shop stops no other, because the
//! batches of the others make up for its time; and where all say it, the line stands by itself. Then the pointer does not move,
//! the bucket does not fill, cohorts do not grow older and claim windows do not run. Seats still become free, and
//! newcomers are numbered.
//!
//! More than [`BRIEF`] that no gateway lives through is a standstill. After it the bucket is empty, and the rate begins at an
//! eighth and doubles:
//!
//! ```text
//! rate x 2^(-ceil(e / 5 s)),   e = 15 s less what the line has lived since
//! ```
//!
//! Until then no wait is shown: the earlier speed no longer holds, and only the shop decides the new one.
//!
//! Out of scope: who decides that a shop rests. A shopper's request must not be able to provoke it.

use crate::Millis;

/// A gap up to this length is made up for: the other gateways just had nothing to ask.
const BRIEF: Millis = 1_000;
/// The rate is doubled after each step of this length...
const STEP: Millis = 5_000;
/// ...this many times.
const DOUBLINGS: u64 = 3;

/// How much of the time a line has lived through.
#[derive(Debug, Clone, Default)]
pub(super) struct Rest {
    /// Since the last batch of a gateway that reaches the shop.
    pub(super) idle: Millis,
    /// In standstills, all together.
    pub(super) stood: Millis,
    /// Left until the whole rate is used again.
    pub(super) easing: Millis,
}

impl Rest {
    /// `elapsed` passes up to a batch of a gateway for which the shop rests.
    pub(super) fn idles(&mut self, elapsed: Millis) {
        self.idle += elapsed;
    }

    /// `elapsed` passes up to a batch of any other gateway. Returns the time to live through, and whether the line stood before.
    pub(super) fn lives(&mut self, elapsed: Millis) -> (Millis, bool) {
        let idle = std::mem::take(&mut self.idle);
        let stood = idle > BRIEF;
        if stood {
            self.stood += idle;
            self.easing = STEP * DOUBLINGS;
        }
        let lived = if stood { elapsed } else { elapsed + idle };
        self.easing = self.easing.saturating_sub(if stood { 0 } else { lived });
        (lived, stood)
    }

    /// The share of the rate in use.
    pub(super) fn ease(&self) -> f64 {
        ease(self.easing)
    }
}

/// The share of the rate in use this long before the whole rate is.
fn ease(easing: Millis) -> f64 {
    1.0 / (1_u64 << easing.div_ceil(STEP).min(DOUBLINGS)) as f64
}

#[cfg(test)]
mod tests;
