//! What is wrong with a scenario, where, and how to put it right.

use std::fmt;
use std::io;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named.
    pub file: String,
    /// Line and column in characters, counted from 1; `None` for the file as a whole.
    pub place: Option<(usize, usize)>,
    /// The key, such as `room.burst` or `arrivals #2: rate`; empty where there is none.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// How to put it right; empty where nothing is known.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        f.write_str(": ")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)?;
        if self.fix.is_empty() { Ok(()) } else { write!(f, "; {}", self.fix) }
    }
}

/// Everything that is wrong, in order of place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub(super) fn unreadable(file: &str, error: &io::Error) -> Self {
        let what = format!("cannot be read: {error}");
        Self(vec![Problem { file: file.into(), place: None, key: String::new(), what, fix: String::new() }])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// What is wrong and how to put it right, before its place is known.
#[derive(Debug)]
pub(super) struct Diagnostic {
    pub(super) what: String,
    pub(super) fix: String,
}

impl Diagnostic {
    pub(super) fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }
}

/// Line and column of a byte of a text.
pub(super) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    (line, column)
}

/// `did you mean ..?` or all that is known.
pub(super) fn meant(written: &str, known: &[&str]) -> String {
    match nearest(written, known) {
        Some(name) => format!("did you mean \"{name}\"?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

fn nearest<'n>(written: &str, known: &[&'n str]) -> Option<&'n str> {
    let written = written.to_lowercase();
    let likeness = |name: &&str| (strsim::normalized_damerau_levenshtein(&written, name) * 1000.0) as u32;
    known.iter().copied().max_by_key(likeness).filter(|name| likeness(name) >= 600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_not_bytes() {
        assert_eq!(place("가나 = 1", 7), (1, 4));
        assert_eq!(place("a\nbc", 3), (2, 2));
        assert_eq!(place("", 9), (1, 1));
    }
}
