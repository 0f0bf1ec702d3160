//! Signals of how full the shop is: the room lets in fewer while one is full, names it, and forgets one that says nothing.
#![allow(clippy::unwrap_used, reason = "tests")]

mod latency;
mod orca;
mod postgres;
mod prometheus;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::common::line;
use crate::common::{Answer, JSON, Weir, until, until_true};

/// Ten enter in a second, with these lines in a signal.
fn room(signal: &str) -> String {
    line::room(600) + &format!("[[room.signal]]\n{signal}\n")
}

fn allowed(weir: &Weir) -> f64 {
    weir.room()["allowed_per_minute"].as_f64().unwrap()
}

/// The first signal of the room.
fn signal(weir: &Weir) -> Value {
    weir.room()["signals"][0].clone()
}

fn is(weir: &Weir, state: &str) -> bool {
    signal(weir)["state"] == state
}

/// A shopper inside: their cookie.
fn inside(weir: &Weir) -> String {
    until("somebody is inside", || {
        let answer = weir.get("/launch/item", &[JSON]);
        answer.cookie().filter(|_| answer.is_shop())
    })
}

/// Sets it when it is dropped, so that who waits for it ends also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `test` while a shopper inside asks on and on, in four tabs. What they are answered holds nothing of the shop's load.
fn while_busy(weir: &Weir, holder: &str, test: impl FnOnce()) {
    let done = AtomicBool::new(false);
    let tab = || {
        while !done.load(Ordering::Relaxed) {
            let answer = ask(weir, holder);
            assert!(!answer.head.to_lowercase().contains("endpoint-load"), "{answer:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    std::thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(tab)));
        let _stop = Stop(&done);
        test();
    });
}

fn ask(weir: &Weir, holder: &str) -> Answer {
    weir.get("/launch/item", &[JSON, ("Cookie", holder)])
}

/// Slowed by this kind of signal.
fn slowed_by(weir: &Weir, kind: &str) {
    until_true("the room is slowed", || weir.room()["capped_by"] == kind && allowed(weir) < 600.0);
}

/// Its rate is its own again.
fn is_free(weir: &Weir) {
    until_true("the rate is the room's own again", || allowed(weir) == 600.0 && weir.room()["capped_by"].is_null());
}

/// Why the first signal tells nothing.
fn has_problem(weir: &Weir, why: &str) {
    until_true(why, || signal(weir)["problem"].as_str().is_some_and(|said| said.contains(why)));
}
