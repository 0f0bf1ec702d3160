use proptest::prelude::*;

use super::*;
use crate::line::{Batch, Grant, HighWater, Outcome, Stamp, segment};

const T0: Millis = segment::ORIGIN + 1_000_000;

/// Ten shoppers a second, one at once.
fn rules() -> Rules {
    Rules { burst: 1.0, ..Rules::per_minute(600) }
}

fn ordered(rules: &Rules, at: Millis, shoppers: u64) -> Rules {
    Rules { let_in: Some(LetIn { at: T0 + at, shoppers }), ..rules.clone() }
}

fn step(line: &mut Line, rules: &Rules, batch: &Batch, at: Millis) -> Outcome {
    let outcome = line.apply(rules, batch, T0 + at);
    line.check_invariants(rules);
    outcome
}

fn passes(outcome: &Outcome) -> u64 {
    outcome.grants.iter().filter(|(_, grant)| matches!(grant, Grant::Pass { .. })).count() as u64
}

/// All who are called and have no pass claim.
fn crowd(line: &Line) -> Batch {
    let open = line.counters.segments.open;
    let called = open.base + 1..=open.serving.min(open.next);
    Batch { claims: called.filter(|&number| !line.claimed.has(number)).collect(), ..Batch::default() }
}

/// Lives from `from` to `to` in steps of 100 ms, all called shoppers here; returns who came in each step.
fn live(line: &mut Line, rules: &Rules, from: Millis, to: Millis) -> Vec<u64> {
    let steps = (from..to).step_by(100);
    steps.map(|at| passes(&line.apply(rules, &crowd(line), T0 + at))).collect()
}

/// A line in which so many people wait, and the first of them are in.
fn standing(rules: &Rules, people: u64) -> Line {
    let mut line = Line::new(T0);
    step(&mut line, rules, &Batch { joins: people, ..Batch::default() }, 0);
    live(&mut line, rules, 100, 10_000);
    line
}

#[test]
fn those_in_front_enter_at_once_and_the_line_stands_until_the_rate_has_paid_for_them() {
    let rules = rules();
    let mut line = standing(&rules, 10_000);
    let before = line.counters.granted;
    let rules = ordered(&rules, 10_000, 200);
    let came = live(&mut line, &rules, 10_000, 10_300);
    assert!(came.iter().sum::<u64>() >= 200, "{came:?}");
    assert_eq!(line.letting_in.left, 0);
    let owed = line.owed();
    assert!((190..=200).contains(&owed), "{owed}");
    // Twenty seconds of rate are owed, and after them it is as ever.
    let came: u64 = live(&mut line, &rules, 10_300, 29_000).iter().sum();
    assert_eq!(came, 0, "the others stand");
    live(&mut line, &rules, 29_000, 60_000);
    let (granted, by_rate) = (line.counters.granted - before, 500);
    assert!(granted <= by_rate + 1 && granted * 100 >= by_rate * 99, "{granted} in 50 s at 10 a second");
    assert_eq!(line.owed(), 0);
}

#[test]
fn an_order_is_taken_once_whoever_brings_it_and_none_that_is_older() {
    let rules = rules();
    let mut line = standing(&rules, 1_000);
    let (first, second) = (ordered(&rules, 10_000, 20), ordered(&rules, 10_050, 30));
    step(&mut line, &first, &Batch::default(), 10_000);
    step(&mut line, &first, &Batch { gateway: 7, ..Batch::default() }, 10_010);
    assert_eq!(line.letting_in.left, 20);
    step(&mut line, &second, &Batch::default(), 10_060);
    step(&mut line, &first, &Batch::default(), 10_070);
    assert_eq!(line.letting_in.left, 50, "a way back to the older one does nothing");
    step(&mut line, &ordered(&rules, 10_100, 9), &Batch::default(), 70_100);
    assert_eq!(line.letting_in.left, 0, "nor does one that comes a minute late");
}

#[test]
fn a_minute_of_the_rate_is_the_most_that_is_owed_and_nobody_is_let_in_whom_nobody_is() {
    let rules = rules();
    let mut line = standing(&rules, 5_000);
    for (at, most) in [(10_000, 600), (10_001, 600)] {
        step(&mut line, &ordered(&rules, at, 1_000_000), &Batch::default(), at);
        assert!(line.owed() <= most && line.owed() >= most - 1, "{}", line.owed());
    }
    let mut few = standing(&rules, 103);
    let waits = few.counters.segments.waiting() + few.claimants.len() as u64;
    step(&mut few, &ordered(&rules, 10_000, 50), &Batch::default(), 10_000);
    assert!(waits < 50 && few.letting_in.left == waits, "{waits}");
    let mut nobody = Line::new(T0);
    step(&mut nobody, &ordered(&rules, 10_000, 50), &Batch::default(), 10_000);
    assert_eq!(nobody.owed(), 0);
}

#[test]
fn seats_are_never_exceeded_and_credit_that_nobody_uses_lapses() {
    let rules = Rules { total_active_users: Some(105), ..rules() };
    let mut line = standing(&rules, 1_000);
    let rules = ordered(&rules, 10_000, 50);
    for at in (10_000..20_000).step_by(100) {
        let batch = crowd(&line);
        let view = step(&mut line, &rules, &batch, at).view;
        assert!(view.active <= 105, "{}", view.active);
    }
    assert!(line.letting_in.left > 0, "there were too few seats");
    (20_000..71_000).step_by(500).for_each(|at| drop(step(&mut line, &rules, &Batch::default(), at)));
    assert_eq!((line.letting_in.left, line.owed()), (0, 0));
}

#[test]
fn who_does_not_come_is_made_up_for_by_those_behind() {
    let rules = rules();
    let mut line = standing(&rules, 1_000);
    let (rules, mut came) = (ordered(&rules, 10_000, 60), 0);
    for at in (10_000..50_000).step_by(100) {
        // Of those called now every second one is away.
        let mut batch = crowd(&line);
        batch.claims.retain(|number| number % 2 == 0);
        came += passes(&line.apply(&rules, &batch, T0 + at));
    }
    assert!(came >= 360, "60 at once, and the rate: {came}");
    assert!(line.letting_in.left <= 3, "{}", line.letting_in.left);
}

#[test]
fn nothing_is_let_in_while_nobody_may_enter_and_a_pause_forgives_no_debt() {
    let rules = rules();
    let mut line = standing(&rules, 1_000);
    let closed = Rules { open: false, ..rules.clone() };
    step(&mut line, &ordered(&closed, 10_000, 50), &Batch::default(), 10_000);
    assert_eq!(line.owed(), 0);
    live(&mut line, &ordered(&rules, 10_100, 50), 10_100, 10_500);
    let owed = line.owed();
    assert!(owed > 40, "{owed}");
    step(&mut line, &closed, &Batch::default(), 10_500);
    assert!(line.owed() >= owed - 1, "{}", line.owed());
}

#[test]
fn a_store_that_lost_its_writes_gives_no_order_again_and_knows_what_is_owed() {
    let rules = rules();
    let mut line = standing(&rules, 1_000);
    let rules = ordered(&rules, 10_000, 50);
    live(&mut line, &rules, 10_000, 10_500);
    let (view, owed) = (line.view(), line.owed());
    let seen = HighWater {
        opened: Some(view.segments.open.base),
        segments: vec![view.segments.open],
        granted: view.granted,
        now: view.now,
        utc: view.utc,
        owed,
        ..HighWater::default()
    };
    let mut other = Line::new(Stamp { now: T0 + 11_000, server: 2 });
    let batch = Batch { seen, ..Batch::default() };
    other.apply(&rules, &batch, Stamp { now: T0 + 11_000, server: 2 });
    assert_eq!((other.letting_in.left, other.owed()), (0, owed));
    // A gateway that remembers nothing brings the rooms, and the order in them, to an empty store.
    let mut empty = Line::new(Stamp { now: T0 + 11_000, server: 3 });
    let joined = Batch { joins: 100, ..Batch::default() };
    empty.apply(&rules, &joined, Stamp { now: T0 + 11_000, server: 3 });
    empty.apply(&rules, &Batch::default(), Stamp { now: T0 + 11_100, server: 3 });
    assert_eq!(empty.owed(), 0);
}

#[test]
fn an_order_does_not_prolong_the_one_before_and_adds_to_it() {
    let rules = rules();
    let mut line = standing(&rules, 10_000);
    step(&mut line, &ordered(&rules, 10_000, 50), &Batch::default(), 10_000);
    step(&mut line, &ordered(&rules, 40_000, 7), &Batch::default(), 40_000);
    assert_eq!(line.letting_in.left, 57);
    let third = ordered(&rules, 50_000, 5);
    step(&mut line, &third, &Batch::default(), 50_000);
    assert_eq!(line.letting_in.left, 62);
    step(&mut line, &third, &Batch::default(), 69_900);
    assert_eq!(line.letting_in.left, 62);
    step(&mut line, &third, &Batch::default(), 70_000);
    assert_eq!(line.letting_in.left, 5, "of several earlier ones the earliest end counts");
    step(&mut line, &third, &Batch::default(), 110_000);
    assert_eq!(line.letting_in.left, 0);
}

#[test]
fn a_restart_keeps_what_is_owed_and_who_may_still_come() {
    let rules = rules();
    let mut line = standing(&rules, 1_000);
    let rules = ordered(&rules, 10_000, 50);
    let mut changes = line.take_changes();
    step(&mut line, &rules, &Batch::default(), 10_000);
    let first: Vec<u64> = crowd(&line).claims.into_iter().take(12).collect();
    step(&mut line, &rules, &Batch { claims: first, ..Batch::default() }, 10_010);
    changes.extend(line.take_changes());
    let restored = |at| Line::restored(line.counters(), T0 + at, changes.clone());
    let mut soon = restored(11_000);
    assert_eq!((soon.owed(), soon.letting_in.left), (line.owed(), line.letting_in.left));
    soon.apply(&rules, &Batch::default(), T0 + 11_100);
    assert!(soon.letting_in.left <= line.letting_in.left, "the order is not taken again");
    let mut later = restored(80_000);
    later.apply(&rules, &Batch::default(), T0 + 80_100);
    assert_eq!(later.owed(), 0);
}

/// What happens between two batches.
#[derive(Debug, Clone)]
struct Turn {
    after: Millis,
    joins: u64,
    /// Of ten who are called, so many are here.
    here: u64,
    visits: u64,
    let_in: Option<u64>,
    open: bool,
    rests: bool,
}

fn turn() -> impl Strategy<Value = Turn> {
    let let_in = prop::option::weighted(0.1, prop_oneof![1..40_u64, 0..2_000_u64]);
    let after = prop_oneof![4 => 1..400_u64, 1 => 1_000..9_000_u64, 1 => 20_000..70_000_u64];
    let joins = prop_oneof![3 => 0..4_u64, 1 => 0..300_u64];
    (after, joins, 0..11_u64, 0..3_u64, let_in, prop::bool::weighted(0.9), prop::bool::weighted(0.05)).prop_map(
        |(after, joins, here, visits, let_in, open, rests)| Turn { after, joins, here, visits, let_in, open, rests },
    )
}

proptest! {
    /// Promise 1 with what was let in known, and the debt is paid: who enters in any window, and in all.
    #[test]
    fn any_window_sees_the_rate_the_burst_and_those_let_in_and_no_more(
        per_minute in 6_u32..6_000,
        burst in 1.0..50.0_f64,
        seats in prop::option::weighted(0.3, 1_u64..200),
        turns in prop::collection::vec(turn(), 1..150),
    ) {
        let whole = Rules { burst, total_active_users: seats, session: 20_000, ..Rules::per_minute(per_minute) };
        let (mut line, mut at, mut entered, mut orders) = (Line::new(T0), 0, Vec::new(), Vec::new());
        let mut rules = whole.clone();
        for Turn { after, joins, here, visits, let_in, open, rests } in turns {
            at += after;
            if let Some(shoppers) = let_in {
                rules = ordered(&whole, at, shoppers);
                orders.push((at, shoppers.min(u64::from(per_minute))));
            }
            let mut batch = Batch { joins, visits, shop_rests: rests, ..crowd(&line) };
            batch.claims.retain(|number| number % 10 < here);
            let outcome = step(&mut line, &Rules { open, ..rules.clone() }, &batch, at);
            prop_assert!(seats.is_none_or(|seats| outcome.view.active <= seats), "{:?}", outcome.view);
            prop_assert!(line.owed() <= u64::from(per_minute) + 1, "{} are owed", line.owed());
            entered.push((at, passes(&outcome) + outcome.visits));
        }
        for (first, &(from, _)) in entered.iter().enumerate() {
            let mut all = 0;
            for &(to, came) in &entered[first..] {
                all += came;
                // Taken within a minute, and used within one.
                let counts = |&&(at, _): &&(Millis, u64)| at <= to && at + 2 * MINUTE > from;
                let let_in: u64 = orders.iter().filter(counts).map(|(_, shoppers)| shoppers).sum();
                let most = whole.rate * (to - from) as f64 / 1_000.0 + burst + let_in as f64;
                prop_assert!(all as f64 <= most + 1e-6, "{all} from {from} to {to}, of {most}");
            }
        }
        // In the end nobody came whom the rate has not paid for, or still has to.
        let all: u64 = entered.iter().map(|(_, came)| came).sum();
        let paid = whole.rate * at as f64 / 1_000.0 + burst + line.debt();
        prop_assert!(all as f64 <= paid + 1e-6, "{all} of {paid}");
    }
}
