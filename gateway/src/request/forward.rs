//! A request on its way to the upstream, and the answer on its way back.

use http::header::HeaderName;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use policy::ticket::Token;
use std::rc::Rc;
use std::sync::Arc;

use crate::client::body::Body;
use crate::client::headers;
use crate::client::visitor::Host;
use crate::in_force::site::SiteRoom;
use crate::quota::Client;
use crate::request::reply;
use crate::request::request_context::RequestContext;
use crate::request::shop_words;
use crate::telemetry::{PROCESS, RequestVerdict, catalogue};
use crate::upstream::{Caller, Priority, Upload, Upstream, UpstreamError};

/// The holder or visitor behind a forwarded request.
#[derive(Debug, Default)]
pub(crate) struct PassContext {
    /// The pass, if there is one.
    pass: Option<Token>,
    /// The change of it that the shopper must learn.
    news: PassChange,
    /// The pass is due for renewal: the shopper must learn its new end, if that is known by then.
    renews: bool,
    /// The kind of visitor without one.
    guest: Visitor,
}

/// A visitor without a pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Visitor {
    #[default]
    Anybody,
    /// The browser, with a preflight.
    Preflight,
    /// A shopper who returns from a payment.
    Returns,
    /// A program that only looks: it gets an arrival, and becomes a shopper by coming back with that.
    Invited,
}

/// A change of a pass.
#[derive(Debug, Clone, Copy, Default)]
enum PassChange {
    #[default]
    Nothing,
    /// Given just now.
    Given,
    /// Back for the first time.
    Confirmed,
}

impl PassContext {
    /// Without a pass.
    pub(crate) fn anonymous() -> Self {
        Self::default()
    }

    /// A preflight, which carries no pass.
    pub(crate) fn preflight() -> Self {
        Self { guest: Visitor::Preflight, ..Self::default() }
    }

    /// A return from a payment without a pass.
    pub(crate) fn returning() -> Self {
        Self { guest: Visitor::Returns, ..Self::default() }
    }

    /// A visit; `invited` to come back as a shopper.
    pub(crate) fn visit(invited: bool) -> Self {
        Self { guest: if invited { Visitor::Invited } else { Visitor::Anybody }, ..Self::default() }
    }

    /// The holder of a pass, which may be due for renewal, or confirmed on this request.
    pub(crate) fn holder(pass: Token, renews: bool, confirmed: bool) -> Self {
        let news = if confirmed { PassChange::Confirmed } else { PassChange::Nothing };
        Self { pass: Some(pass), news, renews, ..Self::default() }
    }

    /// A holder who got this pass just now.
    pub(crate) fn admitted(pass: Token) -> Self {
        Self { pass: Some(pass), news: PassChange::Given, ..Self::default() }
    }

    fn priority(&self) -> Priority {
        match self {
            Self { pass: Some(_), .. } => Priority::Pass,
            Self { guest: Visitor::Returns, .. } => Priority::Return,
            _ => Priority::Anonymous,
        }
    }
}

/// The target of a request.
#[derive(Debug)]
pub(crate) struct ForwardTarget<'a> {
    /// The upstream of its host and path, if there is one.
    pub upstream: Option<&'a Arc<Upstream>>,
    /// The requested host.
    pub host: Rc<Host>,
    /// Its pass, or its kind of visitor.
    pub pass_context: PassContext,
}

/// Forwards the request, and returns the upstream's answer.
pub(crate) async fn forward<'a>(
    cx: &mut RequestContext<'a>,
    way: ForwardTarget<'a>,
    mut parts: Parts,
    body: Incoming,
) -> Response<Body> {
    let ForwardTarget { upstream, host, pass_context } = way;
    let Some(upstream) = upstream else { return reply::no_route(cx) };
    cx.upstream = &upstream.settings().name;
    if pass_context.pass.is_some() {
        cx.holds_pass(true);
    }
    let ready = headers::to_upstream(&mut parts, &told(cx, &host, &pass_context));
    if ready.ambiguous > 0 {
        PROCESS.counter(&catalogue::AMBIGUOUS_HEADERS, &[]).increment(ready.ambiguous);
    }
    if ready.unbelieved {
        cx.note_unbelieved();
    }
    let body = Upload::framed(&mut parts.headers, body, ready.trailers);
    let mut request = Some(Request::from_parts(parts, body));
    let caller = caller(cx, &pass_context);
    let (mut response, words, took) = match upstream.forward(&cx.worker.pool, &mut request, caller).await {
        Ok(mut response) => {
            cx.upstream_after = Some(cx.worker.pool.last_answered_after());
            let words = headers::to_shopper(&mut response);
            (response, words, cx.upstream_after)
        }
        Err(error) => {
            let took = matches!(error, UpstreamError::Timeout).then_some(upstream.settings().response_timeout);
            (reply::upstream_failed(cx, &error), None, took)
        }
    };
    let Some(room) = cx.room else { return response };
    let server = cx.worker.pool.last_answered_by();
    if let (Some(signals), Some(took), Some(_)) = (&room.signals, took, pass_context.pass) {
        signals.took(took);
    }
    let revoke = words.is_some_and(|words| shop_words::obey(room, &words, server));
    if let (Some(pass), Body::Switch(bridge)) = (pass_context.pass, response.body_mut())
        && room.config.upgrades_end_with_pass
    {
        *bridge = bridge.take().map(|bridge| bridge.until(room.live.clone().pass_ended(pass)));
    }
    if let Some((name, value)) = told_to_keep(cx, room, &pass_context, revoke) {
        headers::make_private(response.headers_mut());
        response.headers_mut().append(name, value);
    }
    response
}

/// The client whose share of the upstream the request takes.
fn caller<'a>(cx: &RequestContext<'a>, pass_context: &PassContext) -> Caller<'a> {
    let client = match (cx.room, pass_context.pass) {
        (Some(room), Some(pass)) => Client::Place(room.live.id, pass.number),
        // Of IPv6 the whole network of a provider's customer: 16 times the share of a /64 would exceed all permits.
        _ => Client::wide(cx.client).unwrap_or_else(|| Client::at(cx.client)),
    };
    // A bypass path loads for every visitor: it is no part of the room's admissions.
    let part = cx.room.filter(|_| cx.verdict != RequestVerdict::Bypass).and_then(|room| room.part.as_ref());
    Caller { who: pass_context.priority(), client, part }
}

/// The headers for the upstream besides the request's own.
fn told<'a>(cx: &'a RequestContext<'_>, host: &'a Host, pass_context: &PassContext) -> headers::UpstreamHeaders<'a> {
    headers::UpstreamHeaders {
        peer: cx.peer(),
        tls: cx.tls,
        host,
        request_id: cx.request_id.clone(),
        pass: cx.room.zip(pass_context.pass).map(|(room, pass)| cx.pass_headers(room, &pass)),
        preflight: pass_context.guest == Visitor::Preflight,
    }
}

/// The new text of the shopper's token, if it has to change.
fn told_to_keep(
    cx: &RequestContext<'_>,
    room: &SiteRoom,
    pass_context: &PassContext,
    revoke: bool,
) -> Option<(HeaderName, HeaderValue)> {
    if pass_context.guest == Visitor::Invited {
        return cx.keep(room, &cx.new_arrival(room));
    }
    let pass = pass_context.pass?;
    if revoke {
        room.live.release(&pass);
        return cx.end_token(room);
    }
    let renewed = if pass_context.renews { room.live.renewed(&pass) } else { None };
    let pass = renewed.or(match pass_context.news {
        PassChange::Nothing => None,
        PassChange::Given => Some(pass),
        PassChange::Confirmed => Some(pass.confirmed()),
    })?;
    cx.keep(room, &pass)
}
