//! How Redis is reached: who Weir is to it, over TLS or not, and which ways exclude each other.
//!
//! A password never stands in a message. Out of scope: connecting (`crate::store::redis`).

use std::path::PathBuf;

use http::Uri;
use http::uri::Authority;

use super::check::{distinct, present, present_secrets};
use super::problem::Diagnostic;
use super::reader::{Reader, join};
use super::table::section;
use super::{StoreConfig, StoreKind};

section! {
    /// Who Weir is to a server.
    LoginConfig {
        /// User; without it the password alone is sent.
        username: Option<String> = must(is_filled).optional(),
        /// File with the password.
        password_file: Option<PathBuf> = optional(),
        /// Environment variable with the password, instead of a file.
        password_env: Option<String> = must(is_filled).optional(),
    }
}

section! {
    /// TLS to Redis and to its sentinels.
    StoreTlsConfig {
        /// Authorities that sign the servers' certificates, PEM; without it those of the system.
        ca_file: Option<PathBuf> = optional(),
        /// Certificate that Weir shows to the servers, PEM; needs `key`.
        certificate: Option<PathBuf> = optional(),
        /// Private key of that certificate, PEM.
        key: Option<PathBuf> = optional(),
    }
}

impl StoreConfig {
    /// Every file that the section names.
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let logins = [&mut self.login, &mut self.sentinel_login].into_iter().map(|login| &mut login.password_file);
        let tls = self.tls.iter_mut().flat_map(|tls| [&mut tls.ca_file, &mut tls.certificate, &mut tls.key]);
        [&mut self.path, &mut self.secret_file].into_iter().chain(logins.chain(tls).flatten())
    }
}

/// The address may hold a password: it is never repeated.
#[expect(clippy::ptr_arg, reason = "a rule sees the value as it was read")]
pub(super) fn is_url(url: &String) -> Result<(), Diagnostic> {
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

#[expect(clippy::ptr_arg, reason = "a rule sees the value as it was read")]
fn is_filled(text: &String) -> Result<(), Diagnostic> {
    if text.is_empty() { Err(Diagnostic::new("is empty", "write it, or remove the key")) } else { Ok(()) }
}

/// Exactly one way to Redis, with all that it needs; nothing is asked of a store of another kind.
pub(super) fn check(store: &StoreConfig, reader: &mut Reader<'_>) {
    if store.kind != StoreKind::Redis {
        return;
    }
    one_way(store, reader);
    sentinels(store, reader);
    login(&store.login, "store.login", reader);
    login(&store.sentinel_login, "store.sentinel_login", reader);
    encryption(store, reader);
}

fn one_way(store: &StoreConfig, reader: &mut Reader<'_>) {
    let ways = [
        ("url", store.url.is_some()),
        ("sentinels", !store.sentinels.is_empty()),
        ("cluster", !store.cluster.is_empty()),
    ];
    let sound = ways.iter().all(|(way, _)| reader.sound(&join("store", way)));
    let mut taken = ways.iter().filter(|(_, taken)| *taken).map(|(way, _)| *way);
    let Some(first) = taken.next() else {
        if sound {
            let fix = "add url, such as \"redis://127.0.0.1:6379\", or sentinels and master, or cluster";
            reader.report("store.kind", "\"redis\" needs the address of the server", fix);
        }
        return;
    };
    for other in taken {
        let what = format!("{first} is another way to Redis");
        reader.report(&join("store", other), what, "keep one of url, sentinels and cluster");
    }
    for (key, servers) in [("sentinels", &store.sentinels), ("cluster", &store.cluster)] {
        let places =
            servers.iter().enumerate().map(|(index, server)| (format!("store.{key}.{index}"), server.as_str()));
        distinct(reader, places, "list each server once");
    }
}

fn sentinels(store: &StoreConfig, reader: &mut Reader<'_>) {
    let there = !store.sentinels.is_empty();
    if there && store.master.is_none() && reader.sound("store.master") {
        let what = "sentinels are asked for a server by name, and none is written";
        reader.report("store.sentinels", what, "add master, such as \"mymaster\"");
    }
    for key in ["store.master", "store.sentinel_login"] {
        if !there && reader.has(key) && reader.sound("store.sentinels") {
            reader.report(key, "there are no sentinels", "add sentinels, or remove this");
        }
    }
    let login_in_url = store.url.as_ref().is_some_and(|url| url.contains('@'));
    if login_in_url && reader.has("store.login") {
        let what = "url holds a login as well";
        reader.report("store.login", what, "keep this one, and only host and port in url");
    }
}

fn login(login: &LoginConfig, at: &str, reader: &mut Reader<'_>) {
    let (file, variable) = (join(at, "password_file"), join(at, "password_env"));
    match (&login.password_file, &login.password_env) {
        (Some(_), Some(_)) => reader.report(&variable, "password_file is given as well", "keep one of the two"),
        (Some(path), None) => present_secrets(vec![(file, path)], reader),
        (None, Some(name)) if std::env::var_os(name).is_none_or(|value| value.is_empty()) => {
            reader.lacks_secret(&variable, format!("the environment has no {name}"), "set it, or name a file");
        }
        (None, None) if login.username.is_some() && reader.sound(at) => {
            reader.report(&join(at, "username"), "has no password", "add password_file or password_env");
        }
        _ => {}
    }
}

fn encryption(store: &StoreConfig, reader: &mut Reader<'_>) {
    let Some(tls) = &store.tls else { return };
    if store.url.as_ref().is_some_and(|url| url.starts_with("redis://")) {
        reader.report(
            "store.url",
            "speaks in clear, though there is store.tls",
            "write rediss://, or remove store.tls",
        );
    }
    tls_files("store.tls", [&tls.ca_file, &tls.certificate, &tls.key], reader);
}

/// Files of a section of TLS to servers: they are there, and certificate and key together.
pub(super) fn tls_files(at: &str, files: [&Option<PathBuf>; 3], reader: &mut Reader<'_>) {
    let [_, certificate, key] = files;
    let named = ["ca_file", "certificate", "key"].into_iter().zip(files);
    let named = named.filter_map(|(key, file)| Some((join(at, key), file.as_ref()?)));
    let (secret, open) = named.partition(|(name, _)| *name == join(at, "key"));
    present(open, reader);
    present_secrets(secret, reader);
    for (name, one, other) in [("certificate", certificate, key), ("key", key, certificate)] {
        if one.is_some() && other.is_none() && reader.sound(at) {
            let what = "certificate and key are only of use together";
            reader.report(&join(at, name), what, "add the other one");
        }
    }
}

/// Host and port of a server; the brackets of an IPv6 address are of its text alone.
pub(crate) fn host_and_port(server: &Authority) -> (String, u16) {
    let host = server.host().trim_matches(['[', ']']);
    (host.to_owned(), server.port_u16().unwrap_or_default())
}
