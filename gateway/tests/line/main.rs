//! A shopper's way through the line, from the first number to the last request of a pass; and the stores that keep the line.

#[path = "../common/mod.rs"]
mod common;
mod durable;
mod embedded_store;
mod events;
mod format;
mod forms;
mod joins;
mod launch;
mod passes;
mod redis_server;
mod redis_store;
mod redis_ways;
mod resting;
mod shop_words;
mod signals;
mod visits;
