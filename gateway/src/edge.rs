//! The request path, on one screen.
//!
//! ```text
//! read the head -> room for this host and path? -> who is asking -> quota of a place -> policy::admit
//!   Enter   a valid pass: forward; past half-life it is extended on the way      no store call in the way
//!   Claim   a called ticket: trade it for a pass, then forward                   one batched store call
//!   Join    nobody we know: take a number; if it is already called, claim it     one batched store call
//!   Visit   only looks at a calm room: forward, without a number                 one batched store call
//!   Confirm a program, or the address is over its quota: come back with this arrival           no store call
//!   Arrive  an arrival that came back: as Join                                   one batched store call
//!   Late    a form whose pass has just ended: forward, at most three times       one batched store call
//!   Wait    a ticket not yet called: page or JSON, from memory                   no store call
//!   Return  back from a payment without a pass: at a rate, in a few permits      no store call
//!   Preflight  a question of the browser, which has no pass: bare, at a rate      no store call
//!   Refuse  suspended, full, not a page, too fast                                no store call
//! ```
//!
//! What is absent: decisions (`policy`), the text of answers ([`crate::reply`]), connections.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{Method, Request, Response, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use policy::Millis;
use policy::admit::{Decision, Ignored, Intent, PassState, Refusal, Scene, Verdict, admit, enter};
use policy::line::Arrival;
use policy::room::{FailMode, Join, QueueingMethod};
use policy::scope::NormalPath;
use policy::ticket::{Kind, Token};

use crate::body::{Body, let_finish};
use crate::connection::UnderWay;
use crate::form;
use crate::forward::{self, Onward, Way};
use crate::own;
use crate::reply::{self, Place};
use crate::rooms::{Admission, Snapshot};
use crate::site::SiteRoom;
use crate::telemetry::{self, Mark};
use crate::visit::Visit;
use crate::visitor::{BadHost, Head};
use crate::worker::Worker;

/// Answers one request.
pub(crate) async fn handle(
    under_way: UnderWay,
    worker: Rc<Worker>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    under_way.take_turn().await;
    let site = worker.shared.site.load_full();
    let http2 = request.version() == Version::HTTP_2;
    let (parts, body) = request.into_parts();
    let mut head = Head::of(&parts);
    head.has_body = !body.is_end_stream();
    let mut visit = Visit::begin(&worker, &site, under_way, &head);
    let mut response = match route(&mut visit, &head).await {
        Ok(way) => forward::forward(&mut visit, way, parts, body).await,
        Err(answer) => {
            let mut answer = *answer;
            let rest = match visit.unsent.take() {
                // On the heap: requests that go through should not carry its state.
                Some(unsent) => Box::pin(form::give_back(&mut answer, &visit, unsent, &parts.headers, body)).await,
                None => Some(body),
            };
            if let Some(body) = rest.filter(|_| http2) {
                let_finish(body);
            }
            answer
        }
    };
    visit.end(&mut response);
    Ok(response)
}

/// Where the request goes, or the answer that it gets here.
async fn route<'a>(visit: &mut Visit<'a>, head: &Head<'_>) -> Result<Way<'a>, Box<Response<Body>>> {
    let (site, parts) = (visit.site, head.parts);
    if parts.headers.len() > site.config.listen.max_headers {
        // hyper counts those of HTTP/1; in HPACK one costs a byte to send and a hundred to keep.
        return no(reply::too_many_headers(visit));
    }
    if !head.is_framed() {
        return no(reply::unframed(visit, parts.version == Version::HTTP_2));
    }
    let host = match visit.read_host(head) {
        Ok(host) => host,
        Err(BadHost::Missing) if parts.version == Version::HTTP_10 => return no(own::checked(visit, head)),
        Err(_) => return no(reply::bad_request(visit, "Exactly one Host is needed.\n")),
    };
    if let Some(path) = parts.uri.path().strip_prefix(own::PREFIX) {
        return no(own::answer(visit, path, head).await);
    }
    let path = NormalPath::of(parts.uri.path());
    if site.rooms.is_ambiguous(&host.bare, &path) || parts.method == Method::CONNECT {
        return no(reply::bad_request(visit, "This path can be read as several.\n"));
    }
    if !path.is_plain() && !is_rooted(parts) {
        return no(reply::bad_request(visit, "A path begins with \"/\".\n"));
    }
    if site.config.listen.redirect_to_https && !visit.tls {
        return no(reply::to_https(visit, &host.bare, &parts.uri));
    }
    let room = site.rooms.find(&host.bare, &path);
    let upstream = site.routes.find(&host.bare, &path);
    let held_back = room.filter(|room| !room.bypasses(parts.uri.path()));
    let onward = if let Some(room) = held_back {
        visit.look_at(room, head);
        if let Err(wait) = visit.charge() {
            return no(reply::too_fast(visit, wait));
        }
        at_the_door(visit, room, head).await?
    } else {
        // Under the permits of the upstream, not under a quota: hundreds may share an address.
        visit.room = room;
        visit.mark = if room.is_some() { Mark::Bypass } else { Mark::NoRoom };
        Onward::anonymous()
    };
    Ok(Way { upstream, host, onward })
}

/// HTTP/2 may carry `http://elsewhere/x` as a path, and a server would believe it. `OPTIONS *` is of all paths; no other
/// method has it.
fn is_rooted(parts: &Parts) -> bool {
    parts.uri.path().starts_with('/') || parts.uri.path() == "*" && parts.method == Method::OPTIONS
}

fn no<T>(answer: Response<Body>) -> Result<T, Box<Response<Body>>> {
    Err(Box::new(answer))
}

/// Lets the shopper on, or says why not.
async fn at_the_door<'a>(
    visit: &mut Visit<'a>,
    room: &'a Arc<SiteRoom>,
    head: &Head<'_>,
) -> Result<Onward, Box<Response<Body>>> {
    let (verdict, ignored) = {
        let snapshot = room.live.snapshot();
        report_evidence(visit, room, &snapshot);
        let shows_pass = visit.token().is_some_and(|token| token.kind == Kind::Pass);
        let with_pass = if shows_pass { enter(scene(visit, room, &snapshot, None), visit.credential) } else { None };
        if let Some(verdict) = with_pass {
            (verdict, None)
        } else {
            // What kind of request it is matters only without a pass, and is the longest thing to read.
            visit.holds_pass(false);
            visit.read_intent(room, head);
            decide(visit, room, &snapshot, None)
        }
    };
    if let Some(ignored) = ignored {
        room.live.meters().ignored(ignored);
        visit.reason = telemetry::reason(ignored);
        visit.ended = ignored == Ignored::Expired && visit.token().is_some_and(|token| token.kind == Kind::Pass);
    }
    let answer = match verdict {
        Verdict::Enter { pass, renew } => {
            visit.mark = Mark::Enter;
            if renew {
                room.live.renew(&pass, room.live.snapshot().store_time(visit.started));
            }
            let confirmed = pass.is_new() && room.live.confirm(&pass);
            return Ok(Onward::holder(pass, renew, confirmed));
        }
        Verdict::Claim(ticket) => return claim(visit, room, ticket).await,
        Verdict::Preflight => return preflight(visit, room, head),
        Verdict::Return => return come_back(visit),
        Verdict::Wait(ticket) => {
            room.live.adopt(&ticket);
            reply::wait(visit, room, Place::Held(ticket))
        }
        verdict => {
            let onward = without_a_place(visit, room, verdict).await;
            if onward.is_err() {
                // Of those that go on the headers are read on the way.
                visit.note_peer_of_newcomer(&head.parts.headers);
            }
            return onward;
        }
    };
    no(answer)
}

/// Somebody who shows nothing that counts.
async fn without_a_place<'a>(
    visit: &mut Visit<'a>,
    room: &'a Arc<SiteRoom>,
    verdict: Verdict,
) -> Result<Onward, Box<Response<Body>>> {
    let verdict = match verdict {
        // A form that comes too often after its pass is one that comes too late.
        Verdict::Late(pass) if !room.live.take_late_form(&pass) => {
            decide(visit, room, &room.live.snapshot(), Some(PassState::Overdrawn)).0
        }
        verdict => verdict,
    };
    let answer = match verdict {
        Verdict::Open => {
            visit.mark = Mark::Open;
            return Ok(open(room));
        }
        Verdict::Visit => return look(visit, room).await,
        Verdict::Join => return join(visit, room, false).await,
        Verdict::JoinIfCalled => return join(visit, room, true).await,
        Verdict::Late(pass) => {
            visit.mark = Mark::Late;
            return Ok(Onward::holder(pass, false, false));
        }
        Verdict::JoinLater => match visit.charge_join() {
            Ok(()) => later(visit, room),
            Err(_) => reply::confirm(visit, room),
        },
        Verdict::Confirm => reply::confirm(visit, room),
        Verdict::Arrive(arrival) => return arrive(visit, room, arrival).await,
        Verdict::Return => return come_back(visit),
        Verdict::Refuse(Refusal::Suspended) => reply::suspended(visit),
        Verdict::Refuse(Refusal::Full) => reply::full(visit),
        Verdict::Refuse(Refusal::Ended) => reply::ended(visit),
        Verdict::Refuse(Refusal::NeedsPass)
        | Verdict::Enter { .. }
        | Verdict::Claim(_)
        | Verdict::Wait(_)
        | Verdict::Preflight => reply::needs_pass(visit),
    };
    no(answer)
}

/// Decides, with what the line has said of the token since, if it was asked.
fn decide(visit: &Visit<'_>, room: &SiteRoom, snapshot: &Snapshot, said: Option<PassState>) -> Decision {
    admit(scene(visit, room, snapshot, said), visit.credential, visit.intent)
}

/// Tells the line of a token that its copy lacks: its store may have lost what the token is a proof of.
fn report_evidence(visit: &Visit<'_>, room: &SiteRoom, snapshot: &Snapshot) {
    if let (Some(token), Some(view)) = (visit.token(), &snapshot.view)
        && view.lacks(&token)
        && snapshot.store_time(visit.started) < token.expires
        && room.live.pass_state(&token) == PassState::Lives
    {
        room.live.testify(&token);
    }
}

/// What is known of the line and of the token that is shown.
fn scene<'s>(visit: &Visit<'_>, room: &'s SiteRoom, snapshot: &'s Snapshot, said: Option<PassState>) -> Scene<'s> {
    Scene {
        room: &room.terms.room,
        line: snapshot.view.as_ref(),
        store_away: snapshot.away,
        on_lease: snapshot.on_lease,
        shop_rests: snapshot.shop_rests,
        now: snapshot.store_time(visit.started),
        pass: said.unwrap_or_else(|| visit.token().map_or(PassState::Lives, |pass| room.live.pass_state(&pass))),
    }
}

fn open(room: &SiteRoom) -> Onward {
    if room.terms.room.fail_mode == FailMode::Open && room.live.snapshot().away {
        room.live.meters().failed_open();
    }
    Onward::anonymous()
}

/// Lets a question of the browser through, bare and at a bounded rate.
fn preflight(visit: &mut Visit<'_>, room: &SiteRoom, head: &Head<'_>) -> Result<Onward, Box<Response<Body>>> {
    if head.has_body {
        return no(reply::bad_request(visit, "A preflight has no body.\n"));
    }
    if let Err(wait) = room.charge_preflight(visit.client, visit.started) {
        return no(reply::preflights_over(visit, wait));
    }
    visit.mark = Mark::Preflight;
    Ok(Onward::preflight())
}

/// Lets somebody through who returns from a payment without a pass, at a rate of the address.
fn come_back(visit: &mut Visit<'_>) -> Result<Onward, Box<Response<Body>>> {
    if let Err(wait) = visit.charge_return() {
        return no(reply::too_fast(visit, wait));
    }
    visit.mark = Mark::Return;
    Ok(Onward::returning())
}

/// Lets somebody through who only looks, if the line has a token for that; else it is as if people waited.
async fn look<'a>(visit: &mut Visit<'a>, room: &'a Arc<SiteRoom>) -> Result<Onward, Box<Response<Body>>> {
    let program = visit.intent == Intent::Program;
    if visit.charge_join().is_ok() && room.live.visit().await == Admission::Visit {
        visit.mark = Mark::Visit;
        return Ok(Onward::visit(program));
    }
    no(if program { reply::confirm(visit, room) } else { reply::needs_pass(visit) })
}

/// Trades a called ticket for a pass; one that was used up is worth as much as none.
async fn claim<'a>(
    visit: &mut Visit<'a>,
    room: &'a Arc<SiteRoom>,
    ticket: Token,
) -> Result<Onward, Box<Response<Body>>> {
    let shows_pass = visit.token().is_some_and(|token| token.kind == Kind::Pass);
    let admission =
        if shows_pass { room.live.claim_again(ticket.number).await } else { room.live.claim(ticket.number).await };
    match admission {
        Admission::Pass { .. } => {
            visit.mark = Mark::Claim;
            if !shows_pass {
                room.live.meters().waits().entered(&ticket, room.live.snapshot().store_time(Instant::now()));
            }
            entered(visit, room, admission)
        }
        Admission::Spent => {
            let (verdict, _) = decide(visit, room, &room.live.snapshot(), Some(PassState::Spent));
            without_a_place(visit, room, verdict).await
        }
        _ if visit.intent == Intent::Return => come_back(visit),
        Admission::Ticket(_) | Admission::Full | Admission::Away | Admission::Visit => {
            no(reply::wait(visit, room, Place::Held(ticket)))
        }
    }
}

/// A place that was used up is worth as much as none.
async fn anew<'a>(visit: &mut Visit<'a>, room: &'a Arc<SiteRoom>) -> Result<Onward, Box<Response<Body>>> {
    match room.terms.room.join {
        Join::Direct if visit.intent != Intent::Program => {
            join(visit, room, room.terms.room.queueing_method == QueueingMethod::Reject).await
        }
        _ => no(reply::confirm(visit, room)),
    }
}

/// Trades an arrival for its number, under the quota of places that one address may confirm.
async fn arrive<'a>(
    visit: &mut Visit<'a>,
    room: &'a Arc<SiteRoom>,
    arrival: Arrival,
) -> Result<Onward, Box<Response<Body>>> {
    if let Err(wait) = visit.charge_confirmed_join() {
        return no(reply::too_fast(visit, wait));
    }
    visit.mark = Mark::Join;
    match room.live.arrive(arrival).await {
        Admission::Spent => anew(visit, room).await,
        admission => entered(visit, room, admission),
    }
}

/// Takes a number. Over the quota of places that one address may take at once, a newcomer is asked to confirm.
async fn join<'a>(
    visit: &mut Visit<'a>,
    room: &'a Arc<SiteRoom>,
    if_called: bool,
) -> Result<Onward, Box<Response<Body>>> {
    if visit.charge_join().is_err() {
        return over_quota(visit, room);
    }
    visit.mark = Mark::Join;
    let admission = room.live.join(if_called).await;
    entered(visit, room, admission)
}

/// Everyone enters a room that only counts: there the quota bounds what is counted.
fn over_quota<'a>(visit: &mut Visit<'a>, room: &'a Arc<SiteRoom>) -> Result<Onward, Box<Response<Body>>> {
    if room.terms.room.queueing_method == QueueingMethod::Passthrough {
        visit.mark = Mark::Open;
        return Ok(open(room));
    }
    no(reply::confirm(visit, room))
}

/// What came of a claim or a join.
fn entered<'a>(
    visit: &mut Visit<'a>,
    room: &'a Arc<SiteRoom>,
    admission: Admission,
) -> Result<Onward, Box<Response<Body>>> {
    let snapshot = room.live.snapshot();
    let now = snapshot.store_time(visit.started);
    drop(snapshot);
    let answer = match admission {
        Admission::Pass { number, expires, admitted } => {
            // Where seats are counted, a pass that never comes back is the first to lose its seat.
            let counted = room.terms.room.rules.total_active_users.is_some();
            let pass = if counted { Token::new_pass } else { Token::pass };
            let admitted = shown_admission(visit, room, number).map_or(admitted, |shown| shown.min(admitted)).min(now);
            return Ok(Onward::admitted(Token { admitted, ..pass(number, now, expires) }));
        }
        Admission::Ticket(number) => reply::wait(visit, room, Place::New(Token::ticket(number, now))),
        Admission::Full | Admission::Spent | Admission::Visit => reply::full(visit),
        Admission::Away => later(visit, room),
    };
    no(answer)
}

/// When the pass of this number was given, as it says itself if it was shown. The line remembers that of those alone that were
/// renewed under a `max_session`.
fn shown_admission(visit: &Visit<'_>, room: &SiteRoom, number: u64) -> Option<Millis> {
    let lives = |pass: &Token| {
        pass.kind == Kind::Pass && pass.number == number && room.live.pass_state(pass) == PassState::Lives
    };
    visit.token().filter(lives).map(|pass| pass.admitted)
}

/// The store is away: the place is kept in the order of arrival.
fn later(visit: &mut Visit<'_>, room: &Arc<SiteRoom>) -> Response<Body> {
    let now = room.live.snapshot().store_time(visit.started);
    let run = visit.worker.shared.rooms.run;
    reply::wait(visit, room, Place::New(Token::provisional(run, room.live.provisional(), now)))
}
