//! One shopper's connection, and the requests in flight on it.
//!
//! No timer is armed here: the worker's sweep reads every connection once a second, and the state that it
//! needs is updated here as requests come and go.
//!
//! Out of scope: sockets ([`crate::request::listener`]), and the meaning of a request ([`crate::request::edge`]).

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::Version;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::client::bridge::Bridge;
use crate::client::connection_cache::ConnectionCache;
use crate::client::flow::Flow;
use crate::client::seats::{Class, ConnectionPermit};
use crate::client::visitor::Peer;

/// Grace of a connection that was asked to end, in seconds.
const LAST_WORDS: u64 = 10;
/// What a stream of HTTP/2 holds besides the bytes of its answer: its head, its task and its place in the connection
/// (measured by `make bench-connections`).
const STREAM: usize = 2 << 10;

/// Whether a connection may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionState {
    Open,
    /// Ends after the request in flight; at the latest in that second.
    Ending(u64),
    Over,
}

/// Scheduling state of a connection without a pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Not deferred.
    #[default]
    Free,
    /// Waits for its release.
    Deferred,
    /// Released: may be served once.
    Released,
}

/// Counters shared by the connections of a worker.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Seconds that the worker has lived.
    pub(crate) second: Cell<u64>,
    /// Bytes of answers of HTTP/2 that the peers have not taken.
    untaken: Cell<usize>,
    /// Streams of HTTP/2 without an answer, or whose answers were not taken.
    streams: Cell<usize>,
    /// Bound on the bytes of one connection.
    pub(crate) most_untaken: Cell<usize>,
    /// Bound on the bytes of all together.
    pub(crate) most_held: Cell<usize>,
}

impl Ledger {
    /// Bytes held for peers that have not taken them.
    pub(crate) fn held(&self) -> usize {
        self.untaken.get() + self.streams.get() * STREAM
    }

    /// Whether that is over the bound.
    pub(crate) fn is_full(&self) -> bool {
        self.held() > self.most_held.get()
    }
}

/// A bridge to the shop, until it is taken.
#[derive(Default)]
struct Bridged(Cell<Option<Bridge>>);

impl std::fmt::Debug for Bridged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bridged")
    }
}

/// A connection of a shopper. It is open, and has its seat, as long as it is served: by its own task, or by a request that
/// became another protocol and took its [`InFlight`] along.
#[derive(Debug)]
pub struct Connection {
    /// The peer.
    pub peer: Peer,
    /// Whether it is TLS.
    pub tls: bool,
    /// The last credentials shown on it.
    pub cache: ConnectionCache,
    /// Flow state of its bytes, if it is HTTP/1.
    pub flow: Arc<Flow>,
    ledger: Rc<Ledger>,
    seat: RefCell<Option<ConnectionPermit>>,
    requests: Cell<u32>,
    asked: Cell<bool>,
    active: Cell<u64>,
    holder: Cell<bool>,
    /// The tunnel after an upgrade.
    bridge: Bridged,
    /// Pace of the answers of HTTP/1, which go one after the other.
    pace: Pace,
    /// Paces of the answers of HTTP/2 in flight, one each.
    paces: RefCell<Vec<Rc<Pace>>>,
    /// Slots for streams of HTTP/2 in work; the others wait.
    streams: OnceCell<Streams>,
    open_streams: Cell<usize>,
    untaken: Cell<usize>,
    /// Answers that continue when fewer bytes are untaken.
    held_back: RefCell<Vec<Waker>>,
    /// The last request had no body: after its answer, the next one begins.
    bodiless: Cell<bool>,
    rests: Cell<bool>,
    state: Cell<ConnectionState>,
    turn: Cell<Turn>,
    /// It had a request of HTTP/1 since its last poll.
    served: Cell<bool>,
    /// Its next request waits behind all other ready tasks.
    yields: Cell<bool>,
    /// Whether its peer was checked for speaking for others.
    asked_for_others: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Connection {
    pub(crate) fn new(peer: Peer, tls: bool, ledger: Rc<Ledger>, seat: Option<ConnectionPermit>) -> Rc<Self> {
        Rc::new(Self {
            peer,
            tls,
            cache: ConnectionCache::default(),
            seat: RefCell::new(seat),
            requests: Cell::new(0),
            asked: Cell::new(false),
            active: Cell::new(ledger.second.get()),
            holder: Cell::new(false),
            bridge: Bridged::default(),
            pace: Pace::default(),
            paces: RefCell::default(),
            streams: OnceCell::new(),
            open_streams: Cell::new(0),
            untaken: Cell::new(0),
            held_back: RefCell::default(),
            bodiless: Cell::new(false),
            rests: Cell::new(false),
            state: Cell::new(ConnectionState::Open),
            turn: Cell::default(),
            served: Cell::default(),
            yields: Cell::default(),
            asked_for_others: Cell::default(),
            waker: RefCell::default(),
            flow: Arc::default(),
            ledger,
        })
    }

    /// Requests in flight.
    pub(crate) fn requests(&self) -> u32 {
        self.requests.get()
    }

    /// Whether a whole request head ever came.
    pub(crate) fn has_asked(&self) -> bool {
        self.asked.get()
    }

    /// The second in which the last request began or ended.
    pub(crate) fn active(&self) -> u64 {
        self.active.get()
    }

    /// Its class at the gateway. The connection of a pass holder, or of a trusted proxy, may idle for longer.
    pub(crate) fn class(&self) -> Class {
        match () {
            () if self.holder.get() || self.peer.trusted => Class::Holder,
            () if self.asked.get() => Class::Waiting,
            () => Class::Silent,
        }
    }

    /// Whether nothing is in flight. A deferred connection has unread bytes: its client does not idle.
    pub(crate) fn is_idle(&self) -> bool {
        self.requests.get() == 0 && self.turn.get() != Turn::Deferred
    }

    /// Whether its reads may wait: it shows no pass, and no answer to it is in flight. Requests of HTTP/2 are
    /// read beside answers, so there it may wait at any moment.
    pub(crate) fn can_be_deferred(&self) -> bool {
        self.class() != Class::Holder && (self.requests.get() == 0 || self.yields.get() || self.is_http2())
    }

    /// True once: a peer that speaks for others says so with each request.
    pub(crate) fn is_to_be_asked_for_others(&self) -> bool {
        !self.peer.trusted && !self.asked_for_others.replace(true)
    }

    /// One poll serves it now: one request of HTTP/1.
    pub(crate) fn begin_turn(&self) {
        self.served.set(false);
        self.yields.set(false);
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.streams.get().is_some()
    }

    /// Reads something off its seat, if it has one.
    pub(crate) fn with_seat<T>(&self, read: impl FnOnce(&ConnectionPermit) -> T) -> Option<T> {
        self.seat.borrow().as_ref().map(read)
    }

    pub(crate) fn state(&self) -> ConnectionState {
        self.state.get()
    }

    /// Whether it is deferred by an overloaded worker.
    pub(crate) fn turn(&self) -> Turn {
        self.turn.get()
    }

    pub(crate) fn set_turn(&self, turn: Turn) {
        self.turn.set(turn);
    }

    /// Its turn has come: if there is nothing to read after all, its client idles from now on.
    pub(crate) fn release(&self) {
        self.turn.set(Turn::Released);
        self.active.set(self.ledger.second.get());
        self.wake();
    }

    /// Registers a waker for changes of the state. Only the last one is kept.
    pub(crate) fn serve_by(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// For how many seconds an answer was not taken. Must be called once a second.
    pub(crate) fn untaken(&self) -> u64 {
        self.paces.borrow().iter().fold(self.pace.second(), |most, pace| most.max(pace.second()))
    }

    /// Asks it to end after the request in flight.
    pub(crate) fn end(&self) {
        self.finish(ConnectionState::Ending(self.ledger.second.get() + LAST_WORDS));
    }

    /// Closes it for another one, which needs its seat; the seat is free at once.
    pub(crate) fn evict(&self) {
        self.finish(ConnectionState::Over);
        self.seat.take();
    }

    /// It carries another protocol after its last answer.
    pub(crate) fn switch(&self, bridge: Option<Bridge>) {
        self.bridge.0.set(bridge);
    }

    /// The tunnel of the other protocol, if there is one.
    pub(crate) fn take_bridge(&self) -> Option<Bridge> {
        self.bridge.0.take()
    }

    /// Ends it at once.
    pub(crate) fn leave(&self) {
        self.finish(ConnectionState::Over);
    }

    pub(crate) fn finish(&self, state: ConnectionState) {
        self.state.set(state);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Bytes that the peer has not taken.
    pub(crate) fn untaken_bytes(&self) -> usize {
        self.untaken.get() + self.flow.unsent()
    }

    /// Bytes held until the peer takes them.
    pub(crate) fn held(&self) -> usize {
        self.untaken_bytes() + self.open_streams.get() * STREAM
    }

    /// Whether there are bytes of HTTP/2 for the peer, and for longer than `limit` it took none and requested nothing.
    pub(crate) fn takes_nothing(&self, limit: u64) -> bool {
        self.untaken.get() > 0 && self.ledger.second.get() > self.active.get() + limit
    }

    /// Bounds the streams of HTTP/2 in work at once: `few`, until a pass is shown.
    pub(crate) fn bound_streams(&self, few: usize, most: usize) {
        let first = if self.class() == Class::Holder { most } else { few.min(most) };
        let more = Cell::new(most - first);
        let _ = self.streams.set(Streams { slots: Arc::new(Semaphore::new(first)), more });
    }

    /// Asks it to release its buffers, if it only waits for the next request.
    pub(crate) fn rest(&self) {
        let idle = self.is_idle() && self.ledger.second.get() > self.active.get() + 1;
        if idle && self.can_rest() && !self.rests.replace(true) {
            self.wake();
        }
    }

    /// Whether it was asked to, and still can.
    pub(crate) fn is_resting(&self) -> bool {
        self.rests.get() && self.can_rest()
    }

    /// Bytes came.
    pub(crate) fn rises(&self) {
        self.rests.set(false);
    }

    fn can_rest(&self) -> bool {
        self.requests.get() == 0
            && self.bodiless.get()
            && self.state.get() == ConnectionState::Open
            && self.flow.rests()
    }

    /// Whether another piece of an answer may be made.
    fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        if self.untaken.get() < self.ledger.most_untaken.get() || self.peer.trusted {
            return Poll::Ready(());
        }
        self.held_back.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }

    fn add_untaken(&self, bytes: usize) {
        self.untaken.set(self.untaken.get() + bytes);
        self.ledger.untaken.set(self.ledger.untaken.get() + bytes);
    }

    fn remove_untaken(&self, bytes: usize) {
        self.untaken.set(self.untaken.get() - bytes);
        self.ledger.untaken.set(self.ledger.untaken.get() - bytes);
        self.active.set(self.ledger.second.get());
        // Not at each piece: all waiters try again.
        if self.untaken.get() <= self.ledger.most_untaken.get() / 2 {
            self.held_back.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Adds the pace of another answer.
    fn add_pace(&self) -> Rc<Pace> {
        let mut paces = self.paces.borrow_mut();
        let pace = Rc::new(Pace { place: Cell::new(paces.len()), ..Pace::default() });
        paces.push(pace.clone());
        pace
    }

    fn remove_pace(&self, pace: &Pace) {
        let (mut paces, place) = (self.paces.borrow_mut(), pace.place.get());
        paces.swap_remove(place);
        if let Some(moved) = paces.get(place) {
            moved.place.set(place);
        }
    }
}

/// Slots for the streams of a connection.
#[derive(Debug)]
struct Streams {
    slots: Arc<Semaphore>,
    /// Slots that a pass adds.
    more: Cell<usize>,
}

/// A stream of HTTP/2, from the head of its request until its answer was taken.
#[derive(Debug)]
struct OpenStream {
    connection: Rc<Connection>,
    /// Pace of its answer.
    pace: Rc<Pace>,
    /// Held while it is in work.
    slot: Option<OwnedSemaphorePermit>,
}

impl OpenStream {
    fn new(connection: &Rc<Connection>) -> Self {
        connection.open_streams.set(connection.open_streams.get() + 1);
        connection.ledger.streams.set(connection.ledger.streams.get() + 1);
        Self { connection: connection.clone(), pace: connection.add_pace(), slot: None }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let connection = &self.connection;
        connection.open_streams.set(connection.open_streams.get() - 1);
        connection.ledger.streams.set(connection.ledger.streams.get() - 1);
    }
}

/// Bytes of an answer of HTTP/2 that the peer has not taken.
#[derive(Debug)]
pub struct Untaken {
    connection: Rc<Connection>,
    bytes: usize,
    _stream: Option<Box<OpenStream>>,
}

impl Untaken {
    fn new(connection: &Rc<Connection>, bytes: usize, stream: Option<Box<OpenStream>>) -> Self {
        connection.add_untaken(bytes);
        Self { connection: connection.clone(), bytes, _stream: stream }
    }
}

impl Drop for Untaken {
    fn drop(&mut self) {
        self.connection.remove_untaken(self.bytes);
    }
}

/// In-flight guard of a request; the connection does not idle as long as this lives.
#[derive(Debug)]
pub struct InFlight {
    connection: Rc<Connection>,
    /// Its stream of HTTP/2. Boxed: most requests have none, and carry this about.
    stream: Option<Box<OpenStream>>,
}

impl InFlight {
    pub(crate) fn begin(connection: &Rc<Connection>, version: Version, bodiless: bool) -> Self {
        connection.requests.set(connection.requests.get() + 1);
        connection.asked.set(true);
        connection.active.set(connection.ledger.second.get());
        connection.bodiless.set(bodiless);
        connection.flow.begin();
        let stream = (version == Version::HTTP_2).then(|| Box::new(OpenStream::new(connection)));
        Self { connection: connection.clone(), stream }
    }

    /// Waits for its turn, with HTTP/1. If its connection was served a request just now, all ready tasks go first: a client
    /// that pipelines many requests delays no other. And a client that reads no answers gets no more of them.
    pub(crate) async fn take_turn(&self) {
        let connection = &self.connection;
        if self.stream.is_some() {
            return;
        }
        if connection.served.replace(true) {
            poll_fn(|cx| {
                if connection.served.replace(true) {
                    connection.yields.set(true);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
            .await;
        }
        if connection.flow.unsent() > 0 {
            self.pace().set(true);
            poll_fn(|_| connection.flow.poll_sent()).await;
            self.pace().set(false);
        }
    }

    /// Waits for a slot among the streams of its connection; false if the connection is over meanwhile.
    pub(crate) async fn take_slot(&mut self) -> bool {
        let slots = self.connection.streams.get().map(|streams| streams.slots.clone());
        if let (Some(slots), Some(stream)) = (slots, &mut self.stream) {
            stream.slot = slots.acquire_owned().await.ok();
        }
        self.connection.state() != ConnectionState::Over
    }

    /// Whether another piece of its answer may be made.
    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        match self.stream {
            Some(_) => self.connection.poll_room(cx),
            None => self.connection.flow.poll_sent(),
        }
    }

    /// Counts bytes of its answer until they are taken. Those of HTTP/1 are copied and gone.
    pub fn untaken(&self, bytes: usize) -> Option<Box<Untaken>> {
        self.stream.as_ref().map(|_| Box::new(Untaken::new(&self.connection, bytes, None)))
    }

    /// The same for all of its answer: its stream keeps its slot until then.
    pub fn into_untaken(mut self, bytes: usize) -> Option<Box<Untaken>> {
        let stream = self.stream.take()?;
        self.connection.remove_pace(&stream.pace);
        Some(Box::new(Untaken::new(&self.connection, bytes, Some(stream))))
    }

    /// The pace at which the shopper takes the answer.
    pub fn pace(&self) -> &Pace {
        self.stream.as_ref().map_or(&self.connection.pace, |stream| &stream.pace)
    }

    /// The connection it came on.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Sets whether the shopper holds a pass.
    pub fn holds_pass(&self, holder: bool) {
        self.connection.holder.set(holder);
        if let Some(streams) = self.connection.streams.get().filter(|_| holder) {
            streams.slots.add_permits(streams.more.take());
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        match &self.stream {
            Some(stream) => self.connection.remove_pace(&stream.pace),
            None => self.connection.pace.set(false),
        }
        self.connection.requests.set(self.connection.requests.get() - 1);
        self.connection.active.set(self.connection.ledger.second.get());
    }
}

/// Whether the peer takes its bytes: one that does not must not hold a permit for ever.
#[derive(Debug, Default)]
pub struct Pace {
    /// Its index in the list of its connection.
    place: Cell<usize>,
    untaken: Cell<bool>,
    seconds: Cell<u64>,
}

impl Pace {
    /// Sets whether there are untaken bytes.
    pub fn set(&self, untaken: bool) {
        self.untaken.set(untaken);
        self.seconds.set(0);
    }

    /// Must be called once a second: returns for how many seconds there were untaken bytes.
    fn second(&self) -> u64 {
        self.seconds.set(if self.untaken.get() { self.seconds.get() + 1 } else { 0 });
        self.seconds.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_whose_connection_is_deferred_does_not_idle() {
        let peer = Peer::new([127, 0, 0, 1].into(), &[]);
        let connection = Connection::new(peer, false, Rc::default(), None);
        assert!(connection.is_idle());
        connection.set_turn(Turn::Deferred);
        assert!(!connection.is_idle());
        connection.ledger.second.set(60);
        connection.release();
        assert!(connection.is_idle() && connection.active() == 60, "from its release on it may");
        let in_flight = InFlight::begin(&connection, Version::HTTP_11, true);
        assert!(!connection.is_idle());
        drop(in_flight);
        assert!(connection.is_idle());
    }

    #[test]
    fn a_pace_is_kept_for_each_answer_under_way_and_for_no_other() {
        let peer = Peer::new([127, 0, 0, 1].into(), &[]);
        let connection = Connection::new(peer, false, Rc::default(), None);
        let mut in_flight = Vec::new();
        for round in 0..1_000 {
            in_flight.push(InFlight::begin(&connection, Version::HTTP_2, true));
            if in_flight.len() > 7 {
                in_flight.swap_remove(round % 5);
            }
            assert_eq!(connection.paces.borrow().len(), in_flight.len());
        }
        in_flight[3].pace().set(true);
        assert_eq!((connection.untaken(), connection.untaken()), (1, 2));
        in_flight.remove(3);
        assert_eq!(connection.untaken(), 0);
    }
}
