//! Promise 5: no client slips in.
//!
//! ```text
//! attacks        requests that were sent as an attack and that the shop's log has, joined by request id     = 0
//!                (not a form that was sent with a ticket, if its holder was called meanwhile and got the pass with it;
//!                not one that came with a pass of before and took a number that was called at once;
//!                not one that was sent within form_grace of the end of its pass: these are counted in `late`)
//! without pass   launch pages at the shop without a `Weir-Pass-Id`                                          = 0
//! shared pass    requests of one pass at the shop within a second     <= gateways x (burst + 1 s of the quota)
//! ```
//!
//! A shared pass cannot be told from a shopper who changes networks, so it is bounded and not forbidden: by the gateway's quota per
//! place, whose defaults stand in `deploy/weir.example.toml`.
//!
//! Out of scope: how a token is forged; the crowd's adversaries do that.

use std::collections::{HashMap, HashSet};

use evidence::shop::Entry;
use evidence::{Page, RequestRecord, Visit};
use launch_model::persona::Persona;
use launch_model::token::Kind;

use crate::check::Check;
use crate::late::{self, LateForm, is_form};
use crate::launch::Launch;
use crate::windows::most_within;

/// Requests per second of each client, and at once: `requests_per_second` and `request_burst`.
const QUOTA: [f64; 2] = [50.0, 200.0];

pub(crate) fn checks(launch: &Launch<'_>) -> Vec<Check> {
    vec![attacks(launch), without_pass(launch), shared(launch)]
}

fn attacks(launch: &Launch<'_>) -> Check {
    let check = Check::new("attacks-at-shop", "Attacks that reached the shop").promise(5).unit("requests");
    let sent = launch.evidence.visits.iter().flat_map(|visit| &visit.asked).filter(|asked| asked.attack).count();
    let joined: Vec<(&RequestRecord, &Entry)> = launch.joined().collect();
    match () {
        () if sent == 0 => check.detail("Nobody attacked."),
        () if launch.evidence.shop.is_empty() => check.detail("The shop told nobody what it saw."),
        () if joined.is_empty() => check.detail(
            "No request id of a shopper is in the shop's log: the gateway must trust this machine (`trusted_proxies`) to pass it on.",
        ),
        () => {
            let theirs: HashSet<&str> = sent_in_their_turn(launch).chain(sent_in_grace(launch)).collect();
            let through = |(asked, entry): &&(&RequestRecord, &Entry)| {
                asked.attack && !(entry.pass_id.is_some() && theirs.contains(asked.id.as_str()))
            };
            let through: HashSet<&str> = joined.iter().filter(through).map(|(asked, _)| asked.id.as_str()).collect();
            check.none(through.len()).detail(by_kind(launch, &through, sent))
        }
    }
}

/// Forms of people who skip the line, from the answer on that brought them a pass: a called ticket is traded when
/// a form comes with it. And those with an earlier pass that were let in with a number of their own: a form takes one.
fn sent_in_their_turn<'l>(launch: &'l Launch<'_>) -> impl Iterator<Item = &'l str> {
    let turn = |visit: &'l Visit| {
        let mut passes = visit.held.iter().filter(|held| held.token.kind == Kind::Pass);
        let first = passes.next().map(|held| (held.at, held.token.number));
        let new = move |asked: &RequestRecord| {
            let mut later = visit.held.iter().filter(|held| held.token.kind == Kind::Pass && held.at == asked.answered);
            first.is_some_and(|(_, number)| later.any(|held| held.token.number != number))
        };
        let theirs = move |asked: &&RequestRecord| match visit.persona {
            Persona::SkipsLine => first.is_some_and(|(at, _)| asked.answered >= at),
            Persona::Replays | Persona::Expired => is_form(asked) && new(asked),
            _ => false,
        };
        visit.asked.iter().filter(theirs)
    };
    launch.evidence.visits.iter().flat_map(turn).map(|asked| asked.id.as_str())
}

/// Forms of people who use their pass when it has just ended.
fn sent_in_grace<'l>(launch: &'l Launch<'_>) -> impl Iterator<Item = &'l str> {
    let outlive = launch.evidence.visits.iter().filter(|visit| visit.persona == Persona::Expired);
    let theirs: HashSet<&str> = outlive.flat_map(|visit| &visit.asked).map(|asked| asked.id.as_str()).collect();
    late::forms(launch).filter(LateForm::in_time).map(|form| form.id).filter(move |id| theirs.contains(id))
}

/// How many attacks were sent, and which kinds got through.
fn by_kind(launch: &Launch<'_>, through: &HashSet<&str>, sent: usize) -> String {
    let attackers = launch.evidence.visits.iter().filter(|visit| visit.asked.iter().any(|asked| asked.attack));
    let successful =
        attackers.clone().filter(|visit| visit.asked.iter().any(|asked| through.contains(asked.id.as_str())));
    let mut kinds: Vec<String> = successful.map(|visit| format!("{:?}", visit.persona)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let found = if kinds.is_empty() { String::new() } else { format!(" Got through: {}.", kinds.join(", ")) };
    format!("{sent} were sent by {} visitors.{found}", attackers.count())
}

fn without_pass(launch: &Launch<'_>) -> Check {
    let check = Check::new("entries-without-pass", "Pages of the launch that the shop served without a pass");
    let check = check.promise(5).unit("requests");
    let pages: Vec<&Entry> = launch.evidence.shop.iter().filter(|entry| entry.page != Page::Other).collect();
    if pages.is_empty() {
        return check.detail("The shop told nobody what it saw.");
    }
    let without: Vec<&&Entry> = pages.iter().filter(|entry| entry.pass_id.is_none()).collect();
    let given_up = launch.evidence.gateways.iter().any(|look| look.limits_given_up);
    if given_up && !without.is_empty() {
        return check
            .detail(format!("{} came while the gateways had given up the limits, as fail_mode says.", without.len()));
    }
    let first = without.first().map_or(String::new(), |entry| format!(" The first is entry {} of its log.", entry.seq));
    check.none(without.len()).detail(format!("Of {} in its log.{first}", pages.len()))
}

fn shared(launch: &Launch<'_>) -> Check {
    let check =
        Check::new("requests-per-pass", "Requests of one pass at the shop within a second").promise(5).unit("requests");
    let mut by_pass = HashMap::<&str, Vec<i64>>::new();
    for entry in &launch.evidence.shop {
        if let Some(pass) = &entry.pass_id {
            by_pass.entry(pass).or_default().push(entry.arrived_us);
        }
    }
    let most = by_pass.values_mut().map(|times| {
        times.sort_unstable();
        most_within(times, 1_000_000)
    });
    let Some(most) = most.max() else { return check.detail("The shop saw no pass.") };
    let gateways = launch.gateways();
    let allowed = gateways as f64 * (QUOTA[0] + QUOTA[1]);
    let detail = format!(
        "The busiest of {} passes. A pass may be shared, but only within the quota of one client: {} at once and {} a second at each of {gateways} gateways.",
        by_pass.len(),
        QUOTA[1],
        QUOTA[0],
    );
    check.at_most(most as f64, allowed).detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;
    use crate::fixture::Made;

    /// A launch in which one visitor attacks, and whether the shop sees it.
    fn attacked(seen: bool) -> Made {
        let mut made = Made::line_of(20);
        made.outside(90, 500).persona = Persona::Forges;
        made.visits_shop(90, Page::Item, 900);
        made.evidence.visits[20].asked[0].attack = true;
        if !seen {
            made.evidence.shop.pop();
        }
        made
    }

    #[test]
    fn an_attack_is_looked_for_in_the_shops_log() {
        assert_eq!(Made::line_of(5).check("attacks-at-shop").outcome, Outcome::Unknown, "nobody attacked");
        assert_eq!(attacked(false).check("attacks-at-shop").outcome, Outcome::Held);
        let check = attacked(true).check("attacks-at-shop");
        assert_eq!((check.outcome, check.measured), (Outcome::Broken, Some(1.0)));
        assert!(check.detail.contains("Forges"), "{check:?}");
    }

    #[test]
    fn who_skips_the_line_and_is_called_meanwhile_may_send_a_form_with_the_ticket() {
        let mut made = Made::line_of(20);
        made.shopper(90, 500, 800).persona = Persona::SkipsLine;
        made.visits_shop(90, Page::Order, 900);
        made.evidence.visits[20].asked.iter_mut().for_each(|asked| asked.attack = true);
        assert_eq!(made.check("attacks-at-shop").outcome, Outcome::Held);
        let answered = made.evidence.visits[20].asked[0].answered;
        made.evidence.visits[20].asked[0].answered = 0;
        assert_eq!(made.check("attacks-at-shop").outcome, Outcome::Broken, "before they had a pass");
        made.evidence.visits[20].asked[0].answered = answered;
        made.evidence.shop.iter_mut().for_each(|entry| entry.pass_id = None);
        assert_eq!(made.check("attacks-at-shop").outcome, Outcome::Broken, "without a pass it is an attack");
    }

    #[test]
    fn a_form_with_a_pass_of_before_may_take_a_number_and_enter_with_it_and_nothing_else_may() {
        let attack = |persona, page, number| {
            let mut made = Made::line_of(20);
            made.shopper(90, 500, 800).persona = persona;
            made.visits_shop(number, page, 5_000);
            let visit = &mut made.evidence.visits[20];
            let asked = visit.asked.last_mut().unwrap();
            asked.attack = true;
            let (at, mut held) = (asked.answered, visit.held[1]);
            (held.at, held.token.number) = (at, number);
            visit.held.push(held);
            made.check("attacks-at-shop").outcome
        };
        assert_eq!(attack(Persona::Replays, Page::Order, 91), Outcome::Held);
        assert_eq!(attack(Persona::Replays, Page::Order, 90), Outcome::Broken, "with the pass that was taken away");
        assert_eq!(attack(Persona::Replays, Page::Item, 91), Outcome::Broken, "no form");
        assert_eq!(attack(Persona::Forges, Page::Order, 91), Outcome::Broken, "nobody knows them");
    }

    #[test]
    fn without_request_ids_in_the_log_nothing_is_known_of_attacks() {
        let mut made = attacked(false);
        made.evidence.shop.iter_mut().for_each(|entry| entry.request_id = None);
        assert_eq!(made.check("attacks-at-shop").outcome, Outcome::Unknown);
        made.evidence.shop.clear();
        assert_eq!(made.check("attacks-at-shop").outcome, Outcome::Unknown);
        assert_eq!(made.check("entries-without-pass").outcome, Outcome::Unknown);
    }

    #[test]
    fn a_page_that_was_served_without_a_pass_is_found() {
        let mut made = Made::line_of(20);
        assert_eq!(made.check("entries-without-pass").outcome, Outcome::Held);
        made.evidence.shop[7].pass_id = None;
        let check = made.check("entries-without-pass");
        assert!(check.outcome == Outcome::Broken && check.detail.contains("entry 8 "), "{check:?}");
        made.evidence.shop[7].page = Page::Other;
        assert_eq!(made.check("entries-without-pass").outcome, Outcome::Held, "not a page of the launch");
    }

    #[test]
    fn a_shared_pass_stays_within_the_quota_of_one_client() {
        let mut made = Made::line_of(2);
        assert_eq!(made.check("requests-per-pass").measured, Some(3.0));
        for n in 0..260 {
            made.visits_shop(2, Page::Item, 5_000 + n);
        }
        assert_eq!(made.check("requests-per-pass").outcome, Outcome::Broken);
    }
}
