//! `loadtest compare`: two reports of one launch side by side.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(clippy::cast_possible_wrap, reason = "minutes in microseconds are far below 2^63")]

#[path = "../verdict/tests/report/sample.rs"]
mod sample;

use std::process::Command;

use verdict::Outcome;
use verdict::report::Report;

use sample::{of_id, report, with_few_checks};

/// Writes two reports and compares them: exit code, and the text of both outputs.
fn compared(old: &Report, new: &Report, more: &[&str]) -> (i32, String) {
    let directory = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| directory.path().join(name));
    old.save(&a).unwrap();
    new.save(&b).unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_loadtest")).arg("compare").args([a, b]).args(more).output().unwrap();
    let said = [done.stdout, done.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
    (done.status.code().unwrap(), said.replace(&directory.path().display().to_string(), "."))
}

#[test]
fn a_report_is_no_worse_than_itself() {
    let report = with_few_checks();
    let (code, said) = compared(&report, &report, &[]);
    assert_eq!(code, 0, "{said}");
    insta::assert_snapshot!(said);
}

#[test]
fn what_got_worse_beyond_its_tolerance_is_marked() {
    let (old, mut new) = (with_few_checks(), with_few_checks());
    new.page.p50_ms *= 1.5;
    new.run.failed = 1;
    of_id(&mut new, "overtaking").outcome = Outcome::Broken;
    let inside = of_id(&mut new, "wait-inside");
    inside.measured = inside.measured.map(|share| share - 0.01);
    let (code, said) = compared(&old, &new, &[]);
    assert_eq!(code, 1, "{said}");
    insta::assert_snapshot!(said);
    new.run.failed = 0;
    of_id(&mut new, "overtaking").outcome = Outcome::Held;
    assert_eq!(compared(&old, &new, &["--tolerance", "times=0.6"]).0, 0);
    assert_eq!(compared(&old, &new, &["--tolerance", "times=0.6", "--tolerance", "shares=0.001"]).0, 1);
}

#[test]
fn different_launches_are_compared_only_if_somebody_insists() {
    let (old, mut new) = (report(), report());
    new.run.scenario = "calm-day".into();
    let (code, said) = compared(&old, &new, &[]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("scenario is nike-launch in one and calm-day in the other"), "{said}");
    assert_eq!(compared(&old, &new, &["--force"]).0, 0);
}

#[test]
fn what_is_no_report_is_a_mistake_of_usage() {
    let (code, said) = compared(&report(), &report(), &["--tolerance", "speed=2"]);
    assert!(code == 3 && said.contains("none of times, shares, counts, faults"), "{said}");
    let done = Command::new(env!("CARGO_BIN_EXE_loadtest")).args(["compare", "/nowhere", "/nowhere"]).output().unwrap();
    assert_eq!(done.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&done.stderr).contains("/nowhere cannot be read: No such file"));
}
