//! Rounds: whoever comes within the same one stands in an order that is drawn, behind all who came before.
//!
//! ```text
//! overtaken    of a shopper: latest arrival of anybody with a lower number - own arrival             <= a round
//! drawn        of the pairs in the pre-queue who came within the same quarter of a round, the share whose
//!              numbers are in order of arrival: 1/2 where a draw decides, 1 where none does          <= 3/4
//! ```
//!
//! A shopper arrives when the first place is sealed, with a number or without: that is store time. Two gateways take turns at the store, so
//! overtaking may be a second more than the round. Where a round ends no visitor knows; of the quarters that one ends in, all pairs may be in order.
//!
//! Out of scope: who leaves before the draw, and whether grants follow the numbers (`order`). Nor is a fair draw told from an unfair one by
//! one launch.

use evidence::Visit;
use launch_model::token::Kind;

use crate::check::{Check, first_of, share};
use crate::launch::Launch;
use crate::order::NOTICEABLE;
use crate::windows::inversions;

/// Share of pairs in order of arrival that chance does not reach.
const MOST_IN_ORDER: f64 = 0.75;
/// Pairs that tell a draw from the order of arrival.
const LEAST_PAIRS: usize = 1_000;

/// A shopper with a number. In order of arrival, and of numbers where two arrived at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// In store time, milliseconds since 1970.
    arrived: i64,
    number: i64,
    index: u64,
}

pub(crate) fn checks(launch: &Launch<'_>) -> Vec<Check> {
    let Some(round) = launch.scenario.room.random_round else { return Vec::new() };
    let round = round.0.as_millis() as i64;
    let visits = launch.evidence.visits.iter().filter(|visit| visit.persona.polls_as_told());
    let mut places: Vec<Place> = visits.filter_map(place).collect();
    places.sort_unstable();
    let overtaken = of_overtaking(&places, round);
    vec![overtaken].into_iter().chain(launch.event_start().map(|start| of_draw(&places, round, start))).collect()
}

fn place(visit: &Visit) -> Option<Place> {
    let numbered = |kind: Kind| kind != Kind::Provisional;
    let mut numbers = visit.held.iter().map(|held| held.token).filter(|token| numbered(token.kind));
    let number = numbers.next()?.number;
    let arrived = visit.held.first()?.token.issued_ms.cast_signed();
    let one = numbers.all(|token| token.number == number);
    one.then_some(Place { arrived, number: number.cast_signed(), index: visit.index })
}

fn of_overtaking(places: &[Place], round: i64) -> Check {
    let check = Check::new("round-overtaking", "Longest overtaking by somebody who came later").promise(3).unit("s");
    if places.len() < 2 {
        return check.detail("Fewer than two people who poll as told had a number.");
    }
    let overtaken = overtaken(places);
    let allowed = round + NOTICEABLE;
    let found: Vec<u64> = overtaken.iter().filter(|&&(_, by)| by > allowed).map(|&(index, _)| index).collect();
    let longest = overtaken.iter().map(|&(_, by)| by).max().unwrap_or(0);
    let detail = format!(
        "Of {} people {:.0} % stand behind somebody who came later.{}",
        places.len(),
        share(overtaken.len(), places.len()) * 100.0,
        first_of(&found)
    );
    check.at_most(longest as f64 / 1e3, allowed as f64 / 1e3).detail(detail)
}

/// The overtaken shoppers, and by how many milliseconds; from the lowest number up.
fn overtaken(places: &[Place]) -> Vec<(u64, i64)> {
    let mut line = places.to_vec();
    line.sort_unstable_by_key(|place| place.number);
    let mut last = i64::MIN;
    let mut overtaken = Vec::new();
    for place in line {
        last = last.max(place.arrived);
        if last > place.arrived {
            overtaken.push((place.index, last - place.arrived));
        }
    }
    overtaken
}

fn of_draw(places: &[Place], round: i64, start: i64) -> Check {
    let check = Check::new("round-drawn", "Those who wait together, in the order in which they came").unit("share");
    let quarter = (round / 4).max(1);
    let before = &places[..places.partition_point(|place| place.arrived < start)];
    let (mut pairs, mut inverted) = (0, 0);
    for together in before.chunk_by(|one, next| one.arrived / quarter == next.arrived / quarter) {
        let numbers: Vec<i64> = together.iter().map(|place| place.number).collect();
        pairs += numbers.len() * (numbers.len() - 1) / 2;
        inverted += inversions(&numbers) as usize;
    }
    if pairs < LEAST_PAIRS {
        return check.detail(format!("Only {pairs} pairs came within a quarter of a round of each other."));
    }
    let detail = format!("{pairs} pairs who came within the same quarter of a round, before the event started.");
    check.at_most(1.0 - share(inverted, pairs), MOST_IN_ORDER).detail(detail)
}

#[cfg(test)]
mod tests {
    use evidence::Held;
    use launch_model::token::Token;

    use crate::check::Outcome;
    use crate::fixture::Made;
    use crate::judge;

    /// Shoppers who come every 50 ms for 20 s, in rounds of 5 s, before an event that starts then; `number` of each is by place of arrival.
    fn event(number: impl Fn(u64) -> u64) -> Made {
        let mut made = Made::new();
        for n in 0..400 {
            let (number, came) = (number(n), n.cast_signed() * 50);
            let visit = made.shopper(number + 1, came, 20_000 + number.cast_signed() * 100);
            let ticket = visit.held[0];
            let drawn = Token { issued_ms: ticket.token.issued_ms + 5_000, ..ticket.token };
            let place = Token { kind: super::Kind::Provisional, number: n % 100 + 1, ..ticket.token };
            visit.held[0] = Held { token: drawn, at: ticket.at + 5_000_000, ..ticket };
            visit.held.insert(0, Held { token: place, ..ticket });
        }
        made.scenario.room.event_start = "20s".parse().ok();
        made.scenario.room.random_round = "5s".parse().ok();
        made
    }

    /// An order in which each hundred is mixed.
    fn drawn(n: u64) -> u64 {
        n / 100 * 100 + (n % 100 * 37 + 11) % 100
    }

    #[test]
    fn an_order_that_is_drawn_round_by_round_holds() {
        let made = event(drawn);
        let (overtaking, draw) = (made.check("round-overtaking"), made.check("round-drawn"));
        assert!(overtaking.outcome == Outcome::Held && overtaking.measured > Some(4.0), "{overtaking:?}");
        assert!(draw.outcome == Outcome::Held && draw.measured < Some(0.6), "{draw:?}");
        assert_eq!((made.check("order").outcome, made.check("event-order").outcome), (Outcome::Held, Outcome::Held));
    }

    #[test]
    fn one_who_stands_behind_a_later_round_is_found() {
        let made = event(|n| if n == 0 { 1_000 } else { drawn(n) });
        let overtaking = made.check("round-overtaking");
        assert_eq!(overtaking.outcome, Outcome::Broken, "{overtaking:?}");
        assert!(overtaking.detail.contains("visitor 0"), "{overtaking:?}");
        assert_eq!(made.check("round-drawn").outcome, Outcome::Held);
    }

    #[test]
    fn who_stand_in_the_order_in_which_they_came_were_not_drawn() {
        let made = event(|n| n);
        let draw = made.check("round-drawn");
        assert_eq!((draw.outcome, draw.measured), (Outcome::Broken, Some(1.0)), "{draw:?}");
        assert_eq!(made.check("round-overtaking").outcome, Outcome::Held);
    }

    #[test]
    fn where_no_order_is_drawn_nothing_is_asked_of_rounds() {
        let mut made = event(drawn);
        made.scenario.room.random_round = None;
        assert!(judge(&made.scenario, &made.evidence).iter().all(|check| !check.id.starts_with("round")));
        made.scenario.room.random_round = "5s".parse().ok();
        made.evidence.visits.truncate(20);
        assert_eq!(made.check("round-drawn").outcome, Outcome::Unknown, "too few to tell");
    }
}
