//! Leases: how a room with `fail_mode = "static"` goes on while its store is away.
//!
//! With every answer a line lends each gateway a part of itself: a [`Lease`] on a share of the rate and on some of
//! the free seats, for [`LEASE`]. A gateway without an answer for [`BEGIN`] lives on its lease until that ends.
//!
//! - `LeaseTable` is the line's side. A gateway counts as **silent** `SILENT` after the last answer that it has
//!   confirmed; from then on it may be spending, and the bucket of the line fills at the rate less its share. Only its
//!   gateway gives a lent seat. A loan shrinks only when its gateway confirms the smaller one.
//! - [`HeldLease`] is the gateway's side: a bucket of its own that starts empty, and a pointer of its own that moves on
//!   at the last known speed, so that it is the same at every gateway.
//!
//! Why no window of length `T` sees more than `rate x T + burst` on both sides together: the line reserves a share
//! before its gateway begins to spend it (`SILENT < BEGIN`), and until that gateway confirms an answer after the cut:
//! by then it has stopped and reported its passes. So the speeds add up to `rate` at most. The buckets add up to `burst`
//! at most: the line's own holds less by the [`hold`] of each silent gateway, and a lease is given only where the burst
//! has room for it. A room whose burst is too small for its gateways lends nothing, and acts as if `closed`.
//!
//! After a loss of writes the line does not know who holds leases. It knows how many gateways there were, and until
//! all of them have reported, or their leases have ended, it fills only at the shares of those that have. A new line may
//! follow one that was lost as a whole: if tokens of an earlier line appear and no gateway here remembers how many it
//! had, the line counts one gateway that has not reported.
//!
//! Seats of a gateway that never comes back count as taken for one more session: it may have given them.
//!
//! Out of scope: a lowered rate reaches a gateway that is cut off only when its lease ends.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Millis;
use crate::room::{FailMode, Room, Rules};
use crate::segment::Segments;
use crate::view::View;

/// A gateway may spend until this long after its last answer.
pub const LEASE: Millis = 30_000;
/// It begins this long after its last answer.
pub const BEGIN: Millis = 1_000;
/// The line counts a gateway as silent this long after the last answer that it has confirmed.
const SILENT: Millis = 800;
/// The line keeps a lease for longer than its gateway does: the answer was on its way for up to a second, and clocks jump.
const KEPT: Millis = LEASE + 5_000;
/// The bucket of a lease holds one token and this many seconds of its share.
const HOLD: f64 = 0.1;

/// A gateway's budget of its own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// New shoppers per second; 0 lends nothing.
    pub share: f64,
    /// Passes that it may give; `None`: the room counts no seats.
    pub seats: Option<u64>,
}

/// A gateway's report of its lease.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LeaseReport {
    /// The remainder.
    pub lease: Lease,
    /// Spent since the last answer but one: the line must reserve the share up to now.
    pub spent: bool,
}

/// What a gateway may still do that has not heard of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unheard {
    /// Nothing: without the store it lets no shopper in.
    NoMore,
    /// It lives on its lease.
    UpTo {
        /// New shoppers, at most.
        most: u64,
        /// Store time at which the lease ends.
        until: Millis,
    },
    /// Nothing bounds it: the limits are given up while the store is away, or are only reported.
    All,
}

/// What a gateway may let in by the rules of before, if the store heard it last at `heard` and does not hear it at `now`. An
/// upper bound: as if the whole rate were lent to it.
pub fn unheard(room: &Room, heard: Millis, now: Millis) -> Unheard {
    let (rules, until) = (&room.rules, heard.saturating_add(LEASE));
    match room.fail_mode {
        _ if !rules.open => Unheard::NoMore,
        FailMode::Open => Unheard::All,
        _ if !rules.enforced => Unheard::All,
        FailMode::Static if now < until => {
            let most = (rules.rate * (until - now) as f64 / 1_000.0 + hold(rules.rate)).ceil() as u64;
            Unheard::UpTo { most: rules.total_active_users.map_or(most, |seats| most.min(seats)), until }
        }
        FailMode::Static | FailMode::Closed => Unheard::NoMore,
    }
}

/// Bucket size of a lease on this share, in tokens.
pub fn hold(share: f64) -> f64 {
    if share > 0.0 { 1.0 + HOLD * share } else { 0.0 }
}

/// Speed at which the pointer of a lease moves, in tickets per second: the line's, or while that is unknown, the
/// one that uses the rate.
pub fn speed(view: &View, rules: &Rules) -> f64 {
    if view.speed > 0.0 { view.speed } else { view.rate(rules) / view.show_share.max(0.05) }
}

/// The line's loan to one gateway, as far as that gateway may know.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Granted {
    share: f64,
    seats: u64,
    /// The line keeps it for this long.
    left: Millis,
    /// Store time of the last answer that the gateway has confirmed.
    heard: Millis,
    /// Whether the gateway spent of it up to its last batch.
    spent: bool,
}

/// The line's loans, by gateway.
#[derive(Debug, Clone, Default)]
pub(crate) struct LeaseTable {
    lent: BTreeMap<u32, Granted>,
    /// Gateways that held leases before a loss, as far as remembered, and how many of them have reported.
    before: u64,
    told: u64,
    /// The others may hold leases for this long.
    unknown_for: Millis,
}

/// The part of rate and burst that the line must leave to others at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reserved {
    /// Speed, in tokens per second.
    pub(crate) share: f64,
    /// Share of the bucket, in tokens.
    pub(crate) hold: f64,
}

impl LeaseTable {
    /// The table of a new line: if its store has lost everything, leases of the line before may still be held.
    pub(crate) fn begun() -> Self {
        Self { unknown_for: KEPT, ..Self::default() }
    }

    /// Gateways that hold leases, or may hold one.
    pub(crate) fn holders(&self) -> u64 {
        self.lent.len() as u64 + self.unknown()
    }

    /// A gateway reports its lease, and from which answer. What it leaves out it may still hold.
    pub(crate) fn hears(&mut self, gateway: u32, held: Option<LeaseReport>, answer: Millis) {
        let known = self.lent.get(&gateway).copied();
        // A batch that was long on its way says nothing new.
        if known.is_some_and(|lent| answer < lent.heard) {
            return;
        }
        let (Some(LeaseReport { lease, spent }), Some(left)) =
            (held, known.map_or(self.unheard(), |lent| Some(lent.left)))
        else {
            self.lent.remove(&gateway);
            return;
        };
        self.told += u64::from(known.is_none());
        let (share, seats) = (lease.share, lease.seats.unwrap_or(0));
        // Two answers of one instant cannot be told apart: the larger counts.
        let same = known.filter(|lent| lent.heard == answer);
        let (share, seats) = same.map_or((share, seats), |lent| (lent.share, lent.seats));
        self.lent.insert(gateway, Granted { share, seats, left, heard: answer, spent });
    }

    /// How long a lease unknown to the line may last; `None`: there is none, it has ended.
    fn unheard(&self) -> Option<Millis> {
        (self.unknown_for > 0).then_some(KEPT)
    }

    /// The store has lost writes: the holders of leases are unknown, but their number is not below the one on record.
    pub(crate) fn lose(&mut self) {
        let before = self.before.max(self.holders());
        *self = Self { before, unknown_for: KEPT, ..Self::default() };
    }

    /// A gateway remembers how many gateways held leases before the loss.
    pub(crate) fn remembers(&mut self, gateways: u64) {
        self.before = self.before.max(gateways);
    }

    /// People of an earlier line are here, and no gateway here knows it: one that does may live on a lease.
    pub(crate) fn suspects(&mut self) {
        if self.unknown_for > 0 && self.before == 0 {
            self.before = self.told + 1;
        }
    }

    /// Time passes, bounded by `elapsed` against a clock that jumps. Returns the seats that gateways may have given and will
    /// no longer report, if so many are free.
    pub(crate) fn advance(&mut self, elapsed: Millis, free: Option<u64>) -> u64 {
        let mut given = 0;
        self.lent.retain(|_, lent| {
            lent.left = lent.left.saturating_sub(elapsed);
            given += if lent.left > 0 { 0 } else { lent.seats };
            lent.left > 0
        });
        self.unknown_for = self.unknown_for.saturating_sub(elapsed);
        if self.unknown_for == 0 {
            given += if self.unknown() > 0 { free.unwrap_or(0).div_ceil(2) } else { 0 };
            (self.before, self.told) = (0, 0);
        }
        given
    }

    /// Whether a gateway that held a lease before a loss has not reported yet, and still may.
    pub(crate) fn any_unknown(&self) -> bool {
        self.unknown() > 0
    }

    fn unknown(&self) -> u64 {
        self.before.saturating_sub(self.told)
    }

    fn share(&self) -> f64 {
        self.lent.values().map(|lent| lent.share).sum()
    }

    /// What others may spend at this moment.
    pub(crate) fn aside(&self, now: Millis, rate: f64) -> Reserved {
        let mut aside = Reserved { share: 0.0, hold: 0.0 };
        for lent in self.lent.values().filter(|lent| lent.spent || now >= lent.heard + SILENT) {
            aside.share += lent.share;
            aside.hold += hold(lent.share);
        }
        if self.unknown() > 0 {
            let share = (rate - self.share()).max(0.0);
            aside.share += share;
            aside.hold += self.unknown() as f64 + HOLD * share;
        }
        aside
    }

    /// Seats that are lent.
    pub(crate) fn seats(&self) -> u64 {
        if self.unknown() > 0 { u64::MAX } else { self.lent.values().map(|lent| lent.seats).sum() }
    }

    /// Lends to a gateway that is here; `free` seats are free, lent or not.
    pub(crate) fn lend(&mut self, gateway: u32, rules: &Rules, free: Option<u64>, now: Millis) -> Lease {
        let own = self.lent.get(&gateway).copied();
        let own = own.unwrap_or(Granted { share: 0.0, seats: 0, left: KEPT, heard: now, spent: false });
        let known = self.unknown() == 0;
        let offer = if known {
            self.offer(gateway, rules, free)
        } else {
            Lease { share: own.share, seats: free.map(|_| own.seats) }
        };
        let (share, seats) = (own.share.max(offer.share), own.seats.max(offer.seats.unwrap_or(0)));
        self.lent.insert(gateway, Granted { share, seats, left: KEPT, ..own });
        offer
    }

    /// An equal part of the rate, and of half the free seats: any gateway can give the other half at once.
    fn offer(&self, gateway: u32, rules: &Rules, free: Option<u64>) -> Lease {
        let (mut gateways, mut share, mut held, mut seats) = (1_u32, 0.0, 0.0, 0_u64);
        for (_, lent) in self.lent.iter().filter(|(other, _)| **other != gateway) {
            gateways += 1;
            share += lent.share;
            held += hold(lent.share);
            seats += lent.seats;
        }
        let fair = (rules.rate / f64::from(gateways)).min(rules.rate - share).max(0.0);
        // With other gateways the line needs room for a token of its own.
        let room = rules.burst - held - if gateways > 1 { 1.0 } else { 0.0 };
        let half = |free: u64| (free / 2 / u64::from(gateways)).min((free / 2).saturating_sub(seats));
        Lease { share: if hold(fair) <= room { fair } else { 0.0 }, seats: free.map(half) }
    }
}

/// A gateway's lease of one line, and the passes given from it. Times are those of the store; from its last answer on
/// the gateway counts them itself.
#[derive(Debug, Clone, Default)]
pub struct HeldLease {
    lease: Option<Lease>,
    /// Arrival of the last answer.
    answered: Millis,
    bucket: f64,
    filled: Millis,
    /// Passes not yet reported to the line, and how many of them the batch in flight reports.
    untold: Vec<(u64, Millis)>,
    telling: usize,
    /// Whether a pass was given since the last answer, and between that and the one before.
    gave: bool,
    gave_before: bool,
}

impl HeldLease {
    /// An answer of the line is there, with its lease: the line has taken the report of the last batch.
    pub fn note(&mut self, lease: Option<Lease>, now: Millis) {
        self.untold.drain(..self.telling);
        self.telling = 0;
        self.gave_before = std::mem::take(&mut self.gave);
        let given = self.untold.len() as u64;
        let left = |lease: Lease| Lease { seats: lease.seats.map(|seats| seats.saturating_sub(given)), ..lease };
        self.lease = lease.map(left);
        (self.answered, self.filled, self.bucket) = (now, now + BEGIN, 0.0);
    }

    /// Whether the line still lacks a report of passes given.
    pub fn has_more(&self) -> bool {
        !self.untold.is_empty()
    }

    /// Whether the last answer lent anything.
    pub fn holds(&self) -> bool {
        self.lease.is_some()
    }

    /// Whether the gateway lives on its lease now.
    pub fn is_on(&self, now: Millis) -> bool {
        self.answered + BEGIN <= now && self.may_be_on(now)
    }

    /// Whether the gateway lives on its lease now, or will without another answer.
    pub fn may_be_on(&self, now: Millis) -> bool {
        now < self.answered + LEASE && self.lease.is_some_and(|lease| lease.share > 0.0)
    }

    /// The report for a batch: the gateway's lease, and the passes that the line does not know.
    pub fn recall(&mut self) -> (Option<LeaseReport>, Vec<(u64, Millis)>) {
        self.telling = self.untold.len();
        let spent = self.gave || self.gave_before;
        (self.lease.map(|lease| LeaseReport { lease, spent }), self.untold.clone())
    }

    /// The line as this gateway moves it on at `speed` (in tickets per second) from where it was when last seen.
    pub fn called(&self, segments: &Segments, speed: f64, now: Millis) -> Segments {
        let seconds = now.min(self.answered + LEASE).saturating_sub(self.answered) as f64 / 1000.0;
        segments.moved_by((speed * seconds).floor() as u64)
    }

    /// Gives passes to these claimants, lowest first, as far as the lease goes. They are called and have no pass.
    pub fn grant(
        &mut self,
        rules: &Rules,
        claimants: impl IntoIterator<Item = u64>,
        now: Millis,
    ) -> Vec<(u64, Millis)> {
        let Some(lease) = self.lease.as_mut().filter(|_| rules.open && now >= self.answered + BEGIN) else {
            return Vec::new();
        };
        let until = self.answered + LEASE;
        let seconds = now.min(until).saturating_sub(self.filled) as f64 / 1000.0;
        self.filled = self.filled.max(now);
        let share = lease.share.min(rules.rate);
        self.bucket = (self.bucket + share * seconds).min(hold(share));
        if now >= until {
            return Vec::new();
        }
        let places = (self.bucket.floor() as u64).min(lease.seats.unwrap_or(u64::MAX));
        let expires = now + rules.session;
        let mut granted = Vec::new();
        for number in claimants.into_iter().take(places as usize) {
            self.bucket -= 1.0;
            lease.seats = lease.seats.map(|seats| seats.saturating_sub(1));
            granted.push((number, expires));
        }
        self.untold.extend(&granted);
        self.gave |= !granted.is_empty();
        granted
    }
}

#[cfg(test)]
mod tests;
