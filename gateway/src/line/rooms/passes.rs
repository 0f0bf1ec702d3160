//! The life of a pass: renewals, its end, and the state of one that ended before.
//!
//! Out of scope: forms that come after the end (`late`), and the seats of passes (`policy::line`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use policy::Millis;
use policy::action::ended_by_stop;
use policy::admit::PassState;
use policy::line::Revoked;
use policy::ticket::Token;
use tokio::sync::oneshot;

use super::{Admission, LiveRoom, Op};
use crate::client::timer;

/// A used-up number is remembered for this long, up to a bound on numbers: beyond it, an expired pass counts
/// as used up without a call.
const SPENT: Millis = 30_000;
const MOST_SPENT: usize = 1 << 16;

/// Poll interval of a caller that waits for the end of a pass.
const LOOK_AT_PASS: Duration = Duration::from_secs(1);

impl LiveRoom {
    /// The state of the pass of a request, as last reported by the line.
    pub fn pass_state(&self, shown: &Token) -> PassState {
        if ended_by_stop(shown, self.stopped_until.load(Ordering::Relaxed)) {
            return PassState::Revoked;
        }
        if self.revocations.load(Ordering::Relaxed) == 0 {
            return PassState::Lives;
        }
        match self.revoked.get(&shown.number).as_deref() {
            Some(revoked) if !revoked.evicted => PassState::Revoked,
            // A later pass of the number ends later.
            Some(revoked) if shown.expires <= revoked.expires => PassState::Evicted,
            _ => PassState::Lives,
        }
    }

    /// Ends the pass of this number by the word of an operator: here at once, and in the line, which tells the other gateways. Returns
    /// `false` if the store is too busy to take it.
    pub(crate) fn end_pass(self: &Arc<Self>, number: u64) -> bool {
        let expires = self.snapshot().store_time(Instant::now()).saturating_add(self.longest_session());
        self.revoke(Revoked { number, expires, evicted: false });
        self.mailbox.try_send((self.clone(), Op::End { number })).is_ok()
    }

    /// The longest that a pass may live without a renewal, in any event.
    pub(crate) fn longest_session(&self) -> Millis {
        let settings = self.settings.load();
        let events = settings.timetable.iter().flat_map(|timetable| timetable.periods());
        events.map(|period| period.room.rules.session).fold(settings.room.rules.session, Millis::max)
    }

    /// Claims the number of a pass that has run out. A used-up one is remembered: a client that shows such a
    /// pass with every request costs the store one call in `SPENT`.
    pub async fn claim_again(self: &Arc<Self>, number: u64) -> Admission {
        let now = self.snapshot().store_time(Instant::now());
        if self.spent.len() >= MOST_SPENT || self.spent.get(&number).is_some_and(|until| *until > now) {
            return Admission::Spent;
        }
        let admission = self.claim(number).await;
        if admission == Admission::Spent {
            self.spent.insert(number, now + SPENT);
        }
        admission
    }

    /// Waits until a pass has ended: run out, given back or taken away. Another request may renew it, at another gateway
    /// too: once it has run out by the knowledge here, the line is asked.
    pub async fn pass_ended(self: Arc<Self>, mut pass: Token) {
        loop {
            timer::sleep(LOOK_AT_PASS).await;
            pass = self.renewed(&pass).unwrap_or(pass);
            if self.pass_state(&pass) != PassState::Lives {
                return;
            }
            if pass.expires <= self.snapshot().store_time(Instant::now()) {
                match self.claim_again(pass.number).await {
                    Admission::Pass { expires, .. } if expires > pass.expires => pass.expires = expires,
                    _ => return,
                }
            }
        }
    }

    /// Requests a renewal of a pass, unless one is in flight or recent. [`Self::renewed`] returns the new end, on this
    /// request or on a later one.
    pub fn renew(self: &Arc<Self>, pass: &Token, now: Millis) {
        let Token { number, admitted, .. } = *pass;
        // A full mailbox drops it: the next request asks again.
        if self.renewals.begin(pass, now)
            && self.mailbox.try_send((self.clone(), Op::Renew { number, admitted })).is_err()
        {
            self.renewals.fail(number);
        }
    }

    /// Requests a renewal as [`Self::renew`] does, and waits for the line's answer. Returns the pass in its state then, as far as
    /// known here; `None`: it has ended.
    pub async fn extend(self: &Arc<Self>, pass: &Token, now: Millis) -> Option<Token> {
        self.renew(pass, now);
        // A claim of the number of a pass changes nothing. Its answer comes with the renewal, which stands before it.
        let (reply, answer) = oneshot::channel();
        match self.send(Op::Claim { number: pass.number, reply }, answer).await {
            Some(Admission::Spent) => None,
            _ => Some(self.renewed(pass).unwrap_or(*pass)),
        }
    }

    /// The pass as last renewed here, if that lives longer than the one its holder shows.
    pub fn renewed(&self, pass: &Token) -> Option<Token> {
        self.renewals.newer(pass)
    }

    /// Reports a marked pass that came back to the line. Returns whether its holder is to get the text without the mark: the
    /// requests of a page come at once, and one of them does.
    pub fn confirm(self: &Arc<Self>, pass: &Token) -> bool {
        let told = self.confirmed.get(&pass.number).is_some_and(|told| *told >= pass.expires);
        if told || self.confirmed.insert(pass.number, pass.expires).is_some_and(|told| told >= pass.expires) {
            return false;
        }
        if self.mailbox.try_send((self.clone(), Op::Confirm { number: pass.number })).is_err() {
            // A full mailbox: the next request reports it.
            self.confirmed.remove(&pass.number);
            return false;
        }
        true
    }
}
