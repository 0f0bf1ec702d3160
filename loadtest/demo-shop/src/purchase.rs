//! A purchase: the order, which sets a piece aside, and its payment, which a third party may take.
//!
//! ```text
//! order    reserved --pay--> paid
//!              \--its time is over--> ended: the piece is for sale again
//! payment  hold the piece for as long as a payment can take --> charge --> book it
//! ```
//!
//! A piece under payment is held, so a payment that the third party took is never for a piece that went back. The shop shows
//! the third party one key for each order: however often a form comes, an order is charged once. A shop that
//! [ignores keys](Terms::ignores_keys) makes an order and a charge of every form that comes, as some shops do: then nothing
//! between it and the shopper may send a form twice.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use evidence::stats::locked;

use crate::sale::{Failure, Held, Ordered, Paid};
use crate::served::Served;
use crate::words::Words;
use crate::{Shop, pages, payment};

/// The terms of a sale. Without any, an order is for ever, and a payment is work of the database alone.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// The third party that takes payments.
    pub payment: Option<payment::Tuning>,
    /// How long the piece of an order is set aside for its payment.
    pub reserve: Option<Duration>,
    /// Whether every form that comes is an order or a charge of its own, whatever its key.
    pub ignores_keys: bool,
    /// What the shop tells of itself.
    pub words: Words,
}

impl Terms {
    /// Whether orders end, or what is left is told: then the inventory has to be looked after.
    pub(crate) fn needs_tidying(&self) -> bool {
        self.reserve.is_some() || self.words.stock.is_some()
    }
}

/// How long the database may take to book a payment that was charged.
const BOOKING: Duration = Duration::from_secs(10);

/// Forms that are remembered; of more, nothing is counted.
const MOST_FORMS: usize = 1_000_000;

/// The name of a form: its `Idempotency-Key`, or else the key of the page that it stood on.
pub(crate) type Name = Option<String>;

/// Which form it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    Order,
    Payment,
}

/// The forms that came, by their names, and whether they made something.
#[derive(Debug, Default)]
pub(crate) struct Forms(Mutex<HashMap<(Form, String), bool>>);

impl Forms {
    /// A form came; `true` if one of this name had come before.
    fn came(&self, form: Form, name: &Name) -> bool {
        let Some(name) = name else { return false };
        let mut forms = locked(&self.0);
        let known = forms.contains_key(&(form, name.clone()));
        if !known && forms.len() < MOST_FORMS {
            forms.insert((form, name.clone()), false);
        }
        known
    }

    /// It made an order or a charge; `true` if one of this name had made one before.
    fn made(&self, form: Form, name: &Name) -> bool {
        let Some(name) = name else { return false };
        let mut forms = locked(&self.0);
        forms.get_mut(&(form, name.clone())).is_some_and(|made| std::mem::replace(made, true))
    }
}

impl Shop {
    pub(crate) async fn order(&self, session: &str, key: Option<String>, name: &Name) -> Result<Served, Failure> {
        self.came(Form::Order, name);
        let ordered = self.inventory.order(session, &self.key(key), self.terms.reserve).await?;
        Ok(match ordered {
            Ordered::Now(order) => {
                self.made(Form::Order, name);
                Served::order(order, false)
            }
            Ordered::Before(order) => Served::order(order, true),
            Ordered::SoldOut => Served::sold_out(),
        })
    }

    pub(crate) async fn pay(&self, order: u64, key: Option<String>, name: &Name) -> Result<Served, Failure> {
        self.came(Form::Payment, name);
        if let Some(no) = self.hold(order).await? {
            return Ok(no);
        }
        let charged = match &self.third_party {
            Some(third) => third.charge(order, self.key(Some(format!("order-{order}")))).await?,
            None => false,
        };
        let paid = self.inventory.pay(order, &self.key(key)).await?;
        if charged || (self.third_party.is_none() && matches!(paid, Paid::Now(_))) {
            self.made(Form::Payment, name);
        }
        Ok(match paid {
            Paid::Now(order) => Served::receipt(order, false),
            Paid::Before(order) => Served::receipt(order, true),
            Paid::NoSuchOrder => no_such_order(),
        })
    }

    /// Holds the piece of an order while it is paid; an answer if there is nothing to pay.
    async fn hold(&self, order: u64) -> Result<Option<Served>, Failure> {
        if self.terms.reserve.is_none() && self.third_party.is_none() {
            return Ok(None);
        }
        let longest = self.third_party.as_ref().map_or(Duration::ZERO, |third| third.tuning().longest());
        Ok(match self.inventory.hold(order, longest + BOOKING).await? {
            Held::Paid if !self.terms.ignores_keys => Some(Served::receipt(order, true)),
            Held::Now | Held::Paid => None,
            Held::Ended => Some(Served::ended(order)),
            Held::NoSuchOrder => Some(no_such_order()),
        })
    }

    /// The key of a request, or a new one.
    fn key(&self, key: Option<String>) -> String {
        key.filter(|_| !self.terms.ignores_keys).unwrap_or_else(pages::fresh_key)
    }

    fn came(&self, form: Form, name: &Name) {
        self.counted.key_repeats.fetch_add(u64::from(self.forms.came(form, name)), Relaxed);
    }

    fn made(&self, form: Form, name: &Name) {
        self.counted.key_duplicates.fetch_add(u64::from(self.forms.made(form, name)), Relaxed);
    }
}

fn no_such_order() -> Served {
    Served::wrong("There is no such order.")
}
