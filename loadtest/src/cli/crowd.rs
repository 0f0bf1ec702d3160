//! `loadtest crowd`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use loadtest::client::Target;
use loadtest::crowd::{self, Tally};
use loadtest::span::Span;
use tokio_util::sync::CancellationToken;

use super::demo::CrowdArgs;

#[derive(Args)]
pub(crate) struct Crowd {
    /// The site: scheme, host and port
    #[arg(long, value_name = "URL")]
    target: http::Uri,
    /// Orders per second that the shop can take
    #[arg(long, default_value_t = 30.0)]
    capacity: f64,
    /// When the line is left alone; otherwise when the last shopper has come
    #[arg(long = "for")]
    closing: Option<Span>,
    #[command(flatten)]
    crowd: CrowdArgs,
}

impl Crowd {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let target = &self.target;
        let authority = target.authority().filter(|_| target.scheme_str() == Some("http"));
        let authority = authority.context("--target is an address as http://127.0.0.1:8080")?;
        let (host, port) = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80));
        let address = tokio::net::lookup_host((host, port)).await?.next().context("the target has no address")?;
        let target = Target::new(address, authority.as_str(), "/launch");
        let plan = self.crowd.plan(target, self.capacity, self.closing.map(|span| span.0))?;
        let tally = Arc::new(Tally::default());
        let stop = CancellationToken::new();
        let sending = crowd::run(plan, Arc::clone(&tally), stop.clone());
        tokio::pin!(sending);
        loop {
            tokio::select! {
                () = &mut sending => break,
                stopped = tokio::signal::ctrl_c() => {
                    stopped?;
                    stop.cancel();
                }
                () = tokio::time::sleep(Duration::from_secs(1)) => {
                    let now = tally.counts();
                    eprintln!(
                        "arrived {}  waiting {}  admitted {}  orders {}  failed orders {}",
                        now.arrived, now.waiting, now.admitted, now.bought, now.order_failed
                    );
                }
            }
        }
        println!("{}", serde_json::to_string_pretty(&tally.counts())?);
        Ok(ExitCode::SUCCESS)
    }
}
