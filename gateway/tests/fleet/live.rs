//! `GET /api/live` of several gateways: each tells of all.
#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::Value as Json;

use crate::common::line::{SECRET, shared_store};
use crate::common::live::{Live, launch};
use crate::common::redis::RedisServer;
use crate::common::{CLOSED, JSON, Shop, Weir, config};

/// A gateway of this name; its room is suspended.
fn gateway(redis: &RedisServer, shop: &Shop, name: &str) -> Weir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("shared.secret"), SECRET).unwrap();
    let store = shared_store(dir.path(), &format!("url = \"{}\"\n", redis.url()));
    let text = config(shop.address, &CLOSED.replace("queue_all", "suspended"));
    std::fs::write(dir.path().join("weir.toml"), format!("{text}{store}\n[node]\nname = \"{name}\"\n")).unwrap();
    Weir::start_in(dir)
}

fn member<'a>(sample: &'a Json, name: &str) -> &'a Json {
    sample["gateways"].as_array().unwrap().iter().find(|gateway| gateway["name"] == name).unwrap_or(&Json::Null)
}

#[test]
fn each_gateway_tells_of_all_and_one_that_is_cut_off_as_silent() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let (a, b) = (gateway(&redis, &shop, "a"), gateway(&redis, &shop, "b"));
    let mut live = Live::open(a.admin, "");
    live.until("both are heard", |sample| member(sample, "b")["load"].is_object());
    live.until("what b refused is told by a", |sample| {
        b.get("/launch/item", &[JSON]);
        launch(sample)["refused_per_second"]["suspended"].as_f64() > Some(0.0)
    });
    b.signal("STOP");
    let silent = |sample: &Json| member(sample, "b")["silent_seconds"].as_f64();
    let early = live.until("it grows silent", |sample| silent(sample) > Some(2.0)).data;
    assert!(member(&early, "b")["load"].is_object(), "what it did is known for a while: {early}");
    let late = live.until("its load is unknown", |sample| silent(sample) > Some(7.0)).data;
    assert!(member(&late, "b")["load"].is_null() && member(&late, "b")["rooms_version"] == 0, "{late}");
    assert_eq!(member(&late, "a")["silent_seconds"], 0, "{late}");
    b.signal("CONT");
    live.until("it is heard again", |sample| silent(sample) < Some(2.0) && member(sample, "b")["load"].is_object());
}
