//! Keys of forms (`Idempotency-Key`): the same for every sending of a form, until the shop has answered it.
//!
//! A form is what it holds and where it goes to, in a hash. Two that differ never have one key: a shop would take the second
//! for the first sent again.
//!
//! Bounds: 8 forms of a pass, of which the oldest gives way, and 10,000 in all, each for ten minutes after it was last sent.
//! Beyond them a form gets a key that is not remembered.

use std::collections::BTreeMap;

use super::Holder;
use crate::Millis;

/// A hash of a form: of its method, its address and its body.
pub type Form = [u8; 32];

/// Unanswered forms of one pass.
const OF_ONE: usize = 8;
/// Unanswered forms in all.
const MOST: usize = 10_000;
/// How long the key of an unanswered form is remembered after it was last sent: 10 min.
const LIFE: Millis = 10 * 60 * 1_000;

/// The keys of unanswered forms.
#[derive(Debug, Default)]
pub struct Keys(BTreeMap<(Holder, Form), Key>);

#[derive(Debug, Clone, Copy)]
struct Key {
    text: u128,
    until: Millis,
}

impl Keys {
    /// The key to send a form with, which is `fresh` for one that is not known.
    pub fn of(&mut self, holder: Holder, form: Form, now: Millis, fresh: u128) -> u128 {
        let known = self.0.get(&(holder, form)).filter(|key| now < key.until);
        let text = known.map_or(fresh, |key| key.text);
        if known.is_some() || self.has_room(holder, now) {
            self.0.insert((holder, form), Key { text, until: now + LIFE });
        }
        text
    }

    /// The shop has answered the form: what is sent like it from now on is another one.
    pub fn answered(&mut self, holder: Holder, form: Form) {
        self.0.remove(&(holder, form));
    }

    /// Forms that are remembered.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes room for one more form of this pass, if there can be.
    fn has_room(&mut self, holder: Holder, now: Millis) -> bool {
        let of_one = (holder, [0; 32])..=(holder, [u8::MAX; 32]);
        let mine: Vec<_> = self.0.range(of_one).map(|(&place, key)| (key.until, place)).collect();
        if mine.len() >= OF_ONE
            && let Some((_, oldest)) = mine.iter().min()
        {
            self.0.remove(oldest);
        }
        if self.0.len() >= MOST {
            self.0.retain(|_, key| now < key.until);
        }
        self.0.len() < MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::RoomId;

    fn holder(number: u64) -> Holder {
        Holder { given: 0, room: RoomId::of("launch"), number }
    }

    fn form(n: usize) -> Form {
        std::array::from_fn(|i| if i < 8 { n.to_be_bytes()[i] } else { 0 })
    }

    #[test]
    fn a_form_has_one_key_until_it_is_answered_and_another_form_or_pass_has_another() {
        let mut keys = Keys::default();
        assert_eq!(keys.of(holder(1), form(1), 0, 10), 10);
        assert_eq!(keys.of(holder(1), form(1), 5, 11), 10, "sent again");
        assert_eq!(keys.of(holder(1), form(2), 5, 12), 12);
        assert_eq!(keys.of(holder(2), form(1), 5, 13), 13);
        keys.answered(holder(1), form(1));
        assert_eq!(keys.of(holder(1), form(1), 6, 14), 14, "a second order of the same");
        assert_eq!(keys.of(holder(1), form(2), 5 + LIFE - 1, 15), 12);
        assert_eq!(keys.of(holder(2), form(1), 5 + LIFE, 16), 16, "forgotten");
    }

    #[test]
    fn one_pass_has_a_few_and_all_together_a_bounded_number() {
        let mut keys = Keys::default();
        for n in 0..100 {
            keys.of(holder(1), form(n), n as Millis, n as u128);
        }
        assert_eq!(keys.len(), OF_ONE);
        assert_eq!(keys.of(holder(1), form(99), 100, 0), 99, "the latest are kept");
        for number in 0..2 * MOST as u64 {
            keys.of(holder(number), form(1), 100, 7);
        }
        assert_eq!(keys.len(), MOST);
        assert_eq!(keys.of(holder(u64::MAX), form(1), 100, 8), 8, "a key that is not remembered");
        assert_eq!(keys.of(holder(u64::MAX), form(1), 100, 9), 9);
        assert_eq!(keys.of(holder(u64::MAX), form(1), 100 + LIFE, 10), 10);
        assert_eq!(keys.len(), 1, "those that have ended make room");
    }
}
