//! The snapshot of a room, made anew from one moment to the next.

use std::sync::Arc;
use std::time::Instant;

use policy::Millis;
use policy::event::Announcement;
use policy::line::View;
use policy::pacer::PollTable;
use policy::room::Room;

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
    let away = !matches!(store, Reach::Here { .. });
    let utc = view.as_ref().map(|view| view.utc + at.elapsed().as_millis() as u64);
    let room = settings.room_at(view.as_ref(), utc, away);
    let event = event_facts(settings, room, utc);
    let unknown = View::default();
    let line = view.as_ref().unwrap_or(&unknown);
    let poll = line.poll_table(settings.polls, settings.poll_budget, &room.rules);
    let poll = PollTable { stretch: poll.stretch * stretch, ..poll };
    let state = match () {
        () if event.is_prequeueing() && !room.suspended => ui::State::EventPrequeueing,
        () if shop_rests && !room.suspended => ui::State::Queueing,
        () => ui::State::of(room, line),
    };
    let zone = &settings.zone;
    let page = settings.event_at(utc).and_then(|event| settings.event_pages.get(event)).unwrap_or(&settings.page);
    let facts = ui::Facts {
        name,
        room,
        line,
        poll,
        state,
        // To waiting shoppers a line that moves is not away; a newcomer learns it by a place without a number.
        away: store == Reach::Away,
        shop_rests,
        zone,
        page: *page,
        event,
        message: settings.message.as_ref(),
    };
    let answers = ui::Snapshot::new(&facts);
    Snapshot { view, at, asked, away, on_lease: store == Reach::OnLease, shop_rests, state, answers }
}

/// What the events of the room say at this time. Those who wait for an operator are told of no event.
fn event_facts(settings: &RoomSettings, room: &Room, utc: Option<Millis>) -> ui::EventFacts {
    let (Some(timetable), Some(utc)) = (&settings.timetable, utc) else { return ui::EventFacts::NONE };
    let announcement = if room.suspended { Announcement::None } else { timetable.announcement(utc) };
    let current = timetable.current(utc).map(|(event, phase)| (event.times, phase));
    ui::EventFacts { utc, announcement, current }
}
