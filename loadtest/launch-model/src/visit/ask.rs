//! A visitor's requests.

use serde::{Deserialize, Serialize};

use crate::jar::Cookies;
use crate::scenario::Method;

/// Pages of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Page {
    /// The product.
    Item,
    /// The cart.
    Cart,
    /// The order form.
    Order,
    /// The payment form.
    Payment,
    /// Anything else.
    Other,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// The product page, by navigation.
    Item,
    /// The same in JSON mode: how a page in the line asks for its turn.
    Poll,
    /// Something that a waiting page is made of.
    Asset(Box<str>),
    /// Into the cart.
    Cart,
    /// The order form, with the key of the page that it stands on.
    Order(Option<Box<str>>),
    /// The payment form of this order, with its key.
    Payment(u64, Option<Box<str>>),
    /// A page of another room, by navigation.
    Other,
    /// Whatever stands at this path, fetched as a script would do it.
    Fetch(Box<str>),
    /// A form sent to this path.
    Post(Box<str>),
    /// A request of a journey.
    Call(Box<Call>),
}

impl Ask {
    /// Which page of the launch it is.
    pub fn page(&self) -> Page {
        match self {
            Self::Item | Self::Poll => Page::Item,
            Self::Cart => Page::Cart,
            Self::Order(_) => Page::Order,
            Self::Payment(..) => Page::Payment,
            Self::Asset(_) | Self::Other | Self::Fetch(_) | Self::Post(_) | Self::Call(_) => Page::Other,
        }
    }

    /// Which step of a journey it is of.
    pub fn step(&self) -> Option<u16> {
        match self {
            Self::Call(call) => Some(call.step),
            _ => None,
        }
    }
}

/// A request of a journey, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Of which step.
    pub step: u16,
    /// The method.
    pub method: Method,
    /// A path of the run's own targets, or an address.
    pub url: Box<str>,
    /// The page that it is asked from, in the same form; none for a typed address.
    pub from: Option<Box<str>>,
    /// What is sent along.
    pub body: Option<Box<str>>,
    /// Headers beside those of every browser.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// How a browser says what it wants.
    pub manner: Manner,
}

/// How a browser says what it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// A page, by navigation.
    Page,
    /// Something for a script of the page.
    Fetch,
    /// The page, or the place in the line: how a page in the line asks for its turn.
    Poll,
}

/// A request that a visitor wants to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub ask: Ask,
    /// The cookies that it shows.
    pub cookies: Cookies,
    /// From which of their addresses; 0 is the first.
    pub address: u8,
    /// From two tabs at the same moment, each on a way of its own.
    pub twice: bool,
    /// Whether it must never reach the shop.
    pub attack: bool,
}

impl From<Ask> for Request {
    fn from(ask: Ask) -> Self {
        Self { ask, cookies: Cookies::Own, address: 0, twice: false, attack: false }
    }
}
