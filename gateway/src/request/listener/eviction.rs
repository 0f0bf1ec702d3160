//! Eviction: which connections are closed for another one.
//!
//! No client is refused while a connection can be closed: first idle ones without a pass, pass holders last.

use std::cmp::Reverse;
use std::rc::Rc;

use crate::client::connection::{Connection, ConnectionState};
use crate::client::seats::{Class, Lack};

/// Seconds in which a new connection is expected to send a request.
const FRESH: u64 = 2;
/// Seconds after which a request without a pass is no reason to keep its connection.
const SLOW: u64 = 10;

/// The order in which connections are closed for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Already asked to end.
    Ending,
    /// Never sent a request, and had the time to.
    Silent,
    /// Has nothing in flight.
    Waiting,
    /// Has just come.
    Fresh,
    /// Has had a request in flight for long.
    Slow,
    /// Holds a pass, and has nothing in flight.
    Holder,
}

fn rank(connection: &Connection, idle: u64) -> Option<Rank> {
    let busy = connection.requests() > 0;
    match (connection.state(), connection.class()) {
        (ConnectionState::Over, _) => None,
        (_, Class::Holder) => (!busy).then_some(Rank::Holder),
        _ if busy => (idle > SLOW).then_some(Rank::Slow),
        (ConnectionState::Ending(_), _) => Some(Rank::Ending),
        (_, Class::Waiting) => Some(Rank::Waiting),
        (_, Class::Silent) => Some(if idle >= FRESH { Rank::Silent } else { Rank::Fresh }),
    }
}

/// Eviction order: first connections of a client with more than its part, then by rank, then the longest idle.
type Order = (bool, Rank, Reverse<u64>);

/// The connections to close for this lack. One at a time; of very many one in 64, because to check all of them for each new
/// connection would be all that a full gateway does. Pass holders only if there is no other, and if `holders` says so.
pub(super) fn victims(
    connections: impl Iterator<Item = Rc<Connection>>,
    now: u64,
    lack: &Lack,
    max_connections: usize,
    holders: bool,
) -> Vec<Rc<Connection>> {
    let order = |connection: &Rc<Connection>| -> Option<Order> {
        let idle = now.saturating_sub(connection.active());
        let rank = rank(connection, idle)?;
        let dominant = connection.with_seat(|seat| match lack {
            Lack::Client(network) => seat.is_of(network).then_some(true),
            Lack::All => Some(seat.is_dominant(max_connections)),
        })??;
        Some((!dominant, rank, Reverse(idle)))
    };
    let mut candidates: Vec<_> = connections.filter_map(|connection| Some((order(&connection)?, connection))).collect();
    let is_holder = |((_, rank, _), _): &(Order, Rc<Connection>)| *rank == Rank::Holder;
    let mut most = (candidates.len() / 64).max(1);
    if candidates.iter().all(is_holder) {
        most = usize::from(holders);
    } else {
        candidates.retain(|candidate| !is_holder(candidate));
    }
    if most < candidates.len() {
        candidates.select_nth_unstable_by_key(most, |(order, _)| *order);
        candidates.truncate(most);
    }
    candidates.into_iter().map(|(_, connection)| connection).collect()
}
