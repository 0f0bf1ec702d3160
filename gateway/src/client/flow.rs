//! Bytes in and out of a connection of HTTP/1, seen from below hyper.
//!
//! hyper reports neither whether the peer takes the bytes written, nor whether it only waits for the next request. Both
//! decide what a connection holds: while bytes are unsent nothing more is made, and an idle peer needs no buffers.
//!
//! Out of scope: the reaction to it ([`crate::client::connection`]). Atomics replace cells here: the task of an upgraded connection
//! has to be `Send`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Flow state of a connection.
#[derive(Debug, Default)]
pub struct Flow {
    /// Bytes given to the socket, and not taken by it.
    unsent: AtomicUsize,
    /// A writer waits for them to be sent.
    held_back: AtomicBool,
    /// The last attempt to read found nothing.
    waits: AtomicBool,
    /// Something was read since the last request began.
    heard: AtomicBool,
}

impl Flow {
    /// Bytes that wait for the peer.
    pub fn unsent(&self) -> usize {
        self.unsent.load(Relaxed)
    }

    /// Whether every byte written is sent. If not, the writing task is woken when it is.
    pub fn poll_sent(&self) -> Poll<()> {
        if self.unsent() == 0 {
            return Poll::Ready(());
        }
        self.held_back.store(true, Relaxed);
        Poll::Pending
    }

    /// A request begins: the bytes read before were its head.
    pub(crate) fn begin(&self) {
        self.heard.store(false, Relaxed);
    }

    /// Whether everything is sent, and no byte of another request was read.
    pub(crate) fn rests(&self) -> bool {
        self.unsent() == 0 && self.waits.load(Relaxed) && !self.heard.load(Relaxed)
    }

    fn sent(&self, cx: &Context<'_>) {
        if self.unsent() > 0 {
            self.unsent.store(0, Relaxed);
            if self.held_back.swap(false, Relaxed) {
                cx.waker().wake_by_ref();
            }
        }
    }
}

/// A stream over TCP.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The socket itself.
    fn tcp(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Stream for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// A stream with its flow state.
#[derive(Debug)]
pub(crate) struct Watched<I> {
    io: I,
    /// Bytes read before, and not used.
    first: Bytes,
    flow: Arc<Flow>,
}

impl<I: Stream> Watched<I> {
    /// Watches this stream.
    pub(crate) fn new(io: I, flow: Arc<Flow>) -> Self {
        Self { io, first: Bytes::new(), flow }
    }

    /// The socket itself.
    pub(crate) fn tcp(&self) -> &TcpStream {
        self.io.tcp()
    }

    /// Puts these bytes back: they are read again.
    pub(crate) fn unread(&mut self, bytes: Bytes) {
        self.first = bytes;
    }
}

impl<I: Stream> AsyncRead for Watched<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let me = &mut *self;
        if !me.first.is_empty() {
            let length = me.first.len().min(buf.remaining());
            buf.put_slice(&me.first[..length]);
            me.first.advance(length);
            me.flow.heard.store(true, Relaxed);
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut me.io).poll_read(cx, buf);
        me.flow.waits.store(read.is_pending(), Relaxed);
        if read.is_ready() {
            me.flow.heard.store(true, Relaxed);
        }
        read
    }
}

impl<I: Stream> AsyncWrite for Watched<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let me = &mut *self;
        let written = Pin::new(&mut me.io).poll_write(cx, bytes);
        match &written {
            Poll::Pending => me.flow.unsent.store(bytes.len(), Relaxed),
            Poll::Ready(Ok(length)) if *length < bytes.len() => me.flow.unsent.store(bytes.len() - length, Relaxed),
            Poll::Ready(_) => {}
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = &mut *self;
        // hyper flushes when it has written everything, so only the bytes inside TLS are left.
        match Pin::new(&mut me.io).poll_flush(cx) {
            Poll::Pending => {
                me.flow.unsent.fetch_max(1, Relaxed);
                Poll::Pending
            }
            Poll::Ready(flushed) => {
                me.flow.sent(cx);
                Poll::Ready(flushed)
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Whether there is something to read; false at the end of the stream.
pub(crate) fn poll_more(tcp: &TcpStream, cx: &mut Context<'_>) -> Poll<bool> {
    let mut byte = [0];
    let mut byte = ReadBuf::new(&mut byte);
    let peeked = ready!(tcp.poll_peek(cx, &mut byte));
    Poll::Ready(peeked.is_ok() && !byte.filled().is_empty())
}
