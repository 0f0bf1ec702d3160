//! What the console says, in English and Korean, and how it writes numbers and times.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::ui::Language;

/// Key, English, Korean. Plain text; it is escaped where it is put into HTML.
const TEXTS: &[(&str, &str, &str)] = &[
    // The frame.
    ("wall", "Wall", "현황판"),
    ("change", "Change", "설정 변경"),
    ("events", "Events", "이벤트"),
    ("audit", "Audit", "감사 기록"),
    ("views", "Views", "화면"),
    ("skip", "Skip to the content", "본문으로 건너뛰기"),
    ("log_in", "Log in", "로그인"),
    ("log_out", "Log out", "로그아웃"),
    (
        "not_known",
        "Nobody is logged in: you may look. To act, log in with a token or the link in the gateway's log.",
        "로그인하지 않아 조회만 할 수 있습니다. 조작하려면 토큰이나 게이트웨이 로그의 링크로 로그인해 주세요.",
    ),
    ("only_look", "Your role may look, and not act.", "조회만 할 수 있는 역할입니다."),
    ("refused", "Refused", "거부됨"),
    ("back", "Back to the wall", "현황판으로"),
    (
        "lost",
        "No connection to the gateway: what you see stands still. It is tried again.",
        "게이트웨이와 연결이 끊겨 화면이 멈춰 있습니다. 다시 연결하는 중입니다.",
    ),
    // The wall and the head of a room.
    ("room", "Room", "대기실"),
    ("state", "State", "상태"),
    ("waiting", "Waiting", "대기 인원"),
    ("admitted", "Admitted", "입장"),
    ("of", "of", "/"),
    ("per_second", "/s", "/초"),
    ("inside", "Inside", "이용 중"),
    ("no_bound", "no bound", "제한 없음"),
    ("newcomer_waits", "A newcomer waits", "신규 예상 대기"),
    ("shop", "Shop p95", "쇼핑몰 p95"),
    ("errors", "5xx", "5xx"),
    ("next_event", "Next event", "다음 이벤트"),
    ("gateways", "Gateways", "게이트웨이"),
    ("gateways_heard", "gateways", "게이트웨이"),
    ("gateway", "Gateway", "게이트웨이"),
    ("no_rooms", "There is no room yet.", "아직 대기실이 없습니다."),
    ("make_room", "Make a room", "대기실 만들기"),
    ("not_heard", "Not heard for", "응답 없음"),
    ("seconds", "s", "초"),
    ("in_touch", "Heard", "정상"),
    ("store_away", "The store does not answer it", "저장소 응답 없음"),
    ("rooms_version", "Rooms", "대기실 설정"),
    ("version", "version", "버전"),
    ("as_of", "As of", "기준 시각"),
    ("alarm_store", "The store does not answer", "저장소가 응답하지 않습니다"),
    ("alarm_open", "The store is away: everybody is let in", "저장소가 없어 모두 입장시키고 있습니다"),
    ("alarm_shop", "The shop cannot be reached", "쇼핑몰에 연결할 수 없습니다"),
    ("alarm_errors", "The shop answers with errors", "쇼핑몰이 오류로 응답합니다"),
    ("until", "until", "종료"),
    // A room.
    ("arrivals", "Arrivals", "도착"),
    ("admitted_against_limit", "Admitted / limit", "입장 / 한도"),
    ("changes", "Changes", "변경 내역"),
    ("no_changes", "None in this time.", "이 시간에는 없습니다."),
    ("span", "Time shown", "표시 시간"),
    ("minutes", "min", "분"),
    (
        "kept",
        "Kept in this gateway's memory: not over a restart.",
        "이 게이트웨이의 메모리에 있으며 재시작하면 사라집니다.",
    ),
    ("actions", "Actions", "조작"),
    ("why", "Why (for the audit)", "사유 (감사 기록용)"),
    ("pause", "Pause", "일시 정지"),
    ("resume", "Resume", "재개"),
    ("slower", "Rate −10%", "속도 −10%"),
    ("faster", "Rate +10%", "속도 +10%"),
    ("rate", "New shoppers a minute", "분당 입장 인원"),
    ("seats", "Seats", "동시 이용 한도"),
    ("set", "Set", "적용"),
    ("limits", "Limits", "한도"),
    ("message", "Message to the line", "대기자 안내 문구"),
    (
        "message_hint",
        "Plain text, at most 280 characters for each language. Everybody in the line reads it.",
        "언어별 최대 280자의 일반 텍스트입니다. 대기자 모두에게 표시됩니다.",
    ),
    ("tell", "Tell the line", "안내 게시"),
    ("clear", "Clear", "지우기"),
    ("let_in_now", "Let in now", "지금 입장시킬 인원"),
    ("let_in", "Let in", "입장"),
    ("guarded", "Close, stop, open to all, start an event", "닫기, 긴급 중지, 전체 개방, 이벤트 시작"),
    ("confirm", "The room's name, typed", "대기실 이름 입력"),
    ("close", "Close", "닫기"),
    ("reopen", "Reopen", "다시 열기"),
    ("last_call", "Last call", "접수 마감"),
    ("stop", "Stop: end all passes", "긴급 중지: 모든 입장 종료"),
    ("open_for", "Open to all for (minutes)", "전체 개방 시간(분)"),
    ("open", "Open to all", "전체 개방"),
    ("end_open", "End the opening", "개방 종료"),
    ("start_event", "Start now", "지금 시작"),
    ("event", "Event", "이벤트"),
    ("done", "Done", "완료"),
    ("nothing_new", "There was nothing to do.", "이미 그 상태입니다."),
    ("in_force", "in force after", "적용됨"),
    ("may_let_in", "not heard: may let in up to", "응답 없음: 추가 입장 가능 인원"),
    ("edit_room", "Change the room", "대기실 설정 변경"),
    // Change.
    ("rooms_text", "The rooms in force, as a text", "현재 적용된 대기실 설정"),
    ("from_version", "Made from version", "기준 버전"),
    ("show_diff", "Show what would differ", "변경 내용 확인"),
    ("apply", "Apply on every gateway", "모든 게이트웨이에 적용"),
    ("differs", "What would differ", "변경될 내용"),
    ("no_difference", "Nothing differs.", "변경되는 내용이 없습니다."),
    ("new_room", "A new room", "새 대기실"),
    ("name", "Name", "이름"),
    ("host", "Host", "호스트"),
    ("path", "Path", "경로"),
    ("applied", "Applied", "적용 완료"),
    ("only_admin", "Only an admin may change the rooms.", "관리자만 설정을 변경할 수 있습니다."),
    // Events.
    ("phase", "Phase", "단계"),
    ("before", "to come", "예정"),
    ("prequeue", "pre-queue", "사전 대기"),
    ("running", "running", "진행 중"),
    ("ended", "over", "종료"),
    ("suspended", "suspended", "보류"),
    ("prequeue_start", "Pre-queue from", "사전 대기 시작"),
    ("event_start", "Start", "시작"),
    ("event_end", "End", "종료"),
    ("no_events", "There is no event.", "이벤트가 없습니다."),
    ("make_event", "Make or edit an event", "이벤트 만들기 · 수정"),
    (
        "event_hint",
        "A name that the room has already is edited. Times with an offset, such as 2026-12-01T20:00:00+09:00. What stays empty is as in the room.",
        "이미 있는 이름을 쓰면 수정됩니다. 시각은 2026-12-01T20:00:00+09:00 형식입니다. 비워 두면 대기실 설정을 따릅니다.",
    ),
    ("description", "Description", "설명"),
    ("edit", "Edit", "수정"),
    ("start_in_room", "Start it in its room", "대기실에서 시작"),
    // Audit.
    ("whole", "The chain is whole", "기록이 온전합니다"),
    ("broken", "The chain is broken", "기록이 훼손되었습니다"),
    ("forks", "The store lost lines: forks", "저장소 유실로 갈라진 기록"),
    ("head", "Head", "마지막 기록"),
    ("lines", "lines", "건"),
    ("filter", "Filter", "필터"),
    ("all", "all", "전체"),
    ("show", "Show", "보기"),
    ("who", "Who", "누가"),
    ("when", "When (UTC)", "시각 (UTC)"),
    ("what", "What", "무엇을"),
    ("reason", "Why", "사유"),
    ("older", "Older", "이전"),
    ("newer", "Newer", "다음"),
    ("none", "Nothing was found.", "기록이 없습니다."),
];

/// The states of a room, by their names for programs.
const STATES: &[(&str, &str, &str)] = &[
    ("running", "Running", "운영 중"),
    ("paused", "Paused", "일시 정지"),
    ("last_call", "Last call", "접수 마감"),
    ("closed", "Closed", "닫힘"),
    ("open_to_all", "Open to all", "전체 개방"),
    ("stop", "Stop", "긴급 중지"),
];

/// Actions, as in the audit. One that is not here is told by its name.
const ACTIONS: &[(&str, &str, &str)] = &[
    ("pause", "Paused", "일시 정지"),
    ("resume", "Resumed", "재개"),
    ("close", "Closed", "닫기"),
    ("reopen", "Reopened", "다시 열기"),
    ("last-call", "Last call", "접수 마감"),
    ("stop", "Stopped", "긴급 중지"),
    ("rate", "Rate set", "입장 속도 변경"),
    ("seats", "Seats set", "동시 이용 한도 변경"),
    ("open", "Opened to all", "전체 개방"),
    ("message", "Message to the line", "안내 문구 변경"),
    ("let-in", "Let in", "추가 입장"),
    ("start-event", "Event started", "이벤트 시작"),
    ("revoke", "Pass revoked", "입장 취소"),
    ("give-place", "Place given", "자리 제공"),
    ("apply", "Rooms changed", "대기실 설정 변경"),
    ("rollback", "Rooms rolled back", "대기실 설정 되돌림"),
    ("log-in", "Log-in", "로그인"),
    ("log-out", "Log-out", "로그아웃"),
];

type Texts = BTreeMap<&'static str, &'static str>;

static ENGLISH: LazyLock<Texts> = LazyLock::new(|| TEXTS.iter().map(|(key, english, _)| (*key, *english)).collect());
static KOREAN: LazyLock<Texts> = LazyLock::new(|| TEXTS.iter().map(|(key, _, korean)| (*key, *korean)).collect());

/// Every text in this language.
pub(super) fn of(language: Language) -> &'static Texts {
    if language == Language::Korean { &KOREAN } else { &ENGLISH }
}

/// One of them.
pub(super) fn text(language: Language, key: &str) -> &'static str {
    of(language).get(key).copied().unwrap_or_default()
}

fn among(list: &[(&str, &'static str, &'static str)], language: Language, name: &str) -> Option<&'static str> {
    let (_, english, korean) = list.iter().find(|(known, ..)| *known == name)?;
    Some(if language == Language::Korean { korean } else { english })
}

/// A state of a room.
pub(super) fn state(language: Language, name: &str) -> &'static str {
    among(STATES, language, name).unwrap_or_default()
}

/// An action that was done.
pub(super) fn action(language: Language, name: &str) -> String {
    among(ACTIONS, language, name).map_or_else(|| name.to_owned(), str::to_owned)
}

/// A number with separators; below 10 with a digit behind the point, if it is not whole.
pub(super) fn number(number: f64) -> String {
    let rounded = (number * 10.0).round() / 10.0;
    if rounded.abs() < 10.0 && rounded.fract() != 0.0 {
        return format!("{rounded:.1}");
    }
    let digits = (number.round().abs() as u64).to_string();
    let (length, mut written) = (digits.len(), String::new());
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (length - at).is_multiple_of(3) {
            written.push(',');
        }
        written.push(digit);
    }
    written
}

/// A range of seconds: in seconds up to two minutes, then in minutes.
pub(super) fn range(language: Language, low: u32, high: u32) -> String {
    let (seconds, minutes) = if language == Language::Korean { ("초", "분") } else { (" s", " min") };
    let written = |low: u32, high: u32, unit: &str| {
        let (low, high) = (number(f64::from(low)), number(f64::from(high)));
        if low == high { format!("{low}{unit}") } else { format!("{low}–{high}{unit}") }
    };
    if high < 120 { written(low, high, seconds) } else { written(low / 60, high.div_ceil(60), minutes) }
}

/// Milliseconds since 1970 of a time in RFC 3339; 0 of what is none.
pub(super) fn millis(time: &str) -> u64 {
    time.parse::<Timestamp>().ok().and_then(|time| u64::try_from(time.as_millisecond()).ok()).unwrap_or(0)
}

/// The time of day of a moment, in UTC.
pub(super) fn second(millis: u64) -> String {
    let time =
        i64::try_from(millis).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok()).unwrap_or_default();
    time.to_zoned(TimeZone::UTC).strftime("%H:%M:%S").to_string()
}

/// Day and minute of a time in RFC 3339, in UTC.
pub(super) fn minute(time: &str) -> String {
    let minute = time.get(..16).map(|minute| minute.replace('T', " "));
    minute.map_or_else(|| time.to_owned(), |minute| format!("{minute} UTC"))
}

#[cfg(test)]
mod tests {
    use policy::action::{ACTIONS as ALL_ACTIONS, State};

    use super::*;

    #[test]
    fn every_text_is_there_in_both_languages_and_no_key_twice() {
        for list in [TEXTS, STATES, ACTIONS] {
            assert!(list.iter().all(|(_, english, korean)| !english.is_empty() && !korean.is_empty()));
            let keys: std::collections::BTreeSet<_> = list.iter().map(|(key, ..)| key).collect();
            assert_eq!(keys.len(), list.len());
        }
    }

    #[test]
    fn states_and_actions_have_the_words_of_the_rest_of_the_program() {
        for known in State::ALL {
            assert_eq!(state(Language::English, known.name()), known.label());
        }
        for known in ALL_ACTIONS {
            assert!(among(ACTIONS, Language::Korean, known).is_some(), "{known}");
        }
    }

    #[test]
    fn numbers_and_ranges_are_written_for_people() {
        assert_eq!([0.0, 0.04, 1.25, 9.96, 12.4, 1_234_567.0].map(number), ["0", "0", "1.3", "10", "12", "1,234,567"]);
        assert_eq!(range(Language::English, 5, 90), "5–90 s");
        assert_eq!(range(Language::Korean, 1_260, 1_310), "21–22분");
        assert_eq!(
            (second(3_661_000), minute("2026-12-01T11:00:00Z")),
            ("01:01:01".to_owned(), "2026-12-01 11:00 UTC".to_owned())
        );
    }
}
