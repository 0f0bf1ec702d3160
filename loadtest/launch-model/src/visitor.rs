//! Common ground of all kinds of visitors.
//!
//! A visitor is a state machine. [`Visitor::first`] says how a visit begins; for every answer, or none,
//! [`Visitor::hear`] says which request follows after which pause, or how the visit ends. It may be driven
//! over sockets or in virtual time.
//!
//! Out of scope: sockets, clocks, and the text of pages.

use std::sync::Arc;

use crate::adversary::Adversary;
use crate::persona::Persona;
use crate::scenario::Scenario;
use crate::shopper::Shopper;
use crate::visit::{Event, Next, Place, Request, Stumble};

/// One visitor.
#[derive(Debug)]
pub enum Visitor {
    /// A shopper who wants to buy.
    Shopper(Shopper),
    /// An adversary.
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
    pub fn progress(&mut self) -> Option<(u16, Option<Stumble>)> {
        match self {
            Self::Shopper(shopper) => shopper.progress(),
            Self::Adversary(_) => None,
        }
    }

    /// Takes the result of the last request.
    pub fn hear(&mut self, event: Event<'_>) -> Next {
        match self {
            Self::Shopper(shopper) => shopper.hear(event),
            Self::Adversary(adversary) => adversary.hear(event),
        }
    }
}
