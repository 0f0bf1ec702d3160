//! The audit of all gateways: each line is written by the one that acted, and followed by the others.
//!
//! A line may be an order to every gateway that reads it. To end a pass: the line of the room ends it once, and keeps that in mind for as
//! long as the pass could live; each gateway turns it away from then on. To give a place: each gateway tells the line of the room its
//! number, and remembers it against a loss of the store, so that the number is not given again.
//!
//! A gateway that does not find its own last line in the store any more has seen a loss. It says so in a line that names the head
//! that was lost, unless another gateway with the same head has done it.
//!
//! Out of scope: what a line is ([`policy::audit`]), and the file of it here (`trail`).

use policy::Millis;
use policy::action::number_of;
use policy::audit::{Entry, Head};
use policy::ticket::{TICKET_LIFE, Token};

use super::log_outs::time_of;
use super::{Fleet, KeyState, NotSwitched};
use crate::line::store::StoreError;
use crate::line::store::registry::{Change, InForce, Link, PAGE_OF_LINES, Switched};
use crate::ui::iso;

/// How often a line is said again because another gateway wrote one first.
const TRIES: usize = 16;
/// The actions that every gateway does when it reads of them.
const REVOKE: &str = "revoke";
const GIVE_PLACE: &str = "give-place";

/// A place that an operator gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GivenPlace {
    /// Its number.
    pub number: u64,
    /// When, by the clock of the store.
    pub at: Millis,
}

impl GivenPlace {
    /// Of a line of the audit; `None`: it gives none.
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        let gives = entry.action == GIVE_PLACE && entry.refused.is_none();
        let number = number_of(entry.with.as_deref().filter(|_| gives)?).ok()?;
        Some(Self { number, at: time_of(entry)? })
    }

    /// The ticket of it, which is the code when it is sealed: the same each time.
    pub(crate) fn ticket(self) -> Token {
        Token::ticket(self.number, self.at)
    }
}

impl Fleet {
    /// The time of the store, as of the last exchange and the time since; `None` before the first.
    pub(crate) fn store_time(&self) -> Option<Millis> {
        self.clock.lock().unwrap_or_else(std::sync::PoisonError::into_inner).map(|look| look.now())
    }

    /// Makes a change from `from`, and writes down who did it in the same step. Applies it here at once.
    ///
    /// # Errors
    /// If another version is in force, or the store does not answer.
    pub(crate) async fn record(&self, entry: &Entry, from: InForce, change: Change) -> Result<InForce, NotSwitched> {
        if self.standing.get() != KeyState::Shared {
            return Err(NotSwitched::Foreign);
        }
        for _ in 0..TRIES {
            let link = self.link(entry.clone());
            match self.registry.record(from, change.clone(), Some(link)).await? {
                Switched::Now(in_force) => {
                    self.refresh().await;
                    return Ok(in_force);
                }
                Switched::Other(in_force) => return Err(NotSwitched::Other(in_force.number)),
                Switched::Unknown => return Err(NotSwitched::Unknown(entry.version.unwrap_or_default())),
                Switched::Behind(_) => {
                    self.refresh().await;
                    if entry.id.as_deref().is_some_and(|id| self.trail.of_id(id).is_some()) {
                        return Err(NotSwitched::Done);
                    }
                }
            }
        }
        Err(NotSwitched::Busy)
    }

    /// Writes down what changes nothing, such as a refusal.
    ///
    /// # Errors
    /// As [`Fleet::record`].
    pub(crate) async fn note(&self, entry: &Entry) -> Result<(), NotSwitched> {
        self.record(entry, InForce::default(), Change::Nothing).await.map(drop)
    }

    /// Writes down what is right only behind this head. Returns whether it was written: if not, another line came first, and is known
    /// here now.
    ///
    /// # Errors
    /// If the store does not answer.
    pub(crate) async fn note_behind(&self, entry: &Entry, head: Head) -> Result<bool, NotSwitched> {
        if self.standing.get() != KeyState::Shared {
            return Err(NotSwitched::Foreign);
        }
        let link = self.link_behind(entry.clone(), head);
        let written = self.registry.record(InForce::default(), Change::Nothing, Some(link)).await?;
        self.refresh().await;
        Ok(matches!(written, Switched::Now(_)))
    }

    fn link(&self, entry: Entry) -> Link {
        self.link_behind(entry, self.trail.head())
    }

    fn link_behind(&self, entry: Entry, behind: Head) -> Link {
        let at = iso(self.store_time().unwrap_or_default());
        let line = Entry { at, gateway: self.identity.name.clone(), ..entry }.behind(&behind);
        Link { behind, line }
    }

    /// Takes in the lines that the store has and this gateway has not seen.
    pub(super) async fn follow(&self, head: &Head) {
        let mine = self.trail.head();
        if *head == mine {
            return;
        }
        if let Err(error) = self.catch_up(head, mine).await {
            tracing::debug!(%error, "the audit could not be followed");
        }
    }

    async fn catch_up(&self, head: &Head, mine: Head) -> Result<(), StoreError> {
        let mut lines =
            if head.number < mine.number { Vec::new() } else { self.registry.audit(mine.number.max(1)).await? };
        let first = lines.first().and_then(|line| Entry::read(line)).map(|(_, head)| head);
        match first {
            _ if mine.number == 0 => {}
            Some(first) if first == mine => drop(lines.remove(0)),
            // The store keeps fewer lines than were written meanwhile.
            Some(first) if first.number > mine.number => {}
            _ => return self.fork(head, mine).await,
        }
        self.trail.take(lines, |entry| self.obey(entry)).await;
        Ok(())
    }

    /// The store does not have the last line of this gateway.
    async fn fork(&self, head: &Head, mine: Head) -> Result<(), StoreError> {
        if self.standing.get() != KeyState::Shared {
            return Ok(());
        }
        let mut lines = self.chain().await?;
        let tells = |line: &String| Entry::read(line).is_some_and(|(entry, _)| entry.lost.as_ref() == Some(&mine));
        if !lines.iter().any(tells) {
            let at = iso(self.store_time().unwrap_or_default());
            let (gateway, who, action) = (self.identity.name.clone(), "weir".to_owned(), "fork".to_owned());
            let line = Entry { at, gateway, who, action, lost: Some(mine), ..Entry::default() }.behind(head);
            let link = Link { behind: head.clone(), line };
            let written = self.registry.record(InForce::default(), Change::Nothing, Some(link.clone())).await?;
            if !matches!(written, Switched::Now(_)) {
                // Another gateway wrote a line meanwhile: at the next exchange this is looked at again.
                return Ok(());
            }
            lines.push(link.line.text);
        }
        let known = self.trail.known().await;
        lines.retain(|line| Entry::read(line).is_some_and(|(_, head)| !known.contains(&head.hash)));
        self.trail.take(lines, |entry| self.obey(entry)).await;
        Ok(())
    }

    /// Does what a line says that is news to this gateway.
    fn obey(&self, entry: &Entry) {
        if entry.refused.is_some() || ![REVOKE, GIVE_PLACE].contains(&&*entry.action) {
            return;
        }
        let number = entry.with.as_deref().and_then(|pass| number_of(pass).ok());
        let rooms = self.shared.rooms.all();
        let room = entry.room.as_deref().and_then(|name| rooms.values().find(|room| *room.title() == *name));
        let (Some(number), Some(room)) = (number, room) else { return };
        if let Some(given) = GivenPlace::of(entry) {
            if self.is_recent(entry, TICKET_LIFE) {
                // A full mailbox drops it: the code tells of it again when it is used.
                room.report_evidence(&given.ticket());
            }
            return;
        }
        if self.is_recent(entry, room.longest_session()) && !room.end_pass(number) {
            tracing::error!(room = entry.room, pass = entry.with, "too busy to tell the line that a pass was revoked");
        }
    }

    /// Whether a pass that was there when this line was written may still live.
    fn is_recent(&self, entry: &Entry, session: Millis) -> bool {
        time_of(entry).is_none_or(|at| self.store_time().unwrap_or_default() < at.saturating_add(session))
    }

    /// Every line that the store keeps.
    async fn chain(&self) -> Result<Vec<String>, StoreError> {
        let mut chain: Vec<String> = Vec::new();
        loop {
            let last = chain.last().and_then(|line| Entry::read(line)).map_or(0, |(entry, _)| entry.number);
            let page = self.registry.audit(last + 1).await?;
            let whole = page.len() < PAGE_OF_LINES;
            chain.extend(page);
            if whole {
                return Ok(chain);
            }
        }
    }
}
