//! Real rounds of the public beacon, and another program's reading of them.

use drand_verify::{G2PubkeyRfc, Pubkey as _};
use policy::draw::beacon::{BadChain, BadSignature, Beacon, Info};
use policy::draw::hex::Hex;
use proptest::prelude::*;

use super::Chain;

const KEY: &str = "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d1064510d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a";

/// Historic rounds of quicknet, as they stand in the tests of drand's libraries.
const ROUNDS: [(u64, &str); 4] = [
    (123, "b75c69d0b72a5d906e854e808ba7e2accb1542ac355ae486d591aa9d43765482e26cd02df835d3546d23c4b13e0dfc92"),
    (1_000, "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39"),
    (1_001, "b33bf3667cbd5a82de3a24b4e0e9fe5513cc1a0e840368c6e31f5fcfa79bea03f73896b25883abf2853d10337fb8fa41"),
    (657_413, "b713718a38ae728dfd477991af2822e08d2f305e47718cef9f7848ce4050e7be41076862b98fad56e91a6b85b89cd97b"),
];

fn signature(text: &str) -> Hex<48> {
    text.parse().expect("48 bytes")
}

/// What `drand-verify` says.
fn oracle(round: u64, signature: &Hex<48>) -> bool {
    let key: Hex<96> = KEY.parse().expect("96 bytes");
    let key = G2PubkeyRfc::from_fixed(key.0).expect("a key");
    key.verify(round, b"", &signature.0).unwrap_or(false)
}

#[test]
fn historic_rounds_of_quicknet_are_known() {
    for (round, text) in ROUNDS {
        assert_eq!(Beacon::QUICKNET.check(round, &signature(text)), Ok(()), "{round}");
        assert!(oracle(round, &signature(text)), "{round}");
    }
}

#[test]
fn a_signature_is_of_one_round_of_one_chain() {
    let own = Chain::of(1);
    for (round, text) in ROUNDS {
        let signature = signature(text);
        for other in [round - 1, round + 1, 0, u64::MAX] {
            assert_eq!(Beacon::QUICKNET.check(other, &signature), Err(BadSignature::Wrong), "{round} as {other}");
            assert!(!oracle(other, &signature), "{round} as {other}");
        }
        assert_eq!(own.beacon.check(round, &signature), Err(BadSignature::Wrong), "of another chain");
        assert_eq!(Beacon::QUICKNET.check(round, &own.sign(round)), Err(BadSignature::Wrong), "of our chain");
        assert_eq!(own.beacon.check(round, &own.sign(round)), Ok(()));
    }
}

#[test]
fn a_signature_with_any_bit_changed_is_refused() {
    let (round, text) = ROUNDS[0];
    for bit in 0..48 * 8 {
        let mut changed = signature(text);
        changed.0[bit / 8] ^= 1 << (bit % 8);
        assert!(Beacon::QUICKNET.check(round, &changed).is_err(), "bit {bit}");
    }
}

#[test]
fn the_point_at_infinity_and_what_is_no_point_are_refused() {
    let mut infinity = Hex([0; 48]);
    infinity.0[0] = 0xc0;
    assert_eq!(Beacon::QUICKNET.check(123, &infinity), Err(BadSignature::Wrong));
    for bytes in [[0; 48], [0xff; 48]] {
        assert_eq!(Beacon::QUICKNET.check(123, &Hex(bytes)), Err(BadSignature::NoPoint), "{:x}", bytes[0]);
    }
}

/// As drand's servers describe the chain at `/info`.
fn info() -> serde_json::Value {
    serde_json::from_str(include_str!("quicknet.json")).expect("JSON")
}

fn of(info: serde_json::Value) -> Result<Beacon, BadChain> {
    Beacon::of(&serde_json::from_value::<Info>(info).expect("a description"))
}

#[test]
fn the_name_of_quicknet_is_the_hash_of_its_key_start_and_period() {
    assert_eq!(of(info()), Ok(Beacon::QUICKNET));
}

#[test]
fn a_chain_with_another_key_start_or_period_is_not_quicknet() {
    let changes = [
        ("public_key", KEY.replacen("83", "93", 1).into()),
        ("period", 30.into()),
        ("genesis_time", 1_692_803_364.into()),
        ("groupHash", "00".repeat(32).into()),
        ("metadata", serde_json::json!({ "beaconID": "default" })),
    ];
    for (key, value) in changes {
        let mut changed = info();
        changed[key] = value;
        assert!(matches!(of(changed), Err(BadChain::Hash(_))), "{key}");
    }
    for (key, value) in [("period", 0), ("genesis_time", u64::MAX)] {
        let mut changed = info();
        changed[key] = value.into();
        assert_eq!(of(changed), Err(BadChain::Time), "{key}");
    }
    let mut changed = info();
    changed["schemeID"] = "bls-unchained-on-g1".into();
    assert_eq!(of(changed), Err(BadChain::Scheme("bls-unchained-on-g1".to_owned())));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_bytes_are_a_signature_and_none_make_it_panic(mut bytes in prop::array::uniform32(any::<u8>()), round in any::<u64>()) {
        bytes[0] |= 0x80;
        let mut signature = Hex([0; 48]);
        signature.0[..32].copy_from_slice(&bytes);
        prop_assert!(Beacon::QUICKNET.check(round, &signature).is_err());
        prop_assert!(!oracle(round, &signature));
    }
}
