//! No part of a proof can be changed.

use policy::draw::proof::{MAX_PROOF, Unread};
use policy::draw::record::{MAX_NAME, Void};
use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// A proof with a record of each kind.
fn whole(chain: &Chain) -> Proof {
    let times = Times { freeze: FREEZE, start: FREEZE + 40_000 };
    let draw = Draw::opened(chain.method()).counted(OPENED + 10_000, 40).with(OPENED + 11_000, Body::Moved(times));
    let draw = draw.counted(OPENED + 20_000, 90).frozen(Some(&chain.beacon), FREEZE, 100);
    let late = FREEZE + 20_000;
    let frozen = Frozen { first: 100, ..draw.freeze_of(Some(&chain.beacon), late, 5) };
    let draw = draw.with(late, Body::Frozen(frozen));
    let second = freeze::round(&chain.beacon, late);
    draw.proof(vec![chain.round(round(chain)), chain.round(second)])
}

fn void(chain: &Chain) -> Proof {
    let draw = complete(chain, 9);
    let k = draw.secret.k;
    draw.with(FREEZE + 9, Body::Void(Void { reason: "storm".to_owned(), k })).proof(vec![chain.round(round(chain))])
}

/// Whether this text is refused, as a document or as a proof.
fn is_refused(chain: &Chain, text: &[u8]) -> bool {
    Proof::read(text).is_ok_and(|proof| checked(chain, &proof).is_err()) || Proof::read(text).is_err()
}

/// Places of all values that hold no others, as JSON pointers.
fn leaves(value: &Value, place: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| leaves(value, &format!("{place}/{key}"), found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| leaves(value, &format!("{place}/{index}"), found));
        }
        _ => found.push(place.to_owned()),
    }
}

/// Other values in place of this one.
fn altered(value: &Value) -> Vec<Value> {
    match value {
        Value::String(text) => {
            let flipped = if text.starts_with('0') { "1" } else { "0" };
            let changed = format!("{flipped}{}", text.get(1..).unwrap_or_default());
            vec![
                changed.into(),
                format!("{text}0").into(),
                text.to_uppercase().into(),
                "".into(),
                Value::Null,
                7.into(),
            ]
            .into_iter()
            .filter(|other| other != value)
            .collect()
        }
        Value::Number(number) => {
            let number = number.as_u64().expect("a whole number");
            vec![
                (number + 1).into(),
                number.saturating_sub(1).into(),
                u64::MAX.into(),
                (-1).into(),
                0.5.into(),
                "1".into(),
            ]
            .into_iter()
            .filter(|other| other != value)
            .collect()
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_field_that_is_changed_is_refused() {
    let chain = Chain::of(1);
    for proof in [whole(&chain), void(&chain)] {
        let document = serde_json::to_value(&proof).expect("a document");
        assert!(!is_refused(&chain, document.to_string().as_bytes()));
        let mut places = Vec::new();
        leaves(&document, "", &mut places);
        assert!(places.len() > 30);
        for place in &places {
            for other in altered(document.pointer(place).expect("there")) {
                let mut changed = document.clone();
                *changed.pointer_mut(place).expect("there") = other.clone();
                assert!(is_refused(&chain, changed.to_string().as_bytes()), "{place}: {other}");
            }
        }
    }
}

#[test]
fn a_field_that_is_missing_or_new_is_refused() {
    let chain = Chain::of(1);
    let document = serde_json::to_value(whole(&chain)).expect("a document");
    let mut places = Vec::new();
    leaves(&document, "", &mut places);
    for place in &places {
        let (parent, key) = place.rsplit_once('/').expect("below the root");
        let change = |to: &dyn Fn(&mut serde_json::Map<String, Value>)| {
            let mut changed = document.clone();
            to(changed.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object"));
            changed.to_string()
        };
        for changed in
            [change(&|object| drop(object.remove(key))), change(&|object| drop(object.insert("x".into(), 1.into())))]
        {
            assert!(is_refused(&chain, changed.as_bytes()), "{place}");
        }
    }
}

#[test]
fn a_record_that_is_removed_doubled_moved_or_of_another_draw_is_refused() {
    let chain = Chain::of(1);
    let proof = whole(&chain);
    let other = Draw::of("e-2", OPENED, chain.method()).counted(OPENED + 10_000, 40).records;
    let last = proof.records.len() - 1;
    let with = |change: &dyn Fn(&mut Vec<Record>)| {
        let mut changed = proof.clone();
        change(&mut changed.records);
        checked(&chain, &changed).is_err()
    };
    for at in 0..=last {
        assert!(with(&|records| drop(records.remove(at))), "{at} removed");
        assert!(with(&|records| records.insert(at, records[at].clone())), "{at} doubled");
        assert!(with(&|records| records.insert(at, other[1].clone())), "another's before {at}");
        assert!(with(&|records| records[at] = other[at.min(1)].clone()), "another's in place of {at}");
        assert!(at == last || with(&|records| records.swap(at, at + 1)), "{at} swapped with the next");
    }
    assert!(with(&|records| records.reverse()) && with(&|records| records.clear()));
}

#[test]
fn a_refusal_says_which_record_and_why() {
    let chain = Chain::of(1);
    let mut proof = whole(&chain);
    proof.records[1].body = Body::Counted { next: 41 };
    let refusal = checked(&chain, &proof).expect_err("changed");
    assert_eq!((refusal.record, &refusal.why), (Some(1), &Why::Signature));
    assert!(refusal.to_string().starts_with("record 1: its signature is not by the key"), "{refusal}");
    proof.records.remove(1);
    assert_eq!(checked(&chain, &proof).expect_err("removed").record, Some(1));
    assert_eq!(refused(&chain, &Proof::new(vec![], vec![])), Why::NoRecords);
}

#[test]
fn what_the_gateways_sign_by_mistake_is_refused_all_the_same() {
    let chain = Chain::of(1);
    let opened = || Draw::opened(chain.method());
    let first = |change: &dyn Fn(&mut Opened)| {
        let Draw { secret, mut records } = opened();
        let Body::Opened(mut body) = records.remove(0).body else { panic!("no first record") };
        change(&mut body);
        Draw { secret, records }.with(OPENED, Body::Opened(body)).proof(vec![])
    };
    assert_eq!(refused(&chain, &first(&|opened| opened.room.clear())), Why::Text);
    assert_eq!(refused(&chain, &first(&|opened| opened.event = "é".repeat(MAX_NAME))), Why::Text);
    assert_eq!(refused(&chain, &first(&|opened| opened.times.freeze = OPENED - 1)), Why::Times);
    assert_eq!(refused(&chain, &first(&|opened| opened.times.start = FREEZE - 1)), Why::Times);
    let back = opened().counted(OPENED + 9, 1).counted(OPENED + 8, 2).proof(vec![]);
    assert_eq!(refused(&chain, &back), Why::Time(1));
    let fewer = opened().counted(OPENED + 9, 2).counted(OPENED + 9, 1).proof(vec![]);
    assert_eq!(refused(&chain, &fewer), Why::Fewer { told: 1, before: 2 });
    let many = opened().counted(OPENED, u64::MAX).proof(vec![]);
    assert_eq!(refused(&chain, &many), Why::TooMany(u64::MAX));
    let headless = Draw { records: vec![], ..opened() }.counted(OPENED, 1).proof(vec![]);
    assert_eq!(refused(&chain, &headless), Why::NotOpened);
    let k = opened().secret.k;
    let wordy = opened().with(OPENED, Body::Void(Void { reason: "x".repeat(2_000), k })).proof(vec![]);
    assert_eq!(refused(&chain, &wordy), Why::Text);
}

#[test]
fn a_proof_of_10_mb_is_not_looked_at() {
    let mut text = serde_json::to_vec(&whole(&Chain::of(1))).expect("a document");
    assert!(Proof::read(&text).is_ok());
    text.resize(10_000_000, b' ');
    assert!(matches!(Proof::read(&text), Err(Unread::TooLarge)));
    text.truncate(MAX_PROOF);
    assert!(Proof::read(&text).is_ok(), "spaces to the bound");
}

#[test]
fn the_most_records_of_a_draw_fit_into_a_document() {
    let chain = Chain::of(1);
    let record = complete(&chain, 1 << 33).records.remove(1);
    let text =
        serde_json::to_vec(&Proof::new(vec![record; policy::draw::record::MAX_RECORDS], vec![])).expect("a document");
    assert!(text.len() < MAX_PROOF, "{}", text.len());
    let one_more = [complete(&chain, 9).records, vec![complete(&chain, 9).records.remove(1); 20_000]].concat();
    assert_eq!(refused(&chain, &Proof::new(one_more, vec![])), Why::TooManyRecords);
}

#[test]
fn another_document_or_version_is_refused_by_name() {
    let text = serde_json::to_string(&whole(&Chain::of(1))).expect("a document");
    let read = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        Proof::read(changed.as_bytes()).expect_err("not a proof").to_string()
    };
    for (version, told) in [("1", "version 1,"), ("3", "version 3,"), ("0", "version 0,")] {
        let why = read("\"version\":2", &format!("\"version\":{version}"));
        assert!(why.contains(told) && why.contains("checks version 2"), "{why}");
    }
    assert!(read("weir-draw", "weir-drew").contains("it is not the proof of a draw"));
    assert!(read("\"format\":\"weir-draw\",", "").contains("it is not the proof of a draw"));
    for cut in (0..text.len()).step_by(97) {
        assert!(Proof::read(&text.as_bytes()[..cut]).is_err(), "cut at {cut}");
    }
    for other in ["", "null", "[]", "{}", "7", "\"weir-draw\"", "\u{feff}{}", "<html>"] {
        assert!(Proof::read(other.as_bytes()).is_err(), "{other:?}");
    }
    let deep = "[".repeat(1 << 20);
    assert!(Proof::read(deep.as_bytes()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_byte_that_is_changed_is_refused_or_changes_nothing(at in any::<prop::sample::Index>(), by in any::<u8>()) {
        let chain = Chain::of(1);
        let proof = whole(&chain);
        let mut text = serde_json::to_vec(&proof).expect("a document");
        let at = at.index(text.len());
        text[at] = by;
        let same = Proof::read(&text).is_ok_and(|read| read == proof);
        prop_assert!(same || is_refused(&chain, &text));
    }
}
