//! Places that operators give by code: they enter first, on the tokens of the rate, once, whatever is lost.

use policy::Millis;
use policy::line::segment::{GIVEN, SPAN};
use policy::line::{Batch, Grant, Line, Memory, Outcome, Stamp};
use policy::room::Rules;
use policy::ticket::Token;

use crate::sim::crowd::{Exit, Habit, Person};
use crate::sim::{Plan, START, Upset, World, per_second};

/// A gateway with its memory.
struct Gate {
    id: u32,
    memory: Memory,
}

impl Gate {
    fn new(id: u32) -> Self {
        Self { id, memory: Memory::default() }
    }

    /// The audit, or a shopper, tells of the `nth` place.
    fn hears(&mut self, nth: u64) {
        self.memory.shown(&Token::ticket(GIVEN + nth, START));
    }

    fn ask(&mut self, line: &mut Line, rules: &Rules, batch: Batch, at: Stamp) -> Outcome {
        let (seen, restore) = self.memory.recall();
        let outcome = line.apply(rules, &Batch { gateway: self.id, seen, restore, ..batch }, at);
        line.check_invariants(rules);
        self.memory.note(&[], &outcome);
        self.memory.tidy(&outcome.view);
        outcome
    }
}

fn at(server: u64, after: Millis) -> Stamp {
    Stamp { now: START + after, server }
}

fn claims(numbers: &[u64]) -> Batch {
    Batch { claims: numbers.to_vec(), ..Batch::default() }
}

fn joins(joins: u64) -> Batch {
    Batch { joins, ..Batch::default() }
}

fn passes(outcome: &Outcome) -> Vec<(u64, Grant)> {
    outcome.grants.iter().filter(|(_, grant)| matches!(grant, Grant::Pass { .. })).copied().collect()
}

#[test]
fn a_given_place_is_no_loss_and_enters_before_those_who_wait_on_a_token_of_the_rate() {
    let rules = Rules { burst: 1.0, ..Rules::per_minute(600) };
    let (mut line, mut gate) = (Line::new(at(1, 0)), Gate::new(1));
    let last = gate.ask(&mut line, &rules, joins(1_000), at(1, 0)).first + 999;
    let lost = line.view().lost;
    let (mut came, mut inside, mut position) = (Vec::new(), 0, u64::MAX);
    for step in 1..=200 {
        // Two come at each second, and all who are called.
        if step % 10 == 0 {
            gate.hears(step / 10 * 2 - 1);
            gate.hears(step / 10 * 2);
        }
        let view = line.view();
        let given = GIVEN + 1..=GIVEN + view.segments.given_by_operators();
        let called = view.segments.open.base + 1..=view.segments.open.serving;
        let here: Vec<u64> = given.chain(called).filter(|number| !came.contains(number)).collect();
        let outcome = gate.ask(&mut line, &rules, claims(&here), at(1, step * 100));
        let entered = passes(&outcome);
        came.extend(entered.iter().map(|(number, _)| *number));
        inside += entered.len() as u64;
        assert!(inside as f64 <= 1.0 + 0.1 * 10.0 * step as f64, "{inside} within {step} steps");
        assert_eq!((outcome.view.lost, outcome.view.unsure), (lost, false), "no loss at step {step}");
        let now = outcome.view.position(last).expect("a position");
        assert!(now <= position, "from {position} to {now}");
        position = now;
    }
    let given = came.iter().filter(|&&number| number < GIVEN + SPAN).count();
    assert!((38..=40).contains(&given) && inside >= 190, "{given} of {inside}");
    assert_eq!((line.view().segments.earlier(), line.view().segments.given_by_operators()), (0, 40));
}

#[test]
fn a_code_in_two_hands_is_one_pass_and_seats_are_never_exceeded() {
    let rules = Rules { total_active_users: Some(1), session: 5_000, ..Rules::per_minute(6_000) };
    let (mut line, mut one, mut two) = (Line::new(at(1, 0)), Gate::new(1), Gate::new(2));
    let unknown = one.ask(&mut line, &rules, claims(&[GIVEN + 1]), at(1, 1_000));
    assert_eq!(unknown.grants, [(GIVEN + 1, Grant::NotYet)], "given by nobody yet");
    one.hears(2);
    let first = one.ask(&mut line, &rules, claims(&[GIVEN + 1]), at(1, 2_000));
    let second = two.ask(&mut line, &rules, claims(&[GIVEN + 1, GIVEN + 2]), at(1, 2_100));
    assert_eq!((passes(&first).len(), passes(&second)), (1, passes(&first)), "the same pass, and no seat for another");
    assert_eq!((second.view.granted, second.view.active), (1, 1));
    let after = two.ask(&mut line, &rules, claims(&[GIVEN + 1, GIVEN + 2]), at(1, 7_100));
    assert!(after.grants.contains(&(GIVEN + 1, Grant::Spent)), "{:?}", after.grants);
    assert_eq!(after.view.granted, 2, "the seat is that of the second place");
    let revoked = one.ask(&mut line, &rules, Batch { ends: vec![GIVEN + 3], ..Batch::default() }, at(1, 7_200));
    assert!(revoked.revoked.is_empty(), "a place that was not given");
}

#[test]
fn a_store_that_lost_everything_gives_no_second_pass_and_keeps_the_place_that_was_not_used() {
    let rules = Rules::per_minute(6_000);
    let (mut line, mut one, mut two) = (Line::new(at(1, 0)), Gate::new(1), Gate::new(2));
    for gate in [&mut one, &mut two] {
        gate.ask(&mut line, &rules, Batch::default(), at(1, 500));
    }
    one.hears(2);
    let used = passes(&one.ask(&mut line, &rules, claims(&[GIVEN + 1]), at(1, 1_000)));
    assert_eq!(used.len(), 1);
    // The other gateway has read of both places, and asks first.
    two.hears(2);
    let mut line = Line::new(at(2, 60_000));
    let mut answers = Vec::new();
    for step in 0..40 {
        let gate = if step % 2 == 0 { &mut two } else { &mut one };
        let outcome = gate.ask(&mut line, &rules, claims(&[GIVEN + 1, GIVEN + 2]), at(2, 60_000 + step * 100));
        answers.extend(passes(&outcome));
    }
    answers.sort_by_key(|(number, _)| *number);
    answers.dedup();
    assert_eq!(answers.len(), 2, "one pass each: {answers:?}");
    assert_eq!((answers[0], answers[1].0), (used[0], GIVEN + 2));
    assert_eq!(line.view().segments.given_by_operators(), 2, "the next place is the third");
}

#[test]
fn given_places_outlive_the_segments_that_a_line_forgets() {
    let rules = Rules::per_minute(6_000);
    let (mut line, mut gate) = (Line::new(at(1, 0)), Gate::new(1));
    gate.hears(1);
    for loss in 1..20 {
        let joined = gate.ask(&mut line, &rules, joins(1), at(loss, loss * 60_000)).first;
        for step in 1..40 {
            gate.ask(&mut line, &rules, claims(&[joined]), at(loss, loss * 60_000 + step * 100));
        }
    }
    let view = line.view();
    assert!(view.forgotten > GIVEN && view.segments.earlier() == 6, "{view:?}");
    assert!(!view.forgot(GIVEN + 1) && view.segments.is_called(GIVEN + 1));
    let outcome = gate.ask(&mut line, &rules, claims(&[GIVEN + 1]), at(19, 20 * 60_000));
    assert_eq!(passes(&outcome).len(), 1);
    // The claim is one of those that are kept, too.
    let line = Line::restored(line.counters(), at(19, 21 * 60_000), line.take_changes());
    assert!(line.view().segments.is_called(GIVEN + 1));
}

/// What [`crate::sim::watch`] asserts of every launch, with holders of codes among the crowd.
#[test]
fn launches_with_codes_keep_every_promise_through_losses() {
    let faults = [
        vec![],
        vec![(20_000, Upset::Kill(1)), (30_000, Upset::Lose(2_000))],
        vec![(15_000, Upset::Flush), (40_000, Upset::Flush)],
        vec![(12_000, Upset::Cut(0, 8_000, true)), (25_000, Upset::Away(5_000))],
        vec![(20_000, Upset::Restart { torn: true })],
    ];
    for (seed, upsets) in (1..).zip(faults) {
        let mut crowd: Vec<Person> = (0..600).map(|n| Person::new(1_000 + n * 5, Habit::Told)).collect();
        let codes = (1..=30).map(|nth| {
            let habit = if nth % 3 == 0 { Habit::TwoTabs } else { Habit::Told };
            Person::new(5_000 + nth * 900, habit).with_code(nth).staying(4_000, Exit::GivesBack)
        });
        crowd.extend(codes);
        let crowd_len = crowd.len() as u32;
        let plan = Plan { gateways: 3, sticky: false, crowd, upsets, ..Plan::calm(seed, per_second(20.0)) };
        let world = World::run(plan);
        for person in 0..crowd_len {
            assert!(world.watch.satisfied(person), "{person} of seed {seed} was never let in");
        }
    }
}
