//! One request on its way to a server, and its answer on the way back.

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
use crate::body::Piece;

/// What carries a request.
#[derive(Debug)]
pub(super) enum Carrier {
    /// A connection of its own.
    Http1(Box<Connection>),
    /// A place on one that others share.
    Http2(Box<Stream>),
}

/// Which carrier is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// The request must not be sent twice.
    pub(super) careful: bool,
    /// It asks for another protocol, which HTTP/1.1 alone can switch to.
    pub(super) upgrade: bool,
    /// A kept connection of HTTP/1 will do.
    pub(super) kept: bool,
    /// One of HTTP/2 that is younger than this will do.
    pub(super) older: u64,
}

/// A request on its way and its answer on the way back. Dropped when the answer was taken, or not wanted.
#[derive(Debug)]
pub(super) struct Exchange {
    kept: Rc<Kept>,
    carrier: Option<Carrier>,
    permit: Option<Permit>,
}

/// How often a request is sent in all that HTTP/2 gave back: a server may send connections away one after the other.
const TRIES: usize = 4;

impl Exchange {
    pub(super) fn new(kept: Rc<Kept>) -> Self {
        kept.server().enter();
        Self { kept, carrier: None, permit: None }
    }

    pub(super) fn server(&self) -> &Server {
        self.kept.server()
    }

    /// Takes a connection that is there; false if there is none. One that must not fail is looked at first.
    pub(super) fn take(&mut self, wish: Wish) -> bool {
        self.carrier = self.kept.take(wish);
        self.carrier.is_some()
    }

    /// Opens a connection, or waits for one that is being opened. Says whether it opened one.
    pub(super) async fn connect(&mut self, wish: Wish) -> io::Result<bool> {
        let (carrier, opened) = self.kept.connect(wish).await?;
        self.carrier = Some(carrier);
        Ok(opened)
    }

    /// Sends the request and waits for the head of the answer. (In a box where it takes more room than over HTTP/1: all
    /// requests would pay for that.)
    pub(super) fn send<'a>(
        &'a mut self,
        request: &'a mut Outgoing,
    ) -> impl Future<Output = Result<Response<Incoming>, Failed>> + 'a {
        let silence = self.kept.silence();
        let boxed: Pin<Box<dyn Future<Output = Result<Response<Incoming>, Failed>> + 'a>> = match &mut self.carrier {
            Some(Carrier::Http1(connection)) => return Either::Left(connection.send(request, silence)),
            Some(Carrier::Http2(stream)) => Box::pin(stream.send(request, silence)),
            None => Box::pin(ready(Err(Failed::Sent(UpstreamError::NoServer)))),
        };
        Either::Right(boxed)
    }

    /// What to take for the request that was given back by this one for the so-manieth time, if it is sent again.
    pub(super) fn again(&self, tries: usize) -> Option<Wish> {
        let older = match &self.carrier {
            Some(Carrier::Http2(stream)) if tries < TRIES => stream.number(),
            Some(Carrier::Http1(_)) if tries < 2 => 0,
            _ => return None,
        };
        Some(Wish { careful: false, upgrade: false, kept: false, older })
    }

    /// What comes after the head: the permit is held until the answer was taken, and the rest of an upload
    /// does not wait for whoever takes it.
    pub(super) fn answered(&mut self, permit: Permit) {
        self.permit = Some(permit);
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

    /// The connection speaks another protocol from now on, and nobody will drive it. The permit is for requests.
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
        if let Some(Carrier::Http1(connection)) = self.carrier.take() {
            self.kept.put(connection);
        }
    }
}
