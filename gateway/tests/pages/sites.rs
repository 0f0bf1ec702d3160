//! A shop among other sites: people who come back from a payment page, scripts of other origins, crawlers, service workers.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(clippy::float_cmp, reason = "metrics are counts")]

mod chromium;
mod cookies;
mod programs;
mod returns;

use crate::common::{Answer, JSON, Weir, until_true};

/// A room that lets no shopper in but back from a payment, and no request without a pass.
const CLOSED: &str = r#"
[[room]]
name = "launch"
host = "*"
path = "/launch"
new_users_per_minute = 600
visits_per_minute = 0
queue_all = true
return_paths = ["/launch/paid", "/launch/back/*", "/launch/hang"]
"#;

/// The same for every shopper.
fn roomy() -> String {
    CLOSED.replace("= 600", "= 60000").replace("queue_all = true\n", "")
}

/// As a payment page sends a shopper back.
const BACK: [(&str, &str); 5] = [
    ("Origin", "https://pay.example"),
    ("Sec-Fetch-Site", "cross-site"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "document"),
    ("Accept", "text/html"),
];

/// Requests of the room that were of this verdict.
fn counted(weir: &Weir, verdict: &str) -> f64 {
    weir.metric(&format!(r#"weir_requests_total{{room="launch",verdict="{verdict}"}}"#))
}

/// From now on people are let in.
fn open(weir: &Weir) {
    let file = weir.config_file();
    let closed = std::fs::read_to_string(&file).unwrap();
    std::fs::write(file, closed.replace("queue_all = true\n", "")).unwrap();
}

/// A shopper who was let in, with all answers to them.
fn entered(weir: &Weir, headers: &[(&str, &str)]) -> Answer {
    until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= 100);
    let answer = weir.get("/launch/item", &[&[JSON], headers].concat());
    assert!(answer.is_shop(), "{answer:?}");
    answer
}
