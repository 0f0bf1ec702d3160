//! How requests reach a server: HTTP/1.1 or HTTP/2, with TLS or without, on connections of one's own or shared ones.
//!
//! Out of scope: who asks, and why; and the meaning of an answer.

mod any_certificate;
mod connection;
mod message;
mod pool;
mod sites;
mod source;
mod target;
mod tls;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http_body_util::{BodyExt, Collected, LengthLimitError, Limited};
use hyper::body::Incoming;
use launch_model::scenario::{self, Address, Connections};
use launch_model::visit::{Ask, Lost};
use rustls::pki_types::ServerName;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

pub(crate) use connection::lost;
use connection::{Connection, Open, Opening};
pub(crate) use message::{Message, Paths};
use pool::Pool;
pub(crate) use pool::PoolSlot;
pub(crate) use sites::Location;
use sites::Sites;
pub(crate) use source::attacker as attacker_address;
pub use target::{BadTarget, Target};
pub use tls::{NoTls, Tls, Trust};

/// The longest pause over which a connection is kept.
const KEPT: Duration = Duration::from_millis(2_500);
/// The client index of visitors behind the one shared address.
pub(crate) const SHARED_ADDRESS: u64 = u64::MAX;
/// The longest page that is read, in bytes.
pub(crate) const LONGEST_PAGE: usize = 2 << 20;
/// A slow reader's rest after each piece of an answer.
const RESTS: Duration = Duration::from_millis(50);

/// The route of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    /// The first target to try, as an index; a host beside comes after all others.
    pub(crate) target: usize,
    /// The client address: a number that each visitor, and each of their addresses, has for itself.
    pub(crate) from: u64,
    /// Whether the answer is read slowly.
    pub(crate) slow: bool,
    /// The visitor's patience: how long they wait for the answer.
    pub(crate) patience: Duration,
}

impl Route {
    /// The target index of a request that is not sent.
    pub(crate) const NOWHERE: usize = usize::MAX;
}

/// A connection that a visitor keeps.
#[derive(Debug)]
pub(crate) struct Kept {
    connection: Connection,
    target: usize,
    from: u64,
}

/// The answer's head and body.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The head of the answer.
    pub(crate) head: Parts,
    /// Its body.
    pub(crate) body: Bytes,
}

/// The result of a request.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The answer, or why there is none.
    pub(crate) result: Result<Reply, Lost>,
    /// The target that was tried last.
    pub(crate) target: usize,
    /// The connection, if it is the visitor's own and can be used again.
    pub(crate) kept: Option<Box<Kept>>,
}

struct Remote {
    target: Target,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    pool: Option<Pool>,
}

/// The routes to all targets.
pub(crate) struct Wire {
    settings: scenario::Wire,
    paths: Paths,
    sites: Sites,
    /// The run's own, then those beside.
    remotes: Vec<Remote>,
    /// How many are the run's own.
    own: usize,
    open: Arc<Open>,
    shared_from: AtomicU64,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("settings", &self.settings).field("open", &self.open).finish_non_exhaustive()
    }
}

impl Wire {
    /// To these targets, at least one that is not beside.
    pub(crate) fn new(settings: scenario::Wire, paths: Paths, mut targets: Vec<Target>) -> Self {
        targets.sort_by_key(|target| target.beside);
        let (sites, own) = (Sites::of(&targets), targets.iter().filter(|target| !target.beside).count());
        let protocol = settings.protocol;
        let remote = |target: Target| {
            let tls = target.tls.as_ref().map(|tls| (tls.connector(protocol), target.server_name()));
            let pool = match settings.connections {
                Connections::Shared(connections) => Some(Pool::new(connections, protocol)),
                Connections::Own | Connections::New => None,
            };
            Remote { target, tls, pool }
        };
        let remotes = targets.into_iter().map(remote).collect();
        Self { settings, paths, sites, remotes, own, open: Arc::default(), shared_from: AtomicU64::new(0) }
    }

    /// How many targets of its own the run has.
    pub(crate) fn targets(&self) -> usize {
        self.own
    }

    /// The target of a request, and its index; `None` for all requests but those of a
    /// journey, and an error if it leads to a host outside the run.
    pub(crate) fn locate(&self, ask: &Ask, target: usize) -> Result<Option<(Location, usize)>, Lost> {
        let Ask::Call(call) = ask else { return Ok(None) };
        let at = self.sites.locate(&call.url, call.from.as_deref(), target).ok_or(Lost::Stranger)?;
        let target = at.beside.map_or(target, |index| self.own + index);
        Ok(Some((at, target)))
    }

    /// The most connections that were open at once.
    pub(crate) fn most_connections(&self) -> u64 {
        self.open.most()
    }

    /// The address that is written into each message of a client that comes from there.
    pub(crate) fn forwarded_for(&self, from: u64) -> Option<Ipv4Addr> {
        (self.settings.address == Address::ForwardedFor).then(|| source::claimed(self.place(from)))
    }

    /// Whether a connection is worth keeping over a pause.
    pub(crate) fn keeps(&self, pause: Duration) -> bool {
        self.settings.connections == Connections::Own && pause <= KEPT
    }

    /// Waits until a request may be sent: at once, unless connections are shared and all in use.
    pub(crate) async fn seat(&self, route: Route) -> PoolSlot {
        match self.pool(route) {
            Some(pool) => pool.seat().await,
            None => PoolSlot::FREE,
        }
    }

    /// The connections that this request may share. A slow reader has its own.
    fn pool(&self, route: Route) -> Option<&Pool> {
        self.remotes.get(route.target)?.pool.as_ref().filter(|_| !route.slow)
    }

    /// Sends a message and reads the answer. If there is no connection to the target, the next one is tried.
    pub(crate) async fn exchange(&self, route: Route, kept: Option<Box<Kept>>, message: &Message) -> Exchange {
        if route.target == Route::NOWHERE {
            return Exchange { result: Err(Lost::Stranger), target: 0, kept };
        }
        let mut target = route.target;
        let result = timeout(route.patience, self.ask_around(route, kept, message, &mut target)).await;
        match result.unwrap_or(Err(Lost::Late)) {
            Ok((reply, kept)) => Exchange { result: Ok(reply), target, kept },
            Err(lost) => Exchange { result: Err(lost), target, kept: None },
        }
    }

    async fn ask_around(
        &self,
        route: Route,
        mut kept: Option<Box<Kept>>,
        message: &Message,
        target: &mut usize,
    ) -> Result<(Reply, Option<Box<Kept>>), Lost> {
        let others = if *target < self.own { self.own - 1 } else { 0 };
        for _ in 0..others {
            match self.ask(Route { target: *target, ..route }, kept.take(), message).await {
                Err(Lost::Refused) => *target = (*target + 1) % self.own,
                done => return done,
            }
        }
        self.ask(Route { target: *target, ..route }, kept, message).await
    }

    async fn ask(
        &self,
        route: Route,
        kept: Option<Box<Kept>>,
        message: &Message,
    ) -> Result<(Reply, Option<Box<Kept>>), Lost> {
        let kept = kept.filter(|kept| (kept.target, kept.from) == (route.target, route.from));
        let connection = match (self.pool(route), kept) {
            (_, Some(kept)) => kept.connection,
            (Some(pool), None) => pool.take(self.open(route)).await?,
            (None, None) => self.open(route).await?,
        };
        let (reply, connection) = self.on(connection, route, message).await?;
        if let Some(pool) = self.pool(route) {
            pool.give_back(connection);
            return Ok((reply, None));
        }
        Ok((reply, Some(Box::new(Kept { connection, target: route.target, from: route.from }))))
    }

    /// Sends on this connection, or on a new one if it was closed meanwhile.
    async fn on(
        &self,
        mut connection: Connection,
        route: Route,
        message: &Message,
    ) -> Result<(Reply, Connection), Lost> {
        let target = &self.remotes[route.target].target;
        let request = message.write(&self.paths, target, connection.version()).ok_or(Lost::Broken)?;
        let response = match connection.send(request).await {
            Ok(response) => response,
            Err(mut error) => {
                let unsent = error.take_message().ok_or(Lost::Broken)?;
                connection = self.open(route).await?;
                connection.send(unsent).await.map_err(|_| Lost::Broken)?
            }
        };
        let (head, body) = response.into_parts();
        let body = read(body, route.slow).await?;
        Ok((Reply { head, body }, connection))
    }

    async fn open(&self, route: Route) -> Result<Connection, Lost> {
        let remote = &self.remotes[route.target];
        let from = match self.pool(route) {
            Some(_) => self.shared_from.fetch_add(1, Relaxed),
            None => route.from,
        };
        let place = self.place(from);
        let local = self.settings.address == Address::Loopback;
        let proxy = self.settings.address == Address::ProxyProtocol;
        let opening = Opening {
            to: remote.target.address,
            from: if local { source::loopback(remote.target.address, place) } else { None },
            claims: proxy.then(|| source::claimed(place)),
            tls: remote.tls.as_ref().map(|(connector, name)| (connector, name)),
            protocol: self.settings.protocol,
            slow: route.slow,
            open: &self.open,
        };
        // A TLS handshake is by far the largest part of an exchange, and most exchanges have none.
        Box::pin(Connection::open(&opening)).await
    }

    fn place(&self, from: u64) -> u64 {
        let addresses = u64::from(self.settings.addresses.max(1));
        if from == SHARED_ADDRESS { addresses } else { from % addresses }
    }
}

/// Why a body is incomplete.
fn cut(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Lost {
    if error.is::<LengthLimitError>() { Lost::TooLong } else { Lost::Broken }
}

async fn read(body: Incoming, slow: bool) -> Result<Bytes, Lost> {
    let mut body = Limited::new(body, LONGEST_PAGE);
    if !slow {
        return body.collect().await.map(Collected::to_bytes).map_err(|error| cut(&*error));
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame.map_err(|error| cut(&*error))?.into_data() {
            whole.extend_from_slice(&piece);
        }
        sleep(RESTS).await;
    }
    Ok(whole.freeze())
}
