//! What operators see and do: the admin listener, the other gateways, reloads, the command line; and what steers a room beside them.

pub(crate) mod admin;
pub mod capacity;
pub(crate) mod fleet;
pub(crate) mod live;
pub(crate) mod number;
pub mod operator;
pub mod operators;
pub(crate) mod reload;
pub(crate) mod steering;
