//! How Redis is reached: who Weir is to it, over TLS or not, and which ways exclude each other.
//!
//! A password never stands in a message. Out of scope: connecting (`crate::line::store::redis`).

use std::path::PathBuf;

use http::Uri;
use http::uri::Authority;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml_diagnostics::{Diagnostic, Document, join};

use super::check::{distinct, present, present_secrets};
use super::value::{AsText as _, FileName};
use super::{StoreConfig, StoreKind};

/// Who Weir is to a server.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LoginConfig {
    /// User; without it the password alone is sent.
    #[schemars(extend("format" = "filled"))]
    pub username: Option<String>,
    /// File with the password.
    #[serde(with = "FileName")]
    pub password_file: Option<PathBuf>,
    /// Environment variable with the password, instead of a file.
    #[schemars(extend("format" = "filled"))]
    pub password_env: Option<String>,
}

/// TLS to Redis and to its sentinels.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoreTlsConfig {
    /// Authorities that sign the servers' certificates, PEM; without it those of the system.
    #[serde(with = "FileName")]
    pub ca_file: Option<PathBuf>,
    /// Certificate that Weir shows to the servers, PEM; needs `key`.
    #[serde(with = "FileName")]
    pub certificate: Option<PathBuf>,
    /// Private key of that certificate, PEM.
    #[serde(with = "FileName")]
    pub key: Option<PathBuf>,
}

impl StoreConfig {
    /// Every file that the section names.
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let logins = [&mut self.login, &mut self.sentinel_login].into_iter().map(|login| &mut login.password_file);
        let tls = self.tls.iter_mut().flat_map(|tls| [&mut tls.ca_file, &mut tls.certificate, &mut tls.key]);
        [&mut self.path, &mut self.secret_file, &mut self.audit_file].into_iter().chain(logins.chain(tls).flatten())
    }
}

/// The address may hold a password: it is never repeated.
pub(super) fn is_url(url: &str) -> Result<(), Diagnostic> {
    let address = url.parse::<Uri>().ok();
    let scheme = address.as_ref().and_then(Uri::scheme_str).unwrap_or_default();
    let host = address.as_ref().and_then(Uri::host).unwrap_or_default();
    if !matches!(scheme, "redis" | "rediss") || host.is_empty() {
        let fix = "write \"redis://host:port\", or \"rediss://host:port\" for TLS";
        return Err(Diagnostic::new("is not the address of a Redis", fix));
    }
    let database = address.as_ref().map_or("", |address| address.path()).trim_start_matches('/');
    let query = address.as_ref().and_then(Uri::query).is_some();
    if query || url.contains('#') || !(database.is_empty() || database.parse::<u16>().is_ok()) {
        let fix = "write at most the number of a database after the port, such as \"redis://host:port/0\"";
        return Err(Diagnostic::new("has more in it than an address", fix));
    }
    Ok(())
}

pub(super) fn is_filled(text: &str) -> Result<(), Diagnostic> {
    if text.is_empty() { Err(Diagnostic::new("is empty", "write it, or remove the key")) } else { Ok(()) }
}

/// Exactly one way to Redis, with all that it needs; nothing is asked of a store of another kind.
pub(super) fn check(store: &StoreConfig, document: &mut Document<'_>) {
    if store.kind != StoreKind::Redis {
        return;
    }
    one_way(store, document);
    sentinels(store, document);
    login(&store.login, "store.login", document);
    login(&store.sentinel_login, "store.sentinel_login", document);
    encryption(store, document);
}

fn one_way(store: &StoreConfig, document: &mut Document<'_>) {
    let ways = [
        ("url", store.url.is_some()),
        ("sentinels", !store.sentinels.is_empty()),
        ("cluster", !store.cluster.is_empty()),
    ];
    let sound = ways.iter().all(|(way, _)| document.is_sound(&join("store", way)));
    let mut taken = ways.iter().filter(|(_, taken)| *taken).map(|(way, _)| *way);
    let Some(first) = taken.next() else {
        if sound {
            let fix = "add url, such as \"redis://127.0.0.1:6379\", or sentinels and master, or cluster";
            document.report("store.kind", "\"redis\" needs the address of the server", fix);
        }
        return;
    };
    for other in taken {
        let what = format!("{first} is another way to Redis");
        document.report(&join("store", other), what, "keep one of url, sentinels and cluster");
    }
    for (key, servers) in [("sentinels", &store.sentinels), ("cluster", &store.cluster)] {
        let places =
            servers.iter().enumerate().map(|(index, server)| (format!("store.{key}.{index}"), server.as_str()));
        distinct(document, places, "list each server once");
    }
}

fn sentinels(store: &StoreConfig, document: &mut Document<'_>) {
    let there = !store.sentinels.is_empty();
    if there && store.master.is_none() && document.is_sound("store.master") {
        let what = "sentinels are asked for a server by name, and none is written";
        document.report("store.sentinels", what, "add master, such as \"mymaster\"");
    }
    for key in ["store.master", "store.sentinel_login"] {
        if !there && document.has(key) && document.is_sound("store.sentinels") {
            document.report(key, "there are no sentinels", "add sentinels, or remove this");
        }
    }
    let login_in_url = store.url.as_ref().is_some_and(|url| url.contains('@'));
    if login_in_url && document.has("store.login") {
        let what = "url holds a login as well";
        document.report("store.login", what, "keep this one, and only host and port in url");
    }
}

fn login(login: &LoginConfig, at: &str, document: &mut Document<'_>) {
    let (file, variable) = (join(at, "password_file"), join(at, "password_env"));
    match (&login.password_file, &login.password_env) {
        (Some(_), Some(_)) => document.report(&variable, "password_file is given as well", "keep one of the two"),
        (Some(path), None) => present_secrets(vec![(file, path)], document),
        (None, Some(name)) if std::env::var_os(name).is_none_or(|value| value.is_empty()) => {
            document.report_local(&variable, format!("the environment has no {name}"), "set it, or name a file");
        }
        (None, None) if login.username.is_some() && document.is_sound(at) => {
            document.report(&join(at, "username"), "has no password", "add password_file or password_env");
        }
        _ => {}
    }
}

fn encryption(store: &StoreConfig, document: &mut Document<'_>) {
    let Some(tls) = &store.tls else { return };
    if store.url.as_ref().is_some_and(|url| url.starts_with("redis://")) {
        document.report(
            "store.url",
            "speaks in clear, though there is store.tls",
            "write rediss://, or remove store.tls",
        );
    }
    tls_files("store.tls", [&tls.ca_file, &tls.certificate, &tls.key], document);
}

/// Files of a section of TLS to servers: they are there, and certificate and key together.
pub(super) fn tls_files(at: &str, files: [&Option<PathBuf>; 3], document: &mut Document<'_>) {
    let [_, certificate, key] = files;
    let named = ["ca_file", "certificate", "key"].into_iter().zip(files);
    let named = named.filter_map(|(key, file)| Some((join(at, key), file.as_ref()?)));
    let (secret, open) = named.partition(|(name, _)| *name == join(at, "key"));
    present(open, document);
    present_secrets(secret, document);
    for (name, one, other) in [("certificate", certificate, key), ("key", key, certificate)] {
        if one.is_some() && other.is_none() && document.is_sound(at) {
            let what = "certificate and key are only of use together";
            document.report(&join(at, name), what, "add the other one");
        }
    }
}

/// Host and port of a server; the brackets of an IPv6 address are of its text alone.
pub(crate) fn host_and_port(server: &Authority) -> (String, u16) {
    let host = server.host().trim_matches(['[', ']']);
    (host.to_owned(), server.port_u16().unwrap_or_default())
}
