//! The inventory in process, on the model of a database: numbers in memory, but the time that a database takes
//! for them, and its collapse under overload.
//!
//! What is written is written when the work is done. Out of scope: anything that outlives the process.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use evidence::shop::Account;
use evidence::stats::locked;

use crate::database::{Database, Tuning};
use crate::sale::{Failure, Ordered, Paid};

/// Database work of the product page.
pub const ITEM: f64 = 1.0;
/// Of the cart, a step that few take: not in [`Model::capacity`].
const CART: f64 = 1.0;
/// Of an order.
pub const ORDER: f64 = 2.0;
/// Of a payment.
pub const PAYMENT: f64 = 3.0;

/// An inventory in memory.
#[derive(Debug)]
pub struct Model {
    database: Database,
    capacity: f64,
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    stock: u64,
    carts: HashSet<String>,
    /// By idempotency key. Orders are numbered from 1 without gaps.
    orders: HashMap<String, u64>,
    payments: HashMap<String, u64>,
    paid: HashSet<u64>,
}

impl Model {
    /// A sale of this many pieces on a database of this tuning.
    pub fn new(tuning: Tuning, stock: u64) -> Self {
        let capacity = tuning.capacity() / (ITEM + ORDER + PAYMENT);
        Self { database: Database::new(tuning), capacity, shelf: Mutex::new(Shelf { stock, ..Shelf::default() }) }
    }

    pub(crate) async fn left_over(&self) -> Result<u64, Failure> {
        self.database.run(ITEM).await?;
        Ok(locked(&self.shelf).left_over())
    }

    pub(crate) async fn cart(&self, session: &str) -> Result<(), Failure> {
        self.database.run(CART).await?;
        locked(&self.shelf).carts.insert(session.to_owned());
        Ok(())
    }

    pub(crate) async fn order(&self, session: &str, key: &str) -> Result<Ordered, Failure> {
        self.database.run(ORDER).await?;
        Ok(locked(&self.shelf).order(session, key))
    }

    pub(crate) async fn pay(&self, order: u64, key: &str) -> Result<Paid, Failure> {
        self.database.run(PAYMENT).await?;
        Ok(locked(&self.shelf).pay(order, key))
    }

    pub(crate) fn account(&self) -> Account {
        let shelf = locked(&self.shelf);
        let account = Account::of(shelf.stock, shelf.left_over(), shelf.orders.len() as u64);
        Account { paid: shelf.paid.len() as u64, ..account }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.database.waiting()
    }

    pub(crate) fn capacity(&self) -> f64 {
        self.capacity
    }
}

impl Shelf {
    fn left_over(&self) -> u64 {
        self.stock.saturating_sub(self.orders.len() as u64)
    }

    fn order(&mut self, session: &str, key: &str) -> Ordered {
        if let Some(order) = self.orders.get(key) {
            return Ordered::Before(*order);
        }
        if self.left_over() == 0 {
            return Ordered::SoldOut;
        }
        let order = self.orders.len() as u64 + 1;
        self.orders.insert(key.to_owned(), order);
        self.carts.remove(session);
        Ordered::Now(order)
    }

    fn pay(&mut self, order: u64, key: &str) -> Paid {
        if let Some(order) = self.payments.get(key) {
            return Paid::Before(*order);
        }
        if order == 0 || order > self.orders.len() as u64 {
            return Paid::NoSuchOrder;
        }
        if !self.paid.insert(order) {
            return Paid::Before(order);
        }
        self.payments.insert(key.to_owned(), order);
        Paid::Now(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_model_keeps_the_promises_of_the_books() {
        let inventory = Model::new(Tuning::default(), 2);
        assert_eq!(inventory.order("s", "a").await.unwrap(), Ordered::Now(1));
        assert_eq!(inventory.order("s", "a").await.unwrap(), Ordered::Before(1));
        assert_eq!(inventory.order("s", "b").await.unwrap(), Ordered::Now(2));
        assert_eq!(inventory.order("s", "c").await.unwrap(), Ordered::SoldOut);
        assert_eq!(inventory.order("s", "b").await.unwrap(), Ordered::Before(2), "also when all are gone");
        assert_eq!(inventory.left_over().await.unwrap(), 0);
        assert_eq!(inventory.pay(3, "d").await.unwrap(), Paid::NoSuchOrder);
        assert_eq!(inventory.pay(0, "d").await.unwrap(), Paid::NoSuchOrder);
        assert_eq!(inventory.pay(1, "d").await.unwrap(), Paid::Now(1));
        assert_eq!(inventory.pay(2, "d").await.unwrap(), Paid::Before(1), "a key is for one payment");
        assert_eq!(inventory.pay(1, "e").await.unwrap(), Paid::Before(1), "an order is paid once");
        let told = Account { stock: 2, orders: 2, paid: 1, ..Account::default() };
        assert_eq!(inventory.account(), told);
    }

    #[tokio::test(start_paused = true)]
    async fn an_order_empties_the_cart_of_its_session() {
        let inventory = Model::new(Tuning::default(), 2);
        inventory.cart("s").await.unwrap();
        inventory.cart("t").await.unwrap();
        inventory.order("s", "a").await.unwrap();
        assert_eq!(locked(&inventory.shelf).carts, HashSet::from(["t".to_owned()]));
    }
}
