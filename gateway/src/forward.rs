//! A request on its way to the upstream, and the answer on its way back.

use http::header::HeaderName;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use policy::ticket::Token;
use std::rc::Rc;
use std::sync::Arc;

use crate::body::Body;
use crate::headers;
use crate::quota::Client;
use crate::reply;
use crate::site::SiteRoom;
use crate::telemetry::{Mark, PROCESS, catalogue};
use crate::upstream::{Caller, Patience, Upload, Upstream};
use crate::visit::Visit;
use crate::visitor::Host;

/// On whose behalf a request is forwarded.
#[derive(Debug, Default)]
pub(crate) struct Onward {
    /// The pass, if there is one.
    pass: Option<Token>,
    /// What the shopper has to be told of it.
    news: News,
    /// The pass is due for renewal: the shopper has to be told its new end, if that is known by then.
    renews: bool,
    /// Who it is without one.
    guest: Guest,
}

/// Who comes without a pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Guest {
    #[default]
    Anybody,
    /// The browser, which asks what it may send.
    Preflight,
    /// Somebody who returns from a payment.
    Returns,
    /// A program that only looks: it gets an arrival, and is a shopper if it comes back with that.
    Invited,
}

/// What is new about a pass.
#[derive(Debug, Clone, Copy, Default)]
enum News {
    #[default]
    Nothing,
    /// It was given just now.
    Given,
    /// It came back for the first time.
    Confirmed,
}

impl Onward {
    /// Nobody's pass.
    pub(crate) fn anonymous() -> Self {
        Self::default()
    }

    /// A preflight, which carries no pass.
    pub(crate) fn preflight() -> Self {
        Self { guest: Guest::Preflight, ..Self::default() }
    }

    /// Somebody who returns from a payment without a pass.
    pub(crate) fn returning() -> Self {
        Self { guest: Guest::Returns, ..Self::default() }
    }

    /// Somebody who only looks; `invited` to come back as a shopper.
    pub(crate) fn visit(invited: bool) -> Self {
        Self { guest: if invited { Guest::Invited } else { Guest::Anybody }, ..Self::default() }
    }

    /// The holder of a pass, which may be due for renewal, or confirmed on this request.
    pub(crate) fn holder(pass: Token, renews: bool, confirmed: bool) -> Self {
        let news = if confirmed { News::Confirmed } else { News::Nothing };
        Self { pass: Some(pass), news, renews, ..Self::default() }
    }

    /// Somebody who got this pass just now.
    pub(crate) fn admitted(pass: Token) -> Self {
        Self { pass: Some(pass), news: News::Given, ..Self::default() }
    }

    fn patience(&self) -> Patience {
        match self {
            Self { pass: Some(_), .. } => Patience::Pass,
            Self { guest: Guest::Returns, .. } => Patience::Return,
            _ => Patience::Anonymous,
        }
    }
}

/// Where a request goes.
#[derive(Debug)]
pub(crate) struct Way<'a> {
    /// The upstream of its host and path, if there is one.
    pub upstream: Option<&'a Arc<Upstream>>,
    /// The host that was asked for.
    pub host: Rc<Host>,
    /// On whose behalf.
    pub onward: Onward,
}

/// Forwards, and answers with what comes back.
pub(crate) async fn forward<'a>(
    visit: &mut Visit<'a>,
    way: Way<'a>,
    mut parts: Parts,
    body: Incoming,
) -> Response<Body> {
    let Way { upstream, host, onward } = way;
    let Some(upstream) = upstream else { return reply::no_route(visit) };
    visit.upstream = &upstream.settings().name;
    if onward.pass.is_some() {
        visit.holds_pass(true);
    }
    let ready = headers::to_upstream(&mut parts, &told(visit, &host, &onward));
    if ready.ambiguous > 0 {
        PROCESS.counter(&catalogue::AMBIGUOUS_HEADERS, &[]).increment(ready.ambiguous);
    }
    if ready.unbelieved {
        visit.note_unbelieved();
    }
    let body = Upload::framed(&mut parts.headers, body, ready.trailers);
    let mut request = Some(Request::from_parts(parts, body));
    let caller = caller(visit, &onward);
    let (mut response, revoke) = match upstream.forward(&visit.worker.pool, &mut request, caller).await {
        Ok(mut response) => {
            visit.upstream_after = Some(visit.worker.pool.last_answered_after());
            let revoke = headers::to_shopper(&mut response);
            (response, revoke)
        }
        Err(error) => (reply::upstream_failed(visit, &error), false),
    };
    let Some(room) = visit.room else { return response };
    if let (Some(pass), Body::Switch(bridge)) = (onward.pass, response.body_mut())
        && room.config.upgrades_end_with_pass
    {
        *bridge = bridge.take().map(|bridge| bridge.until(room.live.clone().pass_ended(pass)));
    }
    if let Some((name, value)) = told_to_keep(visit, room, &onward, revoke) {
        headers::make_private(response.headers_mut());
        response.headers_mut().append(name, value);
    }
    response
}

/// Whose share of the upstream the request takes.
fn caller<'a>(visit: &Visit<'a>, onward: &Onward) -> Caller<'a> {
    let client = match (visit.room, onward.pass) {
        (Some(room), Some(pass)) => Client::Place(room.live.id, pass.number),
        // Of IPv6 all that a provider gave out: 16 times the share of a /64 would exceed all permits.
        _ => Client::wide(visit.client).unwrap_or_else(|| Client::at(visit.client)),
    };
    // What loads for everyone is no part of what the room lets in.
    let part = visit.room.filter(|_| visit.mark != Mark::Bypass).and_then(|room| room.part.as_ref());
    Caller { who: onward.patience(), client, part }
}

/// What the upstream is told besides the request.
fn told<'a>(visit: &'a Visit<'_>, host: &'a Host, onward: &Onward) -> headers::Onward<'a> {
    headers::Onward {
        peer: visit.peer(),
        tls: visit.tls,
        host,
        request_id: visit.request_id.clone(),
        pass: visit.room.zip(onward.pass).map(|(room, pass)| visit.pass_headers(room, &pass)),
        preflight: onward.guest == Guest::Preflight,
    }
}

/// What the shopper's token has to become, if it has to change.
fn told_to_keep(
    visit: &Visit<'_>,
    room: &SiteRoom,
    onward: &Onward,
    revoke: bool,
) -> Option<(HeaderName, HeaderValue)> {
    if onward.guest == Guest::Invited {
        return visit.keep(room, &visit.new_arrival(room));
    }
    let pass = onward.pass?;
    if revoke && room.may_revoke() {
        room.live.release(&pass);
        return visit.end_token(room);
    }
    let renewed = if onward.renews { room.live.renewed(&pass) } else { None };
    let pass = renewed.or(match onward.news {
        News::Nothing => None,
        News::Given => Some(pass),
        News::Confirmed => Some(pass.confirmed()),
    })?;
    visit.keep(room, &pass)
}
