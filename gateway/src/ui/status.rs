//! The status document: `GET /.weir/status/{room}`.
//!
//! The same bytes for everybody, so a poll is a clone of them and a CDN may keep them for a second.

use std::fmt::Write as _;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use policy::line::segment::place_of;
use policy::line::{Segment, View};
use policy::outlook::Outlook;
use policy::{Millis, drain};

use super::Facts;

/// A position far out on the straight line through which the wait is told.
const FAR: u64 = 1_000_000_000;

/// Renders the document. Numbers that JSON cannot carry become 0 or the largest sane value.
pub(super) fn document(facts: &Facts<'_>) -> Bytes {
    let Facts { name, room, line, poll, state, away, shop_rests, page, .. } = *facts;
    let mut out = String::with_capacity(400);
    let outlook = line.outlook(&room.rules);
    let (speed, rate) = (bounded(outlook.speed, 1e6), bounded(outlook.rate, 1e6));
    let outlook = Outlook { speed, rate, ..outlook };
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "{{\"room\":\"{name}\",\"page\":\"{page:06x}\",\"state\":\"{}\",\"open\":{},\"away\":{away},",
        state.name(),
        room.rules.open,
    );
    if shop_rests {
        out.push_str("\"resting\":true,");
    }
    segments(&mut out, line);
    if line.told > 0 && line.waiting() > 0 && !line.unsure {
        let _ = write!(out, "\"entering\":{},", line.told);
    }
    if let Some(reason) = facts.standstill() {
        let _ = write!(out, "\"reason\":\"{}\",", reason.name());
    }
    let _ = write!(out, "\"speed\":{speed:.2},\"rate\":{rate:.2},\"wait\":");
    let _ = match wait_line(&outlook) {
        Some([low, low_each, high, high_each]) => write!(out, "[{low},{low_each:.4e},{high},{high_each:.4e}]"),
        None => write!(out, "null"),
    };
    let [min, max, stretch] = [poll.min, poll.max, poll.stretch].map(|seconds| bounded(seconds, 1e5));
    let share = bounded(poll.share, 100.0);
    let pace = bounded(drain::pace(speed, line.bound, rate), 1e7);
    let _ = write!(
        out,
        ",\"poll\":{{\"min\":{min:.1},\"max\":{max:.1},\"share\":{share:.2},\"stretch\":{stretch:.2},\"pace\":{pace:.2}}},\"now\":{}}}",
        line.now
    );
    Bytes::from(out)
}

/// The open segment, and those before it in which people wait, as `[segment, serving, next]`: a ticket of any other is
/// called, or for the gateway to look at.
fn segments(out: &mut String, line: &View) {
    let told = |segment: &Segment| {
        let (unit, serving) = place_of(segment.serving);
        (unit, serving, segment.next - segment.base)
    };
    let (unit, serving, next) = told(&line.segments.open);
    let _ = write!(out, "\"segment\":{unit},\"serving\":{serving},\"next\":{next},");
    let mut before = line.segments.before.iter().filter(|segment| segment.waiting() > 0).map(told).peekable();
    if before.peek().is_some() {
        let list: Vec<String> = before.map(|(unit, serving, next)| format!("[{unit},{serving},{next}]")).collect();
        let _ = write!(out, "\"before\":[{}],", list.join(","));
    }
    if line.unsure {
        out.push_str("\"unsure\":true,");
    }
}

/// `[a, b, c, d]`: the wait with `p` tickets until the call is `a + b p` to `c + d p` seconds, and never below 0. Read off
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

/// A time as `2026-01-31T09:05:00.000Z`.
pub(super) fn iso(at: Millis) -> String {
    const YEAR_9999: Millis = 253_402_300_799_999;
    let at = at.min(YEAR_9999);
    let (year, month, day) = date(at / 86_400_000);
    let (hour, minute, second) = (at / 3_600_000 % 24, at / 60_000 % 60, at / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", at % 1000)
}

/// The time of day in this zone, as `18:05:00 KST`.
pub(super) fn clock(at: Millis, zone: &TimeZone) -> String {
    let at = i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or(Timestamp::MAX);
    let (there, time) = (zone.to_offset_info(at), zone.to_datetime(at).time());
    format!("{:02}:{:02}:{:02} {}", time.hour(), time.minute(), time.second(), there.abbreviation())
}

fn date(mut days: u64) -> (u64, usize, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let months = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= months[month] {
        days -= months[month];
        month += 1;
    }
    (year, month + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_dates() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(iso(1_767_225_599_999), "2025-12-31T23:59:59.999Z");
        assert_eq!(iso(u64::MAX), "9999-12-31T23:59:59.999Z");
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
