//! One shopper's connection, and the requests under way on it.
//!
//! Nothing here arms a timer: the worker's sweep looks at every connection once a second, and what it
//! needs to know is kept here as requests come and go.
//!
//! Out of scope: sockets ([`crate::listener`]), and what a request means ([`crate::edge`]).

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::Version;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::bridge::Bridge;
use crate::connection_cache::ConnectionCache;
use crate::flow::Flow;
use crate::seats::{Class, ConnectionPermit};
use crate::visitor::Peer;

/// Seconds that a connection which was asked to end may take.
const LAST_WORDS: u64 = 10;
/// What a stream of HTTP/2 holds besides the bytes of its answer: its head, its task and its place in the connection
/// (measured by `make bench-connections`).
const STREAM: usize = 2 << 10;

/// Whether a connection may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionState {
    Open,
    /// Ends after the request under way; at the latest in that second.
    Ending(u64),
    Over,
}

/// What a connection without a pass may do at this moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Not deferred.
    #[default]
    Free,
    /// Waits for its release.
    Deferred,
    /// Released: to be served once.
    Released,
}

/// What a worker's connections have in common.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Seconds that the worker has lived.
    pub(crate) second: Cell<u64>,
    /// Bytes of answers of HTTP/2 that the other ends have not taken.
    untaken: Cell<usize>,
    /// Streams of HTTP/2 that were not answered, or whose answers were not taken.
    streams: Cell<usize>,
    /// How many bytes one connection may have.
    pub(crate) most_untaken: Cell<usize>,
    /// How many bytes all together may hold.
    pub(crate) most_held: Cell<usize>,
}

impl Ledger {
    /// Bytes that are held for who has not taken them.
    pub(crate) fn held(&self) -> usize {
        self.untaken.get() + self.streams.get() * STREAM
    }

    /// Whether that is too much.
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
    /// The other end.
    pub peer: Peer,
    /// Whether it is TLS.
    pub tls: bool,
    /// What was shown on it.
    pub cache: ConnectionCache,
    /// How its bytes move, if it is HTTP/1.
    pub flow: Arc<Flow>,
    ledger: Rc<Ledger>,
    seat: RefCell<Option<ConnectionPermit>>,
    requests: Cell<u32>,
    asked: Cell<bool>,
    active: Cell<u64>,
    holder: Cell<bool>,
    /// What follows another protocol that was agreed on.
    bridge: Bridged,
    /// Of the answers of HTTP/1, which go one after the other.
    pace: Pace,
    /// Of the answers of HTTP/2 under way, each its own.
    paces: RefCell<Vec<Rc<Pace>>>,
    /// Which of the streams of HTTP/2 are worked on; the others wait.
    streams: OnceCell<Streams>,
    open_streams: Cell<usize>,
    untaken: Cell<usize>,
    /// Answers that go on when less is untaken.
    held_back: RefCell<Vec<Waker>>,
    /// The last request had no body: when it is answered, the next one begins.
    bodiless: Cell<bool>,
    rests: Cell<bool>,
    state: Cell<ConnectionState>,
    turn: Cell<Turn>,
    /// It had a request of HTTP/1 since it was polled last.
    served: Cell<bool>,
    /// Another one stands behind what else is ready.
    yields: Cell<bool>,
    /// It was looked at whether its peer speaks for others.
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

    /// Requests under way.
    pub(crate) fn requests(&self) -> u32 {
        self.requests.get()
    }

    /// Whether a whole head ever came.
    pub(crate) fn has_asked(&self) -> bool {
        self.asked.get()
    }

    /// The second in which the last request began or ended.
    pub(crate) fn active(&self) -> u64 {
        self.active.get()
    }

    /// What it is to the gateway. One of a pass holder, or of a trusted proxy, may idle for longer.
    pub(crate) fn class(&self) -> Class {
        match () {
            () if self.holder.get() || self.peer.trusted => Class::Holder,
            () if self.asked.get() => Class::Waiting,
            () => Class::Silent,
        }
    }

    /// Whether nothing is under way. What a deferred connection has to say is not read yet: its client does not idle.
    pub(crate) fn is_idle(&self) -> bool {
        self.requests.get() == 0 && self.turn.get() != Turn::Deferred
    }

    /// Whether what it has to read may wait: it shows no pass, and no answer to it is under way. Requests of HTTP/2 are
    /// read beside answers, so there it may wait at any moment.
    pub(crate) fn can_be_deferred(&self) -> bool {
        self.class() != Class::Holder && (self.requests.get() == 0 || self.yields.get() || self.is_http2())
    }

    /// True once: what a peer says of others it says with each request.
    pub(crate) fn is_to_be_asked_for_others(&self) -> bool {
        !self.peer.trusted && !self.asked_for_others.replace(true)
    }

    /// It is served now, by one poll: one request of HTTP/1.
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

    /// Whether it waits for its worker, which has more to do than it can.
    pub(crate) fn turn(&self) -> Turn {
        self.turn.get()
    }

    pub(crate) fn set_turn(&self, turn: Turn) {
        self.turn.set(turn);
    }

    /// Its turn has come: its client has been idle from now on, if there is nothing to read after all.
    pub(crate) fn release(&self) {
        self.turn.set(Turn::Released);
        self.active.set(self.ledger.second.get());
        self.wake();
    }

    /// To be woken when the state changes. It is told to the last who asked.
    pub(crate) fn serve_by(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// For how many seconds an answer was not taken. To be called once a second.
    pub(crate) fn untaken(&self) -> u64 {
        self.paces.borrow().iter().fold(self.pace.second(), |most, pace| most.max(pace.second()))
    }

    /// Asks it to end after the request under way.
    pub(crate) fn end(&self) {
        self.finish(ConnectionState::Ending(self.ledger.second.get() + LAST_WORDS));
    }

    /// Closes it: another one needs its seat, which is free at once.
    pub(crate) fn evict(&self) {
        self.finish(ConnectionState::Over);
        self.seat.take();
    }

    /// It carries another protocol once its last answer was written.
    pub(crate) fn switch(&self, bridge: Option<Bridge>) {
        self.bridge.0.set(bridge);
    }

    /// What carries the other protocol, if there is one.
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

    /// Bytes that the other end has not taken.
    pub(crate) fn untaken_bytes(&self) -> usize {
        self.untaken.get() + self.flow.unsent()
    }

    /// Bytes that are held until the other end takes them.
    pub(crate) fn held(&self) -> usize {
        self.untaken_bytes() + self.open_streams.get() * STREAM
    }

    /// Whether there are bytes of HTTP/2 for the other end, and none was taken and nothing asked for longer than this.
    pub(crate) fn takes_nothing(&self, limit: u64) -> bool {
        self.untaken.get() > 0 && self.ledger.second.get() > self.active.get() + limit
    }

    /// Streams of HTTP/2 that are worked on at once: few, until a pass is shown.
    pub(crate) fn bound_streams(&self, few: usize, most: usize) {
        let first = if self.class() == Class::Holder { most } else { few.min(most) };
        let more = Cell::new(most - first);
        let _ = self.streams.set(Streams { slots: Arc::new(Semaphore::new(first)), more });
    }

    /// Asks it to give its buffers back, if it only waits for the next request.
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

    /// Something came.
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
        // Not at each piece: all of them look again.
        if self.untaken.get() <= self.ledger.most_untaken.get() / 2 {
            self.held_back.take().into_iter().for_each(Waker::wake);
        }
    }

    /// The pace of another answer.
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

/// The streams of a connection that are worked on.
#[derive(Debug)]
struct Streams {
    slots: Arc<Semaphore>,
    /// Those that a pass adds.
    more: Cell<usize>,
}

/// A stream of HTTP/2, from the head of its request until its answer was taken.
#[derive(Debug)]
struct OpenStream {
    connection: Rc<Connection>,
    /// Of its answer.
    pace: Rc<Pace>,
    /// Once it is worked on.
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

/// Bytes of an answer of HTTP/2 that the other end has not taken.
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

/// A request under way; the connection does not idle as long as this lives.
#[derive(Debug)]
pub struct InFlight {
    connection: Rc<Connection>,
    /// Of HTTP/2. In a box: most requests have none, and carry this about.
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

    /// Waits for its turn, with HTTP/1. If its connection was served a request just now, all that is ready goes first: who
    /// sends many at once keeps nobody waiting for all of them. And who reads no answers makes no more of them.
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

    /// Waits for a slot among the streams of its connection; false if that is over meanwhile.
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

    /// The same for all of its answer: its stream is one that is worked on until then.
    pub fn into_untaken(mut self, bytes: usize) -> Option<Box<Untaken>> {
        let stream = self.stream.take()?;
        self.connection.remove_pace(&stream.pace);
        Some(Box::new(Untaken::new(&self.connection, bytes, Some(stream))))
    }

    /// By which the shopper takes the answer.
    pub fn pace(&self) -> &Pace {
        self.stream.as_ref().map_or(&self.connection.pace, |stream| &stream.pace)
    }

    /// The connection it came on.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Says whether the shopper holds a pass.
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

/// Whether the other end takes what there is for it: one that does not must not hold a permit for ever.
#[derive(Debug, Default)]
pub struct Pace {
    /// In the list of its connection.
    place: Cell<usize>,
    untaken: Cell<bool>,
    seconds: Cell<u64>,
}

impl Pace {
    /// Says whether there is something that nobody took yet.
    pub fn set(&self, untaken: bool) {
        self.untaken.set(untaken);
        self.seconds.set(0);
    }

    /// To be called once a second: for how many seconds there was something that nobody took.
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
