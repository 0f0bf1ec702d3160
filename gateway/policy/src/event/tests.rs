use proptest::prelude::*;

use super::*;
use crate::admit::{AdmitContext, Credential, Ignored, Intent, PassState, Refusal, Verdict, admit};
use crate::line::{Batch, Grant, HighWater, Line, Stamp, View};
use crate::ticket::Token;

const MINUTE: Millis = 60_000;
/// Long after the epoch.
const T: Millis = 1_800_000_000_000;

fn times(prequeue: Option<Millis>, start: Millis, end: Millis) -> Times {
    Times { prequeue: prequeue.map(|at| T + at), start: T + start, end: T + end }
}

fn room() -> Room {
    Room::new(Rules::per_minute(600))
}

/// 6,000 a minute instead of 600.
fn event(times: Times) -> Event {
    let room = Room::new(Rules::per_minute(6_000));
    Event { name: "drop".to_owned(), times, prequeue_active_users: false, room }
}

/// Pre-queue for five minutes, then for ten minutes.
fn drop() -> Times {
    times(Some(5 * MINUTE), 10 * MINUTE, 20 * MINUTE)
}

#[test]
fn times_are_held_against_the_least_pre_queue_and_the_least_duration() {
    let checked = [
        (times(Some(0), LEAST_PREQUEUE, 5 * MINUTE), Ok(())),
        (times(Some(1), LEAST_PREQUEUE, 5 * MINUTE), Err(BadTimes::Prequeue)),
        (times(Some(6 * MINUTE), 5 * MINUTE, 9 * MINUTE), Err(BadTimes::Prequeue)),
        (times(None, 0, LEAST_DURATION), Ok(())),
        (times(None, 0, LEAST_DURATION - 1), Err(BadTimes::End)),
        (times(None, 5 * MINUTE, 0), Err(BadTimes::End)),
        (Times { prequeue: Some(Millis::MAX), start: Millis::MAX, end: Millis::MAX }, Ok(())),
    ];
    for (times, expected) in checked {
        assert_eq!(times.check(), expected, "{times:?}");
    }
}

#[test]
fn a_phase_begins_with_its_own_millisecond() {
    let phases = [
        (0, Phase::Before),
        (5 * MINUTE - 1, Phase::Before),
        (5 * MINUTE, Phase::Prequeue),
        (10 * MINUTE - 1, Phase::Prequeue),
        (10 * MINUTE, Phase::Running),
        (20 * MINUTE - 1, Phase::Running),
        (20 * MINUTE, Phase::Ended),
    ];
    for (at, phase) in phases {
        assert_eq!(drop().phase(T + at), phase, "after {at}");
    }
    assert_eq!(times(None, MINUTE, 3 * MINUTE).phase(T + MINUTE - 1), Phase::Before, "there is no pre-queue");
}

#[test]
fn events_that_touch_do_not_overlap() {
    let first = drop();
    assert!(!first.overlaps(&times(None, 20 * MINUTE, 30 * MINUTE)));
    assert!(first.overlaps(&times(Some(20 * MINUTE - 1), 22 * MINUTE, 30 * MINUTE)));
    assert!(first.overlaps(&times(None, 0, 5 * MINUTE + 1)) && !first.overlaps(&times(None, 0, 5 * MINUTE)));
    assert!(first.overlaps(&first) && first.overlaps(&times(None, 12 * MINUTE, 14 * MINUTE)));
}

#[test]
fn the_room_is_that_of_the_phase() {
    let table = Timetable::new(&room(), vec![event(drop())]);
    let at = |after: Millis| &table.at(T + after).room;
    assert_eq!(at(0), &room());
    let gathering = at(5 * MINUTE);
    assert!(!gathering.rules.open && gathering.rules.rate == 100.0 && gathering.fail_mode == FailMode::Closed);
    assert_eq!(at(10 * MINUTE), &event(drop()).room);
    assert_eq!(at(20 * MINUTE), &room());
    assert_eq!(table.highest_rate(), 100.0);
    assert_eq!(Timetable::new(&room(), Vec::new()).rules(), room().rules);
}

#[test]
fn a_pre_queue_holds_people_in_order_whatever_the_room_does_with_them_else() {
    let passthrough = Room { queueing_method: QueueingMethod::Passthrough, ..room() };
    let passthrough = Room { rules: Rules { enforced: false, ..room().rules }, ..passthrough };
    let table = Timetable::new(&room(), vec![Event { room: passthrough, ..event(drop()) }]);
    let gathering = &table.at(T + 6 * MINUTE).room;
    assert_eq!(gathering.queueing_method, QueueingMethod::Fifo);
    assert!(gathering.rules.enforced && !gathering.rules.open);
    let paused = Room { suspended: true, rules: Rules { open: false, ..room().rules }, ..room() };
    let table = Timetable::new(&paused, vec![Event { room: paused.clone(), ..event(drop()) }]);
    assert!(table.at(T + 12 * MINUTE).room.suspended, "an event opens no room that an operator has closed");
}

#[test]
fn what_follows_at_once_leaves_nothing_between() {
    let second = Event { name: "second".to_owned(), ..event(times(Some(20 * MINUTE), 21 * MINUTE, 25 * MINUTE)) };
    let table = Timetable::new(&room(), vec![second, event(drop())]);
    let told = |after: Millis| table.current(T + after).map(|(event, phase)| (event.name.as_str(), phase));
    assert_eq!(told(20 * MINUTE - 1), Some(("drop", Phase::Running)));
    assert_eq!(told(20 * MINUTE), Some(("second", Phase::Prequeue)));
    assert_eq!(told(25 * MINUTE), None);
    assert_eq!(table.periods().len(), 6);
    assert_eq!(table.next(T).map(|event| event.name.as_str()), Some("drop"));
    assert_eq!(table.next(T + 20 * MINUTE), None);
}

#[test]
fn who_waits_is_told_of_the_start_and_of_the_end() {
    let table = Timetable::new(&room(), vec![event(drop())]);
    let starts = Announcement::Starts(T + 10 * MINUTE);
    assert_eq!([0, 5, 10, 20].map(|minute| table.announcement(T + minute * MINUTE)), {
        [Announcement::None, starts, Announcement::None, Announcement::None]
    });
    let only = Room { events_only: true, rules: Rules { open: false, ..room().rules }, ..room() };
    let table = Timetable::new(&only, vec![event(drop())]);
    assert_eq!([0, 5, 10, 20].map(|minute| table.announcement(T + minute * MINUTE)), {
        [starts, starts, Announcement::None, Announcement::Ended]
    });
}

#[test]
fn while_the_store_is_away_no_event_starts() {
    let fails = |fail_mode| {
        let running = Room { fail_mode, ..event(drop()).room };
        Timetable::new(&Room { fail_mode, ..room() }, vec![Event { room: running, ..event(drop()) }])
    };
    for fail_mode in [FailMode::Closed, FailMode::Static, FailMode::Open] {
        let table = fails(fail_mode);
        let at = |heard: Option<Millis>, now, away| table.room(heard.map(|at| T + at), T + now, away);
        assert_eq!(at(Some(0), MINUTE, true).fail_mode, fail_mode, "long before it");
        for (heard, now) in [(0, 5 * MINUTE), (0, 11 * MINUTE), (9 * MINUTE, 10 * MINUTE), (0, 30 * MINUTE)] {
            let room = at(Some(heard), now, true);
            assert!(room.fail_mode == FailMode::Closed && !room.rules.open, "heard at {heard}, now {now}");
        }
        let unknown = at(None, 0, true);
        assert!(unknown.fail_mode == FailMode::Closed && !unknown.rules.open, "no time is known");
        assert_eq!(at(Some(10 * MINUTE), 11 * MINUTE, true), &table.at(T + 11 * MINUTE).room, "the store has said so");
        assert_eq!(at(Some(9 * MINUTE), 10 * MINUTE, false), &table.at(T + 11 * MINUTE).room, "it answers");
    }
}

/// What becomes of a newcomer, and of the holder of a called ticket.
fn verdicts(room: &Room, line: Option<&View>, store_away: bool) -> [Verdict; 2] {
    let now = T + 60 * MINUTE;
    let context =
        AdmitContext { room, line, store_away, on_lease: false, shop_rests: false, now, pass: PassState::Lives };
    [Credential::None, Credential::Sealed(Token::ticket(1, now))].map(|shown| admit(context, shown, Intent::Page).0)
}

#[test]
fn before_the_start_open_and_static_mean_closed() {
    let mut line = Line::new(T);
    let view = line.apply(&room().rules, &Batch { joins: 1, ..Batch::default() }, T + 2_000).view;
    assert!(view.segments.is_called(1) || view.segments.open.serving > 0);
    for fail_mode in [FailMode::Static, FailMode::Open] {
        let running = Room { fail_mode, ..event(drop()).room };
        let table = Timetable::new(&Room { fail_mode, ..room() }, vec![Event { room: running, ..event(drop()) }]);
        for now in [6 * MINUTE, 11 * MINUTE] {
            let room = table.room(Some(T + 4 * MINUTE), T + now, true);
            let [newcomer, called] = verdicts(room, Some(&view), true);
            assert_eq!(newcomer, Verdict::JoinLater);
            assert!(matches!(called, Verdict::Wait(_)), "{called:?}");
        }
        assert_eq!(verdicts(table.room(None, T, true), None, true)[0], Verdict::JoinLater);
    }
}

#[test]
fn a_room_that_rejects_and_lets_nobody_in_asks_no_line() {
    let room = Room { queueing_method: QueueingMethod::Reject, rules: Rules { open: false, ..room().rules }, ..room() };
    assert_eq!(verdicts(&room, None, false)[0], Verdict::Refuse(Refusal::Full));
}

#[test]
fn who_is_inside_stays_unless_the_event_says_otherwise() {
    let base = room();
    for requeues in [false, true] {
        let table = Timetable::new(&base, vec![Event { prequeue_active_users: requeues, ..event(drop()) }]);
        let judged = |after: Millis, given: Millis, ahead: Millis| {
            let now = T + after + ahead;
            let line = View { now, utc: T + after, ..View::default() };
            let pass = Token::pass(5, T + given + ahead, T + 60 * MINUTE + ahead);
            let context = AdmitContext {
                room: table.room(Some(T + after), T + after, false),
                line: Some(&line),
                store_away: false,
                on_lease: false,
                shop_rests: false,
                now,
                pass: PassState::Lives,
            };
            admit(context, Credential::Sealed(pass), Intent::Page)
        };
        for ahead in [0, 90_000] {
            let before = judged(4 * MINUTE, 3 * MINUTE, ahead);
            assert!(matches!(before.0, Verdict::Enter { .. }), "{before:?}");
            for after in [5, 12, 30] {
                let (verdict, why) = judged(after * MINUTE, 3 * MINUTE, ahead);
                let expected = if requeues { Some(Ignored::Requeued) } else { None };
                assert_eq!((matches!(verdict, Verdict::Enter { .. }), why), (!requeues, expected), "at {after} min");
            }
            let given_inside = judged(30 * MINUTE, 11 * MINUTE, ahead);
            assert!(matches!(given_inside.0, Verdict::Enter { .. }), "{given_inside:?}");
        }
    }
}

/// Steps of a tenth of a second; returns the numbers that got passes, with the time of day.
fn launch(table: &Timetable, joins: impl Fn(Millis) -> u64) -> (Vec<(u64, Millis)>, Line) {
    let (mut line, rules, mut called) = (Line::new(T), table.rules(), Vec::new());
    let mut granted = Vec::new();
    for after in (0..22 * MINUTE).step_by(100) {
        let segments = line.view().segments.open;
        called.extend((called.len() as u64 + 1 + segments.base)..=segments.next.min(segments.serving));
        let waiting = called.iter().filter(|number| !granted.iter().any(|(known, _)| known == *number));
        let batch = Batch { joins: joins(after), claims: waiting.copied().collect(), ..Batch::default() };
        let outcome = line.apply(&rules, &batch, T + after);
        let passes = outcome.grants.iter().filter(|(_, grant)| matches!(grant, Grant::Pass { .. }));
        granted.extend(passes.map(|&(number, _)| (number, outcome.view.utc - T)));
    }
    (granted, line)
}

#[test]
fn a_line_lets_nobody_in_before_the_start_and_goes_on_in_order() {
    // The room is closed outside the event, so that who waited before the pre-queue waits still.
    let closed = Room { rules: Rules { open: false, ..room().rules }, ..room() };
    let slow = Event { room: Room::new(Rules::per_minute(60)), ..event(drop()) };
    let table = Timetable::new(&closed, vec![slow]);
    let (granted, line) = launch(&table, |after| u64::from(after % (10 * 1_000) == 0 && after < 15 * MINUTE));
    assert!(granted.iter().all(|(_, at)| (10 * MINUTE..20 * MINUTE).contains(at)), "{granted:?}");
    assert!(granted.is_sorted_by_key(|(number, _)| *number), "{granted:?}");
    assert_eq!(granted.len(), 90, "all who came before the fifteenth minute");
    assert_eq!(line.view().waiting(), 0);
}

#[test]
fn at_the_end_tickets_stay_in_the_rooms_line() {
    let closed = Room { rules: Rules { open: false, ..room().rules }, ..room() };
    let slow = Event { room: Room::new(Rules::per_minute(6)), ..event(drop()) };
    let (granted, line) = launch(&Timetable::new(&closed, vec![slow]), |after| u64::from(after % 1_000 == 0));
    let view = line.view();
    let given = view.segments.open.next - view.segments.open.base;
    assert_eq!(given, 22 * 60, "everybody has a number");
    assert!(view.waiting() > 1_000 && granted.len() < 70, "{} wait, {} entered", view.waiting(), granted.len());
}

#[test]
fn the_time_of_day_never_goes_back_and_gateways_bring_it_along() {
    let table = Timetable::new(&room(), vec![event(drop())]);
    let (mut line, rules) = (Line::new(Stamp { now: T, server: 1 }), table.rules());
    let view = line.apply(&rules, &Batch::default(), Stamp { now: T + 11 * MINUTE, server: 1 }).view;
    assert_eq!(view.utc, T + 11 * MINUTE);
    // Another server, ten minutes behind.
    let view = line.apply(&rules, &Batch::default(), Stamp { now: T + MINUTE, server: 2 }).view;
    assert_eq!(view.utc, T + 11 * MINUTE, "the event runs on");
    // Everything is lost, and a gateway remembers.
    let mut line = Line::new(Stamp { now: T + 2 * MINUTE, server: 3 });
    let seen = HighWater { utc: T + 11 * MINUTE, ..HighWater::default() };
    let view = line.apply(&rules, &Batch { seen, ..Batch::default() }, Stamp { now: T + 2 * MINUTE, server: 3 }).view;
    assert_eq!(view.utc, T + 11 * MINUTE);
}

/// Events one after the other, each with or without a pre-queue and a pause before it.
fn some_events() -> impl Strategy<Value = Vec<Event>> {
    let one = (0..3_u64, prop::option::of(30_000..90_000_u64), 60_000..120_000_u64, any::<bool>(), 1..9_u32);
    prop::collection::vec(one, 0..5).prop_map(|all| {
        let mut from = MINUTE;
        let made = all.into_iter().map(|(pause, prequeue, lasts, prequeue_active_users, rate)| {
            let begin = from + pause * 10_000;
            let start = begin + prequeue.unwrap_or(0);
            from = start + lasts;
            let times = times(prequeue.map(|_| begin), start, from);
            let room = Room { fail_mode: FailMode::Open, ..Room::new(Rules::per_minute(60 * rate)) };
            Event { name: format!("at-{begin}"), times, prequeue_active_users, room }
        });
        made.collect()
    })
}

proptest! {
    /// Whatever the events: what a line applies, what a gateway decides by, and what the times say are one.
    #[test]
    fn rules_and_room_are_those_of_the_phase(events in some_events(), after in 0..1_000_000_u64, lag in 0..300_000_u64) {
        let (base, now) = (Room { fail_mode: FailMode::Open, ..room() }, T + after);
        let table = Timetable::new(&base, events.clone());
        let phases: Vec<_> = events.iter().map(|event| (event, event.times.phase(now))).collect();
        let begun = phases.iter().filter(|(_, phase)| matches!(phase, Phase::Prequeue | Phase::Running));
        let begun: Vec<_> = begun.collect();
        prop_assert!(begun.len() <= 1);
        let found = &table.at(now).room;
        match begun.first() {
            Some((event, Phase::Prequeue)) => {
                prop_assert!(!found.rules.open && found.rules.rate == event.room.rules.rate);
            }
            Some((event, _)) => prop_assert_eq!(&found.rules, &event.room.rules),
            None => prop_assert_eq!(&found.rules, &base.rules),
        }
        let rules = table.rules();
        let bare = |rules: &Rules| Rules { scheduled: Vec::new(), ..rules.clone() };
        prop_assert_eq!(bare(rules.at(now)), found.rules.clone());
        let heard = now.saturating_sub(lag);
        let near = rules.near(Some(heard));
        prop_assert_eq!(bare(near.at(now)), found.rules.clone(), "what goes to the store is enough");
        let unheard = events.iter().any(|event| heard < event.times.start && event.times.start <= now);
        let away = table.room(Some(heard), now, true);
        if unheard || begun.iter().any(|(_, phase)| *phase == Phase::Prequeue) {
            prop_assert!(!away.rules.open && away.fail_mode == FailMode::Closed);
        }
        let since = phases.iter().filter(|(event, phase)| event.prequeue_active_users && *phase != Phase::Before);
        let since = since.map(|(event, _)| event.times.begin()).max().unwrap_or(0);
        prop_assert_eq!(found.passes_since, since);
    }

    /// A line that was heard to be open stays so only where no closed time has come.
    #[test]
    fn a_lease_ends_where_a_pre_queue_begins(events in some_events(), heard in 0..900_000_u64, on in 0..40_000_u64) {
        let table = Timetable::new(&room(), events.clone());
        let closed = |at: Millis| events.iter().any(|event| event.times.phase(T + at) == Phase::Prequeue);
        let came = table.periods().iter().any(|period| T + heard < period.from && period.from <= T + heard + on);
        let passed = (heard..=heard + on).step_by(1_000).chain([heard + on]).any(closed);
        prop_assert!(!(came && passed && table.rules().stays_open(T + heard, T + heard + on)));
    }
}

#[test]
fn an_event_is_started_once_before_its_time_and_ends_as_it_was_told() {
    let times = Times { prequeue: Some(T), start: T + 10 * MINUTE, end: T + 70 * MINUTE };
    let now = T + 30_000;
    let started = times.started(now).expect("it is started");
    assert_eq!(started, Times { start: now, ..times });
    assert_eq!((started.check(), started.check_change(Some(&times), now)), (Ok(()), Ok(())));
    assert_eq!(times.started(now - 1), Err(NotStarted::Prequeue(now)));
    // Before its pre-queue, and of an event without one.
    let early = times.started(T - 1).expect("it is started");
    assert_eq!(early, Times { prequeue: None, start: T - 1, ..times });
    assert_eq!(early.check(), Ok(()));
    let plain = Times { prequeue: None, ..times };
    assert_eq!(plain.started(now), Ok(Times { start: now, ..plain }));
    assert_eq!(started.started(now + 1), Err(NotStarted::Running));
    assert_eq!(times.started(times.end), Err(NotStarted::Ended));
    // A way back would start it a second time.
    assert_eq!(times.check_change(Some(&started), now + 1), Err(TooLate::Start));
}
