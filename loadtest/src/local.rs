//! Ports and threads of this machine.

use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use anyhow::Context;

/// Listens on this port of loopback, or on a free one if it is taken.
pub(crate) fn listen(port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port)).or_else(|_| TcpListener::bind(("127.0.0.1", 0))).context("no free port")
}

/// Runs a future on a thread of its own, so that shop and crowd do not delay each other.
pub(crate) fn spawn<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> anyhow::Result<JoinHandle<T>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(thread::Builder::new().spawn(move || runtime.block_on(future))?)
}
