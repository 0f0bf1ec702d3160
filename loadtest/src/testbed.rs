//! The testbed of a run without a target: the demo shop, and one gateway or several in front of it.
//!
//! Shop and crowd have a thread each, gateways and Redis are processes. Gateways are configured as in production, from
//! the scenario's room.

pub(crate) mod child;
pub(crate) mod redis;
pub(crate) mod shop;
pub(crate) mod weir;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use launch_model::scenario::Scenario;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::hex::random_hex;
use crate::worker::clock::unix_us;
use redis::Redis;
use weir::{Settings, Shield, Store, Weir};

/// Any free port of loopback.
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// How long it takes at most until all gateways and the crowd are ready: an event is set to start after that.
const OPENS: Duration = Duration::from_secs(15);

/// How a testbed is built.
pub(crate) struct Wanted {
    /// The weir program.
    pub(crate) weir: PathBuf,
    /// How many gateways, at least 1.
    pub(crate) gateways: usize,
    /// Whether a single gateway keeps its line in Redis too.
    pub(crate) redis: bool,
    /// A PostgreSQL for the shop's inventory; otherwise a model of a database.
    pub(crate) database: Option<String>,
}

impl Wanted {
    /// Whether the line is kept in Redis.
    pub(crate) fn in_redis(&self) -> bool {
        self.redis || self.gateways > 1
    }
}

/// Everything that runs. It ends when this is dropped; [`Testbed::close`] is the graceful end.
pub(crate) struct Testbed {
    pub(crate) shop: SocketAddr,
    pub(crate) gateways: Vec<Weir>,
    redis: Option<Redis>,
    _shop: DropGuard,
}

impl Testbed {
    /// Opens the shop, then the gateways in front of it.
    pub(crate) async fn open(scenario: &Scenario, wanted: &Wanted) -> anyhow::Result<Self> {
        let cancel = CancellationToken::new();
        let shop = shop::of(scenario, wanted.database.as_deref(), &cancel).await?;
        let redis = if wanted.in_redis() { Some(Redis::start().await?) } else { None };
        let event_start_ms = scenario.room.event_start.map(|start| in_ms(OPENS + start.0));
        let mut testbed = Self { shop, gateways: Vec::new(), redis, _shop: cancel.drop_guard() };
        let store = testbed.store();
        for _ in 0..wanted.gateways {
            let settings = Settings { event_start_ms, ..testbed.settings(scenario, wanted, &store) };
            testbed.gateways.push(Weir::start(child::command_below_the_crowd(&wanted.weir), &settings).await?);
        }
        Ok(testbed)
    }

    fn store(&self) -> Store {
        self.redis.as_ref().map_or(Store::Own, |redis| Store::Redis { url: redis.url(), secret: random_hex::<32>() })
    }

    fn settings<'a>(&self, scenario: &'a Scenario, wanted: &Wanted, store: &'a Store) -> Settings<'a> {
        // What waits at the third party keeps no order and no page out.
        let payments = scenario.shop.payment.as_ref().map_or(0, |payment| payment.pool);
        Settings {
            http: ANY,
            admin: ANY,
            shop: self.shop,
            room: &scenario.room,
            // What the shop has in flight and as much again that waits for it, from all gateways together.
            max_in_flight: (scenario.shop.slots * 2 + payments).div_ceil(wanted.gateways),
            shield: Shield::of(&scenario.shop, wanted.gateways),
            store,
            one_address: false,
            event_start_ms: None,
        }
    }

    /// An error if a part of it has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        self.gateways.iter_mut().try_for_each(Weir::check)
    }

    /// Ends it.
    pub(crate) async fn close(self) {
        for gateway in self.gateways {
            gateway.stop().await;
        }
        if let Some(redis) = self.redis {
            redis.stop().await;
        }
    }
}

/// The moment after so long, in milliseconds since 1970.
fn in_ms(from_now: Duration) -> i64 {
    unix_us() / 1_000 + i64::try_from(from_now.as_millis()).unwrap_or(0)
}
