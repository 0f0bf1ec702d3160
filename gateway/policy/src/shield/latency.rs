//! How long the shop takes, as a quantile of many times: counts in classes that are a twentieth wide.
//!
//! ```text
//! class   =  16 x log2(time / 1 ms),  in 0..=255: from 1 ms to a minute
//! p95     =  the upper end of the first class up to which 95 % of all are
//! ```
//!
//! Out of scope: counting from several threads.

use std::time::Duration;

/// Classes.
pub const CLASSES: usize = 256;
/// Classes in which a time doubles.
const DOUBLES_IN: f64 = 16.0;
/// The end of the first class.
const FIRST: f64 = 0.001;
/// Fewer times than this tell nothing.
const LEAST: u64 = 10;

/// The class of a time.
pub fn class(time: Duration) -> usize {
    let class = (time.as_secs_f64() / FIRST).log2() * DOUBLES_IN;
    // Negative infinity is class 0.
    (class.ceil() as usize).min(CLASSES - 1)
}

/// A quantile in seconds, such as 0.95, of the times in these classes; `None`: too few.
pub fn quantile(counts: &[u32; CLASSES], quantile: f64) -> Option<f64> {
    let all: u64 = counts.iter().map(|&count| u64::from(count)).sum();
    let wanted = all as f64 * quantile;
    let mut seen = 0;
    let reached = |&count: &u32| {
        seen += u64::from(count);
        seen as f64 >= wanted
    };
    let class = counts.iter().position(reached).filter(|_| all >= LEAST)?;
    Some(FIRST * (class as f64 / DOUBLES_IN).exp2())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p95(times: impl Iterator<Item = Duration>) -> Option<f64> {
        let mut counts = [0; CLASSES];
        times.for_each(|time| counts[class(time)] += 1);
        quantile(&counts, 0.95)
    }

    #[test]
    fn one_in_twenty_takes_longer() {
        let p95 = p95((1..=1000).map(Duration::from_millis)).unwrap_or_default();
        assert!((0.95..0.95 * 1.05).contains(&p95), "{p95}");
    }

    #[test]
    fn a_few_times_tell_nothing() {
        let times = |number| std::iter::repeat_n(Duration::from_millis(100), number);
        assert_eq!(p95(times(9)), None);
        assert!(p95(times(10)).is_some_and(|p95| (0.1..0.105).contains(&p95)));
        assert_eq!(p95(times(0)), None);
    }

    #[test]
    fn any_time_has_a_class() {
        assert_eq!(class(Duration::ZERO), 0);
        assert_eq!(class(Duration::from_millis(1)), 0);
        assert_eq!(class(Duration::MAX), CLASSES - 1);
        assert_eq!(quantile(&[u32::MAX; CLASSES], 0.95).map(f64::is_finite), Some(true));
    }

    proptest::proptest! {
        #[test]
        fn the_end_of_a_class_is_a_twentieth_above_what_is_in_it(millis in 1.0..60_000.0f64) {
            let time = Duration::from_secs_f64(millis / 1_000.0);
            let told = p95(std::iter::repeat_n(time, 20)).unwrap_or_default();
            let time = time.as_secs_f64();
            proptest::prop_assert!(told >= time * 0.999 && told <= time * 1.05, "{told} {time}");
        }
    }
}
