//! What operators see and do: the admin listener, the other gateways, reloads, the command line.

pub(crate) mod admin;
pub mod capacity;
pub(crate) mod fleet;
pub(crate) mod number;
pub mod operator;
pub(crate) mod reload;
