//! Visits: requests that only look at a calm room.
//!
//! ```text
//! visits in any T  <=  rate of visits x T + max(1, burst x rate of visits / rate),   and each costs a token of the bucket
//! ```
//!
//! A program that keeps no cookie (`curl`, a probe, a link preview) would take a number and a seat with every request. While
//! no shopper waits it gets in without either. A visit costs a token as an admission does, so the bound of a room in a window
//! covers both; and a token of its own bucket, so that four of five tokens are left to shoppers.
//!
//! The bucket is the line's: all gateways of a store share it. It starts empty, like that of the claims.
//!
//! Out of scope: which requests are visits ([`crate::admit`]).

use super::{Line, unlimited};
use crate::Millis;
use crate::room::Rules;

impl Line {
    pub(super) fn fill_visits(&mut self, rules: &Rules, elapsed: Millis) {
        let most = if rules.visits > 0.0 { (rules.burst * rules.visits / rules.rate).max(1.0) } else { 0.0 };
        self.visits = (self.visits + rules.visits * elapsed as f64 / 1000.0).min(most);
    }

    /// Lets in as many of the `asked` visits as allowed now; returns how many. Runs after the grants: holders of a number
    /// come first.
    pub(super) fn visit(&mut self, rules: &Rules, asked: u64) -> u64 {
        if self.stands() || !rules.open || unlimited(rules) {
            return 0;
        }
        let visits = asked.min(self.visits.floor() as u64).min(self.places(rules)).min(self.tokens());
        self.visits -= visits as f64;
        self.bucket -= visits as f64;
        visits
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::line::{Batch, Grant, segment};

    const T0: Millis = segment::ORIGIN;

    fn rules() -> Rules {
        Rules { burst: 20.0, ..Rules::per_minute(600) }
    }

    /// A calm line that has saved up all that it can.
    fn rested(rules: &Rules) -> Line {
        let mut line = Line::new(T0);
        (1..=20).for_each(|second| drop(line.apply(rules, &Batch::default(), T0 + second * 1_000)));
        line
    }

    fn visits(line: &mut Line, rules: &Rules, visits: u64, at: Millis) -> u64 {
        let outcome = line.apply(rules, &Batch { visits, ..Batch::default() }, T0 + at);
        line.check_invariants(rules);
        outcome.visits
    }

    #[test]
    fn a_calm_line_lets_a_fifth_of_its_burst_look_and_gives_them_no_number_and_no_seat() {
        let rules = rules();
        let mut line = rested(&rules);
        assert_eq!(visits(&mut line, &rules, 50, 20_000), 4);
        assert_eq!(visits(&mut line, &rules, 50, 20_499), 0);
        assert_eq!(visits(&mut line, &rules, 50, 20_500), 1, "two a second");
        let view = line.view();
        assert_eq!((view.active, view.granted, view.segments.given()), (0, 0, 0));
        assert!(line.bucket < 20.0, "each costs a token");
    }

    #[test]
    fn nobody_looks_while_somebody_waits_or_no_seat_is_free_or_the_room_is_closed() {
        let rules = rules();
        let mut line = rested(&rules);
        line.apply(&rules, &Batch { joins: 100, ..Batch::default() }, T0 + 20_000);
        assert_eq!(visits(&mut line, &rules, 1, 20_001), 0, "people wait");
        let seats = Rules { total_active_users: Some(3), ..rules.clone() };
        let mut line = rested(&seats);
        assert_eq!(visits(&mut line, &seats, 1, 20_000), 1);
        line.apply(&seats, &Batch { joins: 3, ..Batch::default() }, T0 + 20_001);
        assert_eq!(visits(&mut line, &seats, 1, 21_000), 0, "no seat");
        for closed in [Rules { open: false, ..rules.clone() }, Rules { visits: 0.0, ..rules.clone() }] {
            let mut line = rested(&rules);
            assert_eq!(visits(&mut line, &closed, 1, 20_500), 0);
        }
    }

    #[test]
    fn whoever_comes_with_a_number_is_served_before_those_who_look() {
        let rules = Rules { burst: 1.0, ..Rules::per_minute(60) };
        let mut line = rested(&rules);
        let outcome = line.apply(&rules, &Batch { joins: 1, visits: 1, ..Batch::default() }, T0 + 20_000);
        assert!(matches!(outcome.grants[..], [(_, Grant::Pass { .. })]), "{outcome:?}");
        assert_eq!(outcome.visits, 0, "there was one token");
    }

    proptest! {
        /// Promise 1 for visits and shoppers together, and the fifth of the visits, in every window.
        #[test]
        fn visits_and_shoppers_together_keep_to_the_limit(
            per_minute in 30_u32..6_000,
            burst in 1.0..50.0_f64,
            steps in prop::collection::vec((0_u64..900, 0_u64..6, 0_u64..40), 1..150),
        ) {
            let rules = Rules { burst, ..Rules::per_minute(per_minute) };
            let (mut line, mut now, mut let_in) = (Line::new(T0), T0, Vec::new());
            for (after, joins, visits) in steps {
                now += after;
                let held: Vec<u64> = line.claimants.keys().copied().collect();
                let batch = Batch { joins, visits, claims: held, ..Batch::default() };
                let outcome = line.apply(&rules, &batch, now);
                line.check_invariants(&rules);
                let passes = outcome.grants.iter().filter(|(_, grant)| matches!(grant, Grant::Pass { .. })).count() as u64;
                let_in.push((now, passes + outcome.visits, outcome.visits));
            }
            for (first, &(from, ..)) in let_in.iter().enumerate() {
                let (mut all, mut looked) = (0, 0);
                for &(at, both, visits) in &let_in[first..] {
                    (all, looked) = (all + both, looked + visits);
                    let seconds = (at - from) as f64 / 1_000.0;
                    prop_assert!(all as f64 <= rules.rate * seconds + burst + 1e-6, "{all} in {seconds} s");
                    let most = rules.visits * seconds + (burst / crate::room::VISITS).max(1.0);
                    prop_assert!(looked as f64 <= most + 1e-6, "{looked} visits in {seconds} s");
                }
            }
        }
    }
}
