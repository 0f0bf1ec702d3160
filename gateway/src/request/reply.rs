//! Verdict or error -> answer: status, headers, and text. The one table of failures.
//!
//! Nothing here redirects but to the same address over TLS, and from a place that was taken to the room; and only the status document, a logo and the scripts may be cached.

mod program;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderValue, Response, StatusCode, Uri};
use policy::action::BadCode;
use policy::admit::Intent;
use policy::event::Announcement;
use policy::line::FIRST_ROUND;
use policy::outlook::FRESH;
use policy::ticket::{Kind, Token};

use crate::client::body::Body;
use crate::client::buffer::Charge;
use crate::in_force::site::SiteRoom;
use crate::request::request_context::{RequestContext, Wants};
use crate::telemetry::RequestVerdict;
use crate::ui::{self, Coding, Form, HeldForm, Language, Notice, Question, QueuePosition};
use crate::upstream::{Turn, UpstreamError};

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const SCRIPT: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");
const AN_HOUR: HeaderValue = HeaderValue::from_static("public, max-age=3600");
const A_SECOND: HeaderValue = HeaderValue::from_static("public, max-age=1");
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// `Retry-After` of a suspended or full room, in seconds.
const LATER: u64 = 30;
/// `Retry-After` of a request without a pass, in seconds.
const SOON: u64 = 5;

/// The place of a shopper who does not enter now.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// Just given.
    New(Token),
    /// Shown with the request.
    Held(Token),
}

/// The place in the line, as page or JSON.
pub(crate) fn wait(cx: &mut RequestContext<'_>, room: &Arc<SiteRoom>, place: Place) -> Response<Body> {
    let snapshot = room.live.snapshot();
    let now = snapshot.store_time(cx.started);
    let (token, tell) = match place {
        Place::New(token) => (token, true),
        Place::Held(token) => {
            let numbered = cx.token().is_some_and(|shown| shown.kind != token.kind);
            (token, numbered || token.wants_refresh(now))
        }
    };
    cx.verdict = if matches!(place, Place::New(_)) { RequestVerdict::Queued } else { RequestVerdict::Wait };
    let status = queueing(cx, room);
    let ticket = (token.kind == Kind::Ticket).then_some(token.number);
    let round = (token.kind == Kind::Provisional && token.incarnation >= FIRST_ROUND).then_some(token.incarnation);
    let standing = snapshot.answers.standing(ticket, cx.worker.jitter()).in_round(round);
    cx.hold_form(standing, false);
    if let (Place::New(_), Some(number)) = (place, ticket) {
        room.live.meters().waits().shown(number, standing.wait, now);
    }
    let to_program = || {
        let position = standing.position.filter(|_| snapshot.asked.elapsed() < FRESH);
        QueuePosition { position, ..standing }
    };
    let mut response = match cx.wants() {
        Wants::Json if cx.intent.asks() => answer(status, JSON, snapshot.answers.json(&to_program())),
        Wants::Json => answer(status, JSON, snapshot.answers.json_elsewhere(&to_program(), waiting_page(cx, room))),
        Wants::Page if cx.intent.asks() => {
            let told = cx.language_and_coding(room.language);
            let shown = room.page(&snapshot, cx.started);
            page(status, shown.fill(&snapshot.answers, &standing, told, cx.ended), told.1, shown.csp())
        }
        // A person has sent it, and no page may hold it.
        Wants::Page if cx.intent == Intent::Form => untold(cx, status, Notice::Ended { retry: SOON }),
        // No person sees the answer to a fetched resource.
        _ => answer(StatusCode::TOO_MANY_REQUESTS, TEXT, snapshot.answers.text(&to_program())),
    };
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from(standing.poll_after));
    if tell {
        let fresh = if token.kind == Kind::Ticket { Token::ticket(token.number, now) } else { token };
        headers.extend(cx.keep(room, &fresh));
    }
    program::told(cx, program::WAITING, response)
}

/// Asks a newcomer to come back with the arrival of this answer, which then takes the place. The page does so at once, by
/// itself; without a script or with an operator's page a browser follows `Refresh`.
pub(crate) fn confirm(cx: &mut RequestContext<'_>, room: &Arc<SiteRoom>) -> Response<Body> {
    cx.verdict = RequestVerdict::Confirm;
    cx.hold_form(QueuePosition::ARRIVING, true);
    let snapshot = room.live.snapshot();
    let mut response = match cx.wants() {
        Wants::Json => answer(queueing(cx, room), JSON, snapshot.answers.arriving_json()),
        Wants::Page => {
            let told = cx.language_and_coding(room.language);
            let shown = room.page(&snapshot, cx.started);
            let arriving = shown.arriving(&snapshot.answers, told);
            let mut response = page(queueing(cx, room), arriving, told.1, shown.csp());
            response.headers_mut().insert(header::REFRESH, HeaderValue::from(QueuePosition::ARRIVING.poll_after));
            response
        }
        Wants::Text => answer(StatusCode::TOO_MANY_REQUESTS, TEXT, QueuePosition::arriving_text()),
    };
    response.headers_mut().extend(cx.keep(room, &cx.new_arrival(room)));
    let response = retry(response, QueuePosition::ARRIVING.poll_after);
    program::told(cx, program::WAITING, response)
}

/// The status code for waiting shoppers. It tells apps, form posts and fetches that the shop has not answered.
fn queueing(cx: &RequestContext<'_>, room: &SiteRoom) -> StatusCode {
    if cx.by_header || !cx.intent.asks() {
        return StatusCode::TOO_MANY_REQUESTS;
    }
    StatusCode::from_u16(room.config.queueing_status_code).unwrap_or(StatusCode::OK)
}

/// The status document of a room.
pub(crate) fn status(room: &SiteRoom) -> Response<Body> {
    for_a_second(room.live.snapshot().answers.status())
}

/// What operators tell those who wait, by the settings that the status document was made of, or newer ones.
pub(crate) fn message(room: &SiteRoom) -> Response<Body> {
    for_a_second(ui::Message::document(room.live.settings().message.as_deref()))
}

/// JSON that is the same for all, for any script.
fn for_a_second(document: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(document));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::CACHE_CONTROL, A_SECOND);
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// The logo of a room: its address changes with it. An SVG opened by itself runs no script.
pub(crate) fn logo(room: &SiteRoom) -> Response<Body> {
    let Some(logo) = room.own_page().logo() else { return not_found() };
    let mut response = answer(StatusCode::OK, HeaderValue::from_static(logo.kind), logo.bytes.clone());
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=604800"));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

/// The script for pages of the shop: the same for all rooms, and of this version.
pub(crate) fn pass_script(coding: Coding) -> Response<Body> {
    let mut response = answer(StatusCode::OK, SCRIPT, ui::pass_script(coding));
    response.headers_mut().insert(header::CACHE_CONTROL, AN_HOUR);
    coded(response, coding)
}

/// The second script of the waiting page, in a language. Its address changes with it; at a gateway of another version it is not stored.
pub(crate) fn queue_script(file: &str, version: Option<&str>, coding: Coding) -> Response<Body> {
    let Some((script, is_current)) = ui::queue_script(file, version, coding) else { return not_found() };
    let mut response = answer(StatusCode::OK, SCRIPT, script);
    if is_current {
        response.headers_mut().insert(header::CACHE_CONTROL, FOR_EVER);
    }
    coded(response, coding)
}

/// What a shopper would ask a help desk, answered from the line as it is.
pub(crate) fn answers(cx: &RequestContext<'_>, room: &SiteRoom, opened: Option<Question>) -> Response<Body> {
    let snapshot = room.live.snapshot();
    let ticket = cx.token().filter(|token| token.kind == Kind::Ticket).map(|token| token.number);
    let standing = snapshot.answers.standing(ticket, 1.0);
    let (language, coding) = cx.language_and_coding(room.language);
    let own = room.own_page();
    if cx.wants() == Wants::Json {
        return answer(StatusCode::OK, JSON, own.answers_json(&snapshot.answers, &standing, language));
    }
    let place = (&snapshot.answers, &standing);
    let filled = own.answers(opened, place, waiting_page(cx, room), (language, coding));
    page(StatusCode::OK, filled, coding, own.own_csp())
}

/// The end of the shopper's pass, for that script; `None`: there is none. A newer text of the pass goes along.
pub(crate) fn pass(cx: &RequestContext<'_>, room: &SiteRoom, pass: Option<Token>) -> Response<Body> {
    let snapshot = room.live.snapshot();
    let now = snapshot.store_time(Instant::now());
    let (language, _) = cx.language_and_coding(room.language);
    let told = pass.map(|pass| (pass, room.in_force(&snapshot, cx.started).may_renew(&pass)));
    let mut response = answer(StatusCode::OK, JSON, ui::pass_status(told, now, language));
    if let Some(pass) = pass.filter(|pass| cx.token() != Some(*pass)) {
        let sealed = cx.site.sealer.seal(room.live.id, &pass);
        let cookie = room.cookie.keep(&sealed, &pass, cx.tls).map(|cookie| (header::SET_COOKIE, cookie));
        response.headers_mut().extend(cookie);
    }
    response
}

/// The room is suspended.
pub(crate) fn suspended(cx: &mut RequestContext<'_>) -> Response<Body> {
    cx.verdict = RequestVerdict::Suspended;
    let settings = cx.room.map(|room| room.live.settings());
    let message = settings.as_ref().and_then(|settings| settings.message.as_deref());
    let is_last_call = |room: &SiteRoom| room.config.last_call && !room.config.suspended && !room.config.stopped;
    let why = if cx.room.is_some_and(|room| is_last_call(room)) {
        Notice::LastCall { retry: LATER, message }
    } else {
        Notice::Suspended { retry: LATER, message }
    };
    notice(cx, StatusCode::SERVICE_UNAVAILABLE, why)
}

/// The room is full, or lets nobody in at this time, and keeps no line.
pub(crate) fn full(cx: &mut RequestContext<'_>, room: &SiteRoom) -> Response<Body> {
    cx.verdict = RequestVerdict::Full;
    let snapshot = room.live.snapshot();
    let why = match snapshot.answers.announcement() {
        _ if room.in_force(&snapshot, cx.started).rules.open => Notice::Full,
        Announcement::Starts(_) => Notice::NotOpen { retry: LATER, starts: snapshot.answers.starts() },
        Announcement::Ended => Notice::EventOver,
        Announcement::None => Notice::Suspended { retry: LATER, message: None },
    };
    retry(notice(cx, StatusCode::SERVICE_UNAVAILABLE, why), LATER)
}

/// Such a request takes no place, and came without a pass. Its body is not read.
pub(crate) fn needs_pass(cx: &mut RequestContext<'_>) -> Response<Body> {
    if cx.wants() == Wants::Page {
        cx.answer_in_text();
    }
    without_pass(cx, Notice::NeedsPass { retry: SOON })
}

/// A form whose pass has ended, and that no page can hold: of another site, or of a program. Its body is not read.
pub(crate) fn ended(cx: &mut RequestContext<'_>) -> Response<Body> {
    without_pass(cx, Notice::Ended { retry: SOON })
}

/// Also tells a program the state of its pass, if it showed one, and where to enter the line.
fn without_pass(cx: &mut RequestContext<'_>, why: Notice<'_>) -> Response<Body> {
    cx.verdict = RequestVerdict::NeedsPass;
    let status = StatusCode::TOO_MANY_REQUESTS;
    // The names in `telemetry::reason` for tokens that did not count.
    let ended = matches!(cx.reason, "expired" | "revoked" | "evicted" | "requeued" | "old_line");
    let word = if ended { program::EXPIRED } else { why.status() };
    let response = if let (Wants::Json, Some(room)) = (cx.wants(), cx.room) {
        let page = waiting_page(cx, room);
        retry(answer(status, JSON, why.json_for(word, &room.live.name, page)), SOON)
    } else {
        notice(cx, status, why)
    };
    program::told(cx, word, response)
}

/// The path where the line can be entered, on the requested host.
fn waiting_page<'a>(cx: &RequestContext<'_>, room: &'a SiteRoom) -> &'a str {
    room.page_at(cx.host.as_ref().map_or("", |host| &host.bare))
}

/// Over a quota.
pub(crate) fn too_fast(cx: &mut RequestContext<'_>, wait: Duration) -> Response<Body> {
    cx.verdict = RequestVerdict::TooFast;
    let retry = wait.as_secs() + 1;
    notice(cx, StatusCode::TOO_MANY_REQUESTS, Notice::TooMany { retry })
}

/// More preflights than the room lets pass. A browser reads only the status.
pub(crate) fn preflights_over(cx: &mut RequestContext<'_>, wait: Duration) -> Response<Body> {
    cx.verdict = RequestVerdict::PreflightsOver;
    let notice = Notice::TooMany { retry: wait.as_secs() + 1 };
    let response = text(StatusCode::TOO_MANY_REQUESTS, "Too many preflights at once.\n");
    program::told(cx, notice.status(), retry(response, wait.as_secs() + 1))
}

/// The shopper left; the cookie goes.
pub(crate) fn left(cx: &mut RequestContext<'_>, room: &SiteRoom) -> Response<Body> {
    let mut response = notice(cx, StatusCode::OK, Notice::Left);
    response.headers_mut().extend(cx.end_token(room));
    response
}

/// A place that an operator gave waits to be taken.
pub(crate) fn place_offered(cx: &RequestContext<'_>) -> Response<Body> {
    without_referrer(notice(cx, StatusCode::OK, Notice::PlaceOffered))
}

/// The place is taken by this ticket, and the room is the next page; `None`: who is inside keeps the pass.
pub(crate) fn place_taken(cx: &mut RequestContext<'_>, room: &SiteRoom, ticket: Option<Token>) -> Response<Body> {
    let page = waiting_page(cx, room);
    let mut response = match cx.wants() {
        Wants::Page => text(StatusCode::SEE_OTHER, "The place is taken.\n"),
        _ => answer(
            StatusCode::OK,
            JSON,
            Notice::PlaceTaken.json_for(Notice::PlaceTaken.status(), &room.live.name, page),
        ),
    };
    let to = HeaderValue::try_from(page).ok().filter(|_| cx.wants() == Wants::Page);
    response.headers_mut().extend(to.map(|to| (header::LOCATION, to)));
    response.headers_mut().extend(ticket.and_then(|ticket| cx.keep(room, &ticket)));
    without_referrer(response)
}

/// A code that gives no place.
pub(crate) fn no_place(cx: &RequestContext<'_>, why: BadCode) -> Response<Body> {
    let status = match why {
        BadCode::Unknown => StatusCode::NOT_FOUND,
        BadCode::Over => StatusCode::GONE,
    };
    without_referrer(notice(cx, status, Notice::NoPlace))
}

/// The address of the page has the code, and no other page is told of it. Not `no-referrer`: a form would have no origin.
fn without_referrer(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    response
}

/// The upstream gave no answer.
pub(crate) fn upstream_failed(cx: &mut RequestContext<'_>, error: &UpstreamError) -> Response<Body> {
    let status = unanswered(cx, error);
    let request = cx.request_id.to_str().unwrap_or_default();
    match error {
        UpstreamError::Busy { retry_after }
        | UpstreamError::RoomBusy { retry_after }
        | UpstreamError::RouteBusy { retry_after } => {
            retry(notice(cx, status, Notice::Busy), retry_after.as_secs().max(1))
        }
        _ => notice(cx, status, Notice::Failed { status: status.as_u16(), request }),
    }
}

/// The form may have reached the shop, which gave no answer: whoever sent it has to look. Never 408, which invites to send it
/// again.
pub(crate) fn in_doubt(cx: &mut RequestContext<'_>, error: &UpstreamError) -> Response<Body> {
    let status = Some(unanswered(cx, error)).filter(StatusCode::is_server_error).unwrap_or(StatusCode::BAD_GATEWAY);
    let request = cx.request_id.to_str().unwrap_or_default();
    notice(cx, status, Notice::InDoubt { status: status.as_u16(), request })
}

/// A request that has not reached the shop, and can be sent again.
#[derive(Debug)]
pub(crate) struct Standby<'a> {
    /// What a page can hold of the form, if it is one.
    pub form: Option<(HeldForm, Charge)>,
    /// Places of earlier passes at the gate; `None`: it has passed the gate, and found no way to the shop.
    pub ahead: Option<usize>,
    /// When to send it again, or to ask for its turn.
    pub retry_after: Duration,
    /// Its path.
    pub path: &'a str,
}

/// Its place at the gate is kept: as a page that waits there, and sends the form again, or for programs. 429 as for the line,
/// and not 503: the shop is well, and balancers, monitors and clients treat a 503 as an outage.
pub(crate) fn held(cx: &mut RequestContext<'_>, error: &UpstreamError, standby: Standby<'_>) -> Response<Body> {
    let Some(room) = cx.room else { return upstream_failed(cx, error) };
    let status = unanswered(cx, error);
    let Standby { form, ahead, retry_after, path } = standby;
    let seconds = retry_after.as_secs().max(1);
    let seen = matches!(cx.intent, Intent::Page | Intent::Submit | Intent::Form);
    let response = match cx.wants() {
        Wants::Page if seen => {
            let told = cx.language_and_coding(room.language);
            let (form, charge) = form.unzip();
            let filled = room.own_page().at_gate(form.as_ref(), ahead, seconds, told);
            let body = match charge {
                Some(charge) => Body::counted(Some(filled.into()), charge),
                None => Body::from(filled),
            };
            page(status, body, told.1, room.own_page().own_csp())
        }
        Wants::Json => answer(status, JSON, ui::held_json(&room.live.name, path, ahead.unwrap_or_default(), seconds)),
        _ => answer(status, TEXT, ui::held_text(ahead.unwrap_or_default(), seconds)),
    };
    let word = match error {
        UpstreamError::Held { .. } => program::HELD,
        _ if status == StatusCode::SERVICE_UNAVAILABLE => Notice::Busy.status(),
        _ => program::FAILED,
    };
    program::told(cx, word, retry(response, seconds))
}

/// Whether the turn at a gate has come. A newer text of the pass goes along.
pub(crate) fn turn(cx: &RequestContext<'_>, room: &SiteRoom, turn: Turn, renewed: Option<Token>) -> Response<Body> {
    let mut response = answer(StatusCode::OK, JSON, ui::turn_json(turn.go, turn.ahead, turn.poll_after.as_secs()));
    response.headers_mut().extend(renewed.and_then(|pass| cx.keep(room, &pass)));
    response
}

/// Notes why there is no answer of the shop, and gives the status for it.
fn unanswered(cx: &mut RequestContext<'_>, error: &UpstreamError) -> StatusCode {
    let (disposition, reason) = cx.meters().unanswered(error);
    (cx.unanswered, cx.reason) = (Some(disposition), reason);
    match error {
        UpstreamError::Held { .. } => StatusCode::TOO_MANY_REQUESTS,
        UpstreamError::Busy { .. }
        | UpstreamError::RoomBusy { .. }
        | UpstreamError::RouteBusy { .. }
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
        UpstreamError::Timeout | UpstreamError::Late => StatusCode::GATEWAY_TIMEOUT,
        UpstreamError::ClientGone(_) => StatusCode::BAD_REQUEST,
        UpstreamError::ClientSlow => StatusCode::REQUEST_TIMEOUT,
    }
}

/// The same address over TLS, on its usual port. 308 keeps method and body.
pub(crate) fn to_https(cx: &mut RequestContext<'_>, host: &str, uri: &Uri) -> Response<Body> {
    cx.verdict = RequestVerdict::Redirect;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let Ok(location) = HeaderValue::try_from(format!("https://{host}{target}")) else {
        return bad_request(cx, "This address cannot be written.\n");
    };
    let mut response = text(StatusCode::PERMANENT_REDIRECT, "Come over TLS.\n");
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// No upstream serves this host and path.
pub(crate) fn no_route(cx: &mut RequestContext<'_>) -> Response<Body> {
    cx.verdict = RequestVerdict::NoRoute;
    text(StatusCode::NOT_FOUND, "No upstream serves this host and path.\n")
}

/// The request is ambiguous; `why` says how.
pub(crate) fn bad_request(cx: &mut RequestContext<'_>, why: &'static str) -> Response<Body> {
    cx.verdict = RequestVerdict::BadRequest;
    text(StatusCode::BAD_REQUEST, why)
}

/// Too many headers.
pub(crate) fn too_many_headers(cx: &mut RequestContext<'_>) -> Response<Body> {
    cx.verdict = RequestVerdict::BadRequest;
    text(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Too many headers.\n")
}

/// The end of the body is ambiguous. The bytes after it on the connection could be anything.
pub(crate) fn unframed(cx: &mut RequestContext<'_>, http2: bool) -> Response<Body> {
    let mut response = bad_request(cx, "The length of the body is not clear.\n");
    if !http2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether this gateway takes part in the line: the health check of a balancer.
pub(crate) fn health(ready: bool) -> Response<Body> {
    if ready { text(StatusCode::OK, "ok\n") } else { text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}

/// No endpoint under `/.weir/` has this name.
pub(crate) fn not_found() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "No such page.\n")
}

/// A state-changing call from another site.
pub(crate) fn cross_site() -> Response<Body> {
    text(StatusCode::FORBIDDEN, "Only the shop's own pages may ask for this.\n")
}

/// The endpoint exists, for another method.
pub(crate) fn wrong_method(allow: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Another method is needed; see Allow.\n");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// A notice in the requested form, with its word.
fn notice(cx: &RequestContext<'_>, status: StatusCode, notice: Notice<'_>) -> Response<Body> {
    let response = program::told(cx, notice.status(), untold(cx, status, notice));
    match notice.retry() {
        Some(seconds) => retry(response, seconds),
        None => response,
    }
}

/// The same without a word for the outcome.
fn untold(cx: &RequestContext<'_>, status: StatusCode, notice: Notice<'_>) -> Response<Body> {
    let pages = cx.room.and_then(|room| room.own_page().notices()).unwrap_or(&cx.site.notices);
    match cx.wants() {
        Wants::Page => {
            let set = cx.room.map_or(Some(Language::English), |room| room.language);
            let (language, coding) = cx.language_and_coding(set);
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

/// Sets the coding of the body.
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
