//! The configuration in force, compiled: which room and which upstream a request belongs to.
//!
//! Immutable; a reload makes a new one and keeps what lives on: lines, upstreams whose settings did
//! not change, gates, quotas.

mod cookie;
mod files;
mod preflights;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use http::HeaderValue;
use jiff::tz::TimeZone;
use policy::Millis;
use policy::event::Timetable;
use policy::pacer::{self, PollTable};
use policy::room::Room;
use policy::scope::{Literal, NormalPath, Table, bare_host};
use policy::seal::Sealer;

use crate::client::visitor;
use crate::line::rooms::{LiveRoom, RoomMeters, RoomSettings, Rooms, Snapshot};
use crate::quota::{Quota, Quotas};
use crate::settings::config::{
    self, Config, OriginCommand, QuotaConfig, RoomConfig, RouteConfig, TemplateLanguage, UpstreamConfig,
};
use crate::settings::tls::client::ClientTls;
use crate::shield::RoomSignals;
use crate::ui::{Language, Message, Notices, WaitingPage};
use crate::upstream::{GateSettings, Part, PartSettings, RouteGate, Upstream};

pub(crate) use cookie::Cookie;
use files::RoomPages;
pub(crate) use files::{Files, Stamp};
use preflights::Preflights;

/// Requests that one browser sends at once for a page.
const LEAST_SHARE: usize = 8;
/// One permit in so many is kept for passes.
const PASS_RESERVE: usize = 4;

/// How names that the configuration says are hashed: no client adds one, so none can make the table slow.
type NameHash = foldhash::fast::RandomState;

/// A compiled configuration.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// What it was compiled from.
    pub config: Config,
    /// Which room a request belongs to.
    pub rooms: Table<Arc<SiteRoom>>,
    /// Rooms by name.
    pub by_name: HashMap<String, Arc<SiteRoom>>,
    /// Rooms by the name of their line.
    by_line: HashMap<String, Arc<SiteRoom>, NameHash>,
    /// Where a request goes.
    pub routes: Table<Route>,
    /// The gates of routes with a class, by name of the route.
    pub gates: BTreeMap<String, Arc<RouteGate>>,
    /// Upstreams by name.
    pub upstreams: BTreeMap<String, Arc<Upstream>>,
    /// What each client may ask.
    pub quotas: Arc<SiteQuotas>,
    /// Pages that are no waiting page.
    pub notices: Notices,
    /// Counters of the traffic of no room.
    pub outside: Arc<RoomMeters>,
    /// Seals and opens tokens.
    pub sealer: Arc<Sealer>,
    /// `Strict-Transport-Security`, if anything is said of it.
    pub hsts: Option<HeaderValue>,
    /// Whether a room is open to all for a time.
    pub opens_to_all: bool,
    /// The files of its pages, as they were read.
    pub stamp: Stamp,
}

/// Where requests of some hosts and paths go.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// The upstream that answers.
    pub upstream: Arc<Upstream>,
    /// The gate before it, if the route has a class.
    pub gate: Option<Arc<RouteGate>>,
}

impl Route {
    fn to(upstream: Arc<Upstream>) -> Self {
        Self { upstream, gate: None }
    }
}

/// A room, as the request path sees it.
#[derive(Debug)]
pub(crate) struct SiteRoom {
    /// Its name, as the upstream is told.
    pub name: HeaderValue,
    /// Its line.
    pub live: Arc<LiveRoom>,
    /// Its rules.
    pub settings: RoomSettings,
    /// What was written.
    pub config: RoomConfig,
    /// Its waiting page.
    page: WaitingPage,
    /// Those of its events that have one, in the order of the timetable.
    event_pages: Vec<Option<WaitingPage>>,
    /// Language of those who ask for none that there is, if it was set.
    pub language: Option<Language>,
    /// Its cookie.
    pub cookie: Cookie,
    /// What its requests may hold of the shop, if it has a limit of its own.
    pub part: Option<Part>,
    /// What tells how full the shop is, if anything does.
    pub signals: Option<Arc<RoomSignals>>,
    bypass: Vec<Literal>,
    returns: Vec<Literal>,
    preflights: Preflights,
}

impl PartialEq for SiteRoom {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl SiteRoom {
    /// Whether this path loads for everyone. Only a path that needs no interpretation does.
    pub(crate) fn bypasses(&self, raw_path: &str) -> bool {
        self.bypass.iter().any(|literal| literal.matches(raw_path))
    }

    /// Whether scripts of an origin may read what Weir answers: those of the room's hosts, with the scheme and port of the
    /// request, and those that are listed. A host with a star is no host of its own.
    pub(crate) fn may_read(&self, origin: &str, requested: &str, tls: bool) -> bool {
        let digits = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = requested.rfind(':').map_or("", |at| &requested[at..]);
        let port = if port.strip_prefix(':').is_some_and(digits) { port } else { "" };
        let own = |host: &str| !host.contains('*') && visitor::is_origin(origin, tls, &format!("{host}{port}"));
        self.config.cors_origins.iter().any(|listed| listed == origin)
            || self.config.scopes().any(|scope| own(scope.host))
    }

    /// The path on this host where its line can be entered.
    pub(crate) fn page_at(&self, host: &str) -> &str {
        let covers = |pattern: &str| match pattern.strip_prefix('*') {
            Some(below) => host.ends_with(below),
            None => host.eq_ignore_ascii_case(pattern),
        };
        self.config.scopes().find(|scope| covers(scope.host)).map_or(&self.config.path, |scope| scope.path)
    }

    /// Whether a payment page sends people back to this path.
    pub(crate) fn takes_returns(&self, raw_path: &str) -> bool {
        self.returns.iter().any(|literal| literal.matches(raw_path))
    }

    /// Charges a preflight to its address and to all that the room lets pass.
    ///
    /// # Errors
    /// The time until the next one may pass.
    pub(crate) fn charge_preflight(&self, client: IpAddr, now: Instant) -> Result<(), Duration> {
        self.preflights.charge(client, now)
    }

    /// The room at this moment, with the overrides of an event if one has begun.
    pub(crate) fn in_force(&self, snapshot: &Snapshot, instant: Instant) -> &Room {
        self.settings.in_force(snapshot, instant)
    }

    /// The waiting page of this moment.
    pub(crate) fn page(&self, snapshot: &Snapshot, instant: Instant) -> &WaitingPage {
        let event =
            self.settings.event_at(snapshot.utc(instant)).and_then(|event| self.event_pages.get(event)?.as_ref());
        event.unwrap_or(&self.page)
    }

    /// What all its pages have: the brand, and the pages that are ours.
    pub(crate) fn own_page(&self) -> &WaitingPage {
        &self.page
    }

    /// Whether the upstream may say this.
    pub(crate) fn obeys(&self, command: OriginCommand) -> bool {
        self.config.enabled_origin_commands.contains(&command)
    }
}

/// What each client may ask.
#[derive(Debug)]
pub(crate) struct SiteQuotas {
    written: QuotaConfig,
    /// Requests of each holder of a place, and of each address that shows broken tokens.
    pub requests: Quotas,
    /// Places that each address may take at once.
    pub joins: Quotas,
    /// Places that each address may take by coming back with an arrival.
    pub confirmed_joins: Quotas,
    /// Returns from a payment without a pass, of each address.
    pub returns: Quotas,
}

impl SiteQuotas {
    fn of(written: &QuotaConfig, before: Option<&Site>) -> Arc<Self> {
        if let Some(same) = before.map(|site| &site.quotas).filter(|quotas| quotas.written == *written) {
            return same.clone();
        }
        let quotas = |per_second, burst| Quotas::new(quota(per_second, burst), written.max_clients);
        Arc::new(Self {
            written: written.clone(),
            requests: quotas(written.requests_per_second, written.request_burst),
            joins: quotas(written.joins_per_second, written.join_burst),
            confirmed_joins: quotas(written.confirmed_joins_per_second, written.confirmed_join_burst),
            returns: quotas(written.returns_per_second, written.return_burst),
        })
    }

    fn all(&self) -> [&Quotas; 4] {
        [&self.requests, &self.joins, &self.confirmed_joins, &self.returns]
    }

    /// Sets the clock of all quotas.
    pub(crate) fn set_time(&self, since_origin: Duration) {
        self.all().into_iter().for_each(|quotas| quotas.set_time(since_origin));
    }

    /// Forgets clients that have not asked for a while.
    pub(crate) fn forget_idle(&self) {
        self.all().into_iter().for_each(Quotas::forget_idle);
    }

    /// Clients that are remembered.
    pub(crate) fn clients(&self) -> usize {
        self.all().into_iter().map(Quotas::clients).sum()
    }
}

fn quota(per_second: u32, burst: u32) -> Quota {
    Quota {
        per_second: NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN),
        burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN),
    }
}

impl Site {
    /// Compiles a configuration and makes its rooms live. Reads the files of its pages.
    pub(crate) fn compile(
        config: Config,
        before: Option<&Self>,
        rooms: &Rooms,
        sealer: Arc<Sealer>,
    ) -> anyhow::Result<Self> {
        let files = Files::read(&config)?;
        Self::with_files(config, files, before, rooms, sealer)
    }

    /// The same with files that were read before: it does not block.
    pub(crate) fn with_files(
        config: Config,
        files: Files,
        before: Option<&Self>,
        rooms: &Rooms,
        sealer: Arc<Sealer>,
    ) -> anyhow::Result<Self> {
        let Files { pages, tls, stamp } = files;
        let upstreams = upstreams(&config, before, &tls);
        let gates = gates(&config, before);
        let mut routes = Vec::new();
        for route in &config.routes {
            let name =
                config.upstream_of(route).with_context(|| format!("the route {} has no upstream", route.name()))?;
            let gate = gates.get(&route.name()).cloned();
            routes.push((route.scope().pattern()?, Route { upstream: find(&upstreams, name)?, gate }));
        }
        let (paired, now) = (config.rooms.iter().zip(&pages), rooms.utc());
        let settings: Vec<_> =
            paired.map(|(room, pages)| (room.line().to_owned(), room_settings(room, pages, now))).collect();
        rooms.apply(settings.clone());
        let live = rooms.all();
        let mut scopes = Vec::new();
        let (mut by_name, mut by_line) = (HashMap::new(), HashMap::default());
        for ((written, pages), (line, settings)) in config.rooms.iter().zip(pages).zip(settings) {
            let live = live.get(&*line).context("a room that was just made live")?.clone();
            let old = before.and_then(|site| site.by_line.get(&line));
            let mut room = site_room(written, live, settings, pages, config.quota.max_clients)?;
            room.part = part(written, old);
            room.signals = signals(written, old);
            let room = Arc::new(room);
            for scope in written.scopes() {
                let pattern = scope.pattern()?;
                if let Some(upstream) = &written.upstream {
                    routes.push((pattern.clone(), Route::to(find(&upstreams, upstream)?)));
                }
                scopes.push((pattern, room.clone()));
            }
            by_name.insert(written.name.clone(), room.clone());
            by_line.insert(line, room);
        }
        let quotas = SiteQuotas::of(&config.quota, before);
        let notices = Notices::unbranded();
        let (rooms, routes) = (Table::new(scopes), Table::new(routes));
        for room in by_name.values() {
            room.live.stand_before(shop_of(&room.config, &routes, &upstreams));
        }
        let outside = before.map_or_else(|| Arc::new(RoomMeters::of("")), |site| site.outside.clone());
        let hsts = hsts(&config.listen);
        let opens_to_all = config.rooms.iter().any(|room| room.open_to_all_until.is_some());
        Ok(Self {
            config,
            rooms,
            by_name,
            by_line,
            routes,
            gates,
            upstreams,
            quotas,
            notices,
            outside,
            sealer,
            hsts,
            opens_to_all,
            stamp,
        })
    }

    /// The room that is asked for under this name: pages have that of its line, which is the same at a gateway that has
    /// not heard of a new name yet.
    pub(crate) fn asked(&self, name: &str) -> Option<&Arc<SiteRoom>> {
        self.by_line.get(name).or_else(|| self.by_name.get(name))
    }

    /// The gates at which holders of passes of this room may be.
    pub(crate) fn gates_of(&self, room: &RoomConfig) -> impl Iterator<Item = &Arc<RouteGate>> {
        let names: Vec<String> = self.config.classes_of(room).map(RouteConfig::name).collect();
        self.gates.iter().filter(move |(name, _)| names.contains(name)).map(|(_, gate)| gate)
    }

    /// Forgets clients that have not asked for a while.
    pub(crate) fn forget_idle(&self) {
        self.quotas.forget_idle();
        self.by_name.values().for_each(|room| room.preflights.forget_idle());
    }

    /// The rooms with signals.
    pub(crate) fn guarded(&self) -> impl Iterator<Item = (&Arc<LiveRoom>, &Arc<RoomSignals>)> {
        self.by_name.values().filter_map(|room| Some((&room.live, room.signals.as_ref()?)))
    }

    /// The same with other keys.
    #[must_use]
    pub(crate) fn with_sealer(&self, sealer: Arc<Sealer>) -> Self {
        Self { sealer, ..self.clone() }
    }
}

fn site_room(
    written: &RoomConfig,
    live: Arc<LiveRoom>,
    settings: RoomSettings,
    pages: RoomPages,
    most_clients: usize,
) -> anyhow::Result<SiteRoom> {
    let literal = |path: &String| Literal::parse(path).map_err(anyhow::Error::from);
    Ok(SiteRoom {
        name: HeaderValue::try_from(&written.name)?,
        live,
        settings,
        page: pages.own,
        event_pages: pages.of_events,
        language: written.default_template_language.as_ref().map(TemplateLanguage::of_page),
        cookie: Cookie::of(written),
        part: None,
        signals: None,
        bypass: written.bypass.iter().map(literal).collect::<anyhow::Result<_>>()?,
        returns: written.return_paths.iter().map(literal).collect::<anyhow::Result<_>>()?,
        preflights: Preflights::of(written, most_clients),
        config: written.clone(),
    })
}

fn hsts(listen: &config::ListenConfig) -> Option<HeaderValue> {
    let below = if listen.hsts_include_subdomains { "; includeSubDomains" } else { "" };
    HeaderValue::try_from(format!("max-age={}{below}", listen.hsts?.as_secs())).ok()
}

/// The gates of routes with a class. One of a route that was there before keeps its line.
fn gates(config: &Config, before: Option<&Site>) -> BTreeMap<String, Arc<RouteGate>> {
    let made = |written: &RouteConfig| {
        let route = written.name();
        let (max_in_flight, max_wait) = (written.max_in_flight, written.max_wait);
        let settings = GateSettings { route: route.clone(), class: written.class?, max_in_flight, max_wait };
        let old = before.and_then(|site| site.gates.get(&route));
        Some((route, Arc::new(RouteGate::new(settings, old.map(|old| &**old)))))
    };
    config.routes.iter().filter_map(made).collect()
}

/// What a room's requests may hold of the shop, shared out as an upstream's permits are by default.
fn part(written: &RoomConfig, before: Option<&Arc<SiteRoom>>) -> Option<Part> {
    let max_in_flight = written.max_in_flight?;
    let pass_reserve = max_in_flight / PASS_RESERVE;
    let (max_in_flight_per_pass, max_in_flight_per_address) = shares(max_in_flight, pass_reserve);
    let settings = PartSettings {
        max_in_flight,
        pass_reserve,
        max_in_flight_per_pass,
        max_in_flight_per_address,
        max_wait: written.max_wait,
    };
    Some(Part::new(settings, before.and_then(|room| room.part.as_ref())))
}

/// The signals of a room. The same ones go on where they were.
fn signals(written: &RoomConfig, before: Option<&Arc<SiteRoom>>) -> Option<Arc<RoomSignals>> {
    let before = before.and_then(|room| room.signals.as_ref());
    let same = before.filter(|signals| signals.are(&written.signals)).cloned();
    same.or_else(|| (!written.signals.is_empty()).then(|| Arc::new(RoomSignals::of(&written.signals))))
}

/// What one pass, and what one address without one, may hold while permits are scarce.
fn shares(limit: usize, pass_reserve: usize) -> (usize, usize) {
    ((limit / 8).max(LEAST_SHARE), (limit - pass_reserve).div_ceil(2).max(LEAST_SHARE))
}

/// The upstream that answers the room's own host and path: its line stands while that rests.
fn shop_of(
    room: &RoomConfig,
    routes: &Table<Route>,
    upstreams: &BTreeMap<String, Arc<Upstream>>,
) -> Option<Arc<Upstream>> {
    // Of "*.example.com" some host below it, of "*" one that no pattern but "*" matches.
    let host = room.host.replacen('*', "x", 1);
    let answers = || routes.find(&bare_host(&host), &NormalPath::of(&room.path)).map(|route| route.upstream.clone());
    let only = || upstreams.values().next().filter(|_| upstreams.len() == 1).cloned();
    room.upstream.as_ref().and_then(|name| upstreams.get(name).cloned()).or_else(answers).or_else(only)
}

fn upstreams(
    config: &Config,
    before: Option<&Site>,
    tls: &BTreeMap<String, ClientTls>,
) -> BTreeMap<String, Arc<Upstream>> {
    let rooms = !config.rooms.is_empty();
    let made = |written: &UpstreamConfig| {
        let (settings, tls) = (shared_out(written, rooms), tls.get(&written.name));
        match before.and_then(|site| site.upstreams.get(&written.name)) {
            Some(same) if *same.settings() == settings && same.tls() == tls => same.clone(),
            old => Arc::new(Upstream::new(settings, tls.cloned(), old.map(|old| &**old))),
        }
    };
    config.upstreams.iter().map(|written| (written.name.clone(), made(written))).collect()
}

/// What is not written follows from `max_in_flight`. Without a room there are no passes to keep a reserve for.
fn shared_out(written: &UpstreamConfig, rooms: bool) -> UpstreamConfig {
    let limit = written.max_in_flight;
    let pass_reserve = written.pass_reserve.unwrap_or(if rooms { limit / PASS_RESERVE } else { 0 }).min(limit - 1);
    let (per_pass, per_address) = shares(limit, pass_reserve);
    UpstreamConfig {
        pass_reserve: Some(pass_reserve),
        max_in_flight_per_pass: written.max_in_flight_per_pass.or(Some(per_pass)),
        max_in_flight_per_address: written.max_in_flight_per_address.or(Some(per_address)),
        max_upgraded_per_client: written.max_upgraded_per_client.or(Some(written.max_upgraded.div_ceil(4))),
        // What the files held counts, not how they are called.
        tls: None,
        ..written.clone()
    }
}

fn find(upstreams: &BTreeMap<String, Arc<Upstream>>, name: &str) -> anyhow::Result<Arc<Upstream>> {
    upstreams.get(name).cloned().with_context(|| format!("no upstream is named {name:?}"))
}

/// The settings of a room at this store time.
fn room_settings(room: &RoomConfig, pages: &RoomPages, now: Millis) -> RoomSettings {
    let polls = PollTable { min: room.poll.min.as_secs_f64(), max: room.poll.max.as_secs_f64(), ..PollTable::CALM };
    let (policy, timetable) = (room.policy_at(now), room.timetable_at(now));
    let rate = timetable.as_ref().map_or(policy.rules.rate, Timetable::highest_rate);
    let poll_budget = room.poll.budget.map_or(pacer::budget_for(rate), f64::from);
    let zone = TimeZone::get(&room.time_zone).unwrap_or(TimeZone::UTC);
    let rules = timetable.as_ref().map_or_else(|| policy.rules.clone(), Timetable::rules);
    let page = pages.own.version();
    RoomSettings {
        name: room.name.as_str().into(),
        room: Room { rules, ..policy },
        timetable: timetable.map(Arc::new),
        polls,
        poll_budget,
        zone,
        page,
        event_pages: pages.of_events.iter().map(|of| of.as_ref().map_or(page, WaitingPage::version)).collect(),
        state: room.controls().state(now),
        message: Message::of(|language| room.message.text(language)).map(Arc::new),
    }
}
