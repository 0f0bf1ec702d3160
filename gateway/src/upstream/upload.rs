//! The body of a request on its way to a server, and how the server learns where it ends.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::deadline::Deadline;
use crate::headers::Trailers;

/// The body of a request, streamed. While it moves, the answer is not late.
#[derive(Debug, Default)]
pub struct Upload(Option<Box<Moving>>);

#[derive(Debug)]
struct Moving {
    body: Incoming,
    deadline: Option<Rc<Deadline>>,
    /// Which trailers may come; all of them if nothing is said.
    trailers: Option<Trailers>,
}

impl From<Incoming> for Upload {
    fn from(body: Incoming) -> Self {
        // Most requests have no body, and one word is cheaper to move than all of one.
        Self((!body.is_end_stream()).then(|| Box::new(Moving { body, deadline: None, trailers: None })))
    }
}

impl Upload {
    /// A body, and in `headers` where it ends: as the length there says, or in chunks, after which these
    /// trailers may come. (hyper sends no body with a GET or HEAD whose head does not announce one.)
    pub fn framed(headers: &mut HeaderMap, body: Incoming, trailers: Trailers) -> Self {
        let mut upload = Self::from(body);
        let Some(moving) = &mut upload.0 else { return upload };
        if !trailers.is_empty() {
            headers.remove(CONTENT_LENGTH);
            trailers.announce(headers);
        }
        moving.trailers = Some(trailers);
        if !headers.contains_key(CONTENT_LENGTH) {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        upload
    }

    /// Tells this deadline how it moves.
    pub(super) fn report_to(&mut self, deadline: &Rc<Deadline>) {
        if let Some(moving) = &mut self.0 {
            deadline.upload_begins();
            moving.deadline = Some(deadline.clone());
        }
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        if let Some(deadline) = &self.deadline {
            deadline.upload_ends();
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(Moving { body, deadline, trailers }) = self.0.as_deref_mut() else { return Poll::Ready(None) };
        let mut frame = Pin::new(body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &mut frame
            && let (Some(fields), Some(trailers)) = (frame.trailers_mut(), trailers)
        {
            trailers.filter(fields);
        }
        if let Some(deadline) = deadline {
            deadline.upload(frame.is_ready());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|moving| moving.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or(SizeHint::with_exact(0), |moving| moving.body.size_hint())
    }
}
