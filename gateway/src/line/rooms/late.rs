//! Late forms: those that this gateway let through after the end of their pass.
//!
//! Each gateway counts its own. A count in the line would cost every store a list of ended passes, for a small
//! gain: a client that sends a form to every gateway has three at each, within `form_grace`, under the in-flight limit.
//!
//! Bound: at most [`MOST`] passes. Past that no form is late: its answer is the page that holds it until its turn.
//! Out of scope: whether a form may be late at all (`policy::admit`).

use dashmap::DashMap;
use policy::Millis;
use policy::admit::LATE_FORMS;
use policy::ticket::{Kind, Token};

const MOST: usize = 1 << 16;

/// Forms let through by number of the pass, and until when that is remembered.
#[derive(Debug)]
pub(super) struct LateForms(DashMap<u64, (u8, Millis)>);

impl Default for LateForms {
    fn default() -> Self {
        Self(DashMap::with_shard_amount(super::PARTS))
    }
}

impl LateForms {
    /// Whether one more may go through with this pass; counts it.
    pub(super) fn take(&self, pass: &Token, grace: Millis) -> bool {
        if self.0.len() >= MOST && !self.0.contains_key(&pass.number) {
            return false;
        }
        let mut entry = self.0.entry(pass.number).or_default();
        let (count, until) = entry.value_mut();
        *until = pass.expires.saturating_add(grace).max(*until);
        let may = *count < LATE_FORMS;
        *count += u8::from(may);
        may
    }

    /// No more go through: its holder left, or the shop has ended it.
    pub(super) fn close(&self, token: &Token, grace: Millis) {
        if token.kind == Kind::Pass && self.0.len() < MOST {
            self.0.insert(token.number, (LATE_FORMS, token.expires.saturating_add(grace)));
        }
    }

    /// Forgets passes whose grace is over.
    pub(super) fn tidy(&self, now: Millis) {
        self.0.retain(|_, &mut (_, until)| until > now);
    }

    /// Number of passes in memory.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_forms_go_through_after_the_end_of_a_pass_and_none_after_it_was_given_back() {
        let late = LateForms::default();
        let pass = Token::pass(7, 0, 100);
        assert_eq!([(); 5].map(|()| late.take(&pass, 50)), [true, true, true, false, false]);
        let other = Token::pass(8, 0, 100);
        assert!(late.take(&other, 50));
        late.close(&other, 50);
        assert!(!late.take(&other, 50));
        late.tidy(149);
        assert_eq!(late.len(), 2);
        late.tidy(150);
        assert_eq!(late.len(), 0);
    }
}
