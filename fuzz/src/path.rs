//! The path of a request: bounded readings, none for a plain path but itself, and nothing that a usual server
//! takes for a path inside a room outside of it.

mod servers;

use std::sync::LazyLock;

use policy::scope::{Literal, NormalPath, Pattern, Table};

/// More readings, or more bytes of them, and the path is taken for any path.
const MOST_READINGS: usize = 32;
const MOST_BYTES: usize = 6 * 1024;

const ROOM: &str = "/launch";
const BYPASS: &str = "/launch/images";

static ROOMS: LazyLock<Table<()>> =
    LazyLock::new(|| Table::new(vec![(Pattern::parse("*", ROOM).expect("a pattern"), ())]));
static IMAGES: LazyLock<Literal> = LazyLock::new(|| Literal::parse(&format!("{BYPASS}/*")).expect("a literal"));

/// The bytes as the path of a request.
pub fn path(bytes: &[u8]) {
    let raw = String::from_utf8_lossy(bytes);
    let path = NormalPath::of(&raw);
    the_readings_are_bounded(&path);
    every_reading_is_normal(&path);
    a_plain_path_is_borrowed(&path, &raw);
    the_room_holds_what_a_server_takes_inside(&path, &raw);
    a_bypass_lets_nothing_else_through(&path, &raw);
}

fn the_readings_are_bounded(path: &NormalPath<'_>) {
    let (count, bytes) = path.readings().fold((0, 0), |(count, bytes), reading| (count + 1, bytes + reading.len()));
    assert_eq!(count == 0, path.is_any(), "no readings, or any path");
    assert!(path.is_plain() || count <= MOST_READINGS && bytes <= MOST_BYTES, "{count} readings of {bytes} bytes");
}

fn every_reading_is_normal(path: &NormalPath<'_>) {
    for reading in path.readings() {
        assert!(reading.is_empty() || reading[0] == b'/', "{reading:?}");
        assert!(!reading.ends_with(b"/") && !reading.iter().any(u8::is_ascii_uppercase), "{reading:?}");
    }
}

fn a_plain_path_is_borrowed(path: &NormalPath<'_>, raw: &str) {
    if path.is_plain() {
        let readings: Vec<&[u8]> = path.readings().collect();
        let expected = raw.strip_suffix('/').unwrap_or(raw).as_bytes();
        assert_eq!(readings, [expected]);
        assert_eq!(readings[0].as_ptr(), raw.as_ptr(), "copied");
        assert!(!ROOMS.is_ambiguous("shop.example", path));
    }
}

fn the_room_holds_what_a_server_takes_inside(path: &NormalPath<'_>, raw: &str) {
    let inside = servers::readings(raw.as_bytes()).find(|(_, reading)| servers::is_below(reading, ROOM.as_bytes()));
    if let Some((server, reading)) = inside {
        let held = ROOMS.find("shop.example", path).is_some();
        assert!(held, "{raw:?} is {:?} to {server}", String::from_utf8_lossy(&reading));
    }
}

/// What passes a room by its spelling is one path to every server, and below the bypass.
fn a_bypass_lets_nothing_else_through(path: &NormalPath<'_>, raw: &str) {
    if IMAGES.matches(raw) && !path.is_any() {
        let readings: Vec<&[u8]> = path.readings().collect();
        let [reading] = readings[..] else { panic!("{raw:?} passes with {} readings", readings.len()) };
        assert!(servers::is_below(reading, BYPASS.as_bytes()), "{raw:?}");
    }
}
