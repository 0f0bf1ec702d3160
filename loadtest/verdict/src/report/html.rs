//! The report as one HTML file: style and pictures inside, nothing fetched, no script.
//!
//! `page.html` is the page, `page.css` its style. All text is escaped by the template engine; only our own pictures go
//! in as they are.

mod summary;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use serde::Serialize;

use super::chart::{self, NotDrawn, Picture, Role};
use super::data::Report;
use super::{charts, text};

/// Class, width and height in pixels of a picture over the whole page, over half of it, and on a phone.
const WIDE: Size = ("wide", 1040, 250);
const HALF: Size = ("wide", 505, 400);
const NARROW: Size = ("narrow", 330, 240);

type Size = (&'static str, u32, u32);

/// The page.
pub fn page(report: &Report) -> Result<String, NotDrawn> {
    let figures: Vec<Figure> = charts::all(report).into_iter().map(figure).collect::<Result<_, _>>()?;
    let context = context! {
        report => Serde(report),
        figures => Serde(figures),
        style => Value::from_safe_string(include_str!("page.css").into()),
        sentence => summary::sentence(report),
        groups => Serde(summary::promises(&report.checks)),
        keys => Serde(summary::keys(report)),
        ends => Serde(report.ends.iter().collect::<Vec<_>>()),
        personas => Serde(report.personas.iter().collect::<Vec<_>>()),
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
    id: &'static str,
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
    let charts::Chart { id, title, caption, alt, half, .. } = chart;
    Ok(Figure { id, title, caption, alt, legend, half, drawings })
}

fn drawing(picture: &Picture, (class, width, height): Size) -> Result<Drawing, NotDrawn> {
    let svg = Value::from_safe_string(chart::draw(picture, width, height)?);
    Ok(Drawing { class, view_box: chart::view_box(width, height), svg })
}
