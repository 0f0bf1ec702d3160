//! The metrics as Prometheus reads them (text format 0.0.4), and what keeps them between two readings.
//!
//! What is counted lies where it is counted: in a room, a server, the process. A page is made when somebody asks, by going through
//! all of them. So a room or server that is gone is gone from the page, and the request path adds to a number it has at hand:
//! no name is looked up and no text is made.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::catalogue::{ALL, Metric};

/// A page that is being made.
#[derive(Debug, Default)]
pub struct Page {
    /// Lines by name of their metric.
    lines: BTreeMap<&'static str, String>,
}

impl Page {
    /// Adds a value, with the values of the metric's labels in their order.
    pub fn add(&mut self, metric: &Metric, labels: &[&str], value: impl Display) {
        self.line(metric, "", labels, None, value);
    }

    /// Adds 1 or 0.
    pub fn flag(&mut self, metric: &Metric, labels: &[&str], value: bool) {
        self.add(metric, labels, u8::from(value));
    }

    /// Adds a counter.
    pub fn count(&mut self, metric: &Metric, labels: &[&str], count: &AtomicU64) {
        self.add(metric, labels, count.load(Ordering::Relaxed));
    }

    /// Adds a histogram.
    pub fn histogram(&mut self, metric: &Metric, labels: &[&str], histogram: &Histogram) {
        let mut sum = 0;
        for (index, count) in histogram.counts.iter().enumerate() {
            sum += count.load(Ordering::Relaxed);
            let bound = histogram.bounds.get(index).map_or("+Inf".to_owned(), |bound| seconds(*bound).to_string());
            self.line(metric, "_bucket", labels, Some(&bound), sum);
        }
        self.line(metric, "_sum", labels, None, seconds(histogram.micros.load(Ordering::Relaxed)));
        self.line(metric, "_count", labels, None, sum);
    }

    fn line(&mut self, metric: &Metric, end: &str, labels: &[&str], le: Option<&str>, value: impl Display) {
        debug_assert_eq!(labels.len(), metric.labels.len(), "{}", metric.name);
        let text = self.lines.entry(metric.name).or_default();
        text.extend([metric.name, end]);
        let mut before = '{';
        for (name, value) in metric.labels.iter().copied().zip(labels.iter().copied()).chain(le.map(|le| ("le", le))) {
            text.push(before);
            text.extend([name, "=\""]);
            for char in value.chars() {
                match char {
                    '\\' => text.push_str("\\\\"),
                    '"' => text.push_str("\\\""),
                    '\n' => text.push_str("\\n"),
                    other => text.push(other),
                }
            }
            text.push('"');
            before = ',';
        }
        if before == ',' {
            text.push('}');
        }
        // Writing to a String does not fail.
        let _ = writeln!(text, " {value}");
    }

    /// The text, in the order of the catalogue. A metric without a value is left out.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.lines.values().map(|lines| lines.len() + 200).sum());
        for metric in ALL {
            let Some(lines) = self.lines.get(metric.name) else { continue };
            let (name, help, kind) = (metric.name, metric.help(), metric.kind.name());
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{lines}");
        }
        text
    }
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

/// Upper ends of the classes of latencies, in microseconds.
pub(super) const LATENCIES: &[u64] = &[
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000,
];

/// Upper ends of the classes of waits in a line, in microseconds: to four hours.
pub(super) const WAITS: &[u64] = &[
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
    600_000_000,
    1_200_000_000,
    1_800_000_000,
    3_600_000_000,
    7_200_000_000,
    14_400_000_000,
];

/// Durations, by class.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// Of each class alone; one more for those beyond all bounds.
    counts: Box<[AtomicU64]>,
    micros: AtomicU64,
}

impl Histogram {
    /// One without a value, with classes that end at these microseconds.
    pub fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, micros: AtomicU64::new(0) }
    }

    /// Adds a duration.
    pub fn add(&self, duration: Duration) {
        let micros = duration.as_micros() as u64;
        let class = self.bounds.partition_point(|bound| *bound < micros);
        if let Some(count) = self.counts.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

/// Counters of what happens seldom, by the values of their labels.
#[derive(Debug, Default)]
pub(super) struct Labelled(Mutex<BTreeMap<Vec<String>, u64>>);

impl Labelled {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    pub(super) fn add(&self, labels: &[&str], more: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(labels.iter().map(|&label| label.to_owned()).collect()).or_default() += more;
    }

    pub(super) fn set(&self, labels: &[&str], value: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.insert(labels.iter().map(|&label| label.to_owned()).collect(), value);
    }

    /// Writes those whose first label is to be told.
    pub(super) fn write(&self, page: &mut Page, metric: &Metric, tell: impl Fn(&str) -> bool) {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (labels, count) in counts.iter().filter(|(labels, _)| labels.first().is_none_or(|first| tell(first))) {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            page.add(metric, &labels, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue;
    use super::*;

    #[test]
    fn a_page_is_text_that_prometheus_reads() {
        let mut page = Page::default();
        page.add(&catalogue::ROOM_ACTIVE, &["a\"b\\c\nd"], 3);
        page.add(&catalogue::CONNECTIONS, &[], 1.5);
        let told = page.text();
        assert!(told.contains("# TYPE weir_connections gauge\nweir_connections 1.5\n"), "{told}");
        assert!(told.contains("weir_room_active_users{room=\"a\\\"b\\\\c\\nd\"} 3\n"), "{told}");
    }

    #[test]
    fn a_duration_counts_in_its_class_and_in_all_above() {
        let histogram = Histogram::new(LATENCIES);
        for millis in [1, 2, 40_000] {
            histogram.add(Duration::from_millis(millis));
        }
        let mut page = Page::default();
        page.histogram(&catalogue::STORE_SECONDS, &[], &histogram);
        let told = page.text();
        for line in ["_bucket{le=\"0.001\"} 1", "_bucket{le=\"0.0025\"} 2", "_bucket{le=\"30\"} 2"] {
            assert!(told.contains(line), "{line}: {told}");
        }
        assert!(told.contains("_bucket{le=\"+Inf\"} 3\n") && told.contains("_sum 40.003\n"), "{told}");
        assert!(told.contains("weir_store_call_seconds_count 3\n"), "{told}");
    }
}
