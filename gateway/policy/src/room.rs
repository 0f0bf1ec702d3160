//! The rules that protect a set of hosts and paths.
//!
//! [`Rules`] is the part that a store needs to move a line; [`Room`] adds what `admit` asks. Out of scope: the
//! configuration file of a room, and which requests belong to it.

use serde::{Deserialize, Serialize};

use crate::Millis;
use crate::ticket::Token;

/// One of this many admissions may be a visit.
pub const VISITS: f64 = 5.0;

/// The floor of a rate that says nothing else: one shopper a minute.
const FLOOR: f64 = 1.0 / 60.0;

/// The limits of a line. Only numbers: the same rules can be sent to a store's script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "rules of a room, each a switch of its own")]
pub struct Rules {
    /// New shoppers per second, above 0 (`new_users_per_minute / 60`).
    pub rate: f64,
    /// New shoppers per second below which nothing behind the line slows it, above 0.
    pub floor: f64,
    /// Spare admissions that a calm line may save up, at least 1.
    pub burst: f64,
    /// Passes that may live at once; `None` sets no bound.
    pub total_active_users: Option<u64>,
    /// Visits per second ([`crate::line`]): a [`VISITS`]th of the rate at most, 0 for none.
    pub visits: f64,
    /// How long a pass lives, and for how long a renewal extends it.
    pub session: Millis,
    /// How long a pass may be renewed, from when it was given; `None`: as long as its holder is active.
    pub max_session: Option<Millis>,
    /// How long after its call an unclaimed ticket counts as expected, not as a no-show.
    pub claim_window: Millis,
    /// How long after the end of a pass a form of its holder still goes through; revocations are kept that much longer.
    pub form_grace: Millis,
    /// `false` admits no newcomer: `queue_all` and `suspended`.
    pub open: bool,
    /// `false` only counts admissions over the limits: `passthrough`.
    pub enforced: bool,
    /// Whether gateways get a part of the rate and of the seats as a lease, to go on without the store: [`FailMode::Static`].
    pub lends: bool,
    /// A pre-queue: newcomers stand behind the numbers that the calm line has called in advance, so that they have an order.
    #[serde(default)]
    pub gathers: bool,
    /// The last order to let shoppers in before their time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub let_in: Option<LetIn>,
    /// How long the order of newcomers stays open, until a draw decides it: `random` ([`crate::line::Round`]); `None`: the order of
    /// arrival holds.
    #[serde(default)]
    pub round: Option<Millis>,
    /// Other rules that come by time, earliest first ([`crate::event`]): whoever holds the clock applies those that are due.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scheduled: Vec<ScheduledRules>,
}

/// An order to let shoppers in now, on the tokens of the time to come: any window sees at most `rate x T + burst` and as many more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetIn {
    /// When it was given, by the store's time of day: a line takes each order once, and none that is older than the last.
    pub at: Millis,
    /// How many; at most a minute of the rate.
    pub shoppers: u64,
}

/// Rules from some time on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduledRules {
    /// The first moment at which they hold, by the clock of the store in UTC.
    pub from: Millis,
    /// The rules. None are scheduled in them.
    pub rules: Rules,
}

/// Scheduled rules go to the store when they are due within this time, or were: its clock is not further from the one that was heard.
const NEAR: Millis = 3_600_000;

impl Rules {
    /// The rules of a room with this speed and every other field at its default.
    ///
    /// ```
    /// let rules = policy::room::Rules::per_minute(600);
    /// assert_eq!((rules.rate, rules.burst), (10.0, 10.0));
    /// ```
    pub fn per_minute(new_users: u32) -> Self {
        let rate = f64::from(new_users) / 60.0;
        Self {
            rate,
            floor: FLOOR.min(rate),
            burst: rate.max(1.0),
            total_active_users: None,
            visits: rate / VISITS,
            session: 300_000,
            max_session: None,
            claim_window: 300_000,
            form_grace: 120_000,
            open: true,
            enforced: true,
            lends: false,
            gathers: false,
            let_in: None,
            round: None,
            scheduled: Vec::new(),
        }
    }
}

impl Rules {
    /// The rules that hold at this time of the store.
    pub fn at(&self, utc: Millis) -> &Self {
        let due = self.scheduled.partition_point(|scheduled| scheduled.from <= utc);
        due.checked_sub(1).map_or(self, |last| &self.scheduled[last].rules)
    }

    /// The same rules for about this time, without what is scheduled long before or after it; `None`: the time is unknown.
    #[must_use]
    pub fn near(&self, utc: Option<Millis>) -> Self {
        let Some(utc) = utc.filter(|_| !self.scheduled.is_empty()) else { return self.clone() };
        let (begin, end) = (utc.saturating_sub(NEAR), utc.saturating_add(NEAR));
        let near = self.scheduled.iter().filter(|scheduled| begin < scheduled.from && scheduled.from <= end);
        Self { scheduled: near.cloned().collect(), ..self.at(begin).clone() }
    }

    /// When other rules hold after this time.
    pub fn next_change(&self, utc: Millis) -> Option<Millis> {
        self.scheduled.iter().map(|scheduled| scheduled.from).find(|&from| from > utc)
    }

    /// Since when the rules of this time have held; `None`: nothing was scheduled before.
    pub fn last_change(&self, utc: Millis) -> Option<Millis> {
        self.scheduled.iter().map(|scheduled| scheduled.from).rfind(|&from| from <= utc)
    }

    /// Whether a line that was open when the store last answered stays open: other rules that came since are those of an open
    /// line as well.
    pub fn stays_open(&self, heard: Millis, now: Millis) -> bool {
        let came = self.scheduled.iter().filter(|scheduled| heard < scheduled.from && scheduled.from <= now);
        let mut came = came.peekable();
        came.peek().is_none() || self.at(heard).open && came.all(|scheduled| scheduled.rules.open)
    }

    /// Beyond this no renewal moves the end of a pass that was given at `admitted`.
    pub fn latest_end(&self, admitted: Millis) -> Millis {
        self.max_session.map_or(Millis::MAX, |max| admitted.saturating_add(max))
    }
}

/// How people beyond the limits are treated: Cloudflare's `queueing_method`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueingMethod {
    /// In order of arrival.
    Fifo,
    /// Those who arrive in the same round in an order that is drawn, behind the round before.
    Random,
    /// Every shopper enters; the limits are only reported.
    Passthrough,
    /// No line: over the limits a clear page, no number.
    Reject,
}

/// How a newcomer gets a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Join {
    /// With the first request; over the quota of its address with the second, as in `Confirmed`.
    Direct,
    /// With the second request: the first gets an arrival that has to come back.
    Confirmed,
}

/// What happens to new shoppers while the store does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailMode {
    /// The line stands; arrivals keep their place by a provisional ticket.
    Closed,
    /// Each gateway goes on for a bounded time at its leased share of the rate ([`crate::lease`]).
    /// Arrivals keep their place by a provisional ticket.
    Static,
    /// Every request passes up to the in-flight limit of the upstream. Gives up promise 1 by name.
    Open,
}

/// The input of `admit` about a room.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "rules of a room, each a switch of its own")]
pub struct Room {
    /// The limits.
    pub rules: Rules,
    /// How people beyond the limits are treated.
    pub queueing_method: QueueingMethod,
    /// How a newcomer gets a number.
    pub join: Join,
    /// Refuse every newcomer, let no shopper in from the line, keep places and passes.
    pub suspended: bool,
    /// Refuse every newcomer, and let the line go on to its end.
    pub last_call: bool,
    /// Passes that were given before this time of the line were ended by a stop ([`crate::action::ended_by_stop`]); 0: none was.
    pub stopped_until: Millis,
    /// Passes end `session` after they were given, whatever their holders do.
    pub disable_session_renewal: bool,
    /// A GET that asks for JSON takes a number and is answered in JSON.
    pub json_response_enabled: bool,
    /// What happens while the store does not answer.
    pub fail_mode: FailMode,
    /// Shoppers enter during events alone: no rate is set for the time between.
    pub events_only: bool,
    /// Passes that were given before this time of the store, in UTC, do not count any more (`prequeue_active_users`); 0: all count.
    pub passes_since: Millis,
}

impl Room {
    /// A first-come-first-served room with these rules and every other field at its default.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            queueing_method: QueueingMethod::Fifo,
            join: Join::Direct,
            suspended: false,
            last_call: false,
            stopped_until: 0,
            disable_session_renewal: false,
            json_response_enabled: true,
            fail_mode: FailMode::Closed,
            events_only: false,
            passes_since: 0,
        }
    }

    /// Whether a pass may still be renewed.
    pub fn may_renew(&self, pass: &Token) -> bool {
        !self.disable_session_renewal && pass.expires < self.rules.latest_end(pass.admitted)
    }
}
