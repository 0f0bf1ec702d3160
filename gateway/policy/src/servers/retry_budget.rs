//! How many requests may be sent again: a share of all requests, and a few in any case.
//!
//! A server that gives every request back would get each of them several times: where many fail, sending again is a load of
//! its own. As in Finagle and Envoy, retries of a window are bounded by a share of the requests of that window.
//!
//! ```text
//! retries in the window  <  10 + share x requests in the window        the window: the last 10 to 20 s
//! ```
//!
//! Out of scope: which requests can be sent again at all.

use std::time::Duration;

/// Retries of a window that are always allowed: a restart of a quiet server costs some.
pub const LEAST: u64 = 10;
/// How old a window is when the next one begins.
pub const WINDOW: Duration = Duration::from_secs(10);

/// Counts at a time since an origin of the caller's.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    at: Duration,
    requests: u64,
    retries: u64,
}

/// What may be sent again. Asked at a retry alone: requests that need none cost it nothing.
#[derive(Debug, Default)]
pub struct RetryBudget {
    /// Retries so far.
    retries: u64,
    /// Where the window begins.
    window: Mark,
    /// Where the one after it does, which takes its place.
    next: Mark,
}

impl RetryBudget {
    /// Whether one more may be sent again; if so, it is counted. `requests`: all so far, retries aside; `now`: since an origin of
    /// the caller's.
    pub fn spend(&mut self, share: f64, requests: u64, now: Duration) -> bool {
        let age = now.saturating_sub(self.next.at);
        if age >= WINDOW {
            let fresh = Mark { at: now, requests, retries: self.retries };
            // What was counted long ago says nothing of now.
            self.window = if age >= 2 * WINDOW { fresh } else { self.next };
            self.next = fresh;
        }
        let requests = requests.saturating_sub(self.window.requests);
        let retries = self.retries - self.window.retries;
        let allowed = (retries as f64) < LEAST as f64 + share * requests as f64;
        self.retries += u64::from(allowed);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays `per_second` requests a second, each of which is refused; returns how many are sent again.
    fn storm(budget: &mut RetryBudget, requests: &mut u64, from: u64, seconds: u64, per_second: u64) -> u64 {
        let mut retries = 0;
        for request in 0..seconds * per_second {
            *requests += 1;
            let now = Duration::from_secs(from) + Duration::from_micros(request * 1_000_000 / per_second);
            retries += u64::from(budget.spend(0.2, *requests, now));
        }
        retries
    }

    #[test]
    fn a_fifth_of_the_requests_and_a_few_more() {
        let retries = storm(&mut RetryBudget::default(), &mut 0, 100, 60, 100);
        assert!((1_200..=1_200 + 7 * LEAST).contains(&retries), "{retries}");
    }

    #[test]
    fn a_few_are_always_allowed() {
        assert_eq!(storm(&mut RetryBudget::default(), &mut 0, 100, 1, 8), 8);
    }

    #[test]
    fn a_calm_day_is_no_credit_for_a_storm() {
        let mut budget = RetryBudget::default();
        assert!(budget.spend(0.2, 1_000_000, Duration::from_secs(50)));
        let retries = storm(&mut budget, &mut 90_000_000, 3_600, 1, 1_000);
        assert!(retries <= 200 + LEAST, "{retries}");
    }

    #[test]
    fn without_a_share_only_those_few() {
        let mut budget = RetryBudget::default();
        let allowed = (0..1_000).filter(|&requests| budget.spend(0.0, requests, Duration::from_secs(100))).count();
        assert_eq!(allowed as u64, LEAST);
    }
}
