//! The shop's inventory: stock, carts, orders and payments, behind the pages.
//!
//! Two kinds: a [`Model`] in process, for the demo, and a real [`Postgres`]. Their promises are
//! the same: no more orders than pieces, and one order, one payment for one idempotency key.
//!
//! Out of scope: a trait (two kinds are an enum), and who may pay: any client that knows the number of an order can.

use evidence::shop::Account;

use crate::model::Model;
use crate::postgres::Postgres;
use crate::sale::{Failure, Ordered, Paid};

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

    /// Takes a piece for this key, once, and empties the cart of the session.
    pub async fn order(&self, session: &str, key: &str) -> Result<Ordered, Failure> {
        match self {
            Self::Model(model) => model.order(session, key).await,
            Self::Postgres(postgres) => postgres.order(session, key).await,
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

    /// Requests that wait for the database now.
    pub fn waiting(&self) -> usize {
        match self {
            Self::Model(model) => model.waiting(),
            Self::Postgres(postgres) => postgres.waiting(),
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
