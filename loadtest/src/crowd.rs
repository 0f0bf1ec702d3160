//! The crowd: an open-loop generator. Every visitor is sent at their planned instant, whatever the answers are like.
//!
//! ```text
//! arrivals --> agenda (one heap) --due--> exchange (a task) --answer--> visitor decides --> agenda
//! ```
//!
//! One loop owns all visitors. A waiting visitor is an entry of the agenda and a small value; only an exchange is
//! a task. Latency counts from the instant at which a request was due (for a poll: the answer before it and the
//! pause that it told), never from when this program woke up. How late requests were sent is measured where
//! each begins, once it has a shared connection to itself.
//!
//! `population` says who is here and how each visit ends, as in virtual time.
//!
//! Out of scope: judgement, and a visitor's decisions ([`launch_model::visit`]).

mod agenda;
mod generator;
mod kernel;
mod person;
mod request_job;

use std::sync::Arc;
use std::time::Duration;

use evidence::{Evidence, Micros};
use launch_model::arrivals::Arrivals;
use launch_model::jar::Toward;
use launch_model::persona::Persona;
use launch_model::random::rng_for;
use launch_model::scenario::{Method, Scenario};
use launch_model::visit::{Answer, Ask, Next, Place, Request};
use rand::Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::board::{Outcome, micros_since};
use crate::population::Population;
use crate::wire::{Location, Message, Paths, Route, SHARED_ADDRESS, Target, Wire};
use agenda::Heap;
use generator::Machine;
pub(crate) use generator::most_memory;
use person::{Browser, Person, Sent};
use request_job::{RequestJob, Returned};

pub use crate::board::Watch;
pub use crate::population::Part;

/// A visitor who could not be sent for want of a port or a file descriptor here tries again after this.
const LOCAL_REST: Duration = Duration::from_secs(1);
/// Seed offset: keeps the choice of targets apart from the chance of visitors.
const SALT: u64 = 0x7a26_e75a;
/// The same for the choice of visitors who share the one address.
const SHARED: u64 = 0x0ff1_ce00;
/// Distance between the addresses of one visitor.
const REMOVE: u64 = 7_919;

/// Everything that is to be sent.
#[derive(Debug, Clone)]
pub struct Sending {
    /// Who comes, and their personas.
    pub scenario: Arc<Scenario>,
    /// All arrivals, whichever part is sent from here.
    pub arrivals: Arrivals,
    /// The targets; without any, no request is sent. With several, each request goes to a random one, as behind a load balancer
    /// without sticky sessions.
    pub targets: Vec<Target>,
    /// The part of the crowd that is sent from here.
    pub part: Part,
    /// The zero of all instants. It may lie ahead.
    pub start: Instant,
}

/// Sends a crowd, or a part of it, and returns what it saw when every visit has ended, at the latest when the grace
/// after closing time is over. `stop` ends it at once.
pub async fn send(sending: Sending, watch: Watch, stop: CancellationToken) -> Evidence {
    if sending.targets.iter().all(|target| target.beside) {
        return Evidence::default();
    }
    watch.begin(sending.start);
    let mut crowd = Crowd::new(sending, watch);
    crowd.run(stop).await;
    crowd.finish()
}

struct Crowd {
    scenario: Arc<Scenario>,
    population: Population<Browser, Heap>,
    part: Part,
    wire: Arc<Wire>,
    watch: Watch,
    start: Instant,
    exchanges: JoinSet<Returned>,
    machine: Machine,
    dropped_arrivals: u64,
    local_failures: u64,
    /// The prefix of each request id.
    run: String,
}

impl Crowd {
    fn new(sending: Sending, watch: Watch) -> Self {
        let Sending { scenario, arrivals, targets, part, start } = sending;
        let population = Population::new(&scenario, arrivals, part, watch.clone(), |_| Heap::default());
        let machine = Machine::read(start);
        Self {
            scenario: population.scenario(),
            wire: Arc::new(Wire::new(scenario.wire.clone(), Paths::new(&scenario.room), targets)),
            population,
            part,
            watch,
            start,
            exchanges: JoinSet::new(),
            run: format!("{:x}", machine.start_unix_us),
            machine,
            dropped_arrivals: 0,
            local_failures: 0,
        }
    }

    fn now(&self) -> Micros {
        micros_since(self.start)
    }

    async fn run(&mut self, stop: CancellationToken) {
        while self.population.is_awaited() {
            let now = self.now();
            if now >= self.population.over {
                return;
            }
            self.act(now);
            while let Some(returned) = self.exchanges.try_join_next() {
                self.hear_task(returned);
            }
            let turn = if self.population.is_closed { self.population.over } else { self.population.closing };
            let next = self.population.agenda.next().map_or(turn, |due| due.min(turn));
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
        let closing = self.population.closing;
        if !self.population.is_closed {
            // What was due before closing time is still done, however late it is.
            self.act_until(now.min(closing - 1));
            if now >= closing {
                self.population.close(now);
            }
        }
        self.act_until(now);
    }

    fn act_until(&mut self, due: Micros) {
        while let Some((due, turn)) = self.population.agenda.take(due) {
            if let Some((place, request)) = self.population.act(turn, due) {
                self.ask(place, &request, due);
            }
        }
    }

    fn ask(&mut self, place: u32, request: &Request, due: Micros) {
        let kept = self.population.person(place).and_then(|person| person.holder.kept.take());
        let Some(first) = self.job(place, request, due) else { return };
        // Without a cookie two tabs would be two people.
        let both = request.twice && first.message.cookies.is_some();
        let second = if both { self.job(place, request, due) } else { None };
        self.exchanges.spawn(request_job::run(place, first, second, kept));
    }

    /// A request of this visitor, ready to be sent. One that leads to a host outside the run is not sent.
    fn job(&mut self, place: u32, request: &Request, due: Micros) -> Option<RequestJob> {
        let person = self.population.person(place)?;
        person.visit.requests += 1;
        let (index, count) = (person.visit.index, person.visit.requests);
        let among =
            rng_for(self.scenario.seed ^ SHARED, index).random_bool(self.scenario.wire.one_address.clamp(0.0, 1.0));
        let from = if among { SHARED_ADDRESS } else { index + u64::from(request.address) * REMOVE };
        let cookie = format!("weir_{}", self.scenario.room.name);
        let mut random = rng_for(self.scenario.seed ^ SALT ^ u64::from(count), index);
        let target = random.random_range(0..self.wire.targets());
        let (at, target) = match self.wire.locate(&request.ask, target) {
            Ok(located) => located.map_or((None, target), |(at, target)| (Some(at), target)),
            Err(_) => (None, Route::NOWHERE),
        };
        let message = Message {
            ask: request.ask.clone(),
            cookies: person.holder.jar.line_to(toward(&request.ask, at.as_ref()), &request.cookies, &cookie),
            id: format!("{}-{index}-{count}", self.run),
            forwarded_for: self.wire.forwarded_for(from),
            at,
        };
        let route = Route {
            target,
            from,
            slow: person.visit.persona == Persona::SlowReader,
            patience: self.scenario.habits.patience.0,
        };
        let (wire, watch, start) = (Arc::clone(&self.wire), self.watch.clone(), self.start);
        Some(RequestJob { wire, watch, start, route, message, request: request.clone(), other_tab: false, due })
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
        let Some(person) = self.population.person(place) else { return };
        let (before, request) = (person.visitor.place(), sent.request.clone());
        let at = other_tab.as_ref().map_or(sent.answered, |other| other.answered.max(sent.answered));
        let kept = sent.exchange.kept.take();
        let mut answers = Vec::with_capacity(2);
        for sent in [Some(sent), other_tab.map(|sent| *sent)].into_iter().flatten() {
            match note(person, sent, &self.scenario, &self.watch) {
                Ok(answer) => answers.push(answer),
                Err(AtFault) => self.local_failures += 1,
            }
        }
        let next = match answers.into_iter().max_by_key(|answer| request_job::worth(answer.as_ref())) {
            Some(answer) => person.hear(at, answer.as_ref(), None),
            None => Next::ask(request, LOCAL_REST),
        };
        if self.wire.keeps(next.pause) {
            person.holder.kept = kept;
        }
        self.watch.moved(at, before, Some(person.visitor.place()));
        self.population.go_on(place, next, at);
    }

    /// Ends the visits that are left, and puts the evidence together.
    fn finish(mut self) -> Evidence {
        let now = self.now();
        while self.population.misses_newcomer(now) {
            self.dropped_arrivals += 1;
        }
        let visits = self.population.go_home(now);
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
            visits,
            timeline,
            generators: vec![generator],
            ..Evidence::default()
        }
    }
}

/// This machine was at fault: it counts as no answer.
struct AtFault;

/// Counts the result of a request.
fn note(person: &mut Person, sent: Sent, scenario: &Scenario, watch: &Watch) -> Result<Option<Answer>, AtFault> {
    let (at, latency, attack) = (sent.answered, sent.answered - sent.due, sent.request.attack);
    let before = person.visitor.place();
    let reading = person.note(sent, scenario);
    if reading.local {
        return Err(AtFault);
    }
    let answer = reading.answer;
    let failed = answer.as_ref().is_none_or(|answer| answer.status >= 500);
    let counts = answer.as_ref().is_some_and(|answer| before != Place::Inside || answer.is_shop());
    let latency = Some(latency).filter(|_| counts && !failed);
    watch.answered(Outcome { at, latency, failed, place: Some(before).filter(|_| !attack) });
    Ok(answer)
}

/// The site of a request, for cookies.
fn toward<'a>(ask: &Ask, at: Option<&'a Location>) -> Toward<'a> {
    let sends = matches!(ask, Ask::Call(call) if call.method != Method::Get);
    at.map_or_else(Toward::default, |at| Toward {
        host: &at.host,
        path: &at.path,
        crosses: at.relation == "cross-site",
        sends,
    })
}
