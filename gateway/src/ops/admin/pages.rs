//! Pages for operators: log-in, and who is logged in. They work without a script.
//!
//! Out of scope: everything else that an operator looks at in a browser.

mod texts;

use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Extension, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use serde::Deserialize;

use self::texts::Texts;
use super::access::{By, Caller};
use super::asked::Asked;
use super::login::{LONGEST, LogIn, Shown, no_cookie};
use super::problem::Problem;
use crate::ops::operators::Role;
use crate::ui::{Language, iso};

const TEMPLATE: &str = "page.html";
const STYLE: &str = include_str!("pages/page.css");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const LOGIN: HeaderValue = HeaderValue::from_static("/login");
const CONSOLE: HeaderValue = HeaderValue::from_static("/console");

static PAGES: LazyLock<Result<Environment<'static>, minijinja::Error>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    pages.set_undefined_behavior(UndefinedBehavior::Strict);
    pages.set_auto_escape_callback(|_| AutoEscape::Html);
    pages.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    pages.add_template(TEMPLATE, include_str!("pages/page.html"))?;
    Ok(pages)
});

/// Allows the one style, and forms that go to this listener.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// The pages. Whoever may see them is asked for here.
pub(super) fn router(login: Arc<LogIn>) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/login", get(form).post(log_in))
        .route("/logout", post(log_out))
        .layer(DefaultBodyLimit::max(LONGEST))
        .with_state(login)
}

/// What a page is made for.
struct Reader<'a> {
    login: &'a LogIn,
    language: Language,
}

impl<'a> Reader<'a> {
    fn of(login: &'a LogIn, headers: &HeaderMap) -> Self {
        Self { login, language: language(headers) }
    }

    fn texts(&self) -> &'static Texts {
        Texts::of(self.language)
    }

    fn page(&self, status: StatusCode, own: Value) -> Response {
        let all = context! {
            lang => self.language.tag(),
            t => Value::from(Serde(self.texts())),
            style => Value::from_safe_string(STYLE.to_owned()),
            gateway => self.login.gate.fleet.name(),
            ..own
        };
        let rendered = PAGES.as_ref().map_err(ToString::to_string);
        let rendered = rendered.and_then(|pages| {
            let page = pages.get_template(TEMPLATE).and_then(|template| template.render(all));
            page.map_err(|error| error.to_string())
        });
        match rendered {
            Ok(text) => (status, heads(self.language, &POLICY), text).into_response(),
            Err(error) => {
                tracing::error!(error, "a page for operators cannot be made");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }

    fn home(&self, caller: Caller) -> Response {
        let texts = self.texts();
        let ends = match &caller.by {
            By::Session(session) => iso(session.ends),
            _ => String::new(),
        };
        let (role, may) = match caller.role {
            Role::Viewer => texts.viewer,
            Role::Operator => texts.operator,
            Role::Admin => texts.admin,
        };
        let own = context! {
            page => "home",
            title => texts.home,
            name => caller.name,
            role,
            may,
            ends_shown => ends.get(..16).map(|minute| format!("{} UTC", minute.replace('T', " "))),
            ends,
            can_log_out => matches!(caller.by, By::Session(_)),
            how_known => if caller.by == By::Proxy { texts.by_proxy } else { texts.by_nothing },
        };
        self.page(StatusCode::OK, own)
    }

    async fn form(&self, asked: &Asked, link: &str, problem: Option<&Problem>) -> Response {
        let texts = self.texts();
        let status = problem.and_then(|problem| StatusCode::from_u16(problem.status).ok()).unwrap_or(StatusCode::OK);
        let words = problem.map(|problem| match problem.status {
            401 if !link.is_empty() => texts.link_is_over,
            401 => texts.wrong,
            429 => texts.too_many,
            403 => texts.elsewhere,
            _ => texts.failed,
        });
        let own = context! {
            page => "login",
            title => texts.log_in,
            problem => words.filter(|_| asked.keeps_sessions()),
            in_clear => !asked.keeps_sessions(),
            // A link that was refused is not shown again.
            link => if problem.is_none() { link } else { "" },
            nobody => self.login.gate.has_nobody().await,
        };
        self.page(status, own)
    }
}

/// The language of a page for operators.
pub(super) fn language(headers: &HeaderMap) -> Language {
    let accepts = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Language::pick_among(&Texts::LANGUAGES, accepts, None)
}

/// The header fields of a page for operators, with its content security policy.
pub(super) fn heads(language: Language, policy: &HeaderValue) -> [(HeaderName, HeaderValue); 7] {
    [
        (header::CONTENT_TYPE, HTML),
        (header::CONTENT_LANGUAGE, HeaderValue::from_static(language.tag())),
        (header::CONTENT_SECURITY_POLICY, policy.clone()),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::VARY, HeaderValue::from_static("accept-language, cookie")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // Not "no-referrer": a browser would say Origin: null with the form.
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ]
}

/// A page of ours: no address is taken from the request.
fn go(to: HeaderValue, cookie: Option<HeaderValue>) -> Response {
    let cookie = cookie.map(|cookie| [(header::SET_COOKIE, cookie)]);
    (
        StatusCode::SEE_OTHER,
        cookie,
        [(header::LOCATION, to), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))],
    )
        .into_response()
}

async fn home(State(login): State<Arc<LogIn>>, Extension(asked): Extension<Asked>, headers: HeaderMap) -> Response {
    match login.gate.caller(&asked, Role::Viewer).await {
        // Without a session a browser may change nothing: where anybody may look, it logs in all the same.
        Ok(Caller { by: By::Nothing, .. }) if asked.keeps_sessions() && login.has_link() => go(LOGIN, None),
        Ok(caller) => Reader::of(&login, &headers).home(caller),
        Err(problem) if problem.status == 401 => go(LOGIN, None),
        Err(problem) => problem.into_response(),
    }
}

/// The query of the form.
#[derive(Deserialize)]
struct FormQuery {
    #[serde(default)]
    link: String,
}

async fn form(
    State(login): State<Arc<LogIn>>,
    Extension(asked): Extension<Asked>,
    Query(query): Query<FormQuery>,
    headers: HeaderMap,
) -> Response {
    Reader::of(&login, &headers).form(&asked, &query.link, None).await
}

async fn log_in(
    State(login): State<Arc<LogIn>>,
    Extension(asked): Extension<Asked>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let field = |wanted: &str| {
        let mut fields = form_urlencoded::parse(body.as_bytes());
        fields.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let (token, link) = (field("token"), field("link"));
    let shown = if link.is_empty() { Shown::Token(token.trim()) } else { Shown::Link(&link) };
    match login.begin(&asked, shown).await {
        Ok((session, _)) => go(CONSOLE, login.cookie(&session, &asked)),
        Err(problem) => Reader::of(&login, &headers).form(&asked, &link, Some(&problem)).await,
    }
}

async fn log_out(State(login): State<Arc<LogIn>>, Extension(asked): Extension<Asked>) -> Response {
    match login.gate.caller(&asked, Role::Viewer).await {
        Ok(caller) => {
            if let Err(problem) = login.end(&caller).await {
                tracing::warn!(
                    who = caller.name,
                    problem = &*problem.detail,
                    "a log-out could not be told to the other gateways"
                );
            }
        }
        Err(problem) if problem.status == 401 => {}
        Err(problem) => return problem.into_response(),
    }
    go(LOGIN, Some(no_cookie(&asked)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_can_be_read() {
        assert!(PAGES.is_ok(), "{:?}", PAGES.as_ref().err());
    }
}
