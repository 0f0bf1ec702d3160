//! Sessions of operators that a log-out has ended, as the audit tells.
//!
//! A session lasts for [`LIFE`], so its end is remembered for as long, however many lines follow. What was in lines that this gateway has not
//! seen nobody knows here: a session that was begun before such a gap may have been ended in it, and counts no more.
//!
//! Out of scope: lines that the store lost before any other gateway had read them, and what is in a session ([`crate::ops::sessions`]).

use std::collections::VecDeque;

use jiff::Timestamp;
use policy::Millis;
use policy::audit::Entry;

use crate::ops::sessions::{LIFE, Session};

/// An action in the audit, with the id of a session.
pub(crate) const LOG_OUT: &str = "log-out";
/// Sessions that are remembered. Where more are ended within [`LIFE`], all that were begun before the oldest end count no more.
const MOST: usize = 10_000;

/// The ended sessions. Times are the store's, in milliseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct LogOuts {
    /// When each was ended, and its id; in order of the audit.
    ended: VecDeque<(Millis, Box<str>)>,
    /// Of a session that was begun by then it is not known here whether it was ended.
    unknown_until: Millis,
}

impl LogOuts {
    /// Lines before one of this time were not seen.
    pub(super) fn miss(&mut self, at: Millis) {
        self.unknown_until = self.unknown_until.max(at);
    }

    /// The session of this id was ended at this time.
    pub(super) fn end(&mut self, id: &str, at: Millis) {
        while self.ended.pop_front_if(|(ended, _)| ended.saturating_add(LIFE) <= at).is_some() {}
        if self.ended.len() == MOST
            && let Some((ended, _)) = self.ended.pop_front()
        {
            self.miss(ended);
        }
        self.ended.push_back((at, id.into()));
    }

    /// Whether this session was ended, or may have been.
    pub(super) fn have_ended(&self, session: &Session) -> bool {
        session.begun() <= self.unknown_until || self.ended.iter().any(|(_, id)| **id == session.id)
    }
}

/// When a line was written, in milliseconds since 1970, by the clock of the store.
pub(super) fn time_of(entry: &Entry) -> Option<Millis> {
    Millis::try_from(entry.at.parse::<Timestamp>().ok()?.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::sessions::Proof;

    fn session(begun: Millis) -> Session {
        Session::begin("kim", Proof::default(), begun).expect("there is randomness")
    }

    #[test]
    fn a_session_that_was_ended_counts_no_more_and_its_end_is_remembered_for_as_long_as_it_could_last() {
        let (mut log_outs, one, other) = (LogOuts::default(), session(1_000), session(1_000));
        assert!(!log_outs.have_ended(&one));
        log_outs.end(&one.id, 2_000);
        log_outs.end(&session(5_000).id, 1_999 + LIFE);
        assert!(log_outs.have_ended(&one) && !log_outs.have_ended(&other));
        log_outs.end(&session(5_000).id, 2_000 + LIFE);
        assert_eq!((log_outs.ended.len(), one.ends < 2_000 + LIFE), (2, true), "it is over by itself");
    }

    #[test]
    fn a_session_from_before_lines_that_were_not_seen_counts_no_more() {
        let mut log_outs = LogOuts::default();
        log_outs.miss(5_000);
        assert!(log_outs.have_ended(&session(5_000)) && !log_outs.have_ended(&session(5_001)));
    }

    #[test]
    fn the_ends_are_bounded_and_one_that_is_forgotten_ends_all_sessions_from_before() {
        let (mut log_outs, first) = (LogOuts::default(), session(500));
        log_outs.end(&first.id, 1_000);
        (1..=MOST as u64).for_each(|n| log_outs.end("another", 1_000 + n));
        assert_eq!(log_outs.ended.len(), MOST);
        assert!(log_outs.have_ended(&first) && log_outs.have_ended(&session(1_000)));
        assert!(!log_outs.have_ended(&session(1_001)), "a later one is not touched");
    }
}
