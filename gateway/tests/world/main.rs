//! Programs that other people wrote: clients, servers that read paths, and a whole shop. Most of it runs by `make test-world`.

mod clients;
#[path = "../common/mod.rs"]
mod common;
mod differential;
mod openapi;
mod page;
mod real_shop;
