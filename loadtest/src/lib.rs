//! The load test: sends a launch to a gateway over sockets, or plays it on the policy in virtual time.
//!
//! ```text
//! policy <-- launch-model <-- evidence <-- demo-shop, verdict <-- loadtest
//! ```
//!
//! `launch-model` says who comes when and what each one does; `evidence` is what all sides saw; `demo-shop` is a shop that
//! collapses under overload; `verdict` judges and reports, and knows of the others only what they recorded.
//! Here the people of the model (`population`) meet a gateway: [`crowd`] sends them over [`wire`], [`attack`]s come beside them
//! over connections of their own, and [`simulate`] plays the same people without sockets. [`record`] writes a scenario from a
//! browser's recording, [`gates`] are how wide a gateway's should be, and [`live`] shows a run on a terminal.
//!
//! Out of scope: the gateway's own code. This crate talks to Weir as the world does, over HTTP and by its configuration
//! file, so that it can also test a Weir that runs elsewhere.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail"))]

pub mod attack;
mod board;
pub mod crowd;
pub mod gates;
pub mod live;
mod population;
mod reading;
pub mod record;
pub mod simulate;
pub mod wire;
