//! The record of one visitor, and how it is written: over sockets or in virtual time.

use std::time::Duration;

use launch_model::persona::Persona;
use launch_model::token::{Kind, Token};
use launch_model::visit::{End, Page, Stumble};
use serde::{Deserialize, Serialize};

use crate::time::{Micros, micros};

/// The record of one visitor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Visit {
    /// Their place in the order of arrivals.
    pub index: u64,
    /// Their persona.
    pub persona: Persona,
    /// When they were to arrive.
    pub due: Micros,
    /// Every different token that their cookie held, in order.
    pub held: Vec<Held>,
    /// The first wait that they were shown.
    pub first_wait: Option<ShownWait>,
    /// The first and the last position that they were shown.
    pub positions: Option<[u64; 2]>,
    /// How often a position was larger than the one before; always a fault.
    pub positions_grown: u32,
    /// When the first page of the shop had come.
    pub entered: Option<Micros>,
    /// How it ended.
    pub end: End,
    /// When it ended.
    pub left: Micros,
    /// Requests sent.
    pub requests: u32,
    /// Answers 5xx while they were outside.
    pub errors_outside: u32,
    /// Requests outside that had no answer (refused, reset, too late).
    pub unanswered_outside: u32,
    /// Whether they met the line again after they were inside, with their cookie kept.
    pub thrown_out: bool,
    /// When they first met the line again after they were inside, with their cookie shown.
    #[serde(default)]
    pub sent_back: Option<Micros>,
    /// Requests that the shop must have seen, or must not have seen.
    pub asked: Vec<RequestRecord>,
    /// Steps of their journey that they did.
    #[serde(default)]
    pub steps: u16,
    /// Failures on their journey, in order.
    #[serde(default)]
    pub stumbles: Vec<Stumble>,
}

/// A token that a cookie held.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// When the answer that brought it had come.
    pub at: Micros,
    /// Which target it came from, as an index of the run's targets.
    pub target: u16,
    /// Its content.
    pub token: Token,
}

/// A wait that was shown, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ShownWait {
    /// When the answer had come.
    pub at: Micros,
    /// At least so long.
    pub low: f64,
    /// At most so long.
    pub high: f64,
}

/// A request with a pass, or an attack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// `X-Request-Id`, which the shop's log has as well if the gateway trusts this machine.
    pub id: String,
    /// What was asked for.
    pub page: Page,
    /// Of which step of a journey.
    #[serde(default)]
    pub step: Option<u16>,
    /// When it was to be sent: the previous answer plus the pause.
    pub due: Micros,
    /// When its answer had come, or was given up.
    pub answered: Micros,
    /// Status of the answer; `None` if there was none.
    pub status: Option<u16>,
    /// Whether it must never reach the shop.
    pub attack: bool,
    /// Whether a shopper saw a page that leads nowhere: no answer, a 5xx, a 429 that is bare text, or nothing on it.
    #[serde(default)]
    pub white: bool,
}

impl Visit {
    /// The record of a visitor who arrives.
    pub fn begun(index: u64, persona: Persona, due: Micros) -> Self {
        Self {
            index,
            persona,
            due,
            held: Vec::new(),
            first_wait: None,
            positions: None,
            positions_grown: 0,
            entered: None,
            end: End::Outside,
            left: due,
            requests: 0,
            errors_outside: 0,
            unanswered_outside: 0,
            thrown_out: false,
            sent_back: None,
            asked: Vec::new(),
            steps: 0,
            stumbles: Vec::new(),
        }
    }

    /// Records a token that they did not have before.
    pub fn hold(&mut self, held: Held) {
        if self.held.last().is_none_or(|last| last.token != held.token) {
            self.held.reserve_exact(1);
            self.held.push(held);
        }
    }

    /// Records what the line showed them: their position, and a wait as its lower and upper end in seconds.
    pub fn see(&mut self, at: Micros, position: Option<u64>, wait: Option<[f64; 2]>) {
        if let Some([low, high]) = wait {
            self.first_wait.get_or_insert(ShownWait { at, low, high });
        }
        let Some(position) = position else { return };
        let [first, last] = self.positions.unwrap_or([position; 2]);
        self.positions_grown += u32::from(position > last);
        self.positions = Some([first, position]);
    }

    /// Records that a visitor inside, who showed their cookie, met the line again. A pass lives for `session`.
    pub fn sent_back(&mut self, at: Micros, session: Duration) {
        self.thrown_out |= self.has_a_right(at, session);
        self.sent_back.get_or_insert(at);
    }

    /// Whether a visitor who shows their cookie has a pass that has not ended by itself: no gateway may send them back to
    /// the line then. A pass lives for `session`.
    pub fn has_a_right(&self, at: Micros, session: Duration) -> bool {
        let life = micros(session);
        let lives = self.held.last().is_some_and(|held| held.token.kind == Kind::Pass && at < held.at + life);
        lives && !self.persona.is_adversary()
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn the_first_wait_and_the_first_and_last_position_are_kept_and_growth_is_counted() {
        let mut visit = Visit::begun(3, Persona::Patient, 10);
        visit.see(20, None, None);
        for (at, position) in [(30, 9), (40, 4), (50, 6), (60, 2)] {
            visit.see(at, Some(position), Some([at as f64, 99.0]));
        }
        assert_eq!(visit.first_wait, Some(ShownWait { at: 30, low: 30.0, high: 99.0 }));
        assert_eq!((visit.positions, visit.positions_grown), (Some([9, 2]), 1));
    }

    #[test]
    fn a_token_is_kept_once_and_a_pass_is_a_right_while_it_lives() {
        let mut visit = Visit::begun(3, Persona::Patient, 10);
        let held = |at, kind| Held { at, target: 0, token: Token { kind, number: 1, issued_ms: 1, expires_ms: 2 } };
        let session = Duration::from_micros(100);
        visit.hold(held(20, Kind::Ticket));
        visit.hold(held(30, Kind::Ticket));
        assert_eq!(visit.held.len(), 1);
        assert!(!visit.has_a_right(40, session));
        visit.hold(held(50, Kind::Pass));
        assert!(visit.has_a_right(149, session) && !visit.has_a_right(150, session));
    }
}
