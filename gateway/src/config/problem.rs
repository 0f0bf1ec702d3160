//! What is wrong with a configuration file, or what an operator should know about it; where, and how to put it right.

use std::fmt;

/// One mistake in a configuration file, or one warning about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The key, such as `listen.workers` or `room "launch": poll.min`; empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// How to put it right; empty where nothing is known.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)?;
        if self.fix.is_empty() { Ok(()) } else { write!(f, "; {}", self.fix) }
    }
}

/// A problem that does not know its place yet.
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

/// Line and column of a byte. Takes any bytes: a file that is no UTF-8 has places too.
pub(super) fn position(text: &[u8], offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line = before.split(|b| *b == b'\n').count();
    let begins_a_char = |b: &&u8| **b & 0xC0 != 0x80;
    let column = before.iter().rev().take_while(|b| **b != b'\n').filter(begins_a_char).count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_not_bytes() {
        assert_eq!(position("가나 = 1".as_bytes(), 7), (1, 4));
        assert_eq!(position(b"a\nbc", 3), (2, 2));
        assert_eq!(position(b"", 9), (1, 1));
    }
}
