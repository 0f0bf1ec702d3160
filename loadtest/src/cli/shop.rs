//! `loadtest shop`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use loadtest::shop::database::Tuning;
use loadtest::shop::{self, Report};
use loadtest::span::Span;
use tokio_util::sync::CancellationToken;

use super::usage;

#[derive(Args)]
pub(crate) struct Shop {
    /// Where it listens
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: String,
    /// Database queries that run at the same time
    #[arg(long, default_value_t = 20)]
    slots: usize,
    /// Database time of the product page when nobody waits; order and payment take 2 and 3 times it
    #[arg(long, default_value = "50ms")]
    service_time: Span,
    /// How much slower everything gets with one waiting request per slot
    #[arg(long, default_value_t = Tuning::default().contention)]
    contention: f64,
    /// Waiting requests per slot beyond which more are refused
    #[arg(long, default_value_t = Tuning::default().waiters_per_slot)]
    waiters_per_slot: usize,
    /// How long a request waits for a slot
    #[arg(long, default_value = "2s")]
    patience: Span,
    /// How long a query may run
    #[arg(long, default_value = "1s")]
    statement_timeout: Span,
    /// How long the slot of a cancelled query stays busy
    #[arg(long, default_value = "1s")]
    recovery: Span,
}

impl Shop {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let listen = &self.listen;
        let shop = shop::Shop::new(self.tuning()?);
        let listener =
            tokio::net::TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        println!("The shop is open: http://{}/  ({:.0} orders a second)", listener.local_addr()?, shop.capacity());
        let serving = Arc::clone(&shop).serve(listener, CancellationToken::new());
        tokio::select! {
            () = serving => Ok(ExitCode::SUCCESS),
            stopped = tokio::signal::ctrl_c() => Ok(stopped.map(|()| ExitCode::SUCCESS)?),
            () = tell(&shop) => Ok(ExitCode::SUCCESS),
        }
    }

    fn tuning(&self) -> anyhow::Result<Tuning> {
        if self.slots == 0 || self.service_time.0.is_zero() || !(0.0..1e6).contains(&self.contention) {
            return Err(usage("--slots and --service-time must be above 0, --contention not below"));
        }
        Ok(Tuning {
            slots: self.slots,
            service_time: self.service_time.0,
            contention: self.contention,
            waiters_per_slot: self.waiters_per_slot,
            patience: self.patience.0,
            statement_timeout: self.statement_timeout.0,
            recovery: self.recovery.0,
        })
    }
}

/// A line for each second in which something happened.
async fn tell(shop: &shop::Shop) {
    let mut last = Report::default();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        let now = shop.report();
        if now != last {
            println!("{}", line(&now, &last));
            last = now;
        }
    }
}

fn line(now: &Report, last: &Report) -> String {
    format!(
        "orders {} (+{})  failed {} (+{})  pages {} (+{})  failed {} (+{})  by weir {}  in flight {}  p50 {:.0} ms  p99 {:.0} ms",
        now.orders_ok,
        now.orders_ok - last.orders_ok,
        now.orders_failed,
        now.orders_failed - last.orders_failed,
        now.pages_ok,
        now.pages_ok - last.pages_ok,
        now.pages_failed,
        now.pages_failed - last.pages_failed,
        now.by_weir,
        now.in_flight,
        now.latency.p50_ms,
        now.latency.p99_ms,
    )
}
