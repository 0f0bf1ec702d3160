//! Log-in: a token, or the link of the first start, is traded for a session.
//!
//! ```text
//! POST   /api/session    {"token": "kim.yk2..."}    the cookie of a session, for 12 hours
//! GET    /api/session                               who asks, by what
//! DELETE /api/session                               log-out, at every gateway
//! ```
//!
//! In clear there are sessions on this machine alone, in a cookie of a plain name. The link is made where nobody could log in: it is told in
//! the log of the process, counts once, from this machine, for 15 minutes, and dies with the process.
//!
//! Out of scope: the same for people (`pages`), and how a session is read (`access`).

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use policy::audit::{Entry, hex};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::{By, Caller, Gate, LOCAL, refusal};
use super::asked::{Asked, cookie_name};
use super::problem::Problem;
use crate::ops::fleet::log_outs::LOG_OUT;
use crate::ops::operators::Role;
use crate::ops::sessions::{LIFE, Proof, Session};
use crate::quota::{Client, Quota, Quotas};
use crate::ui::iso;

/// Bytes of a body.
pub(super) const LONGEST: usize = 4_096;
/// Log-ins of an address in a second, and at once.
const RATE: (u32, u32) = (1, 10);
/// Addresses that are counted on their own.
const ADDRESSES: usize = 1_000;
/// How long the link of the first start counts.
const LINK: Duration = Duration::from_mins(15);

/// Where operators log in.
pub(super) struct LogIn {
    pub(super) gate: Arc<Gate>,
    tries: Quotas,
    since: Instant,
    link: Mutex<Option<(String, Instant)>>,
}

/// What is traded for a session.
pub(super) enum Shown<'a> {
    Token(&'a str),
    Link(&'a str),
}

impl LogIn {
    pub(super) fn new(gate: Arc<Gate>) -> Self {
        let [per_second, burst] = [RATE.0, RATE.1].map(|number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN));
        let tries = Quotas::new(Quota { per_second, burst }, ADDRESSES);
        Self { gate, tries, since: Instant::now(), link: Mutex::default() }
    }

    /// Makes the link, if nobody could log in; returns its secret.
    pub(super) async fn first_link(&self) -> Option<String> {
        if !self.gate.has_nobody().await {
            return None;
        }
        let mut secret = [0; 32];
        aws_lc_rs::rand::fill(&mut secret).ok()?;
        let secret = hex(&secret);
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = Some((secret.clone(), Instant::now()));
        Some(secret)
    }

    /// Whether a link waits to be used.
    pub(super) fn has_link(&self) -> bool {
        let link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        link.as_ref().is_some_and(|(_, made)| made.elapsed() < LINK)
    }

    /// Whether the link counts: then it is used up.
    fn use_link(&self, shown: &str) -> bool {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |(secret, made): &(String, Instant)| {
            made.elapsed() < LINK && verify_slices_are_equal(secret.as_bytes(), shown.as_bytes()).is_ok()
        };
        if link.as_ref().is_some_and(is_it) { link.take().is_some() } else { false }
    }

    /// A session for whoever shows this.
    pub(super) async fn begin(&self, asked: &Asked, shown: Shown<'_>) -> Result<(Session, Role), Problem> {
        self.may_try(asked)?;
        let (name, role, proof, with) = match shown {
            Shown::Token(token) => {
                let (name, role, proof) = self.gate.by_token(token.as_bytes()).await?;
                (name, role, proof, "a token")
            }
            Shown::Link(link) => {
                if !asked.is_local || !self.gate.has_nobody().await || !self.use_link(link) {
                    let problem = link_is_over();
                    self.gate.note(LOCAL, "log-in", Some("the link".to_owned()), Some(&problem)).await;
                    return Err(problem);
                }
                (LOCAL.to_owned(), Role::Admin, Proof::default(), "the link of the first start")
            }
        };
        self.gate.note(&name, "log-in", Some(format!("a session, by {with}")), None).await;
        let session = Session::begin(&name, proof, self.gate.now());
        let no_randomness = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the system gives no random bytes");
        session.map(|session| (session, role)).ok_or_else(no_randomness)
    }

    fn may_try(&self, asked: &Asked) -> Result<(), Problem> {
        if !asked.keeps_sessions() {
            let problem = Problem::new(StatusCode::FORBIDDEN, "in clear there is no log-in but on this machine");
            let how = "add [admin.tls] with certificate and key, or log in on the machine itself, at 127.0.0.1";
            return Err(problem.mended_by(how));
        }
        if !asked.may_log_in_from_there() {
            let problem = Problem::new(StatusCode::FORBIDDEN, "a log-in comes from a page of this listener");
            return Err(problem.mended_by("open /login here"));
        }
        self.tries.set_time(self.since.elapsed());
        if self.tries.clients() > ADDRESSES / 2 {
            self.tries.forget_idle();
        }
        let Some(address) = asked.peer.address else { return Ok(()) };
        self.tries.charge(Client::at(address)).map_err(|_| {
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many log-ins from this address")
                .mended_by("try again in some seconds")
        })
    }

    /// The header that sets the cookie.
    pub(super) fn cookie(&self, session: &Session, asked: &Asked) -> Option<HeaderValue> {
        let text = session.seal(&self.gate.fleet.shared.site.load().sealer)?;
        set_cookie(&text, LIFE / 1_000, asked)
    }

    /// Ends the session of this caller, at every gateway.
    ///
    /// # Errors
    /// If that cannot be written down now: the cookie is taken back, and a copy of it still counts.
    pub(super) async fn end(&self, caller: &Caller) -> Result<(), Problem> {
        let By::Session(session) = &caller.by else { return Ok(()) };
        let (who, action) = (caller.name.clone(), LOG_OUT.to_owned());
        let entry = Entry { who, action, id: Some(session.id.clone()), ..Entry::default() };
        self.gate.fleet.note(&entry).await.map_err(Problem::from)
    }
}

fn link_is_over() -> Problem {
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "this link does not count, or not any more");
    problem.mended_by("start the gateway again for another one, or weir operators add")
}

/// The header that sets the cookie, for so many seconds; 0 takes it back.
fn set_cookie(text: &str, seconds: u64, asked: &Asked) -> Option<HeaderValue> {
    let secure = if asked.peer.encrypted { "; Secure" } else { "" };
    let name = cookie_name(asked.peer.encrypted);
    let cookie = format!("{name}={text}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::try_from(cookie).ok()
}

/// The header that takes the cookie back.
pub(super) fn no_cookie(asked: &Asked) -> HeaderValue {
    set_cookie("", 0, asked).unwrap_or(HeaderValue::from_static(""))
}

/// The body of a log-in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenBody {
    /// The token, as `weir operators add` printed it.
    token: String,
}

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Who {
    /// The name, as in the audit.
    name: String,
    /// `viewer`, `operator` or `admin`.
    role: &'static str,
    /// `token`, `session`, `proxy`, or `nothing` where the listener asks for nothing.
    by: &'static str,
    /// When the session ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends: Option<String>,
}

impl Who {
    fn of(caller: Caller) -> Self {
        let (by, ends) = match &caller.by {
            By::Token => ("token", None),
            By::Session(session) => ("session", Some(iso(session.ends))),
            By::Proxy => ("proxy", None),
            By::Nothing => ("nothing", None),
        };
        Self { name: caller.name, role: caller.role.name(), by, ends }
    }
}

/// Logs in: a token is traded for a session of 12 hours, in a cookie.
///
/// The cookie is `__Host-weir_console` over TLS. In clear there is a log-in on the machine of the gateway alone, and it is `weir_console`.
/// What a session changes needs an `Origin` that is the listener's.
#[utoipa::path(
    post,
    path = "/api/session",
    tag = "session",
    operation_id = "log_in",
    request_body = TokenBody,
    responses(
        (status = OK, description = "who is logged in", body = Who, headers(("Set-Cookie" = String, description = "the session"))),
        (status = BAD_REQUEST, description = "no JSON"),
        (status = UNAUTHORIZED, description = "no operator has this token"),
        (status = UNPROCESSABLE_ENTITY, description = "a field that is missing or not known"),
        (status = TOO_MANY_REQUESTS, description = "too many log-ins"),
    ),
)]
pub(super) async fn log_in(
    State(login): State<Arc<LogIn>>,
    Extension(asked): Extension<Asked>,
    body: Result<Json<TokenBody>, JsonRejection>,
) -> Result<Response, Response> {
    let Json(TokenBody { token }) = body.map_err(|rejection| Problem::from(rejection).into_response())?;
    let (session, role) = login.begin(&asked, Shown::Token(&token)).await.map_err(refusal)?;
    let cookie = login.cookie(&session, &asked);
    let who = Who::of(Caller { name: session.name.clone(), role, by: By::Session(session) });
    Ok((cookie.map(|cookie| [(header::SET_COOKIE, cookie)]), Json(who)).into_response())
}

/// Who asks, and by what they are known.
#[utoipa::path(
    get,
    path = "/api/session",
    tag = "session",
    operation_id = "session",
    responses((status = OK, description = "the caller", body = Who)),
)]
pub(super) async fn who(Extension(caller): Extension<Caller>) -> Json<Who> {
    Json(Who::of(caller))
}

/// Logs out: the session ends at every gateway.
#[utoipa::path(
    delete,
    path = "/api/session",
    tag = "session",
    operation_id = "log_out",
    responses(
        (status = NO_CONTENT, description = "there is no session any more", headers(("Set-Cookie" = String, description = "the cookie is taken back"))),
        (status = SERVICE_UNAVAILABLE, description = "the store does not answer: the cookie is taken back, and a copy of it still counts"),
    ),
)]
pub(super) async fn log_out(
    State(login): State<Arc<LogIn>>,
    Extension(caller): Extension<Caller>,
    Extension(asked): Extension<Asked>,
) -> Response {
    let ended = login.end(&caller).await.map(|()| StatusCode::NO_CONTENT);
    ([(header::SET_COOKIE, no_cookie(&asked))], ended).into_response()
}
