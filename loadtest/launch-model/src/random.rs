//! Reproducible chance: the same in every run.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::span::Span;

/// The random numbers of visitor `index` of a crowd: the same in every run.
pub fn rng_for(seed: u64, index: u64) -> SmallRng {
    SmallRng::seed_from_u64(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// A time between the shortest and the longest one.
pub(crate) fn between(random: &mut SmallRng, range: [Span; 2]) -> Duration {
    let [shortest, longest] = range.map(Span::seconds);
    Duration::from_secs_f64(random.random_range(shortest..=longest.max(shortest)))
}
