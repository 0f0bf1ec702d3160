//! `loadtest shop` as people start it, on a PostgreSQL of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]
#![allow(dead_code, reason = "what the shop's own tests use too")]

#[path = "../../demo-shop/tests/shop/browser.rs"]
mod browser;
mod program;
#[path = "../../demo-shop/tests/shop/server.rs"]
mod server;
#[path = "../../demo-shop/tests/shop/wait.rs"]
mod wait;
