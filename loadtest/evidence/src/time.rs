//! Time in evidence.

use std::time::Duration;

/// Microseconds since the start of the run.
pub type Micros = i64;

/// A length of time in microseconds. One that is too long is so long that a sum of two still fits.
pub fn micros(span: Duration) -> Micros {
    Micros::try_from(span.as_micros()).unwrap_or(Micros::MAX / 2)
}
