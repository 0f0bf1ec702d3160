//! What is told of a room from one moment to the next.

use std::sync::Arc;
use std::time::Instant;

use policy::drain::PollTable;
use policy::line::View;

use super::{LiveRoom, Snapshot, Terms};
use crate::ui;

/// A room before the store's first answer.
pub(super) fn unseen(name: &str, terms: &Terms) -> Snapshot {
    picture(name, terms, None, Reaches { at: Instant::now(), store: Reach::Away, shop_rests: false }, 1.0)
}

/// How store and shop can be reached.
#[derive(Debug, Clone, Copy)]
struct Reaches {
    /// When the store last answered.
    at: Instant,
    store: Reach,
    shop_rests: bool,
}

/// How the store can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Here,
    Away,
    /// It is away, and this gateway lives on its lease.
    OnLease,
}

/// Makes what is told of a room now: the line as it was last seen, and what can be reached.
pub(super) fn publish(room: &LiveRoom, view: Option<View>, store: Reach) {
    let at = if store == Reach::Here { Instant::now() } else { room.snapshot.load().at };
    let reaches = Reaches { at, store, shop_rests: room.shop_rests() };
    let stretch = room.stretch.factor();
    room.snapshot.store(Arc::new(picture(&room.name, &room.terms.load(), view, reaches, stretch)));
}

/// What is told of a room from now on, with the pauses between polls stretched by this factor.
fn picture(name: &str, terms: &Terms, view: Option<View>, reaches: Reaches, stretch: f64) -> Snapshot {
    let Reaches { at, store, shop_rests } = reaches;
    let room = &terms.room;
    let unknown = View::default();
    let line = view.as_ref().unwrap_or(&unknown);
    let poll = line.poll_table(terms.polls, terms.poll_budget, &room.rules);
    let poll = PollTable { stretch: poll.stretch * stretch, ..poll };
    let state = if shop_rests && !room.suspended { ui::State::Queueing } else { ui::State::of(room, line) };
    // To those who wait a line that moves is not away; a newcomer finds out by a place without a number.
    let away = store == Reach::Away;
    let answers = ui::Snapshot::new(&ui::Facts { name, room, line, poll, state, away, shop_rests, zone: &terms.zone });
    Snapshot { view, at, away: store != Reach::Here, on_lease: store == Reach::OnLease, shop_rests, state, answers }
}
