//! The gateway of a launch: requests in, `admit`, answers out. Between them is the [`RoomQueue`] that is in production; here are its
//! mailbox, its timer and its way to the store, in virtual time.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use policy::Millis;
use policy::admit::{AdmitContext, Credential, Decision, Intent, PassState, admit};
use policy::line::{Batch, Revoked, View};
use policy::outlook::{FRESH, Wait};
use policy::queue::{Admission, LEASE_STEP, Op, RoomQueue, back_off};
use policy::room::Rules;
use policy::ticket::{Kind, Token};

use super::{Event, START, World, crowd};

/// Other gateways are listened to this often, and told of what begins here so soon after that.
const LISTEN: Millis = 250;
const TELL: Millis = 50;

/// A shopper and a tab.
pub type Tab = (u32, u8);

/// A request that waits for an answer.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    pub tab: Tab,
    /// The number that is claimed; a newcomer has none.
    pub number: Option<u64>,
    pub since: Millis,
}

#[derive(Debug)]
pub struct Gateway {
    incarnation: u32,
    queue: RoomQueue<Caller>,
    /// A line of which nothing is known.
    unknown: View,
    /// Requests that wait for an answer.
    open: BTreeMap<Tab, Caller>,
    /// The store does not answer this gateway.
    pub cut_until: Millis,
    /// When it was started, and when the store last answered.
    pub began: Millis,
    pub seen_at: Millis,
    pub paused_until: Millis,
    failures: u32,
    retry_at: Duration,
    /// When its events are; others that were planned for it are void.
    wakes: Millis,
    listens: Millis,
    lends: bool,
    /// Up to when it has heard of others, and from which store.
    heard: Millis,
    era: u64,
    revoked: HashMap<u64, Revoked>,
    /// Passes that came back, with their ends.
    confirmed: BTreeMap<u64, Millis>,
    provisional: u64,
}

/// A virtual instant on the clock of a queue.
fn at(now: Millis) -> Duration {
    Duration::from_millis(now)
}

fn millis(at: Duration) -> Millis {
    at.as_nanos().div_ceil(1_000_000) as Millis
}

impl Gateway {
    pub fn new(id: u32, rules: &Rules) -> Self {
        Self::begun(1_000 + id, rules, 0, 0)
    }

    fn begun(incarnation: u32, rules: &Rules, now: Millis, era: u64) -> Self {
        Self {
            incarnation,
            queue: RoomQueue::new(incarnation, rules.clone(), at(now)),
            unknown: View::default(),
            open: BTreeMap::new(),
            cut_until: 0,
            began: now,
            seen_at: now,
            paused_until: 0,
            failures: 0,
            retry_at: Duration::ZERO,
            wakes: Millis::MAX,
            listens: Millis::MAX,
            lends: false,
            heard: now,
            era,
            revoked: HashMap::new(),
            confirmed: BTreeMap::new(),
            provisional: 0,
        }
    }

    /// Store time, as far as this gateway knows; before the first answer, that of this machine.
    pub fn clock(&self, now: Millis) -> Millis {
        self.queue.store_time(at(now)).unwrap_or(START + now)
    }

    /// The line, as far as this gateway knows it.
    pub fn view(&self) -> &View {
        self.queue.view().unwrap_or(&self.unknown)
    }

    /// Whether the store has told where the line is.
    pub fn knows_line(&self) -> bool {
        self.queue.view().is_some()
    }

    /// Whether the store does not answer, as far as this gateway knows.
    pub fn is_away(&self) -> bool {
        self.queue.is_away()
    }

    /// The position to tell, if there is one.
    pub fn position(&self, number: u64, now: Millis) -> Option<u64> {
        let fresh = now - self.seen_at < millis(FRESH);
        self.queue.view().filter(|_| fresh)?.position(number)
    }

    /// A place kept while the store is away.
    pub fn provisional(&mut self, now: Millis) -> Token {
        self.provisional += 1;
        self.queue.set_places_kept(self.provisional, at(now));
        Token::provisional(self.incarnation, self.provisional, self.clock(now))
    }

    fn state_of(&self, shown: &Token) -> PassState {
        match self.revoked.get(&shown.number) {
            Some(revoked) if !revoked.evicted => PassState::Revoked,
            Some(revoked) if shown.expires <= revoked.expires => PassState::Evicted,
            _ => PassState::Lives,
        }
    }
}

/// The room's verdict on a shopper who shows this.
pub fn decide(world: &mut World, id: u32, credential: Credential) -> Decision {
    let now = world.agenda.now;
    let gateway = &world.gateways[id as usize];
    let clock = gateway.clock(now);
    let pass = match credential {
        Credential::Sealed(token) => gateway.state_of(&token),
        _ => PassState::Lives,
    };
    if let Credential::Sealed(token) = credential
        && token.expires > clock
        && pass == PassState::Lives
        && gateway.queue.view().is_some_and(|view| view.lacks(&token))
    {
        ask(world, id, Op::Shown { token });
    }
    let queue = &world.gateways[id as usize].queue;
    let room = match &world.timetable {
        Some(timetable) => {
            timetable.room(queue.view().map(|view| view.utc), queue.utc(at(now)).unwrap_or(0), queue.is_away())
        }
        None => &world.room,
    };
    let context = AdmitContext {
        room,
        line: queue.view(),
        store_away: queue.is_away(),
        on_lease: queue.is_away() && queue.lives_on_lease(at(now)),
        shop_rests: false,
        now: clock,
        pass,
    };
    admit(context, credential, Intent::Page)
}

/// Something is asked of the line, and no request waits for it.
pub fn ask(world: &mut World, id: u32, op: Op<Caller>) {
    let now = world.agenda.now;
    let news = world.gateways[id as usize].queue.take(op, at(now));
    if news {
        listens_by(world, id, now + TELL);
    }
    plan(world, id);
}

/// A newcomer asks for a number.
pub fn join(world: &mut World, id: u32, tab: Tab, if_called: bool) {
    let reply = caller(world, id, tab, None);
    ask(world, id, Op::Join { if_called, reply });
}

/// The holder of a ticket asks for a pass.
pub fn claim(world: &mut World, id: u32, tab: Tab, number: u64) {
    let reply = caller(world, id, tab, Some(number));
    ask(world, id, Op::Claim { number, reply });
}

fn caller(world: &mut World, id: u32, tab: Tab, number: Option<u64>) -> Caller {
    let caller = Caller { tab, number, since: world.agenda.now };
    world.gateways[id as usize].open.insert(tab, caller);
    caller
}

/// A pass came back that had not before.
pub fn confirm(world: &mut World, id: u32, pass: &Token) {
    let known = world.gateways[id as usize].confirmed.insert(pass.number, pass.expires);
    if known.is_none_or(|known| known < pass.expires) {
        ask(world, id, Op::Confirm { number: pass.number });
    }
}

/// The operator has changed the room.
pub fn change(world: &mut World, id: u32) {
    let now = at(world.agenda.now);
    world.gateways[id as usize].queue.set_rules(&world.room.rules, now);
    plan(world, id);
}

/// The queue wakes up when it wants to.
fn plan(world: &mut World, id: u32) {
    let gateway = &mut world.gateways[id as usize];
    let due = millis(gateway.queue.next_wakeup()).max(world.agenda.now);
    if due < gateway.wakes {
        gateway.wakes = due;
        world.agenda.at(due, Event::Wake(id));
    }
}

fn listens_by(world: &mut World, id: u32, when: Millis) {
    let gateway = &mut world.gateways[id as usize];
    if when < gateway.listens {
        gateway.listens = when;
        world.agenda.at(when, Event::Listen(id));
    }
}

/// A gateway is there: it knows the line before it serves, if the store can be asked, and listens to others.
pub fn begin(world: &mut World, id: u32, listens: Millis) {
    flush(world, id);
    listens_by(world, id, listens);
}

/// An alarm that [`plan`] has set.
pub fn wake(world: &mut World, id: u32) {
    let now = world.agenda.now;
    let gateway = &mut world.gateways[id as usize];
    if now != gateway.wakes {
        return;
    }
    gateway.wakes = Millis::MAX;
    if now < gateway.paused_until {
        gateway.wakes = gateway.paused_until;
        return world.agenda.at(gateway.wakes, Event::Wake(id));
    }
    if at(now) >= gateway.queue.next_wakeup() {
        flush(world, id);
    }
    plan(world, id);
}

fn is_cut(world: &World, id: u32) -> bool {
    world.agenda.now < world.store.away_until.max(world.gateways[id as usize].cut_until)
}

/// Sends the batch and answers every request whose result is known.
fn flush(world: &mut World, id: u32) {
    let now = world.agenda.now;
    let (mut replies, cut) = (Vec::new(), is_cut(world, id));
    let gateway = &mut world.gateways[id as usize];
    let Some(call) = gateway.queue.batch(at(now), &mut replies) else { return };
    if cut {
        tell(world, id, replies);
        return fails(world, id);
    }
    let outcome = world.store.apply(&call.rules, &call.batch, now);
    world.watch.step(&call.batch, &outcome, &world.room, world.store.clock(now), now);
    world.table = outcome.view.poll_table(policy::pacer::PollTable::CALM, world.budget, &world.room.rules);
    gateway.seen_at = now;
    let Some(answered) = gateway.queue.answer(outcome, at(now), &mut replies) else { panic!("nothing was asked") };
    world.watch.remembers(gateway.queue.remembered(), now);
    gateway.revoked.extend(answered.revoked.iter().map(|revoked| (revoked.number, *revoked)));
    let told: Vec<u64> = gateway.confirmed.keys().copied().filter(|_| answered.lost).collect();
    for number in told {
        gateway.queue.take(Op::Confirm { number }, at(now));
    }
    if answered.tidies {
        let (clock, grace) = (gateway.view().now, world.room.rules.form_grace);
        gateway.confirmed.retain(|_, &mut expires| expires > clock);
        gateway.revoked.retain(|_, revoked| revoked.expires.saturating_add(grace) > clock);
    }
    for (number, expires) in answered.renewed {
        crowd::renewed(world, number, expires);
    }
    tell(world, id, replies);
    plan(world, id);
}

fn tell(world: &mut World, id: u32, replies: Vec<(Caller, Admission)>) {
    for (caller, admission) in replies {
        world.gateways[id as usize].open.remove(&caller.tab);
        crowd::hears(world, caller, admission);
    }
}

/// The store does not answer: it is left alone for a while, and the line moves on as far as the lease allows.
fn fails(world: &mut World, id: u32) {
    let (now, mut replies) = (at(world.agenda.now), Vec::new());
    let gateway = &mut world.gateways[id as usize];
    gateway.failures += 1;
    gateway.retry_at = now + back_off(gateway.incarnation, gateway.failures);
    // Renewals that failed: the next request with the pass asks again.
    drop(gateway.queue.unreachable(now, gateway.retry_at, &mut replies));
    tell(world, id, replies);
    lend(world, id);
    plan(world, id);
}

/// A step of a lease.
pub fn lend(world: &mut World, id: u32) {
    let (now, mut replies) = (world.agenda.now, Vec::new());
    let gateway = &mut world.gateways[id as usize];
    let paused = now < gateway.paused_until;
    let granted = if paused { None } else { gateway.queue.on_lease(at(now), &mut replies) }.unwrap_or_default();
    for &(number, expires) in &granted {
        world.watch.lends(number, expires, &world.room, world.store.clock(now), now);
    }
    tell(world, id, replies);
    let gateway = &mut world.gateways[id as usize];
    let left = gateway.open.values().filter_map(|caller| caller.number);
    let lowest_left = left.filter(|&number| gateway.view().segments.is_called(number)).min().unwrap_or(u64::MAX);
    let highest = granted.iter().map(|(number, _)| *number).max().unwrap_or(0);
    assert!(highest < lowest_left, "{highest} is granted by the lease before {lowest_left}");
    if gateway.queue.is_away() && gateway.queue.may_live_on_lease(at(now)) && !gateway.lends {
        gateway.lends = true;
        world.agenda.at(now + millis(LEASE_STEP), Event::Lend(id));
    }
}

/// The alarm of the next step.
pub fn lends(world: &mut World, id: u32) {
    if std::mem::take(&mut world.gateways[id as usize].lends) && world.gateways[id as usize].queue.is_away() {
        lend(world, id);
    }
}

/// Tells others whether something happens here, and hears the same of them.
pub fn listen(world: &mut World, id: u32) {
    let (now, cut) = (world.agenda.now, is_cut(world, id));
    let gateway = &mut world.gateways[id as usize];
    if now != gateway.listens {
        return;
    }
    gateway.listens = Millis::MAX;
    listens_by(world, id, now + LISTEN);
    let gateway = &mut world.gateways[id as usize];
    if now < gateway.paused_until || at(now) < gateway.retry_at {
        return;
    }
    if cut {
        return fails(world, id);
    }
    let stirs = gateway.queue.stirs(at(now));
    let others = world.stirring.iter().filter(|(other, _)| **other != id);
    let news = others.map(|(_, named)| *named).max() >= Some(gateway.heard);
    if stirs {
        world.stirring.insert(id, now);
    } else if news {
        gateway.queue.follow(at(now));
    }
    if std::mem::replace(&mut gateway.era, world.store.era) != world.store.era {
        gateway.queue.wake(at(now));
    }
    gateway.heard = now;
    plan(world, id);
}

/// A batch that the store hears, and whose answer is lost.
pub fn flush_unanswered(world: &mut World, id: u32) {
    let (now, mut replies, cut) = (world.agenda.now, Vec::new(), is_cut(world, id));
    let gateway = &mut world.gateways[id as usize];
    if cut || now < gateway.paused_until {
        return;
    }
    let Some(call) = gateway.queue.batch(at(now), &mut replies) else { return };
    // What is told again anyway is left out: here its time could not be told.
    let batch = Batch { renewals: Vec::new(), releases: Vec::new(), confirmed: Vec::new(), ..call.batch };
    let outcome = world.store.apply(&call.rules, &batch, now);
    world.watch.unanswered(&batch, &outcome, &world.room, world.store.clock(now), now);
    tell(world, id, replies);
    fails(world, id);
}

/// The last batch before a crash: applied, perhaps, but never confirmed.
pub fn flush_unconfirmed(world: &mut World, id: u32) {
    let now = world.agenda.now;
    if now >= world.store.away_until
        && let Some(call) = world.gateways[id as usize].queue.batch(at(now), &mut Vec::new())
    {
        world.store.apply_and_die(&call.rules, &call.batch, now);
    }
}

/// A killed gateway comes back: open requests are cut, and their senders try again.
pub fn restart(world: &mut World, id: u32) {
    let now = world.agenda.now;
    let incarnation = world.gateways[id as usize].incarnation + 100;
    let fresh = Gateway::begun(incarnation, &world.room.rules, now, world.store.era);
    let old = std::mem::replace(&mut world.gateways[id as usize], fresh);
    for tab in old.open.into_keys() {
        crowd::tries_again(world, tab);
    }
    begin(world, id, now + LISTEN);
}

/// The speed by which polls are spread: a line that stands may move at its rate at any moment.
pub fn pace(world: &World, view: &View) -> f64 {
    view.pace(&world.room.rules)
}

/// A ticket whose holder was numbered while away, or the one it showed.
pub fn numbered(token: Token, now: Millis) -> Token {
    if token.kind == Kind::Ticket && token.wants_refresh(now) {
        return Token::ticket(token.number, now);
    }
    token
}

/// The range shown with so many tickets until the call.
pub fn range(world: &World, id: u32, ahead: u64) -> Option<Wait> {
    world.gateways[id as usize].queue.view()?.outlook(&world.room.rules).wait(ahead)
}
