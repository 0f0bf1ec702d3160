//! The crowd, the demo shop and the verdict: the proof of what Weir is for.
//!
//! ```text
//! scenario --> arrivals, persona --> shopper | adversary --> wire --> gateway --> shop
//!                                         \-------> evidence <-------/     (three sides)
//!                                                      |
//!                                                   verdict --> report
//! ```
//!
//! [`scenario`] is a launch as it is written. [`crowd`] sends its people to a target: [`arrivals`] says when each one
//! comes, [`persona`] who they are, [`shopper`] and [`adversary`] what each one does (pure state machines, [`visitor`]),
//! [`journey`] what they do in a shop that is not the demo shop,
//! [`wire`] carries it over a socket, and [`reading`] tells what an answer shows. [`shop`] is a web shop that collapses when it is overrun. What all sides saw is [`evidence`]; [`verdict`] judges
//! it, and [`report`] tells people and programs.
//!
//! [`attack`]s come beside them over connections of their own.
//!
//! What is absent: anything of the gateway's code. This crate talks to Weir as the world does, over
//! HTTP and by its configuration file, so that it can also test a Weir that runs elsewhere.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail"))]

pub mod adversary;
pub mod arrivals;
pub mod attack;
pub mod crowd;
pub mod evidence;
pub mod forecast;
pub mod forging;
pub mod jar;
pub mod journey;
pub mod live;
pub mod persona;
pub mod reading;
pub mod record;
pub mod report;
pub mod scenario;
pub mod shop;
pub mod shopper;
pub mod simulate;
pub mod span;
pub mod stats;
pub mod token;
pub mod verdict;
pub mod visitor;
pub mod wire;
