use super::super::tests::{claims, joins, pass, passes};
use super::super::{Batch, Grant, Memory, Outcome, segment};
use super::*;

/// Here the base of a segment is 0.
const T0: Millis = segment::ORIGIN;
/// Five seats, and a bucket that five newcomers find full.
const SEATS: u64 = 5;
/// When they came.
const CAME: Millis = 20_000;

fn rules() -> Rules {
    Rules { total_active_users: Some(SEATS), ..Rules::per_minute(600) }
}

fn step(line: &mut Line, batch: &Batch, at: Millis) -> Outcome {
    let outcome = line.apply(&rules(), batch, T0 + at);
    line.check_invariants(&rules());
    outcome
}

/// A line whose seats are all taken, by numbers 1 to 5, and in which 6 to 9 wait.
fn full() -> Line {
    let mut line = Line::new(T0);
    (1..=20).for_each(|second| drop(step(&mut line, &Batch::default(), second * 1_000)));
    assert_eq!(passes(&step(&mut line, &joins(SEATS), CAME)), [1, 2, 3, 4, 5]);
    step(&mut line, &joins(4), CAME + 10);
    line
}

/// These numbers claim every 100 ms; returns the passes they got in that time, and the numbers whose seats were taken.
fn claim(line: &mut Line, numbers: &[u64], (from, to): (Millis, Millis)) -> (Vec<u64>, Vec<u64>) {
    let (mut got, mut lost, mut seen) = (Vec::new(), Vec::new(), 0);
    for at in (from..to).step_by(100) {
        let left = numbers.iter().copied().filter(|number| !got.contains(number));
        let outcome = step(line, &Batch { revocations_seen: seen, ..claims(left) }, at);
        assert!(outcome.view.active <= SEATS);
        got.extend(passes(&outcome));
        lost.extend(outcome.revoked.iter().filter(|revoked| revoked.evicted).map(|revoked| revoked.number));
        seen = outcome.revocations_seen;
    }
    (got, lost)
}

#[test]
fn who_never_came_back_loses_the_seat_to_who_is_here_after_half_a_minute_and_not_before() {
    let mut line = full();
    assert_eq!(claim(&mut line, &[6, 7], (CAME + 100, CAME + GRACE)), (vec![], vec![]));
    let (got, lost) = claim(&mut line, &[6, 7], (CAME + GRACE, CAME + GRACE + 2_000));
    assert_eq!((got, lost), (vec![6, 7], vec![1, 2]), "the oldest, and no more than are needed");
}

#[test]
fn who_came_back_or_renewed_keeps_the_seat() {
    let mut line = full();
    let shown = Batch { confirmed: vec![1, 3, 77], renewals: vec![(2, T0)], ..Batch::default() };
    step(&mut line, &shown, CAME + 200);
    let (got, lost) = claim(&mut line, &[6, 7, 8, 9], (CAME + GRACE, CAME + GRACE + 3_000));
    assert_eq!((got, lost), (vec![6, 7], vec![4, 5]));
}

#[test]
fn without_anybody_who_waits_nobody_loses_a_seat() {
    let mut line = Line::new(T0);
    (1..=20).for_each(|second| drop(step(&mut line, &Batch::default(), second * 1_000)));
    step(&mut line, &joins(SEATS), CAME);
    assert_eq!(claim(&mut line, &[], (CAME + GRACE, CAME + 2 * GRACE)).1, Vec::<u64>::new());
    let again = step(&mut line, &claims([1]), CAME + 2 * GRACE);
    assert_eq!(again.grants, [(1, pass(T0 + CAME, T0 + CAME + rules().session))], "the same pass");
}

#[test]
fn who_lost_the_seat_takes_the_next_free_one_before_the_line() {
    let mut line = full();
    let (got, _) = claim(&mut line, &[6, 7, 8], (CAME + GRACE, CAME + GRACE + 2_000));
    assert_eq!(got, [6, 7, 8]);
    let now = CAME + GRACE + 2_000;
    step(&mut line, &Batch { confirmed: vec![4, 5, 6, 7, 8], ..Batch::default() }, now);
    assert_eq!(claim(&mut line, &[1, 9], (now, now + 2_000)).0, Vec::<u64>::new(), "no seat is free");
    step(&mut line, &Batch { releases: vec![6], ..Batch::default() }, now + 2_000);
    assert_eq!(claim(&mut line, &[1, 9], (now + 2_000, now + 5_000)).0, [1]);
    let given_back = step(&mut line, &claims([6]), now + 5_000);
    assert_eq!(given_back.grants, [(6, Grant::Spent)], "a pass that was given back claims no more");
}

#[test]
fn a_gateway_takes_an_evicted_number_for_one_that_may_claim() {
    let (mut line, mut memory) = (full(), Memory::default());
    let note = |memory: &mut Memory, outcome: &Outcome| assert!(!memory.note(&[], outcome), "nothing was lost");
    let first = step(&mut line, &claims([1]), CAME + 100);
    note(&mut memory, &first);
    assert_eq!(memory.standing_of(&rules(), 1, T0 + CAME), Some(pass(T0 + CAME, T0 + CAME + rules().session)));
    claim(&mut line, &[6], (CAME + GRACE, CAME + GRACE + 1_000));
    let heard = step(&mut line, &Batch::default(), CAME + GRACE + 1_000);
    note(&mut memory, &heard);
    assert_eq!(memory.standing_of(&rules(), 1, T0 + CAME), None);
    // It claims again and gets another pass: a gateway that learns of the eviction late keeps that one.
    let (got, _) = claim(&mut line, &[1], (CAME + GRACE + 1_000, CAME + GRACE + 2_000));
    assert_eq!(got, [1]);
    let again = step(&mut line, &claims([1]), CAME + GRACE + 2_000);
    note(&mut memory, &again);
    let Some(&(1, Grant::Pass { expires: end, admitted })) = again.grants.first() else { panic!("{again:?}") };
    assert!(end > T0 + CAME + rules().session);
    assert_eq!(memory.standing_of(&rules(), 1, admitted), Some(pass(admitted, end)));
}

#[test]
fn a_restart_forgets_neither_who_has_not_come_back_nor_who_was_evicted() {
    let mut line = full();
    let mut journal = Vec::new();
    let mut restart = |line: &mut Line, at: Millis| {
        journal.extend(line.take_changes());
        *line = Line::restored(line.counters(), T0 + at, journal.iter().copied());
    };
    restart(&mut line, CAME + 100);
    assert_eq!(claim(&mut line, &[6], (CAME + GRACE, CAME + GRACE + 2_000)), (vec![6], vec![1]));
    restart(&mut line, CAME + GRACE + 2_000);
    let heard = step(&mut line, &Batch::default(), CAME + GRACE + 2_000);
    let evicted = Revoked { number: 1, expires: T0 + CAME + rules().session, evicted: true };
    assert_eq!(heard.revoked, [evicted]);
    let (got, lost) = claim(&mut line, &[1], (CAME + GRACE + 2_100, CAME + GRACE + 4_000));
    assert_eq!((got, lost), (vec![1], vec![1, 2]), "it claims again; the second is the next to go");
    step(&mut line, &Batch::default(), CAME + rules().session);
    restart(&mut line, CAME + rules().session + 10);
    assert_eq!(step(&mut line, &claims([2]), CAME + rules().session + 20).grants, [(2, Grant::NotYet)]);
}
