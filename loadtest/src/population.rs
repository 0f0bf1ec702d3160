//! The population of a crowd: who comes next, who is here, whose turn it is, and how each visit ends.
//!
//! The same over sockets ([`crate::crowd`]) and in virtual time ([`crate::simulate`]), which bring what differs: an agenda of
//! due times, a way to the gateway, and a visitor's cookies ([`Holder`]).
//!
//! At closing time visitors outside stop asking (they are counted where they stand); those inside have a grace to finish.
//! Every visitor ends in exactly one way.

use std::iter::Zip;
use std::ops::RangeFrom;
use std::sync::Arc;
use std::time::Duration;

use evidence::{End, Micros, Visit, micros};
use launch_model::arrivals::Arrivals;
use launch_model::persona::Persona;
use launch_model::scenario::Scenario;
use launch_model::span::Span;
use launch_model::visit::{Answer, Cookies, Event, Next, Place, Request, Then};
use launch_model::visitor::Visitor;

use crate::board::Watch;

/// A part of a crowd: all visitors whose place in the order of arrivals is `index` modulo `of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Which part, from 0.
    pub index: u32,
    /// Of how many.
    pub of: u32,
}

impl Part {
    /// The whole crowd.
    pub const ALL: Self = Self { index: 0, of: 1 };

    fn has(self, visitor: u64) -> bool {
        visitor % u64::from(self.of.max(1)) == u64::from(self.index)
    }
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    /// The next visitor arrives.
    Newcomer,
    /// This visitor acts.
    Visitor(u32),
}

/// The agenda.
pub(crate) trait Agenda {
    /// Adds a turn at this instant.
    fn plan(&mut self, due: Micros, turn: Turn);
}

/// A visitor's cookies.
pub(crate) trait Holder: Default {
    /// The room's token, as it is written.
    fn token(&self) -> Option<&str>;

    /// Loses all cookies.
    fn lose(&mut self);
}

/// One visitor on their way: persona, cookies, and what is recorded of them.
#[derive(Debug)]
pub(crate) struct Person<H> {
    pub(crate) visitor: Visitor,
    pub(crate) holder: H,
    pub(crate) visit: Visit,
    /// What they do next; `None` while they wait for an answer.
    then: Option<Then>,
}

impl<H: Holder> Person<H> {
    pub(crate) fn new(mut visitor: Visitor, persona: Persona, index: u64, due: Micros) -> Self {
        let then = Some(Then::Ask(visitor.first()));
        Self { visitor, holder: H::default(), visit: Visit::begun(index, persona, due), then }
    }

    /// Takes an answer, or none, and decides. A token of another room is shown to the visitor in place of the own one.
    pub(crate) fn hear(&mut self, at: Micros, answer: Option<&Answer>, foreign: Option<&str>) -> Next {
        let token = foreign.or(self.holder.token());
        let heard = Event { at: Duration::from_micros(at.max(0) as u64), answer, token };
        let was_outside = self.visitor.place() != Place::Inside;
        let next = self.visitor.hear(heard);
        if let Some((steps, stumble)) = self.visitor.progress() {
            self.visit.steps = steps;
            self.visit.stumbles.extend(stumble);
        }
        if was_outside && self.visitor.place() == Place::Inside {
            self.visit.entered.get_or_insert(at);
        }
        next
    }

    /// Their cookies are lost, and with them their place: what they saw of it no longer counts.
    pub(crate) fn lose_cookies(&mut self) {
        self.holder.lose();
        self.visit.positions = None;
    }
}

/// All visitors of a crowd, or of a part of it.
pub(crate) struct Population<H, A> {
    pub(crate) agenda: A,
    scenario: Arc<Scenario>,
    watch: Watch,
    /// With their places in the order of arrivals.
    arrivals: Zip<RangeFrom<u64>, Arrivals>,
    part: Part,
    /// From then on no visitor outside asks.
    pub(crate) closing: Micros,
    /// From then on no visitor asks.
    pub(crate) over: Micros,
    pub(crate) is_closed: bool,
    /// Who arrives next, and when.
    newcomer: Option<(u64, Micros)>,
    people: Vec<Option<Box<Person<H>>>>,
    /// The number of visitors who are here.
    here: usize,
    visits: Vec<Visit>,
}

impl<H: Holder, A: Agenda> Population<H, A> {
    /// An empty population; `agenda` is made when the length of the launch is known.
    pub(crate) fn new(
        scenario: &Scenario,
        arrivals: Arrivals,
        part: Part,
        watch: Watch,
        agenda: impl FnOnce(Micros) -> A,
    ) -> Self {
        let closing = scenario.closing.map_or(arrivals.length(), |closing| closing.0);
        let over = micros(closing + scenario.grace.0);
        let mut population = Self {
            agenda: agenda(over),
            closing: micros(closing),
            over,
            // Visitors know when it is all over, also where the scenario leaves it to the last arrival.
            scenario: Arc::new(Scenario { closing: Some(Span(closing)), ..scenario.clone() }),
            watch,
            arrivals: (0..).zip(arrivals),
            part,
            is_closed: false,
            newcomer: None,
            people: Vec::new(),
            here: 0,
            visits: Vec::new(),
        };
        population.find_newcomer();
        population
    }

    /// The launch, with its closing time.
    pub(crate) fn scenario(&self) -> Arc<Scenario> {
        Arc::clone(&self.scenario)
    }

    /// Whether a visitor is here, or is to come.
    pub(crate) fn is_awaited(&self) -> bool {
        self.here > 0 || self.newcomer.is_some()
    }

    /// Plans the next arrival, and gives it a turn at that instant.
    fn find_newcomer(&mut self) {
        let part = self.part;
        let next = self.arrivals.find(|(index, _)| part.has(*index));
        self.newcomer = next.map(|(index, at)| (index, micros(at))).filter(|(_, due)| *due < self.closing);
        if let Some((_, due)) = self.newcomer {
            self.agenda.plan(due, Turn::Newcomer);
        }
    }

    /// The next visitor arrives: their index among the visitors so far.
    fn welcome(&mut self) -> Option<u32> {
        let (index, due) = self.newcomer.take()?;
        self.find_newcomer();
        let persona = self.scenario.persona(index);
        let visitor = Visitor::new(&self.scenario, persona, index);
        self.people.push(Some(Box::new(Person::new(visitor, persona, index, due))));
        self.here += 1;
        self.watch.arrived(due);
        Some(self.people.len() as u32 - 1)
    }

    /// Whether an arrival was due by `now` and cannot come any more; then the one after it is next.
    pub(crate) fn misses_newcomer(&mut self, now: Micros) -> bool {
        let missed = self.newcomer.take().is_some_and(|(_, due)| due <= now);
        if missed {
            self.find_newcomer();
        }
        missed
    }

    /// A visitor who is still here.
    pub(crate) fn person(&mut self, place: u32) -> Option<&mut Person<H>> {
        self.people[place as usize].as_deref_mut()
    }

    /// A visitor's turn: who they are, and what they ask. One who leaves, or has left, asks nothing.
    pub(crate) fn act(&mut self, turn: Turn, due: Micros) -> Option<(u32, Request)> {
        let place = match turn {
            Turn::Newcomer => self.welcome()?,
            Turn::Visitor(place) => place,
        };
        let person = self.person(place)?;
        match person.then.take()? {
            Then::Ask(request) => {
                if request.cookies == Cookies::Lost {
                    person.lose_cookies();
                }
                Some((place, request))
            }
            Then::Leave(end) => {
                self.leave(place, end, due);
                None
            }
        }
    }

    /// A visitor has decided at `at` what they do next.
    pub(crate) fn go_on(&mut self, place: u32, next: Next, at: Micros) {
        let Some(person) = self.people[place as usize].as_deref_mut() else { return };
        let outside = person.visitor.place() != Place::Inside;
        match next.then {
            Then::Leave(end) if next.pause.is_zero() => self.leave(place, end, at),
            _ if outside && self.is_closed => self.leave(place, End::Outside, at),
            then => {
                person.then = Some(then);
                self.agenda.plan(at + micros(next.pause), Turn::Visitor(place));
            }
        }
    }

    /// Closing time: visitors outside who wait for no answer leave.
    pub(crate) fn close(&mut self, at: Micros) {
        self.is_closed = true;
        for place in 0..self.people.len() as u32 {
            let idle = |person: &mut Person<H>| person.then.is_some() && person.visitor.place() != Place::Inside;
            if self.person(place).is_some_and(idle) {
                self.leave(place, End::Outside, at);
            }
        }
    }

    fn leave(&mut self, place: u32, end: End, at: Micros) {
        let Some(mut person) = self.people[place as usize].take() else { return };
        (person.visit.end, person.visit.left) = (end, at);
        self.watch.moved(at, person.visitor.place(), None);
        self.watch.ended(at, end);
        self.here -= 1;
        self.visits.push(person.visit);
    }

    /// Ends the visits that are left. Returns all visits, in order of arrival.
    pub(crate) fn go_home(mut self, at: Micros) -> Vec<Visit> {
        for place in 0..self.people.len() as u32 {
            let inside = self.person(place).map(|person| person.visitor.place() == Place::Inside);
            if let Some(inside) = inside {
                self.leave(place, if inside { End::Unfinished } else { End::Outside }, at);
            }
        }
        self.visits.sort_unstable_by_key(|visit| visit.index);
        self.visits
    }
}
