//! Gateways on one Redis, each by a way of its own that can be harmed, and the launch that they go through.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use demo_shop::pages;
use launch_model::arrivals::Phase;
use policy::Millis;

use super::account::Account;
use super::crowd::{Crowd, Plan};
use crate::common::events::event_at;
use crate::common::line::shared_store;
use crate::common::{WEIR, Weir, answering, config, ok, until_true};

/// The room's promises.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Passes a second.
    pub(crate) rate: f64,
    pub(crate) burst: f64,
    /// Life of a pass in milliseconds.
    pub(crate) session: Millis,
    /// What happens while the store is away.
    pub(crate) fail_mode: &'static str,
    /// The start of an event whose pre-queue has begun, by the clock of the store; 0: the room has none.
    pub(crate) start: Millis,
    /// How long newcomers gather until their order is drawn, in milliseconds; 0: they stand in the order in which they came.
    pub(crate) round: Millis,
}

/// As long as no launch lasts, in milliseconds.
const HOUR: i64 = 3_600_000;

/// A line that stands while Redis is away. Shoppers who come back have to wait for a quarter of a minute.
pub(crate) const CLOSED: Rules =
    Rules { rate: 40.0, burst: 10.0, session: 600_000, fail_mode: "closed", start: 0, round: 0 };
/// A line that is lent to its gateways: the burst has room for the buckets of three leases.
pub(crate) const LENDING: Rules = Rules { fail_mode: "static", ..CLOSED };

/// A thousand people, half of whom are there in the first seconds; two in five see the line and stay away.
pub(crate) fn launch_crowd() -> Plan {
    let arrivals = vec![Phase { from: 300.0, to: 300.0, seconds: 2.0 }, Phase { from: 40.0, to: 40.0, seconds: 10.0 }];
    Plan { arrivals, no_shows: 0.4, seed: 3 }
}

/// Three times as fast, for three times the people.
pub(crate) const LARGE: Rules = Rules { rate: 120.0, burst: 30.0, ..CLOSED };

/// Three thousand people who come in the same way.
pub(crate) fn larger_crowd() -> Plan {
    let mut crowd = launch_crowd();
    for phase in &mut crowd.arrivals {
        (phase.from, phase.to) = (3.0 * phase.from, 3.0 * phase.to);
    }
    crowd
}

/// The gateways of a line, and a shop.
pub(crate) struct Stand {
    rules: Rules,
    shop: SocketAddr,
    /// `None` where one was killed.
    gateways: Vec<Option<Weir>>,
    by_lease_of_the_dead: f64,
}

impl Stand {
    /// A stand without gateways.
    pub(crate) fn empty(rules: Rules) -> Self {
        // Every answer has an order to be paid, and the words by which tests know the shop.
        let shop = answering(|_| ok(&(pages::order(1) + "welcome to the shop")));
        Self { rules, shop, gateways: Vec::new(), by_lease_of_the_dead: 0.0 }
    }

    /// This many gateways on one Redis.
    pub(crate) fn of(rules: Rules, gateways: usize, redis: SocketAddr) -> Self {
        let mut stand = Self::empty(rules);
        for _ in 0..gateways {
            stand.add(redis);
        }
        stand
    }

    /// One more gateway on this Redis.
    pub(crate) fn add(&mut self, redis: SocketAddr) {
        self.add_by(Command::new(WEIR), &url(redis));
    }

    /// One more gateway, started by this command, with these lines in its `[store]`.
    pub(crate) fn add_by(&mut self, mut weir: Command, store: &str) {
        let dir = tempfile::tempdir().unwrap();
        let store = shared_store(dir.path(), store);
        std::fs::write(dir.path().join("weir.toml"), config(self.shop, &room(self.rules)) + &store).unwrap();
        weir.arg("serve").arg("--config").arg(dir.path().join("weir.toml"));
        self.gateways.push(Some(Weir::spawn(dir, weir)));
    }

    /// Ends a gateway without a warning.
    pub(crate) fn kill(&mut self, index: usize) {
        let dies = self.gateways[index].take().unwrap();
        self.by_lease_of_the_dead += by_lease(&dies);
        drop(dies.kill());
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.gateways.iter().flatten().map(|weir| weir.http).collect()
    }

    /// People in the line, as the first gateway knows it.
    pub(crate) fn waiting(&self) -> u64 {
        self.gateway(0).room()["waiting"].as_u64().unwrap_or(0)
    }

    /// Gateway number `index`; it lives.
    pub(crate) fn gateway(&self, index: usize) -> &Weir {
        self.gateways[index].as_ref().unwrap()
    }

    /// A launch that meets a loss when its line stands and people have gone in. The loss says from when its recovery
    /// counts, and whose.
    pub(crate) fn launch(self, plan: &Plan, loss: impl FnOnce(&mut Self) -> Recovers) -> Launch {
        let middle = |stand: &Self, crowd: &Crowd| {
            until_true("the launch is in its middle", || crowd.entered() >= 80 && stand.waiting() > 200);
        };
        self.launch_when(middle, plan, loss)
    }

    /// The same, with a loss when this has happened.
    pub(crate) fn launch_when(
        mut self,
        when: impl FnOnce(&Self, &Crowd),
        plan: &Plan,
        loss: impl FnOnce(&mut Self) -> Recovers,
    ) -> Launch {
        let crowd = Crowd::send(&self.addresses(), plan);
        when(&self, &crowd);
        let recovers = loss(&mut self);
        let account = Account::of(&crowd.gone(), self.rules);
        let alive = || self.gateways.iter().flatten();
        alive().for_each(Weir::is_well);
        Launch {
            seed: plan.seed,
            recovery: account.recovery(recovers.since, recovers.gateway),
            account,
            by_lease: self.by_lease_of_the_dead + alive().map(by_lease).sum::<f64>(),
        }
    }
}

/// The result of a launch that met a loss.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) seed: u64,
    pub(crate) account: Account,
    /// Seconds from the end of the loss to the next pass; `None`: there was none.
    pub(crate) recovery: Option<f64>,
    /// Passes that gateways gave by their leases.
    pub(crate) by_lease: f64,
}

fn by_lease(weir: &Weir) -> f64 {
    weir.metric("weir_lease_grants_total{room=\"launch\"}")
}

/// When a loss was over, and whose next pass shows that it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recovers {
    pub(crate) since: Millis,
    /// `None`: any gateway's.
    pub(crate) gateway: Option<usize>,
}

impl Recovers {
    /// From this moment on.
    pub(crate) fn now(gateway: Option<usize>) -> Self {
        Self { since: now(), gateway }
    }
}

/// The clock of this machine, which is the store's.
pub(crate) fn now() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as Millis
}

/// The line of a `[store]` that is at this Redis.
pub(crate) fn url(redis: SocketAddr) -> String {
    format!("url = \"redis://{redis}\"\n")
}

fn room(rules: Rules) -> String {
    let Rules { rate, burst, session, fail_mode, start, round } = rules;
    let drawn = |round| format!("queueing_method = \"random\"\nrandom_round = \"{round}ms\"\n");
    let order = if round > 0 { drawn(round) } else { String::new() };
    let event = if start > 0 { event_at(start.cast_signed(), HOUR) } else { String::new() };
    format!(
        "[[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch\"\nnew_users_per_minute = {}\n\
         visits_per_minute = 0\nburst = {burst}\n\
         session_duration = \"{session}ms\"\nfail_mode = \"{fail_mode}\"\n{order}{event}",
        rate * 60.0
    )
}
