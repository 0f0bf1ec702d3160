//! The passes that live at once: exact, so that `total_active_users` can be.
//!
//! Out of scope: which shopper holds which pass, and the seal that proves it.

use std::collections::{BTreeSet, HashMap};

use crate::Millis;

/// Live passes by number, with the instant at which each ends.
#[derive(Debug, Clone, Default)]
pub struct Passes {
    expiry: HashMap<u64, Millis>,
    by_expiry: BTreeSet<(Millis, u64)>,
}

impl Passes {
    /// Passes that live now.
    pub fn len(&self) -> u64 {
        self.expiry.len() as u64
    }

    /// Whether there is no live pass.
    pub fn is_empty(&self) -> bool {
        self.expiry.is_empty()
    }

    /// When the pass of this number ends, if it lives.
    pub fn expiry(&self, number: u64) -> Option<Millis> {
        self.expiry.get(&number).copied()
    }

    /// Gives the pass of this number, or moves its end.
    pub fn set(&mut self, number: u64, expires: Millis) {
        if let Some(before) = self.expiry.insert(number, expires) {
            self.by_expiry.remove(&(before, number));
        }
        self.by_expiry.insert((expires, number));
    }

    /// Ends the pass of this number; returns when it would have ended.
    pub fn remove(&mut self, number: u64) -> Option<Millis> {
        let expires = self.expiry.remove(&number)?;
        self.by_expiry.remove(&(expires, number));
        Some(expires)
    }

    /// The one that ends first: number and end.
    pub fn first(&self) -> Option<(u64, Millis)> {
        self.by_expiry.first().map(|&(expires, number)| (number, expires))
    }

    /// Removes one pass that has ended, earliest first: number and end.
    pub fn pop_until(&mut self, now: Millis) -> Option<(u64, Millis)> {
        let (number, expires) = self.first().filter(|&(_, expires)| expires <= now)?;
        self.remove(number);
        Some((number, expires))
    }

    /// Every live pass: number and end.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Millis)> + '_ {
        self.expiry.iter().map(|(&number, &expires)| (number, expires))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_end_in_order_of_expiry_and_a_moved_end_counts_once() {
        let mut passes = Passes::default();
        passes.set(1, 100);
        passes.set(2, 50);
        passes.set(1, 200);
        assert_eq!(passes.len(), 2);
        assert_eq!(passes.pop_until(100), Some((2, 50)));
        assert_eq!(passes.pop_until(100), None);
        assert_eq!(passes.pop_until(200), Some((1, 200)));
        assert!(passes.is_empty());
    }
}
