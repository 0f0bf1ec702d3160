//! A shop that is spoken to by HTTP/2: nginx, `HAProxy` and Node, in clear and over TLS, and servers that speak it badly.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::float_cmp, reason = "metrics are counts; tests")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::h2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, INTERNAL_ERROR, OK_200, PUSH_PROMISE, Peer, SETTINGS, frame,
    literal, peers,
};
use crate::common::program::{Program, nginx_folders, ports};
use crate::common::{Kept, Weir, head, of, until_true, weir};

/// A gateway before these upstreams, each on the path of its name: name, server, and what else is said of it.
fn before(dir: tempfile::TempDir, upstreams: &[(&str, &str, &str)]) -> Weir {
    let written = |(name, server, more): &(&str, &str, &str)| {
        format!(
            "[[upstream]]\nname = \"{name}\"\nservers = [{server}]\n{more}\n\
             [[route]]\nhost = \"*\"\npath = \"/{name}\"\nupstream = \"{name}\"\n"
        )
    };
    let text = format!(
        "[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nworkers = 1\n{}\
         [[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch\"\nnew_users_per_minute = 60\nupstream = \"{}\"\n",
        upstreams.iter().map(written).collect::<String>(),
        upstreams[0].0
    );
    std::fs::write(dir.path().join("weir.toml"), text).unwrap();
    Weir::start_in(dir)
}

fn connections(weir: &Weir, upstream: &str) -> f64 {
    weir.metric(&format!("weir_upstream_connections_total{{upstream=\"{upstream}\"}}"))
}

/// A certificate for 127.0.0.1 that signs itself: `shop.pem`, `shop.key`, and both in `both.pem`.
fn certificate(dir: &Path) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    for (file, text) in [("shop.pem", &certificate), ("shop.key", &key), ("both.pem", &(certificate.clone() + &key))] {
        std::fs::write(dir.join(file), text).unwrap();
    }
}

fn nginx(dir: &Path, clear: u16, tls: u16, old: u16) -> Program {
    let shown = dir.display();
    let server = |listen: &str| {
        format!(
            "server {{ listen 127.0.0.1:{listen}; location / {{ default_type text/plain; \
             return 200 \"nginx $server_protocol $http2 $scheme $host $http_cookie \"; }} }}\n"
        )
    };
    let servers = [format!("{clear} http2"), format!("{tls} ssl http2"), format!("{old} ssl")].map(|l| server(&l));
    // It sends each connection away after five requests.
    let text = format!(
        "events {{}}\nhttp {{ access_log off; keepalive_requests 5; ssl_certificate {shown}/shop.pem; \
         ssl_certificate_key {shown}/shop.key;\n{}\n{} }}\n",
        nginx_folders(dir),
        servers.concat()
    );
    Program::nginx(dir, &text, &[clear, tls, old])
}

fn haproxy(dir: &Path, clear: u16, tls: u16) -> Program {
    let text = format!(
        "defaults\n mode http\n timeout client 5s\n timeout server 5s\n timeout connect 5s\nfrontend shop\n \
         bind 127.0.0.1:{clear} proto h2\n bind 127.0.0.1:{tls} ssl crt {}/both.pem alpn h2,http/1.1\n \
         http-request return status 200 content-type text/plain lf-string \"haproxy HTTP/%[req.ver] %[req.hdr(host)] \"\n",
        dir.display()
    );
    Program::haproxy(dir, &text, &[clear, tls])
}

/// Says what it heard, or sends back a body with trailers; after early hints.
const NODE: &str = r"
const http2 = require('http2'), fs = require('fs');
const [clear, tls] = process.argv.slice(2);
const serve = (stream, headers) => {
  stream.on('error', () => {});
  stream.additionalHeaders({':status': 103, link: '</a.css>; rel=preload'});
  if (!headers[':path'].endsWith('/echo')) {
    const odd = ['connection', 'host', 'transfer-encoding', 'upgrade', 'keep-alive'].filter((name) => name in headers);
    stream.respond({':status': 200, 'set-cookie': ['one=1', 'two=2']});
    stream.end(`node ${headers[':scheme']} ${headers[':authority']} cookie=${headers.cookie} te=${headers.te} odd=${odd} `);
    return;
  }
  let bytes = 0, sum = 'none';
  stream.on('trailers', (trailers) => { sum = trailers['x-sum']; });
  stream.respond({':status': 200, trailer: 'x-bytes, x-back'}, {waitForTrailers: true});
  stream.on('wantTrailers', () => stream.sendTrailers({'x-bytes': String(bytes), 'x-back': sum}));
  stream.on('data', (data) => { bytes += data.length; stream.write(data); });
  stream.on('end', () => stream.end());
};
http2.createServer().on('stream', serve).listen(clear, '127.0.0.1');
http2.createSecureServer({key: fs.readFileSync('shop.key'), cert: fs.readFileSync('shop.pem'), allowHTTP1: true})
  .on('stream', serve)
  .on('upgrade', (request, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n');
    socket.pipe(socket);
  })
  .listen(tls, '127.0.0.1');
";

fn node(dir: &Path, clear: u16, tls: u16) -> Program {
    std::fs::write(dir.join("shop.js"), NODE).unwrap();
    let mut command = Command::new("node");
    command.current_dir(dir).arg("shop.js").arg(clear.to_string()).arg(tls.to_string());
    Program::start(&mut command, &[clear, tls])
}

const CHECKED: &str = "health = { path = \"/\", interval = \"3s\", timeout = \"3s\", unhealthy_after = 1 }";
const CLEAR: &str = "http_version = \"2\"";
const BY_ALPN: &str = "http_version = \"auto\"";
const SIGNED: &str = "[upstream.tls]\nca_file = \"shop.pem\"";

#[test]
fn nginx_haproxy_and_node_are_spoken_to_by_http_2_in_clear_and_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path());
    let [clear, tls, old, ha_clear, ha_tls, js_clear, js_tls] = ports();
    let _nginx = nginx(dir.path(), clear, tls, old);
    let _haproxy = haproxy(dir.path(), ha_clear, ha_tls);
    let _node = node(dir.path(), js_clear, js_tls);
    let in_clear = |port: u16| (format!("\"127.0.0.1:{port}\""), format!("{CLEAR}\n{CHECKED}"));
    let over_tls = |port: u16| (format!("\"https://127.0.0.1:{port}\""), format!("{BY_ALPN}\n{CHECKED}\n{SIGNED}"));
    let only_2 = |port: u16| (format!("\"https://127.0.0.1:{port}\""), format!("{CLEAR}\n{CHECKED}\n{SIGNED}"));
    let servers = [
        ("nginx-clear", in_clear(clear), "nginx HTTP/2.0 h2c http shop.example one=1; two=2"),
        ("nginx-tls", over_tls(tls), "nginx HTTP/2.0 h2 https shop.example"),
        ("nginx-old", over_tls(old), "nginx HTTP/1.1  https shop.example"),
        ("haproxy-clear", in_clear(ha_clear), "haproxy HTTP/2.0 shop.example"),
        ("haproxy-tls", only_2(ha_tls), "haproxy HTTP/2.0 shop.example"),
        ("node-clear", in_clear(js_clear), "node http shop.example cookie=one=1; two=2 te=trailers odd= "),
        ("node-tls", over_tls(js_tls), "node https shop.example"),
    ];
    let upstreams = servers.each_ref().map(|(name, (server, more), _)| (*name, server.as_str(), more.as_str()));
    let weir = before(dir, &upstreams);
    for (name, _, heard) in &servers {
        for n in 0..24 {
            let method = ["GET", "POST", "PUT"][n % 3];
            let headers = [("Cookie", "one=1; two=2"), ("TE", "trailers"), ("Connection", "te")];
            let answer = weir.send(method, &format!("/{name}/"), &headers, if n % 3 == 0 { "" } else { "a=b" });
            assert!(answer.status == 200 && answer.body.contains(heard), "{name}: {heard}: {answer:?}");
            assert!(!answer.head.contains("103") && answer.header("connection").is_none_or(|c| c == "close"));
        }
    }
    // nginx ends each after five requests, the others do not.
    assert!(connections(&weir, "nginx-clear") >= 5.0);
    assert_eq!(weir.get("/node-clear/", &[]).head.to_lowercase().matches("set-cookie").count(), 2);
    for name in ["haproxy-clear", "node-clear", "node-tls"] {
        assert_eq!(connections(&weir, name), 1.0, "{name}");
    }
    assert!(!weir.log().contains("health of server changed"), "{}", weir.log());
    weir.is_well();
}

#[test]
fn bodies_and_trailers_pass_both_ways() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path());
    let [clear, tls] = ports();
    let _node = node(dir.path(), clear, tls);
    let (in_clear, over_tls) = (format!("\"127.0.0.1:{clear}\""), format!("\"https://127.0.0.1:{tls}\""));
    let weir = before(dir, &[("clear", &in_clear, CLEAR), ("tls", &over_tls, &format!("{BY_ALPN}\n{SIGNED}"))]);
    let piece = "x".repeat(0x8000);
    for name in ["clear", "tls"] {
        let mut client = Kept::open(weir.http);
        client.send(format!("POST /{name}/echo HTTP/1.1\r\nHost: shop.example\r\nTE: trailers\r\nConnection: te, close\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"));
        let mut writer = client.0.get_ref().try_clone().unwrap();
        let sent = piece.clone();
        let writes = std::thread::spawn(move || {
            for _ in 0..32 {
                writer.write_all(format!("8000\r\n{sent}\r\n").as_bytes()).unwrap();
            }
            writer.write_all(b"0\r\nX-Sum: thirty-two\r\n\r\n").unwrap();
        });
        let mut all = String::new();
        client.0.read_to_string(&mut all).unwrap();
        writes.join().unwrap();
        assert!(all.starts_with("HTTP/1.1 200"), "{name}: {}", &all[..200.min(all.len())]);
        assert!(all.matches('x').count() >= 32 * 0x8000, "{name}");
        let tail = all[all.len() - 200..].to_lowercase();
        assert!(tail.contains("x-bytes: 1048576") && tail.contains("x-back: thirty-two"), "{name}: {tail}");
    }
    weir.is_well();
}

/// Asks to go on with another protocol.
fn upgraded(weir: &Weir, path: &str) -> (Kept, String) {
    let mut client = Kept::open(weir.http);
    client.send(format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"));
    let head = head(&mut client.0).unwrap();
    (client, head)
}

#[test]
fn a_websocket_goes_over_http_1_or_is_answered_and_costs_the_server_nothing() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path());
    let [clear, tls] = ports();
    let _node = node(dir.path(), clear, tls);
    let (in_clear, over_tls) = (format!("\"127.0.0.1:{clear}\""), format!("\"https://127.0.0.1:{tls}\""));
    let more = format!("{BY_ALPN}\n{SIGNED}");
    let weir = before(dir, &[("clear", &in_clear, "http_version = \"2\"\neject_after = 1"), ("tls", &over_tls, &more)]);
    assert!(weir.get("/tls/", &[]).body.contains("node https"));
    let (mut client, head) = upgraded(&weir, "/tls/live");
    assert!(head.starts_with("HTTP/1.1 101") && of(&head, "upgrade") == Some("echo"), "{head}");
    client.send("hello");
    let mut back = [0; 5];
    client.0.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"hello");

    for _ in 0..3 {
        let (_, head) = upgraded(&weir, "/clear/live");
        assert!(head.starts_with("HTTP/1.1 502"), "{head}");
    }
    until_true("the log says it", || weir.log().contains("\"reason\":\"upstream_no_upgrade\""));
    assert!(weir.get("/clear/", &[]).body.contains("node http"));
    assert_eq!(weir.metric("weir_upstream_requests_total{upstream=\"clear\",result=\"failed\"}"), 0.0);
    weir.is_well();
}

/// A server that does this with the first request of each connection.
fn bad(misbehave: impl Fn(&mut Peer, u32) + Clone + Send + 'static) -> String {
    let address = peers(move |stream, _| {
        let Some(mut peer) = Peer::agree(stream, &[]) else { return };
        let Some(stream) = peer.request() else { return };
        misbehave(&mut peer, stream);
        while peer.read().is_some() {}
    });
    format!("\"{address}\"")
}

/// A server that never agreed to HTTP/2.
fn foreign(say: &'static [u8]) -> String {
    let address = peers(move |mut stream: TcpStream, _| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(say);
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    format!("\"{address}\"")
}

fn well() -> String {
    let address = peers(|stream, _| {
        let Some(mut peer) = Peer::agree(stream, &[]) else { return };
        while let Some(stream) = peer.request() {
            peer.answer(stream, "well");
        }
    });
    format!("\"{address}\"")
}

fn head_of(block: &[u8]) -> impl Fn(&mut Peer, u32) + Clone + Send + 'static {
    let block = block.to_vec();
    move |peer, stream| peer.write(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block))
}

#[test]
fn a_server_that_speaks_it_badly_is_a_502_that_says_why_and_others_lose_nothing() {
    let cases = [
        ("one", foreign(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), "not_spoken", "upstream_no_http2"),
        ("mute", foreign(b""), "not_spoken", "upstream_no_http2"),
        ("noise", foreign(&[0xff; 64]), "not_spoken", "upstream_no_http2"),
        ("away", bad(|peer, _| peer.go_away(0)), "refused", "upstream_refused"),
        ("reset", bad(|peer, stream| peer.reset(stream, INTERNAL_ERROR)), "reset", "upstream_stream_reset"),
        (
            "short",
            bad(head_of(&[OK_200, &literal("content-length", "10")].concat())),
            "protocol",
            "upstream_http2_broken",
        ),
        ("statusless", bad(head_of(&literal("x-status", "200"))), "protocol", "upstream_http2_broken"),
        (
            "upper",
            bad(head_of(&[OK_200, &literal("X-Bad", "1")].concat())),
            "connection",
            "upstream_http2_connection_broken",
        ),
        ("hpack", bad(head_of(&[0xff; 40])), "connection", "upstream_http2_connection_broken"),
        (
            "early",
            bad(|peer, stream| peer.write(&frame(DATA, 0, stream, b"x"))),
            "connection",
            "upstream_http2_connection_broken",
        ),
        (
            "push",
            bad(|peer, stream| peer.write(&frame(PUSH_PROMISE, END_HEADERS, stream, &[0, 0, 0, 2, 0x88]))),
            "connection",
            "upstream_http2_connection_broken",
        ),
        (
            "idle",
            bad(|peer, _| peer.write(&frame(DATA, 0, 99, b"x"))),
            "connection",
            "upstream_http2_connection_broken",
        ),
        (
            "endless",
            bad(|peer, stream| {
                peer.write(&frame(HEADERS, 0, stream, OK_200));
                for _ in 0..1_000 {
                    peer.write(&frame(CONTINUATION, 0, stream, &literal("x-more", &"x".repeat(100)).repeat(100)));
                }
            }),
            "connection",
            "upstream_http2_connection_broken",
        ),
        (
            "large",
            bad(head_of(&[OK_200, &literal("x-more", &"x".repeat(100)).repeat(100)].concat())),
            "",
            "upstream_head_too_large",
        ),
    ];
    let more =
        "http_version = \"2\"\nconnect_timeout = \"300ms\"\nmax_response_headers = 50\nresponse_timeout = \"5s\"";
    let good = well();
    let mut upstreams = vec![("well", good.as_str(), more)];
    upstreams.extend(cases.iter().map(|(name, server, ..)| (*name, server.as_str(), more)));
    let weir = before(tempfile::tempdir().unwrap(), &upstreams);
    for (name, server, metric, reason) in &cases {
        let answer = weir.get(&format!("/{name}/"), &[]);
        assert_eq!(answer.status, 502, "{name}: {answer:?}");
        until_true(&format!("{name}: the log says {reason}"), || {
            weir.log().contains(&format!("\"reason\":\"{reason}\""))
        });
        let met =
            format!("weir_upstream_http2_failures_total{{upstream=\"{name}\",server={server},reason=\"{metric}\"}}");
        until_true(&format!("{name}: it is counted as {metric}"), || metric.is_empty() || weir.metric(&met) >= 1.0);
        assert_eq!(weir.get("/well/", &[]).body, "well");
    }
    assert_eq!(connections(&weir, "well"), 1.0);
    weir.is_well();
}

#[test]
fn data_beyond_the_window_and_floods_end_what_is_concerned_alone() {
    let beyond = bad(|peer, stream| {
        peer.write(&frame(HEADERS, END_HEADERS, stream, OK_200));
        for _ in 0..20 {
            peer.write(&frame(DATA, 0, stream, &[b'x'; 16_000]));
        }
    });
    let flood = bad(|peer, _| {
        for _ in 0..100_000 {
            peer.write(&frame(SETTINGS, 0, 0, &[]));
        }
    });
    let more = "http_version = \"2\"\nresponse_timeout = \"1s\"\nresponse_buffer = \"0B\"";
    let good = well();
    let weir = before(
        tempfile::tempdir().unwrap(),
        &[("well", &good, more), ("beyond", &beyond, more), ("flood", &flood, more)],
    );
    // No reader takes what there is, so that the window stays as it is.
    let mut slow = Kept::open(weir.http);
    slow.send("GET /beyond/ HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    let flooded = std::thread::scope(|scope| {
        let flooded = scope.spawn(|| weir.get("/flood/", &[]));
        for _ in 0..20 {
            assert_eq!(weir.get("/well/", &[]).body, "well");
            std::thread::sleep(Duration::from_millis(20));
        }
        flooded.join().unwrap()
    });
    assert!(flooded.status == 504 || flooded.status == 502, "{flooded:?}");
    let mut all = Vec::new();
    let _ = slow.0.read_to_end(&mut all);
    assert!(all.len() < 320_000 && !all.ends_with(b"0\r\n\r\n"), "it is cut, and not made to look whole");
    weir.is_well();
}

#[test]
fn a_server_that_does_not_speak_it_is_passed_over() {
    let (foreign, good) = (foreign(b"HTTP/1.1 400 Bad Request\r\n\r\n"), well());
    let more = "http_version = \"2\"\neject_after = 2";
    let weir = before(tempfile::tempdir().unwrap(), &[("shop", &format!("{foreign}, {good}"), more)]);
    for n in 0..20 {
        let answer = weir.send(["GET", "POST"][n % 2], "/shop/", &[], "");
        assert_eq!((answer.status, answer.body.as_str()), (200, "well"));
    }
    until_true("the log says it", || {
        weir.log().contains("server cannot be connected to") && weir.log().contains("no HTTP/2")
    });
    let usable =
        |server: &str| weir.metric(&format!("weir_upstream_server_usable{{upstream=\"shop\",server={server}}}"));
    assert_eq!((usable(&foreign), usable(&good)), (0.0, 1.0));
    let checked = format!("{more}\nhealth = {{ path = \"/\", interval = \"100ms\", timeout = \"100ms\" }}");
    let checked = before(tempfile::tempdir().unwrap(), &[("shop", &format!("{foreign}, {good}"), &checked)]);
    until_true("the check says it", || {
        let told = |line: &str| line.contains("health of server changed") && line.contains("no HTTP/2");
        checked.log().lines().any(told)
    });
    assert_eq!(checked.get("/shop/", &[]).body, "well");
}

#[test]
fn a_choice_that_nobody_can_make_is_told_by_the_check() {
    let dir = tempfile::tempdir().unwrap();
    let check = |version: &str, server: &str| {
        let text = format!(
            "[listen]\nhttp = \"127.0.0.1:0\"\n[[upstream]]\nname = \"shop\"\nservers = \"{server}\"\nhttp_version = {version}\n\
             [[route]]\nhost = \"*\"\npath = \"/\"\nupstream = \"shop\"\n"
        );
        std::fs::write(dir.path().join("weir.toml"), text).unwrap();
        weir(&["check", "weir.toml"], dir.path())
    };
    for (version, server, words) in [
        ("\"auto\"", "127.0.0.1:80", "none can choose"),
        ("\"3\"", "127.0.0.1:80", "is not known"),
        ("2", "127.0.0.1:80", "is not one of the names"),
    ] {
        let (_, said) = check(version, server);
        assert!(said.contains(words), "{version}: {said}");
    }
    for (version, server) in
        [("\"2\"", "127.0.0.1:80"), ("\"auto\"", "https://127.0.0.1:443"), ("\"1.1\"", "127.0.0.1:80")]
    {
        let (code, said) = check(version, server);
        assert!(code == 0 && !said.contains("http_version"), "{version}: {said}");
    }
}
