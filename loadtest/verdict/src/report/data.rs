//! The content of a report.

use std::collections::BTreeMap;

use evidence::End;
use evidence::stats::Quantiles;
use launch_model::attack::Kind;
use launch_model::persona::Persona;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::{Check, Verdict};
use crate::order::Entry;
use crate::waits::Wait;

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Version of this format: 1.
    pub format: u32,
    /// The scenario and the circumstances.
    pub run: Run,
    /// The verdict.
    pub verdict: Verdict,
    /// Why: every check.
    pub checks: Vec<Check>,
    /// Visitors by how their visit ended.
    pub ends: BTreeMap<End, u64>,
    /// Visitors by kind.
    pub personas: BTreeMap<Persona, u64>,
    /// Orders that were paid, as the shop counts them; `None` if it publishes no counters.
    pub orders: Option<u64>,
    /// Pages of those inside, from due to read.
    pub page: Quantiles,
    /// Answers to those outside, from due to read.
    pub outside: Quantiles,
    /// How late requests were sent.
    pub lag: Quantiles,
    /// Second by second.
    pub timeline: Vec<Moment>,
    /// First shown waits against what was had, one for each decile of the wait had.
    pub waits: Vec<Wait>,
    /// A sample of the shoppers who entered, in order of tickets: for the picture of fairness.
    pub entries: Vec<Entry>,
    /// The attacks, and their effect on shoppers inside.
    #[serde(default)]
    pub attacks: Vec<Attack>,
    /// Where a purchase has stages: second by second, what could be sold and what was.
    #[serde(default)]
    pub purchases: Vec<Purchases>,
    /// The steps of the journey, in their order.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// How the generating processes did.
    pub generators: Vec<Generator>,
}

/// A step of a journey.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Visitors who did it.
    pub done: u64,
    /// Its answers, each redirect by itself, from due to read.
    pub latency: Quantiles,
    /// Why it failed, most often first.
    pub failures: Vec<Failure>,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// In words.
    pub why: String,
    /// What to look at first.
    pub mend: String,
    /// How often, tries included.
    pub times: u64,
    /// Visits that ended with it.
    pub ended: u64,
}

/// An attack, and its effect on shoppers inside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attack {
    /// What was done.
    pub kind: Kind,
    /// When it began, in seconds since the start.
    pub from: f64,
    /// When it ended, in seconds since the start.
    pub until: f64,
    /// Connections opened.
    pub opened: u64,
    /// Connections at once, at most.
    pub most: u64,
    /// Connections that were refused, or closed by the site.
    pub cut: u64,
    /// Requests begun.
    pub requests: u64,
    /// Answers by their status.
    pub answers: BTreeMap<u16, u64>,
    /// Pages of those inside that came.
    pub pages: u64,
    /// Pages of those inside that were a 5xx or a 429, or did not come, until 10 s after its end.
    pub failed: u64,
    /// p99 of the pages that came.
    pub p99_ms: f64,
    /// The same, against calm.
    pub p99_times: f64,
    /// Pages of each holder of a pass, against calm: 0 to 1.
    pub throughput: f64,
    /// p99 against calm from 5 s to 10 s after its end.
    pub p99_times_after: f64,
    /// Most memory of a gateway before it and while it lasted, in bytes; `None` if it runs elsewhere.
    pub memory: Option<[u64; 2]>,
}

/// The scenario, and where it ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Name of the scenario.
    pub scenario: String,
    /// What it is like.
    pub about: String,
    /// Seed of the crowd.
    pub seed: u64,
    /// Start, RFC 3339.
    pub started: String,
    /// Length in seconds.
    pub seconds: f64,
    /// Where it was sent to; `policy` for a run without sockets.
    pub targets: Vec<String>,
    /// The gateway's name of itself.
    pub gateway: String,
    /// Processor, cores and kernel of the machine that generated it.
    pub machine: String,
    /// The command that runs it again.
    pub command: String,
    /// New shoppers per second that the room promises.
    pub rate: f64,
    /// New shoppers at once on top.
    pub burst: f64,
    /// Passes that may live at once.
    pub total_active_users: Option<u64>,
    /// Visitors who arrived.
    pub visitors: u64,
    /// Most visitors in the line at once.
    pub most_waiting: u64,
    /// Passes granted.
    pub admitted: u64,
    /// Requests sent.
    pub requests: u64,
    /// Answers 5xx, or none.
    pub failed: u64,
}

/// A second of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Moment {
    /// Seconds since the start, at its end.
    pub at: f64,
    /// Visitors who arrived in it.
    pub arrived: u64,
    /// In the line at its end.
    pub waiting: u64,
    /// Inside at its end.
    pub inside: u64,
    /// Passes granted in it, by store time.
    pub admitted: u64,
    /// New shoppers seen at the shop in it.
    pub at_shop: Option<u64>,
    /// Orders paid in it.
    pub bought: u64,
    /// Requests sent in it.
    pub requests: u64,
    /// Answers 5xx, or none, in it.
    pub failed: u64,
    /// Pages of those inside.
    pub inside_latency: Quantiles,
    /// Answers to those outside.
    pub outside_latency: Quantiles,
}

/// Purchases in a second of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Purchases {
    /// Seconds since the start, at its end.
    pub at: f64,
    /// New shoppers per second that the gateways say they let in.
    pub rate: Option<f64>,
    /// Purchases per second that the slowest stage of the shop delivers.
    pub capacity: Option<f64>,
    /// Orders paid in it.
    pub bought: u64,
    /// Orders that came in it: 95 of 100 took at most so long.
    pub order_p95_ms: Option<f64>,
    /// The same of payments.
    pub payment_p95_ms: Option<f64>,
    /// Requests that wait in the stages of the shop at its end.
    pub waiting: u64,
    /// Pages that led people with a pass nowhere.
    pub white: u64,
}

/// How one generating process did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Generator {
    /// Its name.
    pub name: String,
    /// How late its requests were sent.
    pub lag: Quantiles,
    /// Share of its threads' CPU time that it used, 0 to 1.
    pub cpu: f64,
    /// Arrivals that it should have sent and did not.
    pub dropped_arrivals: u64,
    /// Connections that failed for want of ports or file descriptors on this side.
    pub local_failures: u64,
    /// Most visitors at once.
    pub most_visitors: u64,
    /// Most connections at once.
    pub most_connections: u64,
    /// Most memory in bytes.
    pub most_memory: u64,
}
