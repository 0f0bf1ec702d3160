//! The part of a page that moves, made anew with each sample and sent as an event.
//!
//! Streams count among those of the API (`admin::live`), and end with the gateway.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::Console;
use crate::ops::admin::connection::{InWork, Working};
use crate::ops::admin::live::Refused;

/// A reader that lost its connection comes back after so long.
const RETRY: Duration = Duration::from_secs(1);

struct Stream<F> {
    console: Arc<Console>,
    news: watch::Receiver<u64>,
    render: F,
    _place: OwnedSemaphorePermit,
    _working: Option<Working>,
}

/// A stream of what `render` makes of each second, until it makes nothing.
pub(super) fn stream(
    console: Arc<Console>,
    request: &Request,
    render: impl Fn(&Console) -> Option<String> + Send + 'static,
) -> Result<Response, Refused> {
    let place = console.streams.enter()?;
    let stream = Stream {
        news: console.streams.hour.news(),
        console,
        render,
        _place: place,
        _working: request.extensions().get::<InWork>().map(InWork::begin),
    };
    let events = stream::unfold(stream, async |mut stream| {
        let stop = stream.console.streams.stop.clone();
        stop.run_until_cancelled(stream.news.changed()).await?.ok()?;
        let text = (stream.render)(&stream.console)?;
        let event = Event::default().retry(RETRY).data(text);
        Some((Ok::<_, Infallible>(event), stream))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::default()).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
