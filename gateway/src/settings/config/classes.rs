//! What must hold for routes that leave out their upstream or have a class, and what should be known of them.

use toml_diagnostics::{Document, join};

use super::{Config, RouteConfig};

/// Checks the classes of routes, and their limits.
pub(super) fn check(config: &Config, document: &mut Document<'_>) {
    for (index, route) in config.routes.iter().enumerate() {
        let at = format!("route.{index}");
        if route.class.is_none() {
            without_a_class(route, &at, document);
            continue;
        }
        if route.max_wait.is_some() && route.max_in_flight.is_none() && document.is_sound(&join(&at, "max_in_flight")) {
            let what = "is how long a request is held over max_in_flight, and there is none";
            document.report(&join(&at, "max_wait"), what, "add max_in_flight");
        }
        idle_limit(config, route, &at, document);
        uncovered(config, route, &at, document);
    }
}

/// Routes that name no upstream, where it does not follow from a room or from there being only one.
pub(super) fn without_an_upstream(config: &Config, document: &mut Document<'_>) {
    let Some(first) = config.upstreams.first() else { return };
    for (index, route) in config.routes.iter().enumerate() {
        let at = format!("route.{index}");
        if config.upstream_of(route).is_none() && document.is_sound(&join(&at, "upstream")) {
            let count = config.upstreams.len();
            let what = format!("names no upstream, there are {count}, and no room around it names one");
            document.report(&at, what, format!("add upstream = {:?}, or another", first.name));
        }
    }
}

fn without_a_class(route: &RouteConfig, at: &str, document: &mut Document<'_>) {
    if !document.is_sound(&join(at, "class")) {
        return;
    }
    for (key, written) in [("max_in_flight", route.max_in_flight.is_some()), ("max_wait", route.max_wait.is_some())] {
        if written {
            let what = "is a limit on a class of requests, and the route has none";
            let fix = "add class = \"order\" or \"payment\"; a limit on all requests is max_in_flight of a room or an upstream";
            document.report(&join(at, key), what, fix);
        }
    }
}

/// A limit counts only below that of the upstream.
fn idle_limit(config: &Config, route: &RouteConfig, at: &str, document: &mut Document<'_>) {
    let name = config.upstream_of(route);
    let upstream = config.upstreams.iter().find(|upstream| Some(upstream.name.as_str()) == name);
    if let (Some(upstream), Some(limit)) = (upstream, route.max_in_flight)
        && limit >= upstream.max_in_flight
    {
        let what = format!(
            "the upstream takes {} requests at once, so the route never comes to its own limit",
            upstream.max_in_flight
        );
        document.warn(&join(at, "max_in_flight"), what, "write less here: as many as the shop can order at once");
    }
}

/// Passes are given by rooms. Where none covers the route, its requests have no order.
fn uncovered(config: &Config, route: &RouteConfig, at: &str, document: &mut Document<'_>) {
    // Those of the store are not known here.
    if config.rooms.is_empty() || !document.is_sound("room") {
        return;
    }
    let scope = route.scope();
    let of_rooms = || config.rooms.iter().flat_map(super::RoomConfig::scopes);
    let (what, fix) = if of_rooms().any(|room| room.holds(&scope)) {
        return;
    } else if of_rooms().any(|room| room.meets(&scope)) {
        ("no room covers all of this route: what is outside has no pass", "let a room cover all of it")
    } else {
        ("no room covers this route, so no request there has a pass", "let a room cover it, or remove class")
    };
    let what = format!(
        "{what}, and without one a request has no class: it comes after all that have one, and gets 503 over the limit"
    );
    document.warn(&join(at, "class"), what, fix);
}
