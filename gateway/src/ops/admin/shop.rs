//! What a program beside the shop says of a room: how many new shoppers it takes, and what is left to sell.
//!
//! ```text
//! PUT    /api/rooms/{name}/rate    {"rate": "480/m", "ttl": "30s"}
//! DELETE /api/rooms/{name}/rate    the rate goes back to the room's own, a tenth of it a second
//! PUT    /api/rooms/{name}/stock   {"sku": "shoe-270", "left": 37, "held": 2}
//! ```
//!
//! Said to any gateway, it holds for all. A rate is never above the room's own, and ends with its `ttl`: a program that dies slows
//! no room for ever. A browser may say nothing here.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use policy::Millis;
use policy::cap::{Cap, CapKind, CapSource};
use policy::origin::{self, BadWord, StockWord};
use policy::stock::Stock;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::versions::no_browser;
use crate::in_force::shared::Shared;
use crate::line::rooms::LiveRoom;
use crate::ops::number;
use crate::request::shop_words::level;

/// Bytes of a body.
pub(super) const LONGEST: usize = 4_096;
/// The longest life of a rate: a program may say it for a launch.
const LONGEST_TTL: Millis = 86_400_000;
/// All programs are one source: the last word counts.
const SOURCE: u32 = 0;

/// The stock of a room, in its status.
#[derive(Debug, Serialize)]
pub(super) struct StockStatus {
    /// `available`, `paused`, `in_checkout` or `sold_out`.
    state: &'static str,
    /// Items that can still be ordered, over all products.
    left: u64,
    /// Items in orders that are not paid yet.
    held: u64,
    /// Items that a shopper who is let in takes, a mean.
    #[serde(serialize_with = "number::real")]
    units_per_user: f64,
}

impl From<Stock> for StockStatus {
    fn from(Stock { state, left, held, units }: Stock) -> Self {
        Self { state: state.name(), left, held, units_per_user: units }
    }
}

/// The body of `PUT .../rate`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateBody {
    rate: String,
    ttl: Option<String>,
}

/// The body of `PUT .../stock`, and of its response.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StockBody {
    sku: String,
    left: u64,
    #[serde(default)]
    held: u64,
}

/// What was taken in.
#[derive(Debug, Serialize)]
pub(super) struct Taken {
    room: String,
    #[serde(serialize_with = "number::real")]
    per_minute: f64,
    ttl_ms: Millis,
}

/// The mailbox of the lines is full.
fn busy() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the store is too busy to take it")
        .mended_by("say it again in a second")
}

fn bad(bad: BadWord) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, bad.to_string())
}

/// The room of this name.
fn named(shared: &Shared, name: &str) -> Result<Arc<LiveRoom>, Problem> {
    super::named(shared, name).ok_or_else(|| super::no_room(name))
}

/// A body that a program has sent.
fn sent<T>(headers: &HeaderMap, body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    no_browser(headers)?;
    Ok(body.map(|Json(body)| body)?)
}

pub(super) async fn set_rate(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Result<Json<RateBody>, JsonRejection>,
) -> Result<Json<Taken>, Problem> {
    let body = sent(&headers, body)?;
    let rate = origin::rate(&body.rate).map_err(bad)?;
    let ttl = body.ttl.as_deref().map_or(Ok(origin::TTL), origin::duration).map_err(bad)?;
    if !(1..=LONGEST_TTL).contains(&ttl) {
        let bounds = Problem::new(StatusCode::BAD_REQUEST, "a ttl is between 1ms and 24h");
        return Err(bounds.mended_by("write another one; DELETE takes a rate back").about("ttl"));
    }
    cap(&shared, name, rate, ttl)
}

pub(super) async fn end_rate(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Taken>, Problem> {
    no_browser(&headers)?;
    cap(&shared, name, 0.0, 0)
}

pub(super) async fn set_stock(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Result<Json<StockBody>, JsonRejection>,
) -> Result<Json<StockBody>, Problem> {
    let body = sent(&headers, body)?;
    let word = StockWord::new(&body.sku, body.left, body.held).map_err(bad)?;
    if !named(&shared, &name)?.set_stock(level(&word, true)) {
        return Err(busy());
    }
    tracing::info!(room = name, sku = body.sku, left = body.left, held = body.held, "a program told the stock");
    Ok(Json(body))
}

fn cap(shared: &Shared, name: String, rate: f64, ttl: Millis) -> Result<Json<Taken>, Problem> {
    if !named(shared, &name)?.set_cap(Cap { source: CapSource::new(CapKind::Api, SOURCE), rate, ttl }) {
        return Err(busy());
    }
    tracing::info!(room = name, per_minute = rate * 60.0, ttl_ms = ttl, "a program told the rate");
    Ok(Json(Taken { room: name, per_minute: rate * 60.0, ttl_ms: ttl }))
}
