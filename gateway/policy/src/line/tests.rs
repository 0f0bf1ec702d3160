//! What two readers of the model would build differently, each as a test.

use super::*;

/// Here the base of a segment is 0.
const T0: Millis = segment::ORIGIN;

fn rules() -> Rules {
    Rules::per_minute(600)
}

fn line() -> Line {
    Line::new(T0)
}

/// A calm line that has saved up its whole burst.
fn rested(rules: &Rules) -> Line {
    let mut line = line();
    (1..=20).for_each(|second| drop(step(&mut line, rules, Batch::default(), second * 1_000)));
    line
}

/// The end of [`rested`].
const RESTED: Millis = 20_000;

#[expect(clippy::unnecessary_wraps, reason = "as an arrival is answered")]
fn number(number: u64) -> Option<Place> {
    Some(Place::Number(number))
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn step(line: &mut Line, rules: &Rules, batch: Batch, at: Millis) -> Outcome {
    let outcome = line.apply(rules, &batch, T0 + at);
    line.check_invariants(rules);
    outcome
}

pub(super) fn joins(count: u64) -> Batch {
    Batch { joins: count, ..Batch::default() }
}

/// A pass that was given then and ends then.
pub(super) fn pass(admitted: Millis, expires: Millis) -> Grant {
    Grant::Pass { expires, admitted }
}

pub(super) fn claims(numbers: impl IntoIterator<Item = u64>) -> Batch {
    Batch { claims: numbers.into_iter().collect(), ..Batch::default() }
}

pub(super) fn passes(outcome: &Outcome) -> Vec<u64> {
    let passes = outcome.grants.iter().filter(|(_, grant)| matches!(grant, Grant::Pass { .. }));
    passes.map(|(number, _)| *number).collect()
}

#[test]
fn a_second_claim_gets_the_same_pass_and_costs_no_token_and_no_seat() {
    let rules = rules();
    let mut line = rested(&rules);
    let first = step(&mut line, &rules, joins(1), RESTED);
    let bucket = line.bucket;
    let second = step(&mut line, &rules, claims([1]), RESTED);
    assert_eq!(first.grants, vec![(1, pass(T0 + RESTED, T0 + RESTED + 300_000))]);
    assert_eq!(second.grants, first.grants);
    assert_eq!((second.view.active, second.view.granted), (1, 1));
    assert!((line.bucket - bucket).abs() < 1e-9);
}

#[test]
fn a_number_that_was_not_given_yet_gets_no_pass_though_it_is_called() {
    let rules = rules();
    let mut line = rested(&rules);
    assert!(line.view().segments.open.serving >= 5);
    assert_eq!(step(&mut line, &rules, claims([5]), RESTED).grants, vec![(5, Grant::NotYet)]);
    assert_eq!(passes(&step(&mut line, &rules, joins(5), RESTED)).len(), 5);
}

#[test]
fn a_renewal_moves_the_end_that_a_second_claim_gets() {
    let rules = rules();
    let mut line = rested(&rules);
    step(&mut line, &rules, joins(1), RESTED);
    let renewals = Batch { renewals: vec![(1, T0), (99, T0)], ..Batch::default() };
    let end = T0 + RESTED + 450_000;
    assert_eq!(step(&mut line, &rules, renewals, RESTED + 150_000).renewed, vec![(1, Some(end)), (99, None)]);
    assert_eq!(step(&mut line, &rules, claims([1]), RESTED + 400_000).grants, vec![(1, pass(end - 300_000, end))]);
}

/// A room in which a pass may be renewed up to 700 s after it was given.
fn bounded() -> Rules {
    Rules { max_session: Some(700_000), ..rules() }
}

fn renewal(number: u64, admitted: Millis) -> Batch {
    Batch { renewals: vec![(number, admitted)], ..Batch::default() }
}

#[test]
fn no_renewal_goes_beyond_max_session_also_for_who_claims_the_ticket_again_and_forgets_when_it_was_given() {
    let rules = bounded();
    let mut line = rested(&rules);
    step(&mut line, &rules, joins(1), RESTED);
    let (given, latest) = (T0 + RESTED, T0 + RESTED + 700_000);
    let mut ends = given + 300_000;
    for at in [150_000, 299_999, 430_000, 660_000] {
        let again = step(&mut line, &rules, claims([1]), RESTED + at).grants;
        assert_eq!(again, vec![(1, pass(given, ends))], "the line tells when it was given");
        // As a gateway takes it that gets the ticket alone.
        let told = if at < 200_000 { given } else { ends - 300_000 };
        let moved = (given + at + 300_000).min(latest);
        assert_eq!(step(&mut line, &rules, renewal(1, told), RESTED + at).renewed, vec![(1, Some(moved))]);
        ends = moved;
    }
    assert_eq!(ends, latest);
    assert_eq!(step(&mut line, &rules, renewal(1, latest), RESTED + 699_999).renewed, vec![(1, Some(latest))]);
    let over = step(&mut line, &rules, Batch { claims: vec![1], ..renewal(1, latest) }, RESTED + 700_000);
    assert_eq!((over.renewed, over.grants), (vec![(1, None)], vec![(1, Grant::Spent)]));
    assert!(line.admitted.is_empty(), "nothing of it is remembered any more");
}

#[test]
fn a_shorter_max_session_takes_away_nothing_that_was_given_and_without_one_nothing_is_remembered() {
    let (rules, shorter) = (bounded(), Rules { max_session: Some(310_000), ..rules() });
    let mut line = rested(&rules);
    step(&mut line, &rules, joins(1), RESTED);
    let ends = vec![(1, Some(T0 + RESTED + 550_000))];
    assert_eq!(step(&mut line, &rules, renewal(1, T0 + RESTED), RESTED + 250_000).renewed, ends);
    assert_eq!(step(&mut line, &shorter, renewal(1, T0 + RESTED), RESTED + 300_000).renewed, ends);
    let without = Rules { max_session: None, ..rules };
    let moved = step(&mut line, &without, renewal(1, T0 + RESTED), RESTED + 400_000).renewed;
    assert_eq!((moved, line.admitted.is_empty()), (vec![(1, Some(T0 + RESTED + 700_000))], true));
}

#[test]
fn a_ticket_is_spent_once_its_pass_was_given_back_or_has_run_out() {
    let rules = rules();
    let mut line = rested(&rules);
    step(&mut line, &rules, joins(2), RESTED);
    let release = Batch { releases: vec![1], ..Batch::default() };
    assert_eq!(step(&mut line, &rules, release, RESTED + 10).view.active, 1, "the seat is free at once");
    assert_eq!(step(&mut line, &rules, claims([1]), RESTED + 20).grants, vec![(1, Grant::Spent)]);
    let late = step(&mut line, &rules, claims([1, 2]), RESTED + 300_000);
    assert_eq!(late.grants, vec![(1, Grant::Spent), (2, Grant::Spent)]);
    assert_eq!(late.view.active, 0);
}

#[test]
fn a_place_that_was_given_up_is_spent_when_it_is_called() {
    let rules = rules();
    let mut line = rested(&rules);
    step(&mut line, &rules, joins(12), RESTED);
    step(&mut line, &rules, Batch { releases: vec![12, 77], ..Batch::default() }, RESTED + 10);
    let later = step(&mut line, &rules, claims([11, 12, 77]), RESTED + 1_000);
    assert_eq!(
        later.grants,
        vec![(12, Grant::Spent), (77, Grant::NotYet), (11, pass(T0 + RESTED + 1_000, T0 + RESTED + 301_000))]
    );
}

#[test]
fn a_calm_line_saves_up_its_burst_and_a_standing_line_one_tick_and_one_token() {
    let rules = rules();
    let mut line = rested(&rules);
    assert_eq!(passes(&step(&mut line, &rules, joins(100), RESTED)), (1..=10).collect::<Vec<_>>());
    step(&mut line, &rules, Batch::default(), RESTED + 1_000);
    let all = step(&mut line, &rules, claims(11..=100), RESTED + 2_000);
    assert_eq!(passes(&all), vec![11, 12], "a second without claimants saves up 1 + 0.1 s of 10/s");
}

#[test]
fn a_burst_of_one_is_never_exceeded() {
    let rules = Rules { burst: 1.0, ..rules() };
    let mut line = rested(&rules);
    assert_eq!(passes(&step(&mut line, &rules, joins(100), RESTED)), vec![1]);
    step(&mut line, &rules, Batch::default(), RESTED + 1_000);
    assert_eq!(passes(&step(&mut line, &rules, claims(2..=100), RESTED + 2_000)), vec![2]);
}

#[test]
fn a_clock_that_jumps_forward_calls_no_more_than_a_second_brings() {
    let rules = rules();
    let mut line = rested(&rules);
    let before = step(&mut line, &rules, joins(10_000), RESTED).view.segments.open.serving;
    let after = step(&mut line, &rules, Batch::default(), RESTED + 3_600_000).view;
    assert!(after.segments.open.serving - before <= 50, "{} called", after.segments.open.serving - before);
    assert!(line.bucket <= 2.0);
}

#[test]
fn a_clock_that_jumps_back_stands_still_until_it_has_caught_up() {
    let rules = rules();
    let mut line = rested(&rules);
    let before = step(&mut line, &rules, joins(1_000), RESTED).view;
    let back = step(&mut line, &rules, claims(11..=1_000), RESTED - 10_000).view;
    assert_eq!(
        (back.now, back.segments.open.serving, back.granted),
        (before.now, before.segments.open.serving, before.granted)
    );
    assert!(
        step(&mut line, &rules, Batch::default(), RESTED + 100).view.segments.open.serving
            > before.segments.open.serving
    );
}

#[test]
fn a_restart_begins_with_an_empty_bucket_and_forgets_no_claim() {
    let rules = rules();
    let mut line = rested(&rules);
    let first = step(&mut line, &rules, joins(30), RESTED);
    assert!(
        step(&mut line, &rules, Batch::default(), RESTED + 1_000).view.segments.open.serving > 20,
        "more are called"
    );
    let (kept, changes) = (line.counters(), line.take_changes());
    let mut line = Line::restored(kept, T0 + RESTED + 5_000, changes);
    let again = step(&mut line, &rules, claims(1..=30), RESTED + 5_000);
    assert_eq!(passes(&again), (1..=10).collect::<Vec<_>>(), "the same passes, and no new one");
    assert_eq!(again.grants[0], first.grants[0]);
    assert_eq!((again.view.segments.open.next, again.view.granted, again.view.active), (30, 10, 10));
    assert_eq!(passes(&step(&mut line, &rules, claims(11..=30), RESTED + 5_100)), vec![11]);
}

#[test]
fn a_restart_behind_its_own_past_continues_in_that_past() {
    let rules = rules();
    let mut line = rested(&rules);
    step(&mut line, &rules, joins(30), RESTED);
    let mut line = Line::restored(line.counters(), T0, line.take_changes());
    assert_eq!(step(&mut line, &rules, Batch::default(), 0).view.now, T0 + RESTED);
}

#[test]
fn whoever_wants_a_number_only_if_it_is_called_gets_a_pass_with_it_or_nothing() {
    let rules = rules();
    let mut line = rested(&rules);
    let ask = Batch { joins_if_called: 25, ..Batch::default() };
    let outcome = step(&mut line, &rules, ask.clone(), RESTED);
    assert_eq!((outcome.joined_if_called, outcome.view.segments.open.next), (10, 10));
    assert_eq!(passes(&outcome), (1..=10).collect::<Vec<_>>());
    assert_eq!(step(&mut line, &rules, ask, RESTED + 50).joined_if_called, 0);
}

#[test]
fn nobody_takes_the_token_of_a_claimant_by_asking_for_a_called_number() {
    let rules = rules();
    let mut line = rested(&rules);
    step(&mut line, &rules, joins(9), RESTED);
    step(&mut line, &rules, joins(1), RESTED);
    let both = Batch { joins_if_called: 1, ..claims([11]) };
    step(&mut line, &rules, joins(1), RESTED + 1);
    let outcome = step(&mut line, &rules, both, RESTED + 101);
    assert_eq!((passes(&outcome), outcome.joined_if_called), (vec![11], 0));
}

#[test]
fn passthrough_lets_everyone_enter_and_counts_what_the_limits_would_have_held_back() {
    let rules = Rules { enforced: false, total_active_users: Some(15), ..rules() };
    let mut line = rested(&rules);
    let outcome = step(&mut line, &rules, joins(30), RESTED);
    assert_eq!(passes(&outcome).len(), 30);
    assert_eq!(outcome.view.over_limit, 20, "10 tokens were there");
    let outcome = step(&mut line, &rules, joins(3), RESTED + 1_000);
    assert_eq!((outcome.view.active, outcome.view.over_limit), (33, 23), "the seats are taken");
}

#[test]
fn queue_all_stands_and_keeps_every_place() {
    for enforced in [true, false] {
        let closed = Rules { open: false, enforced, ..rules() };
        let mut line = line();
        step(&mut line, &closed, joins(50), 0);
        let outcome = step(&mut line, &closed, claims(1..=50), 60_000);
        assert_eq!(
            (passes(&outcome), outcome.view.segments.open.serving, outcome.view.segments.open.next),
            (vec![], 0, 50)
        );
        let open = Rules { open: true, ..closed };
        step(&mut line, &open, Batch::default(), 60_100);
        assert!(step(&mut line, &open, claims(1..=50), 61_100).view.segments.open.serving > 0, "it opens");
    }
}

#[test]
fn a_claim_window_that_ends_counts_a_no_show_and_its_ticket_still_claims() {
    let rules = Rules { claim_window: 10_000, ..rules() };
    let mut line = rested(&rules);
    step(&mut line, &rules, joins(30), RESTED);
    let mut view = line.view();
    for tick in 1..300 {
        // Number 12 never comes; the others claim as soon as they are called.
        let numbers = (11..=view.segments.open.serving.min(30)).filter(|&n| n != 12);
        view = step(&mut line, &rules, claims(numbers), RESTED + tick * 100).view;
    }
    assert_eq!((view.no_shows, view.granted), (1, 29));
    let late = step(&mut line, &rules, claims([12]), RESTED + 30_000);
    assert_eq!(passes(&late), vec![12]);
}

#[test]
fn provisional_tickets_are_numbered_once_in_order_and_before_the_newcomers() {
    let rules = rules();
    let mut line = rested(&rules);
    step(&mut line, &rules, joins(40), RESTED);
    let adopt = Adopt { incarnation: 9, first: 1, count: 5 };
    let batch = Batch { adopt: Some(adopt), joins: 2, ..Batch::default() };
    let outcome = step(&mut line, &rules, batch.clone(), RESTED + 1);
    assert_eq!(outcome.view.adopted, vec![Adopted { adopt, base: 41, seed: None }]);
    assert_eq!((outcome.first, outcome.view.segments.open.next), (46, 47));
    let again = step(&mut line, &rules, Batch { joins: 0, ..batch }, RESTED + 2);
    assert_eq!(
        (again.view.adopted.len(), again.view.segments.open.next),
        (1, 47),
        "an answer that was lost numbers nobody twice"
    );
    let more = Batch { adopt: Some(Adopt { count: 7, ..adopt }), ..Batch::default() };
    let more = step(&mut line, &rules, more, RESTED + 3).view;
    let rest = Adopted { adopt: Adopt { first: 6, count: 2, ..adopt }, base: 48, seed: None };
    assert_eq!((more.adopted[1], more.segments.open.next), (rest, 49), "nor when more have come since");
    let restored = Line::restored(line.counters(), T0 + RESTED + 3, line.take_changes());
    assert_eq!(restored.view().adopted, more.adopted);
}

#[test]
fn of_more_cuts_than_are_kept_the_oldest_is_forgotten_and_stays_so() {
    let rules = rules();
    let mut line = rested(&rules);
    let cut = |incarnation| Batch { adopt: Some(Adopt { incarnation, first: 1, count: 2 }), ..Batch::default() };
    let before = step(&mut line, &rules, cut(1), RESTED).view;
    let most = MOST_ADOPTED as u32;
    for incarnation in 2..most + 3 {
        step(&mut line, &rules, cut(incarnation), RESTED + 1);
    }
    let last = step(&mut line, &rules, cut(most + 3), RESTED + 1);
    let runs: Vec<u32> = last.view.adopted.iter().map(|adopted| adopted.adopt.incarnation).collect();
    assert_eq!(runs, (4..=most + 3).collect::<Vec<_>>());
    // A gateway that has slept meanwhile does not bring it back.
    let seen = HighWater { adopted: before.adopted, ..HighWater::default() };
    let view = step(&mut line, &rules, Batch { seen, ..Batch::default() }, RESTED + 2).view;
    assert_eq!(view.adopted, last.view.adopted);
    let restored = Line::restored(line.counters(), T0 + RESTED + 2, line.take_changes());
    assert_eq!(restored.view().adopted, view.adopted);
}

#[test]
fn a_revocation_reaches_each_gateway_once_and_is_forgotten_at_its_end() {
    let rules = rules();
    let mut line = rested(&rules);
    step(&mut line, &rules, joins(2), RESTED);
    let release = Batch { releases: vec![1], ..Batch::default() };
    let outcome = step(&mut line, &rules, release, RESTED + 10);
    let end = T0 + RESTED + 300_000;
    let back = |number| Revoked { number, expires: end, evicted: false };
    assert_eq!((outcome.revoked, outcome.revocations_seen), (vec![back(1)], 1));
    let of = |gateway, revocations_seen| Batch { gateway, revocations_seen, ..Batch::default() };
    assert_eq!(step(&mut line, &rules, of(0, 1), RESTED + 20).revoked, vec![]);
    assert_eq!(step(&mut line, &rules, of(1, 0), RESTED + 20).revoked, vec![back(1)]);
    step(&mut line, &rules, Batch { releases: vec![2], ..of(1, 1) }, RESTED + 30);
    assert_eq!(step(&mut line, &rules, of(0, 1), RESTED + 40).revoked, vec![back(2)]);
    let last = RESTED + 300_000 + rules.form_grace - 1;
    assert_eq!(step(&mut line, &rules, of(7, 0), last).revoked, vec![back(1), back(2)], "no late form goes through");
    assert_eq!(step(&mut line, &rules, of(7, 0), last + 1).revoked, vec![]);
}

#[test]
fn seats_are_never_given_twice_and_a_freed_seat_is_given_at_once() {
    let rules = Rules { total_active_users: Some(3), ..rules() };
    let mut line = rested(&rules);
    assert_eq!(passes(&step(&mut line, &rules, joins(9), RESTED)), vec![1, 2, 3]);
    for tick in 1..50 {
        assert_eq!(passes(&step(&mut line, &rules, claims(4..=9), RESTED + tick * 100)), Vec::<u64>::new());
    }
    let batch = Batch { releases: vec![2], ..claims(4..=9) };
    line.counters.segments.open.serving = line.counters.segments.open.serving.max(4);
    assert_eq!(passes(&step(&mut line, &rules, batch, RESTED + 5_000)), vec![4]);
}

#[test]
fn a_token_that_falls_to_another_gateways_claimant_is_left_for_it() {
    let rules = Rules { burst: 1.0, ..rules() };
    let mut line = rested(&rules);
    step(&mut line, &rules, joins(10), RESTED);
    line.counters.segments.open.serving = 10;
    let of = |gateway, number| Batch { gateway, ..claims([number]) };
    step(&mut line, &rules, of(1, 2), RESTED + 10);
    assert_eq!(passes(&step(&mut line, &rules, of(2, 3), RESTED + 100)), Vec::<u64>::new());
    assert_eq!(passes(&step(&mut line, &rules, of(1, 2), RESTED + 101)), vec![2]);
    let gone = step(&mut line, &rules, Batch { gateway: 1, ..Batch::default() }, RESTED + 150);
    assert_eq!(gone.view.claimants, 1);
    assert_eq!(passes(&step(&mut line, &rules, of(2, 3), RESTED + 250)), vec![3]);
}

#[test]
fn a_raised_rate_does_not_count_for_the_time_before() {
    let rules = Rules { burst: 1_000.0, ..rules() };
    let mut line = line();
    step(&mut line, &rules, joins(2_000), 0);
    let fast = Rules { rate: 1_000.0, ..rules };
    step(&mut line, &fast, Batch::default(), 100);
    assert!((line.bucket - 1.0).abs() < 1e-9, "0.1 s of 10/s, not of 1000/s: {}", line.bucket);
}

fn back(ids: impl IntoIterator<Item = u64>, if_called: bool) -> Batch {
    let arrivals = ids.into_iter().map(|id| Arrival { id, if_called }).collect();
    Batch { arrivals, ..Batch::default() }
}

#[test]
fn an_arrival_is_good_for_one_number_and_stands_before_those_who_come_without() {
    let rules = Rules { open: false, ..rules() };
    let mut line = line();
    let first = step(&mut line, &rules, Batch { joins: 2, ..back([71, 72, 71], false) }, 0);
    assert_eq!((&first.arrivals, first.first), (&vec![number(1), number(2), number(1)], 3));
    assert_eq!(first.view.segments.open.next, 4);
    let again = step(&mut line, &rules, back([72, 73], false), 59_999);
    assert_eq!(again.arrivals, [number(2), number(5)]);
}

#[test]
fn an_arrival_is_forgotten_after_a_minute_of_the_store() {
    let rules = Rules { open: false, ..rules() };
    let mut line = line();
    step(&mut line, &rules, back([7], false), 0);
    let changes = line.take_changes();
    assert!(changes.contains(&Change::Arrived(7, Some((Place::Number(1), T0 + 60_000)))), "{changes:?}");
    let kept = Line::restored(line.counters(), T0 + 1_000, changes);
    assert_eq!(step(&mut kept.clone(), &rules, back([7], false), 2_000).arrivals, [number(1)], "also across a restart");
    assert_eq!(step(&mut line, &rules, back([7], false), 60_000).arrivals, [number(2)]);
    assert!(line.take_changes().contains(&Change::Arrived(7, None)));
}

#[test]
fn an_arrival_that_is_called_at_once_gets_its_pass_in_the_same_call_and_the_same_one_when_it_is_shown_again() {
    let rules = rules();
    let mut line = rested(&rules);
    let first = step(&mut line, &rules, back([7], false), RESTED);
    assert_eq!((&first.arrivals, passes(&first)), (&vec![number(1)], vec![1]));
    let again = step(&mut line, &rules, back([7], false), RESTED + 5);
    assert_eq!((&again.arrivals, &again.grants), (&first.arrivals, &first.grants));
    assert_eq!((again.view.granted, again.view.active), (1, 1));
    step(&mut line, &rules, Batch { releases: vec![1], ..Batch::default() }, RESTED + 10);
    assert_eq!(step(&mut line, &rules, back([7], false), RESTED + 15).grants, [(1, Grant::Spent)]);
}

#[test]
fn arrivals_that_want_only_what_is_called_are_turned_away_and_leave_nothing_behind() {
    let rules = rules();
    let mut line = rested(&rules);
    let batch = Batch { joins_if_called: 5, ..back(1..=8, true) };
    let first = step(&mut line, &rules, batch, RESTED);
    let given = first.arrivals.iter().flatten().count() as u64;
    assert_eq!((given, first.joined_if_called, passes(&first).len()), (8, 2, 10), "a burst of ten");
    let more = step(&mut line, &rules, back([9], true), RESTED + 1);
    assert_eq!((more.arrivals, more.view.segments.open.next), (vec![None], 10));
    assert_eq!(step(&mut line, &rules, back([9], false), RESTED + 2).arrivals, [number(11)]);
}

#[test]
fn a_pass_that_an_operator_ends_frees_its_seat_once_and_one_that_is_not_known_yet_is_void_when_it_is() {
    let rules = Rules { total_active_users: Some(2), ..rules() };
    let mut line = rested(&rules);
    step(&mut line, &rules, joins(2), RESTED);
    let ends = |number| Batch { ends: vec![number], ..Batch::default() };
    for again in [0, 1] {
        let outcome = step(&mut line, &rules, ends(1), RESTED + 10 + again);
        assert_eq!(outcome.view.active, 1);
        let known = Revoked { number: 1, expires: T0 + RESTED + 300_000, evicted: false };
        assert_eq!(outcome.revoked, vec![known], "written down once");
    }
    assert_eq!(step(&mut line, &rules, claims([1]), RESTED + 20).grants, vec![(1, Grant::Spent)]);
    // The third is called, and a gateway that is cut off has given it a pass.
    let mut line = rested(&rules);
    step(&mut line, &rules, joins(3), RESTED);
    step(&mut line, &rules, ends(3), RESTED + 10);
    let lent = Restore { lent: vec![(3, T0 + RESTED + 299_000)], ..Restore::default() };
    let outcome = step(&mut line, &rules, Batch { restore: lent, ..Batch::default() }, RESTED + 500);
    assert_eq!((outcome.view.active, outcome.view.second_passes), (2, 0));
    // A place that is not called is given up, and leaves nothing behind.
    let given = line.view().segments.open.next;
    step(&mut line, &rules, joins(50), RESTED + 600);
    let kept = line.revoked.len();
    step(&mut line, &rules, ends(given + 40), RESTED + 700);
    step(&mut line, &rules, ends(1 << 50), RESTED + 700);
    assert_eq!((line.revoked.len(), line.claimed.has(given + 40)), (kept, true));
    // Nothing of it is kept for longer than the pass could live and its forms could come.
    step(&mut line, &rules, Batch::default(), RESTED + 10 + 300_000 + 120_000);
    assert_eq!(line.revoked.len(), 0);
}
