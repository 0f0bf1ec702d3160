//! The stages of a purchase at the shop: looked at all along, and made smaller where the scenario says so.
//!
//! Faults are made here, from outside and at their instants, so that a shop elsewhere can have them too.

use std::time::Duration;

use evidence::micros;
use evidence::shop::{Look, Stages};
use launch_model::scenario::{Fault, Stage};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::http_poller::HttpPoller;

/// How often the stages are looked at; a fault begins and ends within so long.
const EVERY: Duration = Duration::from_millis(250);

/// A stage that gets this share of its pool.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Turn {
    at: Duration,
    stage: Stage,
    share: f64,
}

/// The shop's stages, and what is done to them.
pub(super) struct Watcher {
    shop: HttpPoller,
    start: Instant,
    /// The next one last.
    turns: Vec<Turn>,
}

impl Watcher {
    /// The stages of this shop, which has these faults from `start` on.
    pub(super) fn of(shop: HttpPoller, faults: &[Fault], start: Instant) -> Self {
        Self { shop, start, turns: turns(faults) }
    }

    /// Looks until `stop`. A stage that is still smaller then gets its pool back: requests on their way must come to
    /// their end.
    pub(super) async fn watch(mut self, stop: CancellationToken) -> Vec<Look> {
        let mut looks = Vec::new();
        let mut tick = interval_at(self.start, EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let now = self.start.elapsed();
            self.turn(now).await;
            looks.extend(self.look(now).await);
        }
        self.turn(Duration::MAX).await;
        looks
    }

    /// Makes the turns that are due. The looks tell whether the shop obeyed.
    async fn turn(&mut self, now: Duration) {
        while let Some(Turn { stage, share, .. }) = self.turns.pop_if(|turn| turn.at <= now) {
            let _ = self.shop.post(&format!("/shop/stages?{}={share}", stage.name())).await;
        }
    }

    /// A look without an answer is none.
    async fn look(&mut self, now: Duration) -> Option<Look> {
        let told = self.shop.get("/shop/stages").await.ok()?;
        let stages: Stages = serde_json::from_slice(&told).ok()?;
        Some(Look { at: micros(now), stages })
    }
}

/// The begin and the end of each fault, the first one last. Where one ends as another of its stage begins, it ends first.
fn turns(faults: &[Fault]) -> Vec<Turn> {
    let begin = |fault: &Fault| Turn { at: fault.from.0, stage: fault.stage, share: fault.share };
    let end = |fault: &Fault| Turn { at: fault.until(), stage: fault.stage, share: 1.0 };
    let mut turns: Vec<Turn> = faults.iter().map(end).chain(faults.iter().map(begin)).collect();
    turns.sort_by_key(|turn| turn.at);
    turns.reverse();
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(from: &str, lasts: &str, share: f64) -> Fault {
        Fault { stage: Stage::Payment, share, from: from.parse().unwrap(), r#for: lasts.parse().unwrap() }
    }

    #[test]
    fn faults_begin_and_end_in_order_of_time_also_those_that_follow_each_other() {
        let mut turns = turns(&[fault("60s", "10s", 0.5), fault("40s", "20s", 0.1)]);
        let seen: Vec<_> = std::iter::from_fn(|| turns.pop()).map(|turn| (turn.at.as_secs(), turn.share)).collect();
        assert_eq!(seen, [(40, 0.1), (60, 1.0), (60, 0.5), (70, 1.0)]);
    }
}
