//! Values that are written as text: how each is read, written and described. Fields of other people's types are told by
//! `#[serde(with = "Time")]` and the like which of these they are.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use http::uri::Authority;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::de::DeValue;
use toml_diagnostics::{Diagnostic, found};
use tracing::Level;

use super::units::{MILLISECONDS, of_text, pattern, shown};

/// A value that is written as text, or a list of such.
pub(super) trait Written: Sized {
    /// As it is written.
    type Text: Serialize + DeserializeOwned;

    fn read(text: Self::Text) -> Result<Self, Diagnostic>;

    fn write(&self) -> Self::Text;
}

impl<T: Written> Written for Option<T> {
    type Text = Option<T::Text>;

    fn read(text: Self::Text) -> Result<Self, Diagnostic> {
        text.map(T::read).transpose()
    }

    fn write(&self) -> Self::Text {
        self.as_ref().map(T::write)
    }
}

impl<T: Written> Written for Vec<T> {
    type Text = Vec<T::Text>;

    fn read(text: Self::Text) -> Result<Self, Diagnostic> {
        text.into_iter().map(T::read).collect()
    }

    fn write(&self) -> Self::Text {
        self.iter().map(T::write).collect()
    }
}

/// What stands in `#[serde(with = "..")]`, and describes what is written.
pub(super) trait AsText {
    fn serialize<T: Written, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        value.write().serialize(serializer)
    }

    fn deserialize<'de, T: Written, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        T::read(T::Text::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[derive(JsonSchema)]
#[schemars(with = "String", extend("format" = "span", "pattern" = pattern(MILLISECONDS)))]
pub(super) struct Time;

impl AsText for Time {}

impl Written for Duration {
    type Text = String;

    fn read(text: String) -> Result<Self, Diagnostic> {
        of_text(&text, "a duration", MILLISECONDS, "10s").map(Self::from_millis)
    }

    fn write(&self) -> String {
        shown(self.as_millis() as u64, MILLISECONDS)
    }
}

#[derive(JsonSchema)]
#[schemars(with = "String", extend("format" = "file", "minLength" = 1))]
pub(super) struct FileName;

impl AsText for FileName {}

impl Written for PathBuf {
    type Text = String;

    fn read(text: String) -> Result<Self, Diagnostic> {
        let empty = || Diagnostic::new("is empty", "write the name of a file, relative to this one");
        if text.is_empty() { Err(empty()) } else { Ok(text.into()) }
    }

    fn write(&self) -> String {
        self.to_string_lossy().into_owned()
    }
}

#[derive(JsonSchema)]
#[schemars(with = "String", extend("format" = "address"))]
pub(super) struct Address;

impl Written for SocketAddr {
    type Text = String;

    fn read(text: String) -> Result<Self, Diagnostic> {
        let fix = "write an address and a port, such as \"0.0.0.0:8080\" or \"[::1]:8080\"";
        text.parse().map_err(|_| Diagnostic::new(format!("{text:?} is not an address with a port"), fix))
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

#[derive(JsonSchema)]
#[schemars(with = "String", extend("format" = "network"))]
pub(super) struct Network;

impl AsText for Network {}

impl Written for IpNet {
    type Text = String;

    fn read(text: String) -> Result<Self, Diagnostic> {
        let single = |address: IpAddr| Self::from(address);
        let network = text.parse().or_else(|_| text.parse().map(single));
        let fix = "write an address or a network, such as \"10.0.0.0/8\"";
        network.map_err(|_| Diagnostic::new(format!("{text:?} is not a network"), fix))
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

/// `host:port`, with or without `http://` before it.
#[derive(JsonSchema)]
#[schemars(with = "String", extend("format" = "server"))]
pub(super) struct Server;

impl AsText for Server {}

impl Written for Authority {
    type Text = String;

    fn read(text: String) -> Result<Self, Diagnostic> {
        let what = || format!("{text:?} is not a server with a port");
        let server = with_port(text.strip_prefix("http://").unwrap_or(&text));
        server.ok_or_else(|| Diagnostic::new(what(), "write \"host:port\", such as \"127.0.0.1:9000\""))
    }

    fn write(&self) -> String {
        self.as_str().to_owned()
    }
}

#[derive(JsonSchema)]
#[schemars(with = "String", extend("enum" = ["error", "warn", "info", "debug", "trace"]))]
pub(super) struct LogLevel;

impl AsText for LogLevel {}

impl Written for Level {
    type Text = String;

    fn read(text: String) -> Result<Self, Diagnostic> {
        text.parse().map_err(|_| Diagnostic::new(format!("{text:?} is not a level"), ""))
    }

    fn write(&self) -> String {
        self.as_str().to_lowercase()
    }
}

/// Whether a value is text that can be read so. `kind` is what it is called in a message.
pub(super) fn check<T>(
    value: &DeValue<'_>,
    kind: &str,
    read: impl Fn(String) -> Result<T, Diagnostic>,
) -> Result<u64, Diagnostic> {
    let not_text = || Diagnostic::new(format!("{} is not {kind}", found(value)), "write it in quotes");
    read(value.as_str().ok_or_else(not_text)?.to_owned()).map(|_| 0)
}

/// Host and port, and nothing else.
pub(super) fn with_port(text: &str) -> Option<Authority> {
    let usable = |server: &Authority| {
        let port = server.port_u16().is_some_and(|port| port > 0);
        port && !server.host().is_empty() && !server.as_str().contains('@')
    };
    text.parse().ok().filter(usable)
}
