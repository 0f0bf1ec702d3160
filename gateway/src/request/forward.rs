//! A request on its way to the upstream, and the answer on its way back.

use http::header::HeaderName;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use policy::admit::Intent;
use policy::gate::{Holder, INVITED};
use policy::ticket::Token;
use std::rc::Rc;
use std::time::Instant;

use crate::client::body::Body;
use crate::client::headers;
use crate::client::visitor::{Head, Host};
use crate::in_force::site::{Route, SiteRoom};
use crate::quota::Client;
use crate::request::request_context::RequestContext;
use crate::request::{reply, shop_words, unsent};
use crate::settings::config::RouteClass;
use crate::telemetry::{PROCESS, RequestVerdict, catalogue};
use crate::upstream::{AtGate, Caller, Comer, Priority, Upload, UpstreamError};

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

    /// The class of a route counts for requests with a pass alone: a path by itself gives no priority.
    fn priority(&self, class: Option<RouteClass>) -> Priority {
        match self {
            Self { pass: Some(_), .. } => match class {
                Some(RouteClass::Payment) => Priority::Payment,
                Some(RouteClass::Order) => Priority::Order,
                None => Priority::Pass,
            },
            Self { guest: Visitor::Returns, .. } => Priority::Return,
            _ => Priority::Anonymous,
        }
    }
}

/// The target of a request.
#[derive(Debug)]
pub(crate) struct ForwardTarget<'a> {
    /// Where its host and path lead, if anywhere.
    pub route: Option<&'a Route>,
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
    let ForwardTarget { route, host, pass_context } = way;
    let Some(route) = route else { return reply::no_route(cx) };
    let upstream = &route.upstream;
    cx.upstream = &upstream.settings().name;
    if pass_context.pass.is_some() {
        cx.holds_pass(true);
    }
    let gate = at_gate(cx, route, &pass_context, &parts);
    let deadline = if cx.peer().trusted { upstream.deadline(&parts.headers) } else { None };
    let may_change = !parts.method.is_safe();
    let ready = headers::to_upstream(&mut parts, &told(cx, &host, &pass_context));
    if ready.ambiguous > 0 {
        PROCESS.counter(&catalogue::AMBIGUOUS_HEADERS, &[]).increment(ready.ambiguous);
    }
    if ready.unbelieved {
        cx.note_unbelieved();
    }
    let body = Upload::framed(&mut parts.headers, body, ready.trailers);
    let mut request = Some(Request::from_parts(parts, body));
    let caller = caller(cx, &pass_context, gate, deadline);
    let result = upstream.forward(&cx.worker.pool, &mut request, caller).await;
    if let (Some(gate), Some(room), Some(pass)) = (gate, cx.room, pass_context.pass) {
        note_stage(cx, gate, room, &pass, &result);
    }
    let (mut response, words, took) = match result {
        Ok(mut response) => {
            cx.upstream_after = Some(cx.worker.pool.last_answered_after());
            let words = headers::to_shopper(&mut response);
            (response, words, cx.upstream_after)
        }
        Err(error) => {
            let took = matches!(error, UpstreamError::Timeout).then_some(upstream.settings().response_timeout);
            let answer = match gate.filter(|_| pass_context.pass.is_some()) {
                Some(gate) => Box::pin(unsent::answer(cx, gate.gate, &error, request, may_change)).await,
                None => reply::upstream_failed(cx, &error),
            };
            (answer, None, took)
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

/// The gate of its route, if that has a class, and who comes there. What loads for every visitor and preflights go past it.
fn at_gate<'a>(
    cx: &mut RequestContext<'a>,
    route: &'a Route,
    pass_context: &PassContext,
    parts: &Parts,
) -> Option<AtGate<'a>> {
    let gate = route.gate.as_deref()?;
    if matches!(cx.verdict, RequestVerdict::Bypass | RequestVerdict::Preflight) {
        return None;
    }
    let comer = match (cx.room, pass_context.pass) {
        (Some(room), Some(pass)) => {
            // With a pass the kind of a request was not read yet.
            cx.read_intent(room, &Head::of(parts));
            let holder = Holder::of(room.live.id, &pass);
            match cx.intent {
                Intent::Return => Comer::Return(Some(holder)),
                _ if was_invited(cx, room, &pass) => Comer::Invited(holder),
                _ => Comer::Holder(holder),
            }
        }
        _ if pass_context.guest == Visitor::Returns => Comer::Return(None),
        _ => Comer::Other,
    };
    Some(AtGate { gate, comer })
}

/// Whether a gateway has just told its page to send the form.
fn was_invited(cx: &RequestContext<'_>, room: &SiteRoom, pass: &Token) -> bool {
    pass.was_invited_within(INVITED, room.live.snapshot().store_time(cx.started))
}

/// Counts a request of a pass that went through a gate, and whether the shop has done its work.
fn note_stage(
    cx: &RequestContext<'_>,
    gate: AtGate<'_>,
    room: &SiteRoom,
    pass: &Token,
    result: &Result<Response<Body>, UpstreamError>,
) {
    if matches!(result, Err(UpstreamError::Held { .. } | UpstreamError::RouteBusy { .. })) {
        return;
    }
    let stage = room.live.stage(gate.gate.settings().class);
    stage.entered(room.live.snapshot().store_time(cx.started).saturating_sub(pass.admitted));
    if result.as_ref().is_ok_and(|response| !response.status().is_server_error()) {
        stage.delivered();
    }
}

/// The client whose share of the upstream the request takes.
fn caller<'a>(
    cx: &RequestContext<'a>,
    pass_context: &PassContext,
    gate: Option<AtGate<'a>>,
    deadline: Option<Instant>,
) -> Caller<'a> {
    let client = match (cx.room, pass_context.pass) {
        (Some(room), Some(pass)) => Client::Place(room.live.id, pass.number),
        // Of IPv6 the whole network of a provider's customer: 16 times the share of a /64 would exceed all permits.
        _ => Client::wide(cx.client).unwrap_or_else(|| Client::at(cx.client)),
    };
    // A bypass path loads for every visitor: it is no part of the room's admissions.
    let part = cx.room.filter(|_| cx.verdict != RequestVerdict::Bypass).and_then(|room| room.part.as_ref());
    let class = gate.map(|gate| gate.gate.settings().class);
    Caller { who: pass_context.priority(class), client, part, gate, deadline }
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
