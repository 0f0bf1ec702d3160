//! One visitor on their way: persona, cookie, and what is recorded of them.

use evidence::{Held, Micros, RequestRecord};
use launch_model::scenario::Scenario;
use launch_model::visit::{Answer, Ask, Content, Cookies, Place};
use policy::ticket::Token;

use super::gateway::{Cookie, Gateway};
use super::request_job::RequestJob;
use crate::population::{self, Holder};

/// The room's cookie, as a visitor keeps it.
#[derive(Debug, Default)]
pub(super) struct Pocket {
    pub(super) cookie: Option<Token>,
    /// The cookie as it is written; only adversaries look at it.
    text: Option<Box<str>>,
}

impl Holder for Pocket {
    fn token(&self) -> Option<&str> {
        self.text.as_deref()
    }

    fn lose(&mut self) {
        *self = Self::default();
    }
}

/// One visitor.
pub(super) type Person = population::Person<Pocket>;

impl Person {
    /// Keeps the cookie of an answer. Returns that of another room.
    pub(super) fn keep(&mut self, cookie: Cookie, gateway: &Gateway, at: Micros) -> Option<String> {
        match cookie {
            Cookie::Kept => {}
            Cookie::Set(token) => {
                let text = self.visit.persona.is_adversary().then(|| gateway.seal(&token).into());
                self.holder = Pocket { cookie: Some(token), text };
                self.visit.hold(Held { at, target: 0, token: (&token).into() });
            }
            Cookie::Dropped => self.holder.lose(),
            Cookie::Foreign(token) => return Some(token),
        }
        None
    }

    /// Records the result of a request.
    pub(super) fn note(&mut self, job: &RequestJob, answer: &Answer, at: Micros, scenario: &Scenario) {
        let RequestJob { request, due, .. } = job;
        let inside = self.visitor.place() == Place::Inside;
        if !inside && !request.attack {
            self.visit.errors_outside += u32::from(answer.status >= 500);
        }
        if let Content::Line(told) = &answer.shown
            && !request.attack
        {
            self.visit.see(at, told.position, told.wait);
            if inside && request.cookies == Cookies::Own {
                self.visit.sent_back(at, scenario.room.session_duration.0);
            }
        }
        if (inside || answer.is_shop() || request.attack) && !matches!(request.ask, Ask::Asset(_)) {
            let (id, page, status) = (job.id(), request.ask.page(), Some(answer.status));
            let waits = matches!(answer.shown, Content::Line(_) | Content::Later(_));
            self.visit.asked.push(RequestRecord {
                id,
                page,
                step: None,
                due: *due,
                answered: at,
                status,
                attack: request.attack,
                white: answer.status >= 500 || (answer.status == 429 && !waits),
            });
        }
    }
}
