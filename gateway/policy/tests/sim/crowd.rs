//! The crowd of a launch: each shopper is a small state machine.

use policy::Millis;
use policy::admit::{Credential, Refusal, Verdict};
use policy::line::segment::{GIVEN, base_of};
use policy::queue::{Admission, Op};
use policy::room::QueueingMethod;
use policy::seal::Rejected;
use policy::ticket::{Kind, Token};
use rand::Rng as _;

use super::gateway::{self, Caller, Tab};
use super::{Event, START, World};

/// The behaviour of a ticket holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// Polls as told.
    Told,
    /// Never seen again.
    Absent,
    /// The tab is hidden: polls once a minute at most.
    Hidden,
    /// Away until this instant.
    Late(Millis),
    /// Leaves by the button after waiting so long.
    Impatient(Millis),
    /// The same ticket in two tabs.
    TwoTabs,
    /// Took the ticket only so that others find the line longer: polls as told and never claims.
    Stuffs,
}

/// How a shopper leaves the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The pass runs out.
    Silent,
    /// By the button, or by a purchase: the pass is given back.
    GivesBack,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Outside,
    Waiting,
    Inside { until: Millis },
    GaveBack { at: Millis },
    Gone,
}

/// A shopper.
#[derive(Debug, Clone)]
pub struct Person {
    pub arrives: Millis,
    pub habit: Habit,
    /// How long this person stays in the shop; 0: the launch does not look beyond the door.
    pub stay: Millis,
    pub exit: Exit,
    /// How long it reads the first page before it asks for another.
    pub reads: Millis,
    cookie: Option<Token>,
    state: State,
    position: Option<u64>,
    /// The gateway that a balancer chose for the last request.
    gateway: u32,
    tries: u32,
}

impl Person {
    pub fn new(arrives: Millis, habit: Habit) -> Self {
        Self {
            arrives,
            habit,
            stay: 0,
            exit: Exit::Silent,
            reads: 50,
            cookie: None,
            state: State::Outside,
            position: None,
            gateway: 0,
            tries: 0,
        }
    }

    #[must_use]
    pub fn staying(self, stay: Millis, exit: Exit) -> Self {
        Self { stay, exit, ..self }
    }

    /// Has the code of the `nth` place that an operator gave, and comes with the ticket of it.
    #[must_use]
    pub fn with_code(self, nth: u64) -> Self {
        Self { cookie: Some(Token::ticket(GIVEN + nth, START)), ..self }
    }

    /// Reads the first page for so long before the next request.
    #[must_use]
    pub fn reading(self, reads: Millis) -> Self {
        Self { reads, ..self }
    }

    pub fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    /// Whether this person must be let in before the launch is over.
    pub fn must_enter(&self) -> bool {
        !matches!(self.habit, Habit::Absent | Habit::Impatient(_) | Habit::Stuffs)
    }
}

fn gateway_of(world: &World, person: u32) -> u32 {
    world.crowd[person as usize].gateway
}

/// The balancer chooses a gateway: the same for a person each time, but any for one who waits in one tab and roams.
fn balance(world: &mut World, person: u32) -> u32 {
    let gateways = world.gateways.len() as u32;
    let shopper = &mut world.crowd[person as usize];
    shopper.gateway = if !world.watch.roams || shopper.state != State::Waiting || shopper.habit == Habit::TwoTabs {
        person % gateways
    } else {
        world.rng.random_range(0..gateways)
    };
    shopper.gateway
}

fn gone(world: &mut World, person: u32) {
    let state = &mut world.crowd[person as usize].state;
    if *state != State::Gone {
        *state = State::Gone;
        world.open -= 1;
    }
}

fn again(world: &mut World, (person, tab): Tab, after: Millis) {
    let when = world.agenda.now + after;
    world.agenda.at(when, Event::Request { person, tab });
}

/// A connection was cut: as a browser does, ask again soon.
pub fn tries_again(world: &mut World, tab: Tab) {
    let after = world.rng.random_range(200..1_000);
    again(world, tab, after);
}

/// A tab sends a request.
pub fn request(world: &mut World, person: u32, tab: u8) {
    let now = world.agenda.now;
    let id = balance(world, person);
    let gateway = &world.gateways[id as usize];
    if now < gateway.paused_until {
        let when = gateway.paused_until + world.rng.random_range(0..60);
        return world.agenda.at(when, Event::Request { person, tab });
    }
    let shopper = &world.crowd[person as usize];
    match shopper.state {
        State::Gone => return,
        State::GaveBack { at } => return tries_what_was_given_back(world, person, at),
        State::Inside { until } if now >= until => return leaves_the_shop(world, person),
        _ => {}
    }
    let credential = shopper.cookie.map_or(Credential::None, Credential::Sealed);
    let (verdict, _) = gateway::decide(world, id, credential);
    world.watch.asked(now, matches!(verdict, Verdict::Wait(_)));
    act(world, (person, tab), verdict);
}

fn act(world: &mut World, tab: Tab, verdict: Verdict) {
    let (person, _) = tab;
    let id = gateway_of(world, person);
    match verdict {
        Verdict::Enter { pass, renew } => browses(world, tab, pass, renew),
        Verdict::Claim(_) if world.crowd[person as usize].habit == Habit::Stuffs => gone(world, person),
        Verdict::Claim(ticket) => {
            holds_ticket(world, person, ticket);
            claims(world, tab, ticket.number);
        }
        // The pass has run out: this visit is over.
        Verdict::Join | Verdict::JoinIfCalled | Verdict::JoinLater if world.watch.passed(person) => gone(world, person),
        Verdict::Join | Verdict::JoinIfCalled => {
            gateway::join(world, id, tab, verdict == Verdict::JoinIfCalled);
        }
        Verdict::JoinLater => keeps_a_place(world, tab),
        Verdict::Wait(ticket) => {
            holds_ticket(world, person, ticket);
            waits(world, tab);
        }
        Verdict::Open => {
            world.watch.let_through(person);
            gone(world, person);
        }
        Verdict::Confirm | Verdict::Arrive(_) => panic!("this room asks nobody to confirm"),
        Verdict::Preflight | Verdict::Late(_) | Verdict::Return | Verdict::Visit => {
            unreachable!("a page was asked for")
        }
        Verdict::Refuse(reason) => {
            assert_ne!(reason, Refusal::NeedsPass, "a page was asked for");
            refused(world, tab);
        }
    }
}

/// The result of a request that waited.
pub fn hears(world: &mut World, caller: Caller, admission: Admission) {
    let Caller { tab, number: claimed, since } = caller;
    let (person, _) = tab;
    match admission {
        Admission::Pass { number, expires, admitted } => {
            if claimed.is_none() {
                takes_number(world, person, number);
                world.watch.claims(person, since);
            }
            gets_pass(world, tab, number, expires, admitted);
        }
        Admission::Ticket(number) => {
            if claimed.is_none() {
                takes_number(world, person, number);
                if world.gateways[gateway_of(world, person) as usize].view().segments.is_called(number) {
                    world.watch.claims(person, since);
                }
            }
            waits(world, tab);
        }
        Admission::InRound { round, sequence } => {
            let now = world.gateways[gateway_of(world, person) as usize].clock(world.agenda.now);
            world.crowd[person as usize].cookie = Some(Token::provisional(round, sequence, now));
            again(world, tab, 3_000);
        }
        Admission::Spent => is_spent(world, person, claimed),
        Admission::Full => turned_away(world, person),
        Admission::Away if claimed.is_none() => keeps_a_place(world, tab),
        Admission::Away | Admission::Visit => panic!("{caller:?} is told {admission:?}"),
    }
}

/// The store is away, and the place is kept in the order of arrival.
fn keeps_a_place(world: &mut World, tab: Tab) {
    let (now, id) = (world.agenda.now, gateway_of(world, tab.0));
    world.crowd[tab.0 as usize].cookie = Some(world.gateways[id as usize].provisional(now));
    again(world, tab, 3_000);
}

fn refused(world: &mut World, tab: Tab) {
    let after = world.rng.random_range(2_000..8_000);
    again(world, tab, after);
}

/// `reject`: there is no line; some come back, and not for ever.
fn turned_away(world: &mut World, person: u32) {
    let shopper = &mut world.crowd[person as usize];
    shopper.tries += 1;
    if shopper.tries > 5 {
        world.watch.let_through(person);
        return gone(world, person);
    }
    refused(world, (person, 0));
}

fn claims(world: &mut World, (person, tab): Tab, number: u64) {
    let now = world.agenda.now;
    let id = gateway_of(world, person);
    world.watch.claims(person, now);
    gateway::claim(world, id, (person, tab), number);
    if world.crowd[person as usize].habit == Habit::TwoTabs && tab == 0 {
        again(world, (person, 1), 2);
    }
}

/// The first answer to a newcomer.
fn takes_number(world: &mut World, person: u32, number: u64) {
    let now = world.agenda.now;
    world.watch.given(number, person, now);
    let id = gateway_of(world, person);
    let ticket = Token::ticket(number, world.gateways[id as usize].clock(now));
    let shopper = &mut world.crowd[person as usize];
    shopper.cookie = Some(ticket);
    shopper.position = None;
    shopper.state = State::Waiting;
}

/// Keeps the ticket, and knows its number when a provisional one was numbered.
fn holds_ticket(world: &mut World, person: u32, ticket: Token) {
    let now = world.agenda.now;
    let id = gateway_of(world, person);
    if ticket.kind == Kind::Ticket {
        let ticket = gateway::numbered(ticket, world.gateways[id as usize].clock(now));
        let shopper = &world.crowd[person as usize];
        let comes_by_code = shopper.state == State::Outside && base_of(ticket.number) == GIVEN;
        if comes_by_code || shopper.cookie.is_some_and(|shown| shown.kind == Kind::Provisional) {
            world.watch.given(ticket.number, person, now);
        }
        world.crowd[person as usize].cookie = Some(ticket);
        world.crowd[person as usize].state = State::Waiting;
    } else if !world.gateways[id as usize].is_away() {
        gateway::ask(world, id, Op::Adopt { incarnation: ticket.incarnation, last: ticket.number });
    }
}

/// The answer to a poll: a position, a range, and when to ask again.
fn waits(world: &mut World, tab: Tab) {
    let now = world.agenda.now;
    let (person, _) = tab;
    let id = gateway_of(world, person);
    let habit = world.crowd[person as usize].habit;
    let Some(ticket) = world.crowd[person as usize].cookie.filter(|t| t.kind == Kind::Ticket) else {
        return again(world, tab, 3_000);
    };
    let position = world.gateways[id as usize].position(ticket.number, now);
    if let Some(position) = position
        && let Some(last) = world.crowd[person as usize].position.replace(position)
    {
        // Where every gateway that knew how far a lost line had come was killed, its tickets alone tell of it.
        assert!(position <= last || world.watch.killed, "the position of {person} grew from {last} to {position}");
    }
    let position = world.gateways[id as usize].view().segments.ahead_of(ticket.number);
    if world.room.rules.open {
        let range = gateway::range(world, id, position);
        world.watch.shown(person, now, range);
    }
    match habit {
        Habit::Absent => return gone(world, person),
        Habit::Impatient(patience) if now >= world.crowd[person as usize].arrives + patience => {
            return gives_back(world, person, ticket);
        }
        _ => {}
    }
    let pace = gateway::pace(world, world.gateways[id as usize].view());
    let told = world.table.after(position, pace);
    let told = (told * world.rng.random_range(850.0..1_150.0)) as Millis + world.network() + world.network();
    let after = match habit {
        Habit::Hidden => told.max(world.rng.random_range(55_000..65_000)),
        Habit::Late(until) => told.max(until.saturating_sub(now)),
        _ => told,
    };
    again(world, tab, after);
}

/// A claim was granted.
fn gets_pass(world: &mut World, tab: Tab, number: u64, expires: Millis, admitted: Millis) {
    let now = world.agenda.now;
    let (person, _) = tab;
    let id = gateway_of(world, person);
    world.watch.gets_pass(person, number, expires, now);
    let shopper = &mut world.crowd[person as usize];
    if matches!(shopper.state, State::Inside { .. } | State::Gone) {
        return;
    }
    if shopper.stay == 0 || shopper.habit == Habit::Absent {
        // The second tab of a shopper who is not followed further still gets its answer.
        return gone(world, person);
    }
    let pass = Token::new_pass(number, world.gateways[id as usize].view().now, expires);
    shopper.cookie = Some(Token { admitted, ..pass });
    shopper.state = State::Inside { until: now + shopper.stay };
    let reads = shopper.reads;
    again(world, (person, 0), reads);
}

fn browses(world: &mut World, tab: Tab, pass: Token, renew: bool) {
    let (person, number) = tab;
    let now = world.agenda.now;
    let id = gateway_of(world, person);
    assert!(pass.kind == Kind::Pass);
    let gateway = &world.gateways[id as usize];
    world.watch.enters(pass.number, gateway.clock(now), gateway.seen_at);
    if number != 0 {
        return;
    }
    if pass.is_new() {
        gateway::confirm(world, id, &pass);
        world.crowd[person as usize].cookie = Some(pass.confirmed());
    }
    if renew {
        gateway::ask(world, id, Op::Renew { number: pass.number, admitted: pass.admitted });
    }
    let State::Inside { until } = world.crowd[person as usize].state else {
        panic!("{person} enters without a pass");
    };
    let pause = world.rng.random_range(1_000..6_000).min(until.saturating_sub(now).max(1));
    again(world, (person, 0), pause);
}

/// A renewal was answered.
pub fn renewed(world: &mut World, number: u64, expires: Option<Millis>) {
    let Some(person) = world.watch.holder(number) else {
        return;
    };
    let now = world.gateways[gateway_of(world, person) as usize].view().now;
    let shopper = &mut world.crowd[person as usize];
    if let (State::Inside { .. }, Some(expires), Some(pass)) = (shopper.state, expires, shopper.cookie) {
        shopper.cookie = Some(Token { issued: now, expires, ..pass.confirmed() });
    }
}

fn leaves_the_shop(world: &mut World, person: u32) {
    let shopper = &world.crowd[person as usize];
    match shopper.cookie {
        Some(pass) if shopper.exit == Exit::GivesBack => gives_back(world, person, pass),
        _ => gone(world, person),
    }
}

fn gives_back(world: &mut World, person: u32, token: Token) {
    let now = world.agenda.now;
    let id = gateway_of(world, person);
    gateway::ask(world, id, Op::Release { token });
    world.crowd[person as usize].state = State::GaveBack { at: now };
    again(world, (person, 0), 500);
}

/// The shopper shows the pass or ticket once more that was given back: it must be worth nothing.
fn tries_what_was_given_back(world: &mut World, person: u32, at: Millis) {
    let now = world.agenda.now;
    let id = gateway_of(world, person);
    let Some(token) = world.crowd[person as usize].cookie else {
        return gone(world, person);
    };
    if world.watch.is_spent(token.number) {
        let (verdict, _) = gateway::decide(world, id, Credential::Sealed(token));
        assert!(!matches!(verdict, Verdict::Enter { .. }), "{token:?} was given back at {at} and enters at {now}");
        let ticket = Token::ticket(token.number, world.gateways[id as usize].clock(now));
        let (verdict, _) = gateway::decide(world, id, Credential::Sealed(ticket));
        if let Verdict::Claim(ticket) = verdict {
            return gateway::claim(world, id, (person, 0), ticket.number);
        }
    } else {
        let gateway = &world.gateways[id as usize];
        let heard = gateway.began <= at && gateway.seen_at > at;
        assert!(!heard, "{token:?} was given back at {at}, and at {} the line was not told", gateway.seen_at);
    }
    gone(world, person);
}

/// A claim of a ticket whose pass was used up or given back.
fn is_spent(world: &mut World, person: u32, claimed: Option<u64>) {
    assert!(claimed.is_some_and(|number| world.watch.is_spent(number)), "{claimed:?} of {person} was not spent");
    gone(world, person);
}

/// A forger shows a worthless token.
pub fn forge(world: &mut World) {
    let now = world.agenda.now;
    let id = world.rng.random_range(0..world.gateways.len() as u32);
    let gateway = &world.gateways[id as usize];
    if !gateway.knows_line() {
        return;
    }
    let (clock, open) = (gateway.clock(now), gateway.view().segments.open);
    let number = world.rng.random_range(open.base + 1..=open.next.max(open.base + 1));
    let worthless = [
        Credential::Bad(Rejected::Malformed),
        Credential::Bad(Rejected::Forged),
        Credential::Bad(Rejected::Foreign),
        Credential::Sealed(Token::pass(number, clock.saturating_sub(60_000), clock)),
        Credential::Sealed(Token { expires: clock, ..Token::ticket(number, clock) }),
    ];
    let passthrough = world.room.queueing_method == QueueingMethod::Passthrough;
    for credential in worthless {
        let (verdict, ignored) = gateway::decide(world, id, credential);
        assert!(ignored.is_some(), "{credential:?} counts");
        let nothing = match verdict {
            Verdict::Join | Verdict::JoinIfCalled | Verdict::JoinLater | Verdict::Refuse(_) => true,
            Verdict::Open => passthrough,
            // The line says what the number of an expired pass is worth.
            Verdict::Claim(_) => matches!(credential, Credential::Sealed(token) if token.kind == Kind::Pass),
            _ => false,
        };
        assert!(nothing, "{credential:?} leads to {verdict:?}");
    }
}
