//! What files are held against: the schema that the types give, and what its formats ask of texts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::LazyLock;

use http::uri::Authority;
use ipnet::IpNet;
use serde_json::{Value as Json, json};
use toml_diagnostics::{Format, Formats, schema_of};

use super::rooms::RoomsConfig;
use super::units::{BYTES, MILLISECONDS, amount};
use super::upstream::{is_absolute, is_identity_header, is_name, is_server_name, is_timeout_header};
use super::value::Written as _;
use super::{Config, ShopServer, brand, event, node, redis, room, route, signal, value};

/// Of a whole file.
pub(super) static CONFIG: LazyLock<Json> = LazyLock::new(|| with_lists_of_one(schema_of::<Config>()));
/// Of a text of rooms.
pub(super) static ROOMS: LazyLock<Json> = LazyLock::new(|| with_lists_of_one(schema_of::<RoomsConfig>()));

/// What each format asks.
pub(super) const FORMATS: Formats<'static> = &[
    ("span", Format::Value(|value| amount(value, "a duration", MILLISECONDS, "10s"))),
    ("size", Format::Value(|value| amount(value, "a size", BYTES, "64KiB"))),
    ("address", Format::Value(|value| value::check(value, "an address", SocketAddr::read))),
    ("network", Format::Value(|value| value::check(value, "a network", IpNet::read))),
    ("server", Format::Value(|value| value::check(value, "a server", Authority::read))),
    ("shop_server", Format::Value(|value| value::check(value, "a server", ShopServer::try_from))),
    ("file", Format::Value(|value| value::check(value, "the name of a file", PathBuf::read))),
    ("name", Format::Text(is_name)),
    ("node_name", Format::Text(node::is_node_name)),
    ("host", Format::Text(route::is_host)),
    ("path", Format::Text(route::is_path)),
    ("literal", Format::Text(route::is_literal)),
    ("absolute_path", Format::Text(is_absolute)),
    ("server_name", Format::Text(is_server_name)),
    ("timeout_header", Format::Text(is_timeout_header)),
    ("identity_header", Format::Text(is_identity_header)),
    ("origin", Format::Text(room::is_origin)),
    ("message", Format::Text(room::is_message)),
    ("time_zone", Format::Text(room::is_time_zone)),
    ("domain", Format::Text(room::is_domain)),
    ("cookie_suffix", Format::Text(room::is_cookie_suffix)),
    ("color", Format::Text(brand::is_color)),
    ("short", Format::Text(|text| brand::is_short(text, 60))),
    ("line", Format::Text(|text| brand::is_short(text, 200))),
    ("redis_url", Format::Text(redis::is_url)),
    ("moment", Format::Text(event::is_moment)),
    ("signal_url", Format::Text(signal::is_url)),
    ("filled", Format::Text(redis::is_filled)),
];

/// As editors and `weir schema` take it: what is required has no default.
pub(super) fn published() -> Json {
    let mut schema = CONFIG.clone();
    drop_blanks(&mut schema);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Weir configuration");
    schema
}

/// A list of one that is no table may be written without its brackets.
fn with_lists_of_one(mut schema: Json) -> Json {
    for_each_property(&mut schema, &mut |property: &mut Json, _| {
        if property["type"] == "array" && property["items"]["type"] != "object" {
            let list: serde_json::Map<_, _> =
                ["type", "items", "minItems"].into_iter().filter_map(|keyword| take(property, keyword)).collect();
            let one = list["items"].clone();
            property["anyOf"] = json!([one, list]);
        }
    });
    schema
}

/// What a field holds that was not written, though it must be, is no default. Nor is what a section holds without keys.
fn drop_blanks(schema: &mut Json) {
    for_each_property(schema, &mut |property: &mut Json, required| {
        if required || property["type"] == "object" {
            take(property, "default");
        }
    });
}

/// Visits the schema of each key, those of inner tables first. It is told whether the key must be written.
fn for_each_property(schema: &mut Json, visit: &mut impl FnMut(&mut Json, bool)) {
    let required = schema["required"].clone();
    for (name, property) in schema.get_mut("properties").and_then(Json::as_object_mut).into_iter().flatten() {
        let inner = if property["items"]["type"] == "object" { &mut property["items"] } else { &mut *property };
        for_each_property(inner, visit);
        visit(property, required.as_array().is_some_and(|required| required.iter().any(|key| key == name)));
    }
}

fn take(schema: &mut Json, keyword: &str) -> Option<(String, Json)> {
    schema.as_object_mut()?.remove_entry(keyword)
}
