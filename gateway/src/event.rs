//! `weir event`: what the events of a file mean, before anybody waits for one.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use gateway::settings::config::event::OVERRIDES;
use gateway::settings::config::{Config, EventConfig, RoomConfig, review_rooms};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print the phases of every event of a file, what is different in each, and everything that is wrong with them, such as
    /// events that overlap.
    Preview {
        /// A file of rooms, as `weir apply` takes it, or a whole configuration file.
        file: PathBuf,
    },
}

pub(crate) fn run(Command::Preview { file }: &Command) -> anyhow::Result<String> {
    let mut out = String::new();
    for room in rooms(file)? {
        preview(&mut out, &room)?;
    }
    if out.is_empty() { Ok(format!("{}: no room has an event\n", file.display())) } else { Ok(out) }
}

fn rooms(file: &Path) -> anyhow::Result<Vec<RoomConfig>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let read = match review_rooms(&text, &file.display().to_string()) {
        Some(read) => read,
        None => Config::review(file).map(|config| (config.rooms, config.warnings)),
    };
    match read {
        Ok((rooms, warnings)) => {
            for warning in warnings.iter().filter(|warning| warning.key.contains("event")) {
                eprintln!("warning: {warning}");
            }
            Ok(rooms)
        }
        Err(problems) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            bail!("{}: {} to mend", file.display(), problems.len());
        }
    }
}

fn preview(out: &mut String, room: &RoomConfig) -> std::fmt::Result {
    let mut events: Vec<_> = room.events.iter().collect();
    events.sort_by_key(|event| event.times().begin());
    for event in events {
        writeln!(
            out,
            "room {:?}, event {:?}{}",
            room.name,
            event.name,
            if event.suspended { " (suspended: it does not take place)" } else { "" }
        )?;
        if let Some(description) = &event.description {
            writeln!(out, "  {description}")?;
        }
        phases(out, room, event)?;
        let own = event.overrides();
        for (key, value) in &own {
            writeln!(out, "  {key:<24} {value}, in the room {}", of_room(room, key))?;
        }
        for key in OVERRIDES.iter().filter(|key| own.iter().all(|(own, _)| own != *key)) {
            writeln!(out, "  {key:<24} {}, as in the room", of_room(room, key))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn phases(out: &mut String, room: &RoomConfig, event: &EventConfig) -> std::fmt::Result {
    let zone = event.zone(room);
    let name = event.time_zone.as_deref().unwrap_or(&room.time_zone);
    writeln!(out, "  times of {name}")?;
    if let Some(prequeue) = &event.prequeue_start_time {
        let inside = if event.prequeue_active_users { "who is inside waits too" } else { "who is inside stays inside" };
        writeln!(out, "  {}  prequeue  all newcomers wait and nobody enters; {inside}", prequeue.in_zone(&zone))?;
    }
    writeln!(out, "  {}  running   {}", event.event_start_time.in_zone(&zone), enters(&room.during(event)))?;
    writeln!(out, "  {}  ended     {}", event.event_end_time.in_zone(&zone), enters(room))
}

/// Who enters, in words.
fn enters(room: &RoomConfig) -> String {
    match room.new_users_per_minute {
        _ if room.suspended => "closed: the room is suspended".to_owned(),
        _ if room.queue_all => "nobody enters: queue_all of the room".to_owned(),
        0 => "nobody enters".to_owned(),
        rate => format!(
            "{rate} enter in a minute, {}",
            serde_json::json!(room.queueing_method).as_str().unwrap_or_default()
        ),
    }
}

/// The value of a key of the room, as it would be written.
fn of_room(room: &RoomConfig, key: &str) -> String {
    let written = serde_json::to_value(room).unwrap_or_default();
    match &written[key] {
        serde_json::Value::Null => "(none)".to_owned(),
        value => value.to_string(),
    }
}
