//! The gateway of a simulated launch: `admit`, and the production queue of the room, on a store that answers at once
//! or, in an outage, not at all.
//!
//! Out of scope: a second gateway, a store that is slow or loses data.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use evidence::{GatewaySample, Micros};
use launch_model::scenario::Scenario;
use launch_model::visit::{Cookies, QueueInfo};
use policy::Millis;
use policy::admit::{AdmitContext, Credential, Intent, PassState, Verdict, admit};
use policy::event::{Event, Times, Timetable};
use policy::line::{Line, Revoked, View};
use policy::pacer::{PollTable, budget_for};
use policy::queue::{Admission, LEASE_STEP, Op, RoomQueue, back_off};
use policy::room::{FailMode, Room, Rules};
use policy::seal::{RoomId, Sealer};
use policy::ticket::{Kind, Token};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::request_job::RequestJob;
use super::setup::Setup;

/// Between two samples of the gateway's report on the room.
const SAMPLE: Micros = 100_000;
/// The gateway's number in the line, and in provisional tickets.
const RUN: u32 = 1;

/// An answer's effect on the cookie of the room.
#[derive(Debug)]
pub(super) enum Cookie {
    /// Nothing.
    Kept,
    /// It holds this.
    Set(Token),
    /// It is gone.
    Dropped,
    /// Nothing; that of another room holds this.
    Foreign(String),
}

/// The result of a request that waited.
pub(super) enum Entry {
    /// A pass.
    Pass(Token),
    /// A place, and the effect on the cookie.
    Place(Token, Cookie),
    /// The ticket was used up.
    Spent,
    /// No place.
    Refused,
}

/// The results of a moment.
#[derive(Default)]
pub(super) struct Moved {
    /// Passes that live longer now, with their holders.
    pub(super) renewed: Vec<(u32, Token)>,
    pub(super) answered: Vec<(RequestJob, Entry)>,
}

/// A request that waits for its answer.
#[derive(Debug)]
struct Caller {
    job: RequestJob,
    /// The ticket that is claimed; a newcomer has none.
    ticket: Option<Token>,
}

pub(super) struct Gateway {
    room: Room,
    /// The room by time, if it has an event.
    timetable: Option<Timetable>,
    event: Option<Times>,
    id: RoomId,
    other: RoomId,
    sealer: Sealer,
    line: Line,
    queue: RoomQueue<Caller>,
    /// A line of which nothing is known.
    unknown: View,
    polls: PollTable,
    /// Store time at the start.
    start: Millis,
    /// Passes whose renewal is under way, by number.
    renewing: HashMap<u64, (Token, u32)>,
    /// Passes that are given back, and when, in that order.
    returns: VecDeque<(Micros, Token)>,
    /// Passes that came back, with their ends.
    confirmed: HashMap<u64, Millis>,
    revoked: HashMap<u64, Revoked>,
    /// Places kept while the store was away.
    provisional: u64,
    /// Later settings, the last first.
    changes: Vec<(Micros, Rules)>,
    /// From when until when the store does not answer, in order.
    outages: VecDeque<(Micros, Micros)>,
    failures: u32,
    /// The next step of a lease, if the room may live on one.
    lends: Option<Micros>,
    samples_at: Micros,
    /// The instant of the next planned turn.
    due: Micros,
    random: SmallRng,
    pub(super) samples: Vec<GatewaySample>,
}

/// An instant on the clock of the queue.
fn clock(now: Micros) -> Duration {
    Duration::from_micros(now.unsigned_abs())
}

fn micros(at: Duration) -> Micros {
    Micros::try_from(at.as_micros()).unwrap_or(Micros::MAX)
}

impl Gateway {
    /// A gateway that has read where its line is.
    pub(super) fn new(scenario: &Scenario, setup: &Setup) -> Self {
        let start = u64::try_from(setup.start_unix_us / 1000).unwrap_or(0);
        let room = Room {
            fail_mode: if setup.rules.lends { FailMode::Static } else { FailMode::Closed },
            ..Room::new(setup.rules.clone())
        };
        let event = scenario.room.event_start.map(|after| event(start + after.0.as_millis() as Millis));
        let timetable = event.map(|times| timetable(&room, times));
        let scheduled = timetable.as_ref().map_or_else(|| room.rules.clone(), Timetable::rules);
        Self {
            queue: RoomQueue::new(RUN, scheduled, Duration::ZERO),
            room,
            timetable,
            event,
            id: RoomId::of(&scenario.room.name),
            other: RoomId::of("another room"),
            sealer: sealer(),
            line: Line::new(start),
            unknown: View::default(),
            polls: PollTable::CALM,
            start,
            renewing: HashMap::new(),
            returns: VecDeque::new(),
            confirmed: HashMap::new(),
            revoked: HashMap::new(),
            provisional: 0,
            changes: setup.changes.iter().rev().cloned().collect(),
            outages: setup.outages.iter().copied().collect(),
            failures: 0,
            lends: None,
            samples_at: 0,
            due: Micros::MAX,
            random: SmallRng::seed_from_u64(scenario.seed),
            samples: Vec::new(),
        }
    }

    /// Store time, as far as it is known here.
    fn store_time(&self, now: Micros) -> Millis {
        self.queue.store_time(clock(now)).unwrap_or(self.time(now))
    }

    /// The time of the store's clock.
    fn time(&self, now: Micros) -> Millis {
        self.start + u64::try_from(now / 1000).unwrap_or(0)
    }

    fn view(&self) -> &View {
        self.queue.view().unwrap_or(&self.unknown)
    }

    pub(super) fn seal(&self, token: &Token) -> String {
        self.sealer.seal(self.id, token)
    }

    /// Decides on the request of a visitor with this cookie.
    pub(super) fn credential(&self, cookie: Option<Token>, cookies: &Cookies) -> Credential {
        match cookies {
            Cookies::Own => cookie.map_or(Credential::None, Credential::Sealed),
            Cookies::Lost | Cookies::Hidden => Credential::None,
            Cookies::Token(text) => match self.sealer.open(self.id, text.as_bytes()) {
                Ok(token) => Credential::Sealed(token),
                Err(rejected) => Credential::Bad(rejected),
            },
        }
    }

    pub(super) fn admit(&mut self, shown: Credential, intent: Intent, now: Micros) -> Verdict {
        let time = self.store_time(now);
        let pass = match shown {
            Credential::Sealed(token) => self.state_of(&token),
            _ => PassState::Lives,
        };
        if let Credential::Sealed(token) = shown
            && time < token.expires
            && pass == PassState::Lives
            && self.queue.view().is_some_and(|view| view.lacks(&token))
        {
            self.queue.take(Op::Shown { token }, clock(now));
        }
        let store_away = self.queue.is_away();
        let heard = self.queue.view().map(|view| view.utc);
        let utc = self.queue.utc(clock(now)).unwrap_or(0);
        let room = self.timetable.as_ref().map_or(&self.room, |timetable| timetable.room(heard, utc, store_away));
        let scene = AdmitContext {
            room,
            line: self.queue.view(),
            store_away,
            on_lease: store_away && self.queue.lives_on_lease(clock(now)),
            shop_rests: false,
            now: time,
            pass,
        };
        admit(scene, shown, intent).0
    }

    fn state_of(&self, shown: &Token) -> PassState {
        match self.revoked.get(&shown.number) {
            Some(revoked) if !revoked.evicted => PassState::Revoked,
            Some(revoked) if shown.expires <= revoked.expires => PassState::Evicted,
            _ => PassState::Lives,
        }
    }

    /// A visitor shows a pass.
    pub(super) fn confirm(&mut self, pass: &Token, now: Micros) {
        if self.room.rules.total_active_users.is_some()
            && self.confirmed.insert(pass.number, pass.expires).is_none_or(|known| known < pass.expires)
        {
            self.queue.take(Op::Confirm { number: pass.number }, clock(now));
        }
    }

    /// An answer of the other room, where every visitor enters at once.
    pub(super) fn foreign(&self, now: Micros) -> Cookie {
        let now = self.time(now);
        Cookie::Foreign(self.sealer.seal(self.other, &Token::pass(1, now, now + self.room.rules.session)))
    }

    /// The answer to the holder of this ticket.
    pub(super) fn tell(&mut self, ticket: &Token) -> QueueInfo {
        let view = self.queue.view().unwrap_or(&self.unknown);
        let rules = self.timetable.as_ref().map_or(&self.room.rules, |timetable| &timetable.at(view.utc).room.rules);
        let jitter = self.random.random_range(0.85..1.15);
        let (position, wait, interval) = if ticket.kind == Kind::Ticket {
            let ahead = view.segments.ahead_of(ticket.number);
            let wait = view.outlook(rules).wait(ahead).filter(|_| rules.open);
            (view.position(ticket.number), wait, self.polls.after(ahead, view.pace(rules)))
        } else {
            (None, None, self.polls.interval(None))
        };
        QueueInfo {
            after: Duration::from_millis((interval * jitter * 10.0).round() as u64 * 100),
            position,
            wait: wait.map(|wait| [wait.low as f64, wait.high as f64]),
            assets: Vec::new(),
        }
    }

    /// A newcomer asks for a number.
    pub(super) fn join(&mut self, job: RequestJob, now: Micros) {
        let reply = Caller { job, ticket: None };
        self.queue.take(Op::Join { if_called: false, reply }, clock(now));
    }

    /// The holder of a called ticket asks for a pass.
    pub(super) fn claim(&mut self, ticket: Token, job: RequestJob, now: Micros) {
        let reply = Caller { job, ticket: Some(ticket) };
        self.queue.take(Op::Claim { number: ticket.number, reply }, clock(now));
    }

    /// The next place in the order of arrival while the store is away.
    pub(super) fn keep_place(&mut self, now: Micros) -> Token {
        self.provisional += 1;
        self.queue.set_places_kept(self.provisional, clock(now));
        Token::provisional(RUN, self.provisional, self.store_time(now))
    }

    /// Asks for the number of a place that was kept.
    pub(super) fn adopt(&mut self, token: &Token, now: Micros) {
        let gathers = self.view().round.gathers(token.incarnation);
        if token.kind == Kind::Provisional && !self.queue.is_away() && !gathers {
            self.queue.take(Op::Adopt { incarnation: token.incarnation, last: token.number }, clock(now));
        }
    }

    pub(super) fn renew(&mut self, pass: &Token, who: u32, now: Micros) {
        if self.renewing.insert(pass.number, (*pass, who)).is_none() {
            self.queue.take(Op::Renew { number: pass.number, admitted: pass.admitted }, clock(now));
        }
    }

    /// A pass is given back, with the answer that goes out then.
    pub(super) fn release(&mut self, pass: &Token, then: Micros) {
        let at = self.returns.partition_point(|(before, _)| *before <= then);
        self.returns.insert(at, (then, *pass));
    }

    /// Plans a turn, if that is sooner than the planned one.
    pub(super) fn plans(&mut self) -> Option<Micros> {
        let changes = self.changes.last().map(|(then, _)| *then);
        let returns = self.returns.front().map(|(then, _)| *then);
        let queue = micros(self.queue.next_wakeup());
        let next = [changes, returns, self.lends].into_iter().flatten().fold(queue.min(self.samples_at), Micros::min);
        let sooner = next < self.due;
        self.due = self.due.min(next);
        sooner.then_some(next)
    }

    /// What happens now, if that was planned.
    pub(super) fn moves(&mut self, now: Micros) -> Moved {
        let mut moved = Moved::default();
        if now < self.due {
            return moved;
        }
        self.due = Micros::MAX;
        while let Some((_, rules)) = self.changes.pop_if(|(then, _)| *then <= now) {
            self.room.rules = rules;
            self.timetable = self.event.map(|times| timetable(&self.room, times));
            let scheduled = self.timetable.as_ref().map_or_else(|| self.room.rules.clone(), Timetable::rules);
            self.queue.set_rules(&scheduled, clock(now));
        }
        while let Some((_, token)) = self.returns.pop_front_if(|(then, _)| *then <= now) {
            self.queue.take(Op::Release { token }, clock(now));
        }
        if self.lends.take_if(|step| *step <= now).is_some() {
            self.lend(now, &mut moved);
        }
        if self.queue.next_wakeup() <= clock(now) {
            self.commit(now, &mut moved);
        }
        if self.samples_at <= now {
            self.samples_at = now + SAMPLE;
            self.samples.push(self.sample(now));
        }
        moved
    }

    /// Whether the store answers.
    fn is_reachable(&mut self, now: Micros) -> bool {
        while self.outages.pop_front_if(|(_, until)| *until <= now).is_some() {}
        self.outages.front().is_none_or(|(from, _)| now < *from)
    }

    /// Sends the batch, and returns what is known by then.
    fn commit(&mut self, now: Micros, moved: &mut Moved) {
        let (reachable, mut replies) = (self.is_reachable(now), Vec::new());
        let Some(mut call) = self.queue.batch(clock(now), &mut replies) else { return };
        if self.room.rules.round.is_some() {
            call.batch.seed = self.random.random();
        }
        if !reachable {
            self.failures += 1;
            let retry_at = clock(now) + back_off(RUN, self.failures);
            for number in self.queue.unreachable(clock(now), retry_at, &mut replies) {
                self.renewing.remove(&number);
            }
            self.answer(replies, now, moved);
            return self.lend(now, moved);
        }
        let outcome = self.line.apply(&call.rules, &call.batch, self.time(now));
        // What a store would write down.
        drop(self.line.take_changes());
        let Some(answered) = self.queue.answer(outcome, clock(now), &mut replies) else { return };
        self.revoked.extend(answered.revoked.iter().map(|revoked| (revoked.number, *revoked)));
        let (view, rules) = (self.queue.view().unwrap_or(&self.unknown), &self.room.rules);
        self.polls = view.poll_table(PollTable::CALM, budget_for(rules.rate), rules);
        if answered.tidies {
            let (time, grace) = (view.now, rules.form_grace);
            self.revoked.retain(|_, revoked| revoked.expires.saturating_add(grace) > time);
            self.confirmed.retain(|_, &mut expires| expires > time);
        }
        let issued = view.now;
        for (number, expires) in answered.renewed {
            if let (Some((pass, who)), Some(expires)) = (self.renewing.remove(&number), expires) {
                moved.renewed.push((who, Token { issued, expires, ..pass.confirmed() }));
            }
        }
        self.answer(replies, now, moved);
    }

    /// A step of the lease, and when the next is.
    fn lend(&mut self, now: Micros, moved: &mut Moved) {
        let mut replies = Vec::new();
        self.queue.on_lease(clock(now), &mut replies);
        self.answer(replies, now, moved);
        let lives = self.queue.is_away() && self.queue.may_live_on_lease(clock(now));
        self.lends = lives.then(|| now + micros(LEASE_STEP));
    }

    fn answer(&mut self, replies: Vec<(Caller, Admission)>, now: Micros, moved: &mut Moved) {
        let time = self.store_time(now);
        for (Caller { job, ticket }, admission) in replies {
            let entry = match (admission, ticket) {
                (Admission::Pass { number, expires, admitted }, _) => {
                    Entry::Pass(Token { admitted, ..Token::pass(number, time, expires) })
                }
                (Admission::Ticket(number), None) => {
                    let ticket = Token::ticket(number, time);
                    Entry::Place(ticket, Cookie::Set(ticket))
                }
                (Admission::InRound { round, sequence }, None) => {
                    let place = Token::provisional(round, sequence, time);
                    Entry::Place(place, Cookie::Set(place))
                }
                (Admission::Ticket(_) | Admission::InRound { .. } | Admission::Away, Some(ticket)) => {
                    Entry::Place(ticket, Cookie::Kept)
                }
                (Admission::Away, None) => {
                    let place = self.keep_place(now);
                    Entry::Place(place, Cookie::Set(place))
                }
                (Admission::Spent, _) => Entry::Spent,
                (Admission::Full | Admission::Visit, _) => Entry::Refused,
            };
            moved.answered.push((job, entry));
        }
    }

    /// Passes that it remembers.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.queue.remembered()
    }

    /// The gateway's report on the room.
    fn sample(&self, now: Micros) -> GatewaySample {
        let view = self.view();
        GatewaySample {
            at: now,
            gateway: 0,
            store_time_ms: view.now,
            admitted: view.granted,
            waiting: view.waiting(),
            active_users: view.active,
            new_users_per_minute: self.room.rules.rate * 60.0,
            store_away: self.queue.is_away(),
            limits_given_up: false,
        }
    }
}

/// An event that starts then: its pre-queue has begun, and it outlasts the launch.
fn event(start: Millis) -> Times {
    Times { prequeue: Some(0), start, end: Millis::MAX }
}

/// The room with an event that changes nothing but when it opens.
fn timetable(room: &Room, times: Times) -> Timetable {
    let event = Event { name: String::new(), times, prequeue_active_users: false, room: room.clone() };
    Timetable::new(room, vec![event])
}

#[expect(clippy::expect_used, reason = "the secret is a constant, and long enough")]
fn sealer() -> Sealer {
    Sealer::new(&[7; 32]).expect("32 bytes")
}
