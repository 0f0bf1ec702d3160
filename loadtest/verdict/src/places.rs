//! Promise 4: no shopper is lost.
//!
//! | check | a fault is |
//! |---|---|
//! | `one-end` | a visitor who is missing, is there twice, or whose end contradicts what they saw |
//! | `numbers-twice` | a number that two visitors were given |
//! | `places-kept` | a visitor with cookies whose number changed, while no pass of theirs had ended |
//! | `thrown-out` | a visitor who met the line again with a pass that had not ended |
//! | `second-passes` | a pass with another end than the one before, and no renewal: it was sealed before half of its life was over |
//!
//! A pass ends by its expiry, or by the receipt. A visitor who loses cookies may have many numbers, but none of them is
//! another visitor's. Of adversaries only those are judged who keep what they are given; the others mix up tokens themselves.
//!
//! Out of scope: shoppers who keep their place and never get in; `order` finds them, overtaken by all behind.

use std::collections::HashMap;

use evidence::{End, Held, Page, Visit};
use launch_model::persona::Persona;
use launch_model::token::{Kind, Token};

use crate::check::{Check, first_of};
use crate::launch::Launch;

pub(crate) fn checks(launch: &Launch<'_>) -> Vec<Check> {
    let visits = &launch.evidence.visits;
    if visits.is_empty() {
        return vec![Check::new("one-end", ONE_END).promise(4).unit("visitors").detail("Nobody came.")];
    }
    let found = |check: Check, fault: &dyn Fn(&Visit) -> bool| {
        let found: Vec<u64> = visits.iter().filter(|visit| fault(visit)).map(|visit| visit.index).collect();
        let detail = format!("{}{}", check.detail, first_of(&found));
        check.promise(4).unit("visitors").none(found.len()).detail(detail)
    };
    vec![
        one_end(launch),
        numbers_twice(launch),
        found(
            Check::new("places-kept", "Visitors who kept their cookies and lost their number")
                .detail("A new number is right only after a pass that has ended."),
            &|visit| keeps_cookies(visit) && has_lost_their_number(visit),
        ),
        found(
            Check::new("thrown-out", "Visitors who met the line again while their pass lived")
                .detail("Visitors who keep their cookies are looked at."),
            &|visit| keeps_cookies(visit) && was_thrown_out(launch, visit),
        ),
        found(
            Check::new("second-passes", "Visitors who were given a second pass for one number")
                .detail("A renewal, from half of a pass's life on, is none."),
            &|visit| keeps_cookies(visit) && has_second_pass(visit),
        ),
    ]
}

const ONE_END: &str = "Visitors who did not end in exactly one way";

pub(crate) fn keeps_cookies(visit: &Visit) -> bool {
    !visit.persona.is_adversary() && visit.persona != Persona::LosesCookies
}

/// Whether they hold what they were given.
fn holds_what_was_given(visit: &Visit) -> bool {
    let persona = visit.persona;
    !persona.is_adversary() || persona.is_spoiler() || matches!(persona, Persona::SkipsLine | Persona::IgnoresHints)
}

/// Every arrival is one visit, with one index and an end that fits it.
fn one_end(launch: &Launch<'_>) -> Check {
    let visits = &launch.evidence.visits;
    let arrived: u64 = launch.evidence.timeline.iter().map(|second| second.arrived).sum();
    let twice = visits.windows(2).filter(|pair| pair[0].index >= pair[1].index).count();
    let odd: Vec<u64> = visits.iter().filter(|visit| contradicts_itself(visit)).map(|visit| visit.index).collect();
    let missing = (visits.len() as u64).abs_diff(arrived) as usize;
    let detail = format!(
        "{} visits, {arrived} arrivals, {twice} visits out of place, {} with an end that does not fit.{}",
        visits.len(),
        odd.len(),
        first_of(&odd),
    );
    Check::new("one-end", ONE_END).promise(4).unit("visitors").none(missing + twice + odd.len()).detail(detail)
}

fn contradicts_itself(visit: &Visit) -> bool {
    let inside = matches!(visit.end, End::Bought | End::SoldOut | End::OrderFailed | End::Looked | End::Unfinished);
    inside != visit.entered.is_some() && !visit.persona.is_adversary() && !visit.thrown_out
}

fn numbers_twice(launch: &Launch<'_>) -> Check {
    let mut holders = HashMap::<u64, (u64, bool)>::new();
    for visit in launch.evidence.visits.iter().filter(|visit| holds_what_was_given(visit)) {
        for token in numbered(visit) {
            let (holder, twice) = holders.entry(token.number).or_insert((visit.index, false));
            *twice |= *holder != visit.index;
        }
    }
    let mut found: Vec<u64> = holders.values().filter(|(_, twice)| *twice).map(|&(holder, _)| holder).collect();
    found.sort_unstable();
    let check = Check::new("numbers-twice", "Numbers that two visitors were given").promise(4).unit("numbers");
    if holders.is_empty() {
        return check.detail("No number was seen in any cookie.");
    }
    check.none(found.len()).detail(format!("Of {} numbers.{}", holders.len(), first_of(&found)))
}

/// Their tokens that have a number; a provisional ticket has none yet.
fn numbered(visit: &Visit) -> impl Iterator<Item = Token> + Clone + '_ {
    visit.held.iter().map(|held| held.token).filter(|token| token.kind != Kind::Provisional)
}

fn has_lost_their_number(visit: &Visit) -> bool {
    let held = visit.held.iter().filter(|held| held.token.kind != Kind::Provisional);
    held.clone()
        .zip(held.skip(1))
        .any(|(before, after)| before.token.number != after.token.number && !had_ended(visit, before, after))
}

/// Whether a visitor's pass had ended when they were given another token.
fn had_ended(visit: &Visit, before: &Held, after: &Held) -> bool {
    let ran_out = before.token.kind == Kind::Pass && before.token.expires_ms <= after.token.issued_ms;
    ran_out || receipt(visit).is_some_and(|receipt| receipt <= after.at)
}

/// When the receipt had come: it gives the seat back.
pub(crate) fn receipt(visit: &Visit) -> Option<i64> {
    let paid = |status: u16| (200..300).contains(&status);
    let asked = visit.asked.iter().filter(|asked| asked.page == Page::Payment && asked.status.is_some_and(paid));
    asked.map(|asked| asked.answered).min()
}

/// By what the crowd noticed, or by a ticket that took the place of their pass.
fn was_thrown_out(launch: &Launch<'_>, visit: &Visit) -> bool {
    let last = numbered(visit).filter(|token| token.kind == Kind::Pass).map(|pass| pass.expires_ms.cast_signed()).max();
    let ran_out = last.zip(launch.store_time(visit.left)).is_some_and(|(ends, left)| ends <= left);
    let back = visit.held.windows(2).any(|pair| {
        let kinds = [pair[0].token.kind, pair[1].token.kind];
        kinds == [Kind::Pass, Kind::Ticket] && !had_ended(visit, &pair[0], &pair[1])
    });
    (visit.thrown_out && !ran_out) || back
}

fn has_second_pass(visit: &Visit) -> bool {
    let passes = numbered(visit).filter(|token| token.kind == Kind::Pass);
    passes.clone().zip(passes.skip(1)).any(|(before, after)| {
        before.number == after.number && before.expires_ms != after.expires_ms && !renews(before, after)
    })
}

/// Past half of its life, give or take a twentieth: the gateway decides by its own copy of store time.
fn renews(before: Token, after: Token) -> bool {
    let life = before.expires_ms.saturating_sub(before.issued_ms);
    after.expires_ms > before.expires_ms && after.issued_ms >= before.issued_ms + life / 2 - life / 20
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;
    use crate::fixture::{Made, SESSION};

    fn line() -> Made {
        Made::line_of(20)
    }

    /// A launch in which the first visitor fares like this.
    fn spoiled(spoil: impl Fn(&mut Visit)) -> Made {
        let mut made = line();
        spoil(&mut made.evidence.visits[0]);
        made
    }

    const ALL: [&str; 5] = ["one-end", "numbers-twice", "places-kept", "thrown-out", "second-passes"];

    #[track_caller]
    fn broken(made: &Made) -> Vec<&'static str> {
        ALL.into_iter().filter(|id| made.check(id).outcome == Outcome::Broken).collect()
    }

    #[test]
    fn in_a_sound_launch_nobody_is_lost() {
        let made = line();
        assert!(ALL.iter().all(|id| made.check(id).outcome == Outcome::Held));
    }

    #[test]
    fn every_arrival_is_one_visit_with_one_end() {
        let mut made = line();
        made.evidence.visits.remove(3);
        assert_eq!(broken(&made), ["one-end"]);
        let mut made = line();
        made.evidence.visits[4].index = 3;
        made.evidence.visits[5].index = 3;
        assert_eq!(made.check("one-end").measured, Some(2.0));
        assert_eq!(broken(&spoiled(|visit| visit.end = End::NoShow)), ["one-end"], "they were inside");
    }

    #[test]
    fn a_number_that_two_people_hold_is_found() {
        let mut made = line();
        made.outside(5, 100);
        assert_eq!(broken(&made), ["numbers-twice"]);
        assert!(made.check("numbers-twice").detail.contains("visitor 4"), "{:?}", made.check("numbers-twice"));
        made.evidence.visits[20].persona = Persona::Shares;
        assert_eq!(broken(&made), [""; 0]);
    }

    #[test]
    fn a_number_changes_only_after_a_pass_that_has_ended() {
        let renumbered = |visit: &mut Visit| visit.held[1].token.number = 900;
        assert_eq!(broken(&spoiled(renumbered)), ["places-kept"]);
        let loses = spoiled(|visit| {
            renumbered(visit);
            visit.persona = Persona::LosesCookies;
        });
        assert_eq!(broken(&loses), [""; 0]);
        let again = |later: u64| {
            move |visit: &mut Visit| {
                let issued_ms = visit.held[1].token.expires_ms + later - 1_000;
                let token = Token { kind: Kind::Ticket, number: 900, issued_ms, ..visit.held[0].token };
                visit.held.push(Held { at: 161_000, token, ..visit.held[0] });
            }
        };
        assert_eq!(broken(&spoiled(again(1_000))), [""; 0], "their pass had run out");
        assert_eq!(broken(&spoiled(again(0))), ["places-kept", "thrown-out"]);
        let other_tab = spoiled(|visit| {
            again(0)(visit);
            visit.held[2].at = 61_000_000;
        });
        assert_eq!(broken(&other_tab), [""; 0], "they had their receipt");
    }

    #[test]
    fn who_is_sent_back_into_the_line_is_found() {
        assert_eq!(broken(&spoiled(|visit| visit.thrown_out = true)), ["thrown-out"]);
        let waits_again = |visit: &mut Visit| {
            let again = Held { at: visit.held[1].at + 1_000, ..visit.held[0] };
            visit.held.push(again);
        };
        assert_eq!(broken(&spoiled(waits_again)), ["thrown-out"], "the same number, and no pass any more");
        let stayed = spoiled(|visit| (visit.thrown_out, visit.left) = (true, (SESSION + 10_000) * 1000));
        assert_eq!(broken(&stayed), [""; 0], "their pass had run out");
    }

    #[test]
    fn a_second_pass_is_told_from_a_renewal() {
        let another = |after: i64| {
            spoiled(|visit| {
                let pass = visit.held[1].token;
                let moved = |ms: u64| ms.checked_add_signed(after).unwrap();
                let token = Token { issued_ms: moved(pass.issued_ms), expires_ms: moved(pass.expires_ms), ..pass };
                visit.held.push(Held { token, ..visit.held[1] });
            })
        };
        assert_eq!(broken(&another(SESSION / 2)), [""; 0], "a renewal");
        assert_eq!(broken(&another(1_000)), ["second-passes"]);
        assert_eq!(broken(&another(0)), [""; 0], "the same pass again");
    }
}
