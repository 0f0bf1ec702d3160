//! The gateway of a simulated launch: a line, a copy of it, and requests that are held.
//!
//! Joins and claims are gathered and sent to the line as one batch; a claim is named again in every batch until it is
//! granted, or was held for so long that its shopper is told to wait. The lengths are those of the real gateway.
//!
//! What is absent: a second gateway, a store that is slow or away, leases.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use evidence::{GatewaySample, Micros};
use launch_model::scenario::Scenario;
use launch_model::visit::{Cookies, Told};
use policy::Millis;
use policy::admit::{Credential, Intent, PassState, Scene, Verdict, admit};
use policy::drain::{PollTable, budget_for};
use policy::line::{Batch, Grant, Line, Memory, Revoked, View};
use policy::room::{Room, Rules};
use policy::seal::{RoomId, Sealer};
use policy::ticket::Token;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::errand::Errand;
use super::setup::Setup;

/// Between two batches when nobody waits for one, and when somebody does.
const TICK: Micros = 100_000;
const BUSY_TICK: Micros = 20_000;
/// What comes in within this time after the first goes into one batch.
const GATHER: Micros = 4_000;
/// A claim is held for so long, and up to this much longer, in so many steps: those who came together must not
/// all leave together.
const HOLD: Micros = 1_900_000;
const HOLD_SPREAD: Micros = 600_000;
const HOLD_STEPS: Micros = 7;
/// A newcomer with a wait of less than so many seconds is held too.
const SOON: f64 = 0.5;
/// Between two looks at what may be forgotten.
const TIDY: Millis = 10_000;

/// What an answer does to the cookie of the room.
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

/// What became of a held request.
pub(super) enum Entry {
    /// A pass.
    Pass(Token),
    /// A place in the line, and what to do with the cookie.
    Ticket(u64, Cookie),
    /// The ticket was used up.
    Spent,
}

/// What a batch brought.
pub(super) struct Flushed {
    /// Passes that live longer now, with their holders.
    pub(super) renewed: Vec<(u32, Token)>,
    pub(super) answered: Vec<(Errand, Entry)>,
}

struct Held {
    errand: Errand,
    until: Micros,
    /// The number is new: its holder has no cookie yet.
    is_new: bool,
}

pub(super) struct Gateway {
    room: Room,
    id: RoomId,
    other: RoomId,
    sealer: Sealer,
    line: Line,
    view: View,
    memory: Memory,
    polls: PollTable,
    /// Store time at the start.
    start: Millis,
    joins: Vec<Errand>,
    held: BTreeMap<u64, Vec<Held>>,
    renewals: Vec<(Token, u32)>,
    /// Passes that are given back, and when.
    returns: Vec<(Micros, Token)>,
    confirmed: Vec<u64>,
    revoked: HashMap<u64, Revoked>,
    revocations_seen: u64,
    turn: Micros,
    /// What it will be set to, the last first.
    changes: Vec<(Micros, Rules)>,
    /// When the next batch goes.
    due: Micros,
    tidied: Millis,
    random: SmallRng,
    pub(super) samples: Vec<GatewaySample>,
}

impl Gateway {
    pub(super) fn new(scenario: &Scenario, setup: &Setup) -> Self {
        let start = u64::try_from(setup.start_unix_us / 1000).unwrap_or(0);
        let line = Line::new(start);
        Self {
            room: Room::new(setup.rules.clone()),
            id: RoomId::of(&scenario.room.name),
            other: RoomId::of("another room"),
            sealer: sealer(),
            view: line.view(),
            line,
            memory: Memory::default(),
            polls: PollTable::CALM,
            start,
            joins: Vec::new(),
            held: BTreeMap::new(),
            renewals: Vec::new(),
            returns: Vec::new(),
            confirmed: Vec::new(),
            changes: setup.changes.iter().rev().cloned().collect(),
            revoked: HashMap::new(),
            revocations_seen: 0,
            turn: 0,
            due: 0,
            tidied: start,
            random: SmallRng::seed_from_u64(scenario.seed),
            samples: Vec::new(),
        }
    }

    fn store_time(&self, now: Micros) -> Millis {
        self.start + u64::try_from(now / 1000).unwrap_or(0)
    }

    pub(super) fn seal(&self, token: &Token) -> String {
        self.sealer.seal(self.id, token)
    }

    /// What somebody with this cookie shows.
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
        if let Credential::Sealed(token) = shown
            && self.view.lacks(&token)
        {
            self.memory.shown(&token);
        }
        let pass = match shown {
            Credential::Sealed(token) => self.state_of(&token),
            _ => PassState::Lives,
        };
        let now = self.store_time(now);
        let scene = Scene {
            room: &self.room,
            line: Some(&self.view),
            store_away: false,
            on_lease: false,
            shop_rests: false,
            now,
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

    /// Somebody shows a pass.
    pub(super) fn confirm(&mut self, pass: &Token) {
        if self.room.rules.total_active_users.is_some() {
            self.confirmed.push(pass.number);
        }
    }

    /// What another room gives, where everybody enters at once.
    pub(super) fn foreign(&self, now: Micros) -> Cookie {
        let now = self.store_time(now);
        Cookie::Foreign(self.sealer.seal(self.other, &Token::pass(1, now, now + self.room.rules.session)))
    }

    /// What the holder of this ticket is told.
    pub(super) fn tell(&mut self, number: u64) -> Told {
        let rules = &self.room.rules;
        let ahead = self.view.segments.ahead_of(number);
        let wait = self.view.outlook(rules).wait(ahead).filter(|_| rules.open);
        let interval = self.polls.after(ahead, self.view.pace(rules)) * self.random.random_range(0.85..1.15);
        Told {
            after: Duration::from_millis((interval * 10.0).round() as u64 * 100),
            position: self.view.position(number),
            wait: wait.map(|wait| [wait.low as f64, wait.high as f64]),
            assets: Vec::new(),
        }
    }

    pub(super) fn join(&mut self, errand: Errand) {
        self.joins.push(errand);
    }

    pub(super) fn hold(&mut self, number: u64, errand: Errand, now: Micros) {
        self.held_until(number, errand, now, false);
    }

    fn held_until(&mut self, number: u64, errand: Errand, now: Micros, is_new: bool) {
        self.turn = (self.turn + 1) % HOLD_STEPS;
        let until = now + HOLD + HOLD_SPREAD * self.turn / HOLD_STEPS;
        self.held.entry(number).or_default().push(Held { errand, until, is_new });
    }

    pub(super) fn renew(&mut self, pass: &Token, who: u32) {
        self.renewals.push((*pass, who));
    }

    /// A pass is given back, with the answer that goes out then.
    pub(super) fn release(&mut self, pass: &Token, then: Micros) {
        self.returns.push((then, *pass));
    }

    /// The numbers of the passes that were given back by now.
    fn releases(&mut self, now: Micros) -> Vec<u64> {
        let given_back: Vec<(Micros, Token)> = self.returns.extract_if(.., |(then, _)| *then <= now).collect();
        for (_, pass) in &given_back {
            self.memory.returned(pass);
        }
        given_back.iter().map(|(_, pass)| pass.number).collect()
    }

    /// Something was gathered: when its batch goes, if that is sooner than the next one.
    pub(super) fn gathers(&mut self, now: Micros) -> Option<Micros> {
        let at = now + GATHER;
        let sooner = at < self.due;
        self.due = self.due.min(at);
        sooner.then_some(at)
    }

    pub(super) fn is_due(&self, now: Micros) -> bool {
        now == self.due
    }

    /// When the next batch goes, if nothing comes.
    pub(super) fn next_tick(&mut self, now: Micros) -> Micros {
        self.due = now + if self.held.is_empty() { TICK } else { BUSY_TICK };
        self.due
    }

    /// Sends the batch, and tells what is known by then.
    pub(super) fn flush(&mut self, now: Micros) -> Flushed {
        while let Some((_, rules)) = self.changes.pop_if(|(then, _)| *then <= now) {
            self.room.rules = rules;
        }
        let joins = std::mem::take(&mut self.joins);
        let renewals = std::mem::take(&mut self.renewals);
        let releases = self.releases(now);
        let (seen, restore) = self.memory.recall();
        let batch = Batch {
            gateway: 1,
            seen,
            restore,
            joins: joins.len() as u64,
            claims: self.held.keys().copied().collect(),
            renewals: renewals.iter().map(|(pass, _)| (pass.number, pass.admitted)).collect(),
            confirmed: std::mem::take(&mut self.confirmed),
            releases,
            revocations_seen: self.revocations_seen,
            ..Batch::default()
        };
        let outcome = self.line.apply(&self.room.rules, &batch, self.store_time(now));
        // What a store would write down.
        drop(self.line.take_changes());
        self.memory.note(&batch.releases, &outcome);
        self.revoked.extend(outcome.revoked.iter().map(|revoked| (revoked.number, *revoked)));
        self.revocations_seen = outcome.revocations_seen;
        let before = std::mem::replace(&mut self.view, outcome.view);
        self.view.follow(&before);
        let rules = &self.room.rules;
        self.polls = self.view.poll_table(PollTable::CALM, budget_for(rules.rate), rules);
        self.tidy();
        self.sample(now);
        let grants: HashMap<u64, Grant> = outcome.grants.into_iter().collect();
        let mut answered = self.seat(joins, outcome.first, &grants, now);
        self.answer_held(&grants, now, &mut answered);
        let holders: HashMap<u64, (Token, u32)> = renewals.into_iter().map(|held| (held.0.number, held)).collect();
        let renewed = outcome.renewed.into_iter().filter_map(|(number, end)| {
            let &(pass, who) = holders.get(&number)?;
            Some((who, Token { issued: self.view.now, expires: end?, ..pass.confirmed() }))
        });
        Flushed { renewed: renewed.collect(), answered }
    }

    /// Gives the new numbers to those who asked: in at once, soon, or in line.
    fn seat(
        &mut self,
        joins: Vec<Errand>,
        first: u64,
        grants: &HashMap<u64, Grant>,
        now: Micros,
    ) -> Vec<(Errand, Entry)> {
        let soon = SOON * self.view.pace(&self.room.rules);
        let mut answered = Vec::new();
        for (number, errand) in (first..).zip(joins) {
            let ahead = self.view.segments.ahead_of(number) as f64;
            match grants.get(&number) {
                Some(&Grant::Pass { expires, .. }) => answered.push((errand, Entry::Pass(self.pass(number, expires)))),
                _ if self.room.rules.open && ahead < soon => self.held_until(number, errand, now, true),
                _ => answered.push((errand, Entry::Ticket(number, self.ticket(number)))),
            }
        }
        answered
    }

    fn answer_held(&mut self, grants: &HashMap<u64, Grant>, now: Micros, answered: &mut Vec<(Errand, Entry)>) {
        for (number, held) in std::mem::take(&mut self.held) {
            for one in held {
                let entry = match grants.get(&number) {
                    Some(&Grant::Pass { expires, .. }) => Entry::Pass(self.pass(number, expires)),
                    Some(Grant::Spent) => Entry::Spent,
                    _ if one.until > now => {
                        self.held.entry(number).or_default().push(one);
                        continue;
                    }
                    _ if one.is_new => Entry::Ticket(number, self.ticket(number)),
                    _ => Entry::Ticket(number, Cookie::Kept),
                };
                answered.push((one.errand, entry));
            }
        }
    }

    fn pass(&self, number: u64, end: Millis) -> Token {
        Token::pass(number, self.view.now, end)
    }

    fn ticket(&self, number: u64) -> Cookie {
        Cookie::Set(Token::ticket(number, self.view.now))
    }

    fn tidy(&mut self) {
        let now = self.view.now;
        if now >= self.tidied + TIDY {
            self.tidied = now;
            self.memory.tidy(&self.view);
            self.revoked.retain(|_, revoked| revoked.expires > now);
        }
    }

    /// What the gateway says of the room, ten times a second.
    fn sample(&mut self, now: Micros) {
        if self.samples.last().is_some_and(|last| now < last.at + TICK) {
            return;
        }
        self.samples.push(GatewaySample {
            at: now,
            gateway: 0,
            store_time_ms: self.view.now,
            admitted: self.view.granted,
            waiting: self.view.waiting(),
            active_users: self.view.active,
            new_users_per_minute: self.room.rules.rate * 60.0,
            store_away: false,
            limits_given_up: false,
        });
    }
}

#[expect(clippy::expect_used, reason = "the secret is a constant, and long enough")]
fn sealer() -> Sealer {
    Sealer::new(&[7; 32]).expect("32 bytes")
}
