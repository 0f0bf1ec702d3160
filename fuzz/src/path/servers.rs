//! Usual servers, each as the few steps that it takes from a target to a path. Written apart from
//! `policy::scope`, so that the two can disagree.

use std::borrow::Cow;

type Step = fn(&[u8]) -> Vec<u8>;

/// Servers, and what they do to a path in turn.
const SERVERS: [(&str, &[Step]); 10] = [
    ("one that takes it as it stands", &[]),
    ("a file server", &[decode, resolve]),
    ("a router before a decoder", &[resolve, decode]),
    ("a gateway before a file server", &[decode, decode, resolve]),
    ("a servlet container", &[parameters, decode, resolve]),
    ("a servlet container that decodes first", &[decode, parameters, resolve]),
    ("a server on Windows", &[decode, backslashes, resolve]),
    ("a browser's URL parser", &[backslashes, authority, resolve, decode]),
    ("a reference resolver", &[authority, resolve, decode]),
    ("a C program", &[decode, up_to_nul, resolve]),
];

/// What each server takes the path for. Servers that refuse what does not begin with a slash read nothing else.
pub(super) fn readings(raw: &[u8]) -> impl Iterator<Item = (&'static str, Cow<'_, [u8]>)> {
    let rooted = raw.starts_with(b"/");
    let read = move |&(server, steps): &(&'static str, &[Step])| {
        (server, steps.iter().fold(Cow::Borrowed(raw), |path, step| Cow::Owned(step(&path))))
    };
    SERVERS.iter().filter(move |_| rooted).map(read)
}

/// Whether a path is this one or below it, whatever the case of its letters.
pub(super) fn is_below(path: &[u8], base: &[u8]) -> bool {
    let Some((start, rest)) = path.split_at_checked(base.len()) else { return false };
    start.eq_ignore_ascii_case(base) && matches!(rest, [] | [b'/', ..])
}

fn decode(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        let digits = if *byte == b'%' { tail.split_at_checked(2) } else { None };
        match digits.and_then(|(digits, after)| Some((hex(digits)?, after))) {
            Some((value, after)) => {
                out.push(value);
                rest = after;
            }
            None => out.push(*byte),
        }
    }
    out
}

fn hex(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0, |sum, &digit| Some(sum * 16 + char::from(digit).to_digit(16)? as u8))
}

/// Without empty and dot segments.
fn resolve(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    [b"/", &kept.join(&b'/')[..]].concat()
}

fn parameters(path: &[u8]) -> Vec<u8> {
    let segments = path.split(|&byte| byte == b'/');
    let bare: Vec<&[u8]> = segments.filter_map(|segment| segment.split(|&byte| byte == b';').next()).collect();
    bare.join(&b'/')
}

fn backslashes(path: &[u8]) -> Vec<u8> {
    path.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect()
}

/// `//host/a` is `/a`.
fn authority(path: &[u8]) -> Vec<u8> {
    match path.strip_prefix(b"//") {
        Some(rest) => {
            rest.iter().position(|&byte| byte == b'/').map_or_else(|| b"/".to_vec(), |at| rest[at..].to_vec())
        }
        None => path.to_vec(),
    }
}

fn up_to_nul(path: &[u8]) -> Vec<u8> {
    path.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
}
