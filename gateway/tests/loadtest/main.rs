//! The load test at a real gateway: its crowd, and its program.

#[path = "../common/mod.rs"]
mod common;
mod crowd;
mod program;
