//! A launch without sockets: the policy driven directly, in virtual time, by the same people.
//!
//! ```text
//! Visitor --request--> gateway: admit, Line --page--> shop
//!    ^-------------- answer --------------------'        time jumps from event to event
//! ```
//!
//! The visitors are those of [`crate::crowd`], and what they saw is the same [`Evidence`], so [`verdict`] judges it
//! as it judges any run. `gateway` gathers joins and claims, holds requests and tells waits and poll intervals as the
//! real one does, one of them on a store that answers at once; `shop` serves each page in its time, however many come.
//! Nothing reads a clock: the same scenario is the same launch, to the microsecond.
//!
//! What is absent: whatever a machine adds (sockets, threads, a slow disk), several gateways and losses (the simulation of
//! `policy` has those), and the shop's collapse. So it shows that the rules hold for a crowd of any size, and how the
//! line behaves; not how fast the gateway is.

mod agenda;
mod errand;
mod gateway;
mod person;
mod setup;
mod shop;

use std::iter::{Peekable, Zip};
use std::ops::RangeFrom;
use std::sync::Arc;

use evidence::{End, Evidence, Generator, Micros, Visit, micros};
use launch_model::arrivals::Arrivals;
use launch_model::scenario::Scenario;
use launch_model::span::Span;
use launch_model::visit::{Answer, Ask, Cookies, Next, Place, Request, Shown, Sight, Then};
use launch_model::visitor::Visitor;
use policy::admit::{Intent, Verdict};
use policy::ticket::Token;

use crate::crowd::{Outcome, Watch, most_memory};
use agenda::{Agenda, Event};
use errand::Errand;
use gateway::{Cookie, Entry, Gateway};
use person::Person;
use shop::Shop;

pub use setup::{Setup, rules};

/// From a gateway's answer to its reader: a good line to a data centre near by.
const NETWORK: Micros = 10_000;
/// What a waiting page is made of.
const ASSETS: [&str; 2] = ["/.weir/page.css", "/.weir/page.js"];

/// Runs a launch, as fast as this machine can. `watch` may be looked at meanwhile.
pub fn simulate(scenario: &Scenario, setup: &Setup, watch: &Watch) -> Evidence {
    let mut world = World::new(scenario, setup, watch.clone());
    world.agenda.plan(0, Event::Flush);
    world.plan_newcomer();
    let took = world.run();
    world.finish(setup, took)
}

/// What an answer brings.
struct Reply {
    answer: Answer,
    cookie: Cookie,
    /// When it has been read.
    at: Micros,
}

struct World {
    scenario: Arc<Scenario>,
    gateway: Gateway,
    shop: Shop,
    agenda: Agenda,
    newcomers: Peekable<Zip<RangeFrom<u64>, Arrivals>>,
    /// By their place in the order of arrivals.
    people: Vec<Option<Box<Person>>>,
    here: usize,
    most: u64,
    visits: Vec<Visit>,
    watch: Watch,
    /// Nobody outside asks from then on, and nobody at all.
    closing: Micros,
    over: Micros,
    is_closed: bool,
}

impl World {
    fn new(scenario: &Scenario, setup: &Setup, watch: Watch) -> Self {
        let (closing, grace) = (scenario.closes(), scenario.grace.0);
        // Visitors know when it is all over, also where the scenario leaves it to the last arrival.
        let scenario = Arc::new(Scenario { closing: Some(Span(closing)), ..scenario.clone() });
        Self {
            gateway: Gateway::new(&scenario, setup),
            shop: Shop::new(&scenario, setup.start_unix_us),
            agenda: Agenda::until(micros(closing + grace)),
            newcomers: (0..).zip(Arrivals::of(&scenario)).peekable(),
            people: Vec::new(),
            here: 0,
            most: 0,
            visits: Vec::new(),
            watch,
            closing: micros(closing),
            over: micros(closing + grace),
            is_closed: false,
            scenario,
        }
    }

    /// Until nobody is left, or all is over. Returns when that was.
    fn run(&mut self) -> Micros {
        while let Some((now, event)) = self.agenda.next() {
            if now >= self.closing && !self.is_closed {
                self.close(now);
            }
            match event {
                Event::Newcomer => self.welcome(now),
                Event::Turn(who) => self.turn(who, now),
                Event::Flush => self.flush(now),
            }
            if self.here == 0 && self.newcomers.peek().is_none() {
                return now;
            }
        }
        self.over
    }

    fn plan_newcomer(&mut self) {
        let closing = self.closing;
        let next = self.newcomers.peek().map(|(_, at)| micros(*at)).filter(|due| *due < closing);
        match next {
            Some(due) => self.agenda.plan(due, Event::Newcomer),
            None => while self.newcomers.next().is_some() {},
        }
    }

    fn welcome(&mut self, now: Micros) {
        let Some((index, _)) = self.newcomers.next() else { return };
        let persona = self.scenario.persona(index);
        let visitor = Visitor::new(&self.scenario, persona, index);
        self.people.push(Some(Box::new(Person::new(visitor, persona, index, now))));
        self.here += 1;
        self.most = self.most.max(self.here as u64);
        self.watch.arrived(now);
        self.turn(index as u32, now);
        self.plan_newcomer();
    }

    /// Closing time: whoever is outside and waits for no answer goes.
    fn close(&mut self, now: Micros) {
        self.is_closed = true;
        for who in 0..self.people.len() {
            let idle = |person: &Person| person.then.is_some() && person.visitor.place() != Place::Inside;
            if self.people[who].as_deref().is_some_and(idle) {
                self.leave(who as u32, End::Outside, now);
            }
        }
    }

    /// A visitor does what they had in mind.
    fn turn(&mut self, who: u32, now: Micros) {
        let then = self.people[who as usize].as_deref_mut().and_then(|person| person.then.take());
        match then {
            Some(Then::Ask(request)) => self.ask(who, request, now),
            Some(Then::Leave(end)) => self.leave(who, end, now),
            None => {}
        }
    }

    fn ask(&mut self, who: u32, request: Request, due: Micros) {
        let Some(person) = self.people[who as usize].as_deref_mut() else { return };
        if request.cookies == Cookies::Lost {
            person.lose_cookies();
        }
        // Without a cookie two tabs would be two people.
        let twice = request.twice && person.cookie.is_some();
        person.visit.requests += 1 + u32::from(twice);
        let count = person.visit.requests;
        if twice {
            let request = request.clone();
            self.send(Errand { who, second: true, request, count: count - 1, due });
        }
        self.send(Errand { who, second: false, request, count, due });
    }

    fn send(&mut self, errand: Errand) {
        let Some(person) = self.people[errand.who as usize].as_deref() else { return };
        self.watch.sent(errand.due, 0);
        let (now, asks) = (errand.due, &errand.request.ask);
        let (status, at) = (|status| Answer::status(status), now + NETWORK);
        let reply = match asks {
            Ask::Asset(_) => Reply { answer: status(200), cookie: Cookie::Kept, at },
            Ask::Other => Reply { answer: Answer::shop(Sight::default()), cookie: self.gateway.foreign(now), at },
            _ => {
                let shown = self.gateway.credential(person.cookie, &errand.request.cookies);
                match self.gateway.admit(shown, intent(asks), now) {
                    Verdict::Enter { pass, renew } => {
                        self.gateway.confirm(&pass);
                        if renew {
                            self.gateway.renew(&pass, errand.who);
                        }
                        self.serve(&errand, Some(pass), now)
                    }
                    Verdict::Late(pass) => self.serve(&errand, Some(pass), now),
                    Verdict::Open | Verdict::Preflight | Verdict::Return => self.serve(&errand, None, now),
                    Verdict::Wait(ticket) => self.in_line(&errand, ticket.number, Cookie::Kept, now),
                    Verdict::Claim(ticket) => {
                        return self.plan_flush(now, |gateway| gateway.hold(ticket.number, errand, now));
                    }
                    Verdict::Join => return self.plan_flush(now, |gateway| gateway.join(errand)),
                    Verdict::JoinIfCalled
                    | Verdict::JoinLater
                    | Verdict::Confirm
                    | Verdict::Arrive(_)
                    | Verdict::Visit
                    | Verdict::Refuse(_) => Reply { answer: status(429), cookie: Cookie::Kept, at },
                }
            }
        };
        self.hear(&errand, reply);
    }

    fn plan_flush(&mut self, now: Micros, gather: impl FnOnce(&mut Gateway)) {
        gather(&mut self.gateway);
        if let Some(at) = self.gateway.gathers(now) {
            self.agenda.plan(at, Event::Flush);
        }
    }

    /// The gateway's batch, and everybody whose answer is known by then.
    fn flush(&mut self, now: Micros) {
        if !self.gateway.is_due(now) {
            return;
        }
        let flushed = self.gateway.flush(now);
        for (who, pass) in flushed.renewed {
            if let Some(person) = self.people[who as usize].as_deref_mut() {
                person.keep(Cookie::Set(pass), &self.gateway, now + NETWORK);
            }
        }
        for (errand, entry) in flushed.answered {
            let reply = match entry {
                Entry::Pass(pass) => Reply { cookie: Cookie::Set(pass), ..self.serve(&errand, Some(pass), now) },
                Entry::Ticket(ticket, cookie) => self.in_line(&errand, ticket, cookie, now),
                // The ticket was used up: the next request is a newcomer's.
                Entry::Spent => Reply { answer: Answer::status(303), cookie: Cookie::Dropped, at: now + NETWORK },
            };
            self.hear(&errand, reply);
        }
        self.agenda.plan(self.gateway.next_tick(now), Event::Flush);
    }

    /// The shop answers.
    fn serve(&mut self, errand: &Errand, pass: Option<Token>, now: Micros) -> Reply {
        let served = self.shop.serve(errand, pass, now);
        let cookie = match pass.filter(|_| served.gives_back) {
            Some(pass) => {
                self.gateway.release(&pass, now + served.took);
                Cookie::Dropped
            }
            None => Cookie::Kept,
        };
        Reply { answer: served.answer, cookie, at: now + served.took + NETWORK }
    }

    fn in_line(&mut self, errand: &Errand, number: u64, cookie: Cookie, now: Micros) -> Reply {
        let is_page = errand.request.ask == Ask::Item && self.scenario.habits.assets;
        let mut told = self.gateway.tell(number);
        if is_page {
            told.assets = ASSETS.map(Box::from).into();
        }
        Reply { answer: Answer { status: 200, shown: Shown::Line(told), seen: None }, cookie, at: now + NETWORK }
    }

    /// A visitor reads an answer, and decides.
    fn hear(&mut self, errand: &Errand, reply: Reply) {
        let Some(person) = self.people[errand.who as usize].as_deref_mut() else { return };
        let Reply { answer, cookie, at } = reply;
        let before = person.visitor.place();
        let foreign = person.keep(cookie, &self.gateway, at);
        person.note(errand, &answer, at, &self.scenario);
        let counts = before != Place::Inside || answer.is_shop();
        self.watch.answered(Outcome {
            at,
            latency: Some(at - errand.due).filter(|_| counts && answer.status < 500),
            failed: answer.status >= 500,
            place: Some(before).filter(|_| !errand.request.attack),
        });
        if errand.second {
            return;
        }
        let next = person.hear(at, &answer, foreign.as_deref());
        self.watch.moved(at, before, Some(person.visitor.place()));
        self.go_on(errand.who, next, at);
    }

    fn go_on(&mut self, who: u32, next: Next, at: Micros) {
        let Some(person) = self.people[who as usize].as_deref_mut() else { return };
        let outside = person.visitor.place() != Place::Inside;
        match next.then {
            Then::Leave(end) if next.pause.is_zero() => self.leave(who, end, at),
            _ if outside && self.is_closed => self.leave(who, End::Outside, at),
            then => {
                person.then = Some(then);
                self.agenda.plan(at + micros(next.pause), Event::Turn(who));
            }
        }
    }

    fn leave(&mut self, who: u32, end: End, at: Micros) {
        let Some(mut person) = self.people[who as usize].take() else { return };
        (person.visit.end, person.visit.left) = (end, at);
        self.watch.moved(at, person.visitor.place(), None);
        self.watch.ended(at, end);
        self.here -= 1;
        self.visits.push(person.visit);
    }

    /// Sends everybody home who is still here, and puts together what was seen.
    fn finish(mut self, setup: &Setup, took: Micros) -> Evidence {
        for who in 0..self.people.len() {
            let inside = self.people[who].as_deref().map(|person| person.visitor.place() == Place::Inside);
            if let Some(inside) = inside {
                self.leave(who as u32, if inside { End::Unfinished } else { End::Outside }, took);
            }
        }
        self.visits.sort_unstable_by_key(|visit| visit.index);
        let (timeline, _) = self.watch.timeline();
        let generator = Generator {
            name: "virtual time".into(),
            seconds: took as f64 / 1e6,
            threads: 1,
            most_visitors: self.most,
            most_memory: most_memory().unwrap_or(0),
            ..Generator::default()
        };
        let (shop, report) = self.shop.close();
        Evidence {
            start_unix_us: setup.start_unix_us,
            took,
            visits: self.visits,
            gateways: self.gateway.samples,
            shop,
            shop_report: Some(report),
            timeline,
            generators: vec![generator],
            ..Evidence::default()
        }
    }
}

/// What kind of request it is to a gateway.
fn intent(ask: &Ask) -> Intent {
    match ask {
        Ask::Item | Ask::Other => Intent::Page,
        Ask::Poll => Intent::Json,
        _ => Intent::Other,
    }
}

#[cfg(test)]
mod tests;
