//! From what the order stage delivers to the rate of the line.
//!
//! ```text
//! R x d = C + (C x (delay + W) - Q) / T          R in 0..ceiling,   W = 1 s,   T = 30 s
//!
//! C      orders delivered a second while the gate is full; while it is not, delivered / occupancy of the gate, towards which C
//!        falls at once and rises by 2 % a second: what a gate does with ten orders it may not do with twenty. While the gate
//!        is less than three quarters full the step grows by 60 % a second, to 20 %: there is room that was not there before
//! delay  from a pass to its order, a mean
//! I      shoppers inside who have yet to order: I' = passes given - I / delay
//! d      orders of a shopper who is let in: orders that came, by I / delay
//! Q      orders on their way: d x I, and those that wait at the gate
//! ```
//!
//! Orders come 10 to 120 s after admission, so a loop around what is measured at the order stage (its latency, its errors, its
//! queue) acts a minute late, and swings. `Q` is known at once: an admission is an order on its way. So this loop has no delay.
//! What the shop delivers is not steered, but measured.
//!
//! `W` keeps a second of work waiting at the gate. That is what makes `C` known: a gate that is full shows what the shop takes, also
//! when that has just doubled, and one that is not shows only what came. Requests are held there for so long unseen.
//!
//! Without an order stage that was ever full there is nothing to know: `None`, no cap.
//!
//! Source: base-stock control, as in [`crate::pacer`]; Little's law for `Q`.

/// Work that should wait at the gate, in seconds.
const STANDING: f64 = 1.0;
/// What is on its way beyond the target is worked off in this many seconds.
const CATCH_UP: f64 = 30.0;
/// `C` forgets over this many seconds.
const CAPACITY_MEMORY: f64 = 10.0;
/// A full gate that delivers so many times as much is that of a shop that has recovered: `C` follows in this many seconds.
const MUCH_MORE: f64 = 1.5;
const SHORT_MEMORY: f64 = 2.0;
/// `C` is known after the gate was full for this many seconds.
const KNOWN_AFTER: u32 = 2;
/// In a second in which the gate is not full `C` rises by at most this share of itself.
const PROBE: f64 = 0.02;
/// Below this occupancy there is room for sure: the step of a second grows by this factor, up to the largest.
const ROOM: f64 = 0.75;
const QUICKER: f64 = 1.6;
const LARGEST_PROBE: f64 = 0.2;
/// Below this occupancy of the gate a few orders tell nothing, and `C` rises by this share of itself: what is on its way is known.
const IDLE: f64 = 0.05;
const IDLE_PROBE: f64 = 0.1;
/// `d` and the delay forget over this many orders.
const SHOPPER_MEMORY: f64 = 2_000.0;
/// Orders of a shopper before any were seen, with the weight of so many shoppers: all buy one.
const GUESS: (f64, f64) = (1.0, 20.0);
/// The longest delay that counts, in seconds.
const LONGEST_DELAY: f64 = 600.0;
/// The delay before an order was seen, in seconds.
const DELAY_AT_FIRST: f64 = 30.0;

/// What happened at the gate in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Second {
    /// Orders that came for the first time.
    pub came: u64,
    /// Sum of the times since their passes were given, in seconds.
    pub delays: f64,
    /// Orders that the shop answered.
    pub delivered: u64,
    /// Orders that wait now.
    pub waiting: u64,
    /// Some waited all the time.
    pub full: bool,
    /// Orders in work, as a mean share of the gate's limit.
    pub occupancy: f64,
    /// Passes that the line has given so far.
    pub granted: u64,
}

/// The controller of one gate at one gateway.
#[derive(Debug, Clone, Default)]
pub struct FeedForward {
    /// In orders per second; `None` while unknown.
    capacity: Option<f64>,
    /// Orders delivered a second, a mean.
    delivered: f64,
    full_for: u32,
    /// The step of this second, as a share of `capacity`.
    probe: f64,
    /// Orders that came, and shoppers whose time to order had come, each weighing less the more came since.
    orders: f64,
    shoppers: f64,
    /// Sum of delays, by the same weights.
    delays: f64,
    /// Shoppers who have yet to order.
    inside: f64,
    /// Passes given, at the last tick.
    granted: Option<u64>,
}

impl FeedForward {
    /// The rate to let in after this second, in new shoppers per second; `None`: nothing is known, or the ceiling is below it.
    pub fn tick(&mut self, second: &Second, ceiling: f64) -> Option<f64> {
        self.learn(second);
        self.measure(second);
        let capacity = self.capacity?;
        let (d, delay) = (self.orders_per_shopper(), self.delay());
        let on_their_way = d * self.inside + second.waiting as f64;
        let rate = (capacity + (capacity * (delay + STANDING) - on_their_way) / CATCH_UP) / d;
        if capacity / d >= ceiling && !second.full {
            // The shop takes more than the operator lets in.
            self.capacity = None;
            return None;
        }
        Some(rate.clamp(0.0, ceiling))
    }

    /// Orders delivered a second; `None` while unknown.
    pub fn capacity(&self) -> Option<f64> {
        self.capacity
    }

    /// Orders of a shopper who is let in.
    pub fn orders_per_shopper(&self) -> f64 {
        let (orders, shoppers) = GUESS;
        ((self.orders + orders * shoppers) / (self.shoppers + shoppers)).max(0.01)
    }

    /// From a pass to its order, in seconds.
    fn delay(&self) -> f64 {
        let delay = if self.orders > 0.0 { self.delays / self.orders } else { DELAY_AT_FIRST };
        delay.clamp(1.0, LONGEST_DELAY)
    }

    fn learn(&mut self, second: &Second) {
        let before = self.granted.replace(second.granted).unwrap_or(second.granted);
        let due = self.inside / self.delay();
        self.inside += second.granted.saturating_sub(before) as f64 - due;
        let keep = SHOPPER_MEMORY / (SHOPPER_MEMORY + second.came as f64);
        self.orders = self.orders * keep + second.came as f64;
        self.delays = self.delays * keep + second.delays;
        self.shoppers = self.shoppers * keep + due;
    }

    fn measure(&mut self, second: &Second) {
        self.full_for = if second.full { self.full_for + 1 } else { 0 };
        let quicker = second.occupancy < ROOM && !second.full;
        self.probe = if quicker { (self.probe * QUICKER).clamp(PROBE, LARGEST_PROBE) } else { PROBE };
        let delivered = second.delivered as f64;
        self.delivered += (delivered - self.delivered) / CAPACITY_MEMORY;
        self.capacity = match self.capacity {
            Some(known) if second.full => {
                let memory = if delivered > MUCH_MORE * known { SHORT_MEMORY } else { CAPACITY_MEMORY };
                Some(known + (delivered - known) / memory)
            }
            Some(known) if second.occupancy > IDLE => {
                let change = (delivered / second.occupancy.min(1.0) - known) / CAPACITY_MEMORY;
                // A shop that delivered nothing for a while begins with one order.
                Some(known + change.min(self.probe * known.max(1.0)))
            }
            Some(known) => Some(known + IDLE_PROBE * known.max(1.0)),
            // Of slow orders a single second may have none.
            None => (self.full_for >= KNOWN_AFTER).then_some(delivered.max(self.delivered)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_was_never_full_caps_nothing() {
        let mut law = FeedForward::default();
        for second in 1..600 {
            let seen = Second { came: 9, delivered: 9, delays: 90.0, granted: second * 10, ..Second::default() };
            assert_eq!(law.tick(&seen, 10.0), None);
        }
    }

    #[test]
    fn a_full_gate_tells_what_the_shop_takes() {
        let mut law = FeedForward::default();
        let mut rate = None;
        for second in 1..400 {
            let seen = Second {
                came: 25,
                delivered: 25,
                delays: 500.0,
                waiting: 5,
                full: true,
                occupancy: 1.0,
                granted: second * 50,
            };
            rate = law.tick(&seen, 100.0);
        }
        assert!((law.orders_per_shopper() - 0.5).abs() < 0.05, "{}", law.orders_per_shopper());
        assert!((law.capacity().unwrap_or_default() - 25.0).abs() < 0.1);
        assert!(rate.is_some_and(|rate| (rate - 50.0).abs() < 5.0), "{rate:?}");
    }

    #[test]
    fn figures_of_any_size_give_a_rate_within_its_bounds() {
        let mut law = FeedForward::default();
        let huge = Second {
            came: u64::MAX,
            delays: 1e300,
            delivered: u64::MAX,
            waiting: u64::MAX,
            full: true,
            occupancy: 1e300,
            granted: 7,
        };
        for seen in
            [huge, Second::default(), Second { granted: u64::MAX, ..huge }, Second { full: true, ..Second::default() }]
        {
            for _ in 0..5 {
                if let Some(rate) = law.tick(&seen, 10.0) {
                    assert!((0.0..=10.0).contains(&rate), "{rate}");
                }
            }
        }
    }
}
