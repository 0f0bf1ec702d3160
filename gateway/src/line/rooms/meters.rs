//! Counters of a room's requests, by handles at hand.

use std::sync::{LazyLock, OnceLock};

use http::StatusCode;
use metrics::Counter;
use policy::admit::Ignored;

use crate::settings::tls::client::TlsFailure;
use crate::telemetry::catalogue::{self, Metric};
use crate::telemetry::meters::{CLASSES, DISPOSITIONS, IGNORED, JOIN_REFUSALS, VERDICTS, class};
use crate::telemetry::{Disposition, Durations, JoinRefusal, RequestVerdict, Series, Waits};
use crate::ui::{QUESTIONS, Question};
use crate::upstream::{Http2Failure, UpstreamError};

/// Why the shop gave no answer, in metrics and in the access line; the first five are for want of room, and then comes one
/// that has a place at the gate of its route.
const UNANSWERED: [&str; 16] = [
    "upstream_busy",
    "room_busy",
    "route_busy",
    "upgrades_full",
    "gateway_exhausted",
    "held",
    "no_server",
    "upstream_unreachable",
    "upstream_timeout",
    "upstream_reset",
    "upstream_head_too_large",
    "upstream_garbage",
    "client_gone",
    "client_slow",
    "upstream_no_upgrade",
    "proxy_impatient",
];
const SHED: usize = 5;
const HELD: usize = SHED;

/// What became of a word of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordResult {
    /// It is in force.
    Obeyed,
    /// `enabled_origin_commands` does not name it.
    Disabled,
    /// It cannot be read.
    Invalid,
}

impl WordResult {
    fn name(self) -> &'static str {
        match self {
            Self::Obeyed => "obeyed",
            Self::Disabled => "disabled",
            Self::Invalid => "invalid",
        }
    }
}

/// The counter of a cause.
enum Cause {
    Named(usize),
    Tls(TlsFailure),
    Http2(Http2Failure),
}

fn cause(error: &UpstreamError) -> Cause {
    Cause::Named(match error {
        UpstreamError::Busy { .. } => 0,
        UpstreamError::RoomBusy { .. } => 1,
        UpstreamError::RouteBusy { .. } => 2,
        UpstreamError::UpgradesFull => 3,
        UpstreamError::Exhausted { .. } => 4,
        UpstreamError::Held { .. } => HELD,
        UpstreamError::NoServer => 6,
        UpstreamError::Connect { .. } => 7,
        UpstreamError::Timeout => 8,
        UpstreamError::Unsent(_) | UpstreamError::Reset(_) => 9,
        UpstreamError::HeadTooLarge(_) => 10,
        UpstreamError::Garbage(_) | UpstreamError::NotAskedToSwitch => 11,
        UpstreamError::ClientGone(_) => 12,
        UpstreamError::ClientSlow => 13,
        UpstreamError::NoUpgrade(_) => 14,
        UpstreamError::Late => 15,
        UpstreamError::Tls { failure, .. } => return Cause::Tls(*failure),
        UpstreamError::Http2 { failure, .. } => return Cause::Http2(*failure),
    })
}

/// Counters of one room, or of the traffic outside rooms. They are made for its first visitor: of thousands of rooms few have
/// any, and all these series would be most of a gateway's memory.
#[derive(Debug)]
pub struct RoomMeters {
    room: Box<str>,
    counts: OnceLock<Box<RoomCounts>>,
}

/// The metrics of a room without visitors: zeros, under a name that the page changes.
static UNVISITED: LazyLock<RoomCounts> = LazyLock::new(|| RoomCounts::of_room(""));

/// Counters of rare events, which appear after the first.
#[derive(Debug)]
struct RoomCounts {
    series: Series,
    waits: OnceLock<Waits>,
    verdicts: [Counter; VERDICTS.len()],
    responses: [[OnceLock<Counter>; CLASSES.len()]; DISPOSITIONS.len()],
    ignored: [Counter; IGNORED.len()],
    joins_refused: [OnceLock<Counter>; JOIN_REFUSALS.len()],
    answers_opened: [OnceLock<Counter>; QUESTIONS.len()],
    unanswered: [OnceLock<Counter>; UNANSWERED.len()],
    tls: [OnceLock<Counter>; TlsFailure::ALL.len()],
    http2: [OnceLock<Counter>; Http2Failure::ALL.len()],
    fail_open: Counter,
}

impl RoomMeters {
    /// The counters of the room of this name; of no room, if it is empty.
    pub fn of(room: &str) -> Self {
        Self { room: room.into(), counts: OnceLock::new() }
    }

    fn counts(&self) -> &RoomCounts {
        let new = if self.room.is_empty() { RoomCounts::of } else { RoomCounts::of_room };
        self.counts.get_or_init(|| Box::new(new(&self.room)))
    }

    /// Counts a request, and the answer to its shopper.
    pub fn answered(&self, mark: RequestVerdict, disposition: Disposition, status: StatusCode) {
        let counts = self.counts();
        counts.verdicts[mark as usize].increment(1);
        counts.response(&self.room, disposition as usize, class(status)).increment(1);
    }

    /// Counts an ignored token.
    pub fn ignored(&self, ignored: Ignored) {
        self.counts().ignored[ignored as usize].increment(1);
    }

    /// Counts a newcomer who asked for a place and got none.
    pub fn join_refused(&self, why: JoinRefusal) {
        self.counts().joins_refused(&self.room, why as usize).increment(1);
    }

    /// Counts a question that was opened on the page of answers.
    pub fn answer_opened(&self, question: Question) {
        self.counts().answers_opened(&self.room, question as usize).increment(1);
    }

    /// Those so far, in the order of [`JOIN_REFUSALS`].
    pub fn joins_refused(&self) -> [u64; JOIN_REFUSALS.len()] {
        JOIN_REFUSALS.map(|reason| self.series().count(&catalogue::JOINS_REFUSED, &[&self.room, reason]))
    }

    /// The waits so far of those who entered from the line.
    pub fn waited(&self) -> Durations {
        self.series().durations(&catalogue::ROOM_WAIT, &[&self.room])
    }

    /// Counts a request let through because the store is away.
    pub fn failed_open(&self) {
        self.counts().fail_open.increment(1);
    }

    /// Counts a request without an answer of the shop; returns its disposition in a word, and why.
    pub fn unanswered(&self, error: &UpstreamError) -> (Disposition, &'static str) {
        let counts = self.counts();
        let (counter, disposition, reason) = match cause(error) {
            Cause::Named(index) if index < SHED => (&counts.unanswered[index], Disposition::Shed, UNANSWERED[index]),
            Cause::Named(HELD) => (&counts.unanswered[HELD], Disposition::Queued, UNANSWERED[HELD]),
            Cause::Named(index) => (&counts.unanswered[index], Disposition::Failed, UNANSWERED[index]),
            Cause::Tls(failure) => (&counts.tls[failure as usize], Disposition::Failed, failure.reason()),
            Cause::Http2(failure) => (&counts.http2[failure as usize], Disposition::Failed, failure.reason()),
        };
        let new = || counts.series.counter(&catalogue::UNANSWERED, &[&self.room, reason]);
        counter.get_or_init(new).increment(1);
        (disposition, reason)
    }

    /// Counts an event of its line, under the room's name alone.
    pub fn happened(&self, metric: &Metric, times: u64) {
        self.counts().series.counter(metric, &[&self.room]).increment(times);
    }

    /// Counts a word of the shop.
    pub fn heard(&self, word: &'static str, result: WordResult) {
        let labels = [&*self.room, word, result.name()];
        self.counts().series.counter(&catalogue::SHOP_WORDS, &labels).increment(1);
    }

    /// Displayed waits against actual ones.
    pub fn waits(&self) -> &Waits {
        self.counts().waits(&self.room)
    }

    /// All its series. The label of the room is the name that it was made with, or none.
    pub fn series(&self) -> &Series {
        &self.counts.get().map_or(&*UNVISITED, |counts| counts).series
    }
}

impl RoomCounts {
    fn of(room: &str) -> Self {
        let series = Series::default();
        let counts = Self {
            waits: OnceLock::new(),
            verdicts: VERDICTS.map(|verdict| series.counter(&catalogue::REQUESTS, &[room, verdict])),
            responses: Default::default(),
            ignored: IGNORED.map(|(_, reason)| series.counter(&catalogue::TOKENS_IGNORED, &[room, reason])),
            joins_refused: Default::default(),
            answers_opened: Default::default(),
            unanswered: Default::default(),
            tls: Default::default(),
            http2: Default::default(),
            fail_open: series.counter(&catalogue::FAIL_OPEN, &[room]),
            series,
        };
        for (disposition, (_, usual)) in DISPOSITIONS.iter().enumerate() {
            counts.response(room, disposition, usual - 1);
        }
        counts
    }

    fn of_room(room: &str) -> Self {
        let counts = Self::of(room);
        counts.waits(room);
        for why in 0..JOIN_REFUSALS.len() {
            counts.joins_refused(room, why);
        }
        counts
    }

    fn waits(&self, room: &str) -> &Waits {
        self.waits.get_or_init(|| Waits::of(room, &self.series))
    }

    fn joins_refused(&self, room: &str, why: usize) -> &Counter {
        let new = || self.series.counter(&catalogue::JOINS_REFUSED, &[room, JOIN_REFUSALS[why]]);
        self.joins_refused[why].get_or_init(new)
    }

    fn answers_opened(&self, room: &str, question: usize) -> &Counter {
        let new = || self.series.counter(&catalogue::ANSWERS_OPENED, &[room, QUESTIONS[question]]);
        self.answers_opened[question].get_or_init(new)
    }

    fn response(&self, room: &str, disposition: usize, class: usize) -> &Counter {
        let labels = [room, DISPOSITIONS[disposition].0, CLASSES[class]];
        self.responses[disposition][class].get_or_init(|| self.series.counter(&catalogue::RESPONSES, &labels))
    }
}
