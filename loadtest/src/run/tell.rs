//! What a run says at its end, and where its report lies.

use std::path::PathBuf;

use anyhow::Context;
use loadtest::report::{Report, Run, figure};
use loadtest::verdict::{Check, Outcome, Verdict};

/// Writes the report, and tells the verdict. What broke stands last, where it is read.
pub(crate) fn tell(report: &Report, folder: Option<&PathBuf>) -> anyhow::Result<()> {
    let folder = folder.cloned().unwrap_or_else(|| default_folder(&report.run));
    report.save(&folder).with_context(|| format!("the report cannot be written to {}", folder.display()))?;
    let mut checks: Vec<_> = report.checks.iter().collect();
    checks.sort_by_key(|check| rank(check.outcome));
    println!();
    checks.iter().for_each(|check| println!("{}", line(check)));
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

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "HELD: every promise and objective that could be looked at.",
        Verdict::Broken => "BROKEN: see above.",
        Verdict::Invalid => "INVALID: the run tells nothing; what was at fault stands last.",
    }
}
