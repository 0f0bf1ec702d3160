//! The PROXY protocol: who is behind nginx, `HAProxy` and curl, and what comes of headers that are none.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::float_cmp, reason = "metrics are counts; tests")]

use std::io::{BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::common::program::{Program, connect_from, curl, ports};
use crate::common::{Answer, CLOSED, JSON, Kept, Shop, Weir, config, until_true, weir};

/// A gateway whose addresses all begin with PROXY headers, of 127.0.0.1 alone.
fn behind_a_proxy(lines: &str) -> (Shop, Weir) {
    let shop = Shop::open();
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["shop.example".to_owned()]).unwrap();
    std::fs::write(dir.path().join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.path().join("cert.key"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(dir.path().join("both.pem"), made.cert.pem() + &made.signing_key.serialize_pem()).unwrap();
    let listen = format!(
        "https = \"127.0.0.1:0\"\nproxy_protocol = \"127.0.0.1:0\"\ntrusted_proxies = \"127.0.0.1\"\n{lines}\nadmin ="
    );
    let text = config(shop.address, CLOSED).replace("admin =", &listen).replace("workers = 2", "workers = 1");
    let text = text + "[[tls]]\ncertificate = \"cert.pem\"\nkey = \"cert.key\"\n";
    std::fs::write(dir.path().join("weir.toml"), text).unwrap();
    (shop, Weir::start_in(dir))
}

fn headers(weir: &Weir, result: &str) -> f64 {
    weir.metric(&format!("weir_proxy_headers_total{{result=\"{result}\"}}"))
}

/// A line of version 1 of this client.
fn v1(client: &str) -> Vec<u8> {
    let family = if client.contains(':') { "TCP6" } else { "TCP4" };
    let here = if client.contains(':') { "::1" } else { "10.0.0.1" };
    format!("PROXY {family} {client} {here} 56324 443\r\n").into_bytes()
}

/// A header of version 2.
fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[0x20 | command, family][..], &length, body].concat()
}

fn v2_of(client: Ipv4Addr, values: &[u8]) -> Vec<u8> {
    v2(1, 0x11, &[&client.octets()[..], &[10, 0, 0, 1, 0xdc, 0x04, 0x01, 0xbb], values].concat())
}

/// Asks for the headers that the shop sees, behind these bytes.
fn ask(to: SocketAddr, before: &[u8], more: &str) -> Option<Answer> {
    let mut kept = Kept(BufReader::new(connect_from(1, to)));
    let request = format!("GET /headers HTTP/1.1\r\nHost: shop.example\r\n{more}\r\n");
    kept.send([before, request.as_bytes()].concat());
    kept.answer()
}

/// The client that the shop was told of.
fn told(answer: &Answer) -> &str {
    crate::common::of(&answer.body, "x-forwarded-for").unwrap()
}

#[test]
fn the_client_behind_haproxy_nginx_and_curl_is_who_connected_to_them() {
    let (_shop, weir) = behind_a_proxy("");
    let (http, https) = (weir.http, weir.https.unwrap());
    let dir = tempfile::tempdir().unwrap();
    let [one, two, tls, ends_tls, three] = ports::<5>();
    let both = weir.dir.path().join("both.pem").display().to_string();
    let proxy =
        |name: &str, bind: &str, server: &str| format!("listen {name}\nbind 127.0.0.1:{bind}\nserver weir {server}\n");
    let proxies = [
        "defaults\nmode tcp\ntimeout connect 5s\ntimeout client 30s\ntimeout server 30s\n".to_owned(),
        proxy("one", &one.to_string(), &format!("{http} send-proxy")),
        proxy("two", &two.to_string(), &format!("{http} send-proxy-v2")),
        proxy("tls", &tls.to_string(), &format!("{https} send-proxy-v2 check inter 200ms")),
        proxy("ends_tls", &format!("{ends_tls} ssl crt {both}"), &format!("{http} send-proxy-v2-ssl-cn")),
    ];
    let _haproxy = Program::haproxy(dir.path(), &proxies.concat(), &[one, two, tls, ends_tls]);
    let nginx = format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\nevents {{}}\n\
         stream {{ server {{ listen 127.0.0.1:{three}; proxy_pass {http}; proxy_protocol on; }} }}\n"
    );
    let _nginx = Program::nginx(dir.path(), &nginx, &[three]);

    let from = ["--interface", "127.0.0.5", "-H", "Host: shop.example"];
    let seen = |more: &[&str], url: &str| {
        let answer = curl(&[&from, more, &[url]].concat()).unwrap_or_default();
        let head = |name| crate::common::of(&answer, name).unwrap_or_default().to_owned();
        (head("x-forwarded-for"), head("x-forwarded-proto"))
    };
    let client = |proto: &str| ("127.0.0.5".to_owned(), proto.to_owned());
    for port in [one, two, three] {
        assert_eq!(seen(&[], &format!("http://127.0.0.1:{port}/headers")), client("http"), "{port}");
    }
    for (port, version) in [(tls, "--http2"), (tls, "--http1.1"), (ends_tls, "--http1.1")] {
        let url = format!("https://127.0.0.1:{port}/headers");
        assert_eq!(seen(&["--insecure", version], &url), client("https"), "{port} {version}");
    }
    assert_eq!(seen(&["--http2-prior-knowledge"], &format!("http://127.0.0.1:{two}/headers")), client("http"));
    let set = curl(
        &[&from[..], &["-k", "-i", "-H", "Accept: text/html", &format!("https://127.0.0.1:{ends_tls}/launch")]]
            .concat(),
    );
    assert!(set.unwrap().contains("__Host-weir_launch="), "TLS that ended at HAProxy is TLS");
    until_true("HAProxy's own checks are heard", || headers(&weir, "own") > 0.0);
    assert!(headers(&weir, "client") >= 8.0);

    let direct = ["-H", "Host: shop.example", "--haproxy-protocol", &format!("http://{http}/headers")];
    assert_eq!(crate::common::of(&curl(&direct).unwrap(), "x-forwarded-for"), Some("127.0.0.1"));
    is_well(&weir);
}

#[test]
fn whoever_the_header_names_is_the_client_and_what_it_says_of_others_is_believed_as_ever() {
    let (_shop, weir) = behind_a_proxy("");
    let local = v2(0, 0, &[]);
    let mapped =
        v2(1, 0x21, &[&Ipv4Addr::new(203, 0, 113, 9).to_ipv6_mapped().octets()[..], &[0; 16], &[1, 2, 3, 4]].concat());
    let six: Ipv6Addr = "2001:db8::7".parse().unwrap();
    let of_six = v2(1, 0x21, &[&six.octets()[..], &[0; 16], &[1, 2, 3, 4]].concat());
    let nine = Ipv4Addr::new(203, 0, 113, 9);
    let cases = [
        (v1("203.0.113.9"), "203.0.113.9"),
        (v1("2001:db8::7"), "2001:db8::7"),
        (v1("::ffff:203.0.113.9"), "203.0.113.9"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (b"PROXY UNKNOWN ffff::1 what ever\r\n".to_vec(), "127.0.0.1"),
        (v2_of(nine, &[]), "203.0.113.9"),
        (v2_of(nine, &[0x04, 0, 3, 0, 0, 0, 0xea, 0, 2, 1, 2]), "203.0.113.9"),
        (v2_of(nine, &[&[0x05, 0x0e, 0x00][..], &[7; 0xe00]].concat()), "203.0.113.9"),
        (v2_of(nine, &[0x20, 0xff, 0xff, 1]), "203.0.113.9"),
        (mapped, "203.0.113.9"),
        (of_six, "2001:db8::7"),
        (v2(1, 0, &[]), "127.0.0.1"),
        (local.clone(), "127.0.0.1"),
        (v2(0, 0x11, &[1; 12]), "127.0.0.1"),
    ];
    for (header, client) in cases {
        let answer = ask(weir.http, &header, "X-Forwarded-For: 198.51.100.1\r\n").unwrap();
        assert_eq!(told(&answer), client, "{:?}", String::from_utf8_lossy(&header));
    }
    let answer = ask(weir.http, &v1("127.0.0.1"), "X-Forwarded-For: 198.51.100.1\r\n").unwrap();
    assert!(told(&answer).starts_with("198.51.100.1"), "a CDN before a balancer: {}", told(&answer));
    let over_tls = v2_of(nine, &[0x20, 0, 5, 1, 0, 0, 0, 0]);
    assert_eq!(crate::common::of(&ask(weir.http, &over_tls, "").unwrap().body, "x-forwarded-proto"), Some("https"));
    assert_eq!(headers(&weir, "own"), 5.0);
    is_well(&weir);
}

#[test]
fn what_is_no_header_is_closed_counted_and_answered_by_nothing() {
    let (shop, weir) = behind_a_proxy("");
    let nine = Ipv4Addr::new(203, 0, 113, 9);
    let longest = |tail: &str| format!("PROXY UNKNOWN {}{tail}", "x".repeat(91)).into_bytes();
    let large = [v2(1, 0x11, &vec![0; 65_535]), vec![0; 40_000]].concat();
    let cases = [
        ("missing", vec![]),
        ("missing", b"PROXYTCP4 1.1.1.1 1.1.1.1 1 1\r\n".to_vec()),
        ("missing", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("missing", b"proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n".to_vec()),
        ("missing", b"\r\n\r\n\0\r\nQUIT\r".to_vec()),
        ("malformed", b"PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n".to_vec()),
        ("malformed", b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n".to_vec()),
        ("malformed", b"PROXY TCP4 1.1.1.1 1.1.1.1 +1 1\r\n".to_vec()),
        ("malformed", b"PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n".to_vec()),
        ("malformed", b"PROXY TCP4 1.1.1.1  1.1.1.1 1 1\r\n".to_vec()),
        ("malformed", b"PROXY TCP4 ::1 ::1 1 1\r\n".to_vec()),
        ("malformed", b"PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n".to_vec()),
        ("malformed", b"PROXY TCP4 1.1.1.\xff 1.1.1.1 1 1\r\n".to_vec()),
        ("malformed", longest("x\r\n")),
        ("malformed", [b"PROXY TCP4 ".to_vec(), vec![b'1'; 100_000]].concat()),
        ("malformed", v2(2, 0x11, &[0; 12])),
        ("malformed", v2(1, 0x11, &[0; 11])),
        ("malformed", v2(1, 0x21, &[0; 12])),
        ("malformed", v2(1, 0x12, &[0; 12])),
        ("malformed", [b"\r\n\r\n\0\r\nQUIT\n", &[0x11, 0x11, 0, 12][..], &[0; 12]].concat()),
        ("too_long", large),
        ("too_long", v2_of(nine, &[4; 4_081 - 12])),
    ];
    for (index, (result, bytes)) in cases.iter().enumerate() {
        let before = headers(&weir, result);
        for to in [weir.http, weir.https.unwrap()] {
            let answer = ask_whatever(to, bytes);
            assert_eq!(answer, [0; 0], "case {index}: {}", String::from_utf8_lossy(&answer));
        }
        until_true("it is counted", || headers(&weir, result) == before + 2.0);
    }
    assert!(ask(weir.http, &longest("\r\n"), "").is_some(), "the longest line is one");
    until_true("the log says it", || weir.log().contains("no PROXY header on an address of listen.proxy_protocol"));
    assert_eq!(shop.seen().len(), 1);
    is_well(&weir);
}

/// Sends these bytes and a request, and reads what there is.
fn ask_whatever(to: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect_from(1, to);
    let _ = stream.write_all(bytes).and_then(|()| stream.write_all(b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn a_header_in_pieces_is_one_and_one_that_ends_too_early_or_takes_too_long_is_none() {
    let (_shop, weir) = behind_a_proxy("header_timeout = \"1s\"");
    for header in [v1("203.0.113.9"), v2_of(Ipv4Addr::new(203, 0, 113, 9), &[4, 0, 1, 0])] {
        let mut stream = connect_from(1, weir.http);
        stream.set_nodelay(true).unwrap();
        for byte in &header {
            stream.write_all(&[*byte]).unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
        let mut kept = Kept(BufReader::new(stream));
        assert_eq!(told(&kept.get("/headers", &[])), "203.0.113.9");
        for cut in [1, 15, header.len() - 1] {
            let before = headers(&weir, "cut");
            let stream = connect_from(1, weir.http);
            (&stream).write_all(&header[..cut]).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            assert!(Kept(BufReader::new(stream)).ended());
            until_true("it is counted", || headers(&weir, "cut") == before + 1.0);
        }
    }
    let before = headers(&weir, "cut");
    let slow: Vec<TcpStream> = (0..20).map(|_| connect_from(1, weir.http)).collect();
    for stream in &slow {
        (&mut &*stream).write_all(b"PROXY TCP4").unwrap();
    }
    assert!(slow.into_iter().all(|stream| Kept(BufReader::new(stream)).ended()), "after header_timeout");
    until_true("they are counted", || headers(&weir, "cut") == before + 20.0);
    until_true("nothing is left of them", || weir.metric("weir_connections") <= 2.0);
    is_well(&weir);
}

#[test]
fn a_stranger_is_closed_whatever_it_says() {
    let (shop, weir) = behind_a_proxy("");
    for to in [weir.http, weir.https.unwrap()] {
        for bytes in [v1("203.0.113.9"), v2(0, 0, &[]), Vec::new()] {
            let mut stream = connect_from(9, to);
            let _ = stream.write_all(&[&bytes[..], b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"].concat());
            assert!(Kept(BufReader::new(stream)).ended());
        }
    }
    until_true("they are counted", || headers(&weir, "untrusted") == 6.0);
    until_true("the log says it", || {
        weir.log().contains("127.0.0.9") && weir.log().contains("not in listen.trusted_proxies")
    });
    assert_eq!(shop.seen().len(), 0);
    is_well(&weir);
}

#[test]
fn each_client_behind_a_proxy_has_connections_and_places_of_its_own() {
    let (_shop, weir) = behind_a_proxy("max_connections_per_client = 4");
    let asked = |client: &str| {
        let mut kept = Kept(BufReader::new(connect_from(1, weir.http)));
        kept.send(v1(client));
        assert_eq!(kept.get("/.weir/status/launch", &[]).status, 200);
        kept
    };
    let mut other = asked("203.0.113.2");
    let hoard: Vec<Kept> = (0..10).map(|_| asked("203.0.113.1")).collect();
    let evicted = r#"weir_connections_evicted_total{reason="max_connections_per_client"}"#;
    assert_eq!(weir.metric(evicted), 6.0);
    assert_eq!(other.get("/.weir/status/launch", &[]).status, 200);
    drop((hoard, other));

    let text = std::fs::read_to_string(weir.config_file()).unwrap();
    let text = text
        .replace("joins_per_second = 100000", "joins_per_second = 1")
        .replace("join_burst = 100000", "join_burst = 2");
    std::fs::write(weir.config_file(), text).unwrap();
    until_true("it is in force", || weir.metric(r#"weir_reloads_total{what="configuration",result="ok"}"#) >= 1.0);
    let place = |client: &str| {
        let mut kept = Kept(BufReader::new(connect_from(1, weir.http)));
        kept.send(v1(client));
        kept.get("/launch/item", &[JSON]).number().is_some()
    };
    assert_eq!([(); 4].map(|()| place("203.0.113.1"))[..2], [true, true]);
    assert!(!place("203.0.113.1"), "over its quota it has to confirm");
    assert!(place("203.0.113.2"), "and another client has not");
    is_well(&weir);
}

#[test]
fn the_setting_names_addresses_that_are_listened_on_and_needs_somebody_to_believe() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("weir.toml");
    let check = |listen: &str| {
        let text = config("127.0.0.1:9".parse().unwrap(), CLOSED).replace("workers = 2", listen);
        std::fs::write(&file, text).unwrap();
        weir(&["check", "weir.toml"], dir.path())
    };
    let (code, said) = check("proxy_protocol = \"127.0.0.1:0\"\ntrusted_proxies = \"10.0.0.0/8\"");
    assert_eq!(code, 0, "{said}");
    let (code, said) = check("proxy_protocol = \"127.0.0.1:81\"\ntrusted_proxies = \"10.0.0.0/8\"");
    assert!(code != 0 && said.contains("127.0.0.1:81 is not listened on"), "{said}");
    let (code, said) = check("proxy_protocol = \"127.0.0.1:0\"");
    assert!(code != 0 && said.contains("name the proxies in listen.trusted_proxies"), "{said}");
}

/// It still answers, and nothing in it has panicked.
fn is_well(weir: &Weir) {
    for _ in 0..4 {
        assert_eq!(ask(weir.http, &v1("203.0.113.77"), "").unwrap().status, 200);
    }
    assert!(!weir.log().contains("panicked"), "{}", weir.log());
}
