//! A private Redis: a port of its own on loopback, without persistence.

use std::net::SocketAddr;

use anyhow::Context;

use super::child::{self, Child};
use crate::local::listen;

/// Tries with another free port: another process may take the port before Redis binds it.
const TRIES: usize = 5;

/// A running Redis.
pub(crate) struct Redis {
    child: Child,
    address: SocketAddr,
}

impl Redis {
    /// Starts it and waits until it answers.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let mut last = Self::try_start().await;
        for _ in 1..TRIES {
            if last.is_ok() {
                break;
            }
            last = Self::try_start().await;
        }
        last
    }

    async fn try_start() -> anyhow::Result<Self> {
        let program = child::find("redis-server").context(
            "several gateways share a Redis, and there is no redis-server: install it (apt-get install redis-server)",
        )?;
        let address = listen(0)?.local_addr()?;
        let folder = child::folder()?;
        let mut command = child::command(&program);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]);
        command.arg(address.port().to_string()).arg("--dir").arg(folder.path());
        let mut child = Child::start("Redis", command, folder)?;
        child.says(|line| line.contains("Ready to accept connections").then_some(())).await?;
        Ok(Self { child, address })
    }

    /// Its address in a gateway's configuration.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        self.child.stop().await;
    }
}
