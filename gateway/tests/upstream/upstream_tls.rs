//! The way to a shop over TLS, and by a name that moves: nginx as the shop, certificates of the test's own authority.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::float_cmp, reason = "metrics are counts; tests")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::common::program::{Program, nginx_folders, ports};
use crate::common::{JSON, ROOMY, WEIR, Weir, config, until_true, weir};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// An authority that signs certificates for names, from a year to a year, into `name.pem` and `name.key`.
struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(dir: &Path, file: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, file);
        let key = KeyPair::generate().unwrap();
        std::fs::write(dir.join(format!("{file}.pem")), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { dir: dir.to_owned(), issuer: Issuer::new(params, key) }
    }

    fn sign(&self, file: &str, name: &str, years: [i32; 2]) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, file);
        [params.not_before, params.not_after] = years.map(|year| date_time_ymd(year, 1, 1));
        let key = KeyPair::generate().unwrap();
        std::fs::write(self.dir.join(format!("{file}.pem")), params.signed_by(&key, &self.issuer).unwrap().pem())
            .unwrap();
        std::fs::write(self.dir.join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }
}

const NOW: [i32; 2] = [2020, 2090];

/// nginx with a TLS server for each certificate; it tells what it heard.
fn shop(dir: &Path, servers: &[(u16, &str)], more: &str) -> Program {
    let server = |(port, certificate): &(u16, &str)| {
        format!(
            "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {0}/{certificate}.pem; ssl_certificate_key {0}/{certificate}.key;\n{more}\n\
             location / {{ default_type text/plain; return 200 \"welcome to the shop sni=$ssl_server_name host=$host \
             client=$ssl_client_s_dn verified=$ssl_client_verify $ssl_protocol request=$connection_requests reused=$ssl_session_reused \"; }} }}\n",
            dir.display()
        )
    };
    let servers_text: String = servers.iter().map(server).collect();
    let text = format!(
        "events {{}}\nhttp {{ access_log off; keepalive_requests 3; ssl_protocols TLSv1.2 TLSv1.3;\n{}\n{servers_text} }}\n",
        nginx_folders(dir)
    );
    let ports: Vec<u16> = servers.iter().map(|(port, _)| *port).collect();
    Program::nginx(dir, &text, &ports)
}

/// A gateway in this directory, before this server.
fn before(dir: tempfile::TempDir, server: &str, tls: &str) -> Weir {
    std::fs::write(dir.path().join("weir.toml"), configured(server, tls)).unwrap();
    Weir::start_in(dir)
}

fn configured(server: &str, tls: &str) -> String {
    let text = config("127.0.0.1:9".parse().unwrap(), ROOMY).replace("workers = 2", "workers = 1");
    text.replace("127.0.0.1:9\"", &format!("{server}\"")).replace("[[route]]", &format!("{tls}\n[[route]]"))
}

fn failures(weir: &Weir, port: u16, reason: &str) -> f64 {
    weir.metric(&format!(
        "weir_upstream_tls_failures_total{{upstream=\"shop\",server=\"127.0.0.1:{port}\",reason=\"{reason}\"}}"
    ))
}

#[test]
fn a_shop_is_spoken_to_over_tls_by_its_name_and_with_a_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let ours = Authority::new(dir.path(), "ca");
    ours.sign("shop", "shop.internal", NOW);
    ours.sign("weir", "weir.internal", NOW);
    let [port] = ports();
    let ask = format!("ssl_verify_client on; ssl_client_certificate {}/ca.pem;", dir.path().display());
    let _nginx = shop(dir.path(), &[(port, "shop")], &ask);
    let tls = "health = { path = \"/\", interval = \"100ms\", timeout = \"100ms\" }\n[upstream.tls]\nca_file = \"ca.pem\"\n\
               server_name = \"shop.internal\"\ncertificate = \"weir.pem\"\nkey = \"weir.key\"";
    let weir = before(dir, &format!("https://127.0.0.1:{port}"), tls);
    let first = weir.get("/", &[]);
    for part in
        ["welcome to the shop", "sni=shop.internal", "host=shop.example", "client=CN=weir verified=SUCCESS", "TLSv1.3"]
    {
        assert!(first.body.contains(part), "{part}: {first:?}");
    }
    // nginx ends each connection after three requests: none is lost by that, whatever its method.
    let all: Vec<String> =
        (0..30).map(|n| weir.send(if n % 2 == 0 { "POST" } else { "GET" }, "/", &[], "a=b").body).collect();
    assert!(all.iter().all(|body| body.contains("welcome to the shop")), "{all:?}");
    assert!(all.iter().any(|body| body.contains("request=3")), "connections are kept: {all:?}");
    assert!(all.iter().any(|body| body.contains("reused=r")), "and sessions resumed: {all:?}");
    let connections = weir.metric("weir_upstream_connections_total{upstream=\"shop\"}");
    assert!((10.0..=20.0).contains(&connections), "{connections}");
    assert!(weir.get("/launch/item", &[JSON]).body.contains("welcome"));
    assert_eq!(
        weir.metric(&format!("weir_upstream_server_usable{{upstream=\"shop\",server=\"127.0.0.1:{port}\"}}")),
        1.0
    );
    assert!(!weir.log().contains("health of server changed"));
    weir.is_well();
}

#[test]
fn a_certificate_that_does_not_hold_is_a_502_that_says_why_and_the_line_stands() {
    let dir = tempfile::tempdir().unwrap();
    let ours = Authority::new(dir.path(), "ca");
    Authority::new(dir.path(), "strangers").sign("stranger", "127.0.0.1", NOW);
    ours.sign("good", "127.0.0.1", NOW);
    ours.sign("expired", "127.0.0.1", [2001, 2002]);
    ours.sign("later", "127.0.0.1", [2080, 2090]);
    ours.sign("other", "elsewhere.example", NOW);
    let [good, expired, later, other, stranger, plain] = ports();
    let servers = [(good, "good"), (expired, "expired"), (later, "later"), (other, "other"), (stranger, "stranger")];
    let _nginx = shop(dir.path(), &servers, "");
    let clear = tempfile::tempdir().unwrap();
    let text = format!(
        "events {{}}\nhttp {{ access_log off; {} server {{ listen 127.0.0.1:{plain}; }} }}",
        nginx_folders(clear.path())
    );
    let _plain = Program::nginx(clear.path(), &text, &[plain]);

    let tls =
        "health = { path = \"/\", interval = \"100ms\", timeout = \"100ms\" }\n[upstream.tls]\nca_file = \"ca.pem\"";
    let weir = before(dir, &format!("https://127.0.0.1:{good}"), tls);
    assert_eq!(weir.get("/", &[]).status, 200);
    let cases = [
        (expired, "expired", "upstream_certificate_expired", "certificate expired"),
        (later, "not_yet_valid", "upstream_certificate_not_yet_valid", "not valid yet"),
        (other, "other_name", "upstream_certificate_other_name", "not valid for"),
        (stranger, "unknown_issuer", "upstream_certificate_unknown_issuer", "UnknownIssuer"),
        (plain, "handshake", "upstream_tls_failed", "corrupt message"),
    ];
    for (port, metric, reason, words) in cases {
        std::fs::write(weir.config_file(), configured(&format!("https://127.0.0.1:{port}"), tls)).unwrap();
        weir.signal("HUP");
        until_true("the answer says why", || {
            weir.get("/", &[]).status == 502 && weir.log().contains(&format!("\"reason\":\"{reason}\""))
        });
        until_true("the health check says why", || {
            let told = |line: &str| {
                line.contains("health of server changed")
                    && line.contains(&format!("127.0.0.1:{port}"))
                    && line.contains(words)
            };
            weir.log().lines().any(told)
        });
        assert!(failures(&weir, port, metric) >= 1.0);
        until_true("the line stands", || weir.room()["shop_rests"] == true);
    }
    std::fs::write(weir.config_file(), configured(&format!("https://127.0.0.1:{good}"), tls)).unwrap();
    weir.signal("HUP");
    until_true("it is in force", || weir.get("/", &[]).status == 200);
    until_true("the line goes on", || weir.room()["shop_rests"] == false);

    // The authority is exchanged under the same name.
    let strangers = std::fs::read(weir.dir.path().join("strangers.pem")).unwrap();
    std::fs::write(weir.dir.path().join("ca.pem"), strangers).unwrap();
    weir.signal("HUP");
    until_true("nobody trusts it any more", || weir.get("/", &[]).status == 502);
    weir.is_well();
}

#[test]
fn files_of_tls_to_the_shop_are_watched_and_a_broken_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let ours = Authority::new(dir.path(), "ca");
    Authority::new(dir.path(), "strangers");
    ours.sign("shop", "127.0.0.1", NOW);
    ours.sign("weir", "weir.internal", NOW);
    ours.sign("other", "other.internal", NOW);
    let [port] = ports();
    let ask = format!("ssl_verify_client on; ssl_client_certificate {}/ca.pem;", dir.path().display());
    let _nginx = shop(dir.path(), &[(port, "shop")], &ask);
    let file = |name: &str| dir.path().join(name);
    let (ca, strangers) = (std::fs::read(file("ca.pem")).unwrap(), std::fs::read(file("strangers.pem")).unwrap());
    let other = ["other.pem", "other.key"].map(|name| std::fs::read(file(name)).unwrap());
    let tls = "[upstream.tls]\nca_file = \"ca.pem\"\ncertificate = \"weir.pem\"\nkey = \"weir.key\"";
    let weir = before(dir, &format!("https://127.0.0.1:{port}"), tls);
    let write = |name: &str, content: &[u8]| std::fs::write(weir.dir.path().join(name), content).unwrap();
    assert!(weir.get("/", &[]).body.contains("client=CN=weir"));

    // The certificate is exchanged, and a moment later its key.
    write("weir.pem", &other[0]);
    until_true("it does not fit the key", || weir.log().contains("configuration refused"));
    assert!(weir.get("/", &[]).body.contains("client=CN=weir"), "the old one stays");
    write("weir.key", &other[1]);
    until_true("the new one is shown", || weir.get("/", &[]).body.contains("client=CN=other"));

    write("ca.pem", b"nonsense");
    until_true("it is refused", || weir.log().matches("configuration refused").count() >= 2);
    assert_eq!(weir.get("/", &[]).status, 200, "the old one stays");
    write("ca.pem", &strangers);
    until_true("nobody trusts the shop any more", || weir.get("/", &[]).status == 502);
    write("ca.pem", &ca);
    until_true("it is trusted again", || weir.get("/", &[]).status == 200);
    weir.is_well();
}

/// A gateway that looks names up in this file.
fn with_hosts(dir: tempfile::TempDir) -> Weir {
    let library = ["x86_64-linux-gnu", "aarch64-linux-gnu"].map(|arch| format!("/usr/lib/{arch}/libnss_wrapper.so"));
    let library = library.into_iter().find(|file| Path::new(file).exists()).unwrap();
    let mut command = Command::new(WEIR);
    command.env("LD_PRELOAD", library).env("NSS_WRAPPER_HOSTS", dir.path().join("hosts"));
    command.arg("serve").arg("--config").arg(dir.path().join("weir.toml"));
    Weir::spawn(dir, command)
}

/// Names for [`with_hosts`], which looks at the file again when its time in whole seconds grows.
struct Hosts {
    file: PathBuf,
    time: SystemTime,
}

impl Hosts {
    fn say(&mut self, text: &str) {
        self.time += Duration::from_secs(10);
        std::fs::write(&self.file, text).unwrap();
        std::fs::File::options().append(true).open(&self.file).unwrap().set_modified(self.time).unwrap();
    }
}

#[test]
fn a_name_that_moves_is_followed_and_one_that_is_lost_leads_where_it_led() {
    let dir = tempfile::tempdir().unwrap();
    let [port] = ports();
    let server =
        |address: &str| format!("server {{ listen {address}:{port}; location / {{ return 200 {address}; }} }}\n");
    let servers: String = ["127.0.0.1", "127.0.0.2", "127.0.0.3"].map(server).concat();
    let text = format!("events {{}}\nhttp {{ access_log off; {}\n{servers} }}\n", nginx_folders(dir.path()));
    let _nginx = Program::nginx(dir.path(), &text, &[port]);
    let name = format!("shop.internal:{port}");
    std::fs::write(dir.path().join("weir.toml"), configured(&name, "resolve_every = \"1s\"\nidle_timeout = \"1m\""))
        .unwrap();
    let mut hosts = Hosts { file: dir.path().join("hosts"), time: SystemTime::now() };
    hosts.say("127.0.0.2 shop.internal\n");
    let weir = with_hosts(dir);
    let resolved = || weir.metric(&format!("weir_upstream_server_resolved{{upstream=\"shop\",server=\"{name}\"}}"));
    assert_eq!((weir.get("/", &[]).body.as_str(), resolved()), ("127.0.0.2", 1.0));

    // The old address serves on, and connections to it are kept.
    hosts.say("127.0.0.3 shop.internal\n127.0.0.9 other.internal\n");
    until_true("new requests go to the new one", || weir.get("/", &[]).body == "127.0.0.3");
    assert!((0..5).all(|_| weir.get("/", &[]).body == "127.0.0.3"));
    until_true("the log says it", || weir.log().contains("name of server leads elsewhere"));

    hosts.say("127.0.0.9 other.internal\n");
    until_true("it is told", || resolved() == 0.0);
    until_true("the log says it", || weir.log().contains("name of server cannot be looked up"));
    assert!((0..5).all(|_| weir.get("/", &[]).body == "127.0.0.3"), "its last address stays");
    hosts.say("127.0.0.2 shop.internal\n");
    until_true("it is followed again", || weir.get("/", &[]).body == "127.0.0.2" && resolved() == 1.0);
    weir.is_well();
}

#[test]
fn what_cannot_be_spoken_to_over_tls_is_told_by_the_check() {
    let dir = tempfile::tempdir().unwrap();
    let check = |server: &str, tls: &str| {
        std::fs::write(dir.path().join("weir.toml"), configured(server, tls)).unwrap();
        weir(&["check", "weir.toml"], dir.path())
    };
    Authority::new(dir.path(), "ca").sign("weir", "weir.internal", NOW);
    let (code, said) = check(
        "https://shop.internal:443",
        "[upstream.tls]\nca_file = \"ca.pem\"\ncertificate = \"weir.pem\"\nkey = \"weir.key\"",
    );
    assert!(code == 0 && !said.contains("warning: weir.toml"), "{said}");
    for (server, tls, words) in [
        ("https://-:443", "", "no certificate can be for"),
        ("https://shop.internal", "", "is not a server with a port"),
        ("https://shop.internal:443", "[upstream.tls]\nserver_name = \"a b\"", "is no name of a server"),
        ("https://shop.internal:443", "[upstream.tls]\nca_file = \"none.pem\"", "there is no file"),
        ("https://shop.internal:443", "[upstream.tls]\nca_file = \"weir.toml\"", "no certificate in"),
        ("https://shop.internal:443", "[upstream.tls]\nkey = \"weir.key\"", "only of use together"),
    ] {
        let (code, said) = check(server, tls);
        assert!(code != 0 && said.contains(words), "{words}: {said}");
    }
    let (code, said) = check("shop.internal:80", "[upstream.tls]\nca_file = \"ca.pem\"");
    assert!(code == 0 && said.contains("no server is spoken to over TLS"), "{said}");
}
