//! A length of time as people write it: `250ms`, `2s`, `1m`, `2h`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest that is accepted: a week.
const LONGEST: Duration = Duration::from_hours(7 * 24);

/// A length of time in a scenario file or on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(pub Duration);

/// Why a text is not a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSpan {
    /// No unit, or none that is known.
    #[error("a length of time has a unit: 250ms, 2s, 1m, 2h")]
    Unit,
    /// What stands before the unit is no number.
    #[error("what stands before the unit is not a number")]
    Number,
    /// Below nothing, or longer than a week.
    #[error("a length of time lies between 0 and a week")]
    Range,
}

impl Span {
    /// Its name in schemas.
    pub(crate) const FORMAT: &str = "span";

    /// In seconds.
    pub fn seconds(self) -> f64 {
        self.0.as_secs_f64()
    }
}

impl FromStr for Span {
    type Err = NoSpan;

    fn from_str(text: &str) -> Result<Self, NoSpan> {
        let split = text.find(|c: char| c.is_ascii_alphabetic()).ok_or(NoSpan::Unit)?;
        let (number, unit) = text.split_at(split);
        let scale = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(NoSpan::Unit),
        };
        let seconds = number.trim().parse::<f64>().map_err(|_| NoSpan::Number)? * scale;
        let span = Duration::try_from_secs_f64(seconds).map_err(|_| NoSpan::Range)?;
        if span > LONGEST { Err(NoSpan::Range) } else { Ok(Self(span)) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            ms if ms >= 60_000 && ms % 60_000 == 0 => write!(f, "{}m", ms / 60_000),
            ms if ms % 1000 == 0 => write!(f, "{}s", ms / 1000),
            ms => write!(f, "{ms}ms"),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": Self::FORMAT,
            "description": "A length of time with its unit: 250ms, 2s, 1m, 2h.",
            "pattern": r"^[0-9]+(\.[0-9]+)?\s*(ms|s|m|h)$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_a_unit() {
        let span = |text: &str| text.parse::<Span>().map(|span| span.0);
        assert_eq!(span("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(span("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(span("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(span("1h"), Ok(Duration::from_hours(1)));
        assert_eq!(span("5"), Err(NoSpan::Unit));
        assert_eq!(span("5d"), Err(NoSpan::Unit));
        assert_eq!(span("ms"), Err(NoSpan::Number));
        for wrong in ["-1s", "1000h"] {
            assert_eq!(span(wrong), Err(NoSpan::Range), "{wrong}");
        }
    }

    #[test]
    fn a_length_of_time_reads_as_it_was_written() {
        for text in ["250ms", "2s", "1m", "90s", "120m"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
    }
}
