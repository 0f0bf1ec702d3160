//! The crowd and the demo shop: the proof of what Weir is for.
//!
//! [`shop`] is a web shop that collapses when it is overrun. [`crowd`] sends shoppers to a target:
//! [`arrivals`] says when each one comes, [`shopper`] what each one does (a pure state machine),
//! [`client`] carries it over a socket. [`stats`] is what both sides count with.
//!
//! What is absent: anything of the gateway's code. This crate talks to Weir as the world does, over
//! HTTP and by its configuration file, so that it can also test a Weir that runs elsewhere.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail"))]

pub mod arrivals;
pub mod client;
pub mod crowd;
pub mod shop;
pub mod shopper;
pub mod stats;
