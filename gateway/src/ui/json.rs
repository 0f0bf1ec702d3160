//! The waiting JSON, for programs.
//!
//! Cloudflare's shape, one object under `cfWaitingRoom`, so that an app written for it works
//! unchanged; Weir's additions (`room`, `segment`, `ticket`, `position`, `waitLowSeconds`, `waitHighSeconds`,
//! `pollAfterSeconds`, `eventStartTime`, `status` as in `Weir-Status`, `reason`, `stockState` and `stockLeft`, `shopResting`, `message`, and `confirm`
//! before there is a place) stand in
//! the same object. The common part is written once per snapshot ([`head`]); a shopper adds a copy and numbers ([`waiting`]).

use bytes::Bytes;
use policy::Millis;
use policy::outlook::{Standstill, Wait};
use policy::room::QueueingMethod;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Facts, Language, QueuePosition, push_number, status};

/// Bytes reserved for the addition of [`waiting`] to the head.
const TAIL: usize = 400;

/// The fields that are the same for all shoppers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "a document: each is a question of its own")]
struct Head<'a> {
    in_waiting_room: bool,
    status: &'static str,
    room: &'a str,
    queue_is_full: bool,
    queue_all: bool,
    last_updated: &'a str,
    queueing_method: QueueingMethod,
    #[serde(rename = "isFIFOQueue")]
    is_fifo_queue: bool,
    is_random_queue: bool,
    is_passthrough_queue: bool,
    is_reject_queue: bool,
    is_event_active: bool,
    is_event_prequeueing: bool,
    time_until_event_start: u64,
    time_until_event_start_formatted: String,
    event_start_time: Option<String>,
    time_until_event_end: u64,
    time_until_event_end_formatted: String,
    shuffle_at_event_start: bool,
    #[serde(rename = "waitTime25Percentile")]
    wait_time_25: u64,
    #[serde(rename = "waitTime50Percentile")]
    wait_time_50: u64,
    #[serde(rename = "waitTime75Percentile")]
    wait_time_75: u64,
    reason: Option<&'static str>,
    stock_state: Option<&'static str>,
    stock_left: Option<u64>,
    shop_resting: bool,
    /// What operators tell, by the tag of its language.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Map<String, Value>>,
}

/// The beginning of the document, up to the part that differs by shopper.
pub(super) fn head(facts: &Facts<'_>, updated: &str) -> Bytes {
    let queueing_method = facts.room.queueing_method;
    let event = facts.event;
    let starts = event.starts();
    let ends = event.current.map(|(times, _)| times.end.saturating_sub(event.utc));
    let head = Head {
        in_waiting_room: true,
        status: "waiting",
        room: facts.name,
        queue_is_full: false,
        queue_all: !facts.room.rules.open && !facts.room.suspended,
        last_updated: updated,
        queueing_method,
        is_fifo_queue: queueing_method == QueueingMethod::Fifo,
        is_random_queue: queueing_method == QueueingMethod::Random,
        is_passthrough_queue: queueing_method == QueueingMethod::Passthrough,
        is_reject_queue: queueing_method == QueueingMethod::Reject,
        is_event_active: event.current.is_some(),
        is_event_prequeueing: event.is_prequeueing(),
        time_until_event_start: minutes(starts.map(|(_, left)| left)),
        time_until_event_start_formatted: formatted(starts.map(|(_, left)| left)),
        event_start_time: starts.map(|(at, _)| status::iso(at)),
        time_until_event_end: minutes(ends),
        time_until_event_end_formatted: formatted(ends),
        shuffle_at_event_start: false,
        wait_time_25: 0,
        wait_time_50: 0,
        wait_time_75: 0,
        reason: facts.standstill().map(Standstill::name),
        stock_state: facts.line.stock.map(|stock| stock.state.name()),
        stock_left: facts.line.stock.map(|stock| stock.left),
        shop_resting: facts.shop_rests,
        message: facts.message.map(|message| message.texts()),
    };
    let mut out = b"{\"cfWaitingRoom\":".to_vec();
    // Plain data in memory: it cannot fail.
    let _ = serde_json::to_writer(&mut out, &head);
    // The object goes on.
    out.pop();
    out.push(b',');
    Bytes::from(out)
}

/// In whole minutes, rounded up; 0 if there is no such time.
fn minutes(left: Option<Millis>) -> u64 {
    left.map_or(0, |left| left.div_ceil(60_000))
}

/// In words.
fn formatted(left: Option<Millis>) -> String {
    let up = |seconds: u64| if seconds < 120 { seconds.next_multiple_of(5) } else { seconds.next_multiple_of(60) };
    let seconds = left.map(|left| up(left.div_ceil(1_000)));
    seconds.map_or("unavailable".to_owned(), |left| Language::English.wait(Some(Wait { low: left, high: left })))
}

/// The whole document of one shopper.
pub(super) fn waiting(head: &Bytes, standing: &QueuePosition) -> Bytes {
    let mut out = Vec::with_capacity(head.len() + TAIL);
    out.extend_from_slice(head);
    out.extend_from_slice(b"\"waitTimeKnown\":");
    out.extend_from_slice(if standing.wait.is_some() { b"true" } else { b"false" });
    out.extend_from_slice(b",\"waitTime\":");
    push_number(&mut out, standing.wait_minutes());
    out.extend_from_slice(b",\"waitTimeFormatted\":\"");
    match standing.wait {
        Some(wait) => Language::English.push_wait(&mut out, Some(wait)),
        None => out.extend_from_slice(b"unavailable"),
    }
    let place = standing.place();
    field(&mut out, b"\",\"segment\":", place.map(|(segment, _)| segment));
    field(&mut out, b",\"ticket\":", place.map(|(_, number)| number));
    field(&mut out, b",\"position\":", standing.position);
    field(&mut out, b",\"waitLowSeconds\":", standing.wait.map(|w| w.low));
    field(&mut out, b",\"waitHighSeconds\":", standing.wait.map(|w| w.high));
    field(&mut out, b",\"refreshIntervalSeconds\":", Some(standing.poll_after));
    field(&mut out, b",\"pollAfterSeconds\":", Some(standing.poll_tenths / 10));
    out.push(b'.');
    push_number(&mut out, standing.poll_tenths % 10);
    out.extend_from_slice(b"}}");
    Bytes::from(out)
}

/// The document of a shopper whose request cannot wait in the line: its place, with the page
/// that can.
pub(super) fn waiting_elsewhere(head: &Bytes, standing: &QueuePosition, page: &str) -> Bytes {
    let mut out = Vec::from(waiting(head, standing));
    out.pop();
    out.extend_from_slice(b",\"waitingPage\":");
    out.extend_from_slice(serde_json::Value::from(page).to_string().as_bytes());
    out.push(b'}');
    Bytes::from(out)
}

/// The document of a newcomer who is asked to confirm: `"confirm": true` and no place.
pub(super) fn arriving(head: &Bytes) -> Bytes {
    let mut out = Vec::from(waiting(head, &QueuePosition::ARRIVING));
    out.truncate(out.len() - 2);
    out.extend_from_slice(b",\"confirm\":true}}");
    Bytes::from(out)
}

fn field(out: &mut Vec<u8>, key: &[u8], value: Option<u64>) {
    out.extend_from_slice(key);
    match value {
        Some(number) => push_number(out, number),
        None => out.extend_from_slice(b"null"),
    }
}
