//! What operators do to a room while people wait: actions with who and why, what each gateway says, and the audit.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use crate::common::events::event;
use crate::common::fault::{Fault, Faulty};
use crate::common::redis::RedisServer;
use crate::common::{Answer, CLOSED, FETCH, JSON, PAGE, ROOMY, Shop, Weir, config, request, until, until_true, weir};
use serde_json::{Value as Json, json};

/// A room that moves, one shopper a second.
const MOVING: &str = r#"
[[room]]
name = "launch"
host = "*"
path = "/launch"
new_users_per_minute = 60
max_new_users_per_minute = 600
burst = 1
visits_per_minute = 0
claim_window = "2s"
return_paths = ["/launch/paid"]
"#;

fn post(to: &Weir, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let headers = [headers, &[("Content-Type", "application/json")]].concat();
    request(to.admin, "POST", path, &headers, body)
}

fn act(to: &Weir, action: &str, body: &Json) -> Answer {
    post(to, &format!("/api/rooms/launch/actions/{action}"), &[], &body.to_string())
}

fn done(to: &Weir, action: &str, body: &Json) -> Json {
    let answer = act(to, action, body);
    assert_eq!(answer.status, 200, "{action}: {answer:?}");
    answer.json()
}

/// A problem of this status, which says how to mend it.
fn problem(answer: &Answer, status: u16) -> Json {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    let told = answer.json();
    assert_eq!(told["status"], status);
    assert!(told["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{told}");
    told
}

fn operator(to: &Weir, arguments: &[&str]) -> (i32, String) {
    let admin = to.admin.to_string();
    weir(&[arguments, &["--admin", &admin]].concat(), to.dir.path())
}

pub(super) fn state(of: &Weir) -> String {
    of.room()["state"].as_str().unwrap().to_owned()
}

/// The lines of the audit.
pub(super) fn audit(of: &Weir) -> Vec<Json> {
    let answer = request(of.admin, "GET", "/api/audit", &[], "");
    answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(super) fn member(redis: &str, name: &str, text: &str) -> Weir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("shared.secret"), "one secret for all the gateways of a line").unwrap();
    let store = format!(
        "[store]\nkind = \"redis\"\nurl = \"{redis}\"\nsecret_file = \"shared.secret\"\n[node]\nname = \"{name}\"\n"
    );
    std::fs::write(dir.path().join("weir.toml"), text.to_owned() + &store).unwrap();
    Weir::start_in(dir)
}

fn verified(file: &Path, more: &[&str]) -> (i32, String) {
    let name = file.file_name().unwrap().to_str().unwrap();
    weir(&[&["audit", "verify", name][..], more].concat(), file.parent().unwrap())
}

#[test]
fn a_room_is_paused_and_resumed_by_the_api_and_by_the_command_and_the_audit_says_by_whom_and_why() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let text = config(shop.address, MOVING);
    let gateways = ["a", "b", "c"].map(|name| member(&redis.url(), name, &text));
    until_true("all know each other", || {
        request(gateways[0].admin, "GET", "/api/gateways", &[], "").json().as_array().unwrap().len() == 3
    });

    let told = done(&gateways[0], "pause", &json!({ "why": "the payment provider is down", "id": "6f1c" }));
    assert_eq!((&told["state"], &told["label"], &told["version"]), (&json!("paused"), &json!("Paused"), &json!(1)));
    assert_eq!((&told["who"], &told["from"]), (&json!("local"), &json!(0)));
    let names: Vec<&str> =
        told["gateways"].as_array().unwrap().iter().map(|g| g["gateway"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    for (weir, told) in gateways.iter().zip(told["gateways"].as_array().unwrap()) {
        assert!(told["says"].as_str().unwrap().starts_with("in force after "), "{told}");
        assert_eq!(
            (state(weir), weir.metric(r#"weir_room_state{room="launch",state="paused"}"#)),
            ("paused".to_owned(), 1.0)
        );
        let waiting = weir.get("/launch/item", &[JSON]).waiting();
        assert_eq!((&waiting["inWaitingRoom"], &waiting["queueAll"]), (&json!(true), &json!(true)), "newcomers join");
    }

    // The same id again is the same action, asked of whichever gateway.
    let again = done(&gateways[1], "pause", &json!({ "why": "the payment provider is down", "id": "6f1c" }));
    assert_eq!((&again["version"], &again["audit"]["number"]), (&json!(1), &json!(1)), "{again}");
    assert_eq!(gateways[0].metric(r#"weir_actions_total{action="pause"}"#), 1.0);
    assert_eq!(gateways[1].metric(r#"weir_actions_total{action="pause"}"#), 0.0);

    let (code, said) = operator(&gateways[2], &["resume", "launch", "--why", "it is back"]);
    assert!(code == 0 && said.contains("room \"launch\" is Running, version 2"), "{said}");
    assert!(said.contains("a: in force after") && said.contains("queue_all: true -> false"), "{said}");
    until_true("it moves again", || gateways.iter().all(|weir| state(weir) == "running"));

    until_true("all have both lines", || gateways.iter().all(|weir| audit(weir).len() == 2));
    let lines = audit(&gateways[0]);
    let paused = ["action", "room", "why", "who", "gateway", "id"].map(|key| lines[0][key].as_str().unwrap());
    assert_eq!(paused, ["pause", "launch", "the payment provider is down", "local", "a", "6f1c"]);
    assert_eq!(
        (&lines[1]["why"], &lines[1]["from"], &lines[1]["version"]),
        (&json!("it is back"), &json!(1), &json!(2))
    );
    for weir in &gateways {
        assert_eq!(audit(weir), lines);
        let (code, said) =
            verified(&weir.dir.path().join("weir.audit"), &["--head", lines[1]["hash"].as_str().unwrap()]);
        assert!(code == 0 && said.contains("whole, 2 lines"), "{said}");
        until_true("the head is in the log", || weir.log().contains(lines[1]["hash"].as_str().unwrap()));
        weir.is_well();
    }
    let heads = request(gateways[0].admin, "GET", "/api/gateways", &[], "").json();
    assert_eq!(heads[2]["audit"]["hash"], lines[1]["hash"]);

    // It outlives the process, and an old version ends no pause in silence.
    done(&gateways[0], "pause", &json!({ "why": "once more" }));
    let [a, b, _c] = gateways;
    let a = Weir::start_in(a.kill());
    assert_eq!(state(&a), "paused");
    until_true("the killed one is forgotten, and the new one is known", || {
        let known = request(b.admin, "GET", "/api/gateways", &[], "").json();
        let known: Vec<&Json> = known.as_array().unwrap().iter().map(|gateway| &gateway["admin"]).collect();
        known.len() == 3 && known.contains(&&json!(a.admin.to_string()))
    });
    let (code, said) = operator(&b, &["rollback", "--to", "2"]);
    assert!(code == 1 && said.contains("Paused of \"launch\"") && said.contains("--undo"), "{said}");
    let (code, said) = operator(&b, &["rollback", "--to", "2", "--dry-run"]);
    assert!(code == 0 && said.contains("this ends what an operator has set"), "{said}");
    let (code, said) = operator(&b, &["rollback", "--to", "2", "--undo", "--why", "all is well"]);
    assert!(code == 0 && said.contains("version 2 is in force"), "{said}");
    let last = audit(&b).pop().unwrap();
    assert_eq!(
        (&last["action"], &last["why"], &last["version"]),
        (&json!("rollback"), &json!("all is well"), &json!(2))
    );
}

#[test]
fn every_state_shows_an_arriving_visitor_what_its_name_says() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, &MOVING.replace("= 60\n", "= 600\n")));
    let enter = || {
        until("somebody is in", || Some(weir.get("/launch/item", &[JSON])).filter(Answer::is_shop)).cookie().unwrap()
    };
    let inside = |cookie: &str| weir.get("/launch/a.css", &[FETCH, ("Cookie", cookie)]);
    let reason = |confirm: bool| {
        if confirm { json!({ "why": "a test", "confirm": "launch" }) } else { json!({ "why": "a test" }) }
    };
    let pass = enter();

    done(&weir, "pause", &reason(false));
    let place = weir.get("/launch/item", &[JSON]);
    let ticket = place.cookie().unwrap();
    assert!(place.is_line() && inside(&pass).is_shop());
    done(&weir, "close", &reason(true));
    assert_eq!((state(&weir).as_str(), weir.get("/launch/item", &[PAGE]).status), ("closed", 503));
    let kept = weir.get("/launch/item", &[JSON, ("Cookie", &ticket)]);
    assert!(kept.ticket() == place.ticket() && inside(&pass).is_shop(), "place and pass are kept");
    assert_eq!(done(&weir, "reopen", &reason(true))["state"], "paused", "as it was before");

    // Those who wait are served; nobody joins.
    done(&weir, "last-call", &reason(true));
    done(&weir, "resume", &reason(false));
    assert_eq!(weir.get("/launch/item", &[PAGE]).status, 503);
    until_true("the last one enters", || weir.get("/launch/item", &[JSON, ("Cookie", &ticket)]).is_shop());
    until_true("then it is closed", || state(&weir) == "closed");
    assert_eq!(weir.room()["status"], "not_queueing");
    done(&weir, "reopen", &reason(true));

    // Nobody but those who come back from a payment, and no pass that was given before.
    let pass = enter();
    done(&weir, "stop", &reason(true));
    assert_eq!(
        (state(&weir).as_str(), weir.get("/launch/item", &[PAGE]).status, inside(&pass).status),
        ("stop", 503, 503)
    );
    assert!(weir.get("/launch/paid", &[PAGE]).is_shop());
    done(&weir, "reopen", &reason(true));
    assert!(!inside(&pass).is_shop() && inside(&enter()).is_shop(), "who comes anew is inside");

    // Everybody, for a time; it can be ended before.
    done(&weir, "rate", &json!({ "why": "a test", "to": 1 }));
    let opened = done(&weir, "open", &json!({ "why": "a test", "confirm": "launch", "minutes": 5 }));
    assert!(opened["state"] == "open_to_all" && opened["open_to_all_until"].is_string(), "{opened}");
    assert!((0..20).all(|_| weir.get("/launch/item", &[JSON]).is_shop()));
    done(&weir, "open", &json!({ "why": "a test", "minutes": 0 }));
    assert_eq!(state(&weir), "running");
    until_true("people wait again", || weir.get("/launch/item", &[JSON]).is_line());
    weir.is_well();
}

#[test]
fn an_opening_ends_by_itself() {
    let shop = Shop::open();
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3);
    let rooms = format!("{}open_to_all_until = \"{soon}\"\n", MOVING.replace("= 60\n", "= 1\n"));
    let weir = Weir::start(&config(shop.address, &rooms));
    until_true("it is over", || state(&weir) == "running");
    assert!(jiff::Timestamp::now() >= soon);
    until_true("people wait", || weir.get("/launch/item", &[JSON]).is_line());
    until_true("it is told", || weir.log().contains("an opening to all has ended"));
    assert_eq!(weir.metric(r#"weir_room_state{room="launch",state="open_to_all"}"#), 0.0);
}

#[test]
fn a_message_reaches_the_page_within_a_poll_in_the_shoppers_language() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, CLOSED));
    let status = || weir.get("/.weir/status/launch", &[]).json();
    assert_eq!(status()["message"], Json::Null);
    let text = json!({ "why": "a test", "message": { "en": "3 < 5, \"soon\"", "ko-KR": "곧" } });
    done(&weir, "message", &text);
    let id = until("the status tells its id", || status()["message"].as_str().map(str::to_owned));
    let told = weir.get("/.weir/message/launch", &[]);
    assert_eq!(told.json(), json!({ "id": id, "texts": { "en": "3 < 5, \"soon\"", "ko": "곧" } }));
    assert_eq!(told.header("cache-control"), Some("public, max-age=1"));
    for (language, shown) in [("en", "3 &lt; 5, &quot;soon&quot;"), ("ko", "곧"), ("fr", "3 &lt; 5, &quot;soon&quot;")]
    {
        let page = weir.get("/launch/item", &[PAGE, ("Accept-Language", language)]);
        assert!(
            page.body.contains(&format!("<p id=\"message\" role=\"status\">{shown}</p>")),
            "{language}: {}",
            page.body
        );
        assert!(page.body.contains(&format!("data-message=\"{id}\"")), "{}", page.body);
    }
    assert_eq!(weir.get("/launch/item", &[JSON]).waiting()["message"]["ko"], "곧");

    let (code, said) = operator(&weir, &["message", "launch", "en=Later", "--why", "a test"]);
    assert!(code == 0 && said.contains("message.en-US"), "{said}");
    until_true("the other one", || weir.get("/.weir/message/launch", &[]).json()["texts"] == json!({ "en": "Later" }));
    let (code, said) = operator(&weir, &["message", "launch", "--why", "all said"]);
    assert!(code == 0, "{said}");
    until_true("none", || status()["message"] == Json::Null);
    assert_eq!(weir.get("/.weir/message/launch", &[]).json(), json!({ "id": "", "texts": {} }));
    weir.is_well();
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_how_to_mend_it_and_nothing_is_half_applied() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, MOVING));
    let url = "/api/rooms/launch/actions/";
    let long = format!("{{\"why\": \"{}\"}}", "x".repeat(10 << 20));
    for (action, body, status, at) in [
        ("pause", long.as_str(), 413, ""),
        ("pause", "", 400, ""),
        ("pause", "not JSON", 400, ""),
        ("pause", "{\"why\": \"x\"", 400, ""),
        ("pause", "[]", 422, ""),
        ("pause", "{}", 422, ""),
        ("pause", "{\"why\": 3}", 422, ""),
        ("pause", "{\"why\": \" \"}", 422, "#/why"),
        ("pause", "{\"why\": \"a\\nb\"}", 422, "#/why"),
        ("pause", "{\"why\": \"x\", \"who\": \"kim\"}", 422, ""),
        ("pause", "{\"why\": \"x\", \"to\": 3}", 422, "#/to"),
        ("pause", "{\"why\": \"x\", \"id\": \"\"}", 422, "#/id"),
        ("pause", "{\"why\": \"x\", \"id\": \"a b\"}", 422, "#/id"),
        ("jump", "{\"why\": \"x\"}", 404, ""),
        ("rate", "{\"why\": \"x\"}", 422, "#/to"),
        ("rate", "{\"why\": \"x\", \"to\": 601}", 422, "#/to"),
        ("rate", "{\"why\": \"x\", \"to\": -1}", 422, "#/to"),
        ("rate", "{\"why\": \"x\", \"to\": 1.5}", 422, "#/to"),
        ("rate", "{\"why\": \"x\", \"to\": \"+900%\"}", 422, "#/to"),
        ("seats", "{\"why\": \"x\", \"to\": \"+10%\"}", 422, "#/to"),
        ("close", "{\"why\": \"x\"}", 422, "#/confirm"),
        ("close", "{\"why\": \"x\", \"confirm\": \"lunch\"}", 422, "#/confirm"),
        ("open", "{\"why\": \"x\", \"confirm\": \"launch\"}", 422, "#/minutes"),
        ("open", "{\"why\": \"x\", \"confirm\": \"launch\", \"minutes\": 61}", 422, "#/minutes"),
        ("open", "{\"why\": \"x\", \"confirm\": \"launch\", \"minutes\": -1}", 422, ""),
        ("give-place", "{\"why\": \"\"}", 422, "#/why"),
        ("give-place", "{\"why\": \"x\", \"shoppers\": 2}", 422, "#/shoppers"),
        ("start-event", "{\"why\": \"x\", \"shuffle_at_event_start\": true}", 422, ""),
        ("message", "{\"why\": \"x\", \"message\": {\"xx\": \"y\"}}", 422, "#/message"),
        ("message", "{\"why\": \"x\", \"message\": {\"en\": \"<b>y\"}}", 422, "#/message"),
    ] {
        let answer = post(&weir, &format!("{url}{action}"), &[], body);
        let told = problem(&answer, status);
        assert_eq!(told["where"].as_str().unwrap_or_default(), at, "{action} {}: {told}", &body[..body.len().min(80)]);
        assert!(at.is_empty() || told["how"].is_string(), "{told}");
    }
    let drawn = "{\"why\": \"x\", \"confirm\": \"launch\", \"shuffle_at_event_start\": true}";
    let told = problem(&post(&weir, &format!("{url}start-event"), &[], drawn), 422);
    assert!(told["detail"].as_str().unwrap().contains("unknown field `shuffle_at_event_start`"), "{told}");
    let typed = request(weir.admin, "POST", &format!("{url}pause"), &[], "{\"why\": \"x\"}");
    assert!(problem(&typed, 415)["how"].as_str().unwrap().contains("application/json"));
    problem(&post(&weir, "/api/rooms/lunch/actions/pause", &[], "{\"why\": \"x\"}"), 404);
    problem(&post(&weir, &format!("{url}pause"), &[("Origin", "http://evil.example")], "{\"why\": \"x\"}"), 403);
    problem(&post(&weir, &format!("{url}pause"), &[("Host", "evil.example")], "{\"why\": \"x\"}"), 403);
    problem(&request(weir.admin, "GET", &format!("{url}pause"), &[], ""), 405);
    problem(&request(weir.admin, "GET", "/api/nothing", &[], ""), 404);
    problem(&request(weir.admin, "GET", "/api/versions/seven", &[], ""), 400);
    problem(&request(weir.admin, "PUT", "/api/versions/in-force?to=seven", &[], ""), 400);
    problem(&request(weir.admin, "PUT", "/api/versions/in-force?to=7", &[], ""), 404);
    problem(&request(weir.admin, "PUT", "/api/versions/in-force?to=0&undo=perhaps", &[], ""), 400);
    problem(&request(weir.admin, "POST", "/api/versions", &[], &"x".repeat(10 << 20)), 413);
    problem(&request(weir.admin, "POST", "/api/versions", &[], "no TOML"), 422);
    assert_eq!((state(&weir).as_str(), weir.room()["new_users_per_minute"].as_f64()), ("running", Some(60.0)));
    assert!(request(weir.admin, "GET", "/api/versions", &[], "").json()["versions"].as_array().unwrap().is_empty());

    // What was understood and refused is in the audit, with its reason.
    let refused: Vec<Json> = audit(&weir).into_iter().filter(|line| line["refused"].is_string()).collect();
    assert!(refused.iter().any(|line| line["action"] == "rate" && line["with"] == "601"), "{refused:?}");
    assert!(refused.iter().all(|line| line["version"] == Json::Null), "{refused:?}");
    weir.is_well();
}

/// The place that an action gave.
fn given(to: &Weir, id: &str) -> Json {
    done(to, "give-place", &json!({ "why": "lost in the outage", "id": id }))["place"].clone()
}

#[test]
fn a_place_by_code_is_taken_by_a_button_once_and_every_other_code_is_refused_in_the_askers_form() {
    let shop = Shop::open();
    // Nobody enters by the rate while the others wait.
    let two =
        MOVING.to_owned() + &MOVING.replace("name = \"launch\"", "name = \"other\"").replace("\"/launch", "\"/other");
    let weir = Weir::start(&config(shop.address, &two));
    let place = given(&weir, "one");
    assert_eq!(given(&weir, "one"), place, "the same action again is the same place");
    let other = given(&weir, "two");
    assert_ne!(other["code"], place["code"]);
    let (path, code) = (place["path"].as_str().unwrap(), place["code"].as_str().unwrap());
    assert_eq!(path, format!("/.weir/place/launch?code={code}"));

    // A preview of the link, or a second look, takes nothing.
    for language in ["en", "ko", "ar"] {
        let page = weir.get(path, &[PAGE, ("Accept-Language", language)]);
        assert_eq!((page.status, page.cookie()), (200, None), "{page:?}");
        assert!(
            page.body.contains("<form method=\"post\">") && page.body.contains(&format!("<html lang=\"{language}"))
        );
        assert_eq!(page.header("referrer-policy"), Some("strict-origin"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
    }
    let elsewhere = [PAGE, ("Origin", "http://evil.example")];
    assert_eq!(weir.send("POST", path, &elsewhere, "").status, 403);
    assert_eq!(weir.send("PUT", path, &[PAGE], "").status, 405);

    let pressed = weir.send("POST", path, &[PAGE, ("Origin", "http://shop.example")], "");
    assert_eq!((pressed.status, pressed.header("location")), (303, Some("/launch")), "{pressed:?}");
    let cookie = pressed.cookie().unwrap();
    let program = weir.send("POST", path, &[JSON], "");
    assert_eq!((program.status, &program.json()["waitingPage"]), (200, &json!("/launch")), "{program:?}");
    until_true("the place is good for the shop", || weir.get("/launch/item", &[JSON, ("Cookie", &cookie)]).is_shop());
    let id = place["id"].as_str().unwrap();
    let pass = |cookie: &str| {
        until("who has it is in", || {
            crate::common::line::pass_id_of(&weir.get("/launch/headers", &[JSON, ("Cookie", cookie)]))
        })
    };
    assert_eq!((pass(&cookie).as_str(), pass(&program.cookie().unwrap()).as_str()), (id, id), "one pass");

    // Who is inside keeps the pass, and the code stays good.
    let inside = weir.get("/launch/item", &[JSON, ("Cookie", &cookie)]).cookie().unwrap_or(cookie);
    let kept = weir.send("POST", other["path"].as_str().unwrap(), &[PAGE, ("Cookie", &inside)], "");
    assert_eq!((kept.status, kept.cookie()), (303, None), "{kept:?}");

    let forged = code[..code.len() - 1].to_owned() + if code.ends_with('A') { "B" } else { "A" };
    let altered = code.replacen(&code[30..31], if &code[30..31] == "x" { "y" } else { "x" }, 1);
    let (_, ticket) = crate::common::line::tickets(&[&weir], 1).remove(0);
    let ticket = ticket.split_once('=').unwrap().1.to_owned();
    let too_long = "x".repeat(5_000);
    for (room, code) in [
        ("launch", ""),
        ("launch", "x"),
        ("launch", &code[..50]),
        ("launch", &forged),
        ("launch", &altered),
        ("launch", &ticket),
        ("launch", &too_long),
        ("launch", "%00%ff"),
        ("other", code),
    ] {
        let bad = format!("/.weir/place/{room}?code={code}");
        for method in ["GET", "POST"] {
            let program = weir.send(method, &bad, &[JSON], "");
            assert_eq!((program.status, &program.json()["error"]), (404, &json!("no_place")), "{bad}: {program:?}");
            let page = weir.send(method, &bad, &[PAGE, ("Accept-Language", "ko")], "");
            assert!(page.status == 404 && page.body.contains("자리를 받을 수 없습니다") && page.cookie().is_none());
        }
    }
    assert_eq!(weir.get("/.weir/place/launch", &[JSON]).status, 404);
    assert_eq!(weir.get(&format!("/.weir/place/lunch?code={code}"), &[JSON]).status, 404);

    // A place that is taken back.
    let taken_back = json!({ "why": "a mistake", "pass": other["id"] });
    done(&weir, "revoke", &taken_back);
    let over = weir.get(other["path"].as_str().unwrap(), &[JSON]);
    assert_eq!((over.status, &over.json()["error"]), (410, &json!("no_place")), "{over:?}");

    // The command; who, why and which are in the audit, and the code is not.
    let (exit, said) = operator(&weir, &["give-place", "launch", "--why", "by phone"]);
    assert!(exit == 0 && said.contains("is given in room") && said.contains("/.weir/place/launch?code="), "{said}");
    let lines: Vec<Json> = audit(&weir).into_iter().filter(|line| line["action"] == "give-place").collect();
    assert_eq!(lines.iter().filter(|line| line["refused"] == Json::Null).count(), 3);
    assert!(lines.iter().any(|line| line["with"] == place["id"] && line["why"] == "lost in the outage"), "{lines:?}");
    assert!(!format!("{lines:?}").contains(code));
    let given = || weir.metric("weir_room_places_given_total{room=\"launch\"}");
    until_true("the line has learnt of each", || given() == 3.0);
    weir.is_well();
}

#[test]
fn no_more_than_a_hundred_codes_of_a_room_are_good_at_once() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, MOVING));
    let give = || act(&weir, "give-place", &json!({ "why": "many ask" }));
    assert!((0..100).all(|_| give().status == 200));
    assert!(problem(&give(), 409)["detail"].as_str().unwrap().contains("100 places were given within a day"));
    weir.is_well();
}

#[test]
fn of_two_operators_the_second_is_told_and_an_id_is_one_action() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, MOVING));
    let url = "/api/rooms/launch/actions/rate";
    let versions = request(weir.admin, "GET", "/api/versions", &[], "");
    assert_eq!(versions.header("etag"), Some("\"0\""));
    let rate = |to: u32, id: &str| json!({ "why": "a test", "to": to, "id": id }).to_string();
    let first = post(&weir, url, &[("If-Match", "\"0\"")], &rate(70, "one"));
    assert_eq!((first.status, first.header("etag")), (200, Some("\"1\"")), "{first:?}");
    problem(&post(&weir, url, &[("If-Match", "\"0\"")], &rate(80, "two")), 412);
    problem(&post(&weir, url, &[("If-Match", "W/x")], &rate(80, "two")), 400);
    let told = problem(&post(&weir, url, &[], &rate(90, "one")), 409);
    assert_eq!(told["where"], "#/id");
    let again = post(&weir, url, &[("If-Match", "\"0\"")], &rate(70, "one"));
    assert_eq!((again.status, again.header("etag")), (200, Some("\"1\"")), "a double click is one action");
    assert_eq!(weir.room()["new_users_per_minute"], 70.0);

    // Without a version both are done, one after the other: a step is of what is in force then.
    let steps = std::thread::scope(|scope| {
        let step = || done(&weir, "rate", &json!({ "why": "a test", "to": "+10%" }));
        [scope.spawn(step), scope.spawn(step)].map(|step| step.join().unwrap()["version"].as_u64().unwrap())
    });
    assert!(steps.contains(&2) && steps.contains(&3), "{steps:?}");
    assert_eq!(weir.room()["new_users_per_minute"], 84.0);
    let nothing = done(&weir, "resume", &json!({ "why": "a test" }));
    assert_eq!((&nothing["from"], &nothing["version"]), (&json!(3), &json!(3)));
}

#[test]
fn a_gateway_that_is_cut_off_is_told_of_with_what_it_may_still_let_in() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let text = config(shop.address, &format!("{}fail_mode = \"static\"\n", MOVING.replace("burst = 1", "burst = 60")));
    let link = Faulty::to(redis.spoken_to());
    let a = member(&redis.url(), "a", &text);
    let b = member(&format!("redis://{}", link.address), "b", &text);
    until_true("both know each other", || {
        request(a.admin, "GET", "/api/gateways", &[], "").json().as_array().unwrap().len() == 2
    });
    link.set(Fault::Cut);
    let told = done(&a, "pause", &json!({ "why": "a test" }));
    let of = |name: &str| told["gateways"].as_array().unwrap().iter().find(|g| g["gateway"] == name).unwrap().clone();
    assert!(of("a")["in_force_after"].is_number(), "{told}");
    let b_told = of("b");
    assert!(b_told["says"].as_str().unwrap().starts_with("not heard: may let in up to "), "{told}");
    assert!(b_told["may_let_in"].as_u64().is_some_and(|most| most <= 33) && b_told["until"].is_string(), "{told}");
    let (code, said) = operator(&a, &["rate", "launch", "-10%", "--why", "a test"]);
    assert!(code == 1 && said.contains("not every gateway has it"), "{said}");
    assert!(said.contains("b: not heard: may let in up to "), "it has not heard of the pause either: {said}");
    link.set(Fault::None);
    until_true("it hears of it", || state(&b) == "paused");
    until_true("and of the audit", || audit(&b).len() == 2);
    [a, b].iter().for_each(Weir::is_well);
}

#[test]
fn a_rate_that_an_event_sets_is_refused_by_its_name_and_a_gateway_that_is_cut_off_acts_by_it() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let room = MOVING.replace("burst = 1", "burst = 60").replace("per_minute = 60\nmax", "per_minute = 0\nmax");
    let event = event(-1_000, 3_600_000, "new_users_per_minute = 60\n");
    let text = config(shop.address, &format!("{room}fail_mode = \"static\"\n{event}"));
    let link = Faulty::to(redis.spoken_to());
    let a = member(&redis.url(), "a", &text);
    let b = member(&format!("redis://{}", link.address), "b", &text);
    until_true("both know each other", || {
        request(a.admin, "GET", "/api/gateways", &[], "").json().as_array().unwrap().len() == 2
    });
    let refused = problem(&act(&a, "rate", &json!({ "why": "a test", "to": 30 })), 409);
    assert!(refused["detail"].as_str().unwrap().contains("\"drop\" sets new_users_per_minute"), "{refused}");
    done(&a, "seats", &json!({ "why": "the event does not set them", "to": 50 }));
    link.set(Fault::Cut);
    let told = done(&a, "pause", &json!({ "why": "a test" }));
    let says = told["gateways"][1]["says"].as_str().unwrap();
    assert!(says.starts_with("not heard: may let in up to "), "{told}");
    link.set(Fault::None);
    [a, b].iter().for_each(Weir::is_well);
}

#[test]
fn a_store_that_lost_the_audit_leaves_a_fork_that_names_both_heads() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let text = config(shop.address, MOVING);
    let gateways = ["a", "b"].map(|name| member(&redis.url(), name, &text));
    for action in ["pause", "resume", "pause"] {
        done(&gateways[0], action, &json!({ "why": "a test" }));
    }
    until_true("both have all lines", || gateways.iter().all(|weir| audit(weir).len() == 3));
    let lost = audit(&gateways[0])[2]["hash"].clone();
    assert_eq!(redis.command("FLUSHALL"), "+OK");
    let fork = |weir: &Weir| audit(weir).into_iter().find(|line| line["action"] == "fork");
    until_true("both have seen the fork", || gateways.iter().all(|weir| fork(weir).is_some()));
    assert!(gateways.iter().all(|weir| state(weir) == "paused"), "the rooms are given back");
    done(&gateways[1], "resume", &json!({ "why": "after the loss" }));
    until_true("both go on", || gateways.iter().all(|weir| audit(weir).last().unwrap()["why"] == "after the loss"));
    for weir in &gateways {
        let told = fork(weir).unwrap();
        assert_eq!((&told["lost"]["number"], &told["lost"]["hash"]), (&json!(3), &lost));
        let (code, said) = verified(&weir.dir.path().join("weir.audit"), &["--head", lost.as_str().unwrap()]);
        assert!(
            code == 0 && said.contains("a fork: the store lost what came after number 0, up to number 3"),
            "{said}"
        );
        assert!(said.contains("whole, 5 lines"), "{said}");
    }
    until_true("it is told", || gateways.iter().any(|weir| weir.log().contains("the store lost the audit")));
}

#[test]
fn the_audit_of_a_gateway_is_checked_by_the_command() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, ROOMY));
    for to in [700, 800, 900] {
        done(&weir, "rate", &json!({ "why": "a test", "to": to }));
    }
    let file = weir.dir.path().join("weir.audit");
    let lines: Vec<String> = std::fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect();
    let head =
        request(weir.admin, "GET", "/api/gateways", &[], "").json()[0]["audit"]["hash"].as_str().unwrap().to_owned();
    let (code, said) = operator(&weir, &["audit", "show"]);
    assert!(code == 0 && said.lines().eq(lines.iter()), "{said}");
    let check = |lines: &[&str], more: &[&str]| {
        let copy = weir.dir.path().join("copy");
        std::fs::write(&copy, lines.join("\n")).unwrap();
        verified(&copy, more)
    };
    let [one, two, three] = [0, 1, 2].map(|at| lines[at].as_str());
    let (code, said) = check(&[one, two, three], &["--head", &head]);
    assert!(code == 0 && said.contains("whole, 3 lines") && said.contains(&head), "{said}");
    let changed = two.replace("800", "810");
    for (lines, more, told) in [
        (vec![one, &changed, three], vec![], "line 2 was changed"),
        (vec![one, three], vec![], "line 2 does not follow"),
        (vec![one, two], vec!["--head", &head], "its end was cut"),
        (vec![one, two, "garbage"], vec![], "line 3 was changed"),
    ] {
        let (code, said) = check(&lines, &more);
        assert!(code == 1 && said.contains(told), "{told}: {said}");
    }
    let (code, said) = check(&[two, three], &[]);
    assert!(code == 0 && said.contains("from number 2 on"), "{said}");

    // A gateway that starts on a file that is not whole says so, and goes on.
    let dir = weir.kill();
    std::fs::write(&file, [one, &changed, three].map(|line| format!("{line}\n")).concat()).unwrap();
    let weir = Weir::start_in(dir);
    assert!(weir.log().contains("is not whole"), "{}", weir.log());
    done(&weir, "rate", &json!({ "why": "a test", "to": 1000 }));
    assert_eq!(audit(&weir).last().unwrap()["number"], 4);
}

#[test]
fn each_role_may_what_it_says_and_log_ins_are_in_the_audit() {
    let shop = Shop::open();
    let dir = tempfile::tempdir().unwrap();
    let admin = "admin_token_file = \"admin.token\"\nadmin_operators_file = \"operators\"\n";
    let text = config(shop.address, MOVING).replace("workers = 2\n", &format!("workers = 2\n{admin}"));
    std::fs::write(dir.path().join("weir.toml"), text).unwrap();
    std::fs::write(dir.path().join("admin.token"), "sixteen letters!").unwrap();
    let add = |name: &str, role: &str| {
        let (code, said) = weir(&["operators", "add", name, "--role", role], dir.path());
        assert_eq!(code, 0, "{said}");
        said.trim().to_owned()
    };
    let tokens = [add("vi", "viewer"), add("kim", "operator"), add("ada", "admin")];
    let (code, said) = weir(&["operators", "add", "kim", "--role", "viewer"], dir.path());
    assert!(code == 1 && said.contains("is there"), "{said}");
    let weir = Weir::start_in(dir);
    let ask = |token: &str, method: &str, path: &str, body: &str| {
        let token = format!("Bearer {token}");
        let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
        request(weir.admin, method, path, &headers, body)
    };
    let pause = "{\"why\": \"a test\"}";
    let calls = [
        ("GET", "/api/rooms", "", [200, 200, 200]),
        ("POST", "/api/rooms/launch/actions/pause", pause, [403, 200, 200]),
        ("PUT", "/api/rooms/launch/rate", "{\"rate\": \"30/m\"}", [403, 200, 200]),
        ("PUT", "/api/versions/in-force?to=0&undo=true", "", [403, 403, 200]),
    ];
    for (method, path, body, answers) in calls {
        for (token, status) in tokens.iter().zip(answers) {
            let answer = ask(token, method, path, body);
            assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
            if status == 403 {
                assert!(problem(&answer, 403)["detail"].as_str().unwrap().contains("this takes the role"));
            }
        }
    }
    assert_eq!(
        ask("sixteen letters!", "PUT", "/api/versions/in-force?to=1", "").status,
        200,
        "the one token is an admin's"
    );
    for wrong in ["", "kim.x", "sixteen letters", &tokens[1].replace("kim", "ada")] {
        let answer = ask(wrong, "GET", "/api/rooms", "");
        problem(&answer, 401);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    let foreign = [("Authorization", "Bearer sixteen letters!"), ("Host", "evil.example")];
    problem(&request(weir.admin, "GET", "/api/rooms", &foreign, ""), 403);
    assert_eq!(request(weir.admin, "GET", "/readyz", &[], "").status, 200, "probes have no token");

    let lines: Vec<Json> =
        ask(&tokens[0], "GET", "/api/audit", "").body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |who: &str, action: &str, refused: bool| {
        lines
            .iter()
            .any(|line| line["who"] == who && line["action"] == action && line["refused"].is_string() == refused)
    };
    assert!(told("vi", "log-in", false) && told("kim", "log-in", false) && told("kim", "pause", false), "{lines:?}");
    assert!(
        told("vi", "refused", true) && told("ada", "rollback", false) && told("admin", "rollback", false),
        "{lines:?}"
    );
    assert!(lines.len() < 20, "log-ins and refusals are bounded");

    // Many wrong tokens are turned away, and whoever is known goes on.
    let tried: Vec<u16> = (0..30).map(|_| ask("kim.wrong", "GET", "/api/rooms", "").status).collect();
    assert!(tried.contains(&429), "{tried:?}");
    assert_eq!(ask(&tokens[1], "GET", "/api/rooms", "").status, 200);
    let file = weir.dir.path().join("operators");
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap().replace("kim operator", "kim viewer")).unwrap();
    until_true("the role is another", || {
        ask(&tokens[1], "POST", "/api/rooms/launch/actions/resume", pause).status == 403
    });
    assert!(!weir.log().contains(&tokens[1]), "no token is in the log");
}
