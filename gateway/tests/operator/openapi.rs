//! The description of the API against the API: what it says is served, and what is answered is as it says.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use boon::{Compiler, Schemas};
use serde_json::{Value as Json, json};

use crate::common::live::Live;
use crate::common::{Answer, ROOMY, Shop, Weir, config, request, until_true};

/// Where the description stands, for references in it.
const HERE: &str = "http://weir.example/openapi.json";

fn description(of: &Weir) -> Json {
    let answer = request(of.admin, "GET", "/api/openapi.json", &[], "");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    answer.json()
}

/// A part of a pointer or of an address.
fn escaped(part: &str) -> String {
    part.replace('~', "~0")
        .replace('/', "~1")
        .replace('{', "%7B")
        .replace('}', "%7D")
        .replace(';', "%3B")
        .replace(' ', "%20")
}

/// The description, in which no object has other fields than those that are described.
fn strict(mut description: Json) -> Json {
    let schemas = description["components"]["schemas"].as_object_mut().unwrap();
    let parts = |schema: &Json| schema["allOf"].as_array().cloned().unwrap_or_default();
    let of_others: BTreeSet<String> = schemas
        .values()
        .flat_map(parts)
        .filter_map(|part| Some(part["$ref"].as_str()?.rsplit('/').next()?.to_owned()))
        .collect();
    for (name, schema) in schemas.iter_mut() {
        if of_others.contains(name) {
            continue;
        }
        if schema["allOf"].is_array() {
            schema["unevaluatedProperties"] = json!(false);
        } else if schema["properties"].is_object() {
            schema["additionalProperties"] = json!(false);
        }
    }
    description
}

/// Holds a value against the schema at this pointer.
fn hold(description: &Json, pointer: &str, value: &Json) {
    let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
    compiler.add_resource(HERE, strict(description.clone())).unwrap();
    let schema =
        compiler.compile(&format!("{HERE}#{pointer}"), &mut schemas).unwrap_or_else(|e| panic!("{pointer}: {e}"));
    if let Err(wrong) = schemas.validate(value, schema) {
        panic!("{pointer}: {wrong:#}\n{value:#}");
    }
}

/// Holds an answer against what is said of its status.
fn holds(description: &Json, method: &str, path: &str, answer: &Answer) {
    let responses = &description["paths"][path][method]["responses"];
    let status = answer.status.to_string();
    let status = if responses[&status].is_object() { &status } else { "default" };
    let kind = answer.header("content-type").unwrap();
    let content =
        responses[status]["content"].as_object().unwrap_or_else(|| panic!("{method} {path} {status}: no body"));
    assert!(content.contains_key(kind), "{method} {path} {status}: {kind} is not one of {:?}", content.keys());
    for header in responses[status]["headers"].as_object().into_iter().flatten().map(|(name, _)| name) {
        assert!(answer.header(header).is_some(), "{method} {path} {status}: no {header}");
    }
    let value = if kind == "application/json" || kind.ends_with("+json") { answer.json() } else { json!(answer.body) };
    let at = ["paths", path, method, "responses", status, "content", kind, "schema"].map(escaped).join("/");
    hold(description, &format!("/{at}"), &value);
}

#[test]
fn the_description_is_the_one_that_is_kept() {
    let shop = Shop::open();
    let mut description = description(&Weir::start(&config(shop.address, ROOMY)));
    description["info"]["version"] = json!("of the package");
    insta::assert_json_snapshot!("openapi", description);
}

#[test]
fn each_call_that_is_described_is_served_and_none_is_served_that_is_not() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, ROOMY));
    let description = description(&weir);
    let paths = description["paths"].as_object().unwrap();
    assert!(paths.len() >= 12, "{:?}", paths.keys());
    let ids: BTreeSet<&str> = paths
        .values()
        .flat_map(|path| path.as_object().unwrap().values())
        .map(|call| {
            let roles: Vec<&Json> =
                call["security"].as_array().unwrap().iter().flat_map(|way| way.as_object().unwrap().values()).collect();
            assert!(
                roles.is_empty() == (call["operationId"] == "log_in") && roles.iter().all(|role| role[0].is_string()),
                "{call}"
            );
            assert!(call["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{call}");
            call["operationId"].as_str().unwrap()
        })
        .collect();
    let calls: usize = paths.values().map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(ids.len(), calls, "each has a name of its own");
    for (path, described) in paths {
        let address = path.replace("{name}", "launch").replace("{action}", "pause").replace("{number}", "1");
        for method in ["get", "put", "post", "delete", "patch"] {
            if path == "/api/live" && method == "get" {
                continue;
            }
            let answer = request(weir.admin, &method.to_uppercase(), &address, &[], "");
            assert_eq!(answer.status == 405, !described[method].is_object(), "{method} {path}: {answer:?}");
            assert!(answer.status != 404 || !answer.body.contains("no such page"), "{method} {path}: {answer:?}");
        }
    }
    // By way of `routes!` alone is a call served and described.
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops");
    let parts = std::fs::read_dir(folder.join("admin")).unwrap().map(|entry| entry.unwrap().path());
    for file in parts.chain([folder.join("admin.rs")]).filter(|file| file.is_file()) {
        assert!(!std::fs::read_to_string(&file).unwrap().contains(".route(\"/api"), "{file:?}");
    }
}

#[test]
fn answers_are_what_is_described() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, ROOMY));
    let description = description(&weir);
    let rooms = ROOMY.replace("60000", "30000");
    let act = "/api/rooms/{name}/actions/{action}";
    let why = r#"{"why": "a test"}"#;
    for (method, path, address, body, status) in [
        ("get", "/api/rooms", "", "", 200),
        ("get", "/api/rooms/{name}/status", "/api/rooms/launch/status", "", 200),
        ("get", "/api/rooms/{name}/status", "/api/rooms/lunch/status", "", 404),
        ("put", "/api/rooms/{name}/rate", "/api/rooms/launch/rate", r#"{"rate": "480/m", "ttl": "30s"}"#, 200),
        ("put", "/api/rooms/{name}/rate", "/api/rooms/launch/rate", r#"{"rate": "much"}"#, 400),
        ("put", "/api/rooms/{name}/rate", "/api/rooms/launch/rate", r#"{"speed": 1}"#, 422),
        ("delete", "/api/rooms/{name}/rate", "/api/rooms/launch/rate", "", 200),
        ("put", "/api/rooms/{name}/stock", "/api/rooms/launch/stock", r#"{"sku": "shoe", "left": 3}"#, 200),
        ("put", "/api/rooms/{name}/stock", "/api/rooms/lunch/stock", r#"{"sku": "shoe", "left": 3}"#, 404),
        ("get", "/api/rooms", "", "", 200),
        ("get", "/api/gateways", "", "", 200),
        ("get", "/api/versions", "", "", 200),
        ("post", "/api/versions", "/api/versions?dry_run=true", &rooms, 200),
        ("post", "/api/versions", "", &rooms, 200),
        ("post", "/api/versions", "", "[[room]]\nname = 3\n", 422),
        ("post", "/api/versions", "/api/versions?from=7", &rooms, 409),
        ("get", "/api/versions", "", "", 200),
        ("get", "/api/versions/{number}", "/api/versions/1", "", 200),
        ("get", "/api/versions/{number}", "/api/versions/9", "", 404),
        ("put", "/api/versions/in-force", "/api/versions/in-force?to=0", "", 200),
        ("put", "/api/versions/in-force", "/api/versions/in-force?to=9", "", 404),
        ("post", act, "/api/rooms/launch/actions/pause", why, 200),
        ("post", act, "/api/rooms/launch/actions/message", r#"{"why": "a test", "message": {"en": "soon"}}"#, 200),
        ("post", act, "/api/rooms/launch/actions/rate", r#"{"why": "a test", "to": "+10%"}"#, 200),
        ("post", act, "/api/rooms/launch/actions/close", r#"{"why": "a test", "confirm": "launch"}"#, 200),
        ("post", act, "/api/rooms/launch/actions/open", r#"{"why": "a test", "confirm": "launch", "minutes": 5}"#, 409),
        ("post", act, "/api/rooms/launch/actions/reopen", r#"{"why": "a test", "confirm": "launch"}"#, 200),
        ("post", act, "/api/rooms/launch/actions/close", why, 422),
        ("post", act, "/api/rooms/launch/actions/jump", why, 404),
        ("post", act, "/api/rooms/launch/actions/pause", "no JSON", 400),
        ("get", "/api/audit", "", "", 200),
        ("get", "/api/audit", "/api/audit?from=first", "", 400),
        ("get", "/api/rooms/{name}/status", "/api/rooms/launch/status", "", 200),
        ("get", "/api/session", "", "", 200),
        ("post", "/api/session", "", r#"{"token": "kim.x"}"#, 401),
        ("post", "/api/session", "", r#"{"name": "kim"}"#, 422),
        ("get", "/api/openapi.json", "", "", 200),
    ] {
        let address = if address.is_empty() { path } else { address };
        let json = [("Content-Type", "application/json")];
        let answer = request(weir.admin, &method.to_uppercase(), address, &json, body);
        assert_eq!(answer.status, status, "{method} {address}: {answer:?}");
        holds(&description, method, path, &answer);
    }
    let stale = [("Content-Type", "application/json"), ("If-Match", "\"77\"")];
    let refused = request(weir.admin, "POST", "/api/rooms/launch/actions/pause", &stale, why);
    assert_eq!(refused.status, 412, "{refused:?}");
    holds(&description, "post", act, &refused);
    let foreign = request(weir.admin, "GET", "/api/rooms", &[("Host", "evil.example")], "");
    assert_eq!(foreign.status, 403);
    holds(&description, "get", "/api/rooms", &foreign);

    let mut live = Live::open(weir.admin, "");
    hold(&description, "/components/schemas/About", &live.next().unwrap().data);
    hold(&description, "/components/schemas/Sample", &live.next().unwrap().data);
}

#[test]
fn each_action_and_each_state_of_the_program_is_described() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, ROOMY));
    let description = description(&weir);
    let words = |name: &str| description["components"]["schemas"][name]["enum"].clone();
    let text = description.to_string();
    let references: BTreeSet<&str> =
        text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(references.len() > 20 && references.iter().all(|to| description.pointer(to).is_some()), "{references:?}");
    assert_eq!(words("ActionName"), json!(policy::action::ACTIONS));
    assert_eq!(words("RoomState"), json!(policy::action::State::ALL.map(policy::action::State::name)));
    // A body that is taken is one that is described, and the other way round.
    hold(&description, "/components/schemas/ActionRequest", &json!({ "why": "a test", "to": 480, "id": "one" }));
    until_true("it is well", || request(weir.admin, "GET", "/readyz", &[], "").status == 200);
}
