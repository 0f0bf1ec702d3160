//! The inventory's promises, on a real database.

use std::collections::HashSet;

use demo_shop::postgres::{Postgres, Settings};
use evidence::shop::Account;
use tokio::task::JoinSet;

use crate::browser::{Reply, get, post, post_with, stats};
use crate::server::PostgresServer;
use crate::{patient, shop_on};

/// As many requests at once as there are forms.
async fn at_once(shop: std::net::SocketAddr, page: &'static str, forms: impl Iterator<Item = String>) -> Vec<Reply> {
    let mut all = JoinSet::new();
    for form in forms {
        all.spawn(async move { post(shop, page, form).await });
    }
    all.join_all().await
}

#[tokio::test]
async fn two_hundred_orders_at_once_never_take_more_than_fifty_pieces() {
    let server = PostgresServer::start().await;
    let (shop, address) = shop_on(&patient(&server, 50)).await;
    let replies = at_once(address, "order", (0..200).map(|i| format!("item=weir-one&key=k{i}"))).await;
    let orders: HashSet<u64> = replies.iter().filter_map(Reply::order).collect();
    assert_eq!(orders.len(), 50, "each order has a number of its own");
    assert_eq!(replies.iter().filter(|reply| reply.is_sold_out()).count(), 150);
    let account = Account { stock: 50, orders: 50, ..Account::default() };
    assert_eq!(shop.inventory().account().await.unwrap(), account);
    assert!(get(address, "/launch/item").await.is_sold_out(), "the product page says so too");
    assert_eq!(get(address, "/").await.status, 200);
    let told = stats(address).await;
    assert_eq!((told.sold_out, told.account), (151, Some(account)), "a harness reads the same over HTTP");

    let beside = server.connect().await;
    let wrong = beside.execute("UPDATE millrace.stock SET left_over = left_over - 1", &[]).await;
    let broken = wrong.unwrap_err().as_db_error().and_then(|error| error.constraint().map(str::to_owned));
    assert!(broken.unwrap().contains("left_over"), "the database itself refuses to oversell");
}

#[tokio::test]
async fn a_key_makes_one_order_however_often_and_however_many_at_once() {
    let server = PostgresServer::start().await;
    let (shop, address) = shop_on(&patient(&server, 2)).await;
    let replies = at_once(address, "order", (0..20).map(|_| "key=double-click".to_owned())).await;
    let orders: HashSet<_> = replies.iter().map(Reply::order).collect();
    assert!(orders.len() == 1 && !orders.contains(&None), "{orders:?}");
    assert_eq!(shop.report().repeats, 19);
    assert!(post(address, "order", "key=another").await.order().is_some());
    assert!(post(address, "order", "key=too-late").await.is_sold_out());
    let again = post(address, "order", "key=double-click").await;
    assert!(orders.contains(&again.order()), "the order is there when nothing is left");
    let account = Account { stock: 2, orders: 2, ..Account::default() };
    assert_eq!(shop.inventory().account().await.unwrap(), account);
}

#[tokio::test]
async fn an_order_is_paid_once_whoever_pays_it_again() {
    let server = PostgresServer::start().await;
    let (shop, address) = shop_on(&patient(&server, 10)).await;
    let first = post(address, "order", "key=a").await.order().unwrap();
    let second = post(address, "order", "key=b").await.order().unwrap();
    let same = format!("order={first}&key=pay");
    let mut replies = at_once(address, "payment", (0..10).map(|_| same.clone())).await;
    replies.push(post(address, "payment", format!("order={first}&key=other")).await);
    replies.push(post(address, "payment", format!("order={first}")).await);
    replies.push(post(address, "payment", format!("order={second}&key=pay")).await);
    for reply in &replies {
        assert_eq!((reply.status, &reply.headers["weir-command"]), (200, &"revoke".parse().unwrap()));
        assert!(reply.body.contains(&format!("A-{first:06}")), "a key is for one receipt: {}", reply.body);
    }
    let account = shop.inventory().account().await.unwrap();
    assert_eq!((account.paid, account.duplicates, shop.report().orders_ok), (1, 0, 1));
    let own = post(address, "payment", format!("order={second}&key=own")).await;
    let mixed = post(address, "payment", format!("order={second}&key=pay")).await;
    let receipt_of = |reply: &Reply, order: u64| reply.body.contains(&format!("A-{order:06}"));
    assert!(receipt_of(&own, second) && receipt_of(&mixed, first), "the key says which receipt");
    for wrong in ["order=999999&key=x", "order=18446744073709551615&key=x", "order=many", "key=x", "order=0"] {
        let reply = post(address, "payment", wrong).await;
        assert_eq!((reply.status, reply.headers.get("weir-command")), (400, None), "{wrong}");
    }
    assert_eq!(shop.inventory().account().await.unwrap().paid, 2);
}

#[tokio::test]
async fn a_cart_belongs_to_its_session_and_is_emptied_by_the_order() {
    let server = PostgresServer::start().await;
    let (shop, address) = shop_on(&patient(&server, 10)).await;
    let beside = server.connect().await;
    let carts = async || beside.query_one("SELECT count(*) FROM millrace.carts", &[]).await.unwrap().get::<_, i64>(0);
    let page = post(address, "cart", "item=weir-one").await;
    let cookie = page.cookie().expect("a session").to_owned();
    let mine = [("cookie", cookie.as_str())];
    assert_eq!(post_with(address, "cart", "item=weir-one", &mine).await.cookie(), None, "a session is set once");
    post(address, "cart", "item=weir-one").await;
    assert_eq!(carts().await, 2, "one of each session");
    assert_eq!(shop.inventory().account().await.unwrap().left_over, 10, "a cart sets nothing aside");
    let key = demo_shop::pages::key_in(page.body.as_bytes()).expect("the cart orders");
    assert!(post_with(address, "order", format!("key={key}"), &mine).await.order().is_some());
    assert_eq!(carts().await, 1, "the other one's is untouched");
}

#[tokio::test]
async fn shops_that_start_at_once_make_the_tables_together_and_a_later_one_goes_on_with_the_sale() {
    let server = PostgresServer::start().await;
    let new = patient(&server, 7);
    let mut shops = JoinSet::new();
    for _ in 0..3 {
        let new = new.clone();
        shops.spawn(async move { Postgres::open(&new).await.map(drop) });
    }
    assert!(shops.join_all().await.iter().all(Result::is_ok));
    let (first, address) = shop_on(&new).await;
    let order = post(address, "order", "key=a").await.order();
    let (second, elsewhere) = shop_on(&Settings { stock: None, ..new.clone() }).await;
    assert_eq!(post(elsewhere, "order", "key=a").await.order(), order);
    assert!(post(elsewhere, "order", "key=b").await.order().is_some());
    let account = Account { stock: 7, left_over: 5, orders: 2, ..Account::default() };
    assert_eq!(first.inventory().account().await.unwrap(), account);
    assert_eq!(second.inventory().account().await.unwrap(), account);
    let (_, fresh) = shop_on(&new).await;
    assert_eq!(stats(fresh).await.account.map(|account| account.left_over), Some(7), "a new sale");
}
