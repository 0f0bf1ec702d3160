//! `[[room.event]]`: when a room opens, and what is different until it ends.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::temporal::Pieces;
use jiff::tz::{Offset, TimeZone};
use policy::Millis;
use policy::event::{BadTimes, Event, Times, TooLate};
use policy::room::QueueingMethod;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml_diagnostics::{Diagnostic, Document, between};

use super::check::distinct;
use super::room::{METHODS, RoomConfig};
use super::value::{AsText as _, FileName, Time, Written};

/// An event of the room. What it does not say is as in the room, also if that changes meanwhile. Events of a room never overlap.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "event_start_time", "event_end_time"]))]
pub struct EventConfig {
    /// Its name in the room, in addresses and logs: a-z, 0-9 and "-".
    #[schemars(extend("format" = "name"))]
    pub name: String,
    /// What it is, for operators.
    #[schemars(extend("format" = "line"))]
    pub description: Option<String>,
    /// Time zone in which its times are shown, by its IANA name; default: the room's. An offset in a time that is not the zone's on
    /// that day is refused: the one of winter is wrong in summer.
    #[schemars(extend("format" = "time_zone"))]
    pub time_zone: Option<String>,
    /// From here on all newcomers wait and nobody enters: at least 30 s before the start. RFC 3339 with an offset or "Z", as all times.
    #[serde(with = "Clock")]
    pub prequeue_start_time: Option<Moment>,
    /// From here on shoppers enter.
    #[serde(with = "Clock")]
    pub event_start_time: Moment,
    /// From here on the room is as without the event, and who waits keeps the place: at least 1 min after the start.
    #[serde(with = "Clock")]
    pub event_end_time: Moment,
    /// Not built yet: the order of those in the pre-queue is drawn at the start.
    pub shuffle_at_event_start: bool,
    /// The event does not take place: as if it were not written.
    pub suspended: bool,
    /// From the pre-queue on those who are inside wait too: their passes end, and they take a place as newcomers.
    pub prequeue_active_users: bool,
    /// New shoppers that may enter in a minute, up to `max_new_users_per_minute` of the room; 0: nobody.
    #[schemars(range(max = 60_000_000))]
    pub new_users_per_minute: Option<u32>,
    /// Shoppers inside at once.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub total_active_users: Option<u64>,
    /// How long a pass lives, and for how long a renewal extends it.
    #[serde(with = "Time")]
    #[schemars(transform = between("5s", "30d"))]
    pub session_duration: Option<Duration>,
    /// Passes end `session_duration` after they were given.
    pub disable_session_renewal: Option<bool>,
    /// How shoppers over the limits are treated.
    #[schemars(with = "Option<String>", extend("enum" = METHODS))]
    pub queueing_method: Option<QueueingMethod>,
    /// Template of its own waiting page.
    #[serde(with = "FileName")]
    pub custom_page_html: Option<PathBuf>,
}

/// A time as it is written: a moment, and the offset of the zone that the writer had in mind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    text: String,
    at: Timestamp,
    offset: Offset,
}

/// What stands for a time that could not be read.
impl Default for Moment {
    fn default() -> Self {
        Self { text: String::new(), at: Timestamp::UNIX_EPOCH, offset: Offset::UTC }
    }
}

impl Moment {
    /// In milliseconds since 1970, UTC.
    pub fn millis(&self) -> Millis {
        Millis::try_from(self.at.as_millisecond()).unwrap_or(0)
    }

    /// The time in this zone, with the zone's name.
    pub fn in_zone(&self, zone: &TimeZone) -> String {
        self.at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
    }

    /// The offset of that zone then, if the writer had another one in mind. "Z" is nobody's mistake.
    fn contradicts(&self, zone: &TimeZone) -> Option<Offset> {
        let there = zone.to_offset(self.at);
        (self.offset != Offset::UTC && self.offset != there).then_some(there)
    }
}

/// The start of an event lies this close to the making of the version that started it: clocks are read on two machines.
const AT_ONCE: Millis = 2_000;

#[derive(JsonSchema)]
#[schemars(with = "String", extend("format" = "moment"))]
pub(super) struct Clock;

impl super::value::AsText for Clock {}

impl Written for Moment {
    type Text = String;

    fn read(text: String) -> Result<Self, Diagnostic> {
        let fix = "write date, time and offset, such as \"2026-12-01T20:00:00+09:00\", or \"Z\" instead of the offset";
        let wrong = |what: String| Diagnostic::new(what, fix);
        let no_time = || wrong(format!("{text:?} is not a time"));
        let pieces = Pieces::parse(&text).map_err(|_| no_time())?;
        let time = pieces.time().ok_or_else(|| wrong(format!("{text:?} is a date without a time")))?;
        if pieces.time_zone_annotation().is_some() {
            let what = format!("{text:?} names a zone within the time");
            return Err(Diagnostic::new(what, "leave out the brackets, and name the zone in time_zone"));
        }
        let no_zone = || wrong(format!("{text:?} is without a zone: it is another moment in each"));
        let offset = pieces.to_numeric_offset().ok_or_else(no_zone)?;
        let at = offset.to_timestamp(pieces.date().to_datetime(time)).map_err(|_| no_time())?;
        if at < Timestamp::UNIX_EPOCH {
            return Err(wrong(format!("{text:?} is before 1970")));
        }
        Ok(Self { text, at, offset })
    }

    fn write(&self) -> String {
        self.text.clone()
    }
}

impl EventConfig {
    /// Its times, in UTC.
    pub fn times(&self) -> Times {
        Times {
            prequeue: self.prequeue_start_time.as_ref().map(Moment::millis),
            start: self.event_start_time.millis(),
            end: self.event_end_time.millis(),
        }
    }

    /// The zone in which its times are shown.
    pub fn zone(&self, room: &RoomConfig) -> TimeZone {
        TimeZone::get(self.time_zone.as_deref().unwrap_or(&room.time_zone)).unwrap_or(TimeZone::UTC)
    }

    /// The event as it is decided on at this store time.
    pub(super) fn policy(&self, room: &RoomConfig, now: Millis) -> Event {
        Event {
            name: self.name.clone(),
            times: self.times(),
            prequeue_active_users: self.prequeue_active_users,
            room: room.during(self).policy_at(now),
        }
    }

    /// The keys of the room that are others while it runs, as they would be written, and their values.
    pub fn overrides(&self) -> Vec<(&'static str, String)> {
        let text = |value: serde_json::Value| value.to_string();
        let all = [
            ("new_users_per_minute", self.new_users_per_minute.map(|value| text(value.into()))),
            ("total_active_users", self.total_active_users.map(|value| text(value.into()))),
            ("session_duration", self.session_duration.map(|value| text(value.write().into()))),
            ("disable_session_renewal", self.disable_session_renewal.map(|value| text(value.into()))),
            ("queueing_method", self.queueing_method.map(|value| text(serde_json::json!(value)))),
            ("custom_page_html", self.custom_page_html.as_ref().map(|value| text(value.write().into()))),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

/// What an event may override, in the order in which it is told.
pub const OVERRIDES: [&str; 6] = [
    "new_users_per_minute",
    "total_active_users",
    "session_duration",
    "disable_session_renewal",
    "queueing_method",
    "custom_page_html",
];

/// Whether a text is a time.
pub(super) fn is_moment(text: &str) -> Result<(), Diagnostic> {
    Moment::read(text.to_owned()).map(drop)
}

/// Complains about what does not fit together in the events of the room at `at`.
pub(super) fn check(room: &RoomConfig, at: &str, document: &mut Document<'_>) {
    let places: Vec<String> = (0..room.events.len()).map(|index| format!("{at}.event.{index}")).collect();
    let names = places.iter().zip(&room.events).filter(|(_, event)| !event.name.is_empty());
    let names: Vec<_> = names.map(|(at, event)| (format!("{at}.name"), event.name.clone())).collect();
    distinct(document, names, "events of a room need names of their own");
    for (event, at) in room.events.iter().zip(&places) {
        times(event, at, document);
        rules(room, event, at, document);
    }
    overlaps(room, &places, document);
    if room.new_users_per_minute == 0
        && room.events.iter().all(|event| event.suspended)
        && document.has(&format!("{at}.new_users_per_minute"))
    {
        let fix = "write how many may enter in a minute, or an event in which they may";
        document.warn(&format!("{at}.new_users_per_minute"), "is 0, and no event is to come: nobody enters", fix);
    }
}

/// What comes too late of a change to the events of `after`, at this time of the store. `name` is that of the text in diagnostics.
/// Events that are over may come back with a version that is: they do nothing.
pub fn late_changes(
    before: &[RoomConfig],
    after: &[RoomConfig],
    utc: Millis,
    name: &str,
    comes_back: bool,
) -> Vec<Diagnostic> {
    let mut all = Vec::new();
    for room in after {
        let same = before.iter().find(|old| old.line() == room.line());
        for event in room.events.iter().filter(|event| !event.suspended) {
            let old = same.and_then(|same| same.events.iter().find(|old| old.name == event.name));
            let late = late_change(old.filter(|old| !old.suspended), event, utc);
            all.extend(late.filter(|_| old.is_some() || !comes_back).map(|(key, told)| Diagnostic {
                file: name.to_owned(),
                key: format!("room {:?}: event {:?}: {key}", room.name, event.name),
                ..told
            }));
        }
    }
    all
}

/// Events of `after` that were started before their time in one of these versions, and would start again: when each version was made,
/// and its rooms. `name` is that of the text in diagnostics.
pub fn started_again(
    versions: &[(Millis, Vec<RoomConfig>)],
    after: &[RoomConfig],
    utc: Millis,
    name: &str,
) -> Vec<Diagnostic> {
    let mut all = Vec::new();
    for room in after {
        let to_come = |event: &&EventConfig| !event.suspended && event.event_start_time.millis() > utc;
        for event in room.events.iter().filter(to_come) {
            let same = |(made, rooms): &(Millis, Vec<RoomConfig>)| {
                let room = rooms.iter().find(|old| old.line() == room.line())?;
                let old = room.events.iter().find(|old| old.name == event.name)?;
                let started = !old.suspended && old.event_start_time.millis() <= made.saturating_add(AT_ONCE);
                (started && old.times().end == event.times().end).then(|| old.event_start_time.text.clone())
            };
            if let Some(started) = versions.iter().find_map(same) {
                let what = format!("the event was started at {started:?}, and an event starts once");
                let fix = "leave it out, or set suspended = true, and apply the rooms";
                all.push(Diagnostic {
                    file: name.to_owned(),
                    key: format!("room {:?}: event {:?}: event_start_time", room.name, event.name),
                    ..Diagnostic::new(what, fix)
                });
            }
        }
    }
    all
}

/// The key of the event that comes too late, and what is told of it.
fn late_change(old: Option<&EventConfig>, event: &EventConfig, utc: Millis) -> Option<(&'static str, Diagnostic)> {
    let before = old.map(EventConfig::times);
    let late = event.times().check_change(before.as_ref(), utc).err()?;
    Some(match (late, old) {
        (TooLate::Start, old) => {
            let started = old.map_or("", |old| &old.event_start_time.text);
            let what = format!("{late}: it cannot start at {:?} instead of {started:?}", event.event_start_time.text);
            ("event_start_time", Diagnostic::new(what, format!("write {started:?} again")))
        }
        (TooLate::End, Some(_)) => {
            let what = format!("{:?} {late}", event.event_end_time.text);
            let fix = "write a time to come, or suspended = true to end the event at once";
            ("event_end_time", Diagnostic::new(what, fix))
        }
        (TooLate::End, None) => {
            let what = format!("{:?} {late}: the event cannot take place", event.event_end_time.text);
            ("event_end_time", Diagnostic::new(what, "write times to come, or leave the event out"))
        }
    })
}

fn times(event: &EventConfig, at: &str, document: &mut Document<'_>) {
    let keys = [
        ("prequeue_start_time", event.prequeue_start_time.as_ref()),
        ("event_start_time", Some(&event.event_start_time)),
        ("event_end_time", Some(&event.event_end_time)),
    ];
    if !keys.iter().all(|(key, _)| document.is_sound(&format!("{at}.{key}"))) {
        return;
    }
    let zone = event.time_zone.as_deref().and_then(|name| TimeZone::get(name).ok().map(|zone| (name, zone)));
    for (key, moment) in keys {
        if let (Some((name, zone)), Some(moment)) = (&zone, moment)
            && let Some(there) = moment.contradicts(zone)
        {
            let what = format!("{:?} is not on the clocks of {name}, which are at {there} then", moment.text);
            document.report(&format!("{at}.{key}"), what, "write that offset, or \"Z\" for UTC, or another time_zone");
        }
    }
    match event.times().check() {
        Ok(()) => {}
        Err(wrong @ BadTimes::Prequeue) => {
            let what = format!("{wrong}, which is at {:?}", event.event_start_time.text);
            document.report(&format!("{at}.prequeue_start_time"), what, "write an earlier time");
        }
        Err(wrong @ BadTimes::End) => {
            let what = format!("{wrong}, which is at {:?}", event.event_start_time.text);
            document.report(&format!("{at}.event_end_time"), what, "write a later time");
        }
    }
}

fn rules(room: &RoomConfig, event: &EventConfig, at: &str, document: &mut Document<'_>) {
    let during = room.during(event);
    if event.shuffle_at_event_start {
        let what = "is not built yet: it comes with the draw, later work";
        document.report(&format!("{at}.shuffle_at_event_start"), what, "leave it out: the order of arrival holds");
    }
    if event.prequeue_active_users && event.prequeue_start_time.is_none() {
        let fix = "add prequeue_start_time, or remove this";
        document.report(&format!("{at}.prequeue_active_users"), "there is no pre-queue in which they could wait", fix);
    }
    if during.queueing_method == QueueingMethod::Reject && event.prequeue_start_time.is_some() {
        let what = "\"reject\" keeps no line, so nobody can wait in a pre-queue";
        document.report(&format!("{at}.prequeue_start_time"), what, "remove it, or add queueing_method = \"fifo\"");
    }
    if during.queueing_method == QueueingMethod::Passthrough && (room.queue_all || during.new_users_per_minute == 0) {
        let what = "\"passthrough\" lets everyone in, where the room or the event lets nobody in";
        document.report(&format!("{at}.queueing_method"), what, "remove one of the two");
    }
    if let (Some(rate), Some(most)) = (event.new_users_per_minute, room.max_new_users_per_minute)
        && rate > most
    {
        let what = format!("{rate} is more than max_new_users_per_minute of the room, which is {most}");
        let fix = "write at most as much, or a higher max_new_users_per_minute";
        document.report(&format!("{at}.new_users_per_minute"), what, fix);
    }
    if room.max_session.is_some_and(|longest| longest < during.session_duration) {
        let what = "is longer than max_session of the room, for which a pass lasts at most";
        document.report(&format!("{at}.session_duration"), what, "write at most as much, or a longer max_session");
    }
}

fn overlaps(room: &RoomConfig, places: &[String], document: &mut Document<'_>) {
    let mut held: Vec<_> =
        room.events.iter().zip(places).filter(|(event, _)| !event.suspended && event.times().check().is_ok()).collect();
    held.sort_by_key(|(event, _)| event.times().begin());
    for pair in held.windows(2) {
        let [(first, first_at), (second, second_at)] = pair else { continue };
        if !first.times().overlaps(&second.times()) {
            continue;
        }
        let key = if second.prequeue_start_time.is_some() { "prequeue_start_time" } else { "event_start_time" };
        let line = document.line(&format!("{first_at}.name"));
        let what = format!(
            "{:?} begins while {:?} (line {line}) goes on, until {:?}: events of a room never overlap",
            second.name, first.name, first.event_end_time.text
        );
        document.report(&format!("{second_at}.{key}"), what, "write a later time, or end the other one earlier");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_says_its_zone() {
        let millis =
            |text: &str| Moment::read(text.to_owned()).map(|moment| moment.millis()).map_err(|wrong| wrong.what);
        let seven = Ok(1_796_122_800_000);
        for same in
            ["2026-12-01T20:00:00+09:00", "2026-12-01T11:00:00Z", "2026-12-01t11:00:00z", "2026-12-01T12:00+01:00"]
        {
            assert_eq!(millis(same), seven, "{same}");
        }
        let wrong = [
            ("2026-12-01T20:00:00", "is without a zone"),
            ("2026-12-01", "is a date without a time"),
            ("20:00", "is not a time"),
            ("", "is not a time"),
            ("2026-02-30T20:00:00Z", "is not a time"),
            ("2026-12-01T20:00:00+09:00[Asia/Seoul]", "names a zone within the time"),
            ("1969-12-31T23:59:59Z", "is before 1970"),
            ("9999-12-31T23:59:59-25:59", "is not a time"),
        ];
        for (text, said) in wrong {
            assert!(millis(text).is_err_and(|what| what.contains(said)), "{text}: {:?}", millis(text));
        }
    }

    #[test]
    fn a_time_is_told_in_the_zone_by_its_name() {
        let moment = Moment::read("2026-07-01T11:00:00Z".to_owned()).expect("a time");
        let told = |zone| moment.in_zone(&TimeZone::get(zone).expect("a zone"));
        assert_eq!(told("Europe/Berlin"), "2026-07-01 13:00:00 CEST");
        assert_eq!(told("Asia/Seoul"), "2026-07-01 20:00:00 KST");
    }

    #[test]
    fn the_overrides_that_are_told_are_all_there_are() {
        let all = EventConfig {
            new_users_per_minute: Some(1),
            total_active_users: Some(1),
            session_duration: Some(Duration::from_mins(1)),
            disable_session_renewal: Some(true),
            queueing_method: Some(QueueingMethod::Fifo),
            custom_page_html: Some("a.html".into()),
            ..EventConfig::default()
        };
        let told: Vec<_> = all.overrides().into_iter().map(|(key, _)| key).collect();
        assert_eq!(told, OVERRIDES);
    }
}
