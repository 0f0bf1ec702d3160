//! A purchase with stages, of which one may be slow: what those inside saw meanwhile, and what was sold.
//!
//! ```text
//! faults-made     faults of the shop that were not made as they are written             else the run is invalid
//! white-pages     pages that led nowhere, of people with a pass                         = 0
//! charged-twice   orders that the third party charged more than once                    = 0
//! sold-twice      orders that were paid although their pieces had gone back             = 0
//! form-twice      orders and charges that were made again for one form                  = 0
//! goodput         purchases / purchases that were possible, while people wait           >= objective
//!
//! possible a second = min(rate of the room, what the slowest stage delivers)
//! ```
//!
//! A page leads nowhere if it is a 5xx, a 429 of bare text, empty, or did not come. Purchases are held against what was possible in
//! windows of ten seconds, and what was sold beyond it in one makes up for nothing in another. Windows count in which a line
//! stood all along, from twenty seconds after its begin: by then those who were let in first can have paid.
//!
//! Out of scope: a shop of which no stage is known. These checks are made where the scenario has them.

use std::collections::BTreeMap;

use evidence::shop::{Look, Report, Stages};
use evidence::{Micros, Page, RequestRecord, Visit};
use launch_model::scenario::{Fault, Stage};

use crate::check::{Check, first_of};
use crate::launch::Launch;

const SECOND: Micros = 1_000_000;
/// Length of a window, in seconds.
const WINDOW: usize = 10;
/// Seconds at the begin of a line that are left out.
const SETTLING: usize = 20;

pub(crate) fn checks(launch: &Launch<'_>) -> Vec<Check> {
    if !launch.scenario.shop.has_stages() {
        return Vec::new();
    }
    let told = |id: &str, title: &str, unit: &str, of: fn(&Report) -> Option<u64>| {
        let check = Check::new(id, title).unit(unit);
        match launch.evidence.shop_report.as_ref().and_then(of) {
            Some(count) => check.none(count as usize).detail("As the shop counts them."),
            None => check.detail("The shop does not tell."),
        }
    };
    vec![
        faults_made(launch).or_invalid(),
        white_pages(launch),
        told("charged-twice", "Orders that were charged more than once", "orders", |shop| Some(shop.charged_twice)),
        told("sold-twice", "Orders that were paid after their pieces had gone back", "orders", |shop| {
            shop.account.as_ref().map(|account| account.sold_twice)
        }),
        told("form-twice", "Orders and charges that were made again for one form", "forms", |shop| {
            Some(shop.key_duplicates)
        }),
        goodput(launch),
    ]
}

fn faults_made(launch: &Launch<'_>) -> Check {
    let check = Check::new("faults-made", "Faults of the shop that were not made as they are written").unit("faults");
    let (faults, looks) = (&launch.scenario.shop.faults, &launch.evidence.stages);
    if faults.is_empty() || looks.is_empty() {
        let why = if faults.is_empty() { "The scenario has none." } else { "The stages of the shop were not seen." };
        return check.detail(why);
    }
    let missing = faults.iter().filter(|fault| !was_made(fault, looks)).count();
    check.none(missing).detail(format!("Of {}, as {} looks at the stages tell.", faults.len(), looks.len()))
}

/// Whether the stage was smaller while the fault lasted than it ever was.
fn was_made(fault: &Fault, looks: &[Look]) -> bool {
    let pool = |look: &Look| match fault.stage {
        Stage::Order => look.stages.order.pool,
        Stage::Payment => look.stages.payment.map_or(0, |payment| payment.pool),
    };
    let whole = looks.iter().map(pool).max().unwrap_or(0);
    let during = fault.from.0.as_micros() as Micros..fault.until().as_micros() as Micros;
    let meant = (whole as f64 * fault.share).round().max(1.0) as usize;
    looks.iter().any(|look| during.contains(&look.at) && pool(look) == meant)
}

/// Requests of people with a pass that led nowhere.
pub(crate) fn white<'a>(launch: &Launch<'a>) -> impl Iterator<Item = (&'a Visit, &'a RequestRecord)> {
    let holders = launch.evidence.visits.iter().filter(|visit| !visit.persona.is_adversary());
    let asked = holders.filter_map(|visit| Some((visit, visit.entered?)));
    asked.flat_map(|(visit, entered)| {
        let white = move |asked: &&RequestRecord| asked.white && !asked.attack && asked.due >= entered;
        visit.asked.iter().filter(white).map(move |asked| (visit, asked))
    })
}

fn white_pages(launch: &Launch<'_>) -> Check {
    let check = Check::new("white-pages", "Pages that led people with a pass nowhere").unit("pages");
    let holders = launch.evidence.visits.iter().filter(|visit| visit.entered.is_some());
    let pages: usize = holders.map(|visit| visit.asked.len()).sum();
    if pages == 0 {
        return check.detail("Nobody was let in.");
    }
    let found: Vec<_> = white(launch).collect();
    let mut kinds = BTreeMap::<String, usize>::new();
    for (_, asked) in &found {
        let status = asked.status.map_or("no answer".to_owned(), |status| status.to_string());
        *kinds.entry(format!("{status} to {}", name(asked.page))).or_default() += 1;
    }
    let kinds: Vec<String> = kinds.into_iter().map(|(kind, count)| format!("{count} times {kind}")).collect();
    let mut who: Vec<u64> = found.iter().map(|(visit, _)| visit.index).collect();
    who.dedup();
    let kinds = if kinds.is_empty() { String::new() } else { format!(" {}.", kinds.join(", ")) };
    check.none(found.len()).detail(format!("Of {pages} pages.{kinds}{}", first_of(&who)))
}

fn name(page: Page) -> &'static str {
    match page {
        Page::Item => "the product",
        Page::Cart => "the cart",
        Page::Order => "an order",
        Page::Payment => "a payment",
        Page::Other => "another page",
    }
}

fn goodput(launch: &Launch<'_>) -> Check {
    let check = Check::new("goodput", "Purchases, of those that were possible while people wait").unit("share");
    let (mut sold, mut possible) = (0.0, 0.0);
    for window in windows(launch) {
        let could: f64 = window.clone().map(|second| possible_in(launch, second)).sum();
        let bought: u64 = window.map(|second| launch.evidence.timeline[second].bought).sum();
        sold += could.min(bought as f64);
        possible += could;
    }
    if possible <= 0.0 {
        return check.detail(format!("No line stood for {} s, or the stages were not seen.", SETTLING + WINDOW));
    }
    let detail =
        format!("{sold:.0} of {possible:.0}, by the rate of the room and by what the slowest stage delivered.");
    check.at_least(sold / possible, launch.scenario.objectives.goodput).detail(detail)
}

/// Windows in which a line stood all along, as indices of seconds.
fn windows(launch: &Launch<'_>) -> Vec<std::ops::Range<usize>> {
    let timeline = &launch.evidence.timeline;
    if launch.evidence.stages.is_empty() {
        return Vec::new();
    }
    let mut windows = Vec::new();
    let mut stands = 0;
    for (second, seen) in timeline.iter().enumerate() {
        stands = if seen.waiting > 0 { stands + 1 } else { 0 };
        if stands >= SETTLING + WINDOW && (stands - SETTLING).is_multiple_of(WINDOW) {
            windows.push(second + 1 - WINDOW..second + 1);
        }
    }
    windows
}

/// Purchases that were possible in this second.
fn possible_in(launch: &Launch<'_>, second: usize) -> f64 {
    let capacity = stages_at(launch, end_of(second)).and_then(Stages::delivers);
    capacity.map_or(launch.limit().rate, |capacity| capacity.min(launch.limit().rate))
}

/// The end of a second, by its place in the timeline.
pub(crate) fn end_of(second: usize) -> Micros {
    Micros::try_from(second + 1).map_or(Micros::MAX, |seconds| seconds.saturating_mul(SECOND))
}

/// The stages as they were seen last by then.
pub(crate) fn stages_at<'a>(launch: &Launch<'a>, at: Micros) -> Option<&'a Stages> {
    let looks = &launch.evidence.stages;
    let seen = looks.partition_point(|look| look.at < at);
    seen.checked_sub(1).map(|last| &looks[last].stages)
}

#[cfg(test)]
mod tests {
    use evidence::Second;
    use evidence::shop::{Account, Stage as Seen};
    use launch_model::scenario::Payment;

    use super::*;
    use crate::check::Outcome;
    use crate::fixture::Made;

    /// A minute of a line at a room of 10 a second, whose payments are at a tenth from 30 s to 40 s, with so many purchases in each
    /// second before, during and after.
    fn stalled(bought: [u64; 3]) -> Made {
        let mut made = Made::line_of(20);
        made.scenario.shop.payment = Some(Payment::default());
        let fault =
            Fault { stage: Stage::Payment, share: 0.1, from: "30s".parse().unwrap(), r#for: "10s".parse().unwrap() };
        made.scenario.shop.faults = vec![fault];
        let phase = |second: usize| usize::from(second >= 30) + usize::from(second >= 40);
        let second = |second| Second { waiting: 9, bought: bought[phase(second)], ..Second::default() };
        made.evidence.timeline = (0..60).map(second).collect();
        let look = |second: usize| {
            let pool = if phase(second) == 1 { 2 } else { 20 };
            let payment = Some(Seen { pool, delivers: pool as f64, ..Seen::default() });
            let order = Seen { pool: 20, delivers: 50.0, ..Seen::default() };
            Look { at: end_of(second) - SECOND, stages: Stages { order, payment } }
        };
        made.evidence.stages = (0..60).map(look).collect();
        made.evidence.shop_report = Some(Report { account: Some(Account::default()), ..Report::default() });
        made
    }

    #[test]
    fn a_shop_without_stages_is_not_asked_for_any() {
        assert!(checks(&Made::line_of(5).launch()).is_empty());
    }

    #[test]
    fn purchases_are_held_against_what_was_possible_in_each_window() {
        let right = stalled([10, 2, 20]);
        let check = right.check("goodput");
        assert_eq!((check.outcome, check.measured), (Outcome::Held, Some(1.0)), "{check:?}");
        let check = stalled([10, 0, 22]).check("goodput");
        assert!(
            check.measured.is_some_and(|share| (share - 300.0 / 320.0).abs() < 1e-9),
            "late is not in time: {check:?}"
        );
        assert_eq!(stalled([10, 2, 5]).check("goodput").outcome, Outcome::Broken);
        let mut calm = stalled([10, 2, 20]);
        calm.evidence.timeline[30].waiting = 0;
        assert_eq!(calm.check("goodput").measured, Some(1.0), "the window before");
        calm.evidence.stages.clear();
        assert_eq!(calm.check("goodput").outcome, Outcome::Unknown);
    }

    #[test]
    fn a_fault_that_was_not_made_makes_the_run_invalid() {
        let mut made = stalled([10, 2, 20]);
        assert_eq!(made.check("faults-made").outcome, Outcome::Held);
        for look in &mut made.evidence.stages {
            look.stages.payment = Some(Seen { pool: 20, ..Seen::default() });
        }
        assert_eq!(made.check("faults-made").outcome, Outcome::Invalid);
        made.evidence.stages.clear();
        assert_eq!(made.check("faults-made").outcome, Outcome::Unknown);
    }

    #[test]
    fn a_page_that_leads_a_pass_holder_nowhere_is_found_and_named() {
        let mut made = stalled([10, 2, 20]);
        assert_eq!(made.check("white-pages").outcome, Outcome::Held);
        let asked = &mut made.evidence.visits[3].asked[2];
        (asked.white, asked.status) = (true, Some(502));
        let check = made.check("white-pages");
        assert_eq!((check.outcome, check.measured), (Outcome::Broken, Some(1.0)));
        assert!(check.detail.contains("1 times 502 to a payment") && check.detail.contains("visitor 3"), "{check:?}");
        made.evidence.visits[3].asked[2].attack = true;
        assert_eq!(made.check("white-pages").outcome, Outcome::Held, "an attack gets what it gets");
    }

    #[test]
    fn what_was_charged_or_sold_or_made_twice_is_found_in_the_shops_books() {
        let mut made = stalled([10, 2, 20]);
        let ids = ["charged-twice", "sold-twice", "form-twice"];
        assert!(ids.iter().all(|id| made.check(id).outcome == Outcome::Held));
        let account = Some(Account { sold_twice: 1, ..Account::default() });
        made.evidence.shop_report = Some(Report { charged_twice: 2, key_duplicates: 3, account, ..Report::default() });
        let measured = ids.map(|id| (made.check(id).outcome, made.check(id).measured));
        assert_eq!(measured, [2.0, 1.0, 3.0].map(|count| (Outcome::Broken, Some(count))));
        made.evidence.shop_report = None;
        assert!(ids.iter().all(|id| made.check(id).outcome == Outcome::Unknown));
    }
}
