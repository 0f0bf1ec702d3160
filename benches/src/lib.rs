//! Parts that the measuring programs share. How to run them and how to read what they print: README.md.

pub mod redis;
pub mod tls;
pub mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use gateway::line::rooms::{Admission, LiveRoom};
use gateway::line::store::{Store, Work};
use hdrhistogram::Histogram;
use jiff::tz::TimeZone;
use policy::action::State;
use policy::line::{Batch, Grant, Outcome};
use policy::pacer::PollTable;
use policy::room::{Room, Rules};

/// A first-come-first-served room with these rules, as live rooms take it.
pub fn terms(rules: Rules) -> gateway::line::rooms::RoomSettings {
    gateway::line::rooms::RoomSettings {
        name: "launch".into(),
        room: Room::new(rules),
        polls: PollTable::CALM,
        poll_budget: 2_000.0,
        zone: TimeZone::UTC,
        page: 0,
        timetable: None,
        event_pages: Vec::new(),
        state: State::Running,
        message: None,
    }
}

/// Memory of this process that is in use, in bytes; 0 where the kernel does not tell.
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

/// So many joins a second, whether or not the earlier ones are answered; how long each took, in microseconds.
pub async fn joins(room: &Arc<LiveRoom>, rate: u64, seconds: u64) -> anyhow::Result<Histogram<u64>> {
    let mut waiting = tokio::task::JoinSet::new();
    let mut clock = tokio::time::interval(Duration::from_millis(1));
    let started = Instant::now();
    let mut sent = 0;
    while sent < rate * seconds {
        clock.tick().await;
        let due = (started.elapsed().as_micros() as u64 * rate / 1_000_000).min(rate * seconds);
        for _ in sent..due {
            let room = room.clone();
            waiting.spawn(async move {
                let asked = Instant::now();
                (room.join(false).await, asked.elapsed())
            });
        }
        sent = due;
    }
    let mut took = Histogram::new(3)?;
    while let Some(joined) = waiting.join_next().await {
        let (admission, after) = joined?;
        anyhow::ensure!(admission != Admission::Away, "the store did not answer");
        took.record(after.as_micros() as u64)?;
    }
    Ok(took)
}

/// A store with one line, and the claims to come.
pub struct Driven {
    store: Arc<dyn Store>,
    rules: Rules,
    called: u64,
    claims: Vec<u64>,
}

impl Driven {
    /// A fast line in this store: 2,000 a second, passes of ten seconds.
    pub fn new(store: Arc<dyn Store>) -> Self {
        let rules = Rules { session: 10_000, ..Rules::per_minute(120_000) };
        Self { store, rules, called: 0, claims: Vec::new() }
    }

    /// Joins, and claims of a quarter of the called; the others never come.
    pub async fn call(&mut self, joins: u64) -> anyhow::Result<Outcome> {
        let batch = Batch { gateway: 1, joins, claims: self.claims.clone(), ..Batch::default() };
        let work = Work { room: Arc::from("launch"), rules: self.rules.clone(), batch };
        let mut outcomes = self.store.commit(vec![work]).await?;
        let outcome = outcomes.pop().context("one work, one outcome")?;
        let answered = |number: &u64| outcome.grants.iter().any(|(n, grant)| n == number && is_final(*grant));
        self.claims.retain(|number| !answered(number));
        let open = outcome.view.segments.open;
        self.claims.extend((self.called.max(open.base) + 1..=open.serving).filter(|number| number.is_multiple_of(4)));
        self.called = open.serving;
        Ok(outcome)
    }
}

fn is_final(grant: Grant) -> bool {
    grant != Grant::NotYet
}
