//! Answers to waiting shoppers: the status document, the waiting JSON, the page.
//!
//! Pure functions from values to bytes. A [`Snapshot`] is made once per copy of a line and holds
//! the bytes common to all; a [`QueuePosition`] is one shopper's place in it. The answer to a poll is
//! then a few numbers written between prepared pieces: no template, no serializer, one allocation.
//!
//! Out of scope: sockets, headers, status codes, the store, the clock.

mod answers;
mod brand;
mod gate;
mod gzip;
mod held;
mod json;
mod language;
mod message;
mod notice;
mod on_demand;
mod operators;
mod page;
mod pass;
mod question;
mod queue_script;
mod status;
mod template;

use std::sync::Arc;

use bytes::Bytes;
use jiff::tz::TimeZone;
use policy::Millis;
use policy::event::{Announcement, Phase, Times};
use policy::line::View;
use policy::line::segment::place_of;
use policy::outlook::{Outlook, Standstill, Wait};
use policy::pacer::PollTable;
use policy::room::Room;
use policy::stock::{Stock, StockState};
use policy::ticket::TICKET_KEPT;

pub use brand::{Brand, Colour, LOGO_BYTES, Logo, LogoError};
pub use gate::{held_json, held_text, turn_json};
pub use held::HeldForm;
pub use language::Language;
pub use message::Message;
pub use notice::{Form, Notice, Notices};
pub use page::WaitingPage;
pub use pass::{pass_script, pass_status};
pub use question::{QUESTIONS, Question};
pub use queue_script::queue_script;
pub(crate) use status::{clock_of_day, iso};
pub use template::{Coding, Filled, PageError};

/// Seconds after which the holder of a provisional ticket polls again, before stretching.
const PROVISIONAL: f64 = 10.0;

/// The state of a room in one word, as Cloudflare names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Every shopper goes through.
    NotQueueing,
    /// A line stands.
    Queueing,
    /// An event gathers people before its start.
    EventPrequeueing,
    /// The room is suspended.
    Suspended,
}

impl State {
    /// The state of rules and line, but for the pre-queue of an event.
    pub fn of(room: &Room, line: &View) -> Self {
        if room.suspended {
            Self::Suspended
        } else if line.waiting() > 0 || line.claimants > 0 || !line.is_open(&room.rules) {
            Self::Queueing
        } else {
            Self::NotQueueing
        }
    }

    /// The word itself.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotQueueing => "not_queueing",
            Self::Queueing => "queueing",
            Self::EventPrequeueing => "event_prequeueing",
            Self::Suspended => "suspended",
        }
    }
}

/// What the events of a room say at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventFacts {
    /// The store's time of day.
    pub utc: Millis,
    /// What those who wait are told.
    pub announcement: Announcement,
    /// The times of the event that is in its pre-queue or runs, and where it is.
    pub current: Option<(Times, Phase)>,
}

impl EventFacts {
    /// Of a room without events.
    pub const NONE: Self = Self { utc: 0, announcement: Announcement::None, current: None };

    /// Whether an event gathers people before its start.
    pub fn is_prequeueing(&self) -> bool {
        self.current.is_some_and(|(_, phase)| phase == Phase::Prequeue)
    }

    /// When shoppers enter, and in how many milliseconds.
    fn starts(&self) -> Option<(Millis, Millis)> {
        match self.announcement {
            Announcement::Starts(at) => Some((at, at.saturating_sub(self.utc))),
            Announcement::None | Announcement::Ended => None,
        }
    }
}

/// The input of a [`Snapshot`].
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The room's name, `[a-z0-9-]{1,32}`.
    pub name: &'a str,
    /// Its rules.
    pub room: &'a Room,
    /// The latest copy of its line.
    pub line: &'a View,
    /// How often shoppers should poll.
    pub poll: PollTable,
    /// Its state in one word.
    pub state: State,
    /// Whether the store fails to answer.
    pub away: bool,
    /// Whether no server of the shop can be reached.
    pub shop_rests: bool,
    /// The time zone of displayed times.
    pub zone: &'a TimeZone,
    /// The id of the text of its waiting page: a page with another one loads itself again.
    pub page: u32,
    /// What its events say.
    pub event: EventFacts,
    /// What operators tell those who wait.
    pub message: Option<&'a Arc<Message>>,
}

impl Facts<'_> {
    /// Why places do not move up, if the line itself is the reason.
    fn standstill(&self) -> Option<Standstill> {
        self.line.standstill(&self.room.rules).filter(|_| !self.shop_rests)
    }
}

/// The part of the answers that is the same for all shoppers at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    status: Bytes,
    json: Bytes,
    updated: String,
    clock: String,
    event: EventFacts,
    /// The time of the start, as `2026-01-31T09:05:00.000Z` and in the room's zone.
    starts: [String; 2],
    /// Until when at least a turn that has come now is kept, in the room's zone.
    turn_until: String,
    line: View,
    outlook: Outlook,
    standstill: Option<Standstill>,
    poll: PollTable,
    pace: f64,
    open: bool,
    away: bool,
    rests: bool,
    message: Option<Arc<Message>>,
}

impl Snapshot {
    /// Prepares the answers of this moment.
    pub fn new(facts: &Facts<'_>) -> Self {
        let updated = status::iso(facts.line.now);
        Self {
            status: status::document(facts),
            json: json::head(facts, &updated),
            updated,
            clock: status::clock(facts.line.now, facts.zone),
            event: facts.event,
            starts: facts
                .event
                .starts()
                .map_or_else(Default::default, |(at, _)| [status::iso(at), status::date_and_clock(at, facts.zone)]),
            turn_until: status::date_and_clock(facts.line.now.saturating_add(TICKET_KEPT), facts.zone),
            line: View { adopted: Vec::new(), ..facts.line.clone() },
            outlook: facts.line.outlook(&facts.room.rules),
            standstill: facts.standstill(),
            poll: facts.poll,
            pace: facts.line.pace(&facts.room.rules),
            open: facts.room.rules.open,
            away: facts.away,
            rests: facts.shop_rests,
            message: facts.message.cloned(),
        }
    }

    /// The status document: JSON under 400 bytes (450 where the shop tells its stock), from which the page computes its own place and wait.
    pub fn status(&self) -> Bytes {
        self.status.clone()
    }

    /// The place of the holder of this ticket; `None`: a provisional one. `jitter` (0.85 to
    /// 1.15) spreads the polls.
    pub fn standing(&self, ticket: Option<u64>, jitter: f64) -> QueuePosition {
        let ahead = ticket.map_or(0, |number| self.line.segments.ahead_of(number));
        let wait = self.outlook.wait(ahead).filter(|_| self.moves() && ticket.is_some());
        let interval =
            if ticket.is_some() { self.poll.after(ahead, self.pace) } else { PROVISIONAL * self.poll.stretch };
        let poll_tenths = (interval * jitter * 10.0).round() as u64;
        let position = ticket.and_then(|number| self.line.position(number));
        QueuePosition { ticket, round: None, position, wait, poll_after: ((poll_tenths + 5) / 10).max(1), poll_tenths }
    }

    /// The wait for the next newcomer, if one is shown.
    pub fn newcomers_wait(&self) -> Option<Wait> {
        let ahead = self.line.waiting().saturating_add(1);
        self.outlook.wait(ahead).filter(|_| self.moves())
    }

    /// Whether the line lets shoppers in.
    fn moves(&self) -> bool {
        self.open && !self.away && !self.rests && !self.line.stock.is_some_and(|stock| stock.stands())
    }

    /// Whether the stock may not last until the turn of this shopper.
    fn may_end_before(&self, standing: &QueuePosition) -> bool {
        let ahead = standing.position.filter(|_| self.moves()).unwrap_or(0);
        self.line.stock.is_some_and(|stock| stock.may_end_before(ahead))
    }

    /// What those who wait are told of the time.
    pub fn announcement(&self) -> Announcement {
        self.event.announcement
    }

    /// The time of the start, for machines and for people; empty if there is none.
    pub fn starts(&self) -> &[String; 2] {
        &self.starts
    }

    /// The time left until the start, as `1:02:03` or `2:03`.
    fn push_countdown(&self, out: &mut Vec<u8>) {
        let Some((_, left)) = self.event.starts() else { return };
        let seconds = left.div_ceil(1_000);
        let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        let text = match hours {
            0 => format!("{minutes}:{seconds:02}"),
            _ => format!("{hours}:{minutes:02}:{seconds:02}"),
        };
        out.extend_from_slice(text.as_bytes());
    }

    /// The waiting JSON of a newcomer who is asked to confirm.
    pub fn arriving_json(&self) -> Bytes {
        json::arriving(&self.json)
    }

    /// The waiting JSON of one shopper.
    pub fn json(&self, standing: &QueuePosition) -> Bytes {
        json::waiting(&self.json, standing)
    }

    /// The same for a request that cannot wait in the line, with the path of the page that can.
    pub fn json_elsewhere(&self, standing: &QueuePosition, page: &str) -> Bytes {
        json::waiting_elsewhere(&self.json, standing, page)
    }

    /// The place of one shopper, for a client that wants neither page nor JSON.
    pub fn text(&self, standing: &QueuePosition) -> Bytes {
        let mut out = Vec::with_capacity(120);
        match standing.position {
            Some(0) if self.moves() => out.extend_from_slice(b"Your turn has come: ask for the page again"),
            Some(0) => out.extend_from_slice(b"You are at the front of the line, your place is kept"),
            Some(position) => {
                out.extend_from_slice(b"You are in line, place ");
                push_number(&mut out, position);
            }
            None => out.extend_from_slice(b"You are in line, your place is kept"),
        }
        if standing.wait.is_some() && standing.position != Some(0) {
            out.extend_from_slice(b", ");
            Language::English.push_wait(&mut out, standing.wait);
        }
        out.extend_from_slice(b". Ask again in ");
        push_number(&mut out, standing.poll_after);
        out.extend_from_slice(b" s.\n");
        Bytes::from(out)
    }

    fn state(&self, standing: &QueuePosition) -> page::PageState {
        use page::PageState;
        match standing.ticket {
            None if standing.round.is_some() && !self.away => match self.event.announcement {
                Announcement::Starts(_) if !self.open => PageState::BeforeDraw,
                _ => PageState::Drawing,
            },
            None => PageState::Provisional,
            Some(_) if standing.position.is_none() => {
                if self.away {
                    PageState::Provisional
                } else {
                    PageState::Unsure
                }
            }
            Some(_) if self.away => PageState::Away,
            Some(_) if !self.open => match self.event.announcement {
                Announcement::Starts(_) => PageState::Before,
                Announcement::Ended => PageState::Over,
                Announcement::None => PageState::Paused,
            },
            Some(_) if let Some(state) = self.line.stock.filter(Stock::stands) => match state.state {
                StockState::SoldOut => PageState::SoldOut,
                _ => PageState::LastItems,
            },
            Some(_) if self.rests && standing.position == Some(0) => PageState::CalledAtRest,
            Some(_) if self.rests => PageState::AtRest,
            Some(_) if standing.position == Some(0) => PageState::Called,
            Some(_) if standing.wait.is_none() => PageState::Still,
            Some(_) => PageState::Moving,
        }
    }
}

/// One shopper's place, as displayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuePosition {
    /// Number of the ticket; `None` while it is provisional.
    pub ticket: Option<u64>,
    /// The round whose draw decides on the number.
    pub round: Option<u32>,
    /// People ahead, the holder included: 1 is next, 0 is called. `None` while unknown.
    pub position: Option<u64>,
    /// The wait, if it is known.
    pub wait: Option<Wait>,
    /// Seconds until the next poll, at least 1.
    pub poll_after: u64,
    /// The same in tenths, for clients that can: a crowd that came together and counts in whole seconds
    /// keeps polling in step, and the line runs dry between two waves of claims.
    pub poll_tenths: u64,
}

impl QueuePosition {
    /// No place yet: a shopper who comes back in a second gets one.
    pub const ARRIVING: Self =
        Self { ticket: None, round: None, position: None, wait: None, poll_after: 1, poll_tenths: 10 };

    /// The same in this round, if there is one.
    #[must_use]
    pub fn in_round(self, round: Option<u32>) -> Self {
        Self { round, ..self }
    }

    /// The text for a program that wants neither page nor JSON, before it has a place.
    pub fn arriving_text() -> Bytes {
        Bytes::from_static(
            b"There is a line. Ask again within a minute, with the cookie of this answer, to take a place in it.\n",
        )
    }

    /// The displayed form of the ticket: its segment, and the number there.
    fn place(&self) -> Option<(u64, u64)> {
        self.ticket.map(place_of)
    }

    /// The wait in whole minutes, as Cloudflare's `waitTime`: the middle of the range, rounded up.
    fn wait_minutes(&self) -> u64 {
        self.wait.map_or(0, |wait| u64::midpoint(wait.low, wait.high).div_ceil(60))
    }
}

fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
