//! Ways past a room: hosts that a route takes and no room does.
//!
//! A shop that answers for one host usually answers for any. Where a route takes more hosts than a room
//! protects, another `Host` header is enough to reach the same page without the room. That may be meant, so it
//! is a warning. Hosts and paths are tried out on the tables that requests are looked up in: one example for
//! each pattern that is written, and one beside all of them.
//!
//! What is absent: what the shop makes of a host.

use std::collections::BTreeSet;

use policy::scope::{NormalPath, Pattern, Table, bare_host};

use super::reader::Reader;
use super::{Config, RoomConfig};

/// A route, as it is told to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Route<'c> {
    host: &'c str,
    path: &'c str,
    upstream: &'c str,
}

/// Warns where a request for another host reaches what a room protects.
pub(super) fn warn(config: &Config, reader: &mut Reader<'_>) {
    let routes = routes(config);
    let Some(view) = View::of(config, &routes) else { return };
    for (index, room) in config.rooms.iter().enumerate() {
        let own = std::iter::once(format!("room.{index}.host"));
        let places = own.chain((0..).map(|more| format!("room.{index}.additional_routes.{more}.host")));
        for (at, scope) in places.zip(room.scopes()) {
            for (route, host) in view.openings(room, scope) {
                let Route { host: wide, path, upstream } = route;
                let what = format!(
                    "past this room: the route for {wide}{path} takes {} of other hosts, such as {host:?}, to the same \
                     upstream {upstream:?}",
                    scope.1
                );
                let fix = "let the room protect all hosts of the route, or let the route name the room's host alone";
                reader.warn(&at, what, fix);
            }
        }
    }
}

/// Everything that is a route: the short form in a room, too.
fn routes(config: &Config) -> Vec<Route<'_>> {
    let of = |(host, path), upstream| Route { host, path, upstream };
    let written = config.routes.iter().map(|route| of((&*route.host, &*route.path), &*route.upstream));
    let short = |room| {
        let RoomConfig { upstream, .. } = room;
        upstream.iter().flat_map(move |upstream| RoomConfig::scopes(room).map(move |scope| of(scope, upstream)))
    };
    written.chain(config.rooms.iter().flat_map(short)).collect()
}

/// What requests find, and examples of them.
struct View<'c> {
    rooms: Table<&'c str>,
    routes: Table<Route<'c>>,
    hosts: BTreeSet<String>,
    paths: Vec<&'c str>,
}

impl<'c> View<'c> {
    /// `None` if something is written that is no pattern.
    fn of(config: &'c Config, routes: &[Route<'c>]) -> Option<Self> {
        let pattern = |host, path| Pattern::parse(host, path).ok();
        let scopes = config.rooms.iter().flat_map(|room| room.scopes().map(|scope| (room.name.as_str(), scope)));
        let scopes: Vec<_> = scopes.collect();
        let rooms = scopes.iter().map(|&(room, (host, path))| Some((pattern(host, path)?, room)));
        let table = routes.iter().map(|route| Some((pattern(route.host, route.path)?, *route)));
        let hosts = scopes.iter().map(|(_, (host, _))| *host).chain(routes.iter().map(|route| route.host));
        let hosts: BTreeSet<&str> = hosts.collect();
        Some(Self {
            rooms: Table::new(rooms.collect::<Option<_>>()?),
            routes: Table::new(table.collect::<Option<_>>()?),
            hosts: hosts.iter().map(|host| example(host, &hosts)).collect(),
            paths: routes.iter().map(|route| route.path).collect(),
        })
    }

    /// The routes that lead past a room into this scope of it, each with a host that they do it for.
    fn openings(&self, room: &RoomConfig, (_, path): (&str, &'c str)) -> Vec<(Route<'c>, &str)> {
        let inside = self.paths.iter().filter(|inside| super::route::below(path, inside));
        let paths: BTreeSet<String> = inside.chain([&path]).flat_map(|path| examples(path)).collect();
        let cases = || self.hosts.iter().flat_map(|host| paths.iter().map(move |path| (host.as_str(), path)));
        let found = |(host, path): (&'_ str, &String)| {
            let path = NormalPath::of(path);
            (self.rooms.find(host, &path).copied(), self.routes.find(host, &path).copied())
        };
        let protected = cases().map(found).filter(|(found, _)| *found == Some(room.name.as_str()));
        let protected: BTreeSet<&str> = protected.filter_map(|(_, route)| Some(route?.upstream)).collect();
        let mut openings: Vec<(Route<'c>, &str)> = Vec::new();
        for (host, path) in cases() {
            let (None, Some(route)) = found((host, path)) else { continue };
            let known = openings.iter().any(|(known, _)| *known == route);
            if !known && protected.contains(route.upstream) {
                openings.push((route, host));
            }
        }
        openings
    }
}

/// A host that a pattern covers, and no other that is written if it covers more than one.
fn example(pattern: &str, written: &BTreeSet<&str>) -> String {
    let Some(below) = pattern.strip_prefix('*') else { return bare_host(pattern).into_owned() };
    let below = if below.is_empty() { ".example" } else { below };
    let names = std::iter::once("other".to_owned()).chain((2..).map(|n| format!("other{n}")));
    let mut hosts = names.map(|name| bare_host(&format!("{name}{below}")).into_owned());
    hosts.find(|host| !written.contains(host.as_str())).unwrap_or_default()
}

/// Paths that a pattern covers.
fn examples(pattern: &str) -> Vec<String> {
    match pattern.strip_suffix("/*") {
        Some(base) => vec![format!("{base}/"), format!("{base}/other")],
        None => vec![pattern.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn warnings(rooms_and_routes: &str) -> Vec<String> {
        let upstreams = ["shop", "blog"].map(|name| format!("[[upstream]]\nname = \"{name}\"\nservers = \"{name}:80\"\n"));
        let config = Config::read(&(upstreams.concat() + rooms_and_routes), Path::new("weir.toml"));
        let config = config.unwrap_or_else(|all| panic!("{all:?}"));
        config.warnings.iter().map(ToString::to_string).collect()
    }

    fn room(host: &str, more: &str) -> String {
        let name = host.replace(['.', '*'], "");
        format!("[[room]]\nname = \"r{name}\"\nhost = \"{host}\"\nnew_users_per_minute = 60\n{more}\n")
    }

    fn route(host: &str, path: &str, upstream: &str) -> String {
        format!("[[route]]\nhost = \"{host}\"\npath = \"{path}\"\nupstream = \"{upstream}\"\n")
    }

    #[test]
    fn a_route_for_more_hosts_than_a_room_is_a_way_past_it() {
        let all = warnings(&(room("shop.example.com", "path = \"/launch/*\"") + &route("*", "/*", "shop")));
        assert_eq!(all.len(), 1, "{all:?}");
        for part in ["weir.toml:9:8: room \"rshopexamplecom\": host", "route for */*", "/launch", "\"other.example\"", "\"shop\""] {
            assert!(all[0].contains(part), "{part}: {all:?}");
        }
        let below = warnings(&(room("shop.example.com", "upstream = \"shop\"") + &route("*.example.com", "/*", "shop")));
        assert!(below.len() == 1 && below[0].contains("\"other.example.com\""), "{below:?}");
    }

    #[test]
    fn a_room_for_all_hosts_of_a_route_or_an_upstream_of_its_own_has_no_way_past() {
        let fine = [
            room("*", "path = \"/launch/*\"") + &route("*", "/*", "shop"),
            room("shop.example.com", "") + &route("shop.example.com", "/*", "shop"),
            room("shop.example.com", "upstream = \"shop\"") + &route("*", "/*", "blog"),
            room("shop.example.com", "path = \"/launch/*\"\nupstream = \"shop\"") + &route("*", "/api/*", "shop"),
            room("*.example.com", "upstream = \"shop\"") + &room("example.com", "upstream = \"shop\""),
            room("a.com", "upstream = \"shop\"\nadditional_routes = [{ host = \"*\" }]"),
        ];
        for text in fine {
            assert_eq!(warnings(&text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_host_with_a_room_of_its_own_for_another_path_is_a_way_past() {
        let other = room("b.com", "path = \"/other/*\"\nupstream = \"shop\"");
        let all = warnings(&(room("a.com", "path = \"/launch/*\"\nupstream = \"shop\"") + &other));
        assert_eq!(all, [""; 0], "no route takes /launch of b.com");
        let all = warnings(&(room("a.com", "path = \"/launch/*\"") + &other + &route("a.com", "/*", "shop") + &route("b.com", "/*", "shop")));
        assert!(all.len() == 2 && all[0].contains("\"b.com\"") && all[1].contains("\"a.com\""), "{all:?}");
    }

    #[test]
    fn a_route_into_a_part_of_a_room_is_looked_at_too() {
        let all = warnings(&(room("a.com", "path = \"/launch/*\"\nupstream = \"shop\"") + &route("*", "/launch/pay/*", "shop")));
        assert!(all.len() == 1 && all[0].contains("*/launch/pay"), "{all:?}");
    }
}
