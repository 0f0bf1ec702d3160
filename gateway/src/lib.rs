//! Weir: an admission gateway for flash sales.

pub mod body;
pub mod headers;
pub mod visitor;
