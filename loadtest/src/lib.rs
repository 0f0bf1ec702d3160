//! The crowd, the demo shop and the verdict: the proof of what Weir is for.
//!
//! ```text
//! scenario --> arrivals, persona --> shopper | adversary --> client --> gateway --> shop
//!                                         \-------> evidence <-------/     (three sides)
//!                                                      |
//!                                                   verdict --> report
//! ```
//!
//! [`scenario`] is a launch as it is written. [`crowd`] sends its people to a target: [`arrivals`] says when each one
//! comes, [`persona`] who they are, [`shopper`] what each one does (a pure state machine), [`client`] carries it over a
//! socket. [`shop`] is a web shop that collapses when it is overrun. What all sides saw is [`evidence`]; [`verdict`] judges
//! it, and [`report`] tells people and programs.
//!
//! What is absent: anything of the gateway's code. This crate talks to Weir as the world does, over
//! HTTP and by its configuration file, so that it can also test a Weir that runs elsewhere.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail"))]

pub mod arrivals;
pub mod client;
pub mod crowd;
pub mod evidence;
pub mod forecast;
pub mod live;
pub mod persona;
pub mod report;
pub mod scenario;
pub mod shop;
pub mod shopper;
pub mod span;
pub mod stats;
pub mod token;
pub mod verdict;
pub mod visitor;
pub mod wire;
