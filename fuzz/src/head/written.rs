//! A head as it is written, far more forgiving than HTTP: line ends may be bare, and a line that is none is left out.

use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Uri, Version};

/// Headers of one request (`listen.max_headers`).
const MOST_HEADERS: usize = 100;

/// `None` without a request line.
pub(super) fn parse(bytes: &[u8]) -> Option<Parts> {
    let mut lines = bytes.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut parts = request_line(lines.next()?)?;
    for (name, value) in lines.filter_map(field).take(MOST_HEADERS) {
        parts.headers.append(name, value);
    }
    Some(parts)
}

/// `METHOD target`, and a version behind it.
fn request_line(line: &[u8]) -> Option<Parts> {
    let mut words = line.split(|&byte| byte == b' ');
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(words.next()?).ok()?;
    *request.uri_mut() = Uri::try_from(words.next()?).ok()?;
    *request.version_mut() = match words.next() {
        Some(b"HTTP/1.0") => Version::HTTP_10,
        Some(b"HTTP/2") => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    Some(request.into_parts().0)
}

fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    Some((name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
}
