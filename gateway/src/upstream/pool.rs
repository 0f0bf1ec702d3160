//! A worker's connections to the servers, and one request on one of them.
//!
//! Nothing here is locked or shared: each worker has its own connections. **Every connection has one
//! deadline**, and what it means depends on what the connection does: the silence that is borne before an
//! answer, the age of a kept connection, the grace of an upload that was answered early. It is a number
//! of ticks in a cell; one sweep per tick looks at all of them and aborts what is overdue. So a request
//! arms no timer and reads no clock (a `tokio` timer per request costs hundreds of instructions), and in
//! return a deadline is met up to two ticks late.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::health::Server;
use super::{UpstreamError, UpstreamSettings};
use crate::body::Body;

/// In which deadlines are counted, and how often they are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long a request may go on after its answer is complete.
const GRACE: Duration = Duration::from_secs(5);
/// No deadline.
const NEVER: u64 = u64::MAX;

/// The connections of one worker, over all upstreams.
#[derive(Debug)]
pub struct Pool {
    clock: Rc<Cell<u64>>,
    random: Cell<u64>,
    kept: RefCell<Vec<Rc<Kept>>>,
}

impl Pool {
    /// An empty pool. Nothing in it ends in time unless it is [swept](Self::sweep).
    pub fn new() -> Rc<Self> {
        let random = Cell::new(RandomState::new().hash_one(0) | 1);
        Rc::new(Self { clock: Rc::default(), random, kept: RefCell::default() })
    }

    /// Ends what is overdue, at this time since an origin of the caller's. To be called every tick.
    pub fn sweep(&self, since_origin: Duration) {
        // From the clock, not counted: a machine that slept is not late for ever.
        let now = ticks(since_origin);
        if now > self.clock.replace(now) {
            self.kept.borrow_mut().retain(|kept| kept.sweep());
        }
    }

    /// The connections to a server. Servers are few, so looking through them beats hashing.
    pub(super) fn kept(&self, server: &Arc<Server>, settings: &Arc<UpstreamSettings>) -> Rc<Kept> {
        let mut all = self.kept.borrow_mut();
        if let Some(kept) = all.iter().find(|kept| Arc::ptr_eq(&kept.server, server)) {
            return kept.clone();
        }
        let kept = Rc::new(Kept::new(server.clone(), settings.clone(), self.clock.clone()));
        all.push(kept.clone());
        kept
    }

    /// Good enough to draw servers with (xorshift).
    pub fn random(&self) -> u64 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        x
    }
}

fn ticks(duration: Duration) -> u64 {
    (duration.as_millis() / TICK.as_millis()) as u64
}

/// A worker's connections to one server.
#[derive(Debug)]
pub(super) struct Kept {
    server: Arc<Server>,
    settings: Arc<UpstreamSettings>,
    clock: Rc<Cell<u64>>,
    silence: u64,
    idle_age: u64,
    /// Ready for a request, the last used at the end: the others may grow old.
    idle: RefCell<Vec<Connection>>,
    /// Answered and not ready: still sending the request, or about to be closed.
    ending: RefCell<Vec<Connection>>,
    all: RefCell<Vec<Weak<Live>>>,
}

impl Kept {
    fn new(server: Arc<Server>, settings: Arc<UpstreamSettings>, clock: Rc<Cell<u64>>) -> Self {
        let (silence, idle_age) = (ticks(settings.response_timeout), ticks(settings.idle_timeout));
        let (idle, ending, all) = Default::default();
        Self { server, settings, clock, silence, idle_age, idle, ending, all }
    }

    async fn connect(&self) -> io::Result<Connection> {
        let connecting = TcpStream::connect(self.server.address());
        let stream = tokio::time::timeout(self.settings.connect_timeout, connecting).await??;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // Its errors reach the request, or the body of the answer; an idle connection just ends.
        let task = tokio::task::spawn_local(async { drop(connection.with_upgrades().await) });
        let live = Rc::new(Live::new(task, self.clock.clone()));
        self.all.borrow_mut().push(Rc::downgrade(&live));
        Ok(Connection { sender, live })
    }

    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        std::iter::from_fn(|| idle.pop()).find(Connection::is_ready)
    }

    /// Keeps a connection whose answer was read to its end. hyper tells: before, it is not ready for
    /// another request, and it closes when the rest of an answer is not wanted.
    fn put(&self, connection: Connection) {
        if connection.is_ready() {
            let mut idle = self.idle.borrow_mut();
            if idle.len() < self.settings.max_idle {
                connection.live.allow(self.idle_age);
                idle.push(connection);
            }
        } else if !connection.sender.is_closed() {
            connection.live.allow(ticks(GRACE));
            self.ending.borrow_mut().push(connection);
        }
    }

    /// Ends what is overdue. False when nothing is left and the upstream itself is gone.
    fn sweep(&self) -> bool {
        self.all.borrow_mut().retain(|live| live.upgrade().is_some_and(|live| live.end_if_overdue()));
        self.idle.borrow_mut().retain(Connection::is_ready);
        let (ready, not_ready): (Vec<_>, Vec<_>) = self.ending.take().into_iter().partition(Connection::is_ready);
        self.ending.borrow_mut().extend(not_ready.into_iter().filter(|connection| !connection.sender.is_closed()));
        for connection in ready {
            self.put(connection);
        }
        Arc::strong_count(&self.server) > 1 || !self.all.borrow().is_empty()
    }
}

/// A connection that may carry requests, one after the other.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<Upload>,
    live: Rc<Live>,
}

impl Connection {
    fn is_ready(&self) -> bool {
        self.sender.is_ready() && !self.live.expired.get()
    }
}

/// The deadline of a connection and what is needed to keep it.
#[derive(Debug)]
struct Live {
    clock: Rc<Cell<u64>>,
    /// The tick at which the connection is aborted.
    deadline: Cell<u64>,
    /// While an answer is awaited: the ticks that each piece of the request's body is good for.
    silence: Cell<u64>,
    /// The silence is the shopper's, not the server's.
    awaits_shopper: Cell<bool>,
    expired: Cell<bool>,
    task: JoinHandle<()>,
}

impl Live {
    fn new(task: JoinHandle<()>, clock: Rc<Cell<u64>>) -> Self {
        let (deadline, silence) = (Cell::new(NEVER), Cell::new(0));
        Self { clock, deadline, silence, awaits_shopper: Cell::new(false), expired: Cell::new(false), task }
    }

    fn allow(&self, ticks: u64) {
        // One more, as the current tick is partly over.
        self.deadline.set(self.clock.get() + ticks + 1);
    }

    fn await_answer(&self, silence: u64) {
        self.silence.set(silence);
        self.awaits_shopper.set(false);
        self.allow(silence);
    }

    fn answered(&self) {
        self.silence.set(0);
        self.deadline.set(NEVER);
    }

    /// False, for good, once it is overdue.
    fn end_if_overdue(&self) -> bool {
        let in_time = self.clock.get() < self.deadline.get();
        if !in_time {
            self.expired.set(true);
            self.task.abort();
        }
        in_time
    }
}

/// The body of a request. While it moves, the answer is not late.
#[derive(Debug)]
pub(super) struct Upload {
    body: Body,
    live: Rc<Live>,
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.live.awaits_shopper.set(frame.is_pending());
        if frame.is_ready() && self.live.silence.get() > 0 {
            self.live.allow(self.live.silence.get());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request on its way and its answer on the way back. Dropped when the answer was taken, or not wanted.
#[derive(Debug)]
pub(super) struct Exchange {
    kept: Rc<Kept>,
    connection: Option<Connection>,
}

impl Exchange {
    pub(super) fn new(kept: Rc<Kept>) -> Self {
        kept.server.enter();
        Self { kept, connection: None }
    }

    pub(super) fn server(&self) -> &Server {
        &self.kept.server
    }

    /// Takes a kept connection; false if there is none.
    pub(super) fn take(&mut self) -> bool {
        self.connection = self.kept.take();
        self.connection.is_some()
    }

    /// Opens a connection.
    pub(super) async fn connect(&mut self) -> io::Result<()> {
        self.connection = Some(self.kept.connect().await?);
        Ok(())
    }

    /// Sends the request and waits for the head of the answer.
    pub(super) async fn send(&mut self, request: Request<Body>) -> Result<Response<Incoming>, Failed> {
        let Some(Connection { sender, live }) = &mut self.connection else {
            return Err(Failed::Sent(UpstreamError::NoServer));
        };
        live.await_answer(self.kept.silence);
        let answer = sender.try_send_request(request.map(|body| Upload { body, live: live.clone() })).await;
        let timely = !live.expired.get();
        live.answered();
        answer.map_err(|mut failed| match failed.take_message() {
            Some(request) if timely => Failed::Unsent(Box::new(request.map(|upload| upload.body)), failed.into_error()),
            _ if timely => Failed::Sent(failed.into_error().into()),
            _ if live.awaits_shopper.get() => Failed::Sent(UpstreamError::ClientSlow),
            _ => Failed::Sent(UpstreamError::Timeout),
        })
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.kept.server.leave();
        if let Some(connection) = self.connection.take() {
            self.kept.put(connection);
        }
    }
}

/// No answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// Not a byte was sent; here is the request.
    Unsent(Box<Request<Body>>, hyper::Error),
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
