//! The outcome of a request, in the words of metrics and access lines; and the results of the store's calls.

use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Histogram};
use policy::admit::Ignored;

use super::{PROCESS, catalogue};

/// The outcome of a request, in metrics and in the access line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum RequestVerdict {
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
    /// The holder of a ticket was shown its place.
    Wait,
    /// Forwarded without a pass: passthrough, or the store is away and the room fails open.
    Open,
    /// Forwarded: a visit to a calm room, without a number.
    Visit,
    /// Forwarded: a CORS preflight, which carries no pass.
    Preflight,
    /// Forwarded: a return from a payment without a pass.
    Return,
    /// A preflight over the room's rate of them.
    PreflightsOver,
    /// Forwarded: a path that loads for every visitor.
    Bypass,
    /// Forwarded: traffic outside rooms.
    NoRoom,
    /// The room is suspended.
    Suspended,
    /// The room is full and rejects.
    Full,
    /// Such a request takes no place, and there is no pass.
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

/// Names of [`RequestVerdict`], in its order.
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

impl RequestVerdict {
    /// As in metrics and logs.
    pub fn name(self) -> &'static str {
        VERDICTS[self as usize]
    }

    /// Its disposition.
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

/// The outcome of a request, in one word.
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
    /// Not a valid request.
    Invalid,
    /// Answered by the gateway itself.
    Own,
    /// To be forwarded, and there was no room for it at the shop.
    Shed,
    /// To be forwarded, and the shop gave no answer, or the client did not wait for it.
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
pub(crate) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The index of its class in [`CLASSES`].
pub(crate) fn class(status: StatusCode) -> usize {
    usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1
}

/// Why a newcomer who asked for a place got none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum JoinRefusal {
    /// The room is suspended.
    Suspended,
    /// The room is full, and keeps no line.
    Full,
    /// The address has confirmed as many places as it may.
    Quota,
}

/// Names of [`JoinRefusal`], in its order.
pub const JOIN_REFUSALS: [&str; 3] = ["suspended", "full", "quota"];

/// How long requests took, by disposition.
#[derive(Debug)]
pub struct RequestMeters([Histogram; DISPOSITIONS.len()]);

impl RequestMeters {
    /// Counts an answer whose head is ready after `took`.
    pub fn answered(&self, disposition: Disposition, took: Duration) {
        self.0[disposition as usize].record(took);
    }
}

impl Default for RequestMeters {
    fn default() -> Self {
        Self(DISPOSITIONS.map(|(name, _)| PROCESS.histogram(&catalogue::REQUEST_SECONDS, &[name])))
    }
}

/// Why a token did not count, in metrics and in the access line.
pub fn reason(ignored: Ignored) -> &'static str {
    IGNORED[ignored as usize].1
}

/// Names of [`Ignored`], in its order.
pub(crate) const IGNORED: [(Ignored, &str); 8] = [
    (Ignored::Malformed, "malformed"),
    (Ignored::Forged, "forged"),
    (Ignored::Foreign, "foreign"),
    (Ignored::Expired, "expired"),
    (Ignored::OldLine, "old_line"),
    (Ignored::Revoked, "revoked"),
    (Ignored::Evicted, "evicted"),
    (Ignored::Requeued, "requeued"),
];

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
        assert_eq!(
            (RequestVerdict::BadRequest as usize, Disposition::Failed as usize),
            (VERDICTS.len() - 1, DISPOSITIONS.len() - 1)
        );
        assert_eq!(JoinRefusal::Quota as usize, JOIN_REFUSALS.len() - 1);
        let classes = [100, 204, 304, 429, 599, 999].map(|code| StatusCode::from_u16(code).map(class).ok());
        assert_eq!(classes, [Some(0), Some(1), Some(2), Some(3), Some(4), Some(4)]);
    }
}
