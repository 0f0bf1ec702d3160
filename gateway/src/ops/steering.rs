//! The rate of a room follows what the gates of its routes deliver.
//!
//! A route with a class and a limit is a stage of the shop, such as its orders. Once its gate is full it shows what that stage takes,
//! and the line is paced so that about a second of work waits there ([`policy::shield::feed_forward`]). Each gateway does so on
//! what it sees: the passes that all gateways gave, and the orders that came to its own gate. So with three of them each third of
//! the orders is held against all passes, and the caps agree.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use policy::cap::{Cap, CapKind, CapSource};
use policy::shield::feed_forward::{FeedForward, Second};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::in_force::shared::Shared;
use crate::in_force::site::{Site, SiteRoom};
use crate::line::rooms::StageCounts;
use crate::settings::config::RouteClass;
use crate::upstream::RouteGate;

/// How often gates are looked at, and how many looks make a tick of the law.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: usize = 10;
/// A gate is full above this mean occupancy, if requests wait there.
const FULL: f64 = 0.9;
/// A cap outlives its gateway by so much, in milliseconds.
const TTL: policy::Millis = 3_000;

/// The routes of one class in a room.
#[derive(Debug)]
struct Stage {
    room: Arc<SiteRoom>,
    class: RouteClass,
    gates: Vec<Arc<RouteGate>>,
    steered: Steered,
}

/// The controller of one stage, and what it has seen.
#[derive(Debug, Default)]
struct Steered {
    law: FeedForward,
    /// The looks of this second.
    looks: Vec<Look>,
    /// Counts, and requests that waited, at the end of the last second.
    before: Option<(StageCounts, u64)>,
    /// From a pass to its request, in seconds, as of the last second in which one went on.
    delay: f64,
}

/// The gates of a stage at a moment.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// Requests in work, as a share of the limits.
    occupancy: f64,
    waiting: u64,
}

/// Steers all rooms with gates until cancelled.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let (mut site, mut stages) = (shared.site.load_full(), Vec::new());
    take_over(&mut stages, &site);
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let now = shared.site.load_full();
        if !Arc::ptr_eq(&now, &site) {
            take_over(&mut stages, &now);
            site = now;
        }
        for stage in &mut stages {
            if let Some(rate) = stage.look() {
                // A full mailbox drops it: the next second says it again.
                let source = source(shared.rooms.incarnation, stage.class);
                let _ = stage.room.live.set_cap(Cap { source, rate, ttl: TTL });
            }
        }
    }
}

/// Each class has a cap of its own: the later of two would replace the lower.
fn source(incarnation: u32, class: RouteClass) -> CapSource {
    CapSource::new(CapKind::Gate, incarnation.wrapping_add(class as u32))
}

/// The stages of this site; those that were there before keep what they know.
fn take_over(stages: &mut Vec<Stage>, site: &Site) {
    let mut known: HashMap<_, _> = stages.drain(..).map(|stage| (stage.key(), stage.steered)).collect();
    for (room, class, gates) in staged(site) {
        let mut stage = Stage { room, class, gates, steered: Steered::default() };
        stage.steered = known.remove(&stage.key()).unwrap_or_default();
        stages.push(stage);
    }
}

/// The stages of each room: gates with a limit, by class.
fn staged(site: &Site) -> impl Iterator<Item = (Arc<SiteRoom>, RouteClass, Vec<Arc<RouteGate>>)> {
    let classes = [RouteClass::Order, RouteClass::Payment];
    site.by_name.values().flat_map(move |room| {
        classes.into_iter().filter_map(move |class| {
            let limited =
                |gate: &&Arc<RouteGate>| gate.settings().class == class && gate.settings().max_in_flight.is_some();
            let gates: Vec<_> = site.gates_of(&room.config).filter(limited).cloned().collect();
            (!gates.is_empty()).then(|| (room.clone(), class, gates))
        })
    })
}

impl Look {
    fn at(gates: &[Arc<RouteGate>]) -> Self {
        let (mut in_flight, mut waiting, mut limit) = (0, 0, 0);
        for gate in gates {
            let gauges = gate.gauges();
            (in_flight, waiting) = (in_flight + gauges.in_flight, waiting + gauges.standing as u64);
            limit += gate.settings().max_in_flight.unwrap_or(0);
        }
        Self { occupancy: in_flight as f64 / limit.max(1) as f64, waiting }
    }
}

impl Stage {
    fn key(&self) -> (Arc<str>, RouteClass) {
        (self.room.live.name.clone(), self.class)
    }

    /// Looks at the gates; once a second the law says what the room may let in, if it is less than its own rate.
    fn look(&mut self) -> Option<f64> {
        self.steered.looks.push(Look::at(&self.gates));
        if self.steered.looks.len() < LOOKS {
            return None;
        }
        let snapshot = self.room.live.snapshot();
        let granted = snapshot.view.as_ref().map_or(0, |view| view.granted);
        let second = self.steered.second(self.room.live.stage(self.class).counts(), granted)?;
        self.steered.law.tick(&second, self.room.in_force(&snapshot, Instant::now()).rules.rate)
    }
}

impl Steered {
    /// What happened in the second that is over; `None`: it is the first.
    fn second(&mut self, counts: StageCounts, granted: u64) -> Option<Second> {
        let looks = std::mem::take(&mut self.looks);
        let waiting = looks.last().map_or(0, |look| look.waiting);
        let (before, waited) = self.before.replace((counts, waiting))?;
        let entered = counts.entered - before.entered;
        // Each comes once, however often it is sent again: it enters, or it waits longer.
        let came = (entered + waiting).saturating_sub(waited);
        let occupancy = looks.iter().map(|look| look.occupancy).sum::<f64>() / looks.len().max(1) as f64;
        if entered > 0 {
            self.delay = (counts.delays - before.delays) as f64 / entered as f64 / 1000.0;
        }
        Some(Second {
            came,
            delays: self.delay * came as f64,
            delivered: counts.delivered - before.delivered,
            waiting,
            // Places are kept for a while for people who do not come back.
            full: occupancy > FULL && looks.iter().all(|look| look.waiting > 0),
            occupancy,
            granted,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(occupancy: f64, waiting: u64) -> Look {
        Look { occupancy, waiting }
    }

    #[test]
    fn a_second_counts_each_request_once() {
        let mut steered = Steered { looks: vec![look(1.0, 4); LOOKS], ..Steered::default() };
        assert_eq!(steered.second(StageCounts::default(), 7), None, "nothing is known of what was before");
        steered.looks = [vec![look(1.0, 4); 5], vec![look(0.5, 2); 5]].concat();
        let counts = StageCounts { entered: 10, delays: 20_000, delivered: 9 };
        let second = steered.second(counts, 20).expect("a second is over");
        assert_eq!((second.came, second.delivered, second.waiting, second.granted), (8, 9, 2, 20));
        assert!((second.occupancy - 0.75).abs() < 1e-9 && (second.delays - 16.0).abs() < 1e-9);
    }

    #[test]
    fn requests_that_come_while_none_goes_on_count_when_they_come() {
        let mut steered = Steered { before: Some(Default::default()), delay: 3.0, ..Steered::default() };
        steered.looks = vec![look(1.0, 6); LOOKS];
        let second = steered.second(StageCounts::default(), 7).expect("a second is over");
        assert!(second.came == 6 && (second.delays - 18.0).abs() < 1e-9, "{second:?}");
    }

    #[test]
    fn each_class_has_a_cap_of_its_own() {
        assert_ne!(source(7, RouteClass::Order), source(7, RouteClass::Payment));
    }

    #[test]
    fn a_gate_is_full_where_requests_wait_all_the_time_and_all_slots_are_in_use() {
        let full = |looks: Vec<Look>| {
            let mut steered = Steered { looks, before: Some(Default::default()), ..Steered::default() };
            steered.second(StageCounts::default(), 20).expect("a second is over").full
        };
        assert!(full(vec![look(1.0, 1); LOOKS]));
        assert!(!full([vec![look(1.0, 1); 9], vec![look(1.0, 0)]].concat()), "nobody waited for a moment");
        assert!(!full(vec![look(0.0, 3); LOOKS]), "places of people who have gone");
    }
}
