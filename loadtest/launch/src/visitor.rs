//! What all kinds of visitors have in common: what they hear, what they ask for, and how it goes on.
//!
//! A visitor is a state machine. [`Visitor::first`] says how a visit begins; for every answer, or none,
//! [`Visitor::hear`] says which request follows after which pause, or how the visit ends. It may be driven
//! over sockets ([`crate::crowd`]) or in virtual time.
//!
//! What is absent: sockets, clocks, and the text of pages.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};

use crate::adversary::Adversary;
use crate::evidence::{End, Page, Stumble};
use crate::jar::Jar;
use crate::journey::Call;
use crate::persona::Persona;
use crate::scenario::Scenario;
use crate::shopper::Shopper;
use crate::wire::Lost;

/// The longest pause that is believed.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// An answer, as far as a visitor cares.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// What it showed.
    pub shown: Shown,
    /// All of it, for whoever walks a journey.
    pub seen: Option<Box<Seen>>,
}

/// An answer as it came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// The cookies of the shopper by then.
    pub jar: Jar,
    /// Why there is none of this, and no status.
    pub lost: Option<Lost>,
}

impl Seen {
    /// Where a redirect leads.
    pub(crate) fn location(&self) -> Option<&str> {
        self.headers.get(header::LOCATION)?.to_str().ok()
    }

    /// When to try again, in whole seconds as nearly everybody writes it.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
    }
}

/// What an answer showed.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Shown {
    /// A place in the line: ask again later.
    Line(Told),
    /// A page of the shop.
    Shop(Sight),
    /// An error, a refusal: the status says which.
    #[default]
    Nothing,
}

/// What somebody in the line is told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// When to ask again.
    pub after: Duration,
    /// People ahead, if that is known.
    pub position: Option<u64>,
    /// At least and at most so many seconds, if that is known.
    pub wait: Option<[f64; 2]>,
    /// Paths of what the page is made of, if it is one.
    pub assets: Vec<Box<str>>,
}

/// A page of the shop, as far as it leads on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sight {
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
        Self { status: 200, shown: Shown::Line(Told { after, position, wait, assets: Vec::new() }), seen: None }
    }

    /// A page of the shop.
    pub fn shop(sight: Sight) -> Self {
        Self { status: 200, shown: Shown::Shop(sight), seen: None }
    }

    /// No answer of which more can be told than that it did not come.
    pub(crate) fn lost(lost: Lost) -> Self {
        Self { seen: Some(Box::new(Seen { lost: Some(lost), ..Seen::default() })), ..Self::default() }
    }

    /// Nothing but a status.
    pub fn status(status: u16) -> Self {
        Self { status, shown: Shown::Nothing, seen: None }
    }

    /// Whether the shop itself gave it, be it to say no: it is nothing that a gateway says, and no outage.
    pub(crate) fn is_from_shop(&self) -> bool {
        let says_gateway = |seen: &Seen| seen.lost.is_some() || seen.headers.contains_key("weir-status");
        let is_answer = (200..500).contains(&self.status) && self.status != 429;
        is_answer && !matches!(self.shown, Shown::Line(_)) && !self.seen.as_deref().is_some_and(says_gateway)
    }

    /// Whether it is a page of the shop.
    pub fn is_shop(&self) -> bool {
        matches!(self.shown, Shown::Shop(_))
    }
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

/// What is shown as a cookie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cookies {
    /// All that were set.
    #[default]
    Own,
    /// None; and those that were set are lost.
    Lost,
    /// None, this time.
    Hidden,
    /// This token instead of the one that was given.
    Token(Box<str>),
}

/// A request that a visitor wants to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub ask: Ask,
    /// What is shown.
    pub cookies: Cookies,
    /// From which of their addresses; 0 is the first.
    pub address: u8,
    /// From two tabs at the same moment, each on a way of its own.
    pub twice: bool,
    /// Whether nobody at the shop may ever see it.
    pub attack: bool,
}

impl From<Ask> for Request {
    fn from(ask: Ask) -> Self {
        Self { ask, cookies: Cookies::Own, address: 0, twice: false, attack: false }
    }
}

/// What a visitor does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// After so long.
    pub pause: Duration,
    /// This.
    pub then: Then,
}

/// An act of a visitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// Sends a request.
    Ask(Request),
    /// Goes away.
    Leave(End),
}

impl Next {
    /// A request after a pause.
    pub fn ask(request: impl Into<Request>, pause: Duration) -> Self {
        Self { pause, then: Then::Ask(request.into()) }
    }

    /// Whether it is a request.
    pub fn asks(&self) -> bool {
        matches!(self.then, Then::Ask(_))
    }

    /// Goes away at once.
    pub fn leave(end: End) -> Self {
        Self { pause: Duration::ZERO, then: Then::Leave(end) }
    }
}

/// Where a visitor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Has not seen any page yet.
    Door,
    /// Has seen that there is a line.
    Line,
    /// Has seen a page of the shop.
    Inside,
}

/// What was heard, and when.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// Since the start of the run.
    pub at: Duration,
    /// `None` if there was no answer (refused, reset, too late).
    pub answer: Option<&'a Answer>,
    /// The token that their cookie holds by now. Honest people never look at it.
    pub token: Option<&'a str>,
}

/// Requests on the side, one after another, and then back to what was to be done at its time.
#[derive(Debug)]
pub struct Detour {
    /// The next one is the last.
    todo: Vec<Request>,
    pace: Duration,
    back: Option<Then>,
    /// Since the start of the run.
    back_at: Duration,
}

impl Detour {
    /// These requests, each so long after the answer to the one before, and then `back`, which is to be done
    /// its pause after `now`.
    pub fn new(requests: impl IntoIterator<Item = Request>, pace: Duration, back: Next, now: Duration) -> Self {
        let mut todo: Vec<_> = requests.into_iter().collect();
        todo.reverse();
        Self { todo, pace, back_at: now + back.pause, back: Some(back.then) }
    }

    /// What comes next.
    pub fn next(&mut self, now: Duration) -> Next {
        match self.todo.pop() {
            Some(request) => Next::ask(request, self.pace),
            None => Next {
                pause: self.back_at.saturating_sub(now),
                then: self.back.take().unwrap_or(Then::Leave(End::Looked)),
            },
        }
    }

    /// Whether it led back.
    pub fn is_over(&self) -> bool {
        self.back.is_none()
    }
}

/// One visitor.
#[derive(Debug)]
pub enum Visitor {
    /// Who wants to buy.
    Shopper(Shopper),
    /// Who wants what is not theirs.
    Adversary(Box<Adversary>),
}

impl Visitor {
    /// Visitor number `index` of the crowd of this scenario: the same one in every run.
    pub fn new(scenario: &Arc<Scenario>, persona: Persona, index: u64) -> Self {
        if persona.is_adversary() {
            return Self::Adversary(Box::new(Adversary::new(scenario, persona, index)));
        }
        Self::Shopper(Shopper::new(scenario, persona, index))
    }

    /// Where they are.
    pub fn place(&self) -> Place {
        match self {
            Self::Shopper(shopper) => shopper.place(),
            Self::Adversary(adversary) => adversary.place(),
        }
    }

    /// The first request of a visit.
    pub fn first(&mut self) -> Request {
        match self {
            Self::Shopper(shopper) => shopper.first(),
            Self::Adversary(adversary) => adversary.first(),
        }
    }

    /// How many steps of their journey are done, and what went wrong with one since this was asked last.
    pub(crate) fn progress(&mut self) -> Option<(u16, Option<Stumble>)> {
        match self {
            Self::Shopper(shopper) => shopper.progress(),
            Self::Adversary(_) => None,
        }
    }

    /// Takes what came of the last request.
    pub fn hear(&mut self, heard: Heard<'_>) -> Next {
        match self {
            Self::Shopper(shopper) => shopper.hear(heard),
            Self::Adversary(adversary) => adversary.hear(heard),
        }
    }
}
