//! A change of the rooms: their text, what would differ, and apply. It is what `POST /api/versions` does.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Deserialize;

use super::done::{Answer, lines};
use super::{Console, Form, Reader, go};
use crate::ops::admin::access::Caller;
use crate::ops::admin::problem::Problem;
use crate::ops::admin::versions::{Changed, VersionQuery, apply};
use crate::ops::fleet::NotSwitched;
use crate::ops::fleet::arrival::Awaited;
use crate::settings::config::{NewRoom, with_room};

/// The query of the page.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ChangeQuery {
    /// The one-time id of a change that was just made.
    #[serde(default)]
    done: String,
}

/// What is on the page besides the frame.
#[derive(Default)]
pub(super) struct Draft {
    pub text: String,
    pub from: u64,
    pub why: String,
    /// What would differ, if that was asked for.
    pub preview: Option<Changed>,
    pub problem: Option<Problem>,
}

impl Draft {
    /// The rooms in force.
    pub(super) async fn in_force(console: &Console) -> Result<Self, Problem> {
        console.fleet.refresh().await;
        let text = console.fleet.plan.text().await;
        let (knows, text) = text.map_err(|why| Problem::from(NotSwitched::Invalid(vec![why])))?;
        Ok(Self { text, from: knows.number, ..Self::default() })
    }

    /// The same with another text, and what that would change.
    pub(super) async fn with(self, console: &Console, caller: &Caller, text: String) -> Self {
        let query = VersionQuery { from: Some(self.from), dry_run: true, ..VersionQuery::default() };
        match apply(State(console.fleet.clone()), Query(query), Extension(caller.clone()), Ok(text.clone())).await {
            Ok(preview) => Self { text, preview: Some(preview.0), problem: None, ..self },
            Err(problem) => Self { text, preview: None, problem: Some(problem), ..self },
        }
    }

    pub(super) fn show(&self, console: &Console, reader: &Reader, done: &str) -> Response {
        let status = self.problem.as_ref().and_then(|problem| StatusCode::from_u16(problem.status).ok());
        let preview = self.preview.as_ref();
        let own = context! {
            view => "change",
            title => reader.text("change"),
            text => &self.text,
            rows => self.text.lines().count().clamp(8, 24),
            from => self.from,
            why => &self.why,
            changes => preview.map(|preview| lines(&preview.changes)),
            warnings => preview.map(|preview| preview.warnings.clone()),
            problem => self.problem.as_ref().map(|problem| Value::from(Serde(problem))),
            done => console.done.of(done).map(|answer| {
                context! { label => reader.text("applied"), answer => Value::from(Serde(answer)) }
            }),
        };
        reader.page("change.html", status.unwrap_or(StatusCode::OK), own)
    }
}

pub(super) async fn page(
    State(console): State<Arc<Console>>,
    Query(query): Query<ChangeQuery>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    let reader = Reader::of(&console, caller, &headers);
    match Draft::in_force(&console).await {
        Ok(draft) => draft.show(&console, &reader, &query.done),
        Err(problem) => reader.problem(&problem),
    }
}

pub(super) async fn send(
    State(console): State<Arc<Console>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let (form, reader) = (Form::read(&body), Reader::of(&console, caller.clone(), &headers));
    match answer(&console, &caller, &form).await {
        Ok(Next::Show(draft)) => draft.show(&console, &reader, ""),
        Ok(Next::Applied(id)) => go(&format!("/console/change?done={id}")),
        Err(problem) => reader.problem(&problem),
    }
}

/// What comes after a form.
enum Next {
    /// The page, with a draft.
    Show(Box<Draft>),
    /// The page, after it was applied.
    Applied(String),
}

async fn answer(console: &Console, caller: &Caller, form: &Form) -> Result<Next, Problem> {
    if form.field("do") == Some("room") {
        let draft = Draft::in_force(console).await?;
        let room = new_room(form)?;
        let text =
            with_room(&draft.text, &room).map_err(|error| Problem::from(NotSwitched::Unread(error.to_string())))?;
        return Ok(Next::Show(Box::new(draft.with(console, caller, text).await)));
    }
    // Browsers send CRLF.
    let text = form.0.iter().find(|(name, _)| name == "text").map(|(_, text)| text.replace("\r\n", "\n"));
    let text = text.unwrap_or_default();
    let why = form.field("why").unwrap_or_default().to_owned();
    let draft = Draft { from: form.number("from")?.unwrap_or_default(), why, ..Draft::default() };
    if form.field("do") != Some("apply") {
        return Ok(Next::Show(Box::new(draft.with(console, caller, text).await)));
    }
    let id: String = form.field("id").unwrap_or_default().chars().filter(char::is_ascii_hexdigit).collect();
    if console.done.of(&id).is_some() {
        return Ok(Next::Applied(id));
    }
    let query = VersionQuery {
        from: Some(draft.from),
        why: Some(draft.why.clone()).filter(|why| !why.is_empty()),
        ..VersionQuery::default()
    };
    let since = Instant::now();
    match apply(State(console.fleet.clone()), Query(query), Extension(caller.clone()), Ok(text.clone())).await {
        Ok(changed) => {
            arrived(console, &id, &draft.why, &changed.0, since).await;
            Ok(Next::Applied(id))
        }
        // The same form a second time, while the first is under way.
        Err(_) if console.done.of(&id).is_some() => Ok(Next::Applied(id)),
        Err(problem) => Ok(Next::Show(Box::new(Draft { text, problem: Some(problem), ..draft }))),
    }
}

/// Keeps what was done, and then what each gateway says of it.
async fn arrived(console: &Console, id: &str, why: &str, changed: &Changed, since: Instant) {
    let mut answer = Answer {
        action: "apply".to_owned(),
        version: changed.in_force,
        is_new: changed.in_force != changed.from,
        why: why.to_owned(),
        changes: lines(&changed.changes),
        gateways: Vec::new(),
    };
    console.done.keep(id, answer.clone());
    if answer.is_new {
        let room = changed.changes.first().map(|change| change.room.as_str()).unwrap_or_default();
        answer.gateways = console.fleet.arrival(Awaited::Version(changed.in_force, room), since).await;
        console.done.keep(id, answer);
    }
}

fn new_room(form: &Form) -> Result<NewRoom, Problem> {
    let text = |name: &str| form.field(name).unwrap_or_default().to_owned();
    Ok(NewRoom {
        name: text("name"),
        host: text("host"),
        path: text("path"),
        new_users_per_minute: form.number("rate")?.unwrap_or_default(),
        total_active_users: form.number("seats")?,
    })
}
