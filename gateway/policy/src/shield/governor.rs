//! Which signal the guard of a room acts by, and how full a value means the shop is.
//!
//! The highest fresh signal rules. The name that is shown is that of the signal by which the rate last came down: while it rises
//! again, which of several low signals is the highest tells nothing.

use super::signals::{Advice, Guard, Reading};

/// Beyond so many times full a value is no measurement.
const MOST: f64 = 1_000.0;

/// A value that measures nothing.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum BadValue {
    /// Not a number, or infinite.
    #[error("a value that is no number")]
    NoNumber,
    /// Below 0.
    #[error("a value below 0")]
    Negative,
    /// Beyond all reason.
    #[error("a value more than 1,000 times full_at")]
    Huge,
}

/// How full a value means the shop is: 1.0 at `full_at`, which is above 0.
///
/// # Errors
/// If it measures nothing.
pub fn full(value: f64, full_at: f64) -> Result<f64, BadValue> {
    let full = value / full_at;
    match full {
        _ if !value.is_finite() || full.is_nan() => Err(BadValue::NoNumber),
        _ if full < 0.0 => Err(BadValue::Negative),
        _ if full > MOST => Err(BadValue::Huge),
        _ => Ok(full),
    }
}

/// What is to be done, and by which signal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ruling {
    /// The cap.
    pub advice: Advice,
    /// The place of the signal.
    pub by: usize,
}

/// The guard of one room at one gateway, over several signals.
#[derive(Debug, Clone, Default)]
pub struct Governor {
    guard: Guard,
    last: Option<Ruling>,
}

impl Governor {
    /// A second is over. `signals` says how full each is, `None` where nothing fresh is known; `admitted` and `ceiling` are in new
    /// shoppers per second. `None`: nothing is capped.
    pub fn tick(&mut self, signals: &[Option<f64>], admitted: f64, ceiling: f64) -> Option<Ruling> {
        let fresh = signals.iter().enumerate().filter_map(|(place, full)| Some((place, (*full)?)));
        let highest = fresh.max_by(|a, b| a.1.total_cmp(&b.1));
        let reading = highest.map(|(_, full)| Reading { full, admitted });
        let advice = self.guard.tick(reading, ceiling);
        self.last =
            advice.zip(highest).map(|(advice, (highest, _))| Ruling { advice, by: self.by(advice, highest, signals) });
        self.last
    }

    fn by(&self, advice: Advice, highest: usize, signals: &[Option<f64>]) -> usize {
        let still =
            |last: &Ruling| advice.rate() >= last.advice.rate() && signals.get(last.by).is_some_and(Option::is_some);
        self.last.filter(still).map_or(highest, |last| last.by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_lies_measures_nothing() {
        assert_eq!(full(0.4, 0.8), Ok(0.5));
        assert_eq!(full(0.0, 0.8), Ok(0.0));
        for (lie, why) in [
            (f64::NAN, BadValue::NoNumber),
            (f64::INFINITY, BadValue::NoNumber),
            (f64::NEG_INFINITY, BadValue::NoNumber),
            (-0.1, BadValue::Negative),
            (1e9, BadValue::Huge),
        ] {
            assert_eq!(full(lie, 0.8), Err(why), "{lie}");
        }
        assert_eq!(full(f64::MAX, f64::MIN_POSITIVE), Err(BadValue::Huge));
    }

    #[test]
    fn the_highest_fresh_signal_rules_and_its_name_stays_while_the_rate_rises() {
        let mut governor = Governor::default();
        assert_eq!(governor.tick(&[None, Some(0.5), Some(0.9)], 100.0, 100.0), None);
        let cut = governor.tick(&[None, Some(0.5), Some(1.2)], 100.0, 100.0);
        assert_eq!(cut, Some(Ruling { advice: Advice::Cap(92.0), by: 2 }));
        for _ in 0..3 {
            let rises = governor.tick(&[None, Some(0.5), Some(0.1)], 100.0, 100.0);
            assert_eq!(rises.map(|ruling| ruling.by), Some(2));
        }
        let other = governor.tick(&[Some(1.6), Some(0.5), Some(0.1)], 90.0, 100.0);
        assert_eq!(other.map(|ruling| ruling.by), Some(0), "{other:?}");
        let gone = governor.tick(&[None, Some(0.5), None], 90.0, 100.0);
        assert_eq!(gone.map(|ruling| ruling.by), Some(1), "one that says nothing any more binds nothing");
        assert_eq!(governor.tick(&[None; 3], 90.0, 100.0), None);
    }
}
