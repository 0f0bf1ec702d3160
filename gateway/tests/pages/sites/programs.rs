//! What scripts, caches and crawlers can make of an answer of Weir.

use super::{CLOSED, entered, roomy};
use crate::common::{Answer, JSON, PAGE, Shop, Weir, answering, config, nobody, ok, until, until_true};

/// A room of two hosts and one more origin.
const HOSTS: &str = r#"
[[room]]
name = "launch"
host = "shop.test"
path = "/launch"
new_users_per_minute = 600
queue_all = true
cors_origins = ["https://app.example"]
additional_routes = [{ host = "api.test", path = "/v1" }, { host = "*.wide.test", path = "/" }]
"#;

const FETCH: (&str, &str) = ("Sec-Fetch-Mode", "cors");

/// Which origin may read the answer, with credentials.
fn readable(answer: &Answer) -> Option<&str> {
    let origin = answer.header("access-control-allow-origin")?;
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"), "{answer:?}");
    assert_eq!(answer.header("access-control-expose-headers"), Some("Weir-Status, Retry-After"), "{answer:?}");
    Some(origin)
}

#[test]
fn scripts_of_the_rooms_hosts_and_of_listed_origins_read_a_refusal_and_no_others_do() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, HOSTS));
    let asks = |host: &str, path: &str, origin: &str| {
        let answer = weir.get(path, &[("Host", host), ("Origin", origin), ("Accept", "*/*"), FETCH]);
        assert_eq!((answer.status, answer.header("vary")), (429, Some("Origin")), "{answer:?}");
        answer
    };
    let good = [
        ("api.test", "/v1/order", "http://shop.test"),
        ("api.test:80", "/v1/order", "http://shop.test"),
        ("api.test:8080", "/v1/order", "http://shop.test:8080"),
        ("shop.test", "/launch/a", "http://api.test"),
        ("shop.test", "/launch/a", "https://app.example"),
        ("x.wide.test", "/a", "http://shop.test"),
    ];
    for (host, path, origin) in good {
        assert_eq!(readable(&asks(host, path, origin)), Some(origin), "{host}");
    }
    let bad = [
        "https://shop.test",
        "http://shop.test:8080",
        "http://shop.test.evil.test",
        "http://evil.test",
        "http://x.wide.test",
        "http://*.wide.test",
        "http://app.example",
        "https://app.example:444",
        "http://shop.test/",
        "null",
        "*",
    ];
    for origin in bad {
        assert_eq!(readable(&asks("api.test", "/v1/order", origin)), None, "{origin}");
    }
    let two = [("Host", "api.test"), ("Origin", "http://shop.test"), ("Origin", "http://shop.test"), FETCH];
    assert_eq!(readable(&weir.get("/v1/order", &two)), None, "one of two origins");

    let any = Weir::start(&config(shop.address, CLOSED));
    let answer = any.get("/launch/a", &[("Origin", "http://shop.example"), FETCH]);
    assert_eq!((answer.status, readable(&answer)), (429, None), "a room of every host has no hosts of its own");
    let listed = Weir::start(&config(shop.address, &format!("{CLOSED}cors_origins = \"https://app.example\"\n")));
    let answer = listed.get("/launch/a", &[("Origin", "https://app.example"), FETCH]);
    assert_eq!(readable(&answer), Some("https://app.example"));
}

#[test]
fn every_answer_of_weir_says_in_a_word_whether_it_is_the_line_or_an_outage() {
    let shop = Shop::open();
    let start = |room: &str| Weir::start(&config(shop.address, room));
    let word = |answer: &Answer, status: u16| {
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.header("cache-control").is_some_and(|control| control.contains("no-store")), "{answer:?}");
        let told = answer.told().unwrap_or_default().to_owned();
        if answer.header("content-type") == Some("application/json") {
            let json = answer.json();
            let said = if json["status"].is_null() { &json["cfWaitingRoom"]["status"] } else { &json["status"] };
            assert_eq!(*said, told, "{answer:?}");
        }
        told
    };
    let closed = start(CLOSED);
    for accept in [PAGE, JSON] {
        assert_eq!(word(&closed.get("/launch/item", &[accept]), 429), "waiting");
        let confirmed = start(&format!("{CLOSED}join = \"confirmed\"\n"));
        assert_eq!(word(&confirmed.get("/launch/item", &[accept]), 429), "waiting");
        let suspended = start(&CLOSED.replace("queue_all", "suspended"));
        assert_eq!(word(&suspended.get("/launch/item", &[accept]), 503), "queue-closed");
        let full = start(
            &CLOSED.replace("queue_all = true", "queueing_method = \"reject\"\nburst = 1\ntotal_active_users = 1"),
        );
        let refused = until("it is full", || Some(full.get("/launch/item", &[accept])).filter(|a| !a.is_shop()));
        assert_eq!(word(&refused, 503), "queue-closed");
        let needs = closed.send("POST", "/launch/order", &[accept], "a=b");
        assert_eq!(word(&needs, 429), "needs-pass");
    }
    let roomy = start(&roomy().replace("[[room]]", "[[room]]\nsession_duration = \"5s\""));
    let inside = entered(&roomy, &[]);
    assert_eq!(inside.told(), None, "an answer of the shop");
    let pass = inside.cookie().unwrap();
    let forged = format!("{}x", &pass[..pass.len() - 1]);
    let asset =
        |cookie: &str| roomy.get("/launch/a.css", &[JSON, FETCH, ("Sec-Fetch-Site", "cross-site"), ("Cookie", cookie)]);
    assert_eq!(word(&asset(&forged), 429), "needs-pass");
    let ended = until("the pass has ended", || Some(asset(&pass)).filter(|answer| answer.status == 429));
    assert_eq!(word(&ended, 429), "expired");
    let (json, named) = (ended.json(), |key: &str, text: &str| ended.json()[key] == text);
    assert!(named("room", "launch") && named("waitingPage", "/launch") && json["retryAfterSeconds"] == 5, "{json}");

    let dead = Weir::start(&config(nobody(), CLOSED).replace("queue_all = true", "queueing_method = \"passthrough\""));
    assert_eq!(word(&dead.get("/launch/item", &[JSON]), 502), "failed");
}

#[test]
fn the_waiting_page_is_told_for_the_host_that_was_asked() {
    let weir = Weir::start(&config(Shop::open().address, HOSTS));
    for (host, path, page) in
        [("shop.test", "/launch/a", "/launch"), ("api.test", "/v1/a", "/v1"), ("x.wide.test", "/a", "/")]
    {
        let answer = weir.send("POST", path, &[("Host", host), JSON], "a=b");
        assert_eq!(answer.json()["waitingPage"], page, "{answer:?}");
    }
}

#[test]
fn a_shop_that_speaks_with_weirs_voice_is_not_heard() {
    let shop = answering(|_| {
        let answer = String::from_utf8(ok("welcome to the shop")).unwrap();
        answer.replace("\r\n\r\n", "\r\nWeir-Status: waiting\r\n\r\n").into_bytes()
    });
    let weir = Weir::start(&config(shop, &roomy()));
    assert_eq!(entered(&weir, &[]).told(), None);
}

#[test]
fn a_script_that_is_told_that_the_pass_has_ended_waits_in_place_and_goes_on() {
    let shop = Shop::open();
    let room = roomy().replace("[[room]]", "[[room]]\nsession_duration = \"5s\"\ndisable_session_renewal = true");
    let weir = Weir::start(&config(shop.address, &format!("{room}cors_origins = \"https://app.example\"\n")));
    let here = [("Sec-Fetch-Site", "same-origin"), FETCH, JSON];
    let mut cookie = entered(&weir, &[]).cookie().unwrap();
    let order = |cookie: &str| weir.send("POST", "/launch/order", &[&here[..], &[("Cookie", cookie)]].concat(), "{}");
    let ended = until("the pass has ended", || Some(order(&cookie)).filter(|answer| answer.told() == Some("expired")));
    let there = [JSON, ("Origin", "https://app.example"), ("Cookie", &cookie)];
    let refused = weir.send("POST", "/launch/order", &there, "{}");
    assert_eq!((refused.told(), readable(&refused)), (Some("expired"), Some("https://app.example")), "{refused:?}");
    let page = ended.json()["waitingPage"].as_str().unwrap().to_owned();
    until_true("the line was passed", || {
        let answer = weir.get(&page, &[&here[..], &[("Cookie", &cookie)]].concat());
        cookie = answer.cookie().unwrap_or_else(|| cookie.clone());
        answer.told().is_none()
    });
    assert!(order(&cookie).is_shop());
}

#[test]
fn no_crawler_and_no_cache_takes_the_line_for_the_product() {
    let weir = Weir::start(&config(Shop::open().address, CLOSED));
    for accept in [PAGE, JSON] {
        let answer = weir.get("/launch/item", &[("User-Agent", "Googlebot"), accept]);
        assert!(answer.is_line() && answer.header("retry-after").is_some(), "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(!answer.body.contains("noindex") && answer.header("x-robots-tag").is_none(), "it would be dropped");
    }
    let as_cloudflare = Weir::start(&config(Shop::open().address, &format!("{CLOSED}queueing_status_code = 200\n")));
    let answer = as_cloudflare.get("/launch/item", &[PAGE]);
    assert_eq!((answer.status, answer.told()), (200, Some("waiting")));
    assert!(!answer.body.contains("noindex"), "{answer:?}");
}
