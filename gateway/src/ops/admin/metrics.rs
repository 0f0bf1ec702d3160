//! `GET /metrics`: all metrics, or those of one room (`?room=NAME`).
//!
//! They are gathered on a thread of their own: with thousands of rooms that takes longer than a request of a shopper should wait.
//!
//! Out of scope: the metrics themselves (`gauges`, and [`crate::telemetry`]).

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use futures_util::stream;
use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::gauges;
use crate::ops::fleet::Fleet;
use crate::telemetry::{Page, catalogue};

/// The query of the request.
#[derive(Debug, Deserialize)]
pub(super) struct MetricsQuery {
    /// One room only.
    room: Option<String>,
}

/// The metrics in Prometheus text format.
pub(super) async fn tell(
    State(fleet): State<Arc<Fleet>>,
    Query(asked): Query<MetricsQuery>,
) -> Result<impl IntoResponse, (StatusCode, String)> {
    const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
    let site = fleet.shared.site.load_full();
    let told = match &asked.room {
        None => spawn_blocking(move || all(&fleet)).await,
        Some(name) => match site.asked(name).cloned() {
            Some(room) => {
                spawn_blocking(move || {
                    let mut page = Page::default();
                    gauges::room(&mut page, &room);
                    page
                })
                .await
            }
            None => return Err((StatusCode::NOT_FOUND, format!("no room is named {name:?}; see /api/rooms\n"))),
        },
    };
    let page =
        told.map_err(|_| (StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be gathered\n".to_owned()))?;
    let pieces = stream::iter(page.pieces().map(Ok::<_, Infallible>));
    Ok(([(header::CONTENT_TYPE, FORMAT)], Body::from_stream(pieces)))
}

fn all(fleet: &Fleet) -> Page {
    let mut page = Page::default();
    gauges::observe(&fleet.shared, &mut page);
    fleet.plan.observe(&mut page);
    page.add(&catalogue::GATEWAYS, &[], fleet.members().len());
    page
}
