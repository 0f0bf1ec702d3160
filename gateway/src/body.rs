//! The body of an answer: made here, or streamed from the upstream as it arrives.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

/// What is alive as long as an answer is being sent: a permit of the upstream, an access line.
pub type Guard = Box<dyn std::any::Any>;

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// Bytes in memory, shared between answers; `None` once sent.
    Full(Option<Bytes>),
    /// Streamed, never gathered. What it holds is dropped when the last byte was taken.
    Stream(Incoming, Option<Guard>),
}

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self::Full(None)
    }

    /// Keeps something alive until the last byte was taken; bytes in memory count as taken.
    pub fn hold(&mut self, more: impl std::any::Any) {
        if let Self::Stream(_, guard) = self {
            *guard = Some(Box::new((guard.take(), more)));
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Full(Some(bytes).filter(|b| !b.is_empty()))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Stream(incoming, guard) => {
                let frame = Pin::new(incoming).poll_frame(cx);
                if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
                    guard.take();
                }
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Stream(incoming, _) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Stream(incoming, _) => incoming.size_hint(),
        }
    }
}
