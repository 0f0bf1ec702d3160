//! Verdict or error -> answer: status, headers, and which text. The one table of what went wrong.
//!
//! Nothing here redirects but to the same address over TLS, and nothing tells a cache to keep an answer but the status document, a logo and the script.

mod program;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderValue, Response, StatusCode, Uri};
use policy::admit::Intent;
use policy::ticket::{Kind, Token};

use crate::body::Body;
use crate::site::SiteRoom;
use crate::telemetry::Mark;
use crate::ui::{self, Coding, Form, Language, Notice, Standing};
use crate::upstream::UpstreamError;
use crate::visit::{Visit, Wants};

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const SCRIPT: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");
const AN_HOUR: HeaderValue = HeaderValue::from_static("public, max-age=3600");
const A_SECOND: HeaderValue = HeaderValue::from_static("public, max-age=1");

/// Seconds after which a suspended or full room may be asked again.
const LATER: u64 = 30;
/// Seconds after which a request without a pass may be tried again.
const SOON: u64 = 5;

/// A program is told no position from a copy that was asked for longer ago: the page keeps the least that it was told, but a
/// program may have heard a smaller one from another gateway, a poll ago at the earliest. (When the copy was heard tells nothing:
/// on the way it may have waited for as long as a busy machine lets it.)
const FRESH: Duration = Duration::from_millis(800);

/// Where somebody stands who does not enter now.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// They were just given this.
    New(Token),
    /// They came with it.
    Held(Token),
}

/// The place in the line, as page or JSON.
pub(crate) fn wait(visit: &mut Visit<'_>, room: &Arc<SiteRoom>, place: Place) -> Response<Body> {
    let snapshot = room.live.snapshot();
    let now = snapshot.store_time(visit.started);
    let (token, tell) = match place {
        Place::New(token) => (token, true),
        Place::Held(token) => {
            let numbered = visit.token().is_some_and(|shown| shown.kind != token.kind);
            (token, numbered || token.wants_refresh(now))
        }
    };
    visit.mark = if matches!(place, Place::New(_)) { Mark::Queued } else { Mark::Wait };
    let status = queueing(visit, room);
    let ticket = (token.kind == Kind::Ticket).then_some(token.number);
    let standing = snapshot.answers.standing(ticket, visit.worker.jitter());
    visit.hold_form(standing, false);
    if let (Place::New(_), Some(number)) = (place, ticket) {
        room.live.meters().waits().shown(number, standing.wait, now);
    }
    let to_program = || {
        let position = standing.position.filter(|_| snapshot.asked.elapsed() < FRESH);
        Standing { position, ..standing }
    };
    let mut response = match visit.wants() {
        Wants::Json if visit.intent.asks() => answer(status, JSON, snapshot.answers.json(&to_program())),
        Wants::Json => answer(status, JSON, snapshot.answers.json_elsewhere(&to_program(), waiting_page(visit, room))),
        Wants::Page if visit.intent.asks() => {
            let told = visit.language_and_coding(room.language);
            let body = room.page.fill(&snapshot.answers, &standing, told, visit.ended);
            page(status, body, told.1, room.page.csp())
        }
        // A person has sent it, and no page may hold it.
        Wants::Page if visit.intent == Intent::Form => untold(visit, status, Notice::Ended { retry: SOON }),
        // Nobody looks at the answer to what is fetched.
        _ => answer(StatusCode::TOO_MANY_REQUESTS, TEXT, snapshot.answers.text(&to_program())),
    };
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from(standing.poll_after));
    if tell {
        let fresh = if token.kind == Kind::Ticket { Token::ticket(token.number, now) } else { token };
        headers.extend(visit.keep(room, &fresh));
    }
    program::told(visit, program::WAITING, response)
}

/// Asks a newcomer to come back with the arrival of this answer, which takes the place. The page does so at once, by
/// itself; without a script or with an operator's page a browser follows `Refresh`.
pub(crate) fn confirm(visit: &mut Visit<'_>, room: &Arc<SiteRoom>) -> Response<Body> {
    visit.mark = Mark::Confirm;
    visit.hold_form(Standing::ARRIVING, true);
    let snapshot = room.live.snapshot();
    let mut response = match visit.wants() {
        Wants::Json => answer(queueing(visit, room), JSON, snapshot.answers.arriving_json()),
        Wants::Page => {
            let told = visit.language_and_coding(room.language);
            let arriving = room.page.arriving(&snapshot.answers, told);
            let mut response = page(queueing(visit, room), arriving, told.1, room.page.csp());
            response.headers_mut().insert(header::REFRESH, HeaderValue::from(Standing::ARRIVING.poll_after));
            response
        }
        Wants::Text => answer(StatusCode::TOO_MANY_REQUESTS, TEXT, Standing::arriving_text()),
    };
    response.headers_mut().extend(visit.keep(room, &visit.new_arrival(room)));
    let response = retry(response, Standing::ARRIVING.poll_after);
    program::told(visit, program::WAITING, response)
}

/// The status code of those who wait. An app, and whatever sends or fetches, tells by it that the shop has not answered.
fn queueing(visit: &Visit<'_>, room: &SiteRoom) -> StatusCode {
    if visit.by_header || !visit.intent.asks() {
        return StatusCode::TOO_MANY_REQUESTS;
    }
    StatusCode::from_u16(room.config.queueing_status_code).unwrap_or(StatusCode::OK)
}

/// The status document of a room.
pub(crate) fn status(room: &SiteRoom) -> Response<Body> {
    let mut response = Response::new(Body::from(room.live.snapshot().answers.status()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::CACHE_CONTROL, A_SECOND);
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// The logo of a room: its address changes with it. An SVG that is opened by itself runs nothing.
pub(crate) fn logo(room: &SiteRoom) -> Response<Body> {
    let Some(logo) = room.page.logo() else { return not_found() };
    let mut response = answer(StatusCode::OK, HeaderValue::from_static(logo.kind), logo.bytes.clone());
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=604800"));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

/// The script for pages of the shop: the same for all rooms, and of this version.
pub(crate) fn pass_script(gzip: bool) -> Response<Body> {
    let coding = if gzip { Coding::Gzip } else { Coding::Identity };
    let mut response = answer(StatusCode::OK, SCRIPT, ui::pass_script(coding));
    response.headers_mut().insert(header::CACHE_CONTROL, AN_HOUR);
    coded(response, coding)
}

/// When the shopper's pass ends, for that script; `None`: there is none. A text that is newer than theirs goes along.
pub(crate) fn pass(visit: &Visit<'_>, room: &SiteRoom, pass: Option<Token>) -> Response<Body> {
    let now = room.live.snapshot().store_time(Instant::now());
    let (language, _) = visit.language_and_coding(room.language);
    let told = pass.map(|pass| (pass, room.terms.room.may_renew(&pass)));
    let mut response = answer(StatusCode::OK, JSON, ui::pass_status(told, now, language));
    if let Some(pass) = pass.filter(|pass| visit.token() != Some(*pass)) {
        let sealed = visit.site.sealer.seal(room.live.id, &pass);
        let cookie = room.cookie.keep(&sealed, &pass, visit.tls).map(|cookie| (header::SET_COOKIE, cookie));
        response.headers_mut().extend(cookie);
    }
    response
}

/// The room is suspended.
pub(crate) fn suspended(visit: &mut Visit<'_>) -> Response<Body> {
    visit.mark = Mark::Suspended;
    notice(visit, StatusCode::SERVICE_UNAVAILABLE, Notice::Suspended { retry: LATER })
}

/// The room is full, and nobody waits here.
pub(crate) fn full(visit: &mut Visit<'_>) -> Response<Body> {
    visit.mark = Mark::Full;
    retry(notice(visit, StatusCode::SERVICE_UNAVAILABLE, Notice::Full), LATER)
}

/// No place can come of it, and no pass was shown. The body of the request is not read.
pub(crate) fn needs_pass(visit: &mut Visit<'_>) -> Response<Body> {
    if visit.wants() == Wants::Page {
        visit.answer_in_text();
    }
    without_pass(visit, Notice::NeedsPass { retry: SOON })
}

/// A form whose pass has ended, and that no page can hold: of another site, or of a program. The body of the request is not read.
pub(crate) fn ended(visit: &mut Visit<'_>) -> Response<Body> {
    without_pass(visit, Notice::Ended { retry: SOON })
}

/// Says to a program besides what became of its pass, if it showed one, and where the line can be entered.
fn without_pass(visit: &mut Visit<'_>, why: Notice<'_>) -> Response<Body> {
    visit.mark = Mark::NeedsPass;
    let status = StatusCode::TOO_MANY_REQUESTS;
    // As `telemetry::reason` names what was shown and did not count.
    let ended = matches!(visit.reason, "expired" | "revoked" | "evicted" | "old_line");
    let word = if ended { program::EXPIRED } else { why.status() };
    let response = if let (Wants::Json, Some(room)) = (visit.wants(), visit.room) {
        let page = waiting_page(visit, room);
        retry(answer(status, JSON, why.json_for(word, &room.live.name, page)), SOON)
    } else {
        notice(visit, status, why)
    };
    program::told(visit, word, response)
}

/// The path where the line can be entered, on the host that was asked.
fn waiting_page<'a>(visit: &Visit<'_>, room: &'a SiteRoom) -> &'a str {
    room.page_at(visit.host.as_ref().map_or("", |host| &host.bare))
}

/// Over a quota.
pub(crate) fn too_fast(visit: &mut Visit<'_>, wait: Duration) -> Response<Body> {
    visit.mark = Mark::TooFast;
    let retry = wait.as_secs() + 1;
    notice(visit, StatusCode::TOO_MANY_REQUESTS, Notice::TooMany { retry })
}

/// More preflights than the room lets pass. A browser reads no more of it than the status.
pub(crate) fn preflights_over(visit: &mut Visit<'_>, wait: Duration) -> Response<Body> {
    visit.mark = Mark::PreflightsOver;
    let notice = Notice::TooMany { retry: wait.as_secs() + 1 };
    let response = text(StatusCode::TOO_MANY_REQUESTS, "Too many preflights at once.\n");
    program::told(visit, notice.status(), retry(response, wait.as_secs() + 1))
}

/// They left; the cookie goes.
pub(crate) fn left(visit: &mut Visit<'_>, room: &SiteRoom) -> Response<Body> {
    let mut response = notice(visit, StatusCode::OK, Notice::Left);
    response.headers_mut().extend(visit.end_token(room));
    response
}

/// The upstream gave no answer.
pub(crate) fn upstream_failed(visit: &mut Visit<'_>, error: &UpstreamError) -> Response<Body> {
    let status = match error {
        UpstreamError::Busy { .. }
        | UpstreamError::RoomBusy { .. }
        | UpstreamError::UpgradesFull
        | UpstreamError::Exhausted { .. } => StatusCode::SERVICE_UNAVAILABLE,
        UpstreamError::NoServer
        | UpstreamError::Connect { .. }
        | UpstreamError::Tls { .. }
        | UpstreamError::Http2 { .. }
        | UpstreamError::NoUpgrade(_)
        | UpstreamError::Unsent(_)
        | UpstreamError::Reset(_)
        | UpstreamError::HeadTooLarge(_)
        | UpstreamError::Garbage(_)
        | UpstreamError::NotAskedToSwitch => StatusCode::BAD_GATEWAY,
        UpstreamError::Timeout => StatusCode::GATEWAY_TIMEOUT,
        UpstreamError::ClientGone(_) => StatusCode::BAD_REQUEST,
        UpstreamError::ClientSlow => StatusCode::REQUEST_TIMEOUT,
    };
    let (disposition, reason) = visit.meters().unanswered(error);
    (visit.unanswered, visit.reason) = (Some(disposition), reason);
    let request = visit.request_id.to_str().unwrap_or_default();
    match error {
        UpstreamError::Busy { retry_after } | UpstreamError::RoomBusy { retry_after } => {
            retry(notice(visit, status, Notice::Busy), retry_after.as_secs().max(1))
        }
        _ => notice(visit, status, Notice::Failed { status: status.as_u16(), request }),
    }
}

/// The same address over TLS, on its usual port. 308 keeps method and body.
pub(crate) fn to_https(visit: &mut Visit<'_>, host: &str, uri: &Uri) -> Response<Body> {
    visit.mark = Mark::Redirect;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let Ok(location) = HeaderValue::try_from(format!("https://{host}{target}")) else {
        return bad_request(visit, "This address cannot be written.\n");
    };
    let mut response = text(StatusCode::PERMANENT_REDIRECT, "Come over TLS.\n");
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// No upstream serves this host and path.
pub(crate) fn no_route(visit: &mut Visit<'_>) -> Response<Body> {
    visit.mark = Mark::NoRoute;
    text(StatusCode::NOT_FOUND, "No upstream serves this host and path.\n")
}

/// It is not clear what is asked for, and `why`.
pub(crate) fn bad_request(visit: &mut Visit<'_>, why: &'static str) -> Response<Body> {
    visit.mark = Mark::BadRequest;
    text(StatusCode::BAD_REQUEST, why)
}

/// More headers than are read.
pub(crate) fn too_many_headers(visit: &mut Visit<'_>) -> Response<Body> {
    visit.mark = Mark::BadRequest;
    text(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Too many headers.\n")
}

/// It is not clear where the body ends. What comes after it on the connection could be anything.
pub(crate) fn unframed(visit: &mut Visit<'_>, http2: bool) -> Response<Body> {
    let mut response = bad_request(visit, "The length of the body is not clear.\n");
    if !http2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether this gateway takes part in the line: what a balancer asks.
pub(crate) fn health(ready: bool) -> Response<Body> {
    if ready { text(StatusCode::OK, "ok\n") } else { text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}

/// Nothing under `/.weir/` has this name.
pub(crate) fn not_found() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "No such page.\n")
}

/// A state-changing call that another site made.
pub(crate) fn cross_site() -> Response<Body> {
    text(StatusCode::FORBIDDEN, "Only the shop's own pages may ask for this.\n")
}

/// The page is there, for another method.
pub(crate) fn wrong_method(allow: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Another method is needed; see Allow.\n");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// A notice in the form that the request asks for, with its word.
fn notice(visit: &Visit<'_>, status: StatusCode, notice: Notice<'_>) -> Response<Body> {
    let response = program::told(visit, notice.status(), untold(visit, status, notice));
    match notice.retry() {
        Some(seconds) => retry(response, seconds),
        None => response,
    }
}

/// The same without a word of what became of the request.
fn untold(visit: &Visit<'_>, status: StatusCode, notice: Notice<'_>) -> Response<Body> {
    let pages = visit.room.and_then(|room| room.page.notices()).unwrap_or(&visit.site.notices);
    match visit.wants() {
        Wants::Page => {
            let set = visit.room.map_or(Some(Language::English), |room| room.language);
            let (language, coding) = visit.language_and_coding(set);
            page(status, pages.shared(notice, Form::Page(language, coding)), coding, pages.csp())
        }
        Wants::Json => answer(status, JSON, pages.shared(notice, Form::Json)),
        Wants::Text => answer(status, TEXT, pages.shared(notice, Form::Text)),
    }
}

fn retry(mut response: Response<Body>, seconds: u64) -> Response<Body> {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// A page in this coding, under this policy.
fn page(status: StatusCode, body: impl Into<Body>, coding: Coding, policy: HeaderValue) -> Response<Body> {
    let mut response = answer(status, HTML, body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    coded(response, coding)
}

/// Says in which coding the body is.
fn coded(mut response: Response<Body>, coding: Coding) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if coding == Coding::Gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    answer(status, TEXT, Bytes::from_static(text.as_bytes()))
}

fn answer(status: StatusCode, kind: HeaderValue, body: impl Into<Body>) -> Response<Body> {
    const NOSNIFF: (HeaderName, HeaderValue) = (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(NOSNIFF.0, NOSNIFF.1);
    response
}
