//! The shop's answer: one value with all that the shopper, the counters and the log need of it.

use bytes::Bytes;
use evidence::shop::Outcome;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use crate::pages;
use crate::sale::Failure;

/// An answer of the shop.
pub(crate) type Answer = Response<Full<Bytes>>;

/// The result of a request to a launch page.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) status: StatusCode,
    pub(crate) outcome: Outcome,
    /// The order that it is about.
    pub(crate) order: Option<u64>,
    /// Whether the same form had been answered before.
    pub(crate) repeated: bool,
    /// Whether the shopper is done, and their seat free.
    pub(crate) done: bool,
    pub(crate) page: String,
}

impl Served {
    fn with(outcome: Outcome, order: Option<u64>, page: String) -> Self {
        Self { status: StatusCode::OK, outcome, order, repeated: false, done: false, page }
    }

    /// The product or the cart.
    pub(crate) fn page(page: String) -> Self {
        Self::with(Outcome::Ok, None, page)
    }

    /// An order that can be paid.
    pub(crate) fn order(order: u64, repeated: bool) -> Self {
        Self { repeated, ..Self::with(Outcome::Ok, Some(order), pages::order(order)) }
    }

    /// A receipt; it ends the visit.
    pub(crate) fn receipt(order: u64, repeated: bool) -> Self {
        Self { repeated, done: true, ..Self::with(Outcome::Ok, Some(order), pages::receipt(order)) }
    }

    /// Nothing is left.
    pub(crate) fn sold_out() -> Self {
        Self::with(Outcome::SoldOut, None, pages::sold_out())
    }

    /// The time of an order was over before it was paid.
    pub(crate) fn ended(order: u64) -> Self {
        Self { status: StatusCode::CONFLICT, ..Self::with(Outcome::Failed, Some(order), pages::ended(order)) }
    }

    /// The shopper's mistake.
    pub(crate) fn wrong(reason: &str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, ..Self::with(Outcome::Failed, None, pages::wrong(reason)) }
    }

    /// An address without a page.
    pub(crate) fn absent() -> Self {
        Self { status: StatusCode::NOT_FOUND, ..Self::wrong("There is no such page.") }
    }

    /// The shop's fault. The details are the operator's business.
    pub(crate) fn failed(failure: &Failure) -> Self {
        let told = match failure {
            Failure::Full => "Too many requests for the database.",
            Failure::NoSlot => "No database connection in time.",
            Failure::Cancelled => "A query was cancelled.",
            Failure::Payment => "The payment service is overloaded. Nothing was paid.",
            Failure::Silent | Failure::Database(_) | Failure::Pool(_) | Failure::Missing => "The database is away.",
        };
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self { status, ..Self::with(Outcome::Failed, None, pages::sorry(told)) }
    }

    /// A mistake in the shop's own program.
    pub(crate) fn broken() -> Self {
        let page = pages::sorry("The shop made a mistake.");
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, ..Self::with(Outcome::Failed, None, page) }
    }

    /// The answer as it goes out; a session is what its shopper gets as the shop's cookie.
    pub(crate) fn into_answer(self, session: Option<&str>) -> Answer {
        let mut answer = html(self.status, self.page);
        if self.done {
            answer.headers_mut().insert("weir-command", HeaderValue::from_static("revoke"));
        }
        let cookie = session.map(|id| HeaderValue::try_from(format!("shop={id}; Path=/; HttpOnly; SameSite=Lax")));
        if let Some(Ok(cookie)) = cookie {
            answer.headers_mut().append(header::SET_COOKIE, cookie);
        }
        answer
    }
}

/// A large picture, from memory.
pub(crate) fn picture() -> Answer {
    static PICTURE: [u8; 1 << 20] = [0; 1 << 20];
    let mut answer = Response::new(Full::new(Bytes::from_static(&PICTURE)));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    answer
}

/// A WebSocket that stays silent until the other side ends it.
pub(crate) fn live(request: Request<Incoming>) -> Answer {
    let mut answer = Response::new(Full::default());
    let key = request.headers().get("sec-websocket-key").map(|key| accept(key.as_bytes()));
    let Some(Ok(key)) = key.map(HeaderValue::try_from) else { return Served::wrong("No key.").into_answer(None) };
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for (name, value) in [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, key),
    ] {
        answer.headers_mut().insert(name, value);
    }
    tokio::spawn(async move {
        if let Ok(stream) = hyper::upgrade::on(request).await {
            let _ = tokio::io::copy(&mut TokioIo::new(stream), &mut tokio::io::sink()).await;
        }
    });
    answer
}

/// `Sec-WebSocket-Accept` for this key (RFC 6455, 4.2.2).
fn accept(key: &[u8]) -> String {
    use base64::Engine as _;
    let text = [key, b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &text);
    base64::engine::general_purpose::STANDARD.encode(digest)
}

/// A page.
pub(crate) fn html(status: StatusCode, page: String) -> Answer {
    let mut answer = text("text/html; charset=utf-8", page);
    *answer.status_mut() = status;
    answer
}

/// Something else than a page, with status 200.
pub(crate) fn text(kind: &'static str, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_websocket_is_accepted_as_the_standards_example_says() {
        assert_eq!(super::accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
