//! One visitor on their way: who they are, their cookies, and what is written down of them.
//!
//! There may be a hundred thousand at once, so this is small.

use std::time::Duration;

use crate::evidence::{Asked, Held, Micros, Visit};
use crate::jar::Jar;
use crate::persona::Persona;
use crate::reading;
use crate::scenario::Scenario;
use crate::token::Token;
use crate::visitor::{Answer, Ask, Cookies, Heard, Next, Place, Request, Shown, Then, Visitor};
use crate::wire::{Exchange, Kept, Lost, Reply};

/// One visitor.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) visitor: Visitor,
    pub(super) jar: Jar,
    pub(super) visit: Visit,
    /// What they do next; `None` while they wait for an answer.
    pub(super) then: Option<Then>,
    /// Their connection, over a short pause.
    pub(super) kept: Option<Box<Kept>>,
}

/// A request that was sent, and what came of it.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) request: Request,
    /// `X-Request-Id`.
    pub(super) id: String,
    /// When it was to be sent.
    pub(super) due: Micros,
    /// When its answer had come, or was given up.
    pub(super) answered: Micros,
    pub(super) exchange: Exchange,
}

/// What one answer was.
pub(super) struct Reading {
    pub(super) answer: Option<Answer>,
    /// This machine was at fault.
    pub(super) local: bool,
}

impl Person {
    pub(super) fn new(mut visitor: Visitor, persona: Persona, index: u64, due: Micros) -> Self {
        let then = Some(Then::Ask(visitor.first()));
        let visit = Visit::begun(index, persona, due);
        Self { visitor, jar: Jar::default(), visit, then, kept: None }
    }

    /// Writes down what came of a request, and reads it.
    pub(super) fn note(&mut self, sent: Sent, scenario: &Scenario) -> Reading {
        let Sent { request, id, due, answered, exchange } = sent;
        let inside = self.visitor.place() == Place::Inside;
        let (answer, local) = match exchange.result {
            Ok(reply) => (Some(self.open(&reply, &request, answered, exchange.target)), false),
            Err(lost) => (None, lost == Lost::Local),
        };
        let status = answer.as_ref().map(|answer| answer.status);
        if !inside && !request.attack && !local {
            self.visit.errors_outside += u32::from(status.is_some_and(|status| status >= 500));
            self.visit.unanswered_outside += u32::from(status.is_none());
        }
        let shop = answer.as_ref().is_some_and(Answer::is_shop);
        if inside && answer.as_ref().is_some_and(|answer| matches!(answer.shown, Shown::Line(_))) {
            let own = request.cookies == Cookies::Own;
            self.visit.thrown_out |= own && self.visit.has_a_right(answered, scenario.room.session_duration.0);
        }
        if (inside || shop || request.attack) && !local && !matches!(request.ask, Ask::Asset(_)) {
            let (page, attack) = (request.ask.page(), request.attack);
            self.visit.asked.push(Asked { id, page, due, answered, status, attack });
        }
        Reading { answer, local }
    }

    /// Keeps the cookies and the news of an answer.
    fn open(&mut self, reply: &Reply, request: &Request, at: Micros, target: usize) -> Answer {
        let headers = &reply.head.headers;
        for line in headers.get_all(http::header::SET_COOKIE).iter().filter_map(|line| line.to_str().ok()) {
            self.jar.keep(line);
        }
        if request.ask != Ask::Other {
            self.hold(at, target);
        }
        let retry_after = headers.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let answer = reading::read(reply.head.status.as_u16(), retry_after, &reply.body);
        if let Shown::Line(told) = &answer.shown
            && !request.attack
        {
            self.visit.see(at, told.position, told.wait);
        }
        answer
    }

    fn hold(&mut self, at: Micros, target: usize) {
        if let Some(token) = self.jar.token().and_then(Token::read) {
            self.visit.hold(Held { at, target: target as u16, token });
        }
    }

    /// Takes an answer, or none, and decides.
    pub(super) fn hear(&mut self, at: Micros, answer: Option<&Answer>) -> Next {
        let heard = Heard { at: Duration::from_micros(at.max(0) as u64), answer, token: self.jar.token() };
        let was_outside = self.visitor.place() != Place::Inside;
        let next = self.visitor.hear(heard);
        if was_outside && self.visitor.place() == Place::Inside {
            self.visit.entered.get_or_insert(at);
        }
        next
    }

    /// Their cookies are lost, and with them their place: what they saw of it counts no more.
    pub(super) fn lose_cookies(&mut self) {
        self.jar.clear();
        self.visit.positions = None;
    }
}
