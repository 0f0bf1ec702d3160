//! How requests reach a server: HTTP/1.1 or HTTP/2, with TLS or without, on connections of one's own or shared ones.
//!
//! What is absent: who asks, and why.

mod target;

pub use target::{BadTarget, Target, Trust};
