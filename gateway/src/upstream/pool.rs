//! A worker's connections to the servers.
//!
//! Nothing here is locked or shared: each worker has its own connections. An idle connection has no driver;
//! a sweep checks whether the server has closed it, and ends overdue ones ([`super::deadline`]).

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;

use super::Counters;
use super::connection::Connection;
use super::deadline::{Deadline, ticks};
use super::download::Download;
use super::exchange::{Carrier, Wish};
use super::health::Server;
use super::http2::{Http2, NotSpoken, Rules, Stream};
use super::pace::LeastPace;
use super::permit::Permit;
use super::streams::Streams;
use crate::client::buffer::{Buffers, Charge};
use crate::client::timer;
use crate::settings::config::UpstreamConfig;
use crate::telemetry::{PROCESS, catalogue};

/// How long a request may go on after its answer is complete.
const GRACE: Duration = Duration::from_secs(5);

/// The connections of one worker, over all upstreams.
#[derive(Debug)]
pub struct Pool {
    clock: Rc<Cell<u64>>,
    /// The clock for the shop's latency. The processor's counter, if it has one, is cheaper to read than the system's clock.
    counter: quanta::Clock,
    random: Cell<u64>,
    kept: RefCell<Vec<Rc<Kept>>>,
    /// Deadlines of waits for a client only, not for a server.
    deadlines: RefCell<Vec<Weak<Deadline>>>,
    /// Streamed answers.
    answers: RefCell<Vec<Weak<Download>>>,
    buffers: Buffers,
    /// Bytes held, as last reported.
    told: Cell<usize>,
    /// Latency of the last answer.
    answered_after: Cell<Duration>,
    answered_by: Cell<u32>,
}

impl Pool {
    /// An empty pool. Nothing in it ends in time unless it is [swept](Self::sweep).
    pub fn new() -> Rc<Self> {
        let random = Cell::new(RandomState::new().hash_one(0) | 1);
        let (clock, kept, deadlines, answers, buffers, told, answered_after) = Default::default();
        let counter = quanta::Clock::new();
        Rc::new(Self {
            clock,
            counter,
            random,
            kept,
            deadlines,
            answers,
            buffers,
            told,
            answered_after,
            answered_by: Cell::default(),
        })
    }

    /// Ends overdue connections, at this time since an origin of the caller's. Must be called every tick.
    pub fn sweep(&self, since_origin: Duration) {
        // From the clock, not counted: a machine that slept is not late for ever.
        let now = ticks(since_origin);
        if now > self.clock.replace(now) {
            self.kept.borrow_mut().retain(|kept| kept.sweep());
            sweep(&self.deadlines);
        }
    }

    /// Checks untaken answers, once a second; ends those untaken for longer than `most_untaken`.
    pub fn sweep_answers(&self, most_untaken: Duration) {
        let answers: Vec<_> = self.answers.borrow().iter().filter_map(Weak::upgrade).collect();
        for answer in &answers {
            answer.sweep(most_untaken.as_secs());
        }
        self.answers.borrow_mut().retain(|answer| answer.strong_count() > 1);
        let held = self.buffers.held();
        if held != self.told.get() {
            PROCESS.gauge(&catalogue::BUFFERED, &[]).increment(held as f64 - self.told.replace(held) as f64);
        }
    }

    pub(super) fn watch_answer(&self, answer: &Rc<Download>) {
        self.answers.borrow_mut().push(Rc::downgrade(answer));
    }

    /// Now, for [`Self::answered`] and [`Self::since`].
    pub(crate) fn raw_time(&self) -> u64 {
        self.counter.raw()
    }

    /// The time since such a moment.
    pub(crate) fn since(&self, began: u64) -> Duration {
        self.counter.delta(began, self.counter.raw())
    }

    /// Now in milliseconds, the same for all workers. It wraps.
    pub(super) fn millis(&self) -> u32 {
        self.millis_at(self.counter.raw())
    }

    fn millis_at(&self, raw: u64) -> u32 {
        (self.counter.delta_as_nanos(0, raw) / 1_000_000) as u32
    }

    /// The head of this server's answer to a request sent at `sent` has come. Returns how long that took.
    pub(super) fn answered(&self, sent: u64, server: &Server, status: StatusCode) -> Duration {
        let now = self.counter.raw();
        let after = self.counter.delta(sent, now);
        server.answered(status, after, self.millis_at(now));
        self.answered_after.set(after);
        self.answered_by.set(server.id());
        after
    }

    /// Latency of the last answer's head: must be read before anything is awaited.
    pub fn last_answered_after(&self) -> Duration {
        self.answered_after.get()
    }

    /// The id of the server of the last answer: must be read before anything is awaited.
    pub fn last_answered_by(&self) -> u32 {
        self.answered_by.get()
    }

    /// A deadline of its own.
    pub(super) fn deadline(&self, least_pace: LeastPace) -> Rc<Deadline> {
        let deadline = Deadline::new(self.clock.clone(), least_pace);
        self.deadlines.borrow_mut().push(Rc::downgrade(&deadline));
        deadline
    }

    /// A counter of bytes held in memory.
    pub(super) fn charge(&self) -> Charge {
        self.buffers.charge()
    }

    /// The connections to a server. Servers are few, so a linear search beats hashing.
    pub(super) fn kept(
        &self,
        server: &Arc<Server>,
        settings: &Arc<UpstreamConfig>,
        counters: &Arc<Counters>,
    ) -> Rc<Kept> {
        let mut all = self.kept.borrow_mut();
        if let Some(kept) = all.iter().find(|kept| Arc::ptr_eq(&kept.server, server)) {
            return kept.clone();
        }
        let kept = Rc::new(Kept::new(server.clone(), settings.clone(), counters.clone(), self.clock.clone()));
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

/// Ends overdue connections.
fn sweep(deadlines: &RefCell<Vec<Weak<Deadline>>>) {
    deadlines.borrow_mut().retain(|deadline| deadline.upgrade().is_some_and(|deadline| deadline.check()));
}

/// A worker's connections to one server.
#[derive(Debug)]
#[expect(clippy::vec_box, reason = "they are handed on in their boxes")]
pub(super) struct Kept {
    server: Arc<Server>,
    settings: Arc<UpstreamConfig>,
    counters: Arc<Counters>,
    clock: Rc<Cell<u64>>,
    silence: u64,
    idle_age: u64,
    /// Ready for a request, the last used at the end: the others may grow old.
    idle: RefCell<Vec<Box<Connection>>>,
    /// Answered and not ready: still sending the request.
    ending: RefCell<Vec<Box<Connection>>>,
    /// Those of HTTP/2, if the server may speak it.
    streams: Option<Box<Streams>>,
    deadlines: RefCell<Vec<Weak<Deadline>>>,
    /// Permits of requests whose shopper has left, and the tick at which each is given back. As many as there are permits.
    abandoned: RefCell<Vec<(u64, Permit)>>,
}

impl Kept {
    fn new(server: Arc<Server>, settings: Arc<UpstreamConfig>, counters: Arc<Counters>, clock: Rc<Cell<u64>>) -> Self {
        let (silence, idle_age) = (ticks(settings.response_timeout), ticks(settings.idle_timeout));
        let (idle, ending, deadlines, abandoned) = Default::default();
        let streams = server.way().may_speak_http2().then(|| Box::new(Streams::new(settings.max_streams)));
        Self { server, settings, counters, clock, silence, idle_age, idle, ending, streams, deadlines, abandoned }
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// Ticks of silence allowed before an answer.
    pub(super) fn silence(&self) -> u64 {
        self.silence
    }

    /// A new connection, or a stream on one of HTTP/2; and whether it was opened for this.
    pub(super) async fn connect(&self, wish: Wish) -> io::Result<(Carrier, bool)> {
        match &self.streams {
            Some(streams) if !wish.upgrade => Box::pin(self.connect_any(streams, wish)).await,
            _ => {
                let opening = async {
                    Connection::open(self.server.way(), self.settings.max_response_headers, self.deadline()).await
                };
                let opened = timer::timeout(self.settings.connect_timeout, opening).await??;
                Ok((Carrier::Http1(opened), true))
            }
        }
    }

    /// The same where the server may speak HTTP/2. The agreement on that may take as long again as connecting.
    async fn connect_any(&self, streams: &Streams, wish: Wish) -> io::Result<(Carrier, bool)> {
        let (way, patience) = (self.server.way(), self.settings.connect_timeout);
        let another = async {
            while streams.wait().await {
                if let Some(connection) = streams.find(wish.older, way.moves()) {
                    return Some(connection);
                }
            }
            None
        };
        if let Some(connection) = timer::timeout(2 * patience, another).await? {
            return Ok((self.on(connection, wish.careful), false));
        }
        let _opening = streams.begin();
        let (wire, http2) = timer::timeout(patience, way.connect(false)).await??;
        if !http2 {
            streams.none();
            let opened = Connection::on(way, wire, self.settings.max_response_headers, self.deadline());
            return Ok((Carrier::Http1(opened.await?), true));
        }
        let beginning = Http2::open(&self.server, wire, self.rules(), self.clock.clone(), streams.number());
        let begun = timer::timeout(patience, beginning).await;
        let connection = begun.unwrap_or_else(|_| Err(NotSpoken::told("no SETTINGS in time")))?;
        let carrier = self.on(connection.clone(), false);
        streams.add(connection);
        Ok((carrier, true))
    }

    /// A stream on this connection.
    fn on(&self, connection: Rc<Http2>, careful: bool) -> Carrier {
        Carrier::Http2(Box::new(Stream::on(connection, self.deadline(), careful)))
    }

    fn rules(&self) -> Rules {
        let settings = &self.settings;
        Rules {
            streams: settings.max_streams,
            headers: settings.max_response_headers,
            silence: settings.response_timeout,
        }
    }

    /// A deadline for a connection, or for a request on one.
    fn deadline(&self) -> Rc<Deadline> {
        let deadline = Deadline::new(self.clock.clone(), self.settings.upload_pace());
        self.deadlines.borrow_mut().push(Rc::downgrade(&deadline));
        deadline
    }

    /// A stream on a connection of HTTP/2, or the idle connection that was used last.
    pub(super) fn take(&self, wish: Wish) -> Option<Carrier> {
        if let Some(streams) = self.streams.as_ref().filter(|_| !wish.upgrade)
            && let Some(connection) = streams.find(wish.older, self.server.way().moves())
        {
            return Some(self.on(connection, wish.careful));
        }
        if wish.kept { self.take_kept(wish.careful).map(Carrier::Http1) } else { None }
    }

    /// The idle connection that was used last. If it idled for a while, or the request cannot be sent again
    /// once it was written, the kernel is asked whether the server closed it: one call of some 300 ns.
    fn take_kept(&self, careful: bool) -> Option<Box<Connection>> {
        let mut idle = self.idle.borrow_mut();
        let connection = std::iter::from_fn(|| idle.pop()).find(|connection| connection.is_ready())?;
        if careful || connection.kept_at != self.clock.get() {
            connection.probe();
        }
        Some(connection)
    }

    /// Keeps a connection whose answer was read to its end. hyper reports that: before, it is not ready for
    /// another request, and it closes when the rest of an answer is not wanted. A connection that may lead to an address
    /// which the server's name has left is not kept.
    pub(super) fn put(&self, mut connection: Box<Connection>) {
        if !connection.is_ready() {
            connection.sweep();
        }
        if connection.is_ready() && connection.moves == self.server.way().moves() {
            let mut idle = self.idle.borrow_mut();
            if idle.len() < self.settings.max_idle {
                connection.deadline.allow(self.idle_age);
                connection.kept_at = self.clock.get();
                idle.push(connection);
            }
        } else if connection.deadline.is_uploading() && !connection.is_over() {
            connection.deadline.allow(ticks(GRACE));
            self.ending.borrow_mut().push(connection);
        }
    }

    /// Keeps the permit of a request whose shopper has left for as long as the server takes in the mean: few shops notice that a
    /// connection is closed before they have the answer, and requests that are sent and left would be work beyond the limit.
    /// (A mean time is what is left of a time without memory, however much of it is over.)
    pub(super) fn abandon(&self, permit: Permit) {
        self.counters.abandoned.fetch_add(1, Ordering::Relaxed);
        let mean = ticks(self.server.response_time().average().min(self.settings.response_timeout));
        if mean > 0 {
            self.abandoned.borrow_mut().push((self.clock.get() + mean + 1, permit));
        }
    }

    /// Ends overdue connections. False when nothing is left and the upstream itself is gone.
    fn sweep(&self) -> bool {
        sweep(&self.deadlines);
        // A permit that is given back wakes the next request: not while the list is borrowed.
        let over =
            self.abandoned.borrow_mut().extract_if(.., |(until, _)| *until <= self.clock.get()).collect::<Vec<_>>();
        drop(over);
        if let Some(streams) = &self.streams {
            streams.sweep(self.server.way().moves(), self.idle_age);
        }
        self.idle.borrow_mut().retain_mut(|connection| {
            connection.sweep();
            connection.is_ready()
        });
        let still_ending = |connection: &Connection| !connection.is_over() && !connection.deadline.has_passed();
        let (ready, not_ready): (Vec<_>, Vec<_>) =
            self.ending.take().into_iter().partition(|connection| connection.is_ready());
        self.ending.borrow_mut().extend(not_ready.into_iter().filter(|connection| still_ending(connection)));
        for connection in ready {
            self.put(connection);
        }
        !self.server.is_retired() || !self.deadlines.borrow().is_empty() || !self.abandoned.borrow().is_empty()
    }
}
