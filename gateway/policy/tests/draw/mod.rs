//! The draw of an event, from its first record to what a sceptic makes of the proof.
#![expect(clippy::expect_used, reason = "a test may fail")]

mod quicknet;
mod tampering;
mod threats;
mod uniform;

use aws_lc_rs::digest::{SHA256, digest};
use blst::min_sig::SecretKey;
use policy::Millis;
use policy::draw::beacon::{Beacon, DST, RoundSignature, message};
use policy::draw::freeze;
use policy::draw::hex::{Hash, Hex};
use policy::draw::proof::{Proof, Round};
use policy::draw::record::{Body, Frozen, Method, Opened, Record, Times};
use policy::draw::refusal::{Refusal, Why};
use policy::draw::secret::{Secret, commitment};
use policy::draw::verify::{Drawn, Verdict, Verified, verify};

const ROOM: &str = "launch";
const EVENT: &str = "e-1";
const OPENED: Millis = 1_700_000_000_000;
const FREEZE: Millis = OPENED + 60_000;
const TIMES: Times = Times { freeze: FREEZE, start: FREEZE + 30_000 };
const NONE: Hash = Hex([0; 32]);
/// What the gateways of these tests have in common.
const SECRET: [u8; 32] = [7; 32];

/// A beacon of which the tests have the key.
struct Chain {
    key: SecretKey,
    beacon: Beacon,
}

impl Chain {
    fn of(seed: u8) -> Self {
        let key = SecretKey::key_gen(&[seed; 32], &[]).expect("32 bytes are enough");
        let public_key = key.sk_to_pk().compress();
        let (genesis, period) = (1_600_000_000_u64, 3_u32);
        let described = [&period.to_be_bytes()[..], &genesis.to_be_bytes(), &public_key, &[seed; 32], b"test"].concat();
        let hash = Hex::<32>(digest(&SHA256, &described).as_ref().try_into().expect("32 bytes"));
        let info = serde_json::json!({
            "public_key": Hex(public_key), "period": period, "genesis_time": genesis, "hash": hash,
            "groupHash": Hex([seed; 32]), "schemeID": "bls-unchained-g1-rfc9380", "metadata": { "beaconID": "test" },
        });
        let info = serde_json::from_value(info).expect("a description");
        Self { key, beacon: Beacon::of(&info).expect("its hash is right") }
    }

    fn method(&self) -> Method {
        Method::Beacon { chain: self.beacon.chain }
    }

    fn sign(&self, round: u64) -> RoundSignature {
        Hex(self.key.sign(&message(round).0, DST, &[]).compress())
    }

    fn round(&self, round: u64) -> Round {
        Round { round, signature: self.sign(round) }
    }
}

/// A draw on its way, and the secret of its gateways.
struct Draw {
    secret: Secret,
    records: Vec<Record>,
}

impl Draw {
    fn opened(method: Method) -> Self {
        Self::of(EVENT, OPENED, method)
    }

    fn of(event: &str, opened: Millis, method: Method) -> Self {
        let secret = Secret::derive(&SECRET, ROOM, event, opened).expect("a key");
        let body = Body::Opened(Opened {
            room: ROOM.to_owned(),
            event: event.to_owned(),
            method,
            commitment: commitment(ROOM, event, &secret.k),
            public_key: secret.public_key(),
            times: TIMES,
            after: NONE,
        });
        Self { secret, records: Vec::new() }.with(opened, body)
    }

    fn head(&self) -> Hash {
        self.records.last().map_or(NONE, Record::hash)
    }

    fn with(mut self, time: Millis, body: Body) -> Self {
        let record = Record::unsigned(self.head(), time, body);
        self.records.push(self.secret.sign(record).expect("a signature"));
        self
    }

    fn counted(self, time: Millis, next: u64) -> Self {
        self.with(time, Body::Counted { next })
    }

    /// All numbers below `count`, at `time`, when every clock is right.
    fn frozen(self, beacon: Option<&Beacon>, time: Millis, count: u64) -> Self {
        let frozen = self.freeze_of(beacon, time, count);
        self.with(time, Body::Frozen(frozen))
    }

    fn freeze_of(&self, beacon: Option<&Beacon>, time: Millis, count: u64) -> Frozen {
        let round = beacon.map_or(0, |beacon| freeze::round(beacon, time));
        Frozen { first: 0, count, latest_clock: time, round, k: self.secret.k, largest_networks: 3 }
    }

    fn proof(self, rounds: Vec<Round>) -> Proof {
        Proof::new(self.records, rounds)
    }
}

/// The first round that is due 10 s after the freeze.
fn round(chain: &Chain) -> u64 {
    freeze::round(&chain.beacon, FREEZE)
}

/// A draw as it should be, of `count` numbers.
fn complete(chain: &Chain, count: u64) -> Draw {
    Draw::opened(chain.method()).counted(OPENED + 10_000, count / 2).counted(OPENED + 20_000, count).frozen(
        Some(&chain.beacon),
        FREEZE,
        count,
    )
}

fn checked(chain: &Chain, proof: &Proof) -> Result<Verified, Refusal> {
    verify(proof, &[Beacon::QUICKNET, chain.beacon])
}

fn verdict(chain: &Chain, proof: &Proof) -> Verdict {
    checked(chain, proof).expect("a proof that holds together").verdict
}

fn refused(chain: &Chain, proof: &Proof) -> Why {
    checked(chain, proof).expect_err("it is refused").why
}

fn proved(chain: &Chain, proof: &Proof) -> Drawn {
    match verdict(chain, proof) {
        Verdict::Proved(drawn) => drawn,
        other => panic!("not proved: {other:?}"),
    }
}
