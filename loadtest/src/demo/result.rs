//! The closing table and the verdict, from the measurements of both acts.

use std::fmt::Write as _;
use std::time::Duration;

use evidence::shop::Report;
use serde::Serialize;
use verdict::report::text::grouped;

use super::counts::{Counts, Second};
use super::show::{bars, bold, latency_of};

/// The measurements of one act.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Act {
    pub(super) crowd: Counts,
    pub(super) shop: Report,
    pub(super) seconds: Vec<Second>,
}

impl Act {
    /// Shoppers let in per second while people waited; `None` if there was no line.
    fn let_in_from_the_line(&self) -> Option<f64> {
        let with_a_line = || self.seconds.iter().filter(|second| !second.waiting.contains(&0));
        let count = with_a_line().count();
        let let_in: u64 = with_a_line().map(|second| second.let_in).sum();
        (count > 0).then(|| let_in as f64 / count as f64)
    }
}

/// The bounds for both acts.
#[derive(Debug, Clone, Serialize)]
pub(super) struct DemoSettings {
    /// Orders per second that the shop can take.
    pub(super) capacity: f64,
    /// New shoppers per second that Weir lets in.
    pub(super) rate: f64,
    /// Burst on top of it.
    pub(super) burst: u32,
    /// Pages for those inside should come within this time (p99).
    pub(super) objective_ms: f64,
    /// Size of the crowd.
    pub(super) seed: u64,
    pub(super) no_shows: f64,
}

impl DemoSettings {
    /// New shoppers that Weir may let into any one second.
    fn per_second(&self) -> u64 {
        (self.rate + f64::from(self.burst)).floor() as u64
    }
}

/// The demo's result.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Outcome {
    pub(super) terms: DemoSettings,
    pub(super) alone: Act,
    pub(super) behind: Act,
    /// Why it does not show what it should; empty if it does.
    pub(super) reasons: Vec<String>,
}

impl Outcome {
    /// Judges two acts.
    pub(super) fn of(terms: DemoSettings, alone: Act, behind: Act) -> Self {
        let reasons = reasons(&terms, &alone, &behind);
        Self { terms, alone, behind, reasons }
    }

    /// The table and the verdict, at most 100 columns wide.
    pub(super) fn text(&self) -> String {
        let mut text = String::from("\n");
        for [name, alone, behind] in self.rows() {
            let _ = writeln!(text, "  {name:<52}{alone:>18}{behind:>18}");
        }
        let Self { terms, alone, behind, .. } = self;
        let _ = writeln!(text, "\n  Orders in each second, a full column is {:.0}:", terms.capacity);
        let _ = writeln!(text, "    shop alone   {}", bars(&alone.seconds, terms.capacity));
        let _ = writeln!(text, "    behind Weir  {}\n", bars(&behind.seconds, terms.capacity));
        let _ = writeln!(text, "  {}", bold(&self.verdict()));
        text
    }

    fn verdict(&self) -> String {
        let Self { alone, behind, reasons, .. } = self;
        if reasons.is_empty() {
            return format!(
                "PASSED: behind Weir all {} who were let in got their order; alone, {} of {} did not.",
                grouped(behind.crowd.bought),
                grouped(alone.crowd.admitted - alone.crowd.bought),
                grouped(alone.crowd.admitted),
            );
        }
        format!("FAILED: {}.", reasons.join("; "))
    }

    fn rows(&self) -> Vec<[String; 3]> {
        let acts = [&self.alone, &self.behind];
        let row = |name: &str, value: &dyn Fn(&Act) -> String| [name.to_owned(), value(acts[0]), value(acts[1])];
        let count = |name: &str, value: fn(&Counts) -> u64| row(name, &|act| grouped(value(&act.crowd)));
        let limit = self.terms.per_second();
        vec![
            [String::new(), "shop alone".into(), "behind Weir".into()],
            row("", &|_| "─".repeat(14)),
            count("shoppers arrived", |crowd| crowd.arrived),
            count("let in: saw the product page", |crowd| crowd.admitted),
            count("orders completed", |crowd| crowd.bought),
            count("orders failed, of those let in", |crowd| crowd.order_failed),
            count("still trying to order when the act ended", |crowd| crowd.unfinished),
            count("gave up at the door", |crowd| crowd.turned_away),
            count("left at the sight of the line (no-shows)", |crowd| crowd.no_shows),
            count("still outside when the act ended", |crowd| crowd.outside),
            count("pages that failed", |crowd| crowd.pages_failed),
            count("errors shown to waiting shoppers", |crowd| crowd.failed_while_waiting),
            row("shop latency, p50", &|act| latency_of(&act.shop.latency, |of| of.p50_ms)),
            row(&format!("shop latency, p99 (target {:.0} ms)", self.terms.objective_ms), &|act| {
                latency_of(&act.shop.latency, |of| of.p99_ms)
            }),
            row("  p99 as shoppers inside see it (same target)", &|act| latency_of(&act.crowd.page, |of| of.p99_ms)),
            row("most requests in flight at the shop", &|act| grouped(act.shop.peak_in_flight as u64)),
            row(&format!("let in per second while people wait (Weir's rate {:.0})", self.terms.rate), &|act| {
                act.let_in_from_the_line().map_or("-".into(), |rate| format!("{rate:.1}"))
            }),
            row("most new shoppers in any second", &|act| grouped(act.shop.busiest_second as u64)),
            [
                format!(
                    "  over Weir's limit of {limit} ({:.0} a second + burst {})",
                    self.terms.rate, self.terms.burst
                ),
                "no limit".into(),
                grouped((self.behind.shop.busiest_second as u64).saturating_sub(limit)),
            ],
        ]
    }
}

fn reasons(terms: &DemoSettings, alone: &Act, behind: &Act) -> Vec<String> {
    let mut reasons = Vec::new();
    if alone.crowd.order_failed == 0 {
        reasons.push("the shop alone did not fail".into());
    }
    let failed = behind.crowd.order_failed + behind.crowd.unfinished;
    if failed > 0 {
        reasons.push(format!("behind Weir {} who were let in got no order", grouped(failed)));
    }
    if behind.crowd.bought <= alone.crowd.bought {
        reasons.push("behind Weir no more orders were completed than without".into());
    }
    for (of_what, latency) in [("of the shop", &behind.shop.latency), ("inside", &behind.crowd.page)] {
        if latency.p99_ms > terms.objective_ms {
            let (p99, target) = (latency_of(latency, |of| of.p99_ms), terms.objective_ms);
            reasons.push(format!("behind Weir the p99 {of_what} is {p99}, over the target of {target:.0} ms"));
        }
    }
    reasons
}

/// A duration as milliseconds.
pub(super) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use evidence::stats::Quantiles;

    use super::*;

    fn terms() -> DemoSettings {
        DemoSettings { capacity: 33.3, rate: 25.0, burst: 5, objective_ms: 500.0, seed: 7, no_shows: 0.2 }
    }

    fn act(bought: u64, order_failed: u64, p99_ms: f64) -> Act {
        let admitted = bought + order_failed;
        let page = Quantiles { count: admitted, p50_ms: p99_ms / 3.0, p99_ms, max_ms: p99_ms };
        let crowd = Counts { arrived: 12_000, admitted, bought, order_failed, page, ..Counts::default() };
        Act { crowd, ..Act::default() }
    }

    #[test]
    fn a_shop_that_fails_alone_and_holds_behind_weir_passes() {
        let outcome = Outcome::of(terms(), act(40, 600, 3000.0), act(800, 0, 400.0));
        assert_eq!(outcome.reasons, Vec::<String>::new());
        assert!(outcome.text().contains("PASSED: behind Weir all 800"), "{}", outcome.text());
        assert!(outcome.text().lines().all(|line| line.chars().count() <= 100), "{}", outcome.text());
    }

    #[test]
    fn every_way_to_fail_has_its_reason() {
        let reasons = |alone, behind| Outcome::of(terms(), alone, behind).reasons;
        assert_eq!(reasons(act(40, 0, 100.0), act(800, 0, 400.0)), ["the shop alone did not fail"]);
        assert_eq!(reasons(act(40, 600, 3000.0), act(800, 1, 400.0)), ["behind Weir 1 who were let in got no order"]);
        assert_eq!(
            reasons(act(40, 600, 3000.0), act(800, 0, 640.0)),
            ["behind Weir the p99 inside is 640 ms, over the target of 500 ms"]
        );
        assert_eq!(
            reasons(act(40, 600, 3000.0), act(0, 0, 0.0)),
            ["behind Weir no more orders were completed than without"]
        );
    }
}
