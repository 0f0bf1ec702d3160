//! The wall: a line for each room.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};

use super::{Console, Reader, live, texts};
use crate::ops::admin::RoomStatus;
use crate::ops::admin::access::Caller;
use crate::ops::admin::live::Refused;
use crate::ops::live::{RoomSample, Sample};

/// A gateway that was silent for so many seconds is told of: heartbeats come twice a second.
pub(super) const SILENT: f32 = 3.0;
/// Errors of the shop in a second that a person looks into.
const ERRORS: f32 = 1.0;

impl Console {
    /// The state of each room, by name: what `GET /api/rooms` tells.
    pub(super) fn rooms(&self) -> Vec<RoomStatus> {
        let shared = &self.fleet.shared;
        let site = shared.site.load();
        let mut rooms: Vec<_> = shared.rooms.all().values().map(|room| RoomStatus::of(room, &site)).collect();
        rooms.sort_by(|a, b| a.name.cmp(&b.name));
        rooms
    }
}

/// Why a person must act, as the key of a text; `None`: nobody must.
pub(super) fn alarm(status: &RoomStatus, sample: Option<&RoomSample>) -> Option<&'static str> {
    match () {
        () if status.store_away => Some("alarm_store"),
        () if status.limits_given_up => Some("alarm_open"),
        () if status.shop_rests => Some("alarm_shop"),
        () if sample.is_some_and(|sample| sample.upstream_5xx_per_second >= ERRORS) => Some("alarm_errors"),
        () => None,
    }
}

/// What stands for a room on a page: its state, its last second, and what is the matter.
pub(super) fn shown(reader: &Reader, status: &RoomStatus, sample: Option<&Sample>) -> Value {
    let second = sample.and_then(|sample| sample.rooms.iter().find(|room| *room.name == *status.name));
    let told = second.and_then(|second| second.wait_told());
    context! {
        status => Value::from(Serde(status)),
        now => second.map(|second| Value::from(Serde(&**second))),
        label => texts::state(reader.language, status.state),
        alarm => alarm(status, second.map(|second| &**second)).map(|key| reader.text(key)),
        wait => told.map(|(low, high)| texts::range(reader.language, low, high)),
        next => status.events.next_event_start_time.as_deref().map(texts::minute),
        allowed => second.map(|second| texts::number(f64::from(second.allowed_per_minute) / 60.0)),
        admitted => second.map(|second| texts::number(f64::from(second.admitted_per_second))),
        shop => second.and_then(|second| second.upstream_p95()).map(|p95| texts::number(f64::from(p95) * 1_000.0)),
        errors => second.map(|second| texts::number(f64::from(second.upstream_5xx_per_second))),
    }
}

/// The gateways: who is there, who is not heard, and by which version they act.
pub(super) fn gateways(sample: Option<&Sample>) -> Value {
    let all = sample.map_or(&[] as &[_], |sample| &sample.gateways);
    let silent = |silent: f32| silent >= SILENT;
    let rows = all.iter().map(|gateway| {
        context! {
            name => &*gateway.name,
            version => gateway.rooms_version,
            silent => silent(gateway.silent_seconds),
            seconds => gateway.silent_seconds.round() as u64,
            store_away => gateway.store_away,
        }
    });
    let heard = all.iter().filter(|gateway| !silent(gateway.silent_seconds)).count();
    context! { rows => rows.collect::<Vec<_>>(), heard, all => all.len() }
}

fn fragment(console: &Console, reader: &Reader) -> Result<String, String> {
    let sample = console.streams.hour.newest();
    let sample = sample.as_deref();
    let rooms: Vec<Value> = console.rooms().iter().map(|status| shown(reader, status, sample)).collect();
    let at = sample.map(|sample| texts::second(sample.at_ms));
    reader.render("wall_live.html", context! { rooms, gateways => gateways(sample), at })
}

pub(super) async fn page(
    State(console): State<Arc<Console>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    let reader = Reader::of(&console, caller, &headers);
    let live = fragment(&console, &reader).unwrap_or_else(|error| {
        tracing::error!(error, "the wall cannot be made");
        String::new()
    });
    let own = context! {
        view => "wall",
        title => reader.text("wall"),
        live => Value::from_safe_string(live),
        stream => "/console/live",
    };
    reader.page("wall.html", StatusCode::OK, own)
}

pub(super) async fn live(
    State(console): State<Arc<Console>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Refused> {
    let reader = Reader::of(&console, caller, request.headers());
    live::stream(console, &request, move |console| fragment(console, &reader).ok())
}
