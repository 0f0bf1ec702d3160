//! `weir verify-draw`: what a sceptic is told of a proof, and the exit code. The beacon is quicknet, with a round of 2023.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

use policy::Millis;
use policy::draw::beacon::Beacon;
use policy::draw::hex::Hex;
use policy::draw::proof::{Proof, Round};
use policy::draw::record::{Body, Frozen, Method, Opened, Record, Times, Void};
use policy::draw::secret::{Secret, commitment};
use tempfile::TempDir;

use crate::common::WEIR;
use crate::documents::markdown::{document, root};

/// A round of quicknet, as it stands in the tests of drand's libraries, and when it was due.
const ROUND: u64 = 1_000;
const SIGNATURE: &str =
    "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39";
const DUE: Millis = 1_692_806_364_000;
const FREEZE: Millis = DUE - 12_000;
const OPENED: Millis = FREEZE - 20_000;
const COUNT: u64 = 40_113;

/// The records of a draw, signed.
struct Draw {
    secret: Secret,
    records: Vec<Record>,
}

impl Draw {
    fn opened(method: Method) -> Self {
        let (room, event) = ("launch".to_owned(), "e-1".to_owned());
        let secret = Secret::derive(&[7; 32], &room, &event, OPENED).unwrap();
        let opened = Opened {
            commitment: commitment(&room, &event, &secret.k),
            public_key: secret.public_key(),
            room,
            event,
            method,
            times: Times { freeze: FREEZE, start: FREEZE + 30_000 },
            after: Hex([0; 32]),
        };
        Self { secret, records: Vec::new() }.with(OPENED, Body::Opened(opened))
    }

    fn with(mut self, time: Millis, body: Body) -> Self {
        let previous = self.records.last().map_or(Hex([0; 32]), Record::hash);
        self.records.push(self.secret.sign(Record::unsigned(previous, time, body)).unwrap());
        self
    }

    fn counted(self) -> Self {
        self.with(OPENED + 10_000, Body::Counted { next: COUNT / 2 })
    }

    fn frozen(self, count: u64) -> Self {
        let round = if matches!(self.opened_by(), Method::CommitOnly) { 0 } else { ROUND };
        let k = self.secret.k;
        self.with(
            FREEZE,
            Body::Frozen(Frozen { first: 0, count, latest_clock: FREEZE, round, k, largest_networks: 1_203 }),
        )
    }

    fn opened_by(&self) -> Method {
        match &self.records[0].body {
            Body::Opened(opened) => opened.method,
            other => panic!("{other:?}"),
        }
    }

    fn proof(self, rounds: Vec<Round>) -> Proof {
        Proof::new(self.records, rounds)
    }
}

fn beacon() -> Method {
    Method::Beacon { chain: Beacon::QUICKNET.chain }
}

fn number() -> Vec<Round> {
    vec![Round { round: ROUND, signature: SIGNATURE.parse().unwrap() }]
}

fn whole() -> Proof {
    Draw::opened(beacon()).counted().frozen(COUNT).proof(number())
}

/// Files with proofs, and the command in an empty environment.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn keep(&self, name: &str, proof: &Proof) -> PathBuf {
        self.file(name, serde_json::to_vec(proof).unwrap())
    }

    /// The exit code and all that was printed.
    fn ask(&self, file: &Path, arguments: &[&str]) -> (i32, String) {
        let mut weir = Command::new(WEIR);
        let done = weir.arg("verify-draw").arg(file).args(arguments).env_clear().current_dir(self.0.path()).output();
        let done = done.unwrap();
        let told = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        (done.status.code().unwrap(), told)
    }

    /// The same of a proof.
    fn told(&self, proof: &Proof, arguments: &[&str]) -> (i32, String) {
        self.ask(&self.keep("proof.json", proof), arguments)
    }
}

#[test]
fn a_proof_is_told_in_words_and_its_places_are_written() {
    let desk = Desk::new();
    let (code, told) = desk.told(&whole(), &["--place", "812", "--places", "places.csv"]);
    assert_eq!(code, 0, "{told}");
    let lines = [
        "PROVED: the order of 40,113 shoppers in the event \"e-1\" of the room \"launch\" follows from a public number",
        "  2023-08-23 15:58:52 UTC  a secret number was committed to, and the rules were fixed\n",
        "  2023-08-23 15:59:12 UTC  the count of 40,113 was frozen, and public number 1,000, which did not exist yet, was named\n",
        "  2023-08-23 15:59:24 UTC  public number 1,000 due, from the beacon drand\n",
        "  All 3 records are signed with one key, and each names the one before it.\n",
        "  All 40,113 places were computed: each is given once.\n",
        "What a file alone does not show:\n",
        "1,203 of 40,113 were held by the 20 networks with most.\n",
    ];
    for line in lines {
        assert!(told.contains(line), "{line:?} in {told}");
    }
    let places = std::fs::read_to_string(desk.0.path().join("places.csv")).unwrap();
    let rows: Vec<&str> = places.lines().collect();
    assert_eq!((rows.len(), rows[0]), (COUNT as usize + 1, "number,place"));
    let mut given: Vec<u64> = rows[1..].iter().map(|row| row.split_once(',').unwrap().1.parse().unwrap()).collect();
    let place = given[812];
    let shown = if place < 1_000 { place.to_string() } else { format!("{},{:03}", place / 1_000, place % 1_000) };
    assert!(rows[813].starts_with("812,"), "{}", rows[813]);
    assert!(told.contains(&format!("Number 812 has place {shown} of 40,113.")), "{told}");
    given.sort_unstable();
    assert!(given.into_iter().eq(1..=COUNT));
    let (_, told) = desk.told(&whole(), &["--place", "40113"]);
    assert!(told.contains("Number 40,113 was given after the count was final"), "{told}");
}

#[test]
fn a_draw_without_a_beacon_a_void_one_and_one_that_waits_have_codes_of_their_own() {
    let desk = Desk::new();
    let (code, told) = desk.told(&Draw::opened(Method::CommitOnly).frozen(9).proof(vec![]), &[]);
    assert!(code == 3 && told.starts_with("COMMIT ONLY: ") && told.contains("does not bind the operator"), "{told}");
    let waits = Draw::opened(beacon()).counted().frozen(COUNT).proof(vec![]);
    let (code, told) = desk.told(&waits, &["--place", "7"]);
    assert!(
        code == 6
            && told.starts_with("NOT YET: ")
            && told.contains("public number 1,000, due at 2023-08-23 15:59:24 UTC"),
        "{told}"
    );
    assert!(told.contains("Number 7 has no drawn place"), "{told}");
    let (code, told) = desk.told(&Draw::opened(beacon()).counted().proof(vec![]), &[]);
    assert!(
        code == 6 && told.contains("begins when the count is frozen, not before 2023-08-23 15:59:12 UTC"),
        "{told}"
    );

    let void = |time, reason: &str| {
        let draw = Draw::opened(beacon()).counted().frozen(COUNT);
        let k = draw.secret.k;
        draw.with(time, Body::Void(Void { reason: reason.to_owned(), k }))
    };
    let (code, told) = desk.told(&void(DUE - 1, "storm").proof(vec![]), &[]);
    assert!(
        code == 4 && told.starts_with("VOID: no draw took place") && told.contains("nobody could know the order"),
        "{told}"
    );
    assert!(!told.contains("would have been"), "{told}");
    let (code, told) = desk.told(&void(DUE, "\u{1b}[2Jstorm").proof(number()), &["--place", "7"]);
    assert!(code == 4 && told.contains("may have disliked what came out") && !told.contains('\u{1b}'), "{told}");
    assert!(
        told.contains("The draw that would have been is known") && told.contains("Number 7 would have had place"),
        "{told}"
    );
}

#[test]
fn a_refusal_says_why() {
    let desk = Desk::new();
    let refused = |proof: &Proof, arguments: &[&str], why: &str| {
        let (code, told) = desk.told(proof, arguments);
        assert!(
            code == 5 && told.starts_with("NOT PROVED: the proof is refused.\n") && told.contains(why),
            "{code} {told}"
        );
    };
    let text = serde_json::to_string(&whole()).unwrap();
    let changed = |from: &str, to: &str| serde_json::from_str(&text.replacen(from, to, 1)).unwrap();
    refused(&changed("\"count\":40113", "\"count\":40114"), &[], "record 2: its signature is not by the key");
    refused(
        &changed("\"round\":1000,\"signature\":\"b4", "\"round\":1000,\"signature\":\"a4"),
        &[],
        "public number of round 1000",
    );
    refused(&whole(), &["--room", "other"], "it is of the room \"launch\", not of \"other\"");
    refused(&whole(), &["--event", "e-2"], "it is of the event \"e-1\", not of \"e-2\"");
    refused(&whole(), &["--kept", &"0".repeat(32)], "which was kept: another history was shown then");
    assert_eq!(desk.told(&whole(), &["--room", "launch", "--event", "e-1"]).0, 0);
}

#[test]
fn what_was_kept_while_waiting_is_held_against_the_proof() {
    let desk = Desk::new();
    let proof = whole();
    let early = desk.keep("early.json", &Proof::new(proof.records[..2].to_vec(), vec![]));
    let head = proof.records[1].hash().to_string();
    let (code, told) = desk.told(&proof, &["--kept", &head[..32], "--other", early.to_str().unwrap()]);
    assert!(code == 0 && told.contains("was kept, and is in it") && told.contains("tells the same history"), "{told}");
    let other = desk.keep("other.json", &Draw::opened(beacon()).counted().frozen(COUNT + 1).proof(number()));
    let (code, told) = desk.told(&proof, &["--other", other.to_str().unwrap()]);
    assert!(code == 5 && told.contains("differ from record 2 on. Both are signed with the same key"), "{told}");
    let (code, told) = desk.told(&proof, &["--kept", "0123"]);
    assert!(code == 2 && told.contains("32 digits at least"), "{told}");
}

#[test]
fn a_file_that_is_no_proof_is_told_with_its_name() {
    let desk = Desk::new();
    let unread = |text: &[u8], why: &str| {
        let (code, told) = desk.ask(&desk.file("some.json", text), &[]);
        assert!(code == 2 && told.contains("some.json: ") && told.contains(why), "{code} {told}");
    };
    let text = serde_json::to_string(&whole()).unwrap();
    unread(b"", "it is not such a document");
    unread(b"<html>", "it is not such a document");
    unread(&text.as_bytes()[..text.len() / 2], "it is not such a document");
    unread(
        text.replacen("\"version\":2", "\"version\":1", 1).as_bytes(),
        "it is of version 1, this program checks version 2",
    );
    unread(b"{\"version\":2}", "it is not the proof of a draw");
    unread(&vec![b' '; 10_000_000], "larger than 8 MiB");
    let (code, told) = desk.ask(Path::new("nowhere.json"), &[]);
    assert!(code == 2 && told.contains("nowhere.json: "), "{told}");
    assert_eq!(Command::new(WEIR).arg("verify-draw").output().unwrap().status.code(), Some(2), "without a file");
}

/// As drand's servers describe the chain at `/info`.
const QUICKNET: &str = include_str!("../../policy/tests/draw/quicknet.json");

#[test]
fn a_chain_that_is_not_known_has_to_be_named() {
    let desk = Desk::new();
    let file = desk.file("chain.json", QUICKNET);
    assert_eq!(desk.told(&whole(), &["--chain", file.to_str().unwrap()]).0, 0, "quicknet by its own description");
    let foreign = Draw::opened(Method::Beacon { chain: Hex([5; 32]) }).proof(vec![]);
    let (code, told) = desk.told(&foreign, &[]);
    assert!(code == 5 && told.contains("its beacon 0505") && told.contains("is not a public one"), "{told}");
    let lies = desk.file("chain.json", QUICKNET.replace("1692803367", "1692803364"));
    let (code, told) = desk.told(&whole(), &["--chain", lies.to_str().unwrap()]);
    assert!(code == 2 && told.contains("chain.json: its hash is not that of what it says"), "{told}");
}

#[test]
fn the_program_of_the_document_comes_to_the_same_place() {
    let desk = Desk::new();
    let proof = desk.keep("proof.json", &whole());
    let blocks = document("docs/design/draw.md").blocks();
    let program = blocks.into_iter().find(|block| block.language == "python").unwrap().text;
    let program = desk.file("check.py", program);
    for number in ["0", "812", "40112"] {
        let mut python = Command::new("python3");
        let done = python.arg(&program).args([&proof, Path::new(number)]).output().unwrap();
        let told = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{told}{}", String::from_utf8_lossy(&done.stderr));
        let (_, weir) = desk.ask(&proof, &["--place", number]);
        let place = weir.lines().last().unwrap().rsplit_once("place ").unwrap().1.replace([',', '.'], "");
        assert_eq!(format!("place {place}"), told.lines().last().unwrap(), "number {number}");
    }
    let text = std::fs::read_to_string(&proof).unwrap().replacen("\"count\":40113", "\"count\":40114", 1);
    let changed = desk.file("changed.json", text.replacen("\"next\":20056", "\"next\":20055", 1));
    let done = Command::new("python3").arg(&program).args([&changed, Path::new("0")]).output().unwrap();
    assert!(!done.status.success(), "a chain that is broken");
}

#[test]
fn every_test_that_the_document_of_threats_names_is_there() {
    let folder = root().join("gateway/policy/tests/draw");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let source: Vec<String> =
        files.map(|file| format!("mod {};\n{}", stem(&file), std::fs::read_to_string(&file).unwrap())).collect();
    let source = source.concat();
    let rows = document("docs/design/draw.md").table("Threats");
    let names: Vec<&str> = rows.iter().flat_map(|row| row[2].split('`').skip(1).step_by(2)).collect();
    let is_there = |name: &str| source.contains(&format!("fn {name}(")) || source.contains(&format!("mod {name};"));
    let missing: Vec<&&str> = names.iter().filter(|name| !is_there(name)).collect();
    assert!(names.len() > 15 && missing.is_empty(), "{} names, of which missing: {missing:#?}", names.len());
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap().to_string_lossy().into_owned()
}
