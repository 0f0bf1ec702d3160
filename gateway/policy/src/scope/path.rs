//! A path as every server might read it.
//!
//! Servers disagree about a path: one decodes it twice, one takes `\` for `/`, one drops `;params`,
//! one resolves `..` before the rest and one never. A single normal form picks one of them, and the
//! others can be slipped past. So [`NormalPath`] holds every reading that a chain of such steps can
//! reach. A usual path has exactly one reading, itself, and is only borrowed; a path with more
//! readings than are worth following is taken for any path at all.
//!
//! What is absent: equivalences that only one application knows (`/a.json` for `/a`, composed and
//! decomposed Unicode, overlong UTF-8, short names of a file system).

/// Readings of one path, beyond which it is taken for any path.
const MAX_READINGS: usize = 64;
/// Bytes of all readings of one path, beyond which it is taken for any path.
const MAX_BYTES: usize = 32 * 1024;

/// The readings of a path: lower-case, beginning with `/`, without a trailing `/` (the root is empty).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalPath<'a>(Readings<'a>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Readings<'a> {
    /// Every server reads it as it stands.
    Plain(&'a [u8]),
    /// One of these.
    Several(Vec<Vec<u8>>),
    /// Too twisted to tell.
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
        Self(match readings(bytes) {
            Some(several) => Readings::Several(several),
            None => Readings::Any,
        })
    }

    /// What servers may take the path for; none if it [may be anything](Self::is_any).
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
    let plain = decode(&folded, |_| true).unwrap_or(folded);
    STEPS.iter().all(|step| step(&plain).is_none()).then_some(plain)
}

/// What a server may do to a path; `None` if it changes nothing.
type Step = fn(&[u8]) -> Option<Vec<u8>>;

const STEPS: [Step; 12] = [
    |path| decode(path, |_| true),
    |path| decode(path, |byte| byte != b'/' && byte != b'\\'),
    backslashes,
    parameters,
    double_slashes,
    |path| dot_segments(path, &[b"."]),
    |path| dot_segments(path, &[b".", b"%2e"]),
    controls,
    |path| cut(path, 0),
    |path| cut(path, b'?'),
    |path| cut(path, b'#'),
    trailing_dots,
];

/// All that any order of the steps can make of a path; `None` beyond the bounds.
fn readings(raw: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut first = fold(raw);
    if first.first() != Some(&b'/') {
        first.insert(0, b'/');
    }
    let mut bytes = first.len();
    let mut known = vec![first];
    let mut next = 0;
    while next < known.len() {
        let steps = if is_plain(&known[next], ANY_LETTER) { &[][..] } else { &STEPS };
        for step in steps {
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

/// One letter for all that some server takes for the same: `K`, `k` and the Kelvin sign. Letter by
/// letter, so that it does not depend on what stands beside it.
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

/// `%41`, and `%u0041` as IIS knows it, where they stand for what is `wanted`.
fn decode(path: &[u8], wanted: fn(u8) -> bool) -> Option<Vec<u8>> {
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
            [b'%', b'u', a, b, c, d, ..] if let Some(letter) = hex(&[a, b, c, d]).and_then(char::from_u32) => {
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
