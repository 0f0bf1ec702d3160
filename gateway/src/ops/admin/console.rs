//! The operators' console: pages that are made here, by the calls of the API and nothing else.
//!
//! ```text
//! GET  /console                      the wall: a line for each room
//! GET  /console/rooms/{room}         the last hour of a room, and its actions
//! POST /console/rooms/{room}/act     an action, then back to the room
//! GET  /console/change   POST        the rooms as a text: what would differ, and apply
//! GET  /console/events   POST        the events of all rooms; one is made by a change
//! GET  /console/audit                who did what, page by page
//! ```
//!
//! Every action is a form that works without a script. A script of a few hundred bytes takes the part of a page that moves from a stream
//! (`live`), once a second. Nothing comes from elsewhere, and the policy allows exactly our style and our script.
//!
//! Out of scope: who may (`access`), and what an action or a change means (`actions`, `versions`).

mod act;
mod audit;
mod change;
mod chart;
mod done;
mod events;
mod live;
mod room;
mod texts;
mod wall;

use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use policy::audit::hex;

use self::done::Done;
use super::access::{By, Caller};
use super::live::Streams;
use super::pages::{heads, language};
use super::problem::Problem;
use crate::ops::fleet::{Fleet, LONGEST};
use crate::ops::operators::Role;
use crate::ui::Language;

/// Bytes of a form: a text of rooms, and what a browser makes of its signs.
const LONGEST_FORM: usize = 3 * LONGEST;
const STYLE: &str = include_str!("console/console.css");
static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    let text = include_str!("console/console.js");
    minifier::js::minify(text).map_or_else(|_| text.to_owned(), |text| text.to_string())
});

static PAGES: LazyLock<Result<Environment<'static>, minijinja::Error>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    pages.set_undefined_behavior(UndefinedBehavior::Strict);
    pages.set_auto_escape_callback(|_| AutoEscape::Html);
    pages.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    pages.add_filter("number", |number: f64| texts::number(number));
    pages.add_filter("query", |text: String| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>());
    pages.add_template("frame.html", include_str!("console/frame.html"))?;
    pages.add_template("arrivals.html", include_str!("console/arrivals.html"))?;
    pages.add_template("wall.html", include_str!("console/wall.html"))?;
    pages.add_template("wall_live.html", include_str!("console/wall_live.html"))?;
    pages.add_template("room.html", include_str!("console/room.html"))?;
    pages.add_template("room_live.html", include_str!("console/room_live.html"))?;
    pages.add_template("change.html", include_str!("console/change.html"))?;
    pages.add_template("events.html", include_str!("console/events.html"))?;
    pages.add_template("audit.html", include_str!("console/audit.html"))?;
    pages.add_template("refused.html", include_str!("console/refused.html"))?;
    Ok(pages)
});

/// Allows the one style, the one script, the stream, and forms that go to this listener.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(digest(&SHA256, text.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; img-src data:; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(&SCRIPT)
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// What the pages are made from.
struct Console {
    fleet: Arc<Fleet>,
    streams: Arc<Streams>,
    done: Done,
}

/// The pages.
pub(super) fn router(fleet: &Arc<Fleet>, streams: Arc<Streams>) -> Router {
    let console = Arc::new(Console { fleet: fleet.clone(), streams, done: Done::default() });
    Router::new()
        .route("/console", get(wall::page))
        .route("/console/live", get(wall::live))
        .route("/console/rooms/{room}", get(room::page))
        .route("/console/rooms/{room}/live", get(room::live))
        .route("/console/rooms/{room}/act", post(act::act))
        .route("/console/change", get(change::page).post(change::send))
        .route("/console/events", get(events::page).post(events::send))
        .route("/console/audit", get(audit::page))
        .layer(DefaultBodyLimit::max(LONGEST_FORM))
        .with_state(console)
}

/// What is refused before or instead of a page of the console, as a page: the log-in for a caller who shows nothing, else why.
pub(super) async fn in_its_form(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let headers = (path == "/console" || path.starts_with("/console/")).then(|| request.headers().clone());
    let response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_problem = kind.is_some_and(|kind| kind.as_bytes() == b"application/problem+json");
    let Some(headers) = headers.filter(|_| is_problem) else { return response };
    if response.status() == StatusCode::UNAUTHORIZED {
        return go("/login");
    }
    let status = response.status();
    let body = to_bytes(response.into_body(), LONGEST).await.unwrap_or_default();
    let problem = serde_json::from_slice(&body).unwrap_or_else(|_| Problem::new(status, status.as_str()));
    Reader { language: language(&headers), caller: None, gateway: String::new() }.problem(&problem)
}

/// Another page of ours: no address is taken from the request.
fn go(to: &str) -> Response {
    let to = HeaderValue::try_from(to).unwrap_or(HeaderValue::from_static("/console"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, to), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))])
        .into_response()
}

/// A text that stands for one sending of one form: a double click is one action.
fn one_time_id() -> String {
    let mut id = [0; 16];
    // Without randomness there is no id, and the form is refused: it does not act twice.
    aws_lc_rs::rand::fill(&mut id).map(|()| hex(&id)).unwrap_or_default()
}

/// Who a page is made for.
#[derive(Clone)]
struct Reader {
    language: Language,
    caller: Option<Caller>,
    gateway: String,
}

impl Reader {
    fn of(console: &Console, caller: Caller, headers: &HeaderMap) -> Self {
        Self { language: language(headers), caller: Some(caller), gateway: console.fleet.name().to_owned() }
    }

    fn text(&self, key: &str) -> &'static str {
        texts::text(self.language, key)
    }

    /// Whether a form of this role would be taken.
    fn may(&self, role: Role) -> bool {
        let by_browser = |caller: &Caller| matches!(caller.by, By::Session(_) | By::Proxy);
        self.caller.as_ref().is_some_and(|caller| caller.role >= role && by_browser(caller))
    }

    /// The variables of every template, and these.
    fn all(&self, own: Value) -> Value {
        let caller = self.caller.as_ref();
        context! {
            lang => self.language.tag(),
            t => Value::from(Serde(texts::of(self.language))),
            gateway => &self.gateway,
            who => caller.map(|caller| caller.name.as_str()),
            role => caller.map(|caller| caller.role.name()),
            may_act => self.may(Role::Operator),
            may_change => self.may(Role::Admin),
            is_known => caller.is_some_and(|caller| caller.by != By::Nothing),
            ..own
        }
    }

    /// A template, filled.
    fn render(&self, template: &str, own: Value) -> Result<String, String> {
        let pages = PAGES.as_ref().map_err(ToString::to_string)?;
        let page = pages.get_template(template).and_then(|template| template.render(self.all(own)));
        page.map_err(|error| format!("{error:#}"))
    }

    fn page(&self, template: &str, status: StatusCode, own: Value) -> Response {
        let own = context! {
            style => Value::from_safe_string(STYLE.to_owned()),
            script => Value::from_safe_string(SCRIPT.clone()),
            id => one_time_id(),
            ..own
        };
        match self.render(template, own) {
            Ok(text) => (status, heads(self.language, &POLICY), text).into_response(),
            Err(error) => {
                tracing::error!(error, template, "a page of the console cannot be made");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }

    fn problem(&self, problem: &Problem) -> Response {
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let own = context! { view => "", title => self.text("refused"), problem => Value::from(Serde(problem)) };
        self.page("refused.html", status, own)
    }
}

/// A form that was sent.
struct Form(Vec<(String, String)>);

impl Form {
    fn read(body: &str) -> Self {
        Self(form_urlencoded::parse(body.as_bytes()).into_owned().collect())
    }

    /// The value of a field without space around it; `None`: it is empty or not there.
    fn field(&self, wanted: &str) -> Option<&str> {
        let value = self.0.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.trim());
        value.filter(|value| !value.is_empty())
    }

    /// The number in a field, by its digits. What is no number is told as a problem of this field.
    fn number(&self, wanted: &str) -> Result<Option<u64>, Problem> {
        let read = |text: &str| text.replace(',', "").parse().ok();
        let wrong = |text: &str| {
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{text:?} is no whole number"));
            problem.mended_by("write digits").about(wanted)
        };
        self.field(wanted).map(|text| read(text).ok_or_else(|| wrong(text))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_can_be_read_and_the_script_is_a_few_kilobytes() {
        assert!(PAGES.is_ok(), "{:?}", PAGES.as_ref().err());
        assert!(SCRIPT.len() < 4_096 && SCRIPT.contains("EventSource"), "{} bytes", SCRIPT.len());
    }

    #[test]
    fn a_form_is_read_by_its_fields() {
        let form = Form::read("why=+down%2C+again+&empty=&rate=1%2C200&bad=x");
        assert_eq!((form.field("why"), form.field("empty"), form.field("none")), (Some("down, again"), None, None));
        assert_eq!((form.number("rate").ok(), form.number("none").ok()), (Some(Some(1_200)), Some(None)));
        assert_eq!(form.number("bad").err().map(|problem| problem.status), Some(422));
    }
}
