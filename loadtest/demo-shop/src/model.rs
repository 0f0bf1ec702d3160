//! The inventory in process, on the model of a database: numbers in memory, but the time that a database takes
//! for them, and its collapse under overload.
//!
//! What is written is written when the work is done. Out of scope: anything that outlives the process.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use evidence::shop::{Account, Stage};
use evidence::stats::locked;
use tokio::time::Instant;

use crate::database::{Database, Tuning};
use crate::pace::Pace;
use crate::sale::{Failure, Held, Ordered, Paid, Stock};

/// Database work of the product page.
pub const ITEM: f64 = 1.0;
/// Of the cart, a step that few take: not in [`Model::capacity`].
const CART: f64 = 1.0;
/// Of an order.
pub const ORDER: f64 = 2.0;
/// Of a payment.
pub const PAYMENT: f64 = 3.0;
/// Of the pages of a purchase.
const PURCHASE: f64 = ITEM + ORDER + PAYMENT;

/// An inventory in memory.
#[derive(Debug)]
pub struct Model {
    database: Database,
    pace: Pace<3>,
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
    states: Vec<State>,
    /// When reservations end, with their orders.
    ends: BTreeSet<(Instant, u64)>,
    paid: u64,
    ended: u64,
    sold_twice: u64,
}

/// The state of an order.
#[derive(Debug, Clone, Copy)]
enum State {
    /// Its piece is set aside, until then.
    Reserved(Option<Instant>),
    Paid,
    /// It was not paid in time, and its piece went back.
    Ended,
}

impl Model {
    /// A sale of this many pieces on a database of this tuning.
    pub fn new(tuning: Tuning, stock: u64) -> Self {
        let capacity = tuning.capacity() / PURCHASE;
        let shelf = Mutex::new(Shelf { stock, ..Shelf::default() });
        Self { database: Database::new(tuning), pace: Pace::unknown(), capacity, shelf }
    }

    pub(crate) async fn left_over(&self) -> Result<u64, Failure> {
        self.work(0, ITEM).await?;
        Ok(locked(&self.shelf).now().left_over())
    }

    pub(crate) async fn cart(&self, session: &str) -> Result<(), Failure> {
        self.database.run(CART).await?;
        locked(&self.shelf).carts.insert(session.to_owned());
        Ok(())
    }

    pub(crate) async fn order(&self, session: &str, key: &str, reserve: Option<Duration>) -> Result<Ordered, Failure> {
        self.work(1, ORDER).await?;
        Ok(locked(&self.shelf).now().order(session, key, reserve.map(|reserve| Instant::now() + reserve)))
    }

    pub(crate) fn hold(&self, order: u64, at_least: Duration) -> Held {
        locked(&self.shelf).now().hold(order, Instant::now() + at_least)
    }

    pub(crate) async fn pay(&self, order: u64, key: &str) -> Result<Paid, Failure> {
        self.work(2, PAYMENT).await?;
        Ok(locked(&self.shelf).pay(order, key))
    }

    /// The work of a page of a purchase: which one, and its weight.
    async fn work(&self, page: usize, weight: f64) -> Result<(), Failure> {
        let held = self.database.run(weight).await?;
        self.pace.note(page, held);
        Ok(())
    }

    pub(crate) fn account(&self) -> Account {
        let mut shelf = locked(&self.shelf);
        let shelf = shelf.now();
        let account = Account::of(shelf.stock, shelf.left_over(), shelf.promised());
        Account { paid: shelf.paid, ended: shelf.ended, sold_twice: shelf.sold_twice, ..account }
    }

    pub(crate) fn stock(&self) -> Stock {
        let account = self.account();
        Stock { left: account.left_over, held: account.held() }
    }

    pub(crate) fn stage(&self) -> Stage {
        let pool = self.database.pool();
        let size = pool.size();
        Stage { pool: size, in_work: pool.in_work(), waiting: pool.waiting(), delivers: self.pace.delivers(size) }
    }

    pub(crate) fn resize(&self, slots: usize) {
        self.database.pool().resize(slots);
    }

    pub(crate) fn capacity(&self) -> f64 {
        self.capacity
    }
}

impl Shelf {
    /// As it is now: orders whose time is over have ended.
    fn now(&mut self) -> &mut Self {
        let now = Instant::now();
        while let Some(&(end, order)) = self.ends.first().filter(|(end, _)| *end <= now) {
            self.ends.remove(&(end, order));
            if let Some(state) = self.state(order) {
                *state = State::Ended;
                self.ended += 1;
            }
        }
        self
    }

    fn state(&mut self, order: u64) -> Option<&mut State> {
        let index = usize::try_from(order.checked_sub(1)?).ok()?;
        self.states.get_mut(index)
    }

    /// Orders that hold a piece.
    fn promised(&self) -> u64 {
        self.states.len() as u64 - self.ended
    }

    fn left_over(&self) -> u64 {
        self.stock.saturating_sub(self.promised())
    }

    fn order(&mut self, session: &str, key: &str, until: Option<Instant>) -> Ordered {
        if let Some(order) = self.orders.get(key) {
            return Ordered::Before(*order);
        }
        if self.left_over() == 0 {
            return Ordered::SoldOut;
        }
        self.states.push(State::Reserved(until));
        let order = self.states.len() as u64;
        self.ends.extend(until.map(|until| (until, order)));
        self.orders.insert(key.to_owned(), order);
        self.carts.remove(session);
        Ordered::Now(order)
    }

    fn hold(&mut self, order: u64, until: Instant) -> Held {
        match self.state(order) {
            None => Held::NoSuchOrder,
            Some(State::Paid) => Held::Paid,
            Some(State::Ended) => Held::Ended,
            Some(State::Reserved(Some(end))) if *end < until => {
                let before = std::mem::replace(end, until);
                self.ends.remove(&(before, order));
                self.ends.insert((until, order));
                Held::Now
            }
            Some(State::Reserved(_)) => Held::Now,
        }
    }

    fn pay(&mut self, order: u64, key: &str) -> Paid {
        if let Some(order) = self.payments.get(key) {
            return Paid::Before(*order);
        }
        let Some(state) = self.state(order) else { return Paid::NoSuchOrder };
        match std::mem::replace(state, State::Paid) {
            State::Paid => return Paid::Before(order),
            State::Reserved(end) => {
                if let Some(end) = end {
                    self.ends.remove(&(end, order));
                }
            }
            State::Ended => {
                self.ended -= 1;
                self.sold_twice += 1;
            }
        }
        self.paid += 1;
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
        assert_eq!(inventory.order("s", "a", None).await.unwrap(), Ordered::Now(1));
        assert_eq!(inventory.order("s", "a", None).await.unwrap(), Ordered::Before(1));
        assert_eq!(inventory.order("s", "b", None).await.unwrap(), Ordered::Now(2));
        assert_eq!(inventory.order("s", "c", None).await.unwrap(), Ordered::SoldOut);
        assert_eq!(inventory.order("s", "b", None).await.unwrap(), Ordered::Before(2), "also when all are gone");
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
        inventory.order("s", "a", None).await.unwrap();
        assert_eq!(locked(&inventory.shelf).carts, HashSet::from(["t".to_owned()]));
    }

    const MINUTE: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn an_order_that_is_not_paid_in_time_gives_its_piece_back_and_one_under_payment_does_not() {
        let inventory = Model::new(Tuning::default(), 2);
        assert_eq!(inventory.order("s", "a", Some(MINUTE)).await.unwrap(), Ordered::Now(1));
        assert_eq!(inventory.order("s", "b", Some(MINUTE)).await.unwrap(), Ordered::Now(2));
        assert_eq!(inventory.stock(), Stock { left: 0, held: 2 });
        assert_eq!(inventory.hold(2, 3 * MINUTE), Held::Now);
        tokio::time::advance(2 * MINUTE).await;
        assert_eq!(inventory.stock(), Stock { left: 1, held: 1 });
        assert_eq!([inventory.hold(1, MINUTE), inventory.hold(9, MINUTE)], [Held::Ended, Held::NoSuchOrder]);
        assert_eq!(inventory.order("s", "c", Some(MINUTE)).await.unwrap(), Ordered::Now(3), "the piece is sold again");
        assert_eq!(inventory.pay(2, "p").await.unwrap(), Paid::Now(2));
        assert_eq!(inventory.hold(2, MINUTE), Held::Paid);
        let told = Account { stock: 2, orders: 2, paid: 1, ended: 1, ..Account::default() };
        assert_eq!(inventory.account(), told);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shop_that_books_a_payment_whose_piece_went_back_sells_it_twice_and_says_so() {
        let inventory = Model::new(Tuning::default(), 1);
        inventory.order("s", "a", Some(MINUTE)).await.unwrap();
        tokio::time::advance(2 * MINUTE).await;
        inventory.order("s", "b", Some(MINUTE)).await.unwrap();
        inventory.pay(1, "p").await.unwrap();
        let told = inventory.account();
        assert_eq!((told.sold_twice, told.oversold, told.orders, told.ended), (1, 1, 2, 0), "{told:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_the_slots_deliver_half_of_the_purchases() {
        let inventory = Model::new(Tuning::default(), 100);
        for n in 0..20 {
            inventory.left_over().await.unwrap();
            let Ordered::Now(order) = inventory.order("s", &n.to_string(), None).await.unwrap() else { panic!() };
            inventory.pay(order, &n.to_string()).await.unwrap();
        }
        let (whole, capacity) = (inventory.stage().delivers, inventory.capacity());
        assert!((0.9..1.1).contains(&(whole / capacity)), "{whole} of {capacity}");
        inventory.resize(10);
        assert!((inventory.stage().delivers / whole - 0.5).abs() < 1e-9);
    }
}
