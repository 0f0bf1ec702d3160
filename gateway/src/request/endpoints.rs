//! The gateway's own endpoints: everything under `/.weir/`.
//!
//! `GET status/{room}` is the same for all callers and may be cached for a second, and so is `GET message/{room}`, what operators tell
//! those who wait; `GET logo/{room}` for a week, `GET queue/{language}.js`, the second script of the waiting page, for ever.
//! `GET answers/{room}/{question}` is what a shopper would ask a help desk.
//! `POST leave/{room}` gives up a place or a pass; it needs the sealed token and comes from the shop's own pages, or from an app.
//! `GET place/{room}?code=...` is the page of a place that an operator gave: a button, because previews of links ask for it too.
//! `POST` to the same takes the place.
//! `GET gate/{room}/{path}` tells the holder of a pass whether the turn has come at the gate of that path, as soon as it has.
//! `GET health` is for balancers, which also ask in HTTP/1.0 for any path without a `Host`, as no shopper does.
//!
//! Where a room has `session_script`: `GET pass.js` is the script, `GET pass/{room}` returns the end of the shopper's pass, and
//! `POST pass/{room}` renews that as any request would, from the shop's own pages only. The script cannot read the cookie.

use std::sync::Arc;
use std::time::Instant;

use http::{Method, Response};
use policy::Millis;
use policy::action::{BadCode, is_code};
use policy::admit::{Credential, PassState, is_requeued};
use policy::gate::Holder;
use policy::scope::NormalPath;
use policy::ticket::{Kind, Token};

use crate::client::body::Body;
use crate::client::visitor::{self, Head};
use crate::in_force::site::SiteRoom;
use crate::request::reply;
use crate::request::request_context::{RequestContext, coding};
use crate::telemetry::RequestVerdict;
use crate::ui::Question;
use crate::upstream::Turn;

/// The prefix of these paths.
pub(crate) const PREFIX: &str = "/.weir/";
const SCRIPT: &str = "pass.js";
/// The path of places that operators give, but for the room.
pub(crate) const PLACE: &str = "/.weir/place/";
/// The name of a code in a query: paths are in the log, and queries are not by default.
pub(crate) const CODE: &str = "code";

/// Answers `/.weir/{path}`.
pub(crate) async fn answer(cx: &mut RequestContext<'_>, path: &str, head: &Head<'_>) -> Response<Body> {
    cx.verdict = RequestVerdict::Own;
    if path == "health" {
        return checked(cx, head);
    }
    if path == SCRIPT {
        return script(cx, head);
    }
    let (action, rest) = path.split_once('/').unwrap_or((path, ""));
    if action == "queue" {
        return queue_script(head, rest);
    }
    let (name, place) = if matches!(action, "gate" | "answers") {
        rest.split_at(rest.find('/').unwrap_or(rest.len()))
    } else {
        (rest, "")
    };
    let Some(room) = cx.site.asked(name) else { return reply::not_found() };
    match (action, &head.parts.method) {
        ("status", &(Method::GET | Method::HEAD)) => reply::status(room),
        ("message", &(Method::GET | Method::HEAD)) => reply::message(room),
        ("logo", &(Method::GET | Method::HEAD)) => reply::logo(room),
        ("answers", &(Method::GET | Method::HEAD)) => {
            cx.look_at(room, head);
            answers(cx, room, head, place)
        }
        ("leave", &Method::POST) => {
            cx.look_at(room, head);
            leave(cx, head)
        }
        ("place", &(Method::GET | Method::HEAD | Method::POST)) => {
            cx.look_at(room, head);
            place_by_code(cx, room, head)
        }
        ("place", _) => reply::wrong_method("GET, HEAD, POST"),
        ("pass", method) if room.config.session_script => {
            let renews = *method == Method::POST;
            if !renews && *method != Method::GET {
                return reply::wrong_method("GET, POST");
            }
            cx.look_at(room, head);
            // On the heap: the other requests should not carry its state.
            Box::pin(pass(cx, room, head, renews)).await
        }
        ("gate", &Method::GET) => {
            cx.look_at(room, head);
            // On the heap: the other requests should not carry its state.
            Box::pin(turn(cx, room, head, place)).await
        }
        ("gate", _) => reply::wrong_method("GET"),
        ("status" | "message" | "logo" | "answers", _) => reply::wrong_method("GET, HEAD"),
        ("leave", _) => reply::wrong_method("POST"),
        _ => reply::not_found(),
    }
}

/// Tells a balancer whether to send shoppers here, as `/readyz` does.
pub(crate) fn checked(cx: &mut RequestContext<'_>, head: &Head<'_>) -> Response<Body> {
    cx.verdict = RequestVerdict::Own;
    match head.parts.method {
        Method::GET | Method::HEAD | Method::OPTIONS => reply::health(cx.worker.shared.is_ready()),
        _ => reply::wrong_method("GET, HEAD, OPTIONS"),
    }
}

/// The page of answers, with the question of this path opened and counted.
fn answers(cx: &mut RequestContext<'_>, room: &Arc<SiteRoom>, head: &Head<'_>, path: &str) -> Response<Body> {
    if let Err(wait) = cx.charge() {
        return reply::too_fast(cx, wait);
    }
    let opened = match path.trim_matches('/') {
        "" => None,
        name => match Question::of(name) {
            None => return reply::not_found(),
            opened => opened,
        },
    };
    if let Some(question) = opened.filter(|_| head.parts.method == Method::GET) {
        room.live.meters().answer_opened(question);
    }
    cx.take_coding(head);
    reply::answers(cx, room, opened)
}

fn queue_script(head: &Head<'_>, file: &str) -> Response<Body> {
    match head.parts.method {
        Method::GET | Method::HEAD => reply::queue_script(file, head.parts.uri.query(), coding(head)),
        _ => reply::wrong_method("GET, HEAD"),
    }
}

fn leave(cx: &mut RequestContext<'_>, head: &Head<'_>) -> Response<Body> {
    let Some(room) = cx.room else { return reply::not_found() };
    if let Err(wait) = cx.charge() {
        return reply::too_fast(cx, wait);
    }
    if !is_of_the_shop(cx, head) {
        return reply::cross_site();
    }
    match cx.credential {
        Credential::Sealed(token) if !room.live.release(&token) => {
            reply::too_fast(cx, std::time::Duration::from_secs(1))
        }
        _ => reply::left(cx, room),
    }
}

/// The page of a place that an operator gave, or that place: a called ticket, which claims as any other.
fn place_by_code(cx: &mut RequestContext<'_>, room: &Arc<SiteRoom>, head: &Head<'_>) -> Response<Body> {
    if let Err(wait) = cx.charge() {
        return reply::too_fast(cx, wait);
    }
    cx.read_intent(room, head);
    let query = head.parts.uri.query().unwrap_or_default();
    let code = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == CODE).map(|(_, code)| code);
    let token = code.and_then(|code| cx.site.sealer.open(room.live.id, code.as_bytes()).ok());
    let now = room.live.snapshot().store_time(cx.started);
    let is_over = |token: &Token| room.live.pass_state(token) == PassState::Revoked;
    let good = token.ok_or(BadCode::Unknown).and_then(|token| is_code(&token, now, is_over(&token)).map(|()| token));
    let ticket = match good {
        Ok(ticket) => ticket,
        Err(why) => return reply::no_place(cx, why),
    };
    if head.parts.method != Method::POST {
        return reply::place_offered(cx);
    }
    if !is_of_the_shop(cx, head) {
        return reply::cross_site();
    }
    // Who is inside keeps the pass, and the place is there for another day.
    let inside = cx.token().is_some_and(|pass| now < pass.expires && is_inside(room, &pass, now));
    reply::place_taken(cx, room, (!inside).then(|| Token::ticket(ticket.number, now)))
}

/// Whether the turn of this shopper's pass has come at the gate of a path; the pass is renewed as by any request. Where there is
/// no gate, or no pass any more, the request goes on: what becomes of it is decided at the door.
async fn turn(cx: &mut RequestContext<'_>, room: &Arc<SiteRoom>, head: &Head<'_>, path: &str) -> Response<Body> {
    if let Err(wait) = cx.charge() {
        return reply::too_fast(cx, wait);
    }
    if !is_of_the_shop(cx, head) {
        return reply::cross_site();
    }
    let Some(pass) = cx.token() else { return reply::needs_pass(cx) };
    let now = room.live.snapshot().store_time(cx.started);
    let host = cx.host.clone();
    let route = host.and_then(|host| cx.site.routes.find(&host.bare, &NormalPath::of(path)));
    let Some(gate) = route.and_then(|route| route.gate.as_ref()).filter(|_| is_inside(room, &pass, now)) else {
        return reply::turn(cx, room, Turn::GO, None);
    };
    cx.holds_pass(true);
    let may_renew = room.in_force(&room.live.snapshot(), cx.started).may_renew(&pass);
    if now < pass.expires && pass.past_half_life(now) && may_renew {
        room.live.renew(&pass, now);
    }
    let turn = gate.ask(Holder::of(room.live.id, &pass)).await;
    let renewed = room.live.renewed(&pass);
    if !turn.go || pass.is_new() {
        return reply::turn(cx, room, turn, renewed);
    }
    // The form may come to another gateway, which sees by this that its turn has come.
    let told = room.live.snapshot().store_time(std::time::Instant::now());
    reply::turn(cx, room, turn, Some(renewed.unwrap_or(pass).invited(told)))
}

/// Whether this is a pass that lives, or one that forms still go through with.
fn is_inside(room: &SiteRoom, pass: &Token, now: Millis) -> bool {
    let untouched =
        matches!(room.live.pass_state(pass), PassState::Lives | PassState::Spent) && !waits_again(room, pass);
    let grace = room.settings.room.rules.form_grace;
    pass.kind == Kind::Pass && untouched && now < pass.expires.saturating_add(grace)
}

/// Whether the pre-queue of an event has ended this pass.
fn waits_again(room: &SiteRoom, pass: &Token) -> bool {
    let snapshot = room.live.snapshot();
    let in_force = room.in_force(&snapshot, Instant::now());
    snapshot.view.as_ref().is_some_and(|line| is_requeued(in_force, line, pass))
}

fn is_of_the_shop(cx: &RequestContext<'_>, head: &Head<'_>) -> bool {
    let host = visitor::sent_host(head).map(String::from_utf8_lossy).unwrap_or_default();
    visitor::is_same_origin(&head.parts.headers, cx.tls, &host)
}

fn script(cx: &RequestContext<'_>, head: &Head<'_>) -> Response<Body> {
    if !cx.site.by_name.values().any(|room| room.config.session_script) {
        return reply::not_found();
    }
    match head.parts.method {
        Method::GET | Method::HEAD => reply::pass_script(coding(head)),
        _ => reply::wrong_method("GET, HEAD"),
    }
}

/// The end of this shopper's pass, after a renewal if it `renews`.
async fn pass(cx: &mut RequestContext<'_>, room: &Arc<SiteRoom>, head: &Head<'_>, renews: bool) -> Response<Body> {
    if let Err(wait) = cx.charge() {
        return reply::too_fast(cx, wait);
    }
    if renews && !is_of_the_shop(cx, head) {
        return reply::cross_site();
    }
    let now = room.live.snapshot().store_time(cx.started);
    let shown = cx.token().filter(|pass| pass.kind == Kind::Pass && room.live.pass_state(pass) == PassState::Lives);
    let lives = |pass: &Token| pass.expires > now && !waits_again(room, pass);
    let may_renew = |pass: &Token| room.in_force(&room.live.snapshot(), cx.started).may_renew(pass);
    let mut pass = shown.map(|pass| room.live.renewed(&pass).unwrap_or(pass)).filter(lives);
    if let Some(known) = pass.filter(|pass| renews && pass.past_half_life(now) && may_renew(pass)) {
        pass = room.live.extend(&known, now).await;
    }
    reply::pass(cx, room, pass)
}
