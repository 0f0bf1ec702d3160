//! The report as one HTML file: style and pictures inside, nothing fetched, no script.
//!
//! `page.html` is the page, `page.css` its style. All text is escaped by the template engine; only our own pictures go
//! in as they are.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use serde::Serialize;

use super::chart::{self, Picture, Role};
use super::{Report, charts, text};
use crate::verdict::{Check, Outcome, Verdict};

/// Class, width and height in pixels of a picture over the whole page, over half of it, and on a phone.
const WIDE: Size = ("wide", 1040, 250);
const HALF: Size = ("wide", 505, 400);
const NARROW: Size = ("narrow", 330, 240);

type Size = (&'static str, u32, u32);

/// Why there is no page: always a fault of this program.
#[derive(Debug, thiserror::Error)]
pub enum NotDrawn {
    /// A picture.
    #[error("a picture cannot be drawn: {0}")]
    Chart(String),
    /// The page itself.
    #[error("the page cannot be written: {0:#}")]
    Page(#[from] minijinja::Error),
}

/// The page.
pub fn page(report: &Report) -> Result<String, NotDrawn> {
    let figures: Vec<Figure> = charts::all(report).into_iter().map(figure).collect::<Result<_, _>>()?;
    let context = context! {
        report => Serde(report),
        figures => Serde(figures),
        style => Value::from_safe_string(include_str!("page.css").into()),
        sentence => sentence(report),
        groups => Serde(groups(&report.checks)),
        keys => Serde(keys(report)),
    };
    Ok(environment()?.render_named_str("page.html", include_str!("page.html"), context)?)
}

fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_filter("grouped", text::grouped);
    environment.add_filter("clock", text::clock);
    environment.add_filter("length", text::length);
    environment.add_filter("ms", |ms: f64| text::figure(ms, "ms"));
    environment.add_filter("percent", |share: f64| text::figure(share, "share"));
    environment.add_filter("words", |name: String| name.replace('_', " "));
    environment.add_filter("measure", |value: Option<f64>, unit: String| {
        value.map_or_else(|| "-".into(), |value| text::figure(value, &unit))
    });
    environment.add_filter("bytes", |bytes: u64| format!("{} MB", text::grouped(bytes.div_ceil(1 << 20))));
    Ok(environment)
}

/// A picture as the page has it.
#[derive(Serialize)]
struct Figure {
    title: &'static str,
    caption: String,
    alt: String,
    legend: Vec<(&'static str, &'static str)>,
    half: bool,
    drawings: Vec<Drawing>,
}

/// One size of it; the page shows the one that fits.
#[derive(Serialize)]
struct Drawing {
    class: &'static str,
    view_box: String,
    svg: Value,
}

fn figure(chart: charts::Chart) -> Result<Figure, NotDrawn> {
    let sizes = [if chart.half { HALF } else { WIDE }, NARROW];
    let drawing = |picture| sizes.map(|size| drawing(picture, size)).into_iter().collect::<Result<_, _>>();
    let drawings = chart.picture.as_ref().map_or_else(|| Ok(Vec::new()), drawing)?;
    let legend = chart.legend.into_iter().map(|(role, name): (Role, _)| (role.class(), name)).collect();
    Ok(Figure { title: chart.title, caption: chart.caption, alt: chart.alt, legend, half: chart.half, drawings })
}

fn drawing(picture: &Picture, (class, width, height): Size) -> Result<Drawing, NotDrawn> {
    let svg = Value::from_safe_string(chart::draw(picture, width, height)?);
    Ok(Drawing { class, view_box: chart::view_box(width, height), svg })
}

/// The verdict in one sentence.
fn sentence(report: &Report) -> String {
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
        Verdict::Invalid => "This run tells nothing, because the generator itself failed.".into(),
    }
}

/// Checks of one promise.
#[derive(Serialize)]
struct Group<'a> {
    title: String,
    checks: Vec<&'a Check>,
}

fn groups(checks: &[Check]) -> Vec<Group<'_>> {
    let promises = (1..=8).map(Some).chain([None]);
    let of = |promise| checks.iter().filter(|check| check.promise == promise).collect::<Vec<_>>();
    let groups = promises.map(|promise| Group { title: promised(promise), checks: of(promise) });
    groups.filter(|group| !group.checks.is_empty()).collect()
}

fn promised(promise: Option<u8>) -> String {
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
struct Key {
    name: &'static str,
    value: String,
    note: String,
}

fn keys(report: &Report) -> Vec<Key> {
    let run = &report.run;
    let key = |name, value: String, note: String| Key { name, value, note };
    let checked = |id: &str| {
        let check = report.checks.iter().find(|check| check.id == id);
        check.and_then(|check| check.measured.map(|measured| text::figure(measured, &check.unit)))
    };
    let failed = run.failed as f64 / (run.requests.max(1) as f64);
    vec![
        key("visitors", text::grouped(run.visitors), format!("in {}", text::length(run.seconds))),
        key("most waiting", text::grouped(run.most_waiting), "at once".into()),
        key("let in", text::grouped(run.admitted), format!("at {} a second", text::number(run.rate))),
        key("use of the rate", checked("use").unwrap_or_else(|| "-".into()), "while people waited".into()),
        key("overshoot", checked("limit-1s").unwrap_or_else(|| "-".into()), "in any second".into()),
        key("inside first range", checked("wait-inside").unwrap_or_else(|| "-".into()), "of the waits shown".into()),
        key("page p99", text::figure(report.page.p99_ms, "ms"), "for those inside".into()),
        key("failed", text::grouped(run.failed), format!("5xx or none, {} of requests", text::figure(failed, "share"))),
    ]
}
