//! An answer, as far as a visitor cares.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};

use crate::jar::Jar;

/// The longest pause that is believed.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// Why there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// No connection.
    Refused,
    /// The connection broke.
    Broken,
    /// Nothing within the visitor's patience.
    Late,
    /// The answer was longer than is read.
    TooLong,
    /// The host is none of the run: nothing was sent.
    Stranger,
    /// This machine had no port, file descriptor or memory left: its own fault alone.
    Local,
}

/// An answer, as far as a visitor cares.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Its content.
    pub shown: Content,
    /// All of it, for a visitor on a journey.
    pub seen: Option<Box<RawAnswer>>,
}

/// An answer as it came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RawAnswer {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// The cookies of the shopper by then.
    pub jar: Jar,
    /// Why there is none of this, and no status.
    pub lost: Option<Lost>,
}

impl RawAnswer {
    /// Where a redirect leads.
    pub(crate) fn location(&self) -> Option<&str> {
        self.headers.get(header::LOCATION)?.to_str().ok()
    }

    /// `Retry-After`, in whole seconds as nearly every server writes it.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
    }
}

/// The content of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Content {
    /// A place in the line: ask again later.
    Line(QueueInfo),
    /// A page of the shop.
    Shop(ShopPage),
    /// Not now, for those who are inside.
    Later(Later),
    /// The turn of what was told to wait.
    Turn,
    /// An error, a refusal: the status says which.
    #[default]
    Nothing,
}

/// The line's answer to a waiting visitor.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueueInfo {
    /// When to ask again.
    pub after: Duration,
    /// People ahead, if that is known.
    pub position: Option<u64>,
    /// At least and at most so many seconds, if that is known.
    pub wait: Option<[f64; 2]>,
    /// Paths of what the page is made of, if it is one.
    pub assets: Vec<Box<str>>,
}

/// What those inside are told who have to wait with what they asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Later {
    /// When to go on.
    pub after: Duration,
    /// Where the page asks then whether the turn has come; without it the same request is sent again.
    pub turn: Option<Box<str>>,
}

/// A page of the shop, as far as it leads on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ShopPage {
    /// Nothing is left to buy.
    pub sold_out: bool,
    /// The order that it asks to be paid.
    pub order: Option<u64>,
    /// What its form sends along, so that sending it twice is sending it once.
    pub key: Option<Box<str>>,
}

impl Answer {
    /// A place in the line, as JSON tells it.
    pub fn line(after: Duration, position: Option<u64>, wait: Option<[f64; 2]>) -> Self {
        Self { status: 200, shown: Content::Line(QueueInfo { after, position, wait, assets: Vec::new() }), seen: None }
    }

    /// A page of the shop.
    pub fn shop(shop_page: ShopPage) -> Self {
        Self { status: 200, shown: Content::Shop(shop_page), seen: None }
    }

    /// No answer of which more can be told than that it did not come.
    pub fn lost(lost: Lost) -> Self {
        Self { seen: Some(Box::new(RawAnswer { lost: Some(lost), ..RawAnswer::default() })), ..Self::default() }
    }

    /// The same again after so long.
    pub fn later(status: u16, after: Duration) -> Self {
        Self { status, shown: Content::Later(Later { after, turn: None }), seen: None }
    }

    /// Nothing but a status.
    pub fn status(status: u16) -> Self {
        Self { status, shown: Content::Nothing, seen: None }
    }

    /// Whether the shop itself gave it, be it to say no: no answer of a gateway, and no outage.
    pub fn is_from_shop(&self) -> bool {
        let says_gateway = |seen: &RawAnswer| seen.lost.is_some() || seen.headers.contains_key("weir-status");
        let is_answer = (200..500).contains(&self.status) && self.status != 429;
        is_answer
            && !matches!(self.shown, Content::Line(_) | Content::Later(_) | Content::Turn)
            && !self.seen.as_deref().is_some_and(says_gateway)
    }

    /// Whether it is a page of the shop.
    pub fn is_shop(&self) -> bool {
        matches!(self.shown, Content::Shop(_))
    }
}
