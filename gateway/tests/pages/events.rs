//! What those who wait are told of the time: page, JSON and document before the start of an event and after its end.
#![expect(clippy::expect_used, reason = "a test that cannot read an answer has failed")]

use bytes::Bytes;
use gateway::ui::{Brand, Coding, EventFacts, Facts, HeldForm, Language, Snapshot, State, WaitingPage};
use jiff::tz::TimeZone;
use policy::event::{Announcement, Phase, Times};
use policy::line::segment::SPAN;
use policy::line::{Round, Segment, View};
use policy::pacer::PollTable;
use policy::room::{Room, Rules};
use serde_json::{Value, json};

/// 2026-03-01T03:00:00Z.
const NOON_IN_SEOUL: u64 = 1_772_334_000_000;
/// The base of the segment in which numbers are given.
const BASE: u64 = 333_333 * SPAN;
/// A page without compression, as every other one.
const FIRST_FLIGHT: usize = 13_500;

fn snapshot(event: EventFacts, name: &str) -> Snapshot {
    snapshot_in(Round::default(), event, name)
}

/// While this round gathers.
fn snapshot_in(round: Round, event: EventFacts, name: &str) -> Snapshot {
    let rules = Rules { open: event.announcement == Announcement::None, ..Rules::per_minute(600) };
    let line = View {
        segments: Segment { base: BASE, next: BASE + 20_000, serving: BASE }.into(),
        now: NOON_IN_SEOUL,
        utc: NOON_IN_SEOUL,
        round,
        ..View::default()
    };
    Snapshot::new(&Facts {
        name,
        room: &Room::new(rules),
        line: &line,
        poll: PollTable::CALM,
        state: if event.is_prequeueing() { State::EventPrequeueing } else { State::Queueing },
        away: false,
        shop_rests: false,
        zone: &TimeZone::get("Asia/Seoul").expect("a zone"),
        page: 0x00ab_cdef,
        event,
        message: None,
    })
}

/// A pre-queue whose start is 62 minutes and 3.2 seconds away.
fn before() -> EventFacts {
    let start = NOON_IN_SEOUL + 62 * 60_000 + 3_200;
    let times = Times { prequeue: Some(NOON_IN_SEOUL - 60_000), start, end: start + 600_000 };
    EventFacts {
        utc: NOON_IN_SEOUL,
        announcement: Announcement::Starts(start),
        current: Some((times, Phase::Prequeue)),
    }
}

fn over() -> EventFacts {
    EventFacts { announcement: Announcement::Ended, ..EventFacts::NONE }
}

fn page_of(event: EventFacts, language: Language) -> String {
    let snapshot = snapshot(event, "launch");
    let page = WaitingPage::new("launch", None, &Brand::default()).expect("the built-in page");
    let filled =
        page.fill(&snapshot, &snapshot.standing(Some(BASE + 12_345), 1.0), (language, Coding::Identity), false);
    String::from_utf8(Bytes::from(filled).to_vec()).expect("text")
}

/// The element with this id, with its attributes and what is in it up to the next tag.
fn element<'p>(page: &'p str, id: &str) -> &'p str {
    let at = page.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no {id} in {page}"));
    let begin = page[..at].rfind('<').expect("a tag");
    let end = page[at..].find("</").map_or(page.len(), |end| at + end);
    &page[begin..end]
}

#[test]
fn before_the_start_the_page_counts_down_in_every_language() {
    for (language, heading, label) in [
        (Language::English, "It has not started yet", "It starts in"),
        (Language::Korean, "아직 시작되지 않았습니다", "시작까지 남은 시간"),
    ] {
        let page = page_of(before(), language);
        assert!(page.contains(&format!("<h1>{heading}</h1>")) && page.contains(&format!("<title>{heading}")), "{page}");
        assert!(page.contains("data-stage=\"1\"") && page.contains("<section id=\"before\">"), "it is shown");
        assert!(element(&page, "left").ends_with(label));
        let countdown = element(&page, "countdown");
        assert!(countdown.contains("role=\"timer\"") && countdown.ends_with(">1:02:04"), "{countdown}");
        assert!(
            !countdown.contains("aria-live") && !countdown.contains("role=\"status\""),
            "a ticking number is silent"
        );
        assert!(element(&page, "starts").ends_with("2026-03-01 13:02:03 KST"), "{}", element(&page, "starts"));
        assert!(element(&page, "starts").contains("datetime=\"2026-03-01T04:02:03.200Z\""));
        assert!(page.contains("data-starts=\"3723200\""));
        assert!(!page.contains("id=\"wait\""), "no wait is told before the start");
        assert!(element(&page, "position").ends_with("12,345"), "the place is");
        assert!(page.len() < FIRST_FLIGHT, "{} bytes", page.len());
    }
}

#[test]
fn after_the_end_the_page_says_so_and_that_the_place_is_kept() {
    for (language, heading) in [(Language::English, "This event is over"), (Language::Korean, "행사가 종료되었습니다")]
    {
        let page = page_of(over(), language);
        assert!(page.contains(&format!("<h1>{heading}</h1>")));
        assert!(!page.contains("id=\"before\"") && !page.contains("id=\"wait\"") && page.contains("data-stage=\"2\""));
        assert!(!element(&page, "note").contains("hidden"));
    }
}

#[test]
fn a_room_without_events_tells_of_no_time() {
    let page = page_of(EventFacts::NONE, Language::English);
    assert!(!page.contains("id=\"before\"") && !page.contains("data-stage") && !page.contains("padStart"));
    let status = String::from_utf8(snapshot(EventFacts::NONE, "launch").status().to_vec()).expect("text");
    assert!(!status.contains("starts") && !status.contains("ended"), "{status}");
}

#[test]
fn a_page_that_holds_a_form_counts_down_and_keeps_its_own_heading() {
    let page = WaitingPage::new("launch", None, &Brand::default()).expect("the built-in page");
    let snapshot = snapshot(before(), "launch");
    let standing = snapshot.standing(Some(BASE + 12_345), 1.0);
    let form = HeldForm { fields: None, left_out: Vec::new() };
    let filled = page.holding(&form, &snapshot, Some(&standing), (Language::English, Coding::Identity), false);
    let page = String::from_utf8(Bytes::from(filled).to_vec()).expect("text");
    assert!(page.contains("<h1>Not sent yet</h1>") && page.contains("<section id=\"before\">"));
}

#[test]
fn document_and_json_tell_programs_of_start_and_end() {
    let told = |event: EventFacts| {
        let snapshot = snapshot(event, "launch");
        let status: Value = serde_json::from_slice(&snapshot.status()).expect("JSON");
        let json: Value =
            serde_json::from_slice(&snapshot.json(&snapshot.standing(Some(BASE + 1), 1.0))).expect("JSON");
        (status, json["cfWaitingRoom"].clone())
    };
    let (status, waiting) = told(before());
    assert_eq!((&status["state"], &status["starts"]), (&json!("event_prequeueing"), &json!(3_723_200)));
    let keys = ["isEventActive", "isEventPrequeueing", "timeUntilEventStart", "timeUntilEventEnd", "eventStartTime"];
    let expected = [json!(true), json!(true), json!(63), json!(73), json!("2026-03-01T04:02:03.200Z")];
    assert_eq!(keys.map(|key| waiting[key].clone()), expected);
    assert_eq!(waiting["timeUntilEventStartFormatted"], "about 63 minutes");
    let running = EventFacts {
        announcement: Announcement::None,
        current: before().current.map(|(times, _)| (times, Phase::Running)),
        ..before()
    };
    let (status, waiting) = told(running);
    assert_eq!((&status["starts"], &waiting["eventStartTime"]), (&Value::Null, &Value::Null));
    assert_eq!((&waiting["isEventActive"], &waiting["isEventPrequeueing"]), (&json!(true), &json!(false)));
    let (status, waiting) = told(over());
    assert_eq!((&status["ended"], &waiting["isEventActive"]), (&json!(true), &json!(false)));
}

#[test]
fn the_document_of_an_event_stays_under_400_bytes() {
    let start = 253_402_300_799_000;
    let far = EventFacts { announcement: Announcement::Starts(start), utc: 0, ..before() };
    let latest = Round { id: u32::MAX, gathered: 1 << 50, ..Round::default() };
    for round in [Round::default(), latest] {
        let status = snapshot_in(round, far, "a-room-name-of-thirty-two-letter").status();
        assert!(status.len() < 400, "{} bytes", status.len());
        assert_eq!(String::from_utf8_lossy(&status).contains("\"round\":4294967295"), round == latest);
    }
}
