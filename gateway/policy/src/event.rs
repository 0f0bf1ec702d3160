//! Events: a room that opens at a time, and what it is until then, during it and after it.
//!
//! ```text
//!            prequeue_start_time      event_start_time          event_end_time
//!   before           |     pre-queue         |      running           |  ended
//!   the room         |  newcomers wait       |  the room with the     |  the room; the tickets
//!   as it is         |  nobody enters        |  event's overrides     |  stay in its line
//! ```
//!
//! A phase is a function of the store's clock ([`crate::view::View::utc`]) and of nothing else. So no job has to fire and none can be
//! missed, and all gateways agree. The store itself applies the rules that are due at its time ([`Rules::at`]): a gateway whose
//! copy of the time is old can let in nobody too early.
//!
//! While the store is away a gateway only guesses its time. Until the store has said that an event has started, every
//! `fail_mode` means `closed` ([`Timetable::room`]).
//!
//! Out of scope: texts of times, time zones, and the draw.

use crate::Millis;
use crate::room::{FailMode, QueueingMethod, Room, Rules, ScheduledRules};

/// A pre-queue begins at least this long before the start.
pub const LEAST_PREQUEUE: Millis = 30_000;
/// An event lasts at least this long.
pub const LEAST_DURATION: Millis = 60_000;

/// The times of an event, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// From here on newcomers gather, and nobody enters.
    pub prequeue: Option<Millis>,
    /// From here on shoppers enter.
    pub start: Millis,
    /// From here on the room is as without the event.
    pub end: Millis,
}

/// Where an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It has not begun.
    Before,
    /// Newcomers gather.
    Prequeue,
    /// It has started.
    Running,
    /// It is over.
    Ended,
}

impl Phase {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Prequeue => "prequeue",
            Self::Running => "running",
            Self::Ended => "ended",
        }
    }
}

/// Times that cannot be those of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTimes {
    /// The pre-queue is too short.
    #[error("the pre-queue begins less than 30 s before the start")]
    Prequeue,
    /// The event is too short, or ends before it starts.
    #[error("the event ends less than 1 min after its start")]
    End,
}

/// Why the times of an event cannot be changed to these any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLate {
    /// It has started.
    #[error("the event runs, and an event starts once")]
    Start,
    /// It would have ended before the change.
    #[error("has passed by the clock of the store")]
    End,
}

/// Why an event cannot be started before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotStarted {
    /// It has started.
    #[error("it runs already, and an event starts once")]
    Running,
    /// It is over.
    #[error("it is over")]
    Ended,
    /// Its pre-queue is too short; when it is long enough.
    #[error("its pre-queue lasts 30 s at least")]
    Prequeue(Millis),
}

impl Times {
    /// The times of an event that is started at this time of the store, before its own. The end stays as it was told to people. A
    /// pre-queue that has not begun is left out.
    ///
    /// # Errors
    /// If it has started before, or its pre-queue has just begun.
    pub fn started(self, utc: Millis) -> Result<Self, NotStarted> {
        let prequeue = match (self.phase(utc), self.prequeue) {
            (Phase::Running, _) => return Err(NotStarted::Running),
            (Phase::Ended, _) => return Err(NotStarted::Ended),
            (Phase::Prequeue, Some(begun)) if utc < begun.saturating_add(LEAST_PREQUEUE) => {
                return Err(NotStarted::Prequeue(begun.saturating_add(LEAST_PREQUEUE)));
            }
            (Phase::Prequeue, begun) => begun,
            (Phase::Before, _) => None,
        };
        Ok(Self { prequeue, start: utc, ..self })
    }

    /// Checks a change to these times at this time of the store; `before`: what they are so far, `None` for a new event.
    ///
    /// While an event runs its start stays: an earlier one would say what was not so, and a later one would let it start again.
    ///
    /// # Errors
    /// The first of start and end that comes too late.
    pub fn check_change(&self, before: Option<&Self>, utc: Millis) -> Result<(), TooLate> {
        if before.is_some_and(|before| before.phase(utc) == Phase::Running && before.start != self.start) {
            return Err(TooLate::Start);
        }
        let is_new = before.is_none_or(|before| before.end != self.end);
        if is_new && self.end <= utc { Err(TooLate::End) } else { Ok(()) }
    }

    /// Checks that pre-queue and event are long enough.
    ///
    /// # Errors
    /// The first of them that is not.
    pub fn check(&self) -> Result<(), BadTimes> {
        if self.prequeue.is_some_and(|prequeue| self.start < prequeue.saturating_add(LEAST_PREQUEUE)) {
            return Err(BadTimes::Prequeue);
        }
        if self.end < self.start.saturating_add(LEAST_DURATION) { Err(BadTimes::End) } else { Ok(()) }
    }

    /// When it begins to count: with its pre-queue, if it has one.
    pub fn begin(&self) -> Millis {
        self.prequeue.unwrap_or(self.start)
    }

    /// Where the event is at this time of the store.
    pub fn phase(&self, utc: Millis) -> Phase {
        match utc {
            utc if utc >= self.end => Phase::Ended,
            utc if utc >= self.start => Phase::Running,
            utc if utc >= self.begin() => Phase::Prequeue,
            _ => Phase::Before,
        }
    }

    /// Whether some moment belongs to both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.begin() < other.end && other.begin() < self.end
    }
}

/// An event of a room.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its name, unique in the room.
    pub name: String,
    /// Its times, which overlap those of no other event of the room.
    pub times: Times,
    /// From its pre-queue on, those who are inside wait too.
    pub prequeue_active_users: bool,
    /// The room while it runs: what the event does not say is as in the room.
    pub room: Room,
}

/// A stretch of time in which a room is the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Period {
    /// Its first moment, in UTC. It ends with the next one.
    pub from: Millis,
    /// The event that is in its pre-queue, or runs: its index, in order of time.
    pub event: Option<usize>,
    /// The room.
    pub room: Room,
    /// The room while the store is away and has not said that this period has come.
    held: Room,
}

/// What is said about the time to those who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announcement {
    /// Nothing.
    None,
    /// Shoppers enter from this time on, in UTC.
    Starts(Millis),
    /// The last event is over, and shoppers enter during events alone.
    Ended,
}

/// A room with its events.
#[derive(Debug, Clone, PartialEq)]
pub struct Timetable {
    /// In order of time; the first begins at 0.
    periods: Vec<Period>,
    /// In order of time.
    events: Vec<Event>,
    /// The room while the time of the store is unknown.
    unknown: Room,
}

impl Timetable {
    /// The timetable of a room. The events do not overlap.
    pub fn new(room: &Room, mut events: Vec<Event>) -> Self {
        events.sort_by_key(|event| event.times.begin());
        let period = |from, event, room: Room| Period { from, event, held: held(&room), room };
        let mut periods = vec![period(0, None, room.clone())];
        let mut since = room.passes_since;
        for (index, Event { times, prequeue_active_users, room: running, .. }) in events.iter().enumerate() {
            if *prequeue_active_users {
                since = times.begin();
            }
            let of = |room: Room| Room { passes_since: since, ..room };
            if let Some(prequeue) = times.prequeue {
                periods.push(period(prequeue, Some(index), of(gathering(running))));
            }
            periods.push(period(times.start, Some(index), of(running.clone())));
            periods.push(period(times.end, None, of(room.clone())));
        }
        // Where one event follows the other at once there is nothing between them.
        let next: Vec<Millis> = periods.iter().skip(1).map(|period| period.from).collect();
        let mut next = next.into_iter();
        periods.retain(|period| next.next() != Some(period.from));
        let unknown = if events.is_empty() { room.clone() } else { held(room) };
        Self { periods, events, unknown }
    }

    /// The events, in order of time.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Every stretch of time, in order.
    pub fn periods(&self) -> &[Period] {
        &self.periods
    }

    /// The stretch that this time belongs to.
    pub fn at(&self, utc: Millis) -> &Period {
        let next = self.periods.partition_point(|period| period.from <= utc);
        &self.periods[next.max(1) - 1]
    }

    /// The room at a time. `heard` is what the store's clock was when it last answered, `now` what it should be by now; `away`: it
    /// does not answer. Until it says so itself, no event has started.
    pub fn room(&self, heard: Option<Millis>, now: Millis, away: bool) -> &Room {
        let Some(heard) = heard else { return &self.unknown };
        let period = self.at(now);
        let unheard = away && self.events.iter().any(|event| heard < event.times.start && event.times.start <= now);
        if unheard { &period.held } else { &period.room }
    }

    /// The event in its pre-queue or running, and where it is.
    pub fn current(&self, utc: Millis) -> Option<(&Event, Phase)> {
        let event = &self.events[self.at(utc).event?];
        Some((event, event.times.phase(utc)))
    }

    /// The next event that is still to begin.
    pub fn next(&self, utc: Millis) -> Option<&Event> {
        self.events.iter().find(|event| event.times.phase(utc) == Phase::Before)
    }

    /// What is said about the time to those who wait.
    pub fn announcement(&self, utc: Millis) -> Announcement {
        match self.current(utc) {
            Some((event, Phase::Prequeue)) => return Announcement::Starts(event.times.start),
            Some(_) => return Announcement::None,
            None if !self.at(utc).room.events_only => return Announcement::None,
            None => {}
        }
        self.next(utc).map_or(Announcement::Ended, |event| Announcement::Starts(event.times.start))
    }

    /// The rules of the room, with those that come by time.
    pub fn rules(&self) -> Rules {
        let later = self.periods.iter().skip(1);
        let scheduled = later.map(|period| ScheduledRules { from: period.from, rules: period.room.rules.clone() });
        Rules { scheduled: scheduled.collect(), ..self.periods[0].room.rules.clone() }
    }

    /// The highest rate of any time, in new shoppers per second.
    pub fn highest_rate(&self) -> f64 {
        self.periods.iter().map(|period| period.room.rules.rate).fold(0.0, f64::max)
    }
}

/// The room in the pre-queue of an event in which it is `running`: newcomers get a place, and nobody enters.
fn gathering(running: &Room) -> Room {
    let room = held(running);
    Room { rules: Rules { enforced: true, gathers: true, ..room.rules }, ..room }
}

/// A room whose line stands until the store answers.
fn held(room: &Room) -> Room {
    let queueing_method = match room.queueing_method {
        QueueingMethod::Passthrough => QueueingMethod::Fifo,
        method => method,
    };
    let rules = Rules { open: false, ..room.rules.clone() };
    Room { rules, queueing_method, fail_mode: FailMode::Closed, ..room.clone() }
}

#[cfg(test)]
mod tests;
