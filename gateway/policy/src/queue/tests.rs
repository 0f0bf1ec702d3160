//! One queue and its line.

use super::*;
use crate::line::{Arrival, Line};
use crate::room::ScheduledRules;
use crate::ticket::Token;

const START: Millis = 1_800_000_000_000;

/// 10 a second, with a burst of 10, lending.
fn rules() -> Rules {
    Rules { lends: true, ..Rules::per_minute(600) }
}

type Replies = Vec<(&'static str, Admission)>;

struct Room {
    line: Line,
    queue: RoomQueue<&'static str>,
    now: Duration,
}

impl Room {
    /// A line of these rules that has lived for two seconds: its burst is there, and the gateway has a lease.
    fn new(rules: &Rules) -> Self {
        let queue = RoomQueue::new(7, rules.clone(), Duration::ZERO);
        let mut room = Self { line: Line::new(START), queue, now: Duration::ZERO };
        for _ in 0..21 {
            room.commit();
            room.now += Duration::from_millis(100);
            // Of no number: it makes a report, so that a lease is of use.
            room.take(Op::Confirm { number: 0 });
        }
        room
    }

    /// The same, with `people` unclaimed numbers in its line; ten of them are called.
    fn crowded(rules: &Rules, people: u64) -> Self {
        let mut room = Self::new(rules);
        let adopt = Some(Adopt { incarnation: 8, first: 1, count: people });
        let batch = Batch { gateway: 8, adopt, ..Batch::default() };
        room.line.apply(&Rules { lends: false, ..rules.clone() }, &batch, START + room.millis());
        room.commit();
        room
    }

    fn millis(&self) -> Millis {
        self.now.as_millis() as Millis
    }

    fn take(&mut self, op: Op<&'static str>) -> bool {
        self.queue.take(op, self.now)
    }

    fn join(&mut self, reply: &'static str, if_called: bool) {
        self.take(Op::Join { if_called, reply });
    }

    fn arrive(&mut self, reply: &'static str, id: u64, if_called: bool) {
        self.take(Op::Arrive { arrival: Arrival { id, if_called }, reply });
    }

    fn claim(&mut self, number: u64, reply: &'static str) {
        self.take(Op::Claim { number, reply });
    }

    fn batch(&mut self) -> (Call, Replies) {
        let mut replies = Vec::new();
        (self.queue.batch(self.now, &mut replies).expect("nothing is in flight"), replies)
    }

    fn answer(&mut self, call: &Call) -> Replies {
        let mut replies = Vec::new();
        let outcome = self.line.apply(&call.rules, &call.batch, START + self.millis());
        self.line.check_invariants(call.rules.at(outcome.view.utc));
        self.queue.answer(outcome, self.now, &mut replies).expect("a batch is in flight");
        replies
    }

    fn commit(&mut self) -> Replies {
        let (call, mut replies) = self.batch();
        replies.extend(self.answer(&call));
        replies
    }

    fn fail(&mut self) -> (Vec<u64>, Replies) {
        let mut replies = Vec::new();
        let retry_at = self.now + back_off(7, 1);
        (self.queue.unreachable(self.now, retry_at, &mut replies), replies)
    }

    fn lend(&mut self) -> (Option<Vec<(u64, Millis)>>, Replies) {
        let mut replies = Vec::new();
        (self.queue.on_lease(self.now, &mut replies), replies)
    }

    fn waits(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    fn first(&self) -> u64 {
        self.line.view().segments.open.base + 1
    }

    /// How long from now the next batch is due.
    fn due(&self) -> Duration {
        self.queue.next_wakeup().saturating_sub(self.now)
    }
}

fn is_pass(admission: &Admission, of: u64) -> bool {
    matches!(admission, Admission::Pass { number, .. } if *number == of)
}

#[test]
fn newcomers_have_the_numbers_that_the_line_gave_them_and_whoever_waits_for_none_is_refused() {
    let mut room = Room::new(&rules());
    room.join("waits", false);
    for reply in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"] {
        room.join(reply, true);
    }
    room.take(Op::Visit { reply: "looks" });
    let replies = room.commit();
    let first = room.first();
    let in_at_once = replies.iter().filter(|(_, admission)| matches!(admission, Admission::Pass { .. }));
    assert_eq!(in_at_once.clone().count(), 10, "{replies:?}");
    assert!(in_at_once.zip(first..).all(|((_, admission), number)| is_pass(admission, number)), "{replies:?}");
    assert!(replies.contains(&("k", Admission::Full)) && replies.contains(&("looks", Admission::Full)), "{replies:?}");
    assert_eq!(replies.len(), 12, "who joins after them is next, and held for it");
    let mut held = Vec::new();
    while held.is_empty() {
        room.waits(20);
        held = room.commit();
    }
    assert!(is_pass(&held[0].1, first + 10) && held.len() == 1, "{held:?}");
}

#[test]
fn a_called_ticket_is_named_in_every_batch_until_its_time_is_up_and_those_who_hang_up_are_left_out() {
    let mut room = Room::crowded(&Rules { lends: false, total_active_users: Some(2), ..rules() }, 20);
    let first = room.first();
    for (number, reply) in (first..).zip(["a", "b"]) {
        room.claim(number, reply);
    }
    room.waits(200);
    assert_eq!(room.commit().len(), 2);
    let begun = room.now;
    room.claim(first + 2, "c");
    room.claim(first + 2, "second tab");
    room.claim(first + 3, "hung up");
    room.queue.retain(|reply| *reply != "hung up");
    let mut replies = Vec::new();
    while replies.len() < 2 {
        let (call, _) = room.batch();
        assert_eq!(call.batch.claims, [first + 2]);
        replies
            .extend(room.answer(&call).into_iter().map(|(_, admission)| (admission, room.now.saturating_sub(begun))));
        assert_eq!(room.due(), if replies.len() < 2 { Duration::from_millis(20) } else { Duration::from_millis(100) });
        room.waits(20);
    }
    for (admission, held) in replies {
        assert_eq!(admission, Admission::Ticket(first + 2));
        assert!((1_900..2_520).contains(&held.as_millis()), "{held:?}");
    }
}

#[test]
fn a_batch_is_due_4_ms_after_what_is_asked_and_not_before_the_store_may_be_asked_again() {
    let mut room = Room::new(&rules());
    room.commit();
    assert_eq!(room.due(), Duration::from_millis(100));
    room.join("a", false);
    room.waits(3);
    room.take(Op::Release { token: Token::ticket(1, START) });
    assert_eq!(room.due(), Duration::from_millis(1), "after the first of them");
    room.batch();
    assert!(room.queue.batch(room.now, &mut Vec::new()).is_none(), "one is in flight");
    room.fail();
    let pause = room.due();
    assert!((400..600).contains(&pause.as_millis()), "{pause:?}");
    room.join("b", false);
    room.queue.follow(room.now);
    room.queue.wake(room.now);
    assert_eq!(room.due(), pause, "whatever is asked meanwhile");
}

#[test]
fn gateways_that_lost_the_store_at_one_moment_do_not_come_back_at_one() {
    let pauses: HashSet<_> = (1..=50_u32).map(|gateway| back_off(gateway.wrapping_mul(2_654_435_761), 1)).collect();
    assert!(pauses.len() > 25, "{} pauses", pauses.len());
    assert_ne!(back_off(0x1234_5678, 1), back_off(0x1234_5678, 2));
}

/// A room starts to reject while a call is in flight, and then its shop rests.
#[test]
fn whatever_happens_during_a_call_its_callers_have_the_stores_answer() {
    let mut room = Room::new(&rules());
    room.arrive("rejected if not called", 1, true);
    room.arrive("waits", 2, false);
    room.join("joins if called", true);
    let (call, _) = room.batch();
    room.waits(1_500);
    room.arrive("came meanwhile", 3, true);
    room.queue.set_shop_rests(true, room.now);
    let (granted, replies) = room.lend();
    assert_eq!((granted, replies), (Some(vec![]), vec![("came meanwhile", Admission::Full)]));
    room.queue.set_shop_rests(false, room.now);
    let replies = room.answer(&call);
    let first = room.first();
    let of: Vec<_> = replies.iter().map(|(reply, _)| *reply).collect();
    assert_eq!(of, ["rejected if not called", "waits", "joins if called"]);
    assert!((first..).zip(&replies).all(|(number, (_, admission))| is_pass(admission, number)), "{replies:?}");
}

#[test]
fn a_pass_of_a_lease_that_is_given_back_before_the_store_answers_is_counted() {
    let mut room = Room::crowded(&rules(), 40);
    let (number, granted) = (room.first(), room.line.view().granted);
    room.claim(number, "a");
    room.batch();
    room.fail();
    room.waits(1_500);
    let (_, replies) = room.lend();
    let [(_, Admission::Pass { expires, admitted, .. })] = replies[..] else { panic!("{replies:?}") };
    let pass = Token { admitted, ..Token::pass(number, admitted, expires) };
    room.take(Op::Release { token: pass });
    room.commit();
    assert_eq!(room.line.view().granted, granted + 1);
    assert_eq!((room.line.view().active, room.line.view().second_passes), (0, 0), "and its seat is free");
}

#[test]
fn when_the_store_fails_a_room_that_rejects_refuses_and_whoever_has_a_number_keeps_it() {
    let mut room = Room::new(&Rules { lends: false, total_active_users: Some(1), ..rules() });
    room.join("in", false);
    room.join("next", false);
    assert!(is_pass(&room.commit()[0].1, room.first()));
    room.join("joins", false);
    room.join("joins if called", true);
    room.arrive("arrives", 1, false);
    room.arrive("arrives if called", 2, true);
    room.take(Op::Renew { number: room.first(), admitted: START });
    let (call, _) = room.batch();
    room.join("came meanwhile", true);
    room.take(Op::Visit { reply: "looks" });
    let (renewals, replies) = room.fail();
    let expected = [
        ("arrives", Admission::Away),
        ("arrives if called", Admission::Full),
        ("joins if called", Admission::Full),
        ("joins", Admission::Away),
        ("came meanwhile", Admission::Full),
        ("looks", Admission::Away),
        ("next", Admission::Ticket(room.first() + 1)),
    ];
    assert_eq!((replies, renewals), (expected.to_vec(), vec![room.first()]));
    let outcome = room.line.apply(&call.rules, &call.batch, START + room.millis());
    assert!(room.queue.answer(outcome, room.now, &mut Vec::new()).is_none(), "an answer that is too late is none");
    assert!(room.queue.is_away() && room.queue.is_idle());
}

#[test]
fn what_is_given_back_is_told_until_the_line_has_heard_it_and_evidence_first() {
    let mut room = Room::new(&Rules { lends: false, ..rules() });
    room.join("a", false);
    let replies = room.commit();
    let [(_, Admission::Pass { number, expires, admitted })] = replies[..] else { panic!("{replies:?}") };
    let pass = Token::pass(number, admitted, expires);
    let (before, _) = room.batch();
    room.take(Op::Release { token: pass });
    room.take(Op::Confirm { number });
    assert!(before.batch.releases.is_empty());
    room.answer(&before);
    for _ in 0..2 {
        let (call, _) = room.batch();
        assert_eq!((&call.batch.releases[..], &call.batch.confirmed[..]), (&[number][..], &[number][..]));
        assert_eq!(call.batch.restore.passes, [(number, expires)]);
        room.fail();
    }
    room.commit();
    let (call, _) = room.batch();
    assert!(call.batch.releases.is_empty() && call.batch.confirmed.is_empty());
    assert_eq!(room.line.view().active, 0);
}

#[test]
fn on_a_lease_the_lowest_called_numbers_enter_first_and_a_second_claim_has_the_same_pass() {
    let mut room = Room::crowded(&rules(), 40);
    let first = room.first();
    for (number, reply) in [(first + 4, "e"), (first + 2, "c"), (first + 3, "d"), (first + 30, "not called")] {
        room.claim(number, reply);
    }
    room.batch();
    room.fail();
    assert_eq!(room.lend(), (None, vec![]), "the lease begins later");
    room.waits(1_500);
    let (granted, replies) = room.lend();
    let granted = granted.unwrap();
    assert_eq!(granted.iter().map(|pass| pass.0).collect::<Vec<_>>(), [first + 2, first + 3]);
    assert_eq!(replies.iter().map(|(reply, _)| *reply).collect::<Vec<_>>(), ["c", "d"]);
    room.claim(first + 2, "second tab");
    let (_, again) = room.lend();
    assert_eq!(again, [("second tab", replies[0].1)]);
    room.queue.set_shop_rests(true, room.now);
    room.waits(500);
    let (granted, replies) = room.lend();
    assert_eq!((granted.map(|granted| granted.len()), replies.len()), (Some(0), 2), "nobody is let in, or held");
}

#[test]
fn a_gateway_that_is_back_from_its_lease_tells_what_the_line_tells() {
    let rules = rules();
    let mut room = Room::crowded(&rules, 200);
    let last = room.first() + 199;
    room.batch();
    room.fail();
    for _ in 0..30 {
        room.waits(100);
        let claims = (room.first()..room.first() + 60).collect();
        room.line.apply(&rules, &Batch { gateway: 8, claims, ..Batch::default() }, START + room.millis());
    }
    room.lend();
    let line = room.line.view();
    let moved = room.queue.view().unwrap().clone();
    assert!(moved.position(last) < line.position(last) && moved.told < line.told, "{moved:?}, {line:?}");
    room.commit();
    assert_eq!(room.queue.view().unwrap().position(last), room.line.view().position(last));
}

#[test]
fn the_last_batch_gives_the_lease_back() {
    let mut room = Room::new(&rules());
    let (call, _) = room.batch();
    assert!(call.batch.lease.is_some() && call.rules.lends);
    room.answer(&call);
    assert!(room.queue.holds_lease());
    room.queue.leave();
    let (call, _) = room.batch();
    assert!(call.batch.lease.is_none() && !call.rules.lends);
    room.answer(&call);
    assert!(!room.queue.holds_lease() && !room.queue.may_live_on_lease(room.now));
}

#[test]
fn places_that_were_kept_are_numbered_once_and_then_those_of_other_gateways() {
    let mut room = Room::new(&rules());
    room.queue.set_places_kept(3, room.now);
    room.take(Op::Adopt { incarnation: 9, last: 2 });
    room.take(Op::Adopt { incarnation: 9, last: 1 });
    let adopts: Vec<_> = (0..3)
        .map(|_| {
            let (call, _) = room.batch();
            room.answer(&call);
            call.batch.adopt.map(|adopt| (adopt.incarnation, adopt.first, adopt.count))
        })
        .collect();
    assert_eq!(adopts, [Some((7, 1, 3)), Some((9, 1, 2)), None]);
    room.queue.set_places_kept(5, room.now);
    assert_eq!(room.batch().0.batch.adopt, Some(Adopt { incarnation: 7, first: 4, count: 2 }));
}

#[test]
fn passes_that_have_ended_are_forgotten_within_a_second() {
    let mut room = Room::new(&Rules { session: 2_000, ..rules() });
    for _ in 0..100 {
        room.join("a", false);
        room.commit();
        room.waits(100);
        let most = room.line.view().active as usize + 12;
        assert!(room.queue.remembered() <= most, "{} of {most}", room.queue.remembered());
    }
    assert!(room.queue.remembered() > 10);
}

#[test]
fn a_gateway_tells_others_of_what_begins_at_it_and_follows_them_for_half_a_second() {
    let mut room = Room::new(&Rules { lends: false, ..rules() });
    room.waits(200_000);
    for _ in 0..400 {
        room.commit();
        room.now += room.due().min(Duration::from_secs(1));
    }
    room.commit();
    assert!(room.queue.is_dormant(room.now) && !room.queue.stirs(room.now));
    assert_eq!(room.due(), Duration::from_mins(30));
    room.queue.follow(room.now);
    assert!(room.due().is_zero() && !room.queue.is_dormant(room.now));
    room.commit();
    assert_eq!(room.due(), Duration::from_millis(100));
    room.waits(500);
    room.commit();
    assert!(room.queue.is_dormant(room.now));
    assert!(room.queue.take(Op::Join { if_called: false, reply: "a" }, room.now), "it is news");
    assert!(!room.queue.take(Op::Join { if_called: false, reply: "b" }, room.now) && room.queue.stirs(room.now));
}

/// The same room with a pre-queue that begins, and an event that starts, so many milliseconds after it.
fn with_event(rules: &Rules, begins: Millis, starts: Millis) -> Rules {
    let from = |after: Millis, rules| ScheduledRules { from: START + after, rules };
    let gathers = from(begins, Rules { open: false, ..rules.clone() });
    Rules { scheduled: vec![gathers, from(starts, rules.clone())], ..rules.clone() }
}

#[test]
fn a_lease_lets_nobody_in_in_a_pre_queue_and_starts_no_event() {
    let mut room = Room::crowded(&with_event(&rules(), 6_000, 20_000), 40);
    let first = room.first();
    let heard = room.millis();
    drop(room.batch());
    room.fail();
    room.claim(first, "early");
    room.waits(1_000);
    assert!(room.queue.lives_on_lease(room.now), "the pre-queue is far away");
    room.lend();
    room.waits(500);
    let (granted, replies) = room.lend();
    assert!(granted.is_some() && replies.iter().any(|(_, admission)| is_pass(admission, first)), "{replies:?}");
    room.claim(first + 1, "late");
    for millis in [5_050, 6_000, 12_000, 20_000, 25_000] {
        room.now = Duration::from_millis(millis);
        assert!(millis < heard + 30_000 && !room.queue.lives_on_lease(room.now), "after {millis} ms");
        assert_eq!(room.lend().0, None);
    }
    let (_, replies) = room.fail();
    assert_eq!(replies, [("late", Admission::Ticket(first + 1))], "nobody is held for a turn that does not come");
}

#[test]
fn a_room_in_which_nothing_happens_is_asked_at_the_moment_in_which_an_event_begins() {
    let change = 20 * 60_000;
    let quiet = Rules { lends: false, ..rules() };
    let mut room = Room::new(&with_event(&quiet, change, change + 60_000));
    let mut asked = Vec::new();
    while room.millis() < change + 61_000 {
        room.now = room.queue.next_wakeup();
        asked.push(room.millis());
        room.commit();
    }
    assert!(
        asked.contains(&change) && asked.contains(&(change + 60_000)),
        "{:?}",
        asked.iter().rev().take(20).collect::<Vec<_>>()
    );
    assert!(asked.len() < 200, "{} times in twenty minutes", asked.len());
}

#[test]
fn a_line_that_an_event_has_opened_is_asked_often_until_its_pointer_is_under_way() {
    let mut room = Room::crowded(&with_event(&Rules { lends: false, ..rules() }, 3_000, 10_000), 400);
    let mut pauses = Vec::new();
    while room.millis() < 11_000 {
        room.commit();
        let due = room.due();
        pauses.push((room.millis(), due.as_millis()));
        room.now += due;
    }
    let most = |from: Millis, to: Millis| {
        let within = pauses.iter().filter(|(at, _)| (from..to).contains(at));
        within.map(|(_, pause)| *pause).max().unwrap()
    };
    assert!(pauses.iter().any(|(at, _)| *at == 10_000), "at its start");
    assert_eq!((most(10_000, 10_500), most(10_500, 11_000), most(4_000, 9_000)), (20, 100, 100));
}

#[test]
fn only_rules_that_are_due_soon_go_to_the_store() {
    let day = 24 * 3_600_000;
    let mut room = Room::new(&with_event(&rules(), day, day + 60_000));
    let call = room.batch().0;
    assert_eq!((call.rules.scheduled.len(), call.rules.open), (0, true));
    room.answer(&call);
    let mut room = Room::new(&with_event(&rules(), 30_000, 90_000));
    assert_eq!(room.batch().0.rules.scheduled.len(), 2);
}
