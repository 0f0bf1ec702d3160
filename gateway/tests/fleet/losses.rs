//! What a launch loses when something is lost: three gateways on one Redis, a crowd in mid-line, and then a
//! gateway, the store, the way between them or a clock goes. The answer has to be: nothing.
//!
//! `benches/losses` prints the table of all of them, over several seeds.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::float_cmp, reason = "an overshoot is none or some")]

mod account;
pub(crate) mod clock;
mod crowd;
mod events;
mod failover;
mod gateways;
mod lending;
mod limits;
mod network;
mod redis;
mod stand;
mod table;

use std::time::Duration;

use crowd::Plan;
use stand::Launch;

/// How long a fault lasts that ends by itself.
const A_WHILE: Duration = Duration::from_secs(5);

/// Launches of such a crowd meet this loss, a launch for each seed: every promise holds in all of them.
fn nothing_is_lost(loss: &str, crowd: &Plan, launch: impl Fn(&Plan) -> Launch) -> Vec<Launch> {
    let launches: Vec<Launch> = table::seeds().map(|seed| launch(&Plan { seed, ..crowd.clone() })).collect();
    table::row(loss, &launches);
    launches.iter().for_each(keeps_its_promises);
    launches
}

fn keeps_its_promises(launch: &Launch) {
    let (account, seed) = (&launch.account, launch.seed);
    assert_eq!(account.places_lost, 0, "places lost, seed {seed}");
    assert_eq!(account.numbers_twice, 0, "numbers given twice, seed {seed}");
    assert_eq!(account.overshoot, 0.0, "passes beyond the limit, seed {seed}");
    assert_eq!(account.too_early, 0, "passes before the start of the event, seed {seed}");
    assert_eq!(account.positions_grown, 0, "positions that grew, seed {seed}");
    assert_eq!(account.errors, 0, "answers 5xx, seed {seed}");
    // A shopper who claims on both sides of a cut may get a pass on each; one of them is by a lease.
    let (second, by_lease) = (account.second_passes, launch.by_lease);
    assert!(second as f64 <= by_lease, "{second} people with two passes, {by_lease} by leases, seed {seed}");
    assert!(launch.recovery.is_some(), "somebody enters afterwards, seed {seed}");
    assert!(account.moved > 100, "tickets are served at every gateway: {}, seed {seed}", account.moved);
    assert!(account.claimed_twice > 20, "and claimed at two at once: {}, seed {seed}", account.claimed_twice);
}
