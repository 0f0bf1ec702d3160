//! A browser's recording becomes a journey: that of a real shop, recorded with Chromium, and what else is in such files.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use launch_model::scenario::Scenario;
use loadtest::record::{self, BadHar, LONGEST_HAR, Recording};
use serde_json::{Value, json};

fn journeys() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("journeys")
}

/// A file with these entries.
fn recorded(entries: &[Value]) -> Result<Recording, BadHar> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.har");
    fs::write(&file, json!({ "log": { "version": "1.2", "entries": entries } }).to_string()).unwrap();
    record::read(&file, &[])
}

/// A request at this second, and its answer.
fn entry(second: u32, kind: &str, method: &str, url: &str, sent: &Value, answer: &Value) -> Value {
    let mut request =
        json!({ "method": method, "url": url, "headers": sent["headers"].as_array().cloned().unwrap_or_default() });
    if sent["text"].is_string() {
        request["postData"] = json!({ "mimeType": sent["kind"], "text": sent["text"] });
    }
    json!({
        "startedDateTime": format!("2026-11-29T10:00:{second:02}.000Z"), "time": 500.0, "_resourceType": kind, "request": request,
        "response": {
            "status": answer["status"].as_u64().unwrap_or(200), "redirectURL": answer["to"].as_str().unwrap_or_default(),
            "headers": answer["headers"].as_array().cloned().unwrap_or_default(),
            "content": { "mimeType": answer["kind"].as_str().unwrap_or("text/html"), "text": answer["text"] },
        },
    })
}

fn page(second: u32, url: &str, text: &str) -> Value {
    entry(second, "document", "GET", url, &Value::Null, &json!({ "text": text }))
}

fn form(text: &str) -> Value {
    json!({ "kind": "application/x-www-form-urlencoded", "text": text })
}

/// As text, step by step.
fn steps(recording: &Recording) -> String {
    recording.scenario("test", "users.csv").split_once("\n[[journey.step]]").unwrap().1.to_owned()
}

#[test]
fn the_journey_of_the_real_shop_is_what_was_recorded_in_it() {
    let recording = record::read(&journeys().join("oscar.har"), &[]).unwrap();
    let committed = Scenario::load(&journeys().join("oscar.toml")).unwrap();
    let journey = committed.journey.unwrap();
    assert_eq!(recording.journey.steps, journey.steps);
    assert_eq!(recording.journey.rows, journey.rows[..1]);
    let beside: Vec<_> = recording.beside.iter().map(|host| host.split(':').next().unwrap()).collect();
    assert_eq!((beside, recording.left_out.len()), (vec!["pay.test"], 0));
}

#[test]
fn a_recording_is_a_scenario_that_can_be_read() {
    let recording = record::read(&journeys().join("oscar.har"), &[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("shop-users.csv"), recording.users().unwrap()).unwrap();
    // One row, and two visitors a second: that has to be told.
    let problems =
        Scenario::parse(&recording.scenario("shop", "shop-users.csv"), folder.path()).unwrap_err().to_string();
    assert!(problems.contains("journey.users: 120 visitors come, and there are 1 rows"), "{problems}");
    assert_eq!(problems.lines().count(), 1, "{problems}");
    let shared = recording.scenario("shop", "shop-users.csv").replace("[journey]\n", "[journey]\nshare_users = true\n");
    let read = Scenario::parse(&shared, folder.path()).unwrap().journey.unwrap();
    assert_eq!((read.steps, read.rows), (recording.journey.steps, recording.journey.rows));
}

#[test]
fn values_are_taken_from_where_they_came_from() {
    let shop = "http://shop.test:8000";
    let at = |path: &str| format!("{shop}{path}");
    let cookie = json!([{ "name": "Cookie", "value": "a=b; csrftoken=cookie-token-1" }, { "name": "X-CSRFToken", "value": "cookie-token-1" },
                        { "name": "Authorization", "value": "Bearer secret-of-the-page" }, { "name": "Accept", "value": "*/*" }]);
    let recording = recorded(&[
        page(0, &at("/item"), "<meta name=api content=secret-of-the-page><form><input type=hidden name=csrf value=one></form>
            <form action='/login'><input type=hidden name=csrf value='two &amp; three'><input type=password name=pass></form>"),
        entry(1, "script", "GET", &at("/app.js"), &Value::Null, &json!({ "kind": "text/javascript" })),
        entry(2, "image", "GET", "http://cdn.test/a.png", &Value::Null, &json!({ "kind": "image/png" })),
        entry(2, "fetch", "POST", "http://tracker.test/hit", &form("x=1"), &json!({})),
        entry(3, "document", "POST", &at("/login"), &form("csrf=two+%26+three&user=kim%40x&pass=%24%7Bp%7D&submit=Log+in"), &json!({ "status": 302, "to": "/home/" })),
        page(3, &at("/home/"), "hello"),
        entry(5, "xhr", "POST", &at("/api/cart"), &json!({ "kind": "application/json", "text": r#"{"sku":"a","for":"kim@x","n":[1]}"#, "headers": cookie }),
            &json!({ "kind": "application/json", "text": r#"{"cart":[{"token":"cart-token-9"}]}"# })),
        entry(9, "document", "POST", &at("/order/cart-token-9?by=cart-token-9&plain=1"), &form("a=1&a=2"), &json!({ "status": 303, "to": "http://pay.test/?x" })),
        page(9, "http://pay.test/?x", "pay"),
        page(11, &at("/thanks"), "thanks"),
    ]);
    let recording = recording.unwrap();
    insta::assert_snapshot!(steps(&recording));
    assert_eq!(recording.users().unwrap(), "email,password\nkim@x,${p}\n");
    assert_eq!(recording.left_out.keys().collect::<Vec<_>>(), ["tracker.test"]);
    assert_eq!(recording.beside.iter().collect::<Vec<_>>(), ["pay.test"]);
}

#[test]
fn the_line_and_its_page_are_no_steps() {
    let line = json!({ "status": 429, "headers": [{ "name": "Weir-Status", "value": "waiting" }] });
    let recording = recorded(&[
        entry(0, "document", "GET", "http://shop.test/item", &Value::Null, &line),
        entry(
            1,
            "fetch",
            "GET",
            "http://shop.test/.weir/status/launch",
            &Value::Null,
            &json!({ "kind": "application/json" }),
        ),
        page(2, "http://shop.test/item", "shoes"),
    ]);
    assert_eq!(recording.unwrap().journey.steps.len(), 1);
}

#[test]
fn what_is_no_recording_of_a_shop_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.har");
    let read = |text: &[u8]| {
        fs::write(&file, text).unwrap();
        record::read(&file, &[]).unwrap_err().to_string()
    };
    for text in
        ["", "<html>", "[]", "{}", r#"{"log":{}}"#, r#"{"log":{"entries":[{"request":1}]}}"#, r#"{"log":{"entries":[{"#]
    {
        assert!(read(text.as_bytes()).contains("is no HAR"), "{text}");
    }
    assert!(read(&[0xff, 0xfe]).contains("is no HAR"));
    assert!(read(br#"{"log":{"entries":[]}}"#).contains("has no page in it"));
    assert!(record::read(&folder.path().join("none"), &[]).unwrap_err().to_string().contains("cannot be read"));
    let many: Vec<_> = (0..300).map(|n| page(0, &format!("http://shop.test/{n}"), "")).collect();
    assert!(recorded(&many).unwrap_err().to_string().contains("300 steps"));
}

/// As long as one says.
fn long_file(folder: &Path, megabytes: usize) -> PathBuf {
    let file = folder.join("long.har");
    let mut writer = BufWriter::new(File::create(&file).unwrap());
    let picture = entry(
        0,
        "image",
        "GET",
        "http://shop.test/a.png",
        &Value::Null,
        &json!({ "kind": "image/png", "text": "x".repeat(1 << 20) }),
    );
    let picture = picture.to_string();
    write!(writer, r#"{{"log":{{"entries":[{}"#, page(0, "http://shop.test/item", "shoes")).unwrap();
    (0..megabytes).for_each(|_| write!(writer, ",{picture}").unwrap());
    writer.write_all(b"]}}").unwrap();
    writer.flush().unwrap();
    file
}

fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

#[test]
fn a_recording_of_200_mb_is_read_entry_by_entry_and_a_longer_one_than_is_read_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let long = long_file(folder.path(), 200);
    assert!(fs::metadata(&long).unwrap().len() > 200 << 20);
    let before = resident();
    assert_eq!(record::read(&long, &[]).unwrap().journey.steps.len(), 1);
    let grown = (resident() - before) >> 10;
    assert!(grown < 40, "{grown} MB more");
    File::options().write(true).open(&long).unwrap().set_len(LONGEST_HAR + (1 << 20)).unwrap();
    let told = record::read(&long, &[]).unwrap_err().to_string();
    assert!(told.contains("has 257 MB, and at most 256 MB are read; clear the network log"), "{told}");
}
