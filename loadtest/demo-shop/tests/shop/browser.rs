//! Requests to the shop, each on a connection of its own.

use std::net::SocketAddr;

use bytes::Bytes;
use demo_shop::pages;
use evidence::shop::Report;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// An answer of the shop.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    /// The order that the page asks to be paid.
    pub(crate) fn order(&self) -> Option<u64> {
        pages::order_in(self.body.as_bytes())
    }

    pub(crate) fn is_sold_out(&self) -> bool {
        self.status == 200 && pages::is_sold_out(self.body.as_bytes())
    }

    /// The shop's cookie, as it is sent back.
    pub(crate) fn cookie(&self) -> Option<&str> {
        self.headers.get("set-cookie")?.to_str().unwrap().split(';').next()
    }
}

pub(crate) async fn get(shop: SocketAddr, path: &str) -> Reply {
    send(shop, Request::get(path).body(Full::default()).unwrap()).await
}

/// Sends a form to a page of the launch.
pub(crate) async fn post(shop: SocketAddr, page: &str, form: impl AsRef<str>) -> Reply {
    post_with(shop, page, form, &[]).await
}

pub(crate) async fn post_with(shop: SocketAddr, page: &str, form: impl AsRef<str>, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::builder().method(Method::POST).uri(format!("/launch/{page}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(shop, request.body(Full::from(form.as_ref().to_owned())).unwrap()).await
}

pub(crate) async fn send(shop: SocketAddr, request: Request<Full<Bytes>>) -> Reply {
    let stream = TcpStream::connect(shop).await.unwrap();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Reply { status: head.status.as_u16(), headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

/// `/shop/stats`.
pub(crate) async fn stats(shop: SocketAddr) -> Report {
    let reply = get(shop, "/shop/stats").await;
    assert_eq!(reply.headers["content-type"], "application/json");
    serde_json::from_str(&reply.body).unwrap()
}
