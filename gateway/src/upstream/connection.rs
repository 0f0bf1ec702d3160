//! A connection to a server, driven by the request that uses it.
//!
//! hyper's client is two halves: one takes requests, one moves bytes and must be polled. Usually the second
//! is a task of its own. Here the request's own task polls it, which saves waking and running another
//! task three times a request. What outlives the request (the rest of an upload that was answered early,
//! another protocol) becomes a task after all.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::UpstreamError;
use super::deadline::Deadline;
use super::upload::Upload;

/// A connection that may carry requests, one after the other.
pub(super) struct Connection {
    sender: SendRequest<Upload>,
    bytes: Bytes,
    /// When it has to end.
    pub(super) deadline: Rc<Deadline>,
}

/// The half that moves bytes. Its errors reach the request, or the body of the answer.
enum Bytes {
    Here(Pin<Box<dyn Future<Output = ()>>>),
    InTask(AbortHandle),
    Over,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("ready", &self.sender.is_ready()).finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) async fn open(address: &str, deadline: Rc<Deadline>) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let bytes = Bytes::Here(Box::pin(async { drop(connection.with_upgrades().await) }));
        let mut opened = Self { sender, bytes, deadline };
        // Only when it was polled once does it say that it takes a request.
        opened.look();
        Ok(opened)
    }

    /// Whether it takes a request now.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready() && !self.deadline.has_passed()
    }

    /// Whether it will never take one again.
    pub(super) fn is_over(&self) -> bool {
        self.sender.is_closed() || matches!(self.bytes, Bytes::Over)
    }

    /// Moves what bytes there are, and wakes `cx` when there are more.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if let Bytes::Here(bytes) = &mut self.bytes
            && bytes.as_mut().poll(cx).is_ready()
        {
            self.bytes = Bytes::Over;
        }
    }

    /// Notices what happened while nobody drove it.
    pub(super) fn look(&mut self) {
        self.drive(&mut Context::from_waker(Waker::noop()));
    }

    /// Lets it go on without being driven.
    pub(super) fn detach(&mut self) {
        if let Bytes::Here(bytes) = std::mem::replace(&mut self.bytes, Bytes::Over) {
            self.bytes = Bytes::InTask(tokio::task::spawn_local(bytes).abort_handle());
        }
    }

    /// Sends the request, which is taken, and waits for the head of the answer: so many ticks of silence.
    pub(super) async fn send(
        &mut self,
        request: &mut Request<Upload>,
        silence: u64,
    ) -> Result<Response<Incoming>, Failed> {
        self.deadline.await_answer(silence);
        request.body_mut().report_to(&self.deadline);
        let request = std::mem::replace(request, Request::new(Upload::default()));
        let mut answer = pin!(self.sender.try_send_request(request));
        let result = poll_fn(|cx| {
            self.deadline.watched_by(cx.waker());
            self.drive(cx);
            if self.deadline.has_passed() { Poll::Ready(None) } else { answer.as_mut().poll(cx).map(Some) }
        });
        let result = result.await;
        self.deadline.lift();
        match result {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(mut failed)) => Err(match failed.take_message() {
                Some(request) => Failed::Unsent(Box::new(request), failed.into_error()),
                None => Failed::Sent(failed.into_error().into()),
            }),
            None if self.deadline.was_the_shoppers() => Err(Failed::Sent(UpstreamError::ClientSlow)),
            None => Err(Failed::Sent(UpstreamError::Timeout)),
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
    /// Not a byte was sent; here is the request.
    Unsent(Box<Request<Upload>>, hyper::Error),
    /// It was, at least in part.
    Sent(UpstreamError),
}

impl From<Failed> for UpstreamError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unsent(_, error) => Self::Unsent(error),
            Failed::Sent(error) => error,
        }
    }
}

impl From<hyper::Error> for UpstreamError {
    fn from(error: hyper::Error) -> Self {
        if error.is_parse() {
            Self::Garbage(error)
        } else if error.is_user() {
            // The only thing of ours that fails in there is the body that the shopper sends.
            Self::ClientGone(error)
        } else {
            Self::Reset(error)
        }
    }
}
