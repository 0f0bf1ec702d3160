//! An axis: its range, and which values get a line and a label.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use crate::report::text;

/// The kind of an axis's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Scale {
    /// Counts.
    Count,
    /// Seconds.
    Time,
    /// Logarithms to base 10 of milliseconds.
    LogMillis,
}

/// An axis.
#[derive(Debug, Clone)]
pub(in crate::report) struct Axis {
    pub(in crate::report) scale: Scale,
    pub(in crate::report) from: f64,
    pub(in crate::report) to: f64,
}

impl Axis {
    /// From 0 to a little over the largest value.
    pub(in crate::report) fn from_zero(scale: Scale, most: f64) -> Self {
        Self { scale, from: 0.0, to: if most > 0.0 { most * 1.06 } else { 1.0 } }
    }

    /// Where its lines and labels are, about `wanted` of them.
    fn ticks(&self, wanted: f64) -> Vec<f64> {
        let span = self.to - self.from;
        let step = match self.scale {
            Scale::LogMillis => return self.decades(span),
            Scale::Count => round_step(span / wanted).max(1.0),
            Scale::Time => [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0]
                .into_iter()
                .find(|step| span / step <= wanted)
                .unwrap_or_else(|| 3600.0 * round_step(span / 3600.0 / wanted).max(1.0)),
        };
        let (first, last) = ((self.from / step).ceil() as i64, (self.to / step).floor() as i64);
        (first..=last).map(|n| n as f64 * step).collect()
    }

    fn decades(&self, span: f64) -> Vec<f64> {
        let parts: &[f64] = if span > 2.2 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let decades = self.from.floor() as i32..=self.to.ceil() as i32;
        let ticks = decades.flat_map(|decade| parts.iter().map(move |part| f64::from(decade) + part.log10()));
        ticks.filter(|tick| (self.from..=self.to).contains(tick)).collect()
    }

    fn label(&self, value: f64) -> String {
        match self.scale {
            Scale::Count => text::number(value),
            Scale::Time => text::clock(value),
            Scale::LogMillis => text::figure(round_digits(10_f64.powf(value)), "ms"),
        }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (first, last): (i32, i32)) -> i32 {
        let share = (value - self.from) / (self.to - self.from);
        first + (share * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        self.ticks(hint.bold_points() as f64)
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.label(*value)
    }
}

/// The next of 1, 2, 5, 10, 20, ... from `least` on.
fn round_step(least: f64) -> f64 {
    let decade = 10_f64.powf(least.max(f64::MIN_POSITIVE).log10().floor());
    [1.0, 2.0, 5.0].map(|part| part * decade).into_iter().find(|&step| step >= least).unwrap_or(10.0 * decade)
}

/// Without the last digits, which come from a logarithm and back.
fn round_digits(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(scale: Scale, from: f64, to: f64) -> Axis {
        Axis { scale, from, to }
    }

    fn labels(axis: &Axis, wanted: f64) -> Vec<String> {
        axis.ticks(wanted).into_iter().map(|tick| axis.label(tick)).collect()
    }

    #[test]
    fn an_axis_has_round_labels() {
        assert_eq!(labels(&axis(Scale::Count, 0.0, 2_310.0), 5.0), ["0", "500", "1,000", "1,500", "2,000"]);
        assert_eq!(labels(&axis(Scale::Count, 0.0, 1.06), 5.0), ["0", "1"]);
        assert_eq!(
            labels(&axis(Scale::Time, 0.0, 95.0), 7.0),
            ["0:00", "0:15", "0:30", "0:45", "1:00", "1:15", "1:30"]
        );
        assert_eq!(labels(&axis(Scale::LogMillis, 0.1, 3.4), 5.0), ["10 ms", "100 ms", "1 s"]);
        assert_eq!(labels(&axis(Scale::LogMillis, 0.9, 2.1), 5.0), ["10 ms", "20 ms", "50 ms", "100 ms"]);
        assert!(axis(Scale::Time, 0.0, 1e6).ticks(8.0).len() <= 9, "also a run of days");
    }
}
