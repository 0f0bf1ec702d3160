//! The load of one step.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use evidence::Evidence;
use launch_model::arrivals::Arrivals;
use launch_model::scenario::Scenario;
use loadtest::crowd::{self, Part, Sending, Watch};
use loadtest::wire::Target;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::local::spawn;

/// A crowd for the server that does nothing.
pub(super) struct Load {
    pub(super) server: SocketAddr,
    /// Visitors a second.
    pub(super) rate: f64,
    pub(super) length: Duration,
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
    pub(super) fn send(&self, watch: Watch, stop: CancellationToken) -> anyhow::Result<JoinHandle<Evidence>> {
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
