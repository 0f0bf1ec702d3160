//! The servers of a shop: which of two is asked, and how many requests are asked again.
//!
//! - [`response_time`]: how long a server takes, and how loaded that makes it
//! - [`retry_budget`]: how many requests may be sent again

pub mod response_time;
pub mod retry_budget;
