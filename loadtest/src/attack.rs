//! Attacks ([`launch_model::attack`]) as they are made: over raw connections, beside the people of a launch.
//!
//! An attack is a number of connections, each driven by an `attacker`: it acts, rests, and opens another connection
//! where the old one was closed. All of them end at the end of the attack, whatever the site does. Every request carries an
//! id of [`launch_model::attack::ID`], by which the shop's log tells it apart.
//!
//! Out of scope: TLS, and judgement ([`verdict`] judges by the holders of passes beside it).

mod asks;
mod attacker;
mod door;
mod holds;
mod places;
mod streams;
mod tally;

use std::sync::Arc;
use std::time::Duration;

use evidence::{Attacked, micros};
use launch_model::attack::Attack;
use launch_model::scenario::Room;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::wire::Target;
use attacker::{Attacker, Ground};
use tally::Tally;

/// The shortest rest of one attacker between two acts.
const LEAST_REST: Duration = Duration::from_millis(1);

/// All attacks of a launch.
#[derive(Debug, Clone)]
pub struct Siege {
    /// In the order of the scenario.
    pub attacks: Vec<Attack>,
    /// The room of the launch.
    pub room: Room,
    /// Targets, taken in turns.
    pub targets: Vec<Target>,
    /// The zero of all instants.
    pub start: Instant,
}

impl Siege {
    /// Makes every attack in its time, and returns the results of each. `stop` ends them at once.
    pub async fn lay(self, stop: CancellationToken) -> Vec<Attacked> {
        let mut attacks = JoinSet::new();
        let siege = Arc::new(self);
        for index in 0..siege.attacks.len() {
            attacks.spawn(Arc::clone(&siege).attack(index, stop.clone()));
        }
        let mut done = attacks.join_all().await;
        done.sort_by_key(|attacked| attacked.from);
        done
    }

    async fn attack(self: Arc<Self>, index: usize, stop: CancellationToken) -> Attacked {
        let attack = &self.attacks[index];
        let (from, until) = (self.start + attack.from.0, self.start + attack.until());
        let tally = Arc::new(Tally::default());
        let work = async {
            sleep_until(from).await;
            let mut attackers = JoinSet::new();
            for number in 0..attack.connections {
                attackers.spawn(self.attacker(index, number, from, until, Arc::clone(&tally)).run());
            }
            attackers.join_all().await;
        };
        stop.run_until_cancelled(work).await;

        tally.tell(attack.kind, micros(attack.from.0), micros(attack.until()))
    }

    fn attacker(&self, index: usize, number: u32, from: Instant, until: Instant, tally: Arc<Tally>) -> Attacker {
        let attack = &self.attacks[index];
        let target = self.targets[number as usize % self.targets.len()].clone();
        let between = Duration::from_secs_f64(1.0 / attack.rate);
        let ground = Ground { target, page: self.room.path.clone(), room: self.room.name.clone() };
        Attacker::new(
            attack.kind,
            [index as u32, number],
            number % attack.addresses,
            ground,
            tally,
            [from + between * number, until],
            (between * attack.connections).max(LEAST_REST),
        )
    }
}
