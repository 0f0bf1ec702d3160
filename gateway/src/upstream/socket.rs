//! The socket of a connection to a server, and a look at it before the connection is used again.
//!
//! tokio learns that a server closed a connection when its reactor is polled, which may be milliseconds later. Where
//! that matters the kernel is asked, once, by the next read: hyper reads before it writes, so a request that would be
//! lost on such a connection is given back unsent.
//!
//! Whoever drives hyper has it read several times for each piece that comes. As long as the reactor has not said that there
//! is something, the answer is known: nobody is asked.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A flag that has the next read of a [`Socket`] ask the kernel.
#[derive(Debug, Clone, Default)]
pub(super) struct Probe(Arc<AtomicBool>);

impl Probe {
    /// Asks the kernel at the next read.
    pub(super) fn arm(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn fired(&self) -> bool {
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}

/// What the reactor says of a socket.
#[derive(Debug, Default)]
struct Ear {
    /// It has said something since the last read found nothing.
    heard: AtomicBool,
    /// Who is told of it.
    reader: AtomicWaker,
}

impl Wake for Ear {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.heard.store(true, Ordering::Relaxed);
        self.reader.wake();
    }
}

/// A stream that can be probed.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    probe: Probe,
    ear: Arc<Ear>,
    /// Wakes the ear.
    waker: Waker,
    /// Who waits for the ear, as long as the last read found nothing.
    reader: Option<Waker>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, probe: Probe) -> Self {
        let ear = Arc::<Ear>::default();
        Self { stream, probe, waker: Waker::from(ear.clone()), ear, reader: None }
    }

    /// Whether a read would find nothing, and this waker is told when that changes.
    fn still_waits(&self, waker: &Waker) -> bool {
        !self.ear.heard.load(Ordering::Relaxed) && self.reader.as_ref().is_some_and(|reader| reader.will_wake(waker))
    }

    /// Whether the server closed it, or sent what was not asked for.
    fn is_spent(&self) -> bool {
        let peeked = SockRef::from(&self.stream).peek(&mut [MaybeUninit::uninit(); 1]);
        !matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.probe.fired() && self.is_spent() {
            return Poll::Ready(Ok(()));
        }
        if self.still_waits(cx.waker()) {
            return Poll::Pending;
        }
        self.ear.heard.store(false, Ordering::Relaxed);
        self.ear.reader.register(cx.waker());
        let me = &mut *self;
        let read = Pin::new(&mut me.stream).poll_read(&mut Context::from_waker(&me.waker), buf);
        me.reader = read.is_pending().then(|| cx.waker().clone());
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
