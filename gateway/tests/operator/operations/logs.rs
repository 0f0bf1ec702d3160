//! Access lines and events, each in a stream of its own.

use std::io::Write as _;
use std::process::Command;

use crate::common::{
    CLOSED, JSON, Kept, ROOMY, Shop, WEIR, Weir, answering, config, head, ok, raw, request, server, until_true,
};

/// More than is taken into memory with its head.
const LARGE: usize = 900_000;

#[test]
fn an_access_line_says_what_was_asked_and_answered_and_names_nobody() {
    let shop = answering(|head| match head {
        large if large.contains("/large") => ok(&"x".repeat(LARGE)),
        _ => ok("welcome to the shop"),
    });
    let weir = Weir::start(&config(shop, ROOMY));
    until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= 100);
    let headers = [JSON, ("X-Request-Id", "not-believed"), ("Cookie", "weir_launch=a-secret; session=another")];
    weir.send("POST", "/checkout?card=4111&next=%2F", &[("Host", "Shop.Example:80")], "a body");
    weir.get("/launch/item?token=a-secret", &headers);
    weir.get("/large", &[]);
    weir.send("HEAD", "/head", &[], "");

    let line = weir.access_of("/checkout");
    let text = |name: &str| line[name].as_str().unwrap_or_else(|| panic!("{name} is not in {line}"));
    assert_eq!(
        ["method", "host", "client", "verdict", "upstream", "http", "room"].map(text),
        ["POST", "shop.example", "127.0.0.0/24", "no_room", "shop", "1", ""]
    );
    assert_eq!(
        (line["status"].as_u64(), line["bytes"].as_u64(), &line["cut"]),
        (Some(200), Some(19), &serde_json::Value::Null)
    );
    let [upstream, first, total] =
        ["upstream_ms", "first_byte_ms", "total_ms"].map(|name| line[name].as_f64().unwrap());
    assert!(upstream > 0.0 && upstream <= first && first <= total, "{line}");
    assert!(text("timestamp").ends_with('Z') && text("request_id").len() > 8, "{line}");
    let joined = weir.access_of("/launch/item");
    assert_eq!((joined["room"].as_str(), joined["verdict"].as_str()), (Some("launch"), Some("join")));
    assert_eq!(joined["reason"], "malformed");
    assert_eq!(weir.access_of("/large")["bytes"].as_u64(), Some(LARGE as u64));
    assert_eq!(weir.access_of("/head")["bytes"].as_u64(), Some(0));
    for secret in ["4111", "a-secret", "another", "127.0.0.1", "a body"] {
        assert!(!weir.access().contains(secret), "{secret} is in {}", weir.access());
    }
    assert!(!weir.access().contains("\"level\"") && weir.access().lines().count() >= 4, "events go elsewhere");
}

#[test]
fn the_settings_of_access_lines_count_from_a_reload_on() {
    let shop = Shop::open();
    let text = config(shop.address, CLOSED);
    let weir = Weir::start(&text);
    let reloads = "weir_reloads_total{what=\"configuration\",result=\"ok\"}";
    let named = |client: &str, path: &str| {
        let before = weir.metric(reloads);
        std::fs::write(weir.config_file(), format!("{text}[log]\nclient = \"{client}\"\nquery = true\n")).unwrap();
        until_true("it is in force", || weir.metric(reloads) > before);
        weir.get(path, &[]);
        weir.access_of(path)["client"].as_str().map(str::to_owned)
    };
    assert_eq!(named("full", "/full?a=1&b=2").as_deref(), Some("127.0.0.1"));
    assert_eq!(named("none", "/none?a=1"), None);
    let hash = named("hash", "/hash?a=1").unwrap();
    assert!(hash.len() == 16 && !hash.contains('.'), "{hash}");
    weir.get("/hash?a=2", &[]);
    assert_eq!(weir.access_of("/hash?a=2")["client"].as_str(), Some(&*hash), "the same for the same");
}

#[test]
fn an_answer_that_is_not_taken_to_its_end_is_told_as_cut() {
    let shop = server(|mut stream| {
        let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
        while head(&mut reader).is_some() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
        }
    });
    let weir = Weir::start(&config(shop, ""));
    let mut client = Kept::open(weir.http);
    client.send("GET /half HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert!(head(&mut client.0).is_some());
    drop(client);
    let line = weir.access_of("/half");
    assert_eq!((line["cut"].as_bool(), line["bytes"].as_u64()), (Some(true), Some(4)), "{line}");
}

#[test]
fn bytes_of_a_request_do_not_become_lines_or_fields() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, CLOSED));
    raw(weir.http, b"GET /a%0a\"},{\"b\\ HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
    raw(weir.http, b"GET /\xf0\x9f\x9b\x92 HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
    weir.get("/last", &[]);
    weir.access_of("/last");
    for line in weir.access().lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
}

#[test]
fn lines_that_cannot_be_written_are_counted_and_hold_nobody_up() {
    let shop = Shop::open();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("weir.toml"), config(shop.address, CLOSED)).unwrap();
    let mut command = Command::new("sh");
    let file = dir.path().join("weir.toml");
    command.arg("-c").arg(format!("exec {WEIR} serve --config {} >/dev/full", file.display()));
    let weir = Weir::spawn(dir, command);
    assert!(weir.get("/", &[]).is_shop());
    until_true("it is counted", || weir.metric("weir_log_dropped_total{stream=\"access\",why=\"queue\"}") >= 1.0);
    until_true("it is said", || weir.log().contains("log lines lost") && weir.log().contains("\"stream\":\"access\""));
    assert_eq!(weir.metric("weir_log_dropped_total{stream=\"events\",why=\"queue\"}"), 0.0);
}

#[test]
fn a_reload_says_in_words_what_it_changed_and_no_secret() {
    let shop = Shop::open();
    let store = "[store]\nurl = \"redis://:hunter2@cache.example:6379\"\n";
    let text = config(shop.address, &format!("{CLOSED}{store}"));
    let weir = Weir::start(&text);
    let after = text
        .replace("= 600", "= 1200")
        .replace("queue_all = true", "queue_all = false\nsession_duration = \"90s\"")
        .replace("hunter2@cache.example", "hunter3@other.example")
        .replace("response_timeout = \"2s\"", "response_timeout = \"3s\"");
    let second = "[[room]]\nname = \"second\"\nhost = \"b.example\"\nnew_users_per_minute = 60\n";
    let last = text.clone() + second;
    std::fs::write(weir.config_file(), &after).unwrap();
    until_true("all of it is told", || weir.log().contains("response_timeout was"));
    let log = weir.log();
    let events: Vec<serde_json::Value> = log
        .lines()
        .filter(|line| line.contains("configuration changed"))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let words: Vec<&str> = events.iter().map(|event| event["fields"]["message"].as_str().unwrap()).collect();
    assert_eq!(
        words,
        [
            "configuration changed: room \"launch\": new_users_per_minute was 600, is 1200",
            "configuration changed: room \"launch\": queue_all was true, is false",
            "configuration changed: room \"launch\": session_duration was \"5m\", is \"90s\"",
            "configuration changed: store: url was \"redis://***@cache.example:6379\", is \"redis://***@other.example:6379\" after a restart",
            "configuration changed: upstream \"shop\": response_timeout was \"2s\", is \"3s\"",
        ]
    );
    let fields = &events[0]["fields"];
    assert_eq!(
        ["room", "field", "old", "new"].map(|name| fields[name].as_str().unwrap()),
        ["launch", "new_users_per_minute", "600", "1200"]
    );
    std::fs::write(weir.config_file(), &last).unwrap();
    until_true("a new room is told", || weir.log().contains("room \\\"second\\\" is new"));
    std::fs::write(weir.config_file(), &text).unwrap();
    until_true("and that it is gone", || weir.log().contains("room \\\"second\\\" is gone"));
    assert!(!weir.log().contains("hunter"), "{}", weir.log());
    assert_eq!(request(weir.admin, "GET", "/readyz", &[], "").status, 200);
}
