use super::super::tests::{claims, joins, passes};
use super::super::{Batch, Line, Outcome, segment};
use super::*;
use crate::room::Rules;

const T0: Millis = segment::ORIGIN;
const TICK: Millis = 100;

/// A batch of this gateway.
fn of(gateway: u32, batch: Batch) -> Batch {
    Batch { gateway, ..batch }
}

/// The same from a gateway for which the shop rests.
fn resting(batch: Batch) -> Batch {
    Batch { shop_rests: true, ..batch }
}

/// A line of 10 a second, its clock, and the called numbers without a pass.
struct Launch {
    line: Line,
    rules: Rules,
    at: Millis,
    inside: u64,
}

impl Launch {
    /// A line that stands, five seconds old.
    fn begin(rules: Rules) -> Self {
        let mut launch = Self { line: Line::new(T0), rules, at: 0, inside: 0 };
        launch.ask(joins(2_000));
        launch.go_on(5_000, 1);
        launch
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
    fn ask(&mut self, batch: Batch) -> Outcome {
        let outcome = self.line.apply(&self.rules, &batch, T0 + self.at);
        self.line.check_invariants(&self.rules);
        self.inside += passes(&outcome).len() as u64;
        outcome
    }

    /// Every called number claims at this gateway; one with a pass gets no second.
    fn tick(&mut self, gateway: u32) -> Outcome {
        self.at += TICK;
        let open = self.line.view().segments.open;
        let called = open.base + 1..=open.serving.min(open.next);
        let without: Vec<u64> = called.filter(|&number| self.line.passes.expiry(number).is_none()).collect();
        self.ask(of(gateway, claims(without)))
    }

    fn go_on(&mut self, time: Millis, gateway: u32) -> u64 {
        let before = self.inside;
        (0..time / TICK).for_each(|_| drop(self.tick(gateway)));
        self.inside - before
    }

    /// No gateway reaches the shop.
    fn stand(&mut self, time: Millis) {
        for _ in 0..time / TICK {
            self.at += TICK;
            self.ask(resting(of(1, Batch::default())));
        }
    }
}

#[test]
fn the_rate_begins_at_an_eighth_and_doubles_until_it_is_whole() {
    let seconds = [15_000, 10_001, 10_000, 5_001, 5_000, 1, 0];
    assert_eq!(seconds.map(|easing| (ease(easing) * 8.0) as u64), [1, 1, 2, 2, 4, 4, 8]);
    let mut launch = Launch::begin(Rules::per_minute(4_800));
    launch.stand(60_000);
    let given: Vec<u64> = (0..4).map(|_| launch.go_on(STEP, 1)).collect();
    for (given, share) in given.iter().zip([0.125, 0.25, 0.5, 1.0]) {
        let whole = 80.0 * 5.0 * share;
        // The bucket of a standing line, and the step from one rate to the next.
        assert!((*given as f64) < whole + 10.0 && *given as f64 > 0.9 * whole - 10.0, "{given} of {whole}");
    }
}

#[test]
fn while_nobody_reaches_the_shop_nothing_is_spent_and_nobody_loses_a_turn() {
    let seats = Rules { total_active_users: Some(1_000), session: 7_200_000, ..Rules::per_minute(600) };
    let mut launch = Launch::begin(Rules { claim_window: 4_000, ..seats });
    // A shopper is called, and does not come before the shop is gone.
    launch.at += TICK;
    launch.ask(of(1, Batch::default()));
    let before = launch.line.view();
    launch.stand(600_000);
    let claim = launch.ask(resting(of(1, claims(launch.inside + 1..=before.segments.open.serving + 5))));
    let join = launch.ask(resting(of(1, joins(3))));
    assert_eq!((passes(&claim), passes(&join)), (vec![], vec![]));
    let after = launch.line.view();
    assert_eq!(after.segments.open.next, before.segments.open.next + 3, "newcomers have a number");
    assert_eq!(after.segments.open.serving, before.segments.open.serving, "the pointer stands");
    let spent = |view: &crate::line::View| (view.granted, view.active, view.no_shows);
    assert_eq!(spent(&after), spent(&before));
    assert!((after.show_share - before.show_share).abs() < 1e-9, "nobody was expected meanwhile");

    let first = launch.tick(1).view;
    assert_eq!(first.speed, 0.0, "what is known of the speed is over");
    launch.go_on(3_000, 1);
    assert_eq!(launch.line.view().no_shows, before.no_shows, "and claim windows went on where they were");
    launch.go_on(20_000, 1);
    assert!(launch.line.view().speed > 0.0);
}

#[test]
fn a_calm_room_spends_nothing_on_newcomers_while_the_shop_rests() {
    let rules = Rules::per_minute(600);
    let mut launch = Launch { line: Line::new(T0), rules, at: 0, inside: 0 };
    launch.go_on(5_000, 1);
    let bucket = launch.line.bucket;
    assert!(bucket >= 10.0, "it has saved up its burst");
    let outcome = launch.ask(resting(of(1, joins(4))));
    assert!(outcome.view.segments.is_called(outcome.first) && outcome.grants.is_empty(), "{outcome:?}");
    assert_eq!((outcome.view.claimants, launch.line.bucket), (0, bucket));
    let visit = Batch { visits: 1, ..Batch::default() };
    let outcome = launch.ask(resting(of(1, visit.clone())));
    assert_eq!((outcome.visits, launch.line.bucket), (0, bucket), "nor on visits");
    launch.tick(1);
    assert_eq!(launch.inside, 4, "a shop that was away for a moment costs nobody anything");
    assert_eq!(launch.ask(of(1, visit)).visits, 1);
}

#[test]
fn a_gateway_that_alone_is_cut_off_from_the_shop_stops_nobody_else() {
    let mut alone = Launch::begin(Rules::per_minute(600));
    let given = alone.go_on(30_000, 1);
    let mut two = Launch::begin(Rules::per_minute(600));
    let before = two.inside;
    for _ in 0..300 {
        two.ask(resting(of(2, Batch::default())));
        two.at += TICK / 2;
        two.ask(resting(of(2, joins(1))));
        two.at -= TICK / 2;
        two.tick(1);
    }
    let here = two.inside - before;
    assert!(here.abs_diff(given) <= 3, "{here} and {given}");
    assert_eq!(two.line.rest.stood, 0);
}
