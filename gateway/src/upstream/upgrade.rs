//! The tunnel after `101 Switching Protocols`: bytes, both ways.
//!
//! An upgraded connection holds no permit: it has a bound of its own, and keeps the seat of its client's connection.
//! It ends after silence, and a while after one side has closed its direction; or on request, and then both
//! sides read a clean end.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::sync::Notify;

use super::deadline::{Deadline, ticks};
use super::upload::Upload;
use crate::client::bridge::Bridge;
use crate::client::timer::timeout;

/// How long the other side may go on after one side has closed its direction.
const HALF_CLOSED: Duration = Duration::from_secs(5);
/// How long it still reads from both sides after it has closed towards them.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Bytes for each direction; messages are short.
const BUFFER: usize = 4 << 10;

/// The silence limit of a tunnel.
#[derive(Debug, Clone)]
pub(super) struct Silence {
    deadline: Rc<Deadline>,
    ticks: u64,
    half_closed: Rc<std::cell::Cell<bool>>,
}

impl Silence {
    /// A limit of `borne`, from now on.
    pub(super) fn new(deadline: Rc<Deadline>, borne: Duration) -> Self {
        let silence = Self { deadline, ticks: ticks(borne), half_closed: Rc::default() };
        silence.deadline.allow(silence.ticks);
        silence
    }

    /// `bytes` bytes came; 0 is the end of a side.
    fn came(&self, bytes: usize) {
        if bytes == 0 && !self.half_closed.replace(true) {
            self.deadline.allow(ticks(HALF_CLOSED));
        } else if !self.half_closed.get() {
            self.deadline.allow(self.ticks);
        }
    }
}

/// The shopper's side, if the request asks for another protocol.
pub(super) fn requested(request: &mut Request<Upload>) -> Option<OnUpgrade> {
    let shopper = request.extensions_mut().remove();
    shopper.filter(|_| request.headers().contains_key(header::UPGRADE))
}

/// Carries bytes between both sides until one of them breaks, both end, nothing came for too long, or its end is requested.
/// `held` is dropped then.
pub(super) fn bridge(shopper: OnUpgrade, server: OnUpgrade, silence: Silence, held: impl Sized + 'static) -> Bridge {
    Bridge::new(|end| async move {
        let _held = held;
        let deadline = silence.deadline.clone();
        let mut carried = pin!(carry(shopper, server, silence, end));
        poll_fn(|cx| {
            deadline.rings(cx.waker());
            if deadline.has_passed() { Poll::Ready(()) } else { carried.as_mut().poll(cx) }
        })
        .await;
    })
}

async fn carry(shopper: OnUpgrade, server: OnUpgrade, silence: Silence, end: Rc<Notify>) {
    // The shopper's side is there once the 101 is written. A side that breaks ends the other one; there is no peer left
    // to inform.
    let Ok((shopper, server)) = tokio::try_join!(shopper, server) else { return };
    let mut shopper = Heard { io: TokioIo::new(shopper), silence: silence.clone() };
    let mut server = Heard { io: TokioIo::new(server), silence };
    tokio::select! {
        _ = tokio::io::copy_bidirectional_with_sizes(&mut shopper, &mut server, BUFFER, BUFFER) => {}
        () = end.notified() => {
            let both = async { tokio::join!(finish(&mut shopper), finish(&mut server)) };
            let _ = timeout(LAST_WORDS, both).await;
        }
    }
}

/// Closes towards a side. Its last bytes are still read: else it would get a reset.
async fn finish(side: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    if side.shutdown().await.is_ok() {
        let _ = tokio::io::copy(side, &mut tokio::io::sink()).await;
    }
}

/// A side that reports its reads.
struct Heard<T> {
    io: T,
    silence: Silence,
}

impl<T: AsyncRead + Unpin> AsyncRead for Heard<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_ready() {
            self.silence.came(buf.filled().len() - before);
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Heard<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
