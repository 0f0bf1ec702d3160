//! A sale: its stock, and the results of orders and payments.

use std::error::Error;

use deadpool_postgres::tokio_postgres::{self, error::SqlState};
use deadpool_postgres::{PoolError, TimeoutType};

use crate::pool::Refusal;

/// Default stock of a sale.
pub const PLENTY: u64 = 1_000_000;

/// The result of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordered {
    /// It took a piece.
    Now(u64),
    /// This key had ordered before: the same order.
    Before(u64),
    /// There was no piece left.
    SoldOut,
}

/// The result of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paid {
    /// The order is paid from now on.
    Now(u64),
    /// The order of this number was paid before, by this key or another.
    Before(u64),
    /// There is no such order.
    NoSuchOrder,
}

/// The result of asking for the piece of an order to be kept while it is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// It is set aside until then, at least.
    Now,
    /// The order is paid already.
    Paid,
    /// Its time was over, and the piece went back.
    Ended,
    /// There is no such order.
    NoSuchOrder,
}

/// The pieces of a sale that are not sold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stock {
    /// Pieces that are not ordered.
    pub left: u64,
    /// Pieces of orders that are not paid.
    pub held: u64,
}

/// Why the inventory did not answer. Shoppers read less of it than the operator.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The queue for the database is full.
    #[error("too many requests for the database")]
    Full,
    /// No connection within the patience of the pool.
    #[error("no database connection in time")]
    NoSlot,
    /// A statement ran past its time-out.
    #[error("a statement ran too long and was cancelled")]
    Cancelled,
    /// The database did not answer, not even with an error of its time-out.
    #[error("the database is silent")]
    Silent,
    /// The database, or the way to it, failed.
    #[error("the database failed")]
    Database(#[source] tokio_postgres::Error),
    /// The pool itself failed.
    #[error("no connection")]
    Pool(#[source] PoolError),
    /// The third party took no payment in time.
    #[error("the payment service is overloaded")]
    Payment,
    /// A row that must be there is not.
    #[error("the inventory lacks the row of the sale or of a payment")]
    Missing,
}

impl Failure {
    /// The whole reason, for the operator.
    pub(crate) fn in_full(&self) -> String {
        let causes = std::iter::successors(Some(self as &(dyn Error + 'static)), |&error| error.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }

    /// Whether a constraint refused it.
    pub(crate) fn is(&self, constraint: &SqlState) -> bool {
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
