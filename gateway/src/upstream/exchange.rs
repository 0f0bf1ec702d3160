//! One exchange with a server: a request and its answer.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::future::{Either, ready};
use http::Response;
use hyper::body::Incoming;

use super::UpstreamError;
use super::connection::{Connection, Failed, Outgoing};
use super::health::Server;
use super::http2::{Http2Failure, Stream, broke};
use super::permit::Permit;
use super::pool::Kept;
use crate::client::body::Piece;

/// The carrier of a request.
#[derive(Debug)]
pub(super) enum Carrier {
    /// A connection of its own.
    Http1(Box<Connection>),
    /// A stream on a shared one.
    Http2(Box<Stream>),
}

/// The wanted carrier.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// The request must not be sent twice.
    pub(super) careful: bool,
    /// It asks for another protocol, which HTTP/1.1 alone can switch to.
    pub(super) upgrade: bool,
    /// An idle connection of HTTP/1 will do.
    pub(super) kept: bool,
    /// One of HTTP/2 that is younger than this will do.
    pub(super) older: u64,
}

/// A request and its answer. Dropped when the answer was taken, or is not wanted.
#[derive(Debug)]
pub(super) struct Exchange {
    kept: Rc<Kept>,
    carrier: Option<Carrier>,
    permit: Option<Permit>,
    /// The head of its answer is awaited.
    awaited: bool,
}

/// Attempts for a request that HTTP/2 gave back: a server may close connections one after the other.
const TRIES: usize = 4;

impl Exchange {
    pub(super) fn new(kept: Rc<Kept>) -> Self {
        kept.server().enter();
        Self { kept, carrier: None, permit: None, awaited: false }
    }

    pub(super) fn server(&self) -> &Server {
        self.kept.server()
    }

    /// Takes an open connection; false if there is none. A `careful` one is probed first.
    pub(super) fn take(&mut self, wish: Wish) -> bool {
        self.carrier = self.kept.take(wish);
        self.carrier.is_some()
    }

    /// Opens a connection, or waits for one that is being opened. Returns whether it opened one.
    pub(super) async fn connect(&mut self, wish: Wish) -> io::Result<bool> {
        let (carrier, opened) = self.kept.connect(wish).await?;
        self.carrier = Some(carrier);
        Ok(opened)
    }

    /// Sends the request and waits for the head of the answer, for `patience` ticks of silence or as long as the settings say.
    /// If its caller leaves meanwhile, the permit [stays for a while](Kept::abandon). (Boxed where it takes more room than
    /// over HTTP/1: all requests would pay for that.)
    pub(super) fn send<'a>(
        &'a mut self,
        request: &'a mut Outgoing,
        patience: Option<u64>,
    ) -> impl Future<Output = Result<Response<Incoming>, Failed>> + 'a {
        let silence = patience.map_or(self.kept.silence(), |patience| patience.min(self.kept.silence()));
        self.awaited = true;
        let boxed: Pin<Box<dyn Future<Output = Result<Response<Incoming>, Failed>> + 'a>> = match &mut self.carrier {
            Some(Carrier::Http1(connection)) => return Either::Left(connection.send(request, silence)),
            Some(Carrier::Http2(stream)) => Box::pin(stream.send(request, silence)),
            None => Box::pin(ready(Err(Failed::Sent(UpstreamError::NoServer)))),
        };
        Either::Right(boxed)
    }

    /// The carrier for another attempt of a request that this one gave back, after `tries` attempts, if there is one.
    pub(super) fn again(&self, tries: usize) -> Option<Wish> {
        let older = match &self.carrier {
            Some(Carrier::Http2(stream)) if tries < TRIES => stream.number(),
            Some(Carrier::Http1(_)) if tries < 2 => 0,
            _ => return None,
        };
        Some(Wish { careful: false, upgrade: false, kept: false, older })
    }

    /// Holds the permit of its request until the answer was taken.
    pub(super) fn hold(&mut self, permit: Option<Permit>) {
        self.permit = permit;
    }

    /// The same in a task of its own, which goes on to the answer when its caller is dropped. What a shop has begun to do for an
    /// order it does to the end, whether its shopper is there or not, so the permit is held as long.
    pub(super) async fn send_to_the_end(
        mut self,
        request: &mut Outgoing,
    ) -> (Self, Result<Response<Incoming>, Failed>) {
        let mut outgoing = request.take();
        let task = tokio::task::spawn_local(async move {
            let answer = self.send(&mut outgoing, None).await;
            self.awaited = false;
            (self, outgoing, answer)
        });
        match task.await {
            Ok((exchange, given_back, answer)) => {
                *request = given_back;
                (exchange, answer)
            }
            Err(over) => match over.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The worker is being stopped, and this future with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Another attempt will be made by another exchange, with this permit.
    pub(super) fn give_back(&mut self) -> Option<Permit> {
        self.awaited = false;
        self.permit.take()
    }

    /// The head is not awaited any more.
    pub(super) fn ended(&mut self) {
        self.awaited = false;
    }

    /// The head has come: the rest of an upload does not wait for its reader.
    pub(super) fn answered(&mut self) {
        if let Some(Carrier::Http1(connection)) = &mut self.carrier
            && connection.deadline.is_uploading()
        {
            connection.detach();
        }
    }

    /// The next piece of the answer's body.
    pub(super) fn poll_frame(&mut self, body: &mut Incoming, cx: &mut Context<'_>) -> Piece {
        match &mut self.carrier {
            Some(Carrier::Http1(connection)) => connection.poll_frame(body, cx),
            Some(Carrier::Http2(stream)) => {
                let frame = stream.poll_frame(body, cx);
                if let Poll::Ready(Some(Err(error))) = &frame
                    && let Some(failure) = Http2Failure::of(error)
                {
                    broke(self.kept.server(), failure, !failure.is_shared(), error);
                }
                frame
            }
            None => Poll::Ready(None),
        }
    }

    /// The connection speaks another protocol from now on, without a driver. The permit is for requests.
    pub(super) fn switched(&mut self) {
        self.permit = None;
        if let Some(Carrier::Http1(connection)) = &mut self.carrier {
            connection.detach();
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.kept.server().leave();
        if self.awaited
            && let Some(permit) = self.permit.take()
        {
            self.kept.abandon(permit);
        }
        if let Some(Carrier::Http1(connection)) = self.carrier.take() {
            self.kept.put(connection);
        }
    }
}
