//! The body of a request on its way to a server.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::deadline::Deadline;

/// The body of a request, streamed. While it moves, the answer is not late.
#[derive(Debug, Default)]
pub struct Upload(Option<Box<Moving>>);

#[derive(Debug)]
struct Moving {
    body: Incoming,
    deadline: Option<Rc<Deadline>>,
}

impl From<Incoming> for Upload {
    fn from(body: Incoming) -> Self {
        // Most requests have no body, and one word is cheaper to move than all of one.
        Self((!body.is_end_stream()).then(|| Box::new(Moving { body, deadline: None })))
    }
}

impl Upload {
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
        let Some(Moving { body, deadline }) = self.0.as_deref_mut() else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(cx);
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
