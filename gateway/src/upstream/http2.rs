//! A connection to a server that carries many requests at once (RFC 9113), and one request on it.
//!
//! hyper drives it in tasks of its own, as no request could for all others. This module adds what a proxy has to know: how
//! many requests the server takes, how many there are, and whether a failed one had reached it.
//!
//! Out of scope: which connection is taken and when another is opened ([`super::streams`]), pushed answers (refused), and
//! other protocols: a request for one goes over HTTP/1.1.

mod failure;
mod line;
mod loan;

use std::cell::Cell;
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri, Version, request};
use http_body::Body;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper::rt::Executor;
use hyper::rt::bounds::Http2ClientConnExec;
use hyper_util::rt::{TokioExecutor, TokioIo};

pub use self::failure::Http2Failure;
pub(super) use self::failure::{NotSpoken, is_refused_stream, why};
use self::line::{Gauge, Line};
use self::loan::{LentBody, Loan};
use super::UpstreamError;
use super::connection::{Failed, Outgoing};
use super::deadline::Deadline;
use super::health::Server;
use super::way::Wire;
use crate::client::body::Piece;
use crate::client::timer::ForHyper;

/// Bytes of an answer in flight unread. A connection has as many for each of its requests: a slow reader of one
/// answer delays no other.
const WINDOW: u32 = 65_535;
/// Bytes of a request's body that are held when the server does not take them.
const SEND_BUFFER: usize = 64 << 10;
/// The longest head of an answer, as over HTTP/1.
const HEAD: u32 = 32 << 10;
/// Cancelled requests whose last frames are tolerated.
const GIVEN_UP: usize = 1_000;

/// Settings of all connections to a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Concurrent requests on one of them.
    pub(super) streams: usize,
    /// Bound on headers of an answer.
    pub(super) headers: usize,
    /// Silence until an answer: in a part of it the server has to answer a PING.
    pub(super) silence: Duration,
}

/// A connection after the server's SETTINGS.
type Begun<B, E> = (SendRequest<B>, Connection<TokioIo<Line>, B, E>, Arc<Gauge>);

/// Tasks of the worker's own thread.
#[derive(Debug, Clone, Copy)]
struct Here;

impl<F: Future<Output: 'static> + 'static> Executor<F> for Here {
    fn execute(&self, task: F) {
        drop(tokio::task::spawn_local(task));
    }
}

fn builder<E: Clone>(executor: E, streams: usize) -> Builder<E> {
    let mut builder = Builder::new(executor);
    let all = u32::try_from(streams).unwrap_or(u32::MAX).saturating_mul(WINDOW).min(i32::MAX as u32);
    builder
        // None before the server has said how many it takes: that is how `begin` knows that it has.
        .initial_max_send_streams(0)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(all)
        .max_header_list_size(HEAD)
        .max_send_buf_size(SEND_BUFFER)
        .max_concurrent_reset_streams(GIVEN_UP);
    builder
}

/// Begins, and waits for the server's SETTINGS: a server without HTTP/2 is detected before a request is sent to it.
async fn begin<B, E>(builder: &Builder<E>, wire: Wire) -> io::Result<Begun<B, E>>
where
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    E: Http2ClientConnExec<B, TokioIo<Line>> + Unpin,
{
    let gauge = Gauge::new();
    let line = Line::new(wire, gauge.clone());
    let begun = builder.handshake(TokioIo::new(line)).await;
    let (sender, mut connection) = begun.map_err(|error| NotSpoken::because(&error))?;
    let agreed = poll_fn(|cx| {
        gauge.tell_of_reads(cx.waker());
        match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(NotSpoken::because(&error))),
            Poll::Ready(Ok(())) => Poll::Ready(Err(NotSpoken::told("it closed the connection"))),
            Poll::Pending if connection.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    });
    agreed.await?;
    Ok((sender, connection, gauge))
}

/// Sends this on a connection of its own, on a thread with timers; or only begins one.
pub(super) async fn ask(
    wire: Wire,
    question: Option<Request<Empty<Bytes>>>,
) -> Result<Option<StatusCode>, Box<dyn Error + Send + Sync>> {
    let (mut sender, connection, _) = begin(&builder(TokioExecutor::new(), 1), wire).await?;
    let Some(question) = question else { return Ok(None) };
    let mut answer = pin!(sender.send_request(question));
    let answer = tokio::select! {
        answer = &mut answer => answer,
        _ = connection => answer.await,
    };
    Ok(Some(answer?.status()))
}

/// Logs a failure, and counts it unless it is counted elsewhere.
pub(super) fn broke(server: &Server, failure: Http2Failure, counts: bool, error: &hyper::Error) {
    if counts {
        server.way().met(failure);
    }
    tracing::warn!(server = server.address(), reason = failure.name(), why = why(error), "HTTP/2 broke off");
}

/// A connection.
pub(super) struct Http2 {
    sender: SendRequest<LentBody>,
    gauge: Arc<Gauge>,
    /// Concurrent requests that the server takes.
    most: Rc<Cell<usize>>,
    /// Requests on it.
    open: Cell<usize>,
    /// Nothing came while an answer was awaited in vain.
    silent: Cell<bool>,
    clock: Rc<Cell<u64>>,
    /// When the last request left it, in ticks.
    idle_since: Cell<u64>,
    /// Later connections have greater ones.
    pub(super) number: u64,
    /// How often its server had moved when it was opened.
    moves: u64,
    rules: Rules,
    scheme: Scheme,
    /// The server's address.
    address: String,
}

impl std::fmt::Debug for Http2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http2").field("open", &self.open.get()).field("most", &self.most.get()).finish_non_exhaustive()
    }
}

impl Http2 {
    /// Opens one, for a worker.
    pub(super) async fn open(
        server: &Arc<Server>,
        wire: Wire,
        rules: Rules,
        clock: Rc<Cell<u64>>,
        number: u64,
    ) -> io::Result<Rc<Self>> {
        let (moves, server) = (server.way().moves(), server.clone());
        let scheme = wire.scheme();
        let mut builder = builder(Here, rules.streams);
        builder
            .timer(ForHyper)
            .keep_alive_interval((rules.silence / 4).max(Duration::from_secs(1)))
            .keep_alive_timeout((rules.silence / 2).max(Duration::from_secs(1)));
        let (sender, mut connection, gauge) = begin(&builder, wire).await?;
        let most = Rc::new(Cell::new(connection.current_max_send_streams()));
        let (told, address) = (most.clone(), server.address().to_owned());
        tokio::task::spawn_local(async move {
            let ended = poll_fn(|cx| {
                let ended = Pin::new(&mut connection).poll(cx);
                told.set(connection.current_max_send_streams());
                ended
            });
            if let Err(error) = ended.await
                && let Some(failure) = Http2Failure::of(&error)
            {
                broke(&server, failure, failure.is_shared(), &error);
            }
        });
        let (open, silent, idle_since) = (Cell::new(0), Cell::new(false), Cell::new(clock.get()));
        Ok(Rc::new(Self {
            sender,
            gauge,
            most,
            open,
            silent,
            clock,
            idle_since,
            number,
            moves,
            rules,
            scheme,
            address,
        }))
    }

    /// Requests on it.
    pub(super) fn open_streams(&self) -> usize {
        self.open.get()
    }

    /// How many it takes.
    pub(super) fn capacity(&self) -> usize {
        self.most.get().min(self.rules.streams)
    }

    /// Whether it takes requests, now or later, given how often its server has moved.
    pub(super) fn is_sound(&self, moves: u64) -> bool {
        !self.sender.is_closed() && !self.silent.get() && self.moves == moves
    }

    /// Ticks since the last request.
    pub(super) fn idle_for(&self) -> u64 {
        if self.open.get() > 0 { 0 } else { self.clock.get().saturating_sub(self.idle_since.get()) }
    }

    /// The head for HTTP/2: the host is `:authority`, and a body needs no framing header.
    fn head(&self, parts: &request::Parts) -> request::Parts {
        let mut head = parts.clone();
        head.version = Version::HTTP_2;
        head.headers.remove(TRANSFER_ENCODING);
        let host = head.headers.remove(HOST);
        let named = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
        let authority = named.map_or_else(|| self.address.clone(), |named| named.as_str().to_owned());
        let path = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(authority).path_and_query(path);
        head.uri = uri.build().unwrap_or_default();
        head
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        // Without a handle it ends with its last request; a silent connection would never notice.
        if self.silent.get() {
            self.gauge.sever();
        }
    }
}

/// A stream of a connection. Held by the answer, and by the request's body as long as it moves.
#[derive(Debug)]
struct Place(Rc<Http2>);

impl Place {
    fn on(connection: Rc<Http2>) -> Rc<Self> {
        connection.open.set(connection.open.get() + 1);
        Rc::new(Self(connection))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let left = self.0.open.get() - 1;
        self.0.open.set(left);
        self.0.idle_since.set(self.0.clock.get());
    }
}

/// A request on a connection.
#[derive(Debug)]
pub(super) struct Stream {
    place: Rc<Place>,
    deadline: Rc<Deadline>,
    /// The body of the request, while hyper has it.
    loan: Option<Rc<Loan>>,
    /// Whether all of the answer was read.
    ended: bool,
    /// The server's last frames are to be read before anything is sent.
    careful: bool,
}

impl Stream {
    /// On this connection. A `careful` one, and one on an idle connection, first reads whether the server has closed it.
    pub(super) fn on(connection: Rc<Http2>, deadline: Rc<Deadline>, careful: bool) -> Self {
        let careful = careful || connection.open_streams() == 0;
        Self { place: Place::on(connection), deadline, loan: None, ended: false, careful }
    }

    /// The number of its connection.
    pub(super) fn number(&self) -> u64 {
        self.place.0.number
    }

    /// Sends the request, which is taken, and waits for the head of the answer, for up to `silence` ticks of silence.
    pub(super) async fn send(&mut self, request: &mut Outgoing, silence: u64) -> Result<Response<Incoming>, Failed> {
        let Some(taken) = request.take() else { return Err(Failed::Sent(UpstreamError::NoServer)) };
        let connection = self.place.0.clone();
        let (parts, body) = taken.into_parts();
        if self.careful {
            // Meanwhile the reactor is polled, and the connection's own task runs.
            tokio::task::yield_now().await;
        }
        self.deadline.await_answer(silence);
        let (loan, lent) = Loan::of(body, self.place.clone(), self.deadline.clone());
        self.loan = Some(loan.clone());
        let written = connection.gauge.written();
        let sent = Request::from_parts(connection.head(&parts), lent);
        let mut answer = pin!(connection.sender.clone().try_send_request(sent));
        let result = poll_fn(|cx| {
            self.deadline.rings(cx.waker());
            match answer.as_mut().poll(cx) {
                Poll::Pending if self.deadline.has_passed() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
                Poll::Ready(result) => Poll::Ready(Some(result)),
            }
        });
        let result = result.await;
        self.deadline.lift();
        let failed = match result {
            Some(Ok(answer)) if answer.headers().len() > connection.rules.headers => {
                return Err(Failed::Sent(UpstreamError::HeadTooLarge(None)));
            }
            Some(Ok(answer)) => {
                loan.keep_nothing();
                self.ended = answer.body().is_end_stream();
                return Ok(answer);
            }
            Some(Err(failed)) => failed,
            None if self.deadline.was_the_shoppers() => return Err(Failed::Sent(UpstreamError::ClientSlow)),
            None => {
                // Other answers may have come meanwhile, or that to PING. A silent connection gets no further request.
                let silent = connection.gauge.silence() >= connection.rules.silence * 3 / 4;
                connection.silent.set(connection.silent.get() || silent);
                return Err(Failed::Sent(UpstreamError::Timeout));
            }
        };
        if let Some(broke) = loan.broke() {
            return Err(Failed::Sent(UpstreamError::ClientGone(broke)));
        }
        // Given back, refused by the server, or the connection broke and nothing at all was written since.
        let untouched = Http2Failure::of(failed.error()).is_none() && connection.gauge.written() == written;
        let unsent = failed.message().is_some() || failure::is_refusal(failed.error()) || untouched;
        match unsent.then(|| loan.take_back()).flatten() {
            Some(body) => {
                *request = Some(Request::from_parts(parts, body));
                Err(Failed::Unsent(failed.into_error()))
            }
            None => Err(Failed::Sent(failed.into_error().into())),
        }
    }

    /// The next piece of the answer's body.
    pub(super) fn poll_frame(&mut self, body: &mut Incoming, cx: &mut Context<'_>) -> Piece {
        let frame = Pin::new(&mut *body).poll_frame(cx);
        self.ended = matches!(frame, Poll::Ready(None)) || body.is_end_stream();
        frame
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(loan) = &self.loan {
            loan.recall(self.ended);
        }
    }
}
