//! The pictures of a report, in the order in which they are read.
//!
//! Each comes with a sentence that says how to read it, and with its most important figures in words, for
//! readers who cannot see it.

use super::chart::{Axis, Marker, Picture, Role, Scale, Shape};
use super::data::{Moment, Purchases, Report};
use super::text::{clock, figure, grouped, length, number};
use crate::order::Entry;

/// The most points of a line: a screen shows no more.
const MOST_POINTS: usize = 480;

// How the pictures are read.
const ARRIVALS: &str = "How many people came in each second. This is the crowd that the scenario asks for.";
const WAITING: &str = "How many stood in the line. It grows while more come than are let in or leave, and then falls as fast as the \
    room lets people in.";
const LATENCY: &str = "Pages of the shop for those inside, and answers of the gateway to those outside, from the instant that a \
    request was due. Each step of the scale is ten times the one below. The lines for those inside should not \
    rise when the crowd comes.";
const WAITS: &str = "Across: how long a tenth of the shoppers waited. Up: the range that they were shown first. Where the band \
    holds the dot, the range told the truth.";
const PURCHASES: &str = "What the room lets in, what the slowest stage of the shop delivers, and what was sold, each second. When a stage gets \
    slower, sales should lie on the capacity, and come back with it.";
const FORMS: &str = "How long the shop and the gateway took for the forms that came through, from the instant that each was due. Forms \
    that wait at the gateway are sent again, and each sending counts for itself.";
const FAIRNESS: &str = "Up: place among those let in, by ticket. Across: when the ticket was given (line) and when its holder was \
    let in (dots). Dots on one rising curve are fair; a dot left of the others overtook, and the way from line \
    to dot is the wait.";

/// A picture with its words.
pub(super) struct Chart {
    /// Its name in the page.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// How to read it.
    pub(super) caption: String,
    /// Its content, in words.
    pub(super) alt: String,
    pub(super) legend: Vec<(Role, &'static str)>,
    /// `None` if there is nothing to draw.
    pub(super) picture: Option<Picture>,
    /// Whether half of a page is wide enough.
    pub(super) half: bool,
}

/// All pictures of a report.
pub(super) fn all(report: &Report) -> Vec<Chart> {
    let mut charts = vec![arrivals(report), waiting(report), admitted(report)];
    if !report.purchases.is_empty() {
        charts.extend([purchases(report), forms(report)]);
    }
    charts.extend([latency(report), waits(report), fairness(report)]);
    charts
}

fn arrivals(report: &Report) -> Chart {
    let arrived = mean(report, |moment| moment.arrived as f64);
    let most = peak(report, |moment| moment.arrived as f64);
    Chart {
        id: "arrivals",
        title: "Arrivals",
        caption: ARRIVALS.into(),
        alt: format!(
            "Line over time: {} people came, at most {} in a second, at {}.",
            grouped(report.run.visitors),
            number(most.1),
            clock(most.0)
        ),
        legend: vec![(Role::Arrived, "people who came, per second")],
        picture: over_time(report, Axis::from_zero(Scale::Count, highest(&arrived)), hill(Role::Arrived, arrived)),
        half: false,
    }
}

fn waiting(report: &Report) -> Chart {
    let waiting = mean(report, |moment| moment.waiting as f64);
    let most = peak(report, |moment| moment.waiting as f64);
    Chart {
        id: "waiting",
        title: "People waiting",
        caption: WAITING.into(),
        alt: format!("Line over time: at most {} people waited, at {}.", number(most.1), clock(most.0)),
        legend: vec![(Role::Waiting, "people in the line")],
        picture: over_time(report, Axis::from_zero(Scale::Count, highest(&waiting)), hill(Role::Waiting, waiting)),
        half: false,
    }
}

fn admitted(report: &Report) -> Chart {
    let admitted = mean(report, |moment| moment.admitted as f64);
    let at_shop = mean(report, |moment| moment.at_shop.map_or(f64::NAN, |new| new as f64));
    let rate = report.run.rate;
    let most = peak(report, |moment| moment.admitted as f64);
    let top = highest(&admitted).max(highest(&at_shop)).max(rate);
    let mut marks = vec![rule(report, Role::Limit, rate)];
    let mut legend = vec![(Role::Admitted, "passes granted, per second")];
    if at_shop.iter().any(|point| !point.1.is_nan()) {
        marks.push(line(Role::AtShop, at_shop));
        legend.push((Role::AtShop, "new shoppers at the shop, per second"));
    }
    marks.push(line(Role::Admitted, admitted));
    legend.push((Role::Limit, "the room's rate"));
    Chart {
        id: "let-in",
        title: "Let in, against the limit",
        caption: format!(
            "While people wait, the lines should lie on the rate of {} a second: below it turns are wasted, above it the \
             shop is overrun. A single second may hold {} more (the burst).",
            number(rate),
            number(report.run.burst)
        ),
        alt: format!(
            "Lines over time: {} passes were granted, at most {} in a second, with a rate of {} a second.",
            grouped(report.run.admitted),
            number(most.1),
            number(rate)
        ),
        legend,
        picture: over_time(report, Axis::from_zero(Scale::Count, top), marks),
        half: false,
    }
}

fn purchases(report: &Report) -> Chart {
    let rate = series(report, |second| second.rate);
    let capacity = series(report, |second| second.capacity);
    let bought = series(report, |second| Some(second.bought as f64));
    let all: u64 = report.purchases.iter().map(|second| second.bought).sum();
    let white: u64 = report.purchases.iter().map(|second| second.white).sum();
    let top = [&rate, &capacity, &bought].map(|points| highest(points)).into_iter().fold(0.0, f64::max);
    Chart {
        id: "purchases",
        title: "Rate, capacity and goodput",
        caption: PURCHASES.into(),
        alt: format!(
            "Lines over time: {} were sold, and {} pages led people with a pass nowhere.",
            grouped(all),
            grouped(white)
        ),
        legend: vec![
            (Role::Admitted, "sold, per second"),
            (Role::AtShop, "what the shop delivers, per second"),
            (Role::Limit, "rate in force, per second"),
        ],
        picture: over_time(
            report,
            Axis::from_zero(Scale::Count, top),
            vec![line(Role::Limit, rate), line(Role::AtShop, capacity), line(Role::Admitted, bought)],
        ),
        half: false,
    }
}

fn forms(report: &Report) -> Chart {
    let log = |ms: Option<f64>| ms.map(|ms| ms.max(0.01).log10());
    let orders = series(report, |second| log(second.order_p95_ms));
    let payments = series(report, |second| log(second.payment_p95_ms));
    let values = || orders.iter().chain(&payments).map(|point| point.1).filter(|value| !value.is_nan());
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let longest = |of: fn(&Purchases) -> Option<f64>| report.purchases.iter().filter_map(of).fold(0.0, f64::max);
    let alt = format!(
        "Lines over time: in the worst second 95 of 100 orders came within {}, and payments within {}.",
        length(longest(|second| second.order_p95_ms) / 1000.0),
        length(longest(|second| second.payment_p95_ms) / 1000.0)
    );
    let y = Axis { scale: Scale::LogMillis, from: low - 0.12, to: high + 0.12 };
    let marks = vec![line(Role::Outside, payments), line(Role::Inside, orders)];
    Chart {
        id: "forms",
        title: "How long orders and payments took",
        caption: FORMS.into(),
        alt,
        legend: vec![(Role::Inside, "orders, 95 of 100 within"), (Role::Outside, "payments, 95 of 100 within")],
        picture: if low <= high { over_time(report, y, marks) } else { None },
        half: false,
    }
}

fn latency(report: &Report) -> Chart {
    let log = |count: u64, ms: f64| if count > 0 { ms.max(0.01).log10() } else { f64::NAN };
    let lines = [
        (Role::OutsideMedian, most(report, |moment| log(moment.outside_latency.count, moment.outside_latency.p50_ms))),
        (Role::Outside, most(report, |moment| log(moment.outside_latency.count, moment.outside_latency.p99_ms))),
        (Role::InsideMedian, most(report, |moment| log(moment.inside_latency.count, moment.inside_latency.p50_ms))),
        (Role::Inside, most(report, |moment| log(moment.inside_latency.count, moment.inside_latency.p99_ms))),
    ];
    let values = || lines.iter().flat_map(|line| &line.1).map(|point| point.1).filter(|value| !value.is_nan());
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let y = Axis { scale: Scale::LogMillis, from: low - 0.12, to: high + 0.12 };
    let marks = lines.into_iter().map(|(role, points)| line(role, points)).collect();
    Chart {
        id: "latency",
        title: "How long answers took",
        caption: LATENCY.into(),
        alt: format!(
            "Lines over time. Inside: half within {}, 99 of 100 within {}. Outside: half within {}, 99 of 100 within {}.",
            length(report.page.p50_ms / 1000.0),
            length(report.page.p99_ms / 1000.0),
            length(report.outside.p50_ms / 1000.0),
            length(report.outside.p99_ms / 1000.0)
        ),
        legend: vec![
            (Role::Inside, "inside, 99 of 100 within"),
            (Role::InsideMedian, "inside, half within"),
            (Role::Outside, "outside, 99 of 100 within"),
            (Role::OutsideMedian, "outside, half within"),
        ],
        picture: if low <= high { over_time(report, y, marks) } else { None },
        half: false,
    }
}

fn waits(report: &Report) -> Chart {
    let waits = &report.waits;
    let top = waits.iter().flat_map(|wait| [wait.high, wait.had]).fold(0.0, f64::max);
    let lows = waits.iter().map(|wait| (wait.had, wait.low));
    let highs = waits.iter().rev().map(|wait| (wait.had, wait.high));
    let shoppers: u64 = waits.iter().map(|wait| wait.shoppers).sum();
    let inside: f64 = waits.iter().map(|wait| wait.inside * wait.shoppers as f64).sum();
    let axis = || Axis::from_zero(Scale::Time, top);
    let ends = axis().to;
    let marks = vec![
        Marker { role: Role::Range, shape: Shape::Band, points: lows.chain(highs).collect() },
        line(Role::Even, vec![(0.0, 0.0), (ends, ends)]),
        Marker {
            role: Role::Had,
            shape: Shape::Dots(3.6),
            points: waits.iter().map(|wait| (wait.had, wait.had)).collect(),
        },
    ];
    Chart {
        id: "waits",
        title: "Wait shown, against wait had",
        caption: WAITS.into(),
        alt: format!(
            "{} shoppers in {} groups by their wait; {} entered inside the range that they were shown first.",
            grouped(shoppers),
            waits.len(),
            figure(inside / (shoppers.max(1) as f64), "share")
        ),
        legend: vec![(Role::Range, "range shown first (mean)"), (Role::Had, "wait had"), (Role::Even, "shown = had")],
        picture: (!waits.is_empty()).then(|| Picture { x: axis(), y: axis(), marks }),
        half: true,
    }
}

fn fairness(report: &Report) -> Chart {
    let points = |of: fn(&Entry) -> f64| report.entries.iter().map(move |entry| (of(entry), entry.place as f64));
    let last = report.entries.iter().map(|entry| entry.place).max().unwrap_or(0);
    let end = report.entries.iter().map(|entry| entry.at).fold(0.0, f64::max);
    let marks = vec![
        line(Role::Joined, points(|entry| entry.joined).collect()),
        Marker { role: Role::Entered, shape: Shape::Dots(1.6), points: points(|entry| entry.at).collect() },
    ];
    Chart {
        id: "fairness",
        title: "Fairness",
        caption: FAIRNESS.into(),
        alt: format!(
            "{} of {} people who were let in, by ticket and time; the last at {}.",
            grouped(report.entries.len() as u64),
            grouped(last),
            clock(end)
        ),
        legend: vec![(Role::Entered, "let in"), (Role::Joined, "ticket given")],
        picture: (last > 0).then(|| Picture {
            x: Axis::from_zero(Scale::Time, end),
            y: Axis::from_zero(Scale::Count, last as f64),
            marks,
        }),
        half: true,
    }
}

fn line(role: Role, points: Vec<(f64, f64)>) -> Marker {
    Marker { role, shape: Shape::Line, points }
}

/// A line and what lies below it.
fn hill(role: Role, points: Vec<(f64, f64)>) -> Vec<Marker> {
    vec![Marker { role, shape: Shape::Area, points: points.clone() }, line(role, points)]
}

/// A level line over the whole time.
fn rule(report: &Report, role: Role, level: f64) -> Marker {
    line(role, vec![(0.0, level), (end(report), level)])
}

fn over_time(report: &Report, y: Axis, marks: Vec<Marker>) -> Option<Picture> {
    let x = Axis { scale: Scale::Time, from: 0.0, to: end(report) };
    (report.timeline.len() > 1).then_some(Picture { x, y, marks })
}

fn end(report: &Report) -> f64 {
    report.timeline.last().map_or(1.0, |moment| moment.at)
}

fn highest(points: &[(f64, f64)]) -> f64 {
    points.iter().map(|point| point.1).fold(0.0, f64::max)
}

/// When a value was largest, and how large.
fn peak(report: &Report, of: impl Fn(&Moment) -> f64) -> (f64, f64) {
    let values = report.timeline.iter().map(|moment| (moment.at, of(moment)));
    values.fold((0.0, 0.0), |most, value| if value.1 > most.1 { value } else { most })
}

/// A value over time; the mean of neighbours where a run is longer than a screen is wide.
fn mean(report: &Report, of: impl Fn(&Moment) -> f64) -> Vec<(f64, f64)> {
    thinned(report, |moments| moments.iter().map(&of).sum::<f64>() / moments.len() as f64)
}

/// The same with the largest of the neighbours.
fn most(report: &Report, of: impl Fn(&Moment) -> f64) -> Vec<(f64, f64)> {
    thinned(report, |moments| moments.iter().map(&of).fold(f64::NAN, f64::max))
}

/// A value of each second of purchases; the mean of neighbours that have one.
fn series(report: &Report, of: impl Fn(&Purchases) -> Option<f64>) -> Vec<(f64, f64)> {
    let together = report.purchases.len().div_ceil(MOST_POINTS).max(1);
    let point = |seconds: &[Purchases]| {
        let values: Vec<f64> = seconds.iter().filter_map(&of).collect();
        let mean = if values.is_empty() { f64::NAN } else { values.iter().sum::<f64>() / values.len() as f64 };
        (seconds.last().map_or(0.0, |second| second.at), mean)
    };
    report.purchases.chunks(together).map(point).collect()
}

fn thinned(report: &Report, of: impl Fn(&[Moment]) -> f64) -> Vec<(f64, f64)> {
    let together = report.timeline.len().div_ceil(MOST_POINTS).max(1);
    report.timeline.chunks(together).map(|moments| (moments[moments.len() - 1].at, of(moments))).collect()
}
