//! A worker's connections of HTTP/2 to one server: which one takes a request, and when another is opened.
//!
//! The least loaded one with room takes it; another is opened when none has room. Requests that come meanwhile wait for the
//! one being opened, as many as it will take: else a hundred that a server sends away would open one each.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::Notify;

use super::http2::Http2;

/// The connections.
#[derive(Debug)]
pub(super) struct Streams {
    connections: RefCell<Vec<Rc<Http2>>>,
    /// Connections opened so far.
    opened: Cell<u64>,
    /// Connections being opened, and the requests that wait for them.
    opening: Cell<usize>,
    waiting: Cell<usize>,
    changed: Notify,
    /// Capacity of the last one; 1 if the server chose HTTP/1.1.
    capacity: Cell<usize>,
}

impl Streams {
    /// None yet, each of them for `most` requests at most.
    pub(super) fn new(most: usize) -> Self {
        let (connections, opened, opening, waiting, changed) = Default::default();
        Self { connections, opened, opening, waiting, changed, capacity: Cell::new(most) }
    }

    /// The least loaded connection with room, among those younger than `older`.
    pub(super) fn find(&self, older: u64, moves: u64) -> Option<Rc<Http2>> {
        let connections = self.connections.borrow();
        let fit = |connection: &&Rc<Http2>| {
            connection.number > older && connection.open_streams() < connection.capacity() && connection.is_sound(moves)
        };
        connections.iter().filter(fit).min_by_key(|connection| connection.open_streams()).cloned()
    }

    /// Waits for a change, if enough connections are being opened. False if not.
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

    /// Drops connections that take no requests any more, or were idle for `idle_age` ticks. Requests in flight on them go on.
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
