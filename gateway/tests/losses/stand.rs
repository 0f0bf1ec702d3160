//! Gateways on one Redis, each by a way of its own that can be harmed, and the launch that they go through.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use loadtest::arrivals::Phase;
use policy::Millis;

use super::account::Account;
use super::crowd::{Crowd, Plan};
use crate::common::fault::Faulty;
use crate::common::line::shared_store;
use crate::common::redis::RedisServer;
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
    let arrivals = vec![
        Phase { from: 300.0, to: 300.0, seconds: 2.0 },
        Phase { from: 40.0, to: 40.0, seconds: 10.0 },
    ];
    Plan { arrivals, no_shows: 0.4, seed: 3 }
}

/// All that runs.
pub(crate) struct Stand {
    pub(crate) redis: RedisServer,
    /// The way of each gateway to Redis.
    pub(crate) ways: Vec<Faulty>,
    /// The gateways that live.
    pub(crate) gateways: Vec<Option<Weir>>,
    shop: SocketAddr,
}

impl Stand {
    /// This many gateways on this Redis.
    pub(crate) fn of(gateways: usize, redis: RedisServer) -> Self {
        let shop = answering(|_| ok("welcome to the shop"));
        let mut stand = Self { redis, ways: Vec::new(), gateways: Vec::new(), shop };
        for _ in 0..gateways {
            stand.add(RULES, Command::new(WEIR));
        }
        stand
    }

    /// One more gateway, started by this command and `weir`'s own arguments.
    pub(crate) fn add(&mut self, rules: Rules, mut weir: Command) {
        let way = Faulty::to(self.redis.address);
        let dir = tempfile::tempdir().unwrap();
        let store = shared_store(dir.path(), &format!("url = \"redis://{}\"\n", way.address));
        std::fs::write(dir.path().join("weir.toml"), config(self.shop, &room(rules)) + &store).unwrap();
        weir.arg("serve").arg("--config").arg(dir.path().join("weir.toml"));
        self.gateways.push(Some(Weir::spawn(dir, weir)));
        self.ways.push(way);
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
    pub(crate) fn launch(mut self, loss: impl FnOnce(&mut Self) -> Recovers) -> (Account, Recovers) {
        let crowd = Crowd::send(&self.addresses(), &launch_crowd());
        until_true("the launch is in its middle", || crowd.entered() >= 80);
        let line = self.gateway(0).room();
        assert!(line["waiting"].as_u64().unwrap() > 200, "a line stands: {line}");
        let recovers = loss(&mut self);
        let account = Account::of(&crowd.gone(), RULES);
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

fn room(rules: Rules) -> String {
    let Rules { rate, burst, session } = rules;
    format!(
        "[[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch/*\"\nnew_users_per_minute = {}\nburst = {burst}\n\
         session_duration = \"{session}ms\"\nfail_mode = \"closed\"\n",
        rate * 60.0
    )
}
