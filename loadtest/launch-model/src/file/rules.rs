//! The second reading: rules that span several keys, and the files that a scenario names.
//!
//! Out of scope: kinds and bounds of single values, which the types tell.

use std::time::Duration;

use toml_diagnostics::Document;

use super::{Files, journey_rules, replay};
use crate::arrivals::Arrivals;
use crate::attack::{CALM, RECOVERY};
use crate::persona::Persona;
use crate::scenario::{Address, Connections, Fault, Phase, Protocol, Scenario, Stage};
use crate::span::Span;

/// So many visitors at most, of all processes together: their visits must fit into memory.
pub const MOST_ARRIVALS: f64 = 20_000_000.0;
/// A gateway accepts no shorter `session_duration`.
const SHORTEST_SESSION: Duration = Duration::from_secs(5);
/// And no shorter or longer `random_round`.
const ROUNDS: [Span; 2] = [Span(Duration::from_secs(5)), Span(Duration::from_hours(1))];

/// Looks at a scenario as a whole. Counts to be replayed are read from their files on the way.
pub(super) fn check(mut scenario: Scenario, document: &mut Document<'_>, files: Files<'_>) -> Scenario {
    name(&scenario.name, document);
    for (index, phase) in scenario.arrivals.iter_mut().enumerate() {
        self::phase(phase, &format!("arrivals.{index}"), document, files);
    }
    room(&scenario, document);
    people(&scenario, document);
    wire(&scenario, document);
    attacks(&scenario, document);
    faults(&scenario, document);
    journey_rules::check(&mut scenario, document, files);
    if document.is_sound("arrivals") {
        arrivals(&scenario, document);
    }
    scenario
}

fn name(name: &str, document: &mut Document<'_>) {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 64 || !name.chars().all(is_name) {
        document.report_if_sound("name", format!("{name:?} is not a name"), "write 1 to 64 of a-z, 0-9 and \"-\"");
    }
}

fn phase(phase: &mut Phase, path: &str, document: &mut Document<'_>, files: Files<'_>) {
    match phase {
        Phase::Flat { r#for, .. }
        | Phase::Ramp { r#for, .. }
        | Phase::Step { r#for, .. }
        | Phase::Burst { r#for, .. } => {
            lasts(*r#for, &format!("{path}.for"), document);
        }
        Phase::Replay { file: Some(file), counts, interval, .. } => {
            lasts(*interval, &format!("{path}.interval"), document);
            let at = format!("{path}.file");
            if !counts.is_empty() {
                return document.report_if_sound(&at, "there are counts too", "write one of the two");
            }
            match files(file).map(|text| replay::read(&text)) {
                Ok(Ok(read)) if read.is_empty() => {
                    document.report_if_sound(&at, "has no counts", "write one count a line");
                }
                Ok(Ok(read)) => *counts = read,
                Ok(Err(bad)) => bad.into_iter().for_each(|bad| {
                    let what = format!("{:?} is not a count", bad.text);
                    let fix = "write one count a line, or time,count";
                    document.report_in(&at, file.display().to_string(), bad.line, what, fix);
                }),
                Err(error) => {
                    document.report_if_sound(
                        &at,
                        format!("cannot be read: {error}"),
                        "names are relative to this file",
                    );
                }
            }
        }
        Phase::Replay { file: None, counts, interval, .. } => {
            lasts(*interval, &format!("{path}.interval"), document);
            if counts.is_empty() {
                document.report_if_sound(
                    path,
                    "there is nothing to replay",
                    "add file = \"counts.csv\" or counts = [.., ..]",
                );
            }
            if counts.iter().any(|&count| count < 0.0) {
                document.report_if_sound(
                    &format!("{path}.counts"),
                    "a count is below 0",
                    "write how many arrived in the interval",
                );
            }
        }
    }
}

fn lasts(span: Span, path: &str, document: &mut Document<'_>) {
    if span.0.is_zero() {
        document.report_if_sound(path, "lasts no time", "write more than 0s");
    }
}

fn room(scenario: &Scenario, document: &mut Document<'_>) {
    let room = &scenario.room;
    let numbers = [("room.new_users_per_minute", Some(room.new_users_per_minute)), ("room.burst", room.burst)];
    for (path, number) in numbers {
        if let Some(number) = number.filter(|number| number.fract() != 0.0) {
            document.report_if_sound(path, format!("{number} is not whole"), "a gateway takes whole numbers");
        }
    }
    if !room.path.starts_with('/') || room.path.contains(['?', '#', '*']) {
        document.report_if_sound(
            "room.path",
            format!("{:?} is not a page", room.path),
            "write it from \"/\" on, without a query",
        );
    }
    if room.session_duration.0 < SHORTEST_SESSION {
        document.report_if_sound("room.session_duration", "is shorter than a gateway accepts", "write at least \"5s\"");
    }
    if let Some(round) = room.random_round.filter(|round| *round < ROUNDS[0] || *round > ROUNDS[1]) {
        let fix = format!("write \"{}\" to \"{}\"", ROUNDS[0], ROUNDS[1]);
        document.report_if_sound("room.random_round", format!("{round} is no time that a gateway accepts"), fix);
    }
    if let Some(start) = room.event_start.filter(|_| document.is_sound("arrivals"))
        && start.0 >= scenario.closes()
    {
        let what = format!("nobody is outside any more at {start}");
        document.report_if_sound("room.event_start", what, "write a time before closing");
    }
}

fn people(scenario: &Scenario, document: &mut Document<'_>) {
    if scenario.shoppers.values().sum::<f64>() <= 0.0 {
        document.report_if_sound("shoppers", "nobody comes", "give one kind of visitor a weight above 0");
    }
    let habits = &scenario.habits;
    let ranges = [("think", habits.think), ("again", habits.again), ("bears", habits.bears), ("away", habits.away)];
    for (key, [from, to]) in ranges {
        if from > to {
            let fix = format!("write the shorter one first: [\"{to}\", \"{from}\"]");
            document.report_if_sound(&format!("habits.{key}"), format!("{from} is longer than {to}"), fix);
        }
    }
    lasts(habits.patience, "habits.patience", document);
}

fn wire(scenario: &Scenario, document: &mut Document<'_>) {
    let wire = &scenario.wire;
    let moves = [Persona::ChangesAddress, Persona::Shares].map(|persona| scenario.share(persona) > 0.0);
    if wire.addresses < 2 && moves.contains(&true) {
        document.report_if_sound("wire.addresses", "some visitors change or share addresses", "write at least 2");
    }
    let shared = matches!(wire.connections, Connections::Shared(_));
    if shared && wire.address == Address::ProxyProtocol {
        let fix = "write connections = \"own\" or \"new\", or address = \"forwarded_for\"";
        document.report_if_sound("wire.address", "one connection has one address in the PROXY protocol", fix);
    }
    if shared && wire.protocol == Protocol::Http2 && scenario.share(Persona::SlowReader) > 0.0 {
        let fix = "give each shopper a connection, or leave slow_reader out";
        document.report_if_sound("wire.connections", "a slow reader would slow down all who share its connection", fix);
    }
}

/// One after another, with enough calm before each to be held against, and after the last.
fn attacks(scenario: &Scenario, document: &mut Document<'_>) {
    let (apart, mut free) = (CALM + RECOVERY, CALM);
    for (index, attack) in scenario.attacks.iter().enumerate() {
        lasts(attack.r#for, &format!("attack.{index}.for"), document);
        if attack.from.0 < free {
            let fix = format!("write at least \"{}\"", Span(free));
            document.report_if_sound(&format!("attack.{index}.from"), "leaves too little calm before it", fix);
        }
        free = attack.until() + apart;
    }
    if !scenario.attacks.is_empty() && document.is_sound("arrivals") && scenario.closes() < free {
        let fix = format!("let people come, or write closing, until \"{}\"", Span(free));
        document.report_if_sound("attack", "the launch is over before it can be calm again after the last", fix);
    }
}

/// Each stage has one fault at a time, and the shop has the stage.
fn faults(scenario: &Scenario, document: &mut Document<'_>) {
    let shop = &scenario.shop;
    for (index, fault) in shop.faults.iter().enumerate() {
        let at = |key: &str| format!("shop.fault.{index}.{key}");
        lasts(fault.r#for, &at("for"), document);
        if fault.stage == Stage::Payment && shop.payment.is_none() {
            document.report_if_sound(&at("stage"), "the shop has no third party for payments", "add [shop.payment]");
        }
        let before = shop.faults[..index].iter().filter(|before| before.stage == fault.stage);
        if let Some(until) = before.map(Fault::until).max().filter(|until| fault.from.0 < *until) {
            let fix = format!("write at least \"{}\"", Span(until));
            document.report_if_sound(&at("from"), "begins before the last one of this stage has ended", fix);
        }
    }
}

/// Of all phases together; each is sound.
fn arrivals(scenario: &Scenario, document: &mut Document<'_>) {
    let arrivals = Arrivals::of(scenario);
    let (expected, length) = (arrivals.expected(), arrivals.length());
    if expected < 1.0 {
        document.report_if_sound("arrivals", "nobody arrives", "give a phase a rate above 0");
    }
    if expected > MOST_ARRIVALS {
        let what = format!("{expected:.0} visitors are more than this program can follow");
        document.report_if_sound("arrivals", what, format!("write rates for at most {MOST_ARRIVALS:.0}"));
    }
    if let Some(closing) = scenario.closing.filter(|closing| closing.0 < length) {
        let length = Span(Duration::from_millis(length.as_millis() as u64));
        let what = format!("{closing} is before the last arrival");
        document.report_if_sound("closing", what, format!("write at least \"{length}\", or leave it out"));
    }
    let over = scenario.closes() + scenario.grace.0;
    if scenario.share(Persona::Expired) > 0.0 && scenario.room.session_duration.0 >= over {
        let fix = "write a shorter session_duration, or leave expired out";
        document.report_if_sound(
            "room.session_duration",
            "no pass ends before the launch does, so nobody can use one after its end",
            fix,
        );
    }
}
