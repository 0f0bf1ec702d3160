//! Ways past a room: hosts that a route takes and no room does, and what lies below a path that is held alone.
//!
//! A shop that answers for one host usually answers for any. Where a route takes more hosts than a room
//! protects, another `Host` header is enough to reach the same page without the room. That may be meant, so it
//! is a warning. Hosts and paths are tried out on the tables that requests are looked up in: one example for
//! each pattern that is written, and one beside all of them.
//!
//! Out of scope: what the shop makes of a host.

use std::collections::{BTreeSet, HashMap};

use policy::scope::{NormalPath, Table, bare_host};
use toml_diagnostics::Document;

use super::{Config, RoomConfig, Scope};

/// Requests that go to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Route<'c> {
    scope: Scope<'c>,
    upstream: &'c str,
}

/// Warns where a request for another host reaches what a room protects.
pub(super) fn warn(config: &Config, document: &mut Document<'_>) {
    let routes = routes(config);
    let Some(view) = View::of(config, &routes) else { return };
    let mut found = HashMap::new();
    for (index, room) in config.rooms.iter().enumerate() {
        let own = std::iter::once(format!("room.{index}.host"));
        let places = own.chain((0..).map(|more| format!("room.{index}.additional_routes.{more}.host")));
        for (at, scope) in places.zip(room.scopes()) {
            for (route, host) in view.openings(room, scope, &mut found) {
                let Route { scope: wide, upstream } = route;
                let what = format!(
                    "there is a way past this room: a request with another Host, such as {host:?}, for {} goes to the same \
                     upstream {upstream:?}, because a route takes {wide}",
                    scope.path
                );
                let fix = "let the room protect all hosts of that route, or let the route name the room's host alone";
                document.warn(&at, what, fix);
            }
        }
        let own = std::iter::once(format!("room.{index}.exact"));
        let places = own.chain((0..).map(|more| format!("room.{index}.additional_routes.{more}.exact")));
        for (at, scope) in places.zip(room.scopes()).filter(|(_, scope)| scope.exact) {
            if let Some((below, upstream)) = view.below(room, scope) {
                let what = format!(
                    "{} is held alone: what lies below it, such as {below}, goes to the same upstream {upstream:?} without the room",
                    scope.path
                );
                document.warn(&at, what, "remove exact = true where all below it is meant");
            }
        }
    }
}

/// Everything that is a route: the short form in a room, too.
fn routes(config: &Config) -> Vec<Route<'_>> {
    let written = config.routes.iter();
    let written =
        written.filter_map(|route| Some(Route { scope: route.scope(), upstream: config.upstream_of(route)? }));
    let short = config.rooms.iter().filter_map(|room| Some((room, room.upstream.as_deref()?)));
    let short = short.flat_map(|(room, upstream)| room.scopes().map(move |scope| Route { scope, upstream }));
    written.chain(short).collect()
}

/// What requests find, and examples of them.
struct View<'c> {
    rooms: Table<&'c str>,
    routes: Table<Route<'c>>,
    hosts: BTreeSet<String>,
    scopes: Vec<Scope<'c>>,
}

impl<'c> View<'c> {
    /// `None` if something is written that is no pattern.
    fn of(config: &'c Config, routes: &[Route<'c>]) -> Option<Self> {
        let of_rooms = config.rooms.iter().flat_map(|room| room.scopes().map(|scope| (room.name.as_str(), scope)));
        let of_rooms: Vec<_> = of_rooms.collect();
        let rooms = of_rooms.iter().map(|(room, scope)| Some((scope.pattern().ok()?, *room)));
        let table = routes.iter().map(|route| Some((route.scope.pattern().ok()?, *route)));
        let scopes = of_rooms.iter().map(|(_, scope)| *scope).chain(routes.iter().map(|route| route.scope));
        let mut scopes: Vec<Scope<'_>> = scopes.collect();
        let hosts: BTreeSet<&str> = scopes.iter().map(|scope| scope.host).collect();
        // Only their paths count from here on.
        scopes.sort_unstable_by_key(|scope| (scope.path, scope.exact));
        scopes.dedup_by_key(|scope| (scope.path, scope.exact));
        Some(Self {
            rooms: Table::new(rooms.collect::<Option<_>>()?),
            routes: Table::new(table.collect::<Option<_>>()?),
            hosts: hosts.iter().map(|host| example(host, &hosts)).collect(),
            scopes,
        })
    }

    /// A path below an exact one that the same upstream answers without a room.
    fn below(&self, room: &RoomConfig, scope: Scope<'_>) -> Option<(String, &'c str)> {
        let below = format!("{}/other", scope.path.trim_end_matches('/'));
        let (itself, other) = (NormalPath::of(scope.path), NormalPath::of(&below));
        let upstream = |host: &str, path: &NormalPath| self.routes.find(host, path).map(|route| route.upstream);
        let past = |host: &&String| {
            let held = self.rooms.find(host, &itself).copied() == Some(room.name.as_str());
            held && self.rooms.find(host, &other).is_none() && upstream(host, &itself) == upstream(host, &other)
        };
        let upstream = upstream(self.hosts.iter().find(past)?, &other)?;
        Some((below, upstream))
    }

    /// The routes that lead past a room into this scope of it, each with a host that they do it for. What was `found` for the
    /// same paths is not looked for again: where thousands of rooms cover the whole of their hosts, they are the same.
    fn openings<'v>(
        &'v self,
        room: &RoomConfig,
        scope: Scope<'_>,
        found: &mut HashMap<BTreeSet<String>, Found<'c, 'v>>,
    ) -> Vec<(Route<'c>, &'v str)> {
        let inside = self.scopes.iter().filter(|inside| scope.covers(inside.path));
        let paths: BTreeSet<String> = inside.flat_map(examples).filter(|path| scope.covers(path)).collect();
        let Found { protected, open } = found.entry(paths).or_insert_with_key(|paths| self.find(paths));
        let Some(protected) = protected.get(room.name.as_str()) else { return Vec::new() };
        let mut openings: Vec<(Route<'c>, &str)> = Vec::new();
        for &(route, host) in open.iter().filter(|(route, _)| protected.contains(route.upstream)) {
            if !openings.iter().any(|(known, _)| *known == route) {
                openings.push((route, host));
            }
        }
        openings
    }

    /// What requests for these paths find, on every host.
    fn find(&self, paths: &BTreeSet<String>) -> Found<'c, '_> {
        let mut all = Found { protected: HashMap::new(), open: Vec::new() };
        for (host, path) in self.hosts.iter().flat_map(|host| paths.iter().map(move |path| (host.as_str(), path))) {
            let path = NormalPath::of(path);
            let Some(&route) = self.routes.find(host, &path) else { continue };
            match self.rooms.find(host, &path) {
                Some(room) => drop(all.protected.entry(*room).or_default().insert(route.upstream)),
                None => all.open.push((route, host)),
            }
        }
        all
    }
}

/// What requests for some paths find.
struct Found<'c, 'v> {
    /// By room, the upstreams behind it.
    protected: HashMap<&'c str, BTreeSet<&'c str>>,
    /// Routes that lead past all rooms, each with a host.
    open: Vec<(Route<'c>, &'v str)>,
}

/// A host that a pattern covers, and no other that is written if it covers more than one.
fn example(pattern: &str, written: &BTreeSet<&str>) -> String {
    let Some(below) = pattern.strip_prefix('*') else { return bare_host(pattern).into_owned() };
    let below = if below.is_empty() { ".example" } else { below };
    let names = std::iter::once("other".to_owned()).chain((2..).map(|n| format!("other{n}")));
    let mut hosts = names.map(|name| bare_host(&format!("{name}{below}")).into_owned());
    hosts.find(|host| !written.contains(host.as_str())).unwrap_or_default()
}

/// Paths that a scope covers.
fn examples(scope: &Scope<'_>) -> Vec<String> {
    let own = scope.path.to_owned();
    let below = format!("{}/other", own.trim_end_matches('/'));
    if scope.exact { vec![own] } else { vec![own, below] }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn warnings(rooms_and_routes: &str) -> Vec<String> {
        let upstreams =
            ["shop", "blog"].map(|name| format!("[[upstream]]\nname = \"{name}\"\nservers = \"{name}:80\"\n"));
        let config = Config::read(&(upstreams.concat() + rooms_and_routes), Path::new("weir.toml"));
        let config = config.unwrap_or_else(|all| panic!("{all:?}"));
        config.warnings.iter().map(ToString::to_string).collect()
    }

    fn room(host: &str, more: &str) -> String {
        let name = host.replace('.', "").replace('*', "any");
        format!("[[room]]\nname = \"r{name}\"\nhost = \"{host}\"\nnew_users_per_minute = 60\n{more}\n")
    }

    fn route(host: &str, path: &str, upstream: &str) -> String {
        format!("[[route]]\nhost = \"{host}\"\npath = \"{path}\"\nupstream = \"{upstream}\"\n")
    }

    #[test]
    fn a_route_for_more_hosts_than_a_room_is_a_way_past_it() {
        let all = warnings(&(room("shop.example.com", "path = \"/launch\"") + &route("*", "/", "shop")));
        assert_eq!(all.len(), 1, "{all:?}");
        let (place, words) =
            ("weir.toml:9:8: room \"rshopexamplecom\": host", "a route takes everything on every host");
        for part in [place, words, "for /launch", "\"other.example\"", "upstream \"shop\""] {
            assert!(all[0].contains(part), "{part}: {all:?}");
        }
        let below = warnings(&(room("shop.example.com", "upstream = \"shop\"") + &route("*.example.com", "/", "shop")));
        assert!(below.len() == 1 && below[0].contains("\"other.example.com\""), "{below:?}");
    }

    #[test]
    fn a_room_for_all_hosts_of_a_route_or_an_upstream_of_its_own_has_no_way_past() {
        let fine = [
            room("*", "path = \"/launch\"") + &route("*", "/", "shop"),
            room("shop.example.com", "") + &route("shop.example.com", "/", "shop"),
            room("shop.example.com", "upstream = \"shop\"") + &route("*", "/", "blog"),
            room("shop.example.com", "path = \"/launch\"\nupstream = \"shop\"") + &route("*", "/api", "shop"),
            room("*.example.com", "upstream = \"shop\"") + &room("example.com", "upstream = \"shop\""),
            room("a.com", "upstream = \"shop\"\nadditional_routes = [{ host = \"*\" }]"),
        ];
        for text in fine {
            assert_eq!(warnings(&text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_host_with_a_room_of_its_own_for_another_path_is_a_way_past() {
        let other = room("b.com", "path = \"/other\"\nupstream = \"shop\"");
        let all = warnings(&(room("a.com", "path = \"/launch\"\nupstream = \"shop\"") + &other));
        assert_eq!(all, [""; 0], "no route takes /launch of b.com");
        let all = warnings(
            &(room("a.com", "path = \"/launch\"")
                + &other
                + &route("a.com", "/", "shop")
                + &route("b.com", "/", "shop")),
        );
        assert!(all.len() == 2 && all[0].contains("\"b.com\"") && all[1].contains("\"a.com\""), "{all:?}");
    }

    #[test]
    fn a_path_that_is_held_alone_is_told_with_what_passes_below_it() {
        let held = "path = \"/launch\"\nexact = true\n";
        let all = warnings(&(room("*", held) + &route("*", "/", "shop")));
        assert_eq!(all.len(), 1, "{all:?}");
        let words =
            "/launch is held alone: what lies below it, such as /launch/other, goes to the same upstream \"shop\"";
        assert!(all[0].contains(": exact: ") && all[0].contains(words), "{all:?}");
        let more = "path = \"/x\"\nadditional_routes = [{ host = \"*\", path = \"/launch\", exact = true }]\n";
        let all = warnings(&(room("*", more) + &route("*", "/", "shop")));
        assert!(all.len() == 1 && all[0].contains("additional_routes") && all[0].contains("/launch/other"), "{all:?}");
        let fine = [
            room("*", &(held.to_owned() + "upstream = \"shop\"\n")),
            room("*", &(held.to_owned() + "upstream = \"shop\"\n")) + &route("*", "/", "blog"),
            room("*", &(held.to_owned() + "additional_routes = [{ host = \"*\", path = \"/launch/other\" }]\n"))
                + &route("*", "/", "shop"),
        ];
        for text in fine {
            assert_eq!(warnings(&text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_route_into_a_part_of_a_room_is_looked_at_too() {
        let all =
            warnings(&(room("a.com", "path = \"/launch\"\nupstream = \"shop\"") + &route("*", "/launch/pay", "shop")));
        assert!(all.len() == 1 && all[0].contains("/launch/pay and everything below it on every host"), "{all:?}");
    }
}
