//! The closing lines of a run, and the folder of its report.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use verdict::report::{Attack, Failure, Report, Run, Step, figure};
use verdict::{Check, Outcome, Verdict};

/// Writes the report, and prints the verdict. Broken checks stand last, where they are read.
pub(crate) fn tell(report: &Report, folder: Option<&PathBuf>) -> anyhow::Result<()> {
    let folder = folder.cloned().unwrap_or_else(|| default_folder(&report.run));
    report.save(&folder).with_context(|| format!("the report cannot be written to {}", folder.display()))?;
    let mut checks: Vec<_> = report.checks.iter().collect();
    checks.sort_by_key(|check| rank(check.outcome));
    println!();
    for check in checks {
        println!("{}", line(check));
    }
    report.attacks.iter().for_each(|attack| println!("{}", row(attack)));
    (1..).zip(&report.steps).for_each(|(number, step)| println!("{}", of_step(number, step)));
    println!("\n{}\nThe report: {}", verdict(report.verdict), folder.join("report.html").display());
    Ok(())
}

/// A folder of its own for each run, by its start.
fn default_folder(run: &Run) -> PathBuf {
    let plain = |text: &str| text.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect::<String>();
    PathBuf::from("reports").join(format!("{}-{}", plain(&run.scenario), plain(&run.started)))
}

fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Held => 0,
        Outcome::Unknown => 1,
        Outcome::Broken => 2,
        Outcome::Invalid => 3,
    }
}

fn line(check: &Check) -> String {
    let word = match check.outcome {
        Outcome::Held => "held   ",
        Outcome::Unknown => "unknown",
        Outcome::Broken => "BROKEN ",
        Outcome::Invalid => "INVALID",
    };
    let figure = |value: f64| figure(value, &check.unit);
    let measured = check.measured.map(figure).unwrap_or_default();
    let allowed = check.allowed.map(|allowed| format!(" (allowed {})", figure(allowed))).unwrap_or_default();
    let figures = measured + &allowed;
    let Check { title, detail, .. } = check;
    match check.outcome {
        Outcome::Held => format!("  {word}  {title}: {figures}"),
        Outcome::Unknown => format!("  {word}  {title}: {detail}"),
        Outcome::Broken | Outcome::Invalid => format!("  {word}  {title}: {figures}\n           {detail}"),
    }
}

/// An attack in a line.
fn row(attack: &Attack) -> String {
    let memory = attack
        .memory
        .map_or_else(String::new, |[before, most]| format!(", memory {} to {} MiB", before >> 20, most >> 20));
    format!(
        "  {:16}{:>4.0} s to {:>3.0} s: {} requests, {} connections at once, {} cut; inside {} pages, {} failed, p99 {} ({:.1} times), {} of calm{memory}",
        attack.kind.name(),
        attack.from,
        attack.until,
        attack.requests,
        attack.most,
        attack.cut,
        attack.pages,
        attack.failed,
        figure(attack.p99_ms, "ms"),
        attack.p99_times,
        figure(attack.throughput, "share"),
    )
}

/// A step of the journey in a line, and one for each reason why it failed.
fn of_step(number: usize, step: &Step) -> String {
    let p99 = if step.latency.count > 0 { figure(step.latency.p99_ms, "ms") } else { "-".into() };
    let mut text = format!("  step {number:>2}  {}: {} did it, p99 {p99}", step.name, step.done);
    for Failure { why, mend, times, ended } in &step.failures {
        let _ = write!(text, "\n           {why}, {times} times, {ended} visits ended so: {mend}");
    }
    text
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "HELD: every promise and objective that could be looked at.",
        Verdict::Broken => "BROKEN: see above.",
        Verdict::Invalid => "INVALID: the run tells nothing; what was at fault stands last.",
    }
}
