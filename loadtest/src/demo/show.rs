//! What a person sees while an act runs: a live panel on a terminal, else a line a second.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use loadtest::crowd::Counts;
use loadtest::shop::Report;
use loadtest::stats::Quantiles;

/// Width of the pictures, in characters.
const WIDTH: usize = 64;

/// One moment of an act.
pub(super) struct Moment<'a> {
    pub(super) elapsed: Duration,
    pub(super) crowd: Counts,
    pub(super) shop: Report,
    /// Latency at the shop over the last second.
    pub(super) latency: Quantiles,
    /// Orders of every second so far.
    pub(super) orders: &'a [u64],
}

/// The panel of one act.
pub(super) struct Show {
    panel: Option<ProgressBar>,
    length: Duration,
}

impl Show {
    /// An act of about this length.
    pub(super) fn open(title: &str, length: Duration) -> Self {
        println!("\n{title}");
        let panel = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(length.as_millis() as u64);
            let style = ProgressStyle::with_template("  {bar:64.cyan/dim} {prefix}\n{msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━─"));
            bar
        });
        Self { panel, length }
    }

    /// Shows a moment; without a terminal only whole seconds are worth a line.
    pub(super) fn update(&self, moment: &Moment, second_ended: bool) {
        match &self.panel {
            Some(bar) => {
                bar.set_position(moment.elapsed.min(self.length).as_millis() as u64);
                bar.set_prefix(format!("{} of {} s", moment.elapsed.as_secs(), self.length.as_secs()));
                bar.set_message(panel(moment));
            }
            None if second_ended => println!("{}", line(moment)),
            None => {}
        }
    }

    /// Leaves the last moment on the screen.
    pub(super) fn close(self) {
        if let Some(bar) = self.panel {
            bar.abandon();
        }
    }
}

fn panel(moment: &Moment) -> String {
    let Moment { crowd, shop, latency, orders, .. } = moment;
    format!(
        "  arrived {:>8}    waiting {:>7}    let in  {:>7}    in the shop {:>5}\n  \
         orders  {:>8}    failed  {:>7}    pages failed {:>9}\n  \
         shop    p50 {:>8}   p99 {:>8}    in flight {:>5}\n  \
         orders a second  {}",
        grouped(crowd.arrived),
        grouped(crowd.waiting),
        grouped(crowd.admitted),
        grouped(crowd.inside),
        grouped(crowd.bought),
        grouped(crowd.order_failed),
        grouped(crowd.pages_failed_outside + crowd.pages_failed_inside),
        seconds(latency.p50_ms, latency.count),
        seconds(latency.p99_ms, latency.count),
        grouped(shop.in_flight as u64),
        bars(orders, shop.capacity),
    )
}

fn line(moment: &Moment) -> String {
    let Moment { elapsed, crowd, shop, latency, .. } = moment;
    format!(
        "  {:>2} s  arrived {:>6}  waiting {:>6}  let in {:>5}  orders {:>5}  failed {:>5}  \
         shop p50 {:>7} p99 {:>7}  in flight {:>4}",
        elapsed.as_secs(),
        grouped(crowd.arrived),
        grouped(crowd.waiting),
        grouped(crowd.admitted),
        grouped(crowd.bought),
        grouped(crowd.order_failed),
        seconds(latency.p50_ms, latency.count),
        seconds(latency.p99_ms, latency.count),
        shop.in_flight,
    )
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A latency for people; a dash where nothing was measured.
pub(super) fn seconds(ms: f64, count: u64) -> String {
    match ms {
        _ if count == 0 => "-".into(),
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1000.0),
    }
}

/// A column per second; a full one is `full` orders.
pub(super) fn bars(orders: &[u64], full: f64) -> String {
    const STEPS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let first = orders.len().saturating_sub(WIDTH);
    let step = |&count: &u64| match count {
        0 => STEPS[0],
        count => STEPS[((count as f64 / full * 8.0).round() as usize).clamp(1, 8)],
    };
    orders[first..].iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([grouped(0), grouped(999), grouped(1_234_567)], ["0", "999", "1,234,567"]);
        assert_eq!([seconds(3.4, 1), seconds(1234.0, 1), seconds(0.0, 0)], ["3 ms", "1.2 s", "-"]);
        assert_eq!(bars(&[0, 1, 15, 30, 90], 30.0), " ▁▄██");
    }
}
