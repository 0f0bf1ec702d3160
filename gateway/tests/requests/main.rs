//! The way of a request: connections, TLS, heads, bodies, who gets in, and what a hostile public does.

#[path = "../common/mod.rs"]
mod common;
mod connections;
mod corpus;
mod edge;
mod edge_tls;
mod heads;
mod hostile;
mod proxy_protocol;
mod siege;
mod stream;
mod tls;
