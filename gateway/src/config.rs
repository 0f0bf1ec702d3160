//! The configuration file: what was written, and what it means.
//!
//! A file is valid as a whole or not at all. [`Config::load`] reports every problem at once, each with
//! its line, and a [`Config`] holds plain data: units resolved, defaults filled in, names checked, files found.
//!
//! Each key is declared once, in a section of its own file ([`brand`], [`listen`], [`node`], [`redis`], [`upstream`], [`route`],
//! [`room`], [`rooms`]); `table` reads from that declaration and publishes it as [`schema`]; `check` holds what
//! spans several keys. What can be used but should be known is a warning ([`Config::warnings`]): `weir check` tells
//! it, the log tells it when the configuration comes in force. What is absent: the compiled form that requests look at, and reloading.

pub mod brand;
pub mod changes;
mod check;
pub mod listen;
pub mod node;
mod opening;
mod page;
mod problem;
mod reader;
pub mod redis;
pub mod room;
pub mod rooms;
pub mod route;
mod table;
mod units;
pub mod upstream;
mod value;

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use toml::de::DeTable;

pub use brand::{BrandConfig, BrandTextConfig};
pub use listen::{ListenConfig, TlsConfig};
pub use node::{LogClient, LogConfig, LogFormat, MetricsConfig, NodeConfig, QuotaConfig, StoreConfig, StoreKind};
pub use problem::Problem;
pub(crate) use redis::host_and_port;
pub use redis::{LoginConfig, StoreTlsConfig};
pub use room::{CookieConfig, OriginCommand, PollConfig, RoomConfig, SameSite, Secure};
pub use rooms::{KeyChange, Loss, RoomChange, What, difference, kept, losses, shown};
pub use route::{RouteConfig, Scope, ScopeConfig};
pub use units::Size;
pub use upstream::{HealthConfig, HttpVersion, ShopServer, UpstreamConfig, UpstreamTlsConfig};

use problem::{Wrong, position};
use reader::{Reader, Secrets};
pub(crate) use table::nearest;
use table::{Section, Value as _, section};

/// A text with more mistakes of syntax is not TOML at all.
const SYNTAX_ERRORS: usize = 100;

section! {
    /// A whole configuration file.
    Config {
        /// Where connections arrive.
        listen: ListenConfig = or_blank(),
        /// Certificates for `listen.https`.
        tls: Vec<TlsConfig> = or(Vec::new()),
        /// This gateway among others.
        node: NodeConfig = or_blank(),
        /// Where places in a line are kept.
        store: StoreConfig = or_blank(),
        /// What one client may ask.
        quota: QuotaConfig = or_blank(),
        /// What is written: events to standard error, access lines to standard output.
        log: LogConfig = or_blank(),
        /// What `/metrics` tells.
        metrics: MetricsConfig = or_blank(),
        /// The shop's servers.
        upstreams "upstream": Vec<UpstreamConfig> = or(Vec::new()),
        /// Which upstream answers which hosts and paths.
        routes "route": Vec<RouteConfig> = or(Vec::new()),
        /// The rules that protect hosts and paths.
        rooms "room": Vec<RoomConfig> = or(Vec::new()),
    }
    beside {
        /// What an operator should know: the file can be used, but perhaps not as it was meant.
        warnings: Vec<Problem>,
    }
}

impl Config {
    /// Reads a configuration file.
    pub fn load(file: &Path) -> Result<Self, Vec<Problem>> {
        Self::load_with(file, Secrets::Here)
    }

    /// The same on a machine that serves nobody with it: what is secret need not be here, and is a warning where it is not.
    pub fn review(file: &Path) -> Result<Self, Vec<Problem>> {
        Self::load_with(file, Secrets::Elsewhere)
    }

    fn load_with(file: &Path, secrets: Secrets) -> Result<Self, Vec<Problem>> {
        let bytes = std::fs::read(file).map_err(|error| {
            unreadable(file, &[], 0, Wrong::new(format!("cannot be read: {error}"), "name a file that can be read"))
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            unreadable(file, &bytes, error.valid_up_to(), Wrong::new("is not UTF-8 here", "save the file as UTF-8"))
        })?;
        Self::read_with(text, file, secrets)
    }

    /// Reads the text of a configuration file. The files that it names are looked for beside `file`.
    pub fn read(text: &str, file: &Path) -> Result<Self, Vec<Problem>> {
        Self::read_with(text, file, Secrets::Here)
    }

    fn read_with(text: &str, file: &Path, secrets: Secrets) -> Result<Self, Vec<Problem>> {
        let (mut config, mut reader) = parse_with::<Self>(text, file.display().to_string(), secrets);
        config.resolve(file.parent().unwrap_or(Path::new("")));
        if !reader.broken {
            check::all(&config, &mut reader);
        }
        config.warnings = reader.finish()?;
        Ok(config)
    }

    /// Writes the warnings into the log.
    pub fn log_warnings(&self) {
        for warning in &self.warnings {
            tracing::warn!(%warning, "configuration");
        }
    }

    /// Makes the names of files independent of the working directory, and gives each path one spelling.
    fn resolve(&mut self, folder: &Path) {
        let tls = self.tls.iter_mut().flat_map(|tls| [&mut tls.certificate, &mut tls.key]);
        let shop = self.upstreams.iter_mut().filter_map(|upstream| upstream.tls.as_mut());
        let shop = shop.flat_map(|tls| [&mut tls.ca_file, &mut tls.certificate, &mut tls.key]).flatten();
        beside(folder, self.store.files().chain(&mut self.listen.admin_token_file).chain(tls).chain(shop));
        self.routes.iter_mut().for_each(|route| route::tidy(&mut route.path, route.exact));
        rooms::resolve(&mut self.rooms, folder);
    }
}

/// Reads a section from a whole text, with everything that is wrong so far.
fn parse<S: Section>(text: &str, name: String) -> (S, Reader<'_>) {
    parse_with(text, name, Secrets::Here)
}

fn parse_with<S: Section>(text: &str, name: String, secrets: Secrets) -> (S, Reader<'_>) {
    let (entries, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader::new(name, text, secrets);
    for error in errors.iter().take(SYNTAX_ERRORS) {
        reader.syntax(error);
    }
    (table::read(entries.get_ref(), &mut reader), reader)
}

/// Makes names of files independent of the working directory. An empty one stands for one that could not be read.
fn beside<'n>(folder: &Path, names: impl Iterator<Item = &'n mut PathBuf>) {
    for name in names.filter(|name| **name != PathBuf::new()) {
        *name = folder.join(&*name);
    }
}

/// JSON schema of the file, for editors and for `weir schema`.
pub fn schema() -> Json {
    let mut schema = Config::schema();
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Weir configuration");
    schema
}

fn unreadable(file: &Path, bytes: &[u8], offset: usize, wrong: Wrong) -> Vec<Problem> {
    let (line, column) = position(bytes, offset);
    let Wrong { what, fix } = wrong;
    vec![Problem { file: file.display().to_string(), line, column, key: String::new(), what, fix }]
}
