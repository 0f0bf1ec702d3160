//! A room as it is written, and the rules that it stands for.

use std::path::PathBuf;
use std::time::Duration;

use policy::room::{FailMode, Join, QueueingMethod, Room, Rules};

use super::brand::BrandConfig;
use super::problem::Wrong;
use super::route::{Scope, ScopeConfig, is_host, is_literal, is_path};
use super::table::section;
use super::units::{hours, mins, ms, secs};
use super::upstream::is_name;
use super::value::Choice;
use crate::ui::Language;

/// So many times `session_duration` a pass lasts at most where the script renews it, if nothing else was written.
const SESSIONS: u32 = 4;

section! {
    /// `[[room]]`: the rules that protect a set of hosts and paths. Names are Cloudflare's where it has one.
    RoomConfig {
        /// Name of the room in addresses, logs and metrics: a-z, 0-9 and "-".
        name: String = must(is_name).required(),
        /// A former name of the room, by which it keeps its line: all who wait, all who are inside, and the cookie. It is to
        /// stay as long as the room is called otherwise, and no other room may have that line.
        previous_name: Option<String> = must(is_name).optional(),
        /// Host that it protects: exact, "*.example.com" or "*".
        host: String = must(is_host).required(),
        /// Path that it protects, with everything below it; "/" is all of the host.
        path: String = must(is_path).or("/".to_owned()),
        /// The path alone, without what is below it.
        exact: bool = or(false),
        /// More hosts and paths of the same room.
        additional_routes: Vec<ScopeConfig> = or(Vec::new()),
        /// Name of the upstream that answers here: the short form of a route for the same hosts and paths.
        upstream: Option<String> = optional(),
        /// Paths inside the room that load for everyone, such as images of the waiting page: each exactly as it is
        /// spelled, "/x/*" with everything below it.
        bypass: Vec<String> = each(is_literal).or(Vec::new()),
        /// Paths inside the room to which a payment page sends people back, by GET or POST: with a pass as ever, without one
        /// forwarded too, at `quota.returns_per_second` of an address and in a tenth of `max_in_flight`. Each exactly as it
        /// is spelled, "/x/*" with everything below it.
        return_paths: Vec<String> = each(is_literal).or(Vec::new()),
        /// Origins besides the room's own hosts whose scripts may read the answers of Weir, as `https://app.example.com`.
        cors_origins: Vec<String> = each(is_origin).or(Vec::new()),
        /// New shoppers that may enter in a minute.
        new_users_per_minute: u32 = between(1, 60_000_000).required(),
        /// Shoppers inside at once; no bound if absent.
        total_active_users: Option<u64> = between(1, 1_000_000_000).optional(),
        /// New shoppers that a calm room may let in at once. Default: one second's worth, at least 1.
        burst: Option<u32> = between(1, 60_000_000).optional(),
        /// Requests in a minute that may look at a calm room without a number (HEAD, probes, link previews, `curl`), as part
        /// of the new shoppers: at most a fifth of them, the default; 0 for none.
        visits_per_minute: Option<u32> = between(0, 12_000_000).optional(),
        /// Requests of the room that the shop works on at once, within `max_in_flight` of the upstream: a quarter is kept for passes.
        /// What is no traffic of the room, and its `bypass` paths, are not under it. No default: all that the upstream takes.
        max_in_flight: Option<usize> = between(1, 1_000_000).optional(),
        /// How long a request of the room waits for its turn under that limit and the upstream's together. No default:
        /// `pass_max_wait` of the upstream with a pass, `max_wait` without.
        max_wait: Option<Duration> = between(secs(0), mins(1)).optional(),
        /// How long a pass lives, and for how long a renewal extends it.
        session_duration: Duration = between(secs(5), hours(720)).or(mins(5)),
        /// How long a pass may be renewed in all, from when it was given. Then its holder waits in line again, and `form_grace` is
        /// over too. At least `session_duration`; default: four times that with `session_script`, else no bound.
        max_session: Option<Duration> = between(secs(5), hours(2_880)).optional(),
        /// Serves `/.weir/pass.js` for the shop's pages: it warns before a pass ends, renews it while a form is being filled in, and
        /// tells the page.
        session_script: bool = or(false),
        /// How long after the end of a pass a form of its holder still goes through, at most three times; "0s": not at all.
        form_grace: Duration = between(secs(0), mins(10)).or(mins(2)),
        /// Passes end `session_duration` after they were given, whatever their holders do.
        disable_session_renewal: bool = or(false),
        /// Upgraded connections (`WebSocket`s) that a pass opened end with it. What moves on them renews no pass, so a page
        /// that only listens loses its connection after `session_duration`: not where that would surprise the shop.
        upgrades_end_with_pass: bool = or(false),
        /// Shoppers over the limits wait in order, or all enter and are only counted, or are refused.
        queueing_method: QueueingMethod = or(QueueingMethod::Fifo),
        /// How a newcomer takes a place: "direct" with the first request; "confirmed" with the second, which shows the
        /// cookie of the first. A browser does that by itself; a script without cookies takes no place.
        join: Join = or(Join::Direct),
        /// All newcomers wait and nobody is let in.
        queue_all: bool = or(false),
        /// Newcomers get 503 and a clear page, the line stands, places and passes are kept. (At Cloudflare a
        /// suspended room lets everyone pass; here that is `queueing_method = "passthrough"`.)
        suspended: bool = or(false),
        /// Status code of the waiting page and of the waiting JSON. 429 is stored by no cache and, in general, by no service
        /// worker, and no search engine takes it for the product; 200 is Cloudflare's default.
        queueing_status_code: u16 = one_of(&[200, 202, 429]).or(429),
        /// A GET that accepts JSON takes a number and is answered in JSON.
        json_response_enabled: bool = or(true),
        /// Language of the page for shoppers whose browser asks for none that it has. Default: English where it asks for
        /// others, Korean where it asks for none.
        default_template_language: Option<Language> = optional(),
        /// Time zone of the times on the page, by its IANA name, such as "Asia/Seoul". With JavaScript they are in the shopper's.
        time_zone: String = must(is_time_zone).or("UTC".to_owned()),
        /// The shop's brand on the page.
        brand: BrandConfig = or_blank(),
        /// Template of the room's own waiting page.
        custom_page_html: Option<PathBuf> = optional(),
        /// Last part of the cookie's name: letters, digits, "-" and "_".
        cookie_suffix: String = must(is_cookie_suffix)
            .or_from("`previous_name`, else the room's name", previous_name.clone().unwrap_or_else(|| name.clone())),
        /// Attributes of the room's cookie.
        cookie_attributes: CookieConfig = or_blank(),
        /// Commands that the upstream may give in the response header `Weir-Command`.
        enabled_origin_commands: Vec<OriginCommand> = or(vec![OriginCommand::Revoke]),
        /// New shoppers while the store does not answer: "closed" keeps them waiting, "static" lets the line move on
        /// for 30 s at each gateway's share of the limits, "open" lets all in up to `max_in_flight` and gives up the limits.
        fail_mode: FailMode = or(FailMode::Closed),
        /// How long after its call a ticket still counts as expected.
        claim_window: Duration = between(secs(1), hours(24)).or(mins(5)),
        /// CORS preflights per second that may pass, all shoppers together: they carry no pass, and are let through before
        /// one is held. One address may take a quarter of them. Default: 50, or 4 for each new shopper a second if that is more.
        preflights_per_second: Option<u32> = between(1, 1_000_000).optional(),
        /// How often waiting shoppers ask.
        poll: PollConfig = or_blank(),
    }
}

section! {
    /// How often waiting shoppers ask for news.
    PollConfig {
        /// Least time between two polls of a shopper.
        min: Duration = between(ms(100), mins(10)).or(secs(1)),
        /// Most time between two polls of a shopper while they stay within the budget: so old may the place on the page
        /// be, and a seventh more.
        max: Duration = between(ms(100), hours(1)).or(secs(8)),
        /// Polls per second of the whole line, above which intervals grow. Default: 2,000, or 16 for each new shopper
        /// a second if that is more; with less the front of the line asks too late to use the whole rate.
        budget: Option<u32> = between(1, 10_000_000).optional(),
    }
}

section! {
    /// Attributes of a room's cookie.
    CookieConfig {
        /// `SameSite` of the cookie; "auto" is `None` where the cookie is `Secure`, so that it comes back with the POST of a
        /// payment page, and else `Lax`.
        samesite: SameSite = or(SameSite::Auto),
        /// `Secure` of the cookie; "auto" sets it when the shopper came over TLS.
        secure: Secure = or(Secure::Auto),
        /// `Domain` of the cookie, to share it between hosts; the cookie loses its `__Host-` prefix.
        domain: Option<String> = must(is_domain).optional(),
    }
}

/// `SameSite` of a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secure {
    /// As the shopper came.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What an upstream may ask of Weir.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginCommand {
    /// Give the shopper's seat back at once.
    Revoke,
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

    /// How long a pass may be renewed in all: a script that renews by itself has a bound.
    fn max_session(&self) -> Option<Duration> {
        self.max_session.or_else(|| self.session_script.then(|| self.session_duration * SESSIONS))
    }

    /// The rules that decide.
    pub fn policy(&self) -> Room {
        let rules = Rules::per_minute(self.new_users_per_minute);
        Room {
            rules: Rules {
                burst: self.burst.map_or(rules.burst, f64::from),
                total_active_users: self.total_active_users,
                visits: self.visits_per_minute.map_or(rules.visits, |visits| f64::from(visits) / 60.0),
                session: self.session_duration.as_millis() as u64,
                max_session: self.max_session().map(|longest| longest.as_millis() as u64),
                claim_window: self.claim_window.as_millis() as u64,
                form_grace: self.form_grace.as_millis() as u64,
                open: !(self.queue_all || self.suspended),
                enforced: self.queueing_method != QueueingMethod::Passthrough,
                lends: self.fail_mode == FailMode::Static && self.queueing_method != QueueingMethod::Passthrough,
                ..rules
            },
            queueing_method: self.queueing_method,
            join: self.join,
            suspended: self.suspended,
            disable_session_renewal: self.disable_session_renewal,
            json_response_enabled: self.json_response_enabled,
            fail_mode: self.fail_mode,
        }
    }
}

fn is_time_zone(name: &String) -> Result<(), Wrong> {
    let wrong =
        |_| Wrong::new(format!("{name:?} is no time zone"), "write an IANA name, such as \"Asia/Seoul\" or \"UTC\"");
    jiff::tz::TimeZone::get(name).map(drop).map_err(wrong)
}

fn is_domain(domain: &String) -> Result<(), Wrong> {
    let no_name = Wrong::new(format!("{domain:?} is not a domain"), "write a name without \"*\" and port");
    if domain.contains(['*', '[']) { Err(no_name) } else { is_host(domain) }
}

/// As a browser writes it in `Origin`.
fn is_origin(origin: &String) -> Result<(), Wrong> {
    let usual = [("https://", ":443"), ("http://", ":80")];
    let parts = usual.iter().find_map(|&(scheme, port)| Some((origin.strip_prefix(scheme)?, port)));
    let good = parts.is_some_and(|(authority, usual_port)| {
        let ported = authority.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
        let host = ported.map_or(authority, |(host, _)| host).to_owned();
        let plain = is_host(&host).is_ok() && !host.contains('*') && !authority.bytes().any(|b| b.is_ascii_uppercase());
        plain && !authority.ends_with(usual_port)
    });
    let wrong = || {
        let fix = "write scheme and host, and the port if it is not the usual one, in small letters: \"https://app.example.com\"";
        Wrong::new(format!("{origin:?} is not an origin"), fix)
    };
    good.then_some(()).ok_or_else(wrong)
}

fn is_cookie_suffix(suffix: &String) -> Result<(), Wrong> {
    let fits = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    let good = (1..=64).contains(&suffix.len()) && suffix.bytes().all(fits);
    let wrong = || {
        Wrong::new(
            format!("{suffix:?} cannot be part of a cookie's name"),
            "write 1 to 64 of A-Z, a-z, 0-9, \"-\" and \"_\"",
        )
    };
    good.then_some(()).ok_or_else(wrong)
}

impl Choice for QueueingMethod {
    const NAMES: &'static [(&'static str, Self)] =
        &[("fifo", Self::Fifo), ("passthrough", Self::Passthrough), ("reject", Self::Reject)];
    const LATER: &'static [(&'static str, &'static str)] = &[("random", "the draw, later work")];
}

impl Choice for Join {
    const NAMES: &'static [(&'static str, Self)] = &[("direct", Self::Direct), ("confirmed", Self::Confirmed)];
}

impl Choice for FailMode {
    const NAMES: &'static [(&'static str, Self)] =
        &[("closed", Self::Closed), ("static", Self::Static), ("open", Self::Open)];
}

impl Choice for Language {
    const NAMES: &'static [(&'static str, Self)] = &[("ko-KR", Self::Korean), ("en-US", Self::English)];
}

impl Choice for SameSite {
    const NAMES: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("lax", Self::Lax), ("strict", Self::Strict), ("none", Self::None)];
}

impl Choice for Secure {
    const NAMES: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("always", Self::Always), ("never", Self::Never)];
}

impl Choice for OriginCommand {
    const NAMES: &'static [(&'static str, Self)] = &[("revoke", Self::Revoke)];
}
