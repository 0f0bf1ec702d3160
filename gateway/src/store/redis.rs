//! Lines in Redis or Valkey 7, shared by any number of gateways without a leader.
//!
//! A commit runs one script for each room (`redis/line/*.lua`, what `Line::apply` does) on one connection
//! (`connect`: to one server, to the master that sentinels name, or to a Cluster), all in flight at once. The
//! clock is the server's own. A commit has one second; whatever fails
//! drops the connection, and the next commit makes a new one: how often that is tried, and with
//! what pauses, is up to the caller ([`crate::rooms`]).
//!
//! Every key of a room has one hash tag (`weir:{room}:..`), so a room is in one slot.
//!
//! A server names itself by its `run_id`: so the script sees that another one has taken over, or that it was started
//! again, and may have lost what was written last (`policy::line`, the repair).

mod board;
mod connect;
mod listen;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use policy::Millis;
use policy::lease::{Held, Lease};
use policy::line::{Adopt, Adopted, Grant, Outcome, Restore, Revoked, Seen, Segment, Segments, Stamp, View, segment};
use redis::{Script, ScriptInvocation};
use tokio::time::timeout;

use super::{Answer, Commit, Heard, Store, StoreError, Work};
use crate::config::StoreConfig;
use connect::{Connection, Way};

/// What one room's part of a commit is turned into.
const SCRIPT: &str = concat!(
    include_str!("redis/line/arguments.lua"),
    include_str!("redis/line/state.lua"),
    include_str!("redis/line/lease.lua"),
    include_str!("redis/line/repair.lua"),
    include_str!("redis/line/drain.lua"),
    include_str!("redis/line/line.lua"),
);
/// The keys of a room, in the order of the script.
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
/// A commit that takes longer has failed: whoever waits for it is waiting at a door.
const DEADLINE: Duration = Duration::from_secs(1);

/// The script's answer: view, adopted, first, joined if called, grants, renewed, revoked, revocations seen, lease.
type Reply = (ViewReply, Vec<String>, u64, u64, Vec<i128>, Vec<i64>, Vec<String>, u64, MoreReply);
/// The lease (share and seats, or nothing), second passes, gateways that hold leases, mean stay, bound of the speed,
/// settled, numbers of arrivals, places of those who are entering, and as they are told, visits let in.
type MoreReply = (Vec<String>, u64, u64, f64, f64, bool, Vec<i64>, u64, u64, u64);
/// Segments, forgotten below, lost at, unsure, now, speed, share of shows, claimants, active, granted, no-shows, over limit.
type ViewReply = (Vec<String>, u64, Millis, bool, Millis, f64, f64, u64, u64, u64, u64, u64);

/// The Redis store.
pub struct Redis {
    way: Way,
    script: Script,
    listen: Script,
    board: board::Scripts,
    /// The connection of commits...
    idle: Idle,
    /// ...and of the board.
    board_idle: Idle,
}

/// A connection, while nobody uses it and it has not failed.
type Idle = Mutex<Option<Connection>>;

impl Redis {
    /// The store that is configured. The first commit connects.
    ///
    /// # Errors
    /// If an address, a certificate or a password cannot be understood or read.
    pub fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        Ok(Self::by(Way::of(config).map_err(failed)?))
    }

    /// A store at `url`, such as `redis://:password@127.0.0.1:6379/0`. The first commit connects.
    ///
    /// # Errors
    /// If the address cannot be understood.
    pub fn at(url: &str) -> Result<Self, StoreError> {
        Ok(Self::by(Way::at(url).map_err(failed)?))
    }

    fn by(way: Way) -> Self {
        let (script, listen, board) = (Script::new(SCRIPT), listen::script(), board::Scripts::new());
        Self { way, script, listen, board, idle: Mutex::default(), board_idle: Mutex::default() }
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

    /// Runs the script for one room. A server that does not know it yet is told once.
    async fn transition(
        &self,
        mut connection: Connection,
        Work { room, rules, batch }: &Work,
        at: Option<Stamp>,
    ) -> Result<Outcome, StoreError> {
        let mut call = self.script.prepare_invoke();
        for key in KEYS {
            call.key(format!("weir:{{{room}}}:{key}"));
        }
        for slot in 0..segment::MOST {
            call.key(format!("weir:{{{room}}}:claimed:{slot}"));
        }
        call.arg(optional(at.map(|at| at.now)))
            .arg(optional(at.map(|at| at.server)))
            .arg(rules.rate)
            .arg(rules.burst)
            .arg(optional(rules.total_active_users));
        call.arg(rules.session).arg(rules.claim_window).arg(rules.form_grace).arg(optional(rules.max_session));
        call.arg(u8::from(rules.open)).arg(u8::from(rules.enforced));
        call.arg(u8::from(rules.lends));
        call.arg(rules.visits).arg(batch.visits);
        call.arg(batch.gateway).arg(batch.revocations_seen).arg(u8::from(batch.shop_rests));
        call.arg(batch.joins).arg(batch.joins_if_called);
        let adopt = batch.adopt;
        call.arg(optional(adopt.map(|a| a.run.into()))).arg(optional(adopt.map(|a| a.first)));
        call.arg(optional(adopt.map(|a| a.count)));
        call.arg(2 * batch.arrivals.len());
        for arrival in &batch.arrivals {
            call.arg(arrival.id).arg(u8::from(arrival.if_called));
        }
        for numbers in [&batch.claims, &batch.releases, &batch.confirmed] {
            call.arg(numbers.len()).arg(numbers);
        }
        pairs(&mut call, &batch.renewals);
        held(&mut call, batch.lease);
        seen(&mut call, &batch.seen);
        restore(&mut call, &batch.restore);
        let reply: Reply = connection.run(&call).await.map_err(failed)?;
        outcome(reply, &batch.renewals).ok_or_else(|| failed("its answer is not one of this version's script"))
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

/// What the gateway says of its lease, as arguments.
fn held(call: &mut ScriptInvocation<'_>, held: Option<Held>) {
    call.arg(held.map(|held| held.lease.share.to_string()).unwrap_or_default());
    call.arg(optional(held.and_then(|held| held.lease.seats)));
    call.arg(u8::from(held.is_some_and(|held| held.spent)));
}

/// What the gateway remembers, as arguments.
fn seen(call: &mut ScriptInvocation<'_>, seen: &Seen) {
    call.arg(optional(seen.opened)).arg(seen.granted).arg(seen.active).arg(seen.now).arg(seen.gateways);
    call.arg(3 * seen.segments.len());
    for segment in &seen.segments {
        call.arg(segment.base).arg(segment.next).arg(segment.serving);
    }
    call.arg(seen.adopted.len());
    for Adopted { adopt, base } in &seen.adopted {
        call.arg(format!("{} {} {} {base}", adopt.run, adopt.first, adopt.count));
    }
}

/// What the gateway gives back, as arguments.
fn restore(call: &mut ScriptInvocation<'_>, restore: &Restore) {
    for passes in [&restore.passes, &restore.revoked, &restore.lent] {
        pairs(call, passes);
    }
    call.arg(2 * restore.claimed.len());
    for chunk in &restore.claimed {
        call.arg(chunk.first).arg(chunk.bits.as_slice());
    }
    call.arg(u8::from(restore.more));
}

/// Numbers, each with a time.
fn pairs(call: &mut ScriptInvocation<'_>, pairs: &[(u64, Millis)]) {
    call.arg(2 * pairs.len());
    for (number, time) in pairs {
        call.arg(number).arg(time);
    }
}

/// An argument that may be absent.
fn optional(number: Option<u64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

/// The answer of the script; `None` if it is not one.
fn outcome(reply: Reply, renewals: &[(u64, Millis)]) -> Option<Outcome> {
    let (view, adopted, first, joined_if_called, grants, renewed, revoked, revocations_seen, more) = reply;
    let (lease, second_passes, gateways, stay, bound, settled, arrivals, entering, told, visits) = more;
    let (segments, forgotten, lost, unsure, now, speed, show_share, claimants, active, granted, no_shows, over_limit) =
        view;
    let view = View {
        segments: segments_of(&segments)?,
        forgotten,
        lost,
        unsure,
        now,
        speed,
        show_share,
        settled,
        bound,
        stay,
        claimants,
        entering,
        told,
        active,
        granted,
        no_shows,
        over_limit,
        second_passes,
        gateways,
        adopted: adopted.iter().map(|text| adopted_of(text)).collect::<Option<_>>()?,
    };
    Some(Outcome {
        view,
        arrivals: arrivals.iter().map(|&number| number.try_into().ok()).collect(),
        first,
        joined_if_called,
        visits,
        grants: grants.chunks_exact(3).map(grant_of).collect::<Option<_>>()?,
        renewed: renewals.iter().zip(&renewed).map(|(&(number, _), &end)| (number, end.try_into().ok())).collect(),
        revoked: revoked.iter().map(|text| revoked_of(text)).collect::<Option<_>>()?,
        revocations_seen,
        lease: if lease.is_empty() { None } else { Some(lease_of(&lease)?) },
    })
}

/// The segments of a line; the last one is open.
fn segments_of(texts: &[String]) -> Option<Segments> {
    let segment = |text: &String| numbers(text).map(|[base, next, serving]| Segment { base, next, serving });
    let mut before: Vec<Segment> = texts.iter().map(segment).collect::<Option<_>>()?;
    Some(Segments { open: before.pop()?, before })
}

fn adopted_of(text: &str) -> Option<Adopted> {
    let [run, first, count, base] = numbers(text)?;
    Some(Adopted { adopt: Adopt { run: run.try_into().ok()?, first, count }, base })
}

/// A pass that was taken away: number, end, and a third word if it was evicted.
fn revoked_of(text: &str) -> Option<Revoked> {
    let given_back = numbers(text).map(|[number, expires]| Revoked { number, expires, evicted: false });
    given_back.or_else(|| numbers(text).map(|[number, expires, _]| Revoked { number, expires, evicted: true }))
}

fn lease_of(texts: &[String]) -> Option<Lease> {
    let [share, seats] = texts else { return None };
    let seats = if seats.is_empty() { None } else { Some(seats.parse().ok()?) };
    Some(Lease { share: share.parse().ok()?, seats })
}

/// A number, the end of its pass (-1: not yet, -2: spent), and when that was given.
fn grant_of(grant: &[i128]) -> Option<(u64, Grant)> {
    let &[number, expires, admitted] = grant else { return None };
    let grant = match expires {
        -1 => Grant::NotYet,
        -2 => Grant::Spent,
        expires => Grant::Pass { expires: expires.try_into().ok()?, admitted: admitted.try_into().ok()? },
    };
    Some((number.try_into().ok()?, grant))
}

/// The numbers in a text of the script's lists.
fn numbers<const N: usize>(text: &str) -> Option<[u64; N]> {
    let numbers: Vec<u64> = text.split(' ').map(|word| word.parse().ok()).collect::<Option<_>>()?;
    numbers.try_into().ok()
}
