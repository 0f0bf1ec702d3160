//! A purchase on terms: orders that end, a third party that takes payments, and what the shop tells of itself. The promises
//! are the same on the model and on a real database.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use demo_shop::database::Tuning;
use demo_shop::inventory::Inventory;
use demo_shop::log::Log;
use demo_shop::model::Model;
use demo_shop::postgres::{Postgres, Settings};
use demo_shop::words::{PART, Words};
use demo_shop::{Shop, Terms, payment};
use evidence::shop::{Account, Report, Stages};
use http::{Method, Request};
use http_body_util::Full;
use tokio::task::JoinSet;

use crate::browser::{Reply, get, post, post_with, send, stats};
use crate::server::PostgresServer;
use crate::wait::{AGES, until};
use crate::{listen, patient};

const SOON: Duration = Duration::from_millis(300);

fn quick() -> Tuning {
    Tuning { service_time: Duration::from_millis(1), patience: AGES, ..Tuning::default() }
}

/// A third party that has room for everybody.
fn payments(latency: Duration) -> payment::Tuning {
    payment::Tuning { pool: 100, latency, patience: AGES }
}

fn on_model(terms: Terms, stock: u64) -> (Arc<Shop>, SocketAddr) {
    listen(Shop::on_terms(terms, Inventory::Model(Model::new(quick(), stock)), Log::default()))
}

async fn on_database(terms: Terms, settings: &Settings) -> (Arc<Shop>, SocketAddr) {
    let inventory = Inventory::Postgres(Postgres::open(settings).await.unwrap());
    listen(Shop::on_terms(terms, inventory, Log::default()))
}

/// The same form so many times at once.
async fn at_once(shop: SocketAddr, page: &'static str, form: &str, times: usize) -> Vec<Reply> {
    let mut all = JoinSet::new();
    for _ in 0..times {
        let form = form.to_owned();
        all.spawn(async move { post(shop, page, form).await });
    }
    all.join_all().await
}

fn header<'r>(reply: &'r Reply, name: &str) -> &'r str {
    reply.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// An order that is not paid ends, and its piece is sold again; one that is under payment does not.
async fn an_order_ends_but_not_under_payment((shop, address): (Arc<Shop>, SocketAddr)) {
    let first = post(address, "order", "key=a").await.order().unwrap();
    let second = post(address, "order", "key=b").await.order().unwrap();
    // The third party takes far longer than an order is set aside for.
    let paying = tokio::spawn(async move { post(address, "payment", format!("order={second}&key=p")).await });
    let again = until("the piece comes back", async || post(address, "order", "key=c").await.order()).await;
    let late = post(address, "payment", format!("order={first}&key=q")).await;
    assert_eq!(late.status, 409, "{}", late.body);
    assert!(late.body.contains("was not paid in time") && header(&late, "weir-command").is_empty(), "{}", late.body);
    let receipt = paying.await.unwrap();
    assert!(receipt.status == 200 && receipt.body.contains("is paid and on its way"), "{}", receipt.body);
    assert_eq!(post(address, "payment", format!("order={again}9999&key=q")).await.status, 400);
    let told = stats(address).await;
    let account = told.account.unwrap();
    assert_eq!((account.paid, account.sold_twice, account.oversold, account.unaccounted), (1, 0, 0, 0), "{account:?}");
    assert!(account.ended >= 1, "{account:?}");
    assert_eq!((told.charged_twice, shop.report().orders_ok), (0, 1));
}

fn short() -> Terms {
    Terms { reserve: Some(5 * SOON), payment: Some(payments(15 * SOON)), ..Terms::default() }
}

#[tokio::test]
async fn an_order_ends_on_the_model_but_not_under_payment() {
    an_order_ends_but_not_under_payment(on_model(short(), 2)).await;
}

#[tokio::test]
async fn an_order_ends_in_a_database_but_not_under_payment() {
    let server = PostgresServer::start().await;
    an_order_ends_but_not_under_payment(on_database(short(), &patient(&server, 2)).await).await;
}

/// A payment of a form that comes ten times at once is charged once.
async fn a_payment_is_charged_once((_, address): (Arc<Shop>, SocketAddr)) {
    let order = post(address, "order", "key=a").await.order().unwrap();
    let replies = at_once(address, "payment", &format!("order={order}&key=p"), 10).await;
    assert!(replies.iter().all(|reply| reply.body.contains("is paid and on its way")), "{replies:?}");
    post(address, "payment", format!("order={order}&key=another")).await;
    let Report { charged_twice, key_duplicates, account, .. } = stats(address).await;
    assert_eq!((charged_twice, key_duplicates, account.map(|account| account.paid)), (0, 0, Some(1)));
}

#[tokio::test]
async fn a_form_is_charged_once_however_often_it_comes() {
    let server = PostgresServer::start().await;
    let terms = || Terms { payment: Some(payments(SOON)), reserve: Some(AGES), ..Terms::default() };
    a_payment_is_charged_once(on_model(terms(), 10)).await;
    a_payment_is_charged_once(on_database(terms(), &patient(&server, 10)).await).await;
}

/// A shop that ignores keys makes an order and a charge of each form, and says so.
async fn a_form_that_comes_twice_is_two((_, address): (Arc<Shop>, SocketAddr)) {
    let key = [("idempotency-key", "\"8e03978e\"")];
    let orders = [0, 1].map(|_| post_with(address, "order", "key=a", &key));
    let [first, second] = orders;
    let (first, second) = (first.await.order().unwrap(), second.await.order().unwrap());
    assert_ne!(first, second);
    for _ in 0..3 {
        assert_eq!(post(address, "payment", format!("order={first}&key=p")).await.status, 200);
    }
    let told = stats(address).await;
    assert_eq!((told.charged_twice, told.key_repeats, told.key_duplicates), (1, 3, 3), "{told:?}");
    assert_eq!(told.account.map(|account| (account.orders, account.paid)), Some((2, 1)));
}

#[tokio::test]
async fn a_shop_that_ignores_keys_charges_a_form_twice_and_says_so() {
    let server = PostgresServer::start().await;
    let terms = || Terms { payment: Some(payments(Duration::ZERO)), ignores_keys: true, ..Terms::default() };
    a_form_that_comes_twice_is_two(on_model(terms(), 10)).await;
    a_form_that_comes_twice_is_two(on_database(terms(), &patient(&server, 10)).await).await;
}

#[tokio::test]
async fn the_key_of_a_gateway_counts_where_a_form_has_none() {
    let (_, address) = on_model(Terms::default(), 10);
    let key = [("idempotency-key", "\"from the gateway\"")];
    let first = post_with(address, "order", "", &key).await.order().unwrap();
    assert_eq!(post_with(address, "order", "", &key).await.order(), Some(first));
    assert_ne!(post(address, "order", "").await.order(), Some(first), "without any, each form is another one");
    let told = stats(address).await;
    assert_eq!((told.key_repeats, told.key_duplicates), (1, 0));
}

/// The shop tells what is left and what is set aside, and how full it is.
async fn what_is_left_is_told((_, address): (Arc<Shop>, SocketAddr)) {
    let told = async |wanted: &str| (header(&get(address, "/").await, "weir-stock") == wanted).then_some(());
    until("three are left", async || told("sku=shoe-270; left=3; held=0").await).await;
    let order = post(address, "order", "key=a").await;
    assert!(header(&order, "endpoint-load-metrics").starts_with("TEXT application_utilization="), "{order:?}");
    until("one is set aside", async || told("sku=shoe-270; left=2; held=1").await).await;
    let paid = post(address, "payment", format!("order={}&key=p", order.order().unwrap())).await;
    assert!(header(&paid, "weir-command").starts_with("revoke"), "{paid:?}");
    until("one is sold", async || told("sku=shoe-270; left=2; held=0").await).await;
}

fn talkative() -> Terms {
    let words = Words { orca: true, rate: Some(PART), stock: Some("shoe-270".into()) };
    Terms { words, payment: Some(payments(Duration::ZERO)), ..Terms::default() }
}

#[tokio::test]
async fn a_shop_tells_what_is_left_on_the_model_and_in_a_database() {
    let server = PostgresServer::start().await;
    what_is_left_is_told(on_model(talkative(), 3)).await;
    what_is_left_is_told(on_database(talkative(), &patient(&server, 3)).await).await;
}

#[tokio::test]
async fn a_shop_that_knows_what_it_delivers_tells_the_rate_beside_its_other_command() {
    let (shop, address) = on_model(Terms { payment: None, ..talkative() }, 1_000);
    for n in 0..20 {
        get(address, "/launch/item").await;
        let order = post(address, "order", format!("key=o{n}")).await.order().unwrap();
        post(address, "payment", format!("order={order}&key=p{n}")).await;
    }
    let order = post(address, "order", "key=last").await;
    let rate = header(&order, "weir-command").to_owned();
    let per_minute = rate.strip_prefix("rate=").and_then(|rate| rate.strip_suffix("/m; ttl=30s"));
    let per_minute: f64 = per_minute.unwrap_or_else(|| panic!("{rate:?}")).parse().unwrap();
    assert!((0.7..1.0).contains(&(per_minute / 60.0 / shop.capacity())), "{per_minute} of {}", shop.capacity() * 60.0);
    let paid = post(address, "payment", format!("order={}&key=p", order.order().unwrap())).await;
    assert!(header(&paid, "weir-command").starts_with("revoke, rate="), "{paid:?}");
    shop.set_share("order", 0.5).unwrap();
    let halved = header(&get(address, "/").await, "weir-command").to_owned();
    let halved: f64 = halved["rate=".len()..halved.find('/').unwrap()].parse().unwrap();
    assert!((0.4..0.6).contains(&(halved / per_minute)), "{halved} of {per_minute}");
}

#[tokio::test]
async fn without_terms_a_shop_tells_nothing_of_itself() {
    let (_, address) = on_model(Terms::default(), 3);
    let page = get(address, "/launch/item").await;
    for name in ["weir-command", "weir-stock", "endpoint-load-metrics"] {
        assert!(page.headers.get(name).is_none(), "{name}");
    }
}

async fn set(shop: SocketAddr, query: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::builder().method(Method::POST).uri(format!("/shop/stages?{query}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(shop, request.body(Full::default()).unwrap()).await
}

/// A stage has a tenth of its pool, and then all of it again.
async fn a_stage_is_made_smaller((_, address): (Arc<Shop>, SocketAddr), pools: [usize; 2]) {
    let seen = |reply: Reply| {
        let stages: Stages = serde_json::from_str(&reply.body).unwrap();
        [stages.order.pool, stages.payment.unwrap().pool]
    };
    assert_eq!(seen(get(address, "/shop/stages").await), pools);
    let [order, payment] = pools;
    assert_eq!(seen(set(address, "payment=0.1", &[]).await), [order, payment / 10]);
    assert_eq!(seen(set(address, "order=0.5&payment=1", &[]).await), [order / 2, payment]);
    assert_eq!(seen(set(address, "order=1", &[]).await), pools);
    for (wrong, why) in [
        ("payment=2", "between 0 and 1"),
        ("payment=NaN", "between 0 and 1"),
        ("payment=much", "is no number"),
        ("cart=1", "the stages are order and payment"),
        ("", "write it as payment=0.1"),
    ] {
        let reply = set(address, wrong, &[]).await;
        assert!(reply.status == 400 && reply.body.contains(why), "{wrong}: {reply:?}");
    }
    for proxy in [("x-forwarded-for", "192.0.2.1"), ("weir-room", "launch"), ("via", "1.1 x")] {
        assert_eq!(set(address, "payment=0", &[proxy]).await.status, 404, "{proxy:?}");
    }
    assert_eq!(seen(get(address, "/shop/stages").await), pools, "nobody but the operator stops a shop");
}

#[tokio::test]
async fn a_stage_is_made_smaller_while_it_works_and_by_its_operator_alone() {
    let server = PostgresServer::start().await;
    let terms = || Terms { payment: Some(payments(Duration::ZERO)), ..Terms::default() };
    a_stage_is_made_smaller(on_model(terms(), 3), [20, 100]).await;
    a_stage_is_made_smaller(on_database(terms(), &patient(&server, 3)).await, [4, 100]).await;
}

#[tokio::test]
async fn a_payment_that_finds_no_place_is_a_failure_and_charges_nothing() {
    let third = payment::Tuning { pool: 1, latency: 10 * SOON, patience: SOON };
    let (shop, address) = on_model(Terms { payment: Some(third), ..Terms::default() }, 3);
    let order = post(address, "order", "key=a").await.order().unwrap();
    let other = post(address, "order", "key=b").await.order().unwrap();
    let first = tokio::spawn(async move { post(address, "payment", format!("order={order}&key=p")).await.status });
    until("one is at the third party", async || {
        (shop.stages().payment.is_some_and(|stage| stage.in_work == 1)).then_some(())
    })
    .await;
    let late = post(address, "payment", format!("order={other}&key=q")).await;
    assert!(late.status == 503 && late.body.contains("Nothing was paid"), "{late:?}");
    assert_eq!(first.await.unwrap(), 200);
    let told = stats(address).await;
    let account = Account { stock: 3, left_over: 1, orders: 2, paid: 1, ..Account::default() };
    assert_eq!((told.account, told.orders_failed), (Some(account), 1));
    assert_eq!(told.last_failure.as_deref(), Some("the payment service is overloaded"));
}

#[tokio::test]
async fn tables_of_an_earlier_version_are_taken_over() {
    let server = PostgresServer::start().await;
    drop(on_database(Terms::default(), &patient(&server, 3)).await);
    let beside = server.connect().await;
    let older = "ALTER TABLE millrace.orders DROP COLUMN reserved_until, DROP COLUMN ended_at";
    beside.batch_execute(older).await.unwrap();
    let (_, address) = on_database(short(), &patient(&server, 3)).await;
    assert!(post(address, "order", "key=a").await.order().is_some());
    until("it ends", async || stats(address).await.account.filter(|account| account.ended == 1)).await;
}
