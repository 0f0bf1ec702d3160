//! A launch without sockets: the policy driven directly, in virtual time, by the same people.
//!
//! ```text
//! Visitor --request--> gateway: admit, Line --page--> shop
//!    ^-------------- answer --------------------'        time jumps from event to event
//! ```
//!
//! The visitors are those of [`crate::crowd`], and what they saw is the same [`Evidence`], so [`verdict`] judges it
//! as it judges any run. `gateway` drives the production queue of a room ([`policy::queue`]), one of them on a store
//! that answers at once, and tells waits and poll intervals as the real one does; `shop` serves each page in its time, however
//! many come. Where a purchase has stages (`stage`), pages wait for them, and forms at the gates before.
//! Nothing reads a clock: the same scenario is the same launch, to the microsecond.
//!
//! Out of scope: what a machine adds (sockets, threads, a slow disk), several gateways and losses (the simulation of
//! `policy` has those), and the shop's collapse. So it shows that the rules hold for a crowd of any size, and how the
//! line behaves; not how fast the gateway is.

mod agenda;
mod gateway;
mod person;
mod request_job;
mod setup;
mod shop;
mod stage;

use std::sync::Arc;
use std::time::Duration;

use evidence::{Evidence, Generator, Micros};
use launch_model::arrivals::Arrivals;
use launch_model::scenario::Scenario;
use launch_model::visit::{Answer, Ask, Content, Place, Request, ShopPage};
use policy::admit::{Credential, Intent, Verdict};
use policy::ticket::Token;

use crate::board::{Outcome, Watch};
use crate::crowd::most_memory;
use crate::gates::widths;
use crate::population::{Part, Population};
use agenda::{Calendar, Event};
use gateway::{Cookie, Entry, Gateway};
use person::Pocket;
use request_job::RequestJob;
use shop::Shop;
use stage::Gate;

pub use setup::{Setup, rules};

/// From a gateway's answer to its reader: a good line to a data centre near by.
const NETWORK: Micros = 10_000;
/// The assets of a waiting page.
const ASSETS: [&str; 2] = ["/.weir/page.css", "/.weir/page.js"];

/// Runs a launch, as fast as this machine can. `watch` can be read meanwhile.
pub fn simulate(scenario: &Scenario, setup: &Setup, watch: &Watch) -> Evidence {
    let mut world = World::new(scenario, setup, watch.clone());
    let took = world.run();
    world.finish(setup, took)
}

/// The effects of an answer.
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
    gates: [Option<Gate>; 2],
    population: Population<Pocket, Calendar>,
    watch: Watch,
}

impl World {
    fn new(scenario: &Scenario, setup: &Setup, watch: Watch) -> Self {
        let mut population =
            Population::new(scenario, Arrivals::of(scenario), Part::ALL, watch.clone(), Calendar::until);
        let mut gateway = Gateway::new(scenario, setup);
        // It knows where its line is before it serves.
        gateway.plans();
        gateway.moves(0);
        population.agenda.plan_event(gateway.plans().unwrap_or(0), Event::Gateway);
        Self {
            scenario: population.scenario(),
            gateway,
            shop: Shop::new(scenario, setup.start_unix_us),
            gates: gates(scenario),
            population,
            watch,
        }
    }

    /// Until no visitor is left, or all is over. Returns when that was.
    fn run(&mut self) -> Micros {
        while let Some((now, event)) = self.population.agenda.next() {
            if now >= self.population.closing && !self.population.is_closed {
                self.population.close(now);
            }
            match event {
                Event::Turn(turn) => {
                    if let Some((who, request)) = self.population.act(turn, now) {
                        self.ask(who, request, now);
                    }
                }
                Event::Gateway => self.move_gateway(now),
            }
            self.plan_gateway();
            if !self.population.is_awaited() {
                return now;
            }
        }
        self.population.over
    }

    fn ask(&mut self, who: u32, request: Request, due: Micros) {
        let Some(person) = self.population.person(who) else { return };
        // Without a cookie two tabs would be two people.
        let twice = request.twice && person.holder.cookie.is_some();
        person.visit.requests += 1 + u32::from(twice);
        let count = person.visit.requests;
        if twice {
            let request = request.clone();
            self.send(RequestJob { who, second: true, request, count: count - 1, due });
        }
        self.send(RequestJob { who, second: false, request, count, due });
    }

    fn send(&mut self, job: RequestJob) {
        let Some(person) = self.population.person(job.who) else { return };
        self.watch.sent(job.due, 0);
        let (now, asks) = (job.due, &job.request.ask);
        let (status, at) = (|status| Answer::status(status), now + NETWORK);
        let reply = match asks {
            Ask::Asset(_) => Reply { answer: status(200), cookie: Cookie::Kept, at },
            Ask::Other => Reply { answer: Answer::shop(ShopPage::default()), cookie: self.gateway.foreign(now), at },
            _ => {
                let shown = self.gateway.credential(person.holder.cookie, &job.request.cookies);
                match self.gateway.admit(shown, intent(asks), now) {
                    Verdict::Enter { pass, renew } => {
                        self.gateway.confirm(&pass, now);
                        if renew {
                            self.gateway.renew(&pass, job.who, now);
                        }
                        self.serve(&job, Some(pass), now)
                    }
                    Verdict::Late(pass) => self.serve(&job, Some(pass), now),
                    Verdict::Open | Verdict::Preflight | Verdict::Return => self.serve(&job, None, now),
                    Verdict::Wait(ticket) => self.waits(&job, ticket, shown, now),
                    Verdict::Claim(ticket) => return self.gateway.claim(ticket, job, now),
                    Verdict::Join => return self.gateway.join(job, now),
                    Verdict::JoinLater => {
                        let place = self.gateway.keep_place(now);
                        self.in_line(&job, &place, Cookie::Set(place), now)
                    }
                    Verdict::JoinIfCalled
                    | Verdict::Confirm
                    | Verdict::Arrive(_)
                    | Verdict::Visit
                    | Verdict::Refuse(_) => Reply { answer: status(429), cookie: Cookie::Kept, at },
                }
            }
        };
        self.hear(&job, reply);
    }

    /// A visitor whose turn has not come. A place that was kept while the store was away has a number by now, or is to get one.
    fn waits(&mut self, job: &RequestJob, ticket: Token, shown: Credential, now: Micros) -> Reply {
        self.gateway.adopt(&ticket, now);
        let numbered = matches!(shown, Credential::Sealed(shown) if shown.kind != ticket.kind);
        self.in_line(job, &ticket, if numbered { Cookie::Set(ticket) } else { Cookie::Kept }, now)
    }

    /// Plans the gateway's next turn.
    fn plan_gateway(&mut self) {
        if let Some(at) = self.gateway.plans() {
            self.population.agenda.plan_event(at, Event::Gateway);
        }
    }

    /// The gateway's turn, and that of every visitor whose answer is known by then.
    fn move_gateway(&mut self, now: Micros) {
        let moved = self.gateway.moves(now);
        for (who, pass) in moved.renewed {
            if let Some(person) = self.population.person(who) {
                person.keep(Cookie::Set(pass), &self.gateway, now + NETWORK);
            }
        }
        for (job, entry) in moved.answered {
            let at = now + NETWORK;
            let reply = match entry {
                Entry::Pass(pass) => Reply { cookie: Cookie::Set(pass), ..self.serve(&job, Some(pass), now) },
                Entry::Place(ticket, cookie) => self.in_line(&job, &ticket, cookie, now),
                // The ticket was used up: the next request is a newcomer's.
                Entry::Spent => Reply { answer: Answer::status(303), cookie: Cookie::Dropped, at },
                Entry::Refused => Reply { answer: Answer::status(429), cookie: Cookie::Kept, at },
            };
            self.hear(&job, reply);
        }
    }

    /// The shop answers, or the gate before it.
    fn serve(&mut self, job: &RequestJob, pass: Option<Token>, now: Micros) -> Reply {
        if let Some(wait) = self.gate(job).and_then(|gate| gate.ask(job.who, now)) {
            let answer = Answer::later(429, Duration::from_micros(wait.unsigned_abs()));
            return Reply { answer, cookie: Cookie::Kept, at: now + NETWORK };
        }
        let served = self.shop.serve(job, pass, now);
        if let Some(gate) = self.gate(job) {
            gate.passes(now + served.took);
        }
        let cookie = match pass.filter(|_| served.gives_back) {
            Some(pass) => {
                self.gateway.release(&pass, now + served.took);
                Cookie::Dropped
            }
            None => Cookie::Kept,
        };
        Reply { answer: served.answer, cookie, at: now + served.took + NETWORK }
    }

    /// The gate of a form, where there is one.
    fn gate(&mut self, job: &RequestJob) -> Option<&mut Gate> {
        let [order, payment] = &mut self.gates;
        match &job.request.ask {
            Ask::Order(_) => order.as_mut(),
            Ask::Payment(..) => payment.as_mut(),
            _ => None,
        }
    }

    fn in_line(&mut self, job: &RequestJob, ticket: &Token, cookie: Cookie, now: Micros) -> Reply {
        let is_page = job.request.ask == Ask::Item && self.scenario.habits.assets;
        let mut told = self.gateway.tell(ticket);
        if is_page {
            told.assets = ASSETS.map(Box::from).into();
        }
        Reply { answer: Answer { status: 200, shown: Content::Line(told), seen: None }, cookie, at: now + NETWORK }
    }

    /// A visitor reads an answer, and decides.
    fn hear(&mut self, job: &RequestJob, reply: Reply) {
        let Some(person) = self.population.person(job.who) else { return };
        let Reply { answer, cookie, at } = reply;
        let before = person.visitor.place();
        let foreign = person.keep(cookie, &self.gateway, at);
        person.note(job, &answer, at, &self.scenario);
        let counts = before != Place::Inside || answer.is_shop();
        self.watch.answered(Outcome {
            at,
            latency: Some(at - job.due).filter(|_| counts && answer.status < 500),
            failed: answer.status >= 500,
            place: Some(before).filter(|_| !job.request.attack),
        });
        if job.second {
            return;
        }
        let next = person.hear(at, Some(&answer), foreign.as_deref());
        self.watch.moved(at, before, Some(person.visitor.place()));
        self.population.go_on(job.who, next, at);
    }

    /// Ends the visits that are left, and puts the evidence together.
    fn finish(self, setup: &Setup, took: Micros) -> Evidence {
        let visits = self.population.go_home(took);
        let (timeline, most_visitors) = self.watch.timeline();
        let generator = Generator {
            name: "virtual time".into(),
            seconds: took as f64 / 1e6,
            threads: 1,
            most_visitors,
            most_memory: most_memory().unwrap_or(0),
            ..Generator::default()
        };
        let (shop, report, stages) = self.shop.close(took);
        Evidence {
            start_unix_us: setup.start_unix_us,
            took,
            visits,
            gateways: self.gateway.samples,
            shop,
            shop_report: Some(report),
            stages,
            timeline,
            generators: vec![generator],
            ..Evidence::default()
        }
    }
}

/// The gates of orders and of payments, where a purchase has stages.
fn gates(scenario: &Scenario) -> [Option<Gate>; 2] {
    let shop = &scenario.shop;
    widths(shop).map(|width| shop.has_stages().then(|| Gate::of(width)))
}

/// The gateway's view of a request.
fn intent(ask: &Ask) -> Intent {
    match ask {
        Ask::Item | Ask::Other => Intent::Page,
        Ask::Poll => Intent::Json,
        _ => Intent::Other,
    }
}

#[cfg(test)]
mod tests;
