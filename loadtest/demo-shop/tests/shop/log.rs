//! The log, read over HTTP as a harness does.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use demo_shop::database::Tuning;
use demo_shop::inventory::Inventory;
use demo_shop::log::Log;
use demo_shop::model::Model;
use evidence::Page;
use evidence::shop::{Entry, Outcome};
use http::Request;
use http_body_util::Full;
use tokio::task::JoinSet;

use crate::browser::{Reply, get, send};
use crate::open;

fn shop(tuning: Tuning, stock: u64) -> SocketAddr {
    open(Inventory::Model(Model::new(tuning, stock)), Log::default()).1
}

fn quick() -> Tuning {
    Tuning { service_time: Duration::from_millis(1), ..Tuning::default() }
}

/// A request as a gateway sends it on, with this name.
async fn pass_on(shop: SocketAddr, name: String, pass: &str, line: &str, form: &str) -> Reply {
    let (method, path) = line.split_once(' ').unwrap();
    let request = Request::builder().method(method).uri(path).header("x-request-id", name);
    let request = request.header("weir-pass-id", pass).header("weir-room", "launch");
    send(shop, request.body(Full::from(form.to_owned())).unwrap()).await
}

/// Everything on the log, read to its end; each piece begins after the last one.
async fn read(shop: SocketAddr) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    loop {
        let after = all.last().map_or(0, |entry| entry.seq);
        let piece = get(shop, &format!("/shop/log?after={after}")).await;
        assert_eq!(piece.headers["content-type"], "application/x-ndjson");
        if piece.body.is_empty() {
            return all;
        }
        all.extend(piece.body.lines().map(|line| serde_json::from_str::<Entry>(line).unwrap()));
    }
}

#[tokio::test]
async fn every_request_of_a_crowd_is_on_the_log_once_by_its_name() {
    let shop = shop(quick(), 30);
    let mut crowd = JoinSet::new();
    for i in 0..50 {
        crowd.spawn(async move {
            let pass = format!("pass{i}");
            pass_on(shop, format!("{i}-item"), &pass, "GET /launch/item", "").await;
            let order = pass_on(shop, format!("{i}-order"), &pass, "POST /launch/order", &format!("key=k{i}")).await;
            let Some(order) = order.order() else { return };
            let form = format!("order={order}&key=p{i}");
            pass_on(shop, format!("{i}-pay"), &pass, "POST /launch/payment", &form).await;
        });
    }
    crowd.join_all().await;
    let log = read(shop).await;
    let by_name: HashMap<_, _> = log.iter().map(|entry| (entry.request_id.clone().unwrap(), entry)).collect();
    assert_eq!((log.len(), by_name.len()), (130, 130), "50 pages, 50 orders, 30 payments");
    assert!(log.iter().map(|entry| entry.seq).eq(1..=130));
    assert!(log.iter().all(|entry| entry.arrived_us <= entry.answered_us && entry.room.as_deref() == Some("launch")));
    let ended = |page, outcome| log.iter().filter(|entry| (entry.page, entry.outcome) == (page, outcome)).count();
    assert_eq!((ended(Page::Order, Outcome::Ok), ended(Page::Payment, Outcome::Ok)), (30, 30));
    assert_eq!(ended(Page::Order, Outcome::SoldOut), 20);
    for i in 0..50 {
        let order = by_name[&format!("{i}-order")];
        assert_eq!(order.pass_id.as_deref(), Some(format!("pass{i}").as_str()));
        let paid = by_name.get(&format!("{i}-pay")).and_then(|entry| entry.order);
        assert_eq!(paid, order.order, "the order that was made is the one that was paid");
    }
    assert_eq!(log.iter().filter(|entry| entry.new).count(), 50, "a pass is new once");
}

#[tokio::test]
async fn what_failed_and_what_was_sent_twice_is_on_the_log_as_it_was_answered() {
    let shop = shop(quick(), 30);
    let first = pass_on(shop, "1".into(), "p", "POST /launch/order", "key=k").await.order();
    pass_on(shop, "2".into(), "p", "POST /launch/order", "key=k").await;
    pass_on(shop, "3".into(), "p", "POST /launch/order", "key=%00").await;
    pass_on(shop, "4".into(), "p", "POST /launch/payment", "order=77").await;
    pass_on(shop, "5".into(), "p", "GET /launch/order", "").await;
    pass_on(shop, "6".into(), "p", "POST /launch/cart", "").await;
    get(shop, "/launch/item").await;
    assert_eq!((get(shop, "/").await.status, get(shop, "/nothing").await.status), (200, 404));
    let told = |entry: Entry| (entry.request_id, entry.page, entry.status, entry.outcome, entry.order);
    let log: Vec<_> = read(shop).await.into_iter().map(told).collect();
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(
        log,
        [
            (named("1"), Page::Order, 200, Outcome::Ok, first),
            (named("2"), Page::Order, 200, Outcome::Ok, first),
            (named("3"), Page::Order, 400, Outcome::Failed, None),
            (named("4"), Page::Payment, 400, Outcome::Failed, Some(77)),
            (named("5"), Page::Other, 404, Outcome::Failed, None),
            (named("6"), Page::Cart, 200, Outcome::Ok, None),
            (None, Page::Item, 200, Outcome::Ok, None),
        ],
        "what is not of the launch is not on it"
    );
}

#[tokio::test]
async fn a_database_that_cannot_is_a_failure_on_the_log() {
    let tuning =
        Tuning { slots: 1, waiters_per_slot: 0, service_time: Duration::from_millis(100), ..Tuning::default() };
    let shop = shop(tuning, 30);
    let mut crowd = JoinSet::new();
    for i in 0..10 {
        crowd.spawn(async move { pass_on(shop, i.to_string(), "p", "GET /launch/item", "").await.status });
    }
    let answers = crowd.join_all().await;
    let failed = answers.iter().filter(|status| **status == 503).count();
    let log = read(shop).await;
    assert!(failed > 0 && answers.contains(&200), "{answers:?}");
    let on_log = log.iter().filter(|entry| (entry.status, entry.outcome) == (503, Outcome::Failed)).count();
    assert_eq!((on_log, log.len()), (failed, 10));
}
