//! The demo shop, on a thread of its own.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context;
use demo_shop::database::Tuning;
use demo_shop::inventory::Inventory;
use demo_shop::log::Log;
use demo_shop::model::Model;
use demo_shop::postgres::{Postgres, Settings};
use demo_shop::words::{PART, Words};
use demo_shop::{PLENTY, Shop, Terms};
use launch_model::scenario::{self, Scenario, Word};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::local::{listen, spawn};

/// The name of the product in `Weir-Stock`.
const SKU: &str = "weir-one";

/// A fresh shop of this scenario on a free port: on a model of a database, or on this one.
pub(super) async fn of(
    scenario: &Scenario,
    database: Option<&str>,
    cancel: &CancellationToken,
) -> anyhow::Result<SocketAddr> {
    let wanted = &scenario.shop;
    let Some(url) = database else {
        let tuning = Tuning { slots: wanted.slots, service_time: wanted.service_time.0, ..Tuning::default() };
        let inventory = Inventory::Model(Model::new(tuning, wanted.stock.unwrap_or(PLENTY)));
        return serve(Shop::on_terms(terms(wanted), inventory, Log::default()), listen(0)?, cancel);
    };
    let settings = Settings {
        url: url.to_owned(),
        pool: wanted.slots,
        patience: Tuning::default().patience,
        statement_timeout: Tuning::default().statement_timeout,
        // Always a sale of its own, so that its account is that of this run.
        stock: Some(wanted.stock.unwrap_or(PLENTY)),
    };
    on_database(settings, terms(wanted), cancel).await
}

fn terms(shop: &scenario::Shop) -> Terms {
    let tells = |word| shop.tells.contains(&word);
    Terms {
        payment: shop.payment.as_ref().map(Into::into),
        reserve: shop.reserve.map(|reserve| reserve.0),
        ignores_keys: shop.ignores_keys,
        words: Words {
            orca: tells(Word::Orca),
            rate: tells(Word::Rate).then_some(PART),
            stock: tells(Word::Stock).then(|| SKU.to_owned()),
        },
    }
}

/// A fresh shop on a model, on this port of loopback or on a free one.
pub(crate) fn open(tuning: &Tuning, port: u16, cancel: &CancellationToken) -> anyhow::Result<(Arc<Shop>, SocketAddr)> {
    let shop = Shop::new(tuning.clone());
    let address = serve(Arc::clone(&shop), listen(port)?, cancel)?;
    Ok((shop, address))
}

fn serve(shop: Arc<Shop>, listener: TcpListener, cancel: &CancellationToken) -> anyhow::Result<SocketAddr> {
    let (address, cancel) = (listener.local_addr()?, cancel.clone());
    spawn(keep(shop, listener, cancel))?;
    Ok(address)
}

/// Connections to a database belong to the thread that opened them, so it is opened where it is used.
async fn on_database(settings: Settings, terms: Terms, cancel: &CancellationToken) -> anyhow::Result<SocketAddr> {
    let (listener, cancel) = (listen(0)?, cancel.clone());
    let address = listener.local_addr()?;
    let (tell, opened) = oneshot::channel();
    spawn(async move {
        match Postgres::open(&settings).await {
            Ok(inventory) => {
                let _ = tell.send(Ok(()));
                let shop = Shop::on_terms(terms, Inventory::Postgres(inventory), Log::default());
                keep(shop, listener, cancel).await;
            }
            Err(failure) => drop(tell.send(Err(failure))),
        }
    })?;
    opened.await?.context("the database of the shop (--database)")?;
    Ok(address)
}

async fn keep(shop: Arc<Shop>, listener: TcpListener, cancel: CancellationToken) {
    let listening = listener.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(listener));
    match listening {
        Ok(listener) => shop.serve(listener, cancel).await,
        Err(error) => eprintln!("loadtest: the shop cannot listen: {error}"),
    }
}
