//! How many new shoppers the shop can take: the slow controller over the rate of a line.
//!
//! The in-flight limit of the order stage, its gate, is the fast loop: it keeps the database at the concurrency that it can
//! take, whatever comes. This is the slow loop: it keeps the line before the gate short.
//!
//! - [`feed_forward`]: from what the gate delivers to how many may be let in
//! - [`signals`]: a guard, from signals of how full the shop is; [`governor`]: which of them it acts by
//! - [`orca`] and [`latency`]: how full the shop is by its own reports, and by how long it takes
//!
//! Each gateway runs its own on what it sees, and its result is a cap on the rate ([`crate::cap`]); the line takes the lowest.
//!
//! Out of scope: the gate itself, and where the figures come from.

pub mod feed_forward;
pub mod governor;
pub mod latency;
pub mod orca;
pub mod signals;
