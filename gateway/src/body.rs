//! The body of an answer: made here, or streamed from the upstream as it arrives.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

/// What is alive as long as an answer is being sent: a permit of the upstream, an access line.
pub type Guard = Box<dyn std::any::Any>;

/// Whether the other end takes what there is for it: one that does not must not hold a permit for ever.
#[derive(Debug, Default)]
pub struct Pace {
    untaken: Cell<bool>,
    seconds: Cell<u64>,
}

impl Pace {
    fn set(&self, untaken: bool) {
        self.untaken.set(untaken);
        self.seconds.set(0);
    }

    /// To be called once a second: for how many seconds there was something that nobody took.
    pub fn second(&self) -> u64 {
        self.seconds.set(if self.untaken.get() { self.seconds.get() + 1 } else { 0 });
        self.seconds.get()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(pace) = &self.pace {
            pace.set(false);
        }
    }
}

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// Bytes in memory, shared between answers; `None` once sent.
    Full(Option<Bytes>),
    /// Streamed, never gathered.
    Stream(Incoming, Held),
}

/// What goes with a streamed body.
#[derive(Debug, Default)]
pub struct Held {
    /// Dropped when the last byte was taken.
    guard: Option<Guard>,
    pace: Option<Rc<Pace>>,
}

impl Held {
    /// Keeps this alive.
    pub fn new(guard: impl std::any::Any) -> Self {
        Self { guard: Some(Box::new(guard)), pace: None }
    }
}

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self::Full(None)
    }

    /// Keeps something alive until the last byte was taken; bytes in memory count as taken.
    pub fn hold(&mut self, more: impl std::any::Any) {
        if let Self::Stream(_, held) = self {
            held.guard = Some(Box::new((held.guard.take(), more)));
        }
    }

    /// Tells `pace` how the other end takes it. Bytes in memory are not watched.
    pub fn watch(&mut self, pace: Rc<Pace>) {
        if let Self::Stream(_, held) = self {
            // From the start: who never asks for the first byte does not take it either.
            pace.set(true);
            held.pace = Some(pace);
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
            Self::Stream(incoming, held) => {
                let frame = Pin::new(incoming).poll_frame(cx);
                if let Some(pace) = &held.pace {
                    pace.set(matches!(frame, Poll::Ready(Some(Ok(_)))));
                }
                if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
                    held.guard.take();
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
