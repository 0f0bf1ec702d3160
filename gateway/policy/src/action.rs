//! What operators do to a room: each action leads from the room in force to the next one, or is refused.
//!
//! A state is named by what an arriving visitor sees, and computed from the room: nothing else says it.
//!
//! | state | arriving visitor | waiting visitor | inside |
//! |---|---|---|---|
//! | Running | joins, or enters | moves | keep their pass |
//! | Paused | joins | keeps the place, stands | keep it |
//! | Last call | 503 | served to the last; then Closed | keep it |
//! | Closed | 503 | place kept | keep it |
//! | Open to all | straight in, counted | straight in | keep it |
//! | Stop | 503, but for `return_paths` | place kept | all passes end |
//!
//! Out of scope: who may act and how it is written down ([`crate::audit`]); what a version is; how an event is started
//! ([`crate::event`]) and a pass ended ([`crate::line`]).

use std::collections::BTreeMap;

use crate::Millis;
use crate::room::{LetIn, Rules};
use crate::segment::{GIVEN, SPAN, base_of};
use crate::ticket::{Kind, Token};
use crate::view::View;

/// Most characters of a message to the line.
pub const MESSAGE: usize = 280;
/// The longest time for which a room is open to all, in minutes.
pub const LONGEST_OPENING: u64 = 60;
/// The largest step by a share, in percent.
const LARGEST_STEP: i64 = 50;
/// The largest rate, in new shoppers per minute.
const FASTEST: u64 = 60_000_000;
/// The most places that operators give in a room within [`crate::ticket::TICKET_LIFE`], for which a code is good.
pub const MOST_GIVEN: usize = 100;
/// The largest number of seats.
const MOST_SEATS: u64 = 1_000_000_000;

/// What an arriving visitor gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// A place, or the shop.
    Running,
    /// A place in a line that stands.
    Paused,
    /// A page: the room takes no new places, and serves those that it has given.
    LastCall,
    /// A page: the line stands.
    Closed,
    /// The shop: nobody is held, all are counted.
    OpenToAll,
    /// A page, and those inside lose their passes.
    Stop,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] = [Self::Running, Self::Paused, Self::LastCall, Self::Closed, Self::OpenToAll, Self::Stop];

    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::LastCall => "last_call",
            Self::Closed => "closed",
            Self::OpenToAll => "open_to_all",
            Self::Stop => "stop",
        }
    }

    /// Its name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Paused => "Paused",
            Self::LastCall => "Last call",
            Self::Closed => "Closed",
            Self::OpenToAll => "Open to all",
            Self::Stop => "Stop",
        }
    }

    /// The state of a room whose line has so many people left: a last call that has served all of them is Closed.
    #[must_use]
    pub fn with_left(self, left: u64) -> Self {
        if self == Self::LastCall && left == 0 { Self::Closed } else { self }
    }
}

/// The part of a room that actions set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "keys of a room, each a switch of its own")]
pub struct Controls {
    /// New shoppers per minute.
    pub new_users_per_minute: u32,
    /// The most that may be; `None`: only the bound of the configuration.
    pub max_new_users_per_minute: Option<u32>,
    /// Seats; `None` sets no bound.
    pub total_active_users: Option<u64>,
    /// All wait, and nobody is let in.
    pub queue_all: bool,
    /// No new places.
    pub last_call: bool,
    /// Newcomers are refused, and the line stands.
    pub suspended: bool,
    /// The same, and no pass counts.
    pub stopped: bool,
    /// Passes that were given before this store time count for nothing.
    pub passes_since: Millis,
    /// Until this store time everybody enters; 0: not at all.
    pub open_until: Millis,
    /// Everybody enters whatever the time: `passthrough`.
    pub passthrough: bool,
    /// What waiting shoppers are told, by language.
    pub message: BTreeMap<String, String>,
    /// The last order to let shoppers in before their time.
    pub let_in: Option<LetIn>,
}

impl Controls {
    /// The state at this store time.
    pub fn state(&self, now: Millis) -> State {
        match () {
            () if self.stopped => State::Stop,
            () if self.suspended => State::Closed,
            () if self.queue_all => State::Paused,
            () if self.last_call => State::LastCall,
            () if self.passthrough || now < self.open_until => State::OpenToAll,
            () => State::Running,
        }
    }
}

/// Whether a pass counts for nothing because a Stop ended all that were given before `since`, in store time.
pub fn ended_by_stop(pass: &Token, since: Millis) -> bool {
    pass.kind == Kind::Pass && pass.admitted < since
}

/// A number, or a step from the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// This one.
    To(u64),
    /// So many percent more, or fewer.
    By(i64),
}

impl Amount {
    /// Of a text such as `480`, `+10%` or `-10%`.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    pub fn read(text: &str) -> Result<Self, Refused> {
        let amount = match text.trim().strip_suffix('%') {
            Some(step) => step.trim_end().parse().ok().map(Self::By),
            None => text.trim().parse().ok().map(Self::To),
        };
        let fits = |amount: &Self| !matches!(amount, Self::By(step) if *step == 0 || step.abs() > LARGEST_STEP);
        amount.filter(fits).ok_or_else(|| {
            let how =
                format!("write a number, or a step of at most {LARGEST_STEP} percent such as \"+10%\" or \"-10%\"");
            Refused::wrong("to", format!("{text:?} is no number and no step"), how)
        })
    }

    /// From `present`, at least 1: a step moves by 1 at least.
    fn from(self, present: u64) -> u64 {
        match self {
            Self::To(number) => number,
            Self::By(percent) => {
                let step = (present.saturating_mul(percent.unsigned_abs()) / 100).max(1);
                if percent > 0 { present.saturating_add(step) } else { present.saturating_sub(step).max(1) }
            }
        }
    }
}

/// What an operator does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The line stands; newcomers join it.
    Pause,
    /// It moves again.
    Resume,
    /// New shoppers per minute.
    Rate(Amount),
    /// Shoppers inside at once.
    Seats(Amount),
    /// What waiting shoppers are told, by language; nothing: no message any more.
    Message(BTreeMap<String, String>),
    /// Newcomers are refused, and the line stands.
    Close,
    /// The end of Close, Last call and Stop.
    Reopen,
    /// No new places.
    LastCall,
    /// Nobody enters, and all passes end.
    Stop,
    /// Everybody enters for so many minutes; 0 ends it.
    Open(u64),
    /// So many shoppers of the line enter now, on the tokens of the time to come.
    LetIn(u64),
    /// The event of this name starts now; `None`: the one in its pre-queue.
    StartEvent(Option<String>),
    /// The pass of this number ends, or the place is given up.
    Revoke(u64),
    /// One shopper gets a code for a called place.
    GivePlace,
}

/// Names of the actions, as in addresses, commands and metrics.
pub const ACTIONS: [&str; 14] = [
    "pause",
    "resume",
    "rate",
    "seats",
    "message",
    "close",
    "reopen",
    "last-call",
    "stop",
    "open",
    "let-in",
    "start-event",
    "revoke",
    "give-place",
];

impl Action {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Rate(_) => "rate",
            Self::Seats(_) => "seats",
            Self::Message(_) => "message",
            Self::Close => "close",
            Self::Reopen => "reopen",
            Self::LastCall => "last-call",
            Self::Stop => "stop",
            Self::Open(_) => "open",
            Self::LetIn(_) => "let-in",
            Self::StartEvent(_) => "start-event",
            Self::Revoke(_) => "revoke",
            Self::GivePlace => "give-place",
        }
    }

    /// Whether it is done only where the name of the room was typed.
    pub fn asks_for_the_name(&self) -> bool {
        matches!(self, Self::Close | Self::Reopen | Self::LastCall | Self::Stop | Self::Open(1..) | Self::StartEvent(_))
    }

    /// Holds what was typed against the name of the room.
    ///
    /// # Errors
    /// If it must be that name and is not.
    pub fn confirmed(&self, room: &str, typed: Option<&str>) -> Result<(), Refused> {
        if !self.asks_for_the_name() || typed == Some(room) {
            return Ok(());
        }
        let what = match typed {
            Some(typed) => format!("{typed:?} was typed, and the room is called {room:?}"),
            None => format!("{} is done only where the name of the room is typed", self.name()),
        };
        Err(Refused::wrong("confirm", what, format!("say \"confirm\": {room:?}")))
    }
}

/// Why an action is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {how}")]
pub struct Refused {
    /// The field of the request that it is about; `None`: the state of the room.
    pub field: Option<&'static str>,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub how: String,
}

impl Refused {
    /// A field that cannot be used.
    pub fn wrong(field: &'static str, what: impl Into<String>, how: impl Into<String>) -> Self {
        Self { field: Some(field), what: what.into(), how: how.into() }
    }

    /// The room is in a state in which that is not done.
    fn in_state(state: State, how: &str) -> Self {
        Self { field: None, what: format!("the room is in the state {}", state.label()), how: how.to_owned() }
    }
}

/// The room after an action, at this store time. The same as before where nothing is to do, and where what it does is not set here: the
/// start of an event, the end of a pass, a place by code.
///
/// # Errors
/// Why it is not done; nothing has changed then.
pub fn act(room: &Controls, action: &Action, now: Millis) -> Result<Controls, Refused> {
    let (state, mut next) = (room.state(now), room.clone());
    match action {
        Action::Pause => match state {
            State::Closed | State::Stop => return Err(Refused::in_state(state, "nobody is let in; reopen it first")),
            State::OpenToAll if room.passthrough => {
                return Err(Refused::in_state(state, "set its queueing_method to \"fifo\" in the rooms"));
            }
            _ => (next.queue_all, next.open_until) = (true, 0),
        },
        Action::Resume => match state {
            State::Closed | State::Stop | State::LastCall => {
                return Err(Refused::in_state(state, "reopen it to take newcomers again"));
            }
            _ => next.queue_all = false,
        },
        Action::Rate(amount) => next.new_users_per_minute = rate(room, *amount)?,
        Action::Seats(amount) => next.total_active_users = Some(seats(room, *amount)?),
        Action::Message(texts) => {
            texts.values().try_for_each(|text| is_plain(text))?;
            next.message.clone_from(texts);
        }
        Action::Close => (next.suspended, next.last_call, next.open_until) = (true, false, 0),
        Action::LastCall => match state {
            State::Closed | State::Stop => {
                return Err(Refused::in_state(state, "there are no new places; reopen it first"));
            }
            _ => (next.last_call, next.open_until) = (true, 0),
        },
        Action::Stop => (next.stopped, next.open_until) = (true, 0),
        Action::Reopen => {
            if room.stopped {
                next.passes_since = now;
            }
            (next.stopped, next.suspended, next.last_call) = (false, false, false);
            if next == *room && state == State::Paused {
                return Err(Refused::in_state(state, "resume it"));
            }
        }
        Action::Open(0) => next.open_until = 0,
        Action::Open(minutes) => next.open_until = opening(state, *minutes, now)?,
        Action::LetIn(shoppers) => match state {
            State::Running | State::LastCall => {
                // An order is known by its time, so it is later than the last.
                let at = room.let_in.map_or(now, |last| now.max(last.at + 1));
                next.let_in = Some(LetIn { at, shoppers: *shoppers });
            }
            State::OpenToAll => return Err(Refused::in_state(state, "everybody enters")),
            State::Paused => return Err(Refused::in_state(state, "resume it first")),
            State::Closed | State::Stop => return Err(Refused::in_state(state, "reopen it first")),
        },
        Action::StartEvent(_) | Action::Revoke(_) | Action::GivePlace => {}
    }
    Ok(next)
}

fn rate(room: &Controls, amount: Amount) -> Result<u32, Refused> {
    let wanted = amount.from(u64::from(room.new_users_per_minute));
    let most = room.max_new_users_per_minute.map_or(FASTEST, u64::from);
    match wanted {
        0 => Err(Refused::wrong("to", "no new shoppers at all is not a rate", "write at least 1, or pause the room")),
        _ if wanted > most => {
            let what = format!("{wanted} new shoppers a minute are above the ceiling of the room, {most}");
            Err(Refused::wrong("to", what, "ask for less, or raise max_new_users_per_minute in the rooms"))
        }
        _ => Ok(wanted as u32),
    }
}

fn seats(room: &Controls, amount: Amount) -> Result<u64, Refused> {
    if matches!((amount, room.total_active_users), (Amount::By(_), None)) {
        return Err(Refused::wrong(
            "to",
            "the room has no bound on those inside, so there is nothing to step from",
            "write a number",
        ));
    }
    let wanted = amount.from(room.total_active_users.unwrap_or(1));
    let fits = (1..=MOST_SEATS).contains(&wanted);
    let wrong = || {
        Refused::wrong(
            "to",
            format!("{wanted} seats"),
            format!("write 1 to {MOST_SEATS}; close the room to let nobody in"),
        )
    };
    fits.then_some(wanted).ok_or_else(wrong)
}

/// When an opening of so many minutes ends, in store time.
fn opening(state: State, minutes: u64, now: Millis) -> Result<Millis, Refused> {
    if minutes > LONGEST_OPENING {
        let how = format!("write 1 to {LONGEST_OPENING}, and say it again before it ends");
        return Err(Refused::wrong("minutes", format!("{minutes} minutes are too long"), how));
    }
    match state {
        State::Running | State::OpenToAll => Ok(now + minutes * 60_000),
        State::Paused => Err(Refused::in_state(state, "resume it first")),
        State::LastCall | State::Closed | State::Stop => Err(Refused::in_state(state, "reopen it first")),
    }
}

/// Checks whether so many shoppers may be let in before their time, by the rules that hold and a copy of the line.
///
/// # Errors
/// If nobody enters or waits, or if more than a minute of the rate would be owed.
pub fn may_let_in(shoppers: u64, rules: &Rules, line: &View) -> Result<(), Refused> {
    let now = |what: String, how: &str| Err(Refused { field: None, what, how: how.to_owned() });
    if !line.is_open(rules) {
        return now("nobody is let in at this moment".to_owned(), "wait until the room lets shoppers in");
    }
    if line.waiting() + line.claimants == 0 {
        return now("nobody waits in the line".to_owned(), "there is nobody to let in");
    }
    let minute = (line.rate(rules) * 60.0).floor() as u64;
    let left = minute.saturating_sub(line.owed);
    if (1..=left).contains(&shoppers) {
        return Ok(());
    }
    if left == 0 {
        let what = format!("{} are owed for those let in before: a minute of the rate is the most", line.owed);
        return now(what, "wait until the rate has paid some of it back");
    }
    let owed = if line.owed > 0 { format!(", and {} are owed for those before", line.owed) } else { String::new() };
    let what = format!("{shoppers} shoppers; a minute of the rate is {minute}{owed}");
    Err(Refused::wrong("shoppers", what, format!("write 1 to {left}")))
}

/// The number of the next place to give: behind those that the line knows, and those of the last lines of the audit, which may not have
/// come to the line yet. `live`: places whose codes are still good.
///
/// # Errors
/// If there are too many of these, or the line has had more than a segment holds.
pub fn next_given(line: &View, named: impl IntoIterator<Item = u64>, live: usize) -> Result<u64, Refused> {
    let refused = |what: String, how: &str| Err(Refused { field: None, what, how: how.to_owned() });
    if live >= MOST_GIVEN {
        return refused(
            format!("{live} places were given within a day: that is the most"),
            "let shoppers in by let-in",
        );
    }
    let known = GIVEN + line.segments.given_by_operators();
    match named.into_iter().fold(known, u64::max) + 1 {
        number if number < GIVEN + SPAN => Ok(number),
        _ => refused("the line has given all places that it can".to_owned(), "let shoppers in by let-in"),
    }
}

/// Why the token of a code gives no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadCode {
    /// It is none of a place that an operator gave.
    Unknown,
    /// It was good once: its time is over, or the place was given up or taken back.
    Over,
}

/// Holds the token of a code against the time and the state of its place.
///
/// # Errors
/// If it gives no place.
pub fn is_code(token: &Token, now: Millis, is_revoked: bool) -> Result<(), BadCode> {
    if token.kind != Kind::Ticket || base_of(token.number) != GIVEN {
        return Err(BadCode::Unknown);
    }
    if is_revoked || token.expires <= now { Err(BadCode::Over) } else { Ok(()) }
}

/// The number of a pass or place by its id for people, as in `Weir-Pass-Id`: unit of the segment and place within it, `5.42`.
///
/// # Errors
/// If it is none.
pub fn number_of(id: &str) -> Result<u64, Refused> {
    let read = id.trim().split_once('.').and_then(|(unit, place)| Some((unit.parse().ok()?, place.parse().ok()?)));
    let number = read
        .filter(|(_, place)| (1..SPAN).contains(place))
        .and_then(|(unit, place): (u64, u64)| unit.checked_mul(SPAN)?.checked_add(place));
    number.ok_or_else(|| {
        Refused::wrong("pass", format!("{id:?} is no id of a pass"), "write it as in Weir-Pass-Id, such as \"5.42\"")
    })
}

/// A text for the line: it is shown as it is written, so markup is a mistake.
///
/// # Errors
/// What is wrong with it.
pub fn is_plain(text: &str) -> Result<(), Refused> {
    let tag = |at: usize| text[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c));
    let wrong = match () {
        () if text.trim().is_empty() => Some("is empty".to_owned()),
        () if text.chars().count() > MESSAGE => Some(format!("has {} characters", text.chars().count())),
        () if text.contains(char::is_control) => Some("has control characters".to_owned()),
        () if text.match_indices('<').any(|(at, _)| tag(at)) => Some("has markup".to_owned()),
        () => None,
    };
    let how = || format!("write plain text on one line, 1 to {MESSAGE} characters");
    wrong.map_or(Ok(()), |wrong| Err(Refused::wrong("message", format!("a message {wrong}"), how())))
}

#[cfg(test)]
mod tests;
