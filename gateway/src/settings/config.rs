//! The configuration file: what was written, and what it means.
//!
//! A file is valid as a whole or not at all. [`Config::load`] reports every problem at once, each with
//! its line, and a [`Config`] holds plain data: units resolved, defaults filled in, names checked, files found.
//!
//! Each key is a field, with its documentation and what it may hold, in the section of its own file ([`admin`], [`brand`], [`listen`],
//! [`node`], [`redis`], [`upstream`], [`route`], [`room`], [`signal`], [`rooms`]). Files are held against the [`schema()`] that
//! these types give ([`toml_diagnostics`]), and `check` holds what spans several keys. What can be used but should be known
//! is a warning ([`Config::warnings`]): `weir check` tells it, the log tells it when the configuration comes in force.
//!
//! Out of scope: the compiled form that requests look at, and reloading.

pub mod admin;
pub mod brand;
pub mod changes;
mod check;
mod classes;
pub mod event;
mod language;
pub mod listen;
mod localized;
pub mod node;
mod opening;
mod page;
pub mod redis;
pub mod room;
pub mod rooms;
pub mod route;
mod schema;
pub mod signal;
mod units;
pub mod upstream;
mod value;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
pub use toml_diagnostics::Diagnostic;
use toml_diagnostics::{Document, position};

pub use admin::{AdminConfig, AdminTlsConfig};
pub use brand::{BrandConfig, FactsConfig};
pub use event::EventConfig;
pub use language::TemplateLanguage;
pub use listen::{ListenConfig, TlsConfig};
pub use localized::LocalizedText;
pub use node::{LogClient, LogConfig, LogFormat, MetricsConfig, NodeConfig, QuotaConfig, StoreConfig, StoreKind};
pub(crate) use redis::host_and_port;
pub use redis::{LoginConfig, StoreTlsConfig};
pub use room::{CookieConfig, OriginCommand, PollConfig, RoomConfig, SameSite, Secure};
pub use rooms::{
    KeyChange, Loss, NewRoom, NotEdited, RoomChange, What, difference, edited, kept, losses, review_rooms, rooms_alone,
    shown, with_event, with_room, with_start,
};
pub use route::{RouteClass, RouteConfig, Scope, ScopeConfig};
pub use signal::{SignalConfig, SignalKind};
pub use units::Size;
pub use upstream::{HealthConfig, HttpVersion, ShopServer, UpstreamConfig, UpstreamTlsConfig};

/// A whole configuration file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where connections arrive.
    pub listen: ListenConfig,
    /// The operator's listener, beside its address and tokens.
    pub admin: AdminConfig,
    /// Certificates for `listen.https`.
    pub tls: Vec<TlsConfig>,
    /// This gateway among others.
    pub node: NodeConfig,
    /// Where places in a line are kept.
    pub store: StoreConfig,
    /// What one client may ask.
    pub quota: QuotaConfig,
    /// What is written: events to standard error, access lines to standard output.
    pub log: LogConfig,
    /// What `/metrics` tells.
    pub metrics: MetricsConfig,
    /// The shop's servers.
    #[serde(rename = "upstream")]
    pub upstreams: Vec<UpstreamConfig>,
    /// Which upstream answers which hosts and paths.
    #[serde(rename = "route")]
    pub routes: Vec<RouteConfig>,
    /// The rules that protect hosts and paths.
    #[serde(rename = "room")]
    pub rooms: Vec<RoomConfig>,
    /// What an operator should know: the file can be used, but perhaps not as it was meant.
    #[serde(skip)]
    pub warnings: Vec<Diagnostic>,
}

impl Config {
    /// Reads a configuration file.
    pub fn load(file: &Path) -> Result<Self, Vec<Diagnostic>> {
        Self::read_with(&text_of(file)?, file, Document::finish)
    }

    /// The same on a machine that does not serve with it: what is secret need not be here, and is a warning where it is not.
    pub fn review(file: &Path) -> Result<Self, Vec<Diagnostic>> {
        Self::read_with(&text_of(file)?, file, Document::review)
    }

    /// Reads the text of a configuration file. The files that it names are looked for beside `file`.
    pub fn read(text: &str, file: &Path) -> Result<Self, Vec<Diagnostic>> {
        Self::read_with(text, file, Document::finish)
    }

    fn read_with<'t>(
        text: &'t str,
        file: &Path,
        judge: impl FnOnce(Document<'t>) -> Result<Vec<Diagnostic>, Vec<Diagnostic>>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let (mut config, mut document) = parse::<Self>(text, &file.display().to_string(), &schema::CONFIG);
        config.resolve(file.parent().unwrap_or(Path::new("")));
        if !document.is_broken() {
            check::all(&config, &mut document);
        }
        config.warnings = judge(document)?;
        Ok(config)
    }

    /// The upstream that answers a route: its own, that of the room around it, or the only one.
    pub fn upstream_of<'c>(&'c self, route: &'c RouteConfig) -> Option<&'c str> {
        let around = self.rooms.iter().flat_map(|room| room.scopes().map(|scope| (scope, room.upstream.as_deref())));
        let around = around.filter(|(scope, upstream)| upstream.is_some() && scope.holds(&route.scope()));
        let of_room = || around.max_by_key(|(scope, _)| scope.path.len()).and_then(|(_, upstream)| upstream);
        let only = || self.upstreams.first().filter(|_| self.upstreams.len() == 1).map(|only| only.name.as_str());
        route.upstream.as_deref().or_else(of_room).or_else(only)
    }

    /// The routes with a class on which holders of passes of this room may be.
    pub fn classes_of<'c>(&'c self, room: &'c RoomConfig) -> impl Iterator<Item = &'c RouteConfig> {
        let meets = |route: &&RouteConfig| room.scopes().any(|scope| scope.meets(&route.scope()));
        self.routes.iter().filter(|route| route.class.is_some()).filter(meets)
    }

    /// Writes the warnings into the log.
    pub fn log_warnings(&self) {
        for warning in &self.warnings {
            tracing::warn!(%warning, "configuration");
        }
    }

    /// Fills in what follows from other keys, makes the names of files independent of the working directory, and gives each
    /// path one spelling.
    fn resolve(&mut self, folder: &Path) {
        if self.store.secret_file == PathBuf::new() {
            self.store.secret_file = self.store.path.with_extension("secret");
        }
        if self.store.audit_file == PathBuf::new() {
            self.store.audit_file = self.store.path.with_extension("audit");
        }
        let tls = self.tls.iter_mut().flat_map(|tls| [&mut tls.certificate, &mut tls.key]);
        let shop = self.upstreams.iter_mut().filter_map(|upstream| upstream.tls.as_mut());
        let shop = shop.flat_map(|tls| [&mut tls.ca_file, &mut tls.certificate, &mut tls.key]).flatten();
        beside(
            folder,
            self.store
                .files()
                .chain(&mut self.listen.admin_token_file)
                .chain(&mut self.listen.admin_operators_file)
                .chain(self.admin.tls.iter_mut().flat_map(AdminTlsConfig::files))
                .chain(tls)
                .chain(shop),
        );
        self.routes.iter_mut().for_each(|route| route::tidy(&mut route.path, route.exact));
        rooms::resolve(&mut self.rooms, folder);
    }
}

fn text_of(file: &Path) -> Result<String, Vec<Diagnostic>> {
    let bytes = std::fs::read(file).map_err(|error| {
        let wrong = Diagnostic::new(format!("cannot be read: {error}"), "name a file that can be read");
        unreadable(file, &[], 0, wrong)
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let wrong = Diagnostic::new("is not UTF-8 here", "save the file as UTF-8");
        unreadable(file, error.as_bytes(), error.utf8_error().valid_up_to(), wrong)
    })
}

/// What a text says, with everything that is wrong so far.
fn parse<'t, T: DeserializeOwned + Default>(text: &'t str, name: &str, schema: &Json) -> (T, Document<'t>) {
    let (read, document) = toml_diagnostics::read::<T>(text, name, schema, schema::FORMATS);
    (read.unwrap_or_default(), document)
}

/// Makes names of files independent of the working directory. An empty one stands for one that could not be read.
fn beside<'n>(folder: &Path, names: impl Iterator<Item = &'n mut PathBuf>) {
    for name in names.filter(|name| **name != PathBuf::new()) {
        *name = folder.join(&*name);
    }
}

/// JSON schema of the file, for editors and for `weir schema`.
pub fn schema() -> Json {
    schema::published()
}

fn unreadable(file: &Path, bytes: &[u8], offset: usize, wrong: Diagnostic) -> Vec<Diagnostic> {
    vec![Diagnostic { file: file.display().to_string(), position: Some(position(bytes, offset)), ..wrong }]
}
