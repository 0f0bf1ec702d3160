//! The figures of a report that can be held against those of another.

use crate::check::{Check, Outcome, Verdict};
use crate::report::data::Report;
use crate::report::text;

/// The kind of a figure, and so how much of a change is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Milliseconds.
    Time,
    /// A share, or a number between -1 and 1.
    Share,
    /// How many.
    Count,
    /// How many too many.
    Fault,
    /// What was sent: never better or worse.
    Fact,
}

/// A figure.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    /// The same in both reports.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) unit: String,
    pub(super) kind: Kind,
    pub(super) less_is_better: bool,
    /// Times in milliseconds; `None` if it was not measured.
    pub(super) value: Option<f64>,
    /// How a check or the verdict came out; a larger rank is worse.
    pub(super) rank: u8,
    /// The same as a word.
    pub(super) word: Option<&'static str>,
}

impl Figure {
    /// A fact without a unit.
    pub(super) fn new(id: &str, name: &str, value: Option<f64>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            unit: String::new(),
            kind: Kind::Fact,
            less_is_better: true,
            value,
            rank: 0,
            word: None,
        }
    }

    /// The same in a report that does not have it.
    pub(super) fn missing(&self) -> Self {
        Self { value: None, word: None, rank: 0, ..self.clone() }
    }

    /// For people: `98.2 %`, `held, 0 shoppers`.
    pub(super) fn text(&self) -> String {
        let value = self.value.map(|value| text::figure(value, &self.unit));
        match (self.word, value) {
            (Some(word), Some(value)) => format!("{word}, {value}"),
            (Some(word), None) => word.into(),
            (None, Some(value)) => value,
            (None, None) => "-".into(),
        }
    }
}

/// All figures of a report.
pub(super) fn of(report: &Report) -> Vec<Figure> {
    let mut figures = vec![verdict(report.verdict)];
    figures.extend(report.checks.iter().map(check));
    figures.extend(times(report));
    figures.extend(counts(report));
    figures
}

fn verdict(verdict: Verdict) -> Figure {
    let (rank, word) = match verdict {
        Verdict::Held => (0, "held"),
        Verdict::Broken => (1, "broken"),
        Verdict::Invalid => (2, "invalid"),
    };
    Figure { rank, word: Some(word), ..Figure::new("verdict", "Verdict", None) }
}

fn check(check: &Check) -> Figure {
    let (rank, word) = match check.outcome {
        Outcome::Held => (0, "held"),
        Outcome::Unknown => (1, "unknown"),
        Outcome::Broken => (2, "broken"),
        Outcome::Invalid => (3, "invalid"),
    };
    let (kind, scale) = (kind(check), if check.unit == "s" { 1000.0 } else { 1.0 });
    let unit = if check.unit == "s" { "ms" } else { &check.unit };
    Figure {
        id: format!("check {}", check.id),
        name: check.title.clone(),
        unit: unit.into(),
        kind,
        less_is_better: less_is_better(check),
        value: check.measured.map(|measured| measured * scale),
        rank,
        word: Some(word),
    }
}

/// A check's measurement. Below a limit more is no worse, and how the generator did says nothing of a gateway: of both only
/// the outcome counts.
fn kind(check: &Check) -> Kind {
    match check.unit.as_str() {
        _ if check.id.starts_with("generator-") => Kind::Fact,
        "ms" | "s" => Kind::Time,
        "share" | "tau" => Kind::Share,
        _ if check.allowed == Some(0.0) => Kind::Fault,
        _ => Kind::Fact,
    }
}

/// Whether a check allows at most, not at least: what it measured lies on the side that its outcome tells.
fn less_is_better(check: &Check) -> bool {
    match (check.measured, check.allowed) {
        (Some(measured), Some(allowed)) if measured != allowed => {
            (measured < allowed) == (check.outcome == Outcome::Held)
        }
        _ => check.unit != "share" && check.unit != "tau",
    }
}

/// The times that no check covers.
fn times(report: &Report) -> impl Iterator<Item = Figure> {
    let times = [
        ("page p50", "Pages for those inside, half within", report.page.count, report.page.p50_ms),
        ("outside p50", "Answers to those outside, half within", report.outside.count, report.outside.p50_ms),
        ("outside p99", "Answers to those outside, 99 of 100 within", report.outside.count, report.outside.p99_ms),
    ];
    times.into_iter().map(|(id, name, count, ms)| Figure {
        kind: Kind::Time,
        unit: "ms".into(),
        ..Figure::new(id, name, (count > 0).then_some(ms))
    })
}

fn counts(report: &Report) -> Vec<Figure> {
    let fact = |id: &str, name: &str, count: u64| Figure::new(id, name, Some(count as f64));
    let shoppers: u64 = report.waits.iter().map(|wait| wait.shoppers).sum();
    let errors: f64 = report.waits.iter().map(|wait| wait.error * wait.shoppers as f64).sum();
    let error = (shoppers > 0).then(|| errors / shoppers as f64);
    vec![
        fact("visitors", "Visitors", report.run.visitors),
        fact("most waiting", "Most waiting at once", report.run.most_waiting),
        Figure { kind: Kind::Count, less_is_better: false, ..fact("let in", "Let in", report.run.admitted) },
        Figure {
            kind: Kind::Count,
            less_is_better: false,
            ..Figure::new("orders", "Orders paid", report.orders.map(|orders| orders as f64))
        },
        Figure { kind: Kind::Fault, ..fact("failed", "Requests that failed", report.run.failed) },
        Figure {
            kind: Kind::Share,
            unit: "share".into(),
            ..Figure::new("wait error", "Error of the first wait shown", error)
        },
    ]
}
