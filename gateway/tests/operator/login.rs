//! Log-in of operators: sessions, the pages for it, who else may say who an operator is, TLS, and the link of the first start.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::actions::{audit, member};
use crate::common::browser::Browser;
use crate::common::redis::RedisServer;
use crate::common::{Answer, ROOMY, Shop, Weir, config, request, until, until_true, weir};

const ROOMS: &str = ROOMY;
const FILES: &str = "admin_token_file = \"admin.token\"\nadmin_operators_file = \"operators\"\n";
const TOKEN: &str = "sixteen letters!";
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("Content-Type", "application/json");
const PAUSE: &str = "{\"why\": \"a test\"}";

/// A configuration with these lines in `[listen]`.
fn with(shop: &Shop, listen: &str, more: &str) -> String {
    config(shop.address, ROOMS).replace("workers = 2\n", &format!("workers = 2\n{listen}")) + more
}

fn add(dir: &Path, name: &str, role: &str) -> String {
    let (code, said) = weir(&["operators", "add", name, "--role", role, "--file", "operators"], dir);
    assert_eq!(code, 0, "{said}");
    said.trim().to_owned()
}

/// A gateway with three operators, and their tokens.
fn staffed(shop: &Shop, more: &str) -> (Weir, [String; 3]) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("weir.toml"), with(shop, FILES, more)).unwrap();
    std::fs::write(dir.path().join("admin.token"), TOKEN).unwrap();
    let tokens =
        [("vi", "viewer"), ("kim", "operator"), ("ada", "admin")].map(|(name, role)| add(dir.path(), name, role));
    (Weir::start_in(dir), tokens)
}

fn log_in(to: &Weir, token: &str, headers: &[(&str, &str)]) -> Answer {
    let body = json!({ "token": token }).to_string();
    request(to.admin, "POST", "/api/session", &[headers, &[JSON]].concat(), &body)
}

/// The cookie of a session.
fn session(to: &Weir, token: &str) -> String {
    let answer = log_in(to, token, &[]);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.cookie().unwrap()
}

fn ask(to: &Weir, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let typed: &[(&str, &str)] = if body.starts_with('{') { &[JSON] } else { &[] };
    request(to.admin, method, path, &[headers, typed].concat(), body)
}

fn status(to: &Weir, cookie: &str) -> u16 {
    ask(to, "GET", "/api/rooms", &[("Cookie", cookie)], "").status
}

fn lines(of: &Weir) -> Vec<Json> {
    let token = format!("Bearer {TOKEN}");
    let told = ask(of, "GET", "/api/audit", &[("Authorization", &token)], "").body;
    told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_token_is_traded_for_a_session_that_may_what_its_operator_may() {
    let shop = Shop::open();
    let (weir, tokens) = staffed(&shop, "");
    let answer = log_in(&weir, &tokens[1], &[]);
    let set = answer.header("set-cookie").unwrap();
    assert!(
        set.starts_with("weir_console=") && set.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"),
        "{set}"
    );
    assert_eq!((&answer.json()["name"], &answer.json()["role"]), (&json!("kim"), &json!("operator")));
    let cookie = answer.cookie().unwrap();
    let who = ask(&weir, "GET", "/api/session", &[("Cookie", &cookie)], "").json();
    assert_eq!((&who["name"], &who["by"], who["ends"].is_string()), (&json!("kim"), &json!("session"), true));

    // A change comes from a page of the listener itself.
    let pause = |headers: &[(&str, &str)]| ask(&weir, "POST", "/api/rooms/launch/actions/pause", headers, PAUSE).status;
    let own = [("Cookie", cookie.as_str()), ("Origin", "http://localhost")];
    assert_eq!(pause(&own), 200);
    for headers in [
        vec![("Cookie", cookie.as_str())],
        vec![("Cookie", &cookie), ("Origin", "http://evil.example")],
        vec![("Cookie", &cookie), ("Origin", "http://localhost:8080")],
        vec![("Cookie", &cookie), ("Origin", "null")],
        vec![("Cookie", &cookie), ("Sec-Fetch-Site", "same-site")],
        vec![("Cookie", &cookie), ("Origin", "http://evil.example"), ("Sec-Fetch-Site", "same-origin")],
    ] {
        assert_eq!(pause(&headers), 403, "{headers:?}");
    }
    assert_eq!(pause(&[("Cookie", &cookie), ("Sec-Fetch-Site", "same-origin")]), 200);
    assert_eq!(ask(&weir, "PUT", "/api/versions/in-force?to=0", &own, "").status, 403, "an operator is no admin");
    let admins = session(&weir, TOKEN);
    assert_eq!(
        ask(&weir, "PUT", "/api/versions/in-force?to=0&undo=true", &[("Cookie", &admins), own[1]], "").status,
        200
    );

    // Another name is no session, nor is a text that was changed; of several cookies the valid one counts.
    let text = cookie.split_once('=').unwrap().1;
    assert_eq!(status(&weir, &format!("__Host-weir_console={text}")), 401, "that one comes over TLS alone");
    assert_eq!(status(&weir, &format!("weir_console={}", &text[..text.len() - 8])), 401);
    assert_eq!(status(&weir, &format!("weir_console=x; {cookie}")), 200);
    assert!(lines(&weir).iter().any(|line| line["who"] == "kim" && line["with"] == "a session, by a token"));
    assert!(!weir.log().contains(text) && !weir.log().contains(&tokens[1]), "neither is in the log");
}

#[test]
fn a_session_ends_with_its_operator_with_the_role_and_by_a_log_out() {
    let shop = Shop::open();
    let (weir, tokens) = staffed(&shop, "");
    let [vi, kim, ada] = [0, 1, 2].map(|at| session(&weir, &tokens[at]));
    let second = session(&weir, &tokens[2]);
    assert!([&vi, &kim, &ada].into_iter().all(|cookie| status(&weir, cookie) == 200));
    let (code, said) = crate::common::weir(&["operators", "remove", "vi", "--file", "operators"], weir.dir.path());
    assert_eq!((code, status(&weir, &vi)), (0, 401), "{said}");
    let file = weir.dir.path().join("operators");
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap().replace("kim operator", "kim admin")).unwrap();
    assert_eq!(status(&weir, &kim), 401, "another role is another log-in");
    assert_eq!(status(&weir, &session(&weir, &tokens[1])), 200);
    let out = [("Cookie", ada.as_str()), ("Origin", "http://localhost")];
    let answer = ask(&weir, "DELETE", "/api/session", &out, "");
    assert_eq!(answer.status, 204, "{answer:?}");
    assert!(answer.header("set-cookie").unwrap().starts_with("weir_console=; Path=/; Max-Age=0;"), "{answer:?}");
    assert_eq!(
        (status(&weir, &ada), status(&weir, &second)),
        (401, 200),
        "a copy of it is worth nothing, another one lives on"
    );
    let problem = ask(&weir, "GET", "/api/rooms", &[("Cookie", &ada)], "").json();
    assert!(problem["detail"].as_str().unwrap().contains("session is over"), "{problem}");
    assert!(lines(&weir).iter().any(|line| line["who"] == "ada" && line["action"] == "log-out"));
}

#[test]
fn a_session_counts_at_each_gateway_and_after_a_restart_and_a_log_out_ends_it_everywhere() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let place = tempfile::tempdir().unwrap();
    let token = add(place.path(), "kim", "operator");
    let operators = place.path().join("operators");
    let text = with(&shop, &format!("admin_operators_file = \"{}\"\n", operators.display()), "");
    let [a, b] = ["a", "b"].map(|name| member(&redis.url(), name, &text));
    let cookie = session(&a, &token);
    until_true("it counts there, too", || status(&b, &cookie) == 200);
    let a = Weir::start_in(a.kill());
    assert_eq!(status(&a, &cookie), 200, "the process is another one");
    let out = [("Cookie", cookie.as_str()), ("Origin", "http://localhost")];
    assert_eq!(ask(&a, "DELETE", "/api/session", &out, "").status, 204);
    assert_eq!(status(&a, &cookie), 401);
    until_true("the other one hears of it", || status(&b, &cookie) == 401);
    let a = Weir::start_in(a.kill());
    assert_eq!(status(&a, &cookie), 401, "and a new process knows it");
}

#[test]
fn log_ins_are_limited_by_address_in_clear_they_are_of_this_machine_and_what_is_refused_is_in_the_audit() {
    let shop = Shop::open();
    let (weir, tokens) = staffed(&shop, "");
    let refused = log_in(&weir, "kim.x", &[]);
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")), "{refused:?}");
    for headers in [("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=203.0.113.9")] {
        let refused = log_in(&weir, &tokens[1], &[headers]);
        assert_eq!((refused.status, refused.header("content-type")), (403, Some("application/problem+json")));
        assert!(refused.json()["how"].as_str().unwrap().contains("[admin.tls]"), "{refused:?}");
    }
    assert_eq!(
        log_in(&weir, &tokens[1], &[("Origin", "http://evil.example")]).status,
        403,
        "nobody is logged in by another site"
    );
    let cookie = session(&weir, &tokens[1]);
    let forwarded = [("Cookie", cookie.as_str()), ("X-Forwarded-For", "203.0.113.9")];
    assert_eq!(ask(&weir, "GET", "/api/rooms", &forwarded, "").status, 401, "nor does a session count there");
    for body in ["", "no JSON", "{}", "{\"token\": 3}", "{\"token\": \"x\", \"name\": \"kim\"}", &"x".repeat(5_000)] {
        let answer = request(weir.admin, "POST", "/api/session", &[JSON], body);
        assert!([400, 413, 422].contains(&answer.status) && answer.json()["status"] == answer.status, "{answer:?}");
    }
    let tried: Vec<u16> = (0..40).map(|_| log_in(&weir, "nobody.x", &[]).status).collect();
    assert!(tried.contains(&429), "{tried:?}");
    let told = lines(&weir);
    assert!(
        told.iter().any(|line| line["who"] == "kim" && line["action"] == "log-in" && line["refused"].is_string()),
        "{told:?}"
    );
    assert!(told.len() < 30, "they are bounded: {}", told.len());
    assert_eq!(status(&weir, &cookie), 200, "who is logged in goes on");
    weir.is_well();
}

#[test]
fn the_pages_log_in_and_out_without_a_script() {
    let shop = Shop::open();
    let (weir, tokens) = staffed(&shop, "");
    let page = |path: &str, headers: &[(&str, &str)]| {
        ask(&weir, "GET", path, &[headers, &[("Host", "localhost")]].concat(), "")
    };
    let home = page("/", &[]);
    assert_eq!((home.status, home.header("location")), (303, Some("/login")));
    let form = page("/login", &[("Accept-Language", "en")]);
    assert!(
        form.body.contains("<html lang=\"en\">") && form.body.contains("<form method=\"post\" action=\"/login\">"),
        "{form:?}"
    );
    let policy = form.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !form.body.contains("<script"), "{policy}");
    assert!(policy.ends_with("form-action 'self'; base-uri 'none'; frame-ancestors 'none'"), "{policy}");
    assert_eq!(form.header("cache-control"), Some("no-store"));
    assert!(page("/login", &[("Accept-Language", "ko")]).body.contains("로그인"));
    let send = |path: &str, headers: &[(&str, &str)], body: &str| {
        let own = [("Host", "localhost"), ("Origin", "http://localhost"), ("Accept-Language", "en"), FORM];
        request(weir.admin, "POST", path, &[headers, &own].concat(), body)
    };
    let wrong = send("/login", &[], "token=kim.%3Cb%3E");
    assert_eq!((wrong.status, wrong.header("content-type")), (401, Some("text/html; charset=utf-8")), "{wrong:?}");
    assert!(wrong.body.contains("No operator has this token.") && !wrong.body.contains("<b>"), "{wrong:?}");
    let sent = send("/login", &[], &format!("token={}", tokens[1]));
    assert_eq!((sent.status, sent.header("location")), (303, Some("/console")), "{sent:?}");
    let cookie = sent.cookie().unwrap();
    let home = page("/", &[("Cookie", &cookie), ("Accept-Language", "en")]);
    assert!(home.body.contains("<strong>kim</strong>") && home.body.contains("Operator<small>"), "{home:?}");
    let out = send("/logout", &[("Cookie", &cookie)], "");
    assert_eq!((out.status, out.header("location")), (303, Some("/login")));
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"), "{out:?}");
    assert_eq!(page("/", &[("Cookie", &cookie)]).status, 303);
    let foreign = request(
        weir.admin,
        "POST",
        "/login",
        &[("Host", "localhost"), ("Origin", "http://evil.example"), FORM],
        "token=x",
    );
    assert_eq!(foreign.status, 403);
    assert_eq!(page("/login", &[("Host", "evil.example")]).status, 403, "by its own names alone");
    let elsewhere = page("/login", &[("X-Forwarded-For", "203.0.113.9"), ("Accept-Language", "en")]);
    assert!(elsewhere.body.contains("[admin.tls]") && !elsewhere.body.contains("<form"), "{elsewhere:?}");
    assert!(
        page("/login?link=%3Cscript%3E", &[]).body.contains("&lt;script&gt;"),
        "what comes with the address is text"
    );
}

#[test]
fn a_proxy_names_operators_from_its_own_address_and_a_spoof_is_refused_and_written_down() {
    let shop = Shop::open();
    let admin = |proxy: &str| {
        format!("[admin]\ntrusted_identity_header = \"X-Forwarded-User\"\ntrusted_identity_proxies = [\"{proxy}\"]\n")
    };
    let (trusting, _) = staffed(&shop, &admin("127.0.0.1"));
    let by = |to: &Weir, name: &str, method: &str, path: &str, more: &[(&str, &str)]| {
        let body = if method == "POST" { PAUSE } else { "" };
        ask(to, method, path, &[&[("X-Forwarded-User", name)], more].concat(), body)
    };
    let who = by(&trusting, "kim", "GET", "/api/session", &[]).json();
    assert_eq!((&who["name"], &who["role"], &who["by"]), (&json!("kim"), &json!("operator"), &json!("proxy")));
    let pause = "/api/rooms/launch/actions/pause";
    assert_eq!(by(&trusting, "kim", "POST", pause, &[("Origin", "http://localhost")]).status, 200);
    assert_eq!(
        by(&trusting, "kim", "POST", pause, &[]).status,
        403,
        "it comes from a browser, and says no Origin of ours"
    );
    assert_eq!(by(&trusting, "vi", "POST", pause, &[("Origin", "http://localhost")]).status, 403);
    for unknown in ["mallory", "admin", "local", ""] {
        assert_eq!(by(&trusting, unknown, "GET", "/api/rooms", &[]).status, 403, "{unknown:?}");
    }
    assert_eq!(
        by(&trusting, "kim", "GET", "/api/rooms", &[("X-Forwarded-User", "ada")]).status,
        403,
        "two names are none"
    );
    assert_eq!(ask(&trusting, "GET", "/api/rooms", &[], "").status, 401, "without the header a token is needed");
    let page = by(&trusting, "ada", "GET", "/", &[("Host", "localhost"), ("Accept-Language", "en")]);
    assert!(page.body.contains("<strong>ada</strong>") && page.body.contains("single-sign-on"), "{page:?}");

    let (other, tokens) = staffed(&shop, &admin("192.0.2.1"));
    let token = format!("Bearer {}", tokens[2]);
    for more in [vec![], vec![("Authorization", token.as_str())]] {
        let spoof = by(&other, "ada", "GET", "/api/rooms", &more);
        assert_eq!(spoof.status, 403, "{spoof:?}");
        assert!(spoof.json()["how"].as_str().unwrap().contains("trusted_identity_proxies"), "{spoof:?}");
    }
    let told = lines(&other);
    let spoofs = told.iter().filter(|line| line["with"] == "127.0.0.1 names \"ada\"" && line["refused"].is_string());
    assert_eq!(spoofs.count(), 2, "{told:?}");
    // Where no header is configured it is none.
    let (plain, _) = staffed(&shop, "");
    assert_eq!(by(&plain, "ada", "GET", "/api/rooms", &[]).status, 401);
}

#[test]
fn a_header_without_proxies_or_operators_is_a_mistake_of_the_file() {
    let shop = Shop::open();
    let dir = tempfile::tempdir().unwrap();
    for (admin, said) in [
        ("trusted_identity_header = \"X-Forwarded-User\"", "nobody may send this header"),
        ("trusted_identity_proxies = [\"127.0.0.1\"]", "there is no header"),
        ("trusted_identity_header = \"X-User\"\ntrusted_identity_proxies = [\"10.0.0.1\"]", "there are no operators"),
        ("trusted_identity_header = \"Cookie\"\ntrusted_identity_proxies = [\"10.0.0.1\"]", "has a meaning of its own"),
        ("tls.certificate = \"cert.pem\"", "key"),
        ("tls.certificate = \"no.pem\"\ntls.key = \"no.pem\"", "there is no file"),
    ] {
        std::fs::write(dir.path().join("weir.toml"), with(&shop, "", &format!("[admin]\n{admin}\n"))).unwrap();
        let (code, told) = weir(&["check", "weir.toml"], dir.path());
        assert!(code == 2 && told.contains(said), "{admin}: {told}");
    }
}

/// A certificate for this machine, signed by an authority of its own: `cert.pem`, `key.pem`, `ca.pem`.
fn certify(dir: &Path, name: &str) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let names = ["127.0.0.1", "localhost", "weir.internal"].map(str::to_owned);
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, format!("of {name}"));
    let own = params.signed_by(&key, &issuer).unwrap();
    std::fs::write(dir.join("ca.pem"), authority.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
    std::fs::write(dir.join("cert.pem"), own.pem()).unwrap();
}

/// What curl prints: head and body.
fn curl(dir: &Path, arguments: &[&str]) -> (bool, String) {
    let done =
        Command::new("curl").args(["-sS", "-i", "--max-time", "20"]).args(arguments).current_dir(dir).output().unwrap();
    (done.status.success(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
}

const TLS: &str = "[admin.tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\nca_file = \"ca.pem\"\n";

#[test]
fn over_tls_curl_and_the_commands_speak_to_the_listener_and_a_new_certificate_is_taken() {
    let shop = Shop::open();
    let dir = tempfile::tempdir().unwrap();
    certify(dir.path(), "first");
    std::fs::write(dir.path().join("admin.token"), TOKEN).unwrap();
    add(dir.path(), "kim", "operator");
    let token = add(dir.path(), "ada", "admin");
    std::fs::write(dir.path().join("weir.toml"), with(&shop, FILES, TLS)).unwrap();
    let weir = Weir::start_in(dir);
    let (here, base) = (weir.dir.path(), format!("https://{}", weir.admin));
    let (fine, told) = curl(here, &["--cacert", "ca.pem", "--tlsv1.2", &format!("{base}/healthz")]);
    assert!(fine && told.starts_with("HTTP/1.1 200 OK") && told.ends_with("ok\n"), "{told}");
    assert!(!curl(here, &[&format!("{base}/healthz")]).0, "nobody else signed for it");
    assert!(!curl(here, &[&format!("http://{}/healthz", weir.admin)]).0, "nothing is said in clear");

    // A session over TLS, as a browser keeps it.
    let login = format!("{{\"token\": \"{token}\"}}");
    let session = format!("{base}/api/session");
    let kept = ["--cacert", "ca.pem", "-c", "jar", "-b", "jar", "-H", "Content-Type: application/json"];
    let (_, told) = curl(here, &[&kept[..], &["-d", &login, &session]].concat());
    let set = told
        .lines()
        .find(|line| line.starts_with("set-cookie: __Host-weir_console="))
        .unwrap_or_else(|| panic!("{told}"));
    assert!(set.ends_with("; HttpOnly; SameSite=Strict; Secure"), "{set}");
    let forwarded = "X-Forwarded-For: 203.0.113.9";
    let (_, told) = curl(here, &[&kept[..], &["-H", forwarded, &session]].concat());
    assert!(told.contains("\"name\":\"ada\"") && told.contains("\"by\":\"session\""), "over TLS from anywhere: {told}");
    let pause = format!("{base}/api/rooms/launch/actions/pause");
    let (_, told) = curl(here, &[&kept[..], &["-H", &format!("Origin: {base}"), "-d", PAUSE, &pause]].concat());
    assert!(told.starts_with("HTTP/1.1 200 OK"), "{told}");
    let clear = format!("Origin: http://{}", weir.admin);
    let (_, told) = curl(here, &[&kept[..], &["-H", &clear, "-d", PAUSE, &pause]].concat());
    assert!(told.starts_with("HTTP/1.1 403"), "a page in clear is no page of it: {told}");

    // The commands, by address and by the configuration.
    let ask = |arguments: &[&str]| crate::common::weir(arguments, here);
    let admin = ["--admin", base.as_str(), "--token-file", "admin.token"];
    let (code, said) = ask(&[&["resume", "launch", "--why", "a test", "--ca-file", "ca.pem"], &admin[..]].concat());
    assert!(code == 0 && said.contains("is Running"), "{said}");
    let (code, said) = ask(&[&["versions"], &admin[..]].concat());
    assert!(code == 1 && said.contains("TLS"), "the authorities of the system do not know it: {said}");
    let text = with(&shop, FILES, TLS)
        .replace("admin = \"127.0.0.1:0\"", &format!("admin = \"{}\"\nadmin_hosts = [\"weir.internal\"]", weir.admin));
    std::fs::write(here.join("other.toml"), text).unwrap();
    let (code, said) = ask(&["pause", "launch", "--why", "a test", "--config", "other.toml"]);
    assert!(code == 1 && said.contains("Host"), "the running gateway has no such name: {said}");

    let loaded = || weir.log().matches("certificates in force").count();
    let before = loaded();
    certify(here, "second");
    until_true("it is taken", || loaded() > before);
    until_true("it is shown", || curl(here, &["--cacert", "ca.pem", &format!("{base}/healthz")]).0);
    std::fs::write(here.join("cert.pem"), "no certificate").unwrap();
    until_true("it is refused", || weir.log().contains("certificates refused"));
    assert!(curl(here, &["--cacert", "ca.pem", &format!("{base}/healthz")]).0, "the one before stays");
}

/// The link in the log of a start.
fn link(of: &Weir) -> Option<String> {
    let fields = |line: &str| serde_json::from_str::<Json>(line).ok()?["fields"]["link"].as_str().map(str::to_owned);
    of.log().lines().find_map(fields)
}

fn started(shop: &Shop, listen: &str, prepare: impl FnOnce(&Path)) -> Weir {
    let dir: TempDir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    std::fs::write(dir.path().join("weir.toml"), with(shop, listen, "")).unwrap();
    Weir::start_in(dir)
}

#[test]
fn the_first_start_tells_a_link_that_logs_in_once_as_admin() {
    let shop = Shop::open();
    let operators = "admin_operators_file = \"operators\"\n";
    let weir = started(&shop, operators, |_| ());
    let here = weir.dir.path();
    let link = until("it is told", || link(&weir));
    let base = format!("http://{}", weir.admin);
    let secret = link.strip_prefix(&format!("{base}/login?link=")).unwrap();
    let send = |secret: &str, more: &[&str]| {
        let (data, to, origin) = (format!("link={secret}"), format!("{base}/login"), format!("Origin: {base}"));
        curl(here, &[&["-c", "jar", "-H", &origin, "-d", &data][..], more, &[&to]].concat()).1
    };
    // To look at it uses nothing up: browsers and chats fetch links ahead.
    for _ in 0..2 {
        let (_, page) = curl(here, &["-H", "Accept-Language: en", &link]);
        assert!(page.contains("Log in as admin") && page.contains(secret), "{page}");
    }
    assert!(
        send(secret, &["-H", "X-Forwarded-For: 203.0.113.9"]).starts_with("HTTP/1.1 403"),
        "from this machine alone"
    );
    assert!(send(&secret.replace(&secret[..8], "00000000"), &[]).starts_with("HTTP/1.1 401"));
    let told = send(secret, &[]);
    assert!(told.starts_with("HTTP/1.1 303") && told.contains("set-cookie: weir_console="), "{told}");
    let (_, home) = curl(here, &["-b", "jar", "-H", "Accept-Language: en", &format!("{base}/")]);
    assert!(home.contains("<strong>local</strong>") && home.contains("Admin<small>"), "{home}");
    let pause = format!("{base}/api/rooms/launch/actions/pause");
    let act = || {
        let origin = format!("Origin: {base}");
        curl(here, &["-b", "jar", "-H", &origin, "-H", "Content-Type: application/json", "-d", PAUSE, &pause]).1
    };
    assert!(act().starts_with("HTTP/1.1 200"), "{}", act());
    let jar = std::fs::read_to_string(here.join("jar")).unwrap();
    let again = send(secret, &[]);
    assert!(again.starts_with("HTTP/1.1 401"), "it counts once: {again}");

    // It dies with the process, and what it gave with the first operator.
    let weir = Weir::start_in(weir.kill());
    let next = until("another one is told", || self::link(&weir));
    let old = request(weir.admin, "POST", "/login", &[("Host", "localhost"), FORM], &format!("link={secret}"));
    assert_eq!(old.status, 401);
    add(weir.dir.path(), "ada", "admin");
    let next = next.rsplit_once("link=").unwrap().1;
    let late = request(weir.admin, "POST", "/login", &[("Host", "localhost"), FORM], &format!("link={next}"));
    assert_eq!(late.status, 401, "there is an operator by now");
    let text = jar.lines().find(|line| line.contains("weir_console")).unwrap().rsplit_once('\t').unwrap().1;
    assert_eq!(status(&weir, &format!("weir_console={text}")), 401);
}

#[test]
fn no_link_is_told_where_somebody_can_log_in_and_there_is_no_default_password() {
    let shop = Shop::open();
    let operators = "admin_operators_file = \"operators\"\n";
    let staffed = started(&shop, operators, |dir| drop(add(dir, "ada", "admin")));
    let token = started(&shop, FILES, |dir| std::fs::write(dir.join("admin.token"), TOKEN).unwrap());
    for weir in [&staffed, &token] {
        until_true("it serves", || request(weir.admin, "GET", "/readyz", &[], "").status == 200);
        assert_eq!(link(weir), None);
        for guess in ["", "admin", "weir", "admin.admin", "local", "password"] {
            assert_eq!(log_in(weir, guess, &[]).status, 401, "{guess:?}");
        }
    }
    // Where nothing is asked for, a browser still logs in to change something.
    let open = started(&shop, "", |_| ());
    let secret = until("it is told", || link(&open)).rsplit_once("link=").unwrap().1.to_owned();
    let pause = "/api/rooms/launch/actions/pause";
    let browser = [("Origin", "http://localhost")];
    assert_eq!(ask(&open, "POST", pause, &browser, PAUSE).status, 403);
    let form = [("Host", "localhost"), ("Origin", "http://localhost"), FORM];
    let cookie = request(open.admin, "POST", "/login", &form, &format!("link={secret}")).cookie().unwrap();
    assert_eq!(ask(&open, "POST", pause, &[browser[0], ("Cookie", &cookie)], PAUSE).status, 200);
    assert!(audit(&open).iter().any(|line| line["with"] == "a session, by the link of the first start"));
}

/// A picture of what a browser shows, on a desk and on a phone, where pictures are wanted.
fn picture(browser: &Browser, name: &str) {
    let Ok(folder) = std::env::var("WEIR_PICTURES") else { return };
    for (device, width, height) in [("desk", 1280, 800), ("phone", 360, 740)] {
        browser.screen(width, height);
        std::fs::write(Path::new(&folder).join(format!("login-{name}-{device}.png")), browser.picture()).unwrap();
    }
}

#[test]
fn a_browser_without_scripts_logs_in_by_token_and_by_the_link_and_out() {
    let shop = Shop::open();
    let (weir, tokens) = staffed(&shop, "");
    let base = format!("http://{}", weir.admin);
    let browser = Browser::with(false, &["--accept-lang=en"]);
    browser.go(&base);
    picture(&browser, "form");
    browser.fill("#token", "kim.wrong");
    browser.click("button");
    until_true("it is told", || browser.source().contains("No operator has this token."));
    picture(&browser, "wrong");
    browser.fill("#token", &tokens[1]);
    browser.click("button");
    until_true("kim is in", || browser.url() == format!("{base}/console"));
    browser.go(&base);
    assert!(browser.source().contains("<strong>kim</strong>"));
    picture(&browser, "home");
    browser.click("button");
    until_true("kim is out", || browser.url() == format!("{base}/login"));
    browser.go(&base);
    assert_eq!(browser.url(), format!("{base}/login"));

    let first = started(&shop, "admin_operators_file = \"operators\"\n", |_| ());
    let link = until("it is told", || link(&first));
    let korean = Browser::with(false, &["--accept-lang=ko", "--blink-settings=preferredColorScheme=0"]);
    korean.go(&link);
    picture(&korean, "link-ko");
    korean.click("button");
    until_true("local is in", || korean.url().ends_with("/console"));
    korean.go(&format!("http://{}", first.admin));
    assert!(korean.source().contains("<strong>local</strong>"));
    picture(&korean, "home-ko");
    korean.go(&link);
    korean.click("button");
    until_true("it counts once", || korean.source().contains("role=\"alert\""));
    picture(&korean, "again-ko");
}
