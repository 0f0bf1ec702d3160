//! The demo shop over real sockets: its books in a real PostgreSQL, and its log.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod books;
mod browser;
mod faults;
mod log;
mod program;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use loadtest::shop::Shop;
use loadtest::shop::books::Books;
use loadtest::shop::log::Log;
use loadtest::shop::postgres::{Postgres, Settings};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use server::PostgresServer;

/// Longer than anything takes that works.
const AGES: Duration = Duration::from_mins(1);

/// Waits for what comes sooner or later.
async fn until<T>(what: &str, mut done: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = done().await {
            return found;
        }
        assert!(start.elapsed() < AGES, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A shop that waits for ages, so that only what is meant to fail does.
fn patient(server: &PostgresServer, stock: u64) -> Settings {
    Settings { url: server.url(), pool: 4, patience: AGES, statement_timeout: AGES, stock: Some(stock) }
}

/// A shop on this database, and where it listens.
async fn shop_on(settings: &Settings) -> (Arc<Shop>, SocketAddr) {
    open(Books::Postgres(Postgres::open(settings).await.unwrap()), Log::default()).await
}

async fn open(books: Books, log: Log) -> (Arc<Shop>, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shop = Shop::open(books, log);
    tokio::spawn(Arc::clone(&shop).serve(listener, CancellationToken::new()));
    (shop, address)
}
