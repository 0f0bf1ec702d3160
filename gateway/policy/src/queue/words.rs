//! The words of the shop that this gateway has heard: reported to the line once, and again after it has lost writes.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Millis;
use crate::cap::{Cap, CapSource};
use crate::stock::StockLevel;

/// Sources and products in memory: a line keeps no more.
const MOST: usize = 256;

/// Whether the line has a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Report {
    Due,
    InFlight,
    Done,
}

/// A word, and when it was heard.
#[derive(Debug, Clone, Copy)]
struct Heard<T> {
    word: T,
    at: Duration,
    report: Report,
}

/// The words at this gateway, each the last of its source.
#[derive(Debug, Default)]
pub(super) struct Words {
    caps: BTreeMap<CapSource, Heard<Cap>>,
    stock: BTreeMap<u32, Heard<StockLevel>>,
}

impl Words {
    pub(super) fn hear_cap(&mut self, cap: Cap, now: Duration) {
        keep(&mut self.caps, cap.source, cap, now);
    }

    pub(super) fn hear_stock(&mut self, level: StockLevel, now: Duration) {
        keep(&mut self.stock, level.sku, level, now);
    }

    /// Whether the line lacks a word.
    pub(super) fn has_news(&self) -> bool {
        let mut reports =
            self.caps.values().map(|heard| heard.report).chain(self.stock.values().map(|heard| heard.report));
        reports.any(|report| report != Report::Done)
    }

    /// The words for a batch. Until its answer they go into every batch.
    pub(super) fn recall(&mut self, now: Duration) -> (Vec<Cap>, Vec<StockLevel>) {
        let caps = due(&mut self.caps).map(|heard| {
            let ttl = heard.word.ttl.saturating_sub(age(heard.at, now));
            Cap { ttl, ..heard.word }
        });
        let caps = caps.collect();
        let stock = due(&mut self.stock).map(|heard| StockLevel { age: age(heard.at, now), ..heard.word });
        (caps, stock.collect())
    }

    /// The line has the words of the batch in flight. Caps that have ended are forgotten.
    pub(super) fn told(&mut self, now: Duration) {
        done(&mut self.caps);
        done(&mut self.stock);
        let holds = |heard: &Heard<Cap>| heard.report == Report::Due || age(heard.at, now) < heard.word.ttl;
        self.caps.retain(|_, heard| holds(heard));
    }

    /// The line may lack every word.
    pub(super) fn lost(&mut self) {
        self.caps.values_mut().for_each(|heard| heard.report = Report::Due);
        self.stock.values_mut().for_each(|heard| heard.report = Report::Due);
    }
}

fn age(at: Duration, now: Duration) -> Millis {
    now.saturating_sub(at).as_millis() as Millis
}

fn keep<K: Ord, T>(words: &mut BTreeMap<K, Heard<T>>, source: K, word: T, now: Duration) {
    if words.len() < MOST || words.contains_key(&source) {
        words.insert(source, Heard { word, at: now, report: Report::Due });
    }
}

fn due<K, T: Copy>(words: &mut BTreeMap<K, Heard<T>>) -> impl Iterator<Item = Heard<T>> {
    words.values_mut().filter(|heard| heard.report != Report::Done).map(|heard| {
        heard.report = Report::InFlight;
        *heard
    })
}

fn done<K, T>(words: &mut BTreeMap<K, Heard<T>>) {
    for heard in words.values_mut().filter(|heard| heard.report == Report::InFlight) {
        heard.report = Report::Done;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cap::CapKind;

    const SECOND: Duration = Duration::from_secs(1);

    fn cap(rate: f64, ttl: Millis) -> Cap {
        Cap { source: CapSource::new(CapKind::Shop, 1), rate, ttl }
    }

    fn level(left: u64) -> StockLevel {
        StockLevel { sku: 1, left, held: 0, sure: false, age: 0 }
    }

    #[test]
    fn a_word_is_reported_until_the_line_has_it_and_again_after_a_loss() {
        let mut words = Words::default();
        words.hear_cap(cap(2.0, 30_000), SECOND);
        words.hear_stock(level(5), SECOND);
        assert_eq!(words.recall(2 * SECOND).0, [cap(2.0, 29_000)], "less the second here");
        assert_eq!(words.recall(3 * SECOND).1, [StockLevel { age: 2_000, ..level(5) }], "no answer yet");
        words.told(3 * SECOND);
        assert!(!words.has_news() && words.recall(3 * SECOND).0.is_empty());
        words.lost();
        assert_eq!(words.recall(11 * SECOND).0, [cap(2.0, 20_000)]);
    }

    #[test]
    fn a_word_that_comes_while_the_last_is_in_flight_is_news() {
        let mut words = Words::default();
        words.hear_stock(level(5), SECOND);
        words.recall(SECOND);
        words.hear_stock(level(4), SECOND);
        words.told(SECOND);
        assert_eq!(words.recall(SECOND).1, [level(4)]);
    }

    #[test]
    fn a_cap_that_has_ended_is_forgotten_and_what_is_taken_back_is_reported_once() {
        let mut words = Words::default();
        words.hear_cap(cap(2.0, 1_000), SECOND);
        words.recall(SECOND);
        words.told(2 * SECOND);
        assert!(words.caps.is_empty());
        words.hear_cap(cap(0.0, 0), SECOND);
        assert_eq!(words.recall(SECOND).0.len(), 1);
        words.told(SECOND);
        words.lost();
        assert!(words.recall(SECOND).0.is_empty());
    }

    #[test]
    fn words_are_bounded() {
        let mut words = Words::default();
        for sku in 0..1_000 {
            words.hear_stock(StockLevel { sku, ..level(1) }, SECOND);
        }
        assert_eq!(words.recall(SECOND).1.len(), MOST);
    }
}
