//! `docs/privacy.md` against what a gateway does: the cookies that it sets, what a browser keeps, what is in the store and in
//! the log.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

use crate::common::browser::Browser;
use crate::common::redis::RedisServer;
use crate::common::{Answer, CLOSED, JSON, ROOMY, Shop, Weir, config, until, until_true};
use serde_json::{Value as Json, json};

const TLS: (&str, &str) = ("X-Forwarded-Proto", "https");
/// The only client: these words must not be found anywhere.
const ADDRESS: &str = "203.0.113.77";
const AGENT: &str = "browser-of-one-person/7.0";

fn document() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/privacy.md")).unwrap()
}

/// The cells of the rows below this heading, up to the next.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let document = document();
    let part = document.split_once(&format!("## {heading}\n")).unwrap().1.split("\n## ").next().unwrap().to_owned();
    let rows = part.lines().filter(|line| line.starts_with("| ") && !line.starts_with("|--"));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The text in backticks.
fn code(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// A gateway that trusts the client's headers about TLS and its address.
fn behind(shop: &Shop, rooms: &str) -> Weir {
    let text = config(shop.address, rooms);
    Weir::start(&text.replace("[quota]\n", "trusted_proxies = [\"127.0.0.0/8\"]\n[quota]\n"))
}

/// Name, `Max-Age` and the other attributes of the cookie that is set.
fn set(answer: &Answer) -> (String, String, String) {
    let cookie = answer.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {answer:?}"));
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    let (age, others) = attributes.split_once("; ").unwrap();
    (pair.split('=').next().unwrap().to_owned(), age.strip_prefix("Max-Age=").unwrap().to_owned(), others.to_owned())
}

#[test]
fn cookies_have_the_names_lifetimes_and_attributes_of_the_document() {
    let shop = Shop::open();
    let closed = behind(&shop, CLOSED);
    let confirmed = behind(&shop, &format!("{CLOSED}join = \"confirmed\"\n"));
    let open = behind(&shop, ROOMY);
    let longer = behind(&shop, &format!("{ROOMY}session_duration = \"48h\"\n"));
    let rows = rows("In the browser");
    let row = |begins: &str| rows.iter().find(|row| row[0].starts_with(begins)).unwrap_or_else(|| panic!("{rows:?}"));
    let attributes = |begins: &str| code(&row(begins)[1])[0].clone();

    for (index, headers) in [(1, vec![JSON, TLS]), (2, vec![JSON])] {
        let entered =
            |weir: &Weir| until("somebody is in", || Some(weir.get("/launch/item", &headers)).filter(Answer::is_shop));
        let waits = closed.get("/launch/item", &headers);
        let shown = waits.cookie().unwrap();
        let left = closed.send("POST", "/.weir/leave/launch", &[&headers[..], &[("Cookie", &*shown)]].concat(), "");
        let others = attributes(if index == 1 { "over TLS" } else { "without TLS" });
        for (begins, answer) in [
            ("a place in the line", &waits),
            ("a pass", &entered(&open)),
            ("the question", &confirmed.get("/launch/item", &headers)),
            ("nothing", &left),
        ] {
            let row = row(begins);
            let age = row[3].split(',').next().unwrap().to_owned();
            assert_eq!(set(answer), (code(&row[index])[0].clone(), age, others.clone()), "{begins}");
        }
        assert!(row("a pass")[3].contains("`session_duration` if that is longer"));
        assert_eq!(set(&entered(&longer)).1, (48 * 3600).to_string());
    }
    assert!(document().contains("With `cookie_attributes.domain` the cookie is `weir_launch` over TLS, too."));
    let shared = CLOSED.replace("\"*\"", "\"shop.example\"") + "cookie_attributes.domain = \"shop.example\"\n";
    assert_eq!(set(&behind(&shop, &shared).get("/launch/item", &[JSON, TLS])).0, "weir_launch");
}

#[test]
fn a_browser_in_line_keeps_one_cookie_and_what_the_document_lists() {
    let browser = Browser::open(true);
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, &format!("{CLOSED}join = \"confirmed\"\n")));
    browser.go(&format!("http://{}/launch/item", weir.http));
    until_true("it has a place", || browser.text("position") == "1");
    let kept = |storage: &str| browser.run(&format!("return Object.keys({storage}).sort()"));
    let listed = |storage: &str| {
        let rows = rows("In the browser");
        let keys = rows.iter().filter(|row| code(&row[1]) == [storage]).flat_map(|row| code(&row[0]));
        keys.collect::<BTreeSet<_>>()
    };
    assert_eq!(listed("localStorage"), BTreeSet::from(["weir.launch".to_owned()]));
    let of_a_tab = ["weir.launch", "weir.launch.page", "weir.notify.launch", "weir.notify.launch.rung"];
    assert_eq!(listed("sessionStorage"), of_a_tab.map(str::to_owned).into());
    assert_eq!(kept("localStorage"), json!(["weir.launch"]));
    for key in kept("sessionStorage").as_array().unwrap() {
        assert!(listed("sessionStorage").contains(key.as_str().unwrap()), "{key}");
    }
    assert_eq!(browser.run("return document.cookie"), "", "no script reads the cookie");
    let loaded = browser.run("return performance.getEntriesByType('resource').map(entry => new URL(entry.name).host)");
    let own = weir.http.to_string();
    assert!(loaded.as_array().unwrap().iter().all(|host| host == own.as_str() || host == ""), "{loaded}");
}

/// One shopper waits; another enters, comes back, and leaves.
fn traffic(weir: &Weir, form: bool) -> Vec<String> {
    let agent = ("User-Agent", AGENT);
    let from = ("X-Forwarded-For", ADDRESS);
    let waits = weir.get("/wait/item?name=kim", &[JSON, agent, from]);
    let pass = until("somebody is in", || {
        let answer = weir.get("/launch/item?name=kim", &[JSON, agent, from]);
        answer.is_shop().then(|| answer.cookie()).flatten()
    });
    weir.get("/launch/a.css", &[agent, from, ("Cookie", &pass)]);
    if form {
        weir.send("POST", "/launch/echo", &[agent, from, ("Cookie", &pass)], "name=kim-in-a-form");
    }
    weir.send("POST", "/.weir/leave/launch", &[agent, from, ("Cookie", &pass)], "");
    let sealed = [waits.cookie().unwrap(), pass];
    sealed.map(|cookie| cookie.split_once('=').unwrap().1.to_owned()).into()
}

fn rooms() -> String {
    format!("{ROOMY}{}", CLOSED.replace("launch", "wait"))
}

#[test]
fn access_lines_hold_the_fields_of_the_document_and_no_token_address_or_query() {
    let shop = Shop::open();
    let weir = behind(&shop, &rooms());
    let sealed = traffic(&weir, true);
    let lines = || -> Vec<Json> {
        let lines =
            weir.log().lines().map(|line| serde_json::from_str::<Json>(line).unwrap_or_default()).collect::<Vec<_>>();
        lines.into_iter().filter(|line| line["target"] == "access").collect()
    };
    until_true("they are written", || lines().len() >= 5);
    let listed: BTreeSet<String> = rows("In the log").iter().flat_map(|row| code(&row[0])).collect();
    for line in lines() {
        let fields = line["fields"].as_object().into_iter().flat_map(|fields| fields.keys());
        let fields = line.as_object().unwrap().keys().filter(|field| *field != "fields").chain(fields);
        for field in fields {
            assert!(listed.contains(field), "{field} is not in the document: {line}");
        }
    }
    let log = weir.log();
    for secret in sealed.iter().map(String::as_str).chain([ADDRESS, AGENT, "name=kim", "kim-in-a-form"]) {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

/// A key of a room or of all, as the document writes it.
fn pattern(key: &str) -> String {
    let key = key.replace("{launch}", "{room}").replace("{wait}", "{room}");
    match key.rsplit_once(":claimed:") {
        Some((room, _)) => format!("{room}:claimed:N"),
        None => key,
    }
}

#[test]
fn redis_holds_the_keys_of_the_document_and_nobody_in_them() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("shared.secret"), "one secret for all the gateways of a line").unwrap();
    let store = format!("[store]\nkind = \"redis\"\nurl = \"{}\"\nsecret_file = \"shared.secret\"\n", redis.url());
    let text = config(shop.address, &rooms()).replace("[quota]\n", "trusted_proxies = [\"127.0.0.0/8\"]\n[quota]\n");
    std::fs::write(dir.path().join("weir.toml"), text + &store).unwrap();
    let weir = Weir::start_in(dir);
    let sealed = traffic(&weir, false);
    until_true("somebody is in and stays", || weir.get("/launch/item", &[JSON]).is_shop());
    let cli = |arguments: &[&str]| {
        let output = std::process::Command::new("redis-cli")
            .arg("-p")
            .arg(redis.address.port().to_string())
            .args(arguments)
            .output();
        String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
    };
    let listed: BTreeSet<String> = rows("In the store").iter().flat_map(|row| code(&row[0])).collect();
    let keys = cli(&["--scan", "--pattern", "*"]);
    assert!(keys.contains("weir:{launch}:2:line") && keys.contains("weir:{launch}:2:active"), "{keys}");
    for key in keys.lines() {
        assert!(listed.contains(&pattern(key)), "{key} is not in the document");
    }
    let all = cli(&["--rdb", "-"]);
    for secret in sealed.iter().map(String::as_str).chain([ADDRESS, AGENT, "/launch/item", "name=kim"]) {
        assert!(!all.contains(secret), "{secret} is in the store");
    }
    // The way to forget a room, as it stands in the document.
    let line = document().split('`').find(|part| part.starts_with("redis-cli --scan")).unwrap().to_owned();
    drop(weir);
    let port = redis.address.port().to_string();
    let done = std::process::Command::new("sh")
        .args(["-euc", &line.replace("redis-cli", &format!("redis-cli -p {port}"))])
        .output();
    assert!(done.unwrap().status.success());
    let left = cli(&["--scan", "--pattern", "*"]);
    assert!(!left.contains("{launch}") && left.contains("{wait}"), "{left}");
}

#[test]
fn the_embedded_store_holds_nobody() {
    let shop = Shop::open();
    let weir = behind(&shop, &rooms());
    let sealed = traffic(&weir, true);
    let file = std::fs::read(weir.dir.path().join("weir.redb")).unwrap();
    let has = |text: &str| file.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("launch"), "it is read as it is written");
    for secret in sealed.iter().map(String::as_str).chain([ADDRESS, AGENT, "/launch/item", "kim"]) {
        assert!(!has(secret), "{secret} is in the store");
    }
}
