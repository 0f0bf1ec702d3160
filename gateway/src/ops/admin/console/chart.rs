//! The last minutes of a room as SVG: a panel each for arrivals, admissions against the limit, and who waits.
//!
//! A curve is a path in a box of its own that is stretched; numbers and marks stand beside it, so no letter is. Colours are classes of the
//! style: the policy allows no style in an element.
//!
//! Out of scope: the charts of the load test's report, which are files of a fixed size made by a crate of their own (plotters).

use std::fmt::Write as _;
use std::sync::Arc;

use super::texts;
use crate::ops::live::{RoomSample, Sample};
use crate::ui::Language;

/// Points of a curve, at most: in five minutes one for each second.
const COLUMNS: usize = 300;
/// Parts of the time below a chart.
const PARTS: u64 = 5;

/// What is drawn.
pub(super) struct Chart<'a> {
    pub samples: &'a [Arc<Sample>],
    pub room: &'a str,
    /// From when to when, in milliseconds since 1970.
    pub begin: u64,
    pub end: u64,
    pub marks: &'a [Mark],
    pub language: Language,
}

/// A change, by its number in the list beside the chart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub at_ms: u64,
    pub number: usize,
}

/// A curve: its class, and the mean of each column; `None`: nothing is known of it.
struct Curve {
    class: &'static str,
    means: Vec<Option<f64>>,
}

impl Chart<'_> {
    /// Title, last value and drawing of each panel.
    pub(super) fn panels(&self) -> Vec<(&'static str, String, String)> {
        let text = |key| texts::text(self.language, key);
        let arrivals = [self.curve("arrivals", |room| f64::from(room.arrivals_per_second))];
        let admitted = [
            self.curve("limit", |room| f64::from(room.allowed_per_minute) / 60.0),
            self.curve("admitted", |room| f64::from(room.admitted_per_second)),
        ];
        let waiting = [self.curve("waiting", |room| room.waiting as f64)];
        vec![
            self.panel(text("arrivals"), text("per_second"), &arrivals),
            self.panel(text("admitted_against_limit"), text("per_second"), &admitted),
            self.panel(text("waiting"), "", &waiting),
        ]
    }

    fn panel(&self, title: &'static str, unit: &str, curves: &[Curve]) -> (&'static str, String, String) {
        let last = |curve: &Curve| curve.means.iter().rev().find_map(|mean| *mean).unwrap_or_default();
        let now = curves.iter().rev().map(|curve| texts::number(last(curve))).collect::<Vec<_>>().join(" / ");
        let now = format!("{now}{unit}");
        let top = ceiling(curves.iter().flat_map(|curve| &curve.means).flatten().copied().fold(1.0, f64::max));
        (title, now.clone(), self.svg(&format!("{title}: {now}"), top, curves))
    }

    fn curve(&self, class: &'static str, value: impl Fn(&RoomSample) -> f64) -> Curve {
        let mut sums = vec![(0.0, 0_u32); COLUMNS];
        for sample in self.samples {
            let Some(room) = sample.rooms.iter().find(|room| *room.name == *self.room) else { continue };
            if let Some((sum, count)) = sums.get_mut(self.column(sample.at_ms)) {
                (*sum, *count) = (*sum + value(room), *count + 1);
            }
        }
        let mean = |(sum, count): (f64, u32)| (count > 0).then(|| sum / f64::from(count));
        Curve { class, means: sums.into_iter().map(mean).collect() }
    }

    fn column(&self, at_ms: u64) -> usize {
        let span = self.end.saturating_sub(self.begin).max(1);
        let column = at_ms.saturating_sub(self.begin) as usize * COLUMNS / span as usize;
        column.min(COLUMNS - 1)
    }

    /// Where a moment is, in percent of the width.
    fn percent(&self, at_ms: u64) -> f64 {
        let span = self.end.saturating_sub(self.begin).max(1) as f64;
        at_ms.saturating_sub(self.begin) as f64 / span * 100.0
    }

    fn svg(&self, label: &str, top: f64, curves: &[Curve]) -> String {
        let label = label.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
        let mut svg = format!("<svg class=\"chart\" role=\"img\" aria-label=\"{label}\">");
        // Writing into a text does not fail.
        for (share, value) in [(0, top), (50, top / 2.0)] {
            let _ = write!(svg, "<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"{share}%\" y2=\"{share}%\"/>");
            let y = share * 110 / 100 + 12;
            let _ = write!(svg, "<text class=\"scale\" x=\"2\" y=\"{y}\">{}</text>", texts::number(value));
        }
        let _ = write!(svg, "<svg class=\"plot\" viewBox=\"0 0 {} 100\" preserveAspectRatio=\"none\">", COLUMNS - 1);
        for curve in curves {
            curve.draw(&mut svg, top);
        }
        svg += "</svg>";
        for mark in self.marks.iter().filter(|mark| (self.begin..=self.end).contains(&mark.at_ms)) {
            let x = self.percent(mark.at_ms);
            let _ = write!(svg, "<line class=\"mark\" x1=\"{x:.1}%\" x2=\"{x:.1}%\" y1=\"0\" y2=\"100%\"/>");
            let _ = write!(svg, "<text class=\"mark\" x=\"{x:.1}%\" y=\"108\" dx=\"3\">{}</text>", mark.number);
        }
        svg + "</svg>" + &self.times()
    }

    /// The times below, in an element of their own.
    fn times(&self) -> String {
        let span = self.end.saturating_sub(self.begin);
        let at = |part: u64| texts::second(self.begin + span * part / PARTS);
        let times = (0..=PARTS).map(|part| format!("<span>{}</span>", at(part)));
        format!("<div class=\"times\" aria-hidden=\"true\">{}</div>", times.collect::<String>())
    }
}

impl Curve {
    fn draw(&self, svg: &mut String, top: f64) {
        let (mut line, mut area, mut begun) = (String::new(), String::new(), None);
        let y = |value: f64| 100.0 - value / top * 100.0;
        for (x, mean) in self.means.iter().enumerate() {
            let Some(value) = mean else { continue };
            let _ = write!(line, "{}{x} {:.1}", if begun.is_none() { "M" } else { "L" }, y(*value));
            begun.get_or_insert(x);
            area = format!("L{x} 100L{} 100Z", begun.unwrap_or(x));
        }
        if self.class != "limit" {
            let _ = write!(svg, "<path class=\"area {}\" d=\"{line}{area}\"/>", self.class);
        }
        let _ = write!(svg, "<path class=\"curve {}\" d=\"{line}\"/>", self.class);
    }
}

/// The next of 1, 2, 5, 10, 20, ... that is not below this number.
fn ceiling(number: f64) -> f64 {
    let decade = 10_f64.powf(number.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|step| step * decade).into_iter().find(|&step| step >= number).unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_ends_at_a_round_number() {
        assert_eq!([0.3, 1.0, 1.1, 4.0, 51.0, 700.0].map(ceiling), [0.5, 1.0, 2.0, 5.0, 100.0, 1_000.0]);
    }

    #[test]
    fn a_chart_without_samples_is_drawn_and_a_mark_stands_at_its_time() {
        let marks = [Mark { at_ms: 250, number: 1 }, Mark { at_ms: 5_000, number: 2 }];
        let chart = Chart { samples: &[], room: "a", begin: 0, end: 1_000, marks: &marks, language: Language::English };
        let panels = chart.panels();
        assert_eq!(panels.len(), 3);
        let (_, _, svg) = &panels[1];
        assert!(svg.contains("x1=\"25.0%\"") && svg.matches("class=\"mark\"").count() == 2, "{svg}");
        assert_eq!((chart.column(0), chart.column(500), chart.column(9_000)), (0, COLUMNS / 2, COLUMNS - 1));
    }

    #[test]
    fn a_curve_goes_on_over_a_gap_and_stays_in_its_box() {
        let mut svg = String::new();
        Curve { class: "waiting", means: vec![Some(0.0), None, Some(10.0)] }.draw(&mut svg, 10.0);
        assert!(svg.contains("d=\"M0 100.0L2 0.0L2 100L0 100Z\""), "{svg}");
    }
}
