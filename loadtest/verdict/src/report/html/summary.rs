//! The top of the page, before the pictures: the verdict in a sentence, its most important figures, and
//! the checks by promise.

use serde::Serialize;

use crate::check::{Check, Outcome, Verdict};
use crate::report::data::Report;
use crate::report::text;

/// The verdict in one sentence.
pub(super) fn sentence(report: &Report) -> String {
    let count = |outcome| report.checks.iter().filter(|check| check.outcome == outcome).count();
    let (all, unknown) = (report.checks.len(), count(Outcome::Unknown));
    let besides = match unknown {
        0 => String::new(),
        1 => " 1 had nothing to look at.".into(),
        more => format!(" {more} had nothing to look at."),
    };
    match report.verdict {
        Verdict::Held if all == 0 => "Nothing was checked.".into(),
        Verdict::Held => format!("{} of {all} checks came out as promised.{besides}", count(Outcome::Held)),
        Verdict::Broken => format!("{} of {all} checks did not come out as promised.{besides}", count(Outcome::Broken)),
        Verdict::Invalid => {
            "This run tells nothing, whatever else it found, because the generator or the run itself was at fault."
                .into()
        }
    }
}

/// Checks of one promise, and what they come to.
#[derive(Serialize)]
pub(super) struct Promise<'a> {
    title: String,
    outcome: Outcome,
    /// How many came out how.
    count: String,
    checks: Vec<&'a Check>,
}

pub(super) fn promises(checks: &[Check]) -> Vec<Promise<'_>> {
    let promises = (1..=8).map(Some).chain([None]);
    let of = |promise| checks.iter().filter(|check| check.promise == promise).collect::<Vec<_>>();
    promises.map(|promise| (promise, of(promise))).filter(|(_, checks)| !checks.is_empty()).map(promise).collect()
}

/// Outcomes by how much they weigh, with the words for how many there were.
const OUTCOMES: [(Outcome, &str); 4] = [
    (Outcome::Invalid, "invalid"),
    (Outcome::Broken, "broken"),
    (Outcome::Held, "held"),
    (Outcome::Unknown, "without anything to look at"),
];

fn promise((number, checks): (Option<u8>, Vec<&Check>)) -> Promise<'_> {
    let count = |outcome| checks.iter().filter(|check| check.outcome == outcome).count();
    let found = || OUTCOMES.iter().filter(|(outcome, _)| count(*outcome) > 0);
    let counts: Vec<String> = found().map(|&(outcome, words)| format!("{} {words}", count(outcome))).collect();
    let outcome = found().next().map_or(Outcome::Unknown, |(outcome, _)| *outcome);
    Promise { title: title(number), outcome, count: counts.join(", "), checks }
}

fn title(promise: Option<u8>) -> String {
    let name = match promise {
        Some(1) => "Hard limits",
        Some(2) => "Full use",
        Some(3) => "Fair",
        Some(4) => "Nobody is lost",
        Some(5) => "Nobody slips in",
        Some(6) => "Honest wait",
        Some(7) => "The shop's own traffic never pays for the crowd",
        Some(8) => "Declared failure",
        _ => return "Objectives and the generator itself".into(),
    };
    format!("Promise {}: {name}", promise.unwrap_or_default())
}

/// A figure of the strip under the verdict.
#[derive(Serialize)]
pub(super) struct Key {
    name: &'static str,
    value: String,
    note: String,
}

pub(super) fn keys(report: &Report) -> Vec<Key> {
    let run = &report.run;
    let key = |name, value: String, note: String| Key { name, value, note };
    let failed = run.failed as f64 / (run.requests.max(1) as f64);
    vec![
        key("visitors", text::grouped(run.visitors), format!("in {}", text::length(run.seconds))),
        key("most waiting", text::grouped(run.most_waiting), "at once".into()),
        key("let in", text::grouped(run.admitted), format!("at {} a second", text::number(run.rate))),
        key("use of the rate", measured(report, "use-of-rate", "share"), "while people waited".into()),
        key("overshoot", measured(report, "limit-any", ""), "above the limit, in any window".into()),
        key("inside first range", measured(report, "wait-inside", "share"), "of the waits shown".into()),
        key("page p99", text::figure(report.page.p99_ms, "ms"), "for those inside".into()),
        key("failed", text::grouped(run.failed), format!("5xx or none, {} of requests", text::figure(failed, "share"))),
    ]
}

/// A check's measurement.
fn measured(report: &Report, id: &str, unit: &str) -> String {
    let check = report.checks.iter().find(|check| check.id == id);
    check.and_then(|check| check.measured).map_or_else(|| "-".into(), |measured| text::figure(measured, unit))
}
