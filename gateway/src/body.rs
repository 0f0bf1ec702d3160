//! The body of an answer: made here, or streamed from the upstream as it arrives.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::connection::{UnderWay, Untaken};

/// A piece of a body.
pub type Piece = Poll<Option<Result<Frame<Bytes>, hyper::Error>>>;

/// Where a streamed body comes from. It is dropped when the last byte was taken.
pub trait Source: std::fmt::Debug {
    /// The next piece of the body: moves what bytes there are, and wakes `cx` when there are more.
    fn poll_frame(&mut self, body: &mut Incoming, cx: &mut Context<'_>) -> Piece;
}

/// Bytes of an answer on their way out. Those of HTTP/2, which wait for the other end's window, are counted until they are gone.
#[derive(Debug)]
pub struct Chunk {
    bytes: Bytes,
    untaken: Option<Untaken>,
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// Bytes in memory, shared between answers; `None` once sent.
    Full(Option<Chunk>),
    /// Streamed, never gathered.
    Stream(Incoming, Held),
}

/// What goes with a streamed body.
#[derive(Debug)]
pub struct Held {
    source: Option<Box<dyn Source>>,
    /// The request that it answers.
    under_way: Option<UnderWay>,
}

impl Held {
    /// Comes from this.
    pub fn new(source: impl Source + 'static) -> Self {
        Self { source: Some(Box::new(source)), under_way: None }
    }
}

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self::Full(None)
    }

    /// Says which request this answers: it is under way until the last byte was taken, and its pace is
    /// that at which the other end takes them. Bytes in memory are no request under way, but count as untaken.
    pub fn answers(&mut self, under_way: UnderWay) {
        match self {
            Self::Stream(_, held) => {
                // From the start: who never asks for the first byte does not take it either.
                under_way.pace().set(true);
                held.under_way = Some(under_way);
            }
            Self::Full(Some(chunk)) => chunk.untaken = under_way.into_untaken(chunk.bytes.len()),
            Self::Full(None) => {}
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Full((!bytes.is_empty()).then_some(Chunk { bytes, untaken: None }))
    }
}

impl http_body::Body for Body {
    type Data = Chunk;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Chunk>, hyper::Error>>> {
        match self.get_mut() {
            Self::Full(chunk) => Poll::Ready(chunk.take().map(|chunk| Ok(Frame::data(chunk)))),
            Self::Stream(incoming, held) => {
                if let Some(under_way) = &held.under_way {
                    // While the other end does not take what there is, the shop is not asked for more.
                    ready!(under_way.poll_room(cx));
                }
                let frame = match &mut held.source {
                    Some(source) => source.poll_frame(incoming, cx),
                    None => Pin::new(incoming).poll_frame(cx),
                };
                if let Some(under_way) = &held.under_way {
                    under_way.pace().set(matches!(frame, Poll::Ready(Some(Ok(_)))));
                }
                let frame = frame.map_ok(|frame| {
                    let under_way = held.under_way.as_ref();
                    frame.map_data(|bytes| Chunk { untaken: under_way.and_then(|u| u.untaken(bytes.len())), bytes })
                });
                if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
                    held.source.take();
                    held.under_way.take();
                }
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(chunk) => chunk.is_none(),
            Self::Stream(incoming, _) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(chunk) => SizeHint::with_exact(chunk.as_ref().map_or(0, |chunk| chunk.remaining() as u64)),
            Self::Stream(incoming, _) => incoming.size_hint(),
        }
    }
}

/// Lets a short upload finish that was answered unread. To drop it would reset its stream of HTTP/2, and
/// there are clients (curl 7.88) that lose the answer when the reset comes before they have sent all.
pub fn let_finish(mut body: Incoming) {
    const SHORT: usize = 64 * 1024;
    const SOON: Duration = Duration::from_secs(2);
    if body.is_end_stream() {
        return;
    }
    tokio::task::spawn_local(timeout(SOON, async move {
        let mut read = 0;
        while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > SHORT {
                return;
            }
        }
    }));
}
