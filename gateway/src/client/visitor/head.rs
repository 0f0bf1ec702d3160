//! The head of a request, with the headers that every request is read for.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_LENGTH, COOKIE, HOST, HeaderName, ORIGIN, TRANSFER_ENCODING,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

use super::WEIR_TOKEN;

/// A head. The common headers are found in one pass: to look a name up costs
/// more than to compare it with a few.
#[derive(Debug)]
pub struct Head<'a> {
    /// The whole head.
    pub parts: &'a Parts,
    /// `Host`.
    pub(super) host: Lines<'a>,
    /// `Cookie`.
    pub(super) cookie: Lines<'a>,
    /// The first `Accept`.
    pub accept: Option<&'a HeaderValue>,
    /// The first `Accept-Language`.
    pub accept_language: Option<&'a HeaderValue>,
    /// The first `Accept-Encoding`.
    pub accept_encoding: Option<&'a HeaderValue>,
    /// `Weir-Token`.
    pub(super) token: Lines<'a>,
    origin: Lines<'a>,
    /// Whether a body comes after it, be it an empty one.
    pub has_body: bool,
    length: Lines<'a>,
    coding: Lines<'a>,
}

/// The lines of one name: nearly always one.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Lines<'a> {
    pub(super) first: Option<&'a HeaderValue>,
    pub(super) several: bool,
}

impl<'a> Lines<'a> {
    pub(super) fn add(&mut self, line: &'a HeaderValue) {
        self.several = self.first.is_some();
        self.first.get_or_insert(line);
    }

    /// All of them.
    pub(super) fn each(
        self,
        name: &HeaderName,
        headers: &'a HeaderMap,
    ) -> impl Iterator<Item = &'a HeaderValue> + use<'a> {
        let others = self.several.then(|| headers.get_all(name).iter().skip(1));
        self.first.into_iter().chain(others.into_iter().flatten())
    }
}

impl<'a> Head<'a> {
    /// Reads a head.
    pub fn of(parts: &'a Parts) -> Self {
        let (mut host, mut cookie) = (Lines::default(), Lines::default());
        let (mut length, mut coding) = (Lines::default(), Lines::default());
        let (mut accept, mut accept_language, mut accept_encoding) = (None, None, None);
        let (mut origin, mut token) = (Lines::default(), Lines::default());
        for (name, value) in &parts.headers {
            // The first letter separates most names.
            match name.as_str().as_bytes().first() {
                Some(b'h') if *name == HOST => host.add(value),
                Some(b'c') if *name == COOKIE => cookie.add(value),
                Some(b'c') if *name == CONTENT_LENGTH => length.add(value),
                Some(b't') if *name == TRANSFER_ENCODING => coding.add(value),
                Some(b'o') if *name == ORIGIN => origin.add(value),
                Some(b'w') if *name == WEIR_TOKEN => token.add(value),
                Some(b'a') if *name == ACCEPT => accept = accept.or(Some(value)),
                Some(b'a') if *name == ACCEPT_LANGUAGE => accept_language = accept_language.or(Some(value)),
                Some(b'a') if *name == ACCEPT_ENCODING => accept_encoding = accept_encoding.or(Some(value)),
                _ => {}
            }
        }
        Self {
            parts,
            host,
            cookie,
            accept,
            accept_language,
            accept_encoding,
            origin,
            token,
            has_body: false,
            length,
            coding,
        }
    }

    /// The origin of the page that sent it, if there is exactly one.
    pub fn origin(&self) -> Option<&'a HeaderValue> {
        self.origin.first.filter(|_| !self.origin.several)
    }

    /// Whether the end of the body is unambiguous: after one length, written as every server reads it, or
    /// after chunks of no other coding. Some servers read `010` as eight.
    pub fn is_framed(&self) -> bool {
        let one = |lines: Lines<'_>, good: fn(&[u8]) -> bool| {
            lines.first.is_none_or(|line| !lines.several && good(line.as_bytes()))
        };
        one(self.length, is_canonical) && one(self.coding, |coding| coding.eq_ignore_ascii_case(b"chunked"))
    }
}

/// A decimal number without sign, space or leading zero.
fn is_canonical(number: &[u8]) -> bool {
    match number {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}
