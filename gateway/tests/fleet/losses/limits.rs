//! Without a loss: the limits hold in every window, and the rate is used.

use launch_model::arrivals::Phase;

use super::stand::{CLOSED, Recovers, Rules, Stand, launch_crowd};
use super::table;
use crate::common::redis::RedisServer;

/// Four gateways in a launch without a loss: the limits hold, and this share of the rate is used.
fn four_gateways(rules: Rules) -> f64 {
    let redis = RedisServer::start();
    let mut crowd = launch_crowd();
    crowd.arrivals =
        vec![Phase { from: 500.0, to: 500.0, seconds: 3.0 }, Phase { from: 200.0, to: 200.0, seconds: 12.0 }];
    let account = Stand::of(rules, 4, redis.address).launch(&crowd, |_| Recovers::now(None)).account;
    for window in [100, 1_000, 10_000] {
        let (most, limit) = (account.most_within(window), rules.rate * window as f64 / 1e3 + rules.burst);
        table::window(4, window, most, limit);
        assert!(most as f64 <= limit, "{most} passes within {window} ms");
    }
    assert_eq!(account.overshoot, 0.0, "in the worst window of any length");
    assert_eq!((account.places_lost, account.numbers_twice, account.errors), (0, 0, 0));
    let used = account.used(rules, 15.0);
    table::used(4, used);
    used
}

#[test]
fn four_gateways_use_the_rate_and_never_exceed_it_in_any_window() {
    let rules = Rules { rate: 100.0, ..CLOSED };
    // A machine that is busy with something else uses less: then once more.
    let used = (0..3).map(|_| four_gateways(rules)).find(|&used| used >= 0.97);
    assert!(used.is_some(), "less than 97 % of the rate was used, three times");
}
