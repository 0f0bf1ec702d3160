//! What an operator does: change the file, ask for the state, use the command, end the process.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::float_cmp, reason = "metrics are counts")]

use std::collections::BTreeSet;
use std::io::BufReader;
use std::io::Write as _;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use crate::common::{
    CLOSED, JSON, Kept, PAGE, ROOMY, Shop, Weir, config, head, nobody, ok, request, server, until, until_true, weir,
};

const RELOADED: &str = r#"weir_reloads_total{what="configuration",result="ok"}"#;
const REFUSED: &str = r#"weir_reloads_total{what="configuration",result="refused"}"#;

/// Waits until the gateway has taken another configuration.
fn change(weir: &Weir, text: &str) {
    let before = weir.metric(RELOADED);
    std::fs::write(weir.config_file(), text).unwrap();
    until_true("it is in force", || weir.metric(RELOADED) > before);
}

#[test]
fn a_changed_file_is_in_force_and_connections_places_and_passes_stay() {
    let shop = Shop::open();
    let open = config(shop.address, ROOMY);
    let weir = Weir::start(&open);
    until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= 100);
    let mut holder = Kept::open(weir.http);
    let pass = holder.get("/launch/item", &[JSON]).cookie().unwrap();

    change(&weir, &config(shop.address, CLOSED));
    let mut newcomer = Kept::open(weir.http);
    let first = newcomer.get("/launch/item", &[JSON]);
    let ticket = first.cookie().unwrap();
    assert_eq!(weir.room()["new_users_per_minute"], 600);
    assert!(holder.get("/launch/item", &[PAGE, ("Cookie", &pass)]).is_shop(), "the kept connection goes on");

    change(&weir, &config(shop.address, &format!("{CLOSED}queueing_status_code = 202\n")));
    let again = newcomer.get("/launch/item", &[JSON, ("Cookie", &ticket)]);
    assert_eq!((again.status, again.ticket()), (202, first.ticket()), "the place stays");
    assert!(holder.get("/launch/a.css", &[("Cookie", &pass)]).is_shop());

    change(&weir, &open);
    until_true("who waited is let in", || newcomer.get("/launch/item", &[JSON, ("Cookie", &ticket)]).is_shop());
    assert!(holder.get("/launch/a.css", &[("Cookie", &pass)]).is_shop());
    weir.is_well();
}

/// Two seats for five minutes.
const TWO_SEATS: &str = r#"
[[room]]
name = "launch"
host = "*"
path = "/launch"
new_users_per_minute = 600
total_active_users = 2
"#;

#[test]
fn while_no_seat_is_free_the_line_says_so_until_there_is_one() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, TWO_SEATS));
    let came = std::thread::scope(|scope| {
        let all: Vec<_> = (0..20).map(|_| scope.spawn(|| weir.get("/launch/item", &[JSON]))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    let status = || weir.get("/.weir/status/launch", &[]).json();
    until_true("it says why", || status()["reason"] == "full");
    let last = came.iter().filter(|answer| !answer.is_shop()).max_by_key(|answer| answer.ticket()).unwrap();
    let cookie = last.cookie().unwrap();
    // A copy of the line that was long on its way tells no position.
    let told = until("a position is told", || {
        Some(weir.get("/launch/item", &[JSON, ("Cookie", &cookie)]).waiting()).filter(|told| told["position"].is_u64())
    });
    assert_eq!(told["reason"], "full");
    let page = weir.get("/launch/item", &[PAGE, ("Accept-Language", "en"), ("Cookie", &cookie)]).body;
    assert!(page.contains("The shop is full at the moment") && page.contains("as of <time"), "{page}");

    let ahead = told["ticket"].as_u64().unwrap() - status()["serving"].as_u64().unwrap();
    assert!(told["position"].as_u64().unwrap() >= ahead, "who is called and has not entered stands before");
    change(&weir, &config(shop.address, &TWO_SEATS.replace("= 2", "= 2000")));
    until_true("it is over", || status()["reason"].is_null());
}

#[test]
fn an_answer_under_way_survives_a_change_of_its_upstream_and_room() {
    let (word, words) = channel::<()>();
    let words = Arc::new(Mutex::new(words));
    let old = server(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while head(&mut reader).is_some() {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nold").unwrap();
            if words.lock().unwrap().recv().is_err() || stream.write_all(b"old").is_err() {
                return;
            }
        }
    });
    let new = crate::common::answering(|_| ok("new"));
    let weir = Weir::start(&config(old, CLOSED));
    let mut client = Kept::open(weir.http);
    client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert!(head(&mut client.0).is_some());
    change(&weir, &config(new, "").replace("path = \"/\"", "path = \"/\"\n"));
    assert_eq!(weir.get("/", &[]).body, "new");
    word.send(()).unwrap();
    let mut body = [0; 6];
    std::io::Read::read_exact(&mut client.0, &mut body).unwrap();
    assert_eq!(&body, b"oldold");
    assert_eq!(client.get("/", &[]).body, "new", "the same connection");
    assert_eq!(weir.get("/launch/item", &[JSON]).body, "new", "the room is gone");
    assert!(!weir.log().contains("panicked"));
}

#[test]
fn a_hangup_reads_the_file_again_even_if_it_looks_the_same() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, CLOSED));
    for round in 1..=3 {
        weir.signal("HUP");
        until_true("it was read", || weir.metric(RELOADED) >= f64::from(round));
    }
    weir.is_well();
}

#[test]
fn an_invalid_file_is_refused_as_a_whole_and_its_problems_are_in_the_log() {
    let shop = Shop::open();
    let good = config(shop.address, CLOSED);
    let weir = Weir::start(&good);
    let ticket = weir.get("/launch/item", &[JSON]);
    let wrongs = [
        good.replace("new_users_per_minute = 600", "new_users_per_minute = 1200\nnew_user_per_minute = 7"),
        good.replace("path = \"/launch\"", "path = \"launch\"").replace("= 600", "= 1200"),
        good.replace("upstream = \"shop\"", "upstream = \"shoop\"").replace("= 600", "= 1200"),
        good.replace("= 600", "= "),
        String::new(),
        "\0\u{7f}".to_owned(),
    ];
    for wrong in wrongs {
        let before = weir.metric(REFUSED);
        // At once: half a file is another one that is wrong.
        let written = weir.dir.path().join("written");
        std::fs::write(&written, &wrong).unwrap();
        std::fs::rename(&written, weir.config_file()).unwrap();
        until_true("it is refused", || weir.metric(REFUSED) > before);
        assert_eq!(weir.room()["new_users_per_minute"], 600, "{wrong}");
        let again = weir.get("/launch/item", &[JSON, ("Cookie", &ticket.cookie().unwrap())]);
        assert_eq!(again.ticket(), ticket.ticket());
    }
    until_true("it is told", || weir.log().contains("configuration refused"));
    let log = weir.log();
    for word in ["new_user_per_minute", "new_users_per_minute", "shoop", "weir.toml"] {
        assert!(log.contains(word), "{word} is not in {log}");
    }
    let before = weir.metric(REFUSED);
    std::fs::remove_file(weir.config_file()).unwrap();
    weir.signal("HUP");
    until_true("a missing one is refused", || weir.metric(REFUSED) > before);
    change(&weir, &good.replace("= 600", "= 1200"));
    assert_eq!(weir.room()["new_users_per_minute"], 1200);
    weir.is_well();
}

#[test]
fn a_change_that_needs_a_restart_is_said_and_the_rest_is_taken() {
    let shop = Shop::open();
    let good = config(shop.address, CLOSED);
    let weir = Weir::start(&good);
    change(&weir, &good.replace("workers = 2", "workers = 3").replace("= 600", "= 1200"));
    assert_eq!(weir.room()["new_users_per_minute"], 1200);
    until_true("it is said", || weir.log().contains("only with a restart"));
}

#[test]
fn the_command_says_what_is_wrong_and_its_exit_code_too() {
    let dir = tempfile::tempdir().unwrap();
    let good = config(nobody(), CLOSED);
    std::fs::write(dir.path().join("good.toml"), &good).unwrap();
    let bad = good.replace("host = \"*\"\npath = \"/launch\"", "hots = \"*\"\npath = \"launch\"");
    std::fs::write(dir.path().join("bad.toml"), bad).unwrap();

    let (code, told) = weir(&["check", "good.toml"], dir.path());
    assert!(code == 0 && told.contains("good.toml: fine (1 room, 1 upstream)"), "{code} {told}");
    for arguments in [&["check", "bad.toml"] as &[&str], &["serve", "--config", "bad.toml"]] {
        let (code, told) = weir(arguments, dir.path());
        assert_eq!(code, 2, "{told}");
        let line = told.lines().find(|line| line.contains("hots")).unwrap_or_else(|| panic!("{told}"));
        assert!(line.starts_with("bad.toml:") && told.contains("host"), "{told}");
        assert!(told.contains("to mend"), "{told}");
    }
    for arguments in [
        &["check", "none.toml"] as &[&str],
        &["serve", "--config", "none.toml"],
        &["check"],
        &["serv"],
        &["check", "."],
    ] {
        let (code, told) = weir(arguments, dir.path());
        assert_eq!(code, 2, "{arguments:?}: {told}");
        assert!(!told.is_empty() && !told.contains("panicked"), "{told}");
    }
    let (code, told) = weir(&["schema"], dir.path());
    let schema: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(code == 0 && schema["properties"]["room"].is_object(), "{told}");
    assert_eq!(weir(&["--version"], dir.path()).0, 0);
}

#[test]
fn a_warning_is_told_by_the_command_and_by_the_log_at_the_start_and_at_a_reload() {
    let shop = Shop::open();
    let open = config(shop.address, &CLOSED.replace("host = \"*\"", "host = \"shop.example\""));
    let weir = Weir::start(&open);
    let warnings =
        || weir.log().lines().filter(|line| line.contains("WARN") && line.contains("a way past this room")).count();
    until_true("it is said at the start", || warnings() == 1);
    let (code, told) = crate::common::weir(&["check", "weir.toml"], weir.dir.path());
    assert!(code == 0 && told.contains("can be used, with 1 warning (1 room, 1 upstream)"), "{told}");
    assert!(told.contains("warning: weir.toml:") && told.contains("other.example") && !told.contains("fine"), "{told}");
    change(&weir, &(open.clone() + "suspended = true\n"));
    until_true("it is said again", || warnings() == 2);
    change(&weir, &config(shop.address, CLOSED));
    assert_eq!(warnings(), 2, "nothing is to be said of this one");
}

#[test]
fn what_cannot_be_had_at_the_start_is_told_in_one_line_with_exit_code_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let held = std::net::TcpListener::bind(taken).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let good = config(nobody(), CLOSED);
    let cases = [
        (good.replace("http = \"127.0.0.1:0\"", &format!("http = \"{taken}\"")), "cannot listen on"),
        (good.clone() + "[store]\npath = \"no/such/folder/weir.redb\"\n", "no/such/folder"),
        (good.clone() + "[store]\npath = \"broken.redb\"\n", "broken.redb"),
        (good.replace("workers = 2", "workers = 2\nadmin_token_file = \"none\""), "none"),
        (good.replace("workers = 2", "workers = 2\nadmin_token_file = \"short\""), "short"),
    ];
    std::fs::write(dir.path().join("broken.redb"), "this is not a database, and never was one").unwrap();
    std::fs::write(dir.path().join("short"), "abc").unwrap();
    for (text, word) in cases {
        std::fs::write(dir.path().join("weir.toml"), text).unwrap();
        let (code, told) = weir(&["serve", "--config", "weir.toml"], dir.path());
        assert!((code == 1 || code == 2) && told.contains(word) && !told.contains("panicked"), "{word}: {code} {told}");
    }
    drop(held);
}

#[test]
fn the_operators_pages_ask_for_the_token_and_probes_do_not() {
    let shop = Shop::open();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("admin.token"), "a-token-of-the-operator\n").unwrap();
    let text = config(shop.address, CLOSED).replace("workers = 2", "workers = 2\nadmin_token_file = \"admin.token\"");
    std::fs::write(dir.path().join("weir.toml"), text).unwrap();
    let weir = Weir::start_in(dir);
    let ask = |path: &str, headers: &[(&str, &str)]| request(weir.admin, "GET", path, headers, "");
    for path in ["/metrics", "/api/rooms", "/api/rooms/launch/status", "/api/rooms/none/status"] {
        for shown in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer a-token-of-the-operato",
            "Bearer a-token-of-the-operator2",
            "Basic a-token-of-the-operator",
        ] {
            let answer = ask(path, &[("Authorization", shown)]);
            assert_eq!(answer.status, 401, "{path} {shown:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
        assert_ne!(ask(path, &[("Authorization", "Bearer a-token-of-the-operator")]).status, 401);
    }
    for probe in ["/healthz", "/readyz"] {
        assert_eq!(ask(probe, &[]).status, 200);
    }
    assert!(!weir.log().contains("a-token-of"), "a secret is in the log");
    // Outside loopback there is no listener without one.
    let dir = tempfile::tempdir().unwrap();
    let open = config(shop.address, CLOSED).replace("admin = \"127.0.0.1:0\"", "admin = \"0.0.0.0:0\"");
    std::fs::write(dir.path().join("weir.toml"), open).unwrap();
    let (code, told) = crate::common::weir(&["check", "weir.toml"], dir.path());
    assert!(code == 2 && told.contains("admin_token_file"), "{told}");
}

#[test]
fn when_it_is_told_to_end_readiness_fails_first_and_requests_under_way_finish() {
    let (word, words) = channel::<()>();
    let words = Arc::new(Mutex::new(words));
    let seen = Arc::new(Mutex::new(0));
    let count = seen.clone();
    let shop = server(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(head) = head(&mut reader) {
            *count.lock().unwrap() += 1;
            if head.contains("/gated") && words.lock().unwrap().recv().is_err() {
                return;
            }
            stream.write_all(&ok("welcome to the shop")).unwrap();
        }
    });
    let text = config(shop, CLOSED)
        .replace("workers = 2", "workers = 2\nshutdown_delay = \"3s\"")
        .replace("\"2s\"", "\"30s\"");
    let mut weir = Weir::start(&text);
    assert_eq!(request(weir.admin, "GET", "/readyz", &[], "").status, 200);
    let at = weir.http;
    let mut kept = Kept::open(at);
    assert!(kept.get("/", &[]).is_shop());
    let under_way = std::thread::spawn(move || request(at, "GET", "/gated", &[], ""));
    until_true("it is in work", || *seen.lock().unwrap() == 2);

    weir.signal("TERM");
    until_true("it is not ready", || request(weir.admin, "GET", "/readyz", &[], "").status == 503);
    assert_eq!(request(weir.admin, "GET", "/healthz", &[], "").status, 200, "it lives");
    assert!(weir.get("/", &[]).is_shop(), "and still serves who comes");
    assert!(kept.get("/", &[]).is_shop());
    assert!(weir.get("/launch/item", &[JSON]).is_line());

    until_true("no new connections", || std::net::TcpStream::connect(at).is_err());
    assert!(kept.ended(), "an idle connection is closed");
    word.send(()).unwrap();
    assert!(under_way.join().unwrap().is_shop(), "the request under way is answered");
    assert_eq!(weir.wait(), 0);
    assert!(!weir.log().contains("panicked"), "{}", weir.log());
}

#[test]
fn a_request_that_never_ends_does_not_keep_the_process_for_ever() {
    let shop = server(|stream| while head(&mut BufReader::new(stream.try_clone().unwrap())).is_some() {});
    let text = config(shop, CLOSED)
        .replace("workers = 2", "workers = 2\nshutdown_timeout = \"1s\"")
        .replace("\"2s\"", "\"60s\"");
    let mut weir = Weir::start(&text);
    let mut client = Kept::open(weir.http);
    client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    until_true("it is in work", || weir.metric(r#"weir_upstream_in_flight{upstream="shop"}"#) == 1.0);
    weir.signal("INT");
    assert_eq!(weir.wait(), 0);
    until_true("the log says it", || weir.log().contains("still under way"));
}

#[test]
fn metrics_are_prometheus_text_with_these_names() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, ROOMY));
    until_true("somebody is inside", || weir.get("/launch/item", &[JSON]).is_shop());
    weir.get("/", &[]);
    weir.get("/launch/item", &[JSON, ("Cookie", "weir_launch=a-secret")]);
    crate::common::raw(weir.http, b"not HTTP\r\n\r\n");
    weir.signal("HUP");
    until_true("it was read", || weir.metric(RELOADED) >= 1.0);
    let page = request(weir.admin, "GET", "/metrics", &[], "");
    assert!(page.header("content-type").unwrap().starts_with("text/plain"), "{}", page.head);
    let mut names = BTreeSet::new();
    for line in page.body.lines().filter(|line| !line.is_empty()) {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            // Which limits there are is for the kernel to say.
            names.extend(Some(declared.to_owned()).filter(|name| !name.starts_with("weir_machine_")));
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let ours = name.starts_with("weir_") || name.starts_with("process_");
            assert!(ours && value.parse::<f64>().is_ok(), "{line}");
        }
    }
    assert!(!page.body.contains("127.0.0.1\"") && !page.body.contains("a-secret"), "no address and no token");
    insta::assert_snapshot!(names.into_iter().collect::<Vec<_>>().join("\n"));
}
