//! What holds for any bytes that the network or a file may say: one function for each reader, which panics
//! where a promise is broken.
//!
//! libFuzzer calls them with what it makes up (`fuzz_targets/`, `make fuzz`), and a test of the gateway with every
//! file of the committed corpus (`gateway/tests/requests/corpus.rs`), on any compiler.
//!
//! Out of scope: sockets, and what hyper, rustls and toml refuse before these readers see it.
#![allow(unreachable_pub, reason = "a crate for libFuzzer, a module for the gateway's test")]
#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "a broken promise ends by a panic")]

mod config;
mod head;
mod host;
mod path;
mod proxy;
mod token;

pub use config::config;
pub use head::head;
pub use host::host;
pub use path::path;
pub use proxy::proxy;
pub use token::token;

/// What is done with the bytes of one case.
pub type Target = fn(&[u8]);

/// Every target, by the name of its corpus.
pub const TARGETS: [(&str, Target); 6] =
    [("config", config), ("head", head), ("host", host), ("path", path), ("proxy", proxy), ("token", token)];
