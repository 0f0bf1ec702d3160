//! A database that is slow, silent or gone: 503 in bounded time, and then it works again. And faults of the shop on purpose.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use deadpool_postgres::tokio_postgres::Client;
use demo_shop::database::Tuning;
use demo_shop::inventory::Inventory;
use demo_shop::log::Log;
use demo_shop::model::Model;
use demo_shop::postgres::Settings;
use evidence::shop::Account;
use http::Request;
use http_body_util::Full;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::browser::{Reply, get, post, send, stats};
use crate::server::{PostgresServer, signal};
use crate::wait::until;
use crate::{open, patient, shop_on};

const SOON: Duration = Duration::from_millis(200);

/// Another session holds the lock of the hot row until `COMMIT`.
async fn hold(beside: &Client) {
    beside.batch_execute("BEGIN; SELECT 1 FROM millrace.stock FOR UPDATE").await.unwrap();
}

async fn release(beside: &Client) {
    beside.batch_execute("COMMIT").await.unwrap();
}

/// The processes of the shop's statements that wait for the hot row, once there are so many.
async fn stuck(beside: &Client, so_many: usize) {
    let waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'millrace'";
    until("orders wait for the row", async || {
        (beside.query(waiting, &[]).await.unwrap().len() == so_many).then_some(())
    })
    .await;
}

#[tokio::test]
async fn with_every_connection_in_use_others_get_a_503_and_those_inside_get_their_order() {
    let server = PostgresServer::start().await;
    let (shop, address) = shop_on(&Settings { pool: 2, patience: SOON, ..patient(&server, 10) }).await;
    let beside = server.connect().await;
    hold(&beside).await;
    let inside = [1, 2].map(|i| tokio::spawn(async move { post(address, "order", format!("key=in{i}")).await }));
    stuck(&beside, 2).await;
    for page in ["order", "cart"] {
        let reply = post(address, page, "key=out").await;
        assert_eq!(reply.status, 503);
        assert!(reply.body.contains("No database connection in time"), "{}", reply.body);
    }
    assert_eq!(get(address, "/").await.status, 200, "what needs no database goes on");
    let report = shop.report();
    assert_eq!((report.pages_failed, report.orders_failed, report.in_flight), (2, 1, 2));
    release(&beside).await;
    for order in inside {
        assert!(order.await.unwrap().order().is_some());
    }
    assert!(post(address, "order", "key=out").await.order().is_some(), "the same form works now");
    let account = Account { stock: 10, left_over: 7, orders: 3, ..Account::default() };
    assert_eq!(shop.inventory().account().await.unwrap(), account);
}

#[tokio::test]
async fn a_statement_that_runs_too_long_is_cancelled_and_takes_no_piece() {
    let server = PostgresServer::start().await;
    let (shop, address) = shop_on(&Settings { statement_timeout: SOON, ..patient(&server, 10) }).await;
    let beside = server.connect().await;
    hold(&beside).await;
    let reply = post(address, "order", "key=a").await;
    assert_eq!(reply.status, 503);
    assert!(reply.body.contains("cancelled"), "{}", reply.body);
    release(&beside).await;
    // On a slow machine a statement that waits for no lock may be cancelled, too.
    until("an order", async || post(address, "order", "key=a").await.order()).await;
    let told = until("an account", async || shop.inventory().account().await.ok()).await;
    assert_eq!(told, Account { stock: 10, left_over: 9, orders: 1, ..Account::default() });
}

#[tokio::test]
async fn a_connection_that_keeps_silent_is_given_up_and_replaced() {
    let server = PostgresServer::start().await;
    let (shop, address) = shop_on(&Settings { pool: 1, statement_timeout: SOON, ..patient(&server, 10) }).await;
    let beside = server.connect().await;
    let mine = "SELECT pid FROM pg_stat_activity WHERE application_name = 'millrace'";
    let pid = u32::try_from(beside.query_one(mine, &[]).await.unwrap().get::<_, i32>(0)).unwrap();
    signal("STOP", pid);
    let reply = post(address, "cart", "").await;
    assert_eq!(reply.status, 503);
    assert_eq!(shop.report().last_failure.as_deref(), Some("the database is silent"));
    until("another connection", async || (post(address, "cart", "").await.status == 200).then_some(())).await;
    signal("CONT", pid);
}

#[tokio::test]
async fn a_database_that_is_killed_is_a_503_and_nothing_is_lost_when_it_is_back() {
    let mut server = PostgresServer::start().await;
    let (shop, address) = shop_on(&Settings { pool: 1, ..patient(&server, 10) }).await;
    let before = post(address, "order", "key=before").await.order().unwrap();
    server.kill();
    // The one process that serves this shop may live for a moment longer.
    until("503", async || (get(address, "/launch/item").await.status == 503).then_some(())).await;
    for page in ["cart", "order", "payment"] {
        let reply = post(address, page, "order=1&key=during").await;
        assert_eq!(reply.status, 503, "{page}");
        assert!(reply.body.contains("The database is away"), "{}", reply.body);
    }
    let told = stats(address).await;
    assert!(told.account.is_none() && told.last_failure.is_some(), "{told:?}");
    server.restart().await;
    let after = until("an order", async || post(address, "order", "key=during").await.order()).await;
    assert_ne!(after, before);
    assert_eq!(post(address, "order", "key=before").await.order(), Some(before));
    let account = Account { stock: 10, left_over: 8, orders: 2, ..Account::default() };
    assert_eq!(shop.inventory().account().await.unwrap(), account);
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_leaves_no_lock_and_its_order_is_on_the_log() {
    let server = PostgresServer::start().await;
    let (shop, address) = shop_on(&patient(&server, 10)).await;
    let beside = server.connect().await;
    hold(&beside).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let order = b"POST /launch/order HTTP/1.1\r\nhost: shop\r\nx-request-id: gone\r\ncontent-length: 7\r\n\r\nkey=abc";
    client.write_all(order).await.unwrap();
    stuck(&beside, 1).await;
    drop(client);
    release(&beside).await;
    let line = until("its entry", async || Some(shop.log().read(0)).filter(|log| !log.is_empty())).await;
    assert!(line.contains("\"gone\"") && line.contains("\"outcome\":\"ok\",\"order\":"), "{line}");
    assert!(post(address, "order", "key=next").await.order().is_some());
    let held = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE application_name = 'millrace'";
    until("no locks", async || (beside.query_one(held, &[]).await.unwrap().get::<_, i64>(0) == 0).then_some(())).await;
    let account = Account { stock: 10, left_over: 8, orders: 2, ..Account::default() };
    assert_eq!(shop.inventory().account().await.unwrap(), account);
}

/// Puts other faults in force.
async fn put(shop: SocketAddr, document: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::put("/shop/faults");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(shop, request.body(Full::from(document.to_owned())).unwrap()).await
}

fn on_model() -> SocketAddr {
    let tuning = Tuning { service_time: Duration::ZERO, ..Tuning::default() };
    open(Inventory::Model(Model::new(tuning, 10)), Log::default()).1
}

#[tokio::test]
async fn a_shop_that_is_late_answers_each_page_later_and_works_as_before() {
    let address = on_model();
    assert_eq!(put(address, r#"{"delay": "120ms"}"#, &[]).await.status, 200);
    let begun = Instant::now();
    assert!(post(address, "order", "key=a").await.order().is_some());
    assert!(begun.elapsed() >= Duration::from_millis(120));
    assert_eq!(put(address, "{}", &[]).await.body, r#"{"delay":"0s","errors":false,"says":null}"#);
}

#[tokio::test]
async fn a_shop_that_fails_says_500_and_nothing_is_ordered() {
    let address = on_model();
    put(address, r#"{"errors": true}"#, &[]).await;
    assert_eq!(post(address, "order", "key=a").await.status, 500);
    assert_eq!(get(address, "/healthz").await.status, 200);
    put(address, "{}", &[]).await;
    assert!(post(address, "order", "key=a").await.order().is_some());
    assert_eq!(stats(address).await.account.unwrap().orders, 1);
}

#[tokio::test]
async fn a_shop_that_lies_says_what_it_is_told_beside_its_other_command() {
    let address = on_model();
    put(address, r#"{"says": "rate=NaN/m; ttl=30s"}"#, &[]).await;
    let order = post(address, "order", "key=a").await;
    assert_eq!(order.headers["weir-command"], "rate=NaN/m; ttl=30s");
    let paid = post(address, "payment", format!("order={}&key=p", order.order().unwrap())).await;
    assert_eq!(paid.headers["weir-command"], "revoke, rate=NaN/m; ttl=30s");
    put(address, "{}", &[]).await;
    assert!(get(address, "/").await.headers.get("weir-command").is_none());
}

#[tokio::test]
async fn a_fault_that_makes_no_sense_is_refused_and_one_that_came_by_a_proxy_too() {
    let address = on_model();
    for (wrong, why) in [
        (r#"{"delay": 120}"#, "string"),
        (r#"{"delay": "120"}"#, "has a unit"),
        (r#"{"latency": "1s"}"#, "unknown field `latency`"),
        (r#"{"says": "a\nb"}"#, "cannot stand in a header"),
        ("", "EOF"),
    ] {
        let reply = put(address, wrong, &[]).await;
        assert!(reply.status == 400 && reply.body.contains(why), "{wrong}: {reply:?}");
    }
    assert_eq!(put(address, r#"{"errors": true}"#, &[("via", "1.1 x")]).await.status, 404);
    assert_eq!(get(address, "/shop/faults").await.body, r#"{"delay":"0s","errors":false,"says":null}"#);
}
