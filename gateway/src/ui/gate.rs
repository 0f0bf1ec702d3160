//! The page of a shopper who is inside and waits at the gate of a route: the people before them, and the form if they sent one.
//! The same for programs, and the answer to a poll.

use std::sync::Arc;

use bytes::Bytes;
use minijinja::context;
use serde_json::json;

use super::held::HeldForm;
use super::on_demand::OnDemand;
use super::page::Room;
use super::template::{Coding, Filled, GATE, Look, Segments, Slot, ours, render};
use super::{Language, push_number};

/// What the page is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Face {
    /// A page that loads at its turn.
    Page,
    /// A form that is sent at its turn.
    Form,
    /// A form that found no way to the shop.
    NoWay,
}

/// The pages of a room at its gates. Made on first use.
#[derive(Debug, Clone)]
pub(super) struct GatePages {
    /// By language, then by [`Face`].
    pages: OnDemand<Segments>,
    room: Arc<Room>,
}

impl GatePages {
    pub(super) fn new(room: Arc<Room>) -> Self {
        Self { pages: OnDemand::new(Language::ALL.len(), 3), room }
    }

    /// The page of one shopper, who asks after `seconds` for the first time; `ahead`: so many people are before them at the gate.
    pub(super) fn fill(
        &self,
        form: Option<&HeldForm>,
        ahead: Option<usize>,
        seconds: u64,
        (language, coding): (Language, Coding),
    ) -> Filled {
        let face = match (form, ahead) {
            (None, _) => Face::Page,
            (Some(_), Some(_)) => Face::Form,
            (Some(_), None) => Face::NoWay,
        };
        self.segments(language, face).fill(coding, |out, slot| match slot {
            Slot::PositionFormatted => language.push_grouped(out, ahead.unwrap_or_default() as u64),
            Slot::PollAfter => push_number(out, seconds),
            Slot::Form => {
                if let Some(form) = form {
                    form.push(out, language);
                }
            }
            _ => {}
        })
    }

    fn segments(&self, language: Language, face: Face) -> &Segments {
        self.pages.get(language as usize, face as usize, || {
            let Room { name, brand } = &*self.room;
            let made = ours().and_then(|templates| {
                let own = context! {
                    room => name,
                    held => face != Face::Page,
                    waits => face != Face::NoWay,
                    positionFormatted => Slot::PositionFormatted.mark(),
                    pollAfterSeconds => Slot::PollAfter.mark(),
                    form => Slot::Form.mark(),
                    shared => Slot::Shared.mark(),
                };
                render(templates, GATE, language, &Look::new(name, brand), own)
            });
            // A test makes every one of them.
            made.unwrap_or_else(|error| Segments::cut(&error.to_string()))
        })
    }
}

/// For programs: the fields of a [`super::Notice`], the number of people before this one, and the path that tells the turn.
pub fn held_json(room: &str, path: &str, ahead: usize, seconds: u64) -> Bytes {
    let value = json!({
        "error": "held",
        "status": "held",
        "message": "Too many at this step just now. Nothing was sent to the shop, and the place is kept: send the same again.",
        "retryAfterSeconds": seconds,
        "request": null,
        "room": room,
        "ahead": ahead,
        "turn": format!("/.weir/gate/{room}{path}"),
    });
    Bytes::from(value.to_string())
}

/// The same in a line.
pub fn held_text(ahead: usize, seconds: u64) -> Bytes {
    let what = "Too many at this step just now. Nothing was sent to the shop, and the place is kept";
    Bytes::from(format!("{what}, behind {ahead}. Send the same again in {seconds} s.\n"))
}

/// The answer to a poll: `{"go": .., "ahead": .., "pollAfterSeconds": ..}`.
pub fn turn_json(go: bool, ahead: usize, seconds: u64) -> Bytes {
    Bytes::from(json!({ "go": go, "ahead": ahead, "pollAfterSeconds": seconds }).to_string())
}
