//! What the gateway answers itself: everything under `/.weir/`.
//!
//! `GET status/{room}` is the same for everybody and may be cached for a second, `GET logo/{room}` for a week. `POST leave/{room}`
//! gives up a place or a pass; it needs the sealed token and comes from the shop's own pages, or from an app. `GET health`
//! is for balancers, which also ask in HTTP/1.0 for any path without a `Host`: no shopper does, and no room has it.

use http::{Method, Response};
use policy::admit::Credential;

use crate::body::Body;
use crate::reply;
use crate::telemetry::Mark;
use crate::visit::Visit;
use crate::visitor::{self, Head};

/// Where these paths begin.
pub const PREFIX: &str = "/.weir/";

/// Answers `/.weir/{path}`.
pub fn answer(visit: &mut Visit<'_>, path: &str, head: &Head<'_>) -> Response<Body> {
    visit.mark = Mark::Own;
    if path == "health" {
        return checked(visit, head);
    }
    let (action, name) = path.split_once('/').unwrap_or((path, ""));
    let Some(room) = visit.site.by_name.get(name) else { return reply::not_found() };
    match (action, &head.parts.method) {
        ("status", &(Method::GET | Method::HEAD)) => reply::status(room),
        ("logo", &(Method::GET | Method::HEAD)) => reply::logo(room),
        ("leave", &Method::POST) => {
            visit.look_at(room, head);
            leave(visit, head)
        }
        ("status" | "logo", _) => reply::wrong_method("GET, HEAD"),
        ("leave", _) => reply::wrong_method("POST"),
        _ => reply::not_found(),
    }
}

/// Tells a balancer whether shoppers should be sent here, as `/readyz` does.
pub fn checked(visit: &mut Visit<'_>, head: &Head<'_>) -> Response<Body> {
    visit.mark = Mark::Own;
    match head.parts.method {
        Method::GET | Method::HEAD | Method::OPTIONS => reply::health(visit.worker.shared.is_ready()),
        _ => reply::wrong_method("GET, HEAD, OPTIONS"),
    }
}

fn leave(visit: &mut Visit<'_>, head: &Head<'_>) -> Response<Body> {
    let Some(room) = visit.room else { return reply::not_found() };
    if let Err(wait) = visit.charge() {
        return reply::too_fast(visit, wait);
    }
    if !visitor::is_same_origin(
        &head.parts.headers,
        visit.tls,
        &visitor::sent_host(head).map(String::from_utf8_lossy).unwrap_or_default(),
    ) {
        return reply::cross_site();
    }
    match visit.credential {
        Credential::Sealed(token) if !room.live.release(&token) => {
            reply::too_fast(visit, std::time::Duration::from_secs(1))
        }
        _ => reply::left(visit, room),
    }
}
