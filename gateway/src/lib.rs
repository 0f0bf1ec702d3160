//! Weir: an admission gateway for flash sales.
//!
//! ```text
//! main -> lib -> request::{listener, edge} -> request::worker -> in_force::{shared, site} -> line::rooms
//!                request::edge -> {client::visitor, request::{reply, forward}, line::rooms} -> policy
//!                ops::admin -> {line::rooms, ops::fleet -> in_force::plan} -> line::store
//! ```
//!
//! Worker threads serve shoppers, each with a runtime of its own; one control thread calls the
//! store, answers the operator, talks to other gateways, checks upstreams and watches files.

pub mod client;
mod fetch;
mod in_force;
pub mod line;
mod log;
pub mod ops;
pub mod quota;
mod request;
pub mod settings;
mod shield;
pub mod telemetry;
pub mod ui;
pub mod upstream;

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

use crate::client::proxy_header::ProxyHeaders;
use crate::client::timer;
use crate::in_force::plan::Plan;
use crate::in_force::shared::{Shared, Tls};
use crate::in_force::site::Site;
use crate::line::rooms;
use crate::line::store::embedded::Embedded;
use crate::line::store::redis::Redis;
use crate::line::store::registry::Registry;
use crate::line::store::{Store, StoreError};
use crate::log::Losses;
use crate::ops::admin::Admin;
use crate::ops::admin::access::Access;
use crate::ops::fleet::guarded::Guarded;
use crate::ops::fleet::trail::Trail;
use crate::ops::fleet::{Fleet, Identity};
use crate::ops::live::Hour;
use crate::ops::operators::Operators;
use crate::ops::{capacity, live, reload, steering};
use crate::request::listener::Door;
use crate::request::worker::Worker;
use crate::request::{edge, listener};
use crate::settings::config::{AdminTlsConfig, Config, ListenConfig, StoreConfig, StoreKind, TlsConfig};
use crate::settings::secret::{Keyring, Source};
use crate::settings::tls;
use crate::settings::tls::Certificates;
use crate::shield::Guards;
use crate::telemetry::{RequestMeters, StoreMeters, Unbelieved};

/// How often [`Shared::clock`] moves on.
const TICK: Duration = Duration::from_millis(25);

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
    reload: reload::ConfigWatcher,
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
        let operators = listen.admin_operators_file.as_deref().map(Operators::of);
        let access = Access::new(token, operators, &listen.admin_hosts, config.admin.clone());
        let Stores { lines, registry } = stores(&config.store)?;
        let trail = Trail::open(&config.store.audit_file);
        let alone = config.store.kind == StoreKind::Embedded;
        let (keyring, sealer) = Keyring::open(Source::of(&config.store.secret_file), alone)?;
        let tls = tls_of(&config.tls)?;
        let admin_tls =
            tls_of(&config.admin.tls.iter().map(AdminTlsConfig::pair).collect::<Vec<_>>())?.map(Tls::http1_only);
        let identity = Identity::of(config.node.name.as_ref(), &bound(&doors[0])?, admin.local_addr()?);
        let (rooms, mailbox) = rooms::rooms(random_incarnation());
        let site = Site::compile(config, None, &rooms, Arc::new(sealer))?;
        let shared = Arc::new(Shared {
            site: ArcSwap::from_pointee(site),
            rooms,
            tls,
            admin_tls,
            seats: Arc::default(),
            requests: AtomicU64::new(0),
            ready: AtomicBool::new(false),
            keys: Arc::default(),
            unbelieved: Unbelieved::default(),
            proxy_headers: ProxyHeaders::default(),
            request_meters: RequestMeters::default(),
            store_meters: StoreMeters::default(),
            clock: watch::Sender::new(Duration::ZERO),
        });
        let plan = Arc::new(Plan::new(file, shared.clone(), keyring.names()));
        let reload = reload::ConfigWatcher::new(file, shared.clone(), plan.clone(), keyring);
        let fleet = Arc::new(Fleet::new(shared, plan, registry, identity, trail));
        let store = Arc::new(Guarded::new(lines, fleet.standing().clone()));
        Ok(Self { fleet, store, mailbox, reload, admin, access, doors })
    }

    async fn run(self, losses: Arc<Losses>) -> anyhow::Result<()> {
        let Self { fleet, store, mailbox, reload, admin, access, doors } = self;
        let shared = fleet.shared.clone();
        let (serving, background) = (CancellationToken::new(), CancellationToken::new());
        let mut ends = Ends::new()?;
        // The rooms that the store holds come before the first line is begun.
        fleet.refresh().await;
        let committer =
            rooms::run(shared.rooms.clone(), mailbox, store, shared.store_meters.clone(), background.clone());
        let committer = tokio::spawn(committer);
        let admin = tokio::net::TcpListener::from_std(admin)?;
        let hour = Arc::new(Hour::default());
        let live = tokio::spawn(live::run(hour.clone(), fleet.clone(), background.clone()));
        let (admin_at, operators) = (admin.local_addr()?, Admin::new(&fleet, access, hour, background.clone()));
        operators.tell_first_link(admin_at).await;
        let admin = tokio::spawn(operators.serve(admin, background.clone()));
        let housekeeping = tokio::spawn(housekeeping(shared.clone(), losses, background.clone()));
        let reload = tokio::spawn(reload.run(background.clone()));
        let steering = tokio::spawn(steering::run(shared.clone(), background.clone()));
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
        let _ = tokio::join!(committer, admin, housekeeping, reload, fleet, steering, live);
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
    let mut guards = Guards::new(shared.rooms.incarnation);
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
                let site = shared.site.load_full();
                checks.follow(&site, &stop);
                guards.follow(site.guarded());
                guards.tick();
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
        runtime.block_on(listener::work(Worker::new(shared), edge::handle, doors, stop))?;
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
    registry: Arc<dyn Registry>,
}

impl Stores {
    fn both<S: Store + Registry + 'static>(store: S) -> Self {
        let store = Arc::new(store);
        Self { lines: store.clone(), registry: store }
    }
}

fn stores(config: &StoreConfig) -> Result<Stores, StoreError> {
    Ok(match config.kind {
        StoreKind::Embedded => Stores::both(Embedded::open(&config.path)?),
        StoreKind::Redis => Stores::both(Redis::open(config)?),
    })
}

fn tls_of(pairs: &[TlsConfig]) -> anyhow::Result<Option<Tls>> {
    if pairs.is_empty() {
        return Ok(None);
    }
    let files: Vec<_> = pairs.iter().map(|tls| (tls.certificate.clone(), tls.key.clone())).collect();
    let certificates = Certificates::load(&files)?;
    let server = tls::server_config(certificates.clone())?;
    Ok(Some(Tls { certificates, server }))
}

/// A name for this process among all that ever gave out provisional tickets.
fn random_incarnation() -> u32 {
    let mut bytes = [0; 4];
    // Without randomness the time of the start has to do: the name need not be secret.
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        return std::process::id();
    }
    // Rounds have the ids above.
    u32::from_ne_bytes(bytes) % policy::line::FIRST_ROUND
}
