//! A shop that rests: how a line stands while no server of the shop can be used, and how it goes on.
//!
//! A gateway that reaches no server says so with each batch ([`Batch::shop_rests`](super::Batch)): it names no claimants, and
//! the line does not live through that time. So a gateway that alone is cut off from the shop stops nobody else, because the
//! batches of the others make up for its time; and where all say it, the line stands by itself. Then the pointer does not move,
//! the bucket does not fill, cohorts do not grow older and claim windows do not run. Seats that become free do so, and
//! newcomers are numbered.
//!
//! Nobody living through more than [`BRIEF`] is a standstill. After it the bucket is empty, and the rate begins at an eighth and
//! doubles:
//!
//! ```text
//! rate x 2^(-ceil(e / 5 s)),   e = 15 s less what the line has lived since
//! ```
//!
//! Until then no wait is told: the speed of before is over, and what this one becomes is known to the shop alone.
//!
//! Out of scope: who decides that a shop rests. It must not be what a shopper's request can provoke.

use crate::Millis;

/// What nobody lived through up to this length is made up for: the others were just not asked.
const BRIEF: Millis = 1_000;
/// The rate is doubled after each step of this length...
const STEP: Millis = 5_000;
/// ...so many times.
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

    /// `elapsed` passes up to a batch of any other gateway. Returns what the line lives through, and whether it stood before.
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

    /// The share of the rate that is used.
    pub(super) fn ease(&self) -> f64 {
        ease(self.easing)
    }
}

/// The share of the rate that is used this long before it is the whole.
fn ease(easing: Millis) -> f64 {
    1.0 / (1_u64 << easing.div_ceil(STEP).min(DOUBLINGS)) as f64
}

#[cfg(test)]
mod tests;
