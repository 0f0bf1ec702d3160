//! Both sides of a lease, one against the other.

use proptest::prelude::*;

use super::*;
use crate::segment::Segment;

const T0: Millis = 1_800_000_000_000;

fn rules(rate: f64) -> Rules {
    Rules { rate, burst: rate.max(1.0), ..Rules::per_minute(60) }
}

/// Gateways that ask in turn every 100 ms until their leases have settled.
fn settled(gateways: u32, rules: &Rules, free: Option<u64>) -> (LeaseTable, Vec<HeldLease>, Millis) {
    let (mut leases, mut now) = (LeaseTable::default(), T0);
    let mut lendings: Vec<HeldLease> = (0..gateways).map(|_| HeldLease::default()).collect();
    let mut answers = vec![0; gateways as usize];
    for _ in 0..8 {
        now += 100;
        leases.advance(100, free);
        for (gateway, lending) in (0..).zip(&mut lendings) {
            leases.hears(gateway, lending.recall().0, answers[gateway as usize]);
            lending.note(Some(leases.lend(gateway, rules, free, now)), now);
            answers[gateway as usize] = now;
        }
    }
    (leases, lendings, now)
}

#[test]
fn every_gateway_holds_an_equal_share_of_the_rate_and_of_half_the_free_seats() {
    let (leases, lendings, _) = settled(3, &rules(30.0), Some(60));
    for lending in &lendings {
        assert_eq!(lending.lease, Some(Lease { share: 10.0, seats: Some(10) }));
    }
    assert_eq!((leases.holders(), leases.seats()), (3, 30));
}

#[test]
fn a_gateway_alone_holds_the_whole_rate_and_two_of_a_slow_room_hold_nothing() {
    assert_eq!(settled(1, &rules(1.0), None).1[0].lease, Some(Lease { share: 0.0, seats: None }));
    let burst = Rules { burst: 2.0, ..rules(1.0) };
    assert_eq!(settled(1, &burst, None).1[0].lease, Some(Lease { share: 1.0, seats: None }));
    assert!(settled(2, &burst, None).1.iter().all(|lending| lending.lease.is_some_and(|lease| lease.share < 1e-9)));
}

#[test]
fn a_silent_gateway_is_left_out_before_it_begins_to_spend() {
    let rules = rules(30.0);
    let (leases, lendings, now) = settled(3, &rules, None);
    let aside = |at| leases.aside(at, rules.rate).share;
    // The last answer that they have confirmed.
    let heard = now - 100;
    assert!(aside(heard + SILENT - 1).abs() < 1e-9 && aside(heard + SILENT) >= 30.0 - 1e-9);
    assert!(!lendings[0].is_on(now + SILENT) && lendings[0].is_on(now + BEGIN));
}

#[test]
fn a_gateway_gives_its_share_lowest_first_until_its_lease_ends_and_not_a_token_more() {
    let rules = rules(30.0);
    let (_, mut lendings, now) = settled(3, &rules, None);
    let lending = &mut lendings[0];
    let (mut line, mut given) = (1_u64.., Vec::new());
    for at in (now..now + 2 * LEASE).step_by(50) {
        let claimants: Vec<u64> = line.by_ref().take(4).collect();
        let granted = lending.grant(&rules, claimants.iter().copied(), at);
        assert!(granted.iter().map(|(n, _)| n).eq(claimants.iter().take(granted.len())));
        assert!(granted.iter().all(|(_, expires)| *expires == at + rules.session));
        given.extend(granted.iter().map(|_| at));
    }
    let most = 10 * (LEASE - BEGIN) as usize / 1_000;
    assert!((most - 1..=most + 1).contains(&given.len()), "{} given", given.len());
    assert!(given[0] > now + BEGIN && given[given.len() - 1] < now + LEASE);
}

#[test]
fn the_bucket_of_a_lease_saves_up_for_a_tenth_of_a_second_only() {
    let rules = rules(30.0);
    let (_, mut lendings, now) = settled(3, &rules, None);
    assert_eq!(lendings[0].grant(&rules, 1..100, now + 20_000).len(), 2);
}

#[test]
fn a_gateway_gives_no_more_passes_than_it_was_lent_seats() {
    let rules = rules(30.0);
    let (_, mut lendings, now) = settled(3, &rules, Some(24));
    let given: usize = (now..now + LEASE).step_by(50).map(|at| lendings[1].grant(&rules, 1..9, at).len()).sum();
    assert_eq!(given, 4);
    assert_eq!(lendings[1].recall().0.and_then(|held| held.lease.seats), Some(0));
}

#[test]
fn nobody_is_let_into_a_room_that_is_closed() {
    let (_, mut lendings, now) = settled(1, &rules(30.0), None);
    let closed = Rules { open: false, ..rules(30.0) };
    assert_eq!(lendings[0].grant(&closed, 1..9, now + 2_000), []);
}

#[test]
fn what_was_given_is_told_until_an_answer_has_heard_it() {
    let rules = rules(30.0);
    let (_, mut lendings, now) = settled(1, &rules, None);
    let lending = &mut lendings[0];
    let first = lending.grant(&rules, [7], now + 2_000);
    assert_eq!(lending.recall().1, first);
    assert_eq!(lending.recall().1, first, "the answer was lost");
    let second = lending.grant(&rules, [9], now + 2_100);
    lending.note(Some(Lease { share: 30.0, seats: Some(5) }), now + 2_200);
    assert_eq!(
        lending.recall(),
        (Some(LeaseReport { lease: Lease { share: 30.0, seats: Some(4) }, spent: true }), second)
    );
    lending.note(Some(Lease { share: 30.0, seats: Some(4) }), now + 2_300);
    assert_eq!(
        lending.recall(),
        (Some(LeaseReport { lease: Lease { share: 30.0, seats: Some(4) }, spent: false }), vec![])
    );
}

#[test]
fn a_gateway_that_was_cut_off_is_left_out_until_it_has_confirmed_an_answer_after_the_cut() {
    let rules = rules(30.0);
    let (mut leases, mut lendings, now) = settled(2, &rules, None);
    let lending = &mut lendings[0];
    let back = now + 5_000;
    lending.grant(&rules, [7], back);
    leases.hears(1, lendings[1].recall().0, back - 50);
    leases.hears(0, lendings[0].recall().0, now);
    let aside = |leases: &LeaseTable| (leases.aside(back + 100, rules.rate).share - 15.0).abs() < 1e-9;
    assert!(aside(&leases));
    let lease = leases.lend(0, &rules, None, back);
    assert!(aside(&leases));
    lendings[0].note(Some(lease), back);
    leases.hears(0, lendings[0].recall().0, back);
    assert!(aside(&leases), "it may have given passes while the answer was on its way");
    lendings[0].note(Some(leases.lend(0, &rules, None, back + 100)), back + 100);
    leases.hears(0, lendings[0].recall().0, back + 100);
    assert!(leases.aside(back + 200, rules.rate).share.abs() < 1e-9);
}

#[test]
fn after_a_loss_only_the_shares_of_those_who_have_told_are_used_until_the_leases_of_the_others_end() {
    let rules = rules(30.0);
    let (mut leases, mut lendings, now) = settled(3, &rules, Some(60));
    leases.lose();
    leases.remembers(3);
    let aside = |leases: &LeaseTable| leases.aside(now + 100, rules.rate).share;
    assert!(aside(&leases) >= 30.0 - 1e-9);
    for gateway in [0, 2] {
        leases.hears(gateway, lendings[gateway as usize].recall().0, now);
        leases.lend(gateway, &rules, Some(60), now + 100);
    }
    assert!((aside(&leases) - 10.0).abs() < 1e-9);
    assert_eq!(leases.seats(), u64::MAX, "nobody knows which seats the third may give");
    let mut all = leases.clone();
    all.hears(1, lendings[1].recall().0, now);
    assert!(aside(&all).abs() < 1e-9 && all.seats() == 30);
    assert_eq!(leases.advance(KEPT, Some(41)), 41, "twenty of those who told, and half of what is nobody's");
    assert!(leases.aside(now + KEPT, rules.rate).share.abs() < 1e-9);
    lendings[0].note(Some(leases.lend(0, &rules, Some(60), now + KEPT)), now + KEPT);
    assert_eq!(lendings[0].lease, Some(Lease { share: 30.0, seats: Some(30) }));
}

#[test]
fn the_pointer_of_a_lease_moves_on_at_the_last_speed_up_to_the_last_number_and_stops_with_the_lease() {
    let (_, lendings, now) = settled(1, &rules(30.0), None);
    let at = |after| {
        let segments = Segments::from(Segment { base: 0, next: 500, serving: 100 });
        lendings[0].called(&segments, 12.5, now + after).open.serving
    };
    assert_eq!([at(0), at(1_000), at(10_000), at(LEASE), at(2 * LEASE)], [100, 112, 225, 475, 475]);
}

/// An event at one gateway at one moment.
#[derive(Debug, Clone)]
enum Turn {
    Asks,
    AsksAndHearsNothing,
    Dies,
    StoreLoses,
}

fn turns() -> impl Strategy<Value = Vec<(u32, Millis, Turn)>> {
    let turn = prop_oneof![
        12 => Just(Turn::Asks), 3 => Just(Turn::AsksAndHearsNothing), 1 => Just(Turn::Dies), 1 => Just(Turn::StoreLoses)
    ];
    let after = prop_oneof![6 => 1..120_u64, 2 => 120..1_500_u64, 1 => 1_500..50_000_u64];
    prop::collection::vec((0..4_u32, after, turn), 1..200)
}

proptest! {
    #[test]
    fn shares_that_can_be_spent_never_add_up_to_more_than_the_rate(turns in turns(), rate in 1.0..200.0_f64, seats in 0..100_u64) {
        let rules = rules(rate);
        let (mut leases, mut now, mut next) = (LeaseTable::default(), T0, 100);
        let mut gateways: BTreeMap<u32, (u32, HeldLease, Millis)> = BTreeMap::new();
        // The passes given by a gateway that died are unknown; it may as well be cut off.
        let mut cut: Vec<(HeldLease, Millis)> = Vec::new();
        for (slot, after, turn) in turns {
            now += after;
            leases.advance(after.min(1_000), Some(seats));
            let (id, lending, answered) = gateways.entry(slot).or_insert_with(|| { next += 1; (next, HeldLease::default(), 0) });
            match turn {
                Turn::StoreLoses => {
                    // A gateway of that time remembers how many they were.
                    let before = leases.holders();
                    leases.lose();
                    leases.remembers(before);
                }
                Turn::Dies => {
                    let (_, lending, answered) = gateways.remove(&slot).unwrap();
                    cut.push((lending, answered));
                }
                Turn::Asks | Turn::AsksAndHearsNothing => {
                    leases.hears(*id, lending.recall().0, *answered);
                    let lease = leases.lend(*id, &rules, Some(seats), now);
                    if matches!(turn, Turn::Asks) {
                        lending.note(Some(lease), now);
                        *answered = now;
                    }
                }
            }
            let all = gateways.values().map(|(_, lending, answered)| (lending, *answered))
                .chain(cut.iter().map(|(lending, answered)| (lending, *answered)));
            let live: Vec<Lease> = all.filter(|(_, answered)| now < answered + LEASE).filter_map(|(l, _)| l.lease).collect();
            let share: f64 = live.iter().map(|lease| lease.share).sum();
            let held: f64 = live.iter().map(|lease| hold(lease.share)).sum();
            let lent: u64 = live.iter().filter_map(|lease| lease.seats).sum();
            prop_assert!(share <= rate * (1.0 + 1e-9), "{share} of {rate}");
            prop_assert!(held <= rules.burst * (1.0 + 1e-9), "{held} held, {} may be", rules.burst);
            prop_assert!(lent <= seats, "{lent} of {seats} seats");
        }
    }
}

#[test]
fn a_gateway_that_has_not_heard_of_a_change_is_bounded_by_what_it_may_hold() {
    let room = |fail_mode| Room { fail_mode, ..Room::new(Rules::per_minute(600)) };
    let told = |room: &Room| unheard(room, 1_000, 11_000);
    assert_eq!(told(&room(FailMode::Closed)), Unheard::NoMore);
    assert_eq!(told(&room(FailMode::Open)), Unheard::All);
    assert_eq!(told(&room(FailMode::Static)), Unheard::UpTo { most: 202, until: 31_000 });
    assert_eq!(unheard(&room(FailMode::Static), 1_000, 31_000), Unheard::NoMore, "its lease is over");
    let (mut few, mut paused) = (room(FailMode::Static), room(FailMode::Open));
    (few.rules.total_active_users, paused.rules.open) = (Some(7), false);
    assert_eq!((told(&few), told(&paused)), (Unheard::UpTo { most: 7, until: 31_000 }, Unheard::NoMore));
}
