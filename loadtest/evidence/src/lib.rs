//! What was seen of a launch, from three sides: the shoppers, the gateways, and the shop.
//!
//! Whoever sends a crowd fills it in ([`crate::crowd`]), worker processes send theirs to the one that leads
//! (joined there), and [`crate::verdict`] judges it. All instants are [`Micros`] of the leading
//! process's clock since the start of the run.
//!
//! What is absent: judgement, and anything that only a gateway's own code could know.

mod notes;

use serde::{Deserialize, Serialize};

use crate::attack::Attacked;
use crate::persona::Persona;
use crate::token::Token;

/// Microseconds since the start of the run.
pub type Micros = i64;

/// All of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// Unix time of the start of the run, in microseconds.
    pub start_unix_us: i64,
    /// Length of the run.
    pub took: Micros,
    /// One for each visitor who was due, in order of `index`.
    pub visits: Vec<Visit>,
    /// What the gateways said of the room, in order of time.
    pub gateways: Vec<GatewaySample>,
    /// Its time is the shop's own, in microseconds since 1970. Empty if the shop tells nobody.
    pub shop: Vec<crate::shop::log::Entry>,
    /// What the shop counted; `None` if it tells nobody.
    pub shop_report: Option<crate::shop::Report>,
    /// Second by second.
    pub timeline: Vec<Second>,
    /// What became of each attack, in order of time.
    #[serde(default)]
    pub attacks: Vec<Attacked>,
    /// Memory of the gateways of a stage, in order of time.
    #[serde(default)]
    pub memory: Vec<Memory>,
    /// How the generator itself did, one for each process.
    pub generators: Vec<Generator>,
}

impl Evidence {
    /// What the parts of one crowd saw, as one. Visits are put in order of their index, what happened in the same second
    /// is added up, generators stand side by side. The start is that of the first part.
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
        self.shop_report = self.shop_report.or(part.shop_report);
        let length = self.timeline.len().max(part.timeline.len());
        self.timeline.resize_with(length, Second::default);
        self.timeline.iter_mut().zip(&part.timeline).for_each(|(second, more)| second.add(more));
        self.generators.extend(part.generators);
        self
    }
}

/// What one visitor saw and did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Visit {
    /// Their place in the order of arrivals.
    pub index: u64,
    /// Who they were.
    pub persona: Persona,
    /// When they were to arrive.
    pub due: Micros,
    /// Every different token that their cookie held, in order.
    pub held: Vec<Held>,
    /// The first wait that they were shown.
    pub first_wait: Option<Shown>,
    /// The first and the last position that they were shown.
    pub positions: Option<[u64; 2]>,
    /// How often a position was larger than the one before; always a fault.
    pub positions_grown: u32,
    /// When the first page of the shop had come.
    pub entered: Option<Micros>,
    /// How it ended.
    pub end: End,
    /// When it ended.
    pub left: Micros,
    /// Requests sent.
    pub requests: u32,
    /// Answers 5xx while they were outside.
    pub errors_outside: u32,
    /// Requests outside that had no answer (refused, reset, too late).
    pub unanswered_outside: u32,
    /// Whether they met the line again after they were inside, with their cookie kept.
    pub thrown_out: bool,
    /// When they first met the line again after they were inside, with their cookie shown.
    #[serde(default)]
    pub sent_back: Option<Micros>,
    /// Requests that the shop should know of, or must not know of.
    pub asked: Vec<Asked>,
    /// Steps of their journey that they did.
    #[serde(default)]
    pub steps: u16,
    /// What went wrong on their journey, in order.
    #[serde(default)]
    pub stumbles: Vec<Stumble>,
}

/// A step of a journey that failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stumble {
    /// Which one, from 0.
    pub step: u16,
    /// Why.
    pub why: Why,
}

/// Why a step of a journey failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// No connection, it broke, or nothing came in time.
    NoAnswer,
    /// A status that was not expected.
    Status(u16),
    /// The value of this name was not in the answer.
    Missing(Box<str>),
    /// It ended at this path, not at the one that was expected.
    Elsewhere(Box<str>),
    /// What the page should show was not on it.
    NotShown,
    /// It led to this host, which is no part of the run.
    Stranger(Box<str>),
    /// One redirect after another.
    Redirects,
    /// The page was longer than is read.
    TooLong,
}

/// A token that a cookie held.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// When the answer that brought it had come.
    pub at: Micros,
    /// Which target it came from, as an index of the run's targets.
    pub target: u16,
    /// What it said.
    pub token: Token,
}

/// A wait that was shown, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// When the answer had come.
    pub at: Micros,
    /// At least so long.
    pub low: f64,
    /// At most so long.
    pub high: f64,
}

/// A request with a pass, or an attack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// `X-Request-Id`, which the shop's log has as well if the gateway trusts this machine.
    pub id: String,
    /// What was asked for.
    pub page: Page,
    /// Of which step of a journey.
    #[serde(default)]
    pub step: Option<u16>,
    /// When it was to be sent: the previous answer plus the pause.
    pub due: Micros,
    /// When its answer had come, or was given up.
    pub answered: Micros,
    /// Status of the answer; `None` if there was none.
    pub status: Option<u16>,
    /// Whether nobody at the shop may ever see it.
    pub attack: bool,
}

/// Pages of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Page {
    /// The product.
    Item,
    /// The cart.
    Cart,
    /// The order form.
    Order,
    /// The payment form.
    Payment,
    /// Anything else.
    Other,
}

/// How a visit ended: each in exactly one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// With a paid order.
    Bought,
    /// Let in, and everything was sold.
    SoldOut,
    /// Let in, but order or payment failed until they gave up.
    OrderFailed,
    /// Let in; had no wish to buy (an adversary, or a reader).
    Looked,
    /// The first page failed until they gave up.
    TurnedAway,
    /// The gateway refused them for good (a clear page, no number).
    Refused,
    /// Saw the line and left.
    NoShow,
    /// Left the line before their turn.
    LostPatience,
    /// Still outside at closing time.
    Outside,
    /// Still inside when the grace was over.
    Unfinished,
}

/// What a gateway said of the room.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GatewaySample {
    /// When it was asked.
    pub at: Micros,
    /// Which gateway, as an index of the run's admin addresses.
    pub gateway: u16,
    /// Store time of its copy, in milliseconds since 1970.
    pub store_time_ms: u64,
    /// Passes given so far.
    pub admitted: u64,
    /// Tickets handed out and not called.
    pub waiting: u64,
    /// Passes that live.
    pub active_users: u64,
    /// New shoppers per minute that it is set to.
    pub new_users_per_minute: f64,
    /// Whether the store does not answer it.
    pub store_away: bool,
    /// Whether the limits are given up at this moment.
    pub limits_given_up: bool,
}

/// Memory of a gateway of the stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// When it was looked at.
    pub at: Micros,
    /// Which gateway.
    pub gateway: u16,
    /// Resident, in bytes.
    pub bytes: u64,
}

/// What the crowd did in one second. Latencies count from the instant that a request was due.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Visitors who arrived.
    pub arrived: u64,
    /// Visitors in the line at its end.
    pub waiting: u64,
    /// Visitors inside at its end.
    pub inside: u64,
    /// Visitors who entered.
    pub entered: u64,
    /// Orders that were paid.
    pub bought: u64,
    /// Requests sent.
    pub requests: u64,
    /// Answers 5xx, or none.
    pub failed: u64,
    /// Pages of those inside: latencies in microseconds with their counts.
    pub inside_latency: Latencies,
    /// Answers to those outside: latencies in microseconds with their counts.
    pub outside_latency: Latencies,
    /// How late requests were sent: microseconds with their counts.
    pub lag: Latencies,
}

impl Second {
    /// What others did in the same second.
    pub fn add(&mut self, other: &Self) {
        self.arrived += other.arrived;
        self.waiting += other.waiting;
        self.inside += other.inside;
        self.entered += other.entered;
        self.bought += other.bought;
        self.requests += other.requests;
        self.failed += other.failed;
        self.inside_latency.add(&other.inside_latency);
        self.outside_latency.add(&other.outside_latency);
        self.lag.add(&other.lag);
    }
}

/// Latencies as (microseconds, how many), ascending, to three digits: histograms that add up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latencies(pub Vec<(u64, u64)>);

impl Latencies {
    /// Those of others too.
    pub fn add(&mut self, other: &Self) {
        self.0.extend(&other.0);
        self.0.sort_unstable();
        self.0.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0 };
            same
        });
    }
}

/// How one generating process did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// Its name: `worker 1 of 2`.
    pub name: String,
    /// Arrivals that it should have sent and did not.
    pub dropped_arrivals: u64,
    /// Connections that failed for want of ports or file descriptors on this side.
    pub local_failures: u64,
    /// CPU time that it used, in seconds.
    pub cpu_seconds: f64,
    /// Length of its run in seconds.
    pub seconds: f64,
    /// Threads that could use CPU.
    pub threads: u32,
    /// Most visitors at once.
    pub most_visitors: u64,
    /// Most connections at once.
    pub most_connections: u64,
    /// Most memory in bytes.
    pub most_memory: u64,
    /// Its clock less that of the leading process, in microseconds, and how far that may be wrong.
    pub clock_offset: [i64; 2],
    /// How late its requests were sent: microseconds with their counts.
    #[serde(default)]
    pub lag: Latencies,
    /// The kernel's limits on its machine, each at the most that was in use; empty if the kernel tells none.
    #[serde(default)]
    pub limits: Vec<KernelLimit>,
    /// Packets that its machine dropped for want of room in the connection tracking table.
    #[serde(default)]
    pub dropped_packets: u64,
    /// Connections that found a full listening queue on its machine.
    #[serde(default)]
    pub listen_overflows: u64,
}

/// How much of a limit of the kernel was in use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelLimit {
    /// What it limits: `descriptors`, `conntrack`, `ephemeral_ports`.
    pub name: String,
    /// The most that was in use.
    pub used: u64,
    /// As many as there may be.
    pub limit: u64,
}

impl KernelLimit {
    /// The share that was in use.
    pub fn share(&self) -> f64 {
        self.used as f64 / self.limit.max(1) as f64
    }
}

/// How far a run has come, for whoever watches it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Since the start.
    pub elapsed: Micros,
    /// Visitors who arrived so far.
    pub arrived: u64,
    /// In the line now.
    pub waiting: u64,
    /// Inside now.
    pub inside: u64,
    /// Entered so far.
    pub entered: u64,
    /// Orders paid so far.
    pub bought: u64,
    /// Visits of people who were let in and got no order.
    pub order_failed: u64,
    /// Visits that have ended.
    pub ended: u64,
    /// Requests sent so far.
    pub requests: u64,
    /// Answers 5xx, or none, so far.
    pub failed: u64,
    /// p99 of pages of those inside over the last second, in microseconds; 0 if there were none.
    pub inside_p99: Micros,
    /// p99 of how late requests were sent over the last second, in microseconds.
    pub lag_p99: Micros,
}

impl Progress {
    /// Of two crowds at once: what is counted is added up, of latencies the worse one is told.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            elapsed: self.elapsed.max(other.elapsed),
            arrived: self.arrived + other.arrived,
            waiting: self.waiting + other.waiting,
            inside: self.inside + other.inside,
            entered: self.entered + other.entered,
            bought: self.bought + other.bought,
            order_failed: self.order_failed + other.order_failed,
            ended: self.ended + other.ended,
            requests: self.requests + other.requests,
            failed: self.failed + other.failed,
            inside_p99: self.inside_p99.max(other.inside_p99),
            lag_p99: self.lag_p99.max(other.lag_p99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, indices: [u64; 2], seconds: &[(u64, u64)]) -> Evidence {
        let visit = |index| Visit {
            index,
            persona: Persona::Patient,
            due: 0,
            held: Vec::new(),
            first_wait: None,
            positions: None,
            positions_grown: 0,
            entered: None,
            end: End::Outside,
            left: 0,
            requests: 1,
            errors_outside: 0,
            unanswered_outside: 0,
            thrown_out: false,
            sent_back: None,
            asked: Vec::new(),
            steps: 0,
            stumbles: Vec::new(),
        };
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
