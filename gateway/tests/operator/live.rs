//! `GET /api/live`: what it tells, how it goes on after a break, and what it costs the gateway when nobody reads it.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use socket2::{Domain, Socket, Type};

use crate::common::live::{Live, launch};
use crate::common::{
    Answer, CLOSED, JSON, Shop, Weir, answering, config, enters_in_turn, ok, request, until, until_true,
};

/// Streams that a gateway has at once.
const STREAMS: usize = 16;

/// Changes the file, and waits until it is in force.
fn change(weir: &Weir, text: &str) {
    let reloads = || weir.metric("weir_reloads_total{what=\"configuration\",result=\"ok\"}");
    let before = reloads();
    std::fs::write(weir.config_file(), text).unwrap();
    until_true("it is in force", || reloads() > before);
}

#[test]
fn curl_reads_what_is_kept_and_then_a_sample_a_second_until_the_gateway_ends() {
    let shop = Shop::open();
    let mut weir = Weir::start(&config(shop.address, CLOSED));
    weir.get("/launch/item", &[JSON]);
    let url = format!("http://{}/api/live", weir.admin);
    let mut curl = Command::new("curl").args(["-N", "-s", "-i", &url]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(curl.stdout.take().unwrap()).lines().map_while(Result::ok);
    let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    for line in ["HTTP/1.1 200 OK", "content-type: text/event-stream", "cache-control: no-store"] {
        assert!(head.iter().any(|told| told.eq_ignore_ascii_case(line)), "{line}: {head:?}");
    }
    let first: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    assert_eq!(first[..2], ["event: about", "retry: 1000"]);
    assert!(first[2].contains("survive a reload of the configuration, not a restart"), "{first:?}");
    let samples = lines.by_ref().filter(|line| line.starts_with("data: ")).take(4).last().unwrap();
    assert!(samples.contains("\"name\":\"launch\",\"state\":\"paused\",\"status\":\"queueing\""), "{samples}");
    weir.signal("TERM");
    assert_eq!(lines.filter(|line| line.contains("event")).count(), 0);
    assert!(curl.wait().unwrap().success(), "the stream is whole when the gateway ends");
    assert_eq!(weir.wait(), 0);
}

#[test]
fn a_sample_tells_of_arrivals_admissions_waits_and_the_shop() {
    let shop = Shop::open();
    let open = CLOSED.replace(
        "queue_all = true",
        "burst = 1\ntotal_active_users = 500\n[room.poll]\nmin = \"200ms\"\nmax = \"400ms\"",
    );
    let weir = Weir::start(&config(shop.address, &open));
    let mut live = Live::open(weir.admin, "");
    // What came before the first answer of the store is in no second.
    (0..4).for_each(|_| drop(live.next()));
    let come = || enters_in_turn(&weir);
    std::thread::scope(|scope| {
        (0..100).for_each(|_| drop(scope.spawn(come)));
        let above = |room: &serde_json::Value, field: &str| room[field].as_f64() > Some(0.0);
        let (mut seen, wanted) = (
            std::collections::BTreeSet::new(),
            [
                "arrivals_per_second",
                "admitted_per_second",
                "wait_had_seconds",
                "upstream_p95_seconds",
                "inside",
                "waiting",
            ],
        );
        live.until("each of them was seen", |sample| {
            let room = launch(sample);
            seen.extend(wanted.into_iter().filter(|field| above(room, field)));
            seen.extend(room["wait_told_seconds"]["high"].as_u64().map(|_| "wait_told_seconds"));
            seen.len() == wanted.len() + 1
        });
    });
    let last = live.until("it is quiet again", |sample| launch(sample)["admitted_per_second"] == 0).data;
    let room = launch(&last);
    assert_eq!((&room["inside"], &room["seats"], &room["waiting"]), (&100.into(), &500.into(), &0.into()), "{last}");
    assert_eq!((&room["new_users_per_minute"], &room["allowed_per_minute"]), (&600.into(), &600.into()), "{last}");
    assert!(room["wait_had_seconds"].is_null() && room["orders_per_second"].is_null(), "{last}");
    let gateways = last["gateways"].as_array().unwrap();
    assert_eq!(
        (gateways.len(), &gateways[0]["silent_seconds"], &gateways[0]["rooms_version"]),
        (1, &0.into(), &0.into())
    );
    assert!(gateways[0]["load"]["connections"].is_u64(), "{last}");
}

#[test]
fn a_sample_tells_of_refusals_by_reason_errors_of_the_shop_and_orders() {
    let shop = answering(|head| match head {
        bad if bad.contains("/bad") => b"HTTP/1.1 500 Bad\r\nContent-Length: 0\r\n\r\n".to_vec(),
        _ => ok("welcome to the shop"),
    });
    let orders = "[[route]]\nhost = \"*\"\npath = \"/launch/order\"\nclass = \"order\"\nmax_in_flight = 20\n[[room]]";
    let text = config(shop, CLOSED).replace("[[room]]", orders).replace("queue_all = true", "burst = 100");
    let weir = Weir::start(&text);
    let mut live = Live::open(weir.admin, "");
    let pass =
        until("somebody is inside", || Some(weir.get("/launch/item", &[JSON])).filter(Answer::is_shop)?.cookie());
    let is_some = |sample: &serde_json::Value, field: &str| launch(sample)[field].as_f64() > Some(0.0);
    weir.get("/launch/bad", &[JSON, ("Cookie", &pass)]);
    live.until("an error of the shop", |sample| is_some(sample, "upstream_5xx_per_second"));
    weir.send("POST", "/launch/order", &[("Cookie", &pass)], "a=1");
    live.until("an order", |sample| is_some(sample, "orders_per_second"));
    change(&weir, &text.replace("\nburst = 100\n", "\nburst = 100\nsuspended = true\n"));
    weir.get("/launch/item", &[JSON]);
    let sample =
        live.until("a refusal", |sample| launch(sample)["refused_per_second"]["suspended"].as_f64() > Some(0.0));
    assert_eq!(launch(&sample.data)["refused_per_second"]["full"], 0, "{sample:?}");
    let refused =
        |reason: &str| weir.metric(&format!("weir_joins_refused_total{{room=\"launch\",reason=\"{reason}\"}}"));
    assert_eq!(["suspended", "full", "quota"].map(refused).map(|count| count as u64), [1, 0, 0]);
    weir.get("/launch/picture.png", &[("Accept", "image/*"), ("Sec-Fetch-Dest", "image")]);
    assert_eq!(refused("suspended") as u64, 1, "a picture asks for no place");
}

#[test]
fn a_reader_goes_on_after_the_last_event_without_a_gap_over_a_reload_and_learns_of_a_restart() {
    let shop = Shop::open();
    let text = config(shop.address, CLOSED);
    let weir = Weir::start(&text);
    let mut whole = Live::open(weir.admin, "");
    assert!(whole.next().unwrap().data["resumed"].is_null());
    let mut broken = Live::open(weir.admin, "");
    let last = broken.until("a sample", |_| true).id.unwrap();
    drop(broken);
    change(&weir, &text.replace("= 600", "= 300"));
    whole.until("the reload is seen", |sample| launch(sample)["new_users_per_minute"] == 300);
    let mut broken = Live::after(weir.admin, last);
    let about = broken.next().unwrap();
    assert_eq!((about.name.as_str(), &about.data["resumed"], about.id), ("about", &true.into(), None));
    let ids = |live: &mut Live| -> Vec<u64> { (0..3).map(|_| live.next().unwrap().id.unwrap()).collect() };
    let resumed = ids(&mut broken);
    let all = {
        let mut all = Live::open(weir.admin, "");
        all.next();
        let mut ids = vec![all.next().unwrap().id.unwrap()];
        while ids.last() < resumed.last() {
            ids.push(all.next().unwrap().id.unwrap());
        }
        ids
    };
    let after: Vec<u64> = all.into_iter().filter(|id| *id > last).collect();
    assert_eq!(after, resumed, "nothing is missing and nothing comes twice");

    let restarted = Weir::start_in(weir.kill());
    let mut live = Live::after(restarted.admin, last);
    assert_eq!(live.next().unwrap().data["resumed"], false, "the samples before the restart are gone");
    assert!(live.until("a sample", |_| true).id.unwrap() > last);
}

#[test]
fn what_is_no_id_is_refused_in_words_and_strangers_read_nothing() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "0123456789abcdef").unwrap();
    let text = config(Shop::open().address, CLOSED).replace("workers", "admin_token_file = \"token\"\nworkers");
    std::fs::write(dir.path().join("weir.toml"), text).unwrap();
    let weir = Weir::start_in(dir);
    let ask = |headers: &[(&str, &str)]| request(weir.admin, "GET", "/api/live", headers, "");
    assert_eq!(ask(&[]).status, 401);
    let known = ("Authorization", "Bearer 0123456789abcdef");
    let wrong = ask(&[known, ("Last-Event-ID", "yesterday")]);
    assert_eq!(wrong.status, 400);
    assert!(wrong.json()["detail"].as_str().unwrap().contains("milliseconds since 1970"), "{}", wrong.body);
    let live = Live::open(weir.admin, "Authorization: Bearer 0123456789abcdef\r\n");
    assert!(live.head.starts_with("HTTP/1.1 200"), "{}", live.head);
    let open = Weir::start(&config(Shop::open().address, CLOSED));
    assert_eq!(request(open.admin, "GET", "/api/live", &[("Host", "evil.example")], "").status, 403);
}

/// A stream whose reader takes next to nothing.
fn unread(admin: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(1).unwrap();
    socket.connect(&admin.into()).unwrap();
    socket.send(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    socket
}

#[test]
fn there_are_so_many_streams_and_those_that_nobody_reads_are_closed() {
    let weir = Weir::start(&config(Shop::open().address, CLOSED));
    let _unread: Vec<Socket> = (0..STREAMS).map(|_| unread(weir.admin)).collect();
    let ask = || Live::open(weir.admin, "").head;
    until_true("all of them are open", || ask().starts_with("HTTP/1.1 503"));
    let refused = request(weir.admin, "GET", "/api/live", &[], "");
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.json()["detail"].as_str().unwrap().contains("16 streams"), "{}", refused.body);
    assert_eq!(refused.header("retry-after"), Some("10"));
    assert_eq!(request(weir.admin, "GET", "/readyz", &[], "").status, 200, "others are answered");
    until_true("those that nobody reads have made room", || ask().starts_with("HTTP/1.1 200"));
}
