//! A store that lost writes, and how a line goes on in it.
//!
//! Redis may lose writes that it confirmed: at a failover to a replica that lags, at a restart from an old file, by
//! `FLUSHALL`. Every number of a line only grows, so a gateway that saw the highest can give it back. Each
//! batch therefore carries its gateway's high-water mark ([`HighWater`]), from answers and from sealed tokens.
//!
//! A loss is noticed within one transition, by any of three signs: the line was written by another server; the
//! gateway has seen more than the line knows; there is no line, and the gateway remembers one. Then
//!
//! - the open segment is closed at the highest known number, and a new one is opened: the numbers given in the old one
//!   need not be known, and no newcomer has to wait to join;
//! - the bucket is empty, and nothing is granted for a second at least ([`Settling`]): in that time every live gateway
//!   gives back the claims, passes and revocations that it knows ([`Restore`]), so no claim is granted again;
//! - taken seats, as far as remembered, whose passes no gateway has given back, count as taken
//!   for the length of a session ([`LostSeats`]);
//! - a round that gathers is over ([`super::rounds`]);
//! - time goes on from where it was, whatever the clock of the other server says ([`Clock`]).
//!
//! If all is gone, store and gateways, the tokens that shoppers show are left. They raise the counters of their
//! segment, or bring it back in front of the new one. While that may go on, no wait is shown
//! ([`super::View::unsure`]).
//!
//! A number of the segment of places that operators give ([`GIVEN`]) is no sign of a loss, unless a gateway tells of it that has not seen
//! the open segment: gateways learn of these numbers before the line.
//!
//! Out of scope: guesses of how much was lost, and any talk between gateways.

mod clock;
mod lost_seats;
mod settling;

use std::cmp::Ordering;

use super::Line;
use super::batch::{HighWater, Restore, Revoked, Stamp};
use super::persist::Change;
use crate::Millis;
use crate::room::Rules;
use crate::segment::{GIVEN, SPAN, Segment, base_at, base_of};
use crate::ticket::Adopted;

pub(super) use clock::Clock;
pub(super) use lost_seats::LostSeats;
pub(super) use settling::Settling;

impl Line {
    pub(super) fn is_unsure(&self) -> bool {
        self.settling.is_unsure(self.counters.now) || self.leases.any_unknown()
    }

    /// Seats that are taken, or may be.
    pub(super) fn taken(&self) -> u64 {
        self.passes.len() + self.lost_seats.missing()
    }

    /// Advances what a loss has left open.
    pub(super) fn resolve(&mut self, elapsed: Millis) {
        self.settling.advance(elapsed);
        self.lost_seats.advance(self.counters.now);
    }

    /// Takes in a gateway's high-water mark; goes on in a new segment if that shows a loss. Returns the time.
    pub(super) fn repair(&mut self, rules: &Rules, seen: &HighWater, at: Stamp) -> Millis {
        let lost = self.has_lost(rules, seen, at.server);
        let now = self.clock.tell(at, self.counters.now, seen.now, lost);
        // No time passes across a loss.
        self.counters.now = if lost { now } else { self.counters.now.max(seen.now) };
        let before = self.counters.segments.open.base;
        let furthest = seen.segments.iter().map(|known| known.base).max().unwrap_or(0);
        for known in &seen.segments {
            self.learn(known, seen.opened == Some(before), now);
        }
        self.counters.granted = self.counters.granted.max(seen.granted);
        for &adopted in &seen.adopted {
            self.learn_adopted(adopted);
        }
        if lost {
            self.begin_anew(furthest, seen.round.id);
        }
        if lost || seen.opened.is_some_and(|opened| opened < before) {
            self.lost_seats.remember(seen.active, now.saturating_add(rules.session));
            self.leases.remembers(seen.gateways);
            self.bucket = self.bucket.min(-(seen.owed as f64));
        }
        if rules.lends && self.counters.segments.earlier() > 0 {
            self.leases.suspects();
        }
        now
    }

    /// A gateway that lived on its lease has called numbers itself: that is no loss.
    fn has_lost(&self, rules: &Rules, seen: &HighWater, server: u64) -> bool {
        let segments = &self.counters.segments;
        let open = &segments.open;
        let further = |known: &Segment| match known.base.cmp(&open.base) {
            Ordering::Less => false,
            Ordering::Equal => known.next > open.next || known.serving > open.serving && !rules.lends,
            Ordering::Greater => segments.has_room(),
        };
        !self.clock.is_of(server)
            || seen.segments.iter().any(further)
            || seen.opened == Some(open.base)
                && (seen.granted > self.counters.granted || seen.round.is_later_than(&self.round))
    }

    /// Takes in the known counters of one segment. `up_to_date`: of a gateway that knows of no other line than this.
    fn learn(&mut self, known: &Segment, up_to_date: bool, now: Millis) {
        let open = self.counters.segments.open.base;
        if let Some(segment) = self.counters.segments.iter_mut().find(|segment| segment.base == known.base) {
            if segment.learn(known) && known.base < open && known.base != GIVEN {
                self.settling.hear_news(now);
            }
            return;
        }
        let is_forgotten = known.base < self.counters.forgotten && known.base != GIVEN;
        if known.is_empty() || is_forgotten || !self.counters.segments.has_room() {
            return;
        }
        self.make_room();
        if known.base > open {
            self.counters.segments.open(*known);
        } else {
            self.counters.segments.insert(*known);
        }
        if known.base != GIVEN || !up_to_date {
            self.counters.lost = now;
            self.settling.begin(now);
        }
    }

    fn make_room(&mut self) {
        if let Some(base) = self.counters.segments.make_room() {
            self.counters.forgotten = self.counters.forgotten.max(base + SPAN);
            self.claimed.forget(base);
            self.changes.push(Change::Forgotten(base));
        }
    }

    /// A full list has forgotten everything older than its entries.
    fn learn_adopted(&mut self, adopted: Adopted) {
        let full = self.adopted.len() >= super::MOST_ADOPTED;
        let is_forgotten = full && self.adopted.first().is_some_and(|oldest| adopted.base < oldest.base);
        if !is_forgotten && !self.adopted.contains(&adopted) {
            self.keep_adopted(adopted);
        }
    }

    fn begin_anew(&mut self, furthest: u64, round: u32) {
        self.open_segment(furthest);
        self.lose_round(round);
        (self.bucket, self.visits) = (0.0, 0.0);
        self.letting_in.lose(self.clock.utc());
        self.rest.idle = 0;
        self.leases.lose();
        self.counters.lost = self.counters.now;
        self.settling.begin(self.counters.now);
        self.lost_seats.begin(self.taken());
    }

    /// Numbers are given in a new segment from now on, beyond any that was seen. If people wait in every segment
    /// that a line may have, the last one goes on: then a number is unique only as far as gateways remember.
    fn open_segment(&mut self, beyond: u64) {
        let segments = &self.counters.segments;
        let base = base_at(self.counters.now).max(segments.open.base.max(beyond) + SPAN);
        let (replaces, room) = (segments.open.is_empty(), segments.has_room());
        if !replaces && room {
            self.make_room();
        }
        if replaces || room {
            self.counters.segments.open(Segment::at(base));
        }
    }

    /// Opens the next segment if the open one has fewer numbers left than `numbers`. Nothing was lost.
    pub(super) fn widen(&mut self, numbers: u64) {
        let open = &self.counters.segments.open;
        if open.next - open.base + numbers >= SPAN {
            self.open_segment(0);
            self.lost_seats.expect_none();
        }
    }

    /// Takes in a gateway's knowledge of claims and passes.
    pub(super) fn restore(&mut self, restore: &Restore) {
        if restore.more {
            self.settling.expect_more();
        }
        for &(number, expires) in &restore.passes {
            self.restore_pass(number, expires);
        }
        for &(number, expires) in &restore.revoked {
            self.restore_revocation(number, expires);
        }
        for chunk in &restore.claimed {
            let whole = base_of(chunk.first) == base_of(chunk.first + 8 * (chunk.bits.len() as u64).saturating_sub(1));
            if whole && self.counters.segments.of(chunk.first + 1).is_some() {
                chunk.numbers().for_each(|number| self.mark_claimed(number));
            }
        }
        for &(number, expires) in &restore.lent {
            self.restore_lent(number, expires);
        }
        if !restore.claimed.is_empty() {
            self.claimants.retain(|&number, _| !self.claimed.has(number));
        }
    }

    fn restore_pass(&mut self, number: u64, expires: Millis) {
        let known = self.passes.expiry(number);
        // A pass is reported before it is given back, so this runs at every purchase: the cheap test comes first.
        let is_news = known.is_none_or(|known| known < expires) && expires > self.counters.now;
        if !is_news || !self.is_given_and_called(number) || self.is_revoked(number, expires) {
            return;
        }
        if known.is_none() {
            self.lost_seats.find_one();
        }
        self.claimants.remove(&number);
        self.mark_claimed(number);
        self.seat(number, expires);
    }

    /// Takes in a pass given under a lease. The ticket may have been claimed on the other side of the cut.
    fn restore_lent(&mut self, number: u64, expires: Millis) {
        let known = self.passes.expiry(number);
        if known == Some(expires) || !self.is_given_and_called(number) || self.is_revoked(number, expires) {
            return;
        }
        self.counters.granted += 1;
        self.counters.second_passes += u64::from(self.claimed.has(number));
        if known.is_none() {
            self.lost_seats.find_one();
        }
        self.claimants.remove(&number);
        self.mark_claimed(number);
        if expires > self.counters.now && known.is_none_or(|known| known < expires) {
            self.seat(number, expires);
        }
    }

    fn restore_revocation(&mut self, number: u64, expires: Millis) {
        let given_back = |revoked: &Revoked| revoked.number == number && !revoked.evicted;
        if expires <= self.counters.now || self.revoked.iter().any(given_back) || !self.is_given_and_called(number) {
            return;
        }
        self.claimants.remove(&number);
        self.mark_claimed(number);
        if self.passes.remove(number).is_some() {
            self.freed += 1;
            self.confirm(number);
            self.changes.push(Change::Active(number, None));
        }
        self.revoke(number, expires);
    }

    /// Whether a pass of this number and end was taken away. A number that was only evicted may have a later one.
    fn is_revoked(&self, number: u64, expires: Millis) -> bool {
        let over = |revoked: &Revoked| !revoked.evicted || expires <= revoked.expires;
        self.revoked.iter().any(|revoked| revoked.number == number && over(revoked))
    }
}

#[cfg(test)]
mod tests;
