//! Several gateways: one line, one registry, one set of keys, and what a launch loses when one of them or Redis fails.

mod actions;
#[path = "../common/mod.rs"]
mod common;
mod events;
mod faults;
mod formats;
mod keys;
mod leases;
mod live;
mod losses;
mod registry;
mod rooms;
mod shared;
mod versions;
