//! Promise 4: active shoppers stay in.
//!
//! ```text
//! active   from the first page on, at most a quarter of session_duration between two requests
//! fault    they met the line again, or got another number, before their receipt
//! ```
//!
//! A pass is renewed from half of its life on. A shopper who asks once in every quarter asks at least twice in that half: the
//! renewal must be done, and must have reached the cookie, with the second of these requests. A visit is evidence if it
//! lasted longer than one life of a pass.
//!
//! Out of scope: a living pass, shown by its own cookie, that is refused; that is `thrown-out` ([`super::places`]).

use evidence::{Micros, Visit};
use launch_model::token::Kind;

use crate::check::{Check, first_of};
use crate::launch::Launch;
use crate::places::{keeps_cookies, receipt};

/// Requests in each life of a pass, evenly apart, that make a shopper active.
const REQUESTS_A_LIFE: Micros = 4;

pub(crate) fn checks(launch: &Launch<'_>) -> Vec<Check> {
    let check = Check::new("active-stay-in", "Active shoppers who lost their pass").promise(4).unit("visitors");
    let life = Micros::try_from(launch.scenario.room.session_duration.0.as_micros()).unwrap_or(Micros::MAX);
    let stays = launch.evidence.visits.iter().filter(|visit| keeps_cookies(visit));
    let active: Vec<Stay> = stays.filter_map(Stay::of).filter(|stay| stay.is_active(life)).collect();
    let lost: Vec<u64> = active.iter().filter(|stay| stay.lost).map(|stay| stay.visit.index).collect();
    let long = active.iter().filter(|stay| stay.lost || stay.until - stay.from > life).count();
    if long == 0 {
        return vec![check.detail("Nobody was active inside for longer than session_duration.")];
    }
    let detail = format!("Of {long} who asked all along, at least four times in every session_duration.");
    vec![check.none(lost.len()).detail(detail + &first_of(&lost))]
}

/// Time inside: from the first page to the loss of the pass, or to the last request.
struct Stay<'a> {
    visit: &'a Visit,
    from: Micros,
    until: Micros,
    lost: bool,
}

impl<'a> Stay<'a> {
    fn of(visit: &'a Visit) -> Option<Self> {
        let receipt = receipt(visit).unwrap_or(Micros::MAX);
        let lost = visit.sent_back.into_iter().chain(renumbered(visit)).min().filter(|lost| *lost < receipt);
        let last = visit.asked.iter().map(|asked| asked.due).max()?;
        Some(Self { visit, from: visit.entered?, until: lost.unwrap_or(last), lost: lost.is_some() })
    }

    /// Whether no pause between two requests was too long.
    fn is_active(&self, life: Micros) -> bool {
        let mut dues: Vec<Micros> = self.visit.asked.iter().map(|asked| asked.due).collect();
        dues.retain(|due| (self.from..=self.until).contains(due));
        dues.sort_unstable();
        let before = [self.from].into_iter().chain(dues.iter().copied());
        before.zip(dues.iter().copied().chain([self.until])).all(|(one, next)| next - one <= life / REQUESTS_A_LIFE)
    }
}

/// When a token of another number took the place of their pass.
fn renumbered(visit: &Visit) -> Option<Micros> {
    let mut held = visit.held.iter().skip_while(|held| held.token.kind != Kind::Pass);
    let pass = held.next()?.token;
    held.find(|held| held.token.number != pass.number).map(|held| held.at)
}

#[cfg(test)]
mod tests {
    use evidence::{Held, Page, Visit};
    use launch_model::token::{Kind, Token};

    use crate::check::Outcome;
    use crate::fixture::{Made, SESSION};

    /// One shopper who asks every so many milliseconds for three lives of a pass.
    fn asks_every(ms: i64) -> Made {
        let mut made = Made::new();
        made.shopper(1, 0, 1_000);
        made.evidence.visits[0].asked.clear();
        for at in (1_000..3 * SESSION).step_by(ms as usize) {
            made.visits_shop(1, Page::Item, at);
        }
        made
    }

    fn outcome(every: i64, spoil: impl FnOnce(&mut Visit)) -> Outcome {
        let mut made = asks_every(every);
        spoil(&mut made.evidence.visits[0]);
        made.check("active-stay-in").outcome
    }

    #[test]
    fn who_asks_all_along_stays_in() {
        assert_eq!(outcome(SESSION / 10, |_| ()), Outcome::Held);
        assert_eq!(outcome(SESSION / 10, |visit| visit.sent_back = Some((SESSION + 2_000) * 1000)), Outcome::Broken);
        let silently = |visit: &mut Visit| {
            let token = Token { kind: Kind::Pass, number: 900, ..visit.held[1].token };
            visit.held.push(Held { at: (SESSION + 2_000) * 1000, token, ..visit.held[1] });
        };
        assert_eq!(outcome(SESSION / 10, silently), Outcome::Broken, "a calm room gives a new number at once");
    }

    #[test]
    fn who_pauses_longer_may_lose_their_pass() {
        let back = |visit: &mut Visit| visit.sent_back = Some((SESSION + 2_000) * 1000);
        assert_eq!(outcome(SESSION / 3, back), Outcome::Unknown);
    }

    #[test]
    fn a_visit_shorter_than_a_pass_tells_nothing_and_a_receipt_ends_it() {
        assert_eq!(Made::line_of(20).check("active-stay-in").outcome, Outcome::Unknown);
        let mut made = asks_every(SESSION / 10);
        made.visits_shop(1, Page::Payment, 3 * SESSION);
        made.evidence.visits[0].sent_back = Some((3 * SESSION + 500) * 1000);
        assert_eq!(made.check("active-stay-in").outcome, Outcome::Held);
    }
}
