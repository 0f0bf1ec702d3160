//! The socket of a connection of HTTP/2: it counts written bytes, knows the time of the last read, and can be cut from
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

/// The state of a socket, seen from outside.
#[derive(Debug)]
pub(super) struct Gauge {
    born: Instant,
    written: AtomicU64,
    /// Time of the last read, in milliseconds since its creation.
    heard: AtomicU64,
    severed: AtomicBool,
    /// The waker of a task that watches reads.
    listener: AtomicWaker,
    /// The waker of the reader.
    reader: AtomicWaker,
}

impl Gauge {
    pub(super) fn new() -> Arc<Self> {
        let (written, heard, severed, listener, reader) = Default::default();
        Arc::new(Self { born: Instant::now(), written, heard, severed, listener, reader })
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Time since the last read.
    pub(super) fn silence(&self) -> Duration {
        self.born.elapsed().saturating_sub(Duration::from_millis(self.heard.load(Ordering::Relaxed)))
    }

    /// Wakes this one after a read.
    pub(super) fn tell_of_reads(&self, waker: &Waker) {
        self.listener.register(waker);
    }

    /// Cuts the connection: there is no reader any more.
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
