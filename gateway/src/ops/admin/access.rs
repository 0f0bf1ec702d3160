//! Who asks at the operator's listener, and what they may.
//!
//! Every answer but those to probes is for the listener's own names: the `Host` must be an address, `localhost` or a name of
//! `listen.admin_hosts`, so a page in the operator's browser whose own name points here (DNS rebinding) learns nothing. Where the
//! configuration names a token or operators, one must be shown: a token, the cookie of a session, or the name in a header of a
//! single-sign-on proxy. The token is that of an admin, an operator has a role.
//!
//! Cookies and headers come along with whatever page a browser shows: by them only a page of this listener changes anything. A token
//! is shown by programs, and a browser that sends one is refused.
//!
//! Out of scope: how a token is kept ([`crate::ops::operators`]), what is in a session ([`crate::ops::sessions`]), and log-in (`login`).

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use policy::Millis;
use policy::audit::Entry;

use super::asked::{Asked, Shown};
use super::problem::Problem;
use crate::ops::fleet::Fleet;
use crate::ops::operators::{self, Operators, Role};
use crate::ops::sessions::{Proof, Session};
use crate::settings::config::AdminConfig;

/// Names of callers without a name of their own: the holder of the one token, and any caller of a listener without one.
pub(super) const ADMIN: &str = "admin";
pub(super) const LOCAL: &str = "local";
/// Refusals in a minute that are written into the audit: more tell nothing new.
const NOTED: u32 = 10;

/// The test for an operator.
pub(crate) struct Access {
    token: Option<Arc<str>>,
    operators: Option<Operators>,
    hosts: Vec<String>,
    admin: AdminConfig,
    noted: DefaultDirectRateLimiter,
}

/// Who asks, by name.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) by: By,
}

/// What a caller was known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum By {
    /// A token.
    Token,
    /// A session.
    Session(Session),
    /// A header of a single-sign-on proxy.
    Proxy,
    /// Nothing: the listener asks for nothing.
    Nothing,
}

/// The gate before all that an operator asks for.
pub(crate) struct Gate {
    pub(super) access: Access,
    pub(super) fleet: Arc<Fleet>,
}

/// The least role that may call this; `None`: it is for the handler to say.
pub(super) fn needed(method: &Method, path: &str) -> Option<Role> {
    match (method.as_str(), path) {
        (_, "/" | "/login" | "/logout") | ("POST", "/api/session") => None,
        ("GET" | "HEAD", _) | (_, "/api/session") => Some(Role::Viewer),
        _ if path.starts_with("/api/versions") || path == "/console/change" || path == "/console/events" => {
            Some(Role::Admin)
        }
        _ => Some(Role::Operator),
    }
}

/// Lets the request on with its [`Caller`], or answers.
pub(super) async fn authorize(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    let asked = Asked::of(&request, &gate.access.hosts, &gate.access.admin);
    if !asked.is_named {
        let problem = Problem::new(StatusCode::FORBIDDEN, "this Host is not the admin listener's");
        let how = "ask for it by address or as localhost, or list the name in listen.admin_hosts";
        return problem.mended_by(how).into_response();
    }
    let Some(needed) = needed(request.method(), request.uri().path()) else {
        request.extensions_mut().insert(asked);
        return next.run(request).await;
    };
    match gate.caller(&asked, needed).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            request.extensions_mut().insert(asked);
            next.run(request).await
        }
        Err(problem) => refusal(problem),
    }
}

/// The answer to a caller who is not let on.
pub(super) fn refusal(problem: Problem) -> Response {
    let mut response = problem.into_response();
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

impl Gate {
    /// Who asks, if they have this role.
    pub(super) async fn caller(&self, asked: &Asked, needed: Role) -> Result<Caller, Problem> {
        let caller = self.shown(asked).await?;
        if asked.changes {
            comes_from(asked, &caller.by)?;
        }
        if caller.role >= needed {
            return Ok(caller);
        }
        let Caller { name, role, .. } = caller;
        let problem =
            Problem::new(StatusCode::FORBIDDEN, format!("{name} is a {role}, and this takes the role {needed}"));
        self.note(&name, "refused", Some(asked.call.clone()), Some(&problem)).await;
        Err(problem.mended_by("ask someone with that role, or weir operators add"))
    }

    /// The caller whose token, session or name the request shows.
    async fn shown(&self, asked: &Asked) -> Result<Caller, Problem> {
        let named = |name: &str, role, by| Caller { name: name.to_owned(), role, by };
        match &asked.shown {
            Shown::Named(name) => self.of_proxy(name).await,
            Shown::Spoofed(what) => Err(self.spoofed(what).await),
            Shown::Token(token) => {
                let (name, role, _) = self.by_token(token).await?;
                Ok(named(&name, role, By::Token))
            }
            Shown::Cookies(texts) => {
                if let Some(caller) = self.by_session(texts).await {
                    return Ok(caller);
                }
                if self.is_open() {
                    return Ok(named(LOCAL, Role::Admin, By::Nothing));
                }
                Err(if texts.is_empty() { needs_token() } else { ended() })
            }
        }
    }

    /// Whether nothing must be shown.
    pub(super) fn is_open(&self) -> bool {
        self.access.token.is_none() && self.access.operators.is_none()
    }

    /// Whether nobody could show anything: there is no token, and no operator.
    pub(super) async fn has_nobody(&self) -> bool {
        match &self.access.operators {
            _ if self.access.token.is_some() => false,
            Some(operators) => operators.are_none().await,
            None => true,
        }
    }

    /// Whose token this is, and the proof for a session.
    pub(super) async fn by_token(&self, shown: &[u8]) -> Result<(String, Role, Proof), Problem> {
        let Access { token, operators, .. } = &self.access;
        if let Some(token) = token
            && verify_slices_are_equal(token.as_bytes(), shown).is_ok()
        {
            return Ok((ADMIN.to_owned(), Role::Admin, Proof::of(token)));
        }
        let Some(operators) = operators else { return Err(needs_token()) };
        match operators.show(shown).await {
            operators::Shown::Of { name, role, proof, new } => {
                if new {
                    self.note(&name, "log-in", None, None).await;
                }
                Ok((name, role, proof))
            }
            operators::Shown::Wrong(claimed) => {
                let problem = needs_token();
                self.note(claimed.as_deref().unwrap_or("unknown"), "log-in", None, Some(&problem)).await;
                Err(problem)
            }
            operators::Shown::TooMany => {
                let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many tokens were tried");
                Err(problem.mended_by("try again in some seconds"))
            }
        }
    }

    /// The operator of the first of these cookies that is a session.
    async fn by_session(&self, texts: &[String]) -> Option<Caller> {
        let now = self.now();
        let site = self.fleet.shared.site.load();
        let session = texts.iter().find_map(|text| Session::open(text, &site.sealer, now))?;
        if self.fleet.trail.has_ended(&session) {
            return None;
        }
        let (role, proof) = self.standing(&session.name).await?;
        let name = session.name.clone();
        (proof == session.proof).then_some(Caller { name, role, by: By::Session(session) })
    }

    /// What a name stands for now: its role, and the proof that a session of it must have.
    async fn standing(&self, name: &str) -> Option<(Role, Proof)> {
        let Access { token, operators, .. } = &self.access;
        match name {
            ADMIN => token.as_ref().map(|token| (Role::Admin, Proof::of(token))),
            LOCAL => self.has_nobody().await.then(|| (Role::Admin, Proof::default())),
            _ => operators.as_ref()?.standing(name).await,
        }
    }

    /// The operator whom a trusted proxy names.
    async fn of_proxy(&self, name: &str) -> Result<Caller, Problem> {
        if let Some((role, _)) = self.standing(name).await.filter(|_| ![ADMIN, LOCAL].contains(&name)) {
            return Ok(Caller { name: name.to_owned(), role, by: By::Proxy });
        }
        let problem = Problem::new(StatusCode::FORBIDDEN, format!("{name:?} is no operator"));
        self.note("unknown", "refused", Some(format!("the proxy names {name:?}")), Some(&problem)).await;
        Err(problem.mended_by("add them: weir operators add"))
    }

    /// A header that only a trusted proxy may send.
    async fn spoofed(&self, what: &str) -> Problem {
        let problem = Problem::new(StatusCode::FORBIDDEN, "this address may not say who the operator is");
        self.note("unknown", "refused", Some(what.to_owned()), Some(&problem)).await;
        problem.mended_by("list the proxy in admin.trusted_identity_proxies, or leave the header out")
    }

    /// The time of sessions: the store's, so that all gateways have one; this machine's before the store has answered.
    pub(super) fn now(&self) -> Millis {
        let here = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        self.fleet.store_time().unwrap_or_else(here)
    }

    /// Writes into the audit what came of a log-in, or what a role may not: some of a minute.
    pub(super) async fn note(&self, who: &str, action: &str, with: Option<String>, refused: Option<&Problem>) {
        if self.access.noted.check().is_err() {
            return;
        }
        let refused = refused.map(|problem| problem.detail.to_string());
        let entry = Entry { who: who.to_owned(), action: action.to_owned(), with, refused, ..Entry::default() };
        if let Err(error) = self.fleet.note(&entry).await {
            tracing::warn!(%error, who, action, "this could not be written into the audit");
        }
    }
}

/// Whether a change may come from where it comes.
fn comes_from(asked: &Asked, by: &By) -> Result<(), Problem> {
    let (fine, what, how): (bool, _, Cow<'_, str>) = match by {
        By::Session(_) | By::Proxy => (
            asked.is_own_page,
            "a change by a session comes from a page of this listener",
            "send its Origin, and the same Host; a program shows a token".into(),
        ),
        By::Token | By::Nothing => (
            !asked.has_origin,
            "a browser may change nothing here without a session",
            "log in at /login, or use the weir commands".into(),
        ),
    };
    if fine { Ok(()) } else { Err(Problem::new(StatusCode::FORBIDDEN, what).mended_by(how)) }
}

pub(super) fn needs_token() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "an operator's token is needed")
        .mended_by("send it: Authorization: Bearer ...")
}

fn ended() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "this session is over").mended_by("log in again at /login, or send a token")
}

impl Access {
    /// The token and the operators that are listed, names of the listener, and who else says who an operator is.
    pub(crate) fn new(
        token: Option<Arc<str>>,
        operators: Option<Operators>,
        hosts: &[String],
        admin: AdminConfig,
    ) -> Self {
        let noted = Quota::per_minute(NonZeroU32::new(NOTED).unwrap_or(NonZeroU32::MIN));
        Self { token, operators, hosts: hosts.to_vec(), admin, noted: RateLimiter::direct(noted) }
    }
}
