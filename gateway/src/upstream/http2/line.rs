//! The socket of a connection of HTTP/2: it is known how much was written and when something came, and it can be cut from
//! outside.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::upstream::way::Wire;

/// What is known of a line from outside.
#[derive(Debug)]
pub(super) struct Gauge {
    born: Instant,
    written: AtomicU64,
    /// When something came last, in milliseconds since it was born.
    heard: AtomicU64,
    severed: AtomicBool,
    /// Who wants to know of reads.
    listener: AtomicWaker,
    /// Who reads.
    reader: AtomicWaker,
}

impl Gauge {
    pub(super) fn new() -> Arc<Self> {
        let (written, heard, severed, listener, reader) = Default::default();
        Arc::new(Self { born: Instant::now(), written, heard, severed, listener, reader })
    }

    /// Bytes so far.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// For how long nothing has come.
    pub(super) fn silence(&self) -> Duration {
        self.born.elapsed().saturating_sub(Duration::from_millis(self.heard.load(Ordering::Relaxed)))
    }

    /// Wakes this one when something was read.
    pub(super) fn tell_of_reads(&self, waker: &Waker) {
        self.listener.register(waker);
    }

    /// Ends the connection: nobody reads it any more.
    pub(super) fn sever(&self) {
        self.severed.store(true, Ordering::Relaxed);
        self.reader.wake();
    }
}

/// The socket.
#[derive(Debug)]
pub(super) struct Line {
    wire: Wire,
    gauge: Arc<Gauge>,
}

impl Line {
    pub(super) fn new(wire: Wire, gauge: Arc<Gauge>) -> Self {
        Self { wire, gauge }
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.gauge.reader.register(cx.waker());
        if self.gauge.severed.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let read = Pin::new(&mut self.wire).poll_read(cx, buf);
        if read.is_ready() {
            self.gauge.heard.store(self.gauge.born.elapsed().as_millis() as u64, Ordering::Relaxed);
            self.gauge.listener.wake();
        }
        read
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.wire).poll_write(cx, buf);
        if let Poll::Ready(Ok(bytes)) = &written {
            self.gauge.written.fetch_add(*bytes as u64, Ordering::Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}
