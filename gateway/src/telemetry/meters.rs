//! What requests count: handles that a room, a server and the store have at hand.

use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Histogram};
use policy::admit::Ignored;

use super::catalogue::Metric;
use super::{PROCESS, Series, Waits, catalogue};
use crate::tls::client::TlsFailure;
use crate::upstream::{Http2Failure, Patience, UpstreamError};

/// What became of a request, in metrics and in the access line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Mark {
    /// Forwarded with a pass.
    Enter,
    /// Forwarded: a form whose pass had just ended.
    Late,
    /// A called ticket became a pass.
    Claim,
    /// A newcomer got a pass at once.
    Join,
    /// A newcomer got a place in the line.
    Queued,
    /// A newcomer was asked to confirm.
    Confirm,
    /// Somebody in the line was told their place.
    Wait,
    /// Forwarded without a pass: passthrough, or the store is away and the room fails open.
    Open,
    /// Forwarded: somebody who only looks at a calm room, without a number.
    Visit,
    /// Forwarded: a CORS preflight, which carries no pass.
    Preflight,
    /// Forwarded: somebody who returns from a payment without a pass.
    Return,
    /// A preflight over the room's rate of them.
    PreflightsOver,
    /// Forwarded: a path that loads for everyone.
    Bypass,
    /// Forwarded: traffic of no room.
    NoRoom,
    /// The room is suspended.
    Suspended,
    /// The room is full and rejects.
    Full,
    /// No place can come of the request, and there is no pass.
    NeedsPass,
    /// Over the client's quota.
    TooFast,
    /// Answered by the gateway itself, under `/.weir/`.
    Own,
    /// No upstream serves this host and path.
    NoRoute,
    /// Sent to the same address over TLS.
    Redirect,
    /// Not a request that can be answered.
    BadRequest,
}

/// Names of [`Mark`], in its order.
pub const VERDICTS: [&str; 22] = [
    "enter",
    "late",
    "claim",
    "join",
    "queued",
    "confirm",
    "wait",
    "open",
    "visit",
    "preflight",
    "return",
    "preflights_over",
    "bypass",
    "no_room",
    "suspended",
    "full",
    "needs_pass",
    "too_fast",
    "own",
    "no_route",
    "redirect",
    "bad_request",
];

impl Mark {
    /// As in metrics and logs.
    pub fn name(self) -> &'static str {
        VERDICTS[self as usize]
    }

    /// In one word.
    pub fn disposition(self) -> Disposition {
        match self {
            Self::Enter | Self::Late | Self::Claim | Self::Join => Disposition::Admitted,
            Self::Open | Self::Visit | Self::Preflight | Self::Return | Self::Bypass | Self::NoRoom => {
                Disposition::Open
            }
            Self::Queued | Self::Confirm | Self::Wait => Disposition::Queued,
            Self::PreflightsOver | Self::Suspended | Self::Full | Self::NeedsPass | Self::TooFast => {
                Disposition::Refused
            }
            Self::NoRoute | Self::BadRequest => Disposition::Invalid,
            Self::Own | Self::Redirect => Disposition::Own,
        }
    }
}

/// What became of a request, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Disposition {
    /// On to the shop with a pass.
    Admitted,
    /// On to the shop without one.
    Open,
    /// A place in the line, or the way to one.
    Queued,
    /// Neither.
    Refused,
    /// Nothing that could be answered.
    Invalid,
    /// Answered by the gateway itself.
    Own,
    /// To go on, and there was no room for it at the shop.
    Shed,
    /// To go on, and the shop gave no answer, or the client did not wait for it.
    Failed,
}

/// Names of [`Disposition`], in its order, with the class of status that it usually has.
pub const DISPOSITIONS: [(&str, usize); 8] = [
    ("admitted", 2),
    ("open", 2),
    ("queued", 4),
    ("refused", 4),
    ("invalid", 4),
    ("own", 2),
    ("shed", 5),
    ("failed", 5),
];

/// Classes of status; other codes count with the nearest.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

fn class(status: StatusCode) -> usize {
    usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1
}

/// Why a shown token did not count, in metrics and in the access line.
pub fn reason(ignored: Ignored) -> &'static str {
    IGNORED[ignored as usize].1
}

const IGNORED: [(Ignored, &str); 7] = [
    (Ignored::Malformed, "malformed"),
    (Ignored::Forged, "forged"),
    (Ignored::Foreign, "foreign"),
    (Ignored::Expired, "expired"),
    (Ignored::OldLine, "old_line"),
    (Ignored::Revoked, "revoked"),
    (Ignored::Evicted, "evicted"),
];

/// Why there was no answer of the shop, in metrics and in the access line; the first four are for want of room.
const UNANSWERED: [&str; 13] = [
    "upstream_busy",
    "room_busy",
    "upgrades_full",
    "gateway_exhausted",
    "no_server",
    "upstream_unreachable",
    "upstream_timeout",
    "upstream_reset",
    "upstream_head_too_large",
    "upstream_garbage",
    "client_gone",
    "client_slow",
    "upstream_no_upgrade",
];
const SHED: usize = 4;

/// Where it is counted.
enum Cause {
    Named(usize),
    Tls(TlsFailure),
    Http2(Http2Failure),
}

fn cause(error: &UpstreamError) -> Cause {
    Cause::Named(match error {
        UpstreamError::Busy { .. } => 0,
        UpstreamError::RoomBusy { .. } => 1,
        UpstreamError::UpgradesFull => 2,
        UpstreamError::Exhausted { .. } => 3,
        UpstreamError::NoServer => 4,
        UpstreamError::Connect { .. } => 5,
        UpstreamError::Timeout => 6,
        UpstreamError::Unsent(_) | UpstreamError::Reset(_) => 7,
        UpstreamError::HeadTooLarge(_) => 8,
        UpstreamError::Garbage(_) | UpstreamError::NotAskedToSwitch => 9,
        UpstreamError::ClientGone(_) => 10,
        UpstreamError::ClientSlow => 11,
        UpstreamError::NoUpgrade(_) => 12,
        UpstreamError::Tls { failure, .. } => return Cause::Tls(*failure),
        UpstreamError::Http2 { failure, .. } => return Cause::Http2(*failure),
    })
}

/// Counters of one room, or of the traffic of none. They are made for its first visitor: of thousands of rooms few have any, and
/// all these series would be most of a gateway's memory.
#[derive(Debug)]
pub struct RoomMeters {
    room: Box<str>,
    counts: OnceLock<Box<RoomCounts>>,
}

/// What a room without visitors tells: zeros, under a name that the page changes.
static UNVISITED: LazyLock<RoomCounts> = LazyLock::new(|| RoomCounts::of_room(""));

/// What seldom happens is told once it has.
#[derive(Debug)]
struct RoomCounts {
    series: Series,
    waits: OnceLock<Waits>,
    verdicts: [Counter; VERDICTS.len()],
    responses: [[OnceLock<Counter>; CLASSES.len()]; DISPOSITIONS.len()],
    ignored: [Counter; IGNORED.len()],
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

    /// Counts a request, and the answer that its shopper sees.
    pub fn answered(&self, mark: Mark, disposition: Disposition, status: StatusCode) {
        let counts = self.counts();
        counts.verdicts[mark as usize].increment(1);
        counts.response(&self.room, disposition as usize, class(status)).increment(1);
    }

    /// Counts a token that did not count.
    pub fn ignored(&self, ignored: Ignored) {
        self.counts().ignored[ignored as usize].increment(1);
    }

    /// Counts a request let through because the store is away.
    pub fn failed_open(&self) {
        self.counts().fail_open.increment(1);
    }

    /// Counts a request that the shop did not answer; what that is in a word, and why.
    pub fn unanswered(&self, error: &UpstreamError) -> (Disposition, &'static str) {
        let counts = self.counts();
        let (counter, disposition, reason) = match cause(error) {
            Cause::Named(index) if index < SHED => (&counts.unanswered[index], Disposition::Shed, UNANSWERED[index]),
            Cause::Named(index) => (&counts.unanswered[index], Disposition::Failed, UNANSWERED[index]),
            Cause::Tls(failure) => (&counts.tls[failure as usize], Disposition::Failed, failure.reason()),
            Cause::Http2(failure) => (&counts.http2[failure as usize], Disposition::Failed, failure.reason()),
        };
        let new = || counts.series.counter(&catalogue::UNANSWERED, &[&self.room, reason]);
        counter.get_or_init(new).increment(1);
        (disposition, reason)
    }

    /// Counts what happened to its line, under the room's name alone.
    pub fn happened(&self, metric: &Metric, times: u64) {
        self.counts().series.counter(metric, &[&self.room]).increment(times);
    }

    /// What was shown to those who wait, against what it was.
    pub fn waits(&self) -> &Waits {
        self.counts().waits(&self.room)
    }

    /// All that was counted. The label of the room is the name that it was made with, or none.
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
        counts
    }

    fn waits(&self, room: &str) -> &Waits {
        self.waits.get_or_init(|| Waits::of(room, &self.series))
    }

    fn response(&self, room: &str, disposition: usize, class: usize) -> &Counter {
        let labels = [room, DISPOSITIONS[disposition].0, CLASSES[class]];
        self.responses[disposition][class].get_or_init(|| self.series.counter(&catalogue::RESPONSES, &labels))
    }
}

/// Classes of traffic, in the order of [`Patience`].
pub const TRAFFIC: [(Patience, &str); 3] =
    [(Patience::Pass, "pass"), (Patience::Return, "return"), (Patience::Anonymous, "anonymous")];

/// What a server of the shop answered, and how fast.
#[derive(Debug)]
pub struct ServerMeters {
    series: Series,
    latency: [Histogram; TRAFFIC.len()],
    responses: [[Counter; CLASSES.len()]; TRAFFIC.len()],
    failures: [Counter; FAILURES.len()],
}

const FAILURES: [&str; 7] = ["connect", "tls", "timeout", "reset", "head_too_large", "garbage", "http2"];

impl ServerMeters {
    /// Those of this server of this upstream.
    pub fn of(upstream: &str, server: &str) -> Self {
        let series = Series::default();
        let latency = TRAFFIC.map(|(_, who)| series.histogram(&catalogue::UPSTREAM_LATENCY, &[upstream, server, who]));
        let responses = TRAFFIC.map(|(_, who)| {
            CLASSES.map(|class| series.counter(&catalogue::UPSTREAM_RESPONSES, &[upstream, server, who, class]))
        });
        let failures =
            FAILURES.map(|reason| series.counter(&catalogue::UPSTREAM_FAILURES, &[upstream, server, reason]));
        Self { series, latency, responses, failures }
    }

    /// Counts an answer whose head came after so long.
    pub fn answered(&self, who: Patience, status: StatusCode, after: Duration) {
        self.responses[who as usize][class(status)].increment(1);
        self.latency[who as usize].record(after);
    }

    /// Counts what was the server's fault.
    pub fn failed(&self, error: &UpstreamError) {
        let index = match error {
            UpstreamError::Connect { .. } => 0,
            UpstreamError::Tls { .. } => 1,
            UpstreamError::Timeout => 2,
            UpstreamError::Reset(_) => 3,
            UpstreamError::HeadTooLarge(_) => 4,
            UpstreamError::Garbage(_) | UpstreamError::NotAskedToSwitch => 5,
            UpstreamError::Http2 { .. } => 6,
            _ => return,
        };
        self.failures[index].increment(1);
    }

    /// All that was counted.
    pub fn series(&self) -> &Series {
        &self.series
    }
}

/// Counters of the store.
#[derive(Debug, Clone)]
pub struct StoreMeters {
    ok: Counter,
    failed: Counter,
    seconds: Histogram,
}

impl StoreMeters {
    /// Counts a call.
    pub fn call(&self, took: Duration, ok: bool) {
        self.seconds.record(took);
        if ok { &self.ok } else { &self.failed }.increment(1);
    }
}

impl Default for StoreMeters {
    fn default() -> Self {
        let [ok, failed] = ["ok", "failed"].map(|result| PROCESS.counter(&catalogue::STORE_CALLS, &[result]));
        Self { ok, failed, seconds: PROCESS.histogram(&catalogue::STORE_SECONDS, &[]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_up_by_its_place_stands_there() {
        for (place, (ignored, _)) in IGNORED.iter().enumerate() {
            assert_eq!(*ignored as usize, place);
        }
        for (place, (who, _)) in TRAFFIC.iter().enumerate() {
            assert_eq!(*who as usize, place);
        }
        assert_eq!(
            (Mark::BadRequest as usize, Disposition::Failed as usize),
            (VERDICTS.len() - 1, DISPOSITIONS.len() - 1)
        );
        let classes = [100, 204, 304, 429, 599, 999].map(|code| StatusCode::from_u16(code).map(class).ok());
        assert_eq!(classes, [Some(0), Some(1), Some(2), Some(3), Some(4), Some(4)]);
    }
}
