//! `GET /api/live`: the last hour, and from then on a sample a second, as Server-Sent Events.
//!
//! ```text
//! event: about        data: {"gateway":"a","resumed":null,...}       once, without an id
//! id: 1764532800000   data: {"at_ms":1764532800000,"rooms":[...],"gateways":[...]}
//! ```
//!
//! A reader takes samples from the hour as fast as its connection does, and none is copied for it: who is slow keeps nothing here. A
//! reader that takes no bytes is closed by the listener (`connection`), one that falls an hour behind here. `Last-Event-ID` goes
//! on after that sample.
//!
//! Out of scope: what is in a sample ([`crate::ops::live`]).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::coop::consume_budget;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::connection::{InWork, Working};
use super::problem::Problem;
use crate::ops::live::{EVERY, Hour, Next, SAMPLES, Sample};

/// Streams at once: an eighth of the operator's connections.
const STREAMS: usize = 16;
/// A reader that lost its connection comes back after so long.
const RETRY: Duration = Duration::from_secs(1);
/// A comment is sent after so long without a sample, so that proxies keep the connection.
const QUIET: Duration = Duration::from_secs(10);
/// When to try again at the bound, in seconds.
const LATER: HeaderValue = HeaderValue::from_static("10");
const LAST_EVENT_ID: &str = "last-event-id";
const KEPT: &str =
    "the samples are kept in this gateway's memory: they survive a reload of the configuration, not a restart";

/// The first event of a stream.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct About<'a> {
    /// The gateway that tells this.
    gateway: &'a str,
    /// Time between two samples.
    every_ms: u64,
    /// Samples that are kept, at most.
    samples: usize,
    /// The time of the oldest one; null: there is none yet.
    since_ms: Option<u64>,
    /// Whether nothing is missing since `Last-Event-ID`; null without one.
    resumed: Option<bool>,
    /// Where they are kept, and how long.
    kept: &'static str,
}

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// As many as there may be are open.
    #[error("{STREAMS} streams of /api/live are open, and there are no more")]
    Full,
    /// Not an id of ours.
    #[error("Last-Event-ID is the id of an event of this stream: milliseconds since 1970")]
    NoId,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Full => {
                let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, self.to_string());
                ([(header::RETRY_AFTER, LATER)], problem.mended_by("close one")).into_response()
            }
            Self::NoId => {
                let problem = Problem::new(StatusCode::BAD_REQUEST, self.to_string());
                problem.mended_by("leave it out to begin with the last hour").into_response()
            }
        }
    }
}

/// The streams of this listener.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) hour: Arc<Hour>,
    gateway: String,
    free: Arc<Semaphore>,
    pub(super) stop: CancellationToken,
}

impl Streams {
    /// Streams of this hour, which end with `stop`.
    pub(super) fn of(hour: Arc<Hour>, gateway: String, stop: CancellationToken) -> Self {
        Self { hour, gateway, free: Arc::new(Semaphore::new(STREAMS)), stop }
    }

    /// A place among the streams that may be open at once.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn enter(&self) -> Result<OwnedSemaphorePermit, Refused> {
        self.free.clone().try_acquire_owned().map_err(|_| Refused::Full)
    }
}

/// A stream of samples, one a second for all rooms and gateways, as Server-Sent Events.
///
/// The first event is named `about` and has `About`; each other one has a `Sample`, and its time as id. It begins with the last hour, or
/// after `Last-Event-ID`.
#[utoipa::path(
    get,
    path = "/api/live",
    tag = "live",
    operation_id = "live",
    params(("Last-Event-ID" = Option<String>, Header, description = "the id of the last event that was seen, in milliseconds since 1970")),
    responses(
        (status = OK, description = "events, until either side ends the stream", body = String, content_type = "text/event-stream"),
        (status = BAD_REQUEST, description = "`Last-Event-ID` is no id of this stream"),
        (status = SERVICE_UNAVAILABLE, description = "as many streams as there may be are open", headers(("Retry-After" = u64, description = "seconds"))),
    ),
)]
pub(super) async fn tell(State(streams): State<Arc<Streams>>, request: Request) -> Result<Response, Refused> {
    let last = last_event_id(request.headers())?;
    let place = streams.enter()?;
    let start = streams.hour.start(last);
    let about = About {
        gateway: &streams.gateway,
        every_ms: EVERY.as_millis() as u64,
        samples: SAMPLES,
        since_ms: streams.hour.since(),
        resumed: start.resumed,
        kept: KEPT,
    };
    let reader = Reader {
        about: Event::default().event("about").retry(RETRY).json_data(&about).ok(),
        news: streams.hour.news(),
        after: start.after,
        streams,
        _place: place,
        _working: request.extensions().get::<InWork>().map(InWork::begin),
    };
    let events = stream::unfold(reader, Reader::next);
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(QUIET)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The id that a reader saw last.
fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Refused> {
    let id = |value: &HeaderValue| value.to_str().ok()?.parse().ok();
    headers.get(LAST_EVENT_ID).map(|value| id(value).ok_or(Refused::NoId)).transpose()
}

/// One stream.
struct Reader {
    about: Option<Event>,
    news: watch::Receiver<u64>,
    /// The id of the last sample that it took.
    after: u64,
    streams: Arc<Streams>,
    _place: OwnedSemaphorePermit,
    _working: Option<Working>,
}

impl Reader {
    /// The next event, once there is one. `None`: the gateway ends, or the reader is an hour behind.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        if let Some(about) = self.about.take() {
            return Some((Ok(about), self));
        }
        // The hour has thousands of events: others on this thread have their turn between them.
        consume_budget().await;
        loop {
            if self.streams.stop.is_cancelled() {
                return None;
            }
            match self.streams.hour.after(self.after) {
                Next::Sample(sample) => {
                    self.after = sample.at_ms;
                    return Some((Ok(event(&sample)?), self));
                }
                Next::Gone => return None,
                Next::Later => {
                    let stop = self.streams.stop.clone();
                    stop.run_until_cancelled(self.news.changed()).await?.ok()?;
                }
            }
        }
    }
}

fn event(sample: &Sample) -> Option<Event> {
    Event::default().id(sample.at_ms.to_string()).json_data(sample).ok()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use futures_util::StreamExt as _;

    use super::*;

    fn streams() -> Arc<Streams> {
        Arc::new(Streams::of(Arc::default(), "a".to_owned(), CancellationToken::new()))
    }

    async fn open(streams: &Arc<Streams>, last: Option<&str>) -> Result<impl AsyncFnMut() -> Option<String>, Refused> {
        let request = Request::builder();
        let request = last.into_iter().fold(request, |request, last| request.header(LAST_EVENT_ID, last));
        let request = request.body(Body::empty()).expect("it is a request");
        let mut body = tell(State(streams.clone()), request).await?.into_body().into_data_stream();
        Ok(async move || {
            let bytes = body.next().await?.expect("a body of ours does not fail");
            Some(String::from_utf8_lossy(&bytes).into_owned())
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_tells_what_it_is_then_the_hour_then_what_comes_and_ends_with_the_gateway() {
        let streams = streams();
        streams.hour.push(Sample::empty(1_000));
        let mut next = open(&streams, None).await.expect("there is room");
        let about = next().await.expect("it begins");
        assert!(about.starts_with("event: about\nretry: 1000\ndata: {\"gateway\":\"a\""), "{about}");
        assert!(about.contains("\"resumed\":null") && about.contains("not a restart"), "{about}");
        let told = "id: 1000\ndata: {\"at_ms\":1000,\"rooms\":[],\"rooms_left_out\":0,\"gateways\":[]}\n\n";
        assert_eq!(next().await.as_deref(), Some(told));
        assert_eq!(next().await.as_deref(), Some(":\n\n"), "a comment, when nothing comes");
        streams.hour.push(Sample::empty(2_000));
        assert!(next().await.is_some_and(|event| event.starts_with("id: 2000\n")));
        streams.stop.cancel();
        assert_eq!(next().await, None);
    }

    #[tokio::test]
    async fn a_stream_goes_on_after_the_last_event_that_was_seen() {
        let streams = streams();
        (1..=3).for_each(|second| streams.hour.push(Sample::empty(second * 1_000)));
        let mut next = open(&streams, Some("2000")).await.expect("there is room");
        assert!(next().await.is_some_and(|about| about.contains("\"resumed\":true")));
        assert!(next().await.is_some_and(|event| event.starts_with("id: 3000\n")));
        for wrong in ["", "soon", "-1", "1e3", "99999999999999999999"] {
            assert!(matches!(open(&streams, Some(wrong)).await.err(), Some(Refused::NoId)), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn a_reader_that_falls_an_hour_behind_is_dropped_and_the_hour_waits_for_none() {
        let streams = streams();
        streams.hour.push(Sample::empty(1));
        let mut next = open(&streams, None).await.expect("there is room");
        next().await.expect("it begins");
        (2..SAMPLES as u64 + 10).for_each(|second| streams.hour.push(Sample::empty(second)));
        assert_eq!(next().await, None);
    }

    #[tokio::test]
    async fn there_are_so_many_streams_and_one_that_ends_makes_room() {
        let streams = streams();
        let mut open_now = Vec::new();
        for _ in 0..STREAMS {
            open_now.push(open(&streams, None).await.expect("there is room"));
        }
        let refused = open(&streams, None).await.err().expect("there is none").into_response();
        assert_eq!(
            (refused.status(), refused.headers()[header::RETRY_AFTER].clone()),
            (StatusCode::SERVICE_UNAVAILABLE, LATER)
        );
        open_now.pop();
        assert!(open(&streams, None).await.is_ok());
    }
}
