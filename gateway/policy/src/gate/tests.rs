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

#[test]
fn within_the_limit_all_go_and_over_it_the_longest_inside_goes_first() {
    let mut gate = gate(2);
    assert!(gate.enter(holder(50), 0) && gate.enter(holder(60), 0));
    for age in [30, 10, 20] {
        assert!(!gate.enter(holder(age), 0));
        assert!(gate.arrive(holder(age), 0));
        assert_eq!(called(&mut gate, 0), [0; 0]);
    }
    assert_eq!([10, 20, 30].map(|age| gate.ahead(holder(age))), [0, 1, 2]);
    gate.leave(Some(holder(50)));
    assert_eq!(called(&mut gate, 1), [10]);
    assert!(!gate.enter(holder(5), 1), "the slot is set aside, for however old a pass");
    assert!(gate.enter(holder(10), 1));
    gate.depart(holder(10), Departure::Entered, 1);
    gate.leave(Some(holder(60)));
    gate.leave(Some(holder(10)));
    assert_eq!(called(&mut gate, 2), [20, 30]);
    assert_eq!((gate.in_flight(), gate.waiting()), (0, 2));
}

#[test]
fn who_is_not_here_is_passed_over_and_in_front_again_when_they_ask() {
    let mut gate = gate(1);
    assert!(gate.enter(holder(9), 0));
    for age in [1, 2] {
        assert!(gate.arrive(holder(age), 0));
    }
    gate.depart(holder(1), Departure::Waits, 100);
    gate.leave(Some(holder(9)));
    assert_eq!(called(&mut gate, 200), [2]);
    assert!(gate.arrive(holder(1), 300) && gate.ahead(holder(1)) == 0);
    assert!(gate.enter(holder(2), 300));
    gate.depart(holder(2), Departure::Entered, 300);
    gate.leave(Some(holder(2)));
    assert_eq!(called(&mut gate, 400), [1]);
}

#[test]
fn a_place_that_is_not_asked_for_ends_after_ten_seconds() {
    let mut gate = gate(0);
    assert!(gate.arrive(holder(1), 0) && gate.arrive(holder(2), 0));
    gate.depart(holder(1), Departure::Waits, 1_000);
    assert_eq!(called(&mut gate, 1_000 + KEPT - 1), [0; 0]);
    assert_eq!((gate.waiting(), gate.given_up()), (2, 0));
    assert_eq!(called(&mut gate, 1_000 + KEPT + SWEEP), [0; 0]);
    assert_eq!((gate.waiting(), gate.given_up()), (1, 1), "who is here stays");
}

#[test]
fn a_slot_that_was_set_aside_and_not_used_goes_on_and_its_pass_stands_behind() {
    let mut gate = gate(1);
    assert!(gate.arrive(holder(1), 0));
    assert_eq!(called(&mut gate, 0), [1]);
    gate.depart(holder(1), Departure::Told, 0);
    assert!(gate.arrive(holder(2), 0) && called(&mut gate, SET_ASIDE - 1).is_empty());
    assert_eq!(called(&mut gate, SET_ASIDE + SWEEP), [2]);
    assert_eq!(gate.missed(), 1);
    assert!(gate.enter(holder(2), SET_ASIDE + SWEEP));
    gate.depart(holder(2), Departure::Entered, SET_ASIDE + SWEEP);
    assert!(gate.arrive(holder(1), 6_000) && gate.arrive(holder(3), 6_000));
    gate.leave(Some(holder(2)));
    assert_eq!(called(&mut gate, 6_000), [3], "polls alone hold no slot for ever");
    assert!(!gate.enter(holder(1), 6_001), "but who sends the form...");
    assert!(gate.arrive(holder(4), 6_001) && gate.enter(holder(3), 6_001));
    gate.depart(holder(3), Departure::Entered, 6_001);
    gate.leave(Some(holder(3)));
    assert_eq!(called(&mut gate, 6_002), [1], "...stands where they stood");
}

#[test]
fn one_pass_that_sends_all_it_can_has_one_slot_while_others_wait() {
    let mut gate = gate(2);
    assert!(gate.enter(holder(1), 0) && gate.enter(holder(1), 0));
    for age in [1, 2, 3] {
        assert!(gate.arrive(holder(age), 0));
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
    assert!(gate.enter(holder(1), 0) && !gate.enter(holder(2), 0) && gate.arrive(holder(2), 0));
    gate.leave(None);
    assert!(!gate.enter_other(0), "a pass waits");
    assert_eq!(called(&mut gate, 0), [2]);
    assert!(gate.enter(holder(2), 0) && !gate.enter_other(0));
    gate.depart(holder(2), Departure::Entered, 0);
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
        assert!(gate.arrive(holder(2 * age), 0));
    }
    let latest = holder(2 * MOST as u64);
    assert!(!gate.arrive(holder(2 * MOST as u64 + 1), 0), "the latest has no place");
    assert!(gate.arrive(holder(3), 0) && gate.ahead(holder(3)) == 1);
    assert!(gate.find(latest).is_err(), "it gave way");
    gate.depart(latest, Departure::Waits, 0);
    assert_eq!(gate.waiting(), MOST);
    gate.check_invariants();
}

/// Something that happens to a gate.
#[derive(Debug, Clone, Copy)]
enum Event {
    Enter(u64),
    Other,
    Leave(usize),
    Arrive(u64),
    Depart(usize, bool),
    Pass(Millis),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..12_u64).prop_map(Event::Enter),
        Just(Event::Other),
        any::<usize>().prop_map(Event::Leave),
        (0..12_u64).prop_map(Event::Arrive),
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
                    let set_aside = gate.is_called(holder(age));
                    if gate.enter(holder(age), now) {
                        prop_assert!(set_aside || gate.ready == 0, "nobody who waits is passed");
                        inside.push(Some(holder(age)));
                    }
                }
                Event::Other => inside.extend(gate.enter_other(now).then_some(None)),
                Event::Leave(which) if !inside.is_empty() => gate.leave(inside.swap_remove(which % inside.len())),
                Event::Arrive(age) => here.extend(gate.arrive(holder(age), now).then_some(holder(age))),
                Event::Depart(which, told) if !here.is_empty() => {
                    let holder = here.swap_remove(which % here.len());
                    let told = told && gate.is_called(holder);
                    gate.depart(holder, if told { Departure::Told } else { Departure::Waits }, now);
                }
                Event::Pass(span) => now += span,
                Event::Leave(_) | Event::Depart(..) => {}
            }
            while let Some(holder) = gate.call(now) {
                prop_assert!(here.contains(&holder), "a slot goes to who is here");
            }
            gate.check_invariants();
            prop_assert_eq!(gate.in_flight(), inside.len());
            prop_assert!(gate.in_flight() + gate.called <= limit);
            prop_assert!(gate.free() == 0 || gate.ready == 0);
        }
        // All is over: everybody leaves, and nothing is left behind.
        inside.drain(..).for_each(|holder| gate.leave(holder));
        here.drain(..).for_each(|holder| gate.depart(holder, Departure::Waits, now));
        prop_assert_eq!(gate.call(now + SET_ASIDE + KEPT + 2 * SWEEP), None);
        gate.check_invariants();
        prop_assert_eq!((gate.in_flight(), gate.waiting(), gate.called, gate.ready), (0, 0, 0, 0));
    }
}
