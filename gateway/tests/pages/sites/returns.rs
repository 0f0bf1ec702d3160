//! The return addresses of payment pages.

use std::collections::HashSet;

use super::{BACK, CLOSED, counted, entered, open, roomy};
use crate::common::{JSON, PAGE, Shop, Weir, config, request, until, until_true};

#[test]
fn a_return_without_a_pass_reaches_the_shop_of_a_closed_and_of_a_suspended_room_and_nothing_else_does() {
    let shop = Shop::open();
    for room in [CLOSED.to_owned(), CLOSED.replace("queue_all", "suspended")] {
        let weir = Weir::start(&config(shop.address, &room));
        let before = shop.seen().len();
        let returns = ["/launch/paid", "/launch/paid?order=7", "/launch/back/from/pay"];
        for target in returns {
            assert!(weir.send("POST", target, &BACK, "authToken=x").is_shop(), "{target}");
            assert!(weir.get(target, &[PAGE]).is_shop(), "{target}");
        }
        let shown = [("Cookie", "weir_launch=no-token"), PAGE];
        assert!(weir.send("POST", "/launch/paid", &shown, "a=b").is_shop(), "a broken token is none");
        assert_eq!((shop.seen().len() - before, counted(&weir, "return")), (7, 7.0));
        let heads = shop.seen();
        assert!(
            !heads.iter().any(|head| head.to_lowercase().contains("weir-")),
            "the shop is told of no pass: {heads:?}"
        );

        let others = [
            "/launch/paid/",
            "/launch/paid/x",
            "/launch/PAID",
            "/launch/%70aid",
            "/launch/back/../item",
            "/launch/item",
        ];
        for target in others {
            let answer = weir.send("POST", target, &BACK, "a=b");
            assert!([429, 503].contains(&answer.status), "{target}: {answer:?}");
        }
        let websocket = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
        assert!([429, 503].contains(&weir.get("/launch/paid", &websocket).status), "a connection that stays");
        for method in ["PUT", "DELETE", "HEAD"] {
            assert!([429, 503].contains(&weir.send(method, "/launch/paid", &[], "").status), "{method}");
        }
        assert_eq!((shop.seen().len() - before, weir.room()["next"].as_u64()), (7, Some(0)), "and nobody took a place");
    }
}

#[test]
fn whoever_returns_with_a_pass_does_so_as_ever_and_a_ticket_is_not_used_up() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, &roomy()));
    let pass = entered(&weir, &[]).cookie().unwrap();
    assert!(weir.send("POST", "/launch/paid", &[&BACK[..], &[("Cookie", &pass)]].concat(), "a=b").is_shop());
    let head = shop.seen().pop().unwrap().to_lowercase();
    assert!(
        head.starts_with("post /launch/paid") && head.contains("weir-pass-id: ") && !head.contains(&pass),
        "{head}"
    );
    assert_eq!((counted(&weir, "return"), counted(&weir, "enter")), (0.0, 1.0));

    let room = CLOSED.replace("= 600", "= 60\nburst = 1");
    let weir = Weir::start(&config(shop.address, &room));
    let ticket = weir.get("/launch/item", &[JSON]);
    assert!(ticket.is_line(), "{ticket:?}");
    open(&weir);
    until_true("they are called", || weir.room()["serving"].as_u64().unwrap() >= 1);
    let shown = ("Cookie", &*ticket.cookie().unwrap());
    for method in ["GET", "POST"] {
        let back = weir.send(method, "/launch/paid", &[&BACK[..], &[shown]].concat(), "");
        assert!(back.is_shop() && back.cookie().is_none(), "{back:?}");
    }
    until_true("the ticket is as good as before", || weir.get("/launch/item", &[JSON, shown]).is_shop());
    assert_eq!(counted(&weir, "return"), 2.0);
}

#[test]
fn one_address_returns_at_its_rate_without_a_pass_and_no_other_notices() {
    let shop = Shop::open();
    let text = config(shop.address, &roomy()).replace(
        "[quota]\n",
        "trusted_proxies = [\"127.0.0.0/8\"]\n[quota]\nreturns_per_second = 1\nreturn_burst = 3\n",
    );
    let weir = Weir::start(&text);
    let pass = entered(&weir, &[]).cookie().unwrap();
    let back = |from: &str, cookie: &str| {
        weir.send(
            "POST",
            "/launch/paid",
            &[&BACK[..], &[("X-Forwarded-For", from), ("Cookie", cookie)]].concat(),
            "a=b",
        )
    };
    let refused = until("the address is over its rate", || Some(back("192.0.2.1", "")).filter(|a| a.status == 429));
    assert_eq!((refused.told(), refused.header("retry-after").is_some()), (Some("too-fast"), true), "{refused:?}");
    assert!(refused.body.contains("<html"), "a person reads it: {refused:?}");
    assert!(back("192.0.2.2", "").is_shop(), "another address");
    for _ in 0..10 {
        assert!(back("192.0.2.1", &pass).is_shop(), "the pass of a shopper at the same address");
    }
    until_true("and a moment later", || back("192.0.2.1", "").is_shop());
}

#[test]
fn returns_without_a_pass_hold_a_tenth_of_the_permits_and_the_rest_goes_on() {
    let shop = Shop::open();
    let text =
        config(shop.address, &roomy()).replace("[quota]\n", "trusted_proxies = [\"127.0.0.0/8\"]\n[quota]\n").replace(
            "response_timeout = \"2s\"",
            "response_timeout = \"20s\"\nmax_in_flight = 20\npass_max_wait = \"300ms\"",
        );
    let weir = Weir::start(&text);
    let pass = entered(&weir, &[]).cookie().unwrap();
    let permits = |class: &str| weir.metric(&format!(r#"weir_upstream_permits{{upstream="shop",class="{class}"}}"#));
    std::thread::scope(|scope| {
        for n in 0..10 {
            let to = weir.http;
            // It hangs at the shop; the thread ends with the gateway's answer.
            scope.spawn(move || {
                let from = ("X-Forwarded-For", &*format!("192.0.2.{n}"));
                request(to, "POST", "/launch/hang", &[&BACK[..], &[from]].concat(), "a=b");
            });
        }
        until_true("eight found no permit", || {
            weir.metric(r#"weir_upstream_requests_total{upstream="shop",result="busy"}"#) >= 8.0
        });
        assert_eq!((permits("return"), permits("anonymous")), (2.0, 0.0));
        let late = weir.send("POST", "/launch/paid", &BACK, "a=b");
        assert_eq!((late.status, late.told()), (503, Some("busy")), "{late:?}");
        for _ in 0..20 {
            assert!(weir.get("/launch/item", &[("Cookie", &pass)]).is_shop(), "a pass holder beside them");
            assert!(weir.get("/", &[]).is_shop(), "traffic of no room");
            assert!(weir.send("POST", "/launch/paid", &[("Cookie", &pass)], "a=b").is_shop(), "a return with a pass");
        }
        let at_the_shop = shop.seen().iter().filter(|head| head.starts_with("POST /launch/hang")).count();
        assert_eq!(at_the_shop, 2);
        // Both hang for longer than a test should take.
        weir.signal("KILL");
    });
}

#[test]
fn weir_check_tells_of_return_paths_and_of_tls_that_it_does_not_hear_of() {
    let dir = tempfile::tempdir().unwrap();
    let check = |text: &str| {
        std::fs::write(dir.path().join("weir.toml"), text).unwrap();
        let (_, said) = crate::common::weir(&["check", "weir.toml"], dir.path());
        said
    };
    let shop = ([127, 0, 0, 1], 80).into();
    let text = config(shop, CLOSED)
        .replace("127.0.0.1:0\"\nadmin = \"127.0.0.1:0", "127.0.0.1:8080\"\nadmin = \"127.0.0.1:9090");
    let said = check(&text);
    assert!(
        said.contains("without a pass may return from a payment to /launch/paid and /launch/back and everything"),
        "{said}"
    );
    assert!(said.contains("Weir hears of no TLS") && said.contains("return_paths"), "{said}");
    let trusting = text.replace("[quota]\n", "trusted_proxies = [\"10.0.0.0/8\"]\n[quota]\n");
    assert!(check(&trusting).contains("if they do not set X-Forwarded-Proto: https"));
    let said: HashSet<bool> = ["secure = \"always\"", "samesite = \"lax\"", "samesite = \"auto\""]
        .map(|said| check(&format!("{text}cookie_attributes = {{ {said} }}\n")).contains("TLS"))
        .into();
    assert_eq!(said, [false].into(), "who said what is meant is asked no more");
    let outside = check(&text.replace("\"/launch/paid\"", "\"/paid\""));
    assert!(outside.contains("\"/paid\" is not inside the room"), "{outside}");
    let wrong = check(&format!(
        "{text}cors_origins = [\"https://*.example.com\", \"shop.example.com\", \"https://a.com:443\"]\n"
    ));
    assert_eq!(wrong.matches("is not an origin").count(), 3, "{wrong}");
}
