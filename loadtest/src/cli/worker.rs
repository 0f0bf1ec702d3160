//! `loadtest worker`.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use tokio::net::TcpListener;

use super::{interrupted, usage};
use crate::worker::lead::LISTENS;
use crate::worker::serve;
use crate::worker::{SECRET, SHORTEST_SECRET};

#[derive(Args)]
pub(crate) struct Worker {
    /// Where it listens for `loadtest run --worker`; its leader must know the secret in `LOADTEST_SECRET`
    #[arg(long, value_name = "HOST:PORT")]
    listen: String,
    /// End with the first run
    #[arg(long)]
    once: bool,
}

impl Worker {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let worker = serve::Worker::new(secret()?);
        let listener = TcpListener::bind(&self.listen).await;
        let listener = listener.with_context(|| format!("cannot listen on {}", self.listen))?;
        println!("{LISTENS}{}", listener.local_addr()?);
        let serving =
            async { if self.once { worker.serve_once(listener).await } else { worker.serve(listener).await } };
        tokio::select! {
            () = serving => Ok(ExitCode::SUCCESS),
            code = interrupted() => code,
        }
    }
}

/// The secret that leader and workers share.
pub(crate) fn secret() -> anyhow::Result<String> {
    let secret = std::env::var(SECRET).unwrap_or_default();
    if secret.len() < SHORTEST_SECRET {
        return Err(usage(format!(
            "{SECRET} must hold at least {SHORTEST_SECRET} characters, the same for `loadtest run` and each worker: \
             export {SECRET}=$(openssl rand -hex 32)"
        )));
    }
    Ok(secret)
}
