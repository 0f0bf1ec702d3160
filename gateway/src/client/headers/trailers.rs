//! The fields that may come after the body of a request.
//!
//! They pass by the same rules as headers, and only if `Trailer` names them: HTTP/1.1 must know before
//! the body which may come after it, and a server may drop an unannounced field anyway.

use http::header::{HeaderName, TRAILER};
use http::{HeaderMap, HeaderValue};

use super::{list, names};

/// Bound on forwarded names of one request.
const MOST: usize = 32;

/// The announced names that may be forwarded.
#[derive(Debug, Default)]
pub struct Trailers(Vec<HeaderName>);

impl Trailers {
    /// The names that this head announces.
    pub(super) fn announced_by(headers: &HeaderMap) -> Self {
        let items = headers.get_all(TRAILER).iter().flat_map(list);
        let names = items.filter_map(|item| HeaderName::from_bytes(item).ok());
        Self(names.filter(|name| names::may_trail(name.as_str())).take(MOST).collect())
    }

    /// Whether none may come.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Announces them.
    pub fn announce(&self, headers: &mut HeaderMap) {
        let names: Vec<&str> = self.0.iter().map(HeaderName::as_str).collect();
        headers.extend(HeaderValue::try_from(names.join(", ")).map(|names| (TRAILER, names)));
    }

    /// Removes fields that were not announced.
    pub fn filter(&self, trailers: &mut HeaderMap) {
        let strange: Vec<HeaderName> = trailers.keys().filter(|name| !self.0.contains(name)).cloned().collect();
        for name in strange {
            trailers.remove(name);
        }
    }
}
