//! Rooms that live on leases while gateways are cut off from the store: the whole machinery in virtual time.
//!
//! A failing seed is printed. `WEIR_SIM_SEED=n cargo test -p policy --test launches leases::` runs it alone, `WEIR_SIM_SEEDS=n` the first n.

use std::sync::atomic::{AtomicU64, Ordering};

use policy::Millis;
use policy::room::{FailMode, Room};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use crate::sim::crowd::{Exit, Habit, Person};
use crate::sim::{Plan, Upset, World, crowd_between, per_second};

const SEEDS: u64 = 256;
/// Misfortunes happen before this instant.
const STORM: Millis = 70_000;

fn lending(rate: f64) -> Room {
    let rules = per_second(rate);
    Room { fail_mode: FailMode::Static, ..Room::new(policy::room::Rules { lends: true, ..rules }) }
}

/// Shoppers who come within a second and poll as told.
fn crowd(seed: u64, count: usize) -> Vec<Person> {
    crowd_between(&mut SmallRng::seed_from_u64(seed), count, (1_000, 2_000), |_, _| Habit::Told)
}

/// A crowd at three gateways, the first of which is cut off for 25 s.
fn cut(room: Room, upsets: Vec<(Millis, Upset)>) -> World {
    World::run(Plan { room, gateways: 3, crowd: crowd(7, 2_400), upsets, ..Plan::calm(7, per_second(30.0)) })
}

fn granted_between(world: &World, from: Millis, to: Millis) -> usize {
    world.watch.grants.iter().filter(|&&at| from <= at && at < to).count()
}

#[test]
fn whoever_is_cut_off_with_a_gateway_enters_at_its_share_and_the_limits_hold() {
    let world = cut(lending(30.0), vec![(20_000, Upset::Cut(0, 25_000, false))]);
    // 10 a second for 24 s here, and until the gateway asks the store again, which it leaves alone for up to 0.6 s after it
    // failed; 20 a second there.
    assert!((220..=248).contains(&world.watch.lent), "{} by the lease", world.watch.lent);
    let all = granted_between(&world, 22_000, 44_000);
    assert!((627..=661).contains(&all), "{all} of 660 while the gateway was cut off");
    assert!(world.watch.overshoot < 1e-6);
}

#[test]
fn a_room_that_is_closed_instead_gives_nothing_to_those_who_are_cut_off() {
    let world = cut(Room::new(per_second(30.0)), vec![(20_000, Upset::Cut(0, 25_000, false))]);
    assert_eq!(world.watch.lent, 0);
}

#[test]
fn when_the_store_is_gone_for_all_each_gateway_gives_its_share_for_as_long_as_its_lease() {
    let world = cut(lending(30.0), vec![(20_000, Upset::Away(40_000))]);
    // 30 a second from 1 s to 30 s after the last answer.
    assert!((810..=872).contains(&world.watch.lent), "{} by leases", world.watch.lent);
    assert_eq!(granted_between(&world, 50_500, 60_000), 0, "the leases have ended");
    assert!(world.watch.overshoot < 1e-6);
}

#[test]
fn a_ticket_that_was_claimed_on_both_sides_is_counted() {
    let world = cut(lending(30.0), vec![(20_000, Upset::Cut(0, 10_000, true))]);
    let counted = world.store.line.view().second_passes;
    assert_eq!(counted, world.watch.second_passes);
}

#[test]
fn a_store_that_forgot_everything_leaves_their_shares_to_those_who_are_still_cut_off() {
    let world = cut(lending(30.0), vec![(20_000, Upset::Cut(0, 25_000, false)), (25_000, Upset::Flush)]);
    assert!(world.watch.lent >= 200, "{} by the lease", world.watch.lent);
    assert!(world.watch.overshoot < 1e-6, "{} too many", world.watch.overshoot);
}

#[test]
fn whatever_is_cut_killed_or_lost_a_room_that_lends_lets_in_no_more_than_it_may() {
    let asked = |name| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let seed = asked("WEIR_SIM_SEED");
    let seeds = seed.map_or(0..asked("WEIR_SIM_SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1);
    let next = AtomicU64::new(seeds.start);
    let lent = AtomicU64::new(0);
    let work = || {
        let mut failed = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return failed;
            }
            match std::panic::catch_unwind(|| World::run(plan(seed)).watch.lent) {
                Ok(by_lease) => drop(lent.fetch_add(by_lease, Ordering::Relaxed)),
                Err(_) => failed.push(seed),
            }
        }
    };
    let failed: Vec<u64> = std::thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
    });
    assert!(failed.is_empty(), "failing seeds: {failed:?} (WEIR_SIM_SEED=n runs one alone)");
    assert!(seed.is_some() || lent.into_inner() > 0, "no lease was ever used");
}

/// The plan of a seed.
fn plan(seed: u64) -> Plan {
    let rng = &mut SmallRng::seed_from_u64(seed);
    let rate = [1.0, 6.0, 20.0, 60.0][rng.random_range(0..4)];
    let mut room = lending(rate);
    room.rules.burst = [room.rules.burst, 1.0, 1.0 + 3.0 * rate][rng.random_range(0..3)];
    room.rules.session = [8_000, 30_000, 90_000][rng.random_range(0..3)];
    let seats = (rate * room.rules.session as f64 / 1000.0 * rng.random_range(0.3..2.0)) as u64 + 2;
    room.rules.total_active_users = rng.random_bool(0.4).then_some(seats);
    let gateways = rng.random_range(1..=4);
    let absent = [0.0, 0.4][rng.random_range(0..2)];
    let draw = |rng: &mut SmallRng, _: f64| if rng.random_bool(absent) { Habit::Absent } else { Habit::Told };
    let mut crowd = crowd_between(rng, (rate * 60.0) as usize + 20, (1_000, 20_000), draw);
    for person in &mut crowd {
        let exit = if rng.random_bool(0.5) { Exit::Silent } else { Exit::GivesBack };
        let stay = if rng.random_bool(0.3) { rng.random_range(500..20_000) } else { 0 };
        *person = person.clone().staying(stay, exit);
    }
    let mut upsets: Vec<(Millis, Upset)> =
        (0..rng.random_range(1..6)).map(|_| (rng.random_range(3_000..STORM), upset(rng, gateways))).collect();
    if rng.random_bool(0.5) {
        upsets.extend(loss_behind_a_cut(rng, gateways));
    }
    let sticky = seed.is_multiple_of(2);
    Plan { room, gateways, sticky, crowd, upsets, end: 3_600_000, ..Plan::calm(seed, per_second(rate)) }
}

/// The store loses writes while a gateway lives on its lease: then only the other gateways know the grants of leases.
fn loss_behind_a_cut(rng: &mut SmallRng, gateways: u32) -> [(Millis, Upset); 2] {
    let at = rng.random_range(3_000..STORM - 20_000);
    let loss = if rng.random_bool(0.5) { Upset::Flush } else { Upset::Lose(rng.random_range(0..2_000)) };
    let cut = Upset::Cut(rng.random_range(0..gateways), rng.random_range(10_000..45_000), rng.random_bool(0.5));
    [(at, cut), (at + rng.random_range(0..20_000), loss)]
}

fn upset(rng: &mut SmallRng, gateways: u32) -> Upset {
    let gateway = rng.random_range(0..gateways);
    match rng.random_range(0..8) {
        0 => Upset::Away(rng.random_range(500..45_000)),
        1 => Upset::Kill(gateway),
        2 => Upset::Lose(rng.random_range(0..2_000)),
        3 => Upset::Flush,
        4 => Upset::Pause(gateway, rng.random_range(1_000..10_000)),
        _ => Upset::Cut(gateway, rng.random_range(500..45_000), rng.random_bool(0.5)),
    }
}
