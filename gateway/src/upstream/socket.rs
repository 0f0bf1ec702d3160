//! The socket of a connection to a server, and a look at it before the connection is used again.
//!
//! tokio learns that a server closed a connection when its reactor is polled, which may be milliseconds later. Where
//! that matters the kernel is asked, once, by the next read: hyper reads before it writes, so a request that would be
//! lost on such a connection is given back unsent.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::way::Wire;
use crate::ear::Ear;

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

/// A stream that can be probed.
#[derive(Debug)]
pub(super) struct Socket {
    wire: Wire,
    probe: Probe,
    ear: Ear,
}

impl Socket {
    pub(super) fn new(wire: Wire, probe: Probe) -> Self {
        Self { wire, probe, ear: Ear::new() }
    }

    /// Whether the server closed it, or sent what was not asked for. Over TLS that is nearly always the word that it closes; what
    /// a server says of later sessions comes before its first answer.
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
        me.ear.poll(cx, |cx| Pin::new(&mut me.wire).poll_read(cx, buf))
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
