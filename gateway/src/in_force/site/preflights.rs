//! The rate of CORS preflights that a room lets pass.
//!
//! Out of scope: how a preflight is recognised, and how it is forwarded.

use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::quota;
use crate::quota::{Client, Quota, Quotas, Rate};
use crate::settings::config::RoomConfig;

/// Default of the preflights per second that a room lets pass...
const LEAST_PREFLIGHTS: u32 = 50;
/// ...and for each new shopper per second. Browsers cache the answer, so shoppers inside ask seldom.
const PREFLIGHTS_PER_SHOPPER: u32 = 4;
/// One address may take one of this many shares of them.
const PREFLIGHT_SHARES: u32 = 4;

/// Preflights that a room lets pass: at one rate for all, and a share of it for each address.
#[derive(Debug)]
pub(super) struct Preflights {
    all: Rate,
    share: Quota,
    most_clients: usize,
    /// Made for the first preflight.
    each: OnceLock<Quotas>,
    made: Instant,
}

impl Preflights {
    pub(super) fn of(written: &RoomConfig, most_clients: usize) -> Self {
        let enough = (written.new_users_per_minute / 60).saturating_mul(PREFLIGHTS_PER_SHOPPER).max(LEAST_PREFLIGHTS);
        let at_rate = |per_second: u32| quota(per_second, per_second.saturating_mul(2));
        let per_second = written.preflights_per_second.unwrap_or(enough);
        let share = (per_second / PREFLIGHT_SHARES).max(1);
        let (all, share) = (Rate::new(at_rate(per_second)), at_rate(share));
        Self { all, share, most_clients, each: OnceLock::new(), made: Instant::now() }
    }

    /// Charges the address first: a preflight over its share takes nothing from others.
    pub(super) fn charge(&self, client: IpAddr, now: Instant) -> Result<(), Duration> {
        let since = now.saturating_duration_since(self.made);
        let each = self.each.get_or_init(|| Quotas::new(self.share, self.most_clients));
        each.set_time(since);
        // Of IPv6 the whole network of a provider's customer: 16 times the share of a /64 would be more than there is.
        each.charge(Client::wide(client).unwrap_or_else(|| Client::at(client)))?;
        self.all.charge(since)
    }

    /// Forgets clients that have not asked for a while.
    pub(super) fn forget_idle(&self) {
        if let Some(each) = self.each.get() {
            each.forget_idle();
        }
    }
}
