//! The configuration file as an operator meets it: the example, the schema, and every mistake.

#![expect(clippy::unwrap_used, reason = "a test may end by a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway::settings::config::{Config, Diagnostic, schema};
use policy::room::QueueingMethod;
use proptest::prelude::*;
use serde_json::Value as Json;

const EXAMPLE: &str = include_str!("../../../deploy/weir.example.toml");
const WRONG: &str = include_str!("config/wrong.toml");

/// The example with every key that is off switched on.
fn example_in_full() -> String {
    let on = |line: &'static str| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => key,
        _ => line,
    };
    EXAMPLE.lines().map(on).collect::<Vec<_>>().join("\n")
}

/// A folder with the files that the example names.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in [
        "admin.token",
        "ca.pem",
        "cert.pem",
        "key.pem",
        "page.html",
        "shop-ca.pem",
        "shop-client.pem",
        "shop-client.key",
        "prometheus.signal",
        "postgres.signal",
    ] {
        std::fs::write(folder.path().join(file), "x").unwrap();
    }
    std::fs::write(folder.path().join("logo.svg"), "<svg/>").unwrap();
    folder
}

fn read(text: &str) -> Result<Config, Vec<Diagnostic>> {
    Config::read(text, Path::new("weir.toml"))
}

fn problems(text: &str) -> Vec<String> {
    read(text).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// Line and column.
fn place(diagnostic: &Diagnostic) -> (usize, usize) {
    diagnostic.position.map(|position| (position.line, position.column)).unwrap()
}

/// A file with one room; `section` and `keys` are added.
fn with(section: &str, keys: &str) -> Vec<String> {
    problems(&format!(
        "[[upstream]]\nname = \"shop\"\nservers = \"shop:80\"\n[[room]]\nname = \"launch\"\nhost = \"a.example\"\n\
         upstream = \"shop\"\nnew_users_per_minute = 60\n{keys}\n{section}"
    ))
}

/// Every key of a schema by its path, with what the schema says of it.
fn keys(schema: &Json, path: &str, into: &mut BTreeMap<String, Json>) {
    let schema = if schema["items"].is_object() { &schema["items"] } else { schema };
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}{name}");
        keys(property, &format!("{path}."), into);
        into.insert(path, property.clone());
    }
}

/// Every key of a file by its path; of a list of tables, those of each.
fn written(value: &toml::Value, path: &str, into: &mut BTreeMap<String, toml::Value>) {
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                let path = format!("{path}{name}");
                written(value, &format!("{path}."), into);
                into.insert(path, value.clone());
            }
        }
        toml::Value::Array(items) => items.iter().for_each(|item| written(item, path, into)),
        _ => {}
    }
}

#[test]
fn the_example_works_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::read(EXAMPLE, &folder.path().join("weir.toml")).unwrap();
    assert_eq!(config.rooms[0].poll.max, Duration::from_secs(8));
    assert_eq!(config.store.path, folder.path().join("weir.redb"));
    assert_eq!(config.store.secret_file, folder.path().join("weir.secret"));
}

#[test]
fn the_example_works_with_every_key_on() {
    let folder = folder();
    let file = folder.path().join("weir.toml");
    std::fs::write(&file, example_in_full()).unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!(config.tls[0].key, folder.path().join("key.pem"));
}

#[test]
fn example_schema_and_reader_have_the_same_keys() {
    let (mut described, mut listed) = (BTreeMap::new(), BTreeMap::new());
    keys(&schema(), "", &mut described);
    written(&toml::from_str(&example_in_full()).unwrap(), "", &mut listed);
    assert_eq!(described.keys().collect::<BTreeSet<_>>(), listed.keys().collect::<BTreeSet<_>>());
    // The reader knows each of them: a value of a type that no key takes is a wrong value, not an unknown key.
    for path in described.keys() {
        let text: Vec<String> = path.split('.').map(str::to_owned).collect();
        let list = |name: &str| {
            matches!(
                name,
                "tls" | "upstream" | "route" | "room" | "room.additional_routes" | "room.signal" | "room.event"
            )
        };
        let header = |end: usize| {
            let name = text[..end].join(".");
            if list(&name) { format!("[[{name}]]\n") } else { format!("[{name}]\n") }
        };
        let headers: String = (1..text.len()).map(header).collect();
        let all = problems(&format!("{headers}{} = 1979-05-27\n", text[text.len() - 1])).join("\n");
        assert!(all.contains("a datetime") && !all.contains("unknown key"), "{path}: {all}");
    }
}

#[test]
fn every_section_refuses_a_key_that_it_does_not_know() {
    let sections = example_in_full().lines().filter(|line| line.starts_with('[')).count();
    let spoilt: String = example_in_full().lines().fold(String::from("zzz = 1\n"), |text, line| {
        let key = if line.starts_with('[') { "zzz = 1\n" } else { "" };
        text + line + "\n" + key
    });
    let unknown = problems(&spoilt).iter().filter(|problem| problem.contains("unknown key \"zzz\"")).count();
    assert_eq!(unknown, sections + 1);
}

#[test]
fn the_example_explains_every_key_and_names_every_default_that_it_does_not_show() {
    let (mut described, mut listed) = (BTreeMap::new(), BTreeMap::new());
    keys(&schema(), "", &mut described);
    written(&toml::from_str(&example_in_full()).unwrap(), "", &mut listed);
    let explained = |line: &str| line.contains("  #") || line.contains(" # ");
    for line in EXAMPLE.lines().filter(|line| line.contains(" = ") && !line.starts_with("# ")) {
        assert!(explained(line), "no comment: {line}");
    }
    for (path, property) in described.iter().filter(|(_, property)| !property["default"].is_null()) {
        let shown = serde_json::to_value(&listed[path]).unwrap();
        let name = path.rsplit('.').next().unwrap();
        let default = format!("default {}", property["default"]);
        let told =
            EXAMPLE.lines().any(|line| line.trim_start_matches('#').starts_with(name) && line.contains(&default));
        let told = told || (listed[path].is_array() && EXAMPLE.contains(&default));
        assert!(shown == property["default"] || told, "{path}: shows {shown}, {default}");
    }
}

#[test]
fn a_very_wrong_file_tells_everything_at_once() {
    let all = read(WRONG).unwrap_err();
    let places: Vec<(usize, usize)> = all.iter().map(place).collect();
    assert!(places.is_sorted(), "in order of place");
    insta::assert_snapshot!(all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_file_that_is_no_toml_tells_every_broken_line_and_what_else_is_certain() {
    let text =
        "[[room]]\nname = \"launch\nqueue_al = true\npath = /\nsuspended = 1\nsuspended = true\n[listen\nhttp = 1\n";
    insta::assert_snapshot!(problems(text).join("\n"));
}

#[test]
fn an_empty_file_says_what_is_needed_first() {
    insta::assert_snapshot!(problems("").join("\n"));
}

#[test]
fn a_key_with_a_slip_is_named_with_its_place_and_the_nearest_key() {
    let all = with("", "new_user_per_minute = 5");
    assert_eq!(
        all,
        [r#"weir.toml:9:1: room "launch": unknown key "new_user_per_minute"; did you mean "new_users_per_minute"?"#]
    );
}

#[test]
fn one_valid_room_needs_five_lines() {
    assert_eq!(with("", ""), [""; 0]);
}

#[test]
fn contradictions_are_refused() {
    let refused = |section: &str, keys: &str, what: &str| {
        let all = with(section, keys);
        assert!(all.len() == 1 && all[0].contains(what), "{keys} {section}: {all:?}");
    };
    refused("", "queueing_method = \"random\"\nrandom_round = \"1s\"", "out of range");
    let url = "url = \"redis://127.0.0.1:6379\"";
    let redis = |more: &str| format!("[store]\nkind = \"redis\"\n{more}");
    refused(&redis("secret_file = \"../Cargo.toml\""), "", "needs the address");
    refused(&redis(url), "", "needs a secret_file");
    refused(&redis(&format!("{url}\nsecret_file = \"none.secret\"")), "", "is not made");
    refused("[store]\nurl = \"localhost:6379\"", "", "not the address of a Redis");
    refused("[store]\nurl = \"redis://:hunter2@localhost/one\"", "", "has more in it");
    refused("", "queueing_method = \"passthrough\"\nqueue_all = true", "lets nobody in");
    refused("", "session_duration = \"1s\"", "out of range");
    refused("", "session_duration = \"5m\"\nmax_session = \"4m\"", "shorter than session_duration");
    refused("", "max_session = \"2881h\"", "out of range");
    refused("", "poll = { min = \"1m\", max = \"1s\" }", "longer than poll.max");
    refused("", "visits_per_minute = 13", "more than a fifth");
    assert_eq!(with("", "visits_per_minute = 12"), [""; 0]);
    refused("", "cookie_attributes = { samesite = \"none\", secure = \"never\" }", "browsers drop");
    refused("", "cookie_attributes = { domain = \"b.example\" }", "browsers of");
    let signal = |more: &str| format!("[[room.signal]]\nfull_at = 1\n{more}");
    refused("[[room.signal]]\nkind = \"orca\"", "", "full_at: is missing");
    refused("[[room.signal]]\nkind = \"orca\"\nfull_at = 0", "", "out of range");
    refused(&signal("kind = \"redis\""), "", "\"redis\" is not known");
    refused(&signal("kind = \"orca\"\nmetric = \"eps\""), "", "named_metrics.NAME");
    refused(&signal("kind = \"orca\"\nquery = \"up\""), "", "it has full_at, name, metric");
    refused(&signal("kind = \"latency\"\ninterval = \"2s\""), "", "no key of a signal of kind \"latency\"");
    refused(&signal("kind = \"prometheus\"\nurl = \"http://db:9090\""), "", "one number");
    refused(&signal("kind = \"prometheus\"\nquery = \"up\""), "", "needs it");
    refused(&signal("kind = \"prometheus\"\nquery = \"up\"\nurl = \"https://db:9090\""), "", "http://host:port");
    let database = |url: &str| signal(&format!("kind = \"postgres\"\nurl = \"{url}\""));
    refused(&database("http://db:9090"), "", "postgres://user@host/database");
    refused(&database("postgres://db/shop"), "", "who Weir is there");
    refused(&database("postgres://weir@db/shop?sslmode=require"), "", "asks for TLS");
    refused(
        &(database("postgres://weir@db/shop") + "\npassword_file = \"none.signal\""),
        "",
        "there is no file none.signal",
    );
    let password = with(&database("postgres://weir:hunter2@db/shop"), "");
    assert!(
        password.len() == 1 && password[0].contains("password_file") && !password[0].contains("hunter2"),
        "{password:?}"
    );
    let two = [signal("kind = \"latency\""), signal("kind = \"latency\"")].join("\n");
    refused(&two, "", "latency is already taken");
    refused(&["[[room.signal]]\nkind = \"latency\"\nfull_at = 1"; 9].join("\n"), "", "at most 8");
    let many = (0..8).map(|n| signal(&format!("kind = \"latency\"\nname = \"signal-{n}\"\n"))).collect::<String>();
    assert_eq!(with(&many, ""), [""; 0]);
    refused("", "bypass = \"/x\"\npath = \"/launch\"", "not inside the room");
    refused("", "bypass = \"/launch/x\"\npath = \"/launch\"\nexact = true", "not inside the room");
    refused("", "path = \"/launch/*\"\nexact = true", "exact = true for the path alone");
    refused("", "path = \"/a//b\"", "a path is written plainly");
    refused("[listen]\nadmin = \"0.0.0.0:9090\"", "", "without a token");
    refused("[listen]\nhttps = \"127.0.0.1:443\"", "", "needs a certificate");
    refused("[listen]\nhttp = []", "", "nobody can connect");
    refused("[listen]\nhttp = [\"127.0.0.1:80\", \"127.0.0.1:80\"]", "", "already taken on line 11");
    refused("[store]\npath = \"no/such/weir.redb\"\nsecret_file = \"weir.secret\"", "", "no folder");
    refused("[store]\npath = \"a.secret\"", "", "file of the store itself");
    let other = "[[upstream]]\nname = \"other\"\nservers = \"b:1\"\n";
    let route = "[[route]]\nhost = \"A.example\"\nupstream = \"other\"";
    refused(&format!("{other}{route}"), "", "to another upstream");
    refused("[[room]]\nname = \"b\"\nhost = \"b.example\"\nnew_users_per_minute = 1", "", "nobody answers");
}

#[test]
fn there_is_exactly_one_way_to_redis_and_all_that_it_needs() {
    let problems =
        |more: &str| with(&format!("[store]\nkind = \"redis\"\nsecret_file = \"../Cargo.toml\"\n{more}"), "");
    let refused = |more: &str, what: &str| {
        let all = problems(more);
        assert!(all.len() == 1 && all[0].contains(what) && !all[0].contains("hunter2"), "{more}: {all:?}");
    };
    let (url, file) = ("url = \"rediss://redis:6379/1\"\n", "password_file = \"../Cargo.toml\"\n");
    let sentinels = "sentinels = [\"a:26379\", \"[::1]:26379\"]\nmaster = \"mymaster\"\n";
    let mutual = "[store.tls]\nca_file = \"../Cargo.toml\"\ncertificate = \"../Cargo.toml\"\nkey = \"../Cargo.toml\"\n";
    for way in [url, sentinels, "cluster = \"a:7000\"\n"] {
        assert_eq!(problems(&format!("{way}[store.login]\nusername = \"weir\"\n{file}{mutual}")), [""; 0]);
    }
    assert_eq!(problems(&format!("{sentinels}[store.sentinel_login]\npassword_env = \"PATH\"")), [""; 0]);

    refused(&format!("{url}cluster = \"a:7000\""), "store.cluster: url is another way to Redis");
    refused(&format!("{url}{sentinels}"), "store.sentinels: url is another way to Redis");
    refused("sentinels = \"a:26379\"", "none is written");
    refused(&format!("{url}master = \"mymaster\""), "there are no sentinels");
    refused(&format!("{url}[store.sentinel_login]\n{file}"), "there are no sentinels");
    refused("cluster = [\"a:7000\", \"a:7000\"]", "already taken");
    refused("cluster = \"rediss://a:7000\"", "not a server with a port");
    refused("url = \"rediss://:hunter2@redis:6379/1#insecure\"", "has more in it");
    refused(&format!("url = \"redis://:hunter2@redis\"\n[store.login]\n{file}"), "holds a login as well");
    refused(&format!("{url}[store.login]\nusername = \"weir\""), "has no password");
    refused(&format!("{url}[store.login]\npassword_file = \"no.password\""), "there is no file");
    refused(&format!("{url}[store.login]\npassword_env = \"WEIR_NEVER_SET\""), "the environment has no");
    refused(&format!("{url}[store.login]\npassword_env = \"PATH\"\n{file}"), "password_file is given as well");
    refused("url = \"redis://redis\"\n[store.tls]", "speaks in clear");
    refused(&format!("{url}[store.tls]\nkey = \"../Cargo.toml\""), "only of use together");
    refused(&format!("{url}[store.tls]\nca_file = \"no.pem\""), "there is no file");
}

#[test]
fn two_rooms_share_neither_name_nor_place_nor_cookie() {
    let second = |name: &str, more: &str| {
        format!(
            "[[room]]\nname = \"{name}\"\nhost = \"b.example\"\nupstream = \"shop\"\nnew_users_per_minute = 1\n{more}"
        )
    };
    assert_eq!(with(&second("b", ""), ""), [""; 0]);
    let same_name = with(&second("launch", ""), "");
    assert!(same_name.len() == 1 && same_name[0].contains("launch is already taken on line 5"), "{same_name:?}");
    let same_cookie = with(&second("b", "cookie_suffix = \"launch\""), "");
    assert!(same_cookie.len() == 1 && same_cookie[0].contains("one cookie"), "{same_cookie:?}");
    let same_place = with(&second("b", "additional_routes = [{ host = \"A.example\" }]"), "");
    assert!(same_place.len() == 1 && same_place[0].contains("a.example/ is already taken"), "{same_place:?}");
}

#[test]
fn a_path_covers_what_is_below_it_unless_it_is_exact_and_has_one_spelling() {
    let room = |keys: &str| {
        let text = format!(
            "[[upstream]]\nname = \"shop\"\nservers = \"shop:80\"\n[[room]]\nname = \"launch\"\nhost = \"a.example\"\n\
             upstream = \"shop\"\nnew_users_per_minute = 60\n{keys}\n"
        );
        read(&text).unwrap().rooms.remove(0)
    };
    for same in
        ["path = \"/launch\"", "path = \"/launch/\"", "path = \"/launch/*\"", "path = \"/launch\"\nexact = false"]
    {
        assert_eq!(room(same), room("path = \"/launch\""), "{same}");
    }
    for all in ["", "path = \"/\"", "path = \"/*\""] {
        assert_eq!(room(all).coverage(), "room \"launch\" covers everything on a.example", "{all}");
    }
    let more = "path = \"/launch\"\nbypass = [\"/launch/logo.svg\", \"/launch/images/*\"]\n\
                additional_routes = [{ host = \"*\", path = \"/cart/\", exact = true }]";
    assert_eq!(
        room(more).coverage(),
        "room \"launch\" covers a.example/launch and everything below it and /cart alone on every host, except \
         /launch/logo.svg and /launch/images and everything plainly below it"
    );
    let both = with(
        "",
        "path = \"/launch\"\nadditional_routes = [{ host = \"a.example\", path = \"/launch\", exact = true }]",
    );
    assert_eq!(both, [""; 0], "an exact path goes before the same with what is below it");
}

#[test]
fn port_zero_may_be_asked_for_twice() {
    assert_eq!(with("[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"", ""), [""; 0]);
}

#[test]
fn a_route_may_answer_for_a_room() {
    let room = "[[room]]\nname = \"b\"\nhost = \"b.example\"\nnew_users_per_minute = 1\n";
    assert_eq!(with(&format!("{room}[[route]]\nhost = \"*.example\"\nupstream = \"shop\""), ""), [""; 0]);
}

#[test]
fn a_room_becomes_the_rules_that_decide() {
    let room = |keys: &str| {
        let text = EXAMPLE.replace("queue_all = false", keys);
        read(&text).unwrap().rooms[0].policy()
    };
    let calm = room("burst = 7");
    assert_eq!((calm.rules.rate, calm.rules.burst), (10.0, 7.0));
    assert_eq!((calm.rules.session, calm.rules.total_active_users), (300_000, Some(5000)));
    assert!(calm.rules.open && calm.rules.enforced && !calm.suspended);
    assert_eq!(calm.queueing_method, QueueingMethod::Fifo);
    let longest = |keys: &str| room(keys).rules.max_session;
    assert_eq!(longest("queue_all = false"), None, "who is active stays");
    assert_eq!(longest("max_session = \"7m\""), Some(420_000));
    let script = EXAMPLE.replace("session_script = false", "session_script = true");
    assert_eq!(read(&script).unwrap().rooms[0].policy().rules.max_session, Some(1_200_000), "four times as long");
    let both = script.replace("#max_session = \"20m\"", "max_session = \"2880h\"");
    assert_eq!(read(&both).unwrap().rooms[0].policy().rules.max_session, Some(2_880 * 3_600_000));
    let closed = room("queue_all = true");
    assert!(!closed.rules.open && (closed.rules.burst - 10.0).abs() < f64::EPSILON);
    let dry = read(&EXAMPLE.replace("\"fifo\"", "\"passthrough\"")).unwrap().rooms[0].policy();
    assert!(dry.rules.open && !dry.rules.enforced);
    let suspended = read(&EXAMPLE.replace("suspended = false", "suspended = true")).unwrap().rooms[0].policy();
    assert!(suspended.suspended && !suspended.rules.open);
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_too() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Config::load(&folder.path().join("none.toml")).unwrap_err();
    assert!(missing.len() == 1 && missing[0].what.contains("cannot be read"), "{missing:?}");
    let file = folder.path().join("latin.toml");
    std::fs::write(&file, b"[log]\n# caf\xe9\n").unwrap();
    let latin = Config::load(&file).unwrap_err();
    assert_eq!(place(&latin[0]), (2, 6));
}

/// Whatever is read: no panic, and each problem has a place in the file.
fn survives(text: &str) {
    let Err(all) = Config::read(text, &PathBuf::from("weir.toml")) else { return };
    assert!(!all.is_empty());
    let lines = text.split('\n').count();
    assert!(all.iter().map(place).all(|(line, column)| (1..=lines).contains(&line) && column >= 1));
    assert!(all.iter().map(place).is_sorted());
}

fn lines_of_the_example() -> Vec<String> {
    example_in_full().lines().map(str::to_owned).collect()
}

/// Pieces that an edit of a file may put in.
const EDIT: &str = "[\\[\\]{}=.,#\"\n a-z0-9*/-]{0,6}|\\PC{0,3}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn any_text_of_the_alphabet_of_toml_is_read_without_a_panic(text in "[\\[\\]{}=.,#\"'\\\\\n a-z0-9_-]{0,200}") {
        survives(&text);
    }

    #[test]
    fn an_altered_example_is_read_without_a_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize, EDIT), 1..12),
    ) {
        let mut text: Vec<char> = example_in_full().chars().collect();
        for (at, removed, added) in edits {
            let from = at.index(text.len());
            let to = (from + removed).min(text.len());
            text.splice(from..to, added.chars());
        }
        survives(&text.into_iter().collect::<String>());
    }

    #[test]
    fn lines_in_any_order_are_read_without_a_panic(
        lines in prop::collection::vec(prop::sample::select(lines_of_the_example()), 0..40),
    ) {
        survives(&lines.join("\n"));
    }

    #[test]
    fn any_bytes_are_loaded_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weir.toml");
        std::fs::write(&file, bytes).unwrap();
        prop_assert!(Config::load(&file).is_err());
    }
}

#[test]
fn a_listener_for_everybody_is_asked_which_balancer_stands_in_front() {
    let rest = "[[upstream]]\nname = \"shop\"\nservers = \"shop:80\"\n[[route]]\nhost = \"*\"\nupstream = \"shop\"\n";
    let warnings = |listen: &str| read(&format!("[listen]\n{listen}\n{rest}")).unwrap().warnings;
    let told = warnings("http = [\"0.0.0.0:80\"]");
    assert!(told.len() == 1 && told[0].to_string().contains("balancer"), "{told:?}");
    for quiet in [
        "http = [\"127.0.0.1:80\"]",
        "http = [\"0.0.0.0:80\"]\ntrusted_proxies = []",
        "trusted_proxies = [\"10.0.0.0/8\"]",
    ] {
        assert!(warnings(quiet).is_empty(), "{quiet}");
    }
}

/// A configuration that a script fills in, with these values in the places of its names.
fn filled(template: &str, values: &[(&str, &str)]) -> String {
    let filled =
        values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value));
    filled.replace("{{", "{").replace("}}", "}")
}

#[test]
fn gateways_of_the_bench_of_the_shield_are_set_as_it_says() {
    let shield = filled(
        include_str!("../../../benches/shield.d/shield.toml"),
        &[("postgres", "5432"), ("orders", "25"), ("payments", "80")],
    );
    let values = [("http", "0"), ("admin", "0"), ("shop", "9000"), ("store", "path = \"weir.redb\"")];
    let of = |commands, shield| {
        let parts = [&values[..], &[("commands", commands), ("shield", shield)]].concat();
        read(&filled(include_str!("../../../benches/shield.d/weir.toml"), &parts)).unwrap()
    };
    let (shielded, bare) = (of("\"revoke\", \"rate\"", shield.as_str()), of("\"revoke\"", ""));
    let limits = |config: &Config| config.routes.iter().filter_map(|route| route.max_in_flight).collect::<Vec<_>>();
    assert_eq!((limits(&shielded), limits(&bare)), (vec![25, 80], vec![]));
    assert_eq!([&shielded, &bare].map(|config| config.rooms[0].signals.len()), [1, 0]);
}
