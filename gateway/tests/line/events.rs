//! Events at one gateway, by the clock of its own store: before, pre-queue, start and end, as shoppers and operators see them.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::common::events::{event, in_ms, without_prequeue};
use crate::common::{Answer, FETCH, JSON, PAGE, Shop, Weir, config, request, until, until_true};

/// As long as no test runs.
const LONG: i64 = 3_600_000;
const ROOM: &str = "[[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch\"\nnew_users_per_minute = 60000\n";
/// A room in which shoppers enter during events alone.
const BETWEEN: &str = "[[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch\"\nnew_users_per_minute = 0\n";

fn weir(room: &str) -> (Shop, Weir) {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, room));
    (shop, weir)
}

fn comes(weir: &Weir, cookie: Option<&str>) -> Answer {
    match cookie {
        Some(cookie) => weir.get("/launch/item", &[JSON, ("Cookie", cookie)]),
        None => weir.get("/launch/item", &[JSON]),
    }
}

/// Puts these rooms into the file in place of the others, and waits until they are in force.
fn now(weir: &Weir, shop: &Shop, room: &str, holds: impl Fn() -> bool) {
    std::fs::write(weir.config_file(), config(shop.address, room)).unwrap();
    until_true("the new rooms are in force", holds);
}

#[test]
fn in_the_pre_queue_everybody_waits_and_at_the_start_they_enter_by_themselves() {
    let (shop, weir) = weir(ROOM);
    now(&weir, &shop, &(ROOM.to_owned() + &event(8_000, LONG, "")), || weir.room()["event_prequeueing"] == true);
    let first = comes(&weir, None);
    let waiting = first.waiting();
    assert!(first.is_line() && waiting["isEventPrequeueing"] == true && waiting["position"] == 1, "{first:?}");
    let page = weir.get("/launch/item", &[PAGE]);
    assert!(page.body.contains("data-state=\"before\"") && page.body.contains("id=\"countdown\" role=\"timer\""));
    assert_eq!(weir.get("/launch/a.css", &[FETCH]).status, 429, "nobody looks in either");
    let status = weir.get("/.weir/status/launch", &[]).json();
    assert!(status["state"] == "event_prequeueing" && status["starts"].as_u64().unwrap() <= 8_000, "{status}");
    let room = weir.room();
    let told =
        ["status", "event_prequeueing", "event_id", "next_event_prequeue_start_time"].map(|key| room[key].clone());
    assert_eq!(told, ["event_prequeueing".into(), true.into(), "drop".into(), serde_json::Value::Null]);
    assert!(room["next_event_start_time"].as_str().unwrap().ends_with('Z'), "{room}");
    assert!(shop.seen().is_empty(), "the shop has seen nobody");

    let cookie = first.cookie().unwrap();
    until_true("the first one enters", || comes(&weir, Some(&cookie)).is_shop());
    until_true("whoever comes later enters", || comes(&weir, None).is_shop());
    let room = weir.room();
    assert_eq!((&room["event_prequeueing"], &room["event_id"]), (&false.into(), &"drop".into()));
}

#[test]
fn what_an_event_overrides_is_as_in_the_room_again_when_it_ends_and_tickets_stay() {
    let keys = "new_users_per_minute = 60\ntotal_active_users = 7\nsession_duration = \"1m\"\n";
    let room = BETWEEN.to_owned() + &without_prequeue(-58_000, 15_000, keys);
    let (_shop, weir) = weir(&room);
    until_true("the event runs", || weir.room()["event_id"] == "drop");
    let told = weir.room();
    assert_eq!((&told["total_active_users"], &told["session_duration_ms"]), (&7.into(), &60_000.into()));
    let first = comes(&weir, None).cookie().unwrap();
    until_true("the first one enters", || comes(&weir, Some(&first)).is_shop());
    let waits = until("somebody waits", || Some(comes(&weir, None)).filter(Answer::is_line));
    let (number, cookie) = (waits.ticket(), waits.cookie().unwrap());
    until_true("it is over", || weir.room()["event_id"].is_null());
    let after = comes(&weir, Some(&cookie));
    assert_eq!(after.ticket(), number, "the place is kept");
    until_true("the page says that it is over", || {
        let page = weir.get("/launch/item", &[PAGE, ("Cookie", &cookie)]).body;
        page.contains("data-state=\"ended\"")
    });
    let told = weir.room();
    assert_eq!(
        (&told["total_active_users"], &told["next_event_start_time"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
    assert_eq!(weir.get("/.weir/status/launch", &[]).json()["ended"], true);
}

#[test]
fn who_is_inside_stays_inside_unless_the_event_makes_them_wait_too() {
    for requeues in [false, true] {
        let (shop, weir) = weir(&(ROOM.to_owned() + "total_active_users = 50\n"));
        let inside = until("somebody is inside", || Some(comes(&weir, None)).filter(Answer::is_shop));
        let pass = inside.cookie().unwrap();
        until_true("the seat is taken", || weir.room()["active_users"] == 1);
        // The pre-queue begins later than the pass was given.
        let times = format!(
            "[[room.event]]\nname = \"drop\"\nprequeue_start_time = \"{}\"\nevent_start_time = \"{}\"\n\
             event_end_time = \"{}\"\nprequeue_active_users = {requeues}\n",
            in_ms(500),
            in_ms(60_000),
            in_ms(LONG)
        );
        now(&weir, &shop, &format!("{ROOM}total_active_users = 50\n{times}"), || {
            weir.room()["event_prequeueing"] == true
        });
        assert!(comes(&weir, None).is_line(), "a newcomer waits");
        let again = comes(&weir, Some(&pass));
        assert_eq!(again.is_shop(), !requeues, "{again:?}");
        if requeues {
            assert!(again.is_line() && again.waiting()["isEventPrequeueing"] == true, "they take a place: {again:?}");
            until_true("their seat is free", || weir.room()["active_users"] == 0);
            let counted = r#"weir_tokens_ignored_total{room="launch",reason="requeued"}"#;
            assert!(weir.metric(counted) >= 1.0);
        }
    }
}

#[test]
fn who_waited_before_the_pre_queue_stands_before_who_comes_in_it() {
    // The room is closed until its event, which is a while away.
    let (shop, weir) = weir(&(BETWEEN.to_owned() + &without_prequeue(LONG, 2 * LONG, "new_users_per_minute = 600\n")));
    let early: Vec<Answer> = (0..3).map(|_| comes(&weir, None)).collect();
    assert!(early.iter().all(|answer| answer.is_line() && answer.waiting()["eventStartTime"].is_string()), "{early:?}");
    let page = weir.get("/launch/item", &[PAGE, ("Cookie", &early[0].cookie().unwrap())]);
    assert!(page.body.contains("data-state=\"before\""), "they see when it starts");
    now(&weir, &shop, &(BETWEEN.to_owned() + &event(8_000, LONG, "new_users_per_minute = 60\n")), || {
        weir.room()["event_prequeueing"] == true
    });
    let late = comes(&weir, None);
    let places: Vec<u64> = early.iter().chain([&late]).map(Answer::ticket).collect();
    assert!(places.is_sorted_by(|a, b| a < b), "{places:?}");
    until_true("the first of all is in", || comes(&weir, Some(&early[0].cookie().unwrap())).is_shop());
    until_true("the last one is in", || comes(&weir, Some(&late.cookie().unwrap())).is_shop());
}

#[test]
fn a_maintenance_window_turns_newcomers_away_and_ends_by_itself() {
    let room = "[[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch\"\nnew_users_per_minute = 60000\n\
                queueing_method = \"passthrough\"\n";
    let keys = "queueing_method = \"reject\"\nnew_users_per_minute = 0\n";
    let (_shop, weir) = weir(&(room.to_owned() + &without_prequeue(-60_000, 10_000, keys)));
    let refused = comes(&weir, None);
    assert_eq!(
        (refused.status, refused.told(), refused.json()["error"].as_str()),
        (503, Some("queue-closed"), Some("suspended"))
    );
    until_true("it is over, and everybody goes through", || comes(&weir, None).is_shop());
}

#[test]
fn a_room_that_is_entered_only_during_events_says_when_and_then_that_it_is_over() {
    let reject = BETWEEN.to_owned() + "queueing_method = \"reject\"\n";
    let keys = "queueing_method = \"fifo\"\nnew_users_per_minute = 60000\n";
    let (shop, weir) = weir(&(reject.clone() + &without_prequeue(8_000, LONG, keys)));
    let early = comes(&weir, None);
    assert_eq!((early.status, early.json()["error"].as_str()), (503, Some("not_started")), "{early:?}");
    let page = weir.get("/launch/item", &[PAGE, ("Accept-Language", "en")]);
    assert!(page.status == 503 && page.body.contains("It has not started yet"), "{page:?}");
    assert!(shop.seen().is_empty());
    until_true("it has started", || comes(&weir, None).is_shop());

    let weir = Weir::start(&config(shop.address, &(reject + &without_prequeue(-120_000, -1_000, keys))));
    until_true("it is over", || comes(&weir, None).json()["error"] == "event_over");
    let page = weir.get("/launch/item", &[PAGE, ("Accept-Language", "ko")]);
    assert!(page.body.contains("행사가 종료되었습니다"), "{page:?}");
}

#[test]
fn rooms_with_events_go_through_the_api_and_what_is_wrong_is_refused_whole() {
    let (_shop, weir) = weir(ROOM);
    let apply = |rooms: &str| request(weir.admin, "POST", "/api/versions", &[], rooms);
    let good = ROOM.to_owned() + &event(LONG, 2 * LONG, "description = \"launch\"\n");
    let wrong = good.clone() + &event(LONG + 1, 2 * LONG, "").replace("drop", "second");
    let refused = apply(&wrong);
    assert!(refused.status == 422 && refused.body.contains("never overlap"), "{refused:?}");
    assert!(weir.room()["event_id"].is_null(), "nothing of it is in force");
    let taken = apply(&good);
    assert_eq!(taken.status, 200, "{taken:?}");
    until_true("the event is in force", || weir.room()["event_id"] == "drop");
    let text = request(weir.admin, "GET", "/api/versions/1", &[], "").body;
    assert!(text.contains("[[room.event]]"), "it is kept as it was written: {text}");
}

/// A text of rooms in which the value of this key is another time, so many milliseconds from now.
fn moved(room: &str, key: &str, from_now: i64) -> String {
    let other = format!("{key} = \"{}\"", in_ms(from_now));
    let line = room.lines().find(|line| line.starts_with(key)).unwrap();
    room.replace(line, &other)
}

#[test]
fn what_has_happened_in_an_event_cannot_be_changed_any_more() {
    let (_shop, weir) = weir(ROOM);
    let apply = |rooms: &str| request(weir.admin, "POST", "/api/versions", &[], rooms);
    let back = |to: u64| request(weir.admin, "PUT", &format!("/api/versions/in-force?to={to}"), &[], "");
    let refused = |answer: Answer, says: [&str; 2]| {
        let told = answer.json()["problems"][0].to_string();
        assert!(answer.status == 422 && says.iter().all(|says| told.contains(says)), "{answer:?}");
    };
    let over = ROOM.to_owned() + &without_prequeue(-120_000, -1_000, "");
    refused(apply(&over), ["event_end_time", "has passed by the clock of the store"]);
    let first = ROOM.to_owned() + &without_prequeue(-120_000, LONG, "");
    assert_eq!(apply(&first).status, 200);
    until_true("the event runs", || weir.room()["event_id"] == "drop");
    for other in [-180_000, 60_000] {
        refused(apply(&moved(&first, "event_start_time", other)), ["event_start_time", "an event starts once"]);
    }
    refused(apply(&moved(&first, "event_end_time", -1_000)), ["event_end_time", "suspended = true"]);
    assert_eq!(weir.room()["event_id"], "drop", "nothing of them is in force");
    // Another end to come is taken, and so are the way back to the first one and a version without the event.
    assert_eq!(apply(&moved(&first, "event_end_time", 2 * LONG)).status, 200);
    assert_eq!((back(1).status, weir.room()["event_id"].clone()), (200, "drop".into()));
    assert_eq!(back(0).status, 200);
    until_true("the event is gone", || weir.room()["event_id"].is_null());
    // One that is still to come may start at another time; when it runs no way leads back to that.
    let later = ROOM.to_owned() + &without_prequeue(LONG, 2 * LONG, "");
    let (number, now) = (apply(&later).json()["in_force"].as_u64().unwrap(), moved(&later, "event_start_time", -1));
    assert_eq!(apply(&now).status, 200);
    until_true("the event runs", || weir.room()["event_id"] == "drop");
    refused(back(number), ["event_start_time", "an event starts once"]);
}

#[test]
fn a_file_that_changes_what_has_happened_in_an_event_is_refused_whole() {
    let first = ROOM.to_owned() + &without_prequeue(-120_000, LONG, "");
    let (shop, weir) = weir(&first);
    until_true("the event runs", || weir.room()["event_id"] == "drop");
    let next = moved(&first, "event_start_time", 60_000).replace("= 60000", "= 600");
    std::fs::write(weir.config_file(), config(shop.address, &next)).unwrap();
    until_true("it is refused", || weir.log().contains("an event starts once"));
    let room = weir.room();
    assert_eq!((&room["event_id"], &room["new_users_per_minute"]), (&"drop".into(), &60_000.into()), "{room}");
}
