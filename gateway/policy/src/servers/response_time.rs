//! How long a server takes to answer, and how loaded that makes it: a moving average that rises quickly and falls slowly.
//!
//! ```text
//! average  =  average + (1 - e^(-dt / tau)) x (sample - average)      tau: 1 s upward, 10 s downward
//! load     =  average x e^(-age / 10 s) x (requests in work + 1)
//! ```
//!
//! After Finagle's peak EWMA, by which Twitter chose servers, with one change. There one slow answer is the new average. A
//! shop has slow pages, and one of them says nothing of its server: here an average rises within a second, over many answers.
//!
//! An answer of status 5xx often comes quickly, and a server that fails everything would be chosen for all. It counts as twice
//! the average, up to 5 s. What is known of a server that is not asked any more grows old, so that it is tried again.
//!
//! Out of scope: which servers are drawn, and counting requests in work.

use std::time::Duration;

/// How soon it rises.
const RISES_IN: f64 = 1.0;
/// How soon it falls.
const FALLS_IN: f64 = 10.0;
/// No server counts as slower.
const LONGEST: f64 = 60.0;
/// A quick failure counts as a time between these.
const FAILURE: (f64, f64) = (0.05, 5.0);

/// The average time of a server's answers.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ResponseTime {
    /// In seconds; 0: no answer has come yet.
    average: f32,
    /// When the last one came, in milliseconds of a clock that wraps.
    at: u32,
}

impl ResponseTime {
    /// With an answer that took so long, at `now` of a clock in milliseconds that wraps.
    #[must_use]
    pub fn answered(self, took: Duration, now: u32) -> Self {
        self.with(took.as_secs_f64(), now)
    }

    /// With an answer that is a failure, or with none for so long.
    #[must_use]
    pub fn failed(self, took: Duration, now: u32) -> Self {
        let twice = (2.0 * f64::from(self.average)).clamp(FAILURE.0, FAILURE.1);
        self.with(took.as_secs_f64().max(twice), now)
    }

    fn with(self, sample: f64, now: u32) -> Self {
        let sample = sample.clamp(1e-6, LONGEST);
        let before = f64::from(self.average);
        let average = if before > 0.0 {
            let tau = if sample > before { RISES_IN } else { FALLS_IN };
            // At least a millisecond: of a thousand answers in one, each counts.
            let since = self.age(now).max(0.001);
            before + (1.0 - (-since / tau).exp()) * (sample - before)
        } else {
            sample
        };
        Self { average: average as f32, at: now }
    }

    /// The average; zero before the first answer.
    pub fn average(self) -> Duration {
        Duration::from_secs_f32(self.average)
    }

    /// How loaded a server is that works on so many requests; `None` before its first answer.
    pub fn load(self, in_work: usize, now: u32) -> Option<f64> {
        let fresh = f64::from(self.average) * (-self.age(now) / FALLS_IN).exp();
        (self.average > 0.0).then_some(fresh * (in_work as f64 + 1.0))
    }

    /// Whether a server with these answers, and so many requests in work, is less loaded than another. Where one has not
    /// answered yet, requests in work alone tell.
    pub fn is_less_loaded(self, in_work: usize, than: (Self, usize), now: u32) -> bool {
        let (other, others) = than;
        match (self.load(in_work, now), other.load(others, now)) {
            (Some(load), Some(than)) => load < than,
            _ => in_work < others,
        }
    }

    /// Seconds since the last answer. Two threads may have read the clock in another order.
    fn age(self, now: u32) -> f64 {
        f64::from(now.wrapping_sub(self.at).cast_signed().max(0)) / 1000.0
    }

    /// In one word, so that threads can share it.
    pub fn to_bits(self) -> u64 {
        u64::from(self.average.to_bits()) << 32 | u64::from(self.at)
    }

    /// From that word.
    pub fn from_bits(bits: u64) -> Self {
        Self { average: f32::from_bits((bits >> 32) as u32), at: bits as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// With answers of one kind, one every 10 ms, for so many seconds from `from`.
    fn over(mut time: ResponseTime, took: Duration, from: u32, seconds: u32) -> ResponseTime {
        for step in 1..=seconds * 100 {
            time = time.answered(took, from + step * 10);
        }
        time
    }

    #[test]
    fn it_rises_within_seconds_and_falls_over_tens_of_them() {
        let calm = over(ResponseTime::default(), ms(50), 0, 5);
        assert_eq!(calm.average().as_millis(), 50);
        let slow = over(calm, ms(550), 5_000, 2);
        assert!((450..=550).contains(&slow.average().as_millis()), "{:?}", slow.average());
        let after = over(slow, ms(50), 7_000, 10);
        assert!((200..=300).contains(&after.average().as_millis()), "{:?}", after.average());
    }

    #[test]
    fn one_slow_page_says_little() {
        let calm = over(ResponseTime::default(), ms(50), 0, 5);
        let after = calm.answered(ms(2_000), 5_010);
        assert!(after.average() < ms(80), "{:?}", after.average());
    }

    #[test]
    fn a_server_that_fails_at_once_is_not_the_quickest() {
        let mut time = over(ResponseTime::default(), ms(50), 0, 5);
        for step in 1..=200 {
            time = time.failed(ms(1), 5_000 + step * 10);
        }
        assert!(time.average() > ms(300), "{:?}", time.average());
        let mut new = ResponseTime::default().failed(ms(1), 0);
        assert_eq!(new.average().as_millis(), 50);
        for step in 1..=100_000 {
            new = new.failed(ms(1), step);
        }
        assert!(new.average() <= Duration::from_secs(5));
    }

    #[test]
    fn what_is_known_of_a_server_that_is_not_asked_grows_old() {
        let slow = ResponseTime::default().answered(ms(1_000), u32::MAX - 10);
        let now = |after: u32| (u32::MAX - 10).wrapping_add(after);
        assert_eq!(ResponseTime::default().load(3, 0), None);
        let load = |after| slow.load(0, now(after)).unwrap_or_default();
        assert!((load(0) - 1.0).abs() < 1e-6 && (load(10_000) - 0.368).abs() < 0.001, "{}", load(10_000));
        assert!((slow.load(3, now(0)).unwrap_or_default() - 4.0).abs() < 1e-6);
        assert!((slow.load(0, now(0).wrapping_sub(5)).unwrap_or_default() - 1.0).abs() < 1e-6, "read a little earlier");
    }

    #[test]
    fn it_goes_through_a_word() {
        let time = ResponseTime::default().answered(ms(123), 77);
        assert_eq!(ResponseTime::from_bits(time.to_bits()), time);
    }
}
