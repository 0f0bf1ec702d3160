//! A form whose sender has to wait: its fields come back in the page, which sends them again at their turn.
//!
//! Only for a form from a page of this very origin, with a sealed token of the room (`Intent::Submit`): a form of another
//! site would become the shop's own by coming from our page, past its protection against forged requests (CSRF).
//!
//! Bounds: 64 KiB and 5 s a body, 1,000 fields, and 4 MiB of bodies in a worker. Beyond them, for another kind of body and for
//! bytes that are no text, the page says so, and the browser can send the form again by itself.
//!
//! Out of scope: who may send one (`policy::admit`), who waits at the gate of a route ([`crate::request::unsent`]), and the
//! page ([`crate::ui`]).

mod fields;

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFRESH};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::client::body::Body;
use crate::client::buffer::Charge;
use crate::client::timer::timeout;
use crate::request::request_context::{RequestContext, Unsent, Wants};
use crate::ui::HeldForm;

/// Bytes read of a body.
const MOST: usize = 64 * 1024;
/// Bytes of all bodies read by a worker at once.
const MOST_OF_ALL: usize = 4 * 1024 * 1024;
/// How long a body may take.
const SOON: Duration = Duration::from_secs(5);

/// Makes the page of this answer one that holds the form. Returns the body if it was not read to its end.
pub(crate) async fn give_back(
    response: &mut Response<Body>,
    cx: &RequestContext<'_>,
    unsent: Unsent,
    headers: &HeaderMap,
    mut body: Incoming,
) -> Option<Incoming> {
    let Some(room) = cx.room.filter(|_| cx.wants() == Wants::Page) else { return Some(body) };
    let (form, charge) = held(cx, headers, &mut body).await;
    let snapshot = room.live.snapshot();
    let standing = (!unsent.arriving).then_some(&unsent.standing);
    // In the coding that the answer already declares.
    let told = cx.language_and_coding(room.language);
    let page = room.own_page().holding(&form, &snapshot.answers, standing, told, cx.ended);
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, room.own_page().own_csp());
    response.headers_mut().remove(REFRESH);
    *response.body_mut() = Body::counted(Some(page.into()), charge);
    (!body.is_end_stream()).then_some(body)
}

/// What a page may hold of a form, with the bytes that this takes.
pub(crate) async fn held(
    cx: &RequestContext<'_>,
    headers: &HeaderMap,
    body: &mut (impl http_body::Body<Data = Bytes> + Unpin),
) -> (HeldForm, Charge) {
    let mut charge = cx.worker.forms.charge();
    let form = if is_plain_form(headers) { read(body, &mut charge).await } else { None };
    (form.and_then(|bytes| fields::parse(&bytes)).unwrap_or_default(), charge)
}

/// The whole body, if it is short and comes soon.
async fn read(body: &mut (impl http_body::Body<Data = Bytes> + Unpin), charge: &mut Charge) -> Option<Vec<u8>> {
    if body.size_hint().lower() > MOST as u64 || !charge.grow(MOST, MOST_OF_ALL) {
        return None;
    }
    timeout(SOON, gather(body)).await.ok().flatten()
}

async fn gather(body: &mut (impl http_body::Body<Data = Bytes> + Unpin)) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
        let data: Bytes = frame.ok()?.into_data().unwrap_or_default();
        if all.len() + data.len() > MOST {
            return None;
        }
        all.extend_from_slice(&data);
    }
    Some(all)
}

/// Whether the body is a browser's form without files, in UTF-8.
fn is_plain_form(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let kind = kinds.next().map(HeaderValue::to_str).and_then(Result::ok).unwrap_or_default();
    let mut parts = kind.split(';').map(str::trim);
    let is_form = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"));
    let in_utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    is_form && in_utf8 && kinds.next().is_none() && !headers.contains_key(CONTENT_ENCODING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_content_type_that_is_a_form_in_utf8_is_read() {
        let plain = |kinds: &[&'static str]| {
            let headers = kinds.iter().map(|kind| (CONTENT_TYPE, HeaderValue::from_static(kind)));
            is_plain_form(&headers.collect())
        };
        let form = "application/x-www-form-urlencoded";
        for kind in [
            form,
            "Application/X-WWW-Form-Urlencoded ; charset=UTF-8",
            "application/x-www-form-urlencoded;charset=\"utf-8\"",
        ] {
            assert!(plain(&[kind]), "{kind}");
        }
        let other =
            ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded; charset=euc-kr", "text/plain", ""];
        for kind in other {
            assert!(!plain(&[kind]), "{kind}");
        }
        assert!(!plain(&[]) && !plain(&[form, "text/plain"]), "several");
    }
}
