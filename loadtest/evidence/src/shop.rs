//! The shop's evidence: its log of the launch pages, its counters, and its inventory.
//!
//! Out of scope: cookies, tokens and addresses. [`Entry::pass_id`] is the name of a pass, not the pass.

use launch_model::visit::Page;
use serde::{Deserialize, Serialize};

use crate::stats::Quantiles;
use crate::time::Micros;

/// The outcome of a request, as the shop sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With the page that was asked for. A repeated order or payment gets the first one's page.
    Ok,
    /// With the page that says that nothing is left.
    SoldOut,
    /// Without: the form was wrong (status 400), there is no such page (404), or the database failed (503).
    Failed,
}

/// One request to a launch page, written when its answer was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place in the log, from 1 without gaps, in the order of answers.
    pub seq: u64,
    /// When its head had come: microseconds since 1970, by the shop's clock.
    pub arrived_us: i64,
    /// When its answer was made: [`Entry::arrived_us`] plus the time it took, whatever the clock did meanwhile.
    pub answered_us: i64,
    /// `X-Request-Id`: the gateway's name for this request; or what the load test calls one of its attacks.
    #[serde(default)]
    pub request_id: Option<String>,
    /// `Weir-Pass-Id`: the gateway's name for the pass that it came with, `segment.number`.
    #[serde(default)]
    pub pass_id: Option<String>,
    /// `Weir-Room`: the room of that pass.
    #[serde(default)]
    pub room: Option<String>,
    /// What it asked for.
    pub page: Page,
    /// The status code of the answer.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// The order that it made, paid, or asked to pay.
    #[serde(default)]
    pub order: Option<u64>,
    /// The first request of its pass; without a pass, one without the shop's cookie.
    pub new: bool,
}

/// The shop's counters, for `/shop/stats`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Orders per second that the shop can take when no request waits; 0 where only a run can tell.
    pub capacity: f64,
    /// Orders that were paid.
    pub orders_ok: u64,
    /// Order and payment requests that failed.
    pub orders_failed: u64,
    /// Launch pages that were served.
    pub pages_ok: u64,
    /// Launch pages that failed.
    pub pages_failed: u64,
    /// Of the pages served, those that said that nothing is left.
    pub sold_out: u64,
    /// Orders and payments that were sent again, and got the first one's answer.
    pub repeats: u64,
    /// Requests that came with Weir's headers.
    pub by_weir: u64,
    /// Shoppers who came for the first time.
    pub new_shoppers: u64,
    /// The most of them in any second.
    pub busiest_second: usize,
    /// Launch pages in work now.
    pub in_flight: usize,
    /// The most that were in work at once.
    pub peak_in_flight: usize,
    /// Requests that wait for the database now.
    pub waiting_for_slot: usize,
    /// Time from a launch request to its page, of those that were served. A refusal is quick and
    /// tells nothing.
    pub latency: Quantiles,
    /// Entries that the log keeps in memory no more.
    pub log_dropped: u64,
    /// Why the database failed last, for the operator.
    pub last_failure: Option<String>,
    /// The inventory's account; `None` while the database is away, and where it was not asked.
    pub account: Option<Account>,
    /// The stages of a purchase now.
    pub stages: Stages,
    /// Orders that the third party charged more than once. Must be 0.
    pub charged_twice: u64,
    /// Orders and payments that came again with a key that had come before.
    pub key_repeats: u64,
    /// Orders and payments that were made again for a key that had made one. Must be 0.
    pub key_duplicates: u64,
}

/// A stage of a purchase: a pool of database connections, or the payments that a third party takes at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stage {
    /// How many it works on at once.
    pub pool: usize,
    /// How many it works on now.
    pub in_work: usize,
    /// How many wait for it now.
    pub waiting: usize,
    /// Purchases a second that it delivers at this size, from the time that they take in it; 0 until that is known.
    pub delivers: f64,
}

impl Stage {
    /// How full it is: 1 is as many as it works on at once, more is a queue.
    pub fn fill(&self) -> f64 {
        (self.in_work + self.waiting) as f64 / self.pool.max(1) as f64
    }
}

/// The stages of a purchase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stages {
    /// The database, which takes orders and books payments.
    pub order: Stage,
    /// The third party that takes payments, if there is one.
    pub payment: Option<Stage>,
}

impl Stages {
    /// Purchases a second that the slowest stage delivers; `None` until it is known of one.
    pub fn delivers(&self) -> Option<f64> {
        let known = [Some(self.order), self.payment].into_iter().flatten().map(|stage| stage.delivers);
        known.filter(|delivers| *delivers > 0.0).reduce(f64::min)
    }
}

/// A look at the stages of a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// When they were asked.
    pub at: Micros,
    /// What they said.
    pub stages: Stages,
}

/// The inventory's account of the sale, all at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Pieces when the sale was opened.
    pub stock: u64,
    /// Pieces that are not ordered yet.
    pub left_over: u64,
    /// Orders, those that have ended unpaid apart.
    pub orders: u64,
    /// Orders that are paid.
    pub paid: u64,
    /// Orders whose time was over before they were paid: their pieces went back.
    #[serde(default)]
    pub ended: u64,
    /// Orders that were paid although their pieces had gone back. Must be 0.
    #[serde(default)]
    pub sold_twice: u64,
    /// Orders beyond the stock. Must be 0.
    pub oversold: u64,
    /// Pieces taken by no order, or orders that took none. Must be 0.
    pub unaccounted: u64,
    /// Orders with the key of another order, and payments of an order that was paid already. Must be 0.
    pub duplicates: u64,
}

impl Account {
    /// The account of these sums.
    pub fn of(stock: u64, left_over: u64, orders: u64) -> Self {
        let unaccounted = stock.saturating_sub(left_over).abs_diff(orders);
        Self { stock, left_over, orders, oversold: orders.saturating_sub(stock), unaccounted, ..Self::default() }
    }

    /// Pieces that are set aside for orders that are not paid.
    pub fn held(&self) -> u64 {
        self.orders.saturating_sub(self.paid)
    }
}
