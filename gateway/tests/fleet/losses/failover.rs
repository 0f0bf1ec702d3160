//! The master dies and a replica takes its place that lacks the last two seconds.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use super::crowd::Plan;
use super::nothing_is_lost;
use super::stand::{CLOSED, LARGE, Launch, Recovers, Rules, Stand, larger_crowd, launch_crowd};
use crate::common::redis::cluster::Cluster;
use crate::common::redis::sentinel::Watched;
use crate::common::{WEIR, until_true};

/// The replica's lag.
pub(super) const BEHIND: Duration = Duration::from_secs(2);

/// Three gateways that find their Redis by these lines.
pub(super) fn stand(rules: Rules, store: &str) -> Stand {
    let mut stand = Stand::empty(rules);
    for _ in 0..3 {
        stand.add_by(Command::new(WEIR), store);
    }
    stand
}

/// Sentinels find another master.
fn by_sentinel(rules: Rules, crowd: &Plan) -> Launch {
    let mut watched = Watched::start(String::new);
    stand(rules, &watched.known()).launch(crowd, |_| {
        watched.replicas_stand_still();
        sleep(BEHIND);
        let recovers = Recovers::now(None);
        let before = watched.master().address;
        watched.master().kill();
        until_true("the sentinel has found another master", || watched.master().address != before);
        recovers
    })
}

#[test]
fn a_failover_to_a_replica_that_lags_loses_nobody() {
    let loss = "failover by Sentinel to a replica 2 s behind";
    nothing_is_lost(loss, &launch_crowd(), |crowd| by_sentinel(CLOSED, crowd));
}

#[test]
#[ignore = "a larger crowd, which benches/losses sends"]
fn a_failover_to_a_replica_that_lags_loses_nobody_of_a_larger_crowd() {
    let loss = "failover by Sentinel to a replica 2 s behind, a larger crowd";
    nothing_is_lost(loss, &larger_crowd(), |crowd| by_sentinel(LARGE, crowd));
}

/// The other masters of a Cluster elect the replica of the one that has the room.
fn in_cluster(rules: Rules, crowd: &Plan) -> Launch {
    let mut cluster = Cluster::with_replicas();
    let home = cluster.home("launch").1;
    stand(rules, &cluster.known()).launch(crowd, |_| {
        cluster.replica_stands_still(home);
        sleep(BEHIND);
        let recovers = Recovers::now(None);
        cluster.servers[home].kill();
        until_true("its replica has become a master", || cluster.replica(home).info("role") == "master");
        recovers
    })
}

#[test]
fn a_failover_in_a_cluster_loses_nobody() {
    let loss = "failover in a Cluster to a replica 2 s behind";
    nothing_is_lost(loss, &launch_crowd(), |crowd| in_cluster(CLOSED, crowd));
}
