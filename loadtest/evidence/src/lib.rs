//! The evidence of a launch, from three sides: the shoppers, the gateways, and the shop.
//!
//! ```text
//! launch-model <-- evidence <-- demo-shop, verdict, loadtest
//! ```
//!
//! The senders of a crowd and the shop write it; worker processes send theirs to the leader (joined
//! there), and the verdict reads it: neither side knows the other. All instants are [`Micros`] of the leading process's
//! clock since the start of the run.
//!
//! Out of scope: judgement, and anything that only a gateway's own code could know.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail"))]

mod attack;
mod gateway;
mod generator;
pub mod shop;
pub mod stats;
mod time;
mod timeline;
mod visit;

use serde::{Deserialize, Serialize};

pub use attack::Attacked;
pub use gateway::{GatewaySample, Memory};
pub use generator::{Generator, KernelLimit};
pub use launch_model::visit::{End, Page, Stumble, Why};
pub use stats::Latencies;
pub use time::{Micros, micros};
pub use timeline::{Progress, Second};
pub use visit::{Held, RequestRecord, ShownWait, Visit};

/// All of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// Unix time of the start of the run, in microseconds.
    pub start_unix_us: i64,
    /// Length of the run.
    pub took: Micros,
    /// One for each visitor who was due, in order of `index`.
    pub visits: Vec<Visit>,
    /// The gateways' reports on the room, in order of time.
    pub gateways: Vec<GatewaySample>,
    /// Its time is the shop's own, in microseconds since 1970. Empty if the shop publishes no log.
    pub shop: Vec<shop::Entry>,
    /// The shop's counters; `None` if it publishes none.
    pub shop_report: Option<shop::Report>,
    /// Looks at the shop's stages, in order of time; empty if it has none that are looked at.
    #[serde(default)]
    pub stages: Vec<shop::Look>,
    /// Second by second.
    pub timeline: Vec<Second>,
    /// The results of each attack, in order of time.
    #[serde(default)]
    pub attacks: Vec<Attacked>,
    /// Memory of the gateways of a testbed, in order of time.
    #[serde(default)]
    pub memory: Vec<Memory>,
    /// How the generator itself did, one for each process.
    pub generators: Vec<Generator>,
}

impl Evidence {
    /// Joins the evidence of the parts of one crowd. Visits are put in order of their index, counts of the same second
    /// are added up, generators stand side by side. The start is that of the first part.
    #[must_use]
    pub fn join(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut whole = parts.into_iter().reduce(Self::with).unwrap_or_default();
        whole.visits.sort_by_key(|visit| visit.index);
        whole.gateways.sort_by_key(|sample| sample.at);
        whole
    }

    fn with(mut self, part: Self) -> Self {
        self.took = self.took.max(part.took);
        self.visits.extend(part.visits);
        self.gateways.extend(part.gateways);
        self.shop.extend(part.shop);
        self.attacks.extend(part.attacks);
        self.memory.extend(part.memory);
        self.stages.extend(part.stages);
        self.shop_report = self.shop_report.or(part.shop_report);
        let length = self.timeline.len().max(part.timeline.len());
        self.timeline.resize_with(length, Second::default);
        self.timeline.iter_mut().zip(&part.timeline).for_each(|(second, more)| second.add(more));
        self.generators.extend(part.generators);
        self
    }
}

#[cfg(test)]
mod tests {
    use launch_model::persona::Persona;

    use super::*;

    fn part(name: &str, indices: [u64; 2], seconds: &[(u64, u64)]) -> Evidence {
        let visit = |index| Visit::begun(index, Persona::Patient, 0);
        let second = |&(arrived, micros)| Second { arrived, lag: Latencies(vec![(micros, 2)]), ..Second::default() };
        Evidence {
            start_unix_us: 5,
            took: Micros::try_from(seconds.len()).unwrap(),
            visits: indices.map(visit).into(),
            timeline: seconds.iter().map(second).collect(),
            generators: vec![Generator { name: name.into(), ..Generator::default() }],
            ..Evidence::default()
        }
    }

    #[test]
    fn parts_of_a_crowd_are_one_crowd() {
        let whole = Evidence::join([part("a", [0, 2], &[(1, 40)]), part("b", [1, 3], &[(2, 40), (3, 50)])]);
        assert_eq!(whole.visits.iter().map(|visit| visit.index).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(whole.timeline.iter().map(|second| second.arrived).collect::<Vec<_>>(), [3, 3]);
        assert_eq!(whole.timeline[0].lag.0, [(40, 4)]);
        assert_eq!(whole.generators.iter().map(|generator| &*generator.name).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((whole.start_unix_us, whole.took), (5, 2));
        assert!(Evidence::join([]).visits.is_empty());
    }

    #[test]
    fn latencies_add_up_in_order() {
        let mut latencies = Latencies(vec![(10, 1), (30, 2)]);
        latencies.add(&Latencies(vec![(5, 7), (30, 1), (40, 1)]));
        assert_eq!(latencies.0, [(5, 7), (10, 1), (30, 3), (40, 1)]);
    }
}
