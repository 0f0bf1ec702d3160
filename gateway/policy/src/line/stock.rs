//! What is left to sell, as the shop says it.
//!
//! ```text
//! available     some product has items left
//! paused        all are at 0, since less than 5 s: one server may be wrong
//! in_checkout   all are at 0, and some items are in orders that are not paid yet
//! sold_out      all are at 0 for 5 s, or a program beside the shop says so
//! ```
//!
//! In every state but the first the line stands. It ends the waiting, not the ticket: places stay, those inside keep their
//! passes, and when items come back (payments that were never made bring some) the line goes on in order.
//!
//! Units per shopper are learned from the stock itself: items that went while shoppers were let in.
//!
//! Out of scope: which of several products a shopper wants.

use std::collections::BTreeMap;

use super::{Change, Line};
use crate::Millis;
use crate::room::Rules;
use crate::stock::{Stock, StockLevel, StockState};

/// Products in memory. Words about more are not taken in.
const MOST: usize = 256;
/// A zero counts as the end after this long without another word.
const SURE_AFTER: Millis = 5_000;
/// Units that a shopper is expected to take before any were seen, with the weight of so many shoppers: a shopper is told early
/// that the stock may not last.
const GUESS: (f64, f64) = (1.0, 20.0);

/// The stock of one product in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Level {
    left: u64,
    held: u64,
    /// Since when it is like this, in store time; 0: a zero of that age is certain.
    since: Millis,
    /// When that was last said.
    said: Millis,
}

/// The stock of a line.
#[derive(Debug, Clone, Default)]
pub(super) struct Inventory {
    of: BTreeMap<u32, Level>,
    /// Items that went, and passes given before the first word.
    sold: f64,
    granted_before: u64,
}

impl Inventory {
    pub(super) fn set(&mut self, sku: u32, left: u64, held: u64, since: Millis) {
        self.of.insert(sku, Level { left, held, since, said: since });
    }

    /// Items that go from now on, after so many passes, tell how many a shopper takes.
    pub(super) fn begin_counting(&mut self, granted: u64) {
        (self.sold, self.granted_before) = (0.0, granted);
    }

    /// The stock at this moment, after so many passes; `None`: the shop says nothing of it.
    pub(super) fn at(&self, now: Millis, granted: u64) -> Option<Stock> {
        if self.of.is_empty() {
            return None;
        }
        let (mut left, mut held, mut since) = (0, 0, 0);
        for level in self.of.values() {
            (left, held, since) = (left + level.left, held + level.held, since.max(level.since));
        }
        let state = match () {
            () if left > 0 => StockState::Available,
            () if held > 0 => StockState::InCheckout,
            () if now < since + SURE_AFTER => StockState::Paused,
            () => StockState::SoldOut,
        };
        let (units, weight) = GUESS;
        let shoppers = granted.saturating_sub(self.granted_before) as f64;
        Some(Stock { state, left, held, units: (self.sold + units * weight) / (shoppers + weight) })
    }
}

impl Line {
    /// Takes in words about the stock. Returns whether the line lets shoppers in.
    pub(super) fn is_open(&mut self, rules: &Rules, levels: &[StockLevel], now: Millis) -> bool {
        for level in levels {
            self.hear_stock(level, now);
        }
        let stands = rules.enforced && self.stock(now).is_some_and(|stock| stock.stands());
        rules.open && !stands
    }

    fn hear_stock(&mut self, &StockLevel { sku, left, held, sure, age }: &StockLevel, now: Millis) {
        let (known, said) = (self.inventory.of.get(&sku).copied(), now.saturating_sub(age));
        let full = known.is_none() && self.inventory.of.len() >= MOST;
        if full || known.is_some_and(|known| known.said > said) {
            return;
        }
        if self.inventory.of.is_empty() {
            self.inventory.begin_counting(self.counters.granted);
        }
        let same = known.filter(|known| (known.left, known.held) == (left, held));
        let since = if sure { 0 } else { same.map_or(said, |known| known.since) };
        self.inventory.sold += known.map_or(0, |known| known.left.saturating_sub(left)) as f64;
        self.inventory.of.insert(sku, Level { left, held, since, said });
        if same.is_none_or(|same| same.since != since) {
            self.changes.push(Change::Stock(sku, left, held, since));
        }
    }

    pub(super) fn stock(&self, now: Millis) -> Option<Stock> {
        self.inventory.at(now, self.counters.granted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::{Batch, Grant};

    fn level(sku: u32, left: u64, held: u64) -> StockLevel {
        StockLevel { sku, left, held, sure: false, age: 0 }
    }

    fn hears(line: &mut Line, stock: &[StockLevel], now: Millis) -> Option<StockState> {
        let rules = Rules::per_minute(600);
        let view = line.apply(&rules, &Batch { stock: stock.to_vec(), ..Batch::default() }, now).view;
        line.check_invariants(&rules);
        view.stock.map(|stock| stock.state)
    }

    #[test]
    fn one_servers_zero_pauses_and_closes_after_a_while() {
        let mut line = Line::new(0);
        assert_eq!(hears(&mut line, &[], 0), None);
        assert_eq!(hears(&mut line, &[level(1, 3, 0)], 100), Some(StockState::Available));
        assert_eq!(hears(&mut line, &[level(1, 0, 0)], 200), Some(StockState::Paused));
        assert_eq!(hears(&mut line, &[level(1, 0, 0)], 3_000), Some(StockState::Paused), "the same word is no other");
        assert_eq!(hears(&mut line, &[], 5_199), Some(StockState::Paused));
        assert_eq!(hears(&mut line, &[], 5_200), Some(StockState::SoldOut));
        assert_eq!(hears(&mut line, &[level(1, 2, 0)], 5_300), Some(StockState::Available), "a restock");
        assert_eq!(hears(&mut line, &[level(1, 0, 0)], 6_000), Some(StockState::Paused));
        assert_eq!(hears(&mut line, &[level(1, 4, 0)], 6_100), Some(StockState::Available), "the server was wrong");
    }

    #[test]
    fn a_word_from_before_does_not_replace_a_later_one() {
        let mut line = Line::new(0);
        hears(&mut line, &[level(1, 0, 0)], 4_000);
        assert_eq!(hears(&mut line, &[StockLevel { age: 1_000, ..level(1, 5, 0) }], 4_500), Some(StockState::Paused));
        assert_eq!(hears(&mut line, &[StockLevel { age: 400, ..level(1, 5, 0) }], 4_500), Some(StockState::Available));
    }

    #[test]
    fn a_program_that_knows_all_servers_needs_no_second_word() {
        let mut line = Line::new(0);
        let gone = StockLevel { sure: true, ..level(1, 0, 0) };
        assert_eq!(hears(&mut line, &[gone], 100_000), Some(StockState::SoldOut));
    }

    #[test]
    fn items_in_checkout_keep_it_from_closing() {
        let mut line = Line::new(0);
        assert_eq!(hears(&mut line, &[level(1, 0, 2)], 100), Some(StockState::InCheckout));
        assert_eq!(hears(&mut line, &[], 60_000), Some(StockState::InCheckout));
        assert_eq!(hears(&mut line, &[level(1, 0, 0)], 60_100), Some(StockState::Paused));
        assert_eq!(hears(&mut line, &[], 65_100), Some(StockState::SoldOut));
    }

    #[test]
    fn several_products_end_when_all_are_gone() {
        let mut line = Line::new(0);
        assert_eq!(hears(&mut line, &[level(1, 0, 0), level(2, 1, 0)], 100), Some(StockState::Available));
        assert_eq!(hears(&mut line, &[level(2, 0, 0)], 9_000), Some(StockState::Paused));
        assert_eq!(hears(&mut line, &[], 14_000), Some(StockState::SoldOut));
    }

    #[test]
    fn products_are_bounded() {
        let mut line = Line::new(0);
        let levels: Vec<_> = (0..1_000).map(|sku| level(sku, 1, 0)).collect();
        hears(&mut line, &levels, 100);
        assert_eq!(line.inventory.of.len(), MOST);
    }

    /// A line in which people wait, with all of its called shoppers here.
    fn crowd(line: &mut Line, now: Millis, stock: &[StockLevel]) -> Vec<u64> {
        let rules = Rules::per_minute(600);
        let open = line.view().segments.open;
        let claims = (open.base + 1..=open.serving.min(open.next)).collect();
        let batch = Batch { gateway: 1, claims, stock: stock.to_vec(), ..Batch::default() };
        let grants = line.apply(&rules, &batch, now).grants;
        let passed =
            grants.into_iter().filter(|(_, grant)| matches!(grant, Grant::Pass { admitted, .. } if *admitted == now));
        passed.map(|(number, _)| number).collect()
    }

    #[test]
    fn sold_out_calls_and_admits_no_shopper_and_a_restock_goes_on_in_order() {
        let rules = Rules::per_minute(600);
        let mut line = Line::new(0);
        line.apply(&rules, &Batch { gateway: 1, joins: 500, stock: vec![level(1, 50, 0)], ..Batch::default() }, 0);
        let mut entered: Vec<u64> = (1..50).flat_map(|tick| crowd(&mut line, tick * 100, &[])).collect();
        let before = entered.len();
        assert!(before > 20, "{before}");
        assert_eq!(crowd(&mut line, 5_000, &[level(1, 0, 0)]), [0_u64; 0]);
        let stood = line.view().segments.open;
        for tick in 51..200 {
            assert_eq!(crowd(&mut line, tick * 100, &[]), [0_u64; 0], "nothing is left");
        }
        assert_eq!(line.view().segments.open, stood, "places stay, and none is called");
        entered.extend(crowd(&mut line, 20_000, &[level(1, 9, 0)]));
        entered.extend((201..250).flat_map(|tick| crowd(&mut line, tick * 100, &[])));
        assert!(entered.len() > before + 20 && entered.is_sorted(), "{entered:?}");
    }

    #[test]
    fn units_per_shopper_are_learned() {
        let rules = Rules::per_minute(6_000);
        let mut line = Line::new(0);
        line.apply(&rules, &Batch { gateway: 1, joins: 5_000, stock: vec![level(1, 1_000, 0)], ..Batch::default() }, 0);
        let stock = line.view().stock.expect("it was said");
        assert!(stock.may_end_before(1_001) && !stock.may_end_before(1_000), "one each, at first");
        let (mut left, mut in_all) = (1_000, 0);
        for tick in 1..400 {
            let entered = crowd(&mut line, tick * 100, &[level(1, left, 0)]).len() as u64;
            in_all += entered;
            left = 1_000 - in_all / 2;
        }
        let units = line.view().stock.expect("it was said").units;
        assert!(in_all > 200 && (0.4..0.65).contains(&units), "{units} of {in_all}");
    }

    #[test]
    fn a_restored_line_knows_its_stock() {
        let mut line = Line::new(0);
        hears(&mut line, &[level(1, 5, 0), level(2, 0, 0)], 100);
        hears(&mut line, &[level(1, 0, 0)], 200);
        let (counters, changes) = (line.counters(), line.take_changes());
        let mut restored = Line::restored(counters, 9_000, changes);
        assert_eq!(hears(&mut restored, &[], 9_000), Some(StockState::SoldOut));
    }
}
