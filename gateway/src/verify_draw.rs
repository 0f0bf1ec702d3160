//! `weir verify-draw`: whether an order was drawn, from the published proof alone. No network, no store, no configuration.

mod story;

use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Args;
use policy::draw::beacon::Beacon;
use policy::draw::history::{History, split};
use policy::draw::proof::{MAX_PROOF, Proof};
use policy::draw::record::Record;
use policy::draw::verify::{Drawn, Place, Verdict, Verified, verify};

/// Fewest digits of a hash that was kept: what the status of a room shows.
const KEPT: usize = 32;

/// A proof, and what is known besides.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The proof: what the gateways publish at /.weir/draw/ROOM/EVENT.
    file: PathBuf,
    /// Say the place of this number. Numbers count from 0, places from 1.
    #[arg(long, value_name = "NUMBER")]
    place: Option<u64>,
    /// Write all numbers and places to this file, as CSV.
    #[arg(long, value_name = "CSV")]
    places: Option<PathBuf>,
    /// Refuse the proof of another room.
    #[arg(long)]
    room: Option<String>,
    /// Refuse the proof of another event.
    #[arg(long)]
    event: Option<String>,
    /// Digits that were kept while waiting: of the commitment, of the key, or of a record, as the page or the status showed them. Refuse
    /// a proof without them.
    #[arg(long, value_name = "DIGITS")]
    kept: Vec<String>,
    /// Another copy of the proof, such as one of before the draw: refuse if the two tell different histories.
    #[arg(long, value_name = "FILE")]
    other: Option<PathBuf>,
    /// A chain of drand besides quicknet, as its servers describe it at /info: to be trusted as far as who runs it.
    #[arg(long, value_name = "FILE")]
    chain: Option<PathBuf>,
}

/// What came of it: the exit code.
#[derive(Clone, Copy)]
enum Outcome {
    Proved = 0,
    Unreadable = 2,
    CommitOnly = 3,
    Void = 4,
    Refused = 5,
    Pending = 6,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let outcome = match checked(arguments) {
        Ok((outcome, text)) => {
            print!("{text}");
            outcome
        }
        Err(error) => {
            eprintln!("weir: {error:#}");
            Outcome::Unreadable
        }
    };
    ExitCode::from(outcome as u8)
}

fn checked(arguments: &Arguments) -> anyhow::Result<(Outcome, String)> {
    let chain = arguments.chain.as_deref().map(chain).transpose()?;
    let beacons: Vec<Beacon> = chain.into_iter().chain([Beacon::QUICKNET]).collect();
    let proof = proof(&arguments.file)?;
    let verified = match verify(&proof, &beacons) {
        Ok(verified) => verified,
        Err(refusal) => return Ok((Outcome::Refused, story::refused(&refusal.to_string()))),
    };
    if let Some(why) = objection(arguments, &proof.records, &verified.history, &beacons)? {
        return Ok((Outcome::Refused, story::refused(&why)));
    }
    let drawn = drawn(&verified.verdict);
    if drawn.is_some_and(|drawn| !drawn.is_complete(story::ALL)) {
        return Ok((Outcome::Refused, story::refused("the places do not add up")));
    }
    let mut text = story::told(&verified);
    text += &story::witnessed(&arguments.kept, arguments.other.is_some());
    if let Some(number) = arguments.place {
        text += &story::place(number, drawn, &verified.history);
    }
    if let Some(file) = &arguments.places {
        let drawn = drawn.context("there are no places to write: nothing was drawn")?;
        write_places(file, drawn).with_context(|| file.display().to_string())?;
    }
    Ok((outcome(&verified), text))
}

fn outcome(verified: &Verified) -> Outcome {
    match &verified.verdict {
        Verdict::Proved(_) => Outcome::Proved,
        Verdict::CommitOnly(_) => Outcome::CommitOnly,
        Verdict::Void(_) => Outcome::Void,
        Verdict::Pending(_) => Outcome::Pending,
    }
}

/// The order, or the one that would have been.
fn drawn(verdict: &Verdict) -> Option<&Drawn> {
    match verdict {
        Verdict::Proved(drawn) | Verdict::CommitOnly(drawn) => Some(drawn),
        Verdict::Void(voided) => voided.would_be.as_ref(),
        Verdict::Pending(_) => None,
    }
}

/// What the caller knows otherwise.
fn objection(
    arguments: &Arguments,
    records: &[Record],
    history: &History,
    beacons: &[Beacon],
) -> anyhow::Result<Option<String>> {
    let opened = &history.opened;
    for (what, expected, told) in [("room", &arguments.room, &opened.room), ("event", &arguments.event, &opened.event)]
    {
        if let Some(expected) = expected.as_ref().filter(|expected| *expected != told) {
            return Ok(Some(format!("it is of the {what} {told:?}, not of {expected:?}")));
        }
    }
    for digits in &arguments.kept {
        ensure!(digits.len() >= KEPT, "--kept {digits}: {KEPT} digits at least");
        let shown = records.iter().map(Record::hash).chain([opened.commitment, opened.public_key]);
        if !shown.map(|hash| hash.to_string()).any(|hash| hash.starts_with(digits)) {
            return Ok(Some(format!(
                "nothing in it begins with {digits}, which was kept: another history was shown then"
            )));
        }
    }
    let Some(file) = &arguments.other else { return Ok(None) };
    let other = proof(file)?;
    let other_history = match History::read(&other.records, beacons) {
        Ok(history) => history,
        Err(refusal) => return Ok(Some(format!("the other copy, {}, is refused: {refusal}", file.display()))),
    };
    Ok(split(records, &other.records).map(|at| story::two_histories(at, history, &other_history)))
}

fn proof(file: &Path) -> anyhow::Result<Proof> {
    let shown = || file.display().to_string();
    // One byte more than is read, to know that there is more.
    let mut text = Vec::new();
    File::open(file).and_then(|file| file.take(MAX_PROOF as u64 + 1).read_to_end(&mut text)).with_context(shown)?;
    Proof::read(&text).with_context(shown)
}

fn chain(file: &Path) -> anyhow::Result<Beacon> {
    let shown = || file.display().to_string();
    let mut text = Vec::new();
    File::open(file).and_then(|file| file.take(1 << 16).read_to_end(&mut text)).with_context(shown)?;
    let info = serde_json::from_slice(&text).context("not the description of a chain").with_context(shown)?;
    Beacon::of(&info).with_context(shown)
}

fn write_places(file: &Path, drawn: &Drawn) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    writeln!(out, "number,place")?;
    for group in &drawn.groups {
        for number in group.frozen.first..group.frozen.first + group.frozen.count {
            if let Place::Drawn(place) = drawn.place(number) {
                writeln!(out, "{number},{}", place + 1)?;
            }
        }
    }
    out.flush()
}
