//! Every decision of Weir.
//!
//! A waiting room is a token bucket that may go into debt. Per line there are two numbers: `next`
//! (tickets handed out) and `serving` (tickets called), and `number <= serving` is the whole rule.
//! `serving - next > 0` is spare burst, `< 0` is people waiting. Position, wait and "is there a
//! line at all" are each one subtraction, so ten million waiting cost what ten cost.
//!
//! - [`room`]: the rules that protect a set of hosts and paths; [`scope`]: which requests those are
//! - [`segment`]: the number space; [`view`]: a copy of a line
//! - [`mod@line`]: `next`, `serving` and the transitions between states
//! - [`pacer`]: how fast `serving` moves, no-shows, the poll interval; [`outlook`]: the position and the wait to show
//! - [`shield`]: how many the shop can take; [`origin`]: the words of a shop; [`cap`]: what slows a line; [`stock`]: what is left to sell
//! - [`permutation`]: an order that a seed decides
//! - [`event`]: a room that opens at a time, and what it is before and after
//! - [`lease`]: a gateway's budget while the store is away; [`dormancy`]: how often a line must be polled
//! - [`queue`]: a gateway's side of a line: it gathers calls, sends them as a batch and answers them
//! - [`servers`]: which server of the shop is asked, and how often again
//! - [`pass`]: the passes that live at once; [`gate`]: how many requests of a class, such as orders, are in work, and whose is next
//! - [`ticket`]: what a shopper holds; [`seal`]: its sealed text
//! - [`draw`]: the order of an event, so that a sceptic can check it
//! - [`admit`]: all the `if`s of a request
//! - [`action`]: what operators do to a room; [`audit`]: the chain of lines that says who did it
//!
//! Out of scope: sockets, HTTP, stores, logs, metrics, clocks, randomness, and state that threads share. Time comes in as
//! milliseconds of the store's clock and decisions go out as values.

pub mod action;
pub mod admit;
pub mod audit;
pub mod cap;
pub mod dormancy;
pub mod draw;
pub mod event;
pub mod gate;
pub mod lease;
pub mod line;
pub mod origin;
pub mod outlook;
pub mod pacer;
pub mod pass;
pub mod permutation;
pub mod queue;
pub mod room;
pub mod scope;
pub mod seal;
pub mod segment;
pub mod servers;
pub mod shield;
pub mod stock;
pub mod ticket;
pub mod view;

/// Milliseconds of the store's clock since the Unix epoch.
pub type Millis = u64;
