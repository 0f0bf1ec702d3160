//! A dormant line ends up as if it had been polled all the time.
//!
//! Lines are driven at random until [`Dormancy`] says that nothing but what is asked can change them. Then time passes twice:
//! in steps, and at once. A request after that must find the same.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "tests")]

use policy::Millis;
use policy::dormancy::{Dormancy, TICK};
use policy::lease::HeldLease;
use policy::line::segment::ORIGIN;
use policy::line::{Batch, Grant, Line, Memory, Outcome};
use policy::room::Rules;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

const HOUR: Millis = 3_600_000;

/// One gateway and its line, which it looks at as it is told.
#[derive(Clone)]
struct Room {
    line: Line,
    rules: Rules,
    dormancy: Dormancy,
    memory: Memory,
    lending: HeldLease,
    claims: Vec<u64>,
    now: Millis,
    looks: u64,
}

impl Room {
    fn new(rules: Rules) -> Self {
        let now = ORIGIN + 1_000_000_000;
        Self {
            line: Line::new(now),
            rules,
            dormancy: Dormancy::default(),
            memory: Memory::default(),
            lending: HeldLease::default(),
            claims: Vec::new(),
            now,
            looks: 0,
        }
    }

    fn ask(&mut self, batch: Batch, asked: bool, rests: bool) -> Outcome {
        let lends = self.rules.lends && (asked || self.dormancy.lends());
        let rules = Rules { lends, ..self.rules.clone() };
        let (seen, _) = self.memory.recall();
        let lease = self.lending.recall().0.filter(|_| lends);
        let batch = Batch { gateway: 1, shop_rests: rests, seen, lease, claims: self.claims.clone(), ..batch };
        let outcome = self.line.apply(&rules, &batch, self.now);
        self.line.check_invariants(&rules);
        self.memory.note(&batch.releases, &outcome);
        self.lending.note(outcome.lease, outcome.view.now);
        self.dormancy.note(&outcome.view, &self.rules, asked, rests);
        self.looks += 1;
        let given =
            |number: &u64| outcome.grants.iter().any(|(known, grant)| known == number && *grant != Grant::NotYet);
        self.claims.retain(|number| !given(number));
        outcome
    }

    /// Looks as often as it is told, for so long at most. Returns whether the line is dormant.
    fn rest(&mut self, most: Millis, rests: bool) -> bool {
        let until = self.now + most;
        while self.now < until {
            let Some(next) = self.dormancy.next() else { return true };
            self.now += if self.claims.is_empty() { next } else { TICK };
            self.ask(Batch::default(), !self.claims.is_empty(), rests);
        }
        false
    }

    /// People come, wait, claim, leave, look; some never come back.
    fn launch(&mut self, rng: &mut SmallRng) {
        for _ in 0..rng.random_range(1..60) {
            self.now += rng.random_range(20..400);
            let joins = if rng.random_bool(0.5) { rng.random_range(0..20) } else { 0 };
            let visits = rng.random_range(0..2);
            let releases = (0..rng.random_range(0..3))
                .map(|_| self.line.view().segments.open.base + rng.random_range(1..60))
                .collect();
            let called = self.line.view().segments.open;
            for number in called.base + 1..=called.serving.min(called.next) {
                if rng.random_bool(0.3) && !self.claims.contains(&number) {
                    self.claims.push(number);
                }
            }
            self.ask(Batch { joins, visits, releases, ..Batch::default() }, true, false);
        }
        self.claims.clear();
    }
}

fn rules(rng: &mut SmallRng) -> Rules {
    let per_minute = [6, 60, 600, 6_000][rng.random_range(0..4)];
    let rules = Rules::per_minute(per_minute);
    Rules {
        burst: if rng.random_bool(0.3) { (rules.rate * rng.random_range(1.0..20.0)).max(1.0) } else { rules.burst },
        total_active_users: rng.random_bool(0.5).then(|| rng.random_range(1..200)),
        session: rng.random_range(5_000..120_000),
        claim_window: rng.random_range(3_000..60_000),
        open: rng.random_bool(0.9),
        lends: rng.random_bool(0.3),
        ..rules
    }
}

#[test]
fn a_dormant_line_is_the_same_whether_time_passes_in_steps_or_at_once() {
    let mut waited = 0;
    for seed in 0..128 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut room = Room::new(rules(&mut rng));
        room.ask(Batch::default(), false, false);
        for _ in 0..rng.random_range(0..3) {
            room.launch(&mut rng);
            room.rest(rng.random_range(0..30_000), false);
        }
        // People may wait for long, or for ever in a room that lets no shopper in.
        if !room.rest(600_000, false) {
            waited += 1;
            continue;
        }
        let (mut stepped, mut slept) = (room.clone(), room.clone());
        let end = room.now + rng.random_range(60_000..300_000);
        while stepped.now < end {
            stepped.now = (stepped.now + rng.random_range(80..900)).min(end);
            stepped.ask(Batch::default(), false, false);
        }
        slept.now = end;
        let (joins, visits) = (rng.random_range(1..100), rng.random_range(0..3));
        let come = |room: &mut Room| {
            let outcome = room.ask(Batch { joins, visits, ..Batch::default() }, true, false);
            let mut all = vec![(outcome.first, outcome.grants.len(), outcome.visits, told(&outcome))];
            for _ in 0..100 {
                room.now += TICK;
                let called = room.line.view().segments.open;
                room.claims = (called.base + 1..=called.serving.min(called.next)).collect();
                let outcome = room.ask(Batch::default(), true, false);
                all.push((outcome.first, 0, 0, told(&outcome)));
            }
            all
        };
        for ((at, stepped), slept) in come(&mut stepped).into_iter().enumerate().zip(come(&mut slept)) {
            let context = format!("seed {seed}, {at}: {stepped:?}\n{slept:?}\n{:?}", room.rules);
            assert_eq!((stepped.0, stepped.2), (slept.0, slept.2), "{context}");
            let (one, other) = (stepped.3, slept.3);
            assert!(one.0.abs_diff(other.0) <= 2 && one.1.abs_diff(other.1) <= 2, "{context}");
            // A shopper who is called a moment later is missed a moment later.
            assert!(at > 0 || (one.2, one.3) == (other.2, other.3), "{context}");
        }
    }
    assert!(waited < 64, "{waited} of 128 say nothing");
}

/// Called, granted, no-shows, and the seconds that a seat is taken.
fn told(outcome: &Outcome) -> (u64, u64, u64, u64) {
    let view = &outcome.view;
    (view.segments.called(), view.granted, view.no_shows, (view.stay * 10.0).round() as u64)
}

#[test]
fn a_room_in_which_nobody_ever_was_is_looked_at_a_few_times() {
    for lends in [false, true] {
        let mut room = Room::new(Rules { lends, ..Rules::per_minute(600) });
        room.ask(Batch::default(), false, false);
        assert!(room.rest(HOUR, false) && room.looks <= 10, "{} times", room.looks);
        assert_eq!(room.line.view().gateways, 0, "nothing is lent");
    }
}

#[test]
fn after_a_launch_a_lease_is_held_for_those_who_are_late_and_then_given_back() {
    let mut room = Room::new(Rules { lends: true, ..Rules::per_minute(600) });
    room.ask(Batch { joins: 100, ..Batch::default() }, true, false);
    assert!(!room.rest(60_000, false) && room.line.view().gateways == 1);
    assert!(room.rest(HOUR, false), "{:?} {:?}", room.dormancy, room.line.view());
    assert_eq!(
        (room.line.view().gateways, room.line.view().no_shows > 80),
        (0, true),
        "and it is known who did not come"
    );
}

#[test]
fn seats_that_are_taken_keep_a_line_awake_until_the_last_of_them_is_free() {
    let mut room = Room::new(Rules { total_active_users: Some(5), session: 20_000, ..Rules::per_minute(600) });
    for _ in 0..20 {
        room.now += TICK;
        room.ask(Batch::default(), false, false);
    }
    room.ask(Batch { joins: 3, ..Batch::default() }, true, false);
    let mut stepped = room.clone();
    assert!(!room.rest(19_000, false) && room.line.view().active == 3);
    assert!(room.rest(HOUR, false) && room.line.view().active == 0);
    while stepped.line.view().active > 0 {
        stepped.now += TICK;
        stepped.ask(Batch::default(), false, false);
    }
    let (stay, known) = (room.line.view().stay, stepped.line.view().stay);
    assert!(stay > 0.0 && (stay - known).abs() < 1.0, "{stay} of {known}");
}

#[test]
fn a_shop_that_comes_back_after_hours_is_begun_with_slowly() {
    let mut room = Room::new(Rules::per_minute(6_000));
    room.ask(Batch::default(), false, false);
    assert!(room.rest(HOUR, false));
    room.now += HOUR;
    room.ask(Batch::default(), false, true);
    assert!(room.rest(HOUR, true), "a line stands by itself");
    room.now += HOUR;
    // What counts of the time since is a second at most, at an eighth of the rate.
    let outcome = room.ask(Batch { joins: 100, ..Batch::default() }, true, false);
    let at_once = room.line.view().granted;
    for _ in 0..10 {
        room.now += TICK;
        room.claims = (0..100).map(|n| outcome.first + n).collect();
        room.ask(Batch::default(), true, false);
    }
    let granted = room.line.view().granted;
    assert!(at_once <= 13 && (15..=27).contains(&granted), "{at_once}, then {granted}, of 100 at the whole rate");
}
