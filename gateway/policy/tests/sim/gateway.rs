//! The gateway of a launch: requests in, `admit`, batches to the store, answers out.
//!
//! A claim of a called ticket is held for up to [`HOLD`] and named again in every batch until it is
//! granted. A join is held too while its wait is short. Joins and claims are gathered for [`GATHER`].

use std::collections::{BTreeMap, HashMap};

use policy::Millis;
use policy::admit::{Credential, Decision, Intent, PassState, Scene, admit};
use policy::lease::Lending;
use policy::line::{Adopt, Batch, Grant, Memory, Outcome, Restore, Revoked, Segments, View};
use policy::ticket::{Kind, Token};

use super::{Event, World, crowd};

/// Not the same for all: many who came at once must not all be away at once.
const HOLD: std::ops::Range<Millis> = 1_900..2_500;
const HELD_WAIT: f64 = 0.5;
const GATHER: Millis = 4;

/// Who waits for an answer at a held request.
pub type Tab = (u32, u8);

#[derive(Debug)]
pub struct Gateway {
    run: u32,
    pub view: View,
    memory: Memory,
    lending: Lending,
    /// The line as last answered, and its speed.
    answered: (Segments, f64),
    /// The store does not answer this gateway.
    pub cut_until: Millis,
    pub seen_at: Millis,
    pub paused_until: Millis,
    flush_planned: bool,
    joins: Vec<Tab>,
    joins_if_called: Vec<Tab>,
    held: BTreeMap<u64, Vec<(Tab, Millis)>>,
    pub renewals: Vec<(u64, Millis)>,
    pub releases: Vec<u64>,
    pub confirmed: Vec<u64>,
    revoked: HashMap<u64, Revoked>,
    revocations_seen: u64,
    provisional: u64,
    adopted: u64,
    /// Places kept by other runs whose holders came here: the last of each.
    orphans: BTreeMap<u32, u64>,
}

impl Gateway {
    pub fn new(id: u32, view: View) -> Self {
        Self {
            run: 1_000 + id,
            view,
            memory: Memory::default(),
            lending: Lending::default(),
            answered: Default::default(),
            cut_until: 0,
            seen_at: 0,
            paused_until: 0,
            flush_planned: false,
            joins: Vec::new(),
            joins_if_called: Vec::new(),
            held: BTreeMap::new(),
            renewals: Vec::new(),
            releases: Vec::new(),
            confirmed: Vec::new(),
            revoked: HashMap::new(),
            revocations_seen: 0,
            provisional: 0,
            adopted: 0,
            orphans: BTreeMap::new(),
        }
    }

    /// Store time, as far as this gateway knows.
    pub fn clock(&self, now: Millis) -> Millis {
        self.view.now + (now - self.seen_at)
    }

    /// The position that is told, if one can be.
    pub fn position(&self, number: u64) -> Option<u64> {
        self.view.position(number)
    }

    /// A place kept while the store is away.
    pub fn provisional(&mut self, now: Millis) -> Token {
        self.provisional += 1;
        Token::provisional(self.run, self.provisional, self.clock(now))
    }

    /// Somebody shows a place that was kept elsewhere, or before this gateway was killed.
    pub fn adopt(&mut self, kept: Token) {
        let last = self.orphans.entry(kept.run).or_default();
        *last = kept.number.max(*last);
    }

    pub fn hold(&mut self, number: u64, tab: Tab, since: Millis) {
        self.held.entry(number).or_default().push((tab, since));
    }

    pub fn release(&mut self, number: u64, token: Option<Token>) {
        if let Some(token) = token {
            self.memory.returned(&token);
        }
        self.releases.push(number);
    }

    fn state_of(&self, shown: &Token) -> PassState {
        match self.revoked.get(&shown.number) {
            Some(revoked) if !revoked.evicted => PassState::Revoked,
            Some(revoked) if shown.expires <= revoked.expires => PassState::Evicted,
            _ => PassState::Lives,
        }
    }

    fn batch(&mut self, now: Millis) -> Batch {
        let own = Adopt { run: self.run, first: self.adopted + 1, count: self.provisional - self.adopted };
        let mut orphans = || self.orphans.pop_first().map(|(run, last)| Adopt { run, first: 1, count: last });
        let adopt = if own.count > 0 { Some(own) } else { orphans() };
        let (seen, restore) = self.memory.recall();
        let (lease, lent) = self.lending.recall();
        let on_lease = self.lending.is_on(self.clock(now));
        Batch {
            gateway: self.run,
            shop_rests: false,
            seen,
            restore: Restore { lent, ..restore },
            lease,
            adopt,
            joins: self.joins.len() as u64,
            joins_if_called: self.joins_if_called.len() as u64,
            claims: self.held.keys().filter(|_| !on_lease).copied().collect(),
            renewals: std::mem::take(&mut self.renewals),
            confirmed: std::mem::take(&mut self.confirmed),
            releases: std::mem::take(&mut self.releases),
            revocations_seen: self.revocations_seen,
            arrivals: Vec::new(),
            visits: 0,
        }
    }
}

/// What the room says to a shopper who shows this.
pub fn decide(world: &mut World, gateway: u32, credential: Credential) -> Decision {
    let now = world.agenda.now;
    let gateway = &mut world.gateways[gateway as usize];
    if let Credential::Sealed(token) = credential
        && token.expires > gateway.clock(now)
        && gateway.view.lacks(&token)
    {
        gateway.memory.shown(&token);
    }
    let pass = match credential {
        Credential::Sealed(token) => gateway.state_of(&token),
        _ => PassState::Lives,
    };
    let store_away = now < world.store.away_until || now < gateway.cut_until;
    let clock = gateway.clock(now);
    let scene = Scene {
        room: &world.room,
        line: Some(&gateway.view),
        store_away,
        on_lease: store_away && gateway.lending.is_on(clock),
        shop_rests: false,
        now: clock,
        pass,
    };
    admit(scene, credential, Intent::Page)
}

pub fn join(world: &mut World, gateway: u32, tab: Tab, if_called: bool) {
    let gateway = &mut world.gateways[gateway as usize];
    if if_called { gateway.joins_if_called.push(tab) } else { gateway.joins.push(tab) }
}

/// Plans a batch for what was gathered.
pub fn gather(world: &mut World, gateway: u32) {
    let when = world.agenda.now + GATHER;
    if !std::mem::replace(&mut world.gateways[gateway as usize].flush_planned, true) {
        world.agenda.at(when, Event::Flush(gateway));
    }
}

/// Sends the batch and answers everybody whose answer is known.
pub fn flush(world: &mut World, id: u32) {
    let now = world.agenda.now;
    let gateway = &mut world.gateways[id as usize];
    gateway.flush_planned = false;
    if now < gateway.paused_until {
        return;
    }
    if now < world.store.away_until || now < gateway.cut_until {
        return let_go(world, id);
    }
    let batch = gateway.batch(now);
    let outcome = world.store.apply(&world.room.rules, &batch, now);
    world.gateways[id as usize].memory.note(&batch.releases, &outcome);
    world.watch.step(&batch, &outcome, &world.room, world.store.clock(now), now);
    let gateway = &mut world.gateways[id as usize];
    gateway.adopted = gateway.provisional;
    gateway.lending.note(outcome.lease, outcome.view.now);
    gateway.answered = (outcome.view.segments.clone(), policy::lease::speed(&outcome.view, &world.room.rules));
    let before = std::mem::replace(&mut gateway.view, outcome.view.clone());
    gateway.view.follow(&before);
    gateway.seen_at = now;
    gateway.revoked.extend(outcome.revoked.iter().map(|revoked| (revoked.number, *revoked)));
    gateway.revocations_seen = outcome.revocations_seen;
    gateway.memory.tidy(&outcome.view);
    world.table = outcome.view.poll_table(policy::drain::PollTable::CALM, world.budget, &world.room.rules);
    for &(number, expires) in &outcome.renewed {
        crowd::renewed(world, number, expires);
    }
    let grants: HashMap<u64, Grant> = outcome.grants.iter().copied().collect();
    seat_joins(world, id, &outcome);
    answer_held(world, id, &grants);
}

/// The speed by which polls are spread: a line that stands may move at its rate at any moment.
pub fn pace(world: &World, view: &View) -> f64 {
    view.pace(&world.room.rules)
}

/// Gives the new numbers to those who asked; they are held like claims until the answer is known.
fn seat_joins(world: &mut World, id: u32, outcome: &Outcome) {
    let now = world.agenda.now;
    let gateway = &mut world.gateways[id as usize];
    let if_called = std::mem::take(&mut gateway.joins_if_called);
    let (lucky, turned_away) = if_called.split_at(outcome.joined_if_called as usize);
    let joins = std::mem::take(&mut gateway.joins);
    let numbers = outcome.first..;
    let seated: Vec<(u64, Tab)> = numbers.zip(lucky.iter().chain(&joins).copied()).collect();
    for &(person, _) in turned_away {
        crowd::turned_away(world, person);
    }
    for (number, tab) in seated {
        world.watch.given(number, tab.0, now);
        crowd::takes_number(world, tab.0, number, &outcome.view);
        world.gateways[id as usize].hold(number, tab, now);
    }
}

fn answer_held(world: &mut World, id: u32, grants: &HashMap<u64, Grant>) {
    let now = world.agenda.now;
    let held = std::mem::take(&mut world.gateways[id as usize].held);
    for (number, tabs) in held {
        for (tab, since) in tabs {
            match grants.get(&number) {
                Some(&Grant::Pass { expires, .. }) => crowd::gets_pass(world, tab, number, expires),
                Some(Grant::Spent) => crowd::is_spent(world, tab.0, number),
                _ if now < since + hold(number, since) && is_near(world, id, number) => {
                    world.gateways[id as usize].hold(number, tab, since);
                }
                _ => crowd::waits(world, tab),
            }
        }
    }
}

/// How long a claim is held.
fn hold(number: u64, since: Millis) -> Millis {
    HOLD.start + (number * 37 + since * 101) % (HOLD.end - HOLD.start)
}

/// Whether an answer is so near that the request is held for it.
fn is_near(world: &World, id: u32, number: u64) -> bool {
    let gateway = &world.gateways[id as usize];
    let position = gateway.view.segments.ahead_of(number);
    position == 0 || (position as f64) < HELD_WAIT * pace(world, &gateway.view)
}

/// The store is away: newcomers keep a provisional place, claims that were held too long wait.
fn let_go(world: &mut World, id: u32) {
    let now = world.agenda.now;
    let gateway = &mut world.gateways[id as usize];
    let joins: Vec<Tab> = gateway.joins_if_called.drain(..).chain(gateway.joins.drain(..)).collect();
    for (person, tab) in joins {
        world.agenda.at(now, Event::Request { person, tab });
    }
    let grants = lend(world, id);
    answer_held(world, id, &grants);
}

/// Moves the line on as far as the gateway's lease allows, and answers claims.
fn lend(world: &mut World, id: u32) -> HashMap<u64, Grant> {
    let now = world.agenda.now;
    let gateway = &mut world.gateways[id as usize];
    let clock = gateway.clock(now);
    if !gateway.lending.is_on(clock) {
        return HashMap::new();
    }
    let called = gateway.lending.called(&gateway.answered.0, gateway.answered.1, clock);
    let claims: Vec<u64> = gateway.held.keys().copied().filter(|&number| called.is_called(number)).collect();
    let known = claims
        .iter()
        .filter_map(|&number| Some((number, gateway.memory.standing_of(&world.room.rules, number, clock)?)));
    let mut grants: HashMap<u64, Grant> = known.collect();
    let claimants: Vec<u64> = claims.into_iter().filter(|number| !grants.contains_key(number)).collect();
    let granted = gateway.lending.grant(&world.room.rules, claimants, clock);
    gateway.memory.lent(&granted, &called);
    gateway.view.segments = called;
    for &(number, expires) in &granted {
        world.watch.lends(number, expires, &world.room, world.store.clock(now), now);
    }
    grants.extend(granted.into_iter().map(|(number, expires)| (number, Grant::Pass { expires, admitted: clock })));
    grants
}

/// A batch that the store hears, and whose answer is lost.
pub fn flush_unanswered(world: &mut World, id: u32) {
    let now = world.agenda.now;
    let gateway = &mut world.gateways[id as usize];
    if now >= world.store.away_until && now >= gateway.cut_until && now >= gateway.paused_until {
        // What is asked again anyway is left out: here nobody could tell when it happened.
        let (renewals, releases) = (std::mem::take(&mut gateway.renewals), std::mem::take(&mut gateway.releases));
        let confirmed = gateway.confirmed.clone();
        let batch = gateway.batch(now);
        (gateway.renewals, gateway.releases, gateway.confirmed) = (renewals, releases, confirmed);
        let outcome = world.store.apply(&world.room.rules, &batch, now);
        world.watch.unanswered(&batch, &outcome, &world.room, world.store.clock(now), now);
    }
}

/// The last batch before a crash: applied, perhaps, but never confirmed.
pub fn flush_unconfirmed(world: &mut World, id: u32) {
    let now = world.agenda.now;
    if now >= world.store.away_until {
        let batch = world.gateways[id as usize].batch(now);
        world.store.apply_and_die(&world.room.rules, &batch, now);
    }
}

/// A killed gateway comes back: open requests are cut, and their senders try again.
pub fn restart(world: &mut World, id: u32) {
    let now = world.agenda.now;
    let fresh = Gateway { run: world.gateways[id as usize].run + 100, ..Gateway::new(id, world.store.line.view()) };
    let old = std::mem::replace(&mut world.gateways[id as usize], fresh);
    world.gateways[id as usize].seen_at = now;
    let cut = old.joins.iter().chain(&old.joins_if_called).copied();
    let cut: Vec<Tab> = cut.chain(old.held.into_values().flatten().map(|(tab, _)| tab)).collect();
    for tab in cut {
        crowd::tries_again(world, tab);
    }
}

/// A ticket whose holder was numbered while away, or the one it showed.
pub fn numbered(token: Token, now: Millis) -> Token {
    if token.kind == Kind::Ticket && token.wants_refresh(now) {
        return Token::ticket(token.number, now);
    }
    token
}

/// The range shown with so many tickets until the call.
pub fn range(world: &World, id: u32, ahead: u64) -> Option<policy::outlook::Wait> {
    let view = &world.gateways[id as usize].view;
    view.outlook(&world.room.rules).wait(ahead)
}
