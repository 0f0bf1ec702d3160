//! Counts as rates, from one sample to the next.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::line::rooms::LiveRoom;
use crate::ops::fleet::counted::RoomCounted;
use crate::settings::config::RouteClass;
use crate::telemetry::Durations;
use crate::telemetry::meters::JOIN_REFUSALS;
use crate::upstream::Upstream;

/// The percentile of the shop's latency that is told.
const PERCENTILE: f64 = 0.95;
/// The shortest time between two samples: a clock that stood still makes no rate infinite.
const SHORTEST: Duration = Duration::from_millis(100);

/// Counts as of the last sample.
#[derive(Debug, Default)]
pub(super) struct Counting {
    at: Option<Instant>,
    rooms: HashMap<Arc<str>, RoomSoFar>,
    shops: HashMap<String, ShopSoFar>,
}

/// What happened in a room since the last sample, in a second.
#[derive(Debug)]
pub(super) struct Counted {
    /// Tickets handed out, over all gateways.
    pub arrivals: f32,
    /// Passes given, over all gateways.
    pub admitted: f32,
    /// What this gateway counted.
    pub here: RoomCounted,
}

/// The counts of a room.
#[derive(Debug, Clone)]
struct RoomSoFar {
    /// Tickets handed out and passes given; `None`: the store has not told yet.
    line: Option<[u64; 2]>,
    refused: [u64; JOIN_REFUSALS.len()],
    waited: Durations,
    orders: u64,
}

/// The counts of an upstream.
#[derive(Debug, Clone, Default)]
struct ShopSoFar {
    latencies: Durations,
    errors: u64,
}

/// What an upstream did in a second.
#[derive(Debug, Clone, Copy)]
struct Shop {
    p95: Option<f32>,
    errors: f32,
}

impl Counting {
    /// What happened in these rooms since the last call, in their order. Of a room that was not among them nothing is known.
    pub(super) fn second(&mut self, rooms: &[Arc<LiveRoom>], now: Instant) -> Vec<Counted> {
        let since = self.at.replace(now).map_or(SHORTEST, |at| now.saturating_duration_since(at));
        let seconds = since.max(SHORTEST).as_secs_f64();
        let shops = self.shops(rooms, seconds);
        let before = std::mem::take(&mut self.rooms);
        let second = |room: &Arc<LiveRoom>| {
            let so_far = RoomSoFar::of(room);
            let mut counted = so_far.since(before.get(&room.name).unwrap_or(&so_far), seconds);
            counted.here.line = (&*room.name).into();
            if let Some(shop) = room.shop().and_then(|shop| shops.get(&shop.settings().name).copied()) {
                (counted.here.upstream_p95, counted.here.upstream_5xx) = (shop.p95, shop.errors);
            }
            self.rooms.insert(room.name.clone(), so_far);
            counted
        };
        rooms.iter().map(second).collect()
    }

    /// What the upstreams of these rooms did.
    fn shops(&mut self, rooms: &[Arc<LiveRoom>], seconds: f64) -> HashMap<String, Shop> {
        let before = std::mem::take(&mut self.shops);
        let mut shops = HashMap::new();
        for upstream in rooms.iter().filter_map(|room| room.shop()) {
            let name = &upstream.settings().name;
            if shops.contains_key(name) {
                continue;
            }
            let so_far = ShopSoFar::of(&upstream);
            let known = before.get(name).unwrap_or(&so_far);
            let shop = Shop {
                p95: so_far.latencies.since(&known.latencies).quantile(PERCENTILE).map(|p95| p95 as f32),
                errors: rate(so_far.errors, known.errors, seconds),
            };
            shops.insert(name.clone(), shop);
            self.shops.insert(name.clone(), so_far);
        }
        shops
    }
}

impl RoomSoFar {
    fn of(room: &LiveRoom) -> Self {
        let (snapshot, meters) = (room.snapshot(), room.meters());
        Self {
            line: snapshot.view.as_ref().map(|view| [view.segments.given(), view.granted]),
            refused: meters.joins_refused(),
            waited: meters.waited(),
            orders: room.stage(RouteClass::Order).counts().delivered,
        }
    }

    fn since(&self, before: &Self, seconds: f64) -> Counted {
        let line = self.line.zip(before.line);
        let [arrivals, admitted] =
            line.map_or([0.0; 2], |(now, before)| [0, 1].map(|at| rate(now[at], before[at], seconds)));
        let waited = self.waited.since(&before.waited);
        let here = RoomCounted {
            refused: std::array::from_fn(|why| rate(self.refused[why], before.refused[why], seconds)),
            entered: rate(waited.count(), 0, seconds),
            waited: (waited.seconds() / seconds) as f32,
            orders: rate(self.orders, before.orders, seconds),
            ..RoomCounted::default()
        };
        Counted { arrivals, admitted, here }
    }
}

impl ShopSoFar {
    fn of(upstream: &Upstream) -> Self {
        let mut sum = Self::default();
        for server in upstream.servers() {
            sum.latencies.add(&server.meters().latencies());
            sum.errors += server.meters().errors();
        }
        sum
    }
}

/// A count that grew, in a second. One that began anew has not grown.
fn rate(now: u64, before: u64, seconds: f64) -> f32 {
    (now.saturating_sub(before) as f64 / seconds) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_become_rates_and_a_line_that_was_unknown_has_not_grown() {
        let before = RoomSoFar { line: None, refused: [0, 4, 0], waited: Durations::default(), orders: 3 };
        let now = RoomSoFar { line: Some([900, 50]), refused: [0, 10, 1], orders: 7, ..before.clone() };
        let counted = now.since(&before, 2.0);
        assert_eq!((counted.arrivals, counted.admitted), (0.0, 0.0));
        assert_eq!((counted.here.refused, counted.here.orders), ([0.0, 3.0, 0.5], 2.0));
        let later = RoomSoFar { line: Some([910, 56]), ..now.clone() };
        let counted = later.since(&now, 2.0);
        assert_eq!((counted.arrivals, counted.admitted), (5.0, 3.0));
        assert!(counted.here.is_nothing() && counted.here.mean_wait().is_none());
    }
}
