//! The same in a real browser, which has its own mind about sites, cookies and origins. Two ports of one host are one site,
//! so names are made up for loopback.

use serde_json::json;

use super::{CLOSED, counted, open, roomy};
use crate::common::browser::Browser;
use crate::common::{Shop, Weir, answering, config, ok, until, until_true};

const NAMES: &str = "--host-resolver-rules=MAP *.test 127.0.0.1";

/// A gateway that listens with TLS too, by an unsigned certificate.
fn over_tls(text: &str) -> Weir {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).unwrap();
    std::fs::write(dir.path().join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let tls = "[[tls]]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n";
    let text = text.replace("admin =", "https = \"127.0.0.1:0\"\nadmin =") + tls;
    std::fs::write(dir.path().join("weir.toml"), text).unwrap();
    Weir::start_in(dir)
}

/// The shop behind its room, and a payment page of another site, each over TLS and in clear.
fn shop_and_payment(shop: &Shop) -> Weir {
    let payment = answering(|head| {
        let back = head.split_once("?back=").and_then(|(_, rest)| rest.split(' ').next()).unwrap_or_default();
        let page = format!(
            "<!doctype html><form method=post action=\"{back}\"><input name=authToken value=granted></form>\
             <script>document.forms[0].submit()</script>"
        );
        let answer = String::from_utf8(ok(&page)).unwrap();
        answer.replace("\r\n\r\n", "\r\nContent-Type: text/html\r\n\r\n").into_bytes()
    });
    let tail = format!(
        "[[upstream]]\nname = \"payment\"\nservers = [\"{payment}\"]\n[[route]]\nhost = \"pay.test\"\nupstream = \"payment\"\n"
    );
    let room = roomy().replace("\"*\"", "\"shop.test\"");
    let weir = over_tls(&(config(shop.address, &room) + &tail));
    until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= 100);
    weir
}

/// Enters the shop, goes to pay on another site and comes back by its POST; the head that the shop saw of that.
fn pays(browser: &Browser, shop: &Shop, scheme: &str, port: u16) -> String {
    let (inside, pay) = (format!("{scheme}://shop.test:{port}/launch"), format!("{scheme}://pay.test:{port}/"));
    browser.go(&format!("{inside}/item"));
    until_true("they are inside", || browser.source().contains("welcome to the shop"));
    let before = shop.seen().len();
    browser.go(&format!("{pay}?back={inside}/paid"));
    let came = |head: &String| head.starts_with("POST /launch/paid");
    let head = until("they are back", || shop.seen().into_iter().skip(before).find(came)).to_lowercase();
    until_true("and see it", || browser.source().contains("welcome to the shop"));
    assert!(head.contains(&format!("origin: {scheme}://pay.test")), "{head}");
    head
}

#[test]
fn a_shopper_comes_back_from_the_payment_page_of_another_site_by_post() {
    let shop = Shop::open();
    let weir = shop_and_payment(&shop);
    let browser = Browser::with(true, &[NAMES, "--ignore-certificate-errors"]);
    let secure = weir.https.unwrap().port();

    let head = pays(&browser, &shop, "https", secure);
    assert!(head.contains("sec-fetch-site: cross-site") && head.contains("sec-fetch-mode: navigate"), "{head}");
    assert!(head.contains("weir-pass-id: "), "over TLS the pass comes along: {head}");
    assert_eq!(counted(&weir, "return"), 0.0);

    let head = pays(&browser, &shop, "http", weir.http.port());
    assert!(!head.contains("weir-pass-id: "), "in clear a browser sends no cookie with it: {head}");
    assert_eq!((counted(&weir, "return"), counted(&weir, "join")), (1.0, 2.0), "and it is let through all the same");
    let answer = browser.run("return await (await fetch('/launch/next')).text()");
    assert_eq!(answer, "welcome to the shop", "from there the pass is shown again");
    assert!(shop.seen().pop().unwrap().to_lowercase().contains("weir-pass-id: "));
}

#[test]
fn a_script_of_another_origin_reads_what_it_is_refused_and_a_strange_one_does_not() {
    let shop = Shop::open();
    let routes =
        r#"additional_routes = [{ host = "api.shop.test", path = "/v1" }, { host = "api.test", path = "/v1" }]"#;
    let room = format!("{}{routes}\n", CLOSED.replace("\"*\"", "\"www.shop.test\""));
    let weir = over_tls(&config(shop.address, &room));
    // A browser tells of sites over TLS alone.
    let port = weir.https.unwrap().port();
    let browser = Browser::with(true, &[NAMES, "--ignore-certificate-errors"]);
    let reads = |from: &str, api: &str, method: &str| {
        browser.go(&format!("https://{from}:{port}/"));
        browser.run(&format!(
            "const answer = await fetch('https://{api}:{port}/v1/order', {{ method: '{method}', credentials: 'include', \
             headers: {{ Accept: 'application/json' }} }});
             const told = await answer.json();
             return [answer.status, answer.headers.get('Weir-Status'), told.waitingPage ?? told.cfWaitingRoom.ticket];"
        ))
    };
    for api in ["api.shop.test", "api.test"] {
        assert_eq!(reads("www.shop.test", api, "POST"), json!([429, "needs-pass", "/v1"]));
    }
    for _ in 0..2 {
        // The page that was opened may still be confirming the place: there is no position until then.
        let mut told = (0..50).map(|_| reads("www.shop.test", "api.shop.test", "GET"));
        let told = told.find(|told| !told[2].is_null());
        assert_eq!(told, Some(json!([429, "waiting", 1])), "of one site it takes a place, and keeps it");
    }
    assert_eq!(reads("www.shop.test", "api.test", "GET"), json!([429, "needs-pass", "/v1"]), "of another it does not");
    for stranger in ["evil.test", "shop.test"] {
        let told = reads(stranger, "api.test", "POST");
        assert!(told.as_str().is_some_and(|told| told.contains("TypeError")), "{stranger}: {told}");
    }
}

#[test]
fn a_service_worker_keeps_the_product_and_not_the_line() {
    const WORKER: &str = "self.addEventListener('install', () => self.skipWaiting());
        self.addEventListener('activate', e => e.waitUntil(clients.claim()));
        self.addEventListener('fetch', e => e.respondWith((async () => {
          const answer = await fetch(e.request);
          if (answer.ok) await (await caches.open('pages')).put(e.request, answer.clone());
          return answer;
        })()));";
    let shop = answering(|head| {
        let (kind, body) = match head.split(' ').nth(1) {
            Some("/worker.js") => ("text/javascript", WORKER),
            _ => ("text/html", "welcome to the shop"),
        };
        let answer = String::from_utf8(ok(body)).unwrap();
        answer.replace("\r\n\r\n", &format!("\r\nContent-Type: {kind}\r\n\r\n")).into_bytes()
    });
    let weir = Weir::start(&config(shop, &CLOSED.replace("= 600", "= 60\nburst = 1\npoll.max = \"1s\"")));
    let at = format!("http://{}", weir.http);
    let browser = Browser::open(true);
    browser.go(&at);
    let works = "await navigator.serviceWorker.register('/worker.js'); await navigator.serviceWorker.ready;
        while (!navigator.serviceWorker.controller) await new Promise(next => setTimeout(next, 20)); return true";
    assert_eq!(browser.run(works), true);
    let kept = || browser.run("return (await (await caches.match('/launch/item'))?.text()) ?? 'nothing'");

    browser.go(&format!("{at}/launch/item"));
    until_true("a navigation by way of the worker takes a place", || browser.text("position") == "1");
    assert_eq!(browser.run("return !!navigator.serviceWorker.controller"), true);
    assert_eq!(kept(), "nothing", "of the waiting page");
    open(&weir);
    until_true("they are inside", || browser.source().contains("welcome to the shop"));
    assert_eq!(kept(), "welcome to the shop");
}

#[test]
fn the_lines_of_the_documentation_wait_in_place_and_send_the_same_again() {
    let lines = include_str!("../../../../docs/apps.md").split_once("```js\n").unwrap().1.split("```").next().unwrap();
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, &CLOSED.replace("= 600", "= 60\nburst = 1\npoll.max = \"1s\"")));
    let browser = Browser::open(true);
    browser.go(&format!("http://{}/", weir.http));
    browser.run(&format!(
        "{lines}
         window.ask = ask;
         window.showPlace = place => window.place = place;
         ask('/launch/echo', {{ method: 'POST', body: 'my order' }}).then(async answer => window.done = await answer.text());"
    ));
    until_true("the place is shown", || browser.run("return window.place") == 1);
    // A shopper who has a place already is told so, and where to wait.
    browser.act(
        "window.place = null;
         ask('/launch/echo', { method: 'POST', body: 'more' }).then(async answer => window.more = await answer.text());",
    );
    until_true("the place is shown", || browser.run("return window.place") == 1);
    assert!(!shop.seen().iter().any(|head| head.contains(" /launch")));
    open(&weir);
    for (sent, got) in [("my order", "done"), ("more", "more")] {
        until_true("it was sent again", || browser.run(&format!("return window.{got}")) == sent);
    }
    let asked: Vec<String> = shop.seen().into_iter().filter(|head| head.contains(" /launch/echo")).collect();
    let inside = |head: &String| head.starts_with("POST") && head.to_lowercase().contains("weir-pass-id: ");
    assert!(asked.len() == 2 && asked.iter().all(inside), "{asked:?}");
}
