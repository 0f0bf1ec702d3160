//! Lines in Redis or Valkey 7, shared by any number of gateways without a leader.
//!
//! A commit runs one script for each room (`redis/line/*.lua`, the equal of `Line::apply`) on one connection
//! (`connect`: to one server, to the master that sentinels name, or to a Cluster), all in flight at once. The
//! clock is the server's own. A commit has one second; any failure
//! drops the connection, and the next commit makes a new one: the caller decides how often that is tried, and with
//! what pauses ([`crate::line::rooms`]).
//!
//! Every key of a room has one hash tag (`weir:{room}:..`), so a room is in one slot. Its name contains the format as well, but
//! for the one that holds the format (`redis/format.lua`): gateways of two formats share no key of a line, and the second
//! one is refused.
//!
//! A server identifies itself by its `run_id`: so the script sees that another one has taken over, or that it was started
//! again, and may have lost the last writes (`policy::line`, the repair).

mod connect;
mod listen;
mod registry;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use policy::Millis;
use policy::lease::Lease;
use policy::line::{Batch, Grant, Outcome, Place, Revoked, Stamp, View, segment};
use policy::room::Rules;
use redis::{RedisError, Script};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{Answer, Commit, FORMAT, Heard, Store, StoreError, Work};
use crate::settings::config::StoreConfig;
use connect::{Connection, Topology};

/// The script for one room's part of a commit.
const SCRIPT: &str = concat!(
    include_str!("redis/line/arguments.lua"),
    include_str!("redis/line/state.lua"),
    include_str!("redis/line/lease.lua"),
    include_str!("redis/line/shop.lua"),
    include_str!("redis/line/repair.lua"),
    include_str!("redis/line/pacer.lua"),
    include_str!("redis/line/line.lua"),
);
/// The check for another format; this version's format is put in front of it.
const CLAIM_FORMAT: &str = include_str!("redis/format.lua");
/// The keys of a room, in the order of the script, after the one with the format.
const KEYS: [&str; 14] = [
    "line",
    "came",
    "active",
    "here",
    "named_by",
    "gone",
    "gateways",
    "settled",
    "revoked",
    "adopted",
    "unconfirmed",
    "arrived",
    "arrivals",
    "admitted",
];
/// A commit that takes longer has failed: its callers hold requests of shoppers.
const DEADLINE: Duration = Duration::from_secs(1);

/// The input of the script, packed with the names of the fields.
#[derive(Serialize)]
struct Question<'a> {
    /// Instead of the server's own clock and name: for tests that compare.
    now: Option<Millis>,
    server: Option<u64>,
    rules: &'a Rules,
    batch: &'a Batch,
}

/// The script's answer: an [`Outcome`], but for types that a script lacks.
#[derive(Deserialize)]
struct Reply {
    view: View,
    /// A number, or "round sequence"; empty: turned away.
    arrivals: Vec<String>,
    round: u32,
    first: u64,
    joined_if_called: u64,
    visits: u64,
    /// Number, end of its pass (-1: not yet, -2: spent), and when that was given.
    grants: Vec<(Number, i64, i64)>,
    /// In the order of the batch; -1: it had ended.
    renewed: Vec<i64>,
    revoked: Vec<Revoked>,
    revocations_seen: u64,
    lease: Option<Lease>,
}

/// A number of a ticket: the script's own, or the text of one in the batch.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Own(u64),
    Asked(String),
}

/// The Redis store.
pub struct Redis {
    way: Topology,
    script: Script,
    listen: Script,
    registry: registry::Scripts,
    /// The connection of commits...
    idle: Idle,
    /// ...and of the heartbeats: they never wait for a commit, and no commit for them.
    board_idle: Idle,
}

/// A connection that is not in use and has not failed.
type Idle = Mutex<Option<Connection>>;

impl Redis {
    /// The configured store. The first commit connects.
    ///
    /// # Errors
    /// If an address, a certificate or a password cannot be understood or read.
    pub fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        Ok(Self::by(Topology::of(config).map_err(failed)?))
    }

    /// A store at `url`, such as `redis://:password@127.0.0.1:6379/0`. The first commit connects.
    ///
    /// # Errors
    /// If the address cannot be understood.
    pub fn at(url: &str) -> Result<Self, StoreError> {
        Ok(Self::by(Topology::at(url).map_err(failed)?))
    }

    fn by(way: Topology) -> Self {
        let (script, listen, registry) = (in_this_format(SCRIPT), listen::script(), registry::Scripts::new());
        Self { way, script, listen, registry, idle: Mutex::default(), board_idle: Mutex::default() }
    }

    /// A commit at this time of this server instead of the real ones: for tests that compare.
    #[doc(hidden)]
    pub async fn commit_at(&self, works: &[Work], at: Option<Stamp>) -> Result<Vec<Outcome>, StoreError> {
        let transitions = |connection: Connection| {
            try_join_all(works.iter().map(move |work| self.transition(connection.clone(), work, at)))
        };
        self.on(&self.idle, transitions).await
    }

    /// Calls on a connection: the idle one, or a new one. It is kept unless they fail.
    async fn on<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        idle: &Idle,
        calls: impl FnOnce(Connection) -> F,
    ) -> Result<T, StoreError> {
        let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let run = async {
            let connection = match kept {
                Some(connection) => connection,
                None => self.way.connect().await.map_err(failed)?,
            };
            Ok((calls(connection.clone()).await?, connection))
        };
        let (answer, connection) = timeout(DEADLINE, run).await.map_err(failed)??;
        *idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        Ok(answer)
    }

    /// Runs the script for one room. A server that does not know the script gets it once.
    async fn transition(
        &self,
        mut connection: Connection,
        Work { room, rules, batch }: &Work,
        at: Option<Stamp>,
    ) -> Result<Outcome, StoreError> {
        let format = format!("weir:{{{room}}}:line");
        let mut call = self.script.key(&format);
        for key in KEYS {
            call.key(format!("weir:{{{room}}}:{FORMAT}:{key}"));
        }
        for slot in 0..segment::MOST {
            call.key(format!("weir:{{{room}}}:{FORMAT}:claimed:{slot}"));
        }
        let question = Question { now: at.map(|at| at.now), server: at.map(|at| at.server), rules, batch };
        call.arg(rmp_serde::to_vec_named(&question).map_err(failed)?);
        let reply: Vec<u8> = connection.run(&call).await.map_err(|error| self.refused(error, &format))?;
        let reply: Reply = rmp_serde::from_slice(&reply).map_err(failed)?;
        outcome(reply, &batch.renewals).ok_or_else(|| failed("its answer is not one of this version's script"))
    }

    /// Why a script failed. `format` is the key that it checked first.
    fn refused(&self, error: RedisError, format: &str) -> StoreError {
        if error.code() != Some("FORMAT") {
            return failed(error);
        }
        StoreError::Format {
            place: format!("{} (key {format})", self.way.place()),
            found: error.detail().and_then(|detail| detail.split(' ').next()?.parse().ok()),
            way_out: "give this one another Redis, or delete the keys weir:* there once no one waits any more",
        }
    }
}

impl Store for Redis {
    fn commit(&self, works: Vec<Work>) -> Commit<'_> {
        Box::pin(async move { self.commit_at(&works, None).await })
    }

    fn listen(&self, stirring: Vec<Arc<str>>, since: Millis) -> Answer<'_, Heard> {
        Box::pin(self.hear(stirring, since))
    }
}

fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Redis { source: source.into() }
}

/// A script that first checks the format.
fn in_this_format(script: &str) -> Script {
    Script::new(&format!("local FORMAT = '{FORMAT}'\n{CLAIM_FORMAT}{script}"))
}

/// The outcome; `None` if the reply does not fit the call.
fn outcome(reply: Reply, renewals: &[(u64, Millis)]) -> Option<Outcome> {
    let Reply { view, arrivals, round, first, joined_if_called, visits, grants, renewed, revoked, .. } = reply;
    let Reply { revocations_seen, lease, .. } = reply;
    Some(Outcome {
        view,
        arrivals: arrivals.iter().map(|text| place_of(text)).collect(),
        round,
        first,
        joined_if_called,
        visits,
        grants: grants.into_iter().map(grant_of).collect::<Option<_>>()?,
        renewed: renewals.iter().zip(renewed).map(|(&(number, _), end)| (number, end.try_into().ok())).collect(),
        revoked,
        revocations_seen,
        lease,
    })
}

fn place_of(text: &str) -> Option<Place> {
    match text.split_once(' ') {
        Some((round, sequence)) => {
            Some(Place::InRound { round: round.parse().ok()?, sequence: sequence.parse().ok()? })
        }
        None => text.parse().ok().map(Place::Number),
    }
}

fn grant_of((number, expires, admitted): (Number, i64, i64)) -> Option<(u64, Grant)> {
    let number = match number {
        Number::Own(number) => number,
        Number::Asked(text) => text.parse().ok()?,
    };
    let grant = match expires {
        -1 => Grant::NotYet,
        -2 => Grant::Spent,
        expires => Grant::Pass { expires: expires.try_into().ok()?, admitted: admitted.try_into().ok()? },
    };
    Some((number, grant))
}
