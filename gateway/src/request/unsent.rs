//! A request of a pass holder on a route with a class to which the shop gave no answer: it is held, or in doubt.
//!
//! Of a held one no byte has reached the shop, so it can be sent again: by the page that is the answer, which holds a form and
//! sends it at its turn, or by the program that is told its place. One of which anything may have reached the shop is in
//! doubt: the order may have been taken. Weir does not send it again, nor does its page: the answer says where to look.
//!
//! Out of scope: whose turn it is (`upstream::gate`), and the text of answers ([`crate::request::reply`]).

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Request, Response};
use policy::admit::Intent;

use crate::client::body::Body;
use crate::request::form;
use crate::request::reply::{self, Standby};
use crate::request::request_context::RequestContext;
use crate::ui::HeldForm;
use crate::upstream::{Outgoing, RouteGate, Upload, UpstreamError};

/// When a form that found no way to the shop is sent again.
const LATER: Duration = Duration::from_secs(5);

/// The answer to a request that failed like this. `left` is the request, if none of it was sent; `changes`: its method is not safe.
pub(crate) async fn answer(
    cx: &mut RequestContext<'_>,
    gate: &RouteGate,
    error: &UpstreamError,
    left: Outgoing,
    changes: bool,
) -> Response<Body> {
    match left {
        Some(request) => held(cx, error, request).await,
        None if changes => {
            gate.counters().in_doubt.fetch_add(1, Ordering::Relaxed);
            reply::in_doubt(cx, error)
        }
        None => reply::upstream_failed(cx, error),
    }
}

/// With a place at the gate everything is held; without one a form that a page can hold.
async fn held(cx: &mut RequestContext<'_>, error: &UpstreamError, request: Request<Upload>) -> Response<Body> {
    let submitted = cx.intent == Intent::Submit;
    let (ahead, retry_after) = match *error {
        UpstreamError::Held { ahead, retry_after } => (Some(ahead), retry_after),
        UpstreamError::ClientGone(_) | UpstreamError::ClientSlow => return reply::upstream_failed(cx, error),
        _ if submitted => (None, LATER),
        _ => return reply::upstream_failed(cx, error),
    };
    let (parts, mut body) = request.into_parts();
    let form = match cx.intent {
        Intent::Submit => Some(form::held(cx, &parts.headers, &mut body).await),
        // Of another site, or of a browser that does not say: it can send the form again by itself.
        Intent::Form => Some((HeldForm::default(), cx.worker.forms.charge())),
        _ => None,
    };
    body.drain();
    reply::held(cx, error, Standby { form, ahead, retry_after, path: parts.uri.path() })
}
