//! `docs/SECURITY.md` names the test of each bound: a name without a test is a promise that is not kept.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The table that has no fewer names than this is read as it is meant.
const FEWEST: usize = 80;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every test as the names of the folders and the file that it is in, and its own.
fn tests_below(folder: &Path, found: &mut Vec<Vec<String>>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            tests_below(&entry, found);
        } else if entry.extension().is_some_and(|kind| kind == "rs") {
            let place = entry.strip_prefix(root()).unwrap().with_extension("");
            let place: Vec<String> = place.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            let source = std::fs::read_to_string(&entry).unwrap();
            found.extend(tests_in(&source).map(|name| [&place[..], &[name]].concat()));
        }
    }
}

/// The functions that follow `#[test]` or `#[tokio::test]`.
fn tests_in(source: &str) -> impl Iterator<Item = String> + '_ {
    let marked = source.split("#[test]").flat_map(|part| part.split("#[tokio::test")).skip(1);
    marked.filter_map(|after| Some(after.split_once("fn ")?.1.split_once('(')?.0.to_owned()))
}

/// The names in backticks in the last column of each table.
fn named(document: &str) -> BTreeSet<String> {
    let rows = document.lines().filter(|line| line.starts_with("| "));
    let columns = rows.filter_map(|row| row.trim_end_matches([' ', '|']).rsplit_once(" | "));
    columns.flat_map(|(_, tests)| tests.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// Whether a test has this name, or stands in the file or folder of this name. `module::test`, and what comes before
/// need not be whole.
fn is_there(name: &str, tests: &[Vec<String>]) -> bool {
    let wanted: Vec<&str> = name.split("::").filter(|part| *part != "tests").collect();
    tests.iter().any(|test| {
        let mut parts = test.iter();
        wanted.iter().all(|wanted| parts.any(|part| part == wanted))
    })
}

#[test]
fn every_test_that_the_document_of_bounds_names_is_there() {
    let mut tests = Vec::new();
    for folder in ["gateway", "loadtest"] {
        tests_below(&root().join(folder), &mut tests);
    }
    assert!(is_there("bounds::every_test_that_the_document_of_bounds_names_is_there", &tests), "{tests:?}");
    let named = named(&std::fs::read_to_string(root().join("docs/SECURITY.md")).unwrap());
    assert!(named.len() >= FEWEST, "{} names: {named:?}", named.len());
    let missing: Vec<&String> = named.iter().filter(|name| !is_there(name, &tests)).collect();
    assert!(missing.is_empty(), "docs/SECURITY.md names tests that are not there: {missing:#?}");
}
