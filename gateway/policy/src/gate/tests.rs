use proptest::prelude::*;

use super::*;

fn holder(age: u64) -> Holder {
    Holder { given: age, room: RoomId::of("launch"), number: age }
}

fn gate(limit: usize) -> Gate {
    let mut gate = Gate::default();
    gate.set_limit(limit);
    gate
}

/// All who are called now, in order.
fn called(gate: &mut Gate, now: Millis) -> Vec<u64> {
    let all = std::iter::from_fn(|| gate.call(now)).map(|holder| holder.given).collect();
    gate.check_invariants();
    all
}

/// A form or a poll comes.
fn come(gate: &mut Gate, caller: Caller, age: u64, now: Millis) {
    assert!(gate.arrive(holder(age), caller, now));
}

/// The form that is here enters.
fn enters(gate: &mut Gate, age: u64, now: Millis) {
    assert!(gate.enter(holder(age), now));
    gate.depart(holder(age), Caller::Form, Departure::Entered, now);
}

#[test]
fn within_the_limit_all_go_and_over_it_the_longest_inside_goes_first() {
    let mut gate = gate(2);
    assert!(gate.enter(holder(50), 0) && gate.enter(holder(60), 0));
    for age in [30, 10, 20] {
        assert!(!gate.enter(holder(age), 0));
        come(&mut gate, Caller::Form, age, 0);
        assert_eq!(called(&mut gate, 0), [0; 0]);
    }
    assert_eq!([10, 20, 30].map(|age| gate.ahead(holder(age))), [0, 1, 2]);
    gate.leave(Some(holder(50)));
    assert_eq!(called(&mut gate, 1), [10]);
    assert!(
        gate.is_granted(holder(10)) && !gate.enter(holder(5), 1),
        "the slot is given, however old a pass comes now"
    );
    enters(&mut gate, 10, 1);
    gate.leave(Some(holder(60)));
    gate.leave(Some(holder(10)));
    assert_eq!(called(&mut gate, 2), [20, 30]);
    assert_eq!((gate.in_flight(), gate.waiting()), (0, 2));
}

#[test]
fn a_poll_is_invited_and_its_slot_is_there_when_the_form_comes() {
    let mut gate = gate(1);
    come(&mut gate, Caller::Poll, 2, 0);
    assert_eq!(called(&mut gate, 0), [2]);
    assert!(gate.is_invited(holder(2)) && !gate.is_granted(holder(2)));
    gate.depart(holder(2), Caller::Poll, Departure::Told, 0);
    assert!(!gate.enter(holder(1), 100), "not for an older one");
    assert!(gate.enter(holder(2), INVITED - 1));
    assert_eq!((gate.in_flight(), gate.waiting()), (1, 0));
}

#[test]
fn one_more_is_invited_where_slots_wait_for_forms_and_fewer_where_forms_wait_for_slots() {
    let mut gate = gate(1);
    for age in 1..=5 {
        come(&mut gate, Caller::Poll, age, 0);
    }
    assert_eq!(called(&mut gate, 0), [1]);
    let told = |gate: &mut Gate, age, now| gate.depart(holder(age), Caller::Poll, Departure::Told, now);
    told(&mut gate, 1, 0);
    come(&mut gate, Caller::Form, 1, 100);
    assert_eq!(called(&mut gate, 100), [1]);
    enters(&mut gate, 1, 100);
    assert_eq!(called(&mut gate, 100), [0; 0]);
    gate.leave(Some(holder(1)));
    assert_eq!(called(&mut gate, 200), [2, 3], "the slot stood empty: one more is on the way");
    told(&mut gate, 2, 200);
    told(&mut gate, 3, 200);
    come(&mut gate, Caller::Form, 3, 300);
    assert_eq!(called(&mut gate, 300), [3], "who comes first enters");
    enters(&mut gate, 3, 300);
    come(&mut gate, Caller::Form, 2, 400);
    assert_eq!(called(&mut gate, 400), [0; 0], "one is here already");
    gate.leave(Some(holder(3)));
    assert_eq!(called(&mut gate, 400 + PATIENCE + 1), [2, 4]);
    enters(&mut gate, 2, 400 + PATIENCE + 1);
    assert_eq!(gate.extra, 0, "it had to wait for too long");
}

#[test]
fn who_is_not_here_is_passed_over_and_in_front_again_when_they_ask() {
    let mut gate = gate(1);
    assert!(gate.enter(holder(9), 0));
    for age in [1, 2] {
        come(&mut gate, Caller::Form, age, 0);
    }
    gate.depart(holder(1), Caller::Form, Departure::Waits, 100);
    gate.leave(Some(holder(9)));
    assert_eq!(called(&mut gate, 200), [2]);
    come(&mut gate, Caller::Form, 1, 300);
    assert_eq!(gate.ahead(holder(1)), 0);
    enters(&mut gate, 2, 300);
    gate.leave(Some(holder(2)));
    assert_eq!(called(&mut gate, 400), [1]);
    gate.depart(holder(1), Caller::Form, Departure::Waits, 400);
    assert!(gate.enter(holder(3), 400), "who goes away leaves the slot");
}

#[test]
fn a_place_that_is_not_asked_for_ends_after_ten_seconds() {
    let mut gate = gate(0);
    come(&mut gate, Caller::Poll, 1, 0);
    come(&mut gate, Caller::Form, 2, 0);
    gate.depart(holder(1), Caller::Poll, Departure::Waits, 1_000);
    assert_eq!(called(&mut gate, 1_000 + KEPT - 1), [0; 0]);
    assert_eq!((gate.waiting(), gate.given_up()), (2, 0));
    assert_eq!(called(&mut gate, 1_000 + KEPT + SWEEP), [0; 0]);
    assert_eq!((gate.waiting(), gate.given_up()), (1, 1), "who is here stays");
}

#[test]
fn who_went_on_elsewhere_stands_there_no_longer_though_the_place_is_kept() {
    let mut gate = gate(1);
    assert!(gate.enter(holder(0), 0));
    for age in 1..=3 {
        assert!(gate.arrive(holder(age), Caller::Form, 0));
    }
    gate.depart(holder(1), Caller::Form, Departure::Waits, 250);
    gate.depart(holder(2), Caller::Form, Departure::Waits, 250);
    let counts = |gate: &mut Gate, now| {
        assert_eq!(gate.call(now), None);
        (gate.waiting(), gate.standing())
    };
    assert_eq!(counts(&mut gate, 1_000), (3, 3), "on the way to the page and back");
    assert_eq!(counts(&mut gate, 2_500), (3, 1));
    assert_eq!(counts(&mut gate, 10_300), (1, 1));
}

#[test]
fn an_invitation_that_is_not_used_goes_on_and_its_pass_stands_behind() {
    let mut gate = gate(1);
    come(&mut gate, Caller::Poll, 1, 0);
    assert_eq!(called(&mut gate, 0), [1]);
    gate.depart(holder(1), Caller::Poll, Departure::Told, 0);
    gate.extra = 0;
    come(&mut gate, Caller::Form, 2, 0);
    assert!(called(&mut gate, INVITED - 1).is_empty());
    let now = INVITED + SWEEP;
    assert_eq!(called(&mut gate, now), [2]);
    assert_eq!(gate.missed(), 1);
    enters(&mut gate, 2, now);
    come(&mut gate, Caller::Poll, 1, now);
    come(&mut gate, Caller::Form, 3, now);
    gate.leave(Some(holder(2)));
    assert_eq!(called(&mut gate, now), [3], "polls alone hold no slot for ever");
    assert!(!gate.enter(holder(1), now), "but who sends the form...");
    come(&mut gate, Caller::Form, 1, now);
    come(&mut gate, Caller::Form, 4, now);
    enters(&mut gate, 3, now);
    gate.leave(Some(holder(3)));
    assert_eq!(called(&mut gate, now), [1], "...stands where they stood");
}

#[test]
fn one_pass_that_sends_all_it_can_has_one_slot_while_others_wait() {
    let mut gate = gate(2);
    assert!(gate.enter(holder(1), 0) && gate.enter(holder(1), 0));
    for age in [1, 2, 3] {
        come(&mut gate, Caller::Form, age, 0);
    }
    gate.leave(Some(holder(1)));
    assert_eq!(called(&mut gate, 0), [2], "a pass that has a slot waits for those that have none");
    gate.leave(Some(holder(1)));
    assert_eq!(called(&mut gate, 0), [1]);
}

#[test]
fn a_request_without_a_pass_takes_what_passes_leave() {
    let mut gate = gate(4);
    assert!(gate.enter_other(0) && gate.enter_other(0) && gate.enter_other(0));
    assert!(!gate.enter_other(0), "a quarter is kept");
    assert!(gate.enter(holder(1), 0) && !gate.enter(holder(2), 0));
    come(&mut gate, Caller::Form, 2, 0);
    gate.leave(None);
    assert!(!gate.enter_other(0), "a pass waits");
    assert_eq!(called(&mut gate, 0), [2]);
    enters(&mut gate, 2, 0);
    assert!(!gate.enter_other(0));
    gate.leave(Some(holder(1)));
    assert!(gate.enter_other(0));
    gate.set_limit(0);
    assert!(!gate.enter_other(0));
    let mut of_one = Gate::default();
    of_one.set_limit(1);
    assert!(of_one.enter_other(0) && !of_one.enter_other(0));
}

#[test]
fn what_must_not_wait_counts_and_a_lower_limit_takes_nothing_away() {
    let mut gate = gate(1);
    assert!(gate.enter(holder(1), 0));
    gate.enter_beyond(Some(holder(2)));
    gate.enter_beyond(None);
    assert_eq!(gate.in_flight(), 3);
    gate.leave(None);
    gate.leave(Some(holder(2)));
    assert!(!gate.enter(holder(3), 0));
    gate.set_limit(0);
    gate.leave(Some(holder(1)));
    assert!(!gate.enter(holder(3), 0));
    gate.set_limit(1);
    assert!(gate.enter(holder(3), 0));
    gate.check_invariants();
}

#[test]
fn a_full_line_keeps_the_earlier_passes() {
    let mut gate = gate(0);
    for age in 1..=MOST as u64 {
        come(&mut gate, Caller::Poll, 2 * age, 0);
    }
    let latest = holder(2 * MOST as u64);
    assert!(!gate.arrive(holder(2 * MOST as u64 + 1), Caller::Poll, 0), "the latest has no place");
    come(&mut gate, Caller::Poll, 3, 0);
    assert!(gate.ahead(holder(3)) == 1 && gate.find(latest).is_err(), "it gave way");
    gate.depart(latest, Caller::Poll, Departure::Waits, 0);
    assert_eq!(gate.waiting(), MOST);
    gate.check_invariants();
}

/// Something that happens to a gate.
#[derive(Debug, Clone, Copy)]
enum Event {
    Enter(u64),
    Other,
    Leave(usize),
    Arrive(u64, Caller),
    Depart(usize, bool),
    Pass(Millis),
}

fn event() -> impl Strategy<Value = Event> {
    let caller = prop_oneof![Just(Caller::Form), Just(Caller::Poll)];
    prop_oneof![
        (0..12_u64).prop_map(Event::Enter),
        Just(Event::Other),
        any::<usize>().prop_map(Event::Leave),
        (0..12_u64, caller).prop_map(|(age, caller)| Event::Arrive(age, caller)),
        (any::<usize>(), any::<bool>()).prop_map(|(which, told)| Event::Depart(which, told)),
        (0..4_000_u64).prop_map(Event::Pass),
    ]
}

proptest! {
    #[test]
    fn the_limit_is_never_exceeded_and_no_slot_is_free_while_somebody_is_here(
        limit in 0..6_usize,
        events in prop::collection::vec(event(), 1..200),
    ) {
        let (mut gate, mut now) = (gate(limit), 0);
        let (mut inside, mut here) = (Vec::new(), Vec::new());
        for event in events {
            match event {
                Event::Enter(age) => {
                    let called = gate.is_granted(holder(age)) || gate.is_invited(holder(age));
                    if gate.enter(holder(age), now) {
                        prop_assert!(called || gate.counts.ready == 0, "nobody who waits is passed");
                        inside.push(Some(holder(age)));
                        // A form that was here is here no longer.
                        if let Some(which) = here.iter().position(|one| *one == (holder(age), Caller::Form)) {
                            here.swap_remove(which);
                            gate.depart(holder(age), Caller::Form, Departure::Entered, now);
                        }
                    }
                }
                Event::Other => inside.extend(gate.enter_other(now).then_some(None)),
                Event::Leave(which) if !inside.is_empty() => gate.leave(inside.swap_remove(which % inside.len())),
                Event::Arrive(age, caller) => {
                    here.extend(gate.arrive(holder(age), caller, now).then_some((holder(age), caller)));
                }
                Event::Depart(which, told) if !here.is_empty() => {
                    let (holder, caller) = here.swap_remove(which % here.len());
                    let told = told && caller == Caller::Poll && gate.is_invited(holder);
                    gate.depart(holder, caller, if told { Departure::Told } else { Departure::Waits }, now);
                }
                Event::Pass(span) => now += span,
                Event::Leave(_) | Event::Depart(..) => {}
            }
            while let Some(holder) = gate.call(now) {
                prop_assert!(here.iter().any(|(one, _)| *one == holder), "a slot goes to who is here");
            }
            gate.check_invariants();
            prop_assert_eq!(gate.in_flight(), inside.len());
            prop_assert!(gate.in_flight() + gate.counts.granted <= limit);
            prop_assert!(gate.free() == 0 || gate.counts.arrived == 0);
            prop_assert!(gate.free() <= gate.counts.invited || gate.counts.ready == 0);
        }
        // All is over: everybody leaves, and nothing is left behind.
        inside.drain(..).for_each(|holder| gate.leave(holder));
        here.drain(..).for_each(|(holder, caller)| gate.depart(holder, caller, Departure::Waits, now));
        prop_assert_eq!(gate.call(now + INVITED + KEPT + 2 * SWEEP), None);
        gate.check_invariants();
        prop_assert_eq!((gate.in_flight(), gate.waiting(), gate.counts), (0, 0, Counts::default()));
    }
}
