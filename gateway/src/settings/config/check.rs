//! What must hold between several keys of a file, and between the file and the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use policy::room::{QueueingMethod, VISITS};
use toml_diagnostics::{Document, join, nearest};

use super::admin;
use super::event;
use super::language;
use super::redis;
use super::room::{SameSite, Secure};
use super::route::{RouteConfig, Scope, bare, is_literal};
use super::signal;
use super::{Config, HttpVersion, RoomConfig, StoreKind, UpstreamConfig};
use super::{classes, opening, page};
use crate::settings::secret::VARIABLE;
use crate::settings::tls::client::{ClientTls, server_name};
use crate::ui::{LOGO_BYTES, Logo};

/// Checks a file whose values are as plain data in `config`.
pub(super) fn all(config: &Config, document: &mut Document<'_>) {
    addresses(config, document);
    proxy_protocol(config, document);
    admission(config, document);
    admin::check(config, document);
    files(config, document);
    redis::check(&config.store, document);
    shared_store(config, document);
    upstreams(config, document);
    classes::check(config, document);
    rooms(config, document);
}

/// Checks the rooms, and what they have in common with the rest.
pub(super) fn rooms(config: &Config, document: &mut Document<'_>) {
    references(config, document);
    names(config, document);
    scopes(config, document);
    let pages = config.rooms.iter().enumerate();
    let pages =
        pages.flat_map(|(index, room)| room.pages().map(move |(key, file)| (format!("room.{index}.{key}"), file)));
    present(pages.collect(), document);
    page::check(config, document);
    let logos = keyed("room", &config.rooms, "brand.logo", |room| room.brand.logo.as_ref());
    pictures(&logos, document);
    present(logos, document);
    for (index, room) in config.rooms.iter().enumerate() {
        let at = format!("room.{index}");
        contradictions(room, &at, document);
        cookie(room, &at, document);
        hidden_tls(config, room, &at, document);
        idle_limit(config, room, &at, document);
        answered(config, room, &at, document);
        signal::check(room, &at, document);
        event::check(room, &at, document);
        language::warn(room, &at, document);
    }
    opening::warn(config, document);
}

fn addresses(config: &Config, document: &mut Document<'_>) {
    let listen = &config.listen;
    let numbered = |key: &str, addresses: &[SocketAddr]| -> Vec<(String, SocketAddr)> {
        addresses.iter().enumerate().map(|(index, address)| (format!("listen.{key}.{index}"), *address)).collect()
    };
    let admin = vec![("listen.admin".to_owned(), listen.admin)];
    let all = [numbered("http", &listen.http), numbered("https", &listen.https), admin].concat();
    // The kernel chooses a new port for each 0.
    distinct(document, all.into_iter().filter(|(_, address)| address.port() != 0), "listen somewhere else");
    if listen.http.is_empty() && listen.https.is_empty() && document.is_sound("listen") {
        document.report("listen.http", "nobody can connect", "add an address to http or https");
    }
}

/// Addresses of proxies that say who their clients are before the first byte.
fn proxy_protocol(config: &Config, document: &mut Document<'_>) {
    let listen = &config.listen;
    if !["listen.http", "listen.https", "listen.trusted_proxies"].iter().all(|key| document.is_sound(key)) {
        return;
    }
    for (index, address) in listen.proxy_protocol.iter().enumerate() {
        if !listen.http.contains(address) && !listen.https.contains(address) {
            let what = format!("{address} is not listened on");
            document.report(
                &format!("listen.proxy_protocol.{index}"),
                what,
                "write it as in http or https, or add it there",
            );
        }
    }
    if !listen.proxy_protocol.is_empty() && listen.trusted_proxies.is_empty() {
        let what = "nobody's PROXY header is believed, so every connection would be closed";
        document.report("listen.proxy_protocol", what, "name the proxies in listen.trusted_proxies");
    }
}

/// Who may come in: shoppers over TLS, operators from outside.
fn admission(config: &Config, document: &mut Document<'_>) {
    let listen = &config.listen;
    if !listen.https.is_empty() && config.tls.is_empty() && document.is_sound("tls") {
        document.report("listen.https", "needs a certificate", "add [[tls]] with certificate and key");
    }
    if listen.https.is_empty() && !config.tls.is_empty() && document.is_sound("listen.https") {
        document.report("tls.0", "no address serves this certificate", "add listen.https");
    }
    if listen.redirect_to_https && listen.https.is_empty() {
        if listen.trusted_proxies.is_empty()
            && document.is_sound("listen.trusted_proxies")
            && document.is_sound("listen.https")
        {
            let fix = "add https, or name the proxies that end TLS in trusted_proxies, or remove this";
            document.report("listen.redirect_to_https", "nobody comes over TLS: browsers would go in a circle", fix);
        } else {
            let what = "Weir hears of TLS from listen.trusted_proxies alone: if they do not set X-Forwarded-Proto: https, browsers go in a circle";
            document.warn("listen.redirect_to_https", what, "let them set it");
        }
    }
    if listen.hsts_include_subdomains && listen.hsts.is_none() && document.is_sound("listen.hsts") {
        document.report(
            "listen.hsts_include_subdomains",
            "there is no hsts",
            "add hsts, such as \"365d\", or remove this",
        );
    }
    let open = !listen.admin.ip().is_loopback() && listen.admin_token_file.is_none();
    if open && document.is_sound("listen.admin_token_file") {
        let what = format!("{} can be reached from outside without a token", listen.admin);
        document.report("listen.admin", what, "add admin_token_file, or listen on 127.0.0.1");
    }
    let mut addresses = listen.http.iter().chain(&listen.https);
    if addresses.any(|address| !address.ip().is_loopback()) && !document.has("listen.trusted_proxies") {
        // An empty list that is written says that nothing stands in front.
        let what = "is absent: visitors are told apart by the address of their connection";
        let fix =
            "if a balancer or CDN stands in front, name it, or all its visitors are one client; if none does, write []";
        document.warn("listen.trusted_proxies", what, fix);
    }
}

fn files(config: &Config, document: &mut Document<'_>) {
    present(keyed("tls", &config.tls, "certificate", |tls| Some(&tls.certificate)), document);
    let token = config.listen.admin_token_file.iter().map(|file| ("listen.admin_token_file".to_owned(), file));
    present_secrets(
        keyed("tls", &config.tls, "key", |tls| Some(&tls.key)).into_iter().chain(token).collect(),
        document,
    );
    let store = [("store.secret_file", &config.store.secret_file), ("store.path", &config.store.path)];
    // A secret beside the store has no folder of its own.
    let folders: BTreeMap<&Path, &str> = store.iter().filter_map(|(at, file)| Some((file.parent()?, *at))).collect();
    for (folder, at) in folders {
        if folder != Path::new("") && !folder.is_dir() {
            document.report(at, format!("there is no folder {}", folder.display()), "make it, or name another");
        }
    }
    if config.store.path == config.store.secret_file {
        document.report("store.secret_file", "is the file of the store itself", "name two files");
    }
}

/// Why a name of a file is wrong.
const RELATIVE: &str = "names are relative to this file";

pub(super) fn present(files: Vec<(String, &PathBuf)>, document: &mut Document<'_>) {
    absent(files).for_each(|(at, what)| document.report(&at, what, RELATIVE));
}

pub(super) fn present_secrets(files: Vec<(String, &PathBuf)>, document: &mut Document<'_>) {
    absent(files).for_each(|(at, what)| document.report_local(&at, what, RELATIVE));
}

fn absent(files: Vec<(String, &PathBuf)>) -> impl Iterator<Item = (String, String)> {
    let absent = files.into_iter().filter(|(_, file)| **file != PathBuf::new() && !file.is_file());
    absent.map(|(at, file)| (at, format!("there is no file {}", file.display())))
}

/// A logo that can be read is a picture of bounded size.
fn pictures(files: &[(String, &PathBuf)], document: &mut Document<'_>) {
    for (at, file) in files {
        if let Ok(bytes) = read_at_most(file, LOGO_BYTES + 1)
            && let Err(wrong) = Logo::of(bytes)
        {
            document.report(at, format!("{} {wrong}", file.display()), "name a small picture: an SVG is best");
        }
    }
}

fn read_at_most(file: &Path, bytes: usize) -> std::io::Result<Vec<u8>> {
    let mut read = Vec::new();
    std::fs::File::open(file)?.take(bytes as u64).read_to_end(&mut read)?;
    Ok(read)
}

/// Several gateways may share this store: they must be told one secret.
fn shared_store(config: &Config, document: &mut Document<'_>) {
    let store = &config.store;
    if store.kind != StoreKind::Redis {
        return;
    }
    if !document.is_sound("store.secret_file") || std::env::var_os(VARIABLE).is_some() {
        return;
    }
    let fix =
        "make one file of 32 random bytes (openssl rand -hex 32) and give each gateway a copy, or set WEIR_SECRET";
    if !document.has("store.secret_file") {
        document.report_local("store.kind", "\"redis\" needs a secret_file that all gateways share", fix);
    } else if !store.secret_file.is_file() {
        let what =
            format!("there is no file {}; the secret that gateways share is not made", store.secret_file.display());
        document.report_local("store.secret_file", what, fix);
    }
}

fn upstreams(config: &Config, document: &mut Document<'_>) {
    if config.upstreams.is_empty() && document.is_sound("upstream") {
        document.report("", "there is nothing to forward to", "add [[upstream]] with name and servers");
    }
    if config.rooms.is_empty() && config.routes.is_empty() && document.is_sound("room") && document.is_sound("route") {
        let fix = "add [[room]] with name, host, upstream and new_users_per_minute, or [[route]]";
        document.report("", "there is nothing to protect", fix);
    }
    for (index, upstream) in config.upstreams.iter().enumerate() {
        let at = format!("upstream.{index}");
        let servers = upstream.servers.iter().map(|server| server.authority.as_str().to_lowercase()).enumerate();
        let servers = servers.map(|(index, server)| (format!("{at}.servers.{index}"), server));
        distinct(document, servers, "list each server once");
        upstream_tls(upstream, &at, document);
        if upstream.health.as_ref().is_some_and(|health| health.timeout > health.interval) {
            let what = "a check may take longer than the time until the next";
            document.report(&join(&at, "health.timeout"), what, "write at most the interval");
        }
    }
}

fn upstream_tls(upstream: &UpstreamConfig, at: &str, document: &mut Document<'_>) {
    let named = upstream.tls.as_ref().is_some_and(|tls| tls.server_name.is_some());
    for (index, server) in upstream.servers.iter().enumerate() {
        let host = server.authority.host();
        if server.tls && !named && server_name(host).is_none() {
            let fix = "write a domain or an address, or server_name in [upstream.tls]";
            document.report(&format!("{at}.servers.{index}"), format!("no certificate can be for {host:?}"), fix);
        }
    }
    let encrypted = upstream.servers.iter().any(|server| server.tls);
    if upstream.http_version == HttpVersion::Auto && !encrypted && document.is_sound(&join(at, "servers")) {
        let what = "no server is spoken to over TLS, so none can choose: HTTP/1.1 is spoken";
        let fix = "write \"2\" if they speak HTTP/2 in clear, or \"1.1\"";
        document.warn(&join(at, "http_version"), what, fix);
    }
    let Some(tls) = &upstream.tls else { return };
    let key = join(at, "tls");
    if !encrypted && document.is_sound(&join(at, "servers")) {
        document.warn(
            &key,
            "no server is spoken to over TLS",
            "write servers as \"https://host:port\", or remove this",
        );
    }
    redis::tls_files(&key, [&tls.ca_file, &tls.certificate, &tls.key], document);
    // A key that is not here was told of.
    let whole = tls.key.as_ref().is_none_or(|key| key.is_file());
    if encrypted
        && whole
        && document.is_sound(&key)
        && let Err(unusable) = ClientTls::load(&tls.files())
    {
        document.report(
            &key,
            unusable.to_string(),
            "name files of PEM: certificates, and a private key without a password",
        );
    }
}

/// Upstreams that routes and rooms refer to.
fn references(config: &Config, document: &mut Document<'_>) {
    let known: Vec<&str> = config.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    let routes = keyed("route", &config.routes, "upstream", |route| route.upstream.as_deref());
    let rooms = keyed("room", &config.rooms, "upstream", |room| room.upstream.as_deref());
    for (at, name) in routes.into_iter().chain(rooms) {
        if known.contains(&name) || !document.is_sound(&at) {
            continue;
        }
        let fix = match nearest(name, &known) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => format!("add [[upstream]] with name = {name:?}"),
        };
        document.report(&at, format!("there is no upstream {name:?}"), fix);
    }
    classes::without_an_upstream(config, document);
}

/// Names and cookies that only one may have.
fn names(config: &Config, document: &mut Document<'_>) {
    let upstreams = keyed("upstream", &config.upstreams, "name", |upstream| written(&upstream.name));
    distinct(document, upstreams, "give each upstream its own name");
    let rooms = keyed("room", &config.rooms, "name", |room| written(&room.name));
    distinct(document, rooms, "give each room its own name");

    // Rooms of one name have one line and one cookie by default: that was said just now.
    let mut seen = BTreeSet::new();
    let lines = config.rooms.iter().enumerate().filter(|(_, room)| seen.insert((&room.name, room.line())));
    let lines = lines.filter_map(|(index, room)| {
        let key = if room.previous_name.is_some() { "previous_name" } else { "name" };
        Some((format!("room.{index}.{key}"), written(room.line())?))
    });
    distinct(document, lines, "two rooms cannot stand for one line: give one of them another name");
    let mut seen = BTreeSet::new();
    let cookies = config.rooms.iter().map(|room| seen.insert((room.line(), &room.cookie_suffix)).then_some(room));
    let cookies: Vec<_> = cookies.collect();
    let cookies = keyed("room", &cookies, "cookie_suffix", |room| written(&room.as_ref()?.cookie_suffix));
    distinct(document, cookies, "two rooms with one cookie take each other's places: give each its own suffix");
}

/// Hosts and paths that only one may have.
fn scopes(config: &Config, document: &mut Document<'_>) {
    let routes = keyed("route", &config.routes, "path", |route| Some(route.scope().key()));
    distinct(document, routes, "keep one of these routes");
    let routes = keyed("route", &config.routes, "exact", |route| Some(route.scope()));
    for (at, scope) in routes {
        exact(&at, scope, document);
    }
    let places = |(index, room): (usize, &RoomConfig)| -> Vec<(String, String)> {
        let own = std::iter::once(format!("room.{index}.path"));
        let places = own.chain((0..).map(|more| format!("room.{index}.additional_routes.{more}")));
        places.zip(room.scopes().map(|scope| scope.key())).collect()
    };
    for (index, room) in config.rooms.iter().enumerate() {
        let own = std::iter::once(format!("room.{index}.exact"));
        let places = own.chain((0..).map(|more| format!("room.{index}.additional_routes.{more}.exact")));
        places.zip(room.scopes()).for_each(|(at, scope)| exact(&at, scope, document));
    }
    let rooms: Vec<_> =
        config.rooms.iter().enumerate().flat_map(places).filter(|(at, _)| document.is_sound(at)).collect();
    distinct(document, rooms, "protect each host and path by one room");
}

fn exact(at: &str, scope: Scope<'_>, document: &mut Document<'_>) {
    if scope.exact && scope.path.ends_with("/*") {
        let what = format!("{:?} stands for everything below it, exact = true for the path alone", scope.path);
        document.report(at, what, "remove one of the two");
    }
}

fn contradictions(room: &RoomConfig, at: &str, document: &mut Document<'_>) {
    let nobody = room.new_users_per_minute == 0 && document.has(&format!("{at}.new_users_per_minute"));
    if (room.queue_all || nobody) && room.queueing_method == QueueingMethod::Passthrough {
        let other = if room.queue_all { "queue_all" } else { "new_users_per_minute = 0" };
        let what = format!("\"passthrough\" lets everyone in, {other} lets nobody in");
        document.report(&format!("{at}.queueing_method"), what, "remove one of the two");
    }
    if let Some(most) = room.max_new_users_per_minute.filter(|most| room.new_users_per_minute > *most) {
        let what = format!("is more than max_new_users_per_minute, which is {most}");
        document.report(&format!("{at}.new_users_per_minute"), what, "lower one of the two, or raise the other");
    }
    if room.visits_per_minute.is_some_and(|visits| f64::from(visits) * VISITS > f64::from(room.new_users_per_minute)) {
        let fix = "four of five tokens are for shoppers; traffic of its own needs a path outside the room, or bypass";
        document.report(&format!("{at}.visits_per_minute"), "is more than a fifth of new_users_per_minute", fix);
    }
    if let (Some(burst), Some(seats)) = (room.burst, room.total_active_users)
        && u64::from(burst) > seats
    {
        let what = format!("is more than total_active_users: {seats} can be inside, so no more can come in at once");
        document.warn(&format!("{at}.burst"), what, format!("write at most {seats}, or more total_active_users"));
    }
    let folder = |paths: &[String]| paths.iter().find(|path| path.len() > 1 && path.ends_with('/')).cloned();
    for (key, paths) in [("bypass", &room.bypass), ("return_paths", &room.return_paths)] {
        if let Some(path) = folder(paths) {
            let what = format!("{path:?} stands for that path alone, not for what is below it");
            document.warn(&format!("{at}.{key}"), what, format!("write \"{path}*\" where all below it is meant"));
        }
    }
    if room.max_session.is_some_and(|longest| longest < room.session_duration) {
        let what = "is shorter than session_duration, for which every pass is given";
        document.report(&format!("{at}.max_session"), what, "write at least as much, or a shorter session_duration");
    }
    if room.max_wait.is_some() && room.max_in_flight.is_none() && document.is_sound(&format!("{at}.max_in_flight")) {
        let what = "is how long a request waits under the room's max_in_flight, and there is none";
        document.report(&format!("{at}.max_wait"), what, "add max_in_flight, or write max_wait at the upstream");
    }
    if room.poll.min > room.poll.max {
        document.report(&format!("{at}.poll.min"), "is longer than poll.max", "write a shorter min or a longer max");
    }
    let openings = [
        ("bypass", &room.bypass, "only paths of the room need a bypass"),
        ("return_paths", &room.return_paths, "to a path of no room people return as it is"),
    ];
    for (key, paths, fix) in openings {
        for (index, path) in paths.iter().enumerate().filter(|(_, path)| is_literal(path).is_ok()) {
            let opening = Scope { host: "*", path: bare(path), exact: !path.ends_with("/*") };
            if !room.scopes().any(|scope| scope.meets(&opening)) {
                document.report(&format!("{at}.{key}.{index}"), format!("{path:?} is not inside the room"), fix);
            }
        }
    }
}

/// People who come back from a payment show their pass only in a cookie with `SameSite=None`, and browsers keep that one
/// over TLS alone. Where Weir hears of no TLS it sets another.
fn hidden_tls(config: &Config, room: &RoomConfig, at: &str, document: &mut Document<'_>) {
    let cookie = &room.cookie_attributes;
    let by_itself = cookie.samesite == SameSite::Auto && cookie.secure == Secure::Auto;
    let key = format!("{at}.cookie_attributes");
    let said = ["samesite", "secure"].iter().any(|name| document.has(&join(&key, name)));
    if room.return_paths.is_empty() || !by_itself || said || !config.listen.https.is_empty() {
        return;
    }
    let fix = "write secure = \"always\" in the room's cookie_attributes, if all shoppers come over TLS; samesite = \"lax\", if none does";
    let what = if config.listen.trusted_proxies.is_empty() {
        "Weir hears of no TLS: the pass of a shopper who comes back by POST is not sent along. If a balancer in front ends TLS, \
         name it in listen.trusted_proxies and let it set X-Forwarded-Proto"
    } else {
        "Weir hears of TLS from listen.trusted_proxies alone: if they do not set X-Forwarded-Proto: https, the pass of a shopper \
         who comes back by POST is not sent along"
    };
    document.warn(&format!("{at}.return_paths"), what, fix);
}

/// A room's limit counts only below that of its upstream.
fn idle_limit(config: &Config, room: &RoomConfig, at: &str, document: &mut Document<'_>) {
    let Some(upstream) = config.upstreams.iter().find(|upstream| Some(&upstream.name) == room.upstream.as_ref()) else {
        return;
    };
    if room.max_in_flight.is_some_and(|limit| limit >= upstream.max_in_flight) {
        let what = format!(
            "the upstream takes {} requests at once, so the room never comes to its own limit",
            upstream.max_in_flight
        );
        let fix = "write less here, or more max_in_flight at the upstream: what is between the two is there for the rest of the shop";
        document.warn(&format!("{at}.max_in_flight"), what, fix);
    }
}

fn cookie(room: &RoomConfig, at: &str, document: &mut Document<'_>) {
    let cookie = &room.cookie_attributes;
    if cookie.samesite == SameSite::None && cookie.secure == Secure::Never {
        let what = "browsers drop a cookie with SameSite=None that is not secure";
        document.report(&format!("{at}.cookie_attributes.samesite"), what, "write secure = \"auto\" or \"always\"");
    }
    let Some(domain) = &cookie.domain else { return };
    let at = format!("{at}.cookie_attributes.domain");
    if !document.is_sound(&at) {
        return;
    }
    let covers = |host: &str| {
        let host = host.to_ascii_lowercase();
        let rest = host.strip_suffix(&domain.to_ascii_lowercase());
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let hosts = room.scopes().map(|scope| scope.host);
    if let Some(host) = hosts.into_iter().find(|host| !host.is_empty() && !covers(host)) {
        let what = format!("browsers of {host:?} drop a cookie for {domain:?}");
        document.report(&at, what, "write a domain that all hosts of the room end in");
    }
}

/// Each host and path of a room has one upstream: the room's, or that of a route.
fn answered(config: &Config, room: &RoomConfig, at: &str, document: &mut Document<'_>) {
    let parts = ["upstream", "host", "path", "additional_routes"];
    if !document.is_sound("route") || !parts.iter().all(|part| document.is_sound(&join(at, part))) {
        return;
    }
    for scope in room.scopes() {
        let another = |route: &RouteConfig, name: &str| {
            route.scope().key() == scope.key() && config.upstream_of(route).is_some_and(|upstream| upstream != name)
        };
        match &room.upstream {
            Some(name) if config.routes.iter().any(|route| another(route, name)) => {
                let what = format!("a route sends {} to another upstream", scope.key());
                document.report(&join(at, "upstream"), what, "keep the route or this key");
            }
            None if !config.routes.iter().any(|route| route.scope().meets(&scope)) => {
                let what = format!("nobody answers for {}", scope.key());
                document.report(at, what, "add upstream to the room, or a [[route]] for the same host and path");
            }
            _ => {}
        }
    }
}

/// A value of each item of a list of tables, with its path.
fn keyed<'c, T, V>(section: &str, items: &'c [T], key: &str, value: impl Fn(&'c T) -> Option<V>) -> Vec<(String, V)> {
    let place = |(index, item)| Some((format!("{section}.{index}.{key}"), value(item)?));
    items.iter().enumerate().filter_map(place).collect()
}

/// Complains about every item that came before.
pub(super) fn distinct<K: Ord + Display>(
    document: &mut Document<'_>,
    items: impl IntoIterator<Item = (String, K)>,
    fix: &str,
) {
    let mut seen: BTreeMap<K, String> = BTreeMap::new();
    for (at, key) in items {
        if let Some(first) = seen.get(&key) {
            let line = document.line(first);
            document.report(&at, format!("{key} is already taken on line {line}"), fix);
        } else {
            seen.insert(key, at);
        }
    }
}

/// A text that could be read.
fn written(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
