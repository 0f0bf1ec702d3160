//! A room: what it does, what it did in the last hour, and what an operator can do to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use minijinja::value::Serde;
use minijinja::{Value, context};
use policy::audit::Entry;
use serde::Deserialize;

use super::chart::{Chart, Mark};
use super::wall::{gateways, shown};
use super::{Console, Form, Reader, live, texts};
use crate::ops::admin::access::Caller;
use crate::ops::admin::live::Refused;
use crate::ops::admin::no_room;
use crate::ops::admin::problem::Problem;
use crate::ui::Language;

/// Minutes that the chart can show.
const SPANS: [u64; 3] = [5, 15, 60];
/// Changes that are marked.
const MARKS: usize = 12;
/// Languages in which there is always a field for a message.
const SPOKEN: [Language; 2] = [Language::Korean, Language::English];

/// What the fields for a message are called, before the tag of their language.
const MESSAGE: &str = "message.";

/// What was typed into a form that was refused: it is not lost.
#[derive(Debug, Default)]
pub(super) struct Filled {
    why: String,
    pub(super) message: BTreeMap<String, String>,
}

impl Filled {
    pub(super) fn of(form: &Form) -> Self {
        let message =
            form.0.iter().filter_map(|(name, text)| Some((name.strip_prefix(MESSAGE)?.to_owned(), text.clone())));
        Self { why: form.field("why").unwrap_or_default().to_owned(), message: message.collect() }
    }
}

/// The query of the page.
#[derive(Debug, Default, Deserialize)]
pub(super) struct RoomQuery {
    /// The one-time id of an action that was just done.
    #[serde(default)]
    done: String,
    /// How much the chart shows.
    minutes: Option<u64>,
}

impl RoomQuery {
    /// The minutes of the chart: those asked for, or the fewest that show all that is known.
    fn minutes(&self, known_ms: u64) -> u64 {
        let asked = self.minutes.filter(|minutes| SPANS.contains(minutes));
        asked.or_else(|| SPANS.into_iter().find(|minutes| minutes * 60_000 >= known_ms)).unwrap_or(60)
    }
}

/// The last changes of a room, oldest first.
fn changes(console: &Console, room: &str, since_ms: u64) -> Vec<Entry> {
    let lines = console.fleet.trail.recent(0);
    let entries = lines.iter().filter_map(|line| Entry::read(line)).map(|(entry, _)| entry);
    let of_room = entries.filter(|entry| entry.refused.is_none() && entry.version.is_some());
    let of_room = of_room.filter(|entry| entry.room.as_deref().is_none_or(|named| named == room));
    let mut changes: Vec<Entry> = of_room.filter(|entry| texts::millis(&entry.at) >= since_ms).collect();
    changes.drain(..changes.len().saturating_sub(MARKS));
    changes
}

fn fragment(console: &Console, reader: &Reader, room: &str, query: &RoomQuery) -> Option<String> {
    let rooms = console.rooms();
    let status = rooms.iter().find(|status| status.name == room)?;
    let hour = &console.streams.hour;
    let newest = hour.newest();
    let now = newest.as_ref().map_or(0, |sample| sample.at_ms);
    let minutes = query.minutes(now.saturating_sub(hour.since().unwrap_or(now)));
    let begin = now.saturating_sub(minutes * 60_000);
    let changes = changes(console, room, begin);
    let mark = |(at, entry): (usize, &Entry)| Mark { at_ms: texts::millis(&entry.at), number: at + 1 };
    let marks: Vec<Mark> = changes.iter().enumerate().map(mark).collect();
    let chart = Chart { samples: &hour.from(begin), room, begin, end: now, marks: &marks, language: reader.language };
    let listed = changes.iter().enumerate().map(|(at, entry)| {
        context! {
            number => at + 1,
            time => texts::second(texts::millis(&entry.at)),
            entry => Value::from(Serde(entry)),
            action => texts::action(reader.language, &entry.action),
        }
    });
    let own = context! {
        room => shown(reader, status, newest.as_deref()),
        gateways => gateways(newest.as_deref()),
        panels => chart.panels().into_iter().map(|(title, now, svg)| context! { title, now, svg => Value::from_safe_string(svg) }).collect::<Vec<_>>(),
        changes => listed.rev().collect::<Vec<_>>(),
        spans => SPANS.map(|span| context! { minutes => span, is_shown => span == minutes }).to_vec(),
        name => room,
    };
    match reader.render("room_live.html", own) {
        Ok(text) => Some(text),
        Err(error) => {
            tracing::error!(error, "a room cannot be shown");
            None
        }
    }
}

/// The page of a room. `refused` is a form that was not taken, with what was typed into it.
pub(super) fn show(
    console: &Console,
    reader: &Reader,
    room: &str,
    query: &RoomQuery,
    refused: Option<(&Problem, &Filled)>,
) -> Response {
    let Some(live) = fragment(console, reader, room, query) else { return reader.problem(&no_room(room)) };
    let site = console.fleet.shared.site.load();
    let Some(config) = site.config.rooms.iter().find(|known| known.name == room) else {
        return reader.problem(&no_room(room));
    };
    let controls = config.controls();
    let state = controls.state(console.fleet.store_time().unwrap_or_default());
    let told = |name: &str| controls.message.get(name).cloned().unwrap_or_default();
    let spoken =
        Language::ALL.into_iter().filter(|language| SPOKEN.contains(language) || !told(language.name()).is_empty());
    let none = Filled::default();
    let filled = refused.map_or(&none, |(_, filled)| filled);
    let messages = spoken.map(|language| {
        let tag = language.tag();
        let text = filled.message.get(tag).cloned().unwrap_or_else(|| told(language.name()));
        context! { tag, text }
    });
    let events = config.events.iter().filter(|event| !event.suspended).map(|event| event.name.clone());
    let minutes = query.minutes.filter(|minutes| SPANS.contains(minutes));
    let own = context! {
        view => "room",
        title => room,
        name => room,
        live => Value::from_safe_string(live),
        stream => format!("/console/rooms/{room}/live{}", minutes.map(|minutes| format!("?minutes={minutes}")).unwrap_or_default()),
        state => state.name(),
        rate => controls.new_users_per_minute,
        seats => controls.total_active_users,
        messages => messages.collect::<Vec<_>>(),
        is_told => !controls.message.is_empty(),
        events => events.collect::<Vec<_>>(),
        done => console.done.of(&query.done).map(|answer| {
            context! { label => texts::action(reader.language, &answer.action), answer => Value::from(Serde(answer)) }
        }),
        problem => refused.map(|(problem, _)| Value::from(Serde(problem))),
        why => &filled.why,
    };
    let status = refused.map_or(StatusCode::OK, |(problem, _)| {
        StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    });
    reader.page("room.html", status, own)
}

pub(super) async fn page(
    State(console): State<Arc<Console>>,
    Path(room): Path<String>,
    Query(query): Query<RoomQuery>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    show(&console, &Reader::of(&console, caller, &headers), &room, &query, None)
}

pub(super) async fn live(
    State(console): State<Arc<Console>>,
    Path(room): Path<String>,
    Query(query): Query<RoomQuery>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Refused> {
    let reader = Reader::of(&console, caller, request.headers());
    if fragment(&console, &reader, &room, &query).is_none() {
        return Ok(no_room(&room).into_response());
    }
    live::stream(console, &request, move |console| fragment(console, &reader, &room, &query))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_shows_what_was_asked_for_or_all_that_is_known() {
        let query = |minutes| RoomQuery { minutes, ..RoomQuery::default() };
        let spans = [0, 299_000, 301_000, 3_600_000, 9_000_000].map(|known| query(None).minutes(known));
        assert_eq!(spans, [5, 5, 15, 60, 60]);
        assert_eq!((query(Some(60)).minutes(0), query(Some(7)).minutes(0)), (60, 5));
    }
}
