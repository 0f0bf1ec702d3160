//! Who asks at the operator's listener, and what they may.
//!
//! Every answer but those to probes is for the listener's own names: the `Host` must be an address, `localhost` or a name of
//! `listen.admin_hosts`, so a page in the operator's browser whose own name points here (DNS rebinding) learns nothing. Where the
//! configuration names a token or operators, one must be shown: the token is that of an admin, an operator has a role.
//!
//! Out of scope: how a token is kept ([`crate::ops::operators`]).

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use policy::audit::Entry;

use super::problem::Problem;
use crate::ops::fleet::Fleet;
use crate::ops::operators::{Operators, Role, Shown};

/// Names of callers without a name of their own: the holder of the one token, and any caller of a listener without one.
const ADMIN: &str = "admin";
const LOCAL: &str = "local";
/// Refusals in a minute that are written into the audit: more tell nothing new.
const NOTED: u32 = 10;

/// The test for an operator.
pub(crate) struct Access {
    token: Option<Arc<str>>,
    operators: Option<Operators>,
    hosts: Vec<String>,
    noted: DefaultDirectRateLimiter,
}

/// Who asks, by name.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) name: String,
    role: Role,
}

/// The gate before all that an operator asks for.
pub(super) struct Gate {
    pub(super) access: Access,
    pub(super) fleet: Arc<Fleet>,
}

/// Lets the request on with its [`Caller`], or answers.
pub(super) async fn authorize(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    let asked = Asked::of(&request, &gate.access);
    match gate.caller(&asked).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => {
            let mut response = problem.into_response();
            if response.status() == StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

impl Gate {
    async fn caller(&self, asked: &Asked) -> Result<Caller, Problem> {
        if !asked.is_named {
            let problem = Problem::new(StatusCode::FORBIDDEN, "this Host is not the admin listener's");
            return Err(
                problem.mended_by("ask for it by address or as localhost, or list the name in listen.admin_hosts")
            );
        }
        let caller = self.shown(asked).await?;
        let needed = asked.needed;
        if caller.role >= needed {
            return Ok(caller);
        }
        let Caller { name, role } = caller;
        let problem =
            Problem::new(StatusCode::FORBIDDEN, format!("{name} is a {role}, and this takes the role {needed}"));
        self.note(&name, "refused", Some(asked.call.clone()), Some(&problem)).await;
        Err(problem.mended_by("ask someone with that role, or weir operators add"))
    }

    /// The caller whose token the request shows.
    async fn shown(&self, asked: &Asked) -> Result<Caller, Problem> {
        let Access { token, operators, .. } = &self.access;
        let named = |name: &str, role| Caller { name: name.to_owned(), role };
        if token.is_none() && operators.is_none() {
            return Ok(named(LOCAL, Role::Admin));
        }
        let Some(shown) = &asked.token else { return Err(needs_token()) };
        if token.as_ref().is_some_and(|token| verify_slices_are_equal(token.as_bytes(), shown).is_ok()) {
            return Ok(named(ADMIN, Role::Admin));
        }
        let Some(operators) = operators else { return Err(needs_token()) };
        match operators.show(shown).await {
            Shown::Of { name, role, new } => {
                if new {
                    self.note(&name, "log-in", None, None).await;
                }
                Ok(named(&name, role))
            }
            Shown::Wrong(claimed) => {
                let problem = needs_token();
                self.note(claimed.as_deref().unwrap_or("unknown"), "log-in", None, Some(&problem)).await;
                Err(problem)
            }
            Shown::TooMany => {
                let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many tokens were tried");
                Err(problem.mended_by("try again in some seconds"))
            }
        }
    }

    /// Writes into the audit what came of a log-in, or what a role may not: some of a minute.
    async fn note(&self, who: &str, action: &str, with: Option<String>, refused: Option<&Problem>) {
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

fn needs_token() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "an operator's token is needed")
        .mended_by("send it: Authorization: Bearer ...")
}

/// What the test for an operator needs to know of a request, without its body.
struct Asked {
    is_named: bool,
    token: Option<Vec<u8>>,
    needed: Role,
    /// Method and path.
    call: String,
}

impl Asked {
    fn of(request: &Request, access: &Access) -> Self {
        let shown = request.headers().get(header::AUTHORIZATION).and_then(|v| v.as_bytes().strip_prefix(b"Bearer "));
        let (method, path) = (request.method(), request.uri().path());
        let needed = match *method {
            Method::GET | Method::HEAD => Role::Viewer,
            _ if path.starts_with("/api/versions") => Role::Admin,
            _ => Role::Operator,
        };
        let (token, call) = (shown.map(<[u8]>::to_vec), format!("{method} {path}"));
        Self { is_named: access.names(request), token, needed, call }
    }
}

impl Access {
    /// The token and the operators that are listed, and names of the listener.
    pub(crate) fn new(token: Option<Arc<str>>, operators: Option<Operators>, hosts: &[String]) -> Self {
        let noted = Quota::per_minute(NonZeroU32::new(NOTED).unwrap_or(NonZeroU32::MIN));
        Self { token, operators, hosts: hosts.to_vec(), noted: RateLimiter::direct(noted) }
    }

    /// Whether the request names this listener. One without a `Host` comes from no browser.
    fn names(&self, request: &Request) -> bool {
        let written = request.headers().get(header::HOST).map(|host| host.to_str().ok()?.parse::<Authority>().ok());
        let host = match (request.uri().authority(), &written) {
            (Some(authority), _) | (None, Some(Some(authority))) => authority.host(),
            (None, Some(None)) => return false,
            (None, None) => return true,
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let named = |name: &str| host.eq_ignore_ascii_case(name);
        bare.parse::<IpAddr>().is_ok() || named("localhost") || self.hosts.iter().any(|name| named(name))
    }
}
