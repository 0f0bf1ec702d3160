//! The shop that a run without `--target` opens, and its faults.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::span::Span;

/// The shop that a run without `--target` opens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Shop {
    /// Pairs in stock; without it enough for everybody.
    pub stock: Option<u64>,
    /// Database queries that run at the same time.
    #[schemars(range(min = 1, max = 10_000))]
    pub slots: usize,
    /// Database time of the product page when nobody waits; order and payment take 2 and 3 times it. "0ms" is a shop
    /// that answers at once.
    pub service_time: Span,
    /// The third party that takes payments, before they are work of the database; without it there is none.
    pub payment: Option<Payment>,
    /// How long a pair is set aside for the payment of its order; without it until it is paid.
    pub reserve: Option<Span>,
    /// Whether each form that comes is an order or a charge of its own, whatever key it has.
    pub ignores_keys: bool,
    /// What its answers tell the gateway. The gateway of a testbed honours it.
    pub tells: Vec<Word>,
    /// What is done to it on purpose.
    #[serde(rename = "fault")]
    pub faults: Vec<Fault>,
}

impl Default for Shop {
    fn default() -> Self {
        Self {
            stock: None,
            slots: 20,
            service_time: Span(Duration::from_millis(50)),
            payment: None,
            reserve: None,
            ignores_keys: false,
            tells: Vec::new(),
            faults: Vec::new(),
        }
    }
}

impl Shop {
    /// Whether a purchase has stages that are looked at: a payment of its own, or a fault.
    pub fn has_stages(&self) -> bool {
        self.payment.is_some() || !self.faults.is_empty()
    }
}

/// A third party that takes payments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Payment {
    /// Payments that it works on at once.
    #[schemars(range(min = 1, max = 10_000))]
    pub pool: usize,
    /// How long it works on one, in the mean.
    pub latency: Span,
    /// How long a payment waits for its turn there. What waited longer was not charged.
    pub patience: Span,
}

impl Default for Payment {
    fn default() -> Self {
        Self { pool: 20, latency: Span(Duration::from_millis(500)), patience: Span(Duration::from_secs(15)) }
    }
}

/// A word of the shop about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// How full its stages are (`endpoint-load-metrics`).
    Orca,
    /// The rate of new shoppers that it can take (`Weir-Command: rate=...`).
    Rate,
    /// What is left (`Weir-Stock`).
    Stock,
}

/// A stage of a purchase that has less of its pool for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which one.
    pub stage: Stage,
    /// The share of its pool that is left to it, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub share: f64,
    /// When it begins, counted from the start.
    pub from: Span,
    /// How long it lasts.
    pub r#for: Span,
}

impl Fault {
    /// When it ends, counted from the start.
    pub fn until(&self) -> Duration {
        self.from.0 + self.r#for.0
    }
}

/// A stage of a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The database.
    Order,
    /// The third party that takes payments.
    Payment,
}

impl Stage {
    /// Its name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Payment => "payment",
        }
    }
}
