//! Signals of how full the shop is, and the guard over a room's rate that acts by them.
//!
//! A room has signals of its own ([`RoomSignals`]): some come with the shop's answers, for others a task asks. Once a second the
//! control thread decides from them ([`Guards`]), and the result is a cap on the rate of the line, as the shop itself may say one.
//! Without fresh values there is none, and the last one ends by itself.
//!
//! Out of scope: the law ([`policy::shield`]), and what a line makes of a cap (`policy::line`).

mod guards;
mod latencies;
mod postgres;
mod prometheus;
mod signal;
mod signals;

pub(crate) use guards::Guards;
pub(crate) use signals::{RoomSignals, SignalStatus};
