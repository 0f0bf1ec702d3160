//! One shopper's connection, and the requests under way on it.
//!
//! Nothing here arms a timer: the worker's sweep looks at every connection once a second, and what it
//! needs to know is kept here as requests come and go.
//!
//! What is absent: sockets ([`crate::listener`]), and what a request means ([`crate::edge`]).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use crate::body::Bridge;
use crate::known::Known;
use crate::seats::{Class, Seat};
use crate::visitor::Peer;

/// Seconds that a connection which was asked to end may take.
const LAST_WORDS: u64 = 10;

/// Whether a connection may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Open,
    /// Ends after the request under way; at the latest in that second.
    Ending(u64),
    Over,
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
/// became another protocol and took its [`UnderWay`] along.
#[derive(Debug)]
pub struct Connection {
    /// The other end.
    pub peer: Peer,
    /// Whether it is TLS.
    pub tls: bool,
    /// What was shown on it.
    pub known: Known,
    /// Seconds that its worker has lived.
    second: Rc<Cell<u64>>,
    seat: RefCell<Option<Seat>>,
    requests: Cell<u32>,
    asked: Cell<bool>,
    active: Cell<u64>,
    holder: Cell<bool>,
    /// What follows another protocol that was agreed on.
    bridge: Bridged,
    fate: Cell<Fate>,
    waker: RefCell<Option<Waker>>,
}

impl Connection {
    pub(crate) fn new(peer: Peer, tls: bool, second: Rc<Cell<u64>>, seat: Option<Seat>) -> Rc<Self> {
        Rc::new(Self {
            peer,
            tls,
            known: Known::default(),
            seat: RefCell::new(seat),
            requests: Cell::new(0),
            asked: Cell::new(false),
            active: Cell::new(second.get()),
            holder: Cell::new(false),
            bridge: Bridged::default(),
            fate: Cell::new(Fate::Open),
            waker: RefCell::default(),
            second,
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

    /// Reads something off its seat, if it has one.
    pub(crate) fn with_seat<T>(&self, read: impl FnOnce(&Seat) -> T) -> Option<T> {
        self.seat.borrow().as_ref().map(read)
    }

    pub(crate) fn fate(&self) -> Fate {
        self.fate.get()
    }

    /// To be woken when the fate changes. It is told to the last who asked.
    pub(crate) fn serve_by(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// It carries another protocol once its last answer was written.
    pub(crate) fn switch(&self, bridge: Option<Bridge>) {
        self.bridge.0.set(bridge);
    }

    /// What carries the other protocol, if there is one.
    pub(crate) fn take_bridge(&self) -> Option<Bridge> {
        self.bridge.0.take()
    }

    /// Asks it to end after the request under way.
    pub(crate) fn end(&self) {
        self.finish(Fate::Ending(self.second.get() + LAST_WORDS));
    }

    /// Closes it: another one needs its seat, which is free at once.
    pub(crate) fn evict(&self) {
        self.finish(Fate::Over);
        self.seat.take();
    }

    /// Ends it at once.
    pub(crate) fn leave(&self) {
        self.finish(Fate::Over);
    }

    pub(crate) fn finish(&self, fate: Fate) {
        self.fate.set(fate);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// A request under way; the connection does not idle as long as this lives.
#[derive(Debug)]
pub struct UnderWay {
    connection: Rc<Connection>,
}

impl UnderWay {
    pub(crate) fn begin(connection: &Rc<Connection>) -> Self {
        connection.requests.set(connection.requests.get() + 1);
        connection.asked.set(true);
        connection.active.set(connection.second.get());
        Self { connection: connection.clone() }
    }

    /// The connection it came on.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Says whether the shopper holds a pass.
    pub fn holds_pass(&self, holder: bool) {
        self.connection.holder.set(holder);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.connection.requests.set(self.connection.requests.get() - 1);
        self.connection.active.set(self.connection.second.get());
    }
}
