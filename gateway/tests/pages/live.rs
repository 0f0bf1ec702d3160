//! `GET /api/live` as a browser reads it: `EventSource` of Debian's Chromium.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::common::browser::Browser;
use crate::common::fault::{Fault, Faulty};
use crate::common::{CLOSED, JSON, Shop, Weir, config, until_true};

#[test]
fn an_event_source_gets_samples_and_comes_back_after_the_last_one_by_itself() {
    let browser = Browser::open(true);
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, CLOSED));
    weir.get("/launch/item", &[JSON]);
    let way = Faulty::to(weir.admin);
    browser.go(&format!("http://{}/healthz", way.address));
    browser.act(
        "window.about = []; window.samples = []; window.source = new EventSource('/api/live'); \
         source.addEventListener('about', event => about.push(JSON.parse(event.data))); \
         source.onmessage = event => samples.push({ id: +event.lastEventId, ...JSON.parse(event.data) })",
    );
    let samples = || browser.run("return samples.length").as_u64().unwrap_or(0);
    until_true("samples come", || samples() >= 2);
    let first = browser.run("return samples[0]");
    assert_eq!((&first["rooms"][0]["name"], &first["id"]), (&"launch".into(), &first["at_ms"]), "{first}");
    assert_eq!(browser.run("return about.map(told => told.resumed)"), serde_json::json!([null]));
    let before = samples();
    way.set(Fault::Reset);
    way.set(Fault::None);
    until_true("it has come back", || browser.run("return about.length").as_u64() == Some(2));
    assert_eq!(browser.run("return about[1].resumed"), true);
    until_true("samples go on", || samples() > before + 1);
    let ids = browser.run("return samples.map(sample => sample.id)");
    let ids: Vec<u64> = ids.as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "none comes twice: {ids:?}");
}
