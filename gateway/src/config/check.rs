//! What must hold between several keys of a file, and between the file and the disk.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use policy::room::QueueingMethod;

use super::reader::Reader;
use super::room::{SameSite, Secure};
use super::route::meet;
use super::{Config, RoomConfig};

/// Checks a file whose values are as plain data in `config`.
pub(super) fn all(config: &Config, reader: &mut Reader<'_>) {
    listeners(config, reader);
    files(config, reader);
    upstreams(config, reader);
    references(config, reader);
    names(config, reader);
    for (index, room) in config.rooms.iter().enumerate() {
        let at = format!("room.{index}");
        contradictions(room, &at, reader);
        cookie(room, &at, reader);
        somebody(config, room, &at, reader);
    }
}

fn listeners(config: &Config, reader: &mut Reader<'_>) {
    let listen = &config.listen;
    let listed = |key: &'static str, addresses: &[std::net::SocketAddr]| -> Vec<_> {
        let one = |(index, address): (usize, &std::net::SocketAddr)| (format!("listen.{key}.{index}"), *address);
        addresses.iter().enumerate().map(one).collect()
    };
    let admin = vec![("listen.admin".to_owned(), listen.admin)];
    let addresses = [listed("http", &listen.http), listed("https", &listen.https), admin].concat();
    // The kernel chooses a new port for each 0.
    distinct(reader, addresses.into_iter().filter(|(_, address)| address.port() != 0), "listen somewhere else");
    if listen.http.is_empty() && listen.https.is_empty() && reader.sound("listen") {
        reader.complain("listen.http", "nobody can connect", "add an address to http or https");
    }
    if !listen.https.is_empty() && config.tls.is_empty() && reader.sound("tls") {
        reader.complain("listen.https", "needs a certificate", "add [[tls]] with certificate and key");
    }
    if listen.https.is_empty() && !config.tls.is_empty() && reader.sound("listen.https") {
        reader.complain("tls.0", "no address serves this certificate", "add listen.https");
    }
    if !listen.admin.ip().is_loopback() && listen.admin_token_file.is_none() && reader.sound("listen.admin_token_file")
    {
        let what = format!("{} can be reached from outside without a token", listen.admin);
        reader.complain("listen.admin", what, "add admin_token_file, or listen on 127.0.0.1");
    }
}

fn files(config: &Config, reader: &mut Reader<'_>) {
    let tls = config.tls.iter().enumerate();
    let tls = tls
        .flat_map(|(i, tls)| [(format!("tls.{i}.certificate"), &tls.certificate), (format!("tls.{i}.key"), &tls.key)]);
    let rooms = config.rooms.iter().enumerate();
    let pages =
        rooms.filter_map(|(i, room)| Some((format!("room.{i}.custom_page_html"), room.custom_page_html.as_ref()?)));
    let token = config.listen.admin_token_file.iter().map(|file| ("listen.admin_token_file".to_owned(), file));
    for (at, file) in tls.chain(pages).chain(token).filter(|(_, file)| **file != PathBuf::new()) {
        if !file.is_file() {
            reader.complain(&at, format!("there is no file {}", file.display()), "names are relative to this file");
        }
    }
    for (at, file) in [("store.path", &config.store.path), ("store.secret_file", &config.store.secret_file)] {
        let folder = file.parent().filter(|folder| *folder != Path::new(""));
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            reader.complain(at, format!("there is no folder {}", folder.display()), "make it, or name another");
        }
    }
}

fn upstreams(config: &Config, reader: &mut Reader<'_>) {
    if config.upstreams.is_empty() && reader.sound("upstream") {
        reader.complain("", "there is nothing to forward to", "add [[upstream]] with name and servers");
    }
    if config.rooms.is_empty() && config.routes.is_empty() && reader.sound("room") && reader.sound("route") {
        reader.complain(
            "",
            "there is nothing to protect",
            "add [[room]] with name, host, upstream and new_users_per_minute",
        );
    }
    for (index, upstream) in config.upstreams.iter().enumerate() {
        let servers = upstream.servers.iter().enumerate();
        let servers =
            servers.map(|(i, server)| (format!("upstream.{index}.servers.{i}"), server.as_str().to_lowercase()));
        distinct(reader, servers, "list each server once");
        if let Some(health) = upstream.health.as_ref().filter(|health| health.timeout > health.interval) {
            let what =
                format!("a check may take {:?}, longer than the {:?} until the next", health.timeout, health.interval);
            reader.complain(&format!("upstream.{index}.health.timeout"), what, "write at most the interval");
        }
    }
}

/// Upstreams are named by routes and rooms.
fn references(config: &Config, reader: &mut Reader<'_>) {
    let known: Vec<&str> = config.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    let routes = config.routes.iter().enumerate();
    let routes = routes.map(|(i, route)| (format!("route.{i}.upstream"), route.upstream.as_str()));
    let rooms = config.rooms.iter().enumerate();
    let rooms = rooms.filter_map(|(i, room)| Some((format!("room.{i}.upstream"), room.upstream.as_deref()?)));
    for (at, name) in routes.chain(rooms) {
        if known.contains(&name) || !reader.sound(&at) {
            continue;
        }
        let fix = match super::table::nearest(name, &known) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => format!("add [[upstream]] with name = {name:?}"),
        };
        reader.complain(&at, format!("there is no upstream {name:?}"), fix);
    }
}

/// What may exist only once in the file.
fn names(config: &Config, reader: &mut Reader<'_>) {
    let upstreams = config.upstreams.iter().enumerate();
    let upstreams = upstreams.map(|(i, upstream)| (format!("upstream.{i}.name"), upstream.name.as_str()));
    distinct(reader, upstreams.filter(|(_, name)| !name.is_empty()), "give each upstream its own name");

    let rooms = || config.rooms.iter().enumerate().filter(|(_, room)| !room.name.is_empty());
    let named = rooms().map(|(i, room)| (format!("room.{i}.name"), room.name.as_str()));
    distinct(reader, named, "give each room its own name");
    // Rooms of one name share their suffix by default: said once is enough.
    let own: BTreeMap<(&str, &str), usize> =
        rooms().rev().map(|(i, room)| ((room.name.as_str(), room.cookie_suffix.as_str()), i)).collect();
    let mut suffixes: Vec<(String, &str)> =
        own.into_iter().map(|((_, suffix), i)| (format!("room.{i}.cookie_suffix"), suffix)).collect();
    suffixes.sort_by_key(|(at, _)| reader.line(at));
    distinct(reader, suffixes, "two rooms with one cookie take each other's places: give each its own suffix");

    let routes = config.routes.iter().enumerate();
    let routes = routes.map(|(i, route)| (format!("route.{i}.path"), scope((&route.host, &route.path))));
    distinct(reader, routes, "keep one of these routes");
    let scopes = config.rooms.iter().enumerate().flat_map(|(index, room)| {
        let place = move |more: usize| {
            if more == 0 {
                format!("room.{index}.path")
            } else {
                format!("room.{index}.additional_routes.{}", more - 1)
            }
        };
        room.scopes()
            .enumerate()
            .filter(|(_, (host, _))| !host.is_empty())
            .map(move |(more, it)| (place(more), scope(it)))
    });
    distinct(reader, scopes, "protect each host and path by one room");
}

fn contradictions(room: &RoomConfig, at: &str, reader: &mut Reader<'_>) {
    if room.queue_all && room.queueing_method == QueueingMethod::Passthrough {
        let what = "\"passthrough\" lets everyone in, queue_all lets nobody in";
        reader.complain(&format!("{at}.queueing_method"), what, "remove one of the two");
    }
    if room.poll.min > room.poll.max {
        reader.complain(&format!("{at}.poll.min"), "is longer than poll.max", "write a shorter min or a longer max");
    }
    for path in &room.bypass {
        if !room.scopes().any(|(host, inside)| meet((host, inside), (host, path))) {
            let what = format!("{path:?} is not inside the room");
            reader.complain(&format!("{at}.bypass"), what, "only paths of the room need a bypass");
        }
    }
}

fn cookie(room: &RoomConfig, at: &str, reader: &mut Reader<'_>) {
    let cookie = &room.cookie_attributes;
    if cookie.samesite == SameSite::None && cookie.secure == Secure::Never {
        let what = "browsers drop a cookie with SameSite=None that is not secure";
        reader.complain(&format!("{at}.cookie_attributes.samesite"), what, "write secure = \"auto\" or \"always\"");
    }
    let Some(domain) = &cookie.domain else { return };
    let at = format!("{at}.cookie_attributes.domain");
    let covers = |host: &str| {
        let host = host.to_ascii_lowercase();
        let rest = host.strip_suffix(&domain.to_ascii_lowercase());
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if let Some((host, _)) = room.scopes().find(|(host, _)| !host.is_empty() && !covers(host)) {
        let what = format!("browsers of {host:?} drop a cookie for {domain:?}");
        reader.complain(&at, what, "write a domain that all hosts of the room end in");
    }
}

/// A room that nobody answers for.
fn somebody(config: &Config, room: &RoomConfig, at: &str, reader: &mut Reader<'_>) {
    if room.upstream.is_some() || !reader.sound(&format!("{at}.upstream")) || !reader.sound("route") {
        return;
    }
    for (host, path) in room.scopes().filter(|(host, _)| !host.is_empty()) {
        if !config.routes.iter().any(|route| meet((&route.host, &route.path), (host, path))) {
            let what = format!("nobody answers for {}", scope((host, path)));
            reader.complain(at, what, "add upstream to the room, or a [[route]] for the same host and path");
        }
    }
}

/// Complains about every item that came before.
fn distinct<K: Ord + Display>(reader: &mut Reader<'_>, items: impl IntoIterator<Item = (String, K)>, fix: &str) {
    let mut seen: BTreeMap<K, String> = BTreeMap::new();
    for (at, key) in items {
        match seen.get(&key) {
            Some(first) => {
                let line = reader.line(first);
                reader.complain(&at, format!("{key} is already taken on line {line}"), fix);
            }
            None => drop(seen.insert(key, at)),
        }
    }
}

fn scope((host, path): (&str, &str)) -> String {
    format!("{}{path}", host.to_ascii_lowercase())
}
