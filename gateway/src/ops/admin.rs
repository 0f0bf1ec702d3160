//! The operator's listener: health, metrics, the state of each room and each gateway, now and over the last hour (`live`), and the
//! rooms by version.
//!
//! It binds loopback, or requires a token (`access`), which a browser trades for a session (`login`, `pages`). `/healthz` and `/readyz` answer without one: probes have none.
//! Operators act here (`actions`), and each action is a line of the audit. Errors are problem details (`problem`).
//!
//! A program beside the shop says here what the shop itself may say in headers: a rate, and the stock (`shop`).
//!
//! Out of scope: any other change, and connections (`connection`).

pub(crate) mod access;
pub(crate) mod actions;
mod asked;
mod connection;
mod console;
mod gauges;
mod live;
mod login;
mod metrics;
mod openapi;
mod pages;
pub(crate) mod problem;
mod shop;
pub(crate) mod versions;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use policy::Millis;
use policy::action::State as RoomState;
use policy::cap::CapKind;
use policy::event::Phase;
use policy::line::segment::place_of;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::access::{Access, Gate, authorize};
use self::login::LogIn;
use self::problem::Problem;
use crate::in_force::shared::Shared;
use crate::in_force::site::Site;
use crate::line::rooms::{LiveRoom, RoomSettings};
use crate::ops::fleet::keys::KeyState;
use crate::ops::fleet::{Fleet, LONGEST, Member};
use crate::ops::live::Hour;
use crate::ops::{number, schema};
use crate::shield::SignalStatus;
use crate::upstream::RouteGate;

/// Response of `GET /api/rooms/{name}/status`.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "a document: each is a question of its own")]
pub(crate) struct RoomStatus {
    /// Its name.
    name: String,
    /// The name of its line: a former one of the room, if it was renamed.
    line: String,
    /// `not_queueing`, `queueing`, `event_prequeueing` or `suspended`.
    status: &'static str,
    /// What an arriving visitor gets: `running`, `paused`, `last_call`, `closed`, `open_to_all` or `stop`.
    #[schema(value_type = schema::RoomState)]
    state: &'static str,
    /// When `open_to_all` ends; `null`: the room is not open to all for a time.
    open_to_all_until: Option<String>,
    /// What operators tell those who wait, by language.
    message: BTreeMap<String, String>,
    /// Whether the room is idle, so that the store is not polled for it.
    dormant: bool,
    /// Whether the store fails to answer: the fields below are then stale.
    store_away: bool,
    /// Store time of the fields below, in milliseconds.
    store_time_ms: u64,
    /// The segment in which numbers are given.
    segment: u64,
    /// Tickets handed out in it.
    next: u64,
    /// Tickets called in it.
    serving: u64,
    /// Number of earlier segments: one for each loss of writes, as far as the line remembers.
    earlier_segments: usize,
    /// Store time at which the line began, or at which a loss was last noticed, in milliseconds.
    lost_ms: u64,
    /// Tickets handed out and not called.
    waiting: u64,
    /// Tokens that the rate has yet to pay for shoppers let in before their time.
    owed: u64,
    /// Live passes.
    active_users: u64,
    /// Bound on live passes.
    total_active_users: Option<u64>,
    /// Passes given so far.
    admitted: u64,
    /// New shoppers allowed per minute.
    #[serde(serialize_with = "number::real")]
    new_users_per_minute: f64,
    /// New shoppers allowed per minute at this moment: fewer than that while a cap is in force.
    #[serde(serialize_with = "number::real")]
    allowed_per_minute: f64,
    /// The kind of source whose cap that is: `shop`, `api`, or a kind of signal; `null`: none.
    capped_by: Option<&'static str>,
    /// What tells how full the shop is, as seen from this gateway.
    signals: Vec<SignalStatus>,
    /// What is left to sell; `null`: the shop does not say.
    stock: Option<shop::StockStatus>,
    /// New shoppers allowed at once on top.
    #[serde(serialize_with = "number::real")]
    burst: f64,
    /// Life of a pass, in milliseconds.
    session_duration_ms: u64,
    /// Speed of the line, in tickets per second.
    #[serde(serialize_with = "number::real")]
    tickets_per_second: f64,
    /// Share of called tickets whose holders come.
    #[serde(serialize_with = "number::real")]
    show_share: f64,
    /// Called shoppers who wait for a token or a seat.
    claimants: u64,
    /// Tickets whose claim window ended without a claim.
    no_shows: u64,
    /// Passes given beyond limits that are only reported.
    over_limit: u64,
    /// Whether the limits are enforced, or only reported (`passthrough`).
    limits_enforced: bool,
    /// Whether the limits are given up at this moment (`fail_mode = "open"` and the store away).
    limits_given_up: bool,
    /// Whether the line moves on at this gateway's share at this moment (`fail_mode = "static"` and the store away).
    on_lease: bool,
    /// Whether this gateway reaches no server of the room's upstream, and admits no shopper from the line.
    shop_rests: bool,
    /// Passes given for tickets that had one already, on the two sides of a cut.
    second_passes: u64,
    /// The gates of this gateway at which its passes may be.
    gates: Vec<GateStatus>,
    #[serde(flatten)]
    events: EventStatus,
}

/// The events of a room at this moment, by the clock of the store. Times are RFC 3339 in UTC.
#[derive(Debug, Default, Serialize, ToSchema)]
struct EventStatus {
    /// Whether one gathers people before its start.
    event_prequeueing: bool,
    /// The name of the one that is in its pre-queue or runs.
    event_id: Option<String>,
    /// When the next one begins its pre-queue, if it has one.
    next_event_prequeue_start_time: Option<String>,
    /// When the next one starts: the one in its pre-queue, or the next to come.
    next_event_start_time: Option<String>,
}

impl EventStatus {
    fn of(terms: &RoomSettings, utc: Option<Millis>) -> Self {
        let (Some(timetable), Some(utc)) = (&terms.timetable, utc) else { return Self::default() };
        let current = timetable.current(utc);
        let gathers = current.filter(|(_, phase)| *phase == Phase::Prequeue).map(|(event, _)| event.times);
        let next = timetable.next(utc).map(|event| event.times);
        let written = |at: Millis| Some(Timestamp::from_millisecond(i64::try_from(at).ok()?).ok()?.to_string());
        Self {
            event_prequeueing: gathers.is_some(),
            event_id: current.map(|(event, _)| event.name.clone()),
            next_event_prequeue_start_time: next.and_then(|times| written(times.prequeue?)),
            next_event_start_time: gathers.or(next).and_then(|times| written(times.start)),
        }
    }
}

/// The gate of a route with a class.
#[derive(Debug, Serialize, ToSchema)]
struct GateStatus {
    /// Host and path of the route.
    route: String,
    /// `order` or `payment`.
    class: &'static str,
    /// Requests in work.
    in_flight: usize,
    /// Bound on them.
    max_in_flight: Option<usize>,
    /// Passes with a place in its line.
    waiting: usize,
}

impl GateStatus {
    fn of(gate: &RouteGate) -> Self {
        let (settings, gauges) = (gate.settings(), gate.gauges());
        Self {
            route: settings.route.clone(),
            class: settings.class.name(),
            in_flight: gauges.in_flight,
            max_in_flight: settings.max_in_flight,
            waiting: gauges.waiting,
        }
    }
}

impl RoomStatus {
    fn of(room: &LiveRoom, site: &Site) -> Self {
        let of_site = site.by_name.get(&*room.title());
        let gates = of_site.into_iter().flat_map(|room| site.gates_of(&room.config));
        let gates = gates.map(|gate| GateStatus::of(gate)).collect();
        let signals = of_site.and_then(|room| room.signals.as_ref());
        let (snapshot, terms) = (room.snapshot(), room.settings());
        let view = snapshot.view.clone().unwrap_or_default();
        let now = Instant::now();
        let in_force = terms.in_force(&snapshot, now);
        let (rules, open) = (&in_force.rules, view.segments.open);
        let events = EventStatus::of(&terms, snapshot.utc(now));
        Self {
            name: terms.name.to_string(),
            line: room.name.to_string(),
            status: snapshot.state.name(),
            state: terms.state.with_left(view.waiting() + view.claimants + view.entering).name(),
            open_to_all_until: (terms.state == RoomState::OpenToAll)
                .then(|| of_site.and_then(|room| room.config.open_to_all_until.clone()))
                .flatten(),
            message: of_site.map(|room| room.config.controls().message).unwrap_or_default(),
            dormant: room.is_dormant(),
            store_away: snapshot.away,
            store_time_ms: view.now,
            segment: place_of(open.base).0,
            next: open.next - open.base,
            serving: open.serving - open.base,
            earlier_segments: view.segments.earlier(),
            lost_ms: view.lost,
            waiting: snapshot.waiting(),
            owed: view.owed,
            active_users: view.active,
            total_active_users: rules.total_active_users,
            admitted: view.granted,
            new_users_per_minute: (rules.rate * 60.0).round(),
            allowed_per_minute: (view.rate(rules) * 600.0).round() / 10.0,
            capped_by: view.capped_by.map(CapKind::name),
            signals: signals.map(|signals| signals.status(Instant::now())).unwrap_or_default(),
            stock: view.stock.map(Into::into),
            burst: rules.burst,
            session_duration_ms: rules.session,
            tickets_per_second: view.speed,
            show_share: view.show_share,
            claimants: view.claimants,
            no_shows: view.no_shows,
            over_limit: view.over_limit,
            limits_enforced: rules.enforced,
            limits_given_up: snapshot.away && in_force.fail_mode == policy::room::FailMode::Open,
            on_lease: snapshot.on_lease,
            shop_rests: snapshot.shop_rests,
            second_passes: view.second_passes,
            gates,
            events,
        }
    }
}

const NO_PAGE: &str = "no such page; try /healthz, /readyz, /metrics, /api/openapi.json, which describes the API\n";
const OTHER_FORMAT: &str = "not ready: the store is in the format of another version of Weir, see the log\n";
const FOREIGN_KEYS: &str = "not ready: no key in common with the other gateways on the store, see the log\n";

/// The listener, before it listens.
pub(crate) struct Admin {
    router: Router,
    login: Arc<LogIn>,
    tls: Option<TlsAcceptor>,
}

impl Admin {
    /// For operators as `access` defines them. Streams of `hour` end with `stop`.
    pub(crate) fn new(fleet: &Arc<Fleet>, access: Access, hour: Arc<Hour>, stop: CancellationToken) -> Self {
        let gate = Arc::new(Gate { access, fleet: fleet.clone() });
        let login = Arc::new(LogIn::new(gate.clone()));
        let streams = Arc::new(live::Streams::of(hour, fleet.name().to_owned(), stop));
        let calls = openapi::described(calls(fleet, streams.clone()).merge(sessions(&login)));
        let metrics = Router::new().route("/metrics", get(metrics::tell)).with_state(fleet.clone());
        let guarded = calls.merge(metrics).merge(pages::router(login.clone())).merge(console::router(fleet, streams));
        let router = Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(ready))
            .with_state(fleet.clone())
            .merge(guarded.layer(from_fn_with_state(gate, authorize)))
            .fallback(async || (StatusCode::NOT_FOUND, NO_PAGE))
            .layer(map_response(problem::in_one_form))
            .layer(from_fn(console::in_its_form));
        let tls = fleet.shared.admin_tls.as_ref().map(|tls| TlsAcceptor::from(tls.server.clone()));
        Self { router, login, tls }
    }

    /// Tells the link of the first start in the log, where nobody could log in and this machine alone reaches the listener.
    pub(crate) async fn tell_first_link(&self, at: SocketAddr) {
        if !at.ip().is_loopback() {
            return;
        }
        if let Some(secret) = self.login.first_link().await {
            let scheme = if self.tls.is_some() { "https" } else { "http" };
            let link = format!("{scheme}://{at}/login?link={secret}");
            tracing::info!(
                link,
                "there is no operator yet: this link logs in as admin, once, on this machine, for 15 minutes"
            );
        }
    }

    /// Serves operators until `stop`.
    pub(crate) async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        connection::serve(listener, self.tls, self.router, stop).await;
    }
}

/// The calls of the API, but for sessions.
fn calls(fleet: &Arc<Fleet>, streams: Arc<live::Streams>) -> OpenApiRouter {
    let streams = OpenApiRouter::new().routes(routes!(live::tell)).with_state(streams);
    let of_this_gateway = OpenApiRouter::new()
        .routes(routes!(rooms))
        .routes(routes!(room_status))
        .routes(routes!(shop::set_rate, shop::end_rate))
        .routes(routes!(shop::set_stock))
        .layer(DefaultBodyLimit::max(shop::LONGEST))
        .with_state(fleet.shared.clone());
    let of_all = OpenApiRouter::new()
        .routes(routes!(gateways))
        .routes(routes!(versions::list, versions::apply))
        .routes(routes!(versions::switch))
        .routes(routes!(versions::text))
        .routes(routes!(actions::audit))
        .layer(DefaultBodyLimit::max(LONGEST))
        .with_state(fleet.clone());
    let actions = OpenApiRouter::new()
        .routes(routes!(actions::do_it))
        .layer(DefaultBodyLimit::max(actions::LONGEST))
        .with_state(fleet.clone());
    openapi::begin().merge(of_this_gateway).merge(of_all).merge(actions).merge(streams)
}

fn sessions(login: &Arc<LogIn>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(login::log_in, login::who, login::log_out))
        .layer(DefaultBodyLimit::max(login::LONGEST))
        .with_state(login.clone())
}

async fn ready(State(fleet): State<Arc<Fleet>>) -> (StatusCode, &'static str) {
    match fleet.standing().get() {
        _ if !fleet.shared.ready.load(Ordering::Relaxed) => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        _ if fleet.standing().is_refused() => (StatusCode::SERVICE_UNAVAILABLE, OTHER_FORMAT),
        KeyState::Foreign => (StatusCode::SERVICE_UNAVAILABLE, FOREIGN_KEYS),
        KeyState::Unknown | KeyState::Shared => (StatusCode::OK, "ready\n"),
    }
}

/// The gateways on the store, this one included.
#[utoipa::path(get, path = "/api/gateways", tag = "gateways", responses((status = OK, description = "one each", body = Vec<Member>)))]
async fn gateways(State(fleet): State<Arc<Fleet>>) -> Json<Vec<Member>> {
    Json(fleet.members())
}

/// The state of every room.
#[utoipa::path(get, path = "/api/rooms", tag = "rooms", responses((status = OK, description = "by name", body = Vec<RoomStatus>)))]
async fn rooms(State(shared): State<Arc<Shared>>) -> Json<Vec<RoomStatus>> {
    let site = shared.site.load();
    let mut rooms: Vec<_> = shared.rooms.all().values().map(|room| RoomStatus::of(room, &site)).collect();
    rooms.sort_by(|a, b| a.name.cmp(&b.name));
    Json(rooms)
}

/// The state of a room.
#[utoipa::path(
    get,
    path = "/api/rooms/{name}/status",
    tag = "rooms",
    params(("name" = String, Path, description = "the room")),
    responses(
        (status = OK, description = "its state", body = RoomStatus),
        (status = NOT_FOUND, description = "no room has that name"),
    ),
)]
async fn room_status(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    match named(&shared, &name) {
        Some(room) => Json(RoomStatus::of(&room, &shared.site.load())).into_response(),
        None => no_room(&name).into_response(),
    }
}

fn no_room(name: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("no room is named {name:?}"))
        .mended_by("see /api/rooms for their names")
}

/// The room of this name.
fn named(shared: &Shared, name: &str) -> Option<Arc<LiveRoom>> {
    shared.rooms.all().values().find(|room| *room.title() == *name).cloned()
}
