//! One visitor on their way: who they are, their cookie, and what is written down of them.

use std::time::Duration;

use evidence::{Asked, Held, Micros, Visit};
use launch_model::persona::Persona;
use launch_model::scenario::Scenario;
use launch_model::visit::{Answer, Ask, Cookies, Heard, Next, Place, Shown, Then};
use launch_model::visitor::Visitor;
use policy::ticket::Token;

use super::errand::Errand;
use super::gateway::{Cookie, Gateway};

/// One visitor.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) visitor: Visitor,
    pub(super) cookie: Option<Token>,
    /// The cookie as it is written; only adversaries look at it.
    text: Option<Box<str>>,
    pub(super) visit: Visit,
    /// What they do next; `None` while they wait for an answer.
    pub(super) then: Option<Then>,
}

impl Person {
    pub(super) fn new(mut visitor: Visitor, persona: Persona, index: u64, due: Micros) -> Self {
        let then = Some(Then::Ask(visitor.first()));
        Self { visitor, cookie: None, text: None, visit: Visit::begun(index, persona, due), then }
    }

    /// Keeps the cookie of an answer. Returns that of another room.
    pub(super) fn keep(&mut self, cookie: Cookie, gateway: &Gateway, at: Micros) -> Option<String> {
        match cookie {
            Cookie::Kept => {}
            Cookie::Set(token) => {
                self.cookie = Some(token);
                self.text = self.visit.persona.is_adversary().then(|| gateway.seal(&token).into());
                self.visit.hold(Held { at, target: 0, token: (&token).into() });
            }
            Cookie::Dropped => (self.cookie, self.text) = (None, None),
            Cookie::Foreign(token) => return Some(token),
        }
        None
    }

    /// Writes down what came of a request.
    pub(super) fn note(&mut self, errand: &Errand, answer: &Answer, at: Micros, scenario: &Scenario) {
        let Errand { request, due, .. } = errand;
        let inside = self.visitor.place() == Place::Inside;
        if !inside && !request.attack {
            self.visit.errors_outside += u32::from(answer.status >= 500);
        }
        if let Shown::Line(told) = &answer.shown
            && !request.attack
        {
            self.visit.see(at, told.position, told.wait);
            if inside && request.cookies == Cookies::Own {
                self.visit.sent_back(at, scenario.room.session_duration.0);
            }
        }
        if (inside || answer.is_shop() || request.attack) && !matches!(request.ask, Ask::Asset(_)) {
            let (id, page, status) = (errand.id(), request.ask.page(), Some(answer.status));
            self.visit.asked.push(Asked {
                id,
                page,
                step: None,
                due: *due,
                answered: at,
                status,
                attack: request.attack,
            });
        }
    }

    /// Takes an answer, and decides.
    pub(super) fn hear(&mut self, at: Micros, answer: &Answer, foreign: Option<&str>) -> Next {
        let token = foreign.or(self.text.as_deref());
        let heard = Heard { at: Duration::from_micros(at.max(0) as u64), answer: Some(answer), token };
        let was_outside = self.visitor.place() != Place::Inside;
        let next = self.visitor.hear(heard);
        if was_outside && self.visitor.place() == Place::Inside {
            self.visit.entered.get_or_insert(at);
        }
        next
    }

    /// Their cookie is lost, and with it their place: what they saw of it counts no more.
    pub(super) fn lose_cookies(&mut self) {
        (self.cookie, self.text) = (None, None);
        self.visit.positions = None;
    }
}
