//! What came of the last forms, until their senders have seen it: a form is answered by another page.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::ops::fleet::arrival::Arrival;
use crate::settings::config::RoomChange;

/// Answers that are kept.
const KEPT: usize = 64;

/// What came of a form.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Answer {
    /// The action.
    pub action: String,
    /// The version that it made.
    pub version: u64,
    /// Whether it made one.
    pub is_new: bool,
    /// Why.
    pub why: String,
    /// What is different, in a line each.
    pub changes: Vec<String>,
    /// What each gateway says.
    pub gateways: Vec<Arrival>,
}

/// The last answers, by the one-time id of their form.
#[derive(Debug, Default)]
pub(super) struct Done(Mutex<VecDeque<(String, Answer)>>);

impl Done {
    /// Keeps an answer, in place of an earlier one to the same form.
    pub(super) fn keep(&self, id: &str, answer: Answer) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| known != id);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back((id.to_owned(), answer));
    }

    /// The answer to this form.
    pub(super) fn of(&self, id: &str) -> Option<Answer> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(known, _)| known == id).map(|(_, answer)| answer.clone())
    }
}

/// Changes in a line each.
pub(super) fn lines(changes: &[RoomChange]) -> Vec<String> {
    changes.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answers_are_kept_and_no_more() {
        let answer = |version| Answer {
            action: "pause".to_owned(),
            version,
            is_new: true,
            why: String::new(),
            changes: Vec::new(),
            gateways: Vec::new(),
        };
        let done = Done::default();
        (0..=KEPT as u64).for_each(|at| done.keep(&at.to_string(), answer(at)));
        assert!(done.of("0").is_none() && done.of("1").is_some());
        done.keep("64", answer(7));
        assert_eq!(done.of("64").map(|answer| answer.version), Some(7));
        assert_eq!(done.0.lock().map(|kept| kept.len()).ok(), Some(KEPT));
    }
}
