//! A room as it is written, and the rules that it stands for.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use policy::Millis;
use policy::action::{self, Controls, State};
use policy::event::Timetable;
use policy::room::{FailMode, Join, LetIn, QueueingMethod, Room, Rules, VISITS};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml_diagnostics::{Diagnostic, between, default_is, each};

use super::brand::{BrandConfig, FactsConfig};
use super::event::EventConfig;
use super::language::TemplateLanguage;
use super::localized::{LocalizedText, each_in};
use super::route::{Scope, ScopeConfig, is_host};
use super::signal::SignalConfig;
use super::units::{mins, secs};
use super::value::{AsText as _, FileName, Time};

/// So many times `session_duration` a pass lasts at most where the script renews it, if nothing else was written.
const SESSIONS: u32 = 4;

/// Names that the types of [`policy::room`] have in files.
pub(super) const METHODS: [&str; 4] = ["fifo", "random", "passthrough", "reject"];
const JOINS: [&str; 2] = ["direct", "confirmed"];
const FAIL_MODES: [&str; 3] = ["closed", "static", "open"];

/// `[[room]]`: the rules that protect a set of hosts and paths. Names are Cloudflare's where it has one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "host", "new_users_per_minute"]))]
#[expect(clippy::struct_excessive_bools, reason = "keys of a file, each a switch of its own")]
pub struct RoomConfig {
    /// Name of the room in addresses, logs and metrics: a-z, 0-9 and "-".
    #[schemars(extend("format" = "name"))]
    pub name: String,
    /// A former name of the room, by which it keeps its line: all who wait, all who are inside, and the cookie. It is to
    /// stay as long as the room is called otherwise, and no other room may have that line.
    #[schemars(extend("format" = "name"))]
    pub previous_name: Option<String>,
    /// Host that it protects: exact, "*.example.com" or "*".
    #[schemars(extend("format" = "host"))]
    pub host: String,
    /// Path that it protects, with everything below it; "/" is all of the host.
    #[schemars(extend("format" = "path"))]
    pub path: String,
    /// The path alone, without what is below it.
    pub exact: bool,
    /// More hosts and paths of the same room.
    pub additional_routes: Vec<ScopeConfig>,
    /// Name of the upstream that answers here: the short form of a route for the same hosts and paths.
    pub upstream: Option<String>,
    /// Paths inside the room that load for everyone, such as images of the waiting page: each exactly as it is
    /// spelled, "/x/*" with everything below it.
    #[schemars(transform = each("literal"))]
    pub bypass: Vec<String>,
    /// Paths inside the room to which a payment page sends people back, by GET or POST: with a pass as ever, without one
    /// forwarded too, at `quota.returns_per_second` of an address and in a tenth of `max_in_flight`. Each exactly as it
    /// is spelled, "/x/*" with everything below it.
    #[schemars(transform = each("literal"))]
    pub return_paths: Vec<String>,
    /// Origins besides the room's own hosts whose scripts may read the answers of Weir, as `https://app.example.com`.
    #[schemars(transform = each("origin"))]
    pub cors_origins: Vec<String>,
    /// New shoppers that may enter in a minute; 0: nobody, but during an event that says how many.
    #[schemars(range(max = 60_000_000))]
    pub new_users_per_minute: u32,
    /// The most that the room, an event of it or an operator's action may set that to; no default.
    #[schemars(range(min = 1, max = 60_000_000))]
    pub max_new_users_per_minute: Option<u32>,
    /// New shoppers in a minute below which nothing behind Weir slows the room: not a word of the shop, and no signal.
    #[schemars(range(min = 1, max = 60_000_000))]
    pub min_new_users_per_minute: u32,
    /// Shoppers inside at once; no bound if absent.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub total_active_users: Option<u64>,
    /// New shoppers that a calm room may let in at once. Default: one second's worth, at least 1.
    #[schemars(range(min = 1, max = 60_000_000))]
    pub burst: Option<u32>,
    /// Requests in a minute that may look at a calm room without a number (HEAD, probes, link previews, `curl`), as part
    /// of the new shoppers: at most a fifth of them, the default; 0 for none.
    #[schemars(range(max = 12_000_000))]
    pub visits_per_minute: Option<u32>,
    /// Requests of the room that the shop works on at once, within `max_in_flight` of the upstream: a quarter is kept for passes.
    /// What is no traffic of the room, and its `bypass` paths, are not under it. No default: all that the upstream takes.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_in_flight: Option<usize>,
    /// How long a request of the room waits for its turn under that limit and the upstream's together. No default:
    /// `pass_max_wait` of the upstream with a pass, `max_wait` without.
    #[serde(with = "Time")]
    #[schemars(transform = between("0s", "1m"))]
    pub max_wait: Option<Duration>,
    /// How long a pass lives, and for how long a renewal extends it.
    #[serde(with = "Time")]
    #[schemars(transform = between("5s", "30d"))]
    pub session_duration: Duration,
    /// How long a pass may be renewed in all, from when it was given. Then its holder waits in line again, and `form_grace` is
    /// over too. At least `session_duration`; default: four times that with `session_script`, else no bound.
    #[serde(with = "Time")]
    #[schemars(transform = between("5s", "120d"))]
    pub max_session: Option<Duration>,
    /// Serves `/.weir/pass.js` for the shop's pages: it warns before a pass ends, renews it while a form is being filled in, and
    /// tells the page.
    pub session_script: bool,
    /// How long after the end of a pass a form of its holder still goes through, at most three times; "0s": not at all.
    #[serde(with = "Time")]
    #[schemars(transform = between("0s", "10m"))]
    pub form_grace: Duration,
    /// Passes end `session_duration` after they were given, whatever their holders do.
    pub disable_session_renewal: bool,
    /// Upgraded connections (`WebSocket`s) that a pass opened end with it. What moves on them renews no pass, so a page
    /// that only listens loses its connection after `session_duration`: not where that would surprise the shop.
    pub upgrades_end_with_pass: bool,
    /// Shoppers over the limits wait in order of arrival, or in an order that is drawn for those who came in the same `random_round`,
    /// or all enter and are only counted, or are refused.
    #[schemars(with = "String", extend("enum" = METHODS))]
    pub queueing_method: QueueingMethod,
    /// How long newcomers of a room with `queueing_method = "random"` gather until their order is drawn; they stand behind all who
    /// came before. So long may a shopper be without a number, and by so much be overtaken.
    #[serde(with = "Time")]
    #[schemars(transform = between("5s", "1h"))]
    pub random_round: Duration,
    /// How a newcomer takes a place: "direct" with the first request; "confirmed" with the second, which shows the
    /// cookie of the first. A browser does that by itself; a script without cookies takes no place.
    #[schemars(with = "String", extend("enum" = JOINS))]
    pub join: Join,
    /// All newcomers wait and nobody is let in.
    pub queue_all: bool,
    /// Newcomers get 503 and a clear page, the line stands, places and passes are kept. (At Cloudflare a
    /// suspended room lets everyone pass; here that is `queueing_method = "passthrough"`.)
    pub suspended: bool,
    /// Newcomers get 503 and a clear page, and the line goes on until all who wait have had their turn. `weir last-call` sets it.
    pub last_call: bool,
    /// Newcomers and those inside get 503 and a clear page, but for `return_paths`; places are kept, passes are not. `weir stop`
    /// sets it.
    pub stopped: bool,
    /// Passes that were given before this moment, in the time of the store, count for nothing. The end of a stop sets it.
    #[schemars(extend("format" = "moment"))]
    pub passes_since: Option<String>,
    /// Until this moment, in the time of the store, every shopper enters and is only counted. `weir open` sets it.
    #[schemars(extend("format" = "moment"))]
    pub open_to_all_until: Option<String>,
    /// So many who waited were let in at `let_in_at`, before their time. `weir let-in` sets both; a line does it once.
    #[schemars(range(max = 60_000_000))]
    pub let_in: Option<u32>,
    /// When that was ordered, in the time of the store.
    #[schemars(extend("format" = "moment"))]
    pub let_in_at: Option<String>,
    /// What operators tell those who wait: plain text, up to 280 characters. `weir message` sets it.
    #[schemars(transform = each_in("message"))]
    pub message: LocalizedText,
    /// Status code of the waiting page and of the waiting JSON. 429 is stored by no cache and, in general, by no service
    /// worker, and no search engine takes it for the product; 200 is Cloudflare's default.
    #[schemars(extend("enum" = [200, 202, 429]))]
    pub queueing_status_code: u16,
    /// A GET that accepts JSON takes a number and is answered in JSON.
    pub json_response_enabled: bool,
    /// Language of the page for shoppers whose browser asks for none that it has: one of Cloudflare's. A page that is not written in it
    /// falls back to English, with a warning. Default: English where a browser asks for others, Korean where it asks for none.
    pub default_template_language: Option<TemplateLanguage>,
    /// Time zone of the times on the page, by its IANA name, such as "Asia/Seoul". With JavaScript they are in the shopper's.
    #[schemars(extend("format" = "time_zone"))]
    pub time_zone: String,
    /// The shop's brand on the page.
    pub brand: BrandConfig,
    /// What the shop says of what it sells, on the page.
    pub facts: FactsConfig,
    /// Template of the room's own waiting page.
    #[serde(with = "FileName")]
    pub custom_page_html: Option<PathBuf>,
    /// Last part of the cookie's name: letters, digits, "-" and "_".
    #[schemars(extend("format" = "cookie_suffix"), transform = default_is("`previous_name`, else the room's name"))]
    pub cookie_suffix: String,
    /// Attributes of the room's cookie.
    pub cookie_attributes: CookieConfig,
    /// What the upstream may say in its answers: "revoke" ends the pass of the request, "rate" slows the room
    /// (`Weir-Command: rate=480/m; ttl=30s`), "stock" tells what is left to sell (`Weir-Stock: sku=shoe-270; left=37`).
    pub enabled_origin_commands: Vec<OriginCommand>,
    /// New shoppers while the store does not answer: "closed" keeps them waiting, "static" lets the line move on
    /// for 30 s at each gateway's share of the limits, "open" lets all in up to `max_in_flight` and gives up the limits.
    #[schemars(with = "String", extend("enum" = FAIL_MODES))]
    pub fail_mode: FailMode,
    /// How long after its call a ticket still counts as expected.
    #[serde(with = "Time")]
    #[schemars(transform = between("1s", "1d"))]
    pub claim_window: Duration,
    /// CORS preflights per second that may pass, all shoppers together: they carry no pass, and are let through before
    /// one is held. One address may take a quarter of them. Default: 50, or 4 for each new shopper a second if that is more.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub preflights_per_second: Option<u32>,
    /// What tells how full the shop is. Each gateway lets in fewer while the highest is above its `full_at`.
    #[serde(rename = "signal")]
    #[schemars(length(max = 8))]
    pub signals: Vec<SignalConfig>,
    /// When the room opens, and what is different until it ends.
    #[serde(rename = "event")]
    #[schemars(length(max = 50))]
    pub events: Vec<EventConfig>,
    /// How often waiting shoppers ask.
    pub poll: PollConfig,
}

impl Default for RoomConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            previous_name: None,
            host: String::new(),
            path: "/".to_owned(),
            exact: false,
            additional_routes: Vec::new(),
            upstream: None,
            bypass: Vec::new(),
            return_paths: Vec::new(),
            cors_origins: Vec::new(),
            new_users_per_minute: 0,
            max_new_users_per_minute: None,
            min_new_users_per_minute: 1,
            total_active_users: None,
            burst: None,
            visits_per_minute: None,
            max_in_flight: None,
            max_wait: None,
            session_duration: mins(5),
            max_session: None,
            session_script: false,
            form_grace: mins(2),
            disable_session_renewal: false,
            upgrades_end_with_pass: false,
            queueing_method: QueueingMethod::Fifo,
            random_round: mins(1),
            join: Join::Direct,
            queue_all: false,
            suspended: false,
            last_call: false,
            stopped: false,
            passes_since: None,
            open_to_all_until: None,
            let_in: None,
            let_in_at: None,
            message: LocalizedText::default(),
            queueing_status_code: 429,
            json_response_enabled: true,
            default_template_language: None,
            time_zone: "UTC".to_owned(),
            brand: BrandConfig::default(),
            facts: FactsConfig::default(),
            custom_page_html: None,
            cookie_suffix: String::new(),
            cookie_attributes: CookieConfig::default(),
            enabled_origin_commands: vec![OriginCommand::Revoke],
            fail_mode: FailMode::Closed,
            claim_window: mins(5),
            preflights_per_second: None,
            signals: Vec::new(),
            events: Vec::new(),
            poll: PollConfig::default(),
        }
    }
}

/// How often waiting shoppers ask for news.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PollConfig {
    /// Least time between two polls of a shopper.
    #[serde(with = "Time")]
    #[schemars(transform = between("100ms", "10m"))]
    pub min: Duration,
    /// Most time between two polls of a shopper while they stay within the budget: so old may the place on the page
    /// be, and a seventh more.
    #[serde(with = "Time")]
    #[schemars(transform = between("100ms", "1h"))]
    pub max: Duration,
    /// Polls per second of the whole line, above which intervals grow. Default: 2,000, or 16 for each new shopper
    /// a second if that is more; with less the front of the line asks too late to use the whole rate.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub budget: Option<u32>,
}

impl Default for PollConfig {
    fn default() -> Self {
        Self { min: secs(1), max: secs(8), budget: None }
    }
}

/// Attributes of a room's cookie.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CookieConfig {
    /// `SameSite` of the cookie; "auto" is `None` where the cookie is `Secure`, so that it comes back with the POST of a
    /// payment page, and else `Lax`.
    pub samesite: SameSite,
    /// `Secure` of the cookie; "auto" sets it when the shopper came over TLS.
    pub secure: Secure,
    /// `Domain` of the cookie, to share it between hosts; the cookie loses its `__Host-` prefix.
    #[schemars(extend("format" = "domain"))]
    pub domain: Option<String>,
}

impl Default for CookieConfig {
    fn default() -> Self {
        Self { samesite: SameSite::Auto, secure: Secure::Auto, domain: None }
    }
}

/// `SameSite` of a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SameSite {
    /// `None` where the cookie is `Secure`, else `Lax`.
    Auto,
    /// Sent when the shopper comes from elsewhere by a link.
    Lax,
    /// Sent only from the site itself.
    Strict,
    /// Sent always; needs `Secure`.
    None,
}

/// `Secure` of a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Secure {
    /// As the shopper came.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What an upstream may ask of Weir.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OriginCommand {
    /// Give the shopper's seat back at once.
    Revoke,
    /// Let in no more than this rate.
    Rate,
    /// What is left to sell.
    Stock,
}

impl RoomConfig {
    /// The line that the room stands for: stores, tokens and the addresses of pages know the room by it, so it stays
    /// what it is when the room is renamed.
    pub fn line(&self) -> &str {
        self.previous_name.as_deref().unwrap_or(&self.name)
    }

    /// Every host and path of the room, its own first.
    pub fn scopes(&self) -> impl Iterator<Item = Scope<'_>> {
        let own = Scope { host: &self.host, path: &self.path, exact: self.exact };
        std::iter::once(own).chain(self.additional_routes.iter().map(ScopeConfig::scope))
    }

    /// What the room covers, in words.
    pub fn coverage(&self) -> String {
        let covered: Vec<String> = self.scopes().map(|scope| scope.to_string()).collect();
        let free = |path: &String| match path.strip_suffix("/*") {
            Some(base) => format!("{base} and everything plainly below it"),
            None => path.clone(),
        };
        let list = |before: &str, paths: &[String]| {
            let paths: Vec<String> = paths.iter().map(free).collect();
            if paths.is_empty() { String::new() } else { format!("{before}{}", paths.join(" and ")) }
        };
        let except = list(", except ", &self.bypass);
        let returns = list("; a few requests without a pass may return from a payment to ", &self.return_paths);
        format!("room {:?} covers {}{except}{returns}", self.name, covered.join(" and "))
    }

    /// Fills in what follows from other keys where it was not written.
    pub(super) fn fill(&mut self) {
        if self.cookie_suffix.is_empty() {
            self.cookie_suffix = self.line().to_owned();
        }
        self.signals.iter_mut().for_each(SignalConfig::fill);
    }

    /// How long a pass may be renewed in all: a script that renews by itself has a bound.
    fn max_session(&self) -> Option<Duration> {
        self.max_session.or_else(|| self.session_script.then(|| self.session_duration * SESSIONS))
    }

    /// The room while an event of it runs.
    #[must_use]
    pub fn during(&self, event: &EventConfig) -> Self {
        let new_users_per_minute = event.new_users_per_minute.unwrap_or(self.new_users_per_minute);
        let total_active_users = event.total_active_users.or(self.total_active_users);
        // At most a fifth of the rate, whatever that is.
        let fifth = (f64::from(new_users_per_minute) / VISITS) as u32;
        Self {
            new_users_per_minute,
            total_active_users,
            visits_per_minute: self.visits_per_minute.map(|visits| visits.min(fifth)),
            session_duration: event.session_duration.unwrap_or(self.session_duration),
            disable_session_renewal: event.disable_session_renewal.unwrap_or(self.disable_session_renewal),
            queueing_method: event.queueing_method.unwrap_or(self.queueing_method),
            custom_page_html: event.custom_page_html.clone().or_else(|| self.custom_page_html.clone()),
            events: Vec::new(),
            ..self.clone()
        }
    }

    /// The room by time, if it has events that take place, while no opening to all is in force.
    pub fn timetable(&self) -> Option<Timetable> {
        self.timetable_at(Millis::MAX)
    }

    /// The room by time as it is decided on at this store time, if it has events that take place.
    pub fn timetable_at(&self, now: Millis) -> Option<Timetable> {
        let held = self.events.iter().filter(|event| !event.suspended);
        let events: Vec<_> = held.map(|event| event.policy(self, now)).collect();
        (!events.is_empty()).then(|| Timetable::new(&self.policy_at(now), events))
    }

    /// The templates of the room and of its events, by the keys that name them.
    pub fn pages(&self) -> impl Iterator<Item = (String, &PathBuf)> {
        let own = self.custom_page_html.as_ref().map(|file| ("custom_page_html".to_owned(), file));
        let events = self.events.iter().enumerate().filter_map(|(index, event)| {
            Some((format!("event.{index}.custom_page_html"), event.custom_page_html.as_ref()?))
        });
        own.into_iter().chain(events)
    }

    /// The part that actions set.
    pub fn controls(&self) -> Controls {
        Controls {
            new_users_per_minute: self.new_users_per_minute,
            max_new_users_per_minute: self.max_new_users_per_minute,
            total_active_users: self.total_active_users,
            queue_all: self.queue_all,
            last_call: self.last_call,
            suspended: self.suspended,
            stopped: self.stopped,
            passes_since: moment(self.passes_since.as_deref()),
            open_until: moment(self.open_to_all_until.as_deref()),
            passthrough: self.queueing_method == QueueingMethod::Passthrough,
            let_in: self
                .let_in
                .zip(self.let_in_at.as_deref())
                .map(|(shoppers, at)| LetIn { at: moment(Some(at)), shoppers: u64::from(shoppers) }),
            message: self
                .message
                .iter()
                .map(|(language, text)| (language.name().to_owned(), text.to_owned()))
                .collect(),
        }
    }

    /// The room at this time of the store: in an event, an opening to all, or neither.
    pub fn at(&self, utc: Millis) -> Room {
        self.timetable_at(utc).map_or_else(|| self.policy_at(utc), |timetable| timetable.at(utc).room.clone())
    }

    /// The rules that decide while no opening to all is in force.
    pub fn policy(&self) -> Room {
        self.policy_at(Millis::MAX)
    }

    /// The rules that decide at this store time.
    pub fn policy_at(&self, now: Millis) -> Room {
        let controls = self.controls();
        let open_to_all = controls.state(now) == State::OpenToAll;
        let queueing_method = if open_to_all { QueueingMethod::Passthrough } else { self.queueing_method };
        let enforced = queueing_method != QueueingMethod::Passthrough;
        let nobody = self.new_users_per_minute == 0 && !open_to_all;
        let rules = Rules::per_minute(self.new_users_per_minute.max(1));
        Room {
            rules: Rules {
                floor: f64::from(self.min_new_users_per_minute) / 60.0,
                burst: self.burst.map_or(rules.burst, f64::from),
                total_active_users: self.total_active_users,
                visits: self.visits_per_minute.map_or(rules.visits, |visits| f64::from(visits) / 60.0),
                session: self.session_duration.as_millis() as u64,
                max_session: self.max_session().map(|longest| longest.as_millis() as u64),
                claim_window: self.claim_window.as_millis() as u64,
                form_grace: self.form_grace.as_millis() as u64,
                open: !(self.queue_all || self.suspended || self.stopped || nobody),
                enforced,
                lends: self.fail_mode == FailMode::Static && enforced,
                let_in: controls.let_in,
                round: (queueing_method == QueueingMethod::Random).then_some(self.random_round.as_millis() as u64),
                ..rules
            },
            queueing_method,
            join: self.join,
            suspended: self.suspended || self.stopped,
            last_call: self.last_call,
            stopped_until: if self.stopped { Millis::MAX } else { controls.passes_since },
            disable_session_renewal: self.disable_session_renewal,
            json_response_enabled: self.json_response_enabled,
            // Nobody enters, also while the store is away.
            fail_mode: if nobody { FailMode::Closed } else { self.fail_mode },
            events_only: nobody,
            passes_since: 0,
        }
    }
}

/// A moment of the time of the store, in milliseconds; 0 for none.
fn moment(text: Option<&str>) -> Millis {
    let at: Option<Timestamp> = text.and_then(|text| text.parse().ok());
    at.and_then(|at| Millis::try_from(at.as_millisecond()).ok()).unwrap_or(0)
}

/// A moment as it is written.
pub(super) fn written(at: Millis) -> String {
    let at = i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    format!("{:.3}", at.unwrap_or(Timestamp::MAX))
}

pub(super) fn is_message(text: &str) -> Result<(), Diagnostic> {
    action::is_plain(text).map_err(|refused| Diagnostic::new(refused.what, refused.how))
}

pub(super) fn is_time_zone(name: &str) -> Result<(), Diagnostic> {
    let wrong = |_| {
        Diagnostic::new(format!("{name:?} is no time zone"), "write an IANA name, such as \"Asia/Seoul\" or \"UTC\"")
    };
    jiff::tz::TimeZone::get(name).map(drop).map_err(wrong)
}

pub(super) fn is_domain(domain: &str) -> Result<(), Diagnostic> {
    let no_name = Diagnostic::new(format!("{domain:?} is not a domain"), "write a name without \"*\" and port");
    if domain.contains(['*', '[']) { Err(no_name) } else { is_host(domain) }
}

/// As a browser writes it in `Origin`.
pub(super) fn is_origin(origin: &str) -> Result<(), Diagnostic> {
    let usual = [("https://", ":443"), ("http://", ":80")];
    let parts = usual.iter().find_map(|&(scheme, port)| Some((origin.strip_prefix(scheme)?, port)));
    let good = parts.is_some_and(|(authority, usual_port)| {
        let ported = authority.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
        let host = ported.map_or(authority, |(host, _)| host);
        let plain = is_host(host).is_ok() && !host.contains('*') && !authority.bytes().any(|b| b.is_ascii_uppercase());
        plain && !authority.ends_with(usual_port)
    });
    let wrong = || {
        let fix = "write scheme and host, and the port if it is not the usual one, in small letters: \"https://app.example.com\"";
        Diagnostic::new(format!("{origin:?} is not an origin"), fix)
    };
    good.then_some(()).ok_or_else(wrong)
}

pub(super) fn is_cookie_suffix(suffix: &str) -> Result<(), Diagnostic> {
    let fits = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    let good = (1..=64).contains(&suffix.len()) && suffix.bytes().all(fits);
    let wrong = || {
        Diagnostic::new(
            format!("{suffix:?} cannot be part of a cookie's name"),
            "write 1 to 64 of A-Z, a-z, 0-9, \"-\" and \"_\"",
        )
    };
    good.then_some(()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named<T: serde::de::DeserializeOwned>(names: &[&str]) -> Vec<T> {
        names.iter().map(|name| serde_json::from_value((*name).into()).expect("a name of the policy")).collect()
    }

    #[test]
    fn the_names_in_a_file_are_those_of_the_policy() {
        use policy::room::{FailMode::*, Join::*, QueueingMethod::*};
        assert_eq!(named::<QueueingMethod>(&METHODS), [Fifo, Random, Passthrough, Reject]);
        assert_eq!(named::<Join>(&JOINS), [Direct, Confirmed]);
        assert_eq!(named::<FailMode>(&FAIL_MODES), [Closed, Static, Open]);
    }
}
