//! The operators' console in a browser: its forms without a script, its stream with one, the keyboard alone, and who may what.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use serde_json::{Value as Json, json};

use super::actions::member;
use crate::common::browser::Browser;
use crate::common::redis::RedisServer;
use crate::common::{Answer, JSON, Kept, Shop, Weir, config, request, until_true, weir};

/// What a browser on this machine calls the gateway.
const HOST: (&str, &str) = ("Host", "localhost");
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const TOKEN: &str = "sixteen letters!";
/// A room in which a crowd waits: one enters every two seconds.
const SLOW: &str = r#"
[[room]]
name = "launch"
host = "*"
path = "/launch"
new_users_per_minute = 30
max_new_users_per_minute = 6000
burst = 1
total_active_users = 500
visits_per_minute = 0
[room.poll]
min = "200ms"
max = "400ms"
"#;

/// A configuration that asks for a token, with these operators' file beside it.
fn guarded(shop: &Shop, rooms: &str) -> String {
    let files = "workers = 2\nadmin_token_file = \"admin.token\"\nadmin_operators_file = \"operators\"\n";
    config(shop.address, rooms).replace("workers = 2\n", files)
}

/// A gateway with a viewer and an operator, and their tokens; the one token is an admin's.
fn staffed(shop: &Shop, rooms: &str) -> (Weir, [String; 2]) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("weir.toml"), guarded(shop, rooms)).unwrap();
    std::fs::write(dir.path().join("admin.token"), TOKEN).unwrap();
    let tokens = [("vi", "viewer"), ("kim", "operator")].map(|(name, role)| {
        let (code, said) = weir(&["operators", "add", name, "--role", role, "--file", "operators"], dir.path());
        assert_eq!(code, 0, "{said}");
        said.trim().to_owned()
    });
    (Weir::start_in(dir), tokens)
}

fn log_in(browser: &Browser, to: &Weir, token: &str) {
    browser.go(&format!("http://{}/login", to.admin));
    browser.fill("#token", token);
    browser.click("main button");
    until_true("the wall is shown", || browser.url().ends_with("/console") && browser.source().contains("Weir"));
}

fn room_page(to: &Weir) -> String {
    format!("http://{}/console/rooms/launch", to.admin)
}

/// The room, as the API tells it to the admin.
fn room(of: &Weir) -> Json {
    let token = format!("Bearer {TOKEN}");
    request(of.admin, "GET", "/api/rooms/launch/status", &[("Authorization", &token)], "").json()
}

/// What a shopper who comes now is told by the operators.
fn told(by: &Weir) -> Json {
    by.get("/launch/item", &[JSON]).waiting()["message"]["en"].clone()
}

/// The cookie of a session, without a browser.
fn session(to: &Weir, token: &str) -> String {
    let body = json!({ "token": token }).to_string();
    request(to.admin, "POST", "/api/session", &[("Content-Type", "application/json")], &body).cookie().unwrap()
}

fn send(to: &Weir, cookie: &str, path: &str, body: &str) -> Answer {
    let own = [HOST, ("Cookie", cookie), ("Origin", "http://localhost"), ("Accept-Language", "en"), FORM];
    request(to.admin, "POST", path, &own, body)
}

fn page(of: &Weir, cookie: &str, path: &str) -> Answer {
    request(of.admin, "GET", path, &[HOST, ("Cookie", cookie), ("Accept-Language", "en")], "")
}

/// People who join and wait.
fn crowd(at: &Weir, people: usize) {
    let mut kept = Kept::open(at.http);
    (0..people).for_each(|_| drop(kept.get("/launch/item", &[JSON])));
}

/// A picture of what a browser shows, on a desk and on a phone, where pictures are wanted.
fn picture(browser: &Browser, name: &str) {
    let Ok(folder) = std::env::var("WEIR_PICTURES") else { return };
    for (device, width, height) in [("desk", 1280, 800), ("phone", 390, 844)] {
        browser.screen(width, height);
        std::fs::write(Path::new(&folder).join(format!("console-{name}-{device}.png")), browser.picture()).unwrap();
    }
    browser.screen(1280, 800);
}

#[test]
fn without_a_script_an_operator_pauses_tells_the_line_why_slows_down_closes_and_reopens() {
    let shop = Shop::open();
    let (weir, [_, kim]) = staffed(&shop, SLOW);
    let browser = Browser::with(false, &["--accept-lang=en"]);
    log_in(&browser, &weir, &kim);
    until_true("the room is on the wall", || {
        browser.go(&format!("http://{}/console", weir.admin));
        browser.source().contains("badge running")
    });
    browser.click("th a");
    until_true("the room is shown", || browser.url() == room_page(&weir));
    let press = |value: &str, done: &str| {
        browser.click(&format!("button[value=\"{value}\"]"));
        until_true(done, || browser.url().contains("?done=") && browser.source().contains(done));
    };
    browser.fill("#why", "the payment provider is down");
    press("pause", "badge large paused");
    assert_eq!(room(&weir)["state"], "paused");
    let source = browser.source();
    assert!(source.contains("the payment provider is down") && source.contains("in force after"), "{source}");
    browser.fill("#message-en", "We are back at nine.");
    press("message", "We are back at nine.</p>");
    until_true("the line is told", || told(&weir) == "We are back at nine.");
    press("rate:-10%", "new_users_per_minute 30 -&gt; 27");
    press("resume", "badge large running");
    browser.click("summary");
    browser.fill("#confirm", "lunch");
    browser.click("button[value=\"close\"]");
    until_true("a wrong name closes nothing", || browser.source().contains("role=\"alert\""));
    assert_eq!(room(&weir)["state"], "running");
    browser.click("summary");
    browser.fill("#confirm", "launch");
    press("close", "badge large closed");
    browser.fill("#confirm", "launch");
    press("reopen", "badge large running");
}

#[test]
fn with_the_keyboard_alone_a_room_is_paused_explained_and_resumed_while_the_page_moves() {
    let shop = Shop::open();
    let (weir, [_, kim]) = staffed(&shop, SLOW);
    let browser = Browser::with(true, &["--accept-lang=en"]);
    log_in(&browser, &weir, &kim);
    crowd(&weir, 20);
    until_true("the wall moves by itself", || {
        browser
            .run("return document.querySelector('td.big')?.textContent")
            .as_str()
            .is_some_and(|n| n.parse::<u32>().is_ok_and(|n| n > 10))
    });
    // From the begin of the page to a link or field, and Enter.
    let to = |selector: &str| {
        for _ in 0..60 {
            browser.press("\u{E004}");
            let is_there = format!("return document.activeElement.matches('{selector}')");
            if browser.run(&is_there) == json!(true) {
                return;
            }
        }
        panic!("the keyboard does not reach {selector}");
    };
    to("th a");
    browser.press("\u{E007}");
    until_true("the room is shown", || browser.url() == room_page(&weir));
    to("#why");
    browser.press("the provider is down\u{E007}");
    until_true("it is paused", || room(&weir)["state"] == "paused" && browser.url().contains("done="));
    to("#message-en");
    browser.press("We repair the payment.");
    to("button[value=message]");
    browser.press("\u{E007}");
    until_true("the line is told", || told(&weir) == "We repair the payment.");
    until_true("the page is there again", || browser.source().contains("We repair the payment.</p>"));
    to("button[value=resume]");
    browser.press("\u{E007}");
    until_true("it is resumed", || room(&weir)["state"] == "running");
}

#[test]
fn a_limit_that_is_raised_while_a_crowd_waits_bites() {
    let shop = Shop::open();
    let (weir, [_, kim]) = staffed(&shop, SLOW);
    let browser = Browser::with(true, &["--accept-lang=en"]);
    log_in(&browser, &weir, &kim);
    crowd(&weir, 60);
    browser.go(&room_page(&weir));
    let shown = "return [...document.querySelectorAll('.numbers dd')].map(dd => dd.textContent.trim()).join('|')";
    until_true("the limit is half a shopper a second", || {
        browser.run(shown).as_str().is_some_and(|t| t.contains("of 0.5"))
    });
    browser.run("document.querySelector('#rate').value = ''");
    browser.fill("#rate", "6000");
    browser.click("button[value=\"rate\"]");
    until_true("the limit is a hundred", || browser.run(shown).as_str().is_some_and(|t| t.contains("of 100")));
    until_true("the line is gone", || room(&weir)["waiting"] == 0);
    until_true("the page says so", || browser.run(shown).as_str().is_some_and(|t| t.starts_with("0|")));
}

#[test]
fn an_admin_makes_a_room_and_an_event_by_forms_and_an_operator_starts_it() {
    let shop = Shop::open();
    let (weir, [_, kim]) = staffed(&shop, SLOW);
    let (ada, kim) = (session(&weir, TOKEN), session(&weir, &kim));
    until_true("the store has answered", || room(&weir)["store_time_ms"].as_u64() > Some(0));
    let apply = |preview: &Answer| {
        assert_eq!(preview.status, 200, "{}", preview.body);
        let field = |name: &str| {
            let (_, rest) = preview.body.split_once(&format!("name=\"{name}\" value=\"")).unwrap();
            rest.split_once('"').unwrap().0.to_owned()
        };
        let (_, text) = preview.body.split_once("wrap=\"off\">\n").unwrap();
        let text = text.split_once("</textarea>").unwrap().0;
        let text = text.replace("&quot;", "\"").replace("&#x27;", "'").replace("&#x2f;", "/").replace("&gt;", ">");
        let text: String = form_encoded(&text.replace("&lt;", "<").replace("&amp;", "&"));
        let body = format!("do=apply&id={}&from={}&why=a+test&text={text}", field("id"), field("from"));
        let sent = send(&weir, &ada, "/console/change", &body);
        assert_eq!(sent.status, 303, "{}", sent.body);
        assert_eq!(send(&weir, &ada, "/console/change", &body).header("location"), sent.header("location"), "once");
        page(&weir, &ada, sent.header("location").unwrap())
    };
    let new = "do=room&name=drop&host=*&path=%2Fdrop%2F*&rate=120&seats=";
    assert_eq!(send(&weir, &kim, "/console/change", new).status, 403, "an operator changes no rooms");
    let done = apply(&send(&weir, &ada, "/console/change", new));
    assert!(done.body.contains("room &quot;drop&quot; added") && done.body.contains("in force after"), "{}", done.body);
    let bad = send(&weir, &ada, "/console/change", "do=preview&from=1&text=%5B%5Broom");
    assert!(bad.status == 422 && bad.body.contains("role=\"alert\""), "{bad:?}");
    let event =
        "room=drop&name=winter&event_start_time=2099-12-01T20%3A00%3A00Z&event_end_time=2099-12-01T22%3A00%3A00Z";
    let done = apply(&send(&weir, &ada, "/console/events", event));
    assert!(done.body.contains("in force after"), "{}", done.body);
    let listed = page(&weir, &ada, "/console/events");
    assert!(listed.body.contains("phase-before") && listed.body.contains("2099-12-01T20:00:00Z"), "{}", listed.body);
    let start =
        send(&weir, &kim, "/console/rooms/drop/act", "id=s1&action=start-event&event=winter&confirm=drop&why=now");
    assert_eq!(start.status, 303, "{}", start.body);
    until_true("it runs", || page(&weir, &ada, "/console/events").body.contains("phase-running"));
    let audit = page(&weir, &kim, "/console/audit?room=drop&who=kim").body;
    assert!(audit.contains("The chain is whole") && audit.contains("Event started"), "{audit}");
    assert!(!audit.contains("<td data-label=\"Who\">admin"), "{audit}");
}

/// A text as a browser sends it.
fn form_encoded(text: &str) -> String {
    let letter = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(letter).collect()
}

#[test]
fn a_viewer_sees_no_form_and_a_forged_one_is_refused_and_nobody_else_sees_anything() {
    let shop = Shop::open();
    let (weir, [vi, kim]) = staffed(&shop, SLOW);
    let (vi, kim) = (session(&weir, &vi), session(&weir, &kim));
    for path in ["/console", "/console/rooms/launch", "/console/change", "/console/events", "/console/audit"] {
        let seen = page(&weir, &vi, path);
        assert_eq!(seen.status, 200, "{path}: {}", seen.body);
        let forms = seen.body.matches("<form method=\"post\"").count()
            + seen.body.matches("method=\"post\" action=\"/console").count();
        assert_eq!(forms, 0, "{path}: {}", seen.body);
        let none = request(weir.admin, "GET", path, &[HOST], "");
        assert_eq!((none.status, none.header("location")), (303, Some("/login")), "{path}");
        let policy = seen.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
        assert!(!seen.body.contains(" style=") && !seen.body.contains(" onclick"), "{path}");
    }
    let act = "/console/rooms/launch/act";
    let forged = send(&weir, &vi, act, "id=1&action=pause&why=x");
    assert_eq!((forged.status, forged.header("content-type")), (403, Some("text/html; charset=utf-8")));
    let evil = [HOST, ("Cookie", kim.as_str()), ("Origin", "http://evil.example"), FORM];
    assert_eq!(request(weir.admin, "POST", act, &evil, "id=1&action=pause&why=x").status, 403);
    assert_eq!(room(&weir)["state"], "running");
    assert_eq!(page(&weir, &kim, "/console/rooms/none").status, 404);
    assert_eq!(send(&weir, &kim, act, "id=2&action=fly").status, 404);
    assert_eq!(send(&weir, &kim, act, "action=pause").status, 422, "a form has a one-time id");
    let twice = ["", ""].map(|_| send(&weir, &kim, act, "id=3&action=rate%3A%2B10%25").status);
    assert_eq!((twice, &room(&weir)["new_users_per_minute"]), ([303, 303], &json!(33)), "a double click is one action");
    let korean = request(weir.admin, "GET", "/console", &[HOST, ("Cookie", &vi), ("Accept-Language", "ko")], "").body;
    assert!(korean.contains("<html lang=\"ko\">") && korean.contains("현황판"), "{korean}");
    weir.is_well();
}

#[test]
fn of_three_gateways_one_that_is_cut_off_is_shown_as_not_heard() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let files = tempfile::tempdir().unwrap();
    let (code, said) = weir(&["operators", "add", "kim", "--role", "operator", "--file", "operators"], files.path());
    assert_eq!(code, 0, "{said}");
    let operators = format!("workers = 2\nadmin_operators_file = \"{}\"\n", files.path().join("operators").display());
    let text = config(shop.address, SLOW).replace("workers = 2\n", &operators);
    let [a, _b, c] = ["a", "b", "c"].map(|name| member(&redis.url(), name, &text));
    let kim = session(&a, said.trim());
    until_true("all are heard", || page(&a, &kim, "/console").body.contains("<strong>3</strong> of 3"));
    c.signal("STOP");
    until_true("one is not", || page(&a, &kim, "/console").body.contains("c: Not heard for"));
    let sent = send(&a, &kim, "/console/rooms/launch/act", "id=1&action=rate&rate=20&why=slower");
    assert_eq!(sent.status, 303, "{}", sent.body);
    let told = page(&a, &kim, sent.header("location").unwrap()).body;
    assert_eq!(told.matches("<td class=\"good\">in force after").count(), 2, "{told}");
    assert!(told.contains("<td class=\"bad\">not heard: "), "{told}");
    c.signal("CONT");
    until_true("it is heard again", || page(&a, &kim, "/console").body.contains("<strong>3</strong> of 3"));
}

/// What is wrong with the names that a screen reader tells: every element that takes the focus has one, and there is one heading of the first
/// level. By Chromium's own tree, in which a label, a legend and a text count as they do for people.
fn unnamed(browser: &Browser) -> Vec<String> {
    let tree = browser.command("Accessibility.getFullAXTree", &json!({}));
    let nodes = tree["nodes"].as_array().unwrap();
    let role = |node: &Json| node["role"]["value"].as_str().unwrap_or_default().to_owned();
    let name = |node: &Json| node["name"]["value"].as_str().unwrap_or_default().trim().to_owned();
    let named =
        ["link", "button", "textbox", "combobox", "checkbox", "image", "region", "navigation", "heading", "table"];
    let alone = ["table", "image"];
    let wants = nodes.iter().filter(|node| node["ignored"] == false && named.contains(&&*role(node)));
    wants.filter(|node| name(node).is_empty() && !alone.contains(&&*role(node))).map(ToString::to_string).collect()
}

/// Texts whose contrast with what is behind them is below 4.5:1 (3:1 if large).
const CONTRAST: &str = "
const lum = c => { const [r,g,b] = c.map(v => { v /= 255; return v <= .03928 ? v/12.92 : ((v+.055)/1.055)**2.4 }); return .2126*r+.7152*g+.0722*b };
const rgb = t => t.match(/[\\d.]+/g).map(Number);
const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > .99) return c.slice(0,3) } return [255,255,255] };
const bad = [];
for (const e of document.querySelectorAll('main *, header *')) {
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  const style = getComputedStyle(e);
  if (!own || !e.getClientRects().length || e.closest('.plot') || e.matches('option, noscript')) continue;
  const ink = rgb(e instanceof SVGElement ? style.fill : style.color), ground = behind(e);
  const [a, b] = [lum(ink.slice(0,3)), lum(ground)].sort((x, y) => y - x);
  const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.6 && style.fontWeight >= 700);
  if ((a + .05) / (b + .05) < (large ? 3 : 4.5)) bad.push(e.outerHTML.slice(0, 120));
}
const labelled = [...document.querySelectorAll('input:not([type=hidden]), select, textarea')].filter(e => !e.labels.length).map(e => e.outerHTML);
const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
const twice = ids.filter((id, at) => ids.indexOf(id) !== at);
const headings = document.querySelectorAll('h1').length === 1 ? [] : ['not one h1'];
const wide = document.documentElement.scrollWidth > innerWidth ? ['wider than the screen: ' + document.documentElement.scrollWidth] : [];
return [...bad, ...labelled, ...twice, ...headings, ...wide];
";

#[test]
fn every_page_has_names_labels_contrast_and_width_in_light_and_dark_and_both_languages() {
    let shop = Shop::open();
    let event = "[[room.event]]\nname = \"winter\"\ndescription = \"The winter drop\"\nprequeue_start_time = \"2099-12-01T19:30:00Z\"\n\
                 event_start_time = \"2099-12-01T20:00:00Z\"\nevent_end_time = \"2099-12-01T22:00:00Z\"\n";
    let tickets = "[[room]]\nname = \"tickets\"\nhost = \"*\"\npath = \"/tickets\"\nnew_users_per_minute = 1200\n";
    let (weir, _) = staffed(&shop, &format!("{SLOW}{event}{tickets}"));
    let ada = session(&weir, TOKEN);
    until_true("the store has answered", || room(&weir)["store_time_ms"].as_u64() > Some(0));
    crowd(&weir, 120);
    for (id, action) in [
        ("a", "action=rate%3A%2B10%25&why=the+shop+has+room"),
        ("b", "action=pause&why=the+payment+provider+is+down"),
        (
            "c",
            "action=message&why=so+that+they+know&message.en=We+repair+the+payment.&message.ko=%EA%B2%B0%EC%A0%9C+%EC%9E%A5%EC%95%A0%EB%A5%BC+%EB%B3%B5%EA%B5%AC%ED%95%98%EA%B3%A0+%EC%9E%88%EC%8A%B5%EB%8B%88%EB%8B%A4.",
        ),
    ] {
        assert_eq!(send(&weir, &ada, "/console/rooms/launch/act", &format!("id={id}&{action}")).status, 303);
    }
    for (name, flags) in
        [("light", ["--accept-lang=en", ""]), ("dark", ["--accept-lang=ko", "--blink-settings=preferredColorScheme=0"])]
    {
        let flags: Vec<&str> = flags.into_iter().filter(|flag| !flag.is_empty()).collect();
        let browser = Browser::with(true, &flags);
        log_in(&browser, &weir, TOKEN);
        for (view, path) in [
            ("wall", "/console"),
            ("room", "/console/rooms/launch?done=b"),
            ("change", "/console/change"),
            ("events", "/console/events"),
            ("audit", "/console/audit"),
        ] {
            browser.go(&format!("http://{}{path}", weir.admin));
            picture(&browser, &format!("{view}-{name}"));
            for width in [1280, 390] {
                browser.screen(width, 844);
                assert_eq!(browser.run(CONTRAST), json!([]), "{view} {name} {width}");
            }
            assert_eq!(unnamed(&browser), Vec::<String>::new(), "{view} {name}");
        }
    }
}
