//! A comparison as a table of plain text.

use std::fmt;

use super::{Comparison, Row};

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = |of: fn(&Row) -> &str| self.0.iter().map(|row| of(row).chars().count()).max().unwrap_or(0);
        let (name, old, new) = (longest(|row| &row.name), longest(|row| &row.old), longest(|row| &row.new));
        let (old, new) = (old.max(1), new.max(1));
        writeln!(f, "  {:name$}  {:>old$}  {:>new$}  {:>8}", "", "A", "B", "change")?;
        for row in &self.0 {
            let sign = if row.worse { '!' } else { ' ' };
            let line = format!("{sign} {:name$}  {:>old$}  {:>new$}  {:>8}", row.name, row.old, row.new, change(row));
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// As percent, without digits that mean nothing.
fn change(row: &Row) -> String {
    match row.change {
        Some(change) if change.abs() >= 10.0 => "x".to_owned() + &format!("{:.0}", change + 1.0),
        Some(change) => format!("{:+.1} %", change * 100.0),
        None => String::new(),
    }
}
