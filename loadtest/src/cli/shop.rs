//! `loadtest shop`: keeps a demo shop open, on a model of a database or on a real one, and prints every second what
//! it sold.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use demo_shop::database::Tuning;
use demo_shop::inventory::Inventory;
use demo_shop::log::Log;
use demo_shop::model::Model;
use demo_shop::postgres::{Postgres, Settings};
use demo_shop::words::Words;
use demo_shop::{PLENTY, Shop, Terms, payment};
use evidence::shop::Report;
use launch_model::scenario;
use launch_model::span::Span;
use tokio_util::sync::CancellationToken;

use super::usage;

/// The longest name of a product, in bytes.
const LONGEST_SKU: usize = 64;

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
    /// Pieces for sale: `500`, or `shoe-270=500` to tell a gateway what is left of it (Weir-Stock). In a database this opens a
    /// new sale; without it the last one goes on
    #[arg(long, value_name = "[SKU=]N")]
    stock: Option<Pieces>,
    /// Tell a gateway how full the stages of a purchase are (endpoint-load-metrics, ORCA)
    #[arg(long)]
    orca: bool,
    /// Tell a gateway the rate of new shoppers that the slowest stage can take (Weir-Command: rate=...): this part of what it
    /// delivers
    #[arg(long, value_name = "PART", num_args = 0..=1, require_equals = true, default_missing_value = "0.9", value_parser = part)]
    rate: Option<f64>,
    /// How long a piece is set aside for its payment; without it until it is paid
    #[arg(long, value_name = "TIME")]
    reserve: Option<Span>,
    /// Take each form that comes for an order or a charge of its own, whatever its key
    #[arg(long)]
    ignore_keys: bool,
    /// Payments that a third party takes at once; without it a payment is work of the database alone
    #[arg(long, value_name = "N")]
    payment_pool: Option<NonZeroUsize>,
    /// How long the third party works on a payment, in the mean
    #[arg(long, value_name = "TIME", default_value_t = scenario::Payment::default().latency, requires = "payment_pool")]
    payment_latency: Span,
    /// How long a payment waits there for its turn
    #[arg(long, value_name = "TIME", default_value_t = scenario::Payment::default().patience, requires = "payment_pool")]
    payment_patience: Span,
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

/// A part of something, more than nothing of it.
fn part(text: &str) -> Result<f64, String> {
    let part = text.parse().ok().filter(|part| *part > 0.0 && *part <= 1.0);
    part.ok_or_else(|| format!("{text:?} is no part between 0 and 1: write --rate=0.9"))
}

/// Pieces for sale, and the name under which they are told.
#[derive(Clone)]
struct Pieces {
    sku: Option<String>,
    pieces: u64,
}

impl FromStr for Pieces {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (sku, pieces) = text.rsplit_once('=').map_or((None, text), |(sku, pieces)| (Some(sku), pieces));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if sku.is_some_and(|sku| sku.is_empty() || sku.len() > LONGEST_SKU || !sku.chars().all(is_plain)) {
            return Err(format!(
                "the name has 1 to {LONGEST_SKU} of a-z, A-Z, 0-9, \"-\", \"_\" and \".\": shoe-270=500"
            ));
        }
        let pieces =
            pieces.parse().map_err(|_| format!("{pieces:?} is no number of pieces: write 500 or shoe-270=500"))?;
        Ok(Self { sku: sku.map(str::to_owned), pieces })
    }
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
        let pieces = self.stock.as_ref().map(|stock| stock.pieces);
        let Some(url) = self.database.clone() else {
            return Ok(Inventory::Model(Model::new(self.tuning()?, pieces.unwrap_or(PLENTY))));
        };
        let settings = Settings {
            url,
            pool: self.pool.get(),
            patience: self.patience.0,
            statement_timeout: self.statement_timeout.0,
            stock: pieces,
        };
        Ok(Inventory::Postgres(Postgres::open(&settings).await?))
    }

    fn terms(&self) -> Terms {
        let payment = |pool: NonZeroUsize| payment::Tuning {
            pool: pool.get(),
            latency: self.payment_latency.0,
            patience: self.payment_patience.0,
        };
        Terms {
            payment: self.payment_pool.map(payment),
            reserve: self.reserve.map(|reserve| reserve.0),
            ignores_keys: self.ignore_keys,
            words: Words {
                orca: self.orca,
                rate: self.rate,
                stock: self.stock.as_ref().and_then(|stock| stock.sku.clone()),
            },
        }
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
    let shop = Shop::on_terms(args.terms(), args.inventory().await?, args.log()?);
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
