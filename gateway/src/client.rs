//! The connection to a client and the pieces of a message: sockets, seats, heads and bodies.

pub mod body;
pub(crate) mod bridge;
pub(crate) mod buffer;
pub(crate) mod connection;
pub mod connection_cache;
pub(crate) mod flow;
pub mod headers;
pub(crate) mod load;
pub mod proxy_header;
pub(crate) mod seats;
pub(crate) mod timer;
pub mod visitor;
