//! The body of an answer: made here, or streamed from the upstream as it arrives.

use std::array;
use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use crate::client::bridge::Bridge;
use crate::client::buffer::Charge;
use crate::client::connection::{InFlight, Untaken};
use crate::client::timer::timeout;
use crate::log::access::Line;
use crate::ui::Filled;

/// A piece of a body.
pub type Piece = Poll<Option<Result<Frame<Bytes>, hyper::Error>>>;

/// A piece of a body on its way out.
pub type Chunks = Poll<Option<Result<Frame<Chunk>, hyper::Error>>>;

/// The source of a streamed body.
pub trait Source: std::fmt::Debug {
    /// The next piece of the body: moves the bytes at hand, and wakes `cx` when there are more.
    fn poll_frame(&self, cx: &mut Context<'_>) -> Chunks;

    /// Whether nothing follows.
    fn is_end_stream(&self) -> bool;

    /// How much follows.
    fn size_hint(&self) -> SizeHint;

    /// Sets the request that this answers: it is in flight until the last byte was taken, and its log line is written then.
    fn answers(&self, in_flight: InFlight, line: Option<Box<Line>>);
}

/// Bytes of an answer on their way out. Those of HTTP/2, which wait for the peer's flow-control window, are counted until sent.
#[derive(Debug)]
pub struct Chunk {
    /// Empty only if nothing follows.
    bytes: Bytes,
    /// The pieces after `bytes`.
    rest: Option<Box<array::IntoIter<Bytes, 2>>>,
    untaken: Option<Box<Untaken>>,
}

impl Chunk {
    /// A chunk of the answer to this request.
    pub(crate) fn of(in_flight: Option<&InFlight>, bytes: Bytes) -> Self {
        Self { untaken: in_flight.and_then(|in_flight| in_flight.untaken(bytes.len())), ..Self::from(bytes) }
    }

    /// The pieces after the first.
    fn rest(&self) -> &[Bytes] {
        self.rest.as_ref().map_or(&[], |rest| rest.as_slice())
    }

    /// Bytes held for this answer: of a page in pieces only the filled-in ones, as the others are shared.
    fn kept(&self) -> usize {
        self.rest().first().map_or(self.bytes.len(), Bytes::len)
    }
}

impl From<Bytes> for Chunk {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, rest: None, untaken: None }
    }
}

impl From<Filled> for Chunk {
    fn from(Filled { before, filled, after }: Filled) -> Self {
        if before.is_empty() && after.is_empty() {
            return Self::from(filled);
        }
        let rest = Some(Box::new([filled, after].into_iter()));
        let mut chunk = Self { bytes: before, rest, untaken: None };
        chunk.advance(0);
        chunk
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.rest().iter().fold(self.bytes.len(), |sum, piece| sum + piece.len())
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = std::iter::once(&self.bytes).chain(self.rest()).filter(|piece| !piece.is_empty());
        let filled = slices.iter_mut().zip(pieces).map(|(slice, piece)| *slice = IoSlice::new(piece));
        filled.count()
    }

    fn advance(&mut self, mut count: usize) {
        while count >= self.bytes.len()
            && let Some(next) = self.rest.as_mut().and_then(Iterator::next)
        {
            count -= self.bytes.len();
            self.bytes = next;
        }
        self.bytes.advance(count);
    }
}

/// The body of an answer.
pub enum Body {
    /// Bytes in memory, shared between answers; `None` once sent. Those of the upstream are counted.
    Full(Option<Chunk>, Option<Charge>),
    /// Streamed, never gathered.
    Stream(Rc<dyn Source>),
    /// None: another protocol follows. The connection takes the bridge.
    Switch(Option<Bridge>),
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full(bytes, _) => f.debug_tuple("Full").field(bytes).finish(),
            Self::Stream(source) => f.debug_tuple("Stream").field(source).finish(),
            Self::Switch(_) => f.write_str("Switch"),
        }
    }
}

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self::Full(None, None)
    }

    /// Bytes of the upstream, counted until the peer takes them.
    pub(crate) fn counted(bytes: Option<Bytes>, charge: Charge) -> Self {
        Self::Full(bytes.map(Chunk::from), Some(charge))
    }

    /// Sets the request that this answers: it is in flight until the last byte was taken. With bytes in memory the request is
    /// over, but they count as untaken; another protocol goes on by itself.
    pub fn answers(&mut self, in_flight: InFlight, line: Option<Box<Line>>) {
        match self {
            Self::Full(Some(chunk), _) => chunk.untaken = in_flight.into_untaken(chunk.kept()),
            Self::Full(None, _) => {}
            Self::Stream(source) => source.answers(in_flight, line),
            Self::Switch(bridge) => in_flight.connection().switch(bridge.take()),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Full((!bytes.is_empty()).then(|| Chunk::from(bytes)), None)
    }
}

impl From<Filled> for Body {
    fn from(page: Filled) -> Self {
        Self::Full(Some(Chunk::from(page)), None)
    }
}

impl http_body::Body for Body {
    type Data = Chunk;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Chunks {
        match self.get_mut() {
            Self::Full(chunk, charge) => {
                *charge = None;
                Poll::Ready(chunk.take().map(|chunk| Ok(Frame::data(chunk))))
            }
            Self::Stream(source) => source.poll_frame(cx),
            Self::Switch(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(chunk, _) => chunk.is_none(),
            Self::Stream(source) => source.is_end_stream(),
            Self::Switch(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(chunk, _) => SizeHint::with_exact(chunk.as_ref().map_or(0, |chunk| chunk.remaining() as u64)),
            Self::Stream(source) => source.size_hint(),
            Self::Switch(_) => SizeHint::with_exact(0),
        }
    }
}

/// Reads the rest of a short upload that was answered unread. Dropping it would reset its HTTP/2 stream, and
/// some clients (curl 7.88) lose the answer when the reset comes before they have sent everything.
pub fn drain_body(mut body: Incoming) {
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
