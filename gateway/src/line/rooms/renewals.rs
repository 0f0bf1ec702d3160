//! The renewals of passes that this gateway requested.
//!
//! A renewal is committed while the request goes on, and a fast shop answers before that. So the new end is kept
//! here when the store answers, and goes into the cookie of whichever answer comes next. While one is pending, the
//! other requests of the page do not ask again.
//!
//! Bound: one entry for each live pass that was renewed here, until that pass ends. Out of scope: who asks, and
//! whether a pass may be renewed at all.

use dashmap::DashMap;
use policy::Millis;
use policy::ticket::Token;

/// Known renewals, by number of the pass.
#[derive(Debug)]
pub(super) struct Renewals(DashMap<u64, Renewal>);

#[derive(Debug, Clone, Copy, Default)]
struct Renewal {
    /// The store has not answered yet.
    pending: bool,
    /// When the last one was given, and until when; 0: never.
    issued: Millis,
    expires: Millis,
}

impl Renewal {
    /// Whether it is as new as this pass, and in the first half of its time. One without effect, because the line holds
    /// the pass at `max_session`, is not repeated at once.
    fn is_fresh(&self, pass: &Token, now: Millis) -> bool {
        let &Self { issued, expires, .. } = self;
        expires >= pass.expires && !Token { issued, expires, ..*pass }.past_half_life(now)
    }
}

impl Default for Renewals {
    fn default() -> Self {
        Self(DashMap::with_shard_amount(super::PARTS))
    }
}

impl Renewals {
    /// The pass as it was renewed last, if that is news to its holder.
    pub(super) fn newer(&self, pass: &Token) -> Option<Token> {
        let Renewal { issued, expires, .. } = *self.0.get(&pass.number)?;
        (expires > pass.expires).then_some(Token { issued, expires, ..pass.confirmed() })
    }

    /// Whether the caller should request a renewal: it is due, and none is pending.
    pub(super) fn begin(&self, pass: &Token, now: Millis) -> bool {
        let lately = self.0.get(&pass.number).is_some_and(|known| known.is_fresh(pass, now));
        !lately && !std::mem::replace(&mut self.0.entry(pass.number).or_default().pending, true)
    }

    /// The store's answer, given at `now`: the new end. Without one the next request asks again.
    pub(super) fn end(&self, number: u64, now: Millis, expires: Option<Millis>) {
        match expires {
            Some(expires) => drop(self.0.insert(number, Renewal { pending: false, issued: now, expires })),
            None => drop(self.0.remove(&number)),
        }
    }

    /// The store did not answer.
    pub(super) fn fail(&self, number: u64) {
        if let Some(mut renewal) = self.0.get_mut(&number) {
            renewal.pending = false;
        }
    }

    /// Forgets passes that have ended.
    pub(super) fn tidy(&self, now: Millis) {
        self.0.retain(|_, renewal| renewal.pending || renewal.expires > now);
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_000_000;

    fn pass() -> Token {
        Token::pass(7, NOW - 60, NOW + 40)
    }

    #[test]
    fn a_renewal_is_asked_for_once_and_its_end_is_told_to_whoever_shows_an_older_one() {
        let renewals = Renewals::default();
        assert_eq!([(); 3].map(|()| renewals.begin(&pass(), NOW)), [true, false, false]);
        assert_eq!(renewals.newer(&pass()), None);
        renewals.end(7, NOW, Some(NOW + 100));
        let renewed = Token { issued: NOW, expires: NOW + 100, ..pass() };
        assert_eq!([(); 2].map(|()| renewals.newer(&pass())), [Some(renewed); 2]);
        assert_eq!(renewals.newer(&renewed), None);
        assert!(!renewals.begin(&pass(), NOW + 49), "the newer one is in its first half");
        assert!(renewals.begin(&pass(), NOW + 50) && !renewals.begin(&renewed, NOW + 50));
    }

    #[test]
    fn a_renewal_that_moves_nothing_is_asked_for_less_and_less() {
        let renewals = Renewals::default();
        let ends = Some(pass().expires);
        let asked = (NOW..NOW + 40).filter(|&now| renewals.begin(&pass(), now));
        assert_eq!(
            asked.inspect(|&now| renewals.end(7, now, ends)).count(),
            6,
            "40 ms are left, then 20, 10, 5, 2 and 1"
        );
        assert_eq!(renewals.newer(&pass()), None);
    }

    #[test]
    fn a_renewal_that_failed_is_asked_for_again_and_what_has_ended_is_forgotten() {
        let renewals = Renewals::default();
        assert!(renewals.begin(&pass(), NOW));
        renewals.tidy(NOW);
        assert_eq!(renewals.len(), 1, "it is pending");
        renewals.fail(7);
        assert!(renewals.begin(&pass(), NOW));
        renewals.end(7, NOW, None);
        assert!(renewals.begin(&pass(), NOW));
        renewals.end(7, NOW, Some(NOW + 100));
        renewals.tidy(NOW + 99);
        assert_eq!(renewals.len(), 1);
        renewals.tidy(NOW + 100);
        assert_eq!(renewals.len(), 0);
    }
}
