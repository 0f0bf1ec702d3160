//! The rate of a room follows what its order stage delivers.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::{JSON, Weir, answering, config, ok, until_true};

/// Orders at once.
const POOL: usize = 4;
/// Shoppers who come one after the other.
const TABS: usize = 60;

/// Thirty may enter in a second, and eight can order.
fn launch() -> (Weir, std::sync::Arc<[AtomicUsize; 2]>) {
    let most = std::sync::Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let seen = most.clone();
    let shop = answering(move |head| {
        if head.contains("/launch/order") {
            seen[1].fetch_max(seen[0].fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(500));
            seen[0].fetch_sub(1, Ordering::SeqCst);
        }
        ok("welcome to the shop")
    });
    let room = "[[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch\"\nnew_users_per_minute = 1800\n";
    let gate =
        format!("[[route]]\nhost = \"*\"\npath = \"/launch/order\"\nclass = \"order\"\nmax_in_flight = {POOL}\n");
    (Weir::start(&config(shop, &format!("{gate}{room}"))), most)
}

/// A shopper: enters, and orders once. A client of JSON that does as it is told.
fn buys(weir: &Weir, stop: &AtomicBool) -> Option<()> {
    let going = || (!stop.load(Ordering::Relaxed)).then_some(());
    let mut answer = weir.get("/launch/item", &[JSON]);
    let mut cookie = answer.cookie()?;
    while !answer.is_shop() {
        going()?;
        std::thread::sleep(Duration::from_millis(300));
        answer = weir.get("/launch/item", &[JSON, ("Cookie", &cookie)]);
        cookie = answer.cookie().unwrap_or(cookie);
    }
    loop {
        going()?;
        let ordered = weir.send("POST", "/launch/order", &[JSON, ("Cookie", &cookie)], "{}");
        if ordered.is_shop() {
            return Some(());
        }
        assert_eq!((ordered.status, ordered.told()), (429, Some("held")), "{ordered:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn a_full_order_stage_slows_the_line_and_an_empty_one_lets_it_go() {
    let (weir, most) = launch();
    let (stop, bought) = (AtomicBool::new(false), AtomicUsize::new(0));
    let allowed = || weir.room()["allowed_per_minute"].as_f64().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..TABS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    if buys(&weir, &stop).is_some() {
                        bought.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        until_true("the line is slowed, and says by what", || allowed() < 900.0 && weir.room()["capped_by"] == "gate");
        let before = bought.load(Ordering::Relaxed);
        until_true("orders go on", || bought.load(Ordering::Relaxed) > before + 3 * POOL);
        stop.store(true, Ordering::Relaxed);
    });
    assert!(most[1].load(Ordering::SeqCst) <= POOL, "{} at once", most[1].load(Ordering::SeqCst));
    assert_eq!(weir.metric(r#"weir_room_capped{room="launch",by="shop"}"#), 0.0);
    until_true("without orders nothing is capped", || allowed() == 1800.0 && weir.room()["capped_by"].is_null());
    weir.is_well();
}
