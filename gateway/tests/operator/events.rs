//! Events as an operator writes them: what is refused and why, and `weir event preview`.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use gateway::settings::config::{Config, Diagnostic};

use crate::common::weir;

const FILE: &str = "[[upstream]]\nname = \"shop\"\nservers = \"shop:80\"\n";
const ROOM: &str =
    "[[room]]\nname = \"launch\"\nhost = \"a.example\"\nupstream = \"shop\"\nnew_users_per_minute = 60\n";
/// From 20:00 to 21:00 in Seoul, with half an hour before it.
const DROP: &str = "[[room.event]]\nname = \"drop\"\nprequeue_start_time = \"2026-12-01T19:30:00+09:00\"\n\
                    event_start_time = \"2026-12-01T20:00:00+09:00\"\nevent_end_time = \"2026-12-01T21:00:00+09:00\"\n";

fn problems(room: &str) -> Vec<String> {
    let read = Config::read(&format!("{FILE}{room}"), Path::new("weir.toml"));
    read.map_or_else(|wrong: Vec<Diagnostic>| wrong, |config| config.warnings).iter().map(ToString::to_string).collect()
}

/// The one thing that is wrong with a room.
fn problem(room: &str) -> String {
    let mut told = problems(room);
    assert_eq!(told.len(), 1, "{told:#?}");
    told.swap_remove(0)
}

fn with(from: &str, to: &str) -> String {
    let written = format!("{ROOM}{DROP}");
    assert!(written.contains(from));
    written.replace(from, to)
}

#[test]
fn an_event_that_can_take_place_is_taken() {
    assert_eq!(problems(&format!("{ROOM}{DROP}")), [""; 0]);
    let next = DROP.replace("drop", "second").replace("12-01", "12-02");
    let all = "time_zone = \"Asia/Seoul\"\ndescription = \"Winter\"\nprequeue_active_users = true\nnew_users_per_minute = 600\n\
               total_active_users = 500\nsession_duration = \"10m\"\ndisable_session_renewal = true\nqueueing_method = \"fifo\"\n";
    assert_eq!(problems(&format!("{ROOM}{DROP}{all}{next}")), [""; 0]);
}

#[test]
fn what_is_wrong_with_an_event_is_told_with_its_line_and_how_to_mend_it() {
    let wrong = [
        (
            with("T20:00:00+09:00", "T20:00:00"),
            "weir.toml:12:20: room \"launch\": event #1: event_start_time",
            "is without a zone",
        ),
        (
            with("19:30:00", "19:59:31"),
            "prequeue_start_time",
            "less than 30 s before the start, which is at \"2026-12-01T20:00:00+09:00\"",
        ),
        (with("T21:00", "T20:00"), "event_end_time", "less than 1 min after its start"),
        (
            with("name = \"drop\"\n", "name = \"drop\"\nshuffle_at_event_start = true\n"),
            "shuffle_at_event_start",
            "comes with the draw",
        ),
        (
            with("prequeue_start_time = \"2026-12-01T19:30:00+09:00\"", "prequeue_active_users = true"),
            "prequeue_active_users",
            "no pre-queue",
        ),
        (
            with("name = \"drop\"\n", "name = \"drop\"\nqueueing_method = \"reject\"\n"),
            "prequeue_start_time",
            "keeps no line",
        ),
        (
            with("name = \"drop\"\n", "name = \"drop\"\nnew_users_per_minute = 0\nqueueing_method = \"passthrough\"\n"),
            "queueing_method",
            "lets nobody in",
        ),
        (
            with("name = \"drop\"\n", "name = \"drop\"\ntime_zone = \"Korea\"\nnew_user_per_minute = 1\n"),
            "",
            "time_zone",
        ),
        (
            with("name = \"drop\"\n", "name = \"drop\"\ntime_zone = \"Europe/Berlin\"\n")
                .replace("20:00:00+09:00", "11:00:00Z")
                .replace("21:00:00+09:00", "13:00:00+01:00")
                .replace("19:30:00+09:00", "11:30:00+02:00"),
            "prequeue_start_time",
            "not on the clocks of Europe/Berlin, which are at +01 then",
        ),
        (format!("{ROOM}{DROP}{}", DROP.replace("12-01", "12-02")), "event #2: name", "already taken on line 10"),
        (
            format!(
                "{ROOM}{DROP}{}",
                DROP.replace("drop", "second")
                    .replace("19:30", "20:15")
                    .replace("T20:00", "T20:30")
                    .replace("21:00", "22:00")
            ),
            "event #2: prequeue_start_time",
            "begins while \"drop\" (line 10) goes on, until \"2026-12-01T21:00:00+09:00\"",
        ),
    ];
    for (text, key, said) in wrong {
        let told = problems(&text);
        assert!(told.iter().any(|told| told.contains(key) && told.contains(said)), "{said}: {told:#?}");
    }
    let nobody = ROOM.replace("= 60", "= 0");
    assert!(problem(&nobody).contains("nobody enters"), "{}", problem(&nobody));
    let suspended = format!("{nobody}{DROP}suspended = true\n");
    assert!(problem(&suspended).contains("nobody enters"));
    assert_eq!(problems(&format!("{nobody}{DROP}new_users_per_minute = 60\n")), [""; 0]);
}

#[test]
fn an_event_that_is_suspended_overlaps_nothing() {
    let second = DROP.replace("drop", "second");
    assert_eq!(problems(&format!("{ROOM}{DROP}{second}suspended = true\n")), [""; 0]);
}

#[test]
fn weir_event_preview_prints_phases_with_the_name_of_the_zone_and_what_is_inherited() {
    let dir = tempfile::tempdir().unwrap();
    let rooms = "[[room]]\nname = \"launch\"\nhost = \"*\"\nnew_users_per_minute = 0\nqueueing_method = \"reject\"\n";
    let event = "time_zone = \"Asia/Seoul\"\ndescription = \"Winter drop\"\nnew_users_per_minute = 600\nqueueing_method = \"fifo\"\n";
    std::fs::write(dir.path().join("rooms.toml"), format!("{rooms}{DROP}{event}")).unwrap();
    let (code, told) = weir(&["event", "preview", "rooms.toml"], dir.path());
    assert_eq!(code, 0, "{told}");
    insta::assert_snapshot!("event_preview", told);
    let second =
        DROP.replace("drop", "second").replace("19:30", "20:30").replace("T20:00", "T22:00").replace("21:00", "23:00")
            + "queueing_method = \"fifo\"\n";
    std::fs::write(dir.path().join("rooms.toml"), format!("{rooms}{DROP}{event}{second}")).unwrap();
    let (code, told) = weir(&["event", "preview", "rooms.toml"], dir.path());
    assert!(code == 1 && told.contains("rooms.toml:17:23") && told.contains("never overlap"), "{code} {told}");
    // A whole configuration, and one without an event.
    std::fs::write(dir.path().join("weir.toml"), format!("{FILE}{ROOM}{DROP}")).unwrap();
    let (code, told) = weir(&["event", "preview", "weir.toml"], dir.path());
    assert!(
        code == 0 && told.contains("times of UTC") && told.contains("2026-12-01 11:00:00 UTC  running"),
        "{code} {told}"
    );
    std::fs::write(dir.path().join("weir.toml"), format!("{FILE}{ROOM}")).unwrap();
    assert_eq!(
        weir(&["event", "preview", "weir.toml"], dir.path()),
        (0, "weir.toml: no room has an event\n".to_owned())
    );
}
