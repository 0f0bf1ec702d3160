//! A small waiting room on the policy's own line and seal, right unless it is told to be wrong in one way.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use evidence::GatewaySample;
use launch_model::token;
use policy::Millis;
use policy::line::segment::base_of;
use policy::line::{Batch, Grant, Line, View};
use policy::room::Rules;
use policy::seal::{RoomId, Sealer};
use policy::ticket::{Kind, Token};

/// Poll interval in seconds.
pub(crate) const POLL: u64 = 1;
/// Milliseconds for which a claimant counts as present after their last request.
const HERE: Millis = 200;
/// Every so many are treated wrongly, where not all are.
const SOME: u64 = 8;
/// Numbers that are counted downwards begin here.
const MIRROR: u64 = 1 << 20;

/// The fault of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    LimitDoubled,
    LimitGone,
    HalfUnused,
    SeatsIgnored,
    /// Higher numbers are let in first: they are counted downwards.
    LastFirst,
    TicketsLost,
    NumbersTwice,
    /// A visitor who shows a pass gets another one.
    PassesTwice,
    SealUnchecked,
    ExpiredAccepted,
    ReplayAccepted,
    OtherRoomAccepted,
    InnerPagesOpen,
    PositionsGrow,
    WaitInvented,
    ErrorsWhileWaiting,
    SlowWithACrowd,
    ThrowsOut,
    /// Passes end with their first life, however active their holders are.
    NeverRenews,
}

/// The asker, as far as a token can tell, and the kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// A page, or the waiting document.
    Page,
    /// Anything else: only a pass lets it through.
    Other,
}

/// The result of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// On to the shop, with this `Weir-Pass-Id` if there is a pass, and perhaps a new cookie.
    Enter { pass: Option<Token>, cookie: Option<String>, crowd: bool },
    /// A place in the line. A `called` visitor stands at the door until there is a token.
    Wait { cookie: Option<String>, position: u64, wait: Option<[u64; 2]>, called: bool },
    /// Not without a pass.
    Refuse,
    /// 503.
    Fail,
}

/// The room.
pub(crate) struct Room {
    fault: Fault,
    rules: Rules,
    sealer: Sealer,
    state: Mutex<State>,
}

struct State {
    line: Line,
    view: View,
    revoked: HashSet<u64>,
    /// Places whose holders were called and are here, with the instants of their last requests.
    here: BTreeMap<u64, Millis>,
    /// Last position, and when they joined.
    shown: HashMap<u64, (u64, Millis)>,
    /// Tickets that were lost once; positions told so far.
    lost: HashSet<u64>,
    joins: u64,
    told: u64,
}

/// Unix time in milliseconds: this room's store time.
pub(crate) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as Millis
}

impl Room {
    pub(crate) fn new(promised: &Rules, fault: Fault) -> Self {
        let factor = match fault {
            Fault::LimitDoubled => 2.0,
            Fault::HalfUnused => 0.5,
            _ => 1.0,
        };
        let seats = promised.total_active_users.filter(|_| fault != Fault::SeatsIgnored);
        let (rate, enforced) = (promised.rate * factor, fault != Fault::LimitGone);
        let rules = Rules { rate, enforced, total_active_users: seats, ..promised.clone() };
        let line = Line::new(now());
        let view = line.view();
        let (revoked, here, shown, lost) = Default::default();
        let state = Mutex::new(State { line, view, revoked, here, shown, lost, joins: 0, told: 0 });
        Self { fault, rules, sealer: Sealer::new(&[7; 32]).unwrap(), state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Advances the time.
    pub(crate) fn tick(&self) {
        self.state().apply(&self.rules, &Batch::default());
    }

    /// Its report, asked by gateway 0.
    pub(crate) fn sample(&self) -> GatewaySample {
        let state = self.state();
        GatewaySample {
            at: 0,
            gateway: 0,
            store_time_ms: state.view.now,
            admitted: state.view.granted,
            waiting: state.view.waiting(),
            active_users: state.view.active,
            new_users_per_minute: self.rules.rate * 60.0,
            store_away: false,
            limits_given_up: false,
        }
    }

    /// Decides on a request that shows this cookie.
    pub(crate) fn admit(&self, cookie: Option<&str>, intent: Intent) -> Answer {
        let mut state = self.state();
        let token = cookie.and_then(|text| self.open(text));
        match token {
            Some(pass) if pass.kind == Kind::Pass && self.is_good(&state, pass) => self.enter(&mut state, pass),
            _ if intent == Intent::Other => match self.fault {
                Fault::InnerPagesOpen => Answer::Enter { pass: None, cookie: None, crowd: false },
                _ => Answer::Refuse,
            },
            Some(ticket) if ticket.kind == Kind::Ticket && !self.loses(&mut state, ticket.number) => {
                self.claim(&mut state, ticket.number, false)
            }
            _ => self.join(&mut state),
        }
    }

    /// The receipt: the seat is free.
    pub(crate) fn release(&self, number: u64) {
        let releases = vec![self.place(number)];
        let mut state = self.state();
        state.revoked.insert(number);
        state.apply(&self.rules, &Batch { releases, ..Batch::default() });
    }

    /// A pass of another room, as a cookie's value.
    pub(crate) fn pass_of_another_room(&self) -> String {
        let pass = Token::pass(1, now(), now() + 600_000);
        self.sealer.seal(RoomId::of("other"), &pass)
    }

    fn open(&self, text: &str) -> Option<Token> {
        let of = |room: &str| self.sealer.open(RoomId::of(room), text.as_bytes()).ok();
        let unchecked =
            || token::Token::read(text).map(|read| Token::pass(read.number, read.issued_ms, read.expires_ms));
        of("launch")
            .or_else(|| of("other").filter(|_| self.fault == Fault::OtherRoomAccepted))
            .or_else(|| unchecked().filter(|_| self.fault == Fault::SealUnchecked))
    }

    fn is_good(&self, state: &State, pass: Token) -> bool {
        let lives = pass.expires > now() || self.fault == Fault::ExpiredAccepted;
        let kept = !state.revoked.contains(&pass.number) || self.fault == Fault::ReplayAccepted;
        let thrown_out = self.fault == Fault::ThrowsOut && pass.number.is_multiple_of(SOME);
        lives && kept && !thrown_out
    }

    fn enter(&self, state: &mut State, pass: Token) -> Answer {
        let crowd = state.view.waiting() > 0 && self.fault == Fault::SlowWithACrowd;
        let renewals = vec![(self.place(pass.number), pass.admitted)];
        let renews = pass.past_half_life(now()) && self.fault != Fault::NeverRenews;
        let renewed = renews.then(|| Batch { renewals, ..Batch::default() });
        let ends =
            renewed.and_then(|batch| state.apply(&self.rules, &batch).renewed.first().and_then(|renewed| renewed.1));
        let ends = if self.fault == Fault::PassesTwice { Some(now() + self.rules.session) } else { ends };
        let cookie = ends.map(|ends| self.sealed(&Token::pass(pass.number, now(), ends)));
        Answer::Enter { pass: Some(pass), cookie, crowd }
    }

    fn join(&self, state: &mut State) -> Answer {
        state.joins += 1;
        if self.fault == Fault::NumbersTwice && state.joins.is_multiple_of(SOME) {
            let last = self.place(state.view.segments.open.next);
            return self.claim(state, last, true);
        }
        let outcome = state.apply(&self.rules, &Batch { joins: 1, ..Batch::default() });
        let number = self.place(outcome.first);
        state.shown.insert(number, (u64::MAX, now()));
        let grant = outcome.grants.iter().find(|(granted, _)| *granted == outcome.first).map(|&(_, grant)| grant);
        self.answer(state, (number, grant), true)
    }

    fn claim(&self, state: &mut State, number: u64, fresh: bool) -> Answer {
        let place = self.place(number);
        let claims = state.claimants(place);
        let outcome = state.apply(&self.rules, &Batch { claims, ..Batch::default() });
        match outcome.grants.iter().find(|(claimed, _)| *claimed == place).map(|&(_, grant)| grant) {
            Some(Grant::Spent) => self.join(state),
            grant => self.answer(state, (number, grant), fresh),
        }
    }

    fn answer(&self, state: &mut State, (number, grant): (u64, Option<Grant>), fresh: bool) -> Answer {
        if let Some(Grant::Pass { expires: ends, .. }) = grant {
            state.here.remove(&self.place(number));
            let pass = Token::pass(number, now(), ends);
            return Answer::Enter { pass: Some(pass), cookie: Some(self.sealed(&pass)), crowd: false };
        }
        state.told += 1;
        if self.fault == Fault::ErrorsWhileWaiting && !fresh && state.told.is_multiple_of(SOME) {
            return Answer::Fail;
        }
        let cookie = fresh.then(|| self.sealed(&Token::ticket(number, now())));
        let position = self.position(state, number);
        let called = !fresh && state.view.segments.is_called(self.place(number));
        Answer::Wait { cookie, position, wait: self.wait(state, position), called }
    }

    fn position(&self, state: &mut State, number: u64) -> u64 {
        let ahead = state.view.segments.ahead_of(self.place(number));
        let (last, joined) = state.shown.get(&number).copied().unwrap_or((u64::MAX, now()));
        let position = match self.fault {
            Fault::PositionsGrow => ahead + now().saturating_sub(joined),
            _ => ahead.min(last),
        };
        state.shown.insert(number, (position, joined));
        position
    }

    fn wait(&self, state: &State, position: u64) -> Option<[u64; 2]> {
        if self.fault == Fault::WaitInvented {
            return Some([200, 300]);
        }
        state.view.outlook(&self.rules).wait(position).map(|wait| [wait.low, wait.high])
    }

    /// Where a ticket of this number stands in the line, and which number the ticket of a place has.
    fn place(&self, number: u64) -> u64 {
        let base = base_of(number);
        if self.fault == Fault::LastFirst { base + MIRROR - (number - base) } else { number }
    }

    /// Whether this ticket is taken for none, once.
    fn loses(&self, state: &mut State, number: u64) -> bool {
        self.fault == Fault::TicketsLost && number.is_multiple_of(SOME) && state.lost.insert(number)
    }

    fn sealed(&self, token: &Token) -> String {
        self.sealer.seal(RoomId::of("launch"), token)
    }
}

impl State {
    /// All visitors who were called and are here, and this one.
    fn claimants(&mut self, place: u64) -> Vec<u64> {
        self.here.insert(place, now());
        self.here.retain(|_, asked| now() < *asked + HERE);
        self.here.keys().copied().collect()
    }

    fn apply(&mut self, rules: &Rules, batch: &Batch) -> policy::line::Outcome {
        let outcome = self.line.apply(rules, batch, now());
        self.view = outcome.view.clone();
        outcome
    }
}
