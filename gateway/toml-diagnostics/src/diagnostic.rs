//! What is wrong, where, and how to put it right.

use std::fmt;

/// A mistake in a file, or a warning about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as it was named.
    pub file: String,
    /// `None` for the file as a whole.
    pub position: Option<Position>,
    /// The key, such as `listen.workers` or `room "launch": poll.min`; empty where there is none.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// How to put it right; empty where nothing is known.
    pub fix: String,
}

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
}

impl Diagnostic {
    /// Of no file and place yet.
    pub fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { file: String::new(), position: None, key: String::new(), what: what.into(), fix: fix.into() }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(Position { line, column }) = self.position {
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

/// Line and column of a byte. Takes any bytes: a file that is no UTF-8 has places too.
pub fn position(text: &[u8], offset: usize) -> Position {
    let before = &text[..offset.min(text.len())];
    let line = before.split(|b| *b == b'\n').count();
    let begins_a_char = |b: &&u8| **b & 0xC0 != 0x80;
    let column = before.iter().rev().take_while(|b| **b != b'\n').filter(begins_a_char).count() + 1;
    Position { line, column }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_not_bytes() {
        let at = |text: &str, offset| {
            let Position { line, column } = position(text.as_bytes(), offset);
            (line, column)
        };
        assert_eq!(at("가나 = 1", 7), (1, 4));
        assert_eq!(at("a\nbc", 3), (2, 2));
        assert_eq!(at("", 9), (1, 1));
    }
}
