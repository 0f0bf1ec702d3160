//! `GET /metrics`: all of them, or those of one room (`?room=NAME`).
//!
//! They are gathered on a thread of their own: with thousands of rooms that takes longer than anybody at the door should wait.
//!
//! What is absent: what is measured ([`crate::telemetry`]).

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use tokio::task::spawn_blocking;

use crate::fleet::Fleet;
use crate::rooms::Rooms;
use crate::telemetry;

/// What is asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    /// A room, and nothing else.
    room: Option<String>,
}

/// The metrics as Prometheus reads them.
pub(super) async fn tell(
    State(fleet): State<Arc<Fleet>>,
    Query(asked): Query<Asked>,
) -> Result<String, (StatusCode, String)> {
    if let Some(room) = asked.room.as_deref().filter(|room| !fleet.shared.rooms.all().contains_key(*room)) {
        return Err((StatusCode::NOT_FOUND, format!("no room is named {room:?}; see /api/rooms\n")));
    }
    let told = spawn_blocking(move || {
        fleet.shared.observe();
        fleet.plan.observe();
        let (all, site) = (telemetry::metrics().render(), fleet.shared.site.load());
        match &asked.room {
            Some(name) => keep(&all, |room| room == Some(name)),
            None if site.config.metrics.idle_rooms => all,
            None => keep(&all, |room| room.is_none_or(|room| !is_idle(&fleet.shared.rooms, room))),
        }
    });
    told.await.map_err(|_| (StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be gathered\n".to_owned()))
}

fn is_idle(rooms: &Rooms, room: &str) -> bool {
    rooms.all().get(room).is_some_and(|room| room.is_idle())
}

/// The samples whose room this holds for, with what is said of their families.
fn keep(text: &str, holds: impl Fn(Option<&str>) -> bool) -> String {
    let mut kept = String::new();
    let mut head: Vec<&str> = Vec::new();
    let mut in_head = false;
    for line in text.lines().filter(|line| !line.is_empty()) {
        if line.starts_with('#') {
            if !in_head {
                head.clear();
            }
            head.push(line);
        } else if holds(room_of(line)) {
            kept.extend(head.drain(..).chain([line]).flat_map(|line| [line, "\n"]));
        }
        in_head = line.starts_with('#');
    }
    kept
}

/// The room that a sample is of. Names of rooms need no escapes.
fn room_of(sample: &str) -> Option<&str> {
    let labels = sample.split_once('{')?.1;
    let room = labels.strip_prefix("room=\"").or_else(|| Some(labels.split_once(",room=\"")?.1))?;
    room.split_once('"').map(|(room, _)| room).filter(|room| !room.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "# HELP a things\n# TYPE a counter\na{room=\"x\",verdict=\"enter\"} 1\na{room=\"y\",verdict=\"enter\"} 2\n\n\
        # TYPE b gauge\nb 3\n\n# TYPE c gauge\nc{what=\"late\",room=\"y\"} 4\n\n# TYPE d counter\nd{room=\"\"} 5\n";

    #[test]
    fn what_is_kept_has_its_head_and_nothing_else_has() {
        assert_eq!(
            keep(ALL, |room| room == Some("x")),
            "# HELP a things\n# TYPE a counter\na{room=\"x\",verdict=\"enter\"} 1\n"
        );
        let rest = keep(ALL, |room| room != Some("y"));
        assert!(rest.contains("b 3\n") && rest.contains("d{room=\"\"} 5") && !rest.contains("TYPE c"), "{rest}");
    }
}
