//! What a launch is: who comes when, to which room, and what each one does. No sockets and no clocks.
//!
//! ```text
//! file --> scenario --> arrivals, persona             policy <-- launch-model <-- evidence
//! visitor --> shopper, adversary --> journey --> visit --> jar --> token
//! ```
//!
//! A [`scenario`] is a launch as it is written, and [`mod@file`] reads it. [`arrivals`] says when each one comes, [`persona`]
//! who they are; a [`visitor`] is a pure state machine that says what each one does next (`shopper` and `adversary`;
//! [`journey`] in a shop that is not the demo shop), in the words of a [`visit`]. [`attack`] is what may be done to the site
//! meanwhile, and [`forecast`] what the launch should come to.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail"))]

mod adversary;
pub mod arrivals;
pub mod attack;
pub mod file;
pub mod forecast;
mod forging;
pub mod jar;
pub mod journey;
pub mod persona;
pub mod random;
pub mod scenario;
mod shopper;
pub mod span;
pub mod token;
pub mod visit;
pub mod visitor;
