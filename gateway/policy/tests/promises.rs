//! The promises of a line as figures: measured in launches of virtual time, printed, and asserted.
//!
//! Overshoot, order, second claims and the rest of [`crate::sim::watch`] are asserted in each of these
//! launches too. `cargo test -p policy --test launches promises:: -- --nocapture` shows the figures.

use policy::Millis;
use policy::line::{Batch, Line};
use policy::outlook::Wait;
use policy::room::Rules;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use crate::sim::crowd::{Exit, Habit, Person};
use crate::sim::figures::{Figures, stood};
use crate::sim::{Plan, START, Upset, World, crowd_between, per_second};

/// Rates in shoppers per second, and the seconds for which a line of that rate stands.
const RATES: [(f64, f64); 5] = [(10.0, 150.0), (30.0, 120.0), (100.0, 60.0), (300.0, 40.0), (1_000.0, 30.0)];
/// From this instant after the line formed the use of the rate is measured: it learns who comes.
const WARM_UP: Millis = 10_000;

/// How many stay away, by place in the line 0..1.
type Absent = fn(f64) -> f64;
const ALL_SHOW: Absent = |_| 0.0;
const EVEN_40: Absent = |_| 0.4;
const EVEN_70: Absent = |_| 0.7;
const CHANGING: Absent = |place| [0.1, 0.7, 0.3][(place * 3.0) as usize];

fn told(_: &mut SmallRng) -> Habit {
    Habit::Told
}

/// A crowd that takes about so many seconds to let in, there within 5 s.
fn storm(rate: f64, seconds: f64, absent: Absent, present: impl Fn(&mut SmallRng) -> Habit) -> Plan {
    let mut rng = SmallRng::seed_from_u64(seconds as u64);
    let show = 1.0 - (0..99).map(|i| absent(f64::from(i) / 99.0)).sum::<f64>() / 99.0;
    let count = (rate * seconds / show) as usize;
    let crowd = crowd_between(&mut rng, count, (1_000, 6_000), |rng, place| {
        if rng.random_bool(absent(place)) { Habit::Absent } else { present(rng) }
    });
    Plan { crowd, ..Plan::calm(rate as u64, per_second(rate)) }
}

/// Least share of shoppers who poll as told that enter inside the first range that they see.
const INSIDE: f64 = 0.8;

/// Runs a launch, in which no shopper who stays may be left out and the wait is as it was told, and prints its figures.
fn measure(name: &str, plan: Plan, warm_up: Millis) -> (World, Figures) {
    let (world, figures) = run(name, plan, warm_up);
    assert!(figures.inside >= INSIDE, "{} entered inside the first range", figures.inside);
    (world, figures)
}

/// The same with an event that could not be known when the wait was told.
fn run(name: &str, plan: Plan, warm_up: Millis) -> (World, Figures) {
    let world = World::run(plan);
    for (index, person) in world.crowd.iter().enumerate() {
        assert!(world.watch.satisfied(index as u32) || !person.must_enter(), "{index} was never let in");
    }
    let figures = Figures::of(&world, warm_up);
    println!("{name}: {figures}");
    (world, figures)
}

/// What holds in every launch of even or changing no-shows at 10 shoppers a second and more.
fn holds(name: &str, plan: Plan, overtaken: f64) -> Figures {
    let rate = plan.room.rules.rate;
    let (world, figures) = measure(&format!("{name}, {rate}/s"), plan, WARM_UP);
    println!("    {:.4} of the rate used from the first second on", Figures::of(&world, 0).used);
    assert!(figures.p99_hold <= 2.0 && figures.longest_hold <= 4.0, "a called shopper waits too long");
    assert!(figures.overtaken <= overtaken, "overtaken by {} s of called tickets", figures.overtaken);
    assert!(figures.most_per_tick as f64 <= 2.0 * 0.1 * rate + 1.0, "{} in 100 ms", figures.most_per_tick);
    figures
}

#[test]
fn where_everybody_shows_up_the_wait_is_known_and_the_rate_is_used() {
    for (rate, seconds) in RATES {
        let figures = holds("everybody shows up", storm(rate, seconds, ALL_SHOW, told), 2.5);
        assert!(figures.used >= 0.99, "{figures}");
    }
}

#[test]
fn with_40_percent_no_shows_99_percent_of_the_rate_is_used() {
    for (rate, seconds) in RATES {
        let figures = holds("40 % no-shows", storm(rate, seconds, EVEN_40, told), 2.5);
        assert!(figures.used >= 0.99, "{figures}");
    }
}

#[test]
fn with_70_percent_no_shows_95_percent_of_the_rate_is_used() {
    for (rate, seconds) in RATES {
        let figures = holds("70 % no-shows", storm(rate, seconds, EVEN_70, told), 2.5);
        assert!(figures.used >= 0.99, "{figures}");
    }
}

#[test]
fn when_no_shows_change_along_the_line_97_percent_of_the_rate_is_used() {
    for (rate, seconds) in RATES {
        let figures = holds("10, 70, 30 % no-shows", storm(rate, seconds.max(60.0), CHANGING, told), 4.0);
        assert!(figures.used >= 0.975, "{figures}");
    }
}

#[test]
fn a_line_of_which_95_percent_is_stuffing_uses_the_rate_after_half_a_minute() {
    for habit in [Habit::Absent, Habit::Stuffs] {
        for (rate, seconds) in [(10.0, 180.0), (100.0, 90.0)] {
            let mut plan = storm(rate, seconds, |_| 0.95, told);
            plan.crowd.iter_mut().filter(|p| p.habit == Habit::Absent).for_each(|p| p.habit = habit);
            let (_, figures) = measure(&format!("95 % stuffing ({habit:?}), {rate}/s"), plan, 30_000);
            assert!(figures.used >= 0.95, "{figures}");
            assert!(figures.p99_hold <= 5.0, "{figures}");
        }
    }
}

#[test]
fn slow_lines_use_what_chance_leaves_them() {
    for (rate, used) in [(0.2, 0.75), (1.0, 0.93), (3.0, 0.98)] {
        for (name, absent) in [("40 % no-shows", EVEN_40), ("70 % no-shows", EVEN_70)] {
            let (_, figures) = measure(&format!("{name}, {rate}/s"), storm(rate, 900.0, absent, told), WARM_UP);
            assert!(figures.used >= used, "{figures}");
        }
    }
}

#[test]
fn hidden_tabs_do_not_hold_up_those_who_poll_as_told() {
    let half = |rng: &mut SmallRng| if rng.random_bool(0.5) { Habit::Hidden } else { Habit::Told };
    for (rate, seconds) in [(10.0, 200.0), (100.0, 100.0)] {
        let plan = storm(rate, seconds, EVEN_40, half);
        let (_, figures) = measure(&format!("half of the tabs hidden, {rate}/s"), plan, WARM_UP);
        assert!(figures.used >= 0.97, "{figures}");
        assert!(figures.overtaken <= 2.5, "{figures}");
        // They wait for the holders whose hidden tabs wake up late: these stand before them.
        assert!(figures.p99_hold <= 20.0, "{figures}");
    }
}

#[test]
fn late_returners_enter_first_and_delay_the_others_by_no_more_than_their_own_number() {
    for rate in [50.0, 200.0] {
        let at = 25_000;
        let mut plan = storm(rate, 40.0, EVEN_40, told);
        // They come from all over the part of the line that was called by then.
        let step = (0.8 * rate * 25.0 / 400.0) as usize;
        let told = plan.crowd.iter_mut().filter(|person| person.habit == Habit::Told);
        for (late, person) in told.step_by(step).take(400).enumerate() {
            person.habit = Habit::Late(at + late as Millis % 50);
        }
        let (world, figures) = measure(&format!("400 late returners at once, {rate}/s"), plan, WARM_UP);
        let late = world.crowd.iter().zip(&world.watch.people).filter(|(p, _)| matches!(p.habit, Habit::Late(_)));
        let last = late.filter_map(|(_, seen)| seen.granted).max().unwrap_or(0);
        println!("    the last of them enters {:.2} s after they come", (last - at) as f64 / 1000.0);
        let bound = 400.0 / rate + 2.5;
        assert!((last - at) as f64 / 1000.0 <= bound, "they enter before the tail");
        assert!(figures.longest_hold <= bound + 1.0, "{figures}");
        assert!(figures.used >= 0.99, "{figures}");
    }
}

#[test]
fn seats_are_used_when_they_are_what_binds() {
    type Stay = fn(&mut SmallRng) -> (Millis, Exit);
    // Passes that only run out free the seats in waves, a session apart: a shopper between two waves meets the later one.
    let stays: [(&str, Stay, f64); 2] = [
        ("visits of 5 to 35 s", |rng| (rng.random_range(5_000..35_000), Exit::GivesBack), 0.95),
        ("passes that run out", |_| (100, Exit::Silent), 0.7),
    ];
    for (name, stay, inside) in stays {
        for (rate, seats) in [(100.0, 300), (20.0, 100)] {
            let mut rng = SmallRng::seed_from_u64(3);
            let mut plan = storm(rate, 1_500.0 / rate, EVEN_40, told);
            let rules = &mut plan.room.rules;
            (rules.total_active_users, rules.session) = (Some(seats), 40_000);
            for person in &mut plan.crowd {
                let (stay, exit) = stay(&mut rng);
                *person = person.clone().staying(stay, exit);
            }
            let (world, figures) = run(&format!("{seats} seats, {rate}/s, {name}"), plan, WARM_UP);
            seats_are_used(&world, seats);
            assert!(figures.inside >= inside, "{} entered inside the first range", figures.inside);
        }
    }
}

/// 8 shoppers a second, for half a minute, come to a room of 5 a second; they stay for so long.
fn slow_line(seats: Option<u64>, stay: impl Fn(&mut SmallRng) -> Millis) -> Plan {
    let mut rng = SmallRng::seed_from_u64(12);
    let mut crowd = crowd_between(&mut rng, 240, (1_000, 31_000), told_anywhere);
    for person in &mut crowd {
        let stay = stay(&mut rng);
        *person = person.clone().staying(stay, Exit::GivesBack);
    }
    let rules = Rules { total_active_users: seats, session: 300_000, ..per_second(5.0) };
    Plan { crowd, ..Plan::calm(12, rules) }
}

#[test]
fn a_line_that_forms_slowly_has_the_wait_that_it_is_told_whatever_the_seats() {
    type Stay = fn(&mut SmallRng) -> Millis;
    let rooms: [(&str, Option<u64>, Stay); 6] = [
        ("no bound of seats", None, |_| 60_000),
        ("seats that do not bind, visits that outlast the line", Some(500), |_| 300_000),
        ("seats that do not bind, short visits", Some(500), |rng| rng.random_range(2_000..6_000)),
        ("seats that begin to bind late", Some(180), |rng| rng.random_range(30_000..50_000)),
        ("seats that begin to bind early", Some(70), |rng| rng.random_range(15_000..30_000)),
        ("seats that bind from the start", Some(20), |rng| rng.random_range(4_000..8_000)),
    ];
    for (name, seats, stay) in rooms {
        let (world, _) = measure(&format!("8/s at 5/s, {name}"), slow_line(seats, stay), WARM_UP);
        let most = world.watch.steps.iter().map(|step| step.entering).max().unwrap_or(0);
        println!("    at most {most} called and not admitted");
        assert!(seats.is_some_and(|seats| seats < 500) || most <= 16, "{most} stand called and not admitted");
    }
}

#[test]
fn after_a_cut_of_the_rate_places_go_on_moving_and_a_wait_that_is_told_is_had() {
    for (name, absent) in [("everybody shows up", ALL_SHOW), ("40 % no-shows", EVEN_40)] {
        let cut = 20_000;
        let mut plan = slow_line(None, |_| 0);
        let mut rng = SmallRng::seed_from_u64(8);
        plan.crowd = crowd_between(&mut rng, 400, (1_000, 41_000), |rng, place| {
            if rng.random_bool(absent(place)) { Habit::Absent } else { Habit::Told }
        });
        let mut room = plan.room.clone();
        (room.rules.rate, room.rules.burst) = (1.0, 1.0);
        plan.upsets.push((cut, Upset::Change(Box::new(room))));
        let (world, _) = run(&format!("from 300 to 60 a minute, {name}"), plan, WARM_UP);
        let stood = longest_stand(&world, cut);
        let told_later = world.watch.people.iter().filter(|seen| seen.shown.is_some_and(|(at, _)| at > cut));
        let waits: Vec<bool> = told_later.filter_map(|seen| is_inside(&seen.shown?, seen.granted?)).collect();
        let inside = waits.iter().filter(|&&inside| inside).count() as f64 / waits.len() as f64;
        println!(
            "    places stood for {stood} ms at most; {inside:.2} of {} told after the cut entered inside",
            waits.len()
        );
        assert!(stood <= 6_000, "places stood still for {stood} ms");
        assert!(waits.len() > 50 && inside >= INSIDE, "{inside} of {}", waits.len());
    }
}

fn is_inside((at, range): &(Millis, Wait), granted: Millis) -> Option<bool> {
    let wait = granted.checked_sub(*at)? as f64 / 1000.0;
    Some(range.low as f64 <= wait && wait <= range.high as f64)
}

/// For how long no place moved up from this instant on, while people waited.
fn longest_stand(world: &World, from: Millis) -> Millis {
    let (_, to) = stood(world);
    let steps = world.watch.steps.iter().filter(|step| step.now >= from && step.now <= to);
    let mut moved = (from, 0);
    let mut longest = 0;
    for step in steps {
        let front = step.serving - step.told.min(step.serving);
        if front > moved.1 {
            moved = (step.now, front);
        }
        longest = longest.max(step.now - moved.0);
    }
    longest
}

#[test]
fn a_place_that_somebody_looks_at_is_never_ten_seconds_old_within_the_budget() {
    let (world, _) = measure("a long line of 10/s", storm(10.0, 300.0, EVEN_40, told), WARM_UP);
    let longest = world.watch.people.iter().map(|seen| seen.longest_silence).max().unwrap_or(0);
    println!("    at most {longest} ms from one answer to the next");
    assert!(longest <= 10_000, "{longest} ms");
}

/// While people wait, seats are taken; the pointer calls no more than can sit down.
fn seats_are_used(world: &World, seats: u64) {
    let (from, to) = stood(world);
    let steps: Vec<_> = world.watch.steps.iter().filter(|s| s.now >= from + WARM_UP && s.now <= to).collect();
    let mut taken = 0.0;
    for pair in steps.windows(2) {
        taken += pair[0].active as f64 * (pair[1].now - pair[0].now) as f64;
    }
    let used = taken / (seats as f64 * (to - from - WARM_UP) as f64);
    let most = steps.iter().map(|s| s.claimants).max().unwrap_or(0);
    println!("    {used:.4} of the seats used, at most {most} claimants without a seat");
    assert!(used >= 0.97, "{used:.4} of the seats used");
    assert!(most <= seats / 4 + 10, "{most} called for nothing");
}

#[test]
fn no_pointer_runs_away_while_no_seat_is_free() {
    let mut plan = storm(50.0, 20.0, EVEN_70, told);
    (plan.room.rules.total_active_users, plan.room.rules.session) = (Some(100), 120_000);
    for person in &mut plan.crowd {
        *person = person.clone().staying(120_000, Exit::Silent);
    }
    // All seats are freed at once, every two minutes.
    let (world, _) = run("100 seats for 120 s", plan, 0);
    // By then shoppers who never came back with the pass that they got at once have lost their seats to others.
    let time = 60_000..120_000;
    let full: Vec<_> = world.watch.steps.iter().filter(|s| s.active == 100 && time.contains(&s.now)).collect();
    let (first, last) = (full[0], full[full.len() - 1]);
    println!("    called while all seats were taken: {} in {} ms", last.serving - first.serving, last.now - first.now);
    assert!(last.serving - first.serving <= 10);
}

/// 3,000 seats for five minutes, all taken within a minute by clients that never come back; then a crowd comes.
fn hoarded(readers: usize) -> World {
    let mut rng = SmallRng::seed_from_u64(11);
    let rules = Rules { total_active_users: Some(3_000), session: 300_000, ..per_second(50.0) };
    let draw = |rng: &mut SmallRng, count, between, stay, reads| {
        let people = crowd_between(rng, count, between, told_anywhere);
        people.into_iter().map(move |person| person.staying(stay, Exit::GivesBack).reading(reads))
    };
    let mut crowd: Vec<Person> = draw(&mut rng, readers, (0, 2_000), 130_000, 120_000).collect();
    crowd.extend(draw(&mut rng, 3_000 - readers, (2_000, 62_000), 0, 0));
    crowd.extend(draw(&mut rng, 2_000, (70_000, 72_000), 200_000, 50));
    World::run(Plan { crowd, ..Plan::calm(11, rules) })
}

fn told_anywhere(_: &mut SmallRng, _: f64) -> Habit {
    Habit::Told
}

#[test]
fn seats_hoarded_by_clients_who_never_come_back_go_to_the_crowd_at_the_rate() {
    let world = hoarded(0);
    let granted = world.watch.grants.iter().filter(|at| (75_000..105_000).contains(*at)).count();
    println!("{granted} of 1,500 entered in 30 s; {} seats were taken back", world.watch.evicted.len());
    assert!(granted >= 1_425, "{granted} of 1,500");
    let holders = world.watch.evicted.keys().filter_map(|&number| world.watch.holder(number));
    assert!(holders.clone().count() >= 1_900 && holders.max() < Some(3_000), "nobody who came back lost a seat");
    assert!((0..world.crowd.len() as u32).all(|person| world.watch.satisfied(person)));
}

#[test]
fn who_reads_for_two_minutes_loses_the_seat_only_to_others_and_is_the_next_to_sit_down() {
    let world = hoarded(50);
    let readers = &world.watch.people[..50];
    let lost: Vec<_> = readers.iter().filter(|reader| world.watch.evicted.contains_key(&reader.number)).collect();
    assert_eq!(lost.len(), 50, "they are the oldest who have not come back");
    for reader in lost {
        let (came, again) = (reader.granted.unwrap_or(0) + 120_000, reader.again.unwrap_or(Millis::MAX));
        assert!(again < came + 3_000, "back at {came}, inside at {again}");
    }
}

#[test]
fn polls_stay_within_the_budget() {
    let mut plan = storm(10.0, 400.0, EVEN_40, told);
    plan.budget = 150.0;
    let (world, figures) = measure("6,700 tickets, 150 polls a second", plan, WARM_UP);
    let polls = &world.watch.polls[10..300];
    let most = polls.windows(5).map(|seconds| seconds.iter().map(|p| p.0).sum::<u32>()).max().unwrap_or(0) / 5;
    println!("    at most {most} polls a second over 5 s");
    assert!(most <= 150, "{most} polls a second");
    assert!(figures.used >= 0.95, "{figures}");
}

#[test]
fn a_room_that_queued_all_before_its_start_opens_at_full_rate() {
    let mut plan = storm(50.0, 60.0, EVEN_40, told);
    let open = plan.room.clone();
    plan.room.rules.open = false;
    plan.upsets.push((60_000, Upset::Change(Box::new(open))));
    let (world, _) = measure("opened after a minute", plan, WARM_UP);
    let granted = |until: Millis| world.watch.grants.iter().filter(|&&at| at < until).count() as f64;
    println!("    {} in the first 10 s, {} in the next", granted(70_000), granted(80_000) - granted(70_000));
    assert!(granted(60_000) == 0.0 && granted(70_000) >= 0.9 * 500.0 && granted(80_000) >= 0.95 * 1_000.0);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "what a step costs is measured, not simulated")]
fn a_million_waiting_cost_no_more_per_step_than_a_thousand() {
    let rules = Rules { rate: 10.0, ..Rules::per_minute(600) };
    let cost = |waiting: u64| {
        let mut line = Line::new(START);
        line.apply(&rules, &Batch { joins: waiting, ..Batch::default() }, START);
        let steps = (1..=500).map(|step| {
            let view = line.view();
            let serving = view.segments.open.serving;
            let claims = (serving.saturating_sub(20)..=serving).collect();
            let batch = Batch { claims, joins: 1, ..Batch::default() };
            let begun = std::time::Instant::now();
            line.apply(&rules, &batch, START + step * 20);
            begun.elapsed()
        });
        let mut steps: Vec<_> = steps.collect();
        steps.sort_unstable();
        steps[steps.len() / 2]
    };
    let (few, many) = (cost(1_000), cost(1_000_000));
    println!("median step: {few:?} with 1,000 waiting, {many:?} with 1,000,000");
    assert!(many <= few * 3, "{many:?} against {few:?}");
}
