//! The token of a shopper: a place in a line, and the right that it becomes.
//!
//! One value serves for ticket and pass: a pass is a ticket that was claimed, and keeps its number.

use serde::{Deserialize, Serialize};

use crate::Millis;
use crate::permutation::Permutation;

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A numbered place in a line.
    Ticket = 1,
    /// The right to reach the upstream until it expires.
    Pass = 2,
    /// A place without a number: kept while the store is away, `number` in the order of arrival within the gateway's `incarnation`;
    /// or in a round that is not drawn, whose id stands for that ([`Round`]).
    Provisional = 3,
    /// No place yet: shown again within [`ARRIVAL_LIFE`], it gets one. `number` is its id.
    Arrival = 4,
}

/// A ticket, pass, provisional ticket or arrival, as carried by the shopper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Its kind.
    pub kind: Kind,
    /// The incarnation of a gateway, for a provisional ticket; [`Token::new_pass`] and [`Token::invited`] set their marks here; 0
    /// for any other.
    pub incarnation: u32,
    /// Place in the line, unique in its room: see [`crate::segment`].
    pub number: u64,
    /// Store time at which it was sealed.
    pub issued: Millis,
    /// Store time from which it is void.
    pub expires: Millis,
    /// Store time at which a pass was given, however often it was renewed since; 0 for any other.
    pub admitted: Millis,
}

/// The mark of a new pass.
const NEW: u32 = 1;
/// Marks from here on are seconds of store time, modulo so many: what fits into two bytes.
const INVITED: u32 = 2;
const MARKS: u64 = 65_534;

/// How long a ticket stays valid since its holder was last seen: a day.
pub const TICKET_LIFE: Millis = 24 * 60 * 60 * 1000;

/// How long an arrival may be shown, and how long the line remembers its number: a minute.
pub const ARRIVAL_LIFE: Millis = 60 * 1000;

/// A ticket older than this is sealed anew when its holder is seen: an hour.
const REFRESH_AFTER: Millis = 60 * 60 * 1000;
/// How long a ticket lasts at least after it was shown, be it for the last time.
pub const TICKET_KEPT: Millis = TICKET_LIFE - REFRESH_AFTER;

impl Token {
    /// A ticket for place `number`, sealed at `now`.
    pub fn ticket(number: u64, now: Millis) -> Self {
        Self { kind: Kind::Ticket, incarnation: 0, number, issued: now, expires: now + TICKET_LIFE, admitted: 0 }
    }

    /// A pass of place `number`, given at `now`, that ends at `expires`.
    pub fn pass(number: u64, now: Millis, expires: Millis) -> Self {
        Self { kind: Kind::Pass, incarnation: 0, number, issued: now, expires, admitted: now }
    }

    /// The same, marked: when it is shown, the line gets a report that its holder came back.
    pub fn new_pass(number: u64, now: Millis, expires: Millis) -> Self {
        Self { incarnation: NEW, ..Self::pass(number, now, expires) }
    }

    /// Whether this is a pass whose holder may not have come back before.
    pub fn is_new(&self) -> bool {
        self.incarnation == NEW && self.kind == Kind::Pass
    }

    /// The same pass without the mark.
    #[must_use]
    pub fn confirmed(self) -> Self {
        Self { incarnation: 0, ..self }
    }

    /// The same pass, marked: at `now` its holder was invited to send a form, which may come to any gateway.
    #[must_use]
    pub fn invited(self, now: Millis) -> Self {
        Self { incarnation: INVITED + (now / 1_000 % MARKS) as u32, ..self }
    }

    /// Whether the holder of this pass was invited within the last `span`, to the second.
    pub fn was_invited_within(&self, span: Millis, now: Millis) -> bool {
        let Some(second) = self.incarnation.checked_sub(INVITED).filter(|_| self.kind == Kind::Pass) else {
            return false;
        };
        let since = (now / 1_000 % MARKS + MARKS - u64::from(second) % MARKS) % MARKS;
        since <= span / 1_000
    }

    /// A place kept by `incarnation` of a gateway while its store is away, or one in the round of this id.
    pub fn provisional(incarnation: u32, sequence: u64, now: Millis) -> Self {
        Self { kind: Kind::Provisional, incarnation, ..Self::ticket(sequence, now) }
    }

    /// An arrival of this id, to be shown again.
    pub fn arrival(id: u64, now: Millis) -> Self {
        Self { kind: Kind::Arrival, expires: now + ARRIVAL_LIFE, ..Self::ticket(id, now) }
    }

    /// Whether a pass has used up half its life and should be renewed.
    pub fn past_half_life(&self, now: Millis) -> bool {
        now.saturating_sub(self.issued) * 2 >= self.expires.saturating_sub(self.issued)
    }

    /// Whether the holder of this ticket, seen at `now`, should get a fresh one.
    pub fn wants_refresh(&self, now: Millis) -> bool {
        now.saturating_sub(self.issued) >= REFRESH_AFTER
    }
}

/// Provisional tickets of one incarnation of a gateway: `count` from sequence `first` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Adopt {
    /// The incarnation that gave them out.
    pub incarnation: u32,
    /// First sequence number.
    pub first: u64,
    /// How many.
    pub count: u64,
}

/// Provisional tickets with their numbers, which are `base` and those that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Adopted {
    /// The provisional tickets.
    pub adopt: Adopt,
    /// The lowest of their numbers.
    pub base: u64,
    /// What decides their order; `None`: they stand in the order of their sequence.
    pub seed: Option<u64>,
}

impl Adopted {
    /// The number of one of them; `None`: it is of others.
    pub fn number_of(&self, incarnation: u32, sequence: u64) -> Option<u64> {
        let index = sequence.checked_sub(self.adopt.first).filter(|_| self.adopt.incarnation == incarnation)?;
        let order = |seed: u64| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&seed.to_be_bytes());
            Permutation::new(key, self.adopt.count).place(index)
        };
        let place = self.seed.map_or((index < self.adopt.count).then_some(index), order)?;
        Some(self.base + place)
    }
}

/// Ids of rounds begin here; incarnations of gateways are below.
pub const FIRST_ROUND: u32 = 1 << 31;

/// The round of a line: the one that gathers, or the last one. Its places have the sequences from 1 on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// Its id, above that of any earlier round; 0: there was none.
    pub id: u32,
    /// Places in it.
    pub gathered: u64,
    /// Places that have a number: all or none, but for a line that has lost writes.
    pub drawn: u64,
    /// Line time of its first place.
    pub began: Millis,
}

impl Round {
    /// Places without a number.
    pub fn waiting(&self) -> u64 {
        self.gathered.saturating_sub(self.drawn)
    }

    /// Whether places of the round with this id will be drawn.
    pub fn gathers(&self, id: u32) -> bool {
        self.id == id && self.waiting() > 0
    }

    /// Whether this is later than what is known.
    pub(crate) fn is_later_than(&self, known: &Self) -> bool {
        (self.id, self.gathered) > (known.id, known.gathered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_renewed_from_half_of_its_life_on() {
        let pass = Token::pass(1, 1_000, 2_000);
        assert!(!pass.past_half_life(1_499));
        assert!(pass.past_half_life(1_500));
    }

    #[test]
    fn an_invitation_is_as_old_as_its_mark() {
        let pass = Token::pass(1, 0, Millis::MAX);
        for now in [1_700_000_000_123, 65_534_000 - 1, 65_534_000, 65_533_999_500] {
            let marked = pass.invited(now);
            assert!(!pass.was_invited_within(5_000, now) && !marked.is_new());
            assert!(marked.was_invited_within(5_000, now) && marked.was_invited_within(5_000, now + 5_000));
            assert!(!marked.was_invited_within(5_000, now + 6_000) && !marked.was_invited_within(5_000, now - 1_000));
            assert!(!marked.confirmed().was_invited_within(5_000, now) && u16::try_from(marked.incarnation).is_ok());
        }
        assert!(!Token::new_pass(1, 0, 9).was_invited_within(5_000, 0), "a new one");
        assert!(!Token::provisional(INVITED, 1, 0).was_invited_within(5_000, 0), "no pass");
    }

    #[test]
    fn a_ticket_seen_every_hour_never_ends() {
        let ticket = Token::ticket(1, 0);
        assert!(!ticket.wants_refresh(59 * 60 * 1000));
        assert!(ticket.wants_refresh(60 * 60 * 1000));
        assert!(ticket.expires > 60 * 60 * 1000);
    }
}
