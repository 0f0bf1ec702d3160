//! Other people's readings of a path against Weir's: every spelling that Node, Python, nginx or `HAProxy` take for a
//! path inside a room is held back, without a list of exceptions.
//!
//! Spellings are generated from a seed. A sample runs with all tests; `make differential` takes many, and asks nginx and
//! `HAProxy` too. `WEIR_SPELLINGS` and `WEIR_SEED` ask for more and for others.
#![allow(clippy::unwrap_used, reason = "tests")]

mod proxies;
mod scripts;
mod shop;
mod spellings;
