//! The gateways of a store, and how they know each other.
//!
//! Twice a second each sends a heartbeat with its state to the registry of its store, and gets those of the others and
//! the version of the rooms in force: one small call, however large the crowd. A switch is
//! therefore in force everywhere within a second. A store that lost its versions gets them back
//! from any gateway that remembers: the number of switches only grows. The audit of what operators do goes the same way.
//!
//! Out of scope: who may change the rooms ([`crate::ops::admin`]), and how a version takes effect here ([`crate::in_force::plan`]).

pub(crate) mod arrival;
mod audit;
mod clock;
pub(crate) mod counted;
pub(crate) mod guarded;
pub(crate) mod keys;
pub(crate) mod log_outs;
pub(crate) mod peers;
mod rates;
pub(crate) mod trail;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use policy::audit::{Entry, Head};
use serde::{Deserialize, Serialize};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use clock::Look;
use counted::RoomCounted;
use keys::{Judge, KeyStanding, KeyState, Peer};
use peers::Peers;
use rates::Rates;
use trail::Trail;

use crate::in_force::plan::{Next, Plan, Preview, Report};
use crate::in_force::shared::Shared;
use crate::line::store::StoreError;
use crate::line::store::registry::{Change, Heartbeat, HeartbeatReply, InForce, Registry, SILENCE, Version};
use crate::ops::{number, schema};
use crate::telemetry::{PROCESS, catalogue};

/// The longest accepted text of rooms, in bytes.
pub(crate) const LONGEST: usize = 1 << 20;
/// Time between two exchanges.
const BEAT: Duration = Duration::from_millis(500);

/// A gateway's report of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Gateway {
    /// As configured, or its host and the port of its admin listener.
    pub name: String,
    /// The process, in provisional tickets too.
    pub run: String,
    /// Version of the program.
    pub weir: String,
    /// When it started, by its own clock, in milliseconds since 1970.
    pub started_ms: u64,
    /// Addresses for shoppers.
    pub addresses: Vec<String>,
    /// Address for operators.
    pub admin: String,
    /// Its rooms and keys.
    #[serde(flatten)]
    pub plan: Report,
    /// Whether its keys are those of the fleet; if not, it is not ready.
    #[serde(default)]
    pub key_state: KeyState,
    /// The last line of the audit that it saw.
    #[serde(default)]
    #[schema(value_type = schema::AuditHead)]
    pub audit: Head,
    /// Whether the store fails to answer it for some room.
    pub store_away: bool,
    /// Requests per second.
    #[serde(serialize_with = "number::real")]
    pub requests_per_second: f64,
    /// New places per second, of all rooms.
    #[serde(serialize_with = "number::real")]
    pub joins_per_second: f64,
    /// New passes per second, of all rooms.
    #[serde(serialize_with = "number::real")]
    pub admissions_per_second: f64,
    /// Open connections.
    pub connections: usize,
    /// Requests in flight at upstreams.
    pub in_flight: usize,
}

/// What a gateway tells the others with each heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Its report of itself.
    #[serde(flatten)]
    pub gateway: Gateway,
    /// Number of this heartbeat, from 1: the store repeats the last one of a gateway that is cut off. 0: it counts none.
    #[serde(default)]
    pub beat: u64,
    /// What it counted of its busiest rooms in the last second.
    #[serde(default)]
    pub rooms: Vec<RoomCounted>,
}

/// A gateway, and its share of all joins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Member {
    /// Its report.
    #[serde(flatten)]
    pub gateway: Gateway,
    /// Its share of all joins per second; null if there are none.
    #[serde(serialize_with = "number::maybe_real")]
    pub share: Option<f64>,
}

/// The identity of this process.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// Its name.
    pub name: String,
    /// Addresses for shoppers.
    pub addresses: Vec<String>,
    /// Address for operators.
    pub admin: String,
}

impl Identity {
    /// Named as configured, else by its host and the port of its admin listener.
    pub(crate) fn of(name: Option<&String>, addresses: &[SocketAddr], admin: SocketAddr) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = if host.trim().is_empty() { "weir" } else { host.trim() };
        let name = name.cloned().unwrap_or_else(|| format!("{host}:{}", admin.port()));
        Self { name, addresses: addresses.iter().map(ToString::to_string).collect(), admin: admin.to_string() }
    }
}

/// This gateway among the others.
pub(crate) struct Fleet {
    /// State shared by all threads.
    pub shared: Arc<Shared>,
    /// The intended state here.
    pub plan: Arc<Plan>,
    registry: Arc<dyn Registry>,
    identity: Identity,
    started: SystemTime,
    rates: Mutex<Rates>,
    heard: Mutex<Option<(Instant, Vec<Gateway>)>>,
    peers: Mutex<Peers>,
    beats: AtomicU64,
    counted: Mutex<Vec<RoomCounted>>,
    /// Every gateway that was heard lately, by name, and when.
    known: Mutex<HashMap<String, (Gateway, Instant)>>,
    /// The last look at the clock of the store.
    clock: Mutex<Option<Look>>,
    /// The audit, as seen here.
    pub trail: Trail,
    standing: Arc<KeyStanding>,
    judge: Mutex<Judge>,
    /// Gateways already logged as foreign, by their process.
    strangers: Mutex<HashSet<String>>,
    /// One exchange at a time: a stale answer must not follow a new one.
    turn: tokio::sync::Mutex<()>,
}

/// Why the rooms were not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSwitched {
    /// They are wrong on this gateway.
    #[error("{} to mend", .0.len())]
    Invalid(Vec<String>),
    /// Another version came in force.
    #[error("version {0} is in force by now: look at the difference again")]
    Other(u64),
    /// There is no such version.
    #[error("no version {0} is kept; see weir versions")]
    Unknown(u64),
    /// An operator's action would end without a word.
    #[error("this ends what an operator has set ({}): say that it may, with --undo (undo=true)", .0.join("; "))]
    Undoes(Vec<String>),
    /// Other operators were first, again and again.
    #[error("others act at the same time: try again")]
    Busy,
    /// An action with this one-time id was done meanwhile.
    #[error("this was done before")]
    Done,
    /// This gateway does not belong to the fleet.
    #[error("this gateway has no key in common with the others: ask one of them")]
    Foreign,
    /// The text is larger than any rooms.
    #[error("the text of the rooms is longer than {LONGEST} bytes")]
    TooLong,
    /// The text cannot be read.
    #[error("{0}")]
    Unread(String),
    /// The store did not answer. The change may have happened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Fleet {
    /// A gateway unknown to the others so far.
    pub(crate) fn new(
        shared: Arc<Shared>,
        plan: Arc<Plan>,
        registry: Arc<dyn Registry>,
        identity: Identity,
        trail: Trail,
    ) -> Self {
        let rates = Mutex::new(Rates::of(&shared));
        let (started, heard, turn) = (SystemTime::now(), Mutex::default(), tokio::sync::Mutex::default());
        let (judge, strangers, known, clock) = Default::default();
        let (peers, beats, counted) = Default::default();
        let standing = shared.keys.clone();
        Self {
            shared,
            plan,
            registry,
            identity,
            started,
            rates,
            heard,
            peers,
            beats,
            counted,
            known,
            clock,
            trail,
            standing,
            judge,
            strangers,
            turn,
        }
    }

    /// Whether this gateway belongs to the others.
    pub(crate) fn standing(&self) -> &Arc<KeyStanding> {
        &self.standing
    }

    /// Exchanges heartbeats until `stop`.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut heartbeat = interval(BEAT);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = heartbeat.tick() => {
                    self.refresh().await;
                    self.plan.follow_time().await;
                }
            }
        }
    }

    /// One exchange; two if the others must learn what came of the first one: whether this gateway belongs to them, which
    /// rooms it has, and what it has read of the audit.
    pub(crate) async fn refresh(&self) {
        let _turn = self.turn.lock().await;
        let told = || (self.standing.get(), self.plan.report(), self.trail.head());
        let before = told();
        self.exchange().await;
        if told() != before {
            self.exchange().await;
        }
    }

    /// A store that does not answer changes nothing: the committer says so in the log.
    async fn exchange(&self) {
        let (knows, version) = self.plan.wanted();
        let text = serde_json::to_string(&self.tell()).unwrap_or_default();
        let asked = Instant::now();
        let answer =
            self.registry.exchange(Heartbeat { incarnation: self.shared.rooms.incarnation, text, knows }).await;
        let refused = matches!(answer, Err(StoreError::Format { .. }));
        let was_refused = self.standing.refuse(refused);
        match answer {
            Ok(HeartbeatReply { in_force, gateways, audit, now, .. }) if in_force.switch < knows.switch => {
                self.hear(&gateways, Look { asked, answered: Instant::now(), showed: now });
                self.follow(&audit).await;
                if self.standing.get() == KeyState::Shared {
                    self.restore(in_force, knows, version).await;
                }
            }
            Ok(HeartbeatReply { in_force, version, gateways, audit, now }) => {
                self.hear(&gateways, Look { asked, answered: Instant::now(), showed: now });
                if in_force != knows {
                    self.plan.switched(in_force, version).await;
                }
                self.follow(&audit).await;
            }
            Err(error) if refused => {
                if !was_refused {
                    tracing::error!(%error, "this gateway is not ready and commits nothing");
                }
            }
            Err(error) if self.standing.get() == KeyState::Unknown => {
                tracing::error!(%error, "no exchange with other gateways so far: no line is touched before");
            }
            Err(error) => tracing::debug!(%error, "no exchange with other gateways"),
        }
    }

    async fn restore(&self, present: InForce, lost: InForce, version: Option<Version>) {
        match self.registry.switch(present, Change::Restore(lost, version)).await {
            Ok(_) => tracing::warn!(version = lost.number, "the store had lost the rooms in force; given back"),
            Err(error) => tracing::debug!(%error, "the rooms in force could not be given back"),
        }
    }

    fn hear(&self, texts: &[String], look: Look) {
        let before = self.clock.lock().unwrap_or_else(PoisonError::into_inner).replace(look);
        if let Some(by) = before.and_then(|before| look.jump_since(&before)) {
            let direction = if by > 0 { "ahead" } else { "back" };
            PROCESS.counter(&catalogue::STORE_CLOCK_JUMPS, &[direction]).increment(1);
            let by = format!("{:+.1} s", by as f64 / 1_000.0);
            tracing::warn!(by, "the clock of the store has jumped: events begin and end by it");
        }
        // A gateway of another version of Weir may use another format.
        let told: Vec<Told> = texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
        let gateways: Vec<Gateway> = told.iter().map(|told| told.gateway.clone()).collect();
        self.judge(&gateways);
        self.remember(&gateways);
        let (now, run) = (Instant::now(), self.incarnation());
        let others = told.into_iter().filter(|told| told.gateway.run != run);
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).hear(others, now);
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, gateways));
    }

    /// The other gateways, as last heard.
    pub(crate) fn peers(&self) -> Peers {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What this gateway counted of its rooms in the last second: the next heartbeat tells the others.
    pub(crate) fn count(&self, rooms: Vec<RoomCounted>) {
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = rooms;
    }

    fn tell(&self) -> Told {
        let rooms = self.counted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Told { gateway: self.myself(), beat: self.beats.fetch_add(1, Ordering::Relaxed) + 1, rooms }
    }

    /// Remembers when each gateway was heard, for as long as it may live on what it was lent.
    fn remember(&self, gateways: &[Gateway]) {
        let (mut known, now) = (self.known.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        // One that was started anew is listed twice for a while: the later one counts.
        let mut gateways: Vec<&Gateway> = gateways.iter().collect();
        gateways.sort_by_key(|gateway| gateway.started_ms);
        known.extend(gateways.into_iter().map(|gateway| (gateway.name.clone(), (gateway.clone(), now))));
        known.retain(|_, (_, heard)| now.duration_since(*heard) < arrival::FORGOTTEN);
    }

    /// Every gateway that was heard lately, this one as it is now, each with when it was heard.
    fn known(&self) -> Vec<(Gateway, Instant)> {
        let myself = self.myself();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let others = known.values().filter(|(gateway, _)| gateway.name != myself.name).cloned();
        others.chain([(myself.clone(), Instant::now())]).collect()
    }

    /// Compares the keys of this gateway with those of the others.
    fn judge(&self, gateways: &[Gateway]) {
        let (own, run) = (self.plan.report().keys, self.incarnation());
        let others: Vec<&Gateway> = gateways.iter().filter(|gateway| gateway.run != run).collect();
        let peers: Vec<Peer<'_>> =
            others.iter().map(|other| Peer { keys: &other.plan.keys, state: other.key_state }).collect();
        let before = self.standing.get();
        let mut judge = self.judge.lock().unwrap_or_else(PoisonError::into_inner);
        let state = judge.state(before, &own, &peers, Instant::now());
        self.standing.set(state);
        let strangers: Vec<&Gateway> =
            others.iter().zip(&peers).filter(|(_, peer)| !peer.shares(&own)).map(|(other, _)| *other).collect();
        PROCESS.gauge(&catalogue::KEYS_FOREIGN, &[]).set(u8::from(state == KeyState::Foreign));
        PROCESS.gauge(&catalogue::OTHER_KEYS, &[]).set(strangers.len() as f64);
        match (before, state) {
            (KeyState::Unknown | KeyState::Shared, KeyState::Foreign) => tell_foreign(&own, &strangers),
            (KeyState::Foreign, KeyState::Shared) => {
                tracing::info!(keys = ?own, "this gateway belongs to the others on its store again");
            }
            (_, KeyState::Shared) => self.tell_strangers(&strangers),
            _ => {}
        }
    }

    /// Logs once for each gateway that it has none of our keys.
    fn tell_strangers(&self, strangers: &[&Gateway]) {
        let mut told = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|run| strangers.iter().any(|stranger| stranger.run == *run));
        for stranger in strangers {
            if told.insert(stranger.run.clone()) {
                tracing::error!(
                    gateway = stranger.name,
                    keys = ?stranger.plan.keys,
                    "a gateway on the same store has none of the keys of this one: give it the same secret file"
                );
            }
        }
    }

    /// The id of this process, as a text.
    fn incarnation(&self) -> String {
        format!("{:08x}", self.shared.rooms.incarnation)
    }

    /// Every known gateway, by name; while the store is away only this one.
    pub(crate) fn members(&self) -> Vec<Member> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let myself = self.myself();
        let fresh = heard.filter(|(at, _)| at.elapsed() < SILENCE).map(|(_, gateways)| gateways).unwrap_or_default();
        let others = fresh.into_iter().filter(|gateway| gateway.run != myself.run);
        members(others.chain([myself.clone()]).collect())
    }

    /// The name of this gateway.
    pub(crate) fn name(&self) -> &str {
        &self.identity.name
    }

    /// The report of this gateway.
    pub(crate) fn myself(&self) -> Gateway {
        let Identity { name, addresses, admin } = self.identity.clone();
        let rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner).now(&self.shared);
        let site = self.shared.site.load();
        Gateway {
            name,
            run: self.incarnation(),
            weir: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: self.started.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64),
            addresses,
            admin,
            plan: self.plan.report(),
            key_state: self.standing.get(),
            audit: self.trail.head(),
            store_away: self.shared.rooms.all().values().any(|room| room.snapshot().away),
            requests_per_second: rates[0],
            joins_per_second: rates[1],
            admissions_per_second: rates[2],
            connections: self.shared.seats.open(),
            in_flight: site.upstreams.values().map(|upstream| upstream.in_flight()).sum(),
        }
    }

    /// Every stored version.
    ///
    /// # Errors
    /// If the store does not answer.
    pub(crate) async fn versions(&self) -> Result<Vec<Version>, StoreError> {
        self.registry.versions().await
    }

    /// The changes if this text came in force, made from version `from` if given.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) async fn preview(&self, text: &str, from: Option<u64>) -> Result<Preview, NotSwitched> {
        self.plan.preview(Next::Text(text.into()), from, &[]).await.map_err(NotSwitched::Invalid)
    }

    /// The changes if this version came in force, in place of `from` if given.
    ///
    /// # Errors
    /// Everything that is wrong with it, or that it is not there.
    pub(crate) async fn preview_of(&self, number: u64, from: Option<u64>) -> Result<Preview, NotSwitched> {
        let versions = self.versions().await?;
        let next = match versions.iter().find(|version| version.number == number) {
            _ if number == 0 => Next::File,
            Some(version) => Next::Kept(version.clone()),
            None => return Err(NotSwitched::Unknown(number)),
        };
        self.plan.preview(next, from, &versions).await.map_err(NotSwitched::Invalid)
    }

    /// Makes a change that was made from version `from`, and applies it here at once. The line of the audit says who made it.
    ///
    /// # Errors
    /// If another version is in force, or the store does not answer.
    pub(crate) async fn switch(&self, from: u64, change: Change, entry: Entry) -> Result<u64, NotSwitched> {
        let (knows, _) = self.plan.wanted();
        if knows.number != from {
            return Err(NotSwitched::Other(knows.number));
        }
        let to = if let Change::To(number) = change { number } else { knows.switch + 1 };
        let entry = Entry { from: Some(from), version: Some(to), ..entry };
        self.record(&entry, knows, change).await.map(|in_force| in_force.number)
    }
}

/// Logs why this gateway is not ready, and the remedy.
fn tell_foreign(own: &[String], others: &[&Gateway]) {
    let theirs: Vec<String> =
        others.iter().map(|other| format!("{}: {}", other.name, other.plan.keys.join(" "))).collect();
    tracing::error!(
        keys = ?own,
        others = theirs.join(", "),
        "this gateway has no key in common with the others on its store: it is not ready and commits nothing; give it \
         their secret (store.secret_file or WEIR_SECRET), see weir keys list"
    );
}

/// Gateways by name, each with its share of all joins.
fn members(mut gateways: Vec<Gateway>) -> Vec<Member> {
    gateways.sort_by(|a, b| (&a.name, &a.run).cmp(&(&b.name, &b.run)));
    let joins: f64 = gateways.iter().map(|gateway| gateway.joins_per_second).sum();
    let share = |gateway: &Gateway| (joins > 0.0).then(|| gateway.joins_per_second / joins);
    gateways.into_iter().map(|gateway| Member { share: share(&gateway), gateway }).collect()
}
