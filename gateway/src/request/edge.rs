//! The request path, on one screen.
//!
//! ```text
//! read the head -> room for this host and path? -> who is asking -> quota of a place -> policy::admit
//!   Enter   a valid pass: forward; past half-life it is extended on the way      no store call in the way
//!   Claim   a called ticket: trade it for a pass, then forward                   one batched store call
//!   Join    a newcomer: take a number; if it is already called, claim it         one batched store call
//!   Visit   only looks at a calm room: forward, without a number                 one batched store call
//!   Confirm a program, or the address is over its quota: come back with this arrival           no store call
//!   Arrive  an arrival that came back: as Join                                   one batched store call
//!   Late    a form whose pass has just ended: forward, at most three times       one batched store call
//!   Wait    a ticket not yet called: page or JSON, from memory                   no store call
//!   Return  back from a payment without a pass: at a rate, in a few permits      no store call
//!   Preflight  a CORS preflight, which has no pass: bare, at a rate              no store call
//!   Refuse  suspended, full, not a page, too fast                                no store call
//! ```
//!
//! Out of scope: decisions (`policy`), the text of answers ([`crate::request::reply`]), connections.

use std::convert::Infallible;
use std::ops::ControlFlow::{self, Break, Continue};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{Method, Request, Response, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use policy::Millis;
use policy::admit::{AdmitContext, Decision, Ignored, Intent, PassState, Refusal, Verdict, admit, enter};
use policy::line::Arrival;
use policy::room::{FailMode, Join, QueueingMethod};
use policy::scope::NormalPath;
use policy::ticket::{Kind, Token};

use crate::client::body::{Body, drain_body};
use crate::client::connection::InFlight;
use crate::client::visitor::{BadHost, Head};
use crate::in_force::site::SiteRoom;
use crate::line::rooms::{Admission, Snapshot};
use crate::request::endpoints;
use crate::request::form;
use crate::request::forward::{self, ForwardTarget, PassContext};
use crate::request::reply::{self, Place};
use crate::request::request_context::RequestContext;
use crate::request::worker::Worker;
use crate::telemetry::{self, JoinRefusal, RequestVerdict};

/// Where a request goes on, or its answer here.
type Decided<T> = ControlFlow<Box<Response<Body>>, T>;

/// Answers one request.
pub(crate) async fn handle(
    in_flight: InFlight,
    worker: Rc<Worker>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    in_flight.take_turn().await;
    let site = worker.shared.site.load_full();
    let http2 = request.version() == Version::HTTP_2;
    let (parts, body) = request.into_parts();
    let mut head = Head::of(&parts);
    head.has_body = !body.is_end_stream();
    let mut cx = RequestContext::begin(&worker, &site, in_flight, &head);
    let mut response = match route(&mut cx, &head).await {
        Continue(target) => forward::forward(&mut cx, target, parts, body).await,
        Break(answer) => {
            let mut answer = *answer;
            let rest = match cx.unsent.take() {
                // On the heap: requests that go through should not carry its state.
                Some(unsent) => Box::pin(form::give_back(&mut answer, &cx, unsent, &parts.headers, body)).await,
                None => Some(body),
            };
            if let Some(body) = rest.filter(|_| http2) {
                drain_body(body);
            }
            answer
        }
    };
    cx.end(&mut response);
    Ok(response)
}

/// The forward target of the request, or the answer that it gets here.
async fn route<'a>(cx: &mut RequestContext<'a>, head: &Head<'_>) -> Decided<ForwardTarget<'a>> {
    let (site, parts) = (cx.site, head.parts);
    if parts.headers.len() > site.config.listen.max_headers {
        // hyper counts those of HTTP/1; in HPACK one costs a byte to send and a hundred to keep.
        return answered(reply::too_many_headers(cx));
    }
    if !head.is_framed() {
        return answered(reply::unframed(cx, parts.version == Version::HTTP_2));
    }
    let host = match cx.read_host(head) {
        Ok(host) => host,
        Err(BadHost::Missing) if parts.version == Version::HTTP_10 => return answered(endpoints::checked(cx, head)),
        Err(_) => return answered(reply::bad_request(cx, "Exactly one Host is needed.\n")),
    };
    if let Some(path) = parts.uri.path().strip_prefix(endpoints::PREFIX) {
        return answered(endpoints::answer(cx, path, head).await);
    }
    let path = NormalPath::of(parts.uri.path());
    if site.rooms.is_ambiguous(&host.bare, &path) || parts.method == Method::CONNECT {
        return answered(reply::bad_request(cx, "This path can be read as several.\n"));
    }
    if !path.is_plain() && !is_rooted(parts) {
        return answered(reply::bad_request(cx, "A path begins with \"/\".\n"));
    }
    if site.config.listen.redirect_to_https && !cx.tls {
        return answered(reply::to_https(cx, &host.bare, &parts.uri));
    }
    let room = site.rooms.find(&host.bare, &path);
    let route = site.routes.find(&host.bare, &path);
    let held_back = room.filter(|room| !room.bypasses(parts.uri.path()));
    let pass_context = if let Some(room) = held_back {
        cx.look_at(room, head);
        if let Err(wait) = cx.charge() {
            return answered(reply::too_fast(cx, wait));
        }
        at_the_door(cx, room, head).await?
    } else {
        // Under the permits of the upstream, not under a quota: hundreds may share an address.
        cx.room = room;
        cx.verdict = if room.is_some() { RequestVerdict::Bypass } else { RequestVerdict::NoRoom };
        PassContext::anonymous()
    };
    Continue(ForwardTarget { route, host, pass_context })
}

/// HTTP/2 may carry `http://elsewhere/x` as a path, and a server would believe it. `OPTIONS *` is about all paths; no other
/// method has it.
fn is_rooted(parts: &Parts) -> bool {
    parts.uri.path().starts_with('/') || parts.uri.path() == "*" && parts.method == Method::OPTIONS
}

fn answered<T>(answer: Response<Body>) -> Decided<T> {
    Break(Box::new(answer))
}

/// Lets the shopper on, or answers why not.
async fn at_the_door<'a>(
    cx: &mut RequestContext<'a>,
    room: &'a Arc<SiteRoom>,
    head: &Head<'_>,
) -> Decided<PassContext> {
    let (verdict, ignored) = {
        let snapshot = room.live.snapshot();
        report_evidence(cx, room, &snapshot);
        let shows_pass = cx.token().is_some_and(|token| token.kind == Kind::Pass);
        let with_pass = if shows_pass { enter(context(cx, room, &snapshot, None), cx.credential) } else { None };
        if let Some(verdict) = with_pass {
            (verdict, None)
        } else {
            // The kind of a request matters only without a pass, and is the longest thing to read.
            cx.holds_pass(false);
            cx.read_intent(room, head);
            decide(cx, room, &snapshot, None)
        }
    };
    if let Some(ignored) = ignored {
        room.live.meters().ignored(ignored);
        cx.reason = telemetry::reason(ignored);
        if let (Ignored::Requeued, Some(pass)) = (ignored, cx.token()) {
            // Its seat is free for those who wait. A full mailbox drops it: the next request says it again.
            room.live.release(&pass);
        }
        cx.ended = matches!(ignored, Ignored::Expired | Ignored::Requeued)
            && cx.token().is_some_and(|token| token.kind == Kind::Pass);
    }
    let answer = match verdict {
        Verdict::Enter { pass, renew } => {
            cx.verdict = RequestVerdict::Enter;
            if renew {
                room.live.renew(&pass, room.live.snapshot().store_time(cx.started));
            }
            let confirmed = pass.is_new() && room.live.confirm(&pass);
            return Continue(PassContext::holder(pass, renew, confirmed));
        }
        Verdict::Claim(ticket) => return claim(cx, room, ticket).await,
        Verdict::Preflight => return preflight(cx, room, head),
        Verdict::Return => return come_back(cx),
        Verdict::Wait(ticket) => {
            room.live.adopt(&ticket);
            reply::wait(cx, room, Place::Held(ticket))
        }
        verdict => {
            let pass_context = without_a_place(cx, room, verdict).await;
            if pass_context.is_break() {
                // A forwarded request has its headers read on the way.
                cx.note_peer_of_newcomer(&head.parts.headers);
            }
            return pass_context;
        }
    };
    answered(answer)
}

/// A caller without a token that counts.
async fn without_a_place<'a>(
    cx: &mut RequestContext<'a>,
    room: &'a Arc<SiteRoom>,
    verdict: Verdict,
) -> Decided<PassContext> {
    let verdict = match verdict {
        // A form that comes too often after its pass is one that comes too late.
        Verdict::Late(pass) if !room.live.take_late_form(&pass) => {
            decide(cx, room, &room.live.snapshot(), Some(PassState::Overdrawn)).0
        }
        verdict => verdict,
    };
    let answer = match verdict {
        Verdict::Open => {
            cx.verdict = RequestVerdict::Open;
            return Continue(open(room));
        }
        Verdict::Visit => return visit(cx, room).await,
        Verdict::Join => return join(cx, room, false).await,
        Verdict::JoinIfCalled => return join(cx, room, true).await,
        Verdict::Late(pass) => {
            cx.verdict = RequestVerdict::Late;
            return Continue(PassContext::holder(pass, false, false));
        }
        Verdict::JoinLater => match cx.charge_join() {
            Ok(()) => later(cx, room),
            Err(_) => reply::confirm(cx, room),
        },
        Verdict::Confirm => reply::confirm(cx, room),
        Verdict::Arrive(arrival) => return arrive(cx, room, arrival).await,
        Verdict::Return => return come_back(cx),
        Verdict::Refuse(Refusal::Suspended) => {
            if cx.intent.asks() {
                room.live.meters().join_refused(JoinRefusal::Suspended);
            }
            reply::suspended(cx)
        }
        Verdict::Refuse(Refusal::Full) => full(cx, room),
        Verdict::Refuse(Refusal::Ended) => reply::ended(cx),
        Verdict::Refuse(Refusal::NeedsPass)
        | Verdict::Enter { .. }
        | Verdict::Claim(_)
        | Verdict::Wait(_)
        | Verdict::Preflight => reply::needs_pass(cx),
    };
    answered(answer)
}

/// Decides, with the state of the pass if the line was asked for it.
fn decide(cx: &RequestContext<'_>, room: &SiteRoom, snapshot: &Snapshot, said: Option<PassState>) -> Decision {
    admit(context(cx, room, snapshot, said), cx.credential, cx.intent)
}

/// Reports a token that the copy of the line lacks: the store may have lost the fact that it proves.
fn report_evidence(cx: &RequestContext<'_>, room: &SiteRoom, snapshot: &Snapshot) {
    if let (Some(token), Some(view)) = (cx.token(), &snapshot.view)
        && view.lacks(&token)
        && snapshot.store_time(cx.started) < token.expires
        && room.live.pass_state(&token) == PassState::Lives
    {
        room.live.report_evidence(&token);
    }
}

/// The state of the line and of the token.
fn context<'s>(
    cx: &RequestContext<'_>,
    room: &'s SiteRoom,
    snapshot: &'s Snapshot,
    said: Option<PassState>,
) -> AdmitContext<'s> {
    AdmitContext {
        room: room.in_force(snapshot, cx.started),
        line: snapshot.view.as_ref(),
        store_away: snapshot.away,
        on_lease: snapshot.on_lease,
        shop_rests: snapshot.shop_rests,
        now: snapshot.store_time(cx.started),
        pass: said.unwrap_or_else(|| cx.token().map_or(PassState::Lives, |pass| room.live.pass_state(&pass))),
    }
}

fn open(room: &SiteRoom) -> PassContext {
    let snapshot = room.live.snapshot();
    if snapshot.away && room.in_force(&snapshot, Instant::now()).fail_mode == FailMode::Open {
        room.live.meters().failed_open();
    }
    PassContext::anonymous()
}

/// Forwards a preflight, bare and at a bounded rate.
fn preflight(cx: &mut RequestContext<'_>, room: &SiteRoom, head: &Head<'_>) -> Decided<PassContext> {
    if head.has_body {
        return answered(reply::bad_request(cx, "A preflight has no body.\n"));
    }
    if let Err(wait) = room.charge_preflight(cx.client, cx.started) {
        return answered(reply::preflights_over(cx, wait));
    }
    cx.verdict = RequestVerdict::Preflight;
    Continue(PassContext::preflight())
}

/// Forwards a return from a payment without a pass, rate-limited per address.
fn come_back(cx: &mut RequestContext<'_>) -> Decided<PassContext> {
    if let Err(wait) = cx.charge_return() {
        return answered(reply::too_fast(cx, wait));
    }
    cx.verdict = RequestVerdict::Return;
    Continue(PassContext::returning())
}

/// Forwards a visit, if the line has a token for it; else acts as if people waited.
async fn visit<'a>(cx: &mut RequestContext<'a>, room: &'a Arc<SiteRoom>) -> Decided<PassContext> {
    let program = cx.intent == Intent::Program;
    if cx.charge_join().is_ok() && room.live.visit().await == Admission::Visit {
        cx.verdict = RequestVerdict::Visit;
        return Continue(PassContext::visit(program));
    }
    answered(if program { reply::confirm(cx, room) } else { reply::needs_pass(cx) })
}

/// Trades a called ticket for a pass; a used-up one counts as none.
async fn claim<'a>(cx: &mut RequestContext<'a>, room: &'a Arc<SiteRoom>, ticket: Token) -> Decided<PassContext> {
    let shows_pass = cx.token().is_some_and(|token| token.kind == Kind::Pass);
    let admission =
        if shows_pass { room.live.claim_again(ticket.number).await } else { room.live.claim(ticket.number).await };
    match admission {
        Admission::Pass { .. } => {
            cx.verdict = RequestVerdict::Claim;
            if !shows_pass {
                room.live.meters().waits().entered(&ticket, room.live.snapshot().store_time(Instant::now()));
            }
            entered(cx, room, admission)
        }
        Admission::Spent => {
            let (verdict, _) = decide(cx, room, &room.live.snapshot(), Some(PassState::Spent));
            without_a_place(cx, room, verdict).await
        }
        _ if cx.intent == Intent::Return => come_back(cx),
        Admission::Ticket(_) | Admission::InRound { .. } | Admission::Full | Admission::Away | Admission::Visit => {
            answered(reply::wait(cx, room, Place::Held(ticket)))
        }
    }
}

/// A used-up place counts as none.
async fn anew<'a>(cx: &mut RequestContext<'a>, room: &'a Arc<SiteRoom>) -> Decided<PassContext> {
    let (how, method) = {
        let snapshot = room.live.snapshot();
        let room = room.in_force(&snapshot, cx.started);
        (room.join, room.queueing_method)
    };
    match how {
        Join::Direct if cx.intent != Intent::Program => join(cx, room, method == QueueingMethod::Reject).await,
        _ => answered(reply::confirm(cx, room)),
    }
}

/// Trades an arrival for its number, under the quota of places that one address may confirm.
async fn arrive<'a>(cx: &mut RequestContext<'a>, room: &'a Arc<SiteRoom>, arrival: Arrival) -> Decided<PassContext> {
    if let Err(wait) = cx.charge_confirmed_join() {
        room.live.meters().join_refused(JoinRefusal::Quota);
        return answered(reply::too_fast(cx, wait));
    }
    cx.verdict = RequestVerdict::Join;
    match room.live.arrive(arrival).await {
        Admission::Spent => anew(cx, room).await,
        admission => entered(cx, room, admission),
    }
}

/// Takes a number. Over the quota of places that one address may take at once, a newcomer is asked to confirm.
async fn join<'a>(cx: &mut RequestContext<'a>, room: &'a Arc<SiteRoom>, if_called: bool) -> Decided<PassContext> {
    if cx.charge_join().is_err() {
        return over_quota(cx, room);
    }
    cx.verdict = RequestVerdict::Join;
    let admission = room.live.join(if_called).await;
    entered(cx, room, admission)
}

/// Every shopper enters a room that only counts: there the quota bounds the count.
fn over_quota<'a>(cx: &mut RequestContext<'a>, room: &'a Arc<SiteRoom>) -> Decided<PassContext> {
    if room.in_force(&room.live.snapshot(), cx.started).queueing_method == QueueingMethod::Passthrough {
        cx.verdict = RequestVerdict::Open;
        return Continue(open(room));
    }
    answered(reply::confirm(cx, room))
}

/// A newcomer to a room that is full and keeps no line.
fn full(cx: &mut RequestContext<'_>, room: &SiteRoom) -> Response<Body> {
    room.live.meters().join_refused(JoinRefusal::Full);
    reply::full(cx, room)
}

/// Acts on the result of a claim or a join.
fn entered<'a>(cx: &mut RequestContext<'a>, room: &'a Arc<SiteRoom>, admission: Admission) -> Decided<PassContext> {
    let snapshot = room.live.snapshot();
    let now = snapshot.store_time(cx.started);
    // Where seats are counted, a pass that never comes back is the first to lose its seat.
    let counted = room.in_force(&snapshot, cx.started).rules.total_active_users.is_some();
    drop(snapshot);
    let answer = match admission {
        Admission::Pass { number, expires, admitted } => {
            let pass = if counted { Token::new_pass } else { Token::pass };
            let admitted = shown_admission(cx, room, number).map_or(admitted, |shown| shown.min(admitted)).min(now);
            return Continue(PassContext::admitted(Token { admitted, ..pass(number, now, expires) }));
        }
        Admission::Ticket(number) => reply::wait(cx, room, Place::New(Token::ticket(number, now))),
        Admission::InRound { round, sequence } => {
            reply::wait(cx, room, Place::New(Token::provisional(round, sequence, now)))
        }
        Admission::Full | Admission::Spent | Admission::Visit => full(cx, room),
        Admission::Away => later(cx, room),
    };
    answered(answer)
}

/// When the pass of this number was given, according to its token. The line remembers that only for passes
/// renewed under a `max_session`.
fn shown_admission(cx: &RequestContext<'_>, room: &SiteRoom, number: u64) -> Option<Millis> {
    let lives = |pass: &Token| {
        pass.kind == Kind::Pass && pass.number == number && room.live.pass_state(pass) == PassState::Lives
    };
    cx.token().filter(lives).map(|pass| pass.admitted)
}

/// The store is away: the place is kept in the order of arrival.
fn later(cx: &mut RequestContext<'_>, room: &Arc<SiteRoom>) -> Response<Body> {
    let now = room.live.snapshot().store_time(cx.started);
    let incarnation = cx.worker.shared.rooms.incarnation;
    reply::wait(cx, room, Place::New(Token::provisional(incarnation, room.live.provisional(), now)))
}
