//! A real shop on Node behind a closed room: no spelling of a path in the room reaches it, whatever way it is sent.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::spellings::{Dice, how_many, seed};
use crate::common::{Answer, CLOSED, Kept, Weir, config, raw};

/// A program that tells on its first line at which port it answers; killed when dropped.
pub(crate) struct Node {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Node {
    pub(crate) fn start() -> Self {
        let mut command = Command::new("node");
        let mut child = command.args(["-e", include_str!("shop.js")]).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], port.trim().parse().unwrap())) }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Targets that `new URL(request.url, base)` takes for `/launch/item`.
const AUTHORITIES: [&str; 12] = [
    "//x/launch/item",
    "///x/launch/item",
    "////x/launch/item",
    "/\\x/launch/item",
    "/\\\\x/launch/item",
    "/\\/x/launch/item",
    "//x@y/launch/item",
    "//x:80/launch/item",
    "//x\\launch\\item",
    "//[::1]/launch/item",
    "//x/y/../launch/item",
    "//x/%6caunch/item?a=b",
];

fn get(to: SocketAddr, target: &str) -> Answer {
    raw(to, format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n").as_bytes())
}

/// The same by HTTP/2; nothing if it cannot be said there.
async fn get_by_http2(to: SocketAddr, target: &str) -> Option<String> {
    let stream = TokioIo::new(tokio::net::TcpStream::connect(to).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Empty<&'static [u8]>>(TokioExecutor::new(), stream)
            .await
            .unwrap();
    tokio::spawn(connection);
    let uri = http::Uri::builder().scheme("http").authority("shop.example").path_and_query(target).build().ok()?;
    let answer = sender.send_request(http::Request::get(uri).body(Empty::new()).unwrap()).await.ok()?;
    let body = answer.into_body().collect().await.ok()?.to_bytes();
    Some(String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn a_target_that_begins_with_an_authority_does_not_pass_a_closed_room() {
    let shop = Node::start();
    let weir = Weir::start(&config(shop.address, CLOSED));
    for target in AUTHORITIES {
        assert!(get(shop.address, target).body.starts_with("inside"), "{target} is inside for the shop itself");
        let absolute = format!("http://shop.example{target}");
        for target in [target, &absolute] {
            let answer = get(weir.http, target);
            assert!([400, 429].contains(&answer.status), "{target}: {answer:?}");
        }
        let told = get_by_http2(weir.http, target).await.unwrap();
        assert!(!told.contains("side \""), "{target}: {told}");
    }
    for target in ["http://x/launch/item", "launch/item", "*launch/item", "http:/launch/item"] {
        let told = get_by_http2(weir.http, target).await.unwrap_or_default();
        assert!(!told.contains("side \""), "{target} as a path of HTTP/2: {told}");
    }
    weir.is_well();
}

#[test]
fn what_is_forwarded_is_what_was_judged() {
    let shop = Node::start();
    let weir = Weir::start(&config(shop.address, CLOSED));
    for (target, seen) in [
        ("//x/other/item?a=//b#c", "//x/other/item?a=//b"),
        ("/\\x/other", "/\\x/other"),
        ("/a/../%6f;v=1//b", "/a/../%6f;v=1//b"),
        ("http://shop.example//x/other", "//x/other"),
        ("http://shop.example", "/"),
    ] {
        let told = get(weir.http, target).body;
        assert_eq!(told, format!("outside {}", serde_json::json!(seen)), "{target}");
    }
}

/// Sends every target by a connection that is kept while it lasts; those that came inside.
pub(crate) fn inside(to: SocketAddr, host: &str, targets: &[String]) -> Vec<String> {
    let mut connection = Kept::open(to);
    let mut found = Vec::new();
    for target in targets {
        connection.try_send(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n\r\n"));
        let answer = connection.answer();
        if answer.as_ref().is_some_and(|answer| answer.body.starts_with("inside")) {
            found.push(target.clone());
        }
        if answer.is_none_or(|answer| answer.status == 400 || answer.header("connection") == Some("close")) {
            connection = Kept::open(to);
        }
    }
    found
}

#[test]
fn no_spelling_of_a_path_in_a_closed_room_reaches_the_shop() {
    let shop = Node::start();
    let weir = Weir::start(&config(shop.address, CLOSED));
    let mut dice = Dice::new(seed());
    let targets: Vec<String> = (0..how_many(1_000)).map(|_| dice.target()).collect();
    let meant = inside(shop.address, "shop.example", &targets);
    assert!(meant.len() > targets.len() / 12, "too few to tell: {}", meant.len());
    assert_eq!(inside(weir.http, "shop.example", &targets), [""; 0]);
    weir.is_well();
}
