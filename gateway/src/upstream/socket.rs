//! The socket of a connection to a server, and a probe of it before the connection is used again.
//!
//! tokio learns that a server closed a connection when its reactor is polled, which may be milliseconds later. Where
//! that matters the kernel is asked, once, by the next read: hyper reads before it writes, so a request that would be
//! lost on such a connection is given back unsent.
//!
//! The driver of hyper has it read several times for each piece that comes. As long as the reactor has not reported
//! readiness, the result is known: no system call is made.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::way::Wire;

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

/// The reactor's report on a socket.
#[derive(Debug)]
struct Ear {
    /// A read may find something: it has said so since the last one found nothing.
    heard: AtomicBool,
    /// The waker of the reader.
    reader: Mutex<Waker>,
}

impl Wake for Ear {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.heard.store(true, Ordering::Relaxed);
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
    }
}

/// A stream that can be probed.
#[derive(Debug)]
pub(super) struct Socket {
    wire: Wire,
    probe: Probe,
    ear: Arc<Ear>,
    /// Wakes the ear.
    waker: Waker,
    /// The waker that the ear calls: mostly the same, and a comparison is cheaper than the lock.
    reader: Waker,
}

impl Socket {
    pub(super) fn new(wire: Wire, probe: Probe) -> Self {
        let reader = Waker::noop().clone();
        let ear = Arc::new(Ear { heard: AtomicBool::new(true), reader: Mutex::new(reader.clone()) });
        Self { wire, probe, waker: Waker::from(ear.clone()), ear, reader }
    }

    /// Makes the ear call this one from now on.
    fn tell(&mut self, waker: &Waker) {
        if !self.reader.will_wake(waker) {
            self.reader.clone_from(waker);
            self.ear.reader.lock().unwrap_or_else(PoisonError::into_inner).clone_from(waker);
        }
    }

    /// Whether the server closed it, or sent unrequested bytes. Over TLS these nearly always announce the close; session
    /// tickets come before its first answer.
    fn is_spent(&self) -> bool {
        let peeked = SockRef::from(self.wire.tcp()).peek(&mut [MaybeUninit::uninit(); 1]);
        !matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.probe.fired() && self.is_spent() {
            return Poll::Ready(Ok(()));
        }
        let me = &mut *self;
        me.tell(cx.waker());
        if !me.ear.heard.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        // Before the read: a report from then on counts.
        me.ear.heard.store(false, Ordering::Relaxed);
        let read = Pin::new(&mut me.wire).poll_read(&mut Context::from_waker(&me.waker), buf);
        if read.is_ready() {
            me.ear.heard.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}
