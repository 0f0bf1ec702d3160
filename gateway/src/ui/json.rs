//! The waiting JSON, for programs.
//!
//! Cloudflare's shape, one object under `cfWaitingRoom`, so that an app written for it works
//! unchanged; what Weir adds (`room`, `segment`, `ticket`, `position`, `waitLowSeconds`, `waitHighSeconds`,
//! `pollAfterSeconds`, `status` as in `Weir-Status`, `reason`, `shopResting`, and `confirm` before there is a place) stands in the same object. What is the same for everybody is written once
//! per snapshot ([`head`]); a shopper costs one copy and a few numbers ([`waiting`]).

use bytes::Bytes;
use policy::room::QueueingMethod;

use super::{Facts, Language, Standing, State, push_number};

/// Room for what [`waiting`] adds to the head.
const TAIL: usize = 400;

/// The fields that are the same for everybody.
pub(super) fn head(facts: &Facts<'_>, updated: &str) -> Bytes {
    let method = facts.room.queueing_method;
    let name = match method {
        QueueingMethod::Fifo => "fifo",
        QueueingMethod::Passthrough => "passthrough",
        QueueingMethod::Reject => "reject",
    };
    let event = facts.state == State::EventPrequeueing;
    let reason = facts.standstill();
    let reason = reason.map_or("null".into(), |reason| format!("\"{}\"", reason.name()));
    Bytes::from(format!(
        "{{\"cfWaitingRoom\":{{\"inWaitingRoom\":true,\"status\":\"waiting\",\"room\":\"{}\",\"queueIsFull\":false,\"queueAll\":{},\
         \"lastUpdated\":\"{updated}\",\"queueingMethod\":\"{name}\",\"isFIFOQueue\":{},\"isRandomQueue\":false,\
         \"isPassthroughQueue\":{},\"isRejectQueue\":{},\"isEventActive\":{event},\"isEventPrequeueing\":{event},\
         \"timeUntilEventStart\":0,\"timeUntilEventStartFormatted\":\"unavailable\",\"timeUntilEventEnd\":0,\
         \"timeUntilEventEndFormatted\":\"unavailable\",\"shuffleAtEventStart\":false,\"waitTime25Percentile\":0,\
         \"waitTime50Percentile\":0,\"waitTime75Percentile\":0,\"reason\":{reason},\"shopResting\":{},",
        facts.name,
        !facts.room.rules.open && !facts.room.suspended,
        method == QueueingMethod::Fifo,
        method == QueueingMethod::Passthrough,
        method == QueueingMethod::Reject,
        facts.shop_rests,
    ))
}

/// The whole document of one shopper.
pub(super) fn waiting(head: &Bytes, standing: &Standing) -> Bytes {
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

/// The document of a shopper who is told where they stand in answer to something that cannot wait in the line, with the page
/// that can.
pub(super) fn waiting_elsewhere(head: &Bytes, standing: &Standing, page: &str) -> Bytes {
    let mut out = Vec::from(waiting(head, standing));
    out.pop();
    out.extend_from_slice(b",\"waitingPage\":");
    out.extend_from_slice(serde_json::Value::from(page).to_string().as_bytes());
    out.push(b'}');
    Bytes::from(out)
}

/// The document of a newcomer who is asked to confirm: `"confirm": true` and no place.
pub(super) fn arriving(head: &Bytes) -> Bytes {
    let mut out = Vec::from(waiting(head, &Standing::ARRIVING));
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
