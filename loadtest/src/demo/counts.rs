//! The crowd of an act in numbers: while it runs, and when it is over.

use evidence::stats::Quantiles;
use evidence::{End, Evidence, Progress, Visit};
use serde::Serialize;

/// Every shopper who arrived is in exactly one of `bought`, `order_failed`, `turned_away`, `no_shows`, `outside`,
/// `unfinished`, once the act is over; while it runs most of them are 0.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Counts {
    pub(super) arrived: u64,
    /// Got the product page.
    pub(super) admitted: u64,
    /// In the line now.
    pub(super) waiting: u64,
    /// Inside now.
    pub(super) inside: u64,
    /// Ended with a paid order.
    pub(super) bought: u64,
    /// Let in, but no order came of it.
    pub(super) order_failed: u64,
    /// Never saw the product page.
    pub(super) turned_away: u64,
    /// Saw the line and left.
    pub(super) no_shows: u64,
    /// Outside at closing time.
    pub(super) outside: u64,
    /// Inside at the end of the grace.
    pub(super) unfinished: u64,
    /// Answers 5xx, or none.
    pub(super) pages_failed: u64,
    /// The same, of visitors who stood in the line.
    pub(super) failed_while_waiting: u64,
    /// Requests sent.
    pub(super) requests: u64,
    /// Pages of shoppers inside, from due to read. (The product page is not one of them: behind a
    /// waiting room its latency is the end of the wait.)
    pub(super) page: Quantiles,
    /// How late requests were sent.
    pub(super) lag: Quantiles,
}

impl Counts {
    /// While the act runs.
    pub(super) fn live(progress: &Progress) -> Self {
        Self {
            arrived: progress.arrived,
            admitted: progress.entered,
            waiting: progress.waiting,
            inside: progress.inside,
            bought: progress.bought,
            order_failed: progress.order_failed,
            pages_failed: progress.failed,
            requests: progress.requests,
            ..Self::default()
        }
    }

    /// When it is over.
    pub(super) fn of(evidence: &Evidence) -> Self {
        let Evidence { visits, timeline, .. } = evidence;
        let count = |holds: &dyn Fn(&Visit) -> bool| visits.iter().filter(|visit| holds(visit)).count() as u64;
        let ended = |end| count(&|visit| visit.end == end);
        // A shop alone has no line, and gives no tickets.
        let in_line = visits.iter().filter(|visit| !visit.held.is_empty());
        Self {
            arrived: visits.len() as u64,
            admitted: count(&|visit| visit.entered.is_some()),
            waiting: 0,
            inside: 0,
            bought: ended(End::Bought),
            order_failed: ended(End::OrderFailed),
            turned_away: ended(End::TurnedAway) + ended(End::Refused),
            no_shows: ended(End::NoShow),
            outside: ended(End::Outside),
            unfinished: ended(End::Unfinished),
            pages_failed: timeline.iter().map(|second| second.failed).sum(),
            failed_while_waiting: in_line.map(|v| u64::from(v.errors_outside + v.unanswered_outside)).sum(),
            requests: timeline.iter().map(|second| second.requests).sum(),
            page: Quantiles::of(timeline.iter().map(|second| &second.inside_latency)),
            lag: Quantiles::of(timeline.iter().map(|second| &second.lag)),
        }
    }
}

/// The counts of one second.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Second {
    pub(super) orders: u64,
    pub(super) let_in: u64,
    /// Shoppers in the line, at its start and at its end.
    pub(super) waiting: [u64; 2],
}

impl Second {
    /// The second between two readings.
    pub(super) fn between(before: &Counts, after: &Counts) -> Self {
        Self {
            orders: after.bought - before.bought,
            let_in: after.admitted - before.admitted,
            waiting: [before.waiting, after.waiting],
        }
    }
}
