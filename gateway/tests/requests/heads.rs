//! The head of a request and the framing of its body, over real sockets: what is sent to the gateway byte by
//! byte, and what a strict shop behind it receives byte by byte.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::float_cmp, reason = "metrics are counts")]
#![allow(unreachable_pub, reason = "modules of a test")]

mod cookies;
mod framing;
mod h2;
mod names;
mod preflights;
mod shop;
mod trailers;
mod upgrades;

use crate::common::{Weir, config};
use shop::StrictShop;

fn behind(rooms: &str) -> (StrictShop, Weir) {
    let shop = StrictShop::open();
    let weir = Weir::start(&config(shop.address, rooms));
    (shop, weir)
}
