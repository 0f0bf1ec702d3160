//! The machine-readable part of an answer of Weir: one word, and for scripts of the room's own hosts the right to read it.
//!
//! | `Weir-Status` | what happened | what helps |
//! |---|---|---|
//! | `waiting` | in the line, or in it by coming back | the same GET after `Retry-After` |
//! | `needs-pass` | no place in the line | the waiting page, by a browser or as JSON |
//! | `expired` | the time inside, or the place, has ended | the same |
//! | `queue-closed` | suspended, or full, in a room without a line | later |
//! | `too-fast` | over a quota | the same after `Retry-After` |
//! | `held` | inside; too many order or pay at this moment, and the place is kept | the same after `Retry-After` |
//! | `busy` | the shop has too much to do | the same after `Retry-After` |
//! | `failed` | the shop, or the way to it, failed | whatever helps in an outage |
//! | `in-doubt` | the same, and the order may have been taken | to look at the orders |
//!
//! The first four are the line, the last three an outage. An answer of the shop never has the header.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, HeaderName, VARY,
};
use http::{HeaderMap, HeaderValue, Response};

use crate::client::body::Body;
use crate::request::request_context::RequestContext;

/// The header with the word.
pub(super) const WEIR_STATUS: HeaderName = HeaderName::from_static("weir-status");
/// The word of the line.
pub(super) const WAITING: &str = "waiting";
/// The word of the gate of a route.
pub(super) const HELD: &str = "held";
/// The word of an outage.
pub(super) const FAILED: &str = "failed";
/// The word for a caller whose token has ended.
pub(super) const EXPIRED: &str = "expired";

/// Adds the word for the outcome, and lets scripts of the room's hosts read it.
pub(super) fn told(cx: &RequestContext<'_>, word: &'static str, mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(WEIR_STATUS, HeaderValue::from_static(word));
    allow(cx, headers);
    response
}

/// A script of another origin can read an answer, even a refusal, only with these headers. The shop's own rules for that
/// are unknown here, so the list is short: the room's exact hosts, by scheme and port of the request, and the
/// origins that the operator listed.
fn allow(cx: &RequestContext<'_>, headers: &mut HeaderMap) {
    let (Some(origin), Some(room)) = (&cx.origin, cx.room) else { return };
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let host = cx.host.as_ref().and_then(|host| host.sent.to_str().ok()).unwrap_or_default();
    if !origin.to_str().is_ok_and(|origin| room.may_read(origin, host, cx.tls)) {
        return;
    }
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Weir-Status, Retry-After"));
}
