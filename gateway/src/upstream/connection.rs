//! A connection to a server, driven by the request that uses it.
//!
//! hyper's client is two halves: one takes requests, one moves bytes and must be polled. Usually the second
//! is a task of its own. Here the request's own task polls it, which saves waking and running another
//! task three times a request. A part that outlives the request (the rest of an upload that was answered early,
//! another protocol) becomes a task after all.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;

use super::UpstreamError;
use super::alarm::Alarm;
use super::deadline::Deadline;
use super::http2::{Http2Failure, why};
use super::socket::{Probe, Socket};
use super::upload::Upload;
use super::way::{ServerAddress, Wire};
use crate::client::body::Piece;

/// Headers of an answer that hyper parses without an allocation.
const DEFAULT_MAX_HEADERS: usize = 100;
/// Bytes of an answer read at once, and the longest head of one.
const PIECE: usize = 32 << 10;

/// A connection that may carry requests, one after the other.
pub(super) struct Connection {
    sender: SendRequest<Upload>,
    bytes: Bytes,
    alarm: Arc<Alarm>,
    waker: Waker,
    probe: Probe,
    /// When it last went back to the pool, in ticks.
    pub(super) kept_at: u64,
    /// How often its server had moved when it was opened.
    pub(super) moves: u64,
    /// When it has to end.
    pub(super) deadline: Rc<Deadline>,
}

/// A request to send; `None` once sent.
pub type Outgoing = Option<Request<Upload>>;

/// The half that moves bytes. Its errors reach the request, or the body of the answer.
enum Bytes {
    Here(Pin<Box<dyn Future<Output = ()>>>),
    InTask(AbortHandle),
    Over,
}

impl Bytes {
    fn poll(&mut self, cx: &mut Context<'_>) {
        if let Self::Here(bytes) = self
            && bytes.as_mut().poll(cx).is_ready()
        {
            *self = Self::Over;
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("ready", &self.sender.is_ready()).finish_non_exhaustive()
    }
}

impl Connection {
    /// Boxed, for it is moved often with each request.
    pub(super) async fn open(way: &ServerAddress, max_headers: usize, deadline: Rc<Deadline>) -> io::Result<Box<Self>> {
        let (wire, _) = way.connect(true).await?;
        Self::on(way, wire, max_headers, deadline).await
    }

    /// The same on an open wire.
    pub(super) async fn on(
        way: &ServerAddress,
        wire: Wire,
        max_headers: usize,
        deadline: Rc<Deadline>,
    ) -> io::Result<Box<Self>> {
        let moves = way.moves();
        let probe = Probe::default();
        let mut http1 = http1::Builder::new();
        // One buffer and a plain write: most requests are a head alone. The bytes read at once are held for a slow reader.
        http1.writev(false).max_buf_size(PIECE);
        if max_headers != DEFAULT_MAX_HEADERS {
            http1.max_headers(max_headers);
        }
        let handshake = http1.handshake(TokioIo::new(Socket::new(wire, probe.clone())));
        let (sender, connection) = handshake.await.map_err(io::Error::other)?;
        let bytes = Bytes::Here(Box::pin(async { drop(connection.with_upgrades().await) }));
        let alarm = Arc::new(Alarm::default());
        let waker = Waker::from(alarm.clone());
        deadline.rings(&waker);
        let mut opened = Box::new(Self { sender, bytes, alarm, waker, probe, kept_at: 0, moves, deadline });
        // It accepts a request only after a first poll.
        opened.sweep();
        Ok(opened)
    }

    /// Whether it takes a request now.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready() && !self.deadline.has_passed()
    }

    /// Has the kernel asked, before the next request is written, whether the server has closed it.
    pub(super) fn probe(&self) {
        self.probe.arm();
    }

    /// Whether it will never take one again.
    pub(super) fn is_over(&self) -> bool {
        self.sender.is_closed() || matches!(self.bytes, Bytes::Over)
    }

    /// The next piece of an answer's body. Taking one wakes the other half, which is polled when the
    /// next one is requested.
    pub(super) fn poll_frame(&mut self, body: &mut Incoming, cx: &mut Context<'_>) -> Piece {
        self.alarm.mute();
        let mut frame = Pin::new(&mut *body).poll_frame(cx);
        if frame.is_pending() {
            self.bytes.poll(&mut Context::from_waker(&self.waker));
            frame = Pin::new(body).poll_frame(cx);
        }
        if self.alarm.rang(cx.waker()) && frame.is_pending() {
            cx.waker().wake_by_ref();
        }
        frame
    }

    /// Notices events since it was last driven.
    pub(super) fn sweep(&mut self) {
        self.bytes.poll(&mut Context::from_waker(Waker::noop()));
    }

    /// Lets a task of its own drive it.
    pub(super) fn detach(&mut self) {
        if let Bytes::Here(bytes) = std::mem::replace(&mut self.bytes, Bytes::Over) {
            self.bytes = Bytes::InTask(tokio::task::spawn_local(bytes).abort_handle());
        }
    }

    /// Sends the request, which is taken, and waits for the head of the answer, for up to `silence` ticks of silence.
    pub(super) fn send(
        &mut self,
        request: &mut Outgoing,
        silence: u64,
    ) -> impl Future<Output = Result<Response<Incoming>, Failed>> {
        let Self { sender, bytes, alarm, waker, deadline, .. } = self;
        deadline.await_answer(silence);
        // Sending wakes the other half, which is polled at once.
        alarm.mute();
        let answer = request.take().map(|mut taken| {
            taken.body_mut().report_to(deadline);
            sender.try_send_request(taken)
        });
        async move {
            let Some(answer) = answer else { return Err(Failed::Sent(UpstreamError::NoServer)) };
            let mut answer = pin!(answer);
            let result = poll_fn(|cx| {
                let inner = &mut Context::from_waker(waker);
                alarm.mute();
                bytes.poll(inner);
                let head = answer.as_mut().poll(inner);
                let rang = alarm.rang(cx.waker());
                if head.is_pending() && deadline.has_passed() {
                    return Poll::Ready(None);
                }
                if head.is_pending() && rang {
                    cx.waker().wake_by_ref();
                }
                head.map(Some)
            });
            let result = result.await;
            deadline.lift();
            match result {
                Some(Ok(answer)) => Ok(answer),
                Some(Err(mut failed)) => Err(match failed.take_message() {
                    Some(unsent) => {
                        *request = Some(unsent);
                        Failed::Unsent(failed.into_error())
                    }
                    None => Failed::Sent(failed.into_error().into()),
                }),
                None if deadline.was_the_shoppers() => Err(Failed::Sent(UpstreamError::ClientSlow)),
                None => Err(Failed::Sent(UpstreamError::Timeout)),
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Bytes::InTask(task) = &self.bytes {
            task.abort();
        }
    }
}

/// No answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// Not a byte was sent: the request is given back.
    Unsent(hyper::Error),
    /// Sent, at least in part.
    Sent(UpstreamError),
}

impl From<Failed> for UpstreamError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unsent(error) if Http2Failure::of(&error).is_none() => Self::Unsent(error),
            Failed::Unsent(error) => error.into(),
            Failed::Sent(error) => error,
        }
    }
}

impl From<hyper::Error> for UpstreamError {
    fn from(error: hyper::Error) -> Self {
        if let Some(failure) = Http2Failure::of(&error) {
            Self::Http2 { failure, why: why(&error) }
        } else if error.is_parse_too_large() {
            Self::HeadTooLarge(Some(error))
        } else if error.is_parse() {
            Self::Garbage(error)
        } else if error.is_user() {
            // The only part of ours that fails in there is the body from the shopper.
            Self::ClientGone(error)
        } else {
            Self::Reset(error)
        }
    }
}
