//! A hostile public: attacks on the gateway, and pass holders beside it who must not notice.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::float_cmp, reason = "metrics are counts")]

mod answers;
mod http2;
mod kept;
mod overload;
mod shares;
mod stuffing;
mod upgrades;
mod uploads;

use std::net::{SocketAddr, TcpStream};

use crate::common::{JSON, ROOMY, Weir, config, request, until_true};

const IN_FLIGHT: &str = r#"weir_upstream_in_flight{upstream="shop"}"#;

/// A gateway whose upstream has these lines, with a room that lets every shopper in.
fn gateway(shop: SocketAddr, lines: &str) -> Weir {
    let text =
        config(shop, ROOMY).replace("response_timeout = \"2s\"", &format!("response_timeout = \"20s\"\n{lines}"));
    let weir = Weir::start(&text);
    until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= 100);
    weir
}

/// A pass of room `launch`.
fn pass(weir: &Weir) -> String {
    let answer = weir.get("/launch/item", &[JSON]);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.cookie().unwrap()
}

/// The holder of a pass asks, and is answered each time.
fn holder_is_served(weir: &Weir, pass: &str) {
    for n in 0..10 {
        let answer = weir.get("/launch/item", &[("Cookie", pass)]);
        assert!(answer.is_shop(), "request {n} of a pass holder: {answer:?}");
    }
}

/// A connection from another address of this machine.
fn connect_from(host: u8, to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, host], 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

/// The value of a metric of the upstream's requests.
fn counted(weir: &Weir, result: &str) -> f64 {
    weir.metric(&format!(r#"weir_upstream_requests_total{{upstream="shop",result="{result}"}}"#))
}

/// A request outside the room, without a pass.
fn anybody(weir: &Weir) -> crate::common::Answer {
    request(weir.http, "GET", "/", &[], "")
}
