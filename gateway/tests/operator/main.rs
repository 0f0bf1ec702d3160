//! What an operator touches: configuration, reloads, the process, metrics and logs; and what the documents promise about it.

mod actions;
mod bounds;
#[path = "../common/mod.rs"]
mod common;
mod config;
mod console;
mod documents;
mod draw;
mod events;
mod launch;
mod live;
mod login;
mod openapi;
mod operations;
mod privacy;
mod process;
mod quiet;
mod reload;
mod trust;
