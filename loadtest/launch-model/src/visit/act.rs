//! A visitor's next act, given what they heard; and how a visit ends.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::ask::Request;

/// How a visit ended: each in exactly one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// With a paid order.
    Bought,
    /// Let in, and everything was sold.
    SoldOut,
    /// Let in, but order or payment failed until they gave up.
    OrderFailed,
    /// Let in; had no wish to buy (an adversary, or a reader).
    Looked,
    /// The first page failed until they gave up.
    TurnedAway,
    /// The gateway refused them for good (a clear page, no number).
    Refused,
    /// Saw the line and left.
    NoShow,
    /// Left the line before their turn.
    LostPatience,
    /// Still outside at closing time.
    Outside,
    /// Still inside when the grace was over.
    Unfinished,
}

/// A step of a journey that failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stumble {
    /// Which one, from 0.
    pub step: u16,
    /// Why.
    pub why: Why,
}

/// Why a step of a journey failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// No connection, it broke, or nothing came in time.
    NoAnswer,
    /// A status that was not expected.
    Status(u16),
    /// The value of this name was not in the answer.
    Missing(Box<str>),
    /// It ended at this path, not at the one that was expected.
    Elsewhere(Box<str>),
    /// What the page should show was not on it.
    NotShown,
    /// It led to this host, which is no part of the run.
    Stranger(Box<str>),
    /// One redirect after another.
    Redirects,
    /// The page was longer than is read.
    TooLong,
}

/// A visitor's next act.
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

/// What a visitor heard, and when.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Since the start of the run.
    pub at: Duration,
    /// `None` if there was no answer (refused, reset, too late).
    pub answer: Option<&'a Answer>,
    /// The token that their cookie holds by now. Honest people never look at it.
    pub token: Option<&'a str>,
}

/// Requests on the side, one after another, and then back to what was to be done at its time.
#[derive(Debug)]
pub(crate) struct Detour {
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
    pub(crate) fn new(requests: impl IntoIterator<Item = Request>, pace: Duration, back: Next, now: Duration) -> Self {
        let mut todo: Vec<_> = requests.into_iter().collect();
        todo.reverse();
        Self { todo, pace, back_at: now + back.pause, back: Some(back.then) }
    }

    /// What comes next.
    pub(crate) fn next(&mut self, now: Duration) -> Next {
        match self.todo.pop() {
            Some(request) => Next::ask(request, self.pace),
            None => Next {
                pause: self.back_at.saturating_sub(now),
                then: self.back.take().unwrap_or(Then::Leave(End::Looked)),
            },
        }
    }

    /// Whether it led back.
    pub(crate) fn is_over(&self) -> bool {
        self.back.is_none()
    }
}
