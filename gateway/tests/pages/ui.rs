//! Answers to a waiting shopper: sizes, shapes, and every page as a snapshot.
#![expect(clippy::expect_used, reason = "a test that cannot read an answer has failed")]

use std::io::Read as _;

use bytes::Bytes;
use gateway::ui::{
    Brand, Coding, Colour, EventFacts, Facts, Form, HeldForm, Language, Logo, Message, Notice, Notices, QUESTIONS,
    Question, QueuePosition, Snapshot, State, WaitingPage, queue_script,
};
use http::HeaderValue;
use jiff::tz::TimeZone;
use policy::cap::CapKind;
use policy::line::segment::SPAN;
use policy::line::{Segment, Segments, View};
use policy::pacer::PollTable;
use policy::room::{Room, Rules};
use policy::stock::{Stock, StockState};
use serde_json::{Value, json};

/// 2026-03-01T03:00:00Z.
const NOON_IN_SEOUL: u64 = 1_772_334_000_000;

/// The base of the segment in which numbers are given.
const BASE: u64 = 333_333 * SPAN;

/// Ten segments of a new TCP connection (14,600 bytes), less a head of 1,000.
const FIRST_FLIGHT: usize = 13_600;
/// Bytes of a page in gzip.
const PACKED: usize = 6_400;
/// The same where letters take two or three bytes, or words are longer: nearly every browser takes gzip.
const WIDE: [usize; 2] = [15_000, 7_000];

/// Languages whose pages are on record: one of the others would say in an unreadable script what the tests of the languages say.
const RECORDED: [Language; 2] = [Language::English, Language::Korean];

/// Bytes of a page in this language, and of one in gzip.
fn bounds(language: Language) -> [usize; 2] {
    if RECORDED.contains(&language) { [FIRST_FLIGHT, PACKED] } else { WIDE }
}

fn assert_fits(page: &[u8], language: Language, name: &str) {
    let [most, _] = bounds(language);
    assert!(page.len() < most, "{name} in {language:?} has {} bytes", page.len());
    let text = String::from_utf8_lossy(page);
    let dir = if language == Language::Arabic { " dir=\"rtl\"" } else { "" };
    assert!(text.contains(&format!("<html lang=\"{}\"{dir}>", language.tag())), "{name} in {language:?}");
}

fn room() -> Room {
    Room::new(Rules::per_minute(600))
}

fn line() -> View {
    View {
        segments: Segment { base: BASE, next: BASE + 20_000, serving: BASE + 8_766 }.into(),
        now: NOON_IN_SEOUL,
        speed: 14.0,
        ..View::default()
    }
}

fn snapshot_of(room: &Room, line: &View, away: bool) -> Snapshot {
    let state = State::of(room, line);
    Snapshot::new(&Facts {
        name: "launch",
        room,
        line,
        poll: PollTable::CALM,
        state,
        away,
        shop_rests: false,
        zone: &TimeZone::UTC,
        page: 0x00ab_cdef,
        event: EventFacts::NONE,
        message: None,
    })
}

/// The same while no server of the shop can be reached.
fn at_rest(room: &Room, line: &View) -> Snapshot {
    let state = State::of(room, line);
    Snapshot::new(&Facts {
        name: "launch",
        room,
        line,
        poll: PollTable::CALM,
        state,
        away: false,
        shop_rests: true,
        zone: &TimeZone::UTC,
        page: 0x00ab_cdef,
        event: EventFacts::NONE,
        message: None,
    })
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("it is JSON")
}

#[test]
fn the_status_document_says_what_the_page_needs() {
    let status = snapshot_of(&room(), &line(), false).status();
    insta::assert_snapshot!("status", String::from_utf8_lossy(&status));
    let still = snapshot_of(&room(), &View { speed: 0.0, ..line() }, true).status();
    insta::assert_snapshot!("status_still_and_away", String::from_utf8_lossy(&still));
    let resting = at_rest(&room(), &line());
    insta::assert_snapshot!("status_resting", String::from_utf8_lossy(&resting.status()));
    let told = parsed(&resting.json(&resting.standing(Some(BASE + 12_345), 1.0)))["cfWaitingRoom"].clone();
    assert_eq!((&told["shopResting"], &told["waitTimeKnown"]), (&json!(true), &json!(false)));
    parsed(&status);
    assert_eq!(parsed(&still)["wait"], Value::Null);
}

#[test]
fn the_status_document_stays_under_400_bytes_and_under_450_with_a_stock() {
    for number in [f64::MAX, f64::INFINITY, f64::NAN, 1e-300, -5.0, 999_999.994] {
        let mut room = room();
        room.rules.rate = number;
        (room.rules.open, room.rules.total_active_users) = (number.is_finite(), Some(1));
        let longest = |unit: u64| {
            let base = unit * SPAN;
            Segment { base, next: base + SPAN - 1, serving: base + SPAN - 2 }
        };
        let segments = Segments { before: vec![longest((1 << 28) - 2)], open: longest((1 << 28) - 1) };
        let line = View { segments, unsure: number > 1.0, now: u64::MAX, speed: number, ..View::default() };
        let stock = Stock { state: StockState::Available, left: 1_000_000_000_000, held: 7, units: number };
        let line = View { entering: SPAN, told: SPAN, claimants: 7, ..line };
        let stocked = View { stock: Some(stock), ..line.clone() };
        let poll = PollTable { min: number, max: number, share: number, stretch: number };
        let name = "a-room-name-of-thirty-two-letter";
        for (line, most) in [(&line, 400), (&stocked, 450)] {
            let facts = Facts {
                name,
                room: &room,
                line,
                poll,
                state: State::EventPrequeueing,
                away: false,
                shop_rests: true,
                zone: &TimeZone::UTC,
                page: 0x00ab_cdef,
                event: EventFacts::NONE,
                message: None,
            };
            let status = Snapshot::new(&facts).status();
            assert!(status.len() < most, "{} bytes: {}", status.len(), String::from_utf8_lossy(&status));
            assert_eq!(parsed(&status)["room"], name);
        }
    }
}

#[test]
fn the_state_is_told_in_cloudflares_words() {
    let state = |room: &Room, line: &View| State::of(room, line).name();
    assert_eq!(state(&room(), &line()), "queueing");
    assert_eq!(state(&room(), &View::default()), "not_queueing");
    assert_eq!(state(&Room { suspended: true, ..room() }, &line()), "suspended");
    let mut all = room();
    all.rules.open = false;
    assert_eq!(state(&all, &View::default()), "queueing");
}

/// The waiting JSON as a serializer would write it.
fn made_by_serde(standing: &QueuePosition, room: &str) -> Value {
    let wait = standing.wait;
    json!({ "cfWaitingRoom": {
        "inWaitingRoom": true,
        "status": "waiting",
        "waitTimeKnown": wait.is_some(),
        "waitTime": wait.map_or(0, |w| u64::midpoint(w.low, w.high).div_ceil(60)),
        "waitTime25Percentile": 0,
        "waitTime50Percentile": 0,
        "waitTime75Percentile": 0,
        "reason": null,
        "stockState": null,
        "stockLeft": null,
        "shopResting": false,
        "waitTimeFormatted": wait.map_or("unavailable".into(), |w| Language::English.wait(Some(w))),
        "queueIsFull": false,
        "queueAll": false,
        "lastUpdated": "2026-03-01T03:00:00.000Z",
        "refreshIntervalSeconds": standing.poll_after,
        "queueingMethod": "fifo",
        "isFIFOQueue": true,
        "isRandomQueue": false,
        "isPassthroughQueue": false,
        "isRejectQueue": false,
        "isEventActive": false,
        "isEventPrequeueing": false,
        "timeUntilEventStart": 0,
        "timeUntilEventStartFormatted": "unavailable",
        "eventStartTime": null,
        "timeUntilEventEnd": 0,
        "timeUntilEventEndFormatted": "unavailable",
        "shuffleAtEventStart": false,
        "room": room,
        "segment": standing.ticket.map(|ticket| ticket / SPAN),
        "ticket": standing.ticket.map(|ticket| ticket % SPAN),
        "position": standing.position,
        "waitLowSeconds": wait.map(|w| w.low),
        "waitHighSeconds": wait.map(|w| w.high),
        "pollAfterSeconds": standing.poll_tenths as f64 / 10.0,
    }})
}

#[test]
fn the_waiting_json_is_what_a_serializer_would_write() {
    for (away, speed) in [(false, 14.0), (false, 0.0), (true, 14.0)] {
        let snapshot = snapshot_of(&room(), &View { speed, ..line() }, away);
        for ticket in [None, Some(BASE + 1), Some(BASE + 8_767), Some(BASE + 12_345), Some(u64::MAX)] {
            let standing = snapshot.standing(ticket, 1.0);
            assert_eq!(parsed(&snapshot.json(&standing)), made_by_serde(&standing, "launch"));
        }
    }
}

#[test]
fn a_line_that_nobody_may_enter_is_told_in_the_json() {
    let mut room = room();
    room.rules.open = false;
    let snapshot = snapshot_of(&room, &line(), false);
    let json = parsed(&snapshot.json(&snapshot.standing(Some(BASE + 12_345), 1.0)));
    assert_eq!(json["cfWaitingRoom"]["queueAll"], true);
    assert_eq!(json["cfWaitingRoom"]["waitTimeKnown"], false);
}

#[test]
fn a_shopper_is_told_where_they_stand_and_when_to_ask_again() {
    let snapshot = snapshot_of(&room(), &line(), false);
    let far = snapshot.standing(Some(BASE + 12_345), 1.0);
    assert_eq!((far.position, far.poll_after), (Some(3_579), 8));
    assert_eq!(snapshot.standing(Some(BASE + 12_345), 0.85).poll_after, 7);
    let called = snapshot.standing(Some(BASE + 8_000), 0.85);
    assert_eq!((called.position, called.poll_after), (Some(0), 1));
    let provisional = snapshot_of(&room(), &line(), true).standing(None, 1.0);
    assert_eq!((provisional.wait, provisional.poll_after), (None, 10));
}

/// 12 places are at the door, of which 9 may be told, and the room has so many seats, all of them taken.
fn full(seats: u64) -> (Room, View) {
    let mut room = room();
    room.rules.total_active_users = Some(seats);
    (room, View { entering: 12, told: 9, active: seats, stay: 30.0, show_share: 1.0, ..line() })
}

#[test]
fn who_was_called_and_has_not_entered_stands_in_the_place_and_in_the_wait() {
    let (room, line) = full(500);
    let alone = snapshot_of(&room, &View { entering: 0, told: 0, ..line.clone() }, false);
    let snapshot = snapshot_of(&room, &line, false);
    let standing = |snapshot: &Snapshot, ahead| snapshot.standing(Some(BASE + 8_766 + ahead), 1.0);
    assert_eq!(standing(&snapshot, 1).position, Some(10));
    assert_eq!(standing(&snapshot, 0).position, Some(0), "whoever is called is called");
    assert_eq!(standing(&snapshot, 100).wait, standing(&alone, 112).wait);
    assert_eq!(
        standing(&snapshot, 100).poll_tenths,
        standing(&alone, 100).poll_tenths,
        "they ask in time for the call"
    );
    let status = parsed(&snapshot.status());
    assert_eq!(status["entering"], 9);
    let page_reads = |at: usize, ahead: f64| {
        let number = |i: usize| status["wait"][i].as_f64().unwrap_or(f64::NAN);
        number(at) + number(at + 1) * ahead
    };
    let wait = standing(&snapshot, 100).wait.expect("it moves");
    assert!((page_reads(2, 100.0).ceil() - wait.high as f64).abs() <= 1.0);
    assert!((page_reads(0, 100.0).floor().max(0.0) - wait.low as f64).abs() <= 1.0);
}

#[test]
fn where_places_stand_still_document_json_and_page_say_why_and_the_number_carries_its_time() {
    let (room, line) = full(500);
    let back = View { entering: 300, active: 10, ..line.clone() };
    for (name, view) in [("full", &line), ("returning", &back)] {
        let snapshot = snapshot_of(&room, view, false);
        let standing = snapshot.standing(Some(BASE + 12_345), 1.0);
        assert_eq!(parsed(&snapshot.status())["reason"], name);
        assert_eq!(parsed(&snapshot.json(&standing))["cfWaitingRoom"]["reason"], name);
        let page = WaitingPage::new("launch", None, &Brand::default()).expect("our own template");
        for (language, time) in [(Language::English, "as of <time"), (Language::Korean, "</time> 기준")] {
            let html = Bytes::from(page.fill(&snapshot, &standing, (language, Coding::Identity), false));
            let html = String::from_utf8_lossy(&html);
            let script = html.split("data-more=\"/.weir/queue/").nth(1).and_then(|rest| rest.split('?').next());
            let (script, _) = queue_script(script.expect("its address"), None, Coding::Identity).expect("it is there");
            let (_, words) = std::str::from_utf8(&script).expect("text").split_once("const words=").expect("its words");
            let words =
                serde_json::Deserializer::from_str(words).into_iter::<Value>().next().expect("one").expect("JSON");
            let reason = words["notes"][name].as_str().expect("the script knows it");
            assert!(html.contains(&format!("<p id=\"reason\" role=\"status\">{reason}</p>")), "{html}");
            assert!(html.contains(time) && html.contains("03:00:00 UTC"), "{html}");
        }
    }
    let moving = snapshot_of(&room, &View { active: 10, ..line }, false);
    assert_eq!(parsed(&moving.status())["reason"], Value::Null);
}

/// After losses: 100 people wait in an earlier segment, of whom 40 are called, and all of another one are.
fn after_losses() -> View {
    let base = |unit: u64| unit * SPAN;
    let waits = Segment { base: base(7), next: base(7) + 100, serving: base(7) + 40 };
    let called = Segment { base: base(8), next: base(8) + 9, serving: base(8) + 9 };
    let line = line();
    View { segments: Segments { before: vec![waits, called], open: line.segments.open }, ..line }
}

#[test]
fn after_a_loss_the_earlier_places_stand_ahead_and_are_told_to_the_page() {
    let snapshot = snapshot_of(&room(), &after_losses(), false);
    insta::assert_snapshot!("status_after_losses", String::from_utf8_lossy(&snapshot.status()));
    let position = |number| snapshot.standing(Some(number), 1.0).position;
    let numbers = [7 * SPAN + 40, 7 * SPAN + 41, 8 * SPAN + 9, BASE + 8_766, BASE + 8_767];
    assert_eq!(numbers.map(position), [Some(0), Some(1), Some(0), Some(0), Some(61)]);
    let json = parsed(&snapshot.json(&snapshot.standing(Some(7 * SPAN + 41), 1.0)));
    assert_eq!((&json["cfWaitingRoom"]["segment"], &json["cfWaitingRoom"]["ticket"]), (&json!(7), &json!(41)));
}

#[test]
fn while_places_may_come_back_nobody_is_told_a_position_that_could_grow() {
    let snapshot = snapshot_of(&room(), &View { unsure: true, ..after_losses() }, false);
    insta::assert_snapshot!("status_unsure", String::from_utf8_lossy(&snapshot.status()));
    let newcomer = snapshot.standing(Some(BASE + 8_767), 1.0);
    assert_eq!((newcomer.position, newcomer.wait), (None, None));
    let earlier = snapshot.standing(Some(7 * SPAN + 41), 1.0);
    assert_eq!((earlier.position, earlier.wait), (None, None), "some gateway may have told a smaller one");
    assert_eq!(snapshot.standing(Some(7 * SPAN + 40), 1.0).position, Some(0), "whoever is called is called");
}

/// The page without style and script, which are the same in all.
fn bare(page: &[u8]) -> String {
    let mut text = String::from_utf8(page.to_vec()).expect("UTF-8");
    for tag in ["style", "script"] {
        let Some(start) = text.find(&format!("<{tag}>")) else { continue };
        let end = text.find(&format!("</{tag}>")).expect("it is closed");
        text.replace_range(start + tag.len() + 2..end, "...");
    }
    // The version of the second script, in hexadecimal.
    if let Some(at) = text.find(".js?").map(|at| at + ".js?".len()) {
        text.replace_range(at..at + 12, "...");
    }
    // Which text it has follows from style and script, too.
    let Some((before, version)) = text.split_once("data-page=\"") else { return text };
    format!("{before}data-page=\"...{}", &version[6..])
}

#[test]
fn every_face_of_the_waiting_page() {
    let page = WaitingPage::new("launch", None, &Brand::default()).expect("our own template");
    let mut paused = room();
    paused.rules.open = false;
    let capped = View { rate: 2.0, capped_by: Some(CapKind::Shop), ..line() };
    let stocked = |state, left| {
        let stock = Stock { state, left, held: 3, units: 0.9 };
        View { stock: Some(stock), ..line() }
    };
    let faces = [
        ("moving", snapshot_of(&room(), &line(), false), Some(BASE + 12_345)),
        ("still", snapshot_of(&room(), &View { speed: 0.0, ..line() }, false), Some(BASE + 12_345)),
        ("unsure", snapshot_of(&room(), &View { unsure: true, ..line() }, false), Some(BASE + 12_345)),
        ("paused", snapshot_of(&paused, &line(), false), Some(BASE + 12_345)),
        ("capped", snapshot_of(&room(), &capped, false), Some(BASE + 12_345)),
        ("may_end", snapshot_of(&room(), &stocked(StockState::Available, 40), false), Some(BASE + 12_345)),
        ("last_items", snapshot_of(&room(), &stocked(StockState::InCheckout, 0), false), Some(BASE + 12_345)),
        ("sold_out", snapshot_of(&room(), &stocked(StockState::SoldOut, 0), false), Some(BASE + 12_345)),
        ("resting", at_rest(&room(), &line()), Some(BASE + 12_345)),
        ("called_resting", at_rest(&room(), &line()), Some(BASE + 8_000)),
        ("called", snapshot_of(&room(), &line(), false), Some(BASE + 8_000)),
        ("away", snapshot_of(&room(), &line(), true), Some(BASE + 12_345)),
        ("provisional", snapshot_of(&room(), &line(), true), None),
    ];
    for (name, snapshot, ticket) in faces {
        for language in Language::ALL {
            let html =
                Bytes::from(page.fill(&snapshot, &snapshot.standing(ticket, 1.0), (language, Coding::Identity), false));
            assert_fits(&html, language, name);
            let packed =
                Bytes::from(page.fill(&snapshot, &snapshot.standing(ticket, 1.0), (language, Coding::Gzip), false));
            let [_, most] = bounds(language);
            assert!(packed.len() < most, "{name} in {language:?}: {} bytes", packed.len());
            assert_eq!(unpacked(&packed), html);
            if RECORDED.contains(&language) {
                insta::assert_snapshot!(format!("page_{name}_{}", language.tag()), bare(&html));
            }
        }
    }
}

fn unpacked(page: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    flate2::read::GzDecoder::new(page).read_to_end(&mut all).expect("whole gzip");
    all
}

#[test]
fn a_page_with_a_brand() {
    let brand = Brand {
        name: "Kim & <Sons>".to_owned(),
        logo: Logo::of("<svg/>").ok(),
        colour: Colour::parse("#ffd400"),
        lines: Language::ALL.map(|language| match language {
            Language::Korean => "한정판, 오늘 12시".to_owned(),
            Language::English => "Limited, today at noon".to_owned(),
            _ => String::new(),
        }),
        facts: [
            Language::ALL.map(|_| "From 89 to 149 <euros>".to_owned()),
            Language::ALL.map(|language| if language == Language::Korean { "남은 수량 적음" } else { "" }.to_owned()),
        ],
    };
    let page = WaitingPage::new("launch", None, &brand).expect("our own template");
    let snapshot = snapshot_of(&room(), &line(), false);
    for language in Language::ALL {
        let html = Bytes::from(page.fill(
            &snapshot,
            &snapshot.standing(Some(BASE + 12_345), 1.0),
            (language, Coding::Identity),
            false,
        ));
        assert_fits(&html, language, "page");
        if RECORDED.contains(&language) {
            insta::assert_snapshot!(format!("page_brand_{}", language.tag()), bare(&html));
        }
        let notices = page.notices().expect("they have it too");
        let full = Bytes::from(notices.page(Notice::Full, language, Coding::Identity));
        if RECORDED.contains(&language) {
            insta::assert_snapshot!(format!("notice_brand_{}", language.tag()), bare(&full));
        }
    }
    let html =
        Bytes::from(page.fill(&snapshot, &snapshot.standing(None, 1.0), (Language::English, Coding::Identity), false));
    let html = String::from_utf8_lossy(&html).into_owned();
    let (_, added) = html.split_once(":root{--water").expect("its colours");
    insta::assert_snapshot!("brand_style", format!(":root{{--water{}", added.split("</style>").next().unwrap_or("")));
    assert!(page.csp().to_str().expect("ASCII").contains("img-src 'self' data:;"));
    assert_allowed(&html, &page.csp());
}

#[test]
fn whoever_is_called_while_nobody_is_let_in_is_next_and_not_at_place_zero() {
    let mut paused = room();
    paused.rules.open = false;
    let snapshot = snapshot_of(&paused, &line(), false);
    let standing = snapshot.standing(Some(BASE + 8_000), 1.0);
    assert_eq!(standing.position, Some(0));
    let page = WaitingPage::new("launch", None, &Brand::default()).expect("our own template");
    let html = bare(&Bytes::from(page.fill(&snapshot, &standing, (Language::ALL[0], Coding::Identity), false)));
    assert!(html.contains("<span id=\"position\">1</span>"), "{html}");
}

#[test]
fn a_newcomer_who_is_asked_to_confirm_is_told_to_come_back_in_a_second() {
    let page = WaitingPage::new("launch", None, &Brand::default()).expect("our own template");
    let snapshot = snapshot_of(&room(), &line(), false);
    for language in Language::ALL {
        let html = Bytes::from(page.arriving(&snapshot, (language, Coding::Identity)));
        assert_fits(&html, language, "page");
        if RECORDED.contains(&language) {
            insta::assert_snapshot!(format!("page_arriving_{}", language.tag()), bare(&html));
        }
    }
    let told = parsed(&snapshot.arriving_json());
    let mut expected = made_by_serde(&QueuePosition::ARRIVING, "launch");
    expected["cfWaitingRoom"]["confirm"] = true.into();
    assert_eq!(told, expected);
}

#[test]
fn the_page_says_why_one_waits_again_and_holds_the_form() {
    let page = WaitingPage::new("launch", None, &Brand::default()).expect("our own template");
    let custom = WaitingPage::new("launch", Some("{{ room }}"), &Brand::default()).expect("a good template");
    let snapshot = snapshot_of(&room(), &line(), false);
    let standing = snapshot.standing(Some(BASE + 12_345), 1.0);
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let fields = vec![field("name", "\"><script>alert(1)</script>"), field("lines", "a\r\nb'"), field("<i>", "")];
    let whole = HeldForm { fields: Some(fields), left_out: Vec::new() };
    let part = HeldForm { left_out: vec!["card<b>".to_owned(), "cvc".to_owned()], ..whole.clone() };
    for language in Language::ALL {
        for (name, form) in [("whole", &whole), ("part", &part), ("lost", &HeldForm::default())] {
            let html = Bytes::from(page.holding(form, &snapshot, Some(&standing), (language, Coding::Identity), true));
            assert_fits(&html, language, name);
            assert_eq!(
                html,
                Bytes::from(custom.holding(form, &snapshot, Some(&standing), (language, Coding::Identity), true))
            );
            let packed = Bytes::from(page.holding(form, &snapshot, Some(&standing), (language, Coding::Gzip), true));
            assert_eq!(unpacked(&packed), html);
            if RECORDED.contains(&language) {
                insta::assert_snapshot!(format!("page_form_{name}_{}", language.tag()), bare(&html));
            }
        }
    }
    let again = Bytes::from(page.fill(&snapshot, &standing, (Language::English, Coding::Identity), true));
    insta::assert_snapshot!("page_ended_en", bare(&again));
}

#[test]
fn the_page_at_a_gate_says_how_many_are_before_and_holds_the_form() {
    let page = WaitingPage::new("launch", None, &Brand::default()).expect("our own template");
    let custom = WaitingPage::new("launch", Some("{{ room }}"), &Brand::default()).expect("a good template");
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let whole = HeldForm { fields: Some(vec![field("name", "\"><script>")]), left_out: Vec::new() };
    let part = HeldForm { left_out: vec!["cvc".to_owned()], ..whole.clone() };
    let lost = HeldForm::default();
    for language in Language::ALL {
        for (name, form, ahead) in [
            ("none", None, Some(1_234)),
            ("whole", Some(&whole), Some(1_234)),
            ("part", Some(&part), Some(0)),
            ("lost", Some(&lost), Some(1)),
            ("no_way", Some(&whole), None),
        ] {
            let filled = |page: &WaitingPage, coding| Bytes::from(page.at_gate(form, ahead, 1, (language, coding)));
            let html = filled(&page, Coding::Identity);
            assert_fits(&html, language, name);
            assert_eq!(html, filled(&custom, Coding::Identity), "always ours");
            assert_eq!(unpacked(&filled(&page, Coding::Gzip)), html);
            assert_allowed(&String::from_utf8_lossy(&html), &page.own_csp());
            if RECORDED.contains(&language) {
                insta::assert_snapshot!(format!("page_gate_{name}_{}", language.tag()), bare(&html));
            }
        }
    }
}

#[test]
fn every_notice() {
    let notices = Notices::unbranded();
    let starts = ["2026-03-01T11:00:00.000Z", "2026-03-01 20:00:00 KST"].map(str::to_owned);
    let all = [
        Notice::Suspended { retry: 30, message: None },
        Notice::LastCall { retry: 30, message: None },
        Notice::NotOpen { retry: 30, starts: &starts },
        Notice::EventOver,
        Notice::Full,
        Notice::TooMany { retry: 3 },
        Notice::NeedsPass { retry: 3 },
        Notice::Ended { retry: 5 },
        Notice::Left,
        Notice::PlaceOffered,
        Notice::NoPlace,
        Notice::Busy,
        Notice::Failed { status: 502, request: "<script>\"'&" },
        Notice::InDoubt { status: 504, request: "27c8404300000001" },
    ];
    for notice in all {
        for language in Language::ALL {
            let html = Bytes::from(notices.page(notice, language, Coding::Identity));
            assert_fits(&html, language, notice.name());
            if RECORDED.contains(&language) {
                insta::assert_snapshot!(format!("notice_{}_{}", notice.name(), language.tag()), bare(&html));
            }
        }
        let (text, json) = (notice.text(), notice.json());
        insta::assert_snapshot!(
            format!("notice_{}_short", notice.name()),
            format!("{}{}", String::from_utf8_lossy(&text), String::from_utf8_lossy(&json))
        );
        assert_eq!(parsed(&json)["error"], notice.name());
    }
}

#[test]
fn a_closed_room_tells_what_operators_say_and_one_that_opens_later_tells_when() {
    let message =
        Message::of(|language| (language == Language::English).then_some("Back at <20:00>")).expect("a message");
    let starts = ["2026-03-01T11:00:00.000Z", "2026-03-01 20:00:00 KST"].map(str::to_owned);
    let notices = Notices::unbranded();
    for closed in [
        Notice::Suspended { retry: 30, message: Some(&message) },
        Notice::LastCall { retry: 30, message: Some(&message) },
    ] {
        let shared = |form| String::from_utf8_lossy(&notices.shared(closed, form)).into_owned();
        for language in Language::ALL {
            let page = shared(Form::Page(language, Coding::Identity));
            assert!(page.contains("<p id=\"message\">Back at &lt;20:00&gt;</p>"), "{page}");
        }
        assert_eq!(parsed(shared(Form::Json).as_bytes())["told"], json!({ "en": "Back at <20:00>" }));
        assert!(shared(Form::Text).contains(" Back at <20:00> Retry after 30 s."), "{}", shared(Form::Text));
    }
    let later = Notice::NotOpen { retry: 30, starts: &starts };
    let page = notices.shared(later, Form::Page(Language::Arabic, Coding::Identity));
    let told = "<time datetime=\"2026-03-01T11:00:00.000Z\">2026-03-01 20:00:00 KST</time>";
    assert!(String::from_utf8_lossy(&page).contains(told));
    assert_eq!(parsed(&notices.shared(later, Form::Json))["startsAt"], starts[0]);
    assert!(later.text().starts_with(b"It has not started yet. It starts at 2026-03-01T11:00:00.000Z."));
}

/// The text of the opened answer on a page.
fn opened(page: &[u8]) -> Option<String> {
    let page = std::str::from_utf8(page).expect("text");
    assert_eq!(page.matches("<li><a href=\"/.weir/answers/launch/").count(), QUESTIONS.len(), "{page}");
    let (_, rest) = page.split_once("aria-current=\"true\">")?;
    let (_, answer) = rest.split_once("<p>")?;
    Some(answer.split_once("</p>")?.0.to_owned())
}

#[test]
fn every_question_is_answered_in_every_language_from_the_line_as_it_is() {
    let brand =
        Brand { facts: [Language::ALL.map(|_| "From 89 <euros>".to_owned()), Default::default()], ..Brand::default() };
    let page = WaitingPage::new("launch", None, &brand).expect("our own template");
    let mut paused = room();
    paused.rules.open = false;
    let stocked = |state, left| View { stock: Some(Stock { state, left, held: 3, units: 0.9 }), ..line() };
    let places = [
        ("moving", snapshot_of(&room(), &line(), false)),
        ("still", snapshot_of(&room(), &View { speed: 0.0, ..line() }, false)),
        ("paused", snapshot_of(&paused, &line(), false)),
        ("away", snapshot_of(&room(), &line(), true)),
        ("resting", at_rest(&room(), &line())),
        ("plenty", snapshot_of(&room(), &stocked(StockState::Available, 1_000_000), false)),
        ("few", snapshot_of(&room(), &stocked(StockState::Available, 40), false)),
        ("sold_out", snapshot_of(&room(), &stocked(StockState::SoldOut, 0), false)),
    ];
    let mut english = Vec::new();
    for (name, snapshot) in &places {
        let standing = snapshot.standing(Some(BASE + 12_345), 1.0);
        for language in Language::ALL {
            let filled = |question, coding| {
                Bytes::from(page.answers(question, (snapshot, &standing), "/a'b", (language, coding)))
            };
            assert_eq!(opened(&filled(None, Coding::Identity)), None);
            for question in Question::ALL {
                let html = filled(Some(question), Coding::Identity);
                assert_fits(&html, language, "answers");
                assert_eq!(unpacked(&filled(Some(question), Coding::Gzip)), html);
                let text = opened(&html).expect("it is opened");
                assert!(text.chars().count() > 3 && !text.contains('<') && !text.contains("  "), "{text}");
                assert!(String::from_utf8_lossy(&html).contains("href=\"/a&#39;b\""));
                if language == Language::English && question as usize >= Question::Wait as usize {
                    english.push(format!("{name} {}: {text}", question.name()));
                }
            }
        }
        let told = parsed(&page.answers_json(snapshot, &standing, Language::German));
        assert_eq!((&told["room"], &told["lang"]), (&json!("launch"), &json!("de")));
        let names: Vec<_> =
            told["answers"].as_array().expect("a list").iter().map(|answer| answer["question"].clone()).collect();
        assert_eq!(names, QUESTIONS);
    }
    insta::assert_snapshot!("answers_en", english.join("\n"));
    let stranger = places[0].1.standing(None, 1.0);
    let told = parsed(&page.answers_json(&places[0].1, &stranger, Language::English));
    let wait = told["answers"][Question::Wait as usize]["text"].as_str().expect("text");
    assert!(wait.starts_with("Estimated wait: about "), "who has no place is told of a newcomer's wait: {wait}");
}

#[test]
fn the_second_script_has_the_words_of_each_language_and_an_address_that_changes_with_it() {
    let page = WaitingPage::new("launch", None, &Brand::default()).expect("our own template");
    let snapshot = snapshot_of(&room(), &line(), false);
    let mut seen = std::collections::BTreeSet::new();
    for language in Language::ALL {
        let told = (language, Coding::Identity);
        let html = Bytes::from(page.fill(&snapshot, &snapshot.standing(Some(BASE + 12_345), 1.0), told, false));
        let html = String::from_utf8_lossy(&html).into_owned();
        let address =
            html.split("data-more=\"/.weir/queue/").nth(1).and_then(|rest| rest.split('"').next()).expect("one");
        let (file, version) = address.split_once('?').expect("a version");
        let script = |version, coding| queue_script(file, version, coding).expect("it is there");
        let (plain, kept) = script(Some(version), Coding::Identity);
        assert!(kept && !script(Some("0"), Coding::Identity).1 && !script(None, Coding::Identity).1);
        let (packed, _) = script(Some(version), Coding::Gzip);
        assert_eq!(unpacked(&packed), plain);
        assert!(packed.len() < 4_000, "{} bytes in {language:?}", packed.len());
        assert!(seen.insert(version.to_owned()), "each has words of its own");
        for word in ["goneNote", "resting", "capped", "returning", "full", "entering", "notifyOn"] {
            assert!(String::from_utf8_lossy(&plain).contains(&format!("\"{word}\":\"")), "{word} in {language:?}");
        }
    }
    assert_eq!(queue_script("nl.js", None, Coding::Identity), None);
    assert_eq!(queue_script("en", None, Coding::Identity), None);
}

#[test]
fn an_operators_template_has_the_same_variables() {
    let template = r#"<html lang="{{ lang }}"><title>{{ room }}</title>
{% if waitTimeKnown %}{{ waitTime }} min, {{ waitTimeFormatted }}{% else %}{{ t.unknown }}{% endif %}
{{ ticket }} {{ position }} {{ positionFormatted }} {{ reason }} {{ state }} {{ refreshIntervalSeconds }} {{ lastUpdated }}
<i title="{{ '<&>' }}"></i></html>"#;
    let page = WaitingPage::new("launch", Some(template), &Brand::default()).expect("a good template");
    let snapshot = snapshot_of(&room(), &line(), false);
    let told = (Language::Korean, Coding::Identity);
    let html = Bytes::from(page.fill(&snapshot, &snapshot.standing(Some(BASE + 12_345), 1.0), told, false));
    insta::assert_snapshot!("custom_page", String::from_utf8_lossy(&html));
    assert!(!page.csp().to_str().expect("ASCII").contains("script-src"));
}

#[test]
fn a_wrong_template_is_told_with_its_line() {
    let wrong = |template: &str| {
        WaitingPage::new("launch", Some(template), &Brand::default()).expect_err("it is wrong").to_string()
    };
    let errors = [
        wrong("<p>\n{{ waitTimeFormated }}"),
        wrong("<p>\n\n{% if waitTimeKnown %}"),
        wrong("{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}"),
        wrong("{% include 'other.html' %}"),
        wrong("a\n\u{1}0\u{1}"),
    ];
    insta::assert_snapshot!("template_errors", errors.join("\n"));
}

/// The policy names the style and the script of this page.
fn assert_allowed(html: &str, csp: &HeaderValue) {
    use base64::Engine as _;
    for tag in ["style", "script"] {
        let inside = html.split(&format!("<{tag}>")).nth(1).and_then(|rest| rest.split("</").next());
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, inside.expect("it is there").as_bytes());
        let hash = base64::engine::general_purpose::STANDARD.encode(hash);
        let allowed = csp.to_str().expect("ASCII").split("; ").find(|rule| rule.starts_with(&format!("{tag}-src")));
        assert!(allowed.expect("a rule").contains(&format!("'sha256-{hash}'")), "{tag}");
    }
}

#[test]
fn the_policy_allows_exactly_the_style_and_script_that_are_sent() {
    use base64::Engine as _;
    let page = WaitingPage::new("launch", None, &Brand::default()).expect("our own template");
    let snapshot = snapshot_of(&room(), &line(), false);
    let html = Bytes::from(page.fill(
        &snapshot,
        &snapshot.standing(Some(BASE + 12_345), 1.0),
        (Language::English, Coding::Identity),
        false,
    ));
    let html = String::from_utf8_lossy(&html);
    let csp = page.csp();
    assert_allowed(&html, &csp);
    let suspended = Bytes::from(Notices::unbranded().page(
        Notice::Suspended { retry: 30, message: None },
        Language::English,
        Coding::Identity,
    ));
    let suspended = String::from_utf8_lossy(&suspended).into_owned();
    let script = suspended.split("<script>").nth(1).and_then(|rest| rest.split("</").next()).expect("it is there");
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, script.as_bytes());
    let hash = base64::engine::general_purpose::STANDARD.encode(hash);
    assert!(csp.to_str().expect("ASCII").contains(&format!("'sha256-{hash}'; img-src")));
    assert!(!html.contains("style=") && !html.contains("onclick"), "inline attributes are not allowed");
}
