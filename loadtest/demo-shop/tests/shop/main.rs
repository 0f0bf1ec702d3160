//! The demo shop over real sockets: its inventory in a real PostgreSQL, and its log.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod browser;
mod faults;
mod inventory;
mod log;
mod purchase;
mod server;
mod wait;

use std::net::SocketAddr;
use std::sync::Arc;

use demo_shop::Shop;
use demo_shop::inventory::Inventory;
use demo_shop::log::Log;
use demo_shop::postgres::{Postgres, Settings};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use server::PostgresServer;
use wait::AGES;

/// A shop that waits for ages, so that only what is meant to fail does.
fn patient(server: &PostgresServer, stock: u64) -> Settings {
    Settings { url: server.url(), pool: 4, patience: AGES, statement_timeout: AGES, stock: Some(stock) }
}

/// A shop on this database, and where it listens.
async fn shop_on(settings: &Settings) -> (Arc<Shop>, SocketAddr) {
    open(Inventory::Postgres(Postgres::open(settings).await.unwrap()), Log::default())
}

fn open(inventory: Inventory, log: Log) -> (Arc<Shop>, SocketAddr) {
    listen(Shop::open(inventory, log))
}

/// A shop on a free port.
fn listen(shop: Arc<Shop>) -> (Arc<Shop>, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    tokio::spawn(Arc::clone(&shop).serve(listener, CancellationToken::new()));
    (shop, address)
}
