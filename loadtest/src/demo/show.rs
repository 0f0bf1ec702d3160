//! The display of a running act: a live panel on a terminal, else a line a second.

use std::io::IsTerminal;
use std::time::Duration;

use evidence::shop::Report;
use evidence::stats::Quantiles;
use indicatif::{ProgressBar, ProgressStyle};
use verdict::report::text::grouped;

use super::counts::{Counts, Second};

/// Width of the pictures, in characters.
const WIDTH: usize = 64;

/// One moment of an act.
pub(super) struct Moment<'a> {
    pub(super) elapsed: Duration,
    pub(super) crowd: Counts,
    pub(super) shop: Report,
    /// Latency of pages that the shop served in the last second.
    pub(super) latency: Quantiles,
    /// Every second so far.
    pub(super) seconds: &'a [Second],
}

/// The panel of one act.
pub(super) struct Show {
    panel: Option<ProgressBar>,
    length: Duration,
}

impl Show {
    /// For an act of about this length.
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

    /// Shows a moment; without a terminal only whole seconds get a line.
    pub(super) fn update(&self, moment: &Moment, second_ended: bool) {
        match &self.panel {
            Some(bar) => {
                bar.set_position(moment.elapsed.min(self.length).as_millis() as u64);
                bar.set_prefix(match self.length.checked_sub(moment.elapsed) {
                    Some(left) => format!("{:>2} s left", left.as_secs()),
                    None => "those inside finish".into(),
                });
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
            eprintln!();
        }
    }
}

fn panel(moment: &Moment) -> String {
    let Moment { crowd, shop, latency, seconds, .. } = moment;
    format!(
        "  arrived {:>8}    waiting {:>7}    let in  {:>7}    in the shop {:>5}\n  \
         orders  {:>8}    failed  {:>7}    pages failed {:>9}\n  \
         shop p50  {:>6}    p99     {:>7}    in flight   {:>5}\n  \
         orders a second  {}",
        grouped(crowd.arrived),
        grouped(crowd.waiting),
        grouped(crowd.admitted),
        grouped(crowd.inside),
        grouped(crowd.bought),
        grouped(crowd.order_failed),
        grouped(crowd.pages_failed),
        latency_of(latency, |of| of.p50_ms),
        latency_of(latency, |of| of.p99_ms),
        grouped(shop.in_flight as u64),
        bars(seconds, shop.capacity),
    )
}

fn line(moment: &Moment) -> String {
    let Moment { elapsed, crowd, latency, .. } = moment;
    format!(
        "  {:>2} s  arrived {:>6}  waiting {:>6}  let in {:>5}  orders {:>5}  failed {:>5}  shop p50 {:>6} p99 {:>6}",
        elapsed.as_secs(),
        grouped(crowd.arrived),
        grouped(crowd.waiting),
        grouped(crowd.admitted),
        grouped(crowd.bought),
        grouped(crowd.order_failed),
        latency_of(latency, |of| of.p50_ms),
        latency_of(latency, |of| of.p99_ms),
    )
}

/// Highlighted text, where the output can do that.
pub(super) fn bold(text: &str) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some() || !std::io::stdout().is_terminal();
    if plain { text.to_owned() } else { format!("\x1b[1m{text}\x1b[0m") }
}

/// A latency for people; a dash where there is no measurement.
pub(super) fn latency_of(quantiles: &Quantiles, which: fn(&Quantiles) -> f64) -> String {
    match which(quantiles) {
        _ if quantiles.count == 0 => "-".into(),
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1000.0),
    }
}

/// The orders of each second as a column; a full one is `full` orders.
pub(super) fn bars(seconds: &[Second], full: f64) -> String {
    const STEPS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let first = seconds.len().saturating_sub(WIDTH);
    let step = |second: &Second| match second.orders {
        0 => STEPS[0],
        count => STEPS[((count as f64 / full * 8.0).round() as usize).clamp(1, 8)],
    };
    seconds[first..].iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        let latency = |count, p50_ms| latency_of(&Quantiles { count, p50_ms, ..Quantiles::default() }, |of| of.p50_ms);
        assert_eq!([latency(1, 3.4), latency(1, 1234.0), latency(0, 0.0)], ["3 ms", "1.2 s", "-"]);
        let seconds = [0, 1, 15, 30, 90].map(|orders| Second { orders, ..Second::default() });
        assert_eq!(bars(&seconds, 30.0), " ▁▄██");
    }
}
