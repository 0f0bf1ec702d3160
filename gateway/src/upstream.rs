//! The protected shop: its servers, how many requests it works on at once, and one request's way there.
//!
//! An [`Upstream`] is shared by all workers; the connections are each worker's own (its [`Pool`]). A
//! request takes a permit, a server and a connection, and all three are held by the body of the answer
//! until its last byte. Connections are kept by hand: a general client's bookkeeping is a quarter of the
//! cost of a proxied request. What is absent: HTTP/2 and TLS towards the shop, buffering of bodies,
//! header rules (see the `headers` module), and what a shopper is told about an error.

mod alarm;
mod connection;
mod deadline;
mod error;
mod exchange;
pub mod health;
mod permit;
mod pool;
mod upgrade;
mod upload;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, Response, StatusCode, Version};
use policy::limit::{Limit, Outcome};

use self::connection::Failed;
pub use self::error::UpstreamError;
use self::exchange::Exchange;
use self::health::Server;
use self::permit::Permits;
pub use self::pool::Pool;
pub use self::upload::Upload;
use crate::body::{Body, Held};

/// What an operator says of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// For routes, logs and metrics.
    pub name: String,
    /// `host:port` each, spoken to in cleartext HTTP/1.1.
    pub servers: Vec<String>,
    /// Requests in work at once, over all servers and workers.
    pub max_in_flight: usize,
    /// How long a request of anonymous traffic waits for a permit.
    pub max_wait: Duration,
    /// How long a request of a holder of a pass waits for a permit.
    pub pass_max_wait: Duration,
    /// Until a new connection is there.
    pub connect_timeout: Duration,
    /// Silence until the head of the answer; a body that is being sent to the upstream is no silence.
    pub response_timeout: Duration,
    /// A kept connection is closed after this; below the server's own, so that it is never met closed.
    pub idle_timeout: Duration,
    /// Kept connections per server and worker.
    pub max_idle: usize,
    /// Active health checks, if any.
    pub health: Option<HealthSettings>,
    /// Failures in a row that take a server out of use; 0 is never.
    pub eject_after: u32,
    /// For how long; doubled each time it fails again, up to 16 times this.
    pub eject_for: Duration,
}

/// How servers are asked whether they are well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSettings {
    /// Answered with 2xx or 3xx by a healthy server.
    pub path: String,
    /// Between two checks of a server.
    pub interval: Duration,
    /// For connection and answer together.
    pub timeout: Duration,
    /// Bad answers in a row until it is out.
    pub unhealthy_after: u32,
    /// Good answers in a row until it is back.
    pub healthy_after: u32,
}

impl UpstreamSettings {
    /// These servers, and the default of everything else.
    pub fn new(name: impl Into<String>, servers: Vec<String>) -> Self {
        Self {
            name: name.into(),
            servers,
            max_in_flight: 200,
            max_wait: Duration::from_millis(250),
            pass_max_wait: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(20),
            max_idle: 64,
            health: None,
            eject_after: 5,
            eject_for: Duration::from_secs(5),
        }
    }
}

/// Who asks for a permit; holders of a pass come first and wait longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// A holder of a pass.
    Pass,
    /// Anybody else.
    Anonymous,
}

/// What happened so far, for telemetry. Each only grows.
#[derive(Debug, Default)]
pub struct Counters {
    /// Heads of answers passed on.
    pub answered: AtomicU64,
    /// Requests that the upstream failed.
    pub failed: AtomicU64,
    /// Requests that found no permit in time.
    pub busy: AtomicU64,
    /// Requests sent again, the first time having sent nothing.
    pub retried: AtomicU64,
    /// Connections opened.
    pub connected: AtomicU64,
    /// Times a server was taken out of use for its failures.
    pub ejected: AtomicU64,
}

/// A protected shop. Shared by all workers.
#[derive(Debug)]
pub struct Upstream {
    settings: Arc<UpstreamSettings>,
    servers: Vec<Arc<Server>>,
    permits: Arc<Permits>,
    counters: Counters,
}

impl Upstream {
    /// An upstream by these settings. It takes over the permits of the one that it replaces, so that a
    /// reload never lets both limits be used at once.
    pub fn new(settings: UpstreamSettings, replaced: Option<&Self>) -> Self {
        let limit = Limit::Fixed(settings.max_in_flight).permits();
        let permits = replaced.map_or_else(Arc::default, |old| old.permits.clone());
        permits.set_limit(limit);
        let servers = settings.servers.iter().map(|address| Arc::new(Server::new(address.clone()))).collect();
        Self { settings: Arc::new(settings), servers, permits, counters: Counters::default() }
    }

    /// What it was made of.
    pub fn settings(&self) -> &UpstreamSettings {
        &self.settings
    }

    /// Its servers, in the order written.
    pub fn servers(&self) -> &[Arc<Server>] {
        &self.servers
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Requests in work now.
    pub fn in_flight(&self) -> usize {
        self.permits.in_flight()
    }

    /// Requests that wait for a permit now; who gave up may still be counted.
    pub fn waiting(&self) -> usize {
        self.permits.waiting()
    }

    /// Sends a request, whose target is a path, and returns the answer as soon as its head is there.
    ///
    /// Must run where tasks can be spawned locally. Dropping the future, or the body of the answer before its end,
    /// closes the connection: the server learns that nobody waits.
    pub async fn forward(
        &self,
        pool: &Pool,
        mut request: Request<Upload>,
        who: Patience,
    ) -> Result<Response<Body>, UpstreamError> {
        let permit = self.permits.acquire(who, self.max_wait(who)).await.ok_or_else(|| self.busy())?;
        let shopper = upgrade::requested(&mut request);
        let idempotent = request.method().is_idempotent();
        let mut exchange = self.begin(pool, true).await?;
        let answer = match exchange.send(request).await {
            Err(Failed::Unsent(unsent, _)) if idempotent => {
                self.counters.retried.fetch_add(1, Ordering::Relaxed);
                exchange = self.begin(pool, false).await?;
                exchange.send(*unsent).await
            }
            answer => answer,
        };
        let mut answer = answer.map_err(|failed| self.failed(exchange.server(), failed.into()))?;
        *answer.version_mut() = Version::HTTP_11;
        exchange.answered(permit);
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            let shopper = shopper.ok_or_else(|| self.failed(exchange.server(), UpstreamError::NotAskedToSwitch))?;
            exchange.switched();
            upgrade::bridge(shopper, hyper::upgrade::on(&mut answer), exchange);
            return Ok(answer.map(|_| Body::empty()));
        }
        self.counters.answered.fetch_add(1, Ordering::Relaxed);
        exchange.server().succeeded();
        Ok(answer.map(|body| Body::Stream(body, Held::new(exchange))))
    }

    /// A server and a connection to it. A server that cannot be connected to is passed over: nothing was
    /// sent, so the others may be asked whatever the method.
    async fn begin(&self, pool: &Pool, kept: bool) -> Result<Exchange, UpstreamError> {
        let mut tried = Vec::new();
        let mut error = UpstreamError::NoServer;
        while let Some(server) = self.choose(pool.random(), &tried) {
            let mut exchange = Exchange::new(pool.kept(server, &self.settings));
            if kept && exchange.take() {
                return Ok(exchange);
            }
            match exchange.connect().await {
                Ok(()) => {
                    self.counters.connected.fetch_add(1, Ordering::Relaxed);
                    return Ok(exchange);
                }
                Err(source) => {
                    let failed = UpstreamError::Connect { server: server.address().to_owned(), source };
                    error = self.failed(server, failed);
                    tried.push(server.clone());
                }
            }
        }
        Err(error)
    }

    /// The less loaded of two servers drawn from those in use; from all that were not tried if none is.
    fn choose(&self, random: u64, tried: &[Arc<Server>]) -> Option<&Arc<Server>> {
        if let [only] = &*self.servers {
            return tried.is_empty().then_some(only);
        }
        let untried = self.servers.iter().filter(|server| !tried.iter().any(|t| Arc::ptr_eq(t, server)));
        let usable = untried.clone().filter(|server| server.is_usable());
        less_loaded(&usable, random).or_else(|| less_loaded(&untried, random))
    }

    /// Notes what an error says about the server.
    fn failed(&self, server: &Server, error: UpstreamError) -> UpstreamError {
        if error.outcome() != Outcome::Dropped {
            return error;
        }
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        let others = || self.servers.iter().any(|other| !std::ptr::eq(&raw const **other, server) && other.is_usable());
        if server.failed(self.settings.eject_after) && others() && server.eject(self.settings.eject_for) {
            self.counters.ejected.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(upstream = self.settings.name, server = server.address(), %error, "server ejected");
        }
        error
    }

    fn max_wait(&self, who: Patience) -> Duration {
        match who {
            Patience::Pass => self.settings.pass_max_wait,
            Patience::Anonymous => self.settings.max_wait,
        }
    }

    fn busy(&self) -> UpstreamError {
        self.counters.busy.fetch_add(1, Ordering::Relaxed);
        UpstreamError::Busy { retry_after: self.settings.max_wait.max(Duration::from_secs(1)) }
    }
}

/// The one with fewer requests in work of two different ones drawn at random.
fn less_loaded<'a>(servers: &(impl Iterator<Item = &'a Arc<Server>> + Clone), random: u64) -> Option<&'a Arc<Server>> {
    let count = servers.clone().count();
    let first = (random >> 32) as usize % count.max(1);
    let second = (first + 1 + random as u32 as usize % count.saturating_sub(1).max(1)) % count.max(1);
    let drawn = [first, second].into_iter().filter_map(|index| servers.clone().nth(index));
    drawn.min_by_key(|server| server.in_flight())
}
