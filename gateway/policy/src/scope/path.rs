//! A path as every server might read it.
//!
//! Servers disagree about a path: one decodes it twice, one takes `\` for `/`, one drops `;params`,
//! one resolves `..` before the rest and one never. A single normal form picks one of them, and the
//! others can be slipped past. So [`NormalPath`] holds every reading that a chain of such steps can
//! reach. A usual path has exactly one reading, itself, and is only borrowed; a path with more
//! readings than are worth following counts as any path at all. That bounds the work on a path, too:
//! a step costs a look at each byte of a reading, so all steps together look at `STEPS * MAX_BYTES` bytes.
//!
//! Out of scope: equivalences that only one application knows (`/a.json` for `/a`, composed and
//! decomposed Unicode, overlong UTF-8, short names of a file system).

/// Readings of one path, beyond which it counts as any path. An encoded link with query and fragment has 10.
const MAX_READINGS: usize = 32;
/// Bytes of all readings of one path, beyond which it counts as any path. Holds 450 Hangul, encoded and decoded.
const MAX_BYTES: usize = 6 * 1024;

/// The readings of a path: lower-case, beginning with `/`, without a trailing `/` (the root is empty).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalPath<'a>(Readings<'a>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Readings<'a> {
    /// Every server reads it as it stands.
    Plain(&'a [u8]),
    /// One of these.
    Several(Vec<Vec<u8>>),
    /// Too many readings to follow.
    Any,
}

impl<'a> NormalPath<'a> {
    /// The readings of the path of a request, as it was sent. Does not allocate for a plain path.
    ///
    /// ```
    /// use policy::scope::NormalPath;
    /// let read = |path| NormalPath::of(path).readings().map(<[u8]>::to_vec).collect::<Vec<_>>();
    /// assert_eq!(read("/launch/"), [b"/launch"]);
    /// assert_eq!(read("/x/../Launch"), [&b"/x/../launch"[..], b"/launch"]);
    /// ```
    pub fn of(raw: &'a str) -> Self {
        let bytes = raw.as_bytes();
        if bytes.first() == Some(&b'/') && is_plain(bytes, LOWER_ASCII) {
            return Self(Readings::Plain(bytes.strip_suffix(b"/").unwrap_or(bytes)));
        }
        Self(match readings(bytes, &mut 0) {
            Some(several) => Readings::Several(several),
            None => Readings::Any,
        })
    }

    /// The readings of servers; none if the path [may be anything](Self::is_any).
    pub fn readings(&self) -> impl Iterator<Item = &[u8]> {
        let (plain, several) = match &self.0 {
            Readings::Plain(path) => (Some(*path), &[][..]),
            Readings::Several(paths) => (None, paths.as_slice()),
            Readings::Any => (None, &[][..]),
        };
        plain.into_iter().chain(several.iter().map(Vec::as_slice))
    }

    /// Whether every server reads the path as it stands.
    pub fn is_plain(&self) -> bool {
        matches!(self.0, Readings::Plain(_))
    }

    /// Whether the path has more readings than are worth following. No honest client sends one.
    pub fn is_any(&self) -> bool {
        self.0 == Readings::Any
    }
}

const SLASH: u8 = 1;
const DOT: u8 = 2;
const UPPER: u8 = 3;
const HIGH: u8 = 4;
const ODD: u8 = 5;

/// The most that a plain path may have: what follows the dot in the list above.
pub(super) const LOWER_ASCII: u8 = DOT;
pub(super) const ASCII: u8 = UPPER;
const ANY_LETTER: u8 = HIGH;

/// What each byte may mean to a server; 0 is nothing but itself.
const KIND: [u8; 256] = {
    let mut kind = [ODD; 256];
    let mut byte = 0x21;
    while byte < kind.len() {
        kind[byte] = match byte as u8 {
            b'/' => SLASH,
            b'.' => DOT,
            b'A'..=b'Z' => UPPER,
            b'%' | b'\\' | b';' | b'?' | b'#' | 0x7f => ODD,
            0x80.. => HIGH,
            _ => 0,
        };
        byte += 1;
    }
    kind
};

/// Whether no step of any server changes this path, and its letters are no more than `letters`.
pub(super) fn is_plain(path: &[u8], letters: u8) -> bool {
    let mut before = 0;
    for &byte in path {
        let kind = KIND[usize::from(byte)];
        if kind != 0 {
            let doubtful = before == SLASH && kind <= DOT || before == DOT && kind == SLASH;
            if doubtful || kind > letters {
                return false;
            }
        }
        before = kind;
    }
    before != DOT
}

/// The one reading of a path that an operator wrote: percent-encoding and case aside, as it stands.
pub(super) fn as_written(path: &str) -> Option<Vec<u8>> {
    let folded = fold(path.as_bytes());
    let plain = decode(&folded, |_| true, true).unwrap_or(folded);
    STEPS.iter().all(|step| step(&plain).is_none()).then_some(plain)
}

/// A step that a server may apply to a path; `None` if it changes nothing.
type Step = fn(&[u8]) -> Option<Vec<u8>>;

const STEPS: [Step; 16] = [
    |path| decode(path, |_| true, false),
    |path| decode(path, is_no_slash, false),
    |path| decode_as_iis(path, |_| true),
    |path| decode_as_iis(path, is_no_slash),
    backslashes,
    parameters,
    double_slashes,
    authority,
    authority_after_all_slashes,
    |path| dot_segments(path, &[b"."]),
    |path| dot_segments(path, &[b".", b"%2e"]),
    controls,
    |path| cut(path, 0),
    |path| cut(path, b'?'),
    |path| cut(path, b'#'),
    trailing_dots,
];

/// All results of the steps in any order; `None` beyond the bounds. Counts the bytes that steps looked at.
fn readings(raw: &[u8], looked_at: &mut usize) -> Option<Vec<Vec<u8>>> {
    if raw.len() > MAX_BYTES {
        return None;
    }
    let mut first = fold(raw);
    if first.first() != Some(&b'/') {
        first.insert(0, b'/');
    }
    // Some letters fold into three.
    if first.len() > MAX_BYTES {
        return None;
    }
    let mut bytes = first.len();
    let mut known = vec![first];
    let mut next = 0;
    while next < known.len() {
        let steps = if is_plain(&known[next], ANY_LETTER) { &[][..] } else { &STEPS };
        for step in steps {
            *looked_at += known[next].len();
            let Some(reading) = step(&known[next]).filter(|reading| !known.contains(reading)) else { continue };
            bytes += reading.len();
            if known.len() == MAX_READINGS || bytes > MAX_BYTES {
                return None;
            }
            known.push(reading);
        }
        next += 1;
    }
    for reading in &mut known {
        reading.truncate(reading.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1));
    }
    Some(known)
}

/// Folds letters that some server takes for the same: `K`, `k` and the Kelvin sign. Letter by
/// letter, so that the result does not depend on neighbours.
fn fold(path: &[u8]) -> Vec<u8> {
    if path.is_ascii() {
        return path.to_ascii_lowercase();
    }
    let mut out = Vec::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        let lower = |letter: char| letter.to_lowercase().next();
        for letter in chunk.valid().chars().filter_map(lower).flat_map(char::to_uppercase).filter_map(lower) {
            out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
        out.extend_from_slice(chunk.invalid());
    }
    out
}

/// `%41` where it stands for a `wanted` byte; beside it `%u0041`, which only IIS knows, a letter of a name to all others.
fn decode(path: &[u8], wanted: fn(u8) -> bool, as_iis: bool) -> Option<Vec<u8>> {
    if !path.contains(&b'%') {
        return None;
    }
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match *rest {
            [b'%', a, b, ..] if let Some(value) = hex(&[a, b]).filter(|&value| wanted(value as u8)) => {
                out.push(value as u8);
                &rest[3..]
            }
            [b'%', b'u', a, b, c, d, ..]
                if as_iis && let Some(letter) = hex(&[a, b, c, d]).and_then(char::from_u32) =>
            {
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                &rest[6..]
            }
            _ => {
                out.push(byte);
                tail
            }
        };
    }
    (out.len() < path.len()).then(|| fold(&out))
}

/// The same with `%u0041`, where there is any.
fn decode_as_iis(path: &[u8], wanted: fn(u8) -> bool) -> Option<Vec<u8>> {
    let any = path.windows(2).any(|pair| pair == b"%u");
    any.then(|| decode(path, wanted, true)).flatten()
}

fn is_no_slash(byte: u8) -> bool {
    byte != b'/' && byte != b'\\'
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, &digit| Some(sum * 16 + char::from(digit).to_digit(16)?))
}

fn backslashes(path: &[u8]) -> Option<Vec<u8>> {
    path.contains(&b'\\').then(|| path.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect())
}

/// `/a;v=1/b` is `/a/b` to a Java server.
fn parameters(path: &[u8]) -> Option<Vec<u8>> {
    let until = |segment: &[u8]| segment.iter().position(|&byte| byte == b';').unwrap_or(segment.len());
    path.contains(&b';').then(|| join(segments(path).map(|segment| &segment[..until(segment)])))
}

fn double_slashes(path: &[u8]) -> Option<Vec<u8>> {
    let double = path.windows(2).any(|pair| pair == b"//");
    double.then(|| join(segments(path).filter(|segment| !segment.is_empty())))
}

/// `//host/a` is `/a` to a server that resolves the target as a reference (RFC 3986, section 4.2).
fn authority(path: &[u8]) -> Option<Vec<u8>> {
    path.strip_prefix(b"//").map(after_segment)
}

/// `///host/a` is `/a` to the URL standard of browsers, which `new URL` of Node follows.
fn authority_after_all_slashes(path: &[u8]) -> Option<Vec<u8>> {
    let rest = path.strip_prefix(b"//")?;
    let slashes = rest.iter().take_while(|&&byte| byte == b'/').count();
    Some(after_segment(&rest[slashes..]))
}

/// What follows the first segment, from its slash on.
fn after_segment(path: &[u8]) -> Vec<u8> {
    path.iter().position(|&byte| byte == b'/').map_or_else(|| b"/".to_vec(), |end| path[end..].to_vec())
}

/// `/a/./b/../c` is `/a/c`; a browser takes `%2e` for a dot here, whatever it decodes elsewhere.
fn dot_segments(path: &[u8], dot: &[&[u8]]) -> Option<Vec<u8>> {
    let mut kept = Vec::new();
    let mut changed = false;
    for segment in segments(path) {
        let dots = dots(segment, dot);
        changed |= dots.is_some();
        match dots {
            Some(1) => {}
            Some(_) => drop(kept.pop()),
            None => kept.push(segment),
        }
    }
    changed.then(|| join(kept.into_iter()))
}

/// `Some(1)` for `.`, `Some(2)` for `..`.
fn dots(segment: &[u8], dot: &[&[u8]]) -> Option<u8> {
    let after = |rest: &'_ [u8]| dot.iter().find_map(|dot| rest.strip_prefix(*dot).map(<[u8]>::len));
    let mut left = segment.len();
    let mut count = 0;
    while left > 0 && count < 2 {
        left = after(&segment[segment.len() - left..])?;
        count += 1;
    }
    (count > 0 && left == 0).then_some(count)
}

fn controls(path: &[u8]) -> Option<Vec<u8>> {
    let any = path.iter().any(u8::is_ascii_control);
    any.then(|| path.iter().copied().filter(|byte| !byte.is_ascii_control()).collect())
}

/// A decoded NUL, `?` or `#` ends the path for some.
fn cut(path: &[u8], end: u8) -> Option<Vec<u8>> {
    path.iter().position(|&byte| byte == end).map(|at| path[..at].to_vec())
}

/// `/a./b ` is `/a/b` to Windows, and `/.. ` is `/..`.
fn trailing_dots(path: &[u8]) -> Option<Vec<u8>> {
    let trimmed = |segment: &'_ [u8]| match segment.iter().rposition(|byte| !b". ".contains(byte)) {
        Some(last) => last + 1,
        None => segment.iter().position(|&byte| byte == b' ').unwrap_or(segment.len()),
    };
    let any = segments(path).any(|segment| trimmed(segment) < segment.len());
    any.then(|| join(segments(path).map(|segment| &segment[..trimmed(segment)])))
}

fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').skip(1)
}

fn join<'a>(segments: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut path = Vec::new();
    for segment in segments {
        path.push(b'/');
        path.extend_from_slice(segment);
    }
    if path.is_empty() { b"/".to_vec() } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that steps look at for this path.
    fn work(path: &str) -> usize {
        let mut looked_at = 0;
        readings(path.as_bytes(), &mut looked_at);
        looked_at
    }

    #[test]
    fn the_work_on_any_path_is_bounded() {
        let parts = [
            "%25",
            "%2f",
            "%252e",
            "..",
            "/",
            "//",
            "\\",
            ";",
            ";a=1",
            "?",
            "#",
            "%00",
            ".",
            " ",
            "launch",
            "%2525255c",
            "/x/../",
        ];
        let (mut most, mut seed) = (0, 1_u32);
        for length in [1, 4, 12, 40, 120, 400, 1_200, 20_000] {
            for _ in 0..60 {
                let mut path = String::from("/");
                for _ in 0..length {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    path += parts[(seed >> 16) as usize % parts.len()];
                }
                most = most.max(work(&path));
            }
        }
        assert!(most <= STEPS.len() * MAX_BYTES, "{most}");
        assert!(most > MAX_BYTES, "these are hard cases: {most}");
    }

    #[test]
    fn a_path_of_all_that_a_head_may_hold_is_not_looked_at() {
        for part in ["%41", "/..", "//", ";x", "가"] {
            assert_eq!(work(&format!("/{}", part.repeat(20_000))), 0, "{part}");
        }
    }

    #[test]
    fn letters_that_grow_when_folded_are_counted_as_folded() {
        assert_eq!(work(&format!("/{}%", "\u{390}".repeat(MAX_BYTES / 2 - 1))), 0);
        assert!(NormalPath::of(&format!("/{}", "\u{390}".repeat(MAX_BYTES / 4))).is_any());
    }

    #[test]
    fn no_usual_path_is_near_the_bounds() {
        let long = format!("/%ec%8b%a0%eb%b0%9c/{}", "%ea%b0%80".repeat(440));
        let link = "https%3A%2F%2Fshop.example%2Fp%3Fid%3D1%26x%3D2%23top";
        let twice = link.replace('%', "%25");
        let usual = [
            "/search/100%25%20off;jsessionid=0A1B2C".to_owned(),
            format!("/share/{link}"),
            format!("/share/{link}/a%20b/%E2%9C%93"),
            format!("/share/{twice}"),
            "//static//img//logo.png".to_owned(),
            "/a/../b/./c/../d/..".to_owned(),
            long,
        ];
        for path in usual {
            let found = readings(path.as_bytes(), &mut 0);
            let found = found.unwrap_or_else(|| panic!("{path}"));
            assert!(found.len() <= MAX_READINGS * 2 / 3, "{path}: {}", found.len());
        }
    }
}
