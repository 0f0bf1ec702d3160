//! A check and its outcome.
//!
//! A check begins unknown. Only a measurement against a bound makes it held or broken.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Sums of decimals may miss a whole number by this much.
const ROUNDING: f64 = 1e-6;

/// The outcome of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every promise and objective held: exit code 0.
    Held,
    /// A promise or an objective was broken: exit code 1.
    Broken,
    /// The run tells nothing, because the generator itself failed: exit code 2.
    Invalid,
}

/// The outcome of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As promised.
    Held,
    /// Not as promised.
    Broken,
    /// There was nothing to look at; `detail` says why.
    Unknown,
    /// The generator was at fault: the run is invalid.
    Invalid,
}

/// One line of the verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Its name for programs: `limit-1s`.
    pub id: String,
    /// Number of the promise in the model, 1 to 8; `None` for an objective of the run or the generator.
    pub promise: Option<u8>,
    /// The question, for people.
    pub title: String,
    /// How it came out.
    pub outcome: Outcome,
    /// The measurement, in `unit`.
    pub measured: Option<f64>,
    /// The bound, in `unit`.
    pub allowed: Option<f64>,
    /// Unit of both: `shoppers`, `ms`, `share`, ...
    pub unit: String,
    /// How it was measured, or which visitors it found: one or two sentences.
    pub detail: String,
}

impl Check {
    /// A check without a measurement yet.
    pub(crate) fn new(id: &str, title: &str) -> Self {
        Self {
            id: id.to_owned(),
            promise: None,
            title: title.to_owned(),
            outcome: Outcome::Unknown,
            measured: None,
            allowed: None,
            unit: String::new(),
            detail: String::new(),
        }
    }

    /// The promise of the model that it covers.
    pub(crate) fn promise(self, number: u8) -> Self {
        Self { promise: Some(number), ..self }
    }

    /// Unit of what is measured and allowed.
    pub(crate) fn unit(self, unit: &str) -> Self {
        Self { unit: unit.to_owned(), ..self }
    }

    /// Held if no more was measured than is allowed.
    pub(crate) fn at_most(self, measured: f64, allowed: f64) -> Self {
        self.judged(measured, allowed, measured <= allowed + ROUNDING)
    }

    /// Held if no less was measured than is asked for.
    pub(crate) fn at_least(self, measured: f64, asked: f64) -> Self {
        self.judged(measured, asked, measured >= asked - ROUNDING)
    }

    /// Held if there were none.
    pub(crate) fn none(self, count: usize) -> Self {
        self.at_most(count as f64, 0.0)
    }

    /// How it was measured, or why it was not.
    pub(crate) fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// A broken check makes the run invalid: it is the generator's own fault.
    pub(crate) fn or_invalid(self) -> Self {
        let outcome = if self.outcome == Outcome::Broken { Outcome::Invalid } else { self.outcome };
        Self { outcome, ..self }
    }

    fn judged(self, measured: f64, allowed: f64, holds: bool) -> Self {
        let outcome = if holds { Outcome::Held } else { Outcome::Broken };
        Self { outcome, measured: Some(measured), allowed: Some(allowed), ..self }
    }
}

impl Verdict {
    /// Of all checks. The generator's own fault outweighs what it seems to have found.
    pub fn of(checks: &[Check]) -> Self {
        let any = |outcome| checks.iter().any(|check| check.outcome == outcome);
        match () {
            () if any(Outcome::Invalid) => Self::Invalid,
            () if any(Outcome::Broken) => Self::Broken,
            () => Self::Held,
        }
    }

    /// Exit code of a run.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Held => 0,
            Self::Broken => 1,
            Self::Invalid => 2,
        }
    }
}

/// Names a few of the visitors found: ` First: visitor 3, visitor 9.`
pub(crate) fn first_of(found: &[u64]) -> String {
    if found.is_empty() {
        return String::new();
    }
    let named: Vec<String> = found.iter().take(3).map(|index| format!("visitor {index}")).collect();
    format!(" First of them: {}.", named.join(", "))
}

/// A share of so many, 0 to 1; 0 of none.
pub(crate) fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_measured_nothing_is_unknown() {
        let check = Check::new("x", "x").detail("no log");
        assert_eq!((check.outcome, check.measured), (Outcome::Unknown, None));
        assert_eq!(check.or_invalid().outcome, Outcome::Unknown);
    }

    #[test]
    fn the_generators_fault_outweighs_what_it_found() {
        let broken = Check::new("x", "x").at_most(2.0, 1.0);
        let invalid = broken.clone().or_invalid();
        let held = Check::new("x", "x").at_least(1.0, 1.0);
        assert_eq!(Verdict::of(&[held.clone(), broken.clone()]).exit_code(), 1);
        assert_eq!(Verdict::of(&[broken, invalid, held.clone()]).exit_code(), 2);
        assert_eq!(Verdict::of(&[held, Check::new("y", "y")]).exit_code(), 0);
    }
}
