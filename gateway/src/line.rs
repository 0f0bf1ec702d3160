//! What keeps the line: the store, and live rooms before it.

pub mod rooms;
pub mod store;
