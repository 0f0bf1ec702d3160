//! The client of the admin listener, for `weir apply`, `rollback`, `versions`, and the actions on a room.
//!
//! They call a gateway and not the store: the embedded store belongs to the serving process, and
//! a gateway knows best whether it can take the rooms.
//!
//! Out of scope: TLS and names; the admin listener is an address.

mod actions;
mod compare;

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::request::Builder;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use tokio::time::{sleep, timeout};

use crate::fetch::fetch;
pub use actions::Command;

use crate::ops::admin::problem::Problem;
use crate::ops::admin::versions::{Changed, Versions};
use crate::ops::fleet::Member;
use crate::settings::config::{RoomChange, What, shown};
use crate::settings::secret::keys::shown as time_of;

/// How long a gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const LONGEST: usize = 1 << 26;
/// How long all gateways may take to be on a new version.
const ARRIVAL: Duration = Duration::from_secs(5);

/// The admin listener of a running gateway.
#[derive(Debug)]
pub struct Operator {
    admin: SocketAddr,
    token: Option<String>,
}

impl Operator {
    /// A client of the admin listener at this address, with the token in this file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn at(admin: SocketAddr, token_file: Option<&Path>) -> anyhow::Result<Self> {
        let read = |file: &Path| {
            std::fs::read_to_string(file).with_context(|| format!("the admin token file {}", file.display()))
        };
        let token = token_file.map(read).transpose()?.map(|token| token.trim().to_owned());
        // A listener on all addresses listens here, too.
        let ip = match admin.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Ok(Self { admin: SocketAddr::new(ip, admin.port()), token })
    }

    /// Applies a text of rooms that was made from version `from`; by default the version in force. With
    /// `dry_run` only previews. Prints the difference, and returns the result.
    ///
    /// # Errors
    /// If the rooms are wrong, another version is in force, or not every gateway took them.
    pub async fn apply(&self, text: String, change: &Change) -> anyhow::Result<String> {
        let query = change.query();
        let changed: Changed = self.ask(Method::POST, &format!("/api/versions?{query}"), text).await?;
        self.told(changed, change.dry_run).await
    }

    /// Switches to a stored version; by default to the one before the one in force.
    ///
    /// # Errors
    /// As [`Operator::apply`].
    pub async fn rollback(&self, to: Option<u64>, change: &Change) -> anyhow::Result<String> {
        let to = to.map(|number| format!("to={number}&")).unwrap_or_default();
        let path = format!("/api/versions/in-force?{to}{}", change.query());
        let changed: Changed = self.ask(Method::PUT, &path, String::new()).await?;
        self.told(changed, change.dry_run).await
    }

    /// The stored versions, one a line.
    ///
    /// # Errors
    /// If the gateway does not answer.
    pub async fn versions(&self) -> anyhow::Result<String> {
        let Versions { in_force, versions } = self.ask(Method::GET, "/api/versions", String::new()).await?;
        let mut told = String::new();
        let mut line = |number: u64, made: &str, rooms: &str| {
            let mark = if number == in_force { "in force" } else { "" };
            let _ = writeln!(told, "{}", format!("{number:>6}  {made:<20}  {mark:<8}  {rooms}").trim_end());
        };
        line(0, "", "(the rooms of each gateway's own file)");
        for version in &versions {
            let made = i64::try_from(version.made_ms / 1000)
                .ok()
                .and_then(|made| OffsetDateTime::from_unix_timestamp(made).ok());
            line(version.number, &made.map(time_of).unwrap_or_default(), &version.rooms.join(", "));
        }
        Ok(told)
    }

    /// The text of a version.
    ///
    /// # Errors
    /// If it is not stored.
    pub async fn text(&self, number: u64) -> anyhow::Result<String> {
        let (status, body) = self.send(Method::GET, &format!("/api/versions/{number}"), String::new()).await?;
        if status != StatusCode::OK {
            bail!(refusal(status, &body));
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    async fn told(&self, changed: Changed, dry_run: bool) -> anyhow::Result<String> {
        print!("{}", difference(&changed.changes));
        changed.warnings.iter().for_each(|warning| println!("warning: {warning}"));
        let (from, now) = (changed.from, changed.in_force);
        match () {
            () if dry_run => Ok(format!("nothing was changed: version {from} is in force\n")),
            () if from == now => Ok(format!("nothing to do: version {from} is in force\n")),
            () => self.arrival(now).await,
        }
    }

    /// Waits until every gateway is on this version.
    async fn arrival(&self, version: u64) -> anyhow::Result<String> {
        let started = Instant::now();
        loop {
            let members: Vec<Member> = self.ask(Method::GET, "/api/gateways", String::new()).await?;
            let behind: Vec<_> = members.iter().filter(|m| m.gateway.plan.rooms_version != version).collect();
            if behind.is_empty() {
                return Ok(format!("version {version} is in force on {} gateway(s)\n", members.len()));
            }
            if started.elapsed() > ARRIVAL {
                let tell = |member: &&Member| {
                    let plan = &member.gateway.plan;
                    let why = plan.refused.as_ref().map(|refused| refused.why.join("; ")).unwrap_or_default();
                    format!("\n{} is on version {}: {why}", member.gateway.name, plan.rooms_version)
                };
                let who: String = behind.iter().map(tell).collect();
                bail!("version {version} is in force, but not on every gateway{who}");
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: String) -> anyhow::Result<T> {
        let (status, body) = self.send(method, path, body).await?;
        if status != StatusCode::OK {
            bail!(refusal(status, &body));
        }
        serde_json::from_slice(&body).context("the gateway's answer is not one of this version of Weir")
    }

    /// Posts an action on a room, made from version `from` if given.
    async fn do_with<T: DeserializeOwned>(&self, path: &str, body: String, from: Option<u64>) -> anyhow::Result<T> {
        let mut request = self.request(Method::POST, path).header(header::CONTENT_TYPE, "application/json");
        if let Some(from) = from {
            request = request.header(header::IF_MATCH, format!("\"{from}\""));
        }
        let (status, body) = self.sent(request, body).await?;
        if status != StatusCode::OK {
            bail!(refusal(status, &body));
        }
        serde_json::from_slice(&body).context("the gateway's answer is not one of this version of Weir")
    }

    async fn send(&self, method: Method, path: &str, body: String) -> anyhow::Result<(StatusCode, Bytes)> {
        self.sent(self.request(method, path), body).await
    }

    async fn sent(&self, request: Builder, body: String) -> anyhow::Result<(StatusCode, Bytes)> {
        let request = request.body(Full::new(Bytes::from(body)))?;
        let answer = timeout(PATIENCE, fetch(self.admin, request, LONGEST)).await;
        answer.context("no answer in time")?.with_context(|| format!("the admin listener at {}", self.admin))
    }

    fn request(&self, method: Method, path: &str) -> Builder {
        let request = Request::builder().method(method).uri(path).header(header::HOST, self.admin.to_string());
        match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }
}

/// How a change of all rooms is meant.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The version that it was made from.
    pub from: Option<u64>,
    /// Only a preview.
    pub dry_run: bool,
    /// Whether it may end what an operator has set by an action.
    pub undo: bool,
    /// Why, for those who read the audit.
    pub why: Option<String>,
}

impl Change {
    fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(from) = self.from {
            query.append_pair("from", &from.to_string());
        }
        if let Some(why) = &self.why {
            query.append_pair("why", why);
        }
        query.append_pair("dry_run", &self.dry_run.to_string()).append_pair("undo", &self.undo.to_string());
        query.finish()
    }
}

/// The error of a gateway.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => problem.told(),
        Err(_) => format!("{status}: {}", String::from_utf8_lossy(body).trim()),
    }
}

/// The difference, for people.
fn difference(changes: &[RoomChange]) -> String {
    let mut told = String::new();
    if changes.is_empty() {
        told += "no difference\n";
    }
    for RoomChange { room, what, keys, loses } in changes {
        let _ = writeln!(told, "room {room:?}: {}", what.name());
        for key in keys {
            let from = if *what == What::Changed { format!("{} -> ", shown(&key.from)) } else { String::new() };
            let _ = writeln!(told, "  {}: {from}{}", key.key, shown(&key.to));
        }
        if let Some(loss) = loses {
            let _ = writeln!(told, "  {loss}");
        }
    }
    told
}
