//! `loadtest calibrate`: what this machine can generate, before anybody blames a gateway.
//!
//! One process sends a real crowd ([`loadtest::crowd`]) to a server that does nothing ([`server`]), twice as many each
//! time, until it is late itself; then it looks closer. How many shoppers fit at once is measured by some thousands
//! who wait, and read from the system's limits.
//!
//! What is absent: the network, and the site. The server shares this machine, so what is found is rather too low.

mod room;
pub(crate) mod server;
mod steps;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use loadtest::arrivals::Arrivals;
use loadtest::crowd::{self, Part, Sending, Watch};
use loadtest::evidence::Evidence;
use loadtest::scenario::Scenario;
use loadtest::wire::Target;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cli::calibrate::Calibrate;
use crate::cli::{interrupted, usage};
use crate::stage::spawn;

/// Measures and tells. Nothing is held against anything.
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

/// A crowd that goes to the server that does nothing.
struct Load {
    server: SocketAddr,
    /// Visitors a second.
    rate: f64,
    length: Duration,
}

impl Load {
    /// A visit is three requests, one after another: product, order, payment.
    fn scenario(&self) -> anyhow::Result<Scenario> {
        let (rate, length) = (self.rate, self.length.as_secs_f64());
        let text = format!(
            r#"
name = "calibrate"
spacing = "even"
closing = "{length}s"
grace = "2s"
[room]
new_users_per_minute = 60000
[[arrivals]]
kind = "flat"
rate = {rate}
for = "{length}s"
[habits]
think = ["0ms", "0ms"]
patience = "2s"
retries = 0
assets = false
"#
        );
        Scenario::parse(&text, Path::new("")).context("the load of a step")
    }

    /// Sends it from a thread of its own.
    fn send(&self, watch: Watch, stop: CancellationToken) -> anyhow::Result<std::thread::JoinHandle<Evidence>> {
        let scenario = Arc::new(self.scenario()?);
        let sending = Sending {
            arrivals: Arrivals::of(&scenario),
            scenario,
            targets: vec![Target::plain(self.server, self.server.to_string())],
            part: Part::ALL,
            start: Instant::now(),
        };
        spawn(crowd::send(sending, watch, stop))
    }
}
