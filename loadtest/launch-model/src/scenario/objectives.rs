//! What must be reached for the verdict "held".

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::span::Span;

/// What must be reached. Promises of 0 (overshoot, lost places, numbers twice) are not objectives: they always hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Objectives {
    /// Least share of the allowed rate that is used while people wait, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub use_of_rate: f64,
    /// Least share of shoppers who enter inside the first range that they were shown, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub inside_first_range: f64,
    /// Longest overtaking: so long may somebody enter before another one with a lower number who was there.
    pub overtaking: Span,
    /// Latency of pages for those inside, p99.
    pub page_p99: Span,
    /// At most this many times the p99 of those inside when nobody waits.
    #[schemars(range(min = 1.0, max = 1_000.0))]
    pub page_p99_times: f64,
    /// Least share of those let in who get their order, 0 to 1; those who find the shop sold out count as served.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub orders: f64,
    /// While an attack lasts, and after it: at most this many times the p99 of those inside before it.
    #[schemars(range(min = 1.0, max = 1_000.0))]
    pub attack_p99_times: f64,
    /// While an attack lasts, and after it: least share of the pages that those inside had before it, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub attack_throughput: f64,
    /// Where a purchase has stages: least share of the purchases that the shop could deliver, and the room let in, while
    /// people wait, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub goodput: f64,
    /// Most memory of a gateway of the testbed, in MiB; without it none is judged.
    #[schemars(range(min = 1))]
    pub gateway_memory: Option<u64>,
}

impl Default for Objectives {
    fn default() -> Self {
        let span = |ms: u64| Span(std::time::Duration::from_millis(ms));
        Self {
            use_of_rate: 0.97,
            inside_first_range: 0.8,
            overtaking: span(5_000),
            page_p99: span(1_000),
            page_p99_times: 2.0,
            orders: 0.99,
            attack_p99_times: 3.0,
            attack_throughput: 0.8,
            goodput: 0.9,
            gateway_memory: None,
        }
    }
}
