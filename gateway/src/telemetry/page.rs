//! The counters, and the page that Prometheus scrapes (text format 0.0.4).
//!
//! A room, a server and the process each keep [`Series`] of their own. A scrape walks the series of everything
//! in force: so a removed room or server leaves the page. One recorder of the exporter's for the whole
//! process would keep them for ever. The request path adds to handles at hand: it looks up no name and makes no
//! text.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Counter, Gauge, HistogramFn, Key, Label};
use metrics_exporter_prometheus::LabelSet;
use metrics_exporter_prometheus::formatting::{write_help_line, write_metric_line, write_type_line};
use metrics_util::registry::{Registry, Storage};

use super::catalogue::{ALL, Metric, ROOM_WAIT, ROOM_WAIT_ERROR};
use super::durations::Durations;

/// The series of one owner. They are dropped with it.
#[derive(Debug)]
pub struct Series(Registry<Key, Kept>);

impl Default for Series {
    fn default() -> Self {
        Self(Registry::new(Kept))
    }
}

impl Series {
    /// A counter, on the page from now on.
    pub fn counter(&self, metric: &Metric, labels: &[&str]) -> Counter {
        self.0.get_or_create_counter(&metric.key(labels), |kept| kept.clone().into())
    }

    /// A gauge, on the page from now on.
    pub fn gauge(&self, metric: &Metric, labels: &[&str]) -> Gauge {
        self.0.get_or_create_gauge(&metric.key(labels), |kept| kept.clone().into())
    }

    /// A histogram of durations, on the page from now on.
    pub fn histogram(&self, metric: &Metric, labels: &[&str]) -> metrics::Histogram {
        self.0.get_or_create_histogram(&metric.key(labels), |kept| kept.clone().into())
    }

    /// A counter so far; 0 if there is none.
    pub fn count(&self, metric: &Metric, labels: &[&str]) -> u64 {
        self.0.get_counter(&metric.key(labels)).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// The durations of a histogram so far; none if there is no such histogram.
    pub fn durations(&self, metric: &Metric, labels: &[&str]) -> Durations {
        self.0.get_histogram(&metric.key(labels)).map_or_else(Durations::default, |classes| classes.read())
    }
}

/// Where values are kept.
#[derive(Debug)]
struct Kept;

impl Storage<Key> for Kept {
    type Counter = Arc<AtomicU64>;
    type Gauge = Arc<AtomicU64>;
    type Histogram = Arc<Classes>;

    fn counter(&self, _: &Key) -> Self::Counter {
        Arc::default()
    }

    fn gauge(&self, _: &Key) -> Self::Gauge {
        Arc::default()
    }

    fn histogram(&self, key: &Key) -> Self::Histogram {
        let of_waits = [ROOM_WAIT.name, ROOM_WAIT_ERROR.name].contains(&key.name());
        Arc::new(Classes::new(if of_waits { WAITS } else { LATENCIES }))
    }
}

/// Upper bounds of the buckets of latencies, in seconds.
const LATENCIES: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Upper bounds of the buckets of waits in a line, in seconds: to four hours.
const WAITS: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0];

/// Durations, by bucket. The exporter's histogram keeps each sample, with a reading of the clock, until a task drains it; this
/// one is on the path of each request to the shop, so a sample is two additions.
#[derive(Debug)]
struct Classes {
    bounds: &'static [f64],
    /// Counts of each bucket alone; one more for values above all bounds.
    counts: Box<[AtomicU64]>,
    micros: AtomicU64,
}

impl Classes {
    fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, micros: AtomicU64::new(0) }
    }

    fn read(&self) -> Durations {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Durations { bounds: self.bounds, counts, seconds: self.seconds() }
    }

    /// Their sum.
    fn seconds(&self) -> f64 {
        self.micros.load(Ordering::Relaxed) as f64 / 1e6
    }
}

impl HistogramFn for Classes {
    fn record(&self, seconds: f64) {
        // From the first on: most are short.
        let class = self.bounds.iter().take_while(|bound| **bound < seconds).count();
        if let Some(count) = self.counts.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.micros.fetch_add((seconds * 1e6 + 0.5) as u64, Ordering::Relaxed);
    }
}

/// A page in the making.
#[derive(Debug, Default)]
pub struct Page {
    /// Lines by name of their metric.
    lines: HashMap<String, String>,
}

impl Page {
    /// Adds a value, with the values of the metric's labels in their order.
    pub fn add(&mut self, metric: &Metric, labels: &[&str], value: impl Display) {
        self.line(&metric.key(labels), value);
    }

    /// Adds 1 or 0.
    pub fn flag(&mut self, metric: &Metric, labels: &[&str], value: bool) {
        self.add(metric, labels, u8::from(value));
    }

    /// Adds a counter.
    pub fn count(&mut self, metric: &Metric, labels: &[&str], count: &AtomicU64) {
        self.add(metric, labels, count.load(Ordering::Relaxed));
    }

    /// Adds these series, in the order of their labels.
    pub fn series(&mut self, series: &Series) {
        self.told(series, |key| key);
    }

    /// The same for a room, by its present name: a renamed room counts on.
    pub fn series_of_room(&mut self, series: &Series, name: &str) {
        self.told(series, |key| {
            let called =
                |label: &Label| if label.key() == "room" { Label::new("room", name.to_owned()) } else { label.clone() };
            Key::from_parts(key.name().to_owned(), key.labels().map(called).collect::<Vec<_>>())
        });
    }

    fn told(&mut self, series: &Series, called: impl Fn(Key) -> Key) {
        for (key, count) in series.0.get_counter_handles().into_iter().collect::<BTreeMap<_, _>>() {
            self.line(&called(key), count.load(Ordering::Relaxed));
        }
        for (key, value) in series.0.get_gauge_handles().into_iter().collect::<BTreeMap<_, _>>() {
            self.line(&called(key), f64::from_bits(value.load(Ordering::Relaxed)));
        }
        for (key, classes) in series.0.get_histogram_handles().into_iter().collect::<BTreeMap<_, _>>() {
            self.histogram(&called(key), &classes);
        }
    }

    fn histogram(&mut self, key: &Key, classes: &Classes) {
        let mut sum = 0;
        for (index, count) in classes.counts.iter().enumerate() {
            sum += count.load(Ordering::Relaxed);
            let bound = classes.bounds.get(index).map_or("+Inf".to_owned(), f64::to_string);
            self.write(key, Some("bucket"), Some(("le", &bound)), sum);
        }
        self.write(key, Some("sum"), None, classes.seconds());
        self.write(key, Some("count"), None, sum);
    }

    fn line(&mut self, key: &Key, value: impl Display) {
        self.write(key, None, None, value);
    }

    #[expect(clippy::default_trait_access, reason = "the map is of a crate that is the exporter's alone")]
    fn write(&mut self, key: &Key, end: Option<&'static str>, le: Option<(&'static str, &str)>, value: impl Display) {
        let labels = LabelSet::from_key_and_global(key, &Default::default());
        let lines = self.lines.entry(key.name().to_owned()).or_default();
        write_metric_line(lines, key.name(), end, &labels, le, value, None);
    }

    /// The text, in pieces and in the order of the catalogue: with thousands of rooms it has megabytes. Metrics without a
    /// value are left out.
    pub fn pieces(mut self) -> impl Iterator<Item = String> {
        ALL.iter().filter_map(move |metric| Some((metric, self.lines.remove(metric.name)?))).flat_map(
            |(metric, lines)| {
                let mut head = String::new();
                write_help_line(&mut head, metric.name, None, None, metric.help());
                write_type_line(&mut head, metric.name, None, None, metric.kind.name());
                [head, lines]
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::catalogue;
    use super::*;

    #[test]
    fn a_page_is_text_that_prometheus_reads() {
        let (mut page, series) = (Page::default(), Series::default());
        page.add(&catalogue::ROOM_ACTIVE, &["a\"b\\c\nd"], 3);
        series.gauge(&catalogue::CONNECTIONS, &[]).set(1.5);
        series.counter(&catalogue::FAIL_OPEN, &["b"]).increment(2);
        series.counter(&catalogue::FAIL_OPEN, &["a"]).absolute(7);
        page.series(&series);
        let told: String = page.pieces().collect();
        assert!(told.contains("# TYPE weir_connections gauge\nweir_connections 1.5\n"), "{told}");
        assert!(told.contains("weir_room_active_users{room=\"a\\\"b\\\\c\\nd\"} 3\n"), "{told}");
        let counters = "counter\nweir_fail_open_total{room=\"a\"} 7\nweir_fail_open_total{room=\"b\"} 2\n";
        assert!(told.contains(counters), "{told}");
    }

    #[test]
    fn a_duration_counts_in_its_class_and_in_all_above() {
        let series = Series::default();
        let histogram = series.histogram(&catalogue::STORE_SECONDS, &[]);
        for millis in [1, 2, 40_000] {
            histogram.record(Duration::from_millis(millis));
        }
        let mut page = Page::default();
        page.series(&series);
        let told: String = page.pieces().collect();
        for line in ["_bucket{le=\"0.001\"} 1", "_bucket{le=\"0.0025\"} 2", "_bucket{le=\"30\"} 2"] {
            assert!(told.contains(line), "{line}: {told}");
        }
        assert!(told.contains("_bucket{le=\"+Inf\"} 3\n") && told.contains("_sum 40.003\n"), "{told}");
        assert!(told.contains("weir_store_call_seconds_count 3\n"), "{told}");
    }
}
