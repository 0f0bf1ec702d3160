//! What was configured: the file, its secrets and certificates.

pub mod config;
pub mod secret;
pub mod tls;
