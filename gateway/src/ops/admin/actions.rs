//! Actions of operators on a room: `POST /api/rooms/{room}/actions/{action}`, and the audit of all that was done.
//!
//! ```text
//! {"why": "the payment provider is down", "id": "6f1c", "confirm": "launch", "to": "+10%", "minutes": 5, "message": {"en": "..."},
//!  "shoppers": 30, "event": "winter-drop", "pass": "5.42"}
//! ```
//!
//! Each but `revoke` and `give-place` is a new version of the rooms, made from the one in force: `If-Match` says which that must be. The same `id` again is the
//! same action, and gets its answer. What an action means is in [`policy::action`].
//!
//! Out of scope: who may act (`access`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use policy::Millis;
use policy::action::{ACTIONS, Action, Amount, Controls, Refused, act, may_let_in, next_given, number_of};
use policy::audit::{Entry, Head};
use policy::event::{NotStarted, Phase, Times};
use policy::line::segment::place_of;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::problem::Problem;
use super::versions::tag;
use super::{named, no_room};
use crate::line::rooms::Snapshot;
use crate::line::store::registry::{Change, InForce};
use crate::ops::fleet::arrival::{Arrival, Awaited};
use crate::ops::fleet::{Fleet, NotSwitched};
use crate::ops::schema;
use crate::request::endpoints::{CODE, PLACE};
use crate::settings::config::event::EventConfig;
use crate::settings::config::{RoomChange, RoomConfig, edited, kept, with_start};
use crate::telemetry::{PROCESS, catalogue};
use crate::ui::{Language, iso};

/// Bytes of a body.
pub(super) const LONGEST: usize = 16 << 10;
/// Characters of a reason, and of a one-time id.
const LONGEST_WHY: usize = 500;
const LONGEST_ID: usize = 64;
/// How often an action is done again from a newer version, if the caller names none.
const TRIES: usize = 8;

/// The body of an action.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ActionRequest)]
pub(crate) struct Asked {
    /// Why, for those who read the audit.
    pub why: String,
    /// A text that the caller uses for this action alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The name of the room, typed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
    /// Of rate and seats: a number, or a step such as "+10%".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
    /// Of open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u64>,
    /// Of message: a text by the tag of its language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<BTreeMap<String, String>>,
    /// Of let-in: how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shoppers: Option<u64>,
    /// Of start-event: its name; default: the one in its pre-queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Of revoke: the id of a pass or place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<String>,
}

/// What was done.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ActionResult)]
pub(crate) struct Acted {
    /// The room.
    pub room: String,
    /// The action.
    pub action: String,
    /// The state of the room now, for programs.
    #[schema(value_type = schema::RoomState)]
    pub state: String,
    /// The same for people.
    pub label: String,
    /// Until when it is open to all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_to_all_until: Option<String>,
    /// Who did it.
    pub who: String,
    /// Why.
    pub why: String,
    /// The version that it was made from.
    pub from: u64,
    /// The version that it made; the same if nothing was to do.
    pub version: u64,
    /// What is different.
    pub changes: Vec<RoomChange>,
    /// Of give-place: what to send to the shopper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// What each gateway says.
    pub gateways: Vec<Arrival>,
    /// The last line of the audit.
    #[schema(value_type = schema::AuditHead)]
    pub audit: Head,
}

/// A place that was given. Who has the code has the place: it is in no log and no audit.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = GivenPlace)]
pub(crate) struct Place {
    /// Its id, as the shop gets it in `Weir-Pass-Id`; revoke takes it back.
    pub id: String,
    /// The code.
    pub code: String,
    /// The path of its page, on the host of the room.
    pub path: String,
    /// Until when the place can be taken.
    pub until: String,
}

/// What was asked, read.
struct Order {
    room: String,
    action: Action,
    asked: Asked,
    who: String,
    if_match: Option<u64>,
}

/// Acts on a room: a new version of the rooms, made from the one in force.
///
/// The same `id` again is the same action, and gets its answer. `confirm` is the name of the room, typed, where an action asks for it.
#[utoipa::path(
    post,
    path = "/api/rooms/{name}/actions/{action}",
    tag = "actions",
    operation_id = "act",
    params(
        ("name" = String, Path, description = "the room"),
        ("action" = schema::ActionName, Path, description = "what is done"),
        ("If-Match" = Option<String>, Header, description = "the version that must be in force, such as `\"7\"`"),
    ),
    request_body = Asked,
    responses(
        (
            status = OK,
            description = "what was done, and what each gateway says",
            body = Acted,
            headers(("ETag" = String, description = "the version in force")),
        ),
        (status = BAD_REQUEST, description = "no JSON, or an `If-Match` that is no version"),
        (status = NOT_FOUND, description = "no room, or no action, has that name"),
        (status = CONFLICT, description = "the state of the room does not allow it, or the id stands for another action"),
        (status = PRECONDITION_FAILED, description = "another version is in force"),
        (status = PAYLOAD_TOO_LARGE, description = "a body above 16 KiB"),
        (status = UNSUPPORTED_MEDIA_TYPE, description = "a body that does not say that it is JSON"),
        (status = UNPROCESSABLE_ENTITY, description = "a field that cannot be used: `where` and `how`"),
    ),
)]
pub(super) async fn do_it(
    State(fleet): State<Arc<Fleet>>,
    Path((room, action)): Path<(String, String)>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Json<Asked>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(asked) = body?;
    let acted = act_on(&fleet, room, &action, asked, caller.name, if_match(&headers)?).await?;
    Ok(([tag(acted.version)], Json(acted)).into_response())
}

/// Does what was asked to this room, for the caller of this name: the one way to act, for the API and the console.
///
/// # Errors
/// If the action is not known, is not asked for rightly, or is refused.
pub(super) async fn act_on(
    fleet: &Fleet,
    room: String,
    action: &str,
    asked: Asked,
    who: String,
    if_match: Option<u64>,
) -> Result<Acted, Problem> {
    let order = Order { action: action_of(action, &asked)?, if_match, who, room, asked: with_reason(asked)? };
    order.run(fleet).await
}

/// The version that must be in force, if the caller names one.
fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(tag) = headers.get(header::IF_MATCH).filter(|tag| *tag != "*") else { return Ok(None) };
    let number = tag.to_str().ok().and_then(|tag| tag.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok());
    let wrong = || {
        Problem::new(StatusCode::BAD_REQUEST, "If-Match is no version of the rooms")
            .mended_by("write the ETag of /api/versions, such as If-Match: \"7\"")
    };
    number.map(Some).ok_or_else(wrong)
}

/// A reason, for those who read the audit.
///
/// # Errors
/// If it is empty, too long or more than a line.
pub(super) fn is_reason(why: &str) -> Result<(), Refused> {
    let length = why.trim().chars().count();
    let what = match () {
        () if length == 0 => "there is no reason",
        () if length > LONGEST_WHY => "the reason is too long",
        () if why.trim().contains(char::is_control) => "the reason has control characters",
        () => return Ok(()),
    };
    Err(Refused::wrong("why", what, format!("say why in 1 to {LONGEST_WHY} characters on one line")))
}

fn with_reason(asked: Asked) -> Result<Asked, Refused> {
    is_reason(&asked.why)?;
    let id = asked.id.as_deref();
    let fits = |id: &str| (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    if id.is_some_and(|id| !fits(id)) {
        let how = format!("write 1 to {LONGEST_ID} letters, digits or signs, another text for each action");
        return Err(Refused::wrong("id", "this is no one-time id", how));
    }
    Ok(asked)
}

/// The action of this name with what was sent for it, and nothing that belongs to another one.
fn action_of(name: &str, asked: &Asked) -> Result<Action, Problem> {
    let given = [
        ("to", asked.to.is_some()),
        ("minutes", asked.minutes.is_some()),
        ("message", asked.message.is_some()),
        ("shoppers", asked.shoppers.is_some()),
        ("event", asked.event.is_some()),
        ("pass", asked.pass.is_some()),
    ];
    let takes = match name {
        "rate" | "seats" => Some("to"),
        "open" => Some("minutes"),
        "message" => Some("message"),
        "let-in" => Some("shoppers"),
        "start-event" => Some("event"),
        "revoke" => Some("pass"),
        _ => None,
    };
    if let Some((field, _)) = given.into_iter().find(|(field, given)| *given && takes != Some(*field)) {
        return Err(Refused::wrong(field, format!("{name} takes no {field}"), "leave it out").into());
    }
    Ok(match name {
        "pause" => Action::Pause,
        "resume" => Action::Resume,
        "close" => Action::Close,
        "reopen" => Action::Reopen,
        "last-call" => Action::LastCall,
        "stop" => Action::Stop,
        "rate" => Action::Rate(amount(asked)?),
        "seats" => Action::Seats(amount(asked)?),
        "open" => {
            Action::Open(asked.minutes.ok_or_else(|| {
                Refused::wrong("minutes", "for how long is missing", "write 1 to 60; 0 ends an opening")
            })?)
        }
        "message" => Action::Message(message(asked)?),
        "let-in" => Action::LetIn(asked.shoppers.ok_or_else(|| {
            Refused::wrong(
                "shoppers",
                "how many is missing",
                "write at most a minute of the rate, such as \"shoppers\": 30",
            )
        })?),
        "start-event" => Action::StartEvent(asked.event.clone()),
        "revoke" => Action::Revoke(number_of(asked.pass.as_deref().unwrap_or_default())?),
        "give-place" => Action::GivePlace,
        _ => {
            let problem = Problem::new(StatusCode::NOT_FOUND, format!("there is no action {name:?}"));
            return Err(problem.mended_by(format!("ask for one of {}", ACTIONS.join(", "))));
        }
    })
}

fn amount(asked: &Asked) -> Result<Amount, Refused> {
    match &asked.to {
        Some(Value::String(text)) => Amount::read(text),
        Some(Value::Number(number)) => Amount::read(&number.to_string()),
        Some(_) | None => {
            Err(Refused::wrong("to", "a number is missing", "write \"to\": 480, or a step such as \"to\": \"+10%\""))
        }
    }
}

/// The texts by the names that languages have in the rooms. An empty one is none.
fn message(asked: &Asked) -> Result<BTreeMap<String, String>, Refused> {
    let known = || Language::ALL.map(Language::tag).join(", ");
    let Some(texts) = &asked.message else {
        let how = format!("write \"message\": {{\"en\": \"...\"}} with one of {}; {{}} clears it", known());
        return Err(Refused::wrong("message", "the text is missing", how));
    };
    let mut read = BTreeMap::new();
    for (tag, text) in texts.iter().filter(|(_, text)| !text.is_empty()) {
        let Some(language) = Language::from_tag(tag) else {
            let what = format!("the page has no language {tag:?}");
            return Err(Refused::wrong("message", what, format!("write one of {}", known())));
        };
        read.insert(language.name().to_owned(), text.clone());
    }
    Ok(read)
}

impl Order {
    async fn run(&self, fleet: &Fleet) -> Result<Acted, Problem> {
        fleet.refresh().await;
        for _ in 0..TRIES {
            if let Some(done) = self.done_before(fleet)? {
                let since = Instant::now();
                return self.told(fleet, done, since, Vec::new()).await;
            }
            let since = Instant::now();
            match self.once(fleet).await {
                Ok((entry, changes)) => {
                    if entry.from != entry.version || self.is_a_line_alone() {
                        PROCESS.counter(&catalogue::ACTIONS, &[self.action.name()]).increment(1);
                    }
                    return self.told(fleet, entry, since, changes).await;
                }
                // The same came to another gateway at this moment.
                Err(Stopped::Done) => {}
                // Another operator was first, or this very action came twice: what was asked is asked of the newer version.
                Err(Stopped::Overtaken(number)) => {
                    fleet.refresh().await;
                    if self.if_match.is_some() && self.done_before(fleet)?.is_none() {
                        return Err(overtaken(number));
                    }
                }
                Err(Stopped::Refused(problem)) => {
                    self.note_refusal(fleet, &problem).await;
                    return Err(problem);
                }
                Err(Stopped::Failed(problem)) => return Err(problem),
            }
        }
        Err(NotSwitched::Busy.into())
    }

    /// Whether it makes no version, but a line of the audit that gateways obey.
    fn is_a_line_alone(&self) -> bool {
        matches!(self.action, Action::Revoke(_) | Action::GivePlace)
    }

    /// The line of the audit, if this very action was done before.
    fn done_before(&self, fleet: &Fleet) -> Result<Option<Entry>, Problem> {
        let Some(done) = self.asked.id.as_deref().and_then(|id| fleet.trail.of_id(id)) else { return Ok(None) };
        // Which place is given, no caller says.
        let with = done.with == self.with() || self.action == Action::GivePlace;
        let same = done.action == self.action.name() && done.room.as_deref() == Some(&*self.room) && with;
        if !same {
            let what = format!("the id was used for {} at {}", done.action, done.at);
            let problem = Problem::new(StatusCode::CONFLICT, what).about("id");
            return Err(problem.mended_by("use another id for each action"));
        }
        match &done.refused {
            Some(refused) => Err(Problem::new(StatusCode::CONFLICT, refused.clone())),
            None => Ok(Some(done)),
        }
    }

    /// Does it to the rooms in force.
    async fn once(&self, fleet: &Fleet) -> Result<(Entry, Vec<RoomChange>), Stopped> {
        let (knows, text) = fleet.plan.text().await.map_err(|why| Stopped::refused(NotSwitched::Invalid(vec![why])))?;
        if self.if_match.is_some_and(|number| number != knows.number) {
            return Err(Stopped::Overtaken(knows.number));
        }
        let room = room_of(fleet, &self.room).ok_or_else(|| Stopped::Failed(no_room(&self.room)))?;
        let before = room.controls();
        let utc = fleet.store_time().ok_or_else(|| Stopped::Failed(no_time()))?;
        set_by_event(&room, &self.action, utc)
            .map_or(Ok(()), Err)
            .map_err(|refused| Stopped::Refused(refused.into()))?;
        let known = named(&fleet.shared, &self.room).map(|room| room.snapshot().clone());
        let known = known.filter(|known| known.view.is_some());
        if let Action::Revoke(number) = self.action {
            return self.revoke(fleet, knows, number, known.as_deref()).await;
        }
        if self.action == Action::GivePlace {
            return self.give(fleet, knows, known.as_deref()).await;
        }
        // The clock by which an event starts may be ahead of the store's after a loss.
        let line_utc = known.as_ref().and_then(|known| known.utc(Instant::now()));
        let utc = line_utc.map_or(utc, |line| utc.max(line));
        let line = known.as_ref().map(|known| known.store_time(Instant::now()));
        let after = self.after(&before, utc, line).map_err(|refused| Stopped::Refused(refused.into()))?;
        self.is_fit(&room, known.as_deref(), utc).map_err(|refused| Stopped::Refused(refused.into()))?;
        let started = self.event(&room, utc).map_err(|refused| Stopped::Refused(refused.into()))?;
        let mut entry = self.entry(knows);
        if after == before && started.is_none() {
            entry.version = Some(knows.number);
            fleet.note(&entry).await.map_err(Stopped::failed)?;
            return Ok((entry, Vec::new()));
        }
        let next = match &started {
            Some((event, times)) => with_start(&text, &self.room, event, times),
            None => edited(&text, &self.room, &before, &after),
        };
        let next = kept(&next.map_err(|error| Stopped::refused(NotSwitched::Unread(error.to_string())))?);
        let preview = fleet.preview(&next, Some(knows.number)).await.map_err(Stopped::refused)?;
        only_this_room(&preview.changes, &self.room)?;
        entry.version = Some(knows.switch + 1);
        match fleet.record(&entry, knows, Change::Add(next.into())).await {
            Ok(_) => Ok((entry, preview.changes)),
            Err(NotSwitched::Other(number)) => Err(Stopped::Overtaken(number)),
            Err(error) => Err(Stopped::failed(error)),
        }
    }

    /// The room after the action, at this time of the store. The time of its line may be ahead of that after a loss, and passes
    /// carry the time of the line: the later one ends a stop, so that it ended all of them.
    fn after(&self, before: &Controls, utc: Millis, line: Option<Millis>) -> Result<Controls, Refused> {
        self.action.confirmed(&self.room, self.asked.confirm.as_deref())?;
        let mut after = act(before, &self.action, utc)?;
        if after.passes_since != before.passes_since {
            after.passes_since = after.passes_since.max(line.unwrap_or_default());
        }
        Ok(after)
    }

    /// Whether the line is in a state for it.
    fn is_fit(&self, room: &RoomConfig, known: Option<&Snapshot>, utc: Millis) -> Result<(), Refused> {
        let Action::LetIn(shoppers) = self.action else { return Ok(()) };
        let line = known.and_then(|known| known.view.clone()).unwrap_or_default();
        may_let_in(shoppers, &room.at(utc).rules, &line)
    }

    /// The event to start, and its times from now on.
    fn event(&self, room: &RoomConfig, utc: Millis) -> Result<Option<(String, Times)>, Refused> {
        let Action::StartEvent(name) = &self.action else { return Ok(None) };
        let mut events = room.events.iter().filter(|event| !event.suspended);
        let event = match name {
            Some(name) => events.find(|event| event.name == *name).ok_or_else(|| {
                let names: Vec<&str> = room.events.iter().map(|event| event.name.as_str()).collect();
                let what = format!("the room has no event {name:?} that takes place");
                Refused::wrong("event", what, format!("write one of its events: {}", names.join(", ")))
            }),
            None => events.find(|event| event.times().phase(utc) == Phase::Prequeue).ok_or_else(|| {
                let what = "no event of the room is in its pre-queue";
                Refused::wrong("event", what, "write the name of the event to start")
            }),
        }?;
        let times = event.times().started(utc).map_err(|why| {
            let how = match why {
                NotStarted::Prequeue(until) => format!("say it again at {}", iso(until)),
                NotStarted::Running | NotStarted::Ended => "look at /api/rooms for the events to come".to_owned(),
            };
            Refused { field: None, what: format!("the event {:?}: {why}", event.name), how }
        })?;
        Ok(Some((event.name.clone(), times)))
    }

    /// Writes down that a pass ends: each gateway that reads it ends the pass.
    async fn revoke(
        &self,
        fleet: &Fleet,
        knows: InForce,
        number: u64,
        known: Option<&Snapshot>,
    ) -> Result<(Entry, Vec<RoomChange>), Stopped> {
        let view = known.and_then(|known| known.view.as_ref());
        if !view.is_some_and(|line| line.segments.has(number)) {
            let what = format!("{} was given to nobody in this room", self.with().unwrap_or_default());
            let how = "write the Weir-Pass-Id that the shop got, or the number on the page, of this room";
            return Err(Stopped::Refused(Refused::wrong("pass", what, how).into()));
        }
        let entry = Entry { version: Some(knows.number), ..self.entry(knows) };
        fleet.note(&entry).await.map_err(Stopped::failed)?;
        Ok((entry, Vec::new()))
    }

    /// Writes down the next place of those that operators give: each gateway that reads it tells the line. Of two gateways that take
    /// the same number, the second finds the line of the first and takes the next.
    async fn give(
        &self,
        fleet: &Fleet,
        knows: InForce,
        known: Option<&Snapshot>,
    ) -> Result<(Entry, Vec<RoomChange>), Stopped> {
        let line = known.and_then(|known| known.view.as_ref()).ok_or_else(|| Stopped::Failed(no_time()))?;
        let (given, head) = fleet.trail.given_in(&self.room);
        let now = fleet.store_time().unwrap_or_default();
        let live = given.iter().filter(|given| given.ticket().expires > now).count();
        let number = next_given(line, given.iter().map(|given| given.number), live)
            .map_err(|refused| Stopped::Refused(refused.into()))?;
        let entry = Entry { version: Some(knows.number), with: Some(id_of(number)), ..self.entry(knows) };
        match fleet.note_behind(&entry, head).await {
            Ok(true) => Ok((entry, Vec::new())),
            Ok(false) => Err(Stopped::Done),
            Err(error) => Err(Stopped::failed(error)),
        }
    }

    /// What to send to the shopper for a place that was given.
    fn place(&self, fleet: &Fleet, entry: &Entry) -> Option<Place> {
        let number = entry.with.as_deref().and_then(|id| number_of(id).ok())?;
        let (given, _) = fleet.trail.given_in(&self.room);
        let ticket = given.iter().rev().find(|given| given.number == number)?.ticket();
        let live = named(&fleet.shared, &self.room)?;
        let code = fleet.shared.site.load().sealer.seal(live.id, &ticket);
        let path = format!("{PLACE}{}?{CODE}={code}", live.name);
        Some(Place { id: id_of(number), code, path, until: iso(ticket.expires) })
    }

    fn entry(&self, knows: InForce) -> Entry {
        Entry {
            who: self.who.clone(),
            action: self.action.name().to_owned(),
            room: Some(self.room.clone()),
            with: self.with(),
            why: Some(self.asked.why.trim().to_owned()),
            id: self.asked.id.clone(),
            from: Some(knows.number),
            ..Entry::default()
        }
    }

    /// What the action was done with, in one text.
    fn with(&self) -> Option<String> {
        let minutes = self.asked.minutes.map(|minutes| format!("{minutes} min"));
        let to = self.asked.to.as_ref().map(|to| to.as_str().map_or_else(|| to.to_string(), str::to_owned));
        let message = match &self.action {
            Action::Message(texts) => serde_json::to_string(texts).ok(),
            _ => None,
        };
        let number = self.asked.shoppers.map(|shoppers| shoppers.to_string());
        let more =
            number.or(self.asked.event.clone()).or(self.asked.pass.as_deref().map(|pass| pass.trim().to_owned()));
        to.or(minutes).or(message).or(more)
    }

    async fn note_refusal(&self, fleet: &Fleet, problem: &Problem) {
        let knows = fleet.plan.wanted().0;
        let entry = Entry { refused: Some(problem.told()), ..self.entry(knows) };
        if let Err(error) = fleet.note(&entry).await {
            tracing::warn!(%error, "a refusal could not be written down");
        }
    }

    /// The answer: what is in force, and where.
    async fn told(
        &self,
        fleet: &Fleet,
        entry: Entry,
        since: Instant,
        changes: Vec<RoomChange>,
    ) -> Result<Acted, Problem> {
        let (from, version) = (entry.from.unwrap_or_default(), entry.version.unwrap_or_default());
        let present = fleet.plan.wanted().0.number;
        // Done before, and something else is in force by now: where that is does not matter any more.
        let gateways = if self.is_a_line_alone() {
            fleet.arrival(Awaited::Line(fleet.trail.head()), since).await
        } else if present == version {
            fleet.arrival(Awaited::Version(version, &self.room), since).await
        } else {
            Vec::new()
        };
        let place = if self.action == Action::GivePlace { self.place(fleet, &entry) } else { None };
        let controls = room_of(fleet, &self.room).ok_or_else(|| no_room(&self.room))?.controls();
        let state = controls.state(fleet.store_time().unwrap_or_default());
        tracing::info!(room = self.room, action = entry.action, state = state.label(), version, "an operator acted");
        Ok(Acted {
            room: self.room.clone(),
            action: entry.action,
            state: state.name().to_owned(),
            label: state.label().to_owned(),
            open_to_all_until: (controls.open_until > 0).then(|| iso(controls.open_until)),
            who: entry.who,
            why: entry.why.unwrap_or_default(),
            from,
            version,
            changes,
            place,
            gateways,
            audit: fleet.trail.head(),
        })
    }
}

/// The id of a number for people, as in `Weir-Pass-Id`.
fn id_of(number: u64) -> String {
    let (unit, place) = place_of(number);
    format!("{unit}.{place}")
}

fn overtaken(number: u64) -> Problem {
    let what = format!("version {number} is in force by now: the action was not done");
    Problem::new(StatusCode::PRECONDITION_FAILED, what).mended_by("look at the room again, and name that version")
}

fn no_time() -> Problem {
    let what = "the store has not answered yet: the action was not done";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, what).mended_by("say it again in a second")
}

/// Why an action was not done.
enum Stopped {
    /// Another version came in force.
    Overtaken(u64),
    /// It may not be done: the audit says so.
    Refused(Problem),
    /// It was done meanwhile.
    Done,
    /// It could not be done.
    Failed(Problem),
}

impl Stopped {
    fn refused(error: NotSwitched) -> Self {
        Self::Refused(error.into())
    }

    fn failed(error: NotSwitched) -> Self {
        if matches!(error, NotSwitched::Done) { Self::Done } else { Self::Failed(error.into()) }
    }
}

/// A file that was changed since it came in force would come in force with the action.
fn only_this_room(changes: &[RoomChange], room: &str) -> Result<(), Stopped> {
    let Some(other) = changes.iter().find(|change| change.room != room) else { return Ok(()) };
    let what = format!("the file of this gateway says otherwise than what is in force: {other}");
    let problem = Problem::new(StatusCode::CONFLICT, what);
    Err(Stopped::Refused(problem.mended_by("put the rooms in force with weir apply first")))
}

/// Why a rate or a number of seats is not the room's own at this time of the store: an event sets it.
fn set_by_event(room: &RoomConfig, action: &Action, utc: Millis) -> Option<Refused> {
    let begun = |event: &&EventConfig| matches!(event.times().phase(utc), Phase::Prequeue | Phase::Running);
    let event = room.events.iter().filter(|event| !event.suspended).find(begun)?;
    let (key, is_set) = match action {
        Action::Rate(_) => ("new_users_per_minute", event.new_users_per_minute.is_some()),
        Action::Seats(_) => ("total_active_users", event.total_active_users.is_some()),
        _ => return None,
    };
    is_set.then(|| Refused {
        field: None,
        what: format!("the event {:?} sets {key} until it ends", event.name),
        how: "change it there, and apply the rooms".to_owned(),
    })
}

fn room_of(fleet: &Fleet, name: &str) -> Option<RoomConfig> {
    fleet.shared.site.load().config.rooms.iter().find(|room| room.name == name).cloned()
}

/// The query of the audit.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// The first line, by its number.
    #[serde(default)]
    from: u64,
}

/// The last lines of the audit that this gateway saw, oldest first, as they are kept: one JSON each.
#[utoipa::path(
    get,
    path = "/api/audit",
    tag = "audit",
    params(AuditQuery),
    responses(
        (
            status = OK,
            description = "at most 1,000 lines, each naming the hash of the line before",
            body = String,
            content_type = "application/x-ndjson",
            headers(("Weir-Audit-Head" = String, description = "number and hash of the last line")),
        ),
        (status = BAD_REQUEST, description = "a parameter that cannot be read"),
    ),
)]
pub(super) async fn audit(State(fleet): State<Arc<Fleet>>, Query(asked): Query<AuditQuery>) -> Response {
    fleet.refresh().await;
    let lines: String = fleet.trail.recent(asked.from).iter().flat_map(|line| [line, "\n"]).collect();
    let kind = HeaderValue::from_static("application/x-ndjson");
    let head = HeaderValue::try_from(fleet.trail.head().to_string()).unwrap_or(HeaderValue::from_static("0"));
    ([(header::CONTENT_TYPE, kind), (header::HeaderName::from_static("weir-audit-head"), head)], lines).into_response()
}
