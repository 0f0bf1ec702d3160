//! Each way to cheat that `docs/design/draw.md` names, as far as it needs no sockets.

use policy::draw::beacon::BadSignature;
use policy::draw::history::split;
use policy::draw::record::Void;
use policy::draw::verify::{Pending, Place};
use policy::permutation::Permutation;

use super::*;

/// Draws over which a gain is measured.
const DRAWS: u64 = 400;
/// Five standard deviations of a mean of so many places, which are uniform from 0 to 1.
const CHANCE: f64 = 5.0 * 0.288_675 / 20.0;

/// A draw of its own: another event has another `K`.
fn nth(method: Method, nth: u64) -> Draw {
    Draw::of(&format!("e-{nth}"), OPENED, method)
}

fn opened(draw: &Draw) -> &Opened {
    match &draw.records[0].body {
        Body::Opened(opened) => opened,
        other => panic!("{other:?}"),
    }
}

/// The place of number 0 among `count`, from 0 to 1, with this seed.
fn share(seed: Hash, count: u64) -> f64 {
    Permutation::new(seed.0, count).place(0).expect("below the count") as f64 / count as f64
}

/// The count from 1,000 on, of as many as the insider can try, that promises number 0 the best place; and that place.
fn best(tries: u64, seed: impl Fn(u64) -> Hash) -> (u64, f64) {
    let promised = (1_000..1_000 + tries).map(|count| (count, share(seed(count), count)));
    promised.min_by(|(_, one), (_, other)| one.total_cmp(other)).expect("one at least")
}

/// The mean place of an insider who knows `K`, chooses the count by what `guess` makes of a draw, and gets what becomes of it.
fn insider(tries: u64, method: Method, seed: impl Fn(&Draw, &Frozen, bool) -> Hash) -> f64 {
    let place = |draw: Draw| {
        let frozen = |count| draw.freeze_of(None, FREEZE, count);
        let (count, _) = best(tries, |count| seed(&draw, &frozen(count), true));
        share(seed(&draw, &frozen(count), false), count)
    };
    (0..DRAWS).map(|event| place(nth(method, event))).sum::<f64>() / DRAWS as f64
}

#[test]
fn who_knows_k_gains_nothing_with_a_beacon() {
    let chain = Chain::of(1);
    let round = round(&chain);
    // The insider knows all that is out before the freeze, and guesses that the next public number is like the last.
    let [last, next] = [round - 5, round].map(|round| chain.sign(round));
    let seed = |draw: &Draw, frozen: &Frozen, guess: bool| {
        let frozen = Frozen { round, ..frozen.clone() };
        freeze::seed(opened(draw), &frozen, Some(if guess { &last } else { &next }))
    };
    for tries in [1, 10, 100] {
        let mean = insider(tries, chain.method(), seed);
        println!("beacon, K known, {tries} counts to choose from: mean place {:.1} %", 100.0 * mean);
        assert!((mean - 0.5).abs() < CHANCE, "{tries} tries: {mean}");
    }
}

#[test]
fn who_knows_k_without_a_beacon_chooses_the_place_and_the_verdict_is_never_proved() {
    let seed = |draw: &Draw, frozen: &Frozen, _guess: bool| freeze::seed(opened(draw), frozen, None);
    let gained = [1, 10, 100].map(|tries| {
        let mean = insider(tries, Method::CommitOnly, seed);
        println!("commit_only, K known, {tries} counts to choose from: mean place {:.1} %", 100.0 * mean);
        mean
    });
    assert!((gained[0] - 0.5).abs() < CHANCE, "one try is a draw: {gained:?}");
    assert!(gained[1] < 0.15 && gained[2] < 0.03, "this is what commit_only does not prevent: {gained:?}");

    let chain = Chain::of(1);
    let proof = Draw::opened(Method::CommitOnly).counted(OPENED + 10_000, 9).frozen(None, FREEZE, 9).proof(vec![]);
    assert!(matches!(verdict(&chain, &proof), Verdict::CommitOnly(drawn) if drawn.count() == 9));
}

#[test]
fn who_blocks_the_beacon_can_wait_or_declare_the_draw_void_and_nothing_else() {
    let chain = Chain::of(1);
    let (round, due) = (round(&chain), chain.beacon.due(round(&chain)).expect("a time"));
    let blocked = complete(&chain, 100).proof(vec![]);
    assert!(
        matches!(verdict(&chain, &blocked), Verdict::Pending(Pending::Round { round: told, due: at }) if told == round && at == due)
    );

    // A draw with a beacon cannot be finished without one.
    let without = Draw::opened(chain.method()).frozen(None, FREEZE, 100).proof(vec![]);
    assert_eq!(refused(&chain, &without), Why::Round { told: 0, due: round });
    // Nor opened again without one.
    let again = Draw::opened(Method::CommitOnly).records.remove(0).body;
    assert_eq!(refused(&chain, &complete(&chain, 100).with(FREEZE + 1, again).proof(vec![])), Why::OpenedTwice);

    let void = |draw: Draw, time| {
        let k = draw.secret.k;
        draw.with(time, Body::Void(Void { reason: "no beacon".to_owned(), k }))
    };
    for (time, known) in [(due - 1, false), (due, true)] {
        let draw = void(complete(&chain, 100), time).proof(vec![]);
        let Verdict::Void(voided) = verdict(&chain, &draw) else { panic!("not void") };
        assert_eq!((voided.after_outcome, voided.would_be.is_some()), (known, false), "at {time}");
    }
    // What would have been is known once the number is, whatever the operator does.
    let draw = void(complete(&chain, 100), due).proof(vec![chain.round(round)]);
    let Verdict::Void(voided) = verdict(&chain, &draw) else { panic!("a void draw is never proved") };
    let would_be = voided.would_be.expect("the number is out");
    let real = proved(&chain, &complete(&chain, 100).proof(vec![chain.round(round)]));
    assert!((0..100).all(|number| would_be.place(number) == real.place(number)));
    assert_eq!(refused(&chain, &void(void(complete(&chain, 9), due), due).proof(vec![])), Why::AfterVoid);
}

#[test]
fn k_is_out_with_the_freeze_so_a_disliked_order_cannot_be_kept_back() {
    let chain = Chain::of(1);
    let records = complete(&chain, 100).records;
    // The public number, which anyone has, is all that is missing: nothing of the operator's.
    let drawn = proved(&chain, &Proof::new(records, vec![chain.round(round(&chain))]));
    assert!(matches!(drawn.place(99), Place::Drawn(place) if place < 100));
}

#[test]
fn a_round_that_is_late_wrong_or_forged_is_refused() {
    let chain = Chain::of(1);
    let round = round(&chain);
    let with = |rounds| complete(&chain, 100).proof(rounds);
    let wrong = |why| Why::RoundSignature { round, why };
    for other in [round - 1, round + 1] {
        let relabelled = Round { round, signature: chain.sign(other) };
        assert_eq!(refused(&chain, &with(vec![relabelled])), wrong(BadSignature::Wrong), "{other} as {round}");
        assert_eq!(refused(&chain, &with(vec![chain.round(other)])), Why::OtherRound(other));
    }
    let foreign = Round { round, signature: Chain::of(2).sign(round) };
    assert_eq!(refused(&chain, &with(vec![foreign])), wrong(BadSignature::Wrong));
    let noise = Round { round, signature: Hex([9; 48]) };
    assert_eq!(refused(&chain, &with(vec![noise])), wrong(BadSignature::NoPoint));
    assert_eq!(refused(&chain, &with(vec![chain.round(round); 2])), Why::OtherRound(round), "twice");
    let commit_only = Draw::opened(Method::CommitOnly).frozen(None, FREEZE, 9).proof(vec![chain.round(round)]);
    assert_eq!(refused(&chain, &commit_only), Why::OtherRound(round));
}

#[test]
fn a_round_that_the_operator_chose_is_refused() {
    let chain = Chain::of(1);
    let due = round(&chain);
    for told in [due - 4, due - 1, due + 1, 0, u64::MAX] {
        let draw = Draw::opened(chain.method());
        let frozen = Frozen { round: told, ..draw.freeze_of(Some(&chain.beacon), FREEZE, 100) };
        let proof = draw.with(FREEZE, Body::Frozen(frozen)).proof(vec![]);
        assert_eq!(refused(&chain, &proof), Why::Round { told, due });
    }
}

#[test]
fn a_beacon_of_the_operators_own_is_none() {
    let [public, own] = [Chain::of(1), Chain::of(2)];
    let proof = complete(&own, 100).proof(vec![own.round(round(&own))]);
    assert_eq!(refused(&public, &proof), Why::Beacon(own.beacon.chain));
}

#[test]
fn a_store_whose_clock_is_10_s_slow_does_not_lead_to_a_number_that_is_out() {
    let chain = Chain::of(1);
    let (store, right) = (FREEZE, FREEZE + 10_000);
    let latest_clock = freeze::latest_clock(store, [right, right - 20, store]);
    let draw = Draw::opened(chain.method());
    let frozen = Frozen {
        latest_clock,
        round: freeze::round(&chain.beacon, latest_clock),
        ..draw.freeze_of(Some(&chain.beacon), store, 100)
    };
    let round = frozen.round;
    assert!(chain.beacon.due(round).expect("a time") >= right + freeze::MARGIN);
    let draw = draw.with(store, Body::Frozen(frozen.clone()));
    assert_eq!(proved(&chain, &draw.proof(vec![chain.round(round)])).count(), 100);
    // A clock that is said to be before the freeze itself.
    let early = Frozen { latest_clock: FREEZE - 1, ..frozen };
    let proof = Draw::opened(chain.method()).with(FREEZE, Body::Frozen(early)).proof(vec![]);
    assert_eq!(refused(&chain, &proof), Why::Clock);
}

#[test]
fn a_count_that_changes_after_the_freeze_is_refused() {
    let chain = Chain::of(1);
    let again = |draw: Draw, count| draw.frozen(Some(&chain.beacon), FREEZE + 3_000, count).proof(vec![]);
    let twice = Why::FrozenTwice { told: 0, frozen: 100 };
    for count in [99, 100, 101] {
        assert_eq!(refused(&chain, &again(complete(&chain, 100), count)), twice, "{count}");
    }
    // Less than was counted before.
    let fewer = Draw::opened(chain.method()).counted(OPENED, 100).frozen(Some(&chain.beacon), FREEZE, 99).proof(vec![]);
    assert_eq!(refused(&chain, &fewer), Why::Fewer { told: 99, before: 100 });
    // In the record itself, by who has no key.
    let mut proof = complete(&chain, 100).proof(vec![]);
    let last = proof.records.last_mut().expect("the freeze");
    let Body::Frozen(frozen) = &mut last.body else { panic!("{last:?}") };
    frozen.count = 101;
    assert_eq!(refused(&chain, &proof), Why::Signature);
}

#[test]
fn two_histories_part_at_a_record_of_which_both_are_signed() {
    let chain = Chain::of(1);
    let shown =
        |count| Draw::opened(chain.method()).counted(OPENED + 10_000, 50).frozen(Some(&chain.beacon), FREEZE, count);
    let [one, other] = [100, 101].map(|count| shown(count).proof(vec![chain.round(round(&chain))]));
    // Each alone is a proof: only who has both, or kept a record of one, can tell.
    assert_eq!([&one, &other].map(|proof| proved(&chain, proof).count()), [100, 101]);
    assert_eq!(split(&one.records, &other.records), Some(2));
    assert_eq!(split(&one.records, &one.records[..2]), None, "an earlier copy of the same");
    // Mixed, they are none.
    let mixed = [&one.records[..], &other.records[2..]].concat();
    assert_eq!(refused(&chain, &Proof::new(mixed, vec![])), Why::Previous);
}

#[test]
fn a_history_that_was_made_up_afterwards_is_found_out_by_any_record_of_it_that_was_kept() {
    let chain = Chain::of(1);
    let published = complete(&chain, 100);
    // With the public number in hand the operator looks for a time of opening, and so for a K, that suits number 0.
    let number = chain.sign(round(&chain));
    let made_up = (1..2_000)
        .map(|before| Draw::of(EVENT, OPENED - before, chain.method()).frozen(Some(&chain.beacon), FREEZE, 100));
    let suits = |draw: &Draw| {
        let frozen = draw.freeze_of(Some(&chain.beacon), FREEZE, 100);
        share(freeze::seed(opened(draw), &frozen, Some(&number)), 100) == 0.0
    };
    let made_up = made_up.into_iter().find(suits).expect("one of 2,000");
    let rounds = vec![Round { round: round(&chain), signature: number }];
    assert_eq!(proved(&chain, &Proof::new(made_up.records.clone(), rounds)).place(0), Place::Drawn(0));
    // No hash of it was ever shown.
    for kept in &published.records {
        assert!(made_up.records.iter().all(|record| record.hash() != kept.hash()));
    }
    assert_eq!(split(&made_up.records, &published.records), Some(0));
}

#[test]
fn two_gateways_that_freeze_apart_make_one_freeze_or_a_refusal() {
    let chain = Chain::of(1);
    let before = || Draw::opened(chain.method()).counted(OPENED + 10_000, 90);
    let [one, other] = [100, 103].map(|count| before().frozen(Some(&chain.beacon), FREEZE, count).records.remove(2));
    let both = [before().records, vec![one.clone(), other.clone()]].concat();
    assert_eq!(refused(&chain, &Proof::new(both, vec![])), Why::Previous);
    for record in [one, other] {
        let alone = [before().records, vec![record]].concat();
        assert_eq!(proved(&chain, &Proof::new(alone, vec![chain.round(round(&chain))])).groups.len(), 1);
    }
}

#[test]
fn a_freeze_before_the_published_time_is_refused() {
    let chain = Chain::of(1);
    let early = Draw::opened(chain.method()).frozen(Some(&chain.beacon), FREEZE - 1, 100).proof(vec![]);
    assert_eq!(refused(&chain, &early), Why::TooEarly(1));
}

#[test]
fn a_start_may_be_put_off_and_brought_forward_only_where_that_cannot_choose_the_order() {
    let chain = Chain::of(1);
    let moved = |draw: Draw, freeze| draw.with(OPENED + 1_000, Body::Moved(Times { freeze, start: freeze + 30_000 }));
    let at = |method, freeze| moved(Draw::opened(method), freeze);
    for method in [chain.method(), Method::CommitOnly] {
        let beacon = (method != Method::CommitOnly).then_some(&chain.beacon);
        let later = at(method, FREEZE + 60_000).frozen(beacon, FREEZE + 60_000, 9).proof(vec![]);
        assert!(!checked(&chain, &later).expect("put off").history.moved_forward);
        let as_before = at(method, FREEZE + 60_000).frozen(beacon, FREEZE, 9).proof(vec![]);
        assert_eq!(refused(&chain, &as_before), Why::TooEarly(60_000));
        let after = moved(Draw::opened(method).frozen(beacon, FREEZE, 9), FREEZE + 60_000);
        assert_eq!(refused(&chain, &after.proof(vec![])), Why::Time(FREEZE - OPENED - 1_000));
    }
    let forward = at(chain.method(), OPENED + 2_000).frozen(Some(&chain.beacon), OPENED + 2_000, 9).proof(vec![]);
    assert!(checked(&chain, &forward).expect("with a beacon").history.moved_forward, "and it is told");
    let forward = at(Method::CommitOnly, OPENED + 2_000).proof(vec![]);
    assert_eq!(refused(&chain, &forward), Why::MovedForward);
    let past = at(chain.method(), OPENED).proof(vec![]);
    assert_eq!(refused(&chain, &past), Why::Times);
    let times = Body::Moved(Times { freeze: FREEZE + 9_000, start: FREEZE + 9_000 });
    assert_eq!(refused(&chain, &complete(&chain, 9).with(FREEZE + 1, times).proof(vec![])), Why::MovedAfterFreeze);
}

#[test]
fn a_join_in_the_second_of_the_freeze_stands_behind_or_is_drawn_and_never_both() {
    let chain = Chain::of(1);
    let draw = complete(&chain, 100).counted(FREEZE + 500, 104);
    let drawn = proved(&chain, &draw.proof(vec![chain.round(round(&chain))]));
    let places: Vec<Place> = (0..104).map(|number| drawn.place(number)).collect();
    let expected = |place| if place < 100 { Place::Drawn(place) } else { Place::Arrival(place) };
    assert!((0..104).all(|place| places.iter().filter(|&&given| given == expected(place)).count() == 1));
}

#[test]
fn those_who_are_numbered_late_have_a_public_number_of_their_own() {
    let chain = Chain::of(1);
    let first = round(&chain);
    let late = FREEZE + 20_000;
    let second = freeze::round(&chain.beacon, late);
    let with_late = |count| {
        let draw = complete(&chain, 100);
        let frozen = Frozen { first: 100, ..draw.freeze_of(Some(&chain.beacon), late, count) };
        draw.with(late, Body::Frozen(frozen))
    };
    // Their count is chosen when the first number is out: it changes nothing for those before, nor can it choose among them.
    assert!(chain.beacon.due(second).expect("a time") >= late + freeze::MARGIN);
    let waiting = proved(&chain, &with_late(7).proof(vec![chain.round(first)]));
    assert_eq!((waiting.place(103), waiting.place(107)), (Place::Unknown, Place::Arrival(107)));
    let drawn = proved(&chain, &with_late(7).proof(vec![chain.round(first), chain.round(second)]));
    assert!((0..100).all(|number| drawn.place(number) == waiting.place(number)));
    for place in 100..107 {
        let holders = (100..107).filter(|&number| drawn.place(number) == Place::Drawn(place)).count();
        assert_eq!(holders, 1, "{place}");
    }
    let inside = complete(&chain, 100);
    let frozen = Frozen { first: 99, ..inside.freeze_of(Some(&chain.beacon), late, 7) };
    let inside = inside.with(late, Body::Frozen(frozen)).proof(vec![]);
    assert_eq!(refused(&chain, &inside), Why::FrozenTwice { told: 99, frozen: 100 });
}

#[test]
fn k_of_another_event_does_not_open_the_commitment() {
    let chain = Chain::of(1);
    let other = Secret::derive(&SECRET, ROOM, "e-2", OPENED).expect("a key");
    let draw = Draw::opened(chain.method());
    let frozen = Frozen { k: other.k, ..draw.freeze_of(Some(&chain.beacon), FREEZE, 9) };
    assert_eq!(refused(&chain, &draw.with(FREEZE, Body::Frozen(frozen)).proof(vec![])), Why::Commitment);
    let void = Body::Void(Void { reason: String::new(), k: other.k });
    assert_eq!(refused(&chain, &complete(&chain, 9).with(FREEZE + 1, void).proof(vec![])), Why::Commitment);
    // The same K in another room or event has another commitment.
    let k = other.k;
    assert_ne!(commitment("launc", "he-2", &k), commitment("launch", "e-2", &k));
}

#[test]
fn an_old_proof_says_which_event_it_is_of_and_cannot_be_made_to_say_another() {
    let chain = Chain::of(1);
    let proof = complete(&chain, 100).proof(vec![chain.round(round(&chain))]);
    let told = checked(&chain, &proof).expect("a proof").history.opened;
    assert_eq!((told.room.as_str(), told.event.as_str()), (ROOM, EVENT));
    let mut relabelled = proof.clone();
    let Body::Opened(opened) = &mut relabelled.records[0].body else { panic!("no first record") };
    opened.event = "e-2".to_owned();
    assert_eq!(refused(&chain, &relabelled), Why::Signature);
}

#[test]
fn an_event_that_is_deleted_and_made_anew_has_another_k_and_names_the_draw_that_was_dropped() {
    let chain = Chain::of(1);
    let dropped = complete(&chain, 100);
    let k = dropped.secret.k;
    let dropped = dropped.with(FREEZE + 1, Body::Void(Void { reason: "deleted".to_owned(), k }));
    let anew = Draw::of(EVENT, OPENED + 90_000, chain.method());
    assert_ne!(anew.secret.k, k, "under the same id");
    assert_ne!(anew.secret.public_key(), dropped.secret.public_key());
    let times = Times { freeze: FREEZE + 90_000, start: FREEZE + 120_000 };
    let body = Body::Opened(Opened { after: dropped.head(), times, ..opened(&anew).clone() });
    let anew = Draw { records: Vec::new(), ..anew }.with(OPENED + 90_000, body);
    let told = checked(&chain, &anew.proof(vec![])).expect("a draw that waits").history;
    assert_eq!(told.opened.after, dropped.head());
    // What was published of the dropped one does not lead into the new one.
    let told = checked(&chain, &dropped.proof(vec![chain.round(round(&chain))])).expect("a proof").verdict;
    assert!(matches!(told, Verdict::Void(voided) if voided.reason == "deleted" && voided.would_be.is_some()));
}

#[test]
fn the_secret_of_a_draw_is_found_again_after_keys_have_rotated() {
    let chain = Chain::of(1);
    let draw = Draw::opened(chain.method());
    let found = Secret::of_draw([&[9; 32][..], &SECRET[..]], opened(&draw), OPENED).expect("the older secret");
    assert_eq!((found.k, found.public_key()), (draw.secret.k, draw.secret.public_key()));
    assert!(Secret::of_draw([&[9; 32][..]], opened(&draw), OPENED).is_none());
    assert!(!format!("{found:?}").contains(&found.k.to_string()), "it is not written to a log");
}
