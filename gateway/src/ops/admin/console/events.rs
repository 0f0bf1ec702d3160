//! The events of all rooms. One is made or edited by a change of the rooms' text, which is shown before it is applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Deserialize;
use serde_json::Value as Json;

use super::change::Draft;
use super::{Console, Form, Reader};
use crate::ops::admin::access::Caller;
use crate::ops::admin::problem::Problem;
use crate::ops::fleet::NotSwitched;
use crate::settings::config::{EventConfig, RoomConfig, with_event};

/// The query of the page: an event to edit.
#[derive(Debug, Default, Deserialize)]
pub(super) struct EventsQuery {
    #[serde(default)]
    room: String,
    #[serde(default)]
    event: String,
}

/// What stands in the fields of the form: the event that is edited, or nothing.
fn fields(event: Option<&EventConfig>) -> BTreeMap<&'static str, String> {
    let written = event.and_then(|event| serde_json::to_value(event).ok()).unwrap_or_default();
    let text = |key: &str| match &written[key] {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        _ => String::new(),
    };
    ["name"].into_iter().chain(TEXTS).chain(NUMBERS).map(|key| (key, text(key))).collect()
}

/// Fields of the form that are texts of the event under the same name, and those that are numbers.
const TEXTS: [&str; 4] = ["description", "prequeue_start_time", "event_start_time", "event_end_time"];
const NUMBERS: [&str; 2] = ["new_users_per_minute", "total_active_users"];

fn shown(room: &RoomConfig, event: &EventConfig, reader: &Reader, utc: u64) -> Value {
    let phase = if event.suspended { "suspended" } else { event.times().phase(utc).name() };
    context! {
        room => &room.name,
        phase,
        label => reader.text(phase),
        event => Value::from(Serde(event)),
    }
}

pub(super) async fn page(
    State(console): State<Arc<Console>>,
    Query(query): Query<EventsQuery>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    let reader = Reader::of(&console, caller, &headers);
    let site = console.fleet.shared.site.load();
    let rooms = &site.config.rooms;
    let utc = console.fleet.store_time().unwrap_or_default();
    let all = rooms.iter().flat_map(|room| room.events.iter().map(move |event| (room, event)));
    let mut every = all.clone();
    let edited = every.find(|(room, event)| room.name == query.room && event.name == query.event);
    let own = context! {
        view => "events",
        title => reader.text("events"),
        events => all.map(|(room, event)| shown(room, event, &reader, utc)).collect::<Vec<_>>(),
        rooms => rooms.iter().map(|room| room.name.clone()).collect::<Vec<_>>(),
        fields => Value::from(Serde(fields(edited.map(|(_, event)| event)))),
        edited => edited.map(|(room, event)| shown(room, event, &reader, utc)),
    };
    reader.page("events.html", StatusCode::OK, own)
}

pub(super) async fn send(
    State(console): State<Arc<Console>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let (form, reader) = (Form::read(&body), Reader::of(&console, caller.clone(), &headers));
    match draft(&console, &caller, &form).await {
        Ok(draft) => draft.show(&console, &reader, ""),
        Err(problem) => reader.problem(&problem),
    }
}

async fn draft(console: &Console, caller: &Caller, form: &Form) -> Result<Draft, Problem> {
    let draft = Draft::in_force(console).await?;
    let (room, name) = (form.field("room").unwrap_or_default(), form.field("name").unwrap_or_default());
    let mut keys: Vec<(&str, Option<toml_edit::Value>)> = Vec::new();
    for key in TEXTS {
        keys.push((key, form.field(key).map(Into::into)));
    }
    for key in NUMBERS {
        let number = form.number(key)?.map(|number| i64::try_from(number).unwrap_or(i64::MAX).into());
        keys.push((key, number));
    }
    keys.push(("suspended", form.field("suspended").map(|_| true.into())));
    let text = with_event(&draft.text, room, name, &keys);
    let text = text.map_err(|error| Problem::from(NotSwitched::Unread(error.to_string())))?;
    Ok(draft.with(console, caller, text).await)
}
