//! Whether a server is in use: what requests tell of it, and what it says when asked.
//!
//! Passive: failures in a row eject a server for a while, longer each time, but never the last one in
//! use. Active: [`run`] asks for a path at an interval. Out of scope: a server that answers 500 is a
//! server that answers; to take those out, give it a health path.
//!
//! Where no server [can be reached](Server::is_reachable) the shop rests, and lines stand. That is told by connecting and by
//! health checks alone: never by answers, or a request that makes the shop fail could stop a line.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, Version, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use policy::servers::response_time::ResponseTime;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Upstream;
use super::error::is_local;
use super::http2::{self, Http2Failure};
use super::meters::ServerMeters;
use super::way::{Lookup, ServerAddress};
use crate::settings::config::HealthConfig;
use crate::settings::tls::client::TlsFailure;

/// An ejection is at most 2 to this power times as long as the first.
const MAX_DOUBLINGS: u32 = 4;

/// One server of an upstream, shared by all workers.
#[derive(Debug)]
pub struct Server {
    way: ServerAddress,
    id: u32,
    meters: Arc<ServerMeters>,
    born: Instant,
    in_flight: AtomicUsize,
    /// How long its answers take: a [`ResponseTime`].
    response_time: AtomicU64,
    /// Active checks say that it is not well.
    down: AtomicBool,
    /// The last attempt to connect failed.
    unreachable: AtomicBool,
    /// In a row.
    failures: AtomicU32,
    /// Without a success in between.
    ejections: AtomicU32,
    /// Milliseconds since `born`; 0 if not ejected.
    ejected_until: AtomicU64,
    /// Its upstream is gone: no worker needs its connections any more.
    retired: AtomicBool,
}

impl Server {
    /// Reached so, and counted there.
    pub(super) fn new(way: ServerAddress, meters: Arc<ServerMeters>) -> Self {
        Self {
            id: crc32fast::hash(way.address.as_bytes()),
            way,
            meters,
            born: Instant::now(),
            retired: AtomicBool::default(),
            in_flight: AtomicUsize::default(),
            response_time: AtomicU64::default(),
            down: AtomicBool::default(),
            unreachable: AtomicBool::default(),
            failures: AtomicU32::default(),
            ejections: AtomicU32::default(),
            ejected_until: AtomicU64::default(),
        }
    }

    /// Its upstream is gone.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// What it answered.
    pub fn meters(&self) -> &Arc<ServerMeters> {
        &self.meters
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.way.address
    }

    /// The same at every gateway.
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// How it is reached.
    pub(super) fn way(&self) -> &ServerAddress {
        &self.way
    }

    /// Whether its name could be looked up last time; `None` if it has none.
    pub fn is_resolved(&self) -> Option<bool> {
        self.way.name().map(|_| self.way.is_resolved())
    }

    /// How often each failure of TLS was met; `None` if it is spoken to in clear.
    pub fn tls_failures(&self) -> Option<[(TlsFailure, u64); TlsFailure::ALL.len()]> {
        self.way.tls_failures()
    }

    /// How often each failure of HTTP/2 was met; `None` if it is not spoken.
    pub fn http2_failures(&self) -> Option<[(Http2Failure, u64); Http2Failure::ALL.len()]> {
        self.way.http2_failures()
    }

    /// Requests in work on it, over all workers.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// How long its answers take.
    pub fn response_time(&self) -> ResponseTime {
        ResponseTime::from_bits(self.response_time.load(Ordering::Relaxed))
    }

    /// The head of an answer came after `took`, at `now`. Of two at the same time one may be lost.
    pub(super) fn answered(&self, status: StatusCode, took: Duration, now: u32) {
        let before = self.response_time();
        let after = if status.is_server_error() { before.failed(took, now) } else { before.answered(took, now) };
        self.response_time.store(after.to_bits(), Ordering::Relaxed);
    }

    /// None came for so long.
    pub(super) fn stayed_silent(&self, for_long: Duration, now: u32) {
        self.response_time.store(self.response_time().failed(for_long, now).to_bits(), Ordering::Relaxed);
    }

    /// True if neither checks nor requests found fault with it.
    pub fn is_usable(&self) -> bool {
        !self.down.load(Ordering::Relaxed) && !self.is_ejected()
    }

    /// True if checks pass, as far as there are any, and the last attempt to connect did not fail.
    pub fn is_reachable(&self) -> bool {
        !self.down.load(Ordering::Relaxed) && !self.unreachable.load(Ordering::Relaxed)
    }

    /// An attempt to connect came to this; true if the one before did not. Writes nothing that is known: the line is
    /// shared by all workers.
    pub(super) fn connected(&self, well: bool) -> bool {
        self.unreachable.load(Ordering::Relaxed) == well && self.unreachable.swap(!well, Ordering::Relaxed) == well
    }

    fn is_ejected(&self) -> bool {
        let until = self.ejected_until.load(Ordering::Relaxed);
        // The clock is read only for a server that was ejected and has not answered since.
        until != 0 && self.age() < until
    }

    pub(super) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// It answered. Writes nothing unless it had failed: the line is shared by all workers.
    pub(super) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 && !self.is_ejected() {
            self.failures.store(0, Ordering::Relaxed);
            self.ejections.store(0, Ordering::Relaxed);
            self.ejected_until.store(0, Ordering::Relaxed);
        }
    }

    /// It failed; true if that is `eject_after` times in a row or more.
    pub(super) fn failed(&self, eject_after: u32) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        eject_after != 0 && failures >= eject_after
    }

    /// Takes it out of use; false if it is out. It comes back on probation: the next failure counts as
    /// the last of its row.
    pub(super) fn eject(&self, eject_for: Duration) -> bool {
        let now = self.age();
        let doublings = self.ejections.load(Ordering::Relaxed).min(MAX_DOUBLINGS);
        let until = now + ((eject_for.as_millis() as u64) << doublings).max(1);
        let change = |old: u64| (old <= now).then_some(until);
        let ejected = self.ejected_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).is_ok();
        if ejected {
            self.ejections.fetch_add(1, Ordering::Relaxed);
        }
        ejected
    }

    fn age(&self) -> u64 {
        self.born.elapsed().as_millis() as u64
    }
}

/// The [less loaded](ResponseTime::is_less_loaded) of two different ones drawn at random.
pub(super) fn less_loaded<'a>(
    servers: &(impl Iterator<Item = &'a Arc<Server>> + Clone),
    random: u64,
    now: u32,
) -> Option<&'a Arc<Server>> {
    let count = servers.clone().count();
    let first = (random >> 32) as usize % count.max(1);
    let second = (first + 1 + random as u32 as usize % count.saturating_sub(1).max(1)) % count.max(1);
    let drawn = [first, second].into_iter().filter_map(|index| servers.clone().nth(index));
    drawn.reduce(|one, other| {
        let than = (one.response_time(), one.in_flight());
        if other.response_time().is_less_loaded(other.in_flight(), than, now) { other } else { one }
    })
}

/// How often a server is tried that could not be connected to.
const RETRY: Duration = Duration::from_millis(500);

/// Checks all servers of those upstreams that want it, and tries those that cannot be connected to, until told to stop.
pub async fn run(upstreams: Vec<Arc<Upstream>>, stop: CancellationToken) {
    let mut checks = JoinSet::new();
    for upstream in upstreams {
        for server in upstream.servers() {
            checks.spawn(retry(server.clone(), upstream.settings().connect_timeout));
            if server.way.name().is_some() {
                let settings = upstream.settings();
                checks.spawn(follow_name(settings.name.clone(), server.clone(), settings.resolve_every));
            }
        }
        let Some(rules) = upstream.settings().health.clone() else { continue };
        for server in upstream.servers() {
            checks.spawn(watch(upstream.settings().name.clone(), server.clone(), rules.clone()));
        }
    }
    stop.cancelled().await;
    // Dropping the set ends the checks.
}

async fn watch(upstream: String, server: Arc<Server>, rules: HealthConfig) {
    let mut interval = tokio::time::interval(rules.interval.max(Duration::from_millis(1)));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Answers in a row that contradict what is believed.
    let mut streak = 0;
    loop {
        interval.tick().await;
        let well = tokio::time::timeout(rules.timeout, ask(&server.way, &rules.path)).await;
        if matches!(&well, Ok(Err(error)) if error.downcast_ref().is_some_and(is_local)) {
            // Nothing was learned of the server.
            continue;
        }
        let down = !matches!(well, Ok(Ok(status)) if status.is_success() || status.is_redirection());
        let needed = if down { rules.unhealthy_after } else { rules.healthy_after };
        streak = if down == server.down.load(Ordering::Relaxed) { 0 } else { streak + 1 };
        if streak >= needed.max(1) {
            streak = 0;
            server.down.store(down, Ordering::Relaxed);
            let why = match well {
                Ok(Ok(status)) => format!("answered {status}"),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            tracing::warn!(upstream, server = server.address(), down, why, "health of server changed");
        }
    }
}

/// Connects again to a server that cannot be connected to: while a line stands, no request of a newcomer does.
async fn retry(server: Arc<Server>, limit: Duration) {
    let mut interval = tokio::time::interval(RETRY);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if server.unreachable.load(Ordering::Relaxed)
            && let Ok(Ok(())) = tokio::time::timeout(limit, reach(&server.way)).await
        {
            server.connected(true);
        }
    }
}

/// How long a look-up may take.
const LOOK_UP: Duration = Duration::from_secs(5);

/// Looks the name of a server up every so often, and each second while it cannot be connected to.
async fn follow_name(upstream: String, server: Arc<Server>, every: Duration) {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looked_up: Option<Instant> = None;
    loop {
        interval.tick().await;
        let due = looked_up.is_none_or(|looked_up| looked_up.elapsed() >= every);
        let Some(name) = server.way.name().filter(|_| due || !server.is_reachable()) else { continue };
        looked_up = Some(Instant::now());
        let found = match tokio::time::timeout(LOOK_UP, tokio::net::lookup_host(name)).await {
            Ok(found) => found.map(Iterator::collect),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        let why = found.as_ref().err().map(io::Error::to_string);
        let (server, news) = (server.address(), server.way.learn(found.unwrap_or_default()));
        match news {
            Lookup::Nothing => {}
            Lookup::Moved => tracing::info!(upstream, server, "name of server leads elsewhere"),
            Lookup::Lost => {
                tracing::warn!(upstream, server, why, "name of server cannot be looked up: its last addresses stay");
            }
            Lookup::Found => tracing::info!(upstream, server, "name of server can be looked up again"),
        }
    }
}

/// Connects as requests do.
async fn reach(way: &ServerAddress) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (wire, http2) = way.connect(false).await?;
    if http2 {
        http2::ask(wire, None).await?;
    }
    Ok(())
}

/// One question on its own connection: a kept one would not show that new ones are refused.
async fn ask(way: &ServerAddress, path: &str) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
    let (wire, http2) = way.connect(false).await?;
    if http2 {
        let uri = Uri::builder().scheme(wire.scheme()).authority(&*way.address).path_and_query(path).build()?;
        let request = Request::get(uri).version(Version::HTTP_2).header(header::USER_AGENT, "weir");
        let answer = http2::ask(wire, Some(request.body(Empty::new())?)).await?;
        return answer.ok_or_else(|| "no answer".into());
    }
    let (mut sender, connection) = http1::handshake(TokioIo::new(wire)).await?;
    let request = Request::get(path)
        .header(header::HOST, &way.address)
        .header(header::USER_AGENT, "weir")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let mut answer = std::pin::pin!(sender.send_request(request));
    let answer = tokio::select! {
        answer = &mut answer => answer,
        // It may end in the same moment in which it delivers the answer.
        _ = connection => answer.await,
    };
    Ok(answer?.status())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::config::HttpVersion;

    const SECOND: Duration = Duration::from_secs(1);

    fn server() -> Server {
        Server::new(ServerAddress::new("a:1", None, HttpVersion::One), Arc::new(ServerMeters::of("shop", "a:1")))
    }

    #[test]
    fn failures_count_in_a_row_only() {
        let server = server();
        assert!(!server.failed(2));
        server.succeeded();
        assert!(!server.failed(2));
        assert!(server.failed(2));
        assert!(!server.failed(0));
    }

    #[test]
    fn what_a_request_can_provoke_does_not_make_a_server_unreachable() {
        let server = server();
        assert!(server.failed(1) && server.eject(SECOND));
        assert!(!server.is_usable() && server.is_reachable());
        server.connected(false);
        server.succeeded();
        assert!(!server.is_reachable(), "an answer on a kept connection says nothing of new ones");
        server.connected(true);
        assert!(server.is_reachable());
    }

    #[test]
    fn an_ejected_server_is_not_ejected_twice_by_requests_that_were_under_way() {
        let server = server();
        assert!(server.eject(SECOND));
        assert!(!server.eject(SECOND));
        assert!(!server.is_usable());
        assert_eq!(server.ejections.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn each_ejection_is_twice_as_long_up_to_a_bound() {
        let server = server();
        let mut lengths = Vec::new();
        for _ in 0..6 {
            assert!(server.eject(SECOND));
            let until = server.ejected_until.swap(0, Ordering::Relaxed);
            lengths.push((until - server.age()).div_ceil(1000));
        }
        assert_eq!(lengths, [1, 2, 4, 8, 16, 16]);
    }
}
