//! Events that begin soon after a test has begun.

use jiff::Timestamp;

/// The moment so many milliseconds from now, as it is written.
pub fn in_ms(from_now: i64) -> String {
    moment(Timestamp::now().as_millisecond() + from_now)
}

fn moment(millis: i64) -> String {
    Timestamp::from_millisecond(millis).unwrap().to_string()
}

/// An event that starts at this time, in milliseconds since 1970, with a pre-queue of a minute, and lasts so long.
pub fn event_at(start: i64, lasts: i64) -> String {
    let [prequeue, start, end] = [start - 60_000, start, start + lasts].map(moment);
    format!(
        "[[room.event]]\nname = \"drop\"\nprequeue_start_time = \"{prequeue}\"\nevent_start_time = \"{start}\"\n\
         event_end_time = \"{end}\"\n"
    )
}

/// An event whose pre-queue began a while ago and which starts and ends so many milliseconds from now, with these keys besides.
pub fn event(starts: i64, ends: i64, keys: &str) -> String {
    format!("{}prequeue_start_time = \"{}\"\n", without_prequeue(starts, ends, keys), in_ms(starts.min(0) - 40_000))
}

/// The same without a pre-queue.
pub fn without_prequeue(starts: i64, ends: i64, keys: &str) -> String {
    let (start, end) = (in_ms(starts), in_ms(ends));
    format!("[[room.event]]\nname = \"drop\"\nevent_start_time = \"{start}\"\nevent_end_time = \"{end}\"\n{keys}")
}

/// Milliseconds since 1970 of a time in a room's event, by its key.
pub fn written(room: &str, key: &str) -> u64 {
    let line = room.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = ")).unwrap();
    line.trim_matches('"').parse::<Timestamp>().unwrap().as_millisecond() as u64
}
