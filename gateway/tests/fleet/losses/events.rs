//! A loss meets a launch with an event: in its pre-queue, or as it starts. Nobody enters before the start, and every promise holds.
//!
//! Where the order is drawn in rounds, a round gathers people at both moments. Whoever came before the loss is overtaken but within the round. Gateways
//! that were without the store are back one after the other, so who came meanwhile may be drawn behind the next round: by no more than the loss lasted.

use std::thread::sleep;
use std::time::Duration;

use launch_model::arrivals::Phase;
use policy::Millis;

use super::crowd::{Crowd, Plan};
use super::failover::{BEHIND, stand};
use super::stand::{LENDING, Launch, Recovers, Rules, Stand, launch_crowd, now};
use super::{A_WHILE, nothing_is_lost, table};
use crate::common::redis::RedisServer;
use crate::common::redis::sentinel::Watched;
use crate::common::until_true;

/// From the start of a stand to that of its event: by then three gateways serve, and hundreds wait.
const UNTIL_START: Millis = 30_000;
/// The shortest that a room takes.
const ROUND: Millis = 5_000;
/// A loss at the start begins so long before it.
const JUST_BEFORE: Millis = 500;

/// Longer than a gateway is without the store in any of these losses: five seconds, and the time until it has noticed and is back.
const LONGEST_AWAY: Millis = 7_000;

/// When the loss comes.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Prequeue,
    Start,
}

impl Moment {
    const ALL: [Self; 2] = [Self::Prequeue, Self::Start];

    fn name(self) -> &'static str {
        match self {
            Self::Prequeue => "in the pre-queue",
            Self::Start => "as the event starts",
        }
    }

    fn in_a_round(self) -> &'static str {
        match self {
            Self::Prequeue => "in a round of the pre-queue",
            Self::Start => "in a round as the event starts",
        }
    }

    /// Waits for it. A loss that takes a while to prepare begins as much earlier.
    fn comes(self, rules: Rules, prepares: Duration) -> impl FnOnce(&Stand, &Crowd) {
        move |stand, crowd| {
            until_true("the pre-queue is full", || stand.waiting() > 200);
            if matches!(self, Self::Start) {
                let begins = rules.start - JUST_BEFORE - prepares.as_millis() as Millis;
                sleep(Duration::from_millis(begins.saturating_sub(now())));
            }
            assert!(now() < rules.start && crowd.entered() == 0, "the loss comes before the start, and all wait");
        }
    }
}

/// The order of those who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Arrival,
    Rounds,
}

/// An event that starts soon, in a line that would be lent to its gateways.
fn soon(order: Order) -> Rules {
    let round = if order == Order::Rounds { ROUND } else { 0 };
    Rules { start: now() + UNTIL_START, round, ..LENDING }
}

/// Half of them are there in the first seconds, and some come until the event has started.
fn crowd_until_the_start() -> Plan {
    let arrivals = vec![Phase { from: 300.0, to: 300.0, seconds: 2.0 }, Phase { from: 20.0, to: 20.0, seconds: 32.0 }];
    Plan { arrivals, ..launch_crowd() }
}

/// From now on, or from the start if that is later.
fn recovers(rules: Rules) -> Recovers {
    Recovers { since: now().max(rules.start), gateway: None }
}

/// The loss meets a launch in its pre-queue, and another one as it starts.
fn nothing_is_lost_of_an_event(loss: &str, launch: impl Fn(Order, Moment, &Plan) -> Launch) {
    for moment in Moment::ALL {
        let loss = format!("{loss}, {}", moment.name());
        let launches = nothing_is_lost(&loss, &launch_crowd(), |crowd| launch(Order::Arrival, moment, crowd));
        table::event(&loss, &launches);
    }
}

/// The same with rounds, one of which gathers people then.
fn nothing_is_lost_of_a_round(loss: &str, launch: impl Fn(Order, Moment, &Plan) -> Launch) {
    for moment in Moment::ALL {
        let loss = format!("{loss}, {}", moment.in_a_round());
        let launches = nothing_is_lost(&loss, &crowd_until_the_start(), |crowd| launch(Order::Rounds, moment, crowd));
        table::event(&loss, &launches);
        for Launch { account, seed, .. } in launches {
            let by = account.longest_overtaking;
            assert!(by > 1_000, "an order was drawn: {by} ms, seed {seed}");
            assert!(by <= ROUND + LONGEST_AWAY, "overtaken by {by} ms, seed {seed}");
        }
    }
}

fn stalled(order: Order, moment: Moment, crowd: &Plan) -> Launch {
    let (redis, rules) = (RedisServer::start(), soon(order));
    Stand::of(rules, 3, redis.address).launch_when(moment.comes(rules, Duration::ZERO), crowd, |_| {
        redis.signal("STOP");
        sleep(A_WHILE);
        let recovers = recovers(rules);
        redis.signal("CONT");
        recovers
    })
}

#[test]
fn redis_stalled_in_an_event_lets_nobody_in_early_and_loses_nobody() {
    nothing_is_lost_of_an_event("Redis stalled for 5 s", stalled);
}

#[test]
fn redis_stalled_in_a_round_lets_nobody_in_early_and_loses_nobody() {
    nothing_is_lost_of_a_round("Redis stalled for 5 s", stalled);
}

fn started_empty(order: Order, moment: Moment, crowd: &Plan) -> Launch {
    let (mut redis, rules) = (RedisServer::start(), soon(order));
    Stand::of(rules, 3, redis.address).launch_when(moment.comes(rules, Duration::ZERO), crowd, |_| {
        redis.kill();
        sleep(Duration::from_secs(1));
        let recovers = recovers(rules);
        redis.restart();
        recovers
    })
}

#[test]
fn redis_started_empty_in_an_event_lets_nobody_in_early_and_loses_nobody() {
    nothing_is_lost_of_an_event("`kill -9` of Redis, started empty 1 s later", started_empty);
}

#[test]
fn redis_started_empty_in_a_round_lets_nobody_in_early_and_loses_nobody() {
    nothing_is_lost_of_a_round("`kill -9` of Redis, started empty 1 s later", started_empty);
}

fn failover(order: Order, moment: Moment, crowd: &Plan) -> Launch {
    let (mut watched, rules) = (Watched::start(String::new), soon(order));
    stand(rules, &watched.known()).launch_when(moment.comes(rules, BEHIND), crowd, |_| {
        watched.replicas_stand_still();
        sleep(BEHIND);
        let before = watched.master().address;
        watched.master().kill();
        let recovers = recovers(rules);
        until_true("the sentinel has found another master", || watched.master().address != before);
        recovers
    })
}

#[test]
fn a_failover_in_an_event_lets_nobody_in_early_and_loses_nobody() {
    nothing_is_lost_of_an_event("failover by Sentinel to a replica 2 s behind", failover);
}

#[test]
fn a_failover_in_a_round_lets_nobody_in_early_and_loses_nobody() {
    nothing_is_lost_of_a_round("failover by Sentinel to a replica 2 s behind", failover);
}
