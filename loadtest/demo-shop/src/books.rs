//! The shop's books: stock, carts, orders and payments, behind the pages.
//!
//! Two kinds keep them: a [`Model`] in process, for the demo, and a real [`Postgres`]. What they promise is
//! the same: no more orders than pieces, and one order, one payment for one idempotency key.
//!
//! What is absent: a trait (two kinds are an enum), and who may pay: whoever knows the number of an order can.

use std::error::Error;

use deadpool_postgres::tokio_postgres::{self, error::SqlState};
use deadpool_postgres::{PoolError, TimeoutType};
use serde::{Deserialize, Serialize};

use super::database::Refusal;
use super::model::Model;
use super::postgres::Postgres;

/// Who keeps the books.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a shop has one")]
pub enum Books {
    /// A model of a database, in process.
    Model(Model),
    /// A real one.
    Postgres(Postgres),
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordered {
    /// It took a piece.
    Now(u64),
    /// This key had ordered before: the same order.
    Before(u64),
    /// There was no piece left.
    SoldOut,
}

/// What became of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paid {
    /// The order is paid from now on.
    Now(u64),
    /// The order of this number was paid before, by this key or another.
    Before(u64),
    /// Nobody ordered that.
    NoSuchOrder,
}

/// Why the books did not answer. Shoppers read less of it than the operator.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Too many wait for the database already.
    #[error("too many requests for the database")]
    Full,
    /// No connection within the patience of the pool.
    #[error("no database connection in time")]
    NoSlot,
    /// A statement ran past its time-out.
    #[error("a statement ran too long and was cancelled")]
    Cancelled,
    /// The database did not answer, not even to say that it was too late.
    #[error("the database is silent")]
    Silent,
    /// The database, or the way to it, failed.
    #[error("the database failed")]
    Database(#[source] tokio_postgres::Error),
    /// The pool itself failed.
    #[error("no connection")]
    Pool(#[source] PoolError),
    /// A row that must be there is not.
    #[error("the books lack the row of the sale or of a payment")]
    Missing,
}

impl Failure {
    /// The whole reason, for the operator.
    pub(super) fn in_full(&self) -> String {
        let causes = std::iter::successors(Some(self as &(dyn Error + 'static)), |&error| error.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }

    /// Whether a constraint refused it.
    pub(super) fn is(&self, constraint: &SqlState) -> bool {
        matches!(self, Self::Database(error) if error.code() == Some(constraint))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full => Self::Full,
            Refusal::NoSlot => Self::NoSlot,
            Refusal::Cancelled => Self::Cancelled,
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        if error.code() == Some(&SqlState::QUERY_CANCELED) { Self::Cancelled } else { Self::Database(error) }
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Timeout(TimeoutType::Wait) => Self::NoSlot,
            PoolError::Timeout(_) => Self::Silent,
            PoolError::Backend(error) => error.into(),
            other => Self::Pool(other),
        }
    }
}

/// What the books say of the sale, all at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Pieces when the sale was opened.
    pub stock: u64,
    /// Pieces that nobody has ordered yet.
    pub left_over: u64,
    /// Orders.
    pub orders: u64,
    /// Orders that are paid.
    pub paid: u64,
    /// Orders beyond the stock. Must be 0.
    pub oversold: u64,
    /// Pieces taken by no order, or orders that took none. Must be 0.
    pub unaccounted: u64,
    /// Orders with the key of another order, and payments of an order that was paid already. Must be 0.
    pub duplicates: u64,
}

impl Account {
    /// The account of these sums.
    pub(super) fn of(stock: u64, left_over: u64, orders: u64) -> Self {
        let unaccounted = stock.saturating_sub(left_over).abs_diff(orders);
        Self { stock, left_over, orders, oversold: orders.saturating_sub(stock), unaccounted, ..Self::default() }
    }
}

impl Books {
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

    /// What they say of the sale now.
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

    /// Orders per second that they can take when nobody waits; 0 for a real database, of which only a run
    /// can tell.
    pub fn capacity(&self) -> f64 {
        match self {
            Self::Model(model) => model.capacity(),
            Self::Postgres(_) => 0.0,
        }
    }
}
