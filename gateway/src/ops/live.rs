//! The last hour, one sample a second: what every room and gateway did.
//!
//! A console draws its screens from it, and begins with a whole hour after a reload of the page. The samples are kept here and
//! in no store: they survive a reload of the configuration, not a restart.
//!
//! What a line shows is the store's, and the same at every gateway. What only a gateway counts it tells the others with its
//! heartbeat ([`crate::ops::fleet`]), so that each gateway's hour has all of them.
//!
//! Out of scope: who reads it, and how ([`crate::ops::admin`]).

mod counting;
mod hour;
mod sample;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub(crate) use self::hour::{Hour, Next, SAMPLES};
pub(crate) use self::sample::{GatewaySample, RoomSample, Sample};

use self::counting::Counting;
use crate::line::rooms::LiveRoom;
use crate::line::store::registry::SILENCE;
use crate::ops::fleet::Fleet;
use crate::ops::fleet::counted::{self, RoomCounted};
use crate::settings::config::RouteClass;

/// Time between two samples.
pub(crate) const EVERY: Duration = Duration::from_secs(1);
/// Rooms in a sample: the busiest. Each gateway tells the others of as many.
const ROOMS: usize = counted::MOST;

/// Takes a sample a second until `stop`.
pub(crate) async fn run(hour: Arc<Hour>, fleet: Arc<Fleet>, stop: CancellationToken) {
    let mut counting = Counting::default();
    let mut seconds = interval(EVERY);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(seconds.tick()).await.is_some() {
        let sample = take(&fleet, &mut counting, &hour);
        hour.push(sample);
    }
}

/// The sample of this moment.
fn take(fleet: &Fleet, counting: &mut Counting, hour: &Hour) -> Sample {
    let (now, peers) = (Instant::now(), fleet.peers());
    let (rooms, left_out) = busiest(fleet);
    let counts = counting.second(&rooms, now);
    let told = counts.iter().map(|count| count.here.clone()).filter(|here| !here.is_nothing());
    fleet.count(told.collect());
    let elsewhere = elsewhere(
        peers
            .all()
            .iter()
            .filter(|peer| now.saturating_duration_since(peer.heard) < SILENCE)
            .map(|peer| &*peer.told.rooms),
    );
    let site = fleet.shared.site.load();
    let rooms = rooms.iter().zip(counts).map(|(room, mut count)| {
        if let Some(elsewhere) = elsewhere.get(&*room.name) {
            count.here.add(elsewhere);
        }
        let of_site = site.by_name.get(&*room.title()).into_iter();
        let has_orders =
            of_site.flat_map(|room| site.gates_of(&room.config)).any(|gate| gate.settings().class == RouteClass::Order);
        RoomSample::of(room, &count, has_orders)
    });
    let gateways =
        peers.all().iter().map(|peer| GatewaySample::of(&peer.told.gateway, now.saturating_duration_since(peer.heard)));
    let gateways = gateways.chain([GatewaySample::of(&fleet.myself(), Duration::ZERO)]);
    let at = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64);
    Sample::new(at, rooms.collect(), left_out, gateways.collect(), hour.newest().as_deref())
}

/// The rooms in a sample, by name, and the number of others.
fn busiest(fleet: &Fleet) -> (Vec<Arc<LiveRoom>>, usize) {
    let all = fleet.shared.rooms.all();
    let mut rooms: Vec<_> = all.values().cloned().collect();
    if rooms.len() > ROOMS {
        rooms.sort_by_cached_key(|room| {
            let people = room.snapshot().view.as_ref().map_or(0, |view| view.waiting() + view.active);
            Reverse((!room.is_idle(), people))
        });
        rooms.truncate(ROOMS);
    }
    rooms.sort_by_key(|room| room.title());
    let left_out = all.len() - rooms.len();
    (rooms, left_out)
}

/// What other gateways counted, by line.
fn elsewhere<'a>(told: impl Iterator<Item = &'a [RoomCounted]>) -> HashMap<Box<str>, RoomCounted> {
    let mut sums: HashMap<Box<str>, RoomCounted> = HashMap::new();
    for room in told.flat_map(|rooms| rooms.iter().take(counted::MOST)) {
        match sums.get_mut(&room.line) {
            Some(sum) => sum.add(room),
            None => drop(sums.insert(room.line.clone(), room.clone())),
        }
    }
    sums
}
