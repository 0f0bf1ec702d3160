//! The HTTPS listener: names, HTTP/2, cookies, and certificates that change while it runs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, Stream};

use crate::common::{CLOSED, JSON, Shop, Weir, config, until_true, weir};

/// Writes a self-signed certificate for a name, and its key.
fn certificate(dir: &Path, file: &str, name: &str) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    std::fs::write(dir.join(format!("{file}.pem")), made.cert.pem()).unwrap();
    std::fs::write(dir.join(format!("{file}.key")), made.signing_key.serialize_pem()).unwrap();
}

/// A gateway with certificates for `a.example` and `b.example`.
fn gateway() -> (Shop, Weir) {
    let shop = Shop::open();
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "a", "a.example");
    certificate(dir.path(), "b", "b.example");
    let text = config(shop.address, CLOSED).replace("admin =", "https = \"127.0.0.1:0\"\nadmin =");
    let pairs = ["a", "b"].map(|name| format!("[[tls]]\ncertificate = \"{name}.pem\"\nkey = \"{name}.key\"\n"));
    std::fs::write(dir.path().join("weir.toml"), text + &pairs.concat()).unwrap();
    let weir = Weir::start_in(dir);
    (shop, weir)
}

/// Asks by HTTPS for a name, trusting one certificate. What came back, or nothing if it was not trusted.
fn curl(weir: &Weir, name: &str, trusted: &str, path: &str, more: &[&str]) -> Option<String> {
    let port = weir.https.unwrap().port();
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "30", "--resolve", &format!("{name}:{port}:127.0.0.1"), "--cacert"])
        .arg(weir.dir.path().join(format!("{trusted}.pem")))
        .args(more)
        .arg(format!("https://{name}:{port}{path}"))
        .output()
        .unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn each_name_has_its_certificate() {
    let (_shop, weir) = gateway();
    for name in ["a", "b"] {
        let other = if name == "a" { "b" } else { "a" };
        let host = format!("{name}.example");
        assert_eq!(curl(&weir, &host, name, "/", &[]).unwrap(), "welcome to the shop");
        assert_eq!(curl(&weir, &host, other, "/", &[]), None);
    }
    assert_eq!(curl(&weir, "unknown.example", "a", "/", &["--insecure"]).unwrap(), "welcome to the shop");
    weir.is_well();
}

#[test]
fn http_2_and_http_1_are_chosen_in_the_handshake() {
    let (_shop, weir) = gateway();
    let version =
        |more: &[&str]| curl(&weir, "a.example", "a", "/", &[&["-o", "-", "-w", " by %{http_version}"], more].concat());
    assert_eq!(version(&["--http2"]).unwrap(), "welcome to the shop by 2");
    assert_eq!(version(&["--http1.1"]).unwrap(), "welcome to the shop by 1.1");
    assert_eq!(version(&["--http2", "--tlsv1.2", "--tls-max", "1.2"]).unwrap(), "welcome to the shop by 2");
    assert_eq!(version(&["--tlsv1.1", "--tls-max", "1.1"]), None);
    let posted = curl(&weir, "a.example", "a", "/echo", &["--http2", "-d", "a body"]);
    assert_eq!(posted.unwrap(), "a body");
}

#[test]
fn who_comes_in_clear_is_sent_to_the_same_address_over_tls_and_told_to_stay_there() {
    let (shop, weir) = gateway();
    let text = std::fs::read_to_string(weir.config_file()).unwrap();
    let lines = "redirect_to_https = true\nhsts = \"365d\"\nhsts_include_subdomains = true\nadmin =";
    std::fs::write(weir.config_file(), text.replace("admin =", lines)).unwrap();
    weir.signal("HUP");
    until_true("it is in force", || weir.get("/", &[]).status == 308);
    let seen = shop.seen().len();
    let sent = weir.send("POST", "/launch//order?a=%2F&b", &[("Host", "a.example:8080")], "body");
    assert_eq!((sent.status, sent.header("location")), (308, Some("https://a.example/launch//order?a=%2F&b")));
    assert_eq!(sent.header("cache-control"), Some("no-store"));
    assert!(sent.header("set-cookie").is_none() && sent.header("strict-transport-security").is_none());
    assert_eq!(weir.get("/.weir/status/launch", &[]).status, 200, "probes are answered");
    assert_eq!(shop.seen().len(), seen, "the shop hears of none of it");
    assert!(weir.metric("weir_requests_total{room=\"\",verdict=\"redirect\"}") >= 2.0);

    let port = weir.https.unwrap().port();
    let (clear, over_tls) = (weir.http.port(), format!("a.example:443:127.0.0.1:{port}"));
    let from = format!("a.example:80:127.0.0.1:{clear}");
    let followed = Command::new("curl")
        .args(["--silent", "--include", "--location", "--connect-to", &from, "--connect-to", &over_tls, "--cacert"])
        .arg(weir.dir.path().join("a.pem"))
        .arg("http://a.example/")
        .output()
        .unwrap();
    let followed = String::from_utf8_lossy(&followed.stdout).into_owned();
    assert!(followed.ends_with("welcome to the shop"), "{followed}");
    assert!(followed.contains("strict-transport-security: max-age=31536000; includeSubDomains"), "{followed}");
    weir.is_well();
}

#[test]
fn a_redirect_to_nobody_who_speaks_tls_is_refused_by_the_check() {
    let dir = tempfile::tempdir().unwrap();
    let check = |lines: &str| {
        let text = config("127.0.0.1:9".parse().unwrap(), CLOSED).replace("workers = 2", lines);
        std::fs::write(dir.path().join("weir.toml"), text).unwrap();
        weir(&["check", "weir.toml"], dir.path())
    };
    let (code, said) = check("redirect_to_https = true");
    assert!(code != 0 && said.contains("browsers would go in a circle"), "{said}");
    let (code, said) = check("redirect_to_https = true\ntrusted_proxies = \"10.0.0.1\"");
    assert!(code == 0 && said.contains("X-Forwarded-Proto"), "{said}");
    let (code, said) = check("hsts_include_subdomains = true");
    assert!(code != 0 && said.contains("there is no hsts"), "{said}");
}

#[test]
fn under_tls_the_cookie_is_for_this_host_alone_and_secure() {
    let (_shop, weir) = gateway();
    for version in ["--http1.1", "--http2"] {
        let headers = ["-i", version, "-H", "Accept: application/json"];
        let answer = curl(&weir, "a.example", "a", "/launch/item", &headers).unwrap();
        let cookie = answer.lines().find(|line| line.to_lowercase().starts_with("set-cookie:")).unwrap();
        assert!(cookie.contains("__Host-weir_launch=") && cookie.contains("Secure"), "{cookie}");
        assert!(cookie.contains("Path=/") && !cookie.contains("Domain"), "{cookie}");
        let sealed = cookie.split_once(' ').unwrap().1.split(';').next().unwrap();
        let again = ["-H", "Accept: application/json", "-H", &format!("Cookie: {sealed}")];
        let again = curl(&weir, "a.example", "a", "/launch/item", &again).unwrap();
        let ticket =
            |text: &str| text.split_once("\"ticket\":").unwrap().1.split([',', '}']).next().unwrap().to_owned();
        assert_eq!(ticket(&again), ticket(&answer), "the cookie is read again");
    }
}

#[test]
fn a_proxy_that_is_trusted_may_say_that_the_shopper_speaks_tls() {
    let shop = Shop::open();
    let proto = [JSON, ("X-Forwarded-Proto", "https")];
    let weir = Weir::start(&config(shop.address, CLOSED));
    assert!(weir.get("/launch/item", &proto).cookie().unwrap().starts_with("weir_launch="));
    let trusting =
        config(shop.address, CLOSED).replace("workers = 2", "workers = 2\ntrusted_proxies = [\"127.0.0.0/8\"]");
    let weir = Weir::start(&trusting);
    let answer = weir.get("/launch/item", &proto);
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-weir_launch=") && cookie.contains("Secure"), "{cookie}");
    assert!(weir.get("/launch/item", &[JSON]).cookie().unwrap().starts_with("weir_launch="));
}

#[test]
fn a_changed_certificate_is_used_and_a_bad_one_never() {
    let (_shop, weir) = gateway();
    let dir = weir.dir.path();
    let reloads =
        |result: &str| weir.metric(&format!(r#"weir_reloads_total{{what="certificates",result="{result}"}}"#));
    let works = |trusted: &str| curl(&weir, "a.example", trusted, "/", &[]).is_some();
    std::fs::copy(dir.join("a.pem"), dir.join("old.pem")).unwrap();
    certificate(dir, "new", "a.example");
    // Both files by rename, the key first: whatever is seen in between does not fit and is refused.
    for (from, to) in [("new.key", "a.key"), ("new.pem", "a.pem")] {
        std::fs::copy(dir.join(from), dir.join("part")).unwrap();
        std::fs::rename(dir.join("part"), dir.join(to)).unwrap();
    }
    until_true("the new one is used", || works("new") && !works("old"));
    assert!(reloads("ok") >= 1.0);

    for bad in ["not PEM at all", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ""] {
        let before = reloads("refused");
        std::fs::write(dir.join("a.pem"), bad).unwrap();
        until_true("it is refused", || reloads("refused") > before);
        assert!(works("new") && curl(&weir, "b.example", "b", "/", &[]).is_some(), "the old ones stay");
    }
    until_true("the log says it", || weir.log().contains("certificates refused"));
    std::fs::remove_file(dir.join("a.pem")).unwrap();
    let before = reloads("refused");
    weir.signal("HUP");
    until_true("a missing one is refused", || reloads("refused") > before);
    assert!(works("new"));
    certificate(dir, "a", "a.example");
    until_true("a good one is used again", || works("a") && !works("new"));
    weir.is_well();
}

#[test]
fn clear_text_on_the_tls_port_and_tls_on_the_clear_one_end_that_connection_alone() {
    let (_shop, weir) = gateway();
    let answer = crate::common::raw(weir.https.unwrap(), b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(answer.status, 0);
    let mut half = std::net::TcpStream::connect(weir.https.unwrap()).unwrap();
    std::io::Write::write_all(&mut half, &[0x16, 3, 1, 2, 0, 1]).unwrap();
    drop(half);
    assert!(curl(&weir, "a.example", "a", "/", &[]).is_some());
    weir.is_well();
}

#[test]
fn a_certificate_that_cannot_be_used_at_the_start_is_told_in_words() {
    let shop = Shop::open();
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "a", "a.example");
    certificate(dir.path(), "b", "b.example");
    let text = config(shop.address, CLOSED).replace("admin =", "https = \"127.0.0.1:0\"\nadmin =");
    std::fs::write(dir.path().join("weir.toml"), text + "[[tls]]\ncertificate = \"a.pem\"\nkey = \"b.key\"\n").unwrap();
    let (code, told) = crate::common::weir(&["serve", "--config", "weir.toml"], dir.path());
    assert!((code == 1 || code == 2) && told.contains("does not fit"), "{code}: {told}");
}

/// A handshake in memory, after which the client has what the server gave it for the next one.
fn shake(client: &mut ClientConnection, server: &mut ServerConnection) {
    while client.is_handshaking() || server.is_handshaking() || client.wants_write() || server.wants_write() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut &bytes[..]).unwrap();
        server.process_new_packets().unwrap();
        bytes.clear();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut &bytes[..]).unwrap();
        client.process_new_packets().unwrap();
    }
}

/// What a client kept of another server of this name, before Weir stood there: that one took early data.
#[test]
fn early_data_that_another_server_allowed_is_skipped() {
    let (_shop, weir) = gateway();
    let file = |name: &str| weir.dir.path().join(name);
    let certificate = CertificateDer::from_pem_file(file("a.pem")).unwrap();
    let mut trusted = RootCertStore::empty();
    trusted.add(certificate.clone()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let mut client = client.with_root_certificates(trusted).with_no_client_auth();
    client.enable_early_data = true;
    let key = PrivateKeyDer::from_pem_file(file("a.key")).unwrap();
    let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut server = server.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    server.max_early_data_size = 16_000;
    let (client, name) = (Arc::new(client), || "a.example".try_into().unwrap());
    let mut first = ClientConnection::new(client.clone(), name()).unwrap();
    shake(&mut first, &mut ServerConnection::new(Arc::new(server)).unwrap());

    let request = b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
    let mut second = ClientConnection::new(client, name()).unwrap();
    second.early_data().expect("the ticket allows it").write_all(request).unwrap();
    let mut socket = TcpStream::connect(weir.https.unwrap()).unwrap();
    let mut tls = Stream::new(&mut second, &mut socket);
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(tls.sock).unwrap();
    }
    assert!(!tls.conn.is_early_data_accepted());
    tls.write_all(request).unwrap();
    let mut answer = Vec::new();
    tls.read_to_end(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer).ends_with("welcome to the shop"), "{answer:?}");
    weir.is_well();
}
