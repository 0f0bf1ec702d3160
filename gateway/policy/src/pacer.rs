//! The drain: how fast `serving` moves while a line stands, what a wait follows from, and when shoppers should ask.
//!
//! - `pacer`: the law of the pointer, and who comes of those who are called
//! - `wait`: how fast places move up, and how long a seat is taken
//! - `polls`: how often a waiting shopper asks
//!
//! Out of scope: what a shopper is told of it ([`crate::outlook`]), and the token bucket that makes admissions safe
//! ([`crate::line`]). An error here wastes capacity or makes a called shopper wait; it cannot admit too many.

mod pointer;
mod polls;
mod wait;

pub(crate) use pointer::FASTEST;
pub use pointer::{Pacer, SHOW_WITHIN, Supply};
pub use polls::{PollTable, budget_for, pace};
