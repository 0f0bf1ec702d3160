//! A launch as it is written: a TOML file, read as a whole or not at all.
//!
//! ```toml
//! name = "example"
//! seed = 7
//! closing = "30s"                       # no visitor outside asks any more
//!
//! [room]
//! path = "/launch/item"
//! new_users_per_minute = 1500
//!
//! [[arrivals]]
//! kind = "flat"
//! rate = 12.0                           # arrivals per second
//! for = "10s"
//!
//! [[arrivals]]
//! kind = "burst"
//! rate = 12.0
//! times = 25
//! for = "20s"
//!
//! [shoppers]                            # weights
//! patient = 6
//! no_show = 4
//! ```
//!
//! Everything not written has the default that its field names. The types below are also the JSON schema ([`schema`]).
//!
//! Out of scope: how a file is read ([`crate::file`]), the targets of the launch, by how many processes it is sent, and
//! its results.

mod journey;
mod objectives;
mod shop;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::arrivals::{self, Arrivals, Spacing};
use crate::attack::Attack;
use crate::persona::Persona;
use crate::random::rng_for;
use crate::span::Span;
pub use journey::{Expect, Journey, MOST_STEPS, Method, Step, Take};
pub use objectives::Objectives;
pub use shop::{Fault, Payment, Shop, Stage, Word};

/// Keeps the choice of a persona apart from the luck of the person.
const SALT: u64 = 0xca57;

/// A launch: who comes when, to which room, and what is held against it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name, as in `loadtest run NAME`.
    pub name: String,
    /// What it is like, in a sentence.
    #[serde(default)]
    pub about: String,
    /// The same seed sends the same people at the same instants.
    #[serde(default = "default::seed")]
    pub seed: u64,
    /// What the room promises. The run is held against this, whatever the gateway's own configuration says.
    pub room: Room,
    /// When people arrive: phases, one after another.
    #[schemars(length(min = 1))]
    pub arrivals: Vec<Phase>,
    /// How arrivals lie around their expected instants.
    #[serde(default)]
    pub spacing: Spacing,
    /// Who comes: a weight for each kind of visitor. Without it all are patient.
    #[serde(default = "default::shoppers")]
    #[schemars(schema_with = "weights")]
    pub shoppers: BTreeMap<Persona, f64>,
    /// What they do, in a shop that is not the demo shop.
    #[serde(default)]
    pub journey: Option<Journey>,
    /// What they are like.
    #[serde(default)]
    pub habits: Habits,
    /// How they are connected.
    #[serde(default)]
    pub wire: Wire,
    /// What is done to the site meanwhile, one after another.
    #[serde(default, rename = "attack")]
    pub attacks: Vec<Attack>,
    /// When nobody outside asks any more, counted from the start; without it when the last one has arrived.
    #[serde(default)]
    pub closing: Option<Span>,
    /// How long those inside may then take to finish.
    #[serde(default = "default::grace")]
    pub grace: Span,
    /// The shop that a run without `--target` opens.
    #[serde(default)]
    pub shop: Shop,
    /// What must be reached for the verdict "held".
    #[serde(default)]
    pub objectives: Objectives,
}

/// What a room promises.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Room {
    /// Its name at the gateway.
    #[serde(default = "default::room")]
    pub name: String,
    /// Where the launch begins: the product page. Order and payment are its neighbours.
    #[serde(default = "default::path")]
    pub path: String,
    /// A page of another room of the same gateway, for people who try to use that room's pass here; without it
    /// they make one up.
    #[serde(default)]
    pub other: Option<String>,
    /// New shoppers per minute.
    #[schemars(range(min = 1.0, max = 60_000_000.0))]
    pub new_users_per_minute: f64,
    /// New shoppers at once on top; without it what Weir takes by default: a second of the rate, at least 1.
    #[serde(default)]
    #[schemars(range(min = 1.0))]
    pub burst: Option<f64>,
    /// Passes that may live at once; without it no bound.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub total_active_users: Option<u64>,
    /// Life of a pass.
    #[serde(default = "default::session")]
    pub session_duration: Span,
    /// When an event of the room starts, counted from the start of the launch: its pre-queue has begun by then, and nobody enters
    /// before; without it the room has no event.
    #[serde(default)]
    pub event_start: Option<Span>,
    /// How long newcomers gather until their order is drawn, behind all who came before; without it they stand in the order in which they
    /// come.
    #[serde(default)]
    pub random_round: Option<Span>,
}

impl Scenario {
    /// The persona of visitor number `index`: by the weights, and the same in every process. Without any weight, all
    /// are patient.
    pub fn persona(&self, index: u64) -> Persona {
        let all: f64 = self.shoppers.values().sum();
        let mut point = rng_for(self.seed ^ SALT, index).random::<f64>() * all;
        let mut chosen = Persona::Patient;
        for (&persona, &weight) in self.shoppers.iter().filter(|(_, weight)| **weight > 0.0) {
            chosen = persona;
            point -= weight;
            if point < 0.0 {
                break;
            }
        }
        chosen
    }

    /// The instant from which no visitor outside asks any more, counted from the start.
    pub fn closes(&self) -> Duration {
        self.closing.map_or_else(|| Arrivals::of(self).length(), |closing| closing.0)
    }

    /// Share of this kind of visitor, 0 to 1.
    pub fn share(&self, persona: Persona) -> f64 {
        let all: f64 = self.shoppers.values().sum();
        self.shoppers.get(&persona).map_or(0.0, |weight| weight / all)
    }

    /// The same launch so many times as large: crowd, room and stock.
    #[must_use]
    pub fn sized(mut self, times: f64) -> Self {
        for phase in &mut self.arrivals {
            phase.multiply(times);
        }
        let whole = |count: u64| ((count as f64 * times).round() as u64).max(1);
        self.room.new_users_per_minute = (self.room.new_users_per_minute * times).round().max(1.0);
        self.room.burst = self.room.burst.map(|burst| (burst * times).round().max(1.0));
        self.room.total_active_users = self.room.total_active_users.map(whole);
        self.shop.stock = self.shop.stock.map(whole);
        self
    }
}

/// JSON schema of a scenario file.
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Scenario)
}

/// A weight for each kind of visitor, by its name.
fn weights(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let kinds = Persona::schema_kinds();
    let weight = |about: &str| serde_json::json!({ "type": "number", "minimum": 0, "description": about });
    let properties: serde_json::Map<_, _> = kinds.into_iter().map(|(name, about)| (name, weight(&about))).collect();
    schemars::json_schema!({ "type": "object", "properties": properties, "additionalProperties": false })
}

impl Room {
    /// New shoppers per second.
    pub fn rate(&self) -> f64 {
        self.new_users_per_minute / 60.0
    }

    /// New shoppers at once on top.
    pub fn burst(&self) -> f64 {
        self.burst.unwrap_or_else(|| self.rate().max(1.0))
    }
}

/// A stretch of arrivals. Rates are arrivals per second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Phase {
    /// The same rate all along.
    Flat {
        /// Arrivals per second.
        #[schemars(range(min = 0.0, max = 1_000_000.0))]
        rate: f64,
        /// Its length.
        r#for: Span,
    },
    /// From one rate to another in a straight line.
    Ramp {
        /// At its start.
        #[schemars(range(min = 0.0, max = 1_000_000.0))]
        from: f64,
        /// At its end.
        #[schemars(range(min = 0.0, max = 1_000_000.0))]
        to: f64,
        /// Its length.
        r#for: Span,
    },
    /// From one rate to another in equal steps.
    Step {
        /// On the first step.
        #[schemars(range(min = 0.0, max = 1_000_000.0))]
        from: f64,
        /// On the last step.
        #[schemars(range(min = 0.0, max = 1_000_000.0))]
        to: f64,
        /// How many steps, at least 2.
        #[schemars(range(min = 2, max = 1_000))]
        steps: u32,
        /// Its length.
        r#for: Span,
    },
    /// So many times a usual rate, from its first instant on.
    Burst {
        /// The usual rate.
        #[schemars(range(min = 0.0, max = 1_000_000.0))]
        rate: f64,
        /// How many times it.
        #[schemars(range(min = 0.0, max = 10_000.0))]
        times: f64,
        /// Its length.
        r#for: Span,
    },
    /// Counts per interval, from a CSV file: one count a line, or `time,count`, with or without a head line.
    Replay {
        /// The file; relative to the scenario's.
        #[serde(default)]
        file: Option<PathBuf>,
        /// The counts themselves, in place of a file. What was read from the file stands here afterwards.
        #[serde(default)]
        counts: Vec<f64>,
        /// Length of an interval.
        interval: Span,
        /// Every count times this.
        #[serde(default = "default::one")]
        #[schemars(range(min = 0.0, max = 10_000.0))]
        times: f64,
    },
}

impl Phase {
    /// So many times as many people.
    fn multiply(&mut self, by: f64) {
        match self {
            Self::Flat { rate, .. } | Self::Burst { rate, .. } => *rate *= by,
            Self::Ramp { from, to, .. } | Self::Step { from, to, .. } => {
                *from *= by;
                *to *= by;
            }
            Self::Replay { times, .. } => *times *= by,
        }
    }

    /// Its straight lines.
    fn straight(&self) -> Vec<arrivals::Phase> {
        use arrivals::Phase;
        match self {
            Self::Flat { rate, r#for } => vec![Phase::flat(*rate, r#for.0)],
            Self::Ramp { from, to, r#for } => vec![Phase { from: *from, to: *to, seconds: r#for.seconds() }],
            Self::Burst { rate, times, r#for } => vec![Phase::flat(rate * times, r#for.0)],
            Self::Step { from, to, steps, r#for } => {
                let height = (to - from) / f64::from(steps - 1);
                let step = |step| Phase::flat(from + height * f64::from(step), r#for.0 / *steps);
                (0..*steps).map(step).collect()
            }
            Self::Replay { counts, interval, times, .. } => {
                counts.iter().map(|count| Phase::flat(count * times / interval.seconds(), interval.0)).collect()
            }
        }
    }
}

impl Arrivals {
    /// The arrivals of a scenario that was read and found sound.
    pub fn of(scenario: &Scenario) -> Self {
        Self::new(scenario.arrivals.iter().flat_map(Phase::straight), scenario.spacing, scenario.seed)
    }
}

/// What people are like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Habits {
    /// The shortest and the longest time on a page before the next click.
    pub think: [Span; 2],
    /// Pages that somebody looks at before ordering.
    #[schemars(range(max = 100))]
    pub browse: u32,
    /// How long somebody waits for an answer.
    pub patience: Span,
    /// Share of people who put it into the cart before they order it, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub cart: f64,
    /// How often somebody tries a page again that failed.
    #[schemars(range(max = 100))]
    pub retries: u32,
    /// How long after a failure: the shortest and the longest time.
    pub again: [Span; 2],
    /// How long an impatient shopper bears the line: the shortest and the longest time.
    pub bears: [Span; 2],
    /// How long a late returner is away.
    pub away: [Span; 2],
    /// Whether a waiting page is loaded with the assets that it names.
    pub assets: bool,
    /// Whether a shopper whose order or payment is told to wait does so, and the same form is sent again, as the page of a
    /// gateway does by itself. Without it that is a failure.
    pub resends: bool,
}

impl Default for Habits {
    fn default() -> Self {
        let span = |ms: u64| Span(std::time::Duration::from_millis(ms));
        Self {
            think: [span(800), span(2_200)],
            browse: 0,
            cart: 0.0,
            patience: span(10_000),
            retries: 2,
            again: [span(1_000), span(3_000)],
            bears: [span(5_000), span(60_000)],
            away: [span(20_000), span(60_000)],
            assets: true,
            resends: false,
        }
    }
}

/// How people are connected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Wire {
    /// What is spoken.
    pub protocol: Protocol,
    /// Whether connections are kept.
    pub connections: Connections,
    /// How each shopper gets an address of their own.
    pub address: Address,
    /// How many addresses there are.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub addresses: u32,
    /// Share of people who all come from one address more, as those of an office or a mobile network do, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub one_address: f64,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            protocol: Protocol::Http1,
            connections: Connections::Own,
            address: Address::Loopback,
            addresses: 1_000,
            one_address: 0.0,
        }
    }
}

/// What is spoken. With an `https` target each is spoken over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge, or by ALPN.
    Http2,
}

/// Whose a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Connections {
    /// Each shopper has one, kept over a click and closed over a long pause.
    Own,
    /// A new one for each request.
    New,
    /// This many are shared by all: for crowds larger than the ports of a machine.
    Shared(#[schemars(range(min = 1, max = 60_000))] u32),
}

/// Where a shopper seems to come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    /// Source addresses of 127/8, for a target on loopback; else this machine's own.
    Loopback,
    /// PROXY protocol version 2 at the start of a connection.
    ProxyProtocol,
    /// `X-Forwarded-For`: the gateway must trust this machine.
    ForwardedFor,
}

mod default {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use crate::persona::Persona;
    use crate::span::Span;

    pub(super) fn seed() -> u64 {
        7
    }
    pub(super) fn shoppers() -> BTreeMap<Persona, f64> {
        BTreeMap::from([(Persona::Patient, 1.0)])
    }
    pub(super) fn grace() -> Span {
        Span(Duration::from_secs(10))
    }
    pub(super) fn room() -> String {
        "launch".into()
    }
    pub(super) fn path() -> String {
        "/launch/item".into()
    }
    pub(super) fn session() -> Span {
        Span(Duration::from_mins(5))
    }
    pub(super) fn one() -> f64 {
        1.0
    }
}
