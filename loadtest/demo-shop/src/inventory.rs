//! The shop's inventory: stock, carts, orders and payments, behind the pages.
//!
//! Two kinds: a [`Model`] in process, for the demo, and a real [`Postgres`]. Their promises are
//! the same: no more orders than pieces, and one order, one payment for one idempotency key.
//!
//! Out of scope: a trait (two kinds are an enum), and who may pay: any client that knows the number of an order can.

use std::time::Duration;

use evidence::shop::{Account, Stage};

use crate::model::Model;
use crate::postgres::Postgres;
use crate::sale::{Failure, Held, Ordered, Paid, Stock};

/// The store of the inventory.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a shop has one")]
pub enum Inventory {
    /// A model of a database, in process.
    Model(Model),
    /// A real one.
    Postgres(Postgres),
}

impl Inventory {
    /// Pieces that are left, for the product page.
    pub async fn left_over(&self) -> Result<u64, Failure> {
        match self {
            Self::Model(model) => model.left_over().await,
            Self::Postgres(postgres) => postgres.left_over().await,
        }
    }

    /// Puts a pair into the cart of a session; twice is once. Sets nothing aside.
    pub async fn cart(&self, session: &str) -> Result<(), Failure> {
        match self {
            Self::Model(model) => model.cart(session).await,
            Self::Postgres(postgres) => postgres.cart(session).await,
        }
    }

    /// Takes a piece for this key, once, and empties the cart of the session. The piece is set aside for so long; without a
    /// time, until it is paid.
    pub async fn order(&self, session: &str, key: &str, reserve: Option<Duration>) -> Result<Ordered, Failure> {
        match self {
            Self::Model(model) => model.order(session, key, reserve).await,
            Self::Postgres(postgres) => postgres.order(session, key, reserve).await,
        }
    }

    /// Sets the piece of an order aside for so long at least, from now: while it is paid, it must not go back.
    pub async fn hold(&self, order: u64, at_least: Duration) -> Result<Held, Failure> {
        match self {
            Self::Model(model) => Ok(model.hold(order, at_least)),
            Self::Postgres(postgres) => postgres.hold(order, at_least).await,
        }
    }

    /// Pays an order, once.
    pub async fn pay(&self, order: u64, key: &str) -> Result<Paid, Failure> {
        match self {
            Self::Model(model) => model.pay(order, key).await,
            Self::Postgres(postgres) => postgres.pay(order, key).await,
        }
    }

    /// The account of the sale now.
    pub async fn account(&self) -> Result<Account, Failure> {
        match self {
            Self::Model(model) => Ok(model.account()),
            Self::Postgres(postgres) => postgres.account().await,
        }
    }

    /// Makes ready for [`Inventory::tidy`].
    pub async fn prepare_to_tidy(&self) -> Result<(), Failure> {
        match self {
            Self::Model(_) => Ok(()),
            Self::Postgres(postgres) => postgres.prepare_to_tidy().await,
        }
    }

    /// Gives the pieces of orders back that were not paid in time, and tells what is not sold.
    pub async fn tidy(&self) -> Result<Stock, Failure> {
        match self {
            Self::Model(model) => Ok(model.stock()),
            Self::Postgres(postgres) => postgres.tidy().await,
        }
    }

    /// Its slots or connections.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Model(model) => model.stage(),
            Self::Postgres(postgres) => postgres.stage(),
        }
    }

    /// Changes how many requests it works on at once.
    pub fn resize(&self, pool: usize) {
        match self {
            Self::Model(model) => model.resize(pool),
            Self::Postgres(postgres) => postgres.resize(pool),
        }
    }

    /// Orders per second that it can take when no request waits; 0 for a real database, of which only a run
    /// can tell.
    pub fn capacity(&self) -> f64 {
        match self {
            Self::Model(model) => model.capacity(),
            Self::Postgres(_) => 0.0,
        }
    }
}
