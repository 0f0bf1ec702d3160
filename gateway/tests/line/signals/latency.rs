//! How long the shop takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{inside, is, is_free, room, signal, slowed_by, while_busy};
use crate::common::{Weir, answering, config, ok, until_true};

#[test]
fn a_shop_that_becomes_slow_gets_fewer_and_one_that_nobody_asks_has_no_latency() {
    let slow = Arc::new(AtomicU64::new(0));
    let millis = slow.clone();
    let shop = answering(move |head| {
        std::thread::sleep(Duration::from_millis(millis.load(Ordering::Relaxed)));
        ok(&format!("welcome to the shop\n{head}"))
    });
    let weir = Weir::start(&config(shop, &room("kind = \"latency\"\nname = \"checkout\"\nfull_at = 0.1")));
    let holder = inside(&weir);
    while_busy(&weir, &holder, || {
        until_true("it is measured", || is(&weir, "fresh"));
        slow.store(200, Ordering::Relaxed);
        slowed_by(&weir, "latency");
        let full = signal(&weir)["full"].as_f64().unwrap();
        assert!(signal(&weir)["name"] == "checkout" && full >= 1.99, "{}", weir.room());
    });
    until_true("nothing is known any more", || is(&weir, "old"));
    is_free(&weir);
    weir.is_well();
}

#[test]
fn a_shop_that_gives_no_answer_in_time_is_slow() {
    let slow = Arc::new(AtomicU64::new(0));
    let millis = slow.clone();
    let shop = answering(move |head| {
        std::thread::sleep(Duration::from_millis(millis.load(Ordering::Relaxed)));
        ok(&format!("welcome to the shop\n{head}"))
    });
    let config = config(shop, &room("kind = \"latency\"\nfull_at = 0.1"));
    let config = config.replace("response_timeout = \"2s\"", "response_timeout = \"100ms\"\neject_after = 1000");
    let weir = Weir::start(&config);
    let holder = inside(&weir);
    slow.store(300, Ordering::Relaxed);
    while_busy(&weir, &holder, || slowed_by(&weir, "latency"));
    is_free(&weir);
}
