//! A worker's connections of HTTP/2 to one server: which one takes a request, and when another is opened.
//!
//! The least loaded one that has room takes it; another is opened when none has. Requests that come meanwhile wait for the
//! one that is being opened, as many as it will take: else each of a hundred that a server sends away would open one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::Notify;

use super::http2::Http2;

/// The connections.
#[derive(Debug)]
pub(super) struct Streams {
    connections: RefCell<Vec<Rc<Http2>>>,
    /// How many were opened.
    opened: Cell<u64>,
    /// How many are being opened, and how many requests wait for them.
    opening: Cell<usize>,
    waiting: Cell<usize>,
    changed: Notify,
    /// What the last one takes; 1 where the server chose HTTP/1.1.
    capacity: Cell<usize>,
}

impl Streams {
    /// None yet, each of them for so many requests at most.
    pub(super) fn new(most: usize) -> Self {
        let (connections, opened, opening, waiting, changed) = Default::default();
        Self { connections, opened, opening, waiting, changed, capacity: Cell::new(most) }
    }

    /// The least loaded connection with room, of those that are younger than this one.
    pub(super) fn find(&self, older: u64, moves: u64) -> Option<Rc<Http2>> {
        let connections = self.connections.borrow();
        let fit = |connection: &&Rc<Http2>| {
            connection.number > older && connection.open_streams() < connection.capacity() && connection.is_sound(moves)
        };
        connections.iter().filter(fit).min_by_key(|connection| connection.open_streams()).cloned()
    }

    /// Waits until something has changed, if as many connections are being opened as are needed. False if they are not.
    pub(super) async fn wait(&self) -> bool {
        if self.waiting.get() + 1 >= self.opening.get().saturating_mul(self.capacity.get()) {
            return false;
        }
        let _one = Counted::new(&self.waiting);
        self.changed.notified().await;
        true
    }

    /// A connection is being opened, until this is dropped.
    pub(super) fn begin(&self) -> Opening<'_> {
        self.opening.set(self.opening.get() + 1);
        Opening(self)
    }

    /// The number of the next connection.
    pub(super) fn number(&self) -> u64 {
        self.opened.set(self.opened.get() + 1);
        self.opened.get()
    }

    /// Takes a new one.
    pub(super) fn add(&self, connection: Rc<Http2>) {
        self.capacity.set(connection.capacity());
        self.connections.borrow_mut().push(connection);
    }

    /// The server chose HTTP/1.1: each request has a connection of its own.
    pub(super) fn none(&self) {
        self.capacity.set(1);
    }

    /// Lets those go that take no requests any more, or had none for so many ticks. What is under way on them goes on.
    pub(super) fn sweep(&self, moves: u64, idle_age: u64) {
        self.connections
            .borrow_mut()
            .retain(|connection| connection.is_sound(moves) && connection.idle_for() <= idle_age);
    }
}

/// Counted until dropped.
struct Counted<'a>(&'a Cell<usize>);

impl<'a> Counted<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A connection that is being opened.
pub(super) struct Opening<'a>(&'a Streams);

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.opening.set(self.0.opening.get() - 1);
        self.0.changed.notify_waiters();
    }
}
