//! Whether the shoppers and the shop tell of the same launch, joined by `X-Request-Id`.
//!
//! ```text
//! log-strangers   launch pages in the shop's log that no shopper asked for          = 0
//! log-lost        forms that were accepted, that the log lacks, and gaps in its count       = 0
//! log-twice       requests of one shopper that the shop saw more than once          = 0
//! ```
//!
//! If these do not hold, other checks have seen only a part of the launch. A shopper remembers a request that brought them
//! a page. So many strangers are allowed for as there were visits cut short at the end, with a request on its way, and
//! requests of people outside that had an error or no answer. Of pages only those that a form leads to are looked for in the
//! log: a visitor who opens the product page with a pass that has ended gets the line from the gateway.
//!
//! Out of scope: what was in the requests.

use std::collections::HashMap;

use evidence::shop::Entry;
use evidence::{End, Page, RequestRecord, Visit};
use launch_model::attack;

use crate::check::Check;
use crate::launch::Launch;

pub(crate) fn checks(launch: &Launch<'_>) -> Vec<Check> {
    let check = |id: &str, title: &str| Check::new(id, title).unit("requests");
    let checks = [
        check("log-strangers", "Pages in the shop's log that no shopper asked for"),
        check("log-lost", "Forms of shoppers that were accepted and that the shop's log lacks"),
        check("log-twice", "Requests of one shopper that the shop saw twice"),
    ];
    if let Some(why) = not_joined(launch) {
        return checks.map(|check| check.detail(why)).into();
    }
    let [strangers, lost, twice] = checks;
    vec![self::strangers(launch, strangers), self::lost(launch, lost), self::twice(launch, twice)]
}

fn not_joined(launch: &Launch<'_>) -> Option<&'static str> {
    match () {
        () if launch.evidence.shop.is_empty() => Some("The shop told nobody what it saw."),
        () if launch.joined().next().is_none() => Some(
            "No request id of a shopper is in the shop's log: the gateway must trust this machine (`trusted_proxies`) to pass it on.",
        ),
        () => None,
    }
}

fn pages<'a>(launch: &Launch<'a>) -> impl Iterator<Item = &'a Entry> {
    launch.evidence.shop.iter().filter(|entry| entry.page != Page::Other)
}

fn strangers(launch: &Launch<'_>, check: Check) -> Check {
    let known = |id: &str| id.starts_with(attack::ID) || launch.asked.contains_key(id);
    let is_known = |entry: &&Entry| entry.request_id.as_deref().is_some_and(known);
    let strangers: Vec<&Entry> = pages(launch).filter(|entry| !is_known(entry)).collect();
    let cut = |visit: &Visit| u32::from(matches!(visit.end, End::Outside | End::Unfinished));
    let vain = |visit: &Visit| cut(visit) + visit.errors_outside + visit.unanswered_outside;
    let vain: u32 = launch.evidence.visits.iter().map(vain).sum();
    let first =
        strangers.first().map_or(String::new(), |entry| format!(" The first is entry {} of its log.", entry.seq));
    let detail = format!("Of {}; {vain} requests were in vain, or cut short at the end.{first}", pages(launch).count());
    check.at_most(strangers.len() as f64, f64::from(vain)).detail(detail)
}

fn lost(launch: &Launch<'_>, check: Check) -> Check {
    let logged: HashMap<&str, u64> =
        launch.evidence.shop.iter().filter_map(|entry| Some((entry.request_id.as_deref()?, entry.seq))).collect();
    let given = |asked: &&RequestRecord| {
        let ok = asked.status.is_some_and(|status| (200..300).contains(&status));
        ok && !asked.attack && matches!(asked.page, Page::Cart | Page::Order | Page::Payment)
    };
    let given: Vec<&RequestRecord> =
        launch.evidence.visits.iter().flat_map(|visit| &visit.asked).filter(given).collect();
    let lost = given.iter().filter(|asked| !logged.contains_key(asked.id.as_str())).count();
    let gaps = gaps(launch);
    check
        .none(lost + gaps)
        .detail(format!("{lost} of {} forms; {gaps} entries are missing in the log's own count.", given.len()))
}

/// Entries that are missing between the first and the last.
fn gaps(launch: &Launch<'_>) -> usize {
    let mut seqs: Vec<u64> = launch.evidence.shop.iter().map(|entry| entry.seq).collect();
    seqs.sort_unstable();
    seqs.dedup();
    let span = seqs.first().zip(seqs.last()).map_or(0, |(first, last)| last - first + 1);
    span as usize - seqs.len()
}

fn twice(launch: &Launch<'_>, check: Check) -> Check {
    let mut seen = HashMap::<&str, usize>::new();
    for id in pages(launch).filter_map(|entry| entry.request_id.as_deref()) {
        *seen.entry(id).or_default() += 1;
    }
    check.none(seen.values().filter(|&&times| times > 1).count()).detail(format!("Of {} request ids.", seen.len()))
}

#[cfg(test)]
mod tests {
    use crate::check::Outcome;
    use crate::fixture::Made;

    const ALL: [&str; 3] = ["log-strangers", "log-lost", "log-twice"];

    fn broken(made: &Made) -> Vec<&'static str> {
        ALL.into_iter().filter(|id| made.check(id).outcome == Outcome::Broken).collect()
    }

    #[test]
    fn a_log_of_the_same_launch_joins() {
        let made = Made::line_of(20);
        assert!(ALL.iter().all(|id| made.check(id).outcome == Outcome::Held));
    }

    #[test]
    fn what_only_one_side_knows_is_found() {
        let mut made = Made::line_of(20);
        made.evidence.shop[4].request_id = Some("somebody".into());
        assert_eq!(broken(&made), ["log-strangers", "log-lost"]);
        let mut made = Made::line_of(20);
        made.evidence.shop.remove(4);
        assert_eq!(made.check("log-lost").measured, Some(2.0), "a form and a gap");
        let mut made = Made::line_of(20);
        let entry = made.evidence.shop[5].clone();
        made.evidence.shop.push(entry);
        assert_eq!(broken(&made), ["log-twice"]);
    }

    #[test]
    fn a_request_on_its_way_at_the_end_is_allowed_for() {
        let mut made = Made::line_of(20);
        made.outside(900, 0);
        made.visits_shop(900, evidence::Page::Item, 59_999);
        made.evidence.visits[20].asked.clear();
        assert_eq!(broken(&made), [""; 0]);
    }

    #[test]
    fn a_log_without_our_ids_tells_nothing() {
        let mut made = Made::line_of(20);
        made.evidence.shop.iter_mut().for_each(|entry| entry.request_id = None);
        assert!(ALL.iter().all(|id| made.check(id).outcome == Outcome::Unknown));
    }
}
