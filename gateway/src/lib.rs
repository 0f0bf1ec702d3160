//! Weir: an admission gateway for flash sales.
//!
//! ```text
//! main -> lib -> listener -> edge -> {visit, reply, forward, rooms} -> policy
//!                                     admin -> {rooms, fleet -> plan} -> store
//! ```
//!
//! Worker threads serve shoppers, each with a runtime of its own; one control thread calls the
//! store, answers the operator, talks to other gateways, checks upstreams and watches files.

pub mod admin;
pub mod body;
pub mod buffer;
pub mod capacity;
pub mod config;
pub mod connection;
pub mod edge;
pub mod fleet;
pub mod flow;
pub mod form;
pub mod forward;
pub mod headers;
pub mod known;
pub mod listener;
pub mod load;
pub mod log;
mod number;
pub mod operator;
pub mod own;
pub mod plan;
pub mod proxy_header;
pub mod reload;
pub mod reply;
pub mod rooms;
pub mod seats;
pub mod secret;
pub mod site;
pub mod store;
pub mod telemetry;
mod timer;
pub mod tls;
pub mod ui;
pub mod upstream;
pub mod visit;
pub mod visitor;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::runtime::LocalOptions;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::admin::Access;
use crate::config::{Config, ListenConfig, StoreConfig, StoreKind};
use crate::fleet::guarded::Guarded;
use crate::fleet::keys::{KeyState, Standing};
use crate::fleet::{Fleet, Identity};
use crate::listener::Door;
use crate::log::Losses;
use crate::plan::Plan;
use crate::rooms::Rooms;
use crate::seats::Seats;
use crate::secret::{Ring, Source};
use crate::site::Site;
use crate::store::board::Board;
use crate::store::embedded::Embedded;
use crate::store::redis::Redis;
use crate::store::{Store, StoreError};
use crate::telemetry::{Page, ProxyHeaders, StoreMeters, Unbelieved, catalogue};
use crate::tls::Certificates;

/// What every thread sees.
#[derive(Debug)]
pub struct Shared {
    /// The configuration in force, compiled.
    pub site: ArcSwap<Site>,
    /// The live rooms.
    pub rooms: Arc<Rooms>,
    /// What TLS listeners need, if there are any.
    pub tls: Option<Tls>,
    /// Connections that are open.
    pub seats: Seats,
    /// Requests so far, to the second.
    pub requests: AtomicU64,
    /// Whether new shoppers should be sent here.
    pub ready: AtomicBool,
    /// Whether its keys are those of the fleet.
    pub keys: Arc<Standing>,
    /// Peers that say for whom they ask and are not believed.
    pub unbelieved: Unbelieved,
    /// What proxies tell before the first byte of their connections.
    pub proxy_headers: ProxyHeaders,
    /// What the store's calls come to.
    pub store_meters: StoreMeters,
    /// Time since the start, moved on by the control thread: no worker arms a timer for it.
    pub clock: watch::Sender<Duration>,
}

/// How often [`Shared::clock`] moves on.
const TICK: Duration = Duration::from_millis(25);

/// Certificates, and how TLS is spoken with them.
#[derive(Debug)]
pub struct Tls {
    /// The certificates in force.
    pub certificates: Arc<Certificates>,
    /// For the listeners.
    pub server: Arc<rustls::ServerConfig>,
}

impl Shared {
    /// Whether new shoppers should be sent to this gateway.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed) && self.keys.get() != KeyState::Foreign
    }

    /// Tells the metrics of all that is in force.
    pub fn observe(&self, page: &mut Page) {
        let site = self.site.load();
        telemetry::process(page);
        page.flag(&catalogue::READY, &[], self.is_ready());
        let limit = site.config.listen.max_connections;
        telemetry::connections(page, self.seats.open(), self.seats.by_class(), limit);
        page.add(&catalogue::ANSWER_BUFFER, &[], self.seats.untaken());
        page.add(&catalogue::QUOTA_CLIENTS, &[], site.quotas.clients());
        let dormant = site.by_name.values().filter(|room| room.live.is_dormant()).count();
        page.add(&catalogue::ROOMS_DORMANT, &[], dormant);
        let idle_too = site.config.metrics.idle_rooms;
        let told = site.by_name.values().filter(|room| idle_too || !room.live.is_idle());
        told.for_each(|room| telemetry::room(page, room));
        page.series(site.outside.series());
        site.upstreams.values().for_each(|upstream| telemetry::upstream(page, upstream));
        self.certificates(&site, page);
    }

    /// When certificates run out: those that are shown to shoppers, and those that the shop is shown.
    fn certificates(&self, site: &Site, page: &mut Page) {
        let mut tell = |shown_to: &str, file: &Path, end: i64| {
            page.add(&catalogue::CERTIFICATE_END, &[shown_to, &file.to_string_lossy()], end);
        };
        for (file, end) in self.tls.iter().flat_map(|tls| tls.certificates.ends()) {
            tell("shoppers", &file, end);
        }
        for written in &site.config.upstreams {
            let file = written.tls.as_ref().and_then(|tls| tls.certificate.as_deref());
            let tls = site.upstreams.get(&written.name).and_then(|upstream| upstream.tls());
            if let (Some(file), Some(end)) = (file, tls.and_then(|tls| tls.not_after)) {
                tell("shop", file, end);
            }
        }
    }
}

/// Serves until the process is asked to end. `file` is where `config` came from; it is watched.
pub fn serve(file: &Path, mut config: Config) -> anyhow::Result<()> {
    let log = log::start(&config.log).context("the log")?;
    telemetry::start();
    capacity::fit(&mut config);
    capacity::watch();
    config.log_warnings();
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let gateway = Gateway::start(file, config)?;
    let ended = control.block_on(gateway.run(log.losses.clone()));
    // A read that never returns must not keep the process.
    control.shutdown_background();
    ended
}

/// A gateway that has its sockets and its store.
struct Gateway {
    fleet: Arc<Fleet>,
    store: Arc<dyn Store>,
    mailbox: rooms::Mailbox,
    reload: reload::Watch,
    admin: std::net::TcpListener,
    access: Access,
    doors: Vec<Vec<Door>>,
}

impl Gateway {
    fn start(file: &Path, config: Config) -> anyhow::Result<Self> {
        let listen = &config.listen;
        let doors = doors(listen)?;
        let admin = bind(listen.admin)?;
        let token = listen.admin_token_file.as_deref().map(read_token).transpose()?;
        let access = Access { token, hosts: listen.admin_hosts.as_slice().into() };
        let Stores { lines, board } = stores(&config.store)?;
        let alone = config.store.kind == StoreKind::Embedded;
        let (ring, sealer) = Ring::open(Source::of(&config.store.secret_file), alone)?;
        let tls = tls_of(&config)?;
        let identity = Identity::of(config.node.name.as_ref(), &bound(&doors[0])?, admin.local_addr()?);
        let (rooms, mailbox) = rooms::rooms(random_run());
        let site = Site::compile(config, None, &rooms, Arc::new(sealer))?;
        let shared = Arc::new(Shared {
            site: ArcSwap::from_pointee(site),
            rooms,
            tls,
            seats: Seats::default(),
            requests: AtomicU64::new(0),
            ready: AtomicBool::new(false),
            keys: Arc::default(),
            unbelieved: Unbelieved::default(),
            proxy_headers: ProxyHeaders::default(),
            store_meters: StoreMeters::default(),
            clock: watch::Sender::new(Duration::ZERO),
        });
        let plan = Arc::new(Plan::new(file, shared.clone(), ring.names()));
        let reload = reload::Watch::new(file, shared.clone(), plan.clone(), ring);
        let fleet = Arc::new(Fleet::new(shared, plan, board, identity));
        let store = Arc::new(Guarded::new(lines, fleet.standing().clone()));
        Ok(Self { fleet, store, mailbox, reload, admin, access, doors })
    }

    async fn run(self, losses: Arc<Losses>) -> anyhow::Result<()> {
        let Self { fleet, store, mailbox, reload, admin, access, doors } = self;
        let shared = fleet.shared.clone();
        let (serving, background) = (CancellationToken::new(), CancellationToken::new());
        let mut ends = Ends::new()?;
        // The rooms that the store holds come before the first line is begun.
        fleet.look().await;
        let clerk = rooms::run(shared.rooms.clone(), mailbox, store, shared.store_meters.clone(), background.clone());
        let clerk = tokio::spawn(clerk);
        let admin = tokio::net::TcpListener::from_std(admin)?;
        let (admin_at, router) = (admin.local_addr()?, admin::router(&fleet, access));
        let admin = tokio::spawn(admin::serve(admin, router, background.clone()));
        let housekeeping = tokio::spawn(housekeeping(shared.clone(), losses, background.clone()));
        let reload = tokio::spawn(reload.run(background.clone()));
        let fleet = tokio::spawn(fleet.run(background.clone()));
        first_answers(&shared).await;
        let bound = bound(&doors[0])?;
        let workers =
            doors.into_iter().map(|doors| start_worker(&shared, doors, &serving)).collect::<Result<Vec<_>, _>>()?;
        shared.ready.store(true, Ordering::Relaxed);
        tracing::info!(addresses = ?bound, admin = %admin_at, workers = workers.len(), "serving");

        ends.wait().await;
        let listen = shared.site.load().config.listen.clone();
        tracing::info!("shutting down: no longer ready, then no new connections, then requests under way finish");
        shared.ready.store(false, Ordering::Relaxed);
        tokio::time::sleep(listen.shutdown_delay).await;
        serving.cancel();
        let joined = tokio::task::spawn_blocking(|| workers.into_iter().try_for_each(join_worker)).await?;
        background.cancel();
        let _ = tokio::join!(clerk, admin, housekeeping, reload, fleet);
        joined
    }
}

/// The signals that end the process.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) {
        tokio::select! { _ = self.terminate.recv() => {} _ = self.interrupt.recv() => {} }
    }
}

/// Rooms know their lines before the first shopper comes, if the store answers at all.
async fn first_answers(shared: &Shared) {
    if !shared.rooms.first_answers(Duration::from_secs(2)).await {
        tracing::error!("the store has not answered yet; rooms follow their fail_mode");
    }
}

async fn housekeeping(shared: Arc<Shared>, losses: Arc<Losses>, stop: CancellationToken) {
    let origin = Instant::now();
    let mut clock = tokio::time::interval(TICK);
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut checks = Checks::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = clock.tick() => {
                let now = origin.elapsed();
                shared.site.load().quotas.set_time(now);
                shared.clock.send_replace(now);
            }
            _ = second.tick() => {
                shared.site.load().forget_idle();
                losses.tell();
                telemetry::log_losses(&losses);
                checks.follow(&shared.site.load_full(), &stop);
            }
        }
    }
}

/// The active health checks of the configuration in force.
#[derive(Default)]
struct Checks {
    of: Option<Arc<Site>>,
    stop: CancellationToken,
}

impl Checks {
    fn follow(&mut self, site: &Arc<Site>, stop: &CancellationToken) {
        if self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, site)) {
            return;
        }
        self.stop.cancel();
        self.stop = stop.child_token();
        self.of = Some(site.clone());
        let upstreams = site.upstreams.values().cloned().collect();
        tokio::spawn(upstream::health::run(upstreams, self.stop.clone()));
    }
}

fn start_worker(
    shared: &Arc<Shared>,
    doors: Vec<Door>,
    stop: &CancellationToken,
) -> std::io::Result<JoinHandle<anyhow::Result<()>>> {
    let (shared, stop) = (shared.clone(), stop.clone());
    let control = tokio::runtime::Handle::current();
    let serve = move || {
        timer::are_kept_by(control);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build_local(LocalOptions::default())?;
        runtime.block_on(listener::work(shared, doors, stop))?;
        Ok(())
    };
    std::thread::Builder::new().name("worker".to_owned()).spawn(serve)
}

fn join_worker(worker: JoinHandle<anyhow::Result<()>>) -> anyhow::Result<()> {
    worker.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a worker panicked")))
}

/// Listening sockets for each worker, all on the same addresses. Port 0 is whatever the first one got.
fn doors(listen: &ListenConfig) -> anyhow::Result<Vec<Vec<Door>>> {
    let written = listen.http.iter().map(|at| (*at, false)).chain(listen.https.iter().map(|at| (*at, true)));
    let first = written.map(|(address, tls)| {
        Ok(Door { socket: bind(address)?, tls, proxied: listen.proxy_protocol.contains(&address) })
    });
    let mut workers = vec![first.collect::<anyhow::Result<Vec<_>>>()?];
    for _ in 1..listen.workers {
        let again = |door: &Door| Ok(Door { socket: bind(door.socket.local_addr()?)?, ..*door });
        workers.push(workers[0].iter().map(again).collect::<anyhow::Result<_>>()?);
    }
    Ok(workers)
}

/// Where shoppers reach a worker.
fn bound(doors: &[Door]) -> std::io::Result<Vec<SocketAddr>> {
    doors.iter().map(|door| door.socket.local_addr()).collect()
}

fn bind(address: SocketAddr) -> anyhow::Result<std::net::TcpListener> {
    listener::bind(address).with_context(|| format!("cannot listen on {address}"))
}

fn read_token(file: &Path) -> anyhow::Result<Arc<str>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("the admin token file {}", file.display()))?;
    let token = text.trim();
    anyhow::ensure!(token.len() >= 16, "the admin token file {} holds less than 16 characters", file.display());
    Ok(token.into())
}

/// A store is both.
struct Stores {
    lines: Arc<dyn Store>,
    board: Arc<dyn Board>,
}

impl Stores {
    fn both<S: Store + Board + 'static>(store: S) -> Self {
        let store = Arc::new(store);
        Self { lines: store.clone(), board: store }
    }
}

fn stores(config: &StoreConfig) -> Result<Stores, StoreError> {
    Ok(match config.kind {
        StoreKind::Embedded => Stores::both(Embedded::open(&config.path)?),
        StoreKind::Redis => Stores::both(Redis::open(config)?),
    })
}

fn tls_of(config: &Config) -> anyhow::Result<Option<Tls>> {
    if config.tls.is_empty() {
        return Ok(None);
    }
    let files: Vec<_> = config.tls.iter().map(|tls| (tls.certificate.clone(), tls.key.clone())).collect();
    let certificates = Certificates::load(&files)?;
    let server = tls::server_config(certificates.clone())?;
    Ok(Some(Tls { certificates, server }))
}

/// A name for this process among all that ever gave out provisional tickets.
fn random_run() -> u32 {
    let mut bytes = [0; 4];
    // Without randomness the time of the start has to do: the name need not be secret.
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        return std::process::id();
    }
    u32::from_ne_bytes(bytes)
}
