//! A gateway's memory of a line, to repair a store that lost writes.
//!
//! Its high-water mark goes along with every batch: a few numbers. Its knowledge of claims and passes is
//! given back only when the line reports a loss, in parts of bounded size.
//!
//! Out of scope: the store's side of it (`repair`), and the memory of other gateways.

use std::collections::{HashMap, VecDeque};

use super::batch::{Grant, HighWater, Outcome, Restore, Revoked};
use super::numbers::Numbers;
use crate::Millis;
use crate::room::Rules;
use crate::segment::{GIVEN, MOST, Segment, Segments};
use crate::ticket::{Kind, Token};
use crate::view::View;

/// Passes and revocations given back at once.
const PASSES: usize = 2_048;
/// Bytes of a chunk of claims, and how many chunks are given back at once.
const CHUNK: usize = 4_096;
const CHUNKS: usize = 8;

/// A pass that may live.
#[derive(Debug, Clone, Copy)]
struct Pass {
    expires: Millis,
    /// When it was given, if known.
    admitted: Option<Millis>,
}

/// A gateway's memory of one line.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    seen: HighWater,
    lost: Millis,
    claimed: Numbers,
    passes: HashMap<u64, Pass>,
    revoked: HashMap<u64, Millis>,
    /// Passes shown by shoppers, perhaps unknown to the line.
    shown: Vec<(u64, Millis)>,
    /// Parts still to be given back.
    parts: VecDeque<Restore>,
}

impl Memory {
    /// The part for the next batch. It counts as given back when [`Self::note`] gets the answer.
    pub fn recall(&self) -> (HighWater, Restore) {
        let mut restore = self.parts.front().cloned().unwrap_or_default();
        restore.passes.extend(&self.shown);
        restore.more = self.parts.len() > 1;
        (self.seen.clone(), restore)
    }

    /// Whether there is more to give back, and soon.
    pub fn has_more(&self) -> bool {
        !self.parts.is_empty() || !self.shown.is_empty()
    }

    /// Number of passes in memory.
    pub(crate) fn remembered(&self) -> usize {
        self.passes.len()
    }

    /// A token with a valid seal is evidence.
    pub fn shown(&mut self, token: &Token) {
        match token.kind {
            Kind::Ticket => self.learn(&Segment::proved_by_ticket(token.number)),
            Kind::Pass => {
                self.learn(&Segment::proved_by_pass(token.number));
                self.shown_pass(token);
            }
            Kind::Provisional | Kind::Arrival => {}
        }
    }

    /// This gateway gave passes under a lease, and moved the pointer on to `called`.
    pub fn lent(&mut self, granted: &[(u64, Millis)], called: &Segments) {
        for &(number, expires) in granted {
            self.claimed.add(number);
            self.passes.insert(number, Pass { expires, admitted: None });
        }
        for segment in called.iter() {
            self.learn(segment);
        }
    }

    /// The answer to a claim of this number, as far as this gateway knows; `None`: it knows of no claim.
    pub fn standing_of(&self, rules: &Rules, number: u64, now: Millis) -> Option<Grant> {
        let claimed = self.claimed.has(number) || self.revoked.contains_key(&number);
        let lives = self.passes.get(&number).filter(|pass| pass.expires > now);
        let granted = |&Pass { expires, admitted }: &Pass| {
            let admitted = admitted.unwrap_or(expires.saturating_sub(rules.session)).min(now);
            Grant::Pass { expires, admitted }
        };
        claimed.then(|| lives.map_or(Grant::Spent, granted))
    }

    /// A pass is given back: the line must get the pass first, or it would not know what ends.
    pub fn returned(&mut self, token: &Token) {
        if token.kind == Kind::Pass {
            self.learn(&Segment::proved_by_pass(token.number));
            self.shown.push((token.number, token.expires));
            self.claimed.add(token.number);
            self.passes.remove(&token.number);
        }
    }

    fn shown_pass(&mut self, &Token { number, expires, admitted, .. }: &Token) {
        let known = self.passes.get(&number).is_some_and(|known| known.expires >= expires);
        if !known && !self.revoked.contains_key(&number) {
            self.passes.insert(number, Pass { expires, admitted: Some(admitted) });
            self.shown.push((number, expires));
        }
    }

    /// Notes the answer of the line to a batch with these releases. Returns whether it shows a loss since the last one.
    pub fn note(&mut self, releases: &[u64], outcome: &Outcome) -> bool {
        // A line that has lost writes may not know a pass that is about to be given back.
        let may_lack = self.lost != outcome.view.lost || self.parts.len() > 1;
        self.parts.pop_front();
        self.shown.clear();
        for &number in releases.iter().filter(|&&number| outcome.view.segments.has(number)) {
            self.claimed.add(number);
            self.passes.remove(&number);
        }
        for &(number, grant) in &outcome.grants {
            match grant {
                Grant::Pass { expires, admitted } => {
                    self.passes.insert(number, Pass { expires, admitted: Some(admitted) })
                }
                Grant::Spent => self.passes.remove(&number),
                Grant::NotYet => continue,
            };
            self.claimed.add(number);
        }
        for &(number, expires) in &outcome.renewed {
            match expires {
                Some(expires) => {
                    let admitted = self.passes.get(&number).and_then(|pass| pass.admitted);
                    self.passes.insert(number, Pass { expires, admitted })
                }
                None if may_lack => continue,
                None => self.passes.remove(&number),
            };
        }
        for revoked in &outcome.revoked {
            self.note_revoked(revoked);
        }
        self.sees(&outcome.view)
    }

    /// An evicted pass is as if it had never been given, unless its number has a later one.
    fn note_revoked(&mut self, &Revoked { number, expires, evicted }: &Revoked) {
        if evicted {
            if self.passes.get(&number).is_none_or(|known| known.expires <= expires) {
                self.passes.remove(&number);
                self.claimed.remove(number);
            }
            return;
        }
        self.claimed.add(number);
        self.passes.remove(&number);
        self.revoked.insert(number, expires);
    }

    fn sees(&mut self, view: &View) -> bool {
        for segment in view.segments.iter() {
            self.learn(segment);
        }
        let first = self.seen.opened.replace(view.segments.open.base).is_none();
        (self.seen.granted, self.seen.active, self.seen.now) = (view.granted, view.active, view.now);
        self.seen.utc = self.seen.utc.max(view.utc);
        (self.seen.gateways, self.seen.owed) = (view.gateways, view.owed);
        self.seen.round = view.round;
        if self.seen.adopted != view.adopted {
            self.seen.adopted.clone_from(&view.adopted);
        }
        let lost = std::mem::replace(&mut self.lost, view.lost) != view.lost && !first;
        if lost {
            self.parts = self.all();
        }
        lost
    }

    fn learn(&mut self, known: &Segment) {
        let segments = &mut self.seen.segments;
        match segments.binary_search_by_key(&known.base, |segment| segment.base) {
            Ok(at) => drop(segments[at].learn(known)),
            Err(at) => segments.insert(at, *known),
        }
        if segments.len() > MOST {
            let oldest = segments.iter().position(|segment| segment.base != GIVEN);
            segments.remove(oldest.unwrap_or(0));
        }
    }

    /// Everything to give back: passes first, because a claimed number without a pass is spent.
    fn all(&self) -> VecDeque<Restore> {
        let passes: Vec<(u64, Millis)> = self.passes.iter().map(|(&number, pass)| (number, pass.expires)).collect();
        let revoked: Vec<(u64, Millis)> = self.revoked.iter().map(|(&number, &expires)| (number, expires)).collect();
        let chunks: Vec<_> = self.claimed.chunks(CHUNK).collect();
        let passes = passes.chunks(PASSES).map(|part| Restore { passes: part.to_vec(), ..Restore::default() });
        let revoked = revoked.chunks(PASSES).map(|part| Restore { revoked: part.to_vec(), ..Restore::default() });
        let claimed = chunks.chunks(CHUNKS).map(|part| Restore { claimed: part.to_vec(), ..Restore::default() });
        passes.chain(revoked).chain(claimed).collect()
    }

    /// Forgets passes that have ended, and claims in segments that the line has forgotten.
    pub fn tidy(&mut self, view: &View) {
        self.passes.retain(|_, pass| pass.expires > view.now);
        self.revoked.retain(|_, &mut expires| expires > view.now);
        let gone = |segment: &Segment| {
            let is_there = segment.base == GIVEN || view.segments.of(segment.base + 1).is_some();
            segment.base < view.forgotten && !is_there
        };
        for segment in self.seen.segments.extract_if(.., |segment| gone(segment)) {
            self.claimed.forget(segment.base);
        }
    }
}
