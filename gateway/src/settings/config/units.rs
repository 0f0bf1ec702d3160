//! Durations (`"250ms"`) and sizes (`"64KiB"`): a whole number and its unit, always written together.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::de::DeValue;
use toml_diagnostics::{Diagnostic, found};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "size", "pattern" = pattern(BYTES)))]
pub struct Size(pub usize);

pub(super) const fn ms(amount: u64) -> Duration {
    Duration::from_millis(amount)
}

pub(super) const fn secs(amount: u64) -> Duration {
    Duration::from_secs(amount)
}

pub(super) const fn mins(amount: u64) -> Duration {
    Duration::from_mins(amount)
}

/// Names and factors, smallest first.
pub(super) type Units = [(&'static str, u64)];

pub(super) const MILLISECONDS: &Units = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
pub(super) const BYTES: &Units = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

impl TryFrom<String> for Size {
    type Error = Diagnostic;

    fn try_from(text: String) -> Result<Self, Diagnostic> {
        let too_large = |_| Diagnostic::new("is too large for this machine", "write less");
        usize::try_from(of_text(&text, "a size", BYTES, "64KiB")?).map(Self).map_err(too_large)
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        shown(size.0 as u64, BYTES)
    }
}

/// How much a value is, in the smallest of these units. `kind` is what it is called in a message.
pub(super) fn amount(value: &DeValue<'_>, kind: &str, units: &Units, example: &str) -> Result<u64, Diagnostic> {
    match value {
        DeValue::String(text) => of_text(text, kind, units, example),
        DeValue::Integer(_) => Err(Diagnostic::new(format!("{} has no unit", found(value)), fix(units, example))),
        other => Err(Diagnostic::new(format!("{} is not {kind}", found(other)), fix(units, example))),
    }
}

/// How much a text says.
pub(super) fn of_text(text: &str, kind: &str, units: &Units, example: &str) -> Result<u64, Diagnostic> {
    parsed(text, units).ok_or_else(|| Diagnostic::new(format!("{text:?} is not {kind}"), fix(units, example)))
}

fn fix(units: &Units, example: &str) -> String {
    let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    format!("write a whole number with its unit ({}), such as \"{example}\"", names.join(", "))
}

fn parsed(text: &str, units: &Units) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

pub(super) fn shown(amount: u64, units: &Units) -> String {
    let fits = |(_, factor): &&(&str, u64)| amount >= *factor && amount.is_multiple_of(*factor);
    match units.iter().rev().find(fits).or(units.get(1)) {
        Some((name, factor)) => format!("{}{name}", amount / factor),
        None => amount.to_string(),
    }
}

pub(super) fn pattern(units: &Units) -> String {
    let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    format!("^[0-9]+ ?({})$", names.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_needs_a_unit_that_exists() {
        assert_eq!(parsed("250ms", MILLISECONDS), Some(250));
        assert_eq!(parsed("24 h", MILLISECONDS), Some(86_400_000));
        for bad in ["", "5", "s", "-5s", "1.5s", "5 minutes", "5M", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(parsed(bad, MILLISECONDS), None, "{bad}");
        }
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same() {
        for (amount, text) in [(0, "0s"), (999, "999ms"), (75_000, "75s"), (300_000, "5m"), (86_400_000, "1d")] {
            assert_eq!(shown(amount, MILLISECONDS), text);
            assert_eq!(parsed(text, MILLISECONDS), Some(amount));
        }
        assert_eq!(shown(65_536, BYTES), "64KiB");
    }
}
