//! What is left to sell: the word of a shop, and what a gateway tells of it.
//!
//! Out of scope: when a zero counts as the end (`line::stock`).

use serde::{Deserialize, Serialize};

use crate::Millis;

/// The stock of one product, as a gateway reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StockLevel {
    /// The product.
    pub sku: u32,
    /// Items that can still be ordered, below 2^53.
    pub left: u64,
    /// Items in orders that are not paid yet, below 2^53.
    pub held: u64,
    /// From a program that knows all servers: a zero needs no second word.
    pub sure: bool,
    /// How long ago it was said, in milliseconds. An older word does not replace a later one.
    pub age: Millis,
}

/// Whether there is anything to sell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "u64")]
pub enum StockState {
    /// Some product has items left.
    Available,
    /// All are gone, says a server, and no other has spoken yet.
    Paused,
    /// All are gone, and some are in orders that are not paid yet.
    InCheckout,
    /// All are gone.
    SoldOut,
}

impl StockState {
    /// Every state; `ALL[state as usize]` is the state.
    pub const ALL: [Self; 4] = [Self::Available, Self::Paused, Self::InCheckout, Self::SoldOut];

    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Paused => "paused",
            Self::InCheckout => "in_checkout",
            Self::SoldOut => "sold_out",
        }
    }
}

impl TryFrom<u64> for StockState {
    type Error = UnknownState;

    fn try_from(state: u64) -> Result<Self, UnknownState> {
        Self::ALL.get(state as usize).copied().ok_or(UnknownState)
    }
}

/// A number that stands for no [`StockState`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a state of a stock that this version does not know")]
pub struct UnknownState;

/// All products of a room together.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Stock {
    /// Whether there is anything to sell.
    pub state: StockState,
    /// Items that can still be ordered.
    pub left: u64,
    /// Items in orders that are not paid yet.
    pub held: u64,
    /// Items that a shopper who is let in takes, a mean.
    pub units: f64,
}

impl Stock {
    /// Whether the line stands.
    pub fn stands(&self) -> bool {
        self.state != StockState::Available
    }

    /// Whether the items may be gone before the shopper with `ahead` tickets until the call enters.
    pub fn may_end_before(&self, ahead: u64) -> bool {
        (self.left as f64) < ahead as f64 * self.units
    }
}
