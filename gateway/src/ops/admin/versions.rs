//! The rooms by version, for operators to read and change.
//!
//! Every change names the version that it was made from, and is refused if another is in force by then: of two
//! operators who change at once, the second learns it.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::StringRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use policy::action::State as RoomState;
use policy::audit::Entry;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::actions::is_reason;
use super::problem::Problem;
use crate::in_force::plan::Preview;
use crate::line::store::StoreError;
use crate::line::store::registry::{Change, Version};
use crate::ops::fleet::{Fleet, NotSwitched};
use crate::settings::config::{KeyChange, RoomChange, kept};

/// Response of `GET /api/versions`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Versions {
    /// The version in force; 0 are the rooms of each gateway's own file.
    pub in_force: u64,
    /// The stored versions, oldest first.
    pub versions: Vec<Listed>,
}

/// A version in the list.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Version)]
pub(crate) struct Listed {
    /// Its number.
    pub number: u64,
    /// When it was made, in milliseconds since 1970 by the clock of the store.
    pub made_ms: u64,
    /// Names of its rooms.
    pub rooms: Vec<String>,
}

/// The result of a change, or of its preview.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Changed {
    /// The version that was in force.
    pub from: u64,
    /// The version in force now; the same as `from` if nothing was done.
    pub in_force: u64,
    /// The differences, room by room.
    pub changes: Vec<RoomChange>,
    /// Warnings about the rooms.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// The query of a change.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct VersionQuery {
    /// The version that it was made from.
    pub(super) from: Option<u64>,
    /// The version to switch to; of `in-force` alone. Default: the one before the one in force; 0: each gateway's own file.
    pub(super) to: Option<u64>,
    /// Only a preview.
    #[serde(default)]
    pub(super) dry_run: bool,
    /// Whether it may end what an operator has set by an action.
    #[serde(default)]
    pub(super) undo: bool,
    /// Why, for those who read the audit.
    pub(super) why: Option<String>,
}

/// The stored versions of the rooms, with the version in force as the `ETag`.
#[utoipa::path(
    get,
    path = "/api/versions",
    tag = "versions",
    operation_id = "versions",
    responses((
        status = OK,
        description = "the versions",
        body = Versions,
        headers(("ETag" = String, description = "the version in force, such as `\"7\"`: `If-Match` of an action")),
    )),
)]
pub(super) async fn list(State(fleet): State<Arc<Fleet>>) -> Result<Response, Problem> {
    let versions = fleet.versions().await.map_err(NotSwitched::from)?;
    let in_force = fleet.plan.wanted().0.number;
    let all = Json(Versions { in_force, versions: versions.iter().map(listed).collect() });
    Ok(([tag(in_force)], all).into_response())
}

/// The `ETag` of a version of the rooms.
pub(super) fn tag(version: u64) -> (header::HeaderName, HeaderValue) {
    (header::ETAG, HeaderValue::try_from(format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"0\"")))
}

fn listed(version: &Version) -> Listed {
    let table: toml::Table = version.text.parse().unwrap_or_default();
    let rooms = table.get("room").and_then(toml::Value::as_array).into_iter().flatten();
    let names = rooms.filter_map(|room| Some(room.get("name")?.as_str()?.to_owned()));
    Listed { number: version.number, made_ms: version.made, rooms: names.collect() }
}

/// The text of a version: `[[room]]` tables.
#[utoipa::path(
    get,
    path = "/api/versions/{number}",
    tag = "versions",
    operation_id = "version",
    params(("number" = u64, Path, description = "the version")),
    responses(
        (status = OK, description = "TOML", body = String, content_type = "text/plain; charset=utf-8"),
        (status = BAD_REQUEST, description = "no number"),
        (status = NOT_FOUND, description = "no version of that number is stored"),
    ),
)]
pub(super) async fn text(State(fleet): State<Arc<Fleet>>, Path(number): Path<u64>) -> Result<String, Problem> {
    let versions = fleet.versions().await.map_err(NotSwitched::from)?;
    let found = versions.iter().find(|version| version.number == number);
    Ok(found.map(|version| version.text.to_string()).ok_or(NotSwitched::Unknown(number))?)
}

/// Puts rooms in force on every gateway: the text in the body is the next version.
#[utoipa::path(
    post,
    path = "/api/versions",
    tag = "versions",
    operation_id = "apply",
    params(VersionQuery),
    request_body(content = String, description = "`[[room]]` tables in TOML, at most 1 MiB", content_type = "text/plain"),
    responses(
        (status = OK, description = "what it changed, or would change", body = Changed),
        (status = CONFLICT, description = "another version is in force"),
        (status = PAYLOAD_TOO_LARGE, description = "the text is too long"),
        (status = UNPROCESSABLE_ENTITY, description = "what is wrong with the rooms: `problems`"),
    ),
)]
pub(super) async fn apply(
    State(fleet): State<Arc<Fleet>>,
    Query(asked): Query<VersionQuery>,
    Extension(caller): Extension<Caller>,
    text: Result<String, StringRejection>,
) -> Result<Json<Changed>, Problem> {
    let text = text?;
    let preview = fleet.preview(&text, asked.from).await?;
    change(&fleet, &asked, caller, preview, Change::Add(kept(&text).into())).await
}

/// Puts a stored version in force again.
#[utoipa::path(
    put,
    path = "/api/versions/in-force",
    tag = "versions",
    operation_id = "switch",
    params(VersionQuery),
    responses(
        (status = OK, description = "what it changed, or would change", body = Changed),
        (status = BAD_REQUEST, description = "a parameter that cannot be read"),
        (status = NOT_FOUND, description = "no version of that number is stored"),
        (status = CONFLICT, description = "another version is in force, or it would end what an operator has set"),
        (status = UNPROCESSABLE_ENTITY, description = "why it cannot be in force any more: `problems`"),
    ),
)]
pub(super) async fn switch(
    State(fleet): State<Arc<Fleet>>,
    Query(asked): Query<VersionQuery>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Changed>, Problem> {
    let to = match asked.to {
        Some(number) => number,
        None => before_the_one_in_force(&fleet).await.map_err(NotSwitched::from)?,
    };
    let preview = fleet.preview_of(to, asked.from).await?;
    change(&fleet, &asked, caller, preview, Change::To(to)).await
}

async fn before_the_one_in_force(fleet: &Fleet) -> Result<u64, StoreError> {
    let in_force = fleet.plan.wanted().0.number;
    let numbers = fleet.versions().await?.into_iter().map(|version| version.number);
    Ok(numbers.filter(|number| *number < in_force).max().unwrap_or(0))
}

async fn change(
    fleet: &Fleet,
    asked: &VersionQuery,
    caller: Caller,
    preview: Preview,
    change: Change,
) -> Result<Json<Changed>, Problem> {
    let Preview { from, changes, mut warnings } = preview;
    asked.why.as_deref().map_or(Ok(()), is_reason)?;
    if asked.from.is_some_and(|asked| asked != from) {
        return Err(NotSwitched::Other(from).into());
    }
    let same = match change {
        Change::To(number) => number == from,
        // A version that this gateway has refused is replaced even without a difference.
        _ => changes.is_empty() && fleet.plan.report().refused.is_none(),
    };
    // What an operator has set by an action ends with no older version unless it is said.
    let undone = if matches!(change, Change::To(_)) { undone(&changes) } else { Vec::new() };
    if asked.dry_run || same {
        warnings.extend(undone.iter().map(|what| format!("this ends what an operator has set: {what}")));
        return Ok(Json(Changed { from, in_force: from, changes, warnings }));
    }
    if !undone.is_empty() && !asked.undo {
        return Err(NotSwitched::Undoes(undone).into());
    }
    let action = if matches!(change, Change::To(_)) { "rollback" } else { "apply" };
    let entry = Entry { who: caller.name, action: action.to_owned(), why: asked.why.clone(), ..Entry::default() };
    let in_force = fleet.switch(from, change, entry).await?;
    tracing::info!(from, in_force, rooms_changed = changes.len(), "an operator changed the rooms");
    Ok(Json(Changed { from, in_force, changes, warnings }))
}

/// The rooms that would not be Paused, Closed, in their Last call or stopped any more.
fn undone(changes: &[RoomChange]) -> Vec<String> {
    let ends = |key: &KeyChange| {
        let state = match key.key.as_str() {
            "queue_all" => RoomState::Paused,
            "suspended" => RoomState::Closed,
            "last_call" => RoomState::LastCall,
            "stopped" => RoomState::Stop,
            _ => return None,
        };
        (key.from == Value::Bool(true) && key.to != Value::Bool(true)).then_some(state.label())
    };
    let of_room = |change: &RoomChange| {
        let states = change.keys.iter().filter_map(ends);
        states.map(|state| format!("{state} of {:?}", change.room)).collect::<Vec<_>>()
    };
    changes.iter().flat_map(of_room).collect()
}
