//! The protected shop: its servers, how many requests it works on at once, and one request's way there.
//!
//! An [`Upstream`] is shared by all workers; the connections are each worker's own (its [`Pool`]). A
//! request takes a permit, a server and a connection, and all three are held by the body of the answer
//! until its last byte. Connections are kept by hand: a general client's bookkeeping is a quarter of the
//! cost of a proxied request. Out of scope: buffering of bodies,
//! header rules (see the `headers` module), and what a shopper is told about an error.

mod alarm;
mod connection;
mod counters;
mod deadline;
mod download;
mod error;
mod exchange;
mod gate;
pub mod health;
mod http2;
mod limiter;
mod meters;
mod pace;
mod part;
mod permit;
mod pool;
mod share;
mod socket;
mod streams;
mod upgrade;
mod upload;
mod way;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use policy::servers::retry_budget::RetryBudget;

use self::connection::Failed;
pub use self::connection::Outgoing;
pub use self::counters::Counters;
use self::deadline::ticks;
use self::download::Download;
pub use self::error::UpstreamError;
use self::exchange::{Exchange, Wish};
pub use self::gate::{AtGate, Comer, GateCounters, GateGauges, GateSettings, RouteGate, Turn};
use self::health::{Server, less_loaded};
pub use self::http2::Http2Failure;
use self::http2::is_refused_stream;
pub use self::meters::{ServerMeters, TRAFFIC};
use self::pace::LeastPace;
pub use self::part::{Part, PartSettings};
use self::permit::{Permit, Permits, Rules};
pub use self::pool::Pool;
use self::upgrade::Silence;
use self::upload::Gathering;
pub use self::upload::Upload;
use self::way::ServerAddress;
use crate::client::body::Body;
use crate::client::timer;
use crate::quota::Client;
pub use crate::settings::config::HttpVersion;
use crate::settings::config::{ShopServer, UpstreamConfig};
use crate::settings::tls::client::ClientTls;

impl UpstreamConfig {
    /// What is asked of a client that sends a body.
    fn upload_pace(&self) -> LeastPace {
        LeastPace::new(self.pace_grace, self.min_upload_rate.0)
    }

    fn permits(&self) -> Rules {
        let limit = self.max_in_flight;
        Rules {
            limit,
            reserve: self.pass_reserve.unwrap_or_default(),
            returns: (limit / RETURNS).max(1),
            per_pass: self.max_in_flight_per_pass.unwrap_or(limit).max(1),
            per_address: self.max_in_flight_per_address.unwrap_or(limit).max(1),
            scarce_from: limit / SCARCE,
        }
    }

    fn upgrades(&self) -> Rules {
        let per_client = self.max_upgraded_per_client.unwrap_or(self.max_upgraded).max(1);
        let reserve = if self.pass_reserve.is_some_and(|reserve| reserve > 0) { self.max_upgraded / 4 } else { 0 };
        let (limit, per_pass, per_address) = (self.max_upgraded, per_client, per_client);
        Rules { limit, reserve, returns: (limit / RETURNS).max(1), per_pass, per_address, scarce_from: 0 }
    }
}

/// Returns from a payment without a pass hold one permit in so many.
const RETURNS: usize = 10;

/// Permits are scarce when one in so many is in use.
const SCARCE: usize = 4;

/// Who asks for a permit.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// How it is treated.
    pub who: Priority,
    /// Whose share it takes.
    pub client: Client,
    /// The part of its room, if that has a limit of its own.
    pub part: Option<&'a Part>,
    /// The gate of its route, if that has a class.
    pub gate: Option<AtGate<'a>>,
    /// When a proxy in front will have given it up, if it said so.
    pub deadline: Option<Instant>,
}

/// How a request is treated; holders of a pass come first and wait longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// A holder of a pass who pays.
    Payment,
    /// A holder of a pass who orders.
    Order,
    /// Any other holder of a pass.
    Pass,
    /// A shopper who returns from a payment without a pass: waits as long as a holder, because no one can pay again at a
    /// click, behind all of them and in a small part of the permits.
    Return,
    /// Any other request.
    Anonymous,
}

impl Priority {
    /// All of them, the first first.
    pub const ALL: [Self; 5] = [Self::Payment, Self::Order, Self::Pass, Self::Return, Self::Anonymous];
}

/// A protected shop. Shared by all workers.
#[derive(Debug)]
pub struct Upstream {
    settings: Arc<UpstreamConfig>,
    tls: Option<ClientTls>,
    servers: Vec<Arc<Server>>,
    permits: Arc<Permits>,
    upgrades: Arc<Permits>,
    counters: Arc<Counters>,
    /// When exhaustion was last told.
    told: Mutex<Option<Instant>>,
    /// The header of `timeout_header`.
    timeout_header: Option<HeaderName>,
    retry_budget: Mutex<RetryBudget>,
    made: Instant,
}

impl Upstream {
    /// An upstream by these settings, with what the files of their `tls` held. What is not written is not bounded. It takes over
    /// the permits of the one that it replaces, so that a reload never lets both limits be used at once.
    pub fn new(settings: UpstreamConfig, tls: Option<ClientTls>, replaced: Option<&Self>) -> Self {
        let permits = replaced.map_or_else(Arc::default, |old| old.permits.clone());
        permits.set_rules(settings.permits());
        let upgrades = replaced.map_or_else(Arc::default, |old| old.upgrades.clone());
        upgrades.set_rules(settings.upgrades());
        let server = |written| Arc::new(server(written, &settings, tls.as_ref(), replaced));
        let servers = settings.servers.iter().map(server).collect();
        let counters = replaced.map_or_else(Arc::default, |old| old.counters.clone());
        let (told, retry_budget) = Default::default();
        let timeout_header = settings.timeout_header.as_ref().and_then(|name| name.parse().ok());
        let (settings, made) = (Arc::new(settings), Instant::now());
        Self { settings, tls, servers, permits, upgrades, counters, told, timeout_header, retry_budget, made }
    }

    /// When a proxy in front will have given up a request with this head: what it says in the header of `timeout_header`,
    /// in milliseconds. The caller must trust it.
    pub fn deadline(&self, headers: &HeaderMap) -> Option<Instant> {
        let written = headers.get(self.timeout_header.as_ref()?)?.to_str().ok()?;
        let left = written.trim().parse().ok().map(Duration::from_millis)?;
        Instant::now().checked_add(left)
    }

    /// What it was made of.
    pub fn settings(&self) -> &UpstreamConfig {
        &self.settings
    }

    /// How TLS is spoken to those servers that are written with `https`.
    pub fn tls(&self) -> Option<&ClientTls> {
        self.tls.as_ref()
    }

    /// Its servers, in the order written.
    pub fn servers(&self) -> &[Arc<Server>] {
        &self.servers
    }

    /// Whether none of its servers can be reached: no new shopper is sent to it.
    pub fn rests(&self) -> bool {
        !self.servers.iter().any(|server| server.is_reachable())
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Requests in work now.
    pub fn in_flight(&self) -> usize {
        self.permits.in_flight()
    }

    /// Requests in work now of these.
    pub fn in_flight_of(&self, who: Priority) -> usize {
        self.permits.used_by(who)
    }

    /// Upgraded connections now.
    pub fn upgraded(&self) -> usize {
        self.upgrades.in_flight()
    }

    /// Requests that wait for a permit now; who gave up may still be counted.
    pub fn waiting(&self) -> usize {
        self.permits.waiting()
    }

    /// Sends a request, whose target is a path, and returns the answer as soon as its head is there. The request is
    /// taken from where it stands: to hand it on from future to future costs more than to read it.
    ///
    /// Must run where tasks can be spawned locally. Dropping the future, or the body of the answer before its end,
    /// closes the connection: the server learns that the client has left. An order that was sent goes on to its answer.
    pub async fn forward(
        &self,
        pool: &Pool,
        outgoing: &mut Outgoing,
        caller: Caller<'_>,
    ) -> Result<Response<Body>, UpstreamError> {
        let Some(request) = outgoing else { return Err(UpstreamError::NoServer) };
        if !request.body().is_empty() {
            self.gather(pool, request.body_mut()).await?;
        }
        // One that must not be sent twice.
        let careful = !request.method().is_safe();
        let shopper = upgrade::requested(request);
        let seat = if shopper.is_some() { Some(self.upgrade(caller).await?) } else { None };
        let passage = match caller.gate {
            None => None,
            // On the heap: requests of other routes should not carry its state.
            Some(gate) => Some(Box::pin(gate.enter(self.settings.max_wait)).await?),
        };
        let mut permit = match self.permit_in_calm(caller) {
            Some(permit) => permit,
            // On the heap: requests that do not wait should not carry its state.
            None => Box::pin(self.wait_for_permit(caller)).await?,
        };
        let mut form = None;
        if let (Some(gate), Some(passage)) = (caller.gate, passage) {
            permit = permit.through(passage);
            form = gate.mark(request);
        }
        let upgrade = shopper.is_some();
        let ordered = careful && caller.gate.is_some();
        let patience = self.tell_timeout(caller.deadline, outgoing)?;
        let mut exchange = self.begin(pool, Wish { careful, upgrade, kept: true, older: 0 }).await?;
        exchange.hold(Some(permit));
        let mut sent = pool.raw_time();
        let mut answer;
        let mut tries = 1;
        loop {
            if ordered {
                (exchange, answer) = Box::pin(exchange.send_to_the_end(outgoing)).await;
            } else {
                answer = exchange.send(outgoing, patience).await;
            }
            // Whatever its method: the server did nothing with it.
            let Err(Failed::Unsent(why)) = &answer else { break };
            let Some(wish) = exchange.again(tries) else { break };
            if is_refused_stream(why) && !self.may_ask_again() {
                break;
            }
            self.counters.retried.fetch_add(1, Ordering::Relaxed);
            tries += 1;
            let permit = exchange.give_back();
            exchange = self.begin(pool, Wish { upgrade, ..wish }).await?;
            exchange.hold(permit);
            sent = pool.raw_time();
        }
        if let (Some(_), false, Err(Failed::Sent(UpstreamError::Timeout))) = (patience, ordered, &answer) {
            // Given up, and still awaited: its permit stays for a while.
            return Err(UpstreamError::Late);
        }
        exchange.ended();
        if let Err(Failed::Sent(UpstreamError::Timeout)) = &answer {
            exchange.server().stayed_silent(self.settings.response_timeout, pool.millis());
        }
        let mut answer = answer.map_err(|failed| self.failed(exchange.server(), failed.into(), upgrade))?;
        if let Some(form) = form.filter(|_| !answer.status().is_server_error()) {
            form.answered();
        }
        let after = pool.answered(sent, exchange.server(), answer.status());
        exchange.server().meters().answered(caller.who, answer.status(), after);
        *answer.version_mut() = Version::HTTP_11;
        exchange.answered();
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            let asked = shopper.zip(seat);
            let (shopper, seat) =
                asked.ok_or_else(|| self.failed(exchange.server(), UpstreamError::NotAskedToSwitch, upgrade))?;
            exchange.switched();
            let silence = Silence::new(pool.deadline(LeastPace::default()), self.settings.upgraded_idle_timeout);
            let bridge = upgrade::bridge(shopper, hyper::upgrade::on(&mut answer), silence, (exchange, seat));
            return Ok(answer.map(|_| Body::Switch(Some(bridge))));
        }
        self.counters.answered.fetch_add(1, Ordering::Relaxed);
        exchange.server().succeeded();
        let (parts, body) = answer.into_parts();
        let body = Download::begin(body, exchange, pool, &self.settings, &self.counters).await;
        Ok(Response::from_parts(parts, body))
    }

    /// Tells the server how long its answer is waited for, where it wants to know. Returns the ticks for which a proxy in front
    /// waits, if those are fewer than ours.
    fn tell_timeout(&self, deadline: Option<Instant>, request: &mut Outgoing) -> Result<Option<u64>, UpstreamError> {
        let (Some(header), Some(request)) = (&self.timeout_header, request) else { return Ok(None) };
        let ours = self.settings.response_timeout;
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(UpstreamError::Late);
        }
        let shorter = left.filter(|left| *left < ours);
        let millis = shorter.unwrap_or(ours).as_millis() as u64;
        request.headers_mut().insert(header, HeaderValue::from(millis));
        Ok(shorter.map(ticks))
    }

    /// Whether one more request may be sent again that a server refused: it is asked again, which is a load. (A connection that
    /// was closed before a byte was sent, or ended in order, cost it nothing.)
    fn may_ask_again(&self) -> bool {
        let counters = &self.counters;
        let requests = counters.answered.load(Ordering::Relaxed) + counters.failed.load(Ordering::Relaxed);
        let mut budget = self.retry_budget.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = budget.spend(self.settings.retry_budget, requests, self.made.elapsed());
        counters.not_retried.fetch_add(u64::from(!allowed), Ordering::Relaxed);
        allowed
    }

    /// A permit, if neither those of its room nor those of the upstream are scarce.
    fn permit_in_calm(&self, Caller { who, part, .. }: Caller<'_>) -> Option<Permit> {
        match part {
            None => self.permits.acquire_in_calm(who),
            Some(part) => {
                let of_room = part.permits.acquire_in_calm(who)?;
                Some(self.permits.acquire_in_calm(who)?.within(Some(of_room)))
            }
        }
    }

    /// Waits for a permit of its room, if that has some of its own, and then for one of the upstream.
    async fn wait_for_permit(&self, caller: Caller<'_>) -> Result<Permit, UpstreamError> {
        let max_wait = caller.part.and_then(|part| part.max_wait).unwrap_or_else(|| self.max_wait(caller.who));
        let mut of_room = None;
        let permit = timer::timeout(max_wait, async {
            if let Some(part) = caller.part {
                of_room = Some(part.permits.acquire_in_turn(caller).await?);
            }
            self.permits.acquire_in_turn(caller).await
        });
        match (permit.await.ok().flatten(), caller.part) {
            (Some(permit), _) => Ok(permit.within(of_room)),
            (None, Some(part)) if of_room.is_none() => {
                part.was_busy();
                Err(UpstreamError::RoomBusy { retry_after: max_wait.max(Duration::from_secs(1)) })
            }
            (None, _) => Err(self.busy()),
        }
    }

    /// Waits for the beginning of a request's body.
    async fn gather(&self, pool: &Pool, body: &mut Upload) -> Result<(), UpstreamError> {
        let settings = &self.settings;
        let (most, most_of_all) = (settings.request_buffer.0, settings.max_buffered.0);
        let rule = Gathering { most, most_of_all, silence: ticks(settings.response_timeout) };
        let deadline = pool.deadline(settings.upload_pace());
        let gathered = body.gather(rule, pool.charge(), &deadline).await;
        gathered.inspect_err(|error| self.blame_client(error))
    }

    /// The right to one upgraded connection.
    async fn upgrade(&self, caller: Caller<'_>) -> Result<Permit, UpstreamError> {
        self.upgrades.acquire(caller, Duration::ZERO).await.ok_or_else(|| {
            self.counters.upgrades_refused.fetch_add(1, Ordering::Relaxed);
            UpstreamError::UpgradesFull
        })
    }

    /// A server and a connection to it. A server that cannot be connected to is passed over: nothing was
    /// sent, so the others may be asked whatever the method.
    async fn begin(&self, pool: &Pool, wish: Wish) -> Result<Exchange, UpstreamError> {
        let mut tried = Vec::new();
        let mut error = UpstreamError::NoServer;
        while let Some(server) = self.choose(pool, &tried) {
            let mut exchange = Exchange::new(pool.kept(server, &self.settings, &self.counters));
            if exchange.take(wish) {
                return Ok(exchange);
            }
            match Box::pin(exchange.connect(wish)).await {
                Ok(opened) => {
                    server.connected(true);
                    self.counters.connected.fetch_add(u64::from(opened), Ordering::Relaxed);
                    return Ok(exchange);
                }
                Err(source) => {
                    error = UpstreamError::connecting(server.address().to_owned(), source);
                    error = self.failed(server, error, wish.upgrade);
                    self.note_unreachable(server, &error);
                    tried.push(server.clone());
                }
            }
        }
        Err(error)
    }

    /// The less loaded of two servers drawn from those in use; from all that were not tried if none is.
    fn choose(&self, pool: &Pool, tried: &[Arc<Server>]) -> Option<&Arc<Server>> {
        if let [only] = &*self.servers {
            return tried.is_empty().then_some(only);
        }
        let (random, now) = (pool.random(), pool.millis());
        let untried = self.servers.iter().filter(|server| !tried.iter().any(|t| Arc::ptr_eq(t, server)));
        let usable = untried.clone().filter(|server| server.is_usable());
        less_loaded(&usable, random, now).or_else(|| less_loaded(&untried, random, now))
    }

    /// Notes what an error says about the server; nothing where HTTP/1.1 was tried because the request asks for another protocol.
    fn failed(&self, server: &Server, error: UpstreamError, upgrade: bool) -> UpstreamError {
        if upgrade && server.way().may_speak_http2() && error.is_the_servers() {
            return UpstreamError::NoUpgrade(error.to_string());
        }
        if let UpstreamError::Http2 { failure, .. } = &error
            && !failure.is_shared()
        {
            server.way().met(*failure);
        }
        if !error.is_the_servers() {
            self.blame_client(&error);
            self.blame_us(&error);
            return error;
        }
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        server.meters().failed(&error);
        let others = || self.servers.iter().any(|other| !std::ptr::eq(&raw const **other, server) && other.is_usable());
        if server.failed(self.settings.eject_after) && others() && server.eject(self.settings.eject_for) {
            self.counters.ejected.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(upstream = self.settings.name, server = server.address(), %error, "server ejected");
        }
        error
    }

    /// The log says why a server cannot be reached when it could be before.
    fn note_unreachable(&self, server: &Server, error: &UpstreamError) {
        let why = match error {
            UpstreamError::Connect { source, .. } | UpstreamError::Tls { source, .. } => source.to_string(),
            UpstreamError::Http2 { failure: Http2Failure::NotSpoken, why } => why.clone(),
            _ => return,
        };
        if server.connected(false) {
            let (upstream, server) = (&self.settings.name, server.address());
            tracing::warn!(upstream, server, why, "server cannot be connected to");
        }
    }

    fn blame_client(&self, error: &UpstreamError) {
        if matches!(error, UpstreamError::ClientSlow) {
            self.counters.slow_uploads.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts and tells that this machine has nothing left to connect with, at most once a second.
    fn blame_us(&self, error: &UpstreamError) {
        let UpstreamError::Exhausted { server, source } = error else { return };
        self.counters.exhausted.fetch_add(1, Ordering::Relaxed);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= Duration::from_secs(1)) {
            *told = Some(Instant::now());
            let upstream = &self.settings.name;
            tracing::error!(upstream, server, error = %source, "no descriptor or port left to connect with");
        }
    }

    fn max_wait(&self, who: Priority) -> Duration {
        match who {
            Priority::Payment | Priority::Order | Priority::Pass | Priority::Return => self.settings.pass_max_wait,
            Priority::Anonymous => self.settings.max_wait,
        }
    }

    fn busy(&self) -> UpstreamError {
        self.counters.busy.fetch_add(1, Ordering::Relaxed);
        UpstreamError::Busy { retry_after: self.settings.max_wait.max(Duration::from_secs(1)) }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.servers.iter().for_each(|server| server.retire());
    }
}

/// A server as written. It goes on counting where the one of its address was.
fn server(
    written: &ShopServer,
    settings: &UpstreamConfig,
    tls: Option<&ClientTls>,
    replaced: Option<&Upstream>,
) -> Server {
    let way = ServerAddress::new(&written.to_string(), tls, settings.http_version);
    let before = replaced.and_then(|old| old.servers.iter().find(|server| server.address() == way.address));
    let new = || Arc::new(ServerMeters::of(&settings.name, &way.address));
    let meters = before.map_or_else(new, |server| server.meters().clone());
    Server::new(way, meters)
}
