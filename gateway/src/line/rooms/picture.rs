//! The snapshot of a room, made anew from one moment to the next.

use std::sync::Arc;
use std::time::Instant;

use policy::line::View;
use policy::pacer::PollTable;

use super::{LiveRoom, RoomSettings, Snapshot};
use crate::ui;

/// A room before the store's first answer.
pub(super) fn unseen(name: &str, settings: &RoomSettings) -> Snapshot {
    let now = Instant::now();
    picture(name, settings, None, Reaches { at: now, asked: now, store: Reach::Away, shop_rests: false }, 1.0)
}

/// Whether store and shop can be reached.
#[derive(Debug, Clone, Copy)]
struct Reaches {
    /// When the store last answered.
    at: Instant,
    /// When that call was made.
    asked: Instant,
    store: Reach,
    shop_rests: bool,
}

/// Whether the store can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Here {
        /// When the answered call was made.
        asked: Instant,
    },
    Away,
    /// It is away, and this gateway lives on its lease.
    OnLease,
}

/// Publishes the present snapshot of a room: the line as last seen, and the reach of store and shop.
pub(super) fn publish(room: &LiveRoom, view: Option<View>, store: Reach) {
    let (at, asked) = match store {
        Reach::Here { asked } => (Instant::now(), asked),
        Reach::Away | Reach::OnLease => {
            let before = room.snapshot.load();
            (before.at, before.asked)
        }
    };
    let reaches = Reaches { at, asked, store, shop_rests: room.shop_rests() };
    let stretch = room.stretch.factor();
    room.snapshot.store(Arc::new(picture(&room.name, &room.settings.load(), view, reaches, stretch)));
}

/// The snapshot of a room from now on, with poll intervals stretched by this factor.
fn picture(name: &str, settings: &RoomSettings, view: Option<View>, reaches: Reaches, stretch: f64) -> Snapshot {
    let Reaches { at, asked, store, shop_rests } = reaches;
    let room = &settings.room;
    let unknown = View::default();
    let line = view.as_ref().unwrap_or(&unknown);
    let poll = line.poll_table(settings.polls, settings.poll_budget, &room.rules);
    let poll = PollTable { stretch: poll.stretch * stretch, ..poll };
    let state = if shop_rests && !room.suspended { ui::State::Queueing } else { ui::State::of(room, line) };
    // To waiting shoppers a line that moves is not away; a newcomer learns it by a place without a number.
    let away = store == Reach::Away;
    let (zone, page, message) = (&settings.zone, settings.page, settings.message.as_ref());
    let answers =
        ui::Snapshot::new(&ui::Facts { name, room, line, poll, state, away, shop_rests, zone, page, message });
    let (here, on_lease) = (matches!(store, Reach::Here { .. }), store == Reach::OnLease);
    Snapshot { view, at, asked, away: !here, on_lease, shop_rests, state, answers }
}
