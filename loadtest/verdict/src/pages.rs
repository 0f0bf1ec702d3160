//! Promise 7: those inside do not pay for the crowd.
//!
//! ```text
//! page-p99         p99 of pages of those inside, from due to read           <= objective
//! page-p99-crowd   p99 in seconds with a line / p99 in seconds without one  <= objective
//! ```
//!
//! A page counts in the second in which it came. A second has a line if a shopper waited at its begin and at its end, and none if
//! none waited in it or before it for as long as a visitor is patient: a page that came now may have been asked for then. Others
//! count for neither.
//! The ratio needs 100 pages of both kinds, or its p99 is a single page.
//!
//! Out of scope: answers to those outside.

use evidence::Second;
use evidence::stats::Quantiles;

use crate::check::Check;
use crate::launch::Launch;

/// Pages without which a p99 tells nothing.
const ENOUGH: u64 = 100;

pub(crate) fn checks(launch: &Launch<'_>) -> Vec<Check> {
    vec![absolute(launch), beside_the_crowd(launch)]
}

fn absolute(launch: &Launch<'_>) -> Check {
    let check = Check::new("page-p99", "Pages of those inside, p99").promise(7).unit("ms");
    let pages = Quantiles::of(launch.evidence.timeline.iter().map(|second| &second.inside_latency));
    if pages.count == 0 {
        return check.detail("Nobody inside asked for a page.");
    }
    let detail = format!(
        "{} pages, from due to read; median {:.0} ms, longest {:.0} ms.",
        pages.count, pages.p50_ms, pages.max_ms
    );
    check.at_most(pages.p99_ms, launch.scenario.objectives.page_p99.seconds() * 1e3).detail(detail)
}

fn beside_the_crowd(launch: &Launch<'_>) -> Check {
    let check = Check::new("page-p99-crowd", "Pages of those inside while a crowd waits, p99 against no crowd");
    let check = check.promise(7).unit("times");
    let [without, with] =
        [false, true].map(|line| Quantiles::of(seconds(launch, line).map(|second| &second.inside_latency)));
    if without.count.min(with.count) < ENOUGH || without.p99_ms <= 0.0 {
        return check.detail(format!(
            "{} pages while a line stood and {} while none did; {ENOUGH} of both are needed.",
            with.count, without.count
        ));
    }
    let detail = format!(
        "{:.1} ms of {} pages while a line stood, {:.1} ms of {} while none did.",
        with.p99_ms, with.count, without.p99_ms, without.count
    );
    check.at_most(with.p99_ms / without.p99_ms, launch.scenario.objectives.page_p99_times).detail(detail)
}

/// Seconds with a line, or without one.
fn seconds<'a>(launch: &Launch<'a>, line: bool) -> impl Iterator<Item = &'a Second> {
    let patience = launch.scenario.habits.patience.seconds().ceil() as usize;
    let timeline = &launch.evidence.timeline;
    let holds = move |&second: &usize| {
        let waited = |second: usize| timeline[second].waiting > 0;
        if line {
            waited(second) && second.checked_sub(1).is_some_and(waited)
        } else {
            !(second.saturating_sub(patience)..=second).any(waited)
        }
    };
    (0..timeline.len()).filter(holds).map(|second| &timeline[second])
}

#[cfg(test)]
mod tests {
    use evidence::{Latencies, Second};

    use crate::check::Outcome;
    use crate::fixture::Made;

    /// Ten seconds without a line, then ten with one; pages take so many milliseconds.
    fn seconds(without: u64, with: u64) -> Made {
        let mut made = Made::new();
        let second = |waiting, ms: u64| Second {
            waiting,
            inside_latency: Latencies(vec![(ms * 500, 10), (ms * 1000, 10)]),
            ..Second::default()
        };
        made.evidence.timeline = (0..20).map(|n| if n < 10 { second(0, without) } else { second(9, with) }).collect();
        made
    }

    #[test]
    fn pages_are_held_against_the_objective_and_against_seconds_without_a_line() {
        let made = seconds(100, 150);
        let (absolute, beside) = (made.check("page-p99"), made.check("page-p99-crowd"));
        assert_eq!((absolute.outcome, absolute.measured), (Outcome::Held, Some(150.0)), "{absolute:?}");
        assert_eq!((beside.outcome, beside.measured), (Outcome::Held, Some(1.5)), "{beside:?}");
        assert_eq!(seconds(100, 250).check("page-p99-crowd").outcome, Outcome::Broken);
        assert_eq!(seconds(900, 1_100).check("page-p99").outcome, Outcome::Broken);
    }

    #[test]
    fn a_page_that_comes_after_the_line_was_asked_for_while_it_stood() {
        let mut made = seconds(100, 250);
        let after = Second { waiting: 0, ..made.evidence.timeline[19].clone() };
        made.evidence.timeline.extend(std::iter::repeat_n(after, 5));
        assert_eq!(made.check("page-p99-crowd").measured, Some(2.5));
    }

    #[test]
    fn too_few_pages_tell_nothing() {
        let mut made = seconds(100, 900);
        made.evidence.timeline.drain(..7);
        assert_eq!(made.check("page-p99-crowd").outcome, Outcome::Unknown);
        made.evidence.timeline.clear();
        assert_eq!(made.check("page-p99").outcome, Outcome::Unknown);
    }
}
