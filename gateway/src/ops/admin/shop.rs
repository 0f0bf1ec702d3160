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
use axum::response::{IntoResponse as _, Response};
use policy::Millis;
use policy::cap::{Cap, CapKind, CapSource};
use policy::origin::{self, StockWord};
use policy::stock::Stock;
use serde::{Deserialize, Serialize};

use super::versions::{Refusal, no_browser};
use crate::in_force::shared::Shared;
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

/// The body of `PUT .../stock`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StockBody {
    sku: String,
    left: u64,
    #[serde(default)]
    held: u64,
}

/// What was taken in.
#[derive(Debug, Serialize)]
struct Taken {
    room: String,
    #[serde(serialize_with = "number::real")]
    per_minute: f64,
    ttl_ms: Millis,
}

type Answer = Result<Response, Response>;

pub(super) async fn set_rate(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Result<Json<RateBody>, JsonRejection>,
) -> Answer {
    let Json(body) = begin(&headers, body)?;
    let rate = origin::rate(&body.rate).map_err(|error| wrong(&error.to_string()))?;
    let ttl = body.ttl.as_deref().map_or(Ok(origin::TTL), origin::duration);
    let ttl = ttl.map_err(|error| wrong(&error.to_string()))?;
    if !(1..=LONGEST_TTL).contains(&ttl) {
        return Err(wrong("a ttl is between 1ms and 24h; DELETE takes a rate back"));
    }
    cap(&shared, name, rate, ttl)
}

pub(super) async fn end_rate(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Answer {
    no_browser(&headers).map_err(|refused| refused.into_response())?;
    cap(&shared, name, 0.0, 0)
}

pub(super) async fn set_stock(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Result<Json<StockBody>, JsonRejection>,
) -> Answer {
    let Json(StockBody { sku, left, held }) = begin(&headers, body)?;
    let room = super::named(&shared, &name)?;
    let word = StockWord::new(&sku, left, held).map_err(|error| wrong(&error.to_string()))?;
    if !room.set_stock(level(&word, true)) {
        return Err(busy());
    }
    tracing::info!(room = name, sku, left, held, "a program told the stock");
    Ok(Json(serde_json::json!({ "room": name, "sku": sku, "left": left, "held": held })).into_response())
}

fn cap(shared: &Shared, name: String, rate: f64, ttl: Millis) -> Answer {
    let room = super::named(shared, &name)?;
    if !room.set_cap(Cap { source: CapSource::new(CapKind::Api, SOURCE), rate, ttl }) {
        return Err(busy());
    }
    tracing::info!(room = name, per_minute = rate * 60.0, ttl_ms = ttl, "a program told the rate");
    Ok(Json(Taken { room: name, per_minute: rate * 60.0, ttl_ms: ttl }).into_response())
}

#[expect(clippy::result_large_err, reason = "an answer, made once")]
fn begin<T>(headers: &HeaderMap, body: Result<Json<T>, JsonRejection>) -> Result<Json<T>, Response> {
    no_browser(headers).map_err(|refused| refused.into_response())?;
    body.map_err(|rejection| refuse(rejection.status(), &rejection.body_text()))
}

fn wrong(problem: &str) -> Response {
    refuse(StatusCode::BAD_REQUEST, problem)
}

fn busy() -> Response {
    refuse(StatusCode::SERVICE_UNAVAILABLE, "the store is too busy to take it; say it again in a second")
}

fn refuse(status: StatusCode, error: &str) -> Response {
    (status, Json(Refusal { error: error.to_owned(), problems: Vec::new() })).into_response()
}
