//! One room at the committer: its queue, its snapshot for the request path, and its metrics for operators.
//!
//! Out of scope: when the store is called, which the committer decides, and the room's reaction ([`policy::queue`]).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use policy::line::{Batch, Outcome};
use policy::queue::{Admission, RoomQueue};
use tokio::sync::oneshot;

use super::picture::{Reach, publish};
use super::{LiveRoom, Op, RoomSettings};
use crate::line::store::Work;
use crate::telemetry::catalogue;

/// Callers and their answers.
pub(super) type Replies = Vec<(oneshot::Sender<Admission>, Admission)>;

/// A caller who hung up gets nothing.
fn send(replies: &mut Replies) {
    for (reply, admission) in replies.drain(..) {
        let _ = reply.send(admission);
    }
}

/// What decides the order of a round.
fn random_seed() -> u64 {
    let mut bytes = [0; 8];
    // Without randomness the order of arrival, mixed, has to do.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    u64::from_ne_bytes(bytes)
}

/// One room. Times are those of the committer's clock.
pub(super) struct RoomDriver {
    room: Arc<LiveRoom>,
    /// The settings that the queue has.
    settings: Arc<RoomSettings>,
    queue: RoomQueue<oneshot::Sender<Admission>>,
}

impl RoomDriver {
    pub(super) fn new(room: Arc<LiveRoom>, incarnation: u32, now: Duration) -> Self {
        let settings = room.settings();
        let queue = RoomQueue::new(incarnation, settings.room.rules.clone(), now);
        Self { room, settings, queue }
    }

    pub(super) fn queue(&self) -> &RoomQueue<oneshot::Sender<Admission>> {
        &self.queue
    }

    /// Due now, if not before.
    pub(super) fn wake(&mut self, now: Duration) {
        self.queue.wake(now);
    }

    /// Another gateway reports activity in the room.
    pub(super) fn follow(&mut self, now: Duration) {
        self.room.dormant.store(false, Ordering::Relaxed);
        self.queue.follow(now);
    }

    /// Takes in an operation. Returns whether other gateways should learn of it soon.
    pub(super) fn take(&mut self, op: Op, now: Duration) -> bool {
        self.room.dormant.store(false, Ordering::Relaxed);
        self.queue.take(op, now)
    }

    /// Takes in changes that come without a request; any change makes the room due.
    pub(super) fn refresh(&mut self, now: Duration) {
        let settings = self.room.settings();
        if !Arc::ptr_eq(&self.settings, &settings) {
            self.settings = settings;
            self.queue.set_rules(&self.settings.room.rules, now);
            // The snapshot may differ even with the same rules.
            self.queue.wake(now);
        }
        self.queue.set_places_kept(self.room.places_kept(), now);
        let rests = self.room.shop_rests();
        if self.queue.set_shop_rests(rests, now) {
            let what = if rests { "no server of the shop can be reached: the line stands" } else { "the line goes on" };
            tracing::warn!(room = %self.room.title(), "{what}");
        }
    }

    /// The call to the store now; `None`: the last one has no answer yet. Callers who hung up are left out.
    pub(super) fn work(&mut self, leaves: bool, now: Duration, replies: &mut Replies) -> Option<Work> {
        self.refresh(now);
        if leaves {
            self.queue.leave();
        }
        self.queue.retain(|reply| !reply.is_closed());
        let call = self.queue.batch(now, replies);
        send(replies);
        let seed = if self.queue.draws() { random_seed() } else { 0 };
        let batch = |batch: Batch| Batch { seed, ..batch };
        call.map(|call| Work { room: self.room.name.clone(), rules: call.rules, batch: batch(call.batch) })
    }

    /// Hands out the store's answer to a call made at `asked`.
    pub(super) fn hand_out(&mut self, outcome: Outcome, asked: Instant, now: Duration, replies: &mut Replies) {
        let Some(answered) = self.queue.answer(outcome, now, replies) else { return };
        let room = &self.room;
        if answered.lost {
            tracing::warn!(room = %room.title(), "the store has lost writes; what this gateway knows is given back");
            room.reported.clear();
            for told in &room.confirmed {
                self.queue.take(Op::Confirm { number: *told.key() }, now);
            }
            room.meters().happened(&catalogue::ROOM_LOSSES, 1);
        }
        let evicted = answered.revoked.iter().filter(|revoked| revoked.evicted).count() as u64;
        if evicted > 0 {
            room.meters().happened(&catalogue::ROOM_EVICTIONS, evicted);
        }
        for revoked in answered.revoked {
            room.revoke(revoked);
        }
        let view = self.queue.view().cloned();
        let store_time = view.as_ref().map_or(0, |view| view.now);
        for (number, end) in answered.renewed {
            room.renewals.end(number, store_time, end);
        }
        // Before the callers are answered: their pages are made from the snapshot.
        publish(room, view, Reach::Here { asked });
        send(replies);
        if answered.tidies {
            room.forget_revoked(store_time);
        }
        room.stirred.store(self.queue.stirred(), Ordering::Relaxed);
        room.dormant.store(self.queue.is_dormant(now), Ordering::Relaxed);
    }

    /// The store did not answer, and gets no call before `retry_at`.
    pub(super) fn store_away(&mut self, now: Duration, retry_at: Duration, replies: &mut Replies) {
        let before = self.room.snapshot.load_full();
        let known = self.queue.is_idle() && before.away && !before.on_lease && before.waiting() == 0;
        for number in self.queue.unreachable(now, retry_at, replies) {
            self.room.renewals.fail(number);
        }
        if !self.lend(now, replies) && !known {
            publish(&self.room, self.queue.view().cloned(), Reach::Away);
        }
        send(replies);
    }

    /// Moves the line on as far as the lease allows, and answers claims. Returns whether the room lives on its lease.
    pub(super) fn lend(&mut self, now: Duration, replies: &mut Replies) -> bool {
        if !self.queue.lives_on_lease(now) {
            return false;
        }
        self.refresh(now);
        let Some(granted) = self.queue.on_lease(now, replies) else { return false };
        if !granted.is_empty() {
            self.room.meters().happened(&catalogue::LEASE_GRANTS, granted.len() as u64);
        }
        if !self.room.snapshot.load().on_lease {
            let room = self.room.title();
            tracing::warn!(%room, "the store does not answer; the line moves on by this gateway's lease");
        }
        publish(&self.room, self.queue.view().cloned(), Reach::OnLease);
        send(replies);
        true
    }
}
