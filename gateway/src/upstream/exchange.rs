//! One request on its way to a server, and its answer on the way back.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::future::{Either, ready};
use http::Response;
use hyper::body::Incoming;

use super::UpstreamError;
use super::connection::{Connection, Failed, Outgoing};
use super::health::Server;
use super::permit::Permit;
use super::pool::Kept;
use crate::body::Piece;

/// A request on its way and its answer on the way back. Dropped when the answer was taken, or not wanted.
#[derive(Debug)]
pub(super) struct Exchange {
    kept: Rc<Kept>,
    connection: Option<Box<Connection>>,
    permit: Option<Permit>,
}

impl Exchange {
    pub(super) fn new(kept: Rc<Kept>) -> Self {
        kept.server().enter();
        Self { kept, connection: None, permit: None }
    }

    pub(super) fn server(&self) -> &Server {
        self.kept.server()
    }

    /// Takes a kept connection; false if there is none. One that must not fail is looked at first.
    pub(super) fn take(&mut self, careful: bool) -> bool {
        self.connection = self.kept.take(careful);
        self.connection.is_some()
    }

    /// Opens a connection.
    pub(super) async fn connect(&mut self) -> io::Result<()> {
        self.connection = Some(self.kept.connect().await?);
        Ok(())
    }

    /// Sends the request and waits for the head of the answer.
    pub(super) fn send(&mut self, request: &mut Outgoing) -> impl Future<Output = Result<Response<Incoming>, Failed>> {
        match &mut self.connection {
            Some(connection) => Either::Left(connection.send(request, self.kept.silence())),
            None => Either::Right(ready(Err(Failed::Sent(UpstreamError::NoServer)))),
        }
    }

    /// What comes after the head: the permit is held until the answer was taken, and the rest of an upload
    /// does not wait for whoever takes it.
    pub(super) fn answered(&mut self, permit: Permit) {
        self.permit = Some(permit);
        if let Some(connection) = self.connection.as_mut().filter(|connection| connection.deadline.is_uploading()) {
            connection.detach();
        }
    }

    /// The next piece of the answer's body.
    pub(super) fn poll_frame(&mut self, body: &mut Incoming, cx: &mut Context<'_>) -> Piece {
        match &mut self.connection {
            Some(connection) => connection.poll_frame(body, cx),
            None => Poll::Ready(None),
        }
    }

    /// The connection speaks another protocol from now on, and nobody will drive it. The permit is for requests.
    pub(super) fn switched(&mut self) {
        self.permit = None;
        if let Some(connection) = &mut self.connection {
            connection.detach();
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.kept.server().leave();
        if let Some(connection) = self.connection.take() {
            self.kept.put(connection);
        }
    }
}
