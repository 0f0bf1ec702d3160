//! The pacer: how fast `serving` moves while a line stands, the terms of a wait, and when shoppers should poll.
//!
//! - `pointer`: the control law of `serving`, and the share of called shoppers who come
//! - `wait`: how fast places move up, and how long a seat is taken
//! - `polls`: how often a waiting shopper polls
//!
//! Out of scope: what of it is shown to a shopper ([`crate::outlook`]), and the token bucket that makes admissions safe
//! ([`crate::line`]). An error here wastes capacity or makes a called shopper wait; it cannot admit too many.

mod pointer;
mod polls;
mod wait;

pub(crate) use pointer::FASTEST;
pub use pointer::{Pacer, SHOW_WITHIN, Supply};
pub use polls::{PollTable, budget_for, pace};
