//! Weir: an admission gateway for flash sales.

pub mod body;
pub mod config;
pub mod store;
pub mod upstream;
pub mod tls;
pub mod ui;
