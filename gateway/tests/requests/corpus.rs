//! Every file of the committed corpus against the targets that `make fuzz` gives random bytes to: what was found once
//! is tried with every test, on any compiler.
#![expect(clippy::unwrap_used, reason = "a test may end by a panic")]

#[path = "../../../fuzz/src/lib.rs"]
mod targets;

use std::path::{Path, PathBuf};

/// Less is no corpus.
const FEWEST: usize = 20;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Gives each file of a corpus to its target.
fn replay(name: &str) {
    let (_, target) = targets::TARGETS.into_iter().find(|(target, _)| *target == name).unwrap();
    let files = files(&corpus().join(name));
    assert!(files.len() >= FEWEST, "the corpus of {name} has {} files", files.len());
    let breaks = |file: &PathBuf| {
        let bytes = std::fs::read(file).unwrap();
        std::panic::catch_unwind(|| target(&bytes)).is_err()
    };
    let broken: Vec<PathBuf> = files.into_iter().filter(breaks).collect();
    assert!(broken.is_empty(), "what is wrong is said above, in this order: {broken:?}");
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let folders: Vec<String> =
        files(&corpus()).iter().map(|folder| folder.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(folders, targets::TARGETS.map(|(name, _)| name));
}

#[test]
fn no_token_of_the_corpus_breaks_a_promise() {
    replay("token");
}

#[test]
fn no_path_of_the_corpus_breaks_a_promise() {
    replay("path");
}

#[test]
fn no_host_of_the_corpus_breaks_a_promise() {
    replay("host");
}

#[test]
fn no_head_of_the_corpus_breaks_a_promise() {
    replay("head");
}

#[test]
fn no_proxy_header_of_the_corpus_breaks_a_promise() {
    replay("proxy");
}

#[test]
fn no_configuration_of_the_corpus_breaks_a_promise() {
    replay("config");
}
