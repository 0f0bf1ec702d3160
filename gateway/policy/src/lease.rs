//! Leases: how a room with `fail_mode = "static"` goes on while its store is away.
//!
//! With every answer a line lends each gateway a part of itself: a [`Lease`] on a share of the rate and on some of
//! the free seats, for [`LEASE`]. A gateway that has no answer for [`BEGIN`] lives on its lease until that ends.
//!
//! - `Leases` is the line's side. A gateway counts as **silent** `SILENT` after the last answer that it has
//!   confirmed; from then on it may be spending, and the bucket of the line fills at the rate less its share. Seats
//!   that are lent are never given by anybody else. What was lent shrinks only when its gateway says that it knows.
//! - [`HeldLease`] is the gateway's side: a bucket of its own that starts empty, and a pointer of its own that moves on
//!   at the last known speed, so that it is the same at every gateway.
//!
//! Why no window of length `T` sees more than `rate x T + burst` on both sides together: the line leaves out a share
//! before its gateway begins to spend it (`SILENT < BEGIN`), and until an answer after the cut is confirmed, when
//! the gateway has stopped and told what it gave. So the speeds add up to `rate` at most. The buckets add up to `burst`
//! at most: the line's own holds less by the [`hold`] of each silent gateway, and no lease is given for which there
//! is no such room. A room whose burst is too small for its gateways lends nothing, and stands as if `closed`.
//!
//! After a loss of writes the line does not know who holds leases. It knows how many gateways there were, and until
//! all of them have told, or their leases have ended, it fills only at the shares of those who have. A line that begins
//! where there is none may be one that was lost as a whole: if tokens of an earlier line are shown and nobody remembers its
//! gateways, there was one that is not here.
//!
//! Seats of a gateway that never comes back count as taken for a session more: it may have given them.
//!
//! Out of scope: a lowered rate reaches a gateway that is cut off only when its lease ends.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Millis;
use crate::room::Rules;
use crate::segment::Segments;
use crate::view::View;

/// A gateway may spend so long after its last answer.
pub const LEASE: Millis = 30_000;
/// It begins so long after its last answer.
pub const BEGIN: Millis = 1_000;
/// The line counts a gateway as silent so long after the last answer that it has confirmed.
const SILENT: Millis = 800;
/// The line keeps a lease for longer than its gateway does: the answer was on its way for up to a second, and clocks jump.
const KEPT: Millis = LEASE + 5_000;
/// The bucket of a lease holds one token and this many seconds of its share.
const HOLD: f64 = 0.1;

/// What a gateway may spend on its own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// New shoppers per second; 0 lends nothing.
    pub share: f64,
    /// Passes that it may give; `None`: the room counts no seats.
    pub seats: Option<u64>,
}

/// What a gateway says of its lease.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LeaseReport {
    /// What is left of it.
    pub lease: Lease,
    /// It was spent since the last answer but one: the line must leave out the share up to now.
    pub spent: bool,
}

/// The most tokens that the bucket of a lease on this share holds.
pub fn hold(share: f64) -> f64 {
    if share > 0.0 { 1.0 + HOLD * share } else { 0.0 }
}

/// Speed at which the pointer of a lease moves, in tickets per second: that of the line, or while nobody knows it, the
/// one that uses the rate.
pub fn speed(view: &View, rules: &Rules) -> f64 {
    if view.speed > 0.0 { view.speed } else { rules.rate / view.show_share.max(0.05) }
}

/// What a line has lent to one gateway, as far as that gateway may know.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Granted {
    share: f64,
    seats: u64,
    /// The line keeps it for so long.
    left: Millis,
    /// Store time of the last answer that the gateway has confirmed.
    heard: Millis,
    /// The gateway spent of it up to its last batch.
    spent: bool,
}

/// What a line has lent, by gateway.
#[derive(Debug, Clone, Default)]
pub(crate) struct LeaseTable {
    lent: BTreeMap<u32, Granted>,
    /// Gateways that held leases before a loss, as far as anybody remembers, and those of them who have told.
    before: u64,
    told: u64,
    /// Those who have not may hold leases for so long.
    unknown_for: Millis,
}

/// What the line must leave to others at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reserved {
    /// Speed, in tokens per second.
    pub(crate) share: f64,
    /// Room in the bucket, in tokens.
    pub(crate) hold: f64,
}

impl LeaseTable {
    /// Those of a line that begins: if its store has lost all of it, leases of the line before may still be held.
    pub(crate) fn begun() -> Self {
        Self { unknown_for: KEPT, ..Self::default() }
    }

    /// Gateways that hold leases, or may.
    pub(crate) fn holders(&self) -> u64 {
        self.lent.len() as u64 + self.unknown()
    }

    /// A gateway says what it holds, and of which answer. What it does not say it may still hold.
    pub(crate) fn hears(&mut self, gateway: u32, held: Option<LeaseReport>, answer: Millis) {
        let known = self.lent.get(&gateway).copied();
        // A batch that was on its way for long says nothing new.
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

    /// How long a lease may last of which the line does not know; `None`: there is none, it has ended.
    fn unheard(&self) -> Option<Millis> {
        (self.unknown_for > 0).then_some(KEPT)
    }

    /// The store has lost writes: who holds leases is not known, but as many did as in what it has.
    pub(crate) fn lose(&mut self) {
        let before = self.before.max(self.holders());
        *self = Self { before, unknown_for: KEPT, ..Self::default() };
    }

    /// Somebody remembers so many gateways that held leases before the loss.
    pub(crate) fn remembers(&mut self, gateways: u64) {
        self.before = self.before.max(gateways);
    }

    /// There are people of an earlier line, and nobody who is here knows it: a gateway that does may live on a lease.
    pub(crate) fn suspects(&mut self) {
        if self.unknown_for > 0 && self.before == 0 {
            self.before = self.told + 1;
        }
    }

    /// Time passes. A clock that jumps counts for little: `elapsed` is bounded. Returns the seats that gateways may have
    /// given and will not tell of any more, if so many are nobody's.
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

    /// Whether a gateway that held a lease before a loss has not told yet, and still may.
    pub(crate) fn any_unknown(&self) -> bool {
        self.unknown() > 0
    }

    fn unknown(&self) -> u64 {
        self.before.saturating_sub(self.told)
    }

    fn share(&self) -> f64 {
        self.lent.values().map(|lent| lent.share).sum()
    }

    /// What may be spent by others at this moment.
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

    /// Lends to a gateway that is here; `free` seats are nobody's, lent or not.
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

    /// An equal part of the rate, and of half the free seats: the other half can be given at once, by anybody.
    fn offer(&self, gateway: u32, rules: &Rules, free: Option<u64>) -> Lease {
        let (mut gateways, mut share, mut held, mut seats) = (1_u32, 0.0, 0.0, 0_u64);
        for (_, lent) in self.lent.iter().filter(|(other, _)| **other != gateway) {
            gateways += 1;
            share += lent.share;
            held += hold(lent.share);
            seats += lent.seats;
        }
        let fair = (rules.rate / f64::from(gateways)).min(rules.rate - share).max(0.0);
        // The line needs room for a token of its own, if anybody else is to come to it.
        let room = rules.burst - held - if gateways > 1 { 1.0 } else { 0.0 };
        let half = |free: u64| (free / 2 / u64::from(gateways)).min((free / 2).saturating_sub(seats));
        Lease { share: if hold(fair) <= room { fair } else { 0.0 }, seats: free.map(half) }
    }
}

/// A gateway's lease of one line, and what was given of it. Times are those of the store, as the gateway counts them
/// on from its last answer.
#[derive(Debug, Clone, Default)]
pub struct HeldLease {
    lease: Option<Lease>,
    /// When the last answer was there.
    answered: Millis,
    bucket: f64,
    filled: Millis,
    /// Passes that the line was not told of, and how many of them the batch under way tells.
    untold: Vec<(u64, Millis)>,
    telling: usize,
    /// Something was given since the last answer, and between that and the one before.
    gave: bool,
    gave_before: bool,
}

impl HeldLease {
    /// An answer of the line is there, with its lease: it has heard of what the last batch told.
    pub fn note(&mut self, lease: Option<Lease>, now: Millis) {
        self.untold.drain(..self.telling);
        self.telling = 0;
        self.gave_before = std::mem::take(&mut self.gave);
        let given = self.untold.len() as u64;
        let left = |lease: Lease| Lease { seats: lease.seats.map(|seats| seats.saturating_sub(given)), ..lease };
        self.lease = lease.map(left);
        (self.answered, self.filled, self.bucket) = (now, now + BEGIN, 0.0);
    }

    /// Whether the line has to be told of passes that were given.
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

    /// Whether the gateway lives on its lease now, or will if it hears nothing more.
    pub fn may_be_on(&self, now: Millis) -> bool {
        now < self.answered + LEASE && self.lease.is_some_and(|lease| lease.share > 0.0)
    }

    /// What goes along with a batch: what the gateway holds, and the passes that the line does not know.
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

    /// Gives what there is to these claimants, lowest first. They are called and have no pass.
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
