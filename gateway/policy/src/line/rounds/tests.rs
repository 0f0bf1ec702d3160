use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::line::{Batch, HighWater, Memory, Outcome, Stamp, segment};

const T0: Millis = segment::ORIGIN + 1_000_000;
const ROUND: Millis = 60_000;

fn random() -> Rules {
    Rules { round: Some(ROUND), ..Rules::per_minute(600) }
}

fn closed() -> Rules {
    Rules { open: false, ..random() }
}

/// A line, and the number of every place, by when it was taken.
struct Watched {
    line: Line,
    gateway: Memory,
    now: Millis,
    server: u64,
    /// Of each newcomer in order of arrival: the round (0: none), and the number or sequence.
    places: Vec<(u32, u64)>,
}

impl Watched {
    fn new() -> Self {
        Self { line: Line::new(T0), gateway: Memory::default(), now: T0, server: 0, places: Vec::new() }
    }

    fn step(&mut self, rules: &Rules, after: Millis, joins: u64) -> Outcome {
        self.now += after;
        let (seen, restore) = self.gateway.recall();
        let batch = Batch { joins, seen, restore, seed: self.now ^ 0x9e37_79b9_7f4a_7c15, ..Batch::default() };
        let outcome = self.line.apply(rules, &batch, Stamp { now: self.now, server: self.server });
        self.line.check_invariants(&Rules { open: true, ..rules.clone() });
        self.gateway.note(&[], &outcome);
        self.places.extend((outcome.first..).take(joins as usize).map(|at| (outcome.round, at)));
        outcome
    }

    /// The number of a place, if it has one.
    fn number(&self, (round, at): (u32, u64)) -> Option<u64> {
        if round == 0 {
            return Some(at);
        }
        self.line.view().adopted.iter().find_map(|adopted| adopted.number_of(round, at))
    }
}

#[test]
fn who_comes_in_the_same_round_stands_in_another_order_behind_all_before() {
    let mut line = Watched::new();
    line.step(&Rules { round: None, ..closed() }, 0, 20);
    let first = line.step(&closed(), 100, 40);
    assert!(first.round >= FIRST_ROUND && first.first == 1, "{first:?}");
    line.step(&closed(), 30_000, 60);
    let before = line.step(&closed(), ROUND - 30_001, 0).view;
    assert_eq!((before.waiting(), before.segments.waiting(), before.given()), (120, 20, 120), "no number yet");
    let drawn = line.step(&closed(), 1, 5);
    assert_eq!((drawn.view.waiting(), drawn.view.segments.waiting()), (125, 120));
    assert!(drawn.round > first.round && drawn.first == 1, "the next round has begun");
    let numbers: Vec<u64> = line.places[20..120].iter().map(|&place| line.number(place).unwrap()).collect();
    let last = line.number(line.places[19]).unwrap();
    assert!(!numbers.is_sorted(), "{numbers:?}");
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (last + 1..=last + 100).collect::<Vec<_>>());
}

#[test]
fn after_a_loss_no_round_has_the_id_of_one_that_the_store_has_forgotten() {
    for (early, lost) in (0..8).flat_map(|early| (0..6_000).step_by(250).map(move |lost| (early, lost))) {
        let mut before = Watched::new();
        let mut forgotten = before.step(&closed(), 0, 40).round;
        let hardly_knows = before.gateway.clone();
        // Places that gateways kept while the store was away end a round early: the next ones run ahead of the time.
        for gateway in 1..=early {
            let adopt = Some(Adopt { incarnation: gateway, first: 1, count: 5 });
            before.line.apply(&closed(), &Batch { adopt, ..Batch::default() }, before.now + 1);
            let next = before.step(&closed(), 2, 40).round;
            assert!(next > forgotten, "each is another one");
            forgotten = next;
        }
        for gateway in [before.gateway, hardly_knows] {
            let line = Line::new(before.now + lost);
            let mut anew = Watched { line, gateway, now: before.now, server: 0, places: Vec::new() };
            assert!(anew.step(&closed(), lost, 40).round > forgotten, "{early} ended early, lost {lost} ms later");
        }
    }
}

#[test]
fn another_seed_is_another_order() {
    let order = |seed| {
        let adopt = Adopt { incarnation: FIRST_ROUND, first: 1, count: 50 };
        let drawn = super::super::Adopted { adopt, base: 1, seed: Some(seed) };
        (1..=50).map(|at| drawn.number_of(FIRST_ROUND, at).unwrap()).collect::<Vec<_>>()
    };
    assert_ne!(order(1), order(2));
}

#[test]
fn a_line_that_would_run_dry_gets_the_round_before_its_end() {
    let mut line = Watched::new();
    line.step(&random(), 20_000, 0);
    let burst = line.step(&random(), 0, 150);
    assert_eq!(burst.round, 0, "a short line is in the order of arrival");
    let more = line.step(&random(), 100, 200);
    assert_ne!(more.round, 0);
    let mut claims = Vec::new();
    let mut drawn = None;
    for tick in 0..400_u64 {
        line.now += 100;
        let called = line.line.view().segments.open;
        claims.extend(called.base + 1..=called.serving.min(called.next));
        let batch = Batch { claims: std::mem::take(&mut claims), ..Batch::default() };
        let view = line.line.apply(&random(), &batch, line.now).view;
        if view.round.waiting() == 0 && drawn.is_none() {
            drawn = Some(tick * 100);
        }
        assert!(tick < 20 || view.segments.waiting() > 0 || view.round.waiting() == 0, "it stands idle at {tick}");
    }
    let drawn = drawn.unwrap();
    assert!((LEAST..ROUND).contains(&drawn), "{drawn} ms");
}

#[test]
fn the_end_of_random_draws_at_once_and_nobody_passes_by() {
    let mut line = Watched::new();
    line.step(&closed(), 0, 9);
    let fifo = Rules { round: None, ..closed() };
    let next = line.step(&fifo, 100, 1);
    assert_eq!(next.round, 0);
    let numbers: Vec<u64> = line.places.iter().map(|&place| line.number(place).unwrap()).collect();
    assert!(numbers[..9].iter().all(|&number| number < numbers[9]), "{numbers:?}");
}

#[test]
fn places_kept_without_the_store_stand_behind_the_round_that_gathered_before() {
    let mut line = Watched::new();
    line.step(&closed(), 0, 9);
    let adopt = Adopt { incarnation: 7, first: 1, count: 3 };
    line.now += 100;
    line.line.apply(&closed(), &Batch { adopt: Some(adopt), ..Batch::default() }, line.now);
    let kept = line.number((7, 1)).unwrap();
    assert!(line.places.iter().all(|&place| line.number(place).unwrap() < kept));
}

#[test]
fn a_gateway_that_takes_the_round_for_a_lost_one_does_not_end_it() {
    let mut line = Watched::new();
    let round = line.step(&closed(), 0, 9).round;
    line.now += 100;
    let adopt = Some(Adopt { incarnation: round, first: 1, count: 4 });
    let view = line.line.apply(&closed(), &Batch { adopt, ..Batch::default() }, line.now).view;
    assert!(view.adopted.is_empty() && view.round.waiting() == 9, "{view:?}");
}

#[test]
fn a_store_that_forgets_the_round_gives_no_place_twice_and_loses_none() {
    let mut line = Watched::new();
    line.step(&closed(), 0, 5);
    let old = line.line.clone();
    line.step(&closed(), 100, 20);
    let at_loss = line.places.len();
    // As it was, on another server.
    (line.line, line.server) = (old, 1);
    let after = line.step(&closed(), 100, 7);
    assert_ne!(after.round, line.places[0].0, "who comes now is in another round");
    line.step(&closed(), ROUND, 0);
    let numbers: Vec<u64> = line.places.iter().map(|&place| line.number(place).unwrap()).collect();
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), 32, "{numbers:?}");
    let last_before = numbers[..at_loss].iter().max().unwrap();
    assert!(numbers[at_loss..].iter().all(|number| number > last_before), "{numbers:?}");
}

#[test]
fn a_store_that_lost_everything_gets_the_draw_back_from_a_gateway() {
    let mut line = Watched::new();
    line.step(&closed(), 0, 20);
    line.step(&closed(), ROUND, 0);
    let before: Vec<_> = line.places.iter().map(|&place| line.number(place)).collect();
    assert!(before.iter().all(Option::is_some));
    (line.line, line.server) = (Line::new(Stamp { now: line.now, server: 1 }), 1);
    line.step(&closed(), 100, 0);
    let after: Vec<_> = line.places.iter().map(|&place| line.number(place)).collect();
    assert_eq!(before, after);
}

#[test]
fn a_restart_goes_on_with_the_round() {
    let mut line = Watched::new();
    let round = line.step(&closed(), 0, 5).round;
    let changes = line.line.take_changes();
    let kept = line.line.counters();
    line.line = Line::restored(kept, line.now, changes);
    let next = line.step(&closed(), 100, 1);
    assert_eq!((next.round, next.first), (round, 6));
}

#[test]
fn seen_without_a_round_is_no_loss() {
    assert!(!Round::default().is_later_than(&Round::default()));
    assert_eq!(HighWater::default().round, Round::default());
}

proptest! {
    /// Every place gets one number, and nobody is overtaken but by who came in the same round.
    #[test]
    fn every_place_gets_a_number_of_its_own_and_rounds_are_in_order(
        steps in prop::collection::vec((1_u64..20_000, 0_u64..60, prop::bool::weighted(0.4), prop::bool::weighted(0.9)), 1..60),
    ) {
        let mut line = Watched::new();
        for (after, joins, open, draws) in steps {
            let rules = Rules { open, round: draws.then_some(ROUND), ..random() };
            line.step(&rules, after, joins);
        }
        line.step(&Rules { round: None, ..closed() }, 1, 0);
        let numbers: Vec<Option<u64>> = line.places.iter().map(|&place| line.number(place)).collect();
        prop_assert!(numbers.iter().all(Option::is_some), "{:?}", line.places);
        let mut of = BTreeMap::new();
        for (at, number) in numbers.iter().flatten().enumerate() {
            prop_assert!(of.insert(*number, at).is_none(), "{number} twice");
        }
        let in_order: Vec<usize> = of.into_values().collect();
        for (place, &who) in in_order.iter().enumerate() {
            for &later in &in_order[place + 1..] {
                let same = line.places[who].0 == line.places[later].0 && line.places[who].0 > 0;
                prop_assert!(who < later || same, "{who} before {later}");
            }
        }
    }
}
