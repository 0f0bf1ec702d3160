//! `loadtest calibrate`: what this machine can generate, before a gateway is blamed.
//!
//! One process sends a real crowd ([`loadtest::crowd`]) to a server that does nothing ([`server`]), twice as many each
//! time, until the sender itself is late; then it looks closer. How many shoppers fit at once is measured with some thousands
//! who wait, and read from the system's limits.
//!
//! Out of scope: the network, and the site. The server shares this machine, so the result is rather too low.

mod load;
mod room;
pub(crate) mod server;
mod steps;

use std::process::ExitCode;
use std::time::Duration;

use crate::cli::calibrate::Calibrate;
use crate::cli::{interrupted, usage};

/// Measures and prints. There is no verdict.
pub(crate) async fn run(args: &Calibrate) -> anyhow::Result<ExitCode> {
    if !(1.0..=1e6).contains(&args.from) || args.step.0 < Duration::from_secs(1) {
        return Err(usage("--from is between 1 and 1000000 requests a second, --step at least 1s"));
    }
    let measuring = async {
        let room = room::measure().await?;
        steps::climb(args.from, args.step.0).await?;
        println!("\n{room}");
        Ok(ExitCode::SUCCESS)
    };
    tokio::select! {
        done = measuring => done,
        code = interrupted() => code,
    }
}
