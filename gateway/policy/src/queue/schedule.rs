//! When a room is due for its next batch.

use std::time::Duration;

use crate::dormancy::{self, Dormancy};

/// Operations are gathered for this long before they are committed.
pub const GATHER: Duration = Duration::from_millis(4);
/// A lease is lived on in steps of this length.
pub const LEASE_STEP: Duration = Duration::from_millis(20);
/// Time moves a line at least this often while requests are held for a token: a bucket of 0.1 s must not overflow.
pub(super) const BUSY_TICK: Duration = Duration::from_millis(20);
/// An idle room is still polled this often: it bounds the effect of a missed report.
const DORMANT: Duration = Duration::from_mins(30);
/// Another gateway's report of activity in a room holds for this long.
const FOLLOW: Duration = Duration::from_millis(500);
/// Pause after the store failed...
const BACK_OFF: Duration = Duration::from_millis(400);
/// ...and up to this many milliseconds more.
const SPREAD: u32 = 200;

const TICK: Duration = Duration::from_millis(dormancy::TICK);

/// The pause after `failures` failures of the store. It differs at each gateway, whose id is random, and each time: gateways
/// lose a store at one moment and must not come back at one.
pub fn back_off(gateway: u32, failures: u32) -> Duration {
    BACK_OFF + Duration::from_millis(u64::from(gateway.rotate_left(failures.wrapping_mul(7)) % SPREAD))
}

/// When a room is due, and why.
#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) dormancy: Dormancy,
    due: Duration,
    /// The store gets no call until then.
    paused: Duration,
    /// Time of the last operation here, and until when another gateway's report holds.
    asked: Option<Duration>,
    followed: Option<Duration>,
}

impl Schedule {
    /// Due at once.
    pub(super) fn new(now: Duration) -> Self {
        Self { dormancy: Dormancy::default(), due: now, paused: Duration::ZERO, asked: None, followed: None }
    }

    pub(super) fn due(&self) -> Duration {
        self.due.max(self.paused)
    }

    /// Due by then, if it would not be sooner.
    pub(super) fn wake(&mut self, then: Duration) {
        self.due = self.due.min(then);
    }

    /// An operation was taken.
    pub(super) fn ask(&mut self, now: Duration) {
        self.asked = Some(now);
        self.wake(now + GATHER);
    }

    /// Another gateway reports activity.
    pub(super) fn follow(&mut self, now: Duration) {
        let known = self.followed.replace(now + FOLLOW).is_some_and(|until| until > now);
        self.wake(if known { now + TICK } else { now });
    }

    pub(super) fn follows(&self, now: Duration) -> bool {
        self.followed.is_some_and(|until| until > now)
    }

    /// Whether other gateways should poll the room too.
    pub(super) fn stirs(&self, now: Duration) -> bool {
        let awake = Duration::from_millis(dormancy::AWAKE);
        self.dormancy.stands() || self.asked.is_some_and(|asked| now < asked + awake)
    }

    /// The store has answered. `gathered`: callers have come meanwhile; `asks`: there is more to ask of the line or report.
    pub(super) fn answered(&mut self, now: Duration, gathered: bool, asks: bool) {
        self.due = now
            + match self.dormancy.next() {
                _ if gathered => GATHER,
                _ if asks => BUSY_TICK,
                _ if self.follows(now) => TICK,
                Some(millis) => Duration::from_millis(millis),
                None => DORMANT,
            };
    }

    /// The store has not answered.
    pub(super) fn pause(&mut self, now: Duration, until: Duration) {
        (self.due, self.paused) = (now, until);
    }
}
