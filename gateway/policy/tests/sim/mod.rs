//! A launch in virtual time: the real policy code, its queues of rooms among it, and a made-up crowd around it.
//!
//! - [`crowd`]: shoppers, each a small state machine that does as it is told, or does not
//! - [`gateway`]: a queue as in production, with a mailbox, a timer and a way to the store
//! - [`store`]: the line with its journal, clock, restarts, outages and losses
//! - [`watch`]: the view from outside: every promise checked after each step
//! - [`figures`]: the results of a launch, in numbers
//!
//! [`World::run`] moves time in steps of a millisecond. Nothing here reads a clock, and every choice
//! comes from the seed of the [`Plan`]: the same seed is the same launch.

#![allow(unreachable_pub, reason = "modules of a test")]

pub mod crowd;
pub mod figures;
pub mod gateway;
pub mod store;
pub mod watch;

use std::collections::BTreeMap;

use policy::Millis;
use policy::cap::Cap;
use policy::event::{self, Times, Timetable};
use policy::pacer::PollTable;
use policy::queue::Op;
use policy::room::{Room, Rules};
use policy::stock::StockLevel;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use crowd::{Habit, Person};
use gateway::Gateway;
use store::Store;
use watch::Watch;

/// Store time at which every launch begins.
pub const START: Millis = 1_800_000_000_000;

/// Faults of the machinery in mid-launch.
#[derive(Debug, Clone)]
pub enum Upset {
    /// The process is killed and started again; the last commit may be torn away before it was confirmed.
    Restart { torn: bool },
    /// One gateway does nothing for so long.
    Pause(u32, Millis),
    /// The store does not answer for so long.
    Away(Millis),
    /// The store does not answer one gateway for so long; its last batch may be heard and not answered.
    Cut(u32, Millis, bool),
    /// One gateway is killed and started again.
    Kill(u32),
    /// The store's clock moves by so much at once.
    Jump(i64),
    /// Another server takes over as the store, and has only what was written so long ago.
    Lose(Millis),
    /// The store has lost everything.
    Flush,
    /// The operator changes the room.
    Change(Box<Room>),
    /// One gateway hears of a cap on the rate.
    Cap(u32, Cap),
    /// One gateway hears of the stock.
    Stock(u32, StockLevel),
}

/// A whole launch, as data.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Seed of every choice that is not written here.
    pub seed: u64,
    /// The room at first.
    pub room: Room,
    /// Its events, in store time; in them it is as it is without, but for their pre-queues.
    pub events: Vec<Times>,
    /// Gateways.
    pub gateways: u32,
    /// A person's requests all come to one gateway; else to any.
    pub sticky: bool,
    /// The crowd: when each arrives, and what it does.
    pub crowd: Vec<Person>,
    /// The faults, by virtual time.
    pub upsets: Vec<(Millis, Upset)>,
    /// Polls per second of the whole line.
    pub budget: f64,
    /// A forger tries worthless tokens, once a second.
    pub forger: bool,
    /// The launch must be over by then.
    pub end: Millis,
}

impl Plan {
    /// One gateway, no shopper, and nothing goes wrong.
    pub fn calm(seed: u64, rules: Rules) -> Self {
        Self {
            seed,
            room: Room::new(rules),
            events: Vec::new(),
            gateways: 1,
            sticky: true,
            crowd: Vec::new(),
            upsets: Vec::new(),
            budget: f64::INFINITY,
            forger: false,
            end: 3_600_000,
        }
    }
}

/// Rules of so many new shoppers per second.
pub fn per_second(rate: f64) -> Rules {
    Rules { rate, burst: rate.max(1.0), ..Rules::per_minute(60) }
}

/// An event at some millisecond.
#[derive(Debug, Clone, Copy)]
pub enum Event {
    /// A tab of a person sends a request.
    Request { person: u32, tab: u8 },
    /// A gateway may be due to send its batch.
    Wake(u32),
    /// A gateway listens to the others.
    Listen(u32),
    /// A gateway takes a step on its lease.
    Lend(u32),
    /// An entry of [`Plan::upsets`].
    Upset(u32),
    /// The forger tries again.
    Forge,
}

/// Events by millisecond, in a ring.
#[derive(Debug)]
pub struct Agenda {
    ring: Vec<Vec<(Millis, Event)>>,
    pub now: Millis,
}

impl Agenda {
    const RING: usize = 1 << 17;

    fn new() -> Self {
        Self { ring: vec![Vec::new(); Self::RING], now: 0 }
    }

    /// Plans an event; the past is now.
    pub fn at(&mut self, when: Millis, event: Event) {
        let when = when.max(self.now);
        // An event further away than the ring is long is looked at once per turn.
        let slot = when.min(self.now + Self::RING as Millis - 1);
        self.ring[slot as usize % Self::RING].push((when, event));
    }

    /// The events of this millisecond that have not happened; `None`: there are no more.
    fn due(&mut self) -> Option<Vec<Event>> {
        let slot = std::mem::take(&mut self.ring[self.now as usize % Self::RING]);
        let mut events = Vec::with_capacity(slot.len());
        for (when, event) in slot {
            if when <= self.now { events.push(event) } else { self.later(when, event) }
        }
        (!events.is_empty()).then_some(events)
    }

    fn later(&mut self, when: Millis, event: Event) {
        let slot = when.min(self.now + Self::RING as Millis - 1);
        self.ring[slot as usize % Self::RING].push((when, event));
    }
}

/// Everything there is.
pub struct World {
    pub agenda: Agenda,
    pub rng: SmallRng,
    /// The room outside events; its rules have those of its events scheduled.
    pub room: Room,
    /// The room by time, if it has events.
    pub timetable: Option<Timetable>,
    events: Vec<Times>,
    pub table: PollTable,
    pub budget: f64,
    pub crowd: Vec<Person>,
    pub gateways: Vec<Gateway>,
    /// Gateways at which something happened, and when they last said so.
    pub stirring: BTreeMap<u32, Millis>,
    pub store: Store,
    pub watch: Watch,
    upsets: Vec<(Millis, Upset)>,
    end: Millis,
    /// People who may still do something.
    pub open: usize,
}

impl World {
    /// Runs a launch to its end, and returns what was seen.
    pub fn run(plan: Plan) -> Self {
        let mut world = Self::new(plan);
        for id in 0..world.gateways.len() as u32 {
            let listens = world.rng.random_range(0..250);
            gateway::begin(&mut world, id, listens);
        }
        while world.open > 0 {
            assert!(world.agenda.now < world.end, "{} people are left over: {:?}", world.open, world.left_over());
            // An event may plan more for the same millisecond.
            while let Some(events) = world.agenda.due() {
                for event in events {
                    world.handle(event);
                }
            }
            world.agenda.now += 1;
        }
        world
    }

    fn new(plan: Plan) -> Self {
        let mut agenda = Agenda::new();
        let rng = SmallRng::seed_from_u64(plan.seed);
        for (index, person) in plan.crowd.iter().enumerate() {
            agenda.at(person.arrives, Event::Request { person: index as u32, tab: 0 });
        }
        for (index, (when, _)) in plan.upsets.iter().enumerate() {
            agenda.at(*when, Event::Upset(index as u32));
        }
        if plan.forger {
            agenda.at(500, Event::Forge);
        }
        let replicated = plan.upsets.iter().any(|(_, upset)| matches!(upset, Upset::Lose(_)));
        let store = Store::new(START, replicated);
        let (room, timetable) = by_time(plan.room, &plan.events);
        let mut watch = Watch::new(&room, plan.crowd.len(), START);
        watch.roams = !plan.sticky;
        let gateways = (0..plan.gateways).map(|id| Gateway::new(id, &room.rules)).collect();
        Self {
            agenda,
            rng,
            room,
            timetable,
            events: plan.events,
            table: PollTable::CALM,
            budget: plan.budget,
            open: plan.crowd.len(),
            crowd: plan.crowd,
            gateways,
            stirring: BTreeMap::new(),
            store,
            watch,
            upsets: plan.upsets,
            end: plan.end,
        }
    }

    fn handle(&mut self, event: Event) {
        let now = self.agenda.now;
        match event {
            Event::Request { person, tab } => crowd::request(self, person, tab),
            Event::Wake(gateway) => gateway::wake(self, gateway),
            Event::Listen(gateway) => gateway::listen(self, gateway),
            Event::Lend(gateway) => gateway::lends(self, gateway),
            Event::Upset(index) => self.upset(index),
            Event::Forge => {
                crowd::forge(self);
                self.agenda.at(now + 1_000, Event::Forge);
            }
        }
    }

    fn upset(&mut self, index: u32) {
        let now = self.agenda.now;
        let upset = self.upsets[index as usize].1.clone();
        match upset {
            Upset::Pause(gateway, time) => self.gateways[gateway as usize].paused_until = now + time,
            Upset::Away(time) => self.store.away_until = now + time,
            Upset::Cut(gateway, time, unanswered) => {
                if unanswered {
                    gateway::flush_unanswered(self, gateway);
                }
                self.gateways[gateway as usize].cut_until = now + time;
            }
            Upset::Kill(gateway) => {
                self.watch.killed = true;
                gateway::restart(self, gateway);
            }
            Upset::Cap(gateway, cap) => gateway::ask(self, gateway, Op::Cap { cap }),
            Upset::Stock(gateway, level) => gateway::ask(self, gateway, Op::Stock { level }),
            Upset::Jump(by) => self.store.jump(by),
            Upset::Lose(back) => {
                self.store.lose(now, back);
                self.wake();
            }
            Upset::Flush => {
                self.store.flush(now);
                self.wake();
            }
            Upset::Change(room) => {
                (self.room, self.timetable) = by_time(*room, &self.events);
                self.watch.change(&self.room, self.store.clock(now));
                (0..self.gateways.len() as u32).for_each(|gateway| gateway::change(self, gateway));
            }
            Upset::Restart { torn } => {
                if torn {
                    gateway::flush_unconfirmed(self, 0);
                }
                self.store.restart(now);
                for gateway in 0..self.gateways.len() as u32 {
                    gateway::restart(self, gateway);
                }
            }
        }
    }

    /// Wakes the gateways: the ones that know the lost writes are there to tell the store.
    fn wake(&mut self) {
        // A gateway that was cut off tells what it knows when it is back, and all do when the store is.
        let told = self
            .gateways
            .iter()
            .map(|gateway| gateway.cut_until)
            .fold(self.agenda.now.max(self.store.away_until), Millis::max);
        let (knows, took) = (|number| self.store.knows_pass_of(number), |number| self.store.took_seat_of(number));
        self.watch.loss(told, knows, took);
        for gateway in &mut self.gateways {
            gateway.paused_until = 0;
        }
    }

    fn left_over(&self) -> Vec<(usize, &Person)> {
        self.crowd.iter().enumerate().filter(|(_, p)| !p.is_gone()).take(3).collect()
    }

    /// The way from a shopper to the gateway, or back.
    pub fn network(&mut self) -> Millis {
        self.rng.random_range(15..90)
    }
}

/// The room with the rules of its events scheduled, and by time.
fn by_time(room: Room, events: &[Times]) -> (Room, Option<Timetable>) {
    if events.is_empty() {
        return (room, None);
    }
    let event = |times: &Times| event::Event {
        name: String::new(),
        times: *times,
        prequeue_active_users: false,
        room: room.clone(),
    };
    let timetable = Timetable::new(&room, events.iter().map(event).collect());
    (Room { rules: timetable.rules(), ..room }, Some(timetable))
}

/// A crowd of so many, arriving evenly between two instants; each drawn by `draw(place in the crowd 0..1)`.
pub fn crowd_between(
    rng: &mut SmallRng,
    count: usize,
    (from, to): (Millis, Millis),
    mut draw: impl FnMut(&mut SmallRng, f64) -> Habit,
) -> Vec<Person> {
    (0..count)
        .map(|i| {
            let place = i as f64 / count as f64;
            let arrives = from + ((to - from) as f64 * place) as Millis;
            Person::new(arrives, draw(rng, place))
        })
        .collect()
}
