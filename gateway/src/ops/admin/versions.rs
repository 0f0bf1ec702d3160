//! The rooms by version, for operators to read and change.
//!
//! Every change names the version that it was made from, and is refused if another is in force by then: of two
//! operators who change at once, the second learns it. A browser may change nothing here: a request with an
//! `Origin` is refused, so no page that an operator happens to open can act for them.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::StringRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::in_force::plan::Preview;
use crate::line::store::StoreError;
use crate::line::store::registry::{Change, Version};
use crate::ops::fleet::{Fleet, NotSwitched};
use crate::settings::config::{RoomChange, kept};

/// Response of `GET /api/versions`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Versions {
    /// The version in force; 0 are the rooms of each gateway's own file.
    pub in_force: u64,
    /// The stored versions, oldest first.
    pub versions: Vec<Listed>,
}

/// A version in the list.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Listed {
    /// Its number.
    pub number: u64,
    /// When it was made, in milliseconds since 1970 by the clock of the store.
    pub made_ms: u64,
    /// Names of its rooms.
    pub rooms: Vec<String>,
}

/// The result of a change, or of its preview.
#[derive(Debug, Serialize, Deserialize)]
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

/// The reason why nothing was changed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refusal {
    /// In a sentence.
    pub error: String,
    /// All problems, one by one.
    pub problems: Vec<String>,
}

/// The query of a change.
#[derive(Debug, Deserialize)]
pub(crate) struct VersionQuery {
    /// The version that it was made from.
    from: Option<u64>,
    /// The version to switch to.
    to: Option<u64>,
    /// Only a preview.
    #[serde(default)]
    dry_run: bool,
}

impl IntoResponse for NotSwitched {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Other(_) => StatusCode::CONFLICT,
            Self::Unknown(_) => StatusCode::NOT_FOUND,
            Self::Browser => StatusCode::FORBIDDEN,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unread(_) => StatusCode::BAD_REQUEST,
            Self::Foreign | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let error = self.to_string();
        let problems = if let Self::Invalid(problems) = self { problems } else { Vec::new() };
        (status, Json(Refusal { error, problems })).into_response()
    }
}

pub(super) async fn list(State(fleet): State<Arc<Fleet>>) -> Result<Json<Versions>, NotSwitched> {
    let versions = fleet.versions().await?;
    let in_force = fleet.plan.wanted().0.number;
    Ok(Json(Versions { in_force, versions: versions.iter().map(listed).collect() }))
}

fn listed(version: &Version) -> Listed {
    let table: toml::Table = version.text.parse().unwrap_or_default();
    let rooms = table.get("room").and_then(toml::Value::as_array).into_iter().flatten();
    let names = rooms.filter_map(|room| Some(room.get("name")?.as_str()?.to_owned()));
    Listed { number: version.number, made_ms: version.made, rooms: names.collect() }
}

pub(super) async fn text(State(fleet): State<Arc<Fleet>>, Path(number): Path<u64>) -> Result<String, NotSwitched> {
    let versions = fleet.versions().await?;
    let found = versions.iter().find(|version| version.number == number);
    found.map(|version| version.text.to_string()).ok_or(NotSwitched::Unknown(number))
}

/// `POST /api/versions`: the text in the body is the next version.
pub(super) async fn apply(
    State(fleet): State<Arc<Fleet>>,
    Query(asked): Query<VersionQuery>,
    headers: HeaderMap,
    text: Result<String, StringRejection>,
) -> Result<Json<Changed>, NotSwitched> {
    no_browser(&headers)?;
    let text = text.map_err(|rejection| unread(&rejection))?;
    let preview = fleet.preview(&text, asked.from).await?;
    change(&fleet, &asked, preview, Change::Add(kept(&text).into())).await
}

/// `PUT /api/versions/in-force`: a stored version is in force again.
pub(super) async fn switch(
    State(fleet): State<Arc<Fleet>>,
    Query(asked): Query<VersionQuery>,
    headers: HeaderMap,
) -> Result<Json<Changed>, NotSwitched> {
    no_browser(&headers)?;
    let to = match asked.to {
        Some(number) => number,
        None => before_the_one_in_force(&fleet).await?,
    };
    let preview = fleet.preview_of(to, asked.from).await?;
    change(&fleet, &asked, preview, Change::To(to)).await
}

async fn before_the_one_in_force(fleet: &Fleet) -> Result<u64, StoreError> {
    let in_force = fleet.plan.wanted().0.number;
    let numbers = fleet.versions().await?.into_iter().map(|version| version.number);
    Ok(numbers.filter(|number| *number < in_force).max().unwrap_or(0))
}

async fn change(
    fleet: &Fleet,
    asked: &VersionQuery,
    preview: Preview,
    change: Change,
) -> Result<Json<Changed>, NotSwitched> {
    let Preview { from, changes, warnings } = preview;
    if asked.from.is_some_and(|asked| asked != from) {
        return Err(NotSwitched::Other(from));
    }
    let same = match change {
        Change::To(number) => number == from,
        // A version that this gateway has refused is replaced even without a difference.
        _ => changes.is_empty() && fleet.plan.report().refused.is_none(),
    };
    if asked.dry_run || same {
        return Ok(Json(Changed { from, in_force: from, changes, warnings }));
    }
    let in_force = fleet.switch(from, change).await?;
    tracing::info!(from, in_force, rooms_changed = changes.len(), "an operator changed the rooms");
    Ok(Json(Changed { from, in_force, changes, warnings }))
}

fn unread(rejection: &StringRejection) -> NotSwitched {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => NotSwitched::TooLong,
        _ => NotSwitched::Unread(rejection.body_text()),
    }
}

pub(super) fn no_browser(headers: &HeaderMap) -> Result<(), NotSwitched> {
    if headers.contains_key(header::ORIGIN) { Err(NotSwitched::Browser) } else { Ok(()) }
}
