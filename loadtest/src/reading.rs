//! Reads an answer's head and body into an [`Answer`].
//!
//! An answer of a waiting room carries `Retry-After` and is not an error; in JSON it says more. Everything else
//! that succeeded is a page of the shop.
//!
//! Out of scope: trust. Whatever a server sends becomes a sane pause, a sane wait, or nothing.

use std::time::Duration;

use demo_shop::pages;
use launch_model::visit::{Answer, Content, Later, QueueInfo, RawAnswer, ShopPage};
use serde::Deserialize;

/// The shortest and the longest pause that is believed, in seconds.
const PAUSES: [f64; 2] = [0.1, 600.0];
/// The longest wait that is believed, in seconds: a month.
const LONGEST_WAIT: f64 = 30.0 * 86_400.0;
/// Assets of a waiting page that are loaded, at most.
const ASSETS: usize = 20;

/// Reads an answer. `retry_after` is that header.
pub(crate) fn read(status: u16, retry_after: Option<&str>, body: &[u8]) -> Answer {
    let seconds = retry_after.and_then(|text| text.trim().parse::<u64>().ok());
    let shown = match (status, seconds) {
        (200 | 202 | 429, Some(seconds)) => Content::Line(told(seconds, body)),
        (200..300, _) => Content::Shop(shop_page(body)),
        _ => Content::Nothing,
    };
    Answer { status, shown, seen: None }
}

/// Reads an answer to a shopper inside who waits where a form of theirs is told to. What carries `Retry-After` and is none of the
/// line, by the word of `Weir-Status`, asks for the same again: the shop, or what stands before it, has too much to do. Where a
/// gate holds the place, it says where to ask for the turn. `path` is that of the form.
pub(crate) fn read_inside(
    status: u16,
    retry_after: Option<&str>,
    says: Option<&str>,
    path: &str,
    body: &[u8],
) -> Answer {
    let seconds = retry_after.and_then(|text| text.trim().parse::<u64>().ok());
    let is_line = says.is_some_and(|word| IN_LINE.contains(&word));
    match (status, seconds) {
        (200 | 202 | 429 | 503, Some(seconds)) if !is_line => {
            let turn = if says == Some(HELD) { turn_in(body, path) } else { None };
            let later = Later { after: told(seconds, body).after, turn };
            Answer { status, shown: Content::Later(later), seen: None }
        }
        _ => read(status, retry_after, body),
    }
}

/// Where a page that waits at a gate asks for its turn, as its script does it.
fn turn_in(page: &[u8], path: &str) -> Option<Box<str>> {
    let (_, rest) = std::str::from_utf8(page).ok()?.split_once(" data-room=\"")?;
    let (room, _) = rest.split_once('"')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (!room.is_empty() && room.chars().all(is_name)).then(|| format!("/.weir/gate/{room}{path}").into())
}

/// Reads the answer to a page that asked for its turn.
pub(crate) fn read_turn(status: u16, body: &[u8]) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Told {
        go: bool,
        poll_after_seconds: Option<f64>,
    }
    let shown = match serde_json::from_slice::<Told>(body).ok().filter(|_| status == 200) {
        Some(Told { go: true, .. }) => Content::Turn,
        Some(told) => Content::Later(Later { after: pause(told.poll_after_seconds.unwrap_or(PAUSES[0])), turn: None }),
        None => Content::Nothing,
    };
    Answer { status, shown, seen: None }
}

/// The word of `Weir-Status` for a place at the gate of a form.
const HELD: &str = "held";

/// Words of `Weir-Status` for a place in the line, or for none yet.
const IN_LINE: [&str; 3] = ["waiting", "needs-pass", "expired"];
/// Seconds until the next poll where the answer names none.
const UNTOLD: u64 = 5;

/// Reads an answer to a request of a journey. Any shop may send `Retry-After`, so the line must say that it is one: in
/// `Weir-Status`, or in the JSON of a waiting room.
pub(crate) fn read_on_the_way(status: u16, seen: RawAnswer) -> Answer {
    let says = seen.headers.get("weir-status").and_then(|word| word.to_str().ok());
    let room = || seen.body.first() == Some(&b'{') && serde_json::from_slice::<Document>(&seen.body).is_ok();
    let shown = match says {
        Some(word) if IN_LINE.contains(&word) => Content::Line(told_in(&seen)),
        None if room() => Content::Line(told_in(&seen)),
        None if (200..400).contains(&status) => Content::Shop(ShopPage::default()),
        _ => Content::Nothing,
    };
    Answer { status, shown, seen: Some(Box::new(seen)) }
}

fn told_in(seen: &RawAnswer) -> QueueInfo {
    told(seen.retry_after().map_or(UNTOLD, |pause| pause.as_secs()), &seen.body)
}

fn shop_page(body: &[u8]) -> ShopPage {
    let key = pages::key_in(body).map(Box::from);
    ShopPage { sold_out: pages::is_sold_out(body), order: pages::order_in(body), key }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    cf_waiting_room: Room,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Room {
    poll_after_seconds: Option<f64>,
    position: Option<u64>,
    wait_low_seconds: Option<f64>,
    wait_high_seconds: Option<f64>,
}

/// A pause that is believed.
fn pause(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(PAUSES[0], PAUSES[1]))
}

fn told(seconds: u64, body: &[u8]) -> QueueInfo {
    let json = Some(body).filter(|body| body.first() == Some(&b'{'));
    let Some(room) = json.and_then(|body| serde_json::from_slice::<Document>(body).ok()) else {
        return QueueInfo { after: pause(seconds as f64), assets: assets(body), ..QueueInfo::default() };
    };
    let room = room.cf_waiting_room;
    QueueInfo {
        after: pause(room.poll_after_seconds.unwrap_or(seconds as f64)),
        position: room.position,
        wait: wait(room.wait_low_seconds, room.wait_high_seconds),
        assets: Vec::new(),
    }
}

fn wait(low: Option<f64>, high: Option<f64>) -> Option<[f64; 2]> {
    let sane = |seconds: &f64| (0.0..=LONGEST_WAIT).contains(seconds);
    Some([low.filter(sane)?, high.filter(sane)?])
}

/// What a page loads from its own server: scripts, pictures and style sheets by an absolute path. Data URLs need no
/// request, and links and forms are not loaded.
fn assets(page: &[u8]) -> Vec<Box<str>> {
    let Ok(page) = std::str::from_utf8(page) else { return Vec::new() };
    let tags = page.split('<').skip(1).filter_map(|rest| rest.split_once('>').map(|(tag, _)| tag));
    let path = |tag: &str| {
        let name = tag.split(|c: char| c.is_ascii_whitespace()).next()?;
        let attribute = match name.to_ascii_lowercase().as_str() {
            "script" | "img" => "src=\"",
            "link" => "href=\"",
            _ => return None,
        };
        let (_, value) = tag.split_once(attribute)?;
        let path = value.split('"').next()?;
        (path.starts_with('/') && !path.starts_with("//")).then(|| Box::from(path))
    };
    let mut found: Vec<Box<str>> = tags.filter_map(path).take(ASSETS).collect();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(retry_after: &str, body: &str) -> QueueInfo {
        match read(200, Some(retry_after), body.as_bytes()).shown {
            Content::Line(told) => told,
            other => panic!("no line: {other:?}"),
        }
    }

    #[test]
    fn a_place_in_the_line_is_told_in_json_and_less_of_it_by_a_page() {
        let json = r#"{"cfWaitingRoom":{"inWaitingRoom":true,"position":41,"waitLowSeconds":3,"waitHighSeconds":9,"pollAfterSeconds":2.5}}"#;
        let told = line("3", json);
        assert_eq!((told.after, told.position, told.wait), (Duration::from_millis(2_500), Some(41), Some([3.0, 9.0])));
        let unknown =
            r#"{"cfWaitingRoom":{"position":null,"waitLowSeconds":null,"waitHighSeconds":9,"pollAfterSeconds":1.0}}"#;
        assert_eq!((line("3", unknown).position, line("3", unknown).wait), (None, None));
        assert_eq!(
            line("3", "<html>please wait</html>"),
            QueueInfo { after: Duration::from_secs(3), ..QueueInfo::default() }
        );
        assert_eq!(line("3", "{").after, Duration::from_secs(3));
    }

    #[test]
    fn an_absurd_pause_is_held_to_ten_minutes_and_an_absurd_wait_is_none() {
        for seconds in ["1e300", "-4"] {
            let body = format!(
                r#"{{"cfWaitingRoom":{{"pollAfterSeconds":{seconds},"waitLowSeconds":{seconds},"waitHighSeconds":9}}}}"#
            );
            let told = line("1", &body);
            assert!(told.after >= Duration::from_millis(100) && told.after <= Duration::from_mins(10), "{told:?}");
            assert_eq!(told.wait, None);
        }
        assert_eq!(line("18446744073709551615", "").after, Duration::from_mins(10));
    }

    #[test]
    fn an_answer_is_the_line_the_shop_or_nothing() {
        let shown = |status, retry_after, body: &str| read(status, retry_after, body.as_bytes()).shown;
        let order = pages::order(7);
        assert!(matches!(shown(200, None, &order), Content::Shop(ShopPage { order: Some(7), .. })));
        assert!(matches!(shown(429, Some("5"), "slow down"), Content::Line(_)));
        for (status, retry_after) in [(429, None), (503, Some("5")), (404, None), (302, None), (500, None)] {
            assert_eq!(shown(status, retry_after, ""), Content::Nothing, "{status}");
        }
        assert!(matches!(shown(200, Some("Wed, 21 Oct 2026 07:28:00 GMT"), ""), Content::Shop(_)));
    }

    #[test]
    fn inside_what_is_to_be_tried_again_is_told_from_the_line() {
        let shown = |status, retry_after, says, body: &str| {
            read_inside(status, retry_after, says, "/launch/order", body.as_bytes()).shown
        };
        let later = |ms, turn: Option<&str>| {
            Content::Later(Later { after: Duration::from_millis(ms), turn: turn.map(Box::from) })
        };
        for (status, says) in [(429, Some("busy")), (503, Some("busy")), (503, None), (202, Some("order"))] {
            assert_eq!(shown(status, Some("7"), says, "<html>"), later(7_000, None), "{status}");
        }
        let json = r#"{"cfWaitingRoom":{"pollAfterSeconds":2.5}}"#;
        assert_eq!(shown(429, Some("3"), None, json), later(2_500, None));
        let page = r#"<main id="weir" data-room="launch" data-poll="2">"#;
        assert_eq!(shown(429, Some("2"), Some("held"), page), later(2_000, Some("/.weir/gate/launch/launch/order")));
        for odd in ["<html>", r#"<main data-room="">"#, r#"<main data-room="a b">"#, r#"<main data-room="x"#] {
            assert_eq!(shown(429, Some("2"), Some("held"), odd), later(2_000, None), "{odd}");
        }
        for says in IN_LINE {
            assert!(matches!(shown(429, Some("7"), Some(says), ""), Content::Line(_)), "{says}");
        }
        assert_eq!(shown(503, None, None, ""), Content::Nothing, "nobody knows when");
        assert!(matches!(shown(200, None, None, &pages::order(7)), Content::Shop(ShopPage { order: Some(7), .. })));
    }

    #[test]
    fn a_turn_has_come_or_is_asked_for_again() {
        let shown = |status, body: &str| read_turn(status, body.as_bytes()).shown;
        assert_eq!(shown(200, r#"{"go":true,"ahead":0,"pollAfterSeconds":1}"#), Content::Turn);
        let later = |seconds| Content::Later(Later { after: Duration::from_secs(seconds), turn: None });
        assert_eq!(shown(200, r#"{"go":false,"ahead":7,"pollAfterSeconds":5}"#), later(5));
        assert_eq!(shown(200, r#"{"go":false,"pollAfterSeconds":1e300}"#), later(600));
        for (status, body) in [(200, "<html>"), (429, r#"{"go":true}"#), (502, ""), (200, "{}")] {
            assert_eq!(shown(status, body), Content::Nothing, "{status} {body}");
        }
    }

    #[test]
    fn a_page_loads_what_it_names_and_not_what_it_links_to() {
        let page = r#"<html><link rel="icon" href="data:,"><link rel="stylesheet" href="/.weir/a.css"><script src="/.weir/b.js"></script>
            <script>let x = "/no.js"</script><img alt="" src="/c.png"><a href="/shop">go</a><form action="/.weir/leave/launch">
            <script src="https://cdn.example/d.js"></script><script src="//cdn.example/e.js">"#;
        let told = line("3", page);
        assert_eq!(told.assets, ["/.weir/a.css".into(), "/.weir/b.js".into(), Box::from("/c.png")]);
    }

    #[test]
    fn on_a_journey_only_what_says_so_is_the_line() {
        let read = |status, headers: &[(&'static str, &str)], body: &'static str| {
            let headers = headers.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap()));
            let headers: http::HeaderMap = headers.collect();
            read_on_the_way(status, RawAnswer { headers, body: body.into(), ..RawAnswer::default() })
        };
        for (status, word) in [(200, "waiting"), (429, "needs-pass"), (429, "expired")] {
            let answer = read(status, &[("weir-status", word), ("retry-after", "3")], "<html>");
            let Content::Line(told) = &answer.shown else { panic!("{word}: {answer:?}") };
            assert_eq!(told.after, Duration::from_secs(3));
            assert!(!answer.is_from_shop());
        }
        assert!(matches!(read(200, &[], r#"{"cfWaitingRoom":{"position":3}}"#).shown, Content::Line(_)), "of others");
        for (status, from_shop) in [(200, true), (302, true), (404, true), (429, false), (503, false)] {
            let answer = read(status, &[("retry-after", "3")], "{}");
            assert_eq!((answer.is_shop(), answer.is_from_shop()), (status < 400, from_shop), "{status}");
        }
        for word in ["too-fast", "busy", "queue-closed", "failed"] {
            let answer = read(503, &[("weir-status", word)], "");
            assert_eq!((&answer.shown, answer.is_from_shop()), (&Content::Nothing, false), "{word}");
        }
    }
}
