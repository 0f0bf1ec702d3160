//! The status document: `GET /.weir/status/{room}`.
//!
//! The same bytes for all shoppers, so a poll is a clone of them and a CDN may keep them for a second.

use std::ops::Not;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use policy::Millis;
use policy::event::Announcement;
use policy::line::Segment;
use policy::line::segment::place_of;
use policy::outlook::{Outlook, Standstill};
use serde::Serialize;

use super::Facts;

/// A position far out on the straight line that describes the wait.
const FAR: u64 = 1_000_000_000;

/// The fields that the page reads, in this order. Fields with usual values are left out.
#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "a document: each is a question of its own")]
struct Document<'a> {
    room: &'a str,
    page: String,
    state: &'static str,
    open: bool,
    away: bool,
    #[serde(skip_serializing_if = "Not::not")]
    resting: bool,
    /// Of the open segment, as in `before`.
    segment: u64,
    serving: u64,
    next: u64,
    /// The earlier segments with waiters, as `[segment, serving, next]`: a ticket of any other is called, or the
    /// gateway must decide.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    before: Vec<(u64, u64, u64)>,
    #[serde(skip_serializing_if = "Not::not")]
    unsure: bool,
    /// The round that gathers newcomers without numbers: those of any other have theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    round: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entering: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Its state, items left, and the items that a shopper takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    stock: Option<(&'static str, u64, f64)>,
    /// The id of what operators tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    /// Tickets per second.
    speed: f64,
    /// New shoppers per second.
    rate: f64,
    /// Seconds, and seconds for each ticket ([`wait_line`]).
    wait: Option<(i64, f64, i64, f64)>,
    poll: Poll,
    /// Milliseconds until shoppers enter, if that is a matter of time.
    #[serde(skip_serializing_if = "Option::is_none")]
    starts: Option<Millis>,
    /// The last event is over, and shoppers enter during events alone.
    #[serde(skip_serializing_if = "Not::not")]
    ended: bool,
    /// Store time.
    now: Millis,
}

/// When to poll again ([`policy::pacer::PollTable`]).
#[derive(Serialize)]
struct Poll {
    min: f64,
    max: f64,
    share: f64,
    stretch: f64,
    pace: f64,
}

/// Renders the document. Numbers that JSON cannot carry become 0 or the largest sane value.
pub(super) fn document(facts: &Facts<'_>) -> Bytes {
    let Facts { name, room, line, poll, state, away, shop_rests, page, message, .. } = *facts;
    let outlook = line.outlook(&room.rules);
    let (speed, rate) = (bounded(outlook.speed, 1e6), bounded(outlook.rate, 1e6));
    let wait = wait_line(&Outlook { speed, rate, ..outlook });
    let (segment, serving, next) = told(&line.segments.open);
    let document = Document {
        room: name,
        page: format!("{page:06x}"),
        state: state.name(),
        open: room.rules.open,
        away,
        resting: shop_rests,
        segment,
        serving,
        next,
        before: line.segments.before.iter().filter(|segment| segment.waiting() > 0).map(told).collect(),
        unsure: line.unsure,
        round: (line.round.waiting() > 0).then_some(line.round.id),
        entering: (line.told > 0 && line.waiting() > 0 && !line.unsure).then_some(line.told),
        reason: facts.standstill().map(Standstill::name),
        stock: line.stock.map(|stock| (stock.state.name(), stock.left, rounded(bounded(stock.units, 1e3), 2))),
        message: message.map(|message| message.id()),
        speed: rounded(speed, 2),
        rate: rounded(rate, 2),
        wait: wait.map(|[low, low_each, high, high_each]| {
            (low as i64, five_digits(low_each), high as i64, five_digits(high_each))
        }),
        poll: Poll {
            min: rounded(bounded(poll.min, 1e5), 1),
            max: rounded(bounded(poll.max, 1e5), 1),
            share: rounded(bounded(poll.share, 100.0), 2),
            stretch: rounded(bounded(poll.stretch, 1e5), 2),
            pace: rounded(bounded(line.pace(&room.rules), 1e7), 2),
        },
        starts: facts.event.starts().map(|(_, left)| left),
        ended: facts.event.announcement == Announcement::Ended,
        now: line.now,
    };
    // Plain data in memory: it cannot fail.
    Bytes::from(serde_json::to_vec(&document).unwrap_or_default())
}

/// A segment in the page's form: its unit, and the places called and given within.
fn told(segment: &Segment) -> (u64, u64, u64) {
    let (unit, serving) = place_of(segment.serving);
    (unit, serving, segment.next - segment.base)
}

/// `[a, b, c, d]`: the wait with `p` tickets until the call is `a + b p` to `c + d p` seconds, and never below 0. Computed from
/// [`Outlook::wait`] itself far out, so that the page shows the range that the policy means.
fn wait_line(outlook: &Outlook) -> Option<[f64; 4]> {
    let near = outlook.wait(FAR)?;
    let far = outlook.wait(2 * FAR)?;
    let line = |near: u64, far: u64| [near as f64 - (far - near) as f64, (far - near) as f64 / FAR as f64];
    let ([a, b], [c, d]) = (line(near.low, far.low), line(near.high, far.high));
    Some([a, b, c, d])
}

fn bounded(value: f64, max: f64) -> f64 {
    if value.is_finite() { value.clamp(0.0, max) } else { 0.0 }
}

fn rounded(value: f64, places: i32) -> f64 {
    let scale = 10_f64.powi(places);
    (value * scale).round() / scale
}

/// Rounded to five significant digits.
fn five_digits(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

/// A time as `2026-01-31T09:05:00.000Z`.
pub(crate) fn iso(at: Millis) -> String {
    format!("{:.3}", timestamp(at))
}

/// The time of day in this zone, as `18:05:00 KST`.
pub(super) fn clock(at: Millis, zone: &TimeZone) -> String {
    let at = timestamp(at);
    let (there, time) = (zone.to_offset_info(at), zone.to_datetime(at).time());
    format!("{:02}:{:02}:{:02} {}", time.hour(), time.minute(), time.second(), there.abbreviation())
}

/// Day and time in this zone, as `2026-01-31 18:05:00 KST`.
pub(super) fn date_and_clock(at: Millis, zone: &TimeZone) -> String {
    format!("{} {}", zone.to_datetime(timestamp(at)).date(), clock(at, zone))
}

/// The time of day as `17:03:12 UTC`.
pub(crate) fn clock_of_day(at: Millis) -> String {
    clock(at, &TimeZone::UTC)
}

/// The same moment, or the last that the calendar has.
fn timestamp(at: Millis) -> Timestamp {
    i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_dates() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(iso(1_767_225_599_999), "2025-12-31T23:59:59.999Z");
        assert_eq!(iso(u64::MAX), "9999-12-30T22:00:00.999Z", "the last of the calendar");
    }

    #[test]
    fn the_time_of_day_is_that_of_the_zone_summer_and_winter() {
        let clock = |at, zone| clock(at, &TimeZone::get(zone).expect("a zone"));
        let (winter, summer) = (1_772_334_000_000, 1_785_553_445_000);
        assert_eq!(clock(winter, "Asia/Seoul"), "12:00:00 KST");
        assert_eq!(clock(winter, "UTC"), "03:00:00 UTC");
        assert_eq!([winter, summer].map(|at| clock(at, "Europe/Berlin")), ["04:00:00 CET", "05:04:05 CEST"]);
        assert!(clock(u64::MAX, "UTC").ends_with("UTC"));
    }

    #[test]
    fn the_page_computes_the_same_range_as_the_policy() {
        for (speed, rate) in [(1.0, 1.0), (16.0, 10.0), (160.0, 50.0), (0.5, 10.0), (900.0, 1000.0)] {
            let outlook = Outlook { entering: (rate * 1.5) as u64, speed, rate };
            let [low, low_each, high, high_each] = wait_line(&outlook).expect("it moves");
            for position in [0, 1, 2, 10, 49, 1_000, 77_777, 3_000_000] {
                let wait = outlook.wait(position).expect("it moves");
                let ahead = position as f64;
                assert!(
                    ((low + low_each * ahead).floor().max(0.0) - wait.low as f64).abs() <= 1.0,
                    "{position} at {speed}"
                );
                assert!(((high + high_each * ahead).ceil() - wait.high as f64).abs() <= 1.0, "{position} at {speed}");
            }
        }
        assert_eq!(wait_line(&Outlook { entering: 5, speed: 0.0, rate: 10.0 }), None);
    }
}
