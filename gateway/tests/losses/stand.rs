//! Gateways on one Redis, each by a way of its own that can be harmed, and the launch that they go through.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use loadtest::arrivals::Phase;
use policy::Millis;

use super::account::Account;
use super::crowd::{Crowd, Plan};
use crate::common::line::shared_store;
use crate::common::{WEIR, Weir, answering, config, ok, until_true};

/// What the room promises.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Passes a second.
    pub(crate) rate: f64,
    pub(crate) burst: f64,
    /// Life of a pass in milliseconds.
    pub(crate) session: Millis,
}

/// Half of the crowd is there in the first seconds; those who come back have to wait for a quarter of a minute.
pub(crate) const RULES: Rules = Rules { rate: 40.0, burst: 10.0, session: 600_000 };

/// A thousand people, two in five of whom see the line and stay away.
pub(crate) fn launch_crowd() -> Plan {
    let arrivals = vec![Phase { from: 300.0, to: 300.0, seconds: 2.0 }, Phase { from: 40.0, to: 40.0, seconds: 10.0 }];
    Plan { arrivals, no_shows: 0.4, seed: 3 }
}

/// The gateways of a line, and a shop.
pub(crate) struct Stand {
    rules: Rules,
    shop: SocketAddr,
    /// `None` where one was killed.
    gateways: Vec<Option<Weir>>,
}

impl Stand {
    /// Nobody yet.
    pub(crate) fn empty(rules: Rules) -> Self {
        Self { rules, shop: answering(|_| ok("welcome to the shop")), gateways: Vec::new() }
    }

    /// This many gateways on one Redis.
    pub(crate) fn of(gateways: usize, redis: SocketAddr) -> Self {
        let mut stand = Self::empty(RULES);
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
        drop(self.gateways[index].take().unwrap().kill());
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.gateways.iter().flatten().map(|weir| weir.http).collect()
    }

    /// Gateway number `index`; it lives.
    pub(crate) fn gateway(&self, index: usize) -> &Weir {
        self.gateways[index].as_ref().unwrap()
    }

    /// A launch that meets a loss when its line stands and people have gone in; from when its recovery counts,
    /// and whose.
    pub(crate) fn launch(mut self, crowd: &Plan, loss: impl FnOnce(&mut Self) -> Recovers) -> (Account, Recovers) {
        let crowd = Crowd::send(&self.addresses(), crowd);
        until_true("the launch is in its middle", || crowd.entered() >= 80);
        let line = self.gateway(0).room();
        assert!(line["waiting"].as_u64().unwrap() > 200, "a line stands: {line}");
        let recovers = loss(&mut self);
        let account = Account::of(&crowd.gone(), self.rules);
        for weir in self.gateways.iter().flatten() {
            weir.is_well();
        }
        (account, recovers)
    }
}

/// When a loss was over, and whose next pass shows that it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recovers {
    pub(crate) since: Millis,
    /// `None`: anybody's.
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
    let Rules { rate, burst, session } = rules;
    format!(
        "[[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch/*\"\nnew_users_per_minute = {}\nburst = {burst}\n\
         session_duration = \"{session}ms\"\nfail_mode = \"closed\"\n",
        rate * 60.0
    )
}
