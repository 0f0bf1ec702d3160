//! The words of the shop that were passed on to the line: one that only repeats itself is passed on seldom.
//!
//! A shop may say the same with every answer, thousands of times a second. Some repetition is needed: a cap must not end while
//! its source still says it, and a stock of which another gateway heard otherwise is said again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use policy::Millis;
use policy::cap::{Cap, CapSource};
use policy::stock::StockLevel;

/// Sources and products in memory. Words beyond are passed on each time.
const MOST: usize = 256;
/// A stock is said again after this long.
const AGAIN: Millis = 1_000;

/// What was passed on, and when, in store time.
#[derive(Debug, Default)]
pub(super) struct PassedOn(Mutex<Words>);

#[derive(Debug, Default)]
struct Words {
    caps: BTreeMap<CapSource, (Cap, Millis)>,
    stock: BTreeMap<u32, (StockLevel, Millis)>,
}

impl PassedOn {
    /// Whether to pass this on: it is another one, or a quarter of its life is over.
    pub(super) fn is_new_cap(&self, cap: Cap, now: Millis) -> bool {
        let mut words = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        is_new(&mut words.caps, cap.source, cap, now, cap.ttl / 4)
    }

    /// Whether to pass this on.
    pub(super) fn is_new_stock(&self, level: StockLevel, now: Millis) -> bool {
        let mut words = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        is_new(&mut words.stock, level.sku, level, now, AGAIN)
    }
}

fn is_new<K: Ord, T: PartialEq + Copy>(
    known: &mut BTreeMap<K, (T, Millis)>,
    source: K,
    word: T,
    now: Millis,
    again: Millis,
) -> bool {
    let repeats = known.get(&source).is_some_and(|&(before, at)| before == word && now < at.saturating_add(again));
    if !repeats && (known.len() < MOST || known.contains_key(&source)) {
        known.insert(source, (word, now));
    }
    !repeats
}

#[cfg(test)]
mod tests {
    use policy::cap::CapKind;

    use super::*;

    #[test]
    fn a_word_that_repeats_itself_is_passed_on_now_and_then() {
        let passed = PassedOn::default();
        let cap = |rate| Cap { source: CapSource::new(CapKind::Shop, 1), rate, ttl: 30_000 };
        let times = (0..300).filter(|&tick| passed.is_new_cap(cap(2.0), tick * 100)).count();
        assert_eq!(times, 4, "once in 7.5 s of 30");
        assert!(passed.is_new_cap(cap(3.0), 30_000) && passed.is_new_cap(cap(2.0), 30_000), "each change at once");
        let level = StockLevel { sku: 1, left: 3, held: 0, sure: false, age: 0 };
        let times = (0..100).filter(|&tick| passed.is_new_stock(level, tick * 100)).count();
        assert_eq!(times, 10);
    }

    #[test]
    fn memory_of_words_is_bounded() {
        let passed = PassedOn::default();
        for sku in 0..10_000 {
            assert!(passed.is_new_stock(StockLevel { sku, left: 3, held: 0, sure: false, age: 0 }, 0));
        }
        assert_eq!(passed.0.lock().expect("not poisoned").stock.len(), MOST);
    }
}
