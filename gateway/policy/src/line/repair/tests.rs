//! Every way in which a store can lose writes, in the smallest form.

use super::*;
use crate::line::segment::ORIGIN;
use crate::line::tests::{claims, joins, pass, passes};
use crate::line::{Adopt, Batch, Grant, Memory, Outcome};
use crate::ticket::Token;

const T0: Millis = ORIGIN;
/// By then a calm line has saved up its burst.
const RESTED: Millis = 20_000;

fn rules() -> Rules {
    Rules::per_minute(600)
}

/// A gateway, as far as a line knows it.
#[derive(Default)]
struct Gate {
    id: u32,
    memory: Memory,
    losses: u32,
}

impl Gate {
    fn new(id: u32) -> Self {
        Self { id, ..Self::default() }
    }

    fn ask(&mut self, line: &mut Line, rules: &Rules, batch: Batch, at: Stamp) -> Outcome {
        let (seen, restore) = self.memory.recall();
        let batch = Batch { gateway: self.id, seen, restore, ..batch };
        let outcome = line.apply(rules, &batch, at);
        line.check_invariants(rules);
        self.losses += u32::from(self.memory.note(&batch.releases, &outcome));
        outcome
    }

    /// Everything that it has to give back.
    fn give_back(&mut self, line: &mut Line, rules: &Rules, at: Stamp) -> Outcome {
        let mut outcome = self.ask(line, rules, Batch::default(), at);
        while self.memory.has_more() {
            outcome = self.ask(line, rules, Batch::default(), at);
        }
        outcome
    }
}

fn at(server: u64, after: Millis) -> Stamp {
    Stamp { now: T0 + after, server }
}

/// A second without another call.
fn settle(line: &mut Line, rules: &Rules, from: Stamp) {
    for tick in 0..12 {
        line.apply(rules, &Batch::default(), Stamp { now: from.now + tick * 100, ..from });
    }
}

#[test]
fn while_the_store_is_away_nobody_can_give_anything_back_so_that_time_does_not_count() {
    let rules = rules();
    let (mut line, mut gate) = rested(&rules);
    gate.ask(&mut line, &rules, joins(60), at(1, RESTED));
    gate.ask(&mut line, &rules, Batch::default(), at(2, RESTED + 100));
    for tick in 0..9 {
        let outcome = gate.ask(&mut line, &rules, claims(1..=60), at(2, RESTED + 10_000 + tick * 100));
        assert_eq!(passes(&outcome), Vec::<u64>::new(), "{tick}");
    }
}

/// A line on server 1 that has saved up its burst, and a gateway that knows it.
fn rested(rules: &Rules) -> (Line, Gate) {
    let (mut line, mut gate) = (Line::new(at(1, 0)), Gate::new(1));
    for second in 1..=20 {
        gate.ask(&mut line, rules, Batch::default(), at(1, second * 1_000));
    }
    (line, gate)
}

#[test]
fn a_store_that_forgot_everything_is_given_the_line_back_by_the_next_batch() {
    let rules = rules();
    let (mut line, mut gate) = rested(&rules);
    let before = gate.ask(&mut line, &rules, joins(100), at(1, RESTED)).view;
    assert_eq!((before.waiting(), before.granted), (90, 10));

    let mut line = Line::new(at(1, RESTED + 50));
    let outcome = gate.ask(&mut line, &rules, joins(5), at(1, RESTED + 50));
    let after = &outcome.view;
    assert_eq!(after.segments.before, vec![before.segments.open], "everybody is where they were");
    assert!(outcome.first > before.segments.open.next && after.waiting() == 95, "newcomers stand behind: {after:?}");
    assert_eq!(after.segments.ahead_of(outcome.first), 91);
    assert_eq!((after.granted, gate.losses), (10, 1));
}

#[test]
fn a_restart_within_the_first_unit_opens_another_segment() {
    let rules = rules();
    let (mut line, mut gate) = (Line::new(at(1, 0)), Gate::new(1));
    gate.ask(&mut line, &rules, joins(7), at(1, 10));
    let mut line = Line::new(at(1, 20));
    let outcome = gate.ask(&mut line, &rules, joins(1), at(1, 20));
    assert_eq!((outcome.first, outcome.view.waiting()), (SPAN + 1, 8));
}

#[test]
fn another_server_may_lack_the_last_writes_so_numbers_go_on_in_a_new_segment() {
    let rules = rules();
    let (mut line, mut gate) = rested(&rules);
    let mut replica = line.clone();
    let lost = gate.ask(&mut line, &rules, joins(30), at(1, RESTED));
    // The first to ask remembers nothing: it was started just now.
    let mut fresh = Gate::new(2);
    let outcome = fresh.ask(&mut replica, &rules, joins(30), at(2, RESTED + 100));
    assert!(outcome.first > lost.view.segments.open.next, "no number is given twice");
    let outcome = gate.ask(&mut replica, &rules, Batch::default(), at(2, RESTED + 150));
    assert_eq!(outcome.view.segments.given(), 60, "and nobody is lost: {:?}", outcome.view);
    assert_eq!((fresh.losses, gate.losses), (0, 1));
}

#[test]
fn a_lost_line_tells_no_more_of_the_called_than_it_calls_from_then_on() {
    let rules = rules();
    let (mut line, mut gate) = rested(&rules);
    let last = gate.ask(&mut line, &rules, joins(400), at(1, RESTED)).view.segments.open.next;
    for tick in 1..=40 {
        gate.ask(&mut line, &rules, claims(11..=20 + tick / 2), at(1, RESTED + tick * 100));
    }
    let before = gate.ask(&mut line, &rules, claims(11..=60), at(1, RESTED + 4_100)).view;
    let told = before.position(last).unwrap();
    assert!(before.entering > before.told + 10, "they come back late: {before:?}");

    let mut line = Line::new(at(1, RESTED + 4_150));
    let mut positions = vec![told];
    for tick in 0..100 {
        let view = gate.ask(&mut line, &rules, claims(11..=60), at(1, RESTED + 4_200 + tick * 100)).view;
        positions.extend(view.position(last));
    }
    assert!(positions.len() > 40 && positions.is_sorted_by(|a, b| a >= b), "{positions:?}");
}

#[test]
fn a_number_that_the_line_does_not_know_has_no_position() {
    let rules = rules();
    let (mut line, mut gate) = rested(&rules);
    let last = gate.ask(&mut line, &rules, joins(100), at(1, RESTED)).view.segments.open.next;
    let line = Line::new(at(1, RESTED + 3_600_000));
    assert_eq!((line.view().position(last), line.view().unsure), (None, false));
}

#[test]
fn a_way_there_and_back_is_noticed_each_time() {
    let rules = rules();
    let (mut line, mut gate) = rested(&rules);
    let mut numbers = vec![gate.ask(&mut line, &rules, joins(1), at(1, RESTED)).first];
    for (round, server) in [(1, 2), (2, 1), (3, 2)] {
        numbers.push(gate.ask(&mut line, &rules, joins(1), at(server, RESTED + round * 100)).first);
    }
    assert!(numbers.is_sorted_by(|a, b| a < b) && gate.losses == 3, "{numbers:?}");

    // And if the first server never heard of the second, the gateway tells it.
    let mut first = line.clone();
    gate.ask(&mut line, &rules, joins(9), at(3, RESTED + 400));
    let outcome = gate.ask(&mut first, &rules, joins(1), at(2, RESTED + 500));
    assert!(outcome.first > gate.memory.recall().0.segments[3].next, "{outcome:?}");
}

#[test]
fn an_older_memory_first_and_a_newer_one_after_it_are_one_loss_and_nobody_goes_back() {
    let rules = rules();
    let (mut line, mut old) = rested(&rules);
    old.ask(&mut line, &rules, joins(100), at(1, RESTED));
    let mut replica = line.clone();
    let mut new = Gate::new(2);
    let last = new.ask(&mut line, &rules, joins(50), at(1, RESTED + 1_000)).view;
    assert!(last.segments.open.serving > 10);

    let outcome = old.ask(&mut replica, &rules, joins(1), at(2, RESTED + 1_100));
    let open = outcome.view.segments.open.base;
    let outcome = new.ask(&mut replica, &rules, joins(1), at(2, RESTED + 1_200));
    assert_eq!((outcome.view.segments.open.base, outcome.first), (open, open + 2), "no second loss");
    let earlier = outcome.view.segments.before[0];
    assert_eq!(earlier.next, last.segments.open.next);
    assert!(earlier.serving >= last.segments.open.serving);
    assert_eq!((old.losses, new.losses), (1, 1));
}

#[test]
fn nothing_is_granted_for_a_second_and_nobody_waits_to_join() {
    let rules = rules();
    let (mut line, mut gate) = rested(&rules);
    gate.ask(&mut line, &rules, joins(60), at(1, RESTED));
    let outcome = gate.ask(&mut line, &rules, Batch { joins: 3, ..claims(11..=30) }, at(2, RESTED + 100));
    assert_eq!((passes(&outcome), outcome.view.waiting()), (vec![], 53));
    for tick in 2..11 {
        let outcome = gate.ask(&mut line, &rules, claims(11..=30), at(2, RESTED + tick * 100));
        assert_eq!(passes(&outcome), Vec::<u64>::new(), "after {tick} ticks");
    }
    let outcome = gate.ask(&mut line, &rules, claims(11..=30), at(2, RESTED + 1_100));
    assert_eq!(passes(&outcome), vec![11, 12], "then what a standing line saves up");
}

#[test]
fn claims_that_living_gateways_know_are_not_granted_again() {
    let rules = rules();
    let (mut line, mut gate) = rested(&rules);
    let mut replica = line.clone();
    let granted = passes(&gate.ask(&mut line, &rules, joins(40), at(1, RESTED)));
    assert_eq!(granted.len(), 10);
    gate.ask(&mut line, &rules, Batch { releases: vec![3], ..Batch::default() }, at(1, RESTED + 10));
    let end = T0 + RESTED + 300_000;

    gate.give_back(&mut replica, &rules, at(2, RESTED + 100));
    let mut other = Gate::new(2);
    settle(&mut replica, &rules, at(2, RESTED + 200));
    let outcome = other.ask(&mut replica, &rules, claims(granted.clone()), at(2, RESTED + 2_000));
    let expected: Vec<_> =
        granted.iter().map(|&n| (n, if n == 3 { Grant::Spent } else { pass(T0 + RESTED, end) })).collect();
    assert_eq!(outcome.grants, expected, "the same passes, and the one that was given back stays so");
    assert_eq!((outcome.view.active, outcome.view.granted), (9, 10));
    assert_eq!(outcome.revoked, vec![Revoked { number: 3, expires: end, evicted: false }], "every gateway hears of it");
}

#[test]
fn whoever_has_much_to_give_back_is_waited_for() {
    let rules = Rules { rate: 10_000.0, burst: 10_000.0, ..rules() };
    let (mut line, mut gate) = rested(&rules);
    let mut replica = line.clone();
    let granted = passes(&gate.ask(&mut line, &rules, joins(9_000), at(1, RESTED)));
    let mut other = Gate::new(2);
    let mut tick = 0;
    // Meanwhile a shopper claims a claimed number. The parts come so slowly that a second would not do.
    while tick == 0 || gate.memory.has_more() {
        if tick % 3 == 0 {
            gate.ask(&mut replica, &rules, Batch::default(), at(2, RESTED + tick * 90));
        }
        let outcome = other.ask(&mut replica, &rules, claims(granted.clone()), at(2, RESTED + tick * 90));
        assert_eq!(outcome.view.granted, 9_000, "after {tick} steps");
        tick += 1;
    }
    assert!(tick > 15, "{tick} steps");
    settle(&mut replica, &rules, at(2, RESTED + 3_000));
    let outcome = other.ask(&mut replica, &rules, claims(granted.clone()), at(2, RESTED + 5_000));
    assert_eq!((outcome.grants.len(), outcome.view.granted, outcome.view.active), (9_000, 9_000, 9_000));
}

#[test]
fn a_claim_of_which_only_the_ticket_is_left_is_spent() {
    let rules = Rules { session: 5_000, ..rules() };
    let (mut line, mut gate) = rested(&rules);
    let mut replica = line.clone();
    gate.ask(&mut line, &rules, joins(40), at(1, RESTED));
    gate.ask(&mut line, &rules, Batch::default(), at(1, RESTED + 6_000));
    gate.give_back(&mut replica, &rules, at(2, RESTED + 6_100));
    settle(&mut replica, &rules, at(2, RESTED + 6_200));
    let outcome = gate.ask(&mut replica, &rules, claims([1]), at(2, RESTED + 8_000));
    assert_eq!(outcome.grants, vec![(1, Grant::Spent)], "its pass ran out before the loss");
}

#[test]
fn a_renewal_that_was_lost_is_given_back() {
    let rules = rules();
    let (mut line, mut gate) = rested(&rules);
    gate.ask(&mut line, &rules, joins(1), at(1, RESTED));
    let mut replica = line.clone();
    let renewal = Batch { renewals: vec![(1, T0)], ..Batch::default() };
    let renewed = gate.ask(&mut line, &rules, renewal, at(1, RESTED + 200_000)).renewed;
    gate.give_back(&mut replica, &rules, at(2, RESTED + 300_500));
    settle(&mut replica, &rules, at(2, RESTED + 300_600));
    let again = gate.ask(&mut replica, &rules, claims([1]), at(2, RESTED + 302_000));
    assert_eq!(again.grants, vec![(1, pass(T0 + RESTED + 200_000, renewed[0].1.unwrap_or(0)))]);
    assert_eq!(again.view.active, 1);
}

#[test]
fn seats_of_which_nobody_has_the_pass_count_as_taken_for_a_session() {
    let rules = Rules { total_active_users: Some(10), session: 30_000, ..rules() };
    let (mut line, mut gate) = rested(&rules);
    let mut replica = line.clone();
    // The gateway that gives six of the passes does not live; the other one has seen that seats were taken.
    let mut gone = Gate::new(2);
    gate.ask(&mut line, &rules, joins(2), at(1, RESTED));
    gone.ask(&mut line, &rules, joins(6), at(1, RESTED + 10));
    gate.ask(&mut line, &rules, joins(5), at(1, RESTED + 20));
    let outcome = gate.give_back(&mut replica, &rules, at(2, RESTED + 100));
    assert_eq!(outcome.view.active, 10, "4 passes and 6 seats of which nobody knows");
    settle(&mut replica, &rules, at(2, RESTED + 200));
    let outcome = gate.ask(&mut replica, &rules, claims(1..=13), at(2, RESTED + 3_000));
    assert_eq!(passes(&outcome).len(), 4, "no seat is free: {:?}", outcome.grants);
    gate.ask(&mut replica, &rules, Batch::default(), at(2, RESTED + 30_050));
    let outcome = gate.ask(&mut replica, &rules, claims(1..=13), at(2, RESTED + 30_200));
    assert!(outcome.view.active > 0 && outcome.view.active <= 10, "then they are free: {:?}", outcome.view);
}

#[test]
fn when_all_is_gone_tickets_and_passes_build_the_line_again_in_front_of_the_newcomers() {
    let rules = rules();
    let (mut line, mut gate) = rested(&rules);
    gate.ask(&mut line, &rules, joins(200), at(1, RESTED));
    let view = gate.ask(&mut line, &rules, Batch::default(), at(1, RESTED + 2_000)).view;
    let called = view.segments.open.serving;

    let mut line = Line::new(at(9, RESTED + 60_000));
    let mut gate = Gate::new(7);
    let newcomer = gate.ask(&mut line, &rules, joins(1), at(9, RESTED + 60_000));
    gate.memory.shown(&Token::ticket(150, T0 + RESTED));
    let pass = Token::pass(called, T0 + RESTED, T0 + RESTED + 300_000);
    gate.memory.shown(&pass);
    gate.memory.shown(&Token::ticket(90, T0 + RESTED));
    let outcome = gate.ask(&mut line, &rules, joins(1), at(9, RESTED + 60_100));
    let view = outcome.view;
    let earlier = view.segments.before[0];
    assert!(earlier.next == 150 && earlier.serving >= called, "{earlier:?}");
    assert_eq!(view.segments.ahead_of(newcomer.first), earlier.waiting() + 1, "old tickets stand before new arrivals");
    assert_eq!((view.active, gate.losses, view.unsure), (1, 1, true));
    gate.memory.shown(&Token::ticket(200, T0 + RESTED));
    let view = gate.ask(&mut line, &rules, Batch::default(), at(9, RESTED + 60_200)).view;
    assert_eq!((view.segments.before[0].next, gate.losses), (200, 1), "late evidence is no second loss");
    let renewal = Batch { renewals: vec![(called, T0)], ..Batch::default() };
    assert!(gate.ask(&mut line, &rules, renewal, at(9, RESTED + 60_300)).renewed[0].1.is_some());
    let mut order = Vec::new();
    for tick in 1..600 {
        let numbers = (called + 1..=200).chain([newcomer.first, newcomer.first + 1]);
        let numbers: Vec<u64> = numbers.filter(|n| !order.contains(n)).collect();
        order.extend(passes(&gate.ask(&mut line, &rules, claims(numbers), at(9, RESTED + 60_300 + tick * 100))));
    }
    let expected: Vec<u64> = (called + 1..=200).chain([newcomer.first, newcomer.first + 1]).collect();
    assert_eq!(order, expected, "in the order of arrival, across the loss");
    assert!(!line.view().unsure);
}

#[test]
fn a_ticket_above_next_shows_a_loss_on_the_same_server() {
    let rules = rules();
    let (mut line, mut gate) = rested(&rules);
    gate.ask(&mut line, &rules, joins(20), at(1, RESTED));
    let mut fresh = Gate::new(3);
    fresh.memory.shown(&Token::ticket(25, T0));
    let outcome = fresh.ask(&mut line, &rules, joins(1), at(1, RESTED + 10));
    assert!(outcome.first > SPAN && outcome.view.waiting() == 16, "{:?}", outcome.view);
    fresh.memory.shown(&Token::ticket(24, T0));
    let again = fresh.ask(&mut line, &rules, joins(1), at(1, RESTED + 20));
    assert_eq!(again.first, outcome.first + 1, "what is known already is no news");
}

#[test]
fn time_goes_on_from_where_it_was_whatever_the_other_server_says() {
    let rules = rules();
    for clock in [0, 3_600_000] {
        let (mut line, mut gate) = rested(&rules);
        gate.ask(&mut line, &rules, joins(100), at(1, RESTED));
        let first = gate.ask(&mut line, &rules, Batch::default(), at(2, clock)).view;
        assert!(first.now >= T0 + RESTED);
        settle(&mut line, &rules, at(2, clock + 100));
        let later = gate.ask(&mut line, &rules, claims(1..=100), at(2, clock + 1_500));
        assert_eq!(later.view.now, first.now + 1_500, "it does not stand still");
        assert_eq!(passes(&later).iter().filter(|&&n| n > 10).count(), 2, "and no token comes from the jump");
    }
}

#[test]
fn provisional_tickets_that_had_their_numbers_keep_them() {
    let rules = rules();
    let (mut line, mut gate) = rested(&rules);
    let mut replica = line.clone();
    let adopt = Adopt { incarnation: 9, first: 1, count: 5 };
    let adopted = gate.ask(&mut line, &rules, Batch { adopt: Some(adopt), ..joins(20) }, at(1, RESTED)).view.adopted;
    let more = Batch { adopt: Some(Adopt { count: 7, ..adopt }), ..Batch::default() };
    let view = gate.ask(&mut replica, &rules, more, at(2, RESTED + 100)).view;
    assert_eq!(view.adopted[0], adopted[0]);
    assert_eq!((view.adopted[1].adopt.first, view.adopted[1].adopt.count), (6, 2));
    assert!(view.adopted[1].base > SPAN);
}

#[test]
fn revocations_after_a_loss_reach_gateways_that_had_counted_more_before_it() {
    let rules = rules();
    let (mut line, mut gate) = rested(&rules);
    let mut replica = line.clone();
    gate.ask(&mut line, &rules, joins(10), at(1, RESTED));
    let releases = Batch { releases: vec![1, 2, 3], ..Batch::default() };
    let seen = gate.ask(&mut line, &rules, releases, at(1, RESTED + 10)).revocations_seen;
    let mut other = Gate::new(2);
    other.memory.shown(&Token::pass(4, T0 + RESTED, T0 + RESTED + 300_000));
    other.ask(&mut replica, &rules, Batch { releases: vec![4], ..Batch::default() }, at(2, RESTED + 100));
    let asks = Batch { revocations_seen: seen, ..Batch::default() };
    let outcome = gate.ask(&mut replica, &rules, asks, at(2, RESTED + 110));
    assert_eq!(outcome.revoked.iter().map(|revoked| revoked.number).collect::<Vec<_>>(), vec![4]);
}

#[test]
fn after_eight_losses_the_oldest_part_in_which_nobody_waits_is_forgotten() {
    let rules = rules();
    let (mut line, mut gate) = rested(&rules);
    for loss in 0..9 {
        gate.ask(&mut line, &rules, joins(1), at(2 + loss, RESTED + loss * 20_000));
        for tick in 1..40 {
            let called = line.counters.segments.open.base + 1;
            gate.ask(&mut line, &rules, claims([called]), at(2 + loss, RESTED + loss * 20_000 + tick * 100));
        }
    }
    let view = line.view();
    assert_eq!(view.segments.before.len(), 7);
    let forgotten = view.forgotten - SPAN;
    assert!(view.forgot(forgotten + 1) && !view.forgot(view.segments.before[0].base + 1));
    assert!(view.lacks(&Token::ticket(view.segments.before[0].base + 2, 0)));
    assert!(!view.lacks(&Token::ticket(forgotten + 1, 0)), "its tickets join anew");
    gate.memory.shown(&Token::ticket(forgotten + 1, 0));
    let after = gate.ask(&mut line, &rules, Batch::default(), at(10, RESTED + 200_000)).view;
    assert_eq!(after.segments.before, view.segments.before, "and do not bring it back");
}

#[test]
fn a_full_segment_is_followed_by_the_next_without_a_loss() {
    let rules = rules();
    let (mut line, mut gate) = rested(&rules);
    gate.ask(&mut line, &rules, joins(SPAN - 3), at(1, RESTED));
    let outcome = gate.ask(&mut line, &rules, joins(2), at(1, RESTED + 1_000));
    assert_eq!((outcome.first, outcome.view.waiting()), (SPAN - 2, SPAN - 1 - outcome.view.segments.open.serving));
    let outcome = gate.ask(&mut line, &rules, Batch { joins: 5, ..claims([11]) }, at(1, RESTED + 2_000));
    assert_eq!((outcome.first, passes(&outcome)), (base_at(T0 + RESTED + 2_000) + 1, vec![11]));
    assert_eq!((gate.losses, outcome.view.active), (0, 11));
    assert_eq!(gate.ask(&mut line, &rules, Batch::default(), at(1, RESTED + 2_100)).view.active, 11);
}

#[test]
fn a_renewal_that_meets_a_line_without_its_pass_does_not_make_the_gateway_forget_it() {
    let rules = rules();
    let (mut line, mut gate) = (Line::new(at(1, 0)), Gate::new(1));
    gate.ask(&mut line, &rules, Batch::default(), at(1, RESTED));
    gate.ask(&mut line, &rules, joins(1), at(1, RESTED + 10));
    let renewal = || Batch { renewals: vec![(1, T0)], ..Batch::default() };
    let mut empty = Line::new(at(2, RESTED + 1_000));
    let refused = gate.ask(&mut empty, &rules, renewal(), at(2, RESTED + 1_000));
    assert_eq!(refused.renewed, vec![(1, None)]);
    gate.give_back(&mut empty, &rules, at(2, RESTED + 1_010));
    let renewed = gate.ask(&mut empty, &rules, renewal(), at(2, RESTED + 1_020));
    assert_eq!(renewed.renewed, vec![(1, Some(T0 + RESTED + 1_020 + rules.session))]);
}
