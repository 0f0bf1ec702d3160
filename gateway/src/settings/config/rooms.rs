//! Rooms on their own: a text of `[[room]]` tables, as `weir apply` takes it and the store keeps it.
//!
//! A kept text says for which meaning of the keys it was written: a newer Weir must not read more or less into it.
//! It is read and checked like the rooms of a whole file, against everything else that is in that file.
//! Names of files are looked for beside the file of each gateway, and lead to pages, logos and secrets of signals there alone, by the
//! ends of their names: a caller that can write into the store cannot have another file shown or sent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Component, Path};

use policy::action::Controls;
use policy::event::Times;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use toml_diagnostics::{Diagnostic, Document};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, TableLike, value};
use utoipa::ToSchema;

use super::room::written as moment;
use super::signal::SignalConfig;
use super::{Config, RoomConfig, beside, check, event, parse, route, schema};

/// The meaning of the keys. 1 is not written: `path` was the path alone, unless it ended in `/*`. 2: it covers what is below.
const FORMAT: u32 = 2;

/// A text that holds rooms and nothing else.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["room"]))]
pub struct RoomsConfig {
    /// For which meaning of the keys the text was written; `weir apply` adds it.
    #[schemars(extend("enum" = [FORMAT]))]
    pub format: Option<u32>,
    /// The rules that protect hosts and paths.
    #[serde(rename = "room")]
    #[schemars(length(min = 1))]
    pub rooms: Vec<RoomConfig>,
}

impl Config {
    /// This configuration with the rooms of `text` instead of its own. Problems name the text as `name`.
    ///
    /// # Errors
    /// Everything that is wrong with the text, or with it and the rest of this configuration together.
    pub fn with_rooms(&self, text: &str, name: &str, folder: &Path) -> Result<Self, Vec<Diagnostic>> {
        self.with(text, name, folder, |_, _| ())
    }

    /// The same for a text that was kept. One of an older meaning is refused where it says something else today.
    ///
    /// # Errors
    /// As above, and what has another meaning.
    pub fn with_kept_rooms(&self, text: &str, name: &str, folder: &Path) -> Result<Self, Vec<Diagnostic>> {
        self.with(text, name, folder, refuse_older_meaning)
    }

    fn with(
        &self,
        text: &str,
        name: &str,
        folder: &Path,
        also: fn(&RoomsConfig, &mut Document<'_>),
    ) -> Result<Self, Vec<Diagnostic>> {
        let (written, mut document) = parse::<RoomsConfig>(text, name, &schema::ROOMS);
        also(&written, &mut document);
        refuse_other_files(&written, &mut document);
        let RoomsConfig { mut rooms, .. } = written;
        resolve(&mut rooms, folder);
        let mut config = Self { rooms, ..self.clone() };
        if !document.is_broken() {
            check::rooms(&config, &mut document);
        }
        config.warnings.retain(|warning| !warning.key.starts_with("room "));
        config.warnings.extend(document.finish()?);
        Ok(config)
    }
}

/// Rooms, and warnings about them.
pub type Reviewed = (Vec<RoomConfig>, Vec<Diagnostic>);

/// The rooms of a text that holds nothing else, with warnings, as far as they can be judged without a gateway's file; `None`: it
/// holds more.
///
/// # Errors
/// What is wrong with the values, and with their events.
pub fn review_rooms(text: &str, name: &str) -> Option<Result<Reviewed, Vec<Diagnostic>>> {
    let table: toml::Table = text.parse().ok()?;
    if !table.contains_key("room") || table.keys().any(|key| key != "room" && key != "format") {
        return None;
    }
    let (RoomsConfig { mut rooms, .. }, mut document) = parse::<RoomsConfig>(text, name, &schema::ROOMS);
    rooms.iter_mut().for_each(RoomConfig::fill);
    if !document.is_broken() {
        let check = |(index, room): (usize, &RoomConfig)| event::check(room, &format!("room.{index}"), &mut document);
        rooms.iter().enumerate().for_each(check);
    }
    Some(document.review().map(|warnings| (rooms, warnings)))
}

/// A text as it is kept: it says for which meaning of the keys it was written.
pub fn kept(text: &str) -> String {
    let written: toml::Table = text.parse().unwrap_or_default();
    let text = text.trim_start_matches('\u{feff}');
    if written.contains_key("format") { text.to_owned() } else { format!("format = {FORMAT}\n{text}") }
}

/// Why a text of rooms cannot be edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotEdited {
    /// It is no TOML: a file that was changed since it came in force.
    #[error("the rooms cannot be read any more: {0}")]
    Unread(String),
    /// It has no such room.
    #[error("the rooms have no room {0:?} any more")]
    NoRoom(String),
    /// The room has no such event.
    #[error("room {0:?} has no event {1:?} any more")]
    NoEvent(String, String),
}

/// The `[[room]]` tables of a configuration file as a text of their own.
///
/// # Errors
/// If it is no TOML.
pub fn rooms_alone(file: &str) -> Result<String, NotEdited> {
    let mut document = read(file)?;
    document.as_table_mut().retain(|key, _| key == "room");
    Ok(document.to_string())
}

/// A text of rooms in which what differs between `before` and `after` was written into this room. Everything else stays as it
/// is written, comments too.
///
/// # Errors
/// If it is no TOML, or the room is not there.
pub fn edited(text: &str, room: &str, before: &Controls, after: &Controls) -> Result<String, NotEdited> {
    let mut document = read(text)?;
    let table = table_of(document.get_mut("room"), room).ok_or_else(|| NotEdited::NoRoom(room.to_owned()))?;
    let written = |value: &Option<toml_edit::Value>| value.as_ref().map(ToString::to_string);
    let keys = keys_of(before).into_iter().zip(keys_of(after));
    for (_, (key, to)) in keys.filter(|((_, old), (_, new))| written(old) != written(new)) {
        match to {
            Some(to) => drop(table.insert(key, value(to))),
            None => drop(table.remove(key)),
        }
    }
    if before.message != after.message {
        let mut message = toml_edit::InlineTable::new();
        after.message.iter().for_each(|(language, text)| drop(message.insert(language, text.as_str().into())));
        if message.is_empty() {
            table.remove("message")
        } else {
            table.insert("message", value(message))
        };
    }
    Ok(document.to_string())
}

/// A text of rooms in which this event of the room has these times: its start, and its pre-queue if it still has one. Everything else
/// stays as it is written.
///
/// # Errors
/// If it is no TOML, or room or event are not there.
pub fn with_start(text: &str, room: &str, event: &str, times: &Times) -> Result<String, NotEdited> {
    let mut document = read(text)?;
    let table = table_of(document.get_mut("room"), room).ok_or_else(|| NotEdited::NoRoom(room.to_owned()))?;
    let no_event = || NotEdited::NoEvent(room.to_owned(), event.to_owned());
    let table = table_of(table.get_mut("event"), event).ok_or_else(no_event)?;
    table.insert("event_start_time", value(moment(times.start)));
    if times.prequeue.is_none() {
        table.remove("prequeue_start_time");
        table.remove("prequeue_active_users");
    }
    Ok(document.to_string())
}

/// A text of rooms in which this event of the room has these keys, and not those that are `None`; it is made if the room has none of this
/// name. Everything else stays as it is written.
///
/// # Errors
/// If it is no TOML, or the room is not there.
pub fn with_event(
    text: &str,
    room: &str,
    event: &str,
    keys: &[(&str, Option<toml_edit::Value>)],
) -> Result<String, NotEdited> {
    let mut document = read(text)?;
    let no_room = || NotEdited::NoRoom(room.to_owned());
    let room = table_of(document.get_mut("room"), room).ok_or_else(no_room)?;
    if table_of(room.get_mut("event"), event).is_none() {
        let mut made = Table::new();
        made.insert("name", value(event));
        add_to(room, "event", made);
    }
    if let Some(table) = table_of(room.get_mut("event"), event) {
        for (key, to) in keys {
            match to {
                Some(to) => drop(table.insert(key, value(to.clone()))),
                None => drop(table.remove(key)),
            }
        }
    }
    Ok(document.to_string())
}

/// What a new room is made of; the rest is as by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewRoom {
    /// Its name.
    pub name: String,
    /// Its host.
    pub host: String,
    /// Its path.
    pub path: String,
    /// New shoppers allowed per minute.
    pub new_users_per_minute: u64,
    /// Shoppers inside at once.
    pub total_active_users: Option<u64>,
}

/// A text of rooms with one more behind them. Everything else stays as it is written.
///
/// # Errors
/// If it is no TOML.
pub fn with_room(text: &str, room: &NewRoom) -> Result<String, NotEdited> {
    let mut document = read(text)?;
    let number = |number: u64| value(i64::try_from(number).unwrap_or(i64::MAX));
    let mut made = Table::new();
    made.insert("name", value(&room.name));
    made.insert("host", value(&room.host));
    made.insert("path", value(&room.path));
    made.insert("new_users_per_minute", number(room.new_users_per_minute));
    room.total_active_users.map(|seats| made.insert("total_active_users", number(seats)));
    add_to(document.as_table_mut(), "room", made);
    Ok(document.to_string())
}

/// Puts a table behind a list of them, however the list is written.
fn add_to(to: &mut dyn TableLike, list: &str, made: Table) {
    match to.get_mut(list) {
        Some(Item::ArrayOfTables(tables)) => tables.push(made),
        Some(Item::Value(toml_edit::Value::Array(inline))) => inline.push(made.into_inline_table()),
        _ => {
            let mut tables = ArrayOfTables::new();
            tables.push(made);
            to.insert(list, Item::ArrayOfTables(tables));
        }
    }
}

fn read(text: &str) -> Result<DocumentMut, NotEdited> {
    text.trim_start_matches('\u{feff}')
        .parse()
        .map_err(|error: toml_edit::TomlError| NotEdited::Unread(error.to_string()))
}

/// The keys of a room that actions set, but for the message; `None`: not written.
fn keys_of(controls: &Controls) -> Vec<(&'static str, Option<toml_edit::Value>)> {
    let flag = |on: bool| on.then(|| toml_edit::Value::from(true));
    let at = |millis| (millis > 0).then(|| toml_edit::Value::from(moment(millis)));
    vec![
        ("new_users_per_minute", Some(i64::from(controls.new_users_per_minute).into())),
        (
            "total_active_users",
            controls.total_active_users.map(|seats| i64::try_from(seats).unwrap_or(i64::MAX).into()),
        ),
        ("queue_all", flag(controls.queue_all)),
        ("last_call", flag(controls.last_call)),
        ("suspended", flag(controls.suspended)),
        ("stopped", flag(controls.stopped)),
        ("passes_since", at(controls.passes_since)),
        ("open_to_all_until", at(controls.open_until)),
        ("let_in", controls.let_in.map(|order| i64::try_from(order.shoppers).unwrap_or(i64::MAX).into())),
        ("let_in_at", at(controls.let_in.map_or(0, |order| order.at))),
    ]
}

fn is_called(table: &dyn TableLike, name: &str) -> bool {
    table.get("name").and_then(Item::as_str) == Some(name)
}

/// The table of a room, however the list is written.
fn table_of<'d>(rooms: Option<&'d mut Item>, name: &str) -> Option<&'d mut dyn TableLike> {
    match rooms? {
        Item::ArrayOfTables(tables) => {
            tables.iter_mut().find(|table| is_called(&**table, name)).map(|table| table as &mut dyn TableLike)
        }
        Item::Value(toml_edit::Value::Array(list)) => {
            let tables = list.iter_mut().filter_map(toml_edit::Value::as_inline_table_mut);
            tables.map(|table| table as &mut dyn TableLike).find(|table| is_called(&**table, name))
        }
        _ => None,
    }
}

/// Names of files in a text of rooms: below the folder of the configuration, and called what they are. A logo is looked into.
fn refuse_other_files(written: &RoomsConfig, document: &mut Document<'_>) {
    for (index, room) in written.rooms.iter().enumerate() {
        let pages = room.pages().map(|(key, file)| (key, Some(file.as_path()), "a page", &["html", "htm"][..]));
        let logo = ("brand.logo".to_owned(), room.brand.logo.as_deref(), "a logo", &[][..]);
        let signals = room.signals.iter().enumerate().flat_map(|(index, signal)| {
            let at = |key| format!("signal.{index}.{key}");
            let files = [("password_file", &signal.password_file), ("token_file", &signal.token_file)];
            files.map(|(key, file)| (at(key), file.as_deref(), "a secret of a signal", &["signal"][..]))
        });
        for (key, file, called, ends) in pages.chain([logo]).chain(signals) {
            let Some(file) = file else { continue };
            let at = format!("room.{index}.{key}");
            let below = file.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            if !below {
                let what = format!("{} is not below the folder of the gateway's configuration", file.display());
                document.report(&at, what, "put it there, and name it without \"/\" before it and without \"..\"");
            } else if let [usual, ..] = ends
                && !file.extension().is_some_and(|end| ends.iter().any(|known| end == *known))
            {
                let what = format!("{} is not called {called}", file.display());
                document.report(&at, what, format!("let its name end in .{usual}"));
            }
        }
    }
}

/// A path without `/*` was that path alone before the text said its format.
fn refuse_older_meaning(written: &RoomsConfig, document: &mut Document<'_>) {
    if written.format.is_some() || document.has("format") {
        return;
    }
    for (index, room) in written.rooms.iter().enumerate() {
        let own = std::iter::once(format!("room.{index}.path"));
        let places = own.chain((0..).map(|more| format!("room.{index}.additional_routes.{more}.path")));
        for (at, scope) in places.zip(room.scopes()).filter(|(_, scope)| !scope.path.ends_with("/*")) {
            if document.has(&at) {
                let what = format!("{:?} was kept as the path alone, and covers all below it today", scope.path);
                document.report(&at, what, "apply the rooms again, with exact = true where the path alone is meant");
            }
        }
    }
}

pub(super) fn resolve(rooms: &mut [RoomConfig], folder: &Path) {
    for room in rooms.iter_mut() {
        room.fill();
        route::tidy(&mut room.path, room.exact);
        room.additional_routes.iter_mut().for_each(|scope| route::tidy(&mut scope.path, scope.exact));
    }
    let files = rooms.iter_mut().flat_map(|room| {
        let pages = [&mut room.custom_page_html, &mut room.brand.logo].into_iter().flatten();
        let of_events = room.events.iter_mut().filter_map(|event| event.custom_page_html.as_mut());
        pages.chain(of_events).chain(room.signals.iter_mut().flat_map(SignalConfig::files))
    });
    beside(folder, files);
}

/// What is different about a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RoomChange {
    /// Its name.
    pub room: String,
    /// What became of it.
    pub what: What,
    /// The keys that differ; of a new room those that are not as by default, from null.
    pub keys: Vec<KeyChange>,
    /// Who loses a place by it. Not of a gateway that does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loses: Option<Loss>,
}

/// Places and passes that count for nothing any more, because no room has their line or reads their cookie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Loss {
    /// The line.
    pub line: String,
    /// Tickets that wait in it, and called ones whose holders stand at the door.
    pub waiting: u64,
    /// Passes that live.
    pub active_users: u64,
    /// What a room would have to say to keep them.
    pub kept_by: String,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { waiting, active_users, kept_by, .. } = self;
        write!(f, "{waiting} waiting and {active_users} inside lose their places, unless a room says {kept_by}")
    }
}

impl fmt::Display for RoomChange {
    /// In one line, for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "room {:?} {}", self.room, self.what.name())?;
        for (at, KeyChange { key, from, to }) in self.keys.iter().enumerate() {
            write!(f, "{} {key}", if at == 0 { ":" } else { "," })?;
            if self.what == What::Changed {
                write!(f, " {} ->", shown(from))?;
            }
            write!(f, " {}", shown(to))?;
        }
        Ok(())
    }
}

/// A value for people.
pub fn shown(value: &Json) -> String {
    if value.is_null() { "(none)".to_owned() } else { value.to_string() }
}

/// What became of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = RoomChangeKind)]
pub enum What {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Some of its keys have another value.
    Changed,
}

impl What {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// A key with another value. What is absent is null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeyChange {
    /// The key, such as `poll.min`.
    pub key: String,
    /// What it was.
    pub from: Json,
    /// What it is.
    pub to: Json,
}

/// What is different, room by room and key by key. Defaults count as written. A room that keeps its line is the same,
/// whatever it is called. The places that it costs are counted where the lines are known, and not here.
pub fn difference(before: &[RoomConfig], after: &[RoomConfig]) -> Vec<RoomChange> {
    let (before, after) = (by_line(before), by_line(after));
    let lines: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    let changes = lines.into_iter().filter_map(|line| match (before.get(line), after.get(line)) {
        (Some(old), Some(new)) => changed(old, new),
        (Some(old), None) => {
            Some(RoomChange { room: old.name.clone(), what: What::Removed, keys: Vec::new(), loses: loss(old, None) })
        }
        (None, Some(new)) => {
            Some(RoomChange { room: new.name.clone(), what: What::Added, keys: written(new), loses: None })
        }
        (None, None) => None,
    });
    changes.collect()
}

fn changed(old: &RoomConfig, new: &RoomConfig) -> Option<RoomChange> {
    let keys = differing(&flat(old), &flat(new));
    let loses = loss(old, Some(new));
    (!keys.is_empty()).then(|| RoomChange { room: new.name.clone(), what: What::Changed, keys, loses })
}

/// The lines that go, or whose cookies are not read any more, with the names of their rooms; no places are counted.
pub fn losses<'r>(before: &'r [RoomConfig], after: &[RoomConfig]) -> Vec<(&'r str, Loss)> {
    let after = by_line(after);
    let lost = |room: &'r RoomConfig| Some((room.name.as_str(), loss(room, after.get(room.line()).copied())?));
    before.iter().filter_map(lost).collect()
}

/// What becomes of those in the line of a room that is `new` now, or gone.
fn loss(old: &RoomConfig, new: Option<&RoomConfig>) -> Option<Loss> {
    let cookie = |room: &RoomConfig| (room.cookie_suffix.clone(), room.cookie_attributes.domain.is_some());
    let kept_by = match (new, &old.cookie_attributes.domain) {
        (None, _) => format!("previous_name = {:?}", old.line()),
        (Some(new), _) if cookie(old) == cookie(new) => return None,
        (Some(new), _) if old.cookie_suffix != new.cookie_suffix => format!("cookie_suffix = {:?}", old.cookie_suffix),
        (_, Some(domain)) => format!("cookie_attributes.domain = {domain:?}"),
        (_, None) => "nothing of cookie_attributes.domain".to_owned(),
    };
    Some(Loss { line: old.line().to_owned(), waiting: 0, active_users: 0, kept_by })
}

fn by_line(rooms: &[RoomConfig]) -> BTreeMap<&str, &RoomConfig> {
    rooms.iter().map(|room| (room.line(), room)).collect()
}

/// The keys of a new room that have another value than in one of which only the name is written.
fn written(room: &RoomConfig) -> Vec<KeyChange> {
    let mut blank = RoomConfig { name: room.name.clone(), ..RoomConfig::default() };
    blank.fill();
    let keys = differing(&flat(&blank), &flat(room)).into_iter();
    keys.map(|key| KeyChange { from: Json::Null, ..key }).collect()
}

type Keys = BTreeMap<String, Json>;

pub(super) fn differing(old: &Keys, new: &Keys) -> Vec<KeyChange> {
    let change = |(key, to): (&String, &Json)| KeyChange {
        key: key.clone(),
        from: old.get(key).cloned().unwrap_or_default(),
        to: to.clone(),
    };
    new.iter().map(change).filter(|change| change.from != change.to).collect()
}

/// As it would be written.
pub(super) fn json(config: &impl Serialize) -> Json {
    serde_json::to_value(config).unwrap_or_default()
}

/// The keys of a room with what they stand for.
fn flat(room: &RoomConfig) -> Keys {
    let mut keys = Keys::new();
    if let Json::Object(table) = json(room) {
        flatten("", table, &mut keys);
    }
    keys
}

pub(super) fn flatten(prefix: &str, table: Map<String, Json>, into: &mut Keys) {
    for (name, value) in table {
        match value {
            Json::Object(inner) => flatten(&format!("{prefix}{name}."), inner, into),
            value => drop(into.insert(format!("{prefix}{name}"), value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "[[upstream]]\nname = \"shop\"\nservers = \"shop:80\"\n[[route]]\nhost = \"*\"\nupstream = \"shop\"\n";
    const LAUNCH: &str = "[[room]]\nname = \"launch\"\nhost = \"*\"\nnew_users_per_minute = 60\n";

    fn rooms(text: &str) -> Result<Config, Vec<Diagnostic>> {
        let file = Config::read(FILE, Path::new("weir.toml")).expect("a good file");
        file.with_rooms(text, "rooms.toml", Path::new("pages"))
    }

    fn problems(text: &str) -> String {
        let problems = rooms(text).err().unwrap_or_default();
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn an_event_and_a_room_are_added_and_changed_however_the_file_is_written() {
        let start = |at: &str| [("event_start_time", Some(toml_edit::Value::from(at))), ("suspended", None)];
        let noted = format!("# ours\n{LAUNCH}# kept\nburst = 5\n");
        let inline = "room = [{ name = \"launch\", host = \"*\", event = [{ name = \"old\", suspended = true }] }]\n";
        for (text, kept) in [(noted.as_str(), "# kept\nburst = 5\n"), (inline, "name = \"old\", suspended = true")] {
            let made = with_event(text, "launch", "drop", &start("2099-12-01T20:00:00Z")).expect("it is made");
            assert!(made.contains(kept) && made.contains("2099-12-01T20:00:00Z"), "{made}");
            let moved = with_event(&made, "launch", "drop", &start("2099-12-02T20:00:00Z")).expect("it is changed");
            assert!(moved.contains("12-02T") && !moved.contains("12-01T"), "in its place: {moved}");
            let room = NewRoom { name: "tickets".to_owned(), host: "*".to_owned(), ..NewRoom::default() };
            let more = with_room(&moved, &room).expect("it is made");
            assert!(more.contains(kept) && with_event(&more, "tickets", "eve", &[]).is_ok(), "{more}");
        }
        let cleared = with_event(inline, "launch", "old", &start("2099-12-01T20:00:00Z")).expect("it is changed");
        assert!(!cleared.contains("suspended"), "{cleared}");
        assert!(matches!(with_event(LAUNCH, "none", "drop", &[]), Err(NotEdited::NoRoom(_))));
    }

    #[test]
    fn the_same_rooms_written_otherwise_are_no_difference() {
        let before = rooms(&format!("{LAUNCH}claim_window = \"60s\"\n")).expect("good").rooms;
        let after = format!(
            "{LAUNCH}claim_window = \"1m\"\nsuspended = false\npath = \"/*\"\nexact = false\npoll.max = \"8s\"\n"
        );
        assert_eq!(difference(&before, &rooms(&after).expect("good").rooms), []);
    }

    #[test]
    fn a_difference_names_rooms_and_keys() {
        let before =
            format!("{LAUNCH}burst = 3\n[[room]]\nname = \"old\"\nhost = \"old.example\"\nnew_users_per_minute = 1\n");
        let after = LAUNCH.replace("= 60", "= 90") + "poll = { min = \"2s\" }\n";
        let after = after + &LAUNCH.replace("launch", "new").replace("\"*\"", "\"new.example\"");
        let told = difference(&rooms(&before).expect("good").rooms, &rooms(&after).expect("good").rooms);
        let told: Vec<String> = told
            .iter()
            .flat_map(|change| {
                let line = format!("{} {:?}", change.room, change.what);
                let keys = change.keys.iter().map(|key| format!("{} {} -> {}", key.key, key.from, key.to));
                std::iter::once(line).chain(keys).collect::<Vec<_>>()
            })
            .collect();
        let expected = [
            "launch Changed",
            "burst 3 -> null",
            "new_users_per_minute 60 -> 90",
            "poll.min \"1s\" -> \"2s\"",
            "new Added",
            "host null -> \"new.example\"",
            "new_users_per_minute null -> 60",
            "old Removed",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_room_that_keeps_its_line_is_the_same_and_who_loses_theirs_is_told_how_to_keep_it() {
        let config = |text: &str| rooms(text).expect("good").rooms;
        let renamed = LAUNCH.replace("\"launch\"", "\"drop\"");
        let kept = format!("{renamed}previous_name = \"launch\"\n");
        let changes = difference(&config(LAUNCH), &config(&kept));
        let told: Vec<String> = changes.iter().map(ToString::to_string).collect();
        let words = r#"room "drop" changed: name "launch" -> "drop", previous_name (none) -> "launch""#;
        assert_eq!((told, changes[0].loses.clone()), (vec![words.to_owned()], None));

        let changes = difference(&config(&kept), &config(&renamed));
        let words: Vec<_> = changes.iter().map(|change| (change.what, change.room.as_str(), &change.loses)).collect();
        let kept_by = "previous_name = \"launch\"".to_owned();
        let loss = Loss { line: "launch".to_owned(), waiting: 0, active_users: 0, kept_by };
        assert_eq!(words, [(What::Added, "drop", &None), (What::Removed, "drop", &Some(loss))]);

        for (cookie, kept_by) in [
            ("cookie_suffix = \"sale\"", "cookie_suffix = \"launch\""),
            ("cookie_attributes.domain = \"a.example\"", "nothing of cookie_attributes.domain"),
        ] {
            let hosted = LAUNCH.replace("\"*\"", "\"a.example\"");
            let changes = difference(&config(&hosted), &config(&format!("{hosted}{cookie}\n")));
            assert_eq!(changes[0].loses.as_ref().map(|loss| loss.kept_by.as_str()), Some(kept_by));
        }
        let told = problems(&format!("{kept}{}", LAUNCH.replace("\"*\"", "\"a.example\"")));
        assert!(told.contains("launch is already taken on line 5") && told.lines().count() == 1, "{told}");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_nothing_else_is() {
        let told = problems(&LAUNCH.replace("new_users", "new_user"));
        assert!(
            told.contains("rooms.toml:4:1") && told.contains("did you mean") && told.lines().count() == 2,
            "{told}"
        );
        let told = problems(&format!("{LAUNCH}upstream = \"shoop\"\n"));
        assert!(told.starts_with("rooms.toml:5:12: ") && told.lines().count() == 1, "{told}");
        let told = problems(&format!("{LAUNCH}custom_page_html = \"none.html\"\n"));
        assert!(told.contains("pages/none.html") && told.lines().count() == 1, "{told}");
        let told = problems(&format!("{LAUNCH}{LAUNCH}"));
        assert!(told.contains("already taken on line"), "{told}");
    }

    #[test]
    fn a_text_of_rooms_names_pages_and_logos_below_the_folder_and_no_other_file() {
        let wrong = ["/etc/passwd", "../page.html", "a/../../b.html", "weir.secret", "weir.toml", "page", ".html"];
        for file in wrong {
            let told = problems(&format!("{LAUNCH}custom_page_html = \"{file}\"\n"));
            assert!(
                told.contains("is not below the folder") || told.contains("is not called a page"),
                "{file}: {told}"
            );
        }
        let told = problems(&format!("{LAUNCH}brand.logo = \"/logo.svg\"\n"));
        assert!(told.contains("brand.logo: /logo.svg is not below"), "{told}");
        let signal =
            "[[room.signal]]\nkind = \"postgres\"\nfull_at = 1\nurl = \"postgres://weir@db/shop\"\npassword_file =";
        for file in ["admin.token", "weir.secret", "redis.password", "db.signal.key"] {
            let told = problems(&format!("{LAUNCH}{signal} \"{file}\"\n"));
            assert!(told.contains("is not called a secret of a signal"), "{file}: {told}");
        }
        let told = problems(&format!("{LAUNCH}{signal} \"../db.signal\"\n"));
        assert!(told.contains("is not below the folder"), "{told}");
        let told = problems(&format!("{LAUNCH}{signal} \"db.signal\"\n"));
        assert!(!told.contains("is not called") && told.contains("there is no file"), "{told}");
        for file in ["page.html", "./pages/page.htm"] {
            let told = problems(&format!("{LAUNCH}custom_page_html = \"{file}\"\n"));
            assert!(told.contains("there is no file") && told.lines().count() == 1, "{told}");
        }
    }

    #[test]
    fn a_kept_text_of_the_older_meaning_is_refused_where_it_would_be_widened() {
        let file = Config::read(FILE, Path::new("weir.toml")).expect("a good file");
        let kept_before = |text: &str| file.with_kept_rooms(text, "version 3 of the rooms", Path::new(""));
        let more =
            |path: &str| format!("{LAUNCH}additional_routes = [{{ host = \"a.example\", path = \"{path}\" }}]\n");
        for same in [LAUNCH.to_owned(), format!("{LAUNCH}path = \"/launch/*\"\n"), more("/x/*")] {
            assert!(kept_before(&same).is_ok(), "{same}");
        }
        for wider in [format!("{LAUNCH}path = \"/launch\"\n"), format!("{LAUNCH}path = \"/\"\n"), more("/x")] {
            let problems = kept_before(&wider).err().unwrap_or_default();
            let told = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            assert!(
                told.starts_with("version 3 of the rooms:5:") && told.contains("was kept as the path alone"),
                "{told}"
            );
            assert!(told.contains("apply the rooms again") && told.lines().count() == 1, "{told}");
            assert!(rooms(&wider).is_ok(), "as a text of today");
            let marked = kept(&wider);
            assert!(kept_before(&marked).is_ok() && kept(&marked) == marked, "{marked}");
        }
        assert!(problems(&format!("format = 3\n{LAUNCH}")).contains("3 is not allowed; write 2"));
    }

    #[test]
    fn what_an_action_sets_is_written_into_its_room_and_nothing_else_is_touched() {
        use policy::action::{Action, Amount, act};
        let file = format!(
            "{FILE}{LAUNCH}# for the launch\n{}",
            LAUNCH.replace("launch", "drop").replace("\"*\"", "\"b.example\"")
        );
        let alone = rooms_alone(&file).expect("TOML");
        assert!(!alone.contains("[[upstream]]") && alone.contains("# for the launch"), "{alone}");
        let (mut text, mut room) = (alone.clone(), rooms(&alone).expect("good").rooms[1].clone());
        let message = BTreeMap::from([("en-US".to_owned(), "a \"quoted\" \\ word".to_owned())]);
        let all =
            [Action::Rate(Amount::To(90)), Action::Seats(Amount::To(7)), Action::Message(message), Action::Open(1)];
        for action in
            all.into_iter().chain([Action::LastCall, Action::Pause, Action::Stop, Action::Reopen, Action::Close])
        {
            let (before, now) = (room.controls(), 1_800_000_000_123);
            let after = act(&before, &action, now).expect("done");
            text = edited(&text, "drop", &before, &after).expect("edited");
            let read = rooms(&text).expect(&text).rooms;
            assert_eq!((&read[1].controls(), &read[0]), (&after, &rooms(&alone).expect("good").rooms[0]), "{action:?}");
            room = read[1].clone();
        }
        let undone = [Action::Reopen, Action::Resume, Action::Message(BTreeMap::new()), Action::Rate(Amount::To(60))];
        for action in undone {
            let before = room.controls();
            let after = act(&before, &action, 0).expect("done");
            text = edited(&text, "drop", &before, &after).expect("edited");
            room = rooms(&text).expect("good").rooms[1].clone();
        }
        let left: Vec<&str> = text.lines().filter(|line| !alone.contains(line)).collect();
        assert_eq!(left, ["total_active_users = 7", "passes_since = \"2027-01-15T08:00:00.123Z\""], "{text}");

        let inline = "room = [{ name = \"launch\", host = \"*\", new_users_per_minute = 60 }]\n";
        let controls = rooms(inline).expect("good").rooms[0].controls();
        let paused = Controls { queue_all: true, ..controls.clone() };
        assert!(edited(inline, "launch", &controls, &paused).expect("edited").contains("queue_all = true"));
        assert_eq!(edited(inline, "lunch", &controls, &paused), Err(NotEdited::NoRoom("lunch".to_owned())));
        assert!(matches!(edited("[[room]\n", "x", &controls, &paused), Err(NotEdited::Unread(_))));
    }

    #[test]
    fn a_text_without_rooms_or_with_anything_else_is_refused() {
        assert!(problems("").contains("room: is missing"), "{}", problems(""));
        assert!(problems("room = []").contains("empty list"));
        assert!(problems(&format!("{LAUNCH}[store]\n")).contains("unknown key \"store\""));
        assert!(problems("[[room]\n").contains("rooms.toml:1"));
    }
}
