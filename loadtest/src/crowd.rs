//! The crowd: sends every visitor at their planned instant, whatever the answers are like.
//!
//! ```text
//! arrivals --> agenda (one heap) --due--> exchange (a task) --answer--> visitor decides --> agenda
//! ```
//!
//! One loop owns all visitors. Who waits is an entry of the agenda and a small value; only an exchange is
//! a task. Latency counts from the instant that a request was due (of a poll: the answer before it and the
//! pause that it told), never from when this program woke up. How late requests were sent is measured where
//! each begins, once it has a shared connection to itself.
//!
//! An act ends in two steps. At closing time nobody outside asks any more (they are counted where they stand);
//! those inside have a grace to finish. Every visitor ends in exactly one way.
//!
//! What is absent: judgement, and what a visitor wants ([`launch_model::visit`]).

mod agenda;
mod board;
mod errand;
mod generator;
mod kernel;
mod person;

use std::sync::Arc;
use std::time::Duration;

use evidence::{End, Evidence, Micros, Visit, micros};
use launch_model::arrivals::Arrivals;
use launch_model::jar::Toward;
use launch_model::persona::Persona;
use launch_model::random::luck;
use launch_model::scenario::{Method, Scenario};
use launch_model::span::Span;
use launch_model::visit::{Answer, Ask, Cookies, Lost, Next, Place, Request, Then};
use launch_model::visitor::Visitor;
use rand::Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::wire::{Location, Message, Paths, SHARED_ADDRESS, Target, Way, Wire};
use agenda::{Agenda, Who};
pub(crate) use board::Outcome;
pub use board::Watch;
use board::micros_since;
use errand::{Errand, Returned};
use generator::Machine;
pub(crate) use generator::most_memory;
use person::{Person, Sent};

/// Whoever could not be sent for want of a port or a file descriptor here tries again after this.
const LOCAL_REST: Duration = Duration::from_secs(1);
/// Keeps the choice of targets apart from the luck of visitors.
const SALT: u64 = 0x7a26_e75a;
/// The same of who shares the one address.
const SHARED: u64 = 0x0ff1_ce00;
/// So far apart are the addresses of one visitor.
const REMOVE: u64 = 7_919;

/// Everything that is sent.
#[derive(Debug, Clone)]
pub struct Sending {
    /// Who comes, and what they are like.
    pub scenario: Arc<Scenario>,
    /// When they come: all of them, whichever part is sent from here.
    pub arrivals: Arrivals,
    /// Where they go; without any nobody goes. With several, each request goes to one of chance, as by a load balancer that
    /// knows nobody.
    pub targets: Vec<Target>,
    /// Which part of the crowd is sent from here.
    pub part: Part,
    /// The instant from which everything counts. It may lie ahead.
    pub start: Instant,
}

/// A part of a crowd: everybody whose place in the order of arrivals is `index` modulo `of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Which part, from 0.
    pub index: u32,
    /// Of how many.
    pub of: u32,
}

impl Part {
    /// Everybody.
    pub const ALL: Self = Self { index: 0, of: 1 };

    fn has(self, visitor: u64) -> bool {
        visitor % u64::from(self.of.max(1)) == u64::from(self.index)
    }
}

/// Sends a crowd, or a part of it, and returns what it saw when every visit has ended, at the latest when the grace
/// after closing time is over. `stop` ends it at once.
pub async fn send(sending: Sending, watch: Watch, stop: CancellationToken) -> Evidence {
    if sending.targets.iter().all(|target| target.beside) {
        return Evidence::default();
    }
    watch.begin(sending.start);
    let mut crowd = Crowd::new(sending, watch);
    crowd.plan_newcomer();
    crowd.run(stop).await;
    crowd.finish()
}

struct Crowd {
    scenario: Arc<Scenario>,
    /// With their places in the order of arrivals.
    arrivals: std::iter::Zip<std::ops::RangeFrom<u64>, Arrivals>,
    part: Part,
    wire: Arc<Wire>,
    watch: Watch,
    start: Instant,
    /// Nobody outside asks from then on, and nobody at all.
    closing: Micros,
    over: Micros,
    is_closed: bool,
    /// The visitor who arrives next, and when.
    newcomer: Option<(u64, Micros)>,
    people: Vec<Option<Box<Person>>>,
    /// How many of them are here.
    here: usize,
    visits: Vec<Visit>,
    agenda: Agenda,
    exchanges: JoinSet<Returned>,
    machine: Machine,
    dropped_arrivals: u64,
    local_failures: u64,
    /// Begins the id of each request.
    run: String,
}

impl Crowd {
    fn new(sending: Sending, watch: Watch) -> Self {
        let Sending { scenario, arrivals, targets, part, start } = sending;
        let closing = scenario.closing.map_or(arrivals.length(), |closing| closing.0);
        // Visitors know when it is all over, also where the scenario leaves it to the last arrival.
        let scenario = Arc::new(Scenario { closing: Some(Span(closing)), ..Scenario::clone(&scenario) });
        let machine = Machine::look(start);
        Self {
            wire: Arc::new(Wire::new(scenario.wire.clone(), Paths::new(&scenario.room), targets)),
            closing: micros(closing),
            over: micros(closing + scenario.grace.0),
            is_closed: false,
            newcomer: None,
            people: Vec::new(),
            here: 0,
            visits: Vec::new(),
            agenda: Agenda::default(),
            exchanges: JoinSet::new(),
            run: format!("{:x}", machine.start_unix_us),
            machine,
            dropped_arrivals: 0,
            local_failures: 0,
            scenario,
            arrivals: (0..).zip(arrivals),
            part,
            watch,
            start,
        }
    }

    fn now(&self) -> Micros {
        micros_since(self.start)
    }

    async fn run(&mut self, stop: CancellationToken) {
        while self.here > 0 || self.newcomer.is_some() {
            let now = self.now();
            if now >= self.over {
                return;
            }
            self.act(now);
            while let Some(returned) = self.exchanges.try_join_next() {
                self.hear_task(returned);
            }
            let turn = if self.is_closed { self.over } else { self.closing };
            let next = self.agenda.next().map_or(turn, |due| due.min(turn));
            let next = self.start + Duration::from_micros(next.max(0) as u64);
            tokio::select! {
                () = stop.cancelled() => return,
                Some(returned) = self.exchanges.join_next() => self.hear_task(returned),
                () = sleep_until(next) => {}
            }
        }
    }

    /// Does everything that is due.
    fn act(&mut self, now: Micros) {
        if !self.is_closed {
            // What was due before closing time is done, however late it is.
            self.act_until(now.min(self.closing - 1));
        }
        if now >= self.closing && !self.is_closed {
            self.close(now);
        }
        self.act_until(now);
    }

    fn act_until(&mut self, due: Micros) {
        while let Some((due, who)) = self.agenda.take(due) {
            match who {
                Who::Newcomer => self.welcome(),
                Who::Visitor(place) => self.turn(place, due),
            }
        }
    }

    /// Closing time: whoever is outside and waits for no answer goes.
    fn close(&mut self, now: Micros) {
        self.is_closed = true;
        for place in 0..self.people.len() {
            let idle = |person: &Person| person.then.is_some() && person.visitor.place() != Place::Inside;
            if self.people[place].as_deref().is_some_and(idle) {
                self.leave(place, End::Outside, now);
            }
        }
    }

    fn plan_newcomer(&mut self) {
        let part = self.part;
        let next = self.arrivals.find(|(index, _)| part.has(*index));
        self.newcomer = next.map(|(index, at)| (index, micros(at))).filter(|(_, due)| *due < self.closing);
        if let Some((_, due)) = self.newcomer {
            self.agenda.plan(due, Who::Newcomer);
        }
    }

    fn welcome(&mut self) {
        let Some((index, due)) = self.newcomer.take() else { return };
        self.plan_newcomer();
        let persona = self.scenario.persona(index);
        let visitor = Visitor::new(&self.scenario, persona, index);
        self.people.push(Some(Box::new(Person::new(visitor, persona, index, due))));
        self.here += 1;
        self.watch.arrived(due);
        self.turn(self.people.len() - 1, due);
    }

    /// A visitor does what they had in mind. An entry of somebody who has gone means nothing.
    fn turn(&mut self, place: usize, due: Micros) {
        let then = self.people[place].as_deref_mut().and_then(|person| person.then.take());
        match then {
            Some(Then::Ask(request)) => self.ask(place, &request, due),
            Some(Then::Leave(end)) => self.leave(place, end, due),
            None => {}
        }
    }

    fn ask(&mut self, place: usize, request: &Request, due: Micros) {
        let Some(person) = self.people[place].as_deref_mut() else { return };
        if request.cookies == Cookies::Lost {
            person.lose_cookies();
        }
        let kept = person.kept.take();
        let Some(first) = self.errand(place, request, due) else { return };
        // Without a cookie two tabs would be two people.
        let both = request.twice && first.message.cookies.is_some();
        let second = if both { self.errand(place, request, due) } else { None };
        self.exchanges.spawn(errand::run(place, first, second, kept));
    }

    /// A request of this visitor, ready to be sent. One that leads to a stranger is not sent.
    fn errand(&mut self, place: usize, request: &Request, due: Micros) -> Option<Errand> {
        let person = self.people[place].as_deref_mut()?;
        person.visit.requests += 1;
        let (index, count) = (person.visit.index, person.visit.requests);
        let among =
            luck(self.scenario.seed ^ SHARED, index).random_bool(self.scenario.wire.one_address.clamp(0.0, 1.0));
        let from = if among { SHARED_ADDRESS } else { index + u64::from(request.address) * REMOVE };
        let cookie = format!("weir_{}", self.scenario.room.name);
        let mut random = luck(self.scenario.seed ^ SALT ^ u64::from(count), index);
        let target = random.random_range(0..self.wire.targets());
        let (at, target) = match self.wire.locate(&request.ask, target) {
            Ok(located) => located.map_or((None, target), |(at, target)| (Some(at), target)),
            Err(_) => (None, Way::NOWHERE),
        };
        let message = Message {
            ask: request.ask.clone(),
            cookies: person.jar.line_to(toward(&request.ask, at.as_ref()), &request.cookies, &cookie),
            id: format!("{}-{index}-{count}", self.run),
            forwarded_for: self.wire.forwarded_for(from),
            at,
        };
        let way = Way {
            target,
            from,
            slow: person.visit.persona == Persona::SlowReader,
            patience: self.scenario.habits.patience.0,
        };
        let (wire, watch, start) = (Arc::clone(&self.wire), self.watch.clone(), self.start);
        Some(Errand { wire, watch, start, way, message, request: request.clone(), other_tab: false, due })
    }

    fn hear_task(&mut self, returned: Result<Returned, tokio::task::JoinError>) {
        // An exchange does not panic, and is not aborted before the end.
        if let Ok(returned) = returned {
            self.hear(returned);
        }
    }

    /// Takes the answer to a request, or the better one of two.
    fn hear(&mut self, returned: Returned) {
        let Returned { place, mut sent, other_tab } = returned;
        let Some(mut person) = self.people[place].take() else { return };
        let (before, request) = (person.visitor.place(), sent.request.clone());
        let at = other_tab.as_ref().map_or(sent.answered, |other| other.answered.max(sent.answered));
        let kept = sent.exchange.kept.take();
        let mut answers = Vec::with_capacity(2);
        for sent in [Some(sent), other_tab.map(|sent| *sent)].into_iter().flatten() {
            answers.extend(self.note(&mut person, sent, before));
        }
        let next = match answers.into_iter().max_by_key(|answer| errand::worth(answer.as_ref())) {
            Some(answer) => person.hear(at, answer.as_ref()),
            None => Next::ask(request, LOCAL_REST),
        };
        if self.wire.keeps(next.pause) {
            person.kept = kept;
        }
        self.watch.moved(at, before, Some(person.visitor.place()));
        self.people[place] = Some(person);
        self.go_on(place, next, at);
    }

    /// Counts what came of a request.
    ///
    /// # Errors
    /// Where this machine was at fault: then nothing is to be heard.
    fn note(&mut self, person: &mut Person, sent: Sent, before: Place) -> Result<Option<Answer>, Lost> {
        let (at, latency, attack) = (sent.answered, sent.answered - sent.due, sent.request.attack);
        let reading = person.note(sent, &self.scenario);
        if reading.local {
            self.local_failures += 1;
            return Err(Lost::Local);
        }
        let answer = reading.answer;
        let failed = answer.as_ref().is_none_or(|answer| answer.status >= 500);
        let counts = answer.as_ref().is_some_and(|answer| before != Place::Inside || answer.is_shop());
        let latency = Some(latency).filter(|_| counts && !failed);
        self.watch.answered(Outcome { at, latency, failed, place: Some(before).filter(|_| !attack) });
        Ok(answer)
    }

    fn go_on(&mut self, place: usize, next: Next, at: Micros) {
        let Some(person) = self.people[place].as_deref_mut() else { return };
        let due = at + micros(next.pause);
        let outside = person.visitor.place() != Place::Inside;
        match next.then {
            Then::Leave(end) if next.pause.is_zero() => self.leave(place, end, at),
            _ if outside && self.is_closed => self.leave(place, End::Outside, at),
            then => {
                person.then = Some(then);
                self.agenda.plan(due, Who::Visitor(place));
            }
        }
    }

    fn leave(&mut self, place: usize, end: End, at: Micros) {
        let Some(mut person) = self.people[place].take() else { return };
        (person.visit.end, person.visit.left) = (end, at);
        self.watch.moved(at, person.visitor.place(), None);
        self.watch.ended(at, end);
        self.here -= 1;
        self.visits.push(person.visit);
    }

    /// Sends everybody home who is still here, and puts together what was seen.
    fn finish(mut self) -> Evidence {
        let now = self.now();
        for place in 0..self.people.len() {
            let inside = self.people[place].as_deref().map(|person| person.visitor.place() == Place::Inside);
            if let Some(inside) = inside {
                self.leave(place, if inside { End::Unfinished } else { End::Outside }, now);
            }
        }
        while self.newcomer.take().is_some_and(|(_, due)| due <= now) {
            self.dropped_arrivals += 1;
            self.plan_newcomer();
        }
        self.visits.sort_unstable_by_key(|visit| visit.index);
        let (timeline, most_visitors) = self.watch.timeline();
        let mut generator = self.machine.report();
        for second in &timeline {
            generator.lag.add(&second.lag);
        }
        generator.name = format!("worker {} of {}", self.part.index + 1, self.part.of);
        generator.dropped_arrivals = self.dropped_arrivals;
        generator.local_failures = self.local_failures;
        generator.most_visitors = most_visitors;
        generator.most_connections = self.wire.most_connections();
        Evidence {
            start_unix_us: self.machine.start_unix_us,
            took: now,
            visits: self.visits,
            timeline,
            generators: vec![generator],
            ..Evidence::default()
        }
    }
}

/// Where a request goes, as far as cookies care.
fn toward<'a>(ask: &Ask, at: Option<&'a Location>) -> Toward<'a> {
    let sends = matches!(ask, Ask::Call(call) if call.method != Method::Get);
    at.map_or_else(Toward::default, |at| Toward {
        host: &at.host,
        path: &at.path,
        crosses: at.relation == "cross-site",
        sends,
    })
}
