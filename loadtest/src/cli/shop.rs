//! `loadtest shop`: keeps a demo shop open, on a model of a database or on a real one, and prints every second what
//! it sold.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use demo_shop::database::Tuning;
use demo_shop::inventory::Inventory;
use demo_shop::log::Log;
use demo_shop::model::Model;
use demo_shop::postgres::{Postgres, Settings};
use demo_shop::{PLENTY, Shop};
use evidence::shop::Report;
use launch_model::span::Span;
use tokio_util::sync::CancellationToken;

use super::usage;

#[derive(Args)]
pub(crate) struct ShopArgs {
    /// Where it listens
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: String,
    /// A PostgreSQL for its inventory, as `postgres://user@host/database`; otherwise a model of a database in memory
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Connections to that database
    #[arg(long, default_value = "10", requires = "database")]
    pool: NonZeroUsize,
    /// Pieces for sale. In a database this opens a new sale; without it the last one goes on
    #[arg(long)]
    stock: Option<u64>,
    /// Write the log of the launch pages to this file too, as JSON lines
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// How long a request waits for a connection, or a slot of the model
    #[arg(long, default_value_t = Span(Tuning::default().patience))]
    patience: Span,
    /// How long a query may run
    #[arg(long, default_value_t = Span(Tuning::default().statement_timeout))]
    statement_timeout: Span,
    #[command(flatten)]
    model: ModelArgs,
}

/// The model's parameters.
#[derive(Args)]
struct ModelArgs {
    /// Model: queries that run at the same time
    #[arg(long, default_value_t = Tuning::default().slots, conflicts_with = "database")]
    slots: usize,
    /// Model: time of the product page when no query waits; order and payment take 2 and 3 times it
    #[arg(long, default_value_t = Span(Tuning::default().service_time), conflicts_with = "database")]
    service_time: Span,
    /// Model: how much slower everything gets with one waiting request per slot
    #[arg(long, default_value_t = Tuning::default().contention, conflicts_with = "database")]
    contention: f64,
    /// Model: waiting requests per slot beyond which more are refused
    #[arg(long, default_value_t = Tuning::default().waiters_per_slot, conflicts_with = "database")]
    waiters_per_slot: usize,
    /// Model: how long the slot of a cancelled query stays busy
    #[arg(long, default_value_t = Span(Tuning::default().recovery), conflicts_with = "database")]
    recovery: Span,
}

impl ShopArgs {
    async fn inventory(&self) -> anyhow::Result<Inventory> {
        let Some(url) = self.database.clone() else {
            return Ok(Inventory::Model(Model::new(self.tuning()?, self.stock.unwrap_or(PLENTY))));
        };
        let settings = Settings {
            url,
            pool: self.pool.get(),
            patience: self.patience.0,
            statement_timeout: self.statement_timeout.0,
            stock: self.stock,
        };
        Ok(Inventory::Postgres(Postgres::open(&settings).await?))
    }

    fn tuning(&self) -> anyhow::Result<Tuning> {
        let model = &self.model;
        if model.slots == 0 || model.service_time.0.is_zero() || !(0.0..1e6).contains(&model.contention) {
            return Err(usage("--slots and --service-time must be above 0, --contention not below"));
        }
        Ok(Tuning {
            slots: model.slots,
            service_time: model.service_time.0,
            contention: model.contention,
            waiters_per_slot: model.waiters_per_slot,
            patience: self.patience.0,
            statement_timeout: self.statement_timeout.0,
            recovery: model.recovery.0,
        })
    }

    fn log(&self) -> anyhow::Result<Log> {
        let Some(path) = &self.log else { return Ok(Log::default()) };
        Log::to_file(path).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Keeps the shop open until it is asked to stop.
pub(crate) async fn run(args: &ShopArgs) -> anyhow::Result<ExitCode> {
    let listener = tokio::net::TcpListener::bind(&args.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", args.listen))?;
    let shop = Shop::open(args.inventory().await?, args.log()?);
    println!("The shop is open: http://{}/{}", listener.local_addr()?, capacity(&shop));
    let serving = Arc::clone(&shop).serve(listener, CancellationToken::new());
    tokio::select! {
        () = serving => {}
        () = watch(&shop) => {}
        stopped = tokio::signal::ctrl_c() => stopped?,
    }
    shop.log().flush().context("the log file")?;
    Ok(ExitCode::SUCCESS)
}

fn capacity(shop: &Shop) -> String {
    if shop.capacity() > 0.0 { format!("  ({:.0} orders a second)", shop.capacity()) } else { String::new() }
}

/// Prints the last second, if anything happened in it.
async fn watch(shop: &Shop) {
    let mut last = Report::default();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        if let Err(error) = shop.log().flush() {
            eprintln!("loadtest: the log file is given up: {error}");
        }
        let now = shop.report();
        if now != last {
            say(&now, &last);
            last = now;
        }
    }
}

/// One line for the last second of a shop.
fn say(now: &Report, last: &Report) {
    println!(
        "orders {} (+{})  failed {} (+{})  pages {} (+{})  failed {} (+{})  sold out {}  by weir {}  in flight {}  \
         p50 {:.0} ms  p99 {:.0} ms",
        now.orders_ok,
        now.orders_ok - last.orders_ok,
        now.orders_failed,
        now.orders_failed - last.orders_failed,
        now.pages_ok,
        now.pages_ok - last.pages_ok,
        now.pages_failed,
        now.pages_failed - last.pages_failed,
        now.sold_out,
        now.by_weir,
        now.in_flight,
        now.latency.p50_ms,
        now.latency.p99_ms,
    );
    if let Some(failure) = now.last_failure.as_ref().filter(|_| now.last_failure != last.last_failure) {
        println!("  {failure}");
    }
}
