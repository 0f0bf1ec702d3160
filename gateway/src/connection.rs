//! One shopper's connection, and the requests under way on it.
//!
//! Nothing here arms a timer: the worker's sweep looks at every connection once a second, and what it
//! needs to know is kept here as requests come and go.
//!
//! What is absent: sockets ([`crate::listener`]), and what a request means ([`crate::edge`]).

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::{Rc, Weak};
use std::task::Waker;

use http::Version;

use crate::known::Known;
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

/// A connection of a shopper.
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
    requests: Cell<u32>,
    asked: Cell<bool>,
    active: Cell<u64>,
    holder: Cell<bool>,
    /// Of the answers of HTTP/1, which go one after the other.
    pace: Rc<Pace>,
    /// Of the answers of HTTP/2, each its own.
    paces: RefCell<Vec<Weak<Pace>>>,
    fate: Cell<Fate>,
    waker: OnceCell<Waker>,
}

impl Connection {
    pub(crate) fn new(peer: Peer, tls: bool, second: Rc<Cell<u64>>) -> Rc<Self> {
        Rc::new(Self {
            peer,
            tls,
            known: Known::default(),
            requests: Cell::new(0),
            asked: Cell::new(false),
            active: Cell::new(second.get()),
            holder: Cell::new(false),
            pace: Rc::default(),
            paces: RefCell::default(),
            fate: Cell::new(Fate::Open),
            waker: OnceCell::new(),
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

    /// The second in which the last request ended.
    pub(crate) fn active(&self) -> u64 {
        self.active.get()
    }

    /// Whether the shopper holds a pass: their connection may idle for longer.
    pub(crate) fn is_holder(&self) -> bool {
        self.holder.get()
    }

    pub(crate) fn fate(&self) -> Fate {
        self.fate.get()
    }

    /// To be woken when the fate changes.
    pub(crate) fn serve_by(&self, waker: &Waker) {
        self.waker.get_or_init(|| waker.clone());
    }

    /// For how many seconds an answer was not taken. To be called once a second.
    pub(crate) fn untaken(&self) -> u64 {
        let mut most = self.pace.second();
        self.paces.borrow_mut().retain(|pace| {
            let pace = pace.upgrade();
            most = most.max(pace.as_ref().map_or(0, |pace| pace.second()));
            pace.is_some()
        });
        most
    }

    /// Asks it to end after the request under way.
    pub(crate) fn end(&self) {
        self.finish(Fate::Ending(self.second.get() + LAST_WORDS));
    }

    pub(crate) fn finish(&self, fate: Fate) {
        self.fate.set(fate);
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }
}

/// A request under way; the connection does not idle as long as this lives.
#[derive(Debug)]
pub struct UnderWay {
    connection: Rc<Connection>,
    /// Of its answer, if that does not go alone.
    own_pace: Option<Rc<Pace>>,
}

impl UnderWay {
    pub(crate) fn begin(connection: &Rc<Connection>, version: Version) -> Self {
        connection.requests.set(connection.requests.get() + 1);
        connection.asked.set(true);
        let own_pace = (version == Version::HTTP_2).then(|| {
            let pace = Rc::new(Pace::default());
            connection.paces.borrow_mut().push(Rc::downgrade(&pace));
            pace
        });
        Self { connection: connection.clone(), own_pace }
    }

    /// By which the shopper takes the answer.
    pub fn pace(&self) -> &Pace {
        self.own_pace.as_ref().unwrap_or(&self.connection.pace)
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
        self.pace().set(false);
        self.connection.requests.set(self.connection.requests.get() - 1);
        self.connection.active.set(self.connection.second.get());
    }
}

/// Whether the other end takes what there is for it: one that does not must not hold a permit for ever.
#[derive(Debug, Default)]
pub struct Pace {
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
