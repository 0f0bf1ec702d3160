//! The process on its machine: descriptors, the log, files that hang, the operator's listener, several at once.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::redis::RedisServer;
use crate::common::{CLOSED, JSON, Kept, PAGE, ROOMY, Shop, WEIR, Weir, config, raw, request, until, until_true};
use serde_json::Value as Json;

/// A gateway with this configuration, started by a shell that does something first.
fn after(shell: &str, config: &str) -> Weir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("weir.toml"), config).unwrap();
    let mut command = Command::new("sh");
    let start = format!("{shell}; exec {WEIR} serve --config {}", dir.path().join("weir.toml").display());
    command.arg("-c").arg(start);
    Weir::spawn(dir, command)
}

/// Whether the other end has closed; `false` if it says nothing for half a minute.
fn closes(mut stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

/// Whether the other end has closed by now.
fn is_closed(mut stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    !matches!(stream.read(&mut [0; 64]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn with_few_descriptors_the_way_to_the_shop_is_kept_and_it_is_said_at_the_start() {
    let shop = Shop::open();
    // No connection to the shop is kept: each request of a holder needs a descriptor.
    let text = config(shop.address, ROOMY).replace("[[route]]", "max_idle = 0\n[[route]]");
    let weir = after("ulimit -Sn 100; ulimit -Hn 400", &text);
    let log = weir.log();
    assert!(log.contains("400 file descriptors are allowed") && log.contains("LimitNOFILE="), "{log}");
    let mut holder = Kept::open(weir.http);
    let pass = until("the room has a token", || {
        let answer = holder.get("/launch/item", &[JSON]);
        answer.is_shop().then(|| answer.cookie()).flatten()
    });
    let mut crowd: Vec<_> = (0..450).filter_map(|_| TcpStream::connect(weir.http).ok()).collect();
    until_true("the bound is reached", || crowd.iter().filter(|stream| is_closed(stream)).count() >= 100);
    for _ in 0..20 {
        assert!(holder.get("/launch/item", &[PAGE, ("Cookie", &pass)]).is_shop());
    }
    assert_eq!(weir.metric("weir_machine_limit{limit=\"descriptors\"}"), 400.0, "the soft limit was raised");
    assert!(weir.metric("weir_machine_used{limit=\"descriptors\"}") < 400.0);
    crowd.clear();
    until_true("there is room again", || weir.get("/", &[]).is_shop());
    weir.is_well();
}

#[test]
fn a_flood_of_frames_does_not_become_a_flood_of_log_lines() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, CLOSED));
    let before = weir.log().len();
    let mut stream = TcpStream::connect(weir.http).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    // Preface, empty SETTINGS, and PING frames that acknowledge what was never sent.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00").unwrap();
    let acknowledged = b"\x00\x00\x08\x06\x01\x00\x00\x00\x00abcdefgh".repeat(1_000);
    let mut sent = 0;
    while sent < 200 && stream.write_all(&acknowledged).is_ok() {
        sent += 1;
    }
    drop(stream);
    weir.is_well();
    until_true("the connection is over", || weir.metric("weir_connections") <= 1.0);
    let written = weir.log().len() - before;
    println!("{sent} thousand frames, {written} bytes of log");
    assert!(written < 100_000, "{written} bytes of log for {sent} thousand frames");
}

#[test]
fn a_gateway_whose_log_is_not_read_serves_on_and_ends_when_it_is_asked_to() {
    let shop = Shop::open();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("weir.toml"), config(shop.address, CLOSED)).unwrap();
    let mut command = Command::new(WEIR);
    command.arg("serve").arg("--config").arg(dir.path().join("weir.toml"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (out, mut events) = (child.stdout.take(), BufReader::new(child.stderr.take().unwrap()));
    let mut line = String::new();
    while !line.contains("\"serving\"") {
        line.clear();
        assert!(events.read_line(&mut line).unwrap() > 0);
    }
    let line: Json = serde_json::from_str(&line).unwrap();
    let http: SocketAddr = line["fields"]["addresses"].as_str().unwrap().trim_matches(['[', ']']).parse().unwrap();
    // Far more access lines than a pipe holds.
    let mut kept = Kept::open(http);
    for _ in 0..3_000 {
        assert!(kept.get("/", &[]).is_shop());
    }
    drop(kept);
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let ended = (0..1_000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(20));
        child.try_wait().unwrap()
    });
    if ended.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
    drop((out, events));
}

/// A file of a gateway hangs when it is read, as on a mount whose server is gone.
fn hangs(file: &str, config: &str) {
    let mut weir = Weir::start(config);
    let pipe = weir.dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::rename(&pipe, weir.dir.path().join(file)).unwrap();
    until_true("it is said", || weir.log().contains("cannot be read for"));
    assert_eq!(weir.metric("weir_files_stalled"), 1.0);
    let first = weir.get("/launch/item", &[JSON]).ticket();
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(weir.get("/launch/item", &[JSON]).ticket(), first + 1, "the line goes on");
    assert_eq!(weir.log().matches("cannot be read for").count(), 1, "it is said once");
    weir.is_well();
    weir.signal("TERM");
    assert_eq!(weir.wait(), 0);
}

#[test]
fn a_configuration_file_that_hangs_stops_no_line_and_no_end() {
    hangs("weir.toml", &config(Shop::open().address, CLOSED));
}

#[test]
fn a_secret_file_that_hangs_stops_no_line_and_no_end() {
    hangs("weir.secret", &config(Shop::open().address, CLOSED));
}

#[test]
fn gateways_that_start_at_once_on_one_new_secret_file_all_serve() {
    let (shop, shared) = (Shop::open(), tempfile::tempdir().unwrap());
    let secret = shared.path().join("shared.secret");
    let text = format!("{}[store]\nsecret_file = \"{}\"\n", config(shop.address, CLOSED), secret.display());
    let gateways: Vec<Weir> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8).map(|_| scope.spawn(|| Weir::start(&text))).collect();
        starts.into_iter().map(|start| start.join().expect("it serves")).collect()
    });
    let names: Vec<Json> = gateways.iter().map(|weir| members(weir)[0]["keys"].clone()).collect();
    assert!(names.iter().all(|name| *name == names[0]), "one key: {names:?}");
}

fn members(weir: &Weir) -> Vec<Json> {
    serde_json::from_str(&request(weir.admin, "GET", "/api/gateways", &[], "").body).unwrap()
}

#[test]
fn connections_of_operators_end_in_time_and_leave_room_for_probes() {
    let weir = Weir::start(&config(Shop::open().address, CLOSED));
    let idle: Vec<_> = (0..400).map(|_| TcpStream::connect(weir.admin).unwrap()).collect();
    let slow = TcpStream::connect(weir.admin).unwrap();
    (&slow).write_all(b"GET /metrics HT").unwrap();
    for _ in 0..3 {
        assert_eq!(request(weir.admin, "GET", "/readyz", &[], "").status, 200);
    }
    until_true("the oldest have given way", || idle.iter().filter(|stream| is_closed(stream)).count() >= 200);
    assert!(closes(&slow), "a head that does not come ends its connection");
    let stays = TcpStream::connect(weir.admin).unwrap();
    assert!(closes(&stays), "so does saying nothing");
}

#[test]
fn a_text_of_rooms_that_is_too_long_is_refused_in_words() {
    let weir = Weir::start(&config(Shop::open().address, CLOSED));
    let body = "x".repeat(10 << 20);
    let answer = request(weir.admin, "POST", "/api/versions?dry_run=true", &[], &body);
    assert_eq!(answer.status, 413, "{}", answer.head);
    assert!(answer.body.contains("longer than 1048576 bytes"), "{}", answer.body);
}

#[test]
fn a_page_whose_name_was_pointed_at_the_operators_listener_reads_nothing() {
    let text = config(Shop::open().address, CLOSED).replace("workers", "admin_hosts = [\"ops.internal\"]\nworkers");
    let weir = Weir::start(&text);
    let ask = |path: &str, host: &str| request(weir.admin, "GET", path, &[("Host", host)], "").status;
    for path in ["/api/rooms", "/api/gateways", "/api/versions", "/metrics", "/api/rooms/launch/status"] {
        for host in ["evil.example", "evil.example:9090", "localhost.evil.example", "127.0.0.1.evil.example", "a b"] {
            assert!([400, 403].contains(&ask(path, host)), "{path} for {host}");
        }
        for host in ["localhost", "LOCALHOST:9090", "127.0.0.1:80", "[::1]:9090", "10.0.0.7", "ops.internal:9090"] {
            assert_eq!(ask(path, host), 200, "{path} for {host}");
        }
    }
    assert_eq!(ask("/readyz", "weir.cluster.local"), 200, "probes ask by any name");
    let absolute =
        raw(weir.admin, b"GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(absolute.status, 403);
}

const FLEET: &str = "one secret for all the gateways of a line";
const STRANGE: &str = "another secret that nobody else was told of";

/// A gateway on this Redis with a secret of its own.
fn member(redis: &RedisServer, name: &str, secret: &str, text: &str) -> Weir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("own.secret"), secret).unwrap();
    let (url, node) = (redis.url(), format!("[node]\nname = \"{name}\"\n"));
    let store = format!("[store]\nkind = \"redis\"\nurl = \"{url}\"\nsecret_file = \"own.secret\"\n{node}");
    std::fs::write(dir.path().join("weir.toml"), text.to_owned() + &store).unwrap();
    Weir::start_in(dir)
}

fn is_ready(weir: &Weir) -> bool {
    request(weir.admin, "GET", "/readyz", &[], "").status == 200
}

fn give(weir: &Weir, secret: &str) {
    std::fs::write(weir.dir.path().join("own.secret"), secret).unwrap();
}

#[test]
fn a_gateway_with_another_secret_is_not_ready_and_touches_no_line() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let text = config(shop.address, CLOSED);
    let fleet = ["a", "b"].map(|name| member(&redis, name, FLEET, &text));
    let before = fleet[0].get("/launch/item", &[JSON]).ticket();
    let stranger = member(&redis, "stranger", STRANGE, &text);
    until_true("it is seen", || members(&fleet[1]).len() == 3);
    let answer = request(stranger.admin, "GET", "/readyz", &[], "");
    assert!(answer.status == 503 && answer.body.contains("no key in common"), "{answer:?}");
    for _ in 0..20 {
        let kept = stranger.get("/launch/item", &[JSON]);
        assert_eq!(kept.number(), None, "no number of the line is given by it");
    }
    assert_eq!(fleet[1].get("/launch/item", &[JSON]).ticket(), before + 1, "nothing has grown");
    let (log, own) = (stranger.log(), &members(&stranger));
    let keys = |name: &str| own.iter().find(|member| member["name"] == name).unwrap()["keys"][0].to_string();
    for word in [keys("a"), keys("stranger")] {
        assert!(log.contains(word.trim_matches('"')), "{word} is not in {log}");
    }
    assert_eq!(stranger.metric("weir_keys_foreign"), 1.0);
    let foreign = |weir: &Weir, name: &str| {
        members(weir).iter().find(|member| member["name"] == name).unwrap()["key_state"].clone()
    };
    until_true("others see it", || foreign(&fleet[0], "stranger") == "foreign");
    assert!(foreign(&fleet[0], "b") == "shared" && fleet.iter().all(is_ready));
    until_true("they say so", || fleet.iter().all(|weir| weir.log().contains("has none of the keys of this one")));

    // The file is corrected: it is one of them without a restart.
    give(&stranger, FLEET);
    until_true("it is ready", || is_ready(&stranger));
    assert!(until("it numbers", || stranger.get("/launch/item", &[JSON]).number()) > before);
    assert_eq!(stranger.metric("weir_keys_foreign"), 0.0);
}

#[test]
fn keys_that_overlap_keep_every_gateway_ready_through_a_rotation() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let text = config(shop.address, CLOSED);
    let fleet = ["a", "b", "c"].map(|name| member(&redis, name, FLEET, &text));
    let both = format!("{STRANGE}\n{FLEET}\n");
    let counts = |weir: &Weir| {
        let own = members(weir).into_iter().find(|member| member["admin"] == *weir.admin.to_string()).unwrap();
        own["keys"].as_array().unwrap().len()
    };
    for (secret, count) in [(&*both, 2), (STRANGE, 1)] {
        for weir in &fleet {
            give(weir, secret);
            until_true("its keys count", || counts(weir) == count);
            assert!(fleet.iter().all(is_ready));
            assert!(weir.get("/launch/item", &[JSON]).number().is_some());
        }
    }
    let late = member(&redis, "late", &both, &text);
    assert!(is_ready(&late), "one shared key is enough");
}

#[test]
fn a_fleet_whose_secret_was_exchanged_without_overlap_is_ready_again_by_itself() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let text = config(shop.address, CLOSED);
    let fleet = ["a", "b"].map(|name| member(&redis, name, FLEET, &text));
    for weir in &fleet {
        give(weir, STRANGE);
    }
    until_true("the keys count", || fleet.iter().all(|weir| weir.log().contains("keys in force")));
    let ready = || fleet.iter().all(|weir| is_ready(weir) && weir.get("/launch/item", &[JSON]).number().is_some());
    let again = (0..1_500).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        ready()
    });
    assert!(again);
}

#[test]
fn the_kernels_limits_are_metrics_where_the_kernel_tells_them() {
    let weir = Weir::start(&config(Shop::open().address, CLOSED));
    let conntrack = Path::new("/proc/sys/net/netfilter/nf_conntrack_max").exists();
    let told = |page: &str, limit: &str| page.contains(&format!("weir_machine_used{{limit=\"{limit}\"}}"));
    let netstat = Path::new("/proc/net/netstat").exists();
    let overflows = |page: &str| page.contains("weir_machine_listen_overflows_total");
    let page = until("they are read, one after the other", || {
        let page = request(weir.admin, "GET", "/metrics", &[], "").body;
        let all = told(&page, "conntrack") == conntrack && overflows(&page) == netstat;
        (told(&page, "descriptors") && all).then_some(page)
    });
    assert!(page.contains("weir_log_dropped_total{stream=\"events\",why=\"rate\"} 0"));
}

#[test]
fn a_check_warns_of_bounds_that_this_machine_has_no_descriptors_for() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("weir.toml"), config(crate::common::nobody(), CLOSED)).unwrap();
    let check = |limit: &str| {
        let line = format!("ulimit -n {limit}; exec {WEIR} check {}", dir.path().join("weir.toml").display());
        let output = Command::new("sh").arg("-c").arg(line).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(check("900").contains("900 file descriptors are allowed"));
}
