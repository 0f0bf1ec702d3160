//! `[[room.signal]]`: what tells how full the shop is.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use policy::cap::CapKind;
use policy::shield::orca;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_postgres::config::SslMode;
use toml_diagnostics::{Diagnostic, Document, between, default_is, join};

use super::check::{distinct, present_secrets};
use super::room::RoomConfig;
use super::units::secs;
use super::value::{AsText as _, FileName, Time};

/// What an ORCA report is asked for if nothing else was written.
const UTILIZATION: &str = "application_utilization";
/// Metrics of a PostgreSQL.
const SESSIONS: [&str; 2] = ["active", "waiting"];

/// A signal of how full the shop is: while it is above `full_at`, the room lets in fewer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["kind", "full_at"]))]
pub struct SignalConfig {
    /// Where it comes from: "orca", a header of the shop's answers; "prometheus", a query; "postgres", the sessions of a
    /// database; "latency", how long the shop takes to begin its answers to passes, at the 95th percentile.
    pub kind: SignalKind,
    /// Its name in metrics and in the room's status: a-z, 0-9 and "-".
    #[schemars(extend("format" = "name"), transform = default_is("its kind"))]
    pub name: String,
    /// The value at which the shop counts as full; of "latency" in seconds.
    #[schemars(range(min = 0.000_001, max = 1_000_000_000_000.0))]
    pub full_at: f64,
    /// Of "orca": `application_utilization`, the default, `cpu_utilization`, `mem_utilization` or `named_metrics.NAME`. Of
    /// "postgres": "active", the default, sessions of the database with work or an open transaction; "waiting", those that
    /// wait for a lock.
    #[schemars(extend("format" = "filled"))]
    pub metric: Option<String>,
    /// Of "prometheus": `http://host:port`. Of "postgres": `postgres://user@host/database`, or
    /// `postgres://user@/database?host=/run/postgresql` for a socket.
    #[schemars(extend("format" = "signal_url"))]
    pub url: Option<String>,
    /// Of "prometheus": a query whose answer is one number.
    #[schemars(extend("format" = "filled"))]
    pub query: Option<String>,
    /// Of "postgres": file with the password of the user.
    #[serde(with = "FileName")]
    pub password_file: Option<PathBuf>,
    /// Of "prometheus": file with the token that it asks for (`Authorization: Bearer`).
    #[serde(with = "FileName")]
    pub token_file: Option<PathBuf>,
    /// Of "prometheus" and "postgres": time between two questions.
    #[serde(with = "Time")]
    #[schemars(transform = between("500ms", "5s"))]
    pub interval: Duration,
}

impl Default for SignalConfig {
    fn default() -> Self {
        Self {
            kind: SignalKind::Orca,
            name: String::new(),
            full_at: 1.0,
            metric: None,
            url: None,
            query: None,
            password_file: None,
            token_file: None,
            interval: secs(2),
        }
    }
}

/// Where a signal comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignalKind {
    /// A header of the shop's answers.
    Orca,
    /// A query of a Prometheus.
    Prometheus,
    /// The sessions of a PostgreSQL.
    Postgres,
    /// How long the shop takes.
    Latency,
}

impl SignalKind {
    /// The kind of its caps.
    pub fn cap(self) -> CapKind {
        match self {
            Self::Orca => CapKind::Orca,
            Self::Prometheus => CapKind::Prometheus,
            Self::Postgres => CapKind::Postgres,
            Self::Latency => CapKind::Latency,
        }
    }

    /// As it is written.
    pub fn name(self) -> &'static str {
        self.cap().name()
    }

    /// Keys that only some kinds have, with whether this kind needs them.
    fn keys(self) -> &'static [(&'static str, bool)] {
        match self {
            Self::Orca => &[("metric", false)],
            Self::Prometheus => &[("url", true), ("query", true), ("token_file", false), ("interval", false)],
            Self::Postgres => &[("url", true), ("metric", false), ("password_file", false), ("interval", false)],
            Self::Latency => &[],
        }
    }
}

impl SignalConfig {
    /// The metric that is meant.
    pub fn metric(&self) -> &str {
        self.metric.as_deref().unwrap_or(if self.kind == SignalKind::Orca { UTILIZATION } else { SESSIONS[0] })
    }

    /// Fills in what follows from other keys where it was not written.
    pub(super) fn fill(&mut self) {
        if self.name.is_empty() {
            self.kind.name().clone_into(&mut self.name);
        }
    }

    /// Every file that it names.
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.password_file, &mut self.token_file].into_iter().flatten()
    }
}

/// An address of a Prometheus or a PostgreSQL. It may hold a password: it is never repeated.
pub(super) fn is_url(url: &str) -> Result<(), Diagnostic> {
    let postgres = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    if postgres { is_database(url) } else { is_prometheus(url) }
}

fn is_prometheus(url: &str) -> Result<(), Diagnostic> {
    let parts = url.parse::<Uri>().ok();
    let good = parts.as_ref().is_some_and(|url| {
        let host = url.authority().is_some_and(|host| !host.host().is_empty() && !host.as_str().contains('@'));
        url.scheme_str() == Some("http") && host && url.query().is_none()
    });
    let fix = "write \"http://host:port\" of a Prometheus, or \"postgres://user@host/database\"";
    good.then_some(()).ok_or_else(|| Diagnostic::new("is not an address that can be asked", fix))
}

fn is_database(url: &str) -> Result<(), Diagnostic> {
    let example = "\"postgres://user@host/database\", or \"postgres://user@/database?host=/run/postgresql\"";
    let database = url.parse::<tokio_postgres::Config>();
    let wrong = match &database {
        Err(_) => ("is not the address of a PostgreSQL", format!("write {example}")),
        Ok(database) if database.get_password().is_some() => {
            ("holds a password", "write it into a file, and name that in password_file".to_owned())
        }
        Ok(database) if database.get_hosts().is_empty() || database.get_user().is_none() => {
            ("does not say where the database is, or who Weir is there", format!("write {example}"))
        }
        Ok(database) if database.get_ssl_mode() == SslMode::Require => (
            "asks for TLS, which Weir does not speak with a database",
            "let both meet on one machine or network".to_owned(),
        ),
        Ok(_) => return Ok(()),
    };
    Err(Diagnostic::new(wrong.0, wrong.1))
}

/// Each signal has what its kind needs, and nothing else.
pub(super) fn check(room: &RoomConfig, at: &str, document: &mut Document<'_>) {
    let place = |index: usize| format!("{at}.signal.{index}");
    let names = room.signals.iter().enumerate().filter(|(_, signal)| !signal.name.is_empty());
    let names: Vec<_> = names.map(|(index, signal)| (join(&place(index), "name"), signal.name.as_str())).collect();
    distinct(document, names, "give each signal of the room its own name");
    for (index, signal) in room.signals.iter().enumerate() {
        let at = place(index);
        if document.is_sound(&join(&at, "kind")) {
            keys(signal, &at, document);
            metric(signal, &at, document);
            scheme(signal, &at, document);
        }
        let files = [("password_file", &signal.password_file), ("token_file", &signal.token_file)];
        let files = files.into_iter().filter_map(|(key, file)| Some((join(&at, key), file.as_ref()?)));
        present_secrets(files.collect(), document);
    }
}

fn keys(signal: &SignalConfig, at: &str, document: &mut Document<'_>) {
    let (kind, has) = (signal.kind.name(), signal.kind.keys());
    for key in ["metric", "url", "query", "password_file", "token_file", "interval"] {
        let place = join(at, key);
        let written = document.has(&place);
        match has.iter().find(|(own, _)| *own == key) {
            None if written => {
                let keys: Vec<&str> = ["full_at", "name"].into_iter().chain(has.iter().map(|(own, _)| *own)).collect();
                document.report(
                    &place,
                    format!("is no key of a signal of kind {kind:?}"),
                    format!("it has {}", keys.join(", ")),
                );
            }
            Some((_, true)) if !written && document.is_sound(&place) => {
                let fix = if key == "query" { "add one whose answer is one number" } else { "add where it is asked" };
                document.report(&place, format!("is missing: {kind:?} needs it"), fix);
            }
            _ => {}
        }
    }
}

fn metric(signal: &SignalConfig, at: &str, document: &mut Document<'_>) {
    let Some(metric) = &signal.metric else { return };
    let (good, fix) = match signal.kind {
        SignalKind::Orca => (
            orca::is_metric(metric),
            "write application_utilization, cpu_utilization, mem_utilization or named_metrics.NAME",
        ),
        SignalKind::Postgres => (SESSIONS.contains(&metric.as_str()), "write \"active\" or \"waiting\""),
        SignalKind::Prometheus | SignalKind::Latency => return,
    };
    if !good {
        document.report(&join(at, "metric"), format!("{metric:?} is no metric of {:?}", signal.kind.name()), fix);
    }
}

fn scheme(signal: &SignalConfig, at: &str, document: &mut Document<'_>) {
    let key = join(at, "url");
    let Some(url) = signal.url.as_ref().filter(|url| is_url(url).is_ok()) else { return };
    let (scheme, example) = match signal.kind {
        SignalKind::Prometheus => ("http", "\"http://host:port\""),
        SignalKind::Postgres => ("postgres", "\"postgres://user@host/database\""),
        SignalKind::Orca | SignalKind::Latency => return,
    };
    if !url.starts_with(scheme) {
        document.report(&key, format!("is not where a {:?} is", signal.kind.name()), format!("write {example}"));
    }
}
